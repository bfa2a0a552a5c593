"""Transport: soft plans that move the mass of one set to another at the least cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core
from ._transport_result import Transport

if TYPE_CHECKING:
    from ._progress import Progress

__all__ = [
    "Transport",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_divergence_points",
    "sinkhorn_points",
]


def sinkhorn(
    cost: Any,
    a: Any = None,
    b: Any = None,
    *,
    epsilon: Any,
    unbalanced: Any = None,
    tol: float = 1e-4,
    max_iterations: int = 10_000,
    initial: Any = None,
    row_lengths: Any = None,
    col_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
    progress: Progress = False,
) -> Transport:
    """Move the mass of the rows of a cost matrix to its columns, at the least regularised cost.

    Minimises Σ P_ij C_ij + ε KL(P | a bᵀ) over the plans P ≥ 0 with the row sums a and the column
    sums b. As ε goes to 0, the plan becomes that of optimal transport. With `unbalanced` the sums
    may differ from a and b, at ρ_a KL(P1 | a) + ρ_b KL(Pᵀ1 | b).

    Parameters
    ----------
    cost : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs of one problem, a padded batch, or a ragged batch. +inf forbids a pair. Rows of unit
        stride are the fastest.
    a, b : array of shape (N,) and (M,), (B, N) and (B, M), or list of such arrays, optional
        Weights of the rows and the columns, at least 0 and of equal mass, to 1e-6 of it (float32:
        1e-4). One vector goes with every problem of a batch, and one matrix of costs with every
        vector. None means equal weights of mass 1.
    epsilon : float, or array of shape (B,)
        The regularisation ε > 0, in the costs' unit: neither relative to the costs nor to their
        spread.
    unbalanced : float, or pair of floats, optional
        What a unit of divergence from the marginals costs: ρ, or (ρ_a, ρ_b), each greater than 0.
        inf stands for a marginal that is met. The masses of a and b may then differ.
    tol : float
        The marginal error to reach. 0 makes exactly `max_iterations` plain updates instead, without
        acceleration and without a warning.
    max_iterations : int
        The largest number of updates of both potentials.
    initial : Transport, or pair (f, g), optional
        Potentials to start from, of the same shape.
    row_lengths, col_lengths : int array of shape (B,), optional
        Numbers of rows and columns of each problem in a padded batch. What lies past them, of costs
        and of weights, is never read.
    threads : int, optional
        The largest number of threads. None means COALIGN_NUM_THREADS if it is set, else the CPUs
        that this process may use.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute. None: where `cost` lies, on a GPU on its library's current stream. "cuda"
        takes host arrays to the GPU and the result back; "auto" does so for much work.
    progress : bool or callable
        True shows a tqdm bar. A callable f(done, total) is called in the calling thread with
        numbers of problems of a batch, or of iterations of one problem, which may end long before
        `max_iterations`; but not if there are no problems.

    Returns
    -------
    Transport
        Potentials, costs and the error that is left, as arrays of the input's kind. float16,
        bfloat16 and float32 costs are computed in float32, others in float64; the weights follow.

    Raises
    ------
    ValueError
        A shape, length, weight or option is wrong, the masses differ, or a cost is NaN or -inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        A row or a column has weight, and no finite cost against anything that has.
    DeviceError
        The device cannot be used.

    Warns
    -----
    ConvergenceWarning
        The marginal error of a problem is greater than `tol`. Its status is NOT_CONVERGED where
        more iterations would help, and PRECISION_LIMIT where the dtype cannot hold better
        potentials.

    References
    ----------
    * M. Cuturi: Sinkhorn distances: lightspeed computation of optimal transport. NeurIPS (2013).
    * B. Schmitzer: Stabilized sparse scaling algorithms for entropy regularized transport problems.
      SIAM Journal on Scientific Computing 41 (2019).
    * L. Chizat, G. Peyré, B. Schmitzer, F.-X. Vialard: Scaling algorithms for unbalanced optimal
      transport problems. Mathematics of Computation 87 (2018).

    Examples
    --------
    >>> import coalign
    >>> found = coalign.sinkhorn([[0.0, 1.0], [1.0, 0.0]], epsilon=0.1)
    >>> round(float(found.cost), 6), bool(found.converged)
    (4.5e-05, True)
    """
    return _core.sinkhorn(
        cost,
        a,
        b,
        epsilon,
        unbalanced,
        tol,
        max_iterations,
        initial,
        row_lengths,
        col_lengths,
        threads,
        device,
        progress,
    )


def sinkhorn_points(
    x: Any,
    y: Any,
    a: Any = None,
    b: Any = None,
    *,
    epsilon: Any,
    metric: str = "sqeuclidean",
    unbalanced: Any = None,
    tol: float = 1e-4,
    max_iterations: int = 10_000,
    initial: Any = None,
    x_lengths: Any = None,
    y_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
    progress: Progress = False,
) -> Transport:
    """Move the mass of a point cloud to another, without ever forming the matrix of costs.

    The problem and its answer are those of `sinkhorn` with the costs C_ij = c(x_i, y_j), which are
    made where they are used: memory is O((N + M) D). float32 clouds are moved to their common
    centre in float64 first, and solved in float64 where ε is so small that float32 potentials
    cannot tell the plan.

    Parameters
    ----------
    x, y : array of shape (N, D) and (M, D), (B, N, D) and (B, M, D), or list of (N, D) arrays
        The points of one problem, a padded batch, or a ragged batch. One cloud against a batch goes
        with each of its items. (N,) stands for N points on a line. All coordinates are finite.
    a, b : array of shape (N,) and (M,), (B, N) and (B, M), or list of such arrays, optional
        Weights of the points, as in `sinkhorn`.
    epsilon : float, or array of shape (B,)
        The regularisation ε > 0, in the costs' unit.
    metric : {"sqeuclidean", "euclidean", "cosine", "dot"}
        The costs: ‖x - y‖², ‖x - y‖, 1 - x·y / (‖x‖ ‖y‖) (1 if either norm is 0), or -x·y.
    unbalanced : float, or pair of floats, optional
        What a unit of divergence from the marginals costs, as in `sinkhorn`.
    tol : float
        The marginal error to reach. 0 makes exactly `max_iterations` plain updates instead.
    max_iterations : int
        The largest number of updates of both potentials.
    initial : Transport, or pair (f, g), optional
        Potentials to start from, of the same shape.
    x_lengths, y_lengths : int array of shape (B,), optional
        Numbers of points of each problem in a padded batch. What lies past them is never read.
    threads : int, optional
        The largest number of threads, as in `sinkhorn`.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute, as in `sinkhorn`: None is where the clouds lie.
    progress : bool or callable
        True shows a tqdm bar. A callable f(done, total) is called in the calling thread with
        numbers of problems of a batch, or of iterations of one problem, which may end long before
        `max_iterations`; but not if there are no problems.

    Returns
    -------
    Transport
        As of `sinkhorn`. Its `cost_matrix` holds the clouds and the metric.

    Raises
    ------
    ValueError
        A shape, length, weight or option is wrong, the masses differ, or a coordinate is NaN or
        infinite.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    DeviceError
        The device cannot be used.

    Warns
    -----
    ConvergenceWarning
        The marginal error of a problem is greater than `tol`.

    References
    ----------
    * M. Cuturi: Sinkhorn distances: lightspeed computation of optimal transport. NeurIPS (2013).

    Examples
    --------
    >>> import coalign
    >>> x, y = [[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.1], [0.0, 0.2]]
    >>> found = coalign.sinkhorn_points(x, y, epsilon=0.1)
    >>> round(float(found.cost), 4), bool(found.converged)
    (0.025, True)
    """
    return _core.sinkhorn_points(
        x,
        y,
        a,
        b,
        epsilon,
        metric,
        unbalanced,
        tol,
        max_iterations,
        initial,
        x_lengths,
        y_lengths,
        threads,
        device,
        progress,
    )


def sinkhorn_divergence(
    cost_xy: Any,
    cost_xx: Any,
    cost_yy: Any,
    a: Any = None,
    b: Any = None,
    *,
    epsilon: Any,
    tol: float = 1e-4,
    max_iterations: int = 10_000,
    row_lengths: Any = None,
    col_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
) -> Any:
    """Compare two weighted sets by transport, without the bias of its regularisation.

    OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2, where OT is the least Σ P_ij C_ij + ε KL(P | a bᵀ). It
    is exactly 0 for a set and itself. For costs whose exp(-C / ε) is positive definite, as of
    squared and of plain Euclidean distances, it is never negative.

    Parameters
    ----------
    cost_xy : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs between the sets of each problem.
    cost_xx, cost_yy : array of shape (N, N) and (M, M), and so on
        Costs within each of the sets.
    a, b : array, or list of arrays, optional
        Weights of the sets, as in `sinkhorn`.
    epsilon : float, or array of shape (B,)
        The regularisation ε > 0, in the costs' unit.
    tol : float
        The marginal error of each of the three problems. The result is off by about its square,
        times the spread of the costs or ε, whichever is greater.
    max_iterations : int
        The largest number of updates of both potentials, for each of the three.
    row_lengths, col_lengths : int array of shape (B,), optional
        Sizes of the sets of each problem in a padded batch.
    threads : int, optional
        The largest number of threads, as in `sinkhorn`.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute: this runs on the CPU, so "cuda" is refused.

    Returns
    -------
    float64 scalar, or array of shape (B,)
        The divergence, in the costs' unit times mass.

    Raises
    ------
    ValueError
        A shape, length, weight or option is wrong, or a cost is NaN or -inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        A row or a column has weight, and no finite cost against anything that has.
    DeviceError
        The device cannot be used.

    Warns
    -----
    ConvergenceWarning
        The marginal error of a problem is greater than `tol`, as in `sinkhorn`.

    References
    ----------
    * J. Feydy, T. Séjourné, F.-X. Vialard, S. Amari, A. Trouvé, G. Peyré: Interpolating between
      optimal transport and MMD using Sinkhorn divergences. AISTATS (2019).

    Examples
    --------
    >>> import coalign
    >>> import numpy as np
    >>> x, y = np.array([0.0, 1.0]), np.array([2.0, 3.0])
    >>> costs = [(p[:, np.newaxis] - q) ** 2 for p, q in ((x, y), (x, x), (y, y))]
    >>> round(float(coalign.sinkhorn_divergence(*costs, epsilon=0.5)), 6)
    4.0
    """
    # Imported at first use: plain calls of `sinkhorn` do without it.
    from . import _transport_plan

    return _transport_plan.divergence(
        (cost_xy, cost_xx, cost_yy),
        (a, b),
        (epsilon, None, tol, max_iterations, None),
        (row_lengths, col_lengths),
        (threads, device),
    )


def sinkhorn_divergence_points(
    x: Any,
    y: Any,
    a: Any = None,
    b: Any = None,
    *,
    epsilon: Any,
    metric: str = "sqeuclidean",
    tol: float = 1e-4,
    max_iterations: int = 10_000,
    x_lengths: Any = None,
    y_lengths: Any = None,
    gradients: bool = False,
    threads: int | None = None,
    device: str | None = None,
) -> Any:
    """Compare two point clouds by transport, without the bias of its regularisation.

    The divergence is that of `sinkhorn_divergence`, with costs that are made where they are used:
    memory is O((N + M) D). It is exactly 0 for a cloud and itself, as are its gradients, and never
    negative: what rounding takes below 0 is 0.

    Parameters
    ----------
    x, y : array of shape (N, D) and (M, D), (B, N, D) and (B, M, D), or list of (N, D) arrays
        The points, as in `sinkhorn_points`. One cloud against a batch goes with each of its items.
    a, b : array of shape (N,) and (M,), (B, N) and (B, M), or list of such arrays, optional
        Weights of the points, as in `sinkhorn`.
    epsilon : float, or array of shape (B,)
        The regularisation ε > 0, in the costs' unit.
    metric : {"sqeuclidean", "euclidean", "cosine", "dot"}
        The costs, as in `sinkhorn_points`.
    tol : float
        The marginal error of each of the three problems. The value is off by about its square, and
        the gradients by about itself, times the spread of the costs or ε, whichever is greater.
    max_iterations : int
        The largest number of updates of both potentials, for each of the three.
    x_lengths, y_lengths : int array of shape (B,), optional
        Numbers of points of each problem in a padded batch. What lies past them is never read.
    gradients : bool
        Whether to return the derivatives by the points as well: the divergence is then a loss.
    threads : int, optional
        The largest number of threads, as in `sinkhorn`.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute: transport runs on the CPU, so "cuda" is refused.

    Returns
    -------
    float64 scalar, or array of shape (B,)
        The divergence, in the costs' unit times mass. With `gradients`, a named tuple of `value`,
        and of `x` and `y`, the derivatives, of the shapes of the points and of the dtype of the
        computation: those of each problem, also by a cloud that goes with many.

    Raises
    ------
    ValueError
        A shape, length, weight or option is wrong, or a coordinate is NaN or infinite.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    DeviceError
        The device cannot be used.

    Warns
    -----
    ConvergenceWarning
        The marginal error of a problem is greater than `tol`, as in `sinkhorn`.

    References
    ----------
    * J. Feydy, T. Séjourné, F.-X. Vialard, S. Amari, A. Trouvé, G. Peyré: Interpolating between
      optimal transport and MMD using Sinkhorn divergences. AISTATS (2019).

    Examples
    --------
    >>> import coalign
    >>> found = coalign.sinkhorn_divergence_points(
    ...     [0.0, 1.0], [2.0, 3.0], epsilon=0.5, tol=1e-9, gradients=True
    ... )
    >>> round(float(found.value), 6), found.x.round(6).tolist()
    (4.0, [-2.0, -2.0])
    """
    return _core.sinkhorn_divergence_points(
        x,
        y,
        a,
        b,
        epsilon,
        metric,
        tol,
        max_iterations,
        x_lengths,
        y_lengths,
        gradients,
        threads,
        device,
    )
