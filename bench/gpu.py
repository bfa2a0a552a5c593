"""Complete the record of a machine that has a GPU: build, test, check the memory, measure.

    python bench/gpu.py --results bench/results --wheels folder

Nothing is fetched: packages come from the interpreter that runs this, and those that it lacks from
wheels in a folder. What the stages found goes to one file, `gpu.json`, which is written anew after
each of them: a run that is cut off leaves what it had. All of it ends within TOTAL_SECONDS.

An operation is added by its name in OPERATIONS: its tests are tests/test_cuda_<operation>.py, its
benchmarks bench/gpu_<operation>.py.

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
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "gpu"
# Packages go to a folder on PYTHONPATH, not to a virtual environment: one made from another sees
# the packages of the interpreter below, not those of the other.
SITE = WORK / "site"

SCHEMA = 1
OPERATIONS = ("warping", "assignment")
TOTAL_SECONDS = 560.0
# What a stage may take. Those before the benchmarks leave them time in the worst case.
LIMITS = {"environment": 40.0, "build": 160.0, "tests": 120.0, "check": 60.0}
LEAST_SECONDS = 5.0

# Without these no figure means anything. What a machine may do without is judged elsewhere.
REQUIRED = ("environment", "build", "tests")
NEEDED = (
    *("numpy", "cupy", "torch", "array_api_compat", "hypothesis", "pytest"),
    *("pybind11", "scikit_build_core"),
)
REPORTED = ("numpy", "cupy", "torch", "array-api-compat", "pytest", "hypothesis")
CUPY_WHEELS = ("cupy-cuda13x", "cupy-cuda12x", "cupy")

CHECKERS = ("memcheck", "synccheck")
CHECKER_FOUND = 97  # its exit status for an error of ours, and of nothing else
REFUSALS = ("Device not supported", "not supported on this")

# Lines kept of what a stage printed, by whether it went well.
TAIL_LINES = {True: 6, False: 60}


@dataclass(frozen=True)
class Finished:
    """What came of a command; `code` is None where it was stopped at its time limit."""

    code: int | None
    output: str


@dataclass
class Stage:
    """What came of a stage.

    Attributes
    ----------
    status : {"ok", "failed", "stopped", "refused", "skipped"}
        "stopped" at its time limit; "refused" by the machine, as a memory checker may be.
    reason : str
        Why it is not ok, or what was found.
    started, seconds : float
        Since the run began, and how long.
    found : dict
        What the stage has to say: versions, counts, results.
    tail : list of str
        The end of what it printed.
    """

    name: str
    status: str = "ok"
    reason: str = ""
    started: float = 0.0
    seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)
    tail: list[str] = field(default_factory=list)


class Run:
    """The stages so far, on disk after each of them."""

    def __init__(
        self,
        path: Path,
        machine: dict[str, Any],
        seconds: float = TOTAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.machine = machine
        self.stages: list[Stage] = []
        self.seconds = seconds
        self._clock = clock
        self._began = clock()
        self._date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()

    @property
    def left(self) -> float:
        """Seconds until the run has to end."""
        return self.seconds - (self._clock() - self._began)

    def stage(self, name: str, limit: float, work: Callable[[float], Stage]) -> Stage:
        """Do one stage, within its limit and that of the run, and write the record."""
        started = self._clock() - self._began
        limit = min(limit, self.left)
        if limit < LEAST_SECONDS:
            stage = Stage(name, "skipped", "the time of the run was spent")
        else:
            print(f"== {name}, at {started:.0f} s", flush=True)
            try:
                stage = work(limit)
            except Exception as error:  # a fault of this driver must not cost the later stages
                stage = Stage(name, "failed", f"{type(error).__name__}: {error}")
        stage.name, stage.reason = name, plain(stage.reason)
        stage.started = round(started, 1)
        stage.seconds = round(self._clock() - self._began - started, 1)
        lines = [plain(line) for line in stage.tail if line.strip()]
        stage.tail = lines[-TAIL_LINES[stage.status == "ok"] :]
        self.stages.append(stage)
        self.write()
        if stage.status not in ("ok", "skipped"):
            print("\n".join(stage.tail), flush=True)
        print(f"   {stage.status} in {stage.seconds:.0f} s. {stage.reason}", flush=True)
        return stage

    def skip(self, name: str, reason: str) -> None:
        """Note a stage that cannot be done."""
        self.stages.append(Stage(name, "skipped", reason, round(self._clock() - self._began, 1)))
        self.write()

    @property
    def status(self) -> int:
        """The exit status."""
        wrong = [
            stage.name
            for stage in self.stages
            if stage.status == "failed" or (stage.name in REQUIRED and stage.status != "ok")
        ]
        return int(bool(wrong))

    def write(self) -> None:
        """Write the record; whoever reads it at any moment finds a whole one."""
        content = {
            "schema": SCHEMA,
            "date": self._date,
            "machine": self.machine,
            "status": self.status,
            "stages": [asdict(stage) for stage in self.stages],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(self.path)


def plain(line: str) -> str:
    """Cut a line short, and take the machine's folders out of it: the record is to be kept."""
    for folder, name in ((str(ROOT), "."), (sys.prefix, "<python>"), (str(Path.home()), "~")):
        if folder != "/":
            line = line.replace(folder, name)
    return line if len(line) <= 300 else line[:300] + " ..."


def execute(command: list[str], limit: float, log: Path) -> Finished:
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
        return Finished(code, output.read().decode("utf-8", "replace"))


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


# --- what the machine is -------------------------------------------------------------------------


def ask(command: list[str], pattern: str = r"(.*)") -> str | None:
    """Return what a tool says of itself, or None."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, cwd=ROOT, env=environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, done.stdout)
    return match.group(1).strip() if done.returncode == 0 and match else None


def describe_machine() -> dict[str, Any]:
    """Say on what the record was made; nothing that names a host."""
    query = "name,driver_version,compute_cap,memory.total"
    gpus = ask(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], r"(?s)(.*)")
    changed = ask(["git", "status", "--porcelain", "--untracked-files=no"], r"(?s)(.*)")
    try:
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        cpu = None
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return {
        "gpus": gpus.splitlines() if gpus else [],
        "nvcc": ask(["nvcc", "--version"], r"release .*?V([\d.]+)"),
        "cpu": cpu.group(1) if cpu else platform.processor(),
        "cpus": len(usable) or os.cpu_count(),
        "python": platform.python_version(),
        "commit": ask(["git", "rev-parse", "HEAD"]),
        "changed": None if changed is None else bool(changed),
    }


# --- the stages ----------------------------------------------------------------------------------


def stage_environment(limit: float, python: str, wheels: Path | None) -> Stage:
    """Take what the interpreter lacks from wheels, and note what there is."""
    stage = Stage("environment")
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir(parents=True)
    found = sorted(wheels.glob("*.whl")) if wheels is not None else []
    if wheels is not None and not found:
        return Stage("environment", "failed", f"no wheels in {wheels}")
    if found:
        done = execute([*pip(python), *map(str, found)], limit, WORK / "wheels.log")
        stage.tail = done.output.splitlines()
        if done.code != 0:
            stage.status, stage.reason = judge(done, "pip")
            return stage
    # Found, not imported: that is for the tests, and takes many seconds where the disk is cold.
    probe = (
        "import json\n"
        "from importlib.metadata import distributions\n"
        "from importlib.util import find_spec\n"
        f"missing = [name for name in {NEEDED!r} if find_spec(name) is None]\n"
        "versions = {d.metadata['Name']: d.version for d in distributions()}\n"
        "print(json.dumps([missing, versions]))"
    )
    done = execute([python, "-c", probe], limit, WORK / "probe.log")
    if done.code != 0:
        stage.status, stage.reason = judge(done, python)
        stage.tail = done.output.splitlines()
        return stage
    missing, versions = json.loads(done.output.splitlines()[-1])
    names = {str(name).lower().replace("_", "-"): version for name, version in versions.items()}
    stage.found = {"packages": {name: names[name] for name in REPORTED if name in names}}
    for name in CUPY_WHEELS:
        if name in names:
            stage.found["packages"]["cupy"] = names[name]
            break
    if missing:
        stage.status = "failed"
        stage.reason = (
            f"not installed: {', '.join(missing)}; put their wheels in WHEELS=folder, "
            "or name an interpreter that has them in PYTHON"
        )
    return stage


def pip(python: str) -> list[str]:
    """Return the command that installs into our folder and asks no index."""
    options = ["--no-index", "--no-deps", "--upgrade", "--disable-pip-version-check"]
    return [python, "-m", "pip", "install", *options, "--target", str(SITE)]


def stage_build(limit: float, python: str) -> Stage:
    """Build for the GPU at hand, with the tools at hand, and see that the module is there."""
    command = [*pip(python), "--no-build-isolation", "-v", f"-Cbuild-dir={WORK / 'cmake'}"]
    command += ["-Ccmake.define.COALIGN_CUDA=ON", "."]
    done = execute(command, limit, WORK / "build.log")
    stage = Stage("build", tail=done.output.splitlines())
    if done.code != 0:
        stage.status, stage.reason = judge(done, "the build")
        return stage
    probe = (
        "import json, coalign\n"
        "from coalign import _device\n"
        "native = _device.native()\n"
        "found = {'file': coalign.__file__, **coalign.show_config(mode='dicts')}\n"
        "found['devices'] = native.count_devices() if native else [0, 'no coalign._cuda']\n"
        "print(json.dumps(found))"
    )
    done = execute([python, "-c", probe], 60, WORK / "config.log")
    if done.code != 0:
        stage.status, stage.reason = judge(done, "importing coalign")
        stage.tail = done.output.splitlines()
        return stage
    stage.found = json.loads(done.output.splitlines()[-1])
    file, (count, problem) = Path(stage.found.pop("file")), stage.found.pop("devices")
    if SITE not in file.resolve().parents:
        stage.status = "failed"
        stage.reason = "the interpreter has another coalign in front of this one: uninstall it"
    elif count == 0:
        stage.status, stage.reason = "failed", f"built, but there is nothing to run on: {problem}"
    else:
        stage.reason = stage.found["cuda"]
        stage.tail = []
    return stage


def stage_tests(limit: float, python: str) -> Stage:
    """Run the tests that a GPU is for."""
    junit = WORK / "tests.xml"
    junit.unlink(missing_ok=True)
    files = [f"tests/test_cuda_{name}.py" for name in (*OPERATIONS, "torch")]
    command = [python, "-m", "pytest", "-q", *files, "-k", "gpu or cuda_torch"]
    command += ["-p", "no:cacheprovider", f"--junitxml={junit}"]
    done = execute(command, limit, WORK / "tests.log")
    stage = Stage("tests", tail=done.output.splitlines())
    stage.status, stage.reason = judge(done, "pytest")
    if junit.exists():
        stage.found = count_tests(junit)
        counts = {name: n for name, n in stage.found.items() if isinstance(n, int) and n}
        stage.reason = ", ".join(f"{n} {name}" for name, n in counts.items())
    if stage.status == "ok" and not stage.found.get("passed"):
        stage.status, stage.reason = "failed", "no test ran"
    return stage


def count_tests(junit: Path) -> dict[str, Any]:
    """Count what the tests came to, and name those that went wrong."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    wrong = []
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            counts["failed"] += 1
            wrong.append(f"{case.get('classname')}::{case.get('name')}")
        else:
            counts["skipped" if "skipped" in kinds else "passed"] += 1
    return {**counts, "wrong": wrong[:50]}


def stage_check(limit: float, python: str, tool: str) -> Stage:
    """Run the benchmarks' small cases under one of the toolkit's checkers."""
    checker = shutil.which("compute-sanitizer", path=environment()["PATH"])
    if checker is None:
        return Stage(tool, "skipped", "there is no compute-sanitizer")
    stage = Stage(tool)
    lines: list[str] = []
    deadline = time.monotonic() + limit
    for operation in OPERATIONS:
        # Other libraries call what the driver may lack, and ask again: that is no error of ours.
        options = ["--tool", tool, "--report-api-errors", "no"]
        options += ["--error-exitcode", str(CHECKER_FOUND), "--target-processes", "all"]
        program = [python, f"bench/gpu_{operation}.py", "--small"]
        left = max(1.0, deadline - time.monotonic())
        done = execute([checker, *options, *program], left, WORK / f"{tool}.log")
        lines += done.output.splitlines()
        stage.status, stage.reason = judge_checker(done)
        if stage.status != "ok":
            break
    stage.tail = lines
    return stage


def judge(done: Finished, what: str) -> tuple[str, str]:
    """Return status and reason of a command."""
    if done.code is None:
        return "stopped", f"{what} ran past its time limit"
    return ("ok", "") if done.code == 0 else ("failed", f"{what}: exit status {done.code}")


def judge_checker(done: Finished) -> tuple[str, str]:
    """Return status and reason of a checker, which not every machine lets look at its GPU."""
    lines = [line for line in done.output.splitlines() if line.startswith("=")]
    for line in lines:
        if any(words in line for words in REFUSALS):
            return "refused", line.lstrip("= ")
    if done.code is None:
        return "stopped", "ran past its time limit"
    summary = [line.lstrip("= ") for line in lines if "ERROR SUMMARY" in line]
    if done.code == 0:
        return "ok", summary[-1] if summary else ""
    if done.code == CHECKER_FOUND:
        return "failed", summary[-1] if summary else "errors found"
    return "failed", f"exit status {done.code}"


def stage_benchmark(limit: float, python: str, operation: str) -> Stage:
    """Measure one operation; what it had when it was stopped counts."""
    results = WORK / f"{operation}.json"
    results.unlink(missing_ok=True)
    # It stops by itself while there is time to write what it found.
    seconds = max(1.0, limit - 15)
    command = [python, f"bench/gpu_{operation}.py", f"--out={results}", f"--seconds={seconds:.0f}"]
    done = execute(command, limit, WORK / f"{operation}.log")
    stage = Stage(operation, tail=done.output.splitlines())
    stage.status, stage.reason = judge(done, "the benchmark")
    if results.exists():
        stage.found = json.loads(results.read_text(encoding="utf-8"))
        wrong = [entry["case"] for entry in stage.found["cases"] if entry["status"] == "failed"]
        if wrong:
            stage.status, stage.reason = "failed", f"wrong: {'; '.join(wrong)}"
    return stage


# --- the end -------------------------------------------------------------------------------------


def table(stages: list[Stage]) -> str:
    """Lay out what was measured, and the floors."""
    header = ("case", "ms", "queueing", "Gcells/s", "floor", "x CPU", "floor", "x torch", "error")
    rows: list[tuple[str, ...]] = []
    for stage in stages:
        for entry in stage.found.get("cases", []):
            if entry["status"] != "ok":
                rows.append((entry["case"], f"{entry['status']}: {entry['reason']}"))
                continue
            rate, cpu = entry["floors"]["rate"], entry["floors"]["times_cpu"]
            peer = entry.get("times_peer")
            rows.append(
                (
                    entry["case"],
                    f"{1e3 * entry['seconds']:.2f}",
                    f"{1e3 * entry['queueing']:.2f}",
                    f"{entry['rate'] / 1e9:.4g}",
                    floor_words(rate, 1e9),
                    f"{entry['times_cpu']:.1f}",
                    floor_words(cpu, 1.0),
                    "" if peer is None else f"{peer:.1f}",
                    f"{entry['error']:.1e}",
                )
            )
    if not rows:
        return "nothing was measured"
    whole = [row for row in rows if len(row) == len(header)]
    widths = [max(len(row[k]) for row in (header, *whole)) for k in range(len(header))]
    widths[0] = max(len(row[0]) for row in (header, *rows))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in (header, *rows)
    )


def floor_words(floor: dict[str, Any] | None, unit: float) -> str:
    """Say whether a floor is met."""
    if floor is None:
        return ""
    return f"{floor['minimum'] / unit:.4g} {'met' if floor['met'] else 'MISSED'}"


def summary(run: Run) -> str:
    """Say in a few lines what the record says."""
    lines = [f"{stage.name}: {stage.status}. {stage.reason}".strip() for stage in run.stages]
    for stage in run.stages:
        copy = stage.found.get("copy_bandwidth")
        threads = stage.found.get("cpu_threads")
        if threads is not None:
            bandwidth = "not measured" if copy is None else f"{copy / 1e12:.2f} TB/s"
            lines.append(f"{stage.name}: copy bandwidth {bandwidth}, CPU of {threads} threads")
    return "\n".join([*lines, "", table(run.stages), "", f"record: {plain(str(run.path))}"])


def main(arguments: list[str] | None = None) -> int:
    """Run every stage and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels that the machine lacks")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to use")
    options = parser.parse_args(arguments)
    python = options.python
    WORK.mkdir(parents=True, exist_ok=True)
    run = Run(options.results.resolve() / "gpu.json", describe_machine())
    wheels = None if options.wheels is None else options.wheels.resolve()

    run.stage(
        "environment",
        LIMITS["environment"],
        lambda limit: stage_environment(limit, python, wheels),
    )
    built = run.stage("build", LIMITS["build"], lambda limit: stage_build(limit, python))
    later = ["tests", *CHECKERS, *OPERATIONS]
    if built.status != "ok":
        for name in later:
            run.skip(name, "there is no build to try")
    else:
        run.stage("tests", LIMITS["tests"], lambda limit: stage_tests(limit, python))
        refused = ""
        for tool in CHECKERS:
            if refused:
                run.skip(tool, f"{CHECKERS[0]} was {refused}")
                continue
            checked = run.stage(
                tool, LIMITS["check"], lambda limit, tool=tool: stage_check(limit, python, tool)
            )
            if checked.status in ("refused", "stopped"):
                refused = checked.status
        for left, operation in zip(range(len(OPERATIONS), 0, -1), OPERATIONS, strict=True):
            run.stage(
                operation,
                (run.left - LEAST_SECONDS) / left,
                lambda limit, name=operation: stage_benchmark(limit, python, name),
            )
    print(f"\n{summary(run)}")
    return run.status


if __name__ == "__main__":
    sys.exit(main())
