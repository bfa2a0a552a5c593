// Lanes of x86-64-v4: AVX-512, 64 bytes.
#pragma once

#include <immintrin.h>

#include "core/lanes/types.hpp"

namespace coalign::COALIGN_SET {

// The first `count` of a vector's elements, 0 to all of them, and `fill` behind them; no more memory is read.
[[gnu::always_inline]] inline Float32Lanes load_first(const float* p, int count, float fill) {
    return _mm512_mask_loadu_ps(splat(fill), static_cast<__mmask16>((1u << count) - 1), p);
}
[[gnu::always_inline]] inline Float64Lanes load_first(const double* p, int count, double fill) {
    return _mm512_mask_loadu_pd(splat(fill), static_cast<__mmask8>((1u << count) - 1), p);
}

// The same for both halves of a vector: `count`, to half of all, from `low` on and as many from `high` on.
[[gnu::always_inline]] inline Float32Lanes load_halves(const float* low, const float* high, int count, float fill) {
    const auto lanes = static_cast<__mmask8>((1u << count) - 1);
    const __m256 rest = _mm256_set1_ps(fill);
    const __m512 first = _mm512_castps256_ps512(_mm256_mask_loadu_ps(rest, lanes, low));
    return _mm512_insertf32x8(first, _mm256_mask_loadu_ps(rest, lanes, high), 1);
}
[[gnu::always_inline]] inline Float64Lanes load_halves(const double* low, const double* high, int count, double fill) {
    const auto lanes = static_cast<__mmask8>((1u << count) - 1);
    const __m256d rest = _mm256_set1_pd(fill);
    const __m512d first = _mm512_castpd256_pd512(_mm256_mask_loadu_pd(rest, lanes, low));
    return _mm512_insertf64x4(first, _mm256_mask_loadu_pd(rest, lanes, high), 1);
}

// Lane l is from[at[l]].
[[gnu::always_inline]] inline Float32Lanes gather(const float* from, Int32Lanes at) {
    return _mm512_i32gather_ps(reinterpret_cast<__m512i>(at), from, 4);
}
[[gnu::always_inline]] inline Float64Lanes gather(const double* from, Int64Lanes at) {
    return _mm512_i64gather_pd(reinterpret_cast<__m512i>(at), from, 8);
}

// x, and where a bit of an integer lane is set x + y; where it is not the sign of a zero may be lost.
[[gnu::always_inline]] inline Float32Lanes add_where(Int32Lanes set, int bit, Float32Lanes x, Float32Lanes y) {
    const __m512i one = _mm512_set1_epi32(1 << bit);
    return _mm512_mask_add_ps(x, _mm512_test_epi32_mask(reinterpret_cast<__m512i>(set), one), x, y);
}
[[gnu::always_inline]] inline Float64Lanes add_where(Int64Lanes set, int bit, Float64Lanes x, Float64Lanes y) {
    const __m512i one = _mm512_set1_epi64(1LL << bit);
    return _mm512_mask_add_pd(x, _mm512_test_epi64_mask(reinterpret_cast<__m512i>(set), one), x, y);
}

// Whether any lane of a mask is set.
template <class M>
[[gnu::always_inline]] inline bool any(M mask) {
    const auto words = reinterpret_cast<__m512i>(mask);
    return _mm512_test_epi64_mask(words, words) != 0;
}

// Bit l: lane l of a mask is set.
[[gnu::always_inline]] inline unsigned bits(Int32Lanes mask) {
    const auto words = reinterpret_cast<__m512i>(mask);
    return _mm512_test_epi32_mask(words, words);
}
[[gnu::always_inline]] inline unsigned bits(Int64Lanes mask) {
    const auto words = reinterpret_cast<__m512i>(mask);
    return _mm512_test_epi64_mask(words, words);
}

// Bit l: a and b are equal in lane l. From bits(a == b) GCC 12 makes a vector of the comparison's mask, and a mask
// again.
[[gnu::always_inline]] inline unsigned equal_bits(Float32Lanes a, Float32Lanes b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
[[gnu::always_inline]] inline unsigned equal_bits(Float64Lanes a, Float64Lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
}

// Bit l: lane l of a is less than lane l of b. A mask made a vector, and that a mask again, takes three operations.
[[gnu::always_inline]] inline unsigned bits_less(Float64Lanes a, Float64Lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}

// As many as float64 has lanes. The compiler converts them half by half.
[[gnu::always_inline]] inline Float64Lanes load_widened(const float* p) {
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
}

// Writes `first` plus the number of each bit of a set of 64, in order, and says how many they are; 16 more may be
// written over.
[[gnu::always_inline]] inline int expand(std::uint64_t set, std::int32_t first, std::int32_t* out) {
    const int count = __builtin_popcountll(set);
    // There is no branch: with few bits set, none is predicted.
    const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#pragma GCC unroll 4
    for (int part = 0; part < 64; part += 16) {
        const auto lanes = static_cast<__mmask16>(set >> part);
        const __m512i at = _mm512_add_epi32(numbers, _mm512_set1_epi32(first + part));
        _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(lanes, at));
        out += __builtin_popcount(lanes);
    }
    return count;
}

[[gnu::always_inline]] inline Float32Lanes minimum(Float32Lanes a, Float32Lanes b) {
    return _mm512_min_ps(a, b);
}
[[gnu::always_inline]] inline Float64Lanes minimum(Float64Lanes a, Float64Lanes b) {
    return _mm512_min_pd(a, b);
}
[[gnu::always_inline]] inline Float32Lanes maximum(Float32Lanes a, Float32Lanes b) {
    return _mm512_max_ps(a, b);
}
[[gnu::always_inline]] inline Float64Lanes maximum(Float64Lanes a, Float64Lanes b) {
    return _mm512_max_pd(a, b);
}
[[gnu::always_inline]] inline Float32Lanes fused(Float32Lanes a, Float32Lanes b, Float32Lanes c) {
    return _mm512_fmadd_ps(a, b, c);
}
[[gnu::always_inline]] inline Float64Lanes fused(Float64Lanes a, Float64Lanes b, Float64Lanes c) {
    return _mm512_fmadd_pd(a, b, c);
}
[[gnu::always_inline]] inline Float32Lanes square_root(Float32Lanes v) {
    return _mm512_sqrt_ps(v);
}
[[gnu::always_inline]] inline Float64Lanes square_root(Float64Lanes v) {
    return _mm512_sqrt_pd(v);
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

// x = mantissa * 2^exponent, with mantissas from 3/4 to 3/2. A zero has the exponent -inf and the mantissa 1 (or -1),
// inf has inf and 1, and below zero the mantissa is NaN: a logarithm of the parts is right for all of them.
inline constexpr bool kSplitsAll = true;
[[gnu::always_inline]] inline Float32Lanes split(Float32Lanes x, Float32Lanes& exponent) {
    const Float32Lanes mantissa = _mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
    const Float32Lanes whole = _mm512_getexp_ps(x);
    exponent = _mm512_mask_add_ps(whole, _mm512_cmp_ps_mask(mantissa, splat(1.0f), _CMP_LT_OQ), whole, splat(1.0f));
    return mantissa;
}
[[gnu::always_inline]] inline Float64Lanes split(Float64Lanes x, Float64Lanes& exponent) {
    const Float64Lanes mantissa = _mm512_getmant_pd(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
    const Float64Lanes whole = _mm512_getexp_pd(x);
    exponent = _mm512_mask_add_pd(whole, _mm512_cmp_pd_mask(mantissa, splat(1.0), _CMP_LT_OQ), whole, splat(1.0));
    return mantissa;
}

// a / b within 2 ulp, for b and the quotient from 2^-100 to 2^100. A reciprocal of 14 bits and a step of Newton's take
// 4 cycles by count, and a division of 16 lanes takes 10 to 16.
[[gnu::always_inline]] inline Float32Lanes quotient(Float32Lanes a, Float32Lanes b) {
    const Float32Lanes rough = _mm512_rcp14_ps(b);
    return a * _mm512_fmadd_ps(rough, _mm512_fnmadd_ps(b, rough, splat(1.0f)), rough);
}
[[gnu::always_inline]] inline Float64Lanes quotient(Float64Lanes a, Float64Lanes b) {
    return a / b;
}

}  // namespace coalign::COALIGN_SET
