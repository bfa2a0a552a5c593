"""The general way of CTC calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, _cuda_ctc, _execution, _validate
from ._arrays import Array, as_plain, as_plain_integers
from ._batch import Batch, has_contiguous_rows, has_whole_strides
from ._ctc_result import CTCPosteriors
from ._device import DeviceArray, Gpu
from ._errors import DeviceError, Status
from ._pipeline import ArrayCall, ResultCall, carry_out, carry_out_into, field_in_kind
from ._scalars import choice, take_flag

REDUCTIONS = ("none", "sum", "mean")

# "auto" goes to a GPU from so many states of lattices on.
_LEAST_GPU_STATES = 2**24


@dataclass(frozen=True, slots=True)
class Problems:
    """Recordings and their texts; one of either goes with each of a batch of the others."""

    x: Batch
    texts: Batch
    blank: int
    input: str

    @classmethod
    def take(
        cls, x: Any, targets: Any, x_lengths: Any, target_lengths: Any, blank: Any, input: Any
    ) -> Problems:
        """Check what all calls begin with."""
        choice(input, "input", _validate.INPUTS)
        taken = _validate.take_emissions(x, x_lengths, on_gpu=True)
        symbol = _validate.take_blank(blank, taken)
        texts = _validate.take_targets(targets, target_lengths, taken, symbol)
        return cls(taken, texts, symbol, input)

    def __len__(self) -> int:
        return _validate.require_pairs(self.x, self.texts)

    @property
    def is_batch(self) -> bool:
        """Whether results have a batch axis."""
        return self.x.is_batch or self.texts.is_batch

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        labels = self.texts.lengths[0]
        states = float((self.x.lengths[0] * (2 * labels + 1)).sum()) if len(self) else 0.0
        # Every score goes there and its gradient back, in which time the CPU has done its part.
        scores = float(self.x.lengths[0].sum()) * _validate.count_symbols(self.x)
        return _execution.repays_gpu(
            len(self), states if states >= scores else 0.0, _LEAST_GPU_STATES
        )

    def native(self) -> tuple[Any, ...]:
        """Return the arguments that native calls begin with."""
        return (
            self.x.native(self.x.dtype, _is_readable),
            self.texts.native(np.dtype(np.int64), has_contiguous_rows),
            self.x.native_lengths(),
            self.texts.native_lengths(),
            self.blank,
            self.input,
        )

    def require_good(self, bad: tuple[int, int] | None) -> None:
        """Raise for the value that native code could not take: its problem, and its place there."""
        if bad is not None:
            problem, element = bad
            place = divmod(element, _validate.count_symbols(self.x))
            raise self.x.bad_value(problem if self.x.is_batch else 0, place, _validate.WANTED)

    def require_readable(self) -> None:
        """Raise for the first score on the host that cannot be taken."""
        for p in range(len(self)):
            wrong = ~(self.x.item(p if self.x.is_batch else 0) < np.inf)
            if self.input == "log_probs":
                text = self.texts.item(p if self.texts.is_batch else 0)
                is_read = np.zeros(wrong.shape[1], bool)
                is_read[[self.blank, *text.tolist()]] = True
                wrong &= is_read
            places = np.flatnonzero(wrong)
            if places.size:
                self.require_good((p, int(places[0])))

    def shapes(self, columns: Callable[[int], int], most: int) -> Any:
        """Return the shape of a result with rows of frames; a list has a shape for each item."""
        if self.x.is_batch and not self.x.is_padded:
            counts = self.x.lengths[0].tolist()
            return [(frames, columns(p)) for p, frames in enumerate(counts)]
        shape = (int(self.x.room(0) or 0), most)
        return (len(self), *shape) if self.is_batch else shape


def _is_readable(array: Array) -> bool:
    return has_contiguous_rows(array) and has_whole_strides(array)


@dataclass(frozen=True, slots=True)
class _Loss(ArrayCall):
    """A call for the losses alone."""

    problems: Problems
    reduction: str
    zero_infinity: bool
    threads: int

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        return self.problems.repays_gpu

    def fill(self, out: Array, report: Callable[[int], None] | None) -> None:
        """Compute on the CPU; raise for the first value that cannot be taken."""
        if len(self.problems) == 0:
            out[...] = np.nan if self.reduction == "mean" else 0
            return
        out[...], bad = _core.ctc_loss(
            *self.problems.native(), self.reduction, self.zero_infinity, self.threads, None, True
        )
        self.problems.require_good(bad)

    def fill_on_gpu(self, out: DeviceArray, gpu: Gpu) -> None:
        """Queue on the caller's stream."""
        _cuda_ctc.queue_losses(
            self.problems,
            gpu,
            out,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )

    def settle(self, out: Array) -> None:
        """Raise for the first score that cannot be taken."""
        if np.isnan(out).any():
            self.problems.require_readable()


def ctc_loss(
    x: Any,
    targets: Any,
    x_lengths: Any,
    target_lengths: Any,
    blank: Any,
    input: Any,
    reduction: Any,
    zero_infinity: Any,
    threads: Any,
    device: Any,
) -> Any:
    """Compute the losses of what `coalign.ctc_loss` takes."""
    if plain := as_plain(x):
        scores, kind = plain
        integers = map(as_plain_integers, (targets, x_lengths, target_lengths))
        options = (blank, input, reduction, zero_infinity, threads, device)
        return kind.wrap(_core.ctc_loss(scores, *integers, *options))
    device = _execution.take_device(device)
    choice(reduction, "reduction", REDUCTIONS)
    zero_infinity = take_flag(zero_infinity, "zero_infinity")
    threads = _execution.thread_count(threads)
    problems = Problems.take(x, targets, x_lengths, target_lengths, blank, input)
    shape = (len(problems),) if problems.is_batch and reduction == "none" else ()
    call = _Loss(
        (problems.x,), shape, problems.x.dtype, 1, problems, reduction, zero_infinity, threads
    )
    loss = carry_out_into(call, device, None, False, "ctc_loss")
    return loss[()] if isinstance(loss, np.ndarray) and loss.ndim == 0 else loss


@dataclass(frozen=True, slots=True)
class _Posteriors(ResultCall[CTCPosteriors]):
    """A call for losses and gradients."""

    problems: Problems
    given: tuple[Any, ...]
    reduction: str
    zero_infinity: bool
    threads: int
    out: Any

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        return self.problems.repays_gpu

    @property
    def _shapes(self) -> Any:
        symbols = _validate.count_symbols(self.problems.x)
        return self.problems.shapes(lambda _: symbols, symbols)

    def on_host(self) -> CTCPosteriors:
        """Compute on the CPU; raise for the first value that cannot be taken."""
        problems, is_batch = self.problems, self.problems.is_batch
        room = _take_room(self.out, self._shapes, problems.x, self.given[1:4])
        if room is None:
            room = _filled(np.empty, self._shapes, problems.x.dtype)
        if len(problems) == 0:
            none = _Loss((problems.x,), (), problems.x.dtype, 1, problems, self.reduction, False, 1)
            loss = np.zeros(() if self.reduction != "none" else 0, problems.x.dtype)
            none.fill(loss, None)
            found: tuple[Any, Any, Any] = (loss[()], np.empty(0, np.int32), None)
        else:
            found = _core.ctc_forward_backward(
                *problems.native(),
                self.reduction,
                self.zero_infinity,
                self.threads,
                None,
                room,
                True,
            )
        loss, status, bad = found
        problems.require_good(bad)
        if not is_batch:
            loss, status = loss if self.reduction != "none" else loss[0], status[0]
        grad = [*self.out] if isinstance(self.out, tuple) else self.out
        if grad is None:
            wrap = problems.x.kind.wrap
            grad = [wrap(array) for array in room] if isinstance(room, list) else wrap(room)
        return CTCPosteriors(loss, grad, status, *self.given)

    def on_gpu(self, gpu: Gpu) -> CTCPosteriors:
        """Queue on the caller's stream."""
        problems = self.problems
        room = _take_room(self.out, self._shapes, problems.x, self.given[1:4])
        stays = problems.x.kind.gpu is not None
        rows = _cuda_ctc.Rows.take(self._shapes, problems.x.dtype, gpu, room if stays else None)
        is_each = self.reduction == "none"
        loss = gpu.empty((len(problems),) if is_each else (), problems.x.dtype)
        found = _cuda_ctc.queue_losses(
            problems,
            gpu,
            loss,
            rows,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )
        losses, status = loss.owner, found.owner
        if not problems.is_batch:
            losses, status = losses[0] if is_each else losses, status[0]
        # What comes back to the host does so without what has not left it.
        given = self.given if stays else (None,) * len(self.given)
        return CTCPosteriors(losses, rows.owner, status, *given)

    def settle(self, found: CTCPosteriors, *, from_gpu: bool) -> CTCPosteriors:
        """Raise for the first score that cannot be taken."""
        if not from_gpu:
            return found
        if (np.atleast_1d(found.status) == Status.NAN).any():
            self.problems.require_readable()
        grad = found.grad
        if self.out is not None:
            room = _take_room(self.out, self._shapes, self.problems.x, self.given[1:4])
            views, parts = (room, grad) if isinstance(room, list) else ([room], [grad])
            for view, part in zip(views, parts, strict=True):
                view[...] = part
            grad = [*self.out] if isinstance(self.out, tuple) else self.out
        return CTCPosteriors(found.loss, grad, found.status, *self.given)


def _take_room(out: Any, shapes: Any, x: Batch, others: tuple[Any, ...]) -> Any:
    """Return checked views of the arrays that a gradient goes to; None for new ones."""
    return None if out is None else _validate.take_outs(out, shapes, x.dtype, x, others)


def ctc_forward_backward(
    x: Any,
    targets: Any,
    x_lengths: Any,
    target_lengths: Any,
    blank: Any,
    input: Any,
    reduction: Any,
    zero_infinity: Any,
    threads: Any,
    device: Any,
    out: Any,
) -> CTCPosteriors:
    """Compute losses and gradients of what `coalign.ctc_forward_backward` takes."""
    given = (x, targets, x_lengths, target_lengths, blank, input)
    # Whether `out` may take the gradient is for the general way to say.
    if out is None and (plain := as_plain(x)):
        scores, kind = plain
        texts, frames, labels = map(as_plain_integers, (targets, x_lengths, target_lengths))
        options = (blank, input, reduction, zero_infinity, threads, device, None)
        found = _core.ctc_forward_backward(scores, texts, frames, labels, *options)
        computed = (field_in_kind(field, kind) for field in found._writeable_fields()[:3])
        return CTCPosteriors(*computed, *given)
    device = _execution.take_device(device)
    choice(reduction, "reduction", REDUCTIONS)
    zero_infinity = take_flag(zero_infinity, "zero_infinity")
    threads = _execution.thread_count(threads)
    problems = Problems.take(x, targets, x_lengths, target_lengths, blank, input)
    call = _Posteriors((problems.x,), problems, given, reduction, zero_infinity, threads, out)
    return carry_out(call, device)


def occupancy(found: CTCPosteriors, per: Any) -> Any:
    """Compute what `CTCPosteriors.occupancy` returns."""
    choice(per, "per", ("symbol", "state"))
    problems = Problems.take(
        found.x, found.targets, found.x_lengths, found.target_lengths, found.blank, found.input
    )
    if problems.x.kind.gpu is not None:
        return _occupancy_on_gpu(problems, problems.x.kind.gpu, per)
    labels = problems.texts.lengths[0]
    most = 2 * int(labels.max(initial=0)) + 1

    def states(p: int) -> int:
        return 2 * int(labels[p if problems.texts.is_batch else 0]) + 1

    rooms = _filled(np.zeros, problems.shapes(states, most), problems.x.dtype)
    if len(problems) > 0:
        threads = _execution.default_threads()
        problems.require_good(_core.ctc_occupancy(*problems.native(), threads, rooms))
    if per == "symbol":
        symbols = _validate.count_symbols(problems.x)
        by_state = rooms
        shapes = problems.shapes(lambda _: symbols, symbols)
        rooms = _filled(np.zeros, shapes, problems.x.dtype)
        for p in range(len(problems)):
            item = p if problems.is_batch else ...
            text = problems.texts.item(p if problems.texts.is_batch else 0)
            _add_by_symbol(by_state[item], text, problems.blank, rooms[item])
    wrap = problems.x.kind.wrap
    return [wrap(room) for room in rooms] if isinstance(rooms, list) else wrap(rooms)


def _occupancy_on_gpu(problems: Problems, gpu: Gpu, per: str) -> Any:
    if per == "state":
        raise DeviceError(
            'per: expected "symbol" on a GPU, got "state"; the CPU takes it, for x in host memory'
        )
    symbols, dtype = _validate.count_symbols(problems.x), problems.x.dtype
    rows = _cuda_ctc.Rows.take(problems.shapes(lambda _: symbols, symbols), dtype, gpu)
    loss = gpu.empty((len(problems),), dtype)
    _cuda_ctc.queue_losses(
        problems, gpu, loss, rows, reduction="none", zero_infinity=False, wants_occupancy=True
    )
    return rows.owner


def _filled(make: Any, shapes: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(shapes, list):
        return [make(shape, dtype) for shape in shapes]
    return make(shapes, dtype)


def _add_by_symbol(states: Array, text: npt.NDArray[np.int64], blank: int, out: Array) -> None:
    """Add up what the states of each symbol hold, in the order of the text."""
    symbols = np.full(2 * len(text) + 1, blank)
    symbols[1::2] = text
    order = np.argsort(symbols, kind="stable")
    used, begins = np.unique(symbols[order], return_index=True)
    out[:, used] = np.add.reduceat(states[:, order], begins, axis=1)
