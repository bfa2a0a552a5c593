"""The kinds of scores that users bring to CTC: made from a seed, nothing downloaded.

A family gives the logits of one recording from the symbol that is truly at each frame. N and U are
normal and uniform; 0 is the blank. Values are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from log_space import Truth, truths

Logits: TypeAlias = NDArray[np.float32]
Symbols: TypeAlias = NDArray[np.int64]


def labels(random: np.random.Generator, length: int, symbols: int, *, apart: bool) -> Symbols:
    """Draw a text; `apart` for one whose neighbours all differ."""
    if not apart:
        return random.integers(1, symbols, length)
    steps = random.integers(1, symbols - 1, length)
    return 1 + (np.cumsum(steps) - 1) % (symbols - 1)


def path(random: np.random.Generator, text: Symbols, frames: int, silence: float | None) -> Symbols:
    """Give a symbol to each frame so that they spell the text.

    A label lasts a frame, and what is left is shared out, three times as much to a blank; of that a
    share of silence goes to either end first. None is for a text without a blank at the ends.
    """
    states = np.zeros(2 * len(text) + 1, np.int64)
    states[1::2] = text
    lasts = np.zeros(len(states), np.int64)
    lasts[1::2] = 1
    lasts[2:-1:2] = text[1:] == text[:-1]
    left = frames - int(lasts.sum())
    assert left >= 0, "a text that does not fit"
    weights = np.where(states == 0, 3.0, 1.0)
    if silence is None:
        weights[[0, -1]] = 0
    else:
        lasts[[0, -1]] += int(silence * left)
    left = frames - int(lasts.sum())
    return np.repeat(states, lasts + random.multinomial(left, weights / weights.sum()))


def noise(
    random: np.random.Generator, truth: Symbols, symbols: int, *, size: float = 1.0
) -> Logits:
    """x_tc = size · N(0, 1)."""
    made = random.standard_normal((len(truth), symbols), dtype=np.float32)
    return made if size == 1 else made * np.float32(size)


def wide(random: np.random.Generator, truth: Symbols, symbols: int) -> Logits:
    """x_tc ~ U(-80, 80)."""
    made = random.random((len(truth), symbols), dtype=np.float32)
    return (made - np.float32(0.5)) * np.float32(160)


def trained(random: np.random.Generator, truth: Symbols, symbols: int, *, late: int = 0) -> Logits:
    """N(0, 1), but of the true symbol, `late` frames after it, such that its probability is 0.99.

    What is late for the last frame is at the first.
    """
    made = noise(random, truth, symbols)
    rows, columns = np.arange(len(truth)), np.roll(truth, late)
    made[rows, columns] = -np.inf
    made[rows, columns] = np.log(99 * np.exp(made).sum(axis=1))
    return made


def read(random: np.random.Generator, truth: Symbols, symbols: int) -> Logits:
    """N(0, 1), and 6 more for the true symbol."""
    made = noise(random, truth, symbols)
    made[np.arange(len(truth)), truth] += np.float32(6)
    return made


def smoothed(random: np.random.Generator, truth: Symbols, symbols: int) -> Logits:
    """The logarithm of 0.9 for the true symbol, and of an equal share of 0.1 for each other."""
    made = np.full((len(truth), symbols), np.log(0.1 / (symbols - 1)), np.float32)
    made[np.arange(len(truth)), truth] = np.log(0.9)
    return made


def masked(random: np.random.Generator, truth: Symbols, symbols: int) -> Logits:
    """N(0, 1), but -inf for every third symbol, unless it is in the text."""
    made = noise(random, truth, symbols)
    out = np.arange(2, symbols, 3)
    made[:, np.setdiff1d(out, truth)] = -np.inf
    return made


# In the order of the tables.
FAMILIES: dict[str, Callable[[np.random.Generator, Symbols, int], Logits]] = {
    "uniform at the start": partial(noise, size=0.1),
    "trained": trained,
    "trained, a frame late": partial(trained, late=1),
    "long silence": trained,
    "label smoothing": smoothed,
    "−inf columns": masked,
    "logits ±80": wide,
    "noise": noise,
    "noise, ten times": partial(noise, size=10.0),
    "read": read,
}
# Shares of silence at the ends; without a blank there, a frame late is a text that does not fit.
SILENCE = {"long silence": 0.45, "trained, a frame late": None}
# What training knows; the last three are for cases of their own.
COUNTED = tuple(FAMILIES)[:-3]


@dataclass(frozen=True, eq=False)
class Recordings:
    """A padded batch: scores (B, T, C), texts (B, L), lengths, and the path that was meant."""

    x: Logits
    targets: Symbols
    x_lengths: Symbols
    target_lengths: Symbols
    meant: Symbols

    @property
    def frames(self) -> int:
        """Count the true frames."""
        return int(self.x_lengths.sum())

    def problems(self) -> list[tuple[Logits, Symbols]]:
        """Give each recording with its text, without the padding."""
        cut = zip(self.x, self.targets, self.x_lengths, self.target_lengths, strict=True)
        return [(x[:frames], text[:length]) for x, text, frames, length in cut]

    def __getitem__(self, some: slice) -> Recordings:
        """Give some of the batch."""
        return Recordings(*(getattr(self, field.name)[some] for field in fields(self)))

    @cached_property
    def truths(self) -> list[Truth]:
        """Compute losses and occupancies in float64."""
        return truths(*zip(*self.problems(), strict=True))


def recordings(
    seed: int,
    family: str,
    problems: int,
    frames: int,
    symbols: int,
    length: int,
    *,
    ragged: bool = False,
) -> Recordings:
    """Make a batch of a family; ragged, with lengths from 10 % to 100 %."""
    random = np.random.default_rng((crc32(family.encode()), seed, problems, frames, symbols))
    x_lengths = np.full(problems, frames)
    target_lengths = np.full(problems, length)
    if ragged:
        share = random.permutation(np.linspace(0.1, 1, problems))
        x_lengths, target_lengths = (
            np.maximum(1, np.ceil(share * whole).astype(np.int64)) for whole in (frames, length)
        )
    x = np.zeros((problems, frames, symbols), np.float32)
    targets = np.ones((problems, length), np.int64)
    meant = np.zeros((problems, frames), np.int64)
    for p, (t, size) in enumerate(zip(x_lengths, target_lengths, strict=True)):
        text = labels(random, size, symbols, apart=2 * length > frames)
        truth = path(random, text, t, SILENCE.get(family, 0))
        targets[p, :size], meant[p, :t] = text, truth
        x[p, :t] = FAMILIES[family](random, truth, symbols)
    return Recordings(x, targets, x_lengths, target_lengths, meant)
