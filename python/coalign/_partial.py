"""Partial transport: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import Array
from ._batch import Batch, is_kept, is_plain_matrix
from ._errors import InfeasibleError
from ._partial_result import PartialTransport
from ._pipeline import ResultCall, carry_out
from ._scalars import take_count, take_real
from ._transport import (
    _ONLY_CPU,
    _take_vectors,
    _word,
    nothing,
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
    kept: tuple[Any, ...]
    given: Batch

    @property
    def only_cpu(self) -> str:
        """Why no GPU takes the call."""
        return _ONLY_CPU

    def on_host(self) -> PartialTransport:
        """Solve on the CPU; raise for the first problem that has no solution."""
        (costs,) = self.inputs
        if len(costs) == 0:
            return nothing(PartialTransport, costs, costs.dtype, self.kept)
        self._require_masses()
        found, wrong = _core.partial_transport(
            costs.native(costs.dtype, is_plain_matrix),
            *self.weights,
            self.mass,
            self.epsilon,
            self.tol,
            self.max_iterations,
            costs.native_lengths(0),
            costs.native_lengths(1),
            self.threads,
            None,
            self.kept,
        )
        if wrong is not None:
            raise self._error(*wrong)
        return found

    def _require_masses(self) -> None:
        """Check the weights of every problem, and that they hold its mass."""
        (costs,) = self.inputs
        each_mass = np.broadcast_to(self.mass, len(costs))
        for problem, mass in enumerate(each_mass.tolist()):
            which = f"problem {problem}: " if costs.is_batch else ""
            there = min(
                1.0
                if given is None
                else weight_mass(_own(costs, given, axis, problem), name, which)
                for axis, (name, given) in enumerate(zip("ab", self.weights, strict=True))
            )
            if mass > there * (1 + _MOST_ABOVE[costs.dtype.name]):
                at = f" at index ({problem},)" if np.ndim(self.mass) else ""
                raise ValueError(
                    f"{which}mass: expected at most {there:.9g}, the lesser of the masses of "
                    f"a and b, got {mass:.9g}{at}"
                )

    def _error(self, what: str, problem: int, row: int, column: int) -> ValueError:
        if what == "cost":
            item = problem if self.given.is_batch else 0
            wanted = "finite costs, or +inf to forbid a pair"
            return self.given.bad_value(item, (row, column), wanted)
        which = f"problem {problem}: " if self.inputs[0].is_batch else ""
        return InfeasibleError(
            f"{which}the rows that have a finite cost against a column that has weight "
            "hold less than the mass"
        )

    def settle(self, found: PartialTransport, *, from_gpu: bool) -> PartialTransport:
        """Warn of what has not converged."""
        warn_of_unsolved(found, 6, "partial_transport")
        return found


def _own(costs: Batch, given: Any, axis: int, problem: int) -> Array:
    """Return the weights of one problem, cut to its length."""
    own: Array = given[problem] if isinstance(given, list) or given.ndim == 2 else given
    return own[: costs.lengths[axis][problem]]


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
    weights = (_take_vectors(a, "a", costs, 0), _take_vectors(b, "b", costs, 1))
    each_mass, each_epsilon = take_epsilon(mass, costs, "mass"), take_epsilon(epsilon, costs)
    kept = (
        cost if is_kept(cost) else given.data if given.is_batch else given.data[0],
        *weights,
        each_mass,
        each_epsilon,
        tolerance,
        None if row_lengths is None else costs.lengths[0],
        None if col_lengths is None else costs.lengths[1],
    )
    options = (each_mass, each_epsilon, tolerance, iterations, threads)
    return carry_out(_Call((costs,), weights, *options, kept, given), device)
