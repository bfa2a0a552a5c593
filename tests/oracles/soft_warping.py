"""Soft-DTW over every path, and by plain loops in extended precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .warping import every_path, in_order

Extended = npt.NDArray[np.longdouble]


def by_every_path(cost: Any, gamma: float) -> tuple[float, Extended]:
    """Soft minimum of the costs of all paths, and how probable it is that one visits each cell.

    A cost of inf forbids a cell.
    """
    values = np.asarray(cost, np.longdouble)
    paths = every_path(*values.shape)
    costs = np.array([in_order([values[cell] for cell in path]) for path in paths])
    least = costs.min()
    weights = np.exp((least - costs) / np.longdouble(gamma))
    visits = np.zeros(values.shape, np.longdouble)
    for path, weight in zip(paths, weights, strict=True):
        for cell in path:
            visits[cell] += weight
    total = weights.sum()
    return float(least - gamma * np.log(total)), visits / total


def by_loops(cost: Any, gamma: float) -> tuple[float, npt.NDArray[np.float64]]:
    """The same by sums over prefixes and suffixes of paths, of costs over gamma."""
    values = np.asarray(cost, np.longdouble) / np.longdouble(gamma)
    before, after = _prefixes(values), _prefixes(values[::-1, ::-1])[::-1, ::-1]
    total = before[-1, -1]
    with np.errstate(invalid="ignore"):
        # A cell's own cost counts in both.
        visits = np.where(np.isinf(values), 0, np.exp(total - (before + after - values)))
    return float(total * gamma), visits.astype(np.float64)


def _prefixes(values: Extended) -> Extended:
    """Soft minima, with gamma 1, over the paths from the first cell to each."""
    n, m = values.shape
    total = np.full((n + 1, m + 1), np.inf, np.longdouble)
    total[0, 0] = 0
    for i in range(n):
        for j in range(m):
            three = np.array([total[i, j], total[i, j + 1], total[i + 1, j]])
            least = three.min()
            if np.isfinite(least):
                smooth = least - np.log(np.exp(least - three).sum())
                total[i + 1, j + 1] = values[i, j] + smooth
    return total[1:, 1:]


def gradients(
    x: Any, y: Any, visits: Any, metric: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gradients of the value by the chain rule: visits are its derivative by the local costs."""
    frames_x = np.asarray(x, np.float64).reshape(len(x), -1)
    frames_y = np.asarray(y, np.float64).reshape(len(y), -1)
    if metric == "cosine":
        visits = np.asarray(visits, np.float64)
        by_x = _by_angle(frames_x, visits @ _unit(frames_y))
        by_y = _by_angle(frames_y, visits.T @ _unit(frames_x))
        return by_x.reshape(np.shape(x)), by_y.reshape(np.shape(y))
    apart = frames_x[:, np.newaxis] - frames_y
    if metric == "sqeuclidean":
        slope = 2 * apart
    elif metric == "cityblock":
        slope = np.sign(apart)
    else:
        norm = np.sqrt((apart**2).sum(axis=2, keepdims=True))
        slope = np.divide(apart, norm, out=np.zeros_like(apart), where=norm > 0)
    weighted = np.asarray(visits, np.float64)[..., np.newaxis] * slope
    return weighted.sum(axis=1).reshape(np.shape(x)), -weighted.sum(axis=0).reshape(np.shape(y))


def _unit(frames: Any) -> Any:
    """Frames of length 1, or of zeros."""
    norm = np.linalg.norm(frames, axis=1, keepdims=True)
    return np.divide(frames, norm, out=np.zeros_like(frames), where=norm > 0)


def _by_angle(frames: Any, met: Any) -> Any:
    """Derivative of 1 - u v by x, where u = x / |x| and v is what the frame meets."""
    unit, norm = _unit(frames), np.linalg.norm(frames, axis=1, keepdims=True)
    across = met - (unit * met).sum(axis=1, keepdims=True) * unit
    return -np.divide(across, norm, out=np.zeros_like(frames), where=norm > 0)
