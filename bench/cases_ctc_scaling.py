"""Loss and gradient of CTC against the frames, the symbols and the labels, for `plot.py` to draw.

One of the three changes at a time. Beside PyTorch stands a copy of the scores: no way to compute a
gradient of all scores is quicker than to read and write each of them once.
"""

from __future__ import annotations

import peers_ctc
from cases_ctc import OF_PEERS, TOLERANCE, batch
from contest import ONLY_SMALL, SELECTED, Case, Suite, ours

PROBLEMS, USUAL = 8, {"frames": 500, "symbols": 128, "labels": 40}
SIZES = {
    "frames": (100, 200, 500, 1000, 2000, 5000),
    "symbols": (32, 128, 512, 2048, 8192),
    "labels": (5, 10, 20, 40, 80, 160, 320),
}


def at_size(what: str, n: int) -> Case:
    """Give a batch whose other two sizes are the usual ones."""
    size = {**USUAL, what: n}
    problem = batch("noise", PROBLEMS, size["frames"], size["symbols"], size["labels"], into=True)
    own = ours(problem, "float32", SELECTED)
    peers = (peers_ctc.torch(gradient=True), peers_ctc.copy())
    judge = peers_ctc.in_log_space()
    return Case(f"{what}, n = {n}", problem, peers, own=(own,), judge=judge)


def frames(case: str) -> int:
    """Count the frames of the case of a name."""
    what, _, n = case.partition(", n = ")
    return PROBLEMS * (int(n) if what == "frames" else USUAL["frames"])


SUITE = Suite(
    "ctc_scaling",
    tuple(
        at_size(what, n) for what, all_n in SIZES.items() for n in all_n[: 1 + 9 * (not ONLY_SMALL)]
    ),
    TOLERANCE,
    OF_PEERS,
)
