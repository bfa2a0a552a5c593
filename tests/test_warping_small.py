"""Pairs of few frames or in narrow bands: the bits and the paths of the engines for any pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import Status, Warping, _execution
from oracles.compare import assert_same_bits

Array = np.ndarray[Any, Any]
METRICS = ("sqeuclidean", "euclidean", "cityblock")
# Up to the most frames that the engine takes, and past it; ends of vectors of every width.
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)
DIMS = (1, 2, 13, 15, 16, 17, 60)


def both(isa: str, x: Array, y: Array, **options: Any) -> tuple[Warping, Warping]:
    """Return what a call gives, and what the engines for pairs of any size do."""
    with _execution.forced(isa):
        found = coalign.dtw(x, y, **options)
    with _execution.forced(isa, checkpoint_bytes=0):
        return found, coalign.dtw(x, y, **options)


def assert_same(found: Warping, other: Warping) -> None:
    assert_same_bits(found.cost, other.cost)
    assert found.status == other.status
    if other.x_index is None:
        assert found.x_index is None
        return
    assert_same_bits(found.x_index, other.x_index)
    assert_same_bits(found.y_index, other.y_index)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", DIMS)
def test_every_shape_has_the_bits_of_the_other_engines(
    dim: int, metric: str, isa: str, dtype: np.dtype[Any]
) -> None:
    rng = np.random.default_rng(dim)
    for n in LENGTHS:
        for m in LENGTHS:
            # Every third pair is full of ties.
            draw = rng.normal if (n + m) % 3 else lambda size: rng.integers(0, 3, size)
            x, y = (np.asarray(draw(size=(k, dim)), dtype) for k in (n, m))
            for path in (False, True):
                assert_same(*both(isa, x, y, metric=metric, path=path))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 2, 13])
@pytest.mark.parametrize("window", [0, 1, 2, 7, 8, 15, 30])
def test_bands_have_the_bits_of_the_other_engines(
    window: int, dim: int, metric: str, isa: str, dtype: np.dtype[Any]
) -> None:
    rng = np.random.default_rng(window)
    for n, m in ((1, 1), (1, 9), (9, 1), (7, 8), (8, 8), (17, 40), (40, 17), (100, 97), (120, 130)):
        for draw in (rng.normal, lambda size: rng.integers(0, 2, size)):
            x, y = (np.asarray(draw(size=(k, dim)), dtype) for k in (n, m))
            for path in (False, True):
                assert_same(*both(isa, x, y, metric=metric, path=path, window=window))


@pytest.mark.parametrize("path", [False, True])
def test_batches_have_the_bits_of_one_call(path: bool, isa: str, dtype: np.dtype[Any]) -> None:
    rng = np.random.default_rng(1)
    xs, ys = ([rng.normal(size=n).astype(dtype) for n in rng.integers(1, 40, 30)] for _ in range(2))
    with _execution.forced(isa):
        found = coalign.dtw(xs, ys, path=path)
    for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
        one, other = both(isa, x, y, path=path)
        assert_same(one, other)
        assert_same_bits(found.cost[p], one.cost)
        if path:
            assert_same_bits(found.x_index[p], one.x_index)
            assert_same_bits(found.y_index[p], one.y_index)


@pytest.mark.parametrize("path", [False, True])
def test_a_limit_is_kept(path: bool, isa: str, dtype: np.dtype[Any]) -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 10)).astype(dtype)
    cost = float(coalign.dtw(x, y).cost)
    for most in (0.0, cost / 2, cost, 2 * cost):
        found, other = both(isa, x, y, path=path, max_cost=most)
        assert_same(found, other)
        assert np.isinf(found.cost) == (most < cost)


@pytest.mark.filterwarnings("ignore:dtw. 1 of 1 costs overflow:RuntimeWarning")
def test_costs_beyond_the_dtype(isa: str, dtype: np.dtype[Any]) -> None:
    large = np.finfo(dtype).max
    for x, y in (
        ([0, large, 0], [0, 0]),
        ([large, -large], [-large, large]),
        ([0, large], [0, large]),
        ([large, 0, 1], [large, 2]),
    ):
        given = np.array(x, dtype), np.array(y, dtype)
        found, other = both(isa, *given)
        assert_same(found, other)
        assert (found.status == Status.OK) == np.isfinite(found.cost)
