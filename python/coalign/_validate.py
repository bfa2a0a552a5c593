"""Checks of arguments, and the words of every error a user meets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import (
    NUMPY,
    Array,
    Kind,
    compute_dtype,
    from_gpu,
    is_array,
    lies_on_gpu,
    same_kind,
    take_array,
    to_host,
    to_numpy,
    writable,
)
from ._device import DeviceArray
from ._scalars import LONGEST


@dataclass(frozen=True, slots=True)
class SeriesBatch:
    """One series, or a batch of them, as the native code reads them.

    `data` is (B, T, D), or a list of (T, D) arrays; `lengths` counts each item's frames, and
    `item_ndims` the axes that the user gave it. Lengths that lie on a GPU stay there, in
    `device_lengths`: `lengths` then holds what they may be at most.
    """

    name: str
    data: Array | DeviceArray | list[Array] | list[DeviceArray]
    lengths: npt.NDArray[np.int64]
    dim: int
    kind: Kind
    is_batch: bool
    item_ndims: Sequence[int] | npt.NDArray[np.int64]
    device_lengths: DeviceArray | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The items' common dtype."""
        return compute_dtype(*self.arrays)

    def native(self, dtype: np.dtype[Any]) -> tuple[Array | list[Array], Any]:
        """Return data and lengths: contiguous frames of `dtype`, copied only if they are not."""
        if isinstance(self.data, np.ndarray):
            return _with_contiguous_frames(self.data, dtype), self.lengths
        return [_with_contiguous_frames(item, dtype) for item in self.arrays], None

    @property
    def arrays(self) -> list[Any]:
        """The arrays that hold the data, on the host or on a GPU."""
        return self.data if isinstance(self.data, list) else [self.data]

    def locate(self, item: int, element: int) -> str:
        """Say what lies at an element, given as native code counts, and where the user put it."""
        frame, dim = divmod(element, self.dim)
        value = self.data[item][frame, dim]  # type: ignore[index]
        index = (frame, dim)[: self.item_ndims[item]]
        if self.is_batch and isinstance(self.data, np.ndarray):
            return f"{self.name}: {_words(value)} at index {(item, *index)}"
        name = f"{self.name}[{item}]" if self.is_batch else self.name
        return f"{name}: {_words(value)} at index {index}"


def _words(value: Any) -> str:
    return "NaN" if math.isnan(value) else str(float(value))


def _with_contiguous_frames(array: Array, dtype: np.dtype[Any]) -> Array:
    array = array.astype(dtype, copy=False)
    dim, size = array.shape[-1], array.itemsize
    in_place = (dim == 1 or array.strides[-1] == size) and (
        array.shape[-2] <= 1 or array.strides[-2] == size * dim
    )
    return array if in_place else np.ascontiguousarray(array)


def take_series(
    obj: Any, name: str, lengths: Any, lengths_name: str, *, collection: bool = False
) -> SeriesBatch:
    """Check a series, a padded batch or a list; a `collection` reads a 2-D array as many series."""
    if isinstance(obj, (list, tuple)) and any(is_array(item) for item in obj):
        if lengths is not None:
            raise ValueError(
                f"{lengths_name}: only a padded batch takes lengths, and {name} is a list"
            )
        return _take_list(obj, name)
    array, kind = take_array(obj, name)
    wanted = (2, 3) if collection else (1, 2, 3)
    require_ndim(array, name, wanted)
    is_batch = collection or array.ndim == 3
    item_ndim = array.ndim - is_batch
    frames: Any = _with_dim(array) if item_ndim == 1 else array
    require_frames(frames.shape[-2:], name)
    if is_batch:
        on_device = None
        if kind.gpu is not None and lies_on_gpu(lengths):
            on_device = take_device_lengths(lengths, lengths_name, len(frames), kind)
            lengths = None
        counts = take_lengths(lengths, lengths_name, len(frames), frames.shape[1])
        # A view of one number: a list of a million takes as long as a GPU takes to align as many.
        ndims = np.broadcast_to(item_ndim, len(frames))
        return SeriesBatch(name, frames, counts, frames.shape[2], kind, True, ndims, on_device)
    if lengths is not None:
        raise ValueError(
            f"{lengths_name}: only a padded batch takes lengths, and {name} is one series"
        )
    counts = np.array([len(frames)], np.int64)
    return SeriesBatch(name, [frames], counts, frames.shape[1], kind, False, [item_ndim])


def _take_list(items: Sequence[Any], name: str) -> SeriesBatch:
    arrays, kind = take_list(items, name)
    for i, array in enumerate(arrays):
        require_ndim(array, f"{name}[{i}]", (1, 2))
    frames = [_with_dim(array) if array.ndim == 1 else array for array in arrays]
    for i, array in enumerate(frames):
        require_frames(array.shape, f"{name}[{i}]")
        if array.shape[1] != frames[0].shape[1]:
            raise ValueError(
                f"{name}[{i}]: expected {frames[0].shape[1]} dimensions as in {name}[0], "
                f"got {array.shape[1]}"
            )
    lengths = np.array([len(array) for array in frames], np.int64)
    item_ndims = [array.ndim for array in arrays]
    return SeriesBatch(name, frames, lengths, frames[0].shape[1], kind, True, item_ndims)


def _with_dim(array: Any) -> Any:
    """View frames of one number as frames of one dimension."""
    return array.with_last_axis() if isinstance(array, DeviceArray) else array[..., np.newaxis]


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


def require_like(xs: SeriesBatch, ys: SeriesBatch) -> None:
    """Check that two sides can be aligned: one kind, one number of dimensions."""
    same_kind(xs.kind, ys.kind, (xs.name, ys.name))
    if xs.dim != ys.dim:
        raise ValueError(
            f"{xs.name} and {ys.name}: expected frames of one dimension, got {xs.dim} and {ys.dim}"
        )


def require_ndim(array: Array | DeviceArray, name: str, wanted: tuple[int, ...]) -> None:
    """Check the number of axes."""
    if array.ndim not in wanted:
        listed = " or ".join(f"{ndim}-D" for ndim in wanted)
        raise ValueError(f"{name}: expected a {listed} array, got shape {array.shape}")


def require_frames(shape: tuple[int, ...], name: str) -> None:
    """Check the (frames, dimensions) of a series."""
    frames, dim = shape
    if frames == 0:
        raise ValueError(f"{name}: expected at least one frame, got an empty series")
    if dim == 0:
        raise ValueError(f"{name}: expected at least one dimension, got shape {shape}")
    if frames > LONGEST:
        raise ValueError(f"{name}: expected at most {LONGEST} frames, got {frames}")


@dataclass(frozen=True, slots=True)
class MatrixBatch:
    """One matrix, a padded batch (B, N, M), or a list of (N, M) arrays, and each one's shape.

    `data` is an array, or a list of them, on the host or on a GPU; lengths that lie there stay
    there, in `device_rows` and `device_columns`: the others then hold what they may be at most.
    """

    name: str
    data: Any
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    kind: Kind
    is_batch: bool
    is_padded: bool
    device_rows: DeviceArray | None = None
    device_columns: DeviceArray | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The matrices' common dtype."""
        found: np.dtype[Any] = (
            compute_dtype(*self.data) if isinstance(self.data, list) else self.data.dtype
        )
        return found

    def matrix(self, problem: int) -> Array:
        """View one matrix, cut to its lengths."""
        found: Array = self.data[problem][: self.rows[problem], : self.columns[problem]]
        return found

    def place(self, problem: int) -> tuple[str, tuple[int, ...]]:
        """Return what the user calls the array of a problem, and the index of the problem in it."""
        if not self.is_batch:
            return self.name, ()
        if isinstance(self.data, list):
            return f"{self.name}[{problem}]", ()
        return self.name, (problem,)


def take_matrices(
    obj: Any,
    name: str,
    row_lengths: tuple[Any, str],
    column_lengths: tuple[Any, str],
    *,
    empty: bool = False,
    on_gpu: bool = False,
) -> MatrixBatch:
    """Check a matrix, a padded batch or a list of them; with `empty`, axes may have no length.

    Only with `on_gpu` may they lie on a GPU.
    """
    least = 0 if empty else 1
    is_list = isinstance(obj, (list, tuple)) and any(is_array(item) for item in obj)
    if is_list:
        items, kind = take_list(obj, name)
        if kind.gpu is not None and not on_gpu:
            to_numpy(obj[0], f"{name}[0]")
        for i, item in enumerate(items):
            require_ndim(item, f"{name}[{i}]", (2,))
            require_matrix(item.shape, f"{name}[{i}]", least)
        is_padded = False
    else:
        array: Any
        array, kind = (take_array if on_gpu else to_numpy)(obj, name)
        require_ndim(array, name, (2, 3))
        require_matrix(array.shape[-2:], name, least)
        is_padded = array.ndim == 3
    if not is_padded:
        for lengths, lengths_name in (row_lengths, column_lengths):
            if lengths is not None:
                what = "a list" if is_list else "one matrix"
                raise ValueError(
                    f"{lengths_name}: only a padded batch takes lengths, and {name} is {what}"
                )
        matrices = items if is_list else [array]
        shapes = np.array([matrix.shape for matrix in matrices], np.int64).reshape(-1, 2)
        data = items if is_list else _with_first_axis(array)
        return MatrixBatch(name, data, shapes[:, 0], shapes[:, 1], kind, is_list, False)
    count, longest, widest = array.shape
    on_device = [
        take_device_lengths(*lengths, count, kind)
        if kind.gpu is not None and lies_on_gpu(lengths[0])
        else None
        for lengths in (row_lengths, column_lengths)
    ]
    rows, columns = (
        take_lengths(None if there is not None else values, words, count, most, least=least)
        for there, (values, words), most in zip(
            on_device, (row_lengths, column_lengths), (longest, widest), strict=True
        )
    )
    return MatrixBatch(name, array, rows, columns, kind, True, True, *on_device)


def _with_first_axis(matrix: Any) -> Any:
    """View one matrix as a batch of one."""
    return matrix.with_first_axis() if isinstance(matrix, DeviceArray) else matrix[np.newaxis]


def require_matrix(shape: tuple[int, ...], name: str, least: int) -> None:
    """Check the (rows, columns) of a matrix."""
    for count, axis in zip(shape, ("row", "column"), strict=True):
        if count < least:
            raise ValueError(f"{name}: expected at least one {axis}, got shape {shape}")
        if count > LONGEST:
            raise ValueError(f"{name}: expected at most {LONGEST} {axis}s, got {count}")


def take_lengths(
    lengths: Any, name: str, count: int, longest: int, *, least: int = 1
) -> npt.NDArray[np.int64]:
    """Check the lengths of a padded batch: `count` integers in [least, longest]."""
    if lengths is None:
        return np.full(count, longest, np.int64)
    values = _take_integers(lengths, name, "integers")
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


def take_device_lengths(lengths: Any, name: str, count: int, kind: Kind) -> DeviceArray:
    """Check the shape and dtype of lengths that lie beside their batch; their values stay there."""
    found, lengths_kind = from_gpu(lengths, name, kinds="iu")
    same_kind(kind, lengths_kind, ("the batch", name))
    if found.shape != (count,):
        raise ValueError(f"{name}: expected shape ({count},), got {found.shape}")
    return found


def _take_integers(obj: Any, name: str, wanted: str) -> Array:
    """Take an option that is an array of integers, from any kind of array or a list."""
    if hasattr(obj, "detach"):
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


def take_rows(
    window: Any, n: npt.NDArray[np.int64], m: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Check a window given as [start, stop) of each row, for problems of n rows and m columns."""
    rows = _take_integers(window, "window", "integer bounds")
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"window: expected (N, 2) bounds, got shape {rows.shape}")
    if (n != len(rows)).any():
        wrong = n[n != len(rows)][0]
        raise ValueError(
            f"window: expected one [start, stop) for each of {wrong} rows, got {len(rows)}"
        )
    start, stop = rows.T
    # No problems bound the columns by nothing but what any problem may have.
    columns = m.min(initial=LONGEST)
    wrong_rows = np.flatnonzero((start < 0) | (stop > columns) | (start >= stop))
    if wrong_rows.size:
        i = wrong_rows[0]
        raise ValueError(
            f"window: expected 0 <= start < stop <= {columns}, "
            f"got [{start[i]}, {stop[i]}) in row {i}"
        )
    return np.ascontiguousarray(rows, np.int64)


def take_out(
    out: Any, shape: tuple[int, int], dtype: np.dtype[Any], inputs: tuple[SeriesBatch, SeriesBatch]
) -> Array | DeviceArray:
    """Check a preallocated result."""
    if not (is_array(out) and hasattr(out, "shape") and hasattr(out, "dtype")):
        raise TypeError(f"out: expected an array, got {type(out).__name__}")
    got_shape, got_dtype = tuple(out.shape), str(out.dtype).removeprefix("torch.")
    if got_shape != shape or got_dtype != dtype.name:
        raise ValueError(
            f"out: expected shape {shape} of {dtype}, got shape {got_shape} of {got_dtype}"
        )
    view, kind = writable(out, "out")
    same_kind(inputs[0].kind, kind, (inputs[0].name, "out"))
    if isinstance(view, np.ndarray) and not view.flags.writeable:
        raise ValueError("out: expected a writable array, got a read-only one")
    if view.size == 0:
        return view
    size = view.dtype.itemsize
    aligned = isinstance(view, DeviceArray) or view.flags.aligned
    if not aligned or (shape[1] > 1 and view.strides[1] != size):
        raise ValueError("out: expected rows of unit stride")
    if shape[0] > 1 and abs(view.strides[0]) < shape[1] * size:
        raise ValueError("out: expected rows that do not overlap")
    if any(_overlap(view, array) for side in inputs for array in side.arrays):
        raise ValueError("out: expected memory of its own, got some of an input's")
    return view


def _overlap(first: Array | DeviceArray, second: Array | DeviceArray) -> bool:
    if isinstance(first, DeviceArray) or isinstance(second, DeviceArray):
        if not (isinstance(first, DeviceArray) and isinstance(second, DeviceArray)):
            return False
        (begin, end), (start, stop) = first.span(), second.span()
        return start < end and begin < stop
    try:
        return np.shares_memory(first, second, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
