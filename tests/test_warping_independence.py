"""A result depends on its own problem alone: not on threads, neighbours or memory layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coalign
from coalign import Warping, _execution, slanted
from oracles.compare import assert_same_bits
from oracles.instances import Array, make_series
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


# --- memory layout --------------------------------------------------------------------------------


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
