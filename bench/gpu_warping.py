"""Dynamic time warping on a GPU, beside the CPU and a way to do it with PyTorch's operations.

    python bench/gpu_warping.py --out file.json --seconds 200
    python bench/gpu_warping.py --small      # the same cases, small, answers only

The peer computes one anti-diagonal of every pair's lattice after the other, which is what
whole-array operations allow: PyTorch has no operation of its own for this.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import coalign
from gpu_cases import Case, clocked, main, normals

# What is promised of series whose local costs vary, relative to the cost; the data here are noise.
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


@dataclass(frozen=True)
class Size:
    """How many series of how many frames, the longest and the shortest; and how many to sample."""

    x: int
    y: int
    frames: int
    sample: int
    dim: int = 1
    shortest: int | None = None
    window: int | None = None


@dataclass(frozen=True)
class Warping(Case):
    """Pairs, one by one or all of two collections."""

    path: bool = False
    all_pairs: bool = False

    def make(self, size: Size, seed: Any) -> dict[str, Any]:
        """Make noise; of series shorter than the room they have, what follows is NaN."""
        # Neither cases nor sets share their noise.
        stem = [*self.name.encode(), int(self.dtype[-2:]), seed]
        data: dict[str, Any] = {
            name: normals((count, size.frames, size.dim), self.dtype, [*stem, side])
            for side, (name, count) in enumerate((("x", size.x), ("y", size.y)))
        }
        data["window"] = size.window
        if size.shortest is not None:
            rng = np.random.default_rng([*stem, 2])
            for name in ("x", "y"):
                lengths = rng.integers(size.shortest, size.frames + 1, len(data[name]))
                data[name][np.arange(size.frames) >= lengths[:, None]] = np.nan
                # A list, which stays on the host: work is dealt out by length there.
                data[f"{name}_lengths"] = lengths.tolist()
        return data

    def solve(self, data: dict[str, Any]) -> Any:
        """Call coalign."""
        data = dict(data)
        x, y = data.pop("x"), data.pop("y")
        if self.all_pairs:
            return coalign.dtw_cdist(x, y, **data)
        return coalign.dtw(x, y, path=self.path, **data)

    def cells(self, data: dict[str, Any]) -> int:
        """Count the lattice cells inside the window."""
        (count, n, _), (others, m, _) = data["x"].shape, data["y"].shape
        if "x_lengths" in data:
            return int(np.dot(data["x_lengths"], data["y_lengths"]))
        rows, r = np.arange(n), data["window"]
        if r is None:
            inside = n * m
        else:
            inside = int((np.minimum(m, rows + r + 1) - np.maximum(0, rows - r)).sum())
        return inside * (count * others if self.all_pairs else count)

    def sample(self, data: dict[str, Any], size: Size) -> tuple[dict[str, Any], Any]:
        """Choose pairs; of two collections, a few series of the one that has more than one."""
        rng = np.random.default_rng(5)
        sides = ("x", "y")
        if self.all_pairs:
            sides = ("x",) if size.x > 1 else ("y",)
        count = len(data[sides[0]])
        chosen = np.sort(rng.choice(count, min(size.sample, count), replace=False))
        some = dict(data)
        for side in sides:
            some[side] = data[side][chosen]
            if f"{side}_lengths" in data:
                some[f"{side}_lengths"] = np.asarray(data[f"{side}_lengths"])[chosen].tolist()
        return some, (np.s_[:, chosen] if sides == ("y",) else chosen)

    def check(
        self,
        device: Any,
        data: dict[str, Any],
        found: Any,
        sample: dict[str, Any],
        chosen: Any,
        wanted: Any,
    ) -> float:
        """Hold costs and paths to what they are, and to the CPU's."""
        cost = device.get(found if self.all_pairs else found.cost)
        assert cost.dtype == self.dtype, cost.dtype
        assert (np.isfinite(cost) & (cost > 0)).all(), "costs of noise that are not above 0"
        if not self.all_pairs:
            status = device.get(found.status)
            assert (status == coalign.Status.OK).all(), f"status {set(status.tolist())}"
        error = largest_error(cost[chosen], wanted if self.all_pairs else wanted.cost)
        assert error <= TOLERANCE[self.dtype], f"off from the CPU by {error}"
        if not self.path:
            return error
        i, j = device.get(found.x_index), device.get(found.y_index)
        length = device.get(found.path_length)
        n, m = data["x"].shape[1], data["y"].shape[1]
        assert (length >= max(n, m)).all(), "paths too short to lead from end to end"
        on_path = np.arange(n + m - 1) < length[:, None]
        ends = np.arange(len(length)), length - 1
        assert not i[:, 0].any(), "paths that do not begin at the first frame of x"
        assert not j[:, 0].any(), "paths that do not begin at the first frame of y"
        assert (i[ends] == n - 1).all(), "paths that do not end at the last frame of x"
        assert (j[ends] == m - 1).all(), "paths that do not end at the last frame of y"
        assert (i[~on_path] == -1).all(), "frames past the end of a path"
        assert (j[~on_path] == -1).all(), "frames past the end of a path"
        down, right = np.diff(i)[on_path[:, 1:]], np.diff(j)[on_path[:, 1:]]
        assert ((down | right) == 1).all(), "steps other than the three"
        for p, at in enumerate(chosen.tolist()):
            row, column = i[at, : length[at]], j[at, : length[at]]
            apart = sample["x"][p, row].astype(np.float64) - sample["y"][p, column]
            along = largest_error(cost[at], (apart**2).sum())
            assert along <= TOLERANCE[self.dtype], f"a cost off from its path's by {along}"
        return error

    def time_peer(self, sample: dict[str, Any], wanted: Any) -> tuple[str, float] | None:
        """Time the same lattices by anti-diagonals, where they are all of one shape."""
        whole = sample["window"] is None and "x_lengths" not in sample
        if self.all_pairs or self.path or not whole:
            return None
        try:
            import torch
        except ImportError:
            return None
        if not torch.cuda.is_available():
            return None
        x, y = (torch.from_numpy(sample[side]).cuda() for side in ("x", "y"))

        def solve() -> Any:
            costs = by_antidiagonals(x, y)
            torch.cuda.synchronize()
            return costs

        solve()
        seconds, costs = min((clocked(solve) for _ in range(3)), key=lambda run: run[0])
        error = largest_error(costs.cpu().numpy(), wanted.cost)
        assert error <= TOLERANCE[self.dtype], f"the peer is off by {error}"
        return "torch, by anti-diagonals", self.cells(sample) / seconds


def largest_error(found: Any, wanted: Any) -> float:
    """Return the largest difference relative to what is wanted."""
    wanted = np.asarray(wanted, np.float64)
    return float((np.abs(np.asarray(found, np.float64) - wanted) / wanted).max())


def by_antidiagonals(x: Any, y: Any) -> Any:
    """Compute the costs of pairs (B, N, D), (B, M, D) of tensors with whole-array operations.

    Row i of a diagonal is kept at i + 1, and the batch is the last axis, so that every operation
    reads and writes memory in one piece.
    """
    import torch

    n, m, dim = x.shape[1], y.shape[1], x.shape[2]
    x = x.permute(1, 2, 0).contiguous()
    backwards = y.flip(1).permute(1, 2, 0).contiguous()
    diagonals = [torch.full((n + 1, x.shape[2]), torch.inf, dtype=x.dtype, device=x.device)]
    diagonals += [diagonals[0].clone(), diagonals[0].clone()]
    before, last, now = diagonals
    before[0] = 0
    for k in range(n + m - 1):
        top, bottom = max(0, k - m + 1), min(n - 1, k) + 1
        # Series y runs backwards along the diagonal.
        shift = m - 1 - k
        apart = x[top:bottom] - backwards[shift + top : shift + bottom]
        best = torch.minimum(last[top:bottom], last[top + 1 : bottom + 1])
        torch.minimum(best, before[top:bottom], out=best)
        if dim == 1:
            torch.addcmul(best, apart[:, 0], apart[:, 0], out=now[top + 1 : bottom + 1])
        else:
            torch.add(best, apart.square_().sum(1), out=now[top + 1 : bottom + 1])
        # What the next two read beside the diagonal is outside the lattice.
        now[top] = torch.inf
        if bottom < n:
            now[bottom + 1] = torch.inf
        before, last, now = last, now, before
    return last[n]


CASES = (
    Warping(
        "200,000 pairs of 1024",
        Size(200_000, 200_000, 1024, 16_000),
        Size(9, 9, 70, 5),
        floor=2.5e12,
    ),
    Warping(
        "200,000 pairs of 1024, band 10 %",
        Size(200_000, 200_000, 1024, 16_000, window=102),
        Size(9, 9, 70, 5, window=6),
        floor=1.5e12,
    ),
    Warping(
        "one query, 1,000,000 of 128",
        Size(1, 1_000_000, 128, 400_000),
        Size(1, 50, 40, 20),
        floor=2.0e12,
        all_pairs=True,
    ),
    Warping(
        "all pairs, 2000 x 2000 of 512",
        Size(2000, 2000, 512, 32),
        Size(5, 7, 50, 3),
        all_pairs=True,
    ),
    Warping(
        "5000 pairs of 1024, with path",
        Size(5000, 5000, 1024, 1000),
        Size(5, 5, 45, 3),
        path=True,
    ),
    Warping(
        "20,000 pairs of 256, D=3",
        Size(20_000, 20_000, 256, 8000, dim=3),
        Size(5, 5, 30, 3, dim=3),
    ),
    Warping(
        "20,000 pairs of 256, D=64",
        Size(20_000, 20_000, 256, 4000, dim=64),
        Size(3, 3, 20, 2, dim=64),
    ),
    Warping(
        "50,000 pairs of 128 to 1024",
        Size(50_000, 50_000, 1024, 16_000, shortest=128),
        Size(12, 12, 60, 6, shortest=5),
    ),
    Warping(
        "50,000 pairs of 1024, float64",
        Size(50_000, 50_000, 1024, 8000),
        Size(9, 9, 70, 5),
        dtype="float64",
    ),
    Warping(
        "50,000 pairs of 1024, band 10 %, float64",
        Size(50_000, 50_000, 1024, 8000, window=102),
        Size(9, 9, 70, 5, window=6),
        dtype="float64",
    ),
    Warping(
        "one query, 250,000 of 128, float64",
        Size(1, 250_000, 128, 100_000),
        Size(1, 50, 40, 20),
        dtype="float64",
        all_pairs=True,
    ),
    Warping(
        "all pairs, 1000 x 1000 of 512, float64",
        Size(1000, 1000, 512, 32),
        Size(5, 7, 50, 3),
        dtype="float64",
        all_pairs=True,
    ),
    Warping(
        "5000 pairs of 1024, with path, float64",
        Size(5000, 5000, 1024, 1000),
        Size(5, 5, 45, 3),
        dtype="float64",
        path=True,
    ),
)


if __name__ == "__main__":
    sys.exit(main(CASES))
