"""bench/murty.py, the peer of the k cheapest matchings, against every matching there is."""

import importlib.util
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

SOURCE = Path(__file__).resolve().parents[1] / "bench" / "murty.py"


@pytest.fixture(scope="module")
def murty():
    spec = importlib.util.spec_from_file_location("bench_murty", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 4), (3, 5)])
def test_the_totals_are_those_of_all_matchings_in_order(murty, shape):
    rng = np.random.default_rng(7)
    rows, columns = shape
    for forbidden in (False, True):
        costs = rng.random(shape)
        if forbidden:
            costs[rng.random(shape) < 0.3] = np.inf
        every = [costs[range(rows), chosen].sum() for chosen in permutations(range(columns), rows)]
        every = np.sort([sum_ for sum_ in every if np.isfinite(sum_)])
        np.testing.assert_allclose(
            murty.cheapest(costs, len(every) + 2), [*every, np.inf, np.inf], rtol=1e-12
        )


def test_the_costs_stay_as_they_were(murty):
    costs = np.random.default_rng(8).random((5, 6))
    before = costs.copy()
    murty.cheapest(costs, 9)
    np.testing.assert_array_equal(costs, before)
