"""Sparse costs: what is not stored is forbidden, as inf is in the dense matrix."""

import re

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import (
    maximum_bipartite_matching,
    min_weight_full_bipartite_matching,
)

import coalign
from coalign import InfeasibleError, Status, assign

#: Of a total, against the optimum, relative to the sum of the pairs' magnitudes.
TOTAL = {"float64": 1e-12, "float32": 1e-6}
FORMATS = [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix]


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def random_sparse(rng, rows, columns, per_row, values="uniform", dtype="float64"):
    """Random entries, and a hidden matching of the shorter side."""
    short, swap = min(rows, columns), rows > columns
    i, j = np.arange(short), rng.permutation(max(rows, columns))[:short]
    i, j = (j, i) if swap else (i, j)
    i = np.concatenate([i, rng.integers(0, rows, rows * per_row)])
    j = np.concatenate([j, rng.integers(0, columns, rows * per_row)])
    keys = np.unique(i * columns + j)
    costs = rng.uniform(-1, 1, len(keys))
    if values == "integers":
        costs = rng.integers(-5, 6, len(keys)).astype(float)
    if values == "products":
        a, b = rng.random((2, max(rows, columns), 3))
        costs = (a[keys // columns] * b[keys % columns]).sum(1)
    coordinates = (keys // columns, keys % columns)
    return sparse.csr_array((costs.astype(dtype), coordinates), shape=(rows, columns))


def densify(matrix, missing=np.inf):
    """Show what the sparse matrix says, one entry at a time."""
    entries = matrix.tocoo()
    dense = np.full(matrix.shape, missing, np.float64)
    dense[entries.row, entries.col] = 0
    np.add.at(dense, (entries.row, entries.col), entries.data)
    return dense


def require_proof(found, matrix):
    """Check that it is a matching of stored pairs, whose duals prove the optimum."""
    pairs = found.pairs()
    sign = -1 if found.maximize else 1
    cost = sign * densify(matrix, -np.inf if found.maximize else np.inf)
    dtype = found.row_dual.dtype.name
    slack = (1e-12 if dtype == "float64" else 1e-5) * max(1, np.abs(matrix.data).max(initial=0))
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs)
    np.testing.assert_array_equal(found.row_of_col[pairs[:, 1]], pairs[:, 0])
    assert np.isfinite(cost[tuple(pairs.T)]).all()
    u, v = sign * found.row_dual.astype(float), sign * found.col_dual.astype(float)
    assert (u[:, None] + v <= cost + slack).all()
    np.testing.assert_allclose((u[:, None] + v)[tuple(pairs.T)], cost[tuple(pairs.T)], atol=slack)
    if found.max_cost is None:
        assert len(pairs) == min(cost.shape)
        if cost.shape[0] < cost.shape[1]:
            assert (v <= slack).all()
            assert (v[found.row_of_col < 0] == 0).all()
        if cost.shape[0] > cost.shape[1]:
            assert (u <= slack).all()
            assert (u[found.col_of_row < 0] == 0).all()
    assert abs(found.gap(matrix)) <= slack * max(1, len(pairs))


@pytest.mark.parametrize("make", FORMATS)
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("values", ["uniform", "integers"])
def test_small_matrices_agree_with_dense_ones(rng, make, maximize, values):
    for _ in range(60):
        rows, columns = rng.integers(1, 12, 2)
        matrix = make(random_sparse(rng, rows, columns, rng.integers(0, 4), values))
        missing = -np.inf if maximize else np.inf
        found = assign(matrix, maximize=maximize)
        assert found.total == pytest.approx(
            assign(densify(matrix, missing), maximize=maximize).total, rel=1e-12, abs=1e-12
        )
        require_proof(found, matrix)


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("limit", [0.25, 1.0, np.inf])
def test_a_limit_agrees_with_the_dense_one(rng, make, maximize, limit):
    limit = -limit if maximize else limit
    for _ in range(60):
        shape = rng.integers(1, 12, 2)
        matrix = make(sparse.random_array(tuple(shape), density=0.3, rng=rng))
        dense = densify(matrix, -np.inf if maximize else np.inf)
        found = assign(matrix, maximize=maximize, max_cost=limit)
        wanted = assign(dense, maximize=maximize, max_cost=limit)
        gain = 0 if np.isinf(limit) else limit
        assert found.total - gain * len(found.pairs()) == pytest.approx(
            wanted.total - gain * len(wanted.pairs()), rel=1e-12, abs=1e-12
        )
        if np.isinf(limit):
            assert len(found.pairs()) == len(wanted.pairs())
        assert abs(found.gap(matrix)) <= 1e-12
        require_proof(found, matrix)


def scattered(rng, rows, columns, entries, span=0):
    """Random entries that need not have a matching of the shorter side; costs span 10^±span."""
    keys = np.unique(rng.integers(0, rows * columns, entries))
    costs = rng.uniform(-1, 1, len(keys)) * 10 ** rng.uniform(-span, span, len(keys))
    return sparse.csr_array((costs, (keys // columns, keys % columns)), shape=(rows, columns))


def largest_matchings(cost):
    """Give, of every matching of most finite pairs, the sums of the costs and of their sizes."""
    rows, columns = cost.shape
    found = {(): (0, 0.0, 0.0)}
    for i in range(rows):
        # Every matching of the rows so far, by its pairs.
        found |= {
            (*taken, (i, j)): (pairs + 1, total + cost[i, j], size + abs(cost[i, j]))
            for taken, (pairs, total, size) in list(found.items())
            for j in range(columns)
            if np.isfinite(cost[i, j]) and all(j != other for _, other in taken)
        }
    most = max(pairs for pairs, _, _ in found.values())
    return most, [(total, size) for pairs, total, size in found.values() if pairs == most]


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("maximize", [False, True])
def test_as_many_pairs_as_can_be_whatever_the_costs_span(rng, make, maximize):
    for _ in range(150):
        shape = rng.integers(1, 6, 2)
        matrix = make(scattered(rng, *shape, rng.integers(0, 12), span=12))
        sign = -1 if maximize else 1
        most, matchings = largest_matchings(sign * densify(matrix, sign * np.inf))
        best, size = min(matchings)
        found = assign(matrix, maximize=maximize, max_cost=sign * np.inf)
        assert len(found.pairs()) == most
        assert abs(sign * found.total - best) <= 1e-12 * size
        # The proof is of the duals, and one is as large as an exchange of pairs is worth.
        reach = max(np.abs(matrix.data).max(initial=0), np.abs(found.row_dual).max())
        assert abs(found.gap(matrix)) <= 1e-12 * reach
        require_proof(found, matrix)


def test_small_costs_are_not_lost_beside_large_ones(rng):
    # More rows than columns, fewer, and as many, so that each kind of part has both.
    parts = [scattered(rng, *shape, 16) for shape in [(5, 3), (3, 5), (4, 4)]]
    scales = [1e-12, 1.0, 1e12]
    blocks = [part * scale for part in parts for scale in scales]
    found = assign(sparse.block_diag(blocks, "csr"), max_cost=np.inf)
    row, column = 0, 0
    for part, block in zip(np.repeat(np.arange(3), 3), blocks, strict=True):
        rows, columns = block.shape
        alone = assign(parts[part], max_cost=np.inf)
        here = found.col_of_row[row : row + rows]
        np.testing.assert_array_equal(np.where(here < 0, -1, here - column), alone.col_of_row)
        row, column = row + rows, column + columns


@pytest.mark.parametrize("shape", [(3000, 3000), (3000, 2000), (2000, 3000)])
@pytest.mark.parametrize("per_row", [1, 2, 3, 6])
@pytest.mark.parametrize("span", [0, 12])
def test_large_matchings_are_as_large_as_scipys_and_proved(rng, shape, per_row, span):
    matrix = scattered(rng, *shape, per_row * shape[0], span)
    found = assign(matrix, max_cost=np.inf)
    pairs = found.pairs()
    assert len(pairs) == np.count_nonzero(maximum_bipartite_matching(matrix) >= 0)
    sizes = np.abs(matrix[pairs[:, 0], pairs[:, 1]]).sum()
    u, v = found.row_dual, found.col_dual
    most = u.max()
    assert abs(found.gap(matrix)) <= 1e-12 * sizes
    assert abs((u - most).sum() + v.sum() + most * len(pairs) - found.total) <= 1e-12 * sizes
    entries = matrix.tocoo()
    over = u[entries.row] + v[entries.col] - entries.data
    assert over.max() <= 1e-12 * np.abs(matrix.data).max()
    assert (v <= 0).all()
    assert (v[found.row_of_col < 0] == 0).all()
    assert (u[found.col_of_row < 0] == most).all()


def test_where_every_row_has_a_pair_no_limit_shows(rng):
    matrix = random_sparse(rng, 300, 400, 5)
    found, alone = assign(matrix, max_cost=np.inf), assign(matrix)
    np.testing.assert_array_equal(found.col_of_row, alone.col_of_row)
    np.testing.assert_array_equal(found.row_dual, alone.row_dual)


@pytest.mark.parametrize("values", ["uniform", "integers", "products"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(400, 400), (300, 400), (400, 300)])
def test_larger_totals_are_scipys(rng, values, dtype, shape):
    matrix = random_sparse(rng, *shape, 6, values, dtype)
    # SciPy takes a stored zero for a missing pair; shifting every cost changes no matching.
    shifted = matrix.astype(np.float64)
    shifted.data += 100
    rows, columns = min_weight_full_bipartite_matching(shifted)
    wanted = matrix.astype(np.float64)[rows, columns]
    found = assign(matrix)
    assert found.row_dual.dtype == dtype
    assert abs(found.total - wanted.sum()) <= TOTAL[dtype] * np.abs(wanted).sum()
    require_proof(found, matrix)


@pytest.mark.parametrize("values", ["uniform", "integers", "products"])
@pytest.mark.parametrize("shape", [(300, 300), (250, 300), (300, 250)])
def test_rows_of_many_entries(rng, values, shape):
    # Such rows are known by lists of their cheapest entries.
    matrix = random_sparse(rng, *shape, 200, values)
    found = assign(matrix)
    assert found.status == Status.OK
    dense = densify(matrix)
    wanted = dense[linear_sum_assignment(dense)]
    assert abs(found.total - wanted.sum()) <= TOTAL["float64"] * np.abs(wanted).sum()
    require_proof(found, matrix)


def test_a_stored_zero_is_a_cost_and_a_missing_one_forbids():
    cost = sparse.csr_array(([0.0, 5.0, 3.0], ([0, 1, 1], [0, 0, 1])), shape=(2, 2))
    found = assign(cost)
    assert found.total == 3
    assert found.col_of_row.tolist() == [0, 1]


def test_a_stored_infinity_forbids_a_pair():
    cost = sparse.csr_array(np.array([[1.0, np.inf], [1.0, 4.0]]))
    assert assign(cost).col_of_row.tolist() == [0, 1]
    assert assign(-cost, maximize=True).total == -5


def test_a_row_of_stored_infinities_has_no_pair():
    cost = sparse.csr_array(np.array([[np.inf, np.inf], [1.0, 4.0]]))
    with pytest.raises(InfeasibleError, match="no matching of all 2 pairs"):
        assign(cost)
    assert assign(cost, max_cost=np.inf).col_of_row.tolist() == [-1, 0]


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("tall", [False, True])
def test_duplicates_add_up_and_the_input_keeps_them(rng, by_columns, tall):
    shape = (9, 6) if tall else (6, 9)
    base = random_sparse(rng, *shape, 3).tocoo()
    halves = np.concatenate([base.data * 0.25, base.data * 0.75])
    i, j = np.concatenate([base.row, base.row]), np.concatenate([base.col, base.col])
    lines, indices = (j, i) if by_columns else (i, j)
    order = np.argsort(lines, kind="stable")
    starts = np.searchsorted(lines[order], np.arange(shape[by_columns] + 1))
    make = sparse.csc_array if by_columns else sparse.csr_array
    matrix = make((halves[order], indices[order], starts), shape=shape)
    assert not matrix.has_canonical_format
    before = matrix.data.copy()
    found = assign(matrix)
    assert found.total == pytest.approx(assign(densify(base)).total, rel=1e-12)
    assert abs(found.gap(matrix)) <= 1e-12
    np.testing.assert_array_equal(matrix.data, before)
    assert assign(matrix, max_cost=np.inf).total == pytest.approx(found.total, rel=1e-12)


@pytest.mark.parametrize("wide", [np.int32, np.int64])
def test_indices_of_either_width_in_any_order(rng, wide):
    matrix = random_sparse(rng, 40, 50, 5)
    shuffled = matrix.copy()
    for i in range(40):
        line = slice(*matrix.indptr[i : i + 2])
        order = rng.permutation(line.stop - line.start)
        shuffled.indices[line] = matrix.indices[line][order]
        shuffled.data[line] = matrix.data[line][order]
    shuffled.indices, shuffled.indptr = shuffled.indices.astype(wide), shuffled.indptr.astype(wide)
    assert assign(shuffled).total == pytest.approx(assign(matrix).total, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.bool_])
def test_other_dtypes_become_float64(rng, dtype):
    matrix = random_sparse(rng, 12, 12, 3, "integers")
    matrix.data = np.abs(matrix.data)
    converted = matrix.astype(dtype)
    found = assign(converted)
    assert found.row_dual.dtype == np.float64
    assert found.total == assign(densify(converted.astype(np.float64))).total


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
def test_empty_matrices_have_the_empty_matching(shape):
    found = assign(sparse.csr_array(shape))
    assert found.total == 0
    assert found.pairs().shape == (0, 2)
    assert found.gap(sparse.csr_array(shape)) == 0
    assert found.col_of_row.shape == shape[:1]


def test_a_list_is_a_ragged_batch(rng):
    matrices = [
        random_sparse(rng, 7, 7, 2),
        random_sparse(rng, 30, 20, 4).tocsc(),
        random_sparse(rng, 3, 9, 1, dtype="float32"),
    ]
    found = assign(matrices)
    assert found.total.shape == (3,)
    for p, matrix in enumerate(matrices):
        alone = assign(matrix.astype(np.float64))
        np.testing.assert_array_equal(found.col_of_row[p], alone.col_of_row)
        np.testing.assert_array_equal(found.col_dual[p], alone.col_dual)
        np.testing.assert_array_equal(found.pairs()[p], alone.pairs())
    assert np.abs(found.gap(matrices)).max() <= 1e-12


def test_threads_change_nothing(rng):
    matrices = [random_sparse(rng, 60, 60, 4) for _ in range(12)]
    with coalign._execution.forced(work_per_thread=0):
        one, four = (assign(matrices, threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(one.total, four.total)
    for a, b in zip(one.col_of_row, four.col_of_row, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("maximize", [False, True])
def test_a_warm_start_finds_the_same_total(rng, maximize):
    matrix = random_sparse(rng, 200, 200, 5)
    changed = matrix.copy()
    changed.data[::50] += 0.1
    found = assign(changed, maximize=maximize, warm_start=assign(matrix, maximize=maximize))
    assert found.total == pytest.approx(assign(changed, maximize=maximize).total, rel=1e-12)
    require_proof(found, changed)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_limit_is_compared_with_costs_as_a_real_number(dtype):
    cost = np.array(0.7).astype(dtype)
    below = np.nextafter(cost, cost.dtype.type(0))
    matrix = sparse.csr_array(np.array([cost, below]).reshape(2, 1))
    # In float32 0.7 is rounded down, so it is below the limit.
    assert len(assign(matrix[:1], max_cost=0.7).pairs()) == (dtype == "float32")
    assert len(assign(matrix[1:], max_cost=0.7).pairs()) == 1
    assert len(assign(-matrix[:1], maximize=True, max_cost=-0.7).pairs()) == (dtype == "float32")
    assert len(assign(matrix[:1], max_cost=float(cost)).pairs()) == 0
    # In float32 0.1 is rounded up, so it is above the limit.
    tenth = sparse.csr_array(np.array([[0.1]], dtype))
    assert len(assign(tenth, max_cost=0.1).pairs()) == 0
    assert len(assign(tenth, max_cost=np.nextafter(float(np.array(0.1, dtype)), 1)).pairs()) == 1


def test_a_limit_beyond_float32_forbids_nothing():
    # One of three rows has to stay alone.
    matrix = sparse.csr_array(np.array([[1, 2], [3, 6], [4, 5]], np.float32))
    assert len(assign(matrix, max_cost=1e300).pairs()) == 2
    assert len(assign(-matrix, maximize=True, max_cost=1e300).pairs()) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_costs_near_the_largest_number(rng, dtype):
    # The differences of such costs overflow.
    most = float(np.finfo(dtype).max)
    small = rng.uniform(-1, 1, (40, 40))
    # Their sums do not.
    small[1::2] = rng.uniform(0.97, 1, (20, 40))
    cost = (small * most).astype(dtype)
    rows, columns = linear_sum_assignment(small)
    for given in (sparse.csr_array(cost), sparse.csc_array(cost)):
        found = assign(given)
        np.testing.assert_array_equal(found.col_of_row[rows], columns)
        assert found.status == Status.OK


def test_a_total_beyond_the_largest_number_is_not_proved():
    cost = sparse.csr_array(np.diag([1.5e308, 1.5e308]))
    with pytest.warns(RuntimeWarning, match="could not be proved"):
        found = assign(cost)
    assert found.status == Status.PRECISION_LIMIT
    np.testing.assert_array_equal(found.col_of_row, [0, 1])


def test_no_matching_is_an_error_with_the_way_out():
    cost = sparse.csr_array(([1.0, 2.0, 3.0], ([0, 1, 2], [0, 0, 1])), shape=(3, 3))
    with pytest.raises(InfeasibleError, match=r"no matching of all 3 pairs .* max_cost=inf"):
        assign(cost)
    assert len(assign(cost, max_cost=np.inf).pairs()) == 2


def test_infeasible_costs_end_soon(rng):
    # Three rows of a large problem share two columns: prices alone would fall for ever.
    matrix = random_sparse(rng, 5000, 5000, 8, "products").tolil()
    matrix[:3] = 0
    matrix[:3, :2] = rng.random((3, 2)) + 1
    with pytest.raises(InfeasibleError, match="no matching"):
        assign(matrix.tocsr())


def test_infeasible_names_the_problem(rng):
    matrices = [random_sparse(rng, 5, 5, 2), sparse.csr_array((2, 2))]
    with pytest.raises(InfeasibleError, match="problem 1: no matching of all 2 pairs"):
        assign(matrices)


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4)])
@pytest.mark.parametrize(
    ("value", "maximize", "words"),
    [
        (np.nan, False, "NaN"),
        (-np.inf, False, "-inf"),
        (np.inf, True, "inf"),
        (np.nan, True, "NaN"),
    ],
)
def test_a_bad_value_is_named_by_row_and_column(rng, make, shape, value, maximize, words):
    dense = rng.random(shape) + 1
    dense[3, 2] = value
    with pytest.raises(ValueError, match=re.escape(f"cost: {words} at index (3, 2); expected")):
        assign(make(dense), maximize=maximize)
    with pytest.raises(ValueError, match=re.escape(f"cost[1]: {words} at index (3, 2); expected")):
        assign([make(np.ones((2, 2))), make(dense)], maximize=maximize)


@pytest.mark.parametrize("format", ["lil", "dok", "bsr", "dia"])
def test_other_formats_are_told_the_remedy(format):
    cost = sparse.csr_array(np.eye(3)).asformat(format)
    words = r"expected a sparse matrix in CSR, CSC or COO format, got .*; pass "
    with pytest.raises(TypeError, match=rf"\Acost: {words}cost\.tocsr\(\)"):
        assign(cost)
    with pytest.raises(TypeError, match=rf"\Acost\[1\]: {words}cost\[1\]\.tocsr\(\)"):
        assign([sparse.csr_array(np.eye(3)), cost])


@pytest.mark.parametrize("make", [sparse.coo_array, sparse.coo_matrix])
@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_coordinates_are_taken_and_add_up(make, dtype):
    # Two entries of 100 for one pair are more than an int8 holds.
    costs = np.array([100, 100, 7, 3, 0, 9], dtype)
    cost = make((costs, ([0, 0, 1, 0, 1, 2], [1, 1, 1, 0, 0, 2])), shape=(3, 3))
    found = assign(cost, maximize=True)
    assert found.pairs().tolist() == [[0, 1], [1, 0], [2, 2]]
    assert found.total == 209
    assert found.gap(cost) == 0
    assert found.row_dual.dtype == ("float32" if dtype == "float32" else "float64")
    several = assign([cost, sparse.csr_array(np.eye(2)), cost])
    assert several.total.tolist() == [19, 2, 19]
    assert cost.nnz == 6


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_bad_coordinates_are_named_by_their_index(value):
    cost = sparse.coo_array(([1.0, value, 2.0], ([0, 2, 1], [0, 1, 1])), shape=(3, 2))
    words = "NaN" if np.isnan(value) else "-inf"
    with pytest.raises(ValueError, match=re.escape(f"cost: {words} at index (2, 1); expected")):
        assign(cost)


def test_what_does_not_fit_is_refused(rng):
    cost = sparse.csr_array(np.ones((2, 2)))
    with pytest.raises(
        TypeError, match=r"cost\[1\]: expected a sparse matrix like the other items"
    ):
        assign([cost, np.ones((2, 2))])
    with pytest.raises(ValueError, match="row_lengths: only a padded batch takes lengths"):
        assign(cost, row_lengths=[2])
    with pytest.raises(ValueError, match=r"col_lengths: .* cost is a list"):
        assign([cost], col_lengths=[2])
    with pytest.raises(TypeError, match="cost: expected a real numeric dtype"):
        assign(cost.astype(np.complex128))
    with pytest.raises(ValueError, match="expected the shape that was solved"):
        assign(cost).gap(sparse.csr_array(np.ones((2, 3))))
    with pytest.raises(ValueError, match="with an entry at each pair"):
        assign(cost).gap(sparse.csr_array((2, 2)))


@pytest.mark.parametrize("part", ["indptr", "indices"])
def test_broken_indices_are_refused(part):
    cost = sparse.csr_array(np.ones((3, 3)))
    getattr(cost, part)[1] = 100
    with pytest.raises(ValueError, match="cost: expected sound indices"):
        assign(cost)
