"""Progress of long calls: a bar, or the caller's own function."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import coalign
from coalign import dtw_cdist
from coalign._progress import reporter
from oracles.compare import assert_same_bits

Array = npt.NDArray[Any]

rng = np.random.default_rng(24)
SMALL = rng.normal(size=(7, 12))
LONG = rng.normal(size=(200, 500)).astype(np.float32)  # all pairs take some tenths of a second


class Calls:
    """A progress function that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.threads: set[int] = set()
        self.start = time.thread_time()

    def __call__(self, done: int, total: int) -> None:
        self.told.append((done, total))
        self.threads.add(threading.get_ident())
        # Of this thread alone: other work does not count.
        self.seconds = time.thread_time() - self.start


def check_often(calls: Calls) -> None:
    """Reports came while the call ran, every few tens of milliseconds that its thread worked."""
    between = [done for done, total in calls.told if 0 < done < total]
    assert len(between) >= max(1, min(3, int(calls.seconds / 0.05)))


def check(calls: Calls, total: int) -> None:
    """The counts rise to the total, of whole pairs, and come from this thread."""
    done = [count for count, _ in calls.told]
    assert {of for _, of in calls.told} == {total}
    assert all(type(count) is int for count in done)
    assert done == sorted(done)
    assert done[0] >= 0
    assert done[-1] == total
    assert done.count(total) <= 2  # once by the work that ends, once by the call that returns
    assert calls.threads == {threading.get_ident()}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_function_hears_of_a_long_call_while_it_runs(threads: int) -> None:
    calls = Calls()
    costs = dtw_cdist(LONG, LONG, threads=threads, progress=calls)
    check(calls, 200 * 200)
    check_often(calls)
    assert_same_bits(costs, dtw_cdist(LONG, LONG, threads=1))


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, 28),
        ({"Y": SMALL[:3]}, 21),
        ({"Y": SMALL}, 49),
        ({"window": 2}, 28),
        ({"window": np.tile([0, 12], (12, 1))}, 49),
        ({"x_lengths": [12, 1, 5, 5, 9, 2, 12]}, 28),
        ({"out": np.empty((7, 7))}, 28),
        ({"max_cost": 1e-9}, 28),
    ],
    ids=["one", "two", "itself", "band", "bounds", "lengths", "out", "max_cost"],
)
def test_the_total_counts_the_pairs_that_are_computed(options: dict[str, Any], total: int) -> None:
    calls = Calls()
    dtw_cdist(SMALL, progress=calls, **options)
    check(calls, total)


def test_the_halves_of_a_symmetric_call_are_counted_once() -> None:
    calls = Calls()
    dtw_cdist([*LONG], progress=calls, threads=2)
    check(calls, 200 * 201 // 2)
    check_often(calls)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("solve", ["sinkhorn", "sinkhorn_points"])
def test_one_problem_of_transport_counts_its_iterations(solve: str, threads: int) -> None:
    options: dict[str, Any] = {"epsilon": 0.1, "tol": 0.0, "max_iterations": 400}
    if solve == "sinkhorn":
        given = [np.random.default_rng(0).random((1200, 1200))]
    else:
        given = list(np.random.default_rng(0).random((2, 1000, 3)))
    calls = Calls()
    found = getattr(coalign, solve)(*given, **options, threads=threads, progress=calls)
    check(calls, 400)
    check_often(calls)
    assert_same_bits(found.f, getattr(coalign, solve)(*given, **options).f)


def test_iterations_that_are_not_needed_count_as_done_at_the_end() -> None:
    calls = Calls()
    found = coalign.sinkhorn(SMALL, epsilon=1.0, max_iterations=70, progress=calls)
    assert found.iterations < 70
    check(calls, 70)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [4, 40])
def test_a_batch_of_transport_counts_its_problems(size: int, threads: int) -> None:
    costs = np.random.default_rng(0).random((12_800_000 // size**3, size, size))
    options: dict[str, Any] = {"epsilon": 0.1, "tol": 0.0, "max_iterations": 100 * size}
    calls = Calls()
    found = coalign.sinkhorn(costs, **options, threads=threads, progress=calls)
    check(calls, len(costs))
    check_often(calls)
    assert_same_bits(found.f, coalign.sinkhorn(costs, **options).f)
    clouds = costs[:50, :, :3]
    calls = Calls()
    coalign.sinkhorn_points(clouds, [*clouds], epsilon=0.1, threads=threads, progress=calls)
    check(calls, len(clouds))


def test_an_exception_in_the_last_report_comes_out_too() -> None:
    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyError("last")

    with pytest.raises(KeyError, match="last"):
        dtw_cdist(SMALL, progress=stop)


def test_the_bar_is_moved_as_the_function_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm_auto = pytest.importorskip("tqdm.auto")
    bars: list[Bar] = []

    class Bar:
        """What is asked of tqdm."""

        def __init__(self, *, total: int, desc: str) -> None:
            self.total, self.desc, self.n, self.moves, self.is_open = total, desc, 0, [], False
            bars.append(self)

        def __enter__(self) -> Bar:
            self.is_open = True
            return self

        def __exit__(self, *error: object) -> None:
            self.is_open = False

        def update(self, count: int) -> None:
            assert self.is_open
            assert count >= 0
            self.n += count
            self.moves.append(count)

    monkeypatch.setattr(tqdm_auto, "tqdm", Bar)
    dtw_cdist(LONG, threads=2, progress=True)
    spoilt = SMALL.copy()
    spoilt[0, 0] = np.inf
    with pytest.raises(ValueError, match="X: inf"):
        dtw_cdist(spoilt, progress=True)
    done, failed = bars
    assert (done.desc, done.total, done.n) == ("dtw_cdist", 200 * 201 // 2, 200 * 201 // 2)
    assert len(done.moves) >= 2
    assert not done.is_open
    assert (failed.n, failed.is_open) == (0, False)


def test_a_bar_without_tqdm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError) as caught:
        dtw_cdist(SMALL, progress=True)
    assert str(caught.value) == 'progress=True needs tqdm: pip install "coalign[progress]"'
    calls = Calls()
    dtw_cdist(SMALL, progress=calls)
    check(calls, 28)


def test_nothing_to_compute_is_nothing_to_report() -> None:
    calls = Calls()
    for X, Y in ((SMALL[:0], None), (SMALL, SMALL[:0]), (SMALL[:0], SMALL)):
        assert dtw_cdist(X, Y, progress=calls).size == 0
    with reporter(calls, 0, "work") as report:
        assert report is None
    assert calls.told == []
