"""Windows: which cells of the lattice a path may visit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt

from ._scalars import take_radius


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


Window = int | slanted | npt.ArrayLike | None
