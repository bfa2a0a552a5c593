"""How many of a method's answers are right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Judged:
    """A base of what methods have answered; `right` says of each answer whether it is."""

    __slots__ = ()

    right: npt.NDArray[np.bool_]

    @property
    def errors(self) -> int:
        """Number of wrong answers."""
        return int(np.count_nonzero(~self.right))

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.right.mean())
