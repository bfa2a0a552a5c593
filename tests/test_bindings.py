"""The native functions called directly: what they could not read safely is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import as_strided

from coalign import _core

Array = npt.NDArray[Any]

SERIES = np.arange(6.0).reshape(6, 1)
BATCH = np.arange(12.0).reshape(2, 6, 1)
COSTS = np.arange(12.0).reshape(2, 2, 3)
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


def in_order(arguments: dict[str, Any], changes: dict[str, Any]) -> Any:
    return {**arguments, **changes}.values()


def pairs(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "x": SERIES,
        "y": SERIES,
        "metric": "sqeuclidean",
        "window": None,
        "step": "symmetric1",
        "open_begin": False,
        "open_end": False,
        "x_lengths": None,
        "y_lengths": None,
        "max_cost": None,
        "path": False,
        "threads": 1,
        "device": None,
        "prepared": True,
    }
    return _core.dtw(*in_order(arguments, changes))


def matrices(**changes: Any) -> Any:
    return pairs(**{"metric": "precomputed", "x": np.zeros((3, 4)), "y": None, **changes})


def assignment(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "cost": COSTS,
        "maximize": False,
        "max_cost": None,
        "row_lengths": None,
        "col_lengths": None,
        "start": None,
        "threads": 1,
        "device": None,
        "prepared": True,
    }
    return _core.assign(*in_order(arguments, changes))


def all_pairs(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "x": [SERIES, SERIES],
        "y": None,
        "metric": "sqeuclidean",
        "window": ("none", 0),
        "step": "symmetric1",
        "open_begin": False,
        "open_end": False,
        "mirrored": False,
        "x_lengths": None,
        "y_lengths": None,
        "max_cost": np.inf,
        "threads": 1,
        "out": np.empty((2, 2)),
        "progress": None,
    }
    return _core.dtw_all_pairs(*in_order(arguments, changes))


def sums_of_paths(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "centre": SERIES,
        "series": BATCH,
        "window": ("none", 0),
        "lengths": None,
        "weights": np.array([1.0, 2.0]),
        "threads": 1,
        "cost": np.empty(2),
        "status": np.empty(2, np.int64),
        "sums": np.zeros((6, 1)),
        "counts": np.zeros(6),
    }
    return _core.dtw_sums(*in_order(arguments, changes))


def ranking(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "cost": COSTS,
        "k": 2,
        "maximize": False,
        "row_lengths": None,
        "col_lengths": None,
        "threads": 1,
    }
    return _core.assign_top_k(*in_order(arguments, changes))


def ranges(**changes: Any) -> Any:
    return _core.window_ranges(**{"window": ("band", 1), "n": 3, "m": 4, **changes})


def test_what_is_safe_is_computed() -> None:
    assert pairs().cost == 0.0
    assert pairs(x=BATCH, x_lengths=np.array([6, 2])).cost.tolist() == [0.0, 94.0]
    assert matrices().cost == 0.0
    assert assignment()[0].total.tolist() == [4.0, 16.0]
    assert assignment(cost=COSTS[0])[0].col_of_row.tolist() == [0, 1]
    out = np.empty((2, 2))
    all_pairs(out=out)
    assert out.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert ranges().tolist() == [[0, 3], [0, 4], [1, 4]]
    cost, status, sums, counts = np.empty(2), np.empty(2, np.int64), np.ones((6, 1)), np.ones(6)
    sums_of_paths(cost=cost, status=status, sums=sums, counts=counts)
    # The path to the second leads along its first frame, and from its second on along the last.
    assert cost.tolist() == [0.0, 180.0]
    assert status.tolist() == [0, 0]
    assert counts.tolist() == [4.0, 4.0, 4.0, 4.0, 4.0, 12.0]
    assert sums.ravel().tolist() == [13.0, 14.0, 15.0, 16.0, 17.0, 96.0]


@pytest.mark.parametrize(
    ("call", "changes", "message"),
    [
        *(
            (all_pairs, changes, "dtw_all_pairs: expected prepared")
            for changes in (
                {"metric": "precomputed"},
                {"x": []},
                {"x": SERIES},
                {"x": [lying(TOO_MANY)] * 2},
                {"y": [], "out": np.empty((2, 0))},
                {"y": SERIES, "out": np.empty((2, 1))},
                {"y": BATCH.astype(np.float32)},
                {"y": np.zeros((2, 6, 2))},
                {"out": misaligned((2, 2))},
                {"out": at_odd_steps((2, 2), 0)},
                {"out": np.empty((2, 3))},
                {"out": np.empty((3, 2))},
                {"out": np.empty((2, 4))[:, ::2]},
                {"out": np.empty((2, 2), np.float32)},
                {"out": np.broadcast_to(np.zeros(2), (2, 2))},
            )
        ),
        *(
            (sums_of_paths, changes, "dtw_sums: expected prepared")
            for changes in (
                {"centre": BATCH},
                {"centre": SERIES.astype(np.float32)},
                {"centre": np.zeros((6, 2))},
                {"series": SERIES},
                {"series": []},
                {"lengths": np.array([7, 1])},
                {"weights": np.ones(3)},
                {"weights": np.ones(2, np.float32)},
                {"cost": np.empty(3)},
                {"cost": np.empty(2, np.float32)},
                {"status": np.empty(2, np.int32)},
                {"status": np.broadcast_to(np.zeros(1, np.int64), (2,))},
                {"sums": np.zeros((5, 1))},
                {"sums": np.zeros((6, 2))},
                {"sums": np.zeros((12, 1))[::2]},
                {"counts": np.zeros(5)},
                {"counts": np.zeros(12)[::2]},
                {"counts": np.zeros(6, np.float32)},
            )
        ),
        (sums_of_paths, {"window": ("rows", np.zeros((5, 2), np.int64))}, "window: one row per"),
        *(
            (ranking, changes, "assign_top_k: expected prepared")
            for changes in ({"k": 0}, {"k": 1.0}, {"cost": COSTS.astype(np.int64)}, {"threads": 0})
        ),
        *((call, {"window": ("band", -1)}, "a radius of at") for call in (all_pairs, ranges)),
        *((call, {"window": ("slanted", -9)}, "a radius of at") for call in (matrices, ranges)),
        (pairs, {"window": -1}, "dtw: expected prepared"),
        (pairs, {"window": ("rows", misaligned((6, 2), np.int64))}, r"window: an \(N, 2\) array"),
        (pairs, {"window": ("rows", np.zeros((5, 2), np.int64))}, "window: one row per frame of x"),
        (pairs, {"x": BATCH, "y": np.zeros((3, 6, 1))}, "batch sizes"),
        *(
            (pairs, {side: series, **more}, "dtw: expected prepared")
            for side in ("x", "y")
            for series, more in (
                (misaligned((6, 1)), {}),
                ([SERIES, misaligned((6, 1))], {}),
                (at_odd_steps((6, 1), 0), {}),
                (at_odd_steps((2, 6, 1), 0), {}),
                (SERIES[::2], {}),
                (SERIES.astype(">f8"), {}),
                (SERIES.astype(np.float32), {}),
                (SERIES.astype(np.int64), {}),
                ([SERIES, SERIES.astype(np.float32)], {}),
                ([SERIES, np.zeros((6, 2))], {}),
                (np.zeros((6, 2))[:, :1], {}),
                (np.zeros(()), {}),
                (np.zeros((1, 1, 1, 1)), {}),
                ([], {}),
                ([None], {}),
                (np.empty((0, 1)), {}),
                (np.empty((6, 0)), {}),
                (np.empty((0, 6, 1)), {}),
                (lying(TOO_MANY), {}),
                (SERIES, {f"{side}_lengths": np.array([6])}),
                ([SERIES], {f"{side}_lengths": np.array([6])}),
                (BATCH, {f"{side}_lengths": np.array([6, 7])}),
                (BATCH, {f"{side}_lengths": np.array([0, 6])}),
                (BATCH, {f"{side}_lengths": np.array([6])}),
                (BATCH, {f"{side}_lengths": np.array([[6, 6]])}),
                (BATCH, {f"{side}_lengths": np.array([6.0, 6.0])}),
                (BATCH, {f"{side}_lengths": np.array([6, 0, 6, 0])[::2]}),
                (BATCH, {f"{side}_lengths": misaligned((2,), np.int64)}),
                (BATCH, {f"{side}_lengths": [6, 6]}),
            )
        ),
        *(
            (pairs, {name: value}, "dtw: expected prepared")
            for name, value in (
                ("metric", "manhattan"),
                ("step", "symmetric2"),
                ("max_cost", np.nan),
                ("path", 1),
                ("threads", 0),
                ("threads", 1.0),
                ("device", "cuda"),
                ("y", None),
            )
        ),
        *(
            (matrices, {"x": matrix}, "dtw: expected prepared")
            for matrix in (
                misaligned((3, 4)),
                at_odd_steps((3, 4), 0),
                np.zeros((3, 8))[:, ::2],
                np.zeros((3, 4), np.int64),
                np.zeros(3),
                np.empty((0, 4)),
                np.empty((3, 0)),
                lying(TOO_MANY),
                [np.zeros((3, 4)), np.zeros((3, 4), np.float32)],
                [],
                [None],
            )
        ),
        (matrices, {"y": SERIES}, "dtw: expected prepared"),
        *(
            (assignment, {"cost": cost}, "assign: expected prepared")
            for cost in (
                misaligned((3, 4)),
                at_odd_steps((3, 4), 0),
                at_odd_steps((3, 4), 1),
                COSTS.astype(">f8"),
                COSTS.astype(np.int64),
                COSTS[0, 0],
                COSTS[np.newaxis],
                as_strided(np.zeros(1), (1, TOO_MANY + 1), (8, 0)),
                as_strided(np.zeros(1), (TOO_MANY + 1, 1), (0, 8)),
                [COSTS],
                [COSTS[0], COSTS[1].astype(np.float32)],
                [],
                [None],
                None,
            )
        ),
        *(
            (assignment, {side: lengths, **more}, "assign: expected prepared")
            for side in ("row_lengths", "col_lengths")
            for lengths, more in (
                (np.array([2, 4]), {}),
                (np.array([-1, 2]), {}),
                (np.array([2]), {}),
                (np.array([2.0, 2.0]), {}),
                (np.array([2, 0, 2, 0])[::2], {}),
                (misaligned((2,), np.int64), {}),
                ([2, 2], {}),
                (np.array([2, 2]), {"cost": [COSTS[0]]}),
                (np.array([2]), {"cost": COSTS[0]}),
            )
        ),
        *(
            (assignment, {name: value}, "assign: expected prepared")
            for name, value in (
                ("maximize", 1),
                ("max_cost", np.nan),
                ("max_cost", -np.inf),
                ("max_cost", "1"),
                ("threads", 0),
                ("threads", 2**70),
                ("device", "cuda"),
            )
        ),
        (
            assignment,
            {"max_cost": np.inf, "cost": COSTS.astype(np.float32)},
            "assign: expected prepared",
        ),
        (assignment, {"start": (np.zeros(5), np.zeros(4, np.int64))}, "start: a price per column"),
        (assignment, {"start": (np.zeros(6), np.zeros(3, np.int64))}, "start: a column per row"),
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
    found = pairs(x=[SERIES] * 3, y=[SERIES] * 3, window=("rows", bounds))
    assert np.isinf(found.cost).all()
    assert len(set(found.status.tolist())) == 1
    all_pairs(window=("rows", bounds))
