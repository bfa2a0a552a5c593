#include "soft_warping/soft_warping.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "bindings/series.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::soft_warping;
using warping::Inputs;
using warping::kWorkPerThread;

enum SoftField { kValue, kGradX, kGradY, kStatus, kX, kY, kGamma, kMetric, kWindow, kXLengths, kYLengths };

constexpr Schema kSoftWarping{
    "SoftWarpingFields",
    "The fields of `coalign.SoftWarping`.",
    11,
    {{{"value", Per::problem, Element::computed, "The soft minimum over all paths."},
      {"grad_x", Per::option, Element::computed, "Gradients with respect to x, or None."},
      {"grad_y", Per::option, Element::computed, "Gradients with respect to y, or None."},
      {"status", Per::problem, Element::int32, "A `Status` for each pair."},
      {"x", Per::option, Element::computed, "The series as they were given."},
      {"y", Per::option, Element::computed, "The series as they were given."},
      {"gamma", Per::option, Element::computed, "The smoothing."},
      {"metric", Per::option, Element::computed, "The metric as it was given."},
      {"window", Per::option, Element::computed, "The window as it was given."},
      {"x_lengths", Per::option, Element::computed, "Lengths of a padded batch as they were given, or None."},
      {"y_lengths", Per::option, Element::computed, "Lengths of a padded batch as they were given, or None."}}}};

// Calls of so much work keep the GIL: it takes some 10 us.
constexpr double kSmallWork = 1 << 14;

constexpr Readable kLocalCosts{Readable::Items::matrices_by_rows, 1, warping::kMostFrames};

// The options that all calls have in common, and how a call runs.
struct SoftOptions {
    bool read(PyObject* metric, PyObject* given_window, PyObject* gamma, PyObject* given_threads, bool prepared) {
        std::optional<double> number;
        if (!read_metric(metric, prepared, options.metric) || !window.read(given_window, prepared) ||
            !read_number(gamma, number) || !number || !threads.read(given_threads))
            return false;
        options.window = window.window();
        options.gamma = *number;
        return options.gamma >= kLeastGamma && options.gamma < std::numeric_limits<double>::infinity();
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

double work_of(const Pairs& pairs, const WindowArgument& window) {
    double work = 0;
    for (std::int64_t p = 0; p < pairs.count(); ++p) {
        window.require_rows(pairs.x_length(p));
        work += static_cast<double>(pairs.x_length(p)) * static_cast<double>(pairs.y_length(p)) *
                static_cast<double>(8 + pairs.dim());
    }
    return work;
}

// The gradients of one side, as the caller gets them: an array, or a list of arrays where one side is a list.
template <class T>
struct Gradients {
    py::object field = py::none();
    std::vector<T*> rooms;

    // `lengths(p)` are the frames of pair p.
    template <class Lengths>
    void make(PyObject* given, const PlainBatch& side, const PlainBatch& other, std::int64_t count, Lengths&& lengths) {
        const auto dim = static_cast<py::ssize_t>(side.batch().columns);
        const auto array_of = [&](std::vector<py::ssize_t> shape, int axes) {
            if (axes > 1) shape.push_back(dim);
            return py::array_t<T>(shape);
        };
        const auto axes_of = [](PyObject* array) { return py::detail::array_proxy(array)->nd; };
        const Form form = side.is_batch() ? side.form() : other.form();
        if (form == Form::padded) {
            auto room = array_of({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(side.batch().rows)},
                                 side.is_batch() ? 2 : axes_of(given));
            std::fill_n(room.mutable_data(), room.size(), T(0));
            for (std::int64_t p = 0; p < count; ++p) rooms.push_back(room.mutable_data() + p * side.batch().rows * dim);
            field = std::move(room);
            return;
        }
        py::list items;
        for (std::int64_t p = 0; p < count; ++p) {
            auto room =
                array_of({static_cast<py::ssize_t>(lengths(p))}, axes_of(side.is_batch() ? side.item(p) : given));
            rooms.push_back(room.mutable_data());
            items.append(std::move(room));
        }
        field = form == Form::one ? py::object(items[0]) : py::object(std::move(items));
    }
};

// soft_dtw(x, y, gamma, metric, window, x_lengths, y_lengths, grad, threads, device) returns the result.
struct SoftArguments {
    static constexpr const char *kName = "soft_dtw", *kGeneral = "coalign._soft_warping";
    static constexpr Py_ssize_t kCount = 10;

    bool read(PyObject* const* given, bool prepared) {
        if (prepared || !common.read(given[3], given[4], given[2], given[8], false) || !x.read(given[0], given[5]) ||
            !y.read(given[1], given[6]) || !read_flag(given[7], grad) || !read_cpu(given[9]))
            return false;
        std::copy_n(given, kCount, kept.begin());
        pairs = {x.batch(), y.batch()};
        return (pairs.x.count == pairs.y.count || !x.is_batch() || !y.is_batch()) &&
               pairs.x.columns == pairs.y.columns && x.is_float32() == y.is_float32();
    }
    bool is_float32() const { return x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const std::int64_t count = pairs.count();
        const double work = work_of(pairs, common.window);
        common.prepare(forced, work);
        Gradients<T> of_x, of_y;
        std::vector<Backward<T>> out(static_cast<std::size_t>(grad ? count : 0));
        if (grad) {
            of_x.make(kept[0], x, y, count, [&](std::int64_t p) { return pairs.x_length(p); });
            of_y.make(kept[1], y, x, count, [&](std::int64_t p) { return pairs.y_length(p); });
            for (std::size_t p = 0; p < out.size(); ++p) out[p] = {of_x.rooms[p], of_y.rooms[p]};
        }
        const Counts counts{
            x.is_batch() || y.is_batch() ? Form::list : Form::one, count, 0, 0, nullptr, nullptr, nullptr};
        Result made(kSoftWarping, counts, sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        std::vector<Status> outcome(static_cast<std::size_t>(count), Status::ok);
        // The lattices make the cosine's unit frames themselves.
        Inputs<T> inputs(Metric::sqeuclidean, pairs.x, pairs.y);
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            if (!check_values(inputs, common.options.threads, common.per_thread, pulse)) return Run{true, 0};
            return solve_pairs<T>(forced.isa, pairs, common.options, common.per_thread, pulse, made.data<T>(kValue),
                                  outcome.data(), grad ? out.data() : nullptr);
        });
        forced.note(name(forced.isa), run.workers);
        auto* status = made.data<std::int32_t>(kStatus);
        for (const Status one : outcome) {
            if (one != Status::ok) return nullptr;
            *status++ = static_cast<std::int32_t>(one);
        }
        made.set(kGradX, of_x.field);
        made.set(kGradY, of_y.field);
        made.set(kGamma, py::float_(common.options.gamma));
        const std::pair<SoftField, int> as_given[] = {{kX, 0},      {kY, 1},        {kMetric, 3},
                                                      {kWindow, 4}, {kXLengths, 5}, {kYLengths, 6}};
        for (const auto& [field, at] : as_given)
            made.set(field, py::reinterpret_borrow<py::object>(kept[static_cast<std::size_t>(at)]));
        return made.release().release().ptr();
    }

    PlainBatch x{kSeries}, y{kSeries};
    Pairs pairs;
    SoftOptions common;
    bool grad = false;
    std::array<PyObject*, kCount> kept{};
};

// soft_dtw_pairs(x, y, metric, window, gamma, x_lengths, y_lengths, threads, grad_x, grad_y, visits) fills lists of
// arrays and returns values and status. It takes precomputed local costs, in x alone.
struct SoftPairsArguments {
    static constexpr const char* kName = "soft_dtw_pairs";
    static constexpr Py_ssize_t kCount = 11;

    bool read(PyObject* const* given, bool) {
        if (!common.read(given[2], given[3], given[4], given[7], true)) return false;
        grad_x = given[8];
        grad_y = given[9];
        visits = given[10];
        if (common.options.metric == Metric::precomputed) {
            pairs.x = matrices.read(given[0]) ? matrices.batch() : Ragged{};
            return pairs.x.count > 0 && given[1] == Py_None && grad_x == Py_None && grad_y == Py_None;
        }
        if (!x.read(given[0], given[5]) || !y.read(given[1], given[6])) return false;
        pairs = {x.batch(), y.batch()};
        return (pairs.x.count == pairs.y.count || !x.is_batch() || !y.is_batch()) &&
               pairs.x.columns == pairs.y.columns && x.is_float32() == y.is_float32() &&
               (grad_x == Py_None) == (grad_y == Py_None);
    }
    bool is_float32() const { return pairs.has_matrices() ? matrices.is_float32() : x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const std::int64_t count = pairs.count();
        common.prepare(forced, work_of(pairs, common.window));
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
        Inputs<T> inputs(Metric::sqeuclidean, pairs.x, pairs.y);
        const Run run = watch(py::none(), [&](Pulse& pulse) {
            if (!pairs.has_matrices() && !check_values(inputs, common.options.threads, common.per_thread, pulse))
                return Run{true, 0};
            return solve_pairs<T>(forced.isa, pairs, common.options, common.per_thread, pulse, value.mutable_data(),
                                  outcome.data(), out.data());
        });
        forced.note(name(forced.isa), run.workers);
        for (std::size_t p = 0; p < outcome.size(); ++p)
            status.mutable_data()[p] = static_cast<std::int32_t>(outcome[p]);
        return py::make_tuple(value, status).release().ptr();
    }

    PlainBatch x{kSeries}, y{kSeries}, matrices{kLocalCosts};
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
            !common.read(given[2], given[3], given[4], given[7], true) || !out.read(given[8]))
            return false;
        progress = py::reinterpret_borrow<py::object>(given[9]);
        const Ragged &rows = x.batch(), &columns = is_self ? x.batch() : y.batch();
        return common.options.metric != Metric::precomputed && x.is_batch() &&
               (is_self || (y.is_batch() && y.is_float32() == x.is_float32())) && columns.columns == rows.columns &&
               out.is_writeable() && !out.is_int64() && out.is_float32() == x.is_float32() && out.axes() == 2 &&
               out.length(0) == rows.count && out.length(1) == columns.count &&
               (columns.count == 1 || out.stride(1) == 1);
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
        Inputs<T> inputs(Metric::sqeuclidean, x.batch(), y.batch());
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
    module.attr("soft_warping_least_gamma") = kLeastGamma;
    make_result_class(module, kSoftWarping);
    add_function<front_door<SoftArguments>>(module, SoftArguments::kName, "The public function's arguments, in order.");
    add_function<inner_door<SoftPairsArguments>>(
        module, SoftPairsArguments::kName, "Values and status of pairs; gradients and visits, written to arrays.");
    add_function<inner_door<SoftAllPairsArguments>>(module, SoftAllPairsArguments::kName,
                                                    "Values of all pairs, written to an array.");
}

}  // namespace coalign::bindings
