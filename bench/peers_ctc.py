"""How CTC's peers are called, each in its best mode, on one thread.

- PyTorch: the native `ctc_loss` of the CPU, after `log_softmax`; gradients by autograd, and
  `inference_mode` without them. It takes (T, B, C): recordings that lie as (B, T, C) go in as
  transposed views. Half precision is converted to float32 first, as it has no other way.
- optax: `ctc_loss`, jitted, with `value_and_grad` for gradients; without the transfer. float32
  only, and from (B, T, C).

- Occupancies of states, which PyTorch does not give: autograd through the recursion, whose steps
  are a few operations of PyTorch on all texts of a batch.

- On a GPU: PyTorch's native kernels, whose targets lie on the GPU; and cuDNN by way of PyTorch,
  which takes it for labels that follow one another on the host, as int32, where all recordings have
  the same length and no text has more than 256 labels.

- Beam search: pyctcdecode, and fast-ctc-decode, which takes probabilities. Both leave out symbols
  that are improbable in a frame, as coalign does when told so: below e^-5, pyctcdecode's default.
- ctc-segmentation: one recording a call, from log-probabilities. It finds another path than ours,
  where a text may begin and end anywhere; of trained recordings the places of the labels agree.
- Monotonic alignment: the published loops, compiled by numba (monotonic_by_numba.py).

PyTorch and optax compute from logits; 0 is the blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contest import SHORT, Contender, Data, calling
from families_ctc import Recordings
from log_space import best_monotonic, best_path, log_softmax, truths

# A gradient of theirs that is off by more is no gradient. In float32 PyTorch is off by 0.008 for
# noise of 1000 frames and 5000 symbols, and by 0.33 for 20,000 frames and 2000 labels.
OFF = 0.5


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a peer's call takes, beside the recordings that it is made from."""

    recordings: Recordings
    given: tuple[Any, ...]


def losses(prepared: Prepared, found: Any) -> NDArray[np.float64]:
    """Give losses."""
    return np.asarray(found, np.float64)


def losses_of_gradient(prepared: Prepared, found: Any) -> NDArray[np.float64]:
    """Give losses, of (losses, gradient) in the layout (B, T, C); refuse a wrong gradient."""
    error = largest_error(prepared.recordings, np.asarray(found[1]))
    assert error <= OFF, f"a gradient off by {error}"
    return losses(prepared, found[0])


def largest_error(recordings: Recordings, grad: NDArray[Any]) -> float:
    """Give the largest error of a gradient (B, T, C), whose padding has to be 0."""
    worst = 0.0
    for p, (truth, (x, _)) in enumerate(zip(recordings.truths, recordings.problems(), strict=True)):
        off = np.abs(grad[p, : len(x)] - truth.gradient(x)).max()
        worst = max(worst, float(off), float(np.abs(grad[p, len(x) :]).max(initial=0)))
        if np.isnan(off):
            return np.inf
    return worst


def torch(
    dtype: str = "float32", *, gradient: bool, layout: str = "BTC", half: str | None = None
) -> Contender:
    """Compute with PyTorch, from (B, T, C) or (T, B, C), of half precision if it says so."""

    def prepare(data: Data) -> Prepared:
        import torch

        one: Recordings = data["recordings"]
        x = torch.from_numpy(one.x).to(getattr(torch, half or dtype))
        if layout == "TBC":
            x = x.transpose(0, 1).contiguous()
        rest = (one.targets, one.x_lengths, one.target_lengths)
        return Prepared(one, (x.requires_grad_(gradient), *map(torch.from_numpy, rest)))

    def load() -> Any:
        import torch
        from torch.nn.functional import ctc_loss, log_softmax

        torch.set_num_threads(1)

        def forward(x: Any, *rest: Any) -> Any:
            taken = x.float() if half else x
            scores = log_softmax(taken, -1)
            if layout == "BTC":
                scores = scores.transpose(0, 1)
            return ctc_loss(scores, *rest, reduction="none")

        def only_losses(prepared: Prepared) -> Any:
            with torch.inference_mode():
                return forward(*prepared.given)

        def both(prepared: Prepared) -> Any:
            found = forward(*prepared.given)
            (grad,) = torch.autograd.grad(found.sum(), prepared.given[0])
            return found.detach(), grad

        return both if gradient else only_losses

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        if not gradient:
            return losses(prepared, found)
        grad = found[1].float() if half else found[1]
        return losses_of_gradient(
            prepared, (found[0], grad.transpose(0, 1) if layout == "TBC" else grad)
        )

    return Contender(f"torch-{SHORT[dtype]}", dtype, load, costs, prepare)


def torch_lattice() -> Contender:
    """Compute occupancies of states by autograd through the recursion in operations of PyTorch."""

    def prepare(data: Data) -> Prepared:
        import torch

        one: Recordings = data["recordings"]
        assert {*one.x_lengths.tolist()} == {one.x.shape[1]}, "frames of one number"
        assert {*one.target_lengths.tolist()} == {one.targets.shape[1]}, "texts of one length"
        symbols = np.zeros((len(one.x), 2 * one.targets.shape[1] + 1), np.int64)
        symbols[:, 1::2] = one.targets
        stays = (symbols == 0) | (symbols == np.roll(symbols, 2, axis=1))
        stays[:, :2] = True
        # Finite, as the gradient of a sum of nothing is NaN.
        never = np.where(stays, np.float32(-1e30), np.float32(0))
        return Prepared(one, tuple(map(torch.from_numpy, (one.x, symbols, never))))

    def load() -> Any:
        import torch

        torch.set_num_threads(1)

        def solve(prepared: Prepared) -> Any:
            x, symbols, never = prepared.given
            scores = torch.log_softmax(x, -1)
            held = scores.gather(2, symbols[:, None].expand(-1, x.shape[1], -1)).requires_grad_()
            row = torch.full_like(never, -1e30)
            row[:, :2] = 0
            row = row + held[:, 0]
            pad = torch.nn.functional.pad
            for t in range(1, x.shape[1]):
                one, two = (pad(row, (k, 0), value=-1e30)[:, :-k] for k in (1, 2))
                row = torch.logsumexp(torch.stack([row, one, two + never]), 0) + held[:, t]
            (shares,) = torch.autograd.grad(torch.logsumexp(row[:, -2:], 1).sum(), held)
            return shares

        return solve

    return Contender("torch-lattice-f32", "float32", load, squares_of_shares, prepare)


def squares_of_shares(prepared: Any, found: Any) -> NDArray[np.float64]:
    """Sum the squares of the probabilities (B, T, 2 L + 1) of states."""
    return np.square(np.asarray(found, np.float64)).sum(axis=(1, 2))


def shares_in_log_space() -> Contender:
    """Compute occupancies of states in float64 log space: the judge, who is not timed."""

    def costs(data: Data, found: Any) -> NDArray[np.float64]:
        return squares_of_shares(
            data, np.stack([truth.states for truth in data["recordings"].truths])
        )

    return Contender("log-space-f64", "float64", lambda: lambda data: None, costs)


def torch_on_gpu(*, cudnn: bool) -> Contender:
    """Compute loss and gradient with PyTorch on a GPU, where it is there and can use it."""

    def prepare(data: Data) -> Prepared:
        import torch

        one: Recordings = data["recordings"]
        targets: Any = torch.from_numpy(one.targets).cuda()
        if cudnn:
            targets = torch.from_numpy(np.concatenate([text for _, text in one.problems()])).int()
        lengths = [torch.from_numpy(n).int() for n in (one.x_lengths, one.target_lengths)]
        x = torch.from_numpy(data["x"]).cuda().requires_grad_()
        return Prepared(one, (x, targets, *lengths))

    def load() -> Any:
        try:
            import torch
        except ImportError:
            return None

        from torch.nn.functional import ctc_loss, log_softmax

        def solve(prepared: Prepared) -> Any:
            x, *rest = prepared.given
            with torch.backends.cudnn.flags(enabled=cudnn):
                scores = log_softmax(x, -1).transpose(0, 1)
                found = ctc_loss(scores, *rest, reduction="none")
                (grad,) = torch.autograd.grad(found.sum(), x)
            torch.cuda.synchronize()
            return found.detach(), grad

        return solve if torch.cuda.is_available() else None

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        return losses(prepared, found[0].cpu())

    return Contender("cuDNN" if cudnn else "torch", "float32", load, costs, prepare)


@cache
def _optax(gradient: bool) -> Any:
    import jax
    import optax

    def total(*given: Any) -> Any:
        found = optax.ctc_loss(*given)
        return found.sum(), found

    if not gradient:
        return jax.jit(optax.ctc_loss)
    both = jax.jit(jax.value_and_grad(total, has_aux=True))

    def solve(*given: Any) -> Any:
        (_, found), grad = both(*given)
        return found, grad

    return solve


def optax(*, gradient: bool) -> Contender:
    """Compute with optax."""

    def prepare(data: Data) -> Prepared:
        import jax.numpy as jnp

        one: Recordings = data["recordings"]
        paddings = (
            np.arange(array.shape[1]) >= lengths[:, None]
            for array, lengths in ((one.x, one.x_lengths), (one.targets, one.target_lengths))
        )
        past_x, past_text = (padding.astype(np.float32) for padding in paddings)
        given = (one.x, past_x, one.targets.astype(np.int32), past_text)
        return Prepared(one, tuple(map(jnp.asarray, given)))

    def load() -> Any:
        import jax

        solve = _optax(gradient)
        return lambda prepared: jax.block_until_ready(solve(*prepared.given))

    return Contender(
        "optax-f32", "float32", load, losses_of_gradient if gradient else losses, prepare
    )


# One character for each label; none of them parts words.
LETTERS = "abcdefghijklmnopqrstuvwxyzAB"
WIDTH, LEAST_LOG = 25, -5.0


def of_texts(recordings: Recordings, texts: Sequence[Any]) -> NDArray[np.float64]:
    """Give the losses of the texts that were read."""
    cut = [x for x, _ in recordings.problems()]
    return np.array([truth.loss for truth in truths(cut, [np.asarray(text) for text in texts])])


def of_letters(prepared: Prepared, found: Any) -> NDArray[np.float64]:
    """Give the losses of texts in letters."""
    return of_texts(prepared.recordings, [[1 + LETTERS.index(c) for c in text] for text in found])


def pyctcdecode() -> Contender:
    """Search with pyctcdecode."""

    def load() -> Any:
        from pyctcdecode import build_ctcdecoder

        decoder = build_ctcdecoder(["", *LETTERS])
        return lambda prepared: [decoder.decode(x, beam_width=WIDTH) for x in prepared.given]

    def prepare(data: Data) -> Prepared:
        return Prepared(data["recordings"], tuple(data["x"]))

    return Contender("pyctcdecode-f32", "float32", load, of_letters, prepare)


def fast_ctc_decode() -> Contender:
    """Search with fast-ctc-decode."""

    def prepare(data: Data) -> Prepared:
        return Prepared(data["recordings"], tuple(np.exp(log_softmax(data["x"]), dtype=np.float32)))

    def use(search: Any) -> Any:
        options = {"beam_size": WIDTH, "beam_cut_threshold": float(np.exp(LEAST_LOG))}
        return lambda prepared: [search(p, " " + LETTERS, **options)[0] for p in prepared.given]

    load = calling("fast_ctc_decode.beam_search", use)
    return Contender("fast-ctc-decode-f32", "float32", load, of_letters, prepare)


def ctc_segmentation(*, placed: bool = True) -> Contender:
    """Align with ctc-segmentation; `placed` says whether it can be held to where labels are."""

    def prepare(data: Data) -> Prepared:
        from ctc_segmentation import CtcSegmentationParameters, prepare_token_list

        symbols = data["x"].shape[2]
        config = CtcSegmentationParameters(char_list=[str(c) for c in range(symbols)])
        config.index_duration, config.blank = 1.0, 0
        cut = zip(data["x"], data["recordings"].problems(), strict=True)
        problems = ((x[: len(whole)], text) for x, (whole, text) in cut)
        tables = [(x, prepare_token_list(config, [text])[0]) for x, text in problems]
        return Prepared(data["recordings"], (config, data["x"], tables))

    def use(align: Any) -> Any:
        def solve(prepared: Prepared) -> Any:
            config, _, tables = prepared.given
            return [align(config, x, table)[0] for x, table in tables]

        return solve

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        one = prepared.recordings
        for meant, times, (_, text) in zip(one.meant, found, one.problems(), strict=True):
            before = np.concatenate(([0], meant[:-1]))
            starts = np.flatnonzero((meant != 0) & (meant != before))
            # Before the labels it has two places for the silence, and one after them. Its path may
            # begin late and end early: it has put 8 of 10 labels in their places, 44 of 50.
            near = np.abs(times[2 : 2 + len(text)] - starts) <= 2
            assert near.mean() >= 0.75 or not placed, f"{near.mean():.0%} are in their places"
        return totals_in_log_space(prepared.given[1], one)

    load = calling("ctc_segmentation.ctc_segmentation", use)
    return Contender("ctc-segmentation-f32", "float32", load, costs, prepare)


def totals_in_log_space(x: NDArray[Any], recordings: Recordings) -> NDArray[np.float64]:
    """Give the scores of the best paths in float64."""
    cut = zip(x, recordings.problems(), strict=True)
    problems = ((one[: len(whole)].astype(np.float64), text) for one, (whole, text) in cut)
    return np.array([best_path(*each) for each in problems])


def best_in_log_space() -> Contender:
    """Align in float64: the judge, who is not timed."""

    def costs(data: Data, found: Any) -> NDArray[np.float64]:
        return totals_in_log_space(data["x"], data["recordings"])

    return Contender("log-space-f64", "float64", lambda: lambda data: None, costs)


def monotonic() -> Contender:
    """Align monotonically with loops compiled by numba."""

    def costs(data: Data, found: Any) -> NDArray[np.float64]:
        return sums_of_runs(data["score"], found[0])

    load = calling(
        "monotonic_by_numba.monotonic_by_numba", lambda solve: lambda data: solve(data["score"])
    )
    return Contender("numba-f32", "float32", load, costs)


def sums_of_runs(score: NDArray[Any], durations: NDArray[Any]) -> NDArray[np.float64]:
    """Sum the scores of runs of frames (B, N) in float64; refuse what is no alignment."""
    count, n, frames = score.shape
    assert (durations >= 1).all(), "a token without frames"
    assert (durations.sum(axis=1) == frames).all(), "frames that are not those there are"
    tokens = np.repeat(np.tile(np.arange(n), count), durations.ravel()).reshape(count, frames)
    along = np.take_along_axis(score, tokens[:, None], axis=1)[:, 0]
    return np.asarray(along.sum(axis=1, dtype=np.float64))


def monotonic_in_log_space() -> Contender:
    """Align monotonically in float64: the judge, who is not timed."""

    def costs(data: Data, found: Any) -> NDArray[np.float64]:
        return best_monotonic(data["score"])

    return Contender("log-space-f64", "float64", lambda: lambda data: None, costs)


def copy() -> Contender:
    """Copy the scores to another array: what it takes to read and write them once."""

    def prepare(data: Data) -> Prepared:
        one: Recordings = data["recordings"]
        return Prepared(one, (one.x, np.ones_like(one.x)))

    def solve(prepared: Prepared) -> Any:
        source, out = prepared.given
        np.copyto(out, source)
        return out

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        np.testing.assert_array_equal(found, prepared.recordings.x)
        return in_log_space().costs(prepared, None)

    return Contender("copy-f32", "float32", lambda: solve, costs, prepare)


def in_log_space() -> Contender:
    """Compute in float64 log space: the judge, who is not timed."""

    def costs(prepared: Any, found: Any) -> NDArray[np.float64]:
        one = prepared["recordings"] if isinstance(prepared, dict) else prepared.recordings
        return np.array([truth.loss for truth in one.truths])

    return Contender("log-space-f64", "float64", lambda: lambda data: None, costs)
