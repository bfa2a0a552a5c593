"""L-BFGS: descent along gradients, with the curvature of the last steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

# Steps whose curvature is remembered, as in SciPy's L-BFGS-B.
_REMEMBERED = 10
# The conditions of Wolfe: so much of the fall that the slope foretells, and so much of the slope
# that may be left.
_LEAST_FALL, _MOST_SLOPE = 1e-4, 0.9
_MOST_TRIALS = 30


@dataclass(frozen=True, slots=True)
class Point:
    """Where a descent is: the value and the gradient there, and what the function says besides."""

    x: Vector
    value: float
    gradient: Vector
    details: Any = None


@dataclass(frozen=True, slots=True)
class _Step:
    """A step and the change of the gradient along it; their product is positive."""

    moved: Vector
    turned: Vector
    product: float


def descend(
    evaluate: Callable[[Vector], Point],
    start: Point,
    scale: float,
    is_small: Callable[[float, Point], bool],
    most: int,
) -> tuple[Point, int, bool]:
    """Go down from a point; return the last one, the iterations and whether it has converged.

    The first step is `scale` times the gradient. It has converged when `is_small(fall, point)`
    holds of an iteration's fall, or when no step lowers the value.
    """
    point, steps = start, deque[_Step](maxlen=_REMEMBERED)
    for iteration in range(1, most + 1):
        direction = _direction(point.gradient, steps, scale)
        found = _search(evaluate, point, direction)
        if found is None and steps:
            # What was remembered misleads; the gradient itself does not.
            steps.clear()
            found = _search(evaluate, point, -scale * point.gradient)
        if found is None:
            return point, iteration, True
        moved, turned = found.x - point.x, found.gradient - point.gradient
        product = _dot(moved, turned)
        if product > np.finfo(np.float64).eps * _dot(turned, turned):
            steps.append(_Step(moved, turned, product))
        fall = point.value - found.value
        point = found
        if is_small(fall, point):
            return point, iteration, True
    return point, most, False


def _dot(a: Vector, b: Vector) -> float:
    """Sum products in an order that knows nothing of threads, as that of a BLAS may."""
    return float((a * b).sum())


def _direction(gradient: Vector, steps: Iterable[_Step], scale: float) -> Vector:
    """Return the way down that the curvature along the steps suggests (Nocedal, 1980)."""
    recent = list(steps)[::-1]
    direction = -gradient
    shares = []
    for step in recent:
        share = _dot(step.moved, direction) / step.product
        direction = direction - share * step.turned
        shares.append(share)
    if recent:
        scale = recent[0].product / _dot(recent[0].turned, recent[0].turned)
    direction = scale * direction
    for step, share in zip(recent[::-1], shares[::-1], strict=True):
        back = _dot(step.turned, direction) / step.product
        direction = direction + (share - back) * step.moved
    return direction


def _search(evaluate: Callable[[Vector], Point], point: Point, direction: Vector) -> Point | None:
    """Return a point down a direction that meets the conditions of Wolfe; None if none is lower.

    It halves and doubles (Lewis and Overton, 2013), and after many trials takes the best one.
    """
    slope = _dot(point.gradient, direction)
    if not slope < 0:
        return None
    low, high, length = 0.0, np.inf, 1.0
    best = None
    for _ in range(_MOST_TRIALS):
        found = evaluate(point.x + length * direction)
        if not found.value <= point.value + _LEAST_FALL * length * slope:
            high = length
        else:
            if best is None or found.value < best.value:
                best = found
            if _dot(found.gradient, direction) >= _MOST_SLOPE * slope:
                return found
            low = length
        length = (low + high) / 2 if high < np.inf else 2 * length
    return best if best is not None and best.value < point.value else None
