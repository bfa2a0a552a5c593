"""The kinds of series that users bring to warping: made from a seed, nothing downloaded.

A family gives a collection of shape (count, frames, dim). N and U are normal and uniform. Values
are float64 but rounded to float32, so that contenders of either dtype see the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Random: TypeAlias = np.random.Generator
Shape: TypeAlias = tuple[int, int, int]


def walks(random: Random, shape: Shape) -> Array:
    """x(t) = sum over s <= t of N(0, 1)."""
    return random.standard_normal(shape).cumsum(axis=1)


def shapes(random: Random, shape: Shape) -> Array:
    """One of four curves of three bumps, up to a tenth late or early, 0.1 N(0, 1), z-normalised."""
    count, frames, dim = shape
    bumps = random.random((2, 4, 1, dim, 3))
    height, place = 4 * bumps[0] - 2, bumps[1]
    curve = random.integers(0, 4, count)
    at = np.linspace(0, 1, frames)[:, None, None] + random.uniform(-0.1, 0.1, (count, 1, 1, 1))
    made = (height[curve] * np.exp(-(((at - place[curve]) / 0.08) ** 2))).sum(axis=-1)
    made += 0.1 * random.standard_normal(shape)
    made -= made.mean(axis=1, keepdims=True)
    deviation = made.std(axis=1, keepdims=True)
    return made / np.where(deviation > 0, deviation, 1)


def stretches(random: Random, shape: Shape) -> Array:
    """One of seven levels, from -3 to 3, that changes at one frame in twenty."""
    count, frames, _ = shape
    levels = random.integers(-3, 4, shape).astype(np.float64)
    changes = random.random((count, frames, 1)) < 0.05
    changes[:, 0] = True
    since = np.maximum.accumulate(np.where(changes, np.arange(frames)[:, None], 0), axis=1)
    return np.take_along_axis(levels, np.broadcast_to(since, shape), axis=1)


def duplicates(random: Random, shape: Shape) -> Array:
    """Random walks, each there four times."""
    count, frames, dim = shape
    different = walks(random, ((count + 3) // 4, frames, dim))
    return different[np.arange(count) % len(different)]


def spikes(random: Random, shape: Shape) -> Array:
    """0, and at one frame in fifty 10 N(0, 1); one spike at least."""
    count, frames, _ = shape
    made = 10 * random.standard_normal(shape)
    beats = random.random((count, frames, 1)) < 0.02
    beats[np.arange(count), random.integers(0, frames, count)] = True
    return np.where(beats, made, 0)


def integers(random: Random, shape: Shape) -> Array:
    """0 .. 9, each as likely."""
    return random.integers(0, 10, shape).astype(np.float64)


def cepstra(random: Random, shape: Shape) -> Array:
    """x_d(t) = 0.9 x_d(t - 1) + N(0, 1), times 20 / (1 + d): a spectrum's slow and fast parts."""
    noise = random.standard_normal(shape)
    for t in range(1, shape[1]):
        noise[:, t] += 0.9 * noise[:, t - 1]
    return noise * (20 / (1 + np.arange(shape[2])))


# In the order of the tables.
FAMILIES: dict[str, Callable[[Random, Shape], Array]] = {
    "random walks": walks,
    "shapes, z-normalised": shapes,
    "constant stretches": stretches,
    "duplicates": duplicates,
    "spikes": spikes,
    "integers 0..9": integers,
    "MFCC, 13 d": cepstra,
}
# Dimensions where there is more than one.
DIMENSIONS = {"MFCC, 13 d": 13}
# Where many paths cost the same, and descents take one or another.
TIED = ("constant stretches", "duplicates", "spikes", "integers 0..9")


def series(seed: int, family: str, count: int, frames: int, dim: int | None = None) -> Array:
    """Make a collection of a family, (count, frames), or (count, frames, dim) of more than one."""
    dim = dim or DIMENSIONS.get(family, 1)
    random = np.random.default_rng((crc32(family.encode()), seed, count, frames, dim))
    made = FAMILIES[family](random, (count, frames, dim)).astype(np.float32).astype(np.float64)
    return made[..., 0].copy() if dim == 1 else made


def ragged(seed: int, family: str, count: int, shortest: int, longest: int) -> list[Array]:
    """Make a list, of as many lengths in shuffled order, each the beginning of a longer series."""
    random = np.random.default_rng((seed, count))
    lengths = random.permutation(np.linspace(shortest, longest, count).astype(int))
    made = series(seed, family, count, longest)
    return [one[:length].copy() for one, length in zip(made, lengths, strict=True)]
