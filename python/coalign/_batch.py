"""One description of what a call is given: one item, a padded batch, or a list of items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._arrays import Array, Kind, compute_dtype, is_array
from ._device import DeviceArray

Lengths = npt.NDArray[np.int64]


class Shapes(Protocol):
    """What vectors beside the rows or the columns of a batch have to fit."""

    @property
    def name(self) -> str: ...
    @property
    def arrays(self) -> list[Any]: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def is_batch(self) -> bool: ...
    @property
    def is_padded(self) -> bool: ...
    @property
    def lengths(self) -> tuple[Lengths, ...]: ...
    def __len__(self) -> int: ...
    def room(self, axis: int) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """The items of one argument, where they lie.

    `data` is one array whose first axis counts the items of a padded batch; otherwise a list of
    arrays, of one array for a single item. `lengths` counts the entries of every item along each
    axis that may differ between items: the frames of series, the rows and the columns of matrices.
    Lengths that lie on a GPU stay there, in `device_lengths`, and `lengths` then holds the most
    that they may be. `ndims` counts the axes of each item as the user gave it.
    """

    name: str
    data: Any
    lengths: tuple[Lengths, ...]
    kind: Kind
    is_batch: bool
    ndims: Sequence[int] | Lengths
    device_lengths: tuple[DeviceArray | None, ...] = ()

    def __len__(self) -> int:
        return len(self.lengths[0])

    @property
    def is_padded(self) -> bool:
        """Whether all items lie in one array."""
        return not isinstance(self.data, list)

    @property
    def arrays(self) -> list[Any]:
        """The arrays that hold the data, on the host or on a GPU."""
        return self.data if isinstance(self.data, list) else [self.data]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The items' common dtype."""
        return compute_dtype(*self.arrays)

    @property
    def stacked(self) -> Any:
        """The data with a first axis that counts the items, or the list of them."""
        if self.is_batch:
            return self.data
        only = self.data[0]
        return only.with_first_axis() if isinstance(only, DeviceArray) else only[np.newaxis]

    def room(self, axis: int) -> int | None:
        """Return the length that results give every item along an axis; None in a list."""
        if self.is_padded:
            return int(self.data.shape[1 + axis])
        return None if self.is_batch else int(self.data[0].shape[axis])

    def item(self, index: int) -> Any:
        """View one item, cut to its lengths."""
        return self.data[index][tuple(slice(int(counts[index])) for counts in self.lengths)]

    def native(self, dtype: np.dtype[Any], is_readable: Callable[[Array], bool]) -> Any:
        """Return an array or a list of them as native code takes it, copied only if it must be."""

        def prepared(array: Array) -> Array:
            array = array.astype(dtype, copy=False)
            return array if is_readable(array) else np.ascontiguousarray(array)

        if self.is_padded:
            return prepared(self.data)
        items = [prepared(array) for array in self.data]
        return items if self.is_batch else items[0]

    def native_lengths(self, axis: int = 0) -> Lengths | None:
        """Return the lengths that native code has to be told."""
        return self.lengths[axis] if self.is_padded else None

    def bad_value(self, item: int, index: tuple[int, ...], wanted: str) -> ValueError:
        """Word what is wrong with a value that lies at an index of an item."""
        value = self.data[item][index].item()
        name = self.name
        place: tuple[int, ...] = tuple(index[: self.ndims[item]])
        if self.is_padded:
            place = (item, *place)
        elif self.is_batch:
            name = f"{name}[{item}]"
        found = "NaN" if np.isnan(value) else str(value)
        return ValueError(f"{name}: {found} at index {place}; expected {wanted}")

    def require_all(self, is_good: Callable[[Array], Any], wanted: str) -> None:
        """Raise for the first value on the host that is not what is wanted."""
        for item in range(len(self)):
            wrong = np.argwhere(~is_good(self.item(item)))
            if wrong.size:
                raise self.bad_value(item, tuple(wrong[0].tolist()), wanted)


def is_kept(given: Any) -> bool:
    """Whether an argument is arrays of its own, rather than numbers that were made one."""
    if isinstance(given, (list, tuple)):
        return len(given) == 0 or any(is_array(item) for item in given)
    return True


def has_whole_strides(array: Array) -> bool:
    """Whether every stride is a number of elements."""
    return all(stride % array.itemsize == 0 for stride in array.strides)


def has_contiguous_rows(array: Array) -> bool:
    """Whether the entries of the last axis lie side by side."""
    return array.shape[-1] == 1 or array.strides[-1] == array.itemsize


def is_plain_matrix(array: Array) -> bool:
    """Whether native code reads an array by rows: side by side within, at any whole stride."""
    return has_contiguous_rows(array) and has_whole_strides(array)


def has_contiguous_frames(array: Array) -> bool:
    """Whether the last two axes lie without gaps."""
    step = array.itemsize * array.shape[-1]
    return has_contiguous_rows(array) and (array.shape[-2] <= 1 or array.strides[-2] == step)
