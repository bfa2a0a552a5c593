"""What transport refuses, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import InfeasibleError, Status
from refusals import assert_refused, put
from test_transport_values import plan_of

rng = np.random.default_rng(31)
COST = rng.random((3, 5, 4))
A, B = np.full((3, 5), 0.2), np.full((3, 4), 0.25)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epsilon": 0}, ValueError, "epsilon: expected a finite number above 0, got 0"),
        ({"epsilon": -0.5}, ValueError, "epsilon: expected a finite number above 0, got -0.5"),
        ({"epsilon": np.nan}, ValueError, "epsilon: expected a finite number above 0, got NaN"),
        ({"epsilon": np.inf}, ValueError, "epsilon: expected a finite number above 0, got inf"),
        (
            {"epsilon": 1e-310},
            ValueError,
            "epsilon: expected a finite number of at least 2.23e-308, got 1e-310",
        ),
        (
            {"epsilon": np.array([0.1, 0.1, 1e-310])},
            ValueError,
            "epsilon: 1e-310 at index (2,); expected finite numbers of at least 2.23e-308",
        ),
        ({"epsilon": "small"}, TypeError, "epsilon: expected a number, got str"),
        (
            {"epsilon": [0.1, 0.2]},
            ValueError,
            "epsilon: expected a number, or shape (3,), got shape (2,)",
        ),
        (
            {"epsilon": [0.1, 0.0, 0.2]},
            ValueError,
            "epsilon: 0 at index (1,); expected finite numbers above 0",
        ),
        ({"tol": -1e-3}, ValueError, "tol: expected a finite number of at least 0, got -0.001"),
        ({"tol": np.nan}, ValueError, "tol: expected a finite number of at least 0, got NaN"),
        (
            {"max_iterations": 0},
            ValueError,
            "max_iterations: expected a number from 1 to 2147418112, got 0",
        ),
        ({"max_iterations": 2.5}, TypeError, "max_iterations: expected an integer, got float"),
        ({"unbalanced": 0}, ValueError, "unbalanced: expected a number above 0, got 0"),
        ({"unbalanced": -1.0}, ValueError, "unbalanced: expected a number above 0, got -1"),
        ({"unbalanced": np.nan}, ValueError, "unbalanced: expected a number above 0, got NaN"),
        (
            {"unbalanced": (1.0, 2.0, 3.0)},
            ValueError,
            "unbalanced: expected a number or a pair, got 3 numbers",
        ),
        ({"threads": 0}, ValueError, "threads: expected at least 1, got 0"),
        (
            {"device": "gpu"},
            ValueError,
            'device: expected None, "cpu", "cuda" or "auto", got \'gpu\'',
        ),
    ],
)
def test_options_are_refused(
    options: dict[str, Any], error: type[Exception], words: str, door: str
) -> None:
    assert door in ("front", "general")
    with assert_refused(error, words):
        coalign.sinkhorn(COST, A, B, **{"epsilon": 0.1, **options})


def test_epsilon_is_not_left_out() -> None:
    with pytest.raises(TypeError, match="epsilon"):
        coalign.sinkhorn(COST)  # type: ignore[call-arg]


@pytest.mark.parametrize(("value", "found"), [(np.nan, "NaN"), (-np.inf, "-inf")])
def test_a_bad_cost_is_named_by_its_place(value: float, found: str, door: str) -> None:
    assert door in ("front", "general")
    spoilt = put(put(COST, (1, 3, 2), value), (2, 0, 0), value)
    wanted = "expected finite costs, or +inf to forbid a pair"
    with assert_refused(ValueError, f"cost: {found} at index (1, 3, 2); {wanted}"):
        coalign.sinkhorn(spoilt, A, B, epsilon=0.1)
    with assert_refused(ValueError, f"cost[1]: {found} at index (3, 2); {wanted}"):
        coalign.sinkhorn([*spoilt], epsilon=0.1)
    with assert_refused(ValueError, f"cost: {found} at index (3, 2); {wanted}"):
        coalign.sinkhorn(spoilt[1], epsilon=0.1)


@pytest.mark.parametrize("value", [-1e-30, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_bad_weight_is_named_by_its_place(value: float, side: str, door: str) -> None:
    assert door in ("front", "general")
    weights = {"a": A, "b": B}
    weights[side] = put(weights[side], (2, 1), value)
    found = "NaN" if np.isnan(value) else str(value)
    wanted = "expected finite weights of at least 0"
    for unbalanced in (None, 1.0):
        given = {"epsilon": 0.1, "unbalanced": unbalanced}
        with assert_refused(ValueError, f"{side}: {found} at index (2, 1); {wanted}"):
            coalign.sinkhorn(COST, **weights, **given)
        with assert_refused(ValueError, f"{side}[2]: {found} at index (1,); {wanted}"):
            coalign.sinkhorn([*COST], **{k: [*w] for k, w in weights.items()}, **given)


def test_unequal_masses_are_refused(dtype: np.dtype, door: str) -> None:
    assert door in ("front", "general")
    allowed = 1e-6 if dtype == np.float64 else 1e-4
    cost, a, b = COST[0].astype(dtype), np.full(5, 0.2), np.full(4, 0.25)
    near, far = (1 + s * allowed for s in (0.5, 2.0))
    assert coalign.sinkhorn(cost, a.astype(dtype), (near * b).astype(dtype), epsilon=0.1).converged
    for other in (far, 1 / far, 2.0, 1e-6):
        with pytest.raises(ValueError, match=r"\Aa and b: expected equal masses") as caught:
            coalign.sinkhorn(cost, a.astype(dtype), (other * b).astype(dtype), epsilon=0.1)
        assert "unbalanced" in str(caught.value)
    found = coalign.sinkhorn(
        cost, a.astype(dtype), (2 * b).astype(dtype), epsilon=0.1, unbalanced=1
    )
    assert found.converged


def test_no_mass_is_refused(door: str) -> None:
    assert door in ("front", "general")
    for unbalanced in (None, 1.0):
        with pytest.raises(ValueError, match=r"\Aa: "):
            coalign.sinkhorn(COST[0], np.zeros(5), B[0], epsilon=0.1, unbalanced=unbalanced)
        with pytest.raises(ValueError, match=r"\Ab: "):
            coalign.sinkhorn(COST[0], A[0], np.zeros(4), epsilon=0.1, unbalanced=unbalanced)


@pytest.mark.parametrize("side", ["a", "b"])
def test_weights_of_other_sizes_are_refused(side: str, door: str) -> None:
    assert door in ("front", "general")
    for shape in ((3, 6), (2, 5), (7,), (3, 5, 1)):
        with pytest.raises((ValueError, TypeError), match=rf"\A{side}: "):
            coalign.sinkhorn(COST, **{side: np.full(shape, 0.1)}, epsilon=0.1)


def test_a_point_that_may_go_nowhere_is_named(dtype: np.dtype, door: str) -> None:
    assert door in ("front", "general")
    cost = COST.astype(dtype)
    cost[1, 2] = np.inf
    with assert_refused(
        InfeasibleError,
        "problem 1: row 2 has weight, and no finite cost against a column that has weight",
    ):
        coalign.sinkhorn(cost, epsilon=0.1)
    cost = COST.astype(dtype)
    cost[2, :, 3] = np.inf
    with assert_refused(
        InfeasibleError,
        "problem 2: column 3 has weight, and no finite cost against a row that has weight",
    ):
        coalign.sinkhorn(cost, epsilon=0.1)
    # Without weight, and with penalties, it is no matter.
    a = np.full(5, 0.25, dtype)
    a[2] = 0
    cost = COST[1].astype(dtype)
    cost[2] = np.inf
    assert coalign.sinkhorn(cost, a, epsilon=0.1).status == Status.OK
    found = coalign.sinkhorn(cost, epsilon=0.1, unbalanced=1.0)
    assert not plan_of(found)[2].any()


def test_starts_of_other_sizes_are_refused(door: str) -> None:
    assert door in ("front", "general")
    f, g = np.zeros(5), np.zeros(4)
    for start in (f, (f,), (f, f), (g, f), (f, g, f), (np.zeros((3, 5)), g)):
        with pytest.raises((ValueError, TypeError), match=r"\Ainitial"):
            coalign.sinkhorn(COST[0], epsilon=0.1, initial=start)


def test_a_result_keeps_its_cost_and_cannot_be_written(door: str) -> None:
    assert door in ("front", "general")
    found = coalign.sinkhorn(COST, A, B, epsilon=0.1)
    for name in ("f", "g", "value", "marginal_error", "status"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[...] = 0
    assert "Transport" in repr(found)


def test_empty_batches(door: str) -> None:
    assert door in ("front", "general")
    found = coalign.sinkhorn(np.zeros((0, 3, 4)), epsilon=0.1)
    assert found.f.shape == (0, 3)
    assert found.g.shape == (0, 4)
    assert found.value.shape == found.converged.shape == (0,)
    assert coalign.sinkhorn([], epsilon=0.1).f == []
