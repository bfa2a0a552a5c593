"""Assignment: what is timed, beside which peers, and what it is held to.

Answers are compared by the sum of the costs over the pairs, in float64 whatever the dtype; of the k
cheapest by every total. Beyond that coalign's certificate has to close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import coalign
import instances
from contest import SELECTED, Case, Contender, Data, Get, Gpu, OwnFloor, PeerFloor, Problem, Suite
from peers_assignment import lapx, murty_loop, scipy, scipy_sparse, totals

# Of the sum over pairs: what coalign promises against the optimum, and SciPy keeps as well.
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}
# Proofs of a GPU's answers are made on one thread of the host: a few of them.
PROVED = 3


@dataclass(frozen=True, eq=False)
class Assignment(Problem):
    """Costs of one problem or a batch; with `warm`, of one that changed since it was solved."""

    growth: float = 1.5
    warm: bool = False

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Name the costs, of one dtype: of an instance that changed, those after."""
        if isinstance(instance, dict):
            return {**instance, **self.options}
        before, cost = instance if isinstance(instance, tuple) else (None, instance)
        data = {"cost": cost.astype(dtype), **self.options}
        if self.warm:
            data["warm_start"] = coalign.assign(before.astype(dtype), threads=1)
        return data

    def cells(self, data: Data) -> int:
        """Count the costs."""
        if "row_lengths" in data:
            return int(np.dot(data["row_lengths"], data["col_lengths"]))
        return int(data["cost"].size)

    def costs(self, data: Data, found: Any) -> NDArray[np.float64]:
        """Give the totals: of the k cheapest as they are, else summed anew."""
        return np.ravel(found.total) if "k" in data else totals(data, pairs_of(found))

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Assert that the certificate closes, or that a ranking is one."""
        cost = data["cost"]
        if "k" not in data:
            # Each pair's reduced cost rounds by about an eps of the largest cost.
            slack = min(cost.shape[-2:]) * np.finfo(cost.dtype).eps * np.abs(cost).max()
            assert np.all(np.abs(found.gap(cost)) <= slack)
            return
        k, (n, m) = data["k"], cost.shape[-2:]
        rankings = found.col_of_row.reshape(-1, k, n)
        for problem, ranked in zip(cost.reshape(-1, n, m), rankings, strict=True):
            assert len(np.unique(ranked, axis=0)) == k
            copies = {"cost": np.broadcast_to(problem, (k, n, m))}
            sums = totals(copies, [(np.arange(n), columns) for columns in ranked])
            assert np.all(np.diff(sums) >= -rtol * np.abs(sums[:-1]))

    def sample(self, data: Data, count: int) -> tuple[Data, Any]:
        """Choose problems."""
        among = len(data["cost"])
        chosen = np.random.default_rng(5).choice(among, min(count, among), replace=False)
        chosen.sort()
        some = {**data, "cost": data["cost"][chosen]}
        for name in {"row_lengths", "col_lengths"} & set(data):
            some[name] = np.asarray(data[name])[chosen].tolist()
        return some, chosen

    def check(
        self, get: Get, data: Data, found: Any, some: Data, at: Any, wanted: Any, rtol: float
    ) -> float:
        """Hold matchings to what they are, totals to the CPU's, and prove some of them."""
        cost, limit = data["cost"], data.get("max_cost")
        status, total = get(found.status), get(found.total)
        assert (status == coalign.Status.OK).all(), f"status {set(status.tolist())}"
        _, n, m = cost.shape
        rows_of, columns_of = (
            data.get(name, [most] * len(total))
            for name, most in (("row_lengths", n), ("col_lengths", m))
        )
        found_pairs = pairs_of(found)
        for p, (rows, columns) in enumerate(found_pairs):
            assert np.unique(columns).size == columns.size, "a column matched twice"
            paired = cost[p, rows, columns].astype(np.float64)
            assert total[p] == sum(paired.tolist()), "a total that is not that of the pairs"
            if limit is None:
                assert len(rows) == min(rows_of[p], columns_of[p]), "rows that have no column"
        error, limit = 0.0, limit or 0.0
        for one, p, theirs, its in zip(
            some["cost"], at, pairs_of(wanted), wanted.total, strict=True
        ):
            # What is minimised, against the size of what it is summed from. A limit counts only
            # where it decides on the number of pairs; it may be far above the costs.
            extra = len(found_pairs[p][0]) - len(theirs[0])
            scale = np.abs(one[theirs]).sum(dtype=np.float64)
            scale += abs(limit) * len(theirs[0]) * (extra != 0)
            error = max(error, float(abs(total[p] - its - limit * extra) / max(scale, 1e-300)))
        assert error <= rtol, f"off from the CPU by {error}"
        if "row_lengths" not in data:
            parts = ("col_of_row", "row_of_col", "total", "row_dual", "col_dual", "status")
            held = [get(getattr(found, part)) for part in parts]
            for p in range(min(PROVED, len(total))):
                one = coalign.Assignment(
                    *(part[p] for part in held), found.maximize, found.max_cost
                )
                scale = float(np.abs(cost[p]).sum(dtype=np.float64)) + abs(limit) * n
                gap = float(one.gap(cost[p])) / scale
                assert abs(gap) <= rtol, f"a gap of {gap} of the costs"
        return error


def pairs_of(found: Any) -> list[Any]:
    """Give the rows and columns of the pairs of each problem."""
    made = found.pairs()
    return [(both[:, 0], both[:, 1]) for both in (made if isinstance(made, list) else [made])]


# --- on the CPU ----------------------------------------------------------------------------------

# Where the costs come from memory, half the lanes lose less than half the speed.
faster_than = partial(PeerFloor, avx2=0.7)
SCIPY, SCIPY_LOOP = ("scipy-f64",), ("scipy-f32",)
# The functions that lapx is known by. Others of its are faster, and the table has the fastest.
LAPJV, LAPJVX_BATCH = ("lapjv-f64",), ("lapjvx_batch-2threads-f32",)


def family(make: Callable[..., Any], full: Data, small: Data, **options: Any) -> Assignment:
    """Give a family at two sizes."""
    call = coalign.assign_top_k if "k" in options else coalign.assign
    return Assignment(make, full, small, call, options)


def batch(problems: int, rows: int, columns: int, **options: Any) -> Assignment:
    """Give a batch, and a smaller one."""
    size = {"problems": problems, "rows": rows, "columns": columns}
    small = {**size, "problems": max(2, problems // 20)}
    return replace(family(instances.uniform_batch, size, small, **options), growth=1.0)


def square_peers(*functions: str) -> tuple[Contender, ...]:
    """Give SciPy and functions of lapx; of these lapjv is the slowest, and converts float32."""
    in_float32 = (lapx(function, "float32") for function in functions if function != "lapjv")
    return (scipy(), *map(lapx, functions), *in_float32)


def square(name: str, n: int, make: Any, *floors: PeerFloor, all_lapx: bool = True) -> Case:
    """Give a case of one family; large ones in float32 are held to our float64."""
    size = {"rows": n, "columns": n} if make is instances.uniform else {"n": n}
    small = dict.fromkeys(size, n // (4 if n == 1000 else 8))
    held: dict[str, Any] = {"float64": floors}
    name = f"{name} {n}x{n}"
    if n == 4000:
        held["float32"] = (OwnFloor(1.5, name, dtype="float64"),)
    peers = square_peers(*["lapjv"] * all_lapx, "lapjvr", "lapjvh")
    return Case(name, family(make, size, small), peers, floors=held)


def together(
    name: str, size: tuple[int, int, int], functions: Any, *floors: PeerFloor, threads: int = 1
) -> Case:
    """Give a case of a batch, in float32."""
    peers = (scipy("float32"), *(lapx(f"{f}_batch", "float32", threads) for f in functions))
    held = {"float32": floors}
    problem, ours = batch(*size), ("float32",)
    return Case(name, problem, peers, ours, threads=(threads,), floors=held, judge=scipy())


SQUARES, RECTANGLES = ("lapjvx", "lapjvr", "lapjvh"), ("lapjvx", "lapjvh")
# Batches of the matching of 300 queries with objects, as detectors in training solve them.
detr = partial(together, threads=2)
CHANGED = "1 % of rows changed 2000x2000"
TWO_THOUSAND = ({"n": 2000}, {"n": 500})
THIRTY = ({"rows": 30, "columns": 30}, {"rows": 12, "columns": 12})
# Searches through sparse costs and rankings are the same code whatever the instruction set.
one_code = partial(Case, dtypes=("float64",), isas=(SELECTED,))

ON_CPU = (
    square("uniform", 1000, instances.uniform, faster_than(6, SCIPY)),
    square("uniform", 4000, instances.uniform, faster_than(5, SCIPY)),
    square("geometric", 1000, instances.geometric, faster_than(6, SCIPY)),
    square("geometric", 4000, instances.geometric, faster_than(6, SCIPY), all_lapx=False),
    square("low rank", 1000, instances.low_rank, faster_than(40, SCIPY)),
    square("low rank", 4000, instances.low_rank, faster_than(75, SCIPY), all_lapx=False),
    square("integers", 1000, instances.integers, faster_than(3, SCIPY), faster_than(1.2, LAPJV)),
    square("integers", 4000, instances.integers, faster_than(1.5, SCIPY), faster_than(1.2, LAPJV)),
    square("Machol-Wien", 1000, instances.machol_wien, faster_than(5, SCIPY)),
    square("a + b + U", 1000, instances.offsets, faster_than(5, SCIPY)),
    Case(
        "uniform + 1000 1000x1000",
        family(instances.uniform_far_from_zero, *({"rows": n, "columns": n} for n in (1000, 250))),
        (scipy(), lapx("lapjv"), lapx("lapjvr"), lapx("lapjvh")),
        # float32 cannot hold it.
        ("float64",),
        # The spread of the costs is what matters, not their size.
        floors={"float64": (OwnFloor(1 / 1.2, "uniform 1000x1000"),)},
    ),
    detr(
        "208 problems 300x100, two threads",
        (208, 300, 100),
        RECTANGLES,
        faster_than(12, SCIPY_LOOP),
    ),
    detr(
        "208 problems 300x300, two threads",
        (208, 300, 300),
        SQUARES,
        faster_than(15, SCIPY_LOOP),
        faster_than(5, LAPJVX_BATCH),
    ),
    detr(
        "208 problems 300x600, two threads",
        (208, 300, 600),
        RECTANGLES,
        faster_than(15, SCIPY_LOOP),
    ),
    together("10,000 problems 8x8", (10_000, 8, 8), SQUARES, faster_than(12, SCIPY_LOOP)),
    together("5000 problems 20x40", (5000, 20, 40), RECTANGLES, faster_than(10, SCIPY_LOOP)),
    together("64 problems 100x20", (64, 100, 20), RECTANGLES, faster_than(5, SCIPY_LOOP)),
    Case(
        "2000x2500 with a limit",
        # About a tenth of the rows find no column that is cheap enough.
        family(
            instances.uniform,
            *({"rows": 4 * n, "columns": 5 * n} for n in (500, 250)),
            max_cost=0.001,
        ),
        (lapx("lapjv"), lapx("lapjvh"), lapx("lapjvh", "float32")),
        floors={"float64": (faster_than(100, LAPJV),)},
    ),
    Case(CHANGED, family(instances.changed, *TWO_THOUSAND), square_peers("lapjvr", "lapjvh")),
    Case(
        f"{CHANGED}, warm start",
        replace(family(instances.changed, *TWO_THOUSAND), warm=True),
        floors=dict.fromkeys(TOLERANCE, (OwnFloor(5, CHANGED),)),
        judge=scipy(),
    ),
    one_code(
        "CSR 20,000x20,000, 20 entries a row",
        family(instances.sparse_uniform, {"n": 20_000}, {"n": 1000}),
        (scipy_sparse(),),
        floors={"float64": (faster_than(3, SCIPY),)},
    ),
    one_code("10 cheapest of 30x30", family(instances.uniform, *THIRTY, k=10), (murty_loop(),)),
    one_code("100 cheapest of 30x30", family(instances.uniform, *THIRTY, k=100), (murty_loop(),)),
    one_code("10 cheapest of 64 problems 30x30", batch(64, 30, 30, k=10), (murty_loop(),)),
)

# --- on a GPU ------------------------------------------------------------------------------------


def on_gpu(
    name: str,
    full: tuple[int, int, int],
    small: tuple[int, int, int],
    sample: int,
    *,
    milliseconds: float | None = None,
    dtype: str = "float32",
    make: Callable[..., Any] = instances.noise_costs,
    **more: tuple[float, float],
) -> Case:
    """Give a case: (problems, rows, columns) at both sizes, and more for the family at either."""
    sizes = [
        {**dict(zip(("problems", "rows", "columns"), size, strict=True)), "dtype": dtype}
        for size in (full, small)
    ]
    for option, values in more.items():
        for size, value in zip(sizes, values, strict=True):
            size[option] = value
    rate = None if milliseconds is None else np.prod(full) / (1e-3 * milliseconds)
    return Case(name, family(make, *sizes), gpu=Gpu(sample, dtype, rate))


POINTS, TIES = instances.point_costs, instances.tied_costs


def never(cost: float, share: float) -> dict[str, Any]:
    """Make a share of the pairs of points cost so much, at both sizes."""
    return {"make": POINTS, "never": (cost, cost), "share": (share, share)}


# Ties, and finite costs that mean "never". Those of which few pairs are allowed are solved again.
EVERYDAY = (
    on_gpu("208 of 300 x 300, 0 to 9", (208, 300, 300), (2, 33, 33), 208, make=TIES, most=(9, 9)),
    on_gpu("208 of 300 x 300, 0 or 1", (208, 300, 300), (2, 33, 33), 208, make=TIES, most=(1, 1)),
    on_gpu("208 of 300 x 300, a third 1e9", (208, 300, 300), (2, 33, 33), 208, **never(1e9, 0.3)),
    on_gpu("208 of 300 x 300, 98 % 1e5", (208, 300, 300), (2, 33, 33), 208, **never(1e5, 0.98)),
    on_gpu(
        "208 of 300 x 100, limit of 1e9",
        (208, 300, 100),
        (3, 40, 20),
        208,
        make=POINTS,
        max_cost=(1e9, 1e9),
    ),
)

# No peer takes CUDA arrays and is at hand.
ON_GPU = (
    on_gpu("208 of 300 x 100", (208, 300, 100), (4, 15, 5), 208, milliseconds=1.0),
    on_gpu("208 of 300 x 300", (208, 300, 300), (4, 40, 40), 208, milliseconds=5.0),
    on_gpu("208 of 300 x 600", (208, 300, 600), (2, 9, 530), 208, milliseconds=2.5),
    on_gpu("208 of 300 x 300, points", (208, 300, 300), (3, 33, 33), 208, make=POINTS),
    on_gpu("4000 of 300 x 300", (4000, 300, 300), (6, 20, 20), 400),
    on_gpu("4000 of 1 to 300 by 1 to 300", (4000, 300, 300), (9, 40, 70), 400, least=(1, 1)),
    on_gpu("20,000 of 20 x 40", (20_000, 20, 40), (7, 6, 12), 5000),
    on_gpu("1000 of 300 x 300, limit", (1000, 300, 300), (5, 30, 30), 400, max_cost=(-2.5, -1.5)),
    on_gpu("64 of 1000 x 1000", (64, 1000, 1000), (2, 8, 520), 32),
    on_gpu("132 of 2000 x 2000", (132, 2000, 2000), (2, 10, 600), 16),
    on_gpu("208 of 300 x 300, float64", (208, 300, 300), (4, 40, 40), 208, dtype="float64"),
    *EVERYDAY,
)

SUITE = Suite("assignment", (*ON_CPU, *ON_GPU), TOLERANCE)
