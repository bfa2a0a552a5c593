"""What is built upon warping, timed beside aeon and tslearn on one thread: barycenters."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import instances
from cases_warping import as_dtype
from contest import Case, Contender, Data, PeerFloor, Problem, Suite

TOLERANCE = {"float64": 1e-9}
ITERATIONS = 10


@dataclass(frozen=True, eq=False)
class Average(Problem):
    """The barycenter of a collection, from its first series on, after so many iterations."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Name the series."""
        series = as_dtype(instance, dtype)
        return {"X": series, "init": series[0], **self.options}

    def cells(self, data: Data) -> int:
        """Count the cells of all paths."""
        n, length = data["X"].shape
        return (ITERATIONS + 1) * n * length**2

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the frames, moved away from 0."""
        return moved(data, found.series)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that no iteration was left out."""
        assert int(found.iterations) == ITERATIONS


def moved(data: Data, series: Any) -> NDArray[np.float64]:
    """Give frames as numbers to which a relative tolerance applies."""
    return np.asarray(series, np.float64).ravel() + 2 * np.abs(data["X"]).max()


def silent(function: Any) -> Any:
    """Call a function that warns of too few iterations."""

    def call(*given: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*given, **options)

    return call


def tslearn() -> Contender:
    """Average with tslearn."""

    def load() -> Any:
        from tslearn.barycenters import dtw_barycenter_averaging

        call = silent(dtw_barycenter_averaging)
        return lambda data: call(
            data["X"], init_barycenter=data["init"][:, np.newaxis], max_iter=ITERATIONS, tol=0
        )

    return Contender("tslearn-f64", "float64", load, moved)


def aeon() -> Contender:
    """Average with aeon."""

    def load() -> Any:
        from aeon.clustering.averaging import petitjean_barycenter_average

        call = silent(petitjean_barycenter_average)
        return lambda data: call(
            data["X"],
            distance="dtw",
            init_barycenter=data["init"][np.newaxis],
            max_iters=ITERATIONS,
            tol=0,
            n_jobs=1,
        )

    return Contender("aeon-f64", "float64", load, moved)


SIZE = {"n": 50, "length": 300}
AVERAGE = Average(
    instances.random_walks,
    SIZE,
    {"n": 5, "length": 40},
    silent(coalign.dtw_barycenter),
    {"tol": 0, "max_iterations": ITERATIONS},
)
SUITE = Suite(
    "warping_functions",
    (
        Case(
            "barycenter of 50 series of 300, 10 iterations",
            AVERAGE,
            (tslearn(), aeon()),
            dtypes=("float64",),
            floors={"float64": (PeerFloor(10, ("tslearn-f64", "aeon-f64"), avx2=0.55),)},
        ),
    ),
    TOLERANCE,
)
