#include "transport/points.hpp"

#include <pybind11/gil_safe_call_once.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "bindings/transport.hpp"
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
std::vector<Array<double>> arrays_of(const py::object& items, int axes) {
    std::vector<Array<double>> out;
    if (items.is_none()) return out;
    for (const py::handle item : items) {
        require(py::isinstance<Array<double>>(item), "items: contiguous arrays of float64");
        out.push_back(py::reinterpret_borrow<Array<double>>(item));
        require(out.back().ndim() == axes, "items: number of axes");
    }
    return out;
}

Ragged clouds_of(const std::vector<Array<double>>& arrays, RaggedTable& table) {
    for (const Array<double>& array : arrays) {
        require(array.shape(0) >= 1 && array.shape(0) <= kMostPoints, "points: none, or too many");
        require(array.shape(1) == arrays[0].shape(1), "points: dimensions");
        table.add(MatrixView<double>{array.data(), array.shape(0), array.shape(1), array.shape(1), 1});
    }
    return table.batch();
}

// Vectors beside clouds: none, or one for each problem.
std::vector<const void*> vectors_of(const std::vector<Array<double>>& arrays, const PointBatch& batch, bool of_x) {
    require(arrays.empty() || static_cast<std::int64_t>(arrays.size()) == batch.count(), "vectors: one a problem");
    std::vector<const void*> out;
    for (std::int64_t p = 0; p < static_cast<std::int64_t>(arrays.size()); ++p) {
        const Array<double>& array = arrays[static_cast<std::size_t>(p)];
        require(array.shape(0) == (of_x ? batch.x.rows_of(batch.x_item(p)) : batch.y.rows_of(batch.y_item(p))),
                "vectors: length");
        out.push_back(array.data());
    }
    return out;
}

// The clouds of a call, and an epsilon for each problem.
struct Clouds {
    Clouds(const py::list& x, const py::list& y, const std::string& metric, const Array<double>& epsilon)
        : xs(arrays_of(x, 2)),
          ys(arrays_of(y, 2)),
          x_table(static_cast<std::int64_t>(xs.size())),
          y_table(static_cast<std::int64_t>(ys.size())) {
        require(!xs.empty() && !ys.empty() && (xs.size() == ys.size() || xs.size() == 1 || ys.size() == 1), "batches");
        batch = {clouds_of(xs, x_table), clouds_of(ys, y_table), metric_of(metric), {}};
        require(xs[0].shape(1) == ys[0].shape(1), "points: dimensions of x and y");
        require(epsilon.ndim() == 1 && epsilon.size() == batch.count(), "epsilon: one a problem");
        batch.rest.epsilon = epsilon.data();
        batch.rest.epsilon_stride = 1;
    }
    std::vector<Array<double>> xs, ys;
    RaggedTable x_table, y_table;
    PointBatch batch{};
};

constexpr Readable kClouds{Readable::Items::series, 1, kMostPoints};

bool read_metric(PyObject* given, PointMetric& metric) {
    constexpr const char* names[] = {"sqeuclidean", "euclidean", "cosine", "dot"};
    for (int k = 0; k < 4; ++k)
        if (is_text(given, names[k])) {
            metric = static_cast<PointMetric>(k);
            return true;
        }
    return false;
}

// The object that a result keeps in the place of costs.
py::object point_costs(PyObject* x, PyObject* y, PyObject* metric) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    type.call_once_and_store_result([] { return py::module_::import("coalign._transport_result").attr("PointCosts"); });
    return type.get_stored()(py::handle(x), py::handle(y), py::handle(metric));
}

// sinkhorn_points(x, y, a, b, epsilon, metric, unbalanced, tol, max_iterations, initial, x_lengths, y_lengths, threads,
// device, progress) returns the result. One more argument says that these are prepared, with g alone as `initial` and
// what hears of progress as the last, and holds what the result keeps of them as they were given: (costs, a, b,
// epsilon, unbalanced, tol, x_lengths, y_lengths). For them it also returns what is wrong.
struct PointArguments {
    static constexpr const char *kName = "sinkhorn_points", *kGeneral = "coalign._points";
    static constexpr Py_ssize_t kCount = 15;

    bool read(PyObject* const* given, bool prepared) {
        std::optional<double> tolerance;
        if (!x.read(given[0], given[10]) || !y.read(given[1], given[11])) return false;
        const bool fits = x.batch().count == y.batch().count || !x.is_batch() || !y.is_batch();
        if (!fits || x.batch().columns != y.batch().columns || x.is_float32() != y.is_float32()) return false;
        join();
        if (!a.read(given[2], rows()) || !b.read(given[3], columns()) || !epsilon.read(given[4], rows()) ||
            !read_metric(given[5], metric) || !read_penalties(given[6], options.row_penalty, options.column_penalty) ||
            !read_number(given[7], tolerance) || !tolerance || !read_integer(given[8], options.most_iterations) ||
            (given[9] != Py_None && !prepared) || !g.read(given[9], columns()) || !threads.read(given[12]) ||
            !read_cpu(given[13]) || !read_progress(given[14], prepared, progress))
            return false;
        options.tolerance = *tolerance;
        if (!prepared) costs = point_costs(given[0], given[1], given[5]);
        kept = {costs.ptr(), given[2], given[3], given[4], given[6], given[7], given[10], given[11]};
        for (std::size_t k = 0; prepared && k < kept.size(); ++k)
            kept[k] = PyTuple_GetItem(given[kCount], static_cast<Py_ssize_t>(k));
        return options.tolerance >= 0 && options.tolerance < kInfinity && options.most_iterations >= 1;
    }
    bool is_float32() const { return x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        const auto count = static_cast<std::int64_t>(row_counts.size());
        if (const std::optional<Wrong> wrong = wrong_weights<T>(rows(), columns(), a.vectors(), b.vectors(), options))
            return prepared ? py::make_tuple(py::none(), words(*wrong)).release().ptr() : nullptr;
        const bool is_list = form == Form::list;
        const Counts counts{form,
                            count,
                            x.batch().rows,
                            y.batch().rows,
                            is_list ? row_counts.data() : nullptr,
                            is_list ? column_counts.data() : nullptr,
                            nullptr};
        Result made(kTransport, counts, sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        Places<T> places(made, rows(), columns());
        double work = 0;
        for (std::size_t p = 0; p < row_counts.size(); ++p)
            work += static_cast<double>(row_counts[p]) * static_cast<double>(column_counts[p]);
        PointBatch batch{x.batch(), y.batch(), metric, {}};
        batch.rest.row_weights = a.vectors();
        batch.rest.column_weights = b.vectors();
        batch.rest.column_potentials = g.vectors();
        batch.rest.epsilon = epsilon.data();
        batch.rest.epsilon_stride = epsilon.stride();
        batch.rest.options = options;
        const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
        const auto iterations = static_cast<double>(options.most_iterations);
        const int most = threads.for_work(work * std::min(iterations, 100.0), per_thread);
        const auto solve_all = [&](Pulse& pulse) {
            return solve_points<T>(forced.isa, batch, most, per_thread, pulse, places.results);
        };
        const Run run = run_call(work * iterations <= kSmallWork, solve_all, progress);
        forced.note(name(forced.isa), run.workers);
        keep_options(made, kept, epsilon, options);
        std::optional<Wrong> wrong = wrong_costs(places.results);
        if (wrong) wrong->what = "points";
        return returned(made, places.results, wrong, prepared, kName);
    }

   private:
    // One cloud goes with each of a batch.
    void join() {
        const bool is_list = x.form() == Form::list || y.form() == Form::list;
        form = is_list ? Form::list : x.is_batch() || y.is_batch() ? Form::padded : Form::one;
        const PointBatch batch{x.batch(), y.batch(), metric, {}};
        for (std::int64_t p = 0; p < batch.count(); ++p) {
            row_counts.push_back(batch.x.rows_of(batch.x_item(p)));
            column_counts.push_back(batch.y.rows_of(batch.y_item(p)));
        }
    }
    Axis rows() const { return side(x, row_counts); }
    Axis columns() const { return side(y, column_counts); }
    Axis side(const PlainBatch& cloud, const std::vector<std::int64_t>& counts) const {
        return {form, static_cast<std::int64_t>(counts.size()), cloud.batch().rows, counts.data(), x.is_float32()};
    }

    PlainBatch x{kClouds}, y{kClouds};
    Form form = Form::one;
    std::vector<std::int64_t> row_counts, column_counts;
    PlainVectors a, b, g;
    PlainEpsilon epsilon;
    Options options;
    PointMetric metric = PointMetric::sqeuclidean;
    ThreadLimit threads;
    PyObject* progress = Py_None;
    py::object costs;
    Kept kept{};
};

// sinkhorn_divergence_points(x, y, a, b, epsilon, metric, tol, max_iterations, x_lengths, y_lengths, gradients,
// threads, device) returns the divergence of two small clouds, and its derivatives by them. What else there is, and
// what does not converge, is for the general way, which solves the same three problems and follows them as this does.
struct DivergenceArguments {
    static constexpr const char *kName = "sinkhorn_divergence_points", *kGeneral = "coalign._transport_plan";
    static constexpr Py_ssize_t kCount = 13;
    // Of one problem, in cells: more of them take longer than what the general way adds.
    static constexpr std::int64_t kMostCells = 1 << 16;

    bool read(PyObject* const* given, bool) {
        std::optional<double> tolerance, number;
        PlainArray as_given[2];
        for (int k = 0; k < 2; ++k) {
            if (!clouds[k].read(given[k], given[8 + k]) || clouds[k].is_batch() || !as_given[k].read(given[k]))
                return false;
            is_line[k] = as_given[k].axes() == 1;
        }
        for (int k = 0; k < 2; ++k)
            if (clouds[k].batch().columns != clouds[0].batch().columns || clouds[k].is_float32() != is_float32() ||
                count(k) * count(k) > kMostCells || !weights[k].read(given[2 + k], rows_of(clouds[k])))
                return false;
        if (!read_number(given[4], number) || !number || !read_metric(given[5], metric) ||
            !read_number(given[6], tolerance) || !tolerance || !read_integer(given[7], options.most_iterations) ||
            !read_flag(given[10], wants_slopes) || !threads.read(given[11]) || !read_cpu(given[12]))
            return false;
        epsilon = *number;
        options.tolerance = *tolerance;
        return epsilon > 0 && epsilon < kInfinity && options.tolerance >= 0 && options.tolerance < kInfinity &&
               options.most_iterations >= 1;
    }
    bool is_float32() const { return clouds[0].is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) const {
        if (wrong_weights<T>(rows_of(clouds[0]), rows_of(clouds[1]), weights[0].vectors(), weights[1].vectors(),
                             options))
            return nullptr;
        const std::int64_t dimension = clouds[0].batch().columns;
        std::vector<double> points[2], own_weights[2], slopes[2];
        for (int k = 0; k < 2; ++k) {
            const T* const from = clouds[k].batch().at<T>(0).data;
            points[k].assign(from, from + count(k) * dimension);
            if (const T* const own = weights[k].vectors().of<T>(0)) own_weights[k].assign(own, own + count(k));
        }
        double value = 0;
        constexpr int pairs[3][2] = {{0, 1}, {0, 0}, {1, 1}};
        for (const auto& pair : pairs) {
            const int x = pair[0], y = pair[1];
            std::vector<double> f, g;
            if (!solve_pair<T>(forced, x, y, f, g)) return nullptr;
            const PointBatch batch{cloud(points[x], dimension), cloud(points[y], dimension), metric, {}};
            const auto given_weights = [&](int k) { return own_weights[k].empty() ? nullptr : own_weights[k].data(); };
            double dual = 0;
            const auto follow = [&](PointFollower& follower, std::int64_t) {
                const PointPlan plan{&follower.pair,   f.data(), g.data(),  given_weights(x),
                                     given_weights(y), epsilon,  kInfinity, kInfinity};
                if (!follower.points.dual(plan, dual)) return false;
                bool is_done = true;
                for (int k = 0; wants_slopes && k < 2; ++k) {
                    // A cloud within itself moves on both sides, and counts half.
                    if (x == y && k != x) continue;
                    std::vector<double> own(points[k].size());
                    is_done &= follower.points.by_points(plan, k == 1, own.data());
                    subtract<T>(own, slopes[k]);
                }
                return is_done;
            };
            const Run run = run_call(true, [&](Pulse& pulse) {
                return follow_points(forced.isa, batch, 1, kTransportWorkPerThread, pulse, follow);
            });
            forced.note(name(forced.isa), run.workers);
            value = x != y ? dual : value - dual / 2;
        }
        py::array_t<double> found(1);
        found.mutable_data()[0] = std::max(value, 0.0);
        py::object number = found[py::int_(0)];
        if (!wants_slopes) return number.release().ptr();
        const py::object result = py::module_::import(kGeneral).attr("PointDivergence");
        return result(number, shaped<T>(slopes[0], 0), shaped<T>(slopes[1], 1)).release().ptr();
    }

   private:
    std::int64_t count(int k) const { return clouds[k].batch().rows; }

    static Ragged cloud(const std::vector<double>& points, std::int64_t dimension) {
        Ragged out;
        out.data = points.data();
        out.count = 1;
        out.rows = static_cast<std::int64_t>(points.size()) / dimension;
        out.columns = out.row_stride = dimension;
        return out;
    }

    // The potentials of one of the three problems; false where it is wrong, or not solved.
    template <class T>
    bool solve_pair(const Forced& forced, int x, int y, std::vector<double>& f, std::vector<double>& g) const {
        std::vector<T> own_f(static_cast<std::size_t>(count(x))), own_g(static_cast<std::size_t>(count(y)));
        double cost = 0, value = 0, error = 0;
        std::int64_t iterations = 0;
        std::int32_t status = 0;
        transport::Results<T> results;
        results.f = own_f.data();
        results.g = own_g.data();
        results.cost = &cost;
        results.value = &value;
        results.error = &error;
        results.iterations = &iterations;
        results.status = &status;
        PointBatch batch{clouds[x].batch(), clouds[y].batch(), metric, {}};
        batch.rest.row_weights = weights[x].vectors();
        batch.rest.column_weights = weights[y].vectors();
        batch.rest.epsilon = &epsilon;
        batch.rest.options = options;
        const double work = static_cast<double>(count(x) * count(y)) * static_cast<double>(options.most_iterations);
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            return solve_points<T>(forced.isa, batch, 1, kTransportWorkPerThread, pulse, results);
        });
        forced.note(name(forced.isa), run.workers);
        f.assign(own_f.begin(), own_f.end());
        g.assign(own_g.begin(), own_g.end());
        return results.is_solved();
    }

    // Derivatives between the clouds, and then less those within one; each rounded to T, as results are.
    template <class T>
    static void subtract(const std::vector<double>& own, std::vector<double>& out) {
        const bool is_first = out.empty();
        out.resize(own.size());
        for (std::size_t at = 0; at < own.size(); ++at) {
            const T rounded = static_cast<T>(own[at]);
            out[at] = double{is_first ? rounded : static_cast<T>(static_cast<T>(out[at]) - rounded)};
        }
    }

    // Derivatives by the points of a cloud, of its shape.
    template <class T>
    py::object shaped(const std::vector<double>& slopes, int k) const {
        std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(count(k))};
        if (!is_line[k]) shape.push_back(static_cast<py::ssize_t>(clouds[k].batch().columns));
        py::array_t<T> out(shape);
        std::transform(slopes.begin(), slopes.end(), out.mutable_data(),
                       [](double one) { return static_cast<T>(one); });
        return out;
    }

    PlainBatch clouds[2]{PlainBatch(kClouds), PlainBatch(kClouds)};
    bool is_line[2]{};
    PlainVectors weights[2];
    double epsilon = 0;
    bool wants_slopes = false;
    Options options;
    PointMetric metric = PointMetric::sqeuclidean;
    ThreadLimit threads;
};

// What follows from potentials, in float64, problem after problem in one array or two.
py::object follow_clouds(const py::list& x, const py::list& y, const py::object& a, const py::object& b,
                         const py::list& f, const py::list& g, const std::string& metric, const Array<double>& epsilon,
                         double row_penalty, double column_penalty, int threads, const std::string& what,
                         const py::object& v) {
    const Clouds clouds(x, y, metric, epsilon);
    const PointBatch& batch = clouds.batch;
    const std::int64_t count = batch.count(), dimension = clouds.xs[0].shape(1);
    const auto as = arrays_of(a, 1), bs = arrays_of(b, 1), fs = arrays_of(f, 1), gs = arrays_of(g, 1),
               vs = arrays_of(v, 2);
    const auto row_weights = vectors_of(as, batch, true), column_weights = vectors_of(bs, batch, false),
               rows_f = vectors_of(fs, batch, true), columns_g = vectors_of(gs, batch, false);
    require(!fs.empty() && !gs.empty(), "potentials: one of each a problem");
    const bool is_product = what == "apply" || what == "apply_transposed", is_turned = what == "apply_transposed";
    const bool is_plan = what == "plan" || what == "feasible", is_bound = what == "bounds";
    const bool is_slope = what == "by_x" || what == "by_y", of_y = what == "by_y", is_dual = what == "dual";
    require(is_product || is_plan || is_bound || is_slope || is_dual || what == "hard" || what == "weights", "what");
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
    Array<double> first(is_plan               ? cells
                        : is_product          ? products
                        : is_bound || is_dual ? count
                        : is_slope            ? (of_y ? columns : rows) * dimension
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
        if (is_dual) return follower.points.dual(plan, one[p]);
        if (is_slope) return follower.points.by_points(plan, of_y, one + (of_y ? column_at : row_at)[at] * dimension);
        return is_bound ? follower.bound(plan, one[p], other[p]) : follower.round(plan, one + cell_at[at], other[p]);
    };
    const Forced forced;
    const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
    const Run run = watch(
        py::none(), [&](Pulse& pulse) { return follow_points(forced.isa, batch, threads, per_thread, pulse, follow); });
    forced.note(name(forced.isa), run.workers);
    if (what == "hard") return chosen;
    if (is_plan || is_product || is_slope || is_dual) return first;
    return py::make_tuple(first, second);
}

}  // namespace

void bind_points(py::module_& module) {
    add_function<front_door<PointArguments>>(
        module, PointArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
    add_function<front_door<DivergenceArguments>>(module, DivergenceArguments::kName,
                                                  "The public function's arguments, in order.");
    module.def("points_plan", &follow_clouds, py::kw_only(), py::arg("x"), py::arg("y"), py::arg("a"), py::arg("b"),
               py::arg("f"), py::arg("g"), py::arg("metric"), py::arg("epsilon"), py::arg("row_penalty"),
               py::arg("column_penalty"), py::arg("threads"), py::arg("what"), py::arg("v"),
               "What follows from the potentials of clouds.");
}

}  // namespace coalign::bindings
