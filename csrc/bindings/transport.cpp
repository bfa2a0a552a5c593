#include "bindings/transport.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "core/batch_run.hpp"
#include "transport/plan.hpp"
#include "transport/problems.hpp"
#include "transport/sinkhorn.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::transport;

constexpr Readable kCosts{Readable::Items::matrices_by_rows, 1, kMostPoints};

// sinkhorn(cost, a, b, epsilon, unbalanced, tol, max_iterations, initial, row_lengths, col_lengths, threads, device,
// progress) returns the result. One more argument says that these are prepared, with what hears of progress as the
// last, and holds what the result keeps of them as they were given: (cost, a, b, epsilon, unbalanced, tol, row_lengths,
// col_lengths). For them it also returns what is wrong.
struct SinkhornArguments {
    static constexpr const char *kName = "sinkhorn", *kGeneral = "coalign._transport";
    static constexpr Py_ssize_t kCount = 13;

    bool read(PyObject* const* given, bool prepared) {
        std::optional<double> tolerance;
        if (!costs.read(given[0], given[8], given[9]) || !a.read(given[1], rows_of(costs)) ||
            !b.read(given[2], columns_of(costs)) || !epsilon.read(given[3], rows_of(costs)) ||
            !read_penalties(given[4], options.row_penalty, options.column_penalty) ||
            !read_number(given[5], tolerance) || !tolerance || !read_integer(given[6], options.most_iterations) ||
            !threads.read(given[10]) || !read_cpu(given[11]) || !read_progress(given[12], prepared, progress))
            return false;
        options.tolerance = *tolerance;
        if (given[7] != Py_None) {
            if (!prepared) return false;
            const auto pair = py::reinterpret_borrow<py::tuple>(given[7]);
            if (!f.read(pair[0].ptr(), rows_of(costs)) || !g.read(pair[1].ptr(), columns_of(costs))) return false;
        }
        const int own[] = {0, 1, 2, 3, 4, 5, 8, 9};
        for (std::size_t k = 0; k < kept.size(); ++k)
            kept[k] = prepared ? PyTuple_GetItem(given[kCount], static_cast<Py_ssize_t>(k)) : given[own[k]];
        return options.tolerance >= 0 && options.tolerance < kInfinity && options.most_iterations >= 1;
    }
    bool is_float32() const { return costs.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        const Ragged& shapes = costs.batch();
        if (const std::optional<Wrong> wrong =
                wrong_weights<T>(rows_of(costs), columns_of(costs), a.vectors(), b.vectors(), options))
            return prepared ? py::make_tuple(py::none(), words(*wrong)).release().ptr() : nullptr;
        Result made(kTransport, Counts::of(costs.form(), shapes),
                    sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        Places<T> places(made, rows_of(costs), columns_of(costs));
        Results<T>& results = places.results;
        const Batch batch{shapes,      a.vectors(),    b.vectors(),      f.vectors(),
                          g.vectors(), epsilon.data(), epsilon.stride(), options};
        const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
        const auto iterations = static_cast<double>(options.most_iterations);
        const int most = threads.for_work(shapes.elements() * std::min(iterations, 100.0), per_thread);
        const auto solve_all = [&](Pulse& pulse) {
            return solve<T>(forced.isa, batch, most, per_thread, pulse, results);
        };
        const Run run = run_call(shapes.elements() * iterations <= kSmallWork, solve_all, progress);
        forced.note(name(forced.isa), run.workers);
        keep_options(made, kept, epsilon, options);
        return returned(made, results, wrong_costs(results), prepared, kName);
    }

   private:
    PlainBatch costs{kCosts};
    PlainVectors a, b, f, g;
    PlainEpsilon epsilon;
    Options options;
    ThreadLimit threads;
    PyObject* progress = Py_None;
    Kept kept{};
};

// transport_plan(cost, f, g, a, b, epsilon, unbalanced, row_lengths, col_lengths, threads, what, v) returns what
// follows from the potentials of a result, problem after problem in one array or two.
struct PlanArguments {
    static constexpr const char* kName = "transport_plan";
    static constexpr Py_ssize_t kCount = 12;

    bool read(PyObject* const* given, bool) {
        const bool is_read = costs.read(given[0], given[7], given[8]) && f.read(given[1], rows_of(costs)) &&
                             g.read(given[2], columns_of(costs)) && a.read(given[3], rows_of(costs)) &&
                             b.read(given[4], columns_of(costs)) && epsilon.read(given[5], rows_of(costs)) &&
                             read_penalties(given[6], row_penalty, column_penalty) && threads.read(given[9]);
        if (!is_read || given[1] == Py_None || given[2] == Py_None) return false;
        const char* const names[] = {"plan",     "apply",  "apply_transposed", "hard",
                                     "feasible", "bounds", "weights",          "vjp"};
        what = static_cast<What>(std::find_if(std::begin(names), std::end(names),
                                              [&](const char* name) { return is_text(given[10], name); }) -
                                 std::begin(names));
        if (what == kNothing) return false;
        if (what != kApply && what != kApplyTransposed && what != kVjp) return true;
        return seeds.read(given[11]) && seeds.is_float32() == costs.is_float32() && fits();
    }
    bool is_float32() const { return costs.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) const {
        const Ragged& shapes = costs.batch();
        const std::int64_t count = shapes.count;
        std::vector<std::int64_t> row_at, column_at, cell_at, seed_at;
        std::int64_t rows = 0, columns = 0, cells = 0, products = 0;
        for (std::int64_t p = 0; p < count; ++p) {
            const std::int64_t n = shapes.rows_of(p), m = shapes.columns_of(p);
            row_at.push_back(rows);
            column_at.push_back(columns);
            cell_at.push_back(cells);
            seed_at.push_back(products);
            rows += n;
            columns += m;
            cells += n * m;
            if (what == kApply) products += n * seeds.batch().columns_of(p);
            if (what == kApplyTransposed) products += m * seeds.batch().columns_of(p);
        }
        const bool is_product = what == kApply || what == kApplyTransposed, is_plan = what == kWrite || what == kVjp;
        py::array_t<T> matrix(is_plan ? cells : products);
        py::array_t<std::int64_t> chosen(what == kHard ? rows : 0);
        py::array_t<double> first(what == kFeasible ? cells : what == kWeights ? rows : count);
        py::array_t<double> second(what == kWeights ? columns : count);
        T* const values = matrix.mutable_data();
        std::int64_t* const column_of_row = chosen.mutable_data();
        double *const one = first.mutable_data(), *const other = second.mutable_data();
        std::vector<double> wide;
        std::vector<std::size_t> factor_at;
        if (is_product) factors<T>(wide, factor_at);
        const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
        const double work = kPasses * shapes.elements();
        const int most = threads.for_work(work, per_thread);
        const auto solve = [&](Planner<T>& planner, std::int64_t p, std::int64_t) {
            const auto at = static_cast<std::size_t>(p);
            const Plan<T> plan{shapes.at<T>(p),      f.vectors().of<T>(p), g.vectors().of<T>(p),
                               a.vectors().of<T>(p), b.vectors().of<T>(p), epsilon.data()[p * epsilon.stride()],
                               row_penalty,          column_penalty};
            const std::int64_t many = is_product ? seeds.batch().columns_of(p) : 0;
            bool done = true;
            switch (what) {
                case kWrite:
                    done = planner.write(plan, values + cell_at[at]);
                    break;
                case kApply:
                case kApplyTransposed:
                    done = planner.apply(plan, wide.data() + factor_at[at], many, what == kApplyTransposed,
                                         values + seed_at[at]);
                    break;
                case kHard:
                    done = planner.choose(plan, column_of_row + row_at[at]);
                    break;
                case kFeasible:
                    done = planner.round(plan, one + cell_at[at], other[p]);
                    break;
                case kBounds:
                    done = planner.bound(plan, one[p]) && planner.round(plan, nullptr, other[p]);
                    break;
                case kWeights:
                    done = planner.differentiate(plan, one + row_at[at], other + column_at[at]);
                    break;
                case kVjp:
                    done = planner.pull_back(plan, seeds.batch().at<T>(p), values + cell_at[at], other[p]);
                    break;
                case kNothing:
                    break;
            }
            return done ? p + 1 : p;
        };
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            return run_problems(
                {count, shapes.elements(), kPasses, kCellsPerThread}, most, per_thread, pulse,
                [&](Team& team) { return Planner<T>(forced.isa, team, pulse); }, solve);
        });
        forced.note(name(forced.isa), run.workers);
        if (what == kHard) return chosen.release().ptr();
        if (is_product || what == kWrite) return matrix.release().ptr();
        if (what == kFeasible) return first.release().ptr();
        if (what == kVjp) return py::make_tuple(matrix, second).release().ptr();
        return py::make_tuple(first, second).release().ptr();
    }

   private:
    enum What { kWrite, kApply, kApplyTransposed, kHard, kFeasible, kBounds, kWeights, kVjp, kNothing };

    static constexpr double kPasses = 4;
    // Of one problem: a thread that comes late costs some 50 us, in which another makes so many exponentials.
    static constexpr double kCellsPerThread = 1 << 16;

    // What the plans are multiplied with, in float64, and where the part of each problem begins.
    template <class T>
    void factors(std::vector<double>& out, std::vector<std::size_t>& begins) const {
        for (std::int64_t p = 0; p < seeds.batch().count; ++p) {
            begins.push_back(out.size());
            const MatrixView<T> v = seeds.batch().at<T>(p);
            for (std::int64_t i = 0; i < v.rows; ++i)
                for (std::int64_t k = 0; k < v.columns; ++k)
                    out.push_back(double{v.data[i * v.row_stride + k * v.column_stride]});
        }
    }

    // Whether what the plan is multiplied with has its rows, or its columns.
    bool fits() const {
        const Ragged &shapes = costs.batch(), &given = seeds.batch();
        if (given.count != shapes.count) return false;
        for (std::int64_t p = 0; p < shapes.count; ++p) {
            const std::int64_t n = shapes.rows_of(p), m = shapes.columns_of(p);
            if (given.rows_of(p) < (what == kApply ? m : n) || (what == kVjp && given.columns_of(p) < m)) return false;
        }
        return true;
    }

    PlainBatch costs{kCosts}, seeds{{Readable::Items::matrices, 0, kMostPoints}};
    PlainVectors a, b, f, g;
    PlainEpsilon epsilon;
    double row_penalty = 0, column_penalty = 0;
    ThreadLimit threads;
    What what = kNothing;
};

}  // namespace

void bind_transport(py::module_& module) {
    module.attr("transport_work_per_thread") = kTransportWorkPerThread;
    make_result_class(module, kTransport);
    add_function<front_door<SinkhornArguments>>(
        module, SinkhornArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
    add_function<inner_door<PlanArguments>>(module, PlanArguments::kName, "What follows from a result's potentials.");
}

}  // namespace coalign::bindings
