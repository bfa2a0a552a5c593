"""Optimal transport between Gaussians, which has closed forms."""

from __future__ import annotations

from typing import Any

from . import _gaussian
from ._gaussian_result import GaussianBarycenter

__all__ = ["GaussianBarycenter", "gaussian_barycenter", "wasserstein_gaussian"]


def wasserstein_gaussian(mean1: Any, cov1: Any, mean2: Any, cov2: Any) -> Any:
    r"""Return the squared 2-Wasserstein distance between Gaussians (Bures, Fréchet distance).

    W₂² = ‖mean1 - mean2‖² + tr(cov1) + tr(cov2) - 2 tr((cov1^½ cov2 cov1^½)^½), the least mean
    squared distance between a point of one Gaussian and its partner in the other. The distance W₂
    itself is its square root.

    Parameters
    ----------
    mean1 : array of shape (d,) or (B, d), or list of (d,) arrays
        The mean of one Gaussian, of a batch, or of a ragged batch.
    cov1 : array of shape (d, d) or (B, d, d), or list of (d, d) arrays
        Its covariance, symmetric and positive semi-definite up to rounding: to the square root of
        the dtype's precision, relative to the largest entry and eigenvalue. It may be singular, or
        zero for a single point.
    mean2, cov2 : arrays or lists of arrays
        The other Gaussian, likewise. Any of the four may be one where others are many.

    Returns
    -------
    scalar, or array of shape (B,)
        W₂² in the squared unit of the means, of the arguments' kind and dtype: never negative, and
        0 for equal Gaussians. It is computed in float64 and rounded once.

    Raises
    ------
    ValueError
        A shape is wrong, a value is NaN or infinite, or a covariance is not symmetric or has a
        negative eigenvalue.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    DeviceError
        An array lies on a GPU. This function computes on the CPU; copy the array there.

    Warns
    -----
    RuntimeWarning
        A result overflows its dtype and is inf.

    Notes
    -----
    With cov = L Lᵀ, W₂² of the centred Gaussians is the least ‖L₁ - L₂U‖²_F over orthogonal U.
    Where they are so close that the traces would cancel, U is computed, the polar factor of L₂ᵀL₁,
    so that the distance keeps its digits: for well-conditioned covariances W₂ errs by a few d·2⁻⁵²
    of the standard deviations, however small it is.

    References
    ----------
    * I. Olkin, F. Pukelsheim: The distance between two random vectors with given dispersion
      matrices. Linear Algebra and its Applications 48 (1982).
    * R. Bhatia, T. Jain, Y. Lim: On the Bures-Wasserstein distance between positive definite
      matrices. Expositiones Mathematicae 37 (2019).

    Examples
    --------
    >>> import coalign
    >>> float(coalign.wasserstein_gaussian([0.0, 0.0], [[4.0, 0.0], [0.0, 1.0]],
    ...                                    [3.0, 0.0], [[1.0, 0.0], [0.0, 0.0]]))
    11.0
    """
    return _gaussian.squared_distance(mean1, cov1, mean2, cov2)


def gaussian_barycenter(
    means: Any, covs: Any, weights: Any = None, *, tol: float = 1e-9, max_iterations: int = 1000
) -> GaussianBarycenter:
    """Return the 2-Wasserstein barycenter of Gaussians, which is a Gaussian.

    It is the Gaussian with the least Σ_k w_k W₂² to the given ones. Its mean is the weighted mean;
    its covariance is found by fixed-point iteration.

    Parameters
    ----------
    means : array of shape (K, d) or (B, K, d), or list of (K, d) arrays
        Means of K Gaussians: one problem, a batch, or a ragged batch.
    covs : array of shape (K, d, d) or (B, K, d, d), or list of (K, d, d) arrays
        Their covariances, as in `wasserstein_gaussian`; they may be singular.
    weights : array of shape (K,) or (B, K), or list of (K,) arrays, optional
        How much each Gaussian counts, at least 0; they are divided by their sum. None: all count
        the same.
    tol : float
        The residual at which a problem has converged. 0 is hardly ever met.
    max_iterations : int
        The largest number of iterations, at least 1.

    Returns
    -------
    GaussianBarycenter
        Mean, covariance, and how well the covariance meets the equation of a barycenter, as arrays
        of the arguments' kind and dtype. It is computed in float64 and rounded once.

    Raises
    ------
    ValueError
        A shape, a weight or an option is wrong, a value is NaN or infinite, or a covariance is not
        symmetric or has a negative eigenvalue.
    TypeError
        A dtype or kind of array is wrong, or a tensor requires grad.
    DeviceError
        An array lies on a GPU. This function computes on the CPU; copy the array there.

    Warns
    -----
    ConvergenceWarning
        A problem did not reach `tol`; its status is NOT_CONVERGED, and its residual says how far
        it came.

    Notes
    -----
    The iteration S ← T S T, where T = Σ_k w_k T_k averages the optimal maps from S to each one, is
    that of the reference. Here it is written for factors: F ← Σ_k w_k L_k U_k, where
    cov_k = L_k L_kᵀ and U_k is the orthogonal matrix that brings L_k U_k closest to F. It inverts
    nothing, so covariances may be singular; if one of them is not, the barycenter is unique. An
    iteration takes K singular value decompositions.

    References
    ----------
    * P. C. Álvarez-Esteban, E. del Barrio, J. A. Cuesta-Albertos, C. Matrán: A fixed-point approach
      to barycenters in Wasserstein space. Journal of Mathematical Analysis and Applications 441
      (2016).

    Examples
    --------
    >>> import coalign
    >>> found = coalign.gaussian_barycenter([[0.0], [2.0]], [[[1.0]], [[9.0]]])
    >>> found.mean.tolist(), found.cov.round(6).tolist()
    ([1.0], [[4.0]])
    """
    return _gaussian.barycenter(means, covs, weights, tol, max_iterations)
