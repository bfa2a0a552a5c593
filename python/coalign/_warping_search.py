"""The general way of a search: collections of any kind are checked, prepared and searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _cuda_warping, _execution, _validate
from ._batch import has_contiguous_frames
from ._device import Gpu
from ._errors import Status
from ._normalize import normalized
from ._pipeline import ResultCall, carry_out
from ._progress import Progress, reporter
from ._scalars import take_count, take_flag
from ._warping import (
    _LEAST_GPU_CELLS,
    NativeWindow,
    Options,
    _native_window,
    _not_finite,
    _require_finite,
    _why_on_host,
)
from ._warping_search_result import Neighbors
from ._windows import Window


@dataclass(frozen=True, slots=True)
class _Search(ResultCall[Neighbors]):
    """A search of a collection for what is nearest to each series of another."""

    count: int
    options: Options
    window: NativeWindow
    progress: Progress

    @classmethod
    def take(
        cls,
        queries: Any,
        database: Any,
        k: int,
        lengths: tuple[Any, Any],
        options: Options,
        progress: Progress,
        *,
        normalize: bool,
    ) -> _Search:
        """Check the collections."""
        asked = _validate.take_series(
            queries, "queries", lengths[0], "query_lengths", collection=True
        )
        held = _validate.take_series(
            database, "database", lengths[1], "database_lengths", collection=True
        )
        _validate.require_like(asked, held)
        if len(held) == 0 and len(asked) > 0:
            raise ValueError("database: expected at least one series, got none")
        if k > len(held) > 0:
            raise ValueError(f"k: expected at most the {len(held)} series of database, got {k}")
        if normalize:
            asked, held = normalized(asked), normalized(held)
        window = _native_window(options.window, asked.lengths[0], held.lengths[0])
        return cls((asked, held), k, options, window, progress)

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        return _why_on_host(self.window, *(side.lengths[0] for side in self.inputs))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that costs are computed in."""
        return np.result_type(*(side.dtype for side in self.inputs))

    @property
    def total(self) -> int:
        """The number of pairs."""
        return len(self.inputs[0]) * len(self.inputs[1])

    @property
    def repays_gpu(self) -> bool:
        """Whether "auto" should take host arrays to a GPU."""
        asked, held = (float(side.lengths[0].sum()) for side in self.inputs)
        return _execution.repays_gpu(self.total, asked * held, _LEAST_GPU_CELLS)

    def on_host(self) -> Neighbors:
        """Search on the CPU."""
        asked = self.inputs[0]
        index = np.empty((len(asked), self.count), np.int64)
        cost = np.empty((len(asked), self.count), self.dtype)
        counts = np.empty((len(asked), len(Neighbors.STAGES)), np.int64)
        with reporter(self.progress, self.total, "dtw_nearest") as report:
            if len(asked) > 0:
                self._fill(index, cost, counts, report)
        status = np.where((index < 0).any(axis=1), Status.INFEASIBLE, Status.OK).astype(np.int32)
        return Neighbors(index, cost, status, counts)

    def on_gpu(self, gpu: Gpu) -> Neighbors:
        """Queue the search on the caller's stream."""
        with reporter(self.progress, self.total, "dtw_nearest"):
            return _cuda_warping.find_nearest(
                self.inputs, self.dtype, self.count, self.options, self.window, gpu
            )

    def settle(self, found: Neighbors, *, from_gpu: bool) -> Neighbors:
        """Raise for the first value that is not finite."""
        if from_gpu and (found.status == Status.NAN).any():
            _require_finite(*self.inputs)
        return found

    def _fill(self, index: Any, cost: Any, counts: Any, report: Any) -> None:
        sides = [side.native(self.dtype, has_contiguous_frames) for side in self.inputs]
        try:
            _core.dtw_nearest(
                *sides,
                self.options.metric,
                self.window,
                *(side.native_lengths() for side in self.inputs),
                self.options.threads,
                index,
                cost,
                counts,
                report,
            )
        except _core.NotFiniteError as error:
            raise _not_finite(error.args, *self.inputs) from None


def nearest(
    queries: Any,
    database: Any,
    k: Any,
    metric: Any,
    window: Window,
    lengths: tuple[Any, Any],
    threads: Any,
    device: Any,
    normalize: Any,
    progress: Progress,
) -> Neighbors:
    """Return what `coalign.dtw_nearest` does."""
    count = take_count(k, "k")
    options = Options.take(metric, window, "symmetric1", False, False, None, threads, device)
    if options.metric == "precomputed":
        raise ValueError("metric: expected a metric between frames; use dtw for precomputed costs")
    search = _Search.take(
        queries,
        database,
        count,
        lengths,
        options,
        progress,
        normalize=take_flag(normalize, "normalize"),
    )
    return carry_out(search, options.device)
