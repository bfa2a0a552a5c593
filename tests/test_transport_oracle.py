"""The oracle of transport against linear programming, closed forms and differences."""

from __future__ import annotations

import numpy as np
import pytest

from oracles import transport as oracle

RHO = (None, 0.5, (0.3, 2.0), (np.inf, 0.7))


def problem(seed: int, n: int, m: int, epsilon: float, unbalanced: object = None) -> oracle.Problem:
    """Uniform costs, and weights of which the first is 0 and the last 1e-30."""
    rng = np.random.default_rng(seed)
    a, b = rng.random(n), rng.random(m)
    a[0], b[-1] = 0, 1e-30
    return oracle.problem(
        rng.random((n, m)), a / a.sum(), b / b.sum(), epsilon=epsilon, unbalanced=unbalanced
    )


@pytest.mark.parametrize("unbalanced", RHO)
@pytest.mark.parametrize("epsilon", [10.0, 0.1, 1e-2, 1e-3, 1e-4])
def test_the_marginals_are_met(epsilon: float, unbalanced: object) -> None:
    for n, m in ((1, 3), (5, 7), (20, 12)):
        p = (
            problem(n, n, m, epsilon, unbalanced)
            if n > 1
            else oracle.problem(
                np.random.default_rng(1).random((n, m)), epsilon=epsilon, unbalanced=unbalanced
            )
        )
        found = oracle.solve(p)
        assert found.error < 1e-12
        assert oracle.marginal_error(p, found.f, found.g) == found.error
        assert (found.f == -np.inf).tolist() == (p.a == 0).tolist()
        assert not found.plan[p.a == 0].any()


def test_small_epsilon_gives_the_linear_program() -> None:
    for seed, (n, m) in enumerate(((4, 4), (7, 5), (12, 20))):
        p = problem(seed, n, m, 1e-4)
        least, found = oracle.linear_program(p), oracle.solve(p)
        # The entropy of a plan is at most that of a x b.
        entropy = -(p.a[1:] * np.log(p.a[1:])).sum() - (p.b * np.log(p.b)).sum()
        assert -1e-12 <= found.cost - least <= p.epsilon * entropy
        np.testing.assert_allclose(found.value, least, rtol=0, atol=p.epsilon * entropy)


def test_forbidden_cells_are_not_used() -> None:
    cost = np.array([[0.0, np.inf, 1.0], [np.inf, 0.2, 0.1], [0.3, 0.4, np.inf]])
    p = oracle.problem(cost, epsilon=0.01)
    found = oracle.solve(p)
    assert found.error < 1e-12
    assert (found.plan[np.isinf(cost)] == 0).all()
    np.testing.assert_allclose(found.cost, oracle.linear_program(p), rtol=0, atol=0.05)


@pytest.mark.parametrize("epsilon", [2.0, 0.3, 0.05])
def test_closed_forms(epsilon: float) -> None:
    rng = np.random.default_rng(2)
    cost = rng.random((2, 2))
    found = oracle.solve(oracle.problem(cost, epsilon=epsilon))
    np.testing.assert_allclose(found.plan, oracle.two_by_two(cost, epsilon), atol=1e-12)
    order = rng.permutation(6)
    cost = np.ones((6, 6))
    cost[np.arange(6), order] = 0
    found = oracle.solve(oracle.problem(cost, epsilon=epsilon))
    np.testing.assert_allclose(found.plan, oracle.permutation(order, epsilon), atol=1e-12)
    p = oracle.problem([[0.7]], [2.0], [3.0], epsilon=epsilon, unbalanced=(0.4, 1.5))
    mass = oracle.one_cell(0.7, 2.0, 3.0, epsilon, 0.4, 1.5)
    found = oracle.solve(p)
    np.testing.assert_allclose(found.plan, [[mass]], rtol=1e-12)
    # No other mass has a lower value.
    for other in (0.99 * mass, 1.01 * mass):
        assert oracle.value(p, np.array([[other]])) > found.value


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_gaussians_on_a_line_and_in_the_plane(epsilon: float) -> None:
    line = np.linspace(-12, 14, 201)[:, None]
    side = np.linspace(-4, 4, 15)
    plane = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    for grid, first, second in (
        (line, (np.zeros(1), np.eye(1)), (np.array([1.5]), np.array([[2.25]]))),
        (
            plane,
            (np.array([0.1, 0.0]), np.array([[0.7, 0.2], [0.2, 0.6]])),
            (np.array([-0.2, 0.3]), np.array([[0.5, -0.1], [-0.1, 0.8]])),
        ),
    ):
        a, b = (oracle.gaussian_on_grid(*each, grid) for each in (first, second))
        cost = ((grid[:, None] - grid[None]) ** 2).sum(axis=2)
        found = oracle.solve(oracle.problem(cost, a, b, epsilon=epsilon))
        wanted = oracle.between_gaussians(*first, *second, epsilon)
        # The plane's grid is coarse, and its Gaussians end at 4 or 5 deviations.
        np.testing.assert_allclose(found.value, wanted, rtol=1e-9 if grid is line else 1e-3)


def test_points_on_a_line_go_in_order() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=15), rng.normal(size=15)
    p = oracle.problem((x[:, None] - y) ** 2, epsilon=1e-4)
    wanted = oracle.sorted_cost(x, y)
    np.testing.assert_allclose(oracle.linear_program(p), wanted, rtol=1e-12)
    np.testing.assert_allclose(oracle.solve(p).cost, wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("unbalanced", RHO)
def test_the_solution_has_the_lowest_value_and_its_gradient(unbalanced: object) -> None:
    rng = np.random.default_rng(4)
    p = oracle.problem(rng.random((4, 5)), epsilon=0.2, unbalanced=unbalanced)
    found = oracle.solve(p)
    by_cost, by_a, by_b = oracle.gradient(p, found)
    step = 1e-5

    def value(cost: object, a: object, b: object) -> float:
        return oracle.solve(oracle.problem(cost, a, b, epsilon=0.2, unbalanced=unbalanced)).value

    push = rng.normal(size=p.cost.shape)
    up, down = (value(p.cost + s * push, p.a, p.b) for s in (step, -step))
    np.testing.assert_allclose((up - down) / (2 * step), (by_cost * push).sum(), rtol=1e-7)
    for side, slope in ((0, by_a), (1, by_b)):
        push = rng.normal(size=len(slope))
        # Both masses have to stay the same where both marginals are met.
        push -= push.mean() * (unbalanced is None)
        ends = []
        for s in (step, -step):
            weights = [p.a, p.b]
            weights[side] = weights[side] + s * push
            ends.append(value(p.cost, *weights))
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), slope @ push, rtol=1e-6)
