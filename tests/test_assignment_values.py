"""Matchings of `assign`, their totals and their proofs, against SciPy and every matching."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import linear_sum_assignment as scipy_assignment

from coalign import Assignment, InfeasibleError, Status, _core, _execution, assign
from oracles.assignment import (
    assert_certificate,
    brute_force,
    every_matching,
    least_gain,
    linear_program,
    most_pairs,
)
from oracles.compare import dual_tolerance, total_tolerance
from oracles.instances import COST_FAMILIES, Array, make_costs

# Both ways into native code are tried.
pytestmark = pytest.mark.usefixtures("door")

GOLDEN = [[8.0, 25.0, 50.0], [50.0, 35.0, 75.0], [22.0, 48.0, 150.0]]

# Around vectors of 2 to 16 lanes, and where prices are scaled first: from 32 rows on.
SIDES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 70)
SOME_SHAPES = ((1, 1), (2, 5), (7, 7), (9, 4), (17, 16), (33, 33), (40, 40), (34, 65), (65, 20))
# Where rows are long enough for lists of their cheapest columns.
LONG_SHAPES = ((205, 205), (402, 410), (420, 401))


def paired(cost: Any, found: Assignment) -> Array:
    """Costs of the pairs."""
    rows = np.flatnonzero(np.asarray(found.col_of_row) >= 0)
    return np.asarray(cost, np.float64)[rows, np.asarray(found.col_of_row)[rows]]


def on(isa: str, cost: Any, **options: Any) -> Assignment:
    """The assignment, once it is seen to have run on `isa`."""
    with _execution.forced(isa, work_per_thread=0) as runs:
        found = assign(cost, **options)
    assert {run.isa for run in runs} == {isa}
    return found


def scipy_total(cost: Any, maximize: bool = False) -> float:
    values = np.asarray(cost, np.float64)
    return math.fsum(values[scipy_assignment(values, maximize=maximize)])


def assert_optimal(cost: Any, found: Assignment, best: float, what: str = "") -> None:
    """The total is `best`, and the duals and the gap prove it."""
    values = np.asarray(cost)
    allowed = total_tolerance(found.col_dual.dtype, paired(cost, found))
    assert abs(float(found.total) - best) <= allowed, f"{what}: {found.total} for {best}"
    tolerance = dual_tolerance(found.col_dual.dtype, *values.shape)
    assert_certificate(values, found, tolerance, what=what)
    gap = float(found.gap(values))
    assert type(found.gap(values)) is np.float64
    sums = max(np.abs(found.row_dual).max(initial=0), np.abs(found.col_dual).max(initial=0))
    # A gap is a sum of duals and costs: it has their roundings, whatever the total.
    assert abs(gap) <= tolerance * float(sums) * sum(values.shape), f"{what}: gap {gap}"


# --- the oracles themselves -----------------------------------------------------------------------


def test_every_matching_is_looked_at_once() -> None:
    # Sum over k of C(3, k) C(4, k) k!: of 0, 1, 2 and 3 pairs.
    found = [tuple(matching) for matching in every_matching(3, 4)]
    assert len(found) == len(set(found)) == 1 + 12 + 36 + 24


SMALL_COSTS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    elements=st.one_of(st.integers(-3, 3).map(float), st.floats(-9, 9), st.just(math.inf)),
)


@given(SMALL_COSTS)
def test_two_oracles_agree(cost: Array) -> None:
    gain = least_gain(cost, 1.5)
    assert math.isclose(linear_program(cost, max_cost=1.5), gain, rel_tol=1e-9, abs_tol=1e-9)
    most = brute_force(cost, whole=False)
    assert most is not None
    assert most[0] == most_pairs(np.isfinite(cost))
    whole = brute_force(cost)
    assert (whole is None) == (most[0] < min(cost.shape))
    if whole is not None and np.isfinite(cost).all() and cost.size:
        assert math.isclose(linear_program(cost), whole[1], rel_tol=1e-9, abs_tol=1e-9)


# --- known answers --------------------------------------------------------------------------------


def test_three_by_three(isa: str, dtype: np.dtype) -> None:
    # Of the six matchings: 193, 131, 225, 122, 148, 107.
    cost = np.array(GOLDEN, dtype)
    found = on(isa, cost)
    assert found.total == 107.0
    assert found.col_of_row.tolist() == [2, 1, 0]
    assert found.row_of_col.tolist() == [2, 1, 0]
    assert found.pairs().tolist() == [[0, 2], [1, 1], [2, 0]]
    assert found.status == Status.OK
    assert found.status.dtype == np.int32
    assert found.total.dtype == np.float64
    assert found.row_dual.dtype == found.col_dual.dtype == dtype
    assert found.check() is found
    assert (found.maximize, found.max_cost) == (False, None)
    assert_optimal(cost, found, 107.0)


@pytest.mark.parametrize("n", [1, 2, 7, 16, 33, 70, 405])
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -7.25, 1e-30])
def test_a_constant_gives_the_identity(value: float, n: int, isa: str, dtype: np.dtype) -> None:
    for m in (n, n + 3, 2 * n):
        cost = np.full((n, m), value, dtype)
        for shaped in (cost, cost.T):
            found = on(isa, shaped)
            assert found.pairs().tolist() == [[i, i] for i in range(n)]
            assert on(isa, shaped, maximize=True).pairs().tolist() == [[i, i] for i in range(n)]


def test_a_sum_of_offsets_is_the_same_for_every_matching(isa: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-100, 100, 50), rng.integers(-100, 100, 50)
    cost = np.add.outer(a, b).astype(np.float64)
    assert on(isa, cost).total == a.sum() + b.sum()
    # 0.1 off the diagonal makes the identity the only best one.
    assert on(isa, cost + 0.1 * (1 - np.eye(50))).col_of_row.tolist() == list(range(50))


def test_machol_and_wien_pair_the_least_with_the_greatest(isa: str, dtype: np.dtype) -> None:
    cost = make_costs("Machol-Wien", 60, 60, dtype.name)
    assert on(isa, cost).col_of_row.tolist() == list(range(59, -1, -1))
    assert on(isa, cost, maximize=True).col_of_row.tolist() == list(range(60))


# --- against SciPy --------------------------------------------------------------------------------


@pytest.mark.parametrize("maximize", [False, True])
def test_every_shape_around_the_vectors(maximize: bool, isa: str, dtype: np.dtype) -> None:
    for family in ("0 to 99", "normal"):
        for n in SIDES:
            for m in (n, *SIDES[n % 3 :: 3]):
                cost = make_costs(family, n, m, dtype.name)
                found = on(isa, cost, maximize=maximize)
                best = scipy_total(cost, maximize)
                assert_optimal(cost, found, best, f"{family} {n} x {m}")


@pytest.mark.parametrize("family", COST_FAMILIES)
def test_every_family(family: str, isa: str, dtype: np.dtype) -> None:
    for n, m in SOME_SHAPES:
        cost = make_costs(family, n, m, dtype.name)
        assert_optimal(cost, on(isa, cost), scipy_total(cost), f"{n} x {m}")


@pytest.mark.parametrize("family", [name for name in COST_FAMILIES if name != "sparse"])
def test_every_family_maximised(family: str, isa: str, dtype: np.dtype) -> None:
    for n, m in SOME_SHAPES:
        cost = make_costs(family, n, m, dtype.name)
        found = on(isa, cost, maximize=True)
        assert_optimal(cost, found, scipy_total(cost, True), f"{n} x {m}")
        mirrored = on(isa, -cost)
        assert found.col_of_row.tolist() == mirrored.col_of_row.tolist()
        np.testing.assert_array_equal(found.row_dual, -mirrored.row_dual)
        np.testing.assert_array_equal(found.col_dual, -mirrored.col_dual)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(200, 200), (230, 400), (400, 210), (301, 301)])
@pytest.mark.parametrize("family", COST_FAMILIES)
def test_large_problems(family: str, n: int, m: int, isa: str, dtype: np.dtype) -> None:
    cost = make_costs(family, n, m, dtype.name)
    assert_optimal(cost, on(isa, cost), scipy_total(cost))


def test_a_sparse_problem_maximised(isa: str, dtype: np.dtype) -> None:
    for n, m in SOME_SHAPES:
        cost = -make_costs("sparse", n, m, dtype.name)
        assert_optimal(cost, on(isa, cost, maximize=True), scipy_total(cost, True), f"{n} x {m}")


# --- limits ---------------------------------------------------------------------------------------


LIMIT_FAMILIES = (
    "normal",
    "0 to 99",
    "plane",
    "rank 2",
    "log-uniform",
    "sparse",
    "offsets and noise",
)


@pytest.mark.parametrize("quantile", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("family", LIMIT_FAMILIES)
def test_a_limit(family: str, quantile: float, isa: str, dtype: np.dtype) -> None:
    for n, m in SOME_SHAPES + LONG_SHAPES:
        cost = make_costs(family, n, m, dtype.name)
        # One of the costs: pairs at exactly the limit are there to be refused.
        limit = float(np.quantile(cost[np.isfinite(cost)], quantile, method="nearest"))
        found = on(isa, cost, max_cost=limit)
        assert found.max_cost == limit
        of_pairs = paired(cost, found)
        assert (of_pairs < limit).all()
        # What costs the limit or more is worth as much as no pair.
        gains = np.minimum(np.asarray(cost, np.float64), limit) - limit
        best = math.fsum(gains[scipy_assignment(gains)])
        scale = np.append(of_pairs, limit * max(len(of_pairs), 1))
        allowed = total_tolerance(dtype, scale)
        assert abs(math.fsum(of_pairs - limit) - best) <= allowed, f"{n} x {m}"
        tolerance = dual_tolerance(dtype, n, m)
        assert_certificate(cost, found, tolerance, what=f"{n} x {m}")
        sums = max(np.abs(found.row_dual).max(), np.abs(found.col_dual).max())
        assert abs(found.gap(cost)) <= tolerance * sums * (n + m)


@pytest.mark.parametrize("family", ["normal", "+-1000", "plane"])
def test_a_limit_when_maximising_is_mirrored(family: str, isa: str, dtype: np.dtype) -> None:
    for n, m in SOME_SHAPES + LONG_SHAPES:
        cost = make_costs(family, n, m, dtype.name)
        limit = float(np.quantile(cost, 0.7, method="nearest"))
        found, mirrored = (
            on(isa, cost, max_cost=limit, maximize=True),
            on(isa, -cost, max_cost=-limit),
        )
        assert found.col_of_row.tolist() == mirrored.col_of_row.tolist()
        assert found.total == -mirrored.total
        np.testing.assert_array_equal(found.row_dual, -mirrored.row_dual)
        np.testing.assert_array_equal(found.col_dual, -mirrored.col_dual)
        assert (paired(cost, found) > limit).all()
        assert_certificate(cost, found, dual_tolerance(dtype, n, m))


@pytest.mark.parametrize("maximize", [False, True])
def test_costs_that_are_exactly_the_limit_make_no_pair(
    maximize: bool, isa: str, dtype: np.dtype
) -> None:
    sign = -1 if maximize else 1
    for n, m in SOME_SHAPES:
        found = on(isa, np.full((n, m), 3, dtype), max_cost=3.0, maximize=maximize)
        assert (found.col_of_row == -1).all()
        assert (found.row_of_col == -1).all()
        assert found.total == 0.0
        assert (found.row_dual == 3).all()
        assert (found.col_dual == 0).all()
        nearly = on(isa, np.full((n, m), 3 - sign, dtype), max_cost=3.0, maximize=maximize)
        assert len(nearly.pairs()) == min(n, m)
    ties = on(
        isa,
        sign * np.array([[3, 1], [1, 3], [3, 3]], dtype),
        max_cost=3.0 * sign,
        maximize=maximize,
    )
    assert ties.pairs().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("limit", [0.7, -0.7, 0.1, -0.1, 1 / 3, 1e-60, -1e-60, 3.4e38, -3.4e38])
def test_a_limit_is_compared_as_a_real_number(limit: float, isa: str) -> None:
    # float32 lies below some of these limits, and above others.
    nearest = np.float32(limit)
    for cost in (np.nextafter(nearest, np.float32(-np.inf)), nearest):
        for n, m in ((1, 1), (3, 70)):
            costs = np.full((n, m), cost)
            pairs = n if float(cost) < limit else 0
            assert len(on(isa, costs, max_cost=limit).pairs()) == pairs
            assert len(on(isa, -costs, max_cost=-limit, maximize=True).pairs()) == pairs
            pairs = n if float(cost) > limit else 0
            assert len(on(isa, costs, max_cost=limit, maximize=True).pairs()) == pairs


@pytest.mark.parametrize("limit", [3.5e38, 1e300])
def test_a_limit_beyond_float32_keeps_the_duals_finite(limit: float, isa: str) -> None:
    cost = np.array([[np.inf, np.inf], [0.25, 2], [3e38, 0.5]], np.float32)
    for sign, maximize in ((1, False), (-1, True)):
        found = on(isa, sign * cost, max_cost=sign * limit, maximize=maximize)
        assert found.total == sign * 0.75
        assert found.row_dual.dtype == found.col_dual.dtype == np.float64
        assert found.row_dual[0] == sign * limit
        assert np.isfinite(found.row_dual).all()
        assert np.isfinite(found.col_dual).all()
        # Nothing that costs less than a limit so low can be stored.
        none = on(isa, sign * cost, max_cost=-sign * limit, maximize=maximize)
        assert none.row_dual.tolist() == [-sign * limit] * 3
        assert none.pairs().shape == (0, 2)


def test_a_limit_below_zero_asks_for_gains_only(isa: str, dtype: np.dtype) -> None:
    cost = np.array([[-5, 1], [-4, -2], [0, 3]], dtype)
    found = on(isa, cost, max_cost=-1.0)
    assert found.pairs().tolist() == [[0, 0], [1, 1]]
    assert found.total == -7.0
    assert on(isa, cost, max_cost=-4.0).pairs().tolist() == [[0, 0]]
    assert on(isa, cost, max_cost=-5.0).pairs().tolist() == []


@given(SMALL_COSTS, st.sampled_from([-2.0, 0.0, 0.5, 1.0, 2.0, 3.0]))
def test_a_limit_against_every_matching(cost: Array, limit: float) -> None:
    found = assign(cost, max_cost=limit)
    gain = math.fsum(paired(cost, found) - limit)
    scale = np.append(paired(cost, found), limit * cost.shape[0])
    assert abs(gain - least_gain(cost, limit)) <= total_tolerance("float64", scale)
    assert_certificate(cost, found, dual_tolerance("float64", *cost.shape))


def assert_as_many_as_can_be(cost: Array, found: Assignment) -> None:
    best = brute_force(cost, whole=False)
    assert best is not None
    assert len(found.pairs()) == best[0]
    assert abs(found.total - best[1]) <= total_tolerance("float64", paired(cost, found))
    assert found.row_dual.dtype == np.float64
    assert_certificate(cost, found, dual_tolerance("float64", *cost.shape))


@given(SMALL_COSTS)
def test_as_many_pairs_as_can_be_against_every_matching(cost: Array) -> None:
    assert_as_many_as_can_be(cost, assign(cost, max_cost=math.inf))


@pytest.mark.parametrize(
    "cost",
    [
        [[0.0], [2e-323]],
        [[1e-19], [1e-18]],
        [[0.0], [1e-300]],
        [[3.0, math.inf], [1.0, math.inf], [1e20, 4.0]],
        [[math.inf, 1e-9, 2e-9], [math.inf, 3e-9, 1e-9], [math.inf] * 3, [1e20, 1e19, 1e20]],
        [[math.inf, 2e-9, 1e30], [math.inf, 1e-9, math.inf], [math.inf, 3e-9, math.inf]],
    ],
    ids=str,
)
def test_as_many_pairs_as_can_be_loses_no_small_cost_beside_a_large_one(cost: Any) -> None:
    for shaped in (np.array(cost), np.array(cost).T):
        assert_as_many_as_can_be(shaped, assign(shaped, max_cost=math.inf))


@pytest.mark.parametrize("density", [0.01, 0.03, 0.08])
def test_as_many_pairs_as_sparse_edges_allow(density: float, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng([int(100 * density)])
    for n, m in ((60, 60), (40, 90), (90, 40)):
        cost = np.where(rng.uniform(size=(n, m)) < density, rng.normal(size=(n, m)), np.inf)
        cost[0], cost[:, 0] = np.inf, np.inf
        found = on(isa, cost.astype(dtype), max_cost=math.inf)
        size = most_pairs(np.isfinite(cost))
        assert len(found.pairs()) == size < min(n, m)
        # Beside a limit past any gain, SciPy pairs all: one at the limit for each that is missing.
        big = 1e6
        padded = np.where(np.isfinite(cost), cost.astype(dtype), big)
        best = math.fsum(c for c in padded[scipy_assignment(padded)] if c != big)
        assert abs(found.total - best) <= total_tolerance("float64", paired(cost, found)) * 100
        assert_certificate(cost.astype(dtype), found, dual_tolerance("float64", n, m))
        mirrored = on(isa, -cost.astype(dtype), max_cost=-math.inf, maximize=True)
        assert mirrored.total == -found.total
        assert mirrored.col_of_row.tolist() == found.col_of_row.tolist()


def test_no_edge_at_all_makes_no_pair(isa: str, dtype: np.dtype) -> None:
    found = on(isa, np.full((3, 4), np.inf, dtype), max_cost=math.inf)
    assert found.pairs().shape == (0, 2)
    assert found.total == 0.0
    assert_certificate(np.full((3, 4), np.inf), found, 0.0)


# --- what cannot be matched -----------------------------------------------------------------------


@pytest.mark.parametrize("maximize", [False, True])
def test_problems_without_a_matching_are_named(maximize: bool, isa: str, dtype: np.dtype) -> None:
    sign = -1 if maximize else 1
    cost = sign * np.array([[1, np.inf], [2, np.inf]], dtype)
    words = "avoids the forbidden ones; max_cost=inf makes as many pairs as possible"
    with pytest.raises(InfeasibleError) as caught:
        on(isa, cost, maximize=maximize)
    assert str(caught.value) == f"no matching of all 2 pairs {words}"
    good = np.zeros((3, 2), dtype)
    with pytest.raises(InfeasibleError) as caught:
        on(isa, [good, cost.T, cost], maximize=maximize)
    assert str(caught.value) == f"problem 1: no matching of all 2 pairs {words}"
    with pytest.raises(InfeasibleError, match=r"\Aproblem 2: "):
        on(isa, np.stack([0 * cost[:, :1]] * 2 + [cost[:, 1:]]), maximize=maximize)


@pytest.mark.parametrize(
    ("n", "m"), [(2, 2), (40, 40), (70, 33), (33, 90), (100, 100), (211, 250), (405, 405)]
)
def test_one_row_too_many_ends(n: int, m: int, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng([n, m])
    k = min(n, m)
    cost = rng.uniform(size=(n, m)).astype(dtype)
    # k rows (or columns) that share k - 1 columns (or rows) between them.
    if n <= m:
        cost[:, k - 1 :] = np.inf
    else:
        cost[k - 1 :, :] = np.inf
    with pytest.raises(InfeasibleError):
        on(isa, cost)


def test_one_way_only(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    for n in (1, 5, 40, 64):
        order = rng.permutation(n)
        cost = np.full((n, n), np.inf, dtype)
        cost[np.arange(n), order] = rng.normal(size=n)
        assert on(isa, cost).col_of_row.tolist() == order.tolist()
        # A triangle: the diagonal is the only matching, and every row but one has cheaper ways.
        triangle = np.where(np.tri(n, dtype=bool), rng.uniform(size=(n, n)), np.inf)
        triangle[np.arange(n), np.arange(n)] = 9
        assert on(isa, triangle.astype(dtype)).col_of_row.tolist() == list(range(n))


# --- the proof ------------------------------------------------------------------------------------


PROVEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "maximised": {"maximize": True},
    "limit": {"max_cost": 0.4},
    "limit, maximised": {"maximize": True, "max_cost": 0.4},
    "as many pairs as possible": {"max_cost": math.inf},
    "as many pairs as possible, maximised": {"maximize": True, "max_cost": -math.inf},
}


@pytest.mark.parametrize("shape", [(9, 9), (6, 11), (11, 6)])
@pytest.mark.parametrize("options", PROVEN.values(), ids=PROVEN)
def test_spoilt_duals_prove_no_more(options: dict[str, Any], shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape)
    for _ in range(20):
        cost = rng.normal(size=shape)
        found = assign(cost, **options)
        assert abs(found.gap(cost)) < 1e-12
        for size in (1e-3, 1.0, 1e3):
            spoilt = found.__replace__(
                row_dual=found.row_dual + size * rng.normal(size=shape[0]),
                col_dual=found.col_dual + size * rng.normal(size=shape[1]),
            )
            assert spoilt.gap(cost) > -1e-12 * max(size, 1)
        # Duals of zero prove as much as the least cost of each row does: less than all.
        unproven = found.__replace__(row_dual=0 * found.row_dual, col_dual=0 * found.col_dual)
        assert unproven.gap(cost) > -1e-12


def test_the_gap_of_a_worse_matching_is_what_it_costs_more() -> None:
    rng = np.random.default_rng(5)
    cost = rng.uniform(size=(6, 6))
    for maximize in (False, True):
        found = assign(cost, maximize=maximize)
        order = rng.permutation(6)
        worse = found.__replace__(col_of_row=order, row_of_col=np.argsort(order))
        more = abs(cost[np.arange(6), order].sum() - found.total)
        assert more > 0.1
        assert math.isclose(worse.gap(cost), more, rel_tol=1e-12)
    limited = assign(cost, max_cost=0.5)
    no_pairs = {"col_of_row": np.full(6, -1), "row_of_col": np.full(6, -1), "total": np.float64(0)}
    none = limited.__replace__(**no_pairs)
    gain = 0.5 * len(limited.pairs()) - limited.total
    assert gain > 0.1
    assert math.isclose(none.gap(cost), gain, rel_tol=1e-12)


def test_the_gap_of_a_batch_is_one_of_each() -> None:
    costs = np.random.default_rng(6).uniform(size=(3, 4, 5))
    for given_costs in (costs, [*costs]):
        found = assign(given_costs)
        gaps = found.gap(given_costs)
        assert gaps.shape == (3,)
        assert gaps.dtype == np.float64
        np.testing.assert_array_equal(gaps, [assign(c).gap(c) for c in costs])
    with pytest.raises(ValueError, match=r"\Acost: expected the shape that was solved\Z"):
        assign(costs[0]).gap(costs[0].T)
    with pytest.raises(ValueError, match=r"\Acost: expected the shape that was solved\Z"):
        assign(costs).gap(costs[0])


# --- floating point at its ends -------------------------------------------------------------------


EXTREMES: dict[str, list[float]] = {
    "huge and tiny": [1e300, 1e-300, 1.0, 0.0],
    "huge of both signs": [1e300, -1e300, 5e299, 0.0],
    "denormal": [0.0, 5e-324, 1e-323, 2e-323, 1e-310],
    "zeros of both signs": [0.0, -0.0],
    "neighbours": [1.0, np.nextafter(1, 2), np.nextafter(1, 0)],
    "near infinity": [4e307, 3e307, 0.0],
    "huge, or forbidden": [1e300, 2e300, math.inf],
    "ties": [1.0, 2.0],
    "of both infinitesimal signs": [-5e-324, 5e-324, 0.0],
}


@pytest.mark.parametrize("values", EXTREMES.values(), ids=EXTREMES)
def test_extreme_costs(values: list[float], isa: str) -> None:
    rng = np.random.default_rng(len(values))
    for _ in range(60):
        n, m = rng.integers(1, 5, 2)
        cost = rng.choice(values, (n, m))
        best = brute_force(cost)
        if best is None:
            with pytest.raises(InfeasibleError):
                on(isa, cost)
            continue
        found = on(isa, cost)
        assert len(found.pairs()) == min(n, m)
        # Costs of both signs may cancel to any small total: both matchings' costs are the scale.
        largest = np.append(paired(cost, found), np.abs(cost[np.isfinite(cost)]).max())
        off = abs(math.fsum(paired(cost, found)) - best[1])
        assert off <= total_tolerance("float64", largest / 4) * 4


def test_one_finite_entry_in_each_row(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(8)
    for n, m in ((5, 5), (33, 33), (20, 50), (407, 407), (30, 230)):
        columns = rng.permutation(m)[:n]
        cost = np.full((n, m), np.inf, dtype)
        cost[np.arange(n), columns] = rng.normal(size=n)
        for shaped in (cost, cost.T):
            found = on(isa, shaped)
            assert_optimal(shaped, found, math.fsum(cost[np.arange(n), columns].astype(float)))
        cost[0, columns[0]], cost[0, columns[1]] = np.inf, 0
        with pytest.raises(InfeasibleError):
            on(isa, cost)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["integers", "ties and forbidden", "normal", "log-uniform"])
def test_very_many_small_problems(kind: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(9)
    count = 25_000
    problems: list[Array] = []
    for n, m in rng.integers(1, 9, (count, 2)).tolist():
        if kind == "integers":
            cost = rng.integers(-50, 50, (n, m)).astype(dtype)
        elif kind == "normal":
            cost = rng.normal(size=(n, m)).astype(dtype)
        elif kind == "log-uniform":
            cost = (10 ** rng.uniform(-20, 20, (n, m))).astype(dtype)
        else:
            cost = rng.choice([0, 1, 2, np.inf], (n, m)).astype(dtype)
            k = min(n, m)
            cost[rng.permutation(n)[:k], rng.permutation(m)[:k]] = 3
        problems.append(cost)
    found = assign(problems)
    assert (found.status == Status.OK).all()
    for cost, total, columns in zip(problems, found.total, found.col_of_row, strict=True):
        rows = np.flatnonzero(columns >= 0)
        assert len(set(columns[rows].tolist())) == len(rows) == min(cost.shape)
        allowed = total_tolerance(dtype, cost[rows, columns[rows]])
        assert abs(total - scipy_total(cost)) <= allowed


# --- work -----------------------------------------------------------------------------------------


def scans_per_row(
    cost: Array,
    isa: str,
    maximize: bool = False,
    start: Any = None,
    limit: float | None = None,
) -> float:
    """How often a row was gone through, on the average."""
    with _execution.forced(isa):
        *_, (bids, paths) = _core.assign(
            np.array(cost), maximize, limit, None, None, start, 1, None, True
        )
    return (bids + paths) / len(cost)


@pytest.mark.parametrize("n", [50, 200])
@pytest.mark.parametrize("family", COST_FAMILIES)
def test_no_family_makes_the_solver_go_through_rows_for_long(
    family: str, n: int, isa: str, dtype: np.dtype
) -> None:
    cost = make_costs(family, n, n, dtype.name)
    assert scans_per_row(cost, isa) <= 75
    assert scans_per_row(np.where(np.isfinite(cost), cost, -1e6), isa, maximize=True) <= 75


@pytest.mark.parametrize("n", [100, 200])
def test_a_shift_of_all_costs_makes_no_more_work(n: int, isa: str) -> None:
    for family in ("uniform", "plane", "rank 4"):
        cost = make_costs(family, n, n, "float64")
        plain = scans_per_row(cost, isa)
        assert scans_per_row(1000 + cost, isa) <= 1.5 * plain + 1
        assert scans_per_row(1000 * cost, isa) <= 1.5 * plain + 1


@pytest.mark.parametrize(("family", "most"), [("uniform", 1.5), ("0 to 99", 4), ("plane", 8)])
def test_lists_of_candidates_spare_most_passes(family: str, most: float, isa: str) -> None:
    # Without them 7.0, 9.6 and 25.8. Of ties, most are short looks for a free column.
    cost = make_costs(family, 400, 400, "float64")
    assert 0.5 < scans_per_row(cost, isa) <= most
    assert_optimal(cost, on(isa, cost), scipy_total(cost))


@pytest.mark.parametrize(("family", "most"), [("uniform", 0.3), ("plane", 0.6)])
def test_paths_along_nearest_columns_spare_most_passes(family: str, most: float, isa: str) -> None:
    # Passes alone are 0.6 and 0.9 of a row here. With two lanes few columns are known.
    costs = [make_costs(family, 60, 120, "float64", seed) for seed in range(10)]
    passes = sum(scans_per_row(cost, isa) for cost in costs) / len(costs)
    assert 0 < passes <= (1 if isa == "v2" else most)
    for cost in costs:
        assert_optimal(cost, on(isa, cost), scipy_total(cost))


@pytest.mark.parametrize("family", ["uniform", "rank 4", "0 to 99"])
def test_a_row_that_may_take_no_column(family: str, isa: str, dtype: np.dtype) -> None:
    cost = make_costs(family, 70, 120, dtype.name)
    for i in (0, 69):
        spoilt = cost.copy()
        spoilt[i] = math.inf
        with pytest.raises(InfeasibleError):
            on(isa, spoilt)


def test_rows_of_few_affordable_columns_are_gone_through_once(isa: str, dtype: np.dtype) -> None:
    cost = make_costs("uniform", 420, 500, dtype.name)
    # The first look does not count. Below 0.2 are more columns than a list holds.
    assert scans_per_row(cost, isa, limit=0.02) == 0
    assert scans_per_row(-cost, isa, maximize=True, limit=-0.02) == 0
    assert scans_per_row(cost, isa, limit=0.2) > 0


@pytest.mark.parametrize("n", [200, 410])
def test_the_candidates_of_rows_with_many_alike(n: int, isa: str, dtype: np.dtype) -> None:
    # More of the least than a list holds, in every place of a row; and least costs far apart.
    rng = np.random.default_rng(n)
    for alike in (20, 40, 100, n):
        cost = rng.uniform(1, 2, (n, n)).astype(dtype)
        for i in range(n):
            cost[i, rng.permutation(n)[:alike]] = i % 3
        assert_optimal(cost, on(isa, cost), scipy_total(cost), str(alike))
    largest = 0.9 * float(np.finfo(dtype).max) / n
    cost = rng.choice([-largest, -1.0, 0.0, np.finfo(dtype).tiny, largest], (n, n)).astype(dtype)
    found = on(isa, cost)
    allowed = total_tolerance(dtype, np.append(paired(cost, found), largest))
    assert abs(found.total - scipy_total(cost)) <= allowed


def test_offsets_of_rows_and_columns_are_seen_through(isa: str, dtype: np.dtype) -> None:
    # Initialisation alone solves them: each row is gone through a few times.
    cost = make_costs("offsets and a diagonal", 200, 200, "float64")
    assert scans_per_row(cost, isa) <= 10


# --- warm starts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("family", ["uniform", "plane", "rank 4", "0 to 99", "offsets and noise"])
def test_a_warm_start_gives_the_optimum_whatever_it_starts_from(
    family: str, maximize: bool, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(10)
    for n in (1, 5, 17, 40, 70):
        cost = make_costs(family, n, n, dtype.name)
        cold = on(isa, cost, maximize=maximize)
        best = scipy_total(cost, maximize)
        earlier = {
            "itself": cold,
            "another": assign(make_costs(family, n, n, dtype.name, 1), maximize=maximize),
            "another family": assign(make_costs("+-1000", n, n, "float64"), maximize=maximize),
            "noise": cold.__replace__(col_dual=rng.normal(size=n) * 100),
            "other pairs": cold.__replace__(col_of_row=rng.permutation(n)),
            "pairs that are none": cold.__replace__(col_of_row=rng.integers(-n, 2 * n, n)),
            "zeros": cold.__replace__(col_dual=np.zeros(n)),
        }
        for name, start in earlier.items():
            found = on(isa, cost, maximize=maximize, warm_start=start)
            assert found.col_dual.dtype == dtype
            assert_optimal(cost, found, best, f"{n}, {name}")


def test_a_warm_start_from_the_answer_has_little_to_do(isa: str) -> None:
    cost = make_costs("plane", 200, 200, "float64")
    found = assign(cost)
    start = found.col_dual, found.col_of_row
    # Every row is gone through once, for costs that are none; rounding of prices frees a few.
    assert 1 <= scans_per_row(cost, isa, start=start) <= 1.5 < 0.5 * scans_per_row(cost, isa)


def test_a_warm_start_keeps_pairs_that_are_as_good_as_any(isa: str, dtype: np.dtype) -> None:
    for n in (5, 40, 500):
        cost = np.full((n, n), 3, dtype)
        pairs = np.random.default_rng(n).permutation(n)
        start = assign(cost).__replace__(col_of_row=pairs)
        assert on(isa, cost, warm_start=start).col_of_row.tolist() == pairs.tolist()


def test_a_warm_start_from_prices_far_above_the_costs(isa: str, dtype: np.dtype) -> None:
    # Beside such prices costs lie within a few roundings of each other.
    most = 1.1e7 if dtype == np.float32 else 1.1e16
    cost = np.array([[0, 3, most], [3, 0, most], [most, most, 0]], dtype)
    prices = np.array([0.9 * most, 0.9 * most, 0]).astype(dtype)
    start = assign(cost).__replace__(col_dual=prices, col_of_row=np.array([1, 0, 2]))
    assert on(isa, cost, warm_start=start).total == 0


def test_warm_starts_of_batches_and_other_shapes() -> None:
    rng = np.random.default_rng(11)
    batch = rng.uniform(size=(4, 9, 9))
    for costs in (batch, [*batch], [batch[0], batch[1, :5, :5]]):
        cold = assign(costs)
        warm = assign(costs, warm_start=cold)
        np.testing.assert_allclose(warm.total, cold.total, rtol=1e-12)
    lengths = [9, 3, 1, 5]
    cold = assign(batch, row_lengths=lengths, col_lengths=lengths)
    warm = assign(batch, row_lengths=lengths, col_lengths=lengths, warm_start=cold)
    np.testing.assert_allclose(warm.total, cold.total, rtol=1e-12)
    # What lies past the lengths says nothing of longer problems that were there before.
    warm = assign(batch, row_lengths=lengths, col_lengths=lengths, warm_start=assign(batch))
    for p, length in enumerate(lengths):
        assert (warm.col_of_row[p, length:] == -1).all()
        assert not warm.col_dual[p, length:].any()
    for options in ({"max_cost": 0.3}, {}):
        wide = batch[0, :5]
        cold = assign(wide, **options)
        warm = assign(wide, warm_start=cold, **options)
        assert warm.col_of_row.tolist() == cold.col_of_row.tolist()
        assert_certificate(wide, warm, dual_tolerance("float64", 5, 9))


# --- detectors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [10, 30, 60])
def test_queries_against_objects(columns: int, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(columns)
    costs = rng.normal(size=(20, 30, columns)).astype(dtype)
    lengths = rng.integers(0, columns + 1, 20)
    with _execution.forced(isa, work_per_thread=0):
        found = assign(costs, col_lengths=lengths, threads=2)
    for p, (cost, length) in enumerate(zip(costs, lengths, strict=True)):
        used = cost[:, :length]
        rows = np.flatnonzero(found.col_of_row[p] >= 0)
        assert len(rows) == min(30, length)
        best = scipy_total(used)
        allowed = total_tolerance(dtype, used[rows, found.col_of_row[p][rows]])
        assert abs(found.total[p] - best) <= allowed
