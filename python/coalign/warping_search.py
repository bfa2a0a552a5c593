"""Search of a collection for the series that warp to a query at the least cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _warping_search
from ._warping_search_result import Neighbors
from ._windows import Window

if TYPE_CHECKING:
    from ._progress import Progress

__all__ = ["Neighbors", "dtw_nearest"]


def dtw_nearest(
    queries: Any,
    database: Any,
    *,
    k: int = 1,
    metric: str = "sqeuclidean",
    window: Window = None,
    query_lengths: Any = None,
    database_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
    normalize: bool = False,
    progress: Progress = False,
) -> Neighbors:
    """Find the k series of a database that are nearest to each query by dynamic time warping.

    The result is exact: it is that of sorting each row of ``dtw_cdist(queries, database)``, bit for
    bit. What cannot be among the nearest is left out before its lattice is computed, or on the way.
    Series are tried in the order of LB_Keogh, by how far they lie outside of the query's envelope,
    or of LB_Kim where there is none. LB_Keogh with the roles exchanged and LB_Improved follow,
    while they leave out enough to be worth their time. The rest is warped side by side, until the
    cheapest cell of a row and a bound of what the rows behind it cost exceed the k-th least cost so
    far. Where the bounds of 64 series show that they leave out too little, all series are warped to
    the end.

    Parameters
    ----------
    queries, database : array of shape (n, T) or (n, T, D), or list of (T,) or (T, D) arrays
        Collections of series. Values must be finite.
    k : int
        How many series to find for each query, from 1 to the number of series in the database.
    metric : {"sqeuclidean", "euclidean", "cityblock", "cosine"}
        Local cost, as in `dtw`. LB_Keogh and LB_Improved need "sqeuclidean", "cityblock", or
        "euclidean" in one dimension.
    window : None, int, slanted, itakura, or int array of shape (N, 2)
        Pairs (frame of the query, frame of the series) that a path may visit, as in `dtw`. LB_Keogh
        and LB_Improved need None or an int.
    query_lengths, database_lengths : int array of shape (n,), optional
        Number of frames of each series in an array. Values past them are never used.
    threads : int, optional
        The largest number of threads, each of which takes queries of its own. If there are fewer
        queries, threads share them, and then the counts may differ from call to call. None means
        COALIGN_NUM_THREADS if it is set, else the CPUs that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None follows the input. "cuda" takes host arrays to the GPU and brings the
        result back. "auto" does the same if there is a usable GPU and at least 64 pairs with 67
        million cells in all, and otherwise stays on the CPU. A GPU warps every pair.
    normalize : bool
        Take every channel of every series to mean 0 and standard deviation 1 first, over its own
        frames, and constant channels to zeros, as `dtw_cdist` does. Arrays on a GPU are refused.
    progress : bool or callable
        True shows a tqdm bar. A callable f(done, total) is called in the calling thread with
        numbers of pairs, but not if there are no pairs.

    Returns
    -------
    Neighbors
        Indices, costs and counts of what was left out, as arrays of the input's kind. Costs are
        float32 if every input is float32, float16 or bfloat16, else float64.

    Raises
    ------
    ValueError
        A shape, length, window or option is wrong, or a value is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, the kinds differ, or a tensor requires grad.
    DeviceError
        The device cannot be used.

    See Also
    --------
    dtw_cdist : Costs of all pairs of two collections.

    References
    ----------
    * S.-W. Kim, S. Park, W. Chu: An index-based approach for similarity search supporting time
      warping in large sequence databases. ICDE (2001).
    * E. Keogh, C. Ratanamahatana: Exact indexing of dynamic time warping. Knowledge and Information
      Systems 7 (2005).
    * D. Lemire: Faster retrieval with a two-pass dynamic-time-warping lower bound. Pattern
      Recognition 42 (2009).
    * T. Rakthanmanon et al.: Searching and mining trillions of time series subsequences under
      dynamic time warping. KDD (2012).

    Examples
    --------
    >>> import coalign
    >>> database = [[0.0, 1.0, 2.0, 1.0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0]]
    >>> found = coalign.dtw_nearest([[0.0, 2.0, 2.0, 1.0]], database, k=2, window=1)
    >>> found.index.tolist(), found.cost.tolist()
    ([[0, 2]], [[1.0, 1.0]])

    A series of the same shape is nearest once scales and offsets are taken away:

    >>> queries = [[5.0, 6.0, 7.0, 6.0]]
    >>> [coalign.dtw_nearest(queries, database, normalize=n).index.item() for n in (False, True)]
    [1, 0]
    """
    lengths = query_lengths, database_lengths
    return _warping_search.nearest(
        queries, database, k, metric, window, lengths, threads, device, normalize, progress
    )
