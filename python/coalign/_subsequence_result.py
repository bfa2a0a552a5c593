"""What the matches of a query inside a long series are returned as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ._errors import InfeasibleError, Status
from ._result import PlainResult


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Subsequences(PlainResult):
    """The best matches of one or more queries inside long series, the best first.

    There are K <= k matches of one query; in a batch, K is the largest number of any problem, and
    the others have -1 and inf in place of what they lack.

    Attributes
    ----------
    start : int64 array of shape (K,) or (B, K)
        First frame of each match in the series.
    stop : int64 array of shape (K,) or (B, K)
        The frame after its last: the match is ``series[start:stop]``.
    cost : array of shape (K,) or (B, K)
        Cost of the best path between the query and exactly these frames, as `dtw` gives it, bit
        for bit.
    count : int64 scalar, or array of shape (B,)
        How many matches a problem has.
    status : int32 scalar, or array of shape (B,)
        A `Status`: INFEASIBLE where there are fewer than k matches, PRECISION_LIMIT where some are
        missing and a cost overflows its dtype.
    query_index : list of int64 arrays, or list of B such lists, or None
        For each match, the frames of the query along its path. None without ``path=True``.
    series_index : list of int64 arrays, or list of B such lists, or None
        For each match, the frames of the series along its path, from start to stop - 1.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.dtw_subsequence([1.0, 2.0], [9.0, 1.0, 2.0, 9.0, 1.0, 3.0], k=2)
    >>> found.start.tolist(), found.stop.tolist(), found.cost.tolist()
    ([1, 4], [3, 5], [0.0, 1.0])
    """

    start: Any
    stop: Any
    cost: Any
    count: Any
    status: Any
    query_index: Any
    series_index: Any

    _fields: ClassVar[tuple[str, ...]] = (
        "start",
        "stop",
        "cost",
        "count",
        "status",
        "query_index",
        "series_index",
    )
    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "fewer than k matches"),
        Status.PRECISION_LIMIT: (OverflowError, "a cost overflows its dtype"),
    }


# Not in the class's body: there, dataclass would look up ClassVar in the module that it names.
Subsequences.__module__ = "coalign"
