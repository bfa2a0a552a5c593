"""The benchmarks of transport: what they solve, and how answers and peers are judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import families_transport as families
import peers_transport
from oracles import transport as oracle


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_family_gives_problems_that_have_a_plan(family: str) -> None:
    for n, m in ((4, 4), (16, 9), (25, 25)):
        made = families.problems(3, family, 2, n, m, of_mean=0.5)
        assert made.cost.shape == (2, n, m)
        assert (made.cost == made.cost.astype(np.float32)).all()
        assert np.isfinite(made.epsilon)
        assert made.epsilon > 0
        for cost, a, b in zip(made.cost, made.a, made.b, strict=True):
            assert a.min() >= 0
            np.testing.assert_allclose([a.sum(), b.sum()], 1, rtol=1e-12)
            assert oracle.linear_program(oracle.problem(cost, a, b, epsilon=1.0)) < 1e4
            assert (a == 1 / n).all() == made.uniform


def test_the_same_seed_gives_the_same_problems() -> None:
    one, same, other = (families.problems(seed, "words", 1, 8, 6, of_mean=1) for seed in (0, 0, 1))
    assert (one.cost == same.cost).all()
    assert (one.cost != other.cost).any()


def test_epsilon_is_a_share_of_costs_that_are_no_sentinels() -> None:
    made = families.problems(0, "gated at 1e9", 1, 20, 20, of_most=0.1)
    usual = made.cost[made.cost < 1e8]
    assert made.epsilon == 0.1 * usual.max()
    assert (made.cost == np.float32(1e9)).any()
    made = families.problems(0, "gated at inf", 1, 20, 20, of_mean=0.1)
    assert made.epsilon == 0.1 * np.abs(made.cost[np.isfinite(made.cost)]).mean()


def test_errors_are_those_of_the_oracle() -> None:
    made = families.problems(0, "histograms", 2, 12, 9, of_mean=0.2)
    rng = np.random.default_rng(0)
    f, g = rng.normal(size=(2, 12)) * 0.1, rng.normal(size=(2, 9)) * 0.1
    wanted = [
        oracle.marginal_error(oracle.problem(c, a, b, epsilon=made.epsilon), *potentials)
        for c, a, b, *potentials in zip(made.cost, made.a, made.b, f, g, strict=True)
    ]
    np.testing.assert_allclose(made.error(made.plans(f, g)), max(wanted), rtol=1e-12)
    f[0, 0] = np.nan
    assert made.error(made.plans(f, g)) == np.inf


def test_the_loosest_threshold_is_the_first_that_reaches_the_tolerance() -> None:
    made = families.problems(0, "uniform", 1, 100, 100, of_mean=1)

    def off_by(error: float) -> Any:
        plan = np.outer(made.a[0], made.b[0])
        plan[0, 0] += error / 2
        return plan

    asked: list[float] = []

    def solve(threshold: float, times: float) -> Any:
        asked.append(threshold)
        return off_by(times * threshold)

    # Of errors that are twice what the peer looks at, a third of the tolerance will do.
    assert peers_transport.loosest(made, 1e-3, lambda at: solve(at, 2)) == 1e-3 / 3
    assert asked == [1e-3, 1e-3 / 3]
    # What does not reach its own threshold is not asked again, nor what is no number.
    for times in (100, np.nan):
        asked.clear()
        assert peers_transport.loosest(made, 1e-3, lambda at, t=times: solve(at, t)) == 1e-3
        assert len(asked) == 1
    # An error of ten times the threshold is what a root of a hundred allows.
    assert peers_transport.loosest(made, 1e-3, lambda at: solve(at, 10)) == 1e-4


def test_an_error_counts_in_units_of_what_is_asked_for() -> None:
    made = families.problems(0, "uniform", 1, 10, 10, of_mean=1)
    plan = np.outer(made.a[0], made.b[0])
    plan[0, 0] += 1e-3
    for tol, wanted in ((1e-3, 2.0), (0.0, 2e-3 / peers_transport.FLOOR["float32"])):
        found = peers_transport.of_plans("float32")(peers_transport.Prepared(made, (), tol), [plan])
        np.testing.assert_allclose(found, [wanted], rtol=1e-9)
