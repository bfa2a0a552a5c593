"""Time the cases of the census, every contender beside the others in one process.

    python bench/census.py bench/latest-census.json       # the record
    python bench/census.py run.json --families "coin flips" "constant"

Thousands of measurements in ten minutes allow no calibration for each, and only the fastest peer
counts. So a case goes like this. Every contender first solves each instance of the case once or
more, untimed for the record: that warms it up, its answers are held to SciPy's, and it tells who
is fast. A peer whose answer is off is out, and the record names it. Then coalign and the peers that
took less than NEAR times the fastest peer's time take turns, round by round, over the same arrays.
A round is enough passes over the instances to last ROUND seconds, or one instance, the next one
each round, where that alone takes longer; there is only one where SciPy needs more than PATIENCE
seconds. A contender's time is the median of its rounds: many short ones for short calls, since what
disturbs them comes and goes within milliseconds.

A peer that needed more than HOPELESS times the fastest peer's time for a family leaves its next
size if it would take more than PATIENCE seconds there; SciPy stays, for its answers.
"""

from __future__ import annotations

# First of all, as it sets the variables that NumPy and the peers read once, when they are loaded.
import environment  # isort: skip

import argparse
import datetime
import faulthandler
import gc
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import report
from cases_census import SUITE, Counted
from contest import ONLY_SMALL, Contender

NEAR = 1.5
HOPELESS, PATIENCE = 4.0, 0.2
ROUND = 1e-3
ROUNDS, ROUNDS_OF_SHORT, ROUNDS_OF_LONG = 7, 25, 3
# So many instances of a case; more of those whose calls are short, as one that is solved again and
# again teaches the processor its branches.
INSTANCES, INSTANCES_OF_SMALL, SMALL = 3, 16, 5_000
# A case that takes longer hangs: the run ends and says where.
HANGS = 120.0


@dataclass
class Runner:
    """One contender of a case: its call, its seconds a call, and the times of its rounds."""

    contender: Contender
    solve: Callable[[Any], Any]
    seconds: float = 0.0
    rounds: list[float] = field(default_factory=list)

    def timed(self, instances: Sequence[Any], passes: int) -> float:
        """Solve the instances so many times over, and give the seconds of one call."""
        solve, clock = self.solve, time.perf_counter
        began = clock()
        for _ in range(passes):
            for instance in instances:
                solve(instance)
        return (clock() - began) / (passes * len(instances))

    def try_out(self, instances: Sequence[Any], known: Any, rtol: float, longest: float) -> Any:
        """Solve each instance, hold the answers to those known, and see how long a call takes.

        If the first call takes longer than `longest`, it is the only one.
        """
        clock = time.perf_counter
        sums, times = [], []
        for at, instance in enumerate(instances):
            began = clock()
            found = self.solve(instance)
            times.append(clock() - began)
            sums.append(self.contender.costs(instance, found))
            if known is not None and not agree(sums[-1], known[at], rtol):
                raise AssertionError(f"{sums[-1][:, 0].tolist()} for {known[at][:, 0].tolist()}")
            if times[0] > longest:
                break
        # The first call finds nothing in the caches.
        self.seconds = min(times)
        if self.seconds < ROUND / 2:
            self.seconds = self.timed(instances, 1)
        return sums


def agree(found: Any, known: Any, rtol: float) -> bool:
    """Say whether totals are the same, to what their pairs' costs allow."""
    return bool(np.all(np.abs(found[:, 0] - known[:, 0]) <= rtol * known[:, 1]))


@dataclass
class Census:
    """The run: what was measured, who was wrong where, and who left."""

    benchmarks: list[report.Benchmark] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    # Seconds a cell by contender, and the fastest peer's, by family, dtype, shape and batch.
    paces: dict[Any, dict[str, float]] = field(default_factory=dict)

    def hopeless(self, key: Any, name: str, cells: int) -> bool:
        """Say whether a peer would take long and gain nothing."""
        pace = self.paces.get(key, {})
        if name not in pace:
            return False
        return pace[name] > HOPELESS * min(pace.values()) and pace[name] * cells > PATIENCE

    def measure(self, case: Counted) -> None:
        """Time a case and add what came of it."""
        *peers, own = case.contenders
        rtol, problem = SUITE.tolerance[own.dtype], case.problem
        first = problem.data(0, own.dtype, small=ONLY_SMALL)
        cells = problem.cells(first)
        count = 1 if ONLY_SMALL else INSTANCES_OF_SMALL if cells <= SMALL else INSTANCES
        data = [first, *(problem.data(seed, own.dtype) for seed in range(1, count))]
        instances = [own.prepare(one) for one in data]
        rows, columns = first["cost"].shape[-2:]
        key = (case.family, own.dtype, case.batch, rows / columns)

        mine, scipy = Runner(own, own.load()), Runner(peers[0], peers[0].load())
        # SciPy is the first peer, and its answers are those that the others are held to.
        known = scipy.try_out(instances, None, rtol, PATIENCE)
        instances = instances[: len(known)]
        mine.try_out(instances, known, rtol, math.inf)
        others = [scipy]
        for peer in peers[1:]:
            if self.hopeless(key, peer.name, cells):
                continue
            runner = Runner(peer, peer.load())
            longest = max(ROUND, HOPELESS * min(other.seconds for other in others))
            try:
                runner.try_out(instances, known, rtol, longest)
            except (AssertionError, ValueError) as error:
                self.wrong.setdefault(peer.name, []).append(case.name)
                print(f"  {case.name}: {peer.name}: {error!r:.100}")
                continue
            others.append(runner)
        fastest = min(other.seconds for other in others)
        pace = {runner.contender.name: runner.seconds / cells for runner in others}
        self.paces[key] = {**self.paces.get(key, {}), **pace}
        near = [runner for runner in others if runner.seconds <= NEAR * fastest]
        compete([mine, *near], instances)
        for runner in (mine, min(near, key=lambda runner: statistics.median(runner.rounds))):
            who = runner.contender
            self.benchmarks.append(
                report.Benchmark(
                    case=case.name,
                    contender=who.name,
                    peer=who is not own,
                    dtype=who.dtype,
                    isa=who.isa,
                    threads=who.threads,
                    cells=cells,
                    median=float(f"{statistics.median(runner.rounds):.4g}"),
                    rounds=len(runner.rounds),
                )
            )


def compete(runners: Sequence[Runner], instances: Sequence[Any]) -> None:
    """Let contenders take turns; each round begins with another one."""
    slowest = max(runner.seconds for runner in runners)
    short = slowest * len(instances) < ROUND
    rounds = ROUNDS_OF_SHORT if short else ROUNDS_OF_LONG if slowest > PATIENCE else ROUNDS
    for at in range(1 if ONLY_SMALL else rounds):
        chosen = instances if short else [instances[at % len(instances)]]
        turn = at % len(runners)
        for runner in (*runners[turn:], *runners[:turn]):
            passes = 1 if ONLY_SMALL else round(ROUND / (runner.seconds * len(chosen)))
            runner.rounds.append(runner.timed(chosen, max(1, passes)))


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    from cpuinfo import get_cpu_info

    from coalign import _execution

    cpu = get_cpu_info()
    return {
        "cpu": cpu.get("brand_raw", "unknown"),
        "cpus": cpu.get("count"),
        "isa": _execution.selected(),
        "python": platform.python_version(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the census and write its record."""
    parser = argparse.ArgumentParser(description="Time the cases of the census.")
    parser.add_argument("out", type=Path, help="write the record")
    parser.add_argument("--families", nargs="+", help="only these")
    options = parser.parse_args(arguments)
    census, began = Census(), time.monotonic()
    family = None
    gc.disable()
    for case in SUITE.cases:
        if options.families and case.family not in options.families:
            continue
        if case.family != family:
            family = case.family
            print(f"{time.monotonic() - began:4.0f} s: {family}", flush=True)
            gc.collect()
        faulthandler.dump_traceback_later(HANGS, exit=True)
        try:
            census.measure(case)
        except AssertionError:
            print(f"a wrong answer to {case.name}")
            raise
        faulthandler.cancel_dump_traceback_later()
    record = report.Record(
        SUITE.name,
        datetime.date.today().isoformat(),
        machine(),
        environment.versions(),
        tuple(census.benchmarks),
        census.wrong,
    )
    options.out.write_text(record.text(), encoding="utf-8")
    print(f"{len(census.benchmarks) // 2} cases in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
