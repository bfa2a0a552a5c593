"""The kinds of costs that users bring to assignment, which the census times.

Every family makes one problem of any shape from a random generator: the same state gives the same
numbers. p, q and a, b are of the rows and the columns; U and N are uniform and normal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Make: TypeAlias = Callable[[np.random.Generator, int, int], Array]

# What users write for "never" in a matrix of integers.
INT32_MAX = 2.0**31 - 1
DETR_CLASSES = 92


def uniform(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij ~ U(0, 1)."""
    return random.random((rows, columns))


def integers(random: np.random.Generator, rows: int, columns: int, *, most: int) -> Array:
    """c_ij uniform over 0 .. most."""
    return random.integers(0, most + 1, (rows, columns)).astype(np.float64)


def zeros_a_row(random: np.random.Generator, rows: int, columns: int, *, count: int) -> Array:
    """c_ij = 0 in ``count`` random places of each row, 1 elsewhere."""
    cost = np.ones((rows, columns))
    count = min(count, columns)
    # Draws are repeated in the few rows that drew a column twice.
    places = random.integers(0, columns, (rows, count))
    if 4 * count > columns:
        places = np.argsort(random.random((rows, columns)), axis=1)[:, :count]
    while (twice := (np.diff(np.sort(places, axis=1)) == 0).any(axis=1)).any():
        places[twice] = random.integers(0, columns, (int(twice.sum()), count))
    np.put_along_axis(cost, places, 0.0, axis=1)
    return cost


def ranks(random: np.random.Generator, rows: int, columns: int) -> Array:
    """Each row is a permutation of 0 .. columns - 1."""
    return random.permuted(np.tile(np.arange(float(columns)), (rows, 1)), axis=1)


def constant(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = 1."""
    return np.ones((rows, columns))


def low_rank(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = sum over k < 4 of a_ik b_jk, with a, b ~ U(0, 1)."""
    return random.random((rows, 4)) @ random.random((4, columns))


def machol_wien(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = i j, counted from 1."""
    return np.outer(np.arange(1.0, rows + 1), np.arange(1.0, columns + 1))


def line(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = |p_i - q_j|, with p, q ~ U(0, 1)."""
    return np.abs(random.random((rows, 1)) - random.random(columns))


def distances(p: Array, q: Array) -> Array:
    """Give the distances of points in the plane."""
    return np.hypot(p[:, None, 0] - q[:, 0], p[:, None, 1] - q[:, 1])


def plane(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = |p_i - q_j|, with p, q ~ U(0, 1)^2."""
    return distances(random.random((rows, 2)), random.random((columns, 2)))


def cosine(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = 1 - p_i q_j / (|p_i| |q_j|), with p, q ~ N(0, 1)^128."""
    p, q = random.standard_normal((rows, 128)), random.standard_normal((columns, 128))
    p /= np.linalg.norm(p, axis=1, keepdims=True)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    return 1 - p @ q.T


def duplicates(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = |p_i - q_j|, for p and q among 2 + max(rows, columns) / 10 points of U(0, 1)^2."""
    places = random.random((2 + max(rows, columns) // 10, 2))
    p, q = (places[random.integers(0, len(places), count)] for count in (rows, columns))
    return distances(p, q)


def boxes(random: np.random.Generator, count: int, least: float, most: float) -> Array:
    """Give the corners of boxes with centres in the unit square, and sides from least to most."""
    centres, sides = random.random((count, 2)), random.uniform(least, most, (count, 2))
    return np.hstack((centres - sides / 2, centres + sides / 2))


def area(corners: Array) -> Array:
    """Give the areas of boxes, 0 where a side is negative."""
    sides = np.maximum(corners[..., 2:] - corners[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def overlap(a: Array, b: Array) -> tuple[Array, Array]:
    """Give intersection over union of every two boxes, and the union."""
    a = a[:, None]
    both = np.concatenate((np.maximum(a[..., :2], b[:, :2]), np.minimum(a[..., 2:], b[:, 2:])), -1)
    common = area(both)
    union = area(a) + area(b) - common
    return common / union, union


def generalised(a: Array, b: Array, iou: Array, union: Array) -> Array:
    """Give the generalised IoU: less the share of the hull that neither of two boxes covers."""
    a = a[:, None]
    low, high = np.minimum(a[..., :2], b[:, :2]), np.maximum(a[..., 2:], b[:, 2:])
    hull = area(np.concatenate((low, high), axis=-1))
    return iou - (hull - union) / hull


def overlapping(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = 1 - IoU of boxes with sides of U(0.5, 1) in the unit square: most of them overlap."""
    return 1 - overlap(boxes(random, rows, 0.5, 1), boxes(random, columns, 0.5, 1))[0]


def apart(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = 1 - IoU of boxes that each overlap about 2 of the others: most costs are exactly 1.

    The sides are U(0.4, 1.2) / sqrt(max(rows, columns)).
    """
    sides = np.array((0.4, 1.2)) / np.sqrt(max(rows, columns))
    return 1 - overlap(boxes(random, rows, *sides), boxes(random, columns, *sides))[0]


def gated(random: np.random.Generator, rows: int, columns: int, *, never: float) -> Array:
    """c_ij = |p_i - q_j| for the points of `plane`, and `never` beyond a distance.

    About 16 points are within it. Where `never` is infinite, each point of the shorter side lies
    near a point of its own of the longer side, so that there is a matching.
    """
    p, q = random.random((rows, 2)), random.random((columns, 2))
    gate = np.sqrt(16 / (np.pi * max(rows, columns)))
    if np.isinf(never):
        short, long = (p, q) if rows <= columns else (q, p)
        near = gate * random.uniform(-0.5, 0.5, short.shape)
        short[:] = random.permutation(long)[: len(short)] + near
    cost = distances(p, q)
    return np.where(cost > gate, never, cost)


def with_sentinels(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij uniform over 0 .. 99, except that one in a hundred is 2^31 - 1."""
    cost = integers(random, rows, columns, most=99)
    cost[random.random(cost.shape) < 0.01] = INT32_MAX
    return cost


def lognormal(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = exp(N(0, 1))."""
    return random.lognormal(size=(rows, columns))


def triangular(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij ~ U(0, 1) on and below the diagonal, 0 above."""
    return np.tril(random.random((rows, columns)))


def blocks(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = 0 where row and column are of the same of 4 random classes, 1e9 elsewhere."""
    a, b = random.integers(0, 4, rows), random.integers(0, 4, columns)
    return np.where(a[:, None] == b, 0.0, 1e9)


def repeated_rows(random: np.random.Generator, rows: int, columns: int) -> Array:
    """Each row is one of 2 + rows / 10 rows of U(0, 1)."""
    distinct = random.random((2 + rows // 10, columns))
    return distinct[random.integers(0, len(distinct), rows)]


def detr(random: np.random.Generator, rows: int, columns: int) -> Array:
    """c_ij = -P_i(class of j) + 5 |p_i - q_j|_1 - 2 GIoU(p_i, q_j), as DETR matches its queries.

    P is the softmax of N(0, 1) over 92 classes; the boxes p and q have sides of U(0.05, 0.5).
    """
    scores = np.exp(random.standard_normal((rows, DETR_CLASSES)))
    scores /= scores.sum(axis=1, keepdims=True)
    classes = random.integers(0, DETR_CLASSES - 1, columns)
    p, q = boxes(random, rows, 0.05, 0.5), boxes(random, columns, 0.05, 0.5)
    giou = generalised(p, q, *overlap(p, q))

    def centred(corners: Array) -> Array:
        return np.hstack(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]))

    l1 = np.abs(centred(p)[:, None] - centred(q)).sum(axis=-1)
    return -scores[:, classes] + 5 * l1 - 2 * giou


# In the order of the tables.
FAMILIES: dict[str, Make] = {
    "uniform": uniform,
    "lognormal": lognormal,
    "low rank": low_rank,
    "Machol–Wien": machol_wien,
    "triangular": triangular,
    "rows repeated": repeated_rows,
    "integers 0..99": partial(integers, most=99),
    "integers 0..9": partial(integers, most=9),
    "integers, 1 % 2³¹−1": with_sentinels,
    "permuted ranks": ranks,
    "coin flips": partial(integers, most=1),
    "1 zero a row": partial(zeros_a_row, count=1),
    "2 zeros a row": partial(zeros_a_row, count=2),
    "8 zeros a row": partial(zeros_a_row, count=8),
    "blocks 0/1e9": blocks,
    "constant": constant,
    "distance on a line": line,
    "points in the plane": plane,
    "duplicate points": duplicates,
    "128-D cosine": cosine,
    "1 − IoU, dense": overlapping,
    "1 − IoU, sparse": apart,
    "gated at 1e5": partial(gated, never=1e5),
    "gated at 1e9": partial(gated, never=1e9),
    "gated at inf": partial(gated, never=np.inf),
    "DETR 300x20": detr,
}


def problems(family: str, seed: int, count: int, rows: int, columns: int) -> Array:
    """Give problems of a family, shape (count, rows, columns)."""
    streams = np.random.SeedSequence((crc32(family.encode()), seed, rows, columns))
    make = FAMILIES[family]
    return np.stack([make(np.random.default_rng(s), rows, columns) for s in streams.spawn(count)])
