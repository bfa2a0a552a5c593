"""Transport: what is timed, beside which peers, and what it is held to.

Contenders are held to the marginals of their plan, computed in float64 from what they return: a
plan exp((f + g - C) / epsilon) that has them is the solution, of which there is one. The error is
counted in units of what was asked for. Where iterations are counted, epsilon is large enough for
them to have converged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clouds
import coalign
import families_transport
import peers_transport
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
from families_transport import Problems

# The error of the marginals, in units of what is asked for.
TOLERANCE = {"float64": 1.0, "float32": 1.0}
# Peers find out in their own dtype whether they have got there.
OF_PEERS = {"float64": 1.02, "float32": 1.02}


@dataclass(frozen=True, eq=False)
class Transport(Problem):
    """Stored costs with weights: `options` are those of the call, `tol` and `max_iterations`.

    Where the tolerance is 0, iterations are counted, and the rate is of cells times iterations.
    Else `of_peers` is how many a peer may take to get there.
    """

    of_peers: int = 3000

    def arguments(self, instance: Problems, dtype: str) -> Data:
        """Name what is given: one problem, or a batch."""
        one = instance.count == 1
        data: Data = {
            "problems": instance,
            "of_peers": self.of_peers,
            "cost": (instance.cost[0] if one else instance.cost).astype(dtype),
            "epsilon": instance.epsilon,
            **self.options,
        }
        if not instance.uniform:
            for name, weights in (("a", instance.a), ("b", instance.b)):
                data[name] = (weights[0] if one else weights).astype(dtype)
        return data

    def solve(self, data: Data, **options: Any) -> Any:
        """Call without what only the judge needs."""
        given = {k: v for k, v in data.items() if k not in ("problems", "of_peers")}
        return self.call(**given, **options)

    def cells(self, data: Data) -> int:
        """Count the cells, times the iterations where their number is fixed."""
        iterations = data["max_iterations"] if data["tol"] == 0 else 1
        return int(data["problems"].cost.size * iterations)

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the error of the marginals, in units of what is asked for."""
        one: Problems = data["problems"]
        plans = self.plans(data, found)
        return peers_transport.in_units(
            one.error(plans), data["tol"], peers_transport.FLOOR[str(np.asarray(found.f).dtype)]
        )

    def plans(self, data: Data, found: Any) -> Any:
        """Give the plans of the potentials, in float64."""
        one: Problems = data["problems"]
        f, g = (np.asarray(v, np.float64).reshape(one.count, -1) for v in (found.f, found.g))
        return one.plans(f, g)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert what a result says of its error, and its costs."""
        one: Problems = data["problems"]
        if data["tol"] == 0:
            assert (np.asarray(found.iterations) == data["max_iterations"]).all()
        else:
            assert np.all(found.converged)
        plans = self.plans(data, found)
        with np.errstate(invalid="ignore"):
            wanted = np.where(plans > 0, plans * one.cost, 0).sum(axis=(1, 2))
        scale = np.abs(np.where(plans > 0, plans * one.cost, 0)).sum(axis=(1, 2))
        # What no mass goes to costs next to nothing, and that is as far as its digits matter.
        off = np.abs(np.ravel(found.cost) - wanted)
        assert (off <= 1e-4 * (scale + one.epsilon)).all(), f"a cost off by {off.max()}"

    def iterations(self, data: Data, found: Any) -> int | None:
        """Count those that one problem took to a tolerance."""
        return int(found.iterations) if data["tol"] and np.ndim(found.iterations) == 0 else None

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose the first problems."""
        one: Problems = data["problems"]
        if count >= one.count:
            return data, slice(None)
        chosen = slice(count)
        parts = {name: getattr(one, name)[chosen] for name in ("cost", "a", "b")}
        given = {name: data[name][chosen] for name in parts if name in data}
        return {**data, **given, "problems": replace(one, **parts)}, chosen

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold the marginals of a GPU's plans to what is asked for, and its values to the CPU's."""
        status = np.atleast_1d(get(found.status))
        assert not status.any(), f"status {set(status.tolist())}"
        f, g, values = (get(each) for each in (found.f, found.g, found.value))
        if data["problems"].count > 1:
            f, g, values = f[at], g[at], values[at]
        error = float(self.costs(some, SimpleNamespace(f=f, g=g)).max())
        assert error <= rtol, f"marginals off by {error} of what is asked for"
        off = np.abs(values - np.asarray(wanted.value)) / (
            some["problems"].epsilon + np.abs(values)
        )
        assert off.max() <= 1e-3, f"off from the CPU by {off.max()}"
        return error


@dataclass(frozen=True, eq=False)
class Points(Transport):
    """Point clouds, whose costs nobody stores."""

    def arguments(self, instance: clouds.Clouds, dtype: str) -> Data:
        """Name what is given."""
        return {
            "problems": instance,
            "of_peers": self.of_peers,
            "points": (instance.x.astype(dtype), instance.y.astype(dtype)),
            "epsilon": instance.epsilon,
            **self.options,
        }

    def solve(self, data: Data, **options: Any) -> Any:
        """Call without what only the judge needs."""
        named = ("problems", "of_peers", "points")
        given = {k: v for k, v in data.items() if k not in named}
        return self.call(*data["points"], **given, **options)

    def cells(self, data: Data) -> int:
        """Count the cells times the iterations."""
        x, y = data["points"]
        return len(x) * len(y) * int(data["max_iterations"])

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert what a result says of its error, and its cost."""
        one: clouds.Clouds = data["problems"]
        assert int(found.iterations) == data["max_iterations"]
        plans = self.plans(data, found)
        assert abs(float(found.marginal_error) - one.error(plans)) < 1e-5
        assert abs(float(found.cost) - one.cost(plans)) < 1e-4 * one.epsilon


F32, F64, BOTH = ("float32",), ("float64",), ("float64", "float32")
faster_than = partial(PeerFloor, avx2=0.6)


def problem(
    family: str, count: int, n: int, m: int, small: tuple[int, int, int], **options: Any
) -> Transport:
    """Give problems of a family; epsilon is a share `of_most` of the greatest cost."""
    of_most = options.pop("of_most")
    size = {"family": family, "of_most": of_most}
    sizes = (dict(zip(("count", "n", "m"), each, strict=True)) for each in ((count, n, m), small))
    full, less = ({**size, **each} for each in sizes)
    return Transport(families_transport.problems, full, less, coalign.sinkhorn, options)


def case(
    name: str,
    made: Problem,
    peers: tuple[Contender, ...],
    dtypes: tuple[str, ...],
    floors: Floors,
    **more: Any,
) -> Case:
    """Give a case, whose judge is the marginals."""
    return Case(name, made, peers, dtypes, floors=floors, judge=peers_transport.marginals(), **more)


# --- so many iterations --------------------------------------------------------------------------


def iterations(n: int) -> Case:
    """Give plain iterations, as such."""
    made = problem("squares, plane", 1, n, n, (1, 100, 100), of_most=0.1, tol=0, max_iterations=20)
    return case(
        f"20 iterations, {n} x {n}",
        made,
        (
            peers_transport.pot("sinkhorn", "float64"),
            peers_transport.pot("sinkhorn", "float32"),
            peers_transport.pot("log", "float32"),
            peers_transport.ott("plain", "float32"),
        ),
        BOTH,
        {
            "float32": (
                faster_than(3.5, ("ott-plain-f32",)),
                faster_than(100, ("pot-log-f32",)),
                faster_than(3, ("pot-sinkhorn-f32",)),
            ),
            "float64": (faster_than(1.3, ("pot-sinkhorn-f64",)),),
        },
    )


def batch(count: int, n: int, floor: float) -> Case:
    """Give 100 iterations of a batch."""
    made = problem("uniform", count, n, n, (10, n, n), of_most=0.5, tol=0, max_iterations=100)
    batches = (
        peers_transport.solve_batch("float32", backend=backend) for backend in ("torch", "numpy")
    )
    return case(
        f"{count} x {n} x {n}, 100 iterations",
        made,
        (*batches, peers_transport.ott("plain", "float32")),
        F32,
        {"float32": (faster_than(floor, ("pot-batch-torch-f32",)),)},
    )


TINY = "1,000,000 x 4 x 4, 20 iterations"
LARGE = "10 iterations, 4000 x 4000"


def alone(name: str, made: Problem, threads: tuple[int, ...], *floors: OwnFloor) -> Case:
    """Give a case without a peer."""
    held = {"float32": floors}
    return case(name, made, (), F32, held, isas=(SELECTED,), threads=threads)


FIXED = (
    *map(iterations, (1000, 2000)),
    batch(100, 128, 15),
    batch(1000, 32, 15),
    batch(1000, 4, 40),
    alone(
        TINY,
        problem("uniform", 1_000_000, 4, 4, (1000, 4, 4), of_most=0.5, tol=0, max_iterations=20),
        (1, 2),
    ),
    alone(
        LARGE,
        problem(
            "squares, plane", 1, 4000, 4000, (1, 200, 200), of_most=0.1, tol=0, max_iterations=10
        ),
        (1, 2),
        OwnFloor(1.7, LARGE),
    ),
)

# --- to a marginal error of 1e-4 -----------------------------------------------------------------


def to_tolerance(family: str, of_most: float, over_pot: float, over_ott: float) -> Case:
    """Give the time to an error of the marginals, beside all that get there."""
    made = problem(
        family, 1, 1000, 1000, (1, 200, 200), of_most=of_most, tol=1e-4, max_iterations=20_000
    )
    modes = [f"ott-{mode}-f64" for mode in peers_transport.MODES]
    return case(
        f"to 1e-4, {family}, epsilon {of_most} of the most",
        made,
        (
            peers_transport.pot("sinkhorn", "float64"),
            *(peers_transport.ott(mode, "float64") for mode in peers_transport.MODES),
        ),
        F64,
        {
            "float64": (
                faster_than(over_pot, ("pot-sinkhorn-f64",)),
                faster_than(over_ott, tuple(modes)),
            )
        },
    )


SOUGHT = tuple(
    to_tolerance(family, of_most, over_pot, over_ott)
    for family in ("squares, plane", "uniform", "squares, 8 d")
    for of_most, over_pot, over_ott in ((0.01, 5, 3), (0.001, 10, 5))
)

# --- point clouds --------------------------------------------------------------------------------


def between_points(dim: int, floor: float) -> Case:
    """Give plain iterations between clouds, beside OTT's, which also holds some rows at a time."""
    sizes = ({"n": n, "dim": dim, "of_most": 0.1} for n in (10_000, 200))
    options = {"tol": 0.0, "max_iterations": 10}
    made = Points(clouds.uniform, *sizes, coalign.sinkhorn_points, options)
    return case(
        f"10 iterations, 10,000 x 10,000 points, {dim} d",
        made,
        (peers_transport.ott("plain", "float32", points=True),),
        F32,
        {"float32": (faster_than(floor, ("ott-plain-f32",)),)},
    )


CLOUDS = (between_points(3, 10), between_points(64, 8))

# --- on a GPU ------------------------------------------------------------------------------------

LOG_SPACE = peers_transport.torch_on_gpu()


class OnGpu(Transport):
    """Problems on a GPU: below what is asked for, errors are alike."""

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the error of the marginals, of what is asked for at least."""
        return np.maximum(super().costs(data, found), 1)


class PointsOnGpu(Points):
    """Clouds on a GPU, of so many points that marginals are looked at for some of them."""

    def arguments(self, instance: clouds.Clouds, dtype: str) -> Data:
        """Name what is given, each cloud by itself."""
        data = super().arguments(instance, dtype)
        x, y = data.pop("points")
        return {**data, "x": x, "y": y}

    def solve(self, data: Data, **options: Any) -> Any:
        """Call without what only the judge needs."""
        given = {k: v for k, v in data.items() if k not in ("problems", "of_peers")}
        return self.call(**given, **options)

    def cells(self, data: Data) -> int:
        """Count the cells times the iterations."""
        return len(data["x"]) * len(data["y"]) * int(data["max_iterations"])

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose the first points of both clouds."""
        chosen = slice(count)
        return {**data, "x": data["x"][chosen], "y": data["y"][chosen]}, chosen

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold the marginals of some points to what is asked for."""
        assert not get(found.status)
        one: clouds.Clouds = data["problems"]
        f, g = (get(side).astype(np.float64) for side in (found.f, found.g))
        error = 0.0
        for mine, others, own, other in ((one.x, one.y, f, g), (one.y, one.x, g, f)):
            few = np.linspace(0, len(mine) - 1, 50).astype(int)
            costs = np.concatenate(
                [cost for _, cost in clouds.rows_of_costs(mine[few], others)], axis=0
            )
            sums = np.exp((own[few, None] + other - costs) / one.epsilon).sum(axis=1)
            error += float(np.abs(sums * len(mine) - 1).mean())
        units = max(1.0, error / peers_transport.FLOOR["float32"])
        assert units <= rtol, f"marginals off by {units} of what is asked for"
        return units


def points_on_gpu(n: int, dim: int, **held: Any) -> Case:
    """Give plain iterations between clouds on a GPU."""
    sizes = ({"n": each, "dim": dim, "of_most": 0.1} for each in (n, 30))
    options = {"tol": 0.0, "max_iterations": 20}
    made = PointsOnGpu(clouds.uniform, *sizes, coalign.sinkhorn_points, options)
    name = f"20 iterations, {n:,} x {n:,} points, {dim} d, on a GPU"
    return Case(name, made, gpu=Gpu(2000, **held))


def on_gpu(name: str, made: Transport, sample: int, **held: Any) -> Case:
    """Give a case beside the CPU, and beside PyTorch in logarithms on the GPU."""
    there = OnGpu(made.make, made.full, made.small, made.call, made.options)
    return Case(name, there, gpu=Gpu(sample, **held))


# Three quarters of an H200's 4.3 TB/s of copies, at 4 bytes a cell and iteration.
STREAMED = 0.75 * 4.3e12 / 4
# Multiply-adds and exponentials a second of an H200, at 1.755 GHz.
FMA, EXPONENTIALS = 132 * 128 * 1.755e9, 132 * 16 * 1.755e9
ON_GPU = (
    on_gpu(
        "100 iterations, 8192 x 8192, on a GPU",
        problem(
            "squares, plane", 1, 8192, 8192, (1, 300, 300), of_most=0.1, tol=0, max_iterations=100
        ),
        1,
        rate=STREAMED,
    ),
    on_gpu(
        "100 iterations, 2048 x 2048, on a GPU",
        problem(
            "squares, plane", 1, 2048, 2048, (1, 40, 60), of_most=0.1, tol=0, max_iterations=100
        ),
        1,
        peer=LOG_SPACE,
        times_peer=5.0,
    ),
    on_gpu(
        "1000 x 128 x 128, 100 iterations, on a GPU",
        problem("uniform", 1000, 128, 128, (3, 9, 9), of_most=0.5, tol=0, max_iterations=100),
        1000,
        peer=LOG_SPACE,
        times_peer=5.0,
    ),
    # 132 bytes a problem: costs, potentials, and what is said of them.
    on_gpu(
        TINY + ", on a GPU",
        problem("uniform", 1_000_000, 4, 4, (300, 4, 4), of_most=0.5, tol=0, max_iterations=20),
        1000,
        peer=LOG_SPACE,
        times_peer=20.0,
    ),
    on_gpu(
        "10,000,000 x 4 x 4, 20 iterations, on a GPU",
        problem("uniform", 10_000_000, 4, 4, (300, 4, 4), of_most=0.5, tol=0, max_iterations=20),
        1000,
    ),
    # 40 % of what 64 multiply-adds a cell leave for the rows, and as many for the columns.
    points_on_gpu(50_000, 64, rate=0.4 * FMA / 128),
    # And of an exponential for each.
    points_on_gpu(50_000, 3, rate=0.4 * EXPONENTIALS / 2),
)

SUITE = Suite("transport", (*FIXED, *SOUGHT, *CLOUDS, *ON_GPU), TOLERANCE, OF_PEERS)
