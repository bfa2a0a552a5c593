"""Checks of arguments that are arrays, and the words of what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ._arrays import (
    NUMPY,
    Array,
    Kind,
    from_gpu,
    is_array,
    lies_on_gpu,
    same_kind,
    take_array,
    to_host,
    to_numpy,
    writable,
)
from ._batch import Batch, Lengths
from ._device import DeviceArray
from ._errors import DeviceError
from ._scalars import LONGEST, as_integer

#: Lengths as the user gave them, and the name of that argument.
GivenLengths = tuple[Any, str]


def take_series(
    obj: Any,
    name: str,
    lengths: Any,
    lengths_name: str,
    *,
    collection: bool = False,
    noun: tuple[str, str] = ("frame", "series"),
    on_gpu: bool = True,
) -> Batch:
    """Check a series, a padded batch or a list; a `collection` reads a 2-D array as many series.

    The noun says in errors what a row is, and all of them. Only with `on_gpu` may they lie on a
    GPU.
    """
    found = _take_batch(
        obj,
        name,
        ((lengths, lengths_name),),
        None if collection else "one series",
        (1, 2),
        (2, 3) if collection else (3,),
        partial(require_frames, noun=noun),
        on_gpu=on_gpu,
    )
    if not found.is_padded:
        for i, array in enumerate(found.data):
            if array.shape[-1] != found.data[0].shape[-1]:
                raise ValueError(
                    f"{name}[{i}]: expected {found.data[0].shape[-1]} dimensions as in {name}[0], "
                    f"got {array.shape[-1]}"
                )
    return found


def take_matrices(
    obj: Any,
    name: str,
    row_lengths: GivenLengths,
    column_lengths: GivenLengths,
    *,
    empty: bool = False,
    on_gpu: bool = False,
) -> Batch:
    """Check a matrix, a padded batch or a list of them; with `empty`, axes may have no length.

    Only with `on_gpu` may they lie on a GPU.
    """
    least = 0 if empty else 1

    def require_shape(shape: tuple[int, ...], item_name: str) -> None:
        require_matrix(shape, item_name, least)

    lengths = (row_lengths, column_lengths)
    return _take_batch(
        obj, name, lengths, "one matrix", (2,), (3,), require_shape, least=least, on_gpu=on_gpu
    )


# What x may be, what is said of a value that cannot be taken, and of a GPU.
INPUTS = ("logits", "log_probs")
WANTED = "finite values, or -inf for probability zero"
ONLY_CPU = 'device: "cuda" does not compute CTC; the CPU does'


def take_emissions(x: Any, x_lengths: Any, *, on_gpu: bool = False) -> Batch:
    """Check recordings: frames of scores of symbols, (T, C), a padded batch or a list.

    Only with `on_gpu` may they lie on a GPU.
    """
    lengths = ((x_lengths, "x_lengths"),)
    found = _take_batch(
        x, "x", lengths, "one recording", (2,), (3,), require_scores, least=0, on_gpu=on_gpu
    )
    symbols = count_symbols(found)
    for i, array in enumerate(found.arrays):
        if array.shape[-1] != symbols:
            raise ValueError(
                f"x[{i}]: expected {symbols} symbols as in x[0], got {array.shape[-1]}"
            )
    return found


def count_symbols(x: Batch) -> int:
    """Return of how many symbols the frames hold scores; an empty list sets no bound."""
    return int(x.arrays[0].shape[-1]) if x.arrays else LONGEST


def take_blank(blank: Any, x: Batch) -> int:
    """Check which of the symbols is the blank; -1 is the last."""
    value, symbols = as_integer(blank), count_symbols(x)
    if value is None:
        raise TypeError(f"blank: expected an integer, got {type(blank).__name__}")
    if not -1 <= value < symbols:
        raise ValueError(f"blank: expected a symbol from 0 to {symbols - 1}, or -1, got {value}")
    return symbols - 1 if value == -1 else value


def take_targets(
    targets: Any, target_lengths: Any, x: Batch, blank: int, wildcard: int | None = None
) -> Batch:
    """Check the texts of recordings: labels other than the blank, as contiguous int64.

    They come as (L,) for one text; as (B, L), as a list of (L,), or as all labels one after the
    other with the texts' lengths. They lie in host memory, in arrays of any kind, or beside x on
    a GPU; there they stay, and their labels are checked by who reads them.
    """
    found = _take_texts(targets, target_lengths, x)
    require_pairs(x, found)
    if lies_on_device(found):
        return found
    symbols = count_symbols(x)
    beside = "" if wildcard is None else f", or the wildcard, {wildcard}"

    def are_labels(labels: Array) -> Any:
        are_symbols = (labels >= 0) & (labels < symbols) & (labels != blank)
        return are_symbols if wildcard is None else are_symbols | (labels == wildcard)

    found.require_all(
        are_labels, f"labels from 0 to {symbols - 1} other than the blank, {blank}{beside}"
    )
    return found


def lies_on_device(texts: Batch) -> bool:
    """Whether labels or lengths of texts stay on a GPU."""
    arrays = (*texts.arrays, *texts.device_lengths)
    return any(isinstance(array, DeviceArray) for array in arrays)


def _take_texts(targets: Any, lengths: Any, x: Batch) -> Batch:
    is_list = isinstance(targets, (list, tuple)) and (
        any(is_array(item) or isinstance(item, (list, tuple)) for item in targets)
        if len(targets) > 0
        # Beside one recording an empty list is an empty text.
        else x.is_batch
    )
    if is_list and lengths is not None:
        # Nested lists of one length are one array, as they are for x.
        sizes = {len(item) if isinstance(item, (list, tuple)) else None for item in targets}
        is_list = None in sizes or len(sizes) != 1
    if is_list:
        require_no_lengths(((lengths, "target_lengths"),), "targets", "a list")
        texts = [
            _take_labels(item, f"targets[{i}]", (1,), x.kind) for i, item in enumerate(targets)
        ]
        for i, text in enumerate(texts):
            if isinstance(text, DeviceArray) is not isinstance(texts[0], DeviceArray):
                raise TypeError(
                    f"targets[0] and targets[{i}]: expected all texts on the host or all on the GPU"
                )
        return _list_of_texts(texts)
    labels = _take_labels(targets, "targets", (1, 2), x.kind)
    if labels.ndim == 2:
        return _padded(labels, "targets", x.kind, ((lengths, "target_lengths"),), 1, 0)
    if lengths is None:
        return Batch("targets", [labels], (np.array([labels.size]),), NUMPY, False, [1])
    if x.kind.gpu is not None and lies_on_gpu(lengths):
        raise DeviceError(
            "target_lengths: expected them in host memory, where labels follow one another"
        )
    return _list_of_texts(_cut(labels, lengths))


def _list_of_texts(texts: list[Any]) -> Batch:
    counts = np.array([text.size for text in texts], np.int64)
    return Batch("targets", texts, (counts,), NUMPY, True, [1] * len(texts))


def _cut(labels: Any, lengths: Any) -> list[Any]:
    """Cut labels that follow one another into texts."""
    name = "target_lengths"
    counts = take_lengths(
        lengths, name, np.size(take_integers(lengths, name, "integers")), labels.size, least=0
    )
    if counts.sum() != labels.size:
        raise ValueError(
            f"{name}: expected lengths of the {labels.size} labels in all, got {counts.sum()}"
        )
    if isinstance(labels, DeviceArray):
        ends = np.cumsum(counts)
        spans = zip((ends - counts).tolist(), ends.tolist(), strict=True)
        return [labels.library.describe(labels.owner[begin:end]) for begin, end in spans]
    return np.split(labels, np.cumsum(counts)[:-1]) if counts.size else []


def _take_labels(obj: Any, name: str, ndims: tuple[int, ...], kind: Kind) -> Any:
    """Take labels as contiguous int64, on the GPU if they lie there beside recordings."""
    if kind.gpu is not None and lies_on_gpu(obj):
        found, its_kind = from_gpu(obj, name, kinds="iu")
        same_kind(kind, its_kind, ("x", name))
        require_ndim(found, name, ndims)
        return found
    labels = take_integers(obj, name, "integer labels")
    require_ndim(labels, name, ndims)
    if labels.dtype == np.uint64 and (large := labels[labels >= 2**63]).size:
        raise ValueError(f"{name}: expected labels below 2**63, got {large[0]}")
    return np.ascontiguousarray(labels, np.int64)


def require_pairs(xs: Batch, ys: Batch) -> int:
    """Return how many pairs two sides make: one item goes with each of a batch."""
    if xs.is_batch and ys.is_batch and len(xs) != len(ys):
        raise ValueError(
            f"{xs.name} and {ys.name}: expected batches of one size, got {len(xs)} and {len(ys)}"
        )
    return len(xs) if xs.is_batch else len(ys)


def _take_batch(
    obj: Any,
    name: str,
    lengths: tuple[GivenLengths, ...],
    single: str | None,
    item_ndims: tuple[int, ...],
    batch_ndims: tuple[int, ...],
    require_shape: Callable[[tuple[int, ...], str], None],
    *,
    least: int = 1,
    on_gpu: bool = True,
) -> Batch:
    """Check an item, a padded batch or a list of items.

    Items have the axes of `item_ndims`, and those of one axis are given a second. As many axes as
    there are `lengths` may differ between items, and are at least `least` long. `single` says what
    one item is called; None refuses it, and reads every array as a batch.
    """
    is_list = isinstance(obj, (list, tuple)) and (
        len(obj) == 0 or any(is_array(item) for item in obj)
    )
    if is_list:
        require_no_lengths(lengths, name, "a list")
        items, kind = take_list(obj, name)
        if kind.gpu is not None and not on_gpu:
            to_numpy(obj[0], f"{name}[0]")
        for i, array in enumerate(items):
            require_ndim(array, f"{name}[{i}]", item_ndims)
    else:
        array, kind = (take_array if on_gpu else to_numpy)(obj, name)
        require_ndim(array, name, (*item_ndims, *batch_ndims) if single else batch_ndims)
        if array.ndim in batch_ndims:
            ndim = array.ndim - 1
            array = _with_two_axes(array, ndim)
            require_shape(array.shape[-2:], name)
            return _padded(array, name, kind, lengths, ndim, least)
        require_no_lengths(lengths, name, single or "")
        items = [array]
    ndims = [array.ndim for array in items]
    items = [_with_two_axes(array, array.ndim) for array in items]
    for i, array in enumerate(items):
        require_shape(array.shape, f"{name}[{i}]" if is_list else name)
    by_axis = tuple(
        np.array([array.shape[axis] for array in items], np.int64) for axis in range(len(lengths))
    )
    return Batch(name, items, by_axis, kind, is_list, ndims)


def _padded(
    array: Any, name: str, kind: Kind, lengths: tuple[GivenLengths, ...], ndim: int, least: int
) -> Batch:
    """Describe a padded batch; lengths that lie on its GPU stay there."""
    count = len(array)
    on_device = tuple(
        _take_device_lengths(given, words, count, kind)
        if kind.gpu is not None and lies_on_gpu(given)
        else None
        for given, words in lengths
    )
    counts = tuple(
        take_lengths(None if there is not None else given, words, count, most, least=least)
        for there, (given, words), most in zip(on_device, lengths, array.shape[1:], strict=False)
    )
    # A view of one number: to make a list of a million takes as long as a GPU takes to align them.
    return Batch(name, array, counts, kind, True, np.broadcast_to(ndim, count), on_device)


def _with_two_axes(array: Any, ndim: int) -> Any:
    """View items of one axis as items of two, the last of length 1."""
    if ndim == 2:
        return array
    return array.with_last_axis() if isinstance(array, DeviceArray) else array[..., np.newaxis]


def require_no_lengths(lengths: tuple[GivenLengths, ...], name: str, what: str) -> None:
    """Check that what is no padded batch comes without lengths."""
    for given, lengths_name in lengths:
        if given is not None:
            raise ValueError(
                f"{lengths_name}: only a padded batch takes lengths, and {name} is {what}"
            )


def take_list(items: Sequence[Any], name: str) -> tuple[list[Any], Kind]:
    """Check the items of a ragged batch: arrays, all of one kind."""
    arrays = []
    kind = NUMPY
    for i, item in enumerate(items):
        if not is_array(item):
            raise TypeError(
                f"{name}[{i}]: expected an array like the other items, got {type(item).__name__}"
            )
        array, item_kind = take_array(item, f"{name}[{i}]")
        kind = item_kind if i == 0 else same_kind(kind, item_kind, (f"{name}[0]", f"{name}[{i}]"))
        arrays.append(array)
    return arrays, kind


def require_like(xs: Batch, ys: Batch, noun: str = "frame") -> None:
    """Check that two sides can be aligned: one kind, one number of dimensions.

    An empty list has neither.
    """
    if not (xs.arrays and ys.arrays):
        return
    same_kind(xs.kind, ys.kind, (xs.name, ys.name))
    x_dim, y_dim = (side.arrays[0].shape[-1] for side in (xs, ys))
    if x_dim != y_dim:
        raise ValueError(
            f"{xs.name} and {ys.name}: expected {noun}s of one dimension, got {x_dim} and {y_dim}"
        )


def require_ndim(array: Array | DeviceArray, name: str, wanted: tuple[int, ...]) -> None:
    """Check the number of axes."""
    if array.ndim not in wanted:
        listed = " or ".join(f"{ndim}-D" for ndim in wanted)
        raise ValueError(f"{name}: expected a {listed} array, got shape {array.shape}")


def require_frames(
    shape: tuple[int, ...], name: str, noun: tuple[str, str] = ("frame", "series")
) -> None:
    """Check the (frames, dimensions) of a series."""
    frames, dim = shape
    row, whole = noun
    if frames == 0:
        raise ValueError(f"{name}: expected at least one {row}, got an empty {whole}")
    if dim == 0:
        raise ValueError(f"{name}: expected at least one dimension, got shape {shape}")
    if frames > LONGEST:
        raise ValueError(f"{name}: expected at most {LONGEST} {row}s, got {frames}")


def require_scores(shape: tuple[int, ...], name: str) -> None:
    """Check the (frames, symbols) of a recording."""
    frames, symbols = shape
    if symbols == 0:
        raise ValueError(f"{name}: expected at least one symbol, got shape {shape}")
    if max(frames, symbols) > LONGEST:
        raise ValueError(f"{name}: expected at most {LONGEST} frames and symbols, got {shape}")


def require_matrix(shape: tuple[int, ...], name: str, least: int) -> None:
    """Check the (rows, columns) of a matrix."""
    for count, axis in zip(shape, ("row", "column"), strict=True):
        if count < least:
            raise ValueError(f"{name}: expected at least one {axis}, got shape {shape}")
        if count > LONGEST:
            raise ValueError(f"{name}: expected at most {LONGEST} {axis}s, got {count}")


def take_lengths(lengths: Any, name: str, count: int, longest: int, *, least: int = 1) -> Lengths:
    """Check the lengths of a padded batch: `count` integers in [least, longest]."""
    if lengths is None:
        return np.full(count, longest, np.int64)
    values = take_integers(lengths, name, "integers")
    if values.shape != (count,):
        raise ValueError(f"{name}: expected shape ({count},), got {values.shape}")
    wrong = np.flatnonzero((values < least) | (values > longest))
    if wrong.size:
        first = wrong[0]
        raise ValueError(
            f"{name}: expected lengths from {least} to {longest}, "
            f"got {values[first]} at index {first}"
        )
    return values.astype(np.int64)


def _take_device_lengths(lengths: Any, name: str, count: int, kind: Kind) -> DeviceArray:
    """Check the shape and dtype of lengths that lie beside their batch; their values stay there."""
    found, lengths_kind = from_gpu(lengths, name, kinds="iu")
    same_kind(kind, lengths_kind, ("the batch", name))
    if found.shape != (count,):
        raise ValueError(f"{name}: expected shape ({count},), got {found.shape}")
    return found


def take_integers(obj: Any, name: str, wanted: str) -> Array:
    """Take an option that is an array of integers, from any kind of array or a list."""
    if hasattr(obj, "detach"):
        if getattr(obj, "is_meta", False):
            raise DeviceError(f"{name}: lies on meta, where coalign does not compute")
        obj = obj.detach().cpu()
    elif lies_on_gpu(obj):
        obj = to_host(obj)
    try:
        values = np.asarray(obj)
    except ValueError:
        raise TypeError(f"{name}: expected {wanted}, got {type(obj).__name__}") from None
    if values.size == 0 and not is_array(obj):
        return values.astype(np.int64)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected {wanted}, got dtype {values.dtype}")
    return values


def take_out(
    out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[Batch]
) -> Array | DeviceArray:
    """Check a preallocated result: of a kind with the inputs, its last axis side by side."""
    room = _take_room(out, shape, dtype, inputs[0])
    require_apart([room], [array for side in inputs for array in side.arrays])
    return room


def take_outs(out: Any, shapes: Any, dtype: np.dtype[Any], x: Batch, others: Sequence[Any]) -> Any:
    """Check a preallocated result, or a list of one for each of a list of shapes.

    `others` are the further arguments of the call, as they were given.
    """
    is_list = isinstance(shapes, list)
    if is_list and (not isinstance(out, (list, tuple)) or len(out) != len(shapes)):
        raise TypeError(f"out: expected a list of {len(shapes)} arrays like {x.name}")
    pairs = zip(out, shapes, strict=True) if is_list else [(out, shapes)]
    rooms = [_take_room(array, shape, dtype, x) for array, shape in pairs]
    given = [
        writable(item, "")[0] if lies_on_gpu(item) else take_integers(item, "", "")
        for other in others
        for item in (other if isinstance(other, (list, tuple)) else [other])
        if is_array(item)
    ]
    require_apart(rooms, [*x.arrays, *given])
    return rooms if is_list else rooms[0]


def _take_room(
    out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], like: Batch
) -> Array | DeviceArray:
    if not (is_array(out) and hasattr(out, "shape") and hasattr(out, "dtype")):
        raise TypeError(f"out: expected an array, got {type(out).__name__}")
    got_shape, got_dtype = tuple(out.shape), str(out.dtype).removeprefix("torch.")
    if got_shape != shape or got_dtype != dtype.name:
        raise ValueError(
            f"out: expected shape {shape} of {dtype}, got shape {got_shape} of {got_dtype}"
        )
    view, kind = writable(out, "out")
    same_kind(like.kind, kind, (like.name, "out"))
    if isinstance(view, np.ndarray) and not view.flags.writeable:
        raise ValueError("out: expected a writable array, got a read-only one")
    if view.size == 0:
        return view
    size = view.dtype.itemsize
    aligned = isinstance(view, DeviceArray) or view.flags.aligned
    if not aligned or (shape[-1] > 1 and view.strides[-1] != size):
        raise ValueError("out: expected rows of unit stride")
    taken = shape[-1] * size
    for stride, count in sorted(zip(map(abs, view.strides[:-1]), shape[:-1], strict=True)):
        if count > 1 and stride < taken:
            raise ValueError("out: expected rows that do not overlap")
        taken += stride * (count - 1)
    return view


def require_apart(
    rooms: Sequence[Array | DeviceArray], inputs: Sequence[Array | DeviceArray]
) -> None:
    """Check that what is written shares no memory with what is read, nor with itself.

    Arrays are looked at in the order in which they begin, and only those whose bounds overlap are
    compared: the time grows with their number, not with its square.
    """
    arrays = [
        (*_bounds(array), is_room, array)
        for side, is_room in ((rooms, True), (inputs, False))
        for array in side
        if array.size > 0
    ]
    # For each device, the rooms and the inputs that may reach past where the next array begins.
    reaching: dict[tuple[int, bool], list[tuple[int, Array | DeviceArray]]] = {}
    for device, begin, end, is_room, array in sorted(arrays, key=lambda each: each[:2]):
        for other_is_room in (True, False) if is_room else (True,):
            place = device, other_is_room
            reaching[place] = [each for each in reaching.get(place, ()) if each[0] > begin]
            if any(_overlap(array, other) for _, other in reaching[place]):
                raise ValueError(
                    "out: expected arrays that do not share memory"
                    if is_room and other_is_room
                    else "out: expected memory of its own, got some of an input's"
                )
        reaching.setdefault((device, is_room), []).append((end, array))


def _bounds(array: Array | DeviceArray) -> tuple[int, int, int]:
    """Return the device, -1 for the host, the first byte and the one past the last."""
    if isinstance(array, DeviceArray):
        return (array.index, *array.span())
    steps = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    first = array.ctypes.data + sum(step for step in steps if step < 0)
    last = array.ctypes.data + sum(step for step in steps if step > 0)
    return -1, first, last + array.itemsize


def _overlap(first: Array | DeviceArray, second: Array | DeviceArray) -> bool:
    """Whether arrays on one device whose bounds overlap share memory."""
    if isinstance(first, DeviceArray) or isinstance(second, DeviceArray):
        return True
    try:
        return np.shares_memory(first, second, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
