"""bench/gpu.py and the GPU benchmarks: the record, the verdicts, the cases on an emulated GPU."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cuda_emulation.device import GpuUnderTest, emulated_gpu

BENCH = Path(__file__).resolve().parents[1] / "bench"
REFUSED = "========= Error: Device not supported. Please refer to the documentation"
CLEAN = "========= ERROR SUMMARY: 0 errors"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("gpu")


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("gpu_cases")


@pytest.fixture
def warping(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("gpu_warping")


@pytest.fixture
def assignment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("gpu_assignment")


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuUnderTest]:
    yield from emulated_gpu(monkeypatch)


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# -- The driver ------------------------------------------------------------------------------------


def test_the_record_is_whole_after_every_stage(gpu: ModuleType, tmp_path: Path) -> None:
    path, clock = tmp_path / "results" / "gpu.json", Clock()
    run = gpu.Run(path, {"gpus": ["one"]}, clock=clock)

    def work(limit: float) -> Any:
        assert path.exists() == bool(run.stages)
        clock.now += 7
        return gpu.Stage("", found={"limit": limit}, tail=[f"{gpu.ROOT}/tests", "", "end"])

    run.stage("environment", 40, work)
    assert read(path)["stages"][0] == {
        "name": "environment",
        "status": "ok",
        "reason": "",
        "started": 0.0,
        "seconds": 7.0,
        "found": {"limit": 40},
        "tail": ["./tests", "end"],
    }

    def break_down(limit: float) -> Any:
        raise OSError("no such tool")

    assert run.stage("memcheck", 10, break_down).reason == "OSError: no such tool"
    run.skip("synccheck", "no use")
    record = read(path)
    assert [stage["status"] for stage in record["stages"]] == ["ok", "failed", "skipped"]
    assert [stage["started"] for stage in record["stages"]] == [0, 7, 7]
    assert record["machine"] == {"gpus": ["one"]}
    assert record["status"] == run.status == 1
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["gpu.json"]


def test_a_run_ends_in_time(gpu: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    run = gpu.Run(tmp_path / "gpu.json", {}, seconds=100, clock=clock)
    limits = []

    def work(limit: float) -> Any:
        limits.append(limit)
        clock.now += limit
        return gpu.Stage("")

    run.stage("build", 80, work)
    run.stage("tests", 80, work)
    assert run.stage("warping", 80, work).status == "skipped"
    assert limits == [80, 20]
    before_benchmarks = sum(gpu.LIMITS.values()) + (len(gpu.CHECKERS) - 1) * gpu.LIMITS["check"]
    assert gpu.TOTAL_SECONDS < 600
    assert before_benchmarks <= gpu.TOTAL_SECONDS - 100


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("tests", "ok", 0),
        ("tests", "failed", 1),
        ("tests", "stopped", 1),
        ("build", "skipped", 1),
        ("memcheck", "refused", 0),
        ("memcheck", "stopped", 0),
        ("memcheck", "failed", 1),
        ("warping", "stopped", 0),
        ("warping", "failed", 1),
    ],
)
def test_what_the_exit_status_says(
    gpu: ModuleType, tmp_path: Path, name: str, status: str, expected: int
) -> None:
    run = gpu.Run(tmp_path / "gpu.json", {})
    run.stage(name, 10, lambda limit: gpu.Stage("", status))
    assert run.status == expected


@pytest.mark.parametrize(
    ("code", "output", "expected"),
    [
        (0, CLEAN, ("ok", "ERROR SUMMARY: 0 errors")),
        (1, REFUSED, ("refused", REFUSED.lstrip("= "))),
        (0, REFUSED, ("refused", REFUSED.lstrip("= "))),
        (0, f"Device not supported\n{CLEAN}", ("ok", "ERROR SUMMARY: 0 errors")),
        (97, "========= ERROR SUMMARY: 3 errors", ("failed", "ERROR SUMMARY: 3 errors")),
        (1, f"Traceback\n{CLEAN}", ("failed", "exit status 1")),
        (None, "", ("stopped", "ran past its time limit")),
    ],
)
def test_a_checkers_verdict(gpu: ModuleType, code: Any, output: str, expected: Any) -> None:
    assert gpu.judge_checker(gpu.Finished(code, output)) == expected


def test_a_refused_checker_fails_nothing_and_is_not_asked_again(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def execute(command: list[str], limit: float, log: Path) -> Any:
        asked.append(log.stem)
        return gpu.Finished(1, REFUSED)

    monkeypatch.setattr(gpu, "execute", execute)
    monkeypatch.setattr(gpu.shutil, "which", lambda name, path: f"/bin/{name}")
    monkeypatch.setattr(gpu, "WORK", tmp_path)
    monkeypatch.setattr(gpu, "describe_machine", dict)
    for name in ("environment", "build", "tests", "benchmark"):
        monkeypatch.setattr(gpu, f"stage_{name}", lambda *a, name=name: gpu.Stage(name))
    assert gpu.main(["--results", str(tmp_path)]) == 0
    stages = {stage["name"]: stage for stage in read(tmp_path / "gpu.json")["stages"]}
    assert stages["memcheck"]["status"] == "refused"
    assert stages["synccheck"]["reason"] == "memcheck was refused"
    assert stages["warping"]["status"] == "ok"
    assert asked == ["memcheck"]


def test_without_a_build_nothing_else_is_tried(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(gpu, "WORK", tmp_path)
    monkeypatch.setattr(gpu, "describe_machine", dict)
    monkeypatch.setattr(gpu, "stage_environment", lambda *a: gpu.Stage(""))
    monkeypatch.setattr(gpu, "stage_build", lambda *a: gpu.Stage("", "failed", "no nvcc"))
    assert gpu.main(["--results", str(tmp_path)]) == 1
    stages = read(tmp_path / "gpu.json")["stages"]
    assert [stage["status"] for stage in stages] == ["ok", "failed", *["skipped"] * 5]
    assert "build: failed. no nvcc" in capsys.readouterr().out


@pytest.mark.slow
def test_a_command_is_stopped_with_what_it_started(gpu: ModuleType, tmp_path: Path) -> None:
    done = gpu.execute([sys.executable, "-c", "print('here')"], 60, tmp_path / "a.log")
    assert (done.code, done.output) == (0, "here\n")
    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
    parent = (
        "import subprocess, sys, time; print('began', flush=True); "
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    done = gpu.execute([sys.executable, "-c", parent], 1, tmp_path / "b.log")
    assert (done.code, done.output) == (None, "began\n")
    time.sleep(2)
    assert not mark.exists()


def test_tests_are_counted(gpu: ModuleType, tmp_path: Path) -> None:
    junit = tmp_path / "tests.xml"
    junit.write_text(
        '<testsuites><testsuite><testcase classname="a" name="b"/>'
        '<testcase classname="a" name="c"><skipped/></testcase>'
        '<testcase classname="a" name="d"><failure/></testcase>'
        '<testcase classname="a" name="e"><error/><error/></testcase></testsuite></testsuites>'
    )
    assert gpu.count_tests(junit) == {
        "passed": 1,
        "failed": 2,
        "skipped": 1,
        "wrong": ["a::d", "a::e"],
    }


def test_the_table_tells_floors(gpu: ModuleType) -> None:
    held = {"minimum": 10.0, "met": True}
    measured = {
        "case": "pairs",
        "status": "ok",
        "seconds": 0.0842,
        "queueing": 0.0006,
        "rate": 2.4e12,
        "times_cpu": 12.0,
        "times_peer": 100.0,
        "error": 2e-7,
        "floors": {"rate": {"minimum": 2.5e12, "met": False}, "times_cpu": held},
    }
    failed = {"case": "query of many", "status": "failed", "reason": "AssertionError: off"}
    lines = gpu.table([gpu.Stage("warping", found={"cases": [measured, failed]})]).splitlines()
    assert [re.split("  +", line) for line in lines[1:]] == [
        ["pairs", "84.20", "0.60", "2400", "2500 MISSED", "12.0", "10 met", "100.0", "2.0e-07"],
        ["query of many", "failed: AssertionError: off"],
    ]
    assert (
        len({line.find(word) for line, word in zip(lines, ("error", "2.0e-07"), strict=False)}) == 1
    )
    assert gpu.table([gpu.Stage("build")]) == "nothing was measured"


# -- The cases -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_case_is_measured_and_right(
    cases: ModuleType, warping: ModuleType, emulated: GpuUnderTest
) -> None:
    written: list[int] = []
    entries = cases.measure_all(
        warping.CASES,
        cases.Device(emulated.cupy),
        math.inf,
        lambda entries: written.append(len(entries)),
        small=True,
    )
    assert [(entry["status"], entry["reason"]) for entry in entries] == [("ok", "")] * len(entries)
    assert written == list(range(1, len(warping.CASES) + 1))
    assert all(entry["rate"] > 0 and entry["times_cpu"] > 0 for entry in entries)
    floors = [entry["floors"]["rate"] for entry in entries]
    assert [floor["minimum"] for floor in floors[:3]] == [2.5e12, 1.5e12, 2e12]
    assert len({case.name for case in warping.CASES}) == len(entries)


@pytest.mark.slow
def test_every_assignment_is_measured_and_right(
    cases: ModuleType, assignment: ModuleType, emulated: GpuUnderTest
) -> None:
    device = cases.Device(emulated.cupy)
    named = assignment.CASES
    entries = cases.measure_all(named, device, math.inf, lambda entries: None, small=True)
    assert [(entry["status"], entry["reason"]) for entry in entries] == [("ok", "")] * len(entries)
    assert all(entry["rate"] > 0 and entry["times_cpu"] > 0 for entry in entries)
    assert all(entry["floors"]["times_cpu"] is None for entry in entries)
    floors = [entry["floors"]["rate"]["minimum"] for entry in entries[:3]]
    milliseconds = 208 * 300 * np.array([100, 300, 600]) / floors * 1e3
    np.testing.assert_allclose(milliseconds, [1.0, 5.0, 2.5])
    assert len({case.name for case in named}) == len(entries)


def test_costs_are_counted_within_the_lengths(assignment: ModuleType) -> None:
    for case in assignment.CASES:
        data = case.make(case.small, 0)
        assert case.cells(data) == np.isfinite(data["cost"]).sum(), case.name


def spoil_pair(result: Any) -> None:
    columns = result.col_of_row.memory
    columns[0, 0], columns[0, 1] = columns[0, 1], columns[0, 0]


def spoil_total(result: Any) -> None:
    result.total.memory[-1] += 1


def spoil_column(result: Any) -> None:
    result.col_of_row.memory[0, 0] = result.col_of_row.memory[0, 1]


def spoil_worse(result: Any) -> None:
    # A total that belongs to its pairs, which are not the cheapest.
    spoil_pair(result)
    costs = np.take_along_axis(result.given, result.col_of_row.memory[:, :, None], 2)[..., 0]
    result.total.memory[:] = [sum(row.tolist()) for row in costs.astype(np.float64)]


def spoil_dual(result: Any) -> None:
    result.col_dual.memory[0, 0] += 50


def spoil_answer(result: Any) -> None:
    result.status.memory[0] = 1


class Spoilt:
    """A result that a test may write to, with the costs that it came of."""

    def __init__(self, result: Any, given: Any) -> None:
        self.result, self.given = result, given

    def __getattr__(self, name: str) -> Any:
        return getattr(self.result, name)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_pair, "a total that is not that of the pairs"),
        (spoil_total, "a total that is not that of the pairs"),
        (spoil_column, "a column matched twice"),
        (spoil_worse, "off from the CPU by"),
        (spoil_dual, "a gap of"),
        (spoil_answer, "status {"),
    ],
)
def test_a_wrong_assignment_fails_its_case(
    cases: ModuleType,
    assignment: ModuleType,
    emulated: GpuUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Any,
    words: str,
) -> None:
    case = replace(assignment.CASES[1], small=assignment.Size(3, 6, 6, 3))
    solve = assignment.Assignment.solve

    def spoilt(self: Any, data: dict[str, Any]) -> Any:
        result = solve(self, data)
        if isinstance(result.total, np.ndarray):
            return result
        emulated.wait()
        result = Spoilt(result, data["cost"].memory)
        spoil(result)
        return result

    monkeypatch.setattr(assignment.Assignment, "solve", spoilt)
    device = cases.Device(emulated.cupy)
    (entry,) = cases.measure_all([case], device, math.inf, lambda entries: None, small=True)
    assert entry["status"] == "failed"
    assert words in entry["reason"]


def test_cells_are_counted_inside_the_window(warping: ModuleType) -> None:
    for case in warping.CASES:
        data = case.make(case.small, 0)
        x, y, window = data["x"], data["y"], data["window"]
        n = data.get("x_lengths", [x.shape[1]] * len(x))
        m = data.get("y_lengths", [y.shape[1]] * len(y))
        pairs = [(a, b) for a in n for b in m] if case.all_pairs else zip(n, m, strict=True)
        wanted = sum(
            1
            for a, b in pairs
            for i in range(a)
            for j in range(b)
            if window is None or abs(i - j) <= window
        )
        assert case.cells(data) == wanted, case.name


def test_data_are_noise_that_is_new_in_every_set(cases: ModuleType, warping: ModuleType) -> None:
    case = warping.CASES[0]
    sets = [case.make(case.small, seed) for seed in range(2)]
    values = np.concatenate([data[side].ravel() for data in sets for side in ("x", "y")])
    assert np.unique(values).size == values.size
    assert abs(values.mean()) < 0.1
    assert abs(values.std() - 1) < 0.1
    np.testing.assert_array_equal(case.make(case.small, 1)["x"], sets[1]["x"])
    assert cases.normals((3, 5), "float64", 2).dtype == np.float64


def spoil_cost(result: Any) -> None:
    result.cost.memory[-1] *= 1.01


def spoil_status(result: Any) -> None:
    result.status.memory[0] = 1


def spoil_step(result: Any) -> None:
    # One frame of x for three in a row, and from there on as it was.
    result.x_index.memory[:, 5] = result.x_index.memory[:, 3]


def spoil_end(result: Any) -> None:
    result.path_length.memory[:] -= 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_cost, "off from the CPU by"),
        (spoil_status, "status {"),
        (spoil_end, "paths that do not end|past the end"),
        (spoil_step, "steps other|off from its path"),
    ],
)
def test_a_wrong_answer_fails_its_case_and_no_other(
    cases: ModuleType,
    warping: ModuleType,
    emulated: GpuUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Any,
    words: str,
) -> None:
    right = next(case for case in warping.CASES if case.path)
    # Every problem is in the sample, so that none can be wrong unseen.
    size = replace(right.small, sample=right.small.x)
    wrong = replace(right, name="spoilt", small=size)
    solve = warping.Warping.solve

    def spoilt(self: Any, data: dict[str, Any]) -> Any:
        result = solve(self, data)
        if self.name == "spoilt" and not isinstance(result.cost, np.ndarray):
            emulated.wait()
            spoil(result)
        return result

    monkeypatch.setattr(warping.Warping, "solve", spoilt)
    device = cases.Device(emulated.cupy)
    first, second = cases.measure_all(
        [wrong, right], device, math.inf, lambda entries: None, small=True
    )
    assert first["status"] == "failed"
    assert any(word in first["reason"] for word in words.split("|")), first["reason"]
    assert second["status"] == "ok"


def test_cases_stop_when_the_time_is_spent(
    cases: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, done = Clock(), []

    def measure(case: Any, device: Any, *, small: bool) -> dict[str, Any]:
        clock.now += 30
        done.append(case.name)
        return {"case": case.name, "status": "ok", "reason": ""}

    monkeypatch.setattr(cases, "measure", measure)
    named = [SimpleNamespace(name=str(k)) for k in range(4)]
    device = SimpleNamespace(release=lambda: None)
    entries = cases.measure_all(named, device, 85, lambda entries: None, clock=clock)
    assert done == ["0", "1"]
    assert [entry["status"] for entry in entries] == ["ok", "ok", "skipped", "skipped"]


def test_the_command_writes_what_the_driver_reads(
    cases: ModuleType,
    warping: ModuleType,
    gpu: ModuleType,
    emulated: GpuUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def execute(command: list[str], limit: float, log: Path) -> Any:
        assert command[1] == "bench/gpu_warping.py"
        assert float(command[3].removeprefix("--seconds=")) < limit
        code = cases.main(warping.CASES[:2], [*command[2:], "--small"])
        return gpu.Finished(code, "")

    monkeypatch.setattr(gpu, "execute", execute)
    monkeypatch.setattr(gpu, "WORK", tmp_path)
    stage = gpu.stage_benchmark(100, "python", "warping")
    assert (stage.status, stage.reason) == ("ok", "")
    assert [entry["case"] for entry in stage.found["cases"]] == [
        case.name for case in warping.CASES[:2]
    ]
    assert stage.found["cpu_threads"] >= 1
    assert len(gpu.table([stage]).splitlines()) == 3


def test_the_copy_bandwidth_counts_both_ways(
    cases: ModuleType, emulated: GpuUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "clocked", lambda work: (0.5, work()))
    assert cases.Device(emulated.cupy).copy_bandwidth(2**20, copies=3) == 3 * 2**22


@pytest.mark.parametrize("shape", [(7, 7, 1), (5, 11, 1), (11, 5, 3), (1, 6, 1), (6, 1, 2)])
def test_the_peer_solves_the_same_problem(warping: ModuleType, shape: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    n, m, dim = shape
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, n, dim)), rng.normal(size=(4, m, dim))
    found = warping.by_antidiagonals(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_allclose(found, warping.coalign.dtw(x, y).cost, rtol=1e-12)
