#include "transport/barycenter.hpp"

#include <cstdint>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::transport;

constexpr Readable kMatrices{Readable::Items::matrices_by_rows, 1, kMostPoints};

// sinkhorn_barycenter(histograms, cost, share, epsilon, tol, max_iterations, threads) returns a list of weights; the
// errors; the iterations, and the row, the column and the histogram of what is wrong; the status.
struct BarycenterArguments {
    static constexpr const char* kName = "sinkhorn_barycenter";
    static constexpr Py_ssize_t kCount = 7;

    bool read(PyObject* const* given, bool) {
        std::optional<double> tolerance;
        if (!histograms.read(given[0]) || !costs.read(given[1]) || costs.is_float32() != is_float32() ||
            !read_each(given[2], share) || !read_each(given[3], epsilon) || !read_number(given[4], tolerance) ||
            !tolerance || !read_integer(given[5], options.most_iterations) || !threads.read(given[6]))
            return false;
        options.tolerance = *tolerance;
        return fits() && options.tolerance >= 0 && options.most_iterations >= 1;
    }
    bool is_float32() const { return histograms.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) const {
        const BarycenterBatch batch{histograms.batch(), costs.batch(), share.data<double>(), epsilon.data<double>(),
                                    options};
        const auto count = static_cast<std::size_t>(batch.histograms.count);
        std::vector<BarycenterSolution<T>> solutions(count);
        py::list weights;
        for (std::size_t p = 0; p < count; ++p) {
            py::array_t<T> own(batch.costs.columns_of(batch.cost_item(static_cast<std::int64_t>(p))));
            solutions[p].weights = own.mutable_data();
            weights.append(std::move(own));
        }
        const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
        const int most = threads.for_work(per_thread * 64, per_thread);
        const Run run = watch(py::none(), [&](Pulse& pulse) {
            return solve_barycenters<T>(forced.isa, batch, most, per_thread, pulse, solutions);
        });
        forced.note(name(forced.isa), run.workers);
        py::array_t<double> errors(batch.histograms.count);
        py::array_t<std::int64_t> places({std::size_t{4}, count});
        py::array_t<std::int32_t> status(batch.histograms.count);
        for (std::size_t p = 0; p < count; ++p) {
            const BarycenterSolution<T>& solution = solutions[p];
            const std::int64_t integers[] = {solution.iterations, solution.row, solution.column, solution.histogram};
            for (std::size_t k = 0; k < 4; ++k) places.mutable_data()[k * count + p] = integers[k];
            errors.mutable_data()[p] = solution.error;
            status.mutable_data()[p] = static_cast<std::int32_t>(solution.status);
        }
        return py::make_tuple(weights, errors, places, status).release().ptr();
    }

   private:
    static bool read_each(PyObject* given, PlainArray& out) {
        return out.read(given) && out.is_float64() && out.axes() == 1 && out.is_contiguous();
    }

    // Whether there is one matrix of costs for all problems or one for each, with a row for each number of a histogram,
    // and a share for each histogram.
    bool fits() const {
        const Ragged &given = histograms.batch(), &rest = costs.batch();
        if ((rest.count != given.count && rest.count != 1) || epsilon.size() != given.count) return false;
        std::int64_t all = 0;
        for (std::int64_t p = 0; p < given.count; ++p) {
            all += given.rows_of(p);
            if (given.columns_of(p) != rest.rows_of(rest.count > 1 ? p : 0)) return false;
        }
        return share.size() == all;
    }

    PlainBatch histograms{kMatrices}, costs{kMatrices};
    PlainArray share, epsilon;
    Options options;
    ThreadLimit threads;
};

}  // namespace

void bind_barycenter(py::module_& module) {
    add_function<inner_door<BarycenterArguments>>(module, BarycenterArguments::kName,
                                                  "A list of weights; errors; iterations and places; status.");
}

}  // namespace coalign::bindings
