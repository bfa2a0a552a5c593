from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

compiler: str
assignment_work_per_thread: float
warping_work_per_thread: float
warping_checkpoint_bytes: int

class NotFiniteError(ValueError): ...

def available_isas() -> list[str]: ...
def choose_isa(wanted: str) -> str: ...
def assign(
    *,
    dtype: str,
    cost: npt.NDArray[Any] | list[npt.NDArray[Any]],
    row_lengths: npt.NDArray[np.int64] | None,
    col_lengths: npt.NDArray[np.int64] | None,
    maximize: bool,
    limit: float | None,
    start: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None,
    threads: int,
    isa: str,
    work_per_thread: float,
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[Any],
    npt.NDArray[Any],
    npt.NDArray[np.float64],
    npt.NDArray[np.int32],
    tuple[int, int, int] | None,
    tuple[str, int],
    tuple[int, int],
]: ...
def assign_sparse(
    *,
    dtype: str,
    cost: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], int, int, bool]],
    maximize: bool,
    limit: float | None,
    start: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None,
    threads: int,
    work_per_thread: float,
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[Any],
    npt.NDArray[Any],
    npt.NDArray[np.float64],
    npt.NDArray[np.int32],
    tuple[int, int, int] | None,
    tuple[str, int],
    tuple[int, int],
]: ...
def assign_top_k(
    *,
    dtype: str,
    cost: npt.NDArray[Any] | list[npt.NDArray[Any]],
    row_lengths: npt.NDArray[np.int64] | None,
    col_lengths: npt.NDArray[np.int64] | None,
    k: int,
    maximize: bool,
    threads: int,
    isa: str,
    work_per_thread: float,
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.float64],
    tuple[int, int, int] | None,
    tuple[str, int],
]: ...
def dtw_pairs(
    *,
    dtype: str,
    x: npt.NDArray[Any] | list[npt.NDArray[Any]],
    y: npt.NDArray[Any] | list[npt.NDArray[Any]] | None,
    x_lengths: npt.NDArray[np.int64] | None,
    y_lengths: npt.NDArray[np.int64] | None,
    dim: int,
    metric: str,
    window: tuple[str, Any],
    max_cost: float,
    path: bool,
    threads: int,
    isa: str,
    work_per_thread: float,
    progress: Callable[[int], None] | None,
    checkpoint_bytes: int,
) -> tuple[
    npt.NDArray[Any],
    npt.NDArray[np.int32],
    list[npt.NDArray[np.int64]] | None,
    list[npt.NDArray[np.int64]] | None,
    tuple[str, int],
]: ...
def dtw_all_pairs(
    *,
    dtype: str,
    x: npt.NDArray[Any] | list[npt.NDArray[Any]],
    y: npt.NDArray[Any] | list[npt.NDArray[Any]] | None,
    x_lengths: npt.NDArray[np.int64] | None,
    y_lengths: npt.NDArray[np.int64] | None,
    dim: int,
    metric: str,
    window: tuple[str, Any],
    max_cost: float,
    threads: int,
    isa: str,
    work_per_thread: float,
    out: npt.NDArray[Any],
    progress: Callable[[int], None] | None,
) -> tuple[str, int]: ...
def window_ranges(*, window: tuple[str, Any], n: int, m: int) -> npt.NDArray[np.int64]: ...
