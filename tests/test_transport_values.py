"""Sinkhorn against the oracle: potentials, plans, costs and values, and when it says it is done."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coalign
from coalign import Status, _execution
from oracles import transport as oracle
from oracles.compare import assert_same_bits

RHO = (None, 0.5, (0.3, 2.0), (np.inf, 0.7))
#: What is asked for where an answer is compared: as much as each dtype promises.
ASKED = oracle.REACHED


def size_of(p: oracle.Problem) -> float:
    """How far costs and potentials spread: what an error of the marginals is multiplied by."""
    finite = p.cost[np.isfinite(p.cost)]
    weights = np.concatenate((p.a[p.a > 0], p.b[p.b > 0]))
    return float(np.ptp(finite) + p.epsilon * (1 - np.log(weights.min() / weights.max())))


def noise_of(p: oracle.Problem, f: Any, g: Any, dtype: Any) -> float:
    """How well the error of a plan of mass 1 is known.

    Its cells are exponentials in the dtype, of sums of potentials and costs in float64.
    """
    largest = np.abs(np.concatenate((f[p.a > 0], g[p.b > 0]))).max()
    return float(8 * np.finfo(dtype).eps + 8 * np.finfo(np.float64).eps * largest / p.epsilon)


def assert_honest(found: Any, p: oracle.Problem, tol: float, what: str = "") -> float:
    """Hold what a result says of its error to the error in float64 of the potentials it gives."""
    f, g = np.asarray(found.f, np.float64), np.asarray(found.g, np.float64)
    assert not np.isnan(f).any(), what
    assert not np.isnan(g).any(), what
    assert (f == -np.inf).tolist() == (p.a == 0).tolist(), what
    assert (g == -np.inf).tolist() == (p.b == 0).tolist(), what
    error = oracle.marginal_error(p, f, g)
    noise = noise_of(p, f, g, found.f.dtype)
    np.testing.assert_allclose(found.marginal_error, error, rtol=1e-2, atol=noise, err_msg=what)
    assert bool(found.converged) == bool(found.marginal_error <= tol), what
    if found.converged:
        assert error <= tol + noise, what
        assert found.status == Status.OK, what
    elif tol > 0:
        assert found.status in (Status.NOT_CONVERGED, Status.PRECISION_LIMIT), what
    return error


_truths: dict[tuple[Any, ...], oracle.Solution] = {}


def truth_of(p: oracle.Problem) -> oracle.Solution:
    """Solve a problem once for all instruction sets."""
    parts = (p.cost.shape, p.cost.tobytes(), p.a.tobytes(), p.b.tobytes())
    key = (*parts, p.epsilon, p.rho_a, p.rho_b)
    if key not in _truths:
        _truths[key] = oracle.solve(p)
    return _truths[key]


def assert_right(
    found: Any, p: oracle.Problem, tol: float, what: str = "", *, start: float = 0.0
) -> None:
    """Compare a result that converged with the oracle's solution; it started so far off."""
    assert found.converged, f"{what}: {found.marginal_error} after {found.iterations}"
    assert_honest(found, p, tol, what)
    truth = truth_of(p)
    assert truth.error < tol / 10, what
    allowed = 10 * tol * oracle.mass(p) * size_of(p)
    np.testing.assert_allclose(
        found.value, truth.value, rtol=1e-5 * tol, atol=allowed, err_msg=what
    )
    # The cost of a plan is not what is least: it moves more than the value does.
    np.testing.assert_allclose(found.cost, truth.cost, rtol=0, atol=100 * allowed, err_msg=what)
    if p.balanced:
        some = p.b > 0
        g = np.asarray(found.g, np.float64)[some]
        centre = (p.b[some] * g).sum() / p.b.sum()
        eps = float(np.finfo(found.g.dtype).eps)
        assert abs(centre) <= 100 * eps * (np.abs(g).max() + size_of(p) + start), what


def plan_of(found: Any) -> Any:
    """The plan of one problem, from its potentials in float64."""
    p = oracle.problem(found.cost_matrix, epsilon=found.epsilon)
    return oracle.plan(p, found.f, found.g)


def weights(rng: Any, count: int, kind: str) -> Any:
    """Weights of mass 1 of a kind that users bring; None for uniform ones."""
    if kind == "uniform":
        return None
    out = rng.random(count) + 0.05
    if kind == "zeros" and count > 1:
        out[rng.permutation(count)[: max(1, count // 3)]] = 0
    if kind == "tiny" and count > 1:
        out[0] = 1e-30
    return out / out.sum()


# --- any problem ----------------------------------------------------------------------------------


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_problem_is_right(data: st.DataObject, seed: int, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(seed)
    n, m = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    cost = (rng.random((n, m)) * data.draw(st.sampled_from([1.0, 100.0]))).astype(dtype)
    a, b = (
        weights(rng, k, data.draw(st.sampled_from(["uniform", "uneven", "zeros", "tiny"])))
        for k in (n, m)
    )
    a, b = (None if w is None else w.astype(dtype) for w in (a, b))
    epsilon = float(cost.max()) * data.draw(st.sampled_from([3.0, 0.3, 0.05]))
    rho = data.draw(st.sampled_from(RHO))
    unbalanced = None if rho is None else tuple(float(cost.max()) * np.broadcast_to(rho, 2))
    tol = ASKED[dtype.name]
    with _execution.forced(isa) as runs:
        found = coalign.sinkhorn(cost, a, b, epsilon=epsilon, unbalanced=unbalanced, tol=tol)
    assert {run.isa for run in runs} == {isa}
    assert found.f.dtype == found.g.dtype == dtype
    assert_right(found, taken(cost, a, b, epsilon, unbalanced), tol)


def taken(cost: Any, a: Any, b: Any, epsilon: float, unbalanced: Any) -> oracle.Problem:
    """The problem that is solved: of balanced weights whose masses differ by roundings, either."""
    p = oracle.problem(cost, a, b, epsilon=epsilon, unbalanced=unbalanced)
    if not p.balanced:
        return p
    return oracle.Problem(p.cost, p.a, p.b * (p.a.sum() / p.b.sum()), p.epsilon)


@pytest.mark.parametrize("unbalanced", RHO)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (33, 65), (64, 64), (40, 130)])
def test_sizes(shape: tuple[int, int], unbalanced: Any, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(shape)
    cost = rng.random(shape).astype(dtype)
    tol = ASKED[dtype.name]
    with _execution.forced(isa):
        for epsilon in (1.0, 0.05):
            found = coalign.sinkhorn(cost, epsilon=epsilon, unbalanced=unbalanced, tol=tol)
            p = oracle.problem(cost, epsilon=epsilon, unbalanced=unbalanced)
            assert_right(found, p, tol, f"{epsilon}")


@pytest.mark.parametrize("epsilon", [0.1, 0.01, 0.001])
def test_points_at_small_epsilon(epsilon: float, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(70, 2)), rng.normal(size=(60, 2)) + 0.5
    cost = ((x[:, None] - y) ** 2).sum(axis=2).astype(dtype)
    tol = 1e-6 if dtype == np.float64 else 1e-3
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, epsilon=epsilon * float(cost.max()), tol=tol)
    p = oracle.problem(cost, epsilon=epsilon * float(cost.max()))
    assert_right(found, p, tol)


def test_a_mass_that_is_not_one(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(8)
    cost = rng.random((12, 9)).astype(dtype)
    a, b = rng.random(12).astype(dtype), rng.random(9).astype(dtype)
    tol = ASKED[dtype.name]
    for scale in (1e-3, 1.0, 1e4):
        scaled_a, scaled_b = (dtype.type(scale) * w / w.sum() for w in (a, b))
        with _execution.forced(isa):
            found = coalign.sinkhorn(cost, scaled_a, scaled_b, epsilon=0.1, tol=tol)
        assert_right(found, taken(cost, scaled_a, scaled_b, 0.1, None), tol)
    # With penalties, the masses differ, too.
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, 3 * a, b, epsilon=0.1, unbalanced=0.5, tol=tol)
    p = oracle.problem(cost, 3 * a, b, epsilon=0.1, unbalanced=0.5)
    assert_right(found, p, tol)


# --- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [2.0, 0.3, 0.05])
def test_closed_forms(epsilon: float, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(2)
    tol = ASKED[dtype.name]
    within = {"rtol": 0, "atol": 2 * tol}
    with _execution.forced(isa):
        cost = rng.random((2, 2)).astype(dtype)
        found = coalign.sinkhorn(cost, epsilon=epsilon, tol=tol)
        wanted = oracle.two_by_two(cost.astype(np.float64), epsilon)
        np.testing.assert_allclose(plan_of(found), wanted, **within)

        order = rng.permutation(40)
        cost = np.ones((40, 40), dtype)
        cost[np.arange(40), order] = 0
        found = coalign.sinkhorn(cost, epsilon=epsilon, tol=tol)
        np.testing.assert_allclose(plan_of(found), oracle.permutation(order, epsilon), **within)

        # Of costs u + v, and of constant ones, the plan is a x b, and the value its cost.
        u, v = rng.random(7).astype(dtype), rng.random(11).astype(dtype)
        a, b = (w / w.sum() for w in (u, v))
        for cost in (u[:, None] + v, np.full((7, 11), 3, dtype)):
            found = coalign.sinkhorn(cost, a, b, epsilon=epsilon, tol=tol)
            np.testing.assert_allclose(plan_of(found), np.outer(a, b), **within)
            wanted = float((np.outer(a, b) * cost).sum(dtype=np.float64))
            np.testing.assert_allclose(found.cost, wanted, rtol=2 * tol)
            np.testing.assert_allclose(found.value, wanted, rtol=2 * tol)

        mass = oracle.one_cell(0.75, 2.0, 3.0, epsilon, 0.5, 1.5)
        one = np.array([[0.75]], dtype)
        found = coalign.sinkhorn(one, [2.0], [3.0], epsilon=epsilon, unbalanced=(0.5, 1.5), tol=tol)
        np.testing.assert_allclose(plan_of(found), [[mass]], rtol=10 * tol)


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_gaussians(epsilon: float, isa: str, dtype: np.dtype) -> None:
    grid = np.linspace(-12, 14, 201)[:, None]
    first, second = (np.zeros(1), np.eye(1)), (np.array([1.5]), np.array([[2.25]]))
    a, b = (oracle.gaussian_on_grid(*each, grid).astype(dtype) for each in (first, second))
    cost = ((grid - grid.T) ** 2).astype(dtype)
    tol = ASKED[dtype.name]
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, a, b, epsilon=epsilon, tol=tol)
    assert found.converged
    wanted = oracle.between_gaussians(*first, *second, epsilon)
    np.testing.assert_allclose(found.value, wanted, rtol=1e-7 if dtype == np.float64 else 1e-3)


def test_small_epsilon_gives_the_least_cost(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=15), rng.normal(size=15)
    cost = ((x[:, None] - y) ** 2).astype(dtype)
    problems = [(cost, None, None)]
    for n, m in ((6, 6), (12, 7)):
        a, b = (weights(rng, k, "zeros").astype(dtype) for k in (n, m))
        problems.append((rng.random((n, m)).astype(dtype), a, b))
    with _execution.forced(isa):
        for cost, a, b in problems:
            epsilon = 1e-3 * float(cost.max())
            p = taken(cost, a, b, epsilon, None)
            found = coalign.sinkhorn(cost, a, b, epsilon=epsilon, max_iterations=100_000)
            assert found.converged
            least = oracle.linear_program(p)
            entropy = epsilon * np.log(cost.size)
            assert abs(found.cost - least) <= entropy + 1e-4 * size_of(p)
    np.testing.assert_allclose(
        oracle.linear_program(oracle.problem(problems[0][0], epsilon=1.0)),
        oracle.sorted_cost(x, y),
        rtol=1e-6,
    )


def test_large_penalties_give_the_balanced_plan(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    cost = rng.random((20, 15)).astype(dtype)
    a = weights(rng, 20, "zeros").astype(dtype)
    tol = ASKED[dtype.name]
    with _execution.forced(isa):
        balanced = coalign.sinkhorn(cost, a, epsilon=0.1, tol=tol)
        gaps = []
        for rho in (1.0, 10.0, 100.0, 1e3, 1e6):
            found = coalign.sinkhorn(cost, a, epsilon=0.1, unbalanced=rho, tol=tol)
            assert found.converged
            gaps.append(float(np.abs(plan_of(found) - plan_of(balanced)).sum()))
        exact = coalign.sinkhorn(cost, a, epsilon=0.1, unbalanced=np.inf, tol=tol)
    assert all(later < max(sooner, 10 * tol) for sooner, later in pairwise(gaps))
    assert gaps[-1] < 1e-5 + 10 * tol
    np.testing.assert_allclose(plan_of(exact), plan_of(balanced), rtol=0, atol=tol)


# --- when it stops --------------------------------------------------------------------------------


@pytest.mark.parametrize("unbalanced", RHO)
def test_the_error_is_that_of_the_potentials(unbalanced: Any, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(5)
    cost = rng.random((37, 29)).astype(dtype)
    a = weights(rng, 37, "zeros").astype(dtype)
    p = taken(cost, a, None, 0.01, unbalanced)
    seen = set()
    for most in (1, 2, 3, 5, 10, 30, 100, 300, 3000):
        for tol in (1e-1, 1e-4, 1e-7, 1e-12):
            with _execution.forced(isa), warnings.catch_warnings():
                warnings.simplefilter("ignore", coalign.ConvergenceWarning)
                found = coalign.sinkhorn(
                    cost, a, epsilon=0.01, unbalanced=unbalanced, tol=tol, max_iterations=most
                )
            assert found.iterations <= most
            assert_honest(found, p, tol, f"{most}, {tol}")
            seen.add(Status(int(found.status)))
    assert {Status.OK, Status.NOT_CONVERGED} <= seen


@pytest.mark.parametrize("unbalanced", RHO)
@pytest.mark.parametrize("epsilon", [1.0, 0.05, 0.001])
def test_no_tolerance_runs_as_many_plain_updates(
    epsilon: float, unbalanced: Any, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(6)
    cost = rng.random((18, 23)).astype(dtype)
    b = weights(rng, 23, "zeros").astype(dtype)
    p = taken(cost, None, b, epsilon, unbalanced)
    for count in (1, 2, 7, 50):
        with _execution.forced(isa):
            found = coalign.sinkhorn(
                cost, None, b, epsilon=epsilon, unbalanced=unbalanced, tol=0, max_iterations=count
            )
        assert found.iterations == count
        assert found.status == Status.OK
        assert_honest(found, p, 0)
        f, g = oracle.shifted(p, *oracle.iterate(p, count))
        # Of the potentials epsilon is the unit, in which the costs are 1 / epsilon.
        within = (1e-4 if dtype == np.float32 else 1e-11) * max(1, epsilon)
        np.testing.assert_allclose(found.f[p.a > 0], f[p.a > 0], rtol=0, atol=within)
        np.testing.assert_allclose(found.g[p.b > 0], g[p.b > 0], rtol=0, atol=within)


def test_what_does_not_converge_warns_once_and_says_where(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(9)
    easy, hard = np.zeros((10, 10)), rng.random((10, 10))
    batch = np.stack([easy, hard, easy, hard]).astype(dtype)
    with _execution.forced(isa), pytest.warns(coalign.ConvergenceWarning) as caught:
        found = coalign.sinkhorn(batch, epsilon=1e-3, max_iterations=3)
    assert len(caught) == 1
    assert found.converged.tolist() == [True, False, True, False]
    assert found.status.tolist() == [Status.OK, Status.NOT_CONVERGED] * 2
    assert (found.marginal_error <= 1e-4).tolist() == found.converged.tolist()


def test_the_noise_of_float32_is_said_to_be(isa: str) -> None:
    rng = np.random.default_rng(10)
    cost = rng.random((50, 50)).astype(np.float32)
    epsilon = 1e-4
    with _execution.forced(isa), warnings.catch_warnings():
        warnings.simplefilter("ignore", coalign.ConvergenceWarning)
        found = coalign.sinkhorn(cost, epsilon=epsilon, tol=1e-9, max_iterations=20_000)
    assert not found.converged
    assert found.status == Status.PRECISION_LIMIT
    # It noticed, and did not go on to the end.
    assert found.iterations < 20_000
    # Potentials of 1 in float32 are off by 6e-8, a share of 6e-4 of epsilon.
    assert found.marginal_error < 0.02
    assert_honest(found, oracle.problem(cost, epsilon=epsilon), 1e-9)


def test_a_start_is_used(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(11)
    cost = rng.random((40, 30)).astype(dtype)
    a = weights(rng, 40, "zeros").astype(dtype)
    tol = ASKED[dtype.name]
    with _execution.forced(isa):
        cold = coalign.sinkhorn(cost, a, epsilon=0.02, tol=tol)
        warm = coalign.sinkhorn(cost, a, epsilon=0.02, tol=tol, initial=(cold.f, cold.g))
        near = coalign.sinkhorn(
            cost + dtype.type(1e-4) * rng.random(cost.shape).astype(dtype),
            a,
            epsilon=0.02,
            tol=tol,
            initial=(cold.f, cold.g),
        )
    assert warm.converged
    assert near.converged
    assert warm.iterations <= 2 < cold.iterations
    assert near.iterations < cold.iterations
    # A start that is far off, or that has an -inf where there is weight, does no harm.
    with _execution.forced(isa):
        for f, g in (
            (1e3 * rng.normal(size=40), 1e3 * rng.normal(size=30)),
            (np.full(40, -np.inf), np.full(30, -np.inf)),
        ):
            start = (f.astype(dtype), g.astype(dtype))
            found = coalign.sinkhorn(cost, a, epsilon=0.02, tol=tol, initial=start)
            assert_right(found, taken(cost, a, None, 0.02, None), tol, start=1e3)


def test_each_problem_has_its_epsilon(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(12)
    cost = rng.random((3, 8, 6)).astype(dtype)
    epsilon = [0.5, 0.05, 2.0]
    with _execution.forced(isa):
        found = coalign.sinkhorn(cost, epsilon=epsilon)
        for p, one in enumerate(epsilon):
            alone = coalign.sinkhorn(cost[p], epsilon=one)
            assert_same_bits(found.f[p], alone.f)
            assert_same_bits(found.value[p], alone.value)
