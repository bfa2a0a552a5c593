"""Paths of `dtw`: valid, inside the window, of the cost they come with, by the tie rule."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import coalign
from coalign import InfeasibleError, Status, Warping, _execution, slanted
from oracles.compare import assert_close, assert_same_bits
from oracles.instances import Array, make_series, make_staircase
from oracles.warping import (
    Path,
    accumulate,
    brute_force,
    in_order,
    inside,
    local_costs,
    trace_back,
    within,
)

FRAME_METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")

# Around strips of 16 to 128 rows, blocks of 8 rows and 6 steps, and a snapshot every 120 steps.
SHAPES = (
    (1, 1),
    (1, 9),
    (9, 1),
    (2, 2),
    (5, 6),
    (8, 8),
    (9, 7),
    (16, 17),
    (17, 130),
    (33, 121),
    (65, 64),
    (127, 241),
    (130, 16),
    (130, 363),
    (257, 129),
    (400, 30),
    (50, 700),
)


def pairs_of(warping: Warping) -> Path:
    """The path as a list of pairs."""
    assert warping.x_index.dtype == warping.y_index.dtype == np.int64
    return list(zip(warping.x_index.tolist(), warping.y_index.tolist(), strict=True))


def assert_path(warping: Warping, n: int, m: int, window: Any = None) -> None:
    """Check everything that holds of a path whatever the costs are."""
    i, j = warping.x_index, warping.y_index
    assert i.shape == j.shape
    assert (i[0], j[0]) == (0, 0)
    assert (i[-1], j[-1]) == (n - 1, m - 1)
    steps = set(zip(np.diff(i).tolist(), np.diff(j).tolist(), strict=True))
    assert steps <= {(1, 1), (1, 0), (0, 1)}
    assert inside(window, n, m)[i, j].all()


def windows_for(n: int, m: int) -> dict[str, Any]:
    """Windows that a path fits, for one shape."""
    rng = np.random.default_rng([n, m])
    return {
        "none": None,
        "band 0": 0,
        "band 5": 5,
        "slanted 1": slanted(1),
        "slanted 7": slanted(7),
        "rows": make_staircase(rng, n, m, slack=6),
    }


# --- the tie rule ---------------------------------------------------------------------------------


@cache
def problem_with_ties(n: int, m: int, window: str) -> tuple[Array, Array, float, Path]:
    """Two series of a few integers, so that ties are everywhere; the cost and the path."""
    rng = np.random.default_rng([n, m, 1])
    x = rng.integers(0, 3, n).astype(np.float64)
    y = rng.integers(0, 3, m).astype(np.float64)
    total = accumulate(within(local_costs(x, y, "cityblock"), windows_for(n, m)[window]))
    return x, y, total[-1, -1], trace_back(total)


@pytest.mark.parametrize("window", ["none", "band 0", "band 5", "slanted 1", "slanted 7", "rows"])
def test_ties_prefer_the_diagonal_then_x(window: str, isa: str, dtype: np.dtype) -> None:
    for n, m in SHAPES:
        x, y, cost, path = problem_with_ties(n, m, window)
        options: dict[str, Any] = {"window": windows_for(n, m)[window], "path": True}
        with _execution.forced(isa) as runs:
            series = coalign.dtw(x.astype(dtype), y.astype(dtype), metric="cityblock", **options)
            local = local_costs(x, y, "cityblock").astype(dtype)
            matrix = coalign.dtw(local, metric="precomputed", **options)
        assert {run.isa for run in runs} == {isa}
        for warping in (series, matrix):
            assert_path(warping, n, m, options["window"])
            assert warping.cost == cost, (n, m)
            assert pairs_of(warping) == path, (n, m)


@pytest.mark.parametrize(
    ("n", "m"), [(1, 7), (7, 1), (5, 5), (4, 9), (9, 4), (140, 300), (300, 140)]
)
def test_equal_costs_everywhere_keep_to_the_diagonal_from_the_end(
    n: int, m: int, isa: str, dtype: np.dtype
) -> None:
    # From the end: diagonal steps as far as they go, then straight along the border.
    together = min(n, m)
    path = [(max(k - (m - together), 0), max(k - (n - together), 0)) for k in range(max(n, m))]
    with _execution.forced(isa) as runs:
        warping = coalign.dtw(np.zeros(n, dtype), np.zeros(m, dtype), path=True)
    assert {run.isa for run in runs} == {isa}
    assert pairs_of(warping) == path


def test_a_tie_without_the_diagonal_goes_to_x(isa: str, dtype: np.dtype) -> None:
    # Both ways round the forbidden middle cost 2; seen from the end, the step in x comes first.
    cost = np.array([[0, 1, 9], [1, np.inf, 1], [9, 1, 0]], dtype)
    with _execution.forced(isa) as runs:
        warping = coalign.dtw(cost, metric="precomputed", path=True)
    assert {run.isa for run in runs} == {isa}
    total = accumulate(cost)
    assert total[1, 2] == total[2, 1] < total[1, 1]
    assert pairs_of(warping) == [(0, 0), (0, 1), (1, 2), (2, 2)]


@pytest.mark.slow
def test_ties_in_a_large_lattice(isa: str, dtype: np.dtype) -> None:
    x, y, cost, path = problem_with_ties(3000, 2000, "none")
    with _execution.forced(isa) as runs:
        warping = coalign.dtw(x.astype(dtype), y.astype(dtype), metric="cityblock", path=True)
    assert {run.isa for run in runs} == {isa}
    assert warping.cost == cost
    assert pairs_of(warping) == path


def test_the_golden_path(isa: str, dtype: np.dtype) -> None:
    x = np.array([1, 1, 3, 3, 2, 4], dtype)
    y = np.array([1, 3, 2, 2, 4, 4], dtype)
    with _execution.forced(isa) as runs:
        warping = coalign.dtw(x, y, metric="cityblock", path=True)
    assert {run.isa for run in runs} == {isa}
    assert warping.cost == 0
    assert_path(warping, 6, 6)
    assert (x[warping.x_index] == y[warping.y_index]).all()
    assert pairs_of(warping) == trace_back(accumulate(local_costs(x, y, "cityblock")))


# --- against every path ---------------------------------------------------------------------------


@given(
    cost=arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements=st.one_of(st.integers(-2, 3).map(float), st.just(math.inf)),
        fill=st.nothing(),
    )
)
def test_the_path_is_one_of_the_best(cost: Array, isa: str, dtype: np.dtype) -> None:
    least, best = brute_force(cost)
    with _execution.forced(isa) as runs:
        if not best:
            with pytest.raises(InfeasibleError):
                coalign.dtw(cost.astype(dtype), metric="precomputed", path=True)
        else:
            warping = coalign.dtw(cost.astype(dtype), metric="precomputed", path=True)
            assert warping.cost == least
            assert pairs_of(warping) in best
            assert pairs_of(warping) == trace_back(accumulate(cost))
    assert {run.isa for run in runs} == {isa}


@given(
    n=st.integers(1, 70),
    m=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(FRAME_METRICS),
    dim=st.integers(1, 4),
    window=st.sampled_from(["none", "band 0", "band 5", "slanted 1", "slanted 7", "rows"]),
)
def test_every_path_is_valid_and_costs_what_it_says(
    n: int, m: int, seed: int, metric: str, dim: int, window: str, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(seed)
    x, y = make_series(rng, n, dim, dtype), make_series(rng, m, dim, dtype)
    options: dict[str, Any] = {"metric": metric, "window": windows_for(n, m)[window]}
    with _execution.forced(isa) as runs:
        warping = coalign.dtw(x, y, path=True, **options)
        assert_same_bits(coalign.dtw(x, y, **options).cost, warping.cost)
    assert {run.isa for run in runs} == {isa}
    assert_path(warping, n, m, options["window"])
    along = local_costs(x, y, metric)[warping.x_index, warping.y_index]
    total = in_order(along.astype(dtype))
    assert total.dtype == dtype
    assert_close(total, warping.cost, dtype, len(along), metric=metric, dim=dim)


# --- the cost of the path -------------------------------------------------------------------------


@pytest.mark.parametrize("window", ["none", "band 5", "slanted 7", "rows"])
def test_the_costs_along_the_path_add_up_to_the_cost(
    window: str, isa: str, dtype: np.dtype
) -> None:
    for n, m in SHAPES:
        rng = np.random.default_rng([n, m, 2])
        cost = rng.normal(size=(n, m)).astype(dtype)
        options: dict[str, Any] = {"metric": "precomputed", "window": windows_for(n, m)[window]}
        with _execution.forced(isa) as runs:
            warping = coalign.dtw(cost, path=True, **options)
            assert_same_bits(coalign.dtw(cost, **options).cost, warping.cost)
        assert {run.isa for run in runs} == {isa}
        assert_path(warping, n, m, options["window"])
        assert_same_bits(in_order(cost[warping.x_index, warping.y_index]), warping.cost, f"{n, m}")


@pytest.mark.parametrize("metric", FRAME_METRICS)
@pytest.mark.parametrize("dim", [1, 3, 20])
def test_a_series_and_its_copy_are_solved_as_any_pair(
    metric: str, dim: int, isa: str, dtype: np.dtype
) -> None:
    for n in (1, 2, 17, 70):
        rng = np.random.default_rng([n, dim])
        # Frames that follow their like: many paths cost nothing. Sums of integers are exact.
        x = np.repeat(rng.integers(-3, 4, (n, dim)), 2, axis=0)[:n].astype(dtype)
        # Steps with weights of their own go their own way.
        weighed = coalign.dtw(x, x.copy(), metric=metric, step="symmetric2", path=True)
        assert set(weighed.weight.tolist()) <= {1, 2}
        assert weighed.weight.sum() == 2 * n - 1
        windows = windows_for(n, n)
        if n > 2:
            # Without the diagonal, but at the ends.
            rows = np.arange(n)
            windows["aside"] = np.stack([rows - 1, rows + 1], axis=1).clip(0, n)
            windows["aside"][1:-1, 1] -= 1
            windows["aside"][-1, 0] -= 1
        for window in windows.values():
            for limit in (None, 0.0, -1.0):
                options: dict[str, Any] = {"window": window, "max_cost": limit}
                with _execution.forced(isa):
                    found = coalign.dtw(x, x.copy(), metric=metric, path=True, **options)
                    alone = coalign.dtw(x, x.copy(), metric=metric, **options)
                    pairs = coalign.dtw([x, x + 1], [x.copy()] * 2, metric=metric, **options)
                    wanted = coalign.dtw_cdist([x], [x.copy()], metric=metric, **options)
                for cost in (found.cost, alone.cost, pairs.cost[0]):
                    assert_same_bits(cost, wanted[0, 0])
                if not np.isfinite(wanted[0, 0]):
                    assert len(found.x_index) == len(found.y_index) == 0
                elif metric in ("sqeuclidean", "cityblock"):
                    costs = within(local_costs(x, x, metric), window)
                    assert pairs_of(found) == trace_back(accumulate(costs))


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("metric", FRAME_METRICS)
def test_long_paths_cost_what_they_say(metric: str, dim: int, isa: str, dtype: np.dtype) -> None:
    for n, m in SHAPES:
        rng = np.random.default_rng([n, m, dim])
        x, y = make_series(rng, n, dim, dtype), make_series(rng, m, dim, dtype)
        for window in (None, slanted(7)):
            options: dict[str, Any] = {"metric": metric, "window": window}
            with _execution.forced(isa) as runs:
                warping = coalign.dtw(x, y, path=True, **options)
                assert_same_bits(coalign.dtw(x, y, **options).cost, warping.cost)
            assert {run.isa for run in runs} == {isa}
            assert_path(warping, n, m, window)
            along = local_costs(x, y, metric)[warping.x_index, warping.y_index].astype(dtype)
            what = f"{n, m}, {window}"
            assert_close(
                in_order(along), warping.cost, dtype, len(along), metric=metric, dim=dim, what=what
            )


def test_the_path_of_a_wide_frame_and_a_long_series(isa: str, dtype: np.dtype) -> None:
    # Thousands of steps a strip: many snapshots, and several stretches between looks at the clock.
    rng = np.random.default_rng(0)
    x = make_series(rng, 20, 17, dtype)
    y = make_series(rng, 4000, 17, dtype)
    with _execution.forced(isa) as runs:
        wide = coalign.dtw(x, y, path=True)
        tall = coalign.dtw(y, x, path=True)
        assert_same_bits(coalign.dtw(x, y).cost, wide.cost)
    assert {run.isa for run in runs} == {isa}
    assert_path(wide, 20, 4000)
    assert_path(tall, 4000, 20)
    assert_same_bits(tall.cost, wide.cost)
    local = local_costs(x, y, "sqeuclidean")
    for i, j in ((wide.x_index, wide.y_index), (tall.y_index, tall.x_index)):
        along = local[i, j]
        assert_close(in_order(along), wide.cost, dtype, len(along), metric="sqeuclidean", dim=17)


def seconds(call: Callable[[], object]) -> float:
    """The quickest of a few: the machine may be busy."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("checkpoint_bytes", [None, 0])
def test_the_path_of_a_long_series_in_a_narrow_band_takes_a_few_times_its_cost(
    checkpoint_bytes: int | None,
) -> None:
    # Three to four times. What each strip does to a whole row shows as sixteen times.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 400_000)).astype(np.float32)
    without = seconds(lambda: coalign.dtw(x, y, window=10, threads=1))
    with _execution.forced(checkpoint_bytes=checkpoint_bytes):
        assert seconds(lambda: coalign.dtw(x, y, window=10, path=True, threads=1)) < 6 * without


# --- batches, and paths that there are not --------------------------------------------------------


def test_a_batch_gives_the_paths_that_its_problems_give_alone(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    xs = [make_series(rng, n, 2, dtype, "integers") for n, _ in SHAPES]
    ys = [make_series(rng, m, 2, dtype, "integers") for _, m in SHAPES]
    with _execution.forced(isa) as runs:
        batch = coalign.dtw(xs, ys, window=slanted(7), path=True)
        alone = [
            coalign.dtw(x, y, window=slanted(7), path=True) for x, y in zip(xs, ys, strict=True)
        ]
    assert {run.isa for run in runs} == {isa}
    assert isinstance(batch.x_index, list)
    assert isinstance(batch.y_index, list)
    assert len(batch.x_index) == len(batch.y_index) == len(SHAPES)
    for p, warping in enumerate(alone):
        assert_same_bits(batch.cost[p], warping.cost)
        assert_same_bits(batch.x_index[p], warping.x_index)
        assert_same_bits(batch.y_index[p], warping.y_index)


def test_a_cost_above_max_cost_has_no_path(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    xs = [make_series(rng, n, 1, dtype) for n, _ in SHAPES]
    ys = [make_series(rng, m, 1, dtype) for _, m in SHAPES]
    with _execution.forced(isa) as runs:
        free = coalign.dtw(xs, ys, path=True)
        limit = float(np.median(free.cost))
        limited = coalign.dtw(xs, ys, path=True, max_cost=limit)
        less = np.nextafter(free.cost[-1], dtype.type(0))
        alone = coalign.dtw(xs[-1], ys[-1], path=True, max_cost=less)
    assert {run.isa for run in runs} == {isa}
    exceeds = free.cost.astype(np.float64) > limit
    assert 0 < exceeds.sum() < len(SHAPES)
    assert_same_bits(limited.cost, np.where(exceeds, dtype.type(np.inf), free.cost))
    assert (limited.status == Status.OK).all()
    for p in range(len(SHAPES)):
        if exceeds[p]:
            assert limited.x_index[p].shape == limited.y_index[p].shape == (0,)
            assert limited.x_index[p].dtype == np.int64
        else:
            assert_same_bits(limited.x_index[p], free.x_index[p])
            assert_same_bits(limited.y_index[p], free.y_index[p])
    assert alone.cost == math.inf
    assert len(alone.x_index) == len(alone.y_index) == 0


def test_without_path_there_is_none() -> None:
    warping = coalign.dtw(np.zeros(3), np.zeros(4))
    assert warping.x_index is None
    assert warping.y_index is None
    with pytest.raises(
        ValueError,
        match=r"^matrices: expected a warping with a path; call dtw\(\.\.\., path=True\)",
    ):
        warping.matrices()
    with pytest.raises(ValueError, match=r"^matrices: expected a warping with a path"):
        coalign.dtw([np.zeros(3)], [np.zeros(4)]).matrices()


# --- the path as matrices -------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 6), (7, 3), (40, 55)])
def test_matrices_warp_both_series(n: int, m: int, dim: int, dtype: np.dtype) -> None:
    rng = np.random.default_rng([n, m, dim])
    x, y = make_series(rng, n, dim, dtype), make_series(rng, m, dim, dtype)
    warping = coalign.dtw(x, y, path=True)
    W_x, W_y = warping.matrices()
    steps = len(warping.x_index)
    assert (W_x.shape, W_y.shape) == ((n, steps), (m, steps))
    assert W_x.dtype == W_y.dtype == dtype
    assert W_x.nnz == W_y.nnz == steps
    for matrix, index in ((W_x, warping.x_index), (W_y, warping.y_index)):
        dense = matrix.toarray()
        assert (dense.sum(axis=0) == 1).all()
        assert (dense.argmax(axis=0) == index).all()
    X, Y = (series.reshape(len(series), -1).astype(np.float64) for series in (x, y))
    distance = ((X.T @ W_x - Y.T @ W_y) ** 2).sum()
    assert_close(warping.cost, distance, dtype, steps, metric="sqeuclidean", dim=dim)


def test_matrices_of_a_batch() -> None:
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(n, 2)) for n in (3, 8, 5)]
    ys = [rng.normal(size=(m, 2)) for m in (9, 8, 1)]
    free = coalign.dtw(xs, ys, path=True)
    matrices = free.matrices()
    assert len(matrices) == 3
    for p, (W_x, W_y) in enumerate(matrices):
        assert W_x.shape == (len(xs[p]), len(free.x_index[p]))
        assert W_y.shape == (len(ys[p]), len(free.y_index[p]))
        distance = ((xs[p].T @ W_x - ys[p].T @ W_y) ** 2).sum()
        np.testing.assert_allclose(distance, free.cost[p], rtol=1e-12)


def test_matrices_of_an_empty_path() -> None:
    W_x, W_y = coalign.dtw(np.zeros(3), np.ones(4), path=True, max_cost=1.0).matrices()
    assert (W_x.shape, W_y.shape) == ((3, 0), (4, 0))


@pytest.mark.parametrize("window", [None, 3, 40, slanted(30)], ids=str)
@pytest.mark.parametrize("metric", ["sqeuclidean", "precomputed"])
@pytest.mark.parametrize("shape", [(1, 30), (17, 5), (150, 90), (700, 430), (400, 900)])
def test_paths_by_groups_of_strips_are_the_same(isa, dtype, shape, metric, window):
    rng = np.random.default_rng(shape[0])
    if metric == "precomputed":
        sides = [rng.integers(0, 3, shape).astype(dtype)]
    else:
        sides = [rng.integers(0, 3, length).astype(dtype) for length in shape]
    options = {"metric": metric, "window": window, "path": True}
    with _execution.forced(isa):
        expected = coalign.dtw(*sides, **options)
    with _execution.forced(isa, checkpoint_bytes=0):
        warping = coalign.dtw(*sides, **options)
    assert warping.cost == expected.cost
    assert warping.x_index.tolist() == expected.x_index.tolist()
    assert warping.y_index.tolist() == expected.y_index.tolist()


PEAK = """
import resource, sys
import numpy as np, coalign
n, window = int(sys.argv[1]), int(sys.argv[2])
x, y = np.random.default_rng(0).normal(size=(2, n))
options = {"window": window if window > 0 else None, "path": True, "threads": 1}
coalign.dtw(x[:2000], y[:2000], **options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = coalign.dtw(x, y, **options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
across, down = np.diff(found.x_index), np.diff(found.y_index)
assert found.x_index[[0, -1]].tolist() == found.y_index[[0, -1]].tolist() == [0, n - 1]
assert ((across | down) == 1).all() and (across >= 0).all() and (down >= 0).all()
along = ((x[found.x_index] - y[found.y_index]) ** 2).sum()
assert abs(along - found.cost) <= 1e-12 * along
"""


@pytest.mark.parametrize(
    ("n", "window", "most"),
    [pytest.param(100_000, 1000, 200_000, marks=pytest.mark.slow), (30_000, 0, 100_000)],
    ids=str,
)
def test_long_paths_take_little_memory(n: int, window: int, most: int) -> None:
    # In KB. The lattice takes 1.6 GB of float64 in the band and 7.2 GB without one, and the
    # checkpoints of all strips without one 180 to 520 MB, by the instruction set.
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(n), str(window)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < most
