"""Dynamic time warping: the cheapest monotone alignment of two series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _validate
from ._arrays import to_host
from ._errors import InfeasibleError, Status
from ._progress import Progress
from ._warping import Matrices, Options, Outcome, Pairs, compute_all_pairs, report
from ._windows import Window, slanted

__all__ = ["Warping", "dtw", "dtw_cdist", "slanted"]


@dataclass(frozen=True, slots=True, eq=False)
class Warping:
    """Costs, and on request paths, of one or more pairs of series.

    Attributes
    ----------
    cost : scalar, or array of shape (B,)
        Sum of the local costs on the best path, in the metric's unit: no root, no normalisation.
        Infinite where it exceeds `max_cost`, or overflows its dtype.
    x_index, y_index : array of int64 of shape (K,), or list of B such arrays, or None
        Frames of x and y that the path pairs, from (0, 0) to (N - 1, M - 1); K <= N + M - 1. None
        without `path=True`; empty where the cost is infinite.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem.
    x_length, y_length : int64 scalar, or array of shape (B,)
        Frames of each series; in host memory, whatever the input's kind.
    path_length : int64 scalar, or array of shape (B,), or None
        Of paths on a GPU, where their lengths are not known before it is waited for: `x_index` and
        `y_index` are then arrays of shape (K,) or (B, K), padded with -1 past these lengths.
    """

    cost: Any
    x_index: Any
    y_index: Any
    status: Any
    x_length: Any
    y_length: Any
    path_length: Any = None

    def check(self) -> Warping:
        """Return self if every status is OK; else raise for the first that is not.

        Waits for a GPU to have computed it.

        Returns
        -------
        Warping
            This object.

        Raises
        ------
        InfeasibleError
            No path fits the window or the finite cells.
        OverflowError
            The cost exceeds what its dtype can hold.
        ValueError
            On a GPU: a series holds NaN or an infinite value, or its length is out of range.
        """
        for problem, status in enumerate(np.atleast_1d(to_host(self.status))):
            if status == Status.INFEASIBLE:
                raise InfeasibleError(f"problem {problem}: no path")
            if status == Status.PRECISION_LIMIT:
                raise OverflowError(f"problem {problem}: the cost overflows its dtype")
            if status == Status.NAN:
                raise ValueError(f"problem {problem}: NaN in a series; expected finite values")
            if status == Status.INVALID:
                raise ValueError(
                    f"problem {problem}: an infinite value in a series, or a length out of range"
                )
        return self

    def matrices(self) -> Any:
        """Return the path as two sparse matrices that warp both series onto a common time axis.

        Returns
        -------
        W_x, W_y : scipy.sparse.csr_array of shapes (N, K) and (M, K)
            Column k selects frame `x_index[k]` of x, and `y_index[k]` of y. For the sqeuclidean
            metric, ``((X.T @ W_x - Y.T @ W_y) ** 2).sum()`` is the cost. A batch gives a list of
            such pairs.

        Raises
        ------
        ValueError
            The warping was computed without `path=True`.
        ImportError
            SciPy is not installed.

        Examples
        --------
        >>> import numpy as np, coalign
        >>> x, y = np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0])
        >>> warping = coalign.dtw(x, y, path=True)
        >>> W_x, W_y = warping.matrices()
        >>> float(((x @ W_x - y @ W_y) ** 2).sum()), float(warping.cost)
        (1.0, 1.0)
        """
        if self.x_index is None:
            raise ValueError("matrices: expected a warping with a path; call dtw(..., path=True)")
        try:
            from scipy import sparse
        except ImportError:
            raise ImportError('matrices needs SciPy: pip install "coalign[sparse]"') from None

        def select(index: Any, length: Any) -> Any:
            columns = to_host(index)
            columns = columns[columns >= 0]
            ones = np.ones(len(columns), str(self.cost.dtype).removeprefix("torch."))
            cells = (columns, np.arange(len(columns)))
            return sparse.csr_array((ones, cells), shape=(int(length), len(columns)))

        if np.ndim(self.x_length) == 0:
            return select(self.x_index, self.x_length), select(self.y_index, self.y_length)
        return [
            (select(x, n), select(y, m))
            for x, n, y, m in zip(
                self.x_index, self.x_length, self.y_index, self.y_length, strict=True
            )
        ]


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
    options = Options.take(metric, window, step, max_cost, threads, device)
    take = Matrices.take if options.metric == "precomputed" else Pairs.take
    problems = take(x, y, x_lengths, y_lengths)
    outcome = problems.run(options, bool(path))
    report(outcome, problems)
    return _as_result(outcome, problems)


def _as_result(outcome: Outcome, problems: Pairs | Matrices) -> Warping:
    """Give an outcome the kind and the batch axis of the input."""

    def finish(values: Any) -> Any:
        if values is None:
            return None
        if isinstance(values, list):
            return [wrap(value) for value in values] if is_batch else wrap(values[0])
        values = wrap(values)
        return values if is_batch else values[0]

    wrap = problems.kind.wrap
    is_batch = problems.is_batch
    return Warping(
        finish(outcome.cost),
        finish(outcome.x_index),
        finish(outcome.y_index),
        finish(outcome.status),
        finish(problems.n),
        finish(problems.m),
        finish(outcome.path_length),
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
    options = Options.take(metric, window, step, max_cost, threads, device)
    if options.metric == "precomputed":
        raise ValueError("metric: expected a metric between frames; use dtw for precomputed costs")
    xs = _validate.take_series(X, "X", x_lengths, "x_lengths", collection=True)
    ys = None
    if Y is not None:
        ys = _validate.take_series(Y, "Y", y_lengths, "y_lengths", collection=True)
        _validate.require_like(xs, ys)
    elif y_lengths is not None:
        raise ValueError("y_lengths: expected None without Y")
    columns = xs if ys is None else ys
    dtype = np.result_type(xs.dtype, columns.dtype)
    shape = (len(xs), len(columns))
    room = None if out is None else _validate.take_out(out, shape, dtype, (xs, columns))
    costs = compute_all_pairs(room, xs, ys, options, progress)
    return xs.kind.wrap(costs) if out is None else out
