"""Partial transport: the plan that moves a given part of the mass, where it is cheapest."""

from __future__ import annotations

from typing import Any

from . import _core
from ._partial_result import PartialTransport

__all__ = ["PartialTransport", "partial_transport"]


def partial_transport(
    cost: Any,
    a: Any = None,
    b: Any = None,
    *,
    mass: Any,
    epsilon: Any,
    tol: float = 1e-4,
    max_iterations: int = 10_000,
    row_lengths: Any = None,
    col_lengths: Any = None,
    threads: int | None = None,
    device: str | None = None,
) -> PartialTransport:
    """Move a given part of the mass of the rows of a cost matrix, at the least regularised cost.

    Minimises Σ P_ij C_ij + ε KL(P | a bᵀ) over the plans P ≥ 0 of the mass Σ P_ij = `mass`, whose
    row sums are at most a and whose column sums are at most b. What is not worth moving stays.

    Parameters
    ----------
    cost : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs of one problem, a padded batch, or a ragged batch. +inf forbids a pair.
    a, b : array of shape (N,) and (M,), (B, N) and (B, M), or list of such arrays, optional
        The most that each row gives and each column takes, at least 0; their masses may differ. One
        vector goes with every problem of a batch, and one matrix of costs with every vector. None
        means equal weights of mass 1.
    mass : float, or array of shape (B,)
        How much is moved: above 0, and no more than the lesser of the masses of a and b, to 1e-6 of
        it (float32: 1e-4).
    epsilon : float, or array of shape (B,)
        The regularisation ε > 0, in the costs' unit.
    tol : float
        The marginal error to reach. 0 makes exactly `max_iterations` plain updates instead.
    max_iterations : int
        The largest number of updates of all potentials.
    row_lengths, col_lengths : int array of shape (B,), optional
        Numbers of rows and columns of each problem in a padded batch. What lies past them, of costs
        and of weights, is never read.
    threads : int, optional
        The largest number of threads, as in `sinkhorn`.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute: transport runs on the CPU, so "cuda" is refused.

    Returns
    -------
    PartialTransport
        Potentials, costs and the error that is left, as arrays of the input's kind. float16,
        bfloat16 and float32 costs give potentials of float32, others of float64.

    Raises
    ------
    ValueError
        A shape, length, weight or option is wrong, `mass` is more than there is, or a cost is NaN
        or -inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        The rows that have a finite cost against a column with weight hold less than `mass`.
    DeviceError
        The device cannot be used.

    Warns
    -----
    ConvergenceWarning
        The marginal error of a problem is greater than `tol`. Forbidden pairs may leave less than
        `mass` to move; where that is not seen from the rows alone, it ends in this warning.

    Notes
    -----
    The plan has the form a_i b_j exp(λ + F_i + G_j - C_ij / ε), where F_i is 0 for a row that keeps
    some of its mass and less for one that gives all, and G_j likewise. The entropy is that of the
    plan: to add a dummy row and column that take the rest regularises the rest as well, which is
    another problem. F follows from G and λ, and then G and λ together from F; ε is lowered in
    steps, and the iteration is accelerated.

    References
    ----------
    * J.-D. Benamou, G. Carlier, M. Cuturi, L. Nenna, G. Peyré: Iterative Bregman projections for
      regularized transportation problems. SIAM Journal on Scientific Computing 37 (2015),
      section 5.
    * L. Chapel, M. Z. Alaya, G. Gasso: Partial optimal transport with applications on
      positive-unlabeled learning. NeurIPS (2020).

    Examples
    --------
    >>> import coalign
    >>> cost = [[0.0, 5.0], [5.0, 9.0]]
    >>> found = coalign.partial_transport(cost, mass=0.5, epsilon=0.1)
    >>> found.plan().round(3).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    return _core.partial_transport(
        cost,
        a,
        b,
        mass,
        epsilon,
        tol,
        max_iterations,
        row_lengths,
        col_lengths,
        threads,
        device,
    )
