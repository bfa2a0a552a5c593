"""The bits of transport depend on a problem, its options and the instruction set alone."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _execution
from oracles.compare import assert_same_bits

FIELDS = ("f", "g", "cost", "value", "marginal_error", "iterations", "converged", "status")
RHO = (None, 0.5, (0.3, np.inf))
SIZES = [(1, 1), (1, 7), (5, 1), (4, 4), (4, 4), (8, 9), (17, 3), (32, 32), (31, 33), (64, 20)]
# Larger ones may go another way than those that fill a lane each.
LARGE = [*SIZES, (130, 70), (257, 129)]


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Some of the problems are stopped before they have converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", coalign.ConvergenceWarning)
        yield


def problems(dtype: Any, sizes: Any = LARGE) -> tuple[list[Any], list[Any], list[Any]]:
    """Costs of many sizes, some quick to converge and some not, and weights with zeros."""
    rng = np.random.default_rng(21)
    costs, a, b = [], [], []
    for k, (n, m) in enumerate(sizes):
        cost = rng.random((n, m)) * (0.1, 1.0, 30.0)[k % 3]
        if k % 4 == 1 and min(n, m) > 3:
            cost[rng.random((n, m)) < 0.1] = np.inf
            cost[:, 0] = cost[0] = 1
        costs.append(cost.astype(dtype))
        for side, count in ((a, n), (b, m)):
            w = rng.random(count) + 0.1
            if k % 3 == 2 and count > 2:
                w[:: count // 2] = 0
            side.append((w / w.sum()).astype(dtype))
    return costs, a, b


def assert_same(ours: Any, theirs: Any, at: Any = ()) -> None:
    """Compare every field of a result with those of another, or of one of its problems."""
    for name in FIELDS:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert_same_bits(mine[at] if at != () else mine, other, name)


@pytest.mark.parametrize("unbalanced", RHO)
def test_neighbours_and_threads_change_no_bit(unbalanced: Any, isa: str, dtype: np.dtype) -> None:
    costs, a, b = problems(dtype)
    for options in ({"tol": 1e-4}, {"tol": 0, "max_iterations": 30}, {"max_iterations": 7}):
        given = {"epsilon": 0.05, "unbalanced": unbalanced, **options}
        with _execution.forced(isa) as runs:
            alone = [
                coalign.sinkhorn(*problem, **given) for problem in zip(costs, a, b, strict=True)
            ]
        assert {run.isa for run in runs} == {isa}
        for count in (1, 2, 3):
            with _execution.forced(isa, work_per_thread=0):
                found = coalign.sinkhorn(costs, a, b, threads=count, **given)
                back = coalign.sinkhorn(costs[::-1], a[::-1], b[::-1], threads=count, **given)
            for p, one in enumerate(alone):
                assert_same(found, one, p)
                assert_same(back, one, len(costs) - 1 - p)


def test_one_large_problem_has_the_same_bits_on_any_threads(isa: str, dtype: np.dtype) -> None:
    cost = np.random.default_rng(22).random((700, 500)).astype(dtype)
    for options in ({"tol": 1e-5}, {"tol": 0, "max_iterations": 5}):
        with _execution.forced(isa):
            alone = coalign.sinkhorn(cost, epsilon=0.01, threads=1, **options)
        for count in (2, 3, 5):
            with _execution.forced(isa, work_per_thread=0):
                found = coalign.sinkhorn(cost, epsilon=0.01, threads=count, **options)
            assert_same(found, alone)


@pytest.mark.parametrize("sizes", [SIZES, LARGE])
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e30])
def test_padding_is_never_read(rubbish: float, sizes: Any, isa: str, dtype: np.dtype) -> None:
    costs, a, b = problems(dtype, sizes)
    rows, columns = (np.array([size[k] for size in sizes]) for k in (0, 1))
    padded = np.full((len(sizes), rows.max() + 1, columns.max() + 2), rubbish, dtype)
    padded_a = np.full(padded.shape[:2], rubbish, dtype)
    padded_b = np.full((len(sizes), padded.shape[2]), rubbish, dtype)
    for p, (n, m) in enumerate(sizes):
        padded[p, :n, :m], padded_a[p, :n], padded_b[p, :m] = costs[p], a[p], b[p]
    with _execution.forced(isa):
        listed = coalign.sinkhorn(costs, a, b, epsilon=0.05)
        found = coalign.sinkhorn(
            padded, padded_a, padded_b, epsilon=0.05, row_lengths=rows, col_lengths=columns
        )
        uniform = coalign.sinkhorn(padded, epsilon=0.05, row_lengths=rows, col_lengths=columns)
        listed_uniform = coalign.sinkhorn(costs, epsilon=0.05)
    for ours, theirs in ((found, listed), (uniform, listed_uniform)):
        for p, (n, m) in enumerate(sizes):
            assert_same_bits(ours.f[p, :n], theirs.f[p])
            assert_same_bits(ours.g[p, :m], theirs.g[p])
            assert not ours.f[p, n:].any()
            assert not ours.g[p, m:].any()
        for name in FIELDS[2:]:
            assert_same_bits(getattr(ours, name), getattr(theirs, name), name)


def test_layouts_change_no_bit(isa: str, dtype: np.dtype, door: str) -> None:
    assert door in ("front", "general")
    rng = np.random.default_rng(23)
    cost, a = rng.random((3, 20, 17)).astype(dtype), np.full((3, 20), 1 / 20, dtype)
    wide = np.full((3, 40, 23), np.nan, dtype)
    wide[:, ::2, 3:20] = cost
    with _execution.forced(isa):
        expected = coalign.sinkhorn(cost, a, epsilon=0.05)
        for same in (
            wide[:, ::2, 3:20],
            np.ascontiguousarray(cost.transpose(0, 2, 1)).transpose(0, 2, 1),
            np.ascontiguousarray(cost.transpose(2, 1, 0)).transpose(2, 1, 0),
            np.ascontiguousarray(cost[:, ::-1])[:, ::-1],
            np.ascontiguousarray(cost[:, :, ::-1])[:, :, ::-1],
        ):
            assert_same(coalign.sinkhorn(same, a, epsilon=0.05), expected)
        spread = np.zeros((3, 40), dtype)
        spread[:, ::2] = a
        assert_same(coalign.sinkhorn(cost, spread[:, ::2], epsilon=0.05), expected)


def test_one_weight_for_many_costs(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(24)
    costs, a = rng.random((4, 9, 6)).astype(dtype), rng.random(9).astype(dtype)
    a /= a.sum()
    with _execution.forced(isa):
        assert_same(
            coalign.sinkhorn(costs, a, epsilon=0.1),
            coalign.sinkhorn(costs, np.stack([a] * 4), epsilon=0.1),
        )
        assert_same(
            coalign.sinkhorn([*costs], a, epsilon=0.1),
            coalign.sinkhorn([*costs], [a] * 4, epsilon=0.1),
        )


def test_weights_follow_the_dtype_of_the_costs() -> None:
    rng = np.random.default_rng(25)
    cost, a = rng.random((9, 6)), rng.random(9)
    a /= a.sum()
    found = coalign.sinkhorn(cost.astype(np.float32), a, epsilon=0.1)
    assert found.f.dtype == np.float32
    same = coalign.sinkhorn(cost.astype(np.float32), a.astype(np.float32), epsilon=0.1)
    assert_same(found, same)
    counts = rng.integers(0, 9, (5, 4))
    assert_same(coalign.sinkhorn(counts, epsilon=1), coalign.sinkhorn(counts * 1.0, epsilon=1.0))
    half = cost.astype(np.float16)
    assert_same(
        coalign.sinkhorn(half, epsilon=0.1), coalign.sinkhorn(half.astype(np.float32), epsilon=0.1)
    )


def test_many_tiny_problems_are_each_as_alone(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(26)
    for n, m in ((4, 4), (2, 3), (16, 16), (32, 32)):
        costs = rng.random((37, n, m)).astype(dtype)
        # Some of these converge at once and some do not.
        costs[::3] *= 0.01
        with _execution.forced(isa):
            found = coalign.sinkhorn(costs, epsilon=0.02, max_iterations=200)
            for p in (0, 1, 15, 16, 36):
                assert_same(found, coalign.sinkhorn(costs[p], epsilon=0.02, max_iterations=200), p)
