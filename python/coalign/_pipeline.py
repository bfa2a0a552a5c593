"""What every call of the general way goes through: it is run on the host or a GPU, then wrapped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from ._arrays import Array, Kind, to_host
from ._batch import Batch
from ._device import DeviceArray, Gpu
from ._errors import DeviceError, InfeasibleError, Status
from ._execution import choose_gpu
from ._progress import Progress, reporter
from ._result import Result
from ._validate import take_out

AnyResult = TypeVar("AnyResult", bound=Result)


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose arguments are checked; the first of its inputs says where it runs."""

    inputs: tuple[Batch, ...]

    @property
    def kind(self) -> Kind:
        """The kind of array that the result is made of."""
        # An empty list has no kind of its own.
        return next((given.kind for given in self.inputs if given.arrays), self.inputs[0].kind)

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call, in the words of an error."""
        return None

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        return True


class ResultCall(Call, ABC, Generic[AnyResult]):
    """A call whose result is an object."""

    __slots__ = ()

    @abstractmethod
    def on_host(self) -> AnyResult:
        """Compute on the CPU; raise for a value that cannot be taken."""

    def on_gpu(self, gpu: Gpu) -> AnyResult:
        """Queue on a GPU, whose memory holds the result."""
        raise DeviceError(self.only_cpu)

    def settle(self, found: AnyResult, *, from_gpu: bool) -> AnyResult:
        """Return a result that lies on the host; raise for the first problem without an answer."""
        return found


@dataclass(frozen=True, slots=True)
class ArrayCall(Call, ABC):
    """A call whose result is one array, which may be the caller's; `total` counts its work."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    total: int

    @abstractmethod
    def fill(self, out: Array, report: Callable[[int], None] | None) -> None:
        """Compute on the CPU; raise for a value that cannot be taken."""

    def fill_on_gpu(self, out: DeviceArray, gpu: Gpu) -> None:
        """Queue on a GPU."""
        raise DeviceError(self.only_cpu)

    def settle(self, out: Array) -> None:
        """Raise for a value that the GPU which `out` has come from could not take."""


def carry_out(call: ResultCall[AnyResult], device: str | None) -> AnyResult:
    """Run a call where its arguments lie, or where `device` says, and give it their kind."""
    gpu = _place(call, device)
    found = call.on_host() if gpu is None else call.on_gpu(gpu)
    if call.kind.gpu is not None:
        # The call does not wait: what is wrong shows in the status.
        return found
    if gpu is not None:
        found = downloaded(found)
    return in_kind(call.settle(found, from_gpu=gpu is not None), call.kind)


def carry_out_into(
    call: ArrayCall, device: str | None, out: Any, progress: Progress, what: str
) -> Any:
    """Run a call into `out`, or into a new array of the inputs' kind; return that array."""
    room = None if out is None else take_out(out, call.shape, call.dtype, call.inputs)
    gpu = _place(call, device)
    filled: Any
    with reporter(progress, call.total, what) as report:
        if gpu is None:
            filled = np.empty(call.shape, call.dtype) if room is None else room
            if filled.size > 0:
                call.fill(filled, report)
        else:
            filled = room if isinstance(room, DeviceArray) else gpu.empty(call.shape, call.dtype)
            if filled.size > 0:
                call.fill_on_gpu(filled, gpu)
            if call.kind.gpu is None:
                filled = to_host(filled.owner)
                call.settle(filled)
    if isinstance(room, np.ndarray) and filled is not room:
        room[...] = filled
    return call.kind.wrap(filled) if out is None else out


def _place(call: Call, device: str | None) -> Gpu | None:
    """Return the GPU that a call runs on; "auto" leaves to the CPU what no GPU takes or repays."""
    if call.only_cpu is None:
        if device == "auto" and call.kind.gpu is None and not call.repays_gpu:
            return None
        return choose_gpu(device, call.kind.gpu, call.inputs[0].name)
    if call.kind.gpu is not None or device == "cuda":
        raise DeviceError(call.only_cpu)
    return None


def require_feasible(status: Any, is_batch: bool, words: Callable[[int], str]) -> None:
    """Raise for the first problem that has no solution; `words(p)` says what it lacks."""
    infeasible = np.flatnonzero(np.atleast_1d(status) == Status.INFEASIBLE)
    if infeasible.size:
        problem = int(infeasible[0])
        which = f"problem {problem}: " if is_batch else ""
        raise InfeasibleError(which + words(problem))


def in_kind(result: AnyResult, kind: Kind) -> AnyResult:
    """Give the arrays of a result on the host the kind of the input."""
    if kind.library == "numpy":
        return result
    fields = result._writeable_fields()  # type: ignore[attr-defined]
    return type(result)(*(field_in_kind(field, kind) for field in fields))


def field_in_kind(value: Any, kind: Kind) -> Any:
    """Give a field of a result on the host the kind of the input."""
    if isinstance(value, list):
        return [field_in_kind(item, kind) for item in value]
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    # Tensors are always writable; the arrays of a result that Python code has made are not.
    return kind.wrap(value if value.flags.writeable else value.copy())


def downloaded(result: AnyResult) -> AnyResult:
    """Copy the fields of a result on a GPU to the host; waits for it."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [to_host(item) for item in value]
        return to_host(value)[()] if hasattr(value, "dtype") else value

    return type(result)(*(convert(getattr(result, name)) for name in result._fields))
