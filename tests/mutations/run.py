"""Make each mutation of the catalogue in a copy of the sources, and see the tests turn red.

The copy has an environment of its own that sees the packages of the interpreter that runs this, but
not an editable installation: the copy's own package is what the tests import, and a first step says
so. The unmutated copy has to pass every test that kills a mutation.

    python tests/mutations/run.py [--keep] [WORD ...]

With words, only the mutations whose name or file holds one of them. Ends with 1 if a mutation
survives or could not be made.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalogue import CATALOGUE, Mutation

ROOT = Path(__file__).resolve().parents[2]
# A mutation may make a call that never ends.
TEST_LIMIT = 120
NATIVE = "native:"
# The modules, and where in a tree the tests find them.
MODULES = {"_core": "python/coalign", "_cuda_emulated": "build/emulation/tests/cuda_emulation"}


class BrokenError(Exception):
    """The run itself is wrong: nothing can be said about a mutation."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutation: the test that killed it, or why it is not dead."""

    mutation: Mutation
    status: str
    detail: str
    seconds: float


def tool(name: str) -> str:
    """Find a program beside the interpreter, where its package puts it, or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise BrokenError(f"{name} is not installed")
    return found


def run(command: Iterable[object], folder: Path, *, limit: int | None = None) -> tuple[int, str]:
    """Run a command to its end, or kill it and its children at the limit: status and output."""
    private = ("COALIGN_", "PYTHON", "PYTEST_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(private)}
    # A stale byte-code file could outlive the mutation it was made from.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return -signal.SIGALRM, output
    return process.returncode, output


def must(command: Iterable[object], folder: Path) -> str:
    """Run a command that has to succeed."""
    words = list(command)
    status, output = run(words, folder)
    if status != 0:
        raise BrokenError(f"{' '.join(map(str, words))}\n{output}")
    return output


class Copy:
    """A copy of the sources, with its own build and its own environment."""

    def __init__(self, home: Path) -> None:
        self.tree, self.build, self.clean = home / "tree", home / "build", home / "clean"
        self.python = home / "environment" / "bin" / "python"

    def make(self, killers: Iterable[str]) -> None:
        """Copy what git tracks or would track, build it, and see that it is what is imported."""
        listed = must(["git", "ls-files", "-z", "-co", "--exclude-standard"], ROOT)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        self._make_environment()
        pybind11 = must([sys.executable, "-m", "pybind11", "--cmakedir"], ROOT).strip()
        must(
            [
                *(tool("cmake"), "-G", "Ninja", "-S", self.tree, "-B", self.build),
                f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
                # Half the time of -O3 to compile, and fast enough for the tests.
                *("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG"),
                *("-DCOALIGN_PYTHON=ON", "-DCOALIGN_NATIVE_TESTS=ON"),
                *("-DCOALIGN_CUDA=OFF", "-DCOALIGN_CUDA_EMULATION=ON"),
                f"-DPython_EXECUTABLE={self.python}",
                f"-Dpybind11_DIR={pybind11}",
                f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={self.build / 'lib'}",
            ],
            self.tree,
        )
        self.compile([*MODULES, *(k.removeprefix(NATIVE) for k in killers if k.startswith(NATIVE))])
        for name, folder in MODULES.items():
            (module,) = (self.build / "lib").glob(f"{name}.*")
            (self.tree / folder).mkdir(parents=True, exist_ok=True)
            (self.tree / folder / module.name).symlink_to(module)
        shutil.copytree(self.build, self.clean, symlinks=True)
        code = "import coalign, coalign._core as c; print(coalign.__file__, c.__file__)"
        for file in must([self.python, "-c", code], self.tree).split():
            if not Path(file).is_relative_to(self.tree):
                raise BrokenError(f"the tests would import {file}, which is not the copy's")

    def _make_environment(self) -> None:
        home = self.python.parents[1]
        must([sys.executable, "-m", "venv", "--without-pip", home], self.tree)
        (site,) = home.glob("lib/python*/site-packages")
        # Nested .pth files are not read: an editable installation there stays unseen.
        paths = [
            self.tree / "python",
            *(sysconfig.get_path(name) for name in ("purelib", "platlib")),
        ]
        (site / "copy.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys(paths)))

    def compile(self, targets: Iterable[str]) -> None:
        """Build native tests and modules."""
        must([tool("cmake"), "--build", self.build, "--target", *sorted(set(targets))], self.tree)

    def restore_build(self) -> None:
        """Go back to the objects of the unmutated sources, which need no second compilation."""
        shutil.rmtree(self.build)
        shutil.copytree(self.clean, self.build, symlinks=True)

    def test(
        self, killers: Sequence[str], *, limit: int | None = TEST_LIMIT
    ) -> tuple[str, str] | None:
        """Run tests until one fails; return its name and what it printed, or None."""
        for name in (k.removeprefix(NATIVE) for k in killers if k.startswith(NATIVE)):
            (program,) = self.build.glob(f"tests/*/{name}")
            status, output = run([program], self.tree, limit=limit)
            if status != 0:
                return f"{name}{_how(status)}", output
        chosen = [killer for killer in killers if not killer.startswith(NATIVE)]
        if not chosen:
            return None
        options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        command = [self.python, "-m", "pytest", *options, *chosen]
        status, output = run(command, self.tree, limit=limit)
        if status == 0:
            return None
        if status > 1:
            # Interrupted, a usage error, or no such test: the tests have not spoken.
            raise BrokenError(output)
        failed = re.search(r"^(?:FAILED|ERROR) \S*?::(.+?)(?: - |$)", output, re.MULTILINE)
        return f"{failed[1] if failed else chosen[0]}{_how(status)}", output


def _how(status: int) -> str:
    """Say how a test ended, unless it failed in the ordinary way."""
    if status >= 0:
        return ""
    return " (time)" if status == -signal.SIGALRM else f" ({signal.Signals(-status).name})"


def mutated(text: str, mutation: Mutation) -> str:
    """Apply a mutation to the text of its file."""
    count = text.count(mutation.old)
    if count != 1:
        raise BrokenError(f"the text to change stands {count} times in {mutation.file}")
    return text.replace(mutation.old, mutation.new)


def targets(mutation: Mutation) -> set[str]:
    """Name what its killers run: the native tests themselves, or the module that has its file."""
    module = "_core" if mutation.file.startswith("csrc/") else "_cuda_emulated"
    return {
        killer.removeprefix(NATIVE) if killer.startswith(NATIVE) else module
        for killer in mutation.killers
    }


def judge(copy: Copy, mutation: Mutation) -> Verdict:
    """Make a mutation, test it, and undo it."""
    begin = time.monotonic()

    def verdict(status: str, detail: str) -> Verdict:
        return Verdict(mutation, status, detail, time.monotonic() - begin)

    if mutation.needs is not None and importlib.util.find_spec(mutation.needs) is None:
        return verdict("not run", f"needs {mutation.needs}")
    path = copy.tree / mutation.file
    before, times = path.read_text(), path.stat()
    try:
        path.write_text(mutated(before, mutation))
        if mutation.is_native:
            copy.compile(targets(mutation))
        failure = copy.test(mutation.killers)
    except BrokenError as error:
        return verdict("BROKEN", str(error))
    finally:
        path.write_text(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        if mutation.is_native:
            copy.restore_build()
    return verdict("killed", failure[0]) if failure else verdict("SURVIVED", "")


def table(verdicts: list[Verdict]) -> str:
    """Format the verdicts as a table."""
    rows = [("mutation", "file", "killed by", "s")]
    for verdict in verdicts:
        detail = verdict.detail.splitlines()[0] if verdict.detail else ""
        by = detail if verdict.status == "killed" else f"{verdict.status} {detail}".strip()
        rows.append((verdict.mutation.name, verdict.mutation.file, by, f"{verdict.seconds:.0f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def main() -> int:
    """Run the mutations that were asked for."""
    parser = argparse.ArgumentParser(description="See that the tests notice wrong sources.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutations that name one")
    parser.add_argument("--keep", action="store_true", help="keep the copy, and print where it is")
    arguments = parser.parse_args()
    wanted = [
        mutation
        for mutation in CATALOGUE
        if not arguments.words
        or any(word in f"{mutation.name} {mutation.file}" for word in arguments.words)
    ]
    if not wanted:
        parser.error("no mutation names any of the words")
    killers = sorted({killer for mutation in wanted for killer in mutation.killers})
    home = Path(tempfile.mkdtemp(prefix="coalign-mutations-"))
    begin = time.monotonic()
    try:
        copy = Copy(home)
        copy.make(killers)
        failure = copy.test(killers, limit=None)
        if failure is not None:
            raise BrokenError(f"the unmutated sources fail {failure[0]}\n{failure[1]}")
        print(f"unmutated: every killer passes ({time.monotonic() - begin:.0f} s)", flush=True)
        verdicts = []
        for mutation in wanted:
            verdicts.append(judge(copy, mutation))
            print(f"{verdicts[-1].status:8} {mutation.name}", flush=True)
    except BrokenError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if arguments.keep:
            print(home)
        else:
            shutil.rmtree(home)
    print(f"\n{table(verdicts)}\n")
    for verdict in verdicts:
        if verdict.status == "BROKEN":
            print(f"--- {verdict.mutation.name}\n{verdict.detail}\n")
    count = {status: sum(v.status == status for v in verdicts) for status in ("killed", "not run")}
    alive = len(verdicts) - count["killed"] - count["not run"]
    print(
        f"{len(verdicts)} mutations: {count['killed']} killed, {alive} not, "
        f"{count['not run']} not run ({time.monotonic() - begin:.0f} s)"
    )
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
