"""Searches for the nearest series: against all costs in order, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import InfeasibleError, Neighbors, Status, _execution, dtw_cdist, dtw_nearest
from oracles.compare import assert_same_bits
from workers import run_on_threads

RNG = np.random.default_rng(0)
WALKS = RNG.normal(size=(60, 40)).cumsum(1)
MANY = 400
METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")


def assert_nearest(found: Neighbors, queries: Any, database: Any, k: int, **options: Any) -> None:
    """The result is what sorting all costs gives, and every series is counted once."""
    costs = dtw_cdist(queries, database, **options)
    order = np.argsort(costs, axis=1, kind="stable")[:, :k]
    wanted = np.take_along_axis(costs, order, 1)
    assert_same_bits(found.cost, wanted)
    assert_same_bits(found.index, np.where(np.isfinite(wanted), order, -1))
    assert_same_bits(
        found.status,
        np.where(np.isfinite(wanted).all(1), Status.OK, Status.INFEASIBLE).astype(np.int32),
    )
    assert (found.counts >= 0).all()
    assert (found.counts.sum(1) == len(database)).all()


def collections(rng: Any, dtype: Any) -> Iterator[tuple[Any, Any]]:
    """Random pairs of collections, alike or ragged, with ties, constants and duplicates."""
    dim = int(rng.choice([1, 1, 1, 2, 3, 17]))
    n, m = rng.integers(1, 60, 2)
    counts = int(rng.integers(1, 12)), int(rng.integers(1, 60))
    kind = rng.integers(6)
    lengths = [rng.integers(1, 60, count) for count in counts]
    if rng.random() < 0.6:
        lengths = [np.full(counts[0], n), np.full(counts[1], n if rng.random() < 0.7 else m)]

    def series(length: int) -> Any:
        shape = (int(length), dim) if dim > 1 else (int(length),)
        if kind == 0:
            made = rng.integers(-1, 2, shape)
        elif kind == 1:
            made = np.full(shape, rng.integers(3))
        elif kind == 2:
            made = rng.normal(size=shape).cumsum(0)
        elif kind == 3:
            made = rng.normal(size=shape) * 10.0 ** rng.integers(-25, 18)
        elif kind == 4:
            wave = np.sin(np.arange(length) / 5 + rng.integers(4)) + 0.1 * rng.normal(size=length)
            made = np.repeat(wave, dim).reshape(shape)
        else:
            made = rng.normal(size=shape)
        return np.asarray(made, dtype)

    queries, database = ([series(length) for length in side] for side in lengths)
    if rng.random() < 0.3:
        database = [database[p] for p in rng.integers(0, len(database), len(database))]
    yield queries, database


@pytest.mark.parametrize("metric", METRICS)
def test_a_search_finds_what_sorting_all_costs_does(metric: str, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(METRICS.index(metric))
    for _ in range(MANY):
        for queries, database in collections(rng, dtype):
            window = rng.choice(np.array([None, 0, 1, 2, 5, 9, 30, "slanted", "itakura"], object))
            if isinstance(window, str):
                window = coalign.slanted(3) if window == "slanted" else coalign.itakura(2)
            options = {"metric": metric, "window": window}
            k = int(rng.integers(1, len(database) + 1)) if rng.random() < 0.5 else 1
            with _execution.forced(isa) as runs:
                found = dtw_nearest(queries, database, k=k, **options)
                assert_nearest(found, queries, database, k, **options)
            assert {run.isa for run in runs} == {isa}


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 16, 33, 64, 100, 257])
@pytest.mark.parametrize("window", [0, 1, 3, 8, 25])
def test_lanes_that_take_one_candidate_after_the_other(
    length: int, window: int, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(length)
    for more in (0, 1, 3, 11):
        walks = rng.normal(size=(90, length)).cumsum(1).astype(dtype)
        noisy = (walks[rng.integers(0, 5, 90)] + rng.normal(size=(90, length))).astype(dtype)
        for database in (walks, noisy):
            queries = noisy[:4, : max(1, length - more)]
            with _execution.forced(isa):
                for k in (1, 3):
                    found = dtw_nearest(queries, database, k=k, window=window)
                    assert_nearest(found, queries, database, k, window=window)


def test_bounds_and_limits_leave_most_of_a_database() -> None:
    walks = RNG.normal(size=(1000, 64)).cumsum(1)
    found = dtw_nearest(walks[:20] + 0.1 * RNG.normal(size=(20, 64)), walks, window=6)
    assert_same_bits(found.index[:, 0], np.arange(20))
    of_stage = dict(zip(Neighbors.STAGES, found.counts.sum(0).tolist(), strict=True))
    assert of_stage["envelope"] > 0.9 * 20 * 1000
    assert of_stage["warped"] < 0.02 * 20 * 1000
    noisy = np.tile(np.sin(np.arange(64) / 5), (1000, 1)) + RNG.normal(size=(1000, 64))
    found = dtw_nearest(noisy[:20] + 0.1 * RNG.normal(size=(20, 64)), noisy, window=6)
    of_stage = dict(zip(Neighbors.STAGES, found.counts.sum(0).tolist(), strict=True))
    assert of_stage["reversed"] > 0
    assert of_stage["improved"] > 0
    assert of_stage["abandoned"] > 0

    walks = RNG.normal(size=(1000, 64)).cumsum(1)
    left = dtw_nearest(walks[:5], walks, k=2).counts[:, Neighbors.STAGES.index("envelope")]
    assert (left > 200).all()


def test_where_bounds_leave_nothing_all_series_are_warped() -> None:
    noise = RNG.normal(size=(500, 8, 8))
    found = dtw_nearest(noise[:20], noise[20:], k=3)
    assert_nearest(found, noise[:20], noise[20:], 3)
    assert (found.counts == [0, 0, 0, 0, 0, 480]).all()


@pytest.mark.parametrize("kind", ["walks", "noise", "digits", "ragged", "constant"])
@pytest.mark.parametrize("window", [None, 9, coalign.slanted(5)])
def test_databases_that_are_large_enough_for_a_trial(
    window: Any, kind: str, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(3)
    made = {
        "walks": lambda: rng.normal(size=(300, 30)).cumsum(1),
        "noise": lambda: rng.normal(size=(300, 12, 3)),
        "digits": lambda: rng.integers(0, 3, (300, 16)),
        "ragged": lambda: [rng.normal(size=n).cumsum() for n in rng.integers(1, 40, 300)],
        "constant": lambda: np.full((300, 20), 2),
    }[kind]()
    database = [np.asarray(series, dtype) for series in made]
    queries = [*database[::60], database[7][::-1].copy()]
    with _execution.forced(isa):
        for k in (1, 4, 40):
            found = dtw_nearest(queries, database, k=k, window=window)
            assert_nearest(found, queries, database, k, window=window)


def test_of_equally_near_series_the_first_comes_first() -> None:
    database = np.tile(WALKS[:3], (20, 1))
    found = dtw_nearest(WALKS[:3], database, k=20, window=4)
    assert_same_bits(found.index, np.arange(60).reshape(20, 3).T.copy())
    assert not found.cost.any()
    constant = dtw_nearest(np.zeros((2, 9)), np.ones((30, 9)), k=30)
    assert_same_bits(constant.index, np.tile(np.arange(30), (2, 1)))


def test_equally_near_series_of_all_lengths_keep_their_order() -> None:
    # The longest are warped first.
    found = dtw_nearest([np.zeros(330)], [np.zeros(n) for n in range(300, 364)], k=3)
    assert found.index.tolist() == [[0, 1, 2]]


def test_windows_given_by_rows() -> None:
    rows = np.stack([np.zeros(40, int), np.full(40, 40)], 1)
    rows[:, 0], rows[:, 1] = np.maximum(0, np.arange(40) - 3), np.minimum(40, np.arange(40) + 5)
    found = dtw_nearest(WALKS[:5], WALKS, k=4, window=rows)
    assert_nearest(found, WALKS[:5], WALKS, 4, window=rows)


@pytest.mark.parametrize("window", [None, 4, coalign.slanted(4)])
def test_threads_do_not_change_a_search(window: Any, isa: str, dtype: np.dtype) -> None:
    walks = np.tile(WALKS, (5, 1)).astype(dtype)
    queries = RNG.normal(size=(41, 40)).cumsum(1).astype(dtype)

    def call(threads: int) -> Neighbors:
        return dtw_nearest(queries, walks, k=2, window=window, threads=threads)

    one = run_on_threads(call, 1, isa)
    for threads in (2, 3):
        many = run_on_threads(call, threads, isa)
        for field in ("index", "cost", "status", "counts"):
            assert_same_bits(getattr(many, field), getattr(one, field))


@pytest.mark.parametrize("kind", ["walks", "noise", "ties"])
@pytest.mark.parametrize("window", [None, 4, coalign.slanted(4)])
def test_threads_share_a_query(window: Any, kind: str, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    database = {
        "walks": lambda: rng.normal(size=(500, 40)).cumsum(1),
        "noise": lambda: rng.normal(size=(500, 8)),
        "ties": lambda: rng.integers(0, 2, (500, 9)),
    }[kind]().astype(dtype)
    for count in (1, 2):
        queries = database[:count] + dtype.type(kind == "noise")

        def call(threads: int, queries: Any = queries) -> Neighbors:
            return dtw_nearest(queries, database, k=3, window=window, threads=threads)

        found = run_on_threads(call, 3, isa)
        with _execution.forced(isa):
            assert_nearest(found, queries, database, 3, window=window)


def test_queries_together_have_the_neighbours_that_each_has_alone() -> None:
    together = dtw_nearest(WALKS[:20], WALKS[20:], k=3, window=4)
    for q in range(20):
        alone = dtw_nearest(WALKS[q : q + 1], WALKS[20:], k=3, window=4)
        for field in ("index", "cost", "status", "counts"):
            assert_same_bits(getattr(alone, field)[0], getattr(together, field)[q])


def test_collections_come_in_any_form() -> None:
    wanted = dtw_nearest(WALKS[:4], WALKS[4:], k=2)
    assert wanted.cost.dtype == np.float64
    for form in (list, np.ndarray.tolist, np.asfortranarray, lambda a: a[:, ::-1][:, ::-1]):
        found = dtw_nearest(form(WALKS[:4]), form(WALKS[4:]), k=2)
        assert_same_bits(found.index, wanted.index)
        assert_same_bits(found.cost, wanted.cost)
    deep = dtw_nearest(WALKS[:4, :, np.newaxis], WALKS[4:, :, np.newaxis], k=2)
    assert_same_bits(deep.cost, wanted.cost)
    mixed = dtw_nearest(WALKS[:4].astype(np.float32), WALKS[4:], k=2)
    assert mixed.cost.dtype == np.float64


def test_padding_is_not_read() -> None:
    ragged = [RNG.normal(size=(n, 2)) for n in RNG.integers(1, 30, 12)]
    padded = np.full((12, 30, 2), np.nan)
    for row, series in zip(padded, ragged, strict=True):
        row[: len(series)] = series
    lengths = np.array([len(series) for series in ragged])
    found = dtw_nearest(
        padded[:3], padded[3:], query_lengths=lengths[:3], database_lengths=lengths[3:], k=2
    )
    wanted = dtw_nearest(ragged[:3], ragged[3:], k=2)
    assert_same_bits(found.index, wanted.index)
    assert_same_bits(found.cost, wanted.cost)


def test_fewer_finite_costs_than_asked_for_are_told() -> None:
    # No path of slopes up to 1.5 leads from 4 frames to 9.
    database = [np.zeros(9), np.zeros(4), np.ones(4)]
    found = dtw_nearest([np.zeros(4), np.zeros(9)], database, k=2, window=coalign.itakura(1.5))
    assert found.index.tolist() == [[1, 2], [0, -1]]
    assert found.cost.tolist() == [[0, 4], [0, np.inf]]
    assert found.status.tolist() == [Status.OK, Status.INFEASIBLE]
    with pytest.raises(InfeasibleError, match="problem 1: fewer than k series have a finite cost"):
        found.check()
    # A cost that overflows is infinite.
    huge = dtw_nearest(np.full((1, 3), 3e38, np.float32), -np.full((2, 3), 3e38, np.float32))
    assert huge.index.tolist() == [[-1]]
    assert np.isinf(huge.cost).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_costs_near_the_largest_number(dtype: str) -> None:
    # Sums that a bound takes in another order may overflow where the cost does not.
    rng = np.random.default_rng(1)
    most = np.sqrt(np.finfo(dtype).max / 24)
    for _ in range(50):
        spread = 4 * np.finfo(dtype).eps * rng.normal(size=(40, 24))
        database = (most * (1 + spread)).astype(dtype)
        queries = np.zeros((3, 24), dtype)
        with np.errstate(over="ignore"):
            found = dtw_nearest(queries, database, k=5, window=2)
            assert_nearest(found, queries, database, 5, window=2)


def test_progress_counts_pairs() -> None:
    calls: list[tuple[int, int]] = []
    dtw_nearest(WALKS[:20], WALKS, progress=lambda *call: calls.append(call))
    assert calls[-1] == (20 * 60, 20 * 60)
    assert calls == sorted(calls)


def test_nobody_asks() -> None:
    found = dtw_nearest([], WALKS, k=3)
    assert found.index.shape == found.cost.shape == (0, 3)
    assert found.status.shape == (0,)
    assert found.counts.shape == (0, 6)
    assert dtw_nearest([], [], k=3).index.shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"k": 0}, ValueError, "k: expected a number from 1"),
        ({"k": 61}, ValueError, "k: expected at most the 60 series of database, got 61"),
        ({"k": 1.5}, TypeError, "k: expected an integer, got float"),
        ({"database": []}, ValueError, "database: expected at least one series, got none"),
        ({"queries": np.zeros(4)}, ValueError, "queries: expected "),
        ({"queries": [[0.0, np.nan]]}, ValueError, "queries: NaN at index (0, 1); expected finite"),
        ({"database": [[0.0, np.inf]]}, ValueError, "database: inf at index (0, 1); expected"),
        ({"database": np.zeros((3, 4, 2))}, ValueError, "queries and database: expected frames"),
        ({"metric": "precomputed"}, ValueError, "metric: expected a metric between frames"),
        ({"metric": "chebyshev"}, ValueError, "metric: expected one of"),
        ({"window": -1}, ValueError, "window: expected a radius of at least 0, got -1"),
        ({"window": np.zeros((3, 2), int)}, ValueError, "window: expected"),
        ({"query_lengths": 60 * [41]}, ValueError, "query_lengths: expected"),
        ({"database_lengths": 59 * [3]}, ValueError, "database_lengths: expected"),
        ({"threads": 0}, ValueError, "threads: expected"),
        ({"progress": 3}, TypeError, "progress: expected a bool or f(done, total), got 3"),
    ],
)
def test_what_is_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        dtw_nearest(**{"queries": WALKS, "database": WALKS, **change})
