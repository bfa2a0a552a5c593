#include "assignment/assignment.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assignment/ranking.hpp"
#include "assignment/sparse.hpp"
#include "bindings/bindings.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::assignment;

using Indices = py::array_t<std::int64_t, py::array::c_style>;

// Whether an array's elements can be read where they lie.
template <class T>
void require_elements(const py::array& array) {
    const auto size = static_cast<py::ssize_t>(sizeof(T));
    require(array.dtype().equal(py::dtype::of<T>()) && reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0,
            "cost: of the dtype, and aligned");
    for (py::ssize_t a = 0; a < array.ndim(); ++a)
        require(array.shape(a) <= 1 || array.strides(a) % size == 0, "cost: strides of whole elements");
}

void require_size(std::int64_t size, py::ssize_t room) {
    require(size >= 0 && size <= room && size <= kMostColumns, "cost: a length out of range");
}

// A (B, N, M) array cut to lengths, or a list of (N, M) arrays.
template <class T>
std::vector<Costs<T>> parse_batch(const py::object& cost, const std::optional<Indices>& rows,
                                  const std::optional<Indices>& columns) {
    std::vector<Costs<T>> out;
    const auto size = static_cast<py::ssize_t>(sizeof(T));
    if (py::isinstance<py::array>(cost)) {
        const auto array = cost.cast<py::array>();
        require(array.ndim() == 3, "cost: a (B, N, M) array");
        require_elements<T>(array);
        for (const auto* lengths : {&rows, &columns})
            require(!lengths->has_value() || ((*lengths)->ndim() == 1 && (*lengths)->shape(0) == array.shape(0)),
                    "lengths: one per problem");
        out.reserve(static_cast<std::size_t>(array.shape(0)));
        const auto* base = static_cast<const char*>(array.data());
        const py::ssize_t next = array.strides(0), row_stride = array.strides(1) / size,
                          column_stride = array.strides(2) / size;
        for (py::ssize_t p = 0; p < array.shape(0); ++p) {
            const std::int64_t n = rows ? rows->data()[p] : array.shape(1);
            const std::int64_t m = columns ? columns->data()[p] : array.shape(2);
            require_size(n, array.shape(1));
            require_size(m, array.shape(2));
            out.push_back({reinterpret_cast<const T*>(base + p * next), n, m, row_stride, column_stride});
        }
        return out;
    }
    for (const py::handle item : cost.cast<py::list>()) {
        const auto array = item.cast<py::array>();
        require(array.ndim() == 2, "cost: (N, M) arrays");
        require_elements<T>(array);
        for (const py::ssize_t axis : {0, 1}) require_size(array.shape(axis), array.shape(axis));
        out.push_back({static_cast<const T*>(array.data()), array.shape(0), array.shape(1), array.strides(0) / size,
                       array.strides(1) / size});
    }
    return out;
}

// Results side by side: problem p of a batch array has its room in row p, that of a list follows the one before.
template <class T>
class Output {
   public:
    Output(std::int64_t rows, std::int64_t columns, std::size_t problems, const py::object& start)
        : col_of_row_(rows),
          row_of_col_(columns),
          row_dual_(rows),
          col_dual_(columns),
          total_(static_cast<py::ssize_t>(problems)),
          status_(static_cast<py::ssize_t>(problems)) {
        results.reserve(problems);
        if (start.is_none()) return;
        const auto [prices, pairs] = start.cast<std::pair<py::array_t<T, py::array::c_style>, Indices>>();
        require(prices.ndim() == 1 && prices.shape(0) == columns, "start: a price per column");
        require(pairs.ndim() == 1 && pairs.shape(0) == rows, "start: a column per row");
        std::copy_n(prices.data(), columns, col_dual_.mutable_data());
        std::copy_n(pairs.data(), rows, col_of_row_.mutable_data());
    }

    // The next problem, in room for more rows and columns than it has: those have no pairs.
    void add(std::int64_t rows, std::int64_t columns, std::int64_t row_room, std::int64_t column_room) {
        const Result<T> result{col_of_row_.mutable_data() + row_at_,   row_of_col_.mutable_data() + column_at_,
                               row_dual_.mutable_data() + row_at_,     col_dual_.mutable_data() + column_at_,
                               total_.mutable_data() + results.size(), {}};
        std::fill_n(result.col_of_row + rows, row_room - rows, -1);
        std::fill_n(result.row_of_col + columns, column_room - columns, -1);
        std::fill_n(result.row_dual + rows, row_room - rows, T(0));
        std::fill_n(result.col_dual + columns, column_room - columns, T(0));
        results.push_back(result);
        row_at_ += row_room;
        column_at_ += column_room;
    }

    py::tuple tuple(std::string_view isa, const Run& run, const Scans& scans) {
        py::object bad = py::none();
        for (std::size_t p = 0; p < results.size(); ++p) {
            const Outcome& outcome = results[p].outcome;
            status_.mutable_data()[p] = static_cast<std::int32_t>(outcome.status);
            if (bad.is_none() && (outcome.status == Status::nan || outcome.status == Status::invalid))
                bad = py::make_tuple(p, outcome.row, outcome.column);
        }
        return py::make_tuple(col_of_row_, row_of_col_, row_dual_, col_dual_, total_, status_, bad,
                              py::make_tuple(std::string(isa), run.workers), py::make_tuple(scans.bids, scans.paths));
    }

    std::vector<Result<T>> results;

   private:
    Indices col_of_row_, row_of_col_;
    py::array_t<T> row_dual_, col_dual_;
    py::array_t<double> total_;
    py::array_t<std::int32_t> status_;
    std::int64_t row_at_ = 0, column_at_ = 0;
};

template <class T>
py::tuple solve(const py::object& cost, const std::optional<Indices>& rows, const std::optional<Indices>& columns,
                const Options& options, const py::object& start, const std::string& isa, double work_per_thread) {
    const std::vector<Costs<T>> problems = parse_batch<T>(cost, rows, columns);
    std::int64_t row_room = -1, column_room = -1, row_total = 0, column_total = 0;
    if (py::isinstance<py::array>(cost)) {
        const auto array = cost.cast<py::array>();
        row_room = array.shape(1);
        column_room = array.shape(2);
        row_total = array.shape(0) * row_room;
        column_total = array.shape(0) * column_room;
    } else {
        for (const Costs<T>& problem : problems) {
            row_total += problem.rows;
            column_total += problem.columns;
        }
    }
    Output<T> output(row_total, column_total, problems.size(), start);
    for (const Costs<T>& problem : problems)
        output.add(problem.rows, problem.columns, row_room >= 0 ? row_room : problem.rows,
                   column_room >= 0 ? column_room : problem.columns);
    Scans scans;
    const Kernels<T>& kernels = kernels_for<T>(choose_isa(isa));
    const Run run = watch(py::none(), [&](Pulse& pulse) {
        return assign<T>(kernels, problems, options, work_per_thread, pulse, output.results, scans);
    });
    return output.tuple(name(kernels.isa), run, scans);
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
py::tuple solve_sparse(const py::list& cost, const Options& options, const py::object& start, double work_per_thread) {
    std::vector<SparseCosts<T>> problems;
    std::int64_t rows = 0, columns = 0;
    for (const py::handle item : cost) {
        problems.push_back(parse_sparse<T>(item.cast<py::tuple>()));
        rows += problems.back().rows;
        columns += problems.back().columns;
    }
    Output<T> output(rows, columns, problems.size(), start);
    for (const SparseCosts<T>& problem : problems)
        output.add(problem.rows, problem.columns, problem.rows, problem.columns);
    Scans scans;
    const Run run = watch(py::none(), [&](Pulse& pulse) {
        return assign_sparse<T>(problems, options, work_per_thread, pulse, output.results, scans);
    });
    return output.tuple("scalar", run, scans);
}

// Columns of problem p lie as in solve(), k rows of them.
template <class T>
py::tuple solve_top_k(const py::object& cost, const std::optional<Indices>& rows, const std::optional<Indices>& columns,
                      std::int64_t k, const Options& options, const std::string& isa, double work_per_thread) {
    const std::vector<Costs<T>> problems = parse_batch<T>(cost, rows, columns);
    const std::int64_t room = py::isinstance<py::array>(cost) ? cost.cast<py::array>().shape(1) : -1;
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
    const Kernels<double>& kernels = kernels_for<double>(choose_isa(isa));
    const Run run = watch(py::none(), [&](Pulse& pulse) {
        return rank<T>(kernels, problems, k, options, work_per_thread, pulse, results);
    });
    py::object bad = py::none();
    for (std::size_t p = 0; p < results.size() && bad.is_none(); ++p)
        if (results[p].outcome.status != Status::ok)
            bad = py::make_tuple(p, results[p].outcome.row, results[p].outcome.column);
    return py::make_tuple(col_of_row, total, bad, py::make_tuple(std::string(name(kernels.isa)), run.workers));
}

}  // namespace

void bind_assignment(py::module_& module) {
    module.attr("assignment_work_per_thread") = kWorkPerThread;
    module.def(
        "assign",
        [](const std::string& dtype, const py::object& cost, const std::optional<Indices>& row_lengths,
           const std::optional<Indices>& col_lengths, bool maximize, std::optional<double> limit,
           const py::object& start, int threads, const std::string& isa, double work_per_thread) {
            require(dtype == "float32" || dtype == "float64", "dtype: float32 or float64");
            const Options options{maximize, limit.has_value(), limit.value_or(0), threads, !start.is_none()};
            const auto run = [&]<class T>(T) {
                return solve<T>(cost, row_lengths, col_lengths, options, start, isa, work_per_thread);
            };
            return dtype == "float32" ? run(0.0F) : run(0.0);
        },
        py::kw_only(), py::arg("dtype"), py::arg("cost"), py::arg("row_lengths"), py::arg("col_lengths"),
        py::arg("maximize"), py::arg("limit"), py::arg("start"), py::arg("threads"), py::arg("isa"),
        py::arg("work_per_thread"),
        "Columns of rows, rows of columns, duals, totals and statuses of a batch; the first bad value; what was used: "
        "instruction set and workers; and how many rows were gone through, for bids and for paths.");
    module.def(
        "assign_sparse",
        [](const std::string& dtype, const py::list& cost, bool maximize, std::optional<double> limit,
           const py::object& start, int threads, double work_per_thread) {
            require(dtype == "float32" || dtype == "float64", "dtype: float32 or float64");
            const Options options{maximize, limit.has_value(), limit.value_or(0), threads, !start.is_none()};
            return dtype == "float32" ? solve_sparse<float>(cost, options, start, work_per_thread)
                                      : solve_sparse<double>(cost, options, start, work_per_thread);
        },
        py::kw_only(), py::arg("dtype"), py::arg("cost"), py::arg("maximize"), py::arg("limit"), py::arg("start"),
        py::arg("threads"), py::arg("work_per_thread"),
        "The same of a list of compressed matrices: (starts, indices, values, rows, columns, whether by columns).");
    module.def(
        "assign_top_k",
        [](const std::string& dtype, const py::object& cost, const std::optional<Indices>& row_lengths,
           const std::optional<Indices>& col_lengths, std::int64_t k, bool maximize, int threads,
           const std::string& isa, double work_per_thread) {
            require(dtype == "float32" || dtype == "float64", "dtype: float32 or float64");
            require(k >= 1, "k: at least 1");
            const Options options{maximize, false, 0, threads, false};
            const auto run = [&]<class T>(T) {
                return solve_top_k<T>(cost, row_lengths, col_lengths, k, options, isa, work_per_thread);
            };
            return dtype == "float32" ? run(0.0F) : run(0.0);
        },
        py::kw_only(), py::arg("dtype"), py::arg("cost"), py::arg("row_lengths"), py::arg("col_lengths"), py::arg("k"),
        py::arg("maximize"), py::arg("threads"), py::arg("isa"), py::arg("work_per_thread"),
        "Columns of rows and totals of the k best matchings; the first bad value; what was used.");
}

}  // namespace coalign::bindings
