"""The general way of transport calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import is_array, on_host, same_kind, take_array, to_host, to_numpy
from ._batch import Batch, Shapes, is_kept, is_plain_matrix
from ._cuda_transport import COSTS_PER_BLOCK, solve
from ._device import DeviceArray, Gpu
from ._errors import ConvergenceWarning, InfeasibleError, Status
from ._pipeline import AnyResult, ResultCall, carry_out
from ._progress import Progress, reporter
from ._scalars import take_count
from ._transport_result import Transport

_ONLY_CPU = 'device: "cuda" does not compute this kind of transport; the CPU does'
# The reciprocal of a smaller epsilon is infinite.
_LEAST = float(np.finfo(np.float64).tiny)
REFUSED = (Status.NAN, Status.INFEASIBLE, Status.INVALID)


@dataclass(frozen=True, slots=True)
class _Call(ResultCall[Transport]):
    """A call of `sinkhorn`; `weights` and `initial` are as native code takes them."""

    weights: tuple[Any, Any]
    initial: tuple[Any, Any] | None
    epsilon: Any
    unbalanced: Any
    tol: float
    max_iterations: int
    threads: int
    kept: tuple[Any, ...]
    dtype: np.dtype[Any]
    depth: int
    given: Batch
    report: Callable[[int], None] | None

    @property
    def costs(self) -> Batch:
        """The costs of all problems."""
        return self.inputs[0]

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        return _ONLY_CPU if self.depth > 0 else None

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        # A block has work for some microseconds an iteration with half of what it can take.
        cells = sum(math.prod(array.shape) for array in self.costs.arrays)
        return _execution.repays_gpu(2 * cells // COSTS_PER_BLOCK, cells, 4e6)

    def on_host(self) -> Transport:
        """Solve on the CPU; raise for the first problem that has no solution."""
        costs = self.costs
        if len(costs) == 0:
            return nothing(Transport, costs, self.dtype, self.kept)
        found, wrong = _core.sinkhorn(
            costs.native(self.dtype, is_plain_matrix),
            *self.weights,
            self.epsilon,
            self.unbalanced,
            self.tol,
            self.max_iterations,
            self.initial,
            costs.native_lengths(0),
            costs.native_lengths(1),
            self.threads,
            None,
            self.report,
            self.kept,
        )
        if wrong is not None:
            raise self._error(*wrong)
        return found

    def on_gpu(self, gpu: Gpu) -> Transport:
        """Queue every problem on the caller's stream."""
        names = Transport._fields[len(Transport._fields) - len(self.kept) :]
        return Transport(**solve(self, gpu), **dict(zip(names, self.kept, strict=True)))

    def _error(self, what: str, problem: int, row: int, column: int) -> ValueError:
        costs = self.costs
        which = f"problem {problem}: " if costs.is_batch else ""
        if what == "cost":
            wanted = "finite costs, or +inf to forbid a pair"
            given = self.given
            return given.bad_value(problem if given.is_batch else 0, (row, column), wanted)
        if what == "infeasible":
            side, index, other = ("row", row, "column") if row >= 0 else ("column", column, "row")
            return InfeasibleError(
                f"{which}{side} {index} has weight, and no finite cost "
                f"against a {other} that has weight"
            )
        return weight_error(costs, self.weights, what, problem, row if row >= 0 else column)

    def settle(self, found: Transport, *, from_gpu: bool) -> Transport:
        """Raise for the first problem without a solution; warn of what has not converged."""
        if from_gpu and np.isin(found.status, REFUSED).any():
            # The CPU finds what is wrong, and where.
            self.on_host()
        warn_of_unsolved(found, 6 + self.depth)
        return found


def nothing(
    kind: Callable[..., AnyResult], costs: Shapes, dtype: np.dtype[Any], kept: tuple[Any, ...]
) -> AnyResult:
    """Return the result of a batch of no problems."""
    sides: list[Any] = [
        [] if not costs.is_padded else np.empty((0, costs.room(axis) or 0), dtype)
        for axis in (0, 1)
    ]
    sums = (np.empty(0), np.empty(0), np.empty(0))
    return kind(*sides, *sums, np.empty(0, np.int64), np.empty(0, np.int32), *kept)


def weight_error(
    costs: Shapes, given: tuple[Any, Any], what: str, problem: int, index: int
) -> ValueError:
    """Word what is wrong with the weights of a problem: one of them, a mass, or both masses."""
    which = f"problem {problem}: " if costs.is_batch else ""

    def weights(axis: int) -> Any:
        one = given[axis]
        each = one[problem] if isinstance(one, list) or one.ndim == 2 else one
        return each[: costs.lengths[axis][problem]]

    def mass(axis: int) -> float:
        if given[axis] is None:
            return 1.0
        with np.errstate(over="ignore"):
            return float(weights(axis).sum(dtype=np.float64))

    if what == "masses":
        return ValueError(
            f"{which}a and b: expected equal masses, got {mass(0):.9g} and {mass(1):.9g}; "
            "scale one of them, or pass unbalanced"
        )
    axis = 0 if what.endswith("a") else 1
    name = "ab"[axis]
    if what.startswith("mass"):
        return ValueError(f"{which}{name}: expected a finite mass above 0, got {mass(axis):.9g}")
    value = weights(axis)[index].item()
    found = "NaN" if math.isnan(value) else str(value)
    if isinstance(given[axis], list):
        name, place = f"{name}[{problem}]", f"({index},)"
    else:
        place = f"({problem}, {index})" if given[axis].ndim == 2 else f"({index},)"
    return ValueError(f"{name}: {found} at index {place}; expected finite weights of at least 0")


def warn_of_unsolved(found: Any, stacklevel: int, name: str = "sinkhorn") -> None:
    """Warn once of the problems that are not as close to their marginals as was asked."""
    status = np.atleast_1d(to_host(found.status))
    parts = []
    late = np.count_nonzero(status == Status.NOT_CONVERGED)
    if late:
        parts.append(f"{late} of {status.size} problems need more iterations (NOT_CONVERGED)")
    rounded = np.count_nonzero(status == Status.PRECISION_LIMIT)
    if rounded:
        parts.append(
            f"{rounded} of {status.size} problems are as exact as their dtype allows, "
            "and no closer to their marginals (PRECISION_LIMIT)"
        )
    if parts:
        error = float(np.max(to_host(found.marginal_error)))
        warnings.warn(
            f"{name}: {'; '.join(parts)}; "
            f"the greatest marginal error is {error:.3g}, and tol is {found.tol:.3g}",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def sinkhorn(
    cost: Any,
    a: Any,
    b: Any,
    epsilon: Any,
    unbalanced: Any,
    tol: Any,
    max_iterations: Any,
    initial: Any,
    row_lengths: Any,
    col_lengths: Any,
    threads: Any,
    device: Any,
    progress: Progress = False,
    *,
    name: str = "cost",
    dtype: Any = None,
    depth: int = 0,
) -> Transport:
    """Solve what `coalign.sinkhorn` takes; raise for the first problem that has no solution.

    Costs that have another name come from a function so many calls deeper, which may say what dtype
    to compute in.
    """
    device = _execution.take_device(device)
    threads = _execution.thread_count(threads)
    iterations = take_count(max_iterations, "max_iterations")
    tolerance = _take_number(tol, "tol")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tol: expected a finite number of at least 0, got {_word(tolerance)}")
    penalties = _take_penalties(unbalanced)
    lengths = (row_lengths, "row_lengths"), (col_lengths, "col_lengths")
    given = _validate.take_matrices(cost, name, *lengths, on_gpu=depth == 0)
    costs = repeated(given, a, b)
    each = take_epsilon(epsilon, costs)
    dtype = costs.dtype if dtype is None else dtype
    weights = (_take_vectors(a, "a", costs, 0, dtype), _take_vectors(b, "b", costs, 1, dtype))
    kept = (
        cost if is_kept(cost) else given.data if given.is_batch else given.data[0],
        *map(owned, weights),
        each,
        penalties,
        tolerance,
        None if row_lengths is None else costs.lengths[0],
        None if col_lengths is None else costs.lengths[1],
    )
    start = _take_initial(initial, costs, dtype)
    options = (each, penalties, tolerance, iterations, threads)
    with reporter(progress, len(costs) if costs.is_batch else iterations, "sinkhorn") as report:
        call = _Call((costs,), weights, start, *options, kept, dtype, depth, given, report)
        return carry_out(call, device)


def repeated(costs: Batch, *sides: Any) -> Batch:
    """Let one matrix serve a batch, uncopied, where a side has a vector for each problem."""
    if costs.is_batch:
        return costs
    (matrix,) = costs.arrays
    for side in sides:
        data: Any
        if isinstance(side, (list, tuple)) and any(map(is_array, side)):
            data = [matrix] * (count := len(side))
        elif _axes(side) == 2:
            count = len(side)
            if isinstance(matrix, DeviceArray):
                strides = (0, *matrix.strides)
                data = replace(matrix, shape=(count, *matrix.shape), strides=strides)
            else:
                data = np.broadcast_to(matrix, (count, *matrix.shape))
        else:
            continue
        lengths = tuple(np.full(count, length, np.int64) for length in matrix.shape)
        return Batch(costs.name, data, lengths, costs.kind, True, np.broadcast_to(2, count))
    return costs


def _axes(side: Any) -> int:
    """Return how many axes an argument has; 0 where it is no array, nor becomes one."""
    if side is None or hasattr(side, "ndim"):
        return getattr(side, "ndim", 0)
    try:
        return np.ndim(side)
    except (TypeError, ValueError):
        return 0


def _take_number(value: Any, name: str) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}") from None
    except OverflowError:
        raise ValueError(f"{name}: expected a number that a float can hold") from None


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:g}"


def take_epsilon(epsilon: Any, costs: Shapes, name: str = "epsilon") -> Any:
    """Check the regularisation, or another number above 0, or one for each problem of a batch."""
    if (is_array(epsilon) or isinstance(epsilon, (list, tuple))) and np.ndim(on_host(epsilon)) > 0:
        values = to_numpy(epsilon, name)[0].astype(np.float64)
        if not costs.is_batch or values.shape != (len(costs),):
            wanted = f"a number, or shape ({len(costs)},)" if costs.is_batch else "a number"
            raise ValueError(f"{name}: expected {wanted}, got shape {values.shape}")
        wrong = np.flatnonzero(~((values >= _LEAST) & (values < np.inf)))
        if wrong.size:
            value = float(values[wrong[0]])
            raise ValueError(
                f"{name}: {_word(value)} at index ({wrong[0]},); "
                f"expected finite numbers {_above(value)}"
            )
        return np.ascontiguousarray(values)
    number = _take_number(epsilon, name)
    if not _LEAST <= number < math.inf:
        raise ValueError(f"{name}: expected a finite number {_above(number)}, got {_word(number)}")
    return number


def _above(value: float) -> str:
    return f"of at least {_LEAST:.3g}" if 0 < value < _LEAST else "above 0"


def _take_penalties(unbalanced: Any) -> float | tuple[float, float] | None:
    """Check what divergences from the marginals cost: None, one number, or two."""
    if unbalanced is None:
        return None
    given = tuple(unbalanced) if isinstance(unbalanced, (list, tuple)) else (unbalanced,)
    if isinstance(unbalanced, (list, tuple)) and len(given) != 2:
        raise ValueError(f"unbalanced: expected a number or a pair, got {len(given)} numbers")
    values = [_take_number(value, "unbalanced") for value in given]
    for value in values:
        if not value > 0:
            raise ValueError(f"unbalanced: expected a number above 0, got {_word(value)}")
    return values[0] if len(values) == 1 else (values[0], values[1])


def _take_vectors(given: Any, name: str, costs: Shapes, axis: int, dtype: Any = None) -> Any:
    """Check vectors beside the rows or the columns: None, an array, or a list for a list."""
    dtype = costs.dtype if dtype is None else dtype
    if given is None:
        return None
    if isinstance(given, (list, tuple)) and any(is_array(item) for item in given):
        return _take_listed(given, name, costs, axis, dtype)
    array = _take_vector(given, name, costs, dtype)
    if costs.is_padded or not costs.is_batch:
        room = costs.room(axis)
        shapes = [(room,), (len(costs), room)] if costs.is_batch else [(room,)]
        if array.shape not in shapes:
            wanted = " or ".join(map(str, shapes))
            raise ValueError(f"{name}: expected shape {wanted}, got {array.shape}")
        return array
    for problem, count in enumerate(costs.lengths[axis].tolist()):
        if array.shape != (count,):
            raise ValueError(
                f"{name}: expected a list of {len(costs)} vectors, or one of shape ({count},) "
                f"as {costs.name}[{problem}] has, got shape {array.shape}"
            )
    return [array] * len(costs)


def _take_listed(given: Any, name: str, costs: Shapes, axis: int, dtype: Any) -> Any:
    if not costs.is_batch or costs.is_padded:
        raise TypeError(f"{name}: expected an array like {costs.name}, got a list of arrays")
    if len(given) != len(costs):
        raise ValueError(f"{name}: expected a list of {len(costs)} vectors, got {len(given)}")
    vectors = []
    for problem, item in enumerate(given):
        array = _take_vector(item, f"{name}[{problem}]", costs, dtype)
        count = int(costs.lengths[axis][problem])
        if array.shape != (count,):
            raise ValueError(f"{name}[{problem}]: expected shape ({count},), got {array.shape}")
        vectors.append(array)
    return vectors


def _take_vector(given: Any, name: str, costs: Shapes, dtype: Any) -> Any:
    """Take an array beside costs, without gaps: on their GPU if they lie on one."""
    array, kind = (to_numpy if costs.kind.gpu is None else take_array)(given, name)
    if is_array(given) and costs.arrays:
        same_kind(costs.kind, kind, (costs.name, name))
    if isinstance(array, DeviceArray):
        return array.library.describe(array.library.contiguous(array.owner, dtype))
    return np.ascontiguousarray(array, dtype)


def owned(vectors: Any) -> Any:
    """Return vectors as the arrays of the caller's library."""
    if isinstance(vectors, list):
        return [owned(vector) for vector in vectors]
    return vectors.owner if isinstance(vectors, DeviceArray) else vectors


def _take_initial(initial: Any, costs: Batch, dtype: Any) -> tuple[Any, Any] | None:
    """Check potentials to start from."""
    if initial is None:
        return None
    if isinstance(initial, Transport):
        initial = (initial.f, initial.g)
    if not isinstance(initial, (list, tuple)) or len(initial) != 2:
        raise TypeError(f"initial: expected a Transport or (f, g), got {type(initial).__name__}")
    f, g = initial
    sides = (
        _take_vectors(f, "initial f", costs, 0, dtype),
        _take_vectors(g, "initial g", costs, 1, dtype),
    )
    if sides[0] is None or sides[1] is None:
        raise TypeError("initial: expected both f and g, got None")
    for name, side in zip("fg", sides, strict=True):
        for problem, vector in enumerate(side if isinstance(side, list) else [side]):
            # On a GPU what is no number is taken as 0, as nobody waits for it.
            if isinstance(vector, np.ndarray):
                _require_potentials(vector, f"initial {name}", problem, costs)
    return sides


def _require_potentials(vectors: Any, name: str, problem: int, costs: Batch) -> None:
    """Refuse NaN and +inf, which no potential is; padding is not looked at."""
    is_wrong = np.isnan(vectors) | np.isposinf(vectors)
    if vectors.ndim == 2:
        lengths = costs.lengths[0 if name.endswith("f") else 1]
        is_wrong &= np.arange(vectors.shape[1]) < lengths[:, None]
    wrong = np.argwhere(is_wrong)
    if wrong.size:
        place = tuple(map(int, wrong[0]))
        word = "NaN" if np.isnan(vectors[place]) else "inf"
        at = f"({place[0]},)" if len(place) == 1 else str(place)
        which = f"{name}[{problem}]" if costs.is_batch and not costs.is_padded else name
        raise ValueError(f"{which}: {word} at index {at}; expected numbers, or -inf without weight")
