"""Functions that break one promise each, made of those that keep them all."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np

import coalign
from coalign import _execution
from contract import FUNCTIONS
from promises import Stop, Subject, parts

Call = Callable[..., Any]


@dataclass(frozen=True)
class Fault:
    """A way to break a promise: `instead(call, **arguments)` is what a call does."""

    promise: str
    name: str
    instead: Call
    function: str = "assign"

    def subject(self) -> Subject:
        """The function with the fault."""
        (function,) = (row for row in FUNCTIONS if row.name == self.function)
        call = function.call

        @wraps(call)
        def broken(**arguments: Any) -> Any:
            return self.instead(call, **arguments)

        return Subject(replace(function, call=broken))


def wrong(found: Any, by: Any = 1) -> Any:
    """A matching whose total is wrong."""
    return found.__replace__(total=found.total + by)


def is_wrong_if(is_wrong: Callable[..., Any]) -> Call:
    """Totals are wrong where the arguments say so."""

    def instead(call: Call, **arguments: Any) -> Any:
        found = call(**arguments)
        return wrong(found) if is_wrong(arguments["cost"]) else found

    return instead


def fails_if(is_refused: Callable[..., Any], error: type[Exception] = ValueError) -> Call:
    """Arguments are refused that are to be taken."""

    def instead(call: Call, **arguments: Any) -> Any:
        if is_refused(**arguments):
            raise error("a fault")
        return call(**arguments)

    return instead


def without(name: str, *, change: Callable[[Any], Any] | None = None) -> Call:
    """An argument is ignored, or changed before it is looked at."""

    def instead(call: Call, **arguments: Any) -> Any:
        if name in arguments:
            value = arguments.pop(name)
            if change is not None:
                is_list = isinstance(value, list)
                arguments[name] = [change(item) for item in value] if is_list else change(value)
        return call(**arguments)

    return instead


def says(error: Callable[[str], str]) -> Call:
    """Errors have other words."""

    def instead(call: Call, **arguments: Any) -> Any:
        try:
            return call(**arguments)
        except (TypeError, ValueError) as found:
            raise type(found)(error(str(found))) from None

    return instead


def at_first(words: str) -> str:
    start, found, rest = words.partition("at index")
    return f"{start}{found} (0, 0);{rest.partition(';')[2]}"


def by_the_size(call: Call, cost: Any, **options: Any) -> Any:
    return wrong(call(cost, **options), by=len(cost))


def leaves_padding(call: Call, **arguments: Any) -> Any:
    found = call(**arguments)
    return found.__replace__(col_of_row=np.where(found.col_of_row < 0, 0, found.col_of_row))


def loses_the_dtype(call: Call, cost: Any, **options: Any) -> Any:
    found = call(cost, **options)
    return found if len(cost) else found.__replace__(total=found.total.astype(np.float32))


def makes_a_frame(call: Call, x: Any, y: Any, **options: Any) -> Any:
    return call(
        *(side if len(side) else np.zeros((1, side.shape[1])) for side in (x, y)), **options
    )


def takes_one_otherwise(call: Call, x: Any, y: Any, **options: Any) -> Any:
    found = call(x, y, **options)
    is_one = any(isinstance(side, np.ndarray) and side.ndim == 2 for side in (x, y))
    return found.__replace__(cost=found.cost + 1) if is_one else found


def by_threads(call: Call, threads: int, **arguments: Any) -> Any:
    return wrong(call(**arguments, threads=threads), by=threads)


def by_time(call: Call, **arguments: Any) -> Any:
    return wrong(call(**arguments), by=time.monotonic_ns())


def writes(call: Call, cost: Any, **options: Any) -> Any:
    found = call(cost, **options)
    for array in parts(cost):
        if array.flags.writeable and array.size:
            array.flat[0] += 1
    return found


def takes_the_first_dtype(call: Call, cost: Any, **options: Any) -> Any:
    is_list = isinstance(cost, list)
    return call([c.astype(cost[0].dtype) for c in cost] if is_list else cost, **options)


def turned(cost: Any) -> Any:
    return cost.T.tocsr() if hasattr(cost, "tocsr") else cost


def as_array(value: Any) -> Any:
    return value.detach().numpy() if hasattr(value, "detach") else value


def copies_out(call: Call, out: Any = None, **arguments: Any) -> Any:
    found = call(**arguments)
    if out is not None:
        out[...] = found
    return found


def writes_between(call: Call, out: Any = None, **arguments: Any) -> Any:
    if out is not None and out.base is not None:
        out.base[np.isnan(out.base)] = 0
    return call(**arguments, out=out)


def writes_before_it_looks(call: Call, out: Any = None, **arguments: Any) -> Any:
    if isinstance(out, np.ndarray) and out.flags.writeable:
        out[...] = 1
    return call(**arguments, out=out)


def returns(**members: Any) -> Call:
    """Results are of a class with other members."""
    members = {"__doc__": coalign.Assignment.__doc__, "__slots__": (), **members}
    kind: Any = type("Broken", (coalign.Assignment,), members)

    def instead(call: Call, **arguments: Any) -> Any:
        found = call(**arguments)
        return kind(*(getattr(found, name) for name in found._fields))

    return instead


def loses_a_field(found: Any) -> Any:
    fields = [getattr(found, name) for name in found._fields]
    return coalign.Assignment, (*fields[:2], np.zeros_like(fields[2]), *fields[3:])


def shows_all(found: Any) -> str:
    return f"Broken({', '.join(f'{n}={getattr(found, n)!r}' for n in found._fields)})"


def shares_memory(call: Call, cost: Any, **options: Any) -> Any:
    found = call(cost, **options)
    return found.__replace__(row_dual=cost[..., 0]) if isinstance(cost, np.ndarray) else found


def tells_from_a_thread(call: Call, progress: Any = None, **arguments: Any) -> Any:
    found = call(**arguments)
    if callable(progress):
        teller = threading.Thread(target=progress, args=(1, 1))
        teller.start()
        teller.join()
    return found


def swallows(call: Call, progress: Any = None, **arguments: Any) -> Any:
    def tell(done: int, total: int) -> None:
        try:
            progress(done, total)
        except Exception:
            return

    arguments = {n: v[:30] if getattr(v, "ndim", 0) == 2 else v for n, v in arguments.items()}
    return call(**arguments, progress=tell if callable(progress) else progress)


def never_tells_the_end(call: Call, progress: Any = None, **arguments: Any) -> Any:
    def tell(done: int, total: int) -> Any:
        return progress(min(done, total - 1), total)

    return call(**arguments, progress=tell if callable(progress) else progress)


def shows_no_bar(call: Call, progress: Any = None, **arguments: Any) -> Any:
    return call(**arguments, progress=None if progress is True else progress)


def stops_late(call: Call, **arguments: Any) -> Any:
    try:
        return call(**arguments)
    except Stop:
        time.sleep(0.2)
        raise


def leaves_a_thread_when_stopped(call: Call, **arguments: Any) -> Any:
    try:
        return call(**arguments)
    except Stop:
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
        raise


HELD: list[Any] = []


def release() -> None:
    """Give back what the faults have held."""
    for item in HELD:
        if isinstance(item, int):
            os.close(item)
    HELD.clear()


def holds(what: Callable[..., Any]) -> Call:
    """Every call leaves something behind."""

    def instead(call: Call, **arguments: Any) -> Any:
        HELD.append(what(**arguments))
        return call(**arguments)

    return instead


def leaves_a_file_when_it_fails(call: Call, **arguments: Any) -> Any:
    try:
        return call(**arguments)
    except ValueError:
        HELD.append(os.open(os.devnull, os.O_RDONLY))
        raise


def leaves_threads(call: Call, **arguments: Any) -> Any:
    HELD.append(None)
    if len(HELD) % 100 == 0:
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
    return call(**arguments)


def leaves_a_cycle(call: Call, **arguments: Any) -> Any:
    cycle: list[Any] = []
    cycle.append(cycle)
    return call(**arguments)


def holds_the_gil(call: Call, **arguments: Any) -> Any:
    ctypes.PyDLL(None).usleep(200_000)
    return call(**arguments)


INSIDE: list[int] = []


def shares_a_buffer(call: Call, **arguments: Any) -> Any:
    INSIDE.append(1)
    found = call(**arguments)
    time.sleep(0.001)
    found = wrong(found) if len(INSIDE) > 1 else found
    INSIDE.pop()
    return found


def takes_three_threads(call: Call, threads: Any = None, **arguments: Any) -> Any:
    return call(**arguments, threads=threads or 3)


def warns(call: Call, **arguments: Any) -> Any:
    warnings.warn("a fault", stacklevel=2)
    return call(**arguments)


def prints(call: Call, **arguments: Any) -> Any:
    print("a fault")
    return call(**arguments)


PARENT = os.getpid()


def all_arrays(cost: Any, **_: Any) -> bool:
    return all(isinstance(array, np.ndarray) for array in parts(cost))


FAULTS = (
    Fault("batches", "lists are wrong", is_wrong_if(lambda c: isinstance(c, list))),
    Fault("neighbours", "the size of the batch counts", by_the_size),
    Fault("padding", "it is read", is_wrong_if(lambda c: np.isnan(c).any())),
    Fault("padding", "it is left in results", leaves_padding),
    Fault("no problems", "an empty list is refused", fails_if(lambda cost, **_: len(cost) == 0)),
    Fault("no problems", "the dtype is lost", loses_the_dtype),
    Fault("empty problems", "no rows are refused", fails_if(lambda cost, **_: 0 in cost.shape)),
    Fault("empty problems", "a frame is made up", makes_a_frame, "dtw"),
    Fault("one against many", "one is taken otherwise", takes_one_otherwise, "dtw"),
    Fault("threads", "their number counts", by_threads),
    Fault("threads", "one more is used", without("threads", change=lambda n: n + 1)),
    Fault("repetition", "time counts", by_time),
    Fault(
        "repetition", "the door counts", is_wrong_if(lambda _: _execution._override.get().general)
    ),
    Fault(
        "layouts",
        "strides are ignored",
        is_wrong_if(lambda cost: not all(c.flags.c_contiguous for c in parts(cost))),
    ),
    Fault(
        "layouts",
        "bytes are not swapped",
        is_wrong_if(lambda cost: not all(c.dtype.isnative for c in parts(cost))),
    ),
    Fault(
        "views that repeat",
        "zero strides are wrong",
        is_wrong_if(lambda cost: any(0 in c.strides for c in parts(cost))),
    ),
    Fault(
        "instruction sets",
        "one is wrong",
        is_wrong_if(lambda _: _execution.selected() == _execution.available()[-1]),
    ),
    Fault("inputs untouched", "they are written", writes),
    Fault(
        "inputs untouched",
        "read-only ones are refused",
        fails_if(lambda cost, **_: not all(c.flags.writeable for c in parts(cost))),
    ),
    Fault("dtypes", "all become float64", without("cost", change=lambda c: c.astype(float))),
    Fault("mixed dtypes", "the first item rules", takes_the_first_dtype),
    Fault("other arrays", "only NumPy's", fails_if(lambda **a: not all_arrays(**a), TypeError)),
    Fault("lists of numbers", "refused", fails_if(lambda **a: not all_arrays(**a), TypeError)),
    Fault(
        "lengths",
        "only int64",
        fails_if(lambda row_lengths, **_: getattr(row_lengths, "dtype", "int64") != "int64"),
    ),
    Fault("lengths", "cast", without("row_lengths", change=lambda n: np.array(n).astype(int))),
    Fault(
        "numbers of any kind",
        "only Python's",
        fails_if(lambda **a: any(isinstance(value, np.generic) for value in a.values())),
    ),
    Fault("sparse", "turned", without("cost", change=turned)),
    Fault("sparse", "made dense", without("x", change=lambda x: x.toarray()), "dtw"),
    Fault("torch tensors", "they give arrays", without("cost", change=as_array)),
    Fault("torch refusals", "gradients are lost", without("cost", change=as_array)),
    Fault("tracers", "read", without("cost", change=lambda c: getattr(c, "array", c))),
    Fault("arrays on a gpu", "read", without("cost", change=lambda c: np.zeros((3, 3)))),
    Fault("devices", "ignored", without("device")),
    Fault("values", "NaN is 0", without("cost", change=np.nan_to_num)),
    Fault("values", "the first index is named", says(at_first)),
    Fault("shapes and dtypes", "nothing is named", says(lambda _: "expected something else")),
    Fault("options", "flags are cast", without("maximize", change=bool)),
    Fault("out is filled", "a copy is returned", copies_out, "dtw_cdist"),
    Fault("out is filled", "what lies between is written", writes_between, "dtw_cdist"),
    Fault("other out is refused", "any is taken", without("out"), "dtw_cdist"),
    Fault("other out is refused", "it is written first", writes_before_it_looks, "dtw_cdist"),
    Fault("immutable", "anything may be added", returns(__slots__=("__dict__",))),
    Fault("immutable", "arrays are made anew", returns(col_of_row=property(lambda _: np.zeros(3)))),
    Fault("pickle and copy", "a field is lost", returns(__reduce__=loses_a_field)),
    Fault("identity and repr", "compared by value", returns(__eq__=lambda a, b: True)),
    Fault("identity and repr", "all is shown", returns(__repr__=shows_all)),
    Fault("status and check", "nothing is checked", returns(check=lambda found: found)),
    Fault("memory of its own", "a view of the cost", shares_memory),
    Fault("progress", "told by another thread", tells_from_a_thread, "dtw_cdist"),
    Fault("progress", "what it raises is lost", swallows, "dtw_cdist"),
    Fault("progress", "the end is not told", never_tells_the_end, "dtw_cdist"),
    Fault("progress", "no bar is shown", shows_no_bar, "dtw_cdist"),
    Fault("ctrl c", "heard late", stops_late),
    Fault("ctrl c", "a thread is left", leaves_a_thread_when_stopped),
    Fault(
        "signals that raise nothing",
        "they spoil the result",
        is_wrong_if(lambda _: signal.getitimer(signal.ITIMER_REAL)[0] == 0),
    ),
    Fault("leaks", "arrays", holds(lambda **_: np.zeros(100))),
    Fault("leaks", "references", holds(lambda cost, **_: cost)),
    Fault("leaks", "files of failing calls", leaves_a_file_when_it_fails),
    Fault("leaks", "threads", leaves_threads),
    Fault("leaks", "cycles", leaves_a_cycle),
    Fault("fork", "the child is wrong", is_wrong_if(lambda _: os.getpid() != PARENT)),
    Fault("gil", "held", holds_the_gil),
    Fault("calls at once", "they share a buffer", shares_a_buffer),
    Fault("environment", "ignored", takes_three_threads),
    Fault("no warnings", "one is given", warns),
    Fault("no warnings", "something is printed", prints),
)
