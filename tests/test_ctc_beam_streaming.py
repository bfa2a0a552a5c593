"""A recording that arrives in pieces decodes to the bits of the whole, wherever it is cut."""

from __future__ import annotations

import copy
import pickle
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import coalign
from oracles.compare import assert_same_bits

LOUD = 5  # sure enough for labels that go on over a cut


class Letters:
    """A language model that likes labels to alternate."""

    def start(self) -> int:
        return -1

    def score(self, state: int, label: int) -> tuple[float, int]:
        return -0.5 - (state == label), label

    def end(self, state: int) -> float:
        return -0.1 * state


GREEDY: list[dict[str, Any]] = [{}, {"blank": -1, "input": "log_probs"}]
BEAM: list[dict[str, Any]] = [
    {},
    {"beam_width": 3, "n_best": 3, "blank": 1, "beam_threshold": 9.0},
    {"lm": Letters(), "input": "log_probs", "n_best": 2, "token_min_logp": -8.0},
]


def emissions(dtype: np.dtype, frames: int = 14) -> np.ndarray:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(frames, 4))
    x[np.arange(frames), np.repeat(rng.integers(0, 4, frames), 2)[:frames]] += LOUD
    return x.astype(dtype)


def assert_same(ours: Any, whole: Any) -> None:
    assert type(ours) is type(whole)
    for name in whole._fields:
        assert_same_bits(getattr(ours, name), getattr(whole, name), name)


def cases() -> list[Any]:
    streams = [(coalign.CTCGreedyStream, coalign.ctc_greedy, options) for options in GREEDY]
    streams += [(coalign.CTCBeamStream, coalign.ctc_beam_search, options) for options in BEAM]
    return streams


@pytest.mark.parametrize(("stream", "whole", "options"), cases())
def test_every_split_gives_the_same_bits(
    dtype: np.dtype, stream: Callable[..., Any], whole: Callable[..., Any], options: dict[str, Any]
) -> None:
    x = emissions(dtype)
    expected = whole(x, **options)
    assert len(np.ravel(expected.labels)) > 3
    for first in range(len(x) + 1):
        for second in range(first, len(x) + 1):
            fed = stream(**options)
            for piece in (x[:first], x[first:second], x[second:]):
                fed.feed(piece)
            assert_same(fed.result(), expected)
    fed = stream(**options)
    for t in range(len(x)):
        fed.feed(x[t : t + 1])
        # To ask for the result on the way changes nothing.
        assert_same(fed.result(), whole(x[: t + 1], **options))


@pytest.mark.parametrize(("stream", "whole", "options"), cases())
def test_long_streams_drop_what_is_dead(
    stream: Callable[..., Any], whole: Callable[..., Any], options: dict[str, Any]
) -> None:
    x = np.random.default_rng(11).normal(size=(1500, 6))
    fed = stream(**options)
    for piece in np.array_split(x, 7):
        fed.feed(piece)
    assert_same(fed.result(), whole(x, **options))


@pytest.mark.parametrize(("stream", "whole", "options"), cases())
def test_an_impossible_recording_stays_impossible(
    stream: Callable[..., Any], whole: Callable[..., Any], options: dict[str, Any]
) -> None:
    x = emissions(np.dtype(np.float64))
    x[6] = -np.inf
    fed = stream(**options)
    for piece in (x[:5], x[5:9], x[9:]):
        fed.feed(piece)
    assert fed.result().status == coalign.Status.INFEASIBLE
    assert_same(fed.result(), whole(x, **options))


@pytest.mark.parametrize("stream", [coalign.CTCGreedyStream, coalign.CTCBeamStream])
def test_a_refused_piece_leaves_the_stream_as_it_was(stream: Callable[..., Any]) -> None:
    x = emissions(np.dtype(np.float64))
    fed = stream()
    fed.feed(x[:5])
    bad = x[5:].copy()
    bad[2, 3] = np.nan
    before = fed.result()
    for wrong, message in (
        (bad, r"x: NaN at index \(2, 3\); expected finite values, or -inf"),
        (np.where(np.isnan(bad), np.inf, bad), r"x: inf at index \(2, 3\)"),
        (x[5:, :3], "x: expected 4 symbols in float64 as in the first piece, got 3 in float64"),
        (x[5:].astype(np.float32), "x: expected 4 symbols in float64 as in the first piece"),
        (x[np.newaxis], r"x: expected a piece of one recording, of shape \(T, C\), got a batch"),
    ):
        with pytest.raises(ValueError, match=rf"\A{message}"):
            fed.feed(wrong)
        assert_same(fed.result(), before)
    fed.feed(x[5:])
    other = stream()
    other.feed(x)
    assert_same(fed.result(), other.result())


@pytest.mark.parametrize("stream", [coalign.CTCGreedyStream, coalign.CTCBeamStream])
def test_wrong_options_are_refused_at_once(stream: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"\Ablank: expected a symbol, or -1, got -2"):
        stream(blank=-2)
    with pytest.raises(ValueError, match=r"\Ainput: expected one of 'logits', 'log_probs'"):
        stream(input="probs")
    with pytest.raises(ValueError, match=r"\Ablank: expected a symbol from 0 to 3, or -1, got 7"):
        stream(blank=7).feed(np.zeros((1, 4)))


def test_a_beam_needs_to_know_its_symbols() -> None:
    with pytest.raises(ValueError, match=r"\Aresult: expected a piece to be fed first"):
        coalign.CTCBeamStream().result()
    with pytest.raises(TypeError, match=r"\Alm: expected None, an NGram"):
        coalign.CTCBeamStream(lm=3)


def test_a_stream_that_was_interrupted_says_so() -> None:
    class Failing(Letters):
        def score(self, state: int, label: int) -> tuple[float, int]:
            raise KeyError("lost")

    fed = coalign.CTCBeamStream(lm=Failing())
    with pytest.raises(KeyError, match="lost"):
        fed.feed(np.zeros((2, 3)))
    for call in (fed.result, lambda: fed.feed(np.zeros((1, 3)))):
        with pytest.raises(ValueError, match="CTCBeamStream: a piece was interrupted; begin"):
            call()


def test_ctrl_c_stops_a_long_piece() -> None:
    fed, x = coalign.CTCBeamStream(), np.zeros((60_000, 30))
    # In time of the CPU: on a busy machine the search might not have begun.
    previous = signal.signal(signal.SIGVTALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            fed.feed(x)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
    with pytest.raises(ValueError, match="a piece was interrupted"):
        fed.result()


def test_a_stream_keeps_the_kind_of_its_first_piece() -> None:
    torch = pytest.importorskip("torch")
    fed = coalign.CTCGreedyStream()
    fed.feed(torch.tensor([[0.0, 5.0]]))
    assert isinstance(fed.result().labels, torch.Tensor)
    with pytest.raises(TypeError, match=r"\Athe first piece and x: expected arrays of one kind"):
        fed.feed(np.zeros((1, 2), np.float32))


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_greedy_stream_and_its_copy_go_on_apart(again: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(5).normal(size=(60, 4))
    stream = coalign.CTCGreedyStream()
    stream.feed(x[:30])
    other = again(stream)
    other.feed(x[30:])
    for found, frames in ((stream.result(), x[:30]), (other.result(), x)):
        assert found.spans.tolist() == coalign.ctc_greedy(frames).spans.tolist()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_beam_stream_says_that_it_cannot_be_copied(again: Callable[[Any], Any]) -> None:
    stream = coalign.CTCBeamStream()
    stream.feed(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"\ACTCBeamStream: a search cannot be copied or pickled"):
        again(stream)
