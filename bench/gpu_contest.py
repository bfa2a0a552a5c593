"""Time the GPU cases of one suite, beside the CPU and a peer, and hold the answers to the CPU's.

    python bench/gpu_contest.py warping --out file.json --seconds 200
    python bench/gpu_contest.py warping --small      # the same cases, small, answers only

A case is timed from the call to the end of the GPU's work, seen from the host, after warm-ups, over
sets of random data that take turns. A sample of each set's problems is solved on the CPU with all
its threads: that is both what the speed is compared with and what the answers are held to.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import instances
from contest import Case, Data, Suite

WARM_UPS = 2
RUNS = 6
CPU_RUNS = 3
# Data several times the L2 of any GPU serve as they are; smaller ones take turns among more sets.
LARGE_BYTES = 2**28
SETS = {True: 2, False: 3}
# No case is begun with less time than this, or than the longest one took.
LEAST_SECONDS = 10.0


class Device:
    """The GPU, by way of CuPy."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy

    def put(self, data: Data) -> Data:
        """Copy the arrays to the GPU; done when this returns. Options stay what they are."""
        placed = {
            name: self.cupy.asarray(value) if isinstance(value, np.ndarray) else value
            for name, value in data.items()
        }
        self.wait()
        return placed

    def wait(self) -> None:
        """Wait for the current stream."""
        self.cupy.cuda.get_current_stream().synchronize()

    def release(self) -> None:
        """Give the memory of the case before back, on the GPU and pinned."""
        gc.collect()
        self.cupy.get_default_memory_pool().free_all_blocks()
        self.cupy.get_default_pinned_memory_pool().free_all_blocks()

    def copy_bandwidth(self, size: int = 2**30, copies: int = 8) -> float:
        """Measure copies on the GPU: bytes read and written, per second."""
        source = self.put({"source": instances.normals((size // 4,), np.float32, 0)})["source"]
        target = self.cupy.empty(source.shape, source.dtype)

        def copy() -> None:
            for _ in range(copies):
                self.cupy.copyto(target, source)
            self.wait()

        seconds = [clocked(copy)[0] for _ in range(WARM_UPS + RUNS)]
        return 2 * size * copies / statistics.median(seconds)


def clocked(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Do the work and return its seconds and its result."""
    began = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - began, result


def measure(case: Case, rtol: float, device: Device, *, small: bool = False) -> dict[str, Any]:
    """Time a case, check its answers, and compare it with the CPU and with a peer."""
    problem, gpu = case.problem, case.gpu
    assert gpu is not None
    first = problem.data(0, gpu.dtype, small=small)
    large = sum(getattr(value, "nbytes", 0) for value in first.values()) > LARGE_BYTES
    data = [first]
    data += [problem.data(seed, gpu.dtype, small=small) for seed in range(1, SETS[large])]
    placed = [device.put(one) for one in data]

    for _ in range(WARM_UPS):
        problem.solve(placed[0])
        device.wait()
    seconds, queueing, cpu_seconds, errors = [], [], [], []
    for run in range(RUNS):
        at = run % len(data)
        queued, found = clocked(problem.solve, placed[at])
        seconds.append(queued + clocked(device.wait)[0])
        queueing.append(queued)
        if run < len(data):
            some, chosen = problem.sample(data[at], gpu.sample)
            if run == 0:
                problem.solve(some)  # starts the CPU's clock and faults its pages in
            for _ in range(CPU_RUNS):
                took, wanted = clocked(problem.solve, some)
                cpu_seconds.append(took)
            get = device.cupy.asnumpy
            errors.append(problem.check(get, data[at], found, some, chosen, wanted, rtol))
        # Gone before the next call, which finds its memory in the pool, as in any loop of calls.
        del found
    rate = problem.cells(first) / statistics.median(seconds)
    cpu_rate = problem.cells(some) / statistics.median(cpu_seconds)
    figures = {
        "seconds": statistics.median(seconds),
        # Of these, what the call took to return: the host's share, hidden where calls follow.
        "queueing": statistics.median(queueing),
        "rate": rate,
        "times_cpu": rate / cpu_rate,
        "error": max(errors),
    }
    solve = gpu.peer.load() if gpu.peer is not None and not small else None
    if gpu.peer is not None and solve is not None:
        prepared = gpu.peer.prepare(some)
        solve(prepared)
        took, result = min((clocked(solve, prepared) for _ in range(3)), key=lambda run: run[0])
        off = np.abs(gpu.peer.costs(prepared, result) / problem.costs(some, wanted) - 1).max()
        assert off <= rtol, f"the peer is off by {off}"
        figures["times_peer"] = rate * took / problem.cells(some)
    floors = {"rate": gpu.rate, "times_cpu": gpu.times_cpu, "times_peer": gpu.times_peer}
    return {
        "case": case.name,
        "status": "ok",
        "reason": "",
        "cells": problem.cells(first),
        # What differs from the fourth digit on is noise.
        **{name: float(f"{value:.6g}") for name, value in figures.items()},
        "runs": [float(f"{took:.6g}") for took in seconds],
        "peer": gpu.peer.name if "times_peer" in figures and gpu.peer else None,
        "floors": {
            name: {"minimum": minimum, "met": bool(figures[name] >= minimum)}
            for name, minimum in floors.items()
            if minimum is not None and name in figures
        },
    }


def measure_all(
    suite: Suite,
    device: Device,
    seconds: float = math.inf,
    write: Callable[[list[dict[str, Any]]], None] = lambda entries: None,
    *,
    small: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[dict[str, Any]]:
    """Measure case by case while there is time; what each came to is written at once."""
    entries: list[dict[str, Any]] = []
    began, longest = clock(), LEAST_SECONDS
    for case in (case for case in suite.cases if case.gpu is not None):
        started = clock()
        if seconds - (started - began) < longest:
            entry = {"case": case.name, "status": "skipped", "reason": "the time was spent"}
        else:
            try:
                entry = measure(case, suite.tolerance[case.gpu.dtype], device, small=small)
            except Exception as error:  # one case must not cost the others
                what = f"{type(error).__name__}: {error}"
                entry = {"case": case.name, "status": "failed", "reason": what[:2000]}
            device.release()
            longest = max(longest, clock() - started)
        entries.append(entry)
        detail = f"{entry['rate'] / 1e9:.4g} G/s" if "rate" in entry else entry["reason"]
        print(f"{case.name}: {entry['status']}, {detail}, {clock() - started:.1f} s", flush=True)
        write(entries)
    return entries


def main(arguments: list[str] | None = None) -> int:
    """Measure a suite; exit status 1 where an answer is wrong."""
    import cupy

    from coalign import _execution

    parser = argparse.ArgumentParser(description="Time the cases of a suite on the GPU.")
    parser.add_argument("suite")
    parser.add_argument("--out", type=Path, help="write what was found as JSON")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--small", action="store_true", help="only check answers, at small sizes")
    options = parser.parse_args(arguments)
    suite = importlib.import_module(f"cases_{options.suite}").SUITE
    device = Device(cupy)
    record: dict[str, Any] = {"cpu_threads": _execution.default_threads()}
    began = time.monotonic()
    if not options.small:
        record["copy_bandwidth"] = float(f"{device.copy_bandwidth():.6g}")
        device.release()

    def write(entries: list[dict[str, Any]]) -> None:
        if options.out is not None:
            part = options.out.with_suffix(".part")
            part.write_text(json.dumps({**record, "cases": entries}) + "\n", encoding="utf-8")
            part.replace(options.out)

    write([])
    left = options.seconds - (time.monotonic() - began)
    entries = measure_all(suite, device, left, write, small=options.small)
    return int(any(entry["status"] == "failed" for entry in entries))


if __name__ == "__main__":
    sys.exit(main())
