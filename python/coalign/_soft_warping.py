"""The general way of soft-DTW calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _core, _cuda_soft_warping, _execution
from ._arrays import Array, is_array
from ._batch import Batch, Lengths, has_contiguous_frames, is_kept
from ._device import Gpu
from ._errors import DeviceError, Status
from ._pipeline import (
    ResultCall,
    carry_out,
    carry_out_into,
    field_in_kind,
    require_feasible,
)
from ._scalars import as_integer, take_flag, take_real
from ._soft_warping_result import SoftWarping
from ._warping import (
    METRICS,
    AllPairs,
    NativeWindow,
    _native_window,
    _not_finite,
    _require_finite,
    _why_on_host,
    contiguous_rows,
    lengths_of_pairs,
    require_costs,
    take_costs,
    take_metric,
    take_sides,
)
from ._windows import Window

_ONLY_CPU = 'device: "cuda" computes soft-DTW pair by pair; all pairs are for the CPU'
# "auto" goes to a GPU from so many cells on.
_LEAST_GPU_CELLS = 2**24


def take_gamma(gamma: Any) -> float:
    """Check the smoothing."""
    number = take_real(gamma, "gamma", least=0)
    if number < _core.soft_warping_least_gamma:
        raise ValueError(
            f"gamma: expected a number of at least {_core.soft_warping_least_gamma}, "
            f"got {number}; dtw computes the limit at 0"
        )
    return number


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of a call."""

    gamma: float
    metric: str
    window: Window
    threads: int
    device: str | None

    @classmethod
    def take(cls, gamma: Any, metric: Any, window: Window, threads: Any, device: Any) -> Options:
        """Check the options as the user gave them."""
        device = _execution.take_device(device)
        take_metric(metric, METRICS)
        return cls(take_gamma(gamma), metric, window, _execution.thread_count(threads), device)

    @property
    def has_symmetric_steps(self) -> bool:
        """Whether a value stays the same when the series change places, as it always does."""
        return True


@dataclass(frozen=True, slots=True)
class _Pairs(ResultCall[SoftWarping]):
    """A call on pairs of series; one series against a batch goes with each of its items."""

    options: Options
    window: NativeWindow
    grad: bool
    kept: tuple[Any, ...]
    # Of a call that speaks for itself.
    is_part: bool = False

    @classmethod
    def take(
        cls, x: Any, y: Any, x_lengths: Any, y_lengths: Any, options: Options, grad: bool
    ) -> _Pairs:
        """Check both sides."""
        xs, ys = take_sides(x, y, x_lengths, y_lengths)
        kept = (
            *(_kept(given, side) for given, side in ((x, xs), (y, ys))),
            options.gamma,
            options.metric,
            options.window,
            None if x_lengths is None else xs.lengths[0],
            None if y_lengths is None else ys.lengths[0],
        )
        window = _native_window(options.window, *lengths_of_pairs(xs, ys))
        return cls((xs, ys), options, window, grad, kept)

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        if self.options.metric != "sqeuclidean":
            return 'device: "cuda" takes the metric "sqeuclidean"; others run on the CPU'
        return _why_on_host(self.window, *self.lengths)

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        n, m = self.lengths
        return _execution.repays_gpu(len(n), float(n @ m), _LEAST_GPU_CELLS)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that values are computed in."""
        return np.result_type(*(side.dtype for side in self.inputs))

    @property
    def is_batch(self) -> bool:
        """Whether the results have a batch axis."""
        return any(side.is_batch for side in self.inputs)

    @property
    def lengths(self) -> list[Lengths]:
        """The frames of both sides of each pair."""
        return lengths_of_pairs(*self.inputs)

    def rooms(self, shapes: list[tuple[int, ...]], room: tuple[int | None, ...]) -> Any:
        """Make results of zeros: one array, a list, or one array where `room` says its size."""
        if not self.is_batch:
            return np.zeros(shapes[0], self.dtype)
        if None in room:
            return [np.zeros(shape, self.dtype) for shape in shapes]
        return np.zeros((len(shapes), *room), self.dtype)

    def gradients(self) -> list[Any]:
        """Make the rooms of both gradients, with two axes each."""
        rooms = []
        for side, other, n in zip(self.inputs, self.inputs[::-1], self.lengths, strict=True):
            dim = side.arrays[0].shape[-1] if side.arrays else 1
            # One series goes the way of the batch that it is paired with.
            form = side if side.is_batch else other
            room = None if form.room(0) is None else side.room(0)
            rooms.append(self.rooms([(frames, dim) for frames in n.tolist()], (room, dim)))
        return rooms

    def visits(self) -> Any:
        """Make the rooms of the alignments."""
        n, m = (lengths.tolist() for lengths in self.lengths)
        return self.rooms(list(zip(n, m, strict=True)), self.room)

    @property
    def room(self) -> tuple[int | None, ...]:
        """The shape of an alignment, the same for every item, or None in a list."""
        return tuple(side.room(0) for side in self.inputs)

    def prepared(self) -> tuple[Any, Any, Any, Any]:
        """Return both sides and their lengths as native code takes them."""
        xs, ys = (side.native(self.dtype, has_contiguous_frames) for side in self.inputs)
        return xs, ys, *(side.native_lengths() for side in self.inputs)

    def fill(self, gradients: list[Any] | None, visits: Any) -> tuple[Array, Array]:
        """Compute values and status, and what has rooms."""
        count = len(self.lengths[0])
        if count == 0:
            return np.empty(0, self.dtype), np.empty(0, np.int32)
        xs, ys, *lengths = self.prepared()
        n, m = (each.tolist() for each in self.lengths)
        given: list[Any] = [None, None, None]
        if gradients is not None:
            for k, (room, frames) in enumerate(zip(gradients, (n, m), strict=True)):
                given[k] = _parts(room, self.is_batch, [np.s_[:stop] for stop in frames])
        copies = None
        if visits is not None:
            cells = [np.s_[:rows, :columns] for rows, columns in zip(n, m, strict=True)]
            parts = _parts(visits, self.is_batch, cells)
            # The columns of a padded batch may lie apart.
            given[2] = [np.ascontiguousarray(part) for part in parts]
            copies = zip(parts, given[2], strict=True)
        try:
            value, status = _core.soft_dtw_pairs(
                xs,
                ys,
                self.options.metric,
                self.window,
                self.options.gamma,
                *lengths,
                self.options.threads,
                *given,
            )
        except _core.NotFiniteError as error:
            raise _not_finite(error.args, *self.inputs) from None
        for part, copy in copies or ():
            if part is not copy:
                part[...] = copy
        return value, status

    def solve(self) -> tuple[Array, Array, list[Any]]:
        """Compute values, status and, if they are wanted, both gradients."""
        if not self.grad:
            return *self.fill(None, None), [None, None]
        gradients = self.gradients()
        value, status = self.fill(gradients, None)
        pairs = zip(self.inputs, gradients, strict=True)
        return value, status, [_with_axes_of(side, room) for side, room in pairs]

    def on_host(self) -> SoftWarping:
        """Compute on the CPU; raise for the first value that is not finite."""
        value, status, shaped = self.solve()
        numbers: list[Any] = [value, status] if self.is_batch else [value[0], status[0]]
        fields = [numbers[0], *shaped, numbers[1], *self.kept]
        return SoftWarping(*fields)

    def on_gpu(self, gpu: Gpu) -> SoftWarping:
        """Queue every pair on the caller's stream."""
        found = _cuda_soft_warping.warp_softly(
            self.inputs,
            self.lengths,
            self.dtype,
            self.options.gamma,
            self.window,
            self.grad,
            gpu,
        )
        # What lies on the host is not copied to it: settle() has it.
        kept = self.kept if self.kind.gpu is not None else (None,) * len(self.kept)
        fields = [found[name] for name in ("value", "grad_x", "grad_y", "status")]
        return SoftWarping(*fields, *kept)

    def settle(self, found: SoftWarping, *, from_gpu: bool) -> SoftWarping:
        """Raise for the first pair that has no path, and warn of overflow."""
        if from_gpu:
            if np.isin(found.status, (Status.NAN, Status.INVALID)).any():
                _require_finite(*self.inputs)
            computed = (found.value, found.grad_x, found.grad_y, found.status)
            found = SoftWarping(*computed, *self.kept)
        n, m = self.lengths
        require_feasible(
            found.status,
            self.is_batch,
            lambda p: f"no path {self.obstacles}, for {n[p]} frames of x and {m[p]} of y",
        )
        if not self.is_part:
            overflown = np.atleast_1d(found.status) == Status.PRECISION_LIMIT
            words = "soft_dtw: {} values overflow {}; their status is PRECISION_LIMIT"
            _warn_of_overflow(words, overflown, self.dtype, depth=6)
        return found

    @property
    def obstacles(self) -> str:
        """What every path would have to pass."""
        return "through the window"


@dataclass(frozen=True, slots=True)
class _Costs(_Pairs):
    """A call on precomputed local costs, a matrix a problem."""

    @classmethod
    def take_costs(
        cls, x: Any, y: Any, x_lengths: Any, y_lengths: Any, options: Options, grad: bool
    ) -> _Costs:
        """Check the matrices."""
        costs = take_costs(x, y, x_lengths, y_lengths)
        kept = (
            _kept(x, costs),
            None,
            options.gamma,
            options.metric,
            options.window,
            *(
                None if given is None else own
                for given, own in zip((x_lengths, y_lengths), costs.lengths, strict=True)
            ),
        )
        return cls((costs,), options, _native_window(options.window, *costs.lengths), grad, kept)

    @property
    def lengths(self) -> list[Lengths]:
        """The rows and the columns of each matrix."""
        return list(self.inputs[0].lengths)

    @property
    def room(self) -> tuple[int | None, ...]:
        """The shape of an alignment, the same for every item, or None in a list."""
        return self.inputs[0].room(0), self.inputs[0].room(1)

    def prepared(self) -> tuple[Any, Any, Any, Any]:
        """Return the matrices, each cut to its lengths."""
        costs = self.inputs[0]
        matrices = [contiguous_rows(costs.item(p), self.dtype) for p in range(len(costs))]
        return matrices if costs.is_batch else matrices[0], None, None, None

    def solve(self) -> tuple[Array, Array, list[Any]]:
        """Compute values, status and, if it is wanted, the gradient by the costs."""
        visits = self.visits() if self.grad else None
        value, status = self.fill(None, visits)
        for p in np.flatnonzero(status == Status.NAN).tolist():
            require_costs(self.inputs[0], p, self.window)
        return value, status, [visits, None]

    @property
    def obstacles(self) -> str:
        """What every path would have to pass."""
        return "through the window or the finite cells"


def _warn_of_overflow(words: str, overflown: Array, dtype: np.dtype[Any], *, depth: int) -> None:
    """Warn of values beyond their dtype, at the line that called the public function."""
    count = np.count_nonzero(overflown)
    if count:
        which = f"{count} of {overflown.size}"
        warnings.warn(words.format(which, dtype), RuntimeWarning, stacklevel=depth)


def _kept(given: Any, side: Batch) -> Any:
    """Return series as they were given, or the arrays that numbers were made."""
    if is_kept(given):
        return given
    return side.data if side.is_batch else side.data[0]


def _parts(room: Any, is_batch: bool, cuts: list[Any]) -> list[Array]:
    """View what each pair has of a room."""
    return [room[p][cut] if is_batch else room[cut] for p, cut in enumerate(cuts)]


def _with_axes_of(side: Batch, gradient: Any) -> Any:
    """Take the second axis off where a series had none."""
    if isinstance(gradient, list):
        ndims = side.ndims if side.is_batch else [side.ndims[0]] * len(gradient)
        return [g[:, 0] if ndim == 1 else g for g, ndim in zip(gradient, ndims, strict=True)]
    return gradient[..., 0] if not side.is_padded and side.ndims[0] == 1 else gradient


def soft_dtw(
    x: Any,
    y: Any,
    gamma: Any,
    metric: Any,
    window: Any,
    x_lengths: Any,
    y_lengths: Any,
    grad: Any,
    threads: Any,
    device: Any,
) -> SoftWarping:
    """Compute what `coalign.soft_dtw` takes; raise for the first pair that has no path."""
    options = Options.take(gamma, metric, window, threads, device)
    call = _take(x, y, x_lengths, y_lengths, options, take_flag(grad, "grad"))
    return carry_out(call, options.device)


def _take(x: Any, y: Any, x_lengths: Any, y_lengths: Any, options: Options, grad: bool) -> _Pairs:
    take = _Costs.take_costs if options.metric == "precomputed" else _Pairs.take
    return take(x, y, x_lengths, y_lengths, options, grad)


def expected_alignment(found: SoftWarping) -> Any:
    """Compute what `SoftWarping.expected_alignment` returns."""
    options = Options.take(found.gamma, found.metric, found.window, None, None)
    call = _take(found.x, found.y, found.x_lengths, found.y_lengths, options, False)
    if call.kind.gpu is not None:
        raise DeviceError("expected_alignment: expected series in host memory; the CPU computes it")
    visits = call.visits()
    call.fill(None, visits)
    return field_in_kind(visits, call.kind)


class _SoftPairs(AllPairs[Options]):
    """A call that gives the value of every pair."""

    __slots__ = ()

    @property
    def only_cpu(self) -> str:
        """Why no GPU takes the call."""
        return _ONLY_CPU

    def fill(self, out: Array, report: Callable[[int], None] | None) -> None:
        """Compute every pair on the CPU."""
        x, y, *lengths = self.prepared()
        try:
            _core.soft_dtw_all_pairs(
                x,
                y,
                self.options.metric,
                self.window,
                self.options.gamma,
                *lengths,
                self.options.threads,
                out,
                report,
            )
        except _core.NotFiniteError as error:
            raise _not_finite(error.args, *self.inputs) from None


def soft_dtw_cdist(
    X: Any,
    Y: Any,
    *,
    gamma: Any,
    metric: Any,
    window: Any,
    x_lengths: Any,
    y_lengths: Any,
    threads: Any,
    device: Any,
    normalize: Any,
    out: Any,
    progress: Any,
) -> Any:
    """Compute every pair of what `coalign.soft_dtw_cdist` takes."""
    options = _with_frames(Options.take(gamma, metric, window, threads, device))
    call = _SoftPairs.take(
        X, Y, x_lengths, y_lengths, options, normalize=take_flag(normalize, "normalize")
    )
    return carry_out_into(call, options.device, out, progress, "soft_dtw_cdist")


def soft_dtw_divergence(
    x: Any,
    y: Any,
    *,
    gamma: Any,
    metric: Any,
    window: Any,
    x_lengths: Any,
    y_lengths: Any,
    threads: Any,
    device: Any,
) -> Any:
    """Compute what `coalign.soft_dtw_divergence` takes."""
    options = _with_frames(Options.take(gamma, metric, window, threads, device))
    if as_integer(window) is None and (is_array(window) or isinstance(window, (list, tuple))):
        raise ValueError(
            "window: expected None, an integer radius, slanted(r) or itakura(s), "
            "which fit all three lattices"
        )
    between = replace(_Pairs.take(x, y, x_lengths, y_lengths, options, False), is_part=True)
    if options.device == "cuda" or between.kind.gpu is not None:
        raise DeviceError('device: "cuda" does not compute divergences; the CPU does')
    calls = (between, *(_with_itself(between, side) for side in between.inputs))
    values = [np.asarray(carry_out(call, None).value) for call in calls]
    with np.errstate(over="ignore", invalid="ignore"):
        difference = values[0] - (values[1] + values[2]) / 2
    overflown = ~np.isfinite(difference)
    words = "soft_dtw_divergence: {} values overflow {} and are inf"
    _warn_of_overflow(words, np.atleast_1d(overflown), between.dtype, depth=4)
    difference = np.where(overflown, between.dtype.type(np.inf), difference)[()]
    return field_in_kind(difference, between.kind)


def _with_frames(options: Options) -> Options:
    """Refuse costs in the place of series."""
    if options.metric == "precomputed":
        raise ValueError(
            "metric: expected a metric between frames; use soft_dtw for precomputed costs"
        )
    return options


def _with_itself(between: _Pairs, side: Batch) -> _Pairs:
    """Compare the series of a side with themselves, in the dtype of both sides."""
    arrays = [array.astype(between.dtype, copy=False) for array in side.arrays]
    side = replace(side, data=arrays[0] if side.is_padded else arrays)
    lengths = side.lengths[0]
    window = _native_window(between.options.window, lengths, lengths)
    return replace(between, inputs=(side, side), window=window)
