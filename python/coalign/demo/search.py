"""Warping: search many outlines of digits for the nearest, most of them without comparing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import coalign

from . import digits, figures
from .judged import Judged
from .part import Part, Picture

ANGLES = np.linspace(0, 2 * np.pi, 128, endpoint=False)
DIRECTIONS = np.stack([np.sin(ANGLES), np.cos(ANGLES)])
# Where a ray looks for ink, in pixels from the middle, and what counts as ink: pixels go to 16.
RADII = np.linspace(0, 6, 49)
INK = 6.0
# A window of 0 pairs equal angles alone, which is the Euclidean distance.
WINDOWS = (0, 4, 8, 16)
SHOWN = 4
# "ends" are for windows that have no envelopes.
STAGES = coalign.Neighbors.STAGES[1:]

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Search(Judged):
    """The nearest outline to each test image within a window, and what finding it took."""

    window: int
    nearest: Indices
    costs: Floats
    counts: Indices
    right: npt.NDArray[np.bool_]
    seconds: float
    seconds_of_all: float

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Share of the pairs that each of `STAGES` has disposed of."""
        shares: npt.NDArray[np.float64] = self.counts[1:] / self.counts.sum()
        return shares

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this search."""
        return {
            "window": self.window,
            "accuracy": self.accuracy,
            "errors": self.errors,
            "counts": dict(zip(coalign.Neighbors.STAGES, self.counts.tolist(), strict=True)),
            "seconds": self.seconds,
            "seconds_of_all": self.seconds_of_all,
        }


def around(image: Floats, radii: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Give rows and columns (2, angles, n) at radii (angles or 1, n) from the middle of the ink."""
    from scipy.ndimage import center_of_mass

    middle = np.array(center_of_mass(image))
    places: npt.NDArray[np.float64] = middle[:, None, None] + DIRECTIONS[:, :, None] * radii
    return places


def outline(image: Floats) -> Floats:
    """Give how many pixels from its middle the ink reaches, for each angle."""
    from scipy.ndimage import map_coordinates

    places = around(image, RADII[np.newaxis])
    inked = map_coordinates(image, places, order=1, mode="grid-constant") >= INK
    reach: Floats = (inked * RADII).max(axis=1).astype(np.float32)
    return reach


def search(train: Floats, test: Floats, split: digits.Split, window: int, progress: bool) -> Search:
    """Search for the nearest outlines, and check against the costs of all pairs.

    Raises
    ------
    RuntimeError
        If another outline is nearer, or a pair is not counted once.
    """
    start = time.perf_counter()
    found = coalign.dtw_nearest(test, train, window=window, progress=progress)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    costs = coalign.dtw_cdist(test, train, window=window, progress=progress)
    seconds_of_all = time.perf_counter() - start
    nearest, counts = found.index[:, 0], found.counts.sum(axis=0)
    if not (
        np.array_equal(nearest, costs.argmin(axis=1))
        and np.array_equal(found.cost[:, 0], costs.min(axis=1))
        and counts.sum() == costs.size
    ):
        raise RuntimeError("the search and the costs of all pairs disagree")
    right = split.train_digit[nearest] == split.test_digit
    return Search(window, nearest, found.cost[:, 0], counts, right, seconds, seconds_of_all)


def envelope(series: Floats, window: int) -> tuple[Floats, Floats]:
    """Give the least and the most that each frame may be paired with."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    least, most = (
        bound(series, 2 * window + 1, axis=-1, mode="nearest")
        for bound in (minimum_filter1d, maximum_filter1d)
    )
    return least, most


def outside(series: Floats, least: Floats, most: Floats) -> npt.NDArray[np.float64]:
    """Give the sum of squares by which series leave an envelope: no path costs less (LB_Keogh)."""
    apart = np.maximum(series - most, 0) + np.maximum(least - series, 0)
    squares: npt.NDArray[np.float64] = np.square(apart, dtype=np.float64).sum(axis=-1)
    return squares


def choose_example(straight: Search, warped: Search) -> int:
    """Pick the first test image that is recognised by warping alone, or else the first."""
    return int(np.argmax(warped.right & ~straight.right))


def bound_picture(
    train: Floats, test: Floats, split: digits.Split, straight: Search, warped: Search
) -> Picture:
    """Draw an outline with its envelope, the nearest one, and one that the envelope leaves out."""
    row = choose_example(straight, warped)
    near, far = int(warped.nearest[row]), int(straight.nearest[row])
    least, most = envelope(test[row], warped.window)
    bounds = outside(train, least, most)
    # Half of all leave the envelope by more.
    other = int(np.argsort(bounds)[len(bounds) // 2])
    true, by_dtw, by_euclid, of_other = (
        int(digit) for digit in (split.test_digit[row], *split.train_digit[[near, far, other]])
    )
    images = (
        (f"test image: {true}", split.test[row], test[row]),
        (f"nearest by DTW: {by_dtw}", split.train[near], train[near]),
        (f"nearest by Euclid: {by_euclid}", split.train[far], train[far]),
    )
    return Picture(
        figures.outlines(
            [
                (title, image, around(image, reach[:, None])[..., 0])
                for title, image, reach in images
            ],
            np.degrees(ANGLES),
            (least, most),
            [
                ("test image", test[row]),
                (f"nearest: {by_dtw}", train[near]),
                (f"left out: {of_other}", train[other]),
            ],
        ),
        caption=(
            f"A handwritten {true}, its outline as a series over the angle, and the envelope: "
            f"all that an angle may be paired with in a window of {warped.window}. The nearest "
            f"outline, of the digit {by_dtw}, costs {warped.costs[row]:.1f}. One of the digit "
            f"{of_other} leaves the envelope (red), so that every path costs at least "
            f"{bounds[other]:.1f}: none is sought."
        ),
        alt=(
            "Three digits with their outlines, and curves of the distance of the ink from the "
            "middle over the angle, one inside an envelope and one that leaves it."
        ),
    )


def shares_picture(searches: Sequence[Search]) -> Picture:
    """Draw what became of the pairs, a bar for each window."""
    names = [f"window {each.window}" for each in searches]
    return Picture(
        figures.shares(names, STAGES, np.stack([each.shares for each in searches])),
        caption=(
            "What became of the pairs: how many each bound left out, how many were left on the "
            "way, and how many were warped to the end. A wider window lets more be paired, and "
            "its envelopes leave out less."
        ),
        alt="A bar for each window, of the shares of pairs that each stage of the search took. "
        + "; ".join(
            f"{name}: {each.shares[-1]:.1%} warped to the end"
            for name, each in zip(names, searches, strict=True)
        )
        + ".",
    )


def _row(found: Search) -> tuple[str, ...]:
    return (
        str(found.window),
        f"{found.accuracy:.2%}",
        str(found.errors),
        *(f"{share:.2%}" for share in found.shares),
        f"{found.seconds:.3f}",
        f"{found.seconds_of_all:.3f}",
    )


def _prose(searches: Sequence[Search]) -> tuple[str, ...]:
    straight, warped = searches[0], next(each for each in searches if each.window == SHOWN)
    times = warped.seconds_of_all / warped.seconds
    return (
        f"An image becomes a series: how far from the middle its ink reaches, at {len(ANGLES)} "
        "angles. Each test image gets the digit of the nearest training image, which dtw_nearest "
        "finds. Warping moves parts of an outline by a few angles, as hands do.",
        "Most training images are never warped onto the test image. Bounds of the cost, each "
        "dearer than the one before, leave out what cannot be the nearest: what leaves the "
        "envelope of the test image too far (envelope), or the other way round (reversed), or "
        "both together (improved). The rest is warped, and most of it given up on the way "
        "(abandoned). The answer is exact: the demo compares it with the costs of all pairs.",
        f"Within {warped.window} angles, {warped.accuracy:.2%} are recognised; angle by angle, in "
        f"a window of {straight.window}, {straight.accuracy:.2%}. Of all pairs "
        f"{warped.shares[-1]:.2%} are warped to the end, and the search takes "
        f"{warped.seconds:.3f} s where the costs of all pairs take {warped.seconds_of_all:.3f} s, "
        f"{times:.1f} times as much.",
    )


def part(small: bool, seed: int, progress: bool) -> Part:
    """Recognise digits by the nearest outline in windows of several widths."""
    split = digits.load(small, np.random.default_rng(seed))
    train, test = (
        np.stack([outline(image) for image in side]) for side in (split.train, split.test)
    )
    searches = [search(train, test, split, window, progress) for window in WINDOWS]
    warped = searches[WINDOWS.index(SHOWN)]
    return Part(
        key="search",
        title="Warping: the nearest of many",
        prose=_prose(searches),
        caption=f"The nearest of {len(train)} outlines to each of {len(test)}",
        columns=("window", "accuracy", "wrong", *STAGES, "seconds", "all pairs, seconds"),
        rows=tuple(map(_row, searches)),
        pictures=(
            bound_picture(train, test, split, searches[0], warped),
            shares_picture(searches),
        ),
        metrics={
            "train": len(train),
            "test": len(test),
            "angles": len(ANGLES),
            "windows": [each.metrics() for each in searches],
        },
    )
