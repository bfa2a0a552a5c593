"""Soft-DTW: values and gradients, beside tslearn on one thread, and beside PyTorch on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import instances
from cases_warping import as_dtype, largest_error
from contest import Case, Contender, Data, Get, Gpu, PeerFloor, Problem, Suite, calling
from peers_warping import on_torch, softly_by_antidiagonals

# Relative, to the values moved away from 0, and of gradients to the largest.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}


@dataclass(frozen=True, eq=False)
class SoftWarping(Problem):
    """All pairs of a collection, or pairs with their gradients."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Name the series, of one dtype; half of a collection goes with the other half."""
        series = as_dtype(instance, dtype)
        if self.call is coalign.soft_dtw_cdist:
            return {"X": series, **self.options}
        half = len(series) // 2
        frames = series[..., np.newaxis] if series.ndim == 2 else series
        return {"x": frames[:half], "y": frames[half:], **self.options}

    def cells(self, data: Data) -> int:
        """Count the cells; within a collection, each pair once."""
        if "X" in data:
            n, length = len(data["X"]), data["X"].shape[1]
            return n * (n + 1) // 2 * length**2
        return len(data["x"]) * data["x"].shape[1] * data["y"].shape[1]

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the values, and the gradients above their largest."""
        if "X" in data:
            return np.asarray(found, np.float64)
        return side_by_side(found.value, found.grad_x)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that a second argument's gradient is there as well."""
        assert "X" in data or np.isfinite(found.grad_y).all()


class Pairs(SoftWarping):
    """Pairs of noise with their gradients, on a GPU."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Take the series as they are."""
        return {**instance, **self.options}

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose the first pairs."""
        return {**data, "x": data["x"][:count], "y": data["y"][:count]}, np.s_[:count]

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold values and both gradients to the CPU's."""
        status = get(found.status)
        assert (status == coalign.Status.OK).all(), f"status {set(status.tolist())}"
        value = get(found.value)
        assert value.dtype == data["x"].dtype, value.dtype
        assert np.isfinite(value).all(), "values that are not finite"
        error = 0.0
        for name in ("grad_x", "grad_y"):
            ours = side_by_side(value[at], get(getattr(found, name))[at])
            theirs = side_by_side(wanted.value, getattr(wanted, name))
            error = max(error, largest_error(ours, theirs))
        assert error <= rtol, f"off from the CPU by {error}"
        return error


def side_by_side(value: Any, grad_x: Any) -> NDArray[np.float64]:
    """Give values and gradients as numbers to which a relative tolerance applies."""
    slopes = np.asarray(grad_x, np.float64).reshape(len(value), -1)
    return np.concatenate(
        [np.asarray(value, np.float64), (slopes + 2 * np.abs(slopes).max()).ravel()]
    )


def tslearn_cdist() -> Contender:
    """Solve a collection with tslearn, which computes every pair twice."""

    def prepare(data: Data) -> tuple[Any, float]:
        return np.asarray(data["X"], np.float64), data["gamma"]

    load = calling(
        "tslearn.metrics.cdist_soft_dtw", lambda f: lambda given: f(given[0], gamma=given[1])
    )
    return Contender(
        "tslearn-f64", "float64", load, lambda given, found: np.asarray(found, np.float64), prepare
    )


def tslearn_gradients() -> Contender:
    """Solve pair by pair with tslearn, whose gradients come from two objects a pair."""

    def load() -> Any:
        from tslearn.metrics import SoftDTW, SquaredEuclidean

        def solve(data: Data) -> Any:
            values, slopes = [], []
            for x, y in zip(data["x"], data["y"], strict=True):
                distances = SquaredEuclidean(x, y)
                soft = SoftDTW(distances, gamma=data["gamma"])
                values.append(soft.compute())
                slopes.append(distances.jacobian_product(soft.grad()))
            return values, slopes

        return solve

    return Contender("tslearn-f64", "float64", load, lambda data, found: side_by_side(*found))


def torch_gradients() -> Contender:
    """Solve pairs on a GPU with whole-array operations on one anti-diagonal after the other."""

    def call(sides: Any, data: Data) -> Any:
        return softly_by_antidiagonals(*sides, data["gamma"])

    def costs(prepared: Any, found: Any) -> NDArray[np.float64]:
        return side_by_side(*(part.double().cpu().numpy() for part in found[:2]))

    return on_torch(call, costs)


def floors(minimum: float) -> dict[str, tuple[PeerFloor, ...]]:
    """Hold both dtypes to tslearn. AVX2 has half the lanes, at a clock that is often higher."""
    return {dtype: (PeerFloor(minimum, ("tslearn-f64",), avx2=0.55),) for dtype in TOLERANCE}


SIZE = {"n": 40, "length": 512}
COLLECTION = SoftWarping(
    instances.random_walks, SIZE, {**SIZE, "n": 4}, coalign.soft_dtw_cdist, {"gamma": 1.0}
)
GRADIENTS = SoftWarping(
    instances.random_walks,
    {**SIZE, "n": 80},
    {**SIZE, "n": 4},
    coalign.soft_dtw,
    {"gamma": 1.0, "grad": True},
)
NOISE = Pairs(
    instances.noise_pairs,
    {"x": 64, "y": 64, "frames": 1024, "dim": 64},
    {"x": 3, "y": 3, "frames": 20, "dim": 5},
    coalign.soft_dtw,
    {"gamma": 1.0, "grad": True},
)
SUITE = Suite(
    "soft_warping",
    (
        Case("soft-DTW of all pairs 40x512", COLLECTION, (tslearn_cdist(),), floors=floors(25)),
        Case(
            "soft-DTW of 40 pairs of 512, with gradients",
            GRADIENTS,
            (tslearn_gradients(),),
            floors=floors(8),
        ),
        Case(
            "soft-DTW of 64 pairs of 1024, D=64, with gradients",
            NOISE,
            gpu=Gpu(64, peer=torch_gradients(), times_peer=100),
        ),
    ),
    TOLERANCE,
)
