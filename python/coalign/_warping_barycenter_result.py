"""What the barycenter of series is returned as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ._errors import Status
from ._result import PlainResult


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WarpingBarycenter(PlainResult):
    """A barycenter of series under dynamic time warping, or under soft-DTW.

    Attributes
    ----------
    series : array of shape (T,) or (T, D)
        The barycenter.
    cost : array of shape (n,)
        Cost of the best path between the barycenter and each series, as `dtw` gives it; from
        `soft_dtw_barycenter`, the value of `soft_dtw`.
    inertia : float64 scalar
        Σ_k w_k cost_k, which the barycenter is to make small.
    iterations : int64 scalar
        How many times a new series was computed; of `soft_dtw_barycenter`, how many steps it took.
    status : int32 scalar
        A `Status`: NOT_CONVERGED where the last iteration still lowered the inertia by more than
        `tol` of it, PRECISION_LIMIT where a cost or the inertia overflows its dtype.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.dtw_barycenter([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 3.0, 0.0]])
    >>> found.series.tolist(), float(found.inertia)
    ([0.0, 0.5, 2.0, 0.0], 2.5)
    """

    series: Any
    cost: Any
    inertia: Any
    iterations: Any
    status: Any

    _fields: ClassVar[tuple[str, ...]] = ("series", "cost", "inertia", "iterations", "status")
    _wrong: ClassVar = {
        Status.NOT_CONVERGED: (ArithmeticError, "the inertia still falls by more than tol"),
        Status.PRECISION_LIMIT: (OverflowError, "a cost or the inertia overflows its dtype"),
    }


# Not in the class's body: there, dataclass would look up ClassVar in the module that it names.
WarpingBarycenter.__module__ = "coalign"
