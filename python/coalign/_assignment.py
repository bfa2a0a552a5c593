"""The problems of an assignment call: checked, run by the native code, and reported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _cuda_assignment, _execution, _validate
from ._arrays import NUMPY, Array, to_host
from ._cuda_assignment import DeviceAssignments
from ._device import Gpu
from ._errors import DeviceError, InfeasibleError, Status
from ._sparse import SparseBatch
from ._validate import MatrixBatch

# What a warm start begins with: the prices of the columns, and the columns of the rows.
Start = tuple[Array, npt.NDArray[np.int64]]

NO_WARM_START = "warm_start: expected None on a GPU"


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of a call."""

    maximize: bool
    max_cost: float | None
    threads: int
    device: str | None = None

    @classmethod
    def take(cls, maximize: Any, max_cost: Any, threads: Any, device: Any) -> Options:
        """Check the options as the user gave them."""
        device = _execution.take_device(device)
        if not isinstance(maximize, (bool, np.bool_)):
            raise TypeError(f"maximize: expected a bool, got {type(maximize).__name__}")
        limit = None if max_cost is None else _validate.take_max_cost(max_cost)
        return cls(bool(maximize), limit, _execution.thread_count(threads), device)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch: per row and per column, side by side over the problems."""

    col_of_row: npt.NDArray[np.int64]
    row_of_col: npt.NDArray[np.int64]
    row_dual: Array
    col_dual: Array
    total: npt.NDArray[np.float64]
    status: npt.NDArray[np.int32]


def solve(
    batch: MatrixBatch | SparseBatch, options: Options, start: Start | None
) -> Outcome | DeviceAssignments:
    """Compute every problem; on the host, raise for the first that is wrong or has no solution."""
    makes_most = options.max_cost is not None and math.isinf(options.max_cost)
    sign = -1.0 if options.maximize else 1.0
    if makes_most and options.max_cost != sign * math.inf:
        raise ValueError(f"max_cost: expected a number or {'-' * options.maximize}inf")
    gpu = _choose_gpu(batch, options, makes_most, start)
    if gpu is not None and isinstance(batch, MatrixBatch):
        found = _cuda_assignment.run(batch, batch.dtype, options.maximize, options.max_cost, gpu)
        if batch.kind.gpu is not None:
            return found
        outcome = _from_device(found)
        _require_costs(batch, options, outcome.status)
        return _require_feasible(batch, outcome)
    if makes_most:
        if isinstance(batch, SparseBatch):
            return _run(batch, np.dtype(np.float64), options, options.max_cost)
        return _solve_largest(batch, options)
    return _require_feasible(batch, _run(batch, batch.dtype, options, options.max_cost, start))


def _choose_gpu(
    batch: MatrixBatch | SparseBatch, options: Options, makes_most: bool, start: Start | None
) -> Gpu | None:
    """Return the GPU that a call runs on, or None; what no GPU does, "auto" leaves to the CPU."""
    where = batch.kind.gpu
    if where is None and options.device not in ("auto", "cuda"):
        return None
    problem = None
    if isinstance(batch, SparseBatch):
        problem = "cost: expected a dense one on a GPU, got a sparse matrix"
    elif makes_most:
        problem = "max_cost: expected a finite number on a GPU, got an infinite one"
    elif start is not None:
        problem = NO_WARM_START
    if problem is not None:
        if where is None and options.device == "auto":
            return None
        raise DeviceError(f"{problem}; the CPU takes it")
    return _execution.choose_gpu(options.device, where, "cost")


def _from_device(found: DeviceAssignments) -> Outcome:
    return Outcome(
        *(
            to_host(part.owner)
            for part in (
                found.col_of_row,
                found.row_of_col,
                found.row_dual,
                found.col_dual,
                found.total,
                found.status,
            )
        )
    )


def _require_costs(batch: MatrixBatch, options: Options, status: npt.NDArray[np.int32]) -> None:
    """Raise for the first cost that is none of a problem that a GPU refused."""
    for p in np.flatnonzero(np.isin(status, (Status.NAN, Status.INVALID))).tolist():
        cost = batch.matrix(p)
        allowed = cost < np.inf if options.maximize else cost > -np.inf
        row, column = np.argwhere(~allowed)[0].tolist()
        raise _bad_value(batch, options, p, row, column)


def _require_feasible(batch: MatrixBatch | SparseBatch, outcome: Outcome) -> Outcome:
    """Return an outcome; raise for the first problem that has no solution."""
    if not outcome.status.any():
        return outcome
    infeasible = np.flatnonzero(outcome.status == Status.INFEASIBLE)
    if infeasible.size:
        which = f"problem {infeasible[0]}: " if batch.is_batch else ""
        wanted = np.minimum(batch.rows, batch.columns)
        raise InfeasibleError(
            f"{which}no matching of all {wanted[infeasible[0]]} pairs avoids the "
            "forbidden ones; max_cost=inf makes as many as can be"
        )
    return outcome


def _run(
    batch: MatrixBatch | SparseBatch,
    dtype: np.dtype[Any],
    options: Options,
    limit: float | None = None,
    start: Start | None = None,
) -> Outcome:
    begin = None if start is None else (np.ascontiguousarray(start[0], dtype), start[1])
    work = _execution.forced_or("work_per_thread", _core.assignment_work_per_thread)
    if isinstance(batch, SparseBatch):
        *results, bad, used, _ = _core.assign_sparse(
            dtype=dtype.name,
            cost=batch.native(dtype),
            maximize=options.maximize,
            limit=limit,
            start=begin,
            threads=options.threads,
            work_per_thread=work,
        )
    else:
        *results, bad, used, _ = _core.assign(
            dtype=dtype.name,
            cost=_native(batch, dtype),
            row_lengths=batch.rows if batch.is_padded else None,
            col_lengths=batch.columns if batch.is_padded else None,
            maximize=options.maximize,
            limit=limit,
            start=begin,
            threads=options.threads,
            isa=_execution.selected(),
            work_per_thread=work,
        )
    _execution.note_run(*used)
    if bad is not None:
        raise _bad_value(batch, options, *bad)
    return Outcome(*results)


def _solve_largest(batch: MatrixBatch, options: Options) -> Outcome:
    """Match as many pairs as there can be, at the least cost.

    No limit stands for infinity: beside one that no exchange of pairs is worth, small costs would
    be lost. A problem with too few edges falls into three that have enough (Dulmage and
    Mendelsohn, 1958), and no largest matching pairs across them.
    """
    sign = -1.0 if options.maximize else 1.0
    outcome = _run(batch, np.dtype(np.float64), options)
    starts = _starts(batch)
    for p in range(len(batch.rows)):
        rows, columns = (
            slice(begin, begin + count)
            for begin, count in zip(starts[p], batch.matrix(p).shape, strict=True)
        )
        matched = outcome.col_of_row[rows], outcome.row_of_col[columns]
        duals = outcome.row_dual[rows], outcome.col_dual[columns]
        if outcome.status[p] == Status.INFEASIBLE:
            cost = batch.matrix(p)
            for part in (*matched, *duals):
                part[...] = -1 if part.dtype == np.int64 else 0
            _solve_by_parts(cost, options, matched, duals)
            made = np.flatnonzero(matched[0] >= 0)
            outcome.total[p] = cost[made, matched[0][made]].sum(dtype=np.float64)
            outcome.status[p] = Status.OK
        elif len(duals[0]) >= len(duals[1]):
            # What a square or tall problem leaves free to choose: no column has a price above 0.
            v = sign * duals[1]
            shift = max(float(np.max(v, initial=0.0)), 0.0)
            top = shift if len(duals[0]) > len(duals[1]) else math.inf
            duals[0][...] = sign * _row_duals(sign * batch.matrix(p), matched[0], v - shift, top)
            duals[1][...] = sign * (v - shift)
    return outcome


def _starts(batch: MatrixBatch) -> npt.NDArray[np.int64]:
    """Return where each problem's rows and columns start in an outcome."""
    counts = np.stack([batch.rows, batch.columns], axis=1)
    if isinstance(batch.data, np.ndarray):
        counts[:] = batch.data.shape[1:]
    starts: npt.NDArray[np.int64] = np.cumsum(counts, axis=0) - counts
    return starts


def _solve_by_parts(
    cost: Array, options: Options, matched: tuple[Array, Array], duals: tuple[Array, Array]
) -> None:
    """Solve a problem with too few edges, into its parts of the results."""
    sign = -1.0 if options.maximize else 1.0
    allowed = np.isfinite(cost)
    most = _run(
        _as_batch([np.where(allowed, 0.0, np.inf)]),
        np.dtype(np.float64),
        Options(False, None, options.threads),
        limit=1.0,
    )
    tall = _reached(allowed, most.col_of_row < 0, most.row_of_col)
    wide = _reached(allowed.T, most.row_of_col < 0, most.col_of_row)[::-1]
    rest = tuple(~(a | b) for a, b in zip(tall, wide, strict=True))
    parts = [tuple(np.flatnonzero(side) for side in part) for part in (wide, rest, tall)]
    found = _run(_as_batch([cost[np.ix_(*part)] for part in parts]), np.dtype(np.float64), options)
    ends = np.cumsum([[len(side) for side in part] for part in parts], axis=0)
    u, v, shift = np.zeros(len(matched[0])), np.zeros(len(matched[1])), 0.0
    before: npt.NDArray[np.intp] = parts[0][0][:0]
    for (rows, columns), (row_end, column_end) in zip(parts, ends, strict=True):
        chosen = found.col_of_row[row_end - len(rows) : row_end]
        made = chosen >= 0
        matched[0][rows[made]] = columns[chosen[made]]
        matched[1][columns[chosen[made]]] = rows[made]
        u[rows] = sign * found.row_dual[row_end - len(rows) : row_end]
        v[columns] = sign * found.col_dual[column_end - len(columns) : column_end]
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


def _as_batch(matrices: list[Array]) -> MatrixBatch:
    shapes = np.array([matrix.shape for matrix in matrices], np.int64)
    return MatrixBatch("cost", matrices, shapes[:, 0], shapes[:, 1], NUMPY, True, False)


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


def rank(
    batch: MatrixBatch, k: int, options: Options
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the columns of the rows of the k best matchings, side by side, and their totals."""
    columns, totals, bad, used = _core.assign_top_k(
        dtype=batch.dtype.name,
        cost=_native(batch, batch.dtype),
        row_lengths=batch.rows if batch.is_padded else None,
        col_lengths=batch.columns if batch.is_padded else None,
        k=k,
        maximize=options.maximize,
        threads=options.threads,
        isa=_execution.selected(),
        work_per_thread=_execution.forced_or("work_per_thread", _core.assignment_work_per_thread),
    )
    _execution.note_run(*used)
    if bad is not None:
        raise _bad_value(batch, options, *bad)
    return columns, totals


def _native(batch: MatrixBatch, dtype: np.dtype[Any]) -> Array | list[Array]:
    """Return the costs as native code takes them: of one dtype, with strides of whole elements."""
    if isinstance(batch.data, np.ndarray):
        return _with_whole_strides(batch.data.astype(dtype, copy=False))
    return [_with_whole_strides(item.astype(dtype, copy=False)) for item in batch.data]


def _with_whole_strides(array: Array) -> Array:
    whole = all(stride % array.itemsize == 0 for stride in array.strides)
    return array if whole else np.ascontiguousarray(array)


def _bad_value(
    batch: MatrixBatch | SparseBatch, options: Options, problem: int, row: int, column: int
) -> ValueError:
    name, place = batch.place(problem)
    found = "NaN" if np.isnan(batch.matrix(problem)[row, column]) else None
    wrong, forbids = ("inf", "-inf") if options.maximize else ("-inf", "+inf")
    return ValueError(
        f"{name}: {found or wrong} at index {(*place, row, column)}; "
        f"expected finite costs, or {forbids} to forbid a pair"
    )
