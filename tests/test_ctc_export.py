"""Alignments as others read them: seconds, TextGrid, CTM and a picture.

What is written is read back by parsers of the formats' own rules, which share nothing with the
writers.
"""

from __future__ import annotations

import builtins
import io
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import coalign
from refusals import assert_refused

SPANS = np.array([[0, 5, 10], [1, 10, 20], [2, 32, 33]])
NAMES = ["hey", 'say "ah"', ""]


def read_textgrid(text: str) -> tuple[str, float, list[tuple[float, float, str]]]:
    """The name, end and intervals of a TextGrid's only tier, by the rules of Praat's manual.

    A reader of the text format skips everything but numbers, quoted texts (in which a quote stands
    doubled) and flags; a token has to stand alone.
    """
    found = re.findall(r'"(?:[^"]|"")*"|<\w+>|(?<![\w."\[])-?\d+(?:\.\d+)?(?![\w.\]])', text)
    values: list[Any] = [
        token[1:-1].replace('""', '"')
        if token.startswith('"')
        else token
        if token.startswith("<")
        else float(token)
        for token in found
    ]
    take = iter(values).__next__
    assert (take(), take()) == ("ooTextFile", "TextGrid")
    assert take() == 0
    end = take()
    assert (take(), take()) == ("<exists>", 1)
    assert take() == "IntervalTier"
    name = take()
    assert (take(), take()) == (0, end)
    intervals = [(take(), take(), take()) for _ in range(int(take()))]
    with pytest.raises(StopIteration):
        take()
    assert intervals[0][0] == 0
    assert intervals[-1][1] == end
    for before, after in pairwise(intervals):
        assert before[1] == after[0]
    assert all(start < stop for start, stop, _ in intervals)
    return name, end, intervals


def read_ctm(text: str) -> list[list[str]]:
    """The fields of each line."""
    assert text == "" or text.endswith("\n")
    return [line.split(" ") for line in text.splitlines()]


def test_frames_become_seconds() -> None:
    seconds = coalign.spans_to_seconds(SPANS, 100)
    assert seconds.dtype == np.float64
    assert seconds.tolist() == [[0.05, 0.1], [0.1, 0.2], [0.32, 0.33]]
    shifted = coalign.spans_to_seconds(SPANS, 50.0, offset=1.5)
    np.testing.assert_allclose(shifted, 1.5 + SPANS[:, 1:] / 50, rtol=1e-15)
    assert coalign.spans_to_seconds(SPANS[:0], 100).shape == (0, 2)
    batch = coalign.spans_to_seconds([SPANS, SPANS[:1], SPANS[:0]], 100)
    assert [part.shape for part in batch] == [(3, 2), (1, 2), (0, 2)]
    assert batch[0].tolist() == seconds.tolist()
    assert coalign.spans_to_seconds([], 100) == []


def test_the_spans_of_results_are_taken() -> None:
    found = coalign.monotonic_alignment(np.eye(3, 5))
    assert coalign.spans_to_seconds(found.spans, 1)[-1].tolist() == [2, 5]
    listed = coalign.monotonic_alignment([np.eye(3, 5), np.eye(1, 2)])
    assert coalign.spans_to_seconds(listed.spans, 2)[1].tolist() == [[0, 1]]
    assert len(read_textgrid(coalign.to_textgrid(found.spans, "abc", 10))[2]) == 3


def test_a_textgrid_is_read_back() -> None:
    name, end, intervals = read_textgrid(
        coalign.to_textgrid(SPANS, NAMES, 100, duration=0.5, tier='the "words"')
    )
    assert (name, end) == ('the "words"', 0.5)
    assert intervals == [
        (0, 0.05, ""),
        (0.05, 0.1, "hey"),
        (0.1, 0.2, 'say "ah"'),
        (0.2, 0.32, ""),
        (0.32, 0.33, ""),
        (0.33, 0.5, ""),
    ]
    # Without a duration it ends with the last span, and without gaps there are no others.
    _, end, intervals = read_textgrid(coalign.to_textgrid([[7, 0, 2], [7, 2, 3]], {7: "é"}, 2))
    assert (end, intervals) == (1.5, [(0, 1, "é"), (1, 1.5, "é")])
    _, _, intervals = read_textgrid(coalign.to_textgrid(SPANS[:0], None, 100, duration=2))
    assert intervals == [(0, 2, "")]
    _, _, intervals = read_textgrid(coalign.to_textgrid(SPANS, None, 100))
    assert [text for _, _, text in intervals if text] == ["0", "1", "2"]


@pytest.mark.parametrize("rate", [1, 3, 50, 86.1328125, 44_100, 1e6, 1e-3])
def test_times_read_back_as_the_same_numbers(rate: float) -> None:
    rng = np.random.default_rng(0)
    ends = np.cumsum(rng.integers(1, 1000, 200)).reshape(-1, 2)
    spans = np.column_stack([np.zeros(100, int), ends])
    _, _, intervals = read_textgrid(coalign.to_textgrid(spans, ["x"], rate))
    assert [both for *both, text in intervals if text] == (ends / rate).tolist()
    lines = read_ctm(coalign.to_ctm(spans, ["x"], rate, recording="r"))
    assert [float(line[2]) for line in lines] == (ends[:, 0] / rate).tolist()
    assert [float(line[3]) for line in lines] == (np.diff(ends)[:, 0] / rate).tolist()
    assert not any("e" in part for line in lines for part in line[2:4])


def test_ctm_has_a_line_for_each_span() -> None:
    names = ["hey", 'say"ah"', "ü"]
    text = coalign.to_ctm(SPANS, names, 100, recording="call-7", channel="A")
    assert read_ctm(text) == [
        ["call-7", "A", "0.05", "0.05", "hey"],
        ["call-7", "A", "0.1", "0.1", 'say"ah"'],
        ["call-7", "A", "0.32", "0.01", "ü"],
    ]
    sure = coalign.to_ctm(SPANS, None, 100, recording="r", confidence=[0, 0.25, 1])
    assert [line[4:] for line in read_ctm(sure)] == [
        ["0", "0.000000"],
        ["1", "0.250000"],
        ["2", "1.000000"],
    ]
    assert coalign.to_ctm([], None, 100, recording="r") == ""


def test_a_picture_shows_every_span() -> None:
    score = np.array([[0.0, -1, -9, -9], [-np.inf, -5, 0, -1]])
    found = coalign.monotonic_alignment(score)
    axes = coalign.plot_alignment(found.spans, "ab", frame_rate=2, score=score)
    boxes = [(*box.get_xy(), box.get_width()) for box in axes.patches]
    assert boxes == [
        (start / 2, token - 0.5, (stop - start) / 2) for token, start, stop in found.spans.tolist()
    ]
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 2), (1.5, -0.5))
    assert axes.get_xlabel() == "time in seconds"
    (image,) = axes.images
    assert image.get_extent() == [0, 2, 1.5, -0.5]
    assert np.ma.getmaskarray(image.get_array()).sum() == 1
    picture = io.BytesIO()
    axes.figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")
    again = coalign.plot_alignment(found.spans, axes=axes)
    assert again is axes
    assert len(axes.patches) == 4
    assert coalign.plot_alignment(found.spans).get_xlabel() == "frame"
    assert len(coalign.plot_alignment(SPANS[:0]).patches) == 0


def test_a_picture_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with assert_refused(
        ImportError, 'plot_alignment needs matplotlib: pip install "coalign[plot]"'
    ):
        coalign.plot_alignment(SPANS)


WRITERS = {
    "textgrid": lambda spans=SPANS, names=None, rate=100: coalign.to_textgrid(spans, names, rate),
    "ctm": lambda spans=SPANS, names=None, rate=100: coalign.to_ctm(
        spans, names, rate, recording="r"
    ),
    "picture": lambda spans=SPANS, names=None, rate=100: coalign.plot_alignment(
        spans, names, frame_rate=rate
    ),
    "seconds": lambda spans=SPANS, names=None, rate=100: coalign.spans_to_seconds(spans, rate),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_wrong_spans_and_rates_are_refused(write: Any) -> None:
    for spans, error, words in (
        (np.zeros(3), ValueError, "spans: expected shape (K, 3), got (3,)"),
        (np.zeros((2, 2), int), ValueError, "spans: expected shape (K, 3), got (2, 2)"),
        (np.zeros((2, 3)), TypeError, "spans: expected integers, got dtype float64"),
        (np.zeros((0, 3)), TypeError, "spans: expected integers, got dtype float64"),
        (np.zeros((0, 2), int), ValueError, "spans: expected shape (K, 3), got (0, 2)"),
        (np.zeros((5, 0), int), ValueError, "spans: expected shape (K, 3), got (5, 0)"),
        (
            np.array([[0, 1, 2**63 + 5]], np.uint64),
            ValueError,
            f"spans: expected integers below 2**63, got {2**63 + 5}",
        ),
        (
            [[0, 1, 2], [0, 4, 3]],
            ValueError,
            "spans: expected token >= 0 and 0 <= start <= stop, got [0, 4, 3] at index 1",
        ),
        (
            [[0, -1, 2]],
            ValueError,
            "spans: expected token >= 0 and 0 <= start <= stop, got [0, -1, 2] at index 0",
        ),
        (
            [[-1, 1, 2]],
            ValueError,
            "spans: expected token >= 0 and 0 <= start <= stop, got [-1, 1, 2] at index 0",
        ),
    ):
        with assert_refused(error, words):
            write(spans)
    for rate, error, words in (
        (0, ValueError, "frame_rate: expected frames per second above 0, got 0.0"),
        (-2.5, ValueError, "frame_rate: expected frames per second above 0, got -2.5"),
        (np.nan, ValueError, "frame_rate: expected a finite number, got nan"),
        (1e-310, ValueError, "frame_rate: expected one at which times are finite, got 1e-310"),
        ("50", TypeError, "frame_rate: expected a number, got str"),
        ([50], TypeError, "frame_rate: expected a number, got list"),
    ):
        with assert_refused(error, words):
            write(rate=rate)


@pytest.mark.parametrize("name", ["textgrid", "ctm", "picture"])
def test_one_recording_at_a_time(name: str) -> None:
    words = "spans: expected those of one recording, got a list of 2; make one call for each"
    with assert_refused(ValueError, words):
        WRITERS[name]([SPANS, SPANS])


@pytest.mark.parametrize("name", ["textgrid", "ctm", "picture"])
def test_tokens_without_a_name_are_refused(name: str) -> None:
    for names in (["a", "b"], {0: "a", 1: "b"}):
        with assert_refused(ValueError, "names: expected a name for token 2, got none"):
            WRITERS[name](names=names)
    words = "names: expected a sequence or a mapping of str, or None, got "
    for names in ({"a", "b", "c"}, iter("abc")):
        with assert_refused(TypeError, f"{words}{type(names).__name__}"):
            WRITERS[name](names=names)
    with assert_refused(TypeError, "names[1]: expected a str, got int"):
        WRITERS[name](names=["a", 3, "c"])


def test_what_a_textgrid_cannot_hold_is_refused() -> None:
    for text in ("a\nb", "a\r\n", "a\n", "a\u2028", "a\x0b", "\x85", "\x00", "\ud800"):
        words = f"names[1]: expected no line break or control character, got {text!r}"
        with assert_refused(ValueError, words):
            coalign.to_textgrid(SPANS, ["a", text, "c"], 100)
    for spans in ([[0, 2, 2]], [[0, 0, 3], [1, 2, 4]], [[0, 5, 6], [1, 0, 2]]):
        words = "spans: expected spans that are not empty and follow one another, got "
        with assert_refused(ValueError, f"{words}{spans[-1]} at index {len(spans) - 1}"):
            coalign.to_textgrid(spans, None, 100)
    with assert_refused(ValueError, "duration: expected at least 0.33, where the last span ends"):
        coalign.to_textgrid(SPANS, None, 100, duration=0.3)
    with assert_refused(ValueError, "duration: expected a positive number, as there are no spans"):
        coalign.to_textgrid([], None, 100)
    with assert_refused(TypeError, "tier: expected a str, got NoneType"):
        coalign.to_textgrid(SPANS, None, 100, tier=None)


def test_what_ctm_cannot_hold_is_refused() -> None:
    for text in ("", "a b", " a", "a\t", "\u00a0"):
        words = f"expected a text without white space, got {text!r}"
        with assert_refused(ValueError, f"names[1]: {words}"):
            coalign.to_ctm(SPANS, ["a", text, "c"], 100, recording="r")
        with assert_refused(ValueError, f"recording: {words}"):
            coalign.to_ctm(SPANS, None, 100, recording=text)
        with assert_refused(ValueError, f"channel: {words}"):
            coalign.to_ctm(SPANS, None, 100, recording="r", channel=text)
    for text in ("\x00", "a\ud800"):
        words = f"names[1]: expected no line break or control character, got {text!r}"
        with assert_refused(ValueError, words):
            coalign.to_ctm(SPANS, ["a", text, "c"], 100, recording="r")
    with assert_refused(ValueError, "recording: expected no \";\" at its beginning, got ';;r'"):
        coalign.to_ctm(SPANS, None, 100, recording=";;r")
    with assert_refused(ValueError, "confidence: expected shape (3,), got (2,)"):
        coalign.to_ctm(SPANS, None, 100, recording="r", confidence=[0.5, 0.5])
    for value in (1.5, -0.1, np.nan):
        words = f"confidence: expected numbers from 0 to 1, got {value} at index 1"
        with assert_refused(ValueError, words):
            coalign.to_ctm(SPANS, None, 100, recording="r", confidence=[0.5, value, 0.5])
    with assert_refused(ValueError, "score: expected a 2-D array, got shape (3,)"):
        coalign.plot_alignment(SPANS, score=np.zeros(3))
    for shape in ((33, 3), (3, 32), (2, 33)):
        words = (
            f"score: expected tokens by frames, at least (3, 33) for these spans, got shape {shape}"
        )
        with assert_refused(ValueError, words):
            coalign.plot_alignment(SPANS, score=np.zeros(shape))


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_rows_that_pad_are_left_out(write: Any) -> None:
    padded = np.concatenate([SPANS, np.full((2, 3), -1)])
    shown = [found if isinstance(found, str) else None for found in (write(padded), write(SPANS))]
    assert shown[0] == shown[1]
    with assert_refused(
        ValueError,
        "spans: expected token >= 0 and 0 <= start <= stop, got [-1, -1, -1] at index 0",
    ):
        write(padded[[3, 0, 4]])


def test_the_labellings_of_a_beam_are_written() -> None:
    x = np.log([[0.6, 0.4], [0.4, 0.6], [0.6, 0.4]])
    found = coalign.ctc_beam_search(x, n_best=3, input="log_probs")
    row = int(np.argmin(found.length))
    assert found.length[row] < found.spans.shape[1]
    written = coalign.to_ctm(
        found.spans[row], "-a", 50, recording="r", confidence=np.exp(found.score[row])
    )
    assert len(read_ctm(written)) == found.length[row]
    assert coalign.spans_to_seconds(found.spans[row], 50).shape == (found.length[row], 2)


def test_names_are_drawn_as_they_are() -> None:
    axes = coalign.plot_alignment(SPANS, ["$5$", "$\\foo$", "$x^{$"])
    axes.figure.savefig(io.BytesIO(), format="png")
    assert [text.get_parse_math() for text in axes.texts] == [False] * 3
