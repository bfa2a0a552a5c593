"""Monotonic alignment on a GPU: scores and results are placed there, and the call is queued."""

from __future__ import annotations

import numpy as np

from . import _execution
from ._batch import Batch
from ._cuda_call import Fields, place, queue
from ._device import Gpu, require_native
from ._monotonic_result import MonotonicAlignment

# The workspace that a call may take for the way back, if so little is enough for it.
_WORKSPACE_BYTES = 1 << 30


def align(scores: Batch, gpu: Gpu) -> MonotonicAlignment:
    """Queue every problem on the caller's stream."""
    fields = Fields(gpu, len(scores), scores.is_batch)
    outputs = {
        "durations": fields.along("durations", np.int64, scores, 0),
        "token_of_frame": fields.along("token_of_frame", np.int64, scores, 1),
        "total": fields.each("total", np.float64),
        "status": fields.each("status", np.int32),
    }
    if len(scores) > 0:
        begins = {}
        if not scores.is_padded and scores.is_batch:
            sides = zip(("row_at", "column_at"), scores.lengths, strict=True)
            begins = {name: np.cumsum(counts) - counts for name, counts in sides}
        placed = place(scores, scores.dtype, gpu, **begins)
        call = require_native().Monotonic(
            dtype=scores.dtype.name,
            scores=placed.native,
            host_rows=placed.host_lengths[0],
            host_columns=placed.host_lengths[1],
            **(placed.more or {"row_at": 0, "column_at": 0}),
            device=gpu.index,
            workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
            **outputs,
        )
        queue(call, gpu)
    return MonotonicAlignment(**fields.values)
