// The certificate of a matching, checked in double precision: how far its total may be from the least one.
//
// For any prices v_j the least total is at least the sum of the rows' duals u_i = min_j(c_ij - v_j) and the prices of
// the matched columns, if free columns have price 0 and no price is above 0 (or if all columns are matched). So a total
// is too high by at most the sum over the rows of c_ij - v_j - u_i, j being the row's own column. A row that a limit
// lets go counts limit - u_i, and u_i is at most the limit.
#pragma once

#include <cstdint>
#include <limits>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class Certificate {
   public:
    // `prices` is room for the columns' prices in double precision, padded to whole vectors.
    Certificate(const assignment::Problem<T>& problem, const assignment::Solution<T>& solution, double* prices,
                Pacer& pacer)
        : p_(problem), out_(solution), prices_(prices), pacer_(pacer) {
        for (std::int64_t j = 0; j < padded<double>(p_.columns); ++j)
            prices_[j] = j < p_.columns ? static_cast<double>(out_.col_dual[j]) : 0;
    }

    // Whether the total is proved to be within `tolerance`, relative to the sum of |c| over the pairs.
    assignment::Proof prove(double tolerance) {
        // float32 differences are quick, plain ones have roundings that may hide what is to be proved, exact ones have
        // none.
        if constexpr (sizeof(T) < sizeof(double)) {
            const assignment::Proof proof = prove_by<Differences::own>(tolerance);
            if (proof != assignment::Proof::fails) return proof;
        }
        const assignment::Proof proof = prove_by<Differences::wide>(tolerance);
        return proof != assignment::Proof::fails ? proof : prove_by<Differences::exact>(tolerance);
    }

   private:
    // In the dtype of the costs, in double precision, or there as sums of two numbers.
    enum class Differences { own, wide, exact };

    template <Differences kBy>
    assignment::Proof prove_by(double tolerance) {
        constexpr bool exactly = kBy == Differences::exact;
        double slack = 0, rounding = 0, size = 0, limits = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            const double limit = p_.has_limit ? static_cast<double>(p_.limit) : kInfinity<double>;
            Difference dual = least<kBy>(row(i));
            if (!(dual.value < limit)) dual = {limit, 0};
            Difference own{limit, 0};
            if (j >= 0) {
                own = difference(wide(row(i)[j]), prices_[j]);
                size += own.cost < 0 ? -own.cost : own.cost;
                if (p_.has_limit) limits += limit < 0 ? -limit : limit;
            }
            slack += (own.value - dual.value) + (exactly ? own.rest - dual.rest : 0);
            rounding += (own.value < 0 ? -own.value : own.value) + (dual.value < 0 ? -dual.value : dual.value);
            if (!pacer_.proceed(p_.columns / kWidth<double>)) return assignment::Proof::stopped;
        }
        // Each difference is rounded by at most half an ulp; twice that covers the sums as well.
        constexpr double ulp = kBy == Differences::own ? std::numeric_limits<T>::epsilon() : 0x1p-52;
        const double unsure = exactly ? 0 : rounding * ulp;
        // Costs near the largest number may overflow, which proves nothing. What float32 rounds down is not taken off.
        if (size < kInfinity<double> && (slack > 0 ? slack : 0) + unsure <= tolerance * size)
            return assignment::Proof::holds;
        size += limits;
        if (exactly && size < kInfinity<double> && slack <= tolerance * size)
            return assignment::Proof::holds_beside_limit;
        return assignment::Proof::fails;
    }

    // c - v as a rounded value and what its rounding took away.
    struct Difference {
        double value, rest, cost = 0;
    };

    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }
    static double wide(T cost) { return static_cast<double>(kNegate ? -cost : cost); }

    static Difference difference(double c, double v) {
        const double value = c - v, part = value - c;
        return {value, (c - (value - part)) - (v + part), c};
    }

    // Costs from column k on; past the last one they are infinite.
    Vec<double> costs(const T* row, std::int64_t k) const {
        typedef T Near __attribute__((vector_size(kWidth<double> * sizeof(T)), aligned(sizeof(T)), may_alias));
        T last[kWidth<double>];
        const T* from = row + k;
        if (k + kWidth<double> > p_.columns) {
            for (std::int64_t lane = 0; lane < kWidth<double>; ++lane)
                last[lane] = k + lane < p_.columns ? from[lane] : (kNegate ? -kInfinity<T> : kInfinity<T>);
            from = last;
        }
        const Vec<double> c = __builtin_convertvector(*reinterpret_cast<const Near*>(from), Vec<double>);
        return kNegate ? -c : c;
    }

    // The least c - v of a row; exactly: with the least rest among equal values.
    template <Differences kBy>
    Difference least(const T* row) const {
        if constexpr (kBy == Differences::own) {
            Vec<T> value = infinity<T>();
            const T* const v = out_.col_dual;
            std::int64_t k = 0;
            for (; k + kWidth<T> <= p_.columns; k += kWidth<T>)
                value = minimum(value, costs_at<T, kNegate>(row, k, p_.columns) - load(v + k));
            if (k < p_.columns) {
                const int left = static_cast<int>(p_.columns - k);
                value = minimum(value, costs_at<T, kNegate>(row, k, p_.columns) - load_first(v + k, left, T(0)));
            }
            return {static_cast<double>(least_lane<T>(value)[0]), 0};
        } else {
            return least_in_double < kBy == Differences::exact > (row);
        }
    }

    template <bool kExactly>
    Difference least_in_double(const T* row) const {
        Vec<double> value = infinity<double>(), rest{};
        for (std::int64_t k = 0; k < p_.columns; k += kWidth<double>) {
            const Vec<double> c = costs(row, k), v = load(prices_ + k), x = c - v;
            if constexpr (kExactly) {
                const Vec<double> part = x - c, e = (c - (x - part)) - (v + part);
                const auto less = (x < value) | ((x == value) & (e < rest));
                rest = less ? e : rest;
                value = less ? x : value;
            } else {
                value = minimum(value, x);
            }
        }
        if constexpr (!kExactly) return {least_lane<double>(value)[0], 0};
        Difference found{kInfinity<double>, 0};
        for (int lane = 0; lane < kWidth<double>; ++lane)
            if (value[lane] < found.value || (value[lane] == found.value && rest[lane] < found.rest))
                found = {value[lane], rest[lane]};
        return found;
    }

    const assignment::Problem<T>& p_;
    const assignment::Solution<T>& out_;
    double* prices_;
    Pacer& pacer_;
};

}  // namespace coalign::COALIGN_SET
