"""Matchings of as many pairs as the forbidden ones allow, the cheapest of them (`max_cost=inf`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arrays import Array
from ._assignment_result import Assignment
from ._batch import Batch
from ._errors import Status


def solve_largest(
    batch: Batch, native: Any, maximize: bool, limit: float | None, threads: int
) -> tuple[Assignment, tuple[int, int, int] | None]:
    """Solve a batch whose costs are `native`: its result, and the first value that is not a cost.

    No limit stands for infinity: beside one that no exchange of pairs is worth, small costs would
    be lost. A problem with too few edges falls into three that have enough (Dulmage and
    Mendelsohn, 1958), and no largest matching pairs across them.
    """
    sign = -1.0 if maximize else 1.0
    lengths = batch.native_lengths(0), batch.native_lengths(1)
    found, bad, _ = _run(native, maximize, None, threads, *lengths)
    if bad is not None:
        return found, bad
    fields = list(found._writeable_fields())
    total, status = np.atleast_1d(found.total).copy(), np.atleast_1d(found.status).copy()
    for p in range(len(batch)):
        cost = np.asarray(batch.item(p), np.float64)
        col_of_row, row_of_col, row_dual, col_dual = (
            (fields[k][p] if batch.is_batch else fields[k])[: cost.shape[axis]]
            for k, axis in ((0, 0), (1, 1), (3, 0), (4, 1))
        )
        matched, duals = (col_of_row, row_of_col), (row_dual, col_dual)
        if status[p] == Status.INFEASIBLE:
            for part in matched:
                part[...] = -1
            _solve_by_parts(cost, maximize, threads, matched, duals)
            made = np.flatnonzero(matched[0] >= 0)
            total[p] = cost[made, matched[0][made]].sum(dtype=np.float64)
            status[p] = Status.OK
        elif cost.shape[0] >= cost.shape[1]:
            # What a square or tall problem leaves free to choose: no column has a price above 0.
            v = sign * duals[1]
            shift = max(float(np.max(v, initial=0.0)), 0.0)
            top = shift if cost.shape[0] > cost.shape[1] else math.inf
            duals[0][...] = sign * _row_duals(sign * cost, matched[0], v - shift, top)
            duals[1][...] = sign * (v - shift)
    fields[2], fields[5] = (total, status) if batch.is_batch else (total[0], status[0])
    fields[7] = limit
    return Assignment(*fields), None


def _run(
    cost: Any, maximize: bool, limit: float | None, threads: int, *lengths: Any
) -> tuple[Assignment, tuple[int, int, int] | None, tuple[int, int]]:
    rows, columns = lengths or (None, None)
    return _core.assign(cost, maximize, limit, rows, columns, None, threads, None, True)


def _solve_by_parts(
    cost: Array,
    maximize: bool,
    threads: int,
    matched: tuple[Array, Array],
    duals: tuple[Array, Array],
) -> None:
    """Solve a problem with too few edges, into its parts of the results."""
    sign = -1.0 if maximize else 1.0
    allowed = np.isfinite(cost)
    most, *_ = _run(np.where(allowed, 0.0, np.inf), False, 1.0, threads)
    tall = _reached(allowed, most.col_of_row < 0, most.row_of_col)
    wide = _reached(allowed.T, most.row_of_col < 0, most.col_of_row)[::-1]
    rest = tuple(~(a | b) for a, b in zip(tall, wide, strict=True))
    parts = [tuple(np.flatnonzero(side) for side in part) for part in (wide, rest, tall)]
    found, *_ = _run([cost[np.ix_(*part)] for part in parts], maximize, None, threads)
    u, v, shift = np.zeros(len(matched[0])), np.zeros(len(matched[1])), 0.0
    before: npt.NDArray[np.intp] = parts[0][0][:0]
    for p, (rows, columns) in enumerate(parts):
        chosen = found.col_of_row[p]
        made = chosen >= 0
        matched[0][rows[made]] = columns[chosen[made]]
        matched[1][columns[chosen[made]]] = rows[made]
        u[rows] = sign * found.row_dual[p]
        v[columns] = sign * found.col_dual[p]
        # Edges lead from earlier parts' rows to this one's columns, which have to be cheap enough.
        over = u[before][:, np.newaxis] + v[columns] - sign * cost[np.ix_(before, columns)]
        shift = max(float(np.max(part, initial=0.0)) for part in (v[columns], over, u[before]))
        u[rows] += shift
        v[columns] -= shift
        before = np.concatenate([before, rows])
    duals[0][...] = sign * _row_duals(sign * cost, matched[0], v, shift)
    duals[1][...] = sign * v


def _row_duals(
    cost: Array, col_of_row: npt.NDArray[np.int64], v: npt.NDArray[np.float64], most: float
) -> npt.NDArray[np.float64]:
    """Return the rows' duals: `most` of the unmatched, else what a pair leaves to its row."""
    made = np.flatnonzero(col_of_row >= 0)
    u = np.full(len(cost), most)
    # Taken anew from the cost: a dual that was shifted has the roundings of what it was.
    u[made] = np.minimum(cost[made, col_of_row[made]] - v[col_of_row[made]], most)
    return u


def _reached(
    allowed: npt.NDArray[np.bool_], free: npt.NDArray[np.bool_], partner: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Mark what alternating paths from free rows reach: rows, and columns with their partners."""
    rows, columns, latest = free.copy(), np.zeros(len(partner), bool), free
    while latest.any():
        new = allowed[latest].any(axis=0) & ~columns
        columns |= new
        latest = np.zeros(len(rows), bool)
        latest[partner[new]] = True
        rows |= latest
    return rows, columns
