"""Barycenters of series under dynamic time warping and soft-DTW."""

from __future__ import annotations

from typing import Any

from . import _averaging, _soft_barycenter, _warping_barycenter
from ._warping_barycenter_result import WarpingBarycenter
from ._windows import Window

__all__ = ["WarpingBarycenter", "dtw_barycenter", "soft_dtw_barycenter"]


def dtw_barycenter(
    X: Any,
    weights: Any = None,
    *,
    init: Any = None,
    window: Window = None,
    x_lengths: Any = None,
    tol: float = 1e-5,
    max_iterations: int = 100,
    threads: int | None = None,
    normalize: bool = False,
) -> WarpingBarycenter:
    """Average series along their warping paths (DBA, DTW barycenter averaging).

    A barycenter is a series c with a small inertia Σ_k w_k dtw(c, x_k), where dtw is the least sum
    of squared differences along a path. Paths from c to all series and the means of c's frames
    along these paths are computed in turns; the inertia never rises. It ends in a local minimum,
    which depends on where it begins.

    Parameters
    ----------
    X : array of shape (n, T) or (n, T, D), or list of n arrays of shape (T,) or (T, D)
        The series, as in `dtw_cdist`. Values must be finite.
    weights : array of shape (n,), optional
        How much each series counts, at least 0. None: each counts 1.
    init : array of shape (T,) or (T, D), optional
        The series to begin at, whose length the barycenter has. None takes the medoid: the one of
        50 of the series, evenly spaced, with the least weighted sum of costs to these.
    window : None, int, slanted, itakura, or int array of shape (T, 2)
        Pairs (frame of c, frame of x_k) that a path may visit, as in `dtw`.
    x_lengths : int array of shape (n,), optional
        Number of frames of each series in an array. Values past them are never used.
    tol : float
        It has converged when an iteration lowers the inertia by no more than this share of it.
        With 0, it goes on until the inertia is no lower.
    max_iterations : int
        The largest number of iterations, at least 1.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    normalize : bool
        Average the series as `dtw_cdist` normalises them. `init` is taken as it is.

    Returns
    -------
    WarpingBarycenter
        The series, and its cost to each of the given ones, as arrays of the input's kind. They are
        float32 if every input is float32, float16 or bfloat16, else float64; means are taken in
        float64.

    Raises
    ------
    ValueError
        A shape, length, weight, window or option is wrong, or a value is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, the kinds differ, or a tensor requires grad.
    InfeasibleError
        No path from the barycenter to a series fits the window; the message names the series.
    DeviceError
        An array lies on a GPU. This function computes on the CPU; copy the array there.

    Warns
    -----
    ConvergenceWarning
        The last iteration still lowered the inertia by more than `tol` of it; the status is
        NOT_CONVERGED.
    RuntimeWarning
        A cost or the inertia overflows its dtype; the status is PRECISION_LIMIT.

    References
    ----------
    * F. Petitjean, A. Ketterlin, P. Gançarski: A global averaging method for dynamic time warping,
      with applications to clustering. Pattern Recognition 44 (2011).

    Examples
    --------
    >>> import coalign
    >>> early, late = [0.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, 0.0]
    >>> found = coalign.dtw_barycenter([early, late])
    >>> found.series.tolist(), float(found.inertia)
    ([0.0, 3.0, 0.0, 0.0, 0.0], 2.0)
    """
    return _averaging.average(
        "dtw_barycenter",
        _warping_barycenter.descend,
        X,
        weights,
        init,
        window,
        x_lengths,
        tol,
        max_iterations,
        threads,
        normalize,
    )


def soft_dtw_barycenter(
    X: Any,
    weights: Any = None,
    *,
    gamma: float = 1.0,
    init: Any = None,
    window: Window = None,
    x_lengths: Any = None,
    tol: float = 1e-6,
    max_iterations: int = 100,
    threads: int | None = None,
    normalize: bool = False,
) -> WarpingBarycenter:
    r"""Average series under soft-DTW.

    A barycenter is a series c with a small inertia Σ_k w_k soft_dtw(c, x_k), for squared
    differences. L-BFGS goes down along the gradients, in float64 whatever the dtype of the series.
    The inertia, which may be negative, never rises. It ends in a local minimum, which depends on
    where it begins; a larger γ smooths the inertia and leaves fewer of them.

    Parameters
    ----------
    X : array of shape (n, T) or (n, T, D), or list of n arrays of shape (T,) or (T, D)
        The series, as in `dtw_cdist`. Values must be finite.
    weights : array of shape (n,), optional
        How much each series counts, at least 0. None: each counts 1.
    gamma : float
        The smoothing γ > 0, in the unit of the squared differences.
    init : array of shape (T,) or (T, D), optional
        The series to begin at, whose length the barycenter has. None takes the medoid under `dtw`,
        as `dtw_barycenter` does.
    window : None, int, slanted, itakura, or int array of shape (T, 2)
        Pairs (frame of c, frame of x_k) that a path may visit, as in `dtw`.
    x_lengths : int array of shape (n,), optional
        Number of frames of each series in an array. Values past them are never used.
    tol : float
        It has converged when an iteration lowers the inertia by no more than this share of
        \|inertia\| + γ Σ_k w_k. With 0, it goes on until the inertia is no lower.
    max_iterations : int
        The largest number of iterations, at least 1. One evaluates the inertia once or a few times.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    normalize : bool
        Average the series as `dtw_cdist` normalises them. `init` is taken as it is.

    Returns
    -------
    WarpingBarycenter
        The series, and its `soft_dtw` value to each of the given ones, as arrays of the input's
        kind. They are float32 if every input is float32, float16 or bfloat16, else float64.

    Raises
    ------
    ValueError
        A shape, length, weight, window or option is wrong, or a value is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, the kinds differ, or a tensor requires grad.
    InfeasibleError
        No path from the barycenter to a series fits the window; the message names the series.
    DeviceError
        An array lies on a GPU. This function computes on the CPU; copy the array there.

    Warns
    -----
    ConvergenceWarning
        The last iteration still lowered the inertia by more than `tol` of it; the status is
        NOT_CONVERGED.
    RuntimeWarning
        A value or the inertia overflows its dtype; the status is PRECISION_LIMIT.

    References
    ----------
    * M. Cuturi, M. Blondel: Soft-DTW: a differentiable loss function for time-series. ICML (2017).
    * J. Nocedal: Updating quasi-Newton matrices with limited storage. Mathematics of Computation 35
      (1980).
    * A. Lewis, M. Overton: Nonsmooth optimization via quasi-Newton methods. Mathematical
      Programming 141 (2013).

    Examples
    --------
    >>> import coalign
    >>> early, late = [0.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, 0.0]
    >>> found = coalign.soft_dtw_barycenter([early, late])
    >>> found.series.round(1).tolist()
    [0.0, 3.0, 0.0, 0.0, 0.0]
    """
    return _averaging.average(
        "soft_dtw_barycenter",
        _soft_barycenter.descent(gamma),
        X,
        weights,
        init,
        window,
        x_lengths,
        tol,
        max_iterations,
        threads,
        normalize,
        in_float64=True,
    )
