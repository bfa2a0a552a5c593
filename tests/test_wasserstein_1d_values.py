"""Transport on a line, beside a linear program, SciPy, repeated positions and theory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

import coalign
from oracles.one_dimension import by_linear_program, by_repetition

#: A thousand roundings of sums of terms that are none negative.
RTOL = 1e-13
POWERS = (1, 1.5, 2, 3)


def weights(rng: Any, count: int) -> Any:
    """Weights of sum 1, some of them 0."""
    found = rng.uniform(size=count) * (rng.uniform(size=count) < 0.7)
    found[rng.integers(count)] += 1
    return found / found.sum()


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (4, 4), (3, 7), (8, 6)])
def test_a_cost_is_the_linear_programs(p: float, n: int, m: int) -> None:
    rng = np.random.default_rng([n, m])
    x, y = rng.normal(size=n), rng.integers(-2, 3, m).astype(float)
    a, b = weights(rng, n), weights(rng, m)
    even = np.full(n, 1 / n), np.full(m, 1 / m)
    for some in ((a, b), (even[0], b), (a, even[1]), even):
        expected = by_linear_program(x, y, *some, p)
        found = coalign.wasserstein_1d(x, y, *some, p=p)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert coalign.wasserstein_1d(x, y, p=p) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    beside = coalign.wasserstein_1d(x, y, a, p=p)
    assert beside == pytest.approx(by_linear_program(x, y, a, even[1], p), rel=1e-9, abs=1e-12)
    beside = coalign.wasserstein_1d(x, y, b=b, p=p)
    assert beside == pytest.approx(by_linear_program(x, y, even[0], b, p), rel=1e-9, abs=1e-12)


seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 40)


@settings(max_examples=80, deadline=None)
@given(seeds, counts, counts, st.sampled_from(POWERS))
def test_positions_of_equal_mass_are_paired_in_order(seed: int, n: int, m: int, p: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(size=m)
    assert coalign.wasserstein_1d(x, y, p=p) == pytest.approx(by_repetition(x, y, p), rel=RTOL)


@settings(max_examples=80, deadline=None)
@given(seeds, counts, counts)
def test_a_distance_is_scipys(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.integers(-3, 4, m).astype(float)
    a, b = weights(rng, n), weights(rng, m)
    expected = wasserstein_distance(x, y, a, b)
    assert coalign.wasserstein_1d(x, y, a, b) == pytest.approx(expected, rel=1e-11, abs=1e-14)


@settings(max_examples=80, deadline=None)
@given(seeds, counts, st.sampled_from(POWERS))
def test_distances_are_a_metric_and_move_and_scale(seed: int, n: int, p: float) -> None:
    rng = np.random.default_rng(seed)
    x, y, z = rng.normal(size=(3, n))
    a, b, c = (weights(rng, n) for _ in range(3))

    def distance(*sides: Any) -> float:
        return float(coalign.wasserstein_1d(*sides, p=p) ** (1 / p))

    plain = distance(x, y, a, b)
    assert plain == pytest.approx(distance(y, x, b, a), rel=1e-10)
    assert distance(x, z, a, c) <= (plain + distance(y, z, b, c)) * (1 + 1e-12)
    order = rng.permutation(n)
    assert distance(x, y[order], a, b[order]) == pytest.approx(plain, rel=1e-10)
    assert distance(x, x, a, a) == 0
    assert distance(x, x + 3, a, a) == pytest.approx(3, rel=1e-12)
    assert distance(-8 * x, -8 * y, a, b) == pytest.approx(8 * plain, rel=1e-10)
    assert distance(x + 2, y + 2, a, b) == pytest.approx(plain, rel=1e-10, abs=1e-14)


def test_an_offset_costs_no_digit() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 1000, size=(2, 500)).astype(float)
    plain = coalign.wasserstein_1d(x, y[:400], p=2)
    assert coalign.wasserstein_1d(x + 2.0**52, y[:400] + 2.0**52, p=2) == plain


def test_the_cost_is_that_of_the_mass() -> None:
    x, y, a = np.array([0.0, 1.0]), np.array([2.0, 5.0]), np.array([1.0, 3.0])
    assert coalign.wasserstein_1d(x, y, a, [2.0, 2.0]) == 1 * 2 + 1 * 1 + 2 * 4
    assert coalign.wasserstein_1d(x, y, a) == 11
    assert coalign.wasserstein_1d(x, y, a / 4) == 11 / 4


def test_zero_weights_pad_a_batch_with_anything() -> None:
    x = np.array([[0.0, 1.0, 1e300], [0.0, 1.0, 2.0]])
    a = np.array([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    found = coalign.wasserstein_1d(x, np.zeros(1), a, p=3)
    assert found.tolist() == [0.5, 0.25 + 4]


def test_weights_may_be_a_batch_where_positions_are_not() -> None:
    a = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    for some in (a, list(a)):
        found = coalign.wasserstein_1d([0.0, 4.0], [0.0], some)
        assert found.tolist() == [0, 4, 2]


@pytest.mark.slow
def test_a_million_positions_keep_their_digits() -> None:
    n, m = 1_000_000, 999_999
    found = coalign.wasserstein_1d(np.arange(n) / n, np.arange(n) / n + 0.25)
    assert found == pytest.approx(0.25, rel=1e-12)
    rng = np.random.default_rng(1)
    a = rng.uniform(size=n)
    x = rng.uniform(size=n)
    assert coalign.wasserstein_1d(x, x[::-1] + 2, a, a[::-1], p=2) == pytest.approx(
        4 * math.fsum(a.tolist()), rel=1e-11
    )
    even = coalign.wasserstein_1d((np.arange(n) + 0.5) / n, (np.arange(m) + 0.5) / m + 1)
    assert even == pytest.approx(1, rel=1e-12)


def test_overflow_is_told() -> None:
    with pytest.warns(RuntimeWarning, match=r"\Awasserstein_1d: 1 of 2 .* float64 and are") as told:
        found = coalign.wasserstein_1d([[1e200], [1.0]], [0.0], p=2)
    assert found.tolist() == [math.inf, 1]
    assert told[0].filename == __file__
