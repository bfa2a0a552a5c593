"""Transport of point clouds on a GPU: the oracle's plans of costs that are never stored."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from coalign import (
    ConvergenceWarning,
    DeviceError,
    Status,
    sinkhorn_divergence_points,
    sinkhorn_points,
)
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from cuda_emulation.transport_answers import (
    RHO,
    assert_methods_answer_or_say_why,
    assert_solves,
    part,
    problem_of,
    quiet,
    weights_of,
)
from oracles import transport as oracle

METRICS = oracle.METRICS
costs = oracle.costs_of_points
# Points of both clouds and dimensions: one of each, tiles of 128 with their ends, several tiles,
# and slabs of 8 dimensions with theirs.
SHAPES = [(1, 1, 1), (1, 9, 2), (7, 1, 3), (33, 40, 8), (9, 65, 9), (130, 3, 5), (20, 260, 19)]
# Iterations, each of which takes the emulated GPU milliseconds.
FEW = {"max_iterations": 20}
# Of f / epsilon after as many plain iterations, where costs are up to 20 epsilon.
NEAR = {"float32": 2e-5, "float64": 1e-12}


def clouds(seed: int, n: int, m: int, dim: int, dtype: Any) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)).astype(dtype), rng.normal(size=(m, dim)).astype(dtype)


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_every_shape_is_solved(gpu: GpuUnderTest, dtype: np.dtype, metric: str) -> None:
    tol = 1e-4 if dtype == np.float32 else 1e-6
    for seed, (n, m, dim) in enumerate(SHAPES):
        x, y = clouds(seed, n, m, dim, dtype)
        cost = costs(x, y, metric)
        a, b = weights_of(seed, n, dtype), weights_of(seed + 50, m, dtype)
        epsilon = 0.5 * (float(np.abs(cost).max()) or 1.0)
        with forced() as runs:
            found = sinkhorn_points(
                *map(gpu.put, (x, y, a, b)),
                epsilon=epsilon,
                metric=metric,
                tol=tol,
                max_iterations=20,
            )
        assert [run.isa for run in runs] == ["cuda"]
        assert found.f.shape == (n,)
        assert found.g.shape == (m,)
        assert found.cost.shape == found.status.shape == ()
        assert_solves(gpu, found, problem_of(cost, a, b, epsilon), tol)
        wanted = sinkhorn_points(
            x, y, a, b, epsilon=epsilon, metric=metric, tol=tol / 10, max_iterations=1000
        )
        scale = 1 + np.abs(cost).max()
        for name in ("f", "g", "cost", "value"):
            mine, theirs = gpu.get(getattr(found, name)), getattr(wanted, name)
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=50 * tol * scale)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("unbalanced", RHO)
def test_tol_0_makes_plain_iterations(
    gpu: GpuUnderTest, dtype: np.dtype, metric: str, unbalanced: Any
) -> None:
    x, y = clouds(3, 21, 18, 10, dtype)
    cost = costs(x, y, metric)
    epsilon = 0.05 * float(np.abs(cost).max())
    a, b = weights_of(4, 21, dtype), weights_of(5, 18, dtype)
    p = problem_of(cost, a, b, epsilon, unbalanced)
    for count in (1, 2, 6):
        found = sinkhorn_points(
            *map(gpu.put, (x, y, a, b)),
            epsilon=epsilon,
            metric=metric,
            unbalanced=unbalanced,
            tol=0,
            max_iterations=count,
        )
        assert gpu.get(found.iterations) == count
        assert gpu.get(found.status) == Status.OK
        sides = oracle.shifted(p, *oracle.iterate(p, count))
        for mine, wanted in zip((found.f, found.g), sides, strict=True):
            np.testing.assert_allclose(
                gpu.get(mine) / epsilon, wanted / epsilon, rtol=0, atol=NEAR[dtype.name]
            )


def test_float32_gives_way_to_float64(gpu: GpuUnderTest) -> None:
    # Below, float32 rounds exponents by more than the error that is asked for.
    x, y = clouds(5, 12, 9, 3, np.float32)
    cost = costs(x, y, "sqeuclidean")
    for share, tol in ((0.1, 1e-6), (2e-5, 1e-2)):
        epsilon = share * float(cost.max())
        with quiet():
            found = sinkhorn_points(
                *map(gpu.put, (x, y)), epsilon=epsilon, tol=tol, max_iterations=80
            )
        p = problem_of(cost, None, None, epsilon)
        error = oracle.marginal_error(p, *map(gpu.get, (found.f, found.g)))
        said = float(gpu.get(found.marginal_error))
        np.testing.assert_allclose(said, error, rtol=1e-6, atol=1e-9)
        if share > 1e-3:
            assert_solves(gpu, found, p, tol)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_an_offset_common_to_both_clouds_takes_no_digits(gpu: GpuUnderTest, metric: str) -> None:
    rng = np.random.default_rng(20)
    # Multiples of 2^-10 stay exact under the offset in float64.
    x, y = (np.round(rng.normal(size=(40, 16)) * 1024) / 1024 for _ in range(2))
    options = {"epsilon": 2.0, "metric": metric, "tol": 0, "max_iterations": 5}
    here = sinkhorn_points(*map(gpu.put, (x, y)), **options)
    there = sinkhorn_points(*map(gpu.put, (x + 1e6, y + 1e6)), **options)
    np.testing.assert_allclose(gpu.get(there.f), gpu.get(here.f), rtol=0, atol=1e-10)


def test_extreme_scales_keep_their_digits(gpu: GpuUnderTest) -> None:
    x, y = clouds(6, 12, 15, 10, np.float32)
    for scale in (1e-15, 1e15):
        factor = np.float32(scale)
        cost = costs(x * factor, y * factor, "sqeuclidean")
        epsilon = 0.1 * float(cost.max())
        found = sinkhorn_points(
            *map(gpu.put, (x * factor, y * factor)), epsilon=epsilon, tol=1e-4, max_iterations=60
        )
        assert gpu.get(found.status) == Status.OK
        error = oracle.marginal_error(
            problem_of(cost, None, None, epsilon), *map(gpu.get, (found.f, found.g))
        )
        assert error <= 1.01e-4


def test_points_without_length_have_the_cost_1(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    x, y = clouds(7, 9, 8, 4, dtype)
    x[3] = y[0] = 0
    found = sinkhorn_points(*map(gpu.put, (x, y)), epsilon=0.2, metric="cosine", max_iterations=30)
    assert_solves(gpu, found, problem_of(costs(x, y, "cosine"), None, None, 0.2), 1e-4)


def test_many_parts_of_the_other_cloud_add_up(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    x, y = clouds(8, 300, 270, 1, dtype)
    cost = costs(x, y, "sqeuclidean")
    found = sinkhorn_points(*map(gpu.put, (x[:, 0], y[:, 0])), epsilon=1.0, tol=0, max_iterations=2)
    p = problem_of(cost, None, None, 1.0)
    sides = oracle.shifted(p, *oracle.iterate(p, 2))
    for mine, wanted in zip((found.f, found.g), sides, strict=True):
        np.testing.assert_allclose(gpu.get(mine), wanted, rtol=0, atol=50 * NEAR[dtype.name])


# -- Batches ---------------------------------------------------------------------------------------


def test_a_ragged_batch_is_a_list_of_results(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    pairs = [clouds(seed, n, m, 3, dtype) for seed, (n, m, _) in enumerate(SHAPES[:6])]
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    sides = [[weights_of(7, len(cloud), dtype) for cloud in clouds] for clouds in (xs, ys)]
    epsilon = np.linspace(3, 5, len(pairs))
    found = sinkhorn_points(*map(gpu.put, (xs, ys)), *map(gpu.put, sides), epsilon=epsilon, **FEW)
    assert isinstance(found.f, list)
    for p, (x, y) in enumerate(pairs):
        assert found.f[p].shape == (len(x),)
        one = problem_of(costs(x, y, "sqeuclidean"), *(s[p] for s in sides), epsilon[p])
        assert_solves(gpu, found, one, 1e-4, p)
    # One cloud goes with each of the others, on either side.
    for given in ((xs[0], ys), (xs, ys[0])):
        found = sinkhorn_points(*map(gpu.put, given), epsilon=4.0, **FEW)
        for p in range(len(pairs)):
            x, y = (side if isinstance(side, np.ndarray) else side[p] for side in given)
            one = problem_of(costs(x, y, "sqeuclidean"), None, None, 4.0)
            assert_solves(gpu, found, one, 1e-4, p)


def test_a_padded_batch_is_read_within_its_lengths(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rows, columns = np.array([20, 3, 1, 12]), np.array([30, 7, 30, 1])
    x, y = np.full((4, 20, 2), np.nan, dtype), np.full((4, 30, 2), np.nan, dtype)
    a, b = np.full((4, 20), np.nan, dtype), np.full((4, 30), np.nan, dtype)
    for p, (n, m) in enumerate(zip(rows, columns, strict=True)):
        x[p, :n], y[p, :m] = clouds(p, n, m, 2, dtype)
        a[p, :n], b[p, :m] = weights_of(p, n, dtype), weights_of(p + 9, m, dtype)
    for lengths in ((rows, columns), (gpu.put(rows), gpu.put(columns))):
        options = dict(zip(("x_lengths", "y_lengths"), lengths, strict=True))
        # Room for one problem at a time, and for all.
        for sizes in ({"workspace_bytes": 1}, {}):
            with forced(**sizes):
                found = sinkhorn_points(*map(gpu.put, (x, y, a, b)), epsilon=2.0, **options, **FEW)
            for p, (n, m) in enumerate(zip(rows, columns, strict=True)):
                cost = costs(x[p, :n], y[p, :m], "sqeuclidean")
                one = problem_of(cost, a[p, :n], b[p, :m], 2.0)
                assert_solves(gpu, found, one, 1e-4, p)


def test_any_strides(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    base = clouds(3, 20, 26, 6, dtype)
    for view in (lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a[1::3, 1:4]):
        given = [gpu.put(cloud) for cloud in base]
        given = [
            type(lies)(view(lies.memory), 0) if gpu.is_emulated else view(lies) for lies in given
        ]
        found = sinkhorn_points(*given, epsilon=2.0, **FEW)
        cost = costs(*map(view, base), "sqeuclidean")
        assert_solves(gpu, found, problem_of(cost, None, None, 2.0), 1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_no_order_of_threads_and_no_neighbour_changes_a_bit(
    emulated: GpuUnderTest, dtype: np.dtype, seed: int
) -> None:
    pairs = [clouds(k, n, m, 5, dtype) for k, (n, m) in enumerate([(9, 9), (140, 2), (3, 200)])]
    options = {"epsilon": 3.0, "max_iterations": 8}
    emulated_module().set_machine(driver=True, devices=2, seed=1)
    alone = [sinkhorn_points(*map(emulated.put, pair), **options) for pair in pairs]
    wanted = [[emulated.get(each).tobytes() for each in (x.f, x.g, x.value)] for x in alone]
    emulated_module().set_machine(driver=True, devices=2, seed=100 + seed)
    together = sinkhorn_points(
        *(emulated.put([*side]) for side in zip(*pairs, strict=True)), **options
    )
    for p in range(len(pairs)):
        parts = (part(emulated, each, p) for each in (together.f, together.g, together.value))
        assert [each.tobytes() for each in parts] == wanted[p]


# -- Iterations ------------------------------------------------------------------------------------


def test_potentials_to_start_from(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    x, y = clouds(6, 19, 12, 3, dtype)
    tol = 1e-4 if dtype == np.float32 else 1e-8
    for unbalanced in (None, 1.0):
        options = {"epsilon": 3.0, "unbalanced": unbalanced, "tol": tol, "max_iterations": 40}
        found = sinkhorn_points(*map(gpu.put, (x, y)), **options)
        again = sinkhorn_points(*map(gpu.put, (x, y)), initial=found, **options)
        assert gpu.get(found.iterations) > 5
        assert gpu.get(again.iterations) <= 3
        p = problem_of(costs(x, y, "sqeuclidean"), None, None, 3.0, unbalanced)
        assert_solves(gpu, again, p, tol)


def test_what_has_not_converged_says_so(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    x, y = clouds(7, 20, 20, 2, dtype)
    found = sinkhorn_points(*map(gpu.put, (x, y)), epsilon=0.05, tol=1e-4, max_iterations=3)
    assert gpu.get(found.status) == Status.NOT_CONVERGED
    assert gpu.get(found.iterations) == 3
    p = problem_of(costs(x, y, "sqeuclidean"), None, None, 0.05)
    error = oracle.marginal_error(p, *map(gpu.get, (found.f, found.g)))
    np.testing.assert_allclose(float(gpu.get(found.marginal_error)), error, rtol=1e-9)
    with pytest.raises(ArithmeticError, match=r"\Aproblem 0: more iterations are needed"):
        found.check()


# -- What has no answer ----------------------------------------------------------------------------


def test_what_has_no_answer_goes_to_the_status(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    x, y = clouds(1, 12, 10, 2, dtype)
    x, y = np.tile(x, (7, 1, 1)), np.tile(y, (7, 1, 1))
    a = np.tile(weights_of(1, 12, dtype), (7, 1))
    x[1, 3, 1], y[2, 5, 0] = np.nan, -np.inf
    a[3, 2], a[4, 4] = -1, np.nan
    a[5] *= 2
    rows = np.full(7, 12)
    rows[6] = 13
    found = sinkhorn_points(*map(gpu.put, (x, y, a)), epsilon=2.0, x_lengths=gpu.put(rows), **FEW)
    wanted = [Status.OK, Status.NAN, Status.NAN, *[Status.INVALID] * 4]
    assert gpu.get(found.status).tolist() == wanted
    for values in (found.cost, found.value, found.marginal_error, found.f, found.g):
        assert np.isnan(gpu.get(values)[1:]).all()
    p = problem_of(costs(x[0], y[0], "sqeuclidean"), a[0], None, 2.0)
    assert_solves(gpu, found, p, 1e-4, 0)
    with pytest.raises(ValueError, match=r"\Aproblem 1: "):
        found.check()


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_what_is_wrong_on_the_host_is_named_as_on_the_cpu(gpu: GpuUnderTest, device: str) -> None:
    x, y = clouds(2, 4, 6, 3, np.float64)
    broken = np.stack((x, x))
    broken[1, 2, 1] = np.nan
    words = re.escape("x: NaN at index (1, 2, 1); expected finite coordinates")
    with pytest.raises(ValueError, match=rf"\A{words}"):
        sinkhorn_points(broken, np.stack((y, y)), epsilon=0.1, device=device, **FEW)
    with pytest.raises(ValueError, match=r"\Aa and b: expected equal masses"):
        sinkhorn_points(x, y, np.ones(4), epsilon=0.1, device=device, **FEW)
    with pytest.warns(ConvergenceWarning, match=r"\Asinkhorn_points: 1 of 1 problems need more"):
        sinkhorn_points(x, y, epsilon=0.01, max_iterations=1, device=device)


# -- Host arrays, devices and streams --------------------------------------------------------------


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_host_arrays_go_there_and_back(gpu: GpuUnderTest, dtype: np.dtype, device: str) -> None:
    x, y = (
        np.stack(side) for side in zip(*(clouds(k, 9, 14, 2, dtype) for k in range(3)), strict=True)
    )
    inputs: list[tuple[Any, Any, dict[str, Any]]] = [
        (x, y, {"a": np.tile(weights_of(2, 9, dtype), (3, 1))}),
        (x[0], y[0], {"unbalanced": 0.7}),
        (x, y, {"x_lengths": [9, 2, 5], "y_lengths": [14, 2, 9], "epsilon": [2.0, 3.0, 4.0]}),
        ([*x, x[0, :4]], y[0], {}),
        (np.empty((0, 3, 2), dtype), np.empty((0, 4, 2), dtype), {}),
        (x[0].tolist(), y[0].tolist(), {}),
    ]
    for first, second, options in inputs:
        options = {"epsilon": 3.0, **FEW, **options}
        with forced(work_per_thread=0) as runs:
            found = sinkhorn_points(first, second, device=device, **options)
        assert [run.isa for run in runs] == ["cuda"] * (len(first) > 0)
        wanted = sinkhorn_points(first, second, **options)
        for name in ("f", "g", "cost", "value"):
            mine, theirs = getattr(found, name), getattr(wanted, name)
            assert type(mine) is type(theirs)
            for one, another in zip(
                *([side] if not isinstance(side, list) else side for side in (mine, theirs)),
                strict=True,
            ):
                assert one.dtype == another.dtype
                assert one.shape == another.shape
                np.testing.assert_allclose(one, another, rtol=1e-3, atol=3e-3)
        if len(first) > 0:
            # What follows from the potentials is computed on the CPU.
            for mine, theirs in zip(found.plan(), wanted.plan(), strict=True):
                np.testing.assert_allclose(mine, theirs, atol=1e-3)
    with forced() as runs:
        sinkhorn_points(x, y, epsilon=3.0, device="auto")
    assert all(run.isa != "cuda" for run in runs)


def test_what_a_gpu_does_not_do_is_said(gpu: GpuUnderTest) -> None:
    host = np.eye(3)
    x = gpu.put(host)
    with pytest.raises(DeviceError, match=r"\Adevice: expected the GPU that x lies on"):
        sinkhorn_points(x, x, epsilon=0.1, device="cpu")
    with pytest.raises(TypeError, match=r"got cupy on cuda:0 and numpy; convert one"):
        sinkhorn_points(x, host, epsilon=0.1)
    with pytest.raises(TypeError, match=r"got cupy on cuda:0 and numpy; convert one"):
        sinkhorn_points(x, x, np.ones(3), epsilon=0.1)
    with pytest.raises(ValueError, match=r"\Aa: expected shape \(3,\), got \(4,\)"):
        sinkhorn_points(x, x, gpu.put(np.ones(4)), epsilon=0.1)
    for given, options in ((x, {}), (host, {"device": "cuda"})):
        with pytest.raises(DeviceError, match=r'\Adevice: "cuda" does not compute this kind'):
            sinkhorn_divergence_points(given, given, epsilon=0.1, **options)
    found = sinkhorn_points(x, x, epsilon=1.0, max_iterations=20)
    assert_methods_answer_or_say_why(gpu, found)


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    x, y = clouds(1, 6, 9, 2, np.float64)
    items = [emulated.put([x, x[:4]]), emulated.put([y, y[:2]])]
    single = [*map(emulated.put, (x, y))]
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    results = [
        sinkhorn_points(*single, epsilon=2.0, max_iterations=50),
        sinkhorn_points(*items, epsilon=2.0, unbalanced=1.0, max_iterations=50),
    ]
    assert emulated.cupy.emulation.state.downloads == before
    assert stream.pending >= len(results)
    assert all(np.isnan(found.cost.memory).all() for found in results)
    stream.synchronize()
    assert_solves(
        emulated, results[0], problem_of(costs(x, y, "sqeuclidean"), None, None, 2.0), 1e-4
    )
