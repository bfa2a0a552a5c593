"""Costs of an assignment call, as the user gave them: dense or sparse."""

from __future__ import annotations

from typing import Any

from ._batch import Batch
from ._sparse import holds_sparse, take_sparse
from ._validate import take_matrices


def take_costs(cost: Any, row_lengths: Any = None, col_lengths: Any = None) -> Batch:
    """Check the costs of a call, on the host or on a GPU, and the lengths of a padded batch."""
    rows, columns = (row_lengths, "row_lengths"), (col_lengths, "col_lengths")
    if holds_sparse(cost):
        return take_sparse(cost, "cost", rows, columns)
    return take_matrices(cost, "cost", rows, columns, empty=True, on_gpu=True)


def wanted_costs(maximize: bool) -> str:
    """Say which values are costs."""
    return f"finite costs, or {'-inf' if maximize else '+inf'} to forbid a pair"


def bad_cost(costs: Batch, maximize: bool, problem: int, row: int, column: int) -> ValueError:
    """Word what is wrong with a value that is no cost."""
    return costs.bad_value(problem, (row, column), wanted_costs(maximize))
