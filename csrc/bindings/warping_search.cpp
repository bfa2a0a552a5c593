#include <cstdint>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/series.hpp"
#include "warping/search.hpp"
#include "warping/warping.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::warping;

// dtw_nearest(queries, database, metric, window, query_lengths, database_lengths, threads, index, cost, stages,
// progress) fills (n, k) indices and costs, and (n, 6) counts.
struct NearestArguments {
    static constexpr const char* kName = "dtw_nearest";
    static constexpr Py_ssize_t kCount = 11;

    bool read(PyObject* const* given, bool) {
        if (!queries.read(given[0], given[4]) || !database.read(given[1], given[5]) ||
            !read_metric(given[2], false, options.metric) || !window.read(given[3], true) || !threads.read(given[6]) ||
            !index.read(given[7]) || !cost.read(given[8]) || !stages.read(given[9]))
            return false;
        options.window = window.window();
        progress = py::reinterpret_borrow<py::object>(given[10]);
        const Ragged &rows = queries.batch(), &columns = database.batch();
        return queries.is_batch() && database.is_batch() && queries.is_float32() == database.is_float32() &&
               rows.columns == columns.columns && index.axes() == 2 && holds(index, rows.count, index.length(1)) &&
               index.is_int64() && index.length(1) >= 1 && index.length(1) <= columns.count &&
               holds(cost, rows.count, index.length(1)) && !cost.is_int64() && cost.is_float32() == is_float32() &&
               holds(stages, rows.count, kSearchStages) && stages.is_int64();
    }
    bool is_float32() const { return queries.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        for (std::int64_t q = 0; q < queries.batch().count; ++q) window.require_rows(queries.batch().rows_of(q));
        const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        const double work =
            queries.batch().elements() * database.batch().elements() / static_cast<double>(queries.batch().columns);
        options.threads = threads.for_work(work, per_thread);
        Inputs<T> inputs(options.metric, queries.batch(), database.batch());
        const Neighbors found{index.length(1), index.room<std::int64_t>(), stages.room<std::int64_t>()};
        const Run run = watch(progress, [&](Pulse& pulse) {
            if (!check_values(inputs, options.threads, per_thread, pulse)) return Run{true, 0};
            return find_nearest<T>(forced.isa, inputs.x(), inputs.y(), options, per_thread, pulse, found,
                                   cost.room<T>());
        });
        forced.note(name(forced.isa), run.workers);
        return py::none().release().ptr();
    }

   private:
    static bool holds(const PlainArray& array, std::int64_t rows, std::int64_t columns) {
        return array.axes() == 2 && array.length(0) == rows && array.length(1) == columns && array.is_contiguous() &&
               array.is_writeable();
    }

    PlainBatch queries{kSeries}, database{kSeries};
    PlainArray index, cost, stages;
    Options options;
    WindowArgument window;
    ThreadLimit threads;
    py::object progress;
};

}  // namespace

void bind_warping_search(py::module_& module) {
    add_function<inner_door<NearestArguments>>(module, NearestArguments::kName,
                                               "The nearest series to each query, written to arrays.");
}

}  // namespace coalign::bindings
