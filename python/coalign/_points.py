"""Transport of point clouds: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import Kind, compute_dtype
from ._batch import Batch, Lengths, has_contiguous_frames
from ._cuda_transport import solve_points
from ._device import Gpu
from ._pipeline import ResultCall, carry_out
from ._progress import Progress, reporter
from ._scalars import choice, take_count
from ._transport import (
    _ONLY_CPU,
    REFUSED,
    _take_number,
    _take_penalties,
    _take_vectors,
    _word,
    nothing,
    owned,
    take_epsilon,
    warn_of_unsolved,
    weight_error,
)
from ._transport_result import PointCosts, Transport

NOUN = ("point", "cloud")
# Points of a tile, and the costs from which "auto" takes host arrays to a GPU.
_TILE_POINTS, _LEAST_GPU_COSTS = 128, 4e6
METRICS = ("sqeuclidean", "euclidean", "cosine", "dot")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Clouds in the place of costs: what is asked of the batch that these would be."""

    xs: Batch
    ys: Batch

    name = "x"

    def __len__(self) -> int:
        return _validate.require_pairs(self.xs, self.ys)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the computation."""
        return compute_dtype(*self.arrays)

    @property
    def sides(self) -> tuple[Batch, Batch]:
        """Both clouds."""
        return self.xs, self.ys

    @property
    def kind(self) -> Kind:
        """The kind of the results."""
        return next((side.kind for side in self.sides if side.arrays), self.xs.kind)

    @property
    def arrays(self) -> list[Any]:
        """The arrays that hold the points."""
        return [*self.xs.arrays, *self.ys.arrays]

    @property
    def is_batch(self) -> bool:
        """Whether there may be more than one problem."""
        return self.xs.is_batch or self.ys.is_batch

    @property
    def is_padded(self) -> bool:
        """Whether results are arrays of one room for all problems."""
        return self.is_batch and all(side.is_padded for side in self.sides if side.is_batch)

    @property
    def lengths(self) -> tuple[Lengths, ...]:
        """The rows and the columns of each problem."""
        return tuple(np.broadcast_to(side.lengths[0], len(self)) for side in self.sides)

    def room(self, axis: int) -> int | None:
        """Return the length that results give every problem along an axis; None in a list."""
        return self.sides[axis].room(0)


@dataclass(frozen=True, slots=True)
class _Call(ResultCall[Transport]):
    """A call of `sinkhorn_points`; weights and the start are as native code takes them."""

    pairs: Pairs
    weights: tuple[Any, Any]
    start: Any
    epsilon: Any
    unbalanced: float | tuple[float, float] | None
    tol: float
    max_iterations: int
    threads: int
    kept: tuple[Any, ...]
    dtype: np.dtype[Any]
    name: str
    depth: int
    report: Callable[[int], None] | None

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        return _ONLY_CPU if self.depth > 0 else None

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        # A tile of both clouds is held against another by a block.
        n, m = self.pairs.lengths
        tiles = float((n / _TILE_POINTS) @ (m / _TILE_POINTS))
        return _execution.repays_gpu(int(tiles), float(n @ m), _LEAST_GPU_COSTS)

    def on_gpu(self, gpu: Gpu) -> Transport:
        """Queue every problem on the caller's stream."""
        names = Transport._fields[len(Transport._fields) - len(self.kept) :]
        return Transport(**solve_points(self, gpu), **dict(zip(names, self.kept, strict=True)))

    def on_host(self) -> Transport:
        """Solve on the CPU; raise for the first problem that is none."""
        pairs = self.pairs
        if len(pairs) == 0:
            return nothing(Transport, pairs, self.dtype, self.kept)
        found, wrong = _core.sinkhorn_points(
            *(side.native(self.dtype, has_contiguous_frames) for side in pairs.sides),
            *self.weights,
            self.epsilon,
            self.kept[0].metric,
            self.unbalanced,
            self.tol,
            self.max_iterations,
            self.start,
            *(side.native_lengths(0) for side in pairs.sides),
            self.threads,
            None,
            self.report,
            self.kept,
        )
        if wrong is not None:
            raise self._error(*wrong)
        return found

    def _error(self, what: str, problem: int, row: int, column: int) -> ValueError:
        if what != "points":
            index = row if row >= 0 else column
            return weight_error(self.pairs, self.weights, what, problem, index)
        side, element = (self.pairs.xs, row) if row >= 0 else (self.pairs.ys, column)
        place = divmod(element, side.arrays[0].shape[-1])
        return side.bad_value(problem if len(side) > 1 else 0, place, "finite coordinates")

    def settle(self, found: Transport, *, from_gpu: bool) -> Transport:
        """Raise for the first problem that is none; warn of what has not converged."""
        if from_gpu and np.isin(found.status, REFUSED).any():
            # The CPU finds what is wrong, and where.
            self.on_host()
        warn_of_unsolved(found, 6 + self.depth, self.name)
        return found


def sinkhorn_points(
    x: Any,
    y: Any,
    a: Any,
    b: Any,
    epsilon: Any,
    metric: Any,
    unbalanced: Any,
    tol: Any,
    max_iterations: Any,
    initial: Any,
    x_lengths: Any,
    y_lengths: Any,
    threads: Any,
    device: Any,
    progress: Progress = False,
    *,
    name: str = "sinkhorn_points",
    dtype: Any = None,
    depth: int = 0,
) -> Transport:
    """Solve what `coalign.sinkhorn_points` takes.

    A function of another name, so many calls deeper, may say what dtype to compute in.
    """
    device = _execution.take_device(device)
    threads = _execution.thread_count(threads)
    iterations = take_count(max_iterations, "max_iterations")
    tolerance = _take_number(tol, "tol")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tol: expected a finite number of at least 0, got {_word(tolerance)}")
    pairs = take_clouds((x, y), (x_lengths, y_lengths))
    dtype = pairs.dtype if dtype is None else dtype
    weights = (_take_vectors(a, "a", pairs, 0, dtype), _take_vectors(b, "b", pairs, 1, dtype))
    each = take_epsilon(epsilon, pairs)
    penalties = _take_penalties(unbalanced)
    kept = (
        PointCosts(x, y, choice(metric, "metric", METRICS)),
        *map(owned, weights),
        each,
        penalties,
        tolerance,
        None if x_lengths is None else pairs.xs.lengths[0],
        None if y_lengths is None else pairs.ys.lengths[0],
    )
    start = _take_start(initial, pairs, dtype)
    options = (each, penalties, tolerance, iterations, threads)
    with reporter(progress, len(pairs) if pairs.is_batch else iterations, name) as report:
        call = _Call(pairs.sides, pairs, weights, start, *options, kept, dtype, name, depth, report)
        return carry_out(call, device)


def take_clouds(given: tuple[Any, Any], lengths: tuple[Any, Any], *, on_gpu: bool = True) -> Pairs:
    """Check two clouds, or batches of them, that go together."""
    xs, ys = (
        _validate.take_series(cloud, name, length, f"{name}_lengths", noun=NOUN, on_gpu=on_gpu)
        for cloud, name, length in zip(given, "xy", lengths, strict=True)
    )
    _validate.require_like(xs, ys, NOUN[0])
    _validate.require_pairs(xs, ys)
    return Pairs(xs, ys)


def _take_start(initial: Any, pairs: Pairs, dtype: Any) -> Any:
    """Check potentials to start from; those of the columns say all."""
    if initial is None:
        return None
    if isinstance(initial, Transport):
        initial = (initial.f, initial.g)
    if not isinstance(initial, (list, tuple)) or len(initial) != 2:
        raise TypeError(f"initial: expected a Transport or (f, g), got {type(initial).__name__}")
    f, g = (
        _take_vectors(given, f"initial {'fg'[axis]}", pairs, axis, dtype)
        for axis, given in enumerate(initial)
    )
    if f is None or g is None:
        raise TypeError("initial: expected both f and g, got None")
    return g
