"""What the closed forms of transport take: arrays on the host, and batches of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arrays import NUMPY, Array, Kind, compute_dtype, is_array, same_kind, to_numpy
from ._validate import require_ndim, take_list

# A block of this many basic operations takes a few milliseconds. Between blocks Python hears
# Ctrl-C, and what one step hands to the next is still in the cache.
_BLOCK = 2**20
# What `to_numpy` leaves as it is, and takes longer to look at.
_PLAIN = (np.dtype(np.float64), np.dtype(np.float32))


@dataclass(frozen=True, slots=True)
class Items:
    """The problems of one argument: an array whose first axis counts them, or a list of arrays.

    A first axis of length 1 stands for as many equal problems as the other arguments have.
    """

    name: str
    data: Any
    kind: Kind
    is_batch: bool

    @property
    def arrays(self) -> list[Array]:
        """The arrays that hold the data."""
        return self.data if isinstance(self.data, list) else [self.data]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The items' common dtype."""
        return compute_dtype(*self.arrays)

    def named(self) -> Iterator[tuple[str, Array]]:
        """Give each array as the user gave it, with its name in errors."""
        if isinstance(self.data, list):
            yield from ((f"{self.name}[{i}]", array) for i, array in enumerate(self.data))
        else:
            yield self.name, self.data if self.is_batch else self.data[0]

    def require(self, is_good: Callable[[Array], Any], wanted: str) -> None:
        """Raise for the first value that is not what is wanted."""
        for name, array in self.named():
            for part in blocks(len(array), array.size):
                good = is_good(array[part])
                if not good.all():
                    row, *rest = (int(i) for i in np.argwhere(~good)[0])
                    index = (row + part.start, *rest)
                    found = "NaN" if np.isnan(array[index]) else str(array[index])
                    raise ValueError(f"{name}: {found} at index {index}; expected {wanted}")

    def changed(self, change: Callable[[Array, str], Array]) -> Items:
        """Replace each array, which keeps its shape, by what comes of it and of its name."""
        found = [change(array, name) for name, array in self.named()]
        data = found if isinstance(self.data, list) else found[0].reshape(self.data.shape)
        return Items(self.name, data, self.kind, self.is_batch)


def is_plain(obj: Any, ndim: int | None = None) -> bool:
    """Whether an argument is an array that is read as it is, of so many axes."""
    return (
        type(obj) is np.ndarray
        and obj.dtype in _PLAIN
        and (ndim is None or obj.ndim == ndim)
        and obj.flags.aligned
    )


def take_items(obj: Any, name: str, ndim: int) -> Items:
    """Check one array of `ndim` axes, a batch with one axis more, or a list of such arrays.

    Their values have to be finite.
    """
    if isinstance(obj, (list, tuple)) and (len(obj) == 0 or any(map(is_array, obj))):
        data, kind = take_list(obj, name)
        if kind.gpu is not None:
            to_numpy(obj[0], f"{name}[0]")
        for i, array in enumerate(data):
            require_ndim(array, f"{name}[{i}]", (ndim,))
        items = Items(name, data, kind, True)
    else:
        array, kind = (obj, NUMPY) if is_plain(obj) else to_numpy(obj, name)
        require_ndim(array, name, (ndim, ndim + 1))
        is_batch = array.ndim > ndim
        items = Items(name, array if is_batch else array[np.newaxis], kind, is_batch)
    items.require(np.isfinite, "finite values")
    return items


@dataclass(frozen=True, slots=True)
class Problems:
    """The arguments of a call, one after the other, for as many problems as it has."""

    sides: Sequence[Items]

    def __len__(self) -> int:
        return next((len(side.data) for side in self.sides if side.is_batch), 1)

    @property
    def is_batch(self) -> bool:
        """Whether any side is a batch."""
        return any(side.is_batch for side in self.sides)

    @property
    def kind(self) -> Kind:
        """The kind of array that the result is made of."""
        # An empty list has no kind of its own.
        return next((side.kind for side in self.sides if side.arrays), self.sides[0].kind)

    def check(self) -> None:
        """Check that all sides are of one kind, and that batches have one size."""
        given = [side for side in self.sides if side.arrays]
        for side in given[1:]:
            same_kind(given[0].kind, side.kind, (given[0].name, side.name))
        first, *others = [side for side in self.sides if side.is_batch] or [self.sides[0]]
        for side in others:
            if len(side.data) != len(first.data):
                raise ValueError(
                    f"{first.name} and {side.name}: expected batches of one size, "
                    f"got {len(first.data)} and {len(side.data)}"
                )

    def shapes(self) -> Iterator[list[tuple[str, tuple[int, ...]]]]:
        """Give each side's name in errors, and its shape, for every problem that may differ."""
        has_lists = any(isinstance(side.data, list) for side in self.sides)
        for problem in range(len(self) if has_lists else 1):
            yield [
                (f"{side.name}[{problem}]", side.data[problem].shape)
                if isinstance(side.data, list)
                else (side.name, side.data.shape[1:])
                for side in self.sides
            ]

    def by_shape(self) -> Iterator[tuple[Any, list[Array]]]:
        """Give the problems of each shape: their places, and arrays whose first axis counts them.

        That axis has length 1 where one array serves every problem.
        """
        if not any(isinstance(side.data, list) for side in self.sides):
            yield slice(None), [side.data for side in self.sides]
            return
        alike: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for problem, described in enumerate(self.shapes()):
            alike.setdefault(tuple(shape for _, shape in described), []).append(problem)
        for places in alike.values():
            yield (
                places,
                [
                    np.stack([side.data[place] for place in places]) if side.is_batch else side.data
                    for side in self.sides
                ],
            )


def in_kind(values: Any, kind: Kind) -> Any:
    """Give a NumPy array or scalar the kind of the input."""
    return values if kind.library == "numpy" else kind.wrap(values)


def blocks(count: int, work: int) -> Iterator[slice]:
    """Cut `count` problems of `work` operations together into pieces that take milliseconds."""
    if count == 0:
        return
    if work <= _BLOCK:
        yield slice(0, count)
        return
    step = max(1, _BLOCK * count // work)
    for start in range(0, count, step):
        yield slice(start, start + step)


def cut(arrays: Sequence[Array], part: slice) -> list[Array]:
    """View some of the problems; what serves all of them stays whole."""
    return [array if len(array) == 1 else array[part] for array in arrays]


def delivered(what: str, values: Array, problems: Problems, dtype: np.dtype[Any]) -> Any:
    """Give distances in float64 the kind, the dtype and the axes of a call's result.

    Warns of those that overflow.
    """
    found = values
    if dtype != np.float64:
        with np.errstate(over="ignore"):
            found = values.astype(dtype)
    lost = np.count_nonzero(np.isinf(found))
    if lost:
        warnings.warn(
            f"{what}: {lost} of {found.size} distances overflow {dtype} and are inf",
            RuntimeWarning,
            stacklevel=4,
        )
    return in_kind(found if problems.is_batch else found[0], problems.kind)
