"""Barycenters of series: paths to all of them and means along the paths, in turns."""

from __future__ import annotations

import numpy as np

from . import _core
from ._arrays import Array
from ._averaging import Collection, Descent
from ._errors import Status
from ._warping import _native_window


def descend(series: Collection, start: Array, tolerance: float, most: int) -> Descent:
    """Go down to the last series that lowers the inertia."""
    centre = start
    costs, mean = _align(series, centre)
    inertia = series.inertia(costs)
    for iteration in range(1, most + 1):
        if not np.isfinite(inertia):
            return Descent(centre, costs, iteration - 1, Status.PRECISION_LIMIT)
        candidate = mean.astype(series.dtype)
        if not np.isfinite(candidate).all():
            return Descent(centre, costs, iteration - 1, Status.PRECISION_LIMIT)
        costs_now, mean = _align(series, candidate)
        inertia_now = series.inertia(costs_now)
        fall = inertia - inertia_now
        # The mean along old paths is best, and new paths are no worse: it rises by rounding alone.
        if fall >= 0:
            centre, costs, inertia = candidate, costs_now, inertia_now
        if fall <= tolerance * inertia:
            return Descent(centre, costs, iteration, Status.OK)
    return Descent(centre, costs, most, Status.NOT_CONVERGED)


def _align(series: Collection, centre: Array) -> tuple[Array, Array]:
    """Return the costs of paths from a series to all, and the mean along these paths."""
    batch, count, lengths = series.batch, len(series.batch), series.batch.lengths[0]
    costs, status = np.empty(count, series.dtype), np.empty(count, np.int64)
    sums, counts = np.zeros(centre.shape), np.zeros(len(centre))
    for part in series.slices(len(centre)):
        m = lengths[part]
        _core.dtw_sums(
            centre,
            batch.data[part],
            _native_window(series.options.window, np.full(len(m), len(centre)), m),
            m if batch.is_padded else None,
            series.weights[part],
            series.options.threads,
            costs[part],
            status[part],
            sums,
            counts,
        )
    series.require_paths(status, len(centre))
    return costs, sums / np.where(counts > 0, counts, 1)[:, np.newaxis]
