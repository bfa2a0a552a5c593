"""Barycenters of series under soft-DTW: descent along its gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import _core
from ._arrays import Array
from ._averaging import Collection, Descent
from ._errors import Status
from ._lbfgs import Point, Vector, descend
from ._soft_warping import take_gamma
from ._warping import _native_window


@dataclass(frozen=True, slots=True)
class _Objective:
    """The weighted sum of soft-DTW from a series to a collection, and its gradient."""

    series: Collection
    gamma: float

    def __call__(self, centre: Vector) -> Point:
        """Evaluate them; a series of weight 0 is only measured."""
        batch = self.series.batch
        lengths = batch.lengths[0]
        values, status = np.empty(len(batch)), np.empty(len(batch), np.int32)
        gradient = np.zeros(centre.shape)
        for part in self.series.slices(len(centre)):
            m = lengths[part]
            window = _native_window(self.series.options.window, np.full(len(m), len(centre)), m)
            own = np.zeros((len(m), *centre.shape))
            values[part], status[part] = _core.soft_dtw_pairs(
                centre,
                batch.data[part],
                "sqeuclidean",
                window,
                self.gamma,
                None,
                m if batch.is_padded else None,
                self.series.options.threads,
                list(own),
                [np.empty((length, centre.shape[1])) for length in m.tolist()],
                None,
            )
            gradient += (self.series.weights[part, np.newaxis, np.newaxis] * own).sum(axis=0)
        self.series.require_paths(status, len(centre))
        return Point(centre, self.series.inertia(values), gradient, values)


def descent(gamma: Any) -> Callable[[Collection, Array, float, int], Descent]:
    """Return the descent under a smoothing, which is checked."""
    return partial(_descend, take_gamma(gamma))


def _descend(
    gamma: float, series: Collection, start: Array, tolerance: float, most: int
) -> Descent:
    evaluate = _Objective(series, gamma)
    point = evaluate(start)
    if not np.isfinite(point.value):
        return Descent(start, point.details, 0, Status.PRECISION_LIMIT)
    total = float(series.weights.sum())
    # A frame is paired with about so many of each series, and each pair curves by 2. A whole step
    # ended in dearer minima than tslearn's in 18 of 30 averages of 20 random walks, with gamma from
    # 0.1 to 10; three tenths of it in 12.
    pairs = np.maximum(series.batch.lengths[0] / len(start), 1)
    point, iterations, converged = descend(
        evaluate,
        point,
        0.3 / (2 * float((series.weights * pairs).sum())),
        lambda fall, at: fall <= tolerance * (abs(at.value) + gamma * total),
        most,
    )
    status = Status.OK if converged else Status.NOT_CONVERGED
    return Descent(point.x, point.details, iterations, status)
