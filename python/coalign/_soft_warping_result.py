"""What a soft-DTW call returns."""

from __future__ import annotations

from typing import Any, ClassVar

from ._core import SoftWarpingFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


class SoftWarping(SoftWarpingFields, Result):
    """Soft-DTW of one or more pairs of series, and its gradients if they were asked for.

    Attributes
    ----------
    value : scalar, or array of shape (B,)
        -γ log Σ exp(-cost / γ) over all paths, in the metric's unit. It is below the cost of the
        best path, by at most γ log of the number of paths, and so may be negative. inf if it
        overflows its dtype, -inf if that number times γ does.
    grad_x : array of shape (N,) or (N, D), (B, N) or (B, N, D), or list of such arrays, or None
        Gradient of each value with respect to x. 0 past the lengths of a padded batch. None without
        ``grad=True``. Where one series goes with each item of a batch, there are B gradients. With
        ``metric="precomputed"`` the gradient with respect to the costs, which is the expected
        alignment, and `grad_y` is None.
    grad_y : array of shape (M,) or (M, D), (B, M) or (B, M, D), or list of such arrays, or None
        Gradient of each value with respect to y, likewise.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each pair.
    x, y
        The series or costs as they were given: references to the caller's arrays, not copies.
    gamma : float
        The smoothing γ, in the metric's unit.
    metric, window
        The arguments as they were given.
    x_lengths, y_lengths : int64 array of shape (B,), or None
        Numbers of frames of each item of a padded batch, as they were given.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.soft_dtw([0.0, 1.0, 2.0], [0.0, 2.0], gamma=0.1, grad=True)
    >>> round(float(found.value), 4)
    0.9307
    >>> found.grad_y.round(3).tolist()
    [-1.0, 1.0]
    """

    __slots__ = ()
    # The class is the user's, who finds it there.
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "no path"),
        Status.PRECISION_LIMIT: (OverflowError, "the value overflows its dtype"),
        Status.NAN: (ValueError, "NaN in a series; expected finite values"),
        Status.INVALID: (ValueError, "an infinite value in a series, or a length out of range"),
    }

    def expected_alignment(self) -> Any:
        """Compute how probable it is that a path visits each cell.

        A path has the probability exp(-cost / γ) over the sum of all. With γ towards 0 the matrix
        becomes that of the best path, of zeros and ones. It is computed anew from `x` and `y`,
        which therefore must not have been changed. It is the gradient of the value with respect to
        the local costs.

        Returns
        -------
        array of shape (N, M), (B, N, M), or list of (N, M) arrays
            Probabilities, of the dtype of the value and the kind of `x`. Each row and each column
            adds up to at least 1; 0 outside the window and past the lengths of a padded batch.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.soft_dtw([0.0, 1.0, 2.0], [0.0, 2.0], gamma=0.1)
        >>> (found.expected_alignment().round(3) + 0.0).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
        """
        # Imported at first use: the module of the result does without it.
        from ._soft_warping import expected_alignment

        return expected_alignment(self)


connect_result(SoftWarping)
