"""Distances between Gaussians, and their barycenters, through factors of their covariances."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ._arrays import Array, compute_dtype
from ._closed_form import Problems, blocks, cut, delivered, in_kind, is_plain, take_items
from ._errors import ConvergenceWarning, Status
from ._gaussian_result import GaussianBarycenter
from ._scalars import take_count, take_real

# A decomposition takes about so many times d³ operations, in units of a sort's comparison.
_WORK = 8
# Traces cancel to an error of a few d eps of them. Above this share of them that is left alone;
# below it a second decomposition, two to five times as long as the first, saves the digits.
_CLOSE = 0.01
# Between these traces neither a product of two factors nor one of its squares leaves the range.
_LEAST, _MOST = 1e-130, 1e150
_EPSILON = float(np.finfo(np.float64).eps)
_sum = np.add.reduce


def squared_distance(mean1: Any, cov1: Any, mean2: Any, cov2: Any) -> Any:
    """Return what `coalign.wasserstein_gaussian` does."""
    found = _alone(mean1, cov1, mean2, cov2)
    if found is not None:
        return found
    sides = [
        take_items(mean1, "mean1", 1),
        take_items(cov1, "cov1", 2),
        take_items(mean2, "mean2", 1),
        take_items(cov2, "cov2", 2),
    ]
    problems = Problems(sides)
    problems.check()
    for shapes in problems.shapes():
        (name, (dim,)) = shapes[0]
        if dim == 0:
            raise ValueError(f"{name}: expected at least one dimension, got shape (0,)")
        for other, shape in shapes[1:]:
            _require_shape(other, shape, (dim,) * len(shape), name)
    dtype = compute_dtype(*(array for side in sides for array in side.arrays))
    roots = Problems([side.changed(_factors) if side.name[:3] == "cov" else side for side in sides])
    found = np.empty(len(problems))
    with np.errstate(over="ignore"):
        for places, arrays in roots.by_shape():
            distances = found[places]
            work = _WORK * distances.size * arrays[0].shape[-1] ** 3
            for part in blocks(distances.size, work):
                distances[part] = _between(*cut(arrays, part))
            found[places] = distances
    return delivered("wasserstein_gaussian", found, problems, dtype)


def _alone(mean1: Any, cov1: Any, mean2: Any, cov2: Any) -> Any:
    """Return the squared distance of two plain Gaussians, to the bits of any other way.

    None for what is not plain, or has to be looked at. A call on five dimensions takes a quarter of
    what it takes by way of batches.
    """
    given = mean1, cov1, mean2, cov2
    for array, ndim in zip(given, (1, 2, 1, 2), strict=True):
        if not is_plain(array, ndim) or array.dtype != np.float64:
            return None
    shape = cov1.shape
    if not shape[0] == shape[1] == len(mean1) == len(mean2) > 0 or cov2.shape != shape:
        return None
    # NaN is not less, and what is less does not overflow.
    if not sum(np.vdot(array, array) for array in given) < _MOST:
        return None
    if not ((cov1 == cov1.T).all() and (cov2 == cov2.T).all()):
        return None
    try:
        root1, root2 = np.linalg.cholesky(cov1), np.linalg.cholesky(cov2)
    except np.linalg.LinAlgError:
        return None
    for root, cov in ((root1, cov1), (root2, cov2)):
        pivots = root.diagonal()
        if (pivots * pivots < _rounding(cov) * cov.diagonal()).any():
            return None
    traces = _sum((root1 * root1).ravel()) + _sum((root2 * root2).ravel())
    found = traces - 2 * _sum(np.linalg.svd(root2.T @ root1, compute_uv=False))
    if not _LEAST < traces < _MOST or found <= _CLOSE * traces:
        return None
    shift = mean1 - mean2
    return found + _sum(shift * shift)


def _require_shape(name: str, shape: tuple[int, ...], wanted: tuple[int, ...], beside: str) -> None:
    if shape != wanted:
        raise ValueError(f"{name}: expected shape {wanted} to go with {beside}, got shape {shape}")


def _between(mean1: Array, root1: Array, mean2: Array, root2: Array) -> Array:
    """Return the squared distances of a few pairs, given factors of the covariances."""
    # In one order, so that the sum is taken in one order, whatever the strides were.
    shift = mean1.astype(np.float64, order="C") - mean2.astype(np.float64, order="C")
    apart = (shift * shift).sum(-1)
    traces = _squares(root1) + _squares(root2)
    is_plain = (traces > _LEAST) & (traces < _MOST)
    if not is_plain.all():
        return np.asarray(_scaled(root1, root2, is_plain) + apart)
    product = root2.swapaxes(-1, -2) @ root1
    found = traces - 2 * np.linalg.svd(product, compute_uv=False).sum(-1)
    is_close = found <= _CLOSE * traces
    if is_close.any():
        root1, root2 = (np.broadcast_to(root, product.shape)[is_close] for root in (root1, root2))
        least = _squares(root1 - root2 @ _polar(product[is_close]))
        # The polar factor of equal roots is the identity but for rounding.
        found[is_close] = np.where((root1 == root2).all((-2, -1)), 0, least)
    return np.asarray(found + apart)


def _scaled(root1: Array, root2: Array, is_plain: Array) -> Array:
    """Return squared distances where the products of some factors would over- or underflow.

    Their factors are brought to about 1 by a power of two, which rounds nothing.
    """
    found = np.zeros(len(is_plain))
    for i in range(len(found)):
        one, other = (root[i : i + 1] if len(root) > 1 else root for root in (root1, root2))
        most = max(np.abs(one).max(), np.abs(other).max())
        if most > 0:
            power = 0 if is_plain[i] else int(np.frexp(most)[1])
            nothing = np.zeros((1, one.shape[-1]))
            pair = np.ldexp(one, -power), np.ldexp(other, -power)
            found[i] = np.ldexp(_between(nothing, pair[0], nothing, pair[1])[0], 2 * power)
    return found


def _polar(matrices: Array) -> Array:
    """Return the orthogonal factor of each matrix's polar decomposition."""
    factors = np.empty(matrices.shape)
    for part in blocks(len(matrices), _WORK * matrices.size * matrices.shape[-1]):
        left, _, right = np.linalg.svd(matrices[part])
        factors[part] = left @ right
    return factors


def _squares(matrices: Array) -> Array:
    """Return the squared Frobenius norm of each matrix."""
    flat = matrices.reshape(len(matrices), -1)
    return np.asarray((flat * flat).sum(-1))


def _factors(given: Array, name: str) -> Array:
    """Return L with L Lᵀ = cov for each covariance of an array, in float64."""
    dim = given.shape[-1]
    covs = given.reshape(-1, dim, dim)
    roots = np.empty(covs.shape)
    for part in blocks(len(covs), covs.size * dim):
        some = covs[part].astype(np.float64)
        _symmetrise(some, name, given, part.start)
        roots[part] = _roots(some, name, given, part.start)
    return roots.reshape(given.shape)


def _symmetrise(covs: Array, name: str, given: Array, start: int) -> None:
    """Average each matrix with its transpose, from which it may differ by rounding."""
    across = covs.swapaxes(1, 2)
    if (covs == across).all():
        return
    most = np.abs(covs).max((1, 2), keepdims=True)
    wrong = np.abs(covs / 2 - across / 2) > _tolerance(given) * most / 2
    if wrong.any():
        problem, i, j = (int(index) for index in np.argwhere(wrong)[0])
        place = (*_index(start + problem, given), i, j)
        raise ValueError(
            f"{name}: expected symmetric covariances, got {covs[problem, i, j]} at index {place} "
            f"and {covs[problem, j, i]} across the diagonal"
        )
    covs[...] = covs / 2 + across / 2


def _roots(covs: Array, name: str, given: Array, start: int) -> Array:
    """Factor symmetric matrices: by Cholesky, or by eigenvectors where one is singular."""
    each = range(len(covs))
    try:
        roots = np.linalg.cholesky(covs)
    except np.linalg.LinAlgError:
        if len(covs) > 1:
            # Each for itself, so that a matrix has the same factor whatever lies beside it.
            return np.concatenate([_roots(covs[i : i + 1], name, given, start + i) for i in each])
        return _spectral_root(covs[0], name, given, start)[np.newaxis]
    # A pivot is what is left of a variance once the others' share is taken: here only rounding.
    variances, pivots = (np.diagonal(array, axis1=1, axis2=2) for array in (covs, roots))
    is_singular = (pivots * pivots < _rounding(covs) * variances).any(-1)
    for i in np.flatnonzero(is_singular).tolist():
        roots[i] = _spectral_root(covs[i], name, given, start + i)
    return roots


def _spectral_root(cov: Array, name: str, given: Array, place: int) -> Array:
    """Factor a singular covariance, whose eigenvalues of 0 are found as 0.

    Left as they are rounded, they would add the root of the rounding to the distance: 1e-8.
    """
    values, vectors = np.linalg.eigh(cov)
    most = np.abs(values).max()
    if values[0] < -_tolerance(given) * most:
        index = _index(place, given)
        raise ValueError(
            f"{name}: expected positive semi-definite covariances, got one with the eigenvalue "
            f"{values[0]}" + (f" at index {index}" if index else "")
        )
    values[values < _rounding(cov) * most] = 0
    return np.asarray(vectors * np.sqrt(values))


def _rounding(covs: Array) -> float:
    """Return how far rounding may move an eigenvalue, relative to the largest."""
    return float(4 * covs.shape[-1] * _EPSILON)


def _tolerance(given: Array) -> float:
    """Return the relative error that covariances of a dtype may have."""
    return math.sqrt(float(np.finfo(given.dtype).eps))


def _index(flat: int, given: Array) -> tuple[int, ...]:
    """Return where a matrix lies in an array of them; () if it is the only one."""
    shape = given.shape[:-2]
    return tuple(int(i) for i in np.unravel_index(flat, shape)) if shape else ()


def barycenter(
    means: Any, covs: Any, weights: Any, tol: Any, max_iterations: Any
) -> GaussianBarycenter:
    """Return what `coalign.gaussian_barycenter` does."""
    tolerance, most = take_real(tol, "tol", least=0), take_count(max_iterations, "max_iterations")
    sides = [take_items(means, "means", 2), take_items(covs, "covs", 3)]
    if weights is not None:
        sides.append(take_items(weights, "weights", 1))
    problems = Problems(sides)
    problems.check()
    for shapes in problems.shapes():
        (name, (count, dim)), (covs_name, cov_shape), *given = shapes
        for size, what in ((count, "Gaussian"), (dim, "dimension")):
            if size == 0:
                raise ValueError(f"{name}: expected at least one {what}, got shape {(count, dim)}")
        _require_shape(covs_name, cov_shape, (count, dim, dim), name)
        for weights_name, shape in given:
            _require_shape(weights_name, shape, (count,), name)
    dtype = compute_dtype(*sides[0].arrays, *sides[1].arrays)
    roots = [sides[0], sides[1].changed(_factors)]
    for side in sides[2:]:
        side.require(lambda array: array >= 0, "weights of at least 0")
        roots.append(side.changed(_shares))
    parts: dict[int, tuple[Any, ...]] = {}
    for places, arrays in Problems(roots).by_shape():
        count = len(problems) if isinstance(places, slice) else len(places)
        if len(arrays) == 2:
            arrays.append(np.full((1, arrays[0].shape[1]), 1 / arrays[0].shape[1]))
        at = range(count) if isinstance(places, slice) else places
        work = count * _WORK * arrays[1][0].size * arrays[1].shape[-1] if count else 0
        for part in blocks(count, work):
            mean, root, weight = (
                np.ascontiguousarray(array, np.float64) for array in cut(arrays, part)
            )
            size = len(at[part])
            found = _fixed_points(root, weight, size, tolerance, most)
            centre = np.broadcast_to((weight[:, np.newaxis] @ mean)[:, 0], (size, mean.shape[-1]))
            for place, *fields in zip(at[part], centre, *found, strict=True):
                parts[place] = tuple(fields)
    return _report(problems, [parts[place] for place in range(len(problems))], tolerance, dtype)


def _shares(weights: Array, name: str) -> Array:
    """Return weights divided by their sum."""
    # Divided by the largest first, no sum overflows.
    most = weights.max(-1, keepdims=True, initial=0).astype(np.float64)
    if (most == 0).any():
        raise ValueError(f"{name}: expected weights of a positive sum, got 0")
    shares = weights / most
    return np.asarray(shares / shares.sum(-1, keepdims=True))


def _fixed_points(
    roots: Array, weights: Array, size: int, tolerance: float, most: int
) -> tuple[Array, Array, Array]:
    """Return the covariances, residuals and iterations of `size` problems of one shape.

    A problem's iteration ends by its own residual, whatever the others' are.
    """
    _, count, dim, _ = roots.shape
    scale = np.frexp(np.abs(roots).max((1, 2, 3), keepdims=True))[1]
    roots = np.ldexp(roots, -scale)
    roots, weights, scale = (
        np.broadcast_to(array, (size, *array.shape[1:])) for array in (roots, weights, scale)
    )
    # The sum over k of w_k L_k U_k is one product of the L_k side by side and the U_k in a column.
    tall = np.ascontiguousarray(roots.swapaxes(2, 3)).reshape(size, count * dim, dim)
    wide = np.ascontiguousarray(
        (weights[:, :, np.newaxis, np.newaxis] * roots).swapaxes(1, 2)
    ).reshape(size, dim, count * dim)
    mixture = wide @ tall
    current = _roots(mixture, "covs", mixture, 0)
    residuals, iterations = np.empty(size), np.full(size, most)
    active = np.arange(size)
    for iteration in range(1, most + 1):
        before = current[active]
        products = (tall[active] @ before).reshape(-1, dim, dim)
        after = wide[active] @ _polar(products).reshape(-1, count * dim, dim)
        norms, steps = _squares(before), _squares(after - before)
        residuals[active] = np.sqrt(steps / np.where(norms > 0, norms, 1))
        # What is returned is what the residual was taken of.
        is_done = residuals[active] <= tolerance
        iterations[active[is_done]] = iteration
        if iteration == most:
            break
        active, after = active[~is_done], after[~is_done]
        if active.size == 0:
            break
        current[active] = after
    covs = current @ current.swapaxes(1, 2)
    covs = (covs + covs.swapaxes(1, 2)) / 2
    with np.errstate(over="ignore"):
        return np.ldexp(covs, 2 * scale[..., 0]), residuals, iterations


def _report(
    problems: Problems, fields: list[tuple[Any, ...]], tolerance: float, dtype: np.dtype[Any]
) -> GaussianBarycenter:
    """Bring the fields of all problems together, and warn of those that have not converged."""
    residual = np.array([each[2] for each in fields], np.float64)
    iterations = np.array([each[3] for each in fields], np.int64)
    failed = residual > tolerance
    if failed.any():
        warnings.warn(
            f"gaussian_barycenter: {failed.sum()} of {failed.size} problems did not reach a "
            f"residual of {tolerance} in {iterations.max()} iterations; "
            "their status is NOT_CONVERGED",
            ConvergenceWarning,
            stacklevel=4,
        )
    status = np.where(failed, Status.NOT_CONVERGED, Status.OK).astype(np.int32)
    has_lists = any(isinstance(side.data, list) for side in problems.sides)
    moments: list[Any] = [[each[at].astype(dtype) for each in fields] for at in (0, 1)]
    if not problems.is_batch:
        (mean,), (cov,) = moments
        return _wrapped(problems, mean, cov, residual[0], iterations[0], status[0])
    if not has_lists:
        (dim,) = problems.sides[0].data.shape[2:]
        for at, axes in enumerate(((dim,), (dim, dim))):
            moments[at] = np.array(moments[at], dtype).reshape(-1, *axes)
    return _wrapped(problems, *moments, residual, iterations, status)


def _wrapped(problems: Problems, *fields: Any) -> GaussianBarycenter:
    kind = problems.kind
    return GaussianBarycenter(
        *(
            [in_kind(item, kind) for item in field]
            if isinstance(field, list)
            else in_kind(field, kind)
            for field in fields
        )
    )
