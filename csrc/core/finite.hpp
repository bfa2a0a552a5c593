// The first value that is NaN or infinite, or `count` when there is none.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace coalign {

template <class T>
std::int64_t first_not_finite(const T* values, std::int64_t count) {
    // Blocks without a branch inside, which the compiler turns into vector code: x * 0 is NaN unless x is finite.
    constexpr std::int64_t block = 1024;
    for (std::int64_t at = 0; at < count; at += block) {
        const std::int64_t end = std::min(at + block, count);
        bool finite = true;
        for (std::int64_t i = at; i < end; ++i) finite &= values[i] * T(0) == T(0);
        if (finite) continue;
        return std::find_if(values + at, values + end, [](T v) { return !std::isfinite(v); }) - values;
    }
    return count;
}

}  // namespace coalign
