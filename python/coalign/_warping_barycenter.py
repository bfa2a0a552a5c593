"""Barycenters of series: paths to all of them and means along the paths, in turns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _validate
from ._arrays import Array, lies_on_gpu
from ._batch import Batch, has_contiguous_frames
from ._closed_form import take_items
from ._errors import ConvergenceWarning, DeviceError, Status
from ._normalize import normalized
from ._pipeline import in_kind, require_feasible
from ._scalars import take_count, take_flag, take_real
from ._warping import Options, _call, _native_window, dtw_cdist
from ._warping_barycenter_result import WarpingBarycenter
from ._windows import Window

# The series whose medoid the iteration begins at, unless it is told where: all pairs of so many.
_MOST_CANDIDATES = 50
# Paths are found for so many frames at a time, which bounds the memory that they take.
_FRAMES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Collection:
    """The series of a call, and how they are warped."""

    batch: Batch
    weights: npt.NDArray[np.float64]
    options: Options

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.batch.dtype

    def slices(self, length: int) -> list[slice]:
        """Cut the series into groups of so many frames, with a barycenter of some length."""
        frames = np.cumsum(self.batch.lengths[0] + length)
        cuts = np.flatnonzero(np.diff(frames // _FRAMES_AT_ONCE)) + 1
        ends = [0, *cuts.tolist(), len(self.batch)]
        return [slice(*pair) for pair in pairwise(ends)]

    def align(self, centre: Array) -> tuple[Array, Array]:
        """Return the costs of paths from a series to all, and the mean along these paths."""
        lengths = self.batch.lengths[0]
        costs, status = np.empty(len(self.batch), self.dtype), np.empty(len(self.batch), np.int32)
        sums, counts = np.zeros(centre.shape), np.zeros(len(centre))
        for part in self.slices(len(centre)):
            m = lengths[part]
            window = _native_window(self.options.window, np.full(len(m), len(centre)), m)
            given = self.batch.data[part], None, m if self.batch.is_padded else None
            found = _call(self.options, window, True, centre, *given)
            costs[part], status[part] = found.cost, found.status
            for k, (i, j) in enumerate(zip(found.x_index, found.y_index, strict=True), part.start):
                if len(i) == 0:
                    continue
                # Every frame is on the path, and its pairs follow one another.
                visits = np.bincount(i)
                frames = self.batch.item(k)[j].astype(np.float64)
                sums += self.weights[k] * np.add.reduceat(frames, np.cumsum(visits) - visits)
                counts += self.weights[k] * visits
        self.require_paths(status, len(centre))
        return costs, sums / np.where(counts > 0, counts, 1)[:, np.newaxis]

    def require_paths(self, status: Array, frames: int) -> None:
        """Raise for the first series without a path from a barycenter of so many frames."""
        lengths = self.batch.lengths[0]
        require_feasible(
            status,
            True,
            lambda p: (
                f"no path through the window, for {frames} frames of the barycenter and "
                f"{lengths[p]} of the series"
            ),
        )

    def inertia(self, costs: Array) -> float:
        """Return the weighted sum of costs; a series of weight 0 does not count."""
        counted = self.weights > 0
        return float(self.weights[counted] @ costs[counted].astype(np.float64))


def barycenter(
    X: Any,
    weights: Any,
    init: Any,
    window: Window,
    x_lengths: Any,
    tol: Any,
    max_iterations: Any,
    threads: Any,
    normalize: Any,
) -> WarpingBarycenter:
    """Return what `coalign.dtw_barycenter` does."""
    tolerance, most = take_real(tol, "tol", least=0), take_count(max_iterations, "max_iterations")
    series, _ = take_collection(X, weights, init, window, x_lengths, threads, normalize)
    batch, start = series.batch, start_at(init, series)
    centre, costs, iterations, status = _descend(series, start, tolerance, most)
    if status != Status.OK:
        warn("dtw_barycenter", status, tolerance, iterations)
    found = WarpingBarycenter(
        centre[:, 0] if batch.ndims[0] == 1 else centre,
        costs,
        np.float64(series.inertia(costs)),
        np.int64(iterations),
        np.int32(status),
    )
    return in_kind(found, batch.kind)


def take_collection(
    X: Any,
    weights: Any,
    init: Any,
    window: Window,
    x_lengths: Any,
    threads: Any,
    normalize: Any,
    *,
    in_float64: bool = False,
) -> tuple[Collection, np.dtype[Any]]:
    """Check the series of a call; return them, and the dtype that their barycenter has."""
    for value, name in ((X, "X"), (init, "init"), (weights, "weights")):
        items = value if isinstance(value, (list, tuple)) else [value]
        if any(lies_on_gpu(item) for item in items):
            raise DeviceError(f"{name}: expected arrays in host memory; barycenters run on the CPU")
    options = Options.take("sqeuclidean", window, "symmetric1", False, False, None, threads, None)
    batch = _validate.take_series(X, "X", x_lengths, "x_lengths", collection=True)
    if len(batch) == 0:
        raise ValueError("X: expected at least one series, got none")
    batch.require_all(np.isfinite, "finite values")
    if take_flag(normalize, "normalize"):
        batch = normalized(batch)
    data = batch.native(np.dtype(np.float64) if in_float64 else batch.dtype, has_contiguous_frames)
    series = Collection(
        Batch(batch.name, data, batch.lengths, batch.kind, True, batch.ndims),
        _take_weights(weights, len(batch)),
        options,
    )
    return series, batch.dtype


def start_at(init: Any, series: Collection) -> Array:
    """Return the series to begin at."""
    return _medoid(series) if init is None else _take_start(init, series.batch)


def _descend(
    series: Collection, start: Array, tolerance: float, most: int
) -> tuple[Array, Array, int, Status]:
    """Return the last series that lowered the inertia, its costs, the iterations, and a status."""
    centre = start
    costs, mean = series.align(centre)
    inertia = series.inertia(costs)
    for iteration in range(1, most + 1):
        if not np.isfinite(inertia):
            return centre, costs, iteration - 1, Status.PRECISION_LIMIT
        candidate = mean.astype(series.dtype)
        costs_now, mean = series.align(candidate)
        inertia_now = series.inertia(costs_now)
        fall = inertia - inertia_now
        # The mean along old paths is best, and new paths are no worse: it rises by rounding alone.
        if fall >= 0:
            centre, costs, inertia = candidate, costs_now, inertia_now
        if fall <= tolerance * inertia:
            return centre, costs, iteration, Status.OK
    return centre, costs, most, Status.NOT_CONVERGED


def _take_weights(weights: Any, count: int) -> npt.NDArray[np.float64]:
    """Check the weights of all series."""
    if weights is None:
        return np.ones(count)
    given = take_items(weights, "weights", 1)
    found = given.arrays[0].astype(np.float64)
    if given.is_batch or found.shape[1:] != (count,):
        shape = found.shape if given.is_batch else found.shape[1:]
        raise ValueError(f"weights: expected shape {(count,)}, got shape {shape}")
    given.require(lambda array: array >= 0, "weights of at least 0")
    if not found.any():
        raise ValueError("weights: expected a positive sum, got 0")
    return np.asarray(found[0])


def _take_start(init: Any, batch: Batch) -> Array:
    """Check the series to begin at."""
    given = _validate.take_series(init, "init", None, "")
    if given.is_batch:
        raise ValueError("init: expected one series of shape (T,) or (T, D), got a batch")
    _validate.require_like(batch, given)
    given.require_all(np.isfinite, "finite values")
    start: Array = given.item(0).astype(batch.dtype)
    return np.ascontiguousarray(start)


def _medoid(series: Collection) -> Array:
    """Return the series with the least sum of costs to others, among evenly spaced ones."""
    count = len(series.batch)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_CANDIDATES)).astype(np.int64))
    items = [series.batch.item(k) for k in chosen.tolist()]
    if len(items) == 1:
        return np.ascontiguousarray(items[0])
    options = series.options
    costs = dtw_cdist(
        items,
        None,
        metric=options.metric,
        window=options.window,
        step="symmetric1",
        open_begin=False,
        open_end=False,
        x_lengths=None,
        y_lengths=None,
        max_cost=None,
        threads=options.threads,
        device=None,
        normalize=False,
        out=None,
        progress=False,
    )
    sums = costs.astype(np.float64) @ series.weights[chosen]
    return np.ascontiguousarray(items[int(np.argmin(sums))])


def warn(name: str, status: Status, tolerance: float, iterations: int) -> None:
    """Warn of a status that is not OK, for the caller of the public function."""
    if status == Status.PRECISION_LIMIT:
        warnings.warn(
            f"{name}: a cost overflows its dtype; the status is PRECISION_LIMIT",
            RuntimeWarning,
            stacklevel=4,
        )
        return
    warnings.warn(
        f"{name}: iteration {iterations} still lowered the inertia by more than "
        f"{tolerance:g} of it; the status is NOT_CONVERGED",
        ConvergenceWarning,
        stacklevel=4,
    )
