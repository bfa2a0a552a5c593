"""What follows from a transport result: plans, products, bounds and gradients."""

from __future__ import annotations

import copy
import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import coalign
from coalign import ConvergenceWarning, Status, _execution

rng = np.random.default_rng(5)
COST, SEED = rng.random((2, 5, 7))
A, B = (weights / weights.sum() for weights in (rng.random(5), rng.random(7)))
BATCH = rng.random((3, 5, 7))
LENGTHS: dict[str, Any] = {"row_lengths": [5, 3, 1], "col_lengths": [7, 1, 4]}
EPSILON = 0.1
STEP = 1e-5


def solve(cost: Any, a: Any = A, b: Any = B, **options: Any) -> coalign.Transport:
    return coalign.sinkhorn(cost, a, b, **{"epsilon": EPSILON, "tol": 1e-13, **options})


def least_cost(cost: Any, a: Any, b: Any) -> float:
    """The optimum of transport without regularisation, by linear programming."""
    n, m = cost.shape
    sums = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    bounds = [(0, 0 if np.isinf(price) else None) for price in cost.ravel()]
    finite = np.where(np.isinf(cost), 0, cost)
    found = linprog(finite.ravel(), A_eq=sums, b_eq=np.append(a, b), bounds=bounds)
    assert found.status == 0
    return float(found.fun)


def moved(cost: Any, i: int, j: int, step: float) -> Any:
    changed = cost.copy()
    changed[i, j] += step
    return changed


def derivative_by_cost(value: Any) -> Any:
    out = np.zeros_like(COST)
    for i, j in np.ndindex(*COST.shape):
        ahead, behind = (value(moved(COST, i, j, step)) for step in (STEP, -STEP))
        out[i, j] = (ahead - behind) / (2 * STEP)
    return out


def dense(found: coalign.Transport, cost: Any, epsilon: float = EPSILON) -> Any:
    return np.exp((found.f[:, np.newaxis] + found.g - cost) / epsilon)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_plan_is_that_of_the_potentials(dtype: Any, isa: str) -> None:
    cost = COST.astype(dtype)
    cost[2, 3] = np.inf
    found = coalign.sinkhorn(cost, epsilon=EPSILON)
    plan = found.plan()
    assert plan.dtype == dtype
    assert plan[2, 3] == 0
    np.testing.assert_allclose(
        plan, dense(found, cost), rtol=1e-5 if dtype == np.float32 else 1e-12
    )


def test_products_are_those_of_the_plan() -> None:
    found = solve(COST, a=[0.0, *A[1:] / A[1:].sum()])
    plan, v, w = found.plan(), rng.random((7, 3)), rng.random((5, 3))
    np.testing.assert_allclose(found.apply(v), plan @ v, rtol=1e-13)
    np.testing.assert_allclose(found.apply(v[:, 0]), plan @ v[:, 0], rtol=1e-13)
    np.testing.assert_allclose(found.apply(w, transpose=True), plan.T @ w, rtol=1e-13)
    assert found.apply(v.astype(np.float32)[:, ::-1]).shape == (5, 3)
    # A row without weight takes nothing of an infinite value.
    assert found.apply(np.full(7, np.inf))[0] == 0


def test_large_plans_are_followed_on_lanes_and_threads(
    isa: str, dtype: np.dtype[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = rng.random((301, 517)).astype(dtype)
    v = rng.random((517, 11)).astype(dtype)
    found = coalign.sinkhorn(cost, epsilon=EPSILON)
    wanted = dense(found.__replace__(f=found.f.astype(np.float64)), cost.astype(np.float64))
    exact = 1e-5 if dtype == np.float32 else 1e-12

    def every(threads: str) -> list[Any]:
        monkeypatch.setenv("COALIGN_NUM_THREADS", threads)
        with _execution.forced(isa=isa, work_per_thread=0.0):
            return [found.plan(), found.apply(v), found.apply(v[:, 0]), found.hard()]

    single, shared = every("1"), every("3")
    for one, other in zip(single, shared, strict=True):
        assert np.array_equal(one, other)
    plan, products, product, hard = single
    np.testing.assert_allclose(plan, wanted, rtol=exact)
    np.testing.assert_allclose(products, wanted @ v.astype(np.float64), rtol=exact)
    np.testing.assert_allclose(product, products[:, 0], rtol=exact)
    assert hard.tolist() == wanted.argmax(axis=1).tolist()


def test_the_hard_choice_is_the_most_of_a_row() -> None:
    found = solve(COST, a=[0.0, *A[1:] / A[1:].sum()])
    assert found.hard().tolist() == [-1, *found.plan()[1:].argmax(axis=1)]
    assert coalign.sinkhorn(np.ones((2, 3)), epsilon=1.0).hard().tolist() == [0, 0]
    # Where every part of the plan is below the least number, the exponents still differ.
    faint = found.__replace__(f=found.f - 100)
    assert faint.plan().max() == 0
    assert faint.hard().tolist() == found.hard().tolist()


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("tol", [0.3, 1e-4])
def test_bounds_hold_the_optimum_between_them(epsilon: float, tol: float) -> None:
    lower, upper = solve(COST, epsilon=epsilon, tol=tol).bounds()
    best = least_cost(COST, A, B)
    assert lower <= best + 1e-12
    assert best <= upper + 1e-12
    if tol < 0.1:
        assert upper - lower < 3 * epsilon


def test_bounds_hold_for_any_potentials() -> None:
    best = least_cost(COST, A, B)
    for _ in range(20):
        f, g = rng.normal(size=5), rng.normal(size=7)
        lower, upper = solve(COST).__replace__(f=f, g=g).bounds()
        assert lower <= best <= upper
    # A single row has one plan: rounding alone is between the bounds.
    single = solve(COST[:1], a=[1.0])
    lower, upper = single.bounds()
    assert lower <= COST[0] @ B <= upper
    assert 0 < upper - lower < 1e-12


def test_a_feasible_plan_meets_its_marginals() -> None:
    for tol, epsilon in product((0.5, 1e-3), (1.0, 0.05)):
        found = solve(COST, epsilon=epsilon, tol=tol)
        plan = found.feasible_plan()
        assert plan.dtype == np.float64
        assert plan.min() >= 0
        np.testing.assert_allclose(plan.sum(axis=1), A, rtol=1e-14)
        np.testing.assert_allclose(plan.sum(axis=0), B, rtol=1e-14)
        assert (plan * COST).sum() <= found.bounds()[1]
    # Rows and columns that have too much, as no iteration leaves them.
    for _ in range(5):
        far = found.__replace__(f=rng.normal(size=5), g=rng.normal(size=7)).feasible_plan()
        assert far.min() >= 0
        np.testing.assert_allclose(far.sum(axis=1), A, rtol=1e-12)
        np.testing.assert_allclose(far.sum(axis=0), B, rtol=1e-12)


def test_forbidden_pairs_stay_forbidden_in_a_feasible_plan() -> None:
    cost = COST.copy()
    cost[0, :3] = cost[1, 5] = np.inf
    found = solve(cost, epsilon=0.01, tol=1e-3)
    plan = found.feasible_plan()
    assert (plan[np.isinf(cost)] == 0).all()
    np.testing.assert_allclose(plan.sum(axis=1), A, rtol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), B, rtol=1e-12)
    lower, upper = found.bounds()
    best = least_cost(cost, A, B)
    assert lower <= best + 1e-12
    assert best - 1e-12 <= upper < best + 0.01


def test_what_has_no_other_room_costs_infinitely_much() -> None:
    cost = np.array([[0.0, np.inf], [np.inf, 0.0]])
    with pytest.warns(ConvergenceWarning):
        found = coalign.sinkhorn(cost, [0.4, 0.6], [0.5, 0.5], epsilon=1.0, max_iterations=50)
    assert found.bounds()[1] == np.inf
    np.testing.assert_allclose(found.feasible_plan(), [[0.4, 0.0], [0.1, 0.5]], atol=1e-15)


@pytest.mark.parametrize("unbalanced", [None, 2.0, (1.0, 3.0), (np.inf, 0.5)])
def test_gradients_are_those_of_finite_differences(unbalanced: Any) -> None:
    found = solve(COST, unbalanced=unbalanced)
    gradients = found.gradients()
    by_cost = derivative_by_cost(lambda cost: solve(cost, unbalanced=unbalanced).value)
    np.testing.assert_allclose(gradients.cost, by_cost, atol=1e-8)
    for side, ours in ((0, gradients.a), (1, gradients.b)):
        is_free = unbalanced is not None and np.isfinite(np.broadcast_to(unbalanced, 2)).all()
        if unbalanced is not None and not is_free and side == 0:
            continue
        for i, direction in enumerate(np.eye(len(ours))):
            # Balanced, the masses stay equal.
            step = direction if is_free or unbalanced else direction - np.roll(direction, 1)
            weights = [[A, B], [A, B]]
            weights[0][side], weights[1][side] = (
                (A, B)[side] + STEP * step,
                (A, B)[side] - STEP * step,
            )
            ahead, behind = (solve(COST, *each, unbalanced=unbalanced).value for each in weights)
            assert (ahead - behind) / (2 * STEP) == pytest.approx(ours @ step, abs=1e-8), (side, i)


def test_a_weight_of_zero_has_a_gradient() -> None:
    a = np.append(A[:4] / A[:4].sum(), 0)
    found = solve(COST, a)
    step = 1e-6 * np.array([-1.0, 0, 0, 0, 1])
    slope = (solve(COST, a + step).value - found.value) / 1e-6
    gradient = found.gradients().a
    assert slope == pytest.approx(gradient[4] - gradient[0], abs=1e-5)


@pytest.mark.parametrize("unbalanced", [None, 2.0, (np.inf, 0.5)])
def test_pulled_back_plans_are_those_of_finite_differences(unbalanced: Any) -> None:
    found = solve(COST, unbalanced=unbalanced).plan_vjp(SEED)
    wanted = derivative_by_cost(
        lambda cost: (solve(cost, unbalanced=unbalanced).plan() * SEED).sum()
    )
    np.testing.assert_allclose(found.cost, wanted, atol=1e-8)
    assert np.abs(wanted).max() > 0.01
    assert found.residual < 1e-12


def test_a_plan_that_falls_apart_has_a_gradient() -> None:
    cost = np.full((4, 4), np.inf)
    cost[:2, :2], cost[2:, 2:] = COST[:2, :2], COST[2:4, 2:4]
    uniform = np.full(4, 0.25)
    found = solve(cost, uniform, uniform).plan_vjp(SEED[:4, :4])
    assert np.isfinite(found.cost).all()
    assert found.residual < 1e-12
    block = solve(COST[:2, :2], uniform[:2], uniform[:2]).plan_vjp(SEED[:2, :2])
    np.testing.assert_allclose(found.cost[:2, :2], block.cost, atol=1e-12)


def test_gradients_of_a_large_plan_are_found_on_lanes_and_threads(
    isa: str, dtype: np.dtype[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two chunks of rows.
    n, m = 203, 651
    cost, seed = (rng.random((n, m)).astype(dtype) for _ in range(2))
    a, b = np.full(n, 1 / (n - 1), dtype), np.full(m, 1 / (m - 2), dtype)
    a[7] = b[3] = b[200] = 0
    found = coalign.sinkhorn(cost, a, b, epsilon=EPSILON)

    def every(threads: str) -> list[Any]:
        monkeypatch.setenv("COALIGN_NUM_THREADS", threads)
        with _execution.forced(isa=isa, work_per_thread=0.0) as runs:
            pulled, by_weights = found.plan_vjp(seed), found.gradients()
        assert max(run.workers for run in runs) == int(threads)
        return [pulled.cost, pulled.residual, by_weights.a, by_weights.b]

    single, shared = every("1"), every("3")
    for one, other in zip(single, shared, strict=True):
        assert np.array_equal(one, other)
    by_cost, residual, by_a, by_b = single
    assert residual < 1e-11
    # The multipliers of the rows and the columns, from the dense system.
    plan, wide = found.plan().astype(np.float64), seed.astype(np.float64)
    rows, columns = plan.sum(axis=1), plan.sum(axis=0)
    system = np.block([[np.diag(rows), plan], [plan.T, np.diag(columns)]])
    sums = np.concatenate([(plan * wide).sum(axis=1), (plan * wide).sum(axis=0)])
    x, y = np.split(np.linalg.lstsq(system, sums, rcond=1e-13)[0], [n])
    wanted = plan * (x[:, np.newaxis] + y - wide) / EPSILON
    np.testing.assert_allclose(by_cost, wanted, atol=1e-9 if dtype == np.float64 else 1e-7)
    assert np.abs(wanted).max() > 1e-6
    # Without a weight, the soft transform of the other side's potentials.
    f, g, costs = (each.astype(np.float64) for each in (found.f, found.g, cost))
    for ours, others, lines in ((by_a[7], g, costs[7]), (by_b[200], f, costs[:, 200])):
        transform = -EPSILON * np.log(np.exp((others - lines) / EPSILON).sum())
        assert ours == pytest.approx(transform, rel=1e-5 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("is_list", [False, True])
def test_each_problem_of_a_batch_is_as_it_is_alone(is_list: bool) -> None:
    shapes = list(zip(LENGTHS["row_lengths"], LENGTHS["col_lengths"], strict=True))
    parts = [BATCH[p, :n, :m] for p, (n, m) in enumerate(shapes)]
    alone = [coalign.sinkhorn(part, epsilon=EPSILON) for part in parts]
    given: Any = parts if is_list else np.full(BATCH.shape, np.nan)
    seeds: Any = [part**2 for part in parts] if is_list else BATCH**2
    for item, part in zip(given, parts, strict=True):
        item[tuple(map(slice, part.shape))] = part
    found = coalign.sinkhorn(given, epsilon=EPSILON, **({} if is_list else LENGTHS))
    ones: Any = [np.ones((m, 2)) for _, m in shapes] if is_list else np.ones((3, 7, 2))
    tried = (
        (found.plan(), [each.plan() for each in alone]),
        (found.feasible_plan(), [each.feasible_plan() for each in alone]),
        (found.hard(), [each.hard() for each in alone]),
        (found.gradients().a, [each.gradients().a for each in alone]),
        (
            found.plan_vjp(seeds).cost,
            [e.plan_vjp(p**2).cost for e, p in zip(alone, parts, strict=True)],
        ),
        (
            found.apply(ones),
            [e.apply(np.ones((p.shape[1], 2))) for e, p in zip(alone, parts, strict=True)],
        ),
    )
    for ours, theirs in tried:
        for mine, other in zip(ours, theirs, strict=True):
            within = tuple(map(slice, other.shape))
            assert np.array_equal(mine[within], other)
            if not is_list:
                padding = np.ones(mine.shape, bool)
                padding[within] = False
                assert (mine[padding] == (-1 if mine.dtype == np.int64 else 0)).all()
    np.testing.assert_array_equal(found.bounds(), np.transpose([each.bounds() for each in alone]))


def test_no_problems_have_no_plans() -> None:
    for none, v in (([], []), (np.zeros((0, 4, 3)), np.zeros((0, 3)))):
        found = coalign.sinkhorn(none, epsilon=1.0)
        assert len(found.plan()) == len(found.hard()) == len(found.apply(v)) == 0
        assert len(found.bounds()[0]) == len(found.plan_vjp(none).residual) == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: t.apply(np.ones(5)), ValueError, r"v: expected a .* of 7 along axis 0"),
        (lambda t: t.apply([np.ones(7)]), TypeError, "v: expected an array like the cost"),
        (lambda t: t.apply(np.ones(7), transpose=1), TypeError, "transpose: expected a bool"),
        (
            lambda t: t.plan_vjp(np.ones((5, 6))),
            ValueError,
            r"seed: expected the shape of the cost",
        ),
        (
            lambda t: t.__replace__(unbalanced=1.0).bounds(),
            ValueError,
            "bounds: expected a balanced",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(solve(COST))


def test_a_copy_has_the_same_plan() -> None:
    found = solve(COST)
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), copy.copy(found)):
        assert np.array_equal(twin.plan(), found.plan())
    assert not found.__replace__(tol=0.0).converged


def test_converged_is_the_error_and_nothing_else() -> None:
    with pytest.warns(ConvergenceWarning, match=r"sinkhorn: 1 of 2 problems need more iterations"):
        found = coalign.sinkhorn([COST, np.zeros((2, 2))], epsilon=1e-3, max_iterations=2)
    assert found.converged.tolist() == [False, True]
    assert found.status.tolist() == [Status.NOT_CONVERGED, Status.OK]
    with pytest.warns(ConvergenceWarning, match=r"as their dtype allows, .*\(PRECISION_LIMIT\)"):
        rounded = coalign.sinkhorn(COST.astype(np.float32), epsilon=1e-3, tol=1e-12)
    assert rounded.status == Status.PRECISION_LIMIT
    with pytest.raises(ArithmeticError, match="the dtype cannot hold"):
        rounded.check()
    assert coalign.sinkhorn(COST, epsilon=1e-3, tol=0.0, max_iterations=2).status == Status.OK
