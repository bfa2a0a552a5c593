// Lanes of x86-64-v3: AVX2, 32 bytes.
#pragma once

#include <immintrin.h>

#include "core/lanes/plain.hpp"

namespace coalign::COALIGN_SET {

// The first `count` of a vector's elements, 0 to all of them, and `fill` behind them; no more memory is read.
[[gnu::always_inline]] inline Float32Lanes load_first(const float* p, int count, float fill) {
    const Int32Lanes mask = Int32Lanes{0, 1, 2, 3, 4, 5, 6, 7} < count;
    const Float32Lanes v = _mm256_maskload_ps(p, reinterpret_cast<__m256i>(mask));
    return mask ? v : splat(fill);
}
[[gnu::always_inline]] inline Float64Lanes load_first(const double* p, int count, double fill) {
    const Int64Lanes mask = Int64Lanes{0, 1, 2, 3} < count;
    const Float64Lanes v = _mm256_maskload_pd(p, reinterpret_cast<__m256i>(mask));
    return mask ? v : splat(fill);
}

// The same for both halves of a vector: `count`, to half of all, from `low` on and as many from `high` on.
[[gnu::always_inline]] inline Float32Lanes load_halves(const float* low, const float* high, int count, float fill) {
    const __m128i lanes = _mm_cmpgt_epi32(_mm_set1_epi32(count), _mm_setr_epi32(0, 1, 2, 3));
    const __m256 values = _mm256_set_m128(_mm_maskload_ps(high, lanes), _mm_maskload_ps(low, lanes));
    return _mm256_blendv_ps(_mm256_set1_ps(fill), values, _mm256_castsi256_ps(_mm256_set_m128i(lanes, lanes)));
}
[[gnu::always_inline]] inline Float64Lanes load_halves(const double* low, const double* high, int count, double fill) {
    const __m128i lanes = _mm_cmpgt_epi64(_mm_set1_epi64x(count), _mm_set_epi64x(1, 0));
    const __m256d values = _mm256_set_m128d(_mm_maskload_pd(high, lanes), _mm_maskload_pd(low, lanes));
    return _mm256_blendv_pd(_mm256_set1_pd(fill), values, _mm256_castsi256_pd(_mm256_set_m128i(lanes, lanes)));
}

// Lane l is from[at[l]].
[[gnu::always_inline]] inline Float32Lanes gather(const float* from, Int32Lanes at) {
    return _mm256_i32gather_ps(from, reinterpret_cast<__m256i>(at), 4);
}
[[gnu::always_inline]] inline Float64Lanes gather(const double* from, Int64Lanes at) {
    return _mm256_i64gather_pd(from, reinterpret_cast<__m256i>(at), 8);
}

// Whether any lane of a mask is set.
template <class M>
[[gnu::always_inline]] inline bool any(M mask) {
    const auto words = reinterpret_cast<__m256i>(mask);
    return !_mm256_testz_si256(words, words);
}

// Bit l: lane l of a mask is set.
[[gnu::always_inline]] inline unsigned bits(Int32Lanes mask) {
    return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
}
[[gnu::always_inline]] inline unsigned bits(Int64Lanes mask) {
    return static_cast<unsigned>(_mm256_movemask_pd(reinterpret_cast<__m256d>(mask)));
}

// Bit l: lane l of a is less than lane l of b.
[[gnu::always_inline]] inline unsigned bits_less(Float64Lanes a, Float64Lanes b) {
    return bits(Int64Lanes(a < b));
}

[[gnu::always_inline]] inline Float32Lanes minimum(Float32Lanes a, Float32Lanes b) {
    return _mm256_min_ps(a, b);
}
[[gnu::always_inline]] inline Float64Lanes minimum(Float64Lanes a, Float64Lanes b) {
    return _mm256_min_pd(a, b);
}
[[gnu::always_inline]] inline Float32Lanes maximum(Float32Lanes a, Float32Lanes b) {
    return _mm256_max_ps(a, b);
}
[[gnu::always_inline]] inline Float64Lanes maximum(Float64Lanes a, Float64Lanes b) {
    return _mm256_max_pd(a, b);
}
[[gnu::always_inline]] inline Float32Lanes fused(Float32Lanes a, Float32Lanes b, Float32Lanes c) {
    return _mm256_fmadd_ps(a, b, c);
}
[[gnu::always_inline]] inline Float64Lanes fused(Float64Lanes a, Float64Lanes b, Float64Lanes c) {
    return _mm256_fmadd_pd(a, b, c);
}
[[gnu::always_inline]] inline Float32Lanes square_root(Float32Lanes v) {
    return _mm256_sqrt_ps(v);
}
[[gnu::always_inline]] inline Float64Lanes square_root(Float64Lanes v) {
    return _mm256_sqrt_pd(v);
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

// The values from `at` on of as many lines as there are lanes, turned: square[c] is the value c of every line.
// Quarters that belong together are joined while they are loaded, so that no shuffle leaves its half of a vector.
[[gnu::always_inline]] inline void load_turned(const float* const (&lines)[8], std::int64_t at,
                                               Float32Lanes (&square)[8]) {
#pragma GCC unroll 2
    for (int half = 0; half < 8; half += 4) {
        __m256 x[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r)
            x[r] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(lines[r] + at + half)),
                                        _mm_loadu_ps(lines[r + 4] + at + half), 1);
        const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(x[0], x[1]));
        const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(x[0], x[1]));
        const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(x[2], x[3]));
        const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(x[2], x[3]));
        square[half] = reinterpret_cast<Float32Lanes>(_mm256_unpacklo_pd(a, c));
        square[half + 1] = reinterpret_cast<Float32Lanes>(_mm256_unpackhi_pd(a, c));
        square[half + 2] = reinterpret_cast<Float32Lanes>(_mm256_unpacklo_pd(b, d));
        square[half + 3] = reinterpret_cast<Float32Lanes>(_mm256_unpackhi_pd(b, d));
    }
}
[[gnu::always_inline]] inline void load_turned(const double* const (&lines)[4], std::int64_t at,
                                               Float64Lanes (&square)[4]) {
#pragma GCC unroll 2
    for (int half = 0; half < 4; half += 2) {
        __m256d x[2];
#pragma GCC unroll 2
        for (int r = 0; r < 2; ++r)
            x[r] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(lines[r] + at + half)),
                                        _mm_loadu_pd(lines[r + 2] + at + half), 1);
        square[half] = _mm256_unpacklo_pd(x[0], x[1]);
        square[half + 1] = _mm256_unpackhi_pd(x[0], x[1]);
    }
}

}  // namespace coalign::COALIGN_SET
