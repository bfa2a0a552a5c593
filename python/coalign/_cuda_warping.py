"""Warping calls on a GPU: series, windows and results are placed there, and the call is queued."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _execution
from ._batch import Batch, Lengths
from ._cuda_call import Fields, address, place, queue
from ._device import DeviceArray, Gpu, require_native
from ._warping_result import Warping
from ._warping_search_result import Neighbors

# The workspace that a call may take for the directions of paths, if so little is enough for it.
_WORKSPACE_BYTES = 1 << 30


def warp_pairs(
    pair: tuple[Batch, ...],
    lengths: tuple[Lengths, Lengths],
    dtype: np.dtype[Any],
    options: Any,
    window: tuple[str, Any],
    path: bool,
    gpu: Gpu,
) -> Warping:
    """Queue every pair on the caller's stream; lengths stay on the host."""
    n, m = lengths
    is_batch = any(side.is_batch for side in pair)
    fields = Fields(gpu, len(n), is_batch)
    outputs = {
        "cost": fields.each("cost", dtype),
        "status": fields.each("status", np.int32),
        **dict.fromkeys(("x_index", "y_index", "path_length"), 0),
    }
    fields.values.update(x_index=None, y_index=None)
    if path:
        room = int(n.max() + m.max() - 1) if len(n) else 0
        outputs["x_index"] = fields.each("x_index", np.int64, room)
        outputs["y_index"] = fields.each("y_index", np.int64, room)
        outputs["path_length"] = fields.each("path_length", np.int64)
    if len(n):
        cells = n * m
        # The largest come first, so that the last ones to be handed out are short.
        order = gpu.upload(np.argsort(-cells, kind="stable")) if np.ptp(cells) else None
        sides = [Side(side, dtype, gpu) for side in pair]
        bounds = Bounds(window, n, m, gpu)
        _queue(
            sides,
            dtype,
            options,
            bounds,
            gpu,
            all_pairs=False,
            symmetric=False,
            order=address(order),
            cost_stride=1,
            **outputs,
        )
    fields.values.update(x_length=n if is_batch else n[0], y_length=m if is_batch else m[0])
    return Warping(**fields.values)


def fill_all_pairs(
    costs: DeviceArray,
    collections: tuple[Batch, ...],
    options: Any,
    window: tuple[str, Any],
    gpu: Gpu,
) -> None:
    """Queue every pair of two collections, or of one with itself, on the caller's stream."""
    dtype = costs.dtype
    sides = [Side(side, dtype, gpu, by_length=True) for side in collections]
    n, m = collections[0].lengths[0], collections[-1].lengths[0]
    _queue(
        sides,
        dtype,
        options,
        Bounds(window, n, m, gpu),
        gpu,
        all_pairs=True,
        # A window given row by row need not be its own transpose, so nothing is mirrored.
        symmetric=len(sides) == 1 and window[0] != "rows",
        order=0,
        cost=costs.pointer,
        cost_stride=costs.strides[0] // dtype.itemsize,
        status=0,
        x_index=0,
        y_index=0,
        path_length=0,
    )


def find_nearest(
    collections: tuple[Batch, ...],
    dtype: np.dtype[Any],
    count: int,
    options: Any,
    window: tuple[str, Any],
    gpu: Gpu,
) -> Neighbors:
    """Queue the search of a database for the nearest to each query, on the caller's stream."""
    asked, held = collections
    fields = Fields(gpu, len(asked), True)
    outputs = {
        "index": fields.each("index", np.int64, count),
        "cost": fields.each("cost", dtype, count),
        "status": fields.each("status", np.int32),
    }
    # Every pair is warped to the end.
    counts = np.zeros((len(asked), len(Neighbors.STAGES)), np.int64)
    counts[:, Neighbors.STAGES.index("warped")] = len(held)
    if len(asked):
        queries, database = Side(asked, dtype, gpu, by_length=True), Side(held, dtype, gpu)
        bounds = Bounds(window, asked.lengths[0], held.lengths[0], gpu)
        call = require_native().Nearest(
            dtype=dtype.name,
            metric=options.metric,
            dim=queries.dim,
            x=queries.native,
            y=database.native,
            window=bounds.kind,
            rows=address(bounds.on_device),
            host_rows=bounds.on_host,
            count=count,
            device=gpu.index,
            workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
            **outputs,
        )
        queue(call, gpu)
    return Neighbors(**fields.values, counts=gpu.upload(counts).owner)


class Side:
    """One side of a call on the device: what native code takes, and what has to outlive it.

    With `by_length` its items are dealt out longest first.
    """

    def __init__(
        self, batch: Batch, dtype: np.dtype[Any], gpu: Gpu, *, by_length: bool = False
    ) -> None:
        lengths = batch.lengths[0]
        order = {}
        if by_length and np.ptp(lengths):
            order["order"] = np.argsort(-lengths, kind="stable")
        self.placed = place(batch, dtype, gpu, **order)
        self.dim = int(batch.arrays[0].shape[-1])
        self.bad = gpu.empty((len(batch),), np.int64)
        self.native = require_native().SeriesArray(
            series=self.placed.native,
            order=self.placed.more.get("order", 0),
            bad=self.bad.pointer,
        )


class Bounds:
    """A window; what takes a division a row is turned into row bounds, where all pairs share them.

    The bounds are the same on the device and on the host.
    """

    def __init__(self, window: tuple[str, Any], n: Lengths, m: Lengths, gpu: Gpu) -> None:
        kind, value = window
        self.kind: tuple[str, int] = ("rows", 0)
        self.on_device: DeviceArray | None = None
        self.on_host: npt.NDArray[np.int32] | None = None
        if kind in ("none", "band") or (kind == "slanted" and (np.ptp(n) or np.ptp(m))):
            self.kind = (kind, int(value))
            return
        ranges = _core.window_ranges(window=window, n=int(n[0]), m=int(m.max()))
        self.on_host = np.ascontiguousarray(ranges, np.int32)
        self.on_device = gpu.upload(self.on_host)


def _queue(
    sides: list[Side],
    dtype: np.dtype[Any],
    options: Any,
    bounds: Bounds,
    gpu: Gpu,
    **outputs: Any,
) -> None:
    call = require_native().Warping(
        dtype=dtype.name,
        metric=options.metric,
        step=options.step,
        dim=sides[0].dim,
        x=sides[0].native,
        y=sides[-1].native,
        window=bounds.kind,
        rows=address(bounds.on_device),
        host_rows=bounds.on_host,
        max_cost=options.limit(dtype),
        device=gpu.index,
        workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
        columns=0,
        lanes=0,
        **outputs,
    )
    queue(call, gpu)
