"""The general way of warping calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from . import _core, _cuda_warping, _execution, _validate
from ._arrays import Array, is_array, lies_on_gpu
from ._batch import Batch, Lengths, has_contiguous_frames, has_contiguous_rows
from ._device import DeviceArray, Gpu
from ._errors import DeviceError, Status
from ._normalize import normalized
from ._pipeline import ArrayCall, ResultCall, carry_out, carry_out_into, require_feasible
from ._scalars import LONGEST, as_integer, choice, take_flag, take_max_cost, take_radius
from ._steps import native_table, take_steps
from ._warping_result import Warping
from ._windows import Window, itakura, slanted, slope_fraction

METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine", "precomputed")
# Steps whose costs a GPU computes; it has paths of the first alone.
_GPU_STEPS = (
    "symmetric1",
    "symmetric2",
    "symmetricP0",
    "symmetricP05",
    "symmetricP1",
    "symmetricP2",
)
# "auto" goes to a GPU from so many cells on.
_LEAST_GPU_CELLS = 2**26

# A window as native code takes it: its kind, and its radius, slope or the bounds of its rows.
NativeWindow = tuple[str, Any]


def take_metric(
    metric: Any, metrics: tuple[str, ...] = METRICS, *, has_precomputed: bool = True
) -> str:
    """Check a metric; a function is refused with the way to use it."""
    if callable(metric):
        raise TypeError(
            "metric: expected a name, got a function; compute its values with "
            "cost = scipy.spatial.distance.cdist(x, y, function) for x and y of shape (T, D), and "
            'call coalign.dtw(cost, metric="precomputed")'
        )
    found = choice(metric, "metric", metrics)
    if found == "precomputed" and not has_precomputed:
        raise ValueError("metric: expected a metric between frames; use dtw for precomputed costs")
    return found


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of a call."""

    metric: str
    window: Window
    # As native code takes them: a name, or the table of a pattern; then open_begin and open_end.
    steps: tuple[Any, bool, bool]
    # The pattern's name, which is empty for one that has none.
    step: str
    has_symmetric_steps: bool
    max_cost: float
    threads: int
    device: str | None

    @classmethod
    def take(
        cls,
        metric: Any,
        window: Window,
        step: Any,
        open_begin: Any,
        open_end: Any,
        max_cost: Any,
        threads: Any,
        device: Any,
    ) -> Options:
        """Check the options as the user gave them."""
        device = _execution.take_device(device)
        name, pattern = take_steps(step)
        ends = take_flag(open_begin, "open_begin"), take_flag(open_end, "open_end")
        if any(ends) and as_integer(window) is not None:
            raise ValueError(
                "window: expected None, slanted(r), itakura(s) or (N, 2) bounds with an open end, "
                "got an integer radius"
            )
        has_engine = name == "symmetric1" and not any(ends)
        return cls(
            take_metric(metric),
            window,
            (name if has_engine else native_table(pattern), *ends),
            name,
            pattern.is_symmetric and not any(ends),
            take_max_cost(max_cost),
            _execution.thread_count(threads),
            device,
        )

    @property
    def has_plain_steps(self) -> bool:
        """Whether the path takes the steps of symmetric1, from corner to corner."""
        return isinstance(self.steps[0], str)

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call, in the words of an error."""
        if any(self.steps[1:]):
            return "step: a GPU takes no open ends; the CPU does"
        if self.step in _GPU_STEPS:
            return None
        names = ", ".join(map(repr, _GPU_STEPS))
        return f"step: expected one of {names} on a GPU; others run on the CPU"

    def require_weights(self, dtype: np.dtype[Any]) -> None:
        """Check that the dtype of the costs can hold the weights of all steps."""
        if self.has_plain_steps:
            return
        largest = float(self.steps[0][:, 3].max())
        if largest > float(np.finfo(dtype).max):
            raise ValueError(
                f"step: expected weights that {dtype} can hold, got {largest:g}; "
                "give the series in float64"
            )

    def limit(self, dtype: np.dtype[Any]) -> float:
        """Return `max_cost` in the dtype of the costs; what overflows it limits nothing."""
        with np.errstate(over="ignore"):
            return float(np.float64(self.max_cost).astype(dtype))


@dataclass(frozen=True, slots=True)
class _Pairs(ResultCall[Warping]):
    """A call that warps pairs of series; one series against a batch goes with each of its items."""

    n: Lengths
    m: Lengths
    options: Options
    window: NativeWindow
    path: bool

    @classmethod
    def take(
        cls, x: Any, y: Any, x_lengths: Any, y_lengths: Any, options: Options, path: bool
    ) -> _Pairs:
        """Check both sides."""
        xs, ys = take_sides(x, y, x_lengths, y_lengths)
        options.require_weights(np.result_type(xs.dtype, ys.dtype))
        n, m = lengths_of_pairs(xs, ys)
        return cls((xs, ys), n, m, options, _native_window(options.window, n, m), path)

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        if self.path and not self.options.has_plain_steps and not self.options.only_cpu:
            return "path: a GPU has paths of 'symmetric1'; those of other steps are for the CPU"
        return self.options.only_cpu or _why_on_host(self.window, self.n, self.m)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that costs are computed in."""
        return np.result_type(*(side.dtype for side in self.inputs))

    @property
    def is_batch(self) -> bool:
        """Whether the results have a batch axis."""
        return any(side.is_batch for side in self.inputs)

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        return _execution.repays_gpu(len(self.n), float(self.n @ self.m), _LEAST_GPU_CELLS)

    def on_host(self) -> Warping:
        """Warp on the CPU; raise for the first value that is not finite."""
        if len(self.n) == 0:
            return _nothing(self.dtype, self.path, self.options)
        sides = [side.native(self.dtype, has_contiguous_frames) for side in self.inputs]
        lengths = [side.native_lengths() for side in self.inputs]
        try:
            return _call(self.options, self.window, self.path, *sides, *lengths)
        except _core.NotFiniteError as error:
            raise _not_finite(error.args, *self.inputs) from None

    def on_gpu(self, gpu: Gpu) -> Warping:
        """Queue every pair on the caller's stream."""
        lengths = (self.n, self.m)
        return _cuda_warping.warp_pairs(
            self.inputs, lengths, self.dtype, self.options, self.window, self.path, gpu
        )

    def settle(self, found: Warping, *, from_gpu: bool) -> Warping:
        """Raise for the first problem that has no path, and warn of overflow."""
        if from_gpu:
            if np.isin(found.status, (Status.NAN, Status.INVALID)).any():
                _require_finite(*self.inputs)
            if self.path:
                found = _with_paths_cut(found)
        _report(found, (self.n, self.m), self.is_batch, self.options)
        return found


@dataclass(frozen=True, slots=True)
class _Precomputed(ResultCall[Warping]):
    """A call that warps along precomputed local costs, a matrix a problem."""

    options: Options
    window: NativeWindow
    path: bool

    @classmethod
    def take(
        cls, x: Any, y: Any, x_lengths: Any, y_lengths: Any, options: Options, path: bool
    ) -> _Precomputed:
        """Check the matrices."""
        costs = take_costs(x, y, x_lengths, y_lengths)
        options.require_weights(costs.dtype)
        return cls((costs,), options, _native_window(options.window, *costs.lengths), path)

    @property
    def costs(self) -> Batch:
        """The matrices of all problems."""
        return self.inputs[0]

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        return 'device: "cuda" takes series; precomputed costs run on the CPU'

    def on_host(self) -> Warping:
        """Warp on the CPU; raise for the first value inside a window that is not a cost."""
        dtype = self.costs.dtype
        matrices = [contiguous_rows(self.costs.item(p), dtype) for p in range(len(self.costs))]
        if not matrices:
            return _nothing(dtype, self.path, self.options)
        problems = matrices if self.costs.is_batch else matrices[0]
        found = _call(self.options, self.window, self.path, problems)
        cost, status = np.atleast_1d(found.cost), np.atleast_1d(found.status).copy()
        unlimited = replace(self.options, max_cost=math.inf)
        for p in np.flatnonzero(status == Status.NAN).tolist():
            require_costs(self.costs, p, self.window)
            # The value that is not a cost lies outside the window, and is no part of the problem.
            status[p] = Status.PRECISION_LIMIT if np.isinf(cost[p]) else Status.OK
        for p in np.flatnonzero(status == Status.PRECISION_LIMIT).tolist():
            # No path, or an overflow? With costs of 0 nothing overflows.
            matrix = matrices[p]
            free = np.where(np.isinf(matrix), matrix, matrix.dtype.type(0))
            if np.isinf(_call(unlimited, self.window, False, free).cost):
                status[p] = Status.INFEASIBLE
            elif self.options.limit(dtype) < math.inf:
                status[p] = Status.OK
        changed: Warping = found.__replace__(status=status if self.costs.is_batch else status[0])
        return changed

    def settle(self, found: Warping, *, from_gpu: bool) -> Warping:
        """Raise for the first problem that has no path, and warn of overflow."""
        _report(found, self.costs.lengths, self.costs.is_batch, self.options)
        return found


def take_sides(x: Any, y: Any, x_lengths: Any, y_lengths: Any) -> tuple[Batch, Batch]:
    """Check both sides of a call that compares series in pairs."""
    if y is None:
        raise TypeError('y: expected an array, got None; only metric="precomputed" goes without')
    xs = _validate.take_series(x, "x", x_lengths, "x_lengths")
    ys = _validate.take_series(y, "y", y_lengths, "y_lengths")
    _validate.require_like(xs, ys)
    _validate.require_pairs(xs, ys)
    return xs, ys


def lengths_of_pairs(xs: Batch, ys: Batch) -> list[Lengths]:
    """Return the frames of both sides of each pair; one series goes with each of a batch."""
    count = _validate.require_pairs(xs, ys)
    return [np.resize(side.lengths[0], count) for side in (xs, ys)]


def take_costs(x: Any, y: Any, x_lengths: Any, y_lengths: Any) -> Batch:
    """Check precomputed local costs, a matrix a problem."""
    if y is not None:
        raise TypeError('y: expected None with metric="precomputed"')
    items = x if isinstance(x, (list, tuple)) else [x]
    if any(lies_on_gpu(item) for item in items):
        raise DeviceError("x: expected precomputed costs in host memory; a GPU takes series")
    return _validate.take_matrices(x, "x", (x_lengths, "x_lengths"), (y_lengths, "y_lengths"))


def require_costs(costs: Batch, problem: int, window: NativeWindow) -> None:
    """Raise if a cell inside the window is NaN or -inf."""
    matrix = costs.item(problem)
    ranges = _core.window_ranges(window=window, n=matrix.shape[0], m=matrix.shape[1])
    columns = np.arange(matrix.shape[1])
    inside = (columns >= ranges[:, :1]) & (columns < ranges[:, 1:])
    wrong = np.argwhere(inside & (np.isnan(matrix) | np.isneginf(matrix)))
    if wrong.size:
        index = tuple(wrong[0].tolist())
        raise costs.bad_value(problem, index, "finite costs or +inf")


def _native_window(window: Window, n: Lengths, m: Lengths) -> NativeWindow:
    """Check a window for problems of n rows and m columns, and say it as native code takes it."""
    if window is None:
        return "none", 0
    if isinstance(window, slanted):
        return "slanted", window.radius
    if isinstance(window, itakura):
        return "itakura", slope_fraction(window)
    radius = as_integer(window)
    if radius is None and (is_array(window) or isinstance(window, (list, tuple))):
        return "rows", _take_rows(window, n, m)
    if isinstance(window, (str, bytes, dict, type)):
        raise TypeError(
            "window: expected None, an integer radius, slanted(r), itakura(s) or (N, 2) bounds, "
            f"got {type(window).__name__}"
        )
    return "band", take_radius(window, "window")


def _why_on_host(window: NativeWindow, n: Lengths, m: Lengths) -> str | None:
    """Say why no GPU takes a window, if none does."""
    if window[0] == "itakura" and len({*n.tolist()}) + len({*m.tolist()}) > 2:
        return "window: a GPU takes itakura(s) with series of one length; others run on the CPU"
    return None


def _take_rows(window: Any, n: Lengths, m: Lengths) -> npt.NDArray[np.int64]:
    """Check a window given as [start, stop) of each row, for problems of n rows and m columns."""
    rows = _validate.take_integers(window, "window", "integer bounds")
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"window: expected (N, 2) bounds, got shape {rows.shape}")
    if (n != len(rows)).any():
        wrong = n[n != len(rows)][0]
        raise ValueError(
            f"window: expected one [start, stop) for each of {wrong} rows, got {len(rows)}"
        )
    start, stop = rows.T
    # Without problems, columns are bounded only by the longest that any problem may have.
    columns = m.min(initial=LONGEST)
    wrong_rows = np.flatnonzero((start < 0) | (stop > columns) | (start >= stop))
    if wrong_rows.size:
        i = wrong_rows[0]
        raise ValueError(
            f"window: expected 0 <= start < stop <= {columns}, "
            f"got [{start[i]}, {stop[i]}) in row {i}"
        )
    return np.ascontiguousarray(rows, np.int64)


def _call(
    options: Options,
    window: NativeWindow,
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
        *options.steps,
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
    open_begin: Any,
    open_end: Any,
    x_lengths: Any,
    y_lengths: Any,
    max_cost: Any,
    path: Any,
    threads: Any,
    device: Any,
) -> Warping:
    """Warp what `coalign.dtw` takes; raise for the first problem that has no path."""
    options = Options.take(metric, window, step, open_begin, open_end, max_cost, threads, device)
    take = _Precomputed.take if options.metric == "precomputed" else _Pairs.take
    has_path = take_flag(path, "path")
    return carry_out(take(x, y, x_lengths, y_lengths, options, has_path), options.device)


class PairOptions(Protocol):
    """What decides which of all pairs are computed."""

    @property
    def window(self) -> Window: ...
    @property
    def has_symmetric_steps(self) -> bool: ...


AnyOptions = TypeVar("AnyOptions", bound=PairOptions)


@dataclass(frozen=True, slots=True)
class AllPairs(ArrayCall, Generic[AnyOptions]):
    """A call on every pair of two collections of series, or of one with itself."""

    options: AnyOptions
    window: NativeWindow
    is_mirrored: bool

    @classmethod
    def take(
        cls,
        X: Any,
        Y: Any,
        x_lengths: Any,
        y_lengths: Any,
        options: AnyOptions,
        *,
        normalize: bool,
    ) -> AllPairs[AnyOptions]:
        """Check the collections."""
        xs = _validate.take_series(X, "X", x_lengths, "x_lengths", collection=True)
        ys = None
        if Y is not None:
            ys = _validate.take_series(Y, "Y", y_lengths, "y_lengths", collection=True)
            _validate.require_like(xs, ys)
        elif y_lengths is not None:
            raise ValueError("y_lengths: expected None without Y")
        inputs: tuple[Batch, ...] = (xs,) if ys is None else (xs, ys)
        if normalize:
            inputs = tuple(map(normalized, inputs))
        rows, columns = inputs[0], inputs[-1]
        window = _native_window(options.window, rows.lengths[0], columns.lengths[0])
        shape = (len(rows), len(columns))
        # Bounds given row by row need not be their own transpose, so nothing is mirrored.
        is_mirrored = ys is None and window[0] != "rows" and options.has_symmetric_steps
        total = len(rows) * (len(rows) + 1) // 2 if is_mirrored else shape[0] * shape[1]
        dtype = np.result_type(rows.dtype, columns.dtype)
        return cls(inputs, shape, dtype, total, options, window, is_mirrored)

    def prepared(self) -> tuple[Any, Any, Any, Any]:
        """Return X, Y and their lengths as native code takes them; those of no Y are None."""
        sides = [side.native(self.dtype, has_contiguous_frames) for side in self.inputs]
        lengths = [side.native_lengths() for side in self.inputs]
        if len(self.inputs) == 1:
            return sides[0], None, lengths[0], None
        return *sides, *lengths


class _WarpedPairs(AllPairs[Options]):
    """A call that warps every pair."""

    __slots__ = ()

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        n, m = (side.lengths[0] for side in (self.inputs[0], self.inputs[-1]))
        return self.options.only_cpu or _why_on_host(self.window, n, m)

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        rows, columns = (float(side.lengths[0].sum()) for side in (self.inputs[0], self.inputs[-1]))
        return _execution.repays_gpu(self.total, rows * columns, _LEAST_GPU_CELLS)

    def fill(self, out: Array, report: Any) -> None:
        """Compute every pair on the CPU."""
        x, y, *lengths = self.prepared()
        try:
            _core.dtw_all_pairs(
                x,
                y,
                self.options.metric,
                self.window,
                *self.options.steps,
                self.is_mirrored,
                *lengths,
                self.options.max_cost,
                self.options.threads,
                out,
                report,
            )
        except _core.NotFiniteError as error:
            raise _not_finite(error.args, *self.inputs) from None

    def fill_on_gpu(self, out: DeviceArray, gpu: Gpu) -> None:
        """Queue every pair on the caller's stream."""
        _cuda_warping.fill_all_pairs(out, self.inputs, self.options, self.window, gpu)

    def settle(self, out: Array) -> None:
        """Raise for the first value that is not finite."""
        if np.isnan(out).any():
            _require_finite(*self.inputs)


def dtw_cdist(
    X: Any,
    Y: Any,
    *,
    metric: Any,
    window: Any,
    step: Any,
    open_begin: Any,
    open_end: Any,
    x_lengths: Any,
    y_lengths: Any,
    max_cost: Any,
    threads: Any,
    device: Any,
    normalize: Any,
    out: Any,
    progress: Any,
) -> Any:
    """Warp every pair of what `coalign.dtw_cdist` takes."""
    options = Options.take(metric, window, step, open_begin, open_end, max_cost, threads, device)
    take_metric(options.metric, has_precomputed=False)
    call = _WarpedPairs.take(
        X, Y, x_lengths, y_lengths, options, normalize=take_flag(normalize, "normalize")
    )
    options.require_weights(call.dtype)
    return carry_out_into(call, options.device, out, progress, "dtw_cdist")


def _report(found: Warping, lengths: Sequence[Lengths], is_batch: bool, options: Options) -> None:
    """Raise for the first infeasible problem, and warn of overflow."""
    n, m = lengths
    steps = "" if options.has_plain_steps else "of these steps "
    require_feasible(
        found.status,
        is_batch,
        lambda p: (
            f"no path {steps}through the window or the finite cells, "
            f"for {n[p]} frames of x and {m[p]} of y"
        ),
    )
    status = np.atleast_1d(found.status)
    overflown = np.count_nonzero(status == Status.PRECISION_LIMIT)
    if overflown:
        warnings.warn(
            f"dtw: {overflown} of {status.size} costs overflow {found.cost.dtype}; "
            "their status is PRECISION_LIMIT",
            RuntimeWarning,
            stacklevel=6,
        )


def _nothing(dtype: np.dtype[Any], path: bool, options: Options) -> Warping:
    empty: list[Array] | None = [] if path else None
    none = np.empty(0, np.int64)
    weight = None if options.has_plain_steps else empty
    return Warping(
        np.empty(0, dtype), empty, empty, np.empty(0, np.int32), none, none, weight=weight
    )


def _with_paths_cut(found: Warping) -> Warping:
    """Cut paths from a GPU to their lengths, as those of the host are."""
    cut: list[Any] = []
    for index in (found.x_index, found.y_index):
        rows = zip(np.atleast_2d(index), np.atleast_1d(found.path_length), strict=True)
        parts = [row[:length].copy() for row, length in rows]
        cut.append(parts if np.ndim(found.path_length) else parts[0])
    changed: Warping = found.__replace__(x_index=cut[0], y_index=cut[1], path_length=None)
    return changed


def contiguous_rows(matrix: Array, dtype: np.dtype[Any]) -> Array:
    """Return a matrix whose rows can be read in place, copied only if it must be."""
    matrix = matrix.astype(dtype, copy=False)
    return matrix if has_contiguous_rows(matrix) else np.ascontiguousarray(matrix)


def _require_finite(*sides: Batch) -> None:
    """Raise for the first value of the sides that is not finite."""
    for side in sides:
        side.require_all(np.isfinite, "finite values")


def _not_finite(where: tuple[int, int, int], *sides: Batch) -> ValueError:
    """Word a value that is not finite, given as native code counts: argument, item, element."""
    argument, item, element = where
    side = sides[argument]
    frame, dim = divmod(element, side.arrays[0].shape[-1])
    return side.bad_value(item, (frame, dim), "finite values")
