"""Series, windows, matrices and costs to test with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def make_series(
    rng: np.random.Generator, length: int, dim: int, dtype: Any, values: str = "normal"
) -> Array:
    """A (T,) or (T, D) series.

    "integers" are small: sums of their squares are exact in float32 too, and ties are many.
    """
    shape = (length,) if dim == 1 else (length, dim)
    if values == "integers":
        return rng.integers(-3, 4, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def make_staircase(
    rng: np.random.Generator, n: int, m: int, slack: int = 3
) -> npt.NDArray[np.int64]:
    """Row bounds around a random path: ragged, so that some of the cells are on no path."""
    ends = np.sort(rng.integers(0, m, n))
    ends[-1] = m - 1
    starts = np.concatenate([[0], ends[:-1]])
    starts = np.maximum(starts - rng.integers(0, slack + 1, n), 0)
    stops = np.minimum(ends + 1 + rng.integers(0, slack + 1, n), m)
    return np.stack([starts, stops], axis=1)


def pad(items: list[Array], fill: float = np.nan) -> tuple[Array, npt.NDArray[np.int64]]:
    """A padded (B, T, D) batch of (T,) or (T, D) series, and its lengths."""
    frames = [item.reshape(len(item), -1) for item in items]
    lengths = np.array([len(item) for item in frames])
    batch = np.full((len(frames), lengths.max(), frames[0].shape[1]), fill, frames[0].dtype)
    for row, item in zip(batch, frames, strict=True):
        row[: len(item)] = item
    return batch, lengths


def _points(rng: np.random.Generator, n: int, m: int, dim: int, clusters: int = 0) -> Array:
    """Distances between two sets of points, drawn near common centres where there are clusters."""
    rows, columns = rng.uniform(size=(n, dim)), rng.uniform(size=(m, dim))
    if clusters:
        centres = 100 * rng.uniform(size=(clusters, dim))
        rows += centres[rng.integers(0, clusters, n)]
        columns += centres[rng.integers(0, clusters, m)]
    return np.sqrt(((rows[:, np.newaxis] - columns) ** 2).sum(axis=2))


def _low_rank(rng: np.random.Generator, n: int, m: int, rank: int) -> Array:
    return rng.uniform(size=(n, rank)) @ rng.uniform(size=(rank, m))


def _offsets(rng: np.random.Generator, n: int, m: int) -> Array:
    return 100 * (rng.normal(size=(n, 1)) + rng.normal(size=m))


def _sparse(rng: np.random.Generator, n: int, m: int) -> Array:
    """Nine in ten forbidden, but for a matching of the whole shorter side."""
    allowed = rng.uniform(size=(n, m)) < 0.1
    k = min(n, m)
    allowed[rng.permutation(n)[:k], rng.permutation(m)[:k]] = True
    return np.where(allowed, rng.uniform(size=(n, m)), np.inf)


#: Costs (N, M) of one family each: f(rng, n, m).
COST_FAMILIES: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "uniform": lambda rng, n, m: rng.uniform(size=(n, m)),
    "shifted": lambda rng, n, m: 1000 + rng.uniform(size=(n, m)),
    "normal": lambda rng, n, m: rng.normal(size=(n, m)),
    "plane": lambda rng, n, m: _points(rng, n, m, 2),
    "ten dimensions": lambda rng, n, m: _points(rng, n, m, 10),
    "clusters": lambda rng, n, m: _points(rng, n, m, 2, 5),
    "rank 1": lambda rng, n, m: _low_rank(rng, n, m, 1),
    "rank 2": lambda rng, n, m: _low_rank(rng, n, m, 2),
    "rank 4": lambda rng, n, m: _low_rank(rng, n, m, 4),
    "rank 8": lambda rng, n, m: _low_rank(rng, n, m, 8),
    "0 to 99": lambda rng, n, m: rng.integers(0, 100, (n, m)).astype(float),
    "+-1000": lambda rng, n, m: rng.integers(-1000, 1001, (n, m)).astype(float),
    "binary": lambda rng, n, m: rng.integers(0, 2, (n, m)).astype(float),
    "log-uniform": lambda rng, n, m: 10 ** rng.uniform(-20, 20, (n, m)),
    "Machol-Wien": lambda rng, n, m: np.outer(np.arange(1.0, n + 1), np.arange(1.0, m + 1)),
    "offsets and a diagonal": lambda rng, n, m: _offsets(rng, n, m) + 0.1 * (1 - np.eye(n, m)),
    "offsets and noise": lambda rng, n, m: _offsets(rng, n, m) + rng.uniform(size=(n, m)),
    "constant": lambda rng, n, m: np.full((n, m), 7.0),
    "sparse": _sparse,
}


@cache
def make_costs(family: str, n: int, m: int, dtype: str, seed: int = 0) -> Array:
    """Costs of a family, the same at every call, and not to be written."""
    rng = np.random.default_rng([list(COST_FAMILIES).index(family), n, m, seed])
    cost = COST_FAMILIES[family](rng, n, m).astype(dtype)
    cost.flags.writeable = False
    return cost
