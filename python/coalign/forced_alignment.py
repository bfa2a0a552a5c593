"""Forced alignment: which frames of a recording belong to which token of its text."""

from __future__ import annotations

from typing import Any

from . import _core
from ._alignment_result import CTCAlignment

__all__ = ["CTCAlignment", "ctc_align"]


def ctc_align(
    x: Any,
    targets: Any,
    *,
    x_lengths: Any = None,
    target_lengths: Any = None,
    blank: int = 0,
    input: str = "logits",  # the field's word
    wildcard: int | None = None,
    open_begin: bool = False,
    open_end: bool = False,
    threads: int | None = None,
    device: str | None = None,
) -> CTCAlignment:
    """Find the best alignment of each recording with its text (Viterbi's, of the CTC lattice).

    A path gives each frame t a symbol ``π_t`` such that, once equal neighbours are merged and
    blanks dropped, the text remains. Of these paths it finds one that maximises
    ``Σ_t log p_t(π_t)``.

    The search runs in float64 for any dtype, and goes through every path that can reach the end of
    the text, whatever its score on the way. So the result is optimal to 1e-12 of
    the sum of the sizes of its terms, with ties everywhere and beside scores such as -1e9 or
    -3.4e38; -inf is probability zero. Of equal paths, one whose tokens last longer is preferred.

    With ``open_begin`` and ``open_end`` the text covers part of the recording only: frames before
    it, or after it, may be anything. Each of them scores its best symbol: for a text from frame b
    to frame e, ``Σ_{t<b} max_c log p_t(c) + Σ_{b≤t≤e} log p_t(π_t) + Σ_{t>e} max_c log p_t(c)``,
    which is maximised over b and e too. Up to the sum of all maxima, which is the
    same for every path, this is the logarithm of the ratio between the text and an unconstrained
    reading of the same frames. It depends neither on how long the text lasts, nor on how sure of
    themselves the frames are, nor on a normalisation of the scores. (A score of 0 for free frames,
    as in ctc-segmentation and torchaudio's star token, prefers short texts, since every frame that
    the text covers costs something.)

    Parameters
    ----------
    x : array of shape (T, C), (B, T, C), or list of (T, C) arrays
        Scores of C symbols in each of T frames: one recording, a padded batch, or a ragged batch.
        -inf is probability zero; NaN and +inf are refused. Of log_probs, only the columns of the
        blank and of the text are read, unless a wildcard or an open end asks for all.
    targets : int array of shape (L,), (B, L), list of (L,) arrays, or (sum of lengths,)
        Symbols of the text, without blanks: one text, a padded batch, a ragged batch, or, with
        `target_lengths`, all texts one after the other. One recording goes with each of many texts,
        and one text with each of many recordings.
    x_lengths, target_lengths : int array of shape (B,), optional
        Numbers of frames, and of labels, of each item in a padded batch. What lies past them is
        never read.
    blank : int
        The symbol of the blank; -1 is the last.
    input : {"logits", "log_probs"}
        Whether a softmax goes over each frame's scores first, or they are taken as they are. Both
        give the same path.
    wildcard : int, optional
        A label outside of [0, C) that stands in the text for what is unknown there: it takes one or
        more frames of any symbols but the blank, each of which scores the best of them. Two
        wildcards in a row are two equal labels, which a blank has to part.
    open_begin, open_end : bool
        Whether the text may begin after the first frame, and end before the last.
    threads : int, optional
        The largest number of threads, which share the recordings. None means COALIGN_NUM_THREADS if
        it is set, else the CPUs that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None: where `x` lies, on a GPU on its library's current stream. "cuda"
        takes host arrays to the GPU and the result back; "auto" does so for much work.

    Returns
    -------
    CTCAlignment
        Symbols and scores of the frames, and spans and scores of the tokens, as arrays of the
        input's kind. Lattices whose directions take more than 64 MB are gone through twice: an hour
        of speech (T = 180,000) with L = 50,000 takes 70 MB beside the input.

    Raises
    ------
    ValueError
        A shape, length, label or option is wrong, or a score is NaN or +inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        A text has more tokens, counting a blank between two equal ones, than its recording has
        frames, or every path meets a frame of probability zero; the message names the problem.
    DeviceError
        The device cannot be used.

    References
    ----------
    * A. Graves, S. Fernández, F. Gomez, J. Schmidhuber: Connectionist temporal classification:
      labelling unsegmented sequence data with recurrent neural networks. ICML (2006).
    * L. Kürzinger, D. Winkelbauer, L. Li, T. Watzel, G. Rigoll: CTC-segmentation of large corpora
      for German end-to-end speech recognition. SPECOM (2020).

    Examples
    --------
    >>> import numpy as np, coalign
    >>> p = np.array([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    >>> coalign.ctc_align(np.log(p), np.array([1, 2])).labels.tolist()
    [1, 1, 0, 2]
    >>> coalign.ctc_align(np.log(p), np.array([1, 2]), open_begin=True).spans.tolist()
    [[0, 1, 2], [1, 3, 4]]
    >>> coalign.ctc_align(np.log(p), np.array([9, 1, 2]), wildcard=9).spans.tolist()
    [[0, 0, 1], [1, 1, 2], [2, 3, 4]]
    """
    return _core.ctc_align(
        x,
        targets,
        x_lengths,
        target_lengths,
        blank,
        input,
        wildcard,
        open_begin,
        open_end,
        threads,
        device,
    )
