"""Transport against epsilon and against size, for `plot.py` to draw.

Of a thousand points, the time to an error of the marginals of 1e-4 is drawn against the greatest
cost over epsilon; and of plain iterations, the time of one against the points.
"""

from __future__ import annotations

import peers_transport
from cases_transport import OF_PEERS, TOLERANCE, problem
from contest import ONLY_SMALL, SELECTED, Case, Suite, ours

N, FAMILIES = 1000, ("squares, plane", "uniform")
OVER = (10, 30, 100, 300, 1000, 3000)
SIZES = (32, 100, 316, 1000, 3162)
ITERATIONS = 20
PER_ITERATION = "an iteration"


def to_tolerance(family: str, over: int) -> Case:
    """Give the time to 1e-4 where epsilon is the greatest cost over a number."""
    made = problem(
        family, 1, N, N, (1, 100, 100), of_most=1 / over, tol=1e-4, max_iterations=20_000
    )
    peers = (
        peers_transport.pot("sinkhorn", "float64"),
        peers_transport.ott("anderson", "float64"),
    )
    return Case(
        f"to 1e-4, {family}, n = {over}",
        made,
        peers,
        own=(ours(made, "float64", SELECTED),),
        judge=peers_transport.marginals(),
    )


def of_size(n: int) -> Case:
    """Give the time of plain iterations."""
    made = problem(
        "squares, plane",
        1,
        n,
        n,
        (1, 32, 32),
        of_most=0.1,
        tol=0,
        max_iterations=ITERATIONS,
    )
    peers = (
        peers_transport.pot("sinkhorn", "float32"),
        peers_transport.pot("log", "float32"),
        peers_transport.ott("plain", "float32"),
    )
    return Case(
        f"{PER_ITERATION}, n = {n}",
        made,
        peers,
        own=(ours(made, "float32", SELECTED),),
        judge=peers_transport.marginals(),
    )


SUITE = Suite(
    "transport_scaling",
    (
        *(to_tolerance(f, over) for f in FAMILIES for over in OVER[: 1 if ONLY_SMALL else 9]),
        *map(of_size, SIZES[: 1 if ONLY_SMALL else 9]),
    ),
    TOLERANCE,
    OF_PEERS,
)
