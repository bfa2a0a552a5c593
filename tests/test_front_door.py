"""The front door: plain calls go straight into native code, and are answered as any others are."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _assignment, _execution, _warping
from oracles.compare import assert_same_bits

rng = np.random.default_rng(11)
COST = rng.random((6, 9))
BATCH = rng.random((3, 5, 4))
X, Y = rng.random(12), rng.random(9)
SERIES = rng.random((3, 8, 2))

Call = Callable[[], Any]

PLAIN: dict[str, Call] = {
    "assign": lambda: coalign.assign(COST),
    "assign float32": lambda: coalign.assign(COST.astype(np.float32)),
    "assign tall, maximised": lambda: coalign.assign(COST.T, maximize=True, threads=2),
    "assign with a limit": lambda: coalign.assign(COST, max_cost=0.3, device="cpu"),
    "assign with an integer limit": lambda: coalign.assign(COST, max_cost=1),
    "assign a batch": lambda: coalign.assign(BATCH),
    "assign a padded batch": lambda: coalign.assign(
        BATCH, row_lengths=np.array([5, 0, 3]), col_lengths=np.array([4, 2, 1])
    ),
    "assign a list": lambda: coalign.assign([COST, COST[:2, ::2], COST[::-1]]),
    "assign a tuple": lambda: coalign.assign((COST, COST[:0])),
    "assign no row": lambda: coalign.assign(COST[:0]),
    "assign no problem": lambda: coalign.assign(BATCH[:0]),
    "linear_sum_assignment": lambda: coalign.linear_sum_assignment(COST),
    "linear_sum_assignment, tall": lambda: coalign.linear_sum_assignment(COST.T, maximize=True),
    "dtw": lambda: coalign.dtw(X, Y),
    "dtw float32": lambda: coalign.dtw(X.astype(np.float32), Y.astype(np.float32)),
    "dtw with a path": lambda: coalign.dtw(X, Y, metric="cityblock", path=True),
    "dtw in a band": lambda: coalign.dtw(X, Y, metric="euclidean", window=3, max_cost=40),
    "dtw of frames": lambda: coalign.dtw(SERIES[0], SERIES[1, :5], metric="cosine"),
    "dtw of batches": lambda: coalign.dtw(SERIES, SERIES[::-1], path=True),
    "dtw of padded batches": lambda: coalign.dtw(SERIES, SERIES, x_lengths=np.array([8, 1, 3])),
    "dtw of lists": lambda: coalign.dtw([X, Y], (Y, X), path=True, threads=2),
    "dtw of one and many": lambda: coalign.dtw(X, [Y, X[:1]]),
    "dtw of many and one": lambda: coalign.dtw(SERIES, SERIES[2]),
}
RESULTS = [name for name in PLAIN if not name.startswith("linear")]


def fields_of(found: Any) -> list[Any]:
    return list(found) if isinstance(found, tuple) else [getattr(found, n) for n in found._fields]


def assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    for mine, other in zip(fields_of(ours), fields_of(theirs), strict=True):
        assert type(mine) is type(other)
        if isinstance(mine, list):
            for my, their in zip(mine, other, strict=True):
                assert_same_bits(my, their)
        elif isinstance(mine, (np.ndarray, np.generic)):
            assert_same_bits(mine, other)
        else:
            assert mine == other


@pytest.fixture
def no_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("a plain call went the general way")

    monkeypatch.setattr(_assignment, "assign", refuse)
    monkeypatch.setattr(_assignment, "linear_sum_assignment", refuse)
    monkeypatch.setattr(_warping, "dtw", refuse)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.usefixtures("no_general_way")
def test_a_plain_call_needs_no_python(name: str) -> None:
    assert PLAIN[name]() is not None


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.usefixtures("no_general_way")
def test_the_general_way_is_gone_when_it_is_forced(name: str) -> None:
    with _execution.forced(general=True), pytest.raises(pytest.fail.Exception, match="general way"):
        PLAIN[name]()


@pytest.mark.parametrize("name", PLAIN)
def test_both_ways_give_the_same_bits(name: str) -> None:
    plain = PLAIN[name]()
    with _execution.forced(general=True) as runs:
        general = PLAIN[name]()
    assert_same(plain, general)
    assert len(runs) >= 1 or name == "assign no problem"


@pytest.mark.parametrize("name", PLAIN)
def test_both_ways_use_the_forced_instruction_set(name: str, isa: str) -> None:
    for general in (False, True):
        with _execution.forced(isa, general=general) as runs:
            PLAIN[name]()
        assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: coalign.assign([[1.0, np.nan]]), ValueError, r"cost: NaN at index \(0, 1\)"),
        (
            lambda: coalign.assign(np.array([[1.0, np.nan]])),
            ValueError,
            r"cost: NaN at index \(0, 1\)",
        ),
        (
            lambda: coalign.assign([COST, np.full((2, 2), np.inf)]),
            coalign.InfeasibleError,
            "problem 1: no matching of all 2 pairs",
        ),
        (lambda: coalign.assign(COST, threads=0), ValueError, "threads: expected at least 1"),
        (lambda: coalign.assign(COST, maximize=1), TypeError, "maximize: expected a bool"),
        (lambda: coalign.assign(COST, max_cost=np.nan), ValueError, "max_cost: expected a number"),
        (lambda: coalign.assign(COST, device="gpu"), ValueError, "device: expected None"),
        (lambda: coalign.assign(COST, row_lengths=np.array([1])), ValueError, "row_lengths: only"),
        (
            lambda: coalign.linear_sum_assignment(np.array([[np.nan]])),
            ValueError,
            "matrix contains invalid numeric entries",
        ),
        (
            lambda: coalign.linear_sum_assignment(np.full((2, 2), np.inf)),
            ValueError,
            "cost matrix is infeasible",
        ),
        (lambda: coalign.dtw(X, np.array([0.0, np.inf])), ValueError, r"y: inf at index \(1,\)"),
        (lambda: coalign.dtw(X, X[:0]), ValueError, "y: expected at least one frame"),
        (lambda: coalign.dtw(X, Y, window=-1), ValueError, "window: expected a radius"),
        (lambda: coalign.dtw([X], [Y, X]), ValueError, "x and y: expected batches of one size"),
    ],
)
def test_both_ways_refuse_in_the_same_words(
    call: Call, error: type[Exception], words: str, door: str
) -> None:
    assert door in ("front", "general")
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", ["COALIGN_NUM_THREADS", "COALIGN_ISA"])
@pytest.mark.parametrize("call", [PLAIN["assign"], PLAIN["dtw"]])
def test_a_wrong_environment_speaks_for_itself(
    call: Call, name: str, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(ValueError, match=f"{name}: expected .*, got 'many'"):
        call()


def test_a_wrong_instruction_set_is_no_invalid_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COALIGN_ISA", "many")
    with pytest.raises(ValueError, match="COALIGN_ISA: expected"):
        coalign.linear_sum_assignment(COST)


def test_threads_of_the_environment_do_not_matter_to_one_matrix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COALIGN_NUM_THREADS", "many")
    assert len(coalign.linear_sum_assignment(COST)[0]) == 6


# Results


def arrays_of(found: Any) -> list[Any]:
    fields = [getattr(found, name) for name in found._fields]
    items = [item for field in fields for item in (field if isinstance(field, list) else [field])]
    return [item for item in items if isinstance(item, np.ndarray)]


@pytest.mark.parametrize("name", RESULTS)
def test_arrays_of_a_result_are_made_once_and_cannot_be_written(name: str, door: str) -> None:
    found = PLAIN[name]()
    for array in arrays_of(found):
        assert not array.flags.writeable
        assert array.flags.aligned
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    for field in found._fields:
        assert getattr(found, field) is getattr(found, field)


@pytest.mark.parametrize("name", RESULTS)
def test_results_survive_pickle_and_copy(name: str, door: str) -> None:
    found = PLAIN[name]()
    for other in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert other is not found
        assert_same(other, found)
        assert not any(array.flags.writeable for array in arrays_of(other))


def test_results_of_a_list_are_those_of_its_items(door: str) -> None:
    costs = [COST, COST[:2, ::2], COST[::-1, :3]]
    found = coalign.assign(costs)
    for p, cost in enumerate(costs):
        alone = coalign.assign(cost)
        for name in ("col_of_row", "row_of_col", "row_dual", "col_dual", "total", "status"):
            assert_same_bits(getattr(found, name)[p], getattr(alone, name))
    warping = coalign.dtw([X, Y, X[2:]], Y, path=True)
    for p, series in enumerate([X, Y, X[2:]]):
        alone = coalign.dtw(series, Y, path=True)
        for name in ("x_index", "y_index", "cost", "x_length", "y_length"):
            assert_same_bits(getattr(warping, name)[p], getattr(alone, name))


def test_a_changed_copy_leaves_the_original() -> None:
    found = coalign.assign(COST)
    changed = found.__replace__(total=np.float64(3))
    assert (changed.total, changed.status) == (3, found.status)
    assert found.total != 3
    with pytest.raises(TypeError, match="unknown field"):
        found.__replace__(totally=3)
    with pytest.raises(TypeError, match="missing field row_of_col"):
        coalign.Assignment(found.col_of_row)
    with pytest.raises(TypeError, match="too many fields"):
        coalign.Warping(*range(8))


def test_repr_shows_shapes_and_totals(door: str) -> None:
    found = coalign.assign(np.array([[1.0, 3.0], [4.0, 2.5]]))
    assert repr(found) == (
        "Assignment(col_of_row=<int64 (2,)>, row_of_col=<int64 (2,)>, total=3.5, "
        "row_dual=<float64 (2,)>, col_dual=<float64 (2,)>, status=OK, maximize=False, "
        "max_cost=None)"
    )
    warping = coalign.dtw([X.astype(np.float32)] * 2, X.astype(np.float32), path=True)
    assert repr(warping) == (
        "Warping(cost=<float32 (2,)>, x_index=<list of 2>, y_index=<list of 2>, "
        "status=<int32 (2,)>, x_length=<int64 (2,)>, y_length=<int64 (2,)>, path_length=None)"
    )


def test_arrays_outlive_their_result(door: str) -> None:
    found = coalign.assign(COST)
    column, wanted = found.col_of_row, found.col_of_row.tolist()
    del found
    gc.collect()
    scratch = [coalign.assign(rng.random((6, 9))).col_of_row for _ in range(100)]
    assert len(scratch) == 100
    assert column.tolist() == wanted


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("name", PLAIN)
def test_nothing_is_leaked(name: str, general: bool) -> None:
    def call_often(times: int) -> None:
        for _ in range(times):
            with _execution.forced(general=True) if general else nullcontext():
                fields_of(PLAIN[name]())

    def references() -> list[int]:
        return [sys.getrefcount(thing) for thing in (COST, BATCH, X, Y, SERIES)]

    counts = references()
    call_often(100)
    gc.collect()
    before = sys.getallocatedblocks()
    call_often(400)
    # A plain call leaves no cycle.
    assert general or gc.collect() == 0
    gc.collect()
    assert sys.getallocatedblocks() - before < 200
    assert references() == counts


def test_a_list_may_be_changed_by_another_thread() -> None:
    costs = [rng.random((40, 40)) for _ in range(400)]
    wanted = coalign.assign(list(costs)).total.tolist()
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            held = costs[:]
            costs.clear()
            costs.extend(np.array(item) for item in held)

    given = costs[:]
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(20):
            found = coalign.assign(given).total.tolist()
            assert found == wanted
            mixed = costs[:]
            if len(mixed) == 400:
                assert coalign.assign(mixed).total.tolist() == wanted
    finally:
        stop.set()
        thread.join()


def test_threads_may_read_a_field_at_once() -> None:
    for _ in range(50):
        found = coalign.assign(BATCH)
        seen: list[Any] = []
        barrier = threading.Barrier(4)

        def read(found: Any = found, seen: list[Any] = seen, gate: Any = barrier) -> None:
            gate.wait()
            seen.append(found.col_of_row)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(array) for array in seen}) == 1
