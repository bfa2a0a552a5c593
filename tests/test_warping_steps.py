"""Step patterns and open ends: costs, paths, windows, and what no path fits."""

from __future__ import annotations

import importlib
import math
import os
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import (
    DeviceError,
    InfeasibleError,
    StepPattern,
    _core,
    _execution,
    itakura,
    rabiner_juang,
    slanted,
)
from coalign._steps import PATTERNS
from coalign._windows import slope_fraction
from oracles.compare import assert_same_bits, relative_tolerance
from oracles.instances import make_series, make_staircase, pad
from oracles.steps import accumulate, brute_force
from oracles.warping import inside, local_costs
from refusals import assert_refused

#: Two steps pass over a row or a column, one rests on a pair of weight 0, and one stays in a row.
OWN = StepPattern(
    (
        ((2, 1, 0.5),),
        ((1, 1, 0.0), (0, 2, 1.5)),
        ((1, 0, 0.25), (1, 1, 0.0)),
        ((0, 1, 2.0), (0, 1, 0.0)),
        ((1, 1, 1.0),),
    ),
    None,
)
ALL = {
    **PATTERNS,
    **{
        f"rabiner_juang({number}, {slope}, {smoothed})": rabiner_juang(number, slope, smoothed)
        for number in range(1, 8)
        for slope in "abcd"
        for smoothed in (False, True)
    },
    "own": OWN,
}
ENDS = ((False, False), (True, False), (False, True), (True, True))
#: Patterns that differ in what the engine does: the longest steps, weight 0, steps in a row.
VARIED = ("symmetric1", "symmetric2", "asymmetricP05", "symmetricP2", "typeIc", "typeIVc", "own")


def windows_for(n: int, m: int) -> dict[str, Any]:
    rng = np.random.default_rng([n, m])
    return {
        "none": None,
        "band": 1,
        "slanted": slanted(1),
        "itakura": itakura(2.5),
        "rows": make_staircase(rng, n, m, slack=2),
    }


def cells_of(window: Any, n: int, m: int) -> Any:
    """The cells of a window, also of itakura."""
    if not isinstance(window, itakura):
        return inside(window, n, m)
    a, b = n - 1, m - 1
    rise, run = window.max_slope.as_integer_ratio()
    i, j = np.arange(n).astype(object)[:, np.newaxis], np.arange(m).astype(object)[np.newaxis, :]

    def between(i: Any, j: Any) -> Any:
        return (run * i * b <= rise * j * a) & (run * j * a <= rise * i * b)

    return (between(i, j) & between(a - i, b - j)).astype(bool)


def precomputed(costs: Any, step: Any, **options: Any) -> float:
    """The cost of `dtw`, and infinity where there is no path."""
    try:
        return float(coalign.dtw(costs, metric="precomputed", step=step, **options).cost)
    except InfeasibleError:
        return math.inf


# --- costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_costs_are_the_least_over_every_path(name: str) -> None:
    rng = np.random.default_rng(1)
    pattern = ALL[name]
    found = 0
    for n, m in ((1, 1), (1, 3), (3, 1), (2, 3), (4, 4), (5, 4), (4, 6)):
        costs = rng.integers(0, 8, (n, m)).astype(np.float64)
        for window_name, window in windows_for(n, m).items():
            mask = cells_of(window, n, m)
            for ends in ENDS:
                if window_name == "band" and any(ends):
                    continue
                options = {"window": window, "open_begin": ends[0], "open_end": ends[1]}
                wanted = brute_force(costs, mask, pattern.steps, *ends)
                actual = precomputed(costs, pattern, **options)
                what = f"{name} {n, m} {window_name} {ends}"
                # Thirds are not exact.
                assert actual == pytest.approx(wanted, rel=1e-14), what
                found += math.isfinite(wanted)
    assert found > 15


@pytest.mark.parametrize("name", PATTERNS)
def test_names_are_their_patterns(name: str) -> None:
    costs = np.random.default_rng(2).random((9, 8 if name != "rigid" else 9))
    by_name, by_table = (
        coalign.dtw(costs, metric="precomputed", step=step) for step in (name, PATTERNS[name])
    )
    tolerance = 1e-14 if name == "symmetric1" else 0
    assert by_name.cost == pytest.approx(by_table.cost, rel=tolerance, abs=0)


@pytest.mark.parametrize("name", [*VARIED])
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock", "cosine"])
def test_costs_meet_the_recursion(name: str, metric: str, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    pattern = ALL[name]
    for n, m, dim in ((70, 71, 1), (33, 40, 3), (40, 37, 17)):
        x, y = (make_series(rng, length, dim, dtype) for length in (n, m))
        for window in (None, slanted(9)):
            costs = local_costs(x, y, metric)
            wanted = accumulate(costs, inside(window, n, m), pattern.steps)
            with _execution.forced(isa=isa):
                found = coalign.dtw(x, y, metric=metric, step=pattern, window=window)
            tolerance = relative_tolerance(dtype, 3 * (n + m), dim)
            slack = (n + m) * (2 * dim + 8) * float(np.finfo(dtype).eps)
            assert found.cost.dtype == dtype
            assert float(found.cost) == pytest.approx(
                wanted, rel=tolerance, abs=slack if metric == "cosine" else 0
            ), (n, m, dim)


def test_rows_longer_than_a_stretch(isa: str) -> None:
    # Rows are computed in stretches of 4096 columns.
    rng = np.random.default_rng(4)
    costs = rng.random((4, 9000))
    for name in ("symmetric2", "own"):
        wanted = accumulate(costs, np.ones(costs.shape, bool), ALL[name].steps)
        with _execution.forced(isa=isa):
            assert precomputed(costs, ALL[name]) == pytest.approx(wanted, rel=1e-12)


# The k-th cell after the first costs 10^k, and all but these are forbidden, so the cost shows what
# each of them weighs: as Sakoe and Chiba, Myers et al., and Mori et al. define it.
@pytest.mark.parametrize(
    ("name", "end", "weights"),
    [
        ("symmetric2", (1, 1), {(1, 1): 2}),
        ("symmetricP05", (1, 3), {(1, 1): 2, (1, 2): 1, (1, 3): 1}),
        ("symmetricP05", (3, 1), {(1, 1): 2, (2, 1): 1, (3, 1): 1}),
        ("symmetricP1", (1, 2), {(1, 1): 2, (1, 2): 1}),
        ("symmetricP2", (2, 3), {(1, 1): 2, (2, 2): 2, (2, 3): 1}),
        ("asymmetricP05", (3, 1), {(1, 1): 1, (2, 1): 1, (3, 1): 1}),
        ("asymmetricP1", (1, 2), {(1, 1): 1 / 2, (1, 2): 1 / 2}),
        ("asymmetricP2", (2, 3), {(1, 1): 2 / 3, (2, 2): 2 / 3, (2, 3): 2 / 3}),
        ("asymmetricP2", (3, 2), {(1, 1): 1, (2, 2): 1, (3, 2): 1}),
        ("asymmetric", (1, 2), {(1, 2): 1}),
        ("typeIa", (2, 1), {(1, 1): 1, (2, 1): 0}),
        ("typeIas", (2, 1), {(1, 1): 1 / 2, (2, 1): 1 / 2}),
        ("typeIb", (1, 2), {(1, 1): 1, (1, 2): 1}),
        ("typeIc", (1, 2), {(1, 1): 1, (1, 2): 0}),
        ("typeIcs", (1, 2), {(1, 1): 1 / 2, (1, 2): 1 / 2}),
        ("typeIds", (1, 2), {(1, 1): 3 / 2, (1, 2): 3 / 2}),
        ("typeIIa", (2, 1), {(2, 1): 1}),
        ("typeIIb", (1, 2), {(1, 2): 2}),
        ("typeIId", (1, 2), {(1, 2): 3}),
        ("typeIIIc", (2, 2), {(1, 2): 1, (2, 2): 1}),
        ("typeIVc", (3, 3), {(1, 3): 1, (2, 3): 1, (3, 3): 1}),
        ("mori2006", (2, 1), {(1, 1): 2, (2, 1): 1}),
        ("mori2006", (1, 2), {(1, 1): 3, (1, 2): 3}),
    ],
)
def test_names_give_the_sums_of_their_papers(
    name: str, end: tuple[int, int], weights: dict[tuple[int, int], float]
) -> None:
    costs = np.full((end[0] + 1, end[1] + 1), np.inf)
    costs[0, 0] = 1.0
    for k, cell in enumerate(weights, 1):
        costs[cell] = 10.0**k
    wanted = 1 + sum(weight * costs[cell] for cell, weight in weights.items())
    assert precomputed(costs, name) == pytest.approx(wanted, rel=1e-14)


def peer() -> Any:
    """The library whose patterns ours share names with."""
    if os.environ.get("COALIGN_REQUIRE_DTW_PYTHON"):
        return importlib.import_module("dtw")
    return pytest.importorskip("dtw")


def peers_cost(dtw: Any, costs: Any, pattern: Any, **options: Any) -> float:
    try:
        return float(dtw.dtw(costs, step_pattern=pattern, distance_only=True, **options).distance)
    except ValueError:
        return math.inf


@pytest.mark.parametrize("name", [name for name in ALL if name != "own"])
def test_costs_are_those_of_dtw_python(name: str) -> None:
    dtw = peer()
    if name in PATTERNS:
        theirs = getattr(dtw.stepPattern, name)
    else:
        number, slope, smoothed = name.removeprefix("rabiner_juang(").rstrip(")").split(", ")
        theirs = dtw.stepPattern.rabinerJuangStepPattern(int(number), slope, smoothed == "True")
    rng = np.random.default_rng(5)
    for n, m in ((40, 40), (50, 41), (30, 44)):
        costs = rng.random((n, m))
        wanted = peers_cost(dtw, costs, theirs)
        assert precomputed(costs, ALL[name]) == pytest.approx(wanted, rel=1e-12), (n, m)
    hint = theirs.hint if isinstance(theirs.hint, str) else "NA"
    assert (ALL[name].normalization or "NA") == hint


@pytest.mark.parametrize("name", ["asymmetric", "typeIIc", "typeIVc"])
@pytest.mark.parametrize("ends", ENDS[1:])
def test_open_ends_are_those_of_dtw_python(name: str, ends: tuple[bool, bool]) -> None:
    dtw = peer()
    costs = np.random.default_rng(6).random((20, 60))
    options = {"open_begin": ends[0], "open_end": ends[1]}
    wanted = peers_cost(dtw, costs, getattr(dtw.stepPattern, name), **options)
    assert precomputed(costs, name, **options) == pytest.approx(wanted, rel=1e-12)


# --- paths ----------------------------------------------------------------------------------------


def assert_path(found: Any, costs: Any, pattern: StepPattern, mask: Any, ends: Any) -> None:
    """A path is a chain of steps through the window, from end to end, and has its cost."""
    cells = list(
        zip(found.x_index.tolist(), found.y_index.tolist(), found.weight.tolist(), strict=True)
    )
    n, m = costs.shape
    assert cells[0][0] == 0
    assert cells[0][2] == 1
    assert cells[-1][0] == n - 1
    assert ends[0] or cells[0][1] == 0
    assert ends[1] or cells[-1][1] == m - 1
    assert all(mask[i, j] for i, j, _ in cells)
    moves = [(b[0] - a[0], b[1] - a[1], np.float32(b[2])) for a, b in pairwise(cells)]
    steps = [[(dx, dy, np.float32(w)) for dx, dy, w in step] for step in pattern.steps]
    reached = {0}
    for at in range(len(moves)):
        if at in reached:
            for step in steps:
                if moves[at : at + len(step)] == step:
                    reached.add(at + len(step))
    assert len(moves) in reached, "the path is no chain of steps"
    total = sum(weight * costs[i, j] for i, j, weight in cells)
    assert float(found.cost) == pytest.approx(
        total, rel=relative_tolerance(found.cost.dtype, n + m)
    )


@pytest.mark.parametrize("name", ALL)
def test_paths_are_chains_of_steps_with_their_cost(name: str) -> None:
    rng = np.random.default_rng(7)
    pattern = ALL[name]
    for n, m in ((1, 1), (9, 9), (24, 24), (30, 28), (29, 33)):
        costs = rng.integers(0, 5, (n, m)).astype(np.float64)
        for window in (None, slanted(6)):
            for ends in ENDS:
                options = {"window": window, "open_begin": ends[0], "open_end": ends[1]}
                cost = precomputed(costs, pattern, **options)
                if math.isinf(cost):
                    continue
                found = coalign.dtw(costs, metric="precomputed", step=pattern, path=True, **options)
                assert_same_bits(found.cost, np.float64(cost))
                assert_path(found, costs, pattern, inside(window, n, m), ends)


@pytest.mark.parametrize("name", VARIED)
@pytest.mark.parametrize("window", [None, slanted(30)])
def test_paths_are_the_same_from_any_number_of_blocks(
    name: str, window: Any, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(8)
    pattern = ALL[name]
    x, y = (make_series(rng, length, 2, dtype) for length in (301, 310))
    with _execution.forced(isa=isa):
        cost = coalign.dtw(x, y, step=pattern, window=window).cost
        whole = coalign.dtw(x, y, step=pattern, window=window, path=True)
        with _execution.forced(isa=isa, checkpoint_bytes=1):
            blocks = coalign.dtw(x, y, step=pattern, window=window, path=True)
    assert_same_bits(whole.cost, cost)
    for field in ("cost", "x_index", "y_index", "weight"):
        assert_same_bits(getattr(blocks, field), getattr(whole, field), field)
    costs = local_costs(x, y, "sqeuclidean")
    assert_path(whole, costs, pattern, inside(window, 301, 310), (False, False))


def test_ties_take_the_step_listed_first() -> None:
    costs = np.zeros((4, 4))
    for first in range(3):
        moves = [(1, 1), (1, 0), (0, 1)]
        order = [moves[first], *moves[:first], *moves[first + 1 :]]
        found = coalign.dtw(
            costs, metric="precomputed", step=StepPattern([[(*m, 1.0)] for m in order]), path=True
        )
        last = (found.x_index[-1] - found.x_index[-2], found.y_index[-1] - found.y_index[-2])
        # A step that stays in the row gives way to those that do not.
        assert last == (order[0] if order[0] != (0, 1) else order[1])


def test_open_ends_take_the_first_of_equal_ends() -> None:
    costs = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    found = coalign.dtw(
        costs, metric="precomputed", step="rigid", open_begin=True, open_end=True, path=True
    )
    assert (found.x_index.tolist(), found.y_index.tolist()) == ([0, 1], [1, 2])


def test_matrices_carry_the_weights() -> None:
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(36, 3))
    found = coalign.dtw([x, y], [y, x], step="symmetricP1", path=True)
    for (warp_x, warp_y), a, b, cost in zip(
        found.matrices(), (x, y), (y, x), found.cost, strict=True
    ):
        assert ((a.T @ warp_x - b.T @ warp_y) ** 2).sum() == pytest.approx(cost, rel=1e-12)


def test_plain_steps_have_no_weights() -> None:
    assert coalign.dtw([1.0, 2.0], [1.0, 2.0], path=True).weight is None
    assert coalign.dtw([1.0, 2.0], [1.0, 2.0], step="symmetric2").weight is None


# --- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["symmetric2", "asymmetric", "typeIVc"])
def test_batches_give_the_bits_of_each_pair_alone(name: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(10)
    sizes = [(30, 31), (12, 14), (50, 45), (7, 7)]
    xs = [make_series(rng, n, 2, dtype) for n, _ in sizes]
    ys = [make_series(rng, m, 2, dtype) for _, m in sizes]
    alone = [coalign.dtw(x, y, step=name, path=True) for x, y in zip(xs, ys, strict=True)]
    (padded_x, n), (padded_y, m) = pad(xs), pad(ys)
    for threads in (1, 3):
        with _execution.forced(work_per_thread=1.0):
            ragged = coalign.dtw(xs, ys, step=name, path=True, threads=threads)
            padded = coalign.dtw(
                padded_x, padded_y, x_lengths=n, y_lengths=m, step=name, path=True, threads=threads
            )
        for found in (ragged, padded):
            for p, one in enumerate(alone):
                for field in ("cost", "x_index", "y_index", "weight"):
                    assert_same_bits(getattr(found, field)[p], getattr(one, field), field)


@pytest.mark.parametrize("name", [*PATTERNS, "own"])
def test_all_pairs_are_the_pairs(name: str) -> None:
    rng = np.random.default_rng(11)
    series = [make_series(rng, length, 1, np.float64) for length in (12, 10, 9, 16, 40, 12)]
    for ends in ENDS:
        options = {"step": ALL[name], "open_begin": ends[0], "open_end": ends[1]}
        wanted = np.empty((6, 6))
        for i, x in enumerate(series):
            for j, y in enumerate(series):
                try:
                    wanted[i, j] = coalign.dtw(x, y, **options).cost
                except InfeasibleError:
                    wanted[i, j] = np.inf
        assert_same_bits(coalign.dtw_cdist(series, **options), wanted)
        assert_same_bits(coalign.dtw_cdist(series, series[:4], **options), wanted[:, :4])


# --- limits and errors ----------------------------------------------------------------------------


def test_max_cost_limits_as_with_plain_steps() -> None:
    rng = np.random.default_rng(12)
    x, y = rng.normal(size=20), rng.normal(size=22)
    cost = float(coalign.dtw(x, y, step="typeIc").cost)
    at = coalign.dtw(x, y, step="typeIc", max_cost=cost, path=True)
    below = coalign.dtw(x, y, step="typeIc", max_cost=np.nextafter(cost, 0), path=True)
    assert (at.cost, at.status, len(at.x_index) > 0) == (cost, 0, True)
    assert (below.cost, below.status, len(below.x_index)) == (np.inf, 0, 0)


def test_lengths_that_the_steps_do_not_reach_are_infeasible() -> None:
    x, y = np.zeros(10), np.zeros(100)
    with pytest.raises(
        InfeasibleError,
        match=r"^no path of these steps through the window or the finite cells, for 10 frames",
    ):
        coalign.dtw(x, y, step="symmetricP2")
    with pytest.raises(InfeasibleError, match=r"^problem 1: no path of these steps"):
        coalign.dtw([x, x], [x, y], step="symmetricP2")
    assert coalign.dtw_cdist([x], [x, y], step="symmetricP2").tolist() == [[0.0, np.inf]]


def test_overflow_is_told_from_no_path() -> None:
    x, y = np.full(4, 1e150), np.full(4, -1e150)
    with pytest.warns(RuntimeWarning, match="1 of 1 costs overflow float64"):
        found = coalign.dtw(x, 10 * y, step=StepPattern([[(1, 1, 1e20)]]))
    assert (found.cost, found.status) == (np.inf, coalign.Status.PRECISION_LIMIT)


def test_forbidden_cells_are_avoided_whatever_their_weight() -> None:
    # The step in y rests on a pair of weight 1 and ends on one of weight 0.
    costs = np.array([[0.0, 1.0, 2.0], [5.0, 4.0, np.inf]])
    with pytest.raises(InfeasibleError):
        coalign.dtw(costs, metric="precomputed", step="typeIc")
    costs[1, 2] = 3.0
    assert coalign.dtw(costs, metric="precomputed", step="typeIc").cost == 4.0
    costs[1, 1] = np.inf
    with pytest.raises(InfeasibleError):
        coalign.dtw(costs, metric="precomputed", step="typeIc")


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_values_that_are_no_cost_are_refused_inside_the_window(bad: float) -> None:
    costs = np.ones((6, 6))
    costs[4, 1] = bad
    with pytest.raises(
        ValueError, match=r"^x: .*at index \(4, 1\); expected finite costs or \+inf$"
    ):
        coalign.dtw(costs, metric="precomputed", step="symmetric2")
    assert coalign.dtw(costs, metric="precomputed", step="symmetric2", window=slanted(1)).cost == 11


@pytest.mark.parametrize("ends", ENDS[1:])
def test_a_radius_is_refused_with_open_ends(ends: tuple[bool, bool]) -> None:
    for call in (coalign.dtw, coalign.dtw_cdist):
        with pytest.raises(ValueError, match=r"^window: expected None, slanted\(r\), itakura\(s\)"):
            call([[0.0, 1.0]], [[0.0, 1.0]], window=1, open_begin=ends[0], open_end=ends[1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": "rigid"}, "step: expected one of 'symmetric1', 'symmetric2',"),
        ({"open_end": True}, "step: a GPU takes no open ends; the CPU does"),
        ({"window": itakura(2)}, r"window: a GPU takes itakura\(s\) with series of one length"),
    ],
)
def test_a_gpu_refuses_what_it_cannot_do(options: Any, words: str) -> None:
    series = [np.zeros(4), np.zeros(5)]
    for call in (coalign.dtw, coalign.dtw_cdist):
        with pytest.raises(DeviceError, match=f"^{words}"):
            call(series, series, device="cuda", **options)
        assert np.shape(getattr(call([], [], **options), "cost", [])) == (0,)


@pytest.mark.parametrize("name", ["open_begin", "open_end"])
def test_open_ends_are_flags(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected a bool, got int$"):
        coalign.dtw([0.0], [0.0], **{name: 1})


@pytest.mark.parametrize(
    ("steps", "normalization", "error", "words"),
    [
        ([], None, ValueError, r"steps: expected 1 to 64 steps, got 0"),
        ([[(1, 1, 1.0)]] * 65, None, ValueError, r"steps: expected 1 to 64 steps, got 65"),
        ([[]], None, ValueError, r"steps\[0\]: expected a move, got none"),
        ([[(1, 1)]], None, TypeError, r"steps\[0\]\[0\]: expected \(dx, dy, weight\), got 2"),
        ([[(1.5, 1, 1)]], None, TypeError, r"steps\[0\]\[0\]: expected integer numbers of frames"),
        (
            [[(0, 0, 1)]],
            None,
            ValueError,
            r"steps\[0\]\[0\]: expected a move forward, got \(0, 0\)",
        ),
        (
            [[(2, -1, 1)]],
            None,
            ValueError,
            r"steps\[0\]\[0\]: expected a move forward, got \(2, -1",
        ),
        ([[(1, 1, "a")]], None, TypeError, r"steps\[0\]\[0\]: expected a number as weight"),
        (
            [[(1, 1, -1)]],
            None,
            ValueError,
            r"steps\[0\]\[0\]: expected a finite weight of at least",
        ),
        ([[(1, 1, math.inf)]], None, ValueError, r"steps\[0\]\[0\]: expected a finite weight"),
        ([[(1, 1, math.nan)]], None, ValueError, r"steps\[0\]\[0\]: expected a finite weight"),
        (
            [[(60, 1, 1), (5, 1, 1)]],
            None,
            ValueError,
            r"steps\[0\]: expected at most 64 frames, got",
        ),
        ("rigid", None, TypeError, r"steps: expected a sequence, got str"),
        (
            [[(1, 1, 1)]],
            "K",
            ValueError,
            r"normalization: expected 'N\+M', 'N', 'M' or None, got 'K'",
        ),
    ],
)
def test_step_patterns_are_checked(steps: Any, normalization: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=f"^{words}"):
        StepPattern(steps, normalization)


def test_step_patterns_may_be_as_large_as_they_say() -> None:
    steps = [[(1, 0, 1.0)] * 64, *([[(1, 1, float(w))] for w in range(1, 64)])]
    costs = np.ones((65, 65))
    assert precomputed(costs, StepPattern(steps)) == 65


@pytest.mark.parametrize(("number", "slope"), [(0, "a"), (8, "a"), (1, "e"), (1.5, "a"), (1, 2)])
def test_only_the_patterns_of_rabiner_and_juang_are_known(number: Any, slope: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^(type: expected an integer from 1|slope: expected 'a')"
    ):
        rabiner_juang(number, slope)


def test_patterns_know_their_symmetry() -> None:
    symmetric = {name for name, pattern in PATTERNS.items() if pattern.is_symmetric}
    assert symmetric == {
        *("symmetric1", "symmetric2", "symmetricP0", "symmetricP05", "symmetricP1", "symmetricP2"),
        *("typeIa", "typeIb", "typeId", "typeIas", "typeIbs", "typeIds"),
        *("typeIIa", "typeIIb", "typeIId", "rigid"),
    }


def test_a_picture_shows_each_move_with_its_weight() -> None:
    axes = rabiner_juang(2, "c").plot()
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        [[-1, -1], [0, 0]],
        [[-1, -2], [0, -1], [0, 0]],
        [[-2, -1], [-1, 0], [0, 0]],
    ]
    shown = [(text.get_text(), *text.xy) for text in axes.texts]
    assert shown == [
        ("1", -0.5, -0.5),
        ("1", -0.5, -1.5),
        ("1", 0, -0.5),
        ("1", -1.5, -0.5),
        ("0", -0.5, 0),
    ]
    assert OWN.plot(axes) is axes
    assert len(axes.lines) == 3 + len(OWN.steps)


def test_a_picture_needs_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        ImportError, match=r'^plot needs matplotlib: pip install "coalign\[plot\]"$'
    ):
        OWN.plot()


# --- Itakura's window -----------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [1, 1.1, 1.5, 2, 3.7, 1e300])
def test_itakura_holds_the_cells_of_its_definition(slope: float) -> None:
    lengths = (1, 2, 3, 5, 8, 13, 30)
    for n in lengths:
        for m in lengths:
            mask = cells_of(itakura(slope), n, m)
            assert mask.T.tolist() == cells_of(itakura(slope), m, n).tolist()
            costs = np.random.default_rng([n, m]).random((n, m))
            for step in ("symmetric1", "symmetric2", "typeIVc"):
                wanted = accumulate(costs, mask, PATTERNS[step].steps)
                found = precomputed(costs, step, window=itakura(slope))
                assert found == pytest.approx(wanted, rel=1e-12), (n, m, step)


def test_itakura_is_exact_in_long_series() -> None:
    # Cell (1, 2) lies on the line of slope 2, and in doubles i b / a rounds.
    n = 3_000_001
    ranges = _core.window_ranges(window=("itakura", slope_fraction(itakura(2))), n=n, m=n)
    i = np.arange(n)
    last = n - 1
    assert (ranges[:, 0] == np.maximum((i + 1) // 2, last - 2 * (last - i))).all()
    assert (ranges[:, 1] - 1 == np.minimum(2 * i, last - (last - i + 1) // 2)).all()


@pytest.mark.parametrize("slope", [0.5, math.inf])
def test_itakuras_slope_is_checked(slope: float) -> None:
    with pytest.raises(ValueError, match=r"^max_slope: expected a finite number of at least 1"):
        itakura(slope)


def test_weights_beyond_float32_need_float64() -> None:
    pattern = coalign.StepPattern([[(1, 1, 1e39)], [(1, 0, 1.0)], [(0, 1, 1.0)]])
    x, y = np.array([0.0, 1.0], np.float32), np.array([0.0, 1.0], np.float32)
    words = "step: expected weights that float32 can hold, got 1e+39; give the series in float64"
    for call in (
        lambda: coalign.dtw(x, y, step=pattern),
        lambda: coalign.dtw(np.zeros((2, 2), np.float32), metric="precomputed", step=pattern),
        lambda: coalign.dtw_cdist(x[np.newaxis], step=pattern),
    ):
        with assert_refused(ValueError, words):
            call()
    assert float(coalign.dtw(x.astype(float), y.astype(float), step=pattern).cost) == 0.0


def test_options_of_patterns_are_refused_in_words() -> None:
    with assert_refused(TypeError, "smoothed: expected a bool, got str"):
        coalign.rabiner_juang(3, "c", "no")  # type: ignore[arg-type]
    words = "normalization: expected 'N+M', 'N', 'M' or None, got array([1, 2])"
    with assert_refused(ValueError, words):
        coalign.StepPattern([[(1, 1, 1.0)]], np.array([1, 2]))  # type: ignore[arg-type]
