"""What this build is and what it uses on this machine."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from . import _core


def _cuda() -> str:
    from . import _device

    module = _device.native()
    if module is None:
        return "not built"
    count, problem = module.count_devices()
    found = problem if count == 0 else f"{count} device{'s' if count > 1 else ''}"
    return f"{module.compiler} for {module.architectures}; {found}"


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print, or return, how coalign was built and what it uses here.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print the configuration, or return it as a dict.

    Returns
    -------
    dict or None
        With `mode="dicts"`: versions, compiler, instruction sets, threads and CUDA.

    Raises
    ------
    ValueError
        There is no such mode, or COALIGN_ISA or COALIGN_NUM_THREADS is wrong.

    Examples
    --------
    >>> import coalign
    >>> sorted(coalign.show_config(mode="dicts"))
    ['available', 'compiler', 'cuda', 'instruction set', 'numpy', 'threads', 'version']
    """
    # Imported at first use: plain calls do not need it.
    from . import _execution

    if mode not in ("stdout", "dicts"):
        raise ValueError(f'mode: expected "stdout" or "dicts", got {mode!r}')
    config = {
        "version": _core.version,
        "compiler": _core.compiler,
        "instruction set": _execution.selected(),
        "available": ", ".join(_execution.available()),
        "threads": _execution.default_threads(),
        "cuda": _cuda(),
        "numpy": np.__version__,
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        print(f"{name + ':':17}{value}")
    return None
