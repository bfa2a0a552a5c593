"""CTC: learn to read lines of handwritten digits from their texts alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import coalign

from .._progress import reporter
from . import digits, figures
from .part import Part, Picture

CLASSES = digits.CLASSES
BLANK = CLASSES
NAMES = [*map(str, range(CLASSES)), "blank"]

# Digits of a line, columns between two of them (-1: they share one), columns before and after all.
LENGTHS = (6, 12)
GAPS = (-1, 2)
MARGINS = (0, 3)

# Columns on either side that a frame sees: nine in all, little more than a digit has.
REACH = 4
HIDDEN = 128
# Steps of training, lines in each of them, and lines that are read at the end.
SIZES = {False: (800, 32, 400), True: (300, 16, 100)}

# With 25, 4 of 100 beams ended without a text whose check digit fits (small, seed 1).
BEAM_WIDTH = 50

RATE = 0.01
DECAY, DECAY_OF_SQUARES = 0.9, 0.999
# float32 sums of some sixty frames, relative to the sum.
TOLERANCE = 1e-4

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
# Of each digit, what is written for it, without empty columns on the sides.
Images = Sequence[Sequence[Floats]]


@dataclass(frozen=True, slots=True)
class Line:
    """An image (8, T) of the digits `text` (L,), whose ink has the columns [start, stop)."""

    image: Floats
    text: Indices
    start: Indices
    stop: Indices

    @property
    def width(self) -> int:
        """Number of columns, which are the frames."""
        return int(self.image.shape[1])


def crop(image: Floats) -> Floats:
    """Drop the empty columns on both sides."""
    inked = np.flatnonzero(image.any(axis=0))
    return image[:, inked[0] : inked[-1] + 1]


def by_digit(images: Floats, digit: npt.NDArray[Any]) -> Images:
    """Crop images, and sort them by the digits they show."""
    return [[crop(image) for image in images[digit == each]] for each in range(CLASSES)]


def write(images: Images, rng: np.random.Generator) -> Line:
    """Write a line at random, the last digit of which makes the sum a multiple of ten."""
    text = rng.integers(CLASSES, size=rng.integers(*LENGTHS, endpoint=True))
    text[-1] = -text[:-1].sum() % CLASSES
    chosen = [images[digit] for digit in text.tolist()]
    written = [alike[int(rng.integers(len(alike)))] for alike in chosen]
    before = rng.integers(*GAPS, size=len(text), endpoint=True)
    before[0], after = rng.integers(*MARGINS, size=2, endpoint=True)
    widths = np.array([image.shape[1] for image in written])
    stop = np.cumsum(before + widths)
    start = stop - widths
    line = np.zeros((written[0].shape[0], stop[-1] + after), np.float32)
    for image, first, last in zip(written, start, stop, strict=True):
        np.maximum(line[:, first:last], image, out=line[:, first:last])
    return Line(line, text, start, stop)


def look(line: Line) -> Floats:
    """Give what each frame sees: the pixels, from 0 to 1, of its column and those around it."""
    padded = np.pad(line.image / np.float32(16), ((0, 0), (REACH, REACH)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1, axis=1)
    seen: Floats = windows.swapaxes(0, 1).reshape(line.width, -1)
    return seen


class Network:
    """A hidden layer between what a frame sees and the logits of its symbol."""

    def __init__(self, inputs: int, rng: np.random.Generator) -> None:
        def weights(rows: int, columns: int, gain: float) -> Floats:
            drawn = rng.normal(scale=np.sqrt(gain / rows), size=(rows, columns))
            return drawn.astype(np.float32)

        self.parameters: list[Floats] = [
            weights(inputs, HIDDEN, 2.0),
            np.zeros(HIDDEN, np.float32),
            weights(HIDDEN, CLASSES + 1, 1.0),
            np.zeros(CLASSES + 1, np.float32),
        ]

    def logits(self, seen: Floats) -> tuple[Floats, Floats]:
        """Give the hidden values and the logits of frames."""
        into, shift, out_of, bias = self.parameters
        hidden = np.maximum(seen @ into + shift, 0)
        return hidden, hidden @ out_of + bias

    def gradients(self, seen: Floats, hidden: Floats, of_logits: Floats) -> list[Floats]:
        """Carry the gradient with respect to the logits back to the parameters."""
        of_hidden = (of_logits @ self.parameters[2].T) * (hidden > 0)
        return [
            seen.T @ of_hidden,
            of_hidden.sum(axis=0),
            hidden.T @ of_logits,
            of_logits.sum(axis=0),
        ]


def train(
    network: Network,
    images: Images,
    steps: int,
    batch: int,
    rng: np.random.Generator,
    progress: bool,
) -> float:
    """Follow the gradient of CTC with Adam over fresh lines, and give the last step's loss."""
    means = [np.zeros_like(each) for each in network.parameters]
    squares = [np.zeros_like(each) for each in network.parameters]
    loss = np.inf
    with reporter(progress, steps, "training") as tell:
        for step in range(steps):
            lines = [write(images, rng) for _ in range(batch)]
            ends = np.cumsum([line.width for line in lines])[:-1]
            seen = np.concatenate([look(line) for line in lines])
            hidden, logits = network.logits(seen)
            texts = [line.text for line in lines]
            found = coalign.ctc_forward_backward(
                np.split(logits, ends), texts, blank=BLANK, reduction="mean"
            )
            loss = float(found.loss)
            rate = RATE * (1 - step / steps)
            rate *= np.sqrt(1 - DECAY_OF_SQUARES ** (step + 1)) / (1 - DECAY ** (step + 1))
            for parameter, gradient, mean, square in zip(
                network.parameters,
                network.gradients(seen, hidden, np.concatenate(found.grad)),
                means,
                squares,
                strict=True,
            ):
                mean += (1 - DECAY) * (gradient - mean)
                square += (1 - DECAY_OF_SQUARES) * (gradient**2 - square)
                parameter -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))
            if tell is not None:
                tell(step + 1)
    return loss


class CheckDigit:
    """A language model that knows one thing: digits add up to a multiple of ten."""

    def start(self) -> int:
        """Begin with the empty sum."""
        return 0

    def score(self, state: int, label: int) -> tuple[float, int]:
        """Add a digit; none is likelier than another."""
        return 0.0, (state + label) % CLASSES

    def end(self, state: int) -> float:
        """Rule out texts with another sum."""
        return 0.0 if state == 0 else -np.inf


def edits(read: npt.NDArray[Any], text: npt.NDArray[Any]) -> int:
    """Count the insertions, deletions and replacements that turn one text into the other."""
    row = list(range(len(text) + 1))
    for count, symbol in enumerate(read, 1):
        above, row = row, [count]
        for k, other in enumerate(text):
            row.append(min(above[k] + (symbol != other), above[k + 1] + 1, row[k] + 1))
    return row[-1]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one way of reading makes of the lines, and how long that took."""

    texts: list[Indices]
    edits: Indices
    digits: int
    seconds: float

    @property
    def error_rate(self) -> float:
        """Edits per true digit; superfluous ones can make it exceed 1."""
        return float(self.edits.sum()) / self.digits

    @property
    def lines_right(self) -> float:
        """Share of lines without an error."""
        return float((self.edits == 0).mean())

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this reading."""
        return {
            "label_error_rate": self.error_rate,
            "edits": int(self.edits.sum()),
            "lines_right": self.lines_right,
            "seconds": self.seconds,
        }


def read(lines: Sequence[Line], decode: Callable[[], list[Indices]]) -> Reading:
    """Read the lines in one way, and compare with what was written."""
    start = time.perf_counter()
    texts = decode()
    seconds = time.perf_counter() - start
    wrong = [edits(text, line.text) for text, line in zip(texts, lines, strict=True)]
    return Reading(texts, np.array(wrong), sum(len(line.text) for line in lines), seconds)


def midpoints(start: Indices, stop: Indices, width: int) -> npt.NDArray[np.float64]:
    """Cut a line in the middle between each span and the next."""
    return np.concatenate([[0], (stop[:-1] + start[1:]) / 2, [width]])


def cut(line: Line, cuts: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Say of each column with ink of one digit alone whether it lies in that digit's piece."""
    columns = np.arange(line.width)
    covered = (line.start[:, None] <= columns) & (columns < line.stop[:, None])
    alone = covered.sum(axis=0) == 1
    piece = np.searchsorted(cuts, columns + 0.5, side="right") - 1
    right: npt.NDArray[np.bool_] = piece[alone] == covered.argmax(axis=0)[alone]
    return right


@dataclass(frozen=True, slots=True)
class Alignment:
    """Spans of the digits in each line, and how well they meet the ink."""

    spans: list[Indices]
    inside: float
    columns: float
    seconds: float

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this alignment."""
        return {"inside": self.inside, "columns": self.columns, "seconds": self.seconds}


def align(lines: Sequence[Line], logits: Sequence[Floats]) -> Alignment:
    """Align the lines with their texts, and compare with where the digits were written.

    Raises
    ------
    RuntimeError
        If the best path is more probable than all paths together.
    """
    texts = [line.text for line in lines]
    start = time.perf_counter()
    found = coalign.ctc_align(logits, texts, blank=BLANK)
    seconds = time.perf_counter() - start
    losses = coalign.ctc_loss(logits, texts, blank=BLANK)
    if not bool(np.all(found.total <= -losses + TOLERANCE * np.abs(losses))):
        raise RuntimeError("an alignment is more probable than all alignments together")
    inside = [
        (line.start <= starts) & (stops <= line.stop)
        for line, starts, stops in zip(lines, found.start, found.stop, strict=True)
    ]
    columns = [
        cut(line, midpoints(starts, stops, line.width))
        for line, starts, stops in zip(lines, found.start, found.stop, strict=True)
    ]
    share_inside, share_of_columns = (
        float(np.concatenate(each).mean()) for each in (inside, columns)
    )
    return Alignment(found.spans, share_inside, share_of_columns, seconds)


def cut_evenly(lines: Sequence[Line]) -> float:
    """Give the share of columns that pieces of equal width give to the right digit."""
    right = [cut(line, np.linspace(0, line.width, len(line.text) + 1)) for line in lines]
    return float(np.concatenate(right).mean())


@dataclass(frozen=True, slots=True)
class Trial:
    """What one network makes of the lines."""

    logits: list[Floats]
    readings: dict[str, Reading]
    alignment: Alignment

    def metrics(self) -> dict[str, object]:
        """Give what report.json holds about this network."""
        readings = {name: reading.metrics() for name, reading in self.readings.items()}
        return {**readings, "alignment": self.alignment.metrics()}


def try_out(network: Network, lines: Sequence[Line], *, checked: bool) -> Trial:
    """Read the lines, if asked also by their check digits, and align them with their texts."""
    logits = [network.logits(look(line))[1] for line in lines]

    def search(lm: CheckDigit | None) -> list[Indices]:
        found = coalign.ctc_beam_search(logits, blank=BLANK, beam_width=BEAM_WIDTH, lm=lm, beta=0)
        best: list[Indices] = found.best()
        return best

    readings = {
        "greedy": read(lines, lambda: coalign.ctc_greedy(logits, blank=BLANK).labels),
        "beam": read(lines, lambda: search(None)),
    }
    if checked:
        readings["check digit"] = read(lines, lambda: search(CheckDigit()))
    return Trial(logits, readings, align(lines, logits))


def choose_example(trial: Trial) -> int:
    """Pick the first line that is misread until its check digit is known, or else the first."""
    misread = trial.readings["beam"].edits > 0
    return int(np.argmax(misread & (trial.readings["check digit"].edits == 0)))


def picture(lines: Sequence[Line], trial: Trial) -> Picture:
    """Draw an unseen line, what the network makes of it, and where each digit was found."""
    example = choose_example(trial)
    line, logits, spans = lines[example], trial.logits[example], trial.alignment.spans[example]
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    read_as = {name: reading.texts[example] for name, reading in trial.readings.items()}
    written, greedily, mended = (
        "".join(map(str, text)) for text in (line.text, read_as["greedy"], read_as["check digit"])
    )
    return Picture(
        figures.line(
            line.image,
            np.stack([line.text, line.start, line.stop], axis=1),
            np.stack([line.text, spans[:, 1], spans[:, 2]], axis=1),
            midpoints(spans[:, 1], spans[:, 2], line.width),
            likely,
            NAMES,
        ),
        caption=(
            f"An unseen line that says {written}. Greedily it is read as {greedily}, by its check "
            f"digit as {mended}. Bars: the columns in which each digit has ink. Red: the columns "
            "that forced alignment gives it, and the cuts in the middle between them. Below: how "
            "probable each symbol is at each column, as the network sees it."
        ),
        alt=(
            f"The handwritten digits {written} in one line, the spans that forced alignment gives "
            "them within their true columns, and the probabilities of ten digits and the blank."
        ),
    )


def _rows(network: str, trial: Trial) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            network,
            name,
            f"{reading.error_rate:.2%}",
            f"{reading.lines_right:.2%}",
            f"{reading.seconds:.3f}",
        )
        for name, reading in trial.readings.items()
    )


def _prose(before: Trial, after: Trial, even: float, effort: str) -> tuple[str, ...]:
    known = after.readings["check digit"]
    beam = after.readings["beam"]
    return (
        f"Lines of {LENGTHS[0]} to {LENGTHS[1]} digits, so close that neighbours may share a "
        f"column. A small network in NumPy sees {2 * REACH + 1} columns at a time. It learns from "
        "the lines and their texts alone: nobody tells it where a digit is. The gradient with "
        f"respect to its logits is that of ctc_forward_backward; {effort}. No image is both in a "
        "line for training and in one that is read.",
        "An error is a digit inserted, left out or replaced, counted per digit written. Digits "
        "read where there are none count as well, so that an untrained network can make more "
        "errors than there are digits.",
        "The last digit of a line makes the sum a multiple of ten. A language model of three short "
        f"methods in Python tells beam search so, which then has {known.lines_right:.2%} of the "
        f"lines right instead of {beam.lines_right:.2%}.",
        "When lines are aligned with their texts, "
        f"{after.alignment.inside:.2%} of the digits get a span that lies wholly in columns with "
        f"their ink; with the untrained network it is {before.alignment.inside:.2%}. Spans are "
        f"short. Cut in the middle between them, a line gives {after.alignment.columns:.2%} of the "
        "columns that have ink of one digit to that digit; cut into pieces of equal width, "
        f"{even:.2%}.",
    )


def part(small: bool, seed: int, progress: bool) -> Part:
    """Train a network on lines without telling it where the digits are, and read other lines."""
    from threadpoolctl import threadpool_limits

    # Products this small gain nothing from a second thread, and a busy CPU holds them up: beside
    # four other processes on two CPUs, training took 88 s with two threads and 20 s with one.
    with threadpool_limits(1, user_api="blas"):
        return _part(small, seed, progress)


def _part(small: bool, seed: int, progress: bool) -> Part:
    rng = np.random.default_rng(seed)
    steps, batch, count = SIZES[small]
    split = digits.load(False, rng)
    unseen = by_digit(split.test, split.test_digit)
    lines = [write(unseen, rng) for _ in range(count)]
    network = Network(look(lines[0]).shape[1], rng)
    before = try_out(network, lines, checked=False)
    start = time.perf_counter()
    loss = train(network, by_digit(split.train, split.train_digit), steps, batch, rng, progress)
    seconds = time.perf_counter() - start
    after = try_out(network, lines, checked=True)
    even = cut_evenly(lines)
    return Part(
        key="lines",
        title="CTC: read lines of digits",
        prose=_prose(before, after, even, f"{steps} steps of {batch} lines took {seconds:.0f} s"),
        caption=f"{count} unseen lines of handwritten digits, read",
        columns=("network", "reading", "errors per digit", "lines right", "seconds"),
        rows=_rows("untrained", before) + _rows("trained", after),
        pictures=(picture(lines, after),),
        metrics={
            "train": len(split.train),
            "test": len(split.test),
            "lines": count,
            "digits": after.readings["greedy"].digits,
            "steps": steps,
            "training_seconds": seconds,
            "loss": loss,
            "untrained": before.metrics(),
            "trained": after.metrics(),
            "cut_evenly": even,
        },
    )
