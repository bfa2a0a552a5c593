"""The part of the demo that learns to read lines of digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign.demo import digits, lines


def blocks() -> list[list[np.ndarray]]:
    """Digits that are blocks of ink: digit d is d % 3 + 2 wide and d + 1 dark."""
    return [[np.full((8, d % 3 + 2), d + 1, np.float32)] for d in range(10)]


def test_a_line_has_its_digits_where_it_says() -> None:
    images, rng = blocks(), np.random.default_rng(0)
    lengths, gaps, margins = set(), set(), set()
    for _ in range(300):
        line = lines.write(images, rng)
        assert line.text.sum() % 10 == 0
        assert (line.stop - line.start).tolist() == (line.text % 3 + 2).tolist()
        expected = np.zeros((8, line.width))
        for digit, start, stop in zip(line.text, line.start, line.stop, strict=True):
            columns = expected[:, start:stop]
            columns[:] = np.maximum(columns, digit + 1)
        np.testing.assert_array_equal(line.image, expected)
        lengths.add(len(line.text))
        gaps.update((line.start[1:] - line.stop[:-1]).tolist())
        margins.update([line.start[0], line.width - line.stop[-1]])
    assert lengths == set(range(6, 13))
    assert gaps == {-1, 0, 1, 2}
    assert margins == {0, 1, 2, 3}


def test_images_lose_empty_columns_and_go_to_their_digits() -> None:
    images = np.zeros((3, 8, 8), np.float32)
    images[0, 2, 3] = images[0, 4, 5] = images[1, 0, 0] = images[2, 7, 7] = 1
    sorted_images = lines.by_digit(images, np.array([4, 7, 4]))
    assert [len(each) for each in sorted_images] == [0, 0, 0, 0, 2, 0, 0, 1, 0, 0]
    np.testing.assert_array_equal(sorted_images[4][0], images[0][:, 3:6])
    np.testing.assert_array_equal(sorted_images[4][1], images[2][:, 7:])
    np.testing.assert_array_equal(sorted_images[7][0], images[1][:, :1])


def test_a_frame_sees_the_columns_around_it() -> None:
    line = lines.write(blocks(), np.random.default_rng(0))
    seen = lines.look(line)
    assert seen.shape == (line.width, 8 * 9)
    assert seen.dtype == np.float32
    for frame in (0, 3, line.width // 2, line.width - 1):
        for place, column in enumerate(range(frame - 4, frame + 5)):
            inside = 0 <= column < line.width
            expected = line.image[:, column] / 16 if inside else np.zeros(8)
            np.testing.assert_array_equal(seen[frame].reshape(8, 9)[:, place], expected)


def test_gradients_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    network = lines.Network(12, rng)
    network.parameters = [each + 0.1 * rng.normal(size=each.shape) for each in network.parameters]
    seen, text = rng.normal(size=(20, 12)), [3, 3, 8]

    def loss() -> float:
        return float(coalign.ctc_loss(network.logits(seen)[1], text, blank=lines.BLANK))

    hidden, logits = network.logits(seen)
    slope = coalign.ctc_forward_backward(logits, text, blank=lines.BLANK).grad
    for parameter, gradient in zip(
        network.parameters, network.gradients(seen, hidden, slope), strict=True
    ):
        assert gradient.shape == parameter.shape
        for _ in range(5):
            at = tuple(rng.integers(size) for size in parameter.shape)
            kept, losses = parameter[at], []
            for step in (1e-5, -1e-5):
                parameter[at] = kept + step
                losses.append(loss())
            parameter[at] = kept
            measured = (losses[0] - losses[1]) / 2e-5
            assert gradient[at] == pytest.approx(measured, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        ("kitten", "sitting", 3),
        ("sitting", "kitten", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("bc", "abc", 1),
        ("ab", "ba", 2),
    ],
)
def test_edits_are_the_fewest(read: str, text: str, expected: int) -> None:
    given = (np.array(list(map(ord, each)), np.int64) for each in (read, text))
    assert lines.edits(*given) == expected


def test_a_reading_counts_errors_per_digit_and_whole_lines() -> None:
    written = [np.array([1, 2, 3]), np.array([4, 5, 6, 7, 8])]
    nothing = np.zeros((8, 1), np.float32)
    given = [lines.Line(nothing, text, text, text) for text in written]
    reading = lines.read(given, lambda: [written[0], np.array([4, 6, 7, 9])])
    assert reading.error_rate == 2 / 8
    assert reading.lines_right == 0.5
    assert reading.seconds >= 0


def test_the_check_digit_decides_between_texts() -> None:
    # A 3 or, less likely, a 4, and then a 6: only with the 4 is the sum ten.
    probabilities = np.full((3, 11), 1e-4)
    probabilities[0, [3, 4]] = 0.6, 0.4
    probabilities[1, lines.BLANK] = probabilities[2, 6] = 1
    options: dict[str, Any] = {"blank": lines.BLANK, "input": "log_probs"}
    frames = np.log(probabilities)
    assert coalign.ctc_beam_search(frames, **options).best().tolist() == [3, 6]
    known = coalign.ctc_beam_search(frames, lm=lines.CheckDigit(), beta=0, **options)
    assert known.best().tolist() == [4, 6]


def test_lines_are_cut_in_the_middle_and_judged_by_ink() -> None:
    cuts = lines.midpoints(np.array([1, 5, 8]), np.array([2, 6, 10]), 12)
    assert cuts.tolist() == [0, 3.5, 7, 12]
    # Ink of the first in columns 0 to 3, of the second in 3 to 6, of the third in 8 to 10: column 3
    # has two, 7 and 11 have none. The first loses nothing, the second neither.
    ink = np.array([0, 3, 8]), np.array([4, 7, 11])
    line = lines.Line(np.zeros((8, 12), np.float32), np.array([1, 2, 3]), *ink)
    assert lines.cut(line, cuts).tolist() == [True] * 9
    assert lines.cut(line, np.array([0.0, 2, 9, 12])).tolist() == (
        [True, True, False] + [True] * 3 + [False] + [True] * 2
    )
    assert lines.cut_evenly([line]) == 9 / 9


def aligned_at(spans: list[list[int]], monkeypatch: pytest.MonkeyPatch, extra: float = 0.0) -> Any:
    """Align a line of two digits, with spans [start, stop) in place of those that are found."""
    correct = coalign.ctc_align

    def other(*args: Any, **options: Any) -> Any:
        found = correct(*args, **options)
        starts, stops = ([np.array(each)] for each in zip(*spans, strict=True))
        return found.__replace__(start=starts, stop=stops, total=found.total + extra)

    monkeypatch.setattr(coalign, "ctc_align", other)
    ink = np.array([0, 4]), np.array([4, 8])
    line = lines.Line(np.zeros((8, 8), np.float32), np.array([1, 2]), *ink)
    return lines.align([line], [np.zeros((8, 11), np.float32)])


@pytest.mark.parametrize(
    ("spans", "inside", "columns"),
    [
        ([[1, 3], [5, 6]], 1, 1),
        ([[0, 4], [4, 8]], 1, 1),
        ([[1, 5], [5, 8]], 0.5, 7 / 8),
        ([[0, 2], [3, 4]], 0.5, 6 / 8),
    ],
)
def test_spans_are_judged_by_ink(
    spans: list[list[int]], inside: float, columns: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignment = aligned_at(spans, monkeypatch)
    assert (alignment.inside, alignment.columns) == (inside, columns)


def test_an_alignment_above_the_sum_of_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="more probable than all alignments together"):
        aligned_at([[1, 3], [5, 6]], monkeypatch, extra=100.0)


def test_lines_that_are_read_are_of_images_never_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib")
    # Darkness tells the two apart.
    train, test = (np.full((10, 8, 8), dark, np.float32) for dark in (5, 9))
    monkeypatch.setattr(
        digits, "load", lambda *_: digits.Split(train, np.arange(10), test, np.arange(10))
    )
    monkeypatch.setattr(lines, "SIZES", {True: (2, 3, 4)})
    trained, tried = [], []
    train_on, try_out = lines.train, lines.try_out

    def watch_training(network: Any, images: lines.Images, *rest: Any) -> float:
        trained.extend(image.max() for each in images for image in each)
        return train_on(network, images, *rest)

    def watch_trial(network: Any, given: list[lines.Line], *, checked: bool) -> lines.Trial:
        tried.extend(line.image.max() for line in given)
        return try_out(network, given, checked=checked)

    monkeypatch.setattr(lines, "train", watch_training)
    monkeypatch.setattr(lines, "try_out", watch_trial)
    lines.part(True, 0, False)
    assert trained == [5] * 10
    assert tried == [9] * 8


@pytest.mark.parametrize(
    ("beam", "known", "example"),
    [([0, 1, 1, 1], [0, 1, 0, 0], 2), ([0, 0, 0, 0], [0, 1, 0, 0], 0)],
)
def test_example_is_one_that_the_check_digit_mends(
    beam: list[int], known: list[int], example: int
) -> None:
    readings = {
        name: lines.Reading([], np.array(wrong), 1, 1.0)
        for name, wrong in (("beam", beam), ("check digit", known))
    }
    trial = lines.Trial([], readings, lines.Alignment([], 1.0, 1.0, 1.0))
    assert lines.choose_example(trial) == example
