"""Warping calls on a GPU: series and results placed there, and the native call queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _execution
from ._cuda_arrays import address, on_device, place_items
from ._device import DeviceArray, Gpu, require_native
from ._validate import SeriesBatch

# What one call may take for itself if it can do with so little: the directions of many paths.
_WORKSPACE_BYTES = 1 << 30
_NOTHING_BAD = np.iinfo(np.uint64).max


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a call on the device: what native code takes, and what has to outlive it."""

    native: Any
    bad: DeviceArray
    held: tuple[DeviceArray, ...]

    def first_bad(self) -> tuple[int, int] | None:
        """Return the first item that is not finite, and where; waits for the GPU."""
        at = self.bad.library.download(self.bad.owner).view(np.uint64)
        wrong = np.flatnonzero(at != _NOTHING_BAD)
        return (int(wrong[0]), int(at[wrong[0]])) if wrong.size else None


def place(batch: SeriesBatch, dtype: np.dtype[Any], gpu: Gpu, *, by_length: bool = False) -> Side:
    """Put a side on the device; with `by_length`, its items are dealt out longest first."""
    data, items, held = _place_data(batch, dtype, gpu)
    shape, strides = data.shape, tuple(stride // dtype.itemsize for stride in data.strides)
    frames = int(batch.lengths.max()) if items else shape[1]
    lengths, order = batch.device_lengths, None
    if lengths is None and (batch.lengths != frames).any():
        lengths = gpu.upload(batch.lengths)
        if by_length:
            order = gpu.upload(np.argsort(-batch.lengths, kind="stable"))
    bad = gpu.empty((len(batch),), np.int64)
    native = require_native().SeriesArray(
        data=0 if items else data.pointer,
        items=items.pointer if items else 0,
        count=len(batch),
        frames=frames,
        strides=(0, batch.dim, 1) if items else strides,
        lengths=address(lengths),
        order=address(order),
        bad=bad.pointer,
    )
    others = (lengths, order, items)
    return Side(native, bad, (*held, *(array for array in others if array is not None)))


def _place_data(
    batch: SeriesBatch, dtype: np.dtype[Any], gpu: Gpu
) -> tuple[DeviceArray, DeviceArray | None, tuple[DeviceArray, ...]]:
    """Return the data as one (B, T, D) array, or a table of where its items begin."""
    if isinstance(batch.data, (np.ndarray, DeviceArray)):
        data = on_device(batch.data, dtype, gpu)
        return data, None, (data,)
    table, held = place_items(batch.arrays, dtype, gpu)
    return held[0], gpu.upload(table), held


@dataclass(frozen=True, slots=True)
class DevicePairs:
    """What came of a batch of pairs, on the device."""

    cost: DeviceArray
    status: DeviceArray
    x_index: DeviceArray | None
    y_index: DeviceArray | None
    path_length: DeviceArray | None
    sides: tuple[Side, Side]


def run_pairs(
    xs: SeriesBatch,
    ys: SeriesBatch,
    n: npt.NDArray[np.int64],
    m: npt.NDArray[np.int64],
    dtype: np.dtype[Any],
    options: Any,
    window: tuple[str, Any],
    path: bool,
    gpu: Gpu,
) -> DevicePairs:
    """Queue every pair on the caller's stream."""
    sides = place(xs, dtype, gpu), place(ys, dtype, gpu)
    count = len(n)
    cost, status = gpu.empty((count,), dtype), gpu.empty((count,), np.int32)
    x_index = y_index = path_length = None
    if path:
        room = int(n.max() + m.max() - 1)
        x_index, y_index = gpu.empty((count, room), np.int64), gpu.empty((count, room), np.int64)
        path_length = gpu.empty((count,), np.int64)
    cells = n * m
    order = None
    if (cells != cells[0]).any():
        order = gpu.upload(np.argsort(-cells, kind="stable"))
    _queue(
        xs,
        dtype,
        options,
        _place_window(window, n, m, gpu),
        sides,
        gpu,
        all_pairs=False,
        symmetric=False,
        order=address(order),
        cost=cost.pointer,
        cost_stride=1,
        status=status.pointer,
        x_index=address(x_index),
        y_index=address(y_index),
        path_length=address(path_length),
    )
    return DevicePairs(cost, status, x_index, y_index, path_length, sides)


def fill_all_pairs(
    costs: DeviceArray,
    xs: SeriesBatch,
    ys: SeriesBatch | None,
    options: Any,
    window: tuple[str, Any],
    gpu: Gpu,
) -> tuple[Side, Side]:
    """Queue every pair of two collections, or of one with itself, on the caller's stream."""
    dtype = costs.dtype
    x_side = place(xs, dtype, gpu, by_length=True)
    y_side = x_side if ys is None else place(ys, dtype, gpu, by_length=True)
    columns = xs if ys is None else ys
    _queue(
        xs,
        dtype,
        options,
        _place_window(window, xs.lengths, columns.lengths, gpu),
        (x_side, y_side),
        gpu,
        all_pairs=True,
        # A window given row by row is not its own transpose, so nothing can be mirrored.
        symmetric=ys is None and window[0] != "rows",
        order=0,
        cost=costs.pointer,
        cost_stride=costs.strides[0] // dtype.itemsize,
        status=0,
        x_index=0,
        y_index=0,
        path_length=0,
    )
    return x_side, y_side


# The kind and radius of a window, and the bounds of its rows, on the device and on the host.
_PlacedWindow = tuple[tuple[str, int], "DeviceArray | None", "npt.NDArray[np.int32] | None"]


def _place_window(
    window: tuple[str, Any], n: npt.NDArray[np.int64], m: npt.NDArray[np.int64], gpu: Gpu
) -> _PlacedWindow:
    """Turn what takes a division a row into row bounds, where all pairs share them."""
    kind, value = window
    if kind in ("none", "band") or (kind == "slanted" and not _is_one_shape(n, m)):
        return (kind, int(value)), None, None
    ranges = _core.window_ranges(window=window, n=int(n[0]), m=int(m.max()))
    rows = np.ascontiguousarray(ranges, np.int32)
    return ("rows", 0), gpu.upload(rows), rows


def _is_one_shape(n: npt.NDArray[np.int64], m: npt.NDArray[np.int64]) -> bool:
    return bool((n == n[0]).all() and (m == m[0]).all())


def _queue(
    xs: SeriesBatch,
    dtype: np.dtype[Any],
    options: Any,
    window: _PlacedWindow,
    sides: tuple[Side, Side],
    gpu: Gpu,
    **outputs: Any,
) -> None:
    kind, rows, host_rows = window
    call = require_native().Warping(
        dtype=dtype.name,
        metric=options.metric,
        dim=xs.dim,
        x=sides[0].native,
        y=sides[1].native,
        window=kind,
        rows=address(rows),
        host_rows=host_rows,
        max_cost=options.limit(dtype),
        device=gpu.index,
        workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
        columns=0,
        lanes=0,
        **outputs,
    )
    # Freed when this returns, for what comes later on the same stream.
    workspace = gpu.empty((max(call.workspace_bytes, 1),), np.uint8)
    call.run(workspace=workspace.pointer, stream=gpu.stream())
    _execution.note_run("cuda", 1)
