"""What the tests of transport on a GPU share: weights, problems, and what an answer must hold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from coalign import ConvergenceWarning, DeviceError, Status
from cuda_emulation.device import GpuUnderTest
from oracles import transport as oracle

RHO = (None, 0.5, (0.3, 2.0), (np.inf, 0.7))
# Of the values that an answer reports; and of its sums, of which those of tiny problems add up
# exponentials in the dtype.
REPORTED = {"float32": 1e-5, "float64": 1e-9}
SUMMED = {"float32": 1e-6, "float64": 1e-12}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warning of what has not converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def weights_of(seed: int, count: int, dtype: Any, zeros: bool = True) -> Any:
    """Weights of mass 1, some of them 0 where there is room."""
    weights = np.random.default_rng(seed).random(count) + 0.05
    if zeros and count > 4:
        weights[1::4] = 0
    return (weights / weights.sum()).astype(dtype)


def part(gpu: GpuUnderTest, value: Any, problem: int | None) -> Any:
    return gpu.get(value if problem is None else value[problem])


def assert_solves(
    gpu: GpuUnderTest,
    found: Any,
    p: oracle.Problem,
    tol: float,
    problem: int | None = None,
) -> None:
    """A problem's marginals are met, and what the result says of itself is true."""
    n, m = p.cost.shape
    f, g = part(gpu, found.f, problem), part(gpu, found.g, problem)
    dtype = f.dtype.name
    assert (f[n:] == 0).all()
    assert (g[m:] == 0).all()
    f, g = f[:n], g[:m]
    assert (f == -np.inf).tolist() == (p.a == 0).tolist()
    assert (g == -np.inf).tolist() == (p.b == 0).tolist()
    error = oracle.marginal_error(p, f, g)
    said = float(part(gpu, found.marginal_error, problem))
    np.testing.assert_allclose(said, error, rtol=1e-9, atol=SUMMED[dtype])
    assert said <= tol
    assert part(gpu, found.status, problem) == Status.OK
    assert part(gpu, found.iterations, problem) >= 1
    plan = oracle.plan(p, f, g)
    scale = 1 + np.abs(plan[plan > 0] * p.cost[plan > 0]).sum()
    cost, value = (float(part(gpu, x, problem)) for x in (found.cost, found.value))
    assert abs(cost - oracle.transport_cost(p, plan)) <= 10 * SUMMED[dtype] * scale
    assert abs(value - oracle.value(p, plan)) <= REPORTED[dtype] * scale
    if p.balanced:
        some = p.b > 0
        shift = abs((p.b[some] * g[some]).sum())
        assert shift <= 10 * np.finfo(dtype).eps * (1 + np.abs(g[some]).max())


def assert_methods_answer_or_say_why(gpu: GpuUnderTest, found: Any) -> None:
    """Of a result on a GPU: what follows from one 3 x 3 problem is for the CPU, and says so."""
    if not gpu.is_emulated:
        assert bool(gpu.get(found.converged))
    assert found.check() is found
    assert "f=" in repr(found)
    ones = np.ones(3)
    for name, given in (
        *((name, ()) for name in ("plan", "feasible_plan", "hard", "bounds", "gradients")),
        ("apply", (ones,)),
        ("apply", (gpu.put(ones),)),
        ("plan_vjp", (np.eye(3),)),
    ):
        words = (
            rf"\A{name}: expected a result of arrays in host memory, got one of arrays on a GPU; "
        )
        with pytest.raises(DeviceError, match=words):
            getattr(found, name)(*given)


def problem_of(cost: Any, a: Any, b: Any, epsilon: float, rho: Any = None) -> oracle.Problem:
    return oracle.problem(
        np.asarray(cost, np.float64),
        None if a is None else np.asarray(a, np.float64),
        None if b is None else np.asarray(b, np.float64),
        epsilon=epsilon,
        unbalanced=rho,
    )
