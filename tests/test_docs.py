"""What the documents say is what the package does."""

import doctest
import re
from pathlib import Path

import pytest

import coalign
import report

ROOT = Path(__file__).parents[1]


def test_readme_examples_give_the_output_shown():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 13
    assert results.failed == 0


GUIDES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "```python" in page.read_text()]


def test_every_example_of_a_guide_is_run():
    names = {page.stem for page in GUIDES}
    assert names >= {"assignment", "ctc", "decoding", "export", "forced_alignment", "warping"}
    for page in GUIDES:
        blocks = re.findall(r"^```python\n(.*)", page.read_text(), re.MULTILINE)
        assert [first for first in blocks if not first.startswith(">>> ")] == [], page.name


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guides_examples_give_the_output_shown(page):
    results = doctest.testfile(str(page), module_relative=False)
    assert results.attempted >= 5
    assert results.failed == 0


def test_readme_gives_commands_that_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", readme))
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


def test_documents_show_what_the_committed_records_give():
    documents = report.documents()
    assert {path.name for path in documents} >= {"README.md", "benchmarks.md", "benchmarks.svg"}
    stale = [
        path.name for path, text in documents.items() if path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run python bench/report.py --documents"


def test_every_public_name_is_on_one_page_of_the_api():
    pages = [page.read_text() for page in sorted((ROOT / "docs" / "api").glob("*.rst"))]
    shown = re.findall(r"^\.\. auto\w+:: (\w+)", "\n".join(pages), re.MULTILINE)
    assert sorted(shown) == coalign.__all__


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists()]
    assert missing == []


def test_bench_requirements_pin_every_peer():
    lines = (ROOT / "bench" / "requirements.txt").read_text().splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    assert names
    assert [line for line in names if "==" not in line] == []
