"""What the result classes of all operations share, over the fields that native code holds."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from ._arrays import Kind, to_host
from ._errors import Status


class Result:
    """An immutable object with fields; two are equal only if they are one."""

    __slots__ = ()
    _fields: tuple[str, ...]

    def __repr__(self) -> str:
        words = (f"{name}={_words(name, getattr(self, name))}" for name in self._fields)
        return f"{type(self).__name__}({', '.join(words)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self._fields)

    def __replace__(self, **changes: Any) -> Any:
        """Return a copy with some fields changed, as `copy.replace` does."""
        return type(self)(**{**{name: getattr(self, name) for name in self._fields}, **changes})


AnyResult = TypeVar("AnyResult", bound=Result)


def in_kind(result: AnyResult, kind: Kind) -> AnyResult:
    """Give the arrays of a result on the host the kind of the input."""
    if kind.library == "numpy":
        return result

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(item) for item in value]
        if not isinstance(value, (np.ndarray, np.generic)):
            return value
        # Every tensor may be written, and no array of a result that Python code has made.
        return kind.wrap(value if value.flags.writeable else value.copy())

    return type(result)(*map(convert, result._writeable_fields()))  # type: ignore[attr-defined]


def downloaded(result: AnyResult) -> AnyResult:
    """Copy the fields of a result on a GPU to the host; waits for it."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [to_host(item) for item in value]
        return to_host(value)[()] if hasattr(value, "dtype") else value

    return type(result)(*(convert(getattr(result, name)) for name in result._fields))


def _words(name: str, value: Any) -> str:
    """Say a field: a number as it is, a status by its name, arrays by shape and dtype."""
    if isinstance(value, list):
        return f"<list of {len(value)}>"
    shape = getattr(value, "shape", None)
    if shape is None or not hasattr(value, "dtype"):
        return repr(value)
    if tuple(shape) != () or not isinstance(value, np.generic):
        return f"<{str(value.dtype).removeprefix('torch.')} {tuple(shape)}>"
    return Status(int(value)).name if name == "status" else repr(value.item())
