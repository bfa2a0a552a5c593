"""Matches of a query inside a long series: against every stretch of it, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import coalign
from coalign import InfeasibleError, Status, _core, _execution, dtw, dtw_subsequence
from oracles.compare import assert_same_bits
from oracles.warping import accumulate, local_costs
from refusals import assert_refused, put

METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")
WALK = np.random.default_rng(5).normal(size=3000).cumsum()


def candidates(query: Any, series: Any, metric: str) -> list[tuple[float, int, set[int]]]:
    """For each end, the least cost of a stretch and the starts that have it: every one is tried."""
    costs = local_costs(query, series, metric)
    found = []
    for end in range(len(series)):
        of_start = [accumulate(costs[:, a : end + 1])[-1, -1] for a in range(end + 1)]
        least = min(of_start)
        starts = {a for a, cost in enumerate(of_start) if cost <= least * (1 + 1e-12)}
        found.append((least, end, starts))
    return found


def greedy(cost: Any, start: Any, k: int) -> list[tuple[int, int]]:
    """Take candidates by cost, then by end, and leave out what overlaps."""
    taken: list[tuple[int, int]] = []
    for end in sorted(range(len(cost)), key=lambda j: (cost[j], j)):
        a, b = int(start[end]), end + 1
        if all(b <= c or d <= a for c, d in taken):
            taken.append((a, b))
    return taken[:k]


def candidate_of_each_end(query: Any, series: Any, metric: str) -> tuple[Any, Any]:
    """The start and the cost of the candidate at each end: the only one that no other precedes."""
    starts, costs = [], []
    for stop in range(1, len(series) + 1):
        # The best of all that end here costs no more than any that is found with another end.
        found = dtw(query, series[:stop], metric=metric, step=OPEN, open_begin=True, path=True)
        starts.append(int(found.y_index[0]))
        costs.append(float(found.cost))
    return np.array(starts), np.array(costs)


# The steps of symmetric1, by the engine of step patterns.
OPEN = coalign.StepPattern([[(1, 1, 1.0)], [(1, 0, 1.0)], [(0, 1, 1.0)]])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 2, 17])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matches_are_the_best_of_all_stretches(metric: str, dim: int, dtype: str) -> None:
    rng = np.random.default_rng(dim)
    for n, m in ((1, 1), (1, 9), (9, 1), (3, 12), (5, 17), (20, 7), (37, 11)):
        # Integers make ties.
        query = rng.integers(0, 3, (n, dim)).astype(dtype)
        series = rng.integers(0, 3, (m, dim)).astype(dtype)
        every = candidates(query, series, metric)
        for k in (1, 2, 5):
            found = dtw_subsequence(query, series, k, metric=metric)
            count = int(found.count)
            assert found.cost.shape == found.start.shape == found.stop.shape == (count,)
            assert found.status == (Status.OK if count == k else Status.INFEASIBLE)
            stretches = list(zip(found.start.tolist(), found.stop.tolist(), strict=True))
            for (start, stop), cost in zip(stretches, found.cost, strict=True):
                assert cost == pytest.approx(every[stop - 1][0], rel=1e-5, abs=1e-5)
                if metric in ("sqeuclidean", "cityblock"):
                    assert start in every[stop - 1][2]
                assert_same_bits(cost, dtw(query, series[start:stop], metric=metric).cost)
            assert found.cost[0] == pytest.approx(min(each[0] for each in every), 1e-5, 1e-5)


def test_the_cheapest_comes_first_and_none_overlaps() -> None:
    rng = np.random.default_rng(0)
    for trial in range(60):
        n, m = rng.integers(1, 7), rng.integers(1, 60)
        query, series = rng.integers(0, 4, n) * 1.0, rng.integers(0, 4, m) * 1.0
        start, cost = candidate_of_each_end(query, series, "sqeuclidean")
        k = int(rng.integers(1, 20)) if trial else 1
        found = dtw_subsequence(query, series, k)
        wanted = greedy(cost, start, k)
        assert list(zip(found.start.tolist(), found.stop.tolist(), strict=True)) == wanted
        assert found.cost.tolist() == [cost[stop - 1] for _, stop in wanted]


def test_many_matches_of_a_long_series() -> None:
    # Longer than a stretch of columns, and than a block of ends.
    series = np.resize([0.0, 5.0, 1.0, 7.0, 7.0], 9000)
    found = dtw_subsequence([5.0, 1.0, 7.0], series, 1800)
    assert found.start.tolist() == list(range(1, 9000, 5))
    assert found.stop.tolist() == list(range(4, 9000, 5))
    assert not found.cost.any()
    fewer = dtw_subsequence([5.0, 1.0, 7.0], series, 10**9, max_cost=0.0)
    assert fewer.count == 1800
    assert fewer.status == Status.INFEASIBLE


@pytest.mark.parametrize("isa", _execution.available())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dim", [1, 3, 20])
def test_every_instruction_set_finds_what_it_is_planted(isa: str, dtype: str, dim: int) -> None:
    rng = np.random.default_rng(1)
    series = (4 * rng.normal(size=(5000, dim))).astype(dtype)
    # Of more and of fewer rows than one vector, or than those in flight together.
    for n in (1, 3, 16, 17, 70, 300):
        query = series[2222 : 2222 + n].repeat(2, axis=0)
        with _execution.forced(isa=isa):
            found = dtw_subsequence(query, series, path=True)
        assert (found.start.tolist(), found.stop.tolist()) == ([2222], [2222 + n])
        assert found.cost.tolist() == [0.0]
        assert found.query_index[0].tolist() == list(range(2 * n))
        assert found.series_index[0].tolist() == np.arange(2222, 2222 + n).repeat(2).tolist()


@pytest.mark.parametrize("metric", METRICS)
def test_a_path_begins_and_ends_with_its_match(metric: str) -> None:
    series = np.stack([WALK, WALK[::-1]], axis=1)
    query = series[100:180:2] + 0.1
    found = dtw_subsequence(query, series, 4, metric=metric, path=True)
    costs = local_costs(query, series, metric)
    assert len(found.query_index) == len(found.series_index) == found.count == 4
    for k in range(4):
        i, j = found.query_index[k], found.series_index[k]
        assert (i[0], i[-1], j[0], j[-1]) == (0, len(query) - 1, found.start[k], found.stop[k] - 1)
        assert costs[i, j].sum() == pytest.approx(found.cost[k], rel=1e-10, abs=1e-12)


def test_one_query_goes_with_each_series_of_a_batch() -> None:
    batch = [WALK[:700], WALK[500:650], WALK[:20]]
    query = WALK[510:560]
    found = dtw_subsequence(query, batch, 3, path=True)
    for p, series in enumerate(batch):
        one = dtw_subsequence(query, series, 3, path=True)
        count = int(one.count)
        for name in ("start", "stop", "cost"):
            assert_same_bits(getattr(found, name)[p, :count], getattr(one, name))
        assert (found.start[p, count:] == found.stop[p, count:]).all()
        assert np.isinf(found.cost[p, count:]).all()
        assert (found.count[p], found.status[p]) == (one.count, one.status)
        for ours, theirs in zip(found.series_index[p], one.series_index, strict=True):
            assert_same_bits(ours, theirs)
    many = dtw_subsequence([WALK[:5], WALK[90:100]], WALK, k=2)
    assert_same_bits(many.start[1], dtw_subsequence(WALK[90:100], WALK, k=2).start)


def test_padding_is_not_read() -> None:
    padded = np.full((2, 50, 1), np.nan)
    padded[0, :30, 0], padded[1, :, 0] = WALK[:30], WALK[200:250]
    found = dtw_subsequence(WALK[10:15], padded, 2, series_lengths=[30, 50])
    wanted = dtw_subsequence(WALK[10:15], [WALK[:30], WALK[200:250]], 2)
    for name in ("start", "stop", "cost", "count", "status"):
        assert_same_bits(getattr(found, name), getattr(wanted, name))


def test_dearer_matches_are_left_out() -> None:
    every = dtw_subsequence(WALK[:9], WALK, 20)
    limit = float(every.cost[7])
    found = dtw_subsequence(WALK[:9], WALK, 20, max_cost=limit)
    assert found.count == int((every.cost <= limit).sum())
    assert found.status == Status.INFEASIBLE
    with pytest.raises(InfeasibleError, match="problem 0: fewer than k matches"):
        found.check()
    assert dtw_subsequence(WALK[:9], WALK, max_cost=-1.0).start.shape == (0,)


def test_a_cost_that_overflows_is_told() -> None:
    with pytest.warns(RuntimeWarning, match="costs of 1 of 1 problems overflow float64"):
        found = dtw_subsequence([1e200, 0.0], [0.0, 0.0])
    assert (found.status, found.count) == (Status.PRECISION_LIMIT, 0)
    # What is wanted may lie beside it.
    fine = dtw_subsequence([0.0], [1e200, 0.0])
    assert (fine.status, fine.start.tolist()) == (Status.OK, [1])


def test_nothing_in_a_batch_is_nothing() -> None:
    found = dtw_subsequence([], WALK)
    assert found.start.shape == found.cost.shape == (0, 1)
    assert found.count.shape == found.status.shape == (0,)


def test_what_is_wrong_is_named() -> None:
    with assert_refused(ValueError, "k: expected a number from 1 to 2147418112, got 0"):
        dtw_subsequence([1.0], [1.0], 0)
    with assert_refused(TypeError, "k: expected an integer, got float"):
        dtw_subsequence([1.0], [1.0], 1.5)  # type: ignore[arg-type]
    with assert_refused(TypeError, "path: expected a bool, got int"):
        dtw_subsequence([1.0], [1.0], path=1)  # type: ignore[arg-type]
    with assert_refused(ValueError, "series: NaN at index (3,); expected finite values"):
        dtw_subsequence([1.0], put(WALK[:9], (3,), np.nan))
    with assert_refused(
        ValueError, "query and series: expected frames of one dimension, got 1 and 2"
    ):
        dtw_subsequence([1.0], np.zeros((4, 2)))
    with assert_refused(
        ValueError, "metric: expected a metric between frames; use dtw for precomputed costs"
    ):
        dtw_subsequence([1.0], [1.0], metric="precomputed")
    with pytest.raises(TypeError, match="metric: expected a name, got a function; "):
        dtw_subsequence([1.0], [1.0], metric=abs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected prepared arguments"):
        _core.dtw_subsequence(WALK, WALK, 0, "sqeuclidean", None, None, None, 1)
