"""Forced alignment on a GPU: the CPU's paths, the oracle's totals, and nothing waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coalign import CTCAlignment, DeviceError, InfeasibleError, Status, ctc_align
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from oracles import ctc_align as oracle
from oracles.ctc import make

INPUTS = ("logits", "log_probs")
INDICES = ("labels", "start", "stop")
SCORES = ("frame_score", "token_score", "confidence")
# The path is the best in float64: rounding alone is left.
TOLERANCE = 1e-12
WILDCARD = 99
# Frames, symbols, labels: in a group of 32 lanes, at its edges, in more; and read by a block.
SHAPES = [(1, 2, 0), (1, 2, 1), (0, 3, 0), (9, 5, 3), (50, 7, 31), (60, 7, 32), (80, 40, 33)]
SHAPES += [(130, 30, 100), (5, 1030, 3)]


def assert_same(
    gpu: GpuUnderTest, found: Any, wanted: CTCAlignment, problem: int | None = None
) -> None:
    """One problem of a result has the CPU's path and, up to rounding, its scores."""

    def part(name: str) -> Any:
        value = getattr(found, name)
        return gpu.get(value if problem is None else value[problem])

    assert part("status") == wanted.status
    for name in INDICES:
        alone = getattr(wanted, name)
        np.testing.assert_array_equal(part(name)[: len(alone)], alone, err_msg=name)
        assert (part(name)[len(alone) :] == -1).all()
    if wanted.status == Status.PRECISION_LIMIT:
        return
    total = np.abs(np.float64(wanted.frame_score)).sum()
    np.testing.assert_allclose(part("total"), wanted.total, rtol=0, atol=TOLERANCE * total)
    for name in SCORES:
        alone = getattr(wanted, name)
        assert part(name).dtype == alone.dtype
        rounding = 4 * float(np.finfo(alone.dtype).eps)
        np.testing.assert_allclose(
            part(name)[: len(alone)], alone, rtol=rounding, atol=1e-14, err_msg=name
        )
        assert (part(name)[len(alone) :] == 0).all()


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("input", INPUTS)
def test_every_shape_has_the_cpus_path(
    gpu: GpuUnderTest, dtype: np.dtype, shape: tuple[int, int, int], input: str
) -> None:
    x, text = make(shape, dtype)
    with forced() as runs:
        found = ctc_align(gpu.put(x), text, input=input)
    assert [run.isa for run in runs] == ["cuda"]
    assert found.total.shape == found.status.shape == ()
    assert_same(gpu, found, ctc_align(x, text, input=input))
    best = oracle.best_score(oracle.log_probabilities(x, input), text, 0)
    scale = np.abs(np.float64(gpu.get(found.frame_score))).sum()
    assert abs(gpu.get(found.total) - best) <= TOLERANCE * scale


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    frames=st.integers(0, 30),
    symbols=st.integers(1, 7),
    labels=st.integers(0, 12),
    family=st.sampled_from(["normal", "ties", "forbidden", "sentinels"]),
    input=st.sampled_from(INPUTS),
    ends=st.tuples(st.booleans(), st.booleans()),
    has_wildcard=st.booleans(),
    workspace=st.sampled_from([1, 1 << 30]),
)
def test_any_problem_ends_as_on_the_cpu(
    gpu: GpuUnderTest,
    seed: int,
    frames: int,
    symbols: int,
    labels: int,
    family: str,
    input: str,
    ends: tuple[bool, bool],
    has_wildcard: bool,
    workspace: int,
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(frames, symbols)) * 3
    if family == "ties":
        x = np.round(x / 6)
    elif family != "normal":
        never = rng.random(x.shape) < 0.3
        values = [-np.inf] if family == "forbidden" else [-1e9, -3.4e38, np.finfo(float).min]
        x[never] = rng.choice(values, never.sum())
    blank = int(rng.integers(symbols))
    choices = np.delete(np.arange(symbols), blank)
    if has_wildcard or choices.size == 0:
        choices = np.append(choices, WILDCARD)
    text = rng.choice(choices, labels)
    options = {"blank": blank, "input": input, "wildcard": WILDCARD}
    options |= dict(zip(("open_begin", "open_end"), ends, strict=True))
    with forced(workspace_bytes=workspace):
        found = ctc_align(gpu.put(x), gpu.put(text), **options)
    try:
        wanted = ctc_align(x, text, **options)
    except InfeasibleError:
        assert gpu.get(found.status) == Status.INFEASIBLE
        assert gpu.get(found.total) == -np.inf
        assert all((gpu.get(getattr(found, name)) == -1).all() for name in INDICES)
        assert all((gpu.get(getattr(found, name)) == 0).all() for name in SCORES)
    else:
        assert_same(gpu, found, wanted)


@pytest.mark.parametrize("workspace", [1, 1 << 30])
def test_a_long_text_in_pieces_and_in_one(gpu: GpuUnderTest, workspace: int) -> None:
    rng = np.random.default_rng(0)
    shapes = [(200, 130), (250, 20)] if gpu.is_emulated else [(300, 20), (1200, 1100), (9000, 4000)]
    for frames, labels in shapes:
        x, text = rng.normal(size=(frames, 9)).astype(np.float32), rng.integers(1, 9, labels)
        text = text[np.append(True, text[1:] != text[:-1])]
        for ends in ({}, {"open_begin": True, "open_end": True}):
            with forced(workspace_bytes=workspace):
                found = ctc_align(gpu.put(x), text, **ends)
            assert_same(gpu, found, ctc_align(x, text, **ends))


@pytest.mark.parametrize("form", ["list", "padded"])
@pytest.mark.parametrize("place", ["host", "device"])
def test_batches_of_any_form(gpu: GpuUnderTest, dtype: np.dtype, form: str, place: str) -> None:
    shapes = [(9, 6, 3), (0, 6, 0), (20, 6, 0), (70, 6, 40), (8, 6, 5)]
    problems = [make(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    texts: Any = [text for _, text in problems]
    take = gpu.put if place == "device" else lambda value: value
    if form == "list":
        x, options, targets = gpu.put([x for x, _ in problems]), {}, take(texts)
    else:
        room, labels = np.full((5, 73, 6), np.nan, dtype), np.full((5, 44), -7, np.int32)
        for p, (frames, text) in enumerate(problems):
            room[p, : len(frames)], labels[p, : len(text)] = frames, text
        options = {
            "x_lengths": take(np.array([frames for frames, _, _ in shapes])),
            "target_lengths": take(np.array([count for _, _, count in shapes], np.int32)),
        }
        x, targets = gpu.put(room), take(labels)
    # Room for one problem at a time, and for all.
    for workspace in (1, 1 << 30):
        with forced(workspace_bytes=workspace):
            found = ctc_align(x, targets, **options)
        assert isinstance(found.labels, list) is isinstance(found.start, list) is (form == "list")
        for p, (frames, text) in enumerate(problems):
            assert_same(gpu, found, ctc_align(frames, text), p)
    spans = [ctc_align(frames, text).spans for frames, text in problems]
    for mine, theirs in zip(found.spans, spans, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("place", ["host", "device"])
def test_one_of_either_goes_with_all_of_the_other(gpu: GpuUnderTest, place: str) -> None:
    batch = np.random.default_rng(2).normal(size=(3, 9, 5))
    texts = np.array([[1, 2, 1], [4, 4, 2], [3, 2, 3]])
    take = gpu.put if place == "device" else np.copy
    found = ctc_align(gpu.put(batch), take(texts[0]))
    for p in range(3):
        assert_same(gpu, found, ctc_align(batch[p], texts[0]), p)
    many = [*texts] if place == "host" else [take(text) for text in texts]
    for targets, options in (
        (take(texts), {}),
        (many, {}),
        (take(texts.reshape(-1)), {"target_lengths": [3, 3, 3]}),
    ):
        found = ctc_align(gpu.put(batch[0]), targets, **options)
        assert isinstance(found.labels, list) is (targets is many or bool(options))
        for p in range(3):
            assert_same(gpu, found, ctc_align(batch[0], texts[p]), p)


def test_any_strides(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    base = np.random.default_rng(3).normal(size=(12, 14, 20)).astype(dtype)
    for view in (
        lambda x: x[:, ::-1],
        lambda x: x[::-1, :, 1:6],
        lambda x: x[:, ::2, ::3],
        lambda x: x.transpose(1, 0, 2),
    ):
        lies = gpu.put(base)
        lies = type(lies)(view(lies.memory), 0) if gpu.is_emulated else view(lies)
        found = ctc_align(lies, [1, 2, 1])
        for p, x in enumerate(view(base)):
            assert_same(gpu, found, ctc_align(x, [1, 2, 1]), p)


# -- What has no answer ----------------------------------------------------------------------------


def test_what_has_no_answer_goes_to_the_status(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    batch = np.random.default_rng(1).normal(size=(8, 9, 5)).astype(dtype)
    batch[1, 7, 3], batch[2, 0, 0] = np.nan, np.inf
    batch[3, 4] = -np.inf
    # Also beside a text that does not fit a bad score is said.
    batch[7, 1, 4] = np.nan
    lengths = np.array([9, 9, 9, 9, 2, 10, -1, 2])
    labels = np.tile([1, 2, 1], (8, 1))
    found = ctc_align(gpu.put(batch), gpu.put(labels), x_lengths=gpu.put(lengths))
    wanted = [Status.OK, Status.NAN, Status.NAN, Status.INFEASIBLE, Status.INFEASIBLE]
    assert gpu.get(found.status).tolist() == [*wanted, *[Status.INVALID] * 2, Status.NAN]
    total = gpu.get(found.total)
    assert np.isnan(total).tolist() == [p in (1, 2, 5, 6, 7) for p in range(8)]
    assert (total[3:5] == -np.inf).all()
    for name in INDICES:
        assert (gpu.get(getattr(found, name))[1:] == -1).all()
    for name in SCORES:
        assert (gpu.get(getattr(found, name))[1:] == 0).all()
    assert_same(gpu, found, ctc_align(batch[0], labels[0]), 0)
    with pytest.raises(ValueError, match=r"\Aproblem 1: NaN or \+inf in the scores"):
        found.check()


def test_scores_beyond_the_dtype_are_said_to_be(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    least = np.finfo(dtype).min
    batch = np.zeros((4, 3, 2), dtype)
    # One score; a token's sum; a total alone.
    batch[1, 1], batch[2, :, 1], batch[3, :, 0] = least, least / 2, least / 2
    batch[2, :, 0] = batch[3, :, 1] = -np.inf
    texts = [[1], [1], [1], []]
    options = {"input": "log_probs"}
    found = ctc_align(gpu.put([*batch]), texts, **options)
    wanted = ctc_align([*batch], texts, **options)
    assert gpu.get(found.status).tolist() == wanted.status.tolist()
    assert wanted.status[2] == Status.PRECISION_LIMIT
    for p in range(4):
        assert_same(gpu, found, ctc_align(batch[p], texts[p], **options), p)
    with pytest.raises(OverflowError, match=r"\Aproblem [12]: a score or the total is beyond"):
        found.check()


@pytest.mark.parametrize("label", [0, -1, 5, 2**40])
def test_labels_out_of_range_go_to_the_status(gpu: GpuUnderTest, label: int) -> None:
    batch = np.random.default_rng(1).normal(size=(3, 9, 5))
    labels = np.tile([1, 2, 1], (3, 1))
    labels[1, 2] = label
    for targets in (gpu.put(labels), gpu.put([*labels])):
        found = ctc_align(gpu.put(batch), targets)
        assert gpu.get(found.status).tolist() == [0, Status.INVALID, 0]
        for p in (0, 2):
            assert_same(gpu, found, ctc_align(batch[p], labels[p]), p)
    if label >= 5:
        found = ctc_align(gpu.put(batch), gpu.put(labels), wildcard=label)
        for p in range(3):
            assert_same(gpu, found, ctc_align(batch[p], labels[p], wildcard=label), p)


def test_only_scores_that_a_path_may_take_are_read(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    x, text = make((9, 6, 0), dtype)[0], np.array([1, 3])
    dirty = x.copy()
    dirty[:, [2, 4, 5]] = np.nan
    found = ctc_align(gpu.put(dirty), text, input="log_probs", wildcard=WILDCARD)
    assert_same(gpu, found, ctc_align(x, text, input="log_probs"))
    for options in ({"open_begin": True}, {"open_end": True}, {"input": "logits"}):
        found = ctc_align(gpu.put(dirty), text, **{"input": "log_probs", **options})
        assert gpu.get(found.status) == Status.NAN
    found = ctc_align(gpu.put(dirty), [1, WILDCARD], input="log_probs", wildcard=WILDCARD)
    assert gpu.get(found.status) == Status.NAN


# -- Host arrays -----------------------------------------------------------------------------------


def test_host_arrays_go_there_and_back(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    batch = np.random.default_rng(2).normal(size=(3, 9, 5)).astype(dtype)
    texts = np.array([[1, 2], [3, 3], [2, 4]])
    inputs: list[tuple[Any, Any, dict[str, Any]]] = [
        (batch, texts, {}),
        (batch[0], texts[0], {}),
        (batch[0], texts, {}),
        (batch[0], [*texts], {}),
        (batch, [[1], [2, 3, 1], []], {"x_lengths": [9, 4, 0]}),
        (batch, texts.reshape(-1), {"target_lengths": [2, 1, 3]}),
        ([*batch, batch[0, :4]], texts[0], {}),
        (batch[:0], texts[:0], {}),
        (batch, texts, {"open_begin": True, "open_end": True, "blank": -1, "wildcard": 7}),
    ]
    for x, targets, options in inputs:
        if options.get("blank") == -1:
            targets = np.where(targets == 4, 7, targets)
        with forced() as runs:
            found = ctc_align(x, targets, device="cuda", **options)
        assert [run.isa for run in runs] == ["cuda"] * (len(x) > 0)
        wanted = ctc_align(x, targets, **options)
        for name in (*INDICES, *SCORES, "total", "status"):
            mine, theirs = getattr(found, name), getattr(wanted, name)
            assert type(mine) is type(theirs), name
            for one, another in zip(
                *([part] if not isinstance(part, list) else part for part in (mine, theirs)),
                strict=True,
            ):
                assert one.dtype == another.dtype
                np.testing.assert_allclose(one, another, rtol=1e-6 if dtype == "f4" else 1e-13)


def test_what_is_wrong_on_the_host_is_named_as_on_the_cpu(gpu: GpuUnderTest) -> None:
    x = np.zeros((3, 4, 5))
    x[1, 2, 3], x[1, 3, 0] = np.nan, np.inf
    for device in ("cuda", "cpu"):
        with pytest.raises(ValueError, match=r"\Ax: NaN at index \(1, 2, 3\); expected finite"):
            ctc_align(x, [[1], [3], [2]], device=device)
        with pytest.raises(ValueError, match=r"\Ax\[1\]: inf at index \(3, 0\)"):
            ctc_align([x[0], x[1]], [[1], [2]], input="log_probs", device=device)
        with pytest.raises(InfeasibleError, match=r"\Aproblem 1: 4 frames cannot hold 5 tokens"):
            ctc_align(x[[0, 2]], [[1], [1, 2, 1, 2, 1]], device=device)
        with pytest.raises(ValueError, match=r"\Atargets: 9 at index \(0,\); expected labels"):
            ctc_align(x[0], [9], device=device)
        with pytest.raises(ValueError, match=r"\Awildcard: expected a label that is no symbol"):
            ctc_align(x[0], [1], wildcard=2, device=device)


@pytest.mark.usefixtures("gpu")
def test_auto_leaves_small_work_to_the_cpu() -> None:
    with forced() as runs:
        ctc_align(np.zeros((64, 6, 5)), [1, 2], device="auto")
    assert all(run.isa != "cuda" for run in runs)


# -- Devices and streams ---------------------------------------------------------------------------


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    batch = np.random.default_rng(1).normal(size=(3, 9, 5))
    labels, counts = np.array([[1, 2], [3, 3], [2, 1]]), np.array([9, 7, 8])
    x, texts, lengths = emulated.put(batch), emulated.put(labels), emulated.put(counts)
    items = emulated.put([*batch]), emulated.put([*labels])
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    results = [
        ctc_align(x, labels),
        ctc_align(x, texts, x_lengths=lengths, open_end=True),
        ctc_align(*items),
    ]
    assert emulated.cupy.emulation.state.downloads == before
    assert stream.pending >= len(results)
    assert all(np.isnan(found.total.memory).all() for found in results)
    stream.synchronize()
    for p in range(3):
        assert_same(emulated, results[0], ctc_align(batch[p], labels[p]), p)


def test_work_goes_to_the_arrays_device_and_its_stream(emulated: GpuUnderTest) -> None:
    cupy = emulated.cupy
    with cupy.cuda.Device(1):
        x = emulated.put(np.zeros((4, 3)))
        other = cupy.cuda.get_current_stream()
    found = ctc_align(x, [1, 2])
    assert cupy.cuda.get_current_stream().pending == 0
    assert other.pending > 0
    assert found.labels.device.id == 1


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_threads_changes_a_bit(emulated: GpuUnderTest, seed: int) -> None:
    batch, text = make((120, 9, 70), np.float32)[0], np.tile([1, 2, 3, 4], 17)
    alone = ctc_align(emulated.put(batch), text)
    wanted = {name: emulated.get(getattr(alone, name)) for name in (*INDICES, *SCORES, "total")}
    emulated_module().set_machine(driver=True, devices=2, seed=100 + seed)
    other = np.random.default_rng(0).normal(size=(1300, 9)).astype(np.float32)
    # Whatever is beside it in the batch, and in how many pieces it is searched.
    for workspace in (1, 1 << 30):
        with forced(workspace_bytes=workspace):
            found = ctc_align(emulated.put([other[:200], batch]), [text[:3], text])
        for name, value in wanted.items():
            np.testing.assert_array_equal(emulated.get(getattr(found, name)[1]), value)


def test_running_out_of_memory_names_the_size(emulated: GpuUnderTest) -> None:
    x = emulated.put(np.zeros((40, 30)))
    words = r"\Aout of device memory: [\d,]+ bytes wanted"
    with emulated.cupy.emulation.limited(1000), pytest.raises(DeviceError, match=words):
        ctc_align(x, [1, 2])
