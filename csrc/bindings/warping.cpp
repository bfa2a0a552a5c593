#include "warping/warping.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "core/buffer.hpp"
#include "core/isa.hpp"
#include "warping/dispatch.hpp"
#include "warping/inputs.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::warping;

Metric parse_metric(const std::string& name) {
    if (name == "sqeuclidean") return Metric::sqeuclidean;
    if (name == "euclidean") return Metric::euclidean;
    if (name == "cityblock") return Metric::cityblock;
    if (name == "cosine") return Metric::cosine;
    require(name == "precomputed", "unknown metric");
    return Metric::precomputed;
}

using Rows = py::array_t<std::int64_t, py::array::c_style>;

// Of the dtype, and every row and item of it at an address that the dtype allows.
template <class T>
bool holds(const py::array& array) {
    if (!array.dtype().equal(py::dtype::of<T>()) || reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0)
        return false;
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis)
        if (array.shape(axis) > 1 && array.strides(axis) % static_cast<py::ssize_t>(sizeof(T)) != 0) return false;
    return true;
}

void require_length(std::int64_t length) {
    require(length >= 1 && length <= kMostFrames, "series: no frame, or too many");
}

// A window as ("none", 0), ("band", r), ("slanted", r) or ("rows", array); `rows` keeps the array alive.
Window parse_window(const py::tuple& window, Rows& rows) {
    require(window.size() == 2, "window: a pair");
    const auto kind = window[0].cast<std::string>();
    if (kind == "none") return {};
    if (kind == "rows") {
        rows = window[1].cast<Rows>();
        require(rows.ndim() == 2 && rows.shape(1) == 2 && holds<std::int64_t>(rows), "window: an (N, 2) array");
        return {Window::Kind::rows, 0, rows.data()};
    }
    require(kind == "band" || kind == "slanted", "unknown window");
    const auto radius = window[1].cast<std::int64_t>();
    require(radius >= 0, "window: a radius of at least 0");
    return {kind == "band" ? Window::Kind::band : Window::Kind::slanted, radius, nullptr};
}

// A padded batch (B, T, D) with lengths, or a list of (T, D) arrays; frames contiguous either way.
template <class T>
std::vector<Series<T>> parse_series(const py::object& items, const std::optional<Rows>& lengths, std::int64_t dim) {
    require(dim >= 1, "dim: at least 1");
    std::vector<Series<T>> out;
    const auto frames_contiguous = [&](const py::array& array, py::ssize_t axis) {
        const auto size = static_cast<py::ssize_t>(sizeof(T));
        return holds<T>(array) && array.shape(axis + 1) == dim && (dim == 1 || array.strides(axis + 1) == size) &&
               (array.shape(axis) <= 1 || array.strides(axis) == size * dim);
    };
    if (py::isinstance<py::array>(items)) {
        const auto array = items.cast<py::array>();
        require(array.ndim() == 3 && frames_contiguous(array, 1), "batch: a (B, T, D) array with contiguous frames");
        require(lengths.has_value() && lengths->ndim() == 1 && lengths->shape(0) == array.shape(0) &&
                    holds<std::int64_t>(*lengths),
                "batch: one length per item");
        const auto* base = static_cast<const char*>(array.data());
        for (py::ssize_t b = 0; b < array.shape(0); ++b) {
            const std::int64_t length = lengths->data()[b];
            require_length(length);
            require(length <= array.shape(1), "batch: a length out of range");
            out.push_back({reinterpret_cast<const T*>(base + b * array.strides(0)), length});
        }
        return out;
    }
    for (const py::handle item : items.cast<py::list>()) {
        const auto array = item.cast<py::array>();
        require(array.ndim() == 2 && frames_contiguous(array, 0), "batch: (T, D) arrays with contiguous frames");
        require_length(array.shape(0));
        out.push_back({static_cast<const T*>(array.data()), array.shape(0)});
    }
    return out;
}

// The first pass over both sides; false when the call was stopped.
template <class T>
bool prepare(Metric metric, std::vector<Series<T>>* const (&sides)[2], std::int64_t dim, Buffer<T> (&units)[2],
             Pulse& pulse) {
    for (int argument = 0; argument < 2; ++argument) {
        if (sides[argument] == nullptr) continue;
        if (const auto bad = find_bad_value(*sides[argument], dim, pulse))
            throw NotFinite(argument, bad->item, bad->element);
        if (metric == Metric::cosine && !pulse.stopped())
            take_unit_frames(*sides[argument], dim, units[argument], pulse);
    }
    return !pulse.stopped();
}

struct Call {
    Call(const std::string& metric, const py::tuple& window, double max_cost, int threads, const std::string& isa_name,
         std::int64_t checkpoint_bytes = kCheckpointBytes)
        : options{parse_metric(metric), parse_window(window, rows), max_cost, threads, checkpoint_bytes},
          isa(choose_isa(isa_name)) {}
    // The window's array covers this many rows.
    void require_rows(std::int64_t length) const {
        require(options.window.kind != Window::Kind::rows || rows.shape(0) == length, "window: one row per frame of x");
    }
    Rows rows;
    Options options;
    Isa isa;
};

// What a call used: the instruction set's name, and the number of workers.
py::tuple used_by(Isa isa, const Run& run) {
    return py::make_tuple(std::string(name(isa)), run.workers);
}

template <class T>
py::tuple pairs(const py::object& x, const py::object& y, const std::optional<Rows>& x_lengths,
                const std::optional<Rows>& y_lengths, std::int64_t dim, Call& call, double work_per_thread, bool path,
                const py::object& progress) {
    std::vector<Problem<T>> problems;
    Buffer<T> units[2];
    std::vector<Series<T>> xs, ys;
    const bool precomputed = call.options.metric == Metric::precomputed;
    if (precomputed) {
        // Matrices (N, M), rows contiguous, cut to the lengths where there are any.
        require(dim == 1, "dim: 1 for matrices");
        for (const py::handle item : x.cast<py::list>()) {
            const auto matrix = item.cast<py::array>();
            require(matrix.ndim() == 2 && holds<T>(matrix) && (matrix.shape(1) == 1 || matrix.strides(1) == sizeof(T)),
                    "matrices: (N, M) with contiguous rows");
            require_length(matrix.shape(0));
            require_length(matrix.shape(1));
            Problem<T> problem;
            problem.matrix = static_cast<const T*>(matrix.data());
            problem.matrix_stride = matrix.strides(0) / static_cast<py::ssize_t>(sizeof(T));
            problem.x.length = matrix.shape(0);
            problem.y.length = matrix.shape(1);
            problems.push_back(problem);
        }
    } else {
        xs = parse_series<T>(x, x_lengths, dim);
        ys = parse_series<T>(y, y_lengths, dim);
        const std::size_t count = std::max(xs.size(), ys.size());
        require((xs.size() == count || xs.size() == 1) && (ys.size() == count || ys.size() == 1), "batch sizes");
        problems.resize(count);
        for (std::size_t p = 0; p < count; ++p) {
            problems[p].x.length = xs[xs.size() == 1 ? 0 : p].length;
            problems[p].y.length = ys[ys.size() == 1 ? 0 : p].length;
        }
    }
    const auto count = static_cast<py::ssize_t>(problems.size());
    for (const Problem<T>& problem : problems) call.require_rows(problem.x.length);

    py::array_t<T> cost(count);
    py::array_t<std::int32_t> status(count);
    py::list x_index, y_index;
    std::vector<ReversePath> paths;
    std::vector<py::array_t<std::int64_t>> x_room, y_room;
    if (path) {
        for (const Problem<T>& problem : problems) {
            const py::ssize_t most = problem.x.length + problem.y.length - 1;
            x_room.emplace_back(most);
            y_room.emplace_back(most);
            paths.push_back({x_room.back().mutable_data(), y_room.back().mutable_data()});
        }
    }
    std::vector<Status> outcome(problems.size(), Status::ok);
    T* costs = cost.mutable_data();
    const Kernels<T>& kernels = kernels_for<T>(call.isa);
    const Run run = watch(progress, [&](Pulse& pulse) {
        if (!precomputed) {
            if (!prepare<T>(call.options.metric, {&xs, &ys}, dim, units, pulse)) return Run{true, 0};
            for (std::size_t p = 0; p < problems.size(); ++p) {
                problems[p].x.data = xs[xs.size() == 1 ? 0 : p].data;
                problems[p].y.data = ys[ys.size() == 1 ? 0 : p].data;
            }
        }
        return warp_pairs<T>(kernels, problems, dim, call.options, work_per_thread, pulse, costs, outcome.data(),
                             path ? paths.data() : nullptr);
    });
    for (py::ssize_t p = 0; p < count; ++p)
        status.mutable_data()[p] = static_cast<std::int32_t>(outcome[static_cast<std::size_t>(p)]);
    const py::tuple used = used_by(kernels.isa, run);
    if (!path) return py::make_tuple(cost, status, py::none(), py::none(), used);
    for (std::size_t p = 0; p < paths.size(); ++p) {
        // The paths come last pair first; an owner of its own keeps a short path from holding a long array.
        const auto forward = [&](const std::int64_t* from) {
            py::array_t<std::int64_t> out(static_cast<py::ssize_t>(paths[p].length));
            std::reverse_copy(from, from + paths[p].length, out.mutable_data());
            return out;
        };
        x_index.append(forward(paths[p].x));
        y_index.append(forward(paths[p].y));
    }
    return py::make_tuple(cost, status, x_index, y_index, used);
}

template <class T>
py::tuple all_pairs(const py::object& x, const py::object& y, const std::optional<Rows>& x_lengths,
                    const std::optional<Rows>& y_lengths, std::int64_t dim, Call& call, double work_per_thread,
                    py::array& out, const py::object& progress) {
    // Its engines take frames.
    require(call.options.metric != Metric::precomputed, "metric: one between frames");
    Buffer<T> units[2];
    const bool self = y.is_none();
    std::vector<Series<T>> xs = parse_series<T>(x, x_lengths, dim), ys;
    if (!self) ys = parse_series<T>(y, y_lengths, dim);
    const std::size_t columns = self ? xs.size() : ys.size();
    require(!xs.empty() && columns > 0, "collections: at least one series each");
    for (const Series<T>& series : xs) call.require_rows(series.length);
    const auto size = static_cast<py::ssize_t>(sizeof(T));
    require(out.writeable() && holds<T>(out) && out.ndim() == 2 &&
                out.shape(0) == static_cast<py::ssize_t>(xs.size()) &&
                out.shape(1) == static_cast<py::ssize_t>(columns) && (out.shape(1) == 1 || out.strides(1) == size),
            "out: an (n, m) array with contiguous rows");
    // A window given row by row is not its own transpose, so nothing can be mirrored.
    const bool symmetric = self && call.options.window.kind != Window::Kind::rows;
    T* costs = static_cast<T*>(out.mutable_data());
    const std::int64_t stride = out.strides(0) / size;
    const Kernels<T>& kernels = kernels_for<T>(call.isa);
    const Run run = watch(progress, [&](Pulse& pulse) {
        if (!prepare<T>(call.options.metric, {&xs, self ? nullptr : &ys}, dim, units, pulse)) return Run{true, 0};
        return warp_all_pairs<T>(kernels, xs, self ? xs : ys, symmetric, dim, call.options, work_per_thread, pulse,
                                 costs, stride);
    });
    return used_by(kernels.isa, run);
}

// The window as (N, 2) ranges of columns.
Rows window_ranges(const py::tuple& window, std::int64_t n, std::int64_t m) {
    Rows rows;
    const Window parsed = parse_window(window, rows);
    require_length(n);
    require_length(m);
    require(parsed.kind != Window::Kind::rows || rows.shape(0) == n, "window: one row per frame");
    std::vector<Range> ranges;
    Pulse pulse(nullptr);
    Pacer pacer(pulse);
    static_cast<void>(row_ranges(parsed, n, m, ranges, pacer));  // nobody stops it
    Rows out({static_cast<py::ssize_t>(n), py::ssize_t{2}});
    std::int64_t* at = out.mutable_data();
    for (const Range& range : ranges) {
        *at++ = range.start;
        *at++ = range.stop;
    }
    return out;
}

bool is_float32(const std::string& dtype) {
    require(dtype == "float32" || dtype == "float64", "dtype: float32 or float64");
    return dtype == "float32";
}

}  // namespace

void bind_warping(py::module_& module) {
    module.attr("warping_work_per_thread") = kWorkPerThread;
    module.attr("warping_checkpoint_bytes") = kCheckpointBytes;
    module.def(
        "dtw_pairs",
        [](const std::string& dtype, const py::object& x, const py::object& y, const std::optional<Rows>& x_lengths,
           const std::optional<Rows>& y_lengths, std::int64_t dim, const std::string& metric, const py::tuple& window,
           double max_cost, bool path, int threads, const std::string& isa, double work_per_thread,
           const py::object& progress, std::int64_t checkpoint_bytes) {
            Call call(metric, window, max_cost, threads, isa, checkpoint_bytes);
            return (is_float32(dtype) ? pairs<float> : pairs<double>)(x, y, x_lengths, y_lengths, dim, call,
                                                                      work_per_thread, path, progress);
        },
        py::kw_only(), py::arg("dtype"), py::arg("x"), py::arg("y"), py::arg("x_lengths"), py::arg("y_lengths"),
        py::arg("dim"), py::arg("metric"), py::arg("window"), py::arg("max_cost"), py::arg("path"), py::arg("threads"),
        py::arg("isa"), py::arg("work_per_thread"), py::arg("progress"), py::arg("checkpoint_bytes"),
        "Costs, statuses and paths of a batch of pairs, and what was used: instruction set and workers.");
    module.def(
        "dtw_all_pairs",
        [](const std::string& dtype, const py::object& x, const py::object& y, const std::optional<Rows>& x_lengths,
           const std::optional<Rows>& y_lengths, std::int64_t dim, const std::string& metric, const py::tuple& window,
           double max_cost, int threads, const std::string& isa, double work_per_thread, py::array out,
           const py::object& progress) {
            Call call(metric, window, max_cost, threads, isa);
            return (is_float32(dtype) ? all_pairs<float> : all_pairs<double>)(x, y, x_lengths, y_lengths, dim, call,
                                                                              work_per_thread, out, progress);
        },
        py::kw_only(), py::arg("dtype"), py::arg("x"), py::arg("y"), py::arg("x_lengths"), py::arg("y_lengths"),
        py::arg("dim"), py::arg("metric"), py::arg("window"), py::arg("max_cost"), py::arg("threads"), py::arg("isa"),
        py::arg("work_per_thread"), py::arg("out"), py::arg("progress"),
        "Costs of all pairs, written to `out`; returns what was used: instruction set and workers.");
    module.def("window_ranges", &window_ranges, py::kw_only(), py::arg("window"), py::arg("n"), py::arg("m"),
               "Range of columns of each row of a window.");
}

}  // namespace coalign::bindings
