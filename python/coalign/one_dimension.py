"""Optimal transport on a line: exact, by sorting."""

from __future__ import annotations

from typing import Any

from . import _one_dimension

__all__ = ["wasserstein_1d"]


def wasserstein_1d(x: Any, y: Any, a: Any = None, b: Any = None, *, p: float = 1) -> Any:
    """Return the least cost of moving one sample onto another on a line: W_p to the power p.

    Of all plans P ≥ 0 with the row sums a and the column sums b it finds the least
    ``Σ P_ij |x_i - y_j|^p``. On a line that is the plan which keeps the order, so it is exact. The
    distance W_p itself is ``wasserstein_1d(x, y, p=p) ** (1 / p)``.

    Parameters
    ----------
    x : array of shape (n,) or (B, n), or list of (n,) arrays
        Positions, in any order: one sample, a batch, or a ragged batch.
    y : array of shape (m,) or (B, m), or list of (m,) arrays
        The other positions. One sample against a batch is taken for each item of it.
    a, b : array of the shape of x, of y or of one of their items, or list of arrays, optional
        The mass at each position, at least 0. Both sides have to agree in all to 1e-6 of it, 1e-4
        for float32 positions. None: the same at each position, 1 in all, or as much as the other
        side has. The result grows with the mass: for weights that do not sum to 1, divide it by
        their sum.
    p : float
        The power of the distance, at least 1.

    Returns
    -------
    scalar, or array of shape (B,)
        W_p^p in the positions' unit to the power p, of the positions' kind and dtype. It is
        computed in float64 and rounded once.

    Raises
    ------
    ValueError
        A shape, a weight or `p` is wrong, masses differ, or a value is NaN or infinite.
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
    Without weights it sorts both sides and takes O((n + m) log(n + m)) time; weights make it about
    three times slower. Only differences of positions are used, so a large offset costs no digits.
    Zero weights may pad a batch.

    References
    ----------
    * F. Santambrogio: Optimal Transport for Applied Mathematicians, chapter 2. Birkhäuser (2015).

    Examples
    --------
    >>> import coalign
    >>> float(coalign.wasserstein_1d([0.0, 1.0, 3.0], [5.0, 6.0, 8.0]))
    5.0
    >>> float(coalign.wasserstein_1d([0.0, 1.0], [3.0], [0.25, 0.75], [1.0], p=2)) ** 0.5
    2.29128784747792
    """
    return _one_dimension.cost(x, y, a, b, p)
