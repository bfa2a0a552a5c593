"""bench/murty.py, the peer of the k cheapest matchings, against every matching there is."""

from itertools import permutations

import numpy as np
import pytest

import murty


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 4), (3, 5)])
def test_the_totals_are_those_of_all_matchings_in_order(shape):
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


def test_the_costs_stay_as_they_were():
    costs = np.random.default_rng(8).random((5, 6))
    before = costs.copy()
    murty.cheapest(costs, 9)
    np.testing.assert_array_equal(costs, before)
