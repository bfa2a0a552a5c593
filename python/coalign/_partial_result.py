"""What partial transport is returned as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ._errors import InfeasibleError, Status
from ._result import PlainResult


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PartialTransport(PlainResult):
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

    f: Any
    g: Any
    cost: Any
    value: Any
    marginal_error: Any
    iterations: Any
    status: Any
    cost_matrix: Any
    a: Any
    b: Any
    mass: Any
    epsilon: Any
    tol: Any
    row_lengths: Any
    col_lengths: Any

    _fields: ClassVar[tuple[str, ...]] = (
        "f",
        "g",
        "cost",
        "value",
        "marginal_error",
        "iterations",
        "status",
        "cost_matrix",
        "a",
        "b",
        "mass",
        "epsilon",
        "tol",
        "row_lengths",
        "col_lengths",
    )
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

    @property
    def converged(self) -> Any:
        """Whether `marginal_error` ≤ `tol`, and nothing else: bool, or array of shape (B,)."""
        return self.marginal_error <= self.tol

    def plan(self) -> Any:
        """Return the plan.

        Returns
        -------
        array of shape (N, M), (B, N, M), or list of (N, M) arrays
            P_ij = exp((f_i + g_j - C_ij) / ε), of the dtype of the computation; 0 past the lengths
            of a padded batch.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.partial_transport([[0.0, 5.0], [5.0, 9.0]], mass=0.5, epsilon=0.1)
        >>> found.plan().round(3).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
        """
        return _plans().plan(self, "plan")

    def apply(self, v: Any, *, transpose: bool = False) -> Any:
        """Return the plan times vectors, without a plan in memory.

        Parameters
        ----------
        v : array of shape (M,) or (M, K), (B, M) or (B, M, K), or list of such arrays
            Vectors beside the columns; with `transpose` beside the rows. One vector goes with every
            problem of a batch.
        transpose : bool
            Multiply with the transpose of the plan instead.

        Returns
        -------
        array of shape (N,) or (N, K), (B, N) or (B, N, K), or list of such arrays
            P v, or Pᵀ v; sums are in float64. 0 past the lengths of a padded batch.

        Raises
        ------
        ValueError
            The shape of `v` is not that of the columns, or the rows.
        TypeError
            A dtype or kind of array is wrong.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.partial_transport([[0.0, 5.0], [5.0, 9.0]], mass=0.5, epsilon=0.1)
        >>> found.apply([1.0, 1.0]).round(3).tolist()
        [0.5, 0.0]
        """
        return _plans().apply(self, v, transpose)

    def hard(self) -> Any:
        """Return the column that has most of each row, the first of equals.

        Returns
        -------
        int64 array of shape (N,), (B, N), or list of (N,) arrays
            -1 for a row without weight, and past the length of a problem. A row that moves next to
            nothing has a column too: see the sums of the plan, `apply` of ones.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.partial_transport([[0.0, 5.0], [5.0, 9.0]], mass=0.5, epsilon=0.1)
        >>> found.hard().tolist()
        [0, 0]
        """
        return _plans().hard(self)


def _plans() -> Any:
    # Imported at first use, as for `Transport`.
    from . import _transport_plan

    return _transport_plan


# Not in the class's body: there, dataclass would look up ClassVar in the module that it names.
PartialTransport.__module__ = "coalign"
