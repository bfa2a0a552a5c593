#include "warping/warping.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "core/buffer.hpp"
#include "core/isa.hpp"
#include "warping/inputs.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::warping;

// The public class, which Python has handed over; it lives as long as the process.
PyTypeObject* result_class = nullptr;

enum WarpingField { kCost, kXIndex, kYIndex, kStatus, kXLength, kYLength, kPathLength };

constexpr Schema kWarping{
    "WarpingFields",
    "The fields of `coalign.Warping`.",
    7,
    {{{"cost", Per::problem, Element::computed, "Sum of the local costs on the best path."},
      {"x_index", Per::path, Element::int64, "Frames of x on the path, or None."},
      {"y_index", Per::path, Element::int64, "Frames of y on the path, or None."},
      {"status", Per::problem, Element::int32, "A `Status` for each problem."},
      {"x_length", Per::problem, Element::int64, "Frames of each series of x."},
      {"y_length", Per::problem, Element::int64, "Frames of each series of y."},
      {"path_length", Per::option, Element::int64, "Lengths of paths on a GPU, or None.", true}}}};

// Calls of fewer cells (times dimensions) stay under the GIL: these are some 10 us.
constexpr double kSmallWork = 1 << 14;

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
    Call(const std::string& metric, const py::tuple& window, double max_cost, int threads, const std::string& isa_name)
        : options{parse_metric(metric), parse_window(window, rows), max_cost, threads, kCheckpointBytes},
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

// One side of a call as plain callers give it: (T,) or (T, D), (B, T, D) with or without lengths, or a list of (T,) or
// (T, D); frames contiguous.
class Side {
   public:
    bool read(PyObject* given, PyObject* lengths) {
        if (PyList_CheckExact(given) || PyTuple_CheckExact(given)) {
            form_ = Form::list;
            // A tuple of our own: another thread may change the list while the GIL is released.
            items_ = py::reinterpret_steal<py::tuple>(PySequence_Tuple(given));
            if (!items_) throw py::error_already_set();
            arrays_.resize(items_.size());
            for (std::size_t i = 0; i < arrays_.size(); ++i)
                if (!arrays_[i].read(items_[i].ptr()) || arrays_[i].axes() > 2 || !take(arrays_[i], 0)) return false;
            return !arrays_.empty() && lengths == Py_None;
        }
        arrays_.resize(1);
        PlainArray& array = arrays_.front();
        if (!array.read(given) || array.axes() > 3) return false;
        if (array.axes() < 3) return take(array, 0) && lengths == Py_None;
        form_ = Form::padded;
        return array.length(0) > 0 && take(array, 1) &&
               read_lengths(lengths, array.length(0), 1, array.length(1), lengths_);
    }

    bool is_batch() const { return form_ != Form::one; }
    bool is_float32() const { return arrays_.front().is_float32(); }
    std::int64_t dim() const { return dim_; }
    template <class T>
    std::vector<Series<T>> series() const {
        std::vector<Series<T>> out;
        if (form_ == Form::padded) {
            const PlainArray& array = arrays_.front();
            for (std::int64_t b = 0; b < array.length(0); ++b)
                out.push_back(
                    {array.data<T>() + b * array.stride(0), lengths_ != nullptr ? lengths_[b] : array.length(1)});
            return out;
        }
        out.reserve(arrays_.size());
        for (const PlainArray& array : arrays_) out.push_back({array.data<T>(), array.length(0)});
        return out;
    }

   private:
    // Frames from an axis on: of the first array's dtype and dimensions, contiguous, at least one of each.
    bool take(const PlainArray& array, int axis) {
        if (array.axes() <= axis || array.is_int64() || array.is_float32() != is_float32()) return false;
        const std::int64_t frames = array.length(axis), dim = array.axes() > axis + 1 ? array.length(axis + 1) : 1;
        if (dim_ == 0) dim_ = dim;
        return dim == dim_ && dim >= 1 && frames >= 1 && frames <= kMostFrames &&
               (dim == 1 || array.stride(axis + 1) == 1) && (frames == 1 || array.stride(axis) == dim);
    }

    Form form_ = Form::one;
    py::tuple items_;
    std::vector<PlainArray> arrays_;
    std::int64_t dim_ = 0;
    const std::int64_t* lengths_ = nullptr;
};

// Precomputed costs: a matrix with contiguous rows, or a list of them.
class CostMatrices {
   public:
    bool read(PyObject* given) {
        is_batch_ = PyList_CheckExact(given);
        items_ = is_batch_ ? py::reinterpret_steal<py::tuple>(PySequence_Tuple(given))
                           : py::make_tuple(py::reinterpret_borrow<py::object>(given));
        if (!items_) throw py::error_already_set();
        arrays_.resize(items_.size());
        for (std::size_t p = 0; p < arrays_.size(); ++p) {
            const PlainArray& array = arrays_[p];
            if (!arrays_[p].read(items_[p].ptr()) || array.axes() != 2 || array.is_int64() ||
                array.is_float32() != is_float32())
                return false;
            for (const int axis : {0, 1})
                if (array.length(axis) < 1 || array.length(axis) > kMostFrames) return false;
            if (array.length(1) > 1 && array.stride(1) != 1) return false;
        }
        return !arrays_.empty();
    }
    bool is_batch() const { return is_batch_; }
    bool is_float32() const { return arrays_.front().is_float32(); }
    template <class T>
    std::vector<Problem<T>> problems() const {
        std::vector<Problem<T>> out;
        out.reserve(arrays_.size());
        for (const PlainArray& array : arrays_) {
            Problem<T> problem;
            problem.matrix = array.data<T>();
            problem.matrix_stride = array.stride(0);
            problem.x.length = array.length(0);
            problem.y.length = array.length(1);
            out.push_back(problem);
        }
        return out;
    }

   private:
    bool is_batch_ = false;
    py::tuple items_;
    std::vector<PlainArray> arrays_;
};

// The arguments of `dtw`, in the order of the public function. Prepared ones come from the general way: their window is
// a pair, and their costs may be precomputed.
struct WarpArguments {
    static constexpr Py_ssize_t kCount = 11;

    bool read(PyObject* const* given, bool prepared) {
        std::optional<double> most;
        if (!read_metric(given[2], prepared) || !is_text(given[4], "symmetric1") || !read_number(given[7], most) ||
            !read_flag(given[8], path) || !threads.read(given[9]))
            return false;
        if (given[10] != Py_None && !is_text(given[10], "cpu")) return false;
        if (most) options.max_cost = *most;
        if (options.metric == Metric::precomputed) {
            if (!matrices.read(given[0]) || given[1] != Py_None) return false;
        } else if (!x.read(given[0], given[5]) || !y.read(given[1], given[6]) || x.dim() != y.dim() ||
                   x.is_float32() != y.is_float32()) {
            return false;
        }
        return read_window(given[3], prepared);
    }

    bool is_float32() const { return options.metric == Metric::precomputed ? matrices.is_float32() : x.is_float32(); }
    bool is_batch() const {
        return options.metric == Metric::precomputed ? matrices.is_batch() : x.is_batch() || y.is_batch();
    }

    Side x, y;
    CostMatrices matrices;
    Options options;
    std::optional<Rows> rows;  // keeps a window's array alive
    bool path = false;
    ThreadLimit threads;

   private:
    bool read_metric(PyObject* given, bool prepared) {
        if (is_text(given, "sqeuclidean")) options.metric = Metric::sqeuclidean;
        else if (is_text(given, "euclidean")) options.metric = Metric::euclidean;
        else if (is_text(given, "cityblock")) options.metric = Metric::cityblock;
        else if (is_text(given, "cosine")) options.metric = Metric::cosine;
        else if (prepared && is_text(given, "precomputed")) options.metric = Metric::precomputed;
        else return false;
        return true;
    }

    bool read_window(PyObject* given, bool prepared) {
        if (given == Py_None) return true;
        std::int64_t radius = 0;
        if (read_integer(given, radius)) {
            options.window = {Window::Kind::band, std::min(radius, kMostFrames), nullptr};
            return radius >= 0;
        }
        if (!prepared) return false;
        options.window = parse_window(py::reinterpret_borrow<py::tuple>(given), rows.emplace());
        return true;
    }
};

template <class T>
PyObject* pairs(WarpArguments& given, const Forced& forced, bool prepared) {
    std::vector<Problem<T>> problems;
    std::vector<Series<T>> xs, ys;
    Options& options = given.options;
    const bool precomputed = options.metric == Metric::precomputed;
    const std::int64_t dim = precomputed ? 1 : given.x.dim();
    if (precomputed) {
        problems = given.matrices.problems<T>();
    } else {
        xs = given.x.series<T>();
        ys = given.y.series<T>();
        const std::size_t count = std::max(xs.size(), ys.size());
        const bool fits = (xs.size() == count || !given.x.is_batch()) && (ys.size() == count || !given.y.is_batch());
        require(fits || !prepared, "batch sizes");
        if (!fits) return nullptr;
        problems.resize(count);
        for (std::size_t p = 0; p < count; ++p) {
            problems[p].x.length = xs[given.x.is_batch() ? p : 0].length;
            problems[p].y.length = ys[given.y.is_batch() ? p : 0].length;
        }
    }
    double work = 0;
    for (const Problem<T>& problem : problems) {
        require(options.window.kind != Window::Kind::rows || given.rows->shape(0) == problem.x.length,
                "window: one row per frame of x");
        work +=
            static_cast<double>(problem.x.length) * static_cast<double>(problem.y.length) * static_cast<double>(dim);
    }
    const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
    options.max_cost = static_cast<double>(static_cast<T>(options.max_cost));
    options.threads = given.threads.for_work(work, per_thread);
    options.checkpoint_bytes = forced.checkpoint_bytes.value_or(kCheckpointBytes);

    std::vector<ReversePath> paths;
    std::vector<Buffer<std::int64_t>> room(given.path ? problems.size() : 0);
    for (std::size_t p = 0; p < room.size(); ++p) {
        const std::int64_t most = problems[p].x.length + problems[p].y.length - 1;
        std::int64_t* const both = room[p].reserve(2 * most);
        paths.push_back({both, both + most});
    }
    std::vector<Status> outcome(problems.size(), Status::ok);
    std::vector<T> costs(problems.size());
    Buffer<T> units[2];
    const Kernels<T>& kernels = kernels_for<T>(forced.isa);
    const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
        if (!precomputed) {
            if (!prepare<T>(options.metric, {&xs, &ys}, dim, units, pulse)) return Run{true, 0};
            for (std::size_t p = 0; p < problems.size(); ++p) {
                problems[p].x.data = xs[given.x.is_batch() ? p : 0].data;
                problems[p].y.data = ys[given.y.is_batch() ? p : 0].data;
            }
        }
        return warp_pairs<T>(kernels, problems, dim, options, per_thread, pulse, costs.data(), outcome.data(),
                             given.path ? paths.data() : nullptr);
    });
    forced.note(name(kernels.isa), run.workers);
    const bool solved = std::all_of(outcome.begin(), outcome.end(), [](Status status) { return status == Status::ok; });
    if (!solved && !prepared) return nullptr;

    Counts counts;
    counts.form = given.is_batch() ? Form::list : Form::one;
    counts.problems = static_cast<std::int64_t>(problems.size());
    std::vector<std::int64_t> lengths;
    for (const ReversePath& path : paths) lengths.push_back(path.length);
    if (given.path) counts.each_path = &lengths;
    Result result(result_class, kWarping, counts, sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
    std::copy(costs.begin(), costs.end(), result.data<T>(kCost));
    std::transform(outcome.begin(), outcome.end(), result.data<std::int32_t>(kStatus),
                   [](Status status) { return static_cast<std::int32_t>(status); });
    std::transform(problems.begin(), problems.end(), result.data<std::int64_t>(kXLength),
                   [](const Problem<T>& problem) { return problem.x.length; });
    std::transform(problems.begin(), problems.end(), result.data<std::int64_t>(kYLength),
                   [](const Problem<T>& problem) { return problem.y.length; });
    result.set(kPathLength, py::none());
    if (given.path) {
        // The paths come last pair first.
        auto *x = result.data<std::int64_t>(kXIndex), *y = result.data<std::int64_t>(kYIndex);
        for (const ReversePath& path : paths) {
            x = std::reverse_copy(path.x, path.x + path.length, x);
            y = std::reverse_copy(path.y, path.y + path.length, y);
        }
    } else {
        result.set(kXIndex, py::none());
        result.set(kYIndex, py::none());
    }
    return result.release().release().ptr();
}

// dtw(x, y, metric, window, step, x_lengths, y_lengths, max_cost, path, threads, device): the result. With one argument
// more they are prepared. What is not plain, or whose status is not OK, goes the general way.
PyObject* dtw_front(PyObject* const* arguments, Py_ssize_t count) {
    const bool prepared = count == WarpArguments::kCount + 1;
    require(prepared || count == WarpArguments::kCount, "dtw: eleven arguments, or twelve");
    const Forced forced;
    if (prepared || !forced.general) {
        WarpArguments given;
        const bool plain = given.read(arguments, prepared);
        require(plain || !prepared, "dtw: expected prepared arguments");
        try {
            if (plain)
                if (PyObject* const result =
                        (given.is_float32() ? pairs<float> : pairs<double>)(given, forced, prepared))
                    return result;
        } catch (const NotFinite&) {
            if (prepared) throw;
        }
    }
    return call_general("coalign._warping", "dtw", arguments, WarpArguments::kCount);
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
    static PyMethodDef functions[] = {
        {"dtw", as_function<dtw_front>(), METH_FASTCALL,
         "The public function's arguments, in order; one more says that they are prepared."},
        {nullptr, nullptr, 0, nullptr}};
    if (PyModule_AddFunctions(module.ptr(), functions) < 0) throw py::error_already_set();
    make_result_class(module, kWarping);
    module.def(
        "connect_warping",
        [](const py::type& result) { result_class = reinterpret_cast<PyTypeObject*>(result.inc_ref().ptr()); },
        py::arg("result"), "Hands over the public result class.");
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
