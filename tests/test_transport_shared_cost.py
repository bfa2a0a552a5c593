"""One matrix of costs against a batch of weights."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import coalign

rng = np.random.default_rng(13)
COST = rng.random((5, 7))
A, B = rng.random((4, 5)) + 0.1, rng.random((4, 7)) + 0.1
A, B = A / A.sum(axis=1, keepdims=True), B / B.sum(axis=1, keepdims=True)

CALLS = pytest.mark.parametrize(
    "call",
    [
        partial(coalign.sinkhorn, epsilon=0.1),
        partial(coalign.partial_transport, epsilon=0.1, mass=0.5),
    ],
    ids=["sinkhorn", "partial_transport"],
)


@CALLS
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_it_serves_every_vector(call: Callable[..., Any], dtype: Any) -> None:
    cost = (10 * COST).astype(dtype)
    for a, b in ((A, B), (A, B[0]), (A[0], B), (A, None)):
        found = call(cost, a, b)
        lists = call(
            cost,
            None if a is None else list(np.broadcast_to(a, A.shape)),
            None if b is None else list(np.broadcast_to(b, B.shape)),
        )
        assert found.f.shape == (4, 5)
        assert len(lists.f) == 4
        plans, sums = found.plan(), found.apply(np.ones(7))
        for p in range(4):
            one = call(
                cost,
                a if np.ndim(a) == 1 else a[p],
                b if b is None or np.ndim(b) == 1 else b[p],
            )
            np.testing.assert_array_equal(found.f[p], one.f)
            np.testing.assert_array_equal(lists.g[p], one.g)
            np.testing.assert_array_equal(plans[p], one.plan())
            np.testing.assert_array_equal(lists.plan()[p], one.plan())
            np.testing.assert_array_equal(sums[p], one.apply(np.ones(7)))
            assert found.iterations[p] == one.iterations
        assert np.shares_memory(found.cost_matrix, cost)


@CALLS
def test_it_is_not_copied(call: Callable[..., Any]) -> None:
    cost = rng.random((200, 500))
    a = np.full((50, 200), 1 / 200)
    tracemalloc.start()
    found = call(cost, a, tol=0, max_iterations=1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.f.shape == (50, 200)
    assert most < 10 * cost.nbytes
    assert len(pickle.dumps(found)) < 2 * cost.nbytes


def test_numbers_in_lists_are_a_batch_of_vectors() -> None:
    found = coalign.sinkhorn(COST.tolist(), A.tolist(), epsilon=0.1)
    np.testing.assert_array_equal(found.f, coalign.sinkhorn(COST, A, epsilon=0.1).f)
    lower, upper = found.bounds()
    assert lower.shape == (4,)
    assert (lower <= upper).all()


@CALLS
def test_what_is_wrong_is_named_as_it_was_given(call: Callable[..., Any]) -> None:
    wrong = COST.copy()
    wrong[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"cost: NaN at index \(2, 3\)"):
        call(wrong, A)
    with pytest.raises(ValueError, match=r"b: expected shape \(7,\) or \(4, 7\), got \(3, 7\)"):
        call(COST, A, B[:3])
    with pytest.raises(ValueError, match=r"a: expected shape \(5,\) or \(4, 5\), got \(4, 7\)"):
        call(COST, B)
