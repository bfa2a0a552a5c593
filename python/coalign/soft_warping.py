"""Soft-DTW: dynamic time warping with a smoothed minimum, and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core
from ._soft_warping_result import SoftWarping

if TYPE_CHECKING:
    from ._progress import Progress
    from ._windows import Window, itakura, slanted

__all__ = ["SoftWarping", "soft_dtw", "soft_dtw_cdist", "soft_dtw_divergence"]


def soft_dtw(
    x: Any,
    y: Any = None,
    *,
    gamma: float = 1.0,
    metric: str = "sqeuclidean",
    window: Window = None,
    x_lengths: Any = None,
    y_lengths: Any = None,
    grad: bool = False,
    threads: int | None = None,
    device: str | None = None,
) -> SoftWarping:
    """Compute soft-DTW of two series, or of each pair of two batches, and its gradients.

    -γ log Σ exp(-cost / γ), over the paths that `dtw` chooses the cheapest of. It is differentiable
    in x and y, and tends to the cost of the best path with γ towards 0.

    Parameters
    ----------
    x, y : array of shape (T,) or (T, D), (B, T, D), or list of (T,) or (T, D) arrays
        A series of T frames of D dimensions, a padded batch, or a ragged batch. A single series is
        paired with each item of a batch. Values must be finite. With ``metric="precomputed"``, x
        holds local costs of shape (N, M) or (B, N, M), or a list of (N, M) arrays, where +inf
        forbids a cell, and y is None.
    gamma : float
        The smoothing γ, in the metric's unit: at least 1e-290.
    metric : {"sqeuclidean", "euclidean", "cityblock", "cosine", "precomputed"}
        Local cost d, as in `dtw`. Where frames are equal, or values with "cityblock", the second
        and the third have no derivative, and 0 is taken; so it is for the cosine of a frame of
        zeros.
    window : None, int, slanted, itakura, or int array of shape (N, 2)
        Cells that a path may visit, as in `dtw`.
    x_lengths, y_lengths : int array of shape (B,), optional
        Number of frames of each item in a padded batch: rows and columns of precomputed costs.
        Values past them are never used.
    grad : bool
        Also compute the gradients. The value has the same bits either way. With respect to
        precomputed costs the gradient is the expected alignment.
    threads : int, optional
        The largest number of threads, among which pairs are shared: one pair takes one. None means
        COALIGN_NUM_THREADS if it is set, else the CPUs that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None follows the input. "cuda" takes host arrays to the GPU and brings the
        result back. "auto" does the same if there is a usable GPU and at least 64 pairs with 17
        million cells in all, and otherwise stays on the CPU. A GPU takes the metric "sqeuclidean".

    Returns
    -------
    SoftWarping
        Values and gradients, as arrays of the input's kind. They are float32 if every input is
        float32, float16 or bfloat16, else float64.

    Raises
    ------
    ValueError
        A shape, length, window or option is wrong, or a value is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, the kinds differ, or a tensor requires grad.
    InfeasibleError
        No path fits the window and the finite cells; the message names the problem.
    DeviceError
        The device cannot be used.

    Warns
    -----
    RuntimeWarning
        A value overflows its dtype; its status is PRECISION_LIMIT, its value inf and its gradient
        0. Where γ times the logarithm of the number of paths does, the value is -inf.

    See Also
    --------
    dtw : The cost of the best path alone.

    References
    ----------
    * M. Cuturi, M. Blondel: Soft-DTW: a differentiable loss function for time-series. ICML (2017).

    Examples
    --------
    >>> import coalign
    >>> found = coalign.soft_dtw([0.0, 1.0, 3.0], [0.0, 2.0], gamma=0.1, grad=True)
    >>> round(float(found.value), 4)
    1.9307
    >>> found.grad_y.round(3).tolist()
    [-1.0, -1.0]
    """
    return _core.soft_dtw(x, y, gamma, metric, window, x_lengths, y_lengths, grad, threads, device)


def soft_dtw_cdist(
    X: Any,
    Y: Any = None,
    *,
    gamma: float = 1.0,
    metric: str = "sqeuclidean",
    window: Window = None,
    x_lengths: Any = None,
    y_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
    normalize: bool = False,
    out: Any = None,
    progress: Progress = False,
) -> Any:
    """Compute soft-DTW of every pair of two collections of series.

    Parameters
    ----------
    X, Y : array of shape (n, T) or (n, T, D), or list of (T,) or (T, D) arrays
        Collections of n and m series. Without Y, X is compared with itself: each pair is computed
        once, except that a window given as an array, which need not be symmetric, takes both orders
        of a pair.
    gamma, metric, window, x_lengths, y_lengths, threads
        As in `soft_dtw`, with series only.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute: this runs on the CPU, so "cuda" and arrays on a GPU are refused.
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
        Values as in `soft_dtw`. An entry is inf if no path fits the window; it is infinite if the
        value overflows.

    Raises
    ------
    ValueError, TypeError, DeviceError
        As in `soft_dtw`. An infeasible pair raises nothing.

    See Also
    --------
    soft_dtw : One pair, or pair by pair, with gradients.

    References
    ----------
    * M. Cuturi, M. Blondel: Soft-DTW: a differentiable loss function for time-series. ICML (2017).

    Examples
    --------
    >>> import coalign
    >>> found = coalign.soft_dtw_cdist([[0.0, 1.0, 3.0], [0.0, 2.0, 2.0]], gamma=0.1)
    >>> (found.round(4) + 0.0).tolist()
    [[0.0, 2.0], [2.0, -0.1099]]
    """
    # Imported at first use, as all general ways are.
    from . import _soft_warping

    return _soft_warping.soft_dtw_cdist(
        X,
        Y,
        gamma=gamma,
        metric=metric,
        window=window,
        x_lengths=x_lengths,
        y_lengths=y_lengths,
        threads=threads,
        device=device,
        normalize=normalize,
        out=out,
        progress=progress,
    )


def soft_dtw_divergence(
    x: Any,
    y: Any,
    *,
    gamma: float = 1.0,
    metric: str = "sqeuclidean",
    window: int | slanted | itakura | None = None,
    x_lengths: Any = None,
    y_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
) -> Any:
    """Compare series by soft-DTW without the bias of its smoothing.

    s(x, y) - s(x, x) / 2 - s(y, y) / 2, where s is the value of `soft_dtw`. It is exactly 0 for a
    series and itself, where s is negative and not even at its least.

    Parameters
    ----------
    x, y : array of shape (T,) or (T, D), (B, T, D), or list of (T,) or (T, D) arrays
        Series, as in `soft_dtw`.
    gamma, metric
        As in `soft_dtw`, with series only.
    window : None, int, slanted or itakura
        Cells that a path may visit, as in `dtw`, in each of the three lattices.
    x_lengths, y_lengths, threads
        As in `soft_dtw`.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute: this runs on the CPU, so "cuda" and arrays on a GPU are refused.

    Returns
    -------
    scalar, or array of shape (B,)
        The divergence, in the metric's unit, of the input's kind and the dtype of the values.

    Raises
    ------
    ValueError, TypeError, InfeasibleError, DeviceError
        As in `soft_dtw`.

    Warns
    -----
    RuntimeWarning
        One of the three values overflows its dtype; the divergence is then inf.

    See Also
    --------
    soft_dtw : The value alone, with gradients.

    References
    ----------
    * M. Blondel, A. Mensch, J.-P. Vert: Differentiable divergences between time series. AISTATS
      (2021).

    Examples
    --------
    >>> import coalign
    >>> float(coalign.soft_dtw_divergence([0.0, 1.0, 3.0], [0.0, 1.0, 3.0]))
    0.0
    >>> round(float(coalign.soft_dtw_divergence([0.0, 1.0, 3.0], [0.0, 2.0], gamma=0.1)), 4)
    1.9307
    """
    from . import _soft_warping

    return _soft_warping.soft_dtw_divergence(
        x,
        y,
        gamma=gamma,
        metric=metric,
        window=window,
        x_lengths=x_lengths,
        y_lengths=y_lengths,
        threads=threads,
        device=device,
    )
