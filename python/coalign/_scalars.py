"""Checks of options that are one number or one name."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

# Native code counts columns in 32 bits where it computes in float32.
LONGEST = 2**31 - 2**16


def choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """Check an option that is one of a few names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")
    # Native code reads no subclass, such as NumPy's.
    return str(value)


def take_flag(value: Any, name: str) -> bool:
    """Check an option that is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected a bool, got {type(value).__name__}")
    return bool(value)


def as_integer(value: Any) -> int | None:
    """Return an integer scalar of any kind as an int; None for anything else, bool included."""
    # PyTorch accepts a tensor of one element, even of bool, as an index.
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    if is_bool or getattr(value, "ndim", 0) > 0:
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def take_max_cost(max_cost: Any) -> float:
    """Check the greatest cost of interest; infinity when there is none."""
    return math.inf if max_cost is None else _number(max_cost, "max_cost")


def take_real(value: Any, name: str, *, least: float) -> float:
    """Check an option that is a finite number of at least `least`."""
    number = _number(value, name)
    if not least <= number < math.inf:
        raise ValueError(f"{name}: expected a finite number of at least {least}, got {number}")
    return number


def _number(value: Any, name: str) -> float:
    # A float can be made of an array of one element, which is none to a reader.
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", 0) > 0:
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}") from None
    except OverflowError:
        raise ValueError(f"{name}: expected a number that a float can hold") from None
    if math.isnan(number):
        raise ValueError(f"{name}: expected a number, got NaN")
    return number


def take_count(count: Any, name: str) -> int:
    """Check how many of something are wanted: an integer of at least 1."""
    value = as_integer(count)
    if value is None:
        raise TypeError(f"{name}: expected an integer, got {type(count).__name__}")
    if not 1 <= value <= LONGEST:
        raise ValueError(f"{name}: expected a number from 1 to {LONGEST}, got {value}")
    return value


def take_radius(radius: Any, name: str) -> int:
    """Check a window's radius: an integer of at least 0."""
    value = as_integer(radius)
    if value is None:
        raise TypeError(f"{name}: expected an integer radius, got {type(radius).__name__}")
    if value < 0:
        raise ValueError(f"{name}: expected a radius of at least 0, got {value}")
    return min(value, LONGEST)
