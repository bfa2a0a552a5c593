"""Transport on a GPU: costs, weights and results are placed there, and the call is queued."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _execution
from ._batch import Lengths, Shapes
from ._cuda_call import Fields, address, on_device, place, place_items, queue
from ._device import DeviceArray, Gpu, require_native

# The workspace that a call may take for kernel matrices or clouds, if so little is enough for it.
_WORKSPACE_BYTES = 1 << 30
#: A block iterates by itself on a problem of so many costs; larger ones are shared out to blocks.
COSTS_PER_BLOCK = 1 << 16


def solve(call: Any, gpu: Gpu) -> dict[str, Any]:
    """Queue every problem of a call of `sinkhorn`; return what a result has of the answer."""
    costs, dtype = call.costs, call.dtype
    fields = Fields(gpu, len(costs), costs.is_batch)
    outputs = _make_room(fields, costs, dtype)
    if len(costs) > 0:
        placed = place(costs, dtype, gpu, **_begins(costs))
        start = None if call.initial is None else call.initial[1]
        begins = placed.more or {"row_at": 0, "column_at": 0}
        batch, _held = _place_rest(call, start, begins | outputs, gpu)
        native = require_native().Transport(
            batch=batch,
            costs=placed.native,
            host_rows=placed.host_lengths[0],
            host_columns=placed.host_lengths[1],
            costs_per_block=_execution.forced_or("costs_per_block", COSTS_PER_BLOCK),
        )
        queue(native, gpu)
    return fields.values


def solve_points(call: Any, gpu: Gpu) -> dict[str, Any]:
    """Queue every problem of a call of `sinkhorn_points`, as `solve` does."""
    pairs, dtype = call.pairs, call.dtype
    fields = Fields(gpu, len(pairs), pairs.is_batch)
    outputs = _make_room(fields, pairs, dtype)
    if len(pairs) > 0:
        sides = [place(side, dtype, gpu) for side in pairs.sides]
        begins = _begins(pairs)
        at = gpu.upload(np.stack(list(begins.values()))) if begins else None
        outputs["row_at"] = 0 if at is None else at.pointer
        outputs["column_at"] = 0 if at is None else at.pointer + at.strides[0]
        batch, _held = _place_rest(call, call.start, outputs, gpu)
        native = require_native().PointTransport(
            batch=batch, x=sides[0].native, y=sides[1].native, metric=call.kept[0].metric
        )
        queue(native, gpu)
    return fields.values


def _make_room(fields: Fields, problems: Shapes, dtype: np.dtype[Any]) -> dict[str, int]:
    """Make room for what a result has of the answer; return where."""
    rooms = [
        problems.room(axis) if problems.is_padded or not problems.is_batch else None
        for axis in (0, 1)
    ]
    return {
        **{
            name: fields.entries(name, dtype, counts, room)
            for name, counts, room in zip("fg", problems.lengths, rooms, strict=True)
        },
        **{name: fields.each(name, np.float64) for name in ("cost", "value", "marginal_error")},
        "iterations": fields.each("iterations", np.int64),
        "status": fields.each("status", np.int32),
    }


def _begins(problems: Shapes) -> dict[str, Lengths]:
    """Return where the problems of a list begin in the potentials, which lie side by side."""
    if problems.is_padded or not problems.is_batch:
        return {}
    sides = zip(("row_at", "column_at"), problems.lengths, strict=True)
    return {name: np.cumsum(counts) - counts for name, counts in sides}


def _place_rest(call: Any, start: Any, outputs: dict[str, int], gpu: Gpu) -> tuple[Any, list[Any]]:
    """Put on a GPU what calls have beside costs; return it with the outputs, and what holds it."""
    dtype = call.dtype
    given = [_place_vectors(each, dtype, gpu) for each in (*call.weights, start)]
    each_epsilon = isinstance(call.epsilon, np.ndarray)
    epsilons = gpu.upload(call.epsilon) if each_epsilon else None
    rho = call.unbalanced
    batch = require_native().TransportBatch(
        dtype=dtype.name,
        a=given[0][0],
        b=given[1][0],
        initial=given[2][0],
        epsilon=0.0 if each_epsilon else call.epsilon,
        epsilons=address(epsilons),
        penalties=rho if isinstance(rho, tuple) else (math.inf if rho is None else rho,) * 2,
        tol=call.tol,
        max_iterations=call.max_iterations,
        device=gpu.index,
        workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
        **outputs,
    )
    return batch, [given, epsilons]


def _place_vectors(
    given: Any, dtype: np.dtype[Any], gpu: Gpu
) -> tuple[tuple[int, int, int], tuple[DeviceArray, ...]]:
    """Put vectors beside rows or columns on a GPU: where they lie, and what holds them."""
    if given is None:
        return (0, 0, 0), ()
    if isinstance(given, list):
        addresses, held = place_items(given, dtype, gpu)
        table = gpu.upload(addresses)
        return (0, table.pointer, 0), (*held, table)
    array = on_device(given, dtype, gpu)
    return (array.pointer, 0, array.shape[-1] if array.ndim == 2 else 0), (array,)
