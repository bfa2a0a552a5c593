"""Slow, obvious forced alignment: every path by name, and the textbook's recursion in float64."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def log_probabilities(x: Any, kind: str) -> Array:
    """Scores of frames in the log domain, in float64."""
    x = np.asarray(x, np.float64)
    if kind == "log_probs":
        return x
    most = np.maximum(x.max(axis=-1, keepdims=True), np.finfo(float).min)
    return x - most - np.log(np.exp(x - most).sum(axis=-1, keepdims=True))


def pattern(
    target: Any,
    blank: int,
    wildcard: int | None = None,
    *,
    open_begin: bool = False,
    open_end: bool = False,
) -> re.Pattern[str]:
    """The symbols of the frames of a path, a character each: what a path is, in one line."""
    silence = re.escape(letter(blank))
    parts = ["(?s:.)*" if open_begin else f"{silence}*"]
    for i, label in enumerate(target):
        if i > 0:
            parts.append(f"{silence}{'+' if label == target[i - 1] else '*'}")
        symbol = f"[^{silence}]" if label == wildcard else re.escape(letter(label))
        parts.append(f"{symbol}+")
    if len(target) > 0 or not open_begin:
        parts.append("(?s:.)*" if open_end else f"{silence}*")
    return re.compile("".join(parts))


def letter(symbol: int) -> str:
    """A symbol as a character."""
    return chr(0x4E00 + int(symbol))


def best_of_all(x: Array, path: re.Pattern[str]) -> float:
    """The best score of all ways to give each frame a symbol that spell a path; -inf without."""
    frames, symbols = x.shape
    scores = [
        float(x[np.arange(frames), list(given)].sum())
        for given in product(range(symbols), repeat=frames)
        if path.fullmatch("".join(map(letter, given)))
    ]
    return max(scores, default=-np.inf)


def best_score(
    x: Array,
    target: Any,
    blank: int,
    wildcard: int | None = None,
    *,
    open_begin: bool = False,
    open_end: bool = False,
) -> float:
    """The best score of a path by the recursion over frames and states."""
    labels = [int(label) for label in target]
    others = np.delete(x, blank, axis=1)
    best_label, best = others.max(axis=1, initial=-np.inf), x.max(axis=1)
    columns = [best if open_begin else x[:, blank]]
    for label in labels:
        columns += [best_label if label == wildcard else x[:, label], x[:, blank]]
    if open_end:
        columns[-1] = best
    if not labels and open_begin:
        columns = [best]
    states = len(columns)
    score = np.full(states, -np.inf)
    score[0] = 0.0
    may_skip = np.zeros(states, bool)
    for i in range(1, len(labels)):
        may_skip[2 * i + 1] = labels[i] != labels[i - 1]
    for t in range(len(x)):
        before = np.concatenate([[-np.inf], score[:-1]])
        jump = np.concatenate([[-np.inf, -np.inf], score[:-2]])[:states]
        score = np.maximum(np.maximum(score, before), np.where(may_skip, jump, -np.inf))
        score = score + np.array([column[t] for column in columns])
    return float(max(score[-1], score[-2] if states > 1 else -np.inf))
