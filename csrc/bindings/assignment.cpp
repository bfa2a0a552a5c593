#include "assignment/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "assignment/gap.hpp"
#include "assignment/ranking.hpp"
#include "assignment/sparse.hpp"
#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "core/buffer.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::assignment;

constexpr const char* kModule = "coalign._assignment";

enum AssignmentField {
    kColOfRow,
    kRowOfCol,
    kTotal,
    kRowDual,
    kColDual,
    kStatus,
    kMaximize,
    kMaxCost,
    kRowLengths,
    kColLengths
};

constexpr Schema kAssignment{
    "AssignmentFields",
    "The fields of `coalign.Assignment`.",
    10,
    {{{"col_of_row", Per::row, Element::int64, "The column of each row, -1 for none."},
      {"row_of_col", Per::column, Element::int64, "The row of each column, -1 for none."},
      {"total", Per::problem, Element::float64, "Sum of the costs of the pairs."},
      {"row_dual", Per::row, Element::computed, "The duals u."},
      {"col_dual", Per::column, Element::computed, "The duals v."},
      {"status", Per::problem, Element::int32, "A `Status` for each problem."},
      {"maximize", Per::option, Element::int32, "Whether the greatest total was asked for."},
      {"max_cost", Per::option, Element::int32, "What a pair had to cost less than, or None."},
      {"row_lengths", Per::option, Element::int64, "The rows of each problem of a padded batch, or None.", true},
      {"col_lengths", Per::option, Element::int64, "The columns of each problem of a padded batch, or None.", true}}}};

// Made by Python code alone.
constexpr Schema kRanked{
    "RankedFields",
    "The fields of `coalign.RankedAssignments`.",
    4,
    {{{"col_of_row", Per::option, Element::int64, "The column of each row in each matching, -1 for none."},
      {"total", Per::option, Element::float64, "Sums of the costs of the pairs, best first."},
      {"status", Per::option, Element::int32, "A `Status` for each problem."},
      {"maximize", Per::option, Element::int32, "Whether the greatest totals were asked for."}}}};

// Calls with fewer costs keep the GIL: 64 x 64 costs take some 20 us.
constexpr double kSmallWork = 4096;

constexpr Readable kCosts{Readable::Items::matrices, 0, kMostColumns};

// A compressed sparse matrix, or a list of them, as the general way prepares them: (starts, indices, values, rows,
// columns, whether the lines are columns).
class SparseBatch {
   public:
    // False where the costs are something else.
    bool read(PyObject* given) {
        const bool is_batch = PyList_CheckExact(given) && PyList_GET_SIZE(given) > 0;
        if (!PyTuple_CheckExact(is_batch ? PyList_GET_ITEM(given, 0) : given)) return false;
        form_ = is_batch ? Form::list : Form::one;
        const auto items = is_batch ? py::reinterpret_borrow<py::list>(given) : py::list();
        const std::int64_t count = is_batch ? static_cast<std::int64_t>(items.size()) : 1;
        table_ = RaggedTable(count);
        if (!is_batch) add(py::reinterpret_borrow<py::tuple>(given));
        for (const py::handle item : items) add(item.cast<py::tuple>());
        shapes_ = table_.batch();
        if (!is_batch) {
            shapes_.rows = problems_[0].rows;
            shapes_.columns = problems_[0].columns;
        }
        return true;
    }

    const std::vector<SparseCosts>& problems() const { return problems_; }
    const Ragged& shapes() const { return shapes_; }
    Form form() const { return form_; }
    bool is_float32() const { return is_float32_; }
    double work() const {
        double entries = 0;
        for (const SparseCosts& costs : problems_) entries += static_cast<double>(costs.entries);
        return entries;
    }

   private:
    // Checks that starts never fall and stay within the entries, and that indices stay within the lines.
    template <class I>
    static bool is_sound(const SparseCosts& costs, std::int64_t lines, std::int64_t count, std::int64_t room) {
        const auto* at = static_cast<const I*>(costs.starts);
        const auto* index = static_cast<const I*>(costs.indices);
        bool sound = at[0] == 0;
        for (std::int64_t line = 0; line < lines; ++line) sound &= at[line] <= at[line + 1];
        if (!sound || at[lines] > room) return false;
        for (I e = 0; e < at[lines]; ++e) sound &= index[e] >= 0 && index[e] < count;
        return sound;
    }

    void add(const py::tuple& item) {
        require(item.size() == 6, "cost: six parts");
        const auto starts = item[0].cast<py::array>(), indices = item[1].cast<py::array>();
        PlainArray values;
        const bool wide = starts.dtype().equal(py::dtype::of<std::int64_t>());
        const py::dtype dtype = wide ? py::dtype::of<std::int64_t>() : py::dtype::of<std::int32_t>();
        for (const py::array* part : {&starts, &indices})
            require(part->ndim() == 1 && (part->flags() & py::array::c_style) != 0 && part->dtype().equal(dtype),
                    "cost: contiguous indices of one dtype");
        require(values.read(item[2].ptr()) && values.axes() == 1 && values.is_contiguous() && !values.is_int64() &&
                    (problems_.empty() || values.is_float32() == is_float32_),
                "cost: contiguous values of one dtype");
        is_float32_ = values.is_float32();
        SparseCosts costs{starts.data(),
                          indices.data(),
                          wide,
                          values.data<void>(),
                          item[3].cast<std::int64_t>(),
                          item[4].cast<std::int64_t>(),
                          item[5].cast<bool>(),
                          0};
        const std::int64_t lines = costs.by_columns ? costs.columns : costs.rows;
        const std::int64_t count = costs.by_columns ? costs.rows : costs.columns, room = values.length(0);
        require(costs.rows >= 0 && costs.columns >= 0 && std::max(costs.rows, costs.columns) <= kMostColumns &&
                    starts.shape(0) == lines + 1 && indices.shape(0) == room,
                "cost: lengths out of range");
        require(wide ? is_sound<std::int64_t>(costs, lines, count, room)
                     : is_sound<std::int32_t>(costs, lines, count, room),
                "cost: expected sound indices, got some out of range");
        costs.entries = wide ? static_cast<const std::int64_t*>(costs.starts)[lines]
                             : static_cast<const std::int32_t*>(costs.starts)[lines];
        problems_.push_back(costs);
        table_.add(MatrixView<void>{nullptr, costs.rows, costs.columns, 0, 0});
    }

    Form form_ = Form::one;
    bool is_float32_ = false;
    std::vector<SparseCosts> problems_;
    RaggedTable table_;
    Ragged shapes_;
};

// The first value that is not a cost: problem, row, column; or None.
template <class Results>
py::object first_bad(const Results& results) {
    for (std::size_t p = 0; p < results.size(); ++p) {
        const Outcome& outcome = results[p].outcome;
        if (outcome.status == Status::nan || outcome.status == Status::invalid)
            return py::make_tuple(p, outcome.row, outcome.column);
    }
    return py::none();
}

// A result that is being filled, and where each problem's part of it lies.
template <class T>
class Answer {
   public:
    // `start` is None, or the prices of all columns and the columns of all rows that a warm start begins with.
    Answer(const Ragged& shapes, Form form, PyObject* start)
        : object_(kAssignment, Counts::of(form, shapes),
                  sizeof(T) == sizeof(float) ? Element::float32 : Element::float64) {
        if (start != Py_None) take_start(py::reinterpret_borrow<py::tuple>(start));
        Parts<std::int64_t> col_of_row(object_.template data<std::int64_t>(kColOfRow), form, shapes.rows, -1);
        Parts<std::int64_t> row_of_col(object_.template data<std::int64_t>(kRowOfCol), form, shapes.columns, -1);
        Parts<T> row_dual(object_.template data<T>(kRowDual), form, shapes.rows, T(0));
        Parts<T> col_dual(object_.template data<T>(kColDual), form, shapes.columns, T(0));
        auto* total = object_.template data<double>(kTotal);
        results.reserve(static_cast<std::size_t>(shapes.count));
        for (std::int64_t p = 0; p < shapes.count; ++p) {
            const std::int64_t n = shapes.rows_of(p), m = shapes.columns_of(p);
            results.push_back(
                {col_of_row.take(n), row_of_col.take(m), row_dual.take(n), col_dual.take(m), total++, {}});
        }
    }

    bool is_solved() const {
        return std::all_of(results.begin(), results.end(),
                           [](const auto& result) { return result.outcome.status == Status::ok; });
    }

    py::object finish(const Options& options, const Ragged& shapes, Form form) {
        auto* status = object_.template data<std::int32_t>(kStatus);
        for (const auto& result : results) *status++ = static_cast<std::int32_t>(result.outcome.status);
        object_.set(kMaximize, py::bool_(options.maximize));
        object_.set(kMaxCost, options.has_limit ? py::object(py::float_(options.limit)) : py::object(py::none()));
        object_.set(kRowLengths, kept(shapes.row_lengths, shapes.rows, shapes.count, form));
        object_.set(kColLengths, kept(shapes.column_lengths, shapes.columns, shapes.count, form));
        return object_.release();
    }

    std::vector<assignment::Result<T>> results;

   private:
    // The lengths of a padded batch, unless every problem fills it.
    static py::object kept(const std::int64_t* lengths, std::int64_t room, std::int64_t count, Form form) {
        const auto fills = [&](std::int64_t length) { return length == room; };
        if (form != Form::padded || lengths == nullptr || std::all_of(lengths, lengths + count, fills))
            return py::none();
        return py::array_t<std::int64_t>(count, lengths);
    }

    void take_start(const py::tuple& start) {
        PlainArray prices, pairs;
        require(start.size() == 2 && prices.read(start[0].ptr()) && prices.holds<T>() && prices.axes() == 1 &&
                    prices.is_contiguous() && prices.length(0) == object_.size(kColDual),
                "start: a price per column");
        require(pairs.read(start[1].ptr()) && pairs.is_int64() && pairs.axes() == 1 && pairs.is_contiguous() &&
                    pairs.length(0) == object_.size(kColOfRow),
                "start: a column per row");
        std::copy_n(prices.data<T>(), prices.length(0), object_.template data<T>(kColDual));
        std::copy_n(pairs.data<std::int64_t>(), pairs.length(0), object_.template data<std::int64_t>(kColOfRow));
    }

    bindings::Result object_;
};

// Solves dense problems into results.
template <class T>
Scans solve(const Ragged& costs, Options options, const Forced& forced, const ThreadLimit& threads,
            std::vector<assignment::Result<T>>& results) {
    const double work = costs.elements(), per_thread = forced.work_per_thread.value_or(kWorkPerThread);
    options.threads = threads.for_work(work, per_thread);
    Scans scans;
    const Kernels<T>& kernels = kernels_for<T>(forced.isa);
    const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
        return assign<T>(kernels, costs, options, per_thread, pulse, results, scans);
    });
    forced.note(name(kernels.isa), run.workers);
    return scans;
}

template <class T>
void solve(const SparseBatch& costs, Options options, const Forced& forced, const ThreadLimit& threads,
           std::vector<assignment::Result<T>>& results) {
    const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
    options.threads = threads.for_work(costs.work(), per_thread);
    const Run run = watch(py::none(), [&](Pulse& pulse) {
        return assign_sparse<T>(costs.problems(), options, per_thread, pulse, results);
    });
    forced.note("scalar", run.workers);
}

// assign(cost, maximize, max_cost, row_lengths, col_lengths, warm_start, threads, device) returns the result. Prepared
// arguments may be sparse or begin with an earlier solution; for them it also returns the first value that is not a
// cost, and how many passes over rows of dense costs were made for bids and for paths.
struct AssignArguments {
    static constexpr const char *kName = "assign", *kGeneral = kModule;
    static constexpr Py_ssize_t kCount = 8;

    bool read(PyObject* const* given, bool prepared) {
        std::optional<double> limit;
        if (prepared && !sparse.emplace().read(given[0])) sparse.reset();
        if (!(sparse || costs.read(given[0], given[3], given[4])) || !read_flag(given[1], options.maximize) ||
            !read_number(given[2], limit) || !threads.read(given[6]) || !read_cpu(given[7]))
            return false;
        start = given[5];
        options.warm = start != Py_None;
        options.has_limit = limit.has_value();
        options.limit = limit.value_or(0);
        // Beside such a limit float32 would lose the costs, or have infinite duals.
        const bool is_wide = std::abs(options.limit) > std::numeric_limits<float>::max();
        const bool allows_none = std::isinf(options.limit) && (options.limit < 0) != options.maximize;
        return (prepared || !options.warm) && !allows_none && !(is_wide && is_float32());
    }
    bool is_float32() const { return sparse ? sparse->is_float32() : costs.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        const Ragged& shapes = sparse ? sparse->shapes() : costs.batch();
        const Form form = sparse ? sparse->form() : costs.form();
        Answer<T> answer(shapes, form, start);
        Scans scans;
        if (sparse) solve<T>(*sparse, options, forced, threads, answer.results);
        else scans = solve<T>(costs.batch(), options, forced, threads, answer.results);
        if (prepared)
            return py::make_tuple(answer.finish(options, shapes, form), first_bad(answer.results),
                                  py::make_tuple(scans.bids, scans.paths))
                .release()
                .ptr();
        return answer.is_solved() ? answer.finish(options, shapes, form).release().ptr() : nullptr;
    }

    PlainBatch costs{kCosts};
    std::optional<SparseBatch> sparse;  // of prepared arguments
    Options options;
    ThreadLimit threads;
    PyObject* start = nullptr;
};

// linear_sum_assignment(cost_matrix, maximize): SciPy's pair of arrays. Prepared arguments may be whatever SciPy takes:
// NumPy converts them by the rule that SciPy asks it for, and refuses the others in the same words.
struct PairsArguments {
    static constexpr const char *kName = "linear_sum_assignment", *kGeneral = kModule;
    static constexpr Py_ssize_t kCount = 2;

    bool read(PyObject* const* given, bool prepared) {
        const bool is_plain = PyObject_TypeCheck(given[0], py::detail::npy_api::get().PyArray_Type_) &&
                              costs.read(given[0]) && costs.form() == Form::one;
        if (!prepared) {
            if (!is_plain || !read_flag(given[1], options.maximize)) return false;
        } else {
            const int flag = PyObject_IsTrue(given[1]);
            if (flag < 0) throw py::error_already_set();
            options.maximize = flag != 0;
        }
        if (!is_plain) convert(given[0]);
        return true;
    }
    // SciPy's total is that of float64, also for float32 costs.
    static bool is_float32() { return false; }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        const std::int64_t n = costs.batch().rows, m = costs.batch().columns, size = std::min(n, m);
        Buffer<double> wide;
        const Ragged taken = costs.is_float32() ? widened(costs.batch(), wide) : costs.batch();
        Buffer<std::int64_t> indices;
        Buffer<T> duals;
        std::int64_t* const col_of_row = indices.reserve(n + m);
        T* const row_dual = duals.reserve(n + m);
        double total = 0;
        std::vector<assignment::Result<T>> results{{col_of_row, col_of_row + n, row_dual, row_dual + n, &total, {}}};
        solve<T>(taken, options, forced, ThreadLimit(), results);
        const Status status = results[0].outcome.status;
        if (status != Status::ok) {
            if (!prepared) return nullptr;
            report(status);
        }
        py::array_t<std::int64_t> rows(size), columns(size);
        std::int64_t *row = rows.mutable_data(), *column = columns.mutable_data();
        for (std::int64_t i = 0; i < n; ++i) {
            if (col_of_row[i] < 0) continue;
            *row++ = i;
            *column++ = col_of_row[i];
        }
        return PyTuple_Pack(2, rows.ptr(), columns.ptr());
    }

    PlainBatch costs{kCosts};
    Options options;

   private:
    // float32 costs in float64, in the order in which they lie. NumPy would not hear Ctrl-C meanwhile.
    static Ragged widened(const Ragged& given, Buffer<double>& room) {
        const MatrixView<float> costs = given.at<float>(0);
        const bool by_columns = costs.row_stride == 1 && costs.column_stride != 1;
        const std::int64_t lines = by_columns ? costs.columns : costs.rows;
        const std::int64_t length = by_columns ? costs.rows : costs.columns;
        const std::int64_t line_stride = by_columns ? costs.column_stride : costs.row_stride;
        const std::int64_t stride = by_columns ? costs.row_stride : costs.column_stride;
        double* const out = room.reserve(lines * length);
        run_call(given.elements() <= kSmallWork, [&](Pulse& pulse) {
            Pacer pacer(pulse);
            for (std::int64_t line = 0; line < lines && pacer.proceed(length); ++line)
                for (std::int64_t k = 0; k < length; ++k)
                    out[line * length + k] = static_cast<double>(costs.data[line * line_stride + k * stride]);
            return true;
        });
        Ragged wide;
        wide.data = out;
        wide.count = 1;
        wide.rows = costs.rows;
        wide.columns = costs.columns;
        wide.row_stride = by_columns ? 1 : length;
        wide.column_stride = by_columns ? length : 1;
        return wide;
    }

    void convert(PyObject* given) {
        const auto& api = py::detail::npy_api::get();
        using Api = py::detail::npy_api;
        constexpr int flags = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_ | Api::NPY_ARRAY_ENSUREARRAY_;
        PyObject* const taken =
            api.PyArray_FromAny_(given, py::dtype::of<double>().release().ptr(), 0, 0, flags, nullptr);
        if (taken == nullptr) throw py::error_already_set();
        converted_ = py::reinterpret_steal<py::object>(taken);
        costs = PlainBatch(kCosts);
        if (const int axes = py::detail::array_proxy(taken)->nd; axes != 2)
            throw py::value_error("expected a matrix (2-D array), got a " + std::to_string(axes) + " array");
        require(costs.read(taken), "cost_matrix: a matrix that can be read");
    }

    static void report(Status status) {
        if (status == Status::infeasible) throw py::value_error("cost matrix is infeasible");
        if (status != Status::precision_limit) throw py::value_error("matrix contains invalid numeric entries");
        // The caller is past the general way and the public function.
        if (PyErr_WarnEx(PyExc_RuntimeWarning, "linear_sum_assignment: the total could not be proved", 3) < 0)
            throw py::error_already_set();
    }

    py::object converted_;
};

// assign_top_k(cost, k, maximize, row_lengths, col_lengths, threads) returns the columns of the rows of each problem in
// each of its k matchings, the totals, the statuses, and the first value that is not a cost.
struct RankingArguments {
    static constexpr const char* kName = "assign_top_k";
    static constexpr Py_ssize_t kCount = 6;

    bool read(PyObject* const* given, bool) {
        return costs.read(given[0], given[3], given[4]) && read_integer(given[1], k) && k >= 1 &&
               read_flag(given[2], options.maximize) && threads.read(given[5]);
    }
    bool is_float32() const { return costs.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const Ragged& batch = costs.batch();
        const bool is_list = costs.form() == Form::list;
        const auto room = [&](std::int64_t p) { return is_list ? batch.rows_of(p) : batch.rows; };
        std::int64_t rows = 0;
        for (std::int64_t p = 0; p < batch.count; ++p) rows += room(p);
        py::array_t<std::int64_t> col_of_row(k * rows);
        py::array_t<double> total({static_cast<py::ssize_t>(batch.count), static_cast<py::ssize_t>(k)});
        std::fill_n(col_of_row.mutable_data(), col_of_row.size(), -1);
        std::fill_n(total.mutable_data(), total.size(),
                    std::numeric_limits<double>::infinity() * (options.maximize ? -1 : 1));
        std::vector<Ranking> results;
        results.reserve(static_cast<std::size_t>(batch.count));
        for (std::int64_t p = 0, at = 0; p < batch.count; at += k * room(p++))
            results.push_back({col_of_row.mutable_data() + at, room(p), total.mutable_data() + p * k, {}});
        const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        options.threads = threads.for_work(batch.elements() * static_cast<double>(k), per_thread);
        const Kernels<double>& kernels = kernels_for<double>(forced.isa);
        const Run run = watch(
            py::none(), [&](Pulse& pulse) { return rank<T>(kernels, batch, k, options, per_thread, pulse, results); });
        forced.note(name(kernels.isa), run.workers);
        py::array_t<std::int32_t> status(batch.count);
        for (std::size_t p = 0; p < results.size(); ++p)
            status.mutable_data()[p] = static_cast<std::int32_t>(results[p].outcome.status);
        return py::make_tuple(col_of_row, total, status, first_bad(results)).release().ptr();
    }

    PlainBatch costs{kCosts};
    std::int64_t k = 0;
    Options options;
    ThreadLimit threads;
};

// assignment_gap(cost, maximize, max_cost, row_lengths, col_lengths, col_of_row, row_dual, col_dual, total) returns an
// upper bound of each problem's distance from its optimum, and the first thing that is wrong with the costs: (problem,
// status, row, column). The parts of a result come as one array each, in float64.
struct GapArguments {
    static constexpr const char* kName = "assignment_gap";
    static constexpr Py_ssize_t kCount = 9;

    bool read(PyObject* const* given, bool) {
        std::optional<double> limit;
        if (!sparse.emplace().read(given[0])) sparse.reset();
        if (!(sparse || costs.read(given[0], given[3], given[4])) || !read_flag(given[1], options.maximize) ||
            !read_number(given[2], limit))
            return false;
        options.has_limit = limit.has_value();
        options.limit = limit.value_or(0);
        for (int part = 0; part < kParts; ++part)
            if (!parts[part].read(given[5 + part]) || parts[part].axes() != 1 || !parts[part].is_contiguous() ||
                !(part == 0 ? parts[part].is_int64() : parts[part].is_float64()))
                return false;
        return true;
    }
    bool is_float32() const { return sparse ? sparse->is_float32() : costs.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) const {
        const Ragged& shapes = sparse ? sparse->shapes() : costs.batch();
        const bool is_padded = !sparse && costs.form() == Form::padded;
        const auto [col_of_row, row_dual, col_dual, total] = parts;
        std::vector<Claim> claims;
        claims.reserve(static_cast<std::size_t>(shapes.count));
        std::int64_t rows = 0, columns = 0;
        for (std::int64_t p = 0; p < shapes.count; ++p) {
            const std::int64_t row = rows, column = columns;
            rows += is_padded ? shapes.rows : shapes.rows_of(p);
            columns += is_padded ? shapes.columns : shapes.columns_of(p);
            require(rows <= col_of_row.length(0) && rows <= row_dual.length(0) && columns <= col_dual.length(0) &&
                        p < total.length(0),
                    "gap: parts of the costs' shape");
            claims.push_back({col_of_row.data<std::int64_t>() + row, row_dual.data<double>() + row,
                              col_dual.data<double>() + column, total.data<double>()[p]});
        }
        const double work = sparse ? sparse->work() : shapes.elements();
        const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        Options used = options;
        used.threads = ThreadLimit().for_work(work, per_thread);
        py::array_t<double> gaps(shapes.count);
        double* const out = gaps.mutable_data();
        std::vector<Outcome> outcomes;
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            return sparse ? find_gaps<T>(sparse->problems(), claims, used, per_thread, pulse, out, outcomes)
                          : find_gaps<T>(shapes, claims, used, per_thread, pulse, out, outcomes);
        });
        forced.note("scalar", run.workers);
        py::object bad = py::none();
        for (std::size_t p = 0; p < outcomes.size() && bad.is_none(); ++p)
            if (const Outcome& outcome = outcomes[p]; outcome.status != Status::ok)
                bad = py::make_tuple(p, static_cast<int>(outcome.status), outcome.row, outcome.column);
        return py::make_tuple(gaps, bad).release().ptr();
    }

    static constexpr int kParts = 4;
    PlainBatch costs{kCosts};
    std::optional<SparseBatch> sparse;
    Options options;
    PlainArray parts[kParts];
};

}  // namespace

void bind_assignment(py::module_& module) {
    module.attr("assignment_work_per_thread") = kWorkPerThread;
    make_result_class(module, kAssignment);
    make_result_class(module, kRanked);
    add_function<front_door<AssignArguments>>(
        module, AssignArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
    add_function<front_door<PairsArguments>>(module, PairsArguments::kName,
                                             "The public function's arguments, in order.");
    add_function<inner_door<RankingArguments>>(module, RankingArguments::kName,
                                               "The public function's arguments, in order and prepared.");
    add_function<inner_door<GapArguments>>(module, GapArguments::kName, "Upper bounds of a result's distance.");
}

}  // namespace coalign::bindings
