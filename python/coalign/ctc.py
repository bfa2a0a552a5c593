"""Connectionist temporal classification: how probable a text is, given a recording."""

from __future__ import annotations

from typing import Any

from . import _core
from ._ctc_result import CTCPosteriors

__all__ = ["CTCPosteriors", "ctc_forward_backward", "ctc_loss"]


def ctc_loss(
    x: Any,
    targets: Any,
    *,
    x_lengths: Any = None,
    target_lengths: Any = None,
    blank: int = 0,
    input: str = "logits",
    reduction: str = "none",
    zero_infinity: bool = False,
    threads: int | None = None,
    device: str | None = None,
) -> Any:
    """Compute -log of the probability of texts given recordings, over all alignments.

    A path gives each of T frames a symbol. It spells a text once runs of one symbol are shortened
    to one and blanks are taken out. The loss is -log Σ_paths Π_t p_t(symbol of frame t), over the
    paths that spell the text.

    Parameters
    ----------
    x : array of shape (T, C) or (B, T, C), or list of (T, C) arrays
        Scores of C symbols at each of T frames of one recording, a padded batch, or a ragged batch.
        Any strides; a view of shape (B, T, C) on memory of shape (T, B, C) is read in place. -inf
        is probability zero.
    targets : int array of shape (L,) or (B, L), or list of (L,) arrays
        The labels of each text, of which none is the blank; or, with `target_lengths`, an array of
        all labels of all texts, one after the other. One text goes with each recording of a batch,
        and one recording with each text.
    x_lengths, target_lengths : int array of shape (B,), optional
        Numbers of frames and labels of each item of a padded batch. Values past them are never
        read.
    blank : int
        The symbol that is the blank; -1 is the last.
    input : {"logits", "log_probs"}
        "logits": the softmax of a frame is its distribution p_t. "log_probs": x is log p_t, taken
        as it is, normalised or not; only the columns of the blank and of the labels are read.
    reduction : {"none", "sum", "mean"}
        "mean" divides each loss by the number of its labels, at least 1, and averages over the
        batch, as PyTorch does.
    zero_infinity : bool
        Give 0 instead of inf where no alignment fits: where a text, with a blank between equal
        neighbours, is longer than its recording, or the scores rule all paths out.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None follows `x`. "cuda" takes host arrays to the GPU and brings the
        result back. "auto" does the same if there is a usable GPU, at least 64 problems with 16
        million states of their lattices in all, and no more scores than states; otherwise it stays
        on the CPU.

    Returns
    -------
    scalar, or array of shape (B,)
        Losses in nats, of the kind of x: float32 if x is float32, float16 or bfloat16, else
        float64. Recordings on a GPU are read there, on the caller's current stream, without
        waiting for it; the loss is then NaN where a value is wrong.

    Raises
    ------
    ValueError
        A shape, length, label or option is wrong, or a value is NaN or +inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    DeviceError
        The device cannot be used.

    See Also
    --------
    ctc_forward_backward : Losses with their gradients.

    References
    ----------
    * A. Graves, S. Fernández, F. Gomez, J. Schmidhuber: Connectionist temporal classification:
      labelling unsegmented sequence data with recurrent neural networks. ICML (2006).

    Examples
    --------
    >>> import numpy as np, coalign
    >>> loss = coalign.ctc_loss(np.zeros((3, 2)), [1])
    >>> round(float(np.exp(-loss)), 3)  # 6 of the 8 paths
    0.75
    >>> coalign.ctc_loss(np.zeros((2, 3, 2)), [[1], [1]], x_lengths=[3, 0]).round(3).tolist()
    [0.288, inf]
    """
    return _core.ctc_loss(
        x,
        targets,
        x_lengths,
        target_lengths,
        blank,
        input,
        reduction,
        zero_infinity,
        threads,
        device,
    )


def ctc_forward_backward(
    x: Any,
    targets: Any,
    *,
    x_lengths: Any = None,
    target_lengths: Any = None,
    blank: int = 0,
    input: str = "logits",
    reduction: str = "none",
    zero_infinity: bool = False,
    threads: int | None = None,
    device: str | None = None,
    out: Any = None,
) -> CTCPosteriors:
    """Compute the losses of `ctc_loss` with their gradients.

    With γ_t(c) for the probability that a path which spells the text has symbol c at frame t, the
    gradient of a loss with respect to x_t(c) is softmax(x_t)(c) - γ_t(c) for logits, and -γ_t(c)
    for log_probs.

    Parameters
    ----------
    x, targets, x_lengths, target_lengths, blank, input
        As in `ctc_loss`.
    reduction : {"none", "sum", "mean"}
        As in `ctc_loss`. The gradient is that of the reduced loss; "none" and "sum" have the same.
    zero_infinity, threads, device
        As in `ctc_loss`.
    out : array of shape (T, C) or (B, T, C), or list of (T, C) arrays, optional
        Array that takes the gradient. It must have the gradient's dtype, rows of unit stride, and
        memory that it shares with no argument. A call that raises for a value of `x` may have
        written part of it.

    Returns
    -------
    CTCPosteriors
        Losses and gradients, as arrays of the kind of x.

    Raises
    ------
    ValueError, TypeError, DeviceError
        As in `ctc_loss`.

    See Also
    --------
    ctc_loss : The losses alone, quicker and in less memory.

    References
    ----------
    * A. Graves, S. Fernández, F. Gomez, J. Schmidhuber: Connectionist temporal classification:
      labelling unsegmented sequence data with recurrent neural networks. ICML (2006).

    Examples
    --------
    >>> import numpy as np, coalign
    >>> x = np.log([[0.6, 0.4], [0.4, 0.6]])
    >>> found = coalign.ctc_forward_backward(x, [1], input="log_probs")
    >>> round(float(np.exp(-found.loss)), 3)
    0.76
    >>> (-found.grad).round(3).tolist()
    [[0.474, 0.526], [0.211, 0.789]]
    """
    return _core.ctc_forward_backward(
        x,
        targets,
        x_lengths,
        target_lengths,
        blank,
        input,
        reduction,
        zero_infinity,
        threads,
        device,
        out,
    )
