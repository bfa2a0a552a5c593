"""The demo: each operation of coalign at work on real data, in one report."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from .. import _execution
from . import averages, colours, digits, lines, report, search, shuffle
from .part import Part

__all__ = ["run"]

_EXTRAS = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}

# Each takes (small, seed, progress); the report shows them in this order.
_PARTS: tuple[Callable[[bool, int, bool], Part], ...] = (
    digits.part,
    averages.part,
    search.part,
    shuffle.part,
    colours.part,
    lines.part,
)


def _require_extras() -> None:
    """Fail before any work is done, and name the remedy."""
    for module, distribution in _EXTRAS.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ImportError(
                f'the demo needs {distribution}: pip install "coalign[demo]"'
            ) from error


def _environment(small: bool, seed: int) -> Mapping[str, object]:
    versions = {name: version(name) for name in ("coalign", "numpy", *_EXTRAS.values())}
    return {
        "seed": seed,
        "small": small,
        "instruction_set": _execution.selected(),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), **versions},
    }


def run(
    out: Path | str = "coalign-demo", *, small: bool = False, seed: int = 0, quiet: bool = False
) -> Path:
    """Run every part of the demo and write the report.

    Parameters
    ----------
    out : path-like
        Folder for report.html and report.json; it is made if it is missing.
    small : bool
        Use a small part of the data.
    seed : int
        Seed of everything random, at least 0. The same seed gives the same answers.
    quiet : bool
        Print nothing. Otherwise a table goes to stdout, and progress to stderr if that is a
        terminal.

    Returns
    -------
    Path
        The path of report.html.

    Raises
    ------
    ImportError
        If scikit-learn or matplotlib is missing.
    """
    _require_extras()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    progress = not quiet and sys.stderr.isatty()
    parts = [build(small, seed, progress) for build in _PARTS]
    page = report.write(folder, _environment(small, seed), parts)
    if not quiet:
        print(report.text(parts))
        print(f"\nReport: {page}")
    return page
