"""Distances between Gaussians in 120 decimal digits: slow, and close to the formula."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np

DIGITS = 120
# What makes a singular covariance invertible; it moves the distance by 1e-20 of the square root.
RIDGE = Decimal("1e-40")


def decimals(array: Any) -> Any:
    """The exact values of an array of floats."""
    array = np.asarray(array, np.float64)
    values = np.array([Decimal(float(value)) for value in array.reshape(-1)], object)
    return values.reshape(array.shape)


def inverse(matrix: Any) -> Any:
    """Gauss and Jordan's, with pivots from the diagonal's column."""
    size = len(matrix)
    work = np.concatenate([matrix, decimals(np.eye(size))], axis=1)
    for column in range(size):
        pivot = column + max(range(size - column), key=lambda row: abs(work[column + row, column]))
        work[[column, pivot]] = work[[pivot, column]]
        work[column] = work[column] / work[column, column]
        for row in range(size):
            if row != column:
                work[row] = work[row] - work[row, column] * work[column]
    return work[:, size:]


def trace_of_root(matrix: Any) -> Decimal:
    """The trace of the square root of a matrix with positive eigenvalues (Denman and Beavers)."""
    root, other = matrix, decimals(np.eye(len(matrix)))
    for _ in range(400):
        after = (root + inverse(other)) / 2
        other = (other + inverse(root)) / 2
        moved, root = abs(np.trace(after) - np.trace(root)), after
        if moved <= abs(np.trace(root)) * Decimal(10) ** (10 - DIGITS):
            return Decimal(np.trace(root))
    raise AssertionError("the square root did not converge")


def squared_distance(mean1: Any, cov1: Any, mean2: Any, cov2: Any) -> float:
    """|m1 - m2|² + tr A + tr B - 2 tr (AB)^½, whose root has the eigenvalues of the usual one."""
    with localcontext() as context:
        context.prec = DIGITS
        mean1, mean2 = decimals(mean1), decimals(mean2)
        ridge = RIDGE * decimals(np.eye(len(mean1)))
        cov1, cov2 = decimals(cov1) + ridge, decimals(cov2) + ridge
        shift = mean1 - mean2
        traces = np.trace(cov1) + np.trace(cov2) - 2 * trace_of_root(cov1 @ cov2)
        return float(shift @ shift + traces)
