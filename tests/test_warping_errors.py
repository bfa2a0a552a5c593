"""Bad input to `dtw` and `dtw_cdist`: refused in words, or taken and computed right."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import as_strided

from coalign import (
    InfeasibleError,
    Status,
    _execution,
    dtw,
    dtw_cdist,
    slanted,
    soft_dtw,
    soft_dtw_cdist,
    soft_dtw_divergence,
)
from oracles.compare import assert_same_bits
from oracles.warping import accumulate
from refusals import Call, assert_refused, put, table

# Both ways into native code are tried.
pytestmark = pytest.mark.usefixtures("door")

Array = npt.NDArray[Any]

rng = np.random.default_rng(20)
SERIES = rng.normal(size=8)
FRAMES = rng.normal(size=(8, 2))
BATCH = rng.normal(size=(3, 5, 2))
COLLECTION = rng.normal(size=(3, 5))
COSTS = rng.uniform(size=(4, 3))
COST_BATCH = rng.uniform(size=(2, 4, 3))


# Values


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock", "cosine"])
def test_every_metric_refuses_nan(metric: str) -> None:
    with assert_refused(ValueError, "x: NaN at index (3, 1); expected finite values"):
        dtw(put(FRAMES, (3, 1), np.nan), FRAMES, metric=metric)
    with assert_refused(ValueError, "X: NaN at index (0, 4); expected finite values"):
        dtw_cdist(put(COLLECTION, (0, 4), np.nan), metric=metric)


def test_the_first_of_several_is_named() -> None:
    long = np.zeros(5000)
    long[[1500, 1501, 4999]] = np.nan
    with assert_refused(ValueError, "x: NaN at index (1500,); expected finite values"):
        dtw(long, long)
    with assert_refused(ValueError, "x[1]: NaN at index (1500,); expected finite values"):
        dtw([SERIES, long, long], SERIES)
    # The one outside the window is part of the input all the same.
    with assert_refused(ValueError, "y: NaN at index (7,); expected finite values"):
        dtw(SERIES, put(SERIES, (7,), np.nan), window=0)


def test_a_list_of_numbers_is_located_like_the_array_it_is() -> None:
    with assert_refused(ValueError, "x: NaN at index (2,); expected finite values"):
        dtw([1, 2, float("nan")], SERIES)
    with assert_refused(ValueError, "X: inf at index (1, 0); expected finite values"):
        dtw_cdist([[1.0, 2.0], [float("inf"), 2.0]])


@table(
    (
        "NaN",
        lambda: dtw(put(COSTS, (2, 1), np.nan), metric="precomputed"),
        ValueError,
        "x: NaN at index (2, 1); expected finite costs or +inf",
    ),
    (
        "minus infinity",
        lambda: dtw(put(COSTS, (0, 2), -np.inf), metric="precomputed"),
        ValueError,
        "x: -inf at index (0, 2); expected finite costs or +inf",
    ),
    (
        "batch",
        lambda: dtw(put(COST_BATCH, (1, 2, 1), np.nan), metric="precomputed"),
        ValueError,
        "x: NaN at index (1, 2, 1); expected finite costs or +inf",
    ),
    (
        "list",
        lambda: dtw([COSTS, put(COSTS, (3, 0), np.nan)], metric="precomputed"),
        ValueError,
        "x[1]: NaN at index (3, 0); expected finite costs or +inf",
    ),
    (
        "in the window",
        lambda: dtw(put(COSTS, (2, 1), np.nan), metric="precomputed", window=0),
        ValueError,
        "x: NaN at index (2, 1); expected finite costs or +inf",
    ),
    (
        "float32",
        lambda: dtw(put(COSTS, (2, 1), np.nan).astype(np.float32), metric="precomputed"),
        ValueError,
        "x: NaN at index (2, 1); expected finite costs or +inf",
    ),
)
def test_precomputed_costs_that_are_none(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize("checkpoint_bytes", [None, 0])
@pytest.mark.parametrize(("n", "radius"), [(6, 1), (300, 20)])
def test_what_lies_outside_the_window_of_precomputed_costs_is_no_part_of_them(
    n: int, radius: int, checkpoint_bytes: int | None, path: bool
) -> None:
    square = rng.uniform(size=(n, n))
    spoilt = square.copy()
    spoilt[np.abs(np.subtract.outer(np.arange(n), np.arange(n))) > radius] = np.nan
    options: dict[str, Any] = {"metric": "precomputed", "window": radius, "path": path}
    with _execution.forced(checkpoint_bytes=checkpoint_bytes):
        clean = dtw(square, **options)
        warping = dtw(spoilt, **options)
    assert_same_bits(warping.cost, clean.cost)
    assert warping.status == Status.OK
    if path:
        assert_same_bits(warping.x_index, clean.x_index)
        assert_same_bits(warping.y_index, clean.y_index)


@pytest.mark.parametrize("checkpoint_bytes", [None, 0])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_no_path_is_traced_through_what_is_no_cost(
    value: float, checkpoint_bytes: int | None
) -> None:
    def expect(cost: Array, index: tuple[int, int], window: Any) -> None:
        found = "NaN" if np.isnan(value) else "-inf"
        spoilt = put(cost, index, value)
        with (
            assert_refused(
                ValueError, f"x: {found} at index {index}; expected finite costs or +inf"
            ),
            _execution.forced(checkpoint_bytes=checkpoint_bytes),
        ):
            dtw(spoilt, metric="precomputed", window=window, path=True)

    # Beside a spoilt first column, every way back leads out of the matrix.
    expect(np.zeros((3, 2)), (1, 0), None)
    expect(np.array([[0.0, 0.0], [np.inf, 0.0], [0.0, 0.0]]), (0, 0), None)
    for n, m in [(1, 9), (9, 1), (7, 5), (140, 300), (300, 140)]:
        cost = np.zeros((n, m))
        bounds = [[max(0, i * m // n - 9), min(m, i * m // n + m // n + 9)] for i in range(n)]
        for window in (None, 4, slanted(6), np.array(bounds)):
            for index in [(0, 0), (n // 2, m // 2), (n - 1, m - 1)]:
                expect(cost, index, window)


# Shapes


@table(
    (
        "1-D second collection",
        lambda: dtw_cdist(COLLECTION, SERIES),
        ValueError,
        "Y: expected a 2-D or 3-D array, got shape (8,)",
    ),
    (
        "1-D matrix in a list",
        lambda: dtw([COSTS, SERIES], metric="precomputed"),
        ValueError,
        "x[1]: expected a 2-D array, got shape (8,)",
    ),
    (
        "dimensions",
        lambda: dtw(FRAMES, SERIES),
        ValueError,
        "x and y: expected frames of one dimension, got 2 and 1",
    ),
    (
        "dimensions of collections",
        lambda: dtw_cdist(BATCH, COLLECTION),
        ValueError,
        "X and Y: expected frames of one dimension, got 2 and 1",
    ),
    (
        "dimensions in a list",
        lambda: dtw([FRAMES, SERIES], FRAMES),
        ValueError,
        "x[1]: expected 2 dimensions as in x[0], got 1",
    ),
    (
        "batch sizes",
        lambda: dtw(BATCH, BATCH[:2]),
        ValueError,
        "x and y: expected batches of one size, got 3 and 2",
    ),
    (
        "batch of one against a batch",
        lambda: dtw(BATCH[:1], BATCH),
        ValueError,
        "x and y: expected batches of one size, got 1 and 3",
    ),
    (
        "list sizes",
        lambda: dtw([SERIES] * 2, [SERIES] * 4),
        ValueError,
        "x and y: expected batches of one size, got 2 and 4",
    ),
    (
        "empty item",
        lambda: dtw([SERIES, SERIES[:0]], SERIES),
        ValueError,
        "x[1]: expected at least one frame, got an empty series",
    ),
    (
        "no dimensions",
        lambda: dtw(np.zeros((3, 0)), np.zeros((3, 0))),
        ValueError,
        "x: expected at least one dimension, got shape (3, 0)",
    ),
)
def test_shapes(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        (np.zeros((0, 3)), "x: expected at least one row, got shape (0, 3)"),
        (np.zeros((3, 0)), "x: expected at least one column, got shape (3, 0)"),
        (np.zeros((2, 3, 0)), "x: expected at least one column, got shape (3, 0)"),
        (np.zeros((0, 0, 3)), "x: expected at least one row, got shape (0, 3)"),
        ([COSTS, COSTS[:0]], "x[1]: expected at least one row, got shape (0, 3)"),
        ([COSTS, COSTS[:, :0]], "x[1]: expected at least one column, got shape (4, 0)"),
    ],
)
def test_an_empty_cost_matrix_is_named(matrices: Any, message: str) -> None:
    with assert_refused(ValueError, message):
        dtw(matrices, metric="precomputed")


@pytest.mark.parametrize(("shape", "axis"), [((2**31, 1), "rows"), ((1, 2**31), "columns")])
def test_a_cost_matrix_is_bounded_on_both_sides(shape: tuple[int, int], axis: str) -> None:
    # Without strides, so that the matrix takes the memory of one cost.
    matrix = np.broadcast_to(np.float64(0), shape)
    message = f"expected at most {2**31 - 2**16} {axis}, got {2**31}"
    with assert_refused(ValueError, f"x: {message}"):
        dtw(matrix, metric="precomputed")
    with assert_refused(ValueError, f"x: {message}"):
        dtw(matrix[np.newaxis], metric="precomputed")
    with assert_refused(ValueError, f"x[1]: {message}"):
        dtw([COSTS, matrix], metric="precomputed")


# Lengths


def taking(**lengths: Any) -> Call:
    return lambda: dtw(BATCH, BATCH, **lengths)


@table(
    (
        "unsigned and huge",
        taking(x_lengths=np.array([1, 2**63 + 5, 3], np.uint64)),
        ValueError,
        "x_lengths: expected lengths from 1 to 5, got 9223372036854775813 at index 1",
    ),
    (
        "of a collection that is not there",
        lambda: dtw_cdist(COLLECTION, y_lengths=[1, 2, 3]),
        ValueError,
        "y_lengths: expected None without Y",
    ),
)
def test_lengths(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


@pytest.mark.parametrize("lengths", [[[1, 2], [3]], [2**70, 1, 1], [None, 1, 1]])
def test_lengths_that_make_no_integer_array_are_refused_by_name(lengths: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"\Ax_lengths: expected "):
        dtw(BATCH, BATCH, x_lengths=lengths)


# Kinds and dtypes


@table(
    (
        "nothing",
        lambda: dtw(None, SERIES),
        TypeError,
        "x: expected a real numeric array, got NoneType",
    ),
    (
        "no second",
        lambda: dtw(SERIES),
        TypeError,
        'y: expected an array, got None; only metric="precomputed" goes without',
    ),
    (
        "dict",
        lambda: dtw({0: 1.0}, SERIES),
        TypeError,
        "x: expected a real numeric dtype of at most 64 bits, got object",
    ),
    (
        "a number before arrays",
        lambda: dtw([np.float64(3.0), SERIES], SERIES),
        TypeError,
        "x[0]: expected an array like the other items, got float64",
    ),
)
def test_dtypes_and_kinds(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


def test_a_ragged_list_of_numbers_says_what_a_ragged_batch_is() -> None:
    words = r"\Ax: expected a real numeric array \(a ragged batch is a list of arrays\), got list: "
    with pytest.raises(TypeError, match=words):
        dtw([[1.0], [1.0, 2.0]], SERIES)


# Options


@table(
    (
        "metric",
        lambda: dtw(SERIES, SERIES, metric="euclid"),
        ValueError,
        "metric: expected one of 'sqeuclidean', 'euclidean', 'cityblock', 'cosine', "
        "'precomputed', got 'euclid'",
    ),
    (
        "step",
        lambda: dtw(SERIES, SERIES, step="itakura"),
        ValueError,
        "step: expected a StepPattern or one of 'symmetric1', 'symmetric2', 'asymmetric', "
        "'symmetricP0', 'symmetricP05', 'symmetricP1', 'symmetricP2', 'asymmetricP0', "
        "'asymmetricP05', 'asymmetricP1', 'asymmetricP2', 'typeIa', 'typeIb', 'typeIc', 'typeId', "
        "'typeIas', 'typeIbs', 'typeIcs', 'typeIds', 'typeIIa', 'typeIIb', 'typeIIc', 'typeIId', "
        "'typeIIIc', 'typeIVc', 'rigid', 'mori2006', got 'itakura'",
    ),
    (
        "two matrices",
        lambda: dtw(COSTS, COSTS, metric="precomputed"),
        TypeError,
        'y: expected None with metric="precomputed"',
    ),
    (
        "matrices in cdist",
        lambda: dtw_cdist(COST_BATCH, metric="precomputed"),
        ValueError,
        "metric: expected a metric between frames; use dtw for precomputed costs",
    ),
    (
        "max_cost NaN",
        lambda: dtw(SERIES, SERIES, max_cost=float("nan")),
        ValueError,
        "max_cost: expected a number, got NaN",
    ),
    (
        "max_cost text",
        lambda: dtw(SERIES, SERIES, max_cost="a lot"),
        TypeError,
        "max_cost: expected a number, got str",
    ),
    (
        "max_cost per pair",
        lambda: dtw_cdist(COLLECTION, max_cost=np.ones(3)),
        TypeError,
        "max_cost: expected a number, got ndarray",
    ),
)
def test_options(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


def test_a_max_cost_past_every_float_is_refused_by_name() -> None:
    with pytest.raises((TypeError, ValueError), match=r"\Amax_cost: expected "):
        dtw(SERIES, SERIES + 1, max_cost=10**400)


def test_options_that_are_taken() -> None:
    expected = dtw(SERIES, SERIES[:5]).cost
    for options in (
        {"device": "cpu"},
        {"device": "auto"},
        {"threads": np.int64(2)},
        {"threads": np.array(2)},
        {"threads": 2**80},
        {"max_cost": np.float32(1e6)},
        {"max_cost": 10**9},
        {"max_cost": np.inf},
        {"window": np.int16(100)},
        {"window": np.array(100)},
        {"window": slanted(np.array(100, np.uint8))},
        {"window": 2**80},
        {"window": slanted(2**80)},
    ):
        assert_same_bits(dtw(SERIES, SERIES[:5], **options).cost, expected)
    assert dtw(SERIES, SERIES[:5], max_cost=-1).cost == np.inf
    assert dtw(SERIES, SERIES, max_cost=0).cost == 0


# Windows


def within(window: Any) -> Call:
    return lambda: dtw(SERIES, SERIES, window=window)


def rows(*changed: tuple[int, tuple[int, int]]) -> Array:
    bounds = np.tile([0, 8], (8, 1))
    for row, bound in changed:
        bounds[row] = bound
    return bounds


@table(
    ("float", within(1.5), TypeError, "window: expected an integer radius, got float"),
    ("whole float", within(2.0), TypeError, "window: expected an integer radius, got float"),
    ("bool", within(True), TypeError, "window: expected an integer radius, got bool"),
    ("NumPy bool", within(np.True_), TypeError, "window: expected an integer radius, got bool"),
    ("negative", within(-1), ValueError, "window: expected a radius of at least 0, got -1"),
    (
        "negative NumPy integer",
        within(np.int8(-3)),
        ValueError,
        "window: expected a radius of at least 0, got -3",
    ),
    (
        "text",
        within("sakoe"),
        TypeError,
        "window: expected None, an integer radius, slanted(r), itakura(s) or (N, 2) bounds, "
        "got str",
    ),
    (
        "dict",
        within({}),
        TypeError,
        "window: expected None, an integer radius, slanted(r), itakura(s) or (N, 2) bounds, "
        "got dict",
    ),
    (
        "slanted itself",
        lambda: dtw_cdist(COLLECTION, window=slanted),
        TypeError,
        "window: expected None, an integer radius, slanted(r), itakura(s) or (N, 2) bounds, "
        "got type",
    ),
    (
        "0-D bool",
        within(np.array(True)),
        TypeError,
        "window: expected integer bounds, got dtype bool",
    ),
    (
        "array of one radius",
        within(np.array([2])),
        ValueError,
        "window: expected (N, 2) bounds, got shape (1,)",
    ),
    (
        "bounds that are not integers",
        within(rows().astype(float)),
        TypeError,
        "window: expected integer bounds, got dtype float64",
    ),
    (
        "bounds of one column",
        within([1, 2]),
        ValueError,
        "window: expected (N, 2) bounds, got shape (2,)",
    ),
    (
        "bounds of three columns",
        within(np.zeros((8, 3), int)),
        ValueError,
        "window: expected (N, 2) bounds, got shape (8, 3)",
    ),
    (
        "bounds of unequal length",
        within([[0, 8]] * 7 + [[0]]),
        TypeError,
        "window: expected integer bounds, got list",
    ),
    (
        "too few rows",
        within(rows()[:7]),
        ValueError,
        "window: expected one [start, stop) for each of 8 rows, got 7",
    ),
    (
        "too many rows for one of them",
        lambda: dtw([SERIES, SERIES[:6]], SERIES, window=rows()),
        ValueError,
        "window: expected one [start, stop) for each of 6 rows, got 8",
    ),
    (
        "stop past the end",
        within(rows((2, (0, 9)))),
        ValueError,
        "window: expected 0 <= start < stop <= 8, got [0, 9) in row 2",
    ),
    (
        "stop past the end of the shortest",
        lambda: dtw(SERIES, [SERIES, SERIES[:6]], window=rows()),
        ValueError,
        "window: expected 0 <= start < stop <= 6, got [0, 8) in row 0",
    ),
    (
        "negative start",
        within(rows((0, (-1, 3)))),
        ValueError,
        "window: expected 0 <= start < stop <= 8, got [-1, 3) in row 0",
    ),
    (
        "empty row",
        within(rows((5, (4, 4)))),
        ValueError,
        "window: expected 0 <= start < stop <= 8, got [4, 4) in row 5",
    ),
    (
        "reversed row",
        lambda: dtw_cdist(COLLECTION, window=[[0, 5]] * 4 + [[5, 3]]),
        ValueError,
        "window: expected 0 <= start < stop <= 5, got [5, 3) in row 4",
    ),
    (
        "slanted float",
        lambda: slanted(1.5),
        TypeError,
        "slanted: expected an integer radius, got float",
    ),
    (
        "slanted bool",
        lambda: slanted(True),
        TypeError,
        "slanted: expected an integer radius, got bool",
    ),
    (
        "slanted negative",
        lambda: slanted(-2),
        ValueError,
        "slanted: expected a radius of at least 0, got -2",
    ),
    (
        "slanted array",
        lambda: slanted(np.array([1, 2])),
        TypeError,
        "slanted: expected an integer radius, got ndarray",
    ),
)
def test_windows(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64])
def test_bounds_of_any_integer_dtype_and_layout_are_one_window(dtype: Any) -> None:
    bounds = np.clip(np.stack([np.arange(8) - 1, np.arange(8) + 2], axis=1), 0, 8)
    expected = dtw(SERIES, FRAMES[:, 0], window=1).cost
    for window in (
        bounds.astype(dtype),
        np.asfortranarray(bounds.astype(dtype)),
        bounds.tolist(),
        [tuple(row) for row in bounds.tolist()],
    ):
        assert_same_bits(dtw(SERIES, FRAMES[:, 0], window=window).cost, expected)


@table(
    (
        "a gap",
        within(np.array([[0, 2]] * 4 + [[5, 8]] * 4)),
        InfeasibleError,
        "no path through the window or the finite cells, for 8 frames of x and 8 of y",
    ),
    (
        "no way in",
        within(rows((0, (1, 8)))),
        InfeasibleError,
        "no path through the window or the finite cells, for 8 frames of x and 8 of y",
    ),
    (
        "no way out",
        within(rows((7, (0, 7)))),
        InfeasibleError,
        "no path through the window or the finite cells, for 8 frames of x and 8 of y",
    ),
    (
        "one of a batch",
        lambda: dtw([SERIES[:3]] * 2, [SERIES[:3], SERIES[:5]], window=[[0, 3]] * 3),
        InfeasibleError,
        "problem 1: no path through the window or the finite cells, for 3 frames of x and 5 of y",
    ),
    (
        "one series against a batch",
        lambda: dtw(SERIES[:3], [SERIES[:3], SERIES[:4], SERIES[:5]], window=[[0, 3]] * 3),
        InfeasibleError,
        "problem 1: no path through the window or the finite cells, for 3 frames of x and 4 of y",
    ),
    (
        "forbidden cells",
        lambda: dtw(put(COSTS, (0, 0), np.inf), metric="precomputed"),
        InfeasibleError,
        "no path through the window or the finite cells, for 4 frames of x and 3 of y",
    ),
    (
        "forbidden cells in a batch",
        lambda: dtw(put(COST_BATCH, (1, 3, 2), np.inf), metric="precomputed", path=True),
        InfeasibleError,
        "problem 1: no path through the window or the finite cells, for 4 frames of x and 3 of y",
    ),
)
def test_infeasible_problems(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize("start", [1, 3])
def test_a_path_starts_at_the_first_column_or_not_at_all(start: int, path: bool) -> None:
    window = rows((0, (start, 8)))
    with pytest.raises(InfeasibleError):
        dtw(SERIES, SERIES[::-1], window=window, path=path)
    with pytest.raises(InfeasibleError):
        dtw(np.zeros((8, 8)), metric="precomputed", window=window, path=path)
    assert np.isposinf(dtw_cdist([SERIES] * 5, [SERIES[::-1]], window=window)).all()


def test_infeasible_pairs_of_a_collection_are_infinite() -> None:
    costs = dtw_cdist([SERIES[:3]] * 2, [SERIES[:3], SERIES[:5]], window=[[0, 3]] * 3)
    assert np.isfinite(costs[:, 0]).all()
    assert np.isposinf(costs[:, 1]).all()


# A preallocated result


def test_out_may_not_lie_on_an_input() -> None:
    message = "out: expected memory of its own, got some of an input's"
    memory = rng.normal(size=(3, 8))
    series = memory[:, 0].copy()
    before = memory.copy()
    with assert_refused(ValueError, message):
        dtw_cdist(memory[:, :3], out=memory[:, :3])
    with assert_refused(ValueError, message):
        dtw_cdist(memory[:, :5], out=memory[:, 4:7])
    with assert_refused(ValueError, message):
        dtw_cdist(COLLECTION, memory[:, :4], out=memory[:, 3:6])
    with assert_refused(ValueError, message):
        dtw_cdist([series, series, memory[1]], out=memory[:, 2:5])
    assert_same_bits(memory, before)


def test_out_may_lie_between_the_rows_of_an_input() -> None:
    memory = rng.normal(size=(3, 8))
    expected = dtw_cdist(memory[:, :5].copy())
    assert dtw_cdist(memory[:, :5], out=memory[:, 5:]).base is memory
    assert_same_bits(memory[:, 5:], expected)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((3, 1)),
        np.empty((3, 1), order="F"),
        np.empty((1, 3)).T,
        np.empty((3, 4))[:, ::2][:, :1],
    ],
    ids=["C order", "Fortran order", "transposed row", "strided column"],
)
def test_out_of_one_column_has_rows_of_unit_stride_whatever_numpy_says(out: Array) -> None:
    dtw_cdist(COLLECTION, COLLECTION[:1], out=out)
    assert_same_bits(out, dtw_cdist(COLLECTION, COLLECTION[:1]))


@pytest.mark.parametrize("stride", [24, 28, 0, -20])
def test_out_of_one_row_needs_no_stride_between_rows(stride: int) -> None:
    out = as_strided(np.empty(3), (1, 3), (stride, 8))
    dtw_cdist(COLLECTION[:1], COLLECTION, out=out)
    assert_same_bits(out, dtw_cdist(COLLECTION[:1], COLLECTION))


# What is taken


def test_lists_of_numbers_are_arrays() -> None:
    assert dtw([0, 1, 2], [0.0, 2.0]).cost == 1.0
    assert dtw((0, 1, 2), (False, True)).cost == 1.0
    assert dtw([[0, 0], [3, 4]], [[0, 0]]).cost == 25.0
    assert dtw([[[0.0], [1.0]], [[0.0], [3.0]]], [[0.0]]).cost.tolist() == [1.0, 9.0]
    assert dtw_cdist([[0, 1], [0, 3]]).tolist() == [[0.0, 4.0], [4.0, 0.0]]
    assert dtw([np.float32(0), np.float32(1)], [np.float32(0)]).cost.dtype == np.float32
    assert dtw(range(3), SERIES).cost == dtw(np.arange(3.0), SERIES).cost


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_collections_of_no_series_give_empty_costs(dtype: str) -> None:
    none, some = np.zeros((0, 4), dtype), np.zeros((2, 5), dtype)
    assert dtw_cdist(none).shape == (0, 0)
    assert dtw_cdist(none, some).shape == (0, 2)
    assert dtw_cdist(some, none).shape == (2, 0)
    assert dtw_cdist(some, none).dtype == np.dtype(dtype)
    out = np.empty((0, 2), dtype)
    assert dtw_cdist(none, some, out=out) is out


NO_FRAMES = np.zeros((0, 8, 1))
NO_COSTS = np.zeros((0, 3, 3))
NO_SERIES = np.zeros((0, 8))


@table(
    (
        "negative window",
        lambda: dtw(SERIES, NO_FRAMES, window=-1),
        ValueError,
        "window: expected a radius of at least 0, got -1",
    ),
    (
        "bounds",
        lambda: dtw(NO_FRAMES, SERIES, window=[[0, 1], [2, 2]]),
        ValueError,
        f"window: expected 0 <= start < stop <= {2**31 - 2**16}, got [2, 2) in row 1",
    ),
    (
        "bounds of one collection",
        lambda: dtw_cdist(COLLECTION, NO_SERIES, window=[[0, 1]]),
        ValueError,
        "window: expected one [start, stop) for each of 5 rows, got 1",
    ),
)
def test_options_are_checked_where_there_is_nothing_to_compute(
    call: Call, error: type[Exception], message: str
) -> None:
    with assert_refused(error, message):
        call()


def test_bounds_of_no_problems_are_taken() -> None:
    bounds = [[0, 1], [0, 8]]
    assert dtw(NO_FRAMES, SERIES, window=bounds).cost.shape == (0,)
    assert dtw(NO_COSTS, metric="precomputed", window=bounds).cost.shape == (0,)
    assert dtw_cdist(NO_SERIES, window=bounds).shape == (0, 0)


def test_lengths_of_no_series_may_be_an_empty_list() -> None:
    assert dtw(np.zeros((0, 4, 3)), np.zeros((0, 4, 3)), x_lengths=[]).cost.shape == (0,)
    assert dtw(NO_COSTS, metric="precomputed", y_lengths=[]).cost.shape == (0,)
    assert dtw_cdist(np.zeros((0, 4)), x_lengths=[]).shape == (0, 0)


# Layouts


@pytest.mark.parametrize("stride", [28, 0, -20])
@pytest.mark.parametrize("shape", [(1, 3), (1, 1)])
def test_the_stride_of_a_single_row_means_nothing(stride: int, shape: tuple[int, int]) -> None:
    row = as_strided(rng.uniform(size=3), shape, (stride, 8))
    assert dtw(row, metric="precomputed").cost == accumulate(row)[-1, -1]
    assert dtw(row, row).cost == 0
    assert dtw_cdist(row).tolist() == [[0.0]]
    assert dtw(row[np.newaxis], metric="precomputed").cost == accumulate(row)[-1, -1]


def test_bounds_are_never_written() -> None:
    bounds = np.tile([0, 8], (8, 1))
    bounds.flags.writeable = False
    assert_same_bits(dtw(SERIES, SERIES, window=bounds).cost, dtw(SERIES, SERIES).cost)
    assert (bounds == [0, 8]).all()


# What overflows


def test_a_cost_that_overflows_warns_and_says_so() -> None:
    x = np.full((2, 3), 1e30, np.float32)
    x[1] = 0
    y = -x
    with pytest.warns(RuntimeWarning) as caught:
        warping = dtw(x[:, :, np.newaxis], y[:, :, np.newaxis])
    assert [str(warning.message) for warning in caught] == [
        "dtw: 1 of 2 costs overflow float32; their status is PRECISION_LIMIT"
    ]
    assert caught[0].filename == __file__
    assert warping.cost.tolist() == [np.inf, 0.0]
    assert warping.status.tolist() == [Status.PRECISION_LIMIT, Status.OK]
    with assert_refused(OverflowError, "problem 0: the cost overflows its dtype"):
        warping.check()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dtw_cdist(x, y).tolist() == [[np.inf, np.inf], [np.inf, 0.0]]


def test_matrices_need_a_path() -> None:
    with assert_refused(
        ValueError, "matrices: expected a warping with a path; call dtw(..., path=True)"
    ):
        dtw(SERIES, SERIES).matrices()


# Size

# The high-water mark of the process's own memory: what getrusage reports a child inherits.
LONG_PAIR = """
import sys
import numpy as np
from coalign import _execution, dtw

def high_water():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

rng = np.random.default_rng(0)
x, y = rng.normal(size=(2, 30_000)).astype(sys.argv[1])
with _execution.forced(sys.argv[2]):
    dtw(x[:100], y[:100], path=True)
    before = high_water()
    warping = dtw(x, y, path=True)
    after = high_water()
i, j = warping.x_index, warping.y_index
assert (i[0], j[0], i[-1], j[-1]) == (0, 0, 29_999, 29_999)
steps = np.diff(i) + 2 * np.diff(j)
assert ((steps >= 1) & (steps <= 3)).all() and np.diff(i).min() >= 0 and np.diff(j).min() >= 0
total = ((x[i].astype(float) - y[j]) ** 2).sum()
assert abs(warping.cost - total) <= 1e-4 * total
print(after - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_path_of_a_long_pair_stays_under_400_megabytes(dtype: str, isa: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LONG_PAIR, dtype, isa],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert 0 < int(run.stdout) < 400e6


# Functions as metrics


@pytest.mark.parametrize(
    "call",
    [
        lambda metric: dtw([1.0], [1.0], metric=metric),
        lambda metric: dtw_cdist([[1.0]], metric=metric),
        lambda metric: soft_dtw([1.0], [1.0], metric=metric),
        lambda metric: soft_dtw_cdist([[1.0]], metric=metric),
        lambda metric: soft_dtw_divergence([1.0], [1.0], metric=metric),
    ],
)
def test_a_function_as_metric_is_shown_the_way(call: Call) -> None:
    with pytest.raises(TypeError, match=r'got a function; .*cdist\(x, y, .*metric="precomputed"'):
        call(lambda a, b: abs(a - b))


def test_the_way_that_it_is_shown_works() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    x, y = np.array([[0.0], [2.0]]), np.array([[0.0], [1.0], [2.0]])
    cost = distance.cdist(x, y, lambda a, b: abs(a - b).sum())
    assert float(dtw(cost, metric="precomputed").cost) == 1.0
