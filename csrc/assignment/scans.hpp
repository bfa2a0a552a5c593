// Passes over one row of costs, in lanes. All of them see c_ij, or when maximising -c_ij, and subtract v_j.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/lanes.hpp"

namespace coalign::COALIGN_SET {

template <class T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
using Index = typename LaneTypes<T>::Int;

// Columns of a problem, rounded up to whole vectors.
template <class T>
[[gnu::always_inline]] inline std::int64_t padded(std::int64_t columns) {
    return (columns + kWidth<T> - 1) / kWidth<T> * kWidth<T>;
}

// A vector of costs from column k on; past the last column they are infinite.
template <class T, bool kNegate>
[[gnu::always_inline]] inline Vec<T> costs_at(const T* row, std::int64_t k, std::int64_t columns) {
    const std::int64_t left = columns - k;
    const Vec<T> c = left >= kWidth<T>
                         ? load(row + k)
                         : load_first(row + k, static_cast<int>(left), kNegate ? -kInfinity<T> : kInfinity<T>);
    return kNegate ? -c : c;
}

// Calls body(k, costs from column k on) for every vector of a row.
template <class T, bool kNegate, class Body>
[[gnu::always_inline]] inline void for_each_vector(const T* row, std::int64_t columns, Body&& body) {
    std::int64_t k = 0;
    for (; k + kWidth<T> <= columns; k += kWidth<T>) {
        const Vec<T> c = load(row + k);
        body(k, kNegate ? -c : c);
    }
    if (k < columns) body(k, costs_at<T, kNegate>(row, k, columns));
}

template <class T>
[[gnu::always_inline]] inline IntVec<T> first_indices() {
    IntVec<T> j{};
    for (int lane = 0; lane < kWidth<T>; ++lane) j[lane] = static_cast<Index<T>>(lane);
    return j;
}

// The least column among the lanes whose bits are set, of which there is at least one.
template <class T>
[[gnu::always_inline]] inline std::int64_t first_column(unsigned set, IntVec<T> at) {
    std::int64_t column = at[std::countr_zero(set)];
    while ((set &= set - 1) != 0) {
        const std::int64_t other = at[std::countr_zero(set)];
        if (other < column) column = other;
    }
    return column;
}

template <class T>
struct TwoMinima {
    T least, second;
    std::int64_t column;
    bool bad;
};

// The two least of c_j - v_j, and the first column of the least. With kCheck also whether a cost is NaN, or -inf.
template <class T, bool kNegate, bool kCheck = false>
inline TwoMinima<T> two_minima(const T* row, const T* v, std::int64_t columns) {
    Vec<T> least = infinity<T>(), second = infinity<T>();
    IntVec<T> at{}, j = first_indices<T>(), bad{};
    for_each_vector<T, kNegate>(row, columns, [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
        if constexpr (kCheck) bad |= ~(c > -infinity<T>());
        const Vec<T> x = c - load(v + k);
        second = minimum(second, maximum(least, x));
        at = x < least ? j : at;
        least = minimum(least, x);
        j += static_cast<Index<T>>(kWidth<T>);
    });
    Vec<T> best = least;
    two_least_lanes<T>(best, second);
    // Where a cost is NaN no lane may have the least.
    const IntVec<T> lanes = least == best;
    const unsigned set = bits(lanes);
    return {best[0], second[0], set != 0 ? first_column<T>(set, at) : 0, kCheck && any(bad)};
}

// A free column whose c_j - v_j is `value`, or -1.
template <class T, bool kNegate>
inline std::int64_t free_column_at(const T* row, const T* v, std::int64_t columns, T value,
                                   const std::int64_t* row_of_col) {
    for (std::int64_t k = 0; k < columns; k += kWidth<T>) {
        const auto equal = costs_at<T, kNegate>(row, k, columns) - load(v + k) == splat(value);
        if (!any(equal)) continue;
        for (std::int64_t j = k; j < columns && j < k + kWidth<T>; ++j)
            if (equal[j - k] && row_of_col[j] < 0) return j;
    }
    return -1;
}

// The distances of one search: d_j, and the row before column j; w_j is v_j, or -inf once j has been scanned.
template <class T>
struct Search {
    T *d, *w;
    Index<T>* before;
};

template <class T>
struct Nearest {
    T distance;
    std::int64_t column;
    bool tied;
};

// d_j = min(d_j, max(c_j - w_j - offset, reached)), and the nearest column that has not been scanned.
template <class T, bool kNegate, bool kFirst>
inline Nearest<T> relax(const T* row, std::int64_t columns, const Search<T>& search, T offset, T reached,
                        Index<T> from) {
    Vec<T> least = infinity<T>();
    IntVec<T> at{}, j = first_indices<T>(), tied{};
    for_each_vector<T, kNegate>(row, columns, [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
        Vec<T> x = c - load(search.w + k) - splat(offset);
        Vec<T> d;
        if constexpr (kFirst) {
            d = x;
            store(search.d + k, d);
        } else {
            x = maximum(x, splat(reached));
            d = load(search.d + k);
            const auto nearer = x < d;
            if (any(nearer)) {
                d = minimum(d, x);
                store(search.d + k, d);
                IntVec<T> before = load_int<T>(search.before + k);
                before = nearer ? IntVec<T>{} + from : before;
                std::memcpy(search.before + k, &before, sizeof before);
            }
        }
        const auto less = d < least;
        tied = (tied & ~less) | (d == least);
        at = less ? j : at;
        least = minimum(least, d);
        j += static_cast<Index<T>>(kWidth<T>);
    });
    const Vec<T> nearest = least_lane<T>(least);
    const IntVec<T> lanes = least == nearest;
    const unsigned equal = bits(lanes);
    const bool several = (equal & (equal - 1)) != 0 || (equal & bits(tied)) != 0;
    return {nearest[0], first_column<T>(equal, at), several};
}

// mean over some rows of the finite spread of c_j - v_j: a scale that neither shifts nor units change.
template <class T, bool kNegate>
inline T spread(const T* row, const T* v, std::int64_t columns) {
    Vec<T> low = infinity<T>(), high = -infinity<T>();
    for (std::int64_t k = 0; k < columns; k += kWidth<T>) {
        const Vec<T> x = costs_at<T, kNegate>(row, k, columns) - load(v + k);
        low = minimum(low, x);
        high = maximum(high, select(x < infinity<T>(), x, low));
    }
    T least = kInfinity<T>, most = -kInfinity<T>;
    for (int lane = 0; lane < kWidth<T>; ++lane) {
        if (low[lane] < least) least = low[lane];
        if (high[lane] < kInfinity<T> && high[lane] > most) most = high[lane];
    }
    return most > least ? most - least : T(0);
}

}  // namespace coalign::COALIGN_SET
