"""CTC: what is timed, beside which peers, and what it is held to.

Losses are held to float64 log space, relative to their size, and gradients with them, by their
largest error: at every shape that is timed, of seed 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import families_ctc
import log_space
import peers_ctc
from contest import (
    SELECTED,
    Case,
    Contender,
    Data,
    Floors,
    Get,
    Gpu,
    OwnFloor,
    PeerFloor,
    Problem,
    Suite,
)
from families_ctc import Recordings

# What coalign promises: of a loss, relative; of a gradient, absolute, up to 1000 frames and beyond.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
OF_GRADIENT = {"float64": (1e-9, 1e-9), "float32": (1e-4, 2e-3)}
LONG = 1000
# Problems of a batch on a GPU whose gradients are held to float64.
GRADIENTS = 4
# PyTorch's float32 keeps that much of a loss.
OF_PEERS = {"float64": 1e-10, "float32": 1e-3}


@dataclass(frozen=True, eq=False)
class Ctc(Problem):
    """A batch of recordings with their texts; `into` reuses an array for the gradient."""

    into: bool = False

    def arguments(self, instance: Recordings, dtype: str) -> Data:
        """Name the scores, of one dtype, and the texts; lengths where they differ."""
        x = instance.x.astype(dtype, copy=False)
        data = {"recordings": instance, "x": x, **self.options}
        if self.call is not coalign.ctc_beam_search:
            data["targets"] = instance.targets
        if len(set(instance.x_lengths.tolist())) > 1:
            data["x_lengths"] = instance.x_lengths
            data["target_lengths"] = instance.target_lengths
        if self.into:
            # Not zeros, whose pages the system would only give to who writes them.
            data["out"] = np.ones_like(x)
        return data

    def solve(self, data: Data, **options: Any) -> Any:
        """Call without what only the judge needs."""
        return self.call(**{k: v for k, v in data.items() if k != "recordings"}, **options)

    def cells(self, data: Data) -> int:
        """Count the scores of true frames."""
        return int(data["recordings"].frames * data["x"].shape[2])

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the losses."""
        return np.asarray(getattr(found, "loss", found), np.float64)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that the gradient is right."""
        if self.call is coalign.ctc_forward_backward:
            error = peers_ctc.largest_error(data["recordings"], np.asarray(found.grad))
            assert error <= allowed(data), f"a gradient off by {error}"

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose the first problems."""
        return {
            name: value[:count] if isinstance(value, (Recordings, np.ndarray)) else value
            for name, value in data.items()
        }, slice(count)

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold losses to the CPU's, and some losses and gradients to float64 log space."""
        status, loss, grad = get(found.status), get(found.loss), found.grad
        assert (status == coalign.Status.OK).all(), f"status {set(status.tolist())}"
        error = float(np.abs(loss[at] / self.costs(some, wanted) - 1).max())
        assert error <= 2 * rtol, f"off from the CPU by {error}"
        few = data["recordings"][:GRADIENTS]
        off = float(np.abs(loss[:GRADIENTS] / [truth.loss for truth in few.truths] - 1).max())
        assert off <= rtol, f"a loss off by {off}"
        off = peers_ctc.largest_error(few, get(grad[:GRADIENTS]))
        assert off <= allowed(data), f"a gradient off by {off}"
        return max(error, off)


def allowed(data: Data) -> float:
    """Give the error that a gradient is allowed."""
    x = data["x"]
    short, long = OF_GRADIENT[str(x.dtype)]
    return short if x.shape[1] <= LONG else long


# --- loss and gradient ---------------------------------------------------------------------------

faster_than = partial(PeerFloor, avx2=0.6)
TORCH, OPTAX, COPY = ("torch-f32",), ("optax-f32",), ("copy-f32",)
TORCH_F64 = ("torch-f64",)
F32, F64 = ("float32",), ("float64",)
BOTH = (*F64, *F32)


def batch(
    family: str, problems: int, frames: int, symbols: int, length: int, **more: Any
) -> Problem:
    """Give loss and gradient of a batch, and of one with a tenth of its frames."""
    full = {
        "family": family,
        "problems": problems,
        "frames": frames,
        "symbols": symbols,
        "length": length,
    }
    small = {**full, "problems": min(problems, 2), "frames": max(30, frames // 10)}
    small["length"] = min(length, small["frames"] // 3)
    return Ctc(families_ctc.recordings, full, small, coalign.ctc_forward_backward, **more)


def gradient(
    name: str,
    problem: Problem,
    *floors: PeerFloor,
    with_optax: bool = False,
    dtypes: tuple[str, ...] = F32,
    more: Floors | None = None,
) -> Case:
    """Give a case; floors are of float32."""
    peers: list[Contender] = [peers_ctc.torch(dtype, gradient=True) for dtype in dtypes[::-1]]
    if with_optax:
        peers.append(peers_ctc.optax(gradient=True))
    held = {"float32": floors, **(more or {})}
    return Case(name, problem, tuple(peers), dtypes, floors=held, judge=peers_ctc.in_log_space())


def small_alphabet(name: str, *shape: int) -> tuple[Case, ...]:
    """Give a batch of few symbols, in both dtypes, and with ten times the logits."""
    floors = (faster_than(14, TORCH), faster_than(4, OPTAX))
    in_f64 = {"float64": (faster_than(5, TORCH_F64),)}
    usual, sharp = (batch(family, *shape) for family in ("noise", "noise, ten times"))
    return (
        gradient(name, usual, *floors, with_optax=True, dtypes=BOTH, more=in_f64),
        gradient(f"{name}, logits x10", sharp, *floors, with_optax=True),
    )


FIRST, SECOND = "16 of 200 x 32, 40 labels", "32 of 500 x 32, 100 labels"
LARGE, COPIED = "8 of 1000 x 5000, 60 labels", "a copy of 8 of 1000 x 5000"
LARGE_SHAPE = (8, 1000, 5000, 60)


def on_threads(name: str, *shape: int) -> Case:
    """Give a batch on one and on two threads, into memory that is there: fresh pages take turns."""
    name = f"{name}, out=, two threads"
    return Case(
        name,
        batch("noise", *shape, into=True),
        dtypes=F32,
        isas=(SELECTED,),
        threads=(1, 2),
        floors={"float32": (OwnFloor(1.8, name),)},
        judge=peers_ctc.in_log_space(),
    )


ON_CPU: tuple[Case, ...] = (
    *small_alphabet(FIRST, 16, 200, 32, 40),
    *small_alphabet(SECOND, 32, 500, 32, 100),
    gradient(LARGE, batch("noise", *LARGE_SHAPE), faster_than(6, TORCH)),
    Case(COPIED, batch("noise", *LARGE_SHAPE), (peers_ctc.copy(),), isas=()),
    gradient(
        f"{LARGE}, out=",
        batch("noise", *LARGE_SHAPE, into=True),
        faster_than(15, TORCH),
        faster_than(0.5, COPY, case=COPIED),
    ),
    gradient(
        "32 of 183 x 1024, 29 labels, out=",
        batch("noise", 32, 183, 1024, 29, into=True),
        faster_than(10, TORCH),
    ),
    gradient(
        "20,000 x 32, 2000 labels", batch("noise", 1, 20_000, 32, 2000), faster_than(18, TORCH)
    ),
    on_threads(FIRST, 16, 200, 32, 40),
    on_threads(SECOND, 32, 500, 32, 100),
)

# --- on a GPU ------------------------------------------------------------------------------------


def on_gpu(name: str, *shape: int, beside_cudnn: bool = False) -> Case:
    """Give loss and gradient of a batch, all of which the CPU and the peer compute as well."""
    peer = peers_ctc.torch_on_gpu(cudnn=beside_cudnn)
    held = Gpu(shape[0], peer=peer, times_peer=1.5 if beside_cudnn else 5.0)
    return Case(name, batch("noise", *shape), gpu=held)


SPOKEN, VOCABULARY = (64, 1500, 128, 200), (90, 183, 10_241, 29)
ON_GPU = (
    on_gpu("64 of 1500 x 128, 200 labels", *SPOKEN),
    on_gpu("64 of 1500 x 128, 200 labels, beside cuDNN", *SPOKEN, beside_cudnn=True),
    on_gpu("90 of 183 x 10,241, 29 labels", *VOCABULARY),
    on_gpu("90 of 183 x 10,241, 29 labels, beside cuDNN", *VOCABULARY, beside_cudnn=True),
)

# --- occupancies ---------------------------------------------------------------------------------


def occupancy_of_states(**arguments: Any) -> Any:
    """Give the probability of each state at each frame."""
    return coalign.ctc_forward_backward(**arguments).occupancy("state")


@dataclass(frozen=True, eq=False)
class Occupying(Ctc):
    """Where in time the states of texts lie, by the sums of the squares of probabilities."""

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Sum the squares."""
        return peers_ctc.squares_of_shares(data, found)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that each probability is right."""
        truths = data["recordings"].truths
        error = max(float(np.abs(a - b.states).max()) for a, b in zip(found, truths, strict=True))
        assert error <= allowed(data), f"an occupancy off by {error}"


OCCUPIED = batch("noise", 16, 200, 32, 40)
ON_CPU += (
    Case(
        "occupancies of states, 16 of 200 x 32, 40 labels",
        Occupying(OCCUPIED.make, OCCUPIED.full, OCCUPIED.small, occupancy_of_states),
        (peers_ctc.torch_lattice(),),
        F32,
        judge=peers_ctc.shares_in_log_space(),
    ),
)

# --- reading and aligning ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Reading(Ctc):
    """Texts that a beam finds, by their losses: of all alignments, in float64 log space."""

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the losses of the best texts."""
        return peers_ctc.of_texts(data["recordings"], found.best())


@dataclass(frozen=True, eq=False)
class Aligning(Ctc):
    """The best paths of texts, by the sums of their scores; from log-probabilities."""

    def arguments(self, instance: Recordings, dtype: str) -> Data:
        """Name the log-probabilities, which are the same numbers in either dtype."""
        data = super().arguments(instance, dtype)
        scores = log_space.log_softmax(instance.x).astype(np.float32)
        return {**data, "x": scores.astype(dtype), "input": "log_probs"}

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Sum the scores of each path; refuse one that does not spell its text."""
        totals = []
        problems = zip(data["x"], found.labels, data["recordings"].problems(), strict=True)
        for x, labels, (whole, text) in problems:
            path = labels[: len(whole)]
            begins = np.concatenate(([True], path[1:] != path[:-1])) & (path != 0)
            np.testing.assert_array_equal(path[begins], text)
            totals.append(x[np.arange(len(path)), path].sum(dtype=np.float64))
        return np.array(totals)

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold paths to the CPU's."""
        return error_of_paths(get, found, at, wanted, "labels", "start", "stop")


def error_of_paths(get: Get, found: Any, at: Any, wanted: Any, *paths: str) -> float:
    """Give the error of totals on a GPU, relative to the CPU's, whose paths are wanted."""
    status = get(found.status)
    assert (status == coalign.Status.OK).all(), f"status {set(status.tolist())}"
    for name in paths:
        np.testing.assert_array_equal(get(getattr(found, name))[at], getattr(wanted, name))
    error = float(np.abs(get(found.total)[at] / wanted.total - 1).max())
    assert error <= 1e-12, f"off from the CPU by {error}"
    return error


@dataclass(frozen=True, eq=False)
class Monotonic(Problem):
    """Scores of tokens at frames, by the sum along the runs that were found."""

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Name the scores, of one dtype."""
        return {"score": instance.astype(dtype, copy=False)}

    def cells(self, data: Data) -> int:
        """Count the scores."""
        return int(data["score"].size)

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Sum the scores of the runs."""
        return peers_ctc.sums_of_runs(data["score"], found.durations)

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that the totals are those of the runs."""
        np.testing.assert_allclose(found.total, self.costs(data, found), rtol=1e-12)

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose the first problems."""
        return {"score": data["score"][:count]}, slice(count)

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold paths and totals to the CPU's."""
        return error_of_paths(get, found, at, wanted, "durations", "token_of_frame")


def scores(seed: int, problems: int, tokens: int, frames: int) -> NDArray[np.float32]:
    """Give scores of N(0, 1)."""
    random = np.random.default_rng((problems, tokens, frames, seed))
    return random.standard_normal((problems, tokens, frames), dtype=np.float32)


def sizes(family: str, *shape: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a batch of a family, and one recording of it."""
    names = ("problems", "frames", "symbols", "length")
    full = {"family": family, **dict(zip(names, shape, strict=True))}
    return full, {**full, "problems": 1}


READ = (8, 400, 29, 100)
MONOTONIC = {"problems": 16, "tokens": 512, "frames": 2048}


def reading(name: str, *floors: PeerFloor, **options: Any) -> Case:
    """Give a case of beam search, with what coalign leaves out."""
    options["beam_width"] = peers_ctc.WIDTH
    return Case(
        name,
        Reading(families_ctc.recordings, *sizes("read", *READ), coalign.ctc_beam_search, options),
        (peers_ctc.pyctcdecode(), peers_ctc.fast_ctc_decode()),
        F32,
        floors={"float32": floors},
        judge=peers_ctc.fast_ctc_decode(),
    )


ON_CPU += (
    reading(
        "beam of 25, 8 of 400 x 29",
        faster_than(10, ("pyctcdecode-f32",)),
        faster_than(1, ("fast-ctc-decode-f32",)),
        token_min_logp=peers_ctc.LEAST_LOG,
        beam_threshold=10.0,
    ),
    reading("beam of 25, 8 of 400 x 29, nothing left out"),
    Case(
        "aligned, 16 of 1000 x 32, 150 labels",
        Aligning(families_ctc.recordings, *sizes("trained", 16, 1000, 32, 150), coalign.ctc_align),
        (peers_ctc.ctc_segmentation(),),
        F32,
        floors={"float32": (faster_than(10, ("ctc-segmentation-f32",)),)},
        judge=peers_ctc.best_in_log_space(),
    ),
    Case(
        "monotonic, 16 of 512 x 2048",
        Monotonic(scores, MONOTONIC, {**MONOTONIC, "problems": 1}, coalign.monotonic_alignment),
        (peers_ctc.monotonic(),),
        F32,
        floors={"float32": (faster_than(3, ("numba-f32",)),)},
        judge=peers_ctc.monotonic_in_log_space(),
    ),
)

FEW_LABELS, FEW_TOKENS = ("trained", 1, 100, 32, 15), {"problems": 1, "tokens": 40, "frames": 100}
ON_GPU += (
    Case(
        "aligned, 64 of 1500 x 128, 200 labels",
        Aligning(
            families_ctc.recordings,
            sizes("trained", *SPOKEN)[0],
            sizes(*FEW_LABELS)[0],
            coalign.ctc_align,
        ),
        gpu=Gpu(64),
    ),
    Case(
        "monotonic, 16 of 512 x 2048, on a GPU",
        Monotonic(scores, MONOTONIC, FEW_TOKENS, coalign.monotonic_alignment),
        gpu=Gpu(16),
    ),
)

SUITE = Suite("ctc", (*ON_CPU, *ON_GPU), TOLERANCE, OF_PEERS)
