"""Beam search finds the most probable labellings; where nothing is pruned it is exact."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _execution
from oracles import decoding as oracle
from oracles.compare import assert_same_bits
from promises import Stop, alarm

TOTAL = 1e-11  # of a few hundred sums of logarithms in float64


def labellings(found: Any) -> list[tuple[int, ...]]:
    """The labellings of one recording that were found."""
    count = int((found.total > -np.inf).sum())
    assert (found.total[count:] == -np.inf).all()
    assert (found.length[count:] == 0).all()
    return [tuple(found.labels[i, : found.length[i]].tolist()) for i in range(count)]


def draw(rng: np.random.Generator, turn: int) -> tuple[np.ndarray, int, str]:
    """A tiny problem: some of ties, some with symbols that are impossible."""
    frames, symbols = int(rng.integers(0, 7)), int(rng.integers(1, 4))
    x = 3 * rng.normal(size=(frames, symbols))
    if turn % 3 == 0:
        x = np.round(x / 3)
    if turn % 5 == 0:
        x[rng.random(x.shape) < 0.3] = -np.inf
    return x, int(rng.integers(symbols)), ("logits", "log_probs")[turn % 2]


def test_a_wide_beam_is_exact(isa: str) -> None:
    rng = np.random.default_rng(2)
    for turn in range(60):
        x, blank, input = draw(rng, turn)
        scores = oracle.log_scores(x, input)
        expected = oracle.enumerate_labellings(scores, blank)
        with _execution.forced(isa):
            found = coalign.ctc_beam_search(
                x, blank=blank, input=input, beam_width=3000, n_best=len(expected) + 2
            )
        assert found.status == (0 if expected else coalign.Status.INFEASIBLE)
        ours = labellings(found)
        assert sorted(ours) == sorted(expected)
        assert (np.diff(found.total[: len(ours)]) <= 0).all()
        assert found.total.tolist() == found.acoustic.tolist()
        for i, labels in enumerate(ours):
            total, best = expected[labels]
            assert found.total[i] == pytest.approx(total, rel=TOTAL, abs=TOTAL)
            start, stop = (side[i, : len(labels)] for side in (found.start, found.stop))
            on_path = oracle.alignment_score(scores, blank, labels, start, stop)
            assert on_path == pytest.approx(best, rel=TOTAL, abs=TOTAL)
            means = [scores[a:b, c].mean() for c, a, b in zip(labels, start, stop, strict=True)]
            np.testing.assert_allclose(found.score[i, : len(labels)], means, rtol=1e-9, atol=1e-12)
            assert (found.labels[i, len(labels) :] == -1).all()


def test_the_probabilities_of_all_labellings_sum_to_one(isa: str, dtype: np.dtype) -> None:
    x = np.random.default_rng(3).normal(size=(6, 3)).astype(dtype)
    with _execution.forced(isa):
        found = coalign.ctc_beam_search(x, beam_width=2000, n_best=2000)
    assert found.total.dtype == dtype
    total = np.exp(found.total.astype(np.float64)).sum()
    assert total == pytest.approx(1, rel=4 * float(np.finfo(dtype).eps) * 6)


@pytest.mark.parametrize("width", [1, 2, 5, 16])
def test_a_narrow_beam_keeps_what_the_plain_search_keeps(isa: str, width: int) -> None:
    rng = np.random.default_rng(4)
    for frames, symbols, scale in ((40, 5, 1), (60, 29, 3), (25, 200, 2), (80, 4, 0.3)):
        x = scale * rng.normal(size=(frames, symbols))
        blank = int(rng.integers(symbols))
        expected = oracle.beam_search(oracle.log_scores(x), blank, width)
        with _execution.forced(isa):
            found = coalign.ctc_beam_search(x, blank=blank, beam_width=width, n_best=width)
        ours = labellings(found)
        assert ours == [labels for _, labels in expected]
        np.testing.assert_allclose(found.total, [total for total, _ in expected], rtol=1e-10)


def test_a_prefix_that_comes_back_is_one_prefix(isa: str) -> None:
    # Few labellings fit, so their beginnings leave the beam and come back.
    rng = np.random.default_rng(5)
    for _ in range(20):
        x = np.round(2 * rng.normal(size=(60, 3)), 1) + np.array([0.5, 0, 0])
        with _execution.forced(isa):
            found = coalign.ctc_beam_search(x, beam_width=40, n_best=40)
        ours = labellings(found)
        assert len(set(ours)) == len(ours)


@cache
def thousands() -> tuple[np.ndarray, float, tuple[int, ...]]:
    """A long recording of large logits, and the best labelling of a beam of 8."""
    x = 30 * np.random.default_rng(6).normal(size=(1500, 8))
    return (x, *oracle.beam_search(oracle.log_scores(x), 0, 8)[0])


def test_thousands_of_frames_keep_their_digits(isa: str) -> None:
    x, total, labels = thousands()
    with _execution.forced(isa):
        wide = coalign.ctc_beam_search(x, beam_width=8)
        narrow = coalign.ctc_beam_search(x.astype(np.float32), beam_width=8)
    assert tuple(wide.best().tolist()) == labels
    assert wide.total[0] == pytest.approx(total, rel=1e-10)
    assert narrow.total[0] == pytest.approx(total, rel=1e-5)
    row = slice(0, int(wide.length[0]))
    spans = (side[0, row] for side in (wide.start, wide.stop))
    assert oracle.alignment_score(oracle.log_scores(x), 0, labels, *spans) <= total


@cache
def passing() -> tuple[np.ndarray, list[tuple[float, tuple[int, ...]]]]:
    """A recording that is sure of nothing, and a beam of 12."""
    x = np.random.default_rng(12).normal(size=(1000, 12))
    return x, oracle.beam_search(oracle.log_scores(x), 0, 12)


def test_long_recordings_drop_what_is_dead(isa: str) -> None:
    # Ten thousand prefixes and more come and go, and what is left has to be where it was.
    x, expected = passing()
    with _execution.forced(isa):
        found = coalign.ctc_beam_search([x[:200], x], beam_width=12, n_best=12, threads=1)
    rows = zip(found.labels[1], found.length[1], strict=True)
    assert [tuple(row[:n].tolist()) for row, n in rows] == [labels for _, labels in expected]
    np.testing.assert_allclose(found.total[1], [total for total, _ in expected], rtol=1e-11)
    spans = (side[1][0, : found.length[1, 0]] for side in (found.start, found.stop))
    on_path = oracle.alignment_score(oracle.log_scores(x), 0, expected[0][1], *spans)
    assert -np.inf < on_path < expected[0][0]


def test_equal_labellings_come_in_a_fixed_order() -> None:
    # All symbols alike: what stays comes before what is longer, then the smaller label.
    found = coalign.ctc_beam_search(np.zeros((1, 4)), n_best=4)
    assert labellings(found) == [(), (1,), (2,), (3,)]
    kept = coalign.ctc_beam_search(np.zeros((1, 4)), beam_width=2, n_best=4)
    assert labellings(kept) == [(), (1,)]


def test_the_threshold_drops_what_is_far_behind() -> None:
    x = np.log([[0.7, 0.2, 0.1]])
    for threshold, count in ((None, 3), (5.0, 3), (1.5, 2), (0.5, 1), (0, 1), (np.inf, 3)):
        found = coalign.ctc_beam_search(x, input="log_probs", beam_threshold=threshold, n_best=5)
        assert len(labellings(found)) == count


def test_symbols_below_the_least_are_impossible() -> None:
    x = np.log([[0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
    found = coalign.ctc_beam_search(x, input="log_probs", token_min_logp=np.log(0.2), n_best=99)
    masked = np.where(x < np.log(0.2), -np.inf, x)
    expected = oracle.enumerate_labellings(masked, 0)
    ours = labellings(found)
    assert sorted(ours) == sorted(expected)
    for total, labels in zip(found.total, ours, strict=False):
        assert total == pytest.approx(expected[labels][0], rel=1e-12)
    # The best symbol of a frame stays, however improbable.
    only = coalign.ctc_beam_search(x, input="log_probs", token_min_logp=0.0, n_best=9)
    assert labellings(only) == [(1, 2)]


def test_impossible_recordings_say_so() -> None:
    x = np.zeros((2, 3, 3))
    x[1, 1] = -np.inf
    found = coalign.ctc_beam_search(x, n_best=2)
    assert found.status.tolist() == [coalign.Status.OK, coalign.Status.INFEASIBLE]
    assert (found.total[1] == -np.inf).all()
    assert found.labels[1].shape == (2, 0)
    with pytest.raises(coalign.InfeasibleError, match="problem 1"):
        found.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_width": 0}, "beam_width: expected a number from 1 to"),
        ({"n_best": 0}, "n_best: expected a number from 1 to"),
        ({"beam_threshold": -1.0}, "beam_threshold: expected at least 0, got -1.0"),
        ({"beam_threshold": np.nan}, "beam_threshold: expected a number, got NaN"),
        ({"token_min_logp": np.nan}, "token_min_logp: expected a number, got NaN"),
        ({"alpha": -0.5}, "alpha: expected at least 0, got -0.5"),
        ({"alpha": np.inf}, "alpha: expected a finite number, got inf"),
        ({"beta": -np.inf}, "beta: expected a finite number, got -inf"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"\A{message}"):
        coalign.ctc_beam_search(np.zeros((2, 3)), **options)


def test_totals_beyond_the_dtype_are_said_to_be() -> None:
    x = np.full((3, 2), -3e38, np.float32)
    found = coalign.ctc_beam_search([x, x[:1]], input="log_probs", n_best=2)
    assert found.status.tolist() == [coalign.Status.PRECISION_LIMIT, coalign.Status.OK]
    assert np.isneginf(found.total[0]).all()
    assert found.total[1].tolist() == [x[0, 0]] * 2
    with pytest.raises(OverflowError, match=r"\Aproblem 0: a total is beyond its dtype"):
        found.check()
    stream = coalign.CTCBeamStream(input="log_probs")
    stream.feed(x)
    assert stream.result().status == coalign.Status.PRECISION_LIMIT


def test_there_are_no_more_labellings_than_the_beam_holds() -> None:
    x = np.zeros((3, 3))
    wide = coalign.ctc_beam_search(x, beam_width=4, n_best=100)
    assert wide.total.shape == (4,)
    assert_same_bits(wide.labels, coalign.ctc_beam_search(x, beam_width=4, n_best=4).labels)


@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_a_wide_beam_stops_between_frames_and_within_them(seconds: float) -> None:
    x = np.random.default_rng(4).normal(size=(100, 29)).astype(np.float32)
    taken: list[float] = []
    # A busy machine may delay one answer; a frame of this beam takes 0.8 s.
    while not taken or (taken[-1] > 0.1 and len(taken) < 4):
        with suppress(Stop), alarm(seconds):
            start = time.monotonic()
            coalign.ctc_beam_search(x, beam_width=300_000)
            pytest.fail("the search ended before it was stopped")
        taken.append(time.monotonic() - start - seconds)
    assert min(taken) < 0.1
