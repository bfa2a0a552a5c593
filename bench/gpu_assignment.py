"""Assignment on a GPU, beside the CPU: no peer there takes CUDA arrays and is at hand.

    python bench/gpu_assignment.py --out file.json --seconds 200
    python bench/gpu_assignment.py --small      # the same cases, small, answers only

A cell is a cost. The floors are those of 208 problems of one size each: batches of the matching of
300 queries with 100, 300 and 600 objects, as detectors in training solve them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import coalign
from gpu_cases import Case, main, normals

# What is promised of a total, relative to the sum of |cost| over its pairs.
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}
# Proofs are made on one thread of the host: a few of them.
PROVED = 3


@dataclass(frozen=True)
class Size:
    """How many problems of how many rows and columns, at least so many, and how many to sample."""

    problems: int
    rows: int
    columns: int
    sample: int
    least: int | None = None
    max_cost: float | None = None


@dataclass(frozen=True)
class Assignment(Case):
    """A batch; of points in the plane the costs are distances, else they are noise."""

    points: bool = False
    least_times_cpu: ClassVar[float | None] = None

    def make(self, size: Size, seed: Any) -> dict[str, Any]:
        """Make costs; what lies past the lengths is NaN."""
        stem = [*self.name.encode(), int(self.dtype[-2:]), seed]
        shape = (size.problems, size.rows, size.columns)
        if self.points:
            p, q = (
                normals((size.problems, count, 2), self.dtype, [*stem, side])
                for side, count in enumerate(shape[1:])
            )
            x, y = (p[:, :, None, axis] - q[:, None, :, axis] for axis in (0, 1))
            data = {"cost": np.hypot(x, y)}
        else:
            data = {"cost": normals(shape, self.dtype, stem)}
        data["max_cost"] = size.max_cost
        if size.least is not None:
            rng = np.random.default_rng([*stem, 2])
            for axis, name in enumerate(("row_lengths", "col_lengths"), start=1):
                lengths = rng.integers(size.least, shape[axis] + 1, size.problems)
                past = np.arange(shape[axis]) >= lengths[:, None]
                np.swapaxes(data["cost"], 1, axis)[past] = np.nan
                # A list, which stays on the host: work is dealt out by size there.
                data[name] = lengths.tolist()
        return data

    def solve(self, data: dict[str, Any]) -> Any:
        """Call coalign."""
        return coalign.assign(**data)

    def cells(self, data: dict[str, Any]) -> int:
        """Count the costs."""
        if "row_lengths" in data:
            return int(np.dot(data["row_lengths"], data["col_lengths"]))
        return int(np.prod(data["cost"].shape))

    def sample(self, data: dict[str, Any], size: Size) -> tuple[dict[str, Any], Any]:
        """Choose problems."""
        rng = np.random.default_rng(5)
        chosen = np.sort(rng.choice(size.problems, min(size.sample, size.problems), replace=False))
        some = {"cost": data["cost"][chosen], "max_cost": data["max_cost"]}
        for name in ("row_lengths", "col_lengths"):
            if name in data:
                some[name] = np.asarray(data[name])[chosen].tolist()
        return some, chosen

    def check(
        self,
        device: Any,
        data: dict[str, Any],
        found: Any,
        sample: dict[str, Any],
        chosen: Any,
        wanted: Any,
    ) -> float:
        """Hold matchings to what they are, totals to the CPU's, and prove some of them."""
        status = device.get(found.status)
        assert (status == coalign.Status.OK).all(), f"status {set(status.tolist())}"
        total, columns = device.get(found.total), device.get(found.col_of_row)
        _, n, m = data["cost"].shape
        shorter = np.minimum(
            data.get("row_lengths", [n] * len(total)), data.get("col_lengths", [m] * len(total))
        )
        error = 0.0
        for p, pairs in enumerate(found.pairs()):
            rows, mates = pairs[:, 0], pairs[:, 1]
            assert np.unique(mates).size == mates.size, "a column matched twice"
            assert (columns[p, rows] == mates).all(), "pairs that are none"
            costs = data["cost"][p, rows, mates].astype(np.float64)
            assert total[p] == sum(costs.tolist()), "a total that is not that of the pairs"
            if data["max_cost"] is None:
                assert len(pairs) == shorter[p], "rows that have no column"
        limit = data["max_cost"] or 0.0
        for at, p in enumerate(chosen.tolist()):
            mine, theirs = matched_rows(columns[p]), matched_rows(wanted.col_of_row[at])
            gain = total[p] - limit * len(mine), float(wanted.total[at]) - limit * len(theirs)
            paired = np.abs(sample["cost"][at, theirs, wanted.col_of_row[at][theirs]])
            scale = float(paired.astype(np.float64).sum()) + abs(limit) * len(theirs)
            error = max(error, abs(gain[0] - gain[1]) / max(scale, 1e-300))
        assert error <= TOLERANCE[self.dtype], f"off from the CPU by {error}"
        if "row_lengths" not in data:
            for p in range(min(PROVED, len(total))):
                self.prove(device, found, data["cost"][p], p)
        return error

    def prove(self, device: Any, found: Any, cost: np.ndarray, p: int) -> None:
        """See that the duals bound the total."""
        one = coalign.Assignment(
            *(
                device.get(part)[p]
                for part in (
                    found.col_of_row,
                    found.row_of_col,
                    found.total,
                    found.row_dual,
                    found.col_dual,
                    found.status,
                )
            ),
            found.maximize,
            found.max_cost,
        )
        gap = float(one.gap(cost)) / float(np.abs(cost).sum(dtype=np.float64))
        assert abs(gap) <= TOLERANCE[self.dtype], f"a gap of {gap} of the costs"


def matched_rows(col_of_row: Any) -> Any:
    """Return the rows that are matched."""
    return np.flatnonzero(np.asarray(col_of_row) >= 0)


def floor(rows: int, columns: int, milliseconds: float) -> float:
    """Return the costs a second of 208 problems in that time."""
    return 208 * rows * columns / (1e-3 * milliseconds)


CASES = (
    Assignment(
        "208 of 300 x 100",
        Size(208, 300, 100, 208),
        Size(4, 15, 5, 4),
        floor=floor(300, 100, 1.0),
    ),
    Assignment(
        "208 of 300 x 300",
        Size(208, 300, 300, 208),
        Size(4, 40, 40, 4),
        floor=floor(300, 300, 5.0),
    ),
    Assignment(
        "208 of 300 x 600",
        Size(208, 300, 600, 208),
        Size(2, 9, 530, 2),
        floor=floor(300, 600, 2.5),
    ),
    Assignment(
        "208 of 300 x 300, points", Size(208, 300, 300, 208), Size(3, 33, 33, 3), points=True
    ),
    Assignment("4000 of 300 x 300", Size(4000, 300, 300, 400), Size(6, 20, 20, 6)),
    Assignment(
        "4000 of 1 to 300 by 1 to 300",
        Size(4000, 300, 300, 400, least=1),
        Size(9, 40, 70, 9, least=1),
    ),
    Assignment("20,000 of 20 x 40", Size(20_000, 20, 40, 5000), Size(7, 6, 12, 7)),
    Assignment(
        "1000 of 300 x 300, limit",
        Size(1000, 300, 300, 400, max_cost=-2.5),
        Size(5, 30, 30, 5, max_cost=-1.5),
    ),
    Assignment("64 of 1000 x 1000", Size(64, 1000, 1000, 32), Size(2, 8, 520, 2)),
    Assignment("132 of 2000 x 2000", Size(132, 2000, 2000, 16), Size(2, 10, 600, 2)),
    Assignment(
        "208 of 300 x 300, float64",
        Size(208, 300, 300, 208),
        Size(4, 40, 40, 4),
        dtype="float64",
    ),
)


if __name__ == "__main__":
    sys.exit(main(CASES))
