#include "transport/barycenter.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "bindings/transport.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::transport;

constexpr Readable kMatrices{Readable::Items::matrices_by_rows, 1, kMostPoints};

struct BarycenterField {
    enum { weights, marginal_error, iterations, status, tol };
};
constexpr Schema kBarycenter{"BarycenterFields",
                             "The fields of `coalign.SinkhornBarycenter`.",
                             5,
                             {{{"weights", Per::column, Element::computed, "The barycenter."},
                               {"marginal_error", Per::problem, Element::float64, "How far the plans are from it."},
                               {"iterations", Per::problem, Element::int64, "How many updates were made."},
                               {"status", Per::problem, Element::int32, "A `Status` for each problem."},
                               {"tol", Per::option, Element::float64, "The marginal error that was asked for."}}}};

// sinkhorn_barycenter(a, cost, weights, epsilon, tol, max_iterations, threads, device) returns the result. One more
// argument says that these are prepared and checked. For them it also returns what is wrong: (what, problem, row,
// column, histogram).
struct BarycenterArguments {
    static constexpr const char *kName = "sinkhorn_barycenter", *kGeneral = "coalign._barycenter";
    static constexpr Py_ssize_t kCount = 8;

    bool read(PyObject* const* given, bool) {
        std::optional<double> tolerance;
        if (!histograms.read(given[0]) || !costs.read(given[1]) || costs.is_float32() != is_float32() || !fits())
            return false;
        Axis sides = rows_of(histograms);
        sides.is_float32 = false;
        if (!weights.read(given[2], sides) || !epsilon.read(given[3], columns()) || !read_number(given[4], tolerance) ||
            !tolerance || !read_integer(given[5], options.most_iterations) || !threads.read(given[6]) ||
            !read_cpu(given[7]))
            return false;
        options.tolerance = *tolerance;
        return options.tolerance >= 0 && options.tolerance < kInfinity && options.most_iterations >= 1;
    }
    bool is_float32() const { return histograms.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        std::vector<double> share;
        if (!take_shares(share) || (!prepared && !are_right<T>())) return nullptr;
        BarycenterBatch batch{histograms.batch(), costs.batch(),    share.data(),
                              epsilon.data(),     epsilon.stride(), options};
        const Axis axis = columns();
        std::vector<std::int64_t> each;
        double work = 0;
        for (std::int64_t p = 0; p < axis.problems; ++p) {
            each.push_back(batch.costs.columns_of(batch.cost_item(p)));
            work += static_cast<double>(batch.histograms.rows_of(batch.histogram_item(p))) *
                    static_cast<double>(batch.costs.rows_of(batch.cost_item(p))) * static_cast<double>(each.back());
        }
        const bool is_list = axis.form == Form::list;
        Result made(kBarycenter,
                    {axis.form, axis.problems, 0, axis.room, nullptr, is_list ? each.data() : nullptr, nullptr},
                    sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        std::vector<BarycenterSolution<T>> solutions(each.size());
        Parts<T> parts(made.data<T>(BarycenterField::weights), axis.form, axis.room, T(0));
        for (std::size_t p = 0; p < each.size(); ++p) solutions[p].weights = parts.take(each[p]);
        const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
        const auto iterations = static_cast<double>(options.most_iterations);
        const int most = threads.for_work(work * std::min(iterations, 100.0), per_thread);
        const Run run = run_call(work * iterations <= kSmallWork, [&](Pulse& pulse) {
            return solve_barycenters<T>(forced.isa, batch, most, per_thread, pulse, solutions);
        });
        forced.note(name(forced.isa), run.workers);
        bool is_solved = true;
        py::object wrong = py::none();
        for (std::size_t p = 0; p < each.size(); ++p) {
            const BarycenterSolution<T>& found = solutions[p];
            made.data<double>(BarycenterField::marginal_error)[p] = found.error;
            made.data<std::int64_t>(BarycenterField::iterations)[p] = found.iterations;
            made.data<std::int32_t>(BarycenterField::status)[p] = static_cast<std::int32_t>(found.status);
            is_solved &= found.status == Status::ok;
            if (!wrong.is_none() || (found.status != Status::nan && found.status != Status::infeasible)) continue;
            const char* const what = found.status == Status::nan ? "cost" : "infeasible";
            wrong = py::make_tuple(what, p, found.row, found.column, found.histogram);
        }
        made.set(BarycenterField::tol, py::float_(options.tolerance));
        if (prepared) return py::make_tuple(made.release(), wrong).release().ptr();
        if (!wrong.is_none()) return nullptr;
        py::object result = made.release();
        if (!is_solved) py::module_::import("coalign._transport").attr("warn_of_unsolved")(result, 3, kName);
        return result.release().ptr();
    }

   private:
    // Of results: the columns of the costs of each problem. A list on either side makes one.
    Axis columns() const {
        const bool is_list = histograms.form() == Form::list || costs.form() == Form::list;
        const bool is_batch = histograms.is_batch() || costs.is_batch();
        const std::int64_t count = histograms.is_batch() ? histograms.batch().count : costs.batch().count;
        return {is_list    ? Form::list
                : is_batch ? Form::padded
                           : Form::one,
                count, costs.batch().columns, nullptr, is_float32()};
    }

    // Whether one item goes with each of the other side, or they go in pairs, and a row of costs with each number of a
    // histogram.
    bool fits() const {
        const Ragged &given = histograms.batch(), &rest = costs.batch();
        if (given.count != rest.count && histograms.is_batch() && costs.is_batch()) return false;
        const BarycenterBatch batch{given, rest, nullptr, nullptr, 0, {}};
        for (std::int64_t p = 0; p < batch.count(); ++p)
            if (given.columns_of(batch.histogram_item(p)) != rest.rows_of(batch.cost_item(p))) return false;
        return true;
    }

    // How much each histogram of each item counts, of 1 in all. False where weights are wrong.
    bool take_shares(std::vector<double>& out) const {
        const Ragged& given = histograms.batch();
        for (std::int64_t p = 0; p < given.count; ++p) {
            const std::int64_t count = given.rows_of(p);
            const double* const own = weights.vectors().of<double>(p);
            if (own == nullptr) {
                out.insert(out.end(), static_cast<std::size_t>(count), 1 / static_cast<double>(count));
                continue;
            }
            std::int64_t wrong = -1;
            const double mass = mass_of(own, count, wrong), most = *std::max_element(own, own + count);
            if (wrong >= 0 || !(mass > 0 && mass < kInfinity)) return false;
            double sum = 0;
            for (std::int64_t k = 0; k < count; ++k) sum += own[k] / most;
            for (std::int64_t k = 0; k < count; ++k) out.push_back(own[k] / most / sum);
        }
        return true;
    }

    // Whether histograms are such, and of equal mass; what is nearly not is for the general way to say.
    template <class T>
    bool are_right() const {
        constexpr double most_apart = 0.99 * (sizeof(T) == sizeof(float) ? 1e-3 : 1e-6);
        const Ragged& given = histograms.batch();
        for (std::int64_t p = 0; p < given.count; ++p) {
            const MatrixView<T> own = given.at<T>(p);
            double first = 0;
            for (std::int64_t k = 0; k < own.rows; ++k) {
                std::int64_t wrong = -1;
                const double mass = mass_of(own.data + k * own.row_stride, own.columns, wrong);
                if (k == 0) first = mass;
                if (wrong >= 0 || !(mass > 0 && mass < kInfinity) || std::abs(mass - first) > most_apart * first)
                    return false;
            }
        }
        return true;
    }

    PlainBatch histograms{kMatrices}, costs{kMatrices};
    PlainVectors weights;
    PlainEpsilon epsilon;
    Options options;
    ThreadLimit threads;
};

}  // namespace

void bind_barycenter(py::module_& module) {
    make_result_class(module, kBarycenter);
    add_function<front_door<BarycenterArguments>>(
        module, BarycenterArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
}

}  // namespace coalign::bindings
