"""What one part of the demo hands to the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the report.

    Attributes
    ----------
    png : bytes
        The picture as a PNG file.
    caption : str
        What the reader should see in it.
    alt : str
        What it shows, in words that replace it.
    """

    png: bytes
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the demo: a task on real data, solved with one of the operations.

    Attributes
    ----------
    key : str
        The part's name in report.json.
    title : str
        Heading in the report.
    prose : tuple of str
        Paragraphs of plain text.
    caption : str
        What the table holds; also its heading in the terminal.
    columns : tuple of str
        The table's column names.
    rows : tuple of tuple of str
        The table's cells, one tuple per row, as long as `columns`.
    pictures : tuple of Picture
        Pictures, in the order in which they are shown.
    metrics : Mapping
        What report.json holds about this part: str, int, float, bool, and lists and dicts of them.
    """

    key: str
    title: str
    prose: tuple[str, ...]
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    pictures: tuple[Picture, ...]
    metrics: Mapping[str, object]
