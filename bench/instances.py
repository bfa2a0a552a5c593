"""The data that the benchmarks time: formulas and a seed, nothing downloaded.

Every function takes a seed first; the same seed gives the same numbers. Values are float64 but
already rounded to float32, unless the function says otherwise, so that contenders of either dtype
see the same numbers and their answers can be compared.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

# The first word of each seed sequence: two functions with the same seed must not share their noise.
_RANDOM_WALKS, _WHITE_NOISE, _RAGGED, _PAIR, _MULTIVARIATE, _ORDER = range(6)
_UNIFORM, _GEOMETRIC, _LOW_RANK, _INTEGERS, _OFFSETS, _CHANGES, _SPARSE = range(6, 13)
_NOISE_PAIRS, _NOISE_COSTS, _POINTS, _TIES = range(13, 17)
_PROFILES = 17


def _steps(stream: int, seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng((stream, seed)).standard_normal(shape)


def _round_to_float32(values: Array) -> Array:
    return values.astype(np.float32).astype(np.float64)


# --- series --------------------------------------------------------------------------------------


def random_walks(seed: int, n: int = 100, length: int = 512) -> Array:
    """Give a collection of random walks, shape (n, length).

    x_k(t) = sum over s <= t of e_k(s), with e independent standard normal.
    """
    return _round_to_float32(_steps(_RANDOM_WALKS, seed, (n, length)).cumsum(axis=1))


def white_noise(seed: int, n: int = 100, length: int = 512) -> Array:
    """Give a collection of white-noise series, shape (n, length).

    x_k(t) = e_k(t), with e independent standard normal.
    """
    return _round_to_float32(_steps(_WHITE_NOISE, seed, (n, length)))


def ragged_random_walks(
    seed: int, n: int = 100, shortest: int = 100, longest: int = 1000
) -> list[Array]:
    """Give n random walks of different lengths, in shuffled order.

    x_k(t) = sum over s <= t of e_k(s), with e independent standard normal, for t < T_k, where
    T_k = shortest + round((longest - shortest) * k / (n - 1)) for k = 0 .. n - 1. The lengths are
    the same for every seed, only their order changes, so that each round has the same number of
    lattice cells.
    """
    lengths = shortest + np.rint((longest - shortest) * np.arange(n) / max(n - 1, 1)).astype(int)
    order = np.random.default_rng((_ORDER, seed)).permutation(n)
    steps = _steps(_RAGGED, seed, (n, longest))
    return [_round_to_float32(steps[k, : lengths[k]].cumsum()) for k in order]


def pair(seed: int, length: int = 10_000) -> tuple[Array, Array]:
    """Give two random walks of one length, shapes (length,).

    x(t) = sum over s <= t of e(s), y(t) the same of independent noise.
    """
    x, y = _round_to_float32(_steps(_PAIR, seed, (2, length)).cumsum(axis=1))
    return x, y


def multivariate(seed: int, n: int = 100, length: int = 256, dimensions: int = 3) -> Array:
    """Give a collection of random walks in several dimensions, shape (n, length, dimensions).

    x_k(t, d) = sum over s <= t of e_k(s, d), with e independent standard normal.
    """
    return _round_to_float32(_steps(_MULTIVARIATE, seed, (n, length, dimensions)).cumsum(axis=1))


def digit_profiles(seed: int, n: int = 100, length: int = 256) -> Array:
    """Give profiles of handwritten digits, shape (n, length).

    x_k(t) = p(t) + e_k(t), with p the 64 pixels (0 to 16) of one of scikit-learn's images, read row
    by row and interpolated to the length, and e independent standard normal. Images are drawn with
    replacement.
    """
    from sklearn.datasets import load_digits

    random = np.random.default_rng((_PROFILES, seed))
    images = load_digits().data
    frames = np.linspace(0, images.shape[1] - 1, length)
    drawn = images[random.integers(0, len(images), n)]
    profiles = np.array([np.interp(frames, np.arange(len(image)), image) for image in drawn])
    return _round_to_float32(profiles + random.standard_normal(profiles.shape))


# --- costs of assignments ------------------------------------------------------------------------


def uniform(seed: int, rows: int = 1000, columns: int = 1000) -> Array:
    """Give independent costs.

    c_ij ~ U(0, 1).
    """
    return uniform_batch(seed, 1, rows, columns)[0]


def uniform_batch(seed: int, problems: int = 208, rows: int = 300, columns: int = 300) -> Array:
    """Give a batch of independent costs, shape (problems, rows, columns).

    c_bij ~ U(0, 1).
    """
    random = np.random.default_rng((_UNIFORM, seed))
    return random.random((problems, rows, columns), np.float32).astype(np.float64)


def uniform_far_from_zero(seed: int, rows: int = 1000, columns: int = 1000) -> Array:
    """Give independent costs with a large common part, not rounded to float32.

    c_ij ~ 1000 + U(0, 1). Rounded there would be 16,384 values left, and many ties.
    """
    random = np.random.default_rng((_UNIFORM, seed))
    return 1000 + random.random((rows, columns))


def geometric(seed: int, n: int = 1000) -> Array:
    """Give the distances between two sets of points in the unit square.

    c_ij = |p_i - q_j|, with p, q ~ U(0, 1)^2.
    """
    p, q = np.random.default_rng((_GEOMETRIC, seed)).random((2, 2, n, 1))
    return _round_to_float32(np.hypot(*(p - np.swapaxes(q, 1, 2))))


def low_rank(seed: int, n: int = 1000, rank: int = 4) -> Array:
    """Give products of few factors.

    c_ij = sum over k < rank of a_ik b_jk, with a, b ~ U(0, 1).
    """
    a, b = np.random.default_rng((_LOW_RANK, seed)).random((2, n, rank))
    return _round_to_float32(a @ b.T)


def integers(seed: int, n: int = 1000) -> Array:
    """Give costs with many ties.

    c_ij uniform over 0 .. 99.
    """
    return np.random.default_rng((_INTEGERS, seed)).integers(0, 100, (n, n)).astype(np.float64)


def machol_wien(seed: int, n: int = 1000) -> Array:
    """Give Machol and Wien's costs, the same for every seed.

    c_ij = i j for i, j = 1 .. n.
    """
    factors = np.arange(1.0, n + 1)
    return np.outer(factors, factors)


def offsets(seed: int, n: int = 1000) -> Array:
    """Give costs of which every assignment pays nearly the same.

    c_ij = a_i + b_j + e_ij, with a, b ~ U(0, 100) and e ~ U(0, 1).
    """
    random = np.random.default_rng((_OFFSETS, seed))
    a, b = 100 * random.random((2, n))
    return _round_to_float32(a[:, None] + b + random.random((n, n)))


def changed(seed: int, n: int = 2000, percent: int = 1) -> tuple[Array, Array]:
    """Give costs before and after some rows were drawn anew.

    c_ij ~ U(0, 1); after, a random n percent / 100 rows are drawn again.
    """
    random = np.random.default_rng((_CHANGES, seed))
    before = uniform(seed, n, n)
    after = before.copy()
    count = n * percent // 100
    drawn = random.random((count, n), np.float32)
    after[random.choice(n, count, replace=False)] = drawn
    return before, after


def sparse_uniform(seed: int, n: int = 20_000, per_row: int = 20) -> Any:
    """Give sparse costs, as a CSR matrix with per_row entries in each row.

    c_ij ~ U(0, 1], 0 excluded as SciPy takes a stored zero for no pair. One entry of each row is
    that of a random permutation, so that there is a matching; the others lie in random columns.
    """
    from scipy.sparse import csr_array

    random = np.random.default_rng((_SPARSE, seed))
    # What sorted draws with repetition skip makes them distinct, and the permutation's is 0.
    draws = np.sort(random.integers(0, n - per_row + 1, (n, per_row - 1)), axis=1)
    steps = np.zeros((n, per_row), np.int64)
    steps[:, 1:] = draws + np.arange(1, per_row)
    columns = np.sort((random.permutation(n)[:, np.newaxis] + steps) % n, axis=1)
    costs = 1 - random.random(n * per_row, np.float32).astype(np.float64)
    return csr_array((costs, columns.ravel(), np.arange(0, n * per_row + 1, per_row)), shape=(n, n))


# --- large data for a GPU, of the dtype that is asked for, with what else the call is given -------


def normals(shape: tuple[int, ...], dtype: Any, *seed: int) -> NDArray[Any]:
    """Give independent standard normals; the same for a seed, on however many threads."""
    values = np.empty(math.prod(shape), dtype)
    parts = np.array_split(values, 64)
    streams = np.random.SeedSequence(seed).spawn(len(parts))

    def fill(part: NDArray[Any], stream: np.random.SeedSequence) -> None:
        generator = np.random.Generator(np.random.SFC64(stream))
        generator.standard_normal(out=part, dtype=part.dtype)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, parts, streams))
    return values.reshape(shape)


def noise_pairs(
    seed: int,
    x: int,
    y: int,
    frames: int,
    *,
    dim: int = 1,
    shortest: int | None = None,
    dtype: str = "float32",
    **options: Any,
) -> dict[str, Any]:
    """Give two collections of white noise, shapes (x, frames, dim) and (y, frames, dim).

    Of lengths from shortest on, what lies past a length is NaN.
    """
    data: dict[str, Any] = {
        name: normals((count, frames, dim), dtype, _NOISE_PAIRS, seed, side)
        for side, (name, count) in enumerate((("x", x), ("y", y)))
    }
    if shortest is not None:
        random = np.random.default_rng((_NOISE_PAIRS, seed, 2))
        for name in ("x", "y"):
            lengths = random.integers(shortest, frames + 1, len(data[name]))
            data[name][np.arange(frames) >= lengths[:, None]] = np.nan
            # A list, which stays on the host: work is dealt out by length there.
            data[f"{name}_lengths"] = lengths.tolist()
    return {**data, **options}


def noise_costs(
    seed: int,
    problems: int,
    rows: int,
    columns: int,
    *,
    least: int | None = None,
    dtype: str = "float32",
    **options: Any,
) -> dict[str, Any]:
    """Give a batch of standard normal costs, shape (problems, rows, columns).

    Of row and column lengths from least on, what lies past a length is NaN.
    """
    cost = normals((problems, rows, columns), dtype, _NOISE_COSTS, seed)
    data: dict[str, Any] = {"cost": cost}
    if least is not None:
        random = np.random.default_rng((_NOISE_COSTS, seed, 1))
        for axis, name in enumerate(("row_lengths", "col_lengths"), start=1):
            lengths = random.integers(least, cost.shape[axis] + 1, problems)
            np.swapaxes(cost, 1, axis)[np.arange(cost.shape[axis]) >= lengths[:, None]] = np.nan
            # A list, which stays on the host: work is dealt out by size there.
            data[name] = lengths.tolist()
    return {**data, **options}


def point_costs(
    seed: int,
    problems: int,
    rows: int,
    columns: int,
    *,
    never: float | None = None,
    share: float = 0.0,
    dtype: str = "float32",
    **options: Any,
) -> dict[str, Any]:
    """Give a batch of distances between two sets of standard normal points in the plane.

    A share of the pairs costs `never`.
    """
    p, q = (
        normals((problems, count, 2), dtype, _POINTS, seed, side)
        for side, count in enumerate((rows, columns))
    )
    cost = np.hypot(*(p[:, :, None, axis] - q[:, None, :, axis] for axis in (0, 1)))
    if never is not None:
        random = np.random.default_rng((_POINTS, seed, 2))
        cost[random.random(cost.shape, np.float32) < share] = never
    return {"cost": cost, **options}


def tied_costs(
    seed: int, problems: int, rows: int, columns: int, *, most: int, dtype: str = "float32"
) -> dict[str, Any]:
    """Give a batch of integers from 0 to most."""
    random = np.random.default_rng((_TIES, seed))
    return {"cost": random.integers(0, most + 1, (problems, rows, columns)).astype(dtype)}
