"""Where the benchmarks run: one thread for each library, and what records say of the machine.

Importing it sets the variables, so it comes before NumPy.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

# Before anything imports NumPy, numba or an OpenMP runtime: each reads its variable once, when
# it is loaded.
for _variable in (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    # What XLA takes for the number of CPUs.
    "NPROC",
):
    os.environ[_variable] = "1"

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
    "torch": "torch",
    "jax": "jax",
    "optax": "optax",
    "ot": "POT",
    "ott": "ott-jax",
    "ctc_segmentation": "ctc-segmentation",
    "pyctcdecode": "pyctcdecode",
    "fast_ctc_decode": "fast-ctc-decode",
}


def versions() -> dict[str, str]:
    """Give the versions of what was imported."""
    return {
        package: version(package)
        for module, package in REPORTED_PACKAGES.items()
        if module in sys.modules
    }
