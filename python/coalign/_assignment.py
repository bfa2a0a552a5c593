"""The problems of an assignment call: checked, run by the native code, and reported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _execution, _validate
from ._arrays import Array
from ._errors import DeviceError, InfeasibleError, Status
from ._validate import MatrixBatch

#: By how much a limit exceeds what any exchange of pairs can gain, where every pair is worth it.
_MARGIN = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of a call."""

    maximize: bool
    max_cost: float | None
    threads: int

    @classmethod
    def take(cls, maximize: Any, max_cost: Any, threads: Any, device: Any) -> Options:
        """Check the options as the user gave them."""
        if _execution.take_device(device) == "cuda":
            raise DeviceError('device: "cuda" was asked for, and assign runs on the CPU only')
        if not isinstance(maximize, (bool, np.bool_)):
            raise TypeError(f"maximize: expected a bool, got {type(maximize).__name__}")
        limit = None if max_cost is None else _validate.take_max_cost(max_cost)
        return cls(bool(maximize), limit, _execution.thread_count(threads))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch: per row and per column, side by side over the problems."""

    col_of_row: npt.NDArray[np.int64]
    row_of_col: npt.NDArray[np.int64]
    row_dual: Array
    col_dual: Array
    total: npt.NDArray[np.float64]
    status: npt.NDArray[np.int32]


def solve(batch: MatrixBatch, options: Options, start: Array | None) -> Outcome:
    """Compute every problem; raise for the first that is wrong or has no solution."""
    dtype, limit = batch.dtype, options.max_cost
    if limit is not None and math.isinf(limit):
        # Larger than any difference between matchings, a limit asks for as many pairs as there are;
        # the infinity on the other side asks for none.
        dtype = np.dtype(np.float64)
        wants_pairs = (limit > 0) != options.maximize
        limit = _largest_limit(batch) * (1 if limit > 0 else -1)
        if not wants_pairs:
            raise ValueError(f"max_cost: expected a number or {'-' * options.maximize}inf")
    *results, bad, used, _ = _core.assign(
        dtype=dtype.name,
        cost=_native(batch, dtype),
        row_lengths=batch.rows if batch.is_padded else None,
        col_lengths=batch.columns if batch.is_padded else None,
        maximize=options.maximize,
        limit=limit,
        start=None if start is None else np.ascontiguousarray(start, dtype).reshape(-1),
        threads=options.threads,
        isa=_execution.selected(),
        work_per_thread=_execution.forced_or("work_per_thread", _core.assignment_work_per_thread),
    )
    _execution.note_run(*used)
    if bad is not None:
        raise _bad_value(batch, options, *bad)
    outcome = Outcome(*results)
    infeasible = np.flatnonzero(outcome.status == Status.INFEASIBLE)
    if infeasible.size:
        which = f"problem {infeasible[0]}: " if batch.is_batch else ""
        raise InfeasibleError(
            f"{which}no matching of all {min(batch.matrix(infeasible[0]).shape)} pairs avoids the "
            "forbidden ones; max_cost=inf makes as many as can be"
        )
    return outcome


def _largest_limit(batch: MatrixBatch) -> float:
    """Return a limit that no exchange of pairs is worth."""
    largest = 0.0
    for p in range(len(batch.rows)):
        finite = np.abs(batch.matrix(p)[np.isfinite(batch.matrix(p))], dtype=np.float64)
        pairs = min(batch.rows[p], batch.columns[p])
        largest = max(largest, _MARGIN * float(pairs) * float(finite.max(initial=0.0)))
    return largest + 1


def _native(batch: MatrixBatch, dtype: np.dtype[Any]) -> Array | list[Array]:
    """Return the costs as native code takes them: of one dtype, with strides of whole elements."""
    if isinstance(batch.data, np.ndarray):
        return _with_whole_strides(batch.data.astype(dtype, copy=False))
    return [_with_whole_strides(item.astype(dtype, copy=False)) for item in batch.data]


def _with_whole_strides(array: Array) -> Array:
    whole = all(stride % array.itemsize == 0 for stride in array.strides)
    return array if whole else np.ascontiguousarray(array)


def _bad_value(
    batch: MatrixBatch, options: Options, problem: int, row: int, column: int
) -> ValueError:
    name, place = batch.place(problem)
    found = "NaN" if np.isnan(batch.matrix(problem)[row, column]) else None
    wrong, forbids = ("inf", "-inf") if options.maximize else ("-inf", "+inf")
    return ValueError(
        f"{name}: {found or wrong} at index {(*place, row, column)}; "
        f"expected finite costs, or {forbids} to forbid a pair"
    )
