// The certificate of a matching: how far its total may be from the least one.
//
// For any prices v_j the least total is at least the sum of the rows' duals u_i = min_j(c_ij - v_j) and the prices of
// the matched columns, if free columns have price 0 and no price is above 0 (or if all columns are matched). So a total
// is too high by at most the sum over the rows of c_ij - v_j - u_i, j being the row's own column. A row that a limit
// lets go counts limit - u_i, and u_i is at most the limit.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

using assignment::Proof;

template <class T, bool kNegate>
class Certificate {
   public:
    // `floors` are those of the rows, or null; `prices` is room for the columns' prices in double precision.
    Certificate(const assignment::Problem<T>& problem, const assignment::Solution<T>& solution, const T* floors,
                double* prices, Pacer& pacer)
        : p_(problem), out_(solution), floors_(floors), prices_(prices), pacer_(pacer) {}

    // Whether the total is proved to be within `tolerance`, relative to the sum of |c| over the pairs.
    Proof prove(double tolerance) {
        for (std::int64_t j = 0; floors_ != nullptr && j < p_.columns; j += kWidth<T>) {
            const IntVec<T> above = ~(prices_from<T>(j) <= Vec<T>{});
            if (any(above)) floors_ = nullptr;
        }
        // Differences in the dtype of the costs are quick, but their roundings may hide what is to be proved. Those in
        // double precision hide less, and sums of two numbers nothing.
        Proof proof = p_.has_limit ? prove_rounded<T>(tolerance) : prove_by_sums(tolerance);
        if (proof != Proof::fails) return proof;
        if constexpr (kIsNarrow) {
            for (std::int64_t j = 0; j < p_.columns; ++j) prices_[j] = static_cast<double>(out_.col_dual[j]);
        }
        if (kIsNarrow || p_.has_limit) proof = prove_rounded<double>(tolerance);
        return proof != Proof::fails ? proof : prove_exactly(tolerance);
    }

   private:
    static constexpr bool kIsNarrow = sizeof(T) < sizeof(double);

    // Where no price is above 0, no difference of a row is below its floor, nor is one that is rounded.
    bool is_at_floor(std::int64_t i, T own) const { return floors_ != nullptr && own <= floors_[i]; }

    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }
    double limit() const { return p_.has_limit ? static_cast<double>(p_.limit) : kInfinity<double>; }

    static double size_of(double x) { return x < 0 ? -x : x; }

    template <class U>
    U at(std::int64_t i, std::int64_t j) const {
        const T c = row(i)[j];
        return static_cast<U>(kNegate ? -c : c);
    }
    template <class U>
    const U* prices() const {
        if constexpr (std::is_same_v<U, T>) return out_.col_dual;
        else return prices_;
    }
    template <class U>
    Vec<U> prices_from(std::int64_t k) const {
        const U* const v = prices<U>() + k;
        const std::int64_t left = p_.columns - k;
        return left >= kWidth<U> ? load(v) : load_first(v, static_cast<int>(left), U(0));
    }
    // Costs from column k on; past the last one they are infinite.
    template <class U>
    Vec<U> costs_from(const T* row, std::int64_t k) const {
        if constexpr (std::is_same_v<U, T>) {
            return costs_at<T, kNegate>(row, k, p_.columns);
        } else {
            typedef T Near __attribute__((vector_size(kWidth<U> * sizeof(T)), aligned(sizeof(T)), may_alias));
            T last[kWidth<U>];
            const T* from = row + k;
            if (k + kWidth<U> > p_.columns) {
                for (std::int64_t lane = 0; lane < kWidth<U>; ++lane)
                    last[lane] = k + lane < p_.columns ? from[lane] : (kNegate ? -kInfinity<T> : kInfinity<T>);
                from = last;
            }
            const Vec<U> c = __builtin_convertvector(*reinterpret_cast<const Near*>(from), Vec<U>);
            return kNegate ? -c : c;
        }
    }

    template <class U, int kStep = kWidth<U> / 2>
    static Vec<U> add_lanes(Vec<U> v) {
        if constexpr (kStep == 0) {
            return v;
        } else {
            constexpr auto lanes = std::make_integer_sequence<int, kWidth<U>>{};
            return add_lanes<U, kStep / 2>(v + partners<kStep>(v, lanes));
        }
    }
    template <class U>
    static double sum_of(Vec<U> v) {
        return static_cast<double>(add_lanes<U>(v)[0]);
    }

    // Rows that are no longer need not tell how far the work is.
    static constexpr std::int64_t kShort = 64;

    // Without a limit a row's dual is its own difference, and the pairs cost what the duals add up to: a few vectors
    // tell what otherwise every pair is asked for.
    Proof prove_by_sums(double tolerance) {
        Vec<T> excess{}, total{}, size{};
        const auto take = [&](const T* values, std::int64_t count) {
            for (std::int64_t k = 0; k < count; k += kWidth<T>) {
                const std::int64_t left = count - k;
                const Vec<T> x =
                    left >= kWidth<T> ? load(values + k) : load_first(values + k, static_cast<int>(left), T(0));
                total += x;
                size += absolute(x);
            }
        };
        take(out_.row_dual, p_.rows);
        take(out_.col_dual, p_.columns);
        const std::int64_t whole = p_.columns / kWidth<T> * kWidth<T>;
        const int left = static_cast<int>(p_.columns - whole);
        const Vec<T> last = left > 0 ? load_first(out_.col_dual + whole, left, T(0)) : Vec<T>{};
        constexpr T fill = kNegate ? -kInfinity<T> : kInfinity<T>;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            if (is_at_floor(i, out_.row_dual[i])) continue;
            const T* const c = row(i);
            Vec<T> least = infinity<T>(), other = least;
            const auto difference_at = [&](std::int64_t k) __attribute__((always_inline)) {
                return (kNegate ? -load(c + k) : load(c + k)) - load(out_.col_dual + k);
            };
            // Two minima do not wait for each other.
            std::int64_t k = 0;
            for (; k + 2 * kWidth<T> <= whole; k += 2 * kWidth<T>) {
                least = minimum(least, difference_at(k));
                other = minimum(other, difference_at(k + kWidth<T>));
            }
            if (k < whole) other = minimum(other, difference_at(k));
            least = minimum(least, other);
            if (left > 0) {
                const Vec<T> x = load_first(c + whole, left, fill);
                least = minimum(least, (kNegate ? -x : x) - last);
            }
            excess += maximum(splat(out_.row_dual[i]) - least, Vec<T>{});
            if (whole > kShort && !pacer_.proceed(whole / kWidth<T>)) return Proof::stopped;
        }
        constexpr double half = std::numeric_limits<T>::epsilon() / 2;
        const double n = static_cast<double>(p_.rows + p_.columns + kWidth<T>);
        const double slack = sum_of<T>(excess), sums = sum_of<T>(size);
        const double pairs = size_of(sum_of<T>(total)) - half * n * sums;
        const double unsure = half * (2 * sums + n * slack);
        return slack + unsure <= tolerance * pairs ? Proof::holds : Proof::fails;
    }

    // In differences of type U. What every lane of a row finds below the row's own difference is added up, which counts
    // an excess more than once at most.
    template <class U>
    Proof prove_rounded(double tolerance) {
        Vec<U> excess{};
        double slack = 0, size = 0, sum = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            U own = static_cast<U>(p_.limit);
            if (j >= 0) {
                const U c = at<U>(i, j);
                own = c - prices<U>()[j];
                size += size_of(static_cast<double>(c));
            }
            sum += size_of(static_cast<double>(own));
            if (p_.has_limit && own > static_cast<U>(p_.limit)) {
                slack += static_cast<double>(own) - limit();
                own = static_cast<U>(p_.limit);
            }
            if constexpr (std::is_same_v<U, T>) {
                if (is_at_floor(i, own)) continue;
            }
            Vec<U> least = infinity<U>();
            std::int64_t k = 0;
            for (; k + kWidth<U> <= p_.columns; k += kWidth<U>)
                least = minimum(least, costs_from<U>(row(i), k) - prices_from<U>(k));
            if (k < p_.columns) least = minimum(least, costs_from<U>(row(i), k) - prices_from<U>(k));
            excess += maximum(splat(own) - least, Vec<U>{});
            if (!pacer_.proceed(p_.columns / kWidth<U>)) return Proof::stopped;
        }
        slack += sum_of<U>(excess);
        // A difference is off by at most half an ulp of its value, an excess by half an ulp for each row that was
        // added to it. The least difference of a row is at most its own and the excess.
        constexpr double half = std::numeric_limits<U>::epsilon() / 2;
        const double unsure = half * (2 * sum + static_cast<double>(p_.rows + kWidth<U>) * slack);
        // Costs near the largest number may overflow, which proves nothing.
        return size < kInfinity<double> && slack + unsure <= tolerance * size ? Proof::holds : Proof::fails;
    }

    Proof prove_exactly(double tolerance) {
        double slack = 0, size = 0, limits = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            Difference dual = least(row(i));
            if (dual.value > limit() || (dual.value == limit() && dual.rest > 0)) dual = {limit(), 0};
            Difference own{limit(), 0};
            if (j >= 0) {
                const double c = at<double>(i, j);
                own = difference(c, prices<double>()[j]);
                size += size_of(c);
                limits += size_of(limit());
            }
            slack += (own.value - dual.value) + (own.rest - dual.rest);
            if (!pacer_.proceed(4 * p_.columns / kWidth<double>)) return Proof::stopped;
        }
        if (size < kInfinity<double> && slack <= tolerance * size) return Proof::holds;
        return p_.has_limit && slack <= tolerance * (size + limits) ? Proof::holds_beside_limit : Proof::fails;
    }

    // c - v as a rounded value and what its rounding took away.
    struct Difference {
        double value, rest;
    };

    static Difference difference(double c, double v) {
        const double value = c - v, part = value - c;
        return {value, (c - (value - part)) - (v + part)};
    }

    // The least c - v of a row, with the least rest among equal values.
    Difference least(const T* row) const {
        Vec<double> value = infinity<double>(), rest{};
        for (std::int64_t k = 0; k < p_.columns; k += kWidth<double>) {
            const Vec<double> c = costs_from<double>(row, k), v = prices_from<double>(k), x = c - v, part = x - c;
            const Vec<double> e = (c - (x - part)) - (v + part);
            const auto less = (x < value) | ((x == value) & (e < rest));
            rest = less ? e : rest;
            value = less ? x : value;
        }
        Difference found{kInfinity<double>, 0};
        for (int lane = 0; lane < kWidth<double>; ++lane)
            if (value[lane] < found.value || (value[lane] == found.value && rest[lane] < found.rest))
                found = {value[lane], rest[lane]};
        return found;
    }

    const assignment::Problem<T>& p_;
    const assignment::Solution<T>& out_;
    const T* floors_;
    double* prices_;
    Pacer& pacer_;
};

}  // namespace coalign::COALIGN_SET
