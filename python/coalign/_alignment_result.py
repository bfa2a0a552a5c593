"""What forced alignment returns."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ._arrays import on_host
from ._core import CTCAlignmentFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


class CTCAlignment(CTCAlignmentFields, Result):
    """The best alignments of one or more recordings of T frames with their texts of L tokens.

    A frame shows the blank, a token of the text, or, next to a text with open ends, any symbol.
    In a padded batch T and L are the longest; past the end of an item indices are -1 and values 0.

    Attributes
    ----------
    labels : int64 array of shape (T,), (B, T), or list of (T,) arrays
        The symbol of each frame: the blank or a symbol of the text. For a frame of a wildcard, and
        for one outside of a text with open ends, the symbol that scores best there.
    frame_score : array of shape (T,), (B, T), or list of (T,) arrays
        The log-score of that symbol at each frame, of the dtype of the computation. For logits it
        is the logarithm of the softmax.
    start, stop : int64 array of shape (L,), (B, L), or list of (L,) arrays
        The frames of each token: from ``start[i]`` up to and without ``stop[i]``. No two tokens
        share a frame; blanks lie between.
    token_score : array of shape (L,), (B, L), or list of (L,) arrays
        Sum of the frame scores of each token.
    confidence : array of shape (L,), (B, L), or list of (L,) arrays
        Geometric mean of the probabilities of each token's frames:
        ``exp(token_score / (stop - start))``. From 0 to 1 if the scores are of a distribution.
    total : float64 scalar, or array of shape (B,)
        Sum of the frame scores, added up in float64: the log-score of the best path.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: PRECISION_LIMIT where a score or the total is beyond its dtype.

    Examples
    --------
    >>> import numpy as np, coalign
    >>> p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    >>> found = coalign.ctc_align(np.log(p), np.array([1, 2]), input="log_probs")
    >>> found.labels.tolist(), found.start.tolist(), found.stop.tolist()
    ([0, 1, 0, 2], [1, 3], [2, 4])
    >>> found.confidence.round(3).tolist(), round(float(np.exp(found.total)), 4)
    ([0.8, 0.8], 0.3584)
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "no alignment"),
        Status.PRECISION_LIMIT: (OverflowError, "a score or the total is beyond its dtype"),
        Status.NAN: (ValueError, "NaN or +inf in the scores"),
        Status.INVALID: (ValueError, "a label, or a length, out of range"),
    }

    @property
    def spans(self) -> Any:
        """The tokens' frames in one array, on the host.

        Returns
        -------
        int64 array of shape (L, 3), or list of B such arrays
            Rows of (token index, first frame, one past the last frame). NumPy arrays. The symbol of
            token i is ``targets[i]``.

        Examples
        --------
        >>> import numpy as np, coalign
        >>> p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
        >>> coalign.ctc_align(np.log(p), np.array([1, 2]), input="log_probs").spans.tolist()
        [[0, 1, 2], [1, 3, 4]]
        """
        start, stop = on_host(self.start), on_host(self.stop)
        if np.ndim(on_host(self.status)) == 0:
            return _spans(start, stop)
        return [_spans(*both) for both in zip(start, stop, strict=True)]


def _spans(start: Any, stop: Any) -> Any:
    tokens = np.flatnonzero(start >= 0)
    return np.stack([tokens, start[tokens], stop[tokens]], axis=1)


connect_result(CTCAlignment)
