"""The k best matchings, against every matching there is."""

import itertools
import math

import numpy as np
import pytest
from scipy import sparse

from coalign import InfeasibleError, Status, assign, assign_top_k

#: Of a total, relative to the sum of the pairs' magnitudes: a sum of a few float64.
TOTAL = 1e-12


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def every_total(cost):
    """List the totals of all finite matchings of the shorter side, ascending."""
    cost = np.asarray(cost, np.float64)
    if cost.shape[0] > cost.shape[1]:
        cost = cost.T
    rows = np.arange(cost.shape[0])
    ways = itertools.permutations(range(cost.shape[1]), cost.shape[0])
    totals = [cost[rows, list(way)].sum() for way in ways]
    return sorted(total for total in totals if math.isfinite(total))


def assert_ranking(found, cost, k):
    """Check against all matchings: as many, each once, each of its total, the totals the least."""
    sign = -1 if found.maximize else 1
    wanted = np.full(min(k, math.perm(max(cost.shape), min(cost.shape))), np.inf)
    totals = every_total(sign * np.asarray(cost))[:k]
    wanted[: len(totals)] = totals
    np.testing.assert_allclose(sign * found.total, wanted, rtol=TOTAL, atol=TOTAL)
    assert (np.diff(sign * found.total[: len(totals)]) >= 0).all()
    assert found.col_of_row.shape == (len(wanted), cost.shape[0])
    assert found.status == (Status.OK if totals else Status.INFEASIBLE)
    matchings = found.col_of_row[: len(totals)]
    assert len({tuple(columns) for columns in matchings.tolist()}) == len(totals)
    assert (found.col_of_row[len(totals) :] == -1).all()
    for columns, total in zip(matchings, found.total, strict=False):
        rows = np.flatnonzero(columns >= 0)
        assert len(rows) == len(np.unique(columns[rows])) == min(cost.shape)
        assert cost[rows, columns[rows]].sum(dtype=float) == pytest.approx(total, rel=TOTAL)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("values", ["uniform", "integers", "constant", "forbidden"])
def test_small_problems_against_all_matchings(rng, maximize, dtype, values):
    for shape in itertools.product(range(1, 6), repeat=2):
        cost = rng.uniform(-1, 1, shape)
        if values == "integers":
            cost = rng.integers(0, 4, shape)
        if values == "constant":
            cost = np.full(shape, 3.0)
        if values == "forbidden":
            cost[rng.random(shape) < 0.4] = -np.inf if maximize else np.inf
        cost = cost.astype(dtype)
        for k in (1, 4, 130):
            assert_ranking(assign_top_k(cost, k, maximize=maximize), cost, k)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 6), (2, 9)])
def test_free_columns_come_in_by_their_cost(rng, shape):
    for _ in range(20):
        cost = rng.random(shape)
        assert_ranking(assign_top_k(cost, 25), cost, 25)


def test_every_matching_comes_in_the_end():
    cost = np.random.default_rng(3).random((6, 6))
    assert_ranking(assign_top_k(cost, 721), cost, 721)


@pytest.mark.parametrize("shape", [(40, 40), (30, 45), (45, 30)])
def test_larger_problems_begin_with_the_best_and_ascend(rng, shape):
    cost = rng.random(shape)
    found = assign_top_k(cost, 50)
    assert found.total[0] == pytest.approx(assign(cost).total, rel=TOTAL)
    assert (np.diff(found.total) >= 0).all()
    assert len(np.unique(found.col_of_row, axis=0)) == 50
    # The second best gives up at least one pair of the best: solve for each of them.
    best = assign(cost)
    totals = []
    for row, column in best.pairs():
        without = cost.copy()
        without[row, column] = np.inf
        totals.append(assign(without).total)
    assert found.total[1] == pytest.approx(min(totals), rel=TOTAL)


def test_the_first_of_many_are_those_of_few(rng):
    cost = rng.random((12, 15))
    few, many = assign_top_k(cost, 5), assign_top_k(cost, 200)
    np.testing.assert_allclose(few.total, many.total[:5], rtol=TOTAL)
    np.testing.assert_array_equal(few.col_of_row, many.col_of_row[:5])


def test_no_matching_at_all_is_none_of_them():
    found = assign_top_k([[1.0, np.inf], [2.0, np.inf]], 3)
    assert found.total.tolist() == [np.inf] * 2
    assert (found.col_of_row == -1).all()
    assert assign_top_k([[-np.inf]], 1, maximize=True).total.tolist() == [-np.inf]


def test_a_status_says_which_problem_has_no_matching():
    batch = np.ones((3, 2, 2))
    batch[1, :, 0] = np.inf
    for given in (batch, list(batch)):
        found = assign_top_k(given, 2)
        assert found.status.dtype == np.int32
        assert found.status.tolist() == [Status.OK, Status.INFEASIBLE, Status.OK]
        assert found.total[:, 0].tolist() == [2, np.inf, 2]
        with pytest.raises(InfeasibleError, match=r"\Aproblem 1: no matching\Z"):
            found.check()
    fine = assign_top_k(batch[0], 2)
    assert fine.check() is fine


def test_a_first_total_without_proof_warns():
    cost = np.full((70, 70), 1.7e308)
    cost[:, ::2] = -1.7e308
    with pytest.warns(RuntimeWarning, match=r"\Aassign_top_k: 1 of 2 totals could not") as caught:
        found = assign_top_k([cost, np.ones((2, 2))], 2)
    assert caught[0].filename == __file__
    assert found.status.tolist() == [Status.PRECISION_LIMIT, Status.OK]
    with pytest.raises(ArithmeticError, match="problem 0: the total could not be proved"):
        found.check()


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_an_empty_problem_has_one_matching(shape):
    found = assign_top_k(np.zeros(shape), 2)
    assert found.total.tolist() == [0]
    assert found.col_of_row.shape == (1, shape[0])


def test_no_more_rows_come_than_there_are_matchings():
    most = 10**9
    found = assign_top_k(np.random.default_rng(4).random((3, 3)), most)
    assert found.col_of_row.shape == (6, 3)
    assert np.isfinite(found.total).all()
    assert assign_top_k(np.ones((3, 5)), most).total.shape == (60,)
    assert assign_top_k(np.ones((5, 2)), most).total.shape == (20,)
    # Far more matchings than any number holds are not counted one by one.
    assert assign_top_k(np.eye(300), 2).total.shape == (2,)
    # The largest problem of a batch decides; the others are filled.
    batch = np.ones((2, 3, 3))
    padded = assign_top_k(batch, most, row_lengths=[2, 1], col_lengths=[2, 3])
    assert padded.total.tolist() == [[2, 2, np.inf], [1, 1, 1]]
    assert padded.col_of_row.shape == (2, 3, 3)
    listed = assign_top_k([batch[0, :2, :2], batch[1, :1]], most)
    assert listed.total.tolist() == padded.total.tolist()
    assert [columns.shape for columns in listed.col_of_row] == [(3, 2), (3, 1)]
    assert assign_top_k([], most).total.shape[0] == 0


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array, sparse.coo_matrix])
def test_sparse_costs_are_ranked(rng, make, maximize):
    # A quarter and three quarters of each entry: duplicates add up. A stored zero is a cost.
    dense = rng.integers(0, 5, (5, 6)).astype(float)
    rows, columns = np.nonzero(rng.random((5, 6)) < 0.7)
    costs = dense[rows, columns]
    at = (np.tile(rows, 2), np.tile(columns, 2))
    stored = make((np.concatenate([costs * 0.25, costs * 0.75]), at), shape=dense.shape)
    cost = np.full(dense.shape, -np.inf if maximize else np.inf)
    cost[rows, columns] = costs
    found, wanted = (assign_top_k(c, 9, maximize=maximize) for c in (stored, cost))
    np.testing.assert_array_equal(found.total, wanted.total)
    np.testing.assert_array_equal(found.col_of_row, wanted.col_of_row)
    listed = assign_top_k([stored, stored.T.tocsr()], 9, maximize=maximize)
    np.testing.assert_array_equal(listed.total, [wanted.total] * 2)


def test_sparse_costs_that_cannot_be_ranked_are_refused():
    cost = sparse.csr_array(np.eye(3))
    with pytest.raises(
        TypeError, match=r"\Acost: expected .* CSR, CSC or COO .*; pass cost\.tocsr"
    ):
        assign_top_k(cost.todia(), 2)
    with pytest.raises(ValueError, match="row_lengths: only a padded batch takes lengths"):
        assign_top_k(cost, 2, row_lengths=[3])
    cost.data[1] = np.nan
    with pytest.raises(ValueError, match=r"\Acost: NaN at index \(1, 1\); expected finite costs"):
        assign_top_k(cost, 2)
    cost.indices[0] = 7
    with pytest.raises(ValueError, match="indices"):
        assign_top_k(cost, 2)


def test_wrong_arguments_are_named():
    cost = np.ones((2, 2))
    with pytest.raises(ValueError, match="k: expected a number from 1"):
        assign_top_k(cost, 0)
    with pytest.raises(TypeError, match="k: expected an integer, got float"):
        assign_top_k(cost, 2.0)
    with pytest.raises(ValueError, match="cost: expected a 2-D or 3-D array"):
        assign_top_k(np.ones(3), 1)
    with pytest.raises(TypeError, match="maximize: expected a bool"):
        assign_top_k(cost, 1, maximize=1)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3)])
@pytest.mark.parametrize("maximize", [False, True])
def test_bad_values_are_named_by_their_index(shape, maximize):
    for value, words in ((np.nan, "NaN"), (np.inf if maximize else -np.inf, "inf")):
        cost = np.ones(shape)
        cost[2, 1] = value
        with pytest.raises(ValueError, match=rf"cost: -?{words} at index \(2, 1\)"):
            assign_top_k(cost, 2, maximize=maximize)
        with pytest.raises(ValueError, match=rf"cost: -?{words} at index \(1, 2, 1\)"):
            assign_top_k(np.stack([np.ones(shape), cost]), 2, maximize=maximize)
