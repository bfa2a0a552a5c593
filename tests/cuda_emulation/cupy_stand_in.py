"""The part of CuPy that coalign uses, over the emulated GPU.

Device memory is host memory that starts as noise. What is launched waits on its stream until the
stream is synchronised, as the real one may; so a result that is looked at too early is noise.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class OutOfMemoryError(MemoryError):
    """The pool is at its limit."""


class Stream:
    """A queue of launches on one device."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self.ptr: int = native.make_stream()

    def synchronize(self) -> None:
        """Run what is queued."""
        self._native.synchronize(self.ptr)

    @property
    def pending(self) -> int:
        """How many launches and copies wait."""
        return int(self._native.pending(self.ptr))


def make_cupy(native: Any) -> Any:
    """Make a module that can stand in `sys.modules` as cupy."""
    cupy = ModuleType("cupy")
    state = SimpleNamespace(device=0, streams={}, limit=None, downloads=0, memory=[])

    class Device:
        def __init__(self, index: int | None = None) -> None:
            self.id = state.device if index is None else int(index)

        def __enter__(self) -> Device:
            self._former, state.device = state.device, self.id
            return self

        def __exit__(self, *exception: object) -> None:
            state.device = self._former

    def get_current_stream() -> Stream:
        return state.streams.setdefault(state.device, Stream(native))

    class ndarray:  # noqa: N801 - CuPy's name
        def __init__(self, memory: Any, device: int) -> None:
            self.memory = memory
            self.device = Device(device)
            self.shape, self.strides, self.dtype = memory.shape, memory.strides, memory.dtype
            self.ndim = memory.ndim
            self.data = SimpleNamespace(ptr=memory.ctypes.data)

        def __getitem__(self, key: Any) -> ndarray:
            view = self.memory[key]
            # A view even of one element, as on a GPU.
            return ndarray(
                view if isinstance(view, np.ndarray) else self._cell(key), self.device.id
            )

        def _cell(self, key: Any) -> Any:
            keys = key if isinstance(key, tuple) else (key,)
            return self.memory[tuple(slice(k, k + 1 or None) for k in keys)].reshape(())

        def __len__(self) -> int:
            return len(self.memory)

        def __array__(self, *arguments: Any, **options: Any) -> Any:
            raise TypeError("Implicit conversion to a NumPy array is not allowed.")

        def reshape(self, shape: Any) -> ndarray:
            return ndarray(self.memory.reshape(shape), self.device.id)

        def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> ndarray:
            memory = self.memory.astype(dtype, order=order, copy=copy)
            state.memory.append(memory)
            return ndarray(memory, self.device.id)

        def __float__(self) -> float:
            return float(asnumpy(self))

    ndarray.__module__ = "cupy"

    def empty(shape: Any, dtype: Any = float) -> ndarray:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if state.limit is not None and size > state.limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        memory = np.full(size, 0xFF, np.uint8).view(dtype).reshape(shape)
        # The pool gives memory out again in the order of the stream. This one never does.
        state.memory.append(memory)
        return ndarray(memory, state.device)

    def asarray(array: Any, dtype: Any = None) -> ndarray:
        if isinstance(array, ndarray):
            return array
        host = np.ascontiguousarray(array, dtype).reshape(np.shape(array))
        to = empty(host.shape, host.dtype)
        native.copy(to.data.ptr, host.tobytes(), get_current_stream().ptr)
        return to

    def asnumpy(array: ndarray) -> Any:
        state.downloads += 1
        for stream in state.streams.values():
            stream.synchronize()
        return array.memory.copy()

    def copyto(target: ndarray, source: ndarray) -> None:
        native.copy(target.data.ptr, source.memory.tobytes(), get_current_stream().ptr)

    class MemoryPool:
        def free_all_blocks(self) -> None:
            """Keep all: what is not given out again need not be given back."""

    @contextmanager
    def limited(size: int) -> Any:
        state.limit = size
        try:
            yield
        finally:
            state.limit = None

    cupy.ndarray = ndarray
    cupy.empty, cupy.asarray, cupy.asnumpy = empty, asarray, asnumpy
    cupy.copyto = copyto
    cupy.get_default_memory_pool = cupy.get_default_pinned_memory_pool = MemoryPool
    cupy.cuda = SimpleNamespace(
        Device=Device,
        get_current_stream=get_current_stream,
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    )
    cupy.emulation = SimpleNamespace(state=state, limited=limited)
    return cupy
