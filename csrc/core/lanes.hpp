// Lanes of the native width of one instruction set, as compiler vector extensions: what every set shares, on top of
// what each has in a file of its own.
//
// Only core/lanes/v2.hpp, v3.hpp, v4.hpp and neon.hpp name intrinsics. All of this is compiled once per instruction
// set, into the namespace COALIGN_SET that the build defines, so that no object built for one set can lend its code to
// another at link time. Every set has the same names:
//
//     load_first, load_halves, gather      loads of part of a vector, and by index
//     minimum, maximum                     b where a is NaN: GCC turns `a < b ? a : b` on vectors into a compare and a
//                                          blend, twice the work of the instruction
//     larger, smaller                      NaN where b is NaN, so that of larger(a, b) and smaller(b, a) at least one
//     is
//                                          NaN where a or b is
//     fused                                a * b + c, rounded once except on v2; never contracted by chance
//                                          (-ffp-contract=off)
//     quotient                             a / b within 2 ulp, faster than a division
//     square_root, add_where, any, bits, bits_less, equal_bits, load_widened, expand, split
#pragma once

#include <cstdint>
#include <utility>

#if defined(__AVX512F__)
#include "core/lanes/v4.hpp"
#elif defined(__AVX2__)
#include "core/lanes/v3.hpp"
#elif defined(__x86_64__)
#include "core/lanes/v2.hpp"
#elif defined(__aarch64__)
#include "core/lanes/neon.hpp"
#endif

namespace coalign::COALIGN_SET {

// A load that stays one load when its value is used several times. Otherwise GCC folds it into each use, and two
// columns of fma wait for the load ports.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_once(const T* p) {
    Vec<T> value = load(p);
#if defined(__AVX512F__)
    asm("" : "+v"(value));
#endif
    return value;
}

#if !defined(__AVX512F__)
// Bit l: a and b are equal in lane l.
[[gnu::always_inline]] inline unsigned equal_bits(Float32Lanes a, Float32Lanes b) {
    return bits(Int32Lanes(a == b));
}
[[gnu::always_inline]] inline unsigned equal_bits(Float64Lanes a, Float64Lanes b) {
    return bits(Int64Lanes(a == b));
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

// The values from `at` on of as many lines as there are lanes, turned: square[c] is the value c of every line. AVX2 has
// a way of its own, an overload that is no template.
template <class T>
[[gnu::always_inline]] inline void load_turned(const T* const (&lines)[kWidth<T>], std::int64_t at,
                                               Vec<T> (&square)[kWidth<T>]) {
#pragma GCC unroll 16
    for (int line = 0; line < kWidth<T>; ++line) square[line] = load(lines[line] + at);
    transpose<T>(square);
}

}  // namespace coalign::COALIGN_SET
