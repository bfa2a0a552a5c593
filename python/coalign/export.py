"""Writing alignments out: seconds, Praat's TextGrid, CTM, and a picture."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import is_array, on_host

__all__ = ["plot_alignment", "spans_to_seconds", "to_ctm", "to_textgrid"]

#: What tokens are called: the name of token k is names[k]. None shows the numbers themselves.
Names = Sequence[str] | Mapping[int, str] | None


def spans_to_seconds(spans: Any, frame_rate: float, *, offset: float = 0.0) -> Any:
    """Turn the frames of spans into times.

    Parameters
    ----------
    spans : int array of shape (K, 3), or list of such arrays
        Rows of token, start and stop, as in the `spans` of a result: the frames [start, stop). Rows
        of -1 at the end, which pad the labellings of a beam, are left out.
    frame_rate : float
        Frames per second.
    offset : float
        Time of the beginning of frame 0, in seconds.

    Returns
    -------
    float64 array of shape (K, 2), or list of such arrays
        Where each span begins and ends, in seconds: frame t lasts from ``offset + t / frame_rate``
        to ``offset + (t + 1) / frame_rate``.

    Raises
    ------
    ValueError, TypeError
        A shape, a span or a number is wrong.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.monotonic_alignment([[0.0, -1.0, -9.0], [-9.0, -5.0, 0.0]])
    >>> coalign.spans_to_seconds(found.spans, 50).tolist()
    [[0.0, 0.04], [0.04, 0.06]]
    """
    rate, shift = _take_rate(frame_rate), _take_number(offset, "offset")
    if _is_batch(spans):
        parts = [_take_spans(item, f"spans[{p}]") for p, item in enumerate(spans)]
        return [part[:, 1:] / rate + shift for part in parts]
    return _take_spans(spans)[:, 1:] / rate + shift


def to_textgrid(
    spans: Any,
    names: Names,
    frame_rate: float,
    *,
    duration: float | None = None,
    tier: str = "tokens",
) -> str:
    """Write the spans of one recording as a TextGrid of Praat, with one interval tier.

    Parameters
    ----------
    spans : int array of shape (K, 3)
        Rows of token, start and stop, in order: none is empty, and none begins before the one
        before it ends. A batch is written one recording a file. Rows of -1 at the end are left out.
    names : sequence of str, mapping from int to str, or None
        ``names[token]`` is the text of an interval; None writes the number. An empty text looks
        like a gap.
    frame_rate : float
        Frames per second.
    duration : float, optional
        Length of the recording in seconds; None ends it with the last span.
    tier : str
        Name of the tier.

    Returns
    -------
    str
        The file in Praat's long text format, with times in seconds; gaps between spans are
        intervals without text. Save it as UTF-8.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, a text holds a line break or a control character, or a span ends after
        `duration`.

    Examples
    --------
    >>> import coalign
    >>> print(coalign.to_textgrid([[0, 5, 10], [1, 10, 20]], ["hey", "you"], 100), end="")
    File type = "ooTextFile"
    Object class = "TextGrid"
    <BLANKLINE>
    xmin = 0
    xmax = 0.2
    tiers? <exists>
    size = 1
    item []:
        item [1]:
            class = "IntervalTier"
            name = "tokens"
            xmin = 0
            xmax = 0.2
            intervals: size = 3
            intervals [1]:
                xmin = 0
                xmax = 0.05
                text = ""
            intervals [2]:
                xmin = 0.05
                xmax = 0.1
                text = "hey"
            intervals [3]:
                xmin = 0.1
                xmax = 0.2
                text = "you"
    """
    rate, rows = _take_rate(frame_rate), _take_one(spans)
    _require_order(rows)
    texts = [_quoted(text, f"names[{k}]") for k, text in _texts(rows, names)]
    end = float(rows[-1, 2]) / rate if len(rows) else 0.0
    if duration is not None:
        length = _take_number(duration, "duration")
        if length < end:
            raise ValueError(f"duration: expected at least {end}, where the last span ends")
        end = length
    if end <= 0:
        raise ValueError("duration: expected a positive number, as there are no spans")
    intervals: list[tuple[float, float, str]] = []
    at = 0.0
    for (start, stop), text in zip(rows[:, 1:] / rate, texts, strict=True):
        if start > at:
            intervals.append((at, start, '""'))
        intervals.append((start, stop, text))
        at = stop
    if end > at:
        intervals.append((at, end, '""'))
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_decimal(end)}",
        "tiers? <exists>",
        "size = 1",
        "item []:",
        "    item [1]:",
        '        class = "IntervalTier"',
        f"        name = {_quoted(tier, 'tier')}",
        "        xmin = 0",
        f"        xmax = {_decimal(end)}",
        f"        intervals: size = {len(intervals)}",
    ]
    for number, (start, stop, text) in enumerate(intervals, 1):
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {_decimal(start)}",
            f"            xmax = {_decimal(stop)}",
            f"            text = {text}",
        ]
    return "\n".join(lines) + "\n"


def to_ctm(
    spans: Any,
    names: Names,
    frame_rate: float,
    *,
    recording: str,
    channel: str = "1",
    confidence: Any = None,
) -> str:
    """Write the spans of one recording as lines of a CTM file (NIST's time-marked tokens).

    Parameters
    ----------
    spans : int array of shape (K, 3)
        Rows of token, start and stop. Files of several recordings are these texts one after the
        other. Rows of -1 at the end are left out.
    names : sequence of str, mapping from int to str, or None
        ``names[token]`` is the token of a line; None writes the number.
    frame_rate : float
        Frames per second.
    recording, channel : str
        The first two fields of every line. A recording that begins with ";" is refused: it would
        make comments of its lines.
    confidence : array of shape (K,), optional
        A number from 0 to 1 for each span, written as the last field.

    Returns
    -------
    str
        A line for each span: recording, channel, start and length in seconds, token, confidence.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, or a field would be empty, or hold a control character or white space,
        which separates fields.

    Examples
    --------
    >>> import coalign
    >>> spans = [[0, 5, 10], [1, 10, 20]]
    >>> print(coalign.to_ctm(spans, ["hey", "you"], 100, recording="call-7"), end="")
    call-7 1 0.05 0.05 hey
    call-7 1 0.1 0.1 you
    """
    rate, rows = _take_rate(frame_rate), _take_one(spans)
    lead = f"{_field(recording, 'recording')} {_field(channel, 'channel')}"
    if recording.startswith(";"):
        raise ValueError(f'recording: expected no ";" at its beginning, got {recording!r}')
    texts = [_field(text, f"names[{k}]") for k, text in _texts(rows, names)]
    ends = [""] * len(rows)
    if confidence is not None:
        values = np.asarray(on_host(confidence), np.float64)
        if values.shape != (len(spans),):
            raise ValueError(f"confidence: expected shape ({len(spans)},), got {values.shape}")
        values = values[: len(rows)]
        wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
        if wrong.size:
            raise ValueError(
                "confidence: expected numbers from 0 to 1, "
                f"got {values[wrong[0]]} at index {wrong[0]}"
            )
        ends = [f" {value:.6f}" for value in values]
    return "".join(
        f"{lead} {_decimal(start / rate)} {_decimal((stop - start) / rate)} {text}{end}\n"
        for (_, start, stop), text, end in zip(rows.tolist(), texts, ends, strict=True)
    )


def plot_alignment(
    spans: Any,
    names: Names = None,
    *,
    frame_rate: float | None = None,
    score: Any = None,
    axes: Any = None,
) -> Any:
    """Draw the spans of one recording: time to the right, tokens from top to bottom.

    Parameters
    ----------
    spans : int array of shape (K, 3)
        Rows of token, start and stop. Rows of -1 at the end are left out.
    names : sequence of str, mapping from int to str, or None
        ``names[token]`` is written beside a span, as it is: "$" begins no formula.
    frame_rate : float, optional
        Frames per second; the axis is then in seconds, and otherwise in frames.
    score : array of shape (N, T), optional
        The score of each token at each frame, shown behind the spans; for emissions (T, C) and
        spans of symbols it is their transpose. One that lacks the token or the frames of a span is
        refused. Infinite scores are left blank.
    axes : matplotlib Axes, optional
        Where to draw. None makes a figure of its own, without pyplot: ``axes.figure.savefig(…)``.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on.

    Raises
    ------
    ImportError
        matplotlib is not installed; the extra `plot` brings it.
    ValueError, TypeError
        An argument is wrong.

    Examples
    --------
    >>> import coalign
    >>> score = [[0.0, -1.0, -9.0], [-9.0, -5.0, 0.0]]
    >>> found = coalign.monotonic_alignment(score)
    >>> axes = coalign.plot_alignment(found.spans, "ab", frame_rate=50, score=score)
    >>> axes.get_xlabel(), len(axes.patches)
    ('time in seconds', 2)
    """
    rows = _take_one(spans)
    texts = [text for _, text in _texts(rows, names)]
    step = 1.0 if frame_rate is None else 1 / _take_rate(frame_rate)
    image = None
    if score is not None:
        image = np.asarray(on_host(score), np.float64)
        if image.ndim != 2:
            raise ValueError(f"score: expected a 2-D array, got shape {image.shape}")
        least = int(rows[:, 0].max(initial=-1)) + 1, int(rows[:, 2].max(initial=0))
        if image.shape[0] < least[0] or image.shape[1] < least[1]:
            raise ValueError(
                f"score: expected tokens by frames, at least {least} for these spans, "
                f"got shape {image.shape}"
            )
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError:
        raise ImportError('plot_alignment needs matplotlib: pip install "coalign[plot]"') from None
    if axes is None:
        axes = Figure(figsize=(9.0, 4.0), layout="constrained").add_subplot()
    last = int(rows[:, 2].max(initial=1))
    count = int(rows[:, 0].max(initial=0)) + 1
    if image is not None:
        tokens, frames = image.shape
        shown = np.where(np.isfinite(image), image, np.nan)
        axes.imshow(
            shown, aspect="auto", cmap="Blues", extent=(0, frames * step, tokens - 0.5, -0.5)
        )
        count, last = max(count, tokens), max(last, frames)
    for (token, start, stop), text in zip(rows.tolist(), texts, strict=True):
        place = (start * step, token - 0.5)
        axes.add_patch(
            Rectangle(place, (stop - start) * step, 1, fill=False, edgecolor="#d1495b", linewidth=2)
        )
        axes.annotate(
            text,
            (stop * step, token),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            parse_math=False,
        )
    axes.set(
        xlim=(0, last * step),
        ylim=(count - 0.5, -0.5),
        xlabel="frame" if frame_rate is None else "time in seconds",
        ylabel="token",
    )
    return axes


def _take_spans(spans: Any, name: str = "spans") -> npt.NDArray[np.int64]:
    """Check one recording's spans, and leave out the rows of -1 that pad them."""
    rows = np.asarray(on_host(spans))
    if rows.shape == (0,) and not is_array(spans):
        return np.empty((0, 3), np.int64)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"{name}: expected shape (K, 3), got {rows.shape}")
    if rows.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {rows.dtype}")
    if (rows > np.iinfo(np.int64).max).any():
        raise ValueError(f"{name}: expected integers below 2**63, got {rows.max()}")
    is_padding = (rows == -1).all(axis=1)
    rows = rows[: len(rows) - int(np.logical_and.accumulate(is_padding[::-1]).sum())]
    wrong = np.flatnonzero((rows < 0).any(axis=1) | (rows[:, 1] > rows[:, 2]))
    if wrong.size:
        raise ValueError(
            f"{name}: expected token >= 0 and 0 <= start <= stop, "
            f"got {rows[wrong[0]].tolist()} at index {wrong[0]}"
        )
    return rows.astype(np.int64)


def _is_batch(spans: Any) -> bool:
    """Whether these are the spans of a list of recordings; an empty list is one of none."""
    is_list = isinstance(spans, (list, tuple))
    return is_list and all(is_array(item) and item.ndim > 1 for item in spans)


def _take_one(spans: Any) -> npt.NDArray[np.int64]:
    """Check the spans of a single recording; a batch is refused with the remedy."""
    if _is_batch(spans) and len(spans) > 0:
        raise ValueError(
            f"spans: expected those of one recording, got a list of {len(spans)}; "
            "make one call for each"
        )
    return _take_spans(spans)


def _require_order(rows: npt.NDArray[np.int64]) -> None:
    before = 0
    for index, (token, start, stop) in enumerate(rows.tolist()):
        if start < before or stop == start:
            raise ValueError(
                "spans: expected spans that are not empty and follow one another, "
                f"got {[token, start, stop]} at index {index}"
            )
        before = stop


def _texts(rows: npt.NDArray[np.int64], names: Names) -> list[tuple[int, str]]:
    """Find the token of each span, and its name."""
    if names is not None and not hasattr(type(names), "__getitem__"):
        raise TypeError(
            f"names: expected a sequence or a mapping of str, or None, got {type(names).__name__}"
        )
    found = []
    for token in rows[:, 0].tolist():
        try:
            text = str(token) if names is None else names[token]
        except (IndexError, KeyError):
            raise ValueError(f"names: expected a name for token {token}, got none") from None
        if not isinstance(text, str):
            raise TypeError(f"names[{token}]: expected a str, got {type(text).__name__}")
        found.append((token, text))
    return found


def _quoted(text: Any, name: str) -> str:
    """Quote a text as Praat does: quotes inside are doubled."""
    doubled = _printed(text, name).replace('"', '""')
    return f'"{doubled}"'


def _field(text: Any, name: str) -> str:
    """Check a field of CTM, which white space ends."""
    field = _printed(text, name)
    if len(field.split()) != 1 or field != field.strip():
        raise ValueError(f"{name}: expected a text without white space, got {field!r}")
    return field


def _printed(text: Any, name: str) -> str:
    """Check that a text stays on its line, and that UTF-8 can hold it."""
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected a str, got {type(text).__name__}")
    for character in text:
        # Control characters, both of Unicode's line breaks, and halves of a pair of UTF-16.
        if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") and character != "\t":
            raise ValueError(f"{name}: expected no line break or control character, got {text!r}")
    return text


def _take_number(value: Any, name: str) -> float:
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {number}")
    return number


def _take_rate(value: Any) -> float:
    rate = _take_number(value, "frame_rate")
    if rate <= 0:
        raise ValueError(f"frame_rate: expected frames per second above 0, got {rate}")
    if math.isinf(2.0**63 / rate):
        raise ValueError(f"frame_rate: expected one at which times are finite, got {rate}")
    return rate


def _decimal(seconds: float) -> str:
    """Write a time with the fewest digits that read back as the same number, without exponent."""
    return np.format_float_positional(seconds, trim="-")
