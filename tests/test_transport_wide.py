"""Problems with many more columns than rows, which are solved with rows for columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import InfeasibleError, Status, _execution
from oracles import transport as oracle
from oracles.compare import assert_same_bits
from refusals import put

ROWS, COLUMNS = 33, 4000
rng = np.random.default_rng(31)
COST = rng.random((ROWS, COLUMNS))
A, B = rng.random(ROWS) + 0.1, rng.random(COLUMNS) + 0.1
A[3] = B[::9] = 0
A, B = A / A.sum(), B / B.sum()


def assert_right(found: Any, p: oracle.Problem, tol: float) -> None:
    """Hold a result to the error, the cost and the value in float64 of its potentials."""
    f, g = np.asarray(found.f, np.float64), np.asarray(found.g, np.float64)
    assert found.status == Status.OK
    assert (f == -np.inf).tolist() == (p.a == 0).tolist()
    assert (g == -np.inf).tolist() == (p.b == 0).tolist()
    noise = 8 * float(np.finfo(found.f.dtype).eps)
    error = oracle.marginal_error(p, f, g)
    assert error <= tol + noise
    np.testing.assert_allclose(found.marginal_error, error, rtol=1e-2, atol=noise)
    wanted = oracle.plan(p, f, g)
    np.testing.assert_allclose(found.cost, (wanted * p.cost).sum(), rtol=1e-5)
    if p.balanced:
        assert abs(float(p.b[p.b > 0] @ g[p.b > 0])) < 1e-5


@pytest.mark.parametrize("unbalanced", [None, (0.3, 2.0)])
def test_wide_problems_are_those_of_the_turned_costs(
    unbalanced: Any, isa: str, dtype: np.dtype
) -> None:
    cost, a, b = (each.astype(dtype) for each in (COST, A, B))
    tol = oracle.REACHED[dtype.name]
    options = {"epsilon": 0.05, "tol": tol}
    with _execution.forced(isa):
        wide = coalign.sinkhorn(cost, a, b, unbalanced=unbalanced, **options)
        turned = unbalanced if unbalanced is None else unbalanced[::-1]
        tall = coalign.sinkhorn(cost.T.copy(), b, a, unbalanced=turned, **options)
    assert_right(wide, oracle.problem(cost, a, b, epsilon=0.05, unbalanced=unbalanced), tol)
    np.testing.assert_allclose(wide.value, tall.value, rtol=0, atol=5 * tol)
    np.testing.assert_allclose(wide.cost, tall.cost, rtol=0, atol=5 * tol)
    assert np.abs(wide.plan() - tall.plan().T).sum() < 5 * tol


def test_only_wide_problems_are_turned() -> None:
    # Turned, the iterations are those of the transpose; what is left of the error is as well.
    for rows, is_turned in ((ROWS, True), (COLUMNS // 8, False)):
        cost = rng.random((rows, COLUMNS))
        wide, tall = (coalign.sinkhorn(each, epsilon=0.01) for each in (cost, cost.T.copy()))
        is_same = abs(wide.marginal_error - tall.marginal_error) < 1e-6 * tall.marginal_error
        assert is_same == is_turned
    # Plain updates end with the rows, whatever the shape.
    plain = coalign.sinkhorn(COST, A, B, epsilon=0.05, tol=0, max_iterations=3)
    np.testing.assert_allclose(plain.plan().sum(axis=1), A, rtol=1e-9)


def test_threads_and_neighbours_change_no_bit(isa: str, dtype: np.dtype) -> None:
    costs = [COST.astype(dtype), COST[:, :9].astype(dtype), COST[:32].astype(dtype)]
    with _execution.forced(isa):
        alone = [coalign.sinkhorn(cost, epsilon=0.02, threads=1) for cost in costs]
    with _execution.forced(isa, work_per_thread=0):
        listed = coalign.sinkhorn(costs, epsilon=0.02, threads=2)
        shared = coalign.sinkhorn(costs[0], epsilon=0.02, threads=3)
    for p, one in enumerate(alone):
        assert_same_bits(listed.f[p], one.f)
        assert_same_bits(listed.g[p], one.g)
        assert listed.iterations[p] == one.iterations
    assert_same_bits(shared.g, alone[0].g)


def test_it_starts_from_the_potentials_of_the_rows() -> None:
    first = coalign.sinkhorn(COST, A, B, epsilon=0.02, tol=1e-9)
    again = coalign.sinkhorn(COST, A, B, epsilon=0.02, tol=1e-7, initial=first)
    assert first.iterations > 1
    assert again.iterations == 1
    np.testing.assert_allclose(again.f[A > 0], first.f[A > 0], atol=1e-8)


def test_what_is_wrong_is_told_by_rows() -> None:
    # Along the columns, the second one would come first.
    wrong = put(put(COST, (2, 30), np.nan), (5, 7), np.nan)
    with pytest.raises(ValueError, match=r"cost: NaN at index \(2, 30\)"):
        coalign.sinkhorn(wrong, epsilon=0.1)
    closed = COST.copy()
    closed[4] = np.inf
    with pytest.raises(InfeasibleError, match="row 4 has weight, and no finite cost"):
        coalign.sinkhorn(closed, A, B, epsilon=0.1)
    closed = COST.copy()
    closed[:, 8] = np.inf
    with pytest.raises(InfeasibleError, match="column 8 has weight, and no finite cost"):
        coalign.sinkhorn(closed, A, B, epsilon=0.1)


def test_what_needs_more_iterations_says_so() -> None:
    with pytest.warns(coalign.ConvergenceWarning, match="NOT_CONVERGED"):
        found = coalign.sinkhorn(COST, epsilon=1e-4, max_iterations=4)
    assert found.status == Status.NOT_CONVERGED
    assert found.iterations <= 5
