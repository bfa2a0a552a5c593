"""CTC on a GPU: the oracle's values, the CPU's words, and nothing waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coalign import (
    DeviceError,
    InfeasibleError,
    Status,
    _ctc,
    ctc_forward_backward,
    ctc_greedy,
    ctc_loss,
)
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from oracles import ctc as oracle
from oracles.ctc import make

INPUTS = ("logits", "log_probs")
# Frames, symbols, labels: of a warp and of a block, of each number of positions a thread.
SHAPES = [(1, 2, 0), (1, 2, 1), (9, 5, 3), (0, 3, 0), (40, 7, 31), (40, 7, 15), (75, 40, 65)]


def assert_right(
    gpu: GpuUnderTest,
    found: Any,
    x: Any,
    text: Any,
    problem: int | None = None,
    *,
    blank: int = 0,
    input: str = "logits",
) -> None:
    """Compare one problem of a result with float64 on the same input."""
    parts = [found.loss, found.grad, found.status]
    if problem is not None:
        parts = [part[problem] for part in parts]
    loss, grad, status = map(gpu.get, parts)
    name = x.dtype.name
    assert loss.dtype == grad.dtype == x.dtype
    wanted, gradient, _ = oracle.forward_backward(x, text, blank, input)
    assert status == (Status.OK if np.isfinite(wanted) else Status.INFEASIBLE)
    np.testing.assert_allclose(loss, wanted, rtol=oracle.PROMISED_LOSS[name], atol=0)
    absolute = oracle.PROMISED_GRADIENT[name]
    np.testing.assert_allclose(grad[: len(x)], gradient, rtol=0, atol=absolute)
    assert (grad[len(x) :] == 0).all()


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("input", INPUTS)
def test_every_shape_is_right(
    gpu: GpuUnderTest, dtype: np.dtype, shape: tuple[int, int, int], input: str
) -> None:
    x, text = make(shape, dtype)
    with forced() as runs:
        found = ctc_forward_backward(gpu.put(x), text, input=input)
    assert [run.isa for run in runs] == ["cuda"]
    assert found.grad.shape == x.shape
    assert found.loss.shape == found.status.shape == ()
    assert_right(gpu, found, x, text, input=input)
    alone = ctc_loss(gpu.put(x), text, input=input)
    np.testing.assert_array_equal(gpu.get(alone), gpu.get(found.loss))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    frames=st.integers(0, 30),
    symbols=st.integers(2, 9),
    labels=st.integers(0, 14),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    input=st.sampled_from(INPUTS),
    never=st.sampled_from([0.0, 0.3]),
)
def test_any_problem_ends_as_on_the_cpu(
    gpu: GpuUnderTest,
    seed: int,
    frames: int,
    symbols: int,
    labels: int,
    scale: float,
    input: str,
    never: float,
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(frames, symbols)) * scale
    x[rng.uniform(size=x.shape) < never] = -np.inf
    blank = int(rng.integers(symbols))
    text = rng.choice(np.delete(np.arange(symbols), blank), labels)
    options = {"blank": blank, "input": input}
    wanted = ctc_forward_backward(x, text, **options)
    found = ctc_forward_backward(gpu.put(x), gpu.put(text), **options)
    np.testing.assert_allclose(gpu.get(found.loss), wanted.loss, rtol=2e-10, atol=1e-12)
    np.testing.assert_allclose(gpu.get(found.grad), wanted.grad, atol=2e-9)
    assert gpu.get(found.status) == wanted.status
    np.testing.assert_allclose(gpu.get(found.occupancy()), wanted.occupancy(), atol=2e-9)


@pytest.mark.parametrize("never", [-1e9, -1e12, -1e20, -1e30])
@pytest.mark.parametrize("input", INPUTS)
def test_a_mask_that_every_alignment_needs(
    gpu: GpuUnderTest, dtype: np.dtype, never: float, input: str
) -> None:
    rng = np.random.default_rng(3)
    x, text = rng.normal(size=(8, 5)).astype(dtype), np.array([1, 2, 1])
    x[4, :4] = never
    wanted = ctc_forward_backward(x, text, input=input)
    found = ctc_forward_backward(gpu.put(x), gpu.put(text), input=input)
    np.testing.assert_allclose(gpu.get(found.loss), wanted.loss, rtol=1e-6)
    assert wanted.status == Status.OK
    if never < -1e20:
        assert gpu.get(found.status) == Status.PRECISION_LIMIT
        return
    assert gpu.get(found.status) == Status.OK
    absolute = oracle.PROMISED_GRADIENT[dtype.name]
    np.testing.assert_allclose(gpu.get(found.grad), wanted.grad, rtol=0, atol=absolute)


@pytest.mark.parametrize("form", ["list", "padded"])
@pytest.mark.parametrize("place", ["host", "device"])
def test_batches_of_any_form(gpu: GpuUnderTest, dtype: np.dtype, form: str, place: str) -> None:
    shapes = [(9, 6, 3), (0, 6, 0), (20, 6, 0), (31, 6, 12), (4, 6, 5)]
    problems = [make(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    texts: Any = [text for _, text in problems]
    take = gpu.put if place == "device" else lambda value: value
    if form == "list":
        x, options, targets = gpu.put([x for x, _ in problems]), {}, take(texts)
    else:
        room, labels = np.full((5, 33, 6), np.nan, dtype), np.full((5, 14), -7, np.int32)
        for p, (frames, text) in enumerate(problems):
            room[p, : len(frames)], labels[p, : len(text)] = frames, text
        options = {
            "x_lengths": take(np.array([frames for frames, _, _ in shapes])),
            "target_lengths": take(np.array([count for _, _, count in shapes], np.int32)),
        }
        x, targets = gpu.put(room), take(labels)
    found = ctc_forward_backward(x, targets, **options)
    assert isinstance(found.grad, list) is (form == "list")
    losses = ctc_loss(x, targets, **options)
    np.testing.assert_array_equal(gpu.get(losses), gpu.get(found.loss))
    occupied = found.occupancy()
    assert isinstance(occupied, list) is (form == "list")
    for p, (frames, text) in enumerate(problems):
        assert_right(gpu, found, frames, text, p)
        _, _, states = oracle.forward_backward(frames, text, 0, "logits")
        symbols = oracle.by_symbol(states, text, 0, 6)
        part = gpu.get(occupied[p])
        tolerance = oracle.PROMISED_GRADIENT[dtype.name]
        np.testing.assert_allclose(part[: len(frames)], symbols, rtol=0, atol=tolerance)
        assert (part[len(frames) :] == 0).all()


@pytest.mark.parametrize("place", ["host", "device"])
def test_labels_that_follow_one_another(gpu: GpuUnderTest, place: str) -> None:
    batch = np.random.default_rng(1).normal(size=(3, 12, 5))
    labels, counts = np.array([1, 2, 2, 4, 3]), np.array([2, 0, 3])
    targets = gpu.put(labels) if place == "device" else labels
    found = ctc_forward_backward(gpu.put(batch), targets, target_lengths=counts)
    for p, text in enumerate(np.split(labels, [2, 2])):
        assert_right(gpu, found, batch[p], text, p)
    words = r"\Atarget_lengths: expected them in host memory, where labels follow one another"
    with pytest.raises(DeviceError, match=words):
        ctc_loss(gpu.put(batch), targets, target_lengths=gpu.put(counts))


@pytest.mark.parametrize("place", ["host", "device"])
def test_one_of_either_goes_with_all_of_the_other(gpu: GpuUnderTest, place: str) -> None:
    batch = np.random.default_rng(2).normal(size=(3, 9, 5))
    texts = np.array([[1, 2, 1], [4, 4, 2], [3, 2, 3]])
    take = gpu.put if place == "device" else np.copy
    found = ctc_forward_backward(gpu.put(batch), take(texts[0]))
    for p in range(3):
        assert_right(gpu, found, batch[p], texts[0], p)
    for targets in (take(texts), take([*texts]) if place == "device" else [*texts]):
        found = ctc_forward_backward(gpu.put(batch[0]), targets)
        assert found.grad.shape == (3, 9, 5)
        for p in range(3):
            assert_right(gpu, found, batch[0], texts[p], p)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reductions(gpu: GpuUnderTest, dtype: np.dtype, reduction: str) -> None:
    batch = np.random.default_rng(3).normal(size=(4, 12, 5)).astype(dtype)
    texts = [[1, 2], [], [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1], [2, 2, 3]]
    options = {"reduction": reduction, "zero_infinity": True}
    wanted = ctc_forward_backward(batch, texts, **options)
    found = ctc_forward_backward(gpu.put(batch), texts, **options)
    tolerance = oracle.PROMISED_LOSS[dtype.name]
    np.testing.assert_allclose(gpu.get(found.loss), wanted.loss, rtol=2 * tolerance)
    np.testing.assert_allclose(
        gpu.get(found.grad), wanted.grad, rtol=0, atol=oracle.PROMISED_GRADIENT[dtype.name]
    )
    assert gpu.get(found.status).tolist() == wanted.status.tolist()
    loss = ctc_loss(gpu.put(batch), texts, **options)
    assert loss.shape == ()
    np.testing.assert_array_equal(gpu.get(loss), gpu.get(found.loss))
    one = ctc_forward_backward(gpu.put(batch[0]), texts[0], reduction=reduction)
    alone = ctc_forward_backward(batch[0], texts[0], reduction=reduction)
    np.testing.assert_allclose(gpu.get(one.loss), alone.loss, rtol=2 * tolerance)
    np.testing.assert_allclose(gpu.get(one.grad), alone.grad, rtol=0, atol=1e-4)


def test_occupancies_of_states_are_for_the_cpu(gpu: GpuUnderTest) -> None:
    x, text = make((9, 5, 3), np.float64)
    found = ctc_forward_backward(gpu.put(x), text, input="log_probs", reduction="mean")
    np.testing.assert_allclose(gpu.get(found.occupancy()), -3 * gpu.get(found.grad), atol=1e-14)
    with pytest.raises(DeviceError, match=r'\Aper: expected "symbol" on a GPU, got "state"'):
        found.occupancy(per="state")
    back = ctc_forward_backward(x, text, device="cuda")
    assert back.occupancy(per="state").shape == (9, 7)


# -- Where arrays lie ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::-1],
        lambda x: x[::-1, :, 1:6],
        lambda x: x[:, ::2, ::3],
        lambda x: x.transpose(1, 0, 2),
    ],
)
def test_any_strides(gpu: GpuUnderTest, view: Any) -> None:
    base = np.random.default_rng(3).normal(size=(12, 14, 20))
    if gpu.is_emulated:
        lies = gpu.put(base)
        lies = type(lies)(view(lies.memory), lies.device.id)
    else:
        lies = view(gpu.put(base))
    same = gpu.put(np.ascontiguousarray(view(base)))
    found, wanted = (ctc_forward_backward(x, [1, 2, 1]) for x in (lies, same))
    for name in ("loss", "grad"):
        np.testing.assert_array_equal(gpu.get(getattr(found, name)), gpu.get(getattr(wanted, name)))


def test_a_gradient_goes_where_it_is_told(gpu: GpuUnderTest) -> None:
    batch = np.random.default_rng(4).normal(size=(3, 9, 5)).astype(np.float32)
    texts = [[1, 2], [3], [2, 2]]
    x = gpu.put(batch)
    wanted = gpu.get(ctc_forward_backward(x, texts).grad)
    memory = gpu.put(np.zeros((3, 9, 7), np.float32))
    out = memory[:, :, 1:6]
    found = ctc_forward_backward(x, texts, out=out)
    assert found.grad.data.ptr == out.data.ptr
    np.testing.assert_array_equal(gpu.get(out), wanted)
    assert (gpu.get(memory)[:, :, [0, 6]] == 0).all()
    outs = [gpu.put(np.zeros((9, 5), np.float32)) for _ in range(3)]
    found = ctc_forward_backward([x[0], x[1], x[2]], texts, out=outs)
    for p in range(3):
        assert found.grad[p].data.ptr == outs[p].data.ptr
        np.testing.assert_array_equal(gpu.get(outs[p]), wanted[p])
    with pytest.raises(ValueError, match=r"\Aout\[0\]: expected rows without gaps between them"):
        ctc_forward_backward([x[0], x[1], x[2]], texts, out=[out[0], outs[1], outs[2]])
    with pytest.raises(TypeError, match=r"\Ax and out: expected arrays of one kind"):
        ctc_forward_backward(x, texts, out=np.zeros((3, 9, 5), np.float32))
    with pytest.raises(ValueError, match=r"\Aout: expected memory of its own"):
        ctc_forward_backward(x, texts, out=x)


@pytest.mark.parametrize(("given", "computed"), [("float16", "float32"), ("int32", "float64")])
def test_other_dtypes_are_converted_there(gpu: GpuUnderTest, given: str, computed: str) -> None:
    x = np.random.default_rng(5).integers(-3, 4, (9, 5)).astype(given)
    found = ctc_forward_backward(gpu.put(x), [1, 2])
    assert_right(gpu, found, x.astype(computed), [1, 2])


# -- Host arrays -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("gpu")
def test_auto_takes_to_a_gpu_what_keeps_it_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    # Texts of two labels have five states.
    monkeypatch.setattr(_ctc, "_LEAST_GPU_STATES", 64 * 6 * 5)
    batch = np.random.default_rng(0).random((64, 6, 5))
    for x, is_on_gpu in (
        (batch, True),
        ([*batch], True),
        (batch[1:], False),
        (batch[:, :5], False),
        (np.concatenate([batch, batch], axis=2), False),
    ):
        with forced() as runs:
            ctc_loss(x, [1, 2], device="auto")
            ctc_forward_backward(x, [1, 2], device="auto")
        assert [run.isa == "cuda" for run in runs] == [is_on_gpu] * 2


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_host_arrays_go_there_and_back(gpu: GpuUnderTest, dtype: np.dtype, device: str) -> None:
    batch = np.random.default_rng(2).normal(size=(3, 9, 5)).astype(dtype)
    texts = np.array([[1, 2], [3, 3], [2, 4]])
    absolute = 2 * oracle.PROMISED_GRADIENT[dtype.name]
    relative = 2 * oracle.PROMISED_LOSS[dtype.name]
    inputs: list[tuple[Any, Any, dict[str, Any]]] = [
        (batch, texts, {}),
        (batch[0], texts[0], {}),
        (batch[0], texts, {"reduction": "mean"}),
        (batch, gpu.put(texts), {"x_lengths": [9, 4, 0]}),
        ([*batch], [*texts], {}),
        (batch[:0], texts[:0], {}),
        (batch[:0], texts[:0], {"reduction": "mean"}),
        ([], [], {"reduction": "sum"}),
    ]
    for x, targets, options in inputs:
        with forced(work_per_thread=0) as runs:
            found = ctc_forward_backward(x, targets, device=device, **options)
            loss = ctc_loss(x, targets, device=device, **options)
        assert {run.isa for run in runs} <= {"cuda"}
        wanted = ctc_forward_backward(x, targets, **options)
        for name in ("loss", "grad", "status", "x", "targets", "x_lengths"):
            assert type(getattr(found, name)) is type(getattr(wanted, name)), name
        np.testing.assert_allclose(found.loss, wanted.loss, rtol=relative)
        np.testing.assert_allclose(loss, wanted.loss, rtol=relative)
        assert type(loss) is type(ctc_loss(x, targets, **options))
        for mine, theirs in zip(found.grad, wanted.grad, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=absolute)
        np.testing.assert_array_equal(found.status, wanted.status)
        assert (found.blank, found.input) == (0, "logits")


def test_a_gradient_comes_back_to_where_it_is_told(gpu: GpuUnderTest) -> None:
    batch = np.random.default_rng(2).normal(size=(2, 9, 5))
    texts = [[1, 2], [3]]
    wanted = ctc_forward_backward(batch, texts).grad
    out = np.zeros((2, 9, 7))[:, :, 1:6]
    found = ctc_forward_backward(batch, texts, device="cuda", out=out)
    np.testing.assert_allclose(out, wanted, atol=1e-9)
    assert np.shares_memory(found.grad, out)
    outs = (np.zeros((9, 5)), np.zeros((9, 5)))
    found = ctc_forward_backward([*batch], texts, device="cuda", out=outs)
    for p in range(2):
        np.testing.assert_allclose(outs[p], wanted[p], atol=1e-9)
        assert np.shares_memory(found.grad[p], outs[p])


def test_bad_scores_from_the_host_are_named_as_on_the_cpu(gpu: GpuUnderTest) -> None:
    x = np.zeros((3, 4, 5))
    x[1, 2, 3] = np.nan
    x[1, 3, 0] = np.inf
    x[2, 0, 0] = np.nan
    texts = [[1], [3], [2]]
    for device in ("cuda", "cpu"):
        for call in (ctc_loss, ctc_forward_backward):
            with pytest.raises(ValueError, match=r"\Ax: NaN at index \(1, 2, 3\); expected finite"):
                call(x, texts, device=device)
            with pytest.raises(ValueError, match=r"\Ax\[1\]: inf at index \(3, 0\)"):
                call([x[0], x[1]], [[1], [2]], input="log_probs", device=device)
            # Of scores that are taken as they are, only those of the text are read.
            for text, words in (([1], r"inf at index \(3, 0\)"), ([3], r"NaN at index \(2, 3\)")):
                with pytest.raises(ValueError, match=rf"\Ax: {words}"):
                    call(x[1], [text, [1, 2]], input="log_probs", device=device)
            with pytest.raises(ValueError, match=r"\Atargets: 9 at index \(0, 0\); expected"):
                call(x, np.array([[9], [1], [1]]), device=device)


# -- Device arrays: status instead of exceptions ---------------------------------------------------


def test_what_has_no_answer_goes_to_the_status(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    batch = np.random.default_rng(1).normal(size=(7, 9, 5)).astype(dtype)
    batch[1, 7, 3] = np.nan
    batch[2, 0, 0] = np.inf
    lengths = np.array([9, 9, 9, 2, 10, -1, 9])
    labels = np.tile([1, 2, 1], (7, 1))
    wanted = [Status.OK, Status.NAN, Status.NAN, Status.INFEASIBLE, *[Status.INVALID] * 2]
    x, counts = gpu.put(batch), gpu.put(lengths)
    found = ctc_forward_backward(x, gpu.put(labels), x_lengths=counts)
    assert gpu.get(found.status).tolist() == [*wanted, Status.OK]
    loss, grad = gpu.get(found.loss), gpu.get(found.grad)
    assert np.isnan(loss).tolist() == [p in (1, 2, 4, 5) for p in range(7)]
    assert np.isinf(loss[3])
    assert np.isnan(grad[[1, 2, 4, 5]]).all()
    assert (grad[3] == 0).all()
    for p in (0, 6):
        assert_right(gpu, found, batch[p], labels[p], p)
    np.testing.assert_array_equal(gpu.get(ctc_loss(x, gpu.put(labels), x_lengths=counts)), loss)
    with pytest.raises(ValueError, match=r"\Aproblem 1: NaN or \+inf in the scores"):
        found.check()
    with pytest.raises(InfeasibleError, match=r"\Aproblem 0: no alignment of the text fits"):
        ctc_forward_backward(x[3:4], labels[3:4], x_lengths=[2]).check()


@pytest.mark.parametrize("label", [0, -1, 5, 2**40])
def test_labels_out_of_range_go_to_the_status(gpu: GpuUnderTest, label: int) -> None:
    x = gpu.put(np.random.default_rng(1).normal(size=(3, 9, 5)))
    labels = np.tile([1, 2, 1], (3, 1))
    labels[1, 2] = label
    for targets in (gpu.put(labels), gpu.put([*labels])):
        found = ctc_forward_backward(x, targets)
        assert gpu.get(found.status).tolist() == [0, Status.INVALID, 0]
        assert np.isnan(gpu.get(found.grad)[1]).all()
        with pytest.raises(ValueError, match=r"\Aproblem 1: a label or a length out of range"):
            found.check()
    # Beyond its length it is not read, and a length beyond the room is wrong itself.
    for count, status in ((2, Status.OK), (4, Status.INVALID), (-1, Status.INVALID)):
        lengths = gpu.put(np.array([3, count, 3]))
        found = ctc_forward_backward(x, gpu.put(labels), target_lengths=lengths)
        assert gpu.get(found.status).tolist() == [0, status, 0]
    # On the host a label is refused at once.
    with pytest.raises(ValueError, match=rf"\Atargets: {label} at index \(1, 2\); expected labels"):
        ctc_forward_backward(x, labels)


def test_shapes_and_kinds_raise_at_once(gpu: GpuUnderTest) -> None:
    x, texts = gpu.put(np.zeros((2, 4, 5))), np.array([[1], [2]])
    with pytest.raises(ValueError, match=r"\Ax: expected a 2-D or 3-D array, got shape \(3,\)"):
        ctc_loss(gpu.put(np.zeros(3)), [1])
    with pytest.raises(ValueError, match=r"\Ax_lengths: expected shape \(2,\), got \(3,\)"):
        ctc_loss(x, texts, x_lengths=gpu.put(np.array([1, 2, 3])))
    with pytest.raises(ValueError, match=r"\Atarget_lengths: expected shape \(2,\), got \(3,\)"):
        ctc_loss(x, texts, target_lengths=gpu.put(np.array([1, 1, 1])))
    with pytest.raises(TypeError, match=r"\Atargets: expected integers, got float64"):
        ctc_loss(x, gpu.put(np.zeros((2, 1))))
    with pytest.raises(TypeError, match=r"\Atargets\[0\] and targets\[1\]: expected all texts"):
        ctc_loss(x, [texts[0], gpu.put(texts[1])])
    with pytest.raises(ValueError, match=r"\Atargets: expected a 1-D or 2-D array"):
        ctc_loss(x, gpu.put(np.zeros((2, 1, 1), int)))
    with pytest.raises(TypeError, match=r"got cupy on cuda:0 and numpy; convert one"):
        ctc_loss([x[0], np.zeros((2, 5))], [*texts])
    with pytest.raises(DeviceError, match=r"\Adevice: expected the GPU that x lies on"):
        ctc_loss(x, texts, device="cpu")
    with pytest.raises(DeviceError, match=r"expected an array in host memory, got one on a GPU"):
        ctc_greedy(x)


# -- Streams and devices ---------------------------------------------------------------------------


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    batch = np.random.default_rng(1).normal(size=(3, 9, 5))
    labels, counts = np.array([[1, 2], [3, 3], [2, 1]]), np.array([9, 7, 8])
    x, texts, lengths = emulated.put(batch), emulated.put(labels), emulated.put(counts)
    items = emulated.put([*batch])
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    results = [
        ctc_forward_backward(x, labels),
        ctc_forward_backward(
            x, texts, x_lengths=lengths, reduction="mean", out=emulated.cupy.empty(batch.shape)
        ),
        ctc_forward_backward(items, emulated.put([*labels])),
        ctc_forward_backward(x, emulated.cupy.asarray(labels.reshape(-1)), target_lengths=[2] * 3),
    ]
    losses = [ctc_loss(x, texts, x_lengths=lengths), results[0].occupancy()]
    # To put two more arrays there, in the list above, waits for the stream.
    assert emulated.cupy.emulation.state.downloads == before
    assert np.isnan(losses[0].memory).all()
    assert np.isnan(losses[1].memory).all()
    stream.synchronize()
    wanted = ctc_forward_backward(batch, labels)
    for found in (results[0], results[2], results[3]):
        np.testing.assert_allclose(found.loss.memory, wanted.loss, rtol=1e-10)
    wanted = ctc_loss(batch, labels, x_lengths=counts)
    np.testing.assert_allclose(losses[0].memory, wanted, rtol=1e-10)


def test_work_goes_to_the_arrays_device_and_its_stream(emulated: GpuUnderTest) -> None:
    cupy = emulated.cupy
    with cupy.cuda.Device(1):
        x = emulated.put(np.zeros((4, 5)))
        other = cupy.cuda.get_current_stream()
    first = cupy.cuda.get_current_stream()
    found = ctc_forward_backward(x, [1])
    assert first.pending == 0
    assert other.pending > 0
    assert found.grad.device.id == 1
    assert cupy.cuda.Device().id == 0


def test_one_problem_has_the_bits_it_has_in_a_batch(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    problems = [make(shape, dtype) for shape in [(20, 6, 8), (5, 6, 1), (75, 6, 33), (30, 6, 0)]]
    xs, texts = [x for x, _ in problems], [text for _, text in problems]
    batch = ctc_forward_backward(gpu.put(xs), texts)
    with forced(workspace_bytes=1):
        divided = ctc_forward_backward(gpu.put(xs), texts)
    for p, (x, text) in enumerate(problems):
        alone = ctc_forward_backward(gpu.put(x), text)
        for found in (batch, divided):
            np.testing.assert_array_equal(gpu.get(alone.loss), gpu.get(found.loss[p]))
            np.testing.assert_array_equal(gpu.get(alone.grad), gpu.get(found.grad[p]))


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_threads_changes_a_bit(emulated: GpuUnderTest, seed: int) -> None:
    x, text = make((40, 7, 33), np.float32)
    found = []
    for order in (1, 100 + seed):
        emulated_module().set_machine(driver=True, devices=2, seed=order)
        found.append(ctc_forward_backward(emulated.put(x), text))
    for name in ("loss", "grad"):
        one, another = (emulated.get(getattr(result, name)) for result in found)
        np.testing.assert_array_equal(one, another)


def test_running_out_of_memory_names_the_size_and_breaks_nothing(emulated: GpuUnderTest) -> None:
    x, text = make((30, 20, 8), np.float64)
    lies = emulated.put(x)
    words = r"\Aout of device memory: [\d,]+ bytes wanted"
    with emulated.cupy.emulation.limited(1000), pytest.raises(DeviceError, match=words):
        ctc_forward_backward(lies, text)
    assert_right(emulated, ctc_forward_backward(lies, text), x, text)
