"""The census of assignment: every family of `families.py`, at the sizes and shapes of its users.

One call is a matrix, 64 of a kind are a batch. As one call every family is there at every size up
to 1000: as a square in both dtypes, and with twice as many columns in one of them and twice as many
rows in the other. Batches are of some of the sizes, and 3000 is for families that ties decide. All
contenders take the same array as it is, on one thread, and give the pairs of each problem; lapx's
functions compute in the dtype of the array where they can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import families
from cases_assignment import TOLERANCE, Assignment
from contest import (
    ONLY_SMALL,
    SELECTED,
    SHORT,
    Contender,
    Counted,
    Group,
    PeerFloor,
    Suite,
    calling,
)

BATCH = 64
# At least so many times the speed of the fastest peer: in a case; in one of a call so small that
# what surrounds the solver decides; and in the medians.
LEAST, LEAST_OF_SMALL, SMALL = 1.0, 1 / 1.5, 900
ROWS = "costs"
GROUPS = (Group("", "one call", 2.0, by_size=True), Group("batches", "a batch", 3.0))

SQUARE, WIDE, TALL = (1, 1), (1, 2), (2, 1)
# Sizes of the shorter side, by batch, dtype and shape. From one size to the next, wide and tall
# change their dtypes.
UP_TO_1000 = (5, 20, 60, 150, 400, 1000)
SIZES: dict[tuple[bool, str, tuple[int, int]], tuple[int, ...]] = {
    (False, "float64", SQUARE): UP_TO_1000,
    (False, "float32", SQUARE): UP_TO_1000,
    (False, "float64", WIDE): UP_TO_1000[::2],
    (False, "float64", TALL): UP_TO_1000[1::2],
    (False, "float32", WIDE): UP_TO_1000[1::2],
    (False, "float32", TALL): UP_TO_1000[::2],
    (True, "float64", SQUARE): (5, 60),
    (True, "float32", SQUARE): (20, 150),
    (True, "float64", WIDE): (20,),
    (True, "float32", TALL): (60,),
}
# There SciPy alone needs seconds for the shapes that are not square.
SQUARE_AT_1000 = ("low rank", "Machol–Wien")
LARGEST = 3000
AT_LARGEST = (
    "integers 0..99",
    "integers 0..9",
    "integers, 1 % 2³¹−1",
    "coin flips",
    "1 zero a row",
    "2 zeros a row",
    "8 zeros a row",
    "blocks 0/1e9",
    "constant",
    "1 − IoU, sparse",
)
DETR, DETR_SHAPE = "DETR 300x20", (300, 20)


def pairs_of_columns(columns: NDArray[np.int64]) -> tuple[Any, Any]:
    """Give pairs, from the column of each row."""
    rows = np.flatnonzero(columns >= 0)
    return rows, columns[rows]


def sums(cost: NDArray[Any], pairs: Any) -> NDArray[np.float64]:
    """Sum over the pairs of each problem the costs and their sizes; refuse what is no matching."""
    found = []
    for problem, (rows, columns) in zip(cost, pairs, strict=True):
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == min(problem.shape)
        values = problem[rows, columns].astype(np.float64)
        found.append((values.sum(), np.abs(values).sum()))
    return np.array(found)


def contender(
    name: str,
    dtype: str,
    load: Callable[[], Any],
    pairs: Callable[[Any], Any],
    isa: str | None = None,
) -> Contender:
    """Give a contender that takes an array; `pairs` gives those of each problem of its result."""

    def costs(cost: NDArray[Any], found: Any) -> NDArray[np.float64]:
        return sums(cost if cost.ndim == 3 else cost[None], pairs(found))

    return Contender(name, dtype, load, costs, lambda data: data["cost"], isa)


def contenders(dtype: str, *, batch: bool) -> tuple[Contender, ...]:
    """Give who solves one matrix, or a batch of them: SciPy, lapx's functions, and coalign."""

    def scipy(solve: Any) -> Any:
        return (lambda costs: [solve(cost) for cost in costs]) if batch else solve

    def lapx(name: str) -> Contender:
        options: dict[str, Any] = {"return_cost": False, "extend_cost": True}
        if name == "lapjvs":
            options["prefer_float32"] = dtype == "float32"
        if batch:
            name, options["n_threads"] = f"{name}_batch", 1

        def pairs(found: Any) -> Any:
            if name == "lapjv":
                return [pairs_of_columns(found[0])]
            return zip(*found, strict=True) if batch else [found]

        load = calling(f"lap.{name}", lambda solve: partial(solve, **options))
        return contender(f"{name}-{SHORT[dtype]}", dtype, load, pairs)

    def assign(cost: NDArray[Any]) -> NDArray[np.int64]:
        return coalign.assign(cost, threads=1).col_of_row

    return (
        contender(
            f"scipy-{SHORT[dtype]}",
            dtype,
            calling("scipy.optimize.linear_sum_assignment", scipy),
            lambda found: found if batch else [found],
        ),
        *map(lapx, ("lapjvx" if batch else "lapjv", "lapjvr", "lapjvh", "lapjvs")),
        contender(
            "assign",
            dtype,
            lambda: assign,
            lambda found: map(pairs_of_columns, found if batch else [found]),
            SELECTED,
        ),
    )


def case(family: str, size: int, rows: int, columns: int, dtype: str, *, batch: bool) -> Counted:
    """Give a case; its size is that of the table's column."""

    def make(seed: int, count: int) -> NDArray[np.float64]:
        made = families.problems(family, seed, count, rows, columns)
        return made if batch else made[0]

    *peers, own = contenders(dtype, batch=batch)
    least = LEAST if batch or rows * columns >= SMALL else LEAST_OF_SMALL
    shape = "" if family == DETR else f" {rows}x{columns}"
    count = {"count": BATCH if batch else 1}
    return Counted(
        f"{f'{BATCH} of ' if batch else ''}{family}{shape}, {dtype}",
        Assignment(make, count, {"count": min(3, count["count"])}, coalign.assign),
        tuple(peers),
        own=(own,),
        floors={dtype: (PeerFloor(least, tuple(peer.name for peer in peers)),)},
        family=family,
        group=GROUPS[batch].name,
        size=size,
        kind=(family, dtype, batch, rows / columns),
    )


def listed() -> Sequence[Counted]:
    """Give every case, family by family, from the smallest."""
    cases = []
    for family in families.FAMILIES:
        if family == DETR:
            kinds = ((b, d) for b in (False, True) for d in TOLERANCE)
            cases += [case(family, 20, *DETR_SHAPE, d, batch=b) for b, d in kinds]
            continue
        sizes = {key: list(values) for key, values in SIZES.items()}
        if family in AT_LARGEST:
            sizes[False, "float64", SQUARE].append(LARGEST)
        for (batch, dtype, (tall, wide)), values in sizes.items():
            cases += [
                case(family, n, tall * n, wide * n, dtype, batch=batch)
                for n in values
                if (not ONLY_SMALL or n <= 20)
                and not (n == 1000 and tall != wide and family in SQUARE_AT_1000)
            ]
    return cases


SUITE = Suite("census", listed(), TOLERANCE)
