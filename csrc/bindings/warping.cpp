#include "warping/warping.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "bindings/series.hpp"
#include "core/buffer.hpp"
#include "warping/inputs.hpp"
#include "warping/step_pattern.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::warping;

constexpr const char* kModule = "coalign._warping";

enum WarpingField { kCost, kXIndex, kYIndex, kStatus, kXLength, kYLength, kPathLength, kWeight };

constexpr Schema kWarping{
    "WarpingFields",
    "The fields of `coalign.Warping`.",
    8,
    {{{"cost", Per::problem, Element::computed, "Sum of the local costs on the best path."},
      {"x_index", Per::path, Element::int64, "Frames of x on the path, or None."},
      {"y_index", Per::path, Element::int64, "Frames of y on the path, or None."},
      {"status", Per::problem, Element::int32, "A `Status` for each problem."},
      {"x_length", Per::problem, Element::int64, "Frames of each series of x."},
      {"y_length", Per::problem, Element::int64, "Frames of each series of y."},
      {"path_length", Per::option, Element::int64, "Lengths of paths on a GPU, or None.", true},
      {"weight", Per::path, Element::computed, "Weights of the pairs on the path, or None.", true}}}};

// Calls with fewer cells (times dimensions) keep the GIL: so many take some 10 us.
constexpr double kSmallWork = 1 << 14;

constexpr Readable kLocalCosts{Readable::Items::matrices_by_rows, 1, kMostFrames};

// The steps as callers name them, or as the general way prepares them: a float64 array with a row (step, rows, columns,
// weight) for each cell, counted back from the step's end. The first row of a step is where it starts.
class StepArgument {
   public:
    bool read(PyObject* given, PyObject* open_begin, PyObject* open_end, bool prepared) {
        if (!read_flag(open_begin, pattern_.open_begin) || !read_flag(open_end, pattern_.open_end)) return false;
        if (is_text(given, "symmetric1")) return !pattern_.open_begin && !pattern_.open_end;
        PlainArray table;
        if (!prepared || !table.read(given)) return false;
        require(table.is_float64() && table.axes() == 2 && table.length(1) == 4 && table.is_contiguous() &&
                    table.length(0) <= kMostRows,
                "step: an (R, 4) array");
        const double* row = table.data<double>();
        double number = -1;
        std::int64_t rows = 0, columns = 0;  // of the cell before
        for (std::int64_t r = 0; r < table.length(0); ++r, row += 4) {
            for (const double offset : {row[1], row[2]})
                require(offset >= 0 && offset <= kMostOffset, "step: an offset");
            require(row[3] >= 0, "step: a weight");
            const auto down = static_cast<std::int64_t>(row[1]), across = static_cast<std::int64_t>(row[2]);
            if (row[0] != number) {
                require(rows == 0 && columns == 0, "step: ends elsewhere");
                number = row[0];
                pattern_.steps.push_back({down, across, pattern_.cells.size(), pattern_.cells.size()});
                pattern_.rows = std::max(pattern_.rows, down);
                pattern_.columns = std::max(pattern_.columns, across);
                if (down > 0) ++pattern_.crossing;
                require(down == 0 || pattern_.crossing == pattern_.steps.size(), "step: those that stay come last");
                require(pattern_.steps.size() <= kMostSteps, "step: too many");
            } else {
                require(down <= rows && across <= columns && down + across < rows + columns, "step: not monotone");
                pattern_.cells.push_back({down, across, row[3]});
                pattern_.steps.back().last = pattern_.cells.size();
            }
            rows = down;
            columns = across;
        }
        require(!pattern_.cells.empty() && rows == 0 && columns == 0, "step: ends elsewhere");
        is_table_ = true;
        return true;
    }
    // Null for what the engines of plain steps take.
    const StepPattern* pattern() const { return is_table_ ? &pattern_ : nullptr; }

   private:
    static constexpr std::int64_t kMostRows = 1 << 13;
    static constexpr std::size_t kMostSteps = 64;
    static constexpr double kMostOffset = 64;

    StepPattern pattern_;
    bool is_table_ = false;
};

// One value for each problem of a call: a call of one problem asks for no memory.
template <class T>
class Few {
   public:
    Few(std::int64_t count, T value) : one_(value), many_(static_cast<std::size_t>(count > 1 ? count : 0), value) {}
    T* data() { return many_.empty() ? &one_ : many_.data(); }

   private:
    T one_;
    std::vector<T> many_;
};

// dtw(x, y, metric, window, step, open_begin, open_end, x_lengths, y_lengths, max_cost, path, threads, device) returns
// the result. Prepared arguments may be precomputed local costs, in x alone.
struct WarpArguments {
    static constexpr const char *kName = "dtw", *kGeneral = kModule;
    static constexpr Py_ssize_t kCount = 13;

    bool read(PyObject* const* given, bool prepared) {
        std::optional<double> most;
        if (!read_metric(given[2], prepared, options.metric) || !window.read(given[3], prepared) ||
            !step.read(given[4], given[5], given[6], prepared) || !read_number(given[9], most) ||
            !read_flag(given[10], path) || !threads.read(given[11]) || !read_cpu(given[12]))
            return false;
        options.window = window.window();
        options.pattern = step.pattern();
        if (most) options.max_cost = *most;
        if (options.metric == Metric::precomputed) {
            if (!matrices.read(given[0]) || given[1] != Py_None) return false;
            pairs.x = matrices.batch();
            return true;
        }
        if (!x.read(given[0], given[7]) || !y.read(given[1], given[8])) return false;
        pairs = {x.batch(), y.batch()};
        const bool fits = pairs.x.count == pairs.y.count || !x.is_batch() || !y.is_batch();
        require(fits || !prepared, "batch sizes");
        return fits && pairs.x.columns == pairs.y.columns && x.is_float32() == y.is_float32();
    }
    bool is_float32() const { return options.metric == Metric::precomputed ? matrices.is_float32() : x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) {
        const std::int64_t count = pairs.count();
        double work = 0;
        for (std::int64_t p = 0; p < count; ++p) {
            window.require_rows(pairs.x_length(p));
            work += static_cast<double>(pairs.x_length(p)) * static_cast<double>(pairs.y_length(p)) *
                    static_cast<double>(pairs.dim());
        }
        const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        options.max_cost = static_cast<double>(static_cast<T>(options.max_cost));
        options.threads = threads.for_work(work, per_thread);
        options.checkpoint_bytes = forced.checkpoint_bytes.value_or(kCheckpointBytes);

        std::vector<ReversePath> paths;
        std::vector<Buffer<std::int64_t>> room(static_cast<std::size_t>(path ? count : 0));
        std::vector<Buffer<double>> weights(options.pattern != nullptr ? room.size() : 0);
        for (std::size_t p = 0; p < room.size(); ++p) {
            const auto at = static_cast<std::int64_t>(p);
            const std::int64_t most = pairs.x_length(at) + pairs.y_length(at) - 1;
            std::int64_t* const both = room[p].reserve(2 * most);
            paths.push_back({both, both + most, weights.empty() ? nullptr : weights[p].reserve(most)});
        }
        Few<Status> outcome(count, Status::ok);
        Few<T> costs(count, T(0));
        Inputs<T> inputs(options.metric, pairs.x, pairs.y);
        const Kernels<T>& kernels = kernels_for<T>(forced.isa);
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            if (!pairs.has_matrices()) {
                if (!check_values(inputs, options.threads, per_thread, pulse)) return Run{true, 0};
                pairs = {inputs.x(), inputs.y()};
            }
            return warp_pairs<T>(kernels, pairs, options, per_thread, pulse, costs.data(), outcome.data(),
                                 path ? paths.data() : nullptr);
        });
        forced.note(name(kernels.isa), run.workers);
        const bool solved =
            std::all_of(outcome.data(), outcome.data() + count, [](Status status) { return status == Status::ok; });
        return solved || prepared ? result(costs.data(), outcome.data(), paths) : nullptr;
    }

   private:
    template <class T>
    PyObject* result(const T* costs, const Status* outcome, const std::vector<ReversePath>& paths) const {
        std::vector<std::int64_t> lengths;
        for (const ReversePath& reverse : paths) lengths.push_back(reverse.length);
        const bool is_batch = x.is_batch() || y.is_batch() || matrices.is_batch();
        const Counts counts{is_batch ? Form::list : Form::one,         pairs.count(), 0, 0, nullptr, nullptr,
                            path ? Counts::of_paths(lengths) : nullptr};
        Result made(kWarping, counts, sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        std::copy_n(costs, counts.problems, made.data<T>(kCost));
        auto* status = made.data<std::int32_t>(kStatus);
        auto *x_length = made.data<std::int64_t>(kXLength), *y_length = made.data<std::int64_t>(kYLength);
        for (std::int64_t p = 0; p < counts.problems; ++p) {
            status[p] = static_cast<std::int32_t>(outcome[p]);
            x_length[p] = pairs.x_length(p);
            y_length[p] = pairs.y_length(p);
        }
        if (path) {
            // The paths come last pair first.
            auto *x_index = made.data<std::int64_t>(kXIndex), *y_index = made.data<std::int64_t>(kYIndex);
            T* weight = made.data<T>(kWeight);
            for (const ReversePath& reverse : paths) {
                for (std::int64_t k = reverse.length; options.pattern != nullptr && k-- > 0;)
                    *weight++ = static_cast<T>(reverse.weight[k]);
                x_index = std::reverse_copy(reverse.x, reverse.x + reverse.length, x_index);
                y_index = std::reverse_copy(reverse.y, reverse.y + reverse.length, y_index);
            }
            if (options.pattern == nullptr) made.set(kWeight, py::none());
        }
        return made.release().release().ptr();
    }

    PlainBatch x{kSeries}, y{kSeries}, matrices{kLocalCosts};
    Pairs pairs;
    Options options;
    WindowArgument window;
    StepArgument step;
    bool path = false;
    ThreadLimit threads;
};

// dtw_all_pairs(X, Y, metric, window, step, open_begin, open_end, mirrored, x_lengths, y_lengths, max_cost, threads,
// out, progress) fills `out`. Without Y, X is compared with itself; mirrored: one half is computed.
struct AllPairsArguments {
    static constexpr const char* kName = "dtw_all_pairs";
    static constexpr Py_ssize_t kCount = 14;

    bool read(PyObject* const* given, bool) {
        std::optional<double> most;
        is_self = given[1] == Py_None;
        if (!x.read(given[0], given[8]) || !(is_self || y.read(given[1], given[9])) ||
            !read_metric(given[2], false, options.metric) || !window.read(given[3], true) ||
            !step.read(given[4], given[5], given[6], true) || !read_flag(given[7], is_mirrored) ||
            !read_number(given[10], most) || !threads.read(given[11]) || !out.read(given[12]))
            return false;
        require(is_self || !is_mirrored, "mirrored: without Y");
        options.window = window.window();
        options.pattern = step.pattern();
        if (most) options.max_cost = *most;
        progress = py::reinterpret_borrow<py::object>(given[13]);
        const Ragged &rows = x.batch(), &columns = is_self ? x.batch() : y.batch();
        return x.is_batch() && (is_self || (y.is_batch() && y.is_float32() == x.is_float32())) &&
               columns.columns == rows.columns && out.is_writeable() && !out.is_int64() &&
               out.is_float32() == x.is_float32() && out.axes() == 2 && out.length(0) == rows.count &&
               out.length(1) == columns.count && (columns.count == 1 || out.stride(1) == 1);
    }
    bool is_float32() const { return x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        for (std::int64_t i = 0; i < x.batch().count; ++i) window.require_rows(x.batch().rows_of(i));
        const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        options.max_cost = static_cast<double>(static_cast<T>(options.max_cost));
        const Ragged &rows = x.batch(), &columns = is_self ? x.batch() : y.batch();
        options.threads =
            threads.for_work(rows.elements() * columns.elements() / static_cast<double>(rows.columns), per_thread);
        Inputs<T> inputs(options.metric, x.batch(), y.batch());
        const Kernels<T>& kernels = kernels_for<T>(forced.isa);
        const Run run = watch(progress, [&](Pulse& pulse) {
            if (!check_values(inputs, options.threads, per_thread, pulse)) return Run{true, 0};
            return warp_all_pairs<T>(kernels, inputs.x(), is_self ? inputs.x() : inputs.y(), is_mirrored, options,
                                     per_thread, pulse, out.room<T>(), out.stride(0));
        });
        forced.note(name(kernels.isa), run.workers);
        return py::none().release().ptr();
    }

    PlainBatch x{kSeries}, y{kSeries};
    bool is_self = false, is_mirrored = false;
    PlainArray out;
    Options options;
    WindowArgument window;
    StepArgument step;
    ThreadLimit threads;
    py::object progress;
};

// The window as (N, 2) ranges of columns.
py::array_t<std::int64_t> window_ranges(const py::tuple& given, std::int64_t n, std::int64_t m) {
    WindowArgument window;
    require(window.read(given.ptr(), true), "unknown window");
    for (const std::int64_t length : {n, m})
        require(length >= 1 && length <= kMostFrames, "series: no frame, or too many");
    window.require_rows(n);
    std::vector<Range> ranges;
    Pulse pulse(nullptr);
    Pacer pacer(pulse);
    static_cast<void>(row_ranges(window.window(), n, m, ranges, pacer));  // nobody stops it
    py::array_t<std::int64_t> out({static_cast<py::ssize_t>(n), py::ssize_t{2}});
    std::int64_t* at = out.mutable_data();
    for (const Range& range : ranges) {
        *at++ = range.start;
        *at++ = range.stop;
    }
    return out;
}

}  // namespace

void bind_warping(py::module_& module) {
    module.attr("warping_work_per_thread") = kWorkPerThread;
    module.attr("warping_checkpoint_bytes") = kCheckpointBytes;
    make_result_class(module, kWarping);
    add_function<front_door<WarpArguments>>(
        module, WarpArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
    add_function<inner_door<AllPairsArguments>>(module, AllPairsArguments::kName,
                                                "Costs of all pairs, written to an array.");
    module.def("window_ranges", &window_ranges, py::kw_only(), py::arg("window"), py::arg("n"), py::arg("m"),
               "Range of columns of each row of a window.");
}

}  // namespace coalign::bindings
