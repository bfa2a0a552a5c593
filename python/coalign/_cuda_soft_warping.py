"""Soft-DTW calls on a GPU: series, windows and results are placed there, and the call is queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _execution
from ._batch import Batch, Lengths
from ._cuda_call import Fields, address, queue
from ._cuda_warping import Bounds, Side
from ._device import DeviceArray, Gpu, require_native

# The workspace that a call may take for tiles of lattices, if so little is enough for it.
_WORKSPACE_BYTES = 1 << 30


def warp_softly(
    pair: tuple[Batch, ...],
    lengths: list[Lengths],
    dtype: np.dtype[Any],
    gamma: float,
    window: tuple[str, Any],
    grad: bool,
    gpu: Gpu,
) -> dict[str, Any]:
    """Queue every pair on the caller's stream; return value, gradients and status by name."""
    n, m = lengths
    is_batch = any(side.is_batch for side in pair)
    fields = Fields(gpu, len(n), is_batch)
    outputs = {"value": fields.each("value", dtype), "status": fields.each("status", np.int32)}
    rooms = [_Room.take(pair, lengths, k, dtype, gpu) if grad else _NOTHING for k in (0, 1)]
    if len(n):
        cells = n * m
        # The largest come first, so that the last ones to be handed out are short.
        order = gpu.upload(np.argsort(-cells, kind="stable")) if np.ptp(cells) else None
        sides = [Side(side, dtype, gpu) for side in pair]
        bounds = Bounds(window, n, m, gpu)
        call = require_native().SoftWarping(
            dtype=dtype.name,
            dim=sides[0].dim,
            x=sides[0].native,
            y=sides[1].native,
            gamma=gamma,
            order=address(order),
            window=bounds.kind,
            rows=address(bounds.on_device),
            host_rows=bounds.on_host,
            grad_x=address(rooms[0].memory),
            grad_y=address(rooms[1].memory),
            x_at=address(rooms[0].begins),
            y_at=address(rooms[1].begins),
            device=gpu.index,
            workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
            strips=0,
            **outputs,
        )
        queue(call, gpu)
    return {**fields.values, "grad_x": rooms[0].owner, "grad_y": rooms[1].owner}


@dataclass(frozen=True, slots=True)
class _Room:
    """Where the gradients of one side go: `owner` is what the result holds.

    In a list, `begins` counts the frames before those of each pair.
    """

    owner: Any
    memory: DeviceArray | None
    begins: DeviceArray | None

    @classmethod
    def take(
        cls,
        pair: tuple[Batch, ...],
        lengths: list[Lengths],
        k: int,
        dtype: np.dtype[Any],
        gpu: Gpu,
    ) -> _Room:
        """Make room for the gradients of every pair."""
        side, other, frames = pair[k], pair[1 - k], lengths[k]
        dim = int(side.arrays[0].shape[-1]) if side.arrays else 1
        # One series goes the way of the batch that it is paired with.
        form = side if side.is_batch else other
        count, room = len(frames), side.room(0)
        if form.is_batch and (form.room(0) is None or room is None):
            ends = np.cumsum(frames)
            flat = gpu.empty((int(frames.sum()) * dim,), dtype)
            ndims = side.ndims if side.is_batch else [side.ndims[0]] * count
            parts = zip(ends.tolist(), frames.tolist(), ndims, strict=True)
            owner = [
                flat.owner[(end - n) * dim : end * dim].reshape((n,) if ndim == 1 else (n, dim))
                for end, n, ndim in parts
            ]
            return cls(owner, flat, gpu.upload(ends - frames) if count else None)
        assert room is not None
        # A series without a second axis has a gradient without one.
        is_flat = not side.is_padded and side.ndims[0] == 1
        array = gpu.empty((count, room) if is_flat else (count, room, dim), dtype)
        return cls(array.owner if form.is_batch else array.owner[0], array, None)


_NOTHING = _Room(None, None, None)
