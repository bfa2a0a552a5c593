"""Assignment on a GPU: proofs, the CPU's totals and its words, and nothing waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment as scipy_assignment
from scipy.sparse import csr_array

from coalign import DeviceError, InfeasibleError, Status, _assignment, assign, assign_top_k
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from oracles.assignment import assert_certificate
from oracles.compare import dual_tolerance, total_tolerance
from oracles.instances import COST_FAMILIES, make_costs
from oracles.sentinels import SENTINELS, excess, spoilt

SHAPES = [(1, 1), (1, 7), (7, 1), (9, 9), (12, 40), (40, 12), (33, 33), (64, 65), (20, 130)]


class OnHost:
    """One problem of a result, copied to the host."""

    def __init__(self, gpu: GpuUnderTest, found: Any, problem: int | None = None) -> None:
        for name in ("col_of_row", "row_of_col", "row_dual", "col_dual", "total", "status"):
            part = getattr(found, name)
            if isinstance(part, list):
                part = part[problem]
            else:
                part = part if problem is None else part[problem]
            setattr(self, name, gpu.get(part))
        self.maximize, self.max_cost = found.maximize, found.max_cost


def assert_solved(gpu: GpuUnderTest, cost: Any, found: Any, problem: int | None = None) -> None:
    """One problem has its certificate, and the CPU's total."""
    one = OnHost(gpu, found, problem)
    assert one.status == Status.OK
    assert one.row_dual.dtype == one.col_dual.dtype == cost.dtype
    assert_certificate(cost, one, dual_tolerance(cost.dtype, *cost.shape))
    if found.max_cost is None:
        wanted = assign(cost, maximize=found.maximize)
        rows = np.flatnonzero(one.col_of_row >= 0)
        within = total_tolerance(cost.dtype, cost[rows, one.col_of_row[rows]])
        assert abs(one.total - wanted.total) <= 2 * within


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("max_cost", [None, 0.25])
def test_every_shape_is_solved(
    gpu: GpuUnderTest, dtype: np.dtype, shape: tuple[int, int], max_cost: float | None
) -> None:
    cost = make_costs("uniform", *shape, dtype.name)
    with forced() as runs:
        found = assign(gpu.put(cost), max_cost=max_cost)
    assert [run.isa for run in runs] == ["cuda"]
    assert found.col_of_row.shape == shape[:1]
    assert found.row_of_col.shape == shape[1:]
    assert found.total.shape == found.status.shape == ()
    assert_solved(gpu, cost, found)


@pytest.mark.parametrize("family", COST_FAMILIES)
def test_every_family_is_solved(gpu: GpuUnderTest, dtype: np.dtype, family: str) -> None:
    costs = [make_costs(family, n, m, dtype.name) for n, m in [(14, 14), (9, 30), (30, 9)]]
    for maximize in (False, True):
        given = [np.where(np.isinf(cost), -cost, cost) for cost in costs] if maximize else costs
        found = assign(gpu.put(given), maximize=maximize)
        for p, cost in enumerate(given):
            assert_solved(gpu, cost, found, p)


@pytest.mark.parametrize("columns", [32, 33, 64, 65, 128, 129, 224, 225, 320, 321, 512, 513, 600])
def test_both_sides_of_every_kernels_edge(gpu: GpuUnderTest, columns: int) -> None:
    cost = make_costs("uniform", 6, columns, "float32")
    found = assign(gpu.put([cost, cost.T]))
    assert_solved(gpu, cost, found, 0)
    assert_solved(gpu, cost.T, found, 1)
    assert_solved(gpu, cost, assign(gpu.put(cost), max_cost=0.0078125))


@pytest.mark.slow
def test_more_columns_than_registers_hold(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    cost = make_costs("uniform", 4, 4200, dtype.name)
    assert_solved(gpu, cost, assign(gpu.put(cost)))
    assert_solved(gpu, cost.T, assign(gpu.put(cost.T)))


def test_a_ragged_batch_is_a_list_of_results(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    shapes = [(5, 5), (0, 4), (30, 12), (7, 70), (3, 0), (33, 33), (1, 1)]
    costs = [make_costs("plane", n, m, dtype.name) for n, m in shapes]
    for max_cost in (None, 0.25):
        found = assign(gpu.put(costs), max_cost=max_cost)
        assert isinstance(found.col_of_row, list)
        assert found.total.shape == (len(costs),)
        for p, cost in enumerate(costs):
            assert found.row_dual[p].shape == cost.shape[:1]
            assert_solved(gpu, cost, found, p)


def test_a_padded_batch_is_read_within_its_lengths(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    rows, columns = np.array([4, 9, 0, 1, 9]), np.array([7, 3, 5, 11, 11])
    cost = np.full((5, 9, 11), np.nan, dtype)
    for p, (n, m) in enumerate(zip(rows, columns, strict=True)):
        cost[p, :n, :m] = rng.uniform(size=(n, m))
    on_device = gpu.put(cost)
    for lengths in (
        (rows, columns),
        (gpu.put(rows), gpu.put(columns)),
        (gpu.put(rows.astype(np.int32)), columns),
    ):
        found = assign(on_device, row_lengths=lengths[0], col_lengths=lengths[1])
        wanted = assign(cost, row_lengths=rows, col_lengths=columns)
        for name in ("col_of_row", "row_of_col"):
            np.testing.assert_array_equal(gpu.get(getattr(found, name)), getattr(wanted, name))
        np.testing.assert_allclose(gpu.get(found.total), wanted.total, rtol=1e-6)
        for p, (n, m) in enumerate(zip(rows, columns, strict=True)):
            assert (gpu.get(found.row_dual)[p, n:] == 0).all()
            assert (gpu.get(found.col_dual)[p, m:] == 0).all()


def test_lengths_that_are_none_go_to_the_status(gpu: GpuUnderTest) -> None:
    cost = gpu.put(np.zeros((4, 3, 5)))
    found = assign(cost, row_lengths=gpu.put(np.array([3, -1, 4, 0])))
    assert gpu.get(found.status).tolist() == [0, Status.INVALID, Status.INVALID, 0]
    with pytest.raises(ValueError, match=r"\Aproblem 1: an infinite cost .*, or a length out of"):
        found.check()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 40),
    m=st.integers(0, 40),
    maximize=st.booleans(),
    max_cost=st.sampled_from([None, -3.0, 0.0, 2.0, 1e30]),
    forbidden=st.sampled_from([0.0, 0.2, 0.6]),
    values=st.sampled_from(["integers", "normal", "huge", "tiny"]),
)
def test_any_problem_ends_as_on_the_cpu(
    gpu: GpuUnderTest,
    seed: int,
    n: int,
    m: int,
    maximize: bool,
    max_cost: float | None,
    forbidden: float,
    values: str,
) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(-5, 6, (n, m)).astype(float)
    if values != "integers":
        cost = rng.normal(size=(n, m)) * {"normal": 1, "huge": 1e300, "tiny": 1e-310}[values]
    cost[rng.uniform(size=(n, m)) < forbidden] = -np.inf if maximize else np.inf
    found = assign(gpu.put(cost), maximize=maximize, max_cost=max_cost)
    try:
        wanted = assign(cost, maximize=maximize, max_cost=max_cost)
    except InfeasibleError:
        assert gpu.get(found.status) == Status.INFEASIBLE
        return
    assert gpu.get(found.status) == Status.OK
    sizes = np.abs(cost[np.isfinite(cost)]).max(initial=0.0) * max(n, m)
    limit = 0.0 if max_cost is None else max_cost
    gains = [
        total - limit * len(result.pairs())
        for total, result in ((gpu.get(found.total), found), (wanted.total, wanted))
    ]
    assert abs(gains[0] - gains[1]) <= 1e-12 * (sizes + abs(limit) * max(n, m))


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("family", ["plane", "Machol-Wien"])
def test_totals_beside_sentinels(
    gpu: GpuUnderTest, dtype: np.dtype, family: str, maximize: bool
) -> None:
    # Square problems are priced by auctions from 32 rows on; gated ones are solved again.
    costs = {sentinel: spoilt(family, sentinel, (36, 36), dtype) for sentinel in SENTINELS}
    kept = {sentinel: cost for sentinel, cost in costs.items() if cost is not None}
    given = [-cost.T if maximize else cost for cost in kept.values()]
    found = assign(gpu.put(given), maximize=maximize)
    for p, sentinel in enumerate(kept):
        one = OnHost(gpu, found, p)
        off, tolerance = excess(given[p], one.col_of_row, maximize)
        assert off <= tolerance, sentinel
        assert one.status == Status.OK, sentinel


def test_ties_and_sentinels(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    rng = np.random.default_rng(6)
    costs = [rng.integers(0, most + 1, (40, 40)) for most in (1, 9, 99)]
    costs.append((rng.random((40, 40)) < 0.95).astype(int))
    costs.append(np.abs(np.subtract.outer(rng.integers(0, 200, 40), rng.integers(0, 200, 40))))
    costs += [np.where(rng.random((40, 40)) < 0.01, 2**31 - 1, cost) for cost in costs]
    given = [cost.astype(dtype) for cost in costs]
    found = assign(gpu.put(given))
    for p, cost in enumerate(given):
        one = OnHost(gpu, found, p)
        off, tolerance = excess(cost, one.col_of_row)
        assert off <= tolerance, p
        assert one.status == Status.OK, p


def test_a_limit_is_a_real_number(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    for limit in (0.7, 0.1):
        cost = np.full((2, 2), limit).astype(dtype)
        is_below = float(cost[0, 0]) < limit
        found = assign(gpu.put(cost), max_cost=limit)
        assert len(found.pairs()) == 2 * is_below
        mirrored = assign(gpu.put(-cost), maximize=True, max_cost=-limit)
        assert len(mirrored.pairs()) == 2 * is_below


@pytest.mark.parametrize("limit", [1e3, 1e9])
def test_a_limit_that_dwarfs_the_costs(gpu: GpuUnderTest, dtype: np.dtype, limit: float) -> None:
    rng = np.random.default_rng(7)
    costs = [rng.uniform(size=shape).astype(dtype) for shape in [(34, 34), (30, 20), (20, 30)]]
    # Ten rows that only four columns take.
    crowded = rng.uniform(size=(24, 24)).astype(dtype)
    crowded[:10, 4:] = np.inf
    found = assign(gpu.put([*costs, crowded]), max_cost=limit)
    for p, cost in enumerate([*costs, crowded]):
        one = OnHost(gpu, found, p)
        # The most pairs, and then the least total.
        values = np.where(np.isinf(cost), 1e3, cost).astype(float)
        best = values[scipy_assignment(values)]
        best = best[best < 1e3]
        assert one.status == Status.OK
        assert (one.col_of_row >= 0).sum() == len(best)
        assert abs(one.total - best.sum()) <= max(
            total_tolerance(dtype, best), 1e-12 * limit * (dtype == np.float64) * len(best)
        )
        assert (one.row_dual <= dtype.type(limit)).all()
        assert (one.row_dual[one.col_of_row < 0] == limit).all()
        assert (one.col_dual <= 0).all()
        assert (one.col_dual[one.row_of_col < 0] == 0).all()


def test_a_total_that_cannot_be_proved_is_reported(gpu: GpuUnderTest) -> None:
    # Differences of such costs overflow, and so does the total.
    cost = np.random.default_rng(0).uniform(-1, 1, (3, 40, 40))
    cost[1] *= 1.7e308
    found = assign(gpu.put(cost))
    assert gpu.get(found.status).tolist() == [Status.OK, Status.PRECISION_LIMIT, Status.OK]
    assert (gpu.get(found.col_of_row) >= 0).all()
    with pytest.raises(ArithmeticError, match=r"\Aproblem 1: the total could not be proved\Z"):
        found.check()


def test_ties_go_to_the_identity_where_all_are_equal(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    for n, m in [(6, 6), (5, 9), (9, 5)]:
        found = assign(gpu.put(np.full((n, m), 7, dtype)))
        assert found.pairs().tolist() == [[i, i] for i in range(min(n, m))]


def test_any_strides(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    base = np.random.default_rng(3).normal(size=(4, 37, 70)).astype(dtype)
    views = [
        (lambda a: a.transpose(0, 2, 1)),
        (lambda a: a[:, ::-1]),
        (lambda a: a[:, :, ::2]),
        (lambda a: a[::2, 3:, 1:34]),
    ]
    for view in views:
        lies = gpu.put(base)
        lies = type(lies)(view(lies.memory), 0) if gpu.is_emulated else view(lies)
        found, wanted = assign(lies), assign(gpu.put(np.ascontiguousarray(view(base))))
        for name in ("col_of_row", "row_dual", "col_dual", "total"):
            np.testing.assert_array_equal(
                gpu.get(getattr(found, name)), gpu.get(getattr(wanted, name))
            )


@pytest.mark.parametrize(("given", "computed"), [("float16", "float32"), ("int32", "float64")])
def test_other_dtypes_are_converted_there(gpu: GpuUnderTest, given: str, computed: str) -> None:
    cost = make_costs("0 to 99", 9, 12, "float64")
    found = assign(gpu.put(cost.astype(given)))
    assert found.row_dual.dtype == computed
    assert_solved(gpu, cost.astype(computed), found)


def test_a_result_proves_itself_where_it_lies(gpu: GpuUnderTest) -> None:
    batch = np.random.default_rng(8).normal(size=(3, 8, 11))
    cost = gpu.put(batch)
    found = assign(cost)
    assert found.check() is found
    np.testing.assert_allclose(found.gap(cost), 0, atol=1e-13)
    np.testing.assert_allclose(found.gap(batch), 0, atol=1e-13)
    # Worse by a price that was never paid.
    worse = batch.copy()
    worse[0] -= 10 * (found.pairs()[0][0] == np.indices(batch[0].shape).T).all(-1).T[::-1]
    assert found.gap(gpu.put(worse))[0] > 1
    assert [len(pairs) for pairs in found.pairs()] == [8] * 3
    one = assign(cost[1])
    assert one.gap(cost[1]) < 1e-13
    assert one.pairs().tolist() == found.pairs()[1].tolist()
    items = [cost[0], cost[2]]
    np.testing.assert_allclose(assign(items).gap(items), 0, atol=1e-13)


@pytest.mark.parametrize("are_on_gpu", [False, True])
def test_a_result_remembers_its_lengths(gpu: GpuUnderTest, are_on_gpu: bool) -> None:
    rng = np.random.default_rng(9)
    rows, columns = np.array([5, 2, 0, 6]), np.array([4, 7, 3, 7])
    batch = np.full((4, 6, 7), np.nan)
    for item, n, m in zip(batch, rows, columns, strict=True):
        item[:n, :m] = rng.normal(size=(n, m))
    take = gpu.put if are_on_gpu else np.copy
    for costs, options in ((gpu.put(batch), {}), (batch, {"device": "cuda"})):
        if are_on_gpu and options:
            continue
        found = assign(costs, row_lengths=take(rows), col_lengths=take(columns), **options)
        read = np.asarray if options else gpu.get
        assert read(found.row_lengths).tolist() == rows.tolist()
        assert read(found.col_lengths).tolist() == columns.tolist()
        assert type(found.row_lengths) is type(found.total)
        gaps = found.gap(costs)
        assert (gaps >= 0).all()
        assert (gaps <= 1e-13).all()
    assert assign(gpu.put(batch[:, :2, :3]), row_lengths=[2] * 4).row_lengths is None


def test_a_problem_without_an_answer_has_no_proof(gpu: GpuUnderTest) -> None:
    cost = np.ones((4, 4, 4))
    cost[3] = np.inf
    lengths = np.array([3, -1, 9, 4])
    found = assign(gpu.put(cost), row_lengths=gpu.put(lengths))
    wrong = [Status.OK, Status.INVALID, Status.INVALID, Status.INFEASIBLE]
    assert gpu.get(found.status).tolist() == wrong
    assert found.gap(cost).tolist() == [0, np.inf, np.inf, np.inf]


# -- Host arrays -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("gpu")
def test_auto_takes_to_a_gpu_what_keeps_it_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_assignment, "_LEAST_GPU_COSTS", 64 * 12)
    batch = np.random.default_rng(0).random((64, 3, 4))
    for cost, is_on_gpu in (
        (batch, True),
        ([*batch], True),
        (batch[1:], False),
        (batch[:, :2], False),
        (np.ones((90, 90)), False),
    ):
        with forced() as runs:
            assign(cost, device="auto")
        assert [run.isa == "cuda" for run in runs] == [is_on_gpu]


@pytest.mark.parametrize("device", ["cuda", "auto"])
@pytest.mark.parametrize("max_cost", [None, 0.25])
def test_host_arrays_go_there_and_back(
    gpu: GpuUnderTest, dtype: np.dtype, device: str, max_cost: float | None
) -> None:
    batch = np.random.default_rng(2).uniform(size=(3, 9, 14)).astype(dtype)
    lengths = np.array([9, 2, 5])
    inputs: list[tuple[Any, dict[str, Any]]] = [
        (batch, {}),
        (batch[0], {}),
        (batch, {"row_lengths": lengths}),
        ([*list(batch), batch[0].T], {}),
        (np.empty((0, 3, 4), dtype), {}),
    ]
    for cost, options in inputs:
        with forced(work_per_thread=0) as runs:
            found = assign(cost, device=device, max_cost=max_cost, **options)
        assert [run.isa for run in runs] == ["cuda"] * (len(cost) > 0)
        wanted = assign(cost, max_cost=max_cost, **options)
        assert type(found.col_of_row) is type(wanted.col_of_row)
        assert type(found.total) is type(wanted.total)
        for name in ("col_of_row", "row_of_col"):
            mine, theirs = getattr(found, name), getattr(wanted, name)
            if not isinstance(theirs, list):
                mine, theirs = [mine], [theirs]
            for one, another in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one, another)
        np.testing.assert_allclose(
            found.total, wanted.total, rtol=2e-6 if dtype == np.float32 else 2e-12
        )


def test_bad_costs_from_the_host_are_named_as_on_the_cpu(gpu: GpuUnderTest) -> None:
    cost = np.zeros((3, 4, 5))
    cost[1, 2, 3] = np.nan
    cost[1, 3, 0] = -np.inf
    cost[2, 0, 0] = np.nan
    for device in ("cuda", "cpu"):
        with pytest.raises(ValueError, match=r"\Acost: NaN at index \(1, 2, 3\); expected finite"):
            assign(cost, device=device)
        with pytest.raises(ValueError, match=r"\Acost\[1\]: -inf at index \(3, 0\)"):
            assign([cost[0], np.where(np.isnan(cost[1]), 0, cost[1])], device=device)
        with pytest.raises(ValueError, match=r"\Acost: inf at index \(0, 1\)"):
            assign(np.array([[0.0, np.inf]]), maximize=True, device=device)


def test_infeasible_problems_from_the_host(gpu: GpuUnderTest) -> None:
    cost = np.array([[1.0, np.inf], [2.0, np.inf]])
    with pytest.raises(InfeasibleError, match=r"\Ano matching of all 2 pairs avoids"):
        assign(cost, device="cuda")
    with pytest.raises(InfeasibleError, match=r"\Aproblem 1: no matching of all 2 pairs avoids"):
        assign(np.stack([np.zeros((2, 2)), cost]), device="cuda")


# -- Device arrays: status instead of exceptions ---------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 6), (4, 70), (70, 4), (3, 600)])
def test_what_has_no_answer_goes_to_the_status(
    gpu: GpuUnderTest, dtype: np.dtype, shape: tuple[int, int]
) -> None:
    cost = np.random.default_rng(1).uniform(size=(6, *shape)).astype(dtype)
    cost[1, -1, -1] = np.nan
    cost[2, 0, 1] = -np.inf
    cost[3] = np.inf
    cost[4, 1, 1], cost[4, 2, 0] = -np.inf, np.nan
    found = assign(gpu.put(cost))
    wanted = [Status.OK, Status.NAN, Status.INVALID, Status.INFEASIBLE, Status.NAN, Status.OK]
    assert gpu.get(found.status).tolist() == wanted
    assert np.isnan(gpu.get(found.total)).tolist() == [status != Status.OK for status in wanted]
    assert (gpu.get(found.col_of_row)[1:5] == -1).all()
    assert (gpu.get(found.row_of_col)[1:5] == -1).all()
    assert np.isnan(gpu.get(found.row_dual)[1:5]).all()
    for p in (0, 5):
        assert_solved(gpu, cost[p], found, p)
    with pytest.raises(ValueError, match=r"\Aproblem 1: NaN in the cost"):
        found.check()
    with pytest.raises(ValueError, match=r"\Aproblem 0: an infinite cost that forbids nothing"):
        assign(gpu.put(cost[2])).check()
    with pytest.raises(InfeasibleError, match=r"\Aproblem 0: no matching"):
        assign(gpu.put(cost[3:4])).check()


def test_empty_batches(gpu: GpuUnderTest) -> None:
    found = assign(gpu.put(np.empty((0, 3, 4), np.float32)))
    assert found.col_of_row.shape == (0, 3)
    assert found.col_dual.shape == (0, 4)
    assert found.total.shape == (0,)
    for shape in ((0, 5), (5, 0), (0, 0)):
        one = assign(gpu.put(np.empty(shape)))
        assert one.col_of_row.shape == shape[:1]
        assert float(gpu.get(one.total)) == 0
        assert (gpu.get(one.row_of_col) == -1).all()


# -- What is refused -------------------------------------------------------------------------------


def test_what_a_gpu_does_not_do_is_said(gpu: GpuUnderTest) -> None:
    host = np.random.default_rng(0).uniform(size=(3, 3))
    cost = gpu.put(host)
    with pytest.raises(DeviceError, match=r"\Amax_cost: expected a finite number on a GPU"):
        assign(cost, max_cost=np.inf)
    with pytest.raises(DeviceError, match=r"\Amax_cost: expected a finite number on a GPU"):
        assign(host, max_cost=np.inf, device="cuda")
    earlier = assign(host)
    with pytest.raises(DeviceError, match=r"\Awarm_start: expected None on a GPU"):
        assign(cost, warm_start=earlier)
    with pytest.raises(DeviceError, match=r"\Awarm_start: expected None on a GPU"):
        assign(cost[:2], warm_start=assign(host[:2]))
    with pytest.raises(DeviceError, match=r"\Awarm_start: expected None on a GPU"):
        assign(host, warm_start=earlier, device="cuda")
    with pytest.raises(DeviceError, match=r"\Acost: expected a dense one on a GPU"):
        assign(csr_array(host), device="cuda")
    with pytest.raises(DeviceError, match=r"\Adevice: expected the GPU that cost lies on"):
        assign(cost, device="cpu")
    for items in (cost, [cost]):
        with pytest.raises(DeviceError, match=r"expected an array in host memory, got one on a"):
            assign_top_k(items, 2)
    for options in ({"max_cost": np.inf}, {"warm_start": earlier}):
        with forced(work_per_thread=0) as runs:
            assert assign(host, device="auto", **options).total > 0
        assert all(run.isa != "cuda" for run in runs)
    with forced(work_per_thread=0):
        assert assign(csr_array(host), device="auto").total == earlier.total


def test_shapes_and_kinds_raise_at_once(gpu: GpuUnderTest) -> None:
    cost = gpu.put(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"\Acost: expected a 2-D or 3-D array, got shape \(3,\)"):
        assign(gpu.put(np.zeros(3)))
    with pytest.raises(ValueError, match=r"\Arow_lengths: expected shape \(2,\), got \(3,\)"):
        assign(cost, row_lengths=gpu.put(np.array([1, 2, 3])))
    with pytest.raises(TypeError, match=r"got cupy on cuda:0 and numpy; convert one"):
        assign([cost[0], np.zeros((2, 2))])
    with pytest.raises(TypeError, match=r"\Acost: expected a real numeric dtype .* complex64"):
        assign(gpu.put(np.zeros((2, 2), np.complex64)))
    with pytest.raises(ValueError, match=r"\Amax_cost: expected a number or inf"):
        assign(cost, max_cost=-np.inf)


@pytest.mark.usefixtures("without_cuda")
def test_a_build_without_cuda() -> None:
    with pytest.raises(DeviceError, match=r"was asked for, and coalign was built without CUDA\Z"):
        assign([[0.0]], device="cuda")
    with forced(work_per_thread=0):
        assert assign([[3.0]], device="auto").total == 3


# -- Streams and devices ---------------------------------------------------------------------------


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    rng = np.random.default_rng(1)
    batch = rng.uniform(size=(4, 6, 9))
    cost, items = emulated.put(batch), emulated.put([batch[0], batch[1].T])
    lengths = emulated.put(np.array([6, 2, 3, 1]))
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    results = [
        assign(cost),
        assign(cost, max_cost=0.2, row_lengths=[1, 2, 3, 4]),
        assign(cost, row_lengths=lengths),
        assign(items),
    ]
    assert emulated.cupy.emulation.state.downloads == before
    assert stream.pending >= len(results)
    assert all(np.isnan(found.total.memory).all() for found in results)
    stream.synchronize()
    wanted = assign(batch).total
    np.testing.assert_allclose(results[0].total.memory, wanted, rtol=1e-13)
    np.testing.assert_allclose(results[3].total.memory, wanted[:2], rtol=1e-13)


def test_work_goes_to_the_arrays_device_and_its_stream(emulated: GpuUnderTest) -> None:
    cupy = emulated.cupy
    with cupy.cuda.Device(1):
        cost = emulated.put(np.eye(4))
        other = cupy.cuda.get_current_stream()
    first = cupy.cuda.get_current_stream()
    found = assign(cost)
    assert first.pending == 0
    assert other.pending > 0
    assert found.col_of_row.device.id == 1
    assert cupy.cuda.Device().id == 0


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_threads_changes_a_bit(emulated: GpuUnderTest, seed: int) -> None:
    costs = [make_costs("0 to 99", n, m, "float32") for n, m in [(30, 30), (20, 50), (9, 530)]]
    found = []
    for order in (1, 100 + seed):
        emulated_module().set_machine(driver=True, devices=2, seed=order)
        result = assign(emulated.put(costs))
        found.append([emulated.get(part) for part in (*result.col_of_row, *result.col_dual)])
    for one, another in zip(*found, strict=True):
        np.testing.assert_array_equal(one, another)


def test_one_problem_has_the_bits_it_has_in_a_batch(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    batch = np.random.default_rng(5).normal(size=(5, 34, 40)).astype(dtype)
    together, listed = assign(gpu.put(batch)), assign(gpu.put([*batch, batch[0, :3, :2]]))
    for p, cost in enumerate(batch):
        alone = assign(gpu.put(cost))
        for name in ("col_of_row", "row_of_col", "row_dual", "col_dual"):
            mine = gpu.get(getattr(alone, name))
            np.testing.assert_array_equal(mine, gpu.get(getattr(together, name)[p]))
            np.testing.assert_array_equal(mine, gpu.get(getattr(listed, name)[p]))


def test_running_out_of_memory_names_the_size_and_breaks_nothing(emulated: GpuUnderTest) -> None:
    cost = emulated.put(np.random.default_rng(0).uniform(size=(4, 30, 20)))
    wanted = emulated.get(assign(cost).total)
    words = r"\Aout of device memory: [\d,]+ bytes wanted"
    with emulated.cupy.emulation.limited(1000), pytest.raises(DeviceError, match=words):
        assign(cost)
    np.testing.assert_array_equal(emulated.get(assign(cost).total), wanted)
