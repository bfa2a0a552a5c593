// Lanes of x86-64-v2: SSE4.2, 16 bytes.
#pragma once

#include <immintrin.h>

#include "core/lanes/narrow.hpp"

namespace coalign::COALIGN_SET {

// Whether any lane of a mask is set.
template <class M>
[[gnu::always_inline]] inline bool any(M mask) {
    const auto words = reinterpret_cast<__m128i>(mask);
    return !_mm_testz_si128(words, words);
}

// Bit l: lane l of a mask is set.
[[gnu::always_inline]] inline unsigned bits(Int32Lanes mask) {
    return static_cast<unsigned>(_mm_movemask_ps(reinterpret_cast<__m128>(mask)));
}
[[gnu::always_inline]] inline unsigned bits(Int64Lanes mask) {
    return static_cast<unsigned>(_mm_movemask_pd(reinterpret_cast<__m128d>(mask)));
}

// Bit l: lane l of a is less than lane l of b.
[[gnu::always_inline]] inline unsigned bits_less(Float64Lanes a, Float64Lanes b) {
    return bits(Int64Lanes(a < b));
}

[[gnu::always_inline]] inline Float32Lanes minimum(Float32Lanes a, Float32Lanes b) {
    return _mm_min_ps(a, b);
}
[[gnu::always_inline]] inline Float64Lanes minimum(Float64Lanes a, Float64Lanes b) {
    return _mm_min_pd(a, b);
}
[[gnu::always_inline]] inline Float32Lanes maximum(Float32Lanes a, Float32Lanes b) {
    return _mm_max_ps(a, b);
}
[[gnu::always_inline]] inline Float64Lanes maximum(Float64Lanes a, Float64Lanes b) {
    return _mm_max_pd(a, b);
}
// x86-64-v2 has no fused form; the two roundings stay within the tolerance between instruction sets.
[[gnu::always_inline]] inline Float32Lanes fused(Float32Lanes a, Float32Lanes b, Float32Lanes c) {
    return a * b + c;
}
[[gnu::always_inline]] inline Float64Lanes fused(Float64Lanes a, Float64Lanes b, Float64Lanes c) {
    return a * b + c;
}
[[gnu::always_inline]] inline Float32Lanes square_root(Float32Lanes v) {
    return _mm_sqrt_ps(v);
}
[[gnu::always_inline]] inline Float64Lanes square_root(Float64Lanes v) {
    return _mm_sqrt_pd(v);
}

// NaN where b is NaN.
template <class V>
[[gnu::always_inline]] inline V larger(V a, V b) {
    return maximum(a, b);
}
template <class V>
[[gnu::always_inline]] inline V smaller(V a, V b) {
    return minimum(a, b);
}

}  // namespace coalign::COALIGN_SET
