"""How calls run: instruction sets, threads, the GIL, fork and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _core, _execution, dtw, dtw_cdist
from oracles.compare import assert_same_bits

rng = np.random.default_rng(23)
SERIES = rng.normal(size=(120, 80)).astype(np.float32)
SET_LIST = ", ".join(_execution.available())
UNKNOWN_SET = rf"COALIGN_ISA: expected one of {SET_LIST} on this CPU, got 'sse9'"

NO_PROC = not Path("/proc/self/statm").exists()

LONG = rng.normal(size=(1500, 500)).astype(np.float32)  # all pairs take seconds at least


def run_python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


# Instruction sets


@pytest.mark.parametrize("name", _execution.available())
def test_the_environment_forces_an_instruction_set(name: str) -> None:
    code = """
from coalign import _execution, dtw, show_config
with _execution.forced() as runs:
    dtw([0.0, 1.0, 3.0], [0.0, 3.0])
assert show_config("dicts")["instruction set"] == _execution.selected()
print(_execution.selected(), runs[0].isa)
"""
    run = run_python(code, COALIGN_ISA=name)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [name, name]


def test_the_widest_instruction_set_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("COALIGN_ISA")
        else:
            monkeypatch.setenv("COALIGN_ISA", unset)
        assert _execution.selected() == _execution.available()[-1]


def test_an_instruction_set_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = run_python("import coalign; coalign.dtw([0.0], [0.0])", COALIGN_ISA="sse9")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].endswith(UNKNOWN_SET)
    monkeypatch.setenv("COALIGN_ISA", "sse9")
    for call in (
        lambda: dtw([0.0], [0.0]),
        lambda: dtw_cdist([[0.0]]),
        lambda: dtw([[0.0]], metric="precomputed"),
        lambda: coalign.show_config("dicts"),
    ):
        with pytest.raises(ValueError, match=rf"{UNKNOWN_SET}\Z"):
            call()
    # The call's own wish comes before the environment's.
    with _execution.forced(_execution.available()[0]):
        assert dtw([0.0], [1.0]).cost == 1.0


def test_forced_collects_what_ran_and_ends_with_its_block() -> None:
    first, last = _execution.available()[0], _execution.available()[-1]
    with _execution.forced(first) as outer:
        dtw(SERIES[0], SERIES[1])
        with _execution.forced(last) as inner:
            dtw_cdist(SERIES[:3])
        dtw([[1.0]], metric="precomputed", path=True)
    assert [run.isa for run in outer] == [first, first]
    assert [run.isa for run in inner] == [last]
    assert [run.workers for run in outer + inner] == [1, 1, 1]
    with pytest.raises(ValueError, match="empty series"), _execution.forced(first) as failed:
        dtw(SERIES[0, :0], [1.0])
    assert failed == []
    dtw(SERIES[0], SERIES[1])
    assert len(outer) == 2
    with _execution.forced("sse9"), pytest.raises(ValueError, match=rf"{UNKNOWN_SET}\Z"):
        dtw(SERIES[0], SERIES[1])


def test_forced_holds_for_its_own_thread_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COALIGN_ISA", raising=False)
    first, last = _execution.available()[0], _execution.available()[-1]
    with _execution.forced(first) as runs, ThreadPoolExecutor(1) as pool:
        assert pool.submit(_execution.selected).result() == last
        pool.submit(dtw, SERIES[0], SERIES[1]).result()
    assert runs == []


# Threads


def test_small_work_stays_on_the_calling_thread_unless_forced() -> None:
    with _execution.forced() as runs:
        dtw_cdist(SERIES[:10], threads=8)
        dtw(SERIES[0], SERIES[1], threads=8)
    assert [run.workers for run in runs] == [1, 1]
    # Twelve tasks of milliseconds each: the second worker starts long before the first has done.
    with _execution.forced(work_per_thread=0) as runs:
        dtw_cdist(LONG[:150], threads=2)
        dtw_cdist(LONG[:40], threads=1)
    assert [run.workers for run in runs] == [2, 1]


def test_large_work_uses_the_threads_it_may() -> None:
    with _execution.forced() as runs:
        one = dtw_cdist(LONG[:150], threads=1)
        two = dtw_cdist(LONG[:150], threads=2)
    assert [run.workers for run in runs] == [1, 2]
    assert_same_bits(two, one)


@pytest.mark.parametrize(("wanted", "threads"), [("1", 1), ("3", 3), ("007", 7), ("99999", 1024)])
def test_the_environment_sets_the_default_number_of_threads(
    wanted: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COALIGN_NUM_THREADS", wanted)
    assert _execution.default_threads() == threads
    assert _execution.thread_count(None) == threads
    assert _execution.thread_count(2) == 2
    assert coalign.show_config("dicts")["threads"] == threads  # type: ignore[index]


@pytest.mark.parametrize("wanted", ["0", "-1", "2.0", "two", " 2", "1e3", "²"])
def test_a_bad_default_number_of_threads_is_refused(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COALIGN_NUM_THREADS", wanted)
    with pytest.raises(ValueError, match=r"\ACOALIGN_NUM_THREADS: expected a posi") as caught:
        dtw([0.0], [0.0])
    assert str(caught.value) == f"COALIGN_NUM_THREADS: expected a positive integer, got {wanted!r}"
    assert dtw([0.0], [1.0], threads=1).cost == 1.0


@pytest.mark.parametrize(
    ("cpus", "quota", "threads"), [(6, None, 6), (6, 2, 2), (2, 6, 2), (1, 1, 1), (4, 0, 1)]
)
def test_the_default_is_what_affinity_and_cgroup_leave(
    cpus: int, quota: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COALIGN_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)), raising=False)
    monkeypatch.setattr(_execution, "_cgroup_quota", lambda root, membership: quota)
    assert _execution.default_threads() == threads


def test_without_affinity_the_default_is_every_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COALIGN_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(_execution, "_cgroup_quota", lambda root, membership: None)
    for count, threads in ((5, 5), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert _execution.default_threads() == threads


def cgroup_quota(tmp_path: Path, membership: str | None, files: dict[str, str]) -> int | None:
    """CPUs that a tree of control files grants to a process of that membership."""
    root = tmp_path / "cgroup"
    root.mkdir()
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if membership is not None:
        (tmp_path / "membership").write_text(membership)
    return _execution._cgroup_quota.__wrapped__(root, tmp_path / "membership")


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        (None, {}, None),
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        (None, {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "5000 100000\n"}, 1),
        ("0::/a/b\n", {"cpu.max": "max 100000\n", "a/b/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "150000 100000\n"}, 2),
        ("0::/a\n", {"b/cpu.max": "100000 100000\n"}, None),
    ],
    ids=[
        "no cgroup",
        "no files",
        "no limit",
        "limit",
        "limit of a root without membership",
        "rounded up",
        "at least one",
        "own group",
        "group above",
        "the least of both",
        "another's group",
    ],
)
def test_cgroup_v2(
    membership: str | None, files: dict[str, str], quota: int | None, tmp_path: Path
) -> None:
    assert cgroup_quota(tmp_path, membership, files) == quota


V1 = "12:memory:/other\n4:cpu,cpuacct:/job\n1:name=systemd:/init.scope\n0::/job\n"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/job/cpu.cfs_quota_us": "50000\n", "cpu/job/cpu.cfs_period_us": "20000\n"}, 3),
        ({"cpu/job/cpu.cfs_quota_us": "50000\n"}, None),
        ({"cpu/other/cpu.cfs_quota_us": "20000\n", "cpu/other/cpu.cfs_period_us": "20000\n"}, None),
    ],
    ids=["no limit", "limit", "own group", "no period", "another controller's group"],
)
def test_cgroup_v1(files: dict[str, str], quota: int | None, tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path, V1, files) == quota


def test_calls_from_many_threads_at_once_give_the_same_bits() -> None:
    x, y = rng.normal(size=(2, 900, 3))
    frames = rng.normal(size=(40, 50, 3))

    def work(turn: int) -> list[Any]:
        # Each thread starts elsewhere, so that different calls meet.
        calls = [
            lambda: dtw_cdist(SERIES, threads=2),
            lambda: dtw(x, y, path=True, threads=2).x_index,
            lambda: dtw_cdist(frames, metric="cosine", threads=2),
            lambda: dtw(frames, frames[::-1], window=5, threads=2).cost,
        ]
        results: list[Any] = [None] * len(calls)
        for i in range(len(calls)):
            at = (turn + i) % len(calls)
            results[at] = calls[at]()
        return results

    expected = work(0)
    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(work, range(24)):
            for got, want in zip(results, expected, strict=True):
                assert_same_bits(got, want)


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="not a free-threaded interpreter"
)
def test_importing_leaves_the_gil_disabled() -> None:
    code = "import sys, coalign; print(sys._is_gil_enabled())"
    run = run_python(code, PYTHON_GIL="")
    assert run.stdout.strip() == "False", run.stderr


# Signals

INTERRUPTED = """
import signal, sys, time
import numpy as np
from coalign import assign, dtw, dtw_cdist

# A process started in the background may have been told to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
threads = int(sys.argv[2])
rng = np.random.default_rng(0)
if sys.argv[1] == "long frames":
    x, y = np.ones((400, 1000), np.float32), np.ones((40_000, 1000), np.float32)
    call = lambda: dtw(x, y, threads=threads)
elif sys.argv[1].startswith("narrow band"):
    x, y = np.zeros((2, 10_000_000), np.float32)
    y[0] = 1  # a series and its copy need no engine
    batch = [x] * 16 if sys.argv[1] == "narrow bands of a batch" else x
    path = sys.argv[1] == "narrow band with a path"
    call = lambda: [dtw(batch, y, window=1, path=path, threads=threads) for _ in range(20)]
elif sys.argv[1].startswith("assignment"):
    side = np.arange(1, 6001, dtype=np.float32)
    cost = np.outer(side, side)
    given = cost.T if sys.argv[1] == "assignment by columns" else cost
    limit = 3e7 if sys.argv[1] == "assignment with a limit" else None
    call = lambda: assign(given, max_cost=limit, threads=threads)
elif sys.argv[1] == "first pass":
    X = np.ones((200_000, 256), np.float32)
    call = lambda: [
        dtw_cdist(X[:1], X, metric="cosine", window=0, threads=threads) for _ in range(20)
    ]
try:
    print("ready", flush=True)
    call()
    print("done")
except KeyboardInterrupt:
    print(time.monotonic())
"""


def interrupt_latency(call: str, threads: int, delay: float) -> float:
    """Seconds from SIGINT, sent `delay` seconds into a call, to KeyboardInterrupt."""
    command = [sys.executable, "-c", INTERRUPTED, call, str(threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(delay)
            sent = time.monotonic()  # one clock for all processes
            child.send_signal(signal.SIGINT)
            answer, _ = child.communicate(timeout=30)
        finally:
            child.kill()
    assert answer.strip() != "done"
    return float(answer) - sent


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT from another process")
@pytest.mark.parametrize(
    ("call", "threads", "delay"),
    [
        ("long frames", 1, 0.5),
        ("first pass", 1, 0.1),
        *(("narrow band", 1, delay) for delay in (0.05, 0.1, 0.2, 0.3, 0.45)),
        ("narrow band with a path", 1, 0.9),
        *(("narrow bands of a batch", 1, delay) for delay in (0.2, 0.5, 0.8)),
        *(("assignment by columns", 1, delay) for delay in (0.02, 0.1, 0.2)),
        ("assignment with a limit", 1, 0.5),
    ],
)
def test_ctrl_c_stops_a_call_within_100_milliseconds(call: str, threads: int, delay: float) -> None:
    # A busy machine may delay one answer; a call that does not listen is late every time.
    latencies = []
    for _ in range(3):
        latencies.append(interrupt_latency(call, threads, delay))
        if latencies[-1] < 0.1:
            break
    assert min(latencies) < 0.1, latencies


PEAK = """
import resource, sys
import numpy as np
from coalign import dtw

x, y = np.zeros((2, 1_000_000), np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dtw(x, y, window=int(sys.argv[1]), threads=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(NO_PROC, reason="counts in the units of Linux")
@pytest.mark.parametrize("radius", [0, 5])
def test_a_long_pair_in_a_narrow_band_takes_little_memory(radius: int) -> None:
    run = run_python(PEAK, str(radius))
    assert run.returncode == 0, run.stderr
    # The ranges of a million rows are 16 MB, y and one row of the lattice 4 MB each.
    assert int(run.stdout) * 1024 < 40e6


@contextmanager
def alarm(seconds: float, handler: Any) -> Iterator[None]:
    """Call a signal handler once, in the middle of what the block does."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")
def test_a_signal_handler_that_raises_nothing_changes_nothing() -> None:
    heard = []
    expected = dtw_cdist(LONG[:150], threads=1)
    with alarm(0.05, lambda number, frame: heard.append(number)):
        costs = dtw_cdist(LONG[:150], threads=1)
    assert heard == [signal.SIGALRM]
    assert_same_bits(costs, expected)


# The end of the interpreter

DAEMON = """
import sys, threading, time
import numpy as np
from coalign import dtw, dtw_cdist

rng = np.random.default_rng(0)
x, y = rng.normal(size=(2, 150_000)).astype(np.float32)
X = rng.normal(size=(100, 200)).astype(np.float32)
threads = int(sys.argv[2])

def work():
    while True:
        if sys.argv[1] == "one long call":
            dtw(x, y, threads=threads)
        elif sys.argv[1] == "short calls":
            dtw(x[:1000], y[:1000], threads=threads)
        else:
            dtw_cdist(X, threads=threads, progress=lambda done, total: sum(range(100_000)))

for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
print("ends")
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("work", ["one long call", "short calls", "calls that report"])
def test_the_interpreter_ends_while_a_daemon_thread_is_inside_a_call(
    work: str, threads: int
) -> None:
    run = run_python(DAEMON, work, str(threads))
    assert (run.returncode, run.stdout, run.stderr) == (0, "ends\n", "")


# The configuration


@pytest.mark.usefixtures("without_cuda")
def test_the_configuration_says_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COALIGN_NUM_THREADS", "3")
    config = coalign.show_config(mode="dicts")
    assert config == {
        "version": version("coalign"),
        "compiler": _core.compiler,
        "instruction set": _execution.selected(),
        "available": SET_LIST,
        "threads": 3,
        "cuda": "not built",
        "numpy": np.__version__,
    }
    assert config["compiler"].split()[0] in ("GNU", "Clang", "AppleClang")
    assert coalign.__version__ == config["version"]


def test_the_configuration_is_printed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert coalign.show_config() is None
    lines = capsys.readouterr().out.splitlines()
    config = coalign.show_config("dicts")
    assert config is not None
    assert [line.split(": ", 1)[0] for line in lines] == list(config)
    assert [line.split(": ", 1)[1].strip() for line in lines] == [str(v) for v in config.values()]


@pytest.mark.parametrize("mode", ["yaml", None, True])
def test_an_unknown_mode_is_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match=r"\Amode: expected ") as caught:
        coalign.show_config(mode)
    assert str(caught.value) == f'mode: expected "stdout" or "dicts", got {mode!r}'
