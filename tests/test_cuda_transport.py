"""Transport on a GPU: the oracle's plans, errors that are true, and nothing waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from coalign import (
    ConvergenceWarning,
    DeviceError,
    InfeasibleError,
    Status,
    sinkhorn,
    sinkhorn_divergence,
    sinkhorn_points,
)
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from cuda_emulation.transport_answers import (
    RHO,
    SUMMED,
    assert_methods_answer_or_say_why,
    assert_solves,
    part,
    problem_of,
    quiet,
    weights_of,
)
from oracles import transport as oracle

# Rows and columns: one, tiny, around warps and packs of 16 bytes, and wide ones; few, as an
# iteration on the emulated GPU takes milliseconds.
SHAPES = [(1, 1), (1, 9), (7, 1), (3, 5), (17, 16), (33, 31), (9, 70)]
# Costs of a block, so that problems are shared out to several.
FEW = 300


@pytest.fixture(params=["one block", "many blocks"])
def shared(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways through the kernels: problems of one block, and shared out to several."""
    with forced(costs_per_block=FEW if request.param == "many blocks" else None):
        yield request.param


def costs_of(seed: int, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(seed).random(shape).astype(dtype)


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbalanced", RHO)
def test_every_shape_is_solved(
    gpu: GpuUnderTest, dtype: np.dtype, unbalanced: Any, shared: str
) -> None:
    tol = 1e-4 if dtype == np.float32 else 1e-6
    for seed, (n, m) in enumerate(SHAPES):
        cost = costs_of(seed, (n, m), dtype)
        a, b = weights_of(seed, n, dtype), weights_of(seed + 50, m, dtype)
        with forced(costs_per_block=None if shared == "one block" else FEW) as runs:
            found = sinkhorn(
                gpu.put(cost),
                gpu.put(a),
                gpu.put(b),
                epsilon=0.2,
                unbalanced=unbalanced,
                tol=tol,
                max_iterations=50,
            )
        assert [run.isa for run in runs] == ["cuda"]
        assert found.f.shape == (n,)
        assert found.g.shape == (m,)
        assert found.cost.shape == found.status.shape == ()
        p = problem_of(cost, a, b, 0.2, unbalanced)
        assert_solves(gpu, found, p, tol)
        wanted = oracle.solve(p)
        np.testing.assert_allclose(
            float(gpu.get(found.value)),
            wanted.value,
            rtol=0,
            atol=20 * tol * (1 + abs(wanted.value)),
        )


def test_uniform_weights_are_the_default(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    cost = costs_of(1, (9, 14), dtype)
    found = sinkhorn(gpu.put(cost), epsilon=0.1)
    assert_solves(gpu, found, problem_of(cost, None, None, 0.1), 1e-4)
    # Weights need not add up to 1.
    a, b = np.full(9, 2.0, dtype), np.full(14, 18 / 14, dtype)
    heavy = sinkhorn(gpu.put(cost), gpu.put(a), gpu.put(b), epsilon=0.1)
    assert_solves(gpu, heavy, problem_of(cost, a, b, 0.1), 1e-4)


@pytest.mark.parametrize("epsilon", [10.0, 1e-2, 1e-3, 1e-4])
def test_any_epsilon(gpu: GpuUnderTest, dtype: np.dtype, epsilon: float, shared: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.random((10, 2)), rng.random((8, 2))
    cost = ((x[:, None] - y) ** 2).sum(axis=2).astype(dtype)
    cost /= cost.max()
    with quiet():
        found = sinkhorn(gpu.put(cost), epsilon=epsilon, tol=1e-3, max_iterations=150)
    f, g = gpu.get(found.f), gpu.get(found.g)
    assert np.isfinite(f).all()
    assert np.isfinite(g).all()
    p = problem_of(cost, None, None, epsilon)
    error = oracle.marginal_error(p, f, g)
    np.testing.assert_allclose(
        float(gpu.get(found.marginal_error)), error, rtol=1e-6, atol=SUMMED[dtype.name]
    )
    if dtype == np.float64 or epsilon >= 1e-3:
        assert_solves(gpu, found, p, 1e-3)
    # A plan that is near its marginals costs no less than the best by more than the error.
    assert float(gpu.get(found.cost)) >= oracle.linear_program(p) - 2 * error
    assert float(gpu.get(found.cost)) <= oracle.linear_program(p) + 2 * error + 4 * epsilon


def test_a_ragged_batch_is_a_list_of_results(
    gpu: GpuUnderTest, dtype: np.dtype, shared: str
) -> None:
    costs = [costs_of(seed, shape, dtype) for seed, shape in enumerate(SHAPES)]
    sides = [[weights_of(7, cost.shape[axis], dtype) for cost in costs] for axis in (0, 1)]
    epsilon = np.linspace(0.1, 0.3, len(costs))
    found = sinkhorn(gpu.put(costs), *map(gpu.put, sides), epsilon=epsilon, max_iterations=60)
    assert isinstance(found.f, list)
    for p, cost in enumerate(costs):
        assert found.f[p].shape == cost.shape[:1]
        assert found.g[p].shape == cost.shape[1:]
        assert_solves(gpu, found, problem_of(cost, *(s[p] for s in sides), epsilon[p]), 1e-4, p)


def test_a_padded_batch_is_read_within_its_lengths(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rows, columns = np.array([20, 3, 1, 12]), np.array([30, 7, 30, 1])
    cost = np.full((4, 20, 30), np.nan, dtype)
    a, b = np.full((4, 20), np.nan, dtype), np.full((4, 30), np.nan, dtype)
    for p, (n, m) in enumerate(zip(rows, columns, strict=True)):
        cost[p, :n, :m] = costs_of(p, (n, m), dtype)
        a[p, :n], b[p, :m] = weights_of(p, n, dtype), weights_of(p + 9, m, dtype)
    for lengths in (
        (rows, columns),
        (gpu.put(rows), gpu.put(columns)),
        (gpu.put(rows.astype(np.int32)), columns),
    ):
        options = dict(zip(("row_lengths", "col_lengths"), lengths, strict=True))
        # Room for one problem at a time, and for all; a block each, and several.
        for sizes in ({"workspace_bytes": 1}, {}, {"costs_per_block": FEW}):
            with forced(**sizes):
                found = sinkhorn(
                    *map(gpu.put, (cost, a, b)), epsilon=0.2, max_iterations=40, **options
                )
            for p, (n, m) in enumerate(zip(rows, columns, strict=True)):
                one = problem_of(cost[p, :n, :m], a[p, :n], b[p, :m], 0.2)
                assert_solves(gpu, found, one, 1e-4, p)


def test_one_matrix_serves_many_weights(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    cost = costs_of(2, (12, 9), dtype)
    a, b = (np.stack([weights_of(s + k, k, dtype) for s in range(3)]) for k in (12, 9))
    for given in ((a, b), ([*a], [*b])):
        found = sinkhorn(gpu.put(cost), *map(gpu.put, given), epsilon=0.3)
        for p in range(3):
            assert_solves(gpu, found, problem_of(cost, a[p], b[p], 0.3), 1e-4, p)
    back = sinkhorn(cost, a, b, epsilon=0.3, device="cuda")
    np.testing.assert_allclose(back.value, gpu.get(found.value), rtol=1e-6)


def test_any_strides(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    base = costs_of(3, (4, 20, 26), dtype)
    views = [
        (lambda a: a.transpose(0, 2, 1)),
        (lambda a: a[:, ::-1]),
        (lambda a: a[:, ::2, ::2]),
        (lambda a: a[::2, 3:17, 1:26]),
    ]
    for view in views:
        lies = gpu.put(base)
        lies = type(lies)(view(lies.memory), 0) if gpu.is_emulated else view(lies)
        found = sinkhorn(lies, epsilon=0.1)
        for p, cost in enumerate(view(base)):
            assert_solves(gpu, found, problem_of(cost, None, None, 0.1), 1e-4, p)


def test_forbidden_pairs_stay_empty(gpu: GpuUnderTest, dtype: np.dtype, shared: str) -> None:
    cost = costs_of(5, (12, 15), dtype)
    cost[np.random.default_rng(5).random(cost.shape) < 0.3] = np.inf
    cost[np.arange(12), np.arange(12)] = 0.5
    cost[0, :] = 0.5
    found = sinkhorn(gpu.put(cost), epsilon=0.5, tol=1e-3, max_iterations=60)
    p = problem_of(cost, None, None, 0.5)
    assert_solves(gpu, found, p, 1e-3)
    assert (oracle.plan(p, *map(gpu.get, (found.f, found.g)))[np.isinf(cost)] == 0).all()


def test_large_numbers_that_stand_for_never(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(8)
    base = rng.random((9, 9))
    gated = rng.random((9, 9)) < 0.5
    gated[np.arange(9), rng.permutation(9)] = False
    for never in (1e5, 1e9, 1e20, np.inf):
        cost = np.where(gated, never, base).astype(dtype)
        with quiet():
            found = sinkhorn(gpu.put(cost), epsilon=0.1, tol=1e-3, max_iterations=200)
        f, g = gpu.get(found.f), gpu.get(found.g)
        p = problem_of(cost, None, None, 0.1)
        assert not np.isnan(np.concatenate((f, g))).any()
        np.testing.assert_allclose(
            float(gpu.get(found.marginal_error)),
            oracle.marginal_error(p, f, g),
            rtol=1e-6,
            atol=1e-9,
        )
        assert bool(gpu.get(found.status) == Status.OK) == bool(
            gpu.get(found.marginal_error) <= 1e-3
        )


@pytest.mark.parametrize("unbalanced", RHO[1:])
def test_unbalanced_masses_of_any_size(
    gpu: GpuUnderTest, dtype: np.dtype, unbalanced: Any, shared: str
) -> None:
    cost = costs_of(3, (14, 11), dtype)
    for row_mass, column_mass in ((3, 0.2), (1e-6, 1e-3), (1e5, 1e4)):
        a = weights_of(1, 14, dtype) * dtype.type(row_mass)
        b = weights_of(2, 11, dtype) * dtype.type(column_mass)
        found = sinkhorn(
            *map(gpu.put, (cost, a, b)), epsilon=0.1, unbalanced=unbalanced, max_iterations=60
        )
        assert_solves(gpu, found, problem_of(cost, a, b, 0.1, unbalanced), 1e-4)


def test_wide_rows_and_all_sizes_of_packs(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    most = 8192 if dtype == np.float32 else 4096
    for m in (most // 32 + 8, most // 8, most // 8 + 8, most // 4 + 8, most // 2 + 8, most + 8):
        cost = costs_of(m, (3, m), dtype)
        a, b = weights_of(1, 3, dtype, zeros=False), weights_of(2, m, dtype)
        found = sinkhorn(*map(gpu.put, (cost, a, b)), epsilon=0.5, tol=1e-3, max_iterations=20)
        p = problem_of(cost, a, b, 0.5)
        assert_solves(gpu, found, p, 1e-3)


def test_scalings_that_leave_the_range_of_float32(gpu: GpuUnderTest, shared: str) -> None:
    # Sums of 1e-34 lose their digits.
    cost = np.array([[0.0, 30.0, 60.0], [30.0, 0.0, 30.0], [90.0, 30.0, 0.0]], np.float32)
    a = np.array([1e-34, 1.0, 1e-10], np.float32)
    b = np.array([1e-10, 1e-34, 1.0], np.float32)
    with quiet():
        found = sinkhorn(*map(gpu.put, (cost, a, b)), epsilon=0.1, tol=1e-3, max_iterations=100)
    p = problem_of(cost, a, b, 0.1)
    assert_solves(gpu, found, p, 1e-3)
    plain = sinkhorn(*map(gpu.put, (cost, a, b)), epsilon=50.0, tol=0, max_iterations=4)
    p = problem_of(cost, a, b, 50.0)
    sides = oracle.shifted(p, *oracle.iterate(p, 4))
    for mine, wanted in zip((plain.f, plain.g), sides, strict=True):
        np.testing.assert_allclose(gpu.get(mine), wanted, rtol=1e-5)


def test_tiny_problems_take_a_thread_each(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    for n, m in ((4, 4), (2, 3), (8, 8), (7, 5)):
        cost = costs_of(n, (150, n, m), dtype)
        a = np.stack([weights_of(seed, n, dtype) for seed in range(150)])
        b = np.stack([weights_of(seed + 99, m, dtype) for seed in range(150)])
        # Some are for the general way: kernels of no range, light weights, and NaN.
        epsilon = np.where(np.arange(150) % 50 == 7, 1e-3, 0.3)
        a[9] = np.where(np.arange(n) == 0, 1e-20, 1 / (n - 1)).astype(dtype)
        cost[11, 1, 1] = np.nan
        given = [*map(gpu.put, (cost, a, b))]
        with quiet():
            found = sinkhorn(*given, epsilon=epsilon, max_iterations=40)
        status = gpu.get(found.status)
        assert status[11] == Status.NAN
        assert np.isnan(gpu.get(found.f)[11]).all()
        for p in (0, 1, 9, 127, 128, 149):
            assert_solves(gpu, found, problem_of(cost[p], a[p], b[p], 0.3), 1e-4, p)
        said = gpu.get(found.marginal_error)[57]
        one = problem_of(cost[57], a[57], b[57], 1e-3)
        error = oracle.marginal_error(one, gpu.get(found.f)[57], gpu.get(found.g)[57])
        np.testing.assert_allclose(said, error, rtol=1e-6, atol=SUMMED[dtype.name])
        plain = sinkhorn(*given, epsilon=0.5, tol=0, max_iterations=6)
        assert (np.delete(gpu.get(plain.iterations), 11) == 6).all()
        one = problem_of(cost[3], a[3], b[3], 0.5)
        near = 1e-5 if dtype == np.float32 else 1e-12
        sides = oracle.shifted(one, *oracle.iterate(one, 6))
        for mine, wanted in zip((plain.f, plain.g), sides, strict=True):
            np.testing.assert_allclose(gpu.get(mine)[3], wanted, rtol=near, atol=near)


# -- Iterations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbalanced", RHO)
def test_tol_0_makes_plain_iterations(
    gpu: GpuUnderTest, dtype: np.dtype, unbalanced: Any, shared: str
) -> None:
    cost = costs_of(4, (11, 18), dtype)
    a, b = weights_of(4, 11, dtype), weights_of(5, 18, dtype)
    for epsilon in (0.1, 1e-3):
        p = problem_of(cost, a, b, epsilon, unbalanced)
        for count in (1, 2, 7):
            found = sinkhorn(
                *map(gpu.put, (cost, a, b)),
                epsilon=epsilon,
                unbalanced=unbalanced,
                tol=0,
                max_iterations=count,
            )
            assert gpu.get(found.iterations) == count
            assert gpu.get(found.status) == Status.OK
            f, g = oracle.shifted(p, *oracle.iterate(p, count))
            # The kernel matrix has the digits of its dtype.
            near = 1e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(gpu.get(found.f), f, rtol=near, atol=near)
            np.testing.assert_allclose(gpu.get(found.g), g, rtol=near, atol=near)


def test_potentials_to_start_from(gpu: GpuUnderTest, dtype: np.dtype, shared: str) -> None:
    cost = costs_of(6, (9, 12), dtype)
    tol = 1e-4 if dtype == np.float32 else 1e-8
    for unbalanced in (None, 1.0):
        options = {"epsilon": 0.1, "unbalanced": unbalanced, "tol": tol, "max_iterations": 100}
        found = sinkhorn(gpu.put(cost), **options)
        again = sinkhorn(gpu.put(cost), initial=found, **options)
        assert gpu.get(found.iterations) > 5
        assert gpu.get(again.iterations) <= 3
        assert_solves(gpu, again, problem_of(cost, None, None, 0.1, unbalanced), tol)
        same = sinkhorn(gpu.put(cost), initial=(found.f, found.g), **options)
        assert gpu.get(same.g).tolist() == gpu.get(again.g).tolist()


def test_momentum_saves_iterations(gpu: GpuUnderTest) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.random((12, 2)), rng.random((12, 2))
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    found = sinkhorn(gpu.put(cost), epsilon=0.02, tol=1e-6)
    p = problem_of(cost, None, None, 0.02)
    assert_solves(gpu, found, p, 1e-6)
    count = int(gpu.get(found.iterations))
    # So many plain ones, from 0, come nowhere near.
    assert oracle.marginal_error(p, *oracle.iterate(p, 2 * count)) > 1e-6


def test_what_has_not_converged_says_so(gpu: GpuUnderTest, dtype: np.dtype, shared: str) -> None:
    cost = costs_of(7, (20, 20), dtype)
    found = sinkhorn(gpu.put(cost), epsilon=0.01, tol=1e-4, max_iterations=3)
    assert gpu.get(found.status) == Status.NOT_CONVERGED
    assert gpu.get(found.iterations) == 3
    p = problem_of(cost, None, None, 0.01)
    error = oracle.marginal_error(p, *map(gpu.get, (found.f, found.g)))
    np.testing.assert_allclose(float(gpu.get(found.marginal_error)), error, rtol=1e-9)
    assert error > 1e-4
    with pytest.raises(ArithmeticError, match=r"\Aproblem 0: more iterations are needed"):
        found.check()


def test_the_digits_of_float32_end(gpu: GpuUnderTest, shared: str) -> None:
    cost = costs_of(9, (9, 8), np.float32) + np.float32(1000)
    found = sinkhorn(gpu.put(cost), epsilon=0.05, tol=1e-5, max_iterations=250)
    assert gpu.get(found.status) == Status.PRECISION_LIMIT
    p = problem_of(cost, None, None, 0.05)
    error = oracle.marginal_error(p, *map(gpu.get, (found.f, found.g)))
    np.testing.assert_allclose(float(gpu.get(found.marginal_error)), error, rtol=1e-6)
    # A thread proves no more.
    tiny = sinkhorn(gpu.put(cost[:4, :4] + np.float32(9000)), epsilon=0.3)
    assert gpu.get(tiny.status) == Status.PRECISION_LIMIT
    # Smaller costs leave more digits.
    near = sinkhorn(gpu.put(cost - np.float32(1000)), epsilon=0.5, tol=1e-6, max_iterations=250)
    assert_solves(gpu, near, problem_of(cost - np.float32(1000), None, None, 0.5), 1e-6)


# -- What has no answer ----------------------------------------------------------------------------


def test_what_has_no_answer_goes_to_the_status(
    gpu: GpuUnderTest, dtype: np.dtype, shared: str
) -> None:
    cost = np.tile(costs_of(1, (12, 10), dtype), (9, 1, 1))
    a = np.tile(weights_of(1, 12, dtype), (9, 1))
    cost[1, 3, 4], cost[2, 5, 9] = np.nan, -np.inf
    # Both rows have weight, and columns too.
    cost[3, 2], cost[4, :, 3] = np.inf, np.inf
    a[5, 2], a[6, 4] = -1, np.nan
    a[7] *= 2
    rows = np.full(9, 12)
    rows[8] = 13
    found = sinkhorn(
        gpu.put(cost), gpu.put(a), epsilon=0.5, max_iterations=30, row_lengths=gpu.put(rows)
    )
    wanted = [Status.OK, Status.NAN, Status.NAN, Status.INFEASIBLE, Status.INFEASIBLE]
    assert gpu.get(found.status).tolist() == [*wanted, *[Status.INVALID] * 4]
    for values in (found.cost, found.value, found.marginal_error, found.f, found.g):
        assert np.isnan(gpu.get(values)[1:]).all()
    p = problem_of(cost[0], a[0], None, 0.5)
    assert_solves(gpu, found, p, 1e-4, 0)
    with pytest.raises(ValueError, match=r"\Aproblem 1: a cost is NaN or -inf"):
        found.check()


def test_unbalanced_rows_and_columns_that_nothing_reaches(
    gpu: GpuUnderTest, dtype: np.dtype, shared: str
) -> None:
    cost = costs_of(2, (9, 11), dtype)
    cost[3] = np.inf
    cost[:, 5] = np.inf
    a = weights_of(3, 9, dtype, zeros=False)
    found = sinkhorn(gpu.put(cost), gpu.put(a), epsilon=0.1, unbalanced=0.5, max_iterations=60)
    f, g = gpu.get(found.f), gpu.get(found.g)
    assert f[3] == g[5] == -np.inf
    assert np.isfinite(np.delete(f, 3)).all()
    wanted = sinkhorn(cost, a, epsilon=0.1, unbalanced=0.5)
    assert gpu.get(found.status) == Status.OK
    np.testing.assert_allclose(float(gpu.get(found.value)), float(wanted.value), rtol=1e-3)


# -- Host arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_host_arrays_go_there_and_back(gpu: GpuUnderTest, dtype: np.dtype, device: str) -> None:
    batch = costs_of(2, (3, 9, 14), dtype)
    weights = np.tile(weights_of(2, 9, dtype), (3, 1))
    inputs: list[tuple[Any, dict[str, Any]]] = [
        (batch, {"a": weights}),
        (batch[0], {"a": weights[0], "unbalanced": 0.7}),
        (batch, {"row_lengths": [9, 2, 5], "col_lengths": [14, 2, 9], "epsilon": [0.1, 0.2, 0.3]}),
        ([*batch, batch[0, :4]], {}),
        (np.empty((0, 3, 4), dtype), {}),
        (batch[0].tolist(), {}),
    ]
    for cost, options in inputs:
        options = {"epsilon": 0.3, **options}
        with forced(work_per_thread=0) as runs:
            found = sinkhorn(cost, device=device, **options)
        assert [run.isa for run in runs] == ["cuda"] * (len(cost) > 0)
        wanted = sinkhorn(cost, **options)
        for name in ("f", "g", "cost", "value"):
            mine, theirs = getattr(found, name), getattr(wanted, name)
            assert type(mine) is type(theirs)
            for one, another in zip(
                *([side] if not isinstance(side, list) else side for side in (mine, theirs)),
                strict=True,
            ):
                assert one.dtype == another.dtype
                np.testing.assert_allclose(one, another, rtol=1e-3, atol=1e-3)
        assert np.all(found.converged)
        assert found.epsilon is wanted.epsilon or np.all(found.epsilon == wanted.epsilon)
        assert found.tol == wanted.tol
        if len(cost) > 0:
            # What follows from the potentials is computed on the CPU.
            for mine, theirs in zip(found.plan(), wanted.plan(), strict=True):
                np.testing.assert_allclose(mine, theirs, atol=1e-3)
    with forced() as runs:
        sinkhorn(batch, epsilon=0.1, device="auto")
    assert all(run.isa != "cuda" for run in runs)


def test_what_is_wrong_on_the_host_is_named_as_on_the_cpu(gpu: GpuUnderTest) -> None:
    cost = np.random.default_rng(0).random((2, 4, 6))
    for device in ("cuda", "cpu"):
        broken = cost.copy()
        broken[1, 2, 3] = np.nan
        with pytest.raises(ValueError, match=r"\Acost: NaN at index \(1, 2, 3\); expected finite"):
            sinkhorn(broken, epsilon=0.1, device=device)
        broken[1] = np.inf
        with pytest.raises(InfeasibleError, match=r"\Aproblem 1: row 0 has weight"):
            sinkhorn(broken, epsilon=0.1, device=device)
        with pytest.raises(ValueError, match=r"\Aproblem 0: a and b: expected equal masses"):
            sinkhorn(cost, np.ones(4), epsilon=0.1, device=device)
        with pytest.raises(ValueError, match=r"\Aa: -1.0 at index \(2,\)"):
            sinkhorn(cost[0], np.array([1, 1, -1, 1.0]), epsilon=0.1, device=device)
        with pytest.warns(ConvergenceWarning, match=r"2 of 2 problems need more iterations"):
            sinkhorn(cost, epsilon=0.001, max_iterations=1, device=device)


# -- Devices and streams ---------------------------------------------------------------------------


def test_what_a_gpu_does_not_do_is_said(gpu: GpuUnderTest) -> None:
    cost = gpu.put(np.zeros((3, 3)))
    with pytest.raises(DeviceError, match=r"\Adevice: expected the GPU that cost lies on"):
        sinkhorn(cost, epsilon=0.1, device="cpu")
    with pytest.raises(TypeError, match=r"got cupy on cuda:0 and numpy; convert one"):
        sinkhorn(cost, np.ones(3), epsilon=0.1)
    with pytest.raises(ValueError, match=r"\Aa: expected shape \(3,\), got \(4,\)"):
        sinkhorn(cost, gpu.put(np.ones(4)), epsilon=0.1)
    square = np.zeros((3, 3))
    with pytest.raises(DeviceError, match=r'\Adevice: "cuda" does not compute this kind'):
        sinkhorn_divergence(square, square, square, epsilon=0.1, device="cuda")
    assert_methods_answer_or_say_why(gpu, sinkhorn(cost, epsilon=0.1))


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    batch = costs_of(1, (4, 6, 9), np.float64)
    cost, items = emulated.put(batch), emulated.put([batch[0], batch[1, :4]])
    lengths, a = emulated.put(np.array([6, 2, 3, 1])), emulated.put(np.ones((4, 6)) / 6)
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    results = [
        sinkhorn(cost, epsilon=0.1),
        sinkhorn(cost, a, epsilon=0.1, unbalanced=1.0, row_lengths=lengths),
        sinkhorn(items, epsilon=0.1),
    ]
    assert emulated.cupy.emulation.state.downloads == before
    assert stream.pending >= len(results)
    assert all(np.isnan(found.cost.memory).all() for found in results)
    stream.synchronize()
    assert_solves(emulated, results[0], problem_of(batch[0], None, None, 0.1), 1e-4, 0)


@pytest.mark.parametrize("what", ["costs", "points"])
def test_no_more_is_queued_when_all_is_done(emulated: GpuUnderTest, what: str) -> None:
    native = emulated_module()
    rng = np.random.default_rng(4)
    if what == "costs":
        given, solve = [rng.random((3, 20, 20))], sinkhorn
        # A problem of no mass is done before it begins.
        weights = np.stack([np.full(20, 0.05), np.zeros(20), np.full(20, 0.05)])
    else:
        given, solve = [rng.random((3, 9, 2)), rng.random((3, 9, 2))], sinkhorn_points
        weights = np.stack([np.full(9, 1 / 9), np.zeros(9), np.full(9, 1 / 9)])
    found, counts = [], []
    for prompt in (False, True):
        native.set_machine(driver=True, devices=2, seed=1, prompt=prompt)
        before = native.launches()
        with forced(costs_per_block=FEW):
            each = solve(
                *map(emulated.put, given), emulated.put(weights), epsilon=0.5, max_iterations=200
            )
        found.append([emulated.get(x).tobytes() for x in (each.f, each.g, each.status)])
        counts.append(native.launches() - before)
        assert (emulated.get(each.iterations) < 64).all()
    assert found[0] == found[1]
    # Every problem is done within the first 64 iterations; without a flag, all 200 are queued.
    assert counts[0] > 400
    assert counts[1] < counts[0] / 2


def test_work_goes_to_the_arrays_device_and_its_stream(emulated: GpuUnderTest) -> None:
    cupy = emulated.cupy
    with cupy.cuda.Device(1):
        cost = emulated.put(np.eye(4))
        other = cupy.cuda.get_current_stream()
    found = sinkhorn(cost, epsilon=0.1)
    assert cupy.cuda.get_current_stream().pending == 0
    assert other.pending > 0
    assert found.f.device.id == 1


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_threads_and_no_neighbour_changes_a_bit(
    emulated: GpuUnderTest, dtype: np.dtype, seed: int, shared: str
) -> None:
    costs = [
        costs_of(k, shape, dtype)
        for k, shape in enumerate([(9, 9), (31, 22), (4, 3), (7, 8), (12, 50)])
    ]
    options = {"epsilon": 0.3, "max_iterations": 30}
    emulated_module().set_machine(driver=True, devices=2, seed=1)
    alone = [sinkhorn(emulated.put(cost), **options) for cost in costs]
    wanted = [[emulated.get(each).tobytes() for each in (x.f, x.g, x.value)] for x in alone]
    emulated_module().set_machine(driver=True, devices=2, seed=100 + seed)
    found = sinkhorn(emulated.put(costs), **options)
    padded = np.full((len(costs), 33, 53), np.nan, dtype)
    for room, cost in zip(padded, costs, strict=True):
        room[: cost.shape[0], : cost.shape[1]] = cost
    lengths = {
        name: emulated.put(np.array([cost.shape[axis] for cost in costs]))
        for axis, name in enumerate(("row_lengths", "col_lengths"))
    }
    beside = sinkhorn(emulated.put(padded), **options, **lengths)
    for p, cost in enumerate(costs):
        n, m = cost.shape
        for x in (found, beside):
            parts = (
                part(emulated, x.f, p)[:n],
                part(emulated, x.g, p)[:m],
                part(emulated, x.value, p),
            )
            assert [each.tobytes() for each in parts] == wanted[p]


def test_running_out_of_memory_names_the_size(emulated: GpuUnderTest) -> None:
    cost = emulated.put(np.zeros((4, 30, 40)))
    words = r"\Aout of device memory: [\d,]+ bytes wanted"
    with emulated.cupy.emulation.limited(1000), pytest.raises(DeviceError, match=words):
        sinkhorn(cost, epsilon=0.1)
