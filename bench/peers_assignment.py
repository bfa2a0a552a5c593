"""How assignment's peers are called.

- SciPy: `linear_sum_assignment`, in a loop for a batch. It computes in float64 and converts a
  float32 matrix in every call, as its users have it do. Sparse costs:
  `min_weight_full_bipartite_matching`, from the same CSR matrix.
- lapx: `lapjv`, the function its users know, and of its others the two that are the fastest where
  they apply: `lapjvr` takes square matrices only, `lapjvh` any. A batch goes to the functions of
  the same name that end in `_batch`; that of `lapjv` is `lapjvx_batch`. With a limit L they
  minimise the sum over pairs of c - L, as coalign does. At 4000 `lapjv` needs minutes on some
  families, and is left out there.
- The k cheapest: no library that we know of ranks assignments, so the peer is of our making:
  Murty's loop, each of its problems solved by SciPy's `linear_sum_assignment` (murty.py).

Each gives the rows and columns of its pairs, problem by problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import murty
from contest import SHORT, Contender, Data, calling

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def totals(data: Data, found: Sequence[Pairs]) -> NDArray[np.float64]:
    """Sum over pairs what is minimised, by problem, in float64; refuse what is no matching."""
    cost, limit = data["cost"], data.get("max_cost")
    sums = []
    for problem, (rows, columns) in zip(cost if cost.ndim == 3 else [cost], found, strict=True):
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
        assert limit is not None or len(rows) == min(problem.shape)
        values = problem[rows, columns].astype(np.float64)
        sums.append(values.sum() - len(rows) * (limit or 0.0))
    return np.array(sums)


def as_batch(data: Data) -> Data:
    """Give a batch, of one problem where there is one."""
    cost = data["cost"]
    return {**data, "cost": cost if cost.ndim == 3 else cost[None]}


def scipy(dtype: str = "float64") -> Contender:
    """Solve with SciPy."""
    load = calling(
        "scipy.optimize.linear_sum_assignment",
        lambda f: lambda data: [f(problem) for problem in data["cost"]],
    )
    return Contender(f"scipy-{SHORT[dtype]}", dtype, load, totals, as_batch)


def scipy_sparse() -> Contender:
    """Solve sparse costs with SciPy."""
    path = "scipy.sparse.csgraph.min_weight_full_bipartite_matching"
    load = calling(path, lambda f: lambda data: [f(data["cost"])])
    return Contender("scipy-f64", "float64", load, totals)


def murty_loop() -> Contender:
    """Rank with Murty's loop over SciPy."""

    def solve(data: Data) -> Any:
        return [murty.cheapest(problem, data["k"]) for problem in data["cost"]]

    return Contender(
        "murty-scipy-f64", "float64", lambda: solve, lambda data, found: np.ravel(found), as_batch
    )


def lapx(function: str, dtype: str = "float64", threads: int = 1) -> Contender:
    """Solve with one of lapx's functions, of a batch or of one problem."""
    is_batch = function.endswith("_batch")

    def use(call: Any) -> Callable[[Data], list[Pairs]]:
        def solve(data: Data) -> list[Pairs]:
            cost = data["cost"]
            options: dict[str, Any] = {"return_cost": False}
            if data.get("max_cost") is not None:
                options["cost_limit"] = data["max_cost"]
            elif not is_batch or cost.shape[-2] != cost.shape[-1]:
                options["extend_cost"] = True
            if is_batch:
                return list(zip(*call(cost, n_threads=threads, **options), strict=True))
            first, second = call(cost[0], **options)
            if function != "lapjv":
                return [(first, second)]
            # The column of each row, and the row of each column.
            rows = np.flatnonzero(first >= 0)
            return [(rows, first[rows])]

        return solve

    load = calling(f"lap.{function}", use)
    name = f"{function}-{'' if threads == 1 else f'{threads}threads-'}{SHORT[dtype]}"
    return Contender(name, dtype, load, totals, as_batch, threads=threads)
