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
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from coalign import InfeasibleError, Status, _execution, dtw, dtw_cdist, slanted
from oracles.compare import assert_same_bits
from oracles.instances import pad
from oracles.warping import accumulate, local_costs
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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_value_that_is_not_finite_is_named_with_its_index(
    value: float, dtype: str, threads: int
) -> None:
    found = "NaN" if np.isnan(value) else str(value)
    series, frames, batch, collection = (
        array.astype(dtype) for array in (SERIES, FRAMES, BATCH, COLLECTION)
    )
    column = series[:, np.newaxis]

    def pair(x: Any, y: Any) -> Call:
        return lambda: dtw(x, y, threads=threads)

    def pairs(X: Any, Y: Any = None) -> Call:
        return lambda: dtw_cdist(X, Y, threads=threads)

    places: list[tuple[str, Call]] = [
        ("x: {} at index (5,)", pair(put(series, (5,), value), series)),
        ("y: {} at index (0,)", pair(series, put(series, (0,), value))),
        ("x: {} at index (7, 1)", pair(put(frames, (7, 1), value), frames)),
        ("y: {} at index (2, 0)", pair(batch, put(frames, (2, 0), value))),
        ("x: {} at index (2, 3, 1)", pair(put(batch, (2, 3, 1), value), batch)),
        ("y: {} at index (1, 0, 0)", pair(batch, put(batch, (1, 0, 0), value))),
        ("x[2]: {} at index (5,)", pair([series, series, put(series, (5,), value)], series)),
        ("y[1]: {} at index (4, 1)", pair([frames] * 2, (frames, put(frames, (4, 1), value)))),
        ("x[1]: {} at index (3, 0)", pair([series, put(column, (3, 0), value)], series)),
        ("y[1]: {} at index (3,)", pair(series, [column, put(series, (3,), value)])),
        ("X: {} at index (1, 2)", pairs(put(collection, (1, 2), value))),
        ("Y: {} at index (2, 4)", pairs(collection, put(collection, (2, 4), value))),
        ("Y: {} at index (1, 2, 1)", pairs(batch, put(batch, (1, 2, 1), value))),
        ("X[1]: {} at index (0,)", pairs([series, put(series, (0,), value)])),
        ("X[2]: {} at index (0, 0)", pairs([series, series, put(column, (0, 0), value)])),
    ]
    for place, call in places:
        with assert_refused(ValueError, place.format(found) + "; expected finite values"):
            call()


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
        "0-D",
        lambda: dtw(np.float64(3), SERIES),
        ValueError,
        "x: expected a 1-D or 2-D or 3-D array, got shape ()",
    ),
    (
        "number",
        lambda: dtw(SERIES, 3.0),
        ValueError,
        "y: expected a 1-D or 2-D or 3-D array, got shape ()",
    ),
    (
        "4-D",
        lambda: dtw(np.zeros((1, 2, 3, 4)), SERIES),
        ValueError,
        "x: expected a 1-D or 2-D or 3-D array, got shape (1, 2, 3, 4)",
    ),
    (
        "3-D item",
        lambda: dtw([FRAMES, BATCH], FRAMES),
        ValueError,
        "x[1]: expected a 1-D or 2-D array, got shape (3, 5, 2)",
    ),
    (
        "1-D collection",
        lambda: dtw_cdist(SERIES),
        ValueError,
        "X: expected a 2-D or 3-D array, got shape (8,)",
    ),
    (
        "1-D second collection",
        lambda: dtw_cdist(COLLECTION, SERIES),
        ValueError,
        "Y: expected a 2-D or 3-D array, got shape (8,)",
    ),
    (
        "1-D matrix",
        lambda: dtw(SERIES, metric="precomputed"),
        ValueError,
        "x: expected a 2-D or 3-D array, got shape (8,)",
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
        "empty series",
        lambda: dtw(np.zeros(0), SERIES),
        ValueError,
        "x: expected at least one frame, got an empty series",
    ),
    (
        "empty item",
        lambda: dtw([SERIES, SERIES[:0]], SERIES),
        ValueError,
        "x[1]: expected at least one frame, got an empty series",
    ),
    (
        "empty items",
        lambda: dtw(np.zeros((2, 0, 3)), np.zeros((2, 4, 3))),
        ValueError,
        "x: expected at least one frame, got an empty series",
    ),
    (
        "empty collection items",
        lambda: dtw_cdist(np.zeros((2, 0))),
        ValueError,
        "X: expected at least one frame, got an empty series",
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
        "fractional",
        taking(x_lengths=[1.0, 2.5, 3.0]),
        TypeError,
        "x_lengths: expected integers, got dtype float64",
    ),
    (
        "bool",
        taking(y_lengths=[True, True, False]),
        TypeError,
        "y_lengths: expected integers, got dtype bool",
    ),
    ("text", taking(y_lengths="abc"), TypeError, "y_lengths: expected integers, got dtype <U3"),
    (
        "too long",
        taking(x_lengths=[1, 6, 3]),
        ValueError,
        "x_lengths: expected lengths from 1 to 5, got 6 at index 1",
    ),
    (
        "zero",
        taking(y_lengths=[1, 5, 0]),
        ValueError,
        "y_lengths: expected lengths from 1 to 5, got 0 at index 2",
    ),
    (
        "negative",
        taking(y_lengths=[-1, 5, 0]),
        ValueError,
        "y_lengths: expected lengths from 1 to 5, got -1 at index 0",
    ),
    (
        "unsigned and huge",
        taking(x_lengths=np.array([1, 2**63 + 5, 3], np.uint64)),
        ValueError,
        "x_lengths: expected lengths from 1 to 5, got 9223372036854775813 at index 1",
    ),
    (
        "too few",
        taking(x_lengths=[1, 3]),
        ValueError,
        "x_lengths: expected shape (3,), got (2,)",
    ),
    (
        "one for all",
        taking(x_lengths=3),
        ValueError,
        "x_lengths: expected shape (3,), got ()",
    ),
    (
        "a column",
        taking(y_lengths=[[1], [2], [3]]),
        ValueError,
        "y_lengths: expected shape (3,), got (3, 1)",
    ),
    (
        "given to a list",
        lambda: dtw([SERIES], [SERIES], y_lengths=[3]),
        ValueError,
        "y_lengths: only a padded batch takes lengths, and y is a list",
    ),
    (
        "given to one series",
        lambda: dtw(FRAMES, BATCH, x_lengths=[3]),
        ValueError,
        "x_lengths: only a padded batch takes lengths, and x is one series",
    ),
    (
        "given to a list of matrices",
        lambda: dtw([COSTS], metric="precomputed", y_lengths=[2]),
        ValueError,
        "y_lengths: only a padded batch takes lengths, and x is a list",
    ),
    (
        "given to one matrix",
        lambda: dtw(COSTS, metric="precomputed", x_lengths=[2]),
        ValueError,
        "x_lengths: only a padded batch takes lengths, and x is one matrix",
    ),
    (
        "more rows than the matrix",
        lambda: dtw(COST_BATCH, metric="precomputed", x_lengths=[4, 5]),
        ValueError,
        "x_lengths: expected lengths from 1 to 4, got 5 at index 1",
    ),
    (
        "more columns than the matrix",
        lambda: dtw(COST_BATCH, metric="precomputed", y_lengths=[4, 3]),
        ValueError,
        "y_lengths: expected lengths from 1 to 3, got 4 at index 0",
    ),
    (
        "in a collection",
        lambda: dtw_cdist(COLLECTION, COLLECTION, y_lengths=[1, 2, 6]),
        ValueError,
        "y_lengths: expected lengths from 1 to 5, got 6 at index 2",
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


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, ">i8"])
def test_lengths_of_any_integer_dtype_and_layout_are_taken(dtype: Any) -> None:
    lengths = [4, 1, 5]
    expected = dtw(BATCH, BATCH[::-1], x_lengths=lengths)
    spread = np.zeros((3, 2), dtype)
    spread[:, 0] = lengths
    frozen = np.array(lengths, dtype)
    frozen.flags.writeable = False
    for given in (frozen, spread[:, 0], frozen[::-1].copy()[::-1], tuple(frozen)):
        warping = dtw(BATCH, BATCH[::-1], x_lengths=given)
        assert_same_bits(warping.cost, expected.cost)
        assert_same_bits(warping.x_length, np.array(lengths))
        assert_same_bits(dtw_cdist(BATCH, x_lengths=given), dtw_cdist(BATCH, x_lengths=lengths))


# Kinds and dtypes


@table(
    (
        "object",
        lambda: dtw(np.array([1, 2], object), SERIES),
        TypeError,
        "x: expected a real numeric dtype of at most 64 bits, got object",
    ),
    (
        "complex",
        lambda: dtw(SERIES, SERIES + 1j),
        TypeError,
        "y: expected a real numeric dtype of at most 64 bits, got complex128",
    ),
    (
        "strings",
        lambda: dtw(np.array(["a", "b"]), SERIES),
        TypeError,
        "x: expected a real numeric dtype of at most 64 bits, got <U1",
    ),
    (
        "dates",
        lambda: dtw(SERIES.astype("M8[s]"), SERIES),
        TypeError,
        "x: expected a real numeric dtype of at most 64 bits, got datetime64[s]",
    ),
    (
        "records",
        lambda: dtw(np.zeros(3, [("a", "f4")]), SERIES),
        TypeError,
        "x: expected a real numeric dtype of at most 64 bits, got [('a', '<f4')]",
    ),
    (
        "complex in a list",
        lambda: dtw([SERIES, SERIES * 1j], SERIES),
        TypeError,
        "x[1]: expected a real numeric dtype of at most 64 bits, got complex128",
    ),
    (
        "complex collection",
        lambda: dtw_cdist(COLLECTION, COLLECTION * 1j),
        TypeError,
        "Y: expected a real numeric dtype of at most 64 bits, got complex128",
    ),
    (
        "complex matrix",
        lambda: dtw(COSTS * 1j, metric="precomputed"),
        TypeError,
        "x: expected a real numeric dtype of at most 64 bits, got complex128",
    ),
    (
        "masked",
        lambda: dtw(np.ma.array(SERIES), SERIES),
        TypeError,
        "x: expected a plain array, got a masked one; fill it first",
    ),
    (
        "masked in a list",
        lambda: dtw([SERIES, np.ma.array(SERIES)], SERIES),
        TypeError,
        "x[1]: expected a plain array, got a masked one; fill it first",
    ),
    ("text", lambda: dtw("abc", SERIES), TypeError, "x: expected a real numeric array, got str"),
    ("bytes", lambda: dtw(SERIES, b"a"), TypeError, "y: expected a real numeric array, got bytes"),
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
        "a number after arrays",
        lambda: dtw([SERIES, 3.0], SERIES),
        TypeError,
        "x[1]: expected an array like the other items, got float",
    ),
    (
        "a number before arrays",
        lambda: dtw([np.float64(3.0), SERIES], SERIES),
        TypeError,
        "x[0]: expected an array like the other items, got float64",
    ),
    (
        "a list beside arrays",
        lambda: dtw_cdist([SERIES, [1.0, 2.0]]),
        TypeError,
        "X[1]: expected an array like the other items, got list",
    ),
)
def test_dtypes_and_kinds(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is double here")
def test_extended_precision_is_refused() -> None:
    name = np.dtype(np.longdouble).name
    with assert_refused(
        TypeError, f"x: expected a real numeric dtype of at most 64 bits, got {name}"
    ):
        dtw(SERIES.astype(np.longdouble), SERIES)


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
        "metric of another type",
        lambda: dtw_cdist(COLLECTION, metric=np.subtract),
        ValueError,
        "metric: expected one of 'sqeuclidean', 'euclidean', 'cityblock', 'cosine', "
        "'precomputed', got <ufunc 'subtract'>",
    ),
    (
        "step",
        lambda: dtw(SERIES, SERIES, step="itakura"),
        ValueError,
        "step: expected one of 'symmetric1', got 'itakura'",
    ),
    (
        "no step",
        lambda: dtw_cdist(COLLECTION, step=None),
        ValueError,
        "step: expected one of 'symmetric1', got None",
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
        "max_cost digits",
        lambda: dtw(SERIES, SERIES, max_cost="3.0"),
        TypeError,
        "max_cost: expected a number, got str",
    ),
    (
        "max_cost bytes",
        lambda: dtw_cdist(COLLECTION, max_cost=b"3"),
        TypeError,
        "max_cost: expected a number, got bytes",
    ),
    (
        "max_cost per pair",
        lambda: dtw_cdist(COLLECTION, max_cost=np.ones(3)),
        TypeError,
        "max_cost: expected a number, got ndarray",
    ),
    (
        "max_cost complex",
        lambda: dtw(SERIES, SERIES, max_cost=1j),
        TypeError,
        "max_cost: expected a number, got complex",
    ),
    (
        "threads 0",
        lambda: dtw(SERIES, SERIES, threads=0),
        ValueError,
        "threads: expected at least 1, got 0",
    ),
    (
        "threads -1",
        lambda: dtw_cdist(COLLECTION, threads=-1),
        ValueError,
        "threads: expected at least 1, got -1",
    ),
    (
        "threads float",
        lambda: dtw(SERIES, SERIES, threads=2.0),
        TypeError,
        "threads: expected None or an integer, got float",
    ),
    (
        "threads bool",
        lambda: dtw(SERIES, SERIES, threads=True),
        TypeError,
        "threads: expected None or an integer, got bool",
    ),
    (
        "threads text",
        lambda: dtw_cdist(COLLECTION, threads="2"),
        TypeError,
        "threads: expected None or an integer, got str",
    ),
    (
        "threads array",
        lambda: dtw(SERIES, SERIES, threads=np.array([2, 2])),
        TypeError,
        "threads: expected None or an integer, got ndarray",
    ),
    (
        "unknown device",
        lambda: dtw(SERIES, SERIES, device="gpu"),
        ValueError,
        'device: expected None, "cpu", "cuda" or "auto", got \'gpu\'',
    ),
    (
        "device number",
        lambda: dtw_cdist(COLLECTION, device=0),
        ValueError,
        'device: expected None, "cpu", "cuda" or "auto", got 0',
    ),
    (
        "device of an array",
        lambda: dtw(SERIES, SERIES, device=np.array(["cpu", "x"])),
        ValueError,
        'device: expected None, "cpu", "cuda" or "auto", got '
        "array(['cpu', 'x'], dtype='<U3')",
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
        "window: expected None, an integer radius, slanted(r) or (N, 2) bounds, got str",
    ),
    (
        "dict",
        within({}),
        TypeError,
        "window: expected None, an integer radius, slanted(r) or (N, 2) bounds, got dict",
    ),
    (
        "slanted itself",
        lambda: dtw_cdist(COLLECTION, window=slanted),
        TypeError,
        "window: expected None, an integer radius, slanted(r) or (N, 2) bounds, got type",
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


@table(
    (
        "shape",
        lambda: dtw_cdist(COLLECTION, out=np.zeros((3, 4))),
        ValueError,
        "out: expected shape (3, 3) of float64, got shape (3, 4) of float64",
    ),
    (
        "flat",
        lambda: dtw_cdist(COLLECTION, out=np.zeros(9)),
        ValueError,
        "out: expected shape (3, 3) of float64, got shape (9,) of float64",
    ),
    (
        "narrower dtype",
        lambda: dtw_cdist(COLLECTION, out=np.zeros((3, 3), np.float32)),
        ValueError,
        "out: expected shape (3, 3) of float64, got shape (3, 3) of float32",
    ),
    (
        "wider dtype",
        lambda: dtw_cdist(COLLECTION.astype(np.float32), out=np.zeros((3, 3))),
        ValueError,
        "out: expected shape (3, 3) of float32, got shape (3, 3) of float64",
    ),
    (
        "other byte order",
        lambda: dtw_cdist(COLLECTION, out=np.zeros((3, 3), np.dtype("f8").newbyteorder())),
        ValueError,
        "out: expected shape (3, 3) of float64, got shape (3, 3) of "
        + str(np.dtype("f8").newbyteorder()),
    ),
    (
        "read-only",
        lambda: dtw_cdist(COLLECTION, out=np.broadcast_to(np.zeros(()), (3, 3))),
        ValueError,
        "out: expected a writable array, got a read-only one",
    ),
    (
        "transposed",
        lambda: dtw_cdist(COLLECTION, out=np.zeros((3, 3), order="F")),
        ValueError,
        "out: expected rows of unit stride",
    ),
    (
        "every other column",
        lambda: dtw_cdist(COLLECTION, out=np.zeros((3, 6))[:, ::2]),
        ValueError,
        "out: expected rows of unit stride",
    ),
    (
        "reversed columns",
        lambda: dtw_cdist(COLLECTION, out=np.zeros((3, 3))[:, ::-1]),
        ValueError,
        "out: expected rows of unit stride",
    ),
    (
        "overlapping rows",
        lambda: dtw_cdist(COLLECTION, out=as_strided(np.zeros(5), (3, 3), (8, 8))),
        ValueError,
        "out: expected rows that do not overlap",
    ),
    (
        "one row three times",
        lambda: dtw_cdist(COLLECTION, out=as_strided(np.zeros(3), (3, 3), (0, 8))),
        ValueError,
        "out: expected rows that do not overlap",
    ),
    (
        "nested list",
        lambda: dtw_cdist(COLLECTION, out=[[0.0] * 3] * 3),
        TypeError,
        "out: expected an array, got list",
    ),
    ("text", lambda: dtw_cdist(COLLECTION, out="x"), TypeError, "out: expected an array, got str"),
    (
        "class",
        lambda: dtw_cdist(COLLECTION, out=np.ndarray),
        TypeError,
        "out: expected an array, got type",
    ),
)
def test_out(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


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
        np.full((3, 3), np.nan),
        np.full((3, 7), np.nan)[:, 2:5],
        np.full((6, 3), np.nan)[::2],
        np.full((3, 3), np.nan)[::-1],
    ],
    ids=["plain", "columns of a wider one", "every other row", "reversed rows"],
)
def test_out_takes_the_result_and_is_returned(out: Array) -> None:
    holder = out.base if out.base is not None else out
    assert dtw_cdist(COLLECTION, out=out) is out
    assert_same_bits(out, dtw_cdist(COLLECTION))
    assert np.count_nonzero(~np.isnan(holder)) == 9


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


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize("filling", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
def test_what_lies_past_a_length_is_never_read(metric: str, filling: float, path: bool) -> None:
    items = [rng.normal(size=(length, 2)) for length in (5, 1, 9, 4)]
    others = [rng.normal(size=(length, 2)) for length in (2, 7, 3, 7)]
    x, x_lengths = pad(items, filling)
    y, y_lengths = pad(others, filling)
    lengths = {"x_lengths": x_lengths, "y_lengths": y_lengths}
    padded = dtw(x, y, metric=metric, path=path, **lengths)
    single = [dtw(*pair, metric=metric, path=path) for pair in zip(items, others, strict=True)]
    assert_same_bits(padded.cost, np.array([warping.cost for warping in single]))
    assert padded.x_length.tolist() == [5, 1, 9, 4]
    assert padded.y_length.tolist() == [2, 7, 3, 7]
    if path:
        for got, want in zip(padded.x_index, single, strict=True):
            assert got.tolist() == want.x_index.tolist()
    assert_same_bits(
        dtw_cdist(x, y, metric=metric, **lengths), dtw_cdist(items, others, metric=metric)
    )


@pytest.mark.parametrize("filling", [np.nan, -np.inf])
def test_what_lies_past_the_lengths_of_a_matrix_is_never_read(filling: float) -> None:
    costs = np.full((2, 5, 6), filling)
    costs[0, :3, :6] = rng.uniform(size=(3, 6))
    costs[1, :5, :2] = rng.uniform(size=(5, 2))
    warping = dtw(costs, metric="precomputed", x_lengths=[3, 5], y_lengths=[6, 2])
    expected = [accumulate(costs[0, :3])[-1, -1], accumulate(costs[1, :, :2])[-1, -1]]
    np.testing.assert_allclose(warping.cost, expected, rtol=1e-14)
    assert (warping.status == Status.OK).all()


@pytest.mark.parametrize(
    ("dtype", "computed"),
    [
        ("float32", "float32"),
        ("float64", "float64"),
        ("float16", "float32"),
        (">f4", "float32"),
        ("<f4", "float32"),
        (">f8", "float64"),
        ("<f8", "float64"),
        (">f2", "float32"),
        ("int8", "float64"),
        ("uint8", "float64"),
        (">i4", "float64"),
        ("int64", "float64"),
        ("uint64", "float64"),
        ("bool", "float64"),
    ],
)
def test_every_real_dtype_is_computed_in_its_own(dtype: str, computed: str) -> None:
    values = rng.integers(0, 2 if dtype == "bool" else 100, size=(2, 9))
    x, y = values.astype(dtype)
    expected = accumulate(local_costs(*values, "sqeuclidean"))[-1, -1]
    warping = dtw(x, y)
    assert warping.cost.dtype == np.dtype(computed)
    assert warping.cost == expected  # whole numbers, exact in either
    assert dtw([x, x[:3]], y).cost.dtype == np.dtype(computed)
    assert dtw(local_costs(x, y, "cityblock").astype(dtype), metric="precomputed").cost.dtype == (
        np.dtype(computed)
    )
    costs = dtw_cdist(values.astype(dtype))
    assert costs.dtype == np.dtype(computed)
    assert costs.tolist() == [[0, expected], [expected, 0]]


@pytest.mark.parametrize(
    ("first", "second", "computed"),
    [
        ("float32", "float64", "float64"),
        ("float16", "float32", "float32"),
        ("float16", "float64", "float64"),
        ("float32", "int8", "float64"),
        ("float32", "bool", "float64"),
    ],
)
def test_two_dtypes_are_computed_in_the_one_that_holds_both(
    first: str, second: str, computed: str
) -> None:
    x, y = np.arange(5).astype(first), np.arange(3).astype(second)
    assert dtw(x, y).cost.dtype == np.dtype(computed)
    assert dtw(y, x).cost.dtype == np.dtype(computed)
    assert dtw([x, y.astype(first)], [y, x.astype(second)]).cost.dtype == np.dtype(computed)
    assert dtw([x, y], x).cost.dtype == np.dtype(computed)
    assert dtw_cdist(x[np.newaxis], y[np.newaxis]).dtype == np.dtype(computed)


def test_lists_of_numbers_are_arrays() -> None:
    assert dtw([0, 1, 2], [0.0, 2.0]).cost == 1.0
    assert dtw((0, 1, 2), (False, True)).cost == 1.0
    assert dtw([[0, 0], [3, 4]], [[0, 0]]).cost == 25.0
    assert dtw([[[0.0], [1.0]], [[0.0], [3.0]]], [[0.0]]).cost.tolist() == [1.0, 9.0]
    assert dtw_cdist([[0, 1], [0, 3]]).tolist() == [[0.0, 4.0], [4.0, 0.0]]
    assert dtw([np.float32(0), np.float32(1)], [np.float32(0)]).cost.dtype == np.float32
    assert dtw(range(3), SERIES).cost == dtw(np.arange(3.0), SERIES).cost


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("path", [False, True])
def test_no_problems_give_no_results(dtype: str, path: bool) -> None:
    none = np.zeros((0, 4, 3), dtype)
    calls: list[Call] = [
        lambda: dtw(none, none, path=path),
        lambda: dtw(none, np.zeros((4, 3), dtype), path=path),
        lambda: dtw(np.zeros((4, 3), dtype), none, path=path, window=2),
        lambda: dtw(none, none, path=path, x_lengths=np.zeros(0, int)),
        lambda: dtw(none, metric="precomputed", path=path),
    ]
    for call in calls:
        warping = call()
        assert (warping.cost.shape, warping.cost.dtype) == ((0,), np.dtype(dtype))
        assert (warping.status.shape, warping.status.dtype) == ((0,), np.dtype(np.int32))
        assert (warping.x_length.shape, warping.x_length.dtype) == ((0,), np.dtype(np.int64))
        assert warping.x_index == warping.y_index == ([] if path else None)
        assert warping.check() is warping
    if path:
        assert dtw(none, none, path=True).matrices() == []


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
        "window",
        lambda: dtw(NO_FRAMES, SERIES, window="junk"),
        TypeError,
        "window: expected None, an integer radius, slanted(r) or (N, 2) bounds, got str",
    ),
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
        "window of matrices",
        lambda: dtw(NO_COSTS, metric="precomputed", window=1.5),
        TypeError,
        "window: expected an integer radius, got float",
    ),
    (
        "row lengths of matrices",
        lambda: dtw(NO_COSTS, metric="precomputed", x_lengths="junk"),
        TypeError,
        "x_lengths: expected integers, got dtype <U4",
    ),
    (
        "column lengths of matrices",
        lambda: dtw(NO_COSTS, metric="precomputed", y_lengths=[1]),
        ValueError,
        "y_lengths: expected shape (0,), got (1,)",
    ),
    (
        "window of a collection",
        lambda: dtw_cdist(NO_SERIES, window="junk"),
        TypeError,
        "window: expected None, an integer radius, slanted(r) or (N, 2) bounds, got str",
    ),
    (
        "bounds of one collection",
        lambda: dtw_cdist(COLLECTION, NO_SERIES, window=[[0, 1]]),
        ValueError,
        "window: expected one [start, stop) for each of 5 rows, got 1",
    ),
    (
        "progress",
        lambda: dtw_cdist(NO_SERIES, progress="junk"),
        TypeError,
        "progress: expected a bool or f(done, total), got 'junk'",
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


def layouts(frames: Array) -> dict[str, Array]:
    """The same (T, D) values, laid out in every way a view can."""
    length, dim = frames.shape
    wide = np.full((length, 3 * dim), np.nan, frames.dtype)
    wide[:, ::3] = frames
    record = np.zeros(length, [("pad", "i1"), ("values", frames.dtype, (dim,))])
    record["values"] = frames
    frozen = frames.copy()
    frozen.flags.writeable = False
    return {
        "Fortran order": np.asfortranarray(frames),
        "every third column": wide[:, ::3],
        "reversed rows": frames[::-1].copy()[::-1],
        "reversed columns": frames[:, ::-1].copy()[:, ::-1],
        "unaligned": record["values"],
        "read-only": frozen,
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("name", layouts(np.zeros((2, 2))))
def test_the_layout_changes_no_bit(name: str, dim: int, dtype: str) -> None:
    x, y = rng.normal(size=(2, 6, dim)).astype(dtype)
    expected = dtw(x, y, path=True)
    other_x, other_y = layouts(x)[name], layouts(y)[name]
    warping = dtw(other_x, other_y, path=True)
    assert_same_bits(warping.cost, expected.cost)
    assert warping.x_index.tolist() == expected.x_index.tolist()
    assert_same_bits(dtw([other_x], other_y).cost, np.array([expected.cost]))
    assert_same_bits(dtw_cdist([other_x], [other_y]), np.array([[expected.cost]]))
    costs = rng.uniform(size=(6, dim)).astype(dtype)
    assert_same_bits(
        dtw(layouts(costs)[name], metric="precomputed").cost, dtw(costs, metric="precomputed").cost
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_views_that_repeat_or_share_elements_are_read_as_they_are(dtype: str) -> None:
    signal = rng.normal(size=20).astype(dtype)
    windows = sliding_window_view(signal, 7)
    assert_same_bits(dtw_cdist(windows), dtw_cdist(windows.copy()))
    framed = sliding_window_view(signal, 3)
    assert_same_bits(dtw(framed, framed[::-1]).cost, dtw(framed.copy(), framed[::-1].copy()).cost)
    constant = np.broadcast_to(signal[:1], (9,))
    assert_same_bits(dtw(constant, signal).cost, dtw(constant.copy(), signal).cost)
    repeated = np.broadcast_to(signal[:7], (4, 7))
    assert_same_bits(dtw_cdist(repeated, windows), dtw_cdist(repeated.copy(), windows.copy()))
    batch = np.broadcast_to(signal[:7, np.newaxis], (4, 7, 1))
    assert_same_bits(dtw(batch, signal).cost, dtw(batch.copy(), signal).cost)
    assert_same_bits(dtw(signal, signal[5:]).cost, dtw(signal.copy(), signal[5:].copy()).cost)


@pytest.mark.parametrize("stride", [28, 0, -20])
@pytest.mark.parametrize("shape", [(1, 3), (1, 1)])
def test_the_stride_of_a_single_row_means_nothing(stride: int, shape: tuple[int, int]) -> None:
    row = as_strided(rng.uniform(size=3), shape, (stride, 8))
    assert dtw(row, metric="precomputed").cost == accumulate(row)[-1, -1]
    assert dtw(row, row).cost == 0
    assert dtw_cdist(row).tolist() == [[0.0]]
    assert dtw(row[np.newaxis], metric="precomputed").cost == accumulate(row)[-1, -1]


def test_inputs_are_never_written() -> None:
    x, y = rng.normal(size=(3, 9, 2)), rng.normal(size=(3, 7, 2))
    costs = rng.normal(size=(2, 6, 5))
    lengths, bounds = np.array([9, 1, 4]), np.tile([0, 7], (9, 1))
    arrays = (x, y, costs, lengths, bounds)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    for metric in ("sqeuclidean", "euclidean", "cityblock", "cosine"):
        dtw(x, y, metric=metric, path=True, x_lengths=lengths)
        dtw(x, y, metric=metric, window=bounds)
        dtw_cdist(x, y, metric=metric, x_lengths=lengths)
    dtw(costs, metric="precomputed", path=True)
    for array, copy in zip(arrays, copies, strict=True):
        assert_same_bits(array, copy)


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
