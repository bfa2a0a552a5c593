"""What soft-DTW refuses, and in which words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import DeviceError, InfeasibleError

X, Y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"gamma": 0},
            ValueError,
            "gamma: expected a number of at least 1e-290, got 0.0; dtw computes the limit at 0",
        ),
        ({"gamma": 9e-291}, ValueError, "gamma: expected a number of at least 1e-290, got 9e-291"),
        ({"gamma": -1.0}, ValueError, "gamma: expected a finite number of at least 0, got -1.0"),
        ({"gamma": np.inf}, ValueError, "gamma: expected a finite number of at least 0, got inf"),
        ({"gamma": np.nan}, ValueError, "gamma: expected a number, got NaN"),
        ({"gamma": "1"}, TypeError, "gamma: expected a number, got str"),
        ({"gamma": np.array([1.0])}, TypeError, "gamma: expected a number, got ndarray"),
        (
            {"metric": "chebyshev"},
            ValueError,
            "metric: expected one of 'sqeuclidean', 'euclidean', 'cityblock', 'cosine', "
            "'precomputed', got 'chebyshev'",
        ),
        ({"y": None}, TypeError, "y: expected an array, got None; only metric="),
        ({"metric": "precomputed"}, TypeError, 'y: expected None with metric="precomputed"'),
        ({"grad": 1}, TypeError, "grad: expected a bool, got int"),
        ({"window": -1}, ValueError, "window: expected a radius of at least 0, got -1"),
        ({"x": np.array([0.0, np.nan, 1.0])}, ValueError, "x: NaN at index (1,)"),
        ({"y": np.array([0.0, np.inf])}, ValueError, "y: inf at index (1,)"),
        ({"y": np.zeros((2, 2))}, ValueError, "expected"),
        (
            {"device": "cuda", "metric": "cityblock"},
            DeviceError,
            'device: "cuda" takes the metric "sqeuclidean"; others run on the CPU',
        ),
    ],
)
def test_what_is_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        coalign.soft_dtw(**{"x": X, "y": Y, **change})


def test_a_window_without_a_path_names_the_pair() -> None:
    rows = np.array([[0, 1], [0, 1], [0, 1]])
    with pytest.raises(InfeasibleError, match="no path through the window, for 3 frames of x"):
        coalign.soft_dtw(X, Y, window=rows)
    with pytest.raises(InfeasibleError, match="problem 1: no path"):
        coalign.soft_dtw([X, X], [Y[:1], Y], window=rows)


COSTS = np.arange(12.0).reshape(4, 3)


def put(index: tuple[int, ...], value: float) -> np.ndarray:
    cost = COSTS.copy()
    cost[index] = value
    return cost


@pytest.mark.parametrize("grad", [False, True])
def test_costs_that_are_none(grad: bool) -> None:
    def call(cost: Any, **options: Any) -> Any:
        return coalign.soft_dtw(cost, metric="precomputed", grad=grad, **options)

    with pytest.raises(ValueError, match=re.escape("x: NaN at index (2, 1)")):
        call(put((2, 1), np.nan))
    with pytest.raises(ValueError, match=re.escape("x[1]: -inf at index (0, 2)")):
        call([COSTS, put((0, 2), -np.inf)])
    # Outside the window it is no part of the problem.
    assert call(put((0, 2), np.nan), window=0).value == call(COSTS, window=0).value


def test_forbidden_cells_without_a_path_name_the_pair() -> None:
    words = "no path through the window or the finite cells, for 4 frames of x and 3 of y"
    with pytest.raises(InfeasibleError, match=words):
        coalign.soft_dtw(put((0, 0), np.inf), metric="precomputed")
    with pytest.raises(InfeasibleError, match=f"problem 1: {words}"):
        coalign.soft_dtw([COSTS, put((np.s_[:], 1), np.inf)], metric="precomputed")


def test_costs_that_overflow_are_reported() -> None:
    huge = np.full((3, 3), np.finfo(np.float32).max)
    with pytest.warns(RuntimeWarning, match="soft_dtw: 1 of 1 values overflow float32"):
        found = coalign.soft_dtw(huge, metric="precomputed", grad=True)
    assert found.value == np.inf
    assert (found.grad_x == 0).all()


@pytest.mark.parametrize("call", [coalign.soft_dtw_divergence, coalign.soft_dtw_cdist])
def test_costs_are_no_collection(call: Any) -> None:
    words = "metric: expected a metric between frames; use soft_dtw for precomputed costs"
    with pytest.raises(ValueError, match=words):
        call([X], [Y], metric="precomputed")


def test_all_pairs_refuse_lengths_without_y() -> None:
    with pytest.raises(ValueError, match="y_lengths: expected None without Y"):
        coalign.soft_dtw_cdist(np.zeros((2, 3)), y_lengths=[1, 2])


def test_all_pairs_name_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match=r"X\[1\]: NaN at index \(0,\)"):
        coalign.soft_dtw_cdist([X, np.array([np.nan])])
    with pytest.raises(ValueError, match=r"Y: inf at index \(1, 0\)"):
        coalign.soft_dtw_cdist([X], np.array([[1.0], [np.inf]]))


def test_a_divergence_refuses_bounds_of_rows() -> None:
    with pytest.raises(ValueError, match=re.escape("window: expected None, an integer radius")):
        coalign.soft_dtw_divergence(X, X, window=np.array([[0, 3]] * 3))
