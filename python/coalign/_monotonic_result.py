"""What monotonic alignment returns."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ._arrays import on_host, to_host
from ._core import MonotonicFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


class MonotonicAlignment(MonotonicFields, Result):
    """The best runs of frames for the tokens of one or more texts.

    Attributes
    ----------
    durations : int64 array of shape (N,), (B, N), or list of (N,) arrays
        How many frames each token has: at least one, and T together. 0 past the length of a text.
    token_of_frame : int64 array of shape (T,), (B, T), or list of (T,) arrays
        The token of each frame, from 0 to N - 1 and never falling. -1 past the last frame.
    total : float64 scalar, or array of shape (B,)
        Sum of the scores on the path, a log-probability if the scores are; computed in float64.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.monotonic_alignment([[0.0, -1.0, -9.0], [-9.0, -5.0, 0.0]])
    >>> found.durations.tolist(), found.token_of_frame.tolist(), float(found.total)
    ([2, 1], [0, 0, 1], -1.0)
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.INFEASIBLE: (InfeasibleError, "no alignment"),
        Status.PRECISION_LIMIT: (OverflowError, "the sum of the scores overflows float64"),
        Status.NAN: (ValueError, "a score is NaN or inf"),
        Status.INVALID: (ValueError, "a length out of range"),
    }

    def path(self) -> Any:
        """Return the path as a matrix that is 1 where a token has a frame, on the host.

        Returns
        -------
        bool array of shape (N, T), (B, N, T), or list of (N, T) arrays
            NumPy arrays. Past the lengths of a padded batch they are False.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.monotonic_alignment([[0.0, -1.0, -9.0], [-9.0, -5.0, 0.0]])
        >>> found.path().astype(int).tolist()
        [[1, 1, 0], [0, 0, 1]]
        """
        durations, tokens = on_host(self.durations), on_host(self.token_of_frame)
        if isinstance(durations, list):
            return [_path(*sides) for sides in zip(durations, tokens, strict=True)]
        return _path(durations, tokens)

    @property
    def spans(self) -> Any:
        """The frames of each token in one array, on the host.

        Returns
        -------
        int64 array of shape (N, 3), or list of B such arrays
            Rows of token, start and stop: the token has the frames [start, stop). Of a padded batch
            each text has as many rows as tokens.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.monotonic_alignment([[0.0, -1.0, -9.0], [-9.0, -5.0, 0.0]])
        >>> found.spans.tolist()
        [[0, 0, 2], [1, 2, 3]]
        """
        durations = on_host(self.durations)
        if np.ndim(to_host(self.status)) == 0:
            return _spans(durations)
        return [_spans(part) for part in durations]


def _path(durations: Any, token_of_frame: Any) -> Any:
    return token_of_frame[..., np.newaxis, :] == np.arange(durations.shape[-1])[:, np.newaxis]


def _spans(durations: Any) -> Any:
    durations = durations[durations > 0]
    stops = np.cumsum(durations)
    return np.stack([np.arange(len(durations)), stops - durations, stops], axis=1)


connect_result(MonotonicAlignment)
