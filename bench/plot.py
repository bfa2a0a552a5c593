"""Pictures as SVG, readable on light and dark pages: the same figures give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from html import escape
from typing import Any

# Of text, frames and grid, and of the curves; the paper is drawn, so that no page shows through.
LIGHT = {".paper": "#ffffff", "text": "#1f2328", ".grid": "#d0d7de"}
LIGHT |= {".c0": "#0969da", ".c1": "#bc4c00", ".c2": "#1a7f37", ".c3": "#8250df"}
DARK = {".paper": "#0d1117", "text": "#e6edf3", ".grid": "#3d444d"}
DARK |= {".c0": "#58a6ff", ".c1": "#f0883e", ".c2": "#3fb950", ".c3": "#bc8cff"}


def svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """Wrap the parts of a picture."""

    def rules(colours: dict[str, str]) -> str:
        return "".join(
            f"{name}{{{'stroke' if name == '.grid' else 'fill'}:{colour}}}"
            f"{f'path{name}{{stroke:{colour};fill:none}}' if name[:2] == '.c' else ''}"
            for name, colour in colours.items()
        )

    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>text{{font:12px sans-serif}}.end{{text-anchor:end}}"
            f".middle{{text-anchor:middle}}path{{stroke-width:1.5}}path.c0{{stroke-width:2.5}}"
            f"{rules(LIGHT)}@media(prefers-color-scheme:dark){{{rules(DARK)}}}</style>",
            f'<rect class="paper" width="{width}" height="{height}" rx="6"/>',
            *parts,
            "</svg>\n",
        )
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Write words, from x, to x ("end") or around it ("middle")."""
    anchor = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchor}>{escape(words)}</text>'


def line(kind: str, *points: tuple[float, float]) -> str:
    """Draw a line through points."""
    return f'<path class="{kind}" d="M{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Draw ratios as bars on a logarithmic axis, from 1: each with its label and its words."""
    left, right, top, height = 330, 600, 44, 24
    low, high = (math.log(f(ratio for _, ratio, _ in rows)) for f in (min, max))
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (right - left) / ((high - low) or 1.0)
    one = left - low * scale
    parts = [text(12, 24, title)]
    for at, (label, ratio, words) in enumerate(rows):
        y, tip = top + height * at, one + math.log(ratio) * scale
        colour = "c0" if ratio >= 1 else "c1"
        parts += [
            text(left - 12, y + 13, label, "end"),
            f'<rect class="{colour}" x="{min(one, tip):.1f}" y="{y + 2}" '
            f'width="{abs(tip - one):.1f}" height="{height - 8}"/>',
            text(max(one, tip) + 6, y + 13, words),
        ]
    bottom = top + height * len(rows)
    parts.append(line("grid", (one, top - 6), (one, bottom)))
    return svg(780, bottom + 12, title, parts)


def curves(
    title: str,
    points: Sequence[tuple[str, str, int, float]],
    in_words: Callable[[int], str] | None = None,
) -> str:
    """Draw seconds against size, both logarithmic: (panel, curve, size, seconds).

    Panels have axes of sizes of their own, as far as these differ. `in_words` names a power of ten.
    """
    in_words = in_words or seconds_in_words
    panels, names = (list(dict.fromkeys(point[k] for point in points)) for k in (0, 1))
    times = [seconds for *_, seconds in points]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    width, height, across = 240, 190, 3
    parts = [text(12, 24, title)]
    for at, name in enumerate(names):
        parts += [
            line(f"c{at}", (12 + 110 * at, 42), (36 + 110 * at, 42)),
            text(42 + 110 * at, 46, name),
        ]

    def place(size: int, seconds: float) -> tuple[float, float]:
        span = math.log(sizes[-1] / sizes[0]) or 1.0
        x = left + (width - 64) * math.log(size / sizes[0]) / span
        return x, top + (height - 54) * (high - math.log10(seconds)) / (high - low)

    for k, panel in enumerate(panels):
        left, top = 64 + width * (k % across), 84 + height * (k // across)
        sizes = sorted({size for which, _, size, _ in points if which == panel})
        parts.append(text(left, top - 8, panel))
        for decade in range(low, high + 1):
            y = place(sizes[0], 10.0**decade)[1]
            parts.append(line("grid", (left, y), (left + width - 64, y)))
            if k % across == 0:
                parts.append(text(left - 6, y + 4, in_words(decade), "end"))
        for size in sizes[::2]:
            parts.append(text(place(size, 1.0)[0], top + height - 40, str(size), "middle"))
        for at, name in enumerate(names):
            found = [place(n, s) for family, who, n, s in points if (family, who) == (panel, name)]
            parts.append(line(f"c{at}", *found) if found else "")
    rows = -(-len(panels) // across)
    return svg(36 + width * min(across, len(panels)), 84 + height * rows, title, parts)


def seconds_in_words(decade: int) -> str:
    """Name a power of ten seconds."""
    unit, name = next(
        (u, n)
        for u, n in ((0, "s"), (-3, "ms"), (-6, "µs"), (-9, "ns"), (-12, "ps"))
        if decade >= u
    )
    return f"{10 ** (decade - unit)} {name}"


def percent_in_words(decade: int) -> str:
    """Name a power of ten as a share."""
    return f"{number_of_tens(decade + 2)} %"


def number_of_tens(decade: int) -> str:
    """Write a power of ten."""
    return f"{10**decade}" if decade >= 0 else f"{10.0**decade:.{-decade}f}"


def bandwidth(benchmarks: Iterable[Any]) -> list[tuple[str, str, int, float]]:
    """Give how quick each contender is beside the copy of its case, as points of `curves`."""
    points = scaling(benchmarks)
    copies = {(panel, size): seconds for panel, who, size, seconds in points if who == "copy"}
    return [
        (panel, who, size, copies[panel, size] / seconds)
        for panel, who, size, seconds in points
        if who != "copy"
    ]


def iterations(benchmarks: Iterable[Any]) -> list[tuple[str, str, int, float]]:
    """Give how many iterations each contender made, as points of `curves`."""
    counted = (b for b in benchmarks if b.iterations is not None)
    return scaling([replace(b, median=float(b.iterations)) for b in counted])


def per_frame(
    benchmarks: Iterable[Any], frames: Callable[[str], int]
) -> list[tuple[str, str, int, float]]:
    """Give the seconds of a frame, as points of `curves`."""
    return scaling([replace(b, median=b.median / frames(b.case)) for b in benchmarks])


def scaling(benchmarks: Iterable[Any]) -> list[tuple[str, str, int, float]]:
    """Give the points of cases that are named "family, n = size"; coalign's curve comes first."""
    points = []
    for benchmark in sorted(benchmarks, key=lambda benchmark: benchmark.peer):
        family, _, size = benchmark.case.partition(", n = ")
        name = "coalign" if not benchmark.peer else benchmark.contender.rsplit("-f", 1)[0]
        points.append((family, name, int(size), benchmark.median))
    return points
