"""What entropic barycenters are returned as."""

from __future__ import annotations

from typing import Any, ClassVar

from ._core import BarycenterFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


class SinkhornBarycenter(BarycenterFields, Result):
    """Entropic barycenters of one or more sets of histograms.

    Attributes
    ----------
    weights : array of shape (M,), (B, M), or list of (M,) arrays
        The barycenter, of the mass of the histograms.
    marginal_error : float64 scalar, or array of shape (B,)
        Σ_k w_k ‖P_kᵀ1 - weights‖₁ over the mass, where P_k is the plan of histogram k, whose row
        sums are the histogram.
    iterations : int64 scalar, or array of shape (B,)
        How many updates were made.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: NOT_CONVERGED if `max_iterations` were not enough,
        PRECISION_LIMIT if the dtype rounds by more than `tol`.
    tol : float
        The marginal error that was asked for.

    Examples
    --------
    >>> import coalign
    >>> a = [[0.5, 0.5], [0.5, 0.5]]
    >>> found = coalign.sinkhorn_barycenter(a, [[0.0, 1.0], [1.0, 0.0]], epsilon=0.5)
    >>> found.weights.tolist(), bool(found.converged)
    ([0.5, 0.5], True)
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.NAN: (ValueError, "a cost is NaN or -inf"),
        Status.INFEASIBLE: (InfeasibleError, "a row has no finite cost"),
        Status.NOT_CONVERGED: (ArithmeticError, "more iterations are needed"),
        Status.PRECISION_LIMIT: (ArithmeticError, "the dtype cannot hold a better barycenter"),
    }

    @property
    def converged(self) -> Any:
        """Whether `marginal_error` ≤ `tol`, and nothing else: bool, or array of shape (B,)."""
        return self.marginal_error <= self.tol


connect_result(SinkhornBarycenter)
