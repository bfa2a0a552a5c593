// Sum, maximum and log-sum-exp of one row. The bits depend on the values, their number and the instruction set: a row
// is cut into blocks of 512 counted from its beginning, a block into vectors that go to four accumulators in turn, and
// the blocks are combined along an IndexTree.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/index_tree.hpp"
#include "core/lanes.hpp"
#include "core/math.hpp"

namespace coalign::COALIGN_SET {

// Where a row's values come from. Whatever has these two can be reduced, so a row may be computed while it is read.
template <class T>
struct Row {
    using Value = T;
    const T* values;

    [[gnu::always_inline]] Vec<T> whole(std::int64_t at) const { return load(values + at); }
    // The first `count` from `at` on, and `fill` behind them.
    [[gnu::always_inline]] Vec<T> part(std::int64_t at, int count, T fill) const {
        return load_first(values + at, count, fill);
    }
};

// Calls step(accumulator, vector) for the vectors of a block, whose accumulators start from `start`; a last vector is
// filled up with `fill`. Returns the accumulators combined.
template <class R, class Step, class Combine>
[[gnu::always_inline]] inline Vec<typename R::Value> accumulate(const R& row, std::int64_t begin, std::int64_t end,
                                                                typename R::Value start, typename R::Value fill,
                                                                Step&& step, Combine&& combine) {
    using T = typename R::Value;
    constexpr int width = kWidth<T>, streams = 4;
    Vec<T> held[streams] = {splat(start), splat(start), splat(start), splat(start)};
    std::int64_t at = begin;
    for (; at + streams * width <= end; at += streams * width) {
#pragma GCC unroll 4
        for (int i = 0; i < streams; ++i) step(held[i], row.whole(at + i * width));
    }
#pragma GCC unroll 4
    for (int i = 0; i < streams; ++i) {
        if (at + i * width + width <= end) {
            step(held[i], row.whole(at + i * width));
        } else if (at + i * width < end) {
            step(held[i], row.part(at + i * width, static_cast<int>(end - at - i * width), fill));
        }
    }
    return combine(combine(held[0], held[1]), combine(held[2], held[3]));
}

// All lanes combined by halves, in every lane.
template <class T, int kStep = kWidth<T> / 2, class Combine>
[[gnu::always_inline]] inline T across_lanes(Vec<T> v, Combine&& combine) {
    if constexpr (kStep == 0) {
        return v[0];
    } else {
        constexpr auto lanes = std::make_integer_sequence<int, kWidth<T>>{};
        return across_lanes<T, kStep / 2>(combine(v, partners<kStep>(v, lanes)), combine);
    }
}

template <class T>
[[gnu::always_inline]] inline T sum_of(Vec<T> v) {
    return across_lanes<T>(v, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a + b; });
}

template <class Partial, class Block, class Combine>
[[gnu::always_inline]] inline Partial over_blocks(std::int64_t count, Block&& block, Combine&& combine) {
    if (count <= kReductionBlock) return block(std::int64_t{0}, count);
    IndexTree<Partial> tree;
    for (std::int64_t at = 0; at < count; at += kReductionBlock)
        tree.add(block(at, std::min(at + kReductionBlock, count)), combine);
    return tree.total(combine);
}

// 0 for an empty row.
template <class R>
[[gnu::always_inline]] inline typename R::Value row_sum(const R& row, std::int64_t count) {
    using T = typename R::Value;
    const auto add = [](auto a, auto b) __attribute__((always_inline)) { return a + b; };
    return over_blocks<T>(
        count,
        [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
            const auto step = [](Vec<T>& sum, Vec<T> v) __attribute__((always_inline)) { sum += v; };
            return across_lanes<T>(accumulate(row, begin, end, T(0), T(0), step, add), add);
        },
        add);
}

// The maximum of a block, whatever it makes of NaN.
template <class R>
[[gnu::always_inline]] inline typename R::Value block_maximum(const R& row, std::int64_t begin, std::int64_t end) {
    using T = typename R::Value;
    constexpr T none = -std::numeric_limits<T>::infinity();
    const auto larger_lane = [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return maximum(a, b); };
    const auto step = [](Vec<T>& most, Vec<T> v) __attribute__((always_inline)) { most = maximum(v, most); };
    return across_lanes<T>(accumulate(row, begin, end, none, none, step, larger_lane), larger_lane);
}

// Whether a block holds NaN.
template <class R>
[[gnu::always_inline]] inline bool block_has_nan(const R& row, std::int64_t begin, std::int64_t end) {
    using T = typename R::Value;
    // 0 * v would be NaN for infinite values as well; a number is neither below nor above only when it is NaN.
    const auto step = [](Vec<T>& found, Vec<T> v) __attribute__((always_inline)) { found = select(v == v, found, v); };
    const auto keep = [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return select(a == a, b, a); };
    const Vec<T> found = accumulate(row, begin, end, T(0), T(0), step, keep);
    return any(found != found);
}

// -inf for an empty row, NaN where a value is NaN.
template <class R>
[[gnu::always_inline]] inline typename R::Value row_max(const R& row, std::int64_t count) {
    using T = typename R::Value;
    return over_blocks<T>(
        count,
        [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
            const T most = block_maximum(row, begin, end);
            return block_has_nan(row, begin, end) ? std::numeric_limits<T>::quiet_NaN() : most;
        },
        [](T a, T b) __attribute__((always_inline)) { return a > b || a != a ? a : b; });
}

// Two parts of a row, brought to the larger of their maxima.
template <class T>
[[gnu::always_inline]] inline LogSum<T> combine(LogSum<T> a, LogSum<T> b) {
    const T from = a.from > b.from ? a.from : b.from;
    return {from,
            a.sum * exp_nonpositive<T>(splat(a.from - from))[0] + b.sum * exp_nonpositive<T>(splat(b.from - from))[0]};
}

template <class T>
[[gnu::always_inline]] inline T value(LogSum<T> part) {
    return part.from + log<T>(splat(part.sum))[0];
}

// The log-sum-exp of a row, or of a part of it to be combined. Each block is gone through twice, while it is in the
// first-level cache: by count a maximum and 15 operations for an exponential, where one pass that brings its sum to
// each new maximum takes two exponentials.
template <class R>
[[gnu::always_inline]] inline LogSum<typename R::Value> row_log_sum(const R& row, std::int64_t count) {
    using T = typename R::Value;
    using Limits = std::numeric_limits<T>;
    return over_blocks<LogSum<T>>(
        count,
        [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
            const T most = block_maximum(row, begin, end);
            if (most > Limits::max()) [[unlikely]]
                return LogSum<T>{Limits::max(), block_has_nan(row, begin, end) ? Limits::quiet_NaN() : most};
            // From a finite number on: -inf less it is -inf, where -inf less -inf would be NaN.
            const T from = std::max(most, Limits::lowest());
            const auto step = [&](Vec<T>& sum, Vec<T> v)
                                  __attribute__((always_inline)) { sum += exp_nonpositive<T>(v - from); };
            const auto add = [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a + b; };
            return LogSum<T>{from,
                             across_lanes<T>(accumulate(row, begin, end, T(0), -Limits::infinity(), step, add), add)};
        },
        [](LogSum<T> a, LogSum<T> b) __attribute__((always_inline)) { return combine<T>(a, b); });
}

// -inf for an empty row or one of -inf alone, inf where a value is inf, NaN where one is NaN.
template <class R>
[[gnu::always_inline]] inline typename R::Value row_log_sum_exp(const R& row, std::int64_t count) {
    return value<typename R::Value>(row_log_sum(row, count));
}

}  // namespace coalign::COALIGN_SET
