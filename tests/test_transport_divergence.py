"""Comparisons of two weighted sets by transport without its bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import ConvergenceWarning

rng = np.random.default_rng(8)
X, Y = rng.random((6, 2)), rng.random((8, 2))
A, B = np.full(6, 1 / 6), np.arange(1, 9) / 36


def squares(x: Any, y: Any) -> Any:
    return ((x[:, np.newaxis] - y) ** 2).sum(axis=-1)


def costs(x: Any = X, y: Any = Y) -> tuple[Any, Any, Any]:
    return squares(x, y), squares(x, x), squares(y, y)


def value(cost: Any, a: Any, b: Any, epsilon: float) -> float:
    return float(coalign.sinkhorn(cost, a, b, epsilon=epsilon, tol=1e-13).value)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.02])
def test_it_is_the_value_less_that_within_each_set(epsilon: float) -> None:
    between, within_x, within_y = costs()
    wanted = value(between, A, B, epsilon)
    wanted -= (value(within_x, A, A, epsilon) + value(within_y, B, B, epsilon)) / 2
    found = coalign.sinkhorn_divergence(*costs(), A, B, epsilon=epsilon)
    assert found == pytest.approx(wanted, abs=1e-7)
    # The value itself is off by the error of the marginals, not by its square.
    assert coalign.sinkhorn_divergence(*costs(), A, B, epsilon=epsilon, tol=1e-12) == pytest.approx(
        wanted, abs=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_0_for_a_set_and_itself_and_positive_for_others(dtype: Any) -> None:
    same = [cost.astype(dtype) for cost in costs(X, X)]
    assert coalign.sinkhorn_divergence(*same, A, A, epsilon=0.1) == 0
    for distance in (1.0, 0.1, 0.01):
        near = X + distance * rng.normal(size=X.shape)
        given = [cost.astype(dtype) for cost in costs(X, near)]
        assert coalign.sinkhorn_divergence(*given, A, A, epsilon=0.1) > 0
    # A set that is moved is as far as it is moved, whatever epsilon is.
    moved = costs(X, X + np.array([2.0, 0.0]))
    found = coalign.sinkhorn_divergence(*moved, epsilon=0.5, tol=1e-9)
    assert found == pytest.approx(4.0, abs=1e-9)


def test_batches_lists_and_lengths() -> None:
    wanted = [
        float(coalign.sinkhorn_divergence(*costs(X[:n], Y[:m]), epsilon=0.1))
        for n, m in ((6, 8), (3, 2))
    ]
    listed = [list(pair) for pair in zip(costs(), costs(X[:3], Y[:2]), strict=True)]
    assert coalign.sinkhorn_divergence(*listed, epsilon=0.1).tolist() == wanted
    padded = [np.stack([cost, cost]) for cost in costs()]
    found = coalign.sinkhorn_divergence(
        *padded, epsilon=np.array([0.1, 0.1]), row_lengths=[6, 3], col_lengths=[8, 2]
    )
    assert found.tolist() == wanted
    assert coalign.sinkhorn_divergence([], [], [], epsilon=1.0).shape == (0,)


def test_a_weight_of_0_takes_a_point_out() -> None:
    a = np.append(A[:5] / A[:5].sum(), 0)
    ours = coalign.sinkhorn_divergence(*costs(), a, B, epsilon=0.1)
    theirs = coalign.sinkhorn_divergence(*costs(X[:5]), a[:5], B, epsilon=0.1)
    assert ours == pytest.approx(theirs, abs=1e-8)


def test_what_does_not_fit_is_refused_by_its_own_name() -> None:
    between, within_x, within_y = costs()
    with pytest.raises(ValueError, match=r"cost_yy: expected shape \(8, 8\), got \(6, 6\)"):
        coalign.sinkhorn_divergence(between, within_x, within_x, epsilon=1.0)
    with pytest.raises(ValueError, match="cost_xy and cost_xx: expected batches of one form"):
        coalign.sinkhorn_divergence([between], within_x, [within_y], epsilon=1.0)
    wrong = within_y.copy()
    wrong[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"cost_yy: NaN at index \(2, 3\)"):
        coalign.sinkhorn_divergence(between, within_x, wrong, epsilon=1.0)
    with pytest.warns(ConvergenceWarning) as caught:
        coalign.sinkhorn_divergence(between, within_x, within_y, epsilon=1e-3, max_iterations=2)
    assert {warning.filename for warning in caught} == {__file__}
