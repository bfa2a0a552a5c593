#include <algorithm>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/series.hpp"
#include "core/buffer.hpp"
#include "warping/inputs.hpp"
#include "warping/path_sums.hpp"
#include "warping/warping.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::warping;

// dtw_sums(centre, series, window, lengths, weights, threads, cost, status, sums, counts) warps one series of N frames
// to each of a collection. It fills their costs and statuses (int64), and adds the frames and weights along the paths
// to sums (N, D) and counts (N,).
struct SumArguments {
    static constexpr const char* kName = "dtw_sums";
    static constexpr Py_ssize_t kCount = 10;

    bool read(PyObject* const* given, bool) {
        if (!centre.read(given[0], Py_None) || !series.read(given[1], given[3]) || !window.read(given[2], true) ||
            !weights.read(given[4]) || !threads.read(given[5]) || !cost.read(given[6]) || !status.read(given[7]) ||
            !sums.read(given[8]) || !counts.read(given[9]))
            return false;
        options.window = window.window();
        const Ragged &one = centre.batch(), &many = series.batch();
        return !centre.is_batch() && series.is_batch() && centre.is_float32() == series.is_float32() &&
               one.columns == many.columns && weights.is_float64() && holds(weights, many.count) &&
               (is_float32() ? cost.is_float32() : cost.is_float64()) && fills(cost, many.count) && status.is_int64() &&
               fills(status, many.count) && counts.is_float64() && fills(counts, one.rows_of(0)) && sums.is_float64() &&
               sums.axes() == 2 && sums.length(0) == one.rows_of(0) && sums.length(1) == one.columns &&
               sums.is_contiguous() && sums.is_writeable();
    }
    bool is_float32() const { return centre.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        Pairs pairs{centre.batch(), series.batch()};
        const std::int64_t count = series.batch().count, n = pairs.x.rows_of(0), dim = pairs.x.columns;
        window.require_rows(n);
        const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        const double work = series.batch().elements() * static_cast<double>(n);
        options.threads = threads.for_work(work, per_thread);
        options.checkpoint_bytes = forced.checkpoint_bytes.value_or(kCheckpointBytes);

        std::int64_t room = 0;
        for (std::int64_t p = 0; p < count; ++p) room += 2 * (n + pairs.y_length(p) - 1);
        Buffer<std::int64_t> steps;
        Buffer<double> part;
        std::int64_t* at = steps.reserve(room);
        std::vector<ReversePath> paths;
        for (std::int64_t p = 0; p < count; ++p) {
            const std::int64_t most = n + pairs.y_length(p) - 1;
            paths.push_back({at, at + most});
            at += 2 * most;
        }
        std::vector<Status> outcome(static_cast<std::size_t>(count), Status::ok);
        Inputs<T> inputs(options.metric, pairs.x, pairs.y);
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            if (!check_values(inputs, options.threads, per_thread, pulse)) return Run{true, 0};
            const Run warped = warp_pairs<T>(kernels_for<T>(forced.isa), pairs, options, per_thread, pulse,
                                             cost.room<T>(), outcome.data(), paths.data());
            if (warped.stopped) return warped;
            for (std::int64_t p = 0; p < count; ++p) {
                add_along(paths[static_cast<std::size_t>(p)], pairs.y.begin_of<T>(p), dim, weights.data<double>()[p],
                          part.reserve(dim), sums.room<double>(), counts.room<double>());
            }
            return warped;
        });
        forced.note(name(forced.isa), run.workers);
        std::transform(outcome.begin(), outcome.end(), status.room<std::int64_t>(),
                       [](Status found) { return static_cast<std::int64_t>(found); });
        return py::none().release().ptr();
    }

   private:
    // Calls with fewer cells (times dimensions) keep the GIL: so many take some 10 us.
    static constexpr double kSmallWork = 1 << 14;

    static bool holds(const PlainArray& array, std::int64_t size) {
        return array.axes() == 1 && array.length(0) == size && array.is_contiguous();
    }
    static bool fills(const PlainArray& array, std::int64_t size) { return holds(array, size) && array.is_writeable(); }

    PlainBatch centre{kSeries}, series{kSeries};
    PlainArray weights, cost, status, sums, counts;
    Options options;
    WindowArgument window;
    ThreadLimit threads;
};

}  // namespace

void bind_warping_barycenter(py::module_& module) {
    add_function<inner_door<SumArguments>>(module, SumArguments::kName,
                                           "Costs of a series to many, and sums along the paths, written to arrays.");
}

}  // namespace coalign::bindings
