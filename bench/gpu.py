"""Complete the record of a machine that has a GPU: build, test, check the memory, measure.

    python bench/gpu.py --results bench/results --wheels folder

Nothing is fetched: packages come from the interpreter that runs this, and those that it lacks from
wheels in a folder. A stage is one command. What came of each goes to one file, `gpu.json`, which is
written anew after every stage: a run that is cut off leaves what it had. All of it ends within
TOTAL_SECONDS.

An operation is added by its name in OPERATIONS: its tests are tests/test_cuda_<operation>.py, its
cases those of bench/cases_<operation>.py that run on a GPU.

Exit status: 0; or 1 where the build, a test, an answer or an access to memory was wrong. A floor
that is missed is reported, and fails nothing: it says how fast, not whether right.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "gpu"
# Packages go to a folder on PYTHONPATH, not to a virtual environment: one made from another sees
# the packages of the interpreter below, not those of the other.
SITE = WORK / "site"

SCHEMA = 2
OPERATIONS = ("warping", "assignment", "ctc", "transport", "soft_warping")
TOTAL_SECONDS = 560.0
LEAST_SECONDS = 5.0
CHECKERS = ("memcheck", "synccheck")
CHECKER_FOUND = 97  # its exit status for an error of ours, and of nothing else
REFUSALS = ("Device not supported", "not supported on this")
# Lines kept of what a stage printed, by whether it went well.
TAIL_LINES = {True: 6, False: 60}

# Found, not imported: that is for the tests, and takes many seconds where the disk is cold.
PACKAGES = """
from importlib.metadata import distributions
from importlib.util import find_spec
needed = "numpy cupy torch array_api_compat hypothesis pytest pybind11 scikit_build_core".split()
names = sorted((str(d.metadata["Name"]), d.version) for d in distributions())
print(", ".join(f"{name} {version}" for name, version in names
                if name.lower().replace("-", "_").startswith(tuple(needed))))
missing = [name for name in needed if find_spec(name) is None]
if missing:
    raise SystemExit(f"not installed: {', '.join(missing)}; put their wheels in WHEELS=folder, "
                     "or name an interpreter that has them in PYTHON")
"""
MODULE = f"""
import json
import coalign
from coalign import _device
native = _device.native()
count, problem = native.count_devices() if native else (0, "no coalign._cuda")
if not coalign.__file__.startswith({str(SITE)!r}):
    raise SystemExit("the interpreter has another coalign in front of this one: uninstall it")
if not count:
    raise SystemExit(f"built, but there is nothing to run on: {{problem}}")
config = coalign.show_config(mode="dicts")
print(json.dumps(config))
print(config["cuda"])
"""


class Stage(NamedTuple):
    """A command, given its time limit; stages without a limit share what is left of the run.

    Where one that is required ends badly, no figure means anything.
    """

    name: str
    limit: float | None
    command: Callable[[float], list[str]]
    required: bool = False


def stages(python: str, wheels: Path | None) -> list[Stage]:
    """Give the stages in order. Those before the benchmarks leave them time in the worst case."""
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    pip += ["--upgrade", "--target", str(SITE)]
    build = [*pip, "--no-build-isolation", "-v", f"-Cbuild-dir={WORK / 'cmake'}"]
    build += ["-Ccmake.define.COALIGN_CUDA=ON", "."]
    tests = [
        f"tests/test_cuda_{name}.py"
        for name in (*OPERATIONS, "ctc_align", "monotonic", "points", "torch")
    ]
    pytest = [python, "-m", "pytest", "-q", *tests, "-k", "gpu or cuda_torch"]
    listed = [
        Stage("packages", 20, lambda limit: [python, "-c", PACKAGES], required=True),
        Stage("build", 160, lambda limit: build, required=True),
        Stage("module", 20, lambda limit: [python, "-c", MODULE], required=True),
        Stage("tests", 120, lambda limit: [*pytest, "-p", "no:cacheprovider"], required=True),
    ]
    if wheels is not None:
        found = sorted(map(str, wheels.glob("*.whl")))
        listed.insert(0, Stage("wheels", 20, lambda limit: [*pip, *found], required=True))
    for tool in CHECKERS:
        # Other libraries call what the driver may lack, and ask again: that is no error of ours.
        check = ["compute-sanitizer", "--tool", tool, "--report-api-errors", "no"]
        check += ["--error-exitcode", str(CHECKER_FOUND), "--target-processes", "all"]
        for name in OPERATIONS:
            small = [*check, python, "bench/gpu_contest.py", name, "--small"]
            listed.append(Stage(f"{tool} {name}", 12, lambda limit, small=small: small))
    for name in OPERATIONS:
        listed.append(Stage(name, None, lambda limit, name=name: measure(python, name, limit)))
    return listed


def measure(python: str, name: str, limit: float) -> list[str]:
    """Give the command that measures; it stops by itself while there is time to write."""
    seconds = max(1.0, limit - 15)
    program = [python, "bench/gpu_contest.py", name, f"--seconds={seconds:.0f}"]
    return [*program, f"--out={WORK / name}.json"]


def run(
    listed: list[Stage], path: Path, machine: dict[str, Any], clock: Callable[[], float]
) -> dict[str, Any]:
    """Do the stages, each within its limit and the run's, and give the record."""
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    done: list[dict[str, Any]] = []
    record = {"schema": SCHEMA, "date": date, "machine": machine, "status": 0, "stages": done}
    began = clock()
    for at, stage in enumerate(listed):
        started = clock() - began
        left = TOTAL_SECONDS - started
        sharing = sum(other.limit is None for other in listed[at:])
        limit = (left - LEAST_SECONDS) / sharing if stage.limit is None else min(stage.limit, left)
        reason = obstacle(stage, done)
        if not reason and limit < LEAST_SECONDS:
            reason = "the time of the run was spent"
        entry: dict[str, Any] = {"name": stage.name, "status": "skipped", "reason": reason}
        if not reason:
            print(f"== {stage.name}, at {started:.0f} s", flush=True)
            try:
                entry |= outcome(stage, limit)
            except Exception as error:  # a fault of this driver must not cost the later stages
                entry |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
        entry |= {"started": round(started, 1), "seconds": round(clock() - began - started, 1)}
        bad = entry["status"] == "failed" or (stage.required and entry["status"] != "ok")
        record["status"] = int(bad or record["status"])
        done.append(entry)
        write(record, path)
        if entry["status"] not in ("ok", "skipped"):
            print("\n".join(entry.get("tail", ())), flush=True)
        print(f"   {entry['status']} in {entry['seconds']:.0f} s. {entry['reason']}", flush=True)
    return record


def obstacle(stage: Stage, done: list[dict[str, Any]]) -> str:
    """Say why a stage is not tried: without a module nothing is, nor a checker that was refused."""
    status = {entry["name"]: entry["status"] for entry in done}
    for name in ("build", "module"):
        if status.get(name, "ok") != "ok":
            return "there is no build to try"
    if stage.name.startswith(CHECKERS):
        for name in filter(lambda name: name.startswith(CHECKERS), status):
            if status[name] in ("refused", "stopped", "skipped"):
                return f"{name} was {status[name]}"
        if not shutil.which("compute-sanitizer", path=environment()["PATH"]):
            return "there is no compute-sanitizer"
    return ""


def outcome(stage: Stage, limit: float) -> dict[str, Any]:
    """Run a stage's command, and say what came of it: its last line is the reason."""
    results = WORK / f"{stage.name}.json"
    results.unlink(missing_ok=True)
    code, output = execute(stage.command(limit), limit, WORK / f"{stage.name}.log")
    lines = [plain(line) for line in output.splitlines() if line.strip()]
    status = "stopped" if code is None else "ok" if code == 0 else "failed"
    reason = lines[-1].lstrip("= ") if lines else f"exit status {code}"
    if status == "stopped":
        reason = "ran past its time limit"
    if stage.name.startswith(CHECKERS):
        if code not in (None, 0, CHECKER_FOUND):
            reason = f"exit status {code}"
        # Not every machine lets a checker look at its GPU.
        for line in lines:
            if line.startswith("=") and any(words in line for words in REFUSALS):
                status, reason = "refused", line.lstrip("= ")
    entry = {"status": status, "reason": reason, "tail": lines[-TAIL_LINES[status == "ok"] :]}
    if results.exists():
        # What a benchmark had when it was stopped counts.
        entry["found"] = json.loads(results.read_text(encoding="utf-8"))
        wrong = [case["case"] for case in entry["found"]["cases"] if case["status"] == "failed"]
        if wrong:
            entry |= {"status": "failed", "reason": f"wrong: {'; '.join(wrong)}"}
    return entry


def execute(command: list[str], limit: float, log: Path) -> tuple[int | None, str]:
    """Run a command with our packages in front; stop it and what it started at its limit."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+b") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return code, output.read().decode("utf-8", "replace")


def write(record: dict[str, Any], path: Path) -> None:
    """Write the record; whoever reads it at any moment finds a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def plain(line: str) -> str:
    """Cut a line short, and take the machine's folders out of it: the record is to be kept."""
    for folder, name in ((str(ROOT), "."), (sys.prefix, "<python>"), (str(Path.home()), "~")):
        if folder != "/":
            line = line.replace(folder, name)
    return line if len(line) <= 300 else line[:300] + " ..."


def environment() -> dict[str, str]:
    """Return the variables of every command."""
    variables = dict(os.environ)
    former = variables.get("PYTHONPATH")
    variables["PYTHONPATH"] = os.pathsep.join([str(SITE), *([former] if former else [])])
    variables["PYTHONUNBUFFERED"] = "1"
    # The plugins of whatever else is installed have nothing to say in our tests.
    variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # A skipped test would say nothing of the GPU that this run is about.
    variables["COALIGN_REQUIRE_GPU"] = variables["COALIGN_REQUIRE_TORCH"] = "1"
    toolkit = Path(variables.get("CUDA_HOME", "/usr/local/cuda"))
    folders = [str(toolkit / name) for name in ("bin", "compute-sanitizer")]
    variables["PATH"] = os.pathsep.join([variables.get("PATH", os.defpath), *folders])
    return variables


def describe_machine() -> dict[str, Any]:
    """Say on what the record was made; nothing that names a host."""

    def ask(command: str, pattern: str = "(?s).*") -> str | None:
        """Give what a tool says, or that part of it."""
        try:
            output = subprocess.check_output(
                command.split(), stderr=subprocess.DEVNULL, timeout=30, cwd=ROOT, env=environment()
            )
        except (OSError, subprocess.SubprocessError):
            return None
        found = re.search(pattern, output.decode("utf-8", "replace").strip())
        return found and found[0]

    query = "name,driver_version,compute_cap,memory.total"
    return {
        "gpus": (ask(f"nvidia-smi --query-gpu={query} --format=csv,noheader") or "").splitlines(),
        "nvcc": ask("nvcc --version", r"(?<=, V)[\d.]+"),
        "cpu": ask("cat /proc/cpuinfo", r"(?<=model name\t: ).*") or platform.processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        # With "-dirty" where files were changed.
        "commit": ask("git describe --always --abbrev=40 --dirty --exclude=*"),
    }


def summary(record: dict[str, Any]) -> Iterator[str]:
    """Say in a few lines what the record says."""
    for stage in record["stages"]:
        yield f"{stage['name']}: {stage['status']}. {stage['reason']}".strip()
    for stage in record["stages"]:
        if found := stage.get("found"):
            copies, threads = found.get("copy_bandwidth", 0) / 1e12, found["cpu_threads"]
            yield f"\n{stage['name']}: copies {copies:.2f} TB/s, CPU of {threads} threads"
            yield from map(words_of, found["cases"])


def words_of(entry: dict[str, Any]) -> str:
    """Say what a case came to, and whether its floors are met."""
    if entry["status"] != "ok":
        return f"{entry['case']}: {entry['status']}: {entry['reason']}"
    milliseconds, queueing = (1e3 * entry[name] for name in ("seconds", "queueing"))
    words = [f"{milliseconds:.2f} ms ({queueing:.2f} to queue)", f"{entry['rate']:.3g} cells/s"]
    words += [f"{entry['times_cpu']:.1f} x CPU", f"error {entry['error']:.1e}"]
    if "times_peer" in entry:
        words.append(f"{entry['times_peer']:.1f} x {entry['peer']}")
    for name, floor in entry["floors"].items():
        met = "met" if floor["met"] else "MISSED"
        words.append(f"floor of {name.replace('_', ' ')} {floor['minimum']:.3g} {met}")
    return f"{entry['case']}: {', '.join(words)}"


def main(arguments: list[str] | None = None) -> int:
    """Run every stage and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels that the machine lacks")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to use")
    options = parser.parse_args(arguments)
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir(parents=True)
    listed = stages(options.python, options.wheels and options.wheels.resolve())
    path = options.results.resolve() / "gpu.json"
    record = run(listed, path, describe_machine(), time.monotonic)
    print("", *summary(record), f"\nrecord: {plain(str(path))}", sep="\n")
    return int(record["status"])


if __name__ == "__main__":
    sys.exit(main())
