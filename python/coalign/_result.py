"""What the result classes of all operations share, over the fields that native code holds."""

from __future__ import annotations

from typing import Any

import numpy as np

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
