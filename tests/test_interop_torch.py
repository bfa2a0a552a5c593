"""PyTorch tensors in, PyTorch tensors out, with the bits that NumPy gets."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest

from coalign import DeviceError, Status, assign, dtw, dtw_cdist, slanted
from oracles.compare import assert_same_bits

if os.environ.get("COALIGN_REQUIRE_TORCH"):
    import torch
else:
    torch = pytest.importorskip("torch")

rng = np.random.default_rng(22)
X, Y = rng.normal(size=(2, 9)).astype(np.float32)
BATCH = rng.normal(size=(3, 6, 2)).astype(np.float32)
COLLECTION = rng.normal(size=(4, 6)).astype(np.float32)
DETACH = (
    r": expected a tensor that does not require grad, as gradients do not flow through this call; "
    r"pass tensor\.detach\(\)\Z"
)


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pair_of_tensors_gives_tensors(dtype: str) -> None:
    x, y = X.astype(dtype), Y.astype(dtype)
    expected = dtw(x, y, path=True)
    warping = dtw(tensor(x), tensor(y), path=True)
    for field in ("cost", "status", "x_index", "y_index", "x_length", "y_length"):
        assert_tensor(getattr(warping, field), getattr(expected, field))
    assert warping.cost.shape == ()
    assert warping.check() is warping
    assert dtw(tensor(x), tensor(y)).x_index is None


def test_a_batch_of_tensors_gives_tensors_and_lists_of_them() -> None:
    lengths = [6, 1, 4]
    expected = dtw(BATCH, BATCH[::-1], x_lengths=lengths, path=True)
    for given in (lengths, torch.tensor(lengths), torch.tensor(lengths, dtype=torch.int32)):
        warping = dtw(tensor(BATCH), tensor(BATCH[::-1]), x_lengths=given, path=True)
        for field in ("cost", "status", "x_length", "y_length"):
            assert_tensor(getattr(warping, field), getattr(expected, field))
        for field in ("x_index", "y_index"):
            assert type(getattr(warping, field)) is list
            for got, want in zip(getattr(warping, field), getattr(expected, field), strict=True):
                assert_tensor(got, want)


def test_lists_of_tensors_are_ragged_batches() -> None:
    items, others = [X, Y[:4], X[2:]], [Y, Y[:1], X]
    expected = dtw(items, others, path=True)
    warping = dtw([tensor(i) for i in items], tuple(tensor(i) for i in others), path=True)
    assert_tensor(warping.cost, expected.cost)
    assert_tensor(warping.x_index[1], expected.x_index[1])
    assert_tensor(dtw_cdist([tensor(i) for i in items]), dtw_cdist(items))
    one = dtw(tensor(X), [tensor(Y), tensor(Y)])
    assert_tensor(one.cost, dtw(X, [Y, Y]).cost)


def test_collections_and_matrices() -> None:
    assert_tensor(dtw_cdist(tensor(COLLECTION)), dtw_cdist(COLLECTION))
    assert_tensor(
        dtw_cdist(tensor(BATCH), tensor(BATCH[:2]), y_lengths=torch.tensor([2, 5])),
        dtw_cdist(BATCH, BATCH[:2], y_lengths=[2, 5]),
    )
    warping = dtw(tensor(np.abs(COLLECTION)), metric="precomputed", path=True)
    expected = dtw(np.abs(COLLECTION), metric="precomputed", path=True)
    assert_tensor(warping.cost, expected.cost)
    assert_tensor(warping.y_index, expected.y_index)
    costs = [tensor(np.abs(COLLECTION)), tensor(np.abs(COLLECTION[:2]))]
    assert_tensor(
        dtw(costs, metric="precomputed").cost,
        dtw([cost.numpy() for cost in costs], metric="precomputed").cost,
    )


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


def test_results_own_their_memory() -> None:
    lengths = torch.tensor([6, 1, 4])
    warping = dtw(tensor(BATCH), tensor(BATCH), x_lengths=lengths)
    warping.x_length.fill_(-1)
    warping.cost.fill_(-1)
    assert lengths.tolist() == [6, 1, 4]
    assert warping.y_length.tolist() == [6, 6, 6]


# Dtypes and layouts


@pytest.mark.parametrize(
    ("dtype", "computed"),
    [
        ("float16", "float32"),
        ("bfloat16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("uint8", "float64"),
        ("int32", "float64"),
        ("int64", "float64"),
        ("bool", "float64"),
    ],
)
def test_every_real_dtype_is_computed_in_its_own(dtype: str, computed: str) -> None:
    x, y = (torch.tensor([0, 1, 1, 0, 1]).to(getattr(torch, dtype)) for _ in range(2))
    y = y[:2]
    wanted = getattr(torch, computed)
    assert dtw(x, y).cost.dtype == wanted
    assert float(dtw(x, y).cost) == 1.0
    assert dtw([x, y], y).cost.dtype == wanted
    costs = dtw_cdist(torch.stack([x, 1 - x if dtype != "bool" else ~x]))
    assert costs.dtype == wanted
    assert costs.tolist() == [[0.0, 2.0], [2.0, 0.0]]
    assert dtw(torch.stack([x, x]), metric="precomputed").cost.dtype == wanted


def test_bfloat16_is_widened_exactly() -> None:
    x, y = tensor(X).bfloat16(), tensor(Y).bfloat16()
    assert_tensor(dtw(x, y).cost, dtw(x.float().numpy(), y.float().numpy()).cost)
    assert_tensor(dtw(x, tensor(Y).double()).cost, dtw(x.double().numpy(), Y.astype(float)).cost)


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


def test_a_negated_view_is_read_right() -> None:
    conjugate = torch.complex(tensor(Y), tensor(X)).conj()
    assert conjugate.imag.is_neg()
    assert_tensor(dtw(conjugate.imag, tensor(Y)).cost, dtw(-X, Y).cost)


def test_tensors_made_for_inference_and_subclasses_are_tensors() -> None:
    class Labelled(torch.Tensor):
        pass

    with torch.inference_mode():
        x = tensor(X)
        assert_tensor(dtw(x, x + 1).cost, dtw(X, X + 1).cost)
    assert_tensor(dtw(x, tensor(Y)).cost, dtw(X, Y).cost)
    labelled = tensor(X).as_subclass(Labelled)
    assert_tensor(dtw(labelled, tensor(Y)).cost, dtw(X, Y).cost)


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


# A preallocated result


@pytest.mark.parametrize(
    "layout",
    [
        lambda: torch.full((4, 4), -1.0),
        lambda: torch.full((4, 9), -1.0)[:, 2:6],
        lambda: torch.full((8, 4), -1.0)[::2],
    ],
    ids=["plain", "columns of a wider one", "every other row"],
)
def test_out_is_filled_in_place_and_returned(layout: Any) -> None:
    out = layout()
    expected = dtw_cdist(COLLECTION)
    assert dtw_cdist(tensor(COLLECTION), out=out) is out
    assert_same_bits(out.contiguous().numpy(), expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "int32"])
def test_out_of_another_dtype_is_refused_and_left_alone(dtype: str) -> None:
    out = torch.full((4, 4), -1, dtype=getattr(torch, dtype))
    with pytest.raises(
        ValueError, match=rf"\Aout: expected shape \(4, 4\) of float32, got .*{dtype}"
    ):
        dtw_cdist(tensor(COLLECTION), out=out)
    assert (out == -1).all()


def test_out_of_integers_is_refused_where_the_result_is_float64() -> None:
    out = torch.full((4, 4), -1)
    with pytest.raises(ValueError, match=r"\Aout: expected shape \(4, 4\) of float64, got .*int64"):
        dtw_cdist(tensor(COLLECTION).double(), out=out)
    assert (out == -1).all()


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (lambda: torch.zeros(4, 3), ValueError, r"expected shape \(4, 4\) of float32, got shape"),
        (lambda: torch.zeros(4, 4, requires_grad=True), TypeError, "expected a tensor that does"),
        (lambda: torch.zeros(4).expand(4, 4), ValueError, "expected rows that do not overlap"),
        (lambda: torch.zeros(4, 4).T, ValueError, "expected rows of unit stride"),
    ],
    ids=["shape", "requires grad", "expanded", "transposed"],
)
def test_out_that_cannot_take_the_result(out: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=rf"\Aout: {words}"):
        dtw_cdist(tensor(COLLECTION), out=out())


def test_out_may_not_lie_on_an_input() -> None:
    memory = tensor(COLLECTION)
    with pytest.raises(ValueError, match=r"\Aout: expected memory of its own"):
        dtw_cdist(memory[:, :4], out=memory[:, :4])
    assert_same_bits(memory.numpy(), COLLECTION)


# Refused


def test_a_tensor_that_requires_grad_is_refused_with_the_remedy() -> None:
    x, y = tensor(X), tensor(Y)
    tracked = tensor(X).requires_grad_()
    with pytest.raises(TypeError, match=r"\Ax" + DETACH):
        dtw(tracked, y)
    with pytest.raises(TypeError, match=r"\Ay\[1\]" + DETACH):
        dtw(x, [y, tracked * 2])
    with pytest.raises(TypeError, match=r"\AX" + DETACH):
        dtw_cdist(torch.nn.Parameter(tensor(COLLECTION)))
    with pytest.raises(TypeError, match=r"\Ax" + DETACH):
        dtw(torch.nn.Parameter(tensor(COLLECTION)), metric="precomputed")
    assert_tensor(dtw(tracked.detach(), y).cost, dtw(X, Y).cost)


def test_mixed_kinds_are_refused_with_the_remedy() -> None:
    remedy = r"expected arrays of one kind on one device, got {} and {}; convert one of them\Z"
    first = remedy.format("torch on cpu", "numpy")
    second = remedy.format("numpy", "torch on cpu")
    with pytest.raises(TypeError, match=r"\Ax and y: " + first):
        dtw(tensor(X), Y)
    with pytest.raises(TypeError, match=r"\Ax and y: " + second):
        dtw(X, tensor(Y))
    with pytest.raises(TypeError, match=r"\Ax and y: " + first):
        dtw(tensor(X), Y.tolist())
    with pytest.raises(TypeError, match=r"\Ax\[0\] and x\[1\]: " + first):
        dtw([tensor(X), Y], tensor(Y))
    with pytest.raises(TypeError, match=r"\AX and Y: " + second):
        dtw_cdist(COLLECTION, tensor(COLLECTION))
    with pytest.raises(TypeError, match=r"\Ax\[0\] and x\[2\]: " + second):
        dtw([COLLECTION, COLLECTION, tensor(COLLECTION)], metric="precomputed")


def test_what_has_no_values_on_the_host_is_refused_by_name() -> None:
    with pytest.raises(DeviceError, match=r"\Ax: lies on meta"):
        dtw(torch.zeros(3, device="meta"), tensor(Y))
    with pytest.raises(DeviceError, match=r'\Adevice: "cuda" was asked for'):
        dtw(tensor(X), tensor(Y), device="cuda")


def test_a_tensor_that_is_traced_is_refused_by_name() -> None:
    def cost(x: Any) -> Any:
        return dtw(x, x).cost

    with pytest.raises(TypeError, match=r"\Ax: expected "):
        torch.func.vmap(cost)(tensor(COLLECTION))
    with pytest.raises(TypeError, match=r"\Ax: expected "):
        torch.func.grad(cost)(tensor(X))


@pytest.mark.parametrize(
    "make",
    [
        lambda: tensor(COLLECTION).to_sparse(),
        lambda: tensor(COLLECTION).to(torch.float8_e4m3fn),
        lambda: torch.quantize_per_tensor(tensor(COLLECTION), 0.1, 0, torch.qint8),
    ],
    ids=["sparse", "float8", "quantized"],
)
def test_other_tensors_are_refused_by_name(make: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about what it will drop
        odd = make()
    with pytest.raises(TypeError, match=r"\AX: expected "):
        dtw_cdist(odd)


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


# Assignment


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"maximize": True}, {"max_cost": 0.5}], ids=str)
def test_costs_in_tensors_give_matchings_in_tensors(options: dict[str, Any], dtype: str) -> None:
    costs = rng.normal(size=(3, 4, 6)).astype(dtype)
    lengths = [4, 0, 2]
    for given, host, counts in (
        (tensor(costs[0]), costs[0], {}),
        (tensor(costs[0]).T, costs[0].T, {}),
        (tensor(costs), costs, {"row_lengths": lengths}),
        (tensor(costs), costs, {"col_lengths": torch.tensor(lengths)}),
    ):
        found = assign(given, **counts, **options)
        expected = assign(host, **{k: np.asarray(v) for k, v in counts.items()}, **options)
        for field in ("col_of_row", "row_of_col", "total", "row_dual", "col_dual", "status"):
            assert_tensor(getattr(found, field), getattr(expected, field))
        assert found.check() is found
        np.testing.assert_array_equal(found.gap(given), expected.gap(host))
    listed = assign([tensor(cost) for cost in costs], **options)
    assert_tensor(listed.total, assign([*costs], **options).total)
    for got, want in zip(listed.col_dual, assign([*costs], **options).col_dual, strict=True):
        assert_tensor(got, want)


def test_assignments_of_tensors_start_others() -> None:
    costs = tensor(rng.uniform(size=(2, 5, 5)))
    cold = assign(costs)
    assert_tensor(assign(costs, warm_start=cold).total, cold.total.numpy())
    one = assign(costs[0], warm_start=assign(costs[0].numpy()))
    assert_tensor(one.col_of_row, cold.col_of_row[0].numpy())


def test_costs_in_bfloat16_are_widened_exactly_and_gradients_refused() -> None:
    cost = tensor(BATCH[0] @ BATCH[1].T)
    found = assign(cost.bfloat16())
    assert_tensor(found.row_dual, assign(cost.bfloat16().float().numpy()).row_dual)
    with pytest.raises(TypeError, match="cost" + DETACH):
        assign(cost.requires_grad_())
