"""What one small call costs, beside the peers: a tracker's frame, a matcher's image.

The call is timed, not the solver: one problem of n x n, again and again, with its first result
read. Peers are called as their users call them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import coalign
from cases_assignment import Assignment
from cases_warping import Warping
from contest import ONLY_SMALL, SELECTED, Case, Contender, PeerFloor, Problem, Suite, calling

SIZES = (10,) if ONLY_SMALL else (5, 10, 20, 40, 60)

# A list may cost so much more than the same problems as one array, for each of its items.
MOST_PER_ITEM = 0.15e-6
# An import may take so much beyond NumPy's.
MOST_IMPORT = 25e-3


def matrix(seed: int, n: int) -> Any:
    """Give costs of uniform numbers."""
    return np.random.default_rng((n, seed)).random((n, n))


def series(seed: int, n: int) -> Any:
    """Give two series of uniform numbers."""
    return tuple(np.random.default_rng((n, seed)).random((2, n)))


def columns(name: str, load: Callable[[], Any], isa: str | None = None) -> Contender:
    """Give a contender that takes costs and gives the column of each row."""

    def total(given: tuple[Any], found: Any) -> Any:
        return given[0][np.arange(len(found)), found].sum()

    return Contender(name, "float64", load, total, lambda data: (data["cost"],), isa)


def cost(name: str, load: Callable[[], Any], isa: str | None = None) -> Contender:
    """Give a contender that takes two series and gives their cost."""
    return Contender(
        name, "float64", load, lambda given, found: found, lambda data: (data["x"], data["y"]), isa
    )


SCIPY = calling("scipy.optimize.linear_sum_assignment", lambda f: lambda cost: f(cost)[1])
LAPX = calling("lap.lapjvr", lambda f: lambda cost: f(cost)[2])
DTAIDISTANCE = calling("dtaidistance.dtw.distance_fast", lambda f: lambda x, y: f(x, y) ** 2)
AEON = calling("aeon.distances.dtw_distance", lambda f: lambda x, y: f(x, y))

ASSIGNMENT = {
    "peers": (columns("scipy-f64", SCIPY), columns("lapjvr-f64", LAPX)),
    "own": (
        columns(
            "linear_sum_assignment",
            lambda: lambda cost: coalign.linear_sum_assignment(cost)[1],
            SELECTED,
        ),
        columns("assign", lambda: lambda cost: coalign.assign(cost).col_of_row, SELECTED),
    ),
}
WARPING = {
    "peers": (cost("dtaidistance-f64", DTAIDISTANCE), cost("aeon-f64", AEON)),
    "own": (cost("dtw", lambda: lambda x, y: coalign.dtw(x, y).cost, SELECTED),),
}
# Of one small call a peer may be quicker by this much, whatever the instruction set.
FLOORS = {
    "10x10": {"float64": (PeerFloor(1 / 1.5, ("scipy-f64",)),)},
    "10 frames": {"float64": (PeerFloor(1, ("dtaidistance-f64",)),)},
}


def one_call(what: str, problem: Problem, contenders: dict[str, Any]) -> Case:
    """Give a case of one size."""
    return Case(f"one call, {what}", problem, **contenders, floors=FLOORS.get(what, {}))


SUITE = Suite(
    "calls",
    tuple(
        case
        for n in SIZES
        for case in (
            one_call(
                f"{n}x{n}", Assignment(matrix, {"n": n}, {"n": n}, coalign.assign), ASSIGNMENT
            ),
            one_call(f"{n} frames", Warping(series, {"n": n}, {"n": n}, coalign.dtw), WARPING),
        )
    ),
    {"float64": 1e-9},
)
