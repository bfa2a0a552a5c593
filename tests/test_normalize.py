"""z-normalisation of collections: against exact sums, and at the ends of the range of numbers."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coalign import DeviceError, Neighbors, dtw_barycenter, dtw_cdist, dtw_nearest, soft_dtw_cdist
from coalign._normalize import normalized
from coalign._validate import take_series
from oracles.compare import assert_same_bits
from refusals import assert_refused, put

RNG = np.random.default_rng(3)
WALKS = RNG.normal(size=(9, 40)).cumsum(1)
RAGGED = [RNG.normal(size=(n, 2)).cumsum(0) for n in (30, 17, 41, 17, 1, 2)]


def exactly(values: Any) -> Any:
    """Normalise one channel with sums that are rounded once."""
    numbers = [float(value) for value in values]
    count = len(numbers)
    mean = math.fsum(numbers) / count
    centred = [value - mean for value in numbers]
    shift = math.fsum(centred) / count
    deviation = math.sqrt(math.fsum((c - shift) ** 2 for c in centred) / count)
    if deviation == 0:
        return np.zeros(count)
    return np.array([(c - shift) / deviation for c in centred])


def of(series: Any, lengths: Any = None) -> Any:
    """Normalise as the functions do."""
    return normalized(take_series(series, "X", lengths, "x_lengths", collection=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_every_channel_is_normalised_by_itself(dtype: str, offset: float) -> None:
    series = [(part + offset).astype(dtype) for part in RAGGED]
    found = of(series).data
    for ours, given in zip(found, series, strict=True):
        assert ours.dtype == dtype
        wanted = np.stack([exactly(channel) for channel in given.T], axis=1)
        rounding = 2 * np.finfo(dtype).eps if dtype == "float32" else 1e-12
        np.testing.assert_allclose(ours, wanted, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("scale", [1e300, 1.7e308, 1e-300, 5e-324 * 2**60])
def test_no_magnitude_is_too_large_or_too_small(scale: float) -> None:
    values = np.array([-1.0, 0.25, 0.5, 1.0, -0.125])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = of((values * scale)[np.newaxis]).data
    np.testing.assert_allclose(found[0, :, 0], exactly(values), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.3, 1e30, 1e-30])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 1000])
def test_constant_channels_become_zeros(dtype: str, value: float, length: int) -> None:
    series = np.full((1, length), value, dtype)
    assert not of(series).data.any()
    # One that only its rounding tells from a constant.
    series[0, 0] *= 1 + np.finfo(dtype).eps
    assert not of(series).data.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_small_deviation_beside_a_large_mean_is_kept(dtype: str) -> None:
    eps = np.finfo(dtype).eps
    # Steps of eight units in the last place: each number is exact, and so are the differences.
    steps = np.resize([-8.0, 8.0, 0.0], 300)
    found = of((1 + eps * steps)[np.newaxis].astype(dtype)).data[0, :, 0]
    np.testing.assert_allclose(found, exactly(steps), rtol=1e-6 if dtype == "float32" else 1e-12)


def test_padding_counts_for_nothing() -> None:
    padded = np.full((6, 41, 2), np.nan)
    for row, series in zip(padded, RAGGED, strict=True):
        row[: len(series)] = series
    lengths = [len(series) for series in RAGGED]
    ours, theirs = of(padded, lengths), of(RAGGED)
    for p, series in enumerate(theirs.data):
        assert_same_bits(ours.item(p), series)
    assert np.isnan(padded).any()
    assert_same_bits(
        dtw_cdist(padded, x_lengths=lengths, normalize=True), dtw_cdist(RAGGED, normalize=True)
    )


def test_collections_are_normalised_before_they_are_warped() -> None:
    wanted = of(WALKS).data[..., 0]
    other = of(WALKS[:4] * 3 + 1).data[..., 0]
    given = {"normalize": True}
    assert_same_bits(dtw_cdist(WALKS, **given), dtw_cdist(wanted))
    assert_same_bits(dtw_cdist(WALKS, WALKS[:4] * 3 + 1, **given), dtw_cdist(wanted, other))
    assert_same_bits(soft_dtw_cdist(WALKS, **given), soft_dtw_cdist(wanted))
    assert_same_bits(
        soft_dtw_cdist(WALKS, WALKS[:4] * 3 + 1, **given), soft_dtw_cdist(wanted, other)
    )
    assert_same_bits(dtw_barycenter(WALKS, **given).series, dtw_barycenter(wanted).series)
    # Integers, and the scale and the offset that they do not show.
    whole = RNG.integers(0, 9, (4, 12))
    np.testing.assert_allclose(
        dtw_cdist(whole, whole * 5 - 7, **given), dtw_cdist(whole, **given), atol=1e-12
    )
    assert dtw_cdist(np.zeros((0, 5)), normalize=True).shape == (0, 0)


def assert_same_neighbors(found: Neighbors, wanted: Neighbors) -> None:
    for field in ("index", "cost", "status", "counts"):
        assert_same_bits(getattr(found, field), getattr(wanted, field))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"k": 3, "window": 4}, {"metric": "cityblock"}])
def test_a_search_is_one_among_normalised_series(dtype: str, options: Any) -> None:
    constant = np.full((1, 40), 7.5)
    queries = np.concatenate([WALKS[:3] * 9 + 2, constant]).astype(dtype)
    database = np.concatenate([constant, WALKS[3:], WALKS[:3]]).astype(dtype)
    wanted = dtw_nearest(of(queries).data[..., 0], of(database).data[..., 0], **options)
    found = dtw_nearest(queries, database, normalize=True, **options)
    assert found.cost.dtype == dtype
    assert_same_neighbors(found, wanted)
    # Scale and offset are gone, on both sides.
    assert found.index[:, 0].tolist() == [7, 8, 9, 0]
    assert found.cost[3, 0] == 0


def test_a_search_among_ragged_series_of_several_channels() -> None:
    queries, database = RAGGED[:2], [part * [3, 0.1] - 4 for part in RAGGED]
    database.append(np.ones((5, 2)))
    for window in (None, 3):
        given = {"k": 4, "window": window}
        wanted = dtw_nearest(of(queries).data, of(database).data, **given)
        found = dtw_nearest(queries, database, normalize=True, **given)
        assert_same_neighbors(found, wanted)
        assert found.index[:, 0].tolist() == [0, 1]
    padded = np.full((len(database), 41, 2), np.nan)
    for row, series in zip(padded, database, strict=True):
        row[: len(series)] = series
    lengths = [len(series) for series in database]
    among = dtw_nearest(
        padded[:2], padded, query_lengths=lengths[:2], database_lengths=lengths, normalize=True
    )
    assert_same_neighbors(among, dtw_nearest(database[:2], database, normalize=True))
    assert dtw_nearest([], database, k=2, normalize=True).index.shape == (0, 2)


def test_what_cannot_be_normalised_is_named() -> None:
    for call in (dtw_cdist, soft_dtw_cdist, dtw_barycenter):
        with assert_refused(ValueError, "X: NaN at index (2, 7); expected finite values"):
            call(put(WALKS, (2, 7), np.nan), normalize=True)
        with assert_refused(TypeError, "normalize: expected a bool, got int"):
            call(WALKS, normalize=1)
    for given, name in ((0, "queries"), (1, "database")):
        sides = [WALKS, WALKS]
        sides[given] = put(WALKS, (2, 7), np.nan)
        with assert_refused(ValueError, f"{name}: NaN at index (2, 7); expected finite values"):
            dtw_nearest(*sides, normalize=True)
    with assert_refused(TypeError, "normalize: expected a bool, got int"):
        dtw_nearest(WALKS, WALKS, normalize=1)
    batch = take_series(WALKS, "X", None, "x_lengths", collection=True)
    on_gpu = replace(batch, kind=replace(batch.kind, gpu=0))
    with assert_refused(
        DeviceError,
        "X: expected arrays in host memory with normalize=True; "
        "on a GPU, normalize them before the call",
    ):
        normalized(on_gpu)
