"""What forced alignment refuses, in which words."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import coalign
from refusals import Call, assert_refused, put, table

X = np.zeros((6, 3))
TEXT = np.array([1, 2])


@table(
    (
        "a label that is the blank",
        lambda: coalign.ctc_align(X, np.array([1, 0])),
        ValueError,
        "targets: 0 at index (1,); expected labels from 0 to 2 other than the blank, 0",
    ),
    (
        "a label that is no symbol, beside a wildcard",
        lambda: coalign.ctc_align(X, np.array([5, 4]), wildcard=5),
        ValueError,
        "targets: 4 at index (1,); expected labels from 0 to 2 other than the blank, 0, "
        "or the wildcard, 5",
    ),
    (
        "a wildcard that is a symbol",
        lambda: coalign.ctc_align(X, TEXT, wildcard=2),
        ValueError,
        "wildcard: expected a label that is no symbol from 0 to 2, got 2",
    ),
    (
        "a wildcard beyond 64 bits",
        lambda: coalign.ctc_align(X, TEXT, wildcard=2**63),
        ValueError,
        f"wildcard: expected a label of at most 64 bits, got {2**63}",
    ),
    (
        "a wildcard that is no integer",
        lambda: coalign.ctc_align(X, TEXT, wildcard=5.0),
        TypeError,
        "wildcard: expected None or an integer, got float",
    ),
    (
        "an input of another kind",
        lambda: coalign.ctc_align(X, TEXT, input="probs"),
        ValueError,
        "input: expected one of 'logits', 'log_probs', got 'probs'",
    ),
    (
        "an open end that is no flag",
        lambda: coalign.ctc_align(X, TEXT, open_end=1),
        TypeError,
        "open_end: expected a bool, got int",
    ),
    (
        "a text that is too long",
        lambda: coalign.ctc_align(X[:1], TEXT),
        coalign.InfeasibleError,
        "1 frames cannot hold 2 tokens",
    ),
    (
        "too many repeats",
        lambda: coalign.ctc_align(X[:4], np.array([1, 1, 1])),
        coalign.InfeasibleError,
        "4 frames cannot hold 3 tokens of which 2 follow an equal one after a blank",
    ),
    (
        "an impossible text in the middle of a batch",
        lambda: coalign.ctc_align([X, X[:1], X], [TEXT, TEXT, TEXT]),
        coalign.InfeasibleError,
        "problem 1: 1 frames cannot hold 2 tokens",
    ),
    (
        "no probability",
        lambda: coalign.ctc_align(put(X, (slice(None), 2), -np.inf), TEXT),
        coalign.InfeasibleError,
        "every alignment has a frame of probability zero",
    ),
    (
        "no probability of anything",
        lambda: coalign.ctc_align(put(X, (3,), -np.inf), TEXT, open_end=True),
        coalign.InfeasibleError,
        "every alignment has a frame of probability zero",
    ),
    (
        "NaN",
        lambda: coalign.ctc_align([X, put(X, (4, 1), np.nan)], [TEXT, TEXT]),
        ValueError,
        "x[1]: NaN at index (4, 1); expected finite values, or -inf for probability zero",
    ),
    (
        "+inf in a padded batch",
        lambda: coalign.ctc_align(np.stack([X, put(X, (0, 2), np.inf)]), np.stack([TEXT, TEXT])),
        ValueError,
        "x: inf at index (1, 0, 2); expected finite values, or -inf for probability zero",
    ),
    (
        "NaN beside a text that is too long",
        lambda: coalign.ctc_align(put(X[:1], (0, 0), np.nan), TEXT),
        ValueError,
        "x: NaN at index (0, 0); expected finite values, or -inf for probability zero",
    ),
    (
        "NaN that only a wildcard reads",
        lambda: coalign.ctc_align(
            put(X, (5, 2), np.nan), np.array([1, 5]), input="log_probs", wildcard=5
        ),
        ValueError,
        "x: NaN at index (5, 2); expected finite values, or -inf for probability zero",
    ),
    (
        "NaN that only an open end reads",
        lambda: coalign.ctc_align(
            put(X, (5, 2), np.nan), np.array([1]), input="log_probs", open_end=True
        ),
        ValueError,
        "x: NaN at index (5, 2); expected finite values, or -inf for probability zero",
    ),
)
def test_what_is_refused(door: str, call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


def test_columns_of_other_symbols_are_not_read(door: str) -> None:
    clean = np.log(np.full((6, 4), 0.25))
    dirty = put(clean, (slice(None), 3), np.nan)
    found = coalign.ctc_align(dirty, TEXT, input="log_probs")
    assert (
        found.labels.tolist() == coalign.ctc_align(clean, TEXT, input="log_probs").labels.tolist()
    )
    with pytest.raises(ValueError, match="NaN at index"):
        coalign.ctc_align(dirty, TEXT)


def test_a_result_is_shown_copied_and_checked() -> None:
    found = coalign.ctc_align(X, TEXT)
    assert repr(found) == (
        "CTCAlignment(labels=<int64 (6,)>, frame_score=<float64 (6,)>, start=<int64 (2,)>, "
        "stop=<int64 (2,)>, token_score=<float64 (2,)>, confidence=<float64 (2,)>, "
        f"total={float(found.total)!r}, status=OK)"
    )
    again = pickle.loads(pickle.dumps(found))
    assert again.spans.tolist() == found.spans.tolist()
    assert found.check() is found
    wrong = found.__replace__(status=np.int32(coalign.Status.INFEASIBLE))
    with pytest.raises(coalign.InfeasibleError, match="problem 0: no alignment"):
        wrong.check()
