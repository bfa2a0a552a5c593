"""What follows from the potentials of a transport result: plans, products, bounds and gradients."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import _core, _execution, _points, _transport
from ._arrays import (
    Array,
    compute_dtype,
    is_array,
    lies_on_gpu,
    same_kind,
    to_host,
    to_numpy,
)
from ._batch import Batch, is_plain_matrix
from ._errors import DeviceError
from ._points import Pairs, take_clouds
from ._scalars import take_flag
from ._transport_result import PointCosts
from ._validate import take_matrices


class TransportGradients(NamedTuple):
    """Derivatives of `value`, by the cost, and by the weights of the rows and the columns."""

    cost: Any
    a: Any
    b: Any


class PlanGradient(NamedTuple):
    """A derivative by the cost, and what is left of its linear system, relative to its size."""

    cost: Any
    residual: Any


class PointGradients(NamedTuple):
    """Derivatives of `value`, by the points of both clouds, and by their weights."""

    x: Any
    y: Any
    a: Any
    b: Any


class PointDivergence(NamedTuple):
    """A divergence of clouds, and its derivatives by their points."""

    value: Any
    x: Any
    y: Any


class Follower(ABC):
    """A result, and its costs, as native code takes them."""

    def __init__(self, found: Any, costs: Batch | Pairs, threads: int | None) -> None:
        self.found = found
        self.costs = costs
        self.threads = _execution.thread_count(threads)
        f = found.f
        arrays = f if isinstance(f, list) else [f]
        self.dtype = to_host(arrays[0]).dtype if arrays else np.dtype(np.float64)

    @abstractmethod
    def call(self, what: str, v: Any = None) -> Any:
        """Return the flat arrays of what is asked for, or None for a batch of no problems."""

    def part(self, side: Any, problem: int, count: int) -> Array:
        """Return the potentials or weights of one problem, in float64."""
        is_one = not isinstance(side, list) and np.ndim(to_host(side)) == 1
        return to_host(side if is_one else side[problem])[:count].astype(np.float64)

    def weights(self, given: Any, problem: int, count: int) -> Array:
        """Return the weights of one side of one problem, in float64."""
        return np.full(count, 1 / count) if given is None else self.part(given, problem, count)

    def shaped(self, flat: Any, *axes: int | list[int], filler: float = 0) -> Any:
        """Give a flat array the shape of the batch; an axis is one of the costs', or its counts."""
        costs = self.costs
        if flat is None:
            flat = np.empty(0, self.dtype)
        counts = [costs.lengths[axis].tolist() if isinstance(axis, int) else axis for axis in axes]
        shapes = list(zip(*counts, strict=True))
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        parts = [
            flat[end - math.prod(shape) : end].reshape(shape)
            for end, shape in zip(ends.tolist(), shapes, strict=True)
        ]
        wrap: Callable[[Any], Any] = costs.kind.wrap
        if not costs.is_padded:
            return [wrap(part) for part in parts] if costs.is_batch else wrap(parts[0])
        room = tuple(
            costs.room(axis) or 0 if isinstance(axis, int) else max(axis, default=1)
            for axis in axes
        )
        if all(shape == room for shape in shapes):
            return wrap(flat.reshape(len(costs), *room))
        out = np.full((len(costs), *room), filler, flat.dtype)
        for item, part in zip(out, parts, strict=True):
            item[tuple(map(slice, part.shape))] = part
        return wrap(out)

    def each(self, values: Any) -> Any:
        """Give numbers of each problem the shape of the batch."""
        if values is None:
            values = np.empty(0)
        return self.costs.kind.wrap(values if self.costs.is_batch else values[0])


class StoredFollower(Follower):
    """A result of `sinkhorn`."""

    costs: Batch

    def call(self, what: str, v: Any = None) -> Any:
        """Return the flat arrays of what is asked for, or None for a batch of no problems."""
        found, costs = self.found, self.costs
        if len(costs) == 0:
            return None
        vectors = [self._vectors(side) for side in (found.f, found.g, found.a, found.b)]
        epsilon = found.epsilon
        return _core.transport_plan(
            costs.native(self.dtype, is_plain_matrix),
            *vectors,
            epsilon if isinstance(epsilon, float) else np.ascontiguousarray(to_host(epsilon)),
            found.unbalanced,
            costs.native_lengths(0),
            costs.native_lengths(1),
            self.threads,
            what,
            v,
        )

    def _vectors(self, side: Any) -> Any:
        if side is None:
            return None
        if isinstance(side, (list, tuple)):
            return [np.ascontiguousarray(to_host(each), self.dtype) for each in side]
        return np.ascontiguousarray(to_host(side), self.dtype)


class PointFollower(Follower):
    """A result of `sinkhorn_points`; what follows from it is computed in float64."""

    costs: Pairs

    def call(self, what: str, v: Any = None) -> Any:
        """Return the flat arrays of what is asked for, or None for a batch of no problems."""
        found, costs = self.found, self.costs
        if len(costs) == 0:
            return None
        rows, columns = costs.lengths
        x, y = ([_wide(side.item(p)) for p in range(len(side))] for side in costs.sides)
        penalties = math.inf if found.unbalanced is None else found.unbalanced
        row, column = penalties if isinstance(penalties, tuple) else (penalties, penalties)
        out = _core.points_plan(
            x=x,
            y=y,
            a=self._vectors(found.a, rows),
            b=self._vectors(found.b, columns),
            f=self._vectors(found.f, rows),
            g=self._vectors(found.g, columns),
            metric=found.cost_matrix.metric,
            epsilon=_wide(np.broadcast_to(to_host(found.epsilon), len(costs))),
            row_penalty=row,
            column_penalty=column,
            threads=self.threads,
            what=what,
            v=None if v is None else self._products(v, columns if what == "apply" else rows),
        )
        is_narrow = what in ("plan", "apply", "apply_transposed")
        return out.astype(self.dtype, copy=False) if is_narrow else out

    def _vectors(self, side: Any, counts: Any) -> Any:
        if side is None:
            return None
        return [_wide(self.part(side, p, count)) for p, count in enumerate(counts.tolist())]

    def _products(self, v: Any, counts: Any) -> Any:
        items = v if self.costs.is_batch else [v]
        return [_wide(item[:count]) for item, count in zip(items, counts.tolist(), strict=True)]

    def by_points(self, axis: int) -> Any:
        """Return the derivatives of the values by the points of one side, of its shape."""
        side = self.costs.sides[axis]
        dimension = side.arrays[0].shape[-1] if side.arrays else 1
        flat = self.call(("by_x", "by_y")[axis])
        flat = None if flat is None else flat.astype(self.dtype, copy=False)
        out = self.shaped(flat, axis, [dimension] * len(self.costs))
        # (N,) stands for N points on a line.
        alone = [int(side.ndims[p if len(side) > 1 else 0]) == 1 for p in range(len(self.costs))]
        if isinstance(out, list):
            return [each[:, 0] if one else each for each, one in zip(out, alone, strict=True)]
        return out[..., 0] if alone and all(alone) and not self.costs.is_batch else out


def _wide(array: Any) -> Array:
    return np.ascontiguousarray(array, np.float64)


def follow(found: Any, name: str, threads: int | None = None) -> Follower:
    """Make a result and its costs ready for native code; `name` is the method that is called."""
    if any(lies_on_gpu(f) for f in (found.f if isinstance(found.f, list) else [found.f])):
        raise DeviceError(
            f"{name}: expected a result of arrays in host memory, got one of arrays on a GPU; "
            'give host arrays and device="cuda", and the result comes back'
        )
    if isinstance(found.cost_matrix, PointCosts):
        return follow_points(found, threads)
    lengths = (found.row_lengths, "row_lengths"), (found.col_lengths, "col_lengths")
    costs = take_matrices(found.cost_matrix, "cost", *lengths)
    # One matrix may have served a batch.
    return StoredFollower(found, _transport.repeated(costs, found.f), threads)


def follow_points(found: Any, threads: int | None = None) -> PointFollower:
    """Make a result of point clouds ready."""
    clouds = found.cost_matrix
    lengths = (found.row_lengths, found.col_lengths)
    pairs = take_clouds((clouds.x, clouds.y), lengths, on_gpu=False)
    return PointFollower(found, pairs, threads)


def plan(found: Any, what: str) -> Any:
    """Return the plan, or one with the exact marginals."""
    follower = follow(found, "feasible_plan" if what == "feasible" else what)
    return follower.shaped(follower.call(what), 0, 1)


def hard(found: Any) -> Any:
    """Return the column of each row that has most of it."""
    follower = follow(found, "hard")
    flat = follower.call("hard")
    return follower.shaped(np.empty(0, np.int64) if flat is None else flat, 0, filler=-1)


def bounds(found: Any) -> Any:
    """Return bounds of the least cost without regularisation."""
    follower = follow(found, "bounds")
    lower, upper = follower.call("bounds") or (None, None)
    return follower.each(lower), follower.each(upper)


def gradients(found: Any) -> TransportGradients | PointGradients:
    """Return the derivatives of the value."""
    follower = follow(found, "gradients")
    flat = follower.call("weights") or (None, None)
    by_weights = [
        follower.shaped(None if side is None else side.astype(follower.dtype), axis)
        for axis, side in enumerate(flat)
    ]
    if isinstance(follower, PointFollower):
        return PointGradients(follower.by_points(0), follower.by_points(1), *by_weights)
    return TransportGradients(follower.shaped(follower.call("plan"), 0, 1), *by_weights)


def plan_vjp(found: Any, seed: Any) -> PlanGradient:
    """Return the derivative of the sum of `seed` times plan."""
    follower = follow(found, "plan_vjp")
    if not isinstance(follower, StoredFollower):
        raise TypeError(
            "plan_vjp: expected a result of stored costs, got one of point clouds; "
            "solve sinkhorn on the matrix of their costs"
        )
    costs = follower.costs
    lengths = (found.row_lengths, "row_lengths"), (found.col_lengths, "col_lengths")
    seeds = take_matrices(seed, "seed", *(lengths if costs.is_padded else ((None, ""), (None, ""))))
    if costs.arrays and seeds.arrays:
        same_kind(costs.kind, seeds.kind, ("cost", "seed"))
    shapes = [[array.shape for array in each.arrays] for each in (costs, seeds)]
    if (costs.is_batch, costs.is_padded) != (seeds.is_batch, seeds.is_padded) or (
        shapes[0] != shapes[1]
    ):
        raise ValueError(
            f"seed: expected the shape of the cost, {_words(costs)}, got {_words(seeds)}"
        )
    flat, residual = follower.call("vjp", seeds.native(follower.dtype, is_plain_matrix)) or (
        None,
        None,
    )
    return PlanGradient(follower.shaped(flat, 0, 1), follower.each(residual))


def _words(batch: Batch) -> str:
    shapes = [array.shape for array in batch.arrays]
    return str(shapes if batch.is_batch and not batch.is_padded else shapes[0])


def apply(found: Any, v: Any, transpose: Any) -> Any:
    """Return the plan times vectors, or its transpose times vectors."""
    follower = follow(found, "apply")
    costs = follower.costs
    axis = 0 if take_flag(transpose, "transpose") else 1
    if isinstance(v, (list, tuple)) and any(is_array(item) for item in v):
        if costs.is_padded or not costs.is_batch:
            raise TypeError("v: expected an array like the cost, got a list of arrays")
        if len(v) != len(costs):
            raise ValueError(f"v: expected {len(costs)} arrays, got {len(v)}")
        given = [_take(item, f"v[{p}]", follower) for p, item in enumerate(v)]
        is_vector = [array.ndim == 1 for array in given]
        for p, array in enumerate(given):
            _require(array, f"v[{p}]", (1, 2), int(costs.lengths[axis][p]), 0)
        items: Any = [array if array.ndim == 2 else array[:, np.newaxis] for array in given]
    else:
        array = _take(v, "v", follower)
        if costs.is_padded and array.ndim > 1:
            _require(array, "v", (2, 3), costs.room(axis) or 0, 1)
            if len(array) != len(costs):
                raise ValueError(f"v: expected {len(costs)} problems, got {len(array)}")
            is_vector = [array.ndim == 2]
            items = array if array.ndim == 3 else array[..., np.newaxis]
        else:
            ndims = (1,) if costs.is_batch else (1, 2)
            for count in sorted({*costs.lengths[axis].tolist()} if not costs.is_padded else []):
                _require(array, "v", ndims, count, 0)
            if costs.is_padded:
                _require(array, "v", ndims, costs.room(axis) or 0, 0)
            is_vector = [array.ndim == 1]
            items = array if array.ndim == 2 else array[:, np.newaxis]
            if costs.is_padded:
                items = np.broadcast_to(items, (len(costs), *items.shape))
            elif costs.is_batch:
                items, is_vector = [items] * len(costs), [True] * len(costs)
    flat = follower.call("apply" if axis == 1 else "apply_transposed", items)
    many = [items.shape[-1]] if not costs.is_batch else [item.shape[-1] for item in items]
    out = follower.shaped(flat, 1 - axis, many)
    if isinstance(out, list):
        return [each[:, 0] if alone else each for each, alone in zip(out, is_vector, strict=True)]
    return out[..., 0] if is_vector[0] else out


def _take(v: Any, name: str, follower: Follower) -> Array:
    array, kind = to_numpy(v, name)
    if is_array(v) and follower.costs.arrays:
        same_kind(follower.costs.kind, kind, (follower.costs.name, name))
    return np.ascontiguousarray(array, follower.dtype)


def _require(array: Array, name: str, ndims: tuple[int, ...], count: int, axis: int) -> None:
    if array.ndim not in ndims or array.shape[axis] != count:
        listed = " or ".join(f"{ndim}-D" for ndim in ndims)
        raise ValueError(
            f"{name}: expected a {listed} array of {count} along axis {axis}, "
            f"got shape {array.shape}"
        )


def divergence(
    given: tuple[Any, Any, Any],
    weights: tuple[Any, Any],
    options: tuple[Any, Any, Any, Any, Any],
    lengths: tuple[Any, Any],
    where: tuple[Any, Any],
) -> Any:
    """Return the value between two sets less the means of those within each."""
    names = ("cost_xy", "cost_xx", "cost_yy")
    pairs = ((0, 1), (0, 0), (1, 1))
    sides = (lengths[0], "row_lengths"), (lengths[1], "col_lengths")
    batches = [
        take_matrices(cost, name, sides[x], sides[y])
        for cost, name, (x, y) in zip(given, names, pairs, strict=True)
    ]
    for within, axis in zip(batches[1:], (0, 1), strict=True):
        _require_squares(batches[0], within, axis)
    dtype = compute_dtype(*(array for batch in batches for array in batch.arrays))
    values = []
    for cost, name, (x, y) in zip(given, names, pairs, strict=True):
        found = _transport.sinkhorn(
            cost,
            weights[x],
            weights[y],
            *options,
            lengths[x],
            lengths[y],
            *where,
            name=name,
            dtype=dtype,
            depth=1,
        )
        follower = follow(found, "value", where[0])
        values.append(follower.each(dual_values(follower)))
    return values[0] - values[1] / 2 - values[2] / 2


def sinkhorn_divergence_points(
    x: Any,
    y: Any,
    a: Any,
    b: Any,
    epsilon: Any,
    metric: Any,
    tol: Any,
    max_iterations: Any,
    x_lengths: Any,
    y_lengths: Any,
    gradients: Any,
    threads: Any,
    device: Any,
) -> Any:
    """Return the value between two clouds less the means of those within each."""
    given, weights, lengths = (x, y), (a, b), (x_lengths, y_lengths)
    wants_gradients = take_flag(gradients, "gradients")
    pairs = take_clouds(given, lengths)
    # One cloud is solved within itself as often as there is an epsilon.
    many = np.size(to_host(epsilon)) if is_array(epsilon) or isinstance(epsilon, list) else 0
    found = []
    for one, other in ((0, 1), (0, 0), (1, 1)):
        first, second = (
            [given[side]] * many
            if one == other and many and not pairs.sides[side].is_batch
            else given[side]
            for side in (one, other)
        )
        solved = _points.sinkhorn_points(
            first,
            second,
            weights[one],
            weights[other],
            epsilon,
            metric,
            None,
            tol,
            max_iterations,
            None,
            lengths[one],
            lengths[other],
            threads,
            device,
            name="sinkhorn_divergence_points",
            dtype=pairs.dtype,
            depth=1,
        )
        found.append(follow_points(solved, threads))
    between, *within = found
    duals = (each.call("dual") for each in found)
    values, *own = (np.empty(0) if each is None else each for each in duals)
    # Below 0 is what rounding and the error that is left may take it to.
    value = between.each(np.maximum(values - own[0] / 2 - own[1] / 2, 0.0))
    if not wants_gradients:
        return value
    slopes = (_less(between.by_points(k), within[k].by_points(k)) for k in (0, 1))
    return PointDivergence(value, *slopes)


def _less(between: Any, within: Any) -> Any:
    """Subtract derivatives, which are arrays, or lists for lists; one may go with many."""
    if not isinstance(between, list):
        if isinstance(within, list):
            within = np.stack(within)
        return between - within
    parts = within if isinstance(within, list) else [within] * len(between)
    return [one - other for one, other in zip(between, parts, strict=True)]


def _require_squares(between: Batch, within: Batch, axis: int) -> None:
    """Check that costs within a set are of the shapes that the costs between two ask for."""
    name = within.name
    if within.arrays and between.arrays:
        same_kind(between.kind, within.kind, (between.name, name))
    forms = [(each.is_batch, each.is_padded, len(each)) for each in (between, within)]
    if forms[0] != forms[1]:
        raise ValueError(f"{between.name} and {name}: expected batches of one form and size")
    for problem, array in enumerate(within.arrays):
        room = between.room(axis)
        count = int(between.lengths[axis][problem]) if room is None else room
        if array.shape[-2:] != (count, count):
            which = name if room is not None else f"{name}[{problem}]"
            raise ValueError(f"{which}: expected shape {(count, count)}, got {array.shape[-2:]}")


def dual_values(follower: Follower) -> Array:
    """Return the values of the duals: those of the objective but for the square of the error."""
    found, costs = follower.found, follower.costs
    values = np.empty(len(costs))
    rows, columns = (costs.lengths[axis].tolist() for axis in (0, 1))
    ones = [np.ones((count, 1), follower.dtype) for count in columns]
    alone = ones if costs.is_batch else ones[0]
    if costs.is_padded:
        alone = np.ones((len(costs), costs.room(1) or 0, 1), follower.dtype)
    sums = follower.call("apply", alone)
    parts = [] if sums is None else np.split(sums.astype(np.float64), np.cumsum(rows)[:-1])
    epsilons = np.broadcast_to(to_host(found.epsilon), len(costs))
    for p, (part, epsilon) in enumerate(zip(parts, epsilons.tolist(), strict=True)):
        value, masses = 0.0, []
        for side, given, count in ((found.f, found.a, rows[p]), (found.g, found.b, columns[p])):
            weights = follower.weights(given, p, count)
            has_some = weights > 0
            potentials = follower.part(side, p, count)[has_some] - epsilon * np.log(
                weights[has_some]
            )
            # A BLAS may add up in an order that depends on its threads.
            value += float((weights[has_some] * potentials).sum())
            masses.append(float(weights.sum()))
        values[p] = value - epsilon * float(part.sum()) + epsilon * masses[0] * masses[1]
    return values
