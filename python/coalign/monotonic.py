"""Monotonic alignment: a run of frames for every token of a text, in order."""

from __future__ import annotations

from typing import Any

from . import _core
from ._monotonic_result import MonotonicAlignment

__all__ = ["MonotonicAlignment", "monotonic_alignment"]


def monotonic_alignment(
    score: Any,
    *,
    text_lengths: Any = None,
    frame_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
) -> MonotonicAlignment:
    """Give every token of a text a run of frames, in order, at the greatest total score.

    This is the monotonic alignment search of Glow-TTS and VITS. Every token gets at least one
    frame, the frames of a token follow one another, and every frame belongs to a token. Of all such
    paths it finds one that maximises Σ_t score[token(t), t].

    Parameters
    ----------
    score : array of shape (N, T) or (B, N, T), or list of (N, T) arrays
        Log-likelihood of frame t under token n: one problem, a padded batch or a ragged batch.
        -inf rules a cell out. Token n can be at the frames n to n + T - N; other cells are never
        read. Rows (frames side by side) and columns (tokens side by side, as in a transposed view)
        of unit stride are the fastest.
    text_lengths, frame_lengths : int array of shape (B,), optional
        Numbers of tokens and frames of each problem in a padded batch. Scores past them are never
        read.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None: where `score` lies, on a GPU on its library's current stream. "cuda"
        takes host arrays to the GPU and the result back; "auto" leaves them on the CPU, which reads
        scores about as fast as they are copied.

    Returns
    -------
    MonotonicAlignment
        Durations, the token of each frame, and totals, as arrays of the input's kind. Sums are in
        float64 whatever the dtype of the scores is: no other path has a total that is greater by
        more than T · 2⁻⁵² times the largest sum along the two. Of equal paths, going back from the
        last frame, it takes the one that stays longer with a token.

    Raises
    ------
    ValueError
        A shape, length or option is wrong, or a score is NaN or +inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        A problem has more tokens than frames, frames but no token, or no path that avoids -inf; the
        message names it.
    DeviceError
        The device cannot be used.

    Warns
    -----
    RuntimeWarning
        A total overflows float64; its status is PRECISION_LIMIT and its total infinite or NaN.

    Notes
    -----
    A problem takes N (T - N + 16) / 8 bytes for the way back, one bit for each cell.

    References
    ----------
    * J. Kim, S. Kim, J. Kong, S. Yoon: Glow-TTS: a generative flow for text-to-speech via monotonic
      alignment search. NeurIPS (2020).

    Examples
    --------
    >>> import coalign
    >>> score = [[-1.0, -2.0, -8.0, -9.0, -9.0], [-9.0, -3.0, -1.0, -1.0, -4.0],
    ...          [-9.0, -9.0, -9.0, -4.0, -1.0]]
    >>> found = coalign.monotonic_alignment(score)
    >>> found.durations.tolist(), float(found.total)
    ([2, 2, 1], -6.0)
    """
    return _core.monotonic_alignment(score, text_lengths, frame_lengths, threads, device)
