"""The census of transport: what training loops, matchers and documents bring, at their sizes.

Every family of `families_transport.py` is there from 4 to 1024 points, and some at 4096; with
epsilon from the mean cost down to a thousandth of it; in float32 to an error of the marginals of
1e-3, and in float64 to 1e-6; one problem a call, and 100. Which epsilons a size has goes in turns
from family to family, so that all meet in the end. All contenders compute on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import families_transport
import peers_transport
from cases_transport import OF_PEERS, TOLERANCE, Transport
from contest import ONLY_SMALL, SELECTED, Contender, Counted, Data, Group, PeerFloor, Suite
from families_transport import Problems

LEAST, MEDIAN = 1.0, 5.0
ROWS = "costs"
ONE, BATCH = "", "batches of 100"
GROUPS = (
    Group(ONE, "one call", MEDIAN, by_size=True),
    Group(BATCH, BATCH, MEDIAN),
)
ASKED = {"float32": 1e-3, "float64": 1e-6}
EPSILONS = (1.0, 0.1, 0.01, 0.001)

# Rows and columns, and how many of the epsilons a family has there.
Shape = tuple[int, int]
SHAPES: dict[Shape, int] = {
    (4, 4): 2,
    (16, 16): 2,
    (64, 64): 4,
    (256, 256): 2,
    (1024, 1024): 1,
    (1, 256): 1,
}
AT_LARGEST = ("squares, plane", "cosine", "grids")
LARGEST = (4096, 4096)
TALL, AT_TALL = (100_000, 64), ("cosine", "uniform")
BATCHES: dict[Shape, int] = {(4, 4): 1, (16, 16): 1, (64, 64): 1}
COUNT = 100
# As many points as a square has pixels; one point is no histogram and no match.
WITHOUT_ONE_ROW = ("matcher", "histograms", "gated at 1e9", "gated at inf", "grids", "identical")

# A peer that has not got there after so many iterations, or so many cells of them, does not.
PATIENCE, CELLS_OF_PATIENCE = 5000, 500_000_000
# POT's logarithmic iterations take 50 times as long as plain ones, and reach where those underflow.
CELLS_OF_LOG = 256 * 256


@lru_cache(maxsize=8)
def instance(seed: int, family: str, count: int, shape: Shape, epsilon: float) -> Problems:
    """Make an instance for all cases that it is in."""
    return families_transport.problems(seed, family, count, *shape, of_mean=epsilon)


def rows(costs: Callable[[Any, Any], NDArray[np.float64]]) -> Callable[[Any, Any], Any]:
    """Give errors with their unit, which is what is asked for."""

    def both(prepared: Any, found: Any) -> NDArray[np.float64]:
        errors = costs(prepared, found)
        return np.stack([errors, np.ones_like(errors)], axis=1)

    return both


def counted(contender: Contender) -> Contender:
    """Give a contender whose errors have their unit."""
    return replace(contender, costs=rows(contender.costs))


def ours(problem: Transport, dtype: str) -> Contender:
    """Give coalign, whose results are held to what they say."""

    def costs(data: Data, found: Any) -> NDArray[np.float64]:
        assert (np.asarray(found.status) == coalign.Status.OK).all()
        problem.verify(data, found, 0.0)
        return problem.costs(data, found)

    return Contender(
        "coalign",
        dtype,
        lambda: lambda data: problem.solve(data, threads=1),
        rows(costs),
        isa=SELECTED,
    )


def case(family: str, count: int, shape: Shape, epsilon: float, dtype: str) -> Counted:
    """Give a case."""

    def make(seed: int) -> Problems:
        return instance(seed, family, count, shape, epsilon)

    options = {"tol": ASKED[dtype], "max_iterations": 20_000}
    cells = count * shape[0] * shape[1]
    patience = min(PATIENCE, max(20, CELLS_OF_PATIENCE // cells))
    problem = Transport(make, {}, {}, coalign.sinkhorn, options, of_peers=patience)
    peers = [peers_transport.ott(mode, dtype) for mode in ("plain", "anderson")]
    if count == 1:
        peers.append(peers_transport.pot("sinkhorn", dtype))
        if cells <= CELLS_OF_LOG:
            peers.append(peers_transport.pot("log", dtype))
    else:
        peers += [
            peers_transport.solve_batch(dtype, backend="torch", method=method)
            for method in ("log_sinkhorn", "sinkhorn")
        ]
        peers.append(peers_transport.pot("sinkhorn", dtype))
    size = f"{shape[0]}x{shape[1]}"
    words = f"{count} of {size}" if count > 1 else size
    return Counted(
        f"{family} {words}, epsilon {epsilon:g} of the mean, {dtype}",
        problem,
        tuple(map(counted, peers)),
        own=(ours(problem, dtype),),
        floors={dtype: (PeerFloor(LEAST, tuple(peer.name for peer in peers)),)},
        judge=counted(peers_transport.marginals()),
        family=family,
        group=ONE if count == 1 else BATCH,
        size=shape[0] if shape[0] == shape[1] else max(shape),
        kind=(family, count > 1, epsilon, dtype),
        instances=1,
    )


def in_turns(at: int, how_many: int) -> list[float]:
    """Choose epsilons, others for each number."""
    return [EPSILONS[(at + k * len(EPSILONS) // how_many) % 4] for k in range(how_many)]


def listed() -> Sequence[Counted]:
    """Give every case, family by family."""
    cases = []
    for at, family in enumerate(families_transport.COUNTED):
        single, batches = dict(SHAPES), dict(BATCHES)
        if family in WITHOUT_ONE_ROW:
            del single[1, 256]
        if family in AT_LARGEST:
            single[LARGEST] = 1
        if family in AT_TALL:
            single[TALL] = 1
        if ONLY_SMALL:
            single, batches = {(16, 16): 1}, {(4, 4): 1}
        for count, shapes in ((1, single), (COUNT, batches)):
            for turn, (shape, how_many) in enumerate(shapes.items()):
                # At the largest a call takes as long as many others do.
                epsilons = [0.1] if shape in (LARGEST, TALL) else in_turns(at + turn, how_many)
                for k, epsilon in enumerate(epsilons):
                    dtypes = list(ASKED) if how_many > 1 else [list(ASKED)[(at + turn + k) % 2]]
                    cases += [case(family, count, shape, epsilon, dtype) for dtype in dtypes]
    return cases


SUITE = Suite("transport_census", listed(), TOLERANCE, OF_PEERS)
