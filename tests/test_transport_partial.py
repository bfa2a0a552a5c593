"""Partial transport against its definition, linear programming, and what must not matter."""

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

rng = np.random.default_rng(11)
COST = rng.random((7, 9))
A, B = rng.random(7) + 0.1, rng.random(9) + 0.1
LESS = float(min(A.sum(), B.sum()))


def missed(plan: Any, a: Any, b: Any, mass: float) -> float:
    """By how much a plan exceeds its bounds, and misses its mass."""
    above = np.maximum(plan.sum(1) - a, 0).sum() + np.maximum(plan.sum(0) - b, 0).sum()
    return float(above + abs(plan.sum() - mass)) / mass


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.02])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 1.0])
def test_it_meets_the_oracle(isa: str, dtype: Any, epsilon: float, share: float) -> None:
    mass = share * LESS
    cost, a, b = (each.astype(dtype) for each in (COST, A, B))
    wanted = oracle.partial_plan(oracle.problem(cost, a, b, epsilon=epsilon), mass)
    tol = 1e-10 if dtype == np.float64 else 1e-5
    with forced(isa=isa):
        found = coalign.partial_transport(cost, a, b, mass=mass, epsilon=epsilon, tol=tol)
    assert bool(found.converged)
    assert found.f.dtype == dtype
    # Where the mass is that of a side, what the oracle stops at is off by a little.
    np.testing.assert_allclose(found.plan(), wanted, atol=1e-7 if dtype == np.float64 else 2e-5)
    assert missed(found.plan().astype(float), a, b, mass) <= 3 * tol
    assert float(found.cost) == pytest.approx(
        oracle.transport_cost(oracle.problem(cost, a, b, epsilon=epsilon), wanted), abs=1e-4
    )
    p = oracle.problem(cost, a, b, epsilon=epsilon)
    assert float(found.value) == pytest.approx(oracle.value(p, wanted), abs=1e-4)


@pytest.mark.parametrize(("share", "epsilon"), [(0.2, 1e-3), (0.7, 1e-3), (0.9, 2e-3), (1.0, 1e-2)])
def test_it_becomes_that_of_linear_programming(share: float, epsilon: float) -> None:
    mass = share * LESS
    wanted = oracle.partial_linear_program(oracle.problem(COST, A, B, epsilon=1), mass)
    found = coalign.partial_transport(COST, A, B, mass=mass, epsilon=epsilon, tol=1e-8)
    assert float(found.cost) == pytest.approx(wanted, abs=2 * epsilon * mass)
    assert float(found.cost) >= wanted - 1e-7


@pytest.mark.parametrize(
    ("cost", "epsilon"),
    [
        ([[0.0, 0.0], [1.0, 1.0]], 1.4e-3),
        ([[0.0, 0.0], [1.0, 1.0]], 1.2e-3),
        ([[0.0, 1.0], [0.0, 1.0]], 1.2e-3),
        ([[0.0, 0.0], [1000.0, 1000.0]], 1.0),
    ],
)
def test_what_is_full_may_dwarf_what_is_not(cost: Any, epsilon: float) -> None:
    # The cheap row, or column, gives its half of the mass, and the other one a quarter.
    found = coalign.partial_transport(cost, mass=0.75, epsilon=epsilon)
    assert found.status == Status.OK
    assert float(found.plan().sum()) == pytest.approx(0.75, rel=1e-4)
    assert float(found.cost) == pytest.approx(0.25 * np.max(cost), rel=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_a_small_epsilon_reaches_linear_programming(seed: int) -> None:
    own = np.random.default_rng([seed, 5])
    n, m = own.integers(2, 10, size=2)
    cost, mass = own.random((n, m)), own.uniform(0.3, 1.0)
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    wanted = oracle.partial_linear_program(oracle.problem(cost, a, b, epsilon=1), mass)
    found = coalign.partial_transport(cost, mass=mass, epsilon=1e-5)
    assert found.status == Status.OK
    assert float(found.cost) == pytest.approx(wanted, abs=2e-4)


def test_all_of_equal_masses_is_sinkhorn() -> None:
    a, b = A / A.sum(), B / B.sum()
    found = coalign.partial_transport(COST, a, b, mass=1.0, epsilon=0.1, tol=1e-9)
    wanted = coalign.sinkhorn(COST, a, b, epsilon=0.1, tol=1e-10)
    np.testing.assert_allclose(found.plan(), wanted.plan(), atol=1e-8)
    assert float(found.value) == pytest.approx(float(wanted.value), abs=1e-7)


def test_the_entropy_is_that_of_the_plan_alone() -> None:
    # One row and one column, which must move the mass whatever epsilon is; and one pair of two,
    # shares of which are as exp(-c / epsilon) while nothing is full.
    found = coalign.partial_transport([[3.0]], [2.0], [5.0], mass=1.5, epsilon=10.0)
    assert float(found.plan()[0, 0]) == pytest.approx(1.5, rel=1e-4)
    found = coalign.partial_transport(
        [[0.0, 1.0]], [9.0], [7.0, 7.0], mass=0.1, epsilon=1.0, tol=1e-9
    )
    first, second = found.plan()[0]
    assert first / second == pytest.approx(np.e, rel=1e-7)


def test_no_potential_is_nan_at_any_epsilon() -> None:
    cost = 1e4 * rng.random((20, 30))
    for epsilon in (1e-4, 1e-2, 1.0, 1e3, 1e8):
        for dtype in (np.float32, np.float64):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found = coalign.partial_transport(
                    cost.astype(dtype), mass=0.4, epsilon=epsilon, max_iterations=300
                )
            assert np.isfinite(found.f).all()
            assert np.isfinite(found.g).all()
            assert not np.isnan([found.cost, found.value, found.marginal_error]).any()
            assert (found.status == Status.OK) == found.converged


def test_forbidden_pairs_and_weights_of_0() -> None:
    cost, a = COST.copy(), A.copy()
    cost[2] = np.inf
    cost[:, 4] = np.inf
    a[0] = 0
    found = coalign.partial_transport(cost, a, B, mass=1.0, epsilon=0.1, tol=1e-8)
    plan = found.plan()
    assert np.all(plan[[0, 2]] == 0)
    assert np.all(plan[:, 4] == 0)
    assert found.f[0] == found.f[2] == -np.inf
    assert plan.sum() == pytest.approx(1, abs=1e-7)
    wanted = coalign.partial_transport(
        np.delete(cost, 4, 1)[[1, 3, 4, 5, 6]],
        a[[1, 3, 4, 5, 6]],
        np.delete(B, 4),
        mass=1.0,
        epsilon=0.1,
        tol=1e-8,
    )
    np.testing.assert_allclose(np.delete(plan, 4, 1)[[1, 3, 4, 5, 6]], wanted.plan(), atol=1e-7)
    with pytest.raises(InfeasibleError, match="hold less than the mass"):
        coalign.partial_transport(cost, a, B, mass=LESS * 0.9, epsilon=0.1)
    # That columns do not hold it is not seen from the rows.
    cost = np.full((3, 3), np.inf)
    cost[:, 0] = 0
    with pytest.warns(ConvergenceWarning, match="partial_transport: 1 of 1 problems need more"):
        found = coalign.partial_transport(cost, mass=0.9, epsilon=0.1, max_iterations=50)
    assert not bool(found.converged)


def test_batches_lists_and_lengths_are_each_their_own_problem() -> None:
    sizes = [(7, 9), (3, 2), (1, 5), (6, 1)]
    mass, epsilon = np.array([0.3, 0.5, 0.9, 0.1]), np.array([0.1, 0.5, 0.02, 1.0])
    alone = [
        coalign.partial_transport(
            COST[:n, :m].copy(),
            A[:n],
            B[:m],
            mass=float(w) * min(A[:n].sum(), B[:m].sum()),
            epsilon=float(e),
        )
        for (n, m), w, e in zip(sizes, mass, epsilon, strict=True)
    ]
    given = np.array([each.mass for each in alone])
    listed = coalign.partial_transport(
        [COST[:n, :m] for n, m in sizes],
        [A[:n] for n, _ in sizes],
        [B[:m] for _, m in sizes],
        mass=given,
        epsilon=epsilon,
    )
    padded_cost = np.full((4, 7, 9), np.nan)
    padded_cost[:] = COST
    padded = coalign.partial_transport(
        padded_cost,
        A,
        B,
        mass=given,
        epsilon=epsilon,
        row_lengths=[n for n, _ in sizes],
        col_lengths=[m for _, m in sizes],
        threads=2,
    )
    for p, ((n, m), each) in enumerate(zip(sizes, alone, strict=True)):
        for found in (listed, padded):
            np.testing.assert_array_equal(found.f[p][:n], each.f)
            np.testing.assert_array_equal(found.g[p][:m], each.g)
            assert found.iterations[p] == each.iterations
        np.testing.assert_array_equal(padded.plan()[p, :n, :m], each.plan())
    assert not padded.f[1, 3:].any()


def test_threads_do_not_change_a_large_problem() -> None:
    cost = rng.random((600, 500)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with forced(work_per_thread=0):
            found.append(coalign.partial_transport(cost, mass=0.5, epsilon=0.05, threads=threads))
    np.testing.assert_array_equal(found[0].f, found[1].f)
    np.testing.assert_array_equal(found[0].g, found[1].g)


def test_tol_0_makes_so_many_plain_updates() -> None:
    mass = 0.9 * LESS
    found = coalign.partial_transport(COST, A, B, mass=mass, epsilon=0.1, tol=0, max_iterations=3)
    assert found.iterations == 3
    assert found.status == Status.OK
    # By definition: rows and the level, then columns and the level, by turns.
    rows, columns = np.ones(7), np.ones(9)
    kernel = np.outer(A, B) * np.exp(-COST / 0.1)
    for turn in range(3):
        if turn:
            sums = (kernel * rows[:, None]).sum(0)
            columns = np.minimum(1, B / sums / level_of(sums, B, mass))
        sums = (kernel * columns).sum(1)
        level = level_of(sums, A, mass)
        rows = np.minimum(1, A / sums / level)
    wanted = level * kernel * rows[:, None] * columns
    np.testing.assert_allclose(found.plan(), wanted, rtol=1e-9)


def level_of(sums: Any, weights: Any, mass: float) -> float:
    """What sums are multiplied by so that, cut at the weights, they have a mass: by bisection."""
    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        is_less = np.minimum(weights, sums * np.exp(middle)).sum() < mass
        low, high = (middle, high) if is_less else (low, middle)
    return float(np.exp(low))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mass": 0.0}, "mass: expected a finite number above 0, got 0"),
        ({"mass": np.nan}, "mass: expected a finite number above 0, got NaN"),
        ({"mass": 99.0}, "mass: expected at most .*, the lesser of the masses of a and b, got 99"),
        ({"mass": [0.5, 0.5]}, r"mass: expected a number, got shape \(2,\)"),
        ({"epsilon": -1.0}, "epsilon: expected a finite number above 0, got -1"),
        ({"tol": -1.0}, "tol: expected a finite number of at least 0"),
        ({"a": -A}, r"a: -.* at index \(0,\); expected finite weights of at least 0"),
        ({"b": 0 * B}, "b: expected a finite mass above 0, got 0"),
        ({"b": B[:3]}, r"b: expected shape \(9,\), got \(3,\)"),
        ({"cost": put(COST, (1, 2), np.nan)}, r"cost: NaN at index \(1, 2\)"),
        ({"cost": put(COST, (1, 2), -np.inf)}, r"cost: -inf at index \(1, 2\)"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], words: str) -> None:
    call = {"cost": COST, "a": A, "b": B, "mass": 0.5, "epsilon": 0.1, **changes}
    with pytest.raises(ValueError, match=words):
        coalign.partial_transport(**call)


def test_what_does_not_get_there_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match="partial_transport: 1 of 1") as caught:
        found = coalign.partial_transport(
            COST, A, B, mass=0.9 * LESS, epsilon=1e-3, max_iterations=2
        )
    assert caught[0].filename == __file__
    assert found.status == Status.NOT_CONVERGED
    assert float(found.marginal_error) > 1e-4
    with pytest.warns(ConvergenceWarning, match="PRECISION_LIMIT"):
        found = coalign.partial_transport(
            COST.astype(np.float32), mass=0.5, epsilon=0.01, tol=1e-12
        )
    with pytest.raises(ArithmeticError, match="the dtype cannot hold"):
        found.check()
