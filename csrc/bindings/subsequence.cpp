#include "warping/subsequence.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/series.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::warping;

// dtw_subsequence(query, series, k, metric, query_lengths, series_lengths, max_cost, threads) returns arrays of k
// starts, stops and costs for each pair, -1 and infinity where there are fewer matches; and the status.
struct SubsequenceArguments {
    static constexpr const char* kName = "dtw_subsequence";
    static constexpr Py_ssize_t kCount = 8;

    bool read(PyObject* const* given, bool) {
        std::optional<double> limit;
        if (!queries.read(given[0], given[4]) || !series.read(given[1], given[5]) || !read_integer(given[2], most) ||
            !read_metric(given[3], false, options.metric) || !read_number(given[6], limit) || !threads.read(given[7]))
            return false;
        if (limit) options.max_cost = *limit;
        pairs = {queries.batch(), series.batch()};
        return most >= 1 && (pairs.x.count == pairs.y.count || !queries.is_batch() || !series.is_batch()) &&
               pairs.x.columns == pairs.y.columns && queries.is_float32() == series.is_float32();
    }
    bool is_float32() const { return queries.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const std::int64_t count = pairs.count();
        double work = 0;
        for (std::int64_t p = 0; p < count; ++p)
            work += static_cast<double>(pairs.x_length(p)) * static_cast<double>(pairs.y_length(p)) *
                    static_cast<double>(pairs.dim());
        const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        options.max_cost = static_cast<double>(static_cast<T>(options.max_cost));
        options.threads = threads.for_work(work, per_thread);
        std::vector<std::vector<Match>> matches(static_cast<std::size_t>(count));
        std::vector<Status> outcome(matches.size(), Status::ok);
        Inputs<T> inputs(options.metric, pairs.x, pairs.y);
        const Run run = watch(py::none(), [&](Pulse& pulse) {
            if (!check_values(inputs, options.threads, per_thread, pulse)) return Run{true, 0};
            pairs = {inputs.x(), inputs.y()};
            return find_matches<T>(forced.isa, pairs, options, most, per_thread, pulse, matches.data(), outcome.data());
        });
        forced.note(name(forced.isa), run.workers);
        std::int64_t found = 0;
        for (const auto& own : matches) found = std::max(found, static_cast<std::int64_t>(own.size()));
        const py::array::ShapeContainer shape{count, found};
        py::array_t<std::int64_t> start(shape), stop(shape);
        py::array_t<T> cost(shape);
        py::array_t<std::int32_t> status(count);
        std::fill_n(start.mutable_data(), start.size(), -1);
        std::fill_n(stop.mutable_data(), stop.size(), -1);
        std::fill_n(cost.mutable_data(), cost.size(), std::numeric_limits<T>::infinity());
        for (std::size_t p = 0; p < matches.size(); ++p) {
            auto at = static_cast<std::int64_t>(p) * found;
            for (const Match& match : matches[p]) {
                start.mutable_data()[at] = match.start;
                stop.mutable_data()[at] = match.stop;
                cost.mutable_data()[at++] = static_cast<T>(match.cost);
            }
            status.mutable_data()[p] = static_cast<std::int32_t>(outcome[p]);
        }
        return py::make_tuple(start, stop, cost, status).release().ptr();
    }

    PlainBatch queries{kSeries}, series{kSeries};
    Pairs pairs;
    std::int64_t most = 0;
    Options options;
    ThreadLimit threads;
};

}  // namespace

void bind_subsequence(py::module_& module) {
    add_function<inner_door<SubsequenceArguments>>(module, SubsequenceArguments::kName,
                                                   "Starts, stops and costs of the best matches of pairs; status.");
}

}  // namespace coalign::bindings
