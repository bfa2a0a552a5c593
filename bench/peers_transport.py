"""How transport's peers are called, each in its best mode.

- POT: `ot.sinkhorn` by its methods, and `ot.batch.solve_batch` for batches, on NumPy and on
  PyTorch. They stop by the Euclidean norm of one marginal's error, looked at every tenth iteration.
  What is asked for is the sum of the errors of both marginals, so that the loosest threshold of
  theirs that reaches it is found outside the timing. `sinkhorn` is the quickest while the kernel
  does not underflow, and `sinkhorn_log` is what is left where it does: `sinkhorn_stabilized` ended
  with plans of zeros for three of four thousand-point problems, after 13 to 36 seconds, also from
  the potentials of a greater epsilon, and the 35 rungs of `sinkhorn_epsilon_scaling` take minutes.
- OTT: `Sinkhorn`, jitted and warmed up, without the transfer; batches by `vmap`. Its modes are the
  logarithmic one, plain or with Anderson's acceleration over 8 iterates and a ridge of 1e-8 (of its
  default, 2 iterates and 1e-2, little comes), and adaptive momentum. Accelerated, it looks at one
  marginal of two that are off: half the tolerance is asked of it. Its kernel mode computes the
  kernel anew in each iteration, and is no quicker.

Peers may use both cores, where they can. None of them is told more than what it takes.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contest import SHORT, Contender, Data
from families_transport import Problems

CPUS = len(os.sched_getaffinity(0))
# What XLA takes for the number of CPUs, once it is loaded.
os.environ["NPROC"] = str(CPUS)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a peer's call takes, beside the problems that it is made from."""

    problems: Problems
    given: tuple[Any, ...]
    tol: float


def asked(data: Data) -> tuple[Problems, float, int]:
    """Give the problems, the tolerance, and how many iterations a peer may take."""
    tol = data["tol"]
    return data["problems"], tol, data["of_peers"] if tol else data["max_iterations"]


def in_units(error: float, tol: float, floor: float) -> NDArray[np.float64]:
    """Give an error as a share of what is asked for; of `floor`, where iterations are counted."""
    return np.array([error / (tol or floor)])


# The error that fixed numbers of iterations come to, at the epsilons that they are timed at.
FLOOR = {"float64": 1e-6, "float32": 1e-4}


def of_plans(dtype: str) -> Callable[[Prepared, Any], NDArray[np.float64]]:
    """Judge plans."""

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        one = prepared.problems
        plans = np.asarray(found, np.float64).reshape(one.cost.shape)
        return in_units(one.error(plans), prepared.tol, FLOOR[dtype])

    return costs


def of_potentials(dtype: str) -> Callable[[Prepared, Any], NDArray[np.float64]]:
    """Judge potentials, by the plan that they make in float64."""

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        one = prepared.problems
        f, g = (np.asarray(v, np.float64).reshape(one.count, -1) for v in found[:2])
        return in_units(one.error(one.plans(f, g)), prepared.tol, FLOOR[dtype])

    return costs


# --- POT -----------------------------------------------------------------------------------------

# A method: solve(a, b, cost, epsilon, iterations, threshold) -> plan, and what it logs
Method = Callable[..., Any]


def by_sinkhorn(method: str) -> Method:
    """Give a method of `ot.sinkhorn`."""

    def solve(a: Any, b: Any, cost: Any, epsilon: float, most: int, threshold: float) -> Any:
        import ot

        options = {"numItermax": most, "stopThr": threshold, "warn": False, "log": True}
        return ot.sinkhorn(a, b, cost, epsilon, method=method, **options)

    return solve


POT: Mapping[str, Method] = {
    "sinkhorn": by_sinkhorn("sinkhorn"),
    "log": by_sinkhorn("sinkhorn_log"),
}


def pot(method: str, dtype: str) -> Contender:
    """Solve with POT, one problem a call."""
    run = POT[method]

    def prepare(data: Data) -> Prepared:
        one, tol, most = asked(data)
        weights = (one.a.astype(dtype), one.b.astype(dtype))
        lists = list(zip(*weights, one.cost.astype(dtype), strict=True))
        threshold = 0.0
        if tol:
            threshold = loosest(one, tol, lambda at: solve(Prepared(one, (lists, most, at), tol)))
        return Prepared(one, (lists, most, threshold), tol)

    def solve(prepared: Prepared) -> Any:
        lists, most, threshold = prepared.given
        epsilon = prepared.problems.epsilon
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [run(*each, epsilon, most, threshold)[0] for each in lists]

    def iterations(prepared: Prepared, found: Any) -> int | None:
        # A call of its own says it, outside the timing.
        lists, most, threshold = prepared.given
        if not prepared.tol or len(lists) > 1:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, log = run(*lists[0], prepared.problems.epsilon, most, threshold)
        return int(log["niter"]) + 1

    def load() -> Any:
        from threadpoolctl import threadpool_limits

        threadpool_limits(CPUS, "blas")
        return solve

    name = f"pot-{method}-{SHORT[dtype]}"
    return Contender(name, dtype, load, of_plans(dtype), prepare, iterations=iterations)


# Hundreds of times what the quickest needs in any case.
SECONDS_OF_PATIENCE = 5.0


def loosest(one: Problems, tol: float, solve: Callable[[float], Any]) -> float:
    """Find the loosest threshold with which a peer reaches a tolerance; the least, if none does.

    An error of L in the norm that they look at is one of at most L times the root of the points.
    A peer that has not got there after SECONDS_OF_PATIENCE is asked no further.
    """
    roots = float(np.sqrt(max(one.cost.shape[1:])))
    threshold = tol
    began = time.perf_counter()
    while threshold > tol / roots and time.perf_counter() - began < SECONDS_OF_PATIENCE:
        plans = np.asarray(solve(threshold), np.float64).reshape(one.cost.shape)
        error = one.error(plans)
        # Above that it has not reached its own threshold, and will not reach a lesser one.
        if error <= tol or not error <= 1.1 * roots * threshold:
            return threshold
        threshold /= 3
    return max(threshold, tol / roots)


def solve_batch(dtype: str, *, backend: str, method: str = "log_sinkhorn") -> Contender:
    """Solve a batch with POT's `solve_batch`."""

    def prepare(data: Data) -> Prepared:
        one, tol, most = asked(data)
        given = [v.astype(dtype) for v in (one.cost, one.a, one.b)]
        if backend == "torch":
            import torch

            given = [torch.from_numpy(v) for v in given]
        threshold = 0.0
        if tol:
            threshold = loosest(one, tol, lambda at: solve(Prepared(one, (given, most, at), tol)))
        return Prepared(one, (given, most, threshold), tol)

    def solve(prepared: Prepared) -> Any:
        import ot

        (cost, a, b), most, threshold = prepared.given
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ot.solve_batch(
                cost,
                prepared.problems.epsilon,
                a,
                b,
                max_iter=most,
                tol=threshold,
                method=method,
                grad="detach",
            )
        return found.plan

    def load() -> Any:
        if backend == "torch":
            import torch

            torch.set_num_threads(1)
        return solve

    mode = "" if method == "log_sinkhorn" else "-kernel"
    name = f"pot-batch-{backend}{mode}-{SHORT[dtype]}"
    return Contender(name, dtype, load, of_plans(dtype), prepare)


# --- PyTorch -------------------------------------------------------------------------------------


def torch_on_gpu() -> Contender:
    """Iterate in logarithms with PyTorch on a GPU, where it is there and can use it."""

    def prepare(data: Data) -> Prepared:
        import torch

        one, tol, most = asked(data)
        given = [torch.from_numpy(v.astype(np.float32)).cuda() for v in (one.cost, one.a, one.b)]
        return Prepared(one, (*given, most), tol)

    def load() -> Any:
        try:
            import torch
        except ImportError:
            return None

        def solve(prepared: Prepared) -> Any:
            cost, a, b, most = prepared.given
            epsilon = prepared.problems.epsilon
            f, g = torch.zeros_like(a), epsilon * b.log()
            for k in range(most):
                if k > 0:
                    g = epsilon * (b.log() - ((f[:, :, None] - cost) / epsilon).logsumexp(1))
                f = epsilon * (a.log() - ((g[:, None, :] - cost) / epsilon).logsumexp(2))
            torch.cuda.synchronize()
            return f, g

        return solve if torch.cuda.is_available() else None

    def costs(prepared: Prepared, found: Any) -> NDArray[np.float64]:
        # Below what is asked for, errors are alike.
        return np.maximum(of_potentials("float32")(prepared, [v.cpu() for v in found]), 1)

    return Contender("torch in logarithms", "float32", load, costs, prepare)


# --- OTT -----------------------------------------------------------------------------------------

MODES = ("plain", "anderson", "momentum")


@cache
def ott_solver(mode: str, tol: float, most: int, batch: bool, points: bool) -> Any:
    """Compile OTT's Sinkhorn."""
    import jax
    from ott.geometry import geometry, pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration, sinkhorn

    options: dict[str, Any] = {"max_iterations": most, "inner_iterations": 10}
    if tol == 0:
        options |= {"min_iterations": most, "inner_iterations": most}
    else:
        options |= {"threshold": tol if mode == "plain" else tol / 2}
    if mode == "anderson":
        options["anderson"] = acceleration.AndersonAcceleration(memory=8, ridge_identity=1e-8)
    if mode == "momentum":
        options["momentum"] = acceleration.Momentum(start=20)
    solver = sinkhorn.Sinkhorn(**options)

    def solve(cost: Any, a: Any, b: Any, epsilon: Any) -> Any:
        if points:
            where = pointcloud.PointCloud(*cost, epsilon=epsilon, batch_size=CHUNK)
        else:
            where = geometry.Geometry(cost_matrix=cost, epsilon=epsilon)
        found = solver(linear_problem.LinearProblem(where, a, b))
        return found.f, found.g, found.n_iters

    return jax.jit(jax.vmap(solve, in_axes=(0, 0, 0, None)) if batch else solve)


# Rows of a point cloud that OTT takes at a time: of 64 to 2048, the quickest for 10,000 points.
CHUNK = 256


def ott(mode: str, dtype: str, *, points: bool = False) -> Contender:
    """Solve with OTT."""
    wide = dtype == "float64"

    def prepare(data: Data) -> Prepared:
        import jax

        one, tol, most = asked(data)
        most = most // 10 * 10 if tol else most
        batch = one.count > 1
        with jax.enable_x64(wide):
            cost = tuple(map(jax.numpy.asarray, data["points"])) if points else one.cost
            given: list[Any] = [
                cost if points else jax.numpy.asarray(cost if batch else cost[0], dtype)
            ]
            for v in (one.a, one.b):
                given.append(jax.numpy.asarray(v if batch else v[0], dtype))
            given.append(jax.numpy.asarray(one.epsilon, dtype))
            run = ott_solver(mode, tol, most, batch, points)
            # Compiled for these shapes, whichever round is the first.
            jax.block_until_ready(run(*given))
        return Prepared(one, (run, given), tol)

    def solve(prepared: Prepared) -> Any:
        run, given = prepared.given
        with jax_width(wide):
            f, g, made = run(*given)
            f.block_until_ready()
        return f, g, made

    def iterations(prepared: Prepared, found: Any) -> int | None:
        return int(found[2]) if prepared.tol and prepared.problems.count == 1 else None

    def load() -> Any:
        import jax
        from jax._src.interpreters import batching
        from jax.interpreters import batching as public

        # OTT 0.6.0 asks for it where JAX 0.10 no longer shows it.
        public.is_vmappable = batching.is_vmappable
        jax.devices()
        return solve

    name = f"ott-{mode}-{SHORT[dtype]}"
    return Contender(name, dtype, load, of_potentials(dtype), prepare, iterations=iterations)


def jax_width(wide: bool) -> Any:
    """Give the context in which JAX computes in float64, or not."""
    import jax

    return jax.enable_x64(wide)


# --- the judge -----------------------------------------------------------------------------------


def marginals() -> Contender:
    """Ask for marginals that are met: nobody's call is needed to say so."""

    def costs(prepared: Any, found: Any) -> NDArray[np.float64]:
        return np.zeros(1)

    return Contender("marginals-f64", "float64", lambda: lambda data: None, costs)
