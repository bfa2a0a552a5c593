"""CTC calls on a GPU: recordings, texts and results are placed there, and the call is queued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _execution
from ._alignment_result import CTCAlignment
from ._batch import Batch, Lengths
from ._cuda_call import Fields, Placed, on_device, place, place_items, queue
from ._device import DeviceArray, Gpu, require_native

# The workspace that a call may take for emissions and lattices, if so little is enough for it.
_WORKSPACE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows of frames go on a GPU: `native` says it, for the items at `addresses` of a list.

    `owner` is what a result holds.
    """

    owner: Any
    native: dict[str, int]
    addresses: npt.NDArray[np.int64] | None = None

    @classmethod
    def take(cls, shapes: Any, dtype: np.dtype[Any], gpu: Gpu, given: Any = None) -> Rows:
        """Make room for arrays of these shapes, unless it is given."""
        size = dtype.itemsize
        if not isinstance(shapes, list):
            array = gpu.empty(shapes, dtype) if given is None else given
            steps = [stride // size for stride in array.strides]
            native = {
                "gradient": array.pointer,
                "gradient_rows": shapes[-2],
                "gradient_item_stride": steps[0] if len(shapes) == 3 else 0,
                "gradient_row_stride": steps[-2],
            }
            return cls(array.owner, native)
        columns = shapes[0][1] if shapes else 0
        native = {
            "gradient": 0,
            "gradient_rows": 0,
            "gradient_item_stride": 0,
            "gradient_row_stride": columns,
        }
        if given is not None:
            _require_no_gaps(given, columns * size)
            addresses = np.array([array.pointer for array in given], np.int64)
            return cls([array.owner for array in given], native, addresses)
        sizes = np.array([frames * columns for frames, _ in shapes], np.int64)
        flat = gpu.empty((int(sizes.sum()),), dtype)
        begins = np.cumsum(sizes) - sizes
        owner = [
            flat.owner[begin : begin + count].reshape(shape)
            for begin, count, shape in zip(begins.tolist(), sizes.tolist(), shapes, strict=True)
        ]
        return cls(owner, native, flat.pointer + begins * size)


def _require_no_gaps(given: Sequence[DeviceArray], row_bytes: int) -> None:
    for i, array in enumerate(given):
        if array.shape[0] > 1 and array.strides[0] != row_bytes:
            raise ValueError(f"out[{i}]: expected rows without gaps between them, on a GPU")


_NO_ROWS = Rows(
    None,
    dict.fromkeys(("gradient", "gradient_rows", "gradient_item_stride", "gradient_row_stride"), 0),
)


def queue_losses(
    problems: Any,
    gpu: Gpu,
    loss: DeviceArray,
    rows: Rows = _NO_ROWS,
    *,
    reduction: str,
    zero_infinity: bool,
    wants_occupancy: bool = False,
) -> DeviceArray:
    """Queue losses, and gradients if there is room for them; return the status of each problem."""
    x, count = problems.x, len(problems)
    status = gpu.empty((count,), np.int32)
    more = {} if rows.addresses is None else {"gradient_items": rows.addresses}
    batch, addresses, held = _place_problems(problems, gpu, **more)
    call = require_native().Ctc(
        dtype=x.dtype.name,
        batch=batch,
        reduction=reduction,
        zero_infinity=zero_infinity,
        wants_occupancy=wants_occupancy,
        loss=loss.pointer,
        status=status.pointer,
        device=gpu.index,
        workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
        **{"gradient_items": 0, **addresses},
        **rows.native,
    )
    offsets = gpu.upload(call.offsets)
    queue(call, gpu, offsets=offsets.pointer)
    del held
    return status


def align(problems: Any, options: dict[str, Any], gpu: Gpu) -> CTCAlignment:
    """Queue the search for the best paths; `options` are the wildcard and the open ends."""
    x, texts, count = problems.x, problems.texts, len(problems)
    form = x if x.is_batch or not texts.is_batch else texts
    is_list = form.is_batch and not form.is_padded
    frames, labels = (np.resize(side.lengths[0], count) for side in (x, texts))
    fields = Fields(gpu, count, problems.is_batch)
    sides = {
        "frame": (frames, None if is_list else x.room(0) or 0),
        "label": (labels, None if is_list else max(texts.room(0) or 0, int(labels.max(initial=0)))),
    }
    outputs = {
        name: fields.entries(name, dtype, *sides[side])
        for name, side, dtype in (
            ("labels", "frame", np.int64),
            ("frame_score", "frame", x.dtype),
            ("start", "label", np.int64),
            ("stop", "label", np.int64),
            ("token_score", "label", x.dtype),
            ("confidence", "label", x.dtype),
        )
    }
    outputs |= {
        "total": fields.each("total", np.float64),
        "status": fields.each("status", np.int32),
    }
    if count > 0:
        begins = {
            f"{side}_at": np.arange(count) * room
            if room is not None
            else np.cumsum(counts) - counts
            for side, (counts, room) in sides.items()
        }
        batch, addresses, held = _place_problems(problems, gpu, **begins)
        call = require_native().Viterbi(
            dtype=x.dtype.name,
            batch=batch,
            **options,
            **{f"{side}_room": room or 0 for side, (_, room) in sides.items()},
            device=gpu.index,
            workspace_bytes=_execution.forced_or("workspace_bytes", _WORKSPACE_BYTES),
            **addresses,
            **outputs,
        )
        queue(call, gpu)
        del held
    return CTCAlignment(**fields.values)


def _place_problems(
    problems: Any, gpu: Gpu, **more: Lengths
) -> tuple[Any, dict[str, int], tuple[Any, ...]]:
    """Put recordings and texts on a GPU, with one table of what is told of every problem.

    Returns how native code is told of them, the addresses of `more`, and what has to outlive the
    call.
    """
    count, x, texts = len(problems), problems.x, problems.texts
    counts = {
        "frame_counts": np.resize(x.lengths[0], count),
        "label_counts": np.resize(texts.lengths[0], count),
    }
    frames = _place_frames(x, gpu, count)
    items, labels = _place_labels(texts, gpu, count)
    columns = {**counts, "label_items": np.resize(items, count), **more}
    table = gpu.upload(np.stack(list(columns.values())).astype(np.int64))
    at = {name: table.pointer + k * table.strides[0] for k, name in enumerate(columns)}
    for name, side in (("frame_counts", x), ("label_counts", texts)):
        for lengths in side.device_lengths:
            if lengths is not None:
                at[name] = lengths.pointer
    addresses = {name: at.pop(name) for name in more}
    batch = require_native().CtcBatch(
        frames=frames.native,
        host_frame_counts=counts["frame_counts"],
        host_label_counts=counts["label_counts"],
        most_labels=int(counts["label_counts"].max(initial=0)),
        blank=problems.blank,
        input=problems.input,
        **at,
    )
    return batch, addresses, (frames, labels, table)


def _place_frames(x: Batch, gpu: Gpu, count: int) -> Placed:
    if count == 0:
        none = require_native().Ragged(
            data=0,
            items=0,
            count=0,
            rows=0,
            columns=1,
            strides=(0, 0, 1),
            row_lengths=0,
            column_lengths=0,
        )
        return Placed(none, (None,), {}, ())
    if x.is_padded:
        # The lengths of a problem go over beside those of its text.
        whole = np.broadcast_to(np.int64(x.data.shape[1]), len(x))
        x = replace(x, lengths=(whole,), device_lengths=())
    return place(x, x.dtype, gpu)


def _place_labels(texts: Batch, gpu: Gpu, count: int) -> tuple[Lengths, tuple[DeviceArray, ...]]:
    """Put the labels of texts on the device: where each text begins, and what holds them."""
    dtype = np.dtype(np.int64)
    if count == 0:
        return np.empty(0, np.int64), ()
    if not texts.is_padded:
        return place_items(texts.data, dtype, gpu)
    labels = on_device(texts.data, dtype, gpu)
    return labels.pointer + np.arange(len(texts)) * labels.strides[0], (labels,)
