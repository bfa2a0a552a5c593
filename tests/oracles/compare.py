"""Tolerances, each with its reason, and the comparisons that use them."""

from __future__ import annotations

from typing import Any

import numpy as np

#: What the library promises of a cost, relative to it, where the local costs vary: float64 as good
#: as exact, float32 good to 1e-4 after the 20,000 roundings of a path through two series of 10,000
#: frames. No bound says so: it is that roundings of sums that vary go either way, and K of them
#: come to about sqrt(K) eps / 2. Those of a constant cost may all go one way, and only
#: `provable_tolerance` holds.
PROMISED = {"float64": 1e-12, "float32": 1e-4}


def provable_tolerance(dtype: Any, cells: int, dim: int = 1) -> float:
    """Relative error that no path of `cells` costs, of `dim` terms each and none negative, exceeds.

    Each addition along the path rounds by at most eps / 2 of a sum that only grows, and the local
    costs by dim + 3 such roundings, which compound: N. Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., Lemma 3.1 and section 4.2.
    """
    roundings = (cells + dim + 3) * float(np.finfo(dtype).eps) / 2
    return roundings / (1 - roundings)


def relative_tolerance(dtype: Any, steps: int, dim: int = 1) -> float:
    """Error of a sum of `steps` costs of `dim` terms, none negative: one rounding per operation.

    Every path's computed cost is within this of its true cost, so the least of them is too. The
    bound is of first order, in units of eps where the error is in units of eps / 2; past what is
    promised of costs that vary, it is the promise.
    """
    return min(PROMISED[np.dtype(dtype).name], (steps + dim + 4) * float(np.finfo(dtype).eps))


def cosine_tolerance(dtype: Any, steps: int, dim: int) -> float:
    """Absolute error of `steps` cosine costs: 1 - x.y cancels, so each step errs by about eps.

    The unit frames err by (dim / 2 + 4) roundings each, their product by `dim` more.
    """
    return steps * (2 * dim + 8) * float(np.finfo(dtype).eps)


def assert_close(
    actual: Any, expected: Any, dtype: Any, steps: int, *, metric: str, dim: int = 1, what: str = ""
) -> None:
    """Compare costs with the oracle's, under the metric's tolerance."""
    absolute = cosine_tolerance(dtype, steps, dim) if metric == "cosine" else 0.0
    relative = relative_tolerance(dtype, steps, dim)
    np.testing.assert_allclose(actual, expected, rtol=relative, atol=absolute, err_msg=what)


def assert_same_bits(actual: Any, expected: Any, what: str = "") -> None:
    """Compare dtype, shape and every bit: 0 and -0 differ here."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), what
    as_integers = f"u{actual.itemsize}"
    ours = np.ascontiguousarray(actual).reshape(-1).view(as_integers)
    theirs = np.ascontiguousarray(expected).reshape(-1).view(as_integers)
    wrong = np.flatnonzero(ours != theirs)
    assert wrong.size == 0, (
        f"{what}: {wrong.size} of {ours.size} differ, the first at {wrong[0]}: "
        f"{actual.reshape(-1)[wrong[0]]!r} for {expected.reshape(-1)[wrong[0]]!r}"
    )


#: What the library promises of a matching's total, relative to the sum of |cost| over its pairs:
#: the solver compares sums of a few costs and duals, and takes one of two matchings for the better
#: only where these roundings hide which is.
PROMISED_TOTAL = {"float64": 1e-12, "float32": 1e-6}


def total_tolerance(dtype: Any, paired: Any) -> float:
    """Absolute error of the total over pairs of these costs, against the optimum."""
    return PROMISED_TOTAL[np.dtype(dtype).name] * float(np.abs(np.asarray(paired, float)).sum())


def dual_tolerance(dtype: Any, n: int, m: int) -> float:
    """Error of one inequality of the duals, relative to the costs and duals around it.

    A dual is changed once by each of at most n + m paths, by sums of two roundings each, whose
    signs vary: 8 sqrt(n + m) of them are 4 standard deviations.
    """
    return 8 * float(np.sqrt(n + m + 1)) * float(np.finfo(dtype).eps)
