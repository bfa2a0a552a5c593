"""A contest of one suite: who solves what, how often it is timed, whose answer it is held to.

Each case is a group, and each contender of a group solves the same instances: round k has the data
of seed k, made and converted to the contender's layout outside the timing. Before it is timed, a
contender solves a small instance of the same kind, which compiles what it compiles at first use and
tells how many rounds it gets.

COALIGN_BENCH_SMALL=1 times the small instances instead, one round each: to see that every contender
works and agrees with the others, not to measure.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coalign import _execution

SHORT = {"float64": "f64", "float32": "f32"}

# A peer slower than this gets one round; others share the budget.
SINGLE_ROUND_SECONDS = 2.0
BUDGET_SECONDS = 2.0
ROUNDS = (5, 20)

ONLY_SMALL = os.environ.get("COALIGN_BENCH_SMALL") == "1"


@dataclass(frozen=True)
class Problem:
    """A family of instances, one per seed.

    Attributes
    ----------
    make : callable
        ``make(seed, **size)`` gives an instance.
    full, small : tuple of (str, int)
        The size that is timed, and one for compiling and for the estimate of the time.
    """

    make: Callable[..., Any]
    full: tuple[tuple[str, int], ...]
    small: tuple[tuple[str, int], ...]

    def instance(self, seed: int, *, small: bool = False) -> Any:
        """Make the instance of one round."""
        return self.make(seed, **dict(self.small if small or ONLY_SMALL else self.full))


@dataclass(frozen=True)
class Contender:
    """One way to solve a problem.

    Attributes
    ----------
    name : str
        Unique within the group.
    dtype : {"float32", "float64"}
        What the data are given as.
    prepare : callable
        Converts an instance to the contender's layout; not timed.
    solve : callable
        The timed call.
    costs : callable
        ``costs(prepared, result)`` gives what contenders must agree on; not timed.
    isa : str or None
        The instruction set that coalign is held to; None for a peer.
    threads : int
        How many threads it may use.
    verify : callable or None
        ``verify(prepared, result)`` asserts what else the result holds; not timed.
    """

    name: str
    dtype: str
    prepare: Callable[[Any], Any]
    solve: Callable[[Any], Any]
    costs: Callable[[Any, Any], NDArray[np.float64]]
    isa: str | None = None
    threads: int = 1
    verify: Callable[[Any, Any], None] | None = None

    @property
    def peer(self) -> bool:
        """Tell whether this is somebody else's library."""
        return self.isa is None


@dataclass(frozen=True)
class Case:
    """A benchmark group."""

    name: str
    problem: Any
    contenders: tuple[Contender, ...] = field(repr=False)


@dataclass(frozen=True)
class Suite:
    """The cases of one operation, and how they are judged.

    Attributes
    ----------
    name : str
        Names the record and the README's markers.
    cases : sequence of Case
        In the order they run.
    cells : callable
        ``cells(problem, instance)`` counts what the rate is of.
    judge : callable
        ``judge(problem, peer)`` gives the contender in float64 whose answers to a problem the
        others' are held to: a peer for coalign, coalign for a peer.
    growth : callable
        ``growth(problem)`` is the power of the number of cells with which the time grows.
    """

    name: str
    cases: Sequence[Case]
    cells: Callable[[Any, Any], int]
    judge: Callable[[Any, bool], Contender]
    growth: Callable[[Any], float] = lambda problem: 1.0
    # Costs of seed 0 in float64, by problem and by whether a peer gave them.
    _answers: dict[tuple[Any, bool], NDArray[np.float64]] = field(default_factory=dict)
    # The instance of seed 0 of the problem at hand; a large one takes longer to make than to solve.
    _instance: dict[Any, Any] = field(default_factory=dict)

    def parameters(self) -> list[Any]:
        """Give pytest every contender of every case."""
        return [
            pytest.param(case, contender, id=f"{case.name}-{contender.name}")
            for case in self.cases
            for contender in case.contenders
        ]

    def compete(
        self, case: Case, contender: Contender, benchmark: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Time one contender on fresh data each round; give its costs and another's."""
        problem = case.problem
        if contender.threads > len(os.sched_getaffinity(0)):
            pytest.skip("needs as many CPUs as threads")

        benchmark.group = case.name
        benchmark.extra_info.update(
            suite=self.name,
            case=case.name,
            contender=contender.name,
            peer=contender.peer,
            dtype=contender.dtype,
            isa=contender.isa,
            threads=contender.threads,
            cells=self.cells(problem, self._first(problem)),
        )
        if contender.isa is None:
            costs = self._time(problem, contender, benchmark)
        else:
            with _execution.forced(contender.isa):
                assert _execution.selected() == contender.isa
                costs = self._time(problem, contender, benchmark)
        if contender.peer and contender.dtype == "float64":
            self._answers.setdefault((problem, True), costs)
        return costs, self._expected(problem, contender)

    def _time(self, problem: Any, contender: Contender, benchmark: Any) -> NDArray[np.float64]:
        """Time the rounds and give the costs of seed 0."""
        rounds = self._rounds(problem, contender)
        # One full-size call outside the timing warms the caches and gives the answer; a slow
        # peer's single timed round, whose seed is 0 as well, serves instead.
        warm = None if rounds == 1 else contender.solve(contender.prepare(self._first(problem)))
        seeds = itertools.count()
        timed = benchmark.pedantic(
            contender.solve,
            setup=lambda: ((contender.prepare(problem.instance(next(seeds))),), {}),
            rounds=rounds,
        )
        prepared = contender.prepare(self._first(problem))
        result = timed if warm is None else warm
        if contender.verify is not None:
            contender.verify(prepared, result)
        return contender.costs(prepared, result)

    def _first(self, problem: Any) -> Any:
        """Give the instance of seed 0."""
        if problem not in self._instance:
            self._instance.clear()
            self._instance[problem] = problem.instance(0)
        return self._instance[problem]

    def _rounds(self, problem: Any, contender: Contender) -> int:
        """Compile on a small instance, time a second one, and give the full size's rounds."""
        contender.solve(contender.prepare(problem.instance(0, small=True)))
        if ONLY_SMALL:
            return 1
        small = problem.instance(1, small=True)
        prepared = contender.prepare(small)
        start = time.perf_counter()
        contender.solve(prepared)
        elapsed = time.perf_counter() - start
        larger = self.cells(problem, self._first(problem)) / self.cells(problem, small)
        estimate = elapsed * larger ** self.growth(problem)
        if contender.peer and estimate > SINGLE_ROUND_SECONDS:
            return 1
        fewest, most = ROUNDS
        return min(most, max(fewest, int(BUDGET_SECONDS / estimate)))

    def _expected(self, problem: Any, contender: Contender) -> NDArray[np.float64]:
        """Give somebody else's answer for seed 0: a peer's for coalign, coalign's for a peer."""
        by_peer = not contender.peer
        if (problem, by_peer) not in self._answers:
            judge = self.judge(problem, by_peer)
            prepared = judge.prepare(self._first(problem))
            self._answers[problem, by_peer] = judge.costs(prepared, judge.solve(prepared))
        return self._answers[problem, by_peer]


def timed_instruction_sets() -> tuple[str, ...]:
    """Give the sets worth a row: the portable baseline only where the CPU has nothing better."""
    available = tuple(_execution.available())
    return tuple(isa for isa in available if isa != "v2") or available


def coalign_name(dtype: str, isa: str, threads: int = 1) -> str:
    """Name a contender of ours."""
    suffix = "" if threads == 1 else f"-{threads}threads"
    return f"coalign-{SHORT[dtype]}-{isa}{suffix}"


def ours(make: Callable[[str, str], Contender]) -> tuple[Contender, ...]:
    """Give coalign in both dtypes with every instruction set worth timing."""
    return tuple(make(dtype, isa) for isa in timed_instruction_sets() for dtype in SHORT)
