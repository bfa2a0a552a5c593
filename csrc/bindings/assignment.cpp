#include "assignment/assignment.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

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
py::tuple solve(const py::object& cost, const std::optional<Indices>& rows, const std::optional<Indices>& columns,
                const Options& options, const std::optional<py::array_t<T, py::array::c_style>>& start,
                const std::string& isa, double work_per_thread) {
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
    Indices col_of_row(row_total), row_of_col(column_total);
    py::array_t<T> row_dual(row_total), col_dual(column_total);
    const auto count = static_cast<py::ssize_t>(problems.size());
    py::array_t<double> total(count);
    py::array_t<std::int32_t> status(count);
    std::fill_n(col_of_row.mutable_data(), row_total, -1);
    std::fill_n(row_of_col.mutable_data(), column_total, -1);
    std::fill_n(row_dual.mutable_data(), row_total, T(0));
    std::fill_n(col_dual.mutable_data(), column_total, T(0));
    if (start) {
        require(start->ndim() == 1 && start->shape(0) == column_total, "start: a price per column");
        std::copy_n(start->data(), column_total, col_dual.mutable_data());
    }
    std::vector<Result<T>> results;
    results.reserve(problems.size());
    std::int64_t row_at = 0, column_at = 0;
    for (std::size_t p = 0; p < problems.size(); ++p) {
        results.push_back({col_of_row.mutable_data() + row_at,
                           row_of_col.mutable_data() + column_at,
                           row_dual.mutable_data() + row_at,
                           col_dual.mutable_data() + column_at,
                           total.mutable_data() + p,
                           {}});
        row_at += row_room >= 0 ? row_room : problems[p].rows;
        column_at += column_room >= 0 ? column_room : problems[p].columns;
    }
    Scans scans;
    const Kernels<T>& kernels = kernels_for<T>(choose_isa(isa));
    const Run run = watch(py::none(), [&](Pulse& pulse) {
        return assign<T>(kernels, problems, options, work_per_thread, pulse, results, scans);
    });
    py::object bad = py::none();
    for (std::size_t p = 0; p < results.size(); ++p) {
        const Outcome& outcome = results[p].outcome;
        status.mutable_data()[p] = static_cast<std::int32_t>(outcome.status);
        if (bad.is_none() && (outcome.status == Status::nan || outcome.status == Status::invalid))
            bad = py::make_tuple(p, outcome.row, outcome.column);
    }
    return py::make_tuple(col_of_row, row_of_col, row_dual, col_dual, total, status, bad,
                          py::make_tuple(std::string(name(kernels.isa)), run.workers),
                          py::make_tuple(scans.bids, scans.paths));
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
                std::optional<py::array_t<T, py::array::c_style>> prices;
                if (!start.is_none()) prices = start.cast<py::array_t<T, py::array::c_style>>();
                return solve<T>(cost, row_lengths, col_lengths, options, prices, isa, work_per_thread);
            };
            return dtype == "float32" ? run(0.0F) : run(0.0);
        },
        py::kw_only(), py::arg("dtype"), py::arg("cost"), py::arg("row_lengths"), py::arg("col_lengths"),
        py::arg("maximize"), py::arg("limit"), py::arg("start"), py::arg("threads"), py::arg("isa"),
        py::arg("work_per_thread"),
        "Columns of rows, rows of columns, duals, totals and statuses of a batch; the first bad value; what was used: "
        "instruction set and workers; and how many rows were gone through, for bids and for paths.");
}

}  // namespace coalign::bindings
