"""Values, gradients and expected alignments of soft-DTW, by every instruction set."""

from __future__ import annotations

import subprocess
import sys
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coalign
from coalign import Status, _core, _execution, _warping, slanted
from oracles.compare import assert_same_bits
from oracles.instances import Array, make_series, make_staircase, pad
from oracles.soft_warping import by_every_path, by_loops, gradients
from oracles.warping import accumulate, local_costs, within

OF_DIFFERENCES = ("sqeuclidean", "euclidean", "cityblock")
METRICS = (*OF_DIFFERENCES, "cosine")
GAMMAS = (1e-3, 0.1, 1.0, 30.0, 1e3)
# Around vectors of 2 to 16 lanes and the eight diagonals between which parts are scaled.
LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 70)
WINDOWS = {"none": None, "band 0": 0, "band 3": 3, "slanted 1": slanted(1), "slanted 4": slanted(4)}
EPS = float(np.finfo(np.float32).eps)


def scale(x: Any, y: Any, gamma: float, metric: str = "sqeuclidean", window: Any = None) -> float:
    """What errors of a value are relative to: the cost of the best path, and gamma a frame."""
    best = coalign.dtw(np.float64(x), np.float64(y), metric=metric, window=window).cost
    return float(best) + gamma * max(len(x), len(y))


def allowed(dtype: Any, size: float, gamma: float) -> float:
    """Relative error of a value: in float32 local costs are off by eps of themselves."""
    return 1e-10 if np.dtype(dtype) == np.float64 else max(1e-4, 8 * EPS * size / gamma)


def assert_right(
    x: Array, y: Array, gamma: float, metric: str, window: Any, isa: str, what: Any = None
) -> None:
    """Hold value, gradients and alignment to the loops."""
    n, m = len(x), len(y)
    cost = within(local_costs(x, y, metric), window if window is not None else None)
    value, visits = by_loops(cost, gamma)
    with _execution.forced(isa):
        found = coalign.soft_dtw(x, y, gamma=gamma, metric=metric, window=window, grad=True)
        alignment = found.expected_alignment()
    size = scale(x, y, gamma, metric, window)
    tolerance = allowed(x.dtype, size, gamma)
    assert found.value.dtype == x.dtype
    assert abs(float(found.value) - value) <= tolerance * size, (what, found.value, value)
    slack = 1e-8 if x.dtype == np.float64 else tolerance
    assert alignment.shape == (n, m)
    assert np.abs(alignment - visits).max() <= slack, what
    for ours, wanted in zip(
        (found.grad_x, found.grad_y), gradients(x, y, visits, metric), strict=True
    ):
        assert ours.dtype == x.dtype
        assert ours.shape == wanted.shape
        # Of data of unit scale: a frame meets several others.
        assert np.abs(ours - wanted).max() <= 8 * slack, what


# --- against every path ---------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_value_is_the_soft_minimum_over_every_path(gamma: float, isa: str) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        for m in (1, 2, 4, 5):
            x, y = rng.normal(size=n), rng.normal(size=m)
            for window in (None, 0, 1, make_staircase(rng, n, m) if m >= n else None):
                cost = within(local_costs(x, y, "sqeuclidean"), window)
                value, visits = by_every_path(cost, gamma)
                with _execution.forced(isa):
                    found = coalign.soft_dtw(x, y, gamma=gamma, window=window)
                    alignment = found.expected_alignment()
                size = scale(x, y, gamma, window=window)
                assert abs(float(found.value) - value) <= 1e-13 * size
                assert np.abs(alignment - visits).max() <= 1e-9


def test_the_loops_agree_with_every_path() -> None:
    rng = np.random.default_rng(1)
    for n, m, gamma in ((1, 1, 1.0), (3, 5, 0.01), (5, 4, 1.0), (4, 5, 50.0)):
        cost = within(rng.random((n, m)), 1)
        value, visits = by_every_path(cost, gamma)
        looped, summed = by_loops(cost, gamma)
        assert abs(value - looped) <= 1e-14 * (1 + gamma)
        assert np.abs(visits - summed).max() <= 1e-13


def test_the_number_of_paths_is_what_equal_series_have() -> None:
    # The central Delannoy numbers.
    for n, paths in ((1, 1), (2, 3), (3, 13), (4, 63), (5, 321)):
        value = float(coalign.soft_dtw(np.ones(n), np.ones(n), gamma=2.0).value)
        assert value == pytest.approx(-2 * np.log(paths), rel=1e-14)


# --- against the loops ----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 3])
def test_metrics_and_dimensions(metric: str, dim: int, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(2)
    for k, (n, m) in enumerate(((1, 1), (7, 1), (1, 20), (17, 9), (33, 40))):
        x, y = make_series(rng, n, dim, dtype), make_series(rng, m, dim, dtype)
        assert_right(x, y, GAMMAS[k], metric, None, isa, (n, m))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_lengths(gamma: float, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(3)
    for k, n in enumerate(LENGTHS):
        m = LENGTHS[(k * 3 + 1) % len(LENGTHS)]
        x, y = make_series(rng, n, 1, dtype), make_series(rng, m, 1, dtype)
        assert_right(x, y, gamma, "sqeuclidean", None, isa, (n, m))


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_windows(window: Any, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(4)
    for n, m in ((1, 1), (9, 9), (17, 33), (40, 21)):
        x, y = make_series(rng, n, 1, dtype), make_series(rng, m, 1, dtype)
        assert_right(x, y, 0.5, "sqeuclidean", window, isa, (n, m))


def test_bounds_of_rows(dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(5)
    for n, m in ((9, 9), (17, 33), (20, 61)):
        x, y = make_series(rng, n, 1, dtype), make_series(rng, m, 1, dtype)
        for _ in range(3):
            assert_right(x, y, 0.5, "sqeuclidean", make_staircase(rng, n, m), isa, (n, m))


def test_equal_frames_have_a_gradient_of_zero(dtype: np.dtype, isa: str) -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0]], dtype)
    for metric in METRICS:
        with _execution.forced(isa):
            found = coalign.soft_dtw(x, x, metric=metric, grad=True)
        assert_same_bits(found.grad_x, found.grad_y)
        assert np.isfinite(found.grad_x).all()
    with _execution.forced(isa):
        assert (coalign.soft_dtw(x[:1], x[:1], metric="euclidean", grad=True).grad_x == 0).all()


def test_gradients_are_those_of_finite_differences(isa: str) -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(9, 2)), rng.normal(size=(12, 2))
    for metric in METRICS:
        for gamma in (0.05, 1.0, 20.0):
            with _execution.forced(isa):
                found = coalign.soft_dtw(x, y, gamma=gamma, metric=metric, window=4, grad=True)

                def value(x: Array, y: Array, metric: str = metric, gamma: float = gamma) -> float:
                    return float(coalign.soft_dtw(x, y, gamma=gamma, metric=metric, window=4).value)

                h = 1e-6
                for index in ((0, 0), (4, 1), (8, 0)):
                    step = np.zeros_like(x)
                    step[index] = h
                    slope = (value(x + step, y) - value(x - step, y)) / (2 * h)
                    assert abs(found.grad_x[index] - slope) <= 1e-6
                for index in ((0, 1), (11, 0)):
                    step = np.zeros_like(y)
                    step[index] = h
                    slope = (value(x, y + step) - value(x, y - step)) / (2 * h)
                    assert abs(found.grad_y[index] - slope) <= 1e-6


# --- recording by stretches -----------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 9], ids=str)
def test_gradients_do_not_depend_on_what_is_kept(window: Any, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(7)
    # Stretches of 32 diagonals or more: one, one, 17, and 58 (so of two levels), or always one.
    for n, m in ((8, 8), (11, 19), (260, 260), (30, 1800)):
        x, y = make_series(rng, n, 1, dtype), make_series(rng, m, 1, dtype)
        found = []
        for kept in (0, 2**30):
            with _execution.forced(isa, checkpoint_bytes=kept):
                result = coalign.soft_dtw(x, y, gamma=0.3, window=window, grad=True)
                found.append([result.value, result.grad_x, result.grad_y])
                found[-1].append(result.expected_alignment())
        for ours, theirs in zip(*found, strict=True):
            assert_same_bits(ours, theirs, str((n, m)))


def test_asking_for_gradients_does_not_change_the_value(dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(8)
    for n, m in ((5, 9), (300, 280)):
        x, y = make_series(rng, n, 2, dtype), make_series(rng, m, 2, dtype)
        with _execution.forced(isa):
            plain = coalign.soft_dtw(x, y)
            assert plain.grad_x is None
            assert plain.grad_y is None
            assert_same_bits(plain.value, coalign.soft_dtw(x, y, grad=True).value)


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [1e-6, 1e-12, 1e-100, 1e-290])
def test_a_small_gamma_gives_the_best_path(gamma: float, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(9)
    for scale_of_data in (1.0, 1e6):
        x = (scale_of_data * rng.normal(size=60)).astype(dtype)
        y = (scale_of_data * rng.normal(size=45)).astype(dtype)
        for window in (None, 7):
            with _execution.forced(isa):
                found = coalign.soft_dtw(x, y, gamma=gamma, window=window, grad=True)
                best = coalign.dtw(x, y, window=window, path=True)
                alignment = found.expected_alignment()
            rtol = 1e-10 if dtype == np.float64 else 1e-5
            assert float(found.value) == pytest.approx(float(best.cost), rel=rtol)
            on_path = np.zeros(alignment.shape)
            on_path[best.x_index, best.y_index] = 1
            assert np.abs(alignment - on_path).max() <= 1e-6
            wanted, _ = gradients(x, y, on_path, "sqeuclidean")
            assert np.abs(found.grad_x - wanted).max() <= 1e-5 * scale_of_data


def test_equal_series_and_a_gamma_next_to_nothing(dtype: np.dtype, isa: str) -> None:
    x = np.linspace(-1, 1, 20, dtype=dtype)
    for gamma in (1e-30, 1e-200, 1e-290):
        with _execution.forced(isa):
            found = coalign.soft_dtw(x, x, gamma=gamma, grad=True)
        assert abs(float(found.value)) <= 1e-28
        assert np.isfinite(found.grad_x).all()


@pytest.mark.parametrize("length", [50, 700, pytest.param(5000, marks=pytest.mark.slow)])
def test_float32_agrees_with_float64(length: int, isa: str) -> None:
    rng = np.random.default_rng(10)
    noise = rng.normal(size=(2, length)).astype(np.float32)
    walks = rng.normal(size=(2, length)).cumsum(axis=1).astype(np.float32)
    walks /= walks.std()
    for x, y in (noise, walks):
        for gamma in GAMMAS:
            with _execution.forced(isa):
                single = coalign.soft_dtw(x, y, gamma=gamma, grad=True)
                double = coalign.soft_dtw(
                    x.astype(np.float64), y.astype(np.float64), gamma=gamma, grad=True
                )
            size = scale(x, y, gamma)
            tolerance = allowed(np.float32, size, gamma)
            assert abs(float(single.value) - float(double.value)) <= tolerance * size
            for ours, theirs in ((single.grad_x, double.grad_x), (single.grad_y, double.grad_y)):
                assert np.isfinite(ours).all()
                # The slope of a local cost is up to 2 |x - y|.
                assert np.abs(ours - theirs).max() <= 8 * tolerance, gamma


def test_costs_over_gamma_that_float32_cannot_count(isa: str) -> None:
    # Beyond 2^22 units of gamma: computed in float64.
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(2, 300)).astype(np.float32) * 100
    with _execution.forced(isa):
        single = coalign.soft_dtw(x, y, gamma=1e-3, grad=True)
        double = coalign.soft_dtw(x.astype(float), y.astype(float), gamma=1e-3, grad=True)
    assert single.value == np.float32(double.value)
    assert_same_bits(single.grad_x, double.grad_x.astype(np.float32))


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1e-6, 1.0, 1e6, 1e18]),
    st.sampled_from([1e-9, 1e-3, 1.0, 1e3, 1e30]),
    st.integers(0, 99),
)
def test_nothing_is_nan(n: int, m: int, size: float, gamma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for dtype in (np.float32, np.float64):
        x = (size * rng.normal(size=n)).astype(dtype)
        y = (rng.normal(size=m)).astype(dtype)
        found = coalign.soft_dtw(x, y, gamma=gamma, grad=True)
        assert np.isfinite(found.value)
        assert np.isfinite(found.grad_x).all()
        assert np.isfinite(found.grad_y).all()


def test_a_value_beyond_its_dtype_is_reported(dtype: np.dtype, isa: str) -> None:
    huge = np.finfo(dtype).max
    x = np.array([huge / 2, 0, 1], dtype)
    with _execution.forced(isa), pytest.warns(RuntimeWarning, match="1 of 1 values overflow"):
        found = coalign.soft_dtw(x, -x, grad=True)
    assert found.value == np.inf
    assert found.status == Status.PRECISION_LIMIT
    assert (found.grad_x == 0).all()
    assert (found.grad_y == 0).all()
    with pytest.raises(OverflowError, match="problem 0: the value overflows"):
        found.check()


def test_a_cell_that_overflows_is_avoided(dtype: np.dtype, isa: str) -> None:
    # A path around the large difference exists.
    huge = float(np.sqrt(np.finfo(dtype).max)) * 10
    x, y = np.array([0, huge, 0], dtype), np.array([0, huge, 0], dtype)
    with _execution.forced(isa), warnings.catch_warnings():
        warnings.simplefilter("error")
        found = coalign.soft_dtw(x, y, grad=True)
    # Pairs of equal frames only: one path.
    assert float(found.value) == 0
    assert (found.expected_alignment() == np.eye(3)).all()


# --- shapes ---------------------------------------------------------------------------------------


def test_expected_alignments_add_up(dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(12)
    x, y = make_series(rng, 50, 1, dtype), make_series(rng, 37, 1, dtype)
    for window in (None, 5):
        with _execution.forced(isa):
            visits = coalign.soft_dtw(x, y, gamma=0.7, window=window).expected_alignment()
        tolerance = 1e-5 if dtype == np.float32 else 1e-13
        assert abs(visits[0, 0] - 1) <= tolerance
        assert abs(visits[-1, -1] - 1) <= tolerance
        assert (visits >= 0).all()
        assert (visits.sum(axis=0) >= 1 - tolerance).all()
        assert (visits.sum(axis=1) >= 1 - tolerance).all()
        # Every path crosses each anti-diagonal, or steps over it by the diagonal.
        crossed = [np.fliplr(visits).trace(k) for k in range(-len(x) + 1, len(y))]
        assert max(crossed) <= 1 + tolerance
        assert min(a + b for a, b in pairwise(crossed)) >= 1 - tolerance


def test_batches_and_their_alignments(dtype: np.dtype) -> None:
    rng = np.random.default_rng(13)
    xs = [make_series(rng, n, 2, dtype) for n in (4, 9, 6)]
    ys = [make_series(rng, m, 2, dtype) for m in (8, 3, 7)]
    alone = [coalign.soft_dtw(x, y, gamma=0.4, grad=True) for x, y in zip(xs, ys, strict=True)]
    listed = coalign.soft_dtw(xs, ys, gamma=0.4, grad=True)
    x, x_lengths = pad(xs)
    y, y_lengths = pad(ys)
    padded = coalign.soft_dtw(x, y, gamma=0.4, x_lengths=x_lengths, y_lengths=y_lengths, grad=True)
    assert isinstance(listed.grad_x, list)
    assert padded.grad_x.shape == x.shape
    assert padded.expected_alignment().shape == (3, 9, 8)
    for p, one in enumerate(alone):
        n, m = len(xs[p]), len(ys[p])
        for batch in (listed, padded):
            assert_same_bits(batch.value[p], one.value)
            assert_same_bits(batch.grad_x[p][:n], one.grad_x)
            assert_same_bits(batch.grad_y[p][:m], one.grad_y)
            assert_same_bits(
                np.ascontiguousarray(batch.expected_alignment()[p][:n, :m]),
                one.expected_alignment(),
            )
        assert (padded.grad_x[p][n:] == 0).all()
        assert (padded.expected_alignment()[p][n:] == 0).all()


def test_one_series_against_a_batch(dtype: np.dtype) -> None:
    rng = np.random.default_rng(14)
    x = make_series(rng, 5, 1, dtype)
    ys = [make_series(rng, m, 1, dtype) for m in (8, 3)]
    found = coalign.soft_dtw(x, ys, grad=True)
    assert [g.shape for g in found.grad_x] == [(5,), (5,)]
    assert [g.shape for g in found.grad_y] == [(8,), (3,)]
    assert [a.shape for a in found.expected_alignment()] == [(5, 8), (5, 3)]
    for p, y in enumerate(ys):
        one = coalign.soft_dtw(x, y, grad=True)
        assert_same_bits(found.grad_x[p], one.grad_x)
        assert_same_bits(found.grad_y[p], one.grad_y)
    turned = coalign.soft_dtw(ys, x, grad=True)
    assert [g.shape for g in turned.grad_y] == [(5,), (5,)]
    padded = coalign.soft_dtw(x, np.zeros((3, 4, 1), dtype), grad=True)
    assert padded.grad_x.shape == (3, 5)
    assert padded.grad_y.shape == (3, 4, 1)
    assert_same_bits(turned.value, found.value)


def test_numbers_for_series() -> None:
    found = coalign.soft_dtw([0, 1, 3], [0.0, 2], grad=True)
    assert found.grad_x.shape == (3,)
    assert found.expected_alignment().shape == (3, 2)
    assert_same_bits(found.value, coalign.soft_dtw(np.array([0.0, 1, 3]), np.array([0.0, 2])).value)


# --- cosine and precomputed costs -----------------------------------------------------------------


def test_a_frame_of_zeros_has_no_angle(dtype: np.dtype, isa: str) -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0], [-1.0, 2.0]], dtype)
    y = np.array([[1.0, 0.0], [0.0, 0.0]], dtype)
    assert_right(x, y, 0.5, "cosine", None, isa)
    with _execution.forced(isa):
        found = coalign.soft_dtw(x, y, metric="cosine", grad=True)
    assert (found.grad_x[0] == 0).all()
    assert (found.grad_y[1] == 0).all()


def test_the_length_of_a_frame_is_nothing_to_the_cosine(dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(19)
    x, y = make_series(rng, 9, 3, dtype), make_series(rng, 12, 3, dtype)
    lengths = (2.0 ** rng.integers(-9, 9, (9, 1))).astype(dtype)
    for gamma in (1e-8, 0.5):
        with _execution.forced(isa):
            plain = coalign.soft_dtw(x, y, gamma=gamma, metric="cosine", grad=True)
            longer = coalign.soft_dtw(x * lengths, y, gamma=gamma, metric="cosine", grad=True)
        assert_same_bits(plain.value, longer.value)
        assert_same_bits(plain.grad_x, longer.grad_x * lengths)
        assert_same_bits(plain.grad_y, longer.grad_y)


def make_costs(rng: np.random.Generator, n: int, m: int, dtype: Any) -> Array:
    """Costs of either sign, of which some forbid their cell; a path is left."""
    cost = rng.normal(size=(n, m))
    cost[rng.random((n, m)) < 0.1] = np.inf
    cost[:, 0], cost[-1] = rng.random(n), rng.random(m)
    return cost.astype(dtype)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("window", [None, 6], ids=str)
def test_precomputed_costs(gamma: float, window: Any, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(20)
    for n, m in ((1, 1), (1, 7), (9, 9), (17, 40), (70, 33)):
        if window is None:
            cost = make_costs(rng, n, m, dtype)
        else:
            cost = np.abs(make_costs(rng, n, m, dtype))
            np.fill_diagonal(cost, 1)
            cost[-1], cost[:, -1] = 1, 1
        value, visits = by_loops(within(cost, window), gamma)
        with _execution.forced(isa):
            found = coalign.soft_dtw(
                cost, metric="precomputed", gamma=gamma, window=window, grad=True
            )
            alignment = found.expected_alignment()
        size = np.abs(cost[np.isfinite(cost)]).sum() + gamma * (n + m)
        tolerance = allowed(dtype, size, gamma)
        assert found.value.dtype == dtype
        assert abs(float(found.value) - value) <= tolerance * size
        assert np.abs(found.grad_x - visits).max() <= (1e-8 if dtype == np.float64 else tolerance)
        assert found.grad_y is None
        assert_same_bits(found.grad_x, alignment)
        with _execution.forced(isa):
            alone = coalign.soft_dtw(cost, metric="precomputed", gamma=gamma, window=window)
        assert_same_bits(alone.value, found.value)
        assert alone.grad_x is None


def test_the_costs_of_series_give_the_bits_of_the_series(dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(21)
    x, y = make_series(rng, 40, 1, dtype), make_series(rng, 70, 1, dtype)
    cost = np.abs(x[:, np.newaxis] - y)
    for window, kept in ((None, 0), (5, 0), (None, 2**30)):
        with _execution.forced(isa, checkpoint_bytes=kept):
            theirs = coalign.soft_dtw(x, y, metric="cityblock", gamma=0.2, window=window)
            ours = coalign.soft_dtw(cost, metric="precomputed", gamma=0.2, window=window)
            assert_same_bits(ours.value, theirs.value)
            assert_same_bits(ours.expected_alignment(), theirs.expected_alignment())


def test_batches_of_costs(dtype: np.dtype) -> None:
    rng = np.random.default_rng(22)
    costs = [make_costs(rng, n, m, dtype) for n, m in ((4, 8), (9, 3), (6, 7))]
    alone = [coalign.soft_dtw(c, metric="precomputed", gamma=0.4, grad=True) for c in costs]
    padded = np.full((3, 9, 8), np.nan, dtype)
    for room, cost in zip(padded, costs, strict=True):
        room[: cost.shape[0], : cost.shape[1]] = cost
    rows, columns = np.array([4, 9, 6]), np.array([8, 3, 7])
    listed = coalign.soft_dtw(costs, metric="precomputed", gamma=0.4, grad=True)
    batch = coalign.soft_dtw(
        padded, metric="precomputed", gamma=0.4, x_lengths=rows, y_lengths=columns, grad=True
    )
    turned = coalign.soft_dtw(
        [np.asfortranarray(cost) for cost in costs], metric="precomputed", gamma=0.4, grad=True
    )
    assert isinstance(listed.grad_x, list)
    assert batch.grad_x.shape == (3, 9, 8)
    for p, one in enumerate(alone):
        n, m = costs[p].shape
        for found in (listed, batch, turned):
            assert_same_bits(found.value[p], one.value)
            assert_same_bits(np.ascontiguousarray(found.grad_x[p][:n, :m]), one.grad_x)
        assert (batch.grad_x[p][n:] == 0).all()
        assert (batch.grad_x[p][:, m:] == 0).all()
    assert coalign.soft_dtw([], metric="precomputed").value.shape == (0,)


def test_a_sentinel_is_as_good_as_a_forbidden_cell(dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(23)
    forbidden = make_costs(rng, 20, 30, dtype)
    for never in (1e9, 1e20):
        cost = np.where(np.isinf(forbidden), dtype.type(never), forbidden)
        with _execution.forced(isa):
            ours = coalign.soft_dtw(cost, metric="precomputed", gamma=0.1, grad=True)
            theirs = coalign.soft_dtw(forbidden, metric="precomputed", gamma=0.1, grad=True)
        assert float(ours.value) == pytest.approx(float(theirs.value), rel=1e-6)
        assert np.abs(ours.grad_x - theirs.grad_x).max() <= 1e-5


@pytest.mark.parametrize("gamma", [1e-4, 1e-9, 1e-200])
def test_costs_far_below_zero(gamma: float, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(24)
    cost = (1e6 * rng.normal(size=(30, 25))).astype(dtype)
    with _execution.forced(isa):
        found = coalign.soft_dtw(cost, metric="precomputed", gamma=gamma, grad=True)
        best = coalign.dtw(cost.astype(np.float64), metric="precomputed", path=True)
    assert float(found.value) == pytest.approx(float(best.cost), rel=1e-6)
    on_path = np.zeros(cost.shape)
    on_path[best.x_index, best.y_index] = 1
    assert np.abs(found.grad_x - on_path).max() <= 1e-6


def test_costs_that_cancel(dtype: np.dtype, isa: str) -> None:
    # The best path costs 0, of parts that are far from it.
    cost = np.array([[1e12, np.inf, np.inf], [np.inf, -1e12, np.inf], [np.inf, np.inf, 0]], dtype)
    for gamma in (1.0, 1e-9, 1e-250):
        with _execution.forced(isa):
            found = coalign.soft_dtw(cost, metric="precomputed", gamma=gamma, grad=True)
        assert abs(float(found.value)) <= 1e-2
        assert (found.grad_x == np.eye(3)).all()


def test_all_pairs_and_divergences_by_the_cosine() -> None:
    rng = np.random.default_rng(25)
    xs = [make_series(rng, n, 3, float) for n in (5, 9)]
    table = coalign.soft_dtw_cdist(xs, metric="cosine", gamma=0.3)
    between = coalign.soft_dtw(*xs, metric="cosine", gamma=0.3).value
    assert_same_bits(table[0, 1], between)
    apart = coalign.soft_dtw_divergence(*xs, metric="cosine", gamma=0.3)
    assert apart == pytest.approx(between - (table[0, 0] + table[1, 1]) / 2, rel=1e-12)


# --- a gamma that is too large --------------------------------------------------------------------


def test_a_value_may_overflow_below(dtype: np.dtype, isa: str) -> None:
    x, gamma = np.linspace(0, 1, 9, dtype=dtype), float(np.finfo(dtype).max) / 2
    words = "soft_dtw: 1 of 1 values"
    with _execution.forced(isa), pytest.warns(RuntimeWarning, match=words) as warned:
        found = coalign.soft_dtw(x, x, gamma=gamma, grad=True)
    assert warned[0].filename == __file__
    assert found.value == -np.inf
    assert found.status == Status.PRECISION_LIMIT
    assert (found.grad_x == 0).all()


@pytest.mark.parametrize("is_batch", [False, True])
def test_a_divergence_that_overflows_is_inf(is_batch: bool, dtype: np.dtype) -> None:
    x, gamma = np.linspace(0, 1, 9, dtype=dtype), float(np.finfo(dtype).max) / 2
    one = np.ones(1, dtype)
    given = [x, one] if is_batch else x
    with pytest.warns(RuntimeWarning) as found:
        apart = coalign.soft_dtw_divergence(given, given, gamma=gamma)
    assert [str(warning.message) for warning in found] == [
        f"soft_dtw_divergence: 1 of {1 + is_batch} values overflow {dtype} and are inf"
    ]
    assert found[0].filename == __file__
    assert apart.dtype == dtype
    assert apart.tolist() == ([np.inf, 0.0] if is_batch else np.inf)


# --- all pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 3], ids=str)
def test_all_pairs_are_those_of_single_calls(window: Any, dtype: np.dtype, isa: str) -> None:
    rng = np.random.default_rng(15)
    xs = [make_series(rng, n, 1, dtype) for n in (1, 5, 17, 33)]
    ys = [make_series(rng, m, 1, dtype) for m in (9, 4, 20)]
    with _execution.forced(isa):
        table = coalign.soft_dtw_cdist(xs, ys, gamma=0.2, window=window)
        own = coalign.soft_dtw_cdist(xs, gamma=0.2, window=window)
        for i, x in enumerate(xs):
            for j, y in enumerate(ys):
                one = coalign.soft_dtw(x, y, gamma=0.2, window=window)
                assert_same_bits(table[i, j], one.value)
            for j, y in enumerate(xs):
                one = coalign.soft_dtw(x, y, gamma=0.2, window=window)
                assert_same_bits(own[i, j], one.value)


def test_all_pairs_with_bounds_of_rows_are_not_mirrored() -> None:
    rng = np.random.default_rng(16)
    xs = rng.normal(size=(3, 6))
    rows = np.array([[0, 2], [0, 2], [1, 4], [2, 6], [4, 6], [5, 6]])
    table = coalign.soft_dtw_cdist(xs, window=rows)
    for i in range(3):
        for j in range(3):
            assert_same_bits(table[i, j], coalign.soft_dtw(xs[i], xs[j], window=rows).value)


def test_an_infeasible_pair_of_a_table_is_inf() -> None:
    xs = [np.zeros(3), np.zeros(9)]
    table = coalign.soft_dtw_cdist(xs, window=slanted(0))
    assert np.isfinite(table.diagonal()).all()
    assert np.isinf(accumulate(within(np.zeros((3, 9)), slanted(0)))[-1, -1]) == np.isinf(
        table[0, 1]
    )


# --- memory ---------------------------------------------------------------------------------------

PEAK = """
import resource, sys
import numpy as np, coalign
x, y = np.random.default_rng(0).normal(size=(2, int(sys.argv[1]))).astype(np.float32)
coalign.soft_dtw(x[:100], y[:100], grad=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
coalign.soft_dtw(x, y, gamma=0.1, grad=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_gradients_take_memory_for_the_frames_not_for_the_cells() -> None:
    # 10,000 x 10,000 probabilities of float32 alone would take 400 MB.
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "10000"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40_000


# --- divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_divergence_is_zero_for_equal_series_and_else_not_negative(gamma: float) -> None:
    rng = np.random.default_rng(17)
    for n, m, dim in ((1, 1, 1), (5, 9, 1), (30, 30, 2), (60, 41, 1)):
        x, y = make_series(rng, n, dim, float), make_series(rng, m, dim, float)
        assert coalign.soft_dtw_divergence(x, x.copy(), gamma=gamma) == 0
        assert coalign.soft_dtw_divergence(x, y, gamma=gamma) >= -1e-9
        # Next to equal, where three large values nearly cancel.
        near = x + 1e-7 * rng.normal(size=x.shape)
        assert coalign.soft_dtw_divergence(x, near, gamma=gamma) >= -1e-9


def test_a_divergence_is_made_of_three_values(dtype: np.dtype) -> None:
    rng = np.random.default_rng(18)
    x, ys = make_series(rng, 6, 1, dtype), [make_series(rng, m, 1, dtype) for m in (9, 4)]
    found = coalign.soft_dtw_divergence(x, ys, gamma=0.5, window=2)

    def value(a: Array, b: Array) -> float:
        return float(coalign.soft_dtw(a, b, gamma=0.5, window=2).value)

    wanted = [value(x, y) - (value(x, x) + value(y, y)) / 2 for y in ys]
    assert found.dtype == dtype
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("isa", _execution.available())
@pytest.mark.parametrize("metric", OF_DIFFERENCES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_frames_too_far_apart_to_say_move_nothing(isa: str, metric: str, dtype: Any) -> None:
    x = np.array([-0.8, 0.8], dtype) * np.finfo(dtype).max
    with _execution.forced(isa):
        found = coalign.soft_dtw(x, x, metric=metric, grad=True)
    assert (float(found.value), int(found.status)) == (0.0, Status.OK)
    assert found.grad_x.tolist() == found.grad_y.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("slope", [1.0, 1.5, 3.0])
def test_an_itakura_window_is_that_of_its_rows(slope: float) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=12), rng.normal(size=12)
    window = coalign.itakura(slope)
    rows = _core.window_ranges(
        window=_warping._native_window(window, np.array([12]), np.array([12])), n=12, m=12
    )
    ours = coalign.soft_dtw(x, y, window=window, grad=True)
    theirs = coalign.soft_dtw(x, y, window=rows, grad=True)
    assert_same_bits(ours.value, theirs.value)
    assert_same_bits(ours.grad_x, theirs.grad_x)
    assert coalign.soft_dtw_divergence(x, x, window=window) == 0
