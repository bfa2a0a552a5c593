"""`sinkhorn_points` against a log-domain oracle on stored costs, and against `sinkhorn`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import Status, _core, _execution
from oracles import transport as oracle

METRICS = oracle.METRICS
costs = oracle.costs_of_points
# Of float32: marginal errors that its potentials can reach at 0.001 of the greatest cost.
REACHABLE = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-8}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def log_sum(values: Any, axis: int) -> Any:
    most = values.max(axis, keepdims=True)
    return np.log(np.exp(values - most).sum(axis)) + most.squeeze(axis)


def iterated(cost: Any, epsilon: float, count: int) -> tuple[Any, Any]:
    """Plain updates in the log domain from g = ε log b, shifted so that g has no mean."""
    n, m = cost.shape
    g = np.full(m, -epsilon * np.log(m))
    f = -epsilon * (np.log(n) + log_sum((g[None, :] - cost) / epsilon, 1))
    for _ in range(count - 1):
        g = -epsilon * (np.log(m) + log_sum((f[:, None] - cost) / epsilon, 0))
        f = -epsilon * (np.log(n) + log_sum((g[None, :] - cost) / epsilon, 1))
    return f + g.mean(), g - g.mean()


def error_of(found: Any, cost: Any, a: Any, b: Any, epsilon: float) -> float:
    f, g = (np.asarray(side, np.float64) for side in (found.f, found.g))
    plan = np.exp((f[:, None] + g[None, :] - cost) / epsilon)
    return float(np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum())


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 2, 3, 5, 16, 64, 300])
def test_plain_iterations_are_the_oracles(
    isa: str, dtype: Any, metric: str, dim: int, rng: np.random.Generator
) -> None:
    x, y = (rng.normal(size=(count, dim)).astype(dtype) for count in (37, 23))
    cost = costs(x, y, metric)
    epsilon = 0.05 * float(np.abs(cost).max())
    with _execution.forced(isa=isa):
        found = coalign.sinkhorn_points(
            x, y, epsilon=epsilon, metric=metric, tol=0, max_iterations=6
        )
    f, g = iterated(cost, epsilon, 6)
    exact = 2e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found.f / epsilon, f / epsilon, rtol=0, atol=exact)
    np.testing.assert_allclose(found.g / epsilon, g / epsilon, rtol=0, atol=exact)
    assert found.f.dtype == dtype
    assert int(found.iterations) == 6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.1, 0.001])
def test_the_error_is_reached_and_the_value_is_that_of_stored_costs(
    dtype: Any, metric: str, share: float, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(90, 3)).astype(dtype), rng.normal(size=(70, 3)).astype(dtype)
    a, b = rng.random(90) + 0.1, rng.random(70) + 0.1
    a[[3, 50]] = b[7] = 0
    a, b = (a / a.sum()).astype(dtype), (b / b.sum()).astype(dtype)
    cost = costs(x, y, metric)
    most = float(np.abs(cost).max())
    tol = REACHABLE[np.dtype(dtype)]
    found = coalign.sinkhorn_points(x, y, a, b, epsilon=share * most, metric=metric, tol=tol)
    assert bool(found.converged)
    assert error_of(found, cost, a, b, share * most) == pytest.approx(
        float(found.marginal_error), rel=1e-3, abs=1e-11
    )
    assert np.isneginf(found.f[[3, 50]]).all()
    assert np.isneginf(found.g[7])
    stored = coalign.sinkhorn(cost, a, b, epsilon=share * most, tol=tol / 10, max_iterations=50_000)
    assert float(found.value) == pytest.approx(float(stored.value), abs=3 * tol * most)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("dim", [3, 16])
def test_an_offset_common_to_both_clouds_takes_no_digits(
    metric: str, dim: int, rng: np.random.Generator
) -> None:
    # Multiples of 2^-10 stay exact under the offset in float64.
    x, y = (np.round(rng.normal(size=(40, dim)) * 1024) / 1024 for _ in range(2))
    here = coalign.sinkhorn_points(x, y, epsilon=0.05, metric=metric, tol=0, max_iterations=20)
    there = coalign.sinkhorn_points(
        x + 1e6, y + 1e6, epsilon=0.05, metric=metric, tol=0, max_iterations=20
    )
    np.testing.assert_allclose(there.f, here.f, rtol=0, atol=1e-10)


def test_float32_norms_of_1e4_keep_distances_of_1e_3(rng: np.random.Generator) -> None:
    # Clusters 1e4 apart, inside of which points are 1e-3 apart: epsilon is far below what float32
    # potentials could hold of such costs, and the marginal error shows it.
    x = rng.normal(size=(32, 16)) * 1e-3
    y = rng.normal(size=(32, 16)) * 1e-3
    x, y = x.astype(np.float32), y.astype(np.float32)
    found = coalign.sinkhorn_points(x + np.float32(2), y + np.float32(2), epsilon=1e-5, tol=1e-4)
    cost = costs(x + np.float32(2), y + np.float32(2), "sqeuclidean")
    assert bool(found.converged)
    assert error_of(found, cost, 1 / 32, 1 / 32, 1e-5) < 1.1e-4


def test_identical_clouds_and_points_without_length() -> None:
    x = np.zeros((5, 3))
    for metric in METRICS:
        found = coalign.sinkhorn_points(x, x, epsilon=0.1, metric=metric)
        assert float(found.cost) == pytest.approx(1.0 if metric == "cosine" else 0.0, abs=1e-12)
        assert bool(found.converged)


def test_unbalanced_tends_to_balanced(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(30, 2))
    balanced = coalign.sinkhorn_points(x, y, epsilon=0.3, tol=1e-9)
    free = coalign.sinkhorn_points(x, y, epsilon=0.3, tol=1e-9, unbalanced=1e6)
    assert float(free.cost) == pytest.approx(float(balanced.cost), rel=1e-5)
    stored = coalign.sinkhorn(costs(x, y, "sqeuclidean"), epsilon=0.3, tol=1e-9, unbalanced=0.5)
    points = coalign.sinkhorn_points(x, y, epsilon=0.3, tol=1e-9, unbalanced=0.5)
    np.testing.assert_allclose(points.f, stored.f, atol=1e-7)
    assert float(points.value) == pytest.approx(float(stored.value), rel=1e-8)


def test_batches_have_the_bits_of_their_problems(rng: np.random.Generator) -> None:
    clouds = [rng.normal(size=(count, 2)) for count in (9, 4, 33)]
    y = rng.normal(size=(12, 2))
    single = [coalign.sinkhorn_points(x, y, epsilon=0.2) for x in clouds]
    listed = coalign.sinkhorn_points(clouds, y, epsilon=0.2, threads=2)
    padded = np.full((3, 33, 2), np.nan)
    for row, x in zip(padded, clouds, strict=True):
        row[: len(x)] = x
    together = coalign.sinkhorn_points(padded, y, epsilon=[0.2] * 3, x_lengths=[9, 4, 33])
    for p, found in enumerate(single):
        count = len(clouds[p])
        assert np.array_equal(listed.f[p], found.f)
        assert np.array_equal(together.f[p, :count], found.f)
        assert not together.f[p, count:].any()
        assert np.array_equal(listed.g[p], found.g)
        assert float(together.value[p]) == float(found.value)


def test_weights_keep_their_digits_beside_one_cloud_of_float32(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(30, 3))
    a, b = rng.random(20), rng.random(30)
    a, b = a / a.sum(), b / b.sum()
    for given in ((x, y), (x.astype(np.float64), y.astype(np.float32))):
        found = coalign.sinkhorn_points(*given, a, b, epsilon=0.5, tol=1e-10)
        assert error_of(found, costs(*given, "sqeuclidean"), a, b, 0.5) < 1.1e-10


def test_what_goes_with_each_problem_goes_with_one_cloud_against_many(
    rng: np.random.Generator,
) -> None:
    x, ys = rng.normal(size=(9, 2)), rng.normal(size=(3, 12, 2))
    a = rng.random((3, 9)) + 0.1
    a /= a.sum(axis=1, keepdims=True)
    for given, weights in ((ys, a), ([*ys], [*a])):
        found = coalign.sinkhorn_points(x, given, weights, epsilon=0.2, tol=1e-8)
        again = coalign.sinkhorn_points(x, given, weights, epsilon=0.2, initial=found)
        for p in range(3):
            alone = coalign.sinkhorn_points(x, ys[p], a[p], epsilon=0.2, tol=1e-8)
            assert np.array_equal(found.f[p], alone.f)
            alone = coalign.sinkhorn_points(x, ys[p], a[p], epsilon=0.2, initial=alone)
            assert np.array_equal(again.f[p], alone.f)


@pytest.mark.parametrize("iterations", [2, 3, 4])
def test_potentials_may_leap_in_one_iteration(iterations: int) -> None:
    # Each takes the far pair 69 on: e to that, float32 does not sum.
    x = np.array([[0.0], [100.0]], np.float32)
    a, b = np.array([1, 1e-30], np.float32), np.array([0.5, 0.5], np.float32)
    found = coalign.sinkhorn_points(x, x, a, b, epsilon=1.0, tol=0, max_iterations=iterations)
    given = oracle.problem(costs(x, x, "sqeuclidean"), a, b, epsilon=1.0)
    f, g = oracle.shifted(given, *oracle.iterate(given, iterations))
    np.testing.assert_allclose(found.f, f, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.g, g, rtol=1e-5, atol=1e-4)


def test_a_call_goes_on_from_where_another_ended(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    first = coalign.sinkhorn_points(x, y, epsilon=0.5, tol=1e-8)
    again = coalign.sinkhorn_points(x, y, epsilon=0.5, tol=1e-7, initial=first)
    assert int(again.iterations) <= 2 < int(first.iterations)


def test_iterations_that_do_not_suffice_are_told(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    with pytest.warns(coalign.ConvergenceWarning, match=r"\Asinkhorn_points: 1 of 1 problems need"):
        found = coalign.sinkhorn_points(x, y, epsilon=0.01, tol=1e-8, max_iterations=3)
    assert found.status == Status.NOT_CONVERGED


def bad(where: tuple[int, ...], value: float, shape: tuple[int, ...]) -> Any:
    out = np.ones(shape)
    out[where] = value
    return out


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: coalign.sinkhorn_points(
                bad((2, 1), np.nan, (4, 3)), np.ones((2, 3)), epsilon=1
            ),
            r"x: NaN at index \(2, 1\); expected finite coordinates",
        ),
        (
            lambda: coalign.sinkhorn_points(
                np.ones((4, 3)), bad((1, 0), np.inf, (2, 3)), epsilon=1
            ),
            r"y: inf at index \(1, 0\); expected finite coordinates",
        ),
        (
            lambda: coalign.sinkhorn_points(
                [np.ones((2, 3)), bad((0, 2), np.nan, (3, 3))], np.ones((2, 3)), epsilon=1
            ),
            r"x\[1\]: NaN at index \(0, 2\); expected finite coordinates",
        ),
        (
            lambda: coalign.sinkhorn_points(np.ones((4, 3)), np.ones((4, 2)), epsilon=1),
            "x and y: expected points of one dimension, got 3 and 2",
        ),
        (
            lambda: coalign.sinkhorn_points(np.ones((4, 3)), np.ones((0, 3)), epsilon=1),
            "y: expected at least one point, got an empty cloud",
        ),
        (
            lambda: coalign.sinkhorn_points(np.ones((2, 1)), np.ones((2, 1)), [1, 1], epsilon=1),
            "a and b: expected equal masses, got 2 and 1",
        ),
        (
            lambda: coalign.sinkhorn_points(np.ones((2, 1)), np.ones((2, 1)), [2, -1], epsilon=1),
            r"a: -1.0 at index \(1,\); expected finite weights of at least 0",
        ),
        (
            lambda: coalign.sinkhorn_points(np.ones((2, 1)), np.ones((2, 1)), epsilon=0),
            "epsilon: expected a finite number above 0, got 0",
        ),
        (
            lambda: coalign.sinkhorn_points([1.0], [1.0], epsilon=1, metric="cityblock"),
            "metric: expected",
        ),
    ],
)
def test_what_is_wrong_is_named(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("most", [4, 5, 20, 2000])
@pytest.mark.parametrize("seed", [2600, 2834, 3556])
def test_constant_steps_lead_to_no_nan(seed: int, most: int, isa: str, dtype: np.dtype) -> None:
    # All columns of a cluster move by the same step, and rounding alone tells one from the next:
    # accelerated, they left for 1e13, whence nothing came back.
    draw = np.random.default_rng(seed)
    x, y, b = draw.normal(size=(20, 1)), draw.normal(size=(6, 1)), draw.random(6)
    x, y, b = (each.astype(dtype) for each in (x, y, b / b.sum()))
    with _execution.forced(isa), warnings.catch_warnings():
        warnings.simplefilter("ignore", coalign.ConvergenceWarning)
        found = coalign.sinkhorn_points(
            x, y, None, b, epsilon=0.004, metric="cosine", max_iterations=most
        )
    for potentials in (found.f, found.g):
        assert not np.isnan(potentials).any()
        assert not np.isposinf(potentials).any()
    if most == 2000:
        assert found.converged
