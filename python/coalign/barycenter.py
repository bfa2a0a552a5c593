"""Barycenters of histograms by transport."""

from __future__ import annotations

from typing import Any

from . import _core
from ._barycenter_result import SinkhornBarycenter

__all__ = ["SinkhornBarycenter", "sinkhorn_barycenter"]


def sinkhorn_barycenter(
    a: Any,
    cost: Any,
    *,
    weights: Any = None,
    epsilon: Any,
    tol: float = 1e-4,
    max_iterations: int = 10_000,
    threads: int | None = None,
    device: str | None = None,
) -> SinkhornBarycenter:
    """Return the histogram that is nearest to several ones, by entropic transport.

    Of all histograms p beside the columns of the cost it finds the one with the least
    Σ_k w_k OT(a_k, p), where OT(a, p) is the least Σ P_ij C_ij + ε Σ P_ij (log P_ij - 1) over the
    plans with the row sums a and the column sums p.

    Parameters
    ----------
    a : array of shape (K, N), (B, K, N), or list of (K, N) arrays
        K histograms: weights of at least 0, of equal mass, to 1e-6 of it (float32: 1e-3). One
        problem, a batch, or a ragged batch.
    cost : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        Costs from what the histograms count to what the barycenter counts, which are usually the
        same. One matrix goes with every problem of a batch. +inf forbids a pair.
    weights : array of shape (K,) or (B, K), or list of (K,) arrays, optional
        How much each histogram counts, at least 0; they are divided by their sum. None: all count
        the same.
    epsilon : float, or array of shape (B,)
        The regularisation ε > 0, in the costs' unit. It blurs the barycenter.
    tol : float
        The marginal error to reach. 0 makes exactly `max_iterations` plain updates instead.
    max_iterations : int
        The largest number of updates.
    threads : int, optional
        The largest number of threads, as in `sinkhorn`.
    device : {None, "cpu", "cuda", "auto"}
        Where to compute: transport runs on the CPU, so "cuda" is refused.

    Returns
    -------
    SinkhornBarycenter
        The barycenter, and the error that is left, as arrays of the input's kind and dtype. The
        computation is in float64.

    Raises
    ------
    ValueError
        A shape, weight or option is wrong, masses differ, or a cost is NaN or -inf.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    InfeasibleError
        A row has weight in a histogram, and no finite cost against a column that all histograms
        reach.
    DeviceError
        The device cannot be used.

    Warns
    -----
    ConvergenceWarning
        The marginal error of a problem is greater than `tol`.

    Notes
    -----
    Bregman projections onto the two sets of marginals by turns, in logarithms where numbers would
    not hold the scalings; ε is lowered in steps, and the iteration is accelerated.

    References
    ----------
    * J.-D. Benamou, G. Carlier, M. Cuturi, L. Nenna, G. Peyré: Iterative Bregman projections for
      regularized transportation problems. SIAM Journal on Scientific Computing 37 (2015),
      section 3.

    Examples
    --------
    >>> import coalign
    >>> import numpy as np
    >>> place = np.arange(5.0)
    >>> ends = [[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    >>> found = coalign.sinkhorn_barycenter(ends, (place[:, np.newaxis] - place) ** 2, epsilon=0.1)
    >>> found.weights.round(3).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    return _core.sinkhorn_barycenter(
        a, cost, weights, epsilon, tol, max_iterations, threads, device
    )
