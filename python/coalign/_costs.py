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
