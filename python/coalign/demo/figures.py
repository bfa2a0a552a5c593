"""Pictures of the demo, drawn off screen and returned as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK = "#1f2933"
_PATH = _WRONG = "#d1495b"
_RIGHT = "#2e8b57"
_SOFT = "#c8d6e5"


def _figure(width: float, height: float) -> Figure:
    # A Figure without pyplot draws with Agg and leaves no state behind.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def warping(
    images: Sequence[tuple[str, npt.NDArray[Any]]],
    local: npt.NDArray[Any],
    window: int,
    path: tuple[npt.NDArray[Any], npt.NDArray[Any]],
) -> bytes:
    """Draw titled images, and the path over the local costs of the first two's columns.

    Parameters
    ----------
    images : sequence of (str, array)
        Titles and images (8, 8).
    local : array, shape (N, M)
        Local costs.
    window : int
        Half-width of the band; cells outside it are left blank.
    path : pair of arrays, shape (K,)
        Rows and columns of the path.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    figure = _figure(9.0, 5.2)
    grid = figure.add_gridspec(len(images), 2, width_ratios=(1, 3))
    for row, (title, image) in enumerate(images):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=16)
        axes.set_title(title, fontsize=10, color=_INK)
        axes.set(xticks=[], yticks=[])
    axes = figure.add_subplot(grid[:, 1])
    i, j = np.indices(local.shape)
    banded = np.where(abs(i - j) <= window, local, np.nan)
    drawn = axes.imshow(banded, cmap="viridis")
    axes.set_facecolor("#e4e7eb")
    axes.plot(path[1], path[0], color=_PATH, linewidth=2.5, marker="o", markersize=7)
    axes.set(
        xlabel="column of the nearest image by DTW",
        ylabel="column of the test image",
        xticks=range(local.shape[1]),
        yticks=range(local.shape[0]),
    )
    axes.set_title("local costs inside the band, and the warping path", fontsize=10, color=_INK)
    figure.colorbar(drawn, ax=axes, label="squared distance of two columns", shrink=0.9)
    return _png(figure)


def confusions(panels: Sequence[tuple[str, npt.NDArray[np.int64]]]) -> bytes:
    """Draw titled confusion matrices side by side.

    Parameters
    ----------
    panels : sequence of (str, array)
        Titles and counts, true class by row and recognised class by column.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    from matplotlib.colors import PowerNorm

    figure = _figure(4.6 * len(panels), 4.6)
    # One scale for all, with a root so that single errors stand out from zero.
    largest = max(int(counts.max()) for _, counts in panels)
    norm = PowerNorm(0.5, vmin=0, vmax=largest)
    for axes, (title, counts) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        axes.imshow(counts, cmap="Blues", norm=norm)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if count > largest / 3 else _INK
                axes.text(column, row, f"{count}", ha="center", va="center", color=color, size=8)
        axes.set(
            xlabel="recognised as",
            ylabel="true digit",
            xticks=range(counts.shape[1]),
            yticks=range(counts.shape[0]),
        )
        axes.set_title(title, fontsize=11, color=_INK)
    return _png(figure)


def matches(
    panels: Sequence[tuple[str, npt.NDArray[Any], npt.NDArray[np.bool_] | None]],
) -> bytes:
    """Draw rows of images, framed by whether they are right.

    Parameters
    ----------
    panels : sequence of (str, array, array or None)
        Titles, images (n, 8, W), and for each image whether it is right; None draws no frames.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    columns = len(panels[0][1])
    figure = _figure(1.3 * columns, 1.45 * len(panels))
    grid = figure.subplots(len(panels), columns, squeeze=False)
    for row, (title, images, right) in zip(grid, panels, strict=True):
        for k, (axes, image) in enumerate(zip(row, images, strict=True)):
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=16)
            axes.set(xticks=[], yticks=[])
            if right is not None:
                axes.spines[:].set(color=_RIGHT if right[k] else _WRONG, linewidth=3)
        row[0].set_title(title, fontsize=10, color=_INK, loc="left")
    return _png(figure)


def outlines(
    images: Sequence[tuple[str, npt.NDArray[Any], npt.NDArray[np.float64]]],
    angles: npt.NDArray[np.float64],
    envelope: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    series: Sequence[tuple[str, npt.NDArray[Any]]],
) -> bytes:
    """Draw titled images with their outlines, and beside them series and an envelope.

    Parameters
    ----------
    images : sequence of (str, array, array)
        Titles, images (8, 8), and the rows and columns (2, n) of their outlines.
    angles : array, shape (n,)
        Angles in degrees.
    envelope : pair of arrays, shape (n,)
        The least and the most of what each angle may be paired with.
    series : sequence of three (str, array)
        Names and series (n,): the one that has the envelope, the nearest, and one whose distance
        from the envelope is drawn in red.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    figure = _figure(9.0, 5.2)
    grid = figure.add_gridspec(len(images), 2, width_ratios=(1, 3))
    for row, (title, image, outline) in enumerate(images):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=16)
        axes.fill(outline[1], outline[0], fill=False, edgecolor=_PATH, linewidth=1.5)
        axes.set_title(title, fontsize=10, color=_INK)
        axes.set(xticks=[], yticks=[])
    axes = figure.add_subplot(grid[:, 1])
    axes.fill_between(angles, *envelope, color=_SOFT, label="envelope")
    for (name, values), color in zip(series, (_INK, _RIGHT, _PATH), strict=True):
        axes.plot(angles, values, color=color, label=name)
    left_out = series[-1][1]
    inside = np.clip(left_out, *envelope)
    axes.fill_between(angles, inside, left_out, color=_PATH, alpha=0.35, linewidth=0)
    axes.set(xlabel="angle in degrees", ylabel="pixels from the middle", xticks=range(0, 361, 90))
    axes.set_title("outlines as series, and what may be paired", fontsize=10, color=_INK)
    axes.legend(fontsize=9)
    return _png(figure)


def shares(names: Sequence[str], stages: Sequence[str], values: npt.NDArray[np.float64]) -> bytes:
    """Draw a bar for each name, cut into the shares of stages.

    Parameters
    ----------
    names, stages : sequences of str
        What the bars and their pieces are called.
    values : array, shape (names, stages)
        Shares, which add up to 1 for each bar.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    from matplotlib import colormaps

    figure = _figure(9.0, 0.9 + 0.45 * len(names))
    axes = figure.subplots()
    starts = np.cumsum(values, axis=1) - values
    colors = colormaps["viridis_r"](np.linspace(0.05, 0.95, len(stages)))
    for stage, width, start, color in zip(stages, values.T, starts.T, colors, strict=True):
        axes.barh(names, width, 0.7, start, color=color, label=stage)
    axes.set(xlim=(0, 1), xlabel="share of the pairs")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(stages), fontsize=9, frameon=False)
    return _png(figure)


def line(
    image: npt.NDArray[Any],
    written: npt.NDArray[Any],
    spans: npt.NDArray[Any],
    cuts: npt.NDArray[np.float64],
    likely: npt.NDArray[Any],
    names: Sequence[str],
) -> bytes:
    """Draw a line of digits, where they are and where they were found, and the posteriors.

    Parameters
    ----------
    image : array, shape (8, T)
        The line.
    written, spans : int arrays, shape (L, 3)
        Symbol, first column and one past the last of each digit: of its ink, and as aligned.
    cuts : array, shape (L + 1,)
        Where the line is cut into digits.
    likely : array, shape (T, C)
        Probability of each symbol at each column.
    names : sequence of str
        Names of the symbols.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    from .. import plot_alignment

    rows, width = image.shape
    figure = _figure(9.0, 5.8)
    # The upper heights make the pixels of the image about square.
    top, middle, bottom = figure.subplots(
        3, 1, sharex=True, height_ratios=(10 * rows / width, 0.62, 3.4)
    )
    top.imshow(image, cmap="gray_r", aspect="auto", extent=(0, width, rows, 0), vmin=0, vmax=16)
    top.set(yticks=[])
    top.set_title("an unseen line, cut where the alignment says", fontsize=10, color=_INK)
    for column in cuts[1:-1]:
        top.axvline(column, color=_PATH, linewidth=1.5, linestyle=(0, (4, 2)))
    for number, ((symbol, start, stop), (_, first, last)) in enumerate(
        zip(written.tolist(), spans.tolist(), strict=True)
    ):
        # Neighbours may share a column, so they take turns in height.
        base = number % 2
        middle.barh(base, stop - start, 0.9, start, color=_SOFT)
        middle.barh(base, last - first, 0.9, first, color=_PATH)
        middle.text(
            start - 0.2, base, names[symbol], ha="right", va="center", color=_INK, fontsize=10
        )
    middle.set(yticks=[], ylim=(1.6, -0.6))
    middle.tick_params(bottom=False)
    middle.set_title("where each digit has ink, and its aligned span", fontsize=10, color=_INK)
    middle.spines[:].set_visible(False)
    plot_alignment(spans, names, score=likely.T, axes=bottom)
    bottom.set(yticks=range(len(names)), yticklabels=names, xlabel="column", ylabel="symbol")
    bottom.set_title("probability of each symbol", fontsize=10, color=_INK)
    return _png(figure)


def photographs(rows: Sequence[Sequence[tuple[str, npt.NDArray[np.float64]]]]) -> bytes:
    """Draw rows of titled photographs.

    Parameters
    ----------
    rows : sequence of sequences of (str, array)
        Titles and images (H, W, 3) with values 0 to 1.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    figure = _figure(4.6 * len(rows[0]), 3.4 * len(rows))
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, (title, image) in zip(axes_row, row, strict=True):
            axes.imshow(image)
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=11, color=_INK)
    return _png(figure)


def plan(
    mass: npt.NDArray[np.float64],
    row_colours: npt.NDArray[np.float64],
    column_colours: npt.NDArray[np.float64],
    names: Sequence[str],
) -> bytes:
    """Draw a plan between colours, with the colours along its sides.

    Parameters
    ----------
    mass : array, shape (N, M)
        The plan.
    row_colours, column_colours : arrays, shape (N, 3) and (M, 3)
        Colours of the rows and the columns, with values 0 to 1.
    names : sequence of two str
        Whose colours the rows and the columns have.

    Returns
    -------
    bytes
        The picture as a PNG file.
    """
    from matplotlib.colors import PowerNorm

    figure = _figure(6.4, 5.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 18), height_ratios=(18, 1))
    left, below = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 1])
    left.imshow(row_colours[:, np.newaxis], aspect="auto")
    below.imshow(column_colours[np.newaxis], aspect="auto")
    left.set(xticks=[], yticks=[], ylabel=f"colours of the {names[0]}, dark to bright")
    below.set(xticks=[], yticks=[], xlabel=f"colours of the {names[1]}, dark to bright")
    axes = figure.add_subplot(grid[0, 1])
    # A root, so that small amounts show.
    drawn = axes.imshow(mass, cmap="magma_r", aspect="auto", norm=PowerNorm(0.5, vmin=0))
    axes.set(xticks=[], yticks=[])
    figure.colorbar(drawn, ax=axes, label="mass")
    return _png(figure)
