from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ._assignment_result import Assignment
from ._warping_result import Warping

version: str
compiler: str
assignment_work_per_thread: float
warping_work_per_thread: float
warping_checkpoint_bytes: int

override: ContextVar[Any]

class NotFiniteError(ValueError): ...

def available_isas() -> list[str]: ...
def choose_isa(wanted: str) -> str: ...

class AssignmentFields:
    _fields: tuple[str, ...]
    def __init__(self, *fields: Any, **named: Any) -> None: ...
    def _writeable_fields(self) -> tuple[Any, ...]: ...
    @property
    def col_of_row(self) -> Any: ...
    @property
    def row_of_col(self) -> Any: ...
    @property
    def total(self) -> Any: ...
    @property
    def row_dual(self) -> Any: ...
    @property
    def col_dual(self) -> Any: ...
    @property
    def status(self) -> Any: ...
    @property
    def maximize(self) -> bool: ...
    @property
    def max_cost(self) -> float | None: ...

class RankedFields:
    _fields: tuple[str, ...]
    def __init__(self, *fields: Any, **named: Any) -> None: ...
    def _writeable_fields(self) -> tuple[Any, ...]: ...
    @property
    def col_of_row(self) -> Any: ...
    @property
    def total(self) -> Any: ...
    @property
    def maximize(self) -> bool: ...

class WarpingFields:
    _fields: tuple[str, ...]
    def __init__(self, *fields: Any, **named: Any) -> None: ...
    def _writeable_fields(self) -> tuple[Any, ...]: ...
    @property
    def cost(self) -> Any: ...
    @property
    def x_index(self) -> Any: ...
    @property
    def y_index(self) -> Any: ...
    @property
    def status(self) -> Any: ...
    @property
    def x_length(self) -> Any: ...
    @property
    def y_length(self) -> Any: ...
    @property
    def path_length(self) -> Any: ...

# The arguments of the public function, in order; a last True says that they are prepared, and gives
# more than the result back where it has to.
@overload
def assign(
    cost: Any,
    maximize: Any,
    max_cost: Any,
    row_lengths: Any,
    col_lengths: Any,
    warm_start: Any,
    threads: Any,
    device: Any,
    /,
) -> Assignment: ...
@overload
def assign(*prepared: Any) -> tuple[Assignment, tuple[int, int, int] | None, tuple[int, int]]: ...
def linear_sum_assignment(
    cost_matrix: Any, maximize: Any, /
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
def dtw(*arguments: Any) -> Warping: ...
def connect_assignment(result: type[AssignmentFields]) -> None: ...
def connect_warping(result: type[WarpingFields]) -> None: ...
def assign_sparse(
    *,
    cost: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], int, int, bool]],
    is_batch: bool,
    is_float32: bool,
    maximize: bool,
    limit: float | None,
    start: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None,
    threads: int | None,
) -> tuple[Assignment, tuple[int, int, int] | None]: ...
def assign_top_k(
    *,
    cost: npt.NDArray[Any] | list[npt.NDArray[Any]],
    row_lengths: npt.NDArray[np.int64] | None,
    col_lengths: npt.NDArray[np.int64] | None,
    k: int,
    maximize: bool,
    threads: int | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], tuple[int, int, int] | None]: ...
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
