"""What assignment calls return."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ._arrays import on_host, to_host
from ._core import AssignmentFields, RankedFields, connect_assignment
from ._errors import InfeasibleError, Status
from ._result import Result


class Assignment(AssignmentFields, Result):
    r"""Cheapest matchings of the rows and columns of one or more cost matrices, with their proofs.

    The duals prove the optimum: :math:`u_i + v_j \le c_{ij}` everywhere, with equality on pairs, so
    that no matching costs less than :math:`\sum u + \sum v`; when maximising, :math:`\ge`, and none
    is worth more. Of the longer side the duals are :math:`\le 0`, and 0 where unmatched. With
    `max_cost` L, :math:`u_i \le L` and :math:`v_j \le 0`, unmatched rows have :math:`u_i = L`
    and unmatched columns :math:`v_j = 0`.

    Attributes
    ----------
    col_of_row : int64 array of shape (N,), (B, N), or list of (N,) arrays
        The column of each row, -1 for none.
    row_of_col : int64 array of shape (M,), (B, M), or list of (M,) arrays
        The row of each column, -1 for none.
    total : float64 scalar, or array of shape (B,)
        Sum of the costs of the pairs.
    row_dual, col_dual : arrays like `col_of_row` and `row_of_col`, of the dtype of the cost
        The duals u and v.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem.
    maximize : bool
        Whether the greatest total was asked for.
    max_cost : float or None
        What a pair had to cost less than (when maximising, be worth more than).
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "no matching"),
        Status.NAN: (ValueError, "NaN in the cost"),
        Status.INVALID: (
            ValueError,
            "an infinite cost that forbids nothing, or a length out of range",
        ),
    }

    def pairs(self) -> Any:
        """Return the matched (row, column) pairs, in the order of the rows, on the host.

        Returns
        -------
        int64 array of shape (K, 2), or list of B such arrays
            In NumPy; waits for a GPU to have computed them.

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
        """Return how far the total may be from the optimum: a proof that needs no trust.

        The duals are made feasible for `cost` first, so that the bound they give holds whatever
        they are; the gap is 0 but for rounding.

        Parameters
        ----------
        cost : array of shape (N, M), (B, N, M), list of (N, M) arrays, or sparse as in `assign`
            The cost that was solved.

        Returns
        -------
        float64 scalar, or array of shape (B,)
            Total minus bound (when maximising, bound minus total), with `max_cost` of the sum over
            pairs of cost - max_cost.

        Raises
        ------
        ValueError
            The cost has not the shape that was solved.

        Examples
        --------
        >>> import coalign
        >>> cost = [[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]]
        >>> float(coalign.assign(cost).gap(cost))
        0.0
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

    Attributes
    ----------
    col_of_row : int64 array of shape (k, N), (B, k, N), or list of (k, N) arrays
        The column of each row in each matching, -1 for none.
    total : float64 array of shape (k,) or (B, k)
        Sum of the costs of the pairs, ascending (descending when maximising); inf (-inf) past the
        last matching that exists.
    maximize : bool
        Whether the greatest totals were asked for.
    """

    __slots__ = ()
    __module__ = "coalign"


connect_assignment(Assignment)
