"""Costs of `dtw` and `dtw_cdist` against plain loops, by every engine and instruction set."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cdist

import coalign
from coalign import InfeasibleError, Status, _execution, slanted
from oracles.compare import (
    PROMISED,
    assert_close,
    assert_same_bits,
    cosine_tolerance,
    provable_tolerance,
)
from oracles.instances import Array, make_series, make_staircase, pad
from oracles.warping import accumulate, brute_force, local_costs, within

# Both ways into native code are tried.
pytestmark = pytest.mark.usefixtures("door")

FRAME_METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")
DIMS = (1, 2, 3, 17)

# Around the blocks of 8 rows and 6 steps, vectors of 2 to 16 lanes, and strips of 16 to 128 rows.
LENGTHS = (1, 2, 5, 6, 7, 8, 9, 16, 17, 63, 64, 65, 127, 129, 257)
SOME_LENGTHS = (1, 5, 9, 17, 40, 130)

# A path fits each of these, whatever the lengths.
WINDOWS = {
    "none": None,
    "band 0": 0,
    "band 3": 3,
    "slanted 1": slanted(1),
    "slanted 4": slanted(4),
}

Engine = Callable[..., Array]


def pair_by_pair(xs: list[Array], ys: list[Array], **options: Any) -> Array:
    """One call for each pair."""
    return np.array([[coalign.dtw(x, y, threads=1, **options).cost for y in ys] for x in xs])


def pair_by_pair_with_path(xs: list[Array], ys: list[Array], **options: Any) -> Array:
    """One call for each pair, of the engine for a single pair even where it is small."""
    return pair_by_pair(xs, ys, path=True, **options)


def ragged_batch(xs: list[Array], ys: list[Array], **options: Any) -> Array:
    """All pairs as one ragged batch."""
    pairs_x = [x for x in xs for _ in ys]
    pairs_y = [y for _ in xs for y in ys]
    return coalign.dtw(pairs_x, pairs_y, **options).cost.reshape(len(xs), len(ys))


def padded_batch(xs: list[Array], ys: list[Array], **options: Any) -> Array:
    """All pairs as one padded batch, with NaN past the lengths."""
    x, x_lengths = pad([x for x in xs for _ in ys])
    y, y_lengths = pad([y for _ in xs for y in ys])
    warping = coalign.dtw(x, y, x_lengths=x_lengths, y_lengths=y_lengths, **options)
    return warping.cost.reshape(len(xs), len(ys))


def one_against_batch(xs: list[Array], ys: list[Array], **options: Any) -> Array:
    """One call for each x."""
    return np.array([coalign.dtw(x, ys, **options).cost for x in xs])


def all_pairs(xs: list[Array], ys: list[Array], **options: Any) -> Array:
    """One call for all."""
    return coalign.dtw_cdist(xs, ys, **options)


def all_pairs_padded(xs: list[Array], ys: list[Array], **options: Any) -> Array:
    """One call for all, with NaN past the lengths."""
    X, x_lengths = pad(xs)
    Y, y_lengths = pad(ys)
    return coalign.dtw_cdist(X, Y, x_lengths=x_lengths, y_lengths=y_lengths, **options)


ENGINES: tuple[Engine, ...] = (
    pair_by_pair,
    pair_by_pair_with_path,
    ragged_batch,
    padded_batch,
    one_against_batch,
    all_pairs,
    all_pairs_padded,
)


@cache
def collections(
    lengths: tuple[int, ...], dim: int, dtype: str, values: str
) -> tuple[list[Array], list[Array]]:
    """Two collections with a series of each length."""
    rng = np.random.default_rng([len(lengths), dim, values == "integers"])
    xs = [make_series(rng, length, dim, dtype, values) for length in lengths]
    return xs, [make_series(rng, length, dim, dtype, values) for length in lengths]


@cache
def expected_costs(
    lengths: tuple[int, ...], dim: int, dtype: str, values: str, metric: str, window: str
) -> Array:
    """The oracle's costs of all pairs of `collections`."""
    xs, ys = collections(lengths, dim, dtype, values)
    return np.array(
        [
            [accumulate(within(local_costs(x, y, metric), WINDOWS[window]))[-1, -1] for y in ys]
            for x in xs
        ]
    )


# --- the oracles themselves -----------------------------------------------------------------------


@given(
    arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements=st.one_of(st.floats(-9, 9), st.just(math.inf)),
    )
)
def test_the_plain_loop_finds_what_looking_at_every_path_finds(cost: Array) -> None:
    assert accumulate(cost)[-1, -1] == brute_force(cost)[0]


@pytest.mark.parametrize("metric", FRAME_METRICS)
@pytest.mark.parametrize("dim", DIMS)
def test_the_oracle_local_costs_are_those_of_scipy(metric: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    x, y = rng.normal(size=(7, dim)), rng.normal(size=(5, dim))
    # A cosine cost near 0 keeps the absolute error of the 1 that it is taken from.
    np.testing.assert_allclose(
        local_costs(x, y, metric), cdist(x, y, metric), rtol=1e-13, atol=1e-15
    )


# --- every engine against the oracle --------------------------------------------------------------


def assert_engines(
    engines: tuple[Engine, ...], xs: list[Array], ys: list[Array], isa: str, **options: Any
) -> Array:
    """Costs of all pairs, on `isa`, once every engine has given the same bits."""
    with _execution.forced(isa) as runs:
        first, *others = (engine(xs, ys, **options) for engine in engines)
    assert {run.isa for run in runs} == {isa}
    for engine, costs in zip(engines[1:], others, strict=True):
        assert_same_bits(costs, first, f"{engine.__name__}, {options}")
    return first


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("metric", FRAME_METRICS)
def test_costs(metric: str, dim: int, isa: str, dtype: np.dtype) -> None:
    xs, ys = collections(SOME_LENGTHS, dim, dtype.name, "normal")
    steps = 2 * max(SOME_LENGTHS)
    engines = ENGINES if dim == 1 else ENGINES[1:]
    windows = {1: WINDOWS, 2: ("slanted 1",), 3: ("none",), 17: ("none", "band 3")}
    for window in windows[dim]:
        costs = assert_engines(engines, xs, ys, isa, metric=metric, window=WINDOWS[window])
        assert costs.dtype == dtype
        expected = expected_costs(SOME_LENGTHS, dim, dtype.name, "normal", metric, window)
        assert_close(costs, expected, dtype, steps, metric=metric, dim=dim, what=window)


@pytest.mark.parametrize("window", WINDOWS)
def test_costs_at_the_edges_of_every_block(window: str, isa: str, dtype: np.dtype) -> None:
    # Integers: no rounding, so no tolerance.
    xs, ys = collections(LENGTHS, 1, dtype.name, "integers")
    engines = (pair_by_pair_with_path, ragged_batch, all_pairs)
    costs = assert_engines(engines, xs, ys, isa, window=WINDOWS[window])
    expected = expected_costs(LENGTHS, 1, "float64", "integers", "sqeuclidean", window)
    np.testing.assert_array_equal(costs, expected)


@pytest.mark.parametrize("metric", ["sqeuclidean", "cityblock"])
@pytest.mark.parametrize("dim", [2, 3, 17])
def test_costs_of_integer_frames_are_exact(
    dim: int, metric: str, isa: str, dtype: np.dtype
) -> None:
    xs, ys = collections(SOME_LENGTHS, dim, dtype.name, "integers")
    engines = (pair_by_pair_with_path, all_pairs)
    for window in ("none", "slanted 4"):
        costs = assert_engines(engines, xs, ys, isa, metric=metric, window=WINDOWS[window])
        expected = expected_costs(SOME_LENGTHS, dim, "float64", "integers", metric, window)
        np.testing.assert_array_equal(costs, expected, err_msg=window)


@cache
def staircase_problem(n: int, m: int, dim: int, dtype: str, metric: str) -> tuple[Any, ...]:
    """Enough pairs of one shape to fill a vector's lanes, a window of rows, and the costs."""
    rng = np.random.default_rng([n, m, dim])
    xs = [make_series(rng, n, dim, dtype) for _ in range(4)]
    ys = [make_series(rng, m, dim, dtype) for _ in range(5)]
    window = make_staircase(rng, n, m)
    expected = [
        [accumulate(within(local_costs(x, y, metric), window))[-1, -1] for y in ys] for x in xs
    ]
    return xs, ys, window, np.array(expected)


@pytest.mark.parametrize(("metric", "dim"), [("euclidean", 1), ("sqeuclidean", 3), ("cosine", 2)])
@pytest.mark.parametrize(
    ("n", "m"),
    [
        (1, 5),
        (5, 1),
        (2, 2),
        (7, 9),
        (8, 8),
        (9, 64),
        (65, 17),
        (63, 65),
        (130, 60),
        (17, 140),
        (150, 31),
    ],
)
def test_costs_in_windows_given_by_rows(
    n: int, m: int, metric: str, dim: int, isa: str, dtype: np.dtype
) -> None:
    xs, ys, window, expected = staircase_problem(n, m, dim, dtype.name, metric)
    costs = assert_engines(ENGINES[1:], xs, ys, isa, metric=metric, window=window)
    assert_close(costs, expected, dtype, n + m, metric=metric, dim=dim)


@cache
def long_problem(n: int, m: int, dim: int, window: str) -> tuple[Array, Array, float]:
    rng = np.random.default_rng([n, m, dim])
    x = make_series(rng, n, dim, "float32", "integers")
    y = make_series(rng, m, dim, "float32", "integers")
    cost = accumulate(within(local_costs(x, y, "cityblock"), WINDOWS[window]))[-1, -1]
    return x, y, cost


@pytest.mark.parametrize("window", ["none", "band 3", "slanted 4"])
@pytest.mark.parametrize(
    ("n", "m", "dim"),
    [
        # Several strips of the widest lanes.
        (385, 130, 1),
        (400, 391, 1),
        # A strip so wide that it is run in several stretches.
        (9, 6500, 17),
        (6500, 9, 17),
    ],
)
def test_costs_of_long_series(
    n: int, m: int, dim: int, window: str, isa: str, dtype: np.dtype
) -> None:
    x, y, expected = long_problem(n, m, dim, window)
    x, y = x.astype(dtype), y.astype(dtype)
    options: dict[str, Any] = {"metric": "cityblock", "window": WINDOWS[window]}
    with _execution.forced(isa) as runs:
        alone = coalign.dtw(x, y, **options).cost
        among_others = coalign.dtw_cdist([x[: n // 2 + 1], x], [y, y, y[: m // 2 + 1]], **options)
    assert {run.isa for run in runs} == {isa}
    assert alone == expected
    assert among_others[1].tolist()[:2] == [expected, expected]


def test_a_collection_with_itself_is_the_same_as_with_its_copy(isa: str, dtype: np.dtype) -> None:
    # 37: more than two blocks of 16 series, the last of them not full.
    rng = np.random.default_rng(0)
    xs = [make_series(rng, length, 2, dtype) for length in rng.integers(1, 90, 37)]
    with _execution.forced(isa) as runs:
        itself = coalign.dtw_cdist(xs)
        copy = coalign.dtw_cdist(xs, [x.copy() for x in xs])
    assert {run.isa for run in runs} == {isa}
    assert_same_bits(itself, copy)
    assert (np.diag(itself) == 0).all()
    assert (itself + np.eye(37) > 0).all()


def test_the_forced_instruction_set_reaches_the_kernels(dtype: np.dtype) -> None:
    # x86-64-v2 alone rounds the product before the sum, so somewhere its last bit shows.
    if not {"v2", "v3"} <= set(_execution.available()):
        pytest.skip("needs x86-64-v3")
    xs, ys = collections(SOME_LENGTHS, 3, dtype.name, "normal")
    tables = {}
    for name in _execution.available():
        with _execution.forced(name) as runs:
            tables[name] = all_pairs(xs, ys)
        assert [run.isa for run in runs] == [name]
    assert (tables["v2"] != tables["v3"]).any()
    for table in tables.values():
        assert_close(table, tables["v2"], dtype, 2 * max(SOME_LENGTHS), metric="sqeuclidean", dim=3)


def test_the_golden_example(isa: str, dtype: np.dtype) -> None:
    x = np.array([1, 1, 3, 3, 2, 4], dtype)
    y = np.array([1, 3, 2, 2, 4, 4], dtype)
    costs = assert_engines(ENGINES, [x] * 5, [y] * 4, isa, metric="cityblock")
    assert costs.tolist() == [[0.0] * 4] * 5


def test_euclidean_and_cityblock_of_one_dimension_are_one(isa: str, dtype: np.dtype) -> None:
    xs, ys = collections(SOME_LENGTHS, 1, dtype.name, "normal")
    with _execution.forced(isa) as runs:
        euclidean = all_pairs(xs, ys, metric="euclidean")
        cityblock = all_pairs(xs, ys, metric="cityblock")
    assert {run.isa for run in runs} == {isa}
    assert_same_bits(euclidean, cityblock)


# --- cosine ---------------------------------------------------------------------------------------


def test_cosine_of_zero_frames_is_one(isa: str, dtype: np.dtype) -> None:
    x = np.array([[0, 0], [3, 4], [0, 0]], dtype)
    y = np.array([[0, 0], [0, 0], [3, 4], [6, 8]], dtype)
    expected = accumulate(local_costs(x, y, "cosine"))[-1, -1]
    assert expected == 3  # (0,0) and (0,1) at 1 each, (1,2) free, (2,3) at 1
    costs = assert_engines(ENGINES, [x] * 5, [y] * 4, isa, metric="cosine")
    np.testing.assert_allclose(costs, 3, atol=cosine_tolerance(dtype, 4, 2), rtol=0)


def test_cosine_is_never_negative(isa: str, dtype: np.dtype) -> None:
    # The product of a unit frame with itself rounds to more than 1 for about one frame in ten.
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(dtype)
    with _execution.forced(isa) as runs:
        frame_by_frame = coalign.dtw(x[:, np.newaxis], x[:, np.newaxis], metric="cosine").cost
    assert {run.isa for run in runs} == {isa}
    assert (frame_by_frame >= 0).all()
    assert (frame_by_frame <= cosine_tolerance(dtype, 1, 3)).all()


def test_cosine_does_not_depend_on_the_frames_lengths(isa: str, dtype: np.dtype) -> None:
    xs, ys = collections(SOME_LENGTHS, 3, dtype.name, "normal")
    expected = expected_costs(SOME_LENGTHS, 3, dtype.name, "normal", "cosine", "none")
    huge, tiny = (2.0**125, 2.0**-140) if dtype == np.float32 else (2.0**1020, 2.0**-1060)
    steps = 2 * max(SOME_LENGTHS)
    with _execution.forced(isa) as runs:
        scaled = all_pairs([x * dtype.type(huge) for x in xs], ys, metric="cosine")
    assert_close(scaled, expected, dtype, steps, metric="cosine", dim=3)
    # Subnormal numbers have few bits left: the oracle has to see the same ones.
    small = [x * dtype.type(tiny) for x in xs]
    with _execution.forced(isa) as more_runs:
        scaled = all_pairs(small, ys, metric="cosine")
    expected = np.array(
        [[accumulate(local_costs(x, y, "cosine"))[-1, -1] for y in ys] for x in small]
    )
    assert_close(scaled, expected, dtype, steps, metric="cosine", dim=3)
    assert {run.isa for run in runs + more_runs} == {isa}


# --- precomputed costs ----------------------------------------------------------------------------


@cache
def matrices(dtype: str, values: str, window: str) -> tuple[list[Array], Array]:
    """A cost matrix for each pair of lengths, and its cost."""
    rng = np.random.default_rng(0)
    costs = []
    for n in SOME_LENGTHS:
        for m in SOME_LENGTHS:
            if values == "integers":
                cost = rng.integers(-5, 6, (n, m)).astype(dtype)
            else:
                cost = rng.normal(size=(n, m)).astype(dtype)
            costs.append(cost)
    expected = [accumulate(within(cost, WINDOWS[window]))[-1, -1] for cost in costs]
    return costs, np.array(expected)


def padded_matrices(costs: list[Array]) -> tuple[Array, Array, Array]:
    n, m = (np.array([cost.shape[axis] for cost in costs]) for axis in (0, 1))
    batch = np.full((len(costs), n.max(), m.max()), np.nan, costs[0].dtype)
    for item, cost in zip(batch, costs, strict=True):
        item[: cost.shape[0], : cost.shape[1]] = cost
    return batch, n, m


@pytest.mark.parametrize("window", WINDOWS)
def test_precomputed_costs(window: str, isa: str, dtype: np.dtype) -> None:
    # Negative costs too. Integers are exact; in float64 the oracle adds the same numbers in the
    # same order.
    values = "integers" if dtype == np.float32 else "normal"
    costs, expected = matrices(dtype.name, values, window)
    options: dict[str, Any] = {"metric": "precomputed", "window": WINDOWS[window]}
    batch, n, m = padded_matrices(costs)
    with _execution.forced(isa) as runs:
        alone = [coalign.dtw(cost, **options).cost for cost in costs]
        with_path = [coalign.dtw(cost, path=True, **options).cost for cost in costs]
        ragged = coalign.dtw(costs, **options)
        padded = coalign.dtw(batch, x_lengths=n, y_lengths=m, **options)
    assert {run.isa for run in runs} == {isa}
    for found in (np.array(alone), np.array(with_path), ragged.cost, padded.cost):
        assert_same_bits(found, expected.astype(dtype))
    assert (ragged.status == Status.OK).all()
    assert ragged.x_length.tolist() == padded.x_length.tolist() == n.tolist()
    assert ragged.y_length.tolist() == padded.y_length.tolist() == m.tolist()


@given(
    cost=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.one_of(st.integers(-4, 4).map(float), st.just(math.inf)),
        fill=st.nothing(),
    ),
    path=st.booleans(),
)
def test_forbidden_cells(cost: Array, path: bool, isa: str, dtype: np.dtype) -> None:
    cost = cost.astype(dtype)
    expected = accumulate(cost)[-1, -1]
    with _execution.forced(isa) as runs:
        if math.isinf(expected):
            with pytest.raises(InfeasibleError, match=r"^no path through the window or the finite"):
                coalign.dtw(cost, metric="precomputed", path=path)
        else:
            assert coalign.dtw(cost, metric="precomputed", path=path).cost == expected
    assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("size", [7, 40, 140])
def test_a_maze_of_forbidden_cells(size: int, isa: str, dtype: np.dtype) -> None:
    # Free along the first row and the last column alone.
    maze = np.full((size, size), np.inf, dtype)
    maze[0], maze[:, -1] = 1, 2
    dead_end = maze.copy()
    dead_end[size // 2, -1] = np.inf
    options: dict[str, Any] = {"metric": "precomputed"}
    with _execution.forced(isa) as runs:
        # Round the corner by a diagonal step, past the cell in it.
        assert coalign.dtw(maze, **options).cost == (size - 1) * 1 + (size - 1) * 2
        assert coalign.dtw(maze.T, **options).cost == (size - 1) * 1 + (size - 1) * 2
        with pytest.raises(InfeasibleError, match=r"^problem 1: no path through"):
            coalign.dtw([maze, dead_end], **options)
    assert {run.isa for run in runs} == {isa}


def test_forbidden_cells_are_refused_whatever_max_cost_is(isa: str, dtype: np.dtype) -> None:
    cost = np.zeros((9, 9), dtype)
    cost[4] = np.inf
    for max_cost in (None, math.inf, 1e9, 0.0):
        with _execution.forced(isa) as runs, pytest.raises(InfeasibleError, match="no path"):
            coalign.dtw(cost, metric="precomputed", max_cost=max_cost)
        assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize(("bad", "word"), [(math.nan, "NaN"), (-math.inf, "-inf")])
@pytest.mark.parametrize(("i", "j"), [(0, 0), (3, 5), (10, 4), (140, 139), (149, 149), (9, 16)])
def test_nan_inside_the_window_is_refused(
    i: int, j: int, bad: float, word: str, path: bool, isa: str, dtype: np.dtype
) -> None:
    cost = np.ones((150, 150), dtype)
    cost[i, j] = bad
    for window in (None, 7, slanted(7)):
        options: dict[str, Any] = {"metric": "precomputed", "window": window, "path": path}
        with _execution.forced(isa) as runs:
            with pytest.raises(ValueError, match=re.escape(f"x: {word} at index {(i, j)}")):
                coalign.dtw(cost, **options)
            with pytest.raises(ValueError, match=re.escape(f"x: {word} at index {(1, i, j)}")):
                coalign.dtw(np.stack([np.ones_like(cost), cost]), **options)
            with pytest.raises(ValueError, match=re.escape(f"x[2]: {word} at index {(i, j)}")):
                coalign.dtw([np.ones_like(cost), np.eye(3, dtype=dtype), cost], **options)
        assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize(("n", "m"), [(5, 5), (9, 40), (40, 9), (150, 131)])
def test_what_lies_outside_the_window_is_ignored(
    n: int, m: int, path: bool, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng([n, m])
    cost = rng.integers(0, 9, (n, m)).astype(dtype)
    # Whole rows, so that none of the window's cells is on no path.
    rows = np.stack([np.zeros(n, int), np.minimum(np.arange(1, n + 1) * m // n + 2, m)], axis=1)
    for window in (0, 2, slanted(1), rows):
        forbidden = np.isinf(within(cost, window))
        expected = accumulate(within(cost, window))[-1, -1]
        for rubbish in (math.nan, -math.inf, math.inf, -1e30):
            littered = np.where(forbidden, dtype.type(rubbish), cost)
            with _execution.forced(isa) as runs:
                warping = coalign.dtw(littered, metric="precomputed", window=window, path=path)
            assert {run.isa for run in runs} == {isa}
            assert warping.cost == expected
            assert warping.status == Status.OK
            warping.check()


# --- accuracy and range ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("metric", FRAME_METRICS)
def test_float32_accuracy_of_long_random_walks(metric: str, isa: str) -> None:
    rng = np.random.default_rng(7)
    length = 10_000
    dim = 3 if metric == "cosine" else 1
    x, y = rng.normal(size=(2, length, dim)).cumsum(axis=1).astype(np.float32)
    with _execution.forced(isa) as runs:
        single = coalign.dtw(x, y, metric=metric).cost
        double = coalign.dtw(x.astype(np.float64), y.astype(np.float64), metric=metric).cost
    assert {run.isa for run in runs} == {isa}
    assert double > 0
    assert abs(single - double) <= PROMISED["float32"] * double


def test_a_constant_cost_keeps_to_the_provable_bound(isa: str, dtype: np.dtype) -> None:
    # Of the constants between 1 and 4, one whose roundings go the same way the longest.
    length = 10_000
    x, y = np.zeros(length, dtype), np.full(length, 3.292, dtype)
    exact = length * float(y[0])
    with _execution.forced(isa) as runs:
        costs = [
            coalign.dtw(x, y, metric="cityblock", window=0).cost,
            coalign.dtw(x, y, metric="cityblock", window=0, path=True).cost,
            *coalign.dtw_cdist([x] * 17, [y], metric="cityblock", window=0)[:, 0],
        ]
    assert {run.isa for run in runs} == {isa}
    for cost in costs:
        error = abs(float(cost) - exact) / exact
        assert error <= provable_tolerance(dtype, length)
        # Were this untrue, the promise could be made of constant costs too.
        assert dtype == np.float64 or error > PROMISED["float32"]


@pytest.mark.parametrize("path", [False, True])
def test_overflow_is_reported(path: bool, isa: str, dtype: np.dtype) -> None:
    huge = 1e30 if dtype == np.float32 else 1e200
    x = np.array([1.0, huge, 2.0], dtype)
    y = np.array([1.0, -huge, 2.0, 2.0], dtype)
    with _execution.forced(isa) as runs:
        message = rf"^dtw: 1 of 1 costs overflow {dtype}; their status is PRECISION_LIMIT$"
        with pytest.warns(RuntimeWarning, match=message):
            alone = coalign.dtw(x, y, path=path)
        with pytest.warns(RuntimeWarning, match=r"^dtw: 2 of 3 costs overflow"):
            batch = coalign.dtw([x, x, x], [y, x, y], path=path)
        matrix = np.full((9, 9), huge * 1e8 if dtype == np.float32 else huge * 1e108, dtype)
        with pytest.warns(RuntimeWarning, match=r"^dtw: 1 of 1 costs overflow"):
            precomputed = coalign.dtw(matrix, metric="precomputed", path=path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = coalign.dtw_cdist([x, y])
    assert {run.isa for run in runs} == {isa}
    for one in (alone, precomputed):
        assert one.cost == math.inf
        assert one.status == Status.PRECISION_LIMIT
        with pytest.raises(OverflowError, match=r"^problem 0: the cost overflows"):
            one.check()
    assert batch.cost.tolist() == [math.inf, 0.0, math.inf]
    assert batch.status.tolist() == [Status.PRECISION_LIMIT, Status.OK, Status.PRECISION_LIMIT]
    assert table.tolist() == [[0.0, math.inf], [math.inf, 0.0]]
    if path:
        assert len(alone.x_index) == len(alone.y_index) == 0
        assert [len(index) for index in batch.x_index] == [0, 3, 0]


def test_a_cost_above_max_cost_is_no_overflow(isa: str, dtype: np.dtype) -> None:
    x = np.array([1e30 if dtype == np.float32 else 1e200], dtype)
    with _execution.forced(isa) as runs:
        warping = coalign.dtw(x, -x, max_cost=1.0)
    assert {run.isa for run in runs} == {isa}
    assert (warping.cost, warping.status) == (math.inf, Status.OK)


# --- max_cost -------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", ["none", "slanted 4"])
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_max_cost_is_a_sharp_limit(engine: Engine, window: str, isa: str, dtype: np.dtype) -> None:
    xs, ys = collections(SOME_LENGTHS, 1, dtype.name, "normal")
    options: dict[str, Any] = {"window": WINDOWS[window]}
    with _execution.forced(isa) as runs:
        free = engine(xs, ys, **options)
        costs = np.sort(free.reshape(-1).astype(np.float64))
        for cost in (costs[0], costs[len(costs) // 2], costs[-1]):
            # A step of float64 is a step of the limit only where the costs are float64 too.
            for limit in (
                np.nextafter(dtype.type(cost), dtype.type(-np.inf)),
                np.nextafter(cost, -np.inf),
                cost,
                np.nextafter(cost, np.inf),
            ):
                limited = engine(xs, ys, max_cost=limit, **options)
                expected = np.where(free > dtype.type(limit), dtype.type(np.inf), free)
                assert_same_bits(limited, expected, f"limit {limit!r} around {cost!r}")
    assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("path", [False, True])
def test_max_cost_takes_the_dtype_of_the_costs(path: bool, isa: str, dtype: np.dtype) -> None:
    # In float32 0.1 lies above the double of the same digits, which is no reason to exceed it.
    x, y = np.array([0.1], dtype), np.zeros(1, dtype)
    cost = np.array([[0.1]], dtype)
    options: dict[str, Any] = {"max_cost": 0.1}
    with _execution.forced(isa) as runs:
        assert coalign.dtw(x, y, metric="cityblock", path=path, **options).cost == x[0]
        assert coalign.dtw(cost, metric="precomputed", path=path, **options).cost == x[0]
        assert coalign.dtw_cdist([x] * 17, [y], metric="cityblock", **options)[16, 0] == x[0]
    assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("path", [False, True])
def test_a_max_cost_past_the_dtype_is_no_limit(path: bool, isa: str) -> None:
    huge = np.array([[1e30]], np.float32)
    options: dict[str, Any] = {"max_cost": 1e300, "path": path}
    matrix = np.full((9, 9), 3e38, np.float32)
    with _execution.forced(isa) as runs:
        for call in (
            lambda: coalign.dtw(huge, -huge, **options),
            lambda: coalign.dtw(matrix, metric="precomputed", **options),
        ):
            with pytest.warns(RuntimeWarning, match=r"^dtw: 1 of 1 costs overflow float32"):
                warping = call()
            assert (warping.cost, warping.status) == (math.inf, Status.PRECISION_LIMIT)
        assert coalign.dtw(huge, huge, **options).cost == 0
    assert {run.isa for run in runs} == {isa}


def test_max_cost_of_a_long_pair_and_of_its_prefix(isa: str, dtype: np.dtype) -> None:
    # The cost is spent in the first rows, so that later strips may be left out; in the middle; at
    # the end.
    n = 400
    for spent_at in (0, 200, n - 1):
        x = np.zeros(n, dtype)
        x[spent_at] = 3
        y = np.zeros(n, dtype)
        with _execution.forced(isa) as runs:
            for limit, expected in (
                (8.5, math.inf),
                (9, 9.0),
                (9.5, 9.0),
                (0, math.inf),
                (-1, math.inf),
            ):
                for path in (False, True):
                    warping = coalign.dtw(x, y, max_cost=limit, path=path)
                    assert warping.cost == expected, (spent_at, limit)
                    assert warping.status == Status.OK
                assert (
                    coalign.dtw_cdist([x] * 17, [y], max_cost=limit).tolist() == [[expected]] * 17
                )
        assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("path", [False, True])
def test_max_cost_looks_at_the_whole_of_a_path_whose_cost_falls(
    path: bool, isa: str, dtype: np.dtype
) -> None:
    # Precomputed costs may be negative: what is too dear half way may yet be cheap.
    n = 300
    cost = np.full((n, n), 1.0, dtype)
    cost[n // 2 :] = -1
    cost[n // 2 :, : n // 2] = 5
    total = accumulate(cost)[-1, -1]
    assert total < 10
    options: dict[str, Any] = {"metric": "precomputed", "path": path}
    with _execution.forced(isa) as runs:
        assert coalign.dtw(cost, max_cost=10.0, **options).cost == total
        assert coalign.dtw(cost, max_cost=total, **options).cost == total
        less = np.nextafter(dtype.type(total), dtype.type(-np.inf))
        assert coalign.dtw(cost, max_cost=less, **options).cost == math.inf
    assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize("noise", [1e-5, 1e-2])
@pytest.mark.parametrize("dim", [16, 64])
def test_close_frames_of_many_dimensions_keep_their_digits(isa, dtype, dim, noise, offset, metric):
    # |x|^2 + |y|^2 - 2 x.y would lose them all: the squares are 1e4 to 1e13 times the cost.
    rng = np.random.default_rng(dim)
    x = (rng.normal(size=(40, dim)) + offset).astype(dtype)
    y = (x[np.sort(rng.integers(0, 40, 50))] + noise * rng.normal(size=(50, dim))).astype(dtype)
    expected = accumulate(local_costs(x.astype(float), y.astype(float), metric))[-1, -1]
    with coalign._execution.forced(isa):
        single = coalign.dtw(x, y, metric=metric).cost
        batch = coalign.dtw([x] * 20, y, metric=metric).cost
    # A few roundings of each squared difference and of each sum.
    tolerance = 40 * np.finfo(dtype).eps
    assert abs(single - expected) <= tolerance * expected
    assert (batch == single).all()


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_far_frames_that_are_close_to_each_other_overflow_nothing(
    metric: str, isa: str, dtype: np.dtype
) -> None:
    # The squares of a frame are finite, as are its products with another; the sum of two is not.
    far = np.zeros((20, 16), dtype)
    far[:, 0] = np.sqrt(np.finfo(dtype).max * 0.66)
    near = far.copy()
    near[7, 3] = 2
    cost = 4 if metric == "sqeuclidean" else 2
    for engine in ENGINES:
        with _execution.forced(isa) as runs:
            costs = engine([far, near], [far, near], metric=metric)
        assert {run.isa for run in runs} == {isa}
        assert costs.tolist() == [[0, cost], [cost, 0]], engine.__name__
