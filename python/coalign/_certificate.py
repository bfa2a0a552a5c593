"""The proof of an assignment: how far its total may be from the optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._arrays import Array, on_host, to_host
from ._batch import Batch
from ._costs import take_costs
from ._sparse import SparseBatch

if TYPE_CHECKING:
    from ._assignment_result import Assignment


def gap(solved: Assignment, cost: Any) -> Any:
    """Return total minus bound of each problem."""
    is_batch = np.ndim(to_host(solved.status)) > 0
    batch = take_costs(on_host(cost))
    if batch.is_batch != is_batch or len(batch) != np.size(to_host(solved.status)):
        raise ValueError("cost: expected the shape that was solved")
    sides = [on_host(side) for side in (solved.col_of_row, solved.col_dual, solved.row_dual)]
    parts = sides if is_batch else [[side] for side in sides]
    gaps = [
        _gap_of_one(solved, _costs_of(batch, p), *(to_host(part) for part in of_problem))
        for p, of_problem in enumerate(zip(*parts, strict=True))
    ]
    return np.array(gaps) if is_batch else np.float64(gaps[0])


def _gap_of_one(
    solved: Assignment, cost: _Costs, col_of_row: Array, col_dual: Array, row_dual: Array
) -> float:
    """Bound one problem by its columns' duals, or its rows' where columns are the fewer."""
    if cost.shape != (len(col_of_row), len(col_dual)):
        raise ValueError("cost: expected the shape that was solved")
    sign = -1.0 if solved.maximize else 1.0
    values = sign * cost.pairs(col_of_row)
    if solved.max_cost is None:
        tall = cost.shape[0] > cost.shape[1]
        prices = sign * np.asarray(row_dual if tall else col_dual, np.float64)
        if cost.shape[0] != cost.shape[1]:
            prices = np.minimum(prices, 0)
        others = (cost.transposed() if tall else cost).least_reduced(prices, sign)
        return float(values.sum() - others.sum() - prices.sum())
    limit = sign * solved.max_cost
    if np.isinf(limit):
        limit = max(np.max(sign * np.asarray(row_dual, np.float64), initial=0.0), 0.0)
    prices = np.minimum(sign * np.asarray(col_dual, np.float64), 0)
    others = np.minimum(cost.least_reduced(prices, sign), limit)
    rows = np.flatnonzero(col_of_row >= 0)
    # The limit cancels in matched rows; subtracting a large one would swallow the costs.
    free = np.delete(others, rows)
    return float((values - others[rows]).sum() + (limit - free).sum() - prices.sum())


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
        # Row by row, since a whole matrix of reduced costs may not fit beside the cost.
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


def _costs_of(batch: Batch, problem: int) -> _Costs:
    if isinstance(batch, SparseBatch):
        return _Sparse(*batch.entries(problem), batch.item(problem).shape)
    return _Dense(batch.item(problem))
