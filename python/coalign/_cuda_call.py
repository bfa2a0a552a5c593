"""Calls on a GPU: batches and results are placed there, and native work is queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _execution
from ._batch import Batch, Lengths
from ._device import DeviceArray, Gpu, require_native


@dataclass(frozen=True, slots=True)
class Placed:
    """A batch on a GPU: `native` describes it, with one array of any strides or a table of items.

    `host_lengths` are the lengths that native code is given and the host knows. `more` holds the
    addresses of what else was asked for, and `held` has to outlive the call.
    """

    native: Any
    host_lengths: tuple[Lengths | None, ...]
    more: dict[str, int]
    held: tuple[DeviceArray, ...]


def place(batch: Batch, dtype: np.dtype[Any], gpu: Gpu, **more: Lengths) -> Placed:
    """Put a batch on a GPU, with one table of what is told of every problem.

    `more` are further integers of every problem; the lengths of a list come with them in any case.
    """
    data, axes = batch.stacked, len(batch.lengths)
    columns = dict(more)
    pointer = 0
    if isinstance(data, list):
        columns["items"], held = place_items(data, dtype, gpu)
        shape = [int(counts.max()) for counts in batch.lengths]
        shape += data[0].shape[axes:]
        # Items are contiguous: where all have as many columns, these lie between their rows.
        strides: tuple[int, ...] = (0, 0 if axes == 2 else shape[1], 1)
    else:
        array = on_device(data, dtype, gpu)
        held, pointer, shape = (array,), array.pointer, [*array.shape[1:]]
        strides = tuple(stride // dtype.itemsize for stride in array.strides)
    names = ("row_lengths", "column_lengths")[:axes]
    at = {"items": 0, "row_lengths": 0, "column_lengths": 0}
    host_lengths: tuple[Lengths | None, ...] = (None,) * axes
    if any(there is not None for there in batch.device_lengths):
        for name, there, counts in zip(names, batch.device_lengths, batch.lengths, strict=True):
            lengths = gpu.upload(counts) if there is None else there
            at[name], held = lengths.pointer, (*held, lengths)
    elif more or any((n != most).any() for n, most in zip(batch.lengths, shape, strict=False)):
        host_lengths = batch.lengths
        columns.update(zip(names, batch.lengths, strict=True))
    if columns:
        table = gpu.upload(np.stack(list(columns.values())).astype(np.int64))
        at.update({name: table.pointer + k * table.strides[0] for k, name in enumerate(columns)})
        held = (*held, table)
    addresses = {name: at.pop(name) for name in more}
    native = require_native().Ragged(
        data=pointer, count=len(batch), rows=shape[0], columns=shape[1], strides=strides, **at
    )
    return Placed(native, host_lengths, addresses, held)


def on_device(array: Any, dtype: np.dtype[Any], gpu: Gpu) -> DeviceArray:
    """Return an array on the device, of a dtype and with strides of whole elements."""
    if isinstance(array, DeviceArray):
        whole = all(stride % array.dtype.itemsize == 0 for stride in array.strides)
        return array if whole and array.dtype == dtype else _contiguous(array, dtype)
    return gpu.upload(np.ascontiguousarray(array, dtype))


def _contiguous(array: DeviceArray, dtype: np.dtype[Any]) -> DeviceArray:
    """Return an array in C order; an axis that was added to it is added again."""
    found = array.library.describe(array.library.contiguous(array.owner, dtype))
    return found if found.shape == array.shape else found.with_shape(array.shape)


def place_items(
    items: list[Any], dtype: np.dtype[Any], gpu: Gpu
) -> tuple[npt.NDArray[np.int64], tuple[DeviceArray, ...]]:
    """Put the items of a ragged batch on the device: their addresses, and what holds them."""
    if not isinstance(items[0], np.ndarray):
        held = tuple(_contiguous(item, dtype) for item in items)
        return np.array([item.pointer for item in held], np.int64), held
    # Side by side in one array, which goes over in one copy.
    flat = gpu.upload(np.concatenate([np.asarray(item, dtype).reshape(-1) for item in items]))
    sizes = np.array([item.size for item in items], np.int64) * dtype.itemsize
    return flat.pointer + np.cumsum(sizes) - sizes, (flat,)


class Fields:
    """The fields of a result that a GPU computes, by name in `values`, with their batch axis."""

    def __init__(self, gpu: Gpu, count: int, is_batch: bool) -> None:
        self.values: dict[str, Any] = {}
        self._gpu, self._count, self._is_batch = gpu, count, is_batch

    def each(self, name: str, dtype: Any, *shape: int) -> int:
        """Make room for one value, or one array, of every problem; return its address."""
        array = self._gpu.empty((self._count, *shape), dtype)
        self.values[name] = array.owner if self._is_batch else array.owner[0]
        return array.pointer

    def along(self, name: str, dtype: Any, batch: Batch, axis: int) -> int:
        """Make room for a value of every entry along an axis; return its address."""
        return self.entries(name, dtype, batch.lengths[axis], batch.room(axis))

    def entries(self, name: str, dtype: Any, counts: Lengths, room: int | None) -> int:
        """Make room for so many values of every problem, side by side or padded to `room`."""
        if room is not None:
            return self.each(name, dtype, room)
        flat = self._gpu.empty((int(counts.sum()),), dtype)
        begins = (np.cumsum(counts) - counts).tolist()
        self.values[name] = [
            flat.owner[begin : begin + n] for begin, n in zip(begins, counts.tolist(), strict=True)
        ]
        return flat.pointer


def queue(call: Any, gpu: Gpu, **arguments: int) -> None:
    """Queue a planned call on the caller's stream."""
    # Freed when this returns, for what comes later on the same stream.
    workspace = gpu.empty((max(call.workspace_bytes, 1),), np.uint8)
    call.run(workspace=workspace.pointer, stream=gpu.stream(), **arguments)
    _execution.note_run("cuda", 1)


def address(array: DeviceArray | None) -> int:
    """Return where an array begins; 0 for none."""
    return 0 if array is None else array.pointer
