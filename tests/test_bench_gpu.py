"""bench/gpu.py and the GPU cases: the record, the verdicts, the cases on an emulated GPU."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cases_assignment
import cases_ctc
import cases_soft_warping
import cases_transport
import cases_warping
import contest
import gpu
import gpu_contest
import instances
import peers_warping
from cuda_emulation.device import GpuUnderTest, emulated_gpu

REFUSED = "========= Error: Device not supported. Please refer to the documentation"
CLEAN = "========= ERROR SUMMARY: 0 errors"
SUITES = {
    "warping": cases_warping.SUITE,
    "assignment": cases_assignment.SUITE,
    "ctc": cases_ctc.SUITE,
    "transport": cases_transport.SUITE,
    "soft_warping": cases_soft_warping.SUITE,
}


def of(suite: str, *cases: contest.Case) -> contest.Suite:
    """Give a suite of some cases, of those on a GPU by default."""
    whole = SUITES[suite]
    return replace(whole, cases=cases or [case for case in whole.cases if case.gpu is not None])


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuUnderTest]:
    yield from emulated_gpu(monkeypatch)


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# -- The driver ------------------------------------------------------------------------------------


class Machine:
    """What commands come to on a machine that is not there: code, output and seconds by stage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **ends: Any) -> None:
        self.ends, self.path = ends, tmp_path / "results" / "gpu.json"
        self.clock, self.limits = Clock(), dict[str, float]()
        monkeypatch.setattr(gpu, "WORK", tmp_path)
        monkeypatch.setattr(gpu, "SITE", tmp_path / "site")
        monkeypatch.setattr(gpu, "execute", self.execute)
        monkeypatch.setattr(gpu.shutil, "which", lambda name, path: name)

    def execute(self, command: list[str], limit: float, log: Path) -> tuple[int | None, str]:
        assert self.path.exists() == bool(self.limits), "a record after every stage"
        self.limits[log.stem] = limit
        code, output, seconds = self.ends.get(log.stem.replace(" ", "_"), (0, "fine", 1.0))
        self.clock.now += limit if code is None else seconds
        return code, output

    def run(self, wheels: Path | None = None) -> dict[str, Any]:
        record = gpu.run(gpu.stages("python", wheels), self.path, {"gpus": ["one"]}, self.clock)
        assert json.loads(self.path.read_text()) == record
        assert sorted(entry.name for entry in self.path.parent.iterdir()) == ["gpu.json"]
        return {"status": record["status"], **{stage["name"]: stage for stage in record["stages"]}}


def test_the_record_says_what_stages_came_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "some.whl").touch()
    machine = Machine(
        monkeypatch,
        tmp_path,
        build=(0, f"{gpu.ROOT}/tests\n\nend\n", 7.0),
        memcheck_assignment=(97, "========= ERROR SUMMARY: 3 errors", 1.0),
    )
    record = machine.run(tmp_path)
    names = ["wheels", "packages", "build", "module", "tests"]
    names += [f"{tool} {name}" for tool in gpu.CHECKERS for name in gpu.OPERATIONS]
    assert list(record) == ["status", *names, *gpu.OPERATIONS]
    assert record["build"] == {
        "name": "build",
        "status": "ok",
        "reason": "end",
        "tail": ["./tests", "end"],
        "started": 2.0,
        "seconds": 7.0,
    }
    assert record["memcheck assignment"]["reason"] == "ERROR SUMMARY: 3 errors"
    assert record["synccheck warping"]["status"] == "ok"
    assert record["status"] == 1


def test_a_run_ends_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, tmp_path, warping=(None, "", 0.0))
    monkeypatch.setattr(gpu, "TOTAL_SECONDS", 105.0)
    record = machine.run()
    # A second of each stage before was spent, and what is left but for the end is shared out.
    operations = len(gpu.OPERATIONS)
    spent = 4 + len(gpu.CHECKERS) * operations
    assert machine.limits["warping"] == (105 - spent - gpu.LEAST_SECONDS) / operations
    assert machine.limits["assignment"] == pytest.approx(machine.limits["warping"])
    assert record["warping"]["reason"] == "ran past its time limit"
    monkeypatch.setattr(gpu, "TOTAL_SECONDS", 11.0)
    record = Machine(monkeypatch, tmp_path / "again").run()
    assert record["warping"]["reason"] == "the time of the run was spent"


def test_benchmarks_have_time_left_in_the_worst_case() -> None:
    limits = [stage.limit or 0.0 for stage in gpu.stages("python", Path())]
    assert sum(limits) <= gpu.TOTAL_SECONDS - 100
    assert gpu.TOTAL_SECONDS < 600


@pytest.mark.parametrize(
    ("name", "code", "output", "status", "reason", "exit_status"),
    [
        ("tests", 0, "...\n12 passed in 1.2s\n", "ok", "12 passed in 1.2s", 0),
        ("tests", 1, "1 failed, 12 passed", "failed", "1 failed, 12 passed", 1),
        ("tests", None, "...", "stopped", "ran past its time limit", 1),
        ("packages", 1, "not installed: torch", "failed", "not installed: torch", 1),
        ("memcheck_warping", 0, CLEAN, "ok", "ERROR SUMMARY: 0 errors", 0),
        ("memcheck_warping", 1, REFUSED, "refused", REFUSED.lstrip("= "), 0),
        ("memcheck_warping", 0, REFUSED, "refused", REFUSED.lstrip("= "), 0),
        ("memcheck_warping", 0, f"Device not supported\n{CLEAN}", "ok", CLEAN.lstrip("= "), 0),
        ("memcheck_warping", 1, f"Traceback\n{CLEAN}", "failed", "exit status 1", 1),
        ("memcheck_warping", None, "", "stopped", "ran past its time limit", 0),
        ("warping", None, "", "stopped", "ran past its time limit", 0),
        ("warping", 1, "", "failed", "exit status 1", 1),
    ],
)
def test_verdicts(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    code: int | None,
    output: str,
    status: str,
    reason: str,
    exit_status: int,
) -> None:
    record = Machine(monkeypatch, tmp_path, **{name: (code, output, 1.0)}).run()
    stage = record[name.replace("_", " ")]
    assert (stage["status"], stage["reason"]) == (status, reason)
    assert record["status"] == exit_status
    if status in ("refused", "stopped") and name.startswith("memcheck"):
        assert record["synccheck assignment"]["status"] == "skipped"
        assert record["memcheck assignment"]["reason"] == f"memcheck warping was {status}"
        assert record["warping"]["status"] == "ok"


@pytest.mark.parametrize("name", ["build", "module"])
def test_without_a_build_nothing_else_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    machine = Machine(monkeypatch, tmp_path, **{name: (1, "no nvcc", 1.0)})
    record = machine.run()
    assert list(machine.limits)[-1] == name
    assert record["tests"]["reason"] == record["warping"]["reason"] == "there is no build to try"
    assert record["status"] == 1


def test_a_fault_of_the_driver_costs_its_stage_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Machine(monkeypatch, tmp_path, tests=("three", "values"))
    record = machine.run()
    assert record["tests"]["status"] == "failed"
    assert record["tests"]["reason"].startswith("ValueError: ")
    assert record["warping"]["status"] == "ok"


def test_a_stage_whose_benchmark_found_errors_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Machine(monkeypatch, tmp_path, warping=(None, "", 0.0))
    (measuring,) = (s for s in gpu.stages("python", None) if s.name == "warping")
    cases = [{"case": name, "status": name} for name in ("ok", "failed", "skipped")]

    def execute(command: list[str], limit: float, log: Path) -> tuple[int | None, str]:
        (tmp_path / "warping.json").write_text(json.dumps({"cases": cases}))
        return machine.execute(command, limit, log)

    monkeypatch.setattr(gpu, "execute", execute)
    entry = gpu.outcome(measuring, 10.0)
    assert (entry["status"], entry["reason"]) == ("failed", "wrong: failed")
    assert entry["found"]["cases"] == cases


@pytest.mark.slow
def test_a_command_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    done = gpu.execute([sys.executable, "-c", "print('here')"], 60, tmp_path / "a.log")
    assert done == (0, "here\n")
    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
    parent = (
        "import subprocess, sys, time; print('began', flush=True); "
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    done = gpu.execute([sys.executable, "-c", parent], 1, tmp_path / "b.log")
    assert done == (None, "began\n")
    time.sleep(2)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # Without site-packages nothing is installed.
        (("-S", "-c", gpu.PACKAGES), "not installed: numpy, cupy, .* put their wheels in WHEELS"),
        (("-c", gpu.MODULE), "has another coalign in front of this one"),
    ],
)
def test_the_probes_say_what_is_missing(options: tuple[str, ...], words: str) -> None:
    done = subprocess.run([sys.executable, *options], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(words, done.stderr)
    assert "Traceback" not in done.stderr


def test_the_summary_tells_floors() -> None:
    measured = {
        "case": "pairs",
        "status": "ok",
        "seconds": 0.0842,
        "queueing": 0.0006,
        "rate": 2.4e12,
        "times_cpu": 12.0,
        "times_peer": 100.0,
        "peer": "torch",
        "error": 2e-7,
        "floors": {
            "rate": {"minimum": 2.5e12, "met": False},
            "times_cpu": {"minimum": 10.0, "met": True},
        },
    }
    assert gpu.words_of(measured) == (
        "pairs: 84.20 ms (0.60 to queue), 2.4e+12 cells/s, 12.0 x CPU, error 2.0e-07, "
        "100.0 x torch, floor of rate 2.5e+12 MISSED, floor of times cpu 10 met"
    )
    failed = {"case": "query of many", "status": "failed", "reason": "AssertionError: off"}
    assert gpu.words_of(failed) == "query of many: failed: AssertionError: off"


# -- The cases -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "count"),
    [("warping", 13), ("assignment", 16), ("ctc", 6), ("transport", 7), ("soft_warping", 1)],
)
def test_every_case_is_measured_and_right(suite: str, count: int, emulated: GpuUnderTest) -> None:
    written: list[int] = []
    entries = gpu_contest.measure_all(
        of(suite),
        gpu_contest.Device(emulated.cupy),
        write=lambda entries: written.append(len(entries)),
        small=True,
    )
    assert [(entry["status"], entry["reason"]) for entry in entries] == [("ok", "")] * count
    assert written == list(range(1, count + 1))
    assert all(entry["rate"] > 0 and entry["times_cpu"] > 0 for entry in entries)
    floors = {"warping": [2, 2, 2, 1], "assignment": [1, 1, 1, 0], "ctc": [0] * 4}
    floors |= {"transport": [1, 0, 0, 0], "soft_warping": [0]}
    assert [len(entry["floors"]) for entry in entries[:4]] == floors[suite]


def test_cells_are_counted_within_lengths_and_windows() -> None:
    for case in of("assignment").cases:
        data = case.problem.data(0, case.gpu.dtype, small=True)
        assert case.problem.cells(data) == np.isfinite(data["cost"]).sum(), case.name
    for case in of("warping").cases:
        data = case.problem.data(0, case.gpu.dtype, small=True)
        (x, n), (y, m) = ((data[s], data.get(f"{s}_lengths")) for s in ("x", "y"))
        n, m = n or [x.shape[1]] * len(x), m or [y.shape[1]] * len(y)
        whole = case.problem.call is cases_warping.coalign.dtw_cdist
        pairs = [(a, b) for a in n for b in m] if whole else zip(n, m, strict=True)
        wanted = sum(
            data.get("window") is None or abs(i - j) <= data["window"]
            for a, b in pairs
            for i in range(a)
            for j in range(b)
        )
        assert case.problem.cells(data) == wanted, case.name


def test_data_are_noise_that_is_new_in_every_set() -> None:
    sets = [instances.noise_pairs(seed, 9, 9, 70, dtype="float64") for seed in range(2)]
    values = np.concatenate([data[side].ravel() for data in sets for side in ("x", "y")])
    assert np.unique(values).size == values.size
    assert abs(values.mean()) < 0.1
    assert abs(values.std() - 1) < 0.1
    again = instances.noise_pairs(1, 9, 9, 70, dtype="float64")
    np.testing.assert_array_equal(again["x"], sets[1]["x"])
    assert instances.normals((3, 5), "float64", 2).dtype == np.float64


class Spoilt:
    """A result that a test may write to, with the costs that it came of."""

    def __init__(self, result: Any, data: dict[str, Any]) -> None:
        self.result, self.data = result, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.result, name)


def put(array: Any, at: Any, value: Any) -> None:
    array.memory[at] = value


def swap(result: Any) -> None:
    put(result.col_of_row, (0, [0, 1]), result.col_of_row.memory[0, [1, 0]])


def spoil_worse(result: Any) -> None:
    # A total that belongs to its pairs, which are not the cheapest.
    swap(result)
    costs = result.data["cost"].memory
    chosen = np.take_along_axis(costs, result.col_of_row.memory[:, :, None], 2)[..., 0]
    put(result.total, slice(None), [sum(row.tolist()) for row in chosen.astype(np.float64)])


@pytest.mark.parametrize(
    ("suite", "spoil", "words"),
    [
        ("assignment", swap, "a total that is not that of the pairs"),
        (
            "assignment",
            lambda r: put(r.total, -1, r.total.memory[-1] + 1),
            "a total that is not that of the pairs",
        ),
        (
            "assignment",
            lambda r: put(r.col_of_row, (0, 0), r.col_of_row.memory[0, 1]),
            "a column matched twice",
        ),
        ("assignment", spoil_worse, "off from the CPU by"),
        ("assignment", lambda r: put(r.col_dual, (0, 0), 50), "a gap of"),
        ("assignment", lambda r: put(r.status, 0, 1), "status {"),
        ("warping", lambda r: put(r.cost, -1, 1.01 * r.cost.memory[-1]), "off from the CPU by"),
        ("warping", lambda r: put(r.status, 0, 1), "status {"),
        (
            "warping",
            lambda r: put(r.path_length, 0, r.path_length.memory[0] - 1),
            "a path that does not end",
        ),
        (
            "warping",
            lambda r: put(r.x_index, np.s_[:, 5], r.x_index.memory[:, 3]),
            "steps other than the three",
        ),
        ("soft_warping", lambda r: put(r.status, 0, 1), "status {"),
        ("soft_warping", lambda r: put(r.value, 1, 1.1 * r.value.memory[1]), "off from the CPU by"),
        ("soft_warping", lambda r: put(r.grad_y, (1, 3, 2), 9), "off from the CPU by"),
        ("ctc", lambda r: put(r.status, 0, 1), "status {"),
        ("transport", lambda r: put(r.status, 0, 3), "status {"),
        ("transport", lambda r: put(r.f, (1, 2), 1 + r.f.memory[1, 2]), "marginals off by"),
        ("transport", lambda r: put(r.value, 2, 1.1 * r.value.memory[2]), "off from the CPU by"),
        ("ctc", lambda r: put(r.loss, 1, 1.001 * r.loss.memory[1]), "off from the CPU by"),
        ("ctc", lambda r: put(r.grad, (1, 3, 2), 1 + r.grad.memory[1, 3, 2]), "a gradient off by"),
    ],
)
def test_a_wrong_answer_fails_its_case_and_no_other(
    emulated: GpuUnderTest, suite: str, spoil: Any, words: str
) -> None:
    if suite == "assignment":
        right = of(suite).cases[1]
        small = {**right.problem.small, "problems": 3, "rows": 6, "columns": 6}
    elif suite in ("ctc", "transport", "soft_warping"):
        right = of(suite).cases[2 if suite == "transport" else 0]
        small = right.problem.small
    else:
        right = next(case for case in of(suite).cases if case.problem.options.get("path"))
        small = right.problem.small

    def call(*given: Any, **options: Any) -> Any:
        result = right.problem.call(*given, **options)
        if isinstance(result.status, np.ndarray):
            return result
        emulated.wait()
        result = Spoilt(result, options)
        spoil(result)
        return result

    problem = replace(right.problem, small=small, call=call)
    # Every problem is in the sample, so that none can be wrong unseen.
    wrong = replace(right, name="spoilt", problem=problem, gpu=replace(right.gpu, sample=9))
    device = gpu_contest.Device(emulated.cupy)
    first, second = gpu_contest.measure_all(of(suite, wrong, right), device, small=True)
    assert first["status"] == "failed"
    assert words in first["reason"]
    assert second["status"] == "ok"


@pytest.mark.parametrize(("factor", "status"), [(1.0, "ok"), (1.001, "failed")])
def test_a_peer_is_timed_and_has_to_agree(
    emulated: GpuUnderTest, factor: float, status: str
) -> None:
    peer = contest.Contender(
        "somebody's",
        "any",
        load=lambda: lambda data: factor * cases_warping.coalign.dtw(data["x"], data["y"]).cost,
        costs=lambda data, found: found,
    )
    case = of("warping").cases[0]
    problem = replace(case.problem, full=case.problem.small)
    case = replace(case, problem=problem, gpu=replace(case.gpu, peer=peer, times_peer=1e9))
    (entry,) = gpu_contest.measure_all(of("warping", case), gpu_contest.Device(emulated.cupy))
    assert entry["status"] == status
    assert (entry.get("times_peer", 0) > 0) == (status == "ok")
    if status == "ok":
        assert entry["floors"]["times_peer"] == {"minimum": 1e9, "met": False}


def test_cases_stop_when_the_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, done = Clock(), []

    def measure(case: Any, *given: Any, small: bool) -> dict[str, Any]:
        clock.now += 30
        done.append(case.name)
        return {"case": case.name, "status": "ok", "reason": ""}

    monkeypatch.setattr(gpu_contest, "measure", measure)
    device: Any = SimpleNamespace(release=lambda: None)
    entries = gpu_contest.measure_all(of("warping"), device, 85, clock=clock)
    assert len(done) == 2
    assert [entry["status"] for entry in entries[:4]] == ["ok", "ok", "skipped", "skipped"]


def test_the_command_writes_what_the_driver_reads(
    emulated: GpuUnderTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def execute(command: list[str], limit: float, log: Path) -> tuple[int, str]:
        assert command[1:3] == ["bench/gpu_contest.py", "warping"]
        assert float(command[3].removeprefix("--seconds=")) < limit
        return gpu_contest.main([*command[2:], "--small"]), "the end"

    two = of("warping", *of("warping").cases[:2])
    monkeypatch.setattr(cases_warping, "SUITE", two)
    monkeypatch.setattr(gpu, "execute", execute)
    monkeypatch.setattr(gpu, "WORK", tmp_path)
    (stage,) = (stage for stage in gpu.stages("python", None) if stage.name == "warping")
    entry = gpu.outcome(stage, 100)
    assert (entry["status"], entry["reason"]) == ("ok", "the end")
    assert [case["case"] for case in entry["found"]["cases"]] == [case.name for case in two.cases]
    assert entry["found"]["cpu_threads"] >= 1
    # An emulated GPU reaches no floor of a real one.
    assert [case["floors"]["rate"]["met"] for case in entry["found"]["cases"]] == [False, False]
    lines = list(gpu.summary({"stages": [{"name": "warping", **entry}]}))
    assert lines[0] == "warping: ok. the end"
    assert sum("x CPU" in line for line in lines) == 2


def test_the_copy_bandwidth_counts_both_ways(
    emulated: GpuUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_contest, "clocked", lambda work: (0.5, work()))
    assert gpu_contest.Device(emulated.cupy).copy_bandwidth(2**20, copies=3) == 3 * 2**22


@pytest.mark.parametrize("shape", [(7, 7, 1), (5, 11, 1), (11, 5, 3), (1, 6, 1), (6, 1, 2)])
def test_the_peer_solves_the_same_problem(shape: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    n, m, dim = shape
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, n, dim)), rng.normal(size=(4, m, dim))
    found = peers_warping.by_antidiagonals(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_allclose(found, cases_warping.coalign.dtw(x, y).cost, rtol=1e-12)


@pytest.mark.parametrize("shape", [(7, 7, 1), (5, 11, 2), (1, 6, 1), (6, 1, 3)])
def test_the_peer_of_soft_dtw_solves_the_same_problem(shape: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    n, m, dim = shape
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(4, n, dim)), rng.normal(size=(4, m, dim))
    sides = torch.from_numpy(x), torch.from_numpy(y)
    found = peers_warping.softly_by_antidiagonals(*sides, 0.5)
    wanted = cases_soft_warping.coalign.soft_dtw(x, y, gamma=0.5, grad=True)
    for ours, theirs in zip(found, (wanted.value, wanted.grad_x, wanted.grad_y), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
