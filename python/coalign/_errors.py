"""What a call says when it cannot give a plain answer."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["DeviceError", "InfeasibleError", "Status"]


class Status(IntEnum):
    """What became of one problem of a call."""

    OK = 0
    #: A value of the problem is NaN.
    NAN = 1
    #: The window, or forbidden cells, leave no solution.
    INFEASIBLE = 2
    #: The iterations ran out before the tolerance was reached.
    NOT_CONVERGED = 3
    #: The floating-point type cannot hold the answer: it overflowed, or rounding hides its digits.
    PRECISION_LIMIT = 4
    #: The problem is not well formed.
    INVALID = 5


class InfeasibleError(ValueError):
    """A problem has no solution; the message names it."""


class DeviceError(RuntimeError):
    """The device asked for cannot be used; the message names what is missing."""
