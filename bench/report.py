"""Turn a benchmark run into a record, tables, a plot, and a verdict.

One direction: the JSON of pytest-benchmark is cut down to a *record*, small enough to commit and
free of anything that names a host; everything else is made from the record. Wherever a run is
read, either kind of file will do.

A record holds the benchmarks of one suite, and is compared with its own floors.

    python bench/report.py run.json                                    # full table, with floors
    python bench/report.py run.json --summary bench/results/warping.json
    python bench/report.py bench/results/warping.json --readme README.md
    python bench/report.py bench/results/warping.json --check-readme README.md
    python bench/report.py bench/results/warping.json --plot ratios.svg
    python bench/report.py --compare bench/results/warping.json run.json

Exit status: 0, or 1 when a comparison or a check fails, or 2 when the input cannot be used.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

SCHEMA = 1

# A ratio may lose this share before --compare fails. The slack keeps a loss of exactly 15 % on
# the right side.
TOLERATED_LOSS = 0.15
ROUNDING_SLACK = 1e-9

ISA_NAMES = {"v2": "SSE4", "v3": "AVX2", "v4": "AVX-512"}

SHORT = {"float64": "f64", "float32": "f32"}


class ReportError(Exception):
    """The input cannot be used; the message says why."""


# --- the record ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Benchmark:
    """One contender of one case.

    Attributes
    ----------
    case, contender : str
        Together unique within a record.
    peer : bool
        Whether this is somebody else's library.
    dtype : {"float32", "float64"}
        What the data were given as.
    isa : str or None
        Instruction set that coalign was held to; None for a peer.
    threads : int
        Threads it could use.
    cells : int
        Lattice cells of the problem, or entries of its cost matrices.
    median : float
        Seconds, over the rounds.
    rounds : int
        How many rounds were timed.
    """

    case: str
    contender: str
    peer: bool
    dtype: str
    isa: str | None
    threads: int
    cells: int
    median: float
    rounds: int

    @property
    def rate(self) -> float:
        """Cells per second."""
        return self.cells / self.median


@dataclass(frozen=True)
class Record:
    """What is kept of a run.

    Attributes
    ----------
    suite : str
        Names the operation, and the README's markers.
    date : str
        Day of the run, ISO 8601.
    machine : dict
        cpu, cpus, isa, python.
    packages : dict
        Version by distribution name.
    benchmarks : tuple of Benchmark
        In the order they ran.
    """

    suite: str
    date: str
    machine: dict[str, Any]
    packages: dict[str, str]
    benchmarks: tuple[Benchmark, ...]

    def cases(self) -> dict[str, list[Benchmark]]:
        """Group the benchmarks by case, both in the order they ran."""
        grouped: dict[str, list[Benchmark]] = {}
        for benchmark in self.benchmarks:
            grouped.setdefault(benchmark.case, []).append(benchmark)
        return grouped

    def find(self, case: str, contender: str) -> Benchmark | None:
        """Give one benchmark, or None."""
        return next(
            (b for b in self.benchmarks if (b.case, b.contender) == (case, contender)), None
        )


def _six_digits(value: float) -> float:
    # Noise starts at the third digit; a short file shows changes better.
    return float(f"{value:.6g}")


def record_from_raw(raw: dict[str, Any]) -> Record:
    """Cut pytest-benchmark's JSON down to a record.

    Only the named keys are taken over, so host names, paths and commits stay behind.
    """
    suites = {entry["extra_info"].get("suite") for entry in raw["benchmarks"]}
    if len(suites) != 1 or None in suites:
        names = sorted(str(suite) for suite in suites)
        raise ReportError(f"expected the benchmarks of one suite, got {names}")
    machine = raw["machine_info"]
    fields = ("case", "contender", "peer", "dtype", "isa", "threads", "cells")
    return Record(
        suite=suites.pop(),
        date=raw["datetime"][:10],
        machine={
            "cpu": machine["cpu"].get("brand_raw", "unknown"),
            "cpus": machine["cpu"].get("count"),
            "isa": machine["isa"],
            "python": machine["python_version"],
        },
        packages=dict(machine["packages"]),
        benchmarks=tuple(
            Benchmark(
                **{name: entry["extra_info"][name] for name in fields},
                median=_six_digits(entry["stats"]["median"]),
                rounds=entry["stats"]["rounds"],
            )
            for entry in raw["benchmarks"]
        ),
    )


def record_to_json(record: Record) -> str:
    """Write a record.

    The ratio stands there for the reader of the file; whoever loads it computes it anew.
    """
    entries = []
    for benchmark in record.benchmarks:
        entry = asdict(benchmark)
        peer = fastest_peer(record, benchmark)
        entry["against"] = peer.contender if peer else None
        entry["ratio"] = _six_digits(peer.median / benchmark.median) if peer else None
        entries.append(entry)
    content = {
        "schema": SCHEMA,
        "suite": record.suite,
        "date": record.date,
        "machine": record.machine,
        "packages": record.packages,
        "benchmarks": entries,
    }
    return json.dumps(content, indent=1) + "\n"


def load(path: Path) -> Record:
    """Read a record, or pytest-benchmark's JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "machine_info" in content:
            return record_from_raw(content)
        if content.get("schema") != SCHEMA:
            raise ReportError(f"{path}: expected schema {SCHEMA}, got {content.get('schema')}")
        names = Benchmark.__dataclass_fields__
        return Record(
            suite=content["suite"],
            date=content["date"],
            machine=content["machine"],
            packages=content["packages"],
            benchmarks=tuple(
                Benchmark(**{name: entry[name] for name in names})
                for entry in content["benchmarks"]
            ),
        )
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(
            f"{path}: neither a record nor a pytest-benchmark file ({error!r})"
        ) from error


# --- figures: quotients within one run, higher is better -----------------------------------------


@dataclass(frozen=True)
class PeerFloor:
    """At least ``minimum`` times as fast as the fastest of ``peers``, in the same case.

    Holds for what ran with ``threads``.
    """

    minimum: float
    peers: tuple[str, ...]
    threads: int = 1


@dataclass(frozen=True)
class OwnFloor:
    """At least ``minimum`` times the speed of our own benchmark of ``case`` with ``threads``.

    ``per_cell`` compares cells per second instead of calls per second. ``dtype`` is that of the
    other benchmark, None for the same.
    """

    minimum: float
    case: str
    threads: int = 1
    per_cell: bool = False
    dtype: str | None = None

    def against(self, case: str) -> str:
        """Say what a benchmark of ``case`` is compared with."""
        if self.dtype is not None:
            return f"{self.case}, {self.dtype}"
        if self.case == case:
            return "one thread"
        return f"{self.case}{' per cell' if self.per_cell else ''}"


Floor: TypeAlias = PeerFloor | OwnFloor


@dataclass(frozen=True)
class Floors:
    """What a suite is held to, by case and dtype.

    Attributes
    ----------
    isa_share : dict of str to float
        Floors against peers are set for AVX-512. This is the share of them that holds for each
        instruction set; the others have no floor.
    by_case : dict of (str, str) to tuple of PeerFloor or OwnFloor
        All of them have to be met.
    """

    isa_share: dict[str, float]
    by_case: dict[tuple[str, str], tuple[Floor, ...]]


UNIFORM = "all pairs 100x512"
BAND = "all pairs 100x512, band 10 %"
RAGGED = "ragged 100 series of 100 to 1000"
PAIR = "one pair 10000x10000"
PATH = "one pair 10000x10000, with path"
THREE = "multivariate 100x256, D=3"
SIXTY_FOUR = "multivariate 100x256, D=64"
TWO_THREADS = "all pairs 100x512, two threads"

# aeon takes both dtypes, so each of ours faces the faster of those that deliver its precision.
# Multivariate: aeon in the layout of its own loaders; the full table shows the other layout too.
AEON = ("aeon-f64", "aeon-f32")

WARPING = Floors(
    # AVX2 has half the lanes, at a clock that is often higher.
    {"v4": 1.0, "v3": 0.55},
    {
        (UNIFORM, "float32"): (PeerFloor(50, AEON),),
        (UNIFORM, "float64"): (PeerFloor(22, AEON),),
        (BAND, "float32"): (PeerFloor(30, (*AEON, "dtaidistance-f64")),),
        (BAND, "float64"): (PeerFloor(14, (*AEON, "dtaidistance-f64")),),
        (RAGGED, "float32"): (OwnFloor(0.75, UNIFORM, per_cell=True),),
        (RAGGED, "float64"): (OwnFloor(0.75, UNIFORM, per_cell=True),),
        (PAIR, "float32"): (PeerFloor(25, AEON),),
        (PAIR, "float64"): (PeerFloor(11, AEON),),
        (PATH, "float32"): (OwnFloor(0.5, PAIR),),
        (PATH, "float64"): (OwnFloor(0.5, PAIR),),
        (THREE, "float32"): (PeerFloor(15, AEON),),
        (SIXTY_FOUR, "float32"): (PeerFloor(60, AEON),),
        (TWO_THREADS, "float32"): (OwnFloor(1.8, TWO_THREADS),),
        (TWO_THREADS, "float64"): (OwnFloor(1.8, TWO_THREADS),),
    },
)

SCIPY = ("scipy-f64",)
SCIPY_LOOP = ("scipy-f32",)
# The functions that lapx is known by. Others of its are faster, and the table has the fastest.
LAPX = ("lapjv-f64",)
LAPX_BATCH = ("lapjvx_batch-2threads-f32",)
UNIFORM_COSTS = "uniform 1000x1000"
CHANGED = "1 % of rows changed 2000x2000"
# Of the squares, at 1000 and at 4000.
SQUARES = {
    "uniform": (6, 5),
    "geometric": (6, 6),
    "low rank": (40, 75),
    "integers": (3, 1.5),
}
DETR = {100: (12,), 300: (15, 5), 600: (15,)}

ASSIGNMENT = Floors(
    # Where the costs come from memory, half the lanes lose less than half the speed.
    {"v4": 1.0, "v3": 0.7},
    {
        **{
            (f"{family} {n}x{n}", "float64"): (
                PeerFloor(minimum, SCIPY),
                *((PeerFloor(1.2, LAPX),) if family == "integers" else ()),
            )
            for family, minima in SQUARES.items()
            for n, minimum in zip((1000, 4000), minima, strict=True)
        },
        **{
            (case, "float32"): (OwnFloor(1.5, case, dtype="float64"),)
            for case in (f"{family} 4000x4000" for family in SQUARES)
        },
        ("Machol-Wien 1000x1000", "float64"): (PeerFloor(5, SCIPY),),
        ("a + b + U 1000x1000", "float64"): (PeerFloor(5, SCIPY),),
        # The spread of the costs is what matters, not their size.
        ("uniform + 1000 1000x1000", "float64"): (OwnFloor(1 / 1.2, UNIFORM_COSTS),),
        **{
            (f"208 problems 300x{columns}, two threads", "float32"): tuple(
                PeerFloor(minimum, peers, threads=2)
                for minimum, peers in zip(minima, (SCIPY_LOOP, LAPX_BATCH), strict=False)
            )
            for columns, minima in DETR.items()
        },
        ("10,000 problems 8x8", "float32"): (PeerFloor(12, SCIPY_LOOP),),
        ("5000 problems 20x40", "float32"): (PeerFloor(10, SCIPY_LOOP),),
        ("64 problems 100x20", "float32"): (PeerFloor(5, SCIPY_LOOP),),
        ("2000x2500 with a limit", "float64"): (PeerFloor(100, LAPX),),
        (f"{CHANGED}, warm start", "float64"): (OwnFloor(5, CHANGED),),
        (f"{CHANGED}, warm start", "float32"): (OwnFloor(5, CHANGED),),
        ("CSR 20,000x20,000, 20 entries a row", "float64"): (PeerFloor(3, SCIPY),),
    },
)

# Of one small call the peer may be quicker by this much, whatever the instruction set.
CALLS = Floors(
    {"v4": 1.0, "v3": 1.0},
    {
        ("one call, 10x10", "float64"): (PeerFloor(1 / 1.5, SCIPY),),
        ("one call, 10 frames", "float64"): (PeerFloor(1, ("dtaidistance-f64",)),),
    },
)

FLOORS = {"warping": WARPING, "assignment": ASSIGNMENT, "calls": CALLS}


def floors_of(record: Record, benchmark: Benchmark) -> tuple[Floor, ...]:
    """Give what a benchmark of ours is held to."""
    suite = FLOORS.get(record.suite)
    if benchmark.peer or suite is None:
        return ()
    return suite.by_case.get((benchmark.case, benchmark.dtype), ())


def own_floor(record: Record, benchmark: Benchmark) -> OwnFloor | None:
    """Give the floor that compares a benchmark with another of ours."""
    own = (floor for floor in floors_of(record, benchmark) if isinstance(floor, OwnFloor))
    return next(own, None)


def fastest_peer(
    record: Record, benchmark: Benchmark, among: tuple[str, ...] | None = None
) -> Benchmark | None:
    """Give the fastest peer of the same case with no less precision and no more threads."""
    peers = [
        other
        for other in record.benchmarks
        if other.peer
        and other.case == benchmark.case
        and other.threads <= benchmark.threads
        and (among is None or other.contender in among)
        and (benchmark.dtype == "float32" or other.dtype == "float64")
    ]
    return min(peers, key=lambda peer: peer.median, default=None)


@dataclass(frozen=True)
class Verdict:
    """A floor, scaled to the instruction set, and what was measured.

    ``measured`` is None where the run lacks the other side.
    """

    minimum: float
    against: str
    measured: float | None

    @property
    def met(self) -> bool | None:
        """Tell whether the floor is reached; None where it was not measured."""
        return None if self.measured is None else self.measured >= self.minimum


def is_own_reference(benchmark: Benchmark, floor: OwnFloor) -> bool:
    """Tell whether the benchmark is what the floor compares others with."""
    dtype = floor.dtype or benchmark.dtype
    return (benchmark.case, benchmark.threads, benchmark.dtype) == (
        floor.case,
        floor.threads,
        dtype,
    )


def own_reference(record: Record, benchmark: Benchmark, floor: OwnFloor) -> Benchmark | None:
    """Find our own benchmark that a floor speaks of; None where it is the benchmark itself."""
    if is_own_reference(benchmark, floor):
        return None
    return next(
        (
            other
            for other in record.benchmarks
            if not other.peer
            and (other.case, other.threads) == (floor.case, floor.threads)
            and (other.dtype, other.isa) == (floor.dtype or benchmark.dtype, benchmark.isa)
        ),
        None,
    )


def quotient(benchmark: Benchmark, other: Benchmark, *, per_cell: bool = False) -> float:
    """Give how many times as fast the benchmark is."""
    return benchmark.rate / other.rate if per_cell else other.median / benchmark.median


def verdicts(record: Record, benchmark: Benchmark) -> list[Verdict]:
    """Hold a benchmark to its floors; empty where it has none."""
    held = (hold(record, benchmark, floor) for floor in floors_of(record, benchmark))
    return [verdict for verdict in held if verdict is not None]


def hold(record: Record, benchmark: Benchmark, floor: Floor) -> Verdict | None:
    """Hold a benchmark to one floor; None where that does not speak of it."""
    if isinstance(floor, PeerFloor):
        share = FLOORS[record.suite].isa_share.get(benchmark.isa or "")
        if share is None or benchmark.threads != floor.threads:
            return None
        peer = fastest_peer(record, benchmark, floor.peers)
        return Verdict(
            minimum=share * floor.minimum,
            against=peer.contender if peer else " or ".join(floor.peers),
            measured=quotient(benchmark, peer) if peer else None,
        )
    if is_own_reference(benchmark, floor):
        return None
    other = own_reference(record, benchmark, floor)
    return Verdict(
        minimum=floor.minimum,
        against=floor.against(benchmark.case),
        measured=quotient(benchmark, other, per_cell=floor.per_cell) if other else None,
    )


# --- tables --------------------------------------------------------------------------------------


def format_seconds(seconds: float) -> str:
    """Give three significant digits in the unit that suits."""
    if seconds >= 1:
        return f"{format_number(seconds)} s"
    if seconds >= 1e-3:
        return f"{format_number(1e3 * seconds)} ms"
    return f"{format_number(1e6 * seconds)} µs"


def format_number(value: float) -> str:
    """Give three significant digits, never an exponent."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.2e}")
    exponent = math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(0, 2 - exponent)}f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Lay out a table whose first ``left`` columns are text."""
    rule = ("---",) * left + ("---:",) * (len(header) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)) + "\n"


def caption(record: Record) -> str:
    """Say on what the figures were measured."""
    machine = record.machine
    isa = ISA_NAMES.get(machine["isa"], machine["isa"])
    versions = ", ".join(f"{name} {version}" for name, version in record.packages.items())
    return (
        f"Measured {record.date} on {machine['cpu']} ({machine['cpus']} CPUs, {isa}), "
        f"Python {machine['python']}; {versions}. Medians over fresh data, one thread unless said, "
        "answers compared.\n"
    )


MET = {True: "yes", False: "**no**", None: "not measured"}


def full_table(record: Record) -> str:
    """Give every benchmark, with its ratio to the fastest peer and its floor."""
    header = (
        "case",
        "contender",
        "median",
        "rounds",
        "Gcells/s",
        "× the fastest peer",
        "floor",
        "measured",
        "met",
    )
    rows = []
    for case, benchmarks in record.cases().items():
        for benchmark in sorted(benchmarks, key=lambda b: b.peer):
            peer = None if benchmark.peer else fastest_peer(record, benchmark)
            held = verdicts(record, benchmark)
            rows.append(
                (
                    case,
                    benchmark.contender,
                    format_seconds(benchmark.median),
                    str(benchmark.rounds),
                    format_number(benchmark.rate / 1e9),
                    f"{format_number(quotient(benchmark, peer))} ({peer.contender})"
                    if peer
                    else "",
                    "; ".join(f"≥ {format_number(v.minimum)} × {v.against}" for v in held),
                    "; ".join(format_number(v.measured) for v in held if v.measured is not None),
                    "; ".join(MET[v.met] for v in held),
                )
            )
    return markdown(header, rows, left=2) + "\n" + caption(record)


def best_rows(record: Record) -> Iterator[tuple[Benchmark, Benchmark, str]]:
    """Give what a user of this machine gets, what it is compared with, and the comparison's name.

    That is, of each case, coalign with the instruction set it selects by itself, against the
    fastest peer; and where a case has no peer, against what of our own its floor speaks of.
    """
    for benchmark in record.benchmarks:
        if benchmark.peer or benchmark.isa != record.machine["isa"]:
            continue
        peer = fastest_peer(record, benchmark)
        if peer is not None:
            yield benchmark, peer, peer.contender.rsplit("-", 1)[0]
            continue
        floor = own_floor(record, benchmark)
        if floor is not None:
            other = own_reference(record, benchmark, floor)
            if other is not None:
                yield benchmark, other, f"coalign, {floor.against(benchmark.case)}"


def short_table(record: Record) -> str:
    """Give the README's table."""
    header = ("work", "dtype", "coalign", "Gcells/s", "next fastest", "its time", "times faster")
    rows = [
        (
            benchmark.case,
            benchmark.dtype,
            format_seconds(benchmark.median),
            format_number(benchmark.rate / 1e9),
            name,
            format_seconds(other.median),
            format_number(quotient(benchmark, other)),
        )
        for benchmark, other, name in best_rows(record)
    ]
    return markdown(header, rows, left=2) + "\n" + caption(record)


# --- what is done with them ----------------------------------------------------------------------


def with_table(text: str, record: Record, where: str) -> str:
    """Put the README's table between its markers."""
    begin, end = (f"<!-- bench:{record.suite} {word} -->" for word in ("begin", "end"))
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ReportError(f"{where}: expected the markers {begin} and {end}, in this order")
    return f"{before}{begin}\n{short_table(record)}{end}{after}"


def rewrite_readme(path: Path, record: Record) -> None:
    """Bring the README's table up to date."""
    path.write_text(
        with_table(path.read_text(encoding="utf-8"), record, str(path)), encoding="utf-8"
    )


def readme_difference(path: Path, record: Record) -> str:
    """Give what --readme would change, as a diff; empty if nothing."""
    text = path.read_text(encoding="utf-8")
    expected = with_table(text, record, str(path))
    return "".join(
        difflib.unified_diff(
            text.splitlines(keepends=True),
            expected.splitlines(keepends=True),
            "README, as it is",
            "README, from the record",
        )
    )


def figures(
    record: Record, reference: Record
) -> Iterator[tuple[Benchmark, Benchmark | None, str, bool]]:
    """Give both sides of every quotient of ``record``.

    Peers are the ones that ``reference`` would choose, so that two runs can be compared. Yields our
    benchmark, the other side in ``record`` (None if missing), its name, and whether it is per cell.
    """
    for benchmark in record.benchmarks:
        if benchmark.peer:
            continue
        peer = fastest_peer(reference, benchmark)
        if peer is not None:
            yield benchmark, record.find(peer.case, peer.contender), peer.contender, False
        floor = own_floor(record, benchmark)
        if floor is not None:
            chosen = own_reference(reference, benchmark, floor)
            if chosen is not None:
                other = record.find(chosen.case, chosen.contender)
                name = f"{chosen.contender} ({chosen.case})"
                yield benchmark, other, name, floor.per_cell


def compare(old: Record, new: Record) -> tuple[str, bool]:
    """Compare the ratios of two runs.

    Each ratio is taken within its own run, so a slower machine or a busy hour cancels out; both
    runs use the peer that was the fastest in the old one.

    Returns
    -------
    table : str
        Markdown, one row per ratio.
    ok : bool
        False if a ratio lost more than TOLERATED_LOSS, or if the runs have nothing in common.
    """
    before = {
        (benchmark.case, benchmark.contender, name): quotient(benchmark, other, per_cell=per_cell)
        for benchmark, other, name, per_cell in figures(old, old)
        if other is not None
    }
    after = {
        (benchmark.case, benchmark.contender, name): quotient(benchmark, other, per_cell=per_cell)
        for benchmark, other, name, per_cell in figures(new, old)
        if other is not None
    }
    rows = []
    ok = bool(before.keys() & after.keys())
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key), after.get(key)
        if was is None or now is None:
            change, word = "", "only in the old run" if now is None else "only in the new run"
        else:
            gain = now / was - 1
            worse = -gain > TOLERATED_LOSS + ROUNDING_SLACK
            ok = ok and not worse
            change, word = f"{100 * gain:+.1f} %", "**worse**" if worse else "ok"
        numbers = ("" if value is None else format_number(value) for value in (was, now))
        rows.append((*key, *numbers, change, word))
    header = ("case", "contender", "against", "ratio before", "ratio now", "change", "verdict")
    return markdown(header, rows, left=3), ok


def plot(record: Record, path: Path) -> None:
    """Draw the ratios of the README's table as horizontal bars, on a logarithmic axis."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ReportError("--plot needs matplotlib") from error

    rows = list(best_rows(record))
    labels = [
        f"{benchmark.case}\n{SHORT[benchmark.dtype]}, × {name}" for benchmark, _, name in rows
    ]
    ratios = [quotient(benchmark, other) for benchmark, other, _ in rows]
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = ["C0" if benchmark.dtype == "float32" else "C1" for benchmark, _, _ in rows]
    bars = axes.barh(range(len(rows)), ratios, color=colours)
    axes.bar_label(bars, [f"{format_number(ratio)}×" for ratio in ratios], padding=3, fontsize=8)
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.margins(x=0.15)
    axes.set_xlabel("times faster than the next fastest (same run, medians)")
    figure.savefig(path, dpi=150)


# --- command line --------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    result = argparse.ArgumentParser(
        description="Tables, plots and comparisons from a benchmark run."
    )
    result.add_argument(
        "run", type=Path, nargs="?", help="a record, or the JSON of pytest-benchmark"
    )
    result.add_argument("--summary", type=Path, metavar="OUT", help="write the compact record")
    result.add_argument("--plot", type=Path, metavar="OUT", help="draw the ratios (.png or .svg)")
    result.add_argument(
        "--readme", type=Path, metavar="FILE", help="rewrite the table between the file's markers"
    )
    result.add_argument(
        "--check-readme", type=Path, metavar="FILE", help="fail if the file's table is out of date"
    )
    result.add_argument(
        "--compare",
        type=Path,
        nargs=2,
        metavar=("OLD", "NEW"),
        help="fail if a ratio of NEW is more than 15 %% worse than in OLD",
    )
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give the exit status."""
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except (ReportError, OSError) as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Do what the options ask, in a fixed order."""
    failed = False
    if options.compare is not None:
        table, ok = compare(*(load(path) for path in options.compare))
        print(table, end="")
        failed = not ok
    elif options.run is None:
        raise ReportError("name a run, or use --compare OLD NEW")
    if options.run is None:
        return int(failed)

    record = load(options.run)
    quiet = options.compare is not None
    if options.summary is not None:
        options.summary.parent.mkdir(parents=True, exist_ok=True)
        options.summary.write_text(record_to_json(record), encoding="utf-8")
        quiet = True
    if options.plot is not None:
        plot(record, options.plot)
        quiet = True
    if options.readme is not None:
        rewrite_readme(options.readme, record)
        quiet = True
    if options.check_readme is not None:
        difference = readme_difference(options.check_readme, record)
        print(difference, end="")
        failed = failed or bool(difference)
        quiet = True
    if not quiet:
        print(full_table(record), end="")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
