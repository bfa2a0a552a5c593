"""What CTC calls take: recordings, texts in every form, and the blank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coalign import _validate
from refusals import assert_refused

SINGLE = np.zeros((5, 4))
BATCH = np.zeros((3, 5, 4), np.float32)


def texts_of(targets: Any, lengths: Any = None, x: Any = BATCH, blank: int = 0) -> list[list[int]]:
    """The texts that are taken, after a check of what native code reads."""
    found = _validate.take_targets(targets, lengths, _validate.take_emissions(x, None), blank)
    for array in found.arrays:
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
    return [found.item(p).tolist() for p in range(len(found))]


@pytest.mark.parametrize(
    ("targets", "lengths"),
    [
        (np.array([[1, 2], [3, 0], [9, 9]]), [2, 1, 0]),
        (np.array([[1, 2], [3, 0], [9, 9]], np.uint8), np.array([2, 1, 0], np.int8)),
        (np.array([[1, 3, 9], [2, 0, 9]]).T, (2, 1, 0)),
        ([np.array([1, 2]), np.array([3], np.int16), np.array([], int)], None),
        ([[1, 2], [3], []], None),
        ([[1, 2], [3, 0], (9, 9)], [2, 1, 0]),
        (([1, 2], np.array([3]), ()), None),
        (np.array([1, 2, 3]), [2, 1, 0]),
        ([1, 2, 3], [2, 1, 0]),
        (np.array([1, 9, 2, 9, 3])[::2], [2, 1, 0]),
    ],
)
def test_texts_come_in_every_form(targets: Any, lengths: Any) -> None:
    assert texts_of(targets, lengths) == [[1, 2], [3], []]


def test_one_text_goes_with_one_recording_or_with_each_of_a_batch() -> None:
    for x in (SINGLE, BATCH, [SINGLE, SINGLE]):
        assert texts_of([3, 1], x=x) == [[3, 1]]
    assert texts_of([], x=SINGLE) == texts_of(np.array([], int), x=SINGLE) == [[]]
    assert texts_of([[3], [1, 2]], x=SINGLE) == [[3], [1, 2]]


def test_no_recordings_have_no_texts() -> None:
    assert texts_of([], x=[]) == texts_of(np.zeros((0, 3), int), x=[]) == []
    assert texts_of(np.array([], int), np.array([], int), x=BATCH[:0]) == []


def test_a_text_without_lengths_fills_its_row() -> None:
    assert texts_of([[1, 2], [3, 1]], x=BATCH[:2]) == [[1, 2], [3, 1]]


@pytest.mark.parametrize(
    ("targets", "lengths", "error", "words"),
    [
        (
            np.array([[1, 0], [3, 1], [2, 2]]),
            None,
            ValueError,
            "targets: 0 at index (0, 1); expected labels from 0 to 3 other than the blank, 0",
        ),
        (
            np.array([[1, 0], [3, 1], [2, 4]]),
            [1, 2, 2],
            ValueError,
            "targets: 4 at index (2, 1); expected labels from 0 to 3 other than the blank, 0",
        ),
        (
            [[1], [2, -1], [5]],
            None,
            ValueError,
            "targets[1]: -1 at index (1,); expected labels from 0 to 3 other than the blank, 0",
        ),
        (
            [7],
            None,
            ValueError,
            "targets: 7 at index (0,); expected labels from 0 to 3 other than the blank, 0",
        ),
        ([1.0], None, TypeError, "targets: expected integer labels, got dtype float64"),
        (
            [[1], [True], [1]],
            None,
            TypeError,
            "targets[1]: expected integer labels, got dtype bool",
        ),
        ("abc", None, TypeError, "targets: expected integer labels, got dtype <U3"),
        (None, None, TypeError, "targets: expected integer labels, got dtype object"),
        (3, None, ValueError, "targets: expected a 1-D or 2-D array, got shape ()"),
        (
            [[1], [[2]], [3]],
            None,
            ValueError,
            "targets[1]: expected a 1-D array, got shape (1, 1)",
        ),
        ([[1], [2]], None, ValueError, "x and targets: expected batches of one size, got 3 and 2"),
        (
            [[1], [2, 1], [3]],
            [1, 1, 1],
            ValueError,
            "target_lengths: only a padded batch takes lengths, and targets is a list",
        ),
        (
            np.array([[1], [2], [3]]),
            [1, 2, 0],
            ValueError,
            "target_lengths: expected lengths from 0 to 1, got 2 at index 1",
        ),
        (
            np.array([[1], [2], [3]]),
            [1, 1, -1],
            ValueError,
            "target_lengths: expected lengths from 0 to 1, got -1 at index 2",
        ),
        (
            [1, 2, 3],
            [1, 1, 2],
            ValueError,
            "target_lengths: expected lengths of the 3 labels in all, got 4",
        ),
        ([1, 2, 3], [1, 1.5, 1], TypeError, "target_lengths: expected integers, got dtype float64"),
        ([1, 2, 3], 3, ValueError, "target_lengths: expected shape (1,), got ()"),
    ],
)
def test_other_texts_are_refused(
    targets: Any, lengths: Any, error: type[Exception], words: str
) -> None:
    with assert_refused(error, words):
        texts_of(targets, lengths)


def test_the_blank_is_a_symbol() -> None:
    x = _validate.take_emissions(BATCH, None)
    assert [_validate.take_blank(blank, x) for blank in (0, 3, -1, np.uint8(2))] == [0, 3, 3, 2]
    for blank in (4, -2):
        with assert_refused(
            ValueError, f"blank: expected a symbol from 0 to 3, or -1, got {blank}"
        ):
            _validate.take_blank(blank, x)
    for other in (1.0, None, True, "0"):
        words = f"blank: expected an integer, got {type(other).__name__}"
        with assert_refused(TypeError, words):
            _validate.take_blank(other, x)


def test_recordings_may_have_no_frames_but_must_have_symbols() -> None:
    found = _validate.take_emissions(BATCH, [0, 5, 2])
    assert found.lengths[0].tolist() == [0, 5, 2]
    assert len(_validate.take_emissions(np.zeros((0, 3)), None)) == 1
    for x, words in (
        (np.zeros((5, 0)), "x: expected at least one symbol, got shape (5, 0)"),
        ([SINGLE, SINGLE[:, :3]], "x[1]: expected 4 symbols as in x[0], got 3"),
        (np.zeros(5), "x: expected a 2-D or 3-D array, got shape (5,)"),
        ([SINGLE, np.zeros(4)], "x[1]: expected a 2-D array, got shape (4,)"),
    ):
        with assert_refused(ValueError, words):
            _validate.take_emissions(x, None)
