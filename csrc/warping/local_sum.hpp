// What one dimension adds to the cost of a cell, and how the sum of all becomes the cost: the same operations, and the
// same bits, in every engine.
#pragma once

#include "core/lanes.hpp"
#include "warping/kernels.hpp"

namespace coalign::COALIGN_SET {

using warping::Local;

inline constexpr bool is_univariate(Local local) {
    return local == Local::square || local == Local::magnitude;
}

// One dimension: the square is fused into the recursion.
template <class T, Local kLocal>
[[gnu::always_inline]] inline Vec<T> add_local(Vec<T> best, Vec<T> difference) {
    if constexpr (kLocal == Local::square) return fused(difference, difference, best);
    else return best + absolute(difference);
}

template <class T, Local kLocal>
[[gnu::always_inline]] inline Vec<T> accumulate(Vec<T> sum, Vec<T> x, Vec<T> y) {
    if constexpr (kLocal == Local::cosine) {
        return fused(x, y, sum);
    } else if constexpr (kLocal == Local::magnitude_sum) {
        return sum + absolute(x - y);
    } else {
        const Vec<T> difference = x - y;
        return fused(difference, difference, sum);
    }
}

template <class T, Local kLocal>
[[gnu::always_inline]] inline Vec<T> finish(Vec<T> sum) {
    if constexpr (kLocal == Local::root_square_sum) {
        return square_root(sum);
    } else if constexpr (kLocal == Local::cosine) {
        // The frames are unit vectors; rounding may carry the product past 1, and a cost is never negative.
        const Vec<T> cost = splat<T>(1) - sum;
        return select(cost > Vec<T>{}, cost, Vec<T>{});
    } else {
        return sum;
    }
}

}  // namespace coalign::COALIGN_SET
