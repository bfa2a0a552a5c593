"""Tensors on a GPU: read where they lie, answered there, in the order of the caller's stream."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from coalign import Status, _device, assign, dtw, dtw_cdist
from cuda_emulation.device import require_gpu
from oracles.compare import relative_tolerance

if os.environ.get("COALIGN_REQUIRE_TORCH"):
    import torch
else:
    torch = pytest.importorskip("torch")

rng = np.random.default_rng(31)
X, Y = rng.normal(size=(2, 5, 40, 2)).astype(np.float32)
COSTS = rng.uniform(size=(4, 30, 50)).astype(np.float32)
TOLERANCE = relative_tolerance(np.float32, 80, 2)


@pytest.fixture(autouse=True)
def device() -> Any:
    """The caller's current GPU."""
    require_gpu("torch")
    if not torch.cuda.is_available():
        reason = "this PyTorch has no CUDA"
        if os.environ.get("COALIGN_REQUIRE_GPU"):
            pytest.fail(reason)
        pytest.skip(reason)
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture
def only_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide CuPy from the choice of a library to allocate with."""
    monkeypatch.delitem(_device._LIBRARIES, "cupy")


@contextmanager
def no_waiting() -> Iterator[None]:
    """Make PyTorch raise wherever it would wait for the GPU."""
    with warnings.catch_warnings():
        # That it may overlook some waiting: the test looks at the stream as well.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def put(array: Any, device: Any) -> Any:
    return torch.from_numpy(np.array(array)).to(device)


def test_tensors_give_tensors_on_their_device(device: Any) -> None:
    x, y = put(X, device), put(Y, device)
    found = dtw(x, y, path=True)
    for value in (found.cost, found.status, found.x_index, found.y_index, found.path_length):
        assert type(value) is torch.Tensor
        assert value.device == device
    assert found.cost.dtype == torch.float32
    assert found.x_index.dtype == torch.int64
    wanted = dtw(X, Y, path=True)
    np.testing.assert_allclose(found.cost.cpu(), wanted.cost, rtol=TOLERANCE)
    for p, length in enumerate(found.path_length.tolist()):
        assert found.x_index[p, :length].tolist() == wanted.x_index[p].tolist()
        assert found.y_index[p, :length].tolist() == wanted.y_index[p].tolist()
    assert found.check() is found
    assert dtw(x[0], y[0]).cost.shape == ()


def test_assignments_are_tensors_on_their_device(device: Any) -> None:
    costs = put(COSTS, device)
    wanted = assign(COSTS)
    for given in (costs, costs.transpose(1, 2), list(costs), costs.double()):
        found = assign(given)
        sides = (found.col_of_row, found.row_of_col, found.row_dual, found.col_dual)
        values = [one for side in sides for one in (side if isinstance(side, list) else [side])]
        for value in (found.total, found.status, *values):
            assert type(value) is torch.Tensor
            assert value.device == device
        assert found.check() is found
        np.testing.assert_allclose(found.total.cpu(), wanted.total, rtol=1e-5)
        assert np.abs(found.gap(given)).max() < 1e-4
    one = assign(costs[0])
    assert one.total.shape == one.status.shape == ()
    assert one.row_dual.dtype == torch.float32
    np.testing.assert_array_equal(one.col_of_row.cpu(), assign(costs).col_of_row[0].cpu())
    assert torch.equal(costs, put(COSTS, device))


def test_assignments_wait_for_nothing_and_follow_the_callers_stream(device: Any) -> None:
    costs, lengths = put(COSTS, device), put([30, 2, 7, 30], device)
    items = [costs[0], costs[1].T]
    stream = torch.cuda.Stream()

    def compute(cycles: int) -> Any:
        with torch.cuda.stream(stream):
            torch.cuda._sleep(cycles)
            doubled = costs * 2
            found = assign(doubled), assign(doubled, row_lengths=lengths), assign(items)
            return found, stream.query()

    compute(1)
    torch.cuda.synchronize()
    with no_waiting():
        found, is_done = compute(1_500_000_000)
    assert not is_done
    stream.synchronize()
    np.testing.assert_allclose(found[0].total.cpu(), assign(COSTS * 2).total, rtol=1e-5)
    wanted = assign(COSTS * 2, row_lengths=[30, 2, 7, 30]).total
    np.testing.assert_allclose(found[1].total.cpu(), wanted, rtol=1e-5)
    np.testing.assert_allclose(found[2].total.cpu(), assign(COSTS[:2]).total, rtol=1e-5)


def test_assignments_without_an_answer_go_to_the_status(device: Any) -> None:
    costs = put(COSTS, device)
    costs[1, 3, 0] = float("nan")
    costs[2] = float("inf")
    found = assign(costs)
    assert found.status.tolist() == [Status.OK, Status.NAN, Status.INFEASIBLE, Status.OK]
    assert found.total.isnan().tolist() == [False, True, True, False]
    with pytest.raises(TypeError, match=r"\Acost: expected a tensor that does not require grad"):
        assign(put(COSTS, device).requires_grad_())


def test_all_pairs_into_a_tensor(device: Any) -> None:
    room = torch.full((5, 9), -1.0, device=device)
    out = room[:, 2:7]
    assert dtw_cdist(put(X, device), put(Y, device), out=out) is out
    np.testing.assert_allclose(out.cpu(), dtw_cdist(X, Y), rtol=TOLERANCE)
    assert (room[:, :2] == -1).all()
    assert (room[:, 7:] == -1).all()


def test_tensors_are_read_where_they_lie(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = put(X, device), put(Y, device)
    views = [x.transpose(1, 2).contiguous().transpose(1, 2), x[:, ::2], x[1:, 3:, :1]]
    copied: list[Any] = []
    contiguous = _device._Torch.contiguous

    def note(self: Any, owner: Any, dtype: Any) -> Any:
        copied.append(owner)
        return contiguous(self, owner, dtype)

    monkeypatch.setattr(_device._Torch, "contiguous", note)
    for view in (x, *views):
        other = y[: len(view), :, : view.shape[2]]
        address, bits = view.data_ptr(), view.clone()
        described = _device.library("torch").describe(view)
        assert described.pointer == address
        assert described.index == device.index
        found = dtw(view, other)
        wanted = dtw(view.cpu().numpy(), other.cpu().numpy())
        np.testing.assert_allclose(found.cost.cpu(), wanted.cost, rtol=TOLERANCE)
        assert view.data_ptr() == address
        assert torch.equal(view, bits)
    assert copied == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int32"])
def test_other_dtypes_are_converted_there(device: Any, dtype: str) -> None:
    x = put(X.round(), device).to(getattr(torch, dtype))
    found = dtw_cdist(x)
    assert found.dtype == (torch.float64 if dtype == "int32" else torch.float32)
    assert found.device == device
    # Small integers are what they are in any dtype, and so are sums of their squares.
    np.testing.assert_array_equal(found.cpu(), dtw_cdist(X.round()))


def test_a_tensor_that_requires_grad_is_refused(device: Any) -> None:
    x, y = put(X, device), put(Y, device)
    tracked = put(X, device).requires_grad_()
    with pytest.raises(
        TypeError, match=r"\Ax: expected a tensor that does not require grad.*detac"
    ):
        dtw(tracked, y)
    with pytest.raises(TypeError, match=r"\AX\[5\]: expected a tensor that does not"):
        dtw_cdist([*x, tracked[0] * 2])
    assert dtw(tracked.detach(), y).cost.shape == (5,)


def test_a_tensor_that_is_traced_is_refused(device: Any) -> None:
    x = put(X, device)
    with pytest.raises(TypeError, match=r"\Ax: expected a concrete tensor, got a Tensor without"):
        torch.func.vmap(lambda one: dtw(one, one).cost)(x)


def test_kinds_and_devices_are_not_mixed(device: Any) -> None:
    x = put(X, device)
    words = rf"got torch on {device} and torch on cpu; convert one"
    with pytest.raises(TypeError, match=words):
        dtw(x, torch.from_numpy(Y))
    with pytest.raises(TypeError, match=rf"got torch on {device} and numpy; convert one"):
        dtw(x, Y)


def test_values_go_to_the_status(device: Any) -> None:
    spoilt = put(X, device)
    spoilt[1, 3, 0] = float("nan")
    spoilt[3, 0, 1] = float("inf")
    found = dtw(spoilt, put(Y, device))
    ok = Status.OK
    assert found.status.tolist() == [ok, Status.NAN, ok, Status.INVALID, ok]
    with pytest.raises(ValueError, match=r"\Aproblem 1: NaN in a series"):
        found.check()


def test_nothing_waits_and_work_follows_the_callers_stream(device: Any) -> None:
    lengths = [40, 3, 9, 1, 40]
    x, y, placed = put(X, device), put(Y, device), put(lengths, device)
    stream = torch.cuda.Stream()

    def compute(cycles: int) -> Any:
        with torch.cuda.stream(stream):
            torch.cuda._sleep(cycles)
            doubled = x * 2
            found = dtw(doubled, y, x_lengths=placed, window=50, path=True)
            return found, dtw_cdist(doubled, y), stream.query()

    # What is slow the first time: kernels are loaded, and the pool grows.
    compute(1)
    torch.cuda.synchronize()
    with no_waiting():
        # About a second, before which the caller's own work is not done, nor ours after it.
        found, costs, is_done = compute(1_500_000_000)
    assert not is_done
    stream.synchronize()
    wanted = dtw(X * 2, Y, x_lengths=lengths, window=50)
    np.testing.assert_allclose(found.cost.cpu(), wanted.cost, rtol=TOLERANCE)
    np.testing.assert_allclose(costs.cpu(), dtw_cdist(X * 2, Y), rtol=TOLERANCE)


@pytest.mark.usefixtures("only_torch")
def test_what_is_on_the_host_goes_there_and_back(device: Any) -> None:
    expected = dtw(X, Y, path=True)
    found = dtw(torch.from_numpy(X), torch.from_numpy(Y), path=True, device="cuda")
    assert found.cost.device.type == "cpu"
    np.testing.assert_allclose(found.cost, expected.cost, rtol=TOLERANCE)
    for mine, theirs in zip(found.x_index, expected.x_index, strict=True):
        assert mine.tolist() == theirs.tolist()
    frozen = X[:, ::-1].copy()
    frozen.flags.writeable = False
    for array in (frozen, X[:, ::-1], X[0], np.empty((0, 3, 1), np.float32)):
        costs = dtw_cdist(array, device="cuda")
        assert type(costs) is np.ndarray
        np.testing.assert_allclose(costs, dtw_cdist(array), rtol=TOLERANCE)


@pytest.mark.usefixtures("only_torch")
def test_costs_on_the_host_go_there_and_back(device: Any) -> None:
    wanted = assign(COSTS)
    for costs in (torch.from_numpy(COSTS), COSTS, list(COSTS)):
        found = assign(costs, device="cuda")
        assert type(found.total) is type(assign(costs).total)
        np.testing.assert_allclose(found.total, wanted.total, rtol=1e-5)


@pytest.mark.usefixtures("only_torch")
def test_running_out_of_memory_names_the_size(device: Any) -> None:
    x = put(X, device)
    with pytest.raises(_device.DeviceError, match=r"\Aout of device memory: [\d,]+ bytes wanted"):
        _device.library("torch").empty((1 << 45,), np.float64, device.index)
    np.testing.assert_allclose(dtw(x, x).cost.cpu(), 0)


def test_work_goes_to_the_tensors_device(device: Any) -> None:
    if torch.cuda.device_count() == 1:
        pytest.skip("there is one GPU only")
    other = torch.device("cuda", (device.index + 1) % torch.cuda.device_count())
    x = put(X, other)
    assert dtw(x, x).cost.device == other
    assert torch.cuda.current_device() == device.index
