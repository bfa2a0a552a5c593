"""The bits of CTC depend on a problem, its options and the instruction set alone."""

from __future__ import annotations

from typing import Any

import numpy as np

import coalign
from coalign import _execution
from oracles.compare import assert_same_bits


def problems(dtype: Any) -> tuple[list[Any], list[Any]]:
    """Recordings of many lengths, and texts of which some do not fit."""
    rng = np.random.default_rng(21)
    lengths = [*rng.integers(0, 90, 24), 700, 33]
    x = [(3 * rng.normal(size=(t, 17))).astype(dtype) for t in lengths]
    return x, [rng.integers(1, 17, rng.integers(0, max(2 * t // 3, 2))) for t in lengths]


def assert_same(ours: Any, theirs: Any) -> None:
    for name in ("loss", "grad", "status"):
        assert_same_bits(getattr(ours, name), getattr(theirs, name), name)


def test_neighbours_and_threads_change_no_bit(isa: str, dtype: np.dtype) -> None:
    x, texts = problems(dtype)
    for input in ("logits", "log_probs"):
        with _execution.forced(isa) as runs:
            alone = [
                coalign.ctc_forward_backward(item, text, input=input)
                for item, text in zip(x, texts, strict=True)
            ]
            losses = [
                coalign.ctc_loss(item, text, input=input)
                for item, text in zip(x, texts, strict=True)
            ]
        for count in (1, 2, 3):
            with _execution.forced(isa, work_per_thread=0):
                found = coalign.ctc_forward_backward(x, texts, input=input, threads=count)
                back = coalign.ctc_forward_backward(
                    x[::-1], texts[::-1], input=input, threads=count
                )
                loss = coalign.ctc_loss(x, texts, input=input, threads=count)
            for p, one in enumerate(alone):
                assert_same_bits(found.loss[p], one.loss)
                assert_same_bits(found.grad[p], one.grad)
                assert_same_bits(back.grad[-1 - p], one.grad)
                assert_same_bits(loss[p], losses[p])
        assert {run.isa for run in runs} == {isa}


def test_layouts_change_no_bit(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(22)
    x = rng.normal(size=(5, 40, 11)).astype(dtype)
    texts = rng.integers(1, 11, (5, 9))
    lengths = np.array([40, 33, 20, 1, 0])
    wide = np.full((5, 80, 14), np.nan, dtype)
    wide[:, ::2, 2:13] = x
    with _execution.forced(isa):
        expected = coalign.ctc_forward_backward(x, texts, x_lengths=lengths)
        for same in (
            np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2),
            np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0),
            wide[:, ::2, 2:13],
            np.ascontiguousarray(x[:, ::-1])[:, ::-1],
        ):
            assert_same(coalign.ctc_forward_backward(same, texts, x_lengths=lengths), expected)


def test_texts_in_any_form_give_the_same_bits(dtype: np.dtype) -> None:
    rng = np.random.default_rng(23)
    x = rng.normal(size=(3, 20, 6)).astype(dtype)
    texts = [[1, 2, 2], [], [5, 4, 3, 1]]
    padded = np.array([[1, 2, 2, -100], [-100] * 4, [5, 4, 3, 1]])
    counts = np.array([3, 0, 4])
    expected = coalign.ctc_forward_backward(x, texts)
    for targets, lengths in (
        (padded, counts),
        (padded.astype(np.int32), counts.tolist()),
        (np.concatenate(texts).astype(int), counts),
        ([np.array(text, int) for text in texts], None),
    ):
        assert_same(coalign.ctc_forward_backward(x, targets, target_lengths=lengths), expected)


def test_one_recording_for_many_texts_and_one_text_for_many_recordings(dtype: np.dtype) -> None:
    rng = np.random.default_rng(24)
    x = rng.normal(size=(4, 15, 6)).astype(dtype)
    texts = rng.integers(1, 6, (4, 5))
    assert_same(
        coalign.ctc_forward_backward(x[0], texts),
        coalign.ctc_forward_backward(np.stack([x[0]] * 4), texts),
    )
    assert_same(
        coalign.ctc_forward_backward(x, texts[0]),
        coalign.ctc_forward_backward(x, np.stack([texts[0]] * 4)),
    )
    found = coalign.ctc_forward_backward(x, texts[0]).occupancy()
    assert found.shape == x.shape
