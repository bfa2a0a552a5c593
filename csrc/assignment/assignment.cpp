#include "assignment/assignment.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>

#include "core/buffer.hpp"

namespace coalign::assignment {
namespace {

// The costs of any strides as rows side by side.
template <class T>
bool copy_by_rows(const Kernels<T>& kernels, const Costs<T>& costs, T* out, Pacer& pacer) {
    if (costs.row_stride == 1) {
        // Their columns lie side by side: a transposition.
        kernels.transpose(costs.data, costs.columns, costs.rows, costs.column_stride, out);
        return pacer.proceed(costs.rows * costs.columns / 16);
    }
    for (std::int64_t i = 0; i < costs.rows; ++i) {
        for (std::int64_t j = 0; j < costs.columns; ++j)
            out[i * costs.columns + j] = costs.data[i * costs.row_stride + j * costs.column_stride];
        if (!pacer.proceed(costs.columns)) return false;
    }
    return true;
}

template <class T>
Costs<T> transposed(const Costs<T>& costs) {
    return {costs.data, costs.columns, costs.rows, costs.column_stride, costs.row_stride};
}

template <class T>
class Worker {
   public:
    Worker(const Kernels<T>& kernels, const Options& options, Pulse& pulse)
        : kernels_(kernels), options_(options), pacer_(pulse) {}

    bool solve(const Costs<T>& given, Result<T>& result) {
        // The solver matches every row, so without a limit they must be the shorter side.
        const bool flips = !options_.has_limit && given.rows > given.columns;
        Costs<T> costs = flips ? transposed(given) : given;
        if (costs.column_stride != 1 && costs.columns > 1) {
            T* const copy = copy_.reserve(costs.rows * costs.columns);
            if (!copy_by_rows(kernels_, costs, copy, pacer_)) return false;
            costs = {copy, costs.rows, costs.columns, costs.columns, 1};
        }
        const Solution<T> solution{
            flips ? result.row_of_col : result.col_of_row, flips ? result.col_of_row : result.row_of_col,
            flips ? result.col_dual : result.row_dual, flips ? result.row_dual : result.col_dual};
        const double sign = options_.maximize ? -1 : 1;
        const auto limit = static_cast<T>(sign * options_.limit);
        const Problem<T> problem{costs.data,        costs.rows,         costs.columns, costs.row_stride,
                                 options_.maximize, options_.has_limit, limit};
        if (options_.warm && options_.maximize) negate(solution.col_dual, costs.columns);
        T* const workspace = workspace_.reserve(kernels_.workspace(costs.rows, costs.columns));
        result.outcome = kernels_.solve(problem, solution, workspace, pacer_, scans, options_.warm);
        if (result.outcome.stopped) return false;
        if (flips) std::swap(result.outcome.row, result.outcome.column);
        if (options_.maximize) {
            negate(result.row_dual, given.rows);
            negate(result.col_dual, given.columns);
        }
        *result.total = 0;
        if (result.outcome.status != Status::ok) return true;
        for (std::int64_t i = 0; i < given.rows; ++i) {
            const std::int64_t j = result.col_of_row[i];
            if (j >= 0)
                *result.total += static_cast<double>(given.data[i * given.row_stride + j * given.column_stride]);
        }
        return true;
    }

    Scans scans;

   private:
    static void negate(T* values, std::int64_t count) {
        // Not -0: a free column's dual is plain zero.
        for (std::int64_t k = 0; k < count; ++k) values[k] = T(0) - values[k];
    }

    const Kernels<T>& kernels_;
    const Options& options_;
    Pacer pacer_;
    Buffer<T> copy_, workspace_;
};

}  // namespace

template <class T>
Run assign(const Kernels<T>& kernels, const std::vector<Costs<T>>& problems, const Options& options,
           double work_per_thread, Pulse& pulse, std::vector<Result<T>>& results, Scans& scans) {
    double work = 0;
    for (const Costs<T>& costs : problems) work += static_cast<double>(costs.rows) * static_cast<double>(costs.columns);
    return solve_each(
        static_cast<std::int64_t>(problems.size()), work, work_per_thread, options.threads, pulse, scans,
        [&] { return std::make_unique<Worker<T>>(kernels, options, pulse); },
        [&](Worker<T>& worker, std::size_t p) { return worker.solve(problems[p], results[p]); });
}

template Run assign(const Kernels<float>&, const std::vector<Costs<float>>&, const Options&, double, Pulse&,
                    std::vector<Result<float>>&, Scans&);
template Run assign(const Kernels<double>&, const std::vector<Costs<double>>&, const Options&, double, Pulse&,
                    std::vector<Result<double>>&, Scans&);

}  // namespace coalign::assignment
