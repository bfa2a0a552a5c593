"""What follows from a result of `sinkhorn_points`: gradients, plans, products and bounds."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _execution
from oracles import transport as oracle

METRICS = oracle.METRICS
costs, slopes = oracle.costs_of_points, oracle.slopes_of_points
NO_PROC = not Path("/proc/self/status").exists()
STEP = 1e-5
#: By points, over the spread of the costs: the plan is made in float64, and rounded once.
EXACT = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-11}

rng = np.random.default_rng(31)
X, Y = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
A, B = (weights / weights.sum() for weights in (rng.random(5) + 0.1, rng.random(4) + 0.1))


def value(x: Any, y: Any, metric: str, epsilon: float, unbalanced: Any) -> float:
    given = oracle.problem(costs(x, y, metric), A, B, epsilon=epsilon, unbalanced=unbalanced)
    return oracle.solve(given).value


def stored(found: coalign.Transport, **options: Any) -> coalign.Transport:
    """A result of the same potentials, of costs that are stored."""
    clouds = found.cost_matrix
    cost = costs(clouds.x, clouds.y, clouds.metric).astype(found.f.dtype)
    made = coalign.sinkhorn(cost, found.a, found.b, epsilon=1.0, **options)
    return made.__replace__(f=found.f, g=found.g, epsilon=found.epsilon)


def one(metric: str = "sqeuclidean", dtype: Any = np.float64, **options: Any) -> Any:
    """A result of clouds larger than any block of the kernels, with weights of 0."""
    made = np.random.default_rng(4)
    x, y = made.normal(size=(45, 3)).astype(dtype), made.normal(size=(600, 3)).astype(dtype)
    a, b = made.random(45) + 0.1, made.random(600) + 0.1
    a[[3, 44]] = b[[0, 7, 599]] = 0
    a, b = (a / a.sum()).astype(dtype), (b / b.sum()).astype(dtype)
    return coalign.sinkhorn_points(
        x, y, a, b, **{"epsilon": 0.3, "metric": metric, "tol": 1e-4, **options}
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("unbalanced", [None, 0.7])
def test_gradients_by_points_are_those_of_finite_differences(metric: str, unbalanced: Any) -> None:
    found = coalign.sinkhorn_points(
        X, Y, A, B, epsilon=0.3, metric=metric, unbalanced=unbalanced, tol=1e-12
    )
    gradients = found.gradients()
    for side, ours in ((0, gradients.x), (1, gradients.y)):
        wanted = np.zeros_like(ours)
        for at in np.ndindex(*ours.shape):
            moved = []
            for step in (STEP, -STEP):
                clouds = [X.copy(), Y.copy()]
                clouds[side][at] += step
                moved.append(value(*clouds, metric, 0.3, unbalanced))
            wanted[at] = (moved[0] - moved[1]) / (2 * STEP)
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-8)
        assert np.abs(wanted).max() > 0.01


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 3, 17, 64])
def test_gradients_by_points_are_those_by_costs_by_the_chain_rule(
    metric: str, dim: int, isa: str, dtype: np.dtype[Any]
) -> None:
    made = np.random.default_rng(dim)
    x, y = (made.normal(size=(count, dim)).astype(dtype) for count in (45, 600))
    x[2] = 0
    epsilon = 0.1 * float(np.abs(costs(x, y, metric)).max())
    with _execution.forced(isa=isa):
        found = coalign.sinkhorn_points(
            x, y, epsilon=epsilon, metric=metric, tol=0, max_iterations=20
        )
        gradients = found.gradients()
    f, g = (np.asarray(side, np.float64) for side in (found.f, found.g))
    plan = np.exp((f[:, None] + g - costs(x, y, metric)) / epsilon)
    by_x = (plan[..., None] * slopes(x, y, metric)).sum(axis=1)
    by_y = (plan.T[..., None] * slopes(y, x, metric)).sum(axis=1)
    for ours, wanted in ((gradients.x, by_x), (gradients.y, by_y)):
        assert ours.dtype == dtype
        # On a line, all cosines have derivatives of 0.
        off = EXACT[dtype] * np.abs(wanted).max() + 1e-14
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=off)
    assert gradients.a.shape == (45,)


def test_points_that_coincide_add_nothing_and_near_ones_keep_their_digits() -> None:
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    same = coalign.sinkhorn_points(x, x, epsilon=1e-3, metric="euclidean", tol=1e-9).gradients()
    assert (np.abs(same.x) < 1e-100).all()
    assert (np.abs(same.y) < 1e-100).all()
    # One pair has the whole plan: the gradient is the direction, and twice the difference.
    near = np.array([[1.0, 1.0]])
    for metric, wanted in (("euclidean", -1.0), ("sqeuclidean", -(2.0**-39))):
        gap = np.array([[0.0, 2.0**-40]])
        found = coalign.sinkhorn_points(near, near + gap, epsilon=1.0, metric=metric).gradients()
        np.testing.assert_allclose(found.x, [[0, wanted]], rtol=1e-12)
        np.testing.assert_allclose(found.y, [[0, -wanted]], rtol=1e-12)
    # An offset that both clouds have takes no digits.
    there = coalign.sinkhorn_points(X + 2.0**20, Y + 2.0**20, epsilon=0.3, tol=1e-12).gradients()
    here = coalign.sinkhorn_points(X, Y, epsilon=0.3, tol=1e-12).gradients()
    np.testing.assert_allclose(there.x, here.x, atol=1e-8)


def test_a_point_of_norm_0_has_no_direction() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    y = np.array([[0.0, 0.0], [0.0, 2.0]])
    found = coalign.sinkhorn_points(x, y, epsilon=0.5, metric="cosine").gradients()
    assert not found.x[0].any()
    assert not found.y[0].any()
    assert found.x[1].any()
    # The length of a point does not count, so the gradient is across it, and goes with 1 / length.
    assert found.x[1] @ x[1] == pytest.approx(0, abs=1e-15)
    twice = coalign.sinkhorn_points(2 * x, y, epsilon=0.5, metric="cosine").gradients()
    np.testing.assert_allclose(2 * twice.x, found.x, rtol=1e-14)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("unbalanced", [None, (0.5, 2.0), (np.inf, 1.0)])
def test_gradients_by_weights_are_those_of_stored_costs(metric: str, unbalanced: Any) -> None:
    found = one(metric, unbalanced=unbalanced)
    ours, theirs = found.gradients(), stored(found, unbalanced=unbalanced).gradients()
    np.testing.assert_allclose(ours.a, theirs.a, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(ours.b, theirs.b, rtol=1e-10, atol=1e-10)
    assert np.isfinite(ours.a).all()


@pytest.mark.parametrize("metric", METRICS)
def test_plans_and_products_are_those_of_stored_costs(
    metric: str, isa: str, dtype: np.dtype[Any]
) -> None:
    with _execution.forced(isa=isa):
        found = one(metric, dtype)
        plan, hard = found.plan(), found.hard()
        v, w = rng.random((600, 11)).astype(dtype), rng.random((45, 2)).astype(dtype)
        right, left = found.apply(v), found.apply(w, transpose=True)
        alone = found.apply(v[:, 0])
    f, g = (np.asarray(side, np.float64) for side in (found.f, found.g))
    exponents = (f[:, None] + g - costs(found.cost_matrix.x, found.cost_matrix.y, metric)) / 0.3
    wanted = np.exp(exponents)
    exact = 1e-6 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(plan, wanted, rtol=exact, atol=np.finfo(dtype).tiny)
    assert plan.dtype == right.dtype == dtype
    np.testing.assert_allclose(right, wanted @ v.astype(np.float64), rtol=exact)
    np.testing.assert_allclose(left, wanted.T @ w.astype(np.float64), rtol=exact)
    np.testing.assert_allclose(alone, right[:, 0], rtol=exact)
    best = np.where(found.a > 0, exponents.argmax(axis=1), -1)
    assert hard.tolist() == best.tolist()
    assert hard[3] == -1


def test_a_hard_choice_is_the_first_of_equals() -> None:
    y = np.repeat(np.arange(3.0), 300)
    found = coalign.sinkhorn_points([2.0, 0.0, 1.0], y, epsilon=0.1)
    assert found.hard().tolist() == [600, 0, 300]


def test_an_empty_plan_takes_nothing_of_an_infinite_value() -> None:
    v = np.ones(600)
    v[[0, 7]] = np.inf, np.nan
    found = one()
    np.testing.assert_allclose(found.apply(v), found.plan().sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_bounds_and_feasible_plans_are_those_of_stored_costs(metric: str) -> None:
    found = one(metric, epsilon=0.05)
    theirs = stored(found)
    np.testing.assert_allclose(found.bounds(), theirs.bounds(), rtol=1e-12)
    plan = found.feasible_plan()
    np.testing.assert_allclose(plan, theirs.feasible_plan(), rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(plan.sum(axis=1), found.a, atol=1e-15)


def test_bounds_hold_whatever_rounding_does_to_the_costs() -> None:
    # Two pairs of near points, far apart: moved to their centre, points lose digits of the gaps.
    for _ in range(20):
        x, y = ((np.array([0.0, 1e6]) + rng.random(2))[:, None] for _ in range(2))
        gaps = [Fraction(u) - Fraction(v) for u, v in zip(x.flat, y.flat, strict=True)]
        exact = sum(gap**2 for gap in gaps) / 2
        found = coalign.sinkhorn_points(x, y, epsilon=0.01)
        lower, upper = (Fraction(float(bound)) for bound in found.bounds())
        assert lower <= exact <= upper
        assert upper - lower < 0.1
    with pytest.raises(ValueError, match="bounds: expected a balanced problem"):
        one(unbalanced=1.0).bounds()


def test_each_problem_of_a_batch_is_as_it_is_alone() -> None:
    xs = [rng.normal(size=(count, 2)) for count in (9, 4, 33)]
    y = rng.normal(size=(12, 2))
    padded = np.full((3, 33, 2), np.nan)
    for item, x in zip(padded, xs, strict=True):
        item[: len(x)] = x
    epsilons = np.array([0.2, 0.3, 0.4])
    alone = [
        coalign.sinkhorn_points(x, y, epsilon=e) for x, e in zip(xs, epsilons.tolist(), strict=True)
    ]
    listed = coalign.sinkhorn_points(xs, y, epsilon=epsilons)
    together = coalign.sinkhorn_points(padded, y, epsilon=epsilons, x_lengths=[9, 4, 33])
    w = [rng.random((len(x), 3)) for x in xs]
    w_padded = np.full((3, 33, 3), np.nan)
    for item, part in zip(w_padded, w, strict=True):
        item[: len(part)] = part
    v = rng.random(12)
    calls: list[tuple[Any, Any]] = [
        *((lambda t, p, k=k: t.gradients()[k],) * 2 for k in range(4)),
        (lambda t, p: t.plan(),) * 2,
        (lambda t, p: t.feasible_plan(),) * 2,
        (lambda t, p: t.hard(),) * 2,
        (lambda t, p: t.apply(v),) * 2,
        (lambda t, p: t.apply(w[p], transpose=True), lambda t, w: t.apply(w, transpose=True)),
    ]
    for k, (single, batch) in enumerate(calls):
        is_last = k == len(calls) - 1
        for found, given in ((listed, w), (together, w_padded)):
            ours = batch(found, given if is_last else None)
            assert len(ours) == 3
            for p, mine in enumerate(ours):
                wanted = single(alone[p], p)
                within = tuple(map(slice, wanted.shape))
                assert np.array_equal(mine[within], wanted), k
                padding = np.ones(mine.shape, bool)
                padding[within] = False
                assert (mine[padding] == (-1 if mine.dtype == np.int64 else 0)).all()
    bounds = np.transpose([each.bounds() for each in alone])
    assert np.array_equal(listed.bounds(), bounds)


def test_points_on_a_line_have_gradients_on_a_line() -> None:
    found = coalign.sinkhorn_points([0.0, 1.0], np.array([[0.5], [2.0]]), epsilon=0.5).gradients()
    assert (found.x.shape, found.y.shape) == ((2,), (2, 1))
    listed = coalign.sinkhorn_points([np.zeros(2), np.ones(3)], np.arange(4.0), epsilon=0.5)
    assert [each.shape for each in listed.gradients().x] == [(2,), (3,)]
    assert [each.shape for each in listed.gradients().y] == [(4,), (4,)]
    none = coalign.sinkhorn_points([], [], epsilon=0.5)
    assert none.gradients().x == none.plan() == none.hard() == []


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def every(threads: str) -> list[Any]:
        monkeypatch.setenv("COALIGN_NUM_THREADS", threads)
        with _execution.forced(work_per_thread=0.0):
            found = one()
            ways = (found.gradients, found.bounds, lambda: (found.plan(), found.hard()))
            return [each for way in ways for each in (*way(), found.apply(np.ones((600, 2))))]

    for single, shared in zip(every("1"), every("3"), strict=True):
        assert np.array_equal(single, shared)


def test_what_only_stored_costs_have_is_refused() -> None:
    found = one()
    with pytest.raises(TypeError, match=r"\Aplan_vjp: .* one of point clouds; solve sinkhorn on"):
        found.plan_vjp(np.ones((45, 600)))
    with pytest.raises(ValueError, match="v: expected a 1-D or 2-D array of 600 along axis 0"):
        found.apply(np.ones(45))


# The high-water mark of the process's own memory: what getrusage reports a child inherits.
MEMORY = """
import sys
import numpy as np
import coalign

def most():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

dim = int(sys.argv[1])
rng = np.random.default_rng(0)
x, y, v = (rng.random((10_000, width), np.float32) for width in (dim, dim, 4))
# What is imported at first use takes memory once.
coalign.sinkhorn_points(x[:50], y[:50], epsilon=0.5).gradients()
before = most()
found = coalign.sinkhorn_points(x, y, epsilon=0.5, tol=0.0, max_iterations=2)
found.gradients(), found.apply(v), found.hard()
print(most() - before)
"""


@pytest.mark.skipif(NO_PROC, reason="reads what Linux says of a process")
@pytest.mark.parametrize("dim", [3, 64])
def test_extra_memory_is_that_of_the_points(dim: int) -> None:
    command = [sys.executable, "-c", MEMORY, str(dim)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    # A matrix of costs takes 400 MB in float32.
    assert int(run.stdout) * 1024 < 50e6
