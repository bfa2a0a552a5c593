"""What transport calls return."""

from __future__ import annotations

from typing import Any, ClassVar

from ._core import TransportFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


class Transport(TransportFields, Result):
    """Entropic transport plans of one or more problems, as the potentials that give them.

    The plan is P_ij = exp((f_i + g_j - C_ij) / ε). A row or a column without weight has the
    potential -inf and an empty row or column of the plan. Balanced potentials are shifted so that
    Σ b_j g_j = 0 over b_j > 0; unbalanced ones are not.

    Attributes
    ----------
    f : array of shape (N,), (B, N), or list of (N,) arrays, of the dtype of the computation
        The potentials of the rows, in the costs' unit. 0 past the length of a problem.
    g : array of shape (M,), (B, M), or list of (M,) arrays, of the dtype of the computation
        The potentials of the columns, in the costs' unit. 0 past the length of a problem.
    cost : float64 scalar, or array of shape (B,)
        Σ P_ij C_ij, in the costs' unit times mass.
    value : float64 scalar, or array of shape (B,)
        The objective: `cost` + ε KL(P | a bᵀ), and the penalties of the marginals if the problem is
        unbalanced. KL(p | q) is Σ (p log(p / q) - p + q).
    marginal_error : float64 scalar, or array of shape (B,)
        ‖P1 - a‖₁ + ‖Pᵀ1 - b‖₁ over the mass, of the plan of the returned f and g. Unbalanced: the
        distance from the marginals that are optimal for these potentials,
        a exp(-(f - ε log a) / ρ) and b exp(-(g - ε log b) / ρ), over the mean of both masses.
    iterations : int64 scalar, or array of shape (B,)
        How many updates of both potentials were made.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: NOT_CONVERGED if `max_iterations` were not enough,
        PRECISION_LIMIT if potentials that are rounded to the dtype cannot come closer.
    cost_matrix : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        The costs that were given: a reference, never a copy.
    a, b : arrays, lists of arrays, or None
        The weights that were given.
    epsilon : float, or float64 array of shape (B,)
        The regularisation ε, in the costs' unit.
    unbalanced : float, pair of floats, or None
        What a unit of divergence from the marginals costs.
    tol : float
        The marginal error that was asked for.
    row_lengths, col_lengths : int64 array of shape (B,), or None
        Numbers of rows and columns of each problem of a padded batch, as they were given.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.sinkhorn([[0.0, 1.0], [1.0, 0.0]], epsilon=0.1)
    >>> found.f.round(3).tolist(), found.g.round(3).tolist(), bool(found.converged)
    ([-0.069, -0.069], [0.0, 0.0], True)
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.NAN: (ValueError, "a cost is NaN or -inf"),
        Status.INFEASIBLE: (InfeasibleError, "a row or a column has no finite cost"),
        Status.NOT_CONVERGED: (ArithmeticError, "more iterations are needed"),
        Status.PRECISION_LIMIT: (ArithmeticError, "the dtype cannot hold better potentials"),
        Status.INVALID: (ValueError, "a weight or a length out of range"),
    }

    @property
    def converged(self) -> Any:
        """Whether `marginal_error` ≤ `tol`, and nothing else: bool, or array of shape (B,)."""
        return self.marginal_error <= self.tol


connect_result(Transport)
