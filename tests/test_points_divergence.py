"""`sinkhorn_divergence_points` against stored costs and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import ConvergenceWarning
from oracles import transport as oracle

METRICS = oracle.METRICS
costs = oracle.costs_of_points

rng = np.random.default_rng(8)
X, Y = rng.normal(size=(6, 2)), rng.normal(size=(8, 2))
A, B = np.full(6, 1 / 6), np.arange(1, 9) / 36
STEP = 1e-5


def divergence(*given: Any, **options: Any) -> Any:
    return coalign.sinkhorn_divergence_points(*given, **{"epsilon": 0.3, "tol": 1e-12, **options})


def stored(x: Any, y: Any, metric: str, **options: Any) -> Any:
    three = [costs(p, q, metric) for p, q in ((x, y), (x, x), (y, y))]
    return coalign.sinkhorn_divergence(*three, **{"epsilon": 0.3, "tol": 1e-12, **options})


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_that_of_stored_costs(metric: str) -> None:
    ours = divergence(X, Y, A, B, metric=metric)
    assert ours == pytest.approx(stored(X, Y, metric, a=A, b=B), abs=1e-11)
    assert ours > 0.01
    narrow = divergence(X.astype(np.float32), Y.astype(np.float32), metric=metric, tol=1e-4)
    assert narrow == pytest.approx(stored(X, Y, metric), abs=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cloud_and_itself_are_exactly_0_apart(metric: str, dtype: Any) -> None:
    x = rng.normal(size=(50, 5)).astype(dtype)
    found = coalign.sinkhorn_divergence_points(
        x, x.copy(), epsilon=0.1, metric=metric, gradients=True
    )
    assert found.value == 0
    assert not found.x.any()
    assert not found.y.any()
    assert found.x.dtype == dtype


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_never_negative(metric: str) -> None:
    for distance in (1.0, 1e-2, 1e-4, 1e-8):
        near = X + distance * rng.normal(size=X.shape)
        for tol in (0.1, 1e-4):
            found = divergence(X, near, epsilon=0.1, metric=metric, tol=tol)
            assert 0 <= found < 0.01 + 4 * distance


def test_rounded_potentials_take_no_digits_of_it() -> None:
    # A point's potential is its cost, which float32 rounds by up to 6e-8 of it; the mass of the
    # plan then differs from 1, and says by how much.
    for point in rng.normal(size=(20, 3)).astype(np.float32):
        found = divergence(np.zeros((1, 3), np.float32), point[np.newaxis], tol=1e-4)
        wanted = float((point.astype(np.float64) ** 2).sum())
        assert found == pytest.approx(wanted, rel=1e-11)


@pytest.mark.parametrize("metric", METRICS)
def test_gradients_are_those_of_finite_differences(metric: str) -> None:
    found = divergence(X, Y, A, B, metric=metric, gradients=True)
    assert found.value == divergence(X, Y, A, B, metric=metric)
    for side, ours in ((0, found.x), (1, found.y)):
        wanted = np.zeros_like(ours)
        for at in np.ndindex(*ours.shape):
            moved = []
            for step in (STEP, -STEP):
                clouds = [X.copy(), Y.copy()]
                clouds[side][at] += step
                moved.append(float(stored(*clouds, metric, a=A, b=B)))
            wanted[at] = (moved[0] - moved[1]) / (2 * STEP)
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-8)
        assert np.abs(wanted).max() > 0.01


def test_steps_down_the_gradient_take_a_cloud_to_another() -> None:
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 3
    first = divergence(x, y, epsilon=0.1, tol=1e-6)
    for _ in range(40):
        # Each point has a thirtieth of the mass.
        x = x - 0.5 * 30 * divergence(x, y, epsilon=0.1, tol=1e-6, gradients=True).x / 2
    assert divergence(x, y, epsilon=0.1, tol=1e-6) < 1e-3 * first


def test_batches_lists_and_lengths() -> None:
    sizes = ((6, 8), (3, 2))
    alone = [divergence(X[:n], Y[:m], gradients=True) for n, m in sizes]
    values = [float(each.value) for each in alone]
    listed = divergence([X, X[:3]], [Y, Y[:2]], gradients=True)
    assert listed.value.tolist() == values
    padded = divergence(
        np.stack([X, X]), np.stack([Y, Y]), x_lengths=[6, 3], y_lengths=[8, 2], gradients=True
    )
    assert padded.value.tolist() == values
    for k, (n, m) in enumerate(sizes):
        for ours in (listed, padded):
            assert np.array_equal(ours.x[k][:n], alone[k].x)
            assert np.array_equal(ours.y[k][:m], alone[k].y)
    assert not padded.x[1, 3:].any()
    assert divergence([], []).shape == (0,)


@pytest.mark.parametrize("epsilon", [0.3, np.array([0.3, 0.2])])
@pytest.mark.parametrize("is_list", [False, True])
def test_one_cloud_goes_with_many(epsilon: Any, is_list: bool) -> None:
    ys = [Y, Y + 1.0]
    each = np.broadcast_to(epsilon, 2).tolist()
    alone = [divergence(X, y, epsilon=e, gradients=True) for y, e in zip(ys, each, strict=True)]
    found = divergence(X, ys if is_list else np.stack(ys), epsilon=epsilon, gradients=True)
    for k, one in enumerate(alone):
        assert found.value[k] == one.value
        assert np.array_equal(found.x[k], one.x)
        assert np.array_equal(found.y[k], one.y)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(ValueError, match="x and y: expected points of one dimension, got 2 and 3"):
        divergence(X, np.ones((4, 3)))
    with pytest.raises(TypeError, match="gradients: expected a bool"):
        divergence(X, Y, gradients=1)
    with pytest.warns(ConvergenceWarning, match=r"\Asinkhorn_divergence_points: ") as caught:
        divergence(X, Y, epsilon=1e-3, max_iterations=2)
    assert {warning.filename for warning in caught} == {__file__}
