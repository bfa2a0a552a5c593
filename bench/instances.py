"""The data that the benchmarks time: formulas and a seed, nothing downloaded.

Every function takes a seed first; the same seed gives the same numbers. Values are float64 but
already rounded to float32, so that contenders of either dtype see the same numbers and their
answers can be compared.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

# The first word of each seed sequence: two functions with the same seed must not share their noise.
_RANDOM_WALKS, _WHITE_NOISE, _RAGGED, _PAIR, _MULTIVARIATE, _ORDER = range(6)


def _steps(stream: int, seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng((stream, seed)).standard_normal(shape)


def _round_to_float32(values: Array) -> Array:
    return values.astype(np.float32).astype(np.float64)


def random_walks(seed: int, n: int = 100, length: int = 512) -> Array:
    """Give a collection of random walks, shape (n, length).

    x_k(t) = sum over s <= t of e_k(s), with e independent standard normal.
    """
    return _round_to_float32(_steps(_RANDOM_WALKS, seed, (n, length)).cumsum(axis=1))


def white_noise(seed: int, n: int = 100, length: int = 512) -> Array:
    """Give a collection of white-noise series, shape (n, length).

    x_k(t) = e_k(t), with e independent standard normal.
    """
    return _round_to_float32(_steps(_WHITE_NOISE, seed, (n, length)))


def ragged_random_walks(
    seed: int, n: int = 100, shortest: int = 100, longest: int = 1000
) -> list[Array]:
    """Give n random walks of different lengths, in shuffled order.

    x_k(t) = sum over s <= t of e_k(s), with e independent standard normal, for t < T_k, where
    T_k = shortest + round((longest - shortest) * k / (n - 1)) for k = 0 .. n - 1. The lengths are
    the same for every seed, only their order changes, so that each round has the same number of
    lattice cells.
    """
    lengths = shortest + np.rint((longest - shortest) * np.arange(n) / max(n - 1, 1)).astype(int)
    order = np.random.default_rng((_ORDER, seed)).permutation(n)
    steps = _steps(_RAGGED, seed, (n, longest))
    return [_round_to_float32(steps[k, : lengths[k]].cumsum()) for k in order]


def pair(seed: int, length: int = 10_000) -> tuple[Array, Array]:
    """Give two random walks of one length, shapes (length,).

    x(t) = sum over s <= t of e(s), y(t) the same of independent noise.
    """
    x, y = _round_to_float32(_steps(_PAIR, seed, (2, length)).cumsum(axis=1))
    return x, y


def multivariate(seed: int, n: int = 100, length: int = 256, dimensions: int = 3) -> Array:
    """Give a collection of random walks in several dimensions, shape (n, length, dimensions).

    x_k(t, d) = sum over s <= t of e_k(s, d), with e independent standard normal.
    """
    return _round_to_float32(_steps(_MULTIVARIATE, seed, (n, length, dimensions)).cumsum(axis=1))
