"""Entropic barycenters against their definition, linear programming, and what must not matter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import ConvergenceWarning, InfeasibleError, Status
from coalign._execution import available, forced
from oracles import transport as oracle
from refusals import put

rng = np.random.default_rng(12)
A = rng.random((3, 8))
A /= A.sum(axis=1, keepdims=True)
COST = rng.random((8, 6))
SHARES = np.array([0.5, 0.2, 0.3])
PLACE = np.linspace(0, 1, 60)
SQUARES = (PLACE[:, np.newaxis] - PLACE) ** 2


def bump(mean: float, width: float) -> Any:
    weights = np.exp(-(((PLACE - mean) / width) ** 2) / 2)
    return weights / weights.sum()


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.02])
def test_it_meets_the_oracle(isa: str, dtype: Any, epsilon: float) -> None:
    a, cost = A.astype(dtype), COST.astype(dtype)
    wanted = oracle.barycenter(a / a.sum(1, keepdims=True), cost.astype(float), SHARES, epsilon)
    tol = 1e-10 if dtype == np.float64 else 1e-5
    with forced(isa=isa):
        found = coalign.sinkhorn_barycenter(a, cost, weights=3 * SHARES, epsilon=epsilon, tol=tol)
    assert bool(found.converged)
    assert found.weights.dtype == dtype
    np.testing.assert_allclose(found.weights, wanted, atol=1e-8 if dtype == np.float64 else 2e-5)
    assert found.weights.sum(dtype=float) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("epsilon", [3e-3, 1e-3])
def test_it_meets_the_oracle_where_scalings_leave_the_range(epsilon: float) -> None:
    a = np.array([bump(0.3, 0.04), bump(0.6, 0.05)])
    shares = np.array([0.4, 0.6])
    wanted = oracle.barycenter(a, SQUARES, shares, epsilon)
    found = coalign.sinkhorn_barycenter(a, SQUARES, weights=shares, epsilon=epsilon, tol=1e-7)
    assert bool(found.converged)
    np.testing.assert_allclose(found.weights, wanted, atol=1e-5)


def test_it_becomes_that_of_linear_programming() -> None:
    wanted = oracle.barycenter_linear_program(A, COST, SHARES)
    found = coalign.sinkhorn_barycenter(A, COST, weights=SHARES, epsilon=1e-3, tol=1e-7)
    costs = [oracle.linear_program(oracle.problem(COST, a, found.weights, epsilon=1)) for a in A]
    assert float(SHARES @ costs) == pytest.approx(wanted, abs=5e-3)
    assert float(SHARES @ costs) >= wanted - 1e-6


def test_one_histogram_alone_is_moved_as_is_cheapest() -> None:
    # With one histogram nothing holds the columns: a row goes where exp(-c / epsilon) sends it.
    kernel = np.exp(-COST / 0.3)
    wanted = A[0] @ (kernel / kernel.sum(axis=1, keepdims=True))
    found = coalign.sinkhorn_barycenter(A[:1], COST, epsilon=0.3)
    np.testing.assert_allclose(found.weights, wanted, rtol=1e-12)
    # And a share of 0 is no share.
    found = coalign.sinkhorn_barycenter(A, COST, weights=[1.0, 0.0, 0.0], epsilon=0.3)
    np.testing.assert_allclose(found.weights, wanted, rtol=1e-12)


def test_between_bumps_lies_a_bump() -> None:
    ends = np.array([bump(0.2, 0.05), bump(0.7, 0.05)])
    for share in (0.0, 0.25, 0.5, 1.0):
        found = coalign.sinkhorn_barycenter(ends, SQUARES, weights=[1 - share, share], epsilon=1e-3)
        mean = float(found.weights @ PLACE)
        assert mean == pytest.approx(0.2 + 0.5 * share, abs=2e-3)
        assert (found.weights @ (PLACE - mean) ** 2) ** 0.5 < 0.07


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1e-4, 1e-2, 1.0, 1e4, 1e9])
def test_it_is_never_nan(dtype: Any, epsilon: float) -> None:
    a = np.zeros((2, 60), dtype)
    a[0, 3] = a[1, 57] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = coalign.sinkhorn_barycenter(
            a, (1e4 * SQUARES).astype(dtype), epsilon=epsilon, max_iterations=200
        )
    assert np.isfinite(found.weights).all()
    assert found.weights.sum() == pytest.approx(2, rel=1e-5)
    assert not np.isnan(found.marginal_error)
    assert (found.status == Status.OK) == found.converged
    if epsilon <= 1:
        assert int(found.weights.argmax()) == 30


def test_plain_updates_lose_no_column_at_a_small_epsilon() -> None:
    a = np.zeros((2, 60))
    a[0, 3] = a[1, 57] = 1
    # From either end, the middle has a share of exp(-2000) at first.
    found = coalign.sinkhorn_barycenter(a, SQUARES, epsilon=1e-4, tol=0, max_iterations=20)
    assert int(found.weights.argmax()) == 30
    assert found.weights[30] > 0.5


def test_forbidden_pairs() -> None:
    cost = COST.copy()
    cost[:, 2] = np.inf
    found = coalign.sinkhorn_barycenter(A, cost, epsilon=0.1, tol=1e-9)
    assert found.weights[2] == 0
    wanted = coalign.sinkhorn_barycenter(A, np.delete(cost, 2, 1), epsilon=0.1, tol=1e-9)
    np.testing.assert_allclose(np.delete(found.weights, 2), wanted.weights, atol=1e-8)
    # A column that one histogram cannot reach is closed to all.
    split = np.full((2, 2), np.inf)
    split[0, 0] = split[1, 1] = 0
    with pytest.raises(InfeasibleError, match="no finite cost against a column that all"):
        coalign.sinkhorn_barycenter([[1.0, 0.0], [0.0, 1.0]], split, epsilon=0.1)
    # A histogram without a share closes none.
    found = coalign.sinkhorn_barycenter(
        [[1.0, 0.0], [0.0, 1.0]], split, weights=[1.0, 0.0], epsilon=0.1
    )
    assert found.weights.tolist() == [1, 0]


def test_batches_lists_and_one_cost_for_all() -> None:
    given = [A, A[:2], A[1:]]
    alone = [coalign.sinkhorn_barycenter(a, COST, epsilon=0.1) for a in given]
    listed = coalign.sinkhorn_barycenter(given, COST, epsilon=0.1, threads=2)
    for p, each in enumerate(alone):
        np.testing.assert_array_equal(listed.weights[p], each.weights)
        assert listed.iterations[p] == each.iterations
    batch = coalign.sinkhorn_barycenter(
        np.stack([A, A[::-1]]), COST, weights=np.array([SHARES, SHARES[::-1]]), epsilon=[0.1, 0.1]
    )
    assert batch.weights.shape == (2, 6)
    np.testing.assert_allclose(batch.weights[0], batch.weights[1], atol=1e-6)
    many = coalign.sinkhorn_barycenter(A, np.stack([COST, 2 * COST]), epsilon=[0.1, 0.2])
    np.testing.assert_array_equal(many.weights[0], alone[0].weights)
    np.testing.assert_allclose(many.weights[1], alone[0].weights, atol=1e-6)
    assert coalign.sinkhorn_barycenter([], COST, epsilon=1.0).weights == []


def test_threads_do_not_change_a_large_problem() -> None:
    a = rng.random((3, 700))
    a /= a.sum(axis=1, keepdims=True)
    cost = rng.random((700, 500))
    for epsilon in (0.05, 1e-3):
        found = []
        for threads in (1, 2):
            with forced(work_per_thread=0), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found.append(
                    coalign.sinkhorn_barycenter(
                        a, cost, epsilon=epsilon, max_iterations=40, threads=threads
                    ).weights
                )
        np.testing.assert_array_equal(*found)


def test_tol_0_makes_so_many_plain_updates() -> None:
    found = coalign.sinkhorn_barycenter(A, COST, epsilon=0.1, tol=0, max_iterations=4)
    assert found.iterations == 4
    assert found.status == Status.OK
    columns = np.ones((3, 6))
    kernel = np.exp(-COST / 0.1)
    for _ in range(4):
        sums = (A / (columns @ kernel.T)) @ kernel
        wanted = np.exp(np.log(sums).mean(0))
        columns = wanted / sums
    np.testing.assert_allclose(found.weights, wanted / wanted.sum(), rtol=1e-10)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a": -A}, r"a: -.* at index \(0, 0\); expected finite weights of at least 0"),
        ({"a": 0 * A}, r"a: expected histograms of a finite mass above 0, got 0 at index \(0,\)"),
        ({"a": A * [[1], [2], [1]]}, r"a: expected histograms of equal mass, .* got 2 at index"),
        ({"cost": COST[:5]}, "cost: expected a row for each of the 8 weights .* got 5 rows"),
        ({"cost": put(COST, (1, 2), np.nan)}, r"cost: NaN at index \(1, 2\)"),
        ({"weights": [1.0, 2.0]}, r"weights: expected shape \(3,\), got \(2,\)"),
        ({"weights": [1.0, -2.0, 1.0]}, r"weights: -2 at index \(1,\); expected finite weights"),
        ({"weights": [0.0, 0.0, 0.0]}, "weights: expected a finite mass above 0, got 0"),
        ({"epsilon": 0.0}, "epsilon: expected a finite number above 0, got 0"),
        ({"tol": np.nan}, "tol: expected a number, got NaN"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], words: str) -> None:
    call = {"a": A, "cost": COST, "epsilon": 0.1, **changes}
    with pytest.raises(ValueError, match=words):
        coalign.sinkhorn_barycenter(**call)


def test_what_does_not_get_there_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match="sinkhorn_barycenter: 1 of 1") as caught:
        found = coalign.sinkhorn_barycenter(A, COST, epsilon=1e-3, max_iterations=2)
    assert caught[0].filename == __file__
    assert found.status == Status.NOT_CONVERGED
    with pytest.warns(ConvergenceWarning, match="PRECISION_LIMIT"):
        found = coalign.sinkhorn_barycenter(
            A.astype(np.float32), COST.astype(np.float32), epsilon=0.5, tol=1e-12
        )
    with pytest.raises(ArithmeticError, match="the dtype cannot hold"):
        found.check()
