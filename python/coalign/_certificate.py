"""The proof of an assignment: how far its total may be from the optimum."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._arrays import on_host, to_host
from ._batch import Batch, has_whole_strides
from ._costs import bad_cost, take_costs
from ._errors import Status
from ._sparse import SparseBatch

if TYPE_CHECKING:
    from ._assignment_result import Assignment


def gap(solved: Assignment, cost: Any) -> Any:
    """Bound what `coalign.Assignment.gap` bounds."""
    batch = take_costs(on_host(cost))
    status = to_host(solved.status)
    sides = [on_host(side) for side in (solved.col_of_row, solved.row_dual, solved.col_dual)]
    if batch.is_batch != (status.ndim > 0) or len(batch) != status.size:
        raise _other_shape()
    lengths = [on_host(each) for each in (solved.row_lengths, solved.col_lengths)]
    if batch.is_padded and not isinstance(sides[0], list):
        batch = _cut(batch, sides, lengths)
        flat = [np.ravel(side) for side in sides]
    else:
        flat = _joined(batch, sides, lengths)
    if len(batch) == 0:
        return np.empty(0)
    # The numbers that `assign` computes with: duplicate entries add up in that dtype.
    limit = None if solved.max_cost is None else float(solved.max_cost)
    makes_most = limit is not None and math.isinf(limit)
    dtype = np.dtype(np.float64) if makes_most else batch.dtype
    gaps, bad = _core.assignment_gap(
        batch.compressed(dtype)
        if isinstance(batch, SparseBatch)
        else batch.native(batch.dtype, has_whole_strides),
        bool(solved.maximize),
        limit,
        batch.native_lengths(0),
        batch.native_lengths(1),
        np.ascontiguousarray(flat[0], np.int64),
        *(np.ascontiguousarray(duals, np.float64) for duals in flat[1:]),
        np.ascontiguousarray(np.atleast_1d(to_host(solved.total)), np.float64),
    )
    if bad is not None:
        problem, wrong, row, column = bad
        if wrong == Status.INFEASIBLE:
            raise ValueError(
                "cost: expected the matrix that was solved, with an entry at each pair"
            )
        raise bad_cost(batch, solved.maximize, problem, row, column)
    gaps[~np.isin(status, (Status.OK, Status.PRECISION_LIMIT)).reshape(-1)] = np.inf
    return gaps if batch.is_batch else gaps[0]


def _cut(batch: Batch, sides: list[Any], lengths: list[Any]) -> Batch:
    """Give a padded batch the lengths of a padded result."""
    shapes = [side.shape[1:] for side in sides]
    rows, columns = batch.data.shape[1:]
    if shapes != [(rows,), (rows,), (columns,)]:
        raise _other_shape()
    given = zip(batch.lengths, lengths, strict=True)
    # Lengths that lay on a GPU may be out of range; their problems have no answer.
    counts = tuple(
        whole if each is None else np.clip(np.asarray(each, np.int64), 0, whole)
        for whole, each in given
    )
    return replace(batch, lengths=counts)


def _joined(batch: Batch, sides: list[Any], lengths: list[Any]) -> list[Any]:
    """Return each side of a result as one array, without padding; the costs have its shapes."""
    rows, columns = lengths
    joined = []
    for side, each, axis in zip(sides, (rows, rows, columns), (0, 0, 1), strict=True):
        parts = [to_host(part) for part in (side if batch.is_batch else [side])]
        if each is not None:
            parts = [part[:count] for part, count in zip(parts, each, strict=True)]
        if [part.shape for part in parts] != [(count,) for count in batch.lengths[axis].tolist()]:
            raise _other_shape()
        joined.append(np.concatenate(parts) if parts else np.empty(0))
    return joined


def _other_shape() -> ValueError:
    return ValueError("cost: expected the shape that was solved")
