"""The part of the demo that searches for the nearest outline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from coalign.demo import digits, search
from coalign.demo.part import Part


@pytest.fixture(scope="module")
def part() -> Part:
    return search.part(small=True, seed=0, progress=False)


def test_an_outline_says_how_far_the_ink_reaches() -> None:
    disc = np.zeros((41, 41), np.float32)
    rows, columns = np.indices(disc.shape)
    disc[np.hypot(rows - 20, columns - 18) <= 4] = 16
    np.testing.assert_allclose(search.outline(disc), 4, atol=0.75)
    # A bar to the right: far at 0 and 180 degrees, near at right angles to it.
    bar = np.zeros((8, 8), np.float32)
    bar[4, :7] = 16
    reach = search.outline(bar)
    assert reach[0] == pytest.approx(3.625, abs=0.13)
    assert reach[64] == pytest.approx(3.625, abs=0.13)
    assert reach[32] == reach[96] == pytest.approx(0.625, abs=0.13)
    edge = search.around(bar, reach[:, None])[..., 0]
    np.testing.assert_allclose(edge[:, 32], [4 + reach[32], 3], atol=1e-6)
    np.testing.assert_allclose(edge[:, 0], [4, 3 + reach[0]], atol=1e-6)


def test_no_path_costs_less_than_the_envelope_says() -> None:
    rng = np.random.default_rng(0)
    query, series = rng.normal(size=40), rng.normal(size=(30, 40))
    for window in (0, 3, 50):
        least, most = search.envelope(query, window)
        for i in range(40):
            near = query[max(i - window, 0) : i + window + 1]
            assert (least[i], most[i]) == (near.min(), near.max())
        bounds = search.outside(series, least, most)
        costs = coalign.dtw_cdist(series, query[None], window=window)[:, 0]
        assert (bounds <= costs * (1 + 1e-12)).all()
        if window == 0:
            np.testing.assert_allclose(bounds, costs)
    x = np.array([1.0, 5.0, -2.0])
    assert search.outside(x, np.zeros(3), np.full(3, 3.0)) == 4 + 4


def test_warping_recognises_more_and_compares_few(part: Part) -> None:
    metrics: dict[str, Any] = dict(part.metrics)
    straight, *warped = metrics["windows"]
    assert [each["window"] for each in metrics["windows"]] == [0, 4, 8, 16]
    # Over 40 seeds 0.76 at least straight and 0.85 in a window of 4, a gain of 0.03 at least.
    assert 0.65 < straight["accuracy"] < warped[0]["accuracy"] <= 1
    for each in metrics["windows"]:
        assert each["accuracy"] == pytest.approx(1 - each["errors"] / 100)
        counts = each["counts"]
        assert sum(counts.values()) == 200 * 100
        assert counts["ends"] == 0
        # The nearest are warped; over 40 seeds 0.092 of all at the most.
        assert 100 <= counts["warped"] < 0.15 * 200 * 100
    shares = [each["counts"]["envelope"] for each in metrics["windows"]]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("wrong", ["index", "cost", "counts"])
def test_a_search_that_misses_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    train, test = (rng.normal(size=(n, 20)).astype(np.float32) for n in (6, 3))
    split = digits.Split(train, np.arange(6), test, np.zeros(3, np.intp))
    found = search.search(train, test, split, 2, False)
    expected = coalign.dtw_cdist(test, train, window=2).argmin(axis=1)
    assert found.nearest.tolist() == expected.tolist()
    assert found.right.tolist() == (expected == 0).tolist()
    assert found.shares.sum() == pytest.approx(1)
    correct = coalign.dtw_nearest
    monkeypatch.setattr(
        coalign,
        "dtw_nearest",
        lambda *args, **options: (right := correct(*args, **options)).__replace__(
            **{wrong: getattr(right, wrong) + 1}
        ),
    )
    with pytest.raises(RuntimeError, match="the search and the costs of all pairs disagree"):
        search.search(train, test, split, 2, False)


@pytest.mark.parametrize(("straight", "example"), [([1, 1, 0, 0], 2), ([1, 0, 1, 1], 0)])
def test_example_is_one_that_only_warping_recognises(straight: list[int], example: int) -> None:
    def found(right: list[int]) -> search.Search:
        nothing = np.zeros(4, np.int64)
        judged = np.array(right, bool)
        return search.Search(0, nothing, np.zeros(4, np.float32), nothing, judged, 1.0, 1.0)

    assert search.choose_example(found(straight), found([1, 0, 1, 1])) == example


def test_the_part_says_what_was_found(part: Part) -> None:
    metrics: dict[str, Any] = dict(part.metrics)
    assert (metrics["train"], metrics["test"], metrics["angles"]) == (200, 100, 128)
    for row, each in zip(part.rows, metrics["windows"], strict=True):
        assert len(row) == len(part.columns)
        assert row[:3] == (str(each["window"]), f"{each['accuracy']:.2%}", str(each["errors"]))
        for column, cell in zip(part.columns, row, strict=True):
            if column in each["counts"]:
                assert cell == f"{each['counts'][column] / 20_000:.2%}"
    assert any(f"{metrics['windows'][1]['accuracy']:.2%}" in words for words in part.prose)
    outlines, shares = part.pictures
    assert "envelope" in outlines.caption
    for row, each in zip(part.rows, metrics["windows"], strict=True):
        share = each["counts"]["warped"] / 20_000
        assert f"window {row[0]}: {share:.1%} warped to the end" in shares.alt
