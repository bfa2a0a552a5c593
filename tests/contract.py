"""Every public function, as the promises that all of them share have to know it.

To add a function, add its row to FUNCTIONS: `tests/test_contract.py` then tries every promise of
`promises.py` on it, and `python tests/contract.py` writes what holds into docs/contract.md. A row
gives a reason for each feature that its function does not have.
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import coalign
from coalign._arrays import is_array
from promises import PROMISES, Function

#: Public functions that align nothing.
OTHERS = (
    "plot_alignment",
    "rabiner_juang",
    "read_arpa",
    "show_config",
    "spans_to_seconds",
    "to_ctm",
    "to_textgrid",
)

ONE_SIDE = "Its results are no larger than a side of its input."
NO_PROGRESS = "It reports no progress."
DENSE = "It takes dense arrays only."
ON_CPU = "It runs on the CPU."
SCORES = "expected finite values, or -inf for probability zero"
ONE_THREAD = "It computes in NumPy, on the calling thread."
NO_PADDING = "It takes no padded batch; a list holds problems of any sizes."
COVARIANCES = "Such views of a covariance are none."
ONE_COLLECTION = "A call averages one collection; tests of its own try its forms and its threads."
TWO_COLLECTIONS = "A call searches one collection for another; tests of its own try these."
ALONE = "It takes one array, so there is nothing to pair a batch of it with."
SCIPYS = "It has SciPy's signature, results and words."
SCIPYS_HAS_NOT = "batches lengths threads device out progress broadcast kinds result words"


def costs(rng: Any, n: int, m: int) -> dict[str, Any]:
    return {"cost": rng.normal(size=(n, m))}


def costs_of_two_sets(rng: Any, n: int, m: int) -> dict[str, Any]:
    x, y = rng.normal(size=n), rng.normal(size=m)
    pairs = {"cost_xy": (x, y), "cost_xx": (x, x), "cost_yy": (y, y)}
    return {name: np.abs(p[:, np.newaxis] - q) for name, (p, q) in pairs.items()}


def histograms(rng: Any, k: int, n: int, m: int) -> dict[str, Any]:
    # Of equal mass in any dtype.
    a = rng.permuted(np.tile((np.arange(n) % 5 + 1) / 8, (k, 1)), axis=1)
    return {"a": a, "cost": rng.random((n, m))}


def hard_costs(side: int) -> Any:
    """Costs whose assignment takes longest for their size: products (Machol and Wien)."""
    numbers = np.arange(1, side + 1, dtype=np.float32)
    return np.outer(numbers, numbers)


def emissions(rng: Any, t: int, c: int) -> dict[str, Any]:
    """Scores of a softmax that is sure of some frames and not of others."""
    return {"x": 3 * rng.normal(size=(t, c))}


ONE_TEXT = "A row of this table brings one text for all recordings; tests of its own pair the rest."
OWN_OUT = "Its result is an object; tests of its own fill its preallocated gradient."
TEXT = np.array([1, 2])


def posteriors(
    x: Any,
    *,
    targets: Any = TEXT,
    x_lengths: Any = None,
    target_lengths: Any = None,
    blank: Any = 0,
    input: Any = "logits",
    reduction: Any = "none",
    zero_infinity: Any = False,
    threads: Any = None,
    device: Any = None,
) -> Any:
    """`coalign.ctc_forward_backward` without `out`."""
    return coalign.ctc_forward_backward(
        x,
        targets,
        x_lengths=x_lengths,
        target_lengths=target_lengths,
        blank=blank,
        input=input,
        reduction=reduction,
        zero_infinity=zero_infinity,
        threads=threads,
        device=device,
    )


def long_recording() -> dict[str, Any]:
    """A recording and a text whose lattice takes seconds."""
    frames = np.broadcast_to(np.zeros(32, np.float32), (500_000, 32))
    return {"x": frames, "targets": np.resize(TEXT, 20_000)}


def tokens(t: int) -> int:
    """How many tokens the text of t frames has."""
    return t // 3


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array of any kind; of one frame where it is none."""
    for shape in (lambda: x.shape, lambda: np.shape(x), lambda: np.from_dlpack(x).shape):
        with suppress(Exception):
            if len(shape()) > 1:
                return tuple(shape())
    return (1, 1)


def text_of(x: Any, wildcard: Any) -> Any:
    """A text that fits a recording, with repeats."""
    return np.resize([1, 2, 2 if wildcard is None else wildcard], tokens(shape_of(x)[-2]))


def aligned(
    x: Any,
    *,
    x_lengths: Any = None,
    input: str = "logits",  # the function's word
    blank: int = 0,
    wildcard: int | None = None,
    open_begin: bool = False,
    open_end: bool = False,
    threads: int | None = None,
    device: str | None = None,
) -> coalign.CTCAlignment:
    """Align recordings with texts of their lengths: the promises vary x alone."""
    targets, target_lengths = text_of(x, wildcard), None
    if isinstance(x, (list, tuple)) and (not x or any(map(is_array, x))):
        targets = [text_of(item, wildcard) for item in x]
    else:
        with suppress(Exception):
            # One text for each item of a padded batch: as much of the same as fits it.
            lengths, shape = np.asarray(x_lengths), shape_of(x)
            if lengths.shape == shape[:1] and lengths.max() <= shape[1]:
                targets, target_lengths = np.tile(targets, (len(lengths), 1)), lengths // 3
    return coalign.ctc_align(
        x,
        targets,
        x_lengths=x_lengths,
        target_lengths=target_lengths,
        blank=blank,
        input=input,
        wildcard=wildcard,
        open_begin=open_begin,
        open_end=open_end,
        threads=threads,
        device=device,
    )


def fitting_scores(rng: Any, n: int, m: int) -> dict[str, Any]:
    """Scores of at most as many tokens as frames, and of none only where there are no frames."""
    tokens, frames = sorted((n, m))
    return {"score": rng.normal(size=(tokens, frames if tokens else 0))}


def covariance(rng: Any, d: int) -> Any:
    """A covariance that stays positive semi-definite when it is scaled and rounded to integers."""
    beside = rng.uniform(size=(d, d)) / d
    both = np.tril(beside, -1) + np.tril(beside, -1).T
    return both + np.diag(1 + both.sum(axis=1))


def two_gaussians(rng: Any, d: int) -> dict[str, Any]:
    return {
        "mean1": rng.normal(size=d),
        "cov1": covariance(rng, d),
        "mean2": rng.normal(size=d),
        "cov2": covariance(rng, d),
    }


def many_gaussians(rng: Any, k: int, d: int) -> dict[str, Any]:
    return {
        "means": rng.normal(size=(k, d)),
        "covs": np.array([covariance(rng, d) for _ in range(k)]).reshape(k, d, d),
    }


def repeated(arguments: dict[str, Any], count: int) -> dict[str, Any]:
    """A batch of one problem."""
    return {name: np.broadcast_to(a, (count, *a.shape)) for name, a in arguments.items()}


FUNCTIONS = (
    Function(
        "assign",
        coalign.assign,
        make=costs,
        inputs={"cost": "nm"},
        sizes={"n": 0, "m": 0},
        lengths={"row_lengths": "n", "col_lengths": "m"},
        fields={
            "col_of_row": "int64 n",
            "row_of_col": "int64 m",
            "total": "float64",
            "row_dual": "float n",
            "col_dual": "float m",
            "status": "int32",
        },
        constants=("maximize", "max_cost"),
        variants=({}, {"maximize": True}, {"max_cost": 0.5}, {"max_cost": math.inf}),
        refused=(math.nan, -math.inf),
        wanted="expected finite costs, or +inf to forbid a pair",
        tolerance={"total": (1e-6, 1e-12)},
        long=lambda: {"cost": hard_costs(6000)},
        lacks={"out": ONE_SIDE, "progress": NO_PROGRESS, "broadcast": ALONE},
    ),
    Function(
        "assign_top_k",
        partial(coalign.assign_top_k, k=3),
        make=costs,
        inputs={"cost": "nm"},
        sizes={"n": 0, "m": 0},
        lengths={"row_lengths": "n", "col_lengths": "m"},
        fields={"col_of_row": "int64 kn", "total": "float64 k", "status": "int32"},
        most={"k": lambda n, m: math.perm(max(n, m), min(n, m))},
        constants=("maximize",),
        variants=({}, {"maximize": True}, {"k": 1}),
        refused=(math.nan, -math.inf),
        wanted="expected finite costs, or +inf to forbid a pair",
        tolerance={"total": (1e-12, 1e-12)},
        long=lambda: {"cost": np.random.default_rng(0).random((300, 300)), "k": 5_000},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "broadcast": ALONE,
            "device": ON_CPU,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "linear_sum_assignment",
        coalign.linear_sum_assignment,
        make=lambda rng, n, m: {"cost_matrix": rng.normal(size=(n, m))},
        inputs={"cost_matrix": "nm"},
        sizes={"n": 0, "m": 0},
        fields={"rows": "int64 k", "cols": "int64 k"},
        variants=({}, {"maximize": True}),
        long=lambda: {"cost_matrix": hard_costs(6000)},
        lacks=dict.fromkeys(SCIPYS_HAS_NOT.split(), SCIPYS) | {"sparse": DENSE},
    ),
    Function(
        "ctc_align",
        aligned,
        make=lambda rng, t, c: {"x": rng.normal(size=(t, c))},
        inputs={"x": "tc"},
        sizes={"t": 0},
        shared={"c": (4, 5)},
        lengths={"x_lengths": "t"},
        fields={
            "labels": "int64 t",
            "frame_score": "float t",
            "start": "int64 k",
            "stop": "int64 k",
            "total": "float64",
            "status": "int32",
        },
        most={"k": tokens},
        variants=(
            {},
            {"input": "log_probs"},
            {"open_begin": True, "open_end": True},
            {"wildcard": 7, "blank": 3, "open_end": True},
        ),
        refused=(math.nan, math.inf),
        wanted="expected finite values, or -inf for probability zero",
        tolerance={"total": (1e-12, 1e-12), "frame_score": (1e-6, 1e-12)},
        long=lambda: {"x": np.random.default_rng(0).random((150_000, 4), np.float32)},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "broadcast": "The row varies recordings alone; tests of its own pair one with many.",
            "sparse": DENSE,
        },
    ),
    Function(
        "monotonic_alignment",
        coalign.monotonic_alignment,
        make=fitting_scores,
        inputs={"score": "nm"},
        sizes={"n": 0, "m": 0},
        lengths={"text_lengths": "n", "frame_lengths": "m"},
        fields={
            "durations": "int64 n",
            "token_of_frame": "int64 m",
            "total": "float64",
            "status": "int32",
        },
        counts=("durations",),
        refused=(math.nan, math.inf),
        wanted="expected finite scores or -inf",
        long=lambda: {"score": np.broadcast_to(np.zeros(1, np.float32), (60_000, 160_000))},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ALONE,
        },
    ),
    Function(
        "sinkhorn",
        partial(coalign.sinkhorn, epsilon=0.5),
        make=costs,
        inputs={"cost": "nm"},
        sizes={"n": 1, "m": 1},
        lengths={"row_lengths": "n", "col_lengths": "m"},
        fields={
            "f": "float n",
            "g": "float m",
            "cost": "float64",
            "value": "float64",
            "marginal_error": "float64",
            "iterations": "int64",
            "status": "int32",
        },
        constants=("epsilon", "unbalanced", "tol"),
        variants=({}, {"epsilon": 0.0625}, {"unbalanced": 2.0}, {"tol": 0.0, "max_iterations": 5}),
        refused=(math.nan, -math.inf),
        wanted="expected finite costs, or +inf to forbid a pair",
        tolerance={
            "f": (1e-2, 1e-2),
            "cost": (1e-3, 1e-3),
            "value": (1e-3, 1e-3),
            "iterations": (1, 1),
        },
        long=lambda: {"cost": np.random.default_rng(0).random((2000, 2000)), "tol": 0.0},
        lacks={
            "out": ONE_SIDE,
            "sparse": DENSE,
            "broadcast": ALONE,
        },
    ),
    Function(
        "sinkhorn_points",
        partial(coalign.sinkhorn_points, epsilon=0.5),
        make=lambda rng, n, m, d: {"x": rng.normal(size=(n, d)), "y": rng.normal(size=(m, d))},
        inputs={"x": "nd", "y": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={
            "f": "float n",
            "g": "float m",
            "cost": "float64",
            "value": "float64",
            "marginal_error": "float64",
            "iterations": "int64",
            "status": "int32",
        },
        constants=("epsilon", "unbalanced", "tol"),
        variants=(
            {},
            {"metric": "euclidean"},
            {"metric": "cosine", "unbalanced": 2.0},
            {"tol": 0.0, "max_iterations": 5},
        ),
        wanted="expected finite coordinates",
        tolerance={
            "f": (1e-3, 1e-3),
            "g": (1e-3, 1e-3),
            "cost": (1e-3, 1e-3),
            "value": (1e-3, 1e-3),
            "marginal_error": (1e9, 1e9),
            "iterations": (1, 1),
        },
        long=lambda: {
            **dict(zip("xy", np.random.default_rng(0).random((2, 4000, 3)), strict=True)),
            "tol": 0.0,
        },
        lacks={"out": ONE_SIDE, "sparse": DENSE},
    ),
    Function(
        "sinkhorn_divergence",
        partial(coalign.sinkhorn_divergence, epsilon=0.5),
        make=costs_of_two_sets,
        inputs={"cost_xy": "nm", "cost_xx": "nn", "cost_yy": "mm"},
        sizes={"n": 1, "m": 1},
        lengths={"row_lengths": "n", "col_lengths": "m"},
        fields={"divergence": "float64"},
        variants=({}, {"epsilon": 0.0625}),
        refused=(math.nan, -math.inf),
        wanted="expected finite costs, or +inf to forbid a pair",
        tolerance={"divergence": (1e-2, 1e-4)},
        long=lambda: (
            dict.fromkeys(
                ("cost_xy", "cost_xx", "cost_yy"), np.random.default_rng(0).random((2000, 2000))
            )
            | {"tol": 0.0}
        ),
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": "Each set has costs of its own.",
            "result": "It returns an array.",
            "gpu": ON_CPU,
        },
    ),
    Function(
        "sinkhorn_divergence_points",
        partial(coalign.sinkhorn_divergence_points, epsilon=0.5),
        make=lambda rng, n, m, d: {"x": rng.normal(size=(n, d)), "y": rng.normal(size=(m, d))},
        inputs={"x": "nd", "y": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={"divergence": "float64"},
        variants=({}, {"metric": "euclidean"}, {"metric": "cosine"}),
        wanted="expected finite coordinates",
        tolerance={"divergence": (1e-2, 1e-4)},
        long=lambda: {
            **dict(zip("xy", np.random.default_rng(0).random((2, 4000, 3)), strict=True)),
            "tol": 0.0,
        },
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "result": "It returns an array.",
            "gpu": ON_CPU,
        },
    ),
    Function(
        "partial_transport",
        partial(coalign.partial_transport, mass=0.5, epsilon=0.5),
        make=costs,
        inputs={"cost": "nm"},
        sizes={"n": 1, "m": 1},
        lengths={"row_lengths": "n", "col_lengths": "m"},
        fields={
            "f": "float n",
            "g": "float m",
            "cost": "float64",
            "value": "float64",
            "marginal_error": "float64",
            "iterations": "int64",
            "status": "int32",
        },
        constants=("mass", "epsilon", "tol"),
        variants=({}, {"epsilon": 0.0625, "mass": 0.875}, {"tol": 0.0, "max_iterations": 5}),
        refused=(math.nan, -math.inf),
        wanted="expected finite costs, or +inf to forbid a pair",
        tolerance={
            "f": (1e-2, 1e-2),
            "g": (1e-2, 1e-2),
            "cost": (1e-3, 1e-3),
            "value": (1e-3, 1e-3),
            "marginal_error": (1e9, 1e9),
            "iterations": (1, 1),
        },
        long=lambda: {"cost": np.random.default_rng(0).random((2000, 2000)), "tol": 0.0},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ALONE,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "sinkhorn_barycenter",
        partial(coalign.sinkhorn_barycenter, epsilon=0.5),
        make=histograms,
        inputs={"a": "kn", "cost": "nm"},
        sizes={"k": 1, "n": 1, "m": 1},
        fields={
            "weights": "float m",
            "marginal_error": "float64",
            "iterations": "int64",
            "status": "int32",
        },
        constants=("tol",),
        variants=({}, {"epsilon": 0.0625}, {"tol": 0.0, "max_iterations": 5}),
        refused=(math.nan, -math.inf),
        wanted={
            "a": "expected finite weights of at least 0",
            "cost": "expected finite costs, or +inf to forbid a pair",
        },
        tolerance={
            "weights": (1e-2, 1e-2),
            "marginal_error": (1e9, 1e9),
            "iterations": (1, 1),
        },
        long=lambda: histograms(np.random.default_rng(0), 3, 1500, 1500) | {"tol": 0.0},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "lengths": NO_PADDING,
            "any values": "Such views of histograms have other masses.",
            "gpu": ON_CPU,
        },
    ),
    Function(
        "dtw",
        coalign.dtw,
        make=lambda rng, n, m, d: {"x": rng.normal(size=(n, d)), "y": rng.normal(size=(m, d))},
        inputs={"x": "nd", "y": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={
            "cost": "float",
            "x_index": "int64 *",
            "y_index": "int64 *",
            "status": "int32",
            "x_length": "int64",
            "y_length": "int64",
            "weight": "float *",
        },
        variants=(
            {},
            {"path": True},
            {"window": 3},
            {"window": coalign.slanted(5), "path": True},
            {"metric": "cosine", "max_cost": 9.5},
            {"step": "symmetric2", "path": True},
            {"step": "asymmetric", "open_begin": True, "open_end": True, "path": True},
        ),
        tolerance={"cost": (1e-4, 1e-12)},
        long=lambda: dict(zip("xy", np.random.default_rng(0).random((2, 150_000)), strict=True)),
        long_variants=({}, {"path": True}, {"step": "symmetric2"}, {"step": "typeIVc"}),
        lacks={"out": ONE_SIDE, "progress": NO_PROGRESS, "sparse": DENSE},
    ),
    Function(
        'dtw(metric="precomputed")',
        partial(coalign.dtw, metric="precomputed"),
        make=lambda rng, n, m: {"x": rng.uniform(size=(n, m))},
        inputs={"x": "nm"},
        sizes={"n": 1, "m": 1},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={
            "cost": "float",
            "x_index": "int64 *",
            "y_index": "int64 *",
            "status": "int32",
            "x_length": "int64",
            "y_length": "int64",
            "weight": "float *",
        },
        variants=({}, {"path": True}, {"window": 3}, {"step": "symmetric2", "path": True}),
        refused=(math.nan, -math.inf),
        wanted="expected finite costs or +inf",
        tolerance={"cost": (1e-4, 1e-12)},
        long=lambda: {"x": np.broadcast_to(np.ones(20_000_000, np.float32), (200, 20_000_000))},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ALONE,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "dtw_cdist",
        coalign.dtw_cdist,
        make=lambda rng, n, m, d: {"X": rng.normal(size=(n, d)), "Y": rng.normal(size=(m, d))},
        inputs={"X": "nd", "Y": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={"costs": "float"},
        variants=(
            {},
            {"window": 3},
            {"window": coalign.slanted(5)},
            {"metric": "cosine"},
            {"step": "symmetric2"},
        ),
        tolerance={"costs": (1e-4, 1e-12)},
        is_collection=True,
        long=lambda: {"X": np.random.default_rng(0).random((400, 500))},
        long_variants=({}, {"metric": "cosine"}),
        lacks={
            "single": "It takes collections.",
            "result": "It returns an array.",
            "broadcast": "It computes all pairs of two collections.",
            "sparse": DENSE,
        },
    ),
    Function(
        "dtw_subsequence",
        coalign.dtw_subsequence,
        make=lambda rng, n, m, d: {
            "query": rng.normal(size=(n, d)),
            "series": rng.normal(size=(m, d)),
        },
        inputs={"query": "nd", "series": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"query_lengths": "n", "series_lengths": "m"},
        fields={
            "start": "int64 k",
            "stop": "int64 k",
            "cost": "float k",
            "count": "int64",
            "status": "int32",
        },
        most={"k": lambda n, m: 1},
        counts=("count",),
        variants=({}, {"metric": "cosine"}, {"metric": "cityblock"}),
        tolerance={"cost": (1e-4, 1e-12)},
        long=lambda: {
            "query": np.random.default_rng(0).random(20_000),
            "series": np.random.default_rng(1).random(2_000_000),
        },
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "device": ON_CPU,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "dtw_barycenter",
        partial(coalign.dtw_barycenter, tol=1e-3),
        make=lambda rng, n, t: {"X": rng.normal(size=(n, t))},
        inputs={"X": "nt"},
        sizes={"n": 1, "t": 1},
        fields={
            "series": "float t",
            "cost": "float n",
            "inertia": "float64",
            "iterations": "int64",
            "status": "int32",
        },
        variants=({}, {"window": 3}),
        # Another rounding may choose another path.
        tolerance={"series": (1e9, 1e9), "cost": (1e9, 1e9), "inertia": (0.1, 0.1)},
        long=lambda: {"X": np.random.default_rng(0).random((400, 3000)), "tol": 0.0},
        lacks=dict.fromkeys(("batches", "lengths", "broadcast", "threads"), ONE_COLLECTION)
        | {
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "device": ON_CPU,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "dtw_nearest",
        coalign.dtw_nearest,
        make=lambda rng, q, n, t: {
            "queries": rng.normal(size=(q, t)),
            "database": rng.normal(size=(n, t)),
        },
        inputs={"queries": "qt", "database": "nt"},
        sizes={"q": 0, "n": 1, "t": 1},
        fields={"index": "int64 q", "cost": "float q", "status": "int32", "counts": "int64 q"},
        counts=("counts",),
        variants=(
            {},
            {"window": 3},
            {"metric": "cosine"},
            {"window": coalign.slanted(5)},
            {"normalize": True},
        ),
        # How many are left out depends on the number of lanes.
        tolerance={"cost": (1e-4, 1e-12), "counts": (1e9, 1e9)},
        long=lambda: dict.fromkeys(
            ("queries", "database"), np.random.default_rng(0).random((400, 1500))
        ),
        long_variants=({}, {"window": 150}),
        lacks=dict.fromkeys(("batches", "lengths", "broadcast", "threads"), TWO_COLLECTIONS)
        | {"out": ONE_SIDE, "sparse": DENSE},
    ),
    Function(
        "soft_dtw_barycenter",
        partial(coalign.soft_dtw_barycenter, tol=1e-3),
        make=lambda rng, n, t: {"X": rng.normal(size=(n, t))},
        inputs={"X": "nt"},
        sizes={"n": 1, "t": 1},
        fields={
            "series": "float t",
            "cost": "float n",
            "inertia": "float64",
            "iterations": "int64",
            "status": "int32",
        },
        variants=({}, {"window": 3}),
        # Another rounding may choose another path.
        tolerance={"series": (1e9, 1e9), "cost": (1e9, 1e9), "inertia": (0.1, 0.1)},
        long=lambda: {
            "X": np.random.default_rng(0).random((400, 3000)),
            "tol": 0.0,
            "max_iterations": 1000,
        },
        lacks=dict.fromkeys(("batches", "lengths", "broadcast", "threads"), ONE_COLLECTION)
        | {
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "device": ON_CPU,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "soft_dtw",
        coalign.soft_dtw,
        make=lambda rng, n, m, d: {"x": rng.normal(size=(n, d)), "y": rng.normal(size=(m, d))},
        inputs={"x": "nd", "y": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={
            "value": "float",
            "grad_x": "float nd",
            "grad_y": "float md",
            "status": "int32",
        },
        constants=("gamma", "metric", "window"),
        variants=(
            {},
            {"grad": True},
            {"window": 3, "gamma": 0.125, "grad": True},
            {"window": coalign.slanted(5), "metric": "euclidean", "grad": True},
            {"metric": "cosine", "grad": True},
        ),
        tolerance={"value": (1e-3, 1e-10)},
        long=lambda: dict(zip("xy", np.random.default_rng(0).random((2, 60_000)), strict=True)),
        long_variants=({}, {"grad": True}),
        lacks={"out": ONE_SIDE, "progress": NO_PROGRESS, "sparse": DENSE},
    ),
    Function(
        'soft_dtw(metric="precomputed")',
        partial(coalign.soft_dtw, metric="precomputed"),
        make=lambda rng, n, m: {"x": rng.uniform(size=(n, m))},
        inputs={"x": "nm"},
        sizes={"n": 1, "m": 1},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={"value": "float", "grad_x": "float nm", "status": "int32"},
        constants=("gamma", "metric", "window"),
        variants=({}, {"grad": True}, {"window": 3, "gamma": 0.125, "grad": True}),
        refused=(math.nan, -math.inf),
        wanted="expected finite costs or +inf",
        tolerance={"value": (1e-3, 1e-10)},
        long=lambda: {"x": np.broadcast_to(np.ones(5_000_000, np.float32), (200, 5_000_000))},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ALONE,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "soft_dtw_divergence",
        coalign.soft_dtw_divergence,
        make=lambda rng, n, m, d: {"x": rng.normal(size=(n, d)), "y": rng.normal(size=(m, d))},
        inputs={"x": "nd", "y": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={"divergence": "float"},
        variants=({}, {"window": 3, "gamma": 0.125}, {"metric": "cityblock"}),
        tolerance={"divergence": (1e9, 1e-7)},
        long=lambda: dict(zip("xy", np.random.default_rng(0).random((2, 60_000)), strict=True)),
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "result": "It returns an array.",
            "sparse": DENSE,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "soft_dtw_cdist",
        coalign.soft_dtw_cdist,
        make=lambda rng, n, m, d: {"X": rng.normal(size=(n, d)), "Y": rng.normal(size=(m, d))},
        inputs={"X": "nd", "Y": "md"},
        sizes={"n": 1, "m": 1},
        shared={"d": (1, 3)},
        lengths={"x_lengths": "n", "y_lengths": "m"},
        fields={"values": "float"},
        variants=({}, {"window": 3, "gamma": 0.125}, {"metric": "cityblock"}),
        tolerance={"values": (1e-3, 1e-10)},
        is_collection=True,
        long=lambda: {"X": np.random.default_rng(0).random((200, 500))},
        lacks={
            "single": "It takes collections.",
            "result": "It returns an array.",
            "broadcast": "It computes all pairs of two collections.",
            "sparse": DENSE,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "ctc_loss",
        partial(coalign.ctc_loss, targets=TEXT),
        make=emissions,
        inputs={"x": "tc"},
        sizes={"t": 0},
        shared={"c": (5, 3)},
        lengths={"x_lengths": "t"},
        fields={"loss": "float"},
        variants=({}, {"input": "log_probs", "blank": 2, "targets": np.array([1, 1])}),
        refused=(math.nan, math.inf),
        wanted=SCORES,
        tolerance={"loss": (1e-5, 1e-10)},
        long=long_recording,
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ONE_TEXT,
            "result": "It returns an array.",
        },
    ),
    Function(
        "ctc_forward_backward",
        posteriors,
        make=emissions,
        inputs={"x": "tc"},
        sizes={"t": 0},
        shared={"c": (5, 3)},
        lengths={"x_lengths": "t"},
        fields={"loss": "float", "grad": "float tc", "status": "int32"},
        constants=("blank", "input"),
        variants=({}, {"input": "log_probs", "blank": 2, "targets": np.array([1])}),
        refused=(math.nan, math.inf),
        wanted=SCORES,
        tolerance={"loss": (1e-5, 1e-10)},
        long=long_recording,
        lacks={
            "out": OWN_OUT,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ONE_TEXT,
        },
    ),
    Function(
        "ctc_greedy",
        coalign.ctc_greedy,
        make=emissions,
        inputs={"x": "tc"},
        sizes={"t": 0},
        shared={"c": (5, 3)},
        lengths={"x_lengths": "t"},
        fields={
            "labels": "int64 *",
            "start": "int64 *",
            "stop": "int64 *",
            "score": "float *",
            "total": "float",
            "status": "int32",
        },
        variants=({}, {"input": "log_probs", "blank": 2}),
        refused=(math.nan, math.inf),
        wanted=SCORES,
        tolerance={"score": (1e-5, 1e-12), "total": (1e-5, 1e-12)},
        long=lambda: {"x": np.broadcast_to(np.zeros(100_000, np.float32), (50_000, 100_000))},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ALONE,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "ctc_beam_search",
        partial(coalign.ctc_beam_search, n_best=3),
        make=emissions,
        inputs={"x": "tc"},
        sizes={"t": 0},
        shared={"c": (5, 3)},
        lengths={"x_lengths": "t"},
        fields={
            "labels": "int64 *",
            "start": "int64 *",
            "stop": "int64 *",
            "score": "float *",
            "length": "int64 k",
            "total": "float k",
            "acoustic": "float k",
            "status": "int32",
        },
        variants=(
            {},
            {"beam_width": 3, "token_min_logp": -3.0},
            {"input": "log_probs", "blank": 2, "beam_threshold": 5.0},
        ),
        refused=(math.nan, math.inf),
        wanted=SCORES,
        tolerance=dict.fromkeys(("score", "total", "acoustic"), (1e-5, 1e-12)),
        long=lambda: {"x": np.broadcast_to(np.zeros(29, np.float32), (1_000_000, 29))},
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "broadcast": ALONE,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "wasserstein_gaussian",
        coalign.wasserstein_gaussian,
        make=two_gaussians,
        inputs={"mean1": "d", "cov1": "dd", "mean2": "d", "cov2": "dd"},
        sizes={"d": 1},
        fields={"distance": "float"},
        long=lambda: repeated(two_gaussians(np.random.default_rng(0), 12), 40_000),
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "threads": ONE_THREAD,
            "lengths": NO_PADDING,
            "result": "It returns an array.",
            "any values": COVARIANCES,
            "device": ON_CPU,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "gaussian_barycenter",
        coalign.gaussian_barycenter,
        make=many_gaussians,
        inputs={"means": "kd", "covs": "kdd"},
        sizes={"k": 1},
        shared={"d": (2, 3)},
        fields={
            "mean": "float d",
            "cov": "float dd",
            "residual": "float64",
            "iterations": "int64",
            "status": "int32",
        },
        variants=({}, {"tol": 1e-6, "max_iterations": 100}),
        long=lambda: repeated(many_gaussians(np.random.default_rng(0), 5, 10), 4_000),
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "threads": ONE_THREAD,
            "lengths": NO_PADDING,
            "any values": COVARIANCES,
            "device": ON_CPU,
            "gpu": ON_CPU,
        },
    ),
    Function(
        "wasserstein_1d",
        coalign.wasserstein_1d,
        make=lambda rng, n, m: {"x": rng.normal(size=n), "y": rng.normal(size=m)},
        inputs={"x": "n", "y": "m"},
        sizes={"n": 1, "m": 1},
        fields={"cost": "float"},
        variants=({}, {"p": 2}, {"p": 1.5}),
        long=lambda: {
            "x": np.random.default_rng(0).random((20_000, 2_000)),
            "y": np.random.default_rng(1).random(1_500),
        },
        lacks={
            "out": ONE_SIDE,
            "progress": NO_PROGRESS,
            "sparse": DENSE,
            "threads": ONE_THREAD,
            "lengths": NO_PADDING,
            "result": "It returns an array.",
            "device": ON_CPU,
            "gpu": ON_CPU,
        },
    ),
)


def document() -> str:
    """What docs/contract.md says."""
    notes: dict[str, int] = {}
    lines = [
        "# What every function promises",
        "",
        'Each "yes" is a test that runs before every change. A number leads to the reason why a',
        "promise says nothing about a function. `make contract` writes this page from those tests.",
        "",
    ]
    for group in dict.fromkeys(promise.group for promise in PROMISES):
        lines += [f"## {group}", ""]
        members = [promise for promise in PROMISES if promise.group == group]
        lines += [f"- **{member.name}**: {member.sentence}" for member in members]
        lines += ["", "| | " + " | ".join(f"`{f.name}`" for f in FUNCTIONS) + " |"]
        lines += ["|---|" + "---|" * len(FUNCTIONS)]
        for member in members:
            cells = []
            for function in FUNCTIONS:
                excuse = member.excuse(function)
                number = "yes" if excuse is None else notes.setdefault(excuse, len(notes) + 1)
                cells.append("yes" if excuse is None else f"[{number}](#notes)")
            lines.append(f"| {member.name} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## Notes", "", *(f"{number}. {excuse}" for excuse, number in notes.items()), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("docs/contract.md").write_text(document())
