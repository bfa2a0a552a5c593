"""What every suite is made of: problems, who solves them, and cases with their floors.

A suite is a list of cases in `cases_<suite>.py`. Those with contenders are timed on the CPU, by
`test_bench_<suite>.py`; those with `gpu` on a GPU, by `gpu_contest.py`.

On the CPU a case is a group, whose contenders solve the same instances: round k has the data of
seed k, made and converted to the contender's layout outside the timing. Before it is timed, a
contender solves a small instance of the same kind, which compiles what it compiles at first use and
tells how many rounds it gets. COALIGN_BENCH_SMALL=1 times the small instances instead, one round
each: to see that every contender works and agrees with the others, not to measure.
"""

from __future__ import annotations

import abc
import importlib
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
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
SELECTED = _execution.selected()
# The portable baseline is worth a row only where the CPU has nothing better.
TIMED = tuple(isa for isa in _execution.available() if isa != "v2") or ("v2",)

# The arguments of a call, by name.
Data = dict[str, Any]
# Copies from the device to the host.
Get = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Problem(abc.ABC):
    """A family of instances, one for each seed, and what coalign calls on them.

    `make(seed, **size)` gives an instance; of the size that is timed, `full`, or of `small`, which
    is for compiling, for estimates and for memory checkers. `growth` is the power of the number of
    cells with which the time grows.
    """

    make: Callable[..., Any]
    full: Mapping[str, Any]
    small: Mapping[str, Any]
    call: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    growth: float = 1.0

    def instance(self, seed: int, *, small: bool = False) -> Any:
        """Make the instance of one round."""
        return self.make(seed, **(self.small if small else self.full))

    def data(self, seed: int, dtype: str = "float64", *, small: bool = False) -> Data:
        """Make the arguments of the call."""
        return self.arguments(self.instance(seed, small=small), dtype)

    @abc.abstractmethod
    def arguments(self, instance: Any, dtype: str) -> Data:
        """Give what the call takes."""

    @abc.abstractmethod
    def cells(self, data: Data) -> int:
        """Count what the rate is of."""

    def solve(self, data: Data, **options: Any) -> Any:
        """Solve the problems where their data lie."""
        return self.call(**data, **options)

    @abc.abstractmethod
    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give what contenders must agree on."""

    @abc.abstractmethod
    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert what else coalign's result holds."""

    def iterations(self, data: Data, found: Any) -> int | None:
        """Count the iterations of a call, where that is of interest."""
        return None

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose some of the problems, which the CPU solves as well, and say which."""
        raise NotImplementedError("only for problems with cases on a GPU")

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold a GPU's result to what it must be, and to the CPU's; give the largest error."""
        raise NotImplementedError("only for problems with cases on a GPU")


@dataclass(frozen=True)
class Contender:
    """One way to solve a problem, with a name of its own in the case.

    `prepare` converts the arguments to the contender's layout, `load` imports what it takes and
    gives the call that is timed, and `costs(prepared, result)` gives what contenders must agree on.
    `iterations(prepared, result)` says how many were made, where that is of interest. `isa` is the
    instruction set that coalign is held to, and None for a peer.
    """

    name: str
    dtype: str
    load: Callable[[], Callable[..., Any]]
    costs: Callable[[Any, Any], NDArray[np.float64]]
    prepare: Callable[[Data], Any] = lambda data: data
    isa: str | None = None
    threads: int = 1
    iterations: Callable[[Any, Any], int | None] = lambda prepared, found: None


def calling(path: str, use: Callable[[Any], Callable[..., Any]]) -> Callable[[], Any]:
    """Give what imports a function, and gives the call of it that is timed."""
    module, _, name = path.rpartition(".")
    return lambda: use(getattr(importlib.import_module(module), name))


def ours(problem: Problem, dtype: str, isa: str, threads: int = 1) -> Contender:
    """Give coalign as a contender."""
    suffix = "" if threads == 1 else f"-{threads}threads"
    return Contender(
        name=f"coalign-{SHORT[dtype]}-{isa}{suffix}",
        dtype=dtype,
        load=lambda: lambda data: problem.solve(data, threads=threads),
        costs=problem.costs,
        isa=isa,
        threads=threads,
        iterations=problem.iterations,
    )


@dataclass(frozen=True)
class PeerFloor:
    """At least ``minimum`` times as fast as the fastest of ``peers``, in the same case.

    That is with AVX-512; with AVX2 it is a share ``avx2`` of it, and other sets have no floor.
    ``case`` is another one for a yardstick that solves no problem, and so is no rival: a copy.
    """

    minimum: float
    peers: tuple[str, ...]
    avx2: float = 1.0
    case: str | None = None


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


# By dtype; all of them have to be met.
Floors = Mapping[str, tuple[PeerFloor | OwnFloor, ...]]


@dataclass(frozen=True)
class Gpu:
    """How a case runs on a GPU, and what it is held to there.

    The CPU solves a `sample` of its problems as well, to compare the speed and the answers. `rate`
    is the cells per second to reach on the hardware that the floors are set for, an H200, and
    `times_cpu` the speed, in that of all the CPU's threads: 16 where the floor was set. `peer` is
    somebody else's way, whose `load` gives None where there is no way to run it; `times_peer` is
    the speed to reach, in that of the peer.
    """

    sample: int
    dtype: str = "float32"
    rate: float | None = None
    times_cpu: float | None = None
    peer: Contender | None = None
    times_peer: float | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """One row of a suite's list.

    On the CPU `peers` face coalign, in every combination of `dtypes`, `isas` and `threads`, or as
    `own` says one by one, which is held to `floors`. Its answers are held to those of `judge`, by
    default the first peer in float64. A case with `gpu` runs there instead.
    """

    name: str
    problem: Problem
    peers: tuple[Contender, ...] = ()
    dtypes: tuple[str, ...] = ("float64", "float32")
    isas: tuple[str, ...] = TIMED
    threads: tuple[int, ...] = (1,)
    own: tuple[Contender, ...] = ()
    floors: Floors = field(default_factory=dict)
    judge: Contender | None = None
    gpu: Gpu | None = None

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """Give those of the CPU; peers first, so that their answer is at hand."""
        if self.gpu is not None:
            return ()
        kinds = itertools.product(self.isas, self.dtypes, self.threads)
        own = (ours(self.problem, dtype, isa, threads) for isa, dtype, threads in kinds)
        return (*self.peers, *(self.own or own))

    def judge_of(self, contender: Contender) -> Contender:
        """Give whom a contender's answers are held to: a peer for coalign, coalign for a peer."""
        if contender.isa is None:
            return ours(self.problem, "float64", SELECTED)
        return self.judge or next(peer for peer in self.peers if peer.dtype == "float64")


@dataclass(frozen=True, eq=False)
class Counted(Case):
    """A case of a census, with where it stands in the tables: the row, the group and the column.

    `kind` is what it has in common with cases that differ from it in size alone.
    """

    family: str = ""
    group: str = ""
    size: int = 0
    kind: Any = None
    instances: int = 3


@dataclass(frozen=True)
class Group:
    """Cases of a census that share columns of its table: one for each size, or one for all.

    `name` heads the columns, `words` say what the cases are of, and `median` is the floor of the
    median ratio.
    """

    name: str
    words: str
    median: float
    by_size: bool = False


@dataclass(frozen=True)
class Suite:
    """The cases of one record, and the relative error that is allowed by dtype.

    `of_peers` is what peers are allowed, where they keep less than coalign promises.
    """

    name: str
    cases: Sequence[Case]
    tolerance: Mapping[str, float]
    of_peers: Mapping[str, float] = field(default_factory=dict)
    # Costs of seed 0, by problem and judge.
    _answers: dict[tuple[Problem, str], NDArray[np.float64]] = field(default_factory=dict)
    # The instance of seed 0 of the problem at hand; a large one takes longer to make than to solve.
    _instance: dict[Problem, Any] = field(default_factory=dict)

    def parameters(self) -> list[Any]:
        """Give pytest every contender of every case on the CPU."""
        return [
            pytest.param(case, contender, id=f"{case.name}-{contender.name}")
            for case in self.cases
            for contender in case.contenders
        ]

    def describe(self, case: Case, contender: Contender, benchmark: Any) -> None:
        """Leave what the record says of a benchmark beside its name."""
        benchmark.group = case.name
        benchmark.extra_info.update(
            suite=self.name,
            case=case.name,
            contender=contender.name,
            peer=contender.isa is None,
            dtype=contender.dtype,
            isa=contender.isa,
            threads=contender.threads,
            cells=self._cells(case.problem, self._first(case.problem)),
        )

    def compete(self, case: Case, contender: Contender, benchmark: Any) -> tuple[Any, Any, float]:
        """Time one contender on fresh data each round: its answer, the judge's, the tolerance."""
        if contender.threads > len(os.sched_getaffinity(0)):
            pytest.skip("needs as many CPUs as threads")
        self.describe(case, contender, benchmark)
        with _execution.forced(contender.isa):
            assert contender.isa in (None, _execution.selected())
            costs = self._time(case.problem, contender, benchmark)
        self._answers.setdefault((case.problem, contender.name), costs)
        judge = case.judge_of(contender)
        if (case.problem, judge.name) not in self._answers:
            prepared = self._prepared(case.problem, judge, self._first(case.problem))
            self._answers[case.problem, judge.name] = judge.costs(prepared, judge.load()(prepared))
        return costs, self._answers[case.problem, judge.name], self.allowed(contender)

    def allowed(self, contender: Contender) -> float:
        """Give the relative error that a contender is allowed."""
        ours = self.tolerance[contender.dtype]
        return ours if contender.isa else self.of_peers.get(contender.dtype, ours)

    def _time(self, problem: Problem, contender: Contender, benchmark: Any) -> NDArray[np.float64]:
        """Time the rounds and give the costs of seed 0."""
        solve = contender.load()
        rounds = self._rounds(problem, contender, solve)
        first = self._prepared(problem, contender, self._first(problem))
        # One full-size call outside the timing warms the caches and gives the answer; a slow
        # peer's single timed round, whose seed is 0 as well, serves instead.
        warm = None if rounds == 1 else solve(first)
        seeds = itertools.count()

        def setup() -> Any:
            instance = problem.instance(next(seeds), small=ONLY_SMALL)
            return (self._prepared(problem, contender, instance),), {}

        timed = benchmark.pedantic(solve, setup=setup, rounds=rounds)
        result = timed if warm is None else warm
        if contender.isa is not None:
            problem.verify(first, result, self.tolerance[contender.dtype])
        if (iterations := contender.iterations(first, result)) is not None:
            benchmark.extra_info["iterations"] = iterations
        return contender.costs(first, result)

    def _first(self, problem: Problem) -> Any:
        """Give the instance of seed 0."""
        if problem not in self._instance:
            self._instance.clear()
            self._instance[problem] = problem.instance(0, small=ONLY_SMALL)
        return self._instance[problem]

    @staticmethod
    def _prepared(problem: Problem, contender: Contender, instance: Any) -> Any:
        return contender.prepare(problem.arguments(instance, contender.dtype))

    @staticmethod
    def _cells(problem: Problem, instance: Any) -> int:
        return problem.cells(problem.arguments(instance, "float64"))

    def _rounds(self, problem: Problem, contender: Contender, solve: Callable[..., Any]) -> int:
        """Compile on a small instance, time a second one, and give the full size's rounds."""
        solve(self._prepared(problem, contender, problem.instance(0, small=True)))
        if ONLY_SMALL:
            return 1
        small = problem.instance(1, small=True)
        prepared = self._prepared(problem, contender, small)
        start = time.perf_counter()
        solve(prepared)
        elapsed = time.perf_counter() - start
        larger = self._cells(problem, self._first(problem)) / self._cells(problem, small)
        estimate = elapsed * larger**problem.growth
        if contender.isa is None and estimate > SINGLE_ROUND_SECONDS:
            return 1
        fewest, most = ROUNDS
        return min(most, max(fewest, int(BUDGET_SECONDS / estimate)))
