"""Transport with a closed form: what is timed, beside POT and SciPy, and what it is held to.

Nobody here takes a number of threads: NumPy's linear algebra has its own, the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
from contest import SELECTED, Case, Contender, Data, PeerFloor, Problem, Suite, calling


def agreed(found: Any) -> NDArray[np.float64]:
    """Give distances as they are, and the entries of covariances beside their trace."""
    values = np.asarray(found, np.float64)
    if values.ndim < 2:
        return values
    return values + np.trace(values, axis1=-2, axis2=-1)[..., np.newaxis, np.newaxis]


class ClosedForm(Problem):
    """Arrays by name, of which one call makes the numbers that contenders must agree on."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Give arrays of one dtype."""
        return {name: np.asarray(array, dtype) for name, array in instance.items()} | dict(
            self.options
        )

    def cells(self, data: Data) -> int:
        """Count all numbers."""
        return sum(np.size(array) for array in data.values())

    def solve(self, data: Data, **options: Any) -> Any:
        """Call it; there is no option for threads."""
        return self.call(**data)

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give what `agreed` does."""
        return agreed(getattr(found, "cov", found))

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that a barycenter has converged."""
        assert not np.any(getattr(found, "status", 0))


def covariances(rng: Any, *shape: int) -> Any:
    """Give covariances of samples that are twice as many as their dimensions."""
    dim = shape[-1]
    samples = rng.normal(size=(*shape, 2 * dim))
    return samples @ samples.swapaxes(-1, -2) / (2 * dim)


def pairs(seed: int, count: int, dim: int) -> Any:
    """Give two Gaussians, or two batches."""
    rng = np.random.default_rng((seed, count, dim))
    lead = () if count == 1 else (count,)
    return {
        "mean1": rng.normal(size=(*lead, dim)),
        "cov1": covariances(rng, *lead, dim),
        "mean2": rng.normal(size=(*lead, dim)),
        "cov2": covariances(rng, *lead, dim),
    }


def sets(seed: int, count: int, gaussians: int, dim: int) -> Any:
    """Give Gaussians of which a barycenter is sought, or a batch of such sets."""
    rng = np.random.default_rng((seed, count, gaussians, dim))
    lead = (gaussians,) if count == 1 else (count, gaussians)
    return {"means": rng.normal(size=(*lead, dim)), "covs": covariances(rng, *lead, dim)}


def samples(seed: int, count: int, n: int, m: int, weighted: bool = False) -> Any:
    """Give two samples on a line, or two batches."""
    rng = np.random.default_rng((seed, count, n, m))
    lead = () if count == 1 else (count,)
    made = {"x": rng.normal(size=(*lead, n)), "y": rng.normal(size=(*lead, m))}
    if weighted:
        for name, size in (("a", n), ("b", m)):
            weights = rng.uniform(0.5, 1.5, size=(*lead, size))
            made[name] = weights / weights.sum(-1, keepdims=True)
    return made


def pot_distance(f: Any) -> Callable[[Data], Any]:
    return lambda d: f(d["mean1"], d["mean2"], d["cov1"], d["cov2"], paired=True) ** 2


def pot_barycenter(f: Any) -> Callable[[Data], Any]:
    def one(means: Any, covs: Any) -> Any:
        # As far as the answers are compared; its default is looser.
        return f(means, covs, eps=1e-9)[1]

    def solve(data: Data) -> Any:
        if np.ndim(data["means"]) == 2:
            return one(**data)
        return np.array([one(*given) for given in zip(data["means"], data["covs"], strict=True)])

    return solve


def pot_line(f: Any) -> Callable[[Data], Any]:
    # A batch of POT's lies in columns; given one distribution of weights, so do they.
    return lambda d: f(
        *(np.transpose(d[name]) for name in "xy"),
        *(np.transpose(d[name]) if name in d else None for name in "ab"),
        p=d["p"],
    )


def scipy_line(f: Any) -> Callable[[Data], Any]:
    def solve(data: Data) -> Any:
        given = [data[name] for name in "xyab" if name in data]
        if np.ndim(given[0]) == 1:
            return f(*given)
        return np.array([f(*some) for some in zip(*given, strict=True)])

    return solve


def peer(name: str, path: str, use: Callable[[Any], Callable[[Data], Any]]) -> Contender:
    return Contender(
        f"{name}-f64", "float64", calling(path, use), lambda data, found: agreed(found)
    )


DISTANCE = peer("pot", "ot.gaussian.bures_wasserstein_distance", pot_distance)
BARYCENTER = peer("pot", "ot.gaussian.bures_wasserstein_barycenter", pot_barycenter)
LINE = peer("pot", "ot.wasserstein_1d", pot_line)
SCIPY_LINE = peer("scipy", "scipy.stats.wasserstein_distance", scipy_line)


def case(
    name: str,
    make: Callable[..., Any],
    full: Mapping[str, Any],
    small: Mapping[str, Any],
    peers: tuple[Contender, ...],
    floor: float,
    **options: Any,
) -> Case:
    """Give a case in float64 that is held to so many times the speed of the best peer."""
    call = {
        pairs: coalign.wasserstein_gaussian,
        sets: coalign.gaussian_barycenter,
        samples: coalign.wasserstein_1d,
    }[make]
    problem = ClosedForm(make, full, {**full, **small}, call, options)
    return Case(
        name,
        problem,
        peers,
        ("float64",),
        (SELECTED,),
        floors={"float64": (PeerFloor(floor, tuple(each.name for each in peers)),)},
    )


ONE = {"count": 1}
FEW = {"count": 2}
SUITE = Suite(
    "closed_forms",
    (
        case("one pair of Gaussians, d=2", pairs, {**ONE, "dim": 2}, {}, (DISTANCE,), 1),
        case("one pair of Gaussians, d=10", pairs, {**ONE, "dim": 10}, {}, (DISTANCE,), 1),
        case("one pair of Gaussians, d=64", pairs, {**ONE, "dim": 64}, {}, (DISTANCE,), 1),
        case(
            "1000 pairs of Gaussians, d=10", pairs, {"count": 1000, "dim": 10}, FEW, (DISTANCE,), 1
        ),
        case("100 pairs of Gaussians, d=64", pairs, {"count": 100, "dim": 64}, FEW, (DISTANCE,), 1),
        case(
            "barycenter of 10 Gaussians, d=10",
            sets,
            {**ONE, "gaussians": 10, "dim": 10},
            {},
            (BARYCENTER,),
            1,
        ),
        case(
            "barycenter of 10 Gaussians, d=64",
            sets,
            {**ONE, "gaussians": 10, "dim": 64},
            {},
            (BARYCENTER,),
            1,
        ),
        case(
            "100 barycenters of 5 Gaussians, d=8",
            sets,
            {"count": 100, "gaussians": 5, "dim": 8},
            FEW,
            (BARYCENTER,),
            5,
        ),
        case(
            "one pair of samples, 10 and 10",
            samples,
            {**ONE, "n": 10, "m": 10},
            {},
            (LINE, SCIPY_LINE),
            1,
            p=1,
        ),
        case(
            "one pair of samples, 1000 and 1000",
            samples,
            {**ONE, "n": 1000, "m": 1000},
            {},
            (LINE, SCIPY_LINE),
            2,
            p=1,
        ),
        case(
            "1000 pairs of samples, 100 and 100",
            samples,
            {"count": 1000, "n": 100, "m": 100},
            FEW,
            (LINE, SCIPY_LINE),
            5,
            p=1,
        ),
        case(
            "1000 pairs of samples, 100 and 80, weighted",
            samples,
            {"count": 1000, "n": 100, "m": 80, "weighted": True},
            FEW,
            (LINE, SCIPY_LINE),
            1,
            p=1,
        ),
        case(
            "one pair of samples, 1,000,000 and 1,000,000",
            samples,
            {**ONE, "n": 1_000_000, "m": 1_000_000},
            {"n": 10_000, "m": 10_000},
            (LINE, SCIPY_LINE),
            2,
            p=1,
        ),
        case(
            "one pair of samples, 1,000,000 and 900,000, weighted",
            samples,
            {**ONE, "n": 1_000_000, "m": 900_000, "weighted": True},
            {"n": 10_000, "m": 9_000},
            (LINE, SCIPY_LINE),
            1,
            p=1,
        ),
    ),
    # What a barycenter at the default tolerance, and POT's square roots, keep.
    {"float64": 1e-6},
)
