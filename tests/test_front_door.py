"""The front door: plain calls go straight into native code, and are answered as any others are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import (
    _assignment,
    _barycenter,
    _ctc,
    _decoding,
    _execution,
    _forced_alignment,
    _monotonic,
    _partial,
    _points,
    _soft_warping,
    _transport,
    _transport_plan,
    _warping,
)
from coalign._transport_result import PointCosts
from oracles.compare import assert_same_bits

rng = np.random.default_rng(11)
COST = rng.random((6, 9))
BATCH = rng.random((3, 5, 4))
TEXT, TEXTS = np.array([1, 2, 1]), np.array([[1, 2], [2, 2], [2, 1]])
X, Y = rng.random(12), rng.random(9)
SERIES = rng.random((3, 8, 2))
SCORES = rng.normal(size=(3, 12, 5))
WORDS = np.array([[1, 2, 2], [3, 1, 4], [4, 4, 1]])
ROW_WEIGHTS, COLUMN_WEIGHTS = np.full(6, 1 / 6), np.full(9, 1 / 9)

# Two histograms of nine weights in each problem, and what these cost.
HISTOGRAMS, PLACES = np.full((3, 2, 9), 1 / 9), np.ascontiguousarray(COST.T)
HISTOGRAMS[:, 0, 0] += 0.1
HISTOGRAMS[:, 0, 1] -= 0.1

# A result keeps its clouds, which are compared as objects.
CLOUD, CLOUDS = rng.normal(size=(9, 3)), rng.normal(size=(3, 6, 3))
POINTS = CLOUDS[0]
NARROW, LISTED = POINTS.astype(np.float32), [POINTS, CLOUDS[1, :2]]

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
    "ctc_loss": lambda: coalign.ctc_loss(COST, TEXT),
    "ctc_loss float32": lambda: coalign.ctc_loss(COST.astype(np.float32), TEXT, threads=2),
    "ctc_loss of texts in a row": lambda: coalign.ctc_loss(
        BATCH, TEXT, target_lengths=np.array([2, 0, 1]), blank=-1, input="log_probs"
    ),
    "ctc_loss, mean": lambda: coalign.ctc_loss(BATCH, TEXTS, reduction="mean"),
    "ctc_loss of one and many": lambda: coalign.ctc_loss(COST, TEXTS, zero_infinity=True),
    "ctc_loss of many and one": lambda: coalign.ctc_loss(BATCH, TEXT),
    "ctc_forward_backward": lambda: coalign.ctc_forward_backward(COST, TEXT),
    "ctc_forward_backward of a padded batch": lambda: coalign.ctc_forward_backward(
        BATCH, TEXTS, x_lengths=np.array([5, 0, 3]), target_lengths=np.array([2, 0, 1])
    ),
    "ctc_forward_backward of a list": lambda: coalign.ctc_forward_backward(
        [COST, COST[::-1], COST[:0]], [TEXT, TEXT[:0], TEXT[:1]], reduction="sum"
    ),
    "ctc_forward_backward of no frames": lambda: coalign.ctc_forward_backward(COST[:0], TEXT),
    "ctc_greedy": lambda: coalign.ctc_greedy(COST),
    "ctc_greedy float32": lambda: coalign.ctc_greedy(COST.astype(np.float32), threads=2),
    "ctc_greedy of log_probs": lambda: coalign.ctc_greedy(COST, input="log_probs", blank=-1),
    "ctc_greedy of a padded batch": lambda: coalign.ctc_greedy(
        BATCH, x_lengths=np.array([5, 0, 3]), device="cpu"
    ),
    "ctc_greedy of a list": lambda: coalign.ctc_greedy([COST, COST[::-1], COST[:0]]),
    "linear_sum_assignment": lambda: coalign.linear_sum_assignment(COST),
    "linear_sum_assignment, tall": lambda: coalign.linear_sum_assignment(COST.T, maximize=True),
    "ctc_align": lambda: coalign.ctc_align(SCORES[0], WORDS[0]),
    "ctc_align float32": lambda: coalign.ctc_align(SCORES[0].astype(np.float32), WORDS[0], blank=0),
    "ctc_align with options": lambda: coalign.ctc_align(
        SCORES[0], WORDS[0], input="log_probs", wildcard=9, open_begin=True, open_end=True
    ),
    "ctc_align, the last is the blank": lambda: coalign.ctc_align(SCORES[0], WORDS[0], blank=-1),
    "ctc_align a padded batch": lambda: coalign.ctc_align(
        SCORES, WORDS, x_lengths=np.array([12, 7, 9]), target_lengths=np.array([3, 0, 2])
    ),
    "ctc_align lists": lambda: coalign.ctc_align([*SCORES], (WORDS[0], WORDS[1, :1], WORDS[2])),
    "ctc_align texts in a row": lambda: coalign.ctc_align(
        SCORES, WORDS.reshape(-1), target_lengths=np.array([2, 0, 7])
    ),
    "ctc_align one and many": lambda: coalign.ctc_align(SCORES[0], WORDS, threads=2),
    "ctc_align many and one": lambda: coalign.ctc_align(SCORES, WORDS[0]),
    "ctc_align no frame": lambda: coalign.ctc_align(np.zeros((0, 5)), WORDS[0, :0]),
    "monotonic_alignment": lambda: coalign.monotonic_alignment(COST),
    "monotonic_alignment float32": lambda: coalign.monotonic_alignment(COST.astype(np.float32)),
    "monotonic_alignment by columns": lambda: coalign.monotonic_alignment(
        BATCH.swapaxes(1, 2), threads=2, device="cpu"
    ),
    "monotonic_alignment of a padded batch": lambda: coalign.monotonic_alignment(
        BATCH[:, :3], text_lengths=np.array([3, 0, 1]), frame_lengths=np.array([4, 0, 2])
    ),
    "monotonic_alignment of a list": lambda: coalign.monotonic_alignment([COST, COST[:2, ::2]]),
    "partial_transport": lambda: coalign.partial_transport(COST, mass=0.5, epsilon=2),
    "partial_transport float32": lambda: coalign.partial_transport(
        COST.astype(np.float32)[::-2], mass=1, epsilon=0.5, threads=2, device="cpu"
    ),
    "partial_transport of a padded batch": lambda: coalign.partial_transport(
        BATCH,
        np.ones(BATCH.shape[:2]),
        np.ones(BATCH.shape[2]),
        mass=np.linspace(0.3, 1, len(BATCH)),
        epsilon=np.linspace(1, 2, len(BATCH)),
        row_lengths=np.arange(1, len(BATCH) + 1),
    ),
    "partial_transport of a list": lambda: coalign.partial_transport(
        [COST, COST[:2, 3:]], [ROW_WEIGHTS, ROW_WEIGHTS[:2]], mass=0.3, epsilon=0.1, tol=1e-6
    ),
    "sinkhorn": lambda: coalign.sinkhorn(COST, epsilon=2.0),
    "sinkhorn float32": lambda: coalign.sinkhorn(
        COST.astype(np.float32)[::-2], epsilon=3, threads=2
    ),
    "sinkhorn with weights": lambda: coalign.sinkhorn(
        COST, ROW_WEIGHTS, COLUMN_WEIGHTS, epsilon=2.0, tol=1e-6
    ),
    "sinkhorn, unbalanced": lambda: coalign.sinkhorn(
        COST, 2 * ROW_WEIGHTS, COLUMN_WEIGHTS, epsilon=2.0, unbalanced=(3.0, 1), device="cpu"
    ),
    "sinkhorn of a padded batch": lambda: coalign.sinkhorn(
        BATCH,
        np.ones(BATCH.shape[:2]),
        np.ones(BATCH.shape[2]),
        epsilon=np.linspace(1, 2, len(BATCH)),
        unbalanced=1.5,
        row_lengths=np.arange(1, len(BATCH) + 1),
    ),
    "sinkhorn of a list": lambda: coalign.sinkhorn(
        [COST, COST[:2, 3:]], [ROW_WEIGHTS, ROW_WEIGHTS[:2]], epsilon=2.0, unbalanced=1.0
    ),
    "sinkhorn that stops": lambda: coalign.sinkhorn(COST, epsilon=1.0, tol=0.0, max_iterations=3),
    "sinkhorn_barycenter": lambda: coalign.sinkhorn_barycenter(HISTOGRAMS[0], PLACES, epsilon=2),
    "sinkhorn_barycenter float32": lambda: coalign.sinkhorn_barycenter(
        HISTOGRAMS[0].astype(np.float32), PLACES.astype(np.float32), epsilon=0.5
    ),
    "sinkhorn_barycenter of a batch": lambda: coalign.sinkhorn_barycenter(
        HISTOGRAMS,
        PLACES,
        weights=np.array([[1.0, 2.0], [0.0, 3.0], [1.0, 1.0]]),
        epsilon=np.array([1.0, 2.0, 3.0]),
        threads=2,
    ),
    "sinkhorn_barycenter of a list": lambda: coalign.sinkhorn_barycenter(
        [*HISTOGRAMS[:2]],
        (PLACES, PLACES[:, :3]),
        weights=(np.array([1.0, 2.0]), np.ones(2)),
        epsilon=1.0,
        tol=1e-6,
        device="cpu",
    ),
    "sinkhorn_barycenter of one and many": lambda: coalign.sinkhorn_barycenter(
        HISTOGRAMS[0],
        [PLACES, PLACES[:, 2:]],
        weights=np.ones(2),
        epsilon=1.0,
        tol=0,
        max_iterations=3,
    ),
    "sinkhorn_divergence_points": lambda: coalign.sinkhorn_divergence_points(
        POINTS, CLOUD, ROW_WEIGHTS, COLUMN_WEIGHTS, epsilon=2.0, metric="cosine"
    ),
    "sinkhorn_divergence_points float32": lambda: coalign.sinkhorn_divergence_points(
        NARROW, NARROW[:4], epsilon=2, tol=1e-3, gradients=True, threads=2
    ),
    "sinkhorn_divergence_points on a line": lambda: coalign.sinkhorn_divergence_points(
        X, Y, epsilon=0.3, metric="euclidean", tol=1e-9, gradients=True, device="cpu"
    ),
    "sinkhorn_points": lambda: coalign.sinkhorn_points(POINTS, CLOUD, epsilon=2.0),
    "sinkhorn_points float32": lambda: coalign.sinkhorn_points(
        NARROW, NARROW, epsilon=3, metric="euclidean", threads=2
    ),
    "sinkhorn_points on a line": lambda: coalign.sinkhorn_points(
        X, Y, epsilon=1.0, metric="dot", tol=0, max_iterations=4, device="cpu"
    ),
    "sinkhorn_points with weights": lambda: coalign.sinkhorn_points(
        POINTS, CLOUD, ROW_WEIGHTS, COLUMN_WEIGHTS, epsilon=2.0, metric="cosine", tol=1e-6
    ),
    "sinkhorn_points, unbalanced": lambda: coalign.sinkhorn_points(
        CLOUDS, CLOUDS, epsilon=2.0, unbalanced=(3.0, 1), x_lengths=np.array([6, 1, 3])
    ),
    "sinkhorn_points of one and many": lambda: coalign.sinkhorn_points(
        CLOUD, CLOUDS, np.full((3, 9), 1 / 9), epsilon=np.array([1.0, 2.0, 3.0])
    ),
    "sinkhorn_points of lists": lambda: coalign.sinkhorn_points(
        LISTED, (CLOUD, CLOUD), [ROW_WEIGHTS, np.full(2, 0.5)], epsilon=2.0
    ),
    "sinkhorn_points of a list and one": lambda: coalign.sinkhorn_points(
        LISTED, CLOUD, None, [COLUMN_WEIGHTS, COLUMN_WEIGHTS], epsilon=2.0
    ),
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
    "soft_dtw": lambda: coalign.soft_dtw(X, Y),
    "soft_dtw float32": lambda: coalign.soft_dtw(X.astype(np.float32), Y.astype(np.float32)),
    "soft_dtw with gradients": lambda: coalign.soft_dtw(X, Y, gamma=2, grad=True, device="cpu"),
    "soft_dtw in a band": lambda: coalign.soft_dtw(X, Y, metric="euclidean", window=3, threads=2),
    "soft_dtw of frames": lambda: coalign.soft_dtw(
        SERIES[0], SERIES[1, :5], metric="cosine", grad=True
    ),
    "soft_dtw of padded batches": lambda: coalign.soft_dtw(
        SERIES, SERIES, x_lengths=np.array([8, 1, 3]), y_lengths=np.array([2, 8, 8]), grad=True
    ),
    "soft_dtw of lists": lambda: coalign.soft_dtw([X, Y], (Y, X), grad=True),
    "soft_dtw of one and many": lambda: coalign.soft_dtw(X, [Y, X[:1, np.newaxis]], grad=True),
    "soft_dtw of one and a padded batch": lambda: coalign.soft_dtw(
        X, BATCH.reshape(3, 20, 1), grad=True
    ),
    "soft_dtw of many and one": lambda: coalign.soft_dtw(SERIES, SERIES[2], grad=True),
}


def fields_of(found: Any) -> list[Any]:
    if isinstance(found, (np.ndarray, np.generic)):
        return [found]
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
        elif isinstance(mine, PointCosts):
            assert mine.metric == other.metric
            for my, their in ((mine.x, other.x), (mine.y, other.y)):
                assert type(my) is type(their)
                np.testing.assert_equal(my, their)
        else:
            assert mine == other


@pytest.fixture
def no_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("a plain call went the general way")

    monkeypatch.setattr(_assignment, "assign", refuse)
    monkeypatch.setattr(_assignment, "linear_sum_assignment", refuse)
    monkeypatch.setattr(_barycenter, "sinkhorn_barycenter", refuse)
    monkeypatch.setattr(_ctc, "ctc_loss", refuse)
    monkeypatch.setattr(_ctc, "ctc_forward_backward", refuse)
    monkeypatch.setattr(_decoding, "ctc_greedy", refuse)
    monkeypatch.setattr(_forced_alignment, "ctc_align", refuse)
    monkeypatch.setattr(_monotonic, "monotonic_alignment", refuse)
    monkeypatch.setattr(_partial, "partial_transport", refuse)
    monkeypatch.setattr(_points, "sinkhorn_points", refuse)
    monkeypatch.setattr(_soft_warping, "soft_dtw", refuse)
    monkeypatch.setattr(_transport, "sinkhorn", refuse)
    monkeypatch.setattr(_transport_plan, "sinkhorn_divergence_points", refuse)
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
        (
            lambda: coalign.assign([COST, np.full((2, 2), np.inf)]),
            coalign.InfeasibleError,
            "problem 1: no matching of all 2 pairs",
        ),
        (lambda: coalign.assign(COST, max_cost=np.nan), ValueError, "max_cost: expected a number"),
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


def test_a_wrong_instruction_set_is_no_invalid_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COALIGN_ISA", "many")
    with pytest.raises(ValueError, match="COALIGN_ISA: expected"):
        coalign.linear_sum_assignment(COST)


def test_threads_of_the_environment_do_not_matter_to_one_matrix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COALIGN_NUM_THREADS", "many")
    assert len(coalign.linear_sum_assignment(COST)[0]) == 6


def test_a_small_call_refuses_wrong_threads_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COALIGN_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="COALIGN_NUM_THREADS: expected"):
        coalign.assign(COST)
    monkeypatch.setenv("COALIGN_NUM_THREADS", "2")
    assert len(coalign.assign(COST).pairs()) == 6


# Results


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
        coalign.Warping(*range(9))


def test_repr_shows_shapes_and_totals(door: str) -> None:
    found = coalign.assign(np.array([[1.0, 3.0], [4.0, 2.5]]))
    assert repr(found) == (
        "Assignment(col_of_row=<int64 (2,)>, row_of_col=<int64 (2,)>, total=3.5, "
        "row_dual=<float64 (2,)>, col_dual=<float64 (2,)>, status=OK, maximize=False, "
        "max_cost=None, row_lengths=None, col_lengths=None)"
    )
    warping = coalign.dtw([X.astype(np.float32)] * 2, X.astype(np.float32), path=True)
    assert repr(warping) == (
        "Warping(cost=<float32 (2,)>, x_index=<list of 2>, y_index=<list of 2>, "
        "status=<int32 (2,)>, x_length=<int64 (2,)>, y_length=<int64 (2,)>, path_length=None, "
        "weight=None)"
    )


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
