// A solver whose answers are proved: what its certificate does not prove is solved again, more carefully.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "assignment/kernels.hpp"
#include "core/buffer.hpp"
#include "core/parallel.hpp"

namespace coalign::assignment {

template <class T>
class Proved {
   public:
    explicit Proved(const Kernels<T>& kernels) : kernels_(kernels) {}

    // Solves a problem; its status is precision_limit if no way leads to a proof.
    Outcome solve(const Problem<T>& problem, const Solution<T>& solution, Start start, Pacer& pacer, Scans& scans) {
        T* const workspace = workspace_.reserve(kernels_.workspace(problem.rows, problem.columns));
        Outcome outcome = kernels_.solve(problem, solution, workspace, pacer, scans, start);
        prove(problem, solution, outcome, pacer, scans);
        return outcome;
    }

    // Proves what has been solved, alone or in a group; what it cannot prove it solves again.
    void prove(const Problem<T>& problem, const Solution<T>& solution, Outcome& outcome, Pacer& pacer, Scans& scans) {
        if (outcome.stopped || outcome.status != Status::ok) return;
        const Proof proof = kernels_.prove(problem, solution, kTolerance, prices(problem.columns), pacer);
        if (proof == Proof::holds) return;
        // In float64 no other way finds more digits of costs that a limit dwarfs.
        if (settles(proof, outcome) || (kIsWide && proof == Proof::holds_beside_limit)) return;
        outcome = solve_again(problem, solution, pacer, scans);
    }

   private:
    static constexpr bool kIsWide = std::is_same_v<T, double>;
    static constexpr double kTolerance = kIsWide ? 1e-12 : 1e-6;

    double* prices(std::int64_t columns) { return prices_.reserve(columns); }

    // Whether the result of a check ends the work.
    static bool settles(Proof proof, Outcome& outcome) {
        outcome.stopped = proof == Proof::stopped;
        return proof == Proof::holds || proof == Proof::stopped;
    }

    // Solves in double precision, if the costs are float32; then with prices that only shortest paths have made.
    Outcome solve_again(const Problem<T>& problem, const Solution<T>& solution, Pacer& pacer, Scans& scans) {
        const Kernels<double>& kernels = kernels_for<double>(kernels_.isa);
        Problem<double> wide;
        Solution<double> duals;
        if constexpr (kIsWide) {
            wide = problem;
            duals = solution;
        } else {
            double* const costs = costs_.reserve(problem.rows * problem.columns);
            for (std::int64_t i = 0; i < problem.rows; ++i) {
                std::copy_n(problem.cost + i * problem.stride, problem.columns, costs + i * problem.columns);
                Outcome stopped{Status::ok, 0, 0, true};
                if (!pacer.proceed(problem.columns)) return stopped;
            }
            wide = {costs,        problem.rows, problem.columns, problem.columns, problem.maximize, problem.has_limit,
                    problem.limit};
            double* const both = duals_.reserve(problem.rows + problem.columns);
            duals = {solution.col_of_row, solution.row_of_col, both, both + problem.rows};
        }
        double* const workspace = wide_workspace_.reserve(kernels.workspace(wide.rows, wide.columns));
        Outcome outcome;
        for (const Start start : {Start::cold, Start::careful}) {
            // float64 costs have been solved that way already.
            if (start == Start::cold && kIsWide) continue;
            outcome = kernels.solve(wide, duals, workspace, pacer, scans, start);
            if (outcome.stopped || outcome.status != Status::ok) break;
            const Proof proof = kernels.prove(wide, duals, kTolerance, prices(wide.columns), pacer);
            if (settles(proof, outcome) || proof == Proof::holds_beside_limit) break;
            outcome.status = Status::precision_limit;
        }
        if constexpr (!kIsWide) {
            for (std::int64_t i = 0; i < problem.rows; ++i) solution.row_dual[i] = static_cast<T>(duals.row_dual[i]);
            for (std::int64_t j = 0; j < problem.columns; ++j) solution.col_dual[j] = static_cast<T>(duals.col_dual[j]);
        }
        return outcome;
    }

    const Kernels<T>& kernels_;
    Buffer<T> workspace_;
    Buffer<double> prices_, costs_, duals_, wide_workspace_;
};

}  // namespace coalign::assignment
