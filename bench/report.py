"""Turn a benchmark run into a record, and records into the tables and pictures of the documents.

The JSON of pytest-benchmark is cut down to a *record* of one suite, small enough to commit and free
of anything that names a host; everything else is made from records. What coalign is held to stands
beside its case, in `cases_<suite>.py`. To compare two runs is pytest-benchmark's business.

    python bench/report.py run.json                                      # table with floors
    python bench/report.py run.json --record bench/results/warping.json  # the record to commit
    python bench/report.py --documents                                   # from committed records
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import plot
from contest import Case, OwnFloor, PeerFloor

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = 2
ISA_NAMES = {"v2": "SSE4", "v3": "AVX2", "v4": "AVX-512"}
SUITES = ("assignment", "warping", "calls")
# Those whose record may be missing; then their documents stay as they are.
TABLES = (
    "ctc",
    "transport",
    "transport_functions",
    "closed_forms",
    "soft_warping",
    "warping_functions",
)
# Censuses, with the guide that each is in, and its words in the README.
CENSUSES = {
    "ctc_census": ("ctc.md", "The worst of the [census of CTC](docs/ctc.md#census):"),
    "transport_census": (
        "transport.md",
        "The worst of the [census of transport](docs/transport.md#census):",
    ),
    "warping_census": (
        "warping.md",
        "The worst of the [census of warping](docs/warping.md#census):",
    ),
}
LATER = (*TABLES, *CENSUSES, "ctc_scaling", "transport_scaling")
CTC_PICTURES = """![Time of a frame against frames, symbols and labels](ctc-frames.svg)

![Speed beside a copy of the scores](ctc-bandwidth.svg)
"""
TRANSPORT_PICTURES = """![Iterations to an error of 1e-4 against epsilon](transport-iterations.svg)

![Time to an error of 1e-4 against epsilon](transport-epsilon.svg)

![Time of iterations against size](transport-size.svg)
"""

# What users ask about: suite, case, contender, and the same in words.
README_ROWS = """
calls | one call, 10x10 | assign | one call: 10 × 10 costs
calls | one call, 10 frames | dtw | one call: two series of 10 frames
assignment | 10,000 problems 8x8 | coalign-f32 | 10,000 problems of 8 × 8, float32
assignment | 208 problems 300x300, two threads | coalign-f32 | 208 of 300 × 300, float32, 2 threads
assignment | uniform 1000x1000 | coalign-f64 | 1000 × 1000, uniform costs
assignment | integers 4000x4000 | coalign-f64 | 4000 × 4000, integers 0 to 99
assignment | 2000x2500 with a limit | coalign-f64 | 2000 × 2500, pairs below a limit
assignment | CSR 20,000x20,000, 20 entries a row | coalign-f64 | 20,000 × 20,000 sparse, 20 a row
warping | all pairs 100x512 | coalign-f64 | DTW of all pairs of 100 series of 512
warping | all pairs 100x512, band 10 % | coalign-f64 | the same in a band of 10 %
warping | one pair 10000x10000, with path | coalign-f64 | DTW of two series of 10,000, with path
warping_functions | nearest of 5000 noisy profiles of digits of 256 to 20 others, band of 10 % | \
coalign-f64 | nearest of 5000 profiles of 256 to 20 others
soft_warping | soft-DTW of 40 pairs of 512, with gradients | coalign-f64 | \
soft-DTW of 40 pairs of 512, with gradients
ctc | 32 of 500 x 32, 100 labels | coalign-f32 | CTC loss and gradient, 32 of 500 × 32, float32
ctc | beam of 25, 8 of 400 x 29 | coalign-f32 | beams of 25 for 8 of 400 × 29, float32
transport | 1000 x 4 x 4, 100 iterations | coalign-f32 | \
100 Sinkhorn iterations, 1000 of 4 × 4, float32
transport | 20 iterations, 1000 x 1000 | coalign-f64 | 20 Sinkhorn iterations, 1000 × 1000
transport | to 1e-4, squares, plane, epsilon 0.001 of the most | coalign-f64 | \
Sinkhorn to 1e-4, 1000 × 1000, ε 0.001 of the most
"""


# --- the record ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Benchmark:
    """One contender of one case: seconds are the median over its rounds, cells those of the case.

    `isa` is the instruction set that coalign was held to, and None for a peer.
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
    iterations: int | None = None  # of a call, where that is of interest

    @property
    def rate(self) -> float:
        """Cells per second."""
        return self.cells / self.median


@dataclass(frozen=True)
class Record:
    """What is kept of a run: its day, cpu, cpus, isa and python, versions, and its benchmarks.

    `wrong` has the cases in which a peer did not find the optimum, by peer.
    """

    suite: str
    date: str
    machine: dict[str, Any]
    packages: dict[str, str]
    benchmarks: tuple[Benchmark, ...]
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        """Write the record, a benchmark a line."""
        head = {"schema": SCHEMA, **{f.name: getattr(self, f.name) for f in fields(self)}}
        if not self.wrong:
            del head["wrong"]
        entries = ",\n".join(
            json.dumps(
                {k: v for k, v in asdict(b).items() if k != "iterations" or v is not None},
                ensure_ascii=False,
            )
            for b in self.benchmarks
        )
        whole = json.dumps({**head, "benchmarks": []}, indent=1)
        return whole.replace('"benchmarks": []', f'"benchmarks": [\n{entries}\n ]') + "\n"

    def own(self) -> list[Benchmark]:
        """Give what a user of the machine gets: ours, with the set that it selects by itself."""
        isa = self.machine["isa"]
        return [b for b in self.benchmarks if not b.peer and b.isa == isa]


def cut(raw: dict[str, Any]) -> Record:
    """Cut pytest-benchmark's JSON down to a record: no key is taken over that is not named here."""
    suites = sorted({str(entry["extra_info"].get("suite")) for entry in raw["benchmarks"]})
    if len(suites) != 1:
        raise SystemExit(f"expected the benchmarks of one suite, got {suites}")
    machine, cpu = raw["machine_info"], raw["machine_info"]["cpu"]
    own = ("median", "rounds", "iterations")
    names = [field.name for field in fields(Benchmark) if field.name not in own]
    return Record(
        suite=suites[0],
        date=raw["datetime"][:10],
        machine={
            "cpu": cpu.get("brand_raw", "unknown"),
            "cpus": cpu.get("count"),
            "isa": machine["isa"],
            "python": machine["python_version"],
        },
        packages=dict(machine["packages"]),
        benchmarks=tuple(
            Benchmark(
                **{name: entry["extra_info"][name] for name in names},
                # Noise starts at the third digit; a short file shows changes better.
                median=float(f"{entry['stats']['median']:.6g}"),
                rounds=entry["stats"]["rounds"],
                iterations=entry["extra_info"].get("iterations"),
            )
            for entry in raw["benchmarks"]
        ),
    )


def load(path: Path) -> Record:
    """Read a record, or pytest-benchmark's JSON."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if "machine_info" in content:
        return cut(content)
    if content.pop("schema", None) != SCHEMA:
        raise SystemExit(f"{path}: neither a record of schema {SCHEMA} nor a run")
    benchmarks = tuple(Benchmark(**entry) for entry in content.pop("benchmarks"))
    return Record(**content, benchmarks=benchmarks)


# --- ratios within one run, higher is better -----------------------------------------------------


def fastest_peer(
    record: Record,
    benchmark: Benchmark,
    among: tuple[str, ...] = (),
    case: str | None = None,
) -> Benchmark | None:
    """Give the fastest peer of the same case with no less precision and no more threads.

    A peer that is coalign itself, called another way, counts only where it is named.
    """
    peers = [
        other
        for other in record.benchmarks
        if other.peer
        and other.case == (case or benchmark.case)
        and other.threads <= benchmark.threads
        and (other.contender in among if among else not other.contender.startswith("coalign"))
        and (benchmark.dtype == "float32" or other.dtype == "float64")
    ]
    return min(peers, key=lambda peer: peer.median, default=None)


@dataclass(frozen=True)
class Verdict:
    """A floor for an instruction set, and what was measured: None without the other side."""

    minimum: float
    against: str
    measured: float | None

    def __str__(self) -> str:
        """Say the floor, the figure, and whether it is missed."""
        figure = "not measured" if self.measured is None else number(self.measured)
        missed = self.measured is not None and self.measured < self.minimum
        floor = f"≥ {number(self.minimum)} × {self.against}"
        return f"{floor}: {figure}{' **missed**' if missed else ''}"


def listed(suite: str) -> Any:
    """Give the module that lists the cases of a suite."""
    return importlib.import_module(f"cases_{suite}")


def cases(suite: str) -> Sequence[Case]:
    """Give the list of a suite."""
    found: Sequence[Case] = listed(suite).SUITE.cases
    return found


def verdicts(record: Record, benchmark: Benchmark) -> list[Verdict]:
    """Hold a benchmark of ours to its floors."""
    if benchmark.peer:
        return []
    floors = next((c.floors for c in cases(record.suite) if c.name == benchmark.case), {})
    held = (hold(record, benchmark, floor) for floor in floors.get(benchmark.dtype, ()))
    return [verdict for verdict in held if verdict is not None]


def hold(record: Record, benchmark: Benchmark, floor: PeerFloor | OwnFloor) -> Verdict | None:
    """Hold a benchmark to one floor; None where that does not speak of it."""
    if isinstance(floor, PeerFloor):
        share = {"v4": 1.0, "v3": floor.avx2}.get(benchmark.isa or "")
        if share is None:
            return None
        other = fastest_peer(record, benchmark, floor.peers, floor.case)
        against = other.contender if other else " or ".join(floor.peers)
        measured = other.median / benchmark.median if other else None
        return Verdict(share * floor.minimum, against, measured)
    dtype = floor.dtype or benchmark.dtype
    wanted = (False, floor.case, floor.threads, dtype, benchmark.isa)
    others = [
        other
        for other in record.benchmarks
        if (other.peer, other.case, other.threads, other.dtype, other.isa) == wanted
    ]
    if benchmark in others:
        return None
    against = f"our {floor.case}{', per cell' if floor.per_cell else ''}"
    if floor.case == benchmark.case:
        against = f"our {floor.dtype}" if floor.dtype else "one thread"
    if not others:
        return Verdict(floor.minimum, against, None)
    other = others[0]
    faster = other.median / benchmark.median
    measured = benchmark.rate / other.rate if floor.per_cell else faster
    return Verdict(floor.minimum, against, measured)


# --- words ---------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Give three significant digits, never an exponent."""
    rounded = float(f"{value:.2e}")
    exponent = math.floor(math.log10(abs(rounded))) if rounded else 2
    return f"{rounded:.{max(0, 2 - exponent)}f}"


def duration(seconds: float) -> str:
    """Give three significant digits in the unit that suits."""
    unit, name = next(
        pair for pair in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (0, "µs")) if seconds >= pair[0]
    )
    return f"{number(seconds / (unit or 1e-6))} {name}"


def name_of(peer: Benchmark) -> str:
    """Name a peer as its users know it."""
    name = re.sub(r"(-\dthreads)?-f\d\d$", "", peer.contender)
    return f"lapx ({name})" if name.startswith("lapj") else name


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Lay out a table whose first ``left`` columns are text."""
    rule = ("---",) * left + ("---:",) * (len(header) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)) + "\n"


def machine(record: Record) -> str:
    """Say on what, and when, the figures were measured."""
    isa = ISA_NAMES.get(record.machine["isa"], record.machine["isa"])
    return f"{record.machine['cpu']} ({record.machine['cpus']} CPUs, {isa}), {record.date}"


# --- tables --------------------------------------------------------------------------------------


def table(record: Record, benchmarks: Sequence[Benchmark]) -> str:
    """Give benchmarks, with their ratio to the fastest peer and their floors."""
    header = ("case", "contender", "floor", "median", "Gcells/s", "fastest peer", "times faster")
    rows = []
    for benchmark in benchmarks:
        peer = None if benchmark.peer else fastest_peer(record, benchmark)
        ratio = number(peer.median / benchmark.median) if peer else ""
        rows.append(
            (
                benchmark.case,
                benchmark.contender,
                "; ".join(map(str, verdicts(record, benchmark))),
                duration(benchmark.median),
                number(benchmark.rate / 1e9),
                f"{peer.contender}, {duration(peer.median)}" if peer else "",
                ratio,
            )
        )
    versions = ", ".join(f"{name} {version}" for name, version in record.packages.items())
    python = record.machine["python"]
    return f"{markdown(header, rows, 3)}\n{machine(record)}; Python {python}, {versions}.\n"


def readme_rows(records: dict[str, Record]) -> list[tuple[str, Benchmark, Benchmark]]:
    """Give the rows of the README: the words, ours, and the fastest peer."""
    rows = []
    for line in README_ROWS.strip().splitlines():
        suite, case, contender, words = line.split(" | ")
        record = records[suite]
        (own,) = (b for b in record.own() if b.case == case and b.contender.startswith(contender))
        peer = fastest_peer(record, own)
        assert peer is not None, f"{case} has no peer"
        rows.append((words, own, peer))
    return rows


def readme_table(records: dict[str, Record]) -> str:
    """Give the README's table."""
    rows = [
        (
            words,
            name_of(peer),
            duration(own.median),
            duration(peer.median),
            number(peer.median / own.median),
        )
        for words, own, peer in readme_rows(records)
    ]
    header = ("work", "fastest other library", "coalign", "the other", "times faster")
    suites = list(dict.fromkeys(line.split(" | ")[0] for line in README_ROWS.strip().splitlines()))
    measured = "; ".join(
        f"{', '.join(s for s in suites if machine(records[s]) == where)} on {where}"
        for where in dict.fromkeys(machine(records[suite]) for suite in suites)
    )
    return f"{markdown(header, rows, 2)}\nMeasured: {measured}.\n"


def chart(records: dict[str, Record]) -> str:
    """Draw the README's ratios."""
    rows = [
        (words, peer.median / own.median, f"{number(peer.median / own.median)} × {name_of(peer)}")
        for words, own, peer in readme_rows(records)
    ]
    return plot.bars("How many times as fast as the fastest other library (logarithmic)", rows)


# --- the census ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A case of the census with what was measured: coalign and the fastest peer."""

    case: Any
    own: Benchmark
    peer: Benchmark

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer coalign is."""
        return self.peer.median / self.own.median

    @property
    def missed(self) -> bool:
        """Whether that is below the floor of the case."""
        (floor,) = self.case.floors[self.own.dtype]
        return self.ratio < floor.minimum


def comparisons(record: Record) -> list[Comparison]:
    """Give the cases of a census, from the worst."""
    by_name = {case.name: case for case in cases(record.suite)}
    peers = {b.case: b for b in record.benchmarks if b.peer}
    found = [Comparison(by_name[b.case], b, peers[b.case]) for b in record.own() if b.case in peers]
    return sorted(found, key=lambda one: one.ratio)


def census(record: Record) -> str:
    """Give the least ratio of each family, at each size or of all, and the medians."""
    found, suite = comparisons(record), listed(record.suite)

    def least(among: list[Comparison]) -> str:
        if not among:
            return ""
        figure = number(among[0].ratio)
        return f"**{figure}**" if any(one.missed for one in among) else figure

    header = [suite.ROWS]
    rows = [[family] for family in dict.fromkeys(case.family for case in suite.SUITE.cases)]
    for group in suite.GROUPS:
        members = [one for one in found if one.case.group == group.name]
        sizes = sorted({one.case.size for one in members}) if group.by_size else []
        header += [*(map(str, sizes) if group.by_size else [group.name]), "median"]
        for row in rows:
            among = [one for one in members if one.case.family == row[0]]
            if group.by_size:
                row += [least([one for one in among if one.case.size == size]) for size in sizes]
            else:
                row.append(least(among))
            row.append(middle(among))
    return f"{markdown(header, rows, 1)}\n{summary(record)}\n"


def middle(among: list[Comparison]) -> str:
    """Give the median ratio of some cases."""
    return number(statistics.median(one.ratio for one in among)) if among else ""


def summary(record: Record) -> str:
    """Say how a census came out as a whole, and who was left out of it."""
    found = comparisons(record)
    medians = []
    for group in listed(record.suite).GROUPS:
        among = [one for one in found if one.case.group == group.name]
        medians.append(
            f"{len(among)} {'' if medians else 'cases '}of {group.words}: "
            f"median {middle(among)}, floor {number(group.median)}. "
        )
    alone = len(record.own()) - len(found)
    wrong = "; ".join(f"{peer} in {len(where)}" for peer, where in sorted(record.wrong.items()))
    return (
        f"{''.join(medians)}"
        f"In {sum(one.ratio < 1 for one in found)} coalign is slower than the fastest library, "
        f"{sum(one.missed for one in found)} are below the floor of their case. "
        f"{f'Left out for a wrong answer: {wrong}. ' if wrong else ''}"
        f"{f'No library gave a right answer to {alone} more. ' if alone else ''}"
        f"Measured on {machine(record)}."
    )


def worst(record: Record, count: int = 5) -> str:
    """Give the cases in which coalign does worst beside the fastest peer."""
    rows = [
        (
            one.case.name,
            name_of(one.peer),
            duration(one.own.median),
            duration(one.peer.median),
            f"**{number(one.ratio)}**" if one.missed else number(one.ratio),
        )
        for one in comparisons(record)[:count]
    ]
    header = ("work", "fastest other library", "coalign", "the other", "times faster")
    return markdown(header, rows, 2)


# --- documents -----------------------------------------------------------------------------------


def between(text: str, name: str, content: str) -> str:
    """Put content between a document's markers."""
    begin, end = (f"<!-- bench:{name} {word} -->\n" for word in ("begin", "end"))
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"expected the markers {begin}and {end}in this order")
    return f"{before}{begin}{content}{end}{after}"


def documents(root: Path = ROOT) -> dict[Path, str]:
    """Give what every document that shows figures should hold, from the committed records."""
    results = root / "bench" / "results"
    records = {suite: load(results / f"{suite}.json") for suite in SUITES}
    readme, full = root / "README.md", root / "docs" / "benchmarks.md"
    text = full.read_text(encoding="utf-8")
    for suite, record in records.items():
        text = between(text, suite, table(record, record.own()))
    scaling, count = (load(results / f"{suite}.json") for suite in ("scaling", "census"))
    title = f"n × n costs in float64, one thread; {machine(scaling)}"
    later = {suite: load(path) for suite in LATER if (path := results / f"{suite}.json").exists()}
    first = between(readme.read_text(encoding="utf-8"), "readme", readme_table(records | later))
    guide = root / "docs" / "assignment.md"
    first = between(first, "census", f"{worst(count)}\n{summary(count)}\n")
    pictures = {}
    for suite in later.keys() & set(TABLES):
        text = between(text, suite, table(later[suite], later[suite].own()))
    if "ctc_scaling" in later:
        pictures = ctc_pictures(later["ctc_scaling"], root)
        text = between(text, "ctc_scaling", CTC_PICTURES)
    if "transport_scaling" in later:
        pictures |= transport_pictures(later["transport_scaling"], root)
        text = between(text, "transport_scaling", TRANSPORT_PICTURES)
    for suite in later.keys() & CENSUSES.keys():
        (name, words), counted = CENSUSES[suite], later[suite]
        path = root / "docs" / name
        pictures[path] = between(path.read_text(encoding="utf-8"), suite, census(counted))
        below = f"{words}\n\n{worst(counted)}\n{summary(counted)}\n"
        first = between(first, suite, below)
    return {
        readme: first,
        full: text,
        **pictures,
        guide: between(guide.read_text(encoding="utf-8"), "census", census(count)),
        root / "docs" / "benchmarks.svg": chart(records | later),
        root / "docs" / "assignment-scaling.svg": plot.curves(
            title, plot.scaling(scaling.benchmarks)
        ),
    }


def ctc_pictures(record: Record, root: Path) -> dict[Path, str]:
    """Draw the time of a frame, and the share of the bandwidth, against the sizes of CTC."""
    where = f"loss and gradient in float32, one thread; {machine(record)}"
    seconds = plot.per_frame(record.benchmarks, listed(record.suite).frames)
    share = plot.bandwidth(record.benchmarks)
    return {
        root / "docs" / "ctc-frames.svg": plot.curves(f"Time of a frame: {where}", seconds),
        root / "docs" / "ctc-bandwidth.svg": plot.curves(
            f"Speed beside a copy of the scores: {where}", share, plot.percent_in_words
        ),
    }


def transport_pictures(record: Record, root: Path) -> dict[Path, str]:
    """Draw iterations and time of transport, against the greatest cost over epsilon, and size."""
    where = f"coalign on one thread; {machine(record)}"
    sought = [b for b in record.benchmarks if b.case.startswith("to ")]
    fixed = [b for b in record.benchmarks if b not in sought]
    error = "to an error of 1e-4 against max C / epsilon"
    return {
        root / "docs" / "transport-iterations.svg": plot.curves(
            f"Iterations {error}; {machine(record)}", plot.iterations(sought), plot.number_of_tens
        ),
        root / "docs" / "transport-epsilon.svg": plot.curves(
            f"Time {error}: {where}", plot.scaling(sought)
        ),
        root / "docs" / "transport-size.svg": plot.curves(
            f"Time of 20 iterations in float32: {where}", plot.scaling(fixed)
        ),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Records and tables from a benchmark run.")
    parser.add_argument("run", type=Path, nargs="?", help="a record, or pytest-benchmark's JSON")
    parser.add_argument("--record", type=Path, metavar="OUT", help="write the record")
    parser.add_argument("--documents", action="store_true", help="bring the documents up to date")
    options = parser.parse_args(arguments)
    if options.run is None and not options.documents:
        parser.error("name a run, or say --documents")
    if options.run is not None:
        record = load(options.run)
        if options.record is not None:
            options.record.write_text(record.text(), encoding="utf-8")
        elif record.suite.endswith("census"):
            slower = sum(one.missed or one.ratio < 1 for one in comparisons(record))
            print(f"{census(record)}\n{worst(record, slower)}", end="")
        else:
            by_case = sorted(record.benchmarks, key=lambda b: b.peer)
            order = list(dict.fromkeys(b.case for b in record.benchmarks))
            print(table(record, sorted(by_case, key=lambda b: order.index(b.case))), end="")
    if options.documents:
        for path, text in documents().items():
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
