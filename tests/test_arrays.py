"""Arrays of other kinds: what is taken as NumPy, what is refused, and what is copied."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from coalign import DeviceError, _core, _execution, _validate, dtw, dtw_cdist
from coalign._arrays import NUMPY, Kind, is_array, same_kind, to_numpy
from coalign._batch import has_contiguous_frames
from oracles.compare import assert_same_bits
from promises import ArrayInterface, ArrayMethod, CudaInterface, DLPackOnly

Array = npt.NDArray[Any]

rng = np.random.default_rng(21)
X, Y = rng.normal(size=(2, 7))
GPU = r"lies on a GPU, and coalign was built without CUDA"


# Taken as NumPy


@pytest.mark.parametrize("wrapper", [ArrayMethod, ArrayInterface])
def test_windows_may_be_other_arrays(wrapper: type[Any]) -> None:
    bounds = np.clip(np.stack([np.arange(7) - 1, np.arange(7) + 2], axis=1), 0, 7)
    assert_same_bits(dtw(X, Y, window=wrapper(bounds)).cost, dtw(X, Y, window=1).cost)


@pytest.mark.parametrize("wrapper", [DLPackOnly, ArrayMethod, ArrayInterface])
def test_other_arrays_are_checked_like_numpy(wrapper: type[Any]) -> None:
    spoilt = X.copy()
    spoilt[3] = np.nan
    with pytest.raises(ValueError, match=r"\Ax: NaN at index \(3,\); expected finite values\Z"):
        dtw(wrapper(spoilt), Y)
    with pytest.raises(ValueError, match=r"\Ay\[1\]: NaN at index \(3,\); expected finite values"):
        dtw(X, [wrapper(Y), wrapper(spoilt)])
    with pytest.raises(TypeError, match=r"\Ax: expected a real numeric dtype .* got complex128\Z"):
        dtw(wrapper(X * 1j), Y)
    with pytest.raises(ValueError, match=r"\AX: expected a 2-D or 3-D array, got shape \(7,\)\Z"):
        dtw_cdist(wrapper(X))


def test_mapped_memory_is_read_in_place(tmp_path: Path) -> None:
    X.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", dtype=np.float64, mode="r")
    assert type(dtw(mapped, Y).cost) is np.float64
    assert_same_bits(dtw(mapped, Y).cost, dtw(X, Y).cost)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_is_two_dimensional_and_no_more() -> None:
    frames = rng.normal(size=(5, 3))
    matrix = np.matrix(frames)
    assert dtw(matrix, matrix[:2]).cost == dtw(frames, frames[:2]).cost
    assert_same_bits(dtw_cdist(matrix), dtw_cdist(frames))
    assert type(dtw_cdist(matrix)) is np.ndarray
    assert dtw(matrix, metric="precomputed").cost == dtw(frames, metric="precomputed").cost
    matrix[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"\AX: NaN at index \(1, 2\)"):
        dtw_cdist(matrix)


def test_results_are_plain_numpy() -> None:
    warping = dtw(ArrayMethod(X), ArrayInterface(Y), path=True)
    assert [type(value) for value in (warping.cost, warping.status, warping.x_length)] == [
        np.float64,
        np.int32,
        np.int64,
    ]
    assert type(warping.x_index) is type(warping.y_index) is np.ndarray
    batch = dtw([X, Y], X, path=True)
    assert type(batch.cost) is type(batch.status) is type(batch.y_length) is np.ndarray
    assert type(batch.x_index) is list
    assert type(dtw_cdist(ArrayMethod(np.stack([X, Y])))) is np.ndarray


def test_what_is_an_array() -> None:
    assert is_array(X)
    assert is_array(np.array(1.0))
    assert is_array(DLPackOnly(X))
    assert is_array(ArrayMethod(X))
    assert is_array(ArrayInterface(X))
    assert is_array(CudaInterface(X))
    for number in (1, 1.0, True, np.float32(1), np.int64(1), np.bool_(True)):
        assert not is_array(number)
    for other in ([X], (X,), "x", None, range(3), memoryview(X), {"x": X}):
        assert not is_array(other)


# Refused


@pytest.mark.usefixtures("without_cuda")
def test_an_array_on_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"\Ax: expected precomputed costs in host memory"):
        dtw(CudaInterface(np.zeros((4, 4))), metric="precomputed", device="auto")

    class ndarray:  # noqa: N801 - CuPy's name
        __module__ = "cupy"

        def __dlpack__(self, **options: Any) -> Any:
            raise AssertionError("memory of a GPU was asked for")

    cupy = ModuleType("cupy")
    cupy.ndarray = ndarray  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(DeviceError, match=rf"\Ax: {GPU}\Z"):
        dtw(ndarray(), Y)
    with pytest.raises(DeviceError, match=rf"\Ax\[0\]: {GPU}\Z"):
        dtw([ndarray()], Y)


def test_kinds_that_differ_are_refused_with_the_remedy() -> None:
    assert same_kind(NUMPY, Kind(), ("x", "y")) == NUMPY
    assert same_kind(Kind("torch", "cpu"), Kind("torch", "cpu"), ("x", "y")) == Kind("torch", "cpu")
    words = (
        r"\Ax and y: expected arrays of one kind on one device, got torch on cpu and numpy; "
        r"convert one of them\Z"
    )
    with pytest.raises(TypeError, match=words):
        same_kind(Kind("torch", "cpu"), NUMPY, ("x", "y"))
    with pytest.raises(TypeError, match=r"got torch on cuda:0 and torch on cuda:1; "):
        same_kind(Kind("torch", "cuda:0"), Kind("torch", "cuda:1"), ("x", "y"))


def test_every_call_compares_the_kinds_of_its_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    class Foreign(ArrayMethod):
        """An array of a library of its own, as far as this test is concerned."""

    def taken(obj: Any, name: str) -> tuple[Array, Kind]:
        array, kind = to_numpy(obj, name)
        return array, Kind("foreign", "gpu:1") if isinstance(obj, Foreign) else kind

    monkeypatch.setattr(_validate, "take_array", taken)
    batch = np.stack([X, Y])
    words = r": expected arrays of one kind on one device, got {} and {}; convert one of them\Z"
    mixed = words.format("numpy", "foreign on gpu:1")
    with pytest.raises(TypeError, match=r"\Ax and y" + mixed):
        dtw(X, Foreign(Y))
    with pytest.raises(TypeError, match=r"\Ax and y" + words.format("foreign on gpu:1", "numpy")):
        dtw([Foreign(X)], Y.tolist())
    with pytest.raises(TypeError, match=r"\AX and Y" + mixed):
        dtw_cdist(batch, Foreign(batch))
    with pytest.raises(TypeError, match=r"\Ay\[0\] and y\[2\]" + mixed):
        dtw(X, [X, Y, Foreign(X)])
    with pytest.raises(TypeError, match=r"\Ax\[0\] and x\[1\]" + mixed):
        dtw([batch, Foreign(batch)], metric="precomputed")
    assert_same_bits(dtw(Foreign(X), Foreign(Y)).cost, dtw(X, Y).cost)


# Copies

F32, F64 = np.dtype("f4"), np.dtype("f8")

IN_PLACE: dict[str, Callable[[Any], Array]] = {
    "series": lambda dtype: np.ones(7, dtype),
    "part of a series": lambda dtype: np.ones(7, dtype)[2:6],
    "one frame of every other": lambda dtype: np.ones(7, dtype)[::4][:1],
    "frames": lambda dtype: np.ones((6, 3), dtype),
    "some of the frames": lambda dtype: np.ones((6, 3), dtype)[1:5],
    "frames of one dimension": lambda dtype: np.ones((6, 1), dtype),
    "a single frame in Fortran order": lambda dtype: np.ones((1, 3), dtype, order="F"),
    "batch": lambda dtype: np.ones((4, 6, 3), dtype),
    "reversed batch": lambda dtype: np.ones((4, 6, 3), dtype)[::-1],
    "batch of the first frames": lambda dtype: np.ones((4, 6, 3), dtype)[:, :5],
    "every other item": lambda dtype: np.ones((4, 6, 3), dtype)[::2],
    "one item many times": lambda dtype: np.broadcast_to(np.ones((6, 3), dtype), (4, 6, 3)),
    "overlapping items": lambda dtype: sliding_window_view(np.ones(20, dtype), 7)[..., np.newaxis],
}
COPIED: dict[str, Array] = {
    "every other frame": X[::2],
    "reversed": X[::-1],
    "one value many times": np.broadcast_to(1.5, (7,)),
    "column of frames": rng.normal(size=(6, 3))[:, 1],
    "columns of frames": rng.normal(size=(6, 3))[:, :2],
    "Fortran order": np.asfortranarray(rng.normal(size=(6, 3))),
    "overlapping rows": sliding_window_view(rng.normal(size=20), 7),
    "last dimensions of a batch": rng.normal(size=(4, 6, 3))[:, :, 1:],
    "transposed batch": rng.normal(size=(6, 4, 3)).swapaxes(0, 1),
    "integers": np.arange(5),
    "bool": np.array([True, False]),
    "half precision": X.astype(np.float16),
    "other byte order": X.astype(F64.newbyteorder()),
    "unaligned": np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(F64),
}


def native(array: Any, dtype: np.dtype[Any], *, collection: bool = False) -> Any:
    """What a series becomes on its way to native code."""
    batch = _validate.take_series(array, "x", None, "x_lengths", collection=collection)
    data = batch.native(dtype, has_contiguous_frames)
    return data if isinstance(data, np.ndarray) else data[0]


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_frames_without_gaps_are_read_in_place(name: str, dtype: np.dtype[Any]) -> None:
    array = IN_PLACE[name](dtype)
    taken = native(array, dtype)
    assert np.shares_memory(taken, array)
    assert taken.size == array.size


@pytest.mark.parametrize("name", COPIED)
def test_other_layouts_and_dtypes_are_copied_once(name: str) -> None:
    array = COPIED[name]
    batch = _validate.take_series(array, "x", None, "x_lengths")
    taken = native(array, batch.dtype)
    assert not np.shares_memory(taken, array)
    frames = taken.reshape(array.shape)
    np.testing.assert_array_equal(frames, array.astype(batch.dtype))
    assert taken[..., 0].size == 0 or taken.flags.c_contiguous
    assert batch.dtype == (F32 if array.dtype == np.float16 else F64)


def test_promotion_copies_the_narrower_side_only() -> None:
    narrow, wide = X.astype(F32), Y
    assert not np.shares_memory(native(narrow, F64), narrow)
    assert np.shares_memory(native(wide, F64), wide)
    items = _validate.take_series([narrow, wide], "x", None, "x_lengths")
    assert items.dtype == F64
    first, second = items.native(items.dtype, has_contiguous_frames)
    assert first.dtype == F64
    assert not np.shares_memory(first, narrow)
    assert np.shares_memory(second, wide)


def test_collections_are_read_in_place() -> None:
    memory = rng.normal(size=(5, 12))
    for collection in (
        memory,
        memory[::-2],
        memory[:, 3:9],
        np.broadcast_to(X, (5, 7)),
        sliding_window_view(X, 3),
        rng.normal(size=(3, 4, 2)),
    ):
        assert np.shares_memory(native(collection, F64, collection=True), collection)
    for collection in (memory.T, memory[:, ::2], memory[:, ::-1]):
        assert not np.shares_memory(native(collection, F64, collection=True), collection)


def test_native_code_is_given_the_callers_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def spied(call: Any) -> Any:
        def spy(*arguments: Any) -> Any:
            given.update(x=arguments[0], y=arguments[1], out=arguments[12])
            return call(*arguments)

        return spy

    for name in ("dtw", "dtw_all_pairs"):
        monkeypatch.setattr(_core, name, spied(getattr(_core, name)))

    frozen = X.copy()
    frozen.flags.writeable = False
    with _execution.forced(general=True):
        dtw(frozen, [Y, frozen])
    assert np.shares_memory(given["x"], frozen)
    assert np.shares_memory(given["y"][0], Y)
    assert np.shares_memory(given["y"][1], frozen)

    batch, out = rng.normal(size=(4, 6, 2)), np.empty((4, 3))
    dtw_cdist(batch, batch[:3], out=out)
    assert np.shares_memory(given["x"], batch)
    assert np.shares_memory(given["y"], batch)
    assert np.shares_memory(given["out"], out)

    costs = rng.normal(size=(6, 8))
    for matrix in (costs, costs[1:4, 2:7], costs[::-1], costs[::3], costs[:, 2:3]):
        dtw(matrix, metric="precomputed")
        assert np.shares_memory(given["x"], matrix)
    for matrix in (costs.T, costs[:, ::2], costs[:, ::-1], costs.astype(">f8")):
        dtw(matrix, metric="precomputed")
        assert not np.shares_memory(given["x"], matrix)


def test_a_read_only_array_stays_as_it_is_and_its_memory_is_shared() -> None:
    frozen = X.copy()
    frozen.flags.writeable = False
    taken, kind = to_numpy(frozen, "x")
    assert np.shares_memory(taken, frozen)
    assert kind == NUMPY
    assert not taken.flags.writeable


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", "<f8", ">f2", ">i4"])
def test_what_native_code_reads_is_aligned_and_in_the_machines_byte_order(dtype: str) -> None:
    values = np.arange(5).astype(dtype)
    shifted = np.frombuffer(b"\0" + values.tobytes(), np.uint8)[1:].view(dtype)
    for array in (values, shifted):
        taken, _ = to_numpy(array, "x")
        assert taken.dtype.isnative
        assert taken.flags.aligned
        assert taken.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("given", [np.ndarray, DLPackOnly])
def test_a_class_is_no_array(given: type[Any]) -> None:
    with pytest.raises(TypeError, match="x: expected a real numeric "):
        dtw(given, Y)  # type: ignore[arg-type]


HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def test_every_half_is_widened_to_its_value() -> None:
    taken, _ = to_numpy(HALVES, "x")
    assert taken.dtype == F32
    numbers = ~np.isnan(HALVES)
    # In float64, NumPy's conversion is its own: the values and the signs of zeros, not our bits.
    wide = HALVES.astype(np.float64)
    np.testing.assert_array_equal(taken[numbers].astype(np.float64), wide[numbers])
    np.testing.assert_array_equal(np.signbit(taken), np.signbit(wide))
    assert np.isnan(taken[~numbers]).all()
    assert taken[1] == 2.0**-24
    assert np.isinf(taken).sum() == 2


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x,
        lambda x: x.transpose(1, 0, 2),
        lambda x: x.transpose(2, 1, 0),
        lambda x: x[:, ::2],
        lambda x: x[::-1],
        lambda x: x[:, :1],
        lambda x: x[:0],
        lambda x: np.broadcast_to(x[0], x.shape),
        lambda x: x.astype(x.dtype.newbyteorder()),
        lambda x: np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(x.dtype),
        lambda x: x[0, 0, 0],
    ],
)
def test_halves_of_any_layout_are_widened_where_they_lie(layout: Any) -> None:
    x = layout(rng.normal(size=(4, 6, 3)).astype(np.float16))
    taken, _ = to_numpy(np.asarray(x), "x")
    assert taken.dtype == F32
    np.testing.assert_array_equal(taken, np.asarray(x, np.float64))
