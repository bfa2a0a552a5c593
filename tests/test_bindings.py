"""The native functions called directly: what they could not read safely is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import as_strided

from coalign import _core, _execution

Array = npt.NDArray[Any]

SERIES = np.arange(6.0).reshape(6, 1)
BATCH = np.arange(12.0).reshape(2, 6, 1)
# Columns are counted in 32 bits, which have to hold a few more than there are.
TOO_MANY = 2**31 - 2**16


def misaligned(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    array = np.zeros(size + 1, np.uint8)[1:].view(dtype).reshape(shape)
    assert not array.flags.aligned
    return array


def at_odd_steps(shape: tuple[int, ...], axis: int) -> Array:
    """The first element is aligned, the next along an axis is not."""
    room = np.zeros(64 * int(np.prod(shape)))
    strides = list(np.zeros(shape).strides)
    strides[axis] += 4
    return as_strided(room, shape, strides)


def lying(length: int) -> Array:
    """A series said to be longer than it is; nothing may be read of it."""
    return as_strided(np.zeros(1), (length, 1), (8, 8))


def pairs(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "dtype": "float64",
        "x": [SERIES],
        "y": [SERIES],
        "x_lengths": None,
        "y_lengths": None,
        "dim": 1,
        "metric": "sqeuclidean",
        "window": ("none", 0),
        "max_cost": np.inf,
        "path": False,
        "threads": 1,
        "isa": _execution.selected(),
        "work_per_thread": 1e6,
        "progress": None,
        "checkpoint_bytes": 1 << 27,
    }
    return _core.dtw_pairs(**{**arguments, **changes})


def matrices(**changes: Any) -> Any:
    return pairs(**{"metric": "precomputed", "x": [np.zeros((3, 4))], "y": None, **changes})


def all_pairs(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "dtype": "float64",
        "x": [SERIES, SERIES],
        "y": None,
        "x_lengths": None,
        "y_lengths": None,
        "dim": 1,
        "metric": "sqeuclidean",
        "window": ("none", 0),
        "max_cost": np.inf,
        "threads": 1,
        "isa": _execution.selected(),
        "work_per_thread": 1e6,
        "out": np.empty((2, 2)),
        "progress": None,
    }
    return _core.dtw_all_pairs(**{**arguments, **changes})


def ranges(**changes: Any) -> Any:
    return _core.window_ranges(**{"window": ("band", 1), "n": 3, "m": 4, **changes})


def test_what_is_safe_is_computed() -> None:
    assert pairs()[0].tolist() == [0.0]
    assert pairs(x=BATCH, x_lengths=np.array([6, 2]))[0].tolist() == [0.0, 94.0]
    assert matrices()[0].tolist() == [0.0]
    out = np.empty((2, 2))
    all_pairs(out=out)
    assert out.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert ranges().tolist() == [[0, 3], [0, 4], [1, 4]]


@pytest.mark.parametrize(
    ("call", "changes", "message"),
    [
        (all_pairs, {"metric": "precomputed"}, "metric: one between frames"),
        (all_pairs, {"x": []}, "collections: at least one series each"),
        (all_pairs, {"y": [], "out": np.empty((2, 0))}, "collections: at least one series each"),
        (all_pairs, {"out": misaligned((2, 2))}, r"out: an \(n, m\) array"),
        (all_pairs, {"out": at_odd_steps((2, 2), 0)}, r"out: an \(n, m\) array"),
        (all_pairs, {"out": np.empty((2, 3))}, r"out: an \(n, m\) array"),
        (all_pairs, {"dim": 0}, "dim: at least 1"),
        (all_pairs, {"x": [lying(TOO_MANY)] * 2}, "series: no frame, or too many"),
        *(
            (call, {"window": ("band", -1)}, "a radius of at")
            for call in (pairs, all_pairs, ranges)
        ),
        *((call, {"window": ("slanted", -9)}, "a radius of at") for call in (matrices, ranges)),
        (pairs, {"x": [misaligned((6, 1))]}, r"batch: \(T, D\) arrays"),
        (pairs, {"y": [at_odd_steps((6, 1), 0)]}, r"batch: \(T, D\) arrays"),
        (pairs, {"x": [np.empty((0, 1))]}, "series: no frame, or too many"),
        (pairs, {"x": [lying(TOO_MANY)]}, "series: no frame, or too many"),
        (pairs, {"y": [lying(TOO_MANY)]}, "series: no frame, or too many"),
        (pairs, {"x": BATCH, "x_lengths": np.array([6, 7])}, "batch: a length out of range"),
        (pairs, {"x": BATCH, "x_lengths": np.array([0, 6])}, "series: no frame, or too many"),
        (pairs, {"x": BATCH, "x_lengths": misaligned((2,), np.int64)}, "one length per item"),
        (pairs, {"x": at_odd_steps((2, 6, 1), 0), "x_lengths": np.array([6, 6])}, "batch: a"),
        (pairs, {"x": [np.empty((6, 0))], "y": [np.empty((6, 0))], "dim": 0}, "dim: at least 1"),
        (pairs, {"window": ("rows", misaligned((6, 2), np.int64))}, r"window: an \(N, 2\) array"),
        (pairs, {"window": ("rows", np.zeros((5, 2), np.int64))}, "window: one row per frame of x"),
        (matrices, {"x": [misaligned((3, 4))]}, r"matrices: \(N, M\)"),
        (matrices, {"x": [at_odd_steps((3, 4), 0)]}, r"matrices: \(N, M\)"),
        (matrices, {"x": [np.empty((0, 4))]}, "matrices: |no frame"),
        (matrices, {"x": [lying(TOO_MANY)]}, "series: no frame, or too many"),
        (matrices, {"dim": 3}, "dim: 1 for matrices"),
        (ranges, {"n": 0}, "series: no frame, or too many"),
        (ranges, {"m": TOO_MANY}, "series: no frame, or too many"),
    ],
)
def test_what_cannot_be_read_safely_is_refused(
    call: Callable[..., Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(**changes)


def test_bounds_of_rows_may_be_any_integers() -> None:
    huge = 2**62
    bounds = np.array([[-huge, 1], [huge, huge], [0, -huge], [0, huge], [2**32, 2**32 + 6], [0, 6]])
    assert (_core.window_ranges(window=("rows", bounds), n=6, m=6) <= 6).all()
    cost, status, _, _, _ = pairs(x=[SERIES] * 3, y=[SERIES] * 3, window=("rows", bounds))
    assert np.isinf(cost).all()
    assert len(set(status.tolist())) == 1
    all_pairs(window=("rows", bounds))
