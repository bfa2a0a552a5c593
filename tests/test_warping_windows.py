"""Windows: the cells that they hold, the costs that come of them, and those that no path fits."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coalign
from coalign import InfeasibleError, _core, _execution, slanted
from oracles.compare import assert_same_bits
from oracles.instances import Array, make_series, make_staircase
from oracles.warping import accumulate, inside, local_costs, on_paths, trace_back, within

LENGTHS = (1, 2, 3, 7, 8, 9, 17, 40, 64, 130)
SHORT_LENGTHS = (1, 2, 3, 4, 7, 8, 13, 40)


def native(window: Any) -> tuple[str, Any]:
    """A window as the native code takes it."""
    if window is None:
        return "none", 0
    if isinstance(window, int):
        return "band", window
    if isinstance(window, slanted):
        return "slanted", window.radius
    return "rows", np.ascontiguousarray(window, np.int64)


def cells_of(window: Any, n: int, m: int) -> Array:
    """The cells of the library's ranges, as a mask."""
    ranges = _core.window_ranges(window=native(window), n=n, m=m)
    assert ranges.shape == (n, 2)
    columns = np.arange(m)
    return (columns >= ranges[:, :1]) & (columns < ranges[:, 1:])


def assert_ranges(window: Any, n: int, m: int) -> None:
    """Compare the library's ranges with the definition, over the cells that paths visit."""
    wanted = on_paths(inside(window, n, m))
    cells = cells_of(window, n, m)
    np.testing.assert_array_equal(on_paths(cells), wanted, err_msg=f"{window} for {n, m}")
    if wanted.any():
        np.testing.assert_array_equal(cells, wanted, err_msg=f"{window} for {n, m}")
    else:
        assert not (cells & ~inside(window, n, m)).any()


@st.composite
def row_windows(draw: st.DrawFn) -> Array:
    """Any bounds of 1 to 12 rows, none of them empty, and the number of columns."""
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rows = []
    for _ in range(n):
        start = draw(st.integers(0, m - 1))
        rows.append((start, draw(st.integers(start + 1, m))))
    return np.array(rows), m


@st.composite
def row_windows_with_a_path(draw: st.DrawFn) -> Array:
    """Bounds that hold a path, and the number of columns."""
    n, m = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return make_staircase(rng, n, m, slack=draw(st.integers(0, 9))), m


# --- the cells ------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 50, 2**31 - 2**16])
def test_bands_hold_the_cells_of_their_definition(radius: int) -> None:
    for n in SHORT_LENGTHS:
        for m in SHORT_LENGTHS:
            assert_ranges(radius, n, m)


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 50, 2**31 - 2**16])
def test_slanted_windows_hold_the_cells_of_their_definition(radius: int) -> None:
    for n in SHORT_LENGTHS:
        for m in SHORT_LENGTHS:
            assert_ranges(slanted(radius), n, m)


def test_no_window_holds_every_cell() -> None:
    assert cells_of(None, 5, 7).all()


@given(row_windows())
def test_windows_given_by_rows_hold_the_cells_of_their_definition(given_rows: Any) -> None:
    rows, m = given_rows
    assert_ranges(rows, len(rows), m)


@given(row_windows_with_a_path())
def test_windows_given_by_rows_lose_the_cells_on_no_path(given_rows: Any) -> None:
    rows, m = given_rows
    assert on_paths(inside(rows, len(rows), m)).any()
    assert_ranges(rows, len(rows), m)


@pytest.mark.parametrize("window", [0, 1, 4, slanted(0), slanted(1), slanted(3)])
def test_the_window_of_the_transposed_problem_is_the_transposed_window(window: Any) -> None:
    for n in SHORT_LENGTHS:
        for m in SHORT_LENGTHS:
            there, back = cells_of(window, n, m), cells_of(window, m, n)
            np.testing.assert_array_equal(on_paths(there), on_paths(back.T))


# --- costs in arbitrary windows -------------------------------------------------------------------


def assert_costs_in(rows: Array, m: int, seed: int, isa: str, dtype: np.dtype) -> None:
    """Compare every way to give a window by rows with the oracle."""
    rng = np.random.default_rng(seed)
    xs = [make_series(rng, len(rows), 1, dtype, "integers") for _ in range(4)]
    ys = [make_series(rng, m, 1, dtype, "integers") for _ in range(4)]
    matrices = [[local_costs(x, y, "cityblock") for y in ys] for x in xs]
    totals = [[accumulate(within(matrix, rows)) for matrix in row] for row in matrices]
    expected = np.array([[total[-1, -1] for total in row] for row in totals])
    options: dict[str, Any] = {"metric": "cityblock", "window": rows}
    batch_x = np.repeat(np.stack(xs), 4, axis=0)[..., np.newaxis]
    batch_y = np.tile(np.stack(ys), (4, 1))[..., np.newaxis]
    message = rf"no path .*, for {len(rows)} frames of x and {m} of y$"
    with _execution.forced(isa) as runs:
        table = coalign.dtw_cdist(xs, ys, **options)
        np.testing.assert_array_equal(table, expected)
        if math.isinf(expected[0, 0]):
            for path in (False, True):
                with pytest.raises(InfeasibleError, match=rf"^{message}"):
                    coalign.dtw(xs[0], ys[0], path=path, **options)
                with pytest.raises(InfeasibleError, match=rf"^problem 0: {message}"):
                    coalign.dtw(batch_x, batch_y, path=path, **options)
                with pytest.raises(InfeasibleError, match=rf"^{message}"):
                    coalign.dtw(
                        matrices[0][0].astype(dtype), metric="precomputed", window=rows, path=path
                    )
        else:
            warping = coalign.dtw(xs[0], ys[0], path=True, **options)
            path = list(zip(warping.x_index.tolist(), warping.y_index.tolist(), strict=True))
            assert path == trace_back(totals[0][0])
            assert warping.cost == expected[0, 0]
            assert coalign.dtw(xs[0], ys[0], **options).cost == expected[0, 0]
            batch = coalign.dtw(batch_x, batch_y, **options)
            np.testing.assert_array_equal(batch.cost, expected.reshape(-1))
            precomputed = coalign.dtw(
                matrices[0][0].astype(dtype), metric="precomputed", window=rows
            )
            assert precomputed.cost == expected[0, 0]
    assert {run.isa for run in runs} == {isa}


@given(given_rows=row_windows(), seed=st.integers(0, 2**32 - 1))
def test_costs_in_any_window_given_by_rows(
    given_rows: Any, seed: int, isa: str, dtype: np.dtype
) -> None:
    assert_costs_in(*given_rows, seed, isa, dtype)


@given(given_rows=row_windows_with_a_path(), seed=st.integers(0, 2**32 - 1))
def test_costs_in_windows_given_by_rows_that_hold_a_path(
    given_rows: Any, seed: int, isa: str, dtype: np.dtype
) -> None:
    assert_costs_in(*given_rows, seed, isa, dtype)


def test_windows_given_by_rows_are_not_mirrored(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 9)).astype(dtype)
    rows = np.stack([np.zeros(9, int), np.minimum(np.arange(9) + 3, 9)], axis=1)
    rows[4:, 0] = 4
    with _execution.forced(isa) as runs:
        table = coalign.dtw_cdist(X, window=rows)
        copy = coalign.dtw_cdist(X, X.copy(), window=rows)
    assert {run.isa for run in runs} == {isa}
    assert_same_bits(table, copy)
    assert (table != table.T).any()
    expected = [
        [accumulate(within(local_costs(x, y, "sqeuclidean"), rows))[-1, -1] for y in X] for x in X
    ]
    np.testing.assert_allclose(table, expected, rtol=1e-5)


def test_windows_given_by_rows_end_where_the_shortest_series_does(
    isa: str, dtype: np.dtype
) -> None:
    # The last row stops before the longer series do, so no path fits those.
    rng = np.random.default_rng(0)
    xs = [make_series(rng, 21, 1, dtype, "integers") for _ in range(5)]
    ys = [make_series(rng, m, 1, dtype, "integers") for m in (30, 17, 19, 17, 50, 18)]
    rows = make_staircase(rng, 21, 17)
    expected = np.array(
        [[accumulate(within(local_costs(x, y, "cityblock"), rows))[-1, -1] for y in ys] for x in xs]
    )
    assert np.isfinite(expected).any(axis=0).tolist() == [False, True, False, True, False, False]
    with _execution.forced(isa) as runs:
        table = coalign.dtw_cdist(xs, ys, metric="cityblock", window=rows)
        with pytest.raises(InfeasibleError, match=r"^problem 0: no path"):
            coalign.dtw(xs[0], ys, metric="cityblock", window=rows)
    assert {run.isa for run in runs} == {isa}
    np.testing.assert_array_equal(table, expected)


def test_windows_may_be_lists_of_any_integer_dtype() -> None:
    x = np.random.default_rng(0).normal(size=4)
    rows = [[0, 2], [0, 3], [1, 4], [2, 4]]
    expected = accumulate(within(local_costs(x, x[::-1], "sqeuclidean"), np.array(rows)))[-1, -1]
    assert math.isfinite(expected)
    for window in (
        rows,
        np.array(rows, np.uint8),
        np.array(rows, np.int16),
        np.array(rows, np.uint64),
    ):
        np.testing.assert_allclose(
            coalign.dtw(x, x[::-1], window=window).cost, expected, rtol=1e-12
        )


# --- wide and narrow windows ----------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 3])
def test_a_wide_window_changes_nothing(dim: int, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(dim)
    xs = [make_series(rng, n, dim, dtype) for n in LENGTHS]
    ys = [make_series(rng, m, dim, dtype) for m in LENGTHS]
    longest = max(LENGTHS)
    with _execution.forced(isa) as runs:
        table = coalign.dtw_cdist(xs, ys)
        for window in (longest, 2**62, slanted(longest), slanted(2**62)):
            assert_same_bits(coalign.dtw_cdist(xs, ys, window=window), table, str(window))
            for i, x in enumerate(xs):
                for j, y in enumerate(ys):
                    warping = coalign.dtw(x, y, window=window, path=True)
                    assert_same_bits(warping.cost, table[i, j])
        for i, x in enumerate(xs):
            free = coalign.dtw(x, ys[-1], path=True)
            everything = np.tile([0, longest], (len(x), 1))
            warping = coalign.dtw(x, ys[-1], window=everything, path=True)
            assert_same_bits(warping.cost, table[i, -1])
            assert_same_bits(warping.x_index, free.x_index)
            assert_same_bits(warping.y_index, free.y_index)
    assert {run.isa for run in runs} == {isa}


def test_a_wider_window_never_costs_more(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    xs = [make_series(rng, n, 1, dtype) for n in LENGTHS]
    with _execution.forced(isa) as runs:
        free = coalign.dtw_cdist(xs)
        bands = [coalign.dtw_cdist(xs, window=r) for r in range(6)]
        slants = [coalign.dtw_cdist(xs, window=slanted(r)) for r in range(6)]
    assert {run.isa for run in runs} == {isa}
    for costs in (bands, slants):
        for narrow, wide in zip(costs, [*costs[1:], free], strict=True):
            assert (narrow >= wide).all()
        assert (costs[0] > free).any()


def test_a_band_of_zero_between_equal_lengths_is_the_euclidean_distance(
    isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        x, y = make_series(rng, n, 1, dtype, "integers"), make_series(rng, n, 1, dtype, "integers")
        with _execution.forced(isa) as runs:
            for window in (0, slanted(0)):
                warping = coalign.dtw(x, y, window=window, path=True)
                if n > 1:
                    assert warping.x_index.tolist() == warping.y_index.tolist() == list(range(n))
                assert warping.cost == ((x - y) ** 2).sum()
                assert (
                    coalign.dtw_cdist([x] * 17, [y], window=window).tolist()
                    == [[warping.cost]] * 17
                )
        assert {run.isa for run in runs} == {isa}


# --- transposition --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock", "cosine"])
@pytest.mark.parametrize("dim", [1, 3])
def test_the_transposed_problem_costs_the_same(
    metric: str, dim: int, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(dim)
    lengths = LENGTHS[1::2] if dim == 1 else LENGTHS[::3]
    xs = [make_series(rng, n, dim, dtype) for n in lengths]
    ys = [make_series(rng, m, dim, dtype) for m in lengths]
    for window in (None, 2, slanted(0), slanted(3)):
        options: dict[str, Any] = {"metric": metric, "window": window}
        with _execution.forced(isa) as runs:
            there = coalign.dtw_cdist(xs, ys, **options)
            back = coalign.dtw_cdist(ys, xs, **options)
            assert_same_bits(there, back.T, str(window))
            for i, x in enumerate(xs):
                for j, y in enumerate(ys):
                    if np.isfinite(there[i, j]):
                        swapped = coalign.dtw(y, x, path=True, threads=1, **options)
                        assert_same_bits(swapped.cost, there[i, j], str(window))
        assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("window", [None, 2, slanted(3)])
def test_the_transposed_cost_matrix_costs_the_same(window: Any, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        for m in LENGTHS:
            cost = rng.normal(size=(n, m)).astype(dtype)
            options: dict[str, Any] = {"metric": "precomputed", "window": window, "threads": 1}
            with _execution.forced(isa) as runs:
                there = coalign.dtw(cost, **options).cost
                back = coalign.dtw(cost.T, **options).cost
            assert {run.isa for run in runs} == {isa}
            assert_same_bits(there, back, f"{n, m}")


# --- windows that no path fits --------------------------------------------------------------------

BLOCKED = {
    "starts late": [[1, 5], [0, 5], [0, 5], [0, 5]],
    "starts late in every row": [[1, 5], [1, 5], [1, 5], [2, 5]],
    "ends early": [[0, 5], [0, 5], [0, 5], [0, 4]],
    "leaps": [[0, 2], [0, 2], [3, 5], [3, 5]],
    "turns back": [[0, 5], [3, 5], [0, 2], [0, 5]],
}


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize("name", BLOCKED)
def test_rows_that_no_path_fits(name: str, path: bool, isa: str, dtype: np.dtype) -> None:
    rows = BLOCKED[name]
    assert not on_paths(inside(rows, 4, 5)).any()
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 4, 1)).astype(dtype), rng.normal(size=(20, 5, 1)).astype(dtype)
    message = "no path through the window or the finite cells, for 4 frames of x and 5 of y"
    with _execution.forced(isa) as runs:
        for limit in (None, 1e6, 0.0):
            options: dict[str, Any] = {"window": rows, "path": path, "max_cost": limit}
            with pytest.raises(InfeasibleError, match=rf"^{message}$"):
                coalign.dtw(X[0], Y[0], **options)
            with pytest.raises(InfeasibleError, match=rf"^problem 0: {message}$"):
                coalign.dtw(X, Y, **options)
            with pytest.raises(InfeasibleError, match=rf"^{message}$"):
                coalign.dtw(X[0] @ Y[0].T, metric="precomputed", **options)
            table = coalign.dtw_cdist(X, Y, window=rows, max_cost=limit)
            np.testing.assert_array_equal(table, np.full((20, 20), np.inf))
    assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("path", [False, True])
def test_the_message_names_the_problem_of_a_batch(path: bool, isa: str, dtype: np.dtype) -> None:
    shapes = [(40, 40), (9, 9), (1, 6), (5, 6), (40, 40), (7, 4)]
    xs = [np.zeros(n, dtype) for n, _ in shapes]
    ys = [np.zeros(m, dtype) for _, m in shapes]
    with _execution.forced(isa) as runs:
        message = r"^problem 3: no path .* for 5 frames of x and 6 of y$"
        with pytest.raises(InfeasibleError, match=message):
            coalign.dtw(xs, ys, window=slanted(0), path=path)
        assert (coalign.dtw(xs[:3], ys[:3], window=slanted(0), path=path).cost == 0).all()
    assert {run.isa for run in runs} == {isa}


def test_slanted_windows_that_no_path_fits_are_infinite_in_the_table(
    isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(0)
    xs = [make_series(rng, n, 1, dtype) for n in LENGTHS]
    feasible = np.array(
        [[on_paths(inside(slanted(0), n, m)).any() for m in LENGTHS] for n in LENGTHS]
    )
    assert 0 < feasible.sum() < feasible.size
    with _execution.forced(isa) as runs, warnings.catch_warnings():
        warnings.simplefilter("error")
        table = coalign.dtw_cdist(xs, window=slanted(0))
        for i, x in enumerate(xs):
            for j, y in enumerate(xs):
                if feasible[i, j]:
                    cost = coalign.dtw(x, y, window=slanted(0), threads=1).cost
                    assert_same_bits(cost, table[i, j])
                else:
                    with pytest.raises(InfeasibleError):
                        coalign.dtw(x, y, window=slanted(0), threads=1)
    assert {run.isa for run in runs} == {isa}
    np.testing.assert_array_equal(np.isfinite(table), feasible)
