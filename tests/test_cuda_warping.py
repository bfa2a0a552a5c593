"""Dynamic time warping on a GPU: the CPU's answers, its words, and nothing waited for."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coalign import (
    DeviceError,
    InfeasibleError,
    Status,
    _device,
    _warping,
    dtw,
    dtw_cdist,
    dtw_nearest,
    show_config,
    slanted,
)
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from oracles.compare import assert_close, relative_tolerance
from oracles.instances import make_series, make_staircase, pad
from oracles.warping import accumulate, inside, local_costs, trace_back, within

METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")


def draw_batch(
    rng: np.random.Generator, count: int, dim: int, dtype: Any, longest: int = 24
) -> list[Any]:
    return [make_series(rng, int(rng.integers(1, longest)), dim, dtype) for _ in range(count)]


def expected_cost(x: Any, y: Any, metric: str, window: Any) -> float:
    return float(accumulate(within(local_costs(x, y, metric), window))[-1, -1])


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("window", [None, 0, 3, slanted(2)], ids=str)
@pytest.mark.parametrize("dim", [1, 3])
def test_a_ragged_batch_gives_the_oracles_costs_and_paths(
    gpu: GpuUnderTest, dtype: np.dtype, metric: str, window: Any, dim: int
) -> None:
    rng = np.random.default_rng(7)
    xs, ys = draw_batch(rng, 5, dim, dtype), draw_batch(rng, 5, dim, dtype)
    # slanted(2) leaves some shapes without a path: tested on its own.
    if isinstance(window, slanted):
        ys = [make_series(rng, len(x), dim, dtype) for x in xs]
    with forced() as runs:
        found = dtw(gpu.put(xs), gpu.put(ys), metric=metric, window=window, path=True)
    assert [run.isa for run in runs] == ["cuda"]
    cost, status = gpu.get(found.cost), gpu.get(found.status)
    assert cost.dtype == dtype
    assert status.dtype == np.int32
    assert (status == Status.OK).all()
    x_index, y_index = gpu.get(found.x_index), gpu.get(found.y_index)
    length = gpu.get(found.path_length)
    host = dtw(xs, ys, metric=metric, window=window, path=True)
    for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
        steps = len(x) + len(y)
        wanted = expected_cost(x, y, metric, window)
        assert_close(cost[p], wanted, dtype, steps, metric=metric, dim=dim)
        i, j = x_index[p, : length[p]], y_index[p, : length[p]]
        assert (x_index[p, length[p] :] == -1).all()
        assert (y_index[p, length[p] :] == -1).all()
        assert (i[0], j[0], i[-1], j[-1]) == (0, 0, len(x) - 1, len(y) - 1)
        steps_of = set(zip(np.diff(i).tolist(), np.diff(j).tolist(), strict=True))
        assert steps_of <= {(1, 1), (1, 0), (0, 1)}
        assert inside(window, len(x), len(y))[i, j].all()
        along = local_costs(x, y, metric)[i, j].sum()
        assert_close(cost[p], along, dtype, steps, metric=metric, dim=dim)
        if metric != "cosine":
            np.testing.assert_array_equal(i, host.x_index[p])
            np.testing.assert_array_equal(j, host.y_index[p])


def test_ties_prefer_the_diagonal_then_x(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    for _ in range(4):
        x, y = (make_series(rng, int(n), 1, dtype, "integers") for n in rng.integers(1, 40, 2))
        found = dtw(gpu.put(x), gpu.put(y), metric="cityblock", path=True)
        length = int(gpu.get(found.path_length))
        path = np.stack([gpu.get(found.x_index), gpu.get(found.y_index)], axis=1)[:length]
        assert path.tolist() == [
            list(cell) for cell in trace_back(accumulate(local_costs(x, y, "cityblock")))
        ]


def test_golden(gpu: GpuUnderTest) -> None:
    x, y = np.array([[1.0, 1.0, 3.0, 3.0, 2.0, 4.0], [1.0, 3.0, 2.0, 2.0, 4.0, 4.0]])
    found = dtw(gpu.put(x), gpu.put(y), metric="cityblock")
    assert found.cost.shape == ()
    assert float(gpu.get(found.cost)) == 0


def test_row_bounds(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(11)
    for n, m in [(9, 30), (40, 35), (33, 8)]:
        rows = make_staircase(rng, n, m)
        x, y = rng.normal(size=(3, n)).astype(dtype), rng.normal(size=(3, m)).astype(dtype)
        found = dtw(gpu.put(x[..., None]), gpu.put(y[..., None]), window=rows)
        wanted = [expected_cost(a, b, "sqeuclidean", rows) for a, b in zip(x, y, strict=True)]
        np.testing.assert_allclose(
            gpu.get(found.cost), wanted, rtol=relative_tolerance(dtype, n + m)
        )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 70),
    m=st.integers(1, 70),
    dim=st.integers(1, 3),
    radius=st.none() | st.integers(0, 20),
    workspace=st.sampled_from([None, 0]),
)
def test_costs_and_paths_agree_with_the_cpu(
    gpu: GpuUnderTest, seed: int, n: int, m: int, dim: int, radius: Any, workspace: Any
) -> None:
    rng = np.random.default_rng(seed)
    x, y = make_series(rng, n, dim, np.float32), make_series(rng, m, dim, np.float32)
    with forced(workspace_bytes=workspace):
        found = dtw(gpu.put(x), gpu.put(y), window=radius, path=True)
    wanted = dtw(x, y, window=radius, path=True)
    np.testing.assert_allclose(gpu.get(found.cost), wanted.cost, rtol=1e-5)
    length = int(gpu.get(found.path_length))
    # Nothing ties in random series, so the cheapest path is one.
    assert gpu.get(found.x_index)[:length].tolist() == wanted.x_index.tolist()
    assert gpu.get(found.y_index)[:length].tolist() == wanted.y_index.tolist()


@pytest.mark.parametrize("shape", [(5, 3), (4, None), (1, 6)])
def test_all_pairs(gpu: GpuUnderTest, dtype: np.dtype, shape: Any) -> None:
    rng = np.random.default_rng(5)
    xs = draw_batch(rng, shape[0], 1, dtype)
    ys = None if shape[1] is None else draw_batch(rng, shape[1], 1, dtype)
    found = dtw_cdist(gpu.put(xs), None if ys is None else gpu.put(ys), window=4)
    wanted = dtw_cdist(xs, ys, window=4)
    assert found.dtype == dtype
    np.testing.assert_allclose(gpu.get(found), wanted, rtol=relative_tolerance(dtype, 48))


def test_all_pairs_of_uniform_collections_into_out(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(6)
    X = rng.normal(size=(6, 33, 2)).astype(dtype)
    Y = rng.normal(size=(4, 17, 2)).astype(dtype)
    room = gpu.put(np.zeros((6, 9), dtype))
    out = room[:, 2:6]
    assert dtw_cdist(gpu.put(X), gpu.put(Y), out=out) is out
    gpu.wait()
    whole = gpu.get(room)
    wanted = dtw_cdist(X, Y)
    np.testing.assert_allclose(whole[:, 2:6], wanted, rtol=relative_tolerance(dtype, 50, 2))
    assert not whole[:, :2].any()
    assert not whole[:, 6:].any()


def test_lengths_on_the_host_and_on_the_device(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(8)
    xs, ys = draw_batch(rng, 6, 2, dtype), draw_batch(rng, 6, 2, dtype)
    (x, n), (y, m) = pad(xs), pad(ys)
    wanted = dtw(xs, ys, path=True)
    for lengths in ((n, m), (gpu.put(n), gpu.put(m)), (gpu.put(n.astype(np.int32)), m)):
        found = dtw(gpu.put(x), gpu.put(y), x_lengths=lengths[0], y_lengths=lengths[1], path=True)
        np.testing.assert_allclose(
            gpu.get(found.cost), wanted.cost, rtol=relative_tolerance(dtype, 48, 2)
        )
        ends = gpu.get(found.path_length)
        for p, end in enumerate(ends):
            assert gpu.get(found.x_index)[p, :end].tolist() == wanted.x_index[p].tolist()
    found = dtw_cdist(gpu.put(x), gpu.put(y), x_lengths=gpu.put(n), y_lengths=gpu.put(m))
    np.testing.assert_allclose(
        gpu.get(found), dtw_cdist(xs, ys), rtol=relative_tolerance(dtype, 48, 2)
    )


def test_one_series_against_a_batch(gpu: GpuUnderTest) -> None:
    rng = np.random.default_rng(9)
    x, ys = rng.normal(size=12), rng.normal(size=(5, 15, 1))
    found = dtw(gpu.put(x), gpu.put(ys))
    np.testing.assert_allclose(gpu.get(found.cost), dtw(x, ys).cost, rtol=1e-13)
    found = dtw(gpu.put(ys), gpu.put(x))
    np.testing.assert_allclose(gpu.get(found.cost), dtw(ys, x).cost, rtol=1e-13)


def test_any_strides(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(10)
    for shape in ((4, 2, 21), (4, 1, 21)):
        base = rng.normal(size=shape).astype(dtype)
        wanted = dtw_cdist(base.transpose(0, 2, 1)[:, ::-2])
        view = gpu.put(base)
        if gpu.is_emulated:
            view = type(view)(view.memory.transpose(0, 2, 1)[:, ::-2], 0)
        else:
            view = view.transpose(0, 2, 1)[:, ::-2]
        np.testing.assert_allclose(
            gpu.get(dtw_cdist(view)), wanted, rtol=relative_tolerance(dtype, 24, 2)
        )


def test_other_dtypes_are_converted_there(gpu: GpuUnderTest) -> None:
    values = np.array([[0, 1, 2, 3], [3, 1, 0, 2]])
    wanted = dtw_cdist(values)
    for dtype, result in (("float16", "float32"), ("int16", "float64"), ("bool", "float64")):
        given_values = values.astype(dtype)
        found = dtw_cdist(gpu.put(given_values))
        assert found.dtype == result
        if dtype != "bool":
            np.testing.assert_array_equal(gpu.get(found), wanted)
    found = dtw(gpu.put(values[0].astype("f4")), gpu.put(values[1].astype("f8")))
    assert found.cost.dtype == np.float64
    with pytest.raises(TypeError, match=r"\Ax: expected a real numeric dtype .* got complex64"):
        dtw(gpu.put(values[0].astype("c8")), gpu.put(values[1]))


# -- Step patterns ---------------------------------------------------------------------------------

SYMMETRIC = ("symmetric2", "symmetricP0", "symmetricP05", "symmetricP1", "symmetricP2")


@pytest.mark.parametrize("step", SYMMETRIC)
@pytest.mark.parametrize("metric", METRICS)
def test_costs_of_patterns_are_the_cpus(
    gpu: GpuUnderTest, dtype: np.dtype, step: str, metric: str
) -> None:
    rng = np.random.default_rng(21)
    for dim in (1, 3):
        xs, ys = draw_batch(rng, 7, dim, dtype), draw_batch(rng, 7, dim, dtype)
        found = dtw(gpu.put(xs), gpu.put(ys), metric=metric, step=step)
        cost, status = gpu.get(found.cost), gpu.get(found.status)
        for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
            wanted = float(dtw_cdist([x], [y], metric=metric, step=step)[0, 0])
            assert status[p] == (Status.OK if np.isfinite(wanted) else Status.INFEASIBLE)
            assert_close(cost[p], wanted, dtype, 2 * (len(x) + len(y)), metric=metric, dim=dim)


@pytest.mark.parametrize("step", SYMMETRIC)
@pytest.mark.parametrize("window", [0, 3, slanted(4)], ids=str)
def test_windows_and_long_series_of_patterns(
    gpu: GpuUnderTest, dtype: np.dtype, step: str, window: Any
) -> None:
    rng = np.random.default_rng(22)
    # Beyond one round of 32 lanes of 8 columns.
    shapes = [(30, 30), (25, 31), (9, 20), (280, 300)]
    xs, ys = ([make_series(rng, size[k], 1, dtype) for size in shapes] for k in (0, 1))
    for bounds in (window, None):
        found = gpu.get(dtw(gpu.put(xs), gpu.put(ys), step=step, window=bounds).cost)
        for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
            wanted = float(dtw_cdist([x], [y], step=step, window=bounds)[0, 0])
            assert_close(
                found[p], wanted, dtype, 2 * (len(x) + len(y)), metric="sqeuclidean", dim=1
            )
    rows, y = make_staircase(rng, 30, 35), make_series(rng, 35, 1, dtype)
    found = gpu.get(dtw(gpu.put(xs[0]), gpu.put(y), window=rows, step=step).cost)
    wanted = float(dtw_cdist([xs[0]], [y], step=step, window=rows)[0, 0])
    assert_close(found, wanted, dtype, 130, metric="sqeuclidean", dim=1)


def test_all_pairs_of_a_pattern(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(23)
    xs, ys = draw_batch(rng, 5, 2, dtype), draw_batch(rng, 4, 2, dtype)
    for step in SYMMETRIC:
        for other in (None, ys):
            placed = None if other is None else gpu.put(other)
            found = gpu.get(dtw_cdist(gpu.put(xs), placed, step=step))
            wanted = dtw_cdist(xs, other, step=step)
            np.testing.assert_array_equal(np.isinf(found), np.isinf(wanted))
            np.testing.assert_allclose(found, wanted, rtol=relative_tolerance(dtype, 96, 2))


def test_no_path_and_overflow_of_a_pattern(gpu: GpuUnderTest) -> None:
    far = np.float32([0, 1e30, 0, 1e30])
    found = dtw(gpu.put(far), gpu.put(-far), step="symmetricP1")
    assert gpu.get(found.cost) == np.inf
    with pytest.raises(OverflowError, match=r"\Aproblem 0: the cost overflows"):
        found.check()
    # 2 frames of x to 5 of y: no slope of 2 or less leads there.
    short, long = np.zeros(2), np.zeros(5)
    found = dtw(gpu.put(short), gpu.put(long), step="symmetricP1")
    with pytest.raises(InfeasibleError, match=r"\Aproblem 0: no path"):
        found.check()
    with pytest.raises(InfeasibleError, match="no path of these steps"):
        dtw(short, long, step="symmetricP1", device="cuda")
    apart = dtw(np.float32([3, 3]), np.float32([0, 0]), step="symmetric2", device="cuda")
    assert apart.cost == 27
    limited = dtw(
        np.float32([3, 3]), np.float32([0, 0]), step="symmetric2", max_cost=26, device="cuda"
    )
    assert limited.cost == np.inf


def test_one_pair_of_a_pattern_has_the_bits_it_has_in_a_batch(
    gpu: GpuUnderTest, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(24)
    xs, ys = draw_batch(rng, 6, 2, dtype, 70), draw_batch(rng, 6, 2, dtype, 70)
    for step in SYMMETRIC:
        together = gpu.get(dtw(gpu.put(xs), gpu.put(ys), step=step).cost)
        for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
            assert gpu.get(dtw(gpu.put(x), gpu.put(y), step=step).cost) == together[p]


def test_what_a_gpu_does_not_take_of_patterns(gpu: GpuUnderTest) -> None:
    x = gpu.put(np.zeros(4))
    with pytest.raises(DeviceError, match=r"\Astep: expected one of 'symmetric1', 'symmetric2'"):
        dtw(x, x, step="rigid")
    with pytest.raises(DeviceError, match=r"\Astep: a GPU takes no open ends"):
        dtw_cdist([x], [x], step="symmetric2", open_end=True)
    with pytest.raises(DeviceError, match=r"\Apath: a GPU has paths of 'symmetric1'"):
        dtw(x, x, step="symmetricP1", path=True)


# -- The nearest -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("workspace", [None, 0, 3000], ids=str)
def test_the_nearest_are_those_of_all_pairs(
    gpu: GpuUnderTest, dtype: np.dtype, k: int, workspace: Any
) -> None:
    rng = np.random.default_rng(31)
    queries, database = draw_batch(rng, 5, 2, dtype), draw_batch(rng, 40, 2, dtype)
    with forced(workspace_bytes=workspace) as runs:
        found = dtw_nearest(gpu.put(queries), gpu.put(database), k=k, window=6)
    assert [run.isa for run in runs] == ["cuda"]
    costs = gpu.get(dtw_cdist(gpu.put(queries), gpu.put(database), window=6))
    order = np.argsort(costs, axis=1, kind="stable")[:, :k]
    assert gpu.get(found.index).tolist() == order.tolist()
    assert gpu.get(found.cost).dtype == dtype
    np.testing.assert_array_equal(gpu.get(found.cost), np.take_along_axis(costs, order, axis=1))
    assert gpu.get(found.status).tolist() == [Status.OK] * 5
    assert gpu.get(found.counts).tolist() == [[0, 0, 0, 0, 0, 40]] * 5
    host = dtw_nearest(queries, database, k=k, window=6)
    np.testing.assert_allclose(
        gpu.get(found.cost), host.cost, rtol=relative_tolerance(dtype, 48, 2)
    )


def test_equally_near_ones_come_in_their_order(gpu: GpuUnderTest) -> None:
    # Many times the same costs, in more than one round of a warp.
    database = np.tile([[2.0], [1.0], [0.0], [1.0]], (20, 1))
    for workspace in (None, 0):
        with forced(workspace_bytes=workspace):
            found = dtw_nearest(gpu.put(np.zeros((2, 1))), gpu.put(database), k=45)
        wanted = [*range(2, 80, 4), *range(1, 80, 2)][:45]
        assert gpu.get(found.index).tolist() == [wanted] * 2


def test_the_nearest_beside_bad_series_and_without_paths(gpu: GpuUnderTest) -> None:
    x = np.zeros((3, 4))
    x[1, 2] = np.nan
    database = np.ones((2, 4))
    found = dtw_nearest(gpu.put(x), gpu.put(database), k=2)
    assert gpu.get(found.status).tolist() == [Status.OK, Status.NAN, Status.OK]
    assert gpu.get(found.index).tolist() == [[0, 1], [-1, -1], [0, 1]]
    assert np.isnan(gpu.get(found.cost)).all(axis=1).tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"\Aproblem 1: NaN, inf or a length out of range"):
        found.check()
    with pytest.raises(ValueError, match=r"\Aqueries: NaN at index \(1, 2\)"):
        dtw_nearest(x, database, device="cuda")
    rows = np.array([[0, 1], [0, 1], [2, 3], [2, 4]])
    found = dtw_nearest(x[:1], database, window=rows, device="cuda")
    assert (found.index.tolist(), found.status.tolist()) == ([[-1]], [Status.INFEASIBLE])
    assert found.cost.tolist() == [[np.inf]]
    empty = dtw_nearest(gpu.put(np.empty((0, 4))), gpu.put(database), k=2)
    assert empty.index.shape == (0, 2)


def test_the_nearest_to_host_arrays(gpu: GpuUnderTest) -> None:
    rng = np.random.default_rng(33)
    queries, database = rng.normal(size=(4, 12)), rng.normal(size=(9, 15))
    calls: list[tuple[int, int]] = []
    found = dtw_nearest(
        queries,
        database,
        k=2,
        device="cuda",
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (36, 36)
    host = dtw_nearest(queries, database, k=2)
    assert found.index.tolist() == host.index.tolist()
    np.testing.assert_allclose(found.cost, host.cost, rtol=1e-12)
    shifted = dtw_nearest(queries * 3 + 8, database - 5, k=2, normalize=True, device="cuda")
    host = dtw_nearest(queries, database, k=2, normalize=True)
    assert shifted.index.tolist() == host.index.tolist()
    np.testing.assert_allclose(shifted.cost, host.cost, rtol=1e-12)
    with pytest.raises(DeviceError, match=r"\Aqueries: expected arrays in host memory"):
        dtw_nearest(gpu.put(queries), gpu.put(database), normalize=True)
    placed = gpu.put(np.array([12, 3, 7, 5]))
    found = dtw_nearest(gpu.put(queries), gpu.put(database), query_lengths=placed)
    host = dtw_nearest(queries, database, query_lengths=[12, 3, 7, 5])
    assert gpu.get(found.index).tolist() == host.index.tolist()


# -- Host arrays -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("gpu")
def test_auto_takes_to_a_gpu_what_keeps_it_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_warping, "_LEAST_GPU_CELLS", 64 * 9)
    pairs, alone = np.zeros((64, 3)), np.zeros((8, 3))
    for call, is_on_gpu in (
        (lambda: dtw(pairs[..., np.newaxis], pairs[..., np.newaxis], device="auto"), True),
        (lambda: dtw([*pairs[1:]], [*pairs[1:]], device="auto"), False),
        (lambda: dtw([*pairs[:, :2]], [*pairs], device="auto"), False),
        (lambda: dtw(np.zeros(99), np.zeros(99), device="auto"), False),
        (lambda: dtw_cdist(alone, alone, device="auto"), True),
        (lambda: dtw_cdist(alone, alone[:7], device="auto"), False),
        (lambda: dtw_cdist(alone, device="auto"), False),
    ):
        with forced() as runs:
            call()
        assert [run.isa == "cuda" for run in runs] == [is_on_gpu]


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_host_arrays_go_there_and_back(gpu: GpuUnderTest, dtype: np.dtype, device: str) -> None:
    rng = np.random.default_rng(12)
    xs, ys = draw_batch(rng, 5, 2, dtype), draw_batch(rng, 5, 2, dtype)
    with forced(work_per_thread=0) as runs:
        found = dtw(xs, ys, path=True, device=device)
    assert [run.isa for run in runs] == ["cuda"]
    wanted = dtw(xs, ys, path=True)
    assert isinstance(found.cost, np.ndarray)
    assert found.path_length is None
    np.testing.assert_allclose(found.cost, wanted.cost, rtol=relative_tolerance(dtype, 48, 2))
    for mine, theirs in zip(found.x_index, wanted.x_index, strict=True):
        assert mine.dtype == np.int64
        assert mine.tolist() == theirs.tolist()
    X, Y = rng.normal(size=(3, 8)).astype(dtype), rng.normal(size=(4, 11)).astype(dtype)
    with forced(work_per_thread=0):
        costs = dtw_cdist(X, Y, device=device)
    np.testing.assert_allclose(costs, dtw_cdist(X, Y), rtol=relative_tolerance(dtype, 20))
    out = np.empty((3, 4), dtype)
    calls: list[tuple[int, int]] = []
    options: dict[str, Any] = {"progress": lambda done, total: calls.append((done, total))}
    with forced(work_per_thread=0):
        assert dtw_cdist(X, Y, device=device, out=out, **options) is out
    np.testing.assert_array_equal(out, costs)
    assert calls[-1] == (12, 12)


def test_bad_values_from_the_host_are_named_as_on_the_cpu(gpu: GpuUnderTest) -> None:
    X = np.zeros((3, 6, 2))
    X[1, 4, 1] = np.nan
    X[2, 0, 0] = np.inf
    good = np.zeros((3, 5, 2))
    message = r"\Ax: NaN at index \(1, 4, 1\); expected finite values\Z"
    for device in ("cuda", "cpu"):
        with pytest.raises(ValueError, match=message):
            dtw(X, good, device=device)
        with pytest.raises(ValueError, match=message.replace(r"\Ax", r"\AX")):
            dtw_cdist(X, device=device)
        with pytest.raises(ValueError, match=r"\Ay\[2\]: inf at index \(0, 0\)"):
            dtw(list(good), [good[0], good[1], X[2]], device=device)


def test_infeasible_and_overflowing_pairs_from_the_host(gpu: GpuUnderTest) -> None:
    x = np.zeros((2, 3, 1))
    rows = np.array([[0, 1], [0, 1], [2, 3]])
    with pytest.raises(InfeasibleError, match=r"\Aproblem 0: no path"):
        dtw(x, x, window=rows, device="cuda")
    assert np.isinf(dtw_cdist(x, x, window=rows, device="cuda")).all()
    with pytest.warns(RuntimeWarning, match=r"1 of 1 costs overflow float32"):
        found = dtw(np.float32([1e30]), np.float32([0]), device="cuda")
    assert found.cost == np.inf
    assert dtw(np.float32([3]), np.float32([0]), max_cost=8, device="cuda").cost == np.inf


# -- Device arrays: status instead of exceptions ---------------------------------------------------


def test_bad_values_on_the_device_go_to_the_status(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    X = np.zeros((5, 6, 1), dtype)
    X[1, 4] = np.nan
    X[2, 0] = -np.inf
    found = dtw(gpu.put(X), gpu.put(X[0, :, 0]), path=True)
    status = gpu.get(found.status)
    assert status.tolist() == [Status.OK, Status.NAN, Status.INVALID, Status.OK, Status.OK]
    cost = gpu.get(found.cost)
    assert np.isnan(cost).tolist() == [False, True, True, False, False]
    assert gpu.get(found.path_length).tolist() == [6, 0, 0, 6, 6]
    with pytest.raises(ValueError, match=r"\Aproblem 1: NaN in a series"):
        found.check()
    with pytest.raises(ValueError, match=r"\Aproblem 0: an infinite value"):
        dtw(gpu.put(X[2]), gpu.put(X[0])).check()
    assert dtw(gpu.put(X[0]), gpu.put(X[0])).check().cost.shape == ()
    lengths = np.array([1, 6, 0, 7, -3])
    ok = np.zeros_like(X)
    found = dtw(gpu.put(ok), gpu.put(ok), x_lengths=gpu.put(lengths))
    assert gpu.get(found.status).tolist() == [0, 0, *[Status.INVALID] * 3]
    costs = gpu.get(dtw_cdist(gpu.put(X)))
    assert np.isnan(costs[1]).all()
    assert np.isnan(costs[:, 2]).all()
    assert not np.isnan(costs[np.ix_([0, 3, 4], [0, 3, 4])]).any()


def test_infeasible_and_overflowing_pairs_on_the_device(gpu: GpuUnderTest) -> None:
    x = np.zeros((2, 3, 1))
    rows = np.array([[0, 1], [0, 1], [2, 3]])
    found = dtw(gpu.put(x), gpu.put(x), window=rows, path=True)
    assert gpu.get(found.status).tolist() == [Status.INFEASIBLE] * 2
    assert gpu.get(found.path_length).tolist() == [0, 0]
    with pytest.raises(InfeasibleError, match=r"\Aproblem 0: no path"):
        found.check()
    found = dtw(gpu.put(np.float32([1e30])), gpu.put(np.float32([0])))
    with pytest.raises(OverflowError, match=r"\Aproblem 0: the cost overflows"):
        found.check()


def test_matrices_of_a_path_on_the_device(gpu: GpuUnderTest) -> None:
    pytest.importorskip("scipy")
    x, y = np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0])
    W_x, W_y = dtw(gpu.put(x), gpu.put(y), path=True).matrices()
    assert ((x @ W_x - y @ W_y) ** 2).sum() == 1
    (pair,) = dtw(gpu.put(x[None, :, None]), gpu.put(y), path=True).matrices()
    assert (pair[0] != W_x).nnz == 0


def test_empty_batches(gpu: GpuUnderTest) -> None:
    nothing = gpu.put(np.empty((0, 3, 1), np.float32))
    found = dtw(nothing, gpu.put(np.zeros(3, np.float32)), path=True)
    assert found.cost.shape == (0,)
    assert found.path_length.shape == (0,)
    assert dtw_cdist(nothing, nothing).shape == (0, 0)


# -- What is refused -------------------------------------------------------------------------------


def test_shapes_and_kinds_raise_at_once(gpu: GpuUnderTest) -> None:
    x = gpu.put(np.zeros((2, 3, 1)))
    with pytest.raises(ValueError, match=r"\Ax: expected at least one frame"):
        dtw(gpu.put(np.empty((2, 0, 1))), x)
    for dtype in ("float32", "int16"):
        with pytest.raises(ValueError, match=r"\Ax: expected a 1-D .* array, got shape \(\)"):
            dtw(gpu.put(np.zeros((), dtype)), x)
    with pytest.raises(ValueError, match=r"\Ax and y: expected frames of one dimension"):
        dtw(x, gpu.put(np.zeros((2, 3, 2))))
    with pytest.raises(ValueError, match=r"\Ax and y: expected batches of one size"):
        dtw(x, gpu.put(np.zeros((3, 3, 1))))
    with pytest.raises(TypeError, match=r"got cupy on cuda:0 and numpy; convert one"):
        dtw(x, np.zeros((2, 3, 1)))
    with pytest.raises(ValueError, match=r"\Ax_lengths: expected shape \(2,\), got \(3,\)"):
        dtw(x, x, x_lengths=gpu.put(np.array([1, 2, 3])))
    with pytest.raises(TypeError, match=r"\Ax_lengths: expected integers, got float64"):
        dtw(x, x, x_lengths=gpu.put(np.array([1.0, 2.0])))
    with pytest.raises(DeviceError, match=r"\Ax: expected precomputed costs in host memory"):
        dtw(x, metric="precomputed")
    with pytest.raises(DeviceError, match=r'\Adevice: "cuda" takes series'):
        dtw(np.zeros((2, 3)), metric="precomputed", device="cuda")
    with pytest.raises(
        DeviceError, match=r"\Adevice: expected the GPU that x lies on, got \"cpu\""
    ):
        dtw(x, x, device="cpu")
    X = gpu.put(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"\AX and out: expected arrays of one kind"):
        dtw_cdist(X, out=np.empty((2, 2)))
    square = gpu.put(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"\Aout: expected memory of its own"):
        dtw_cdist(square, out=square)
    with pytest.raises(ValueError, match=r"\Aout: expected rows of unit stride"):
        dtw_cdist(X, out=gpu.put(np.zeros((2, 4)))[:, ::2])


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        ({"driver": False, "devices": 0}, "there is no CUDA driver, or one too old for this build"),
        ({"driver": True, "devices": 0}, "there is no CUDA device"),
    ],
)
def test_what_is_missing_is_named(emulated: GpuUnderTest, machine: Any, problem: str) -> None:
    x = emulated.put(np.zeros(3))
    emulated_module().set_machine(**machine)
    with pytest.raises(DeviceError, match=rf'\Adevice: "cuda" was asked for, and {problem}\Z'):
        dtw([0.0], [1.0], device="cuda")
    with pytest.raises(DeviceError, match=rf"\Ax: lies on a GPU, and {problem}\Z"):
        dtw(x, x)
    with forced(work_per_thread=0):
        assert dtw([0.0], [1.0], device="auto").cost == 1
    config = show_config(mode="dicts")
    assert config is not None
    assert config["cuda"] == f"emulation for host; {problem}"


def test_no_library_to_allocate_with(
    emulated: GpuUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cupy", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(_device, "find_spec", lambda name: None)
    message = r"neither CuPy nor a PyTorch with CUDA is installed .* \"coalign\[cuda13\]\"\Z"
    with pytest.raises(DeviceError, match=message):
        dtw([0.0], [1.0], device="cuda")
    with forced(work_per_thread=0):
        assert dtw([0.0], [1.0], device="auto").cost == 1


@pytest.mark.usefixtures("emulated")
def test_a_library_that_does_not_import_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise ImportError("Failed to import CuPy")

    monkeypatch.setattr(_device, "_LIBRARIES", {"cupy": broken})
    with pytest.raises(DeviceError, match=r"neither CuPy nor a PyTorch with CUDA is installed"):
        dtw([0.0], [1.0], device="cuda")
    with forced(work_per_thread=0):
        assert dtw([0.0], [1.0], device="auto").cost == 1


@pytest.mark.usefixtures("without_cuda")
def test_a_build_without_cuda() -> None:
    with pytest.raises(DeviceError, match=r"was asked for, and coalign was built without CUDA\Z"):
        dtw([0.0], [1.0], device="cuda")
    with pytest.raises(DeviceError, match=r"was asked for, and coalign was built without CUDA\Z"):
        dtw_cdist([[0.0], [1.0]], device="cuda")
    with forced(work_per_thread=0):
        assert dtw([0.0], [1.0], device="auto").cost == 1
    config = show_config(mode="dicts")
    assert config is not None
    assert config["cuda"] == "not built"


def test_running_out_of_memory_names_the_size_and_breaks_nothing(emulated: GpuUnderTest) -> None:
    x = emulated.put(np.random.default_rng(0).normal(size=(4, 50, 1)))
    wanted = dtw(x, x, path=True)
    with emulated.cupy.emulation.limited(1000):
        with pytest.raises(DeviceError, match=r"\Aout of device memory: [\d,]+ bytes wanted"):
            dtw(x, x, path=True)
        with pytest.raises(DeviceError, match=r"\Aout of device memory"):
            dtw(np.zeros((9, 50)), np.zeros((9, 50)), device="cuda")
    found = dtw(x, x, path=True)
    np.testing.assert_array_equal(emulated.get(found.cost), emulated.get(wanted.cost))


# -- Streams and devices ---------------------------------------------------------------------------


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(3, 20, 1)), rng.normal(size=(3, 20, 1))
    x, y = emulated.put(X), emulated.put(Y)
    lengths = emulated.put(np.array([20, 3, 9]))
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    found = dtw(x, y, x_lengths=lengths, path=True, window=30)
    costs = dtw_cdist(x, y)
    assert emulated.cupy.emulation.state.downloads == before
    assert stream.pending > 0
    assert np.isnan(found.cost.memory).all()
    assert np.isnan(costs.memory).all()
    stream.synchronize()
    wanted = dtw(X, Y, x_lengths=[20, 3, 9], window=30).cost
    np.testing.assert_allclose(found.cost.memory, wanted, rtol=1e-13)
    np.testing.assert_allclose(costs.memory, dtw_cdist(X, Y), rtol=1e-13)


def test_work_goes_to_the_arrays_device_and_its_stream(emulated: GpuUnderTest) -> None:
    cupy = emulated.cupy
    with cupy.cuda.Device(1):
        x = emulated.put(np.arange(4.0))
        other = cupy.cuda.get_current_stream()
    first = cupy.cuda.get_current_stream()
    assert first.ptr != other.ptr
    found = dtw(x, x)
    assert first.pending == 0
    assert other.pending > 0
    assert found.cost.device.id == 1
    assert cupy.cuda.Device().id == 0
    with pytest.raises(TypeError, match=r"got cupy on cuda:1 and cupy on cuda:0"):
        dtw(x, emulated.put(np.arange(4.0)))


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_threads_changes_a_bit(emulated: GpuUnderTest, seed: int) -> None:
    rng = np.random.default_rng(2)
    xs, ys = draw_batch(rng, 6, 1, np.float32, 60), draw_batch(rng, 6, 1, np.float32, 60)
    costs = []
    for order in (1, 100 + seed):
        emulated_module().set_machine(driver=True, devices=2, seed=order)
        found = dtw(emulated.put(xs), emulated.put(ys), window=5, path=True)
        costs.append([emulated.get(part) for part in (found.cost, found.x_index, found.y_index)])
    for one, another in zip(*costs, strict=True):
        np.testing.assert_array_equal(one, another)


def test_one_pair_has_the_bits_it_has_in_a_batch(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    xs, ys = draw_batch(rng, 8, 2, dtype, 70), draw_batch(rng, 8, 2, dtype, 70)
    together = gpu.get(dtw(gpu.put(xs), gpu.put(ys)).cost)
    crossed = gpu.get(dtw_cdist(gpu.put(xs), gpu.put(ys)))
    for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
        alone = gpu.get(dtw(gpu.put(x), gpu.put(y)).cost)
        assert alone == together[p] == crossed[p, p]
