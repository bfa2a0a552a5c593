"""Transport: give one photograph the colours of another."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import coalign

from . import figures
from .part import Part, Picture

EPSILON = 0.005
TOLERANCE = 1e-4
# How many pixels of each photograph are moved, and one in how many each way is shown.
SIZES = {False: (1500, 1), True: (300, 4)}
NAMES = ("temple", "flower")
BINS = 60
# How bright the eye takes red, green and blue for (ITU-R BT.601).
BRIGHTNESS = np.array([0.299, 0.587, 0.114])

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Photographs:
    """Two photographs (H, W, 3) with values 0 to 1, and some of the pixels (n, 3) of each."""

    images: tuple[Floats, Floats]
    samples: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Transfer:
    """The photographs in each other's colours, and how they came to them."""

    photographs: Photographs
    found: coalign.Transport
    images: tuple[Floats, Floats]
    lower: float
    upper: float
    seconds: float
    before: float
    after: tuple[float, float]

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this transfer."""
        return {
            "cost": float(self.found.cost),
            "lower": self.lower,
            "upper": self.upper,
            "marginal_error": float(self.found.marginal_error),
            "iterations": int(self.found.iterations),
            "seconds": self.seconds,
            "before": self.before,
            "after": list(self.after),
        }


def load(small: bool, rng: np.random.Generator) -> Photographs:
    """Take scikit-learn's two photographs, and draw pixels of each."""
    from sklearn.datasets import load_sample_images

    count, step = SIZES[small]
    data: Any = load_sample_images()
    images = [np.asarray(image[::step, ::step], np.float64) / 255 for image in data.images]
    samples = []
    for image in images:
        pixels = image.reshape(-1, 3)
        samples.append(pixels[rng.choice(len(pixels), count, replace=False)])
    return Photographs((images[0], images[1]), (samples[0], samples[1]))


def distances(x: Floats, y: Floats) -> Floats:
    """Give the squared distance of each colour from each other one."""
    apart: Floats = np.square(x[:, np.newaxis] - y).sum(axis=-1)
    return apart


def recolour(image: Floats, sample: Floats, moved: Floats) -> Floats:
    """Move each pixel as the sampled pixel that is nearest in colour moves."""
    from sklearn.neighbors import NearestNeighbors

    pixels = image.reshape(-1, 3)
    tree = NearestNeighbors(n_neighbors=1).fit(sample)
    nearest = tree.kneighbors(pixels, return_distance=False)[:, 0]
    out: Floats = np.clip(pixels + (moved - sample)[nearest], 0, 1).reshape(image.shape)
    return out


def apart(image: Floats, other: Floats) -> float:
    """Give how far the colours of two photographs are apart: the mean over red, green and blue."""
    return float(coalign.wasserstein_1d(image.reshape(-1, 3).T, other.reshape(-1, 3).T).mean())


def transfer(photographs: Photographs) -> Transfer:
    """Move the colours of the sampled pixels, and all pixels after them.

    Raises
    ------
    RuntimeError
        If the plan misses its marginals, or its cost is below what transport has to cost.
    """
    x, y = photographs.samples
    costs = distances(x, y)
    start = time.perf_counter()
    found = coalign.sinkhorn(costs, epsilon=EPSILON, tol=TOLERANCE)
    seconds = time.perf_counter() - start
    lower, upper = map(float, found.bounds())
    # The plan misses its marginals by as much as it may, and no cost is above 3.
    if not (
        bool(found.converged) and lower - 3 * TOLERANCE <= float(found.cost) and lower <= upper
    ):
        raise RuntimeError(
            f"the plan costs {float(found.cost)}, transport at least {lower}, and the marginals "
            f"are off by {float(found.marginal_error)}"
        )
    # Each pixel goes to the mean of what it is matched with: rows of the plan add up to 1 / n.
    targets = len(x) * found.apply(y), len(y) * found.apply(x, transpose=True)
    first, second = photographs.images
    images = recolour(first, x, targets[0]), recolour(second, y, targets[1])
    after = apart(images[0], second), apart(images[1], first)
    return Transfer(photographs, found, images, lower, upper, seconds, apart(first, second), after)


def photographs_picture(done: Transfer) -> Picture:
    """Draw each photograph, and beside it the same in the other's colours."""
    panels = [
        [(f"the {name}", image), (f"in the colours of the {other}", recoloured)]
        for name, other, image, recoloured in zip(
            NAMES, NAMES[::-1], done.photographs.images, done.images, strict=True
        )
    ]
    return Picture(
        figures.photographs(panels),
        caption=(
            "Two photographs, and each in the colours of the other. The plan moves "
            f"{len(done.photographs.samples[0])} pixels of one to as many of the other; every "
            "other pixel moves as its nearest in colour among them."
        ),
        alt="A temple and a flower; a temple in the flower's colours, a flower in the temple's.",
    )


def binned(plan: Floats) -> Floats:
    """Add up a plan over squares of neighbouring rows and columns."""
    for axis in (0, 1):
        starts = np.arange(BINS) * plan.shape[axis] // BINS
        plan = np.add.reduceat(plan, starts, axis=axis)
    return plan


def plan_picture(done: Transfer) -> Picture:
    """Draw the plan, from dark to bright each way, with the colours beside it."""
    sides = [np.argsort(sample @ BRIGHTNESS) for sample in done.photographs.samples]
    plan = binned(np.asarray(done.found.plan())[np.ix_(*sides)])
    strips = [
        sample[order[np.arange(BINS) * len(order) // BINS]]
        for sample, order in zip(done.photographs.samples, sides, strict=True)
    ]
    return Picture(
        figures.plan(plan, strips[0], strips[1], NAMES),
        caption=(
            f"The plan, both ways from dark to bright: how much of the {NAMES[0]}'s colours goes "
            f"to which of the {NAMES[1]}'s. Off the diagonal, a hue has decided and not the "
            "brightness."
        ),
        alt="A matrix of the mass that moves between colours, dark along much of its diagonal.",
    )


def _prose(done: Transfer) -> tuple[str, ...]:
    found = done.found
    return (
        "Transport moves the colours of one photograph onto those of the other so that the sum "
        "of squared distances is small, and every colour is used as often as it occurs. Each "
        "sampled pixel gets the mean of the colours that the plan matches it with, `apply` of "
        "the plan, in one direction and, transposed, in the other.",
        f"The plan is soft, at ε = {EPSILON} in squared distance of colours that go from 0 to 1. "
        f"It costs {float(found.cost):.4f}; transport without regularisation costs between "
        f"{done.lower:.4f} and {done.upper:.4f}, which its potentials prove. Its sums are off "
        f"the marginals by {float(found.marginal_error):.1e} after {int(found.iterations)} "
        "iterations.",
        "The distance in the table is the least mean shift that makes the values of a channel of "
        "all pixels those of the other photograph, in the mean over red, green and blue.",
    )


def part(small: bool, seed: int, progress: bool) -> Part:
    """Give each of two photographs the colours of the other."""
    photographs = load(small, np.random.default_rng(seed))
    done = transfer(photographs)
    count = len(photographs.samples[0])
    rows = tuple(
        (
            name,
            other,
            f"{done.before:.3f}",
            f"{after:.3f}",
            f"{float(done.found.marginal_error):.1e}",
            f"{done.seconds:.3f}",
        )
        for name, other, after in zip(NAMES, NAMES[::-1], done.after, strict=True)
    )
    return Part(
        key="colours",
        title="Transport: the colours of another photograph",
        prose=_prose(done),
        caption=f"Colours of two photographs, moved by {count} pixels of each",
        columns=(
            "photograph",
            "in the colours of the",
            "distance before",
            "after",
            "marginal error",
            "seconds",
        ),
        rows=rows,
        pictures=(photographs_picture(done), plan_picture(done)),
        metrics={"pixels": count, "epsilon": EPSILON, **done.metrics()},
    )
