"""What monotonic alignment refuses, to the last word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from refusals import assert_refused, put

pytestmark = pytest.mark.usefixtures("door")

WANTED = "finite scores or -inf"
FIT = "expected at least one frame per token, and no frame without one, got {} tokens and {} frames"


@pytest.mark.parametrize("shape", [(3, 2), (1, 0), (0, 1), (0, 7), (40, 39)])
def test_tokens_and_frames_that_do_not_fit(shape: tuple[int, int]) -> None:
    with assert_refused(coalign.InfeasibleError, FIT.format(*shape)):
        coalign.monotonic_alignment(np.zeros(shape))


def test_the_problem_that_does_not_fit_is_named() -> None:
    good, long = np.zeros((2, 5)), np.zeros((6, 5))
    with assert_refused(coalign.InfeasibleError, f"problem 1: {FIT.format(6, 5)}"):
        coalign.monotonic_alignment([good, long, long])
    with assert_refused(coalign.InfeasibleError, f"problem 2: {FIT.format(3, 1)}"):
        coalign.monotonic_alignment(
            np.zeros((3, 3, 4)), text_lengths=[3, 2, 3], frame_lengths=[3, 4, 1]
        )


@pytest.mark.parametrize("transpose", [False, True])
def test_a_wall_of_minus_infinity(transpose: bool) -> None:
    score = np.zeros((4, 40))
    score[:, 20] = -np.inf
    laid_out: Any = np.asfortranarray(score) if transpose else score
    words = "every alignment of 4 tokens and 40 frames meets a score of -inf"
    with assert_refused(coalign.InfeasibleError, words):
        coalign.monotonic_alignment(laid_out)
    with assert_refused(coalign.InfeasibleError, f"problem 0: {words}"):
        coalign.monotonic_alignment([laid_out])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_value_that_is_no_score(value: float, order: Any, dtype: Any) -> None:
    # The first by rows; whole tiles, the edges of the band and the last strip are read differently.
    n, frames = 40, 120
    rng = np.random.default_rng(0)
    score = rng.normal(size=(n, frames)).astype(dtype)
    found = "NaN" if np.isnan(value) else "inf"
    for token, frame in ((0, 0), (5, 5), (3, 70), (20, 60), (20, 100), (33, 90), (39, 100)):
        alone = put(score, (token, frame), value)
        words = f"score: {found} at index ({token}, {frame}); expected {WANTED}"
        for spoilt in (alone, put(alone, (39, 110), np.nan)):
            with assert_refused(ValueError, words):
                coalign.monotonic_alignment(np.asarray(spoilt, order=order))
        with assert_refused(ValueError, words.replace("score:", "score[1]:")):
            coalign.monotonic_alignment([score, np.asarray(alone, order=order), alone])


def test_a_value_that_is_no_score_comes_before_a_text_that_does_not_fit() -> None:
    bad = put(np.zeros((2, 3)), (1, 2), np.nan)
    with assert_refused(ValueError, f"score[1]: NaN at index (1, 2); expected {WANTED}"):
        coalign.monotonic_alignment([np.zeros((3, 1)), bad])
