"""Point clouds whose matrix of costs is too large to hold, and what plans between them come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Potentials = tuple[Array, Array]

# Rows of the costs that are looked at together.
ROWS = 500


@dataclass(frozen=True, eq=False)
class Clouds:
    """Two clouds of points of equal weights, at squared distances; it is judged as `Problems` are.

    Its plans are the potentials that they come from.
    """

    x: Array
    y: Array
    epsilon: float
    count: int = 1
    uniform: bool = True

    @property
    def a(self) -> Array:
        """Give the weights of x."""
        return np.full((1, len(self.x)), 1 / len(self.x))

    @property
    def b(self) -> Array:
        """Give the weights of y."""
        return np.full((1, len(self.y)), 1 / len(self.y))

    def plans(self, f: Array, g: Array) -> Potentials:
        """Keep the potentials (1, N) and (1, M)."""
        return f[0], g[0]

    def error(self, plans: Potentials) -> float:
        """Give the error of the marginals; inf for NaN."""
        columns, off = np.zeros(len(self.y)), 0.0
        for _, plan in self._rows(plans):
            columns += plan.sum(axis=0)
            off += float(np.abs(plan.sum(axis=1) - 1 / len(self.x)).sum())
        off += float(np.abs(columns - 1 / len(self.y)).sum())
        return off if np.isfinite(off) else np.inf

    def cost(self, plans: Potentials) -> float:
        """Give the cost of the plan."""
        return sum(float((cost * plan).sum()) for cost, plan in self._rows(plans))

    def _rows(self, plans: Potentials) -> Iterator[tuple[Array, Array]]:
        f, g = plans
        for at, cost in rows_of_costs(self.x, self.y):
            with np.errstate(over="ignore", invalid="ignore"):
                yield cost, np.exp((f[at : at + ROWS, None] + g - cost) / self.epsilon)


def rows_of_costs(x: Array, y: Array) -> Iterator[tuple[int, Array]]:
    """Give squared distances, some rows at a time, and where these begin."""
    for at in range(0, len(x), ROWS):
        part = x[at : at + ROWS]
        norms = (part**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)
        yield at, np.maximum(norms - 2 * part @ y.T, 0)


def uniform(seed: int, n: int, dim: int, *, of_most: float) -> Clouds:
    """Make clouds in the unit cube, with an epsilon that is a share of the greatest cost."""
    random = np.random.default_rng((seed, n, dim))
    # As float32, so that all contenders solve the same problem.
    x, y = random.random((2, n, dim), np.float32).astype(np.float64)
    most = max(float(cost.max()) for _, cost in rows_of_costs(x, y))
    return Clouds(x, y, of_most * most)
