"""Dynamic time warping by plain loops, and by looking at every path."""

from __future__ import annotations

from math import inf, isinf
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Path = list[tuple[int, int]]


def local_costs(x: Any, y: Any, metric: str) -> Matrix:
    """Costs (N, M) between the frames of two series, (T,) or (T, D)."""
    frames_x = np.asarray(x, np.float64).reshape(len(x), -1)[:, np.newaxis, :]
    frames_y = np.asarray(y, np.float64).reshape(len(y), -1)[np.newaxis, :, :]
    if metric == "sqeuclidean":
        return ((frames_x - frames_y) ** 2).sum(axis=2)
    if metric == "euclidean":
        return np.sqrt(((frames_x - frames_y) ** 2).sum(axis=2))
    if metric == "cityblock":
        return np.abs(frames_x - frames_y).sum(axis=2)
    if metric == "cosine":
        cost = 1 - (_unit_frames(frames_x) * _unit_frames(frames_y)).sum(axis=2)
        return np.maximum(cost, 0)
    raise ValueError(metric)


def _unit_frames(frames: Matrix) -> Matrix:
    """Frames of length 1; a zero frame stays zero, and so costs 1 against everything."""
    largest = np.abs(frames).max(axis=2, keepdims=True)
    scaled = frames / np.where(largest > 0, largest, 1)
    norm = np.sqrt((scaled**2).sum(axis=2, keepdims=True))
    return scaled / np.where(norm > 0, norm, 1)


def inside(window: Any, n: int, m: int) -> Mask:
    """Whether a window (None, int, an object with a `radius`, or (N, 2) bounds) holds each cell."""
    i, j = np.arange(n)[:, np.newaxis], np.arange(m)[np.newaxis, :]
    if window is None:
        return np.ones((n, m), bool)
    if isinstance(window, int):
        lower = -window - max(0, n - m)
        upper = window + max(0, m - n)
        return (lower <= j - i) & (j - i <= upper)
    if hasattr(window, "radius"):
        return abs(j * (n - 1) - i * (m - 1)) <= window.radius * max(n - 1, m - 1)
    rows = np.asarray(window)
    return (rows[:, :1] <= j) & (j < rows[:, 1:])


def within(cost: Any, window: Any) -> Matrix:
    """Costs with the cells outside the window forbidden."""
    values = np.asarray(cost, np.float64)
    return np.where(inside(window, *values.shape), values, inf)


def accumulate(cost: Any) -> Matrix:
    """Cost of the cheapest path from (0, 0) to each cell; the last is the answer."""
    values = np.asarray(cost, np.float64)
    n, m = values.shape
    total = np.empty((n, m))
    # One cell before the first, so that the path enters at (0, 0) and at no other.
    above = [0.0] + [inf] * m
    for i in range(n):
        row = [inf]
        for j, local in enumerate(values[i].tolist()):
            row.append(inf if local == inf else local + min(above[j], above[j + 1], row[j]))
        total[i] = row[1:]
        above = row
    return total


def trace_back(total: Matrix) -> Path:
    """Walk back through accumulated costs; of equal ways, the diagonal, then the step in x."""
    i, j = total.shape[0] - 1, total.shape[1] - 1
    path = [(i, j)]
    while (i, j) != (0, 0):
        before = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        costs = [total[a, b] if a >= 0 and b >= 0 else inf for a, b in before]
        i, j = before[costs.index(min(costs))]
        path.append((i, j))
    return path[::-1]


def every_path(n: int, m: int) -> list[Path]:
    """Every monotone path from (0, 0) to (n - 1, m - 1)."""
    if n == 1 and m == 1:
        return [[(0, 0)]]
    shorter: list[Path] = []
    if n > 1 and m > 1:
        shorter += every_path(n - 1, m - 1)
    if n > 1:
        shorter += every_path(n - 1, m)
    if m > 1:
        shorter += every_path(n, m - 1)
    return [[*path, (n - 1, m - 1)] for path in shorter]


def in_order(costs: Any) -> Any:
    """Sum from the first to the last, in their own dtype.

    `sum` may compensate, and NumPy's goes by pairs.
    """
    total = costs[0]
    for cost in costs[1:]:
        total = total + cost
    return total


def brute_force(cost: Any) -> tuple[float, list[Path]]:
    """Least cost over all paths, and every path that has it: none if it is infinite."""
    values = np.asarray(cost, np.float64).tolist()
    paths = every_path(len(values), len(values[0]))
    costs = [in_order([values[i][j] for i, j in path]) for path in paths]
    least = min(costs)
    if isinf(least):
        return least, []
    return least, [path for path, total in zip(paths, costs, strict=True) if total == least]


def on_paths(mask: Mask) -> Mask:
    """The cells of a mask that some monotone path within it visits."""
    free = np.where(mask, 0.0, inf)
    from_start = np.isfinite(accumulate(free))
    to_end = np.isfinite(accumulate(free[::-1, ::-1]))[::-1, ::-1]
    return from_start & to_end
