// Passes over one row of costs, in lanes. All of them see c_ij, or when maximising -c_ij, and subtract v_j.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "assignment/kernels.hpp"
#include "core/lanes.hpp"

namespace coalign::COALIGN_SET {

template <class T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
using Index = typename LaneTypes<T>::Int;

// The number of columns, rounded up to whole vectors.
template <class T>
[[gnu::always_inline]] inline std::int64_t padded(std::int64_t columns) {
    return (columns + kWidth<T> - 1) / kWidth<T> * kWidth<T>;
}

// A problem's workspace, handed out from the front in whole cache lines: a vector that lies across two of them costs
// two loads, which was a tenth of the time of 60 x 120 costs.
template <class T>
class Space {
   public:
    explicit Space(T* start) : next_(start) {}

    // What so many parts take beyond their elements.
    static constexpr std::int64_t rounding(std::int64_t parts) { return parts * (kLine - 1); }

    T* values(std::int64_t count) {
        T* const taken = next_;
        next_ += (count + kLine - 1) / kLine * kLine;
        return taken;
    }
    Index<T>* indices(std::int64_t count) { return reinterpret_cast<Index<T>*>(values(count)); }
    std::make_unsigned_t<Index<T>>* bits(std::int64_t count) {
        return reinterpret_cast<std::make_unsigned_t<Index<T>>*>(values(count));
    }

   private:
    static constexpr std::int64_t kLine = 64 / sizeof(T);

    T* next_;
};

// A vector of costs from column k on; past the last column they are infinite.
template <class T, bool kNegate>
[[gnu::always_inline]] inline Vec<T> costs_at(const T* row, std::int64_t k, std::int64_t columns) {
    const std::int64_t left = columns - k;
    const Vec<T> c = left >= kWidth<T>
                         ? load(row + k)
                         : load_first(row + k, static_cast<int>(left), kNegate ? -kInfinity<T> : kInfinity<T>);
    return kNegate ? -c : c;
}

// The same, where `whole` may say that the vector does not end past the last column.
template <class T, bool kNegate, bool kWhole>
[[gnu::always_inline]] inline Vec<T> costs_at(const T* row, std::int64_t k, std::int64_t columns,
                                              std::bool_constant<kWhole>) {
    if constexpr (!kWhole) return costs_at<T, kNegate>(row, k, columns);
    const Vec<T> c = load(row + k);
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
[[gnu::always_inline]] inline IntVec<T> first_indices();

// Sets one of some values that vectors are loaded of next, from a whole vector on. It stores a vector: the loads would
// wait for a store of one value until it has reached the cache.
template <class T>
[[gnu::always_inline]] inline void set_lane(T* values, std::int64_t j, T value) {
    T* const from = values + j / kWidth<T> * kWidth<T>;
    const IntVec<T> here = first_indices<T>() == static_cast<Index<T>>(j % kWidth<T>);
    store(from, select(here, splat(value), load(from)));
}

template <class T>
[[gnu::always_inline]] inline IntVec<T> first_indices() {
    IntVec<T> j{};
    for (int lane = 0; lane < kWidth<T>; ++lane) j[lane] = static_cast<Index<T>>(lane);
    return j;
}

// The least column among the lanes whose bits are set; at least one is.
template <class T>
[[gnu::always_inline]] inline std::int64_t first_column(unsigned set, IntVec<T> at) {
    std::int64_t column = at[std::countr_zero(set)];
    while ((set &= set - 1) != 0) {
        const std::int64_t other = at[std::countr_zero(set)];
        if (other < column) column = other;
    }
    return column;
}

// The first cost of row i that is NaN or the infinity that forbids nothing, if there is one.
template <class T, bool kNegate>
inline assignment::Outcome first_bad(const T* row, std::int64_t columns, std::int64_t i) {
    for (std::int64_t j = 0; j < columns; ++j) {
        const T c = kNegate ? -row[j] : row[j];
        if (c != c) return {Status::nan, i, j, false};
        if (c == -kInfinity<T>) return {Status::invalid, i, j, false};
    }
    return {};
}

template <class T>
struct TwoMinima {
    T least, second;
    std::int64_t column;
    bool bad = false;
};

// The two least of the values of a row, and the first column of the least, taken in vector by vector from column 0 on.
template <class T>
class Minima {
   public:
    [[gnu::always_inline]] void take(Vec<T> x) {
        second_ = minimum(second_, maximum(least_, x));
        at_ = x < least_ ? column_ : at_;
        least_ = minimum(least_, x);
        column_ += static_cast<Index<T>>(kWidth<T>);
    }
    [[gnu::always_inline]] TwoMinima<T> found(bool bad) const {
        Vec<T> best = least_, second = second_;
        two_least_lanes<T>(best, second);
        // If a cost is NaN, perhaps no lane has the least.
        const IntVec<T> lanes = least_ == best;
        const unsigned set = bits(lanes);
        return {best[0], second[0], set != 0 ? first_column<T>(set, at_) : 0, bad};
    }
    // Of each lane: the least and its column, and what no other is below.
    Vec<T> nearest() const { return least_; }
    IntVec<T> columns() const { return at_; }
    Vec<T> others() const { return second_; }

   private:
    Vec<T> least_ = infinity<T>(), second_ = infinity<T>();
    IntVec<T> at_{}, column_ = first_indices<T>();
};

// A pass over many columns reduces each span of them to one vector before it compares that with the least so far. That
// takes a third of the operations of two minima.
inline constexpr std::int64_t kSpan = 64;
// How far ahead of itself such a pass asks for costs, in bytes.
inline constexpr std::int64_t kAhead = 1024;

// The least of the values of a row, and the first column of a span that has it. `other` is the least value in another
// span, or in another lane of that one.
template <class T>
struct LeastSpan {
    T least, other;
    std::int64_t first;
};

// body(k, costs from column k on) sees all of them.
template <class T, bool kNegate, class Body>
[[gnu::always_inline]] inline LeastSpan<T> least_span(const T* row, std::int64_t columns, Body&& body) {
    Vec<T> least = infinity<T>(), other = infinity<T>();
    IntVec<T> at{}, first{};
    const auto join = [&](Vec<T> near) __attribute__((always_inline)) {
        other = minimum(other, maximum(least, near));
        at = near < least ? first : at;
        least = minimum(least, near);
        first += static_cast<Index<T>>(kSpan);
    };
    std::int64_t k = 0;
    for (; k + kSpan <= columns; k += kSpan) {
        Vec<T> near = infinity<T>();
#pragma GCC unroll 8
        for (std::int64_t n = k; n < k + kSpan; n += kWidth<T>) {
            const Vec<T> c = load(row + n);
            // Costs that come from the third-level cache: 6 % of the time of 400 x 400 with ties.
            __builtin_prefetch(reinterpret_cast<const char*>(row + n) + kAhead);
            body(n, kNegate ? -c : c);
            near = minimum(near, kNegate ? -c : c);
        }
        join(near);
    }
    if (k < columns) {
        Vec<T> near = infinity<T>();
        for (; k < columns; k += kWidth<T>) {
            const Vec<T> c = costs_at<T, kNegate>(row, k, columns);
            body(k, c);
            near = minimum(near, c);
        }
        join(near);
    }
    Vec<T> best = least;
    two_least_lanes<T>(best, other);
    const IntVec<T> lanes = least == best;
    // If a cost is NaN, perhaps no lane has the least.
    const unsigned set = bits(lanes) | 1u << (kWidth<T> - 1);
    return {best[0], other[0], at[std::countr_zero(set)]};
}

// Takes in c_j - v_j; with kCheck it tells whether a cost is NaN, or -inf.
template <class T, bool kNegate, bool kCheck>
[[gnu::always_inline]] inline bool take_minima(const T* row, const T* v, std::int64_t columns, Minima<T>& minima) {
    IntVec<T> bad{};
    for_each_vector<T, kNegate>(row, columns, [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
        if constexpr (kCheck) bad |= ~(c > -infinity<T>());
        minima.take(c - load(v + k));
    });
    return kCheck && any(bad);
}

// The two least of c_j - v_j, and the first column of the least.
template <class T, bool kNegate>
inline TwoMinima<T> two_minima(const T* row, const T* v, std::int64_t columns) {
    Minima<T> minima;
    take_minima<T, kNegate, false>(row, v, columns, minima);
    return minima.found(false);
}

// Whether most rows hold one cost many times, and not far beyond their two least: by the samples of some rows.
template <class T, bool kNegate>
inline bool are_rows_flat(const assignment::Problem<T>& problem) {
    constexpr std::int64_t width = 32, fewest = 4, most = 32;
    constexpr T far = 64;
    if (problem.columns < width || problem.rows < fewest) return false;
    const std::int64_t first = problem.columns < 2 * width ? problem.columns - width : problem.columns / 2;
    std::int64_t samples = problem.rows / 16, flat = 0;
    samples = samples < fewest ? fewest : samples > most ? most : samples;
    for (std::int64_t s = 0; s < samples; ++s) {
        const T* const row = problem.cost + s * problem.rows / samples * problem.stride;
        const T value = row[first];
        int same = 0;
        for (std::int64_t k = 0; k < width; k += kWidth<T>) {
            const IntVec<T> equal = load(row + first + k) == splat(value);
            same += std::popcount(bits(equal));
        }
        if (4 * same <= width) continue;
        Minima<T> minima;
        for_each_vector<T, kNegate>(row, problem.columns,
                                    [&](std::int64_t, Vec<T> c) __attribute__((always_inline)) { minima.take(c); });
        const TwoMinima<T> found = minima.found(false);
        const T above = (kNegate ? -value : value) - found.least;
        flat += above < kInfinity<T> && (found.least == found.second || above <= far * (found.second - found.least));
    }
    return 2 * flat >= samples;
}

template <class T>
struct Least {
    T value;
    std::int64_t at;
};

// The least of some values, and its first place.
template <class T>
inline Least<T> least_of(const T* values, std::int64_t count) {
    Vec<T> least = infinity<T>();
    IntVec<T> at{}, place = first_indices<T>();
    for_each_vector<T, false>(values, count, [&](std::int64_t, Vec<T> x) __attribute__((always_inline)) {
        at = x < least ? place : at;
        least = minimum(least, x);
        place += static_cast<Index<T>>(kWidth<T>);
    });
    const Vec<T> best = least_lane<T>(least);
    const IntVec<T> lanes = least == best;
    return {best[0], first_column<T>(bits(lanes), at)};
}

}  // namespace coalign::COALIGN_SET
