"""What calls over Gaussians refuse, to the last word."""

from __future__ import annotations

from typing import Any

import numpy as np

import coalign
from refusals import Call, assert_refused, put, table

EYE = np.eye(3)
MEAN = np.zeros(3)
EYES = np.stack([EYE] * 2)


def distance(**changes: Any) -> Call:
    given = {"mean1": MEAN, "cov1": EYE, "mean2": MEAN, "cov2": EYE, **changes}
    return lambda: coalign.wasserstein_gaussian(**given)


def barycenter(**changes: Any) -> Call:
    given = {"means": np.zeros((2, 3)), "covs": EYES, **changes}
    return lambda: coalign.gaussian_barycenter(**given)


@table(
    (
        "one axis",
        distance(cov1=MEAN),
        ValueError,
        "cov1: expected a 2-D or 3-D array, got shape (3,)",
    ),
    (
        "another dimension",
        distance(cov2=np.eye(2)),
        ValueError,
        "cov2: expected shape (3, 3) to go with mean1, got shape (2, 2)",
    ),
    (
        "another dimension in a list",
        distance(mean2=[MEAN, np.zeros(2)]),
        ValueError,
        "mean2[1]: expected shape (3,) to go with mean1, got shape (2,)",
    ),
    (
        "no dimension",
        distance(mean1=np.zeros((2, 0))),
        ValueError,
        "mean1: expected at least one dimension, got shape (0,)",
    ),
    (
        "batches of two sizes",
        distance(cov1=EYES, mean2=np.zeros((3, 3))),
        ValueError,
        "cov1 and mean2: expected batches of one size, got 2 and 3",
    ),
    (
        "not symmetric",
        distance(cov1=put(EYE, (0, 2), 0.5)),
        ValueError,
        "cov1: expected symmetric covariances, got 0.5 at index (0, 2) and 0.0 across the diagonal",
    ),
    (
        "not symmetric in a batch",
        distance(cov2=put(EYES, (1, 0, 2), 0.5)),
        ValueError,
        "cov2: expected symmetric covariances, got 0.5 at index (1, 0, 2) and 0.0 across the "
        "diagonal",
    ),
    (
        "not positive",
        distance(cov1=put(EYE, (1, 1), -2.0)),
        ValueError,
        "cov1: expected positive semi-definite covariances, got one with the eigenvalue -2.0",
    ),
    (
        "not positive in a batch",
        distance(cov1=put(EYES, (1, 1, 1), -2.0)),
        ValueError,
        "cov1: expected positive semi-definite covariances, got one with the eigenvalue -2.0 at "
        "index (1,)",
    ),
    (
        "not positive in a list",
        distance(cov1=[EYE, put(EYE, (1, 1), -2.0)]),
        ValueError,
        "cov1[1]: expected positive semi-definite covariances, got one with the eigenvalue -2.0",
    ),
    (
        "not positive in a problem of a batch",
        barycenter(covs=put(np.stack([EYES] * 2), (1, 0, 2, 2), -2.0)),
        ValueError,
        "covs: expected positive semi-definite covariances, got one with the eigenvalue -2.0 at "
        "index (1, 0)",
    ),
    (
        "too few covariances",
        barycenter(covs=EYES[:1]),
        ValueError,
        "covs: expected shape (2, 3, 3) to go with means, got shape (1, 3, 3)",
    ),
    (
        "too few weights",
        barycenter(weights=[1.0]),
        ValueError,
        "weights: expected shape (2,) to go with means, got shape (1,)",
    ),
    (
        "a negative weight",
        barycenter(weights=[1.0, -1.0]),
        ValueError,
        "weights: -1.0 at index (1,); expected weights of at least 0",
    ),
    (
        "a weight that is NaN",
        barycenter(weights=[1.0, np.nan]),
        ValueError,
        "weights: NaN at index (1,); expected finite values",
    ),
    (
        "no weight",
        barycenter(weights=[0, 0]),
        ValueError,
        "weights: expected weights of a positive sum, got 0",
    ),
    (
        "no Gaussian",
        barycenter(means=np.zeros((0, 3)), covs=EYES[:0]),
        ValueError,
        "means: expected at least one Gaussian, got shape (0, 3)",
    ),
    (
        "a negative tolerance",
        barycenter(tol=-1),
        ValueError,
        "tol: expected a finite number of at least 0, got -1.0",
    ),
    (
        "no iteration",
        barycenter(max_iterations=0),
        ValueError,
        "max_iterations: expected a number from 1 to 2147418112, got 0",
    ),
)
def test_it_is_refused(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


def test_rounding_is_no_asymmetry_and_no_negative_eigenvalue() -> None:
    for dtype, rounding in ((np.float64, 1e-12), (np.float32, 1e-5)):
        mean = MEAN.astype(dtype)
        askew = put(EYE, (0, 2), rounding).astype(dtype)
        below = np.diag([1.0, 1.0, -rounding]).astype(dtype)
        for cov in (askew, below):
            found = coalign.wasserstein_gaussian(mean, cov, mean, np.diag(np.diag(cov) > 0.5))
            assert abs(found) < 2 * rounding
