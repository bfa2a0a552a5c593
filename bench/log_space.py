"""CTC in float64 log space, frame after frame: what the answers of its benchmarks are held to.

No numbers are scaled, no state is skipped, and nothing here is shared with coalign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_softmax(x: NDArray[Any]) -> Array:
    """Give the logarithms of the softmax over the last axis."""
    x = x.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    x -= np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return x


@dataclass(frozen=True)
class Truth:
    """The loss of one text, and of each frame how probable each of its states and symbols is."""

    loss: float
    states: Array
    symbols: NDArray[np.int64]
    occupancy: Array

    def gradient(self, x: NDArray[Any]) -> Array:
        """Give the gradient with respect to the logits."""
        if not np.isfinite(self.loss):
            return np.zeros(x.shape)
        grad = np.exp(log_softmax(x))
        grad[:, self.symbols] -= self.occupancy
        return grad


def truths(x: Sequence[NDArray[Any]], texts: Sequence[NDArray[Any]]) -> list[Truth]:
    """Give the truth of each recording (T, C) of logits with its text; 0 is the blank."""
    frames = np.array([len(one) for one in x])
    states = np.array([2 * len(text) + 1 for text in texts])
    count, most = len(x), int(states.max())
    symbols = np.zeros((count, most), np.int64)
    score = np.full((int(frames.max()), count, most), -np.inf)
    for p, text in enumerate(texts):
        symbols[p, 1 : states[p] : 2] = text
        score[: frames[p], p, : states[p]] = log_softmax(x[p])[:, symbols[p, : states[p]]]
    skips = np.zeros((count, most), bool)
    skips[:, 2:] = (symbols[:, 2:] != 0) & (symbols[:, 2:] != symbols[:, :-2])
    problems = np.arange(count)

    def step(before: Array, may_skip: NDArray[Any], back: int) -> Array:
        """Sum over the states that come before each."""
        one, two = (np.full_like(before, -np.inf) for _ in range(2))
        if back == 1:
            one[:, 1:], two[:, 2:] = before[:, :-1], before[:, :-2]
        else:
            one[:, :-1], two[:, :-2] = before[:, 1:], before[:, 2:]
        two[~may_skip] = -np.inf
        top = np.maximum(np.maximum(before, one), two)
        shift = np.where(np.isneginf(top), 0.0, top)
        sums = sum(np.exp(part - shift) for part in (before, one, two))
        with np.errstate(divide="ignore"):
            return np.asarray(shift + np.log(sums))

    alpha = np.empty_like(score)
    row = score[0] + np.where(np.arange(most) < 2, 0.0, -np.inf)
    alpha[0] = row
    for t in range(1, len(score)):
        row = step(row, skips, 1) + score[t]
        alpha[t] = row
    last = alpha[frames - 1, problems]
    ends = [last[problems, states - 1], np.where(states > 1, last[problems, states - 2], -np.inf)]
    total = np.logaddexp(*ends)

    leaves = np.zeros_like(skips)
    leaves[:, :-2] = skips[:, 2:]
    is_end = np.arange(most) >= states[:, None] - 2
    is_end &= np.arange(most) < states[:, None]
    row = np.full((count, most), -np.inf)
    for t in range(len(score) - 1, -1, -1):
        if t + 1 < len(score):
            row = step(row + score[t + 1], leaves, 2)
        at_end = frames - 1 == t
        row[at_end] = np.where(is_end[at_end], 0.0, -np.inf)
        row[frames - 1 < t] = -np.inf
        alpha[t] += row
    found = []
    for p in range(count):
        if not np.isfinite(total[p]):
            nowhere = np.zeros((frames[p], states[p]))
            found.append(Truth(np.inf, nowhere, np.zeros(0, np.int64), nowhere[:, :0]))
            continue
        order = np.argsort(symbols[p, : states[p]], kind="stable")
        distinct, starts = np.unique(symbols[p, order], return_index=True)
        held = np.exp(alpha[: frames[p], p, : states[p]] - total[p])
        occupancy = np.add.reduceat(held[:, order], starts, axis=1)
        found.append(Truth(-float(total[p]), held, distinct, occupancy))
    return found


def best_path(score: Array, text: NDArray[np.int64]) -> float:
    """Give the greatest sum of scores (T, C) along a path that spells a text; 0 is the blank."""
    symbols = np.zeros(2 * len(text) + 1, np.int64)
    symbols[1::2] = text
    may_skip = np.zeros(len(symbols), bool)
    may_skip[2:] = (symbols[2:] != 0) & (symbols[2:] != symbols[:-2])
    held = score[:, symbols]
    row = np.where(np.arange(len(symbols)) < 2, held[0], -np.inf)
    for now in held[1:]:
        best = row.copy()
        best[1:] = np.maximum(best[1:], row[:-1])
        best[2:] = np.where(may_skip[2:], np.maximum(best[2:], row[:-2]), best[2:])
        row = best + now
    return float(row[-2:].max())


def best_monotonic(score: NDArray[Any]) -> Array:
    """Give the greatest sums of scores (B, N, T) over runs of frames for all tokens, in order."""
    row = np.full(score.shape[:2], -np.inf)
    row[:, 0] = score[:, 0, 0]
    for t in range(1, score.shape[2]):
        best = row.copy()
        best[:, 1:] = np.maximum(row[:, 1:], row[:, :-1])
        row = best + score[:, :, t]
    return row[:, -1]
