"""The general way of searches for a query inside a long series."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import Array, lies_on_gpu
from ._batch import Batch, has_contiguous_frames
from ._errors import DeviceError, Status
from ._pipeline import in_kind
from ._scalars import take_count, take_flag, take_max_cost
from ._subsequence_result import Subsequences
from ._warping import Options, _call, _not_finite, take_metric


def subsequence(
    query: Any,
    series: Any,
    k: Any,
    metric: Any,
    query_lengths: Any,
    series_lengths: Any,
    max_cost: Any,
    path: Any,
    threads: Any,
) -> Subsequences:
    """Return what `coalign.dtw_subsequence` does."""
    metric = take_metric(metric, has_precomputed=False)
    most, has_path = take_count(k, "k"), take_flag(path, "path")
    limit, threads = take_max_cost(max_cost), _execution.thread_count(threads)
    for given, name in ((query, "query"), (series, "series")):
        items = given if isinstance(given, (list, tuple)) else [given]
        if any(lies_on_gpu(item) for item in items):
            raise DeviceError(f"{name}: expected arrays in host memory; the search runs on the CPU")
    queries = _validate.take_series(query, "query", query_lengths, "query_lengths")
    longs = _validate.take_series(series, "series", series_lengths, "series_lengths")
    _validate.require_like(queries, longs)
    count = _validate.require_pairs(queries, longs)
    sides = queries, longs
    dtype = np.result_type(*(side.dtype for side in sides))
    if count == 0:
        shape = 0, min(most, longs.room(0) or 0)
        none = np.empty(shape, np.int64)
        found = none, none, np.empty(shape, dtype), np.empty(0, np.int32)
    else:
        try:
            found = _core.dtw_subsequence(
                *(side.native(dtype, has_contiguous_frames) for side in sides),
                most,
                metric,
                *(side.native_lengths() for side in sides),
                limit,
                threads,
            )
        except _core.NotFiniteError as error:
            raise _not_finite(error.args, *sides) from None
    start, stop, cost, status = found
    matches = (start >= 0).sum(axis=1)
    paths: tuple[Any, Any] = (None, None)
    if has_path:
        options = Options.take(metric, None, "symmetric1", False, False, None, threads, None)
        paths = _paths(sides, start, stop, dtype, options)
    overflown = np.count_nonzero(status == Status.PRECISION_LIMIT)
    if overflown:
        warnings.warn(
            f"dtw_subsequence: costs of {overflown} of {count} problems overflow {dtype}; "
            "their status is PRECISION_LIMIT",
            RuntimeWarning,
            stacklevel=3,
        )
    fields: tuple[Any, ...] = (start, stop, cost, matches, status, *paths)
    if not any(side.is_batch for side in sides):
        fields = tuple(None if field is None else field[0] for field in fields)
    kind = next((side.kind for side in sides if side.arrays), queries.kind)
    return in_kind(Subsequences(*fields), kind)


def _paths(
    sides: tuple[Batch, Batch], start: Array, stop: Array, dtype: np.dtype[Any], options: Options
) -> tuple[list[list[Array]], list[list[Array]]]:
    """Find the path of every match: the one to its frames alone is the same."""
    query_index: list[list[Array]] = []
    series_index: list[list[Array]] = []
    for p, (starts, stops) in enumerate(zip(start.tolist(), stop.tolist(), strict=True)):
        query, series = (
            np.ascontiguousarray(side.item(p if side.is_batch else 0), dtype) for side in sides
        )
        parts = [series[a:b] for a, b in zip(starts, stops, strict=True) if a >= 0]
        if not parts:
            query_index.append([])
            series_index.append([])
            continue
        found = _call(options, ("none", 0), True, query, parts)
        query_index.append(found.x_index)
        shifts = starts[: len(parts)]
        series_index.append([j + a for j, a in zip(found.y_index, shifts, strict=True)])
    return query_index, series_index
