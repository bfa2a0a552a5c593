"""Time against size for the main families of assignment problems: measured to a record, then drawn.

    python bench/plot_assignment.py scaling.json --measure
    python bench/plot_assignment.py scaling.json --svg scaling.svg

Contenders take turns on the same instances, on one thread in float64, and have to agree on the
total. A contender leaves a family where a size would take longer than LIMIT, so the whole takes
less than five minutes. COALIGN_BENCH_SMALL=1 measures small sizes once, to see that it works.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import instances

SCHEMA = 1

# Seconds of one run.
LIMIT = 4.0
# Of the totals, relative: what coalign promises in float64, and the others keep as well.
TOLERANCE = 1e-12

SIZES = (64, 128, 256, 512, 1000, 2000, 4000)
SMALL_SIZES = (16, 32)

Costs: TypeAlias = NDArray[np.float64]
Family: TypeAlias = Callable[[int, int], Costs]
Solve: TypeAlias = Callable[[Costs], NDArray[np.int64]]
# family, contender, n, seconds, rounds
Time: TypeAlias = dict[str, Any]

FAMILIES: dict[str, Family] = {
    "uniform": lambda seed, n: instances.uniform(seed, n, n),
    "geometric": instances.geometric,
    "low rank 4": instances.low_rank,
    "integers 0..99": instances.integers,
    "a + b + U": instances.offsets,
    "Machol–Wien": instances.machol_wien,
}


# --- contenders: costs in, the column of each row out --------------------------------------------


def coalign(costs: Costs) -> NDArray[np.int64]:
    """Solve with coalign."""
    import coalign

    columns: NDArray[np.int64] = coalign.assign(costs, threads=1).col_of_row
    return columns


def scipy(costs: Costs) -> NDArray[np.int64]:
    """Solve with SciPy."""
    from scipy.optimize import linear_sum_assignment

    columns: NDArray[np.int64] = linear_sum_assignment(costs)[1]
    return columns


def lapx(costs: Costs) -> NDArray[np.int64]:
    """Solve with the fastest of lapx's functions for a square matrix."""
    import lap

    columns: NDArray[np.int64] = lap.lapjvr(costs, return_cost=False)[1]
    return columns


CONTENDERS: dict[str, Solve] = {"coalign": coalign, "SciPy": scipy, "lapx (lapjvr)": lapx}
DISTRIBUTIONS = ("coalign", "numpy", "scipy", "lapx")


# --- the measurement -----------------------------------------------------------------------------


def rounds_of(n: int) -> int:
    """Give how many instances of a size are solved."""
    return 9 if n <= 256 else 5 if n <= 1000 else 3


def measure(
    families: dict[str, Family],
    contenders: dict[str, Solve],
    sizes: Sequence[int],
    rounds: Callable[[int], int] = rounds_of,
    limit: float = LIMIT,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Time]:
    """Time every contender on every family, at the sizes that it gets through in time."""
    for solve in contenders.values():
        solve(instances.uniform(0, 16, 16))
    times = []
    for family, make in families.items():
        racing = dict(contenders)
        for k, n in enumerate(sizes):
            seconds = race(make, racing, n, rounds(n), limit, clock)
            print(f"{family}, n = {n}: {', '.join(racing)}", flush=True)
            for name, taken in seconds.items():
                median = statistics.median(taken)
                times.append(
                    {
                        "family": family,
                        "contender": name,
                        "n": n,
                        "seconds": float(f"{median:.4g}"),
                        "rounds": len(taken),
                    }
                )
                # Time grows at least as the number of costs does.
                growth = (sizes[k + 1] / n) ** 2 if k + 1 < len(sizes) else 1
                if max(taken) > limit or median * growth > limit:
                    del racing[name]
    return times


def race(
    make: Family,
    contenders: dict[str, Solve],
    n: int,
    rounds: int,
    limit: float,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    """Time contenders in turns, on a new instance each round, until one exceeds the limit."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for seed in range(rounds):
        costs = make(seed, n)
        totals = {}
        turns = [name for name in contenders if max(seconds[name], default=0.0) <= limit]
        for name in turns if seed % 2 == 0 else reversed(turns):
            start = clock()
            columns = contenders[name](costs)
            seconds[name].append(clock() - start)
            totals[name] = total(costs, columns)
        require_agreement(totals)
    return seconds


def total(costs: Costs, columns: NDArray[np.int64]) -> float:
    """Sum the costs over the pairs; refuse what is no matching of all rows."""
    if not np.array_equal(np.sort(columns), np.arange(len(costs))):
        raise AssertionError("expected a permutation of the columns")
    return math.fsum(costs[np.arange(len(costs)), columns])


def require_agreement(totals: dict[str, float]) -> None:
    """Raise where totals differ by more than roundings do."""
    least = min(totals.values(), default=0.0)
    wrong = {name: sum_ for name, sum_ in totals.items() if sum_ - least > TOLERANCE * abs(least)}
    if wrong:
        raise AssertionError(f"expected the total {least}, got {wrong}")


def record(times: list[Time]) -> dict[str, Any]:
    """Give what is kept of a measurement: nothing in it names a host."""
    import cpuinfo

    from coalign import _execution

    return {
        "schema": SCHEMA,
        "date": datetime.date.today().isoformat(),
        "machine": {
            "cpu": cpuinfo.get_cpu_info().get("brand_raw", "unknown"),
            "cpus": len(os.sched_getaffinity(0)),
            "isa": _execution.selected(),
            "python": platform.python_version(),
        },
        "packages": {name: version(name) for name in DISTRIBUTIONS},
        "times": times,
    }


# --- the picture ---------------------------------------------------------------------------------

COLOURS = ("#0b6fb8", "#c4622d", "#5b8c3e", "#7d5ba6")
MARKERS = ("o", "s", "^", "D")


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw a record, a panel for each family; the same record gives the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    families = unique(entry["family"] for entry in content["times"])
    contenders = unique(entry["contender"] for entry in content["times"])
    sizes = sorted({entry["n"] for entry in content["times"]})
    across = min(3, len(families))
    down = -(-len(families) // across)
    # Text stays text, and identifiers are hashes of what they name.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "coalign"}):
        figure = Figure(figsize=(3 * across, 2.5 * down + 0.7), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for panel in panels.flat[len(families) :]:
            panel.set_visible(False)
        for panel, family in zip(panels.flat, families, strict=False):
            for name, colour, marker in zip(contenders, COLOURS, MARKERS, strict=False):
                points = [
                    (entry["n"], 1e3 * entry["seconds"])
                    for entry in content["times"]
                    if (entry["family"], entry["contender"]) == (family, name)
                ]
                panel.plot(
                    *zip(*points, strict=True) if points else ([], []),
                    color=colour,
                    marker=marker,
                    markersize=3.5,
                    linewidth=2.2 if name == "coalign" else 1.2,
                    label=name,
                )
            panel.set_title(family, fontsize=10)
            dress(panel, sizes)
        for panel in panels[-1]:
            panel.set_xlabel("n", fontsize=9)
        for panel in panels[:, 0]:
            panel.set_ylabel("ms", fontsize=9)
        lines, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(
            lines,
            names,
            loc="outside upper center",
            ncols=len(names),
            frameon=False,
            fontsize=9,
            title=f"n × n costs in float64, one thread; {content['machine']['cpu']}",
            title_fontsize=8,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def dress(panel: Any, sizes: Sequence[int]) -> None:
    """Give a panel its axes: both logarithmic, each size named."""
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(sizes, [str(n) for n in sizes], fontsize=7)
    panel.minorticks_off()
    panel.tick_params(axis="y", labelsize=8)
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def unique(values: Iterable[str]) -> list[str]:
    """Give the different values, in the order they come."""
    return list(dict.fromkeys(values))


# --- command line --------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give the exit status."""
    parser = argparse.ArgumentParser(description="Time against size of assignment problems.")
    parser.add_argument("record", type=Path, help="where the times are, or go")
    parser.add_argument("--measure", action="store_true", help="measure, and write the record")
    parser.add_argument("--svg", type=Path, metavar="OUT", help="draw the record")
    options = parser.parse_args(arguments)
    if not options.measure and options.svg is None:
        parser.error("nothing to do: --measure, --svg OUT, or both")
    if options.measure:
        small = os.environ.get("COALIGN_BENCH_SMALL") == "1"
        sizes, rounds = (SMALL_SIZES, lambda n: 1) if small else (SIZES, rounds_of)
        content = record(measure(FAMILIES, CONTENDERS, sizes, rounds))
        options.record.parent.mkdir(parents=True, exist_ok=True)
        options.record.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.svg is not None:
        draw(json.loads(options.record.read_text(encoding="utf-8")), options.svg)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
