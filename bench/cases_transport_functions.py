"""Partial transport and barycenters of histograms: what is timed beside POT, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
from cases_closed_forms import ClosedForm
from contest import SELECTED, Case, Contender, Data, PeerFloor, Suite, calling


def beside_the_largest(values: Any) -> NDArray[np.float64]:
    """Give numbers above the largest of them, so that a relative tolerance is one of that."""
    flat = np.asarray(values, np.float64)
    return flat + flat.max()


class Functions(ClosedForm):
    """Arrays by name, of which one call makes weights or a plan."""

    def solve(self, data: Data, **options: Any) -> Any:
        """Call it on one thread."""
        return self.call(**data, threads=1)

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the weights of a barycenter, or the row sums of a plan."""
        if isinstance(found, coalign.SinkhornBarycenter):
            return beside_the_largest(found.weights)
        return beside_the_largest(found.plan().sum(axis=1))


def bumps(seed: int, n: int, histograms: int) -> Any:
    """Give histograms that are bumps at random places of a line, and squared distances."""
    rng = np.random.default_rng((seed, n, histograms))
    place = np.linspace(0, 1, n)
    means, widths = rng.uniform(0.2, 0.8, (histograms, 1)), rng.uniform(0.03, 0.1, (histograms, 1))
    a = np.exp(-(((place - means) / widths) ** 2) / 2)
    return {"a": a / a.sum(axis=1, keepdims=True), "cost": (place[:, np.newaxis] - place) ** 2}


def clouds(seed: int, n: int) -> Any:
    """Give squared distances between two clouds in the unit square."""
    x, y = np.random.default_rng((seed, n)).random((2, n, 2))
    return {"cost": ((x[:, np.newaxis] - y) ** 2).sum(-1)}


def pot_barycenter(f: Any) -> Callable[[Data], Any]:
    return lambda d: f(d["a"].T.copy(), d["cost"], d["epsilon"], numItermax=10_000, stopThr=1e-7)


def pot_partial(f: Any) -> Callable[[Data], Any]:
    def solve(data: Data) -> Any:
        n, m = data["cost"].shape
        weights = np.full(n, 1 / n), np.full(m, 1 / m)
        return f(*weights, data["cost"], data["epsilon"], data["mass"], stopThr=1e-9).sum(axis=1)

    return solve


def peer(path: str, use: Callable[[Any], Callable[[Data], Any]]) -> Contender:
    return Contender(
        "pot-f64", "float64", calling(path, use), lambda data, found: beside_the_largest(found)
    )


def case(
    name: str,
    make: Callable[..., Any],
    full: Mapping[str, Any],
    small: Mapping[str, Any],
    **options: Any,
) -> Case:
    """Give a case in float64 that is held to the speed of POT."""
    call, rival = {
        bumps: (
            coalign.sinkhorn_barycenter,
            peer("ot.bregman.barycenter", pot_barycenter),
        ),
        clouds: (
            coalign.partial_transport,
            peer("ot.partial.entropic_partial_wasserstein", pot_partial),
        ),
    }[make]
    problem = Functions(make, full, {**full, **small}, call, options)
    return Case(
        name,
        problem,
        (rival,),
        ("float64",),
        (SELECTED,),
        floors={"float64": (PeerFloor(1, (rival.name,)),)},
    )


TIGHT = {"tol": 1e-6}
SUITE = Suite(
    "transport_functions",
    (
        *(
            case(
                f"barycenter of {k} histograms of {n}, epsilon {epsilon:g}",
                bumps,
                {"n": n, "histograms": k},
                {"n": 50},
                epsilon=epsilon,
                **TIGHT,
            )
            for n, k in ((100, 2), (400, 5), (1000, 5))
            for epsilon in (0.1, 0.01, 0.001)
        ),
        *(
            case(
                f"0.7 of the mass of {n} points, epsilon {epsilon:g}",
                clouds,
                {"n": n},
                {"n": 30},
                epsilon=epsilon,
                mass=0.7,
                **TIGHT,
            )
            for n in (30, 100, 300)
            for epsilon in (0.1, 0.01)
        ),
    ),
    # What both come to at tolerances of their own.
    {"float64": 1e-5},
)
