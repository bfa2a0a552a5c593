"""Entropic transport by definition, in float64 logarithms, and the answers known in closed form.

The plan of potentials f and g is P = exp((f + g - C) / epsilon). At the solution its marginals are
a and b; or, with a penalty rho, a e^(-(f - epsilon log a) / rho_a), and the same of b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: The marginal error that the library has to reach where it is asked to, and above which it may
#: only say that it did not converge.
REACHED = {"float64": 1e-9, "float32": 1e-4}


@dataclass(frozen=True)
class Problem:
    """Costs, weights, epsilon, and the penalties of the marginals (inf: they are to be met)."""

    cost: Array
    a: Array
    b: Array
    epsilon: float
    rho_a: float = np.inf
    rho_b: float = np.inf

    @property
    def balanced(self) -> bool:
        """Whether both marginals are to be met."""
        return bool(np.isinf(self.rho_a) and np.isinf(self.rho_b))


def problem(
    cost: Any, a: Any = None, b: Any = None, *, epsilon: float, unbalanced: Any = None
) -> Problem:
    """Take arguments as the library does; weights are uniform of mass 1 where there are none."""
    cost = np.asarray(cost, np.float64)
    n, m = cost.shape
    a = np.full(n, 1 / n) if a is None else np.asarray(a, np.float64)
    b = np.full(m, 1 / m) if b is None else np.asarray(b, np.float64)
    rho = (np.inf, np.inf) if unbalanced is None else np.broadcast_to(unbalanced, 2)
    return Problem(cost, a, b, float(epsilon), float(rho[0]), float(rho[1]))


#: What `costs_of_points` knows.
METRICS = ("sqeuclidean", "euclidean", "cosine", "dot")


def costs_of_points(x: Any, y: Any, metric: str) -> Array:
    """The cost of every pair of points, by its definition."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if metric == "dot":
        return np.asarray(-(x @ y.T))
    if metric == "cosine":
        norms = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
        return np.asarray(1 - np.divide(x @ y.T, norms, out=np.zeros_like(norms), where=norms > 0))
    squares = np.asarray(((x[:, None] - y) ** 2).sum(axis=-1))
    return squares if metric == "sqeuclidean" else np.sqrt(squares)


def slopes_of_points(x: Any, y: Any, metric: str) -> Array:
    """The derivative of every such cost by its point of x, (N, M, D); 0 where there is none."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    gaps = x[:, None] - y
    if metric == "sqeuclidean":
        return np.asarray(2 * gaps)
    if metric == "dot":
        return -np.broadcast_to(y, gaps.shape)
    if metric == "euclidean":
        return directions(gaps)
    u, v = directions(x), directions(y)
    across = v - (u @ v.T)[..., None] * u[:, None]
    lengths = np.linalg.norm(x, axis=1)[:, None, None]
    return -np.divide(across, lengths, out=np.zeros_like(across), where=lengths > 0)


def directions(vectors: Array) -> Array:
    """Vectors over their lengths; 0 for those without one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def log(x: Any) -> Array:
    """The logarithm, of 0 as well."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(x, np.float64))


def log_sum(x: Array, axis: int) -> Array:
    """The logarithm of the sum of exponentials along an axis."""
    most = x.max(axis=axis, keepdims=True)
    shift = np.where(np.isfinite(most), most, 0)
    return np.squeeze(shift, axis) + log(np.exp(x - shift).sum(axis=axis))


# --- what follows from potentials -----------------------------------------------------------------


def plan(p: Problem, f: Any, g: Any) -> Array:
    """The plan of potentials."""
    f, g = np.asarray(f, np.float64), np.asarray(g, np.float64)
    return np.exp((f[:, None] + g[None, :] - p.cost) / p.epsilon)


def target(weight: Array, potential: Any, epsilon: float, rho: float) -> Array:
    """The marginal that is optimal at a potential; the weights, where they are to be met."""
    if np.isinf(rho):
        return weight
    some = weight > 0
    at = np.asarray(potential, np.float64)[some] - epsilon * np.log(weight[some])
    out = np.zeros(len(weight))
    out[some] = weight[some] * np.exp(-at / rho)
    return out


def mass(p: Problem) -> float:
    """What the error of the marginals is counted by: the mean of the two masses."""
    return float(p.a.sum() + p.b.sum()) / 2


def marginal_error(p: Problem, f: Any, g: Any) -> float:
    """How far both marginals of the plan are from what they should be, over the mass."""
    found = plan(p, f, g)
    off_a = np.abs(found.sum(axis=1) - target(p.a, f, p.epsilon, p.rho_a)).sum()
    off_b = np.abs(found.sum(axis=0) - target(p.b, g, p.epsilon, p.rho_b)).sum()
    return float(off_a + off_b) / mass(p)


def divergence(x: Array, y: Array) -> float:
    """The generalised Kullback-Leibler divergence; inf where y is 0 and x is not."""
    some = x > 0
    with np.errstate(divide="ignore"):
        terms = x[some] * (np.log(x[some]) - np.log(y[some]))
    return float(terms.sum() - x.sum() + y.sum())


def transport_cost(p: Problem, found: Array) -> float:
    """<P, C>, where a forbidden cell costs nothing as long as nothing goes there."""
    return float((found * np.where(found > 0, p.cost, 0)).sum())


def value(p: Problem, found: Array) -> float:
    """The objective of a plan: its cost, its divergence from a x b, and the penalties."""
    total = transport_cost(p, found) + p.epsilon * divergence(found, np.outer(p.a, p.b))
    if np.isfinite(p.rho_a):
        total += p.rho_a * divergence(found.sum(axis=1), p.a)
    if np.isfinite(p.rho_b):
        total += p.rho_b * divergence(found.sum(axis=0), p.b)
    return total


# --- the solution ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Solution:
    """Potentials that solve a problem, as far as `error` says."""

    f: Array
    g: Array
    plan: Array
    cost: float
    value: float
    error: float


def iterate(p: Problem, iterations: int, g: Any = None) -> tuple[Array, Array]:
    """So many plain iterations, each of which gives f from g, and between them g from f.

    The first g is epsilon log b, where none is given.
    """
    g = p.epsilon * log(p.b) if g is None else np.where(p.b > 0, np.asarray(g, float), -np.inf)
    f = np.full(len(p.a), -np.inf)
    for k in range(iterations):
        if k > 0:
            sums = log_sum((f[:, None] - p.cost) / p.epsilon, 0)
            g = update(p.b, sums, p.epsilon, p.rho_b)
        sums = log_sum((g[None, :] - p.cost) / p.epsilon, 1)
        f = update(p.a, sums, p.epsilon, p.rho_a)
    return f, g


def update(weight: Array, log_sums: Array, epsilon: float, rho: float) -> Array:
    """The potential of one side, given that of the other."""
    power = 1.0 if np.isinf(rho) else rho / (rho + epsilon)
    out = np.full(len(weight), -np.inf)
    some = weight > 0
    out[some] = epsilon * (np.log(weight[some]) - power * log_sums[some])
    return out


def shifted(p: Problem, f: Array, g: Array) -> tuple[Array, Array]:
    """The convention of balanced problems: sum of b g = 0 over b > 0."""
    if not p.balanced:
        return f, g
    some = p.b > 0
    shift = (p.b[some] * g[some]).sum() / p.b.sum()
    return f + shift, g - shift


def solve(p: Problem, error: float = 1e-13, iterations: int = 200) -> Solution:
    """Solve by iterations and Newton's method, at ever smaller epsilon.

    Nothing has to be believed: the marginals of the plan say how near the solution it is.
    """
    sizes = np.where(np.isfinite(p.cost), np.abs(p.cost), 0)
    ladder = [p.epsilon]
    while ladder[-1] < sizes.max() / 4:
        ladder.append(2 * ladder[-1])
    g = p.epsilon * log(p.b)
    for epsilon in ladder[:0:-1]:
        rung = Problem(p.cost, p.a, p.b, epsilon, p.rho_a, p.rho_b)
        _, _, g = polished(rung, g, 1e-6, iterations, 3)
    now_error, f, g = polished(p, g, error, iterations, 30)
    found = plan(p, f, g)
    return Solution(f, g, found, transport_cost(p, found), value(p, found), now_error)


def polished(
    p: Problem, g: Array, error: float, iterations: int, rounds: int
) -> tuple[float, Array, Array]:
    """Iterate, and then take steps of Newton's method, a few times over; give the best."""
    best = (np.inf, np.full(len(p.a), -np.inf), g)
    for _ in range(rounds):
        f, g = shifted(p, *iterate(p, iterations, g))
        for _ in range(20):
            now = marginal_error(p, f, g)
            is_better = now < 0.99 * best[0]
            if now < best[0]:
                best = (now, f, g)
            if now <= error or not is_better:
                break
            f, g = shifted(p, *newton(p, f, g))
        if best[0] <= error:
            break
    return best


def newton(p: Problem, f: Array, g: Array) -> tuple[Array, Array]:
    """One step of Newton's method on the marginals, halved until the error is less."""
    rows, columns = np.flatnonzero(p.a > 0), np.flatnonzero(p.b > 0)
    found = plan(p, f, g)[np.ix_(rows, columns)]
    wanted_a = target(p.a, f, p.epsilon, p.rho_a)[rows]
    wanted_b = target(p.b, g, p.epsilon, p.rho_b)[columns]
    residual = np.concatenate((found.sum(axis=1) - wanted_a, found.sum(axis=0) - wanted_b))
    slopes = np.block(
        [
            [np.diag(found.sum(axis=1) + p.epsilon / p.rho_a * wanted_a), found],
            [found.T, np.diag(found.sum(axis=0) + p.epsilon / p.rho_b * wanted_b)],
        ]
    )
    # Scaled, as weights may be of very different sizes; balanced, it is singular along (1, -1).
    scale = 1 / np.sqrt(np.maximum(np.diag(slopes), np.finfo(float).tiny))
    scaled = scale[:, None] * slopes * scale[None, :]
    step = -p.epsilon * scale * np.linalg.lstsq(scaled, scale * residual, rcond=1e-15)[0]
    was = marginal_error(p, f, g)
    for halving in range(30):
        new_f, new_g = f.copy(), g.copy()
        new_f[rows] += step[: len(rows)] / 2**halving
        new_g[columns] += step[len(rows) :] / 2**halving
        with np.errstate(over="ignore"):
            if marginal_error(p, new_f, new_g) < was:
                return new_f, new_g
    return f, g


# --- without entropy ------------------------------------------------------------------------------


def linear_program(p: Problem) -> float:
    """The least cost of a plan with marginals a and b, by SciPy's linear programming."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, kron, vstack

    n, m = p.cost.shape
    marginals = vstack(
        (
            kron(eye_array(n), csr_array(np.ones((1, m)))),
            kron(csr_array(np.ones((1, n))), eye_array(m)),
        )
    )
    allowed = np.isfinite(p.cost).ravel()
    found = linprog(
        np.where(allowed, p.cost.ravel(), 0),
        A_eq=marginals.tocsr(),
        b_eq=np.concatenate((p.a, p.b)),
        bounds=np.stack((np.zeros(n * m), np.where(allowed, np.inf, 0)), axis=1),
    )
    assert found.status == 0, found.message
    return float(found.fun)


def sorted_cost(x: Array, y: Array) -> float:
    """The least cost between as many points on a line, of squared distances: in order."""
    return float(((np.sort(x) - np.sort(y)) ** 2).mean())


# --- closed forms ---------------------------------------------------------------------------------


def one_cell(cost: float, a: float, b: float, epsilon: float, rho_a: float, rho_b: float) -> float:
    """The mass that goes between one point and one other, where it does not have to be a or b."""
    exponent = epsilon * np.log(a * b) + rho_a * np.log(a) + rho_b * np.log(b) - cost
    return float(np.exp(exponent / (epsilon + rho_a + rho_b)))


def two_by_two(cost: Array, epsilon: float) -> Array:
    """The plan between two points and two others, all of weight 1/2."""
    ratio = np.exp(-(cost[0, 0] + cost[1, 1] - cost[0, 1] - cost[1, 0]) / (2 * epsilon))
    stays = ratio / (1 + ratio) / 2
    return np.array([[stays, 0.5 - stays], [0.5 - stays, stays]])


def permutation(order: Array, epsilon: float) -> Array:
    """The plan of costs that are 0 along a permutation and 1 elsewhere, of uniform weights."""
    n = len(order)
    out = np.full((n, n), np.exp(-1 / epsilon))
    out[np.arange(n), order] = 1
    return out / (n * (1 + (n - 1) * np.exp(-1 / epsilon)))


def square_root(matrix: Array) -> Array:
    """The root of a symmetric matrix that has no negative eigenvalue."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def between_gaussians(
    mean_a: Array, covariance_a: Array, mean_b: Array, covariance_b: Array, epsilon: float
) -> float:
    """The value between two Gaussians, of squared distances.

    H. Janati, B. Muzellec, G. Peyré, M. Cuturi: Entropic optimal transport between unbalanced
    Gaussian measures has a closed form. NeurIPS 2020, theorem 1; epsilon is their 2 sigma^2.
    """
    dim, half = len(mean_a), epsilon / 2
    root = square_root(covariance_a)
    inner = square_root(4 * root @ covariance_b @ root + half**2 * np.eye(dim))
    bures = np.trace(covariance_a + covariance_b - inner) + dim * half * (1 - np.log(2 * half))
    bures += half * np.linalg.slogdet(inner + half * np.eye(dim))[1]
    return float(((mean_a - mean_b) ** 2).sum() + bures)


def gaussian_on_grid(mean: Array, covariance: Array, grid: Array) -> Array:
    """The weights of points (N, D) of a grid: errors of sums over it fall faster than any power."""
    off = grid - mean
    weight = np.exp(-(off @ np.linalg.inv(covariance) * off).sum(axis=1) / 2)
    return np.asarray(weight / weight.sum())


def gradient(p: Problem, solution: Solution) -> tuple[Array, Array, Array]:
    """The derivatives of the value by the cost, and by the weights: up to a constant if balanced.

    Where a weight is 0, the potential is the soft c-transform of the other one.
    """
    sums_a = log_sum((solution.g[None, :] - p.cost) / p.epsilon, 1)
    sums_b = log_sum((solution.f[:, None] - p.cost) / p.epsilon, 0)
    return (
        solution.plan,
        by_weight(sums_a, p.epsilon, p.rho_a, p.b.sum()),
        by_weight(sums_b, p.epsilon, p.rho_b, p.a.sum()),
    )


def by_weight(log_sums: Array, epsilon: float, rho: float, other_mass: float) -> Array:
    """The derivative by one side's weights, from log-sum-exps with the other side's potential."""
    if np.isinf(rho):
        return epsilon * (other_mass - 1 - log_sums)
    kept = np.exp(epsilon / (rho + epsilon) * log_sums)
    return epsilon * other_mass + rho - (epsilon + rho) * kept


# --- a part of the mass ---------------------------------------------------------------------------


def partial_plan(p: Problem, mass: float, iterations: int = 20_000) -> Array:
    """The plan of a given mass whose sums are at most a and b, by projections in logarithms.

    Each multiplier, of the rows, of the columns and of the mass, is set to what is best beside the
    others, by turns: these are Bregman projections with Dykstra's corrections, in the dual. They
    end where nothing changes.
    """
    log_kernel = log(p.a)[:, None] + log(p.b)[None, :] - p.cost / p.epsilon
    level, rows, columns = 0.0, np.zeros(len(p.a)), np.zeros(len(p.b))
    for _ in range(iterations):
        before = np.concatenate(([level], rows, columns))
        with np.errstate(invalid="ignore"):
            sums = log_sum(log_kernel + level + columns[None, :], 1)
            rows = np.where(p.a > 0, np.minimum(0, log(p.a) - sums), 0)
            sums = log_sum(log_kernel + level + rows[:, None], 0)
            columns = np.where(p.b > 0, np.minimum(0, log(p.b) - sums), 0)
        whole = log_kernel + rows[:, None] + columns[None, :]
        level = float(np.log(mass) - log_sum(whole.ravel(), 0))
        if np.abs(np.concatenate(([level], rows, columns)) - before).max() < 1e-14:
            break
    return np.exp(log_kernel + level + rows[:, None] + columns[None, :])


def partial_linear_program(p: Problem, mass: float) -> float:
    """The least cost of moving a given mass, by SciPy's linear programming."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, kron, vstack

    n, m = p.cost.shape
    sums = vstack(
        (
            kron(eye_array(n), csr_array(np.ones((1, m)))),
            kron(csr_array(np.ones((1, n))), eye_array(m)),
        )
    )
    allowed = np.isfinite(p.cost).ravel()
    found = linprog(
        np.where(allowed, p.cost.ravel(), 0),
        A_ub=sums.tocsr(),
        b_ub=np.concatenate((p.a, p.b)),
        A_eq=np.ones((1, n * m)),
        b_eq=[mass],
        bounds=np.stack((np.zeros(n * m), np.where(allowed, np.inf, 0)), axis=1),
    )
    assert found.status == 0, found.message
    return float(found.fun)


# --- barycenters of histograms --------------------------------------------------------------------


def barycenter(
    a: Array, cost: Array, shares: Array, epsilon: float, iterations: int = 20_000
) -> Array:
    """The entropic barycenter of histograms that sum to 1, by projections in logarithms."""
    columns = np.zeros((len(a), cost.shape[1]))
    last = np.zeros(cost.shape[1])
    for _ in range(iterations):
        sums = np.empty_like(columns)
        for k, weight in enumerate(a):
            rows = log(weight) - log_sum(columns[k] - cost / epsilon, 1)
            sums[k] = log_sum(rows[:, None] - cost / epsilon, 0)
        found = np.where(shares[:, None] > 0, shares[:, None] * sums, 0).sum(0)
        columns = found - sums
        if np.abs(np.exp(found) - last).max() < 1e-14:
            break
        last = np.exp(found)
    return np.asarray(np.exp(found))


def barycenter_linear_program(a: Array, cost: Array, shares: Array) -> float:
    """The least Σ_k w_k <P_k, C> of plans from each histogram to one that they share."""
    from scipy.optimize import linprog
    from scipy.sparse import bmat, csr_array, eye_array, kron

    n, m = cost.shape
    rows = kron(eye_array(n), csr_array(np.ones((1, m))))
    sums = kron(csr_array(np.ones((1, n))), eye_array(m))
    count = len(a)
    blocks: list[list[Any]] = [[None] * (count + 1) for _ in range(2 * count)]
    for k in range(count):
        blocks[k][k] = rows
        blocks[count + k][k] = sums
        blocks[count + k][count] = -eye_array(m)
        blocks[k][count] = csr_array((n, m))
    found = linprog(
        np.concatenate([share * cost.ravel() for share in shares] + [np.zeros(m)]),
        A_eq=bmat(blocks).tocsr(),
        b_eq=np.concatenate([*a, np.zeros(count * m)]),
    )
    assert found.status == 0, found.message
    return float(found.fun)
