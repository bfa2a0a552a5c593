"""GPUs: the native module, the libraries whose arrays live there, and what may be missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._errors import DeviceError

HostArray = npt.NDArray[Any]


@lru_cache(maxsize=1)
def _imported_native() -> Any:
    try:
        return import_module("coalign._cuda")
    except ImportError:
        return None


def native() -> Any:
    """Return the CUDA module, or None in a build without it; imported when first asked for."""
    return _imported_native()


def require_native() -> Any:
    """Return the CUDA module of a machine that has a GPU.

    Raises
    ------
    DeviceError
        The build has no CUDA, or the machine has no driver or no device.
    """
    module = native()
    if module is None:
        raise DeviceError("coalign was built without CUDA")
    count, problem = module.count_devices()
    if count == 0:
        raise DeviceError(problem)
    return module


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """An array on a GPU, as native code needs it; `owner` is the library's own.

    Strides are in bytes.
    """

    owner: Any
    library: Library
    index: int
    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def with_last_axis(self) -> DeviceArray:
        """View with one more axis, of length 1."""
        strides = (*self.strides, self.dtype.itemsize)
        return replace(self, shape=(*self.shape, 1), strides=strides)

    def with_shape(self, shape: tuple[int, ...]) -> DeviceArray:
        """View an array in C order with axes of length 1 added, or taken away."""
        inner = [int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape))]
        return replace(self, shape=shape, strides=tuple(n * self.dtype.itemsize for n in inner))

    def with_first_axis(self) -> DeviceArray:
        """View with one more axis before the others, of length 1."""
        whole = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        return replace(self, shape=(1, *self.shape), strides=(whole, *self.strides))

    def span(self) -> tuple[int, int]:
        """Return the first byte and the one past the last."""
        steps = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        first = self.pointer + sum(step for step in steps if step < 0)
        last = self.pointer + sum(step for step in steps if step > 0)
        return first, last + self.dtype.itemsize


class Library(Protocol):
    """What a library of GPU arrays does for us: its pools, its streams."""

    name: str

    def describe(self, owner: Any) -> DeviceArray:
        """Return what native code needs of one of the library's arrays."""

    def empty(self, shape: tuple[int, ...], dtype: Any, index: int) -> Any:
        """Allocate an array on a device."""

    def upload(self, array: HostArray, index: int) -> Any:
        """Copy a host array to a device, in the order of the current stream."""

    def download(self, owner: Any) -> HostArray:
        """Copy an array to the host; waits for the current stream."""

    def contiguous(self, owner: Any, dtype: np.dtype[Any]) -> Any:
        """Return the array in C order and of a dtype; a copy only if it is not."""

    def stream(self, index: int) -> int:
        """Return the handle of the caller's current stream on a device."""

    def current_index(self) -> int:
        """Return the caller's current device."""


class _CuPy:
    name = "cupy"

    def __init__(self) -> None:
        self._cupy = import_module("cupy")

    def describe(self, owner: Any) -> DeviceArray:
        return DeviceArray(
            owner,
            self,
            int(owner.device.id),
            int(owner.data.ptr),
            tuple(owner.shape),
            tuple(owner.strides),
            np.dtype(owner.dtype),
        )

    def empty(self, shape: tuple[int, ...], dtype: Any, index: int) -> Any:
        with self._memory(shape, dtype), self._cupy.cuda.Device(index):
            return self._cupy.empty(shape, dtype)

    def upload(self, array: HostArray, index: int) -> Any:
        with self._memory(array.shape, array.dtype), self._cupy.cuda.Device(index):
            return self._cupy.asarray(array)

    def download(self, owner: Any) -> HostArray:
        with owner.device:
            host: HostArray = self._cupy.asnumpy(owner)
        return host

    def contiguous(self, owner: Any, dtype: np.dtype[Any]) -> Any:
        # Not ascontiguousarray, which adds an axis to an array without axes.
        with self._memory(owner.shape, dtype), owner.device:
            return owner.astype(dtype, order="C", copy=False)

    def stream(self, index: int) -> int:
        with self._cupy.cuda.Device(index):
            return int(self._cupy.cuda.get_current_stream().ptr)

    def current_index(self) -> int:
        return int(self._cupy.cuda.Device().id)

    @contextmanager
    def _memory(self, shape: tuple[int, ...], dtype: Any) -> Iterator[None]:
        try:
            yield
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise _out_of_memory(shape, dtype, error) from error


class _Torch:
    name = "torch"

    def __init__(self) -> None:
        self._torch = import_module("torch")

    def describe(self, owner: Any) -> DeviceArray:
        dtype = np.dtype(str(owner.dtype).removeprefix("torch."))
        strides = tuple(stride * dtype.itemsize for stride in owner.stride())
        return DeviceArray(
            owner,
            self,
            int(owner.device.index),
            int(owner.data_ptr()),
            tuple(owner.shape),
            strides,
            dtype,
        )

    def empty(self, shape: tuple[int, ...], dtype: Any, index: int) -> Any:
        with self._memory(shape, dtype):
            return self._torch.empty(
                shape, dtype=getattr(self._torch, np.dtype(dtype).name), device=f"cuda:{index}"
            )

    def upload(self, array: HostArray, index: int) -> Any:
        with self._memory(array.shape, array.dtype):
            # From pinned memory, which the pool keeps until the copy is done. It is filled through
            # NumPy, as PyTorch warns when it makes a tensor from a read-only array.
            dtype = getattr(self._torch, array.dtype.name)
            pinned = self._torch.empty(array.shape, dtype=dtype, pin_memory=True)
            pinned.numpy()[...] = array
            return pinned.to(f"cuda:{index}", non_blocking=True)

    def download(self, owner: Any) -> HostArray:
        host: HostArray = owner.cpu().numpy()
        return host

    def contiguous(self, owner: Any, dtype: np.dtype[Any]) -> Any:
        with self._memory(tuple(owner.shape), dtype):
            return owner.to(getattr(self._torch, dtype.name)).resolve_neg().contiguous()

    def stream(self, index: int) -> int:
        return int(self._torch.cuda.current_stream(index).cuda_stream)

    def current_index(self) -> int:
        return int(self._torch.cuda.current_device())

    @contextmanager
    def _memory(self, shape: tuple[int, ...], dtype: Any) -> Iterator[None]:
        try:
            yield
        except self._torch.cuda.OutOfMemoryError as error:
            raise _out_of_memory(shape, dtype, error) from error


def _out_of_memory(shape: tuple[int, ...], dtype: Any, error: Exception) -> DeviceError:
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return DeviceError(f"out of device memory: {size:,} bytes wanted ({error})")


_LIBRARIES: dict[str, type[_CuPy] | type[_Torch]] = {"cupy": _CuPy, "torch": _Torch}


def library(name: str) -> Library:
    """Return the library of that name, which is installed."""
    return _LIBRARIES[name]()


@dataclass(frozen=True, slots=True)
class Gpu:
    """Where a call runs: one device, and the library that allocates there."""

    library: Library
    index: int

    def empty(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """Allocate an array; its values are noise."""
        return self.library.describe(self.library.empty(shape, dtype, self.index))

    def upload(self, array: HostArray) -> DeviceArray:
        """Copy a host array here."""
        return self.library.describe(self.library.upload(array, self.index))

    def stream(self) -> int:
        """Return the caller's current stream."""
        return self.library.stream(self.index)


def for_host_arrays() -> Gpu:
    """Return the caller's current device, to compute there what lies on the host.

    Raises
    ------
    DeviceError
        The build has no CUDA, the machine no driver or no device, or no library allocates there.
    """
    require_native()
    # A library that is already imported is the one that the caller uses.
    for name in sorted(_LIBRARIES, key=lambda name: name not in sys.modules):
        if name in sys.modules or find_spec(name) is not None:
            try:
                found = library(name)
            except ImportError:  # installed, but not whole, or for another CUDA
                continue
            if not isinstance(found, _Torch) or import_module("torch").cuda.is_available():
                return Gpu(found, found.current_index())
    raise DeviceError(
        "neither CuPy nor a PyTorch with CUDA is installed to allocate on the GPU: "
        'pip install "coalign[cuda13]"'
    )
