"""N-gram language models over labels, for beam search."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from . import _core

__all__ = ["NGram", "read_arpa"]

_SPECIAL = ("<s>", "</s>", "<unk>")


class NGram:
    r"""An n-gram model with back-off over labels, as `read_arpa` reads it.

    It has the methods that `ctc_beam_search` asks of any language model, and beam search calls none
    of them: it looks n-grams up itself, in all of its threads.

    Parameters
    ----------
    symbols : sequence of str
        What each label is called; label `len(symbols)` begins a text, the next one ends it, and the
        one after that stands for any label without an n-gram of its own.
    orders : list of (words, scores)
        For each n from 1 on, the n-grams as labels of shape (M, n), and their natural logarithms
        and back-offs, of shape (M, 2).

    Attributes
    ----------
    symbols : tuple of str
        What each label is called.
    order : int
        Length of the longest n-grams.

    Examples
    --------
    >>> import coalign, tempfile
    >>> text = "\\1-grams:\n-1 <s>\n-0.5 a\n-0.2 </s>\n\\end\\\n"
    >>> with tempfile.NamedTemporaryFile("w", suffix=".arpa") as file:
    ...     _ = file.write(text)
    ...     file.flush()
    ...     lm = coalign.read_arpa(file.name, ["-", "a"])
    >>> score, state = lm.score(lm.start(), 1)
    >>> round(score, 4), round(lm.end(state), 4)  # natural logarithms
    (-1.1513, -0.4605)
    """

    __slots__ = ("_orders", "native", "order", "symbols")
    __module__ = "coalign"

    def __init__(self, symbols: Sequence[str], orders: list[tuple[Any, Any]]) -> None:
        self.symbols = tuple(symbols)
        self.order = len(orders)
        self._orders = orders
        self.native = _core.ngram_model(len(self.symbols), orders)

    def __reduce__(self) -> tuple[Any, ...]:
        return NGram, (self.symbols, self._orders)

    def __repr__(self) -> str:
        return f"NGram(order={self.order}, symbols=<{len(self.symbols)}>)"

    def start(self) -> int:
        """Return the state before the first label.

        Returns
        -------
        int
            A state.

        Examples
        --------
        >>> import coalign
        >>> lm = coalign.NGram(["-", "a"], [([[1]], [[-0.5, 0.0]])])
        >>> lm.score(lm.start(), 1)[0]
        -0.5
        """
        return _core.ngram_start(self.native)

    def score(self, state: int, label: int) -> tuple[float, int]:
        """Score a label that follows a state.

        Parameters
        ----------
        state : int
            What `start` or `score` has returned.
        label : int
            The label.

        Returns
        -------
        score : float
            Natural logarithm of its probability; -inf if the model knows neither it nor ``<unk>``.
        state : int
            The state after it.

        Raises
        ------
        ValueError
            There is no such label, or no such state.

        Examples
        --------
        >>> import coalign
        >>> lm = coalign.NGram(["-", "a"], [([[1]], [[-0.5, 0.0]])])
        >>> lm.score(lm.start(), 1)[0]
        -0.5
        """
        if not 0 <= label < len(self.symbols):
            raise ValueError(f"label: expected 0 to {len(self.symbols) - 1}, got {label}")
        return _core.ngram_score(self.native, state, label)

    def end(self, state: int) -> float:
        """Score the end of the text after a state.

        Parameters
        ----------
        state : int
            What `start` or `score` has returned.

        Returns
        -------
        float
            Natural logarithm of its probability; 0 if the model has no ``</s>``.

        Raises
        ------
        ValueError
            There is no such state.

        Examples
        --------
        >>> import coalign
        >>> lm = coalign.NGram(["-", "a"], [([[1]], [[-0.5, 0.0]])])
        >>> lm.end(lm.start())
        0.0
        """
        return _core.ngram_end(self.native, state)


def read_arpa(path: str | os.PathLike[str], symbols: Sequence[str]) -> NGram:
    r"""Read an n-gram model from a file in ARPA format.

    Parameters
    ----------
    path : str or path
        The file, UTF-8; one whose name ends in ``.gz`` is unpacked.
    symbols : sequence of str
        What each label is called in the file, the blank included, which the model is never asked
        for. N-grams with other words are left out; ``<s>``, ``</s>`` and ``<unk>`` mean what they
        mean everywhere.

    Returns
    -------
    NGram
        The model, for ``ctc_beam_search(lm=...)``.

    Raises
    ------
    ValueError
        The file is not in that format; the message names the line.

    See Also
    --------
    ctc_beam_search : Decodes with such a model.

    References
    ----------
    * S. Katz: Estimation of probabilities from sparse data for the language model component of a
      speech recognizer. IEEE Transactions on Acoustics, Speech, and Signal Processing 35 (1987).

    Examples
    --------
    >>> import coalign, tempfile
    >>> text = "\\1-grams:\n-0.5 a\n-0.2 b\n\\end\\\n"
    >>> with tempfile.NamedTemporaryFile("w", suffix=".arpa") as file:
    ...     _ = file.write(text)
    ...     file.flush()
    ...     coalign.read_arpa(file.name, ["-", "a", "b"])
    NGram(order=1, symbols=<3>)
    """
    if isinstance(symbols, (str, bytes)) or not all(isinstance(word, str) for word in symbols):
        raise TypeError("symbols: expected a sequence of str, one for each label")
    if len(set(symbols)) != len(symbols):
        raise ValueError("symbols: expected no symbol twice")
    if len(symbols) == 0:
        raise ValueError("symbols: expected at least one")
    words = {word: len(symbols) + i for i, word in enumerate(_SPECIAL)}
    words["<UNK>"] = words["<unk>"]
    words |= {word: label for label, word in enumerate(symbols)}
    name = os.fspath(path)
    with _open(name) as file:
        return NGram(symbols, _read_orders(file, words, name))


def _open(name: str) -> IO[str]:
    if name.endswith(".gz"):
        return gzip.open(name, "rt", encoding="utf-8")
    return open(name, encoding="utf-8")


def _read_orders(file: Iterator[str], words: dict[str, int], name: str) -> list[tuple[Any, Any]]:
    """Read the n-grams of each order: words of shape (M, n), and scores and back-offs (M, 2)."""
    ngrams: list[tuple[list[list[int]], list[tuple[float, float]]]] = []
    order, ended = 0, False
    for number, line in enumerate(file, start=1):
        line = line.strip()
        if line == "\\end\\":
            ended = True
            break
        if line.startswith("\\") and line.endswith("-grams:"):
            order += 1
            if line != f"\\{order}-grams:":
                raise ValueError(f"{name}, line {number}: expected \\{order}-grams:, got {line}")
            ngrams.append(([], []))
        elif line and order:
            parts = line.split()
            try:
                scores = [math.log(10) * float(part) for part in (parts[0], *parts[order + 1 :])]
            except ValueError:
                scores = []
            if not 1 <= len(scores) <= 2 or len(parts) <= order or any(map(math.isnan, scores)):
                raise ValueError(
                    f"{name}, line {number}: expected a logarithm, {order} words and perhaps a "
                    f"back-off, got {line!r}"
                )
            found = [words.get(word, -1) for word in parts[1 : order + 1]]
            if min(found) >= 0:
                ngrams[-1][0].append(found)
                ngrams[-1][1].append((scores[0], scores[1] if len(scores) == 2 else 0.0))
    if not (order and ended):
        raise ValueError(f"{name}: expected a model in ARPA format, with \\1-grams: and \\end\\")
    return [
        (np.array(found, np.int64).reshape(-1, n), np.array(scores, np.float64).reshape(-1, 2))
        for n, (found, scores) in enumerate(ngrams, start=1)
    ]
