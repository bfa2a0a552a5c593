"""Barycenters of series: against means taken pair by pair, and what must never happen."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import (
    ConvergenceWarning,
    InfeasibleError,
    Status,
    _averaging,
    dtw_barycenter,
    soft_dtw_barycenter,
)
from oracles.compare import assert_same_bits

RNG = np.random.default_rng(0)
WALKS = RNG.normal(size=(12, 40)).cumsum(1)
RAGGED = [RNG.normal(size=(n, 2)).cumsum(0) for n in (30, 17, 41, 25, 25)]


def mean_along_paths(centre: Any, series: Any, weights: Any, **options: Any) -> Any:
    """The next series of the reference: the mean of the frames paired with each of its own."""
    pairs: list[list[tuple[float, Any]]] = [[] for _ in centre]
    for x, weight in zip(series, weights, strict=True):
        found = coalign.dtw(centre, x, path=True, **options)
        for i, j in zip(found.x_index, found.y_index, strict=True):
            pairs[i].append((weight, x[j]))
    return np.array(
        [sum(w * v for w, v in frame) / sum(w for w, _ in frame) for frame in pairs],
    )


def inertia(centre: Any, series: Any, weights: Any, **options: Any) -> float:
    costs = [float(coalign.dtw(centre, x, **options).cost) for x in series]
    return float(np.dot(weights, costs))


@pytest.mark.parametrize("series", [WALKS, RAGGED], ids=["walks", "ragged"])
@pytest.mark.parametrize("window", [None, 8, coalign.slanted(9), coalign.itakura(3)])
def test_an_iteration_takes_means_along_paths(series: Any, window: Any) -> None:
    weights = np.arange(1, len(series) + 1) / 4
    with pytest.warns(ConvergenceWarning):
        found = dtw_barycenter(
            series, weights, init=series[1], window=window, tol=0, max_iterations=3
        )
    centre = series[1]
    for _ in range(3):
        centre = mean_along_paths(centre, series, weights, window=window)
    assert found.series == pytest.approx(centre, rel=1e-10, abs=1e-12)
    wanted = inertia(found.series, series, weights, window=window)
    assert float(found.inertia) == pytest.approx(wanted, rel=1e-12)
    assert (int(found.iterations), int(found.status)) == (3, Status.NOT_CONVERGED)


@pytest.mark.filterwarnings("ignore::coalign.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_inertia_never_rises(dtype: str) -> None:
    walks = WALKS.astype(dtype)
    before = inertia(walks[0], walks, np.ones(12))
    for count in range(1, 40):
        found = dtw_barycenter(walks, init=walks[0], tol=0, max_iterations=count)
        assert found.series.dtype == dtype
        assert float(found.inertia) <= before
        assert float(found.inertia) == pytest.approx(float(found.cost.sum()), rel=1e-6)
        before = float(found.inertia)
        if found.status == Status.OK:
            break
    assert found.status == Status.OK


def test_it_ends_where_another_iteration_changes_nothing() -> None:
    found = dtw_barycenter(WALKS, tol=0)
    assert found.status == Status.OK
    again = mean_along_paths(found.series, WALKS, np.ones(12))
    assert inertia(again, WALKS, np.ones(12)) == pytest.approx(float(found.inertia), rel=1e-12)
    assert found.check() is found


def test_it_begins_at_the_medoid() -> None:
    # No two are of one length, so that the length of the barycenter tells where it began.
    many = [RNG.normal(size=20 + k) for k in RNG.permutation(99)]
    sought = many[::2]
    costs = coalign.dtw_cdist(sought)
    assert dtw_barycenter(many).series.shape == sought[np.argmin(costs.sum(1))].shape
    weights = np.ones(99)
    weights[88] = 1000
    assert dtw_barycenter(many, weights).series.shape == many[88].shape


def test_weights_count_series_so_many_times() -> None:
    repeated = np.repeat(WALKS[:3], (1, 3, 2), axis=0)
    ours = dtw_barycenter(WALKS[:3], [1, 3, 2], init=WALKS[0])
    theirs = dtw_barycenter(repeated, init=WALKS[0])
    assert ours.series == pytest.approx(theirs.series, rel=1e-12)
    assert float(ours.inertia) == pytest.approx(float(theirs.inertia), rel=1e-12)
    # One of no weight is only measured.
    ours = dtw_barycenter(WALKS[:3], [1, 0, 2], init=WALKS[0])
    theirs = dtw_barycenter(WALKS[[0, 2]], [1, 2], init=WALKS[0])
    assert_same_bits(ours.series, theirs.series)
    assert ours.cost.shape == (3,)


@pytest.mark.parametrize("average", [dtw_barycenter, soft_dtw_barycenter])
@pytest.mark.parametrize("power", [-1060, -600, 900, 1000])
def test_weights_of_any_size_give_the_same_series(average: Any, power: int) -> None:
    weights = np.array([1.0, 0.5, 1.0, 0.25])
    expected = average(WALKS[:4], weights)
    found = average(WALKS[:4], np.ldexp(weights, power))
    assert_same_bits(found.series, expected.series)
    assert_same_bits(found.cost, expected.cost)
    assert found.iterations == expected.iterations
    assert float(found.inertia) == np.ldexp(float(expected.inertia), power)


@pytest.mark.parametrize("average", [dtw_barycenter, soft_dtw_barycenter])
def test_an_inertia_that_overflows_is_told(average: Any) -> None:
    expected = average(WALKS[:4])
    with pytest.warns(RuntimeWarning, match="a cost or the inertia overflows"):
        found = average(WALKS[:4], np.full(4, 1.7e308))
    assert np.isinf(found.inertia)
    assert found.status == Status.PRECISION_LIMIT
    np.testing.assert_allclose(found.series, expected.series, rtol=1e-6)
    with pytest.raises(OverflowError, match="a cost or the inertia overflows"):
        found.check()


@pytest.mark.parametrize("average", [dtw_barycenter, soft_dtw_barycenter])
def test_no_bit_depends_on_the_threads_of_a_blas(average: Any) -> None:
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    series = np.random.default_rng(0).normal(size=(20_001, 1))
    weights = np.random.default_rng(1).random(20_001)
    with limits(1):
        expected = average(series, weights)
    with limits(2):
        found = average(series, weights)
    assert float(found.inertia) == float(expected.inertia)
    assert_same_bits(found.series, expected.series)


@pytest.mark.parametrize("average", [dtw_barycenter, soft_dtw_barycenter])
@pytest.mark.parametrize("init", [None, np.ones((4, 2))])
def test_a_barycenter_has_memory_of_its_own(average: Any, init: Any) -> None:
    # Nothing is lower than where it begins.
    given = np.ones((2, 4, 2))
    found = (
        average(given, init=init, gamma=1e-9)
        if average is soft_dtw_barycenter
        else average(given, init=init)
    )
    assert not np.shares_memory(found.series, given)
    assert init is None or not np.shares_memory(found.series, init)


def test_series_of_one_shape_come_in_any_form() -> None:
    found = dtw_barycenter(WALKS)
    assert found.series.shape == (40,)
    for form in (list(WALKS), WALKS.tolist(), WALKS[:, ::-1][:, ::-1], np.asfortranarray(WALKS)):
        assert_same_bits(dtw_barycenter(form).series, found.series)
    deep = dtw_barycenter(WALKS[..., np.newaxis])
    assert_same_bits(deep.series[:, 0], found.series)
    one = dtw_barycenter(WALKS[:1])
    assert_same_bits(one.series, WALKS[0])
    assert float(one.inertia) == 0


def test_padding_is_not_read() -> None:
    padded = np.full((5, 41, 2), np.nan)
    for row, series in zip(padded, RAGGED, strict=True):
        row[: len(series)] = series
    ours = dtw_barycenter(padded, x_lengths=[len(series) for series in RAGGED])
    theirs = dtw_barycenter(RAGGED)
    assert_same_bits(ours.series, theirs.series)
    assert_same_bits(ours.cost, theirs.cost)


@pytest.mark.parametrize("form", ["ragged", "array"])
def test_series_in_many_parts_have_the_same_barycenter(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = RAGGED if form == "ragged" else WALKS
    whole = dtw_barycenter(given, threads=1)
    assert_same_bits(dtw_barycenter(given, threads=2).series, whole.series)
    monkeypatch.setattr(_averaging, "_FRAMES_AT_ONCE", 100)
    found = dtw_barycenter(given)
    assert_same_bits(found.series, whole.series)
    assert_same_bits(found.cost, whole.cost)


def test_a_cost_that_overflows_is_told() -> None:
    huge = np.array([[0.0, 1e30, 0.0], [0.0, -1e30, 0.0]], np.float32)
    with pytest.warns(
        RuntimeWarning, match="dtw_barycenter: a cost or the inertia overflows its dtype"
    ):
        found = dtw_barycenter(huge)
    assert found.status == Status.PRECISION_LIMIT
    assert found.iterations == 0
    with pytest.raises(OverflowError, match="problem 0: a cost or the inertia overflows its dtype"):
        found.check()
    assert dtw_barycenter(huge.astype(np.float64)).status == Status.OK


@pytest.mark.parametrize("average", [dtw_barycenter, soft_dtw_barycenter])
@pytest.mark.parametrize("at", [0, 3])
def test_a_series_of_weight_0_does_not_say_where_to_begin(average: Any, at: int) -> None:
    # Its costs overflow, and 0 times infinity is no number.
    given, weights = list(WALKS[:6]), np.ones(6)
    expected = average(given)
    with pytest.warns(RuntimeWarning, match="a cost or the inertia overflows") as told:
        found = average([*given[:at], np.full(40, 1e200), *given[at:]], np.insert(weights, at, 0.0))
    assert len(told) == 1
    assert_same_bits(found.series, expected.series)
    assert found.inertia == expected.inertia
    assert np.isinf(found.cost[at])


def test_a_mean_that_overflows_is_told() -> None:
    for given in ([[1.2e308] * 3] * 2, [np.full(3, 1.2e308), np.full(5, 1.2e308)]):
        with pytest.warns(RuntimeWarning, match="a cost or the inertia overflows"):
            found = dtw_barycenter(given)
        assert found.status == Status.PRECISION_LIMIT
        assert found.series.tolist() == [1.2e308] * len(found.series)


def test_a_window_that_no_path_fits_is_told() -> None:
    words = "problem 1: no path through the window, for 4 frames of the barycenter and 9 of"
    with pytest.raises(InfeasibleError, match=words):
        dtw_barycenter([np.zeros(4), np.zeros(9)], init=np.zeros(4), window=coalign.itakura(1.5))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"X": []}, ValueError, "X: expected at least one series, got none"),
        ({"X": np.zeros(4)}, ValueError, "X: expected "),
        ({"X": [[0.0, np.nan]]}, ValueError, "X: NaN at index (0, 1); expected finite values"),
        ({"weights": [1.0]}, ValueError, "weights: expected shape (12,), got shape (1,)"),
        ({"weights": np.ones((1, 12))}, ValueError, "weights: expected shape (12,), got shape"),
        ({"weights": [-1.0] + 11 * [1.0]}, ValueError, "weights: -1.0 at index (0,)"),
        ({"weights": 12 * [np.nan]}, ValueError, "weights: NaN at index (0,)"),
        ({"weights": 12 * [0.0]}, ValueError, "weights: expected a positive sum, got 0"),
        ({"init": WALKS}, ValueError, "init: expected"),
        ({"init": np.zeros((2, 4, 1))}, ValueError, "init: expected one series"),
        ({"init": np.zeros((4, 3))}, ValueError, "X and init: expected frames of one dimension"),
        ({"init": [0.0, np.inf]}, ValueError, "init: inf at index (1,); expected finite values"),
        (
            {"X": WALKS.astype(np.float32), "init": [0.0, 1e300]},
            ValueError,
            "init: inf at index (1,) in float32; expected finite values",
        ),
        ({"tol": -1}, ValueError, "tol: expected a finite number of at least 0"),
        ({"max_iterations": 0}, ValueError, "max_iterations: expected"),
        ({"window": -1}, ValueError, "window: expected a radius of at least 0, got -1"),
        ({"x_lengths": 12 * [41]}, ValueError, "x_lengths: expected"),
        ({"threads": 0}, ValueError, "threads: expected"),
    ],
)
def test_what_is_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        dtw_barycenter(**{"X": WALKS, **change})
