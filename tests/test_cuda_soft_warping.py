"""Soft-DTW on a GPU: the CPU's values and gradients, its words, and nothing waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import DeviceError, InfeasibleError, Status, itakura, slanted, soft_dtw
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from oracles.compare import assert_same_bits
from oracles.instances import Array, make_series, make_staircase, pad
from oracles.soft_warping import by_loops, gradients
from oracles.warping import local_costs, within

GAMMAS = (1e-3, 0.1, 1.0, 30.0, 1e3)
EPS = float(np.finfo(np.float32).eps)


def scale(x: Array, y: Array, gamma: float, window: Any = None) -> float:
    """What errors of a value are relative to: the cost of the best path, and gamma a frame."""
    best = coalign.dtw(np.float64(x), np.float64(y), window=window).cost
    return float(best) + gamma * max(len(x), len(y))


def allowed(dtype: Any, size: float, gamma: float) -> float:
    """Relative error of a value: in float32 local costs are off by eps of themselves."""
    return 1e-10 if np.dtype(dtype) == np.float64 else max(1e-4, 8 * EPS * size / gamma)


def assert_right(
    value: Any, grad_x: Array, grad_y: Array, x: Array, y: Array, gamma: float, window: Any = None
) -> None:
    """Hold one pair's value and gradients to the loops."""
    wanted, visits = by_loops(within(local_costs(x, y, "sqeuclidean"), window), gamma)
    size = scale(x, y, gamma, window)
    tolerance = allowed(x.dtype, size, gamma)
    assert abs(float(value) - wanted) <= tolerance * size
    slack = 1e-8 if x.dtype == np.float64 else tolerance
    for ours, theirs in zip((grad_x, grad_y), gradients(x, y, visits, "sqeuclidean"), strict=True):
        assert ours.dtype == x.dtype
        assert ours.shape == theirs.shape
        # Of data of unit scale: a frame meets several others.
        assert np.abs(ours - theirs).max() <= 8 * slack


def draw(rng: np.random.Generator, lengths: Any, dim: int, dtype: Any) -> list[Array]:
    return [make_series(rng, n, dim, dtype) for n in lengths]


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("dim", [1, 6])
def test_a_ragged_batch_gives_the_oracles_values_and_gradients(
    gpu: GpuUnderTest, dtype: np.dtype, gamma: float, dim: int
) -> None:
    rng = np.random.default_rng(1)
    xs, ys = draw(rng, (1, 7, 40, 9), dim, dtype), draw(rng, (5, 1, 33, 24), dim, dtype)
    with forced() as runs:
        found = soft_dtw(gpu.put(xs), gpu.put(ys), gamma=gamma, grad=True)
    assert [run.isa for run in runs] == ["cuda"]
    value, status = gpu.get(found.value), gpu.get(found.status)
    assert value.dtype == dtype
    assert status.dtype == np.int32
    assert (status == Status.OK).all()
    for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
        grad_x, grad_y = gpu.get(found.grad_x[p]), gpu.get(found.grad_y[p])
        assert_right(value[p], grad_x, grad_y, x, y, gamma)


@pytest.mark.parametrize("window", [None, 0, 4, slanted(3), itakura(3)], ids=str)
def test_windows_and_tiles(gpu: GpuUnderTest, dtype: np.dtype, window: Any) -> None:
    # A warp computes a tile of 128 by 128.
    rng = np.random.default_rng(2)
    for n, m in ((20, 20), (129, 140), (250, 131)):
        x, y = make_series(rng, n, 2, dtype), make_series(rng, m, 2, dtype)
        found = soft_dtw(gpu.put(x), gpu.put(y), gamma=0.5, window=window, grad=True)
        assert found.value.shape == ()
        results = [gpu.get(part) for part in (found.value, found.grad_x, found.grad_y)]
        host = soft_dtw(x, y, gamma=0.5, window=window, grad=True)
        size = scale(x, y, 0.5, window)
        tolerance = allowed(dtype, size, 0.5)
        assert abs(results[0] - host.value) <= 2 * tolerance * size
        slack = 1e-8 if dtype == np.float64 else tolerance
        assert np.abs(results[1] - host.grad_x).max() <= 16 * slack
        assert np.abs(results[2] - host.grad_y).max() <= 16 * slack


def test_bounds_of_rows(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    for n, m in ((9, 30), (40, 35), (33, 8)):
        rows = make_staircase(rng, n, m)
        x, y = make_series(rng, n, 1, dtype), make_series(rng, m, 1, dtype)
        found = soft_dtw(gpu.put(x), gpu.put(y), window=rows, grad=True)
        parts = [gpu.get(part) for part in (found.value, found.grad_x, found.grad_y)]
        assert_right(*parts, x, y, 1.0, rows)


def test_a_small_gamma_gives_the_best_path(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    x, y = (100 * rng.normal(size=(2, 50))).astype(dtype)
    for gamma in (1e-6, 1e-12, 1e-100, 1e-290):
        found = soft_dtw(gpu.put(x), gpu.put(y), gamma=gamma, grad=True)
        best = coalign.dtw(x, y, path=True)
        assert float(gpu.get(found.value)) == pytest.approx(float(best.cost), rel=1e-5)
        on_path = np.zeros((50, 50))
        on_path[best.x_index, best.y_index] = 1
        wanted, _ = gradients(x, y, on_path, "sqeuclidean")
        assert np.abs(gpu.get(found.grad_x) - wanted).max() <= 1e-3


def test_a_small_gamma_gives_the_best_of_many_equal_paths(gpu: GpuUnderTest) -> None:
    x, y = np.zeros(30), np.full(20, 100.0)
    for gamma in (1e-12, 1e-200):
        found = gpu.get(soft_dtw(gpu.put(x), gpu.put(y), gamma=gamma).value)
        assert float(found) == pytest.approx(300_000, rel=1e-12)


def test_padding_lengths_and_strides(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(5)
    xs, ys = draw(rng, (4, 9, 6), 3, dtype), draw(rng, (7, 2, 8), 3, dtype)
    (x, n), (y, m) = pad(xs), pad(ys)
    listed = soft_dtw(gpu.put(xs), gpu.put(ys), grad=True)
    for lengths in ((n, m), (gpu.put(n), gpu.put(m))):
        found = soft_dtw(
            gpu.put(x), gpu.put(y), x_lengths=lengths[0], y_lengths=lengths[1], grad=True
        )
        assert_same_bits(gpu.get(found.value), gpu.get(listed.value))
        for whole, parts in ((found.grad_x, listed.grad_x), (found.grad_y, listed.grad_y)):
            rows = gpu.get(whole)
            for row, part in zip(rows, parts, strict=True):
                wanted = gpu.get(part)
                assert_same_bits(row[: len(wanted)], wanted)
                assert not row[len(wanted) :].any()
    back = gpu.put(np.ascontiguousarray(xs[1][::-1]))
    view = back[::-1] if not gpu.is_emulated else type(back)(back.memory[::-1], 0)
    assert_same_bits(gpu.get(soft_dtw(view, gpu.put(ys[1])).value), gpu.get(listed.value)[1])


def test_one_series_against_a_batch(gpu: GpuUnderTest) -> None:
    rng = np.random.default_rng(6)
    x, ys = rng.normal(size=12), rng.normal(size=(5, 15, 1))
    for several in (ys, list(ys[..., 0])):
        found = soft_dtw(gpu.put(x), gpu.put(several), grad=True)
        host = soft_dtw(x, several, grad=True)
        np.testing.assert_allclose(gpu.get(found.value), host.value, rtol=1e-12)
        for ours, theirs in ((found.grad_x, host.grad_x), (found.grad_y, host.grad_y)):
            assert len(ours) == len(theirs) == 5
            for a, b in zip(ours, theirs, strict=True):
                assert np.shape(gpu.get(a)) == np.shape(b)
                np.testing.assert_allclose(gpu.get(a), b, atol=1e-11)


def test_values_alone_have_the_same_bits(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(7)
    x, y = gpu.put(make_series(rng, 140, 2, dtype)), gpu.put(make_series(rng, 133, 2, dtype))
    plain = soft_dtw(x, y)
    assert plain.grad_x is None
    assert plain.grad_y is None
    assert_same_bits(gpu.get(plain.value), gpu.get(soft_dtw(x, y, grad=True).value))


# -- Host arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_host_arrays_go_there_and_back(gpu: GpuUnderTest, dtype: np.dtype, device: str) -> None:
    rng = np.random.default_rng(8)
    xs, ys = draw(rng, (4, 9), 2, dtype), draw(rng, (7, 2), 2, dtype)
    with forced(work_per_thread=0) as runs:
        found = soft_dtw(xs, ys, gamma=0.3, grad=True, device=device)
    assert [run.isa for run in runs] == ["cuda"]
    assert all(np.shares_memory(kept, x) for kept, x in zip(found.x, xs, strict=True))
    assert found.gamma == 0.3
    for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
        assert isinstance(found.grad_x[p], np.ndarray)
        assert_right(found.value[p], found.grad_x[p], found.grad_y[p], x, y, 0.3)
    alignment = found.expected_alignment()
    np.testing.assert_allclose(
        alignment[0], soft_dtw(xs[0], ys[0], gamma=0.3).expected_alignment(), atol=1e-6
    )


@pytest.mark.usefixtures("gpu")
def test_auto_leaves_small_work_to_the_cpu() -> None:
    with forced() as runs:
        soft_dtw(np.zeros((64, 9, 1)), np.zeros((64, 9, 1)), device="auto")
        soft_dtw(np.zeros(3), np.zeros(3), metric="cityblock", device="auto")
        coalign.soft_dtw_divergence(np.zeros(3), np.zeros(3), device="auto")
    assert "cuda" not in [run.isa for run in runs]


@pytest.mark.usefixtures("gpu")
def test_bad_values_and_pairs_without_a_path_raise_as_on_the_cpu() -> None:
    x = np.zeros((3, 4, 2))
    x[1, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"\Ax: NaN at index \(1, 2, 1\); expected finite values"):
        soft_dtw(x, np.zeros((3, 4, 2)), device="cuda")
    rows = np.array([[0, 1], [0, 1], [2, 3]])
    with pytest.raises(InfeasibleError, match="no path through the window, for 3 frames of x"):
        soft_dtw(np.zeros(3), np.zeros(3), window=rows, device="cuda")
    with pytest.warns(RuntimeWarning, match="1 of 1 values overflow float32"):
        found = soft_dtw(np.float32([1e30]), np.float32([0]), grad=True, device="cuda")
    assert found.value == np.inf
    assert found.grad_x.tolist() == [0.0]


# -- Device arrays: status instead of exceptions ---------------------------------------------------


def test_what_is_wrong_on_the_device_goes_to_the_status(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    X = np.zeros((4, 6, 1), dtype)
    X[1, 4] = np.nan
    X[2, 0] = -np.inf
    found = soft_dtw(gpu.put(X), gpu.put(X[0, :, 0]), grad=True)
    assert gpu.get(found.status).tolist() == [Status.OK, Status.NAN, Status.INVALID, Status.OK]
    assert np.isnan(gpu.get(found.value)).tolist() == [False, True, True, False]
    for gradient in (found.grad_x, found.grad_y):
        rows = gpu.get(gradient).reshape(4, -1)
        assert np.isnan(rows[1:3]).all()
        assert not rows[[0, 3]].any()
    with pytest.raises(ValueError, match=r"\Aproblem 1: NaN in a series"):
        found.check()
    ok = gpu.put(np.zeros_like(X))
    found = soft_dtw(ok, ok, x_lengths=gpu.put(np.array([1, 0, 7, -3])))
    assert gpu.get(found.status).tolist() == [0, *[Status.INVALID] * 3]
    rows_of = np.array([[0, 1], [0, 1], [2, 3]])
    x = gpu.put(np.zeros(3, dtype))
    found = soft_dtw(x, x, window=rows_of, grad=True)
    assert gpu.get(found.value) == np.inf
    assert not gpu.get(found.grad_x).any()
    with pytest.raises(InfeasibleError, match=r"\Aproblem 0: no path"):
        found.check()


def test_empty_batches(gpu: GpuUnderTest) -> None:
    nothing = gpu.put(np.empty((0, 3, 1), np.float32))
    found = soft_dtw(nothing, gpu.put(np.zeros(3, np.float32)), grad=True)
    assert found.value.shape == (0,)
    assert found.grad_x.shape == (0, 3, 1)


def test_what_the_cpu_alone_computes_is_refused(gpu: GpuUnderTest) -> None:
    x = gpu.put(np.zeros((2, 3, 1)))
    for metric in ("euclidean", "cityblock"):
        with pytest.raises(DeviceError, match=r'\Adevice: "cuda" takes the metric "sqeuclidean"'):
            soft_dtw(x, x, metric=metric)
    with pytest.raises(DeviceError, match="computes soft-DTW pair by pair"):
        coalign.soft_dtw_cdist(x)
    with pytest.raises(DeviceError, match="does not compute divergences"):
        coalign.soft_dtw_divergence(x, x)
    with pytest.raises(DeviceError, match="expected_alignment: expected series in host memory"):
        soft_dtw(x, x).expected_alignment()
    with pytest.raises(DeviceError, match=r"window: a GPU takes itakura\(s\) with series of one"):
        soft_dtw(x, [gpu.put(np.zeros(2)), gpu.put(np.zeros(3))], window=itakura(2))
    with pytest.raises(DeviceError, match=r"device: expected the GPU that x lies on"):
        soft_dtw(x, x, device="cpu")


# -- Streams and orders ----------------------------------------------------------------------------


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    rng = np.random.default_rng(9)
    X = rng.normal(size=(2, 3, 20, 1))
    x, y = emulated.put(X[0]), emulated.put(X[1])
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    launches = emulated_module().launches()
    found = soft_dtw(x, y, grad=True)
    assert emulated.cupy.emulation.state.downloads == before
    assert stream.pending > 0
    assert np.isnan(found.value.memory).all()
    stream.synchronize()
    # Two check the series; value and gradients are one, and one looks for what was not counted.
    assert emulated_module().launches() - launches == 4
    np.testing.assert_allclose(found.value.memory, soft_dtw(*X).value, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_threads_and_no_neighbour_changes_a_bit(
    emulated: GpuUnderTest, seed: int
) -> None:
    rng = np.random.default_rng(10)
    xs, ys = draw(rng, (131, 6, 40), 2, np.float32), draw(rng, (50, 150, 9), 2, np.float32)
    found = []
    for order, workspace in ((1, None), (100 + seed, 0)):
        emulated_module().set_machine(driver=True, devices=2, seed=order)
        with forced(workspace_bytes=workspace):
            result = soft_dtw(emulated.put(xs), emulated.put(ys), grad=True)
        found.append([emulated.get(result.value), *map(emulated.get, result.grad_x)])
    for one, another in zip(*found, strict=True):
        assert_same_bits(one, another)
    alone = soft_dtw(emulated.put(xs[1]), emulated.put(ys[1]))
    assert_same_bits(emulated.get(alone.value), found[0][0][1])
