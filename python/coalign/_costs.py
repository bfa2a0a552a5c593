"""Costs of an assignment call, as the user gave them: dense or sparse."""

from __future__ import annotations

from typing import Any

from . import _validate
from ._sparse import SparseBatch, holds_sparse, take_sparse
from ._validate import MatrixBatch

CostBatch = MatrixBatch | SparseBatch


def take_costs(cost: Any, row_lengths: Any = None, col_lengths: Any = None) -> CostBatch:
    """Check the costs of a call, on the host or on a GPU, and the lengths of a padded batch."""
    rows, columns = (row_lengths, "row_lengths"), (col_lengths, "col_lengths")
    if holds_sparse(cost):
        return take_sparse(cost, "cost", rows, columns)
    return _validate.take_matrices(cost, "cost", rows, columns, empty=True, on_gpu=True)
