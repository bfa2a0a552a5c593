"""Dynamic time warping: the cheapest monotone alignment of two series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core
from ._warping_result import Warping
from ._windows import Window, slanted

if TYPE_CHECKING:
    from ._progress import Progress

__all__ = ["Warping", "dtw", "dtw_cdist", "slanted"]


def dtw(
    x: Any,
    y: Any = None,
    *,
    metric: str = "sqeuclidean",
    window: Window = None,
    step: str = "symmetric1",
    x_lengths: Any = None,
    y_lengths: Any = None,
    max_cost: float | None = None,
    path: bool = False,
    threads: int | None = None,
    device: str | None = None,
) -> Warping:
    r"""Align two series, or each pair of two batches, by dynamic time warping.

    Finds the monotone path from (0, 0) to (N - 1, M - 1), by steps (1, 1), (1, 0) and (0, 1), that
    minimises :math:`\sum_k d(x_{i_k}, y_{j_k})`.

    Parameters
    ----------
    x, y : array of shape (T,) or (T, D), (B, T, D), or list of (T,) or (T, D) arrays
        A series of T frames of D dimensions, a padded batch, or a ragged batch. One series against
        a batch is paired with each of its items. Values are finite. With
        ``metric="precomputed"``, x holds the local costs, (N, M) or (B, N, M) or a list, in which
        +inf forbids a cell, and y is None.
    metric : {"sqeuclidean", "euclidean", "cityblock", "cosine", "precomputed"}
        Local cost d. cosine is :math:`1 - x \cdot y / (\|x\| \|y\|)`, clipped at 0 from below, and
        1 where either norm is 0.
    window : None, int, slanted, or int array of shape (N, 2)
        Cells that a path may visit. An int r keeps
        -r - max(0, N - M) <= j - i <= r + max(0, M - N); `slanted(r)` follows the diagonal; an
        array gives [start, stop) of each row. Cells outside are not computed.
    step : {"symmetric1"}
        Step pattern: all three steps with weight 1.
    x_lengths, y_lengths : int array of shape (B,), optional
        Frames of each item of a padded batch (of each cost matrix: its rows and columns). What lies
        past a length is never used.
    max_cost : float, optional
        A cost above it, rounded to the dtype of the costs, is returned as inf with an empty path.
        What rounds to infinity is no limit.
    path : bool
        Also return the path. Ties prefer the diagonal, then the step in x.
    threads : int, optional
        At most this many; None takes the CPUs this process may use, or COALIGN_NUM_THREADS.
    device : {None, "cpu", "auto", "cuda"}
        Where to compute; None follows the input. "cuda" takes host arrays to the GPU and the result
        back; "auto" does so where there is a usable GPU.

    Returns
    -------
    Warping
        Costs and paths, of the input's kind. Costs are float32 where every input is float32,
        float16 or bfloat16, else float64.

    Raises
    ------
    ValueError
        A shape, length, window or option is wrong, or a value is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, the kinds differ, or a tensor requires grad.
    InfeasibleError
        No path fits the window or the finite cells; the message names the problem.
    DeviceError
        The device cannot be used.

    Warns
    -----
    RuntimeWarning
        A cost overflows its dtype; its status is PRECISION_LIMIT and its cost inf.

    See Also
    --------
    dtw_cdist : all pairs of two collections.

    References
    ----------
    H. Sakoe, S. Chiba: Dynamic programming algorithm optimization for spoken word recognition. IEEE
    Transactions on Acoustics, Speech, and Signal Processing 26 (1978).

    Examples
    --------
    >>> import coalign
    >>> x, y = [1.0, 1.0, 3.0, 3.0, 2.0, 4.0], [1.0, 3.0, 2.0, 2.0, 4.0, 4.0]
    >>> warping = coalign.dtw(x, y, metric="cityblock", path=True)
    >>> float(warping.cost)
    0.0
    >>> warping.x_index.tolist(), warping.y_index.tolist()
    ([0, 1, 2, 3, 4, 4, 5, 5], [0, 0, 1, 1, 2, 3, 4, 5])
    """
    return _core.dtw(
        x, y, metric, window, step, x_lengths, y_lengths, max_cost, path, threads, device
    )


def dtw_cdist(
    X: Any,
    Y: Any = None,
    *,
    metric: str = "sqeuclidean",
    window: Window = None,
    step: str = "symmetric1",
    x_lengths: Any = None,
    y_lengths: Any = None,
    max_cost: float | None = None,
    threads: int | None = None,
    device: str | None = None,
    out: Any = None,
    progress: Progress = False,
) -> Any:
    """Compute the dynamic time warping cost of every pair of two collections of series.

    Parameters
    ----------
    X, Y : array of shape (n, T) or (n, T, D), or list of (T,) or (T, D) arrays
        Collections of n and m series. Without Y, X against itself: each pair is computed once,
        but both ways round where the window is bounds by row, which need not be symmetric.
    metric : {"sqeuclidean", "euclidean", "cityblock", "cosine"}
        Local cost, as in `dtw`.
    window, step, x_lengths, y_lengths, max_cost, threads, device
        As in `dtw`.
    out : array of shape (n, m), optional
        Takes the result: of the result's dtype, with rows of unit stride.
    progress : bool or callable
        True for a tqdm bar; or f(done, total), called in the calling thread with counts of pairs,
        unless there are none.

    Returns
    -------
    array of shape (n, m)
        Costs as in `dtw`; inf where no path fits the window, where the cost exceeds `max_cost`, or
        where it overflows.

    Raises
    ------
    ValueError, TypeError, DeviceError
        As in `dtw`; an infeasible pair raises nothing.

    See Also
    --------
    dtw : one pair, or pair by pair, with paths.

    Examples
    --------
    >>> import coalign
    >>> coalign.dtw_cdist([[0.0, 1.0, 2.0], [0.0, 2.0, 2.0]], [[0.0, 0.0, 2.0]]).tolist()
    [[1.0], [0.0]]
    """
    # Imported at first use: plain calls of `dtw` do without it.
    from . import _warping

    return _warping.dtw_cdist(
        X,
        Y,
        metric=metric,
        window=window,
        step=step,
        x_lengths=x_lengths,
        y_lengths=y_lengths,
        max_cost=max_cost,
        threads=threads,
        device=device,
        out=out,
        progress=progress,
    )
