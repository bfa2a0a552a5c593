"""Costs beside large finite ones, which is how most users write "forbidden"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment as scipy_assignment

from .compare import total_tolerance
from .instances import Array, make_costs

Spoil = Callable[[Array, np.random.Generator], Array]


def one_column(cost: Array, rng: np.random.Generator) -> Array:
    """A column that one row alone may take."""
    column = rng.integers(cost.shape[1])
    kept = cost[:, column].min()
    spoilt = cost.copy()
    spoilt[:, column] = 1e9
    spoilt[rng.integers(len(cost)), column] = kept
    return spoilt


def one_cell(cost: Array, rng: np.random.Generator) -> Array:
    spoilt = cost.copy()
    spoilt[tuple(rng.integers(cost.shape))] = 1e20
    return spoilt


def some(value: float, share: float) -> Spoil:
    """Spoil a share of the cells."""
    return lambda cost, rng: np.where(rng.random(cost.shape) < share, value, cost)


def gated(value: float, share: float) -> Spoil:
    """Keep a share of the cells, and a matching."""

    def spoil(cost: Array, rng: np.random.Generator) -> Array:
        kept = rng.random(cost.shape) < share
        kept[np.arange(len(cost)), rng.permutation(cost.shape[1])[: len(cost)]] = True
        return np.where(kept, cost, value)

    return spoil


def scaled(cost: Array, rng: np.random.Generator) -> Array:
    """Rows and columns of very different size."""
    rows, columns = (np.exp(rng.normal(0, 3, count)) for count in cost.shape)
    return cost * rows[:, np.newaxis] * columns


SENTINELS: dict[str, Spoil] = {
    "a column of 1e9": one_column,
    "a cell of 1e20": one_cell,
    "half of 1e6": some(1e6, 0.5),
    "a third of 1e9": some(1e9, 0.3),
    "some of 2**31 - 1": some(2.0**31 - 1, 0.04),
    "some of 1e20": some(1e20, 0.04),
    "two thirds of 1e9": some(1e9, 0.66),
    "all but a fiftieth of 1e5": gated(1e5, 0.02),
    "all but a fiftieth of 1e9": gated(1e9, 0.02),
    "all but a fiftieth of 1e20": gated(1e20, 0.02),
    "all but a hundredth of 1e20": gated(1e20, 0.01),
    "scaled": scaled,
}


def spoilt(family: str, sentinel: str, shape: tuple[int, int], dtype: Any) -> Array | None:
    """Costs of a family beside a sentinel; None where they are not finite."""
    rng = np.random.default_rng([list(SENTINELS).index(sentinel), *shape])
    cost = SENTINELS[sentinel](make_costs(family, *shape, "float64"), rng).astype(dtype)
    return cost if np.isfinite(cost).all() else None


def excess(cost: Array, col_of_row: Any, maximize: bool = False) -> tuple[float, float]:
    """By how much the total misses SciPy's, and the tolerance."""
    values = cost.astype(np.float64)
    rows = np.flatnonzero(np.asarray(col_of_row) >= 0)
    assert len(rows) == min(cost.shape)
    best = values[scipy_assignment(values, maximize)]
    off = float(values[rows, np.asarray(col_of_row)[rows]].sum() - best.sum())
    return abs(off), total_tolerance(cost.dtype, best)
