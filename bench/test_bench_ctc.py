"""CTC beside its peers, on one thread unless said, with every answer checked."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coalign
import families_ctc
from cases_ctc import SUITE
from contest import ONLY_SMALL, Case, Contender
from log_space import log_softmax

# Peers warn while they are imported and compiled; what we time is not the place to judge it.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("case", "contender"), SUITE.parameters())
def test_ctc(case: Case, contender: Contender, benchmark: Any) -> None:
    answer, expected, tolerance = SUITE.compete(case, contender, benchmark)
    np.testing.assert_allclose(answer, expected, rtol=tolerance, atol=0)


def seconds(call: Callable[[], Any], calls: int) -> float:
    """Give the median seconds of a call, over rounds of so many."""
    rounds = []
    for _ in range(1 if ONLY_SMALL else 200):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter() - start) / calls)
    return statistics.median(rounds)


def test_one_small_call_costs_little_beside_its_work() -> None:
    import torch

    count = 64
    made = families_ctc.recordings(0, "noise", 1, 50, 32, 10)
    x, text = log_softmax(made.x[0]).astype(np.float32), made.targets[0]
    many, texts = np.stack([x] * count), np.stack([text] * count)
    given = torch.from_numpy(x)[:, None], torch.from_numpy(text)[None], [len(x)], [len(text)]

    def one() -> Any:
        return coalign.ctc_loss(x, text, input="log_probs", threads=1)

    def batch() -> Any:
        return coalign.ctc_loss(many, texts, input="log_probs", threads=1)

    def theirs() -> Any:
        with torch.inference_mode():
            return torch.nn.functional.ctc_loss(*given, reduction="none")

    np.testing.assert_allclose(one(), made.truths[0].loss, rtol=1e-5)
    np.testing.assert_allclose(theirs(), made.truths[0].loss, rtol=1e-5)
    taken, native = seconds(one, 20), seconds(batch, 1) / count
    peer = seconds(theirs, 20)
    words = ", ".join(f"{1e6 * t:.1f} us" for t in (taken, native, peer))
    print(f"one loss of 50 x 32, one of a batch, PyTorch: {words}")
    assert ONLY_SMALL or taken - native <= 4e-6
    assert ONLY_SMALL or taken <= peer


def test_an_hour_of_speech_is_aligned_in_half_a_minute_and_a_gigabyte() -> None:
    frames, length = (1800, 500) if ONLY_SMALL else (180_000, 50_000)
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import environment
import numpy as np
import coalign, families_ctc
from log_space import log_softmax
made = families_ctc.recordings(0, "trained", 1, {frames}, 32, {length})
x, text = log_softmax(made.x[0]).astype(np.float32), made.targets[0]
def peak():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1])
# Linux then forgets the peak, which making the scores has set.
open("/proc/self/clear_refs", "w").write("5")
before = peak()
start = time.perf_counter()
found = coalign.ctc_align(x, text, input="log_probs", threads=1)
taken = time.perf_counter() - start
more = peak() - before
# The best symbols of all frames spell the text, so no path has a greater sum.
assert (found.labels == made.meant[0]).all()
best = x.max(axis=1).sum(dtype=np.float64)
assert abs(found.total - best) <= 1e-12 * abs(best), (found.total, best)
print(taken, more / 1024)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    taken, megabytes = map(float, run.stdout.split())
    print(f"an hour: {taken:.1f} s, {megabytes:.0f} MB")
    assert ONLY_SMALL or taken <= 30
    assert ONLY_SMALL or 1 < megabytes <= 1024
