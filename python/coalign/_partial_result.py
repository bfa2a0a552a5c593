"""What partial transport is returned as."""

from __future__ import annotations

from typing import ClassVar

from ._core import PartialFields, connect_result
from ._errors import InfeasibleError, Status
from ._transport_result import Plans


class PartialTransport(PartialFields, Plans):
    """Entropic plans of one or more problems that move a part of the mass.

    The plan is P_ij = exp((f_i + g_j - C_ij) / ε). f_i - ε log a_i is greatest, and the same, for
    the rows that keep some of their mass, and g_j = ε log b_j for the columns that could take more.
    A row or a column without weight has the potential -inf and an empty row or column of the plan.

    Attributes
    ----------
    f : array of shape (N,), (B, N), or list of (N,) arrays, of the dtype of the computation
        The potentials of the rows, in the costs' unit. 0 past the length of a problem.
    g : array of shape (M,), (B, M), or list of (M,) arrays, of the dtype of the computation
        The potentials of the columns, in the costs' unit. 0 past the length of a problem.
    cost : float64 scalar, or array of shape (B,)
        Σ P_ij C_ij, in the costs' unit times mass.
    value : float64 scalar, or array of shape (B,)
        The objective: `cost` + ε KL(P | a bᵀ), where KL(p | q) is Σ (p log(p / q) - p + q).
    marginal_error : float64 scalar, or array of shape (B,)
        What the plan of the returned potentials misses, over the mass: ``|Σ P_ij - mass|``, and
        what the sum s of each row and column is off min(w, s e^((d - p) / ε)), where w is its
        weight, p = f - ε log a or g - ε log b, and d the greatest p of its side. So nothing is
        above its weight, and what is held back is full.
    iterations : int64 scalar, or array of shape (B,)
        How many updates of all potentials were made.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: NOT_CONVERGED if `max_iterations` were not enough,
        PRECISION_LIMIT if potentials that are rounded to the dtype cannot come closer.
    cost_matrix : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        The costs that were given: a reference, never a copy.
    a, b : arrays, lists of arrays, or None
        The weights that were given.
    mass : float, or float64 array of shape (B,)
        How much was to be moved.
    epsilon : float, or float64 array of shape (B,)
        The regularisation ε, in the costs' unit.
    tol : float
        The marginal error that was asked for.
    row_lengths, col_lengths : int64 array of shape (B,), or None
        Numbers of rows and columns of each problem of a padded batch, as they were given.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.partial_transport([[0.0, 5.0], [5.0, 9.0]], mass=0.5, epsilon=0.1)
    >>> round(float(found.cost), 3), bool(found.converged)
    (0.0, True)
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.NAN: (ValueError, "a cost is NaN or -inf"),
        Status.INFEASIBLE: (InfeasibleError, "finite costs do not allow the mass"),
        Status.NOT_CONVERGED: (ArithmeticError, "more iterations are needed"),
        Status.PRECISION_LIMIT: (ArithmeticError, "the dtype cannot hold better potentials"),
    }

    @property
    def unbalanced(self) -> None:
        """None: divergences from the marginals have no price."""
        return None


connect_result(PartialTransport)
