"""The kinds of costs and weights that users bring to transport: made from a seed.

A family gives the costs (N, M) of one problem and, where they are not uniform, the weights of its
sides. N and U are normal and uniform.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Random: TypeAlias = np.random.Generator
# Costs, and the weights of rows and columns; None for uniform ones.
Made: TypeAlias = tuple[Array, Array | None, Array | None]


def squares(x: Array, y: Array) -> Array:
    """Squared distances between points (N, D) and (M, D)."""
    norms = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)
    return np.maximum(norms - 2 * x @ y.T, 0)


def normalised(weights: Array) -> Array:
    """Weights of mass 1."""
    return np.asarray(weights / weights.sum())


def uniform(random: Random, n: int, m: int) -> Made:
    """U(0, 1), of no shape."""
    return random.random((n, m)), None, None


def points(random: Random, n: int, m: int, *, dim: int, scale: float = 1.0) -> Made:
    """|x - y|^2 · scale with x ~ N(0, I) and y ~ N(1/2, I)."""
    x, y = random.normal(size=(n, dim)), random.normal(size=(m, dim)) + 0.5
    return scale * squares(x, y), None, None


def cosine(random: Random, n: int, m: int) -> Made:
    """1 - x·y of unit vectors in 64 dimensions, around 10 directions."""
    centres = random.normal(size=(10, 64))
    x, y = (centres[random.integers(0, 10, k)] + random.normal(size=(k, 64)) for k in (n, m))
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    return 1 - x @ y.T, None, None


def matcher(random: Random, n: int, m: int) -> Made:
    """-scores of matched keypoints, 20 for half the pairs, and a dustbin for each side.

    The last row and column take what has no match: P.-E. Sarlin et al., SuperGlue, CVPR 2020.
    """
    k = min(n, m) - 1
    scores = np.clip(random.normal(-8, 6, (n, m)), -20, 20)
    matched = random.permutation(k)[: (k + 1) // 2]
    scores[matched, matched] = random.normal(15, 3, len(matched))
    scores[-1], scores[:, -1] = 1, 1
    a, b = np.ones(n), np.ones(m)
    a[-1], b[-1] = max(m - 1, 1), max(n - 1, 1)
    return -scores, normalised(a), normalised(b)


def words(random: Random, n: int, m: int) -> Made:
    """Distances of embeddings in 300 dimensions, some of them shared, with uneven weights."""
    vocabulary = random.normal(size=(2 * max(n, m), 300))
    x, y = (vocabulary[random.choice(len(vocabulary), k, replace=False)] for k in (n, m))
    a, b = (normalised(1.0 / random.integers(1, 20, k)) for k in (n, m))
    return np.sqrt(squares(x, y)), a, b


def histograms(random: Random, n: int, m: int) -> Made:
    """|i - j| between the bins of two histograms, of which a third are empty."""
    x, y = np.linspace(0, 1, n), np.linspace(0, 1, m)
    sides = []
    for grid in (x, y):
        peaks = random.random(3)
        weight = np.exp(-(((grid[:, None] - peaks) / 0.1) ** 2)).sum(axis=1) + 1e-3
        weight[random.permutation(len(grid))[: len(grid) // 3]] = 0
        sides.append(normalised(weight))
    return np.abs(x[:, None] - y), sides[0], sides[1]


def gated(random: Random, n: int, m: int, *, never: float) -> Made:
    """Squared distances in the plane, and `never` beyond the nearest quarter; one row takes all."""
    cost, _, _ = points(random, n, m, dim=2)
    cost[cost > np.quantile(cost, 0.25)] = never
    # Every point finds room on the last row and column, so that there is a plan; and one pair is
    # near: where none is, nothing is left for the last of both, and sentinels take part.
    cost[-1], cost[:, -1] = 4, 4
    cost[0, 0] = min(cost[0, 0], 1)
    a, b = np.ones(n), np.ones(m)
    a[-1], b[-1] = max(m - 1, 1), max(n - 1, 1)
    return cost, normalised(a), normalised(b)


def identical(random: Random, n: int, m: int) -> Made:
    """Squared distances of a cloud to itself, in 3 dimensions."""
    x = random.normal(size=(max(n, m), 3))
    return squares(x[:n], x[:m]), None, None


def constant(random: Random, n: int, m: int) -> Made:
    """All alike."""
    return np.full((n, m), 1 + random.random()), None, None


def grids(random: Random, n: int, m: int) -> Made:
    """Squared distances between the pixels of two square images, with their greys as weights."""
    sides = []
    for k in (n, m):
        side = int(np.sqrt(k))
        at = np.stack(np.meshgrid(*[np.linspace(0, 1, side)] * 2, indexing="ij"), axis=-1)
        at = at.reshape(-1, 2)
        middle = random.random((4, 2))
        grey = np.exp(-((at[:, None] - middle) ** 2).sum(axis=2) / 0.02).sum(axis=1) + 1e-3
        sides.append((at, normalised(grey)))
    (x, a), (y, b) = sides
    return squares(x, y), a, b


def low_rank(random: Random, n: int, m: int) -> Made:
    """U(0, 1) of rank 4."""
    return random.random((n, 4)) @ random.random((4, m)) / 4, None, None


# In the order of the tables.
FAMILIES: dict[str, Callable[[Random, int, int], Made]] = {
    "uniform": uniform,
    "squares, plane": partial(points, dim=2),
    "squares to 1e4, 64 d": partial(points, dim=64, scale=40.0),
    "cosine": cosine,
    "matcher": matcher,
    "words": words,
    "histograms": histograms,
    "gated at 1e9": partial(gated, never=1e9),
    "gated at inf": partial(gated, never=np.inf),
    "identical": identical,
    "constant": constant,
    "grids": grids,
    "low rank": low_rank,
    "squares, 8 d": partial(points, dim=8),
}
COUNTED = tuple(FAMILIES)[:-1]


@dataclass(frozen=True, eq=False)
class Problems:
    """A batch of problems: costs (B, N, M) and weights (B, N), (B, M), all of mass 1.

    `epsilon` is one number for all, and so is `uniform`: whether the weights are.
    """

    cost: Array
    a: Array
    b: Array
    epsilon: float
    uniform: bool

    @property
    def count(self) -> int:
        """Count the problems."""
        return len(self.cost)

    def error(self, plans: Array) -> float:
        """Give the greatest error of the marginals of plans (B, N, M); inf for NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            off = np.abs(plans.sum(axis=2) - self.a).sum(axis=1)
            off += np.abs(plans.sum(axis=1) - self.b).sum(axis=1)
        return float(np.where(np.isfinite(off), off, np.inf).max(initial=0))

    def plans(self, f: Array, g: Array) -> Array:
        """Give the plans of potentials (B, N) and (B, M)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.exp((f[:, :, None] + g[:, None, :] - self.cost) / self.epsilon)


def problems(
    seed: int,
    family: str,
    count: int,
    n: int,
    m: int,
    *,
    of_most: float | None = None,
    of_mean: float | None = None,
) -> Problems:
    """Make problems of a family, with an epsilon that is a share of the most or the mean cost.

    Costs that stand for never are no part of either.
    """
    random = np.random.default_rng((crc32(family.encode()), seed, count, n, m))
    made = [FAMILIES[family](random, n, m) for _ in range(count)]
    # As float32, so that all contenders solve the same problem.
    cost = np.stack([each[0] for each in made]).astype(np.float32).astype(np.float64)
    a, b = (
        np.stack([np.full(k, 1 / k) if each[at] is None else each[at] for each in made])
        for at, k in ((1, n), (2, m))
    )
    sizes = np.abs(cost[cost < 1e8])
    size = of_most * sizes.max() if of_most is not None else (of_mean or 1.0) * sizes.mean()
    return Problems(cost, a, b, float(size) or 1.0, made[0][1] is None)
