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
        // Their columns lie side by side: a transposition, by bands of what is written, whose pages may all be new.
        constexpr std::int64_t band = 64;
        for (std::int64_t i = 0; i < costs.rows; i += band) {
            kernels.transpose(costs.data + i, costs.columns, std::min(band, costs.rows - i), costs.column_stride,
                              out + i * costs.columns);
            // Lines that lie whole rows apart miss the cache.
            if (!pacer.proceed(band * costs.columns)) return false;
        }
        return true;
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

    // Solves one problem, or some of one shape together; how many, and 0 when the call is to stop.
    std::int64_t solve(const Costs<T>* given, Result<T>* results, std::int64_t count) {
        const std::int64_t size = group_size(given, count);
        if (size > 0) return solve_group(given, results, size) ? size : 0;
        return solve(*given, *results) ? 1 : 0;
    }

    Scans scans;

   private:
    bool flips(const Costs<T>& given) const {
        // The solver matches every row, so without a limit they must be the shorter side.
        return !options_.has_limit && given.rows > given.columns;
    }

    Costs<T> oriented(const Costs<T>& given) const { return flips(given) ? transposed(given) : given; }
    static bool has_rows(const Costs<T>& costs) { return costs.column_stride == 1 || costs.columns <= 1; }

    Solution<T> solution(const Costs<T>& given, const Result<T>& result) const {
        if (flips(given)) return {result.row_of_col, result.col_of_row, result.col_dual, result.row_dual};
        return {result.col_of_row, result.row_of_col, result.row_dual, result.col_dual};
    }

    // How many problems follow of one shape and its strides, if that and they are for a group.
    std::int64_t group_size(const Costs<T>* given, std::int64_t count) const {
        if (kernels_.group == 0 || count < kernels_.group || options_.has_limit || options_.warm) return 0;
        if (!kernels_.groups(std::min(given->rows, given->columns), std::max(given->rows, given->columns))) return 0;
        const Costs<T>* const end = given + std::min(count, kMostGrouped);
        const Costs<T>* const other = std::find_if(given + 1, end, [&](const Costs<T>& next) {
            return next.rows != given->rows || next.columns != given->columns || next.row_stride != given->row_stride ||
                   next.column_stride != given->column_stride;
        });
        return other - given < kernels_.group ? 0 : other - given;
    }

    bool solve_group(const Costs<T>* given, Result<T>* results, std::int64_t size) {
        const T* cost[kMostGrouped];
        Solution<T> solutions[kMostGrouped];
        Outcome outcomes[kMostGrouped];
        const Costs<T> first = oriented(*given);
        const bool copies = !has_rows(first);
        const std::int64_t cells = first.rows * first.columns;
        T* const copy = copies ? copy_.reserve(size * cells) : nullptr;
        for (std::int64_t k = 0; k < size; ++k) {
            cost[k] = copies ? copy + k * cells : given[k].data;
            if (copies && !copy_by_rows(kernels_, oriented(given[k]), copy + k * cells, pacer_)) return false;
            solutions[k] = solution(given[k], results[k]);
        }
        const std::int64_t stride = copies ? first.columns : first.row_stride;
        kernels_.solve_group({cost, size, first.rows, first.columns, stride, options_.maximize, solutions, outcomes},
                             scans);
        for (std::int64_t k = 0; k < size; ++k) {
            results[k].outcome = outcomes[k];
            finish(given[k], results[k]);
        }
        return pacer_.proceed(size * given->rows);
    }

    bool solve(const Costs<T>& given, Result<T>& result) {
        Costs<T> costs = oriented(given);
        if (!has_rows(costs)) {
            T* const copy = copy_.reserve(costs.rows * costs.columns);
            if (!copy_by_rows(kernels_, costs, copy, pacer_)) return false;
            costs = {copy, costs.rows, costs.columns, costs.columns, 1};
        }
        const Solution<T> out = solution(given, result);
        const double sign = options_.maximize ? -1 : 1;
        const auto limit = static_cast<T>(sign * options_.limit);
        const Problem<T> problem{costs.data,        costs.rows,         costs.columns, costs.row_stride,
                                 options_.maximize, options_.has_limit, limit};
        if (options_.warm && options_.maximize) negate(out.col_dual, costs.columns);
        T* const workspace = workspace_.reserve(kernels_.workspace(costs.rows, costs.columns));
        result.outcome = kernels_.solve(problem, out, workspace, pacer_, scans, options_.warm);
        if (result.outcome.stopped) return false;
        finish(given, result);
        return true;
    }

    // What the results are of the problem as it was given, and their total.
    void finish(const Costs<T>& given, Result<T>& result) const {
        if (flips(given)) std::swap(result.outcome.row, result.outcome.column);
        *result.total = 0;
        if (result.outcome.status != Status::ok) return;
        if (options_.maximize) {
            negate(result.row_dual, given.rows);
            negate(result.col_dual, given.columns);
        }
        // Along the side that is matched whole, where no branch is ever missed.
        const Costs<T> costs = oriented(given);
        const std::int64_t* const column = solution(given, result).col_of_row;
        double total = 0;
        for (std::int64_t i = 0; i < costs.rows; ++i) {
            const std::int64_t j = column[i];
            if (j >= 0) total += static_cast<double>(costs.data[i * costs.row_stride + j * costs.column_stride]);
        }
        *result.total = total;
    }

    static constexpr std::int64_t kMostGrouped = 128;

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
        [&](Worker<T>& worker, std::int64_t p, std::int64_t end) {
            return p + worker.solve(problems.data() + p, results.data() + p, end - p);
        });
}

template Run assign(const Kernels<float>&, const std::vector<Costs<float>>&, const Options&, double, Pulse&,
                    std::vector<Result<float>>&, Scans&);
template Run assign(const Kernels<double>&, const std::vector<Costs<double>>&, const Options&, double, Pulse&,
                    std::vector<Result<double>>&, Scans&);

}  // namespace coalign::assignment
