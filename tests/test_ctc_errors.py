"""What CTC refuses, and where its gradient goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from oracles.compare import assert_same_bits
from refusals import assert_refused

rng = np.random.default_rng(31)
X = rng.normal(size=(3, 6, 4))
TEXTS = np.array([[1, 2], [3, 3], [2, 1]])
LENGTHS = np.array([6, 4, 5])


@pytest.mark.parametrize("call", [coalign.ctc_loss, coalign.ctc_forward_backward])
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"input": "probabilities"},
            ValueError,
            "input: expected one of 'logits', 'log_probs', got 'probabilities'",
        ),
        (
            {"reduction": "max"},
            ValueError,
            "reduction: expected one of 'none', 'sum', 'mean', got 'max'",
        ),
        ({"zero_infinity": 1}, TypeError, "zero_infinity: expected a bool, got int"),
        ({"blank": 4}, ValueError, "blank: expected a symbol from 0 to 3, or -1, got 4"),
        (
            {"blank": 3},
            ValueError,
            "targets: 3 at index (1, 0); expected labels from 0 to 3 other than the blank, 3",
        ),
        (
            {"device": "gpu"},
            ValueError,
            'device: expected None, "cpu", "cuda" or "auto", got \'gpu\'',
        ),
        ({"threads": 0}, ValueError, "threads: expected at least 1, got 0"),
    ],
)
def test_options_are_refused(
    call: Any, options: dict[str, Any], error: type[Exception], words: str, door: str
) -> None:
    assert door in ("front", "general")
    with assert_refused(error, words):
        call(X, TEXTS, **options)


def test_labels_beyond_int64_are_named_as_they_are(door: str) -> None:
    assert door in ("front", "general")
    texts = np.full((len(TEXTS), 1), 2**64 - 1, np.uint64)
    words = "targets: expected labels below 2**63, got 18446744073709551615"
    for call in (coalign.ctc_loss, coalign.ctc_align):
        with assert_refused(ValueError, words):
            call(X, texts)
    with assert_refused(ValueError, words):
        coalign.ctc_align(X, texts, wildcard=-1)
    assert np.isfinite(coalign.ctc_loss(X, np.ones((len(TEXTS), 1), np.uint64))).all()


def test_texts_in_a_row_use_up_their_labels(door: str) -> None:
    assert door in ("front", "general")
    words = "target_lengths: expected lengths of the 4 labels in all, got 3"
    with assert_refused(ValueError, words):
        coalign.ctc_loss(X, np.array([1, 2, 1, 3]), target_lengths=np.array([1, 1, 1]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_value_is_named_by_its_place(value: float, door: str) -> None:
    assert door in ("front", "general")
    found = "NaN" if np.isnan(value) else "inf"
    spoilt = X.copy()
    spoilt[1, 3, 2] = spoilt[2, 0, 0] = value
    wanted = "expected finite values, or -inf for probability zero"
    for call in (coalign.ctc_loss, coalign.ctc_forward_backward):
        with assert_refused(ValueError, f"x: {found} at index (1, 3, 2); {wanted}"):
            call(spoilt, TEXTS)
        with assert_refused(ValueError, f"x[1]: {found} at index (3, 2); {wanted}"):
            call([*spoilt], TEXTS)
        # Of log_probs the third column is read where the text has it.
        with assert_refused(ValueError, f"x: {found} at index (2, 0, 0); {wanted}"):
            call(spoilt, TEXTS, input="log_probs")
        # One recording for many texts has one place.
        with assert_refused(ValueError, f"x: {found} at index (3, 2); {wanted}"):
            call(spoilt[1], TEXTS)


def test_the_gradient_goes_where_it_is_wanted(dtype: np.dtype, door: str) -> None:
    assert door in ("front", "general")
    x = X.astype(dtype)
    x[1, 4:] = x[2, 5:] = np.nan
    expected = coalign.ctc_forward_backward(x, TEXTS, x_lengths=LENGTHS)
    assert not expected.grad[1, 4:].any()
    assert not expected.grad[2, 5:].any()
    for shape, view in (
        ((3, 6, 4), (...,)),
        ((3, 6, 7), (..., slice(2, 6))),
        ((3, 12, 4), (slice(None), slice(None, None, 2))),
        ((3, 6, 4), (slice(None, None, -1),)),
    ):
        memory = np.full(shape, np.nan, dtype)
        out = memory[view]
        found = coalign.ctc_forward_backward(x, TEXTS, x_lengths=LENGTHS, out=out)
        assert_same_bits(out, expected.grad)
        assert np.shares_memory(found.grad, out)
        assert_same_bits(found.loss, expected.loss)
        assert np.count_nonzero(~np.isnan(memory)) == out.size
    # Frames first, as in PyTorch.
    memory = np.full((6, 3, 4), np.nan, dtype)
    coalign.ctc_forward_backward(x, TEXTS, x_lengths=LENGTHS, out=memory.transpose(1, 0, 2))
    assert_same_bits(memory.transpose(1, 0, 2), expected.grad)
    items = [x[0], x[1, :4], x[2, :5]]
    outs = [np.full(item.shape, np.nan, dtype) for item in items]
    coalign.ctc_forward_backward(items, TEXTS, out=outs)
    for p, out in enumerate(outs):
        assert_same_bits(out, expected.grad[p, : len(out)])


def test_other_room_for_a_gradient_is_refused(door: str) -> None:
    assert door in ("front", "general")
    memory = X.copy()
    apart, own = "expected rows that do not overlap", "expected memory of its own, got some of"
    shape = "expected shape (3, 6, 4) of float64, got shape"
    for out, words in (
        (np.zeros((3, 6, 5)), f"{shape} (3, 6, 5) of float64"),
        (np.zeros((3, 6, 4), np.float32), f"{shape} (3, 6, 4) of float32"),
        (np.zeros((3, 6, 8))[..., ::2], "expected rows of unit stride"),
        (np.lib.stride_tricks.as_strided(np.zeros(40), (3, 6, 4), (0, 32, 8)), apart),
        (np.lib.stride_tricks.as_strided(np.zeros(60), (3, 6, 4), (32, 32, 8)), apart),
        (np.lib.stride_tricks.as_strided(np.zeros(80), (3, 6, 4), (160, 32, 8)), apart),
        (memory, f"{own} an input's"),
        (memory[::-1], f"{own} an input's"),
    ):
        with assert_refused(ValueError, f"out: {words}"):
            coalign.ctc_forward_backward(memory, TEXTS, out=out)
    assert_same_bits(memory, X)
    for out in (np.zeros((3, 6, 4)), [np.zeros((6, 4))] * 2):
        with assert_refused(TypeError, "out: expected a list of 3 arrays like x"):
            coalign.ctc_forward_backward([*X], TEXTS, out=out)


def test_a_gradient_shares_no_memory_with_texts_and_lengths(door: str) -> None:
    assert door in ("front", "general")
    words = "out: expected memory of its own, got some of an input's"
    for shape, of in ((TEXTS.shape, "targets"), ((3,), "x_lengths"), ((3,), "target_lengths")):
        out = np.zeros((3, 6, 4))
        shared = out.reshape(-1).view(np.int64)[-int(np.prod(shape)) :].reshape(shape)
        shared[...] = {"targets": TEXTS, "x_lengths": LENGTHS, "target_lengths": 2}[of]
        before = out.copy()
        with assert_refused(ValueError, words):
            coalign.ctc_forward_backward(
                X, **{"targets": TEXTS, "x_lengths": LENGTHS, of: shared}, out=out
            )
        assert_same_bits(out, before)
        if of == "targets":
            with assert_refused(ValueError, words):
                coalign.ctc_forward_backward(X, [*shared], out=out)


def test_the_items_of_a_gradient_share_no_memory() -> None:
    memory = np.zeros((30, 4))
    words = "out: expected arrays that do not share memory"
    for out in (
        [memory[:6]] * 3,
        [memory[:6], memory[20:26], memory[5:11]],
        [memory[:12:2], memory[20:26], memory[2:14:2]],
        [memory[5::-1], memory[20:26], memory[10:4:-1]],
    ):
        with assert_refused(ValueError, words):
            coalign.ctc_forward_backward([*X], TEXTS, out=out)
    assert not memory.any()
    with assert_refused(ValueError, "out: expected memory of its own, got some of an input's"):
        coalign.ctc_forward_backward(
            [X[0], X[1], memory[7:13]], TEXTS, out=[*memory[:18].reshape(3, 6, 4)]
        )
    out = [memory[:12:2], memory[1:12:2], memory[17:11:-1]]
    coalign.ctc_forward_backward([*X], TEXTS, out=out)
    assert_same_bits(np.stack(out), coalign.ctc_forward_backward(X, TEXTS).grad)


def test_a_result_keeps_what_it_was_made_of(door: str) -> None:
    assert door in ("front", "general")
    found = coalign.ctc_forward_backward(X, TEXTS, x_lengths=LENGTHS)
    assert np.shares_memory(found.x, X)
    assert np.shares_memory(found.targets, TEXTS)
    assert found.target_lengths is None
    with assert_refused(ValueError, "per: expected one of 'symbol', 'state', got 'label'"):
        found.occupancy("label")
    states, symbols = found.occupancy("state"), found.occupancy()
    assert states.shape == (3, 6, 5)
    for p, length in enumerate(LENGTHS):
        np.testing.assert_allclose(states[p, :length].sum(axis=1), 1, rtol=1e-9)
        np.testing.assert_allclose(symbols[p, :length].sum(axis=1), 1, rtol=1e-9)
        assert not states[p, length:].any()
        assert not symbols[p, length:].any()
    items = coalign.ctc_forward_backward([*X], [[1], [3, 3], []]).occupancy("state")
    assert [item.shape for item in items] == [(6, 3), (6, 5), (6, 1)]
