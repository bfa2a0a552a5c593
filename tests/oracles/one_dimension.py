"""Optimal transport on a line, by a linear program and, without weights, by repeating positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import linprog


def by_linear_program(x: Any, y: Any, a: Any, b: Any, p: float) -> float:
    """The least cost of all plans with the row sums a and the column sums b."""
    n, m = len(x), len(y)
    costs = np.abs(np.subtract.outer(x, y)) ** p
    sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    # One of the sums follows from the others.
    found = linprog(costs.reshape(-1), A_eq=sums[:-1], b_eq=np.concatenate([a, b])[:-1])
    assert found.status == 0
    return float(found.fun)


def by_repetition(x: Any, y: Any, p: float) -> float:
    """Each position as often as makes both sides equally long, sorted and paired."""
    whole = math.lcm(len(x), len(y))
    x, y = (np.sort(np.repeat(side, whole // len(side)).astype(float)) for side in (x, y))
    return math.fsum((np.abs(x - y) ** p).tolist()) / whole
