"""Assignment: coalign beside its peers, on one thread unless said, with every answer checked.

What the peers are given:

- SciPy: `linear_sum_assignment`, in a loop for a batch. It computes in float64 and converts a
  float32 matrix in every call, as its users have it do.
- lapx: `lapjv`, the function its users know, and of its others the two that are the fastest where
  they apply: `lapjvr` takes square matrices only, `lapjvh` any. A batch goes to the functions of
  the same name that end in `_batch`; that of `lapjv` is `lapjvx_batch`. With a limit L they
  minimise the sum over pairs of c - L, as coalign does. At 4000 `lapjv` needs minutes on some
  families, and is left out there.
- Sparse costs: SciPy's `min_weight_full_bipartite_matching`, from the same CSR matrix.
- The k cheapest: no library that we know of ranks assignments, so the peer is of our making:
  Murty's loop, each of its problems solved by SciPy's `linear_sum_assignment` (murty.py).

Answers are compared by the sum of the costs over the pairs, in float64 whatever the dtype; of the k
cheapest by every total. Beyond that coalign's certificate has to close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import coalign
import contest
import instances
import murty
from coalign import _execution
from contest import SHORT, Case, Contender, coalign_name, ours, timed_instruction_sets

# Peers warn while they are imported; what we time is not the place to judge it.
pytestmark = pytest.mark.filterwarnings("ignore")

# Of the sum over pairs: what coalign promises against the optimum, and SciPy keeps as well.
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Problem(contest.Problem):
    """Costs of one problem or a batch.

    Attributes
    ----------
    max_cost : float or None
        The limit that pairs are made under.
    k : int or None
        How many of the cheapest matchings are wanted; None for the cheapest alone.
    """

    max_cost: float | None = None
    k: int | None = None


def batched(problem: Problem) -> bool:
    """Tell whether the instances are batches."""
    return problem.make is instances.uniform_batch


def costs_of(instance: Any) -> Any:
    """Give the costs to solve: of an instance that changed, those after."""
    return instance[1] if isinstance(instance, tuple) else instance


def cells(problem: Problem, instance: Any) -> int:
    """Count the costs."""
    return int(costs_of(instance).size)


def growth(problem: Problem) -> float:
    """Give the power of the costs that time grows with; the small size of a batch has fewer."""
    return 1.0 if batched(problem) else 1.5


def total(costs: Any, pairs: Pairs, max_cost: float | None) -> float:
    """Sum over pairs what is minimised, in float64."""
    values = costs[pairs].astype(np.float64)
    return float(values.sum() - len(pairs[0]) * (max_cost or 0.0))


def totals(costs: Any, found: list[Pairs], max_cost: float | None = None) -> NDArray[np.float64]:
    """Sum the costs over the pairs, by problem; refuse what is no matching."""
    problems = costs if costs.ndim == 3 else [costs]
    for rows, columns in found:
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
        assert max_cost is not None or len(rows) == min(costs.shape[-2:])
    return np.array([total(*both, max_cost) for both in zip(problems, found, strict=True)])


# --- contenders ----------------------------------------------------------------------------------


def coalign_assign(
    dtype: str, isa: str, *, threads: int = 1, max_cost: float | None = None
) -> Contender:
    """Solve with `coalign.assign`."""

    def verify(costs: Any, found: Any) -> None:
        # Each pair's reduced cost rounds by about an eps of the largest cost.
        slack = min(costs.shape[-2:]) * np.finfo(dtype).eps * np.abs(costs).max()
        assert np.all(np.abs(found.gap(costs)) <= slack)

    def pairs(found: Any) -> list[Pairs]:
        made = found.pairs() if np.ndim(found.status) else [found.pairs()]
        return [(both[:, 0], both[:, 1]) for both in made]

    return Contender(
        name=coalign_name(dtype, isa, threads),
        dtype=dtype,
        prepare=lambda instance: costs_of(instance).astype(dtype),
        solve=lambda costs: coalign.assign(costs, max_cost=max_cost, threads=threads),
        costs=lambda costs, found: totals(costs, pairs(found), max_cost),
        isa=isa,
        threads=threads,
        verify=verify,
    )


def coalign_warm(dtype: str, isa: str) -> Contender:
    """Solve what changed with `coalign.assign`, from the assignment before."""
    cold = coalign_assign(dtype, isa)

    def prepare(instance: Any) -> Any:
        before, after = (costs.astype(dtype) for costs in instance)
        return after, coalign.assign(before, threads=1)

    return Contender(
        name=coalign_name(dtype, isa),
        dtype=dtype,
        prepare=prepare,
        solve=lambda both: coalign.assign(both[0], warm_start=both[1], threads=1),
        costs=lambda both, found: cold.costs(both[0], found),
        isa=isa,
        verify=lambda both, found: cold.verify(both[0], found) if cold.verify else None,
    )


def coalign_top_k(isa: str, k: int) -> Contender:
    """Rank with `coalign.assign_top_k`."""

    def verify(costs: Any, found: Any) -> None:
        n, m = costs.shape[-2:]
        assert n <= m
        for problem, ranked in zip(
            costs.reshape(-1, n, m), found.col_of_row.reshape(-1, k, n), strict=True
        ):
            assert len(np.unique(ranked, axis=0)) == k
            sums = totals(np.broadcast_to(problem, (k, n, m)), [(np.arange(n), c) for c in ranked])
            assert np.all(np.diff(sums) >= -TOLERANCE["float64"] * np.abs(sums[:-1]))

    return Contender(
        name=coalign_name("float64", isa),
        dtype="float64",
        prepare=costs_of,
        solve=lambda costs: coalign.assign_top_k(costs, k, threads=1),
        costs=lambda costs, found: np.ravel(found.total),
        isa=isa,
        verify=verify,
    )


def murty_loop(k: int) -> Contender:
    """Rank with Murty's loop over SciPy."""
    return Contender(
        "murty-scipy-f64",
        "float64",
        _as_batch("float64"),
        lambda costs: np.array([murty.cheapest(problem, k) for problem in costs]),
        lambda costs, found: np.ravel(found),
    )


def scipy_sparse() -> Contender:
    """Solve sparse costs with SciPy."""

    def solve(costs: Any) -> list[Pairs]:
        from scipy.sparse.csgraph import min_weight_full_bipartite_matching

        return [min_weight_full_bipartite_matching(costs)]

    return Contender("scipy-f64", "float64", costs_of, solve, totals)


def scipy(dtype: str = "float64") -> Contender:
    """Solve with SciPy."""

    def solve(costs: Any) -> list[Pairs]:
        from scipy.optimize import linear_sum_assignment

        return [linear_sum_assignment(problem) for problem in costs]

    return Contender(f"scipy-{SHORT[dtype]}", dtype, _as_batch(dtype), solve, totals)


def lapx(
    function: str, dtype: str = "float64", *, max_cost: float | None = None, threads: int = 1
) -> Contender:
    """Solve with one of lapx's functions, of a batch or of one problem."""
    is_batch = function.endswith("_batch")

    def solve(costs: Any) -> list[Pairs]:
        import lap

        options: dict[str, Any] = {"return_cost": False}
        if not is_batch or costs.shape[-2] != costs.shape[-1]:
            options["extend_cost"] = True
        if max_cost is not None:
            options = {"return_cost": False, "cost_limit": max_cost}
        if is_batch:
            found = getattr(lap, function)(costs, n_threads=threads, **options)
            return list(zip(*found, strict=True))
        first, second = getattr(lap, function)(costs[0], **options)
        if function != "lapjv":
            return [(first, second)]
        # The column of each row, and the row of each column.
        rows = np.flatnonzero(first >= 0)
        return [(rows, first[rows])]

    return Contender(
        f"{function}-{'' if threads == 1 else f'{threads}threads-'}{SHORT[dtype]}",
        dtype,
        _as_batch(dtype),
        solve,
        lambda costs, found: totals(costs, found, max_cost),
        threads=threads,
    )


def _as_batch(dtype: str) -> Callable[[Any], NDArray[Any]]:
    """Give what converts an instance to a batch, of one where it is none."""

    def prepare(instance: Any) -> NDArray[Any]:
        costs = costs_of(instance).astype(dtype)
        return costs if costs.ndim == 3 else costs[None]

    return prepare


# --- cases ---------------------------------------------------------------------------------------


def square(make: Callable[..., Any], n: int, small: int) -> Problem:
    """Give a family at one size."""
    return Problem(make, (("n", n),), (("n", small),))


def rectangle(make: Callable[..., Any], rows: int, columns: int, share: int) -> Problem:
    """Give a family at one size, and at a share of it."""
    return Problem(
        make,
        (("rows", rows), ("columns", columns)),
        (("rows", rows // share), ("columns", columns // share)),
    )


def batch(problems: int, rows: int, columns: int) -> Problem:
    """Give a batch, and a smaller one."""
    size = (("rows", rows), ("columns", columns))
    return Problem(
        instances.uniform_batch,
        (("problems", problems), *size),
        (("problems", max(2, problems // 20)), *size),
    )


# Of a square matrix; the first is the slowest, and converts float32 anyway.
LAPX = ("lapjv", "lapjvr", "lapjvh")
LAPX_IN_TIME = LAPX[1:]
LAPX_BATCH = ("lapjvx_batch", "lapjvh_batch")
LAPX_SQUARE_BATCH = ("lapjvx_batch", "lapjvr_batch", "lapjvh_batch")


def alone(*lapx_functions: str) -> tuple[Contender, ...]:
    """Give the contenders over one problem; peers first, so that their answer is at hand."""
    in_float32 = (name for name in lapx_functions if name in LAPX_IN_TIME)
    peers = (
        scipy(),
        *(lapx(name) for name in lapx_functions),
        *(lapx(name, "float32") for name in in_float32),
    )
    return (*peers, *ours(coalign_assign))


def together(*lapx_functions: str, threads: int = 1) -> tuple[Contender, ...]:
    """Give the contenders over a batch, in float32."""
    return (
        scipy("float32"),
        *(lapx(name, "float32", threads=threads) for name in lapx_functions),
        *(coalign_assign("float32", isa, threads=threads) for isa in timed_instruction_sets()),
    )


def in_float64(*lapx_functions: str) -> tuple[Contender, ...]:
    """Give the contenders over one problem that float32 cannot hold."""
    return tuple(c for c in alone(*lapx_functions) if c.dtype == "float64")


# About a tenth of the rows find no column that is cheap enough.
LIMIT = 0.001
LIMITED = Problem(
    instances.uniform,
    (("rows", 2000), ("columns", 2500)),
    (("rows", 1000), ("columns", 1250)),
    max_cost=LIMIT,
)
CHANGED = square(instances.changed, 2000, 500)

# Searches through sparse costs and rankings are the same code whatever the instruction set.
SELECTED = _execution.selected()
THIRTY = (("rows", 30), ("columns", 30))
RANKINGS = {
    **{
        f"{k} cheapest of 30x30": Problem(
            instances.uniform, THIRTY, (("rows", 12), ("columns", 12)), k=k
        )
        for k in (10, 100)
    },
    "10 cheapest of 64 problems 30x30": replace(batch(64, 30, 30), k=10),
}

CASES = (
    Case("uniform 1000x1000", rectangle(instances.uniform, 1000, 1000, 4), alone(*LAPX)),
    Case("uniform 4000x4000", rectangle(instances.uniform, 4000, 4000, 8), alone(*LAPX)),
    Case("geometric 1000x1000", square(instances.geometric, 1000, 250), alone(*LAPX)),
    Case("geometric 4000x4000", square(instances.geometric, 4000, 500), alone(*LAPX_IN_TIME)),
    Case("low rank 1000x1000", square(instances.low_rank, 1000, 250), alone(*LAPX)),
    Case("low rank 4000x4000", square(instances.low_rank, 4000, 500), alone(*LAPX_IN_TIME)),
    Case("integers 1000x1000", square(instances.integers, 1000, 250), alone(*LAPX)),
    Case("integers 4000x4000", square(instances.integers, 4000, 500), alone(*LAPX)),
    Case(
        "Machol-Wien 1000x1000",
        square(instances.machol_wien, 1000, 250),
        alone(*LAPX),
    ),
    Case("a + b + U 1000x1000", square(instances.offsets, 1000, 250), alone(*LAPX)),
    Case(
        "uniform + 1000 1000x1000",
        rectangle(instances.uniform_far_from_zero, 1000, 1000, 4),
        in_float64(*LAPX),
    ),
    *(
        Case(
            f"208 problems 300x{columns}, two threads",
            batch(208, 300, columns),
            together(*(LAPX_SQUARE_BATCH if columns == 300 else LAPX_BATCH), threads=2),
        )
        for columns in (100, 300, 600)
    ),
    Case("10,000 problems 8x8", batch(10_000, 8, 8), together(*LAPX_SQUARE_BATCH)),
    Case("5000 problems 20x40", batch(5000, 20, 40), together(*LAPX_BATCH)),
    Case("64 problems 100x20", batch(64, 100, 20), together(*LAPX_BATCH)),
    Case(
        "2000x2500 with a limit",
        LIMITED,
        (
            lapx("lapjv", max_cost=LIMIT),
            lapx("lapjvh", max_cost=LIMIT),
            lapx("lapjvh", "float32", max_cost=LIMIT),
            *ours(lambda dtype, isa: coalign_assign(dtype, isa, max_cost=LIMIT)),
        ),
    ),
    Case("1 % of rows changed 2000x2000", CHANGED, alone(*LAPX_IN_TIME)),
    Case("1 % of rows changed 2000x2000, warm start", CHANGED, ours(coalign_warm)),
    Case(
        "CSR 20,000x20,000, 20 entries a row",
        square(instances.sparse_uniform, 20_000, 1000),
        (scipy_sparse(), coalign_assign("float64", SELECTED)),
    ),
    *(
        Case(name, problem, (murty_loop(problem.k), coalign_top_k(SELECTED, problem.k)))
        for name, problem in RANKINGS.items()
    ),
)


def judge(problem: Problem, peer: bool) -> Contender:
    """Give the contender that others are held to."""
    if problem.k is not None:
        return murty_loop(problem.k) if peer else coalign_top_k(SELECTED, problem.k)
    if not peer:
        isa = _execution.selected()
        return coalign_assign("float64", isa, max_cost=problem.max_cost)
    if problem.make is instances.sparse_uniform:
        return scipy_sparse()
    return scipy() if problem.max_cost is None else lapx("lapjvh", max_cost=problem.max_cost)


# --- the benchmark -------------------------------------------------------------------------------

SUITE = contest.Suite("assignment", CASES, cells, judge, growth)


@pytest.mark.parametrize(("case", "contender"), SUITE.parameters())
def test_assignment(case: Case, contender: Contender, benchmark: Any) -> None:
    costs, expected = SUITE.compete(case, contender, benchmark)
    np.testing.assert_allclose(costs, expected, rtol=TOLERANCE[contender.dtype], atol=0)
