"""PyTorch tensors in, PyTorch tensors out, with the bits that NumPy gets."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from coalign import (
    DeviceError,
    Status,
    _validate,
    assign,
    ctc_align,
    ctc_forward_backward,
    ctc_greedy,
    ctc_loss,
    dtw,
    dtw_cdist,
    monotonic_alignment,
    sinkhorn_divergence_points,
    sinkhorn_points,
    slanted,
)
from oracles.compare import assert_same_bits

if os.environ.get("COALIGN_REQUIRE_TORCH"):
    import torch
else:
    torch = pytest.importorskip("torch")

rng = np.random.default_rng(22)
X, Y = rng.normal(size=(2, 9)).astype(np.float32)
BATCH = rng.normal(size=(3, 6, 2)).astype(np.float32)
COLLECTION = rng.normal(size=(4, 6)).astype(np.float32)


def tensor(array: Any) -> Any:
    """A tensor on a copy of an array."""
    return torch.from_numpy(np.array(array))


def assert_tensor(value: Any, expected: Any) -> None:
    """A plain tensor on the CPU, of the dtype, shape and bits of a NumPy result."""
    assert type(value) is torch.Tensor
    assert value.device.type == "cpu"
    assert not value.requires_grad
    assert_same_bits(value.numpy(), expected)


# Tensors out


def test_no_problems_give_empty_tensors() -> None:
    none = torch.zeros(0, 4, 3)
    warping = dtw(none, none, path=True)
    assert_tensor(warping.cost, np.zeros(0, np.float32))
    assert_tensor(warping.status, np.zeros(0, np.int32))
    assert warping.x_index == warping.y_index == []
    assert_tensor(dtw_cdist(torch.zeros(0, 4)), np.zeros((0, 0), np.float32))


def test_matrices_of_a_warping_of_tensors() -> None:
    x, y = tensor(BATCH[0]), tensor(BATCH[1])
    warping = dtw(x, y, path=True)
    W_x, W_y = warping.matrices()
    cost = ((x.numpy().T @ W_x - y.numpy().T @ W_y) ** 2).sum()
    np.testing.assert_allclose(cost, float(warping.cost), rtol=1e-5)
    assert len(dtw([x, y], y, path=True).matrices()) == 2


@pytest.mark.parametrize("form", ["one", "padded", "list", "one and many"])
def test_points_of_tensors_are_those_of_arrays(form: str) -> None:
    clouds = [rng.normal(size=(n, 3)).astype(np.float32) for n in (6, 4, 6)]
    weights: Any = [np.full(len(cloud), 1 / len(cloud), np.float32) for cloud in clouds]
    y, options = clouds[0] + 1, {"epsilon": 0.5, "tol": 1e-5}
    if form == "list":
        x, v = clouds, [*weights]
    elif form == "one":
        x, v, weights = clouds[0], weights[0], weights[0]
    else:
        x, v, weights = BATCH[..., [0, 1, 1]], np.ones((3, 6), np.float32), weights[0]
        if form == "padded":
            options["x_lengths"], weights = np.array([6, 1, 4]), None
    wanted = sinkhorn_points(x, y, weights, **options)

    def given(arrays: Any) -> Any:
        return [*map(tensor, arrays)] if isinstance(arrays, list) else tensor(arrays)

    found = sinkhorn_points(
        given(x), tensor(y), None if weights is None else given(weights), **options
    )
    pairs = [
        (getattr(each, name) for each in (found, wanted)) for name in ("f", "g", "cost", "value")
    ]
    pairs.append(each.plan() for each in (found, wanted))
    pairs.append((found.apply(given(v), transpose=True), wanted.apply(v, transpose=True)))
    pairs += zip(found.gradients(), wanted.gradients(), strict=True)
    for mine, expected in pairs:
        if isinstance(expected, list):
            assert type(mine) is list
            for one, other in zip(mine, expected, strict=True):
                assert_tensor(one, other)
        else:
            assert_tensor(mine, np.asarray(expected))


def test_a_divergence_of_tensors_is_a_loss() -> None:
    x, y = BATCH[0], BATCH[1]
    wanted = sinkhorn_divergence_points(x, y, epsilon=0.5, gradients=True)
    found = sinkhorn_divergence_points(tensor(x), tensor(y), epsilon=0.5, gradients=True)
    for mine, expected in zip(found, wanted, strict=True):
        assert_tensor(mine, np.asarray(expected))
    with pytest.raises(TypeError, match="grad"):
        sinkhorn_points(tensor(x).requires_grad_(), tensor(y), epsilon=0.5)
    with pytest.raises(TypeError, match="x and y"):
        sinkhorn_points(tensor(x), y, epsilon=0.5)


def test_results_own_their_memory() -> None:
    lengths = torch.tensor([6, 1, 4])
    warping = dtw(tensor(BATCH), tensor(BATCH), x_lengths=lengths)
    warping.x_length.fill_(-1)
    warping.cost.fill_(-1)
    assert lengths.tolist() == [6, 1, 4]
    assert warping.y_length.tolist() == [6, 6, 6]


# Dtypes and layouts


def test_any_layout_is_read_right() -> None:
    frames = tensor(BATCH[0])
    other = tensor(BATCH[1])
    expected = dtw(BATCH[0], BATCH[1]).cost
    wide = torch.full((6, 6), float("nan"))
    wide[:, ::3] = frames
    for same in (frames.T.contiguous().T, wide[:, ::3], frames.unsqueeze(0)[0]):
        assert_tensor(dtw(same, other).cost, expected)
    expanded = tensor(X[:1]).expand(7)
    assert expanded.stride() == (0,)
    assert_tensor(dtw(expanded, tensor(Y)).cost, dtw(np.repeat(X[:1], 7), Y).cost)
    repeated = frames.expand(3, 6, 2)
    assert_tensor(dtw(repeated, other).cost, np.repeat(expected, 3))
    unfolded = tensor(X).unfold(0, 4, 1)
    assert_tensor(dtw_cdist(unfolded), dtw_cdist(unfolded.contiguous().numpy()))
    assert_tensor(dtw_cdist(tensor(COLLECTION).T), dtw_cdist(COLLECTION.T.copy()))


def test_options_may_be_tensors() -> None:
    x, y = tensor(X), tensor(Y)
    bounds = np.clip(np.stack([np.arange(9) - 1, np.arange(9) + 2], axis=1), 0, 9)
    expected = dtw(X, Y, window=1).cost
    assert_tensor(dtw(x, y, window=torch.tensor(bounds)).cost, expected)
    assert_tensor(dtw(x, y, window=slanted(1)).cost, expected)
    assert_tensor(dtw(x, y, window=torch.tensor(1)).cost, expected)
    assert_tensor(dtw(x, y, window=slanted(torch.tensor(1))).cost, expected)
    assert_tensor(dtw(x, y, max_cost=torch.tensor(0.0)).cost, np.float32(np.inf))
    assert_tensor(dtw(x, y, threads=2, device="auto").cost, dtw(X, Y).cost)


def test_only_an_integer_scalar_is_an_integer() -> None:
    # PyTorch lets a tensor of one element, and one of bool, stand for an index.
    x, y = tensor(X), tensor(Y)
    for window, words in (
        (torch.tensor([1]), r"window: expected \(N, 2\) bounds, got shape \(1,\)"),
        (torch.tensor(True), "window: expected integer bounds, got dtype bool"),
    ):
        with pytest.raises((TypeError, ValueError), match=rf"\A{words}\Z"):
            dtw(x, y, window=window)
    for count in (torch.tensor([2]), torch.tensor(True)):
        with pytest.raises(TypeError, match=r"\Athreads: expected None or an integer, got Tensor"):
            dtw(x, y, threads=count)


# Refused


def test_values_and_dtypes_are_checked_like_numpy() -> None:
    spoilt = tensor(BATCH)
    spoilt[2, 3, 1] = float("nan")
    with pytest.raises(ValueError, match=r"\Ax: NaN at index \(2, 3, 1\); expected finite values"):
        dtw(spoilt, tensor(BATCH))
    with pytest.raises(ValueError, match=r"\Ay\[1\]: NaN at index \(3, 1\); expected finite"):
        dtw(tensor(BATCH), [tensor(BATCH[0]), spoilt[2], tensor(BATCH[0])])
    with pytest.raises(TypeError, match=r"\Ax: expected a real numeric dtype .* got complex64\Z"):
        dtw(torch.complex(tensor(X), tensor(X)), tensor(Y))
    with pytest.raises(TypeError, match=r"\Ax_lengths: expected integers, got dtype float32\Z"):
        dtw(tensor(BATCH), tensor(BATCH), x_lengths=torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(
        ValueError, match=r"\Ax: expected a 1-D or 2-D or 3-D array, got shape \(\)"
    ):
        dtw(torch.tensor(1.0), tensor(Y))
    padded = tensor(BATCH)
    padded[1, 4:] = float("nan")
    assert dtw(padded, padded, x_lengths=[6, 4, 6], y_lengths=[6, 4, 6]).cost.tolist() == [0.0] * 3


def test_a_cost_that_overflows_warns() -> None:
    x = torch.full((3,), 1e30)
    with pytest.warns(RuntimeWarning, match=r"\Adtw: 1 of 1 costs overflow float32; "):
        warping = dtw(x, -x)
    assert_tensor(warping.status, np.int32(Status.PRECISION_LIMIT))
    with pytest.raises(OverflowError, match=r"\Aproblem 0: "):
        warping.check()


def test_an_empty_list_takes_the_kind_of_the_other_side() -> None:
    series = tensor(X)
    for found in (dtw([], series), dtw(series, [])):
        assert_tensor(found.cost, np.empty(0))
    assert_tensor(dtw_cdist([], [series]), np.empty((0, 1)))


def test_lengths_without_memory_are_refused_without_a_remedy() -> None:
    lengths = torch.ones(3, dtype=torch.int64, device="meta")
    with pytest.raises(DeviceError, match=r"\Ax_lengths: lies on meta, .* compute\Z"):
        dtw(tensor(BATCH), tensor(BATCH), x_lengths=lengths)
    with pytest.raises(DeviceError, match=r"\Arow_lengths: lies on meta, .* compute\Z"):
        assign(tensor(BATCH), row_lengths=lengths)


# Assignment


def test_assignments_of_tensors_start_others() -> None:
    costs = tensor(rng.uniform(size=(2, 5, 5)))
    cold = assign(costs)
    assert_tensor(assign(costs, warm_start=cold).total, cold.total.numpy())
    one = assign(costs[0], warm_start=assign(costs[0].numpy()))
    assert_tensor(one.col_of_row, cold.col_of_row[0].numpy())


# CTC


def ctc_problem() -> tuple[Any, Any, Any, Any]:
    """Frames first, as PyTorch has them; texts in a padded array."""
    frames = tensor(np.random.default_rng(23).normal(size=(12, 3, 5)).astype(np.float32))
    texts = torch.tensor([[1, 2, 2], [4, 0, 0], [3, 1, 0]])
    return frames, texts, torch.tensor([12, 9, 7]), torch.tensor([3, 1, 2])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ctc_agrees_with_torch(reduction: str, dtype: str) -> None:
    frames, texts, x_lengths, target_lengths = ctc_problem()
    frames = frames.to(getattr(torch, dtype))
    leaf = frames.clone().requires_grad_()
    loss = torch.nn.functional.ctc_loss(
        leaf.log_softmax(-1), texts, x_lengths, target_lengths, reduction=reduction
    )
    loss.sum().backward()
    in_a_row = torch.cat([text[:n] for text, n in zip(texts, target_lengths.tolist(), strict=True)])
    for targets in (texts, texts.int(), in_a_row):
        found = ctc_forward_backward(
            frames.transpose(0, 1),
            targets,
            x_lengths=x_lengths,
            target_lengths=target_lengths,
            reduction=reduction,
        )
        torch.testing.assert_close(found.loss, loss.detach(), rtol=1e-5, atol=0)
        torch.testing.assert_close(found.grad.transpose(0, 1), leaf.grad, rtol=0, atol=1e-5)
        assert type(found.occupancy()) is torch.Tensor
    out = torch.full_like(frames, float("nan")).transpose(0, 1)
    found = ctc_forward_backward(
        frames.transpose(0, 1),
        texts,
        x_lengths=x_lengths,
        target_lengths=target_lengths,
        reduction=reduction,
        out=out,
    )
    assert found.grad is out
    torch.testing.assert_close(out.transpose(0, 1), leaf.grad, rtol=0, atol=1e-5)


def test_ctc_of_half_precision_is_that_of_its_values() -> None:
    frames, texts, x_lengths, target_lengths = ctc_problem()
    options = {"x_lengths": x_lengths, "target_lengths": target_lengths}
    for dtype in (torch.bfloat16, torch.float16):
        half = frames.to(dtype).transpose(0, 1)
        expected = ctc_loss(half.float().numpy(), texts.numpy(), **options)
        assert_tensor(ctc_loss(half, texts, **options), expected)
        found = ctc_forward_backward(half, texts, **options)
        assert_tensor(found.loss, expected)
        assert found.grad.dtype == torch.float32
        # The result refers to what was given, not to what was made of it.
        assert found.x is half
        assert found.targets is texts
        assert found.x_lengths is x_lengths


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_close_arguments_go_back_to_the_front_door(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, _, x_lengths, _ = ctc_problem()
    x = frames.transpose(0, 1)[:2].to(getattr(torch, dtype))
    texts = torch.tensor([[1, 2], [3, 1]])
    monkeypatch.setattr(_validate, "take_emissions", None)
    monkeypatch.setattr(_validate, "take_matrices", None)
    for found in (
        ctc_loss(x, texts, x_lengths=x_lengths[:2]),
        ctc_forward_backward(x, texts, x_lengths=x_lengths[:2]).grad,
        ctc_greedy(x).total,
        ctc_align(x, texts).total,
        monotonic_alignment(x.transpose(1, 2), text_lengths=torch.tensor([2, 3])).durations,
    ):
        assert type(found) is torch.Tensor
    if dtype == "float16":
        assert type(ctc_loss(x.numpy(), texts.numpy())) is np.ndarray
        assert type(ctc_forward_backward(x.numpy(), texts.numpy()).grad) is np.ndarray


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("form", ["one", "batch", "list"])
def test_posteriors_of_tensors_are_those_of_arrays(form: str, reduction: str) -> None:
    frames, texts, _, _ = ctc_problem()
    x, texts = frames.transpose(0, 1)[:2], torch.tensor([[1, 2], [3, 1]])
    given: Any = {"one": (x[0], texts[0]), "batch": (x, texts), "list": ([*x], [*texts])}[form]
    arrays = [[t.numpy() for t in g] if form == "list" else g.numpy() for g in given]
    found = ctc_forward_backward(*given, reduction=reduction)
    expected = ctc_forward_backward(*arrays, reduction=reduction)
    assert_tensor(found.loss, expected.loss)
    assert_tensor(found.status, expected.status)
    grads = found.grad if form == "list" else [found.grad]
    wanted = expected.grad if form == "list" else [expected.grad]
    for mine, other in zip(grads, wanted, strict=True):
        assert_tensor(mine, other)
    for kept, one in zip((found.x, found.targets), given, strict=True):
        assert kept is one or all(a is b for a, b in zip(kept, one, strict=True))


def test_a_warning_names_the_line_that_called() -> None:
    for score in (np.full((3, 40), 1e308), torch.full((3, 40), 1e308, dtype=torch.float64)):
        with pytest.warns(RuntimeWarning, match="totals overflow") as caught:
            found = monotonic_alignment(score)
        assert [warning.filename for warning in caught] == [__file__]
        assert found.status == Status.PRECISION_LIMIT
