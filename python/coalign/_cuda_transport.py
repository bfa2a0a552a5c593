"""Transport on a GPU: costs, weights and results are placed there, and the call is queued."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _execution
from ._cuda_call import Fields, on_device, place, place_items, queue
from ._device import DeviceArray, Gpu, require_native

# The workspace that a call may take for kernel matrices, if so little is enough for it.
_WORKSPACE_BYTES = 1 << 30
#: A block iterates by itself on a problem of so many costs; larger ones are shared out to blocks.
COSTS_PER_BLOCK = 1 << 16


def solve(call: Any, gpu: Gpu) -> dict[str, Any]:
    """Queue every problem of a call of `sinkhorn`; return what a result has of the answer."""
    costs, dtype = call.costs, call.dtype
    fields = Fields(gpu, len(costs), costs.is_batch)
    outputs = {
        "f": fields.along("f", dtype, costs, 0),
        "g": fields.along("g", dtype, costs, 1),
        **{name: fields.each(name, np.float64) for name in ("cost", "value", "marginal_error")},
        "iterations": fields.each("iterations", np.int64),
        "status": fields.each("status", np.int32),
    }
    if len(costs) > 0:
        begins = {}
        if not costs.is_padded and costs.is_batch:
            sides = zip(("row_at", "column_at"), costs.lengths, strict=True)
            begins = {name: np.cumsum(counts) - counts for name, counts in sides}
        placed = place(costs, dtype, gpu, **begins)
        start = None if call.initial is None else call.initial[1]
        given = [_place_vectors(each, dtype, gpu) for each in (*call.weights, start)]
        each_epsilon = isinstance(call.epsilon, np.ndarray)
        epsilons = gpu.upload(call.epsilon) if each_epsilon else None
        rho = call.unbalanced
        native = require_native().Transport(
            dtype=dtype.name,
            costs=placed.native,
            host_rows=placed.host_lengths[0],
            host_columns=placed.host_lengths[1],
            **(placed.more or {"row_at": 0, "column_at": 0}),
            a=given[0][0],
            b=given[1][0],
            initial=given[2][0],
            epsilon=0.0 if each_epsilon else call.epsilon,
            epsilons=0 if epsilons is None else epsilons.pointer,
            penalties=rho if isinstance(rho, tuple) else (math.inf if rho is None else rho,) * 2,
            tol=call.tol,
            max_iterations=call.max_iterations,
            device=gpu.index,
            workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
            costs_per_block=_execution.forced_or("costs_per_block", COSTS_PER_BLOCK),
            **outputs,
        )
        queue(native, gpu)
    return fields.values


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
