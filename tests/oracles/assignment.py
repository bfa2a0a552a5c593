"""Assignment by every matching, by SciPy's other solvers, and by the definition of the duals."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, inf, isinf
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, vstack
from scipy.sparse.csgraph import maximum_bipartite_matching

Matrix = npt.NDArray[np.float64]
Matching = list[tuple[int, int]]


def every_matching(n: int, m: int) -> Iterator[Matching]:
    """Every matching of n rows and m columns, the empty one and the maximal ones among them."""

    def extend(i: int, free: frozenset[int]) -> Iterator[Matching]:
        if i == n:
            yield []
            return
        for j in (None, *sorted(free)):
            for rest in extend(i + 1, free if j is None else free - {j}):
                yield rest if j is None else [(i, j), *rest]

    return extend(0, frozenset(range(m)))


def brute_force(cost: Any, *, whole: bool = True) -> tuple[int, float] | None:
    """Pairs and least total of the largest matchings; None if they leave of the shorter side."""
    values = np.asarray(cost, np.float64)
    n, m = values.shape
    found = [[float(values[i, j]) for i, j in matching] for matching in every_matching(n, m)]
    size, total = min((-len(costs), fsum(costs)) for costs in found if inf not in costs)
    return None if whole and -size < min(n, m) else (-size, total)


def least_gain(cost: Any, limit: float) -> float:
    """Least sum of cost - limit over the matchings of any size."""
    values = np.asarray(cost, np.float64)
    found = (
        [values[i, j] - limit for i, j in matching] for matching in every_matching(*values.shape)
    )
    return min(fsum(gains) for gains in found if inf not in gains)


def linear_program(cost: Any, *, max_cost: float | None = None) -> float:
    """Least total, or sum of cost - max_cost, of a linear program: its corners are matchings."""
    values = np.asarray(cost, np.float64)
    n, m = values.shape
    rows, columns = np.nonzero(np.isfinite(values))
    if rows.size == 0:
        return 0.0
    edges = np.arange(rows.size)
    ones = np.ones(rows.size)
    of_row = csr_array(coo_array((ones, (rows, edges)), shape=(n, rows.size)))
    of_column = csr_array(coo_array((ones, (columns, edges)), shape=(m, rows.size)))
    weights = values[rows, columns]
    if max_cost is not None:
        bounds = vstack([of_row, of_column])
        found = linprog(weights - max_cost, A_ub=bounds, b_ub=np.ones(n + m), method="highs")
    else:
        exact, at_most = (of_row, of_column) if n <= m else (of_column, of_row)
        found = linprog(
            weights,
            A_ub=at_most,
            b_ub=np.ones(max(n, m)),
            A_eq=exact,
            b_eq=np.ones(min(n, m)),
            method="highs",
        )
    assert found.status == 0, found.message
    return float(found.fun)


def most_pairs(allowed: Any) -> int:
    """Size of a largest matching within a mask: Hopcroft and Karp's."""
    mask = np.asarray(allowed, bool)
    if mask.size == 0:
        return 0
    found = maximum_bipartite_matching(csr_array(mask), perm_type="column")
    return int((found >= 0).sum())


def assert_matching(col_of_row: Any, row_of_col: Any) -> Matching:
    """The pairs of a matching, once the two sides are seen to say the same."""
    columns, rows = np.asarray(col_of_row), np.asarray(row_of_col)
    assert columns.dtype == rows.dtype == np.int64
    pairs = [(i, int(j)) for i, j in enumerate(columns) if j >= 0]
    assert sorted((int(i), j) for j, i in enumerate(rows) if i >= 0) == pairs
    assert ((columns >= -1) & (columns < len(rows))).all()
    assert ((rows >= -1) & (rows < len(columns))).all()
    return pairs


def assert_certificate(cost: Any, found: Any, tolerance: float, what: str = "") -> None:
    """The duals of one problem prove its total, by their definition and in float64.

    Equality on a pair is good to `tolerance` of what it compares; an inequality has the roundings
    of every path that moved its duals, so it is good to `tolerance` of the largest dual.
    """
    sign = -1.0 if found.maximize else 1.0
    c = sign * np.asarray(cost, np.float64)
    n, m = c.shape
    u = sign * np.asarray(found.row_dual, np.float64)
    v = sign * np.asarray(found.col_dual, np.float64)
    assert u.shape == (n,), what
    assert v.shape == (m,), what
    assert np.isfinite(u).all(), what
    assert np.isfinite(v).all(), what
    pairs = assert_matching(found.col_of_row, found.row_of_col)
    paired = [float(c[i, j]) for i, j in pairs]
    assert not any(isinf(x) for x in paired), what
    assert abs(sign * float(found.total) - fsum(paired)) <= tolerance * fsum(map(abs, paired)), what
    largest = max(np.abs(u).max(initial=0), np.abs(v).max(initial=0))
    finite = np.where(np.isinf(c), 0, np.abs(c))
    reach = tolerance * (largest + finite)
    assert (u[:, np.newaxis] + v - c <= reach).all(), f"{what}: u + v <= c"
    for i, j in pairs:
        near = tolerance * (abs(u[i]) + abs(v[j]) + finite[i, j])
        assert abs(u[i] + v[j] - c[i, j]) <= near, f"{what}: u + v = c at {i, j}"
    free_rows = np.asarray(found.col_of_row) < 0
    free_columns = np.asarray(found.row_of_col) < 0
    sums = tolerance * largest * (n + m)
    if found.max_cost is None:
        assert len(pairs) == min(n, m), what
        if n < m:
            assert (v <= 0).all(), f"{what}: v <= 0"
            assert (v[free_columns] == 0).all(), f"{what}: v = 0 where free"
        if n > m:
            assert (u <= 0).all(), f"{what}: u <= 0"
            assert (u[free_rows] == 0).all(), f"{what}: u = 0 where free"
        assert abs(fsum(u) + fsum(v) - fsum(paired)) <= sums, f"{what}: sum of duals"
        return
    limit = sign * found.max_cost
    top = limit
    if isinf(limit):
        top = float(u.max(initial=0)) if n else 0.0
        assert len(pairs) == most_pairs(np.isfinite(c)), what
    else:
        assert all(x < limit for x in paired), what
    assert (u <= top).all(), f"{what}: u <= limit"
    assert (v <= 0).all(), f"{what}: v <= 0"
    assert (u[free_rows] == top).all(), f"{what}: u = limit where free"
    assert (v[free_columns] == 0).all(), f"{what}: v = 0 where free"
    bound = fsum(u - top) + fsum(v)
    assert abs(bound - fsum(x - top for x in paired)) <= sums + tolerance * abs(top) * n, what
