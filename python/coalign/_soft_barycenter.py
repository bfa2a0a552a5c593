"""Barycenters of series under soft-DTW: descent along its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
from ._errors import Status
from ._lbfgs import Point, Vector, descend
from ._pipeline import in_kind
from ._scalars import take_count, take_real
from ._soft_warping import take_gamma
from ._warping import _native_window
from ._warping_barycenter import Collection, start_at, take_collection, warn
from ._warping_barycenter_result import WarpingBarycenter
from ._windows import Window


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


def barycenter(
    X: Any,
    gamma: Any,
    weights: Any,
    init: Any,
    window: Window,
    x_lengths: Any,
    tol: Any,
    max_iterations: Any,
    threads: Any,
    normalize: Any,
) -> WarpingBarycenter:
    """Return what `coalign.soft_dtw_barycenter` does."""
    number = take_gamma(gamma)
    tolerance, most = take_real(tol, "tol", least=0), take_count(max_iterations, "max_iterations")
    series, dtype = take_collection(
        X, weights, init, window, x_lengths, threads, normalize, in_float64=True
    )
    centre = start_at(init, series)
    total = float(series.weights.sum())
    evaluate = _Objective(series, number)
    point = evaluate(centre)
    iterations, status = 0, Status.PRECISION_LIMIT
    if np.isfinite(point.value):
        # A frame is paired with about so many of each series, and each pair curves by 2. A whole
        # step ended in dearer minima than tslearn's in 18 of 30 averages of 20 random walks, with
        # gamma from 0.1 to 10; three tenths of it in 12.
        pairs = np.maximum(series.batch.lengths[0] / len(centre), 1)
        point, iterations, converged = descend(
            evaluate,
            point,
            0.3 / (2 * float(series.weights @ pairs)),
            lambda fall, at: fall <= tolerance * (abs(at.value) + number * total),
            most,
        )
        status = Status.OK if converged else Status.NOT_CONVERGED
    if status != Status.OK:
        warn("soft_dtw_barycenter", status, tolerance, iterations)
    with np.errstate(over="ignore"):
        frames, values = point.x.astype(dtype), point.details.astype(dtype)
    found = WarpingBarycenter(
        frames[:, 0] if series.batch.ndims[0] == 1 else frames,
        values,
        np.float64(point.value),
        np.int64(iterations),
        np.int32(status),
    )
    return in_kind(found, series.batch.kind)
