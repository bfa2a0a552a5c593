"""What every benchmark shares: one thread, and what the result file says about the machine."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Any

# Before anything imports NumPy, numba or an OpenMP runtime: each reads its variable once, when
# it is loaded.
for _variable in (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
):
    os.environ[_variable] = "1"

import pytest  # noqa: E402

# What a suite used, it has imported by the end: distributions by the names of their modules.
REPORTED_PACKAGES = {
    "coalign": "coalign",
    "numpy": "numpy",
    "aeon": "aeon",
    "dtaidistance": "dtaidistance",
    "tslearn": "tslearn",
    "numba": "numba",
    "scipy": "scipy",
    "lap": "lapx",
}


def _versions() -> dict[str, str]:
    return {
        package: version(package)
        for module, package in REPORTED_PACKAGES.items()
        if module in sys.modules
    }


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add what report.py writes beside the figures: the instruction set and the versions."""
    from coalign import _execution

    machine_info["isa"] = _execution.selected()
    machine_info["packages"] = _versions()
