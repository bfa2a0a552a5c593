"""Assignment: the cheapest one-to-one matching of two sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._assignment_result import Assignment, RankedAssignments

__all__ = ["Assignment", "RankedAssignments", "assign", "assign_top_k", "linear_sum_assignment"]


def assign(
    cost: Any,
    *,
    maximize: bool = False,
    max_cost: float | None = None,
    row_lengths: Any = None,
    col_lengths: Any = None,
    warm_start: Assignment | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> Assignment:
    r"""Match the rows of a cost matrix with its columns, one to one, at the least total cost.

    Minimises :math:`\sum c_{ij}` over the matchings of min(N, M) pairs; with `max_cost` L,
    :math:`\sum (c_{ij} - L)` over all matchings, so that a pair is made only where it costs less
    than L. The result is exact, and `Assignment.gap` proves it.

    Parameters
    ----------
    cost : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs of one problem, a padded batch, or a ragged batch; N and M in any ratio, nothing is
        padded. +inf forbids a pair (-inf when maximising). Of SciPy's sparse matrices, CSR or CSC,
        what is not stored is forbidden, a stored zero is a cost, and entries of one pair add up;
        they are never made dense.
    maximize : bool
        Find the greatest total instead.
    max_cost : float, optional
        Pairs cost less than it (when maximising, are worth more). inf (-inf when maximising) makes
        as many pairs as the forbidden ones allow, then the cheapest.
    row_lengths, col_lengths : int array of shape (B,), optional
        Rows and columns of each problem of a padded batch; what lies past them is never read.
    warm_start : Assignment, optional
        An earlier result for costs of the same shape, whose prices and pairs the search starts
        from: about twice as fast where little has changed. Used where N = M, without `max_cost`.
    threads : int, optional
        At most this many; None takes the CPUs this process may use, or COALIGN_NUM_THREADS.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None follows `cost`; "cuda" takes host arrays to the GPU and the result
        back; "auto" uses a usable GPU, else the CPU, and the CPU for what no GPU does: sparse
        costs, an infinite `max_cost`, `warm_start`.

    Returns
    -------
    Assignment
        Matchings, totals and duals, of the input's kind; computed in float32 for float16, bfloat16
        and float32 (with an infinite `max_cost` in float64), else in float64. Costs on a GPU are
        solved there, on the caller's current stream and without waiting for it: a cost that is NaN,
        or a problem without a matching, shows in `status`, and `check()` raises for it.

    Raises
    ------
    ValueError
        A shape, length or option is wrong, or a cost is NaN or infinite the wrong way.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        The forbidden pairs leave no matching of the whole shorter side.
    DeviceError
        The device cannot be used.

    See Also
    --------
    linear_sum_assignment : SciPy's signature.

    References
    ----------
    R. Jonker, A. Volgenant: A shortest augmenting path algorithm for dense and sparse linear
    assignment problems. Computing 38 (1987).
    D. P. Bertsekas: The auction algorithm: a distributed relaxation method for the assignment
    problem. Annals of Operations Research 14 (1988).

    Examples
    --------
    >>> import coalign
    >>> found = coalign.assign([[8.0, 25.0, 50.0], [50.0, 35.0, 75.0], [22.0, 48.0, 150.0]])
    >>> float(found.total), found.col_of_row.tolist()
    (107.0, [2, 1, 0])
    >>> coalign.assign([[1.0, 9.0], [9.0, 8.0]], max_cost=5.0).col_of_row.tolist()
    [0, -1]
    """
    return _core.assign(
        cost, maximize, max_cost, row_lengths, col_lengths, warm_start, threads, device
    )


def assign_top_k(
    cost: Any,
    k: int,
    *,
    maximize: bool = False,
    row_lengths: Any = None,
    col_lengths: Any = None,
    threads: int | None = None,
) -> RankedAssignments:
    """Find the k cheapest matchings of the rows of a cost matrix with its columns, in order.

    All differ in at least one pair, and none left out is cheaper than the last. Each makes
    min(N, M) pairs, as that of `assign` without `max_cost` does.

    Parameters
    ----------
    cost : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs of one problem, a padded batch, or a ragged batch. +inf forbids a pair (-inf when
        maximising).
    k : int
        How many.
    maximize : bool
        Find the greatest totals instead.
    row_lengths, col_lengths : int array of shape (B,), optional
        Rows and columns of each problem of a padded batch; what lies past them is never read.
    threads : int, optional
        At most this many; None takes the CPUs this process may use, or COALIGN_NUM_THREADS.

    Returns
    -------
    RankedAssignments
        Matchings and totals, of the input's kind; computed in float64. Where there are fewer than
        k matchings, or none, the rest are -1 and their totals infinite.

    Raises
    ------
    ValueError
        A shape or length is wrong, k is less than 1, or a cost is NaN or infinite the wrong way.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.

    See Also
    --------
    assign : the best one, with its proof.

    References
    ----------
    K. G. Murty: An algorithm for ranking all the assignments in order of increasing cost.
    Operations Research 16 (1968).
    M. L. Miller, H. S. Stone, I. J. Cox: Optimizing Murty's ranked assignment method. IEEE
    Transactions on Aerospace and Electronic Systems 33 (1997).

    Examples
    --------
    >>> import coalign
    >>> found = coalign.assign_top_k([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]], 3)
    >>> found.total.tolist()
    [5.0, 6.0, 6.0]
    >>> found.col_of_row[0].tolist()
    [1, 0, 2]
    """
    # Imported at first use: plain calls of `assign` do without it.
    from . import _assignment

    return _assignment.assign_top_k(cost, k, maximize, row_lengths, col_lengths, threads)


def linear_sum_assignment(
    cost_matrix: Any, maximize: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Solve the linear sum assignment problem, as `scipy.optimize.linear_sum_assignment` does.

    Parameters
    ----------
    cost_matrix : array of shape (N, M)
        Costs; +inf forbids a pair (-inf when maximising).
    maximize : bool
        Find the greatest total instead.

    Returns
    -------
    rows, cols : int64 arrays of shape (min(N, M),)
        The pairs, by ascending row. The total is SciPy's; among equal ones the pairs may differ.

    Raises
    ------
    ValueError
        The matrix is not 2-D, or holds NaN or an infinity that forbids nothing, or no matching
        avoids the forbidden pairs.
    TypeError
        The matrix holds no real numbers.

    See Also
    --------
    assign : batches, limits and proofs.

    Examples
    --------
    >>> import coalign
    >>> rows, cols = coalign.linear_sum_assignment([[4, 1, 3], [2, 0, 5], [3, 2, 2]])
    >>> rows.tolist(), cols.tolist()
    ([0, 1, 2], [1, 0, 2])
    """
    return _core.linear_sum_assignment(cost_matrix, maximize)
