"""What transport on a line refuses, to the last word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from refusals import Call, assert_refused, table

X = np.array([0.0, 1.0, 2.0])


def line(**changes: Any) -> Call:
    given = {"x": X, "y": X, **changes}
    return lambda: coalign.wasserstein_1d(**given)


@table(
    (
        "no position",
        line(y=[[], []]),
        ValueError,
        "y: expected at least one position, got shape (0,)",
    ),
    (
        "too few weights",
        line(b=[0.5, 0.5]),
        ValueError,
        "b: expected 3 weights, one for each position of y, got 2",
    ),
    (
        "too few weights in a list",
        line(x=[X, X[:1]], a=[np.ones(3), np.ones(2)]),
        ValueError,
        "a[1]: expected 1 weights, one for each position of x[1], got 2",
    ),
    (
        "a negative weight",
        line(a=[1.0, -1.0, 1.0]),
        ValueError,
        "a: -1.0 at index (1,); expected weights of at least 0",
    ),
    (
        "no mass",
        line(a=np.zeros((2, 3))),
        ValueError,
        "a: expected weights with a positive, finite sum, got 0.0 at index (0,)",
    ),
    (
        "too much mass",
        line(a=[1e308, 1e308, 1.0]),
        ValueError,
        "a: expected weights with a positive, finite sum, got inf",
    ),
    (
        "unequal masses",
        line(a=[1.0, 1.0, 1.0], b=[1.0, 1.0, 0.0]),
        ValueError,
        "a and b: expected equal masses, got 3.0 and 2.0",
    ),
    (
        "unequal masses in a batch",
        line(a=[[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], b=[1.0, 1.0, 0.0]),
        ValueError,
        "a and b: expected equal masses, got 3.0 and 2.0 at index (1,)",
    ),
    (
        "batches of two sizes",
        line(x=np.zeros((2, 3)), a=np.ones((4, 3))),
        ValueError,
        "x and a: expected batches of one size, got 2 and 4",
    ),
    (
        "a power below 1",
        line(p=0.5),
        ValueError,
        "p: expected a finite number of at least 1, got 0.5",
    ),
    (
        "no finite power",
        line(p=np.inf),
        ValueError,
        "p: expected a finite number of at least 1, got inf",
    ),
    ("a word for a power", line(p="two"), TypeError, "p: expected a number, got str"),
)
def test_it_is_refused(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


@pytest.mark.parametrize(("dtype", "most"), [(np.float64, 1e-6), (np.float32, 1e-4)])
def test_masses_may_differ_by_rounding(dtype: Any, most: float) -> None:
    x = X.astype(dtype)
    ones = np.ones(3)
    assert coalign.wasserstein_1d(x, x, ones, ones * (1 + 0.9 * most)) < 1e-15
    with pytest.raises(ValueError, match="expected equal masses"):
        coalign.wasserstein_1d(x, x, ones, ones * (1 + 1.1 * most))
