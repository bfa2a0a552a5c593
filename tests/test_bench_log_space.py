"""bench/log_space.py and families_ctc.py: the judge of CTC's benchmarks, and their scores."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import families_ctc
import log_space

TEXTS = ([1, 1], [2], [1, 2, 1], [])


def spelled(path: Any) -> list[int]:
    """Merge repeats and drop blanks."""
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


def paths(x: Any, text: list[int]) -> tuple[Any, Any]:
    """Give every path that spells a text, with its log-probability."""
    frames, symbols = x.shape
    every = itertools.product(range(symbols), repeat=frames)
    found = np.array([path for path in every if spelled(path) == text])
    return found, x[np.arange(frames), found].sum(axis=1)


def test_losses_gradients_and_paths_are_those_of_every_path() -> None:
    random = np.random.default_rng(0)
    x = [random.normal(size=(frames, 3)) for frames in (5, 4, 6, 3)]
    found = log_space.truths(x, [np.array(text, np.int64) for text in TEXTS])
    for one, text, truth in zip(x, TEXTS, found, strict=True):
        scores = log_space.log_softmax(one)
        np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, rtol=1e-14)
        every, logs = paths(scores, text)
        total = np.logaddexp.reduce(logs)
        occupancy = np.zeros_like(one)
        for path, log in zip(every, logs, strict=True):
            occupancy[np.arange(len(one)), path] += np.exp(log - total)
        np.testing.assert_allclose(truth.loss, -total, rtol=1e-13)
        np.testing.assert_allclose(truth.gradient(one), np.exp(scores) - occupancy, atol=1e-13)
        if text:
            best = log_space.best_path(one, np.array(text))
            np.testing.assert_allclose(best, paths(one, text)[1].max(), rtol=1e-13)


def test_a_text_that_does_not_fit_has_no_gradient() -> None:
    (truth,) = log_space.truths([np.zeros((2, 3))], [np.array([1, 1])])
    assert truth.loss == np.inf
    assert not truth.gradient(np.zeros((2, 3))).any()


def test_monotonic_sums_are_those_of_every_cut() -> None:
    score = np.random.default_rng(1).normal(size=(2, 3, 6))
    for one, best in zip(score, log_space.best_monotonic(score), strict=True):
        cuts = itertools.combinations(range(1, 6), 2)
        runs = (np.diff((0, *cut, 6)) for cut in cuts)
        sums = [one[np.repeat(np.arange(3), run), np.arange(6)].sum() for run in runs]
        np.testing.assert_allclose(best, max(sums), rtol=1e-13)


@pytest.mark.parametrize("family", families_ctc.FAMILIES)
@pytest.mark.parametrize("ragged", [False, True])
def test_what_is_meant_spells_the_text(family: str, ragged: bool) -> None:
    made = families_ctc.recordings(3, family, 4, 40, 9, 12, ragged=ragged)
    again = families_ctc.recordings(3, family, 4, 40, 9, 12, ragged=ragged)
    np.testing.assert_array_equal(made.x, again.x)
    assert made.x.dtype == np.float32
    assert (min(made.x_lengths) < 10) == ragged
    for p, (x, text) in enumerate(made.problems()):
        assert spelled(made.meant[p, : len(x)]) == text.tolist()
    assert all(np.isfinite(truth.loss) for truth in made.truths)


def test_trained_recordings_are_sure_and_late_ones_do_not_fit() -> None:
    sure, late = (
        families_ctc.recordings(0, f"trained{k}", 2, 50, 29, 10) for k in ("", ", a frame late")
    )
    held = np.exp(log_space.log_softmax(sure.x))[np.arange(2)[:, None], np.arange(50), sure.meant]
    np.testing.assert_allclose(held, 0.99, rtol=1e-5)
    assert max(truth.loss for truth in sure.truths) < 1 < min(t.loss for t in late.truths)
