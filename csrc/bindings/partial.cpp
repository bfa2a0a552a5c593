#include "transport/partial.hpp"

#include <cstdint>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::transport;

// A vector for each problem, or None.
class EachVector {
   public:
    bool read(PyObject* given, const PlainBatch& costs, bool of_rows) {
        if (given == Py_None) return true;
        if (!PyList_CheckExact(given) || PyList_GET_SIZE(given) != costs.batch().count) return false;
        for (std::int64_t p = 0; p < costs.batch().count; ++p) {
            PlainArray array;
            const std::int64_t length = of_rows ? costs.batch().rows_of(p) : costs.batch().columns_of(p);
            if (!array.read(PyList_GET_ITEM(given, p)) || array.is_int64() ||
                array.is_float32() != costs.is_float32() || array.axes() != 1 || !array.is_contiguous() ||
                array.length(0) != length)
                return false;
            items_.push_back(array.data<void>());
        }
        return true;
    }
    Vectors vectors() const {
        Vectors out;
        if (!items_.empty()) out.items = items_.data();
        return out;
    }

   private:
    std::vector<const void*> items_;
};

// partial_transport(cost, a, b, mass, epsilon, tol, max_iterations, row_lengths, col_lengths, threads) returns lists of
// f and g; cost, value and error; the iterations, and the row and the column of a wrong cost; the status.
struct PartialArguments {
    static constexpr const char* kName = "partial_transport";
    static constexpr Py_ssize_t kCount = 10;

    bool read(PyObject* const* given, bool) {
        std::optional<double> tolerance;
        if (!costs.read(given[0], given[7], given[8]) || !a.read(given[1], costs, true) ||
            !b.read(given[2], costs, false) || !read_each(given[3], mass) || !read_each(given[4], epsilon) ||
            !read_number(given[5], tolerance) || !tolerance || !read_integer(given[6], options.most_iterations) ||
            !threads.read(given[9]))
            return false;
        options.tolerance = *tolerance;
        return options.tolerance >= 0 && options.most_iterations >= 1;
    }
    bool is_float32() const { return costs.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) const {
        const Ragged& shapes = costs.batch();
        const auto count = static_cast<std::size_t>(shapes.count);
        std::vector<Solution<T>> solutions(count);
        py::list fs, gs;
        for (std::size_t p = 0; p < count; ++p) {
            const auto at = static_cast<std::int64_t>(p);
            py::array_t<T> f(shapes.rows_of(at)), g(shapes.columns_of(at));
            solutions[p].f = f.mutable_data();
            solutions[p].g = g.mutable_data();
            fs.append(std::move(f));
            gs.append(std::move(g));
        }
        const Batch batch{shapes, a.vectors(), b.vectors(), {}, {}, epsilon.data<double>(), 1, options};
        const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
        const auto iterations = static_cast<double>(options.most_iterations);
        const int most = threads.for_work(shapes.elements() * std::min(iterations, 100.0), per_thread);
        const Run run = watch(py::none(), [&](Pulse& pulse) {
            return solve_partial<T>(forced.isa, batch, mass.data<double>(), most, per_thread, pulse, solutions);
        });
        forced.note(name(forced.isa), run.workers);
        py::array_t<double> sums({std::size_t{3}, count});
        py::array_t<std::int64_t> places({std::size_t{3}, count});
        py::array_t<std::int32_t> status(shapes.count);
        for (std::size_t p = 0; p < count; ++p) {
            const Solution<T>& solution = solutions[p];
            const double numbers[] = {solution.cost, solution.value, solution.error};
            const std::int64_t integers[] = {solution.iterations, solution.row, solution.column};
            for (std::size_t k = 0; k < 3; ++k) {
                sums.mutable_data()[k * count + p] = numbers[k];
                places.mutable_data()[k * count + p] = integers[k];
            }
            status.mutable_data()[p] = static_cast<std::int32_t>(solution.status);
        }
        return py::make_tuple(fs, gs, sums, places, status).release().ptr();
    }

   private:
    // A float64 for each problem.
    bool read_each(PyObject* given, PlainArray& out) const {
        return out.read(given) && out.is_float64() && out.axes() == 1 && out.is_contiguous() &&
               out.length(0) == costs.batch().count;
    }

    PlainBatch costs{{Readable::Items::matrices_by_rows, 1, kMostPoints}};
    EachVector a, b;
    PlainArray mass, epsilon;
    Options options;
    ThreadLimit threads;
};

}  // namespace

void bind_partial(py::module_& module) {
    add_function<inner_door<PartialArguments>>(
        module, PartialArguments::kName, "Lists of f and g; cost, value and error; iterations and places; status.");
}

}  // namespace coalign::bindings
