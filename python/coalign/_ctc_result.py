"""What CTC calls return."""

from __future__ import annotations

from typing import Any, ClassVar

from ._core import PosteriorsFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


class CTCPosteriors(PosteriorsFields, Result):
    """Losses of texts given recordings, their gradients, and where in time each symbol lies.

    Attributes
    ----------
    loss : scalar, or array of shape (B,)
        -log of the probability of each text, in nats; reduced, one number. Where no alignment fits
        it is inf, or 0 with ``zero_infinity=True``.
    grad : array of shape (T, C) or (B, T, C), or list of (T, C) arrays
        Gradient of the loss, as reduced, with respect to `x`, in nats per unit of x. It is 0 past
        the lengths of a padded batch, and where no alignment fits. It is read-only; `out` itself
        may be written if it was given.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: INFEASIBLE where no alignment fits, PRECISION_LIMIT where a
        loss of finite scores is beyond the dtype, or where scores are so far apart that what tells
        alignments from each other is lost.
    x, targets, x_lengths, target_lengths
        The arguments as they were given: references to the caller's arrays, not copies.
    blank, input
        The arguments as they were given.

    Examples
    --------
    >>> import numpy as np, coalign
    >>> found = coalign.ctc_forward_backward(np.zeros((3, 2)), [1])
    >>> round(float(np.exp(-found.loss)), 3)  # 6 of the 8 paths
    0.75
    >>> (found.grad.round(3) + 0.0).tolist()
    [[0.0, 0.0], [0.167, -0.167], [0.0, 0.0]]
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "no alignment of the text fits its frames"),
        Status.PRECISION_LIMIT: (ArithmeticError, "scores too large to tell alignments apart"),
        Status.NAN: (ValueError, "NaN or +inf in the scores"),
        Status.INVALID: (ValueError, "a label or a length out of range"),
    }

    def occupancy(self, per: str = "symbol") -> Any:
        """Compute the probability, given the text, of each symbol or state at each frame.

        It is computed anew from `x` and `targets`, which therefore must not have been changed.

        Parameters
        ----------
        per : {"symbol", "state"}
            A text of L labels has 2 L + 1 states, a blank before, between and after its labels:
            state 2 i + 1 is label i. What "symbol" gives is added up over the states of each
            symbol.

        Returns
        -------
        array of shape (T, C) or (T, 2 L + 1), (B, T, C) or (B, T, 2 L + 1), or list of them
            Probabilities, of the dtype of the computation and the kind of `x`. Each frame adds up
            to 1; where no alignment fits, and past the lengths of a padded batch, all are 0.

        Raises
        ------
        ValueError
            `per` is something else, or `x` or `targets` have been changed so that they cannot be
            taken.

        Examples
        --------
        >>> import numpy as np, coalign
        >>> found = coalign.ctc_forward_backward(np.zeros((3, 2)), [1])
        >>> found.occupancy(per="state").round(3).tolist()
        [[0.5, 0.5, 0.0], [0.167, 0.667, 0.167], [0.0, 0.5, 0.5]]
        >>> found.occupancy().round(3).tolist()
        [[0.5, 0.5], [0.333, 0.667], [0.5, 0.5]]
        """
        # Imported at first use: plain calls do not need it.
        from ._ctc import occupancy

        return occupancy(self, per)


connect_result(CTCPosteriors)
