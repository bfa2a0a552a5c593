"""The demo's report: one HTML page that needs nothing else, JSON, and text for the terminal."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .part import Part, Picture

_STYLE = """
:root { color-scheme: light dark; --line: #c8ced6; --soft: #5b6670; --head: #eef1f4; }
@media (prefers-color-scheme: dark) {
  :root { --line: #454c54; --soft: #a3adb7; --head: #262b31; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2 { line-height: 1.2; }
.soft, caption, figcaption { color: var(--soft); font-size: 0.9rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; padding-bottom: 0.4rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.9rem; text-align: left;
  white-space: nowrap; }
thead th { background: var(--head); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; border-radius: 6px; background: white; }
"""


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit()


def _cell(tag: str, text: str, number: bool) -> str:
    kind = ' class="number"' if number else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _numeric(part: Part) -> list[bool]:
    """Say which columns hold numbers, which are set flush right."""
    return [all(_is_number(cell) for cell in column) for column in zip(*part.rows, strict=True)]


def _table(part: Part) -> str:
    numeric = _numeric(part)
    head = "".join(map(_cell, ["th"] * len(numeric), part.columns, numeric))
    body = "\n".join(
        f"<tr>{''.join(map(_cell, ['td'] * len(numeric), row, numeric))}</tr>" for row in part.rows
    )
    return (
        f'<div class="table"><table>\n<caption>{escape(part.caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    return (
        f'<figure>\n<img src="data:image/png;base64,{data}" alt="{escape(picture.alt)}">\n'
        f"<figcaption>{escape(picture.caption)}</figcaption>\n</figure>"
    )


def _section(part: Part) -> str:
    paragraphs = [f"<p>{escape(paragraph)}</p>" for paragraph in part.prose]
    pictures = [_picture(picture) for picture in part.pictures]
    body = "\n".join([*paragraphs, _table(part), *pictures])
    return f"<section>\n<h2>{escape(part.title)}</h2>\n{body}\n</section>"


def _describe(environment: Mapping[str, Any]) -> str:
    """Say in one line under which conditions the report was made."""
    versions = environment["versions"]
    size = "small run" if environment["small"] else "full run"
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"{size}, seed {environment['seed']}, instruction set {environment['instruction_set']} "
        f"on {environment['machine']}; {packages}"
    )


def page(environment: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """Give the report as one HTML page without external resources.

    Parameters
    ----------
    environment : Mapping
        Seed, size, machine and versions.
    parts : sequence of Part
        What to show.

    Returns
    -------
    str
        The page.
    """
    sections = "\n".join(_section(part) for part in parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>coalign demo</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>coalign demo</h1>
<p class="soft">{escape(_describe(environment))}</p>
{sections}
</body>
</html>
"""


def text(parts: Sequence[Part]) -> str:
    """Give each part's table as plain text.

    Parameters
    ----------
    parts : sequence of Part
        What to show.

    Returns
    -------
    str
        The tables, with an empty line between two of them.
    """
    return "\n\n".join(_text_table(part) for part in parts)


def _text_table(part: Part) -> str:
    lines = [part.columns, *part.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numeric = _numeric(part)
    return "\n".join(
        [
            part.caption,
            *(
                "  ".join(
                    cell.rjust(width) if number else cell.ljust(width)
                    for cell, width, number in zip(line, widths, numeric, strict=True)
                ).rstrip()
                for line in lines
            ),
        ]
    )


def write(folder: Path, environment: Mapping[str, Any], parts: Sequence[Part]) -> Path:
    """Write report.html and report.json.

    Parameters
    ----------
    folder : Path
        Where to; it must exist.
    environment : Mapping
        Seed, size, machine and versions.
    parts : sequence of Part
        What to show.

    Returns
    -------
    Path
        The path of report.html.
    """
    values = {**environment, "parts": {part.key: dict(part.metrics) for part in parts}}
    (folder / "report.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    html = folder / "report.html"
    html.write_text(page(environment, parts), encoding="utf-8")
    return html
