"""What the barycenter of Gaussians is returned as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ._errors import Status
from ._result import PlainResult


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GaussianBarycenter(PlainResult):
    """The 2-Wasserstein barycenters of one or more sets of Gaussians.

    Attributes
    ----------
    mean : array of shape (d,), (B, d), or list of (d,) arrays
        The mean.
    cov : array of shape (d, d), (B, d, d), or list of (d, d) arrays
        The covariance, symmetric and positive semi-definite up to rounding.
    residual : float64 scalar, or array of shape (B,)
        How far `cov` is from a fixed point: the root mean square by which the average of the maps
        to the given Gaussians moves a point, relative to the root mean square distance of the
        points from their mean. It is 0 at a barycenter.
    iterations : int64 scalar, or array of shape (B,)
        How many iterations were made.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: NOT_CONVERGED where the residual exceeds the tolerance.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.gaussian_barycenter([[0.0], [1.0]], [[[4.0]], [[4.0]]])
    >>> found.cov.round(12).tolist(), coalign.Status(int(found.status)).name
    ([[4.0]], 'OK')
    """

    mean: Any
    cov: Any
    residual: Any
    iterations: Any
    status: Any

    _fields: ClassVar[tuple[str, ...]] = ("mean", "cov", "residual", "iterations", "status")
    _wrong: ClassVar = {Status.NOT_CONVERGED: (ArithmeticError, "the residual exceeds tol")}


# Not in the class's body: there, dataclass would look up ClassVar in the module that it names.
GaussianBarycenter.__module__ = "coalign"
