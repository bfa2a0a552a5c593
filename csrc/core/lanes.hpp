// Lanes of the native width of one instruction set, as compiler vector extensions.
//
// This is the only header that may name an intrinsic. It is compiled once per instruction set, into the
// namespace COALIGN_SET (v2, v3, v4 on x86-64; neon on AArch64) that the build defines, so that no object
// built for one set can lend its code to another at link time.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace coalign::COALIGN_SET {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
inline constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));

typedef float Float32Lanes __attribute__((vector_size(kVectorBytes)));
typedef double Float64Lanes __attribute__((vector_size(kVectorBytes)));
typedef std::int32_t Int32Lanes __attribute__((vector_size(kVectorBytes)));
typedef std::int64_t Int64Lanes __attribute__((vector_size(kVectorBytes)));

template <class T>
struct LaneTypes;

template <>
struct LaneTypes<float> {
    using Vec = Float32Lanes;
    using Int = std::int32_t;
    using IntVec = Int32Lanes;
    typedef float Loose __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
    typedef std::int32_t LooseInt __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
};

template <>
struct LaneTypes<double> {
    using Vec = Float64Lanes;
    using Int = std::int64_t;
    using IntVec = Int64Lanes;
    typedef double Loose __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
    typedef std::int64_t LooseInt __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
};

template <class T>
using Vec = typename LaneTypes<T>::Vec;
template <class T>
using IntVec = typename LaneTypes<T>::IntVec;

// Unaligned on purpose: on every supported CPU an aligned address costs the same through this form.
template <class T>
[[gnu::always_inline]] inline Vec<T> load(const T* p) {
    return *reinterpret_cast<const typename LaneTypes<T>::Loose*>(p);
}

template <class T>
[[gnu::always_inline]] inline void store(T* p, Vec<T> v) {
    *reinterpret_cast<typename LaneTypes<T>::Loose*>(p) = v;
}

template <class T>
[[gnu::always_inline]] inline IntVec<T> load_int(const typename LaneTypes<T>::Int* p) {
    return *reinterpret_cast<const typename LaneTypes<T>::LooseInt*>(p);
}

// To memory, for code that goes on lane by lane: the compiler else takes the vector to pieces in registers.
template <class T>
[[gnu::always_inline]] inline void store_lanes(IntVec<T> v, typename LaneTypes<T>::Int* out) {
    *reinterpret_cast<typename LaneTypes<T>::LooseInt*>(out) = v;
    asm volatile("" : : "r"(out) : "memory");
}

// A load that stays one load when its value is used several times: GCC else folds it into each use, and two columns
// of fma then wait for the load ports.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_once(const T* p) {
    Vec<T> value = load(p);
#if defined(__AVX512F__)
    asm("" : "+v"(value));
#endif
    return value;
}

template <class T>
[[gnu::always_inline]] inline Vec<T> splat(T value) {
    return Vec<T>{} + value;
}

// The first `count` of a vector's elements, 0 to all of them, and `fill` behind them; no more memory is read.
#if defined(__AVX512F__)
[[gnu::always_inline]] inline Float32Lanes load_first(const float* p, int count, float fill) {
    return _mm512_mask_loadu_ps(splat(fill), static_cast<__mmask16>((1u << count) - 1), p);
}
[[gnu::always_inline]] inline Float64Lanes load_first(const double* p, int count, double fill) {
    return _mm512_mask_loadu_pd(splat(fill), static_cast<__mmask8>((1u << count) - 1), p);
}
#elif defined(__AVX2__)
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
#else
template <class T>
[[gnu::always_inline]] inline Vec<T> load_first(const T* p, int count, T fill) {
    Vec<T> v = splat(fill);
    for (int lane = 0; lane < kWidth<T>; ++lane)
        if (lane < count) v[lane] = p[lane];
    return v;
}
#endif

// The same for both halves of a vector: `count`, to half of all, from `low` on and as many from `high` on.
#if defined(__AVX512F__)
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
#elif defined(__AVX2__)
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
#else
template <class T, int... I>
[[gnu::always_inline]] inline Vec<T> join_halves(Vec<T> low, Vec<T> high, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(low, high, (I < kWidth<T> / 2 ? I : I + kWidth<T> / 2)...);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> load_halves(const T* low, const T* high, int count, T fill) {
    return join_halves<T>(load_first(low, count, fill), load_first(high, count, fill),
                          std::make_integer_sequence<int, kWidth<T>>{});
}
#endif

// Lane l is from[at[l]].
#if defined(__AVX512F__)
[[gnu::always_inline]] inline Float32Lanes gather(const float* from, Int32Lanes at) {
    return _mm512_i32gather_ps(reinterpret_cast<__m512i>(at), from, 4);
}
[[gnu::always_inline]] inline Float64Lanes gather(const double* from, Int64Lanes at) {
    return _mm512_i64gather_pd(reinterpret_cast<__m512i>(at), from, 8);
}
#elif defined(__AVX2__)
[[gnu::always_inline]] inline Float32Lanes gather(const float* from, Int32Lanes at) {
    return _mm256_i32gather_ps(from, reinterpret_cast<__m256i>(at), 4);
}
[[gnu::always_inline]] inline Float64Lanes gather(const double* from, Int64Lanes at) {
    return _mm256_i64gather_pd(from, reinterpret_cast<__m256i>(at), 8);
}
#else
[[gnu::always_inline]] inline Float32Lanes gather(const float* from, Int32Lanes at) {
    return Float32Lanes{from[at[0]], from[at[1]], from[at[2]], from[at[3]]};
}
[[gnu::always_inline]] inline Float64Lanes gather(const double* from, Int64Lanes at) {
    return Float64Lanes{from[at[0]], from[at[1]]};
}
#endif

template <class T>
[[gnu::always_inline]] inline Vec<T> infinity() {
    return splat<T>(std::numeric_limits<T>::infinity());
}

[[gnu::always_inline]] inline Float32Lanes select(Int32Lanes mask, Float32Lanes a, Float32Lanes b) {
    return mask ? a : b;
}
[[gnu::always_inline]] inline Float64Lanes select(Int64Lanes mask, Float64Lanes a, Float64Lanes b) {
    return mask ? a : b;
}

// x, and where a bit of an integer lane is set x + y; where it is not the sign of a zero may be lost.
#if defined(__AVX512F__)
[[gnu::always_inline]] inline Float32Lanes add_where(Int32Lanes set, int bit, Float32Lanes x, Float32Lanes y) {
    const __m512i one = _mm512_set1_epi32(1 << bit);
    return _mm512_mask_add_ps(x, _mm512_test_epi32_mask(reinterpret_cast<__m512i>(set), one), x, y);
}
[[gnu::always_inline]] inline Float64Lanes add_where(Int64Lanes set, int bit, Float64Lanes x, Float64Lanes y) {
    const __m512i one = _mm512_set1_epi64(1LL << bit);
    return _mm512_mask_add_pd(x, _mm512_test_epi64_mask(reinterpret_cast<__m512i>(set), one), x, y);
}
#else
// The bit becomes a lane's sign, and that the whole lane: a blend would take three operations.
[[gnu::always_inline]] inline Float32Lanes add_where(Int32Lanes set, int bit, Float32Lanes x, Float32Lanes y) {
    return x + reinterpret_cast<Float32Lanes>((set << (31 - bit)) >> 31 & reinterpret_cast<Int32Lanes>(y));
}
[[gnu::always_inline]] inline Float64Lanes add_where(Int64Lanes set, int bit, Float64Lanes x, Float64Lanes y) {
    return x + reinterpret_cast<Float64Lanes>((set << (63 - bit)) >> 63 & reinterpret_cast<Int64Lanes>(y));
}
#endif

[[gnu::always_inline]] inline Float32Lanes absolute(Float32Lanes v) {
    return reinterpret_cast<Float32Lanes>(reinterpret_cast<Int32Lanes>(v) & 0x7fffffff);
}
[[gnu::always_inline]] inline Float64Lanes absolute(Float64Lanes v) {
    return reinterpret_cast<Float64Lanes>(reinterpret_cast<Int64Lanes>(v) & 0x7fffffffffffffff);
}

// Whether any lane of a mask is set.
template <class M>
[[gnu::always_inline]] inline bool any(M mask) {
    const auto words = reinterpret_cast<Int64Lanes>(mask);
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask(reinterpret_cast<__m512i>(words), reinterpret_cast<__m512i>(words)) != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256(reinterpret_cast<__m256i>(words), reinterpret_cast<__m256i>(words));
#elif defined(__x86_64__)
    return !_mm_testz_si128(reinterpret_cast<__m128i>(words), reinterpret_cast<__m128i>(words));
#else
    return (words[0] | words[1]) != 0;
#endif
}

// Bit l: lane l of a mask is set.
[[gnu::always_inline]] inline unsigned bits(Int32Lanes mask) {
#if defined(__AVX512F__)
    const auto words = reinterpret_cast<__m512i>(mask);
    return _mm512_test_epi32_mask(words, words);
#elif defined(__AVX2__)
    return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
#elif defined(__x86_64__)
    return static_cast<unsigned>(_mm_movemask_ps(reinterpret_cast<__m128>(mask)));
#else
    const Int32Lanes set = mask & Int32Lanes{1, 2, 4, 8};
    return static_cast<unsigned>(set[0] | set[1] | set[2] | set[3]);
#endif
}
[[gnu::always_inline]] inline unsigned bits(Int64Lanes mask) {
#if defined(__AVX512F__)
    const auto words = reinterpret_cast<__m512i>(mask);
    return _mm512_test_epi64_mask(words, words);
#elif defined(__AVX2__)
    return static_cast<unsigned>(_mm256_movemask_pd(reinterpret_cast<__m256d>(mask)));
#elif defined(__x86_64__)
    return static_cast<unsigned>(_mm_movemask_pd(reinterpret_cast<__m128d>(mask)));
#else
    return static_cast<unsigned>((mask[0] & 1) | (mask[1] & 2));
#endif
}

// Writes `first` plus the number of each bit of a set of 64, in order, and says how many they are; 16 more may be
// written over.
[[gnu::always_inline]] inline int expand(std::uint64_t set, std::int32_t first, std::int32_t* out) {
    const int count = __builtin_popcountll(set);
#if defined(__AVX512F__)
    // Free of branches: where bits are few no branch is foreseen.
    const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#pragma GCC unroll 4
    for (int part = 0; part < 64; part += 16) {
        const auto lanes = static_cast<__mmask16>(set >> part);
        const __m512i at = _mm512_add_epi32(numbers, _mm512_set1_epi32(first + part));
        _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(lanes, at));
        out += __builtin_popcount(lanes);
    }
#else
    for (; set != 0; set &= set - 1) *out++ = first + __builtin_ctzll(set);
#endif
    return count;
}

// Minimum and maximum, which are b where a is NaN, and fused multiply-add: GCC turns `a < b ? a : b` on vectors into a
// compare and a blend, twice the work of the instruction, and a * b + c must not be contracted by chance
// (-ffp-contract=off).
#if defined(__AVX512F__)
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
#elif defined(__AVX2__)
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
#elif defined(__x86_64__)
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
#elif defined(__aarch64__)
[[gnu::always_inline]] inline Float32Lanes minimum(Float32Lanes a, Float32Lanes b) {
    return vminnmq_f32(a, b);
}
[[gnu::always_inline]] inline Float64Lanes minimum(Float64Lanes a, Float64Lanes b) {
    return vminnmq_f64(a, b);
}
[[gnu::always_inline]] inline Float32Lanes maximum(Float32Lanes a, Float32Lanes b) {
    return vmaxnmq_f32(a, b);
}
[[gnu::always_inline]] inline Float64Lanes maximum(Float64Lanes a, Float64Lanes b) {
    return vmaxnmq_f64(a, b);
}
[[gnu::always_inline]] inline Float32Lanes fused(Float32Lanes a, Float32Lanes b, Float32Lanes c) {
    return vfmaq_f32(c, a, b);
}
[[gnu::always_inline]] inline Float64Lanes fused(Float64Lanes a, Float64Lanes b, Float64Lanes c) {
    return vfmaq_f64(c, a, b);
}
[[gnu::always_inline]] inline Float32Lanes square_root(Float32Lanes v) {
    return vsqrtq_f32(v);
}
[[gnu::always_inline]] inline Float64Lanes square_root(Float64Lanes v) {
    return vsqrtq_f64(v);
}
#endif

// Each lane meets the one whose number differs in the bits of kStep.
template <int kStep, class V, int... I>
[[gnu::always_inline]] inline V partners(V v, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(v, v, (I ^ kStep)...);
}

// The least lane of all, in every lane: by halves, a quarter of the instructions of going from lane to lane.
template <class T, int kStep = kWidth<T> / 2>
[[gnu::always_inline]] inline Vec<T> least_lane(Vec<T> v) {
    if constexpr (kStep == 0) {
        return v;
    } else {
        constexpr auto lanes = std::make_integer_sequence<int, kWidth<T>>{};
        return least_lane<T, kStep / 2>(minimum(v, partners<kStep>(v, lanes)));
    }
}

// The least of `least` and `second` over all lanes, and the least of the rest, where no lane's second is below its
// least: in one tree.
template <class T, int kStep = kWidth<T> / 2>
[[gnu::always_inline]] inline void two_least_lanes(Vec<T>& least, Vec<T>& second) {
    if constexpr (kStep > 0) {
        constexpr auto lanes = std::make_integer_sequence<int, kWidth<T>>{};
        const Vec<T> other = partners<kStep>(least, lanes);
        second = minimum(minimum(second, partners<kStep>(second, lanes)), maximum(least, other));
        least = minimum(least, other);
        two_least_lanes<T, kStep / 2>(least, second);
    }
}

template <class T, int... I>
[[gnu::always_inline]] inline Vec<T> shift_down(Vec<T> v, Vec<T> in, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(v, in, (I + 1)...);
}

// Each lane takes its upper neighbour's value; the top lane takes `entering`.
template <class T>
[[gnu::always_inline]] inline Vec<T> shift_down(Vec<T> v, T entering) {
    return shift_down<T>(v, splat<T>(entering), std::make_integer_sequence<int, kWidth<T>>{});
}

template <class T, int... I>
[[gnu::always_inline]] inline Vec<T> interleave_low(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (I % 2 ? kWidth<T> + I / 2 : I / 2)...);
}

template <class T, int... I>
[[gnu::always_inline]] inline Vec<T> interleave_high(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, ((I % 2 ? kWidth<T> + I / 2 : I / 2) + kWidth<T> / 2)...);
}

// Transpose a square of kWidth vectors: log2(width) rounds of a perfect shuffle of the whole square. Half as many
// vectors hold two lines each, of half the length, side by side: vector c becomes the value c of all lines.
template <class T, int kCount>
[[gnu::always_inline]] inline void transpose(Vec<T> (&square)[kCount]) {
    constexpr auto lanes = std::make_integer_sequence<int, kWidth<T>>{};
    constexpr int half = kCount / 2;
#pragma GCC unroll 4
    for (int round = 1; kCount > 1 && round < kWidth<T>; round *= 2) {
        Vec<T> next[kCount];
#pragma GCC unroll 8
        for (int i = 0; i < half; ++i) {
            next[2 * i] = interleave_low<T>(square[i], square[i + half], lanes);
            next[2 * i + 1] = interleave_high<T>(square[i], square[i + half], lanes);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kCount; ++i) square[i] = next[i];
    }
}

// The values from `at` on of as many lines as there are lanes, turned: square[c] is the value c of every line.
#if defined(__AVX2__) && !defined(__AVX512F__)
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
#else
template <class T>
[[gnu::always_inline]] inline void load_turned(const T* const (&lines)[kWidth<T>], std::int64_t at,
                                               Vec<T> (&square)[kWidth<T>]) {
#pragma GCC unroll 16
    for (int line = 0; line < kWidth<T>; ++line) square[line] = load(lines[line] + at);
    transpose<T>(square);
}
#endif

}  // namespace coalign::COALIGN_SET
