"""The general way of forced alignment: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _cuda_ctc, _execution, _validate
from ._alignment_result import CTCAlignment
from ._arrays import Array, as_plain, as_plain_integers
from ._batch import Batch, has_contiguous_rows, has_whole_strides
from ._ctc import Problems
from ._device import Gpu
from ._errors import Status
from ._pipeline import ResultCall, carry_out, in_kind, require_feasible
from ._scalars import as_integer, choice, take_flag


@dataclass(frozen=True, slots=True)
class _Align(ResultCall[CTCAlignment]):
    """A call that aligns recordings with their texts."""

    problems: Problems
    options: dict[str, Any]  # the wildcard and both ends
    threads: int

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        return self.problems.repays_gpu

    def on_host(self) -> CTCAlignment:
        """Align on the CPU; raise for the first value that is no score."""
        x, texts = self.inputs
        if any(side.is_batch and len(side) == 0 for side in self.inputs):
            return _nothing(x, texts)
        try:
            return _core.ctc_align(
                x.native(x.dtype, _is_readable),
                texts.native(np.dtype(np.int64), lambda array: array.flags.c_contiguous),
                x.native_lengths(),
                texts.native_lengths(),
                self.problems.blank,
                self.problems.input,
                *self.options.values(),
                self.threads,
                None,
                True,
            )
        except _core.NotFiniteError as error:
            _, item, element = error.args
            place = divmod(element, _validate.count_symbols(x))
            raise x.bad_value(item if x.is_batch else 0, place, _validate.WANTED) from None

    def on_gpu(self, gpu: Gpu) -> CTCAlignment:
        """Queue every problem on the caller's stream."""
        return _cuda_ctc.align(self.problems, self.options, gpu)

    def settle(self, found: CTCAlignment, *, from_gpu: bool) -> CTCAlignment:
        """Raise for the first text that does not fit its recording."""
        if from_gpu and (found.status == Status.NAN).any():
            # The CPU looks for the first such score that is read.
            self.on_host()
        require_feasible(found.status, self.problems.is_batch, self._misfit)
        return found

    def _misfit(self, problem: int) -> str:
        """Say why a problem has no alignment."""
        x, texts = (side.item(problem if side.is_batch else 0) for side in self.inputs)
        repeats = int((texts[1:] == texts[:-1]).sum())
        if len(texts) + repeats > len(x):
            parted = f" of which {repeats} follow an equal one after a blank" if repeats else ""
            return f"{len(x)} frames cannot hold {len(texts)} tokens{parted}"
        return "every alignment has a frame of probability zero"


def _nothing(x: Batch, texts: Batch) -> CTCAlignment:
    """Return the alignments of no recordings, or of one with no texts."""
    frames, tokens = x.room(0), texts.room(0)
    no_total, no_status = np.empty(0), np.empty(0, np.int32)
    if not x.is_padded and (x.is_batch or not texts.is_padded):
        empty: list[Array] = []
        return CTCAlignment(*[empty] * 6, no_total, no_status)
    shapes = ((0, frames or 0), (0, tokens or 0))
    labels, frame_scores = (np.empty(shapes[0], dtype) for dtype in (np.int64, x.dtype))
    starts, scores = (np.empty(shapes[1], dtype) for dtype in (np.int64, x.dtype))
    return CTCAlignment(labels, frame_scores, starts, starts, scores, scores, no_total, no_status)


def _is_readable(array: Array) -> bool:
    return has_contiguous_rows(array) and has_whole_strides(array)


def _take_wildcard(wildcard: Any, x: Batch) -> int | None:
    """Check the label that stands for any symbols: none of theirs."""
    if wildcard is None:
        return None
    value, symbols = as_integer(wildcard), _validate.count_symbols(x)
    if value is None:
        raise TypeError(f"wildcard: expected None or an integer, got {type(wildcard).__name__}")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"wildcard: expected a label of at most 64 bits, got {value}")
    if 0 <= value < symbols and x.arrays:
        raise ValueError(
            f"wildcard: expected a label that is no symbol from 0 to {symbols - 1}, got {value}"
        )
    return value


def ctc_align(
    x: Any,
    targets: Any,
    x_lengths: Any,
    target_lengths: Any,
    blank: Any,
    input: Any,  # the field's word
    wildcard: Any,
    open_begin: Any,
    open_end: Any,
    threads: Any,
    device: Any,
) -> CTCAlignment:
    """Align what `coalign.ctc_align` takes; raise for the first text that does not fit."""
    if plain := as_plain(x):
        given, kind = plain
        integers = map(as_plain_integers, (targets, x_lengths, target_lengths))
        ways = (blank, input, wildcard, open_begin, open_end, threads, device)
        return in_kind(_core.ctc_align(given, *integers, *ways), kind)
    device = _execution.take_device(device)
    scores = _validate.take_emissions(x, x_lengths, on_gpu=True)
    silence = _validate.take_blank(blank, scores)
    anything = _take_wildcard(wildcard, scores)
    texts = _validate.take_targets(targets, target_lengths, scores, silence, anything)
    problems = Problems(scores, texts, silence, choice(input, "input", _validate.INPUTS))
    options = {
        "wildcard": anything,
        "open_begin": take_flag(open_begin, "open_begin"),
        "open_end": take_flag(open_end, "open_end"),
    }
    threads = _execution.thread_count(threads)
    return carry_out(_Align((scores, texts), problems, options, threads), device)
