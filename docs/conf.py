"""The site: guides in Markdown, the API from the docstrings, and pictures from the demo."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from numpydoc.docscrape_sphinx import SphinxDocString
from sphinx.application import Sphinx

import coalign
from coalign.demo import averages, colours, digits, lines, search, shuffle
from coalign.demo.part import Part

HERE = Path(__file__).parent

project = "coalign"
release = version = coalign.__version__
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["requirements.txt"]

html_theme = "furo"
html_title = f"coalign {version}"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = html_show_sourcelink = html_show_sphinx = html_show_copyright = False
html_use_index = False
# A summary is fetched from the page that it is of, which browsers refuse for pages on disk.
html_show_search_summary = False

# An empty line ends the output of an example.
highlight_options = {"python": {"stripnl": True}}

myst_heading_anchors = 4
# `name` in a docstring is a link if it names something public, and code either way.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
maximum_signature_line_length = 80
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
# Of a field the docstring of the class says more than the line that its property carries.
SphinxDocString._process_param = lambda self, name, text, is_field: (f"**{name}**", text)

INCLUDED = re.compile(r"^```\{include\} \.\./(\w+\.md)\n```$", re.MULTILINE)
PAGES = {f"{name}.md": f"{name.lower()}.md" for name in ("CONTRIBUTING", "CHANGELOG")}
PAGES["README.md"] = "index.md"


def include(app: Sphinx, name: str, source: list[str]) -> None:
    """Put a document beside this folder where a page includes it, with links between pages."""

    def page(link: re.Match[str]) -> str:
        target = link[1].removeprefix("docs/")
        return f"]({PAGES.get(target, target)}"

    def text(match: re.Match[str]) -> str:
        return re.sub(r"\]\(([^)#:]+)", page, (HERE.parent / match[1]).read_text(encoding="utf-8"))

    source[0] = INCLUDED.sub(text, source[0])


def skip_fields(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool:
    """Leave a result's fields to the docstring of its class."""
    return skip or inspect.isgetsetdescriptor(value)


def write_gallery(app: Sphinx) -> None:
    """Run the demo, and write its prose, tables and pictures as a page."""
    folder = HERE / "gallery"
    folder.mkdir(exist_ok=True)
    text = [
        "# Gallery",
        "`python -m coalign demo` draws these pictures from scikit-learn's handwritten digits and "
        "photographs, and writes them to one page, `coalign-demo/report.html`. The times are those "
        "of the machine that built this page.",
    ]
    for build in (
        shuffle.part,
        digits.part,
        averages.part,
        search.part,
        colours.part,
        lines.part,
    ):
        part = build(small=False, seed=0, progress=False)
        text += [f"## {part.title}", *part.prose, table(part)]
        for number, picture in enumerate(part.pictures, 1):
            name = f"{part.key}-{number}.png"
            (folder / name).write_bytes(picture.png)
            text.append(f"```{{figure}} {name}\n:alt: {picture.alt}\n\n{picture.caption}\n```")
    (folder / "index.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")


def table(part: Part) -> str:
    """Give the table of a part of the demo, with numbers to the right."""
    columns = zip(*part.rows, strict=True)
    rule = ["---:" if all(cell[0].isdigit() for cell in column) else "---" for column in columns]
    lines = [f"| {' | '.join(cells)} |" for cells in (part.columns, rule, *part.rows)]
    return f"{part.caption}:\n\n" + "\n".join(lines)


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("builder-inited", write_gallery)
    app.connect("source-read", include)
    app.connect("autodoc-skip-member", skip_fields)
