"""How dynamic time warping's peers are called, so that they compute the same lattice cells.

- aeon: the sum of squared differences, as coalign. ``window`` is a fraction of the shorter series
  and is cut to a whole number of cells, so (r + 1/2) / T gives r. Its multivariate series are
  (D, T): "aeon-f64" gets them contiguous, the layout of its own loaders, "aeon-view-f64" gets a
  transposed view of (T, D), which is faster where D is large. It takes float32 series too, but
  sums in float64.
- dtaidistance: the square root of it, float64 only. ``window`` counts the diagonal: r + 1. It is
  not allowed to prune, so that it visits every cell as the others do.
- tslearn: the square root of it, float64 only. ``sakoe_chiba_radius`` is r. It keeps the whole
  matrix of every pair, so it is left out where series are long or of many dimensions.
- dtw-python: takes any step pattern, on a matrix of local costs or, as here, on series, whose
  distances SciPy computes; "euclidean" is |x - y| in one dimension. float64 only.
- On a GPU, one anti-diagonal of every pair's lattice after the other, which is what PyTorch's
  whole-array operations allow: it has no operation of its own for this.
"""

from __future__ import annotations

from collections.abc import Callable
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


def aeon_cdist(dtype: str = "float64", *, view: bool = False) -> Contender:
    """Solve a collection with aeon."""

    def prepare(data: Data) -> tuple[Any, float | None]:
        x, window = data["x"], data.get("window")
        if isinstance(x, np.ndarray) and x.ndim == 3:
            x = x.transpose(0, 2, 1) if view else np.ascontiguousarray(x.transpose(0, 2, 1))
        return x, None if window is None else (window + 0.5) / x[0].shape[-1]

    load = calling(
        "aeon.distances.dtw_pairwise_distance",
        lambda f: lambda given: f(given[0], window=given[1], n_jobs=1),
    )
    return Contender(f"aeon{'-view' * view}-{SHORT[dtype]}", dtype, load, plain, prepare)


def aeon_pair(dtype: str = "float64") -> Contender:
    """Solve one pair with aeon."""
    load = calling("aeon.distances.dtw_distance", lambda f: lambda data: f(data["x"], data["y"]))
    return Contender(f"aeon-{SHORT[dtype]}", dtype, load, plain)


def aeon_path() -> Contender:
    """Solve one pair with its path with aeon, which returns (path, cost)."""
    path = "aeon.distances.dtw_alignment_path"
    load = calling(path, lambda f: lambda data: f(data["x"], data["y"])[1])
    return Contender("aeon-f64", "float64", load, plain)


def dtaidistance_cdist() -> Contender:
    """Solve a collection with dtaidistance's compiled functions."""

    def prepare(data: Data) -> tuple[Any, dict[str, Any]]:
        x, window = data["x"], data.get("window")
        options = {"window": None if window is None else window + 1, "parallel": False}
        if x[0].ndim == 1:
            return x, options
        return list(x), {"ndim": x[0].shape[1], **options}

    def solve(given: Any) -> Any:
        from dtaidistance import dtw, dtw_ndim

        x, options = given
        return (dtw_ndim if "ndim" in options else dtw).distance_matrix_fast(x, **options)

    return Contender("dtaidistance-f64", "float64", lambda: solve, squared, prepare)


def dtaidistance_pair() -> Contender:
    """Solve one pair with dtaidistance."""
    load = calling(
        "dtaidistance.dtw.distance_fast",
        lambda f: lambda data: f(data["x"], data["y"], use_pruning=False),
    )
    return Contender("dtaidistance-f64", "float64", load, squared)


def dtaidistance_path() -> Contender:
    """Solve one pair with its path with dtaidistance, and count what the path costs."""

    def solve(data: Data) -> Any:
        from dtaidistance import dtw

        x, y = data["x"], data["y"]
        path = np.array(dtw.warping_path_fast(x, y, window=data["window"] + 1))
        return ((x[path[:, 0]] - y[path[:, 1]]) ** 2).sum()

    return Contender("dtaidistance-f64", "float64", lambda: solve, plain)


def dtw_python_pair() -> Contender:
    """Solve one pair with dtw-python, by the step pattern of the same name."""

    def load() -> Any:
        from dtw import dtw, stepPattern

        def solve(data: Data) -> Any:
            step = getattr(stepPattern, data["step"])
            return dtw(data["x"], data["y"], step_pattern=step, distance_only=True).distance

        return solve

    return Contender("dtw-python-f64", "float64", load, plain)


def tslearn_cdist() -> Contender:
    """Solve a collection with tslearn."""

    def prepare(data: Data) -> tuple[Any, dict[str, Any]]:
        if data.get("window") is None:
            return data["x"], {}
        band = {"global_constraint": "sakoe_chiba", "sakoe_chiba_radius": data["window"]}
        return data["x"], band

    load = calling("tslearn.metrics.cdist_dtw", lambda f: lambda given: f(given[0], **given[1]))
    return Contender("tslearn-f64", "float64", load, squared, prepare)


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
