"""Averages of series: arguments are checked, and what a descent finds becomes the result."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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
from ._warping import Options, dtw_cdist
from ._warping_barycenter_result import WarpingBarycenter
from ._windows import Window

# The series whose medoid a descent begins at, unless it is told where: all pairs of so many.
_MOST_CANDIDATES = 50
# Series are warped in groups of so many frames, which bounds the memory of paths and gradients.
_FRAMES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Collection:
    """The series of a call, and how they are warped; their weights are `weights` times 2**scale."""

    batch: Batch
    weights: npt.NDArray[np.float64]
    scale: int
    options: Options

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype to compute in."""
        return self.batch.dtype

    def slices(self, length: int) -> list[slice]:
        """Cut the series into groups of so many frames, with a barycenter of some length."""
        frames = np.cumsum(self.batch.lengths[0] + length)
        cuts = np.flatnonzero(np.diff(frames // _FRAMES_AT_ONCE)) + 1
        ends = [0, *cuts.tolist(), len(self.batch)]
        return [slice(*pair) for pair in pairwise(ends)]

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
        # A BLAS may add up in an order that depends on its threads.
        return float((self.weights[counted] * costs[counted].astype(np.float64)).sum())


@dataclass(frozen=True, slots=True)
class Descent:
    """The series that a descent has ended at, the costs of all to it, and how it came there."""

    centre: Array
    costs: Array
    iterations: int
    status: Status


def average(
    name: str,
    descend: Callable[[Collection, Array, float, int], Descent],
    X: Any,
    weights: Any,
    init: Any,
    window: Window,
    x_lengths: Any,
    tol: Any,
    max_iterations: Any,
    threads: Any,
    normalize: Any,
    *,
    in_float64: bool = False,
) -> WarpingBarycenter:
    """Average series as the function of a name does.

    `descend` takes the series, the one to begin at, the tolerance and the most iterations.
    """
    tolerance, most = take_real(tol, "tol", least=0), take_count(max_iterations, "max_iterations")
    _require_host(X=X, init=init, weights=weights)
    series, dtype = _take_collection(X, weights, window, x_lengths, threads, normalize, in_float64)
    start = _medoid(series) if init is None else _take_start(init, series.batch)
    found = descend(series, start, tolerance, most)
    with np.errstate(over="ignore"):
        frames, costs = (each.astype(dtype, copy=False) for each in (found.centre, found.costs))
        inertia = np.ldexp(series.inertia(found.costs), series.scale)
    is_finite = bool(np.isfinite(inertia)) and bool(np.isfinite(costs).all())
    status = found.status if is_finite else Status.PRECISION_LIMIT
    _warn(name, status, found.iterations, tolerance)
    result = WarpingBarycenter(
        frames[:, 0] if series.batch.ndims[0] == 1 else frames,
        costs,
        inertia,
        np.int64(found.iterations),
        np.int32(status),
    )
    return in_kind(result, series.batch.kind)


def _require_host(**arguments: Any) -> None:
    """Refuse arguments that lie on a GPU, or hold items that do."""
    for name, value in arguments.items():
        items = value if isinstance(value, (list, tuple)) else [value]
        if any(lies_on_gpu(item) for item in items):
            raise DeviceError(f"{name}: expected arrays in host memory; barycenters run on the CPU")


def _take_collection(
    X: Any,
    weights: Any,
    window: Window,
    x_lengths: Any,
    threads: Any,
    normalize: Any,
    in_float64: bool,
) -> tuple[Collection, np.dtype[Any]]:
    """Check the series of a call; return them, and the dtype that their barycenter has."""
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
        *_take_weights(weights, len(batch)),
        options,
    )
    return series, batch.dtype


def _take_weights(weights: Any, count: int) -> tuple[npt.NDArray[np.float64], int]:
    """Check the weights of all series; return them without a power of 2 that may be extreme."""
    if weights is None:
        return np.ones(count), 0
    given = take_items(weights, "weights", 1)
    found = given.arrays[0].astype(np.float64)
    if given.is_batch or found.shape[1:] != (count,):
        shape = found.shape if given.is_batch else found.shape[1:]
        raise ValueError(f"weights: expected shape {(count,)}, got shape {shape}")
    given.require(lambda array: array >= 0, "weights of at least 0")
    if not found.any():
        raise ValueError("weights: expected a positive sum, got 0")
    scale = int(np.frexp(found.max())[1])
    return np.ldexp(found[0], -scale), scale


def _take_start(init: Any, batch: Batch) -> Array:
    """Check the series to begin at."""
    given = _validate.take_series(init, "init", None, "")
    if given.is_batch:
        raise ValueError("init: expected one series of shape (T,) or (T, D), got a batch")
    _validate.require_like(batch, given)
    given.require_all(np.isfinite, "finite values")
    with np.errstate(over="ignore"):
        start: Array = given.item(0).astype(batch.dtype)
    wrong = np.argwhere(~np.isfinite(start))
    if wrong.size:
        place = tuple(wrong[0].tolist())[: given.ndims[0]]
        raise ValueError(f"init: inf at index {place} in {batch.dtype}; expected finite values")
    return np.ascontiguousarray(start)


def _medoid(series: Collection) -> Array:
    """Copy the series with the least sum of costs to others, among evenly spaced ones."""
    count = len(series.batch)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_CANDIDATES)).astype(np.int64))
    items = [series.batch.item(k) for k in chosen.tolist()]
    if len(items) == 1:
        return np.array(items[0], order="C")
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
    # Those of weight 0 do not count: their costs may be infinite. Nor is this for a BLAS, as above.
    weights = series.weights[chosen]
    counted = weights > 0
    sums = (costs[:, counted].astype(np.float64) * weights[counted]).sum(axis=1)
    return np.array(items[int(np.argmin(sums))], order="C")


def _warn(name: str, status: Status, iterations: int, tolerance: float) -> None:
    """Warn of a status that is not OK, for the caller of the public function."""
    if status == Status.PRECISION_LIMIT:
        warnings.warn(
            f"{name}: a cost or the inertia overflows its dtype; the status is PRECISION_LIMIT",
            RuntimeWarning,
            stacklevel=4,
        )
    elif status == Status.NOT_CONVERGED:
        warnings.warn(
            f"{name}: iteration {iterations} still lowered the inertia by more than "
            f"{tolerance:g} of it; the status is NOT_CONVERGED",
            ConvergenceWarning,
            stacklevel=4,
        )
