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

// As many as float64 has lanes.
[[gnu::always_inline]] inline Float64Lanes load_widened(const float* p) {
    typedef float Half __attribute__((vector_size(kVectorBytes / 2), aligned(4), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Half*>(p), Float64Lanes);
}

// Writes `first` plus the number of each bit of a set of 64, in order, and says how many they are; 16 more may be
// written over.
[[gnu::always_inline]] inline int expand(std::uint64_t set, std::int32_t first, std::int32_t* out) {
    const int count = __builtin_popcountll(set);
    for (; set != 0; set &= set - 1) *out++ = first + __builtin_ctzll(set);
    return count;
}

// x = mantissa * 2^exponent, with mantissas from 3/4 to 3/2, for a positive normal x.
inline constexpr bool kSplitsAll = false;
[[gnu::always_inline]] inline Float32Lanes split(Float32Lanes x, Float32Lanes& exponent) {
    // Counted from 3/4, the exponent's field changes where the mantissa starts anew. As the last bits of a large number
    // it is converted by one subtraction.
    const UInt32Lanes bits = reinterpret_cast<UInt32Lanes>(x) + (0x3f800000u - 0x3f400000u);
    exponent = reinterpret_cast<Float32Lanes>((bits >> 23) | 0x4b000000u) - (0x1p23f + 127);
    return reinterpret_cast<Float32Lanes>((bits & 0x007fffffu) + 0x3f400000u);
}
[[gnu::always_inline]] inline Float64Lanes split(Float64Lanes x, Float64Lanes& exponent) {
    const UInt64Lanes bits = reinterpret_cast<UInt64Lanes>(x) + (0x3ff0000000000000u - 0x3fe8000000000000u);
    exponent = reinterpret_cast<Float64Lanes>((bits >> 52) | 0x4330000000000000u) - (0x1p52 + 1023);
    return reinterpret_cast<Float64Lanes>((bits & 0x000fffffffffffffu) + 0x3fe8000000000000u);
}

// a / b within 2 ulp, for b and the quotient from 2^-100 to 2^100.
template <class V>
[[gnu::always_inline]] inline V quotient(V a, V b) {
    return a / b;
}

}  // namespace coalign::COALIGN_SET
