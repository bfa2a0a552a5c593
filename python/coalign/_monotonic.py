"""The general way of monotonic alignment: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import as_plain, as_plain_integers
from ._batch import Batch, has_whole_strides
from ._cuda_monotonic import align
from ._device import Gpu
from ._errors import Status, level_of_caller
from ._monotonic_result import MonotonicAlignment
from ._pipeline import ResultCall, carry_out, in_kind, require_feasible


@dataclass(frozen=True, slots=True)
class _Call(ResultCall[MonotonicAlignment]):
    """A call of monotonic alignment."""

    threads: int

    @property
    def scores(self) -> Batch:
        """The scores of all problems."""
        return self.inputs[0]

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        # Scores are read once, and the CPU reads them about as fast as they are copied.
        return _execution.repays_gpu(len(self.scores), 0.0, math.inf)

    def on_host(self) -> MonotonicAlignment:
        """Align on the CPU; raise for the first score that is NaN or +inf."""
        scores = self.scores
        if len(scores) == 0 and not scores.is_padded:
            return MonotonicAlignment([], [], np.empty(0), np.empty(0, np.int32))
        found, wrong = _core.monotonic_alignment(
            scores.native(scores.dtype, has_whole_strides),
            scores.native_lengths(0),
            scores.native_lengths(1),
            self.threads,
            None,
            True,
        )
        if wrong is not None:
            problem, *index = wrong
            raise scores.bad_value(problem, tuple(index), "finite scores or -inf")
        return found

    def on_gpu(self, gpu: Gpu) -> MonotonicAlignment:
        """Queue every problem on the caller's stream."""
        return align(self.scores, gpu)

    def settle(self, found: MonotonicAlignment, *, from_gpu: bool) -> MonotonicAlignment:
        """Raise for the first problem without an alignment, and warn of overflow."""
        if from_gpu and (found.status == Status.NAN).any():
            # The CPU looks for the first such score that a path could meet.
            self.on_host()
        require_feasible(found.status, self.scores.is_batch, self._why)
        status = np.atleast_1d(found.status)
        overflown = np.count_nonzero(status == Status.PRECISION_LIMIT)
        if overflown:
            warnings.warn(
                f"monotonic_alignment: {overflown} of {status.size} totals overflow float64; "
                "their status is PRECISION_LIMIT",
                RuntimeWarning,
                stacklevel=level_of_caller(),
            )
        return found

    def _why(self, problem: int) -> str:
        tokens, frames = (int(counts[problem]) for counts in self.scores.lengths)
        of_all = f"{tokens} tokens and {frames} frames"
        if tokens == 0 or tokens > frames:
            return f"expected at least one frame per token, and no frame without one, got {of_all}"
        return f"every alignment of {of_all} meets a score of -inf"


def monotonic_alignment(
    score: Any, text_lengths: Any, frame_lengths: Any, threads: Any, device: Any
) -> MonotonicAlignment:
    """Align what `coalign.monotonic_alignment` takes; raise for the first that has no path."""
    if plain := as_plain(score):
        given, kind = plain
        tokens, frames = map(as_plain_integers, (text_lengths, frame_lengths))
        return in_kind(_core.monotonic_alignment(given, tokens, frames, threads, device), kind)
    device = _execution.take_device(device)
    threads = _execution.thread_count(threads)
    lengths = (text_lengths, "text_lengths"), (frame_lengths, "frame_lengths")
    scores = _validate.take_matrices(score, "score", *lengths, empty=True, on_gpu=True)
    return carry_out(_Call((scores,), threads), device)
