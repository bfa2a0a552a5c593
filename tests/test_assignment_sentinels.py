"""Assignment beside large finite costs, which is how most users write "forbidden"."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment as scipy_assignment
from scipy.sparse import csr_array

from coalign import Assignment, Status, _core, _execution, assign, assign_top_k
from oracles.compare import total_tolerance
from oracles.instances import COST_FAMILIES, Array, make_costs
from oracles.sentinels import SENTINELS, excess, spoilt


def assert_right(cost: Array, found: Assignment, what: str) -> None:
    off, tolerance = excess(cost, found.col_of_row, found.maximize)
    assert off <= tolerance, what
    assert found.status == Status.OK, what


@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize("shape", [(40, 40), (100, 100), (70, 130)], ids=str)
def test_totals(shape: tuple[int, int], sentinel: str, isa: str, dtype: np.dtype) -> None:
    tried = 0
    for family in COST_FAMILIES:
        cost = spoilt(family, sentinel, shape, dtype)
        if cost is None:
            continue
        tried += 1
        with _execution.forced(isa):
            assert_right(cost, assign(cost), family)
            assert_right(-cost, assign(-cost, maximize=True), f"{family}, maximised")
            assert_right(cost.T, assign(cost.T), f"{family}, transposed")
            ranked = assign_top_k(cost, 1)
        off, tolerance = excess(cost, ranked.col_of_row[0])
        assert off <= tolerance, f"{family}, ranked"
    assert tried >= 15


def sparse_costs(cost: Array, share: float) -> tuple[Any, Array]:
    """Store a share of the pairs, and a matching: the sparse matrix, and inf for the others."""
    rng = np.random.default_rng(cost.shape)
    stored = rng.random(cost.shape) < share
    short = min(cost.shape)
    rows, columns = (rng.permutation(count)[:short] for count in cost.shape)
    stored[rows, columns] = True
    pairs = np.nonzero(stored)
    return csr_array((cost[pairs], pairs), shape=cost.shape), np.where(stored, cost, np.inf)


def limited_excess(cost: Array, found: Assignment, limit: float) -> tuple[float, float]:
    """By how much the gain beside a limit misses SciPy's, and the tolerance."""
    values = cost.astype(np.float64)
    gains = np.where(values < limit, values - limit, 0.0)
    best = scipy_assignment(gains)
    matched = gains[best] < 0
    rows = np.flatnonzero(found.col_of_row >= 0)
    costs = values[rows, found.col_of_row[rows]]
    assert (costs < limit).all()
    off = math.fsum(costs) - limit * len(rows) - math.fsum(gains[best])
    size = np.append(np.abs(values[best][matched]), abs(limit) * matched.sum())
    return abs(off), total_tolerance(cost.dtype, size)


@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize(
    ("shape", "share"), [((100, 100), 0.3), ((100, 100), 1.0), ((70, 130), 0.3)], ids=str
)
def test_sparse_totals(
    shape: tuple[int, int], sentinel: str, share: float, dtype: np.dtype
) -> None:
    tried = 0
    for family in COST_FAMILIES:
        cost = spoilt(family, sentinel, shape, dtype)
        if cost is None:
            continue
        tried += 1
        stored, dense = sparse_costs(cost, share)
        assert_right(dense, assign(stored), family)
        assert_right(-dense, assign(-stored, maximize=True), f"{family}, maximised")
        assert_right(dense.T, assign(stored.T.tocsc()), f"{family}, transposed")
        assert_right(dense, assign(stored, max_cost=np.inf), f"{family}, as many as can be")
        limit = float(np.quantile(stored.data, 0.3))
        limited = assign(stored, max_cost=limit)
        off, tolerance = limited_excess(dense, limited, limit)
        assert off <= tolerance, f"{family}, limited"
        assert limited.status == Status.OK, f"{family}, limited"
    assert tried >= 15


@pytest.mark.parametrize("family", ["plane", "rank 4", "Machol-Wien", "offsets and noise"])
def test_totals_that_only_a_second_solution_proves(family: str, dtype: np.dtype) -> None:
    # So few pairs are allowed that the sentinels set the scale of the prices.
    cost = spoilt(family, "all but a hundredth of 1e20", (600, 600), dtype)
    assert cost is not None
    assert_right(cost, assign(cost), family)


def two_levels(n: int, count: int, step: float, dtype: Any) -> Array:
    """Costs of which a pair between two levels is far below or far above those within one."""
    rng = np.random.default_rng(n)
    level = (rng.normal(size=(count, 2)) * step)[:, rng.integers(2, size=n)]
    steps = level[:, np.newaxis, :] - level[:, :, np.newaxis]
    return (steps + 10 ** rng.uniform(-2, 0, (count, n, n))).astype(dtype)


@pytest.mark.parametrize("n", [6, 20, 40, 60])
def test_totals_of_small_problems_whose_prices_are_large(n: int, isa: str, dtype: np.dtype) -> None:
    # float32 prices of 6e5 lose the digits that decide between pairs within a level.
    costs = two_levels(n, 400, 6e5, dtype)
    with _execution.forced(isa), warnings.catch_warnings():
        # What float64 cannot tell is said, and is right nevertheless.
        warnings.simplefilter("ignore", RuntimeWarning)
        together = assign(costs)
        for p, cost in enumerate(costs):
            off, tolerance = excess(cost, together.col_of_row[p])
            # Pairs between the levels may take the place of others, and make the total uncertain.
            paired = cost[np.arange(n), together.col_of_row[p]]
            assert off <= max(tolerance, total_tolerance(dtype, paired))
            alone = assign(cost)
            for field in ("col_of_row", "row_dual", "col_dual", "total", "status"):
                assert getattr(together, field)[p].tobytes() == getattr(alone, field).tobytes()
    assert (together.status == Status.OK).all() or dtype == np.float64


@pytest.mark.slow
@pytest.mark.parametrize("sentinel", SENTINELS)
def test_totals_of_larger_problems(sentinel: str, isa: str, dtype: np.dtype) -> None:
    # From some hundred rows on prices that a sentinel has spoilt miss the optimum by far.
    for family in ("plane", "rank 4", "Machol-Wien", "offsets and noise", "0 to 99"):
        cost = spoilt(family, sentinel, (600, 600), dtype)
        assert cost is not None
        with _execution.forced(isa):
            assert_right(cost, assign(cost), family)


def scans(cost: Array) -> float:
    """How often a row was gone through, in the mean."""
    _, _, counts = _core.assign(cost, False, None, None, None, None, 1, None, True)
    return float(sum(counts)) / len(cost)


@pytest.mark.parametrize("sentinel", ["a column of 1e9", "two thirds of 1e9", "some of 1e20"])
@pytest.mark.parametrize("family", ["plane", "rank 4", "Machol-Wien", "offsets and noise"])
def test_a_sentinel_costs_few_scans(family: str, sentinel: str, dtype: np.dtype) -> None:
    # Prices scaled by the spread of the sentinels took 3 to 20 times the scans, and missed.
    plain = make_costs(family, 300, 300, np.dtype(dtype).name)
    cost = spoilt(family, sentinel, (300, 300), dtype)
    assert cost is not None
    assert scans(cost) <= 1.7 * scans(plain)


def test_a_batch_beside_sentinels_has_the_bits_of_each_problem(dtype: np.dtype) -> None:
    costs = [spoilt(family, "a third of 1e9", (90, 90), dtype) for family in COST_FAMILIES]
    kept = [cost for cost in costs if cost is not None]
    together = assign(kept)
    for cost, columns, total in zip(kept, together.col_of_row, together.total, strict=True):
        alone = assign(cost)
        np.testing.assert_array_equal(columns, alone.col_of_row)
        assert total == alone.total


def test_a_total_that_cannot_be_proved_is_reported() -> None:
    # Differences of such costs overflow, and so does the total.
    cost = np.random.default_rng(0).uniform(-1, 1, (70, 70)) * 1.7e308
    words = r"\Aassign: 1 of 1 totals could not be proved; their status is PRECISION_LIMIT\Z"
    with pytest.warns(RuntimeWarning, match=words) as caught:
        found = assign(cost)
    assert caught[0].filename == __file__
    assert found.status == Status.PRECISION_LIMIT
    assert len(found.pairs()) == 70
    with pytest.raises(ArithmeticError, match=r"\Aproblem 0: the total could not be proved\Z"):
        found.check()
