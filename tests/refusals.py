"""Tests of what is refused: the error, to the last word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import pytest

Call = Callable[[], Any]


@contextmanager
def assert_refused(error: type[Exception], message: str) -> Iterator[None]:
    """The block raises exactly this error with exactly these words."""
    with pytest.raises(error) as caught:
        yield
    assert caught.type is error
    assert str(caught.value) == message


def put(array: npt.NDArray[Any], index: tuple[int, ...], value: float) -> npt.NDArray[Any]:
    """A copy with one element replaced."""
    changed = array.copy()
    changed[index] = value
    return changed


def table(*rows: tuple[str, Call, type[Exception], str]) -> Any:
    """Parametrise a test over calls that are to be refused."""
    cases = [pytest.param(call, error, message, id=name) for name, call, error, message in rows]
    return pytest.mark.parametrize(("call", "error", "message"), cases)
