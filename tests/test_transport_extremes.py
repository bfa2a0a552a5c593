"""Inputs at which others give NaN, stop short, or wrongly say that they have converged."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import Status, _execution
from oracles import transport as oracle
from oracles.compare import assert_same_bits
from test_transport_values import assert_honest, assert_right, plan_of, taken

RHO = (None, 1.0, (0.3, np.inf))


def solved(cost: Any, a: Any = None, b: Any = None, **options: Any) -> Any:
    """Solve, hold the result to what it says, and all it gives to be no NaN; it may stop short."""
    options = {"max_iterations": 500, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", coalign.ConvergenceWarning)
        found = coalign.sinkhorn(cost, a, b, **options)
    given = {k: options.get(k) for k in ("epsilon", "unbalanced")}
    assert_honest(found, taken(cost, a, b, **given), options.get("tol", 1e-4))
    for name in ("cost", "value", "marginal_error"):
        assert np.isfinite(getattr(found, name)), f"{name}: {getattr(found, name)}"
    plan = plan_of(found)
    assert np.isfinite(plan).all()
    return found


def families(rng: Any) -> dict[str, Any]:
    """Costs (30, 25) of the kinds that users bring, and of a few that break others."""
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(25, 3)) + 1
    squares = ((x[:, None] - y) ** 2).sum(axis=2)
    gated = np.where(squares > np.median(squares), 1e9, squares)
    forbidden = np.where(squares > np.quantile(squares, 0.8), np.inf, squares)
    forbidden[:, 0] = forbidden[0] = 1
    return {
        "squares": squares,
        "negative": -squares,
        "gated": gated,
        "forbidden": forbidden,
        "constant": np.full((30, 25), 3.0),
        "zero": np.zeros((30, 25)),
        "one large": np.pad([[1e6]], ((0, 29), (0, 24))),
        "counts": rng.integers(0, 3, (30, 25)).astype(float),
    }


@pytest.mark.parametrize("unbalanced", RHO)
@pytest.mark.parametrize("share", [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_no_nan_at_any_epsilon(share: float, unbalanced: Any, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(41)
    with _execution.forced(isa):
        for cost in families(rng).values():
            size = float(np.abs(cost[np.isfinite(cost)]).max()) or 1.0
            rho = None if unbalanced is None else tuple(size * np.broadcast_to(unbalanced, 2))
            found = solved(cost.astype(dtype), epsilon=share * size, unbalanced=rho)
            assert not np.isnan([found.cost, found.value, found.marginal_error]).any()


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30, 1e-300, 1e300])
def test_no_scale_of_costs_changes_the_plan(scale: float, isa: str, dtype: np.dtype) -> None:
    if dtype == np.float32 and not 1e-31 < scale < 1e31:
        pytest.skip("beyond float32")
    rng = np.random.default_rng(42)
    cost = rng.random((30, 25))
    scaled = (cost * scale).astype(dtype)
    with _execution.forced(isa):
        for share in (1.0, 0.01):
            found = solved(scaled, epsilon=share * scale, max_iterations=10_000)
            usual = solved(cost.astype(dtype), epsilon=share, max_iterations=10_000)
            assert found.converged
            np.testing.assert_allclose(plan_of(found), plan_of(usual), rtol=0, atol=2e-4)
            np.testing.assert_allclose(found.cost / scale, usual.cost, rtol=2e-3)


def test_scales_of_1e_minus_30_and_1e30_in_one_problem(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(43)
    cost = (10 ** rng.uniform(-30, 30, (20, 20))).astype(dtype)
    with _execution.forced(isa):
        solved(cost, epsilon=1e30)
        # Sums of potentials and costs are off by far more than these epsilons: it has to say so.
        for epsilon in (1e-30, 1.0):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", coalign.ConvergenceWarning)
                found = coalign.sinkhorn(cost, epsilon=epsilon, max_iterations=300)
            for name in ("f", "g", "cost", "value", "marginal_error"):
                assert not np.isnan(getattr(found, name)).any(), name
            with np.errstate(over="ignore"):
                error = oracle.marginal_error(
                    oracle.problem(cost, epsilon=epsilon), found.f, found.g
                )
            assert error <= 1e-4 or not found.converged


@pytest.mark.parametrize("unbalanced", RHO)
def test_weights_of_zero_and_1e_minus_30(unbalanced: Any, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(44)
    cost = rng.random((25, 20)).astype(dtype)
    a, b = rng.random(25), rng.random(20)
    a[[0, 7, 24]], a[[3, 4]] = 0, 1e-30
    b[[1, 19]], b[2] = 0, 1e-30
    a, b = (w.astype(dtype) / dtype.type(w.sum()) for w in (a, b))
    tol = oracle.REACHED[dtype.name]
    with _execution.forced(isa):
        for epsilon in (1.0, 0.05):
            given = {"epsilon": epsilon, "unbalanced": unbalanced, "tol": tol}
            found = solved(cost, a, b, max_iterations=10_000, **given)
            assert_right(found, taken(cost, a, b, epsilon, unbalanced), tol)
            # What has no weight changes nothing for what has.
            less = coalign.sinkhorn(cost[a > 0][:, b > 0], a[a > 0], b[b > 0], **given)
            np.testing.assert_allclose(
                plan_of(found)[a > 0][:, b > 0], plan_of(less), rtol=0, atol=2 * tol
            )


def test_all_the_weight_on_one_point(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(45)
    cost = rng.random((6, 9)).astype(dtype)
    a = np.zeros(6, dtype)
    a[2] = 1
    b = rng.random(9).astype(dtype)
    b /= b.sum()
    with _execution.forced(isa):
        found = solved(cost, a, b, epsilon=0.01)
    assert found.converged
    np.testing.assert_allclose(plan_of(found)[2], b, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("unbalanced", RHO)
def test_one_row_and_one_column(
    shape: tuple[int, int], unbalanced: Any, isa: str, dtype: np.dtype
) -> None:
    cost = np.random.default_rng(46).random(shape).astype(dtype)
    with _execution.forced(isa):
        for epsilon in (1e-4, 0.1, 10.0):
            found = solved(cost, epsilon=epsilon, unbalanced=unbalanced, max_iterations=10_000)
            if unbalanced is None:
                # The plan is a x b.
                assert found.iterations <= 20
                # At 1e-4 a rounding of a float32 potential is a share of 6e-4 of epsilon.
                digits = 2 * float(np.finfo(dtype).eps) / epsilon
                assert found.converged or digits > 1e-4
                np.testing.assert_allclose(plan_of(found), 1 / cost.size, rtol=1e-4 + digits)


@pytest.mark.parametrize("share", [1e-4, 0.01, 1.0])
def test_identical_points(share: float, isa: str, dtype: np.dtype) -> None:
    x = np.random.default_rng(47).normal(size=(20, 3))
    cost = ((x[:, None] - x) ** 2).sum(axis=2).astype(dtype)
    with _execution.forced(isa):
        found = solved(cost, epsilon=share * float(cost.max()), max_iterations=10_000)
        # All points in one place: GeomLoss and POT divide by a diameter of 0.
        nowhere = solved(np.zeros((20, 20), dtype), epsilon=0.1)
        one = solved(np.zeros((1, 1), dtype), epsilon=0.05)
    assert found.converged
    assert found.cost >= 0
    np.testing.assert_allclose(plan_of(found), plan_of(found).T, rtol=0, atol=2e-4)
    np.testing.assert_allclose(plan_of(nowhere), 1 / 400, rtol=1e-5)
    for same in (nowhere, one):
        assert same.converged
        np.testing.assert_allclose([same.cost, same.value], 0, atol=1e-6)


def test_forbidden_pairs(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(48)
    tol = oracle.REACHED[dtype.name]
    cost = rng.random((12, 12)).astype(dtype)
    cost[rng.random((12, 12)) < 0.4] = np.inf
    cost[np.arange(12), rng.permutation(12)] = 0.5
    cost[:, 0] = cost[0] = 1
    with _execution.forced(isa):
        for epsilon in (1.0, 0.05):
            found = solved(cost, epsilon=epsilon, tol=tol, max_iterations=50_000)
            assert_right(found, oracle.problem(cost, epsilon=epsilon), tol)
            assert (plan_of(found)[np.isinf(cost)] == 0).all()
        # Only the diagonal is left: the plan is that, at any epsilon.
        only = np.where(np.eye(12) > 0, 1, np.inf).astype(dtype)
        found = solved(only, epsilon=0.1)
        assert found.converged
        np.testing.assert_allclose(plan_of(found), np.eye(12) / 12, rtol=1e-5)


@pytest.mark.parametrize("never", [1e5, 1e9, 2.0**31 - 1, 1e20])
def test_sentinels_stand_for_forbidden(never: float, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(49)
    cost = rng.random((12, 12)).astype(dtype)
    out = rng.random((12, 12)) < 0.4
    out[:, 0] = out[0] = False
    tol = oracle.REACHED[dtype.name]
    with _execution.forced(isa):
        found = solved(
            np.where(out, dtype.type(never), cost), epsilon=0.05, tol=tol, max_iterations=50_000
        )
        forbidden = solved(
            np.where(out, dtype.type(np.inf), cost), epsilon=0.05, tol=tol, max_iterations=50_000
        )
    assert found.converged
    np.testing.assert_allclose(plan_of(found), plan_of(forbidden), rtol=0, atol=2 * tol)
    np.testing.assert_allclose(found.cost, forbidden.cost, rtol=0, atol=20 * tol)


def test_what_no_plan_can_meet_is_not_said_to_have_converged(isa: str, dtype: np.dtype) -> None:
    # The first two rows have only the first column, which takes a third.
    cost = np.zeros((3, 3), dtype)
    cost[:2, 1:] = np.inf
    with _execution.forced(isa), warnings.catch_warnings():
        warnings.simplefilter("ignore", coalign.ConvergenceWarning)
        found = coalign.sinkhorn(cost, epsilon=0.1, max_iterations=1000)
    assert not found.converged
    assert found.status != Status.OK
    assert found.marginal_error > 0.1
    assert not np.isnan(found.f).any()
    assert not np.isnan(found.g).any()
    assert not np.isnan(plan_of(found)).any()


def test_a_plan_on_the_edge_of_what_is_allowed(isa: str, dtype: np.dtype) -> None:
    # Every plan has 0 in a cell of finite cost: potentials go on for ever, the error as 1 / k.
    cost = np.array([[0, np.inf], [0, 0]], dtype)
    with _execution.forced(isa):
        found = solved(cost, epsilon=1.0, tol=1e-3, max_iterations=10_000)
    assert found.converged
    np.testing.assert_allclose(plan_of(found), np.eye(2) / 2, rtol=0, atol=1e-3)


# --- faults of others -----------------------------------------------------------------------------


def test_histograms_with_zeros_at_a_small_epsilon(isa: str, dtype: np.dtype) -> None:
    # POT's Sinkhorn divides by the weights, and its kernel underflows.
    rng = np.random.default_rng(50)
    a, b = rng.random(200), rng.random(200)
    a[rng.random(200) < 0.5] = b[rng.random(200) < 0.5] = 0
    a, b = (w.astype(dtype) / dtype.type(w.sum()) for w in (a, b))
    x = np.arange(200.0)[:, None]
    cost = np.abs(x - x.T).astype(dtype)
    with _execution.forced(isa):
        for epsilon in (0.01 * 199, 0.01):
            found = solved(cost, a, b, epsilon=epsilon, max_iterations=2000)
            assert found.marginal_error < 0.5
    assert (plan_of(found)[a == 0] == 0).all()


def test_images_far_apart_at_any_epsilon_are_not_stuck(isa: str, dtype: np.dtype) -> None:
    # Squared distances of thousands beside an epsilon of 1e-4 to 1: POT's stabilised methods stop
    # at 2e-3 there.
    rng = np.random.default_rng(51)
    x, y = rng.integers(0, 2, (2, 40, 784)) * rng.random((2, 40, 1)) * 4
    cost = ((x[:, None] - y) ** 2).sum(axis=2).astype(dtype)
    with _execution.forced(isa):
        for epsilon in (100.0, 10.0, 1.0, 1e-2, 1e-4):
            found = solved(cost, epsilon=epsilon, max_iterations=10_000)
            if epsilon >= 1 or dtype == np.float64:
                assert found.converged or found.marginal_error < 2e-3


def test_a_small_epsilon_is_not_said_to_be_done(isa: str, dtype: np.dtype) -> None:
    # OTT: a cost of NaN and converged=True; a kernel of zeros in its other mode.
    rng = np.random.default_rng(52)
    x, y = rng.random((100, 2)), rng.random((90, 2)) + 1
    cost = ((x[:, None] - y) ** 2).sum(axis=2).astype(dtype)
    with _execution.forced(isa):
        for epsilon in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
            found = solved(cost, epsilon=epsilon, max_iterations=300)
            assert 0 <= found.cost <= cost.max()


def test_divergences_of_near_points_are_not_negative(isa: str) -> None:
    # GeomLoss: fifty points in 160 dimensions, 0.25 apart at most.
    rng = np.random.default_rng(53)
    x = rng.normal(size=(50, 160)) * 0.01
    y = x + rng.normal(size=(50, 160)) * 0.005

    def value(p: Any, q: Any) -> float:
        cost = ((p[:, None] - q) ** 2).sum(axis=2) / 2
        with _execution.forced(isa):
            return float(coalign.sinkhorn(cost, epsilon=0.05**2, tol=1e-9).value)

    divergence = value(x, y) - (value(x, x) + value(y, y)) / 2
    assert divergence > 0
    np.testing.assert_allclose(value(x, x) - (value(x, x) + value(x, x)) / 2, 0, atol=1e-12)


def test_a_hard_neighbour_does_not_change_when_one_stops(isa: str, dtype: np.dtype) -> None:
    # POT's `solve_batch` stops all problems together.
    rng = np.random.default_rng(54)
    easy, hard = 0.01 * rng.random((10, 10)), 100 * rng.random((10, 10))
    with _execution.forced(isa), warnings.catch_warnings():
        warnings.simplefilter("ignore", coalign.ConvergenceWarning)
        alone = coalign.sinkhorn(easy.astype(dtype), epsilon=0.05, max_iterations=300)
        batch = np.stack([easy, hard]).astype(dtype)
        both = coalign.sinkhorn(batch, epsilon=0.05, max_iterations=300)
    assert both.iterations[0] == alone.iterations < both.iterations[1]
    assert_same_bits(both.f[0], alone.f)


@pytest.mark.parametrize("size", [4, 16, 20])
@pytest.mark.parametrize("options", [{}, {"tol": 0, "max_iterations": 1}])
def test_a_light_column_without_a_finite_cost_is_told(
    size: int, options: Any, isa: str, dtype: np.dtype
) -> None:
    # A tolerance allows to miss it, and plain updates may end before its sum is looked at.
    cost = np.ones((size, size), dtype)
    cost[:, 2] = np.inf
    weights = np.full(size, (1 - 1e-5) / (size - 1))
    weights[2] = 1e-5
    with (
        _execution.forced(isa),
        pytest.raises(coalign.InfeasibleError, match="column 2 has weight, and no finite cost"),
    ):
        coalign.sinkhorn(cost, None, weights.astype(dtype), epsilon=1.0, **options)


@pytest.mark.parametrize("least", [1e-24, 1e-36, 1e-50, 1e-200])
@pytest.mark.parametrize("shape", [(4, 4), (20, 30), (40, 2000)])
@pytest.mark.parametrize("tol", [0, 1e-4, 1e-9])
def test_light_rows_and_columns_have_potentials(
    least: float, shape: tuple[int, int], tol: float, isa: str, dtype: np.dtype
) -> None:
    if least < np.finfo(dtype).tiny or (tol == 1e-9 and dtype == np.float32):
        pytest.skip("beyond what the dtype holds")
    cost = np.random.default_rng(53).random(shape).astype(dtype)
    sides = [np.ones(count) for count in shape]
    for side in sides:
        side[[0, -1]] = least
        side /= side.sum()
    a, b = (side.astype(dtype) for side in sides)
    options = {"tol": tol, "max_iterations": 30 if tol == 0 else 500}
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, a, b, epsilon=0.05, **options)
    assert np.isfinite(found.f).all()
    assert np.isfinite(found.g).all()
    assert found.status == Status.OK
    # One side is met exactly, each row or column to its own digits: the columns of wide problems.
    f, g, wide = (np.asarray(each, np.float64) for each in (found.f, found.g, cost))
    by_rows = f / 0.05 + oracle.log_sum((g - wide) / 0.05, 1) - oracle.log(a)
    by_columns = g / 0.05 + oracle.log_sum((f[:, None] - wide) / 0.05, 0) - oracle.log(b)
    assert min(np.abs(by_rows).max(), np.abs(by_columns).max()) < 1e-3


@pytest.mark.filterwarnings("ignore:sinkhorn. 1 of 1 problems need:coalign.ConvergenceWarning")
def test_initial_potentials_beyond_all_costs_are_left_out(isa: str) -> None:
    cost = np.random.default_rng(54).random((20, 20))
    with _execution.forced(isa):
        found = coalign.sinkhorn(
            cost, epsilon=1e-9, initial=(np.zeros(20), np.full(20, 1e300)), max_iterations=1
        )
    assert not np.isnan(found.f).any()
    assert not np.isnan(found.g).any()


def test_unbalanced_columns_that_live_on_far_rows_are_kept(isa: str, dtype: np.dtype) -> None:
    # From far off, the scaling of a row was 0 beside another's, and a column that only it reaches
    # was given up: the result said that it had converged.
    cost = np.full((6, 6), np.inf)
    cost[np.diag_indices(6)] = np.linspace(0.1, 0.9, 6)
    cost[0, 1] = cost[3, 4] = 0.5
    options = {"epsilon": 0.01, "unbalanced": (0.01, 1.0), "tol": 1e-5, "max_iterations": 2000}
    start = np.zeros(6, dtype), np.array([30, -40, 0, 40, -20, 10], dtype)
    with _execution.forced(isa):
        cold = coalign.sinkhorn(cost.astype(dtype), **options)
        warm = coalign.sinkhorn(cost.astype(dtype), initial=start, **options)
    assert warm.status == Status.OK
    np.testing.assert_allclose(warm.f, cold.f, atol=1e-3)
    np.testing.assert_allclose(warm.g, cold.g, atol=1e-3)


@pytest.mark.filterwarnings("ignore:sinkhorn. :coalign.ConvergenceWarning")
def test_unbalanced_starts_from_far_off_come_back(isa: str, dtype: np.dtype) -> None:
    # The first errors are no numbers, and there is no best iteration to go back to yet.
    for seed in range(20):
        rng = np.random.default_rng(seed)
        cost = rng.random((9, 6)) * (rng.random((9, 6)) > 0.4)
        start = np.zeros(9, dtype), (10.0 ** rng.integers(1, 6) * rng.normal(size=6)).astype(dtype)
        rho = tuple(map(float, 10 ** rng.uniform(-3, 1, 2)))
        with _execution.forced(isa):
            found = coalign.sinkhorn(
                cost.astype(dtype), initial=start, epsilon=0.01, unbalanced=rho, max_iterations=300
            )
        assert found.converged == (found.status == Status.OK)
        assert not np.isnan(found.f).any()
        assert not np.isnan(found.g).any()
