"""What the documents say is what the package does."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import coalign

ROOT = Path(__file__).parents[1]


def test_readme_examples_give_the_output_shown():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 13
    assert results.failed == 0


@pytest.mark.parametrize("name", ["assignment", "warping"])
def test_a_guides_examples_give_the_output_shown(name):
    results = doctest.testfile(str(ROOT / "docs" / f"{name}.md"), module_relative=False)
    assert results.attempted >= 5
    assert results.failed == 0


def test_readme_gives_commands_that_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", readme))
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


def test_readme_has_a_place_for_the_table_of_each_suite():
    suites = {path.stem.removeprefix("test_bench_") for path in (ROOT / "bench").glob("test_*.py")}
    readme = (ROOT / "README.md").read_text()
    assert suites == set(re.findall(r"<!-- bench:(\w+) begin -->", readme))
    assert suites == set(re.findall(r"<!-- bench:(\w+) end -->", readme))


def records():
    """Give the records that the README has a place for."""
    readme = (ROOT / "README.md").read_text()
    found = sorted((ROOT / "bench" / "results").glob("*.json"))
    return [path for path in found if f"<!-- bench:{path.stem} begin -->" in readme]


def test_warping_has_a_record():
    assert "warping" in [record.stem for record in records()]


@pytest.mark.parametrize("record", records(), ids=lambda path: path.stem)
def test_readme_table_is_what_the_committed_record_gives(record):
    command = [sys.executable, str(ROOT / "bench" / "report.py"), str(record)]
    check = subprocess.run(
        [*command, "--check-readme", str(ROOT / "README.md")], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout + check.stderr


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
