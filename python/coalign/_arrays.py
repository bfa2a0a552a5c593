"""Arrays of any kind in, NumPy or GPU memory inside, the kind of the input out."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import array_api_compat
import numpy as np
import numpy.typing as npt

from . import _core
from ._device import DeviceArray, Gpu, Library, library, require_native
from ._errors import DeviceError

Array = npt.NDArray[Any]

_TO_FLOAT32 = ("float16", "bfloat16")
# The kinds of DLPack memory that the CPU can read: its own, and memory pinned by CUDA or ROCm.
_HOST_DEVICES = (1, 3, 11)


@dataclass(frozen=True, slots=True)
class Kind:
    """The library, and the device, that an argument came from and results go back to."""

    library: str = "numpy"
    device: Any = None
    gpu: Gpu | None = field(default=None, compare=False)

    def wrap(self, array: Any) -> Any:
        """Give a result the kind of the input; shares the memory where the kind allows it."""
        if isinstance(array, DeviceArray):
            return array.owner
        if self.library != "torch" or self.gpu is not None:
            return array
        import torch

        return torch.from_numpy(np.asarray(array))

    def __str__(self) -> str:
        return self.library if self.device is None else f"{self.library} on {self.device}"


NUMPY = Kind()
_TORCH = Kind("torch", "cpu")


def is_array(obj: object) -> bool:
    """Whether `obj` is an array, as opposed to a number or a (nested) sequence of numbers."""
    if isinstance(obj, (np.generic, type)):
        return False
    return isinstance(obj, np.ndarray) or any(
        hasattr(obj, name)
        for name in ("__dlpack__", "__array_interface__", "__cuda_array_interface__", "__array__")
    )


def take_array(obj: Any, name: str) -> tuple[Array | DeviceArray, Kind]:
    """Take an argument where it lies: in host memory or on a GPU.

    Raises
    ------
    TypeError
        The object is not a real numeric array, is traced, or requires grad.
    DeviceError
        The array lies on a device that this build, or this machine, cannot compute on.
    """
    if isinstance(obj, np.ndarray) or _is_tracer(obj) or not lies_on_gpu(obj):
        return to_numpy(obj, name)
    return from_gpu(obj, name)


def from_gpu(obj: Any, name: str, kinds: str = "fiub") -> tuple[DeviceArray, Kind]:
    """Take an array that lies on a GPU; float32 and float64 as they are, others converted there.

    Integers stay so where `kinds` is "iu".
    """
    try:
        require_native()
    except DeviceError as error:
        raise DeviceError(f"{name}: lies on a GPU, and {error}") from None
    if array_api_compat.is_torch_array(obj):
        _require_plain(obj, name)
        _require_memory(obj, name)
        found, owner = library("torch"), obj.resolve_neg()
    else:
        found, owner = _as_cupy(obj, name)
    converted = _convert_on_gpu(found, owner, name, kinds)
    kind = Kind(found.name, f"cuda:{converted.index}", Gpu(found, converted.index))
    return converted, kind


def _as_cupy(obj: Any, name: str) -> tuple[Library, Any]:
    try:
        import cupy
    except ImportError:
        raise DeviceError(
            f"{name}: lies on a GPU, and CuPy, which takes a {type(obj).__name__}, "
            'is not installed: pip install "coalign[cuda13]"'
        ) from None
    if isinstance(obj, cupy.ndarray):
        return library("cupy"), obj
    try:
        takes = hasattr(obj, "__cuda_array_interface__")
        return library("cupy"), cupy.asarray(obj) if takes else cupy.from_dlpack(obj)
    except (BufferError, TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: expected a real numeric array, got {type(obj).__name__}: {error}"
        ) from None


def _convert_on_gpu(found: Library, owner: Any, name: str, kinds: str) -> DeviceArray:
    dtype = str(owner.dtype).removeprefix("torch.")
    try:
        kind = "f" if dtype in _TO_FLOAT32 else np.dtype(dtype).kind
    except TypeError:
        kind = "V"
    if kind not in kinds:
        wanted = "integers" if kinds == "iu" else "a real numeric dtype of at most 64 bits"
        raise TypeError(f"{name}: expected {wanted}, got {dtype}")
    if kinds == "iu":
        owner = found.contiguous(owner, np.dtype(np.int64))
    elif dtype in _TO_FLOAT32:
        owner = found.contiguous(owner, np.dtype(np.float32))
    elif kind != "f":
        owner = found.contiguous(owner, np.dtype(np.float64))
    return found.describe(owner)


def to_host(array: Any) -> Array:
    """Copy a result of any kind to NumPy; waits for a GPU."""
    if array_api_compat.is_cupy_array(array):
        return library("cupy").download(array)
    if array_api_compat.is_torch_array(array):
        return np.asarray(array.cpu())
    return np.asarray(array)


def on_host(values: Any) -> Any:
    """Copy arrays of any kind to NumPy, alone or in a list; waits for a GPU."""
    if isinstance(values, (list, tuple)):
        return [to_host(value) if lies_on_gpu(value) else value for value in values]
    return to_host(values) if lies_on_gpu(values) else values


def to_numpy(obj: Any, name: str) -> tuple[Array, Kind]:
    """Take an argument as a host array, and copy it only if that is needed.

    Raises
    ------
    TypeError
        The object is not a real numeric array, is traced, or requires grad.
    DeviceError
        The array lies on a device, not in host memory.
    """
    if isinstance(obj, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a plain array, got a masked one; fill it first")
    if isinstance(obj, np.ndarray):
        return _real(np.asarray(obj), name), NUMPY
    if _is_tracer(obj):
        raise TypeError(
            f"{name}: expected a concrete array, got the tracer {type(obj).__name__}; "
            "call coalign outside the traced function, or through a host callback"
        )
    if array_api_compat.is_torch_array(obj):
        return _from_torch(obj, name)
    if lies_on_gpu(obj):
        raise DeviceError(f"{name}: expected an array in host memory, got one on a GPU")
    if isinstance(obj, (str, bytes)) or obj is None:
        raise TypeError(f"{name}: expected a real numeric array, got {type(obj).__name__}")
    return _real(_from_other(obj, name), name), NUMPY


def as_plain(obj: Any) -> tuple[Array, Kind] | None:
    """Return the scores that a front door can read where the argument itself is close to that.

    Dense tensors in host memory share it, and half precision is widened to float32. None stands
    for what the general way has to look at.
    """
    if type(obj) is np.ndarray:
        if obj.dtype.itemsize != 2 or obj.dtype.name not in _TO_FLOAT32:
            return None
        return _widened(obj), NUMPY
    torch = sys.modules.get("torch")
    if torch is None or type(obj) is not torch.Tensor or not obj.is_cpu or obj.requires_grad:
        return None
    if not obj.is_floating_point():
        return None
    is_half = obj.dtype in (torch.float16, torch.bfloat16)
    try:
        return (obj.float() if is_half else obj.resolve_neg()).numpy(), _TORCH
    except (RuntimeError, TypeError):
        return None


def as_plain_integers(obj: Any) -> Any:
    """Return the memory of a dense tensor of int64 on the host; other arguments as they are."""
    torch = sys.modules.get("torch")
    if torch is None or type(obj) is not torch.Tensor or not obj.is_cpu or obj.dtype != torch.int64:
        return obj
    try:
        return obj.numpy()
    except (RuntimeError, TypeError):
        return obj


def same_kind(first: Kind, second: Kind, names: tuple[str, str]) -> Kind:
    """Return the kind of two arguments that have to share it."""
    if first != second:
        raise TypeError(
            f"{names[0]} and {names[1]}: expected arrays of one kind on one device, "
            f"got {first} and {second}; convert one of them"
        )
    return first


def compute_dtype(*arrays: Array | DeviceArray) -> np.dtype[Any]:
    """float32 where every array is float32, else float64 (`to_numpy` has left no other)."""
    if not arrays:
        return np.dtype(np.float64)
    return np.result_type(*(array.dtype for array in arrays))


def lies_on_gpu(obj: Any) -> bool:
    """Whether an object is an array on a GPU."""
    # A class has its arrays' attributes, and lies nowhere.
    if isinstance(obj, type):
        return False
    if array_api_compat.is_torch_array(obj):
        return bool(obj.device.type == "cuda")
    if array_api_compat.is_cupy_array(obj) or hasattr(obj, "__cuda_array_interface__"):
        return True
    return hasattr(obj, "__dlpack_device__") and obj.__dlpack_device__()[0] not in _HOST_DEVICES


def _is_tracer(obj: object) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(obj, jax.core.Tracer)


def writable(obj: Any, name: str) -> tuple[Array | DeviceArray, Kind]:
    """View the memory of an array that results go to; nothing is converted."""
    if isinstance(obj, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a plain array, got a masked one")
    if isinstance(obj, np.ndarray):
        return np.asarray(obj), NUMPY
    if lies_on_gpu(obj):
        return from_gpu(obj, name)
    if array_api_compat.is_torch_array(obj):
        return _memory_of(obj, name), Kind("torch", str(obj.device))
    raise TypeError(f"{name}: expected an array, got {type(obj).__name__}")


def _from_torch(tensor: Any, name: str) -> tuple[Array, Kind]:
    kind = Kind("torch", str(tensor.device))
    # PyTorch's own conversion is vectorised; NumPy's from float16 is not, and it knows no bfloat16.
    if str(tensor.dtype).removeprefix("torch.") in _TO_FLOAT32 and not tensor.requires_grad:
        tensor = tensor.float()
    return _real(_memory_of(tensor, name), name), kind


def _require_plain(tensor: Any, name: str) -> None:
    if tensor.requires_grad:
        raise TypeError(
            f"{name}: expected a tensor that does not require grad, as gradients do not flow "
            "through this call; pass tensor.detach()"
        )
    if str(tensor.layout) != "torch.strided":
        raise TypeError(
            f"{name}: expected a plain dense tensor, got {type(tensor).__name__} of {tensor.dtype} "
            f"in layout {tensor.layout}"
        )


def _require_memory(tensor: Any, name: str) -> None:
    """Refuse what stands for a tensor while a function is traced or transformed."""
    try:
        has_memory = tensor.data_ptr() != 0 or tensor.numel() == 0
    except RuntimeError:
        has_memory = False
    if not has_memory:
        raise TypeError(
            f"{name}: expected a concrete tensor, got a {type(tensor).__name__} without memory; "
            "call coalign outside the traced or transformed function"
        )


def _memory_of(tensor: Any, name: str) -> Array:
    _require_plain(tensor, name)
    if tensor.device.type != "cpu":
        remedy = "" if tensor.is_meta else "; pass tensor.cpu()"
        raise DeviceError(
            f"{name}: lies on {tensor.device}, where coalign does not compute{remedy}"
        )
    try:
        memory: Array = tensor.resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"{name}: expected a plain dense tensor, got {type(tensor).__name__} of {tensor.dtype} "
            f"in layout {tensor.layout}: {error}"
        ) from None
    return memory


def _from_other(obj: Any, name: str) -> Array:
    try:
        if hasattr(obj, "__dlpack__") and not hasattr(obj, "__array__"):
            return np.from_dlpack(obj)
        return np.asarray(obj)
    except (BufferError, TypeError, ValueError) as error:
        wanted = "a real numeric array (a ragged batch is a list of arrays)"
        raise TypeError(f"{name}: expected {wanted}, got {type(obj).__name__}: {error}") from None


def _real(array: Array, name: str) -> Array:
    """Bring a NumPy array to aligned, native float32 or float64."""
    dtype = array.dtype
    if dtype.itemsize == 2 and dtype.name in _TO_FLOAT32:
        return _widened(array)
    if dtype.kind in "iub":
        return array.astype(np.float64)
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise TypeError(f"{name}: expected a real numeric dtype of at most 64 bits, got {dtype}")
    return np.require(array, dtype=dtype.newbyteorder("="), requirements=["A"])


def _widened(array: Array) -> Array:
    """Convert half precision to float32, in the order in which it lies in memory."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    dense = array.transpose(order)
    if array.dtype != np.float16 or not dense.flags.c_contiguous or not dense.flags.aligned:
        return array.astype(np.float32)
    out = np.empty(dense.shape, np.float32)
    _core.widen_half(dense, out)
    back: Array = out.transpose(np.argsort(order))
    return back
