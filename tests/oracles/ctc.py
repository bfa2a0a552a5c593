"""CTC by definition: every path enumerated, and forward-backward in float64 logarithms."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: What the library promises of CTC, against float64 on the same input: the loss relative to
#: itself, the gradient absolute.
PROMISED_LOSS = {"float64": 1e-10, "float32": 1e-5}
PROMISED_GRADIENT = {"float64": 1e-9, "float32": 1e-4}
#: float32 past 1,000 frames.
PROMISED_LONG_GRADIENT = 2e-3


def make(shape: tuple[int, int, int], dtype: Any, seed: int = 0, blank: int = 0) -> Any:
    """Scores of (frames, symbols, labels), and a text without the blank."""
    frames, symbols, count = shape
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(frames, symbols)).astype(dtype) * 3
    return x, rng.choice(np.delete(np.arange(symbols), blank), count)


def log_softmax(x: Any) -> Array:
    """Logarithms of each frame's distribution; -inf everywhere in a frame that has none."""
    x = np.asarray(x, np.float64)
    most = x.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        shifted = np.where(np.isinf(most), -np.inf, x - most)
        log_sum = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return np.where(np.isinf(most), -np.inf, shifted - log_sum)


def scores_of(x: Any, input: str) -> Array:
    """Logarithms of probabilities, of either kind of input."""
    return log_softmax(x) if input == "logits" else np.asarray(x, np.float64)


def spelled(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """The text of a path: runs are shortened to one symbol, and blanks taken out."""
    kept = [s for i, s in enumerate(path) if i == 0 or s != path[i - 1]]
    return tuple(s for s in kept if s != blank)


def probabilities_by_text(log_p: Array, blank: int) -> dict[tuple[int, ...], float]:
    """The probability of every text, by enumeration of every path."""
    frames, symbols = log_p.shape
    found: dict[tuple[int, ...], float] = {}
    for path in product(range(symbols), repeat=frames):
        probability = float(np.exp(sum(log_p[t, s] for t, s in enumerate(path))))
        text = spelled(path, blank)
        found[text] = found.get(text, 0.0) + probability
    return found


def enumerated(log_p: Array, text: Any, blank: int) -> tuple[float, Array, Array]:
    """Loss and occupancies, per symbol and per state, by enumeration of every path."""
    frames, symbols = log_p.shape
    text = tuple(int(label) for label in text)
    by_symbol, by_state = np.zeros((frames, symbols)), np.zeros((frames, 2 * len(text) + 1))
    total = 0.0
    for path in product(range(symbols), repeat=frames):
        if spelled(path, blank) != text:
            continue
        probability = float(np.exp(sum(log_p[t, s] for t, s in enumerate(path))))
        total += probability
        read = 0
        for t, symbol in enumerate(path):
            if symbol != blank and (t == 0 or symbol != path[t - 1]):
                read += 1
            by_symbol[t, symbol] += probability
            by_state[t, 2 * read - 1 if symbol != blank else 2 * read] += probability
    if total == 0:
        return np.inf, by_symbol, by_state
    return -float(np.log(total)), by_symbol / total, by_state / total


def log_sum(rows: list[Array]) -> Array:
    """The logarithm of a sum of exponentials, entry by entry."""
    most = np.max(rows, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.sum([np.exp(row - most) for row in rows], axis=0)
        return np.where(np.isinf(most), most, most + np.log(total))


def shifted(row: Array, by: int) -> Array:
    """A row moved to the right (left, if `by` is negative), -inf coming in."""
    out = np.full(len(row), -np.inf)
    if abs(by) < len(row):
        if by > 0:
            out[by:] = row[:-by]
        else:
            out[:by] = row[-by:]
    return out


def forward_backward(
    x: Any, text: Any, blank: int = 0, input: str = "logits"
) -> tuple[float, Array, Array]:
    """Loss, gradient with respect to x, and occupancy per state, in float64 logarithms.

    Each frame's scores, and each row of the recursion, are taken relative to their greatest, and
    the greatest added up apart, so that long recordings lose no digits.
    """
    x, text = np.asarray(x, np.float64), np.asarray(text, np.int64)
    log_p = scores_of(x, input)
    frames, states = len(x), 2 * len(text) + 1
    symbols = np.full(states, blank)
    symbols[1::2] = text
    skips = np.zeros(states, bool)
    skips[3::2] = text[1:] != text[:-1]
    gradient, occupancy = np.zeros(x.shape), np.zeros((frames, states))
    if frames == 0:
        return (0.0 if len(text) == 0 else np.inf), gradient, occupancy
    emitted = log_p[:, symbols]
    alpha, beta = np.full((2, frames, states), -np.inf)
    alpha[0, :2], beta[-1, -2:] = emitted[0, :2], 0
    offset = 0.0
    for t in range(frames):
        if t > 0:
            skipped = np.where(skips, shifted(alpha[t - 1], 2), -np.inf)
            alpha[t] = log_sum([alpha[t - 1], shifted(alpha[t - 1], 1), skipped]) + emitted[t]
        most = alpha[t].max()
        if most == -np.inf:
            return np.inf, gradient, occupancy
        alpha[t] -= most
        offset += most
    ends = np.logaddexp.reduce(alpha[-1, -2:])
    if ends == -np.inf:
        return np.inf, gradient, occupancy
    for t in range(frames - 2, -1, -1):
        through = beta[t + 1] + emitted[t + 1]
        skipped = shifted(np.where(skips, through, -np.inf), -2)
        beta[t] = log_sum([through, shifted(through, -1), skipped])
        beta[t] -= beta[t].max()
    for t in range(frames):
        both = alpha[t] + beta[t]
        share = np.exp(both - both.max())
        occupancy[t] = share / share.sum()
        if input == "logits":
            gradient[t] = np.exp(log_p[t])
        np.subtract.at(gradient[t], symbols, occupancy[t])
    return -(offset + float(ends)), gradient, occupancy


def by_symbol(occupancy: Array, text: Any, blank: int, symbols: int) -> Array:
    """Occupancies of symbols, from those of states."""
    out = np.zeros((len(occupancy), symbols))
    for state in range(occupancy.shape[1]):
        out[:, int(text[state // 2]) if state % 2 else blank] += occupancy[:, state]
    return out
