#include "transport/points.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "transport/point_plan.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::transport;

constexpr auto kContiguous = py::array::c_style;
template <class T>
using Array = py::array_t<T, kContiguous>;

PointMetric metric_of(const std::string& name) {
    if (name == "sqeuclidean") return PointMetric::sqeuclidean;
    if (name == "euclidean") return PointMetric::euclidean;
    if (name == "cosine") return PointMetric::cosine;
    require(name == "dot", "metric: unknown");
    return PointMetric::dot;
}

// The items of a list, which stays alive, as they lie; each of `axes` axes.
template <class T>
std::vector<Array<T>> arrays_of(const py::object& items, int axes) {
    std::vector<Array<T>> out;
    if (items.is_none()) return out;
    for (const py::handle item : items) {
        require(py::isinstance<Array<T>>(item), "items: contiguous arrays of one dtype");
        out.push_back(py::reinterpret_borrow<Array<T>>(item));
        require(out.back().ndim() == axes, "items: number of axes");
    }
    return out;
}

template <class T>
Ragged clouds_of(const std::vector<Array<T>>& arrays, RaggedTable& table) {
    for (const Array<T>& array : arrays) {
        require(array.shape(0) >= 1 && array.shape(0) <= kMostPoints, "points: none, or too many");
        require(array.shape(1) == arrays[0].shape(1), "points: dimensions");
        table.add(MatrixView<T>{array.data(), array.shape(0), array.shape(1), array.shape(1), 1});
    }
    return table.batch();
}

// Vectors beside clouds: none, or one for each problem.
template <class T>
std::vector<const void*> vectors_of(const std::vector<Array<T>>& arrays, const PointBatch& batch, bool of_x) {
    require(arrays.empty() || static_cast<std::int64_t>(arrays.size()) == batch.count(), "vectors: one a problem");
    std::vector<const void*> out;
    for (std::int64_t p = 0; p < static_cast<std::int64_t>(arrays.size()); ++p) {
        const Array<T>& array = arrays[static_cast<std::size_t>(p)];
        require(array.shape(0) == (of_x ? batch.x.rows_of(batch.x_item(p)) : batch.y.rows_of(batch.y_item(p))),
                "vectors: length");
        out.push_back(array.data());
    }
    return out;
}

// The clouds of a call, and an epsilon for each problem.
template <class T>
struct Clouds {
    Clouds(const py::list& x, const py::list& y, const std::string& metric, const Array<double>& epsilon)
        : xs(arrays_of<T>(x, 2)),
          ys(arrays_of<T>(y, 2)),
          x_table(static_cast<std::int64_t>(xs.size())),
          y_table(static_cast<std::int64_t>(ys.size())) {
        require(!xs.empty() && !ys.empty() && (xs.size() == ys.size() || xs.size() == 1 || ys.size() == 1), "batches");
        batch = {clouds_of(xs, x_table), clouds_of(ys, y_table), metric_of(metric), {}};
        require(xs[0].shape(1) == ys[0].shape(1), "points: dimensions of x and y");
        require(epsilon.ndim() == 1 && epsilon.size() == batch.count(), "epsilon: one a problem");
        batch.rest.epsilon = epsilon.data();
        batch.rest.epsilon_stride = 1;
    }
    std::vector<Array<T>> xs, ys;
    RaggedTable x_table, y_table;
    PointBatch batch{};
};

template <class T>
py::tuple solve_clouds(const py::list& x, const py::list& y, const py::object& a, const py::object& b,
                       const py::object& g, const std::string& metric, const Array<double>& epsilon,
                       const Options& options, int threads) {
    Clouds<T> clouds(x, y, metric, epsilon);
    PointBatch& batch = clouds.batch;
    const auto count = static_cast<std::size_t>(batch.count());
    const auto as = arrays_of<T>(a, 1), bs = arrays_of<T>(b, 1), gs = arrays_of<T>(g, 1);
    const auto row_weights = vectors_of(as, batch, true), column_weights = vectors_of(bs, batch, false),
               start = vectors_of(gs, batch, false);
    const auto table = [](const std::vector<const void*>& items) {
        Vectors out;
        if (!items.empty()) out.items = items.data();
        return out;
    };
    batch.rest.row_weights = table(row_weights);
    batch.rest.column_weights = table(column_weights);
    batch.rest.column_potentials = table(start);
    batch.rest.options = options;

    std::vector<Solution<T>> solutions(count);
    py::list fs, potentials;
    for (std::size_t p = 0; p < count; ++p) {
        const auto at = static_cast<std::int64_t>(p);
        Array<T> rows(batch.x.rows_of(batch.x_item(at))), columns(batch.y.rows_of(batch.y_item(at)));
        solutions[p].f = rows.mutable_data();
        solutions[p].g = columns.mutable_data();
        fs.append(std::move(rows));
        potentials.append(std::move(columns));
    }
    const Forced forced;
    const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
    const Run run = watch(py::none(), [&](Pulse& pulse) {
        return solve_points<T>(forced.isa, batch, threads, per_thread, pulse, solutions);
    });
    forced.note(name(forced.isa), run.workers);
    Array<double> sums({std::size_t{3}, count});
    Array<std::int64_t> places({std::size_t{3}, count});
    Array<std::int32_t> status(static_cast<py::ssize_t>(count));
    for (std::size_t p = 0; p < count; ++p) {
        const Solution<T>& solution = solutions[p];
        double* const sum = sums.mutable_data();
        std::int64_t* const place = places.mutable_data();
        sum[p] = solution.cost;
        sum[count + p] = solution.value;
        sum[2 * count + p] = solution.error;
        place[p] = solution.iterations;
        place[count + p] = solution.row;
        place[2 * count + p] = solution.column;
        status.mutable_data()[p] = static_cast<std::int32_t>(solution.status);
    }
    return py::make_tuple(fs, potentials, sums, places, status);
}

// What follows from potentials, in float64, problem after problem in one array or two.
py::object follow_clouds(const py::list& x, const py::list& y, const py::object& a, const py::object& b,
                         const py::list& f, const py::list& g, const std::string& metric, const Array<double>& epsilon,
                         double row_penalty, double column_penalty, int threads, const std::string& what,
                         const py::object& v) {
    const Clouds<double> clouds(x, y, metric, epsilon);
    const PointBatch& batch = clouds.batch;
    const std::int64_t count = batch.count(), dimension = clouds.xs[0].shape(1);
    const auto as = arrays_of<double>(a, 1), bs = arrays_of<double>(b, 1), fs = arrays_of<double>(f, 1),
               gs = arrays_of<double>(g, 1), vs = arrays_of<double>(v, 2);
    const auto row_weights = vectors_of(as, batch, true), column_weights = vectors_of(bs, batch, false),
               rows_f = vectors_of(fs, batch, true), columns_g = vectors_of(gs, batch, false);
    require(!fs.empty() && !gs.empty(), "potentials: one of each a problem");
    const bool is_product = what == "apply" || what == "apply_transposed", is_turned = what == "apply_transposed";
    const bool is_plan = what == "plan" || what == "feasible", is_bound = what == "bounds";
    const bool is_slope = what == "by_x" || what == "by_y", of_y = what == "by_y";
    require(is_product || is_plan || is_bound || is_slope || what == "hard" || what == "weights", "what");
    require(!is_product || static_cast<std::int64_t>(vs.size()) == count, "v: one a problem");
    // Where the problems' parts begin: of the rows, the columns, the cells and the products.
    std::vector<std::int64_t> row_at, column_at, cell_at, product_at;
    std::int64_t rows = 0, columns = 0, cells = 0, products = 0;
    for (std::int64_t p = 0; p < count; ++p) {
        const std::int64_t n = batch.x.rows_of(batch.x_item(p)), m = batch.y.rows_of(batch.y_item(p));
        row_at.push_back(rows);
        column_at.push_back(columns);
        cell_at.push_back(cells);
        product_at.push_back(products);
        rows += n;
        columns += m;
        cells += n * m;
        if (!is_product) continue;
        const Array<double>& own = vs[static_cast<std::size_t>(p)];
        require(own.shape(0) == (is_turned ? n : m), "v: length");
        products += (is_turned ? m : n) * own.shape(1);
    }
    Array<std::int64_t> chosen(what == "hard" ? rows : 0);
    Array<double> first(is_plan      ? cells
                        : is_product ? products
                        : is_bound   ? count
                        : is_slope   ? (of_y ? columns : rows) * dimension
                                     : rows),
        second(what == "weights" ? columns : count);
    std::int64_t* const column_of_row = chosen.mutable_data();
    double *const one = first.mutable_data(), *const other = second.mutable_data();
    const auto vector = [](const std::vector<const void*>& items, std::int64_t p) {
        return items.empty() ? nullptr : static_cast<const double*>(items[static_cast<std::size_t>(p)]);
    };
    const auto follow = [&](PointFollower& follower, std::int64_t p) {
        const auto at = static_cast<std::size_t>(p);
        const PointPlan plan{&follower.pair,
                             vector(rows_f, p),
                             vector(columns_g, p),
                             vector(row_weights, p),
                             vector(column_weights, p),
                             epsilon.data()[p],
                             row_penalty,
                             column_penalty};
        if (is_product)
            return follower.points.apply(plan, vs[at].data(), vs[at].shape(1), is_turned, one + product_at[at]);
        if (what == "plan") return follower.points.write(plan, one + cell_at[at]);
        if (what == "hard") return follower.points.choose(plan, column_of_row + row_at[at]);
        if (what == "weights") return follower.points.by_weights(plan, one + row_at[at], other + column_at[at]);
        if (is_slope) return follower.points.by_points(plan, of_y, one + (of_y ? column_at : row_at)[at] * dimension);
        return is_bound ? follower.bound(plan, one[p], other[p]) : follower.round(plan, one + cell_at[at], other[p]);
    };
    const Forced forced;
    const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
    const Run run = watch(
        py::none(), [&](Pulse& pulse) { return follow_points(forced.isa, batch, threads, per_thread, pulse, follow); });
    forced.note(name(forced.isa), run.workers);
    if (what == "hard") return chosen;
    if (is_plan || is_product || is_slope) return first;
    return py::make_tuple(first, second);
}

}  // namespace

void bind_points(py::module_& module) {
    module.def(
        "sinkhorn_points",
        [](const py::list& x, const py::list& y, const py::object& a, const py::object& b, const py::object& g,
           const std::string& metric, const Array<double>& epsilon, double row_penalty, double column_penalty,
           double tolerance, std::int64_t most_iterations, int threads) {
            require(tolerance >= 0 && most_iterations >= 1 && row_penalty > 0 && column_penalty > 0, "options");
            const Options options{tolerance, most_iterations, row_penalty, column_penalty};
            require(py::len(x) > 0, "points: none");
            return py::isinstance<Array<float>>(x[0])
                       ? solve_clouds<float>(x, y, a, b, g, metric, epsilon, options, threads)
                       : solve_clouds<double>(x, y, a, b, g, metric, epsilon, options, threads);
        },
        py::kw_only(), py::arg("x"), py::arg("y"), py::arg("a"), py::arg("b"), py::arg("g"), py::arg("metric"),
        py::arg("epsilon"), py::arg("row_penalty"), py::arg("column_penalty"), py::arg("tolerance"),
        py::arg("most_iterations"), py::arg("threads"),
        "Lists of f and g; cost, value and error; iterations and the first wrong values of x and y; status.");
    module.def("points_plan", &follow_clouds, py::kw_only(), py::arg("x"), py::arg("y"), py::arg("a"), py::arg("b"),
               py::arg("f"), py::arg("g"), py::arg("metric"), py::arg("epsilon"), py::arg("row_penalty"),
               py::arg("column_penalty"), py::arg("threads"), py::arg("what"), py::arg("v"),
               "What follows from the potentials of clouds.");
}

}  // namespace coalign::bindings
