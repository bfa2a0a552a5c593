"""Transport beside costs that stand for "never", and at the ends of its iterations."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import coalign
from coalign import Status, _execution
from oracles import transport as oracle


@pytest.mark.parametrize("unbalanced", [1.0, (1.0, np.inf)])
@pytest.mark.parametrize("far", [1e4, 1e9, 1e20])
def test_a_row_that_is_far_from_all_has_a_finite_potential(
    far: float, unbalanced: object, isa: str, dtype: np.dtype
) -> None:
    cost = np.array([[1, 2], [far, far]], dtype)
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, epsilon=1.0, unbalanced=unbalanced)
    assert np.isfinite(found.f).all()
    p = oracle.problem(cost, epsilon=1.0, unbalanced=unbalanced)
    with np.errstate(over="ignore"):
        assert oracle.marginal_error(p, found.f, found.g) <= 1e-4


@pytest.mark.parametrize("at", [0, 1])
def test_a_start_that_is_nan_is_refused(at: int, door: str) -> None:
    assert door in ("front", "general")
    start = [np.zeros(5), np.zeros(4)]
    start[at][1] = np.nan
    with pytest.raises(ValueError, match=r"\Ainitial"):
        coalign.sinkhorn(np.ones((5, 4)), epsilon=0.1, initial=tuple(start))


def test_forbidden_pairs_at_a_small_epsilon() -> None:
    inf = np.inf
    cost = np.array(
        [
            [inf, inf, 0.294, 4],
            [inf, 0.392, inf, 4],
            [inf, inf, 0.004, 4],
            [inf, inf, inf, 4],
            [4, 4, 4, 4],
        ]
    )
    a, b = np.array([1, 1, 1, 1, 3]) / 7, np.array([1, 0, 1, 5]) / 7
    found = coalign.sinkhorn(cost, a, b, epsilon=1e-3)
    assert found.converged, f"{found.marginal_error} after {found.iterations}"


@pytest.mark.parametrize("near", ["few", "most"])
def test_steps_do_not_lead_to_sentinels_that_no_plan_needs(
    near: str, isa: str, dtype: np.dtype
) -> None:
    # Extrapolated steps led to potentials of 1e9 and no way back, with a quarter of the mass amiss.
    cost = np.full((4, 4), 1e9, dtype)
    cost[-1], cost[:, -1] = 4, 4
    if near == "few":
        cost[1, 2], epsilon = 0.116124809, 0.003241890902171281
    else:
        cost[0, 0], cost[2, 1:3] = 1, (0.223038539, 0.16052933)
        epsilon = 0.030665757011972827
    weights = np.array([1, 1, 1, 3]) / 6
    tol = 1e-3 if dtype == np.float32 else 1e-6
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, weights, weights, epsilon=epsilon, tol=tol)
    assert found.converged, f"{found.marginal_error} after {found.iterations}"
    assert found.f.max() < 10


def gated(never: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(12, 2))
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    cost[cost > np.quantile(cost, 0.25)] = never
    cost[-1], cost[:, -1] = 4, 4
    a, b = np.ones(20), np.ones(12)
    a[-1], b[-1] = 11, 19
    return cost, a / a.sum(), b / b.sum()


@pytest.mark.parametrize("epsilon", [0.3, 0.03])
@pytest.mark.parametrize("never", [1e5, 1e9, 2.0**31 - 1, 1e20])
def test_sentinels_cost_neither_digits_nor_iterations(never: float, epsilon: float) -> None:
    without = coalign.sinkhorn(*gated(np.inf), epsilon=epsilon, tol=1e-9)
    found = coalign.sinkhorn(*gated(never), epsilon=epsilon, tol=1e-9)
    assert without.converged
    assert found.converged, f"{found.marginal_error} after {found.iterations}"
    assert found.iterations <= 2 * without.iterations + 20


@pytest.mark.parametrize(
    ("seed", "shape", "epsilon", "most"), [(217, (45, 52), 0.073, 9), (331, (10, 23), 0.0668, 14)]
)
def test_too_few_iterations_are_no_limit_of_the_dtype(
    seed: int, shape: tuple[int, int], epsilon: float, most: int
) -> None:
    # With more iterations it comes to 4e-10; the float32 half of the way ends at about 1e-6.
    rng = np.random.default_rng(seed)
    assert rng.integers(5, 60, 2).tolist() == list(shape)
    cost = rng.random(shape)
    for iterations in range(most - 2, most + 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", coalign.ConvergenceWarning)
            found = coalign.sinkhorn(cost, epsilon=epsilon, tol=1e-9, max_iterations=iterations)
        assert found.status != Status.PRECISION_LIMIT, iterations


@pytest.mark.parametrize("never", [1e5, 1e9])
def test_sentinels_that_a_plan_needs_are_paid(never: float) -> None:
    # A tenth of the rows has no other way to the columns that are left.
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    cost[cost > np.quantile(cost, 0.25)] = never
    found = coalign.sinkhorn(cost, epsilon=0.1, tol=1e-4)
    assert found.converged, f"{found.marginal_error} after {found.iterations}"
    assert found.iterations <= 1500
    p = oracle.problem(cost, epsilon=0.1)
    assert oracle.marginal_error(p, found.f, found.g) <= 1.01e-4
