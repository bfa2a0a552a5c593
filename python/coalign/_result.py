"""What the result classes of all operations share, over the fields that native code holds."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ._arrays import to_host
from ._errors import Status


class Result:
    """An immutable object with fields; two are equal only if they are one."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]]
    #: The error of each status that is not OK, and its words.
    _wrong: ClassVar[dict[Status, tuple[type[Exception], str]]] = {}

    def __repr__(self) -> str:
        words = (f"{name}={_words(name, getattr(self, name))}" for name in self._fields)
        return f"{type(self).__name__}({', '.join(words)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self._fields)

    def check(self) -> Any:
        """Return self if every status is OK, else raise an error for the first that is not.

        A result on a GPU is waited for.

        Returns
        -------
        object
            This result.

        Raises
        ------
        InfeasibleError
            A problem has no solution.
        ArithmeticError
            A cost exceeds what its dtype can hold (OverflowError), or a total could not be proved.
        ValueError
            On a GPU: an input is NaN, or infinite where that is not allowed, or a length is out of
            range.

        Examples
        --------
        >>> import coalign
        >>> float(coalign.dtw([0.0, 1.0], [0.0, 2.0]).check().cost)
        1.0
        """
        for problem, status in enumerate(np.atleast_1d(to_host(getattr(self, "status", 0)))):
            if status != Status.OK:
                error, words = self._wrong[Status(int(status))]
                raise error(f"problem {problem}: {words}")
        return self

    def __replace__(self, **changes: Any) -> Any:
        """Return a copy with some fields changed, as `copy.replace` does."""
        return type(self)(**{**{name: getattr(self, name) for name in self._fields}, **changes})


class PlainResult(Result):
    """A result whose fields Python code has made, as a frozen dataclass; its arrays are locked."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for name in self._fields:
            object.__setattr__(self, name, _locked(getattr(self, name)))

    def _writeable_fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)


def _locked(value: Any) -> Any:
    """View arrays, alone or in a list, without the right to write: the caller's keep it."""
    if isinstance(value, list):
        return [_locked(item) for item in value]
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


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
