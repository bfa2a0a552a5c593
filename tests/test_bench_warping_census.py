"""The census of warping: the series that it is fed, and how its cases judge answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import cases_warping_census as cases
import census
import families_warping as families
import peers_warping
from contest import Contender, Counted
from oracles import soft_warping
from oracles import warping as oracle
from oracles.compare import assert_same_bits

# --- families ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize(("count", "frames", "dim"), [(1, 1, 1), (9, 60, None), (4, 25, 3)])
def test_a_family_is_of_any_size_and_the_same_for_a_seed(
    family: str, count: int, frames: int, dim: int | None
) -> None:
    made = families.series(3, family, count, frames, dim)
    dim = dim or families.DIMENSIONS.get(family, 1)
    assert made.shape == ((count, frames) if dim == 1 else (count, frames, dim))
    assert np.isfinite(made).all()
    assert_same_bits(made, made.astype(np.float32).astype(np.float64))
    assert_same_bits(made, families.series(3, family, count, frames, dim))
    assert frames == 1 or (made != families.series(4, family, count, frames, dim)).any()


def test_families_are_what_their_names_say() -> None:
    shapes = families.series(0, "shapes, z-normalised", 30, 200)
    np.testing.assert_allclose(shapes.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(shapes.std(axis=1), 1, atol=1e-6)
    stretches = families.series(0, "constant stretches", 30, 400)
    assert set(np.unique(stretches)) == {float(level) for level in range(-3, 4)}
    assert 0.02 < (np.diff(stretches, axis=1) != 0).mean() < 0.06
    copies = families.series(0, "duplicates", 30, 50)
    assert len(np.unique(copies, axis=0)) == 8
    spikes = families.series(0, "spikes", 30, 400)
    assert 0.01 < (spikes != 0).mean() < 0.04
    assert (spikes != 0).any(axis=1).all()
    assert set(np.unique(families.series(0, "integers 0..9", 30, 50))) == set(map(float, range(10)))
    cepstra = families.series(0, "MFCC, 13 d", 30, 400)
    near = (cepstra[:, 1:] * cepstra[:, :-1]).mean(axis=(0, 1)) / (cepstra**2).mean(axis=(0, 1))
    np.testing.assert_allclose(near, 0.9, atol=0.03)
    assert (np.diff(cepstra.std(axis=(0, 1))) < 0).all()


def test_ragged_series_are_of_all_lengths() -> None:
    made = families.ragged(1, "random walks", 10, 5, 50)
    assert sorted(map(len, made)) == list(range(5, 51, 5))
    whole = families.series(1, "random walks", 10, 50)
    for one, series in zip(made, whole, strict=True):
        assert_same_bits(one, series[: len(one)])


# --- cases ---------------------------------------------------------------------------------------


def cost(x: Any, y: Any, window: int | None) -> float:
    """Accumulate the lattice cell by cell."""
    local = oracle.local_costs(x, y, "sqeuclidean")
    return float(oracle.accumulate(oracle.within(local, window))[-1, -1])


def standard(series: Any) -> Any:
    """Normalise as the documentation says."""
    return [(one - one.mean(axis=0)) / one.std(axis=0) for one in series]


def truth(case: Counted, data: Any) -> Any:
    """Give what the answers of a case are by the oracles; of a barycenter only their limit."""
    group, window = case.group, data.get("window")
    if group in (cases.PAIR, cases.PATH):
        return [cost(data["x"], data["y"], window)]
    if group == cases.TABLE:
        if "y" in data:
            return [cost(x, y, window) for x in data["x"] for y in data["y"]]
        n = len(data["x"])
        return [cost(data["x"][p], data["x"][q], None) for p in range(n) for q in range(p + 1, n)]
    if group == cases.NEAREST:
        sides = [data["x"], data["y"]]
        if "normalised" in case.name:
            sides = [standard(side) for side in sides]
        return [min(cost(x, y, window) for y in sides[1]) for x in sides[0]]
    values, slopes = [], []
    for x, y in zip(data["x"], data["y"], strict=True):
        local = oracle.local_costs(x, y, "sqeuclidean")
        value, visits = soft_warping.by_loops(local, data["gamma"])
        values.append(value)
        slopes += (2 * (visits[:, :, None] * (x[:, None] - y[None]))).sum(axis=1).ravel().tolist()
    return values + slopes * (group == cases.SLOPE)


def ours(case: Counted) -> tuple[Any, Any]:
    """Give the data of a case, and what it makes of coalign's answer."""
    (own,) = case.own
    data = case.problem.data(0, own.dtype)
    prepared = own.prepare(data)
    return data, own.costs(prepared, own.load()(prepared))


SMALL = cases.listed(cases.SMALL)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_coalign_gives_the_truth(case: Counted) -> None:
    data, rows = ours(case)
    assert case.problem.cells(data) > 0
    if case.group == cases.MEAN:
        (peer,) = (peer for peer in case.peers if peer.name == "aeon-f64")
        start = sum(cost(data["init"], series, None) for series in data["X"])
        # The first series itself, with its frames in front as here or last as aeon has them.
        for layout in (data["init"], data["init"].T):
            np.testing.assert_allclose(peer.costs(data, layout)[0, 0], start, rtol=1e-12)
        assert 0 < rows[0, 0] < start
        return
    wanted = np.array(truth(case, data))
    assert rows.shape == (len(wanted), 2)
    allowed = cases.TOLERANCE[case.own[0].dtype]
    assert (np.abs(rows[:, 0] - wanted) <= allowed * rows[:, 1]).all()


def test_the_small_form_has_all_kinds_of_work_and_the_full_one_all_families() -> None:
    groups = {group.name for group in cases.GROUPS}
    assert {case.group for case in SMALL} == groups
    full = cases.listed(cases.FULL)
    kinds = {(case.family, case.group) for case in full}
    assert kinds == {(family, group) for family in families.FAMILIES for group in groups}


def oracle_as(name: str, case: Counted, off: float = 0.0) -> Contender:
    """Give a peer that asks the oracle, and whose answers are off by a share."""

    def costs(given: Any, found: Any) -> Any:
        return cases.sized(found)

    return Contender(
        name, "float64", lambda: lambda data: np.array(truth(case, data)) * (1 + off), costs
    )


def test_a_wrong_answer_is_found() -> None:
    (case,) = (
        case for case in SMALL if case.name.startswith("random walks, one pair of 10, float")
    )
    right, wrong = oracle_as("right", case), oracle_as("wrong", case, 1e-9)
    run = census.Census(cases.SUITE)
    run.measure(replace(case, peers=(right, wrong)))
    assert [b.contender for b in run.benchmarks] == ["coalign", "right"]
    assert list(run.wrong) == ["wrong"]
    with pytest.raises(AssertionError):
        census.Census(cases.SUITE).measure(replace(case, peers=(wrong,)))


# --- peers ---------------------------------------------------------------------------------------


def test_a_peer_gets_its_dtype_and_compiles_once_for_each() -> None:
    calls: list[Any] = []

    def solve(prepared: Any) -> Any:
        calls.append(prepared)
        return [1.0]

    peer = Contender("peer", "float64", lambda: solve, lambda given, found: found)
    counted = cases.counted(peer, "a work of this test")
    for _ in range(2):
        prepared = counted.prepare({"x": np.zeros(3, np.float32), "window": None})
    assert prepared["x"].dtype == np.float64
    assert len(calls) == 1
    counted.prepare({"x": np.zeros((3, 2)), "window": None})
    counted.prepare({"x": [np.zeros(3)], "window": 4})
    assert len(calls) == 3
    assert counted.costs(prepared, [-2.0]).tolist() == [[-2.0, 2.0]]


def test_the_cost_of_a_path_is_summed_and_what_is_no_path_refused() -> None:
    x, y = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0])
    assert peers_warping.cost_of_path(x, y, [(0, 0), (1, 0), (2, 1)]) == 2
    assert peers_warping.cost_of_path(x[:, None], y[:, None], [(0, 0), (1, 1), (2, 1)]) == 2
    for wrong in (
        [(0, 0), (2, 1)],
        [(1, 0), (2, 1)],
        [(0, 0), (1, 0)],
        [(0, 0), (1, 1), (0, 1), (2, 1)],
    ):
        with pytest.raises(AssertionError, match="a path"):
            peers_warping.cost_of_path(x, y, wrong)


def test_aeon_gets_channels_first_and_its_fraction_of_the_frames() -> None:
    x = np.arange(12.0).reshape(2, 2, 3)
    first, second, window = peers_warping.aeon_cdist().prepare({"x": x, "window": 1})
    assert first.flags.c_contiguous
    np.testing.assert_array_equal(first, x.transpose(0, 2, 1))
    assert second is None
    assert int(window * 2) == 1
    turned = peers_warping.aeon_pair().prepare({"x": x[0], "y": x[1], "window": None})
    assert [side.shape for side in turned[:2]] == [(3, 2)] * 2
    assert turned[2] is None
    alone = np.arange(7.0)
    kept = peers_warping.aeon_pair().prepare({"x": alone, "y": alone, "window": 2})
    assert kept[0] is alone
    assert int(kept[2] * 7) == 2
