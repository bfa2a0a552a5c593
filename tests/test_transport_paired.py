"""Clouds against themselves or against their moved points, and what led potentials astray."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import Status, _execution
from oracles import transport as oracle
from refusals import put

rng = np.random.default_rng(41)
X = rng.normal(size=(64, 3))
WITHIN = ((X[:, np.newaxis] - X) ** 2).sum(axis=-1)
MEAN = float(WITHIN.mean())
WEIGHTS = rng.random(64) + 0.2
WEIGHTS[5] = 0
WEIGHTS /= WEIGHTS.sum()
# Rows and columns are each the best of the other, by far.
PAIRED = rng.random((50, 50)) + 1
PAIRED[np.arange(50), rng.permutation(50)] = 0


def assert_met(found: Any, cost: Any, a: Any, b: Any, epsilon: float, tol: float) -> None:
    p = oracle.problem(cost, a, b, epsilon=epsilon)
    error = oracle.marginal_error(p, found.f, found.g)
    assert found.status == Status.OK
    assert error <= tol * 1.01 + 1e-13


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("share", [1.0, 0.1, 0.01, 0.001])
def test_a_cloud_and_itself_take_few_iterations(weights: Any, share: float, isa: str) -> None:
    epsilon = share * MEAN
    with _execution.forced(isa):
        found = coalign.sinkhorn(WITHIN, weights, weights, epsilon=epsilon, tol=1e-9)
    assert_met(found, WITHIN, weights, weights, epsilon, 1e-9)
    # Two plain half-steps an iteration take thousands at 0.01.
    assert found.iterations <= 60


def test_points_and_themselves_take_few_iterations() -> None:
    found = coalign.sinkhorn_points(X, X, WEIGHTS, WEIGHTS, epsilon=0.01 * MEAN, tol=1e-9)
    assert_met(found, WITHIN, WEIGHTS, WEIGHTS, 0.01 * MEAN, 1e-9)
    assert found.iterations <= 60


@pytest.mark.parametrize("epsilon", [0.3, 0.03, 0.003])
def test_any_symmetric_costs_are_solved(epsilon: float) -> None:
    # No kernel of points: halves of steps may gain less, and what is not symmetric is found out.
    cost = rng.random((40, 40))
    symmetric = cost + cost.T
    for almost in (symmetric, symmetric.copy()):
        found = coalign.sinkhorn(almost, epsilon=epsilon, tol=1e-8)
        assert_met(found, almost, None, None, epsilon, 1e-8)
        # Nobody looks at all pairs.
        almost[1:5, 6:9] += 3
        found = coalign.sinkhorn(almost, epsilon=epsilon, tol=1e-8)
        assert_met(found, almost, None, None, epsilon, 1e-8)


def test_pairs_are_solved_without_steps() -> None:
    found = coalign.sinkhorn(PAIRED, epsilon=1e-3, tol=1e-9)
    assert_met(found, PAIRED, None, None, 1e-3, 1e-9)
    assert found.iterations <= 3
    # The first rows have columns of their own, and the rest share one.
    crowded = PAIRED.copy()
    crowded[30:] = rng.random((20, 50)) + 1
    crowded[30:, 0] = 0
    found = coalign.sinkhorn(crowded, epsilon=1e-2, tol=1e-6)
    assert_met(found, crowded, None, None, 1e-2, 1e-6)


def test_forbidden_pairs_lead_no_potential_astray() -> None:
    # Of a batch of gated pairs: it ended with potentials of 1e14.
    never = np.inf
    cost = np.array(
        [
            [1, never, never, 4],
            [0.4267852, never, 0.1999929, 4],
            [never, never, 0.00911305, 4],
            [4, 4, 4, 4],
        ]
    )
    weights = np.array([1, 1, 1, 3]) / 6
    epsilon = 0.0030611378095283808
    found = coalign.sinkhorn(cost, weights, weights, epsilon=epsilon, tol=1e-6)
    assert_met(found, cost, weights, weights, epsilon, 1e-6)
    assert np.abs(found.f).max() < 100


def test_a_light_column_takes_no_digits_of_the_others() -> None:
    # The tolerance allows to miss a column of 4e-4. Beside a potential of -7e4 for it, float32
    # rounds those of the others by more than epsilon.
    i, j = np.linspace(0, 1, 5), np.linspace(0, 1, 9)
    cost = np.abs(i[:, np.newaxis] - j).astype(np.float32)
    a = np.array([0.06784514, 0.21722142, 0, 0.7140822, 0.00085129], np.float32)
    b = np.array(
        [0, 0, 0.44574544, 0.17921665, 0.34225538, 0.031893212, 5.0845678e-4, 3.8084749e-4, 0],
        np.float32,
    )
    options = {"epsilon": 1.1666666666666666e-4, "tol": 1e-3}
    first = coalign.sinkhorn(cost, a, b, **options)
    g = put(first.g, (7,), -7e4)
    found = coalign.sinkhorn(cost, a, b, initial=(first.f, g), **options)
    assert found.status == Status.OK
    assert np.abs(found.g[np.isfinite(found.g)]).max() < 100


@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("never", [1e9, np.inf])
def test_lanes_take_costs_that_are_far_apart(size: int, never: float, dtype: np.dtype) -> None:
    cost = rng.random((40, size, size))
    cost[cost > 0.6] = never
    cost[:, -1], cost[:, :, -1] = 4, 4
    a = np.ones(size)
    a[-1] = size - 1
    a /= a.sum()
    a, cost = a.astype(dtype), cost.astype(dtype)
    tol = 1e-4 if dtype == np.float32 else 1e-8
    found = coalign.sinkhorn(cost, a, a, epsilon=0.5, tol=tol)
    alone = [coalign.sinkhorn(each, a, a, epsilon=0.5, tol=tol) for each in cost]
    assert (found.status == Status.OK).all()
    for p, one in enumerate(alone):
        assert np.array_equal(found.f[p], one.f)
        assert np.array_equal(found.g[p], one.g)
        wide = oracle.problem(cost[p], a, a, epsilon=0.5)
        assert oracle.marginal_error(wide, found.f[p], found.g[p]) <= tol * 1.05 + 1e-7


def plain_iterations(cost: Any, a: Any, b: Any, epsilon: float, tol: float) -> int:
    """Count the half-steps of both sides until the columns are met."""
    kernel = np.exp(-cost / epsilon)
    column = np.ones_like(b)
    for count in range(1, 10_000):
        row = a / (kernel @ column)
        sums = kernel.T @ row
        if np.abs(column * sums - b).sum() <= tol:
            return count
        column = b / sums
    raise AssertionError("no end")


def test_lanes_leap_to_where_their_steps_lead(isa: str, dtype: np.dtype) -> None:
    cost = rng.random((40, 4, 4)).astype(dtype)
    a, b = ((rng.random((40, 4)) + 0.05).astype(dtype) for _ in range(2))
    a, b = (each / each.sum(axis=1, keepdims=True) for each in (a, b))
    tol, epsilon = (1e-3 if dtype == np.float32 else 1e-6), 0.05
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, a, b, epsilon=epsilon, tol=tol)
    assert (found.status == Status.OK).all()
    wide = [each.astype(float) for each in (cost, a, b)]
    plain = [plain_iterations(*each, epsilon, tol) for each in zip(*wide, strict=True)]
    # The median: the few that take longest are not for lanes.
    assert np.median(found.iterations) < 0.7 * np.median(plain)
    for p, (c, u, v) in enumerate(zip(*wide, strict=True)):
        problem = oracle.problem(c, u, v, epsilon=epsilon)
        assert oracle.marginal_error(problem, found.f[p], found.g[p]) <= tol * 1.05 + 1e-7
