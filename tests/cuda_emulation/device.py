"""The GPUs that the tests run on: the emulated one, and the machine's own where it has one."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import pytest

from coalign import _device

from .cupy_stand_in import make_cupy

BUILD = Path(__file__).resolve().parents[2] / "build" / "emulation" / "tests" / "cuda_emulation"


class GpuUnderTest:
    """What a test needs of a GPU, emulated or not: arrays there, and whether it was waited for."""

    def __init__(self, name: str, cupy: Any) -> None:
        self.name = name
        self.cupy = cupy

    @property
    def is_emulated(self) -> bool:
        """Whether launches wait until they are synchronised."""
        return self.name == "emulated"

    def put(self, array: Any) -> Any:
        """Copy to the device; done when this returns."""
        if isinstance(array, list):
            return [self.put(item) for item in array]
        found = self.cupy.asarray(np.asarray(array))
        self.wait()
        return found

    def get(self, array: Any) -> Any:
        """Copy to the host."""
        return self.cupy.asnumpy(array)

    def wait(self) -> None:
        """Wait for the current stream."""
        self.cupy.cuda.get_current_stream().synchronize()


def emulated_module() -> ModuleType:
    """Load the CUDA module over the emulated GPU; skip, or fail where it is required."""
    found = sorted(BUILD.glob(f"_cuda_emulated.*{sys.implementation.cache_tag[-3:]}*.so"))
    if not found:
        reason = f"no emulated CUDA module for {sys.implementation.cache_tag}: make emulation"
        if os.environ.get("COALIGN_REQUIRE_EMULATION"):
            pytest.fail(reason)
        pytest.skip(reason)
    name = "_cuda_emulated"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, found[0])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def emulated_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuUnderTest]:
    """Put the emulated GPU, and the stand-in for CuPy, in the place of the real ones."""
    native = emulated_module()
    native.set_machine(driver=True, devices=2, seed=1)
    cupy = make_cupy(native)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(_device, "native", lambda: native)
    yield GpuUnderTest("emulated", cupy)
    native.set_machine()


def require_gpu(library: str) -> Any:
    """Return a library of GPU arrays on a machine with a GPU; else skip, or fail if told to."""
    module = _device.native()
    if module is None:
        _do_without("coalign was built without CUDA")
    count, problem = module.count_devices()
    if count == 0:
        _do_without(problem)
    try:
        # What the library has to say of its surroundings is no fault of ours.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(library)
    except ImportError as error:
        _do_without(f"{library} is not installed: {error}")


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("COALIGN_REQUIRE_GPU"):
        pytest.fail(reason)
    pytest.skip(reason)


def real_gpu() -> GpuUnderTest:
    """Return the machine's own GPU, or skip with the reason, or fail where it is required."""
    return GpuUnderTest("gpu", require_gpu("cupy"))
