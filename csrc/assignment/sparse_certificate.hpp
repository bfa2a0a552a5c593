// The certificate of a matching of sparse rows, checked in double precision. What certificate.hpp says of it holds here
// too: a total is too high by at most the sum over the rows of c_ij - v_j - u_i, j being the row's own column.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "assignment/kernels.hpp"
#include "assignment/rows.hpp"
#include "assignment/sparse_solver.hpp"

namespace coalign::assignment {

template <class T>
class SparseCertificate {
   public:
    // `limit` is infinite if there is none.
    SparseCertificate(const Rows<T>& rows, const SparseSolver<T>& solved, double limit, Pacer& pacer)
        : rows_(rows), solved_(solved), limit_(limit), pacer_(pacer) {}

    // Whether the total is proved to be within `tolerance`, relative to the sum of |c| over the pairs.
    Proof prove(double tolerance) {
        // Plain differences have roundings that may hide what is to be proved, exact ones have none.
        const Proof proof = prove_by<false>(tolerance);
        return proof != Proof::fails ? proof : prove_by<true>(tolerance);
    }

   private:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();

    template <bool kExactly>
    Difference difference(const Entry<T>& entry) const {
        const auto c = static_cast<double>(entry.cost), v = static_cast<double>(solved_.price(entry.column));
        return kExactly ? Difference::of(c, v) : Difference{c - v, 0};
    }

    template <bool kExactly>
    Proof prove_by(double tolerance) {
        double slack = 0, rounding = 0, size = 0, limits = 0;
        for (std::int64_t i = 0; i < rows_.rows(); ++i) {
            Difference dual{limit_, 0}, own{limit_, 0};
            for (std::int64_t e = rows_.begin(i); e < rows_.end(i); ++e) {
                const Difference x = difference<kExactly>(rows_[e]);
                if (kExactly ? x < dual : x.value < dual.value) dual = x;
            }
            const Entry<T>& pair = solved_.pair(i);
            if (pair.column >= 0) {
                own = difference<kExactly>(pair);
                size += std::abs(static_cast<double>(pair.cost));
                if (limit_ < kInfinity) limits += std::abs(limit_);
            }
            slack += (own.value - dual.value) + (own.rest - dual.rest);
            rounding += std::abs(own.value) + std::abs(dual.value);
            if (!pacer_.proceed(rows_.end(i) - rows_.begin(i) + 1)) return Proof::stopped;
        }
        // Each difference is rounded by at most half an ulp; twice that covers the sums as well.
        const double unsure = kExactly ? 0 : rounding * std::numeric_limits<double>::epsilon();
        // Costs near the largest number may overflow, which proves nothing.
        if (size < kInfinity && std::max(slack, 0.0) + unsure <= tolerance * size) return Proof::holds;
        size += limits;
        return kExactly && size < kInfinity && slack <= tolerance * size ? Proof::holds_beside_limit : Proof::fails;
    }

    const Rows<T>& rows_;
    const SparseSolver<T>& solved_;
    const double limit_;
    Pacer& pacer_;
};

}  // namespace coalign::assignment
