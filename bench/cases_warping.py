"""Dynamic time warping: what is timed, beside which peers, and what it is held to."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import instances
from coalign._steps import PATTERNS
from contest import (
    SELECTED,
    Case,
    Contender,
    Data,
    Floors,
    Get,
    Gpu,
    OwnFloor,
    PeerFloor,
    Problem,
    Suite,
)
from peers_warping import (
    aeon_cdist,
    aeon_pair,
    aeon_path,
    dtaidistance_cdist,
    dtaidistance_pair,
    dtaidistance_path,
    dtw_python_pair,
    torch_pairs,
    tslearn_cdist,
)

# Relative to the cost. float64: what coalign promises, and peers keep as well, since all of them
# add the same terms. float32: the promise at T = 10,000 where local costs vary.
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


@dataclass(frozen=True, eq=False)
class Warping(Problem):
    """One pair of series, a batch of pairs, or all pairs of one or two collections."""

    @property
    def _all_pairs(self) -> bool:
        return self.call is coalign.dtw_cdist

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Name the series x and y, of one dtype."""
        if not isinstance(instance, dict):
            series = instance if isinstance(instance, tuple) else (instance,)
            instance = dict(zip("xy", series, strict=False))
        series = {side: as_dtype(instance[side], dtype) for side in "xy" if side in instance}
        return {**instance, **series, **self.options}

    def solve(self, data: Data, **options: Any) -> Any:
        """Call with the series in front."""
        series = [data[side] for side in "xy" if side in data]
        named = {name: value for name, value in data.items() if name not in ("x", "y")}
        return self.call(*series, **named, **options)

    def cells(self, data: Data) -> int:
        """Count the lattice cells inside the window; within a collection, each pair once."""
        n, m = (lengths(data, side) for side in "xy")
        if not self._all_pairs:
            pairs = Counter(zip(n, m, strict=True))
        elif "y" not in data:
            pairs = Counter(itertools.combinations(n, 2))
        else:
            pairs = Counter()
            for (a, rows), (b, columns) in itertools.product(*(Counter(k).items() for k in (n, m))):
                pairs[a, b] = rows * columns
        return sum(inside(*pair, data.get("window")) * count for pair, count in pairs.items())

    def _cost(self, found: Any) -> Any:
        return found if self._all_pairs else found.cost

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the costs."""
        return np.asarray(self._cost(found), np.float64)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that a path is right, and that asking for it changes nothing."""
        if data.get("path"):
            x, y = data["x"], data["y"]
            check_path(x, y, found.x_index, found.y_index, found.cost, rtol)
            assert found.cost == coalign.dtw(x, y, window=data.get("window"), threads=1).cost

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose pairs; of two collections, a few series of the one that has more than one."""
        sides = "xy"
        if self._all_pairs:
            sides = "x" if len(data["x"]) > 1 else "y"
        among = len(data[sides[0]])
        chosen = np.random.default_rng(5).choice(among, min(count, among), replace=False)
        chosen.sort()
        some = dict(data)
        for side in sides:
            some[side] = data[side][chosen]
            if f"{side}_lengths" in data:
                some[f"{side}_lengths"] = np.asarray(data[f"{side}_lengths"])[chosen].tolist()
        return some, (np.s_[:, chosen] if sides == "y" else chosen)

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold costs and paths to what they are, and costs to the CPU's."""
        x, y = data["x"], data["y"]
        cost = get(self._cost(found))
        assert cost.dtype == x.dtype, cost.dtype
        assert (np.isfinite(cost) & (cost > 0)).all(), "costs of noise that are not above 0"
        if not self._all_pairs:
            status = get(found.status)
            assert (status == coalign.Status.OK).all(), f"status {set(status.tolist())}"
        error = largest_error(cost[at], self._cost(wanted))
        assert error <= rtol, f"off from the CPU by {error}"
        if data.get("path"):
            i, j, length = get(found.x_index), get(found.y_index), get(found.path_length)
            for p, stop in enumerate(length.tolist()):
                check_path(x[p], y[p], i[p, :stop], j[p, :stop], cost[p], rtol)
                assert (i[p, stop:] == -1).all(), "frames of x past the end of a path"
                assert (j[p, stop:] == -1).all(), "frames of y past the end of a path"
        return error


def as_dtype(series: Any, dtype: str) -> Any:
    """Convert a series, a batch, or a list of series."""
    if isinstance(series, list):
        return [one.astype(dtype) for one in series]
    return series.astype(dtype, copy=False)


def lengths(data: Data, side: str) -> list[int]:
    """Give the number of frames of each series of one side."""
    series = data.get(side, [])
    if f"{side}_lengths" in data:
        return list(data[f"{side}_lengths"])
    if isinstance(series, list):
        return [len(one) for one in series]
    return [len(series)] if series.ndim == 1 else [series.shape[1]] * len(series)


def inside(n: int, m: int, r: int | None) -> int:
    """Count the cells of a lattice inside a window."""
    if r is None:
        return n * m
    # Row i holds the columns i - r - max(0, n - m) .. i + r + max(0, m - n) that exist.
    rows = np.arange(n)
    stop = np.minimum(rows + r + max(0, m - n) + 1, m)
    start = np.maximum(rows - r - max(0, n - m), 0)
    return int((stop - start).sum())


def largest_error(found: Any, wanted: Any) -> float:
    """Return the largest difference relative to what is wanted."""
    wanted = np.asarray(wanted, np.float64)
    return float((np.abs(np.asarray(found, np.float64) - wanted) / wanted).max())


def check_path(x: Any, y: Any, i: Any, j: Any, cost: Any, rtol: float) -> None:
    """Assert that a path leads from end to end, and that its cost is the one given."""
    assert (i[0], j[0]) == (0, 0), "a path that does not begin at the first frames"
    assert (i[-1], j[-1]) == (len(x) - 1, len(y) - 1), "a path that does not end at the last frames"
    down, right = np.diff(i), np.diff(j)
    assert ((down | right) == 1).all(), "steps other than the three"
    error = largest_error(cost, ((x[i].astype(np.float64) - y[j]) ** 2).sum())
    assert error <= rtol, f"a cost off from its path's by {error}"


# --- on the CPU ----------------------------------------------------------------------------------

# aeon takes both dtypes, so each of ours faces the faster of those that deliver its precision.
# Multivariate: aeon in the layout of its own loaders; the table shows the other layout too.
AEON = ("aeon-f64", "aeon-f32")
AEON_OR_DTAIDISTANCE = (*AEON, "dtaidistance-f64")
ALL_PAIRS, ONE_PAIR = "all pairs 100x512", "one pair 10000x10000"
TWO_THREADS = f"{ALL_PAIRS}, two threads"


def faster_than(peers: tuple[str, ...], **minima: float) -> Floors:
    """Give the floors by dtype. AVX2 has half the lanes, at a clock that is often higher."""
    return {dtype: (PeerFloor(minimum, peers, avx2=0.55),) for dtype, minimum in minima.items()}


def collection(make: Callable[..., Any], small: int, size: Data, **options: Any) -> Problem:
    """Give all pairs of a family, and of fewer of it."""
    return Warping(make, size, {**size, "n": small}, coalign.dtw_cdist, options)


def pair(**options: Any) -> Problem:
    """Give one pair."""
    return Warping(instances.pair, {"length": 10_000}, {"length": 1000}, coalign.dtw, options)


def peers(*more: Contender) -> tuple[Contender, ...]:
    """Give the peers over a collection."""
    return (aeon_cdist(), aeon_cdist("float32"), dtaidistance_cdist(), *more)


SIZE = {"n": 100, "length": 512}
UNIFORM = collection(instances.random_walks, 8, SIZE)
# 10 % of 512, cut to a whole number.
BANDED = collection(instances.random_walks, 8, SIZE, window=51)
THREE, SIXTY_FOUR = (
    collection(instances.multivariate, 8, {"n": 100, "length": 256, "dimensions": dimensions})
    for dimensions in (3, 64)
)

ON_CPU = (
    Case(
        ALL_PAIRS, UNIFORM, peers(tslearn_cdist()), floors=faster_than(AEON, float32=50, float64=22)
    ),
    Case(f"{ALL_PAIRS}, white noise", collection(instances.white_noise, 8, SIZE), peers()),
    Case(
        f"{ALL_PAIRS}, band 10 %",
        BANDED,
        peers(tslearn_cdist()),
        floors=faster_than(AEON_OR_DTAIDISTANCE, float32=30, float64=14),
    ),
    Case(
        "ragged 100 series of 100 to 1000",
        collection(instances.ragged_random_walks, 6, {"n": 100}),
        peers(),
        floors=dict.fromkeys(TOLERANCE, (OwnFloor(0.75, ALL_PAIRS, per_cell=True),)),
    ),
    Case(
        ONE_PAIR,
        pair(),
        (aeon_pair(), aeon_pair("float32"), dtaidistance_pair()),
        floors=faster_than(AEON, float32=25, float64=11),
    ),
    Case(
        f"{ONE_PAIR}, with path",
        pair(path=True),
        (aeon_path(),),
        floors=dict.fromkeys(TOLERANCE, (OwnFloor(0.5, ONE_PAIR),)),
    ),
    Case(
        "one pair 100,000x100,000, band 1000, with path",
        Warping(
            instances.pair,
            {"length": 100_000},
            {"length": 2000},
            coalign.dtw,
            {"window": 1000, "path": True},
        ),
        (dtaidistance_path(),),
        floors={"float64": (PeerFloor(10, ("dtaidistance-f64",)),)},
    ),
    Case(
        "multivariate 100x256, D=3",
        THREE,
        peers(aeon_cdist(view=True), tslearn_cdist()),
        floors=faster_than(AEON, float32=15),
    ),
    Case(
        "multivariate 100x256, D=64",
        SIXTY_FOUR,
        peers(aeon_cdist(view=True), aeon_cdist("float32", view=True)),
        floors=faster_than(AEON, float32=60),
    ),
    *(
        Case(
            f"one pair 2000x2000, {step}",
            Warping(
                instances.pair,
                {"length": 2000},
                {"length": 100},
                coalign.dtw,
                {"step": step, "metric": "euclidean"},
            ),
            (dtw_python_pair(),),
            floors=dict.fromkeys(TOLERANCE, (PeerFloor(5, ("dtw-python-f64",)),)),
        )
        for step in PATTERNS
        if step != "symmetric1"
    ),
    Case(
        TWO_THREADS,
        UNIFORM,
        isas=(SELECTED,),
        threads=(1, 2),
        floors=dict.fromkeys(TOLERANCE, (OwnFloor(1.8, TWO_THREADS),)),
        judge=aeon_cdist(),
    ),
)

# --- on a GPU ------------------------------------------------------------------------------------


def on_gpu(
    name: str,
    full: tuple[int, ...],
    small: tuple[int, ...],
    sample: int,
    *,
    dtype: str = "float32",
    path: bool = False,
    rate: float | None = None,
    peer: Contender | None = None,
    **more: tuple[int, int],
) -> Case:
    """Give a case of noise: (pairs, frames), or all pairs of (x, y, frames), at both sizes.

    What `noise_pairs` is given more, it is given at either size.
    """
    sizes = [
        {"x": x, "y": y[0] if y else x, "frames": frames, "dtype": dtype}
        for x, *y, frames in (full, small)
    ]
    for option, values in more.items():
        for size, value in zip(sizes, values, strict=True):
            size[option] = value
    call, options = (coalign.dtw, {"path": path}) if len(full) == 2 else (coalign.dtw_cdist, {})
    problem = Warping(instances.noise_pairs, *sizes, call, options)
    return Case(name, problem, gpu=Gpu(sample, dtype, rate, times_cpu=10.0, peer=peer))


TORCH, F64 = torch_pairs(), "float64"
BAND = (102, 6)

ON_GPU = (
    on_gpu("200,000 pairs of 1024", (200_000, 1024), (9, 70), 16_000, rate=2.5e12, peer=TORCH),
    on_gpu(
        "200,000 pairs of 1024, band 10 %",
        (200_000, 1024),
        (9, 70),
        16_000,
        rate=1.5e12,
        window=BAND,
    ),
    on_gpu("one query, 1,000,000 of 128", (1, 1_000_000, 128), (1, 50, 40), 400_000, rate=2.0e12),
    on_gpu("all pairs, 2000 x 2000 of 512", (2000, 2000, 512), (5, 7, 50), 32),
    on_gpu("5000 pairs of 1024, with path", (5000, 1024), (5, 45), 1000, path=True),
    on_gpu("20,000 pairs of 256, D=3", (20_000, 256), (5, 30), 8000, peer=TORCH, dim=(3, 3)),
    on_gpu("20,000 pairs of 256, D=64", (20_000, 256), (3, 20), 4000, peer=TORCH, dim=(64, 64)),
    on_gpu("50,000 pairs of 128 to 1024", (50_000, 1024), (12, 60), 16_000, shortest=(128, 5)),
    on_gpu("50,000 pairs of 1024, float64", (50_000, 1024), (9, 70), 8000, dtype=F64, peer=TORCH),
    on_gpu(
        "50,000 pairs of 1024, band 10 %, float64",
        (50_000, 1024),
        (9, 70),
        8000,
        dtype=F64,
        window=BAND,
    ),
    on_gpu(
        "one query, 250,000 of 128, float64", (1, 250_000, 128), (1, 50, 40), 100_000, dtype=F64
    ),
    on_gpu("all pairs, 1000 x 1000 of 512, float64", (1000, 1000, 512), (5, 7, 50), 32, dtype=F64),
    on_gpu(
        "5000 pairs of 1024, with path, float64", (5000, 1024), (5, 45), 1000, dtype=F64, path=True
    ),
)

SUITE = Suite("warping", (*ON_CPU, *ON_GPU), TOLERANCE)
