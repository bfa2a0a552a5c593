"""Time against size for the main families of assignment problems, for `plot.py` to draw.

A contender leaves a family where the next size would take it longer than LIMIT. All of them are
held to coalign's totals, and these to their own certificate.
"""

from __future__ import annotations

import instances
from cases_assignment import TOLERANCE, family
from contest import ONLY_SMALL, SELECTED, Case, Suite, ours
from peers_assignment import lapx, scipy

# Seconds of one run.
LIMIT = 4.0
SIZES = (16, 32) if ONLY_SMALL else (64, 128, 256, 512, 1000, 2000, 4000)
FAMILIES = {
    "uniform": lambda seed, n: instances.uniform(seed, n, n),
    "geometric": instances.geometric,
    "low rank 4": instances.low_rank,
    "integers 0..99": instances.integers,
    "a + b + U": instances.offsets,
    "Machol–Wien": instances.machol_wien,
}


def at_size(name: str, n: int) -> Case:
    """Give a family at one size."""
    problem = family(FAMILIES[name], {"n": n}, {"n": max(16, n // 4)})
    own = ours(problem, "float64", SELECTED)
    return Case(f"{name}, n = {n}", problem, (scipy(), lapx("lapjvr")), own=(own,), judge=own)


SUITE = Suite("scaling", tuple(at_size(name, n) for name in FAMILIES for n in SIZES), TOLERANCE)
