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
    """Match the rows of a cost matrix with its columns, one to one, at the least total cost.

    Minimises Σ c_ij over the matchings of min(N, M) pairs. With ``max_cost=L`` it minimises
    Σ (c_ij - L) over all matchings instead, so a pair is made only if it costs less than L. The
    result is exact, and `Assignment.gap` proves it.

    Parameters
    ----------
    cost : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs of one problem, a padded batch, or a ragged batch. N and M may be in any ratio;
        nothing is padded. +inf forbids a pair (-inf when maximising). SciPy's CSR, CSC and COO
        matrices are never made dense: a pair that is not stored is forbidden, a stored zero is a
        cost of zero, and duplicate entries add up.
    maximize : bool
        Find the greatest total instead.
    max_cost : float, optional
        A pair must cost less than this (or be worth more, when maximising). inf makes as many pairs
        as the forbidden ones allow, at the least cost (-inf when maximising).
    row_lengths, col_lengths : int array of shape (B,), optional
        Numbers of rows and columns of each problem in a padded batch. Entries past them are never
        read.
    warm_start : Assignment, optional
        An earlier result for costs of the same shape. The search starts from its prices and pairs,
        which takes about half the time if few costs have changed. It is ignored unless N = M and
        `max_cost` is None.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None follows `cost`. "cuda" takes host arrays to the GPU and brings the
        result back. "auto" does the same if there is a usable GPU and at least 64 problems with 4
        million costs in all; otherwise it stays on the CPU, as it does for sparse costs, an
        infinite `max_cost` and `warm_start`.

    Returns
    -------
    Assignment
        Matchings, totals and duals, as arrays of the input's kind. float16, bfloat16 and float32
        costs are computed in float32 (in float64 if `max_cost` is infinite or beyond float32's
        range), others in float64.
        Costs on a GPU are solved there, on the caller's current stream, without waiting for it.
        NaN, or a problem without a matching, then shows in `status`, and `check()` raises for it.

    Raises
    ------
    ValueError
        A shape, length or option is wrong, or a cost is NaN or -inf (+inf when maximising).
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        The forbidden pairs leave no matching of the whole shorter side.
    DeviceError
        The device cannot be used.

    Warns
    -----
    RuntimeWarning
        A total could not be proved to be within 1e-12 (float32: 1e-6) of the optimum, relative to
        the costs of its pairs; its status is PRECISION_LIMIT.

    See Also
    --------
    linear_sum_assignment : The same with SciPy's signature.
    assign_top_k : The k cheapest matchings.

    References
    ----------
    * R. Jonker, A. Volgenant: A shortest augmenting path algorithm for dense and sparse linear
      assignment problems. Computing 38 (1987).
    * D. P. Bertsekas: The auction algorithm: a distributed relaxation method for the assignment
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

    Any two of them differ in at least one pair, and every matching left out costs at least as much
    as the last. Each makes min(N, M) pairs, as `assign` does without `max_cost`.

    Parameters
    ----------
    cost : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs of one problem, a padded batch, or a ragged batch. +inf forbids a pair (-inf when
        maximising). SciPy's CSR, CSC and COO matrices are taken as in `assign`, but are made dense.
    k : int
        How many matchings to find, at least 1.
    maximize : bool
        Find the greatest totals instead.
    row_lengths, col_lengths : int array of shape (B,), optional
        Numbers of rows and columns of each problem in a padded batch. Entries past them are never
        read.
    threads : int, optional
        The largest number of threads, as in `assign`.

    Returns
    -------
    RankedAssignments
        Matchings and totals, as arrays of the input's kind, computed in float64. They have k rows,
        or as many as the largest problem has matchings, if these are fewer: M! / (M - N)! for
        N ≤ M. If forbidden pairs, or the lengths of a smaller problem, leave fewer than that, the
        rest of the rows are -1 and their totals are inf (-inf when maximising).

    Raises
    ------
    ValueError
        A shape or length is wrong, k is less than 1, or a cost is NaN or -inf (+inf when
        maximising).
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.

    Warns
    -----
    RuntimeWarning
        A least total could not be proved to be within 1e-12 of the optimum, relative to the costs
        of its pairs; its status is PRECISION_LIMIT.

    See Also
    --------
    assign : The cheapest matching, with its proof.

    References
    ----------
    * K. G. Murty: An algorithm for ranking all the assignments in order of increasing cost.
      Operations Research 16 (1968).
    * M. L. Miller, H. S. Stone, I. J. Cox: Optimizing Murty's ranked assignment method. IEEE
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
        Costs, in whatever form SciPy's takes; +inf forbids a pair (-inf when maximising). They are
        converted to float64, as SciPy does.
    maximize : bool
        Find the greatest total instead.

    Returns
    -------
    rows, cols : int64 arrays of shape (min(N, M),)
        The pairs, by ascending row. The total is SciPy's; where several matchings have that total,
        the pairs may differ from SciPy's.

    Raises
    ------
    ValueError
        The matrix is not 2-D, holds NaN or -inf (+inf when maximising), or has no matching that
        avoids the forbidden pairs.
    TypeError
        The matrix does not hold real numbers.

    Warns
    -----
    RuntimeWarning
        The total could not be proved to be within 1e-12 of the optimum.

    See Also
    --------
    assign : Batches, limits and proofs.

    Examples
    --------
    >>> import coalign
    >>> rows, cols = coalign.linear_sum_assignment([[4, 1, 3], [2, 0, 5], [3, 2, 2]])
    >>> rows.tolist(), cols.tolist()
    ([0, 1, 2], [1, 0, 2])
    """
    return _core.linear_sum_assignment(cost_matrix, maximize)
