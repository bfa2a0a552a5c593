// What the sets of 16 bytes have no instruction for.
#pragma once

#include <utility>

#include "core/lanes/plain.hpp"

namespace coalign::COALIGN_SET {

// The first `count` of a vector's elements, 0 to all of them, and `fill` behind them; no more memory is read.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_first(const T* p, int count, T fill) {
    Vec<T> v = splat(fill);
    for (int lane = 0; lane < kWidth<T>; ++lane)
        if (lane < count) v[lane] = p[lane];
    return v;
}

template <class T, int... I>
[[gnu::always_inline]] inline Vec<T> join_halves(Vec<T> low, Vec<T> high, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(low, high, (I < kWidth<T> / 2 ? I : I + kWidth<T> / 2)...);
}
// The same for both halves of a vector: `count`, to half of all, from `low` on and as many from `high` on.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_halves(const T* low, const T* high, int count, T fill) {
    return join_halves<T>(load_first(low, count, fill), load_first(high, count, fill),
                          std::make_integer_sequence<int, kWidth<T>>{});
}

// Lane l is from[at[l]].
[[gnu::always_inline]] inline Float32Lanes gather(const float* from, Int32Lanes at) {
    return Float32Lanes{from[at[0]], from[at[1]], from[at[2]], from[at[3]]};
}
[[gnu::always_inline]] inline Float64Lanes gather(const double* from, Int64Lanes at) {
    return Float64Lanes{from[at[0]], from[at[1]]};
}

}  // namespace coalign::COALIGN_SET
