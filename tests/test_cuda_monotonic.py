"""Monotonic alignment on a GPU: the CPU's paths and totals to the bit, and nothing waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coalign import DeviceError, InfeasibleError, Status, monotonic_alignment
from coalign._execution import forced
from cuda_emulation.device import GpuUnderTest, emulated_module
from oracles import monotonic as oracle

# Tokens and frames, around strips of 32 tokens and tiles of 32 frames, and more strips than warps.
SHAPES = [(1, 1), (1, 70), (2, 2), (5, 9), (31, 40), (32, 32), (33, 96), (64, 65), (65, 200)]
SHAPES += [(97, 98), (140, 150), (300, 340)]


def assert_is_best(gpu: GpuUnderTest, found: Any, score: Any, problem: int | None = None) -> None:
    """One problem has the oracle's path and total: sums are float64, in the order of the frames."""
    parts = [found.durations, found.token_of_frame, found.total, found.status]
    if problem is not None:
        parts = [part[problem] for part in parts]
    durations, tokens, total, status = map(gpu.get, parts)
    n, frames = score.shape
    wanted, path = oracle.align(score)
    assert status == Status.OK
    assert total == wanted
    assert durations[:n].tolist() == path.tolist()
    assert tokens[:frames].tolist() == np.repeat(np.arange(n), path).tolist()
    assert (durations[n:] == 0).all()
    assert (tokens[frames:] == -1).all()


def scores_of(seed: int, shape: tuple[int, ...], dtype: Any, values: str = "normal") -> Any:
    """Scores of a kind; with holes one path of zeros is left in each."""
    rng = np.random.default_rng(seed)
    if values == "ties":
        return rng.integers(-1, 2, shape).astype(dtype)
    scores = rng.normal(size=shape).astype(dtype)
    if values == "holes":
        scores[rng.random(shape) < 0.2] = -np.inf
        n, frames = shape
        cuts = np.sort(rng.permutation(frames - 1)[: n - 1]) + 1
        scores[np.repeat(np.arange(n), np.diff([0, *cuts, frames])), np.arange(frames)] = 0
    return scores


# -- Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", ["normal", "ties", "holes"])
def test_every_shape_is_aligned(gpu: GpuUnderTest, dtype: np.dtype, values: str) -> None:
    for seed, shape in enumerate(SHAPES):
        score = scores_of(seed, shape, dtype, values)
        with forced() as runs:
            found = monotonic_alignment(gpu.put(score))
        assert [run.isa for run in runs] == ["cuda"]
        assert found.durations.shape == shape[:1]
        assert found.token_of_frame.shape == shape[1:]
        assert found.total.shape == found.status.shape == ()
        assert_is_best(gpu, found, score)


def test_a_ragged_batch_is_a_list_of_results(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    scores = [scores_of(seed, shape, dtype) for seed, shape in enumerate(SHAPES)]
    found = monotonic_alignment(gpu.put(scores))
    assert isinstance(found.durations, list)
    for p, score in enumerate(scores):
        assert found.durations[p].shape == score.shape[:1]
        assert found.token_of_frame[p].shape == score.shape[1:]
        assert_is_best(gpu, found, score, p)
    same = monotonic_alignment(gpu.put([scores[3], scores[3] + 1]))
    for p in range(2):
        assert_is_best(gpu, same, scores[3] + p, p)


def test_a_padded_batch_is_read_within_its_lengths(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    texts, frames = np.array([40, 3, 0, 1, 33]), np.array([70, 3, 0, 50, 64])
    score = np.full((5, 40, 70), np.nan, dtype)
    for p, shape in enumerate(zip(texts, frames, strict=True)):
        score[p, : shape[0], : shape[1]] = scores_of(p, shape, dtype)
    for lengths in (
        (texts, frames),
        (gpu.put(texts), gpu.put(frames)),
        (gpu.put(texts.astype(np.int32)), frames),
    ):
        options = dict(zip(("text_lengths", "frame_lengths"), lengths, strict=True))
        # Room for one problem at a time, and for all.
        for workspace in (1, 1 << 30):
            with forced(workspace_bytes=workspace):
                found = monotonic_alignment(gpu.put(score), **options)
            for p in (0, 1, 3, 4):
                assert_is_best(gpu, found, score[p, : texts[p], : frames[p]], p)
            assert gpu.get(found.status).tolist() == [0] * 5
            assert gpu.get(found.total)[2] == 0
            assert (gpu.get(found.durations)[2] == 0).all()
            assert (gpu.get(found.token_of_frame)[2] == -1).all()


def test_any_strides(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    base = np.random.default_rng(3).normal(size=(4, 50, 70)).astype(dtype)
    views = [
        (lambda a: a[:, :, :49].transpose(0, 2, 1)),
        (lambda a: a[:, ::-1]),
        (lambda a: a[:, ::2, ::2]),
        (lambda a: a[::2, 3:40, 1:70]),
    ]
    for view in views:
        lies = gpu.put(base)
        lies = type(lies)(view(lies.memory), 0) if gpu.is_emulated else view(lies)
        found = monotonic_alignment(lies)
        for p, score in enumerate(view(base)):
            assert_is_best(gpu, found, score, p)


def test_cells_that_no_path_meets_are_not_read(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    for n, frames in ((3, 5), (40, 44), (70, 110)):
        score = scores_of(n, (n, frames), dtype)
        token, frame = np.indices(score.shape)
        outside = (frame < token) | (frame > token + frames - n)
        for filler in (np.nan, np.inf, 1e30):
            spoilt = np.where(outside, dtype.type(filler), score)
            assert_is_best(gpu, monotonic_alignment(gpu.put(spoilt)), score)


# -- What has no answer ----------------------------------------------------------------------------


def test_what_has_no_answer_goes_to_the_status(gpu: GpuUnderTest, dtype: np.dtype) -> None:
    score = np.random.default_rng(1).normal(size=(7, 40, 70)).astype(dtype)
    score[1, 39, 69], score[2, 35, 40] = np.nan, np.inf
    score[3, :, 50] = -np.inf
    lengths = np.array([40, 40, 40, 40, 40, -1, 41])
    frames = np.array([70, 70, 70, 70, 39, 70, 70])
    found = monotonic_alignment(
        gpu.put(score), text_lengths=gpu.put(lengths), frame_lengths=gpu.put(frames)
    )
    wanted = [Status.OK, Status.NAN, Status.NAN, Status.INFEASIBLE, Status.INFEASIBLE]
    assert gpu.get(found.status).tolist() == [*wanted, Status.INVALID, Status.INVALID]
    total = gpu.get(found.total)
    assert np.isnan(total).tolist() == [False, True, True, False, False, True, True]
    assert (total[3:5] == -np.inf).all()
    assert (gpu.get(found.durations)[1:] == 0).all()
    assert (gpu.get(found.token_of_frame)[1:] == -1).all()
    assert_is_best(gpu, found, score[0], 0)
    with pytest.raises(ValueError, match=r"\Aproblem 1: a score is NaN or inf"):
        found.check()


def test_totals_that_overflow_are_said_to(gpu: GpuUnderTest) -> None:
    score = np.zeros((4, 40, 70))
    score[1], score[2] = 1e308, -1e308
    # No path: -inf, whatever overflows on the way.
    score[3], score[3, :, 60] = 1e308, -np.inf
    found = monotonic_alignment(gpu.put(score))
    wanted = [Status.OK, Status.PRECISION_LIMIT, Status.PRECISION_LIMIT, Status.INFEASIBLE]
    assert gpu.get(found.status).tolist() == wanted
    assert gpu.get(found.total).tolist() == [0, np.inf, -np.inf, -np.inf]
    durations = gpu.get(found.durations)
    assert durations.sum(axis=1).tolist() == [70, 70, 70, 0]
    assert (durations[:3] >= 1).all()
    with pytest.warns(RuntimeWarning, match=r"\Amonotonic_alignment: 2 of 3 totals overflow"):
        monotonic_alignment(score[:3], device="cuda")


# -- Host arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_host_arrays_go_there_and_back(gpu: GpuUnderTest, dtype: np.dtype, device: str) -> None:
    batch = np.random.default_rng(2).normal(size=(3, 9, 14)).astype(dtype)
    inputs: list[tuple[Any, dict[str, Any]]] = [
        (batch, {}),
        (batch[0], {}),
        (batch, {"text_lengths": [9, 2, 5], "frame_lengths": [14, 2, 9]}),
        ([*batch, batch[0, :4]], {}),
        (np.empty((0, 3, 4), dtype), {}),
    ]
    for score, options in inputs:
        with forced(work_per_thread=0) as runs:
            found = monotonic_alignment(score, device=device, **options)
        assert [run.isa for run in runs] == ["cuda"] * (len(score) > 0)
        wanted = monotonic_alignment(score, **options)
        for name in ("durations", "token_of_frame", "total", "status"):
            mine, theirs = getattr(found, name), getattr(wanted, name)
            assert type(mine) is type(theirs)
            for one, another in zip(
                *([part] if not isinstance(part, list) else part for part in (mine, theirs)),
                strict=True,
            ):
                assert one.dtype == another.dtype
                np.testing.assert_array_equal(one, another)
    # Not for its work alone: copies cost as much.
    with forced() as runs:
        monotonic_alignment(np.zeros((70, 20, 40)), device="auto")
    assert all(run.isa != "cuda" for run in runs)


def test_what_is_wrong_on_the_host_is_named_as_on_the_cpu(gpu: GpuUnderTest) -> None:
    score = np.zeros((3, 4, 6))
    score[1, 2, 3] = np.nan
    score[2, 0, 0] = np.inf
    score[0, 3, 0] = np.nan  # no path meets it
    for device in ("cuda", "cpu"):
        words = r"\Ascore: NaN at index \(1, 2, 3\); expected finite scores or -inf"
        with pytest.raises(ValueError, match=words):
            monotonic_alignment(score, device=device)
        with pytest.raises(ValueError, match=r"\Ascore\[1\]: inf at index \(0, 0\)"):
            monotonic_alignment([score[0], score[2]], device=device)
        with pytest.raises(InfeasibleError, match=r"\Aproblem 1: expected at least one frame per"):
            monotonic_alignment([score[0], score[0].T], device=device)


# -- Devices and streams ---------------------------------------------------------------------------


def test_what_a_gpu_does_not_do_is_said(gpu: GpuUnderTest) -> None:
    score = gpu.put(np.zeros((3, 5)))
    with pytest.raises(DeviceError, match=r"\Adevice: expected the GPU that score lies on"):
        monotonic_alignment(score, device="cpu")
    with pytest.raises(ValueError, match=r"\Ascore: expected a 2-D or 3-D array"):
        monotonic_alignment(gpu.put(np.zeros(3)))
    with pytest.raises(TypeError, match=r"got cupy on cuda:0 and numpy; convert one"):
        monotonic_alignment([score, np.zeros((2, 2))])


def test_a_result_tells_paths_and_spans(gpu: GpuUnderTest) -> None:
    batch = np.random.default_rng(4).normal(size=(2, 4, 7))
    found, wanted = monotonic_alignment(gpu.put(batch)), monotonic_alignment(batch)
    np.testing.assert_array_equal(found.path(), wanted.path())
    for mine, theirs in zip(found.spans, wanted.spans, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_device_input_is_never_waited_for(emulated: GpuUnderTest) -> None:
    batch = np.random.default_rng(1).normal(size=(4, 6, 9))
    score, items = emulated.put(batch), emulated.put([batch[0], batch[1, :4]])
    lengths = emulated.put(np.array([6, 2, 3, 1]))
    stream = emulated.cupy.cuda.get_current_stream()
    before = emulated.cupy.emulation.state.downloads
    results = [
        monotonic_alignment(score),
        monotonic_alignment(score, text_lengths=lengths),
        monotonic_alignment(items),
    ]
    assert emulated.cupy.emulation.state.downloads == before
    assert stream.pending >= len(results)
    assert all(np.isnan(found.total.memory).all() for found in results)
    stream.synchronize()
    assert_is_best(emulated, results[0], batch[0], 0)


def test_work_goes_to_the_arrays_device_and_its_stream(emulated: GpuUnderTest) -> None:
    cupy = emulated.cupy
    with cupy.cuda.Device(1):
        score = emulated.put(np.eye(4))
        other = cupy.cuda.get_current_stream()
    found = monotonic_alignment(score)
    assert cupy.cuda.get_current_stream().pending == 0
    assert other.pending > 0
    assert found.durations.device.id == 1


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_threads_changes_a_bit(emulated: GpuUnderTest, seed: int) -> None:
    emulated_module().set_machine(driver=True, devices=2, seed=100 + seed)
    scores = [scores_of(seed, shape, "float32") for shape in [(30, 30), (70, 140), (300, 320)]]
    found = monotonic_alignment(emulated.put(scores))
    for p, score in enumerate(scores):
        assert_is_best(emulated, found, score, p)


def test_running_out_of_memory_names_the_size(emulated: GpuUnderTest) -> None:
    score = emulated.put(np.zeros((4, 30, 40)))
    words = r"\Aout of device memory: [\d,]+ bytes wanted"
    with emulated.cupy.emulation.limited(1000), pytest.raises(DeviceError, match=words):
        monotonic_alignment(score)
