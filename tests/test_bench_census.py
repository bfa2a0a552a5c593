"""bench/families.py, cases_census.py, census.py: the costs, the list, and how a case is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import cases_census
import census
import families
import report
from contest import Contender, Counted

optimum = pytest.importorskip("scipy.optimize").linear_sum_assignment
SHAPES = [(1, 1), (5, 5), (7, 14), (14, 7)]


# --- families ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_family_is_of_any_shape_and_the_same_for_a_seed(
    family: str, shape: tuple[int, int]
) -> None:
    made = families.problems(family, 3, 2, *shape)
    assert made.shape == (2, *shape)
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made, families.problems(family, 3, 2, *shape))
    optimum(made[0])
    if shape != (1, 1) and family not in ("constant", "Machol–Wien", "8 zeros a row"):
        assert (made[0] != made[1]).any()
        assert (made != families.problems(family, 4, 2, *shape)).any()


@pytest.mark.parametrize(("family", "count"), [(f"{k} zeros a row", k) for k in (2, 8)])
def test_rows_have_so_many_zeros(family: str, count: int) -> None:
    for rows, columns in ((9, 5), (40, 20), (30, 100)):
        cost = families.problems(family, 0, 1, rows, columns)[0]
        assert set((cost == 0).sum(axis=1)) == {min(count, columns)}
        assert set(np.unique(cost)) <= {0.0, 1.0}


def test_each_row_of_ranks_is_a_permutation() -> None:
    cost = families.problems("permuted ranks", 0, 1, 6, 9)[0]
    np.testing.assert_array_equal(np.sort(cost, axis=1), np.tile(np.arange(9.0), (6, 1)))
    assert len(np.unique(cost, axis=0)) == 6


def intersection_over_union(a: Any, b: Any) -> tuple[float, float]:
    """Give IoU and GIoU of two boxes, term by term."""

    def length(low: float, high: float) -> float:
        return max(high - low, 0.0)

    areas = [length(box[0], box[2]) * length(box[1], box[3]) for box in (a, b)]
    common = length(max(a[0], b[0]), min(a[2], b[2])) * length(max(a[1], b[1]), min(a[3], b[3]))
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    union = sum(areas) - common
    return common / union, common / union - (hull - union) / hull


def test_boxes_overlap_as_the_formula_says() -> None:
    a, b = (families.boxes(np.random.default_rng(k), 12, 0.1, 0.9) for k in (0, 1))
    wanted = np.array([[intersection_over_union(p, q) for q in b] for p in a])
    assert 0 < (wanted[..., 0] == 0).sum() < 144
    iou, union = families.overlap(a, b)
    np.testing.assert_allclose(iou, wanted[..., 0], atol=1e-15)
    giou = families.generalised(a, b, iou, union)
    np.testing.assert_allclose(giou, wanted[..., 1], atol=1e-14)


def test_boxes_overlap_much_or_little() -> None:
    dense, sparse = (
        families.problems(f"1 − IoU, {k}", 0, 1, 200, 200)[0] for k in ("dense", "sparse")
    )
    assert (dense < 1).mean() > 0.8
    assert 1 < (sparse < 1).sum(axis=1).mean() < 4


@pytest.mark.parametrize("shape", [(60, 60), (30, 60), (60, 30)], ids=str)
def test_gates_are_closed_beyond_the_nearest(shape: tuple[int, int]) -> None:
    finite = {
        never: families.problems(f"gated at {never}", 2, 1, *shape)[0] for never in ("1e5", "1e9")
    }
    for never, cost in finite.items():
        assert set(np.unique(cost[cost > 2])) == {float(never)}
        assert 4 < (cost < 2).sum(axis=int(shape[0] <= shape[1])).mean() < 20
    closed = families.problems("gated at inf", 2, 1, *shape)[0]
    assert np.isinf(closed).mean() > 0.5
    rows, columns = optimum(closed)
    assert np.isfinite(closed[rows, columns]).all()


def test_one_in_a_hundred_is_a_sentinel() -> None:
    cost = families.problems("integers, 1 % 2³¹−1", 0, 1, 200, 200)[0]
    assert 0.005 < (cost == 2**31 - 1).mean() < 0.02
    assert cost[cost < 2**31 - 1].max() == 99


def test_rows_are_repeated_and_points_are_duplicates() -> None:
    assert len(np.unique(families.problems("rows repeated", 0, 1, 100, 50)[0], axis=0)) <= 12
    points = families.problems("duplicate points", 0, 1, 100, 100)[0]
    assert len(np.unique(points, axis=0)) <= 12
    assert (points == 0).any()


# --- the list ------------------------------------------------------------------------------------


def test_every_family_is_there_at_every_size() -> None:
    cases = {case.name: case for case in cases_census.SUITE.cases}
    for family in set(families.FAMILIES) - {cases_census.DETR}:
        for n in (5, 20, 60, 150, 400, 1000):
            for dtype in ("float64", "float32"):
                case = cases[f"{family} {n}x{n}, {dtype}"]
                assert (case.family, case.size, case.group) == (family, n, "")
            for shape in (f"{n}x{2 * n}", f"{2 * n}x{n}"):
                among = {f"{family} {shape}, {dtype}" for dtype in ("float64", "float32")}
                large = n == 1000 and family in cases_census.SQUARE_AT_1000
                assert len(among & set(cases)) == (not large)
        assert (f"{family} 3000x3000, float64" in cases) == (family in cases_census.AT_LARGEST)
    ties = {f"integers 0..{most}" for most in (9, 99)} | {f"{k} zeros a row" for k in (2, 8)}
    assert {*ties, "1 zero a row", "coin flips", "constant", "1 − IoU, sparse"} <= {
        *cases_census.AT_LARGEST
    }


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("uniform 20x40, float32", (20, 40)),
        ("64 of uniform 120x60, float32", (64, 120, 60)),
        ("DETR 300x20, float32", (300, 20)),
        ("64 of DETR 300x20, float64", (64, 300, 20)),
    ],
)
def test_a_case_is_what_its_name_says(name: str, shape: tuple[int, ...]) -> None:
    (case,) = (case for case in cases_census.SUITE.cases if case.name == name)
    dtype = case.own[0].dtype
    cost = case.problem.data(0, dtype)["cost"]
    assert cost.shape == shape
    assert cost.dtype == dtype == name.rpartition(", ")[2]
    assert cost.flags.c_contiguous
    assert case.group == ("batches" if len(shape) == 3 else "")


def test_a_small_call_has_a_lower_floor() -> None:
    floors = {case.name: case.floors for case in cases_census.SUITE.cases}
    (small,) = floors["uniform 20x40, float32"]["float32"]
    (large,) = floors["uniform 60x60, float64"]["float64"]
    (batch,) = floors["64 of uniform 5x5, float64"]["float64"]
    assert (small.minimum, large.minimum, batch.minimum) == (1 / 1.5, 1, 1)


# --- the run -------------------------------------------------------------------------------------


def contender(name: str, solve: Callable[[Any], Any], isa: str | None = None) -> Contender:
    return cases_census.contender(name, "float64", lambda: solve, lambda found: [found], isa)


def optimal(cost: Any) -> Any:
    return optimum(cost)


def slowly(cost: Any) -> Any:
    time.sleep(0.02)
    return optimum(cost)


def dearest(cost: Any) -> Any:
    return optimum(cost, maximize=True)


def half(cost: Any) -> Any:
    return tuple(part[::2] for part in optimum(cost))


def refuse(cost: Any) -> Any:
    raise ValueError("not for me")


def of(
    peers: Sequence[tuple[str, Callable[[Any], Any]]], own: Callable[[Any], Any] = optimal
) -> Counted:
    """Give the case of 20 x 20 uniform costs with contenders of our making."""
    (case,) = (c for c in cases_census.SUITE.cases if c.name == "uniform 20x20, float32")
    ours = contender("assign", own, "v2")
    return replace(case, peers=tuple(contender(*peer) for peer in peers), own=(ours,))


def test_the_fastest_peer_is_kept_and_the_wrong_ones_are_named() -> None:
    run = census.Census(cases_census.SUITE)
    wrong = [("dearest", dearest), ("half", half), ("refuses", refuse)]
    run.measure(of([("slow", slowly), ("quick", optimal), *wrong]))
    own, peer = run.benchmarks
    assert (own.contender, own.isa, own.peer) == ("assign", "v2", False)
    assert (peer.contender, peer.isa, peer.peer) == ("quick", None, True)
    assert own.cells == peer.cells == 400
    assert 0 < peer.median < 0.02
    assert run.wrong == {name: ["uniform 20x20, float32"] for name, _ in wrong}


def test_the_least_median_among_the_peers_that_are_near_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = {"assign": [5.0, 1.0, 2.0], "often": [1.0, 3.0, 3.0], "mostly": [9.0, 1.5, 1.5]}

    def compete(runners: Sequence[census.Runner]) -> None:
        for runner in runners:
            runner.rounds = rounds[runner.contender.name]

    monkeypatch.setattr(census, "compete", compete)
    monkeypatch.setattr(census, "NEAR", np.inf)
    run = census.Census(cases_census.SUITE)
    run.measure(of([("often", optimal), ("mostly", optimal)]))
    found = [(b.contender, b.median, b.rounds) for b in run.benchmarks]
    assert found == [("assign", 2.0, 3), ("mostly", 1.5, 3)]


@pytest.mark.parametrize(
    ("rows", "columns"), [([0], [0]), ([0, 1], [1, 1]), ([0, 0], [0, 1]), ([0, 1, 2], [0, 1, 2])]
)
def test_what_is_no_whole_matching_is_refused(rows: list[int], columns: list[int]) -> None:
    pairs = [(np.array(rows), np.array(columns))]
    with pytest.raises(AssertionError):
        cases_census.sums(np.zeros((1, 3, 2)), pairs)
    assert cases_census.sums(
        -np.ones((1, 3, 2)), [(np.array([0, 2]), np.array([1, 0]))]
    ).tolist() == [[-2.0, 2.0]]


@pytest.mark.parametrize("own", [dearest, half])
def test_a_wrong_answer_of_ours_ends_the_run(own: Callable[[Any], Any]) -> None:
    with pytest.raises(AssertionError):
        census.Census(cases_census.SUITE).measure(of([("scipy", optimal)], own))


def test_a_peer_that_is_far_slower_leaves_where_it_would_take_long() -> None:
    calls = []

    def counted_slowly(cost: Any) -> Any:
        calls.append(cost.shape)
        return slowly(cost)

    run = census.Census(cases_census.SUITE)
    case = of([("scipy", optimal), ("slow", counted_slowly)])
    run.measure(case)
    assert len(calls) == 1
    (key,) = run.paces
    assert not run.hopeless(key, "slow", 400)
    assert run.hopeless(key, "slow", 400 * 100)
    assert not run.hopeless(key, "scipy", 10**12)
    assert not run.hopeless("another family", "slow", 400 * 100)


def rivals(seconds: float, order: list[tuple[str, int]], count: int) -> list[census.Runner]:
    """Give two contenders whose calls are said to take so long, and which note what they get."""
    return [
        census.Runner(
            contender(name, optimal),
            lambda k, name=name: order.append((name, k)),
            range(count),
            seconds,
        )
        for name in ("a", "b")
    ]


def test_contenders_take_turns_and_each_round_of_long_calls_has_its_instance() -> None:
    order: list[tuple[str, int]] = []
    runners = rivals(0.01, order, 3)
    census.compete(runners)
    assert [name for name, _ in order] == [*"ab", *"ba"] * 3 + [*"ab"]
    assert [k for _, k in order[::2]] == [0, 1, 2, 0, 1, 2, 0]
    assert [len(runner.rounds) for runner in runners] == [7, 7]


def test_short_calls_go_through_all_instances_many_times() -> None:
    order: list[tuple[str, int]] = []
    census.compete(rivals(1e-4, order, 2))
    assert order[:20] == [(name, k) for name in "ab" for _ in range(5) for k in (0, 1)]
    assert len(order) == 25 * 2 * 10
    order.clear()
    census.compete(rivals(1.0, order, 2))
    assert len(order) == 3 * 2


def test_totals_agree_to_the_size_of_what_is_summed() -> None:
    known = np.array([[1.0, 1e6]])
    assert census.agree(np.array([[1.0 + 0.9e-6, 0.0]]), known, 1e-12)
    assert not census.agree(np.array([[1.0 + 1.1e-6, 0.0]]), known, 1e-12)
    assert not census.agree(np.array([[np.nan, 0.0]]), known, 1e-12)


def test_answers_that_differ_are_named_from_the_worst() -> None:
    known = np.stack([np.arange(5.0), np.array([1.0, 1.0, 1e3, 1.0, 1.0])], axis=1)
    known[0, 1] = 0
    found = known.copy()
    found[:, 0] += np.array([0.0, 0.1, 0.5, 0.2, np.nan])
    assert census.differences(found, known, 2) == "[nan, 3.2] for [4.0, 3.0]"
    assert census.differences(found[:2], known) == "2 answers for 5"


# --- the tables ----------------------------------------------------------------------------------


def record(*ratios: tuple[str, float], **more: Any) -> report.Record:
    """Give the record of cases in which coalign takes a second and lapjvr so many."""
    machine = {"cpu": "Some CPU", "cpus": 2, "isa": "v4", "python": "3.11.7"}
    benchmarks = []
    for case, ratio in ratios:
        dtype = case.rpartition(", ")[2]
        rest = {"threads": 1, "cells": 9, "rounds": 5, "case": case, "dtype": dtype}
        peer = f"lapjvr-f{dtype[-2:]}"
        benchmarks += [
            report.Benchmark(contender="assign", peer=False, isa="v4", median=1.0, **rest),
            report.Benchmark(contender=peer, peer=True, isa=None, median=ratio, **rest),
        ]
    return report.Record("census", "2026-05-04", machine, {}, tuple(benchmarks), **more)


RUN = (
    ("uniform 20x20, float64", 0.7),
    ("uniform 20x20, float32", 0.8),
    ("uniform 150x150, float32", 4.0),
    ("constant 20x20, float64", 0.6),
    ("constant 60x60, float64", 0.99),
    ("64 of uniform 20x40, float64", 3.5),
    ("64 of constant 20x40, float64", 0.5),
)


def test_the_table_has_the_least_of_each_size_and_the_medians() -> None:
    lines = report.census(record(*RUN)).splitlines()
    assert lines[0] == "| costs | 20 | 60 | 150 | median | batches | median |"
    rows = {line.split(" | ")[0]: line for line in lines}
    assert rows["| uniform"] == "| uniform | 0.700 |  | 4.00 | 0.800 | 3.50 | 3.50 |"
    assert rows["| constant"] == (
        "| constant | **0.600** | **0.990** |  | 0.795 | **0.500** | 0.500 |"
    )
    assert lines[-1] == (
        "5 cases of one call: median 0.800, floor 2.00. 2 of a batch: median 2.00, floor 3.00. "
        "In 5 coalign is slower than the fastest library, 3 are below the floor of their case. "
        "Measured on Some CPU (2 CPUs, AVX-512), 2026-05-04."
    )


def test_peers_that_were_wrong_are_named() -> None:
    run = record(*RUN, wrong={"lapjvs-f64": ["a", "b"]})
    assert "Left out for a wrong answer: lapjvs-f64 in 2. " in report.summary(run)
    assert report.Record(**{**report.asdict(run), "benchmarks": run.benchmarks}).wrong == run.wrong


def test_the_worst_come_first() -> None:
    lines = report.worst(record(*RUN), 2).splitlines()
    assert lines[2:] == [
        "| 64 of constant 20x40, float64 | lapx (lapjvr) | 1.00 s | 500 ms | **0.500** |",
        "| constant 20x20, float64 | lapx (lapjvr) | 1.00 s | 600 ms | **0.600** |",
    ]


def test_peers_that_were_all_wrong_leave_ours_alone() -> None:
    run = census.Census(cases_census.SUITE)
    case = of([("dearest", dearest)])
    judge = contender("judge", optimal)
    run.measure(replace(case, judge=judge))
    assert [b.contender for b in run.benchmarks] == ["assign"]
    assert run.wrong == {"dearest": ["uniform 20x20, float32"]}
    kept = record(*RUN)
    alone = report.Benchmark(**{**report.asdict(kept.benchmarks[0]), "case": "constant 5x5"})
    kept = replace(kept, benchmarks=(*kept.benchmarks, alone))
    assert len(report.comparisons(kept)) == len(RUN)
    assert "No library gave a right answer to 1 more. " in report.summary(kept)


def test_a_judge_is_not_timed_but_its_answers_are_known() -> None:
    run = census.Census(cases_census.SUITE)
    case = replace(of([("quick", optimal)], dearest), judge=contender("judge", optimal))
    with pytest.raises(AssertionError):
        run.measure(case)
    run.measure(replace(case, own=of([]).own))
    assert [b.contender for b in run.benchmarks] == ["assign", "quick"]
