"""Dynamic time warping: coalign beside its peers, on one thread, with every answer checked.

What the peers return, and the options that make them compute the same lattice cells as window=r:

- aeon: the sum of squared differences, as coalign. ``window`` is a fraction of the shorter series
  and is cut to a whole number of cells, so (r + 1/2) / T gives r. Its multivariate series are
  (D, T): "aeon-f64" gets them contiguous, the layout of its own loaders, "aeon-view-f64" gets a
  transposed view of (T, D), which is faster where D is large. It takes float32 series too, but
  sums in float64.
- dtaidistance: the square root of it, float64 only. ``window`` counts the diagonal: r + 1.
- tslearn: the square root of it, float64 only. ``sakoe_chiba_radius`` is r. It keeps the whole
  matrix of every pair, so it is left out where series are long or of many dimensions.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import coalign
import contest
import instances
from coalign import _execution
from contest import SHORT, Case, Contender, coalign_name, ours

# Peers warn while they are imported and compiled; what we time is not the place to judge it.
pytestmark = pytest.mark.filterwarnings("ignore")

# Against a peer that sums in float64, relative. float64: coalign's own promise, which peers keep as
# well, since all of them add the same terms. float32: the promise at T = 10,000.
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


@dataclass(frozen=True)
class Problem(contest.Problem):
    """A collection or a pair of series, and the radius of the band they are warped in."""

    window: int | None = None


def plain(prepared: Any, result: Any) -> NDArray[np.float64]:
    """Take the result as costs."""
    return np.asarray(result, dtype=np.float64)


def squared(prepared: Any, result: Any) -> NDArray[np.float64]:
    """Undo a peer's square root."""
    return np.asarray(result, dtype=np.float64) ** 2


def as_dtype(instance: Any, dtype: str) -> Any:
    """Convert an instance, whatever its kind, to one dtype."""
    if isinstance(instance, np.ndarray):
        return instance.astype(dtype)
    return type(instance)(series.astype(dtype) for series in instance)


def lengths(instance: Any) -> list[int]:
    """Give the number of time points of each series."""
    return [len(series) for series in instance]


def cells(problem: Problem, instance: Any) -> int:
    """Count the lattice cells the answer needs: inside the window, each unordered pair once."""
    r = problem.window

    def of_pair(n: int, m: int) -> int:
        if r is None:
            return n * m
        # Row i holds the columns i - r - max(0, n - m) .. i + r + max(0, m - n) that exist.
        rows = np.arange(n)
        stop = np.minimum(rows + r + max(0, m - n) + 1, m)
        start = np.maximum(rows - r - max(0, n - m), 0)
        return int((stop - start).sum())

    return sum(of_pair(n, m) for n, m in itertools.combinations(lengths(instance), 2))


# --- coalign -------------------------------------------------------------------------------------


def coalign_cdist(window: int | None, dtype: str, isa: str, threads: int = 1) -> Contender:
    """Solve a collection with ``coalign.dtw_cdist``."""
    return Contender(
        name=coalign_name(dtype, isa, threads),
        dtype=dtype,
        prepare=lambda instance: as_dtype(instance, dtype),
        solve=lambda X: coalign.dtw_cdist(X, window=window, threads=threads),
        costs=plain,
        isa=isa,
        threads=threads,
    )


def coalign_pair(dtype: str, isa: str, *, path: bool) -> Contender:
    """Solve one pair with ``coalign.dtw``."""
    return Contender(
        name=coalign_name(dtype, isa),
        dtype=dtype,
        prepare=lambda instance: as_dtype(instance, dtype),
        solve=lambda xy: coalign.dtw(*xy, path=path, threads=1),
        costs=lambda xy, warping: plain(xy, warping.cost),
        isa=isa,
        verify=(lambda xy, warping: check_path(xy, warping, TOLERANCE[dtype])) if path else None,
    )


# --- peers ---------------------------------------------------------------------------------------


def aeon_window(window: int | None, length: int) -> float | None:
    """Give the fraction that aeon turns back into exactly ``window`` cells."""
    return None if window is None else (window + 0.5) / length


def aeon_cdist(window: int | None, dtype: str = "float64", *, view: bool = False) -> Contender:
    """Solve a collection with aeon."""

    def prepare(instance: Any) -> Any:
        X = as_dtype(instance, dtype)
        if isinstance(X, np.ndarray) and X.ndim == 3:
            X = X.transpose(0, 2, 1)
            return X if view else np.ascontiguousarray(X)
        return X

    def solve(X: Any) -> Any:
        from aeon.distances import dtw_pairwise_distance

        return dtw_pairwise_distance(X, window=aeon_window(window, X[0].shape[-1]), n_jobs=1)

    name = "aeon-view" if view else "aeon"
    return Contender(f"{name}-{SHORT[dtype]}", dtype, prepare, solve, plain)


def aeon_pair(dtype: str = "float64") -> Contender:
    """Solve one pair with aeon."""

    def solve(xy: Any) -> Any:
        from aeon.distances import dtw_distance

        return dtw_distance(*xy)

    return Contender(
        f"aeon-{SHORT[dtype]}", dtype, lambda instance: as_dtype(instance, dtype), solve, plain
    )


def aeon_path() -> Contender:
    """Solve one pair with its path with aeon, which returns (path, cost)."""

    def solve(xy: Any) -> Any:
        from aeon.distances import dtw_alignment_path

        return dtw_alignment_path(*xy)

    return Contender(
        "aeon-f64",
        "float64",
        lambda instance: as_dtype(instance, "float64"),
        solve,
        lambda xy, result: plain(xy, result[1]),
    )


def dtaidistance_cdist(window: int | None) -> Contender:
    """Solve a collection with dtaidistance's compiled functions."""

    def prepare(instance: Any) -> Any:
        X = as_dtype(instance, "float64")
        return list(X) if isinstance(X, np.ndarray) and X.ndim == 3 else X

    def solve(X: Any) -> Any:
        from dtaidistance import dtw, dtw_ndim

        band = None if window is None else window + 1
        if X[0].ndim == 1:
            return dtw.distance_matrix_fast(X, window=band, parallel=False)
        return dtw_ndim.distance_matrix_fast(X, ndim=X[0].shape[1], window=band, parallel=False)

    return Contender("dtaidistance-f64", "float64", prepare, solve, squared)


def dtaidistance_pair() -> Contender:
    """Solve one pair with dtaidistance, unpruned so that it visits every cell as others do."""

    def solve(xy: Any) -> Any:
        from dtaidistance import dtw

        return dtw.distance_fast(*xy, use_pruning=False)

    return Contender(
        "dtaidistance-f64",
        "float64",
        lambda instance: as_dtype(instance, "float64"),
        solve,
        squared,
    )


def tslearn_cdist(window: int | None) -> Contender:
    """Solve a collection with tslearn."""
    options: dict[str, Any] = (
        {} if window is None else {"global_constraint": "sakoe_chiba", "sakoe_chiba_radius": window}
    )

    def solve(X: Any) -> Any:
        from tslearn.metrics import cdist_dtw

        return cdist_dtw(X, **options)

    return Contender(
        "tslearn-f64",
        "float64",
        lambda instance: as_dtype(instance, "float64"),
        solve,
        squared,
    )


# --- cases ---------------------------------------------------------------------------------------


def all_pairs(window: int | None, *more_peers: Contender) -> tuple[Contender, ...]:
    """Give the contenders over a collection; peers first, so that their answer is at hand."""
    return (
        aeon_cdist(window),
        aeon_cdist(window, "float32"),
        dtaidistance_cdist(window),
        *more_peers,
        *ours(lambda dtype, isa: coalign_cdist(window, dtype, isa)),
    )


BAND = 51  # 10 % of 512, cut to a whole number

UNIFORM = Problem(
    instances.random_walks, (("n", 100), ("length", 512)), (("n", 8), ("length", 512))
)
NOISE = Problem(instances.white_noise, UNIFORM.full, UNIFORM.small)
BANDED = Problem(instances.random_walks, UNIFORM.full, UNIFORM.small, window=BAND)
RAGGED = Problem(instances.ragged_random_walks, (("n", 100),), (("n", 6),))
PAIR = Problem(instances.pair, (("length", 10_000),), (("length", 1000),))
THREE = Problem(
    instances.multivariate,
    (("n", 100), ("length", 256), ("dimensions", 3)),
    (("n", 8), ("length", 256), ("dimensions", 3)),
)
SIXTY_FOUR = Problem(
    instances.multivariate,
    (("n", 100), ("length", 256), ("dimensions", 64)),
    (("n", 8), ("length", 256), ("dimensions", 64)),
)

CASES = (
    Case("all pairs 100x512", UNIFORM, all_pairs(None, tslearn_cdist(None))),
    Case("all pairs 100x512, white noise", NOISE, all_pairs(None)),
    Case("all pairs 100x512, band 10 %", BANDED, all_pairs(BAND, tslearn_cdist(BAND))),
    Case("ragged 100 series of 100 to 1000", RAGGED, all_pairs(None)),
    Case(
        "one pair 10000x10000",
        PAIR,
        (
            aeon_pair(),
            aeon_pair("float32"),
            dtaidistance_pair(),
            *ours(lambda dtype, isa: coalign_pair(dtype, isa, path=False)),
        ),
    ),
    Case(
        "one pair 10000x10000, with path",
        PAIR,
        (aeon_path(), *ours(lambda dtype, isa: coalign_pair(dtype, isa, path=True))),
    ),
    Case(
        "multivariate 100x256, D=3",
        THREE,
        all_pairs(None, aeon_cdist(None, view=True), tslearn_cdist(None)),
    ),
    Case(
        "multivariate 100x256, D=64",
        SIXTY_FOUR,
        all_pairs(None, aeon_cdist(None, view=True), aeon_cdist(None, "float32", view=True)),
    ),
    Case(
        "all pairs 100x512, two threads",
        UNIFORM,
        tuple(
            coalign_cdist(None, dtype, _execution.selected(), threads)
            for dtype in TOLERANCE
            for threads in (1, 2)
        ),
    ),
)


# --- answers -------------------------------------------------------------------------------------


def judge(problem: Problem, peer: bool) -> Contender:
    """Give the contender that others are held to."""
    one_pair = problem.make is instances.pair
    if peer:
        return aeon_pair() if one_pair else aeon_cdist(problem.window)
    isa = _execution.selected()
    if one_pair:
        return coalign_pair("float64", isa, path=False)
    return coalign_cdist(problem.window, "float64", isa)


def check_path(xy: tuple[NDArray[Any], NDArray[Any]], warping: Any, rtol: float) -> None:
    """Assert that a path is valid, costs what it claims, and that asking for it changes nothing."""
    x, y = xy
    i, j = np.asarray(warping.x_index), np.asarray(warping.y_index)
    assert (i[0], j[0]) == (0, 0)
    assert (i[-1], j[-1]) == (len(x) - 1, len(y) - 1)
    steps = set(zip(np.diff(i).tolist(), np.diff(j).tolist(), strict=True))
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    along = ((x[i].astype(np.float64) - y[j].astype(np.float64)) ** 2).sum()
    np.testing.assert_allclose(warping.cost, along, rtol=rtol, atol=0)
    assert warping.cost == coalign.dtw(x, y, threads=1).cost


# --- the benchmark -------------------------------------------------------------------------------

SUITE = contest.Suite("warping", CASES, cells, judge)


@pytest.mark.parametrize(("case", "contender"), SUITE.parameters())
def test_warping(case: Case, contender: Contender, benchmark: Any) -> None:
    costs, expected = SUITE.compete(case, contender, benchmark)
    np.testing.assert_allclose(costs, expected, rtol=TOLERANCE[contender.dtype], atol=0)
