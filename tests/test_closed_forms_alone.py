"""A lone pair of plain arrays has the answer, and the errors, that it has in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign

rng = np.random.default_rng(14)


def gaussians(dim: int, samples: int) -> Any:
    pairs = []
    for _ in range(2):
        points = rng.normal(size=(samples, dim))
        pairs += [rng.normal(size=dim), points.T @ points / samples]
    return pairs


def in_a_batch(call: Any, *given: Any, **options: Any) -> Any:
    return call(*(array[np.newaxis] for array in given), **options)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [1, 1.5, 2, 2.0, 3])
@pytest.mark.parametrize("sizes", [(1, 1), (10, 10), (10, 7), (700, 700), (700, 300)])
def test_a_pair_of_samples(dtype: Any, p: float, sizes: tuple[int, int]) -> None:
    x, y = (rng.normal(size=size).astype(dtype) for size in sizes)
    kept = x.copy(), y.copy()
    found = coalign.wasserstein_1d(x, y, p=p)
    assert found == in_a_batch(coalign.wasserstein_1d, x, y, p=p)
    assert type(found) is dtype
    assert found == coalign.wasserstein_1d(x[::-1], np.repeat(y, 2)[::2], p=p)
    for now, was in zip((x, y), kept, strict=True):
        np.testing.assert_array_equal(now, was)


@pytest.mark.parametrize("dim", [1, 2, 5, 10, 40])
@pytest.mark.parametrize("samples", [1, 3, 200])
def test_a_pair_of_gaussians(dim: int, samples: int) -> None:
    given = gaussians(dim, samples * dim if samples > 1 else 1)
    found = coalign.wasserstein_gaussian(*given)
    assert found == in_a_batch(coalign.wasserstein_gaussian, *given)
    assert type(found) is np.float64
    # Close, equal, of another scale, and nearly singular.
    mean, cov = given[:2]
    for other in (cov * (1 + 1e-9), cov, 1e-140 * cov, cov + 1e-17 * np.eye(dim)):
        pair = mean, cov, mean, other
        assert coalign.wasserstein_gaussian(*pair) == in_a_batch(
            coalign.wasserstein_gaussian, *pair
        )
    almost = cov.copy()
    almost[-1] = almost[0]
    almost[:, -1] = almost[:, 0]
    almost += 1e-18 * np.eye(dim)
    pair = mean, almost, mean, cov
    assert coalign.wasserstein_gaussian(*pair) == in_a_batch(coalign.wasserstein_gaussian, *pair)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(value: float) -> None:
    x = rng.normal(size=9)
    x[4] = value
    for given, name in (((x, x), "x"), ((rng.normal(size=9), x), "y")):
        with pytest.raises(ValueError, match=rf"{name}: .* at index \(4,\); expected finite"):
            coalign.wasserstein_1d(*given)
    for place, name in enumerate(("mean1", "cov1", "mean2", "cov2")):
        given = gaussians(3, 6)
        given[place].flat[1] = value
        with pytest.raises(ValueError, match=f"{name}: .* expected finite"):
            coalign.wasserstein_gaussian(*given)


def test_covariances_that_are_none_are_refused() -> None:
    mean, cov, *_ = gaussians(3, 9)
    skew = 9 * cov
    skew[0, 1] += 1
    with pytest.raises(ValueError, match="cov2: expected symmetric covariances"):
        coalign.wasserstein_gaussian(mean, cov, mean, skew)
    with pytest.raises(ValueError, match="cov1: expected positive semi-definite"):
        coalign.wasserstein_gaussian(mean, -cov, mean, cov)
    with pytest.raises(ValueError, match=r"cov1: expected shape \(3, 3\)"):
        coalign.wasserstein_gaussian(mean, cov[:2, :2].copy(), mean, cov)


def test_large_positions_overflow_as_in_a_batch() -> None:
    far = np.array([-1e200, 0.0, 1e200])
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert coalign.wasserstein_1d(far, far + 1e200, p=2) == np.inf
    single = np.array([-3e38, 3e38], np.float32)
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert coalign.wasserstein_1d(single, -single[:1], p=2) == np.inf
