"""What every benchmark shares: one thread, and what the result file says about the machine."""

from __future__ import annotations

from typing import Any

import pytest

# Before pytest imports a suite, and that NumPy, numba or an OpenMP runtime.
import environment


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add what report.py writes beside the figures: the instruction set and the versions."""
    from coalign import _execution

    machine_info["isa"] = _execution.selected()
    machine_info["packages"] = environment.versions()
