"""What the tests of every operation share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

from coalign import _device, _execution
from cuda_emulation.device import GpuUnderTest, emulated_gpu, real_gpu

# The same examples on every machine and in every run: a failure is never a matter of luck.
settings.register_profile(
    "coalign", deadline=None, derandomize=True, max_examples=40, database=None
)
settings.load_profile("coalign")


def _instruction_sets() -> list[str]:
    """The sets that this CPU runs, and those that COALIGN_REQUIRE_ISAS says it must."""
    available = _execution.available()
    required = [name for name in os.environ.get("COALIGN_REQUIRE_ISAS", "").split(",") if name]
    return [*available, *(name for name in required if name not in available)]


@pytest.fixture(scope="module", params=_instruction_sets())
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set, for `_execution.forced`."""
    name: str = request.param
    if name not in _execution.available():
        pytest.fail(f"COALIGN_REQUIRE_ISAS names {name}; this CPU runs {_execution.available()}")
    return name


@pytest.fixture(scope="module", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """Each dtype that the kernels compute in."""
    return np.dtype(request.param)


@pytest.fixture(params=["front", "general"])
def door(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways into native code: the plain one, and the one that prepares any argument."""
    if request.param == "front":
        yield request.param
        return
    with _execution.forced(general=True):
        yield request.param


@pytest.fixture
def without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the build one without CUDA."""
    monkeypatch.setattr(_device, "native", lambda: None)


@pytest.fixture(params=["emulated", "gpu"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuUnderTest]:
    """Each GPU there is to test on."""
    if request.param == "emulated":
        yield from emulated_gpu(monkeypatch)
    else:
        yield real_gpu()


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuUnderTest]:
    """The emulated GPU, for what only it shows."""
    yield from emulated_gpu(monkeypatch)
