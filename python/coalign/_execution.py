"""Where and how a call runs: device, threads, instruction set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeVar

from . import _core
from ._device import Gpu, for_host_arrays
from ._errors import DeviceError
from ._scalars import as_integer

_MOST_THREADS = 1024
_LEAST_PROBLEMS = 64
_Number = TypeVar("_Number", int, float)
_CGROUPS, _MEMBERSHIP = "/sys/fs/cgroup", "/proc/self/cgroup"


@dataclass(frozen=True, slots=True)
class Run:
    """What one native call used."""

    isa: str
    workers: int


@dataclass(frozen=True, slots=True)
class _Override:
    isa: str | None = None
    general: bool = False
    work_per_thread: float | None = None
    checkpoint_bytes: int | None = None
    workspace_bytes: int | None = None
    costs_per_block: int | None = None
    runs: list[Run] = field(default_factory=list)

    def note(self, isa: str, workers: int) -> None:
        """Collect what a call used."""
        self.runs.append(Run(isa, workers))


# Native code makes this variable and reads it in every call.
_override: ContextVar[_Override | None] = _core.override


@contextmanager
def forced(
    isa: str | None = None,
    *,
    general: bool = False,
    work_per_thread: float | None = None,
    checkpoint_bytes: int | None = None,
    workspace_bytes: int | None = None,
    costs_per_block: int | None = None,
) -> Iterator[list[Run]]:
    """Run the calls inside on one instruction set, and collect what each of them used.

    `general=True` takes every argument the general way, also those that the front door would take,
    and holds for what is forced inside;
    `work_per_thread=0` makes every call use all its threads, however small it is;
    `checkpoint_bytes=0` makes every path go by groups, however short it is; `workspace_bytes=0`
    cuts a call on a GPU as finely as it can be; `costs_per_block` shares problems of transport with
    more costs out to several blocks.
    """
    outer = _override.get()
    general = general or (outer is not None and outer.general)
    override = _Override(
        isa, general, work_per_thread, checkpoint_bytes, workspace_bytes, costs_per_block
    )
    token = _override.set(override)
    try:
        yield override.runs
    finally:
        _override.reset(token)


def available() -> tuple[str, ...]:
    """Instruction sets that this CPU runs, from the narrowest to the widest."""
    return tuple(_core.available_isas())


def selected() -> str:
    """Name the instruction set that the next call uses."""
    override = _override.get()
    wanted = override.isa if override is not None else None
    return _core.choose_isa(wanted or os.environ.get("COALIGN_ISA", ""))


def forced_or(
    name: Literal["work_per_thread", "checkpoint_bytes", "workspace_bytes", "costs_per_block"],
    default: _Number,
) -> _Number:
    """Return a tuning figure: the operation's own, unless it is forced."""
    value = getattr(_override.get(), name, None)
    return default if value is None else value


def note_run(isa: str, workers: int) -> None:
    """Tell whoever forced the instruction set what ran."""
    override = _override.get()
    if override is not None:
        override.note(isa, workers)


def thread_count(threads: Any) -> int:
    """Return the number of threads that a call may use."""
    if threads is None:
        return default_threads()
    count = as_integer(threads)
    if count is None:
        raise TypeError(f"threads: expected None or an integer, got {type(threads).__name__}")
    if count < 1:
        raise ValueError(f"threads: expected at least 1, got {count}")
    return min(count, _MOST_THREADS)


def default_threads() -> int:
    """Return COALIGN_NUM_THREADS, or the CPUs that affinity and cgroup leave to this process."""
    wanted = os.environ.get("COALIGN_NUM_THREADS", "")
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(f"COALIGN_NUM_THREADS: expected a positive integer, got {wanted!r}")
        return min(int(wanted), _MOST_THREADS)
    has_affinity = hasattr(os, "sched_getaffinity")
    cpus = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    quota = _cgroup_quota(_CGROUPS, _MEMBERSHIP)
    return cpus if quota is None else max(1, min(cpus, quota))


@lru_cache(maxsize=1)
def _cgroup_quota(root: str, membership: str) -> int | None:
    """CPUs that the cgroup (v2, else v1) grants, rounded up; None without a limit."""
    limits = []
    for folder in _cgroup_folders(root, membership):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            try:
                words = " ".join(_read(os.path.join(folder, name)) for name in names).split()
            except OSError:
                continue
            if len(words) == 2 and words[0] not in ("max", "-1"):
                limits.append(-(-int(words[0]) // int(words[1])))
    return min(limits, default=None)


def _cgroup_folders(root: str, membership: str) -> list[str]:
    """List the process's own cgroup and the ones above it, a limit of any of which holds."""
    folders = [root, os.path.join(root, "cpu")]
    try:
        lines = _read(membership).splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = folders[1] if controllers else root
        parts = [part for part in path.split("/") if part]
        folders += [os.path.join(base, *parts[:end]) for end in range(1, len(parts) + 1)]
    return folders


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def take_device(device: Any) -> str | None:
    """Check `device=`."""
    name = device if isinstance(device, str) else None
    if device is None or name in ("auto", "cpu", "cuda"):
        return name
    raise ValueError(f'device: expected None, "cpu", "cuda" or "auto", got {device!r}')


def repays_gpu(problems: int, work: float, least_work: float) -> bool:
    """Whether "auto" takes so many problems, with so much work in all, to a GPU.

    Counted, not measured: a block or a warp solves one problem, so fewer leave most of a GPU idle,
    and less work is done on the CPU before the copies are there and back. What forces every call to
    use all its threads forces this as well.
    """
    is_forced = forced_or("work_per_thread", least_work) == 0
    return is_forced or (problems >= _LEAST_PROBLEMS and work >= least_work)


def choose_gpu(device: str | None, gpu: Gpu | None, name: str) -> Gpu | None:
    """Return where a call runs: the GPU that its arrays lie on, one for host arrays, or None.

    Raises
    ------
    DeviceError
        `device="cuda"` and something is missing, or the arrays lie elsewhere than `device` says.
    """
    if gpu is not None:
        if device == "cpu":
            raise DeviceError(f'device: expected the GPU that {name} lies on, got "cpu"')
        return gpu
    if device not in ("auto", "cuda"):
        return None
    try:
        return for_host_arrays()
    except DeviceError as error:
        if device == "auto":
            return None
        raise DeviceError(f'device: "cuda" was asked for, and {error}') from None
