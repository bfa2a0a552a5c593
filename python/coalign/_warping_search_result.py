"""What a search for the nearest series is returned as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ._errors import InfeasibleError, Status
from ._result import PlainResult


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Neighbors(PlainResult):
    """The nearest series of a database to each query.

    Attributes
    ----------
    index : int64 array of shape (n, k)
        Numbers of the series in the database, the nearest first, and equally near ones in the order
        of the database. It is -1 where fewer than k series have a finite cost.
    cost : array of shape (n, k)
        Cost of the best path to each, as `dtw` gives it, and inf where the index is -1.
    status : int32 array of shape (n,)
        A `Status` for each query: INFEASIBLE where an index is -1. On a GPU it is NAN, the indices
        are -1 and the costs NaN beside a series that is not finite or has no such length.
    counts : int64 array of shape (n, 6)
        What became of the series of the database for each query, in the order of `STAGES`: how many
        each bound has left out ("ends", "envelope", "reversed", "improved"), how many were left on
        the way ("abandoned"), and how many were warped to the end ("warped"). A GPU warps all of
        them. Where threads share a query, the numbers depend on which of them was quicker.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.dtw_nearest([[0.0, 1.0, 0.0]], [[2.0, 2.0], [0.0, 1.0], [0.0, 0.0]], k=2)
    >>> found.index.tolist(), found.cost.tolist()
    ([[1, 2]], [[1.0, 1.0]])
    """

    index: Any
    cost: Any
    status: Any
    counts: Any

    #: What the columns of `counts` count.
    STAGES: ClassVar[tuple[str, ...]] = (
        "ends",
        "envelope",
        "reversed",
        "improved",
        "abandoned",
        "warped",
    )
    _fields: ClassVar[tuple[str, ...]] = ("index", "cost", "status", "counts")
    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "fewer than k series have a finite cost"),
        Status.NAN: (ValueError, "NaN, inf or a length out of range in a series"),
    }


# Not in the class's body: there, dataclass would look up ClassVar in the module that it names.
Neighbors.__module__ = "coalign"
