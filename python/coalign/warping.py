"""Dynamic time warping: the cheapest monotone alignment of two series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core
from ._steps import StepPattern, rabiner_juang
from ._warping_result import Warping
from ._windows import Window, itakura, slanted

if TYPE_CHECKING:
    from ._progress import Progress

__all__ = ["StepPattern", "Warping", "dtw", "dtw_cdist", "itakura", "rabiner_juang", "slanted"]


def dtw(
    x: Any,
    y: Any = None,
    *,
    metric: str = "sqeuclidean",
    window: Window = None,
    step: str | StepPattern = "symmetric1",
    open_begin: bool = False,
    open_end: bool = False,
    x_lengths: Any = None,
    y_lengths: Any = None,
    max_cost: float | None = None,
    path: bool = False,
    threads: int | None = None,
    device: str | None = None,
) -> Warping:
    """Align two series, or each pair of two batches, by dynamic time warping.

    Of the paths (i_k, j_k) from (0, 0) to (N - 1, M - 1) that advance by (1, 1), (1, 0) or (0, 1)
    it finds one that minimises Σ_k d(x[i_k], y[j_k]). `step` takes other steps, which may weigh the
    local costs.

    Parameters
    ----------
    x, y : array of shape (T,) or (T, D), (B, T, D), or list of (T,) or (T, D) arrays
        A series of T frames of D dimensions, a padded batch, or a ragged batch. A single series is
        paired with each item of a batch. Values must be finite. With ``metric="precomputed"``, x
        holds the local costs, of shape (N, M) or (B, N, M) or as a list; +inf forbids a cell, and y
        is None.
    metric : {"sqeuclidean", "euclidean", "cityblock", "cosine", "precomputed"}
        Local cost d. cosine is 1 - x·y / (‖x‖ ‖y‖), clipped at 0 from below, and 1 if either norm
        is 0.
    window : None, int, slanted, itakura, or int array of shape (N, 2)
        Cells (i, j) that a path may visit. An int r keeps
        -r - max(0, N - M) <= j - i <= r + max(0, M - N), and is refused with an open end.
        `slanted(r)` follows the line between the corners, and `itakura(s)` limits the slope of
        lines from either corner. An array gives the columns [start, stop) of each row. Cells
        outside are not computed.
    step : str or StepPattern
        Step pattern: "symmetric1" (all three steps with weight 1), "symmetric2", "asymmetric",
        "symmetricP0", "symmetricP05", "symmetricP1", "symmetricP2", the same as "asymmetricP0" and
        so on, "typeIa" to "typeId", "typeIas" to "typeIds", "typeIIa" to "typeIId", "typeIIIc",
        "typeIVc", "rigid", "mori2006", what `rabiner_juang` returns, or a `StepPattern`. x is the
        query of dtw-python. The first cell of a path has weight 1.
    open_begin, open_end : bool
        Let the path begin at any frame of y, or end at any.
    x_lengths, y_lengths : int array of shape (B,), optional
        Number of frames of each item in a padded batch, or of rows and columns of each cost matrix.
        Values past them are never used.
    max_cost : float, optional
        A cost above this limit is returned as inf with an empty path. The limit is first rounded to
        the dtype of the costs; one that rounds to infinity has no effect.
    path : bool
        Also return the path. Ties prefer the diagonal, then the step in x; in a `StepPattern`, the
        step that is listed first. Of equally cheap ends in y, it takes the first.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None follows the input. "cuda" takes host arrays to the GPU and brings the
        result back. "auto" does the same if there is a usable GPU and at least 64 pairs with 67
        million cells in all, and otherwise stays on the CPU. A GPU takes the steps of "symmetric1",
        and those of "symmetric2" and "symmetricP0" to "symmetricP2" without a path.

    Returns
    -------
    Warping
        Costs and paths, as arrays of the input's kind. Costs are float32 if every input is float32,
        float16 or bfloat16, else float64. Series on a GPU are warped there, on the caller's current
        stream, without waiting for it. Wrong values then show in `status`, and `check()` raises for
        them.

    Raises
    ------
    ValueError
        A shape, length, window or option is wrong, or a value is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, the kinds differ, or a tensor requires grad.
    InfeasibleError
        No path of such steps fits the lengths, the window or the finite cells; the message names
        the problem.
    DeviceError
        The device cannot be used.

    Warns
    -----
    RuntimeWarning
        A cost overflows its dtype; its status is PRECISION_LIMIT and its cost inf.

    See Also
    --------
    dtw_cdist : Costs of all pairs of two collections.
    StepPattern : Steps of your own.

    References
    ----------
    * H. Sakoe, S. Chiba: Dynamic programming algorithm optimization for spoken word recognition.
      IEEE Transactions on Acoustics, Speech, and Signal Processing 26 (1978).
    * C. Myers, L. Rabiner, A. Rosenberg: Performance tradeoffs in dynamic time warping algorithms
      for isolated word recognition. IEEE Transactions on Acoustics, Speech, and Signal Processing
      28 (1980).
    * A. Mori, S. Uchida, R. Kurazume, R. Taniguchi, T. Hasegawa, H. Sakoe: Early recognition and
      prediction of gestures. ICPR (2006).

    Examples
    --------
    >>> import coalign
    >>> x, y = [1.0, 1.0, 3.0, 3.0, 2.0, 4.0], [1.0, 3.0, 2.0, 2.0, 4.0, 4.0]
    >>> warping = coalign.dtw(x, y, metric="cityblock", path=True)
    >>> float(warping.cost)
    0.0
    >>> warping.x_index.tolist(), warping.y_index.tolist()
    ([0, 1, 2, 3, 4, 4, 5, 5], [0, 0, 1, 1, 2, 3, 4, 5])

    A short series is found in a long one with both ends open:

    >>> y = [9.0, 9.0, 1.0, 2.0, 3.0, 9.0]
    >>> match = coalign.dtw([1.0, 3.0], y, step="asymmetric", open_begin=True, open_end=True,
    ...                     path=True)
    >>> float(match.cost), match.y_index.tolist()
    (0.0, [2, 4])
    """
    return _core.dtw(
        x,
        y,
        metric,
        window,
        step,
        open_begin,
        open_end,
        x_lengths,
        y_lengths,
        max_cost,
        path,
        threads,
        device,
    )


def dtw_cdist(
    X: Any,
    Y: Any = None,
    *,
    metric: str = "sqeuclidean",
    window: Window = None,
    step: str | StepPattern = "symmetric1",
    open_begin: bool = False,
    open_end: bool = False,
    x_lengths: Any = None,
    y_lengths: Any = None,
    max_cost: float | None = None,
    threads: int | None = None,
    device: str | None = None,
    normalize: bool = False,
    out: Any = None,
    progress: Progress = False,
) -> Any:
    """Compute the dynamic time warping cost of every pair of two collections of series.

    Parameters
    ----------
    X, Y : array of shape (n, T) or (n, T, D), or list of (T,) or (T, D) arrays
        Collections of n and m series. Without Y, X is compared with itself: each pair is computed
        once, except that a window given as an array, steps that are not symmetric and open ends
        take both orders of a pair.
    metric : {"sqeuclidean", "euclidean", "cityblock", "cosine"}
        Local cost, as in `dtw`.
    window, step, open_begin, open_end, x_lengths, y_lengths, max_cost, threads, device
        As in `dtw`.
    normalize : bool
        Take every channel of every series to mean 0 and standard deviation 1 first, over its own
        frames. A channel whose deviation is at most eps times its largest magnitude counts as
        constant and becomes zeros; eps is that of the dtype computed in. Arrays on a GPU are
        refused.
    out : array of shape (n, m), optional
        Array that takes the result. It must have the result's dtype, and rows of unit stride.
    progress : bool or callable
        True shows a tqdm bar. A callable f(done, total) is called in the calling thread with
        numbers of pairs, but not if there are no pairs.

    Returns
    -------
    array of shape (n, m)
        Costs as in `dtw`. An entry is inf if no path fits the steps and the window, or if the
        cost exceeds `max_cost` or overflows.

    Raises
    ------
    ValueError, TypeError, DeviceError
        As in `dtw`. An infeasible pair raises nothing.

    See Also
    --------
    dtw : One pair, or pair by pair, with paths.

    References
    ----------
    * H. Sakoe, S. Chiba: Dynamic programming algorithm optimization for spoken word recognition.
      IEEE Transactions on Acoustics, Speech, and Signal Processing 26 (1978).

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
        open_begin=open_begin,
        open_end=open_end,
        x_lengths=x_lengths,
        y_lengths=y_lengths,
        max_cost=max_cost,
        threads=threads,
        device=device,
        normalize=normalize,
        out=out,
        progress=progress,
    )
