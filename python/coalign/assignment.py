"""Assignment: the cheapest one-to-one matching of two sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _validate
from ._arrays import Array, lies_on_gpu, to_host
from ._assignment import NO_WARM_START, Options, Outcome, Start, rank, solve
from ._cuda_assignment import DeviceAssignments
from ._device import DeviceArray
from ._errors import DeviceError, InfeasibleError, Status
from ._sparse import SparseBatch, holds_sparse, take_sparse
from ._validate import MatrixBatch

__all__ = ["Assignment", "RankedAssignments", "assign", "assign_top_k", "linear_sum_assignment"]


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
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

    col_of_row: Any
    row_of_col: Any
    total: Any
    row_dual: Any
    col_dual: Any
    status: Any
    maximize: bool
    max_cost: float | None

    def check(self) -> Assignment:
        """Return self if every status is OK; else raise for the first that is not.

        Waits for a GPU to have computed it.

        Returns
        -------
        Assignment
            This object.

        Raises
        ------
        InfeasibleError
            The forbidden pairs leave no matching of the whole shorter side.
        ValueError
            On a GPU: a cost is NaN or infinite the wrong way, or a length is out of range.
        """
        for problem, status in enumerate(np.atleast_1d(to_host(self.status))):
            if status == Status.INFEASIBLE:
                raise InfeasibleError(f"problem {problem}: no matching")
            if status == Status.NAN:
                raise ValueError(f"problem {problem}: NaN in the cost")
            if status == Status.INVALID:
                raise ValueError(
                    f"problem {problem}: an infinite cost that forbids nothing, or a length out of "
                    "range"
                )
        return self

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
            return [_pairs(columns) for columns in _on_host(self.col_of_row)]
        return _pairs(_on_host(self.col_of_row))

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
        batch = _take_costs(_on_host(cost), (None, "row_lengths"), (None, "col_lengths"))
        if batch.is_batch != self._is_batch() or len(batch.rows) != np.size(to_host(self.status)):
            raise ValueError("cost: expected the shape that was solved")
        sides = [_on_host(side) for side in (self.col_of_row, self.col_dual, self.row_dual)]
        parts = sides if self._is_batch() else [[side] for side in sides]
        gaps = [
            self._gap(_costs_of(batch, p), *(to_host(part) for part in of_problem))
            for p, of_problem in enumerate(zip(*parts, strict=True))
        ]
        return np.array(gaps) if self._is_batch() else np.float64(gaps[0])

    def _gap(self, cost: _Costs, col_of_row: Array, col_dual: Array, row_dual: Array) -> float:
        """Bound one problem by its columns' duals, or its rows' where columns are the fewer."""
        if cost.shape != (len(col_of_row), len(col_dual)):
            raise ValueError("cost: expected the shape that was solved")
        sign = -1.0 if self.maximize else 1.0
        values = sign * cost.pairs(col_of_row)
        if self.max_cost is None:
            tall = cost.shape[0] > cost.shape[1]
            prices = sign * np.asarray(row_dual if tall else col_dual, np.float64)
            if cost.shape[0] != cost.shape[1]:
                prices = np.minimum(prices, 0)
            others = (cost.transposed() if tall else cost).least_reduced(prices, sign)
            return float(values.sum() - others.sum() - prices.sum())
        limit = sign * self.max_cost
        if np.isinf(limit):
            limit = max(np.max(sign * np.asarray(row_dual, np.float64), initial=0.0), 0.0)
        prices = np.minimum(sign * np.asarray(col_dual, np.float64), 0)
        others = np.minimum(cost.least_reduced(prices, sign), limit)
        rows = np.flatnonzero(col_of_row >= 0)
        # Of a matched row the limit cancels: subtracted, a large one would swallow the costs.
        free = np.delete(others, rows)
        return float((values - others[rows]).sum() + (limit - free).sum() - prices.sum())

    def _is_batch(self) -> bool:
        return np.ndim(to_host(self.status)) > 0


def _pairs(col_of_row: Any) -> Any:
    rows = np.flatnonzero(col_of_row >= 0)
    return np.stack([rows, col_of_row[rows]], axis=1)


def _on_host(values: Any) -> Any:
    """Copy arrays of any kind to NumPy, alone or in a list; waits for a GPU."""
    if isinstance(values, (list, tuple)):
        return [to_host(value) if lies_on_gpu(value) else value for value in values]
    return to_host(values) if lies_on_gpu(values) else values


@dataclass(frozen=True, slots=True, eq=False)
class RankedAssignments:
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

    col_of_row: Any
    total: Any
    maximize: bool


class _Dense:
    """The costs of one problem, to prove a result by."""

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix
        self.shape: tuple[int, ...] = matrix.shape

    def transposed(self) -> _Dense:
        return _Dense(self.matrix.T)

    def pairs(self, col_of_row: Array) -> npt.NDArray[np.float64]:
        """Return the costs of the pairs."""
        rows = np.flatnonzero(col_of_row >= 0)
        return np.asarray(self.matrix[rows, col_of_row[rows]], np.float64)

    def least_reduced(self, prices: Array, sign: float) -> npt.NDArray[np.float64]:
        """Return the least of sign * cost - prices of each row."""
        # Row by row: the matrix of them all may not fit beside the cost.
        least = (
            (sign * row.astype(np.float64) - prices).min(initial=np.inf) for row in self.matrix
        )
        return np.fromiter(least, np.float64, len(self.matrix))


class _Sparse:
    """The same of a sparse matrix, from the rows, columns and costs of its entries."""

    def __init__(
        self,
        rows: Array,
        columns: Array,
        costs: npt.NDArray[np.float64],
        shape: tuple[int, ...],
    ) -> None:
        self.rows, self.columns, self.costs, self.shape = rows, columns, costs, shape

    def transposed(self) -> _Sparse:
        return _Sparse(self.columns, self.rows, self.costs, self.shape[::-1])

    def pairs(self, col_of_row: Array) -> npt.NDArray[np.float64]:
        """Return the costs of the pairs, in the order of the rows."""
        stored = col_of_row[self.rows] == self.columns
        if np.count_nonzero(stored) != np.count_nonzero(col_of_row >= 0):
            raise ValueError(
                "cost: expected the matrix that was solved, with an entry at each pair"
            )
        costs: npt.NDArray[np.float64] = self.costs[stored][np.argsort(self.rows[stored])]
        return costs

    def least_reduced(self, prices: Array, sign: float) -> npt.NDArray[np.float64]:
        least = np.full(self.shape[0], np.inf)
        np.minimum.at(least, self.rows, sign * self.costs - prices[self.columns])
        return least


_Costs = _Dense | _Sparse


def _costs_of(batch: MatrixBatch | SparseBatch, problem: int) -> _Costs:
    if isinstance(batch, SparseBatch):
        return _Sparse(*batch.entries(problem), batch.matrix(problem).shape)
    return _Dense(batch.matrix(problem))


def _take_costs(
    cost: Any, row_lengths: tuple[Any, str], col_lengths: tuple[Any, str]
) -> MatrixBatch | SparseBatch:
    if holds_sparse(cost):
        return take_sparse(cost, "cost", row_lengths, col_lengths)
    return _validate.take_matrices(cost, "cost", row_lengths, col_lengths, empty=True, on_gpu=True)


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
    options = Options.take(maximize, max_cost, threads, device)
    batch = _take_costs(cost, (row_lengths, "row_lengths"), (col_lengths, "col_lengths"))
    outcome = solve(batch, options, _start(warm_start, batch, options))
    if isinstance(outcome, DeviceAssignments):
        return _as_device_result(outcome, batch, options)
    return _as_result(outcome, batch, options)


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
    options = Options.take(maximize, None, threads, None)
    count = _validate.take_count(k, "k")
    batch = _validate.take_matrices(
        cost, "cost", (row_lengths, "row_lengths"), (col_lengths, "col_lengths"), empty=True
    )
    columns, totals = rank(batch, count, options)
    wrap = batch.kind.wrap
    if not isinstance(batch.data, np.ndarray):
        ends = np.cumsum(batch.rows * count)[:-1]
        parts = [wrap(part.reshape(count, -1).copy()) for part in np.split(columns, ends)]
        return RankedAssignments(parts, wrap(totals), options.maximize)
    columns = columns.reshape(len(batch.rows), count, batch.data.shape[1])
    if batch.is_batch:
        return RankedAssignments(wrap(columns), wrap(totals), options.maximize)
    return RankedAssignments(wrap(columns[0]), wrap(totals[0]), options.maximize)


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
    matrix = np.asarray(cost_matrix)
    if matrix.ndim != 2:
        raise ValueError(f"expected a matrix (2-D array), got a {matrix.ndim} array")
    try:
        pairs = assign(matrix, maximize=bool(maximize)).pairs()
    except InfeasibleError:
        raise ValueError("cost matrix is infeasible") from None
    except ValueError:
        raise ValueError("matrix contains invalid numeric entries") from None
    return pairs[:, 0], pairs[:, 1]


def _start(
    earlier: Assignment | None, batch: MatrixBatch | SparseBatch, options: Options
) -> Start | None:
    """Return what a warm start begins with, or None for a cold one."""
    if earlier is None:
        return None
    if not isinstance(earlier, Assignment):
        raise TypeError(f"warm_start: expected an Assignment, got {type(earlier).__name__}")
    if batch.kind.gpu is not None:
        raise DeviceError(f"{NO_WARM_START}; the CPU takes it")
    sides = [
        [to_host(part) for part in (side if isinstance(side, list) else [side])]
        for side in (earlier.row_dual, earlier.col_dual, earlier.col_of_row)
    ]
    shapes = [[part.shape for part in side] for side in sides]
    rows, columns = _dual_shapes(batch)
    are_pairs = all(part.dtype == np.int64 for part in sides[2])
    if earlier.maximize != options.maximize or shapes != [rows, columns, rows] or not are_pairs:
        raise ValueError("warm_start: expected an assignment of the same shape and direction")
    if options.max_cost is not None or not (batch.rows == batch.columns).all():
        return None
    prices, pairs = (np.concatenate([part.reshape(-1) for part in side]) for side in sides[1:])
    return prices, pairs


def _dual_shapes(batch: MatrixBatch | SparseBatch) -> list[list[tuple[int, ...]]]:
    """Return the shapes that the duals of a batch have: of its rows, and of its columns."""
    if isinstance(batch.data, list):
        return [[(int(count),) for count in side] for side in (batch.rows, batch.columns)]
    lead = batch.data.shape[:1] if batch.is_batch else ()
    return [[(*lead, room)] for room in batch.data.shape[1:]]


def _as_result(outcome: Outcome, batch: MatrixBatch | SparseBatch, options: Options) -> Assignment:
    """Give an outcome the kind and the batch axis of the input."""
    wrap = batch.kind.wrap

    def by_problem(values: Array, counts: npt.NDArray[np.int64], axis: int) -> Any:
        if not isinstance(batch.data, np.ndarray):
            parts = [wrap(part.copy()) for part in np.split(values, np.cumsum(counts)[:-1])]
            return parts if batch.is_batch else parts[0]
        values = values.reshape(len(counts), batch.data.shape[axis])
        return wrap(values) if batch.is_batch else wrap(values[0])

    def each(values: Array) -> Any:
        return wrap(values) if batch.is_batch else wrap(values[0])

    return Assignment(
        by_problem(outcome.col_of_row, batch.rows, 1),
        by_problem(outcome.row_of_col, batch.columns, 2),
        each(outcome.total),
        by_problem(outcome.row_dual, batch.rows, 1),
        by_problem(outcome.col_dual, batch.columns, 2),
        each(outcome.status),
        options.maximize,
        options.max_cost,
    )


def _as_device_result(
    found: DeviceAssignments, batch: MatrixBatch | SparseBatch, options: Options
) -> Assignment:
    """Give what came of costs on a GPU the batch axis of the input; nothing is waited for."""

    def by_problem(values: DeviceArray, counts: npt.NDArray[np.int64], axis: int) -> Any:
        if not isinstance(batch.data, list):
            shape = (len(counts), batch.data.shape[axis])
            padded = values.owner.reshape(shape)
            return padded if batch.is_batch else padded[0]
        ends = np.cumsum(counts).tolist()
        begins = (np.cumsum(counts) - counts).tolist()
        return [values.owner[a:b] for a, b in zip(begins, ends, strict=True)]

    def each(values: DeviceArray) -> Any:
        return values.owner if batch.is_batch else values.owner[0]

    return Assignment(
        by_problem(found.col_of_row, batch.rows, 1),
        by_problem(found.row_of_col, batch.columns, 2),
        each(found.total),
        by_problem(found.row_dual, batch.rows, 1),
        by_problem(found.col_dual, batch.columns, 2),
        each(found.status),
        options.maximize,
        options.max_cost,
    )
