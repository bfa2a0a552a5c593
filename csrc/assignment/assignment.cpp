#include "assignment/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>

#include "assignment/largest.hpp"
#include "assignment/proved.hpp"
#include "core/buffer.hpp"

namespace coalign::assignment {
namespace {

// Copies costs of any strides as rows side by side.
template <class T>
bool copy_by_rows(const Kernels<T>& kernels, const MatrixView<T>& costs, T* out, Pacer& pacer) {
    if (costs.row_stride == 1) {
        // Their columns lie side by side, so this is a transposition. It goes by bands of the output, whose pages may
        // be new.
        constexpr std::int64_t band = 64;
        for (std::int64_t i = 0; i < costs.rows; i += band) {
            kernels.transpose(costs.data + i, costs.columns, std::min(band, costs.rows - i), costs.column_stride,
                              out + i * costs.columns);
            // Cache lines that lie whole rows apart miss the cache.
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
MatrixView<T> transposed(const MatrixView<T>& costs) {
    return {costs.data, costs.columns, costs.rows, costs.column_stride, costs.row_stride};
}

template <class T>
class Worker {
   public:
    Worker(const Kernels<T>& kernels, const Options& options, const Ragged& costs, Result<T>* results, Pulse& pulse,
           Scans& total)
        : kernels_(kernels),
          options_(options),
          costs_(costs),
          results_(results),
          total_(total),
          pacer_(pulse),
          solver_(kernels) {}
    // The calling thread destroys the workers, one after the other.
    ~Worker() {
        total_.bids += scans_.bids;
        total_.paths += scans_.paths;
    }

    // Solves problem p, or p and the next ones of its shape together. Returns how many, and 0 when the call is to stop.
    std::int64_t solve(std::int64_t p, std::int64_t count) {
        const std::int64_t size = group_size(p, count);
        if (size > 0) return solve_group(p, size) ? size : 0;
        return solve(costs_.at<T>(p), results_[p]) ? 1 : 0;
    }

   private:
    using Part = typename Largest<T>::Part;
    using Solved = typename Largest<T>::Solved;

    bool flips(const MatrixView<T>& given) const {
        // The solver matches every row, so without a limit they must be the shorter side.
        return !options_.has_limit && given.rows > given.columns;
    }

    MatrixView<T> oriented(const MatrixView<T>& given) const { return flips(given) ? transposed(given) : given; }
    static bool has_rows(const MatrixView<T>& costs) { return costs.column_stride == 1 || costs.columns <= 1; }

    Solution<T> solution(const MatrixView<T>& given, const Result<T>& result) const {
        if (flips(given)) return {result.row_of_col, result.col_of_row, result.col_dual, result.row_dual};
        return {result.col_of_row, result.row_of_col, result.row_dual, result.col_dual};
    }

    // How many problems from p on have one shape and its strides, if they suit a group; else 0.
    std::int64_t group_size(std::int64_t p, std::int64_t count) const {
        if (kernels_.group == 0 || count < kernels_.group || options_.has_limit || options_.warm) return 0;
        const MatrixView<T> first = costs_.at<T>(p);
        if (!kernels_.groups(std::min(first.rows, first.columns), std::max(first.rows, first.columns))) return 0;
        const auto is_like_first = [&](std::int64_t other) {
            const MatrixView<T> next = costs_.at<T>(other);
            return next.rows == first.rows && next.columns == first.columns && next.row_stride == first.row_stride &&
                   next.column_stride == first.column_stride;
        };
        std::int64_t size = 1;
        while (size < std::min(count, kMostGrouped) && is_like_first(p + size)) ++size;
        return size < kernels_.group ? 0 : size;
    }

    bool solve_group(std::int64_t p, std::int64_t size) {
        const T* cost[kMostGrouped];
        Solution<T> solutions[kMostGrouped];
        Outcome outcomes[kMostGrouped];
        const MatrixView<T> first = oriented(costs_.at<T>(p));
        const bool copies = !has_rows(first);
        const std::int64_t cells = first.rows * first.columns;
        T* const copy = copies ? copy_.reserve(size * cells) : nullptr;
        for (std::int64_t k = 0; k < size; ++k) {
            const MatrixView<T> given = costs_.at<T>(p + k);
            cost[k] = copies ? copy + k * cells : given.data;
            if (copies && !copy_by_rows(kernels_, oriented(given), copy + k * cells, pacer_)) return false;
            solutions[k] = solution(given, results_[p + k]);
        }
        const std::int64_t stride = copies ? first.columns : first.row_stride;
        kernels_.solve_group({cost, size, first.rows, first.columns, stride, options_.maximize, solutions, outcomes},
                             scans_);
        for (std::int64_t k = 0; k < size; ++k) {
            const Problem<T> problem{cost[k], first.rows, first.columns, stride, options_.maximize, false, 0};
            Result<T>& result = results_[p + k];
            result.outcome = outcomes[k];
            solver_.prove(problem, solutions[k], result.outcome, pacer_, scans_);
            if (result.outcome.stopped) return false;
            finish(costs_.at<T>(p + k), result);
        }
        return pacer_.proceed(size * std::max(first.rows, first.columns));
    }

    bool solve(const MatrixView<T>& given, Result<T>& result) {
        if (options_.has_limit && std::isinf(options_.limit)) return solve_largest(given, result);
        MatrixView<T> costs = oriented(given);
        if (!take_rows(costs, copy_)) return false;
        const Solution<T> out = solution(given, result);
        const Problem<T> problem{costs.data,        costs.rows,         costs.columns,        costs.row_stride,
                                 options_.maximize, options_.has_limit, limit_of<T>(options_)};
        if (options_.warm && options_.maximize) negate(out.col_dual, costs.columns);
        const Start start = options_.warm ? Start::warm : Start::cold;
        result.outcome = solver_.solve(problem, out, start, pacer_, scans_);
        if (result.outcome.stopped) return false;
        finish(given, result);
        return true;
    }

    // Replaces costs of other strides by a copy whose columns lie side by side.
    bool take_rows(MatrixView<T>& costs, Buffer<T>& room) {
        if (has_rows(costs)) return true;
        T* const copy = room.reserve(costs.rows * costs.columns);
        if (!copy_by_rows(kernels_, costs, copy, pacer_)) return false;
        costs = {copy, costs.rows, costs.columns, costs.columns, 1};
        return true;
    }

    // Makes as many pairs as possible.
    bool solve_largest(const MatrixView<T>& given, Result<T>& result) {
        MatrixView<T> costs = given;
        if (!take_rows(costs, copy_)) return false;
        if (!largest_) largest_ = std::make_unique<Largest<T>>();
        bool is_full = true;
        result.outcome = check(costs, is_full);
        if (result.outcome.stopped) return false;
        if (result.outcome.status != Status::ok) return true;
        const auto solve_part = [&](const Part& part, Solved& solved) {
            MatrixView<T> taken = part.flips ? transposed(costs) : costs;
            const bool goes_on = part.is_whole ? take_rows(taken, part_) : take_part(taken, part);
            return goes_on ? match_rows(taken, solved) : Outcome{Status::ok, 0, 0, true};
        };
        if (!is_full && !largest_->rows().take_dense(costs, options_.maximize, pacer_)) return false;
        return largest_->solve(costs.rows, costs.columns, is_full, options_.maximize, pacer_, result, solve_part);
    }

    // Whether every value is a cost, and no pair is forbidden.
    Outcome check(const MatrixView<T>& costs, bool& is_full) {
        constexpr T inf = std::numeric_limits<T>::infinity();
        const T sign = options_.maximize ? T(-1) : T(1);
        for (std::int64_t i = 0; i < costs.rows; ++i) {
            const T* const row = costs.data + i * costs.row_stride;
            bool sound = true;
            for (std::int64_t j = 0; j < costs.columns; ++j) {
                sound &= sign * row[j] > -inf;
                is_full &= sign * row[j] < inf;
            }
            for (std::int64_t j = 0; !sound && j < costs.columns; ++j)
                if (!(sign * row[j] > -inf)) return {std::isnan(row[j]) ? Status::nan : Status::invalid, i, j, false};
            if (!pacer_.proceed(costs.columns)) return {Status::ok, 0, 0, true};
        }
        return {};
    }

    // Takes some rows and columns of the costs, which are transposed already if the part is.
    bool take_part(MatrixView<T>& costs, const Part& part) {
        const Lines &rows = part.flips ? part.columns : part.rows, &columns = part.flips ? part.rows : part.columns;
        const auto n = static_cast<std::int64_t>(rows.size()), m = static_cast<std::int64_t>(columns.size());
        T* const copy = part_.reserve(n * m);
        T* out = copy;
        for (const std::int32_t i : rows) {
            const T* const row = costs.data + i * costs.row_stride;
            for (const std::int32_t j : columns) *out++ = row[j * costs.column_stride];
            if (!pacer_.proceed(m)) return false;
        }
        costs = {copy, n, m, m, 1};
        return true;
    }

    Outcome match_rows(const MatrixView<T>& costs, Solved& solved) {
        const std::int64_t n = costs.rows, m = costs.columns;
        std::int64_t* const row_of_col = rows_.reserve(m + 1);
        T* const row_dual = duals_.reserve(n + 1);
        const Problem<T> problem{costs.data, n, m, costs.row_stride, options_.maximize, false, 0};
        const Solution<T> out{solved.column.data(), row_of_col, row_dual, solved.price.data()};
        const Outcome outcome = solver_.solve(problem, out, Start::cold, pacer_, scans_);
        if (outcome.stopped || !is_answered(outcome.status)) return outcome;
        for (std::int64_t i = 0; i < n; ++i) {
            const T cost = costs.data[i * costs.row_stride + out.col_of_row[i]];
            solved.cost[static_cast<std::size_t>(i)] = options_.maximize ? -cost : cost;
        }
        return outcome;
    }

    // Brings the results back to the problem as it was given, and sums their total.
    void finish(const MatrixView<T>& given, Result<T>& result) const {
        if (flips(given)) std::swap(result.outcome.row, result.outcome.column);
        *result.total = 0;
        if (!is_answered(result.outcome.status)) return;
        if (options_.maximize) {
            negate(result.row_dual, given.rows);
            negate(result.col_dual, given.columns);
        }
        // Along the side that is matched whole, where every branch is predicted.
        const MatrixView<T> costs = oriented(given);
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
    const Ragged& costs_;
    Result<T>* results_;
    Scans& total_;
    Scans scans_;
    Pacer pacer_;
    Proved<T> solver_;
    Buffer<T> copy_;
    // For a largest matching, which few calls ask for.
    std::unique_ptr<Largest<T>> largest_;
    Buffer<T> part_, duals_;
    Buffer<std::int64_t> rows_;
};

}  // namespace

template <class T>
Run assign(const Kernels<T>& kernels, const Ragged& costs, const Options& options, double work_per_thread, Pulse& pulse,
           std::vector<Result<T>>& results, Scans& scans) {
    return run_batch(
        costs.count, costs.elements(), options.threads, work_per_thread, pulse,
        [&] { return Worker<T>(kernels, options, costs, results.data(), pulse, scans); },
        [](Worker<T>& worker, std::int64_t p, std::int64_t end) { return p + worker.solve(p, end - p); });
}

template Run assign(const Kernels<float>&, const Ragged&, const Options&, double, Pulse&, std::vector<Result<float>>&,
                    Scans&);
template Run assign(const Kernels<double>&, const Ragged&, const Options&, double, Pulse&, std::vector<Result<double>>&,
                    Scans&);

}  // namespace coalign::assignment
