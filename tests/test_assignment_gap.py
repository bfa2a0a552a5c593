"""`Assignment.gap` is a proof: never below the true distance, in exact arithmetic."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from scipy.optimize import linear_sum_assignment as scipy_assignment

from coalign import Assignment, InfeasibleError, assign
from oracles.assignment import every_matching

Array = npt.NDArray[Any]

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "maximised": {"maximize": True},
    "limit": {"max_cost": 1.5},
    "limit, maximised": {"maximize": True, "max_cost": 1.5},
    "large limit": {"max_cost": 1e9},
    "as many as possible": {"max_cost": math.inf},
    "as many as possible, maximised": {"maximize": True, "max_cost": -math.inf},
}


def exactly(values: Any) -> list[list[Fraction | None]]:
    """Costs without any rounding; None where a pair is forbidden."""
    rows = np.asarray(values, np.float64).tolist()
    return [[None if math.isinf(c) else Fraction(c) for c in row] for row in rows]


def distances(cost: Any, found: Any) -> list[Fraction]:
    """How far the pairs, and the total, of one problem are from the optimum: by every matching."""
    sign = -1 if found.maximize else 1
    costs = exactly(cost)
    n, m = np.shape(cost)
    limit = 0
    pairs = [(i, int(j)) for i, j in enumerate(found.col_of_row) if j >= 0]
    if found.max_cost is None:
        sizes = {min(n, m)}
    elif math.isinf(found.max_cost):
        sizes = {len(pairs)}
    else:
        limit = Fraction(found.max_cost)
        sizes = set(range(min(n, m) + 1))

    def value(matching: list[tuple[int, int]]) -> Fraction | None:
        paired = [costs[i][j] for i, j in matching]
        if None in paired:
            return None
        return sign * sum((c - limit for c in paired if c is not None), Fraction(0))

    values = [value(matching) for matching in every_matching(n, m) if len(matching) in sizes]
    best = min(v for v in values if v is not None)
    own = value(pairs)
    assert own is not None
    total = sign * (Fraction(float(found.total)) - limit * len(pairs))
    return [own - best, total - best]


def spoilt(found: Any, rng: np.random.Generator) -> Iterator[Any]:
    """Results that are wrong: other pairs, other duals."""
    columns = np.array(found.col_of_row)
    rows = np.flatnonzero(columns >= 0)
    if len(rows) > 1:
        swapped = columns.copy()
        swapped[rows[:2]] = columns[rows[1::-1]]
        yield found.__replace__(col_of_row=swapped)
    for size in (1e-16, 1e-6, 1.0, 1e9, 1e200):
        with np.errstate(all="ignore"):
            duals = [
                side + size * rng.normal(size=len(side)) * (1 + abs(side))
                for side in (found.row_dual, found.col_dual)
            ]
        yield found.__replace__(row_dual=duals[0], col_dual=duals[1])
    for value in (0.0, math.inf, -math.inf, math.nan, 1.7e308):
        duals = [np.full(len(side), value) for side in (found.row_dual, found.col_dual)]
        yield found.__replace__(row_dual=duals[0], col_dual=duals[1])


def families(rng: np.random.Generator, shape: tuple[int, int]) -> Iterator[tuple[str, Array]]:
    """Costs as users have them, sentinels beside them, and the ends of the range."""
    plain = rng.random(shape)
    yield "uniform", plain
    yield "normal", rng.normal(size=shape)
    yield "integers", rng.integers(0, 4, shape).astype(float)
    yield "constant", np.full(shape, 0.1)
    yield "log-uniform", 10 ** rng.uniform(-20, 20, shape)
    for value in (1e5, 1e20, 2.0**31 - 1, 1e300, 1.7e308, -1.7e308, math.inf):
        beside = plain.copy()
        beside[rng.random(shape) < 0.3] = value
        yield f"beside {value}", beside
    both = rng.choice([1.7e308, -1.7e308, 1.0], size=shape)
    yield "largest of both signs", both
    yield "subnormal", rng.integers(-3, 4, shape) * 5e-324


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4), (4, 2), (4, 4)])
def test_no_gap_is_below_the_true_distance(shape: tuple[int, int], dtype: str, name: str) -> None:
    options = OPTIONS[name]
    rng = np.random.default_rng([*shape, len(name)])
    for family, values in families(rng, shape):
        with np.errstate(all="ignore"):
            cost = (-values if options.get("maximize") else values).astype(dtype)
        forbidden = -math.inf if options.get("maximize") else math.inf
        cost[np.isinf(cost)] = forbidden
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # It cannot prove the total.
                found = assign(cost, **options)
        except InfeasibleError:
            continue
        for result in (found, *spoilt(found, rng)):
            gap = result.gap(cost)
            assert type(gap) is np.float64
            assert gap >= 0, family  # Not NaN.
            if gap < math.inf:
                assert Fraction(float(gap)) >= max(0, *distances(cost, result)), family


def exact_bound(cost: Array, found: Any) -> Fraction:
    """The gap by its definition, in Fractions."""
    n, m = cost.shape
    sign = -1 if found.maximize else 1
    columns = found.col_of_row.tolist()
    flips = found.max_cost is None and n > m
    lines = [*zip(*exactly(cost), strict=True)] if flips else exactly(cost)
    own = [columns.index(j) for j in range(m)] if flips else columns
    prices = [sign * Fraction(float(v)) for v in (found.row_dual if flips else found.col_dual)]
    if found.max_cost is not None or n != m:
        prices = [min(price, Fraction(0)) for price in prices]
    limit: Fraction | None = None
    if found.max_cost is not None:
        limit = sign * Fraction(found.max_cost)
    bound, excess = Fraction(0), sign * Fraction(float(found.total))
    for line, other in zip(lines, own, strict=True):
        reduced = [sign * c - price for c, price in zip(line, prices, strict=True) if c is not None]
        least = min(reduced if limit is None else [*reduced, limit])
        if other < 0:
            assert limit is not None
            bound += limit - least
        else:
            c = line[other]
            assert c is not None
            bound += sign * c - prices[other] - least
            excess -= sign * c
    bound -= sum(price for other, price in enumerate(prices) if other not in own)
    return bound + max(excess, Fraction(0))


@pytest.mark.parametrize("name", ["plain", "maximised", "limit", "limit, maximised", "large limit"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(9, 9), (5, 20), (20, 5), (17, 33)])
def test_a_gap_is_the_exact_bound_rounded_up(shape: tuple[int, int], dtype: str, name: str) -> None:
    options = OPTIONS[name]
    sign = -1 if options.get("maximize") else 1
    rng = np.random.default_rng([*shape, len(name)])
    for family, values in families(rng, shape):
        if abs(values).max() > 1e37 or family == "subnormal":
            continue
        cost = (sign * values).astype(dtype)
        found = assign(cost, **options)
        for result in (found, *itertools.islice(spoilt(found, rng), 5)):
            exact, gap = exact_bound(cost, result), Fraction(float(result.gap(cost)))
            assert exact <= gap <= exact * (1 + Fraction(1, 2**50)), family


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 4), (4, 2), (40, 40), (90, 70)])
def test_the_gap_of_an_optimum_is_no_more_than_rounding(shape: tuple[int, int], name: str) -> None:
    options = OPTIONS[name]
    rng = np.random.default_rng(shape)
    for dtype in ("float64", "float32"):
        cost = rng.normal(size=shape).astype(dtype)
        found = assign(cost, **options)
        # The duals have the roundings of the solver, each of at most half an ulp of a few.
        roundings = 8 * min(shape) * np.finfo(found.row_dual.dtype).eps * 4
        if name == "large limit":
            roundings *= 1e9
        assert found.gap(cost) <= roundings
        assert found.gap(-cost) > 0.01


@pytest.mark.parametrize("name", OPTIONS)
def test_an_optimum_of_integers_has_no_gap_at_all(name: str) -> None:
    options = OPTIONS[name]
    rng = np.random.default_rng(2)
    for shape in ((5, 5), (30, 30), (80, 80), (20, 70), (70, 20)):
        for dtype in ("int8", "int64", "float32", "bool"):
            if name == "large limit" and dtype == "float32":
                continue  # Its duals hold the limit or the costs.
            cost = rng.integers(0, 2 if dtype == "bool" else 99, shape).astype(dtype)
            gap = assign(cost, **options).gap(cost)
            assert gap == 0.0
            assert not np.signbit(gap)


def test_integers_past_2_to_the_53_are_those_of_float64() -> None:
    cost = np.array([[2**60 + 1, 2**60], [2**60, 2**60 + 7]])
    found = assign(cost)
    assert Fraction(float(found.gap(cost))) >= max(distances(cost.astype(float), found))
    assert found.gap(cost) == found.gap(cost.astype(float)) == 0


@pytest.mark.parametrize("value", [1e20, 1e17, 1e9])
def test_a_wrong_total_beside_a_sentinel_has_a_gap(value: float) -> None:
    # Prices as large as the sentinel hide costs of 1 in float64.
    rng = np.random.default_rng(4)
    for side in (5, 70):
        cost = rng.random((side, side))
        cost[0, 1] = value
        found = assign(cost)
        order = np.roll(np.arange(side), -2)
        wrong = found.__replace__(
            col_of_row=order,
            row_of_col=np.argsort(order),
            total=np.float64(cost[np.arange(side), order].sum()),
            col_dual=found.col_dual + value,
            row_dual=found.row_dual - value,
        )
        best = scipy_assignment(cost)
        least = sum(map(Fraction, cost[best]))
        true = sum(map(Fraction, cost[np.arange(side), order])) - least
        assert true > 0.1
        assert Fraction(float(wrong.gap(cost))) >= true
        true = sum(map(Fraction, cost[found.pairs()[:, 0], found.pairs()[:, 1]])) - least
        assert Fraction(float(found.gap(cost))) >= true


def test_the_gap_covers_the_roundings_of_the_total() -> None:
    rng = np.random.default_rng(5)
    higher = 0
    for _ in range(50):
        cost = rng.random((60, 60))
        found = assign(cost)
        exact = sum(map(Fraction, cost[found.pairs()[:, 0], found.pairs()[:, 1]]))
        excess = Fraction(float(found.total)) - exact
        higher += excess > 0
        assert Fraction(float(found.gap(cost))) >= excess
        more = found.__replace__(total=found.total + 0.5)
        assert Fraction(float(more.gap(cost))) + Fraction(1, 10**12) >= 0.5
        assert more.gap(cost) <= 0.5 + 1e-12
    assert higher > 10


def test_what_a_double_cannot_hold_is_rounded_up() -> None:
    # The pairs of the diagonal cost 1 and a little more than 0, and the others cost nothing.
    for size, little in ((1, 2.0**-60), (1, 5e-324), (2, 2.0**-100)):
        cost = np.zeros((2 * size, 2 * size))
        cost[0, 0], cost[1, 1] = little, 1.0
        cost[range(2, 2 * size), range(2, 2 * size)] = 2.0**-160
        diagonal = np.arange(2 * size)
        found = assign(cost).__replace__(
            col_of_row=diagonal,
            row_of_col=diagonal,
            total=np.float64(1),
            col_dual=np.zeros(2 * size),
        )
        assert found.gap(cost) > 1
        assert found.gap(cost) <= 1 + 2.0**-51


def test_infinite_duals_prove_nothing() -> None:
    cost = np.random.default_rng(14).random((3, 3))
    found = assign(cost)
    for value in (math.inf, -math.inf, math.nan):
        duals = found.col_dual.copy()
        duals[1] = value
        assert found.__replace__(col_dual=duals).gap(cost) == math.inf
    assert found.__replace__(total=np.float64(math.inf)).gap(cost) == math.inf
    assert found.__replace__(total=np.float64(math.nan)).gap(cost) == math.inf


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_no_matching_proves_nothing(name: str) -> None:
    cost = np.random.default_rng(6).random((4, 4))
    found = assign(cost, **OPTIONS[name])
    for columns in ([0, 0, 1, 2], [0, 1, 2, 4], [0, 1, 2, -2], [2**62, 1, 2, 3]):
        assert found.__replace__(col_of_row=np.array(columns)).gap(cost) == math.inf
    if found.max_cost is None:
        assert found.__replace__(col_of_row=np.array([0, 1, 2, -1])).gap(cost) == math.inf


def test_a_pair_that_is_forbidden_proves_nothing() -> None:
    cost = np.random.default_rng(7).random((3, 3))
    found = assign(cost)
    cost[0, found.col_of_row[0]] = np.inf
    assert found.gap(cost) == math.inf


@pytest.mark.parametrize("maximize", [False, True])
def test_values_that_are_no_costs_are_named(maximize: bool) -> None:
    for shape in ((3, 4), (4, 3), (30, 20)):
        cost = np.random.default_rng(8).random(shape)
        found = assign(cost, maximize=maximize)
        for value, words in ((np.nan, "NaN"), (np.inf if maximize else -np.inf, "inf")):
            for array in (cost.copy(), np.asfortranarray(cost)):
                array[2, 1] = array[2, 2] = value
                with pytest.raises(ValueError, match=rf"\Acost: -?{words} at index \(2, 1\); "):
                    found.gap(array)
                with pytest.raises(ValueError, match=rf"\Acost: -?{words} at index \(2, 1\); "):
                    found.gap(sparse.csr_array(array))


# Batches


def padded(rng: np.random.Generator, dtype: str = "float64") -> tuple[Array, Any, Any]:
    rows, columns = rng.integers(0, 6, (2, 20))
    batch = np.full((20, 5, 6), np.nan, dtype)
    for item, n, m in zip(batch, rows, columns, strict=True):
        item[:n, :m] = rng.normal(size=(n, m))
    return batch, rows, columns


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_padded_batch_is_bounded_within_its_lengths(name: str, dtype: str, door: str) -> None:
    batch, rows, columns = padded(np.random.default_rng(9), dtype)
    options = OPTIONS[name]
    found = assign(batch, row_lengths=rows, col_lengths=columns, **options)
    items = [item[:n, :m] for item, n, m in zip(batch, rows, columns, strict=True)]
    alone = [assign(item, **options).gap(item) for item in items]
    np.testing.assert_array_equal(found.gap(batch), alone)
    np.testing.assert_array_equal(found.gap(items), alone)
    np.testing.assert_array_equal(assign(items, **options).gap(items), alone)
    assert np.isfinite(alone).all()
    batch[3, 0, 0] = np.nan
    if rows[3] and columns[3]:
        with pytest.raises(ValueError, match=r"cost: NaN at index \(3, 0, 0\)"):
            found.gap(batch)


def test_lengths_stay_with_the_result(door: str) -> None:
    batch, rows, columns = padded(np.random.default_rng(10))
    found = assign(batch, row_lengths=rows, col_lengths=columns)
    for other in (found, pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        np.testing.assert_array_equal(other.row_lengths, rows)
        np.testing.assert_array_equal(other.col_lengths, columns)
        assert other.row_lengths.dtype == np.int64
        np.testing.assert_array_equal(other.gap(batch), found.gap(batch))
    with pytest.raises(ValueError, match="read-only"):
        found.row_lengths[0] = 1
    rows[:] = 0
    assert found.row_lengths.max() == 5
    assert "row_lengths=<int64 (20,)>" in repr(found)


def test_there_are_no_lengths_where_every_problem_fills_its_place(door: str) -> None:
    batch = np.random.default_rng(11).random((3, 4, 5))
    whole = {"row_lengths": np.full(3, 4), "col_lengths": [5, 5, 5]}
    for found in (assign(batch[0]), assign(list(batch)), assign(batch), assign(batch, **whole)):
        assert found.row_lengths is None
        assert found.col_lengths is None
    found = assign(batch, row_lengths=[4, 4, 3])
    assert found.row_lengths.tolist() == [4, 4, 3]
    assert found.col_lengths is None


def test_a_list_may_be_bounded_by_a_batch_and_a_batch_by_a_list() -> None:
    batch = np.random.default_rng(12).random((3, 4, 5))
    found = assign(batch)
    for given in (
        batch,
        list(batch),
        batch.astype(np.float32).astype(np.float64)[:, ::-1][:, ::-1],
    ):
        assert found.gap(given).shape == (3,)
    np.testing.assert_array_equal(found.gap(list(batch)), found.gap(batch))
    np.testing.assert_array_equal(assign(list(batch)).gap(batch), found.gap(batch))
    assert assign([]).gap([]).shape == (0,)
    assert assign(batch[:0]).gap(batch[:0]).shape == (0,)
    short = assign(batch, row_lengths=[4, 4, 3])
    for other in (batch[:, :3], batch[:2], list(batch), batch[0]):
        with pytest.raises(ValueError, match=r"\Acost: expected the shape that was solved\Z"):
            short.gap(other)


# Sparse


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_no_gap_of_sparse_costs_is_below_the_true_distance(
    shape: tuple[int, int], make: Any, name: str
) -> None:
    options = OPTIONS[name]
    rng = np.random.default_rng(shape)
    forbidden = -math.inf if options.get("maximize") else math.inf
    for _, scale in itertools.product(range(4), (1.0, 1e20)):
        # Integers and halves, so that duplicate entries add up without rounding.
        dense = rng.integers(0, 9, shape) / 2
        dense[rng.random(shape) < 0.3] *= scale
        rows, columns = np.nonzero(rng.random(shape) < 0.8)
        doubled = np.concatenate([dense[rows, columns] / 2] * 2)
        stored = make((doubled, (np.tile(rows, 2), np.tile(columns, 2))), shape=shape)
        cost = np.full(shape, forbidden)
        cost[rows, columns] = dense[rows, columns]
        try:
            found = assign(stored, **options)
        except InfeasibleError:
            continue
        assert found.gap(stored) == found.gap(cost)
        for result in (found, *spoilt(found, rng)):
            if any(math.isinf(cost[i, j]) for i, j in result.pairs()):
                with pytest.raises(ValueError, match="with an entry at each pair"):
                    result.gap(stored)
                continue
            gap = result.gap(stored)
            assert gap >= 0
            if gap < math.inf:
                assert Fraction(float(gap)) >= max(0, *distances(cost, result))


def test_integers_that_add_up_do_not_overflow() -> None:
    doubled = sparse.csr_array(
        (np.full(4, 100, np.int8), np.array([0, 0, 1, 1]), np.array([0, 2, 4])), shape=(2, 2)
    )
    found = assign(doubled)
    assert found.total == 400
    assert found.gap(doubled) == 0


def test_only_an_assignment_has_a_gap_of_its_fields() -> None:
    cost = np.random.default_rng(13).random((3, 3))
    found = assign(cost)
    rebuilt = Assignment(
        found.col_of_row,
        found.row_of_col,
        found.total,
        found.row_dual,
        found.col_dual,
        found.status,
        found.maximize,
        found.max_cost,
    )
    assert rebuilt.row_lengths is None
    assert rebuilt.gap(cost) == found.gap(cost)
