#include "soft_warping/soft_warping.hpp"

#include <cstdint>
#include <optional>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/series.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::soft_warping;
using warping::Inputs;
using warping::kWorkPerThread;

// The options that all calls have in common, and how a call runs.
struct SoftOptions {
    bool read(PyObject* metric, PyObject* given_window, PyObject* gamma, PyObject* given_threads) {
        std::optional<double> number;
        if (!read_metric(metric, false, options.metric) || options.metric == Metric::cosine ||
            !window.read(given_window, true) || !read_number(gamma, number) || !number || !threads.read(given_threads))
            return false;
        options.window = window.window();
        options.gamma = *number;
        return options.gamma > 0;
    }
    // Takes what tests force, and so much work.
    void prepare(const Forced& forced, double work) {
        per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        options.threads = threads.for_work(work, per_thread);
        options.recorded_bytes = forced.checkpoint_bytes.value_or(kRecordedBytes);
    }

    Options options;
    WindowArgument window;
    ThreadLimit threads;
    double per_thread = 0;
};

// An array for each pair, to be written: its elements, or null where there are none.
template <class T>
std::vector<T*> rooms_of(PyObject* given, const Pairs& pairs, std::int64_t (*size)(const Pairs&, std::int64_t)) {
    std::vector<T*> out;
    if (given == Py_None) return out;
    require(PyList_CheckExact(given) && PyList_GET_SIZE(given) == pairs.count(), "results: a list of arrays");
    for (std::int64_t p = 0; p < pairs.count(); ++p) {
        PlainArray array;
        require(array.read(PyList_GET_ITEM(given, p)) && array.holds<T>() && array.is_contiguous() &&
                    array.is_writeable() && array.size() == size(pairs, p),
                "results: an array for each pair");
        out.push_back(array.room<T>());
    }
    return out;
}

// soft_dtw(x, y, metric, window, gamma, x_lengths, y_lengths, threads, grad_x, grad_y, visits) fills lists of arrays
// and returns values and status.
struct SoftPairsArguments {
    static constexpr const char* kName = "soft_dtw";
    static constexpr Py_ssize_t kCount = 11;

    bool read(PyObject* const* given, bool) {
        if (!x.read(given[0], given[5]) || !y.read(given[1], given[6]) ||
            !common.read(given[2], given[3], given[4], given[7]))
            return false;
        pairs = {x.batch(), y.batch()};
        grad_x = given[8];
        grad_y = given[9];
        visits = given[10];
        return (pairs.x.count == pairs.y.count || !x.is_batch() || !y.is_batch()) &&
               pairs.x.columns == pairs.y.columns && x.is_float32() == y.is_float32() &&
               (grad_x == Py_None) == (grad_y == Py_None);
    }
    bool is_float32() const { return x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const std::int64_t count = pairs.count();
        double work = 0;
        for (std::int64_t p = 0; p < count; ++p) {
            common.window.require_rows(pairs.x_length(p));
            work += static_cast<double>(pairs.x_length(p)) * static_cast<double>(pairs.y_length(p)) *
                    static_cast<double>(8 + pairs.dim());
        }
        common.prepare(forced, work);
        const auto size_x = [](const Pairs& of, std::int64_t p) { return of.x_length(p) * of.dim(); };
        const auto size_y = [](const Pairs& of, std::int64_t p) { return of.y_length(p) * of.dim(); };
        const auto cells = [](const Pairs& of, std::int64_t p) { return of.x_length(p) * of.y_length(p); };
        const std::vector<T*> gradients_x = rooms_of<T>(grad_x, pairs, size_x);
        const std::vector<T*> gradients_y = rooms_of<T>(grad_y, pairs, size_y);
        const std::vector<T*> all_visits = rooms_of<T>(visits, pairs, cells);
        std::vector<Backward<T>> out(static_cast<std::size_t>(count));
        for (std::size_t p = 0; p < out.size(); ++p) {
            if (!gradients_x.empty()) out[p].grad_x = gradients_x[p];
            if (!gradients_y.empty()) out[p].grad_y = gradients_y[p];
            if (!all_visits.empty()) out[p].visits = all_visits[p];
        }
        py::array_t<T> value(count);
        py::array_t<std::int32_t> status(count);
        std::vector<Status> outcome(out.size());
        Inputs<T> inputs(common.options.metric, pairs.x, pairs.y);
        const Run run = watch(py::none(), [&](Pulse& pulse) {
            if (!check_values(inputs, common.options.threads, common.per_thread, pulse)) return Run{true, 0};
            return solve_pairs<T>(forced.isa, pairs, common.options, common.per_thread, pulse, value.mutable_data(),
                                  outcome.data(), out.data());
        });
        forced.note(name(forced.isa), run.workers);
        for (std::size_t p = 0; p < outcome.size(); ++p)
            status.mutable_data()[p] = static_cast<std::int32_t>(outcome[p]);
        return py::make_tuple(value, status).release().ptr();
    }

    PlainBatch x{kSeries}, y{kSeries};
    Pairs pairs;
    SoftOptions common;
    PyObject *grad_x = nullptr, *grad_y = nullptr, *visits = nullptr;
};

// soft_dtw_all_pairs(X, Y, metric, window, gamma, x_lengths, y_lengths, threads, out, progress) fills `out`. Without Y,
// X is compared with itself.
struct SoftAllPairsArguments {
    static constexpr const char* kName = "soft_dtw_all_pairs";
    static constexpr Py_ssize_t kCount = 10;

    bool read(PyObject* const* given, bool) {
        is_self = given[1] == Py_None;
        if (!x.read(given[0], given[5]) || !(is_self || y.read(given[1], given[6])) ||
            !common.read(given[2], given[3], given[4], given[7]) || !out.read(given[8]))
            return false;
        progress = py::reinterpret_borrow<py::object>(given[9]);
        const Ragged &rows = x.batch(), &columns = is_self ? x.batch() : y.batch();
        return x.is_batch() && (is_self || (y.is_batch() && y.is_float32() == x.is_float32())) &&
               columns.columns == rows.columns && out.is_writeable() && !out.is_int64() &&
               out.is_float32() == x.is_float32() && out.axes() == 2 && out.length(0) == rows.count &&
               out.length(1) == columns.count && (columns.count == 1 || out.stride(1) == 1);
    }
    bool is_float32() const { return x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const Ragged &rows = x.batch(), &columns = is_self ? x.batch() : y.batch();
        for (std::int64_t i = 0; i < rows.count; ++i) common.window.require_rows(rows.rows_of(i));
        const auto dim = static_cast<double>(rows.columns);
        common.prepare(forced, rows.elements() * columns.elements() / (dim * dim) * (8 + dim));
        // Bounds given row by row need not be their own transpose, so nothing is mirrored.
        const bool symmetric = is_self && common.options.window.kind != Window::Kind::rows;
        Inputs<T> inputs(common.options.metric, x.batch(), y.batch());
        const Run run = watch(progress, [&](Pulse& pulse) {
            if (!check_values(inputs, common.options.threads, common.per_thread, pulse)) return Run{true, 0};
            return solve_all_pairs<T>(forced.isa, rows, columns, symmetric, common.options, common.per_thread, pulse,
                                      out.room<T>(), out.stride(0));
        });
        forced.note(name(forced.isa), run.workers);
        return py::none().release().ptr();
    }

    PlainBatch x{kSeries}, y{kSeries};
    bool is_self = false;
    PlainArray out;
    SoftOptions common;
    py::object progress;
};

}  // namespace

void bind_soft_warping(py::module_& module) {
    add_function<inner_door<SoftPairsArguments>>(
        module, SoftPairsArguments::kName, "Values and status of pairs; gradients and visits, written to arrays.");
    add_function<inner_door<SoftAllPairsArguments>>(module, SoftAllPairsArguments::kName,
                                                    "Values of all pairs, written to an array.");
}

}  // namespace coalign::bindings
