"""The general way of decoding calls: arguments of any kind are checked, prepared and run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _execution, _validate
from ._arrays import Array, as_plain, as_plain_integers
from ._batch import Batch, has_contiguous_rows, has_whole_strides
from ._decoding_result import CTCBeams, CTCDecoding
from ._errors import DeviceError, Status
from ._pipeline import ResultCall, carry_out, in_kind
from ._scalars import choice, take_count


def native_frames(frames: Batch) -> Any:
    """Return recordings as native code takes them, copied only if they must be."""
    return frames.native(
        frames.dtype, lambda array: has_contiguous_rows(array) and has_whole_strides(array)
    )


def _bad_value(error: _core.NotFiniteError, frames: Batch) -> ValueError:
    _, item, element = error.args
    return frames.bad_value(
        item, divmod(element, _validate.count_symbols(frames)), _validate.WANTED
    )


@dataclass(frozen=True, slots=True)
class _Greedy(ResultCall[CTCDecoding]):
    """A call that takes the best symbol of each frame."""

    blank: int
    kind_of_input: str
    threads: int

    @property
    def only_cpu(self) -> str | None:
        """Why no GPU takes the call."""
        return 'device: "cuda" does not decode; ctc_greedy runs on the CPU'

    def on_host(self) -> CTCDecoding:
        """Decode on the CPU; raise for the first value that is no score."""
        (frames,) = self.inputs
        if len(frames) == 0:
            none = np.empty(0, frames.dtype)
            return CTCDecoding([], [], [], [], none, np.empty(0, np.int32))
        native = native_frames(frames)
        lengths = frames.native_lengths()
        options = (self.blank, self.kind_of_input, self.threads, None)
        try:
            return _core.ctc_greedy(native, lengths, *options, True)
        except _core.NotFiniteError as error:
            raise _bad_value(error, frames) from None


def ctc_greedy(
    x: Any, x_lengths: Any, blank: Any, input: Any, threads: Any, device: Any
) -> CTCDecoding:
    """Decode what `coalign.ctc_greedy` takes."""
    if plain := as_plain(x):
        scores, kind = plain
        lengths = as_plain_integers(x_lengths)
        return in_kind(_core.ctc_greedy(scores, lengths, blank, input, threads, device), kind)
    device = _execution.take_device(device)
    threads = _execution.thread_count(threads)
    choice(input, "input", _validate.INPUTS)
    frames = _validate.take_emissions(x, x_lengths)
    blank = _validate.take_blank(blank, frames)
    return carry_out(_Greedy((frames,), blank, input, threads), device)


def ctc_beam_search(
    x: Any,
    *,
    x_lengths: Any,
    blank: Any,
    input: Any,
    beam_width: Any,
    n_best: Any,
    beam_threshold: Any,
    token_min_logp: Any,
    lm: Any,
    alpha: Any,
    beta: Any,
    threads: Any,
    device: Any,
) -> CTCBeams:
    """Search what `coalign.ctc_beam_search` takes."""
    device = _execution.take_device(device)
    options = take_beam_options(beam_width, n_best, beam_threshold, token_min_logp, alpha, beta)
    threads = _execution.thread_count(threads)
    choice(input, "input", _validate.INPUTS)
    frames = _validate.take_emissions(x, x_lengths)
    if frames.kind.gpu is not None or device == "cuda":
        raise DeviceError('device: "cuda" does not decode; ctc_beam_search runs on the CPU')
    blank = _validate.take_blank(blank, frames)
    model = take_model(lm, _validate.count_symbols(frames) if frames.arrays else None)
    if model is lm and lm is not None:
        # Threads would wait for each other: Python code runs in one of them at a time.
        threads = 1
    wrap, dtype, best = frames.kind.wrap, frames.dtype, options[1]
    if len(frames) == 0:
        none = [wrap(np.empty((0, best), kind)) for kind in (np.int64, dtype, dtype)]
        return CTCBeams([], [], [], [], *none, wrap(np.empty(0, np.int32)))
    native, lengths = native_frames(frames), frames.native_lengths()
    try:
        told = _core.ctc_beam_search(native, lengths, blank, input, *options, model, threads)
    except _core.NotFiniteError as error:
        raise _bad_value(error, frames) from None
    fields = [[wrap(part) for part in parts] for parts in by_problem(told, best, dtype)]
    if not frames.is_batch:
        return CTCBeams(*(parts[0] for parts in fields))
    ragged, even = fields[:4], by_problem(told, best, dtype)[4:]
    return CTCBeams(*ragged, *(wrap(np.stack(parts)) for parts in even))


def by_problem(told: Any, best: int, dtype: np.dtype[Any]) -> list[list[Array]]:
    """Cut what native code tells of all problems into arrays of `best` rows for each."""
    labels, start, stop, score, length, total, acoustic, counts, status = told
    fields: list[list[Array]] = [[] for _ in range(8)]
    are_held: list[bool] = []
    at, row = 0, 0
    for count in counts.tolist():
        lengths = np.zeros(best, np.int64)
        lengths[:count] = length[row : row + count]
        inside = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
        end = at + int(lengths.sum())
        for field, values in zip(fields, (labels, start, stop), strict=False):
            field.append(np.full(inside.shape, -1, np.int64))
            field[-1][inside] = values[at:end]
        fields[3].append(np.zeros(inside.shape, dtype))
        fields[3][-1][inside] = score[at:end]
        fields[4].append(lengths)
        fits = True
        for field, values in zip(fields[5:], (total, acoustic), strict=False):
            field.append(np.full(best, -np.inf, dtype))
            with np.errstate(over="ignore"):
                field[-1][:count] = values[row : row + count]
            fits &= bool(np.isfinite(field[-1][:count]).all())
        are_held.append(fits)
        at, row = end, row + count
    status = np.where(are_held, status, np.int32(Status.PRECISION_LIMIT))
    fields[7] = list(status)
    return fields


def take_beam_options(
    beam_width: Any, n_best: Any, beam_threshold: Any, token_min_logp: Any, alpha: Any, beta: Any
) -> tuple[int, int, float | None, float | None, float, float]:
    """Check the options of a beam, and put them in the order of native code."""
    width = min(take_count(beam_width, "beam_width"), 2**30 - 1)
    best = min(take_count(n_best, "n_best"), width)
    threshold = None if beam_threshold is None else _take_number(beam_threshold, "beam_threshold")
    if threshold is not None and threshold < 0:
        raise ValueError(f"beam_threshold: expected at least 0, got {threshold}")
    least = None if token_min_logp is None else _take_number(token_min_logp, "token_min_logp")
    weights = [_take_number(alpha, "alpha"), _take_number(beta, "beta")]
    for value, name in zip(weights, ("alpha", "beta"), strict=True):
        if math.isinf(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
    if weights[0] < 0:
        raise ValueError(f"alpha: expected at least 0, got {weights[0]}")
    return width, best, threshold, least, weights[0], weights[1]


def _take_number(given: Any, name: str) -> float:
    """Check an option that is one number."""
    if isinstance(given, (str, bytes)) or np.ndim(given) > 0:
        raise TypeError(f"{name}: expected a number, got {type(given).__name__}")
    try:
        value = float(given)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {type(given).__name__}") from None
    if math.isnan(value):
        raise ValueError(f"{name}: expected a number, got NaN")
    return value


def take_model(lm: Any, symbols: int | None) -> Any:
    """Check a language model, and return what native code asks: an NGram's own, or the object."""
    from .ngram import NGram

    if lm is None:
        return None
    if isinstance(lm, NGram):
        if symbols is not None and len(lm.symbols) != symbols:
            raise ValueError(
                f"lm: expected a model of {symbols} symbols as in x, got {len(lm.symbols)}"
            )
        return lm.native
    if isinstance(lm, type):
        raise TypeError(f"lm: expected a model, got the class {lm.__name__}: make an instance")
    if not all(callable(getattr(lm, name, None)) for name in ("start", "score", "end")):
        raise TypeError(
            "lm: expected None, an NGram, or an object with start(), score(state, label) and "
            f"end(state), got {type(lm).__name__}"
        )
    return lm
