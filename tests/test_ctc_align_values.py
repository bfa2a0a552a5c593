"""Forced alignment finds the best path: of all where they are few, else as the recursion does."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import coalign
from coalign import _execution
from oracles.ctc_align import best_of_all, best_score, letter, log_probabilities, pattern

Array = npt.NDArray[Any]

ENDS = [{"open_begin": begin, "open_end": end} for begin, end in product((False, True), repeat=2)]
#: The path of the search is the best of all in float64: rounding alone is left.
TOLERANCE = 1e-12
WILDCARD = 9


def assert_best(
    found: coalign.CTCAlignment,
    x: Array,
    target: Any,
    best: float,
    *,
    kind: str = "log_probs",
    blank: int = 0,
    wildcard: int | None = None,
    **ends: bool,
) -> None:
    """The result is a path of the text, says all that it says of that path, and none is better."""
    scores = log_probabilities(x, kind)
    labels = np.asarray(found.labels)
    spelled = "".join(map(letter, labels))
    assert pattern(target, blank, wildcard, **ends).fullmatch(spelled), spelled
    taken = scores[np.arange(len(scores)), labels]
    scale = max(np.abs(taken).sum(), 1e-300)
    assert abs(found.total - taken.sum()) <= TOLERANCE * scale
    assert abs(found.total - best) <= TOLERANCE * scale
    rounding = 2 * float(np.finfo(found.frame_score.dtype).eps)
    np.testing.assert_allclose(found.frame_score, taken, rtol=rounding, atol=1e-14 * scale)
    assert len(found.start) == len(found.stop) == len(target)
    spans = np.asarray(found.spans)
    columns = (np.arange(len(target)), found.start, found.stop)
    assert spans.tolist() == np.stack(columns, axis=1).tolist()
    for (i, start, stop), score, confidence in zip(
        spans, found.token_score, found.confidence, strict=True
    ):
        assert start < stop
        inside = labels[start:stop]
        assert (inside != blank).all() if target[i] == wildcard else (inside == target[i]).all()
        mine = taken[start:stop].sum()
        with np.errstate(over="ignore"):
            mine_rounded = mine.astype(score.dtype)
        np.testing.assert_allclose(score, mine_rounded, rtol=rounding, atol=1e-14 * scale)
        tiny = np.finfo(confidence.dtype).tiny
        mean = np.exp(mine / (stop - start))
        np.testing.assert_allclose(confidence, mean, rtol=rounding + 1e-12, atol=tiny)
    edges = [0, *spans[:, 1:].reshape(-1), len(labels)]
    gaps = list(zip(edges[::2], edges[1::2], strict=True))
    for g, (stop, start) in enumerate(gaps):
        assert stop <= start
        is_open = (g == 0 and ends.get("open_begin")) or (
            g == len(gaps) - 1 and ends.get("open_end")
        )
        assert is_open or (labels[stop:start] == blank).all()
    for (i, _, stop), (j, start, _) in pairwise(spans):
        assert start > stop or target[i] != target[j]


def tiny_texts(symbols: int, blank: int) -> list[list[int]]:
    """Every text of up to three labels."""
    labels = [*(c for c in range(symbols) if c != blank), WILDCARD]
    return [list(text) for length in range(4) for text in product(labels, repeat=length)]


def drawn(rng: np.random.Generator, frames: int, symbols: int, family: str) -> Array:
    """Scores as users bring them."""
    if family == "ties":
        return rng.integers(-1, 1, (frames, symbols)).astype(float)
    if family == "constant":
        return np.full((frames, symbols), -1.5)
    x = rng.normal(size=(frames, symbols)) * 3
    if family == "forbidden":
        x[rng.random(x.shape) < 0.3] = -np.inf
    if family == "sentinels":
        masked = rng.random(x.shape) < 0.3
        x[masked] = rng.choice([-1e5, -1e9, -1e20, -3.4e38, np.finfo(float).min], masked.sum())
    return x


FAMILIES = ("normal", "ties", "constant", "forbidden", "sentinels")


class Problem(NamedTuple):
    """A problem, and the best score of its paths: -inf where there is none."""

    x: Array
    text: list[int]
    ends: dict[str, bool]
    best: float

    def check(self, **options: Any) -> None:
        """Align, and compare."""
        x, text = self.x, np.array(self.text, np.int64)
        options = {"wildcard": WILDCARD, **self.ends, **options}
        if self.best == -np.inf:
            with pytest.raises(coalign.InfeasibleError):
                coalign.ctc_align(x, text, input="log_probs", **options)
            return
        found = coalign.ctc_align(x, text, input="log_probs", **options)
        assert_best(found, bounded(x), self.text, self.best, **options)


def bounded(x: Array) -> Array:
    """Scores as they count, in float64: those below -1e300 as that much."""
    x = x.astype(np.float64)
    return np.where(x > -np.inf, np.maximum(x, -1e300), x)


@cache
def tiny_problems(family: str, blank: int) -> list[Problem]:
    """Every text of up to three labels in up to four frames; all paths are tried."""
    rng = np.random.default_rng(0)
    problems = []
    for frames in range(5):
        for text in tiny_texts(3, blank)[:: 1 if frames < 4 else 3]:
            x, ends = drawn(rng, frames, 3, family), ENDS[int(rng.integers(4))]
            best = best_of_all(bounded(x), pattern(text, blank, WILDCARD, **ends))
            problems.append(Problem(x, text, ends, best))
    return problems


@cache
def wider_problems(family: str) -> list[Problem]:
    """Six frames of four symbols, with wildcards before, between and behind repeats."""
    rng = np.random.default_rng(1)
    texts = ([1, 1], [1, 2, 1], [3, 3, 3], [9, 1, 1], [1, 9, 1], [1, 1, 9], [2, 9], [9, 9], [9])
    problems = []
    for text, ends in product(texts, ENDS):
        x = drawn(rng, 6, 4, family)
        problems.append(Problem(x, text, ends, best_of_all(x, pattern(text, 0, 9, **ends))))
    return problems


@cache
def long_problems(family: str, dtype: str) -> list[Problem]:
    """Lengths around those of blocks of frames and of groups of lanes, by the recursion."""
    rng = np.random.default_rng(2)
    sizes = ((1, 1), (8, 7), (9, 0), (17, 16), (70, 33), (100, 31), (301, 150))
    problems = []
    for (frames, length), ends in product(sizes, ENDS):
        x = drawn(rng, frames, 6, family)
        x = np.where(x > -np.inf, np.maximum(x, np.finfo(np.float32).min), x).astype(dtype)
        text = rng.choice([1, 1, 2, 3, 4, 5, WILDCARD], length).tolist()
        best = best_score(x.astype(np.float64), text, 0, WILDCARD, **ends)
        problems.append(Problem(x, text, ends, best))
    return problems


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("blank", [0, 2])
def test_every_path_of_tiny_problems(isa: str, family: str, blank: int) -> None:
    problems = tiny_problems(family, blank)
    assert min(p.best for p in problems) == -np.inf < max(p.best for p in problems)
    with _execution.forced(isa):
        for problem in problems:
            problem.check(blank=blank)


@pytest.mark.parametrize("family", ["normal", "ties"])
def test_every_path_of_six_frames(isa: str, family: str) -> None:
    problems = wider_problems(family)
    assert min(p.best for p in problems) > -np.inf
    with _execution.forced(isa):
        for problem in problems:
            problem.check()


@pytest.mark.parametrize("checkpoint_bytes", [None, 0])
@pytest.mark.parametrize("family", FAMILIES)
def test_long_problems(
    isa: str, dtype: np.dtype, family: str, checkpoint_bytes: int | None
) -> None:
    problems = long_problems(family, dtype.name)
    assert max(p.best for p in problems) > -np.inf
    with _execution.forced(isa, checkpoint_bytes=checkpoint_bytes):
        for problem in problems:
            problem.check()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_logits_are_scored_by_their_softmax(isa: str, dtype: np.dtype, scale: float) -> None:
    rng = np.random.default_rng(3)
    for symbols in (2, 5, 40, 1100):
        x = (rng.normal(size=(60, symbols)) * scale).astype(dtype)
        text = rng.integers(1, symbols, 12)
        best = best_score(log_probabilities(x, "logits"), text, 0)
        with _execution.forced(isa):
            if best == -np.inf:
                continue
            found = coalign.ctc_align(x, text)
            plain = coalign.ctc_align(x, text, input="log_probs")
        assert_best(found, x, text, best, kind="logits")
        assert found.labels.tolist() == plain.labels.tolist()


def test_a_text_as_long_as_its_recording(isa: str) -> None:
    rng = np.random.default_rng(4)
    for frames in (1, 2, 7, 8, 9, 16, 17, 33, 34, 64, 65):
        text = np.arange(frames) % 4 + 1
        x = rng.normal(size=(frames, 5))
        with _execution.forced(isa):
            found = coalign.ctc_align(x, text, input="log_probs")
            assert found.labels.tolist() == text.tolist()
            if frames > 1:
                # One label fewer leaves one frame; one repeat takes a blank.
                shorter = text[:-1]
                best = best_score(x, shorter, 0)
                assert_best(coalign.ctc_align(x, shorter, input="log_probs"), x, shorter, best)
                repeated = np.concatenate([text[:1], text[:-2]]) if frames > 2 else text[:1]
                best = best_score(x, repeated, 0)
                assert_best(coalign.ctc_align(x, repeated, input="log_probs"), x, repeated, best)


def test_ties_keep_the_token() -> None:
    # The label scores as much as the blank everywhere, and begins where it has to.
    found = coalign.ctc_align(np.zeros((6, 3)), np.array([1, 2]), input="log_probs")
    assert found.total == 0
    assert [stop - start for _, start, stop in found.spans] != [1, 1]
    # Frames that a token shares with the best of all are the token's, not the open end's.
    x = np.log(np.array([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]))
    ends = {"open_begin": True, "open_end": True}
    found = coalign.ctc_align(x, np.array([1]), input="log_probs", **ends)
    assert found.spans.tolist() == [[0, 0, 2]]
    assert found.labels.tolist() == [1, 1, 0, 2]


def test_the_text_is_found_inside_a_recording() -> None:
    rng = np.random.default_rng(5)
    text, before, after = np.array([1, 2, 3, 2, 1]), 23, 41
    shown = np.concatenate(
        [rng.integers(0, 8, before), np.repeat([1, 2, 3, 2, 1], 3), rng.integers(4, 8, after)]
    )
    x = (
        np.where(np.arange(8) == shown[:, np.newaxis], 5.0, 0.0)
        + rng.normal(size=(len(shown), 8)) / 4
    )
    found = coalign.ctc_align(x, text, open_begin=True, open_end=True)
    assert found.start.tolist() == [before + 3 * i for i in range(5)]
    # A constant added to a frame's log-scores changes no path.
    moved = x + rng.normal(size=(len(shown), 1)) * 50
    again = coalign.ctc_align(moved, text, input="log_probs", open_begin=True, open_end=True)
    assert again.labels.tolist() == found.labels.tolist()


def test_frames_where_all_is_masked_cost_no_digits() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(50, 5)).astype(np.float32)
    text = rng.integers(1, 5, 12)
    expected = coalign.ctc_align(x, text, input="log_probs")
    masked = np.concatenate([x[:20], np.full((10, 5), -3.4e38, np.float32), x[20:]])
    found = coalign.ctc_align(masked, text, input="log_probs")
    kept = np.r_[0:20, 30:60]
    taken = masked[kept, found.labels[kept]].astype(float).sum()
    # With the masked frames in between there are more paths, and none is worse.
    assert taken >= expected.total - 1e-9


def test_scores_near_the_lowest_number(isa: str) -> None:
    x = np.zeros((5, 3))
    x[:, 1] = np.finfo(float).min
    with _execution.forced(isa):
        found = coalign.ctc_align(x, np.array([1, 2, 1, 1]), input="log_probs")
    assert found.labels.tolist() == [1, 2, 1, 0, 1]
    assert found.total == -3e300


@cache
def minutes_of_speech() -> Problem:
    """As many frames as keep the oracle quick."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(6000, 8)).astype(np.float32) * 10
    text = rng.integers(1, 8, 2000).tolist()
    return Problem(x, text, {}, best_score(x.astype(np.float64), text, 0))


def test_minutes_of_speech_keep_their_digits(isa: str) -> None:
    problem = minutes_of_speech()
    with _execution.forced(isa, checkpoint_bytes=1 << 16):
        problem.check()


def test_empty_texts_and_recordings(door: str) -> None:
    none = np.zeros(0, np.int64)
    found = coalign.ctc_align(np.zeros((3, 2)), none)
    assert found.labels.tolist() == [0, 0, 0]
    assert found.spans.shape == (0, 3)
    assert found.total == pytest.approx(3 * np.log(0.5))
    found = coalign.ctc_align(np.zeros((0, 2)), none)
    assert (found.labels.shape, float(found.total)) == ((0,), 0.0)
    found = coalign.ctc_align(np.array([[0.0, 3.0], [1.0, 0.0]]), none, open_end=True)
    assert found.labels.tolist() == [1, 0]


def test_one_recording_and_many_texts(door: str) -> None:
    rng = np.random.default_rng(8)
    x, texts = rng.normal(size=(20, 5)), rng.integers(1, 5, (3, 4))
    many = coalign.ctc_align(x, texts)
    listed = coalign.ctc_align(x, list(texts))
    flat = coalign.ctc_align(x, texts.reshape(-1), target_lengths=[4, 4, 4])
    for p, text in enumerate(texts):
        one = coalign.ctc_align(x, text)
        for found in (many, listed, flat):
            assert found.labels[p].tolist() == one.labels.tolist()
            assert found.total[p] == one.total
    assert (many.labels.shape, many.start.shape) == ((3, 20), (3, 4))
    assert isinstance(listed.labels, list)
    same = coalign.ctc_align(np.stack([x, 2 * x]), texts[0])
    assert same.labels[0].tolist() == coalign.ctc_align(x, texts[0]).labels.tolist()


def test_padded_recordings_with_a_list_of_texts(door: str) -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(2, 20, 5))
    x[1, 12:] = np.nan
    texts = [np.array([1, 2]), np.array([3, 3, 4])]
    found = coalign.ctc_align(x, texts, x_lengths=np.array([20, 12]))
    assert found.start.shape == (2, 3)
    assert found.start[0, 2] == found.stop[0, 2] == -1
    assert found.confidence[0, 2] == found.token_score[0, 2] == 0
    assert (found.labels[1, 12:] == -1).all()
    assert [span.shape for span in found.spans] == [(2, 3), (3, 3)]


@pytest.mark.usefixtures("door")
def test_scores_beyond_the_dtype_are_said_to_be() -> None:
    x = np.full((3, 2), -3e38, np.float32)
    found = coalign.ctc_align(x, np.array([1]), input="log_probs")
    assert found.status == coalign.Status.PRECISION_LIMIT
    assert found.total == 3 * float(x[0, 0])
    assert np.isneginf(found.token_score)
    with pytest.raises(
        OverflowError, match=r"\Aproblem 0: a score or the total is beyond its dtype"
    ):
        found.check()
    assert coalign.ctc_align(x[:1], np.array([1]), input="log_probs").status == coalign.Status.OK
    both = coalign.ctc_align([x, x[:1]], [[1], [1]], input="log_probs")
    assert both.status.tolist() == [coalign.Status.PRECISION_LIMIT, coalign.Status.OK]
    wide = np.full((3, 2), -1e308)
    found = coalign.ctc_align(wide, np.array([1]), input="log_probs")
    assert found.status == coalign.Status.PRECISION_LIMIT
