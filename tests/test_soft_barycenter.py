"""Barycenters under soft-DTW: stationary, never dearer than where they began, and weighted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import (
    ConvergenceWarning,
    InfeasibleError,
    Status,
    dtw_barycenter,
    soft_dtw,
    soft_dtw_barycenter,
)
from coalign._lbfgs import Point, descend
from oracles.compare import assert_same_bits
from refusals import assert_refused

RNG = np.random.default_rng(0)
SERIES = np.sin(np.arange(30) / 4 + RNG.normal(size=(8, 1)) / 2) + RNG.normal(size=(8, 30)) / 10
RAGGED = [RNG.normal(size=(n, 2)).cumsum(0) for n in (30, 17, 41, 25, 25)]


def inertia_and_slope(centre: Any, series: Any, weights: Any, **options: Any) -> tuple[float, Any]:
    """The sum and its gradient, pair by pair."""
    pairs = [soft_dtw(centre, x, grad=True, **options) for x in series]
    total = sum(w * float(pair.value) for w, pair in zip(weights, pairs, strict=True))
    return total, sum(w * pair.grad_x for w, pair in zip(weights, pairs, strict=True))


@pytest.mark.parametrize("series", [SERIES, RAGGED], ids=["sines", "ragged"])
@pytest.mark.parametrize("gamma", [0.1, 10.0])
@pytest.mark.parametrize("window", [None, 8])
def test_it_ends_where_the_gradient_is_zero(series: Any, gamma: float, window: Any) -> None:
    weights = np.arange(1, len(series) + 1) / 4
    options = {"gamma": gamma, "window": window}
    found = soft_dtw_barycenter(
        series, weights, init=series[1], tol=0, max_iterations=2000, **options
    )
    assert found.status == Status.OK
    before, first = inertia_and_slope(series[1], series, weights, **options)
    after, slope = inertia_and_slope(found.series, series, weights, **options)
    assert float(found.inertia) == pytest.approx(after, rel=1e-12)
    assert after < before
    assert np.abs(slope).max() < 1e-5 * np.abs(first).max()
    np.testing.assert_allclose(
        found.cost, [soft_dtw(found.series, x, **options).value for x in series], rtol=1e-12
    )


def test_a_small_gamma_is_close_to_plain_warping() -> None:
    hard = dtw_barycenter(SERIES, tol=0)
    soft = soft_dtw_barycenter(SERIES, gamma=1e-6, init=hard.series, tol=0, max_iterations=500)
    assert float(soft.inertia) <= float(hard.inertia) + 1e-9
    assert float(soft.inertia) == pytest.approx(float(hard.inertia), rel=0.02)


def test_forms_dtypes_and_parts_agree(monkeypatch: Any) -> None:
    found = soft_dtw_barycenter(SERIES)
    for form in (list(SERIES), SERIES[..., np.newaxis], SERIES.tolist()):
        assert_same_bits(np.ravel(soft_dtw_barycenter(form).series), found.series)
    padded = np.full((5, 41, 2), np.nan)
    for row, series in zip(padded, RAGGED, strict=True):
        row[: len(series)] = series
    ours = soft_dtw_barycenter(padded, x_lengths=[len(series) for series in RAGGED])
    assert_same_bits(ours.series, soft_dtw_barycenter(RAGGED).series)
    single = soft_dtw_barycenter(SERIES.astype(np.float32))
    assert single.series.dtype == single.cost.dtype == np.float32
    np.testing.assert_allclose(single.series, found.series, atol=0.05)
    assert_same_bits(soft_dtw_barycenter(SERIES, threads=2).series, found.series)
    monkeypatch.setattr(coalign._averaging, "_FRAMES_AT_ONCE", 100)
    np.testing.assert_allclose(soft_dtw_barycenter(SERIES).series, found.series, atol=1e-3)
    # One of no weight is only measured.
    two = soft_dtw_barycenter(SERIES[:3], [1, 0, 2], init=SERIES[0])
    np.testing.assert_allclose(
        two.series, soft_dtw_barycenter(SERIES[[0, 2]], [1, 2], init=SERIES[0]).series, atol=1e-3
    )
    assert two.cost.shape == (3,)


def test_what_goes_wrong_is_told() -> None:
    with pytest.warns(ConvergenceWarning, match="soft_dtw_barycenter: iteration 1 still lowered"):
        found = soft_dtw_barycenter(SERIES, tol=0, max_iterations=1)
    assert (found.status, found.iterations) == (Status.NOT_CONVERGED, 1)
    with pytest.warns(RuntimeWarning, match="soft_dtw_barycenter: a cost or the inertia overflows"):
        found = soft_dtw_barycenter(np.array([[0.0], [1e200]]), init=[0.0])
    assert (found.status, found.iterations) == (Status.PRECISION_LIMIT, 0)
    # In float64 they are computed, and do not overflow.
    with pytest.warns(RuntimeWarning, match="soft_dtw_barycenter: a cost or the inertia overflows"):
        found = soft_dtw_barycenter(np.array([[0.0], [1e25]], np.float32))
    assert found.status == Status.PRECISION_LIMIT
    assert np.isinf(found.cost).all()
    bounds = np.array([[0, 1]] * 3 + [[3, 4]])
    with pytest.raises(InfeasibleError, match="problem 0: no path through the window, for 4 fram"):
        soft_dtw_barycenter([np.zeros(4), np.zeros(9)], init=np.zeros(4), window=bounds)
    with assert_refused(
        ValueError,
        "gamma: expected a number of at least 1e-290, got 0.0; dtw computes the limit at 0",
    ):
        soft_dtw_barycenter(SERIES, gamma=0)


def test_the_descent_finds_a_narrow_valley() -> None:
    # Rosenbrock's function.
    def evaluate(at: Any) -> Point:
        x, y = at
        value = (1 - x) ** 2 + 100 * (y - x**2) ** 2
        slope = np.array([2 * (x - 1) - 400 * x * (y - x**2), 200 * (y - x**2)])
        return Point(at, float(value), slope)

    start = evaluate(np.array([-1.2, 1.0]))
    point, iterations, converged = descend(evaluate, start, 1e-3, lambda *_: False, 200)
    np.testing.assert_allclose(point.x, [1, 1], rtol=1e-6)
    assert converged
    assert iterations < 60
