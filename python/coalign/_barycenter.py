"""Entropic barycenters: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import compute_dtype, same_kind
from ._barycenter_result import SinkhornBarycenter
from ._batch import Batch, is_plain_matrix
from ._errors import InfeasibleError
from ._partial import weight_mass
from ._pipeline import ResultCall, carry_out
from ._scalars import take_count, take_real
from ._transport import _ONLY_CPU, _take_vectors, take_epsilon, warn_of_unsolved

# Half precision is computed in float32, and rounds sums that are 1 by up to 5e-4.
_MOST_APART = {"float64": 1e-6, "float32": 1e-3}


@dataclass(frozen=True, slots=True)
class _Call(ResultCall[SinkhornBarycenter]):
    """A call of `sinkhorn_barycenter`; weights are None, an array or a list of them."""

    weights: Any
    epsilon: Any
    tol: float
    max_iterations: int
    threads: int

    @property
    def only_cpu(self) -> str:
        """Why no GPU takes the call."""
        return _ONLY_CPU

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the result."""
        return compute_dtype(*(array for side in self.inputs for array in side.arrays))

    @property
    def batch(self) -> Batch:
        """The side that says how many problems there are, and how they come."""
        histograms, costs = self.inputs
        return histograms if histograms.is_batch else costs

    def on_host(self) -> SinkhornBarycenter:
        """Solve on the CPU; raise for the first problem that has no solution."""
        histograms, costs = self.inputs
        if len(self.batch) == 0:
            return self._nothing()
        histograms.require_all(
            lambda array: (array >= 0) & (array < np.inf), "finite weights of at least 0"
        )
        for problem in range(len(histograms)):
            self._require_masses(problem)
            self._require_weights(problem)
        found, wrong = _core.sinkhorn_barycenter(
            histograms.native(self.dtype, is_plain_matrix),
            costs.native(self.dtype, is_plain_matrix),
            self.weights,
            self.epsilon,
            self.tol,
            self.max_iterations,
            self.threads,
            None,
            True,
        )
        if wrong is not None:
            raise self._error(*wrong)
        return found

    def _require_masses(self, problem: int) -> None:
        histograms, _ = self.inputs
        which = f"problem {problem}: " if histograms.is_batch else ""
        masses = histograms.item(problem).sum(axis=1, dtype=np.float64)
        is_apart = np.abs(masses - masses[0]) > _MOST_APART[self.dtype.name] * masses[0]
        for is_wrong, wanted in (
            (~((masses > 0) & (masses < np.inf)), "histograms of a finite mass above 0"),
            (is_apart, f"histograms of equal mass, which is {masses[0]:.9g} at index (0,)"),
        ):
            for k in np.flatnonzero(is_wrong)[:1].tolist():
                raise ValueError(
                    f"{which}a: expected {wanted}, got {masses[k]:.9g} at index ({k},)"
                )

    def _require_weights(self, problem: int) -> None:
        given = self.weights
        if given is None:
            return
        own = given[problem] if isinstance(given, list) or given.ndim == 2 else given
        which = f"problem {problem}: " if self.inputs[0].is_batch else ""
        weight_mass(own, "weights", which)

    def _error(self, what: str, problem: int, row: int, column: int, histogram: int) -> ValueError:
        _, costs = self.inputs
        if what == "cost":
            item = problem if len(costs) > 1 else 0
            return costs.bad_value(item, (row, column), "finite costs, or +inf to forbid a pair")
        which = f"problem {problem}: " if self.batch.is_batch else ""
        return InfeasibleError(
            f"{which}row {row} has weight in histogram {histogram}, and no finite cost "
            "against a column that all histograms reach"
        )

    def _nothing(self) -> SinkhornBarycenter:
        """Return the result of a batch of no problems."""
        weights: Any = []
        if not any(side.is_batch and not side.is_padded for side in self.inputs):
            weights = np.empty((0, self.inputs[1].room(1) or 0), self.dtype)
        sums = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int32)
        return SinkhornBarycenter(weights, *sums, self.tol)

    def settle(self, found: SinkhornBarycenter, *, from_gpu: bool) -> SinkhornBarycenter:
        """Warn of what has not converged."""
        warn_of_unsolved(found, 6, "sinkhorn_barycenter")
        return found


def sinkhorn_barycenter(
    a: Any,
    cost: Any,
    weights: Any,
    epsilon: Any,
    tol: Any,
    max_iterations: Any,
    threads: Any,
    device: Any,
) -> SinkhornBarycenter:
    """Solve what `coalign.sinkhorn_barycenter` takes."""
    device = _execution.take_device(device)
    threads = _execution.thread_count(threads)
    iterations = take_count(max_iterations, "max_iterations")
    tolerance = take_real(tol, "tol", least=0)
    no_lengths = (None, "row_lengths"), (None, "col_lengths")
    histograms = _validate.take_matrices(a, "a", *no_lengths)
    costs = _validate.take_matrices(cost, "cost", *no_lengths)
    if histograms.arrays and costs.arrays:
        same_kind(histograms.kind, costs.kind, ("a", "cost"))
    call = _Call(
        (histograms, costs),
        _take_vectors(weights, "weights", histograms, 0, np.float64),
        take_epsilon(epsilon, histograms if histograms.is_batch else costs),
        tolerance,
        iterations,
        threads,
    )
    for problem in range(_validate.require_pairs(histograms, costs)):
        one, other = (problem if len(side) > 1 else 0 for side in (histograms, costs))
        columns, rows = histograms.lengths[1][one], costs.lengths[0][other]
        if columns != rows:
            name = "cost" if costs.is_padded or not costs.is_batch else f"cost[{other}]"
            raise ValueError(
                f"{name}: expected a row for each of the {columns} weights of a histogram, "
                f"got {rows} rows"
            )
    return carry_out(call, device)
