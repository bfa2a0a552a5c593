"""Monotonic alignment by plain loops in float64, and by looking at every path."""

from __future__ import annotations

from itertools import combinations
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt


def every_durations(tokens: int, frames: int) -> list[list[int]]:
    """Every way to give `tokens` tokens at least one of `frames` frames each, and all frames."""
    if tokens == 0:
        return [[]] if frames == 0 else []
    cuts = combinations(range(1, frames), tokens - 1)
    return [np.diff([0, *cut, frames]).tolist() for cut in cuts if frames > 0]


def total_of(score: Any, durations: Any) -> float:
    """Sum of the scores on a path, frame after frame, in float64."""
    tokens = np.repeat(np.arange(len(durations)), durations)
    total = 0.0
    for t, token in enumerate(tokens.tolist()):
        total += float(score[token, t])
    return total


def brute_force(score: Any) -> tuple[float, list[list[int]]]:
    """The greatest total of all paths, and the durations of every path that has it."""
    ways = every_durations(*np.shape(score))
    totals = [total_of(score, way) for way in ways]
    best = max(totals, default=-inf)
    return best, [way for way, total in zip(ways, totals, strict=True) if total == best > -inf]


def align(score: Any) -> tuple[float, npt.NDArray[np.int64]]:
    """The greatest total, and the durations of the path that goes back by staying where it can.

    Algorithm 1 of Glow-TTS over the whole matrix. There has to be a path.
    """
    values = np.asarray(score, np.float64)
    n, frames = values.shape
    best = np.full((n, frames), -inf)
    best[0, 0] = values[0, 0]
    for t in range(1, frames):
        for token in range(min(n, t + 1)):
            before = best[token - 1, t - 1] if token > 0 else -inf
            best[token, t] = max(best[token, t - 1], before) + values[token, t]
    durations = np.zeros(n, np.int64)
    token = n - 1
    for t in range(frames - 1, -1, -1):
        durations[token] += 1
        if t > 0 and token > 0 and best[token - 1, t - 1] > best[token, t - 1]:
            token -= 1
    return float(best[-1, -1]), durations
