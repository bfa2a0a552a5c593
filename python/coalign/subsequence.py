"""Searches for a short series inside a long one, under dynamic time warping."""

from __future__ import annotations

from typing import Any

from . import _subsequence
from ._subsequence_result import Subsequences

__all__ = ["Subsequences", "dtw_subsequence"]


def dtw_subsequence(
    query: Any,
    series: Any,
    k: int = 1,
    *,
    metric: str = "sqeuclidean",
    query_lengths: Any = None,
    series_lengths: Any = None,
    max_cost: float | None = None,
    path: bool = False,
    threads: int | None = None,
) -> Subsequences:
    """Find the k best matches of a query in a long series, none of which overlaps another.

    Every frame of the series is the end of one candidate: the stretch [start, stop) of frames that
    ends there and whose `dtw` cost from the query is least. Candidates are taken in the order of
    their costs, and among equal costs the one that ends first. One that shares a frame with a
    candidate that was taken is left out. This goes on until k are taken or none is left.

    The steps are those of symmetric1. Among equally cheap paths to an end, the start is that of the
    path which prefers the diagonal, then the step in the query, then the step in the series.

    Parameters
    ----------
    query : array of shape (T,) or (T, D), (B, T, D), or list of (T,) or (T, D) arrays
        The short series, or a batch of them. Values must be finite.
    series : array of shape (T,) or (T, D), (B, T, D), or list of (T,) or (T, D) arrays
        The long series, or a batch. One query goes with each item of a batch of series, and one
        series with each of a batch of queries.
    k : int
        The largest number of matches, at least 1.
    metric : {"sqeuclidean", "euclidean", "cityblock", "cosine"}
        Local cost, as in `dtw`.
    query_lengths, series_lengths : int array of shape (B,), optional
        Number of frames of each item in a padded batch. Values past them are never used.
    max_cost : float, optional
        Matches that cost more are left out.
    path : bool
        Also return the path of every match.
    threads : int, optional
        The largest number of threads, which share the problems of a batch. None means
        COALIGN_NUM_THREADS if it is set, else the CPUs that this process may use.

    Returns
    -------
    Subsequences
        Starts, stops and costs of the matches, best first, as arrays of the input's kind. Costs are
        float32 if every input is float32, float16 or bfloat16, else float64.

    Raises
    ------
    ValueError
        A shape, length or option is wrong, or a value is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, the kinds differ, or a tensor requires grad.
    DeviceError
        An array lies on a GPU. This function computes on the CPU; copy the array there.

    Warns
    -----
    RuntimeWarning
        Matches are missing because costs overflow their dtype; the status is PRECISION_LIMIT.

    See Also
    --------
    dtw : One path, with other steps or a window, between ends that may be open.

    Notes
    -----
    Fewer than k matches are no error: their status is INFEASIBLE, for which `check` raises. The
    lattice has a row for each frame of the query; the search keeps three of its anti-diagonals and
    its last row, so that memory grows with the query and with the series, not with their product.

    References
    ----------
    * M. Müller: Information retrieval for music and motion, chapter 4: dynamic time warping.
      Springer (2007).

    Examples
    --------
    >>> import coalign
    >>> series = [7.0, 0.0, 5.0, 0.0, 7.0, 7.0, 1.0, 5.0, 5.0, 0.0, 7.0]
    >>> found = coalign.dtw_subsequence([0.0, 5.0, 0.0], series, k=2, path=True)
    >>> found.start.tolist(), found.stop.tolist(), found.cost.tolist()
    ([1, 6], [4, 10], [0.0, 1.0])
    >>> found.series_index[1].tolist()
    [6, 7, 8, 9]
    """
    return _subsequence.subsequence(
        query, series, k, metric, query_lengths, series_lengths, max_cost, path, threads
    )
