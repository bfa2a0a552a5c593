#include "assignment/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>

#include "assignment/layout.hpp"
#include "assignment/most_pairs.hpp"
#include "assignment/proved.hpp"
#include "core/buffer.hpp"

namespace coalign::assignment {
namespace {

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
    bool flips(const MatrixView<T>& given) const {
        // The solver matches every row, so without a limit they must be the shorter side.
        return !options_.has_limit && given.rows > given.columns;
    }

    MatrixView<T> oriented(const MatrixView<T>& given) const { return flips(given) ? transposed(given) : given; }

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
        MatrixView<T> costs = oriented(given);
        if (!take_rows(kernels_, costs, copy_, pacer_)) return false;
        const Solution<T> out = solution(given, result);
        Problem<T> problem{costs.data,        costs.rows,         costs.columns,        costs.row_stride,
                           options_.maximize, options_.has_limit, limit_of<T>(options_)};
        const auto make_most = [&](Outcome& outcome) { make_most_pairs(costs, problem, out, outcome); };
        if (options_.warm && options_.maximize) negate(out.col_dual, costs.columns);
        const Start start = options_.warm ? Start::warm : Start::cold;
        if (!options_.has_limit) result.outcome = solver_.solve(problem, out, start, pacer_, scans_);
        else if (std::isinf(options_.limit)) make_most(result.outcome);
        else result.outcome = solver_.solve_limited(problem, out, pacer_, scans_, make_most);
        if (result.outcome.stopped) return false;
        finish(given, result);
        return true;
    }

    // Makes as many pairs as there can be below the limit. If it is finite and asks for fewer, the outcome and the
    // solution stay as they are.
    void make_most_pairs(const MatrixView<T>& costs, Problem<T>& problem, const Solution<T>& out, Outcome& outcome) {
        if (!most_) most_ = std::make_unique<MostPairs<T>>(kernels_for<double>(kernels_.isa));
        const std::int64_t n = costs.rows, m = costs.columns;
        std::int64_t* const pairs = pairs_.reserve(n + m);
        double *const duals = duals_.reserve(n + m), *const prices = duals + n;
        double total = 0;
        Result<double> result{pairs, pairs + n, duals, prices, &total, {}};
        const double limit = limit_of<double>(options_);
        outcome.stopped = !most_->solve(costs, options_.maximize, limit, pacer_, scans_, result);
        if (outcome.stopped || (std::isfinite(limit) && result.outcome.status != Status::ok)) return;
        outcome = result.outcome;
        if (!is_answered(outcome.status)) return;
        std::copy_n(pairs, n, out.col_of_row);
        std::copy_n(pairs + n, m, out.row_of_col);
        if (options_.maximize) negate(prices, m);
        problem.limit = round_up<T>(most_->limit());
        if (!write_duals(problem, prices, 1.0, out)) outcome.status = Status::precision_limit;
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
        const auto sum = [&](double scale) {
            double total = 0;
            for (std::int64_t i = 0; i < costs.rows; ++i) {
                const std::int64_t j = column[i];
                if (j < 0) continue;
                total += scale * static_cast<double>(costs.data[i * costs.row_stride + j * costs.column_stride]);
            }
            return total / scale;
        };
        *result.total = sum(1);
        if (std::isfinite(*result.total)) return;
        // Part of the sum may overflow where the whole does not.
        *result.total = sum(0x1p-64);
        if (!std::isfinite(*result.total)) result.outcome.status = Status::precision_limit;
    }

    static constexpr std::int64_t kMostGrouped = 128;

    template <class U>
    static void negate(U* values, std::int64_t count) {
        // Not -0: a free column's dual is plain zero.
        for (std::int64_t k = 0; k < count; ++k) values[k] = U(0) - values[k];
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
    // Few calls ask for as many pairs as there can be.
    std::unique_ptr<MostPairs<T>> most_;
    Buffer<double> duals_;
    Buffer<std::int64_t> pairs_;
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
