"""Arrays of a call on a GPU: placed there, and addressed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ._device import DeviceArray, Gpu


def on_device(array: Any, dtype: np.dtype[Any], gpu: Gpu) -> DeviceArray:
    """Return an array on the device, of a dtype and with strides of whole elements."""
    if isinstance(array, DeviceArray):
        whole = all(stride % array.dtype.itemsize == 0 for stride in array.strides)
        return array if whole and array.dtype == dtype else contiguous(array, dtype)
    return gpu.upload(np.ascontiguousarray(array, dtype))


def contiguous(array: DeviceArray, dtype: np.dtype[Any]) -> DeviceArray:
    """Return an array in C order; an axis that was added to it is added again."""
    found = array.library.describe(array.library.contiguous(array.owner, dtype))
    return found if found.shape == array.shape else found.with_shape(array.shape)


def place_items(
    items: list[Any], dtype: np.dtype[Any], gpu: Gpu
) -> tuple[npt.NDArray[np.int64], tuple[DeviceArray, ...]]:
    """Put the items of a ragged batch on the device: their addresses, and what holds them."""
    if not isinstance(items[0], np.ndarray):
        held = tuple(contiguous(item, dtype) for item in items)
        return np.array([item.pointer for item in held], np.int64), held
    # Side by side in one array, which goes over in one copy.
    flat = gpu.upload(np.concatenate([np.asarray(item, dtype).reshape(-1) for item in items]))
    sizes = np.array([item.size for item in items], np.int64) * dtype.itemsize
    return flat.pointer + np.cumsum(sizes) - sizes, (flat,)


def address(array: DeviceArray | None) -> int:
    """Return where an array begins; 0 for none."""
    return 0 if array is None else array.pointer
