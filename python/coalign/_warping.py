"""The general way of warping calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _cuda_warping, _execution, _validate
from ._arrays import Array, Kind, is_array, lies_on_gpu, to_host
from ._cuda_warping import Side
from ._device import DeviceArray, Gpu
from ._errors import DeviceError, InfeasibleError, Status
from ._progress import Progress, reporter
from ._result import in_kind
from ._scalars import as_integer, choice, take_max_cost, take_radius
from ._validate import MatrixBatch, SeriesBatch
from ._warping_result import Warping
from ._windows import Window, slanted

METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine", "precomputed")
STEPS = ("symmetric1",)


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of a call."""

    metric: str
    window: Window
    max_cost: float
    threads: int
    device: str | None

    @classmethod
    def take(
        cls, metric: Any, window: Window, step: Any, max_cost: Any, threads: Any, device: Any
    ) -> Options:
        """Check the options as the user gave them."""
        device = _execution.take_device(device)
        choice(step, "step", STEPS)
        return cls(
            choice(metric, "metric", METRICS),
            window,
            take_max_cost(max_cost),
            _execution.thread_count(threads),
            device,
        )

    def limit(self, dtype: np.dtype[Any]) -> float:
        """Return `max_cost` in the dtype of the costs; what overflows it limits nothing."""
        with np.errstate(over="ignore"):
            return float(np.float64(self.max_cost).astype(dtype))

    def native(self, window: tuple[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
        """Return the keyword arguments that both native entries share."""
        return {
            "dtype": dtype.name,
            "metric": self.metric,
            "window": window,
            "max_cost": self.limit(dtype),
            "threads": self.threads,
            "isa": _execution.selected(),
            "work_per_thread": _execution.forced_or(
                "work_per_thread", _core.warping_work_per_thread
            ),
        }


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of series; one series against a batch is paired with each of its items."""

    xs: SeriesBatch
    ys: SeriesBatch
    n: npt.NDArray[np.int64]
    m: npt.NDArray[np.int64]
    dtype: np.dtype[Any]

    @classmethod
    def take(cls, x: Any, y: Any, x_lengths: Any, y_lengths: Any) -> Pairs:
        """Check both sides."""
        if y is None:
            raise TypeError(
                'y: expected an array, got None; only metric="precomputed" goes without'
            )
        xs = _validate.take_series(x, "x", x_lengths, "x_lengths")
        ys = _validate.take_series(y, "y", y_lengths, "y_lengths")
        _validate.require_like(xs, ys)
        n, m = xs.lengths, ys.lengths
        if xs.is_batch and not ys.is_batch:
            m = np.resize(m, n.shape)
        elif ys.is_batch and not xs.is_batch:
            n = np.resize(n, m.shape)
        elif len(xs) != len(ys):
            raise ValueError(f"x and y: expected batches of one size, got {len(xs)} and {len(ys)}")
        return cls(xs, ys, n, m, np.result_type(xs.dtype, ys.dtype))

    @property
    def kind(self) -> Kind:
        """The kind that the results take."""
        return self.xs.kind

    @property
    def is_batch(self) -> bool:
        """Whether the results have a batch axis."""
        return self.xs.is_batch or self.ys.is_batch

    def run(self, options: Options, path: bool) -> Warping:
        """Compute every problem."""
        window = _native_window(options.window, self.n, self.m)
        gpu = _execution.choose_gpu(options.device, self.kind.gpu, self.xs.name)
        if len(self.n) == 0 and self.kind.gpu is None:
            return _nothing(self.dtype, path)
        if gpu is not None:
            return self._run_on(gpu, options, window, path)
        x, x_lengths = self.xs.native(self.dtype)
        y, y_lengths = self.ys.native(self.dtype)
        if not self.is_batch:
            x, y = x[0], y[0]
        elif not self.xs.is_batch:
            x = x[0]
        elif not self.ys.is_batch:
            y = y[0]
        try:
            return _call(options, window, path, x, y, x_lengths, y_lengths)
        except _core.NotFiniteError as error:
            raise _not_finite(error.args, self.xs, self.ys) from None

    def _run_on(self, gpu: Gpu, options: Options, window: tuple[str, Any], path: bool) -> Warping:
        """Compute every problem on a GPU; what came from the host goes back to it."""
        if len(self.n) == 0:
            empty = [gpu.empty((0,), dtype).owner for dtype in (self.dtype, np.int32)]
            shapes = ((0, 0), (0, 0), (0,)) if path else ()
            paths = [gpu.empty(shape, np.int64).owner for shape in shapes] or [None] * 3
            return Warping(empty[0], *paths[:2], empty[1], self.n, self.m, paths[2])
        found = _cuda_warping.run_pairs(
            self.xs, self.ys, self.n, self.m, self.dtype, options, window, path, gpu
        )

        def finish(values: Any) -> Any:
            return values if self.is_batch or values is None else values[0]

        parts = (found.cost, found.x_index, found.y_index, found.status, found.path_length)
        if self.kind.gpu is not None:
            cost, x_index, y_index, status, path_length = (
                finish(None if part is None else part.owner) for part in parts
            )
            n, m = finish(self.n), finish(self.m)
            return Warping(cost, x_index, y_index, status, n, m, path_length)
        host: list[Any] = [None if part is None else to_host(part.owner) for part in parts]
        cost, x_index, y_index, status, lengths = host
        if np.isin(status, (Status.NAN, Status.INVALID)).any():
            _require_finite(found.sides, self.xs, self.ys)
        if lengths is not None:
            x_index, y_index = (
                [row[:k].copy() for row, k in zip(index, lengths, strict=True)]
                for index in (x_index, y_index)
            )
        return Warping(*map(finish, (cost, x_index, y_index, status, self.n, self.m)))


@dataclass(frozen=True, slots=True)
class Matrices:
    """Precomputed local costs, a matrix per problem, cut to its lengths."""

    matrices: list[Array]
    batch: MatrixBatch

    @property
    def n(self) -> npt.NDArray[np.int64]:
        """Rows of each matrix."""
        return self.batch.rows

    @property
    def m(self) -> npt.NDArray[np.int64]:
        """Columns of each matrix."""
        return self.batch.columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that costs are computed in."""
        return self.batch.dtype

    @property
    def kind(self) -> Kind:
        """The kind that the results take."""
        return self.batch.kind

    @property
    def is_batch(self) -> bool:
        """Whether the results have a batch axis."""
        return self.batch.is_batch

    @classmethod
    def take(cls, x: Any, y: Any, x_lengths: Any, y_lengths: Any) -> Matrices:
        """Check the matrices."""
        if y is not None:
            raise TypeError('y: expected None with metric="precomputed"')
        items = x if isinstance(x, (list, tuple)) else [x]
        if any(lies_on_gpu(item) for item in items):
            raise DeviceError("x: expected precomputed costs in host memory; a GPU takes series")
        batch = _validate.take_matrices(x, "x", (x_lengths, "x_lengths"), (y_lengths, "y_lengths"))
        matrices = [_with_unit_stride(batch.matrix(p), batch.dtype) for p in range(len(batch.rows))]
        return cls(matrices, batch)

    def run(self, options: Options, path: bool) -> Warping:
        """Compute every problem."""
        window = _native_window(options.window, self.n, self.m)
        if options.device == "cuda":
            raise DeviceError('device: "cuda" takes series; precomputed costs run on the CPU')
        if not self.matrices:
            return _nothing(self.dtype, path)
        problems = self.matrices if self.is_batch else self.matrices[0]
        found = _call(options, window, path, problems)
        cost, status = np.atleast_1d(found.cost), np.atleast_1d(found.status).copy()
        unlimited = replace(options, max_cost=math.inf)
        for p in np.flatnonzero(status == Status.NAN).tolist():
            self._require_costs(p, window)
            # What was not a cost lies outside the window: no part of the problem.
            status[p] = Status.PRECISION_LIMIT if np.isinf(cost[p]) else Status.OK
        for p in np.flatnonzero(status == Status.PRECISION_LIMIT).tolist():
            # Infinite for want of a path, or by overflow? Where each cost is 0, nothing overflows.
            matrix = self.matrices[p]
            free = np.where(np.isinf(matrix), matrix, matrix.dtype.type(0))
            if np.isinf(_call(unlimited, window, False, free).cost):
                status[p] = Status.INFEASIBLE
            elif options.limit(self.dtype) < math.inf:
                status[p] = Status.OK
        changed: Warping = found.__replace__(status=status if self.is_batch else status[0])
        return changed

    def _require_costs(self, problem: int, window: tuple[str, Any]) -> None:
        """Raise if a cell inside the window is NaN or -inf."""
        matrix = self.matrices[problem]
        ranges = _core.window_ranges(window=window, n=matrix.shape[0], m=matrix.shape[1])
        columns = np.arange(matrix.shape[1])
        inside = (columns >= ranges[:, :1]) & (columns < ranges[:, 1:])
        wrong = np.argwhere(inside & (np.isnan(matrix) | np.isneginf(matrix)))
        if wrong.size:
            i, j = wrong[0].tolist()
            found = "NaN" if np.isnan(matrix[i, j]) else "-inf"
            name, place = self.batch.place(problem)
            index = (*place, i, j)
            raise ValueError(f"{name}: {found} at index {index}; expected finite costs or +inf")


def _native_window(
    window: Window, n: npt.NDArray[np.int64], m: npt.NDArray[np.int64]
) -> tuple[str, Any]:
    """Check a window for problems of n rows and m columns, and say it as native code takes it."""
    if window is None:
        return "none", 0
    if isinstance(window, slanted):
        return "slanted", window.radius
    radius = as_integer(window)
    if radius is None and (is_array(window) or isinstance(window, (list, tuple))):
        return "rows", _validate.take_rows(window, n, m)
    if isinstance(window, (str, bytes, dict, type)):
        raise TypeError(
            "window: expected None, an integer radius, slanted(r) or (N, 2) bounds, "
            f"got {type(window).__name__}"
        )
    return "band", take_radius(window, "window")


def _call(
    options: Options,
    window: tuple[str, Any],
    path: bool,
    x: Any,
    y: Any = None,
    x_lengths: Any = None,
    y_lengths: Any = None,
) -> Warping:
    """Call native code with arguments that are prepared for it."""
    found: Warping = _core.dtw(
        x,
        y,
        options.metric,
        window,
        "symmetric1",
        x_lengths,
        y_lengths,
        options.max_cost,
        path,
        options.threads,
        None,
        True,
    )
    return found


def dtw(
    x: Any,
    y: Any,
    metric: Any,
    window: Any,
    step: Any,
    x_lengths: Any,
    y_lengths: Any,
    max_cost: Any,
    path: Any,
    threads: Any,
    device: Any,
) -> Warping:
    """Warp what `coalign.dtw` takes; raise for the first problem that has no path."""
    options = Options.take(metric, window, step, max_cost, threads, device)
    take = Matrices.take if options.metric == "precomputed" else Pairs.take
    problems = take(x, y, x_lengths, y_lengths)
    found = problems.run(options, bool(path))
    if problems.kind.gpu is not None:
        return found
    _report(found, problems)
    return in_kind(found, problems.kind)


def dtw_cdist(
    X: Any,
    Y: Any,
    *,
    metric: Any,
    window: Any,
    step: Any,
    x_lengths: Any,
    y_lengths: Any,
    max_cost: Any,
    threads: Any,
    device: Any,
    out: Any,
    progress: Any,
) -> Any:
    """Warp every pair of what `coalign.dtw_cdist` takes."""
    options = Options.take(metric, window, step, max_cost, threads, device)
    if options.metric == "precomputed":
        raise ValueError("metric: expected a metric between frames; use dtw for precomputed costs")
    xs = _validate.take_series(X, "X", x_lengths, "x_lengths", collection=True)
    ys = None
    if Y is not None:
        ys = _validate.take_series(Y, "Y", y_lengths, "y_lengths", collection=True)
        _validate.require_like(xs, ys)
    elif y_lengths is not None:
        raise ValueError("y_lengths: expected None without Y")
    columns = xs if ys is None else ys
    dtype = np.result_type(xs.dtype, columns.dtype)
    shape = (len(xs), len(columns))
    room = None if out is None else _validate.take_out(out, shape, dtype, (xs, columns))
    costs = _compute_all_pairs(room, xs, ys, options, progress)
    return xs.kind.wrap(costs) if out is None else out


def _compute_all_pairs(
    out: Array | DeviceArray | None,
    xs: SeriesBatch,
    ys: SeriesBatch | None,
    options: Options,
    progress: Progress,
) -> Array | DeviceArray:
    """Compute every pair of two collections, or of one with itself when `ys` is None."""
    columns = xs if ys is None else ys
    window = _native_window(options.window, xs.lengths, columns.lengths)
    gpu = _execution.choose_gpu(options.device, xs.kind.gpu, xs.name)
    shape = (len(xs), len(columns))
    dtype = np.result_type(xs.dtype, columns.dtype)
    mirrored = ys is None and window[0] != "rows"
    total = len(xs) * (len(xs) + 1) // 2 if mirrored else shape[0] * shape[1]
    with reporter(progress, total, "dtw_cdist") as report_done:
        if gpu is not None:
            return _all_pairs_on(gpu, out, shape, dtype, xs, ys, options, window)
        costs = np.empty(shape, dtype) if out is None else out
        if total > 0:
            _fill_all_pairs(costs, xs, ys, options, window, report_done)
    return costs


def _fill_all_pairs(
    costs: Any,
    xs: SeriesBatch,
    ys: SeriesBatch | None,
    options: Options,
    window: tuple[str, Any],
    report_done: Any,
) -> None:
    x, x_lengths = xs.native(costs.dtype)
    y, y_lengths = (None, None) if ys is None else ys.native(costs.dtype)
    try:
        used = _core.dtw_all_pairs(
            x=x,
            y=y,
            x_lengths=x_lengths,
            y_lengths=y_lengths,
            dim=xs.dim,
            out=costs,
            progress=report_done,
            **options.native(window, costs.dtype),
        )
    except _core.NotFiniteError as error:
        raise _not_finite(error.args, xs, xs if ys is None else ys) from None
    _execution.note_run(*used)


def _all_pairs_on(
    gpu: Gpu,
    out: Any,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    xs: SeriesBatch,
    ys: SeriesBatch | None,
    options: Options,
    window: tuple[str, Any],
) -> Array | DeviceArray:
    """Compute all pairs on a GPU; what came from the host goes back to it."""
    costs = out if isinstance(out, DeviceArray) else gpu.empty(shape, dtype)
    sides = None
    if 0 not in shape:
        sides = _cuda_warping.fill_all_pairs(costs, xs, ys, options, window, gpu)
    if xs.kind.gpu is not None:
        return costs
    host = to_host(costs.owner)
    if sides is not None and np.isnan(host).any():
        _require_finite(sides, xs, xs if ys is None else ys)
    if out is None:
        return host
    out[...] = host
    filled: Array = out
    return filled


def _report(found: Warping, problems: Pairs | Matrices) -> None:
    """Raise for the first infeasible problem, and warn of overflow."""
    status = np.atleast_1d(found.status)
    infeasible = np.flatnonzero(status == Status.INFEASIBLE)
    if infeasible.size:
        p = infeasible[0]
        which = f"problem {p}: " if problems.is_batch else ""
        raise InfeasibleError(
            f"{which}no path through the window or the finite cells, "
            f"for {problems.n[p]} frames of x and {problems.m[p]} of y"
        )
    overflown = np.count_nonzero(status == Status.PRECISION_LIMIT)
    if overflown:
        warnings.warn(
            f"dtw: {overflown} of {status.size} costs overflow {found.cost.dtype}; "
            "their status is PRECISION_LIMIT",
            RuntimeWarning,
            stacklevel=4,
        )


def _nothing(dtype: np.dtype[Any], path: bool) -> Warping:
    empty: list[Array] | None = [] if path else None
    none = np.empty(0, np.int64)
    return Warping(np.empty(0, dtype), empty, empty, np.empty(0, np.int32), none, none)


def _with_unit_stride(matrix: Array, dtype: np.dtype[Any]) -> Array:
    matrix = matrix.astype(dtype, copy=False)
    in_place = matrix.shape[1] == 1 or matrix.strides[1] == matrix.itemsize
    return matrix if in_place else np.ascontiguousarray(matrix)


def _require_finite(placed: tuple[Side, Side], *sides: SeriesBatch) -> None:
    """Raise for the first value of the sides on a GPU that is not finite."""
    for argument, side in enumerate(placed):
        found = side.first_bad()
        if found is not None:
            raise _not_finite((argument, *found), *sides)


def _not_finite(where: tuple[int, int, int], *sides: SeriesBatch) -> ValueError:
    argument, item, element = where
    return ValueError(f"{sides[argument].locate(item, element)}; expected finite values")
