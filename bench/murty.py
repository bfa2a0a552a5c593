"""Murty's ranking of assignments in its plain form, over SciPy: the peer of `assign_top_k`.

No bounds, no reuse of duals: each set of matchings is a smaller problem that SciPy solves anew, as
it is written by who has no ranking at hand.
"""

from __future__ import annotations

import heapq
import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Columns = tuple[int, ...]


def cheapest(costs: Array, k: int) -> Array:
    """Give the totals of the k cheapest matchings of the rows, ascending; inf past the last."""
    order = itertools.count()
    first = _best(costs, (), ())
    queue = [] if first is None else [(total(costs, first), next(order), first, 0, ())]
    found: list[float] = []
    while queue and len(found) < k:
        least, _, columns, kept, forbidden = heapq.heappop(queue)
        found.append(least)
        # Each child keeps one row more than the one before, and gives up the next row's column.
        for row in range(kept, len(costs)):
            given_up = (*(forbidden if row == kept else ()), columns[row])
            child = _best(costs, columns[:row], given_up)
            if child is not None:
                heapq.heappush(queue, (total(costs, child), next(order), child, row, given_up))
    return np.array(found + [np.inf] * (k - len(found)))


def total(costs: Array, columns: Columns) -> float:
    """Sum the costs of the pairs."""
    return float(costs[np.arange(len(columns)), columns].sum())


def _best(costs: Array, kept: Columns, given_up: Columns) -> Columns | None:
    """Give the cheapest matching that keeps the first rows' columns; None where there is none."""
    from scipy.optimize import linear_sum_assignment

    free = np.setdiff1d(np.arange(costs.shape[1]), kept)
    rest = costs[len(kept) :, free]
    rest[0, np.isin(free, given_up)] = np.inf
    try:
        _, columns = linear_sum_assignment(rest)
    except ValueError:
        return None
    return (*kept, *free[columns].tolist())
