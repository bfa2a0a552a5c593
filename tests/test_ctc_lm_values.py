"""Language models in beam search: any object with the methods of one, and n-grams from files."""

from __future__ import annotations

import copy
import gzip
import itertools
import math
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _execution
from oracles import decoding as oracle

ARPA = """\
\\data\\
ngram 1=6
ngram 2=4
ngram 3=2

\\1-grams:
-99\t<s>\t-0.30
-1.2\t</s>
-2.0\t<unk>\t-0.05
-0.6\ta\t-0.20
-0.7\tb\t-0.10
-0.9\tother\t-0.40

\\2-grams:
-0.2\t<s> a\t-0.25
-0.5\ta b\t-0.15
-0.4\tb a
-0.3\tb </s>

\\3-grams:
-0.10\t<s> a b
-0.05\ta b </s>

\\end\\
"""
SYMBOLS = ["-", "a", "b", "c"]
# What comes before the n-grams of a model of two words.
DATA = "\\data\\\nngram 1=2\n\\1-grams:\n"


@pytest.fixture
def model(tmp_path: Path) -> coalign.NGram:
    path = tmp_path / "model.arpa"
    path.write_text(ARPA)
    return coalign.read_arpa(path, SYMBOLS)


def log10_of(model: coalign.NGram, labels: list[int]) -> tuple[list[float], float]:
    """The logarithms, to base 10, of each label after those before it, and of the end."""
    state, scores = model.start(), []
    for label in labels:
        score, state = model.score(state, label)
        scores.append(score / math.log(10))
    return scores, model.end(state) / math.log(10)


def test_probabilities_are_those_of_the_file(model: coalign.NGram) -> None:
    # By hand, from Katz' rule: the longest n-gram that the file has, else a back-off and the rest.
    for labels, scores, end in (
        ([], [], -0.30 + -1.2),  # <s> backs off to </s>
        ([1], [-0.2], -0.25 + -0.20 + -1.2),  # <s> a; then "<s> a", "a" back off
        ([1, 2], [-0.2, -0.10], -0.05),  # a trigram, and "a b </s>"
        ([2], [-0.30 + -0.7], -0.3),  # <s> backs off to b; then "b </s>"
        ([1, 2, 1], [-0.2, -0.10, -0.15 + -0.4], -0.20 + -1.2),  # "a b" backs off to "b a"
        ([3], [-0.30 + -2.0], -0.05 + -1.2),  # c is <unk>
        ([2, 2], [-0.30 + -0.7, -0.10 + -0.7], -0.3),
    ):
        ours, ours_end = log10_of(model, labels)
        assert ours == pytest.approx(scores, rel=1e-12), labels
        assert ours_end == pytest.approx(end, rel=1e-12), labels
    assert model.order == 3
    assert repr(model) == "NGram(order=3, symbols=<4>)"


def katz(grams: dict[tuple[str, ...], tuple[float, float]], words: tuple[str, ...]) -> float:
    """Katz' rule as it is written: the n-gram's own score, else a back-off and a word less."""
    if words in grams:
        return grams[words][0]
    if len(words) == 1:
        return -np.inf
    return grams.get(words[:-1], (0.0, 0.0))[1] + katz(grams, words[1:])


@pytest.mark.parametrize("seed", range(20))
def test_any_set_of_ngrams_is_katz(seed: int, tmp_path: Path) -> None:
    # Some begin or end with what is no n-gram of its own, and the highest order may be empty.
    rng = np.random.default_rng(seed)
    grams: dict[tuple[str, ...], tuple[float, float]] = {}
    shares, lines = [1.0, 0.5, 0.4, 0.3 * (seed % 2)], []
    for order, share in enumerate(shares, 1):
        possible = [each for each in itertools.product("ab", repeat=order) if rng.random() < share]
        for each in possible:
            grams[each] = tuple(-rng.integers(1, 99, 2) / 32) if order < 4 else (-1.5, 0.0)
        lines += [f"\\{order}-grams:"]
        lines += [f"{grams[each][0]}\t{' '.join(each)}\t{grams[each][1]}" for each in possible]
    counts = [sum(len(each) == order for each in grams) for order in range(1, 5)]
    head = [f"ngram {order}={count}" for order, count in enumerate(counts, 1)]
    path = tmp_path / "model.arpa"
    path.write_text("\n".join(["\\data\\", *head, *lines, "\\end\\", ""]))
    model = coalign.read_arpa(path, ["-", "a", "b"])
    text = tuple(rng.choice(["a", "b"], 40).tolist())
    ours, _ = log10_of(model, [1 if word == "a" else 2 for word in text])
    want = [katz(grams, text[max(0, k - 3) : k + 1]) for k in range(40)]
    np.testing.assert_allclose(ours, want, rtol=1e-12)


def test_a_packed_file_is_read(model: coalign.NGram, tmp_path: Path) -> None:
    path = tmp_path / "model.arpa.gz"
    path.write_bytes(gzip.compress(ARPA.encode()))
    assert log10_of(coalign.read_arpa(path, SYMBOLS), [1, 2]) == log10_of(model, [1, 2])


def test_a_label_that_no_ngram_has_is_impossible(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    lines = [line for line in ARPA.split("\n") if "<unk>" not in line]
    path.write_text("\n".join(lines).replace("ngram 1=6", "ngram 1=5"))
    model = coalign.read_arpa(path, SYMBOLS)
    assert model.score(model.start(), 3)[0] == -math.inf
    x = np.where(np.arange(4) == 3, 5.0, 0.0) * np.ones((2, 1))
    found = coalign.ctc_beam_search(x, lm=model, n_best=50)
    assert 3 not in found.labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r": expected a model in ARPA format, with \\data\\, \\1-grams: and \\end\\"),
        ("\\1-grams:\n-1 a\n\\end\\\n", ": expected a model in ARPA format"),
        (f"{DATA}-1 a\n-1 b\n", ": expected a model in ARPA format"),
        ("\\data\\\nngram 1:4\n", ", line 2: expected a count like ngram 1=400, got 'ngram 1:4'"),
        ("\\data\\\n\\2-grams:\n", r", line 2: expected \\1-grams:, got \\2-grams:"),
        (f"{DATA}-x a\n", ", line 4: expected a logarithm below inf, 1 words and"),
        (f"{DATA}-1\n", ", line 4: expected a logarithm below inf, 1 words and"),
        (f"{DATA}-1 a -1 -1\n", ", line 4: expected a logarithm below inf, 1 words and"),
        (f"{DATA}nan a\n", ", line 4: expected a logarithm below inf, 1 words and"),
        (f"{DATA}-1_0 a\n", ", line 4: expected a logarithm below inf, 1 words and"),
        (f"{DATA}-1 b\n1e999 a\n", ", line 5: expected a logarithm below inf, 1 words and"),
        (f"{DATA}-1 a inf\n", ", line 4: expected a logarithm below inf, 1 words and"),
        (f"{DATA}-1 a\n-2 a\n\\end\\\n", ", line 5: expected no n-gram twice, got '-2 a'"),
        (f"{DATA}-1 a\n\\end\\\n", r": expected 2 1-grams, as \\data\\ says, got 1"),
        (
            f"{DATA}-1 a\n-1 b\n\\2-grams:\n-1 a b\n\\end\\\n",
            r": expected 0 2-grams, as \\data\\ says, got 1",
        ),
        (
            f"{DATA}-1 a\n-1 ä\n\\end\\\n".encode("latin-1"),
            ", line 5: expected UTF-8, got the byte 0xe4",
        ),
        (ARPA.encode("utf-16"), ", line 1: expected UTF-8, got the byte 0xff"),
    ],
)
def test_a_file_of_another_format_is_refused(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = tmp_path / "model.arpa"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=rf"model\.arpa{message}"):
        coalign.read_arpa(path, SYMBOLS)


def test_lines_before_the_model_are_passed_over(model: coalign.NGram, tmp_path: Path) -> None:
    path = tmp_path / "other.arpa"
    path.write_text(f"made by hand\n{ARPA}more")
    assert log10_of(coalign.read_arpa(path, SYMBOLS), [1, 2]) == log10_of(model, [1, 2])
    path.write_text(ARPA, encoding="utf-8-sig")
    assert log10_of(coalign.read_arpa(path, SYMBOLS), [1, 2]) == log10_of(model, [1, 2])


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ([], r"orders: expected at least one"),
        (
            [([[1, 1]], [[-1.0, 0.0]])],
            r"orders\[0\]: expected words of shape \(M, 1\) and scores of shape \(M, 2\), "
            r"got \(1, 2\) and \(1, 2\)",
        ),
        ([([[1]], [[-1.0]])], r"orders\[0\]: expected words of shape \(M, 1\) and scores"),
        (
            [([[1]], [[-1.0, 0.0]]), ([[1, 2], [5, 1]], [[-1.0, 0.0]] * 2)],
            r"orders\[1\]: expected labels 0 to 4, got the word 5 at index \(1, 0\)",
        ),
        (
            [([[0], [1]], [[-1.0, 0.0], [-1.0, math.inf]])],
            r"orders\[0\]: expected logarithms below inf, got the score inf at index \(1, 1\)",
        ),
        (
            [([[0], [1]], [[math.nan, 0.0], [-1.0, 0.0]])],
            r"orders\[0\]: expected logarithms below inf, got the score nan at index \(0, 0\)",
        ),
        (
            [([[0], [1]], [[-1.0, 0.0]] * 2), ([[0, 1], [1, 1], [0, 1]], [[-1.0, 0.0]] * 3)],
            r"orders\[1\]: expected no n-gram twice, got one again at index 2",
        ),
    ],
)
def test_ngrams_that_make_no_model_are_refused(orders: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"\A{message}"):
        coalign.NGram(["-", "a"], orders)


def test_symbols_are_words_that_differ(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\Asymbols: expected no symbol twice"):
        coalign.read_arpa(tmp_path / "none", ["a", "a"])
    with pytest.raises(TypeError, match=r"\Asymbols: expected a sequence of str"):
        coalign.read_arpa(tmp_path / "none", "ab")
    with pytest.raises(ValueError, match=r"\Asymbols: expected at least one"):
        coalign.read_arpa(tmp_path / "none", [])


class Wrapped:
    """The protocol in Python: a model whose states are the labels so far."""

    def __init__(self, model: coalign.NGram) -> None:
        self.model, self.calls = model, 0

    def start(self) -> tuple[int, ...]:
        return ()

    def _state(self, labels: tuple[int, ...]) -> int:
        state = self.model.start()
        for label in labels:
            _, state = self.model.score(state, label)
        return state

    def score(self, state: tuple[int, ...], label: int) -> tuple[float, tuple[int, ...]]:
        self.calls += 1
        return self.model.score(self._state(state), label)[0], (*state, label)

    def end(self, state: tuple[int, ...]) -> float:
        return self.model.end(self._state(state))


def test_a_wide_beam_with_a_model_is_exact(isa: str, model: coalign.NGram) -> None:
    rng = np.random.default_rng(7)
    alpha, beta = 0.8, 0.3
    wrapped = Wrapped(model)
    for frames in (0, 1, 3, 5):
        x = rng.normal(size=(frames, 4))
        scores = oracle.log_scores(x)
        expected = {}
        for labels, (total, _) in oracle.enumerate_labellings(scores, 0).items():
            parts, end = log10_of(model, list(labels))
            by_model = alpha * math.log(10) * (sum(parts) + end) + beta * len(labels)
            expected[labels] = (total + by_model, total)
        options = {"beam_width": 5000, "n_best": len(expected) + 1, "alpha": alpha, "beta": beta}
        for lm in (model, wrapped):
            with _execution.forced(isa):
                found = coalign.ctc_beam_search(x, lm=lm, **options)
            ranked = sorted(expected.items(), key=lambda item: -item[1][0])
            assert (found.total[len(ranked) :] == -np.inf).all()
            for i, (labels, (total, acoustic)) in enumerate(ranked):
                assert tuple(found.labels[i, : found.length[i]].tolist()) == labels
                assert found.total[i] == pytest.approx(total, rel=1e-11, abs=1e-11)
                assert found.acoustic[i] == pytest.approx(acoustic, rel=1e-11, abs=1e-11)


def test_a_narrow_beam_with_a_model_is_the_plain_search(isa: str, model: coalign.NGram) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(60, 4))

    def by_model(labels: tuple[int, ...]) -> float:
        return 0.5 * math.log(10) * sum(log10_of(model, list(labels))[0]) + 1.5 * len(labels)

    kept = oracle.beam_search(oracle.log_scores(x), 0, 12, by_model)
    ends = [0.5 * math.log(10) * log10_of(model, list(labels))[1] for _, labels in kept]
    totals = {labels: total + end for (total, labels), end in zip(kept, ends, strict=True)}
    ranked = sorted(totals, key=lambda labels: -totals[labels])
    wrapped = Wrapped(model)
    for lm in (model, wrapped):
        with _execution.forced(isa):
            found = coalign.ctc_beam_search(x, lm=lm, beam_width=12, n_best=12)
        rows = [tuple(found.labels[i, : found.length[i]].tolist()) for i in range(12)]
        assert rows == ranked
        np.testing.assert_allclose(found.total, [totals[labels] for labels in ranked], rtol=1e-11)
    # Each beginning is scored once, not once a frame.
    assert wrapped.calls < 60 * 12


def test_a_model_changes_no_bit_with_threads(model: coalign.NGram) -> None:
    x = np.random.default_rng(9).normal(size=(40, 50, 4))
    one = coalign.ctc_beam_search(x, lm=model, threads=1)
    with _execution.forced(work_per_thread=0) as runs:
        two = coalign.ctc_beam_search(x, lm=model, threads=2)
    assert runs[0].workers <= 2
    assert one.total.tobytes() == two.total.tobytes()
    same = (np.array_equal(a, b) for a, b in zip(one.labels, two.labels, strict=True))
    assert all(same)


class Odd:
    """A model that answers as it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def start(self) -> None:
        return None

    def score(self, state: None, label: int) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def end(self, state: None) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (KeyError("lost"), KeyError, "lost"),
        (1.0, TypeError, r"lm: expected score\(state, label\) to return a pair"),
        ((1.0,), TypeError, r"lm: expected score\(state, label\) to return a pair"),
        ((math.nan, None), ValueError, r"lm: expected a log-score below inf from score\(state"),
        ((math.inf, None), ValueError, r"lm: expected a log-score below inf from score\(state"),
        (("x", None), TypeError, "must be real number, not str"),
    ],
)
def test_what_a_model_does_wrong_is_said(answer: Any, error: type, message: str) -> None:
    x = np.zeros((3, 2, 4))
    with pytest.raises(error, match=message):
        coalign.ctc_beam_search(x, lm=Odd(answer), threads=2)


def test_a_label_that_is_ruled_out_stays_out(model: coalign.NGram) -> None:
    class NoB(Wrapped):
        def score(self, state: tuple[int, ...], label: int) -> tuple[float, tuple[int, ...]]:
            return -math.inf if label == 2 else -1.0, (*state, label)

        def end(self, state: tuple[int, ...]) -> float:
            return -math.inf if len(state) > 1 else 0.0

    x = np.random.default_rng(13).normal(size=(4, 4))
    for alpha in (0.0, 0.5):
        found = coalign.ctc_beam_search(x, lm=NoB(model), alpha=alpha, beam_width=99, n_best=99)
        rows = zip(found.labels, found.length, found.total, strict=True)
        kept = {tuple(row[:n].tolist()) for row, n, total in rows if total > -np.inf}
        assert kept == {(), (1,), (3,)}


def test_ctrl_c_stops_one_slow_frame() -> None:
    # Two thousand prefixes with two thousand symbols each: one frame takes a second.
    symbols = [str(c) for c in range(2000)]
    words = np.arange(1, 2000)[:, np.newaxis]
    scores = np.stack([-np.arange(1, 2000) / 1000, np.zeros(1999)], axis=1)
    model, x = coalign.NGram(symbols, [(words, scores)]), np.zeros((400, 2000))
    taken = []
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        while not taken or (min(taken) > 0.1 and len(taken) < 4):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            began = time.perf_counter()
            with pytest.raises(KeyboardInterrupt):
                coalign.ctc_beam_search(x, lm=model, beam_width=2000)
            taken.append(time.perf_counter() - began - 0.5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert min(taken) < 0.1, taken


def test_what_is_no_model_is_refused(model: coalign.NGram) -> None:
    with pytest.raises(TypeError, match=r"\Alm: expected None, an NGram, or an object with start"):
        coalign.ctc_beam_search(np.zeros((2, 4)), lm=3)
    with pytest.raises(ValueError, match=r"\Alm: expected a model of 5 symbols as in x, got 4"):
        coalign.ctc_beam_search(np.zeros((2, 5)), lm=model)
    with pytest.raises(ValueError, match=r"\Alabel: expected 0 to 3, got 4"):
        model.score(model.start(), 4)
    with pytest.raises(ValueError, match=r"\Astate: expected one that this model has returned"):
        model.score(999, 1)
    with pytest.raises(ValueError, match=r"\Astate: expected one that this model has returned"):
        model.end(-1)
    with pytest.raises(ValueError, match=r"\Astate: expected one that this model has returned"):
        model.end(10**30)
    with pytest.raises(TypeError, match=r"\Astate: expected an integer, got float"):
        model.score(1.5, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\Alabel: expected an integer, got str"):
        model.score(model.start(), "a")  # type: ignore[arg-type]
    for lm in (coalign.NGram, Wrapped):
        with pytest.raises(
            TypeError, match=rf"\Alm: expected a model, got the class {lm.__name__}"
        ):
            coalign.ctc_beam_search(np.zeros((2, 4)), lm=lm)


def test_a_model_that_rules_out_the_whole_beam_is_named() -> None:
    class OnlyTwo:
        def start(self) -> None:
            return None

        def score(self, state: None, label: int) -> tuple[float, None]:
            return -math.inf if label == 1 else 0.0, None

        def end(self, state: None) -> float:
            return -math.inf

    found = coalign.ctc_beam_search(np.zeros((3, 3)), lm=OnlyTwo())
    assert found.status == coalign.Status.INFEASIBLE
    with pytest.raises(
        coalign.InfeasibleError, match="language model has ruled out all that the beam"
    ):
        found.check()


def test_a_model_is_copied_and_pickled(model: coalign.NGram) -> None:
    for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.symbols == model.symbols
        assert again.order == model.order == 3
        for labels in ([1, 2, 1], [3], [2, 2]):
            assert log10_of(again, labels) == log10_of(model, labels)
