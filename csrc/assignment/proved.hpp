// A solver whose answers are proved: what its certificate does not prove is solved again, more carefully.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "assignment/kernels.hpp"
#include "core/buffer.hpp"
#include "core/parallel.hpp"

namespace coalign::assignment {

// Writes the duals of a solution from the columns' prices, which are in units of 1 / scale. Whether all are finite;
// those that are not become the largest number.
template <class T>
bool write_duals(const Problem<T>& problem, const double* prices, double scale, const Solution<T>& solution) {
    constexpr T most = std::numeric_limits<T>::max();
    bool fits = true;
    const auto fitted = [&](double value) {
        const auto rounded = static_cast<T>(value);
        if (std::isfinite(rounded)) return rounded;
        fits = false;
        return std::signbit(value) ? -most : most;
    };
    for (std::int64_t j = 0; j < problem.columns; ++j) solution.col_dual[j] = fitted(prices[j] / scale);
    for (std::int64_t i = 0; i < problem.rows; ++i) {
        const std::int64_t j = solution.col_of_row[i];
        T dual = problem.limit;
        if (j >= 0) {
            const T c = problem.cost[i * problem.stride + j];
            dual = fitted(static_cast<double>((problem.maximize ? -c : c) - solution.col_dual[j]));
            if (problem.has_limit && problem.limit < dual) dual = problem.limit;
        }
        // Not -0.
        solution.row_dual[i] = dual + T(0);
    }
    return fits;
}

template <class T>
class Proved {
   public:
    explicit Proved(const Kernels<T>& kernels) : kernels_(kernels) {}

    // Solves a problem without a limit; its status is precision_limit if no way leads to a proof.
    Outcome solve(const Problem<T>& problem, const Solution<T>& solution, Start start, Pacer& pacer, Scans& scans) {
        Outcome outcome = solve_once(problem, solution, start, pacer, scans);
        prove(problem, solution, outcome, pacer, scans);
        return outcome;
    }

    // Solves a problem with a limit. Where the limit dwarfs the costs, make_most_pairs(outcome) is asked for a
    // solution; it leaves what is there if it has none.
    template <class MakeMostPairs>
    Outcome solve_limited(const Problem<T>& problem, const Solution<T>& solution, Pacer& pacer, Scans& scans,
                          MakeMostPairs&& make_most_pairs) {
        Outcome outcome{Status::precision_limit, 0, 0, false};
        bool is_dwarfed = leaves_rows_beside_costs(problem);
        if (is_dwarfed) make_most_pairs(outcome);
        // Differences from a limit so large may overflow, and a search would lose its way.
        const bool overflows = std::abs(problem.limit) > kMostOfCosts;
        if (!overflows && is_unproved(outcome)) {
            outcome = solve_once(problem, solution, Start::cold, pacer, scans);
            if (outcome.stopped || outcome.status != Status::ok) return outcome;
            const Proof proof = check(problem, solution, outcome, pacer);
            if (proof == Proof::holds || proof == Proof::stopped) return outcome;
            outcome.status = Status::precision_limit;
            if (proof == Proof::holds_beside_limit && !is_dwarfed) {
                is_dwarfed = true;
                make_most_pairs(outcome);
            }
        }
        if (is_unproved(outcome)) outcome = solve_again(problem, solution, overflows ? kSafeScale : 1, pacer, scans);
        if (is_unproved(outcome) && !is_dwarfed) make_most_pairs(outcome);
        return outcome;
    }

    // Proves what has been solved, alone or in a group; what it cannot prove it solves again.
    void prove(const Problem<T>& problem, const Solution<T>& solution, Outcome& outcome, Pacer& pacer, Scans& scans) {
        if (outcome.stopped) return;
        if (outcome.status == Status::ok) {
            if (check(problem, solution, outcome, pacer) != Proof::fails) return;
        } else if (outcome.status != Status::infeasible) {
            return;
        }
        // If differences of costs overflow, no matching may be found where there is one.
        double largest = 0;
        outcome.stopped = !find_largest(problem, largest, pacer);
        const bool overflows = largest > kMostOfCosts;
        if (!outcome.stopped && (overflows || outcome.status == Status::ok))
            outcome = solve_again(problem, solution, overflows ? kSafeScale : 1, pacer, scans);
    }

   private:
    static constexpr bool kIsWide = std::is_same_v<T, double>;
    static constexpr double kTolerance = kIsWide ? 1e-12 : 1e-6;
    // Prices stay below 2^64 times the costs. What may overflow in float32 does not in double precision.
    static constexpr double kMostOfCosts = std::numeric_limits<T>::max() * 0x1p-64, kSafeScale = kIsWide ? 0x1p-64 : 1;

    static bool is_unproved(const Outcome& outcome) {
        return !outcome.stopped && outcome.status == Status::precision_limit;
    }

    // Whether rows must stay alone beside a limit that dwarfs the costs, by the look of the first row.
    static bool leaves_rows_beside_costs(const Problem<T>& problem) {
        T most = 0;
        for (std::int64_t j = 0; problem.rows > problem.columns && j < problem.columns; ++j) {
            const T c = problem.maximize ? -problem.cost[j] : problem.cost[j];
            if (c < problem.limit) most = std::max(most, std::abs(c));
        }
        return most > 0 && problem.limit > kDwarfs * most;
    }
    static constexpr T kDwarfs = 16;

    Outcome solve_once(const Problem<T>& problem, const Solution<T>& solution, Start start, Pacer& pacer,
                       Scans& scans) {
        floors_ = workspace_.reserve(kernels_.workspace(problem, start));
        return kernels_.solve(problem, solution, floors_, pacer, scans, start);
    }

    Proof check(const Problem<T>& problem, const Solution<T>& solution, Outcome& outcome, Pacer& pacer) {
        const T* const floors = outcome.has_floors ? floors_ : nullptr;
        double* const prices = kIsWide ? nullptr : prices_.reserve(problem.columns);
        const Proof proof = kernels_.prove(problem, solution, kTolerance, floors, prices, pacer);
        outcome.stopped = proof == Proof::stopped;
        return proof;
    }

    // The largest finite size of a cost.
    static bool find_largest(const Problem<T>& problem, double& largest, Pacer& pacer) {
        T most = 0;
        for (std::int64_t i = 0; i < problem.rows; ++i) {
            const T* const row = problem.cost + i * problem.stride;
            for (std::int64_t j = 0; j < problem.columns; ++j)
                if (const T size = std::abs(row[j]); size > most && std::isfinite(size)) most = size;
            if (!pacer.proceed(problem.columns)) return false;
        }
        largest = static_cast<double>(most);
        return true;
    }

    // Copies the costs in double precision, times a power of two. `exact` tells whether all of them keep their value.
    bool widen(const Problem<T>& problem, double scale, Problem<double>& wide, bool& exact, Pacer& pacer) {
        double* copy = costs_.reserve(problem.rows * problem.columns);
        wide = {copy,
                problem.rows,
                problem.columns,
                problem.columns,
                problem.maximize,
                problem.has_limit,
                problem.limit * scale};
        for (std::int64_t i = 0; i < problem.rows; ++i) {
            const T* const row = problem.cost + i * problem.stride;
            for (std::int64_t j = 0; j < problem.columns; ++j) {
                const auto c = static_cast<double>(row[j]);
                *copy = c * scale;
                exact &= *copy++ / scale == c;
            }
            if (!pacer.proceed(problem.columns)) return false;
        }
        return true;
    }

    // Solves in double precision, if the costs are float32, or scaled; then with prices that only shortest paths have
    // made.
    Outcome solve_again(const Problem<T>& problem, const Solution<T>& solution, double scale, Pacer& pacer,
                        Scans& scans) {
        const Kernels<double>& kernels = kernels_for<double>(kernels_.isa);
        const bool is_copied = !kIsWide || scale < 1;
        bool exact = true;
        Problem<double> wide;
        Solution<double> duals;
        if constexpr (kIsWide) {
            wide = problem;
            duals = solution;
        }
        if (is_copied) {
            if (!widen(problem, scale, wide, exact, pacer)) return {Status::ok, 0, 0, true};
            double* const both = duals_.reserve(problem.rows + problem.columns);
            duals = {solution.col_of_row, solution.row_of_col, both, both + problem.rows};
        }
        Outcome outcome;
        for (const Start start : {kIsWide ? Start::cold : Start::widened, Start::careful}) {
            // float64 costs have been solved that way already.
            if (start != Start::careful && !is_copied) continue;
            double* const workspace = wide_workspace_.reserve(kernels.workspace(wide, start));
            outcome = kernels.solve(wide, duals, workspace, pacer, scans, start);
            if (outcome.stopped || outcome.status != Status::ok) break;
            const Proof proof = kernels.prove(wide, duals, kTolerance, nullptr, nullptr, pacer);
            outcome.stopped = proof == Proof::stopped;
            if (proof == Proof::holds || proof == Proof::stopped) break;
            outcome.status = Status::precision_limit;
            // No other way finds more digits of costs that a limit dwarfs.
            if (proof == Proof::holds_beside_limit) break;
        }
        if (is_copied && is_answered(outcome.status) &&
            !(write_duals(problem, duals.col_dual, scale, solution) && exact))
            outcome.status = Status::precision_limit;
        return outcome;
    }

    const Kernels<T>& kernels_;
    Buffer<T> workspace_;
    T* floors_ = nullptr;
    Buffer<double> prices_, costs_, duals_, wide_workspace_;
};

}  // namespace coalign::assignment
