"""What is built upon warping, timed beside its peers on one thread: searches and barycenters.

A search among 5000 series has 20 queries, not the hundreds of a real one, for which peers take
minutes. No contender saves anything for many together. In a long series tslearn and dtaidistance
find the one best match, so one is asked for. tslearn returns the root of our cost, with the path;
dtaidistance the root divided by the length of the query, and its penalty of a step aside is set
to 0 here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import instances
from cases_warping import as_dtype
from contest import SHORT, Case, Contender, Data, PeerFloor, Problem, Suite, calling
from peers_warping import channels_first, for_dtaidistance

# Descents that stop at other points of one valley differ by so much in its depth.
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}
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


@dataclass(frozen=True, eq=False)
class Search(Problem):
    """The best match of a noisy piece of a random walk inside that walk."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Cut the query out of the first walk, with some of the second as noise."""
        walk, noise = as_dtype(instance, dtype)
        middle, length = len(walk) // 2, len(walk) // 300
        steps = np.diff(noise[: length + 1])
        return {"query": walk[middle : middle + length] + steps / 5, "series": walk, **self.options}

    def cells(self, data: Data) -> int:
        """Count the cells of the lattice."""
        return len(data["query"]) * len(data["series"])

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the cost, and where the match ends."""
        return np.array([found.cost[0], found.stop[0]], np.float64)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that plain warping says the same of the match."""
        match = data["series"][int(found.start[0]) : int(found.stop[0])]
        assert coalign.dtw(data["query"], match).cost == found.cost[0]


@dataclass(frozen=True, eq=False)
class SoftAverage(Problem):
    """The inertia of the barycenter of a collection under soft-DTW, from its first series on."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Name the series: shapes that differ by a shift, so that there is one minimum to find."""
        noise = as_dtype(instance, dtype)
        frames = np.arange(noise.shape[1])
        shifts = noise[:, :1] / 4
        shapes = np.sin(frames / 8 + shifts) + np.diff(noise, prepend=0.0) / 20
        return {"X": shapes, "init": shapes[0], **self.options}

    def cells(self, data: Data) -> int:
        """Count the cells of one evaluation."""
        n, length = data["X"].shape
        return n * length**2

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the inertia, moved away from 0."""
        return soft_inertia(data, found.series)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that it ended by itself."""
        assert int(found.iterations) < data["max_iterations"]


def soft_inertia(data: Data, series: Any) -> NDArray[np.float64]:
    """Give the inertia of a series as a number to which a relative tolerance applies."""
    values = coalign.soft_dtw(np.ravel(series), list(data["X"])).value
    n, length = data["X"].shape
    return np.array([values.sum() + 3 * n * length])


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

    def prepare(data: Data) -> Data:
        start = data["init"]
        return {**data, "start": start[:, np.newaxis] if start.ndim == 1 else start}

    def load() -> Any:
        from tslearn.barycenters import dtw_barycenter_averaging

        call = silent(dtw_barycenter_averaging)
        return lambda given: call(
            given["X"], init_barycenter=given["start"], max_iter=ITERATIONS, tol=0
        )

    return Contender("tslearn-f64", "float64", load, moved, prepare)


def aeon() -> Contender:
    """Average with aeon."""

    def prepare(data: Data) -> Data:
        if data["init"].ndim == 1:
            return {**data, "series": data["X"], "start": data["init"][np.newaxis]}
        return {
            **data,
            "series": channels_first(data["X"]),
            "start": channels_first(data["init"]),
        }

    def load() -> Any:
        from aeon.clustering.averaging import petitjean_barycenter_average

        call = silent(petitjean_barycenter_average)
        return lambda given: call(
            given["series"],
            distance="dtw",
            init_barycenter=given["start"],
            max_iters=ITERATIONS,
            tol=0,
            n_jobs=1,
        )

    return Contender("aeon-f64", "float64", load, moved, prepare)


def dtaidistance_average() -> Contender:
    """Average with dtaidistance's compiled functions."""
    load = calling(
        "dtaidistance.dtw_barycenter.dba_loop",
        lambda f: lambda data: f(data["X"], c=data["init"], max_it=ITERATIONS, thr=0, use_c=True),
    )
    return Contender("dtaidistance-f64", "float64", load, moved)


@dataclass(frozen=True, eq=False)
class Nearest(Problem):
    """The nearest series of a collection to each of others."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Name the series: the first are the queries."""
        series = as_dtype(instance, dtype)
        count = len(series) - self.options["searched"]
        return {
            "queries": series[:count],
            "database": series[count:],
            "window": int(series.shape[1] * self.options.get("band", 0.1)),
        }

    def cells(self, data: Data) -> int:
        """Count the cells of all pairs, inside the window."""
        length, window = data["queries"].shape[1], data["window"]
        row = np.arange(length)
        wide = np.minimum(row + window, length - 1) - np.maximum(row - window, 0) + 1
        return len(data["queries"]) * len(data["database"]) * int(wide.sum())

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the least costs."""
        return np.asarray(found.cost[:, 0], np.float64)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that each cost is that of its index."""
        nearest = data["database"][found.index[:, 0]]
        paired = coalign.dtw(list(data["queries"]), list(nearest), window=data["window"])
        np.testing.assert_array_equal(paired.cost, found.cost[:, 0])


def least(data: Data, costs: Any) -> NDArray[np.float64]:
    """Give the least of each row."""
    return np.asarray(costs, np.float64).min(axis=1)


def least_square(data: Data, distances: Any) -> NDArray[np.float64]:
    """Give the least of each row, without a peer's square root."""
    return least(data, distances) ** 2


def whole_table(dtype: str) -> Contender:
    """Take the least of all costs."""
    load = calling(
        "coalign.dtw_cdist",
        lambda f: lambda d: f(d["queries"], d["database"], window=d["window"], threads=1),
    )
    return Contender(f"coalign.dtw_cdist-{SHORT[dtype]}", dtype, load, least)


def dtaidistance_block() -> Contender:
    """Take the least of all costs, with dtaidistance's compiled function for blocks of a table."""

    def load() -> Any:
        from dtaidistance import dtw

        def solve(data: Data) -> Any:
            asked, held = len(data["queries"]), len(data["database"])
            block = ((0, asked), (asked, asked + held))
            series = np.concatenate([data["queries"], data["database"]])
            found = dtw.distance_matrix_fast(
                series, block=block, window=data["window"] + 1, parallel=False, compact=True
            )
            return np.asarray(found).reshape(asked, held)

        return solve

    return Contender("dtaidistance-f64", "float64", load, least_square)


def dtaidistance_limits() -> Contender:
    """Warp to one series after the other with dtaidistance, below the least cost so far."""

    def load() -> Any:
        from dtaidistance import dtw, dtw_ndim

        def solve(data: Data) -> Any:
            call = (dtw if data["database"][0].ndim == 1 else dtw_ndim).distance_fast
            options = for_dtaidistance(data)
            found = []
            for query in data["queries"]:
                best = np.inf
                for series in data["database"]:
                    # It leaves a path at the first row that is beyond the limit.
                    limit = None if np.isinf(best) else best
                    best = min(best, call(query, series, max_dist=limit, **options))
                found.append([best])
            return found

        return solve

    return Contender("dtaidistance-limits-f64", "float64", load, least_square)


def tslearn_neighbours() -> Contender:
    """Search with tslearn, which computes the whole table."""

    def load() -> Any:
        from tslearn.neighbors import KNeighborsTimeSeries

        def solve(data: Data) -> Any:
            band = {"global_constraint": "sakoe_chiba", "sakoe_chiba_radius": data["window"]}
            search = KNeighborsTimeSeries(n_neighbors=1, metric="dtw", metric_params=band)
            return search.fit(data["database"]).kneighbors(data["queries"])[0]

        return silent(solve)

    return Contender("tslearn-f64", "float64", load, least_square)


def tslearn_search() -> Contender:
    """Search with tslearn."""

    def load() -> Any:
        from tslearn.metrics import dtw_subsequence_path

        return lambda data: dtw_subsequence_path(data["query"], data["series"])

    return Contender(
        "tslearn-f64",
        "float64",
        load,
        lambda _, found: np.array([found[1] ** 2, found[0][-1][1] + 1], np.float64),
    )


def dtaidistance_search() -> Contender:
    """Search with dtaidistance's compiled functions."""

    def load() -> Any:
        from dtaidistance.subsequence.dtw import subsequence_alignment

        return lambda data: subsequence_alignment(
            data["query"], data["series"], penalty=0, use_c=True
        ).best_match()

    def costs(data: Data, match: Any) -> NDArray[np.float64]:
        return np.array([(match.value * len(data["query"])) ** 2, match.segment[1] + 1], np.float64)

    return Contender("dtaidistance-f64", "float64", load, costs)


def tslearn_soft() -> Contender:
    """Average under soft-DTW with tslearn."""

    def load() -> Any:
        from tslearn.barycenters import softdtw_barycenter

        call = silent(softdtw_barycenter)
        return lambda data: call(
            data["X"], gamma=1.0, init=data["init"][:, np.newaxis], max_iter=200, tol=1e-8
        )

    return Contender("tslearn-f64", "float64", load, soft_inertia)


SIZE = {"n": 50, "length": 300}
SEARCHED = 5000
SEARCHERS = ("dtaidistance-f64", "dtaidistance-limits-f64", "tslearn-f64")
AVERAGE = Average(
    instances.random_walks,
    SIZE,
    {"n": 5, "length": 40},
    silent(coalign.dtw_barycenter),
    {"tol": 0, "max_iterations": ITERATIONS},
)
SEARCH = Search(
    instances.random_walks,
    {"n": 2, "length": 30_000},
    {"n": 2, "length": 900},
    coalign.dtw_subsequence,
)
SOFT = SoftAverage(
    instances.random_walks,
    {"n": 30, "length": 100},
    {"n": 4, "length": 40},
    silent(coalign.soft_dtw_barycenter),
    {"tol": 1e-8, "max_iterations": 200},
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
        *(
            Case(
                f"nearest of {SEARCHED} {words} of 256 to 20 others, band of 10 %",
                Nearest(
                    make,
                    {"n": SEARCHED + 20, "length": 256},
                    {"n": SEARCHED + 1, "length": 16},
                    coalign.dtw_nearest,
                    {"searched": SEARCHED},
                ),
                (
                    dtaidistance_block(),
                    dtaidistance_limits(),
                    tslearn_neighbours(),
                    *map(whole_table, SHORT),
                ),
                floors={
                    dtype: (
                        PeerFloor(10, SEARCHERS, avx2=0.55),
                        PeerFloor(1, (f"coalign.dtw_cdist-{short}",), avx2=0.55),
                    )
                    for dtype, short in SHORT.items()
                },
            )
            for words, make in (
                ("random walks", instances.random_walks),
                ("noisy profiles of digits", instances.digit_profiles),
            )
        ),
        Case(
            "nearest of 1000 of 60 to 50 others, noise: no bound leaves any out",
            Nearest(
                instances.white_noise,
                {"n": 1050, "length": 60},
                {"n": 1001, "length": 16},
                coalign.dtw_nearest,
                {"searched": 1000, "band": 1.0},
            ),
            (dtaidistance_block(), dtaidistance_limits(), *map(whole_table, SHORT)),
            floors={
                dtype: (
                    PeerFloor(5, SEARCHERS[:2], avx2=0.55),
                    PeerFloor(0.9, (f"coalign.dtw_cdist-{short}",)),
                )
                for dtype, short in SHORT.items()
            },
        ),
        Case(
            "query of 100 in a series of 30,000",
            SEARCH,
            (tslearn_search(), dtaidistance_search()),
            dtypes=("float64",),
            floors={"float64": (PeerFloor(5, ("tslearn-f64", "dtaidistance-f64"), avx2=0.55),)},
        ),
        Case(
            "soft barycenter of 30 series of 100",
            SOFT,
            (tslearn_soft(),),
            dtypes=("float64",),
            floors={"float64": (PeerFloor(5, ("tslearn-f64",), avx2=0.55),)},
        ),
    ),
    TOLERANCE,
)
