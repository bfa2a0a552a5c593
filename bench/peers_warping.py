"""How dynamic time warping's peers are called, so that they compute the same lattice cells.

- aeon: the sum of squared differences, as coalign. ``window`` is a fraction of the shorter series
  and is cut to a whole number of cells, so (r + 1/2) / T gives r. Its multivariate series are
  (D, T): "aeon-f64" gets them contiguous, the layout of its own loaders, "aeon-view-f64" gets a
  transposed view of (T, D), which is faster where D is large. It takes float32 series too, but
  sums in float64.
- dtaidistance: the square root of it, float64 only. ``window`` counts the diagonal: r + 1. Where
  speeds are compared cell by cell it may not prune, so that it visits every one as the others do.
- tslearn: the square root of it, float64 only. ``sakoe_chiba_radius`` is r. It keeps the whole
  matrix of every pair, so it is left out where series are long or of many dimensions.
- dtw-python: takes any step pattern, on a matrix of local costs or, as here, on series, whose
  distances SciPy computes; "euclidean" is |x - y| in one dimension. float64 only.
- Soft-DTW: tslearn, whose loss for PyTorch rounds what it keeps to float32, aeon, whose values
  have no sign, and OTT, compiled.
- On a GPU, one anti-diagonal of every pair's lattice after the other, which is what PyTorch's
  whole-array operations allow: it has no operation of its own for this.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contest import SHORT, Contender, Data, calling


def plain(prepared: Any, result: Any) -> NDArray[np.float64]:
    """Take the result as costs."""
    return np.asarray(result, dtype=np.float64)


def squared(prepared: Any, result: Any) -> NDArray[np.float64]:
    """Undo a peer's square root."""
    return plain(prepared, result) ** 2


def channels_first(series: Any, *, view: bool = False) -> Any:
    """Give series as aeon has them, (D, T), contiguous or not."""
    if isinstance(series, list):
        return [channels_first(one, view=view) for one in series]
    turned = np.swapaxes(series, -1, -2)
    return turned if view else np.ascontiguousarray(turned)


def for_aeon(data: Data, frames: int, *, turned: bool, view: bool = False) -> tuple[Any, ...]:
    """Give both sides and the window as aeon takes them."""
    sides = [data["x"], data.get("y")]
    if turned:
        sides = [None if side is None else channels_first(side, view=view) for side in sides]
    window = data.get("window")
    return *sides, None if window is None else (window + 0.5) / frames


def aeon_cdist(dtype: str = "float64", *, view: bool = False) -> Contender:
    """Solve a collection, or two, with aeon."""

    def prepare(data: Data) -> tuple[Any, ...]:
        one = data["x"][0]
        return for_aeon(data, len(one), turned=one.ndim == 2, view=view)

    load = calling(
        "aeon.distances.dtw_pairwise_distance",
        lambda f: lambda given: f(given[0], given[1], window=given[2], n_jobs=1),
    )
    return Contender(f"aeon{'-view' * view}-{SHORT[dtype]}", dtype, load, plain, prepare)


def one_pair_of_aeon(data: Data) -> tuple[Any, ...]:
    """Give a pair and the window as aeon takes them."""
    return for_aeon(data, len(data["x"]), turned=data["x"].ndim == 2)


def aeon_pair(dtype: str = "float64") -> Contender:
    """Solve one pair with aeon."""
    load = calling(
        "aeon.distances.dtw_distance", lambda f: lambda given: f(given[0], given[1], given[2])
    )
    return Contender(f"aeon-{SHORT[dtype]}", dtype, load, plain, one_pair_of_aeon)


def aeon_path() -> Contender:
    """Solve one pair with its path with aeon, which returns (path, cost)."""
    load = calling(
        "aeon.distances.dtw_alignment_path",
        lambda f: lambda given: f(given[0], given[1], given[2])[0],
    )
    return Contender(
        "aeon-f64",
        "float64",
        load,
        lambda given, path: cost_of_path(given[0].T, given[1].T, path),
        one_pair_of_aeon,
    )


def cost_of_path(x: Any, y: Any, path: Any) -> NDArray[np.float64]:
    """Sum what a path visits, from pairs of frames; refuse what leads elsewhere or leaps."""
    i, j = np.array(path).T
    assert (i[0], j[0], i[-1], j[-1]) == (0, 0, len(x) - 1, len(y) - 1), "a path of other ends"
    steps = np.diff(i), np.diff(j)
    assert all(((step == 0) | (step == 1)).all() for step in steps), "a path that leaps"
    return np.asarray(((x[i] - y[j]) ** 2).sum())


def for_dtaidistance(data: Data) -> dict[str, Any]:
    """Give the window as dtaidistance takes it."""
    window = data.get("window")
    return {} if window is None else {"window": window + 1}


def dtaidistance_cdist() -> Contender:
    """Solve a collection, or two, with dtaidistance's compiled functions."""

    def prepare(data: Data) -> tuple[Any, dict[str, Any], Any]:
        x, y = data["x"], data.get("y")
        options = {"parallel": False, **for_dtaidistance(data)}
        if x[0].ndim == 2:
            options["ndim"] = x[0].shape[1]
        if y is None:
            return (x if x[0].ndim == 1 else list(x)), options, None
        shape = len(x), len(y)
        block = ((0, len(x)), (len(x), len(x) + len(y)))
        return [*x, *y], {**options, "block": block, "compact": True}, shape

    def solve(given: Any) -> Any:
        from dtaidistance import dtw, dtw_ndim

        x, options, shape = given
        found = (dtw_ndim if "ndim" in options else dtw).distance_matrix_fast(x, **options)
        return found if shape is None else np.asarray(found).reshape(shape)

    return Contender("dtaidistance-f64", "float64", lambda: solve, squared, prepare)


def dtaidistance_pair(*, prunes: bool = False) -> Contender:
    """Solve one pair with dtaidistance, which may leave cells by the cost of the diagonal."""

    def prepare(data: Data) -> tuple[Any, ...]:
        from dtaidistance import dtw, dtw_ndim

        options = {"use_pruning": prunes, **for_dtaidistance(data)}
        call = (dtw_ndim if data["x"].ndim == 2 else dtw).distance_fast
        return call, data["x"], data["y"], options

    def solve(given: Any) -> Any:
        call, x, y, options = given
        return call(x, y, **options)

    name = f"dtaidistance{'-pruning' * prunes}-f64"
    return Contender(name, "float64", lambda: solve, squared, prepare)


def dtaidistance_path() -> Contender:
    """Solve one pair with its path with dtaidistance."""

    def prepare(data: Data) -> tuple[Any, ...]:
        return data["x"], data["y"], for_dtaidistance(data)

    load = calling(
        "dtaidistance.dtw.warping_path_fast",
        lambda f: lambda given: f(given[0], given[1], **given[2]),
    )
    return Contender(
        "dtaidistance-f64",
        "float64",
        load,
        lambda given, path: cost_of_path(given[0], given[1], path),
        prepare,
    )


def dtw_python_pair() -> Contender:
    """Solve one pair with dtw-python, by the step pattern of the same name."""

    def load() -> Any:
        from dtw import dtw, stepPattern

        def solve(data: Data) -> Any:
            step = getattr(stepPattern, data["step"])
            return dtw(data["x"], data["y"], step_pattern=step, distance_only=True).distance

        return solve

    return Contender("dtw-python-f64", "float64", load, plain)


def for_tslearn(data: Data) -> dict[str, Any]:
    """Give the window as tslearn takes it."""
    if data.get("window") is None:
        return {}
    return {"global_constraint": "sakoe_chiba", "sakoe_chiba_radius": data["window"]}


def tslearn_cdist() -> Contender:
    """Solve a collection, or two, with tslearn, which takes lists of lengths that differ padded."""

    def prepare(data: Data) -> tuple[Any, Any, dict[str, Any]]:
        from tslearn.utils import to_time_series_dataset

        sides = (data["x"], data.get("y"))
        x, y = (to_time_series_dataset(k) if isinstance(k, list) else k for k in sides)
        return x, y, for_tslearn(data)

    load = calling(
        "tslearn.metrics.cdist_dtw", lambda f: lambda given: f(given[0], given[1], **given[2])
    )
    return Contender("tslearn-f64", "float64", load, squared, prepare)


def one_pair_of_tslearn(data: Data) -> tuple[Any, Any, dict[str, Any]]:
    """Give a pair and the window as tslearn takes them."""
    return data["x"], data["y"], for_tslearn(data)


def tslearn_pair() -> Contender:
    """Solve one pair with tslearn."""
    load = calling("tslearn.metrics.dtw", lambda f: lambda given: f(given[0], given[1], **given[2]))
    return Contender("tslearn-f64", "float64", load, squared, one_pair_of_tslearn)


def tslearn_path() -> Contender:
    """Solve one pair with its path with tslearn, which returns (path, root of the cost)."""
    load = calling(
        "tslearn.metrics.dtw_path", lambda f: lambda given: f(given[0], given[1], **given[2])[0]
    )
    return Contender(
        "tslearn-f64",
        "float64",
        load,
        lambda given, path: cost_of_path(given[0], given[1], path),
        one_pair_of_tslearn,
    )


def torch_pairs() -> Contender:
    """Solve pairs of one shape on a GPU, with PyTorch where it is there and can use it."""

    def costs(sides: Any, found: Any) -> NDArray[np.float64]:
        return np.asarray(found.double().cpu())

    return on_torch(lambda sides, options: by_antidiagonals(*sides), costs)


def on_torch(
    call: Callable[[Any, Data], Any], costs: Callable[[Any, Any], NDArray[np.float64]]
) -> Contender:
    """Give what PyTorch computes of the tensors x and y, on a GPU, and of the other arguments."""

    def prepare(data: Data) -> Any:
        import torch

        return [torch.from_numpy(data[side]).cuda() for side in ("x", "y")], data

    def load() -> Any:
        try:
            import torch
        except ImportError:
            return None

        def solve(prepared: Any) -> Any:
            found = call(*prepared)
            torch.cuda.synchronize()
            return found

        return solve if torch.cuda.is_available() else None

    return Contender("torch, by anti-diagonals", "any", load, costs, prepare)


def by_antidiagonals(x: Any, y: Any) -> Any:
    """Compute the costs of pairs (B, N, D), (B, M, D) of tensors with whole-array operations.

    Row i of a diagonal is kept at i + 1, and the batch is the last axis, so that every operation
    reads and writes memory in one piece.
    """
    import torch

    n, m, dim = x.shape[1], y.shape[1], x.shape[2]
    x = x.permute(1, 2, 0).contiguous()
    backwards = y.flip(1).permute(1, 2, 0).contiguous()
    diagonals = [torch.full((n + 1, x.shape[2]), torch.inf, dtype=x.dtype, device=x.device)]
    diagonals += [diagonals[0].clone(), diagonals[0].clone()]
    before, last, now = diagonals
    before[0] = 0
    for k in range(n + m - 1):
        top, bottom = max(0, k - m + 1), min(n - 1, k) + 1
        # Series y runs backwards along the diagonal.
        shift = m - 1 - k
        apart = x[top:bottom] - backwards[shift + top : shift + bottom]
        best = torch.minimum(last[top:bottom], last[top + 1 : bottom + 1])
        torch.minimum(best, before[top:bottom], out=best)
        if dim == 1:
            torch.addcmul(best, apart[:, 0], apart[:, 0], out=now[top + 1 : bottom + 1])
        else:
            torch.add(best, apart.square_().sum(1), out=now[top + 1 : bottom + 1])
        # What the next two read beside the diagonal is outside the lattice.
        now[top] = torch.inf
        if bottom < n:
            now[bottom + 1] = torch.inf
        before, last, now = last, now, before
    return last[n]


def softly_by_antidiagonals(x: Any, y: Any, gamma: float) -> tuple[Any, Any, Any]:
    """Compute soft-DTW of pairs (B, N, D), (B, M, D) of tensors, and both gradients.

    Laid out as in `by_antidiagonals`. Row i of diagonal k is kept at [k + 2, i + 1], for all
    diagonals, as going backward needs them.
    """
    import torch

    n, m, batch = x.shape[1], y.shape[1], x.shape[0]
    x = x.permute(1, 2, 0).contiguous()
    backwards = y.flip(1).permute(1, 2, 0).contiguous()
    count = n + m - 1

    def lattice(value: float) -> Any:
        return torch.full((count + 4, n + 2, batch), value, dtype=x.dtype, device=x.device)

    def apart_on(k: int) -> tuple[slice, slice, Any]:
        """Give the rows of a diagonal, of x and of y backwards, and their differences."""
        top, bottom = max(0, k - m + 1), min(n - 1, k) + 1
        rows, columns = slice(top, bottom), slice(m - 1 - k + top, m - 1 - k + bottom)
        return rows, columns, x[rows] - backwards[columns]

    # Outside the lattice there is no way on, and none back.
    totals, smooth = lattice(torch.inf), lattice(-torch.inf)
    totals[0, 0] = 0
    for k in range(count):
        rows, _, apart = apart_on(k)
        here = slice(rows.start + 1, rows.stop + 1)
        three = torch.stack((totals[k, rows], totals[k + 1, rows], totals[k + 1, here]))
        smooth[k + 2, here] = -gamma * torch.logsumexp(three / -gamma, 0)
        totals[k + 2, here] = smooth[k + 2, here] + (apart * apart).sum(1)
    visits = lattice(0)
    visits[count + 1, n] = 1
    grad_x, grad_backwards = torch.zeros_like(x), torch.zeros_like(backwards)
    for k in reversed(range(count)):
        rows, columns, apart = apart_on(k)
        here, below = slice(rows.start + 1, rows.stop + 1), slice(rows.start + 2, rows.stop + 2)
        for after, to in ((k + 3, below), (k + 3, here), (k + 4, below)):
            share = torch.exp((smooth[after, to] - totals[k + 2, here]) / gamma)
            visits[k + 2, here] += visits[after, to] * share
        slope = 2 * visits[k + 2, here].unsqueeze(1) * apart
        grad_x[rows] += slope
        grad_backwards[columns] -= slope
    return totals[count + 1, n], grad_x.permute(2, 0, 1), grad_backwards.permute(2, 0, 1).flip(1)


# --- soft-DTW of a batch of pairs (B, N, D), (B, M, D) -------------------------------------------


def tslearn_soft() -> Contender:
    """Compute soft values pair by pair with tslearn."""
    load = calling(
        "tslearn.metrics.soft_dtw",
        lambda f: (
            lambda data: [
                f(x, y, gamma=data["gamma"]) for x, y in zip(data["x"], data["y"], strict=True)
            ]
        ),
    )
    return Contender("tslearn-f64", "float64", load, plain)


def aeon_soft() -> Contender:
    """Compute soft values pair by pair with aeon, which loses the sign of those below 0."""

    def prepare(data: Data) -> Any:
        return channels_first(data["x"]), channels_first(data["y"]), data["gamma"]

    load = calling(
        "aeon.distances.soft_dtw_distance",
        lambda f: (
            lambda given: [f(x, y, given[2]) for x, y in zip(given[0], given[1], strict=True)]
        ),
    )
    return Contender("aeon-f64", "float64", load, plain, prepare)


def tslearn_on_torch() -> Contender:
    """Compute soft values and gradients of a batch with tslearn's loss, which keeps float32."""

    def prepare(data: Data) -> Any:
        import torch
        from tslearn.metrics import SoftDTWLossPyTorch

        x, y = (torch.from_numpy(data[side]) for side in "xy")
        return SoftDTWLossPyTorch(gamma=data["gamma"]), x.requires_grad_(), y

    def solve(given: Any) -> Any:
        loss, x, y = given
        x.grad = None
        values = loss(x, y)
        values.sum().backward()
        return values.detach().numpy(), x.grad.numpy()

    return Contender("tslearn-torch-f32", "float32", lambda: solve, plain, prepare)


@lru_cache
def ott_call(*, grad: bool) -> Any:
    """Compile OTT's soft-DTW of a batch, with gradients or without."""
    import jax
    from ott.geometry.costs import SoftDTW

    def one(x: Any, y: Any, gamma: Any) -> Any:
        return SoftDTW(gamma)(x, y)

    call = jax.value_and_grad(one, argnums=(0, 1)) if grad else one
    return jax.jit(jax.vmap(call, in_axes=(0, 0, None)))


def ott_soft(dtype: str, *, grad: bool) -> Contender:
    """Compute soft values of a batch with OTT, and gradients, compiled for its shape."""
    wide = dtype == "float64"

    def prepare(data: Data) -> Any:
        import jax

        with jax.enable_x64(wide):
            given = [jax.numpy.asarray(data[name], dtype) for name in ("x", "y", "gamma")]
            jax.block_until_ready(ott_call(grad=grad)(*given))
        return given

    def solve(given: Any) -> Any:
        import jax

        with jax.enable_x64(wide):
            found = jax.block_until_ready(ott_call(grad=grad)(*given))
        return (found[0], found[1][0]) if grad else found

    return Contender(f"ott-{SHORT[dtype]}", dtype, lambda: solve, plain, prepare)
