"""Bad input to `assign` and `linear_sum_assignment`: refused in words, or solved right."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import linear_sum_assignment as scipy_assignment
from scipy.sparse import coo_array, csr_matrix

from coalign import (
    InfeasibleError,
    Status,
    assign,
    linear_sum_assignment,
)
from oracles.compare import PROMISED_TOTAL, assert_same_bits
from refusals import Call, assert_refused, put, table

# Both ways into native code are tried.
pytestmark = pytest.mark.usefixtures("door")

Array = npt.NDArray[Any]

rng = np.random.default_rng(30)
COST = rng.uniform(size=(4, 5))
BATCH = rng.uniform(size=(3, 4, 5))
SQUARE = rng.uniform(size=(4, 4))


# Values


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("limit", [None, 0.5, math.inf])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_cost_is_named_with_its_index(
    value: float, maximize: bool, limit: float | None, dtype: str, threads: int
) -> None:
    # The infinity that forbids nothing.
    value = value if maximize or math.isnan(value) else -value
    options: dict[str, Any] = {"maximize": maximize, "threads": threads}
    if limit is not None:
        options["max_cost"] = -limit if maximize and math.isinf(limit) else limit
    found = "NaN" if math.isnan(value) else str(value)
    forbids = "-inf" if maximize else "+inf"
    wanted = f"expected finite costs, or {forbids} to forbid a pair"
    cost, batch = COST.astype(dtype), BATCH.astype(dtype)
    places: list[tuple[str, Any]] = [
        ("cost: {} at index (0, 0)", put(cost, (0, 0), value)),
        ("cost: {} at index (2, 4)", put(cost, (2, 4), value)),
        ("cost: {} at index (4, 2)", put(cost, (2, 4), value).T),
        ("cost: {} at index (1, 3, 2)", put(batch, (1, 3, 2), value)),
        ("cost: {} at index (2, 4, 0)", put(batch, (2, 0, 4), value).transpose(0, 2, 1)),
        ("cost[2]: {} at index (3, 1)", [cost, cost.T, put(cost, (3, 1), value)]),
        ("cost[0]: {} at index (4, 1)", (put(cost, (1, 4), value).T, cost)),
    ]
    for place, spoilt in places:
        with assert_refused(ValueError, f"{place.format(found)}; {wanted}"):
            assign(spoilt, **options)


@pytest.mark.parametrize("column", [0, 63, 64, 447, 448, 499])
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_it_is_found_in_rows_of_few_affordable_columns(value: float, column: int) -> None:
    cost = put(np.random.default_rng(0).random((420, 500)), (400, column), value)
    found = "NaN" if math.isnan(value) else str(value)
    wanted = "expected finite costs, or +inf to forbid a pair"
    for dtype in ("float32", "float64"):
        with assert_refused(ValueError, f"cost: {found} at index (400, {column}); {wanted}"):
            assign(cost.astype(dtype), max_cost=0.02)


def test_the_first_of_several_is_named() -> None:
    wanted = "expected finite costs, or +inf to forbid a pair"
    spoilt = put(put(COST, (3, 0), math.nan), (2, 4), math.nan)
    with assert_refused(ValueError, f"cost: NaN at index (2, 4); {wanted}"):
        assign(spoilt)
    with assert_refused(ValueError, f"cost[1]: NaN at index (2, 4); {wanted}"):
        assign([COST, spoilt, spoilt], threads=2)
    # A bad value goes before a problem that has no matching.
    with assert_refused(ValueError, f"cost[1]: NaN at index (2, 4); {wanted}"):
        assign([np.full((2, 2), np.inf), spoilt])


# Shapes, dtypes, kinds


@table(
    (
        "1-D",
        lambda: assign([1.0, 2.0, 3.0]),
        ValueError,
        "cost: expected a 2-D or 3-D array, got shape (3,)",
    ),
    (
        "1-D item",
        lambda: assign([COST, COST[0]]),
        ValueError,
        "cost[1]: expected a 2-D array, got shape (5,)",
    ),
    (
        "3-D item",
        lambda: assign([BATCH]),
        ValueError,
        "cost[0]: expected a 2-D array, got shape (3, 4, 5)",
    ),
    (
        "None",
        lambda: assign(None),
        TypeError,
        "cost: expected a real numeric array, got NoneType",
    ),
)
def test_shapes_dtypes_and_kinds(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


# Options


@table(
    (
        "max_cost NaN",
        lambda: assign(COST, max_cost=math.nan),
        ValueError,
        "max_cost: expected a number, got NaN",
    ),
    (
        "max_cost that is no number",
        lambda: assign(COST, max_cost="1"),
        TypeError,
        "max_cost: expected a number, got str",
    ),
    (
        "max_cost past every float",
        lambda: assign(COST, max_cost=10**400),
        ValueError,
        "max_cost: expected a number that a float can hold",
    ),
    (
        "max_cost that asks for no pair",
        lambda: assign(COST, max_cost=-math.inf),
        ValueError,
        "max_cost: expected a number or inf",
    ),
    (
        "max_cost that asks for no pair, maximised",
        lambda: assign(COST, max_cost=math.inf, maximize=True),
        ValueError,
        "max_cost: expected a number or -inf",
    ),
    (
        "warm_start that is none",
        lambda: assign(COST, warm_start=COST),  # type: ignore[arg-type]
        TypeError,
        "warm_start: expected an Assignment, got ndarray",
    ),
)
def test_options(call: Call, error: type[Exception], message: str) -> None:
    with assert_refused(error, message):
        call()


def test_options_that_are_taken() -> None:
    plain = assign(COST)
    for options in (
        {"maximize": np.False_},
        {"threads": np.int64(2)},
        {"device": "cpu"},
        {"device": "auto"},
        {"warm_start": plain},
    ):
        found = assign(COST, **options)  # type: ignore[arg-type]
        assert found.col_of_row.tolist() == plain.col_of_row.tolist()
        assert type(found.maximize) is bool
    assert type(assign(COST, max_cost=np.float32(0.5)).max_cost) is float


@pytest.mark.parametrize(
    ("earlier", "later", "options"),
    [
        (SQUARE, rng.uniform(size=(5, 5)), {}),
        (COST, rng.uniform(size=(5, 5)), {}),
        (rng.uniform(size=(2, 4)), SQUARE, {}),
        (SQUARE, SQUARE, {"maximize": True}),
        (BATCH, COST, {}),
        (np.stack([SQUARE] * 2), rng.uniform(size=(4, 4, 4)), {}),
        ([SQUARE], [SQUARE, SQUARE], {}),
        ([SQUARE[:3, :3], SQUARE], [SQUARE, SQUARE[:3, :3]], {}),
        (np.stack([SQUARE]), SQUARE, {}),
    ],
    ids=[
        "larger",
        "as wide",
        "taller",
        "direction",
        "one of a batch",
        "batch",
        "list",
        "order",
        "kind",
    ],
)
def test_a_warm_start_of_another_shape_is_refused(
    earlier: Any, later: Any, options: dict[str, Any]
) -> None:
    start = assign(earlier)
    wanted = "warm_start: expected an assignment of the same shape and direction"
    with assert_refused(ValueError, wanted):
        assign(later, warm_start=start, **options)


def test_a_warm_start_with_pairs_of_another_kind_is_refused() -> None:
    earlier = assign(COST)
    for pairs in (earlier.col_of_row[:-1], earlier.col_of_row.astype(float)):
        wanted = "warm_start: expected an assignment of the same shape and direction"
        with assert_refused(ValueError, wanted):
            assign(COST, warm_start=earlier.__replace__(col_of_row=pairs))


def test_check_names_the_problem() -> None:
    found = assign(BATCH)
    assert found.check() is found
    status = np.array([0, 0, Status.INFEASIBLE], np.int32)
    with assert_refused(InfeasibleError, "problem 2: no matching"):
        found.__replace__(status=status).check()
    with assert_refused(InfeasibleError, "problem 0: no matching"):
        assign(COST).__replace__(status=np.int32(Status.INFEASIBLE)).check()


def test_the_gap_of_other_costs_is_refused() -> None:
    found = assign(BATCH)
    for other in (BATCH[:2], BATCH[:, :3], COST, [COST, COST]):
        with assert_refused(ValueError, "cost: expected the shape that was solved"):
            found.gap(other)


# What is taken


def test_a_warm_start_is_never_written() -> None:
    start = assign(SQUARE)
    before = [getattr(start, field).copy() for field in ("row_dual", "col_dual", "col_of_row")]
    assign(rng.uniform(size=(4, 4)), warm_start=start)
    for field, value in zip(("row_dual", "col_dual", "col_of_row"), before, strict=True):
        assert_same_bits(getattr(start, field), value)


def test_beside_an_infinite_limit_float32_is_computed_in_float64() -> None:
    found = assign(COST.astype(np.float32), max_cost=math.inf)
    assert found.row_dual.dtype == np.float64


# Nothing to match


@pytest.mark.parametrize("options", [{}, {"maximize": True}, {"max_cost": 1.0}, {"threads": 2}])
@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
def test_a_side_without_items_has_no_pairs(shape: tuple[int, int], options: dict[str, Any]) -> None:
    found = assign(np.zeros(shape), **options)
    assert found.total == 0.0
    assert found.status == Status.OK
    assert found.col_of_row.tolist() == [-1] * shape[0]
    assert found.row_of_col.tolist() == [-1] * shape[1]
    # Unmatched rows have the limit for a dual.
    assert found.row_dual.tolist() == [options.get("max_cost", 0.0)] * shape[0]
    assert found.col_dual.tolist() == [0.0] * shape[1]
    assert found.pairs().shape == (0, 2)
    assert found.gap(np.zeros(shape)) == 0.0
    batch = assign(np.zeros((2, *shape)), **options)
    assert batch.total.tolist() == [0.0, 0.0]
    assert batch.col_of_row.shape == (2, shape[0])
    assert batch.row_of_col.shape == (2, shape[1])
    listed = assign([np.zeros(shape), np.ones((1, 1)) / 2], **options)
    assert listed.total.tolist() == [0.0, 0.5]
    assert [len(columns) for columns in listed.col_of_row] == [shape[0], 1]


# SciPy's signature


class Frame:
    """What a data frame is to NumPy."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.values if dtype is None else self.values.astype(dtype)


def assert_same_as_scipy(cost: Any, maximize: Any = False) -> None:
    """Both give pairs of one total, or both refuse in the same words."""
    try:
        rows, columns = scipy_assignment(cost, maximize)
    except (TypeError, ValueError, OverflowError) as error:
        with assert_refused(type(error), str(error)):
            linear_sum_assignment(cost, maximize)
        return
    ours = linear_sum_assignment(cost, maximize)
    assert ours[0].dtype == ours[1].dtype == np.int64
    assert ours[0].tolist() == sorted(set(ours[0].tolist()))
    assert len(rows) == len(ours[0]) == len(ours[1]) == len(set(ours[1].tolist()))
    # Both solve in float64. The totals are compared with no rounding.
    values = np.asarray(cost, np.float64)
    totals = [sum(map(Fraction, values[pairs])) for pairs in (ours, (rows, columns))]
    size = sum(abs(Fraction(value)) for value in values[rows, columns])
    assert abs(totals[0] - totals[1]) <= size * Fraction(PROMISED_TOTAL["float64"])


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "uint8", "bool"])
def test_linear_sum_assignment_is_scipys(maximize: bool, dtype: str) -> None:
    local = np.random.default_rng(7)
    for shape in ((1, 1), (3, 8), (8, 3), (30, 30), (0, 3), (3, 0), (0, 0), (90, 90), (70, 100)):
        cost = (100 * local.normal(size=shape)).astype(dtype)
        assert_same_as_scipy(cost, maximize)
        assert_same_as_scipy(cost.T[::-1], maximize)


def test_a_constant_matrix_gives_the_identity() -> None:
    assert linear_sum_assignment(np.ones((5, 5)))[1].tolist() == [0, 1, 2, 3, 4]
    assert linear_sum_assignment(cost_matrix=[[1, 2]], maximize=True)[1].tolist() == [1]


NUMBERS = [[4, 1, 3], [2, 0, 5], [3, 2, 2]]


#: What is tried on both, made when it is used.
MATRICES: dict[str, Callable[[], Any]] = {
    "list": lambda: NUMBERS,
    "tuple": lambda: tuple(map(tuple, NUMBERS)),
    "matrix": lambda: np.array(NUMBERS).view(np.matrix),
    "masked": lambda: np.ma.masked_array(NUMBERS, np.eye(3)),
    "frame": lambda: Frame(NUMBERS),
    "frame of objects": lambda: Frame(np.array(NUMBERS, object)),
    "objects": lambda: np.array(NUMBERS, object),
    "fractions": lambda: [[Fraction(1, 3), 1], [1, 2]],
    "big-endian": lambda: np.array(NUMBERS, ">f8"),
    "unaligned": lambda: np.frombuffer(b"x" + bytes(72), np.uint8)[1:].view("f8").reshape(3, 3),
    "past 2**53": lambda: np.array([[2**53 + 1, 2**53], [2**53, 2**53 + 3]]),
    "past every int64": lambda: np.array([[2**64 - 1, 1], [5, 2**63]], np.uint64),
    "large int": lambda: [[10**30, 1], [1, 5]],
    "larger than every float": lambda: [[10**400, 1], [1, 5]],
    "longdouble": lambda: np.array(NUMBERS, np.longdouble),
    "strings": lambda: np.array([["1", "2"], ["3", "4"]]),
    "list of strings": lambda: [["1", "2"], ["3", "4"]],
    "words": lambda: [["a", "b"], ["c", "d"]],
    "complex": lambda: np.array(NUMBERS, complex),
    "list of complex": lambda: [[1j, 2], [3, 4]],
    "dates": lambda: np.array([[1, 2]], "M8[s]"),
    "records": lambda: np.zeros((2, 2), [("a", float)]),
    "object with None": lambda: np.array([[None, 1], [2, 3]]),
    "None": lambda: None,
    "number": lambda: 3.0,
    "dict": lambda: {"a": 1},
    "ragged": lambda: [[1, 2], [3]],
    "1-D": lambda: [1, 2, 3],
    "3-D": lambda: np.zeros((2, 2, 2)),
    "empty list": lambda: [],
    "list of an empty list": lambda: [[]],
    "CSR": lambda: csr_matrix(NUMBERS),
    "COO": lambda: coo_array(NUMBERS),
    "NaN": lambda: [[1.0, math.nan]],
    "NaN in float32": lambda: np.array([[1.0, math.nan]], np.float32),
    "-inf": lambda: [[1.0, -math.inf]],
    "NaN beside a row that is forbidden": lambda: [[math.inf, math.inf], [math.nan, 2.0]],
    "a column twice": lambda: [[1.0, math.inf], [2.0, math.inf]],
    "all forbidden": lambda: np.full((3, 4), math.inf),
}


@pytest.mark.parametrize("name", MATRICES)
def test_linear_sum_assignment_takes_and_refuses_what_scipy_does(name: str) -> None:
    for maximize in (False, True):
        assert_same_as_scipy(MATRICES[name](), maximize)


def test_maximize_is_taken_as_scipy_takes_it() -> None:
    for maximize in (0, 1, "x", None, np.True_, np.array([1, 2])):
        assert_same_as_scipy(NUMBERS, maximize)


def test_float32_costs_have_the_total_that_float64_gives_them() -> None:
    # Every matching would have one total, but for the roundings of float32.
    local = np.random.default_rng(3)
    for side in (20, 80):
        rows, columns = 100 * local.random((2, side))
        assert_same_as_scipy((rows[:, np.newaxis] + columns).astype(np.float32))


def test_a_total_without_proof_warns() -> None:
    cost = np.full((70, 70), 1.7e308)
    cost[:, ::2] = -1.7e308
    with pytest.warns(RuntimeWarning, match=r"\Alinear_sum_assignment: .* not be proved") as caught:
        linear_sum_assignment(cost)
    assert caught[0].filename == __file__
