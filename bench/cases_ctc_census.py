"""The census of CTC: what training and alignment bring, at the shapes of their users.

Every family of `families_ctc.py` is there at every shape: recordings of 50 to 3000 frames, 29 to
32,000 symbols and texts from one label to one for every frame, one at a time and in batches, also
such with lengths from 10 % to 100 %. Some shapes are there in the other layouts of tensors as well:
(T, B, C), as PyTorch has it, and in half precision. All contenders compute on one thread, from
logits, and the same instances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import families_ctc
import peers_ctc
from cases_ctc import OF_PEERS, TOLERANCE, Aligning, Ctc, allowed
from contest import ONLY_SMALL, SELECTED, Contender, Counted, Data, Group, PeerFloor, Suite
from families_ctc import Recordings
from peers_ctc import Prepared

LEAST, MEDIAN = 1.0, 8.0
ROWS = "scores"
LOSS, GRADIENT, ALIGN = "loss", "loss + gradient", "align"
GROUPS = (
    Group(LOSS, "a loss", MEDIAN),
    Group(GRADIENT, "loss and gradient", MEDIAN),
    Group(ALIGN, "an alignment", MEDIAN),
)

# Recordings, frames, symbols, labels, and whether lengths differ.
Shape = tuple[int, int, int, int, bool]
SHAPES: tuple[Shape, ...] = (
    (1, 50, 29, 10, False),
    (1, 200, 1024, 1, False),
    (1, 300, 29, 60, False),
    (1, 300, 32_000, 60, False),
    (1, 1000, 128, 150, False),
    (1, 1000, 128, 1000, False),
    (1, 3000, 29, 400, False),
    (8, 50, 29, 25, False),
    (8, 60, 32_000, 15, True),
    (8, 200, 128, 190, False),
    (8, 200, 5000, 20, False),
    (8, 500, 128, 80, True),
    (64, 100, 29, 20, False),
    (64, 200, 1024, 30, True),
    (64, 300, 128, 50, True),
)
ALIGNED = {
    (1, 50, 29, 10, False),
    (1, 300, 29, 60, False),
    (1, 1000, 128, 150, False),
    (1, 3000, 29, 400, False),
    (8, 200, 5000, 20, False),
    (8, 500, 128, 80, True),
    (64, 300, 128, 50, True),
}
# Where scores are so sure that every method has to find the labels in the same places.
PLACED = ("trained", "long silence", "label smoothing")
# How the scores lie, with the precision of a tensor; the first is that of an array.
PLAIN = "BTC"
LAYOUTS = ("TBC", "bfloat16", "float16")
OTHER_LAYOUTS = {
    (1, 50, 29, 10, False),
    (8, 200, 5000, 20, False),
    (8, 500, 128, 80, True),
    (64, 100, 29, 20, False),
}
IN_OTHER_LAYOUTS = ("uniform at the start", "trained", "logits ±80")


@lru_cache(maxsize=16)
def instance(seed: int, family: str, shape: Shape, half: str | None) -> Recordings:
    """Make an instance, whose truth is computed once for all cases that it is in."""
    *size, ragged = shape
    made = families_ctc.recordings(seed, family, *size, ragged=ragged)
    return made if half is None else replace(made, x=rounded(made.x, half))


def rounded(x: NDArray[np.float32], half: str) -> NDArray[np.float32]:
    """Round to a half precision, to nearest even."""
    if half == "float16":
        return x.astype(np.float16).astype(np.float32)
    bits = x.view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def rows(costs: Callable[[Any, Any], NDArray[np.float64]]) -> Callable[[Any, Any], Any]:
    """Give losses with their sizes."""

    def both(prepared: Any, found: Any) -> NDArray[np.float64]:
        found_losses = np.ravel(costs(prepared, found))
        return np.stack([found_losses, np.abs(found_losses)], axis=1)

    return both


def counted(contender: Contender) -> Contender:
    """Give a contender whose answers have their sizes."""
    return replace(contender, costs=rows(contender.costs))


def ours(group: str, layout: str) -> Contender:
    """Give coalign, from an array or a tensor in a layout."""
    call = coalign.ctc_loss if group == LOSS else coalign.ctc_forward_backward

    def prepare(data: Data) -> Prepared:
        data = {**data, "threads": 1}
        one, x = data.pop("recordings"), data.pop("x")
        if layout == "TBC":
            x = np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)
        elif layout != PLAIN:
            import torch

            x = torch.from_numpy(x).to(getattr(torch, layout))
        return Prepared(one, (x, data))

    def solve(prepared: Prepared) -> Any:
        x, options = prepared.given
        return call(x, **options)

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        if group == LOSS:
            return peers_ctc.losses(prepared, found)
        one = prepared.recordings
        error = peers_ctc.largest_error(one, np.asarray(found.grad))
        assert error <= allowed({"x": one.x}), f"a gradient off by {error}"
        return peers_ctc.losses(prepared, found.loss)

    return Contender("coalign", "float32", lambda: solve, costs, prepare, SELECTED)


def case(family: str, shape: Shape, group: str, layout: str) -> Counted:
    """Give a case."""
    half = layout if layout not in (PLAIN, "TBC") else None
    gradient = group == GRADIENT
    peers = [
        peers_ctc.torch(gradient=gradient, layout="TBC" if layout == "TBC" else "BTC", half=half)
    ]
    if layout == PLAIN:
        peers.append(peers_ctc.optax(gradient=gradient))
    problems, frames, symbols, length, ragged = shape
    words = [f"{problems} of {frames} x {symbols}", f"{length} labels", family, group]
    words += ["10 to 100 %"] * ragged + [layout] * (layout != PLAIN)

    def make(seed: int) -> Recordings:
        return instance(seed, family, shape, half)

    call = coalign.ctc_forward_backward if gradient else coalign.ctc_loss
    return Counted(
        ", ".join(words),
        Ctc(make, {}, {}, call),
        tuple(map(counted, peers)),
        own=(counted(ours(group, layout)),),
        floors={"float32": (PeerFloor(LEAST, tuple(peer.name for peer in peers)),)},
        judge=counted(peers_ctc.in_log_space()),
        family=family,
        group=group,
        kind=(family, group, layout, shape),
        instances=1,
    )


def alignment(family: str, shape: Shape) -> Counted:
    """Give a case of forced alignment, from log-probabilities, beside ctc-segmentation."""
    problems, frames, symbols, length, ragged = shape

    def make(seed: int) -> Recordings:
        return instance(seed, family, shape, None)

    problem = Aligning(make, {}, {}, coalign.ctc_align)
    own = aligning(problem)
    peer = peers_ctc.ctc_segmentation(placed=family in PLACED)
    words = [f"{problems} of {frames} x {symbols}", f"{length} labels", family, ALIGN]
    return Counted(
        ", ".join(words + ["10 to 100 %"] * ragged),
        problem,
        (counted(peer),),
        own=(counted(own),),
        floors={"float32": (PeerFloor(LEAST, (peer.name,)),)},
        judge=counted(peers_ctc.best_in_log_space()),
        family=family,
        group=ALIGN,
        kind=(family, ALIGN, shape),
        instances=1,
    )


def aligning(problem: Aligning) -> Contender:
    """Give coalign's alignment of a problem."""
    return Contender(
        "coalign",
        "float32",
        lambda: lambda data: problem.solve(data, threads=1),
        problem.costs,
        isa=SELECTED,
    )


def listed() -> Sequence[Counted]:
    """Give every case, family by family, so that those of one instance follow one another."""
    cases = []
    for family in families_ctc.COUNTED:
        for shape in SHAPES[:1] if ONLY_SMALL else SHAPES:
            layouts = [PLAIN]
            if shape in OTHER_LAYOUTS and family in IN_OTHER_LAYOUTS:
                layouts += LAYOUTS
            cases += [case(family, shape, group, k) for k in layouts for group in (LOSS, GRADIENT)]
            if shape in ALIGNED:
                cases.append(alignment(family, shape))
    return cases


SUITE = Suite("ctc_census", listed(), TOLERANCE, OF_PEERS)
