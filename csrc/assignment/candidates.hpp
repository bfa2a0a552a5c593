// The few columns of each row that matter next, so that most questions about a row need no pass over its costs.
//
// Prices only fall, so reduced costs c_ij - v_j only rise. When a pass goes through a row, it keeps the cheapest
// columns with their costs, and a bound: the reduced costs of all other columns were at least that much then, and still
// are. So what the list says of values up to the bound is exact.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class Candidates {
    static constexpr int kRoom = 32;

   public:
    Candidates(const assignment::Problem<T>& problem, const T* v, Space<T>& space)
        : p_(problem),
          v_(v),
          costs_(space.values(places(p_.rows, p_.columns))),
          bound_(space.values(p_.rows)),
          listed_(space.indices(places(p_.rows, p_.columns))),
          pay_(pay(p_.rows, p_.columns)) {
        forget();
    }

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) { return 2 * places(rows, columns) + rows; }

    // Lists do not pay for short rows: with them, uniform squares in float64 take twice the time at 100 columns, the
    // same at 200, and 0.7 of it at 500. Nor do they pay if there are many more columns than rows: rows seldom compete
    // then, and take one or two passes each.
    static bool pay(std::int64_t rows, std::int64_t columns) {
        return columns * static_cast<std::int64_t>(sizeof(T)) >= 1600 && 5 * rows >= 4 * columns;
    }
    bool pay() const { return pay_; }
    void give_up() { pay_ = false; }

    // Call this after a price has risen: no bound holds then.
    void forget() {
        for (std::int64_t i = 0; pay_ && i < p_.rows; ++i) bound_[i] = -kInfinity<T>;
    }

    bool is_known(std::int64_t i) const { return bound_[i] > -kInfinity<T>; }

    // Every column that is not listed has at least this reduced cost.
    T bound(std::int64_t i) const { return bound_[i]; }

    // The two least reduced costs of a row. If the list does not hold both, `second` is above the bound.
    TwoMinima<T> two_minima(std::int64_t i) const {
        const T* const costs = costs_ + i * kRoom;
        const Index<T>* const columns = listed_ + i * kRoom;
        Vec<T> least = infinity<T>(), second = infinity<T>();
        IntVec<T> at{};
        for (int k = 0; k < kRoom; k += kWidth<T>) {
            const IntVec<T> j = load_int<T>(columns + k);
            const Vec<T> x = load(costs + k) - gather(v_, j);
            second = minimum(second, maximum(least, x));
            at = x < least ? j : at;
            least = minimum(least, x);
        }
        Vec<T> best = least;
        two_least_lanes<T>(best, second);
        const IntVec<T> lanes = least == best;
        return {best[0], second[0], first_column<T>(bits(lanes), at)};
    }

    // Calls body(column, x) for every listed column for which x = c_j - v_j - offset is below `limit`.
    template <class Body>
    [[gnu::always_inline]] void each_below(std::int64_t i, const T* v, T offset, T limit, Body&& body) const {
        const T* const costs = costs_ + i * kRoom;
        const Index<T>* const columns = listed_ + i * kRoom;
        T x[kRoom];
        std::uint64_t set = 0;
        // All masks come first: then one loop ends at an unpredictable place, not one for every vector.
#pragma GCC unroll 16
        for (int k = 0; k < kRoom; k += kWidth<T>) {
            const Vec<T> reduced = load(costs + k) - gather(v, load_int<T>(columns + k)) - splat(offset);
            const IntVec<T> below = reduced < splat(limit);
            store(x + k, reduced);
            set |= static_cast<std::uint64_t>(bits(below)) << k;
        }
        for (; set != 0; set &= set - 1) {
            const int k = std::countr_zero(set);
            body(columns[k], x[k]);
        }
    }

    // A free column in the list whose reduced cost is `value`, or -1.
    std::int64_t free_at(std::int64_t i, T value, const std::int64_t* row_of_col) const {
        const T* const costs = costs_ + i * kRoom;
        const Index<T>* const columns = listed_ + i * kRoom;
        for (int k = 0; k < kRoom; k += kWidth<T>) {
            const IntVec<T> equal = load(costs + k) - gather(v_, load_int<T>(columns + k)) == splat(value);
            for (unsigned set = bits(equal); set != 0; set &= set - 1) {
                const std::int64_t j = columns[k + std::countr_zero(set)];
                if (row_of_col[j] < 0) return j;
            }
        }
        return -1;
    }

    // Of the columns that cost less than the limit: their least cost, or the limit if there are none, and the columns
    // that have it, in order.
    struct Affordable {
        T least;
        Index<T> tight[kRoom];
        int count;
    };

    // Whether rows seem to have few such columns. Most have them, or none has.
    bool may_list_affordable() const { return pay_ && p_.has_limit && vain_ < kVain; }

    // Goes through a row once, at prices of 0, and lists all columns that cost less than the limit; false if they are
    // more than a list holds. `sum` is that of all costs.
    [[gnu::noinline]] bool list_affordable(std::int64_t i, Affordable& found, Vec<T>& sum) {
        const T* const row = this->row(i);
        std::int32_t near[kRoom + kBlock + 16];
        int count = 0;
        Vec<T> sums[2]{};
        ++vain_;
        for (std::int64_t start = 0; start < p_.columns; start += kBlock) {
            Vec<T> least = infinity<T>();
            const auto take = [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
                sums[k / kWidth<T> % 2] += c;
                least = minimum(least, c);
            };
            if (start + kBlock <= p_.columns) {
#pragma GCC unroll 32
                for (std::int64_t k = 0; k < kBlock; k += kWidth<T>) {
                    const Vec<T> c = load(row + start + k);
                    __builtin_prefetch(reinterpret_cast<const char*>(row + start + k) + kAhead);
                    take(k, kNegate ? -c : c);
                }
            } else {
                for (std::int64_t k = start; k < p_.columns; k += kWidth<T>)
                    take(k, costs_at<T, kNegate>(row, k, p_.columns));
            }
            const IntVec<T> affordable = least < splat(p_.limit);
            if (!any(affordable)) continue;
            count += expand(below(row, start, p_.limit), static_cast<std::int32_t>(start), near + count);
            if (count > kRoom) return false;
        }
        vain_ = 0;
        sum = sums[0] + sums[1];
        keep(i, near, count);
        bound_[i] = kInfinity<T>;
        found.least = p_.limit;
        found.count = 0;
        for (int k = 0; k < count; ++k) {
            const T c = costs_[i * kRoom + k];
            if (c < found.least) found.count = 0;
            if (c <= found.least) found.tight[found.count++] = static_cast<Index<T>>(near[k]);
            found.least = c < found.least ? c : found.least;
        }
        return true;
    }

    // What no reduced cost of a row is below, up to the limit.
    T floor(std::int64_t i) const {
        const T least = two_minima(i).least;
        return least < bound_[i] ? least : bound_[i];
    }

    // Goes through a row and lists its cheapest columns; true if a cost is NaN or -inf.
    template <bool kCheck>
    bool refresh(std::int64_t i) {
        const T* const row = this->row(i);
        T limit;
        if (measure<kCheck>(row, limit)) return true;
        // A reduced cost of the limit or more will never make a pair.
        if (p_.has_limit && p_.limit < limit) limit = p_.limit;
        std::int32_t near[kRoom + kBlock + 16];
        int count = 0;
        for (std::int64_t start = 0; start < p_.columns; start += kBlock) {
            count += expand(below(row, start, limit), static_cast<std::int32_t>(start), near + count);
            if (count > kRoom) [[unlikely]]
                count = shrink(row, near, count, limit);
        }
        keep(i, near, count);
        bound_[i] = p_.has_limit && limit == p_.limit ? kInfinity<T> : limit;
        return false;
    }

   private:
    // How many groups of columns are reduced to their least value: of 8 such values the greatest has about 22 columns
    // at or below it.
    static constexpr int kGroups = 8;
    static constexpr int kSums = 4;
    static constexpr int kBlock = 64;
    // After so many rows in succession with too many affordable columns, no other row is asked.
    static constexpr int kVain = 4;

    // Finds a bound with about as many columns below it as a list holds; true if a cost is NaN or -inf.
    template <bool kCheck>
    bool measure(const T* row, T& limit) const {
        Vec<T> least[kSums];
        IntVec<T> bad{};
        for (Vec<T>& group : least) group = infinity<T>();
        const auto look = [&](int n, std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
            if constexpr (kCheck) bad |= ~(c > -infinity<T>());
            least[n] = minimum(least[n], c - load(v_ + k));
        };
        std::int64_t k = 0;
        for (; k + kSums * kWidth<T> <= p_.columns; k += kSums * kWidth<T>) {
#pragma GCC unroll 4
            for (int n = 0; n < kSums; ++n) {
                const Vec<T> c = load(row + k + n * kWidth<T>);
                look(n, k + n * kWidth<T>, kNegate ? -c : c);
            }
        }
        for (int n = 0; k < p_.columns; ++n, k += kWidth<T>) look(n, k, costs_at<T, kNegate>(row, k, p_.columns));
        // A group is a lane of one of the sums.
        int sums = kSums, lanes = kSums * kWidth<T> / kGroups;
        for (; lanes > 1 && sums > 1; lanes /= 2, sums /= 2)
            for (int n = 0; n < sums / 2; ++n) least[n] = minimum(least[n], least[n + sums / 2]);
        Vec<T> most = least[0];
        if (lanes > 1) {
            most = minimum(most, partners<kWidth<T> / 2>(most, std::make_integer_sequence<int, kWidth<T>>{}));
        }
        for (int n = 1; n < sums; ++n) most = maximum(most, least[n]);
        limit = next_above(-least_lane<T>(-most)[0]);
        return kCheck && any(bad);
    }

    // Keeps some columns and their costs. Unused places of a list name column 0 at an infinite cost.
    void keep(std::int64_t i, const std::int32_t* near, int count) {
        T* const costs = costs_ + i * kRoom;
        Index<T>* const columns = listed_ + i * kRoom;
        for (int k = 0; k < kRoom; ++k) columns[k] = static_cast<Index<T>>(k < count ? near[k] : 0);
        for (int k = 0; k < kRoom; k += kWidth<T>) {
            const IntVec<T> filled = first_indices<T>() < static_cast<Index<T>>(count - k);
            const Vec<T> c = gather(row(i), load_int<T>(columns + k));
            store(costs + k, select(filled, kNegate ? -c : c, infinity<T>()));
        }
    }

    static T next_above(T value) {
        Index<T> word;
        std::memcpy(&word, &value, sizeof word);
        if (value == 0) return std::numeric_limits<T>::denorm_min();
        if (!(value < kInfinity<T>)) return value;
        word += value > 0 ? 1 : -1;
        std::memcpy(&value, &word, sizeof word);
        return value;
    }

    static std::int64_t places(std::int64_t rows, std::int64_t columns) {
        return pay(rows, columns) ? rows * kRoom : 0;
    }

    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }

    // The columns of a block whose reduced costs are below a limit, as bits.
    std::uint64_t below(const T* row, std::int64_t start, T limit) const {
        std::uint64_t set = 0;
        const auto join = [&](int n, Vec<T> c) __attribute__((always_inline)) {
            const IntVec<T> mask = c - load(v_ + start + n * kWidth<T>) < splat(limit);
            set |= static_cast<std::uint64_t>(bits(mask)) << (n * kWidth<T>);
        };
        if (start + kBlock <= p_.columns) {
#pragma GCC unroll 32
            for (int n = 0; n < kBlock / kWidth<T>; ++n) {
                const Vec<T> c = load(row + start + n * kWidth<T>);
                join(n, kNegate ? -c : c);
            }
        } else {
            for (int n = 0; start + n * kWidth<T> < p_.columns; ++n)
                join(n, costs_at<T, kNegate>(row, start + n * kWidth<T>, p_.columns));
        }
        return set;
    }

    // A list that is too long loses what is not below its mean, which becomes the new limit; if all its costs are the
    // same, it keeps half.
    [[gnu::noinline]] int shrink(const T* row, std::int32_t* near, int count, T& limit) const {
        while (count > kRoom) {
            T x[kRoom + kBlock], mean = 0, least = kInfinity<T>, most = -kInfinity<T>;
            for (int k = 0; k < count; ++k) {
                x[k] = (kNegate ? -row[near[k]] : row[near[k]]) - v_[near[k]];
                mean += x[k] / static_cast<T>(count);
                least = x[k] < least ? x[k] : least;
                most = x[k] > most ? x[k] : most;
            }
            // Rounding may lift the mean above every cost.
            limit = mean < most ? mean : most;
            const bool same = !(least < limit);
            if (same) limit = least;
            int left = 0;
            for (int k = 0; k < count; ++k)
                if (x[k] < limit || (same && x[k] == least && left < kRoom / 2)) near[left++] = near[k];
            count = left;
        }
        return count;
    }

    const assignment::Problem<T>& p_;
    const T* v_;
    // For each row: kRoom costs and columns, in the order of the columns, and the bound.
    T *costs_, *bound_;
    Index<T>* listed_;
    bool pay_;
    int vain_ = 0;
};

}  // namespace coalign::COALIGN_SET
