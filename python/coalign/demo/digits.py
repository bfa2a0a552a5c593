"""Warping: recognise handwritten digits that have been shifted by a pixel."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import coalign

from . import figures
from .judged import Judged
from .part import Part, Picture

WINDOW = 2
MAX_SHIFT = 1
CLASSES = 10
SIZES = {False: (1000, 797), True: (200, 100)}
SHIFTED, RECORDED = "shifted", "as recorded"

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Split:
    """Images (n, 8, 8) with values 0 to 16, and the digits (n,) they show."""

    train: Floats
    train_digit: Indices
    test: Floats
    test_digit: Indices


@dataclass(frozen=True, slots=True)
class Recognition(Judged):
    """Costs (test, train) of one method and what its nearest neighbours say."""

    costs: Floats
    nearest: Indices
    predicted: Indices
    right: npt.NDArray[np.bool_]
    seconds: float

    @property
    def pairs_per_second(self) -> float:
        """Pairs of images compared per second."""
        return self.costs.size / self.seconds

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this method."""
        return {
            "accuracy": self.accuracy,
            "errors": self.errors,
            "seconds": self.seconds,
            "pairs_per_second": self.pairs_per_second,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both methods on the same images."""

    split: Split
    dtw: Recognition
    euclidean: Recognition

    @property
    def verdict(self) -> str:
        """Which method made fewer errors, in words."""
        if self.dtw.errors == self.euclidean.errors:
            return "the two make equally many errors"
        return f"{'DTW' if self.dtw.errors < self.euclidean.errors else 'Euclid'} wins"

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this comparison."""
        return {
            "dtw": self.dtw.metrics(),
            "euclidean": self.euclidean.metrics(),
            "only_dtw_right": int(np.count_nonzero(self.dtw.right & ~self.euclidean.right)),
            "only_euclidean_right": int(np.count_nonzero(self.euclidean.right & ~self.dtw.right)),
        }


def load(small: bool, rng: np.random.Generator) -> Split:
    """Draw a split of scikit-learn's digits in which each digit keeps its share."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data: Any = load_digits()
    images, digit = data.images.astype(np.float32), data.target.astype(np.intp)
    train_size, test_size = SIZES[small]
    train, test = train_test_split(
        np.arange(digit.size),
        train_size=train_size,
        test_size=test_size,
        stratify=digit,
        random_state=int(rng.integers(2**31)),
    )
    return Split(images[train], digit[train], images[test], digit[test])


def shift(images: Floats, rng: np.random.Generator) -> Floats:
    """Move each image by -1, 0 or 1 pixel each way, at random; zeros come in at the border."""
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT)))
    corners = rng.integers(0, 2 * MAX_SHIFT + 1, size=(len(images), 2))
    moved = [
        image[row : row + height, column : column + width]
        for image, (row, column) in zip(padded, corners, strict=True)
    ]
    return np.stack(moved)


def columns(images: Floats) -> Floats:
    """Read each image as the sequence of its columns, left to right."""
    return np.ascontiguousarray(np.swapaxes(images, -1, -2))


def _recognise(costs: Floats, seconds: float, split: Split) -> Recognition:
    nearest = costs.argmin(axis=1)
    predicted = split.train_digit[nearest]
    return Recognition(costs, nearest, predicted, predicted == split.test_digit, seconds)


def euclidean(split: Split) -> Recognition:
    """Recognise by the squared distance of the pixels."""
    test = split.test.reshape(len(split.test), -1)
    train = split.train.reshape(len(split.train), -1)
    start = time.perf_counter()
    # Pixels are small integers, so this is exact in float32 in spite of the subtraction.
    costs = (
        np.square(test).sum(axis=1)[:, None]
        + np.square(train).sum(axis=1)
        - np.float32(2) * (test @ train.T)
    )
    return _recognise(costs, time.perf_counter() - start, split)


def dtw(split: Split, progress: bool) -> Recognition:
    """Recognise by the cost of warping one image's columns onto the other's."""
    test, train = columns(split.test), columns(split.train)
    start = time.perf_counter()
    costs = coalign.dtw_cdist(test, train, window=WINDOW, progress=progress)
    return _recognise(costs, time.perf_counter() - start, split)


def compare(split: Split, progress: bool) -> Comparison:
    """Run both methods on the same images."""
    comparison = Comparison(split, dtw(split, progress), euclidean(split))
    # The straight diagonal is one of the paths, so its cost bounds the cost of the best path.
    if not bool(np.all(comparison.dtw.costs <= comparison.euclidean.costs * np.float32(1.0001))):
        raise RuntimeError("a warping cost exceeds the cost of the path without warping")
    return comparison


def choose_example(comparison: Comparison) -> int:
    """Pick the test image that only DTW recognises for which warping saves most.

    If there is none, any test image may be picked.
    """
    rows = np.arange(len(comparison.split.test))
    nearest = comparison.dtw.nearest
    saved = comparison.euclidean.costs[rows, nearest] - comparison.dtw.costs[rows, nearest]
    only_dtw = comparison.dtw.right & ~comparison.euclidean.right
    return int(np.where(only_dtw, saved, -1).argmax() if only_dtw.any() else saved.argmax())


def warp(test: Floats, train: Floats, expected: float) -> tuple[Floats, Indices, Indices]:
    """Give the local costs of two images' columns and the path, checked against its cost.

    Raises
    ------
    RuntimeError
        If the path's sum or its reported cost is not the `expected` one.
    """
    x, y = columns(test), columns(train)
    warping = coalign.dtw(x, y, window=WINDOW, path=True)
    local = np.square(x[:, None, :] - y[None, :, :]).sum(axis=-1)
    along_path = float(local[warping.x_index, warping.y_index].sum())
    cost = float(warping.cost)
    if not np.allclose([along_path, cost], expected, rtol=1e-4):
        raise RuntimeError(
            f"the costs of one warping disagree: {along_path} summed along the path, {cost} from "
            f"dtw, {expected} from dtw_cdist"
        )
    return local, warping.x_index, warping.y_index


def warping_picture(comparison: Comparison) -> Picture:
    """Draw one warping path over its local costs, with the images it aligns."""
    split, row = comparison.split, choose_example(comparison)
    near, far = comparison.dtw.nearest[row], comparison.euclidean.nearest[row]
    cost = float(comparison.dtw.costs[row, near])
    local, *path = warp(split.test[row], split.train[near], cost)
    true, by_dtw, by_euclid = split.test_digit[row], split.train_digit[near], split.train_digit[far]
    images = (
        (f"test image: {true}", split.test[row]),
        (f"nearest by DTW: {by_dtw}", split.train[near]),
        (f"nearest by Euclid: {by_euclid}", split.train[far]),
    )
    return Picture(
        figures.warping(images, local, WINDOW, (path[0], path[1])),
        caption=(
            f"A handwritten {true} and its nearest neighbours: a {by_dtw} by DTW, a {by_euclid} "
            "by Euclid. Pixel by pixel the pair that DTW chose is "
            f"{comparison.euclidean.costs[row, near]:.0f} apart, along the warping path only "
            f"{cost:.0f}; the sum along the path equals the entry in the matrix of all costs."
        ),
        alt=(
            "Three digits, and the local costs between the columns of the first two with the "
            "warping path drawn over them inside the band."
        ),
    )


def confusion(predicted: Indices, true: Indices) -> npt.NDArray[np.int64]:
    """Count how often each digit (row) was taken for each (column)."""
    counts = np.bincount(true * CLASSES + predicted, minlength=CLASSES**2)
    return counts.astype(np.int64).reshape(CLASSES, CLASSES)


def confusion_picture(comparison: Comparison) -> Picture:
    """Draw both methods' confusions side by side."""
    true = comparison.split.test_digit
    methods = (("DTW", comparison.dtw), ("Euclid", comparison.euclidean))
    panels = [
        (f"{name}: {method.errors} wrong", confusion(method.predicted, true))
        for name, method in methods
    ]
    return Picture(
        figures.confusions(panels),
        caption="Confusions on the shifted images: off the diagonal, what was taken for what.",
        alt="Two confusion matrices over the ten digits, for DTW and for Euclid. "
        + "; ".join(title for title, _ in panels)
        + ".",
    )


def _row(images: str, name: str, method: Recognition) -> tuple[str, ...]:
    return (
        images,
        name,
        f"{method.accuracy:.2%}",
        str(method.errors),
        f"{method.seconds:.3f}",
        f"{method.pairs_per_second:,.0f}",
    )


def _prose(shifted: Comparison, recorded: Comparison) -> tuple[str, ...]:
    only = shifted.metrics()
    return (
        "Each test image gets the digit of its nearest training image. DTW reads an image as the "
        "sequence of its eight columns, each a vector of eight pixels, and may stretch or squeeze "
        f"it by up to {WINDOW} columns; Euclid compares pixel with pixel. Both work in squared "
        "differences.",
        "Every image, for training and for testing, is moved at random by up to one pixel "
        "sideways and up or down. Warping along the columns can undo the sideways part only.",
        f"On the shifted images {shifted.verdict}: {shifted.dtw.accuracy:.2%} against "
        f"{shifted.euclidean.accuracy:.2%}. Recognised by DTW alone: {only['only_dtw_right']}, by "
        f"Euclid alone: {only['only_euclidean_right']}. On the same images as they were recorded, "
        f"already centred, {recorded.verdict}: {recorded.dtw.accuracy:.2%} "
        f"against {recorded.euclidean.accuracy:.2%}.",
        "Euclid's time is that of one matrix product, which is less work per pair than warping.",
    )


def part(small: bool, seed: int, progress: bool) -> Part:
    """Recognise digits by DTW and by Euclidean distance, shifted and as recorded."""
    rng = np.random.default_rng(seed)
    split = load(small, rng)
    moved = Split(
        shift(split.train, rng), split.train_digit, shift(split.test, rng), split.test_digit
    )
    shifted, recorded = compare(moved, progress), compare(split, progress)
    train, test = len(split.train), len(split.test)
    return Part(
        key="digits",
        title="Warping: handwritten digits",
        prose=_prose(shifted, recorded),
        caption=f"1-nearest-neighbour recognition of {test} digits among {train}",
        columns=("images", "method", "accuracy", "wrong", "seconds", "pairs/s"),
        rows=tuple(
            _row(images, name, method)
            for images, both in ((SHIFTED, shifted), (RECORDED, recorded))
            for name, method in (("DTW", both.dtw), ("Euclid", both.euclidean))
        ),
        pictures=(warping_picture(shifted), confusion_picture(shifted)),
        metrics={
            "train": train,
            "test": test,
            "window": WINDOW,
            "max_shift": MAX_SHIFT,
            "shifted": shifted.metrics(),
            "as_recorded": recorded.metrics(),
        },
    )
