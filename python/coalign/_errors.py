"""What a call says when it cannot give a plain answer."""

from __future__ import annotations

import sys
from enum import IntEnum

__all__ = ["ConvergenceWarning", "DeviceError", "InfeasibleError", "Status"]


class Status(IntEnum):
    """What became of one problem of a call.

    Examples
    --------
    >>> import coalign
    >>> coalign.Status(int(coalign.assign([[4.0, 1.0], [2.0, 0.0]]).status)).name
    'OK'
    """

    __module__ = "coalign"

    #: The problem is solved.
    OK = 0
    #: A value of the problem is NaN.
    NAN = 1
    #: The problem has no solution: the window, or forbidden pairs or cells, rule out every one.
    INFEASIBLE = 2
    #: The iteration limit was reached before the tolerance.
    NOT_CONVERGED = 3
    #: The floating-point type cannot hold the answer: it overflowed, or rounding hides the rest.
    PRECISION_LIMIT = 4
    #: The problem is not well formed.
    INVALID = 5


class InfeasibleError(ValueError):
    """A problem has no solution; the message names it.

    Examples
    --------
    >>> import coalign
    >>> try:
    ...     coalign.dtw([0.0, 1.0], [0.0, 1.0, 2.0, 3.0], window=coalign.slanted(0))
    ... except coalign.InfeasibleError as error:
    ...     print(error)
    no path through the window or the finite cells, for 2 frames of x and 4 of y
    """

    __module__ = "coalign"


class ConvergenceWarning(RuntimeWarning):
    """An iteration ended before its tolerance; the message says for how many problems, and why.

    Examples
    --------
    >>> import warnings
    >>> import coalign
    >>> cost = [[0.0, 1.0, 9.0], [5.0, 2.0, 1.0], [0.0, 7.0, 1.0]]
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     found = coalign.sinkhorn(cost, epsilon=0.01, max_iterations=1)
    >>> caught[0].category.__name__, coalign.Status(int(found.status)).name
    ('ConvergenceWarning', 'NOT_CONVERGED')
    """

    __module__ = "coalign"


class DeviceError(RuntimeError):
    """The device that was asked for cannot be used; the message names what is missing.

    Examples
    --------
    >>> import coalign
    >>> try:
    ...     coalign.dtw([[0.0]], metric="precomputed", device="cuda")
    ... except coalign.DeviceError as error:
    ...     print(error)
    device: "cuda" takes series; precomputed costs run on the CPU
    """

    __module__ = "coalign"


def level_of_caller() -> int:
    """Count the levels of the stack from who asks to who called coalign, for a warning."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(f"{__package__}."):
        level, frame = level + 1, frame.f_back
    return level
