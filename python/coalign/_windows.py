"""Windows: which cells of the lattice a path may visit."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy.typing as npt

from ._scalars import LONGEST, take_radius, take_real


@dataclass(frozen=True, slots=True)
class slanted:  # noqa: N801 - reads as the function it is called like: window=slanted(5)
    """A window around the straight line from the first pair of frames to the last.

    Cell (i, j) of an (N, M) lattice is inside if
    ``|j (N - 1) - i (M - 1)| <= radius * max(N - 1, M - 1)``. This is computed in exact integers,
    so the window of the transposed problem is the transposed window.

    Parameters
    ----------
    radius : int
        How far from the line a cell may lie, in frames of the longer series; at least 0.

    Raises
    ------
    TypeError
        The radius is not an integer.
    ValueError
        The radius is negative.

    Examples
    --------
    >>> import coalign
    >>> x, y = [0.0, 1.0, 2.0], [0.0, 0.5, 1.0, 1.5, 2.0]
    >>> float(coalign.dtw(x, y, window=coalign.slanted(1)).cost)
    0.5
    """

    radius: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", take_radius(self.radius, "slanted"))


@dataclass(frozen=True, slots=True)
class itakura:  # noqa: N801 - reads as the function it is called like: window=itakura(2)
    """The parallelogram of Itakura, between two lines through each corner.

    In units of the line from the first pair of frames to the last, the lines have the slopes
    ``max_slope`` and ``1 / max_slope``. Cell (i, j) of an (N, M) lattice is inside if, for
    a = N - 1, b = M - 1 and s = ``max_slope``,

    * i b <= s j a and j a <= s i b, and
    * (a - i) b <= s (b - j) a and (b - j) a <= s (a - i) b.

    This is computed exactly, with the slope as the float that is given, so the window of the
    transposed problem is the transposed window. A narrow one may hold no path, such as that of
    series one of which is more than ``max_slope`` times as long as the other.

    Parameters
    ----------
    max_slope : float
        The steeper slope, at least 1.

    Raises
    ------
    TypeError
        The slope is not a number.
    ValueError
        The slope is less than 1 or not finite.

    References
    ----------
    * F. Itakura: Minimum prediction residual principle applied to speech recognition. IEEE
      Transactions on Acoustics, Speech, and Signal Processing 23 (1975).

    Examples
    --------
    >>> import coalign
    >>> x, y = [0.0, 0.0, 0.0, 2.0, 2.0], [0.0, 2.0, 2.0, 2.0, 2.0]
    >>> [float(coalign.dtw(x, y, window=window).cost) for window in (None, coalign.itakura(2))]
    [0.0, 8.0]
    """

    max_slope: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_slope", take_real(self.max_slope, "max_slope", least=1))


def slope_fraction(window: itakura) -> tuple[int, int]:
    """Return the slope as a fraction; no series is so long that a greater one would differ."""
    slope = Fraction(min(window.max_slope, float(LONGEST)))
    return slope.numerator, slope.denominator


Window = int | slanted | itakura | npt.ArrayLike | None
