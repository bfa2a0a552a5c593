// The certificate of a matching, checked by a block: csrc/assignment/certificate.hpp says what it proves.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "assignment_columns.cuh"
#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/team.cuh"

namespace coalign::cuda {

// Beside a limit, which counts for every pair, a proof may hold only relative to the limit.
enum class Proof { holds, holds_beside_limit, fails };

// What a row adds to the sums, in global memory: they are added up in an order that does not depend on the block's
// size.
struct RowSums {
    double *slack, *size;
};

// What is proved: `problem` as the solver has it, the column of each row, and the columns' prices times `price_sign`.
template <class Cost, class Price>
class Certificate {
   public:
    __device__ Certificate(const Oriented<double, Cost>& problem, const int* col_of_row, const Price* price,
                           double price_sign, const RowSums& sums)
        : p_(problem), col_of_row_(col_of_row), price_(price), price_sign_(price_sign), sums_(sums) {}

    // Whether the total is proved to be within `tolerance`, relative to the sum of |c| over the pairs. All threads of
    // the block are told.
    __device__ Proof prove(double tolerance) const {
        if constexpr (sizeof(Cost) == sizeof(float) && sizeof(Price) == sizeof(float)) {
            const Proof proof = prove_by<Differences::own>(tolerance);
            if (proof != Proof::fails) return proof;
        }
        const Proof proof = prove_by<Differences::wide>(tolerance);
        return proof != Proof::fails ? proof : prove_by<Differences::exact>(tolerance);
    }

   private:
    // In float32, in double precision, or there as sums of two numbers.
    enum class Differences { own, wide, exact };

    // c - v as a rounded value and what its rounding took away.
    struct Difference {
        double value, rest;
    };

    // A warp for each row.
    template <Differences kBy>
    __device__ Proof prove_by(double tolerance) const {
        constexpr bool exactly = kBy == Differences::exact;
        // A difference is rounded by at most half an ulp; twice that covers the sums as well.
        constexpr double ulp = kBy == Differences::own ? kEpsilon<Cost> : kEpsilon<double>;
        const double limit = p_.has_limit ? p_.limit : kInfinity<double>;
        const int warps = static_cast<int>(blockDim.x / kWarp);
        for (int i = static_cast<int>(threadIdx.x / kWarp); i < p_.rows; i += warps) {
            Difference dual = least<kBy>(p_.row(i));
            if (!(dual.value < limit)) dual = {limit, 0};
            Difference own{limit, 0};
            double size = 0;
            if (const int j = col_of_row_[i]; j >= 0) {
                const double cost = p_.at(i, j);
                own = difference(cost, price(j));
                size = absolute(cost);
            }
            double slack = own.value - dual.value;
            if (exactly) slack += own.rest - dual.rest;
            else slack += ulp * (absolute(own.value) + absolute(dual.value));
            if (threadIdx.x % kWarp == 0) {
                sums_.slack[i] = slack;
                sums_.size[i] = size;
            }
        }
        __syncthreads();
        double slack = 0, size = 0, limits = 0;
        for (int i = static_cast<int>(threadIdx.x % kWarp); i < p_.rows; i += static_cast<int>(kWarp)) {
            slack += sums_.slack[i];
            size += sums_.size[i];
            if (p_.has_limit && col_of_row_[i] >= 0) limits += absolute(limit);
        }
        slack = warp_sum(slack);
        size = warp_sum(size);
        limits = warp_sum(limits);
        __syncthreads();
        // Costs near the largest number may overflow, which proves nothing.
        if (size < kInfinity<double> && slack <= tolerance * size) return Proof::holds;
        size += limits;
        if (exactly && size < kInfinity<double> && slack <= tolerance * size) return Proof::holds_beside_limit;
        return Proof::fails;
    }

    __device__ double price(int j) const { return price_sign_ * static_cast<double>(price_[j]); }

    static __device__ Difference difference(double c, double v) {
        const double value = c - v, part = value - c;
        return {value, (c - (value - part)) - (v + part)};
    }

    // The least c - v of a row; exactly: with the least rest among equal values.
    template <Differences kBy>
    __device__ Difference least(const Cost* row) const {
        const int lane = static_cast<int>(threadIdx.x % kWarp);
        if constexpr (kBy == Differences::own) {
            const auto sign = static_cast<Cost>(p_.sign), price_sign = static_cast<Cost>(price_sign_);
            Cost value = kInfinity<Cost>;
#pragma unroll 8
            for (int j = lane; j < p_.columns; j += static_cast<int>(kWarp))
                value = lesser(value, sign * __ldg(row + j) - price_sign * price_[j]);
            return {static_cast<double>(warp_minimum(value)), 0};
        } else {
            Difference found{kInfinity<double>, 0};
#pragma unroll 8
            for (int j = lane; j < p_.columns; j += static_cast<int>(kWarp)) {
                const Difference next = difference(p_.sign * static_cast<double>(__ldg(row + j)), price(j));
                if constexpr (kBy == Differences::exact) {
                    if (next.value < found.value || (next.value == found.value && next.rest < found.rest)) found = next;
                } else {
                    found.value = lesser(found.value, next.value);
                }
            }
            const double value = warp_minimum(found.value);
            if constexpr (kBy == Differences::wide) return {value, 0};
            return {value, warp_minimum(found.value == value ? found.rest : kInfinity<double>)};
        }
    }

    const Oriented<double, Cost> p_;
    const int* col_of_row_;
    const Price* price_;
    double price_sign_;
    RowSums sums_;
};

}  // namespace coalign::cuda
