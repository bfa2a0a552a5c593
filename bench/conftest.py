"""What every benchmark shares: one thread, and what the result file says about the machine."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
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

# The benchmarks import instances.py whatever pytest's import mode is.
sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402

REPORTED_PACKAGES = ("coalign", "numpy", "aeon", "dtaidistance", "tslearn", "numba")


def _versions() -> dict[str, str]:
    found = {}
    for package in REPORTED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add what report.py writes beside the figures: the instruction set and the versions."""
    import coalign

    machine_info["isa"] = coalign._execution.selected()
    machine_info["packages"] = _versions()
