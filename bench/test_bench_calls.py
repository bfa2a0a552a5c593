"""What one small call costs, beside the peers: a tracker's frame, a matcher's image.

Here the call is timed, not the solver: one problem of n x n, again and again, with its first result
read. Peers are called as their users call them. Floors that no ratio between two contenders can
say stand in the test itself; the others are in report.py.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _execution
from contest import ONLY_SMALL

pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = (10,) if ONLY_SMALL else (5, 10, 20, 40, 60)
rng = np.random.default_rng(3)
COSTS = {n: rng.random((n, n)) for n in SIZES}
SERIES = {n: (rng.random(n), rng.random(n)) for n in SIZES}

# A list may cost so much more than the same problems as one array, for each of its items.
MOST_PER_ITEM = 0.15e-6
# An import may take so much beyond NumPy's.
MOST_IMPORT = 25e-3


def scipy_assignment() -> Callable[[Any], Any]:
    from scipy.optimize import linear_sum_assignment

    return lambda cost: linear_sum_assignment(cost)[1]


def lapx_assignment() -> Callable[[Any], Any]:
    from lap import lapjvr

    return lambda cost: lapjvr(cost)[2]


ASSIGNMENT: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "scipy-f64": scipy_assignment,
    "lapjvr-f64": lapx_assignment,
    "linear_sum_assignment": lambda: lambda cost: coalign.linear_sum_assignment(cost)[1],
    "assign": lambda: lambda cost: coalign.assign(cost).col_of_row,
}


def dtaidistance_cost() -> Callable[[Any, Any], Any]:
    from dtaidistance.dtw import distance_fast

    return lambda x, y: distance_fast(x, y) ** 2


def aeon_cost() -> Callable[[Any, Any], Any]:
    from aeon.distances import dtw_distance

    return lambda x, y: dtw_distance(x, y)


WARPING: dict[str, Callable[[], Callable[[Any, Any], Any]]] = {
    "dtaidistance-f64": dtaidistance_cost,
    "aeon-f64": aeon_cost,
    "dtw": lambda: lambda x, y: coalign.dtw(x, y).cost,
}


def describe(benchmark: Any, case: str, contender: str, peer: bool, cells: int) -> None:
    benchmark.group = case
    benchmark.extra_info.update(
        suite="calls",
        case=case,
        contender=contender,
        peer=peer,
        dtype="float64",
        isa=None if peer else _execution.selected(),
        threads=1,
        cells=cells,
    )


@pytest.mark.parametrize("contender", ASSIGNMENT)
@pytest.mark.parametrize("n", SIZES)
def test_assignment(benchmark: Any, n: int, contender: str) -> None:
    is_peer = contender.endswith("-f64")
    describe(benchmark, f"one call, {n}x{n}", contender, is_peer, n * n)
    columns = benchmark(ASSIGNMENT[contender](), COSTS[n])
    best = COSTS[n][np.arange(n), scipy_assignment()(COSTS[n])].sum()
    np.testing.assert_allclose(COSTS[n][np.arange(n), columns].sum(), best, rtol=1e-12)


@pytest.mark.parametrize("contender", WARPING)
@pytest.mark.parametrize("n", SIZES)
def test_warping(benchmark: Any, n: int, contender: str) -> None:
    describe(benchmark, f"one call, {n} frames", contender, contender != "dtw", n * n)
    cost = benchmark(WARPING[contender](), *SERIES[n])
    np.testing.assert_allclose(cost, dtaidistance_cost()(*SERIES[n]), rtol=1e-9)


def median_time(call: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def test_a_list_costs_little_more_than_an_array() -> None:
    count = 1000
    batch = rng.random((count, 10, 10))
    items = list(batch)
    rounds = 1 if ONLY_SMALL else 30
    by_list = median_time(lambda: coalign.assign(items, threads=1).total, rounds)
    by_array = median_time(lambda: coalign.assign(batch, threads=1).total, rounds)
    more = (by_list - by_array) / count
    print(f"a list of {count}: {more * 1e6:.3f} us an item beyond the array's time")
    found = coalign.assign(items).total
    np.testing.assert_array_equal(found, coalign.assign(batch).total)
    assert ONLY_SMALL or more <= MOST_PER_ITEM


def test_the_import_is_quick() -> None:
    code = (
        "import numpy, time; start = time.perf_counter(); import coalign; "
        "print(time.perf_counter() - start)"
    )

    def once() -> float:
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)

    taken = statistics.median(once() for _ in range(1 if ONLY_SMALL else 9))
    print(f"import coalign: {taken * 1e3:.1f} ms beyond NumPy's")
    assert taken > 0
    assert ONLY_SMALL or taken <= MOST_IMPORT
