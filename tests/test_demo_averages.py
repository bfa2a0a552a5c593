"""The part of the demo that averages digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import coalign

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from coalign.demo import averages, digits
from coalign.demo.part import Part

METHODS = ("pixel_by_pixel", "dtw_barycenter", "soft_dtw_barycenter")


@pytest.fixture(scope="module")
def part() -> Part:
    return averages.part(small=True, seed=0, progress=False)


def test_images_stand_anywhere_along_their_fields() -> None:
    image = np.arange(1, 65, dtype=np.float32).reshape(8, 8)
    series = averages.place(np.stack([image] * 100), np.random.default_rng(0))
    assert series.shape == (100, 12, 8)
    firsts = set()
    for columns in series:
        first = int(np.flatnonzero(columns.any(axis=1))[0])
        expected = np.zeros((8, 12), np.float32)
        expected[:, first : first + 8] = image
        np.testing.assert_array_equal(columns.T, expected)
        firsts.add(first)
    assert firsts == set(range(5))


def test_an_average_is_nearer_than_the_mean_of_the_pixels(part: Part) -> None:
    metrics: dict[str, Any] = dict(part.metrics)
    plain, paths, soft = (metrics[name] for name in METHODS)
    # Over 40 seeds the mean cost 1.98 times as much at least, and the other two differed by 1.5 %.
    assert plain["cost"] > 1.5 * paths["cost"]
    assert soft["cost"] == pytest.approx(paths["cost"], rel=0.05)
    # Over 40 seeds 0.47 to 0.85, then 0.86 at least; the gain was 0.06 at least.
    assert 0.3 < plain["accuracy"] < 0.9
    for each in (paths, soft):
        assert each["accuracy"] > max(0.75, plain["accuracy"])
    assert metrics["accuracy_of_all"] > 0.85


def test_recognition_is_by_the_nearest_average() -> None:
    rng = np.random.default_rng(0)
    # Digit d is a bar d + 1 dark, so that averages are bars as well.
    digit = np.repeat(np.arange(10), 2)
    bars = np.zeros((20, 8, 8), np.float32)
    bars[:, :, 3] = digit[:, None] + 1
    train = averages.place(bars, rng)
    # The second is as dark as a 7 but called a 2.
    split = digits.Split(bars, digit, bars[[4, 15]], np.array([2, 2]))
    test = averages.place(split.test, rng)
    found = averages.recognise(train, test, split, averages.along_paths)
    assert found.right.tolist() == [True, False]
    assert (found.accuracy, found.errors, found.cost) == (0.5, 1, 0.0)
    assert averages.by_all(train, test, split) == 0.5
    # Two bars that stand apart have paler ones for a mean.
    smeared = averages.recognise(train, test, split, averages.mean)
    assert smeared.cost > 0


@pytest.mark.parametrize(
    ("name", "average", "change", "words"),
    [
        ("dtw_barycenter", averages.along_paths, 0.9, "disagree about the costs"),
        ("dtw_barycenter", averages.along_paths, 1.1, "disagree about the costs"),
        ("soft_dtw_barycenter", averages.softly, 1.5, "above the cost of the best path"),
    ],
)
def test_an_average_that_costs_something_else_is_refused(
    name: str,
    average: Callable[[Any], Any],
    change: float,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    series = np.random.default_rng(0).uniform(0, 16, (5, 12, 8)).astype(np.float32)
    assert average(series).shape == (12, 8)
    correct = getattr(coalign, name)

    def other(*args: Any, **options: Any) -> Any:
        found = correct(*args, **options)
        return found.__replace__(cost=found.cost * np.float32(change))

    monkeypatch.setattr(coalign, name, other)
    with pytest.raises(RuntimeError, match=words):
        average(series)


def test_the_part_says_what_was_found(part: Part) -> None:
    metrics: dict[str, Any] = dict(part.metrics)
    assert (metrics["train"], metrics["test"]) == (200, 100)
    assert [row[0].replace(" ", "_") for row in part.rows] == list(METHODS)
    for row, name in zip(part.rows, METHODS, strict=True):
        each = metrics[name]
        assert each["accuracy"] == pytest.approx(1 - each["errors"] / 100)
        assert row[1:4] == (f"{each['cost']:.0f}", f"{each['accuracy']:.2%}", str(each["errors"]))
        assert len(row) == len(part.columns)
        assert any(f"{each['accuracy']:.2%}" in paragraph for paragraph in part.prose)
    assert len(part.pictures) == 1
