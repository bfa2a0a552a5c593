"""Distances between Gaussians and their barycenters, beside an oracle of 120 digits and theory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coalign
from oracles.gaussian import squared_distance

EPS = float(np.finfo(np.float64).eps)


def random_gaussian(rng: Any, dim: int, rank: int | None = None, scale: float = 1.0) -> Any:
    """A mean and a covariance; of a low rank its last entries are exact zeros."""
    rank = dim if rank is None else rank
    factor = np.zeros((dim, dim))
    factor[:rank, :rank] = rng.normal(size=(rank, rank)) + 2 * np.eye(rank)
    return scale * rng.normal(size=dim), scale**2 * (factor @ factor.T)


def tolerance(dim: int, *covs: Any) -> float:
    """Roundings of the traces, whose difference the distance is: 16 d eps of their sum."""
    return 16 * dim * EPS * sum(float(np.trace(cov)) for cov in covs)


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
@pytest.mark.parametrize("ranks", ["full", "first", "both"])
@pytest.mark.parametrize("scale", [1e-150, 1e-6, 1.0, 1e6, 1e140])
def test_a_distance_is_the_oracles(dim: int, ranks: str, scale: float) -> None:
    rng = np.random.default_rng([dim, len(ranks)])
    low = max(1, dim // 2)
    first = random_gaussian(rng, dim, None if ranks == "full" else low)
    second = random_gaussian(rng, dim, low if ranks == "both" else None)
    expected = squared_distance(*first, *second)
    scaled = [scale * first[0], scale**2 * first[1], scale * second[0], scale**2 * second[1]]
    found = coalign.wasserstein_gaussian(*scaled)
    assert found / scale / scale == pytest.approx(
        expected, rel=1e-12, abs=tolerance(dim, first[1], second[1])
    )


@pytest.mark.parametrize("change", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11])
@pytest.mark.parametrize("dim", [1, 3, 5])
def test_a_small_distance_keeps_its_digits(change: float, dim: int) -> None:
    # The traces alone would leave no digit of the last three.
    rng = np.random.default_rng(dim)
    mean, cov = random_gaussian(rng, dim)
    beside = rng.normal(size=(dim, dim))
    other = cov + change * (beside + beside.T)
    expected = squared_distance(mean, cov, mean, other)
    found = coalign.wasserstein_gaussian(mean, cov, mean, other)
    error = 64 * dim * EPS * math.sqrt(np.trace(cov))
    assert math.sqrt(found) == pytest.approx(math.sqrt(expected), rel=1e-12, abs=error)
    assert found > 0


def test_equal_gaussians_have_no_distance_whatever_their_rank() -> None:
    rng = np.random.default_rng(0)
    for dim, rank in ((1, 1), (4, 4), (9, 9), (9, 3), (30, 29), (5, 0)):
        mean, cov = random_gaussian(rng, dim, rank)
        turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
        for some in (cov, turn @ cov @ turn.T):
            assert coalign.wasserstein_gaussian(mean, some, mean, some.copy()) == 0


def test_commuting_covariances_differ_by_their_standard_deviations() -> None:
    rng = np.random.default_rng(1)
    # A Hadamard matrix over 2 is orthogonal, and exact.
    turn = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    first, second = rng.integers(0, 9, size=(2, 4)).astype(float)
    covs = [turn @ np.diag(deviations**2) @ turn for deviations in (first, second)]
    found = coalign.wasserstein_gaussian(np.zeros(4), covs[0], np.zeros(4), covs[1])
    assert found == pytest.approx(((first - second) ** 2).sum(), rel=1e-13)


def test_a_small_unit_beside_a_large_one_counts() -> None:
    # In metres and nanometres: the variances differ by 1e24.
    units = np.array([1e12, 1.0, 1e6])
    covs = [units * np.array(cov) * units[:, np.newaxis] for cov in (
        [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[1.0, 0.5, 0.0], [0.5, 4.0, 0.0], [0.0, 0.0, 1.0]],
    )]  # fmt: skip
    expected = squared_distance(np.zeros(3), covs[0], np.zeros(3), covs[1])
    found = coalign.wasserstein_gaussian(np.zeros(3), covs[0], np.zeros(3), covs[1])
    assert 0.5 < expected < 2
    assert found == pytest.approx(expected, rel=1e-3)


def test_points_are_as_far_apart_as_their_means() -> None:
    nothing = np.zeros((2, 2))
    assert coalign.wasserstein_gaussian([3.0, 0.0], nothing, [0.0, 4.0], nothing) == 25


def test_a_batch_may_mix_scales_without_changing_a_bit() -> None:
    rng = np.random.default_rng(2)
    pairs = [(*random_gaussian(rng, 3, scale=s), *random_gaussian(rng, 3, scale=s))
             for s in (1.0, 1e-150, 1e140, 1e3)]  # fmt: skip
    together = coalign.wasserstein_gaussian(*(np.stack(side) for side in zip(*pairs, strict=True)))
    alone = [coalign.wasserstein_gaussian(*pair) for pair in pairs]
    np.testing.assert_array_equal(together, alone)


def test_float32_is_computed_in_float64() -> None:
    rng = np.random.default_rng(3)
    pair = [*random_gaussian(rng, 4), *random_gaussian(rng, 4)]
    narrow = [np.asarray(side, np.float32) for side in pair]
    found = coalign.wasserstein_gaussian(*narrow)
    assert found.dtype == np.float32
    assert found == np.float32(squared_distance(*narrow))


def test_overflow_is_told() -> None:
    one = np.ones((1, 1), np.float32)
    far = np.array([2e38], np.float32)
    with pytest.warns(RuntimeWarning, match=r"\Awasserstein_gaussian: 1 of 1 .* float32 and are"):
        assert coalign.wasserstein_gaussian(far, one, -far, one) == math.inf


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(0, 6))
def test_distances_are_a_metric(seed: int, dim: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    points = [random_gaussian(rng, dim, min(rank, dim)) for _ in range(2)]
    points.append(random_gaussian(rng, dim))

    def distance(i: int, j: int) -> float:
        return math.sqrt(coalign.wasserstein_gaussian(*points[i], *points[j]))

    most = math.sqrt(max(tolerance(dim, cov, cov) for _, cov in points))
    assert distance(0, 1) == pytest.approx(distance(1, 0), rel=1e-10, abs=most)
    assert distance(0, 2) <= distance(0, 1) + distance(1, 2) + most
    assert distance(0, 0) == 0


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(-40, 40))
def test_distances_move_and_scale_with_the_gaussians(seed: int, dim: int, power: int) -> None:
    rng = np.random.default_rng(seed)
    (mean1, cov1), (mean2, cov2) = (random_gaussian(rng, dim) for _ in range(2))
    plain = coalign.wasserstein_gaussian(mean1, cov1, mean2, cov2)
    s = 2.0**power
    scaled = coalign.wasserstein_gaussian(s * mean1, s * s * cov1, s * mean2, s * s * cov2)
    assert scaled == s * s * plain
    move = rng.integers(-9, 9, dim) * 2.0
    moved = coalign.wasserstein_gaussian(mean1 + move, cov1, mean2 + move, cov2)
    assert moved == pytest.approx(plain, rel=1e-12, abs=tolerance(dim, cov1, cov2))
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    turned = coalign.wasserstein_gaussian(
        turn @ mean1, turn @ cov1 @ turn.T, turn @ mean2, turn @ cov2 @ turn.T
    )
    assert turned == pytest.approx(plain, rel=1e-12, abs=tolerance(dim, cov1, cov2))


# Barycenters


def objective(cov: Any, covs: Any, weights: Any) -> float:
    nothing = np.zeros(len(cov))
    found = coalign.wasserstein_gaussian(
        nothing, cov, np.broadcast_to(nothing, (len(covs), len(cov))), covs
    )
    return float(np.dot(weights, found) / np.sum(weights))


def test_the_barycenter_of_commuting_covariances_averages_their_deviations() -> None:
    turn = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    deviations = np.array([[1.0, 2.0, 0.0, 4.0], [3.0, 0.0, 0.0, 1.0], [2.0, 2.0, 0.0, 8.0]])
    weights = np.array([1.0, 2.0, 5.0])
    covs = turn @ (deviations[:, np.newaxis] ** 2 * np.eye(4)) @ turn
    found = coalign.gaussian_barycenter(deviations, covs, weights, tol=1e-13)
    average = weights @ deviations / 8
    np.testing.assert_allclose(found.mean, average, rtol=1e-15)
    np.testing.assert_allclose(found.cov, turn @ np.diag(average**2) @ turn, atol=1e-11)
    assert found.status == coalign.Status.OK


def test_the_barycenter_of_two_lies_on_the_way_between_them() -> None:
    rng = np.random.default_rng(4)
    (mean1, cov1), (mean2, cov2) = (random_gaussian(rng, 5) for _ in range(2))
    whole = math.sqrt(coalign.wasserstein_gaussian(mean1, cov1, mean2, cov2))
    for share in (0.25, 0.5, 0.9):
        found = coalign.gaussian_barycenter(
            np.stack([mean1, mean2]), np.stack([cov1, cov2]), [1 - share, share], tol=1e-13
        )
        first = coalign.wasserstein_gaussian(mean1, cov1, found.mean, found.cov)
        second = coalign.wasserstein_gaussian(mean2, cov2, found.mean, found.cov)
        assert math.sqrt(first) == pytest.approx(share * whole, rel=1e-9)
        assert math.sqrt(second) == pytest.approx((1 - share) * whole, rel=1e-9)


@pytest.mark.parametrize("rank", [6, 3, 1])
def test_no_covariance_nearby_is_a_better_barycenter(rank: int) -> None:
    rng = np.random.default_rng(rank)
    covs = np.stack([random_gaussian(rng, 6, rank)[1] for _ in range(4)])
    for k, cov in enumerate(covs):
        turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
        covs[k] = turn @ cov @ turn.T
    weights = rng.uniform(size=4)
    found = coalign.gaussian_barycenter(np.zeros((4, 6)), covs, weights)
    assert found.status == coalign.Status.OK
    least = objective(found.cov, covs, weights)
    root = np.linalg.cholesky(found.cov + 1e-12 * np.eye(6))
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(10):
            other = root + size * rng.normal(size=(6, 6))
            assert objective(other @ other.T, covs, weights) > least - 1e-9


def test_the_residual_is_that_of_the_returned_covariance() -> None:
    rng = np.random.default_rng(5)
    covs = np.stack([random_gaussian(rng, 4)[1] for _ in range(3)])
    with pytest.warns(coalign.ConvergenceWarning):
        found = coalign.gaussian_barycenter(np.zeros((3, 4)), covs, tol=0, max_iterations=3)
    # The map from S to C is S^-½ (S^½ C S^½)^½ S^-½.
    values, vectors = np.linalg.eigh(found.cov)
    root, back = (vectors * values**power @ vectors.T for power in (0.5, -0.5))

    def square_root(matrix: Any) -> Any:
        values, vectors = np.linalg.eigh(matrix)
        return vectors * np.sqrt(values) @ vectors.T

    move = np.mean([back @ square_root(root @ cov @ root) @ back for cov in covs], axis=0)
    step = np.linalg.norm((move - np.eye(4)) @ root) / np.linalg.norm(root)
    assert found.residual == pytest.approx(step, rel=1e-6)
    assert found.iterations == 3
    assert step > 1e-9


def test_what_has_not_converged_says_so() -> None:
    rng = np.random.default_rng(6)
    covs = np.stack([[random_gaussian(rng, 3)[1] for _ in range(3)], [np.eye(3)] * 3])
    words = (
        r"\Agaussian_barycenter: 1 of 2 problems did not reach a residual of 1e-12 in 2 iterations;"
        r" their status is NOT_CONVERGED\Z"
    )
    with pytest.warns(coalign.ConvergenceWarning, match=words) as caught:
        found = coalign.gaussian_barycenter(np.zeros((3, 3)), covs, tol=1e-12, max_iterations=2)
    assert caught[0].filename == __file__
    assert found.status.tolist() == [coalign.Status.NOT_CONVERGED, coalign.Status.OK]
    assert found.iterations.tolist() == [2, 1]
    with pytest.raises(ArithmeticError, match=r"\Aproblem 0: the residual exceeds tol"):
        found.check()


def test_a_gaussian_of_no_weight_does_not_count() -> None:
    rng = np.random.default_rng(7)
    means, covs = (
        np.stack(side) for side in zip(*(random_gaussian(rng, 3) for _ in range(3)), strict=True)
    )
    all_three = coalign.gaussian_barycenter(means, covs, [2, 0, 6], tol=1e-13)
    two = coalign.gaussian_barycenter(means[::2], covs[::2], [1, 3], tol=1e-13)
    np.testing.assert_allclose(all_three.mean, two.mean, rtol=1e-14)
    np.testing.assert_allclose(all_three.cov, two.cov, rtol=1e-10)


def test_points_have_a_point_between_them() -> None:
    found = coalign.gaussian_barycenter([[0.0, 2.0], [4.0, 0.0]], np.zeros((2, 2, 2)))
    assert found.mean.tolist() == [2, 1]
    assert found.cov.tolist() == [[0, 0], [0, 0]]
    assert found.status == coalign.Status.OK


@pytest.mark.parametrize("scale", [1e-150, 1e140])
def test_a_barycenter_scales_with_its_covariances(scale: float) -> None:
    rng = np.random.default_rng(8)
    covs = np.stack([random_gaussian(rng, 3)[1] for _ in range(3)])
    plain = coalign.gaussian_barycenter(np.zeros((3, 3)), covs)
    scaled = coalign.gaussian_barycenter(np.zeros((3, 3)), covs * scale**2)
    np.testing.assert_allclose(scaled.cov / scale / scale, plain.cov, rtol=1e-9)
