"""What calls that decode return."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ._arrays import to_host
from ._core import CTCBeamsFields, CTCDecodingFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result

_WRONG: dict[Status, tuple[type[Exception], str]] = {
    Status.INFEASIBLE: (InfeasibleError, "a frame has no possible symbol, so no labelling fits"),
    Status.PRECISION_LIMIT: (OverflowError, "a total is beyond its dtype"),
    Status.NAN: (ValueError, "a value is NaN or inf; expected finite values or -inf"),
    Status.INVALID: (ValueError, "a length is out of range"),
}


class CTCDecoding(CTCDecodingFields, Result):
    """The labels that the best symbol of each frame spells, of one or more recordings.

    Attributes
    ----------
    labels : int64 array of shape (K,), or list of B such arrays
        The labels in order: repeats merged, blanks dropped.
    start : int64 array of shape (K,), or list of B such arrays
        The first frame of each label.
    stop : int64 array of shape (K,), or list of B such arrays
        The frame after the last of each label: label k has frames [start[k], stop[k]).
    score : array of shape (K,), or list of B such arrays
        Mean log-score of the label in its frames; its exponential is a confidence from 0 to 1 where
        the input is logits.
    total : scalar, or array of shape (B,)
        Sum of the best log-scores of all frames, those of the blank included: the log-probability
        of the best alignment.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each recording: INFEASIBLE if a frame is -inf throughout; then there are no
        labels, and the total is -inf. PRECISION_LIMIT if the total is beyond its dtype.

    Examples
    --------
    >>> import numpy as np, coalign
    >>> frames = np.log([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    >>> found = coalign.ctc_greedy(frames, input="log_probs")
    >>> found.labels.tolist(), found.spans.tolist()
    ([1, 1], [[1, 0, 2], [1, 3, 4]])
    >>> np.exp(found.score).round(3).tolist(), round(float(np.exp(found.total)), 4)
    ([0.849, 0.7], 0.3024)
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = _WRONG

    @property
    def spans(self) -> Any:
        """The labels with their frames.

        Returns
        -------
        int64 array of shape (K, 3), or list of B such arrays
            (label, start, stop) of each label, in host memory.

        Examples
        --------
        >>> import coalign
        >>> coalign.ctc_greedy([[0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]).spans.tolist()
        [[1, 0, 2]]
        """
        return _stacked(self.labels, self.start, self.stop)


class CTCBeams(CTCBeamsFields, Result):
    """The best labellings of one or more recordings, best first.

    There are fewer than `n_best` if fewer are possible, or if pruning has left fewer.

    Attributes
    ----------
    labels : int64 array of shape (n_best, K), or list of B such arrays
        The labels of each labelling, padded with -1 up to the longest.
    start : int64 array of shape (n_best, K), or list of B such arrays
        The first frame of each label on the best alignment of its labelling that the beam has kept,
        padded with -1.
    stop : int64 array of shape (n_best, K), or list of B such arrays
        The frame after the last of each label there, padded with -1.
    score : array of shape (n_best, K), or list of B such arrays
        Mean log-score of the label in those frames, padded with 0.
    length : int64 array of shape (n_best,) or (B, n_best)
        Number of labels of each labelling; 0 also past the last labelling that was found.
    total : array of shape (n_best,) or (B, n_best)
        What labellings are ranked by: `acoustic` and what the language model adds; -inf past the
        last labelling.
    acoustic : array of shape (n_best,) or (B, n_best)
        Log-probability of the labelling given the frames, summed over all of its alignments that
        the beam has kept; -inf past the last labelling.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each recording: INFEASIBLE if a frame is -inf throughout, or if the language
        model rules out all labellings that the beam holds; PRECISION_LIMIT if a total is beyond its
        dtype.

    Examples
    --------
    >>> import numpy as np, coalign
    >>> frames = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> coalign.ctc_greedy(frames, input="log_probs").labels.tolist()
    []
    >>> found = coalign.ctc_beam_search(frames, n_best=2, input="log_probs")
    >>> found.labels.tolist(), np.exp(found.total).round(2).tolist()
    ([[1], [-1]], [0.64, 0.36])
    >>> found.best().tolist()
    [1]
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = _WRONG | {
        Status.INFEASIBLE: (
            InfeasibleError,
            "a frame has no possible symbol, or the language model has ruled out all that the beam "
            "held: try a wider one",
        )
    }

    def best(self) -> Any:
        """Return the labels of the best labelling, without padding.

        Returns
        -------
        int64 array of shape (K,), or list of B such arrays
            Labels, in host memory.

        Examples
        --------
        >>> import coalign
        >>> coalign.ctc_beam_search([[0.0, 9.0], [9.0, 0.0], [0.0, 9.0]]).best().tolist()
        [1, 1]
        """
        length = to_host(self.length)
        if length.ndim == 1:
            return to_host(self.labels)[0, : length[0]]
        return [
            to_host(labels)[0, : each[0]] for labels, each in zip(self.labels, length, strict=True)
        ]

    @property
    def spans(self) -> Any:
        """The labels with their frames.

        Returns
        -------
        int64 array of shape (n_best, K, 3), or list of B such arrays
            (label, start, stop) of each label, padded with -1, in host memory.

        Examples
        --------
        >>> import coalign
        >>> coalign.ctc_beam_search([[0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]).spans.tolist()
        [[[1, 0, 2]]]
        """
        return _stacked(self.labels, self.start, self.stop)


def _stacked(labels: Any, start: Any, stop: Any) -> Any:
    """Put labels and their frames side by side, item by item of a list."""
    if isinstance(labels, list):
        return [_stacked(*each) for each in zip(labels, start, stop, strict=True)]
    return np.stack([to_host(part) for part in (labels, start, stop)], axis=-1)


connect_result(CTCDecoding)
