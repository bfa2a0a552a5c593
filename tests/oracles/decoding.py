"""Slow, obvious decoding: every alignment enumerated, and prefix beam search over dictionaries."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = tuple[int, ...]
Array = npt.NDArray[np.float64]


def log_scores(x: Any, input: str = "logits") -> Array:
    """Log-scores of the symbols of each frame; of a frame of -inf, -inf."""
    x = np.asarray(x, np.float64)
    if input == "log_probs" or x.size == 0:
        return x
    most = x.max(axis=1, keepdims=True)
    below = x - np.where(np.isfinite(most), most, 0)
    total = np.exp(below).sum(axis=1, keepdims=True)
    return below - np.log(np.where(total > 0, total, 1))


def collapse(path: Any, blank: int) -> Labels:
    """Merge repeats, then drop blanks."""
    return tuple(int(s) for s, _ in itertools.groupby(path) if s != blank)


def enumerate_labellings(scores: Array, blank: int) -> dict[Labels, tuple[float, float]]:
    """The log-probability of each possible labelling, and that of its best alignment."""
    found: dict[Labels, tuple[float, float]] = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        score = sum(scores[t, c] for t, c in enumerate(path))
        if score > -np.inf:
            labels = collapse(path, blank)
            total, best = found.get(labels, (-np.inf, -np.inf))
            found[labels] = (float(np.logaddexp(total, score)), max(best, score))
    return found


def alignment_score(scores: Array, blank: int, labels: Any, start: Any, stop: Any) -> float:
    """The log-score of the alignment that gives each label its frames, and the rest the blank."""
    path = np.full(len(scores), blank)
    for label, begin, end in zip(labels, start, stop, strict=True):
        assert 0 <= begin < end <= len(scores)
        path[begin:end] = label
    assert collapse(path, blank) == tuple(labels)
    return float(scores[np.arange(len(scores)), path].sum())


def greedy(scores: Array, blank: int) -> tuple[list[tuple[int, int, int]], list[float], float]:
    """Spans of the best path, their mean scores, and the total."""
    path = [int(np.argmax(row)) for row in scores]
    spans, means, t = [], [], 0
    for symbol, group in itertools.groupby(path):
        end = t + len(list(group))
        if symbol != blank:
            spans.append((symbol, t, end))
            means.append(float(scores[t:end, symbol].mean()))
        t = end
    return spans, means, float(sum(scores[t, c] for t, c in enumerate(path)))


def beam_search(
    scores: Array, blank: int, width: int, model: Callable[[Labels], float] = lambda labels: 0.0
) -> list[tuple[float, Labels]]:
    """Search over prefixes, whose score `model` adds to; the beam at the end, best first."""
    beam: dict[Labels, tuple[float, float]] = {(): (0.0, -np.inf)}
    for row in scores:
        after: dict[Labels, tuple[float, float]] = {}

        def add(labels: Labels, blank_mass: float, label_mass: float, after: Any = after) -> None:
            old = after.get(labels, (-np.inf, -np.inf))
            after[labels] = (np.logaddexp(old[0], blank_mass), np.logaddexp(old[1], label_mass))

        for labels, (in_blank, in_label) in beam.items():
            both = np.logaddexp(in_blank, in_label)
            add(labels, both + row[blank], -np.inf)
            for c in range(len(row)):
                if c == blank:
                    continue
                if labels and labels[-1] == c:
                    add(labels, -np.inf, in_label + row[c])
                    add((*labels, c), -np.inf, in_blank + row[c])
                else:
                    add((*labels, c), -np.inf, both + row[c])
        ranked = sorted(after, key=lambda p: -(np.logaddexp(*after[p]) + model(p)))
        kept = [p for p in ranked[:width] if np.logaddexp(*after[p]) + model(p) > -np.inf]
        beam = {p: after[p] for p in kept}
    return [(float(np.logaddexp(*beam[p])) + model(p), p) for p in beam]
