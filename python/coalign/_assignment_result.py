"""What assignment calls return."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ._arrays import on_host, to_host
from ._core import AssignmentFields, RankedFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result

#: What `check` raises, and says.
_WRONG = {
    Status.INFEASIBLE: (InfeasibleError, "no matching"),
    Status.PRECISION_LIMIT: (ArithmeticError, "the total could not be proved"),
    Status.NAN: (ValueError, "NaN in the cost"),
    Status.INVALID: (
        ValueError,
        "an infinite cost that forbids nothing, or a length out of range",
    ),
}


class Assignment(AssignmentFields, Result):
    """Cheapest matchings of the rows and columns of one or more cost matrices, with their proofs.

    The duals prove the optimum. u_i + v_j ≤ c_ij everywhere, with equality on the pairs, and on the
    longer side the duals are ≤ 0, and 0 where unmatched. So no matching costs less than Σu + Σv,
    which is the total. With ``max_cost=L``, u_i ≤ L and v_j ≤ 0; unmatched rows have u_i = L and
    unmatched columns v_j = 0. When maximising, every inequality turns round.

    Attributes
    ----------
    col_of_row : int64 array of shape (N,), (B, N), or list of (N,) arrays
        The column that each row is matched with, -1 if unmatched.
    row_of_col : int64 array of shape (M,), (B, M), or list of (M,) arrays
        The row that each column is matched with, -1 if unmatched.
    total : float64 scalar, or array of shape (B,)
        Sum of the costs of the pairs, in the costs' unit.
    row_dual : array of shape (N,), (B, N), or list of (N,) arrays, of the dtype of the computation
        The duals u of the rows, in the costs' unit.
    col_dual : array of shape (M,), (B, M), or list of (M,) arrays, of the dtype of the computation
        The duals v of the columns, in the costs' unit.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem.
    maximize : bool
        Whether the greatest total was asked for.
    max_cost : float or None
        The limit that every pair had to stay below (above, when maximising).
    row_lengths, col_lengths : int64 array of shape (B,), or None
        Numbers of rows and columns of each problem of a padded batch; None where every problem
        fills it.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.assign([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]])
    >>> found.col_of_row.tolist(), found.row_of_col.tolist(), float(found.total)
    ([1, 0], [1, 0, -1], 3.0)
    >>> found.row_dual.tolist(), found.col_dual.tolist()
    ([3.0, 2.0], [0.0, -2.0, 0.0])
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = _WRONG

    def pairs(self) -> Any:
        """Return the matched (row, column) pairs, in the order of the rows, on the host.

        Returns
        -------
        int64 array of shape (K, 2), or list of B such arrays
            NumPy arrays. A result on a GPU is waited for.

        Examples
        --------
        >>> import coalign
        >>> coalign.assign([[4.0, 1.0, 3.0], [2.0, 0.5, 5.0]]).pairs().tolist()
        [[0, 1], [1, 0]]
        """
        if self._is_batch():
            return [_pairs(columns) for columns in on_host(self.col_of_row)]
        return _pairs(on_host(self.col_of_row))

    def gap(self, cost: Any) -> Any:
        """Return an upper bound of the total's distance from the optimum: a proof.

        The bound is computed anew from `cost` and the duals, which are made feasible first, so it
        holds whatever they are. It includes every rounding of its own evaluation, and that of
        `total`: the distance is never more. It is never negative, and exactly 0 where no rounding
        is left in doubt, as for integers. It is inf where nothing is proved: a dual or a total is
        not finite, a difference of costs overflows, or the pairs are no matching of the whole
        shorter side, as in a problem without an answer.

        Parameters
        ----------
        cost : array of shape (N, M), (B, N, M), list of (N, M) arrays, or sparse as in `assign`
            The cost that was solved, as the numbers that `assign` computes with: integers past
            2**53 are those of float64, and duplicate entries of a sparse matrix are added up. What
            lies past the lengths of a padded batch is not read.

        Returns
        -------
        float64 scalar, or array of shape (B,)
            Total minus lower bound, rounded up (upper bound minus total when maximising). With
            ``max_cost=L`` it refers to Σ (c_ij - L) over the pairs; if L is infinite, to the
            matchings of as many pairs.

        Raises
        ------
        ValueError
            The shape of `cost` is not the one that was solved, a pair is not stored in it, or a
            value is NaN or -inf (+inf when maximising).

        Examples
        --------
        >>> import coalign
        >>> cost = [[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]]
        >>> found = coalign.assign(cost)
        >>> float(found.gap(cost))
        0.0
        >>> float(found.__replace__(col_dual=0 * found.col_dual).gap(cost))  # these prove less
        2.0
        """
        # Imported at first use: plain calls do not need it.
        from ._certificate import gap

        return gap(self, cost)

    def _is_batch(self) -> bool:
        return np.ndim(to_host(self.status)) > 0


def _pairs(col_of_row: Any) -> Any:
    rows = np.flatnonzero(col_of_row >= 0)
    return np.stack([rows, col_of_row[rows]], axis=1)


class RankedAssignments(RankedFields, Result):
    """The k best matchings of the rows and columns of one or more cost matrices, best first.

    There are fewer than k if no problem of the call has as many: N rows and M ≥ N columns have
    M! / (M - N)! matchings. Forbidden pairs do not count here: what they rule out is filled.

    Attributes
    ----------
    col_of_row : int64 array of shape (k, N), (B, k, N), or list of (k, N) arrays
        The column that each row is matched with in each matching, -1 if unmatched.
    total : float64 array of shape (k,) or (B, k)
        Sums of the costs of the pairs, in ascending order (descending when maximising); inf (-inf)
        past the last matching that exists.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: INFEASIBLE if it has no matching at all, PRECISION_LIMIT if the
        best could not be proved.
    maximize : bool
        Whether the greatest totals were asked for.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.assign_top_k([[4.0, 1.0], [2.0, 0.0]], 3)
    >>> found.total.tolist()
    [3.0, 4.0]
    >>> found.col_of_row.tolist()
    [[1, 0], [0, 1]]
    >>> coalign.assign_top_k([[4.0, 1.0], [2.0, float("inf")]], 3).total.tolist()
    [3.0, inf]
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = _WRONG


connect_result(Assignment)
