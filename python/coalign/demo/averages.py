"""Warping: average handwritten digits that stand anywhere, and recognise others by the averages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import coalign

from . import digits, figures
from .judged import Judged
from .part import Part, Picture

# Columns of the empty field that an image of eight is put into, and how far apart warping may pair
# two columns: as far as two images can stand apart.
WIDTH = 12
WINDOW = 4
# The smoothing of soft-DTW, in squared pixels that go to 16; an image costs some 600.
GAMMA = 10.0
# float32 sums of some twenty cells.
TOLERANCE = 1e-4

Floats = npt.NDArray[np.float32]
# Series (n, T, D) of a digit, and their average (T, D).
Average = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Recognition(Judged):
    """Averages (10, T, D) of one method, and what the nearest of them says of the test images."""

    averages: Floats
    cost: float
    right: npt.NDArray[np.bool_]
    seconds: float

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this method."""
        return {
            "cost": self.cost,
            "accuracy": self.accuracy,
            "errors": self.errors,
            "seconds": self.seconds,
        }


def place(images: Floats, rng: np.random.Generator) -> Floats:
    """Put each image somewhere along an empty field, and read it as the sequence of its columns."""
    height, width = images.shape[1:]
    fields = np.zeros((len(images), height, WIDTH), np.float32)
    firsts = rng.integers(WIDTH - width, size=len(images), endpoint=True)
    for field, image, first in zip(fields, images, firsts, strict=True):
        field[:, first : first + width] = image
    return digits.columns(fields)


def mean(series: Floats) -> Floats:
    """Average pixel by pixel."""
    average: Floats = series.mean(axis=0)
    return average


def along_paths(series: Floats) -> Floats:
    """Average along warping paths.

    Raises
    ------
    RuntimeError
        If the costs of the series to the average are not those that `dtw` says.
    """
    found = coalign.dtw_barycenter(series, window=WINDOW)
    costs = coalign.dtw(found.series, series, window=WINDOW).cost
    if not np.allclose(found.cost, costs, rtol=TOLERANCE):
        raise RuntimeError("dtw_barycenter and dtw disagree about the costs to an average")
    average: Floats = found.series
    return average


def softly(series: Floats) -> Floats:
    """Average under soft-DTW.

    Raises
    ------
    RuntimeError
        If a series has a value above the cost of its best path.
    """
    found = coalign.soft_dtw_barycenter(series, gamma=GAMMA, window=WINDOW)
    costs = coalign.dtw(found.series, series, window=WINDOW).cost
    if not np.all(found.cost <= costs * np.float32(1 + TOLERANCE)):
        raise RuntimeError("soft_dtw_barycenter has a value above the cost of the best path")
    average: Floats = found.series
    return average


METHODS: Mapping[str, Average] = {
    "pixel by pixel": mean,
    "dtw_barycenter": along_paths,
    "soft_dtw_barycenter": softly,
}


def recognise(train: Floats, test: Floats, split: digits.Split, average: Average) -> Recognition:
    """Average the training images of each digit, and recognise by the nearest average."""
    start = time.perf_counter()
    of_each = [train[split.train_digit == digit] for digit in range(digits.CLASSES)]
    averages = np.stack([average(series) for series in of_each])
    seconds = time.perf_counter() - start
    costs = coalign.dtw(averages[split.train_digit], train, window=WINDOW).cost
    nearest = coalign.dtw_nearest(test, averages, window=WINDOW).index[:, 0]
    return Recognition(averages, float(costs.mean()), nearest == split.test_digit, seconds)


def by_all(train: Floats, test: Floats, split: digits.Split) -> float:
    """Give the share of test images that the nearest of all training images recognises."""
    nearest = coalign.dtw_nearest(test, train, window=WINDOW).index[:, 0]
    return float((split.train_digit[nearest] == split.test_digit).mean())


def picture(train: Floats, split: digits.Split, found: Mapping[str, Recognition]) -> Picture:
    """Draw an image of each digit, and below it the digit's averages."""
    firsts = [int(np.argmax(split.train_digit == digit)) for digit in range(digits.CLASSES)]
    rows = {"one of the images": train[firsts]}
    rows |= {name: each.averages for name, each in found.items()}
    return Picture(
        figures.matches([(name, series.swapaxes(1, 2), None) for name, series in rows.items()]),
        caption=(
            "An image of each digit, and below it what all of its kind have for an average. Pixel "
            "by pixel it is a smear, since they stand at different places. Along warping paths "
            "and under soft-DTW it is a digit again, at the place of the one it began at."
        ),
        alt=(
            "Ten handwritten digits and their averages: blurred pixel by pixel, sharp by "
            "dtw_barycenter and by soft_dtw_barycenter."
        ),
    )


def _prose(found: Mapping[str, Recognition], per_digit: int, all_right: float) -> tuple[str, ...]:
    plain, paths, soft = found.values()
    return (
        f"Each image stands at random somewhere along a field of {WIDTH} columns. Read as a "
        "sequence of columns, two images of a digit show the same things at different times, so "
        "that their mean, pixel by pixel, shows neither.",
        "dtw_barycenter takes the means along warping paths: of what is alike, wherever it "
        "stands. soft_dtw_barycenter goes down the gradients of soft-DTW, which weighs all paths, "
        f"here at γ = {GAMMA:g}. The cost in the table is the mean cost of warping a training "
        "image onto the average of its digit.",
        "A test image gets the digit of the nearest of ten averages. Those pixel by pixel are "
        f"right in {plain.accuracy:.2%} of all cases, those along paths in {paths.accuracy:.2%}, "
        f"those under soft-DTW in {soft.accuracy:.2%}. The nearest of all training images, "
        f"{per_digit} times the work, is right in {all_right:.2%}.",
    )


def part(small: bool, seed: int, progress: bool) -> Part:
    """Recognise digits by their averages: pixel by pixel, along paths and under soft-DTW."""
    rng = np.random.default_rng(seed)
    split = digits.load(small, rng)
    train, test = place(split.train, rng), place(split.test, rng)
    found = {name: recognise(train, test, split, average) for name, average in METHODS.items()}
    all_right = by_all(train, test, split)
    return Part(
        key="averages",
        title="Warping: average digits",
        prose=_prose(found, len(train) // digits.CLASSES, all_right),
        caption=f"Recognition of {len(test)} digits by ten averages of {len(train)}",
        columns=("average", "cost of an image", "accuracy", "wrong", "seconds"),
        rows=tuple(
            (
                name,
                f"{each.cost:.0f}",
                f"{each.accuracy:.2%}",
                str(each.errors),
                f"{each.seconds:.3f}",
            )
            for name, each in found.items()
        ),
        pictures=(picture(train, split, found),),
        metrics={
            "train": len(train),
            "test": len(test),
            "window": WINDOW,
            "gamma": GAMMA,
            "accuracy_of_all": all_right,
            **{name.replace(" ", "_"): each.metrics() for name, each in found.items()},
        },
    )
