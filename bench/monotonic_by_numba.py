"""Monotonic alignment as the field writes it, compiled by numba: what coalign is timed beside.

It keeps the sums of every cell in float32, as the published code does, and walks the scores in the
order in which they lie: a token's frames side by side, or a frame's tokens.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@cache
def _compiled() -> tuple[Any, Any]:
    from numba import njit

    def by_tokens(score: Any, best: Any, durations: Any) -> float:
        n, frames = score.shape
        best[0, 0] = score[0, 0]
        for t in range(1, frames - n + 1):
            best[0, t] = best[0, t - 1] + score[0, t]
        for token in range(1, n):
            best[token, token] = best[token - 1, token - 1] + score[token, token]
            for t in range(token + 1, frames - n + token + 1):
                stays, moves = best[token, t - 1], best[token - 1, t - 1]
                best[token, t] = max(stays, moves) + score[token, t]
        token = n - 1
        for t in range(frames - 1, -1, -1):
            durations[token] += 1
            if token > 0 and (token == t or best[token - 1, t - 1] > best[token, t - 1]):
                token -= 1
        return best[n - 1, frames - 1]

    def by_frames(score: Any, best: Any, durations: Any) -> float:
        frames, n = score.shape
        for t in range(frames):
            for token in range(max(0, n + t - frames), min(n, t + 1)):
                stays = best[t - 1, token] if t > token else -np.inf
                moves = best[t - 1, token - 1] if token > 0 else (0.0 if t == 0 else -np.inf)
                best[t, token] = max(stays, moves) + score[t, token]
        token = n - 1
        for t in range(frames - 1, -1, -1):
            durations[token] += 1
            if token > 0 and (token == t or best[t - 1, token - 1] > best[t - 1, token]):
                token -= 1
        return best[frames - 1, n - 1]

    return njit(by_tokens), njit(by_frames)


def monotonic_by_numba(score: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Durations (B, N) and totals (B,) of scores (B, N, T); no text is longer than its frames."""
    by_tokens, by_frames = _compiled()
    count, n, _ = score.shape
    durations, totals = np.zeros((count, n), np.int64), np.empty(count)
    is_turned = score.strides[1] < score.strides[2]
    for p in range(count):
        given = score[p].T if is_turned else score[p]
        best = np.empty(given.shape, np.float32)
        totals[p] = (by_frames if is_turned else by_tokens)(given, best, durations[p])
    return durations, totals
