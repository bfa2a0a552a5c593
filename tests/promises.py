"""What every public function promises: each promise checks any function that a row describes.

`contract.py` holds the rows, `test_contract.py` runs every promise on every row. The docstring of a
promise is what docs/contract.md says of it.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import inspect
import io
import math
import os
import pickle
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import as_strided

from coalign import DeviceError, Status, _device, _execution
from coalign._result import Result
from oracles.compare import assert_same_bits
from refusals import assert_refused, put

Array = npt.NDArray[Any]
Arguments = dict[str, Any]
OWN_MEMORY = "expected memory of its own, got some of an input's"
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class Function:
    """A public function, as far as the promises have to know it: a row of the contract."""

    name: str
    call: Callable[..., Any]
    #: Makes one problem in float64: f(rng, **sizes), a dict of arrays by argument.
    make: Callable[..., dict[str, Array]]
    #: The axes of each array of one problem, a letter each; "nd" and "md" share d.
    inputs: Mapping[str, str]
    #: The least size of each axis that differs between the items of a list.
    sizes: Mapping[str, int]
    #: The dtype and axes of each field of the result: "int64 n"; "float" is the dtype computed in,
    #: and "*" an axis of a length of its own, so that a batch has a list.
    fields: Mapping[str, str]
    #: A problem that takes seconds, with each of these options.
    long: Callable[[], Arguments]
    long_variants: tuple[Arguments, ...] = ({},)
    #: The sizes of each axis that the items of a list share: one after the other is tried.
    shared: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    #: Options that every promise is tried with; the first are the defaults.
    variants: tuple[Arguments, ...] = ({},)
    #: Fields of the result that say what was asked for.
    constants: tuple[str, ...] = ()
    #: Axes of results of which a problem alone has no more than this, by its sizes, and a batch as
    #: many as its largest problem.
    most: Mapping[str, Callable[..., int]] = field(default_factory=dict)
    #: Fields of integers that are counts, not indices.
    counts: tuple[str, ...] = ()
    #: The arguments that hold the sizes of a padded batch's items, each with its axis.
    lengths: Mapping[str, str] = field(default_factory=dict)
    #: Values that no input may hold, and what is said of them, of each input where it differs.
    refused: tuple[float, ...] = (math.nan, math.inf, -math.inf)
    wanted: str | Mapping[str, str] = "expected finite values"
    #: Relative tolerance of a field in float32 and float64 between instruction sets; else equal.
    tolerance: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    #: Whether the inputs are collections, of whose items all pairs are computed.
    is_collection: bool = False
    #: Features that a function does not have, each with the reason.
    lacks: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> list[str]:
        """The names of all arguments."""
        return list(inspect.signature(self.call).parameters)


@dataclass(frozen=True)
class Promise:
    """A check of a function, and the features without which it says nothing."""

    group: str
    sentence: str
    check: Callable[[Subject], None]
    needs: tuple[str, ...]
    is_tried_on_each_isa: bool
    is_tried_through_each_door: bool

    @property
    def name(self) -> str:
        """What the promise is called in tests and documents."""
        return self.check.__name__.replace("_", " ")

    def excuse(self, function: Function) -> str | None:
        """Why the promise says nothing of a function, or None where it holds."""
        return next((function.lacks[need] for need in self.needs if need in function.lacks), None)


PROMISES: list[Promise] = []


def promise(
    group: str, *needs: str, each_isa: bool = False, each_door: bool = True
) -> Callable[[Any], Any]:
    """Add a check to the contract."""

    def register(check: Callable[[Subject], None]) -> Callable[[Subject], None]:
        sentence = " ".join((inspect.getdoc(check) or "").split())
        PROMISES.append(Promise(group, sentence, check, needs, each_isa, each_door))
        return check

    return register


@dataclass(frozen=True)
class Subject:
    """A function under test, called on one instruction set through one door."""

    function: Function
    isa: str | None = None
    is_general: bool = False

    def __call__(self, arguments: Arguments, **forced: Any) -> Any:
        """Call it."""
        with _execution.forced(self.isa, general=self.is_general, **forced):
            return self.function.call(**arguments)

    def problem(
        self, seed: int, dtype: Any = np.float64, most: int = 24, turn: int = 0, **sizes: int
    ) -> Arguments:
        """The arrays of one problem, of sizes drawn where they are not given."""
        function, rng = self.function, np.random.default_rng([seed, turn])
        for axis, least in function.sizes.items():
            sizes.setdefault(axis, int(rng.integers(least, most + 1)))
        shared = {axis: tried[seed % len(tried)] for axis, tried in function.shared.items()}
        return {name: cast(a, dtype) for name, a in function.make(rng, **sizes, **shared).items()}

    def problems(self, seed: int, count: int, dtype: Any = np.float64, most: int = 24) -> Any:
        """Problems of different sizes."""
        return [self.problem(seed, dtype, most, p) for p in range(count)]

    def equals(self, seed: int, count: int, dtype: Any = np.float64, size: int = 7) -> Any:
        """Problems of one size."""
        sizes = {axis: size + i for i, axis in enumerate(self.function.sizes)}
        return [self.problem(seed, dtype, turn=p, **sizes) for p in range(count)]

    def size(self, problem: Arguments, axis: str) -> int:
        """The length of an axis of a problem."""
        name = next(name for name, axes in self.function.inputs.items() if axis in axes)
        return int(problem[name].shape[self.function.inputs[name].index(axis)])

    def forms(self, dtype: Any = np.float64, seed: int = 1) -> Iterator[tuple[str, Arguments]]:
        """The same function's arguments in every form that it takes."""
        lacks = self.function.lacks
        if "single" not in lacks:
            sizes = dict(zip(self.function.sizes, (9, 40), strict=False))
            yield "single", self.problem(seed, dtype, **sizes)
        if "batches" not in lacks:
            yield "batch", stacked(self.equals(seed + 1, 3, dtype))
            yield "list", listed(self.problems(seed, 4, dtype, most=40))
        if "lengths" not in lacks:
            yield "padded", self.padded(self.problems(seed + 1, 4, dtype))
        # Where an axis that all share may have one element, it may be left out.
        turn = next(
            (i for sizes in self.function.shared.values() for i in (0, 1) if sizes[i] == 1), None
        )
        if turn is not None:
            items = self.equals(2 * seed + turn, 3, dtype)
            whole = stacked(items) if self.function.is_collection else items[0]
            yield "flat", {name: array[..., 0] for name, array in whole.items()}

    def padded(self, problems: list[Arguments], filler: float = math.nan) -> Arguments:
        """Problems in one padded batch, with their lengths."""
        batch: Arguments = {}
        for name in self.function.inputs:
            items = [problem[name] for problem in problems]
            room = np.max([item.shape for item in items], axis=0)
            is_float = items[0].dtype.kind == "f"
            batch[name] = np.full((len(items), *room), filler if is_float else 1, items[0].dtype)
            for padded, item in zip(batch[name], items, strict=True):
                padded[tuple(slice(size) for size in item.shape)] = item
        for name, axis in self.function.lengths.items():
            batch[name] = np.array([self.size(problem, axis) for problem in problems])
        return batch

    def read(self, result: Any) -> dict[str, Any]:
        """The fields of a result, by name."""
        names = list(self.function.fields)
        if isinstance(result, Result):
            return {name: getattr(result, name) for name in names}
        values = result if isinstance(result, tuple) else (result,)
        return dict(zip(names, values, strict=True))

    def item(self, result: Any, p: int, problem: Arguments) -> dict[str, Any]:
        """The fields of one problem of a batch, without its padding."""
        found: dict[str, Any] = {}
        for name, value in self.read(result).items():
            axes = self.function.fields[name].partition(" ")[2]
            if value is None:
                found[name] = None
            elif self.function.is_collection:
                found[name] = value[p, p]
            else:
                cut = tuple(slice(self.end(problem, axis)) for axis in axes)
                found[name] = value[p][cut] if axes and axes != "*" else value[p]
        return found

    def end(self, problem: Arguments, axis: str) -> int | None:
        """How much of an axis of a result is one problem's."""
        if axis in self.function.most:
            sizes = {axis: self.size(problem, axis) for axis in self.function.sizes}
            return self.function.most[axis](**sizes)
        return self.size(problem, axis) if axis in self.function.sizes else None

    def alone(self, problem: Arguments, options: Arguments) -> dict[str, Any]:
        """The fields of one problem that is solved alone."""
        if self.function.is_collection:
            return self.item(self({**listed([problem]), **options}), 0, problem)
        return self.read(self({**problem, **options}))


def cast(array: Array, dtype: Any) -> Array:
    """Values of another dtype that are like those of an array, where it holds real numbers."""
    dtype = np.dtype(dtype)
    if array.dtype.kind != "f" or dtype.kind == "f":
        return array.astype(dtype) if array.dtype.kind == "f" else array
    return array > 0 if dtype.kind == "b" else np.abs(np.rint(10 * array)).astype(dtype)


def listed(problems: list[Arguments]) -> Arguments:
    """Problems as a ragged batch."""
    return {name: [problem[name] for problem in problems] for name in problems[0]}


def stacked(problems: list[Arguments]) -> Arguments:
    """Problems of one size as a batch."""
    return {name: np.stack(items) for name, items in listed(problems).items()}


def changed(arguments: Arguments, names: Any, change: Callable[[Array], Any]) -> Arguments:
    """Arguments whose arrays, alone or in lists, are replaced."""

    def each(value: Any) -> Any:
        return [change(item) for item in value] if isinstance(value, list) else change(value)

    return {name: each(v) if name in names else v for name, v in arguments.items()}


def parts(value: Any) -> list[Any]:
    """What a field holds: its items if it is a list."""
    return value if isinstance(value, list) else [value]


def assert_same_fields(ours: dict[str, Any], theirs: dict[str, Any], what: str = "") -> None:
    """Every field has the same kind, dtype, shape and bits."""
    assert list(ours) == list(theirs)
    for name in ours:
        assert isinstance(ours[name], list) == isinstance(theirs[name], list), f"{what} {name}"
        for my, other in zip(parts(ours[name]), parts(theirs[name]), strict=True):
            assert (my is None) == (other is None), f"{what} {name}"
            if my is not None:
                assert_same_bits(my, other, f"{what} {name}")


def assert_same_result(ours: Any, theirs: Any, subject: Subject, what: str = "") -> None:
    """Two results are of one type, and have the same bits."""
    assert type(ours) is type(theirs), what
    assert_same_fields(subject.read(ours), subject.read(theirs), what)
    for name in subject.function.constants:
        assert getattr(ours, name) == getattr(theirs, name), f"{what} {name}"


# One problem and many


@promise("One problem and many", "batches", each_isa=True)
def batches(s: Subject) -> None:
    """One problem, a batch of one, an item of a batch, of a ragged list and of a padded batch have
    the same bits."""
    for dtype in DTYPES:
        for options in s.function.variants:
            ragged = s.problems(2, 9, dtype)
            ragged.append(s.problem(2, dtype, turn=9, **s.function.sizes))
            equal = s.equals(3, 20, dtype)
            together = [(listed(ragged), ragged), (stacked(equal), equal), (listed(equal), equal)]
            together.append((stacked(equal[:1]), equal[:1]))
            if "lengths" not in s.function.lacks:
                together.append((s.padded(ragged), ragged))
            for arguments, problems in together:
                found = s({**arguments, **options})
                for p, problem in enumerate(problems):
                    item = s.item(found, p, problem)
                    assert_same_fields(item, s.alone(problem, options), f"{options} {p}")


@promise("One problem and many", "batches", each_isa=True)
def neighbours(s: Subject) -> None:
    """The other problems of a batch, how many there are and their order change no bit."""
    for dtype in DTYPES:
        problems, giants = s.problems(5, 12, dtype), s.problems(7, 3, dtype, most=90)
        for options in s.function.variants:
            full = s({**listed(problems), **options})
            expected = [s.item(full, p, problem) for p, problem in enumerate(problems)]
            for chosen in ([*range(12)][::-1], [7, 3, 11], [0]):
                some = [*giants, *(problems[p] for p in chosen)]
                found = s({**listed(some), **options})
                for at, p in enumerate(chosen, start=len(giants)):
                    assert_same_fields(s.item(found, at, some[at]), expected[p], f"{options} {p}")


@promise("One problem and many", "lengths", each_isa=True)
def padding(s: Subject) -> None:
    """What lies past a length is never read, whatever it is; in results, indices are -1 there and
    values 0, or infinite where a problem has fewer answers than its batch."""
    for dtype in DTYPES:
        problems = s.problems(7, 9, dtype)
        for options in s.function.variants:
            clean = s({**s.padded(problems, 0.0), **options})
            for filler in (math.nan, math.inf, -math.inf, np.finfo(dtype).max):
                found = s({**s.padded(problems, filler), **options})
                assert_same_result(found, clean, s, f"{options} {filler}")
            for name, value in s.read(clean).items():
                if isinstance(value, list) or value is None or s.function.is_collection:
                    continue
                inside = np.zeros(value.shape, bool)
                for p, problem in enumerate(problems):
                    item = s.item(clean, p, problem)[name]
                    inside[(p, *(slice(size) for size in np.shape(item)))] = True
                rest = value[~inside]
                if name in s.function.counts:
                    assert (rest == 0).all(), name
                elif value.dtype.kind == "i":
                    assert (rest == -1).all(), name
                else:
                    is_bounded = any(axis in s.function.most for axis in s.function.fields[name])
                    assert (np.abs(rest) == (math.inf if is_bounded else 0)).all(), name


@promise("One problem and many", "batches")
def no_problems(s: Subject) -> None:
    """An empty batch gives an empty result, and so does an empty list."""
    for dtype in DTYPES:
        one = stacked(s.equals(8, 1, dtype))
        empty = {name: array[:0] for name, array in one.items()}
        for options in s.function.variants:
            full = s.read(s({**one, **options}))
            for arguments in (empty, {name: [] for name in empty}, dict.fromkeys(empty, ())):
                found = s({**arguments, **options})
                for name, value in s.read(found).items():
                    if value is None or isinstance(value, list):
                        assert value is full[name] or value == [], name
                        continue
                    assert value.shape[0] == 0, name
                    if arguments is empty:
                        assert value.dtype == full[name].dtype, name
                        assert s.function.is_collection or value.shape[1:] == full[name].shape[1:]
                if hasattr(found, "check"):
                    assert found.check() is found


@promise("One problem and many")
def empty_problems(s: Subject) -> None:
    """A problem of no size is solved where that means something, and else refused by name."""
    for axis, least in s.function.sizes.items():
        problem = s.problem(9, **{axis: 0})
        arguments = listed([problem]) if s.function.is_collection else problem
        if least == 0:
            expected = s.alone(problem, {})
            for name, value in expected.items():
                axes = s.function.fields[name].partition(" ")[2]
                assert axis not in axes or value.shape[axes.index(axis)] == 0, name
            continue
        name = next(name for name, axes in s.function.inputs.items() if axis in axes)
        with pytest.raises(ValueError, match=rf"\A{name}(\[0\])?: expected at least one "):
            s(arguments)


@promise("One problem and many", "broadcast", each_isa=True)
def one_against_many(s: Subject) -> None:
    """One problem's argument against a batch of another is taken for each item of the batch."""
    for dtype in DTYPES:
        problems = s.equals(10, 5, dtype)
        for options in s.function.variants:
            for name in s.function.inputs:
                same = [{**problem, name: problems[0][name]} for problem in problems]
                for batch in (listed(same), stacked(same)):
                    expected = s({**batch, **options})
                    found = s({**batch, name: problems[0][name], **options})
                    assert_same_result(found, expected, s, name)


# The same bits


@promise("The same bits", "threads", each_isa=True)
def threads(s: Subject) -> None:
    """The number of threads changes no bit; a call uses at most as many as it is given."""
    for dtype in DTYPES:
        arguments = much(s, dtype)
        for options in s.function.variants:
            one = shared(s, {**arguments, **options}, 1)
            for count in (2, 3):
                found = shared(s, {**arguments, **options}, count)
                assert_same_result(found, one, s, f"{options} on {count} threads")


def much(s: Subject, dtype: Any) -> Arguments:
    """So many problems that two threads meet over them."""
    return listed(s.problems(11, 40 if s.function.is_collection else 100, dtype, most=150))


def shared(s: Subject, arguments: Arguments, count: int, *, is_given: bool = True) -> Any:
    """The result, once two workers have each taken a task, where there may be two.

    On a busy machine one may start so late that it finds all tasks done: one try is too few. A call
    of several runs shares now this one and now that one: each has to have been shared once.
    """
    deadline = time.monotonic() + 10
    most: list[int] = []
    given = {**arguments, "threads": count} if is_given else arguments
    while time.monotonic() < deadline:
        with _execution.forced(s.isa, general=s.is_general, work_per_thread=0) as runs:
            result = s.function.call(**given)
        assert {run.isa for run in runs} == {s.isa or _execution.selected()}
        assert max(run.workers for run in runs) <= count
        workers = [run.workers for run in runs]
        most = list(map(max, workers, most)) if most else workers
        if min(most) >= min(count, 2):
            return result
    pytest.fail(f"{count} workers never shared the work: {runs}")


@promise("The same bits", each_isa=True)
def repetition(s: Subject) -> None:
    """A call gives the same bits each time, from the front door as the general way."""
    for dtype in DTYPES:
        for form, arguments in s.forms(dtype):
            for options in s.function.variants:
                first = s({**arguments, **options})
                assert_same_result(s({**arguments, **options}), first, s, form)
                other = replace(s, is_general=not s.is_general)
                assert_same_result(other({**arguments, **options}), first, s, form)


def every_second(array: Array) -> Array:
    """The same values with NaN between them along every axis."""
    spread = np.full([2 * size for size in array.shape], np.nan, array.dtype)
    taken = (slice(None, None, 2),) * array.ndim
    spread[taken] = array
    return spread[taken]


def with_gaps(array: Array) -> Array:
    """Rows that are contiguous, with NaN between one and the next."""
    padded = np.full((*array.shape[:-1], array.shape[-1] + 3), np.nan, array.dtype)
    padded[..., : array.shape[-1]] = array
    return padded[..., : array.shape[-1]]


def backwards(array: Array) -> Array:
    """The same values, every axis stored backwards."""
    turn = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[turn])[turn]


def unaligned(array: Array) -> Array:
    """The same values, one byte off."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    shifted = memory[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


def field_of_a_record(array: Array) -> Array:
    """Values whose distance is no multiple of their size."""
    records = np.zeros(array.shape, [("value", array.dtype), ("other", f"i{array.itemsize // 2}")])
    records["value"] = array
    return records["value"]


def frozen(array: Array) -> Array:
    """A copy that cannot be written."""
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


LAYOUTS: tuple[Callable[[Array], Array], ...] = (
    np.asfortranarray,
    lambda array: np.ascontiguousarray(array.swapaxes(0, -1)).swapaxes(0, -1),
    lambda array: np.ascontiguousarray(array[::-1])[::-1],
    backwards,
    every_second,
    with_gaps,
    unaligned,
    field_of_a_record,
    lambda array: array.astype(array.dtype.newbyteorder("S")),
    frozen,
)


@promise("The same bits", each_isa=True)
def layouts(s: Subject) -> None:
    """Strides change no bit: Fortran order, transposed and reversed views, every second element,
    rows with gaps, unaligned and byte-swapped memory are all read right."""
    for dtype in DTYPES:
        for form, arguments in s.forms(dtype):
            for options in s.function.variants:
                expected = s({**arguments, **options})
                for i, layout in enumerate(LAYOUTS):
                    laid_out = changed(arguments, s.function.inputs, layout)
                    found = s({**laid_out, **options})
                    assert_same_result(found, expected, s, f"{form}, layout {i}, {options}")


@promise("The same bits", "any values")
def views_that_repeat(s: Subject) -> None:
    """Views that repeat or share elements are read as the values that they show."""

    def repeated(array: Array) -> Array:
        return np.broadcast_to(array[..., :1], array.shape)

    def overlapping(array: Array) -> Array:
        line = np.resize(np.nan_to_num(array).reshape(-1), sum(array.shape) + 1)
        return as_strided(line, array.shape, (line.itemsize,) * array.ndim)

    for _, arguments in s.forms():
        for view in (repeated, overlapping):
            shown = changed(arguments, s.function.inputs, view)
            copied = changed(shown, s.function.inputs, np.ascontiguousarray)
            assert_same_result(s(shown), s(copied), s)


@promise("The same bits", each_door=False)
def instruction_sets(s: Subject) -> None:
    """Every instruction set gives the same indices and statuses, and the same values but for
    rounding."""
    for place, dtype in enumerate(DTYPES):
        for form, arguments in s.forms(dtype, seed=12):
            for options in s.function.variants:
                first, *others = (
                    replace(s, isa=isa)({**arguments, **options}) for isa in _execution.available()
                )
                for other in others:
                    assert_agree(s, other, first, place, f"{form} {options}")


def assert_agree(s: Subject, ours: Any, theirs: Any, place: int, what: str) -> None:
    """Results of two ways to compute one thing: the same indices, and values but for rounding."""
    mine, other = s.read(ours), s.read(theirs)
    for name, described in s.function.fields.items():
        for my, their in zip(parts(mine[name]), parts(other[name]), strict=True):
            if name in s.function.tolerance:
                relative = s.function.tolerance[name][place]
                np.testing.assert_allclose(my, their, rtol=relative, err_msg=f"{what} {name}")
            elif my is not None and described.startswith("int"):
                assert_same_bits(my, their, f"{what} {name}")


# What is taken


@promise("What is taken")
def inputs_untouched(s: Subject) -> None:
    """Inputs are never written, and those that cannot be written are taken."""
    for form, arguments in s.forms():
        for options in s.function.variants:
            given = changed(arguments, arguments, frozen)
            expected = s({**given, **options})
            written = changed(arguments, arguments, np.copy)
            assert_same_result(s({**written, **options}), expected, s, form)
            for name in arguments:
                for was, now in zip(parts(arguments[name]), parts(written[name]), strict=True):
                    assert_same_bits(now, was, f"{form} {options} {name}")


COMPUTED = {
    "float16": "float32",
    "float32": "float32",
    "float64": "float64",
    ">f2": "float32",
    ">f4": "float32",
    ">f8": "float64",
    "bool": "float64",
    "int8": "float64",
    "uint8": "float64",
    ">i4": "float64",
    "int64": "float64",
    "uint64": "float64",
}


@promise("What is taken")
def dtypes(s: Subject) -> None:
    """float16 and float32 are computed in float32; float64, integers and bool in float64."""
    for dtype, computed in COMPUTED.items():
        for form, arguments in s.forms(dtype):
            found = s(arguments)
            exact = changed(arguments, s.function.inputs, lambda a, c=computed: a.astype(c))
            assert_same_result(found, s(exact), s, f"{form} {dtype}")
            for name, value in s.read(found).items():
                wanted = s.function.fields[name].partition(" ")[0]
                for part in parts(value):
                    if part is not None:
                        assert part.dtype == (computed if wanted == "float" else wanted), name


@promise("What is taken", "batches")
def mixed_dtypes(s: Subject) -> None:
    """Arguments, and items of a list, of different dtypes are computed in the one that NumPy
    promotes them to."""
    pairs = (
        "float32 float64, float16 float32, float16 float64, float32 int8, float32 bool, bool int8"
    )
    for first, second in (pair.split() for pair in pairs.split(", ")):
        narrow, wide = (s.equals(13, 2, dtype) for dtype in (first, second))
        computed = np.result_type(*(COMPUTED[dtype] for dtype in (first, second)))
        mixtures = [listed([narrow[0], wide[1]]), listed([wide[0], narrow[1]])]
        if len(s.function.inputs) > 1:
            mixtures += [{**stacked(narrow), n: stacked(wide)[n]} for n in s.function.inputs]
        for arguments in mixtures:
            exact = changed(arguments, s.function.inputs, lambda a, c=computed: a.astype(c))
            assert_same_result(s(arguments), s(exact), s, f"{first} and {second}")


class DLPackOnly:
    """An array of a library that speaks DLPack and nothing else."""

    def __init__(self, array: Array, device: tuple[int, int] = (1, 0)) -> None:
        self.array, self.device = array, device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **options: Any) -> Any:
        assert self.device == (1, 0), "memory of a GPU was asked for"
        return self.array.__dlpack__(**options)


class ArrayMethod:
    """What converts itself by `__array__`, as a column of a data frame does."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.array if dtype is None else self.array.astype(dtype)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Any) -> Any:
        raise KeyError(index)  # a data frame's column is indexed by label


class ArrayInterface:
    """What describes its memory by the array interface."""

    def __init__(self, array: Array) -> None:
        self.array = array

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.array.__array_interface__


class CudaInterface:
    """What describes memory of a GPU."""

    def __init__(self, array: Array) -> None:
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": "<f4",
            "data": (0, False),
            "version": 3,
        }


class Subclass(np.ndarray):
    """An array that does not index like one."""

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("read through the subclass")


@promise("What is taken", "kinds")
def other_arrays(s: Subject) -> None:
    """Any object with DLPack, an array interface or `__array__`, a subclass of an array and a
    memory view are taken as NumPy's arrays are, and give the same bits."""
    wrappers = (DLPackOnly, ArrayMethod, ArrayInterface, lambda array: array.view(Subclass))
    for dtype in (*DTYPES, np.dtype(np.int16)):
        for form, arguments in s.forms(dtype):
            for options in s.function.variants:
                expected = s({**arguments, **options})
                for wrap in wrappers:
                    wrapped = changed(arguments, s.function.inputs, wrap)
                    assert_same_result(s({**wrapped, **options}), expected, s, form)
                    first = next(iter(s.function.inputs))
                    beside = changed(arguments, [first], wrap)
                    assert_same_result(s({**beside, **options}), expected, s, form)
                if form != "list":
                    viewed = changed(arguments, s.function.inputs, memoryview)
                    assert_same_result(s({**viewed, **options}), expected, s, form)


@promise("What is taken")
def lists_of_numbers(s: Subject) -> None:
    """A nested list of numbers is an array."""
    for form, arguments in s.forms():
        if form != "list":
            for options in s.function.variants:
                expected = s({**arguments, **options})
                for kind in (np.ndarray.tolist, lambda array: (*array.tolist(),)):
                    nested = changed(arguments, s.function.inputs, kind)
                    assert_same_result(s({**nested, **options}), expected, s, form)


@promise("What is taken", "lengths")
def lengths(s: Subject) -> None:
    """Lengths are integers of any dtype, kind and layout; others are refused by name."""
    arguments = s.padded(s.problems(14, 4))
    expected = s(arguments)
    kinds: list[Callable[[Array], Any]] = [np.ndarray.tolist, lambda a: tuple(a.tolist())]
    kinds += [
        lambda a, d=dtype: a.astype(d) for dtype in ("int8", "uint8", "int32", "uint64", ">i8")
    ]
    kinds += [ArrayMethod, ArrayInterface, frozen, lambda a: np.repeat(a, 2)[::2], backwards]
    for kind in kinds:
        given = changed(arguments, s.function.lengths, kind)
        assert_same_result(s(given), expected, s)
    for name, axis in s.function.lengths.items():
        taken = arguments[name]
        owner = next(n for n, axes in s.function.inputs.items() if axis in axes)
        least = s.function.sizes[axis]
        room = max(taken)
        for wrong, error, words in (
            (taken.astype(float), TypeError, "expected integers, got dtype float64"),
            (taken > 0, TypeError, "expected integers, got dtype bool"),
            ("long", TypeError, "expected integers, got dtype <U4"),
            (taken[:2], ValueError, "expected shape (4,), got (2,)"),
            (taken[:, np.newaxis], ValueError, "expected shape (4,), got (4, 1)"),
            (3, ValueError, "expected shape (4,), got ()"),
            (
                put(taken, (2,), room + 1),
                ValueError,
                f"expected lengths from {least} to {room}, got {room + 1} at index 2",
            ),
            (
                put(taken, (1,), least - 1),
                ValueError,
                f"expected lengths from {least} to {room}, got {least - 1} at index 1",
            ),
        ):
            with assert_refused(error, f"{name}: {words}"):
                s({**arguments, name: wrong})
        in_list = {**listed(s.problems(14, 4)), name: taken}
        words = f"{name}: only a padded batch takes lengths, and {owner} is a list"
        with assert_refused(ValueError, words):
            s(in_list)
        if "single" not in s.function.lacks:
            words = rf"\A{name}: only a padded batch takes lengths, and {owner} is one "
            with pytest.raises(ValueError, match=words):
                s({**s.problem(14), name: [3]})


@promise("What is taken")
def numbers_of_any_kind(s: Subject) -> None:
    """Options that are one number may be NumPy's scalars or arrays of no axes."""
    kinds = {bool: [np.bool_], int: [np.int64, np.uint8, np.array], float: [np.float64, np.float32]}
    for _, arguments in s.forms():
        for options in ({"threads": 2}, *s.function.variants):
            options = {n: v for n, v in options.items() if n in s.function.parameters()}
            expected = s({**arguments, **options})
            for name, value in options.items():
                for kind in kinds.get(type(value), []):
                    found = s({**arguments, **options, name: kind(value)})
                    assert_same_result(found, expected, s, name)


@promise("What is taken", each_door=False)
def sparse(s: Subject) -> None:
    """SciPy's sparse matrices are taken, or refused by name."""
    from scipy import sparse as scipy_sparse

    problem = s.problem(15, **dict.fromkeys(s.function.sizes, 6))
    name = next(iter(s.function.inputs))
    dense = np.where(problem[name] == 0, 1.0, problem[name])
    matrices = (scipy_sparse.csr_array, scipy_sparse.csc_array)
    for kind in matrices if dense.ndim > 1 else (scipy_sparse.coo_array,):
        given = {**problem, name: kind(dense)}
        if s.function.is_collection:
            given = {n: [v] for n, v in given.items()}
        if "sparse" not in s.function.lacks:
            assert_agree(s, s(given), s({**problem, name: dense}), 1, kind.__name__)
        else:
            words = "." if "words" in s.function.lacks else "expected "
            with pytest.raises((TypeError, ValueError), match=words):
                s(given)


# Kinds of arrays


def the_torch() -> Any:
    """PyTorch; a test without it is skipped, or fails where it is required."""
    if os.environ.get("COALIGN_REQUIRE_TORCH"):
        import torch

        return torch
    return pytest.importorskip("torch")


@promise("PyTorch", "kinds")
def torch_tensors(s: Subject) -> None:
    """PyTorch tensors on the CPU give tensors with the bits that NumPy's arrays give; under
    autocast and inference mode too, and for any strides."""
    torch = the_torch()

    def tensor(array: Array) -> Any:
        return torch.from_numpy(np.array(array))

    def assert_tensors(found: Any, expected: Any, what: str) -> None:
        for name, value in s.read(found).items():
            wanted = s.read(expected)[name]
            assert isinstance(value, list) == isinstance(wanted, list)
            for ours, theirs in zip(parts(value), parts(wanted), strict=True):
                if theirs is None:
                    assert ours is None
                    continue
                assert type(ours) is torch.Tensor, name
                assert ours.device.type == "cpu"
                assert not ours.requires_grad
                assert_same_bits(ours.numpy(), theirs, f"{what} {name}")

    class Labelled(torch.Tensor):  # type: ignore[misc]
        pass

    for dtype in ("float16", "float32", "float64", "uint8", "int32", "int64", "bool"):
        for form, arguments in s.forms(dtype):
            for options in s.function.variants:
                expected = s({**arguments, **options})
                tensors = changed(arguments, arguments, tensor)
                assert_tensors(s({**tensors, **options}), expected, f"{form} {dtype}")
                if "check" in dir(expected):
                    found = s({**tensors, **options})
                    assert found.check() is found
    for form, arguments in s.forms("float32"):
        expected = s(arguments)
        tensors = changed(arguments, s.function.inputs, tensor)
        for layout in (
            lambda t: t.mT.contiguous().mT if t.ndim > 1 else t,
            lambda t: torch.stack([t, t + math.nan], -1)[..., 0],
            lambda t: t.as_subclass(Labelled),
            lambda t: torch.complex(t, -t).conj().imag,
        ):
            laid_out = changed(tensors, s.function.inputs, layout)
            assert_tensors(s(laid_out), expected, form)
        with torch.inference_mode():
            made = changed(arguments, s.function.inputs, tensor)
            assert_tensors(s(made), expected, form)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_tensors(s(tensors), expected, form)
        if "out" not in s.function.lacks:
            out = torch.full((*expected.shape[:-1], expected.shape[-1] + 2), -1.0)[..., 1:-1]
            assert s({**tensors, "out": out}) is out
            assert_same_bits(out.contiguous().numpy(), expected, form)
        half = changed(tensors, s.function.inputs, lambda t: t.bfloat16())
        widened = changed(half, s.function.inputs, lambda t: t.float().numpy())
        assert_tensors(s(half), s(widened), f"{form} bfloat16")


@promise("PyTorch", "kinds")
def torch_refusals(s: Subject) -> None:
    """A tensor that requires grad, is traced, has no memory, is sparse or of another dtype, and
    arrays of different kinds, are refused by name with the remedy."""
    torch = the_torch()
    arrays = dict(s.forms(np.float32))["single" if "single" not in s.function.lacks else "batch"]
    tensors = changed(arrays, s.function.inputs, torch.from_numpy)
    in_lists = {name: [value, value] for name, value in tensors.items()}
    detach = (
        "expected a tensor that does not require grad, as gradients do not flow through this call; "
        "pass tensor.detach()"
    )
    for name, plain in tensors.items():
        with assert_refused(TypeError, f"{name}: {detach}"):
            s({**tensors, name: plain.clone().requires_grad_()})
        with assert_refused(TypeError, f"{name}: {detach}"):
            s({**tensors, name: torch.nn.Parameter(plain.clone())})
        if not s.function.is_collection:
            with pytest.raises(TypeError, match=rf"\A{name}\[1\]: expected a .*tensor"):
                s({**in_lists, name: [plain, plain.clone().requires_grad_()]})
        with pytest.raises(DeviceError, match=rf"\A{name}: lies on meta") as caught:
            s({**tensors, name: plain.to("meta")})
        assert "cpu()" not in str(caught.value), "a tensor without memory has none to move"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own, about what it will drop
            odd = [
                plain.to_sparse(),
                plain.to(torch.float8_e4m3fn),
                torch.complex(plain, plain),
                torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
            ]
        for other in odd:
            with pytest.raises(TypeError, match=rf"\A{name}: expected "):
                s({**tensors, name: other})
        for transform, given in (
            (torch.func.vmap, torch.stack([plain, plain])),
            (torch.func.grad, plain),
        ):
            # Inside it no tensor has memory that may be read: the first is named.
            with pytest.raises(TypeError, match=rf"\A({'|'.join(tensors)}): expected "):
                transform(lambda t, name=name: s({**tensors, name: t}))(given)
        remedy = "expected arrays of one kind on one device, got {} and {}; convert one of them"
        first, *others = tensors
        # Each is compared with the first; where the first is another, the second is.
        both, torch_first = (first, name), remedy.format("torch on cpu", "numpy")
        mixed = torch_first
        if name == first and others:
            both, mixed = (first, others[0]), remedy.format("numpy", "torch on cpu")
        if others:
            for array in (arrays[name], arrays[name].tolist()):
                with assert_refused(TypeError, f"{' and '.join(both)}: {mixed}"):
                    s({**tensors, name: array})
        if not s.function.is_collection:
            with assert_refused(TypeError, f"{name}[0] and {name}[1]: {torch_first}"):
                s({**in_lists, name: [plain, plain.numpy()]})
    if "out" not in s.function.lacks:
        shape = s(arrays).shape
        wanted = f"expected shape {shape} of float32, got shape {shape} of"
        for out, error, words in (
            (torch.zeros(shape, dtype=torch.bfloat16), ValueError, f"{wanted} bfloat16"),
            (torch.zeros(shape, dtype=torch.float64), ValueError, f"{wanted} float64"),
            (torch.zeros(shape, dtype=torch.int32), ValueError, f"{wanted} int32"),
            (torch.zeros(shape, requires_grad=True), TypeError, detach),
            (torch.zeros(shape[-1]).expand(shape), ValueError, "expected rows that do not overlap"),
            (torch.zeros(shape).mT, ValueError, "expected rows of unit stride"),
            (plain.view(-1)[: math.prod(shape)].view(shape), ValueError, OWN_MEMORY),
        ):
            before = out.detach().clone()
            with assert_refused(error, f"out: {words}"):
                s({**tensors, "out": out})
            assert (out == before).all()


@promise("Other devices and frameworks", "kinds")
def tracers(s: Subject) -> None:
    """A tracer of JAX is refused by name, with the remedy."""

    class Tracer(ArrayMethod):
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
            raise AssertionError("a tracer has no values")

    jax = ModuleType("jax")
    jax.core = SimpleNamespace(Tracer=Tracer)  # type: ignore[attr-defined]
    words = (
        "expected a concrete array, got the tracer Tracer; call coalign outside the traced "
        "function, or through a host callback"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "jax", jax)
        for form, arguments in s.forms():
            for name in s.function.inputs:
                place, value = name, Tracer(np.zeros(3))
                if form == "list":
                    place, value = f"{name}[1]", [arguments[name][0], value]
                with assert_refused(TypeError, f"{place}: {words}"):
                    s({**arguments, name: value})
            # An array of the same library that has values is taken.
            values = changed(arguments, s.function.inputs, ArrayMethod)
            assert_same_result(s(values), s(arguments), s, form)


@promise("Other devices and frameworks", "kinds")
def arrays_on_a_gpu(s: Subject) -> None:
    """Where coalign was built without CUDA, an array on a GPU is refused by name and never read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_device, "native", lambda: None)
        for form, arguments in s.forms():
            for name in s.function.inputs:
                for wrap in (CudaInterface, lambda array: DLPackOnly(array, (2, 0))):
                    value = wrap(np.zeros((3, 3)))
                    in_place = [arguments[name][0], value] if form == "list" else value
                    words = "lies on a GPU, and coalign was built without CUDA"
                    if "gpu" in s.function.lacks:
                        words = f"({words}|expected .* in host memory)"
                    with pytest.raises(DeviceError, match=rf"\A{name}(\[1\])?: {words}"):
                        s({**arguments, name: in_place})


@promise("Other devices and frameworks", "device")
def devices(s: Subject) -> None:
    """`device=None`, "cpu" and "auto" give the same bits where there is no GPU, "cuda" says what is
    missing, and any other device is refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_device, "native", lambda: None)
        for form, arguments in s.forms():
            expected = s(arguments)
            for device in (None, "cpu", "auto"):
                assert_same_result(s({**arguments, "device": device}), expected, s, form)
            with pytest.raises(DeviceError, match=r'\Adevice: "cuda" '):
                s({**arguments, "device": "cuda"})
            for device in ("gpu", 0, np.array(["cpu", "x"])):
                wanted = f'device: expected None, "cpu", "cuda" or "auto", got {device!r}'
                with assert_refused(ValueError, wanted):
                    s({**arguments, "device": device})


# Errors


@promise("Errors", "words", each_isa=True)
def values(s: Subject) -> None:
    """NaN, and the infinities that mean nothing, are refused with the index of the first."""
    for dtype in DTYPES:
        for form, arguments in s.forms(dtype, seed=16):
            for name, given in arguments.items():
                if name not in s.function.inputs:
                    continue
                wanted = s.function.wanted
                for value in s.function.refused:
                    found = "NaN" if math.isnan(value) else str(value)
                    # The batch's last problem, or its one; the first and last elements of it.
                    for last in (False, True):
                        index, place, array = locate(s, form, name, arguments, last=last)
                        spoilt = put(array, index, value)
                        words = f"{place}: {found} at index {index}; "
                        words += wanted if isinstance(wanted, str) else wanted[name]
                        in_place = [*given[:-1], spoilt] if form == "list" else spoilt
                        for count in counts_of_threads(s):
                            with assert_refused(ValueError, words):
                                s({**arguments, name: in_place, **count})
                        if not last and form != "list":
                            later, _, _ = locate(s, form, name, arguments, last=True)
                            with assert_refused(ValueError, words):
                                s({**arguments, name: put(spoilt, later, s.function.refused[0])})


def locate(
    s: Subject, form: str, name: str, arguments: Arguments, *, last: bool
) -> tuple[tuple[int, ...], str, Array]:
    """The index of the first or last value of the last problem, what it is in, and that array."""
    array = arguments[name][-1] if form == "list" else arguments[name]
    shape = list(array.shape)
    is_one = form in ("single", "list") or (form == "flat" and not s.function.is_collection)
    lead = [] if is_one else [len(array) - 1]
    if form == "padded":
        axes = s.function.inputs[name]
        for argument, axis in s.function.lengths.items():
            for at, its_axis in enumerate(axes):
                if its_axis == axis:
                    shape[1 + at] = arguments[argument][-1]
    own = [size - 1 if last else 0 for size in shape[len(lead) :]]
    place = f"{name}[{len(arguments[name]) - 1}]" if form == "list" else name
    return tuple(int(i) for i in (*lead, *own)), place, array


@promise("Errors", "words")
def shapes_and_dtypes(s: Subject) -> None:
    """Errors name the argument, what was wanted and what came: wrong numbers of axes, dtypes and
    kinds, in arguments and in the items of lists."""
    real = "expected a real numeric dtype of at most 64 bits, got {}"
    for form, arguments in s.forms():
        for name in s.function.inputs:
            first = parts(arguments[name])[0]

            def wrap(value: Any, form: str = form, first: Array = first) -> Any:
                return [first, value] if form == "list" else value

            place = f"{name}[1]" if form == "list" else name
            odd = [
                (first.astype(complex), real.format("complex128")),
                (first.astype(object), real.format("object")),
                (first.astype("M8[s]"), real.format("datetime64[s]")),
                (first.astype("U1"), real.format("<U1")),
                (np.zeros(3, [("a", "f4")]), real.format("[('a', '<f4')]")),
                (
                    np.ma.masked_array(first),
                    "expected a plain array, got a masked one; fill it first",
                ),
            ]
            if np.dtype(np.longdouble).itemsize > 8:
                odd.append((first.astype(np.longdouble), real.format(np.dtype(np.longdouble))))
            if form != "list":
                numeric = "expected a real numeric array, got {}"
                odd += [("abc", numeric.format("str")), (b"abc", numeric.format("bytes"))]
            else:
                like = "expected an array like the other items, got {}"
                odd += [("abc", like.format("str")), (3.0, like.format("float"))]
                odd += [([1.0], like.format("list")), (None, like.format("NoneType"))]
            for value, words in odd:
                with assert_refused(TypeError, f"{place}: {words}"):
                    s({**arguments, name: wrap(value)})
            for shape in ((), (1, 2, 3, 4, 5)):
                words = re.escape(f"array, got shape {shape}")
                words = rf"\A{re.escape(place)}: expected a .*-D {words}\Z"
                with pytest.raises(ValueError, match=words):
                    s({**arguments, name: wrap(np.zeros(shape))})

            class Ragged:
                def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
                    raise ValueError("rows of unequal length")

            wanted = "expected a real numeric array (a ragged batch is a list of arrays), got"
            with assert_refused(TypeError, f"{place}: {wanted} Ragged: rows of unequal length"):
                s({**arguments, name: wrap(Ragged())})


@promise("Errors", "words")
def options(s: Subject) -> None:
    """An option of a wrong type or value is refused by name, also where there is nothing to
    compute."""
    named = [
        name
        for name in s.function.parameters()
        if name not in (*s.function.inputs, *s.function.lengths)
    ]
    forms = dict(s.forms())
    if "batches" not in s.function.lacks:
        forms["nothing"] = {n: v[:0] for n, v in forms["batch"].items()}
    for arguments in forms.values():
        for name in named:
            for junk in (object(), {}, 1j):
                with pytest.raises((TypeError, ValueError), match=rf"\A{name}: expected "):
                    s({**arguments, **s.function.variants[0], name: junk})
        for count, error, words in (
            (0, ValueError, "expected at least 1, got 0"),
            (-3, ValueError, "expected at least 1, got -3"),
            (1.5, TypeError, "expected None or an integer, got float"),
            (True, TypeError, "expected None or an integer, got bool"),
            ("2", TypeError, "expected None or an integer, got str"),
            (np.array([2, 2]), TypeError, "expected None or an integer, got ndarray"),
        ):
            if "threads" not in s.function.lacks:
                with assert_refused(error, f"threads: {words}"):
                    s({**arguments, **s.function.variants[0], "threads": count})


# A preallocated result


@promise("A preallocated result", "out")
def out_is_filled(s: Subject) -> None:
    """`out=` takes the result in place and is returned: any rows of unit stride, and nothing
    between them is written."""
    for dtype in DTYPES:
        for _, arguments in s.forms(dtype):
            expected = s(arguments)
            *lead, rows, columns = expected.shape
            for holder, view in (
                ((*lead, rows, columns), (..., slice(None))),
                ((*lead, rows, columns + 4), (..., slice(2, -2))),
                ((*lead, 2 * rows, columns), (..., slice(None, None, 2), slice(None))),
                ((*lead, rows, columns), (..., slice(None, None, -1), slice(None))),
            ):
                memory = np.full(holder, np.nan, dtype)
                out = memory[view]
                assert s({**arguments, "out": out}) is out
                assert_same_bits(out, expected)
                assert np.count_nonzero(~np.isnan(memory)) == expected.size


@promise("A preallocated result", "out")
def other_out_is_refused(s: Subject) -> None:
    """An `out` of another shape, dtype, byte order or layout, that is read-only, overlaps itself or
    an input, or is no array, is refused, and nothing is written."""
    for dtype in DTYPES:
        for form, arguments in s.forms(dtype):
            shape = s(arguments).shape
            other = DTYPES[dtype == DTYPES[0]]
            swapped = dtype.newbyteorder()
            form_of = f"expected shape {shape} of {dtype}, got shape {{}} of {{}}"
            unit, apart = "expected rows of unit stride", "expected rows that do not overlap"
            for out, words in (
                (
                    np.zeros((*shape[:-1], shape[-1] + 1), dtype),
                    form_of.format((*shape[:-1], shape[-1] + 1), dtype),
                ),
                (np.zeros(math.prod(shape), dtype), form_of.format((math.prod(shape),), dtype)),
                (np.zeros(shape, other), form_of.format(shape, other)),
                (np.zeros(shape, swapped), form_of.format(shape, swapped)),
                (frozen(np.zeros(shape, dtype)), "expected a writable array, got a read-only one"),
                (np.zeros(shape, dtype, order="F"), unit),
                (np.zeros((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2], unit),
                (np.zeros(shape, dtype)[..., ::-1], unit),
                (as_strided(np.zeros(shape[-1], dtype), shape, (0, dtype.itemsize)), apart),
                (as_strided(np.zeros(99, dtype), shape, (dtype.itemsize,) * 2), apart),
            ):
                before = out.copy()
                with assert_refused(ValueError, f"out: {words}"):
                    s({**arguments, "out": out})
                assert_same_bits(out, before)
            for out in (
                [[0.0]],
                "x",
                np.ndarray,
                *(w(np.zeros(shape, dtype)) for w in (DLPackOnly, ArrayMethod, ArrayInterface)),
            ):
                with assert_refused(TypeError, f"out: expected an array, got {type(out).__name__}"):
                    s({**arguments, "out": out})
            if form != "list":
                name = next(iter(s.function.inputs))
                room = np.zeros(max(arguments[name].size, math.prod(shape)), dtype)
                view = room[: arguments[name].size].reshape(arguments[name].shape)
                view[...] = arguments[name]
                with assert_refused(ValueError, f"out: {OWN_MEMORY}"):
                    s({**arguments, name: view, "out": room[: math.prod(shape)].reshape(shape)})
                assert_same_bits(view, arguments[name])


# Results


def results(s: Subject) -> Iterator[tuple[str, Any]]:
    """A result of every form and option."""
    for form, arguments in s.forms():
        for options in s.function.variants:
            yield f"{form} {options}", s({**arguments, **options})


def arrays_of(found: Any) -> list[Array]:
    """The arrays of a result."""
    fields = [getattr(found, name) for name in found._fields]
    return [item for value in fields for item in parts(value) if isinstance(item, np.ndarray)]


@promise("Results", "result")
def immutable(s: Subject) -> None:
    """A result has the documented fields and no others; neither they nor the arrays in them can be
    written, and each array is made once."""
    for what, found in results(s):
        assert {*s.function.fields, *s.function.constants} <= set(found._fields), what
        described = (inspect.getdoc(type(found)) or "").partition("Attributes")[2]
        assert not hasattr(found, "__dict__")
        for name in found._fields:
            assert name in described, name
            assert getattr(found, name) is getattr(found, name)
            with pytest.raises(AttributeError):
                setattr(found, name, None)
        with pytest.raises((AttributeError, TypeError)):
            found.unknown = 1
        for array in arrays_of(found):
            assert array.flags.aligned
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


@promise("Results", "result")
def pickle_and_copy(s: Subject) -> None:
    """A result survives pickle, `copy.copy`, `copy.deepcopy` and `copy.replace`."""
    for what, found in results(s):
        others = [pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)]
        for other in (*others, found.__replace__()):
            assert other is not found
            assert_same_result(other, found, s, what)
            assert not any(array.flags.writeable for array in arrays_of(other))


@promise("Results", "result")
def identity_and_repr(s: Subject) -> None:
    """Two results are equal only if they are one object; `repr` names every field in order, shows
    scalars and shapes, and is short."""
    for _, found in results(s):
        assert found == found
        assert found != copy.copy(found)
        shown = repr(found)
        assert shown.startswith(f"{type(found).__name__}({found._fields[0]}=")
        at = [re.search(rf"\b{name}=", shown).start() for name in found._fields]
        assert at == sorted(at)
        assert len(shown) < 60 * len(at)
        for value in (getattr(found, name) for name in found._fields):
            if isinstance(value, np.ndarray):
                assert str(value.shape) in shown


@promise("Results", "result", "status")
def status_and_check(s: Subject) -> None:
    """`status` holds a `Status` for each problem; `check()` returns the result where all are OK,
    and else raises for the first that is not."""
    for what, found in results(s):
        assert found.check() is found, what
        assert set(np.atleast_1d(found.status).tolist()) <= {Status.OK}
    (_, arguments), *_ = s.forms()
    has_batches = "batches" not in s.function.lacks
    batch = s(listed(s.problems(17, 3))) if has_batches else s(arguments)
    assert batch._wrong
    for status, (error, _) in batch._wrong.items():
        one = s(arguments).__replace__(status=np.int32(status))
        with pytest.raises(error, match=r"\Aproblem 0: "):
            one.check()
        bad = batch.__replace__(status=np.array([Status.OK, status, status], np.int32))
        with pytest.raises(error, match=r"\Aproblem 1: "):
            bad.check()


@promise("Results")
def memory_of_its_own(s: Subject) -> None:
    """A result shares no memory with what was passed in, and its arrays outlive it."""
    for form, arguments in s.forms():
        for options in s.function.variants:
            given = changed(arguments, arguments, np.copy)
            found = s({**given, **options})
            held = [v for value in s.read(found).values() for v in parts(value) if v is not None]
            wanted = [np.copy(value) for value in held]
            for value in held:
                for array in given.values():
                    assert not any(np.shares_memory(value, part) for part in parts(array)), form
            for array in given.values():
                for part in parts(array):
                    part[...] = 1
            del found
            scratch = [s({**arguments, **options}) for _ in range(5)]
            assert len(scratch) == 5
            for value, want in zip(held, wanted, strict=True):
                assert_same_bits(value, want, form)


# Running


@promise("Running", "progress")
def progress(s: Subject) -> None:
    """`progress=f` calls f(done, total) in the calling thread, with counts that rise to the total;
    what it raises stops the call; `progress=True` shows a bar; of no work nothing is told."""
    told: list[tuple[int, int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total, threading.get_ident()))

    for form, arguments in s.forms():
        expected = s(arguments)
        for count in (1, 2):
            told.clear()
            given = {**arguments, "threads": count, "progress": tell}
            assert_same_result(s(given, work_per_thread=0), expected, s, form)
            done, totals, callers = zip(*told, strict=True)
            assert all(type(number) is int for number in (*done, *totals))
            assert len({*totals}) == 1
            assert list(done) == sorted(done)
            assert done[0] >= 0
            assert done[-1] == totals[0] > 0
            assert done.count(totals[0]) <= 2  # by the work that ends, and by the call that returns
            assert {*callers} == {threading.get_ident()}
        for nobody in (False, None):
            assert_same_result(s({**arguments, "progress": nobody}), expected, s, form)
    told.clear()
    spoilt = changed(arguments, s.function.inputs, lambda array: array * math.nan)
    with pytest.raises(ValueError, match="NaN at index"):
        s({**spoilt, "progress": tell})
    assert all(done < total for done, total, _ in told)
    told.clear()
    s({**{name: [] for name in s.function.inputs}, "progress": tell})
    assert told == []

    class EnoughError(Exception):
        pass

    enough = EnoughError()

    def stop(done: int, total: int) -> None:
        told.append((done, total, 0))
        raise enough

    for count in (1, 2):
        told.clear()
        start = time.monotonic()
        with pytest.raises(EnoughError) as caught:
            s({**s.function.long(), "threads": count, "progress": stop})
        assert caught.value is enough
        assert len(told) == 1
        assert told[0][0] < told[0][1]
        assert time.monotonic() - start < 1
    pytest.importorskip("tqdm")
    with redirect_stderr(io.StringIO()) as shown, redirect_stdout(io.StringIO()) as printed:
        assert_same_result(s({**arguments, "progress": True}), expected, s)
    assert f"{s.function.name}: 100%" in shown.getvalue()
    assert printed.getvalue() == ""
    for junk in (1, 0, "yes", 2.0, [print]):
        words = f"progress: expected a bool or f(done, total), got {junk!r}"
        with assert_refused(TypeError, words):
            s({**arguments, "progress": junk})


class Stop(BaseException):
    """What a signal handler raises."""


@contextmanager
def alarm(seconds: float, *, is_heard: bool = True) -> Iterator[list[float]]:
    """Raise Stop from a signal handler, as Ctrl-C raises KeyboardInterrupt, inside the block."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("no interval timers on this system")
    heard: list[float] = []

    def handler(number: int, frame: Any) -> None:
        heard.append(time.monotonic())
        if is_heard:
            raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield heard
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stopped_after(s: Subject, arguments: Arguments, seconds: float) -> float:
    """How long a call goes on once it is told to stop."""
    with suppress(Stop), alarm(seconds):
        start = time.monotonic()
        s(arguments)
        pytest.fail("the call ended before it was stopped")
    return time.monotonic() - start - seconds


def counts_of_threads(s: Subject) -> list[Arguments]:
    """The option that says how many threads, if there is one, with numbers to try."""
    return [{}] if "threads" in s.function.lacks else [{"threads": 1}, {"threads": 2}]


@promise("Running", each_door=False)
def ctrl_c(s: Subject) -> None:
    """Ctrl-C stops a long call within 100 ms, and leaves no thread, file or memory behind."""
    small = next(iter(s.forms()))[1]
    expected = s(small)
    long = s.function.long()
    levels = []
    for _ in range(3):
        for count, options in product(counts_of_threads(s), s.function.long_variants):
            given = {**long, **count, **options}
            # A busy machine may delay one answer; a call that does not listen is late every time.
            taken = [stopped_after(s, given, 0.03)]
            while taken[-1] > 0.1 and len(taken) < 4:
                taken.append(stopped_after(s, given, 0.03))
            assert min(taken) < 0.1, taken
            assert_same_result(s(small), expected, s)
        gc.collect()
        levels.append(held())
    assert_nothing_more(levels[0], levels[-1], memory=1_000_000)


@promise("Running", each_door=False)
def signals_that_raise_nothing(s: Subject) -> None:
    """A signal whose handler returns changes nothing."""
    arguments = {**few(s), **s.function.variants[0]}
    expected = s(arguments)
    with alarm(0.001, is_heard=False) as heard:
        deadline = time.monotonic() + 1
        while not heard and time.monotonic() < deadline:
            assert_same_result(s(arguments), expected, s)
    assert heard


def few(s: Subject) -> Arguments:
    """Arguments of a few problems, or of one where a function takes no batch."""
    forms = dict(s.forms())
    return forms.get("list", forms.get("single", {}))


def held() -> dict[str, int]:
    """What this process holds: threads, open files, memory of Python's and of malloc's."""
    process = Path("/proc/self")
    if not process.exists():
        pytest.skip("reads Linux's /proc")
    return {
        "threads": len(os.listdir(process / "task")),
        "files": len(os.listdir(process / "fd")),
        "blocks": sys.getallocatedblocks(),
        "memory": memory_in_use(),
    }


def memory_in_use() -> int:
    """Bytes that malloc has given out; 0 where the C library does not say."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return 0

    class Numbers(ctypes.Structure):
        _fields_ = (("all", ctypes.c_size_t * 10),)

    libc.mallinfo2.restype = Numbers
    # In pieces, and in mappings of their own.
    numbers = libc.mallinfo2().all
    return int(numbers[7] + numbers[4])


def assert_nothing_more(before: dict[str, int], after: dict[str, int], memory: int) -> None:
    """The process holds what it held, but for `memory` bytes."""
    more = {name: after[name] - before[name] for name in before}
    assert more["threads"] <= 0, more
    assert more["files"] <= 0, more
    assert more["blocks"] < 500, more
    assert more["memory"] < memory, more


@promise("Running")
def leaks(s: Subject) -> None:
    """Calls, also those that fail, leak no memory, object, file or thread, and a plain call leaves
    nothing to the garbage collector."""
    forms = dict(s.forms())
    name = next(iter(s.function.inputs))
    many = (0 if "threads" in s.function.lacks else 1) * ({"threads": 2},)

    def run(times: int) -> None:
        for _ in range(times):
            for arguments in forms.values():
                for options in (*s.function.variants, *many):
                    s.read(
                        s({**arguments, **options}, work_per_thread=0 if options in many else None)
                    )
                with suppress(ValueError, TypeError):
                    s({**arguments, name: math.nan})
                with suppress(ValueError, TypeError):
                    s(changed(arguments, [name], lambda array: array * math.nan))

    def references() -> list[int]:
        arrays = [part for a in forms.values() for value in a.values() for part in parts(value)]
        return [sys.getrefcount(array) for array in arrays]

    run(10)
    gc.collect()
    counts, before = references(), held()
    run(40)
    gc.collect()
    assert_nothing_more(before, held(), memory=20_000)
    assert references() == counts
    gc.collect()
    # Called as a user does: what forces an instruction set leaves a cycle of its own.
    for arguments in forms.values():
        s.read(s.function.call(**arguments))
    assert gc.collect() == 0


@promise("Running", each_door=False)
def fork(s: Subject) -> None:
    """Calls work in a forked process, also while another thread of the parent is inside a call."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    arguments = few(s)
    if "threads" not in s.function.lacks:
        arguments = {**arguments, "threads": 2}
    expected = s(arguments, work_per_thread=0)
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            s(arguments, work_per_thread=0)

    busy = threading.Thread(target=keep_busy)
    try:
        for parent in ("idle", "busy"):
            if parent == "busy":
                busy.start()
            for _ in range(3):
                assert forked(s, arguments, expected) == 0, parent
                assert_same_result(s(arguments, work_per_thread=0), expected, s)
    finally:
        stop.set()
        if busy.is_alive():
            busy.join()


def forked(s: Subject, arguments: Arguments, expected: Any) -> int:
    """The status of a child that makes a call and ends: 0 if it had the expected bits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside other threads
        child = os.fork()
    if child == 0:
        status = 3
        try:
            signal.alarm(30)
            assert_same_result(s(arguments, work_per_thread=0), expected, s)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@promise("Running", each_door=False)
def gil(s: Subject) -> None:
    """Other Python threads go on while a call works."""
    moments: list[float] = []
    stop = threading.Event()

    def count() -> None:
        while not stop.wait(0.001):
            moments.append(time.monotonic())

    counter = threading.Thread(target=count)
    counter.start()
    long = s.function.long()
    try:
        for count in counts_of_threads(s):
            # A busy machine may delay the thread once; a call that holds the GIL always does.
            for _ in range(4):
                start = time.monotonic()
                stopped_after(s, {**long, **count}, 0.1)
                end = time.monotonic()
                during = [start, *(moment for moment in moments if start < moment < end), end]
                if len(during) > 10 and np.diff(during).max() < (end - start) / 2:
                    break
            else:
                pytest.fail(f"another thread counted to {len(during)} in {end - start:.2f} s")
    finally:
        stop.set()
        counter.join()


@promise("Running")
def calls_at_once(s: Subject) -> None:
    """Threads may call at once with the same inputs, and read the same result."""
    arguments = few(s)
    expected = [s({**arguments, **options}) for options in s.function.variants]
    barrier = threading.Barrier(4)

    def work(turn: int) -> list[Any]:
        barrier.wait()
        found = []
        for at in range(12):
            # Each thread starts elsewhere, so that different calls meet.
            which = (turn + at) % len(expected)
            result = s({**arguments, **s.function.variants[which]})
            assert_same_result(result, expected[which], s)
            found.append(result)
        return found

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
        for _ in range(10):
            fresh = s({**arguments, **s.function.variants[0]})
            read = list(
                pool.map(lambda _, fresh=fresh: (barrier.wait(), s.read(fresh))[1], range(4))
            )
            for fields in read[1:]:
                assert all(fields[name] is read[0][name] for name in fields)


@promise("Running", "threads")
def environment(s: Subject) -> None:
    """`COALIGN_NUM_THREADS` sets the number of threads where `threads=` does not, and
    `COALIGN_ISA` the instruction set; a wrong value of either is refused by its name."""
    arguments = much(s, np.float64)
    plain = replace(s, isa=None)
    expected = s(arguments)
    with pytest.MonkeyPatch.context() as patch:
        if s.isa is not None:
            patch.setenv("COALIGN_ISA", s.isa)
        for count in (1, 2):
            patch.setenv("COALIGN_NUM_THREADS", str(count))
            assert_same_result(shared(plain, arguments, count, is_given=False), expected, s)
        for name, wanted in (
            ("COALIGN_NUM_THREADS", "a positive integer"),
            ("COALIGN_ISA", f"one of {', '.join(_execution.available())} on this CPU"),
        ):
            patch.setenv(name, "many")
            with assert_refused(ValueError, f"{name}: expected {wanted}, got 'many'"):
                plain(arguments)
            patch.delenv(name)


@promise("Running")
def no_warnings(s: Subject) -> None:
    """A call that goes well warns of nothing and prints nothing."""
    said = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stderr(said):
        warnings.simplefilter("always")
        with redirect_stdout(said):
            assert [*results(s)]
    assert caught == []
    assert said.getvalue() == ""
