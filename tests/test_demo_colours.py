"""The demo's transfer of colours between two photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import coalign

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from coalign.demo import colours
from coalign.demo.part import Part


@pytest.fixture(scope="module")
def done() -> colours.Transfer:
    return colours.transfer(colours.load(True, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def part() -> Part:
    return colours.part(small=True, seed=0, progress=False)


def test_samples_are_pixels_of_their_photographs(done: colours.Transfer) -> None:
    photographs = done.photographs
    for image, sample in zip(photographs.images, photographs.samples, strict=True):
        assert image.shape == (107, 160, 3)
        assert 0 <= image.min() < image.max() <= 1
        assert sample.shape == (300, 3)
        pixels = {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}
        assert all(tuple(pixel) in pixels for pixel in sample.tolist())


def test_colours_come_near_to_those_of_the_other_photograph(done: colours.Transfer) -> None:
    first, second = done.photographs.images
    # Of values in order, the least mean shift is that between equal ranks.
    ranks = [np.sort(image.reshape(-1, 3), axis=0) for image in (first, second)]
    assert done.before == pytest.approx(np.abs(ranks[0] - ranks[1]).mean(), rel=1e-9)
    for image, other, after in zip(done.images, (second, first), done.after, strict=True):
        assert after == pytest.approx(colours.apart(image, other))
        # Over 21 seeds at most 0.17 of the distance was left.
        assert after < 0.3 * done.before
        assert image.shape == other.shape
        assert 0 <= image.min() < image.max() <= 1


def test_the_plan_is_proved(done: colours.Transfer) -> None:
    assert bool(done.found.converged)
    assert float(done.found.marginal_error) <= colours.TOLERANCE
    x, y = done.photographs.samples
    matched = coalign.assign(colours.distances(x, y))
    least = float(matched.total) / len(x)
    assert done.lower <= least <= done.upper
    assert least - 1e-3 <= float(done.found.cost)


def test_distances_and_bins_are_those_of_their_parts() -> None:
    x, y = np.random.default_rng(0).random((2, 5, 3))
    wanted = [[((p - q) ** 2).sum() for q in y] for p in x]
    np.testing.assert_allclose(colours.distances(x, y), wanted, rtol=1e-12)
    plan = np.random.default_rng(1).random((130, 300))
    bins = colours.binned(plan)
    assert bins.shape == (colours.BINS, colours.BINS)
    assert bins[0, 0] == pytest.approx(plan[:2, :5].sum())
    assert bins[-1, -1] == pytest.approx(plan[127:, 295:].sum())


def test_pixels_move_as_the_nearest_sample_does() -> None:
    sample = np.array([[0.1, 0.1, 0.1], [0.8, 0.8, 0.8]])
    moved = np.array([[0.3, 0.1, 0.1], [0.8, 0.8, 0.3]])
    image = np.array([[[0.0, 0.1, 0.2], [0.9, 0.7, 0.9]], [[1.0, 1.0, 0.4], [0.2, 0.2, 0.2]]])
    wanted = image + np.array([[[0.2, 0, 0], [0, 0, -0.5]], [[0, 0, -0.5], [0.2, 0, 0]]])
    np.testing.assert_allclose(
        colours.recolour(image, sample, moved), np.clip(wanted, 0, 1), atol=1e-12
    )


def test_a_plan_that_is_not_proved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    photographs = colours.load(True, np.random.default_rng(0))
    correct = coalign.sinkhorn

    def hasty(change: Callable[[Any], Any]) -> Any:
        return lambda costs, **options: change(correct(costs, **options))

    for change in (
        lambda found: found.__replace__(marginal_error=np.float64(0.1)),
        lambda found: found.__replace__(cost=found.cost / 2),
    ):
        monkeypatch.setattr(coalign, "sinkhorn", hasty(change))
        with pytest.raises(RuntimeError, match="the plan costs"):
            colours.transfer(photographs)


def test_the_part_says_what_was_found(part: Part) -> None:
    metrics: dict[str, Any] = dict(part.metrics)
    assert metrics["pixels"] == 300
    assert metrics["marginal_error"] <= colours.TOLERANCE
    assert metrics["lower"] <= metrics["upper"]
    assert [row[:2] for row in part.rows] == [("temple", "flower"), ("flower", "temple")]
    for row, after in zip(part.rows, metrics["after"], strict=True):
        assert len(row) == len(part.columns)
        assert row[2:4] == (f"{metrics['before']:.3f}", f"{after:.3f}")
    assert any(f"{metrics['cost']:.4f}" in paragraph for paragraph in part.prose)
    assert len(part.pictures) == 2
