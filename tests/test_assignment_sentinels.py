"""Assignment beside large finite costs, which is how most users write "forbidden"."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment as scipy_assignment
from scipy.sparse import csr_array

from coalign import (
    Assignment,
    InfeasibleError,
    Status,
    _core,
    _execution,
    assign,
    assign_top_k,
)
from oracles.assignment import every_matching, most_pairs
from oracles.compare import total_tolerance
from oracles.instances import COST_FAMILIES, Array, make_costs
from oracles.sentinels import SENTINELS, excess, spoilt


def assert_right(cost: Array, found: Assignment, what: str) -> None:
    off, tolerance = excess(cost, found.col_of_row, found.maximize)
    assert off <= tolerance, what
    assert found.status == Status.OK, what


def spoilt_families(
    sentinel: str, shape: tuple[int, int], dtype: np.dtype
) -> list[tuple[str, Array]]:
    """Costs of every family that stay finite beside a sentinel."""
    costs = ((family, spoilt(family, sentinel, shape, dtype)) for family in COST_FAMILIES)
    finite = [(family, cost) for family, cost in costs if cost is not None]
    assert len(finite) >= 15
    return finite


@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize("shape", [(40, 40), (100, 100), (70, 130)], ids=str)
def test_totals(shape: tuple[int, int], sentinel: str, isa: str, dtype: np.dtype) -> None:
    for family, cost in spoilt_families(sentinel, shape, dtype):
        with _execution.forced(isa):
            assert_right(cost, assign(cost), family)
            assert_right(-cost, assign(-cost, maximize=True), f"{family}, maximised")
            assert_right(cost.T, assign(cost.T), f"{family}, transposed")
            ranked = assign_top_k(cost, 1)
        off, tolerance = excess(cost, ranked.col_of_row[0])
        assert off <= tolerance, f"{family}, ranked"


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
    for family, cost in spoilt_families(sentinel, shape, dtype):
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


@pytest.mark.parametrize("never", [1e5, 1e9])
def test_points_beyond_a_gate_cost_few_scans(never: float, dtype: np.dtype) -> None:
    # 16 of 1000 points are within the gate. Auctions up to the sentinel took 34 to 92 scans a row.
    random = np.random.default_rng(0)
    p, q = random.random((1000, 1, 2)), random.random((1000, 2))
    cost = np.hypot(*np.moveaxis(p - q, -1, 0))
    cost = np.where(cost > np.sqrt(16 / (np.pi * 1000)), never, cost).astype(dtype)
    assert scans(cost) <= 12


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


# --- limits that dwarf the costs ------------------------------------------------------------------


def most_then_cheapest(cost: Array, limit: float) -> tuple[int, Array]:
    """The most pairs that cost less than a limit, and what they cost at least."""
    values = cost.astype(np.float64)
    n, m = values.shape
    count = most_pairs(values < limit)
    # Rows and columns that stay alone meet added ones, at no cost.
    padded = np.full((n + m - count, m + n - count), math.inf)
    padded[:n, :m] = np.where(values < limit, values, math.inf)
    padded[:n, m:] = padded[n:, :m] = 0
    rows, columns = scipy_assignment(padded)
    are_pairs = (rows < n) & (columns < m)
    return count, values[rows[are_pairs], columns[are_pairs]]


# As a tracker gives them: what is too far away costs the limit, or nothing is.
GATES: dict[str, float] = {"none": 0, "half": 0.5, "most": 0.95}
LIMITS = {"float32": (1e5, 1e7, 1e9, 1e20, 3e38), "float64": (1e5, 1e9, 1e17, 1e20, 1e300)}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (60, 60), (100, 70)], ids=str)
def test_beside_a_limit_that_dwarfs_the_costs(
    shape: tuple[int, int], gate: str, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(shape[0])
    for limit in LIMITS[dtype.name]:
        for family in ("uniform", "plane", "0 to 99"):
            plain = make_costs(family, *shape, "float64")
            cost = np.where(rng.random(shape) < GATES[gate], limit, plain).astype(dtype)
            count, best = most_then_cheapest(cost, limit)
            for sign, maximize in ((1, False), (-1, True)):
                with _execution.forced(isa):
                    found = assign(sign * cost, max_cost=sign * limit, maximize=maximize)
                what = f"{family}, {limit}, {maximize}"
                assert found.status == Status.OK, what
                assert len(found.pairs()) == count, what
                off = abs(sign * found.total - math.fsum(best))
                assert off <= total_tolerance(dtype, best), what
                assert_duals_of_a_limit(found, sign * limit)


def assert_duals_of_a_limit(found: Assignment, limit: float) -> None:
    sign = -1 if found.maximize else 1
    assert np.isfinite(found.row_dual).all()
    assert np.isfinite(found.col_dual).all()
    rounded = np.asarray(limit, found.row_dual.dtype)
    assert (sign * found.row_dual <= np.nextafter(sign * rounded, np.inf)).all()
    assert np.allclose(found.row_dual[found.col_of_row < 0], rounded, rtol=1e-6, atol=0)
    assert (sign * found.col_dual <= 0).all()
    assert (found.col_dual[found.row_of_col < 0] == 0).all()


def test_a_limit_that_one_pair_more_would_exceed(isa: str, dtype: np.dtype) -> None:
    # Two pairs cost 101.3, one costs 1: the second would cost more than the limit.
    cost = np.array([[1.5, np.inf], [1, 99.8], [np.inf, np.inf]], dtype)
    with _execution.forced(isa):
        assert assign(cost, max_cost=100).pairs().tolist() == [[1, 0]]
        assert assign(cost, max_cost=101).pairs().tolist() == [[0, 0], [1, 1]]


def test_the_least_of_negative_costs_beside_a_limit(isa: str, dtype: np.dtype) -> None:
    # A reduced cost is then the limit but for what its rounding took away.
    for least in range(3):
        cost = np.full((3, 3), np.inf, dtype)
        cost[:, 0] = -0.25
        cost[least, 0] = -0.5
        with _execution.forced(isa):
            for limit in (1e17, 1e20, 1e30):
                assert assign(cost, max_cost=limit).pairs().tolist() == [[least, 0]]


def test_a_batch_beside_a_limit_has_the_bits_of_each_problem(dtype: np.dtype) -> None:
    costs = np.random.default_rng(0).uniform(size=(20, 30, 20)).astype(dtype)
    together = assign(costs, max_cost=1e20)
    for p, cost in enumerate(costs):
        alone = assign(cost, max_cost=1e20)
        for field in ("col_of_row", "row_dual", "col_dual", "total", "status"):
            assert getattr(together, field)[p].tobytes() == getattr(alone, field).tobytes()


def test_limits_among_costs_of_every_size(dtype: np.dtype) -> None:
    # Against every matching, in exact numbers: costs far below a limit, of its size, and beyond it.
    rng = np.random.default_rng(0)
    most = float(np.finfo(dtype).max)
    unproved = 0
    for p in range(400):
        n, m = rng.integers(1, 5, 2)
        limit = min(float(10.0 ** rng.choice([2, 5, 9, 15, 17, 20, 38, 300])), 0.999 * most)
        u = rng.random((n, m))
        sizes = [3 * u, 3e4 * u, 3 * u - 1.5, limit * (1 - 2.0**-20) + 0 * u]
        sizes += [limit / 2 * u, limit + 0 * u, -limit / 9 * u, math.inf + 0 * u]
        chosen = rng.choice(len(sizes), size=rng.integers(1, 5))
        kind = chosen[rng.integers(len(chosen), size=(n, m))]
        cost = np.choose(kind, sizes).astype(dtype)
        limit *= rng.choice([1, 0.7])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = assign(cost, max_cost=limit)
        assert np.isfinite(found.row_dual).all()
        assert np.isfinite(found.col_dual).all()
        gains = {
            matching: sum(Fraction(float(cost[i, j])) - Fraction(limit) for i, j in matching)
            for matching in map(tuple, every_matching(int(n), int(m)))
            if all(cost[i, j] < limit for i, j in matching)
        }
        pairs = tuple((int(i), int(j)) for i, j in found.pairs())
        sums = [cost[tuple(zip(*some, strict=True))] for some in (pairs,) if some]
        allowed = total_tolerance(dtype, sums[0].astype(np.float64)) if sums else 0
        if found.status == Status.OK:
            assert float(gains[pairs] - min(gains.values())) <= allowed, f"problem {p}"
        unproved += found.status != Status.OK
    assert unproved <= 20


# --- costs near the largest number ----------------------------------------------------------------


def extremes(kind: str, shape: tuple[int, int], dtype: np.dtype) -> Array:
    rng = np.random.default_rng(7)
    most = float(np.finfo(dtype).max)
    u = rng.random(shape)
    costs = {
        "of both signs": (2 * u - 1) * most,
        "positive": u * most,
        "a third the largest": np.where(rng.random(shape) < 0.3, most, u),
        "a third far below": np.where(rng.random(shape) < 0.3, -most * u, u),
        "a few of both": np.where(u < 0.1, rng.choice([-0.9 * most, 0.9 * most], shape), u),
        "half forbidden": np.where(rng.random(shape) < 0.5, math.inf, (2 * u - 1) * most),
    }
    return costs[kind].astype(dtype)


EXTREMES = (
    "of both signs",
    "positive",
    "a third the largest",
    "a third far below",
    "a few of both",
    "half forbidden",
)


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("shape", [(3, 3), (8, 8), (20, 40), (70, 70), (130, 100)], ids=str)
def test_finite_extremes(
    shape: tuple[int, int], kind: str, isa: str, dtype: np.dtype, recwarn: Any
) -> None:
    cost = extremes(kind, shape, dtype)
    # SciPy sees the costs times a power of two, whose differences do not overflow.
    small = np.ldexp(cost.astype(np.float64), -70)
    try:
        best = small[scipy_assignment(small)]
    except ValueError:
        with pytest.raises(InfeasibleError):
            assign(cost)
        return
    with _execution.forced(isa):
        turned = assign(cost.T)
        answers = [
            assign(cost),
            assign(-cost, maximize=True),
            assign(cost, max_cost=math.inf),
            turned.__replace__(
                col_of_row=turned.row_of_col,
                row_of_col=turned.col_of_row,
                row_dual=turned.col_dual,
                col_dual=turned.row_dual,
            ),
        ]
        batch = assign([cost] * 20)
    for found in answers:
        rows = np.flatnonzero(found.col_of_row >= 0)
        assert len(rows) == min(shape)
        off = abs(math.fsum(small[rows, found.col_of_row[rows]]) - math.fsum(best))
        assert off <= total_tolerance(dtype, best)
        # A proof needs duals and a total that can be stored.
        duals = np.abs(np.concatenate([found.row_dual, found.col_dual]))
        stored = np.isfinite(found.total) and (duals < np.finfo(duals.dtype).max).all()
        assert found.status == (Status.OK if stored else Status.PRECISION_LIMIT)
        assert np.isfinite(duals).all()
    for columns, status in zip(batch.col_of_row, batch.status, strict=True):
        assert columns.tolist() == answers[0].col_of_row.tolist()
        assert status == answers[0].status


def test_a_total_whose_parts_overflow() -> None:
    cost = np.diag([1.5e308, 1.5e308, -1.5e308, 0.0]) + np.where(np.eye(4), 0, math.inf)
    found = assign(cost)
    assert found.total == 1.5e308
    assert found.status == Status.OK


def test_a_limit_near_the_largest_number_is_searched_safely() -> None:
    # Differences from such a limit overflow in float32, and a dual is beyond its range.
    cost = np.array([[-2.06e37, np.inf], [3.4e38, 3.4e38], [-6e37, 3.4e38], [np.inf, -2.7e37]])
    for _ in range(20):
        with pytest.warns(RuntimeWarning, match="could not be proved"):
            found = assign(cost.astype(np.float32), max_cost=3.402e38)
        assert found.pairs().tolist() == [[2, 0], [3, 1]]
