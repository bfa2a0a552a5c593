"""Optimal transport on a line: both sides are sorted, and mass keeps its order."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ._arrays import Array, compute_dtype
from ._closed_form import Items, Problems, blocks, cut, delivered, is_plain, take_items
from ._scalars import take_real

# A comparison of a sort, and what follows it, for each of about twenty levels.
_WORK = 20
# Squares of distances between positions within this do not overflow.
_FAR = 1e15
# Couplings of so many positions are kept: they take longer to make than all else.
_MOST_KEPT = 1000
_MASS_TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def cost(x: Any, y: Any, a: Any, b: Any, p: Any) -> Any:
    """Return what `coalign.wasserstein_1d` does."""
    if a is None and b is None and type(p) in (int, float) and 1 <= p <= 2:
        found = _alone(x, y, p)
        if found is not None:
            return found
    power = take_real(p, "p", least=1)
    points = [take_items(x, "x", 1), take_items(y, "y", 1)]
    weights = [take_items(w, name, 1) for w, name in ((a, "a"), (b, "b")) if w is not None]
    problems = Problems([*points, *weights])
    problems.check()
    for shapes in problems.shapes():
        _require_shapes(shapes)
    for side in weights:
        side.require(lambda array: array >= 0, "weights of at least 0")
    dtype = compute_dtype(*points[0].arrays, *points[1].arrays)
    found = np.empty(len(problems))
    with np.errstate(over="ignore"):
        masses = _masses(weights, dtype)
        for places, (xs, ys, *given) in problems.by_shape():
            solved = found[places]
            sizes = xs.shape[1], ys.shape[1]
            work = _WORK * solved.size * sum(sizes)
            if given:
                named = dict(zip((side.name for side in weights), given, strict=True))
                sides = [xs, ys]
                sides += [
                    named.get(name, np.ones((1, size)))
                    for name, size in zip("ab", sizes, strict=True)
                ]
                for part in blocks(solved.size, work):
                    x_part, y_part, a_part, b_part = cut(sides, part)
                    solved[part] = _weighted(x_part, y_part, a_part, b_part, power)
            else:
                coupling = _even_coupling(*sizes)
                for part in blocks(solved.size, work):
                    x_part, y_part = (np.sort(side, -1) for side in cut([xs, ys], part))
                    solved[part] = _moved(x_part, y_part, *coupling, power)
            found[places] = solved
        found *= masses
    return delivered("wasserstein_1d", found, problems, dtype)


def _alone(x: Any, y: Any, power: float) -> Any:
    """Return the cost of two plain samples, to the bits of any other way; None for what is none.

    A call on ten positions takes a sixth of what it takes by way of batches.
    """
    if not (is_plain(x, 1) and is_plain(y, 1) and x.dtype == y.dtype and x.size and y.size):
        return None
    x_sorted, y_sorted = x.copy(), y.copy()
    x_sorted.sort()
    y_sorted.sort()
    # Sorted, NaN comes last, and what may overflow lies at the ends.
    if not all(each[0] > -_FAR and each[-1] < _FAR for each in (x_sorted, y_sorted)):
        return None
    coupling = _even_coupling if x.size + y.size > _MOST_KEPT else _kept_coupling
    x_place, y_place, widths = coupling(x.size, y.size)
    sides = x_sorted[np.newaxis], y_sorted[np.newaxis]
    (found,) = np.add.reduce(_distances(*sides, x_place, y_place, power) * widths, -1)
    return found if x.dtype == np.float64 else x.dtype.type(found)


def _require_shapes(shapes: list[tuple[str, tuple[int, ...]]]) -> None:
    """Check that there are positions, and a weight for each."""
    positions, weights = shapes[:2], shapes[2:]
    for name, shape in positions:
        if shape == (0,):
            raise ValueError(f"{name}: expected at least one position, got shape (0,)")
    for name, shape in weights:
        beside, wanted = positions["ab".index(name[0])]
        if shape != wanted:
            raise ValueError(
                f"{name}: expected {wanted[0]} weights, one for each position of {beside}, "
                f"got {shape[0]}"
            )


def _masses(weights: list[Items], dtype: np.dtype[Any]) -> Any:
    """Return the mass of each problem, which both sides have to agree on; 1 without weights."""
    masses = []
    for side in weights:
        parts = [np.ascontiguousarray(array, np.float64).sum(-1) for _, array in side.named()]
        mass = np.array(parts) if isinstance(side.data, list) else np.atleast_1d(parts[0])
        is_mass = (mass > 0) & np.isfinite(mass)
        if not is_mass.all():
            i = int(np.argmin(is_mass))
            place = f" at index ({i},)" if side.is_batch else ""
            raise ValueError(
                f"{side.name}: expected weights with a positive, finite sum, got {mass[i]}{place}"
            )
        masses.append(mass)
    if len(masses) < 2:
        return masses[0] if masses else 1
    first, second = masses
    is_apart = np.abs(first - second) > _MASS_TOLERANCE[dtype.name] * np.maximum(first, second)
    if is_apart.any():
        i = int(np.argmax(is_apart))
        given = [float(mass[i if len(mass) > 1 else 0]) for mass in masses]
        place = f" at index ({i},)" if any(side.is_batch for side in weights) else ""
        raise ValueError(f"a and b: expected equal masses, got {given[0]} and {given[1]}{place}")
    return first


def _weighted(x: Array, y: Array, a: Array, b: Array, power: float) -> Array:
    """Return the costs of a few problems with weights, for a mass of 1."""
    sides, levels = [], []
    for points, weights in ((x, a), (y, b)):
        order = np.argsort(points, -1)
        sides.append(_taken(points, order))
        summed = np.cumsum(_taken(weights, order), -1, dtype=np.float64)
        levels.append(summed / summed[:, -1:])
    if len(levels[0]) != len(levels[1]):
        rows = max(map(len, levels))
        levels = [np.broadcast_to(level, (rows, level.shape[1])) for level in levels]
    return _moved(sides[0], sides[1], *_coupling(levels[0], levels[1]), power)


def _even_coupling(n: int, m: int) -> tuple[Array | None, Array | None, Array]:
    """Return the coupling of positions that all have the same mass, which no problem changes."""
    if n == m:
        return None, None, np.full((1, 1), 1 / n)
    # In units of 1 / nm all levels are integers, so that equal ones are found equal.
    steps = (np.arange(m, n * m + 1, m), np.arange(n, n * m + 1, n))
    x_place, y_place, widths = _coupling(*(step[np.newaxis] for step in steps))
    return x_place, y_place, widths / (n * m)


_kept_coupling = lru_cache(maxsize=32)(_even_coupling)


def _coupling(x_levels: Array, y_levels: Array) -> tuple[Array, Array, Array]:
    """Return which position of x goes to which of y, and how much of the mass.

    The levels are the mass up to each position; between two levels one pair is joined.
    """
    n, m = x_levels.shape[1], y_levels.shape[1]
    levels = np.concatenate([x_levels, y_levels], -1)
    # Two runs that are sorted: a stable sort merges them.
    order = np.argsort(levels, -1, kind="stable")
    widths = np.diff(_taken(levels, order), prepend=0, axis=-1)
    passed = order < n
    x_place = np.cumsum(passed, -1) - passed
    y_place = np.arange(n + m) - x_place
    return np.minimum(x_place, n - 1), np.minimum(y_place, m - 1), widths


def _moved(
    x: Array,
    y: Array,
    x_place: Array | None,
    y_place: Array | None,
    widths: Array,
    power: float,
) -> Array:
    """Return the sum of the masses that move, times the distances to a power."""
    distances = _distances(x, y, x_place, y_place, power)
    with np.errstate(invalid="ignore"):
        found = (distances * widths).sum(-1)
    if not np.isfinite(found).all():
        # Where no mass moves, no distance counts, infinite or not.
        found = np.where(widths > 0, distances * np.where(widths > 0, widths, 1), 0).sum(-1)
    return np.asarray(found)


def _distances(
    x: Array, y: Array, x_place: Array | None, y_place: Array | None, power: float
) -> Array:
    """Return the distances between the positions that are joined, to a power."""
    if x_place is not None and y_place is not None:
        x, y = _taken(x, x_place), _taken(y, y_place)
    distances = np.abs(x.astype(np.float64, order="C") - y.astype(np.float64, order="C"))
    if power == 2:
        distances *= distances
    elif power != 1:
        distances **= power
    return np.asarray(distances)


def _taken(rows: Array, places: Array) -> Array:
    """Take other places of each row; one row, or one row of places, serves for all."""
    if len(rows) == 1:
        return np.asarray(rows[0][places])
    return np.asarray(rows[np.arange(len(rows))[:, np.newaxis], places])
