"""Time the cases of the census, every contender beside the others in one process.

    python bench/census.py census bench/latest-census.json       # the record
    python bench/census.py census run.json --families "coin flips" "constant"
    python bench/census.py ctc_census bench/latest-ctc_census.json

Thousands of measurements in ten minutes allow no calibration for each, and only the fastest peer
counts. So a case goes like this. Every contender first solves each instance of the case once or
more, untimed for the record: that warms it up, its answers are held to the judge's, and it tells
who is fast. The judge is the case's own, who is not timed, or else the first peer. A peer whose
answer is off is out, and the record names it. Then coalign and the peers that took less than NEAR
times the fastest peer's time take turns, round by round, over the same data. A round is enough
passes over the instances to last ROUND seconds, or one instance, the next one each round, where
that alone takes longer; there is only one where the first peer needs more than PATIENCE seconds. A
contender's time is the median of its rounds: many short ones for short calls, since what disturbs
them comes and goes within milliseconds.

A peer that needed more than HOPELESS times the fastest peer's time for a family leaves its next
size if it would take more than PATIENCE seconds there; a peer that judges stays, for its answers.
"""

from __future__ import annotations

# First of all, as it sets the variables that NumPy and the peers read once, when they are loaded.
import environment  # isort: skip

import argparse
import datetime
import faulthandler
import gc
import importlib
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
from contest import ONLY_SMALL, Contender, Counted, Suite

NEAR = 1.5
HOPELESS, PATIENCE = 4.0, 0.2
ROUND = 1e-3
ROUNDS, ROUNDS_OF_SHORT, ROUNDS_OF_LONG = 7, 25, 3
# More instances of a case whose calls are short, as one that is solved again and again teaches the
# processor its branches.
INSTANCES_OF_SMALL, SMALL = 16, 5_000
# A case that takes longer hangs: the run ends and says where.
HANGS = 120.0


@dataclass
class Runner:
    """One contender of a case: its call, its seconds a call, and the times of its rounds."""

    contender: Contender
    solve: Callable[[Any], Any]
    instances: Sequence[Any]
    seconds: float = 0.0
    rounds: list[float] = field(default_factory=list)

    def timed(self, passes: int, at: int | None = None) -> float:
        """Solve all instances, or the one `at`, so often, and give the seconds of one call."""
        solve, clock = self.solve, time.perf_counter
        chosen = self.instances if at is None else [self.instances[at % len(self.instances)]]
        began = clock()
        for _ in range(passes):
            for instance in chosen:
                solve(instance)
        return (clock() - began) / (passes * len(chosen))

    def try_out(self, known: Any, rtol: float, longest: float) -> Any:
        """Solve each instance, hold the answers to those known, and see how long a call takes.

        If the first call takes longer than `longest`, it is the only one.
        """
        clock = time.perf_counter
        sums, times = [], []
        for at, instance in enumerate(self.instances):
            began = clock()
            found = self.solve(instance)
            times.append(clock() - began)
            sums.append(self.contender.costs(instance, found))
            if known is not None and not agree(sums[-1], known[at], rtol):
                raise AssertionError(differences(sums[-1], known[at]))
            if times[0] > longest:
                break
        # The first call finds nothing in the caches.
        self.seconds = min(times)
        if self.seconds < ROUND / 2:
            self.seconds = self.timed(1)
        return sums


def agree(found: Any, known: Any, rtol: float) -> bool:
    """Say whether answers are the same, to the size of what each is made of."""
    if found.shape != known.shape:
        return False
    same = found[:, 0] == known[:, 0]
    with np.errstate(invalid="ignore"):
        return bool(np.all(same | (np.abs(found[:, 0] - known[:, 0]) <= rtol * known[:, 1])))


def differences(found: Any, known: Any, count: int = 3) -> str:
    """Say which answers differ most, for their sizes."""
    if found.shape != known.shape:
        return f"{len(found)} answers for {len(known)}"
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(found[:, 0] - known[:, 0]) / known[:, 1]
    off = np.where(found[:, 0] == known[:, 0], 0, np.nan_to_num(off, nan=np.inf))
    worst = np.argsort(-off, kind="stable")[:count]
    return f"{found[worst, 0].tolist()} for {known[worst, 0].tolist()}"


@dataclass
class Census:
    """The run: what was measured, who was wrong where, and who left."""

    suite: Suite
    benchmarks: list[report.Benchmark] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    # Seconds a cell by contender, by what cases have in common that differ in size.
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
        problem = case.problem
        first = problem.data(0, own.dtype, small=ONLY_SMALL)
        cells = problem.cells(first)
        count = 1 if ONLY_SMALL else INSTANCES_OF_SMALL if cells <= SMALL else case.instances
        data = [first, *(problem.data(seed, own.dtype) for seed in range(1, count))]

        def runner_of(contender: Contender) -> Runner:
            return Runner(contender, contender.load(), [contender.prepare(one) for one in data])

        mine, others = runner_of(own), []
        if case.judge:
            known = runner_of(case.judge).try_out(None, 0.0, math.inf)
        else:
            others.append(runner_of(peers.pop(0)))
            known = others[0].try_out(None, 0.0, PATIENCE)
            for runner in (mine, *others):
                runner.instances = runner.instances[: len(known)]
            data = data[: len(known)]
        mine.try_out(known, self.suite.allowed(own), math.inf)
        for peer in peers:
            if self.hopeless(case.kind, peer.name, cells):
                continue
            runner = runner_of(peer)
            least = min((other.seconds for other in others), default=math.inf)
            try:
                runner.try_out(known, self.suite.allowed(peer), max(ROUND, HOPELESS * least))
            except (AssertionError, ValueError) as error:
                self.wrong.setdefault(peer.name, []).append(case.name)
                print(f"  {case.name}: {peer.name}: {error!r:.100}")
                continue
            others.append(runner)
        fastest = min((other.seconds for other in others), default=math.inf)
        pace = {runner.contender.name: runner.seconds / cells for runner in others}
        self.paces[case.kind] = {**self.paces.get(case.kind, {}), **pace}
        near = [runner for runner in others if runner.seconds <= NEAR * fastest]
        compete([mine, *near])
        near.sort(key=lambda runner: statistics.median(runner.rounds))
        for runner in (mine, *near[:1]):
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


def compete(runners: Sequence[Runner]) -> None:
    """Let contenders take turns; each round begins with another one."""
    slowest, count = max(runner.seconds for runner in runners), len(runners[0].instances)
    short = slowest * count < ROUND
    rounds = ROUNDS_OF_SHORT if short else ROUNDS_OF_LONG if slowest > PATIENCE else ROUNDS
    for at in range(1 if ONLY_SMALL else rounds):
        turn = at % len(runners)
        for runner in (*runners[turn:], *runners[:turn]):
            calls = runner.seconds * (count if short else 1)
            passes = 1 if ONLY_SMALL else max(1, round(ROUND / calls))
            runner.rounds.append(runner.timed(passes, None if short else at))


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
    parser.add_argument("suite", help="the list of cases, as in cases_<suite>.py")
    parser.add_argument("out", type=Path, help="write the record")
    parser.add_argument("--families", nargs="+", help="only these")
    options = parser.parse_args(arguments)
    suite: Suite = importlib.import_module(f"cases_{options.suite}").SUITE
    census, began = Census(suite), time.monotonic()
    family, count = None, 0
    gc.disable()
    for case in suite.cases:
        assert isinstance(case, Counted)
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
        count += 1
        faulthandler.cancel_dump_traceback_later()
    record = report.Record(
        suite.name,
        datetime.date.today().isoformat(),
        machine(),
        environment.versions(),
        tuple(census.benchmarks),
        census.wrong,
    )
    options.out.write_text(record.text(), encoding="utf-8")
    print(f"{count} cases in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
