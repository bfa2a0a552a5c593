// The sparse solver with answers that are proved, as in proved.hpp: what its certificate does not prove is solved
// again, more carefully.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "assignment/kernels.hpp"
#include "assignment/rows.hpp"
#include "assignment/sparse_certificate.hpp"
#include "assignment/sparse_solver.hpp"

namespace coalign::assignment {

template <class T>
class ProvedSparse {
   public:
    explicit ProvedSparse(Pacer& pacer) : pacer_(pacer), solver_(pacer), wide_solver_(pacer) {}

    // Solves a problem; its status is precision_limit if no way leads to a proof. `limit` is infinite if there is none;
    // `prices`, of the columns, are for a warm start, or null.
    Outcome solve(const Rows<T>& rows, double limit, const T* prices) {
        is_wide_ = false;
        const T own_limit = round_up<T>(limit);
        // A limit beyond float32 is none there.
        if (std::isinf(own_limit) && !std::isinf(limit)) return solve_again(rows, limit);
        Outcome outcome = solver_.solve(rows, own_limit, prices != nullptr ? Start::warm : Start::cold, prices);
        if (outcome.stopped) return outcome;
        if (outcome.status != Status::ok) return rows.largest() < kLarge<T> ? outcome : solve_again(rows, limit);
        const Proof proof = SparseCertificate<T>(rows, solver_, limit, pacer_).prove(kTolerance);
        // In float64 no other way finds more digits of costs that a limit dwarfs.
        if (settles(proof, outcome) || (kIsWide && proof == Proof::holds_beside_limit)) return outcome;
        return solve_again(rows, limit);
    }

    // The pair of a row; its column is negative if there is none.
    Entry<T> pair(std::int64_t i) const {
        if (!is_wide_) return solver_.pair(i);
        const Entry<double>& pair = wide_solver_.pair(i);
        return {static_cast<T>(pair.cost / scale_), pair.column};
    }
    T price(std::int64_t j) const {
        return is_wide_ ? static_cast<T>(wide_solver_.price(j) / scale_) : solver_.price(j);
    }

   private:
    static constexpr bool kIsWide = std::is_same_v<T, double>;
    static constexpr double kTolerance = kIsWide ? 1e-12 : 1e-6;
    // Sums of a few such costs may overflow.
    template <class Number>
    static constexpr Number kLarge = std::numeric_limits<Number>::max() * std::numeric_limits<Number>::epsilon();

    // Whether the result of a check ends the work.
    static bool settles(Proof proof, Outcome& outcome) {
        outcome.stopped = proof == Proof::stopped;
        return proof == Proof::holds || proof == Proof::stopped;
    }

    // Solves in double precision, if the costs are float32; then with prices that only shortest paths have made. Costs
    // near the largest number are made smaller, so that no difference overflows.
    Outcome solve_again(const Rows<T>& rows, double limit) {
        is_wide_ = true;
        scale_ = static_cast<double>(rows.largest()) < kLarge<double> ? 1 : 0x1p-100;
        wide_.take_wide(rows, scale_);
        Outcome outcome;
        for (const Start start : {Start::cold, Start::careful}) {
            // float64 costs have been solved that way already.
            if (start == Start::cold && kIsWide) continue;
            outcome = wide_solver_.solve(wide_, limit * scale_, start, nullptr);
            if (outcome.stopped || outcome.status != Status::ok) break;
            if (start == Start::careful && !wide_solver_.settle_prices()) return {Status::ok, 0, 0, true};
            const Proof proof =
                SparseCertificate<double>(wide_, wide_solver_, limit * scale_, pacer_).prove(kTolerance);
            if (settles(proof, outcome) || proof == Proof::holds_beside_limit) break;
            outcome.status = Status::precision_limit;
        }
        return outcome;
    }

    Pacer& pacer_;
    SparseSolver<T> solver_;
    SparseSolver<double> wide_solver_;
    Rows<double> wide_;
    bool is_wide_ = false;
    double scale_ = 1;
};

}  // namespace coalign::assignment
