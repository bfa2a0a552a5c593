"""What one small call costs, beside the peers; and what no ratio of two contenders can say."""

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
from cases_calls import MOST_IMPORT, MOST_PER_ITEM, SUITE
from contest import ONLY_SMALL, Case, Contender

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("case", "contender"), SUITE.parameters())
def test_calls(case: Case, contender: Contender, benchmark: Any) -> None:
    SUITE.describe(case, contender, benchmark)
    given, judge = contender.prepare(case.problem.data(3)), case.peers[0]
    found = benchmark(contender.load(), *given)
    expected = judge.costs(given, judge.load()(*given))
    rtol = SUITE.tolerance["float64"]
    np.testing.assert_allclose(contender.costs(given, found), expected, rtol=rtol, atol=0)


def median_time(call: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def test_a_list_costs_little_more_than_an_array() -> None:
    count = 1000
    batch = np.random.default_rng(3).random((count, 10, 10))
    items = list(batch)
    rounds = 1 if ONLY_SMALL else 30
    by_list = median_time(lambda: coalign.assign(items, threads=1).total, rounds)
    by_array = median_time(lambda: coalign.assign(batch, threads=1).total, rounds)
    more = (by_list - by_array) / count
    print(f"a list of {count}: {more * 1e6:.3f} us an item beyond the array's time")
    found = coalign.assign(items).total
    np.testing.assert_array_equal(found, coalign.assign(batch).total)
    assert ONLY_SMALL or more <= MOST_PER_ITEM


@pytest.mark.parametrize("name", ["__version__", "assign", "ctc_loss", "dtw", "sinkhorn"])
def test_the_import_is_quick(name: str) -> None:
    code = (
        f"import numpy, time; start = time.perf_counter(); from coalign import {name}; "
        "print(time.perf_counter() - start)"
    )

    def once() -> float:
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)

    taken = statistics.median(once() for _ in range(1 if ONLY_SMALL else 9))
    print(f"from coalign import {name}: {taken * 1e3:.1f} ms beyond NumPy's")
    assert taken > 0
    assert ONLY_SMALL or taken <= MOST_IMPORT
