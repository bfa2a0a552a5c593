"""Series, windows and matrices to test with."""

from __future__ import annotations

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
