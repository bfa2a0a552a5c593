"""Transport of point clouds: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import Array, Kind, compute_dtype
from ._batch import Batch, Lengths
from ._errors import Status
from ._pipeline import ResultCall, carry_out
from ._scalars import choice, take_count
from ._transport import (
    _ONLY_CPU,
    _take_number,
    _take_penalties,
    _take_vectors,
    _word,
    take_epsilon,
    warn_of_unsolved,
)
from ._transport_result import Transport

NOUN = ("point", "cloud")
METRICS = ("sqeuclidean", "euclidean", "cosine", "dot")


@dataclass(frozen=True, slots=True, repr=False)
class PointCosts:
    """What a `Transport` of point clouds keeps in the place of a matrix of costs."""

    x: Any
    y: Any
    metric: str

    def __repr__(self) -> str:
        return f"<{self.metric} of point clouds>"


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
    """A call of `sinkhorn_points`; weights and the start are None, arrays or lists of them."""

    weights: tuple[Any, Any]
    start: Any
    epsilon: Any
    unbalanced: float | tuple[float, float] | None
    tol: float
    max_iterations: int
    threads: int
    costs: PointCosts
    kept_lengths: tuple[Any, Any]
    dtype: np.dtype[Any]
    name: str
    depth: int

    @property
    def only_cpu(self) -> str:
        """Why no GPU takes the call."""
        return _ONLY_CPU

    @property
    def count(self) -> int:
        """How many problems there are."""
        return _validate.require_pairs(*self.inputs)

    def on_host(self) -> Transport:
        """Solve on the CPU; raise for the first problem that is none."""
        xs, ys = self.inputs
        if self.count == 0:
            return self._result([], [], np.empty((3, 0)), np.empty((1, 0), np.int64), np.empty(0))
        a, b = (self._each(self.weights[side], side) for side in (0, 1))
        for problem in range(self.count):
            self._require_weights(problem, a, b)
        penalties = self.unbalanced if self.unbalanced is not None else math.inf
        row, column = penalties if isinstance(penalties, tuple) else (penalties, penalties)
        f, g, sums, places, status = _core.sinkhorn_points(
            x=[np.ascontiguousarray(xs.item(p), self.dtype) for p in range(len(xs))],
            y=[np.ascontiguousarray(ys.item(p), self.dtype) for p in range(len(ys))],
            a=a,
            b=b,
            g=self._each(self.start, 1),
            metric=self.costs.metric,
            epsilon=np.ascontiguousarray(np.broadcast_to(self.epsilon, self.count), np.float64),
            row_penalty=row,
            column_penalty=column,
            tolerance=self.tol,
            most_iterations=self.max_iterations,
            threads=self.threads,
        )
        for problem in np.flatnonzero(status == Status.NAN).tolist():
            for side, element in zip(self.inputs, places[1:, problem].tolist(), strict=True):
                if element >= 0:
                    item = problem if len(side) > 1 else 0
                    place = divmod(element, side.arrays[0].shape[-1])
                    raise side.bad_value(item, place, "finite coordinates")
        return self._result(f, g, sums, places, status)

    def _each(self, given: Any, side: int) -> list[Array] | None:
        """Return a vector for each problem, cut to its length."""
        if given is None:
            return None
        lengths = self.inputs[side].lengths[0]
        vectors = []
        for problem in range(self.count):
            own = given[problem] if isinstance(given, list) or given.ndim == 2 else given
            length = lengths[problem if len(lengths) > 1 else 0]
            vectors.append(np.ascontiguousarray(own[:length], self.dtype))
        return vectors

    def _require_weights(self, problem: int, a: Any, b: Any) -> None:
        which = f"problem {problem}: " if any(side.is_batch for side in self.inputs) else ""
        masses = []
        for name, each in (("a", a), ("b", b)):
            if each is None:
                masses.append(1.0)
                continue
            weights = each[problem]
            wrong = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
            if wrong.size:
                value = _word(float(weights[wrong[0]]))
                raise ValueError(
                    f"{which}{name}: {value} at index ({wrong[0]},); "
                    "expected finite weights of at least 0"
                )
            masses.append(float(weights.sum(dtype=np.float64)))
            if not 0 < masses[-1] < math.inf:
                raise ValueError(
                    f"{which}{name}: expected a finite mass above 0, got {masses[-1]:.9g}"
                )
        apart = 1e-4 if self.dtype == np.float32 else 1e-6
        if self.unbalanced is None and abs(masses[0] - masses[1]) > apart * max(masses):
            raise ValueError(
                f"{which}a and b: expected equal masses, got {masses[0]:.9g} and {masses[1]:.9g}; "
                "scale one of them, or pass unbalanced"
            )

    def _result(self, f: Any, g: Any, sums: Array, places: Array, status: Array) -> Transport:
        is_batch = any(side.is_batch for side in self.inputs)
        is_list = any(side.is_batch and not side.is_padded for side in self.inputs)
        numbers = (*sums, places[0], status.astype(np.int32))
        if not is_batch:
            f, g = f[0], g[0]
            numbers = tuple(each[0] for each in numbers)
        elif not is_list:
            f, g = (self._padded(each, side) for side, each in enumerate((f, g)))
        kept = (self.costs, *self.weights, self.epsilon, self.unbalanced, self.tol)
        return Transport(f, g, *numbers, *kept, *self.kept_lengths)

    def _padded(self, vectors: list[Array], side: int) -> Array:
        out = np.zeros((self.count, self.inputs[side].room(0) or 0), self.dtype)
        for row, vector in zip(out, vectors, strict=True):
            row[: len(vector)] = vector
        return out

    def settle(self, found: Transport, *, from_gpu: bool) -> Transport:
        """Warn of what has not converged."""
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
    xs, ys = pairs.sides
    dtype = pairs.dtype if dtype is None else dtype
    given = [
        None if lengths is None else side.lengths[0]
        for side, lengths in ((xs, x_lengths), (ys, y_lengths))
    ]
    call = _Call(
        (xs, ys),
        (_take_vectors(a, "a", pairs, 0, dtype), _take_vectors(b, "b", pairs, 1, dtype)),
        _take_start(initial, pairs, dtype),
        take_epsilon(epsilon, pairs),
        _take_penalties(unbalanced),
        tolerance,
        iterations,
        threads,
        PointCosts(x, y, choice(metric, "metric", METRICS)),
        (given[0], given[1]),
        dtype,
        name,
        depth,
    )
    return carry_out(call, device)


def take_clouds(given: tuple[Any, Any], lengths: tuple[Any, Any]) -> Pairs:
    """Check two clouds, or batches of them, that go together."""
    xs, ys = (
        _validate.take_series(cloud, name, length, f"{name}_lengths", noun=NOUN)
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
