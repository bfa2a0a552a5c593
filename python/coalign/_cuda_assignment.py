"""Assignment calls on a GPU: costs and results placed there, and the native call queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _execution
from ._cuda_arrays import address, on_device, place_items
from ._device import DeviceArray, Gpu, require_native
from ._validate import MatrixBatch


@dataclass(frozen=True, slots=True)
class DeviceAssignments:
    """What came of a batch, on the device.

    Rows and columns are padded to the batch's, or of a list lie side by side.
    """

    col_of_row: DeviceArray
    row_of_col: DeviceArray
    row_dual: DeviceArray
    col_dual: DeviceArray
    total: DeviceArray
    status: DeviceArray


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where costs lie, and what native code takes to find them."""

    arguments: dict[str, Any]
    row_room: int
    column_room: int
    held: tuple[DeviceArray, ...]


def run(
    batch: MatrixBatch, dtype: np.dtype[Any], maximize: bool, limit: float | None, gpu: Gpu
) -> DeviceAssignments:
    """Queue every problem on the caller's stream."""
    count = len(batch.rows)
    is_list = isinstance(batch.data, list)
    layout = _empty() if count == 0 else (_place_list if is_list else _place)(batch, dtype, gpu)
    rows, columns = (layout.row_room,), (layout.column_room,)
    found = DeviceAssignments(
        gpu.empty(rows, np.int64),
        gpu.empty(columns, np.int64),
        gpu.empty(rows, dtype),
        gpu.empty(columns, dtype),
        gpu.empty((count,), np.float64),
        gpu.empty((count,), np.int32),
    )
    if count == 0:
        return found
    call = require_native().Assignment(
        dtype=dtype.name,
        count=count,
        maximize=maximize,
        limit=limit,
        col_of_row=found.col_of_row.pointer,
        row_of_col=found.row_of_col.pointer,
        row_dual=found.row_dual.pointer,
        col_dual=found.col_dual.pointer,
        total=found.total.pointer,
        status=found.status.pointer,
        device=gpu.index,
        **layout.arguments,
    )
    order = gpu.upload(call.order) if call.order.size else None
    # Freed when this returns, for what comes later on the same stream.
    workspace = gpu.empty((max(call.workspace_bytes, 1),), np.uint8)
    call.run(order=address(order), workspace=workspace.pointer, stream=gpu.stream())
    _execution.note_run("cuda", 1)
    return found


def _empty() -> _Layout:
    return _Layout({}, 0, 0, ())


def _place(batch: MatrixBatch, dtype: np.dtype[Any], gpu: Gpu) -> _Layout:
    """Put one (B, N, M) array on the device, and lengths unless all are the longest."""
    data = on_device(batch.data, dtype, gpu)
    count, rows, columns = data.shape
    on_device_only = batch.device_rows is not None or batch.device_columns is not None
    is_ragged = (batch.rows != rows).any() or (batch.columns != columns).any()
    table: DeviceArray | None = None
    at: tuple[int, ...] = (0, 0)
    held = [data]
    if on_device_only:
        lengths = [
            there if there is not None else gpu.upload(values)
            for there, values in (
                (batch.device_rows, batch.rows),
                (batch.device_columns, batch.columns),
            )
        ]
        at, held = (lengths[0].pointer, lengths[1].pointer), [*held, *lengths]
    elif is_ragged:
        table, at = _upload_table([batch.rows, batch.columns], gpu)
        held = [*held, table]
    on_host = table is not None
    arguments = {
        "data": data.pointer,
        "items": 0,
        "rows": rows,
        "columns": columns,
        "strides": tuple(stride // dtype.itemsize for stride in data.strides),
        "row_lengths": at[0],
        "column_lengths": at[1],
        "host_rows": batch.rows if on_host else None,
        "host_columns": batch.columns if on_host else None,
        "row_at": 0,
        "column_at": 0,
        "cost_at": 0,
    }
    return _Layout(arguments, count * rows, count * columns, tuple(held))


def _place_list(batch: MatrixBatch, dtype: np.dtype[Any], gpu: Gpu) -> _Layout:
    """Put the matrices of a list on the device, and a table of where each begins."""
    items, held = place_items(batch.data, dtype, gpu)
    rows, columns = batch.rows, batch.columns
    sizes = (rows, columns, rows * columns)
    starts = [np.cumsum(size) - size for size in sizes]
    table, at = _upload_table([items, rows, columns, *starts], gpu)
    names = ("items", "row_lengths", "column_lengths", "row_at", "column_at", "cost_at")
    arguments = {
        "data": 0,
        "rows": int(rows.max()),
        "columns": int(columns.max()),
        "strides": (0, 0, 1),
        "host_rows": rows,
        "host_columns": columns,
        **dict(zip(names, at, strict=True)),
    }
    return _Layout(arguments, int(rows.sum()), int(columns.sum()), (*held, table))


def _upload_table(
    columns: list[npt.NDArray[np.int64]], gpu: Gpu
) -> tuple[DeviceArray, tuple[int, ...]]:
    """Upload columns of one integer a problem in one copy; return where each begins."""
    table = gpu.upload(np.stack(columns).astype(np.int64))
    return table, tuple(table.pointer + k * table.strides[0] for k in range(len(columns)))
