"""What transport calls return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ._core import TransportFields, connect_result
from ._errors import InfeasibleError, Status
from ._result import Result


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PointCosts:
    """What a `Transport` of point clouds keeps in the place of a matrix of costs."""

    x: Any
    y: Any
    metric: str

    def __repr__(self) -> str:
        return f"<{self.metric} of point clouds>"


class Plans(Result):
    """What potentials give: the plan exp((f_i + g_j - C_ij) / ε), and what it alone says."""

    __slots__ = ()

    @property
    def converged(self) -> Any:
        """Whether `marginal_error` ≤ `tol`, and nothing else: bool, or array of shape (B,)."""
        return self.marginal_error <= self.tol  # type: ignore[attr-defined]

    def plan(self) -> Any:
        """Return the plan.

        Returns
        -------
        array of shape (N, M), (B, N, M), or list of (N, M) arrays
            P_ij = exp((f_i + g_j - C_ij) / ε), of the dtype of the computation; 0 past the lengths
            of a padded batch.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.sinkhorn([[0.0, 1.0], [1.0, 0.0]], epsilon=0.5)
        >>> found.plan().round(3).tolist()
        [[0.44, 0.06], [0.06, 0.44]]
        """
        return _plans().plan(self, "plan")

    def apply(self, v: Any, *, transpose: bool = False) -> Any:
        """Return the plan times vectors, without a plan in memory.

        Parameters
        ----------
        v : array of shape (M,) or (M, K), (B, M) or (B, M, K), or list of such arrays
            Vectors beside the columns; with `transpose` beside the rows. One vector goes with every
            problem of a batch.
        transpose : bool
            Multiply with the transpose of the plan instead.

        Returns
        -------
        array of shape (N,) or (N, K), (B, N) or (B, N, K), or list of such arrays
            P v, or Pᵀ v; sums are in float64. 0 past the lengths of a padded batch.

        Raises
        ------
        ValueError
            The shape of `v` is not that of the columns, or the rows.
        TypeError
            A dtype or kind of array is wrong.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.sinkhorn([[0.0, 1.0], [1.0, 0.0]], epsilon=0.5)
        >>> found.apply([1.0, 3.0]).round(3).tolist()
        [0.619, 1.381]
        """
        return _plans().apply(self, v, transpose)

    def hard(self) -> Any:
        """Return the column that has most of each row, the first of equals.

        Returns
        -------
        int64 array of shape (N,), (B, N), or list of (N,) arrays
            -1 for a row without weight, and past the length of a problem. A row that moves next to
            nothing has a column too: see the sums of the plan, `apply` of ones.

        Examples
        --------
        >>> import coalign
        >>> coalign.sinkhorn([[0.0, 1.0], [1.0, 0.0]], epsilon=0.5).hard().tolist()
        [0, 1]
        """
        return _plans().hard(self)


class Transport(TransportFields, Plans):
    """Entropic transport plans of one or more problems, as the potentials that give them.

    The plan is P_ij = exp((f_i + g_j - C_ij) / ε). A row or a column without weight has the
    potential -inf and an empty row or column of the plan. Balanced potentials are shifted so that
    Σ b_j g_j = 0 over b_j > 0; unbalanced ones are not.

    Of a result of `sinkhorn_points`, `apply`, `hard` and `gradients` take memory of
    O((N + M) D), beside v and P v, and compute in float64. `plan`, `feasible_plan` and `bounds`
    hold matrices of N x M.

    Attributes
    ----------
    f : array of shape (N,), (B, N), or list of (N,) arrays, of the dtype of the computation
        The potentials of the rows, in the costs' unit. 0 past the length of a problem.
    g : array of shape (M,), (B, M), or list of (M,) arrays, of the dtype of the computation
        The potentials of the columns, in the costs' unit. 0 past the length of a problem.
    cost : float64 scalar, or array of shape (B,)
        Σ P_ij C_ij, in the costs' unit times mass.
    value : float64 scalar, or array of shape (B,)
        The objective: `cost` + ε KL(P | a bᵀ), and the penalties of the marginals if the problem is
        unbalanced. KL(p | q) is Σ (p log(p / q) - p + q).
    marginal_error : float64 scalar, or array of shape (B,)
        ‖P1 - a‖₁ + ‖Pᵀ1 - b‖₁ over the mass, of the plan of the returned f and g. Unbalanced: the
        distance from the marginals that are optimal for these potentials,
        a exp(-(f - ε log a) / ρ) and b exp(-(g - ε log b) / ρ), over the mean of both masses.
    iterations : int64 scalar, or array of shape (B,)
        How many updates of both potentials were made.
    status : int32 scalar, or array of shape (B,)
        A `Status` for each problem: NOT_CONVERGED if `max_iterations` were not enough,
        PRECISION_LIMIT if potentials that are rounded to the dtype cannot come closer.
    cost_matrix : array of shape (N, M), (B, N, M), or list of (N, M) arrays
        The costs that were given: a reference, never a copy. Of `sinkhorn_points`, an object that
        refers to the clouds.
    a, b : arrays, lists of arrays, or None
        The weights that were given.
    epsilon : float, or float64 array of shape (B,)
        The regularisation ε, in the costs' unit.
    unbalanced : float, pair of floats, or None
        What a unit of divergence from the marginals costs.
    tol : float
        The marginal error that was asked for.
    row_lengths, col_lengths : int64 array of shape (B,), or None
        Numbers of rows and columns of each problem of a padded batch, as they were given.

    Examples
    --------
    >>> import coalign
    >>> found = coalign.sinkhorn([[0.0, 1.0], [1.0, 0.0]], epsilon=0.1)
    >>> found.f.round(3).tolist(), found.g.round(3).tolist(), bool(found.converged)
    ([-0.069, -0.069], [0.0, 0.0], True)
    """

    __slots__ = ()
    __module__ = "coalign"

    _wrong: ClassVar = {
        Status.NAN: (ValueError, "a cost is NaN or -inf"),
        Status.INFEASIBLE: (InfeasibleError, "a row or a column has no finite cost"),
        Status.NOT_CONVERGED: (ArithmeticError, "more iterations are needed"),
        Status.PRECISION_LIMIT: (ArithmeticError, "the dtype cannot hold better potentials"),
        Status.INVALID: (ValueError, "a weight or a length out of range"),
    }

    def feasible_plan(self) -> Any:
        """Return the plan rounded to the exact marginals, to the last digits of float64.

        Rows and then columns are scaled down to their weights, and what they lack then is spread in
        proportion. Beside forbidden pairs, rows are scaled to their weights, and move what columns
        have too much of to columns that lack it and are allowed; what finds no way is put on
        forbidden pairs. The weights b are scaled to the mass of a.

        Returns
        -------
        float64 array of shape (N, M), (B, N, M), or list of (N, M) arrays
            A plan with the row sums a and the column sums b.

        Raises
        ------
        ValueError
            The problem is unbalanced: its marginals are not met.

        References
        ----------
        * J. Altschuler, J. Weed, P. Rigollet: Near-linear time approximation algorithms for optimal
          transport via Sinkhorn iteration. NeurIPS (2017).

        Examples
        --------
        >>> import coalign
        >>> found = coalign.sinkhorn([[0.0, 1.0], [3.0, 1.0]], epsilon=0.5, tol=0.1)
        >>> found.feasible_plan().sum(axis=1).tolist()
        [0.5, 0.5]
        """
        self._require_balanced("feasible_plan")
        return _plans().plan(self, "feasible")

    def bounds(self) -> Any:
        """Return bounds of the least cost of transport without regularisation: a proof.

        The lower one is the value of duals that are made feasible from f by a hard transform, the
        upper one the cost of `feasible_plan`. Both include every rounding of their evaluation, so
        that they hold whatever the potentials are. The weights b are scaled to the mass of a.

        Returns
        -------
        lower, upper : float64 scalars, or arrays of shape (B,)
            min Σ P_ij C_ij over the plans with the marginals a and b lies between them. The upper
            one is inf where `feasible_plan` needs forbidden pairs; beside forbidden pairs it holds
            for the weights that its sums are, which differ from a and b by rounding.

        Raises
        ------
        ValueError
            The problem is unbalanced: its optimum is another one.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.sinkhorn([[0.0, 1.0], [3.0, 1.0]], epsilon=0.01)
        >>> lower, upper = found.bounds()
        >>> bool(lower <= 0.5 <= upper), bool(upper - lower < 1e-3)
        (True, True)
        """
        self._require_balanced("bounds")
        return _plans().bounds(self)

    def gradients(self) -> Any:
        """Return the derivatives of `value` at convergence, by the costs or points and the weights.

        Returns
        -------
        TransportGradients, or PointGradients for a result of `sinkhorn_points`
            A named tuple of `cost`, `a` and `b`, of the shapes of the plan, f and g. By the cost it
            is the plan. By a weight it is f - ε log a, where a is 0 the soft transform of g;
            balanced, these are known up to a constant for each side, since the masses must stay
            equal. Unbalanced, they are whole: ρ (1 - e) + ε (Σb - e), with
            e = exp(-(f - ε log a) / ρ). Of clouds, a named tuple of `x`, `y`, `a` and `b`: by a
            point it is Σ_j P_ij ∂c(x_i, y_j) / ∂x_i, of the shape of the points, for each problem
            also where one cloud goes with many. Points that coincide add 0 where the metric is
            "euclidean", and points of norm 0 where it is "cosine", whose derivatives do not exist.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.sinkhorn([[0.0, 1.0], [3.0, 1.0]], epsilon=0.5, tol=1e-9)
        >>> found.gradients().a.round(3).tolist()
        [0.067, 1.165]
        """
        return _plans().gradients(self)

    def plan_vjp(self, seed: Any) -> Any:
        """Return the derivative of Σ seed_ij P_ij by the cost, at convergence.

        The potentials are not held: what a change of the cost does to them is found from the
        equations that they solve, by conjugate gradients.

        Parameters
        ----------
        seed : array of the shape of the cost, or list of arrays
            The derivative of a function by the plan.

        Returns
        -------
        PlanGradient
            A named tuple of `cost`, of the shape of the cost, and `residual`, a float64 scalar or
            array of shape (B,): what is left of the linear system, relative to its right hand side.

        Raises
        ------
        ValueError
            The shape of `seed` is not that of the cost.
        TypeError
            A dtype or kind of array is wrong, or the result is one of point clouds: solve
            `sinkhorn` on the matrix of their costs.

        Notes
        -----
        It holds the plan in memory beside the result.

        Examples
        --------
        >>> import coalign
        >>> found = coalign.sinkhorn([[0.0, 1.0], [3.0, 1.0]], epsilon=0.5, tol=1e-9)
        >>> found.plan_vjp([[1.0, 0.0], [0.0, 0.0]]).cost.round(3).tolist()
        [[-0.033, 0.033], [0.033, -0.033]]
        """
        return _plans().plan_vjp(self, seed)

    def _require_balanced(self, name: str) -> None:
        if self.unbalanced is not None:
            raise ValueError(
                f"{name}: expected a balanced problem, got unbalanced={self.unbalanced}"
            )


def _plans() -> Any:
    # Imported at first use: plain calls do not need it.
    from . import _transport_plan

    return _transport_plan


connect_result(Transport)
