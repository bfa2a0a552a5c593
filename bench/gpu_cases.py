"""What the GPU benchmarks of every operation share: the timing, the comparisons, the record.

A case is timed from the call to the end of the GPU's work, seen from the host, after warm-ups, over
sets of random data that take turns. A sample of each set's problems is solved on the CPU with all
its threads: that is both what the speed is compared with and what the answers are held to.
"""

from __future__ import annotations

import abc
import argparse
import gc
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

WARM_UPS = 2
RUNS = 6
CPU_RUNS = 3
# Data several times the L2 of any GPU serve as they are; smaller ones take turns among more sets.
LARGE_BYTES = 2**28
SETS = {True: 2, False: 3}

# A GPU has to be worth its while: this many times the speed of all the CPU's threads, 16 where the
# floor was set.
LEAST_TIMES_CPU = 10.0

# No case is begun with less time than this, or than the longest one took.
LEAST_SECONDS = 10.0


class Device:
    """The GPU, by way of CuPy."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy

    def put(self, array: Any) -> Any:
        """Copy to the GPU; done when this returns."""
        found = self.cupy.asarray(array)
        self.wait()
        return found

    def get(self, array: Any) -> Any:
        """Copy to the host."""
        return self.cupy.asnumpy(array)

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
        source = self.put(normals((size // 4,), np.float32, 0))
        target = self.cupy.empty(source.shape, source.dtype)

        def copy() -> None:
            for _ in range(copies):
                self.cupy.copyto(target, source)
            self.wait()

        seconds = [clocked(copy)[0] for _ in range(WARM_UPS + RUNS)]
        return 2 * size * copies / statistics.median(seconds)


def clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    """Do the work and return its seconds and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def normals(shape: tuple[int, ...], dtype: Any, seed: Any) -> np.ndarray:
    """Return independent standard normals; the same for a seed, on however many threads."""
    values = np.empty(math.prod(shape), dtype)
    parts = np.array_split(values, 64)
    streams = np.random.SeedSequence(seed).spawn(len(parts))

    def fill(part: np.ndarray, stream: np.random.SeedSequence) -> None:
        generator = np.random.Generator(np.random.SFC64(stream))
        generator.standard_normal(out=part, dtype=part.dtype)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, parts, streams))
    return values.reshape(shape)


@dataclass(frozen=True)
class Case(abc.ABC):
    """One thing to measure.

    Attributes
    ----------
    name : str
        What is computed, at the full size.
    full, small : Any
        The size that is timed, and one that a test or a memory checker has the patience for.
    dtype : {"float32", "float64"}
        Of the data.
    floor : float or None
        Cells per second to reach on the hardware that the floors are set for, an H200.
    """

    name: str
    full: Any
    small: Any
    dtype: str = "float32"
    floor: float | None = None

    unit: ClassVar[str] = "cells"
    least_times_cpu: ClassVar[float | None] = LEAST_TIMES_CPU

    @abc.abstractmethod
    def make(self, size: Any, seed: Any) -> dict[str, Any]:
        """Make a set of data on the host."""

    @abc.abstractmethod
    def solve(self, data: dict[str, Any]) -> Any:
        """Solve the problems where their data lie: the timed call."""

    @abc.abstractmethod
    def cells(self, data: dict[str, Any]) -> int:
        """Count the work."""

    @abc.abstractmethod
    def sample(self, data: dict[str, Any], size: Any) -> tuple[dict[str, Any], Any]:
        """Choose some of the problems, to be solved on the CPU, and say which."""

    @abc.abstractmethod
    def check(
        self,
        device: Any,
        data: dict[str, Any],
        found: Any,
        sample: dict[str, Any],
        chosen: Any,
        wanted: Any,
    ) -> float:
        """Assert what holds of any answer, and compare with the CPU's; return the largest error."""

    def time_peer(self, sample: dict[str, Any], wanted: Any) -> tuple[str, float] | None:
        """Time somebody else's way on the sample: its name and cells per second; None without."""
        del sample, wanted
        return None


def put(device: Any, data: dict[str, Any]) -> dict[str, Any]:
    """Copy the arrays of a set to the GPU; its options stay what they are."""
    return {
        name: device.put(value) if isinstance(value, np.ndarray) else value
        for name, value in data.items()
    }


def measure(case: Case, device: Any, *, small: bool = False) -> dict[str, Any]:
    """Time a case, check its answers, and compare it with the CPU and with a peer."""
    size = case.small if small else case.full
    first = case.make(size, 0)
    large = sum(getattr(value, "nbytes", 0) for value in first.values()) > LARGE_BYTES
    data = [first, *(case.make(size, seed) for seed in range(1, SETS[large]))]
    placed = [put(device, one) for one in data]

    for _ in range(WARM_UPS):
        case.solve(placed[0])
        device.wait()
    seconds, queueing, cpu_seconds, errors = [], [], [], []
    for run in range(RUNS):
        at = run % len(data)
        queued, found = clocked(lambda at=at: case.solve(placed[at]))
        waited, _ = clocked(device.wait)
        seconds.append(queued + waited)
        queueing.append(queued)
        if run < len(data):
            sample, chosen = case.sample(data[at], size)
            if run == 0:
                case.solve(sample)  # starts the CPU's clock and faults its pages in
            for _ in range(CPU_RUNS):
                took, wanted = clocked(lambda sample=sample: case.solve(sample))
                cpu_seconds.append(took)
            errors.append(case.check(device, data[at], found, sample, chosen, wanted))
        # Gone before the next call, which finds its memory in the pool, as in any loop of calls.
        del found
    rate = case.cells(first) / statistics.median(seconds)
    cpu_rate = case.cells(sample) / statistics.median(cpu_seconds)
    entry = {
        "case": case.name,
        "dtype": case.dtype,
        "status": "ok",
        "reason": "",
        case.unit: case.cells(first),
        "seconds": six_digits(statistics.median(seconds)),
        "runs": [six_digits(took) for took in seconds],
        # Of these, what the call took to return: the host's share, hidden where calls follow.
        "queueing": six_digits(statistics.median(queueing)),
        "rate": six_digits(rate),
        "error": six_digits(max(errors)),
        "cpu_rate": six_digits(cpu_rate),
        "times_cpu": six_digits(rate / cpu_rate),
        "floors": {
            "rate": None if case.floor is None else held(rate, case.floor),
            "times_cpu": None
            if case.least_times_cpu is None
            else held(rate / cpu_rate, case.least_times_cpu),
        },
    }
    peer = None if small else case.time_peer(sample, wanted)
    if peer is not None:
        name, peer_rate = peer
        entry |= {"peer": name, "peer_rate": six_digits(peer_rate)}
        entry["times_peer"] = six_digits(rate / peer_rate)
    return entry


def held(measured: float, minimum: float) -> dict[str, Any]:
    """Hold a figure to its floor."""
    return {"minimum": minimum, "met": measured >= minimum}


def six_digits(value: float) -> float:
    """Round what is noise from the third digit."""
    return float(f"{value:.6g}")


def measure_all(
    cases: Sequence[Case],
    device: Any,
    seconds: float,
    write: Callable[[list[dict[str, Any]]], None],
    *,
    small: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[dict[str, Any]]:
    """Measure case by case while there is time; what each came to is written at once."""
    entries: list[dict[str, Any]] = []
    began, longest = clock(), LEAST_SECONDS
    for case in cases:
        started = clock()
        if seconds - (started - began) < longest:
            entry = {"case": case.name, "status": "skipped", "reason": "the time was spent"}
        else:
            try:
                entry = measure(case, device, small=small)
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


def main(cases: Sequence[Case], arguments: list[str] | None = None) -> int:
    """Measure an operation; exit status 1 where an answer is wrong."""
    import cupy

    from coalign import _execution

    parser = argparse.ArgumentParser(description="Time an operation on the GPU.")
    parser.add_argument("--out", type=Path, help="write what was found as JSON")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--small", action="store_true", help="only check answers, at small sizes")
    options = parser.parse_args(arguments)
    device = Device(cupy)
    record: dict[str, Any] = {"cpu_threads": _execution.default_threads()}
    began = time.monotonic()
    if not options.small:
        record["copy_bandwidth"] = six_digits(device.copy_bandwidth())
        device.release()

    def write(entries: list[dict[str, Any]]) -> None:
        if options.out is not None:
            part = options.out.with_suffix(".part")
            part.write_text(json.dumps({**record, "cases": entries}) + "\n", encoding="utf-8")
            part.replace(options.out)

    write([])
    left = options.seconds - (time.monotonic() - began)
    entries = measure_all(cases, device, left, write, small=options.small)
    return int(any(entry["status"] == "failed" for entry in entries))


if __name__ == "__main__":
    sys.exit("this is what bench/gpu_<operation>.py share; run one of those")
