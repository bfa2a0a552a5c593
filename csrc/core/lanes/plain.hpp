// What sets below AVX-512 have no instruction for, in vector extensions alone.
#pragma once

#include "core/lanes/types.hpp"

namespace coalign::COALIGN_SET {

// x, and where a bit of an integer lane is set x + y; where it is not the sign of a zero may be lost. The bit becomes a
// lane's sign, and that the whole lane: a blend would take three operations.
[[gnu::always_inline]] inline Float32Lanes add_where(Int32Lanes set, int bit, Float32Lanes x, Float32Lanes y) {
    return x + reinterpret_cast<Float32Lanes>((set << (31 - bit)) >> 31 & reinterpret_cast<Int32Lanes>(y));
}
[[gnu::always_inline]] inline Float64Lanes add_where(Int64Lanes set, int bit, Float64Lanes x, Float64Lanes y) {
    return x + reinterpret_cast<Float64Lanes>((set << (63 - bit)) >> 63 & reinterpret_cast<Int64Lanes>(y));
}

// Writes `first` plus the number of each bit of a set of 64, in order, and says how many they are; 16 more may be
// written over.
[[gnu::always_inline]] inline int expand(std::uint64_t set, std::int32_t first, std::int32_t* out) {
    const int count = __builtin_popcountll(set);
    for (; set != 0; set &= set - 1) *out++ = first + __builtin_ctzll(set);
    return count;
}

}  // namespace coalign::COALIGN_SET
