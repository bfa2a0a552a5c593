"""A matching depends on its own problem alone: not on threads, neighbours or memory layout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from coalign import Assignment, InfeasibleError, _execution, assign
from oracles.compare import assert_same_bits
from oracles.instances import COST_FAMILIES, Array, make_costs
from workers import run_on_threads

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "maximised": {"maximize": True},
    "limit": {"max_cost": 0.5},
    "as many pairs as possible": {"max_cost": math.inf},
}


def make_collection(seed: int, count: int, largest: int, dtype: Any) -> list[Array]:
    """Problems of every shape and family: of each, another number of rows is hard to match."""
    rng = np.random.default_rng(seed)
    shapes = rng.integers(0, largest + 1, (count, 2)).tolist()
    names = [name for name in COST_FAMILIES if name != "sparse"]
    return [
        make_costs(names[i % len(names)], n, m, np.dtype(dtype).name, i)
        for i, (n, m) in enumerate(shapes)
    ]


def parts(found: Assignment) -> dict[str, list[Array]]:
    """The arrays of a result, one to a problem for those that are lists."""
    values = {name: getattr(found, name) for name in found._fields}
    names = ("col_of_row", "row_of_col", "total", "row_dual", "col_dual", "status")
    return {
        name: values[name] if isinstance(values[name], list) else [values[name]] for name in names
    }


def assert_same_assignment(ours: Assignment, theirs: Assignment, what: str = "") -> None:
    mine, others = parts(ours), parts(theirs)
    for name in mine:
        for my, other in zip(mine[name], others[name], strict=True):
            assert_same_bits(my, other, f"{what} {name}")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_threads_and_neighbours_change_no_bit(
    options: dict[str, Any], isa: str, dtype: np.dtype
) -> None:
    costs = make_collection(0, 120, 70, dtype)

    def call(threads: int) -> Assignment:
        return assign(costs, threads=threads, **options)

    one = run_on_threads(call, 1, isa)
    for threads in (2, 3):
        assert_same_assignment(run_on_threads(call, threads, isa), one, f"{threads} threads")
    with _execution.forced(isa):
        backwards = assign(costs[::-1], **options)
        for p, cost in enumerate(costs):
            alone = assign(cost, **options)
            for name, values in parts(alone).items():
                assert_same_bits(values[0], getattr(one, name)[p], f"{name} of {cost.shape}")
                assert_same_bits(values[0], getattr(backwards, name)[-1 - p], name)


@pytest.mark.parametrize(("n", "m"), [(1, 7), (30, 45), (45, 30), (64, 17)])
def test_a_rectangle_has_the_bits_of_its_transpose(
    n: int, m: int, isa: str, dtype: np.dtype
) -> None:
    # Without a limit it is the shorter side that is matched, whichever axis that is.
    for family in ("normal", "plane", "0 to 99"):
        cost = make_costs(family, n, m, dtype.name)
        with _execution.forced(isa):
            found, turned = assign(cost), assign(cost.T)
        assert_same_bits(found.col_of_row, turned.row_of_col)
        assert_same_bits(found.row_of_col, turned.col_of_row)
        assert_same_bits(found.row_dual, turned.col_dual)
        assert_same_bits(found.col_dual, turned.row_dual)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_many_tiny_problems_have_the_bits_of_each_alone(
    options: dict[str, Any], isa: str, dtype: np.dtype
) -> None:
    costs = np.random.default_rng(3).normal(size=(3000, 4, 5)).astype(dtype)
    found = run_on_threads(lambda threads: assign(costs, threads=threads, **options), 2, isa)
    with _execution.forced(isa):
        for p in range(0, 3000, 37):
            alone = assign(costs[p], **options)
            for name, values in parts(alone).items():
                assert_same_bits(values[0], getattr(found, name)[p], name)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (4, 4), (8, 8), (9, 3), (5, 16), (16, 16), (12, 17), (30, 30), (20, 40), (64, 64)],
)
@pytest.mark.parametrize("maximize", [False, True])
def test_problems_solved_in_groups_have_the_bits_of_each_alone(
    shape: tuple[int, int], maximize: bool, isa: str, dtype: np.dtype
) -> None:
    # Whole groups of lanes and some over; ties, zeros of both signs, and pairs that are forbidden.
    rng = np.random.default_rng(shape)
    sign = -1 if maximize else 1
    costs = rng.integers(-2, 3, (75, *shape)) * rng.choice([1.0, -0.5], (75, *shape))
    costs[25:50] = rng.normal(size=(25, *shape))
    costs[::3] = np.where(rng.uniform(size=(25, *shape)) < 0.3, sign * np.inf, costs[::3])
    diagonal = np.arange(min(shape))
    costs[:, diagonal, diagonal] = 1
    costs = costs.astype(dtype)
    with _execution.forced(isa):
        turned = np.ascontiguousarray(costs.swapaxes(1, 2)).swapaxes(1, 2)
        batches = [
            assign(batch, maximize=maximize, threads=1) for batch in (costs, turned, [*costs])
        ]
        for p in range(len(costs)):
            alone = parts(assign(costs[p], maximize=maximize))
            for found in batches:
                for name, values in alone.items():
                    assert_same_bits(values[0], getattr(found, name)[p], name)


def test_errors_within_a_group_are_those_of_each_alone(isa: str, dtype: np.dtype) -> None:
    costs = np.random.default_rng(4).normal(size=(40, 6, 7)).astype(dtype)
    with _execution.forced(isa):
        infeasible = costs.copy()
        infeasible[21, 2:4, 1:] = np.inf
        with pytest.raises(InfeasibleError, match=r"\Aproblem 21: "):
            assign(infeasible)
        costs[33, 4, 5] = np.nan
        with pytest.raises(ValueError, match=r"\Acost: NaN at index \(33, 4, 5\)"):
            assign(costs)


@pytest.mark.parametrize("family", COST_FAMILIES)
def test_instruction_sets_agree_on_the_total(family: str, dtype: np.dtype) -> None:
    cost = make_costs(family, 50, 50, dtype.name)
    totals = []
    for name in _execution.available():
        with _execution.forced(name):
            totals.append(float(assign(cost).total))
    relative = 1e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(totals, totals[0], rtol=relative)
