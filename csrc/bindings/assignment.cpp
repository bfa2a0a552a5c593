#include "assignment/assignment.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assignment/ranking.hpp"
#include "assignment/sparse.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "core/buffer.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::assignment;

using Indices = py::array_t<std::int64_t, py::array::c_style>;

// The public class, which Python has handed over; it lives as long as the process.
PyTypeObject* result_class = nullptr;
constexpr const char* kGeneral = "coalign._assignment";

enum AssignmentField { kColOfRow, kRowOfCol, kTotal, kRowDual, kColDual, kStatus, kMaximize, kMaxCost };

constexpr Schema kAssignment{
    "AssignmentFields",
    "The fields of `coalign.Assignment`.",
    8,
    {{{"col_of_row", Per::row, Element::int64, "The column of each row, -1 for none."},
      {"row_of_col", Per::column, Element::int64, "The row of each column, -1 for none."},
      {"total", Per::problem, Element::float64, "Sum of the costs of the pairs."},
      {"row_dual", Per::row, Element::computed, "The duals u."},
      {"col_dual", Per::column, Element::computed, "The duals v."},
      {"status", Per::problem, Element::int32, "A `Status` for each problem."},
      {"maximize", Per::option, Element::int32, "Whether the greatest total was asked for."},
      {"max_cost", Per::option, Element::int32, "What a pair had to cost less than, or None."}}}};

// Made by Python code alone.
constexpr Schema kRanked{
    "RankedFields",
    "The fields of `coalign.RankedAssignments`.",
    3,
    {{{"col_of_row", Per::option, Element::int64, "The column of each row in each matching, -1 for none."},
      {"total", Per::option, Element::float64, "Sums of the costs of the pairs, best first."},
      {"maximize", Per::option, Element::int32, "Whether the greatest totals were asked for."}}}};

// Calls of less stay under the GIL: 64 x 64 costs take some 20 us.
constexpr double kSmallWork = 4096;

// Matrices as plain callers give them: (N, M), (B, N, M) with or without lengths, or a list of (N, M).
class Matrices {
   public:
    // False where anything needs words or a conversion.
    bool read(PyObject* cost, PyObject* row_lengths, PyObject* col_lengths) {
        if (PyList_CheckExact(cost) || PyTuple_CheckExact(cost)) {
            form_ = Form::list;
            // A tuple of our own: another thread may change the list while the GIL is released.
            items_ = py::reinterpret_steal<py::tuple>(PySequence_Tuple(cost));
            if (!items_) throw py::error_already_set();
            arrays_.resize(items_.size());
            for (std::size_t p = 0; p < arrays_.size(); ++p)
                if (!read_one(arrays_[p], items_[p].ptr(), 2)) return false;
            return !arrays_.empty() && row_lengths == Py_None && col_lengths == Py_None;
        }
        arrays_.resize(1);
        PlainArray& array = arrays_.front();
        if (!array.read(cost)) return false;
        if (array.axes() == 2) return read_one(array, cost, 2) && row_lengths == Py_None && col_lengths == Py_None;
        form_ = Form::padded;
        return read_one(array, cost, 3) && read_lengths(row_lengths, array.length(0), 0, array.length(1), rows_) &&
               read_lengths(col_lengths, array.length(0), 0, array.length(2), columns_);
    }

    bool is_float32() const { return arrays_.front().is_float32(); }
    Form form() const { return form_; }

    template <class T>
    std::vector<Costs<T>> costs() const {
        std::vector<Costs<T>> out;
        if (form_ == Form::padded) {
            const PlainArray& array = arrays_.front();
            out.reserve(static_cast<std::size_t>(array.length(0)));
            for (std::int64_t p = 0; p < array.length(0); ++p)
                out.push_back({array.data<T>() + p * array.stride(0), rows_ != nullptr ? rows_[p] : array.length(1),
                               columns_ != nullptr ? columns_[p] : array.length(2), array.stride(1),
                               unit_or(array, 2)});
            return out;
        }
        out.reserve(arrays_.size());
        for (const PlainArray& array : arrays_)
            out.push_back({array.data<T>(), array.length(0), array.length(1), array.stride(0), unit_or(array, 1)});
        return out;
    }

    // The room of a padded batch, or of one problem.
    std::int64_t row_room() const { return arrays_.front().length(form_ == Form::padded ? 1 : 0); }
    std::int64_t column_room() const { return arrays_.front().length(form_ == Form::padded ? 2 : 1); }

   private:
    bool read_one(PlainArray& array, PyObject* object, int axes) {
        if (!array.read(object) || array.axes() != axes || array.is_int64()) return false;
        if (array.is_float32() != arrays_.front().is_float32()) return false;
        return array.length(axes - 2) <= kMostColumns && array.length(axes - 1) <= kMostColumns;
    }
    // One column has no stride of its own: it is read as a row's only element.
    static std::int64_t unit_or(const PlainArray& array, int axis) {
        return array.length(axis) > 1 ? array.stride(axis) : 1;
    }

    Form form_ = Form::one;
    py::tuple items_;
    std::vector<PlainArray> arrays_;
    const std::int64_t *rows_ = nullptr, *columns_ = nullptr;
};

// A result that is being filled, and where each problem's part of it lies.
template <class T>
class Answer {
   public:
    // `problems` have .rows and .columns; `rows` and `columns` are the room of one problem, or of a padded batch's.
    // `start` is None, or the prices of all columns and the columns of all rows that a warm start begins with.
    template <class Problems>
    Answer(const Problems& problems, Form form, std::int64_t rows, std::int64_t columns, const py::object& start)
        : object_(result_class, kAssignment, counts(problems, form, rows, columns),
                  sizeof(T) == sizeof(float) ? Element::float32 : Element::float64) {
        auto* col_of_row = object_.template data<std::int64_t>(kColOfRow);
        auto* row_of_col = object_.template data<std::int64_t>(kRowOfCol);
        auto* row_dual = object_.template data<T>(kRowDual);
        auto* col_dual = object_.template data<T>(kColDual);
        auto* total = object_.template data<double>(kTotal);
        if (!start.is_none()) {
            const auto [prices, pairs] = start.cast<std::pair<py::array_t<T, py::array::c_style>, Indices>>();
            require(prices.ndim() == 1 && prices.shape(0) == object_.size(kColDual), "start: a price per column");
            require(pairs.ndim() == 1 && pairs.shape(0) == object_.size(kColOfRow), "start: a column per row");
            std::copy_n(prices.data(), prices.shape(0), col_dual);
            std::copy_n(pairs.data(), pairs.shape(0), col_of_row);
        }
        results.reserve(problems.size());
        for (const auto& problem : problems) {
            results.push_back({col_of_row, row_of_col, row_dual, col_dual, total++, {}});
            const std::int64_t row_room = form == Form::padded ? rows : problem.rows;
            const std::int64_t column_room = form == Form::padded ? columns : problem.columns;
            // A padded batch may have room that its problem does not fill.
            std::fill(col_of_row + problem.rows, col_of_row + row_room, -1);
            std::fill(row_of_col + problem.columns, row_of_col + column_room, -1);
            std::fill(row_dual + problem.rows, row_dual + row_room, T(0));
            std::fill(col_dual + problem.columns, col_dual + column_room, T(0));
            col_of_row += row_room;
            row_dual += row_room;
            row_of_col += column_room;
            col_dual += column_room;
        }
    }

    // The first value that is no cost: problem, row, column; or None.
    py::object bad() const {
        for (std::size_t p = 0; p < results.size(); ++p) {
            const Outcome& outcome = results[p].outcome;
            if (outcome.status == Status::nan || outcome.status == Status::invalid)
                return py::make_tuple(p, outcome.row, outcome.column);
        }
        return py::none();
    }

    bool is_solved() const {
        return std::all_of(results.begin(), results.end(),
                           [](const auto& result) { return result.outcome.status == Status::ok; });
    }

    py::object finish(const Options& options) {
        auto* status = object_.template data<std::int32_t>(kStatus);
        for (const auto& result : results) *status++ = static_cast<std::int32_t>(result.outcome.status);
        object_.set(kMaximize, py::bool_(options.maximize));
        object_.set(kMaxCost, options.has_limit ? py::object(py::float_(options.limit)) : py::object(py::none()));
        return object_.release();
    }

    std::vector<assignment::Result<T>> results;

   private:
    template <class Problems>
    Counts counts(const Problems& problems, Form form, std::int64_t rows, std::int64_t columns) {
        Counts out;
        out.form = form;
        out.problems = static_cast<std::int64_t>(problems.size());
        out.rows = rows;
        out.columns = columns;
        if (form != Form::list) return out;
        for (const auto& problem : problems) {
            rows_.push_back(problem.rows);
            columns_.push_back(problem.columns);
        }
        out.each_rows = &rows_;
        out.each_columns = &columns_;
        return out;
    }

    std::vector<std::int64_t> rows_, columns_;
    bindings::Result object_;
};

template <class T>
double work_of(const std::vector<Costs<T>>& problems) {
    double work = 0;
    for (const Costs<T>& costs : problems) work += static_cast<double>(costs.rows) * static_cast<double>(costs.columns);
    return work;
}

// The thread limit of prepared arguments.
ThreadLimit prepared_threads(const py::object& threads) {
    ThreadLimit limit;
    require(limit.read(threads.ptr()), "threads: expected None or a number");
    return limit;
}

// Solves problems into results: the one native entry of dense costs.
template <class T>
Scans solve(const std::vector<Costs<T>>& problems, Options options, const Forced& forced, const ThreadLimit& threads,
            std::vector<assignment::Result<T>>& results) {
    const double work = work_of(problems), per_thread = forced.work_per_thread.value_or(kWorkPerThread);
    options.threads = threads.for_work(work, per_thread);
    Scans scans;
    const Kernels<T>& kernels = kernels_for<T>(forced.isa);
    const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
        return assign<T>(kernels, problems, options, per_thread, pulse, results, scans);
    });
    forced.note(name(kernels.isa), run.workers);
    return scans;
}

// The arguments of `assign`, in the order of the public function. Prepared ones come from the general way: they are all
// plain, and may hold a warm start.
struct AssignArguments {
    static constexpr Py_ssize_t kCount = 8;
    bool read(PyObject* const* given, bool prepared) {
        std::optional<double> limit;
        if (!matrices.read(given[0], given[3], given[4]) || !read_flag(given[1], options.maximize) ||
            !read_number(given[2], limit) || !threads.read(given[6]))
            return false;
        if (given[7] != Py_None && !is_text(given[7], "cpu")) return false;
        if (given[5] != Py_None && !prepared) return false;
        start = py::reinterpret_borrow<py::object>(given[5]);
        options.warm = !start.is_none();
        options.has_limit = limit.has_value();
        options.limit = limit.value_or(0);
        // As many pairs as there can be: several calls, which the general way makes.
        return !std::isinf(options.limit);
    }

    Matrices matrices;
    Options options;
    ThreadLimit threads;
    py::object start;
};

template <class T>
PyObject* assign_as(const AssignArguments& given, const Forced& forced, bool prepared) {
    const std::vector<Costs<T>> problems = given.matrices.costs<T>();
    Answer<T> answer(problems, given.matrices.form(), given.matrices.row_room(), given.matrices.column_room(),
                     given.start);
    const Scans scans = solve<T>(problems, given.options, forced, given.threads, answer.results);
    if (prepared)
        return py::make_tuple(answer.finish(given.options), answer.bad(), py::make_tuple(scans.bids, scans.paths))
            .release()
            .ptr();
    return answer.is_solved() ? answer.finish(given.options).release().ptr() : nullptr;
}

// assign(cost, maximize, max_cost, row_lengths, col_lengths, warm_start, threads, device): the result. With one
// argument more they are prepared, and with the result come the first bad value, and how many rows were gone through
// for bids and for paths. What is not plain, or has no solution, goes the general way.
PyObject* assign_front(PyObject* const* arguments, Py_ssize_t count) {
    const bool prepared = count == AssignArguments::kCount + 1;
    require(prepared || count == AssignArguments::kCount, "assign: eight arguments, or nine");
    const Forced forced;
    AssignArguments given;
    if (prepared || !forced.general) {
        const bool plain = given.read(arguments, prepared);
        require(plain || !prepared, "assign: expected prepared arguments");
        if (plain) {
            const auto run = given.matrices.is_float32() ? assign_as<float> : assign_as<double>;
            if (PyObject* const result = run(given, forced, prepared)) return result;
        }
    }
    return call_general(kGeneral, "assign", arguments, AssignArguments::kCount);
}

template <class T>
PyObject* pairs_as(const Matrices& matrices, bool maximize, const Forced& forced) {
    const std::vector<Costs<T>> problems = matrices.costs<T>();
    const std::int64_t n = problems[0].rows, m = problems[0].columns, size = std::min(n, m);
    Buffer<std::int64_t> indices;
    Buffer<T> duals;
    std::int64_t* const col_of_row = indices.reserve(n + m);
    T* const row_dual = duals.reserve(n + m);
    double total = 0;
    std::vector<assignment::Result<T>> results{{col_of_row, col_of_row + n, row_dual, row_dual + n, &total, {}}};
    ThreadLimit one;
    Options options;
    options.maximize = maximize;
    solve<T>(problems, options, forced, one, results);
    if (results[0].outcome.status != Status::ok) return nullptr;
    py::array_t<std::int64_t> rows(size), columns(size);
    std::int64_t *row = rows.mutable_data(), *column = columns.mutable_data();
    for (std::int64_t i = 0; i < n; ++i) {
        if (col_of_row[i] < 0) continue;
        *row++ = i;
        *column++ = col_of_row[i];
    }
    return PyTuple_Pack(2, rows.ptr(), columns.ptr());
}

// linear_sum_assignment(cost_matrix, maximize): SciPy's pair of arrays.
PyObject* linear_sum_assignment_front(PyObject* const* arguments, Py_ssize_t count) {
    require(count == 2, "linear_sum_assignment: two arguments");
    const Forced forced;
    Matrices matrices;
    bool maximize = false;
    if (!forced.general && PyObject_TypeCheck(arguments[0], py::detail::npy_api::get().PyArray_Type_) &&
        matrices.read(arguments[0], Py_None, Py_None) && matrices.form() == Form::one &&
        read_flag(arguments[1], maximize)) {
        const auto run = matrices.is_float32() ? pairs_as<float> : pairs_as<double>;
        if (PyObject* const result = run(matrices, maximize, forced)) return result;
    }
    return call_general(kGeneral, "linear_sum_assignment", arguments, 2);
}

// Starts that never fall and stay within the entries, and indices within the lines.
template <class I>
bool is_sound(const py::array& starts, const py::array& indices, std::int64_t count) {
    const auto* at = static_cast<const I*>(starts.data());
    const auto* index = static_cast<const I*>(indices.data());
    bool sound = at[0] == 0;
    for (py::ssize_t line = 1; line < starts.shape(0); ++line) sound &= at[line - 1] <= at[line];
    const I entries = at[starts.shape(0) - 1];
    if (!sound || entries > indices.shape(0)) return false;
    for (I e = 0; e < entries; ++e) sound &= index[e] >= 0 && index[e] < count;
    return sound;
}

// (starts, indices, values, rows, columns, whether the lines are columns)
template <class T>
SparseCosts<T> parse_sparse(const py::tuple& item) {
    require(item.size() == 6, "cost: six parts");
    const auto starts = item[0].cast<py::array>(), indices = item[1].cast<py::array>();
    const auto values = item[2].cast<py::array>();
    const auto rows = item[3].cast<std::int64_t>(), columns = item[4].cast<std::int64_t>();
    const bool by_columns = item[5].cast<bool>();
    const std::int64_t lines = by_columns ? columns : rows, count = by_columns ? rows : columns;
    const bool wide = starts.dtype().equal(py::dtype::of<std::int64_t>());
    const py::dtype dtype = wide ? py::dtype::of<std::int64_t>() : py::dtype::of<std::int32_t>();
    for (const py::array* part : {&starts, &indices, &values})
        require(part->ndim() == 1 && (part->flags() & py::array::c_style) != 0, "cost: contiguous parts");
    require(starts.dtype().equal(dtype) && indices.dtype().equal(dtype), "cost: indices of one dtype");
    require(values.dtype().equal(py::dtype::of<T>()), "cost: of the dtype");
    require(rows >= 0 && columns >= 0 && std::max(rows, columns) <= kMostColumns && starts.shape(0) == lines + 1 &&
                indices.shape(0) == values.shape(0),
            "cost: lengths out of range");
    require(wide ? is_sound<std::int64_t>(starts, indices, count) : is_sound<std::int32_t>(starts, indices, count),
            "cost: expected sound indices, got some out of range");
    const std::int64_t entries = wide ? static_cast<const std::int64_t*>(starts.data())[lines]
                                      : static_cast<const std::int32_t*>(starts.data())[lines];
    return {starts.data(), indices.data(), wide,       static_cast<const T*>(values.data()),
            rows,          columns,        by_columns, entries};
}

template <class T>
py::tuple solve_sparse(const py::list& cost, bool is_batch, Options options, const py::object& start,
                       const py::object& threads) {
    std::vector<SparseCosts<T>> problems;
    double work = 0;
    for (const py::handle item : cost) {
        problems.push_back(parse_sparse<T>(item.cast<py::tuple>()));
        work += static_cast<double>(problems.back().entries);
    }
    require(is_batch || problems.size() == 1, "cost: one matrix");
    const Forced forced;
    const std::int64_t rows = is_batch ? 0 : problems[0].rows, columns = is_batch ? 0 : problems[0].columns;
    Answer<T> answer(problems, is_batch ? Form::list : Form::one, rows, columns, start);
    const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
    options.threads = prepared_threads(threads).for_work(work, per_thread);
    Scans scans;
    const Run run = watch(py::none(), [&](Pulse& pulse) {
        return assign_sparse<T>(problems, options, per_thread, pulse, answer.results, scans);
    });
    forced.note("scalar", run.workers);
    return py::make_tuple(answer.finish(options), answer.bad());
}

// Columns of problem p lie as in an Answer, k rows of them.
template <class T>
py::tuple solve_top_k(const Matrices& matrices, std::int64_t k, Options options, const ThreadLimit& threads) {
    const std::vector<Costs<T>> problems = matrices.costs<T>();
    const std::int64_t room = matrices.form() == Form::list ? -1 : matrices.row_room();
    std::int64_t row_total = 0;
    for (const Costs<T>& problem : problems) row_total += room >= 0 ? room : problem.rows;
    Indices col_of_row(k * row_total);
    py::array_t<double> total({static_cast<py::ssize_t>(problems.size()), static_cast<py::ssize_t>(k)});
    std::fill_n(col_of_row.mutable_data(), col_of_row.size(), -1);
    std::fill_n(total.mutable_data(), total.size(),
                std::numeric_limits<double>::infinity() * (options.maximize ? -1 : 1));
    std::vector<Ranking> results;
    results.reserve(problems.size());
    std::int64_t at = 0;
    for (std::size_t p = 0; p < problems.size(); ++p) {
        const std::int64_t width = room >= 0 ? room : problems[p].rows;
        results.push_back(
            {col_of_row.mutable_data() + at, width, total.mutable_data() + static_cast<std::int64_t>(p) * k, {}});
        at += k * width;
    }
    const Forced forced;
    const double per_thread = forced.work_per_thread.value_or(kWorkPerThread);
    options.threads = threads.for_work(work_of(problems) * static_cast<double>(k), per_thread);
    const Kernels<double>& kernels = kernels_for<double>(forced.isa);
    const Run run = watch(
        py::none(), [&](Pulse& pulse) { return rank<T>(kernels, problems, k, options, per_thread, pulse, results); });
    forced.note(name(kernels.isa), run.workers);
    py::object bad = py::none();
    for (std::size_t p = 0; p < results.size() && bad.is_none(); ++p)
        if (results[p].outcome.status != Status::ok)
            bad = py::make_tuple(p, results[p].outcome.row, results[p].outcome.column);
    return py::make_tuple(col_of_row, total, bad);
}

}  // namespace

void bind_assignment(py::module_& module) {
    module.attr("assignment_work_per_thread") = kWorkPerThread;
    static PyMethodDef functions[] = {
        {"assign", as_function<assign_front>(), METH_FASTCALL,
         "The public function's arguments, in order; one more says that they are prepared."},
        {"linear_sum_assignment", as_function<linear_sum_assignment_front>(), METH_FASTCALL,
         "The public function's arguments, in order."},
        {nullptr, nullptr, 0, nullptr}};
    if (PyModule_AddFunctions(module.ptr(), functions) < 0) throw py::error_already_set();
    make_result_class(module, kAssignment);
    make_result_class(module, kRanked);
    module.def(
        "connect_assignment",
        [](const py::type& result) { result_class = reinterpret_cast<PyTypeObject*>(result.inc_ref().ptr()); },
        py::arg("result"), "Hands over the public result class.");
    module.def(
        "assign_sparse",
        [](const py::list& cost, bool is_batch, bool is_float32, bool maximize, std::optional<double> limit,
           const py::object& start, const py::object& threads) {
            const Options options{maximize, limit.has_value(), limit.value_or(0), 1, !start.is_none()};
            return (is_float32 ? solve_sparse<float> : solve_sparse<double>)(cost, is_batch, options, start, threads);
        },
        py::kw_only(), py::arg("cost"), py::arg("is_batch"), py::arg("is_float32"), py::arg("maximize"),
        py::arg("limit"), py::arg("start"), py::arg("threads"),
        "The result for compressed matrices (starts, indices, values, rows, columns, whether by columns), and the "
        "first "
        "bad value.");
    module.def(
        "assign_top_k",
        [](const py::object& cost, const py::object& row_lengths, const py::object& col_lengths, std::int64_t k,
           bool maximize, const py::object& threads) {
            require(k >= 1, "k: at least 1");
            Matrices matrices;
            require(matrices.read(cost.ptr(), row_lengths.ptr(), col_lengths.ptr()), "cost: expected prepared costs");
            const Options options{maximize, false, 0, 1, false};
            return (matrices.is_float32() ? solve_top_k<float> : solve_top_k<double>)(matrices, k, options,
                                                                                      prepared_threads(threads));
        },
        py::kw_only(), py::arg("cost"), py::arg("row_lengths"), py::arg("col_lengths"), py::arg("k"),
        py::arg("maximize"), py::arg("threads"),
        "Columns of rows and totals of the k best matchings, and the first bad value.");
}

}  // namespace coalign::bindings
