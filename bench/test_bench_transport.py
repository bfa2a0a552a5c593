"""Transport beside its peers, on one thread unless said, with every answer checked."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import coalign
from cases_transport import SUITE
from contest import ONLY_SMALL, Case, Contender

# Peers warn while they are imported and compiled; what we time is not the place to judge it.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("case", "contender"), SUITE.parameters())
def test_transport(case: Case, contender: Contender, benchmark: Any) -> None:
    error, _, allowed = SUITE.compete(case, contender, benchmark)
    assert (error <= allowed).all()


def seconds(call: Callable[[], Any], calls: int) -> float:
    """Give the median seconds of a call, over rounds of so many."""
    rounds = []
    for _ in range(1 if ONLY_SMALL else 200):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter() - start) / calls)
    return statistics.median(rounds)


def test_one_small_call_costs_little_beside_its_work() -> None:
    cost = np.random.default_rng(0).random((10, 10), dtype=np.float32)

    def solve(iterations: int) -> Callable[[], Any]:
        return lambda: coalign.sinkhorn(
            cost, epsilon=0.1, tol=0, max_iterations=iterations, threads=1
        )

    assert solve(50)().marginal_error < 1e-5
    # One iteration, all told, is more than what a call of fifty takes beside them.
    whole, beside = seconds(solve(50), 20), seconds(solve(1), 20)
    print(f"10 x 10: 50 iterations {1e6 * whole:.1f} us, one {1e6 * beside:.1f} us")
    assert ONLY_SMALL or beside <= 4e-6


def test_tiny_problems_reach_their_rate() -> None:
    from coalign import _execution

    count = 1000 if ONLY_SMALL else 1_000_000
    costs = np.random.default_rng(0).random((count, 4, 4), dtype=np.float32)

    def solve() -> Any:
        return coalign.sinkhorn(costs, epsilon=0.5, tol=0, max_iterations=20, threads=2)

    assert np.max(solve().marginal_error) < 1e-4
    times = []
    for _ in range(1 if ONLY_SMALL else 5):
        start = time.perf_counter()
        solve()
        times.append(time.perf_counter() - start)
    rate = costs.size * 20 / statistics.median(times) / 1e9
    print(f"{rate:.2f} Gcell-it/s")
    assert ONLY_SMALL or _execution.selected() != "v4" or rate >= 8
