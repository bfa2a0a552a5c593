"""A result depends on its own problem alone: not on threads, neighbours or memory layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import coalign
from coalign import Warping, _execution, slanted
from oracles.compare import assert_same_bits
from oracles.instances import Array, make_series, pad
from workers import run_on_threads

WINDOWS = [None, 6, slanted(5)]
METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")


def make_collection(seed: int, count: int, longest: int, dim: int, dtype: Any) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [make_series(rng, n, dim, dtype) for n in rng.integers(1, longest + 1, count)]


def assert_same_warping(ours: Warping, theirs: Warping, what: str = "") -> None:
    assert_same_bits(ours.cost, theirs.cost, what)
    assert_same_bits(ours.status, theirs.status, what)
    assert (ours.x_index is None) == (theirs.x_index is None)
    if ours.x_index is None:
        return
    if not isinstance(ours.x_index, list):
        ours_index, theirs_index = [ours.x_index, ours.y_index], [theirs.x_index, theirs.y_index]
    else:
        ours_index = [*ours.x_index, *ours.y_index]
        theirs_index = [*theirs.x_index, *theirs.y_index]
    for mine, other in zip(ours_index, theirs_index, strict=True):
        assert_same_bits(mine, other, what)


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", WINDOWS[::2], ids=str)
@pytest.mark.parametrize("mirrored", [True, False])
def test_threads_do_not_change_a_table(
    mirrored: bool, window: Any, isa: str, dtype: np.dtype
) -> None:
    xs = make_collection(0, 70, 200, 1, dtype)
    ys = None if mirrored else make_collection(1, 50, 200, 1, dtype)

    def call(threads: int) -> Array:
        return coalign.dtw_cdist(xs, ys, window=window, threads=threads)

    one = run_on_threads(call, 1, isa)
    for threads in (2, 3):
        assert_same_bits(run_on_threads(call, threads, isa), one)


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize("window", WINDOWS[::2], ids=str)
def test_threads_do_not_change_a_batch(window: Any, path: bool, isa: str, dtype: np.dtype) -> None:
    count, longest = (90, 350) if path else (300, 200)
    xs = make_collection(0, count, longest, 2, dtype)
    ys = make_collection(1, count, longest, 2, dtype)

    def call(threads: int) -> Warping:
        return coalign.dtw(xs, ys, window=window, path=path, threads=threads)

    one = run_on_threads(call, 1, isa)
    for threads in (2, 3):
        assert_same_warping(run_on_threads(call, threads, isa), one)


def test_threads_do_not_change_precomputed_problems(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    costs = [
        rng.normal(size=(n, m)).astype(dtype) for n, m in rng.integers(1, 350, (90, 2)).tolist()
    ]

    def call(threads: int) -> Warping:
        return coalign.dtw(costs, metric="precomputed", path=True, threads=threads)

    one = run_on_threads(call, 1, isa)
    for threads in (2, 3):
        assert_same_warping(run_on_threads(call, threads, isa), one)


def test_small_work_stays_on_the_calling_thread() -> None:
    with _execution.forced() as runs:
        coalign.dtw_cdist(np.zeros((40, 10)), threads=3)
    assert [run.workers for run in runs] == [1]


# --- neighbours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "dim"),
    [("sqeuclidean", 1), ("cityblock", 1), ("sqeuclidean", 3), ("euclidean", 3), ("cosine", 3)],
)
def test_batch_mates_do_not_change_a_problem(
    metric: str, dim: int, isa: str, dtype: np.dtype
) -> None:
    count = 37
    xs = make_collection(2, count, 70, dim, dtype)
    ys = make_collection(3, count, 70, dim, dtype)
    shuffled = np.random.default_rng(4).permutation(count)
    giants = make_collection(5, 20, 300, dim, dtype)
    for window in WINDOWS[:: 1 if dim == 1 else 2]:
        options: dict[str, Any] = {"metric": metric, "window": window}
        with _execution.forced(isa) as runs:
            alone = np.array(
                [coalign.dtw(x, y, threads=1, **options).cost for x, y in zip(xs, ys, strict=True)]
            )
            together = coalign.dtw(xs, ys, **options).cost
            apart = coalign.dtw(
                [xs[p] for p in shuffled], [ys[p] for p in shuffled], **options
            ).cost
            dwarfed = coalign.dtw([*giants, *xs], [*giants, *ys], **options).cost
            table = coalign.dtw_cdist([*giants, *xs], [*ys, *giants[:7]], **options)
        assert {run.isa for run in runs} == {isa}
        assert_same_bits(together, alone)
        assert_same_bits(apart, alone[shuffled])
        assert_same_bits(dwarfed[len(giants) :], alone)
        assert_same_bits(np.diag(table[len(giants) :]), alone)


@pytest.mark.parametrize("path", [False, True])
def test_the_size_of_a_batch_does_not_change_its_problems(
    path: bool, isa: str, dtype: np.dtype
) -> None:
    # Every number of lanes in use, from one to more than the widest vector has.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 33)).astype(dtype), rng.normal(size=(20, 41)).astype(dtype)
    x, y = x[..., np.newaxis], y[..., np.newaxis]
    with _execution.forced(isa) as runs:
        full = coalign.dtw(x, y, window=5, path=path)
        for count in range(1, 20):
            part = coalign.dtw(x[:count], y[:count], window=5, path=path)
            assert_same_bits(part.cost, full.cost[:count])
            assert_same_bits(coalign.dtw_cdist(x[:count], y[:1], window=5)[0], full.cost[:1])
    assert {run.isa for run in runs} == {isa}


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_batch_gives_what_its_problems_give_alone(
    data: st.DataObject, seed: int, isa: str, dtype: np.dtype
) -> None:
    lengths = st.integers(1, 24) | st.integers(1, 90)
    shapes = data.draw(st.lists(st.tuples(lengths, lengths), min_size=1, max_size=24))
    dim = data.draw(st.sampled_from([1, 2]))
    options: dict[str, Any] = {
        "metric": data.draw(st.sampled_from(METRICS)),
        "window": data.draw(st.sampled_from(WINDOWS)),
    }
    rng = np.random.default_rng(seed)
    xs = [make_series(rng, n, dim, dtype) for n, _ in shapes]
    ys = [make_series(rng, m, dim, dtype) for _, m in shapes]
    with _execution.forced(isa) as runs:
        batch = coalign.dtw(xs, ys, **options).cost
        table = coalign.dtw_cdist(xs, ys, **options)
        alone = [coalign.dtw(x, y, path=True, **options).cost for x, y in zip(xs, ys, strict=True)]
    assert {run.isa for run in runs} == {isa}
    assert_same_bits(batch, np.array(alone))
    assert_same_bits(np.diag(table), np.array(alone))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_what_lies_past_a_length_does_not_matter(window: Any, isa: str, dtype: np.dtype) -> None:
    xs = make_collection(6, 20, 60, 2, dtype)
    ys = make_collection(7, 20, 60, 2, dtype)
    results = []
    for fill in (0.0, 1.0, -1e30, np.inf, np.nan):
        x, x_lengths = pad(xs, fill)
        y, y_lengths = pad(ys, fill)
        options: dict[str, Any] = {"x_lengths": x_lengths, "y_lengths": y_lengths, "window": window}
        with _execution.forced(isa) as runs:
            results.append((coalign.dtw(x, y, **options), coalign.dtw_cdist(x, y, **options)))
        assert {run.isa for run in runs} == {isa}
    with _execution.forced(isa):
        listed = coalign.dtw(xs, ys, window=window)
    for warping, table in results:
        assert warping.x_length.tolist() == [len(x) for x in xs]
        assert warping.y_length.tolist() == [len(y) for y in ys]
        assert_same_bits(warping.cost, listed.cost)
        assert_same_bits(table, results[0][1])


def test_one_series_against_a_batch_is_each_pair(isa: str, dtype: np.dtype) -> None:
    batch = make_collection(8, 21, 60, 2, dtype)
    one = make_collection(9, 1, 60, 2, dtype)[0]
    with _execution.forced(isa) as runs:
        first = coalign.dtw(one, batch, path=True)
        second = coalign.dtw(batch, one, path=True)
        spelled = coalign.dtw([one] * 21, batch, path=True)
        turned = coalign.dtw(batch, [one] * 21, path=True)
    assert {run.isa for run in runs} == {isa}
    assert_same_warping(first, spelled)
    assert_same_warping(second, turned)
    assert first.x_length.tolist() == second.y_length.tolist() == [len(one)] * 21


# --- memory layout --------------------------------------------------------------------------------


def reversed_copy(array: Array) -> Array:
    """The same values, every axis stored backwards."""
    backwards = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[backwards])[backwards]


def every_second(array: Array) -> Array:
    """The same values with NaN between them along every axis."""
    spread = np.full([2 * size for size in array.shape], np.nan, array.dtype)
    taken = (slice(None, None, 2),) * array.ndim
    spread[taken] = array
    return spread[taken]


def unaligned(array: Array) -> Array:
    """The same values, one byte off."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    shifted = memory[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    assert not shifted.flags.aligned
    return shifted


def byte_swapped(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("S"))


def read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def with_gaps(array: Array) -> Array:
    """Rows that are contiguous, with NaN between one and the next."""
    padded = np.full((*array.shape[:-1], array.shape[-1] + 3), np.nan, array.dtype)
    padded[..., : array.shape[-1]] = array
    return padded[..., : array.shape[-1]]


def first_axis_backwards(array: Array) -> Array:
    return np.ascontiguousarray(array[::-1])[::-1]


def field_of_a_record(array: Array) -> Array:
    """Values whose distance is no multiple of their size."""
    other = np.int32 if array.itemsize == 8 else np.int16
    records = np.zeros(array.shape, [("value", array.dtype), ("other", other)])
    records["value"] = array
    return records["value"]


LAYOUTS: tuple[Callable[[Array], Array], ...] = (
    np.asfortranarray,
    reversed_copy,
    first_axis_backwards,
    every_second,
    with_gaps,
    unaligned,
    byte_swapped,
    read_only,
    field_of_a_record,
)


def bytes_of(array: Array) -> bytes:
    """Every byte that an array's memory holds, between its elements too."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    return base.tobytes()


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_the_layout_of_series_does_not_matter(
    layout: Callable[[Array], Array], dim: int, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(0)
    plain_x = rng.normal(size=(18, 33, dim)).astype(dtype)
    plain_y = rng.normal(size=(18, 41, dim)).astype(dtype)
    x, y = layout(plain_x), layout(plain_y)
    np.testing.assert_array_equal(x, plain_x)
    one_x, one_y = layout(plain_x[0]), layout(plain_y[0])
    flat_x, flat_y = layout(plain_x[0, :, 0]), layout(plain_y[0, :, 0])
    held = [x, y, one_x, one_y, flat_x, flat_y]
    before = [bytes_of(array) for array in held]
    lengths: dict[str, Any] = {
        "x_lengths": rng.integers(1, 34, 18),
        "y_lengths": rng.integers(1, 42, 18),
    }
    for metric in ("sqeuclidean", "cosine"):
        options: dict[str, Any] = {"metric": metric, "window": slanted(9)}
        with _execution.forced(isa) as runs:
            for path in (False, True):
                assert_same_warping(
                    coalign.dtw(x, y, path=path, **options),
                    coalign.dtw(plain_x, plain_y, path=path, **options),
                )
                assert_same_warping(
                    coalign.dtw(one_x, one_y, path=path, **options),
                    coalign.dtw(plain_x[0], plain_y[0], path=path, **options),
                )
                assert_same_warping(
                    coalign.dtw(flat_x, flat_y, path=path, **options),
                    coalign.dtw(plain_x[0, :, 0], plain_y[0, :, 0], path=path, **options),
                )
            assert_same_warping(
                coalign.dtw(list(x), list(y), **options), coalign.dtw(plain_x, plain_y, **options)
            )
            assert_same_warping(
                coalign.dtw(x, y, **lengths, **options),
                coalign.dtw(plain_x, plain_y, **lengths, **options),
            )
            assert_same_bits(
                coalign.dtw_cdist(x, y, **options), coalign.dtw_cdist(plain_x, plain_y, **options)
            )
            assert_same_bits(
                coalign.dtw_cdist(x[..., 0], y[..., 0], **options),
                coalign.dtw_cdist(plain_x[..., 0].copy(), plain_y[..., 0].copy(), **options),
            )
        assert {run.isa for run in runs} == {isa}
    assert [bytes_of(array) for array in held] == before


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_the_layout_of_precomputed_costs_does_not_matter(
    layout: Callable[[Array], Array], isa: str, dtype: np.dtype
) -> None:
    plain = np.random.default_rng(0).normal(size=(3, 33, 150)).astype(dtype)
    batch, one, column = layout(plain), layout(plain[0]), layout(plain[0, :, :1])
    np.testing.assert_array_equal(batch, plain)
    held = [batch, one, column]
    before = [bytes_of(array) for array in held]
    options: dict[str, Any] = {"metric": "precomputed", "window": 8, "path": True}
    with _execution.forced(isa) as runs:
        assert_same_warping(coalign.dtw(batch, **options), coalign.dtw(plain, **options))
        assert_same_warping(coalign.dtw(list(batch), **options), coalign.dtw(plain, **options))
        assert_same_warping(coalign.dtw(one, **options), coalign.dtw(plain[0], **options))
        assert_same_warping(
            coalign.dtw(one.T, **options), coalign.dtw(plain[0].T.copy(), **options)
        )
        assert_same_warping(
            coalign.dtw(column, **options), coalign.dtw(plain[0, :, :1].copy(), **options)
        )
        lengths = {"x_lengths": [33, 1, 20], "y_lengths": [1, 150, 77]}
        assert_same_warping(
            coalign.dtw(batch, **lengths, **options), coalign.dtw(plain, **lengths, **options)
        )
    assert {run.isa for run in runs} == {isa}
    assert [bytes_of(array) for array in held] == before


def test_overlapping_series_are_read_in_place(isa: str, dtype: np.dtype) -> None:
    signal = np.random.default_rng(0).normal(size=400).astype(dtype)
    before = signal.tobytes()
    windows = sliding_window_view(signal, 50)[::20]
    assert np.may_share_memory(windows[0], windows[1])
    copies = windows.copy()
    with _execution.forced(isa) as runs:
        assert_same_bits(coalign.dtw_cdist(windows), coalign.dtw_cdist(copies))
        assert_same_bits(
            coalign.dtw_cdist(windows, copies[:5]), coalign.dtw_cdist(copies, copies[:5])
        )
        assert_same_warping(
            coalign.dtw(windows[1:, :, np.newaxis], windows[:-1, :, np.newaxis], path=True),
            coalign.dtw(copies[1:, :, np.newaxis], copies[:-1, :, np.newaxis], path=True),
        )
        frames = sliding_window_view(signal, 3)
        assert_same_warping(
            coalign.dtw(frames[:200], frames[150:], path=True),
            coalign.dtw(frames[:200].copy(), frames[150:].copy(), path=True),
        )
        matrix = sliding_window_view(signal, 90)
        assert_same_warping(
            coalign.dtw(matrix, metric="precomputed", path=True),
            coalign.dtw(matrix.copy(), metric="precomputed", path=True),
        )
    assert {run.isa for run in runs} == {isa}
    assert signal.tobytes() == before


def test_zero_strides(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    row = rng.normal(size=40).astype(dtype)
    other = rng.normal(size=(20, 30)).astype(dtype)
    before = row.tobytes(), other.tobytes()
    views = {
        "series": np.broadcast_to(row, (20, 40)),
        "frames": np.broadcast_to(row[:20, np.newaxis], (20, 40)),
        "one value": np.broadcast_to(row[:1], (20, 40)),
    }
    with _execution.forced(isa) as runs:
        for name, view in views.items():
            copy = view.copy()
            assert_same_bits(coalign.dtw_cdist(view, other), coalign.dtw_cdist(copy, other), name)
            assert_same_warping(
                coalign.dtw(view[..., np.newaxis], other[..., np.newaxis], path=True),
                coalign.dtw(copy[..., np.newaxis], other[..., np.newaxis], path=True),
                name,
            )
            assert_same_warping(
                coalign.dtw(view, other[:, :1] + np.zeros(40, dtype), path=True),
                coalign.dtw(copy, other[:, :1] + np.zeros(40, dtype), path=True),
                name,
            )
            assert_same_warping(
                coalign.dtw(view, metric="precomputed", path=True),
                coalign.dtw(copy, metric="precomputed", path=True),
                name,
            )
    assert {run.isa for run in runs} == {isa}
    assert (row.tobytes(), other.tobytes()) == before


def test_a_series_against_itself_and_against_its_own_memory(isa: str, dtype: np.dtype) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(dtype)
    before = x.tobytes()
    with _execution.forced(isa) as runs:
        warping = coalign.dtw(x, x, path=True)
        assert warping.cost == 0
        assert warping.x_index.tolist() == warping.y_index.tolist() == list(range(60))
        assert_same_warping(
            coalign.dtw(x, x[::-1], path=True), coalign.dtw(x, x[::-1].copy(), path=True)
        )
    assert {run.isa for run in runs} == {isa}
    assert x.tobytes() == before


# --- the same call twice --------------------------------------------------------------------------


def test_repeated_calls_give_the_same_bits(isa: str, dtype: np.dtype) -> None:
    xs = make_collection(10, 30, 100, 2, dtype)
    with _execution.forced(isa) as runs:
        first, *others = (coalign.dtw_cdist(xs, window=9) for _ in range(3))
        out = np.full((30, 30), np.nan, dtype)
        assert coalign.dtw_cdist(xs, window=9, out=out) is out
    assert {run.isa for run in runs} == {isa}
    for other in (*others, out):
        assert_same_bits(other, first)
