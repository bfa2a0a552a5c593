"""Monotonic alignment against the oracle: every path at tiny sizes, plain loops at larger ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coalign
from coalign import _execution
from oracles import monotonic as oracle
from oracles.compare import assert_same_bits

pytestmark = pytest.mark.usefixtures("isa")


@pytest.fixture(autouse=True)
def _on_isa(isa: str) -> Any:
    with _execution.forced(isa):
        yield


def assert_is_best(found: Any, score: Any) -> None:
    """Total and path are the oracle's to the last bit: both add in float64, frame after frame."""
    total, durations = oracle.align(score)
    assert_same_bits(found.total, np.float64(total))
    assert_same_bits(found.durations, durations)
    assert_same_bits(found.token_of_frame, np.repeat(np.arange(len(durations)), durations))
    assert found.status == coalign.Status.OK


@pytest.mark.parametrize("values", ["normal", "ties", "holes"])
def test_every_path_at_tiny_sizes(values: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(1)
    solved = 0
    for n in range(1, 6):
        for frames in range(n, 9):
            for _ in range(6):
                score = rng.integers(-2, 2, (n, frames)).astype(dtype)
                if values == "normal":
                    score = rng.normal(size=(n, frames)).astype(dtype)
                if values == "holes":
                    score[rng.random(score.shape) < 0.25] = -np.inf
                best, ways = oracle.brute_force(score)
                if not ways:
                    with pytest.raises(coalign.InfeasibleError):
                        coalign.monotonic_alignment(score)
                    continue
                found = coalign.monotonic_alignment(score)
                solved += 1
                # Sums of integers are exact; others may differ by the roundings of other paths.
                assert found.total == best
                assert found.durations.tolist() in ways
                assert_is_best(found, score)
    assert solved > 50


@pytest.mark.parametrize("layout", ["rows", "columns", "gaps"])
@pytest.mark.parametrize("values", ["normal", "ties", "holes", "peaky"])
def test_sizes_around_a_strip_and_a_tile(values: str, layout: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(2)
    for n in (1, 2, 15, 16, 17, 31, 32, 33, 50):
        for more in (0, 1, 14, 15, 16, 17, 31, 32, 33, 64, 100):
            score = rng.normal(size=(n, n + more)).astype(dtype)
            if values == "ties":
                score = rng.integers(-1, 2, score.shape).astype(dtype)
            elif values == "holes":
                score[rng.random(score.shape) < 0.1] = -np.inf
                score[oracle_path(rng, n, n + more)] = 0
            elif values == "peaky":
                score[oracle_path(rng, n, n + more)] += 20
            laid_out = score
            if layout == "columns":
                laid_out = np.asfortranarray(score)
            elif layout == "gaps":
                laid_out = np.repeat(np.repeat(score, 2, axis=0), 2, axis=1)[::2, ::2]
            assert_is_best(coalign.monotonic_alignment(laid_out), score)


def oracle_path(rng: Any, n: int, frames: int) -> tuple[Any, Any]:
    """The cells of a random path."""
    cuts = np.sort(rng.permutation(frames - 1)[: n - 1]) + 1
    return np.repeat(np.arange(n), np.diff([0, *cuts, frames])), np.arange(frames)


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(0, 60)),
    seed=st.integers(0, 2**31),
    is_float32=st.booleans(),
    holes=st.sampled_from([0.0, 0.1, 0.4]),
)
def test_any_problem(shape: tuple[int, int], seed: int, is_float32: bool, holes: float) -> None:
    n, more = shape
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(n, n + more), scale=10)
    score[rng.random(score.shape) < holes] = -np.inf
    score = score.astype(np.float32 if is_float32 else np.float64)
    total, _ = oracle.align(score)
    if total == -np.inf:
        with pytest.raises(coalign.InfeasibleError):
            coalign.monotonic_alignment(score)
    else:
        assert_is_best(coalign.monotonic_alignment(score), score)


def test_of_equal_paths_the_one_that_goes_back_by_staying() -> None:
    for n, frames in ((1, 1), (3, 3), (3, 8), (20, 70)):
        found = coalign.monotonic_alignment(np.zeros((n, frames), np.float32))
        assert found.durations.tolist() == [1] * (n - 1) + [frames - n + 1]
        assert found.total == 0


def test_as_many_tokens_as_frames_leave_the_diagonal(dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    for n in (1, 5, 16, 40):
        score = rng.normal(size=(n, n)).astype(dtype)
        found = coalign.monotonic_alignment(score)
        assert found.durations.tolist() == [1] * n
        assert found.total == oracle.total_of(score, [1] * n)


def test_nothing_is_aligned_with_nothing(door: str) -> None:
    found = coalign.monotonic_alignment(np.empty((0, 0)))
    assert (found.durations.shape, found.token_of_frame.shape) == ((0,), (0,))
    assert found.total == 0
    assert found.status == coalign.Status.OK
    padded = coalign.monotonic_alignment(
        np.full((2, 2, 3), 1.0), text_lengths=[0, 2], frame_lengths=[0, 3]
    )
    assert padded.durations.tolist() == [[0, 0], [1, 2]]
    assert padded.token_of_frame.tolist() == [[-1, -1, -1], [0, 1, 1]]
    assert padded.total.tolist() == [0, 3]


def test_cells_that_no_path_meets_are_not_read(door: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    for n, frames in ((3, 5), (20, 24), (40, 90)):
        score = rng.normal(size=(n, frames)).astype(dtype)
        token, frame = np.indices(score.shape)
        outside = (frame < token) | (frame > token + frames - n)
        for filler in (np.nan, np.inf, -np.inf, 1e30):
            spoilt = np.where(outside, dtype.type(filler), score)
            for laid_out in (spoilt, np.asfortranarray(spoilt)):
                assert_is_best(coalign.monotonic_alignment(laid_out), score)


def test_sums_over_many_frames_keep_their_digits() -> None:
    # In float32 a sum of 60,000 scores near -30 is off by a whole score: 2e6 has a ulp of 0.125.
    rng = np.random.default_rng(5)
    score = (rng.normal(size=(40, 60_000)) - 30).astype(np.float32)
    found = coalign.monotonic_alignment(score)
    exact = float(score[found.token_of_frame, np.arange(60_000)].astype(np.longdouble).sum())
    assert abs(found.total - exact) <= 1e-12 * abs(exact)
    # The same path as in integers, where every sum is exact.
    whole = np.rint(score * 2**10).astype(np.float64)
    best = coalign.monotonic_alignment(whole)
    rounded = coalign.monotonic_alignment((whole / 2**10).astype(np.float32))
    assert_same_bits(rounded.durations, best.durations)
    assert rounded.total * 2**10 == best.total


def test_extreme_scores_are_summed_or_said_to_overflow() -> None:
    most32 = np.finfo(np.float32).max
    for sign in (1, -1):
        found = coalign.monotonic_alignment(np.full((3, 40), sign * most32, np.float32))
        assert found.total == sign * 40 * float(most32)
    for sign in (1, -1):
        with pytest.warns(RuntimeWarning, match=r"\Amonotonic_alignment: 1 of 1 totals overflow"):
            found = coalign.monotonic_alignment(np.full((3, 40), sign * 1e308))
        assert found.status == coalign.Status.PRECISION_LIMIT
        assert found.durations.sum() == 40
        assert (found.durations >= 1).all()
        with pytest.raises(OverflowError, match=r"\Aproblem 0: the sum of the scores overflows"):
            found.check()


def test_denormal_scores_decide() -> None:
    tiny = np.finfo(np.float32).smallest_subnormal
    score = np.zeros((2, 5), np.float32)
    score[0, 1] = tiny
    assert coalign.monotonic_alignment(score).durations.tolist() == [2, 3]
    assert coalign.monotonic_alignment(score).total == float(tiny)


def test_path_and_spans_say_what_durations_say(door: str) -> None:
    rng = np.random.default_rng(6)
    ragged = [rng.normal(size=shape) for shape in ((2, 5), (4, 4), (3, 9))]
    padded = np.full((3, 4, 9), np.nan)
    for row, item in zip(padded, ragged, strict=True):
        row[: item.shape[0], : item.shape[1]] = item
    alone = [coalign.monotonic_alignment(item) for item in ragged]
    listed = coalign.monotonic_alignment(ragged)
    together = coalign.monotonic_alignment(padded, text_lengths=[2, 4, 3], frame_lengths=[5, 4, 9])
    for p, one in enumerate(alone):
        n, frames = ragged[p].shape
        path = one.path()
        assert (path.dtype, path.shape) == (bool, (n, frames))
        assert path.sum(axis=1).tolist() == one.durations.tolist()
        assert path.argmax(axis=0).tolist() == one.token_of_frame.tolist()
        assert_same_bits(listed.path()[p], path)
        assert_same_bits(together.path()[p, :n, :frames], path)
        assert together.path()[p].sum() == frames
        spans = one.spans
        assert (spans.dtype, spans.shape) == (np.int64, (n, 3))
        for token, start, stop in spans.tolist():
            assert set(one.token_of_frame[start:stop].tolist()) == {token}
        assert (spans[:, 2] - spans[:, 1]).tolist() == one.durations.tolist()
        for batch in (listed, together):
            assert_same_bits(batch.spans[p], spans)


def test_a_long_text_over_several_threads() -> None:
    rng = np.random.default_rng(7)
    score = rng.normal(size=(3, 120, 700)).astype(np.float32)
    with _execution.forced(work_per_thread=0):
        for threads in (1, 2, 3):
            found = coalign.monotonic_alignment(score, threads=threads)
            for p in range(3):
                total, durations = oracle.align(score[p])
                assert found.total[p] == total
                assert_same_bits(found.durations[p], durations)
