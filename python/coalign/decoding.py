"""CTC decoding: which labels does a recording spell?"""

from __future__ import annotations

from typing import Any

from . import _core
from ._decoding_result import CTCBeams, CTCDecoding

__all__ = ["CTCBeams", "CTCDecoding", "ctc_beam_search", "ctc_greedy"]


def ctc_greedy(
    x: Any,
    *,
    x_lengths: Any = None,
    blank: int = 0,
    input: str = "logits",
    threads: int | None = None,
    device: str | None = None,
) -> CTCDecoding:
    """Spell out the best symbol of every frame: merge repeats, drop blanks.

    These are the labels of the most probable alignment. They need not be the most probable labels,
    since a labelling has many alignments; `ctc_beam_search` adds those up.

    Parameters
    ----------
    x : array of shape (T, C), (B, T, C), or list of (T, C) arrays
        Scores of C symbols in each of T frames, for one recording, a padded batch, or a ragged
        batch. Any strides; -inf is probability zero.
    x_lengths : int array of shape (B,), optional
        Number of frames of each recording in a padded batch. Values past them are never used.
    blank : int
        The symbol of the blank; -1 is the last one.
    input : {"logits", "log_probs"}
        Whether the softmax of a frame is its distribution, or its scores are logarithms already and
        are taken as they are.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    device : {None, "cpu", "auto"}
        Where to compute: on the CPU. "cuda" raises `DeviceError`.

    Returns
    -------
    CTCDecoding
        Labels with their frames and scores. Of symbols with the same score the smallest is best.

    Raises
    ------
    ValueError
        A shape, length or option is wrong, or a value is NaN or +inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    DeviceError
        The device cannot be used.

    See Also
    --------
    ctc_beam_search : The most probable labels, also with a language model.

    References
    ----------
    * A. Graves, S. Fernández, F. Gomez, J. Schmidhuber: Connectionist temporal classification.
      Proceedings of the 23rd International Conference on Machine Learning (2006), section 3.2.

    Examples
    --------
    >>> import coalign
    >>> frames = [[0.0, 5.0, 1.0], [0.0, 5.0, 1.0], [4.0, 0.0, 0.0], [0.0, 1.0, 5.0]]
    >>> coalign.ctc_greedy(frames).labels.tolist()
    [1, 2]
    """
    return _core.ctc_greedy(x, x_lengths, blank, input, threads, device)


def ctc_beam_search(
    x: Any,
    *,
    x_lengths: Any = None,
    blank: int = 0,
    input: str = "logits",
    beam_width: int = 25,
    n_best: int = 1,
    beam_threshold: float | None = None,
    token_min_logp: float | None = None,
    lm: Any = None,
    alpha: float = 0.5,
    beta: float = 1.5,
    threads: int | None = None,
    device: str | None = None,
) -> CTCBeams:
    """Find the most probable labellings, each with the probability of all of its alignments.

    A prefix beam search: after every frame it keeps the `beam_width` best beginnings of a labelling
    with their exact probabilities, as far as those rest on beginnings that were kept before. If the
    beam holds every labelling, the answer is exact. It computes in float64 logarithms whatever the
    input's dtype.

    Parameters
    ----------
    x, x_lengths, blank, input
        As in `ctc_greedy`.
    beam_width : int
        The most beginnings that are kept. Of equal ones, one that was there before stays rather
        than one that is a label longer; then the continuation of a better one, then the smaller
        label.
    n_best : int
        How many labellings to return, at least 1. No more than `beam_width` are held: a larger
        number is taken as `beam_width`, and the results have so many rows.
    beam_threshold : float, optional
        Drop beginnings whose score is further than this below the best one's.
    token_min_logp : float, optional
        Symbols whose log-score in a frame is below this count as impossible there, except for the
        best of the frame.
    lm : NGram or object, optional
        A language model: one that `read_arpa` has read, or any object with three methods.
        ``start()`` returns the state before the first label. ``score(state, label)`` returns the
        natural logarithm of the label's probability, and the state after it. ``end(state)`` returns
        that of the text's end. States are any objects and are never changed; a score may be -inf.
        Python code runs in one thread.
    alpha : float
        Weight of the language model's scores, at least 0. Whatever it is, a score of -inf rules a
        label out.
    beta : float
        What each label adds to the score beside a language model, whose scores favour short texts.
    threads, device
        As in `ctc_greedy`.

    Returns
    -------
    CTCBeams
        The labellings, best first, with their scores, and the frames of their labels.

    Raises
    ------
    ValueError, TypeError, DeviceError
        As in `ctc_greedy`. What a language model raises comes through.

    See Also
    --------
    read_arpa : Reads an n-gram model.

    References
    ----------
    * A. Graves: Supervised sequence labelling with recurrent neural networks. Springer (2012),
      section 7.5.
    * A. Hannun, A. Maas, D. Jurafsky, A. Ng: First-pass large vocabulary continuous speech
      recognition using bi-directional recurrent DNNs. arXiv:1408.2873 (2014).

    Examples
    --------
    >>> import numpy as np, coalign
    >>> frames = np.log([[0.6, 0.4], [0.6, 0.4]])  # "1" has three alignments, "" has one
    >>> found = coalign.ctc_beam_search(frames, input="log_probs")
    >>> found.best().tolist(), round(float(np.exp(found.total[0])), 2)
    ([1], 0.64)
    >>> class NoRepeats:  # a language model whose state is the last label
    ...     def start(self):
    ...         return None
    ...     def score(self, state, label):
    ...         return (-np.inf if label == state else 0.0), label
    ...     def end(self, state):
    ...         return 0.0
    >>> twice = np.log([[0.1, 0.9], [0.8, 0.2], [0.1, 0.9]])
    >>> coalign.ctc_beam_search(twice, input="log_probs").best().tolist()
    [1, 1]
    >>> coalign.ctc_beam_search(twice, input="log_probs", lm=NoRepeats()).best().tolist()
    [1]
    """
    # Imported at first use: plain calls of `ctc_greedy` do without it.
    from . import _decoding

    return _decoding.ctc_beam_search(
        x,
        x_lengths=x_lengths,
        blank=blank,
        input=input,
        beam_width=beam_width,
        n_best=n_best,
        beam_threshold=beam_threshold,
        token_min_logp=token_min_logp,
        lm=lm,
        alpha=alpha,
        beta=beta,
        threads=threads,
        device=device,
    )
