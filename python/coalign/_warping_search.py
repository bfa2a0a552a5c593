"""The general way of a search: collections of any kind are checked, prepared and searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _validate
from ._arrays import lies_on_gpu
from ._batch import has_contiguous_frames
from ._errors import DeviceError, Status
from ._pipeline import Call, in_kind
from ._progress import Progress, reporter
from ._scalars import take_count
from ._warping import NativeWindow, Options, _native_window, _not_finite
from ._warping_search_result import Neighbors
from ._windows import Window


@dataclass(frozen=True, slots=True)
class _Search(Call):
    """A search of a collection for what is nearest to each series of another."""

    count: int
    options: Options
    window: NativeWindow

    @classmethod
    def take(
        cls, queries: Any, database: Any, k: int, lengths: tuple[Any, Any], options: Options
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
        window = _native_window(options.window, asked.lengths[0], held.lengths[0])
        return cls((asked, held), k, options, window)

    def run(self, progress: Progress) -> Neighbors:
        """Search on the CPU."""
        asked, held = self.inputs
        dtype = np.result_type(asked.dtype, held.dtype)
        index = np.empty((len(asked), self.count), np.int64)
        cost = np.empty((len(asked), self.count), dtype)
        counts = np.empty((len(asked), len(Neighbors.STAGES)), np.int64)
        with reporter(progress, len(asked) * len(held), "dtw_nearest") as report:
            if len(asked) > 0:
                self._fill(dtype, index, cost, counts, report)
        status = np.where((index < 0).any(axis=1), Status.INFEASIBLE, Status.OK).astype(np.int32)
        return in_kind(Neighbors(index, cost, status, counts), self.kind)

    def _fill(self, dtype: Any, index: Any, cost: Any, counts: Any, report: Any) -> None:
        sides = [side.native(dtype, has_contiguous_frames) for side in self.inputs]
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
    progress: Progress,
) -> Neighbors:
    """Return what `coalign.dtw_nearest` does."""
    count = take_count(k, "k")
    options = Options.take(metric, window, "symmetric1", False, False, None, threads, None)
    if options.metric == "precomputed":
        raise ValueError("metric: expected a metric between frames; use dtw for precomputed costs")
    for value, name in ((queries, "queries"), (database, "database")):
        items = value if isinstance(value, (list, tuple)) else [value]
        if any(lies_on_gpu(item) for item in items):
            raise DeviceError(f"{name}: expected arrays in host memory; searches run on the CPU")
    return _Search.take(queries, database, count, lengths, options).run(progress)
