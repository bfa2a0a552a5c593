"""What a warping call returns."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ._arrays import to_host
from ._core import WarpingFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


class Warping(WarpingFields, Result):
    """Costs, and the paths if they were asked for, of one or more pairs of series.

    Attributes
    ----------
    cost : scalar, or array of shape (B,)
        Sum of the local costs on the best path, times their weights, in the metric's unit: no root,
        no normalisation. inf if it exceeds `max_cost` or overflows its dtype.
    x_index : int64 array of shape (K,), or list of B such arrays, or None
        Frames of x along the path, from 0 to N - 1; K <= N + M - 1. A step of several moves
        visits several pairs. None without ``path=True``; empty if the cost is infinite.
    y_index : int64 array of shape (K,), or list of B such arrays, or None
        Frames of y along the path, from 0 to M - 1 unless an end is open. The path pairs
        ``x_index[k]`` with ``y_index[k]``.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem.
    x_length : int64 scalar, or array of shape (B,)
        Number of frames of each x, in host memory whatever the input's kind.
    y_length : int64 scalar, or array of shape (B,)
        Number of frames of each y, likewise.
    path_length : int64 scalar, or array of shape (B,), or None
        Length of each path, only for paths on a GPU. There `x_index` and `y_index` are arrays of
        shape (K,) or (B, K), padded with -1 past these lengths, which the host does not know.
    weight : array of shape (K,), or list of B such arrays, or None
        What the local cost of each pair on the path is multiplied by. None without a path, or if
        all weights are 1 because the steps are those of symmetric1 between closed ends.

    Examples
    --------
    >>> import numpy as np, coalign
    >>> warping = coalign.dtw([0.0, 1.0, 2.0], [0.0, 2.0], path=True)
    >>> float(warping.cost), warping.x_index.tolist(), warping.y_index.tolist()
    (1.0, [0, 1, 2], [0, 0, 1])
    >>> batch = [np.array([0.0, 1.0]), np.array([5.0, 5.0, 5.0])]
    >>> coalign.dtw(batch, np.array([0.0, 2.0])).cost.tolist()
    [1.0, 43.0]
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "no path"),
        Status.PRECISION_LIMIT: (OverflowError, "the cost overflows its dtype"),
        Status.NAN: (ValueError, "NaN in a series; expected finite values"),
        Status.INVALID: (ValueError, "an infinite value in a series, or a length out of range"),
    }

    def matrices(self) -> Any:
        """Return the path as two sparse matrices that warp both series onto a common time axis.

        Returns
        -------
        W_x, W_y : scipy.sparse.csr_array of shapes (N, K) and (M, K)
            Column k selects frame ``x_index[k]`` of x and ``y_index[k]`` of y, times the root of
            the pair's weight. For the sqeuclidean metric,
            ``((X.T @ W_x - Y.T @ W_y) ** 2).sum()`` is the cost. For a batch, a list of such pairs.

        Raises
        ------
        ValueError
            The warping was computed without ``path=True``.
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

        def select(index: Any, length: Any, weight: Any) -> Any:
            columns = to_host(index)
            columns = columns[columns >= 0]
            ones = np.ones(len(columns), str(self.cost.dtype).removeprefix("torch."))
            roots = ones if weight is None else np.sqrt(to_host(weight))
            cells = (columns, np.arange(len(columns)))
            return sparse.csr_array((roots, cells), shape=(int(length), len(columns)))

        if np.ndim(self.x_length) == 0:
            return (
                select(self.x_index, self.x_length, self.weight),
                select(self.y_index, self.y_length, self.weight),
            )
        weights = [None] * len(self.x_index) if self.weight is None else self.weight
        return [
            (select(x, n, weight), select(y, m, weight))
            for x, n, y, m, weight in zip(
                self.x_index, self.x_length, self.y_index, self.y_length, weights, strict=True
            )
        ]


connect_result(Warping)
