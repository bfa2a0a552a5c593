#include "assignment/sparse.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "assignment/largest.hpp"
#include "assignment/proved_sparse.hpp"
#include "assignment/rows.hpp"
#include "core/batch_run.hpp"

namespace coalign::assignment {
namespace {

template <class T>
class Worker {
   public:
    Worker(const Options& options, Pulse& pulse)
        : options_(options), sign_(options.maximize ? T(-1) : T(1)), pacer_(pulse), solver_(pacer_) {}

    bool solve(const SparseCosts& given, Result<T>& result) {
        std::fill_n(result.col_of_row, given.rows, -1);
        std::fill_n(result.row_of_col, given.columns, -1);
        *result.total = 0;
        if (options_.has_limit && std::isinf(options_.limit)) return solve_largest(given, result);
        // The solver matches every row, so without a limit they must be the shorter side.
        const bool flips = !options_.has_limit && given.rows > given.columns;
        result.outcome = rows_.take(given, flips, options_.maximize, pacer_);
        if (result.outcome.stopped) return false;
        if (options_.warm)
            for (std::int64_t j = 0; j < given.columns; ++j) result.col_dual[j] *= sign_;
        if (result.outcome.status == Status::ok)
            result.outcome = solver_.solve(rows_, limit(), options_.warm ? result.col_dual : nullptr);
        if (result.outcome.stopped) return false;
        if (flips) std::swap(result.outcome.row, result.outcome.column);
        if (is_answered(result.outcome.status)) write(flips, result);
        return true;
    }

   private:
    using Part = typename Largest<T>::Part;
    using Solved = typename Largest<T>::Solved;

    static constexpr double kInfinity = std::numeric_limits<double>::infinity();

    double limit() const { return options_.has_limit ? sign_ * options_.limit : kInfinity; }

    bool solve_largest(const SparseCosts& given, Result<T>& result) {
        result.outcome = largest_.rows().take(given, false, options_.maximize, pacer_);
        if (result.outcome.stopped) return false;
        if (result.outcome.status != Status::ok) return true;
        const auto solve = [&](const Part& part, Solved& solved) { return solve_part(part, solved); };
        return largest_.solve(given.rows, given.columns, false, options_.maximize, std::numeric_limits<T>::infinity(),
                              pacer_, result, solve);
    }

    Outcome solve_part(const Part& part, Solved& solved) {
        const bool takes = !part.is_whole || part.flips;
        if (takes) rows_.take_part(largest_.rows(), part.rows, part.columns, part.flips);
        const Rows<T>& rows = takes ? rows_ : largest_.rows();
        const Outcome outcome = solver_.solve(rows, kInfinity, nullptr);
        if (outcome.stopped || !is_answered(outcome.status)) return outcome;
        for (std::int64_t i = 0; i < rows.rows(); ++i) {
            const Entry<T> pair = solver_.pair(i);
            solved.column[static_cast<std::size_t>(i)] = pair.column;
            solved.cost[static_cast<std::size_t>(i)] = pair.cost;
        }
        for (std::int64_t j = 0; j < rows.columns(); ++j) solved.price[static_cast<std::size_t>(j)] = solver_.price(j);
        return outcome;
    }

    void write(bool flips, Result<T>& result) const {
        std::int64_t* const col_of_row = flips ? result.row_of_col : result.col_of_row;
        std::int64_t* const row_of_col = flips ? result.col_of_row : result.row_of_col;
        T *const row_dual = flips ? result.col_dual : result.row_dual, *const col_dual =
                                                                           flips ? result.row_dual : result.col_dual;
        // + 0, since a free column's dual is plain zero, not -0.
        for (std::int64_t j = 0; j < rows_.columns(); ++j) col_dual[j] = sign_ * solver_.price(j) + T(0);
        for (std::int64_t i = 0; i < rows_.rows(); ++i) {
            const Entry<T> pair = solver_.pair(i);
            if (pair.column < 0) {
                row_dual[i] = sign_ * round_up<T>(limit());
                continue;
            }
            col_of_row[i] = pair.column;
            row_of_col[pair.column] = i;
            row_dual[i] = sign_ * (pair.cost - solver_.price(pair.column)) + T(0);
            *result.total += static_cast<double>(sign_ * pair.cost);
        }
        if (std::isinf(*result.total)) result.outcome.status = Status::precision_limit;
    }

    const Options& options_;
    const T sign_;
    Pacer pacer_;
    Rows<T> rows_;
    ProvedSparse<T> solver_;
    Largest<T> largest_;
};

}  // namespace

template <class T>
Run assign_sparse(const std::vector<SparseCosts>& problems, const Options& options, double work_per_thread,
                  Pulse& pulse, std::vector<Result<T>>& results) {
    double work = 0;
    for (const SparseCosts& costs : problems) work += static_cast<double>(costs.entries + costs.rows + costs.columns);
    return run_batch(
        static_cast<std::int64_t>(problems.size()), work, options.threads, work_per_thread, pulse,
        [&] { return Worker<T>(options, pulse); },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            const auto problem = static_cast<std::size_t>(p);
            return worker.solve(problems[problem], results[problem]) ? p + 1 : p;
        });
}

template Run assign_sparse<float>(const std::vector<SparseCosts>&, const Options&, double, Pulse&,
                                  std::vector<Result<float>>&);
template Run assign_sparse<double>(const std::vector<SparseCosts>&, const Options&, double, Pulse&,
                                   std::vector<Result<double>>&);

}  // namespace coalign::assignment
