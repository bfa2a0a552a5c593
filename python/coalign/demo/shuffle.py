"""Assignment: undo the shuffle of two noisy views of the same images."""

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

# Pixels go from 0 to 16. With this much noise the nearest image is often another one.
NOISE = 3.0
SIZES = {False: 1000, True: 500}
EXAMPLES = 6
# A share of the total; the sum of a thousand costs has a smaller rounding error.
TOLERANCE = 1e-9

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Views:
    """Two views (n, 8, 8) of the same images: `second[partner[k]]` shows what `first[k]` does."""

    first: Floats
    second: Floats
    partner: Indices


@dataclass(frozen=True, slots=True)
class Matching(Judged):
    """What one method takes for the partners, what that costs, and how long it took."""

    partner: Indices
    right: npt.NDArray[np.bool_]
    total: float
    above_bound: float
    seconds: float

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this method."""
        return {
            "accuracy": self.accuracy,
            "errors": self.errors,
            "total": self.total,
            "above_bound": self.above_bound,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both methods on the same views."""

    views: Views
    assign: Matching
    greedy: Matching
    true_total: float


def load(small: bool, rng: np.random.Generator) -> Floats:
    """Draw images of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    images: Floats = data.images.astype(np.float64)
    return images[rng.choice(len(images), SIZES[small], replace=False)]


def observe(images: Floats, rng: np.random.Generator) -> Views:
    """Look twice, each time through noise of its own, and shuffle the second view."""
    first, second = images + NOISE * rng.standard_normal((2, *images.shape))
    shuffled = rng.permutation(len(images))
    return Views(first, second[shuffled], np.argsort(shuffled))


def distances(views: Views) -> Floats:
    """Give the squared distance of each image of the first view from each of the second."""
    first = views.first.reshape(len(views.first), -1)
    second = views.second.reshape(len(views.second), -1)
    costs: Floats = (
        np.square(first).sum(axis=1)[:, None]
        + np.square(second).sum(axis=1)
        - 2 * (first @ second.T)
    )
    return costs


def match_greedily(costs: Floats) -> Indices:
    """Take the cheapest pair, then the cheapest of what is left, and so on."""
    partner = np.full(len(costs), -1, np.int64)
    rows, columns = np.arange(len(costs)), np.arange(len(costs))
    while rows.size:
        left = costs[np.ix_(rows, columns)]
        nearest = left.argmin(axis=1)
        # A pair of mutually nearest images is always taken, whatever comes before it.
        mutual = left.argmin(axis=0)[nearest] == np.arange(rows.size)
        partner[rows[mutual]] = columns[nearest[mutual]]
        rows, columns = rows[~mutual], np.delete(columns, nearest[mutual])
    return partner


def compare(views: Views) -> Comparison:
    """Match by both methods, and check the best matching against its bound.

    Raises
    ------
    RuntimeError
        If the assignment is not proved to be the cheapest.
    """
    costs = distances(views)
    start = time.perf_counter()
    found = coalign.assign(costs)
    seconds_of_assign = time.perf_counter() - start
    start = time.perf_counter()
    by_greed = match_greedily(costs)
    seconds_of_greed = time.perf_counter() - start
    total, gap = float(found.total), float(found.gap(costs))
    if not abs(gap) <= TOLERANCE * total:
        raise RuntimeError(f"the assignment costs {total}, {gap} above its bound")

    def judge(partner: Indices, seconds: float) -> Matching:
        paid = _total(costs, partner)
        return Matching(partner, partner == views.partner, paid, paid - (total - gap), seconds)

    return Comparison(
        views,
        judge(found.col_of_row, seconds_of_assign),
        judge(by_greed, seconds_of_greed),
        _total(costs, views.partner),
    )


def _total(costs: Floats, partner: Indices) -> float:
    return float(costs[np.arange(len(costs)), partner].sum())


def choose_examples(comparison: Comparison) -> Indices:
    """Pick images that only the assignment has right; if these are too few, others as well."""
    only = comparison.assign.right & ~comparison.greedy.right
    return np.argsort(~only, kind="stable")[:EXAMPLES].astype(np.int64)


def picture(comparison: Comparison) -> Picture:
    """Draw some images of the first view, and what each method takes for their partners."""
    views, rows = comparison.views, choose_examples(comparison)
    by_assign, by_greed = comparison.assign, comparison.greedy
    panels = (
        ("first view", views.first[rows], None),
        ("partner by assign", views.second[by_assign.partner[rows]], by_assign.right[rows]),
        ("partner by greed", views.second[by_greed.partner[rows]], by_greed.right[rows]),
    )
    return Picture(
        figures.matches(panels),
        caption=(
            "Images of the first view, and below them the partners that each method chose: framed "
            "in green the same image seen again, in red another one, since the right one was "
            "farther or had been taken."
        ),
        alt=(
            f"{len(rows)} noisy digits with their partners: by assignment "
            f"{int(by_assign.right[rows].sum())} right, by greed "
            f"{int(by_greed.right[rows].sum())}."
        ),
    )


def _row(name: str, method: Matching) -> tuple[str, ...]:
    return (
        name,
        f"{method.accuracy:.2%}",
        str(method.errors),
        f"{method.total:,.0f}",
        # Rounding may make it slightly negative.
        f"{max(method.above_bound, 0):,.2g}",
        f"{method.seconds:.3f}",
    )


def _prose(comparison: Comparison) -> tuple[str, ...]:
    both = comparison.assign, comparison.greedy
    return (
        "Each image is seen twice, each time through noise of its own, and the second view is "
        "shuffled. What is left to go by are the squared distances between the views.",
        "Greed takes the nearest pair, then the nearest of what is left, and has to take what "
        "remains in the end. The assignment makes the sum over all pairs the least: "
        f"{both[0].accuracy:.2%} find their partner instead of {both[1].accuracy:.2%}.",
        "The bound comes from the duals and holds for every matching, so that no matching is "
        "cheaper than the assignment by more than the figure in the table. Where its pairs "
        "are not the true ones, the noise is to blame: the true pairs cost "
        f"{comparison.true_total:,.0f}, more than the assignment.",
    )


def part(small: bool, seed: int, progress: bool) -> Part:
    """Undo a shuffle by assignment and by greed."""
    rng = np.random.default_rng(seed)
    comparison = compare(observe(load(small, rng), rng))
    count = len(comparison.views.partner)
    return Part(
        key="shuffle",
        title="Assignment: undo a shuffle",
        prose=_prose(comparison),
        caption=f"Partners found among two noisy views of {count} digits",
        columns=("method", "right", "wrong", "total cost", "above the bound", "seconds"),
        rows=(_row("assign", comparison.assign), _row("greedy", comparison.greedy)),
        pictures=(picture(comparison),),
        metrics={
            "images": count,
            "noise": NOISE,
            "assign": comparison.assign.metrics(),
            "greedy": comparison.greedy.metrics(),
            "true_total": comparison.true_total,
        },
    )
