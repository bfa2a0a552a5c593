"""CTC against its definition: losses, gradients and occupancies, at every length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coalign
from coalign import InfeasibleError, Status, _execution
from oracles import ctc as oracle
from oracles.compare import assert_same_bits

INPUTS = ("logits", "log_probs")


def assert_right(
    x: Any,
    text: Any,
    *,
    blank: int = 0,
    input: str = "logits",
    long: bool = False,
    truth: Any = None,
    what: str = "",
) -> Any:
    """Compare a call of one problem with float64 on the same input, as far as is promised."""
    name = x.dtype.name
    found = coalign.ctc_forward_backward(x, np.asarray(text, int), blank=blank, input=input)
    place = x.shape[-1] - 1 if blank == -1 else blank
    loss, gradient, occupancy = truth or oracle.forward_backward(x, text, place, input)
    relative = oracle.PROMISED_LOSS[name]
    absolute = oracle.PROMISED_LONG_GRADIENT if long else oracle.PROMISED_GRADIENT[name]
    np.testing.assert_allclose(found.loss, loss, rtol=relative, atol=0, err_msg=what)
    np.testing.assert_allclose(found.grad, gradient, rtol=0, atol=absolute, err_msg=what)
    assert found.status == (Status.OK if np.isfinite(loss) else Status.INFEASIBLE), what
    alone = coalign.ctc_loss(x, np.asarray(text, int), blank=blank, input=input)
    np.testing.assert_allclose(alone, loss, rtol=relative, atol=0, err_msg=what)
    # Past that, the table says nothing of occupancies.
    if len(x) <= 1000:
        states = found.occupancy(per="state")
        np.testing.assert_allclose(states, occupancy, rtol=0, atol=absolute, err_msg=what)
        symbols = oracle.by_symbol(occupancy, text, place, x.shape[-1])
        found_symbols = found.occupancy()
        np.testing.assert_allclose(found_symbols, symbols, rtol=0, atol=absolute, err_msg=what)
    return found


def random_text(rng: Any, length: int, symbols: int, blank: int = 0) -> Any:
    labels = np.delete(np.arange(symbols), blank)
    return rng.choice(labels, length)


# --- every path -----------------------------------------------------------------------------------


@pytest.mark.parametrize("input", INPUTS)
@pytest.mark.parametrize("blank", [0, 1, -1])
@pytest.mark.parametrize(("frames", "symbols"), [(1, 2), (2, 3), (4, 3), (5, 2), (6, 3)])
def test_every_path_is_counted(
    frames: int, symbols: int, blank: int, input: str, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(frames * symbols)
    x = rng.normal(size=(frames, symbols)).astype(dtype)
    log_p, place = oracle.scores_of(x, input), blank % symbols
    texts = [*oracle.probabilities_by_text(log_p, place)]
    tolerance = oracle.PROMISED_GRADIENT[dtype.name]
    total = 0.0
    with _execution.forced(isa) as runs:
        for text in texts:
            target = np.array(text, int)
            found = coalign.ctc_forward_backward(x, target, blank=blank, input=input)
            loss, symbols_at, states_at = oracle.enumerated(log_p, text, place)
            np.testing.assert_allclose(found.loss, loss, rtol=oracle.PROMISED_LOSS[dtype.name])
            np.testing.assert_allclose(found.occupancy(), symbols_at, rtol=0, atol=tolerance)
            np.testing.assert_allclose(found.occupancy("state"), states_at, rtol=0, atol=tolerance)
            softmax = np.exp(log_p) if input == "logits" else 0
            np.testing.assert_allclose(found.grad, softmax - symbols_at, rtol=0, atol=tolerance)
            total += float(np.exp(-coalign.ctc_loss(x, target, blank=blank, input=input)))
    assert {run.isa for run in runs} == {isa}
    if input == "logits":
        np.testing.assert_allclose(total, 1, rtol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("input", INPUTS)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_gradient_is_that_of_the_reduced_loss(input: str, reduction: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 6, 4))
    options = {
        "targets": [[1, 1], [2], [3, 1, 2]],
        "x_lengths": [6, 4, 5],
        "input": input,
        "reduction": reduction,
    }
    gradient = coalign.ctc_forward_backward(x, **options).grad
    step = 1e-5
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += step
        below[index] -= step
        slope = coalign.ctc_loss(above, **options) - coalign.ctc_loss(below, **options)
        # The error is step^2 times a third derivative of at most 1, and 1e-15 / step of rounding.
        np.testing.assert_allclose(gradient[index], slope / (2 * step), rtol=0, atol=2e-9)


# --- float64 logarithms ---------------------------------------------------------------------------


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_problem_is_right(data: st.DataObject, seed: int, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(seed)
    frames, symbols = data.draw(st.integers(0, 60)), data.draw(st.integers(2, 40))
    blank = data.draw(st.integers(-1, symbols - 1))
    length = data.draw(st.integers(0, frames + 1))
    x = rng.normal(size=(frames, symbols)) * data.draw(st.sampled_from([0.0, 1.0, 10.0]))
    if data.draw(st.booleans()):
        x[rng.random(x.shape) < 0.1] = -np.inf
    text = random_text(rng, length, symbols, blank % symbols)
    with _execution.forced(isa) as runs:
        assert_right(x.astype(dtype), text, blank=blank, input=data.draw(st.sampled_from(INPUTS)))
    assert {run.isa for run in runs} == {isa}


def logits(kind: str, rng: Any, frames: int, text: Any, symbols: int) -> Any:
    """Scores of a kind that users bring."""
    x = rng.normal(size=(frames, symbols))
    if kind.startswith("x"):
        return x * float(kind[1:])
    if kind == "80":
        return rng.choice([-80.0, 80.0], size=x.shape)
    # Peaky: the path of the text at probability 0.99, or the same a frame late.
    at = np.linspace(0, frames - 1, len(text)).astype(int)
    path = np.zeros(frames, int)
    path[at] = text
    if kind == "shifted":
        path = np.roll(path, 1)
    p = np.full((frames, symbols), 0.01 / (symbols - 1))
    p[np.arange(frames), path] = 0.99
    return np.log(p)


@pytest.mark.parametrize("kind", ["x0", "x1", "x10", "x30", "80", "peaky", "shifted"])
@pytest.mark.parametrize(
    ("frames", "length"),
    [
        (60, 12),
        (60, 60),
        (500, 1),
        (500, 500),
        pytest.param(500, 100, marks=pytest.mark.slow),
        pytest.param(1000, 200, marks=pytest.mark.slow),
    ],
)
def test_float32_and_float64_keep_their_promise(
    frames: int, length: int, kind: str, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(frames + length)
    # No neighbours are equal: as many labels as frames fit.
    text = 1 + np.cumsum(rng.integers(1, 28, length)) % 28
    x = logits(kind, rng, frames, text, 29).astype(dtype)
    with _execution.forced(isa) as runs:
        assert_right(x, text, what=kind)
        assert_right(x, text, input="log_probs", what=kind)
    assert {run.isa for run in runs} == {isa}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "length"),
    [("x1", 2000), ("x10", 200), ("x30", 200), ("80", 200), ("peaky", 200), ("shifted", 200)],
)
def test_twenty_thousand_frames(kind: str, length: int) -> None:
    rng = np.random.default_rng(4)
    text = random_text(rng, length, 32)
    x = logits(kind, rng, 20_000, text, 32).astype(np.float32)
    truth = oracle.forward_backward(x, text, 0, "logits")
    assert_right(x, text, long=True, truth=truth, what=kind)
    assert_right(x.astype(np.float64), text, truth=truth, what=kind)


@pytest.mark.parametrize("never", [-1e9, -1e20, float(np.finfo(np.float32).min)])
def test_a_mask_that_every_alignment_needs(
    never: float, isa: str, dtype: np.dtype, door: str
) -> None:
    assert door in ("front", "general")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(8, 5)).astype(dtype)
    x[4, :4] = never
    text, mild = np.array([1, 2, 1]), x.copy()
    # One frame costs all alignments the same, so how they share the others does not depend on it.
    mild[4, :4] = -50
    with _execution.forced(isa):
        found, want = (coalign.ctc_forward_backward(scores, text) for scores in (x, mild))
    frames, tolerance = np.arange(8) != 4, oracle.PROMISED_GRADIENT[dtype.name]
    np.testing.assert_allclose(found.grad[frames], want.grad[frames], rtol=0, atol=tolerance)
    for per in ("state", "symbol"):
        shares = found.occupancy(per)
        np.testing.assert_allclose(shares, want.occupancy(per), rtol=0, atol=tolerance)
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=0, atol=tolerance)
    assert found.loss == pytest.approx(-never, rel=1e-5)


def test_a_loss_beyond_the_dtype_is_said_to_be(dtype: np.dtype) -> None:
    x = np.full((4, 2), -np.finfo(dtype).max / 2, dtype)
    found = coalign.ctc_forward_backward(x, [1], input="log_probs")
    assert found.loss == np.inf
    assert found.status == Status.PRECISION_LIMIT
    assert np.isfinite(found.grad).all()
    with pytest.raises(ArithmeticError, match="scores too large"):
        found.check()


# --- what is special ------------------------------------------------------------------------------


def test_empty_texts_and_recordings(isa: str, dtype: np.dtype, door: str) -> None:
    assert door in ("front", "general")
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, 4, 5)).astype(dtype)
    with _execution.forced(isa):
        found = coalign.ctc_forward_backward(
            x,
            np.array([[1, 2], [1, 2], [1, 2]]),
            x_lengths=np.array([0, 0, 4]),
            target_lengths=np.array([0, 1, 0]),
        )
    log_p = oracle.log_softmax(x[2])
    np.testing.assert_allclose(found.loss, [0, np.inf, -log_p[:, 0].sum()], rtol=1e-5)
    assert found.loss[0] == 0
    assert found.status.tolist() == [Status.OK, Status.INFEASIBLE, Status.OK]
    assert not found.grad[:2].any()
    states = found.occupancy("state")
    assert states.shape == (3, 4, 3)
    np.testing.assert_allclose(states[2], np.repeat([[1, 0, 0]], 4, axis=0), rtol=0, atol=1e-6)
    assert not states[:2].any()


def test_as_many_labels_as_frames_leave_one_path(dtype: np.dtype) -> None:
    x = np.random.default_rng(6).normal(size=(5, 4)).astype(dtype)
    text = [1, 2, 3, 2, 1]
    found = assert_right(x, text)
    path = np.zeros((5, 4))
    path[range(5), text] = 1
    np.testing.assert_allclose(found.occupancy(), path, atol=1e-6)


def test_a_repeat_takes_a_blank_between(dtype: np.dtype) -> None:
    x = np.zeros((4, 3), dtype)
    for text, fits in (([1, 1], True), ([1, 1, 1], False), ([1, 1, 2], True), ([2, 1, 1], True)):
        found = assert_right(x, text)
        assert np.isfinite(found.loss) == fits
    # One path of 3 ** 3.
    np.testing.assert_allclose(coalign.ctc_loss(x[:3], [1, 1]), 3 * np.log(3), rtol=1e-6)


def test_impossible_texts_in_the_middle_of_a_batch(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(5, 6, 4)).astype(dtype)
    x[3, 2] = -np.inf
    texts = [[1, 2], [1, 2, 3, 1, 2, 3, 1], [3, 3, 3], [1], [2, 2, 2, 2]]
    with _execution.forced(isa):
        found = coalign.ctc_forward_backward(x, texts)
        zeroed = coalign.ctc_forward_backward(x, texts, zero_infinity=True)
        for p in (0, 2):
            alone = coalign.ctc_forward_backward(x[p], texts[p])
            assert_same_bits(found.loss[p], alone.loss)
            assert_same_bits(found.grad[p], alone.grad)
    impossible = np.array([False, True, False, True, True])
    assert (np.isposinf(found.loss) == impossible).all()
    assert ((found.status == Status.INFEASIBLE) == impossible).all()
    assert_same_bits(found.grad[impossible], np.zeros((3, 6, 4), dtype))
    assert_same_bits(found.occupancy()[impossible], np.zeros((3, 6, 4), dtype))
    assert (zeroed.loss == np.where(impossible, 0, found.loss)).all()
    assert_same_bits(zeroed.grad, found.grad)
    assert_same_bits(zeroed.status, found.status)
    with pytest.raises(InfeasibleError, match=r"\Aproblem 1: no alignment of the text fits"):
        found.check()


@pytest.mark.parametrize("input", INPUTS)
def test_minus_infinity_is_probability_zero(input: str, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(9, 5)).astype(dtype)
    with _execution.forced(isa):
        for column, text, fits in ((4, [1, 2], True), (2, [1, 2], False), (0, [1, 2, 1], True)):
            without = x.copy()
            without[:, column] = -np.inf
            found = assert_right(without, text, input=input)
            assert np.isfinite(found.loss) == fits
            if fits:
                np.testing.assert_allclose(found.grad[:, column], 0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sentinel", [-1e4, -1e9, -3e38])
@pytest.mark.parametrize("input", INPUTS)
def test_sentinels_stand_for_minus_infinity(sentinel: float, input: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(12, 6)).astype(dtype)
    x[:, 5] = sentinel
    x[4, 1:4] = sentinel
    assert_right(x, [1, 2, 3], input=input)
    # Where every path needs one, the loss says so.
    found = coalign.ctc_forward_backward(x[:3], [5, 1, 2], input=input)
    assert found.loss >= -0.99 * sentinel
    np.testing.assert_allclose(found.occupancy().sum(axis=1), 1, rtol=1e-5)


def test_two_symbols(dtype: np.dtype) -> None:
    rng = np.random.default_rng(10)
    for blank in (0, 1, -1):
        for length in (0, 1, 3):
            text = np.full(length, 1 if blank == 0 else 0)
            assert_right(rng.normal(size=(8, 2)).astype(dtype), text, blank=blank)


def test_one_symbol_is_the_blank(dtype: np.dtype) -> None:
    x = np.ones((3, 1), dtype)
    found = coalign.ctc_forward_backward(x, [], blank=-1)
    np.testing.assert_allclose(found.loss, 0, atol=1e-6)
    np.testing.assert_allclose(found.grad, 0, atol=1e-6)


def test_losses_of_probabilities_are_never_negative(dtype: np.dtype) -> None:
    # Near certainty the roundings of float32 add up to less than nothing.
    rng = np.random.default_rng(11)
    for frames in (5, 50, 500):
        text = 1 + np.cumsum(rng.integers(1, 9, frames // 5)) % 9
        path = np.repeat(text, 5)[:frames]
        x = np.zeros((frames, 10), dtype)
        x[range(frames), path] = 12
        assert coalign.ctc_loss(x, text) >= 0
        assert_right(x, text)


def test_unnormalised_scores_have_the_true_gradient(dtype: np.dtype) -> None:
    # A softmax upstream would make each frame's gradient add up to 0; here it adds up to -1.
    x = np.random.default_rng(12).normal(size=(20, 7)).astype(dtype) + 3
    found = assert_right(x, [1, 4, 4, 2], input="log_probs")
    np.testing.assert_allclose(found.grad.sum(axis=1), -1, rtol=1e-4)


def test_of_log_probs_only_the_columns_of_the_text_are_read(dtype: np.dtype, door: str) -> None:
    assert door in ("front", "general")
    x = np.random.default_rng(13).normal(size=(10, 6)).astype(dtype)
    expected = coalign.ctc_forward_backward(x, np.array([1, 3]), input="log_probs")
    x[:, [2, 4, 5]] = np.nan
    found = coalign.ctc_forward_backward(x, np.array([1, 3]), input="log_probs")
    assert_same_bits(found.loss, expected.loss)
    assert_same_bits(found.grad, expected.grad)


def test_more_than_896_labels(dtype: np.dtype) -> None:
    rng = np.random.default_rng(14)
    assert_right(rng.normal(size=(1800, 5)).astype(dtype), random_text(rng, 1200, 5), long=True)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reductions_are_those_of_the_losses(reduction: str, dtype: np.dtype, door: str) -> None:
    assert door in ("front", "general")
    rng = np.random.default_rng(15)
    x = rng.normal(size=(3, 8, 5)).astype(dtype)
    targets, lengths = np.array([[1, 2, 3], [4, 0, 0], [0, 0, 0]]), np.array([3, 1, 0])
    each = coalign.ctc_forward_backward(x, targets, target_lengths=lengths)
    share = np.ones(3) if reduction == "sum" else np.array([1 / 3, 1, 1]) / 3
    options: dict[str, Any] = {"target_lengths": lengths, "reduction": reduction}
    found = coalign.ctc_forward_backward(x, targets, **options)
    loss = coalign.ctc_loss(x, targets, **options)
    np.testing.assert_allclose(found.loss, (each.loss * share).sum(), rtol=1e-6)
    assert_same_bits(loss, found.loss)
    assert found.loss.dtype == dtype
    np.testing.assert_allclose(found.grad, each.grad * share[:, None, None], rtol=1e-5, atol=1e-7)
    assert found.status.shape == (3,)
    one = coalign.ctc_loss(x[0], targets[0], reduction=reduction)
    np.testing.assert_allclose(one, each.loss[0] * (1 if reduction == "sum" else 1 / 3), rtol=1e-6)


def test_no_problems_have_a_sum_and_no_mean(door: str) -> None:
    assert door in ("front", "general")
    x, texts = np.zeros((0, 4, 3)), np.zeros((0, 2), int)
    assert coalign.ctc_loss(x, texts).shape == (0,)
    for reduction, wanted in (("sum", 0.0), ("mean", np.nan)):
        np.testing.assert_equal(coalign.ctc_loss(x, texts, reduction=reduction), wanted)
        found = coalign.ctc_forward_backward(x, texts, reduction=reduction)
        np.testing.assert_equal(found.loss, wanted)
        assert found.grad.shape == found.occupancy().shape == (0, 4, 3)
