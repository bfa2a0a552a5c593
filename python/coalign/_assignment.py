"""The general way of assignment calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _cuda_assignment, _execution, _validate
from ._arrays import Array, to_host
from ._assignment_result import Assignment, RankedAssignments
from ._costs import CostBatch, take_costs
from ._cuda_assignment import DeviceAssignments
from ._device import DeviceArray, Gpu
from ._errors import DeviceError, InfeasibleError, Status
from ._largest import solve_largest
from ._result import downloaded, in_kind
from ._scalars import take_count, take_max_cost
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
    device: str | None

    @classmethod
    def take(cls, maximize: Any, max_cost: Any, threads: Any, device: Any) -> Options:
        """Check the options as the user gave them."""
        device = _execution.take_device(device)
        if not isinstance(maximize, (bool, np.bool_)):
            raise TypeError(f"maximize: expected a bool, got {type(maximize).__name__}")
        limit = None if max_cost is None else take_max_cost(max_cost)
        return cls(bool(maximize), limit, _execution.thread_count(threads), device)

    @property
    def makes_most(self) -> bool:
        """Whether as many pairs as possible are asked for."""
        return self.max_cost is not None and math.isinf(self.max_cost)


def assign(
    cost: Any,
    maximize: Any,
    max_cost: Any,
    row_lengths: Any,
    col_lengths: Any,
    warm_start: Any,
    threads: Any,
    device: Any,
) -> Assignment:
    """Solve what `coalign.assign` takes; raise for the first problem that has no solution."""
    options = Options.take(maximize, max_cost, threads, device)
    batch = take_costs(cost, row_lengths, col_lengths)
    start = _start(warm_start, batch, options)
    sign = "-" if options.maximize else ""
    if options.makes_most and options.max_cost != float(f"{sign}inf"):
        raise ValueError(f"max_cost: expected a number or {sign}inf")
    gpu = _choose_gpu(batch, options, start)
    if gpu is None or isinstance(batch, SparseBatch):
        return in_kind(_require_feasible(batch, _run(batch, options, start)), batch.kind)
    queued = _cuda_assignment.run(batch, batch.dtype, options.maximize, options.max_cost, gpu)
    found = _as_result(queued, batch, options)
    if batch.kind.gpu is not None:
        return found
    found = downloaded(found)
    _require_costs(batch, options, np.atleast_1d(found.status))
    return in_kind(_require_feasible(batch, found), batch.kind)


def _run(batch: CostBatch, options: Options, start: Start | None) -> Assignment:
    """Solve on the host; raise for the first value that is not a cost."""
    # Beside an infinite limit float32 would lose the costs.
    dtype = np.dtype(np.float64) if options.makes_most else batch.dtype
    begin = None if start is None else (np.ascontiguousarray(start[0], dtype), start[1])
    if isinstance(batch, SparseBatch):
        found, bad = _core.assign_sparse(
            cost=batch.native(dtype),
            is_batch=batch.is_batch,
            is_float32=dtype == np.float32,
            maximize=options.maximize,
            limit=options.max_cost,
            start=begin,
            threads=options.threads,
        )
    elif options.makes_most:
        costs = _native(batch, dtype)
        limit = options.max_cost
        found, bad = solve_largest(batch, costs, options.maximize, limit, options.threads)
    else:
        found, bad, _ = _core.assign(
            _native(batch, dtype),
            options.maximize,
            options.max_cost,
            batch.rows if batch.is_padded else None,
            batch.columns if batch.is_padded else None,
            begin,
            options.threads,
            None,
            True,
        )
    if bad is not None:
        raise _bad_value(batch, options.maximize, *bad)
    return found


def _require_feasible(batch: CostBatch, found: Assignment) -> Assignment:
    """Return a result; raise for the first problem that has no solution."""
    infeasible = np.flatnonzero(np.atleast_1d(found.status) == Status.INFEASIBLE)
    if infeasible.size:
        which = f"problem {infeasible[0]}: " if batch.is_batch else ""
        wanted = np.minimum(batch.rows, batch.columns)
        raise InfeasibleError(
            f"{which}no matching of all {wanted[infeasible[0]]} pairs avoids the "
            "forbidden ones; max_cost=inf makes as many as can be"
        )
    return found


def linear_sum_assignment(
    cost_matrix: Any, maximize: Any
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Solve what `coalign.linear_sum_assignment` takes, or say what is wrong in SciPy's words."""
    matrix = np.asarray(cost_matrix)
    if matrix.ndim != 2:
        raise ValueError(f"expected a matrix (2-D array), got a {matrix.ndim} array")
    try:
        pairs = assign(matrix, bool(maximize), None, None, None, None, 1, None).pairs()
    except InfeasibleError:
        raise ValueError("cost matrix is infeasible") from None
    except ValueError:
        raise ValueError("matrix contains invalid numeric entries") from None
    return pairs[:, 0], pairs[:, 1]


def assign_top_k(
    cost: Any, k: Any, maximize: Any, row_lengths: Any, col_lengths: Any, threads: Any
) -> RankedAssignments:
    """Rank what `coalign.assign_top_k` takes."""
    options = Options.take(maximize, None, threads, None)
    count = take_count(k, "k")
    batch = _validate.take_matrices(
        cost, "cost", (row_lengths, "row_lengths"), (col_lengths, "col_lengths"), empty=True
    )
    columns, totals, bad = _core.assign_top_k(
        cost=_native(batch, batch.dtype),
        row_lengths=batch.rows if batch.is_padded else None,
        col_lengths=batch.columns if batch.is_padded else None,
        k=count,
        maximize=options.maximize,
        threads=options.threads,
    )
    if bad is not None:
        raise _bad_value(batch, options.maximize, *bad)
    wrap = batch.kind.wrap
    if not isinstance(batch.data, np.ndarray):
        ends = np.cumsum(batch.rows * count)[:-1]
        parts = [wrap(part.reshape(count, -1).copy()) for part in np.split(columns, ends)]
        return RankedAssignments(parts, wrap(totals), options.maximize)
    columns = columns.reshape(len(batch.rows), count, batch.data.shape[1])
    if batch.is_batch:
        return RankedAssignments(wrap(columns), wrap(totals), options.maximize)
    return RankedAssignments(wrap(columns[0]), wrap(totals[0]), options.maximize)


def _choose_gpu(batch: CostBatch, options: Options, start: Start | None) -> Gpu | None:
    """Return the GPU that a call runs on, or None; what no GPU does, "auto" leaves to the CPU."""
    where = batch.kind.gpu
    if where is None and options.device not in ("auto", "cuda"):
        return None
    problem = None
    if isinstance(batch, SparseBatch):
        problem = "cost: expected a dense one on a GPU, got a sparse matrix"
    elif options.makes_most:
        problem = "max_cost: expected a finite number on a GPU, got an infinite one"
    elif start is not None:
        problem = NO_WARM_START
    if problem is not None:
        if where is None and options.device == "auto":
            return None
        raise DeviceError(f"{problem}; the CPU takes it")
    return _execution.choose_gpu(options.device, where, "cost")


def _require_costs(batch: MatrixBatch, options: Options, status: npt.NDArray[np.int32]) -> None:
    """Raise for the first cost that is none of a problem that a GPU refused."""
    for p in np.flatnonzero(np.isin(status, (Status.NAN, Status.INVALID))).tolist():
        cost = batch.matrix(p)
        allowed = cost < np.inf if options.maximize else cost > -np.inf
        row, column = np.argwhere(~allowed)[0].tolist()
        raise _bad_value(batch, options.maximize, p, row, column)


def _start(earlier: Assignment | None, batch: CostBatch, options: Options) -> Start | None:
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


def _dual_shapes(batch: CostBatch) -> list[list[tuple[int, ...]]]:
    """Return the shapes that the duals of a batch have: of its rows, and of its columns."""
    if isinstance(batch.data, list):
        return [[(int(count),) for count in side] for side in (batch.rows, batch.columns)]
    lead = batch.data.shape[:1] if batch.is_batch else ()
    return [[(*lead, room)] for room in batch.data.shape[1:]]


def _native(batch: MatrixBatch, dtype: np.dtype[Any]) -> Array | list[Array]:
    """Return the costs as native code takes them: of one dtype, with strides of whole elements."""
    if isinstance(batch.data, list):
        return [_with_whole_strides(item.astype(dtype, copy=False)) for item in batch.data]
    data = _with_whole_strides(batch.data.astype(dtype, copy=False))
    return data if batch.is_batch else data[0]


def _with_whole_strides(array: Array) -> Array:
    whole = all(stride % array.itemsize == 0 for stride in array.strides)
    return array if whole else np.ascontiguousarray(array)


def _bad_value(batch: CostBatch, maximize: bool, problem: int, row: int, column: int) -> ValueError:
    name, place = batch.place(problem)
    found = "NaN" if np.isnan(batch.matrix(problem)[row, column]) else None
    wrong, forbids = ("inf", "-inf") if maximize else ("-inf", "+inf")
    return ValueError(
        f"{name}: {found or wrong} at index {(*place, row, column)}; "
        f"expected finite costs, or {forbids} to forbid a pair"
    )


def _as_result(found: DeviceAssignments, batch: MatrixBatch, options: Options) -> Assignment:
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
