"""Partial transport: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import Array
from ._batch import Batch, is_plain_matrix
from ._errors import InfeasibleError, Status
from ._partial_result import PartialTransport
from ._pipeline import ResultCall, carry_out
from ._scalars import take_count, take_real
from ._transport import (
    _ONLY_CPU,
    _is_kept,
    _take_vectors,
    _word,
    repeated,
    take_epsilon,
    warn_of_unsolved,
)

# By how much more than there is the mass may be, as masses that are to be equal may differ.
_MOST_ABOVE = {"float64": 1e-6, "float32": 1e-4}


@dataclass(frozen=True, slots=True)
class _Call(ResultCall[PartialTransport]):
    """A call of `partial_transport`; weights are None, arrays or lists of them."""

    weights: tuple[Any, Any]
    mass: Any
    epsilon: Any
    tol: float
    max_iterations: int
    threads: int
    cost: Any
    given: Batch
    kept_lengths: tuple[Any, Any]

    @property
    def only_cpu(self) -> str:
        """Why no GPU takes the call."""
        return _ONLY_CPU

    def on_host(self) -> PartialTransport:
        """Solve on the CPU; raise for the first problem that has no solution."""
        (costs,) = self.inputs
        count = len(costs)
        if count == 0:
            nothing = np.empty((3, 0)), np.empty((1, 0), np.int64), np.empty(0, np.int32)
            return self._result([], [], *nothing)
        a, b = (each_vector(costs, given, axis) for axis, given in enumerate(self.weights))
        each_mass = np.array(np.broadcast_to(self.mass, count), np.float64)
        for problem in range(count):
            which = f"problem {problem}: " if costs.is_batch else ""
            at = f" at index ({problem},)" if np.ndim(self.mass) else ""
            there = min(
                1.0 if each is None else weight_mass(each[problem], name, which)
                for name, each in (("a", a), ("b", b))
            )
            if each_mass[problem] > there * (1 + _MOST_ABOVE[costs.dtype.name]):
                raise ValueError(
                    f"{which}mass: expected at most {there:.9g}, the lesser of the masses of "
                    f"a and b, got {each_mass[problem]:.9g}{at}"
                )
            each_mass[problem] = min(each_mass[problem], there)
        found = _core.partial_transport(
            costs.native(costs.dtype, is_plain_matrix),
            a,
            b,
            each_mass,
            np.ascontiguousarray(np.broadcast_to(self.epsilon, count), np.float64),
            self.tol,
            self.max_iterations,
            costs.native_lengths(0),
            costs.native_lengths(1),
            self.threads,
        )
        *_, places, status = found
        self._require_solved(places, status)
        return self._result(*found)

    def _require_solved(self, places: Array, status: Array) -> None:
        for problem in np.flatnonzero(status == Status.NAN).tolist():
            place = tuple(places[1:, problem].tolist())
            item = problem if self.given.is_batch else 0
            raise self.given.bad_value(item, place, "finite costs, or +inf to forbid a pair")
        for problem in np.flatnonzero(status == Status.INFEASIBLE).tolist():
            which = f"problem {problem}: " if self.inputs[0].is_batch else ""
            raise InfeasibleError(
                f"{which}the rows that have a finite cost against a column that has weight "
                "hold less than the mass"
            )

    def _result(
        self, f: list[Array], g: list[Array], sums: Array, places: Array, status: Array
    ) -> PartialTransport:
        (costs,) = self.inputs
        numbers: list[Any] = [*sums, places[0], status]
        sides: list[Any] = [f, g]
        if not costs.is_batch:
            sides = [side[0] for side in sides]
            numbers = [each[0] for each in numbers]
        elif costs.is_padded:
            sides = [padded(side, costs.room(axis) or 0, costs) for axis, side in enumerate(sides)]
        kept = (self.cost, *self.weights, self.mass, self.epsilon, self.tol, *self.kept_lengths)
        fields = [*sides, *numbers, *kept]
        return PartialTransport(*fields)

    def settle(self, found: PartialTransport, *, from_gpu: bool) -> PartialTransport:
        """Warn of what has not converged."""
        warn_of_unsolved(found, 6, "partial_transport")
        return found


def each_vector(costs: Batch, given: Any, axis: int) -> list[Array] | None:
    """Return a vector for each problem, cut to its length; None where there are none."""
    if given is None:
        return None
    vectors = []
    for problem, length in enumerate(costs.lengths[axis].tolist()):
        own = given[problem] if isinstance(given, list) or given.ndim == 2 else given
        vectors.append(np.ascontiguousarray(own[:length], costs.dtype))
    return vectors


def weight_mass(weights: Array, name: str, which: str) -> float:
    """Check weights, and return their mass; `which` names the problem in errors."""
    wrong = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
    if wrong.size:
        value = _word(float(weights[wrong[0]]))
        raise ValueError(
            f"{which}{name}: {value} at index ({wrong[0]},); expected finite weights of at least 0"
        )
    mass = float(weights.sum(dtype=np.float64))
    if not 0 < mass < np.inf:
        raise ValueError(f"{which}{name}: expected a finite mass above 0, got {mass:.9g}")
    return mass


def padded(vectors: list[Array], room: int, costs: Batch) -> Array:
    """Put vectors into rows of one array, and 0 past the end of each."""
    out = np.zeros((len(vectors), room), costs.dtype)
    for row, vector in zip(out, vectors, strict=True):
        row[: len(vector)] = vector
    return out


def partial_transport(
    cost: Any,
    a: Any,
    b: Any,
    mass: Any,
    epsilon: Any,
    tol: Any,
    max_iterations: Any,
    row_lengths: Any,
    col_lengths: Any,
    threads: Any,
    device: Any,
) -> PartialTransport:
    """Solve what `coalign.partial_transport` takes."""
    device = _execution.take_device(device)
    threads = _execution.thread_count(threads)
    iterations = take_count(max_iterations, "max_iterations")
    tolerance = take_real(tol, "tol", least=0)
    lengths = (row_lengths, "row_lengths"), (col_lengths, "col_lengths")
    given = _validate.take_matrices(cost, "cost", *lengths)
    costs = repeated(given, a, b)
    call = _Call(
        (costs,),
        tuple(
            _take_vectors(side, name, costs, axis)
            for axis, (name, side) in enumerate((("a", a), ("b", b)))
        ),
        take_epsilon(mass, costs, "mass"),
        take_epsilon(epsilon, costs),
        tolerance,
        iterations,
        threads,
        cost if _is_kept(cost) else given.data if given.is_batch else given.data[0],
        given,
        (
            None if row_lengths is None else costs.lengths[0],
            None if col_lengths is None else costs.lengths[1],
        ),
    )
    return carry_out(call, device)
