"""N-gram language models over labels, for beam search."""

from __future__ import annotations

import gzip
import math
import os
import re
from collections.abc import Iterable, Sequence
from typing import IO, Any, cast

import numpy as np

from . import _core
from ._scalars import as_integer
from ._validate import take_integers

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
        and back-offs, of shape (M, 2): below inf. No n-gram comes twice.

    Raises
    ------
    ValueError, TypeError
        There are no orders, or an array has another shape or another value; the message names it.

    Attributes
    ----------
    symbols : tuple of str
        What each label is called.
    order : int
        Length of the longest n-grams.

    Examples
    --------
    >>> import coalign, tempfile
    >>> text = "\\data\\\nngram 1=3\n\\1-grams:\n-1 <s>\n-0.5 a\n-0.2 </s>\n\\end\\\n"
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
        self._orders = _take_orders(orders, len(self.symbols))
        self.native = _core.ngram_model(len(self.symbols), self._orders)

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
        symbol = _take_integer(label, "label")
        if not 0 <= symbol < len(self.symbols):
            raise ValueError(f"label: expected 0 to {len(self.symbols) - 1}, got {symbol}")
        return _core.ngram_score(self.native, _take_state(state), symbol)

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
        return _core.ngram_end(self.native, _take_state(state))


def _take_integer(value: Any, name: str) -> int:
    number = as_integer(value)
    if number is None:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    return number


def _take_state(state: Any) -> int:
    """Check that a state is an integer; the model knows which of them are its own."""
    number = _take_integer(state, "state")
    # Native code holds 64 bits, and -1 is no state either.
    return number if 0 <= number < 2**63 else -1


def _take_orders(orders: Any, symbols: int) -> list[tuple[Any, Any]]:
    """Check n-grams, as int64 words and float64 scores of each order."""
    if len(orders) == 0:
        raise ValueError("orders: expected at least one")
    taken = []
    for n, (words, scores) in enumerate(orders, start=1):
        name = f"orders[{n - 1}]"
        labels = take_integers(words, f"{name}: words", "integers")
        logs = np.array(scores, np.float64)
        if labels.ndim != 2 or labels.shape[1] != n or logs.shape != (len(labels), 2):
            raise ValueError(
                f"{name}: expected words of shape (M, {n}) and scores of shape (M, 2), "
                f"got {labels.shape} and {logs.shape}"
            )
        for values, what, wrong, wanted in (
            (labels, "word", (labels < 0) | (labels > symbols + 2), f"labels 0 to {symbols + 2}"),
            (logs, "score", ~(logs < math.inf), "logarithms below inf"),
        ):
            if wrong.any():
                place = tuple(np.argwhere(wrong)[0].tolist())
                raise ValueError(
                    f"{name}: expected {wanted}, got the {what} {values[place]} at index {place}"
                )
        taken.append((labels.astype(np.int64), logs))
    return taken


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
        The file is not in that format, it is not UTF-8, it holds an n-gram twice, or other numbers
        of n-grams than it says; the message names the file, and the line where there is one.

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
    >>> text = "\\data\\\nngram 1=2\n\\1-grams:\n-0.5 a\n-0.2 b\n\\end\\\n"
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


def _open(name: str) -> IO[bytes]:
    # Lines are decoded one by one, so that an error can name the line.
    if name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(name))
    return open(name, "rb")


def _read_orders(file: Iterable[bytes], words: dict[str, int], name: str) -> list[tuple[Any, Any]]:
    """Read the n-grams of each order: words of shape (M, n), and scores and back-offs (M, 2)."""
    # Of each order, the n-grams of our words and their scores.
    ngrams: list[dict[tuple[int, ...], tuple[float, float]]] = []
    told: dict[int, int] = {}
    counts: list[int] = []
    begun = ended = False
    for number, raw in enumerate(file, start=1):
        place, order = f"{name}, line {number}", len(ngrams)
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            raise ValueError(f"{place}: expected UTF-8, got the byte {byte:#04x}") from None
        if not begun:
            begun = line.removeprefix("\ufeff") == "\\data\\"
        elif line == "\\end\\":
            ended = True
            break
        elif line.startswith("\\") and line.endswith("-grams:"):
            if line != f"\\{order + 1}-grams:":
                raise ValueError(f"{place}: expected \\{order + 1}-grams:, got {line}")
            ngrams.append({})
            counts.append(0)
        elif line and order:
            found, scores = _read_ngram(line, order, words, place)
            counts[-1] += 1
            if found in ngrams[-1]:
                raise ValueError(f"{place}: expected no n-gram twice, got {line!r}")
            if min(found) >= 0:
                ngrams[-1][found] = scores
        elif line:
            count = re.fullmatch(r"ngram\s+(\d+)\s*=\s*(\d+)", line)
            if count is None:
                raise ValueError(f"{place}: expected a count like ngram 1=400, got {line!r}")
            told[int(count[1])] = int(count[2])
    if not (ngrams and ended):
        raise ValueError(
            f"{name}: expected a model in ARPA format, with \\data\\, \\1-grams: and \\end\\"
        )
    for n in sorted({*told, *range(1, len(ngrams) + 1)}):
        wanted, got = told.get(n, 0), counts[n - 1] if 1 <= n <= len(ngrams) else 0
        if got != wanted:
            raise ValueError(f"{name}: expected {wanted} {n}-grams, as \\data\\ says, got {got}")
    return [
        (np.array([*found], np.int64).reshape(-1, n), np.array([*found.values()]).reshape(-1, 2))
        for n, found in enumerate(ngrams, start=1)
    ]


def _read_ngram(
    line: str, order: int, words: dict[str, int], place: str
) -> tuple[tuple[int, ...], tuple[float, float]]:
    """Read the words of an n-gram, -1 for those that are not ours, its score and its back-off."""
    parts = line.split()
    numbers = (parts[0], *parts[order + 1 :])
    try:
        # Python would read 1_0 as 10.
        scores = [math.log(10) * float(part) for part in numbers if "_" not in part]
    except ValueError:
        scores = []
    are_sound = len(scores) == len(numbers) <= 2 and all(score < math.inf for score in scores)
    if not are_sound or len(parts) <= order:
        raise ValueError(
            f"{place}: expected a logarithm below inf, {order} words and perhaps a back-off, "
            f"got {line!r}"
        )
    back_off = scores[1] if len(scores) == 2 else 0.0
    return tuple(words.get(word, -1) for word in parts[1 : order + 1]), (scores[0], back_off)
