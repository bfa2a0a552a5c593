"""z-normalisation of the series of a collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import Array
from ._batch import Batch
from ._closed_form import blocks
from ._errors import DeviceError


def normalized(batch: Batch) -> Batch:
    """Give every channel of every series mean 0 and standard deviation 1, over its true length.

    Channels that are constant, as far as their dtype tells, become zeros: those whose deviation is
    at most eps times their largest magnitude. Sums are taken in float64, of values scaled by a
    power of two, so that no magnitude is too large or too small. Padding becomes zeros.
    """
    if batch.kind.gpu is not None:
        raise DeviceError(
            f"{batch.name}: expected arrays in host memory with normalize=True; "
            "on a GPU, normalize them before the call"
        )
    if len(batch) == 0:
        return batch
    dtype = batch.dtype
    made: Any = (
        np.zeros(batch.data.shape, dtype)
        if batch.is_padded
        else [np.empty(array.shape, dtype) for array in batch.data]
    )
    lengths = batch.lengths[0]
    # Series of one length go together.
    order = np.argsort(lengths, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        for part in blocks(len(places), len(places) * batch.item(int(places[0])).size):
            chosen = places[part].tolist()
            group = np.stack([batch.item(place).T for place in chosen])
            if not np.isfinite(group).all():
                batch.require_all(np.isfinite, "finite values")
            for place, series in zip(chosen, _standard(group, np.finfo(dtype).eps), strict=True):
                made[place][: series.shape[1]] = series.T
    return replace(batch, data=made)


def _standard(series: Array, eps: Any) -> npt.NDArray[np.float64]:
    """Normalise along the last axis."""
    values = series.astype(np.float64)
    largest, exponent = np.frexp(np.abs(values).max(axis=-1, keepdims=True))
    values = np.ldexp(values, -exponent)
    # Twice: the first mean is rounded, and beside a small deviation that would show.
    values -= values.mean(axis=-1, keepdims=True)
    values -= values.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(values).mean(axis=-1, keepdims=True))
    is_constant = deviation <= eps * largest
    values /= np.where(is_constant, 1, deviation)
    return np.where(is_constant, 0, values)
