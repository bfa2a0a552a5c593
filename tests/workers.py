"""Calls that have to be shared by threads before a test may say that threads change nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from coalign import _execution


def run_on_threads(call: Callable[[int], Any], threads: int, isa: str) -> Any:
    """The call's result, once two workers have each taken a task, where there may be two.

    On a busy machine one may start so late that it finds all tasks done: one try is too few.
    """
    wanted = min(threads, 2)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with _execution.forced(isa, work_per_thread=0) as runs:
            result = call(threads)
        assert {run.isa for run in runs} == {isa}
        assert max(run.workers for run in runs) <= threads
        if min(run.workers for run in runs) >= wanted:
            return result
    pytest.fail(f"{wanted} workers never shared the work: {runs}")
