"""What the documents say is what the package does."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_readme_examples_give_the_output_shown():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 8
    assert results.failed == 0


def test_readme_gives_commands_that_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", readme))
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


def test_readme_table_is_what_the_committed_record_gives():
    pytest.importorskip("matplotlib")
    record = ROOT / "bench" / "results" / "warping.json"
    command = [sys.executable, str(ROOT / "bench" / "report.py"), str(record)]
    check = subprocess.run(
        [*command, "--check-readme", str(ROOT / "README.md")], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/warping.md"])
def test_links_between_documents_lead_somewhere(name):
    path = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists()]
    assert missing == []


def test_bench_requirements_pin_every_peer():
    lines = (ROOT / "bench" / "requirements.txt").read_text().splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    assert names
    assert [line for line in names if "==" not in line] == []
