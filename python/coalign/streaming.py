"""CTC decoding of recordings that arrive piece by piece."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from . import _core, _decoding, _validate
from ._arrays import NUMPY, Kind, same_kind
from ._batch import Batch
from ._decoding_result import CTCBeams, CTCDecoding
from ._errors import DeviceError, Status
from ._scalars import as_integer, choice

__all__ = ["CTCBeamStream", "CTCGreedyStream"]


class _Stream:
    """What streams share: pieces of one kind, of one dtype and of as many symbols."""

    __slots__ = ("_blank", "_input", "_kind", "_like")
    _kind: Kind
    _like: Any

    def __init__(self, blank: Any, input: Any) -> None:
        value = as_integer(blank)
        if value is None or value < -1:
            raise ValueError(f"blank: expected a symbol, or -1, got {blank!r}")
        self._blank: int = value
        self._input = choice(input, "input", _validate.INPUTS)
        self._kind, self._like = NUMPY, None

    def _take(self, x: Any) -> Any:
        """Check a piece; return it as native code takes it."""
        piece = _validate.take_emissions(x, None)
        if piece.is_batch:
            raise ValueError("x: expected a piece of one recording, of shape (T, C), got a batch")
        if piece.kind.gpu is not None:
            raise DeviceError("x: lies on a GPU, and streams are decoded on the CPU")
        (array,) = piece.arrays
        if self._like is None:
            blank = _validate.take_blank(self._blank, piece)
            self._require_scores(piece)
            self._blank, self._kind, self._like = blank, piece.kind, array[:0]
        else:
            same_kind(self._kind, piece.kind, ("the first piece", "x"))
            if (array.shape[1:], array.dtype) != (self._like.shape[1:], self._like.dtype):
                raise ValueError(
                    f"x: expected {self._like.shape[1]} symbols in {self._like.dtype} as in the "
                    f"first piece, got {array.shape[1]} in {array.dtype}"
                )
            self._require_scores(piece)
        return _decoding.native_frames(piece)

    @staticmethod
    def _require_scores(piece: Batch) -> None:
        # Before any of it is read: a piece that is refused leaves the stream as it was.
        piece.require_all(lambda scores: scores < np.inf, _validate.WANTED)


class CTCGreedyStream(_Stream):
    """Decode a recording that arrives piece by piece, as `ctc_greedy` does.

    Wherever the recording is cut, the result has the bits of `ctc_greedy` of the whole.

    Parameters
    ----------
    blank, input
        As in `ctc_greedy`.

    Examples
    --------
    >>> import coalign
    >>> stream = coalign.CTCGreedyStream()
    >>> stream.feed([[0.0, 5.0], [0.0, 5.0]])
    >>> stream.feed([[0.0, 5.0], [5.0, 0.0]])
    >>> stream.result().spans.tolist()
    [[1, 0, 3]]
    """

    __slots__ = ("_carry", "_parts")
    __module__ = "coalign"

    def __init__(self, *, blank: int = 0, input: str = "logits") -> None:
        super().__init__(blank, input)
        self._carry: tuple[int, int, int, float, float, bool] = (0, -1, 0, 0.0, 0.0, True)
        self._parts: list[tuple[Any, ...]] = []

    def __copy__(self) -> CTCGreedyStream:
        # A copy goes on by itself: it shares no list of labels.
        return deepcopy(self)

    def feed(self, x: Any) -> None:
        """Go on with the next frames.

        Parameters
        ----------
        x : array of shape (T, C)
            Scores of the symbols in any number of frames; of the kind and dtype of the first piece.

        Raises
        ------
        ValueError
            A shape or dtype is wrong, or a value is NaN or +inf; the piece then counts as not fed.
        TypeError
            A dtype or kind of array is wrong, or a tensor requires grad.

        Examples
        --------
        >>> import coalign
        >>> stream = coalign.CTCGreedyStream()
        >>> stream.feed([[0.0, 5.0]])
        >>> stream.result().labels.tolist()
        [1]
        """
        native = self._take(x)
        *ended, carry = _core.ctc_greedy_piece(native, self._blank, self._input, self._carry)
        self._carry = carry
        if len(ended[0]):
            self._parts.append(tuple(ended))

    def result(self) -> CTCDecoding:
        """Return the labels so far; the stream may go on.

        Returns
        -------
        CTCDecoding
            As from `ctc_greedy` of all frames so far.

        Examples
        --------
        >>> import coalign
        >>> coalign.CTCGreedyStream().result().labels.tolist()
        []
        """
        dtype = np.dtype(np.float64) if self._like is None else self._like.dtype
        frames, label, start, sum_, total, is_possible = self._carry
        parts = list(self._parts)
        status = Status.OK
        if not is_possible:
            parts, label, status = [], -1, Status.INFEASIBLE
        if label >= 0:
            parts.append(([label], [start], [frames], [sum_ / (frames - start)]))
        kinds = (np.int64, np.int64, np.int64, dtype)
        columns = [
            np.concatenate([np.empty(0, kind), *(np.asarray(part[i], kind) for part in parts)])
            for i, kind in enumerate(kinds)
        ]
        wrap = self._kind.wrap
        with np.errstate(over="ignore"):
            rounded = dtype.type(total)
        if status == Status.OK and np.isinf(rounded):
            status = Status.PRECISION_LIMIT
        return CTCDecoding(*map(wrap, columns), wrap(rounded), wrap(np.int32(status)))


class CTCBeamStream(_Stream):
    """Decode a recording that arrives piece by piece, as `ctc_beam_search` does.

    Wherever the recording is cut, the result has the bits of `ctc_beam_search` of the whole. A
    stream is used by one thread at a time.

    Parameters
    ----------
    blank, input, beam_width, n_best, beam_threshold, token_min_logp, lm, alpha, beta
        As in `ctc_beam_search`.

    Examples
    --------
    >>> import coalign
    >>> stream = coalign.CTCBeamStream(beam_width=8)
    >>> stream.feed([[0.0, 5.0], [0.0, 5.0]])
    >>> stream.result().best().tolist()
    [1]
    >>> stream.feed([[5.0, 0.0], [0.0, 5.0]])
    >>> stream.result().best().tolist()
    [1, 1]
    """

    __slots__ = ("_lm", "_native", "_options")
    __module__ = "coalign"

    def __init__(
        self,
        *,
        blank: int = 0,
        input: str = "logits",
        beam_width: int = 25,
        n_best: int = 1,
        beam_threshold: float | None = None,
        token_min_logp: float | None = None,
        lm: Any = None,
        alpha: float = 0.5,
        beta: float = 1.5,
    ) -> None:
        super().__init__(blank, input)
        self._options = _decoding.take_beam_options(
            beam_width, n_best, beam_threshold, token_min_logp, alpha, beta
        )
        self._lm = lm
        self._native: Any = None
        _decoding.take_model(lm, None)

    def __reduce__(self) -> Any:
        raise TypeError(
            "CTCBeamStream: a search cannot be copied or pickled; feed the pieces to a new stream"
        )

    def feed(self, x: Any) -> None:
        """Go on with the next frames.

        Parameters
        ----------
        x : array of shape (T, C)
            Scores of the symbols in any number of frames; of the kind and dtype of the first piece.

        Raises
        ------
        ValueError
            A shape or dtype is wrong, or a value is NaN or +inf; the piece then counts as not fed.
            Or an earlier piece was interrupted, by Ctrl-C or an error of the language model.
        TypeError
            A dtype or kind of array is wrong, or a tensor requires grad.

        Examples
        --------
        >>> import coalign
        >>> stream = coalign.CTCBeamStream()
        >>> stream.feed([[0.0, 5.0]])
        >>> stream.result().best().tolist()
        [1]
        """
        native = self._take(x)
        if self._native is None:
            model = _decoding.take_model(self._lm, native.shape[-1])
            options = (self._blank, self._input, *self._options, model)
            self._native = _core.beam_stream(native, *options)
        _core.beam_stream_read(self._native, native)

    def result(self) -> CTCBeams:
        """Return the best labellings of the frames so far; the stream may go on.

        Returns
        -------
        CTCBeams
            As from `ctc_beam_search` of all frames so far.

        Raises
        ------
        ValueError
            A piece was interrupted.

        Examples
        --------
        >>> import coalign
        >>> stream = coalign.CTCBeamStream(n_best=2)
        >>> stream.feed([[0.0, 5.0]])
        >>> stream.result().labels.tolist()
        [[1], [-1]]
        """
        if self._native is None:
            raise ValueError("result: expected a piece to be fed first")
        told = _core.beam_stream_best(self._native)
        (parts,) = zip(*_decoding.by_problem(told, self._options[1], self._like.dtype), strict=True)
        return CTCBeams(*map(self._kind.wrap, parts))
