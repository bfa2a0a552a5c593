"""Greedy decoding finds the best symbol of every frame, and says which frames are whose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _execution
from oracles import decoding as oracle


def read(found: Any) -> tuple[list[tuple[int, ...]], list[float], float]:
    return [tuple(span) for span in found.spans.tolist()], found.score.tolist(), float(found.total)


@pytest.mark.parametrize("input", ["logits", "log_probs"])
@pytest.mark.parametrize("blank", [0, 2, -1])
def test_the_labels_are_the_best_paths(
    isa: str, dtype: np.dtype, door: str, input: str, blank: int
) -> None:
    rng = np.random.default_rng(1)
    eps = np.finfo(dtype).eps
    for frames, symbols in ((1, 3), (7, 4), (64, 5), (65, 29), (200, 33), (130, 700), (3, 5000)):
        x = (4 * rng.normal(size=(frames, symbols))).astype(dtype)
        scores = oracle.log_scores(x, input)
        spans, means, total = oracle.greedy(scores, blank % symbols)
        with _execution.forced(isa):
            found = coalign.ctc_greedy(x, blank=blank, input=input)
        ours, score, ours_total = read(found)
        assert ours == spans
        assert found.score.dtype == found.total.dtype == dtype
        np.testing.assert_allclose(score, means, rtol=16 * eps, atol=16 * eps)
        np.testing.assert_allclose(ours_total, total, rtol=16 * eps, atol=16 * eps * frames)


def test_equal_symbols_go_to_the_smallest(isa: str, dtype: np.dtype, door: str) -> None:
    with _execution.forced(isa):
        for symbols in (3, 20, 70):
            x = np.zeros((4, symbols), dtype)
            assert coalign.ctc_greedy(x, blank=-1).spans.tolist() == [[0, 0, 4]]
            x[:, 1:] = 1
            assert coalign.ctc_greedy(x, blank=0).spans.tolist() == [[1, 0, 4]]


def test_repeats_merge_unless_a_blank_parts_them(door: str) -> None:
    path = [1, 1, 0, 1, 2, 2, 0, 0, 2, 1]
    x = np.where(np.arange(3) == np.array(path)[:, None], 9.0, 0.0)
    found = coalign.ctc_greedy(x)
    assert found.labels.tolist() == [1, 1, 2, 2, 1]
    assert found.start.tolist() == [0, 3, 4, 8, 9]
    assert found.stop.tolist() == [2, 4, 6, 9, 10]


def test_no_frames_have_no_labels(door: str) -> None:
    found = coalign.ctc_greedy(np.empty((0, 3)))
    assert found.labels.tolist() == []
    assert found.total == 0.0
    assert found.check() is found


@pytest.mark.parametrize("input", ["logits", "log_probs"])
def test_a_frame_of_minus_infinity_has_no_symbol(isa: str, door: str, input: str) -> None:
    x = np.zeros((3, 3, 4))
    x[1, :2, 1] = 1  # a label that comes first
    x[1, 2] = -np.inf
    x[0, :, 0] = -np.inf  # a symbol that is never there
    with _execution.forced(isa):
        found = coalign.ctc_greedy(x, input=input)
    assert found.status.tolist() == [
        coalign.Status.OK,
        coalign.Status.INFEASIBLE,
        coalign.Status.OK,
    ]
    assert found.total[1] == -np.inf
    assert np.isfinite(found.total[[0, 2]]).all()
    assert [len(labels) for labels in found.labels] == [1, 0, 0]
    with pytest.raises(coalign.InfeasibleError, match="problem 1: a frame has no possible symbol"):
        found.check()


@pytest.mark.parametrize("value", [1e30, -1e30])
def test_large_logits_stay_numbers(isa: str, dtype: np.dtype, value: float) -> None:
    x = np.zeros((3, 5), dtype)
    x[1, 3] = value
    with _execution.forced(isa):
        found = coalign.ctc_greedy(x)
    expected = -np.log(5) * 2 - (0 if value > 0 else np.log(4))
    np.testing.assert_allclose(float(found.total), expected, rtol=4 * np.finfo(dtype).eps)


def test_the_first_bad_value_of_a_long_frame_is_named(isa: str, dtype: np.dtype, door: str) -> None:
    x = np.zeros((70, 1300), dtype)
    x[66, 1200] = np.nan
    x[66, 1250] = np.inf
    x[68, 3] = np.nan
    with _execution.forced(isa):
        for input in ("logits", "log_probs"):
            with pytest.raises(
                ValueError, match=r"\Ax: NaN at index \(66, 1200\); expected finite"
            ):
                coalign.ctc_greedy(x, input=input)


def test_a_blank_out_of_range_is_refused(door: str) -> None:
    for blank in (3, -2):
        with pytest.raises(ValueError, match=r"\Ablank: expected a symbol from 0 to 2, or -1, got"):
            coalign.ctc_greedy(np.zeros((2, 3)), blank=blank)


def test_a_large_batch_is_shared_among_the_cpus(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COALIGN_NUM_THREADS", raising=False)
    x = np.random.default_rng(0).normal(size=(64, 200, 29))
    with _execution.forced(work_per_thread=0):
        found = coalign.ctc_greedy(x)
    alone = coalign.ctc_greedy(x, threads=1)
    for ours, other in zip(found.spans, alone.spans, strict=True):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.usefixtures("door")
def test_totals_beyond_the_dtype_are_said_to_be(dtype: np.dtype) -> None:
    x = np.full((3, 2), -0.9 * np.finfo(dtype).max, dtype)
    for piece, status in ((x, coalign.Status.PRECISION_LIMIT), (x[:1], coalign.Status.OK)):
        stream = coalign.CTCGreedyStream(input="log_probs")
        stream.feed(piece)
        for found in (coalign.ctc_greedy(piece, input="log_probs"), stream.result()):
            assert found.status == status
            assert np.isneginf(found.total) == (status != coalign.Status.OK)
    with pytest.raises(OverflowError, match=r"\Aproblem 0: a total is beyond its dtype"):
        coalign.ctc_greedy(x, input="log_probs").check()
    # Beside a frame without a symbol there is no labelling, whatever the sum of the others.
    for sign in (1, -1):
        impossible = np.concatenate([sign * x, np.full((1, 2), -np.inf, dtype), x[:1]])
        stream = coalign.CTCGreedyStream(input="log_probs")
        for piece in np.split(impossible, [2, 4]):
            stream.feed(piece)
        for found in (coalign.ctc_greedy(impossible, input="log_probs"), stream.result()):
            assert found.status == coalign.Status.INFEASIBLE
            assert np.isneginf(found.total)
            assert found.labels.size == 0
