// As many pairs of a dense problem as there can be, at the least cost, in double precision. That is also what a limit
// asks for that dwarfs the costs: beside its size, the solver of limits would lose them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "assignment/largest.hpp"
#include "assignment/layout.hpp"
#include "assignment/proved.hpp"
#include "core/buffer.hpp"

namespace coalign::assignment {

template <class T>
class MostPairs {
   public:
    explicit MostPairs(const Kernels<double>& kernels) : kernels_(kernels), solver_(kernels) {}

    // Takes costs whose columns lie side by side. Pairs cost less than the limit; when maximising, their negated costs
    // do. False when the call is to stop.
    bool solve(const MatrixView<T>& costs, bool maximize, double limit, Pacer& pacer, Scans& scans,
               Result<double>& result) {
        maximize_ = maximize;
        limit_ = limit;
        result.outcome = check(costs, pacer);
        if (result.outcome.stopped) return false;
        if (result.outcome.status != Status::ok) return true;
        if (!is_full_ && !largest_.rows().take_dense(costs, maximize, limit, pacer)) return false;
        const auto solve_part = [&](const Part& part, Solved& solved) {
            MatrixView<double> taken{};
            return take_part(costs, part, taken, pacer) ? match_rows(taken, solved, pacer, scans)
                                                        : Outcome{Status::ok, 0, 0, true};
        };
        return largest_.solve(costs.rows, costs.columns, is_full_, maximize, limit, pacer, result, solve_part);
    }

    // What the duals are relative to: the limit, or the least one that asks for these pairs if it is infinite.
    double limit() const { return largest_.limit(); }

   private:
    using Part = typename Largest<double>::Part;
    using Solved = typename Largest<double>::Solved;

    T sign() const { return maximize_ ? T(-1) : T(1); }

    // Whether every value is a cost, and no pair is forbidden.
    Outcome check(const MatrixView<T>& costs, Pacer& pacer) {
        constexpr T inf = std::numeric_limits<T>::infinity();
        const T sign = this->sign();
        const double limit = limit_;
        bool is_full = true;
        for (std::int64_t i = 0; i < costs.rows; ++i) {
            const T* const row = costs.data + i * costs.row_stride;
            bool sound = true;
            for (std::int64_t j = 0; j < costs.columns; ++j) {
                sound &= sign * row[j] > -inf;
                is_full &= static_cast<double>(sign * row[j]) < limit;
            }
            for (std::int64_t j = 0; !sound && j < costs.columns; ++j)
                if (!(sign * row[j] > -inf)) return {std::isnan(row[j]) ? Status::nan : Status::invalid, i, j, false};
            if (!pacer.proceed(costs.columns)) return {Status::ok, 0, 0, true};
        }
        is_full_ = is_full;
        return {};
    }

    // Takes some rows and columns of the costs, transposed if the part is.
    bool take_part(const MatrixView<T>& costs, const Part& part, MatrixView<double>& taken, Pacer& pacer) {
        const MatrixView<T> turned = part.flips ? transposed(costs) : costs;
        if constexpr (std::is_same_v<T, double>) {
            if (part.is_whole && (is_full_ || std::isinf(limit_))) {
                taken = turned;
                return take_rows(kernels_, taken, part_, pacer);
            }
        }
        const Lines &rows = part.flips ? part.columns : part.rows, &columns = part.flips ? part.rows : part.columns;
        const auto n = static_cast<std::int64_t>(rows.size()), m = static_cast<std::int64_t>(columns.size());
        const T sign = this->sign();
        const double limit = limit_, forbidden = static_cast<double>(sign) * std::numeric_limits<double>::infinity();
        double* const copy = part_.reserve(n * m);
        double* out = copy;
        for (const std::int32_t i : rows) {
            const T* const row = turned.data + i * turned.row_stride;
            for (const std::int32_t j : columns) {
                const T cost = row[j * turned.column_stride];
                *out++ = static_cast<double>(sign * cost) < limit ? static_cast<double>(cost) : forbidden;
            }
            if (!pacer.proceed(m)) return false;
        }
        taken = {copy, n, m, m, 1};
        return true;
    }

    Outcome match_rows(const MatrixView<double>& costs, Solved& solved, Pacer& pacer, Scans& scans) {
        const std::int64_t n = costs.rows, m = costs.columns;
        std::int64_t* const row_of_col = rows_.reserve(m + 1);
        double* const row_dual = duals_.reserve(n + 1);
        const Problem<double> problem{costs.data, n, m, costs.row_stride, maximize_, false, 0};
        const Solution<double> out{solved.column.data(), row_of_col, row_dual, solved.price.data()};
        const Outcome outcome = solver_.solve(problem, out, Start::cold, pacer, scans);
        if (outcome.stopped || !is_answered(outcome.status)) return outcome;
        for (std::int64_t i = 0; i < n; ++i) {
            const double cost = costs.data[i * costs.row_stride + out.col_of_row[i]];
            solved.cost[static_cast<std::size_t>(i)] = maximize_ ? -cost : cost;
        }
        return outcome;
    }

    const Kernels<double>& kernels_;
    Proved<double> solver_;
    Largest<double> largest_;
    bool maximize_ = false, is_full_ = false;
    double limit_ = 0;
    Buffer<double> part_, duals_;
    Buffer<std::int64_t> rows_;
};

}  // namespace coalign::assignment
