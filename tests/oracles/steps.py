"""Step patterns by the definition: every path that they allow, and a plain recursion."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np

from oracles.warping import Mask, Matrix

Cell = tuple[int, int, float]
Steps = Any  # sequences of moves (dx, dy, weight)


def every_path(
    steps: Steps, mask: Mask, open_begin: bool = False, open_end: bool = False
) -> Iterator[list[Cell]]:
    """Every path through the cells of a mask, as its cells with their weights."""
    n, m = mask.shape

    def follow(path: list[Cell]) -> Iterator[list[Cell]]:
        i, j, _ = path[-1]
        if i == n - 1 and (open_end or j == m - 1):
            yield path
        for step in steps:
            cells, at = [], (i, j)
            for dx, dy, weight in step:
                at = (at[0] + dx, at[1] + dy)
                cells.append((*at, weight))
            if at[0] < n and at[1] < m and all(mask[a, b] for a, b, _ in cells):
                yield from follow(path + cells)

    for j in range(m if open_begin else 1):
        if mask[0, j]:
            yield from follow([(0, j, 1.0)])


def weigh(costs: Matrix, path: list[Cell]) -> float:
    """Sum of the local costs of a path, times their weights."""
    total = 0.0
    for i, j, weight in path:
        total += weight * float(costs[i, j])
    return total


def brute_force(
    costs: Matrix, mask: Mask, steps: Steps, open_begin: bool = False, open_end: bool = False
) -> float:
    """Least cost over all paths; infinity without a path."""
    paths = every_path(steps, mask, open_begin, open_end)
    return min((weigh(costs, path) for path in paths), default=inf)


def accumulate(
    costs: Any, mask: Mask, steps: Steps, open_begin: bool = False, open_end: bool = False
) -> float:
    """Least cost by recursion, cell by cell."""
    n, m = mask.shape
    values = np.where(mask, np.asarray(costs, np.float64), inf)
    total = np.full((n, m), inf)
    first = slice(None) if open_begin else slice(1)
    total[0, first] = values[0, first]
    for i in range(n):
        for j in range(m):
            for step in steps:
                a = i - sum(dx for dx, _, _ in step)
                b = j - sum(dy for _, dy, _ in step)
                if a < 0 or b < 0:
                    continue
                cost = total[a, b]
                for dx, dy, weight in step:
                    a, b = a + dx, b + dy
                    cost = inf if values[a, b] == inf else cost + weight * values[a, b]
                total[i, j] = min(total[i, j], cost)
    return float(total[-1].min() if open_end else total[-1, -1])
