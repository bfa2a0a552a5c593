"""The general way of assignment calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _execution, _validate
from ._arrays import Array, to_host
from ._assignment_result import Assignment, RankedAssignments
from ._batch import Batch, has_whole_strides
from ._costs import bad_cost, take_costs, wanted_costs
from ._cuda_call import Fields, address, place, queue
from ._device import Gpu, require_native
from ._errors import DeviceError, Status
from ._pipeline import ResultCall, carry_out, require_feasible
from ._scalars import take_count, take_flag, take_max_cost
from ._sparse import SparseBatch, holds_sparse, take_sparse

# A warm start begins with the prices of the columns, and with the columns of the rows.
Start = tuple[Array, npt.NDArray[np.int64]]

# "auto" goes to a GPU from so many costs on.
_LEAST_GPU_COSTS = 2**22

_MOST_FLOAT32 = float(np.finfo(np.float32).max)

NO_WARM_START = "warm_start: expected None on a GPU; the CPU takes it"


@dataclass(frozen=True, slots=True)
class _Call(ResultCall[Assignment]):
    """An assignment call."""

    maximize: bool
    max_cost: float | None
    start: Start | None
    threads: int

    @property
    def costs(self) -> Batch:
        """The costs of all problems."""
        return self.inputs[0]

    @property
    def makes_most(self) -> bool:
        """Whether as many pairs as possible are asked for."""
        return self.max_cost is not None and math.isinf(self.max_cost)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype to compute in."""
        # Duals are as large as the limit: float32 would lose the costs beside them, or overflow.
        is_wide = self.max_cost is not None and abs(self.max_cost) > _MOST_FLOAT32
        return np.dtype(np.float64) if is_wide else self.costs.dtype

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        if isinstance(self.costs, SparseBatch):
            return "cost: expected a dense one on a GPU, got a sparse matrix; the CPU takes it"
        if self.makes_most:
            return (
                "max_cost: expected a finite number on a GPU, got an infinite one; the CPU takes it"
            )
        return None if self.start is None else NO_WARM_START

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        rows, columns = self.costs.lengths
        return _execution.repays_gpu(len(rows), float(rows @ columns), _LEAST_GPU_COSTS)

    def on_host(self) -> Assignment:
        """Solve on the CPU; raise for the first value that is not a cost."""
        dtype = self.dtype
        start = None
        if self.start is not None:
            start = (np.ascontiguousarray(self.start[0], dtype), self.start[1])
        if len(self.costs) == 0 and not self.costs.is_padded:
            return self._nothing()
        costs: Any
        if isinstance(self.costs, SparseBatch):
            costs = self.costs.compressed(dtype)
        else:
            costs = self.costs.native(dtype, has_whole_strides)
        found, bad, _ = _core.assign(
            costs,
            self.maximize,
            self.max_cost,
            self.costs.native_lengths(0),
            self.costs.native_lengths(1),
            start,
            self.threads,
            None,
            True,
        )
        if bad is not None:
            raise bad_cost(self.costs, self.maximize, *bad)
        return found

    def _nothing(self) -> Assignment:
        total, status = np.empty(0), np.empty(0, np.int32)
        return Assignment([], [], total, [], [], status, self.maximize, self.max_cost)

    def on_gpu(self, gpu: Gpu) -> Assignment:
        """Queue every problem on the caller's stream."""
        costs, dtype = self.costs, self.dtype
        fields = Fields(gpu, len(costs), costs.is_batch)
        outputs = {
            "col_of_row": fields.along("col_of_row", np.int64, costs, 0),
            "row_of_col": fields.along("row_of_col", np.int64, costs, 1),
            "row_dual": fields.along("row_dual", dtype, costs, 0),
            "col_dual": fields.along("col_dual", dtype, costs, 1),
            "total": fields.each("total", np.float64),
            "status": fields.each("status", np.int32),
        }
        if len(costs) > 0:
            begins = {}
            if not costs.is_padded and costs.is_batch:
                rows, columns = costs.lengths
                sizes = {"row_at": rows, "column_at": columns, "cost_at": rows * columns}
                begins = {name: np.cumsum(size) - size for name, size in sizes.items()}
            placed = place(costs, dtype, gpu, **begins)
            call = require_native().Assignment(
                dtype=dtype.name,
                costs=placed.native,
                host_rows=placed.host_lengths[0],
                host_columns=placed.host_lengths[1],
                **(placed.more or {"row_at": 0, "column_at": 0, "cost_at": 0}),
                maximize=self.maximize,
                limit=self.max_cost,
                device=gpu.index,
                **outputs,
            )
            order = gpu.upload(call.order) if call.order.size else None
            queue(call, gpu, order=address(order))
        return Assignment(
            **fields.values,
            maximize=self.maximize,
            max_cost=self.max_cost,
            row_lengths=_kept_lengths(costs, 0, gpu),
            col_lengths=_kept_lengths(costs, 1, gpu),
        )

    def settle(self, found: Assignment, *, from_gpu: bool) -> Assignment:
        """Raise for the first cost that cannot be taken, or problem without a matching."""
        if from_gpu and np.isin(found.status, (Status.NAN, Status.INVALID)).any():
            forbidden = -np.inf if self.maximize else np.inf
            wanted = wanted_costs(self.maximize)
            self.costs.require_all(lambda cost: np.isfinite(cost) | (cost == forbidden), wanted)
        pairs = np.minimum(*self.costs.lengths)
        require_feasible(
            found.status,
            self.costs.is_batch,
            lambda p: (
                f"no matching of all {pairs[p]} pairs avoids the forbidden ones; "
                "max_cost=inf makes as many pairs as possible"
            ),
        )
        _warn_of_unproved(found.status, "assign", stacklevel=5)
        return found


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
    device = _execution.take_device(device)
    maximize = take_flag(maximize, "maximize")
    limit = None if max_cost is None else take_max_cost(max_cost)
    threads = _execution.thread_count(threads)
    costs = take_costs(cost, row_lengths, col_lengths)
    start = _take_start(warm_start, costs, maximize, limit)
    sign = "-" if maximize else ""
    if limit == float("inf" if maximize else "-inf"):
        raise ValueError(f"max_cost: expected a number or {sign}inf")
    return carry_out(_Call((costs,), maximize, limit, start, threads), device)


def linear_sum_assignment(
    cost_matrix: Any, maximize: Any
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Solve what `coalign.linear_sum_assignment` takes, or say what is wrong in SciPy's words."""
    return _core.linear_sum_assignment(cost_matrix, maximize, True)


def assign_top_k(
    cost: Any, k: Any, maximize: Any, row_lengths: Any, col_lengths: Any, threads: Any
) -> RankedAssignments:
    """Rank what `coalign.assign_top_k` takes."""
    maximize = take_flag(maximize, "maximize")
    threads = _execution.thread_count(threads)
    count = take_count(k, "k")
    rows, columns = (row_lengths, "row_lengths"), (col_lengths, "col_lengths")
    if holds_sparse(cost):
        costs = take_sparse(cost, "cost", rows, columns).dense(-np.inf if maximize else np.inf)
    else:
        costs = _validate.take_matrices(cost, "cost", rows, columns, empty=True)
    wrap = costs.kind.wrap
    shapes = set(zip(costs.lengths[0].tolist(), costs.lengths[1].tolist(), strict=True))
    count = max((_count_matchings(n, m, count) for n, m in shapes), default=count)
    if len(costs) == 0 and not costs.is_padded:
        none = (np.empty((0, count)), np.empty(0, np.int32))
        return RankedAssignments([], *map(wrap, none), maximize)
    matchings, totals, status, bad = _core.assign_top_k(
        costs.native(costs.dtype, has_whole_strides),
        count,
        maximize,
        costs.native_lengths(0),
        costs.native_lengths(1),
        threads,
    )
    if bad is not None:
        raise bad_cost(costs, maximize, *bad)
    _warn_of_unproved(status, "assign_top_k", stacklevel=3)
    room = costs.room(0)
    if room is None:
        ends = np.cumsum(costs.lengths[0] * count)[:-1]
        parts = [wrap(part.reshape(count, -1).copy()) for part in np.split(matchings, ends)]
        return RankedAssignments(parts, wrap(totals), wrap(status), maximize)
    matchings = matchings.reshape(len(costs), count, room)
    if costs.is_batch:
        return RankedAssignments(wrap(matchings), wrap(totals), wrap(status), maximize)
    return RankedAssignments(wrap(matchings[0]), wrap(totals[0]), wrap(status[0]), maximize)


def _count_matchings(rows: int, columns: int, most: int) -> int:
    """Count the matchings of the whole shorter side, up to `most`."""
    count, longer = 1, max(rows, columns)
    for factor in range(longer, longer - min(rows, columns), -1):
        count *= factor
        if count >= most:
            return most
    return count


def _warn_of_unproved(status: Any, name: str, stacklevel: int) -> None:
    unproved = np.count_nonzero(np.atleast_1d(status) == Status.PRECISION_LIMIT)
    if unproved:
        warnings.warn(
            f"{name}: {unproved} of {np.size(status)} totals could not be proved; "
            "their status is PRECISION_LIMIT",
            RuntimeWarning,
            stacklevel=stacklevel + 1,
        )


def _take_start(earlier: Any, costs: Batch, maximize: bool, limit: float | None) -> Start | None:
    """Return what a warm start begins with, or None for a cold one."""
    if earlier is None:
        return None
    if not isinstance(earlier, Assignment):
        raise TypeError(f"warm_start: expected an Assignment, got {type(earlier).__name__}")
    if costs.kind.gpu is not None:
        raise DeviceError(NO_WARM_START)
    sides = [
        [to_host(part) for part in (side if isinstance(side, list) else [side])]
        for side in (earlier.row_dual, earlier.col_dual, earlier.col_of_row)
    ]
    shapes = [[part.shape for part in side] for side in sides]
    rows, columns = (_shapes_along(costs, axis) for axis in (0, 1))
    are_pairs = all(part.dtype == np.int64 for part in sides[2])
    if earlier.maximize != maximize or shapes != [rows, columns, rows] or not are_pairs:
        raise ValueError("warm_start: expected an assignment of the same shape and direction")
    if limit is not None or not (costs.lengths[0] == costs.lengths[1]).all():
        return None
    prices, pairs = (np.concatenate([part.reshape(-1) for part in side]) for side in sides[1:])
    return prices, pairs


def _kept_lengths(costs: Batch, axis: int, gpu: Gpu) -> Any:
    """Return the lengths of a padded batch; None where every problem is known to fill it."""
    there = costs.device_lengths[axis] if costs.device_lengths else None
    if there is not None:
        return there.owner
    counts = costs.lengths[axis]
    if not costs.is_padded or (counts == costs.room(axis)).all():
        return None
    return gpu.upload(counts).owner


def _shapes_along(costs: Batch, axis: int) -> list[tuple[int, ...]]:
    """Return the shapes of a result's arrays that hold a value of every row, or every column."""
    if costs.is_padded:
        return [(len(costs), costs.data.shape[1 + axis])]
    return [(count,) for count in costs.lengths[axis].tolist()]
