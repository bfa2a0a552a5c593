// exp, log, log1p and log-sum-exp on lanes.
//
// float32 within 2 ulp and float64 within 4 over the whole range. exp gives 0 where the result would be denormal; a
// denormal argument counts in full, as what it is. NaN gives NaN.
//
// The methods: exp by Cody and Waite's reduction, x = n ln 2 + r with ln 2 in two parts, and a polynomial in r; log by
// splitting off the exponent, and then a polynomial in float32, or in float64 the series of 2 atanh((m - 1) / (m + 1))
// (J.-M. Muller, Elementary Functions, 3rd ed., chapters 3 and 11). fit_math.py fits the polynomials and prints them.
// v2 has no fused multiply-add. It rounds twice, which the reductions do not feel, since n times the first part of ln 2
// is exact, and a polynomial's terms are small beside its first.
#pragma once

#include <limits>

#include "core/lanes.hpp"

namespace coalign::COALIGN_SET {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
    static constexpr int kMantissaBits = 23, kBias = 127;
    static constexpr float kLog2E = 0x1.715476p+0f, kLn2High = 0x1.62e400p-1f, kLn2Low = 0x1.7f7d1cp-20f;
    static constexpr float kExpLeast = -0x1.5d589ep+6f, kExpMost = 0x1.62e42ep+6f;
    // (e^r - 1 - r) / r^2, 28.3 bits
    static constexpr float kExp[] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f, 0x1.1239e2p-7f, 0x1.6a2438p-10f};
    // (log(1 + f) - f) / f^2, 25.1 bits
    static constexpr float kLog[] = {-0x1.000014p-1f, 0x1.5555e6p-2f, -0x1.ffdd9ep-3f, 0x1.99216ap-3f,
                                     -0x1.5887fep-3f, 0x1.32dee4p-3f, -0x1.ee4784p-4f, 0x1.bb73eep-5f};
    // log(1 + s) / s in s - 1/2 and s - 1, 25.0 and 25.1 bits
    static constexpr float kLogOfTwo[] = {0x1.9f323ep-1f,  -0x1.277388p-2f, 0x1.0f955ap-3f,
                                          -0x1.15589ap-4f, 0x1.2c1ac6p-5f,  -0x1.4b6b6ap-6f,
                                          0x1.7baa64p-7f,  -0x1.18f7cep-7f, 0x1.56ee1cp-8f};
    static constexpr float kLogOfThree[] = {0x1.62e430p-1f,  -0x1.8b90b8p-3f,  0x1.1722e4p-4f,  -0x1.b1e176p-6f,
                                            0x1.63387cp-7f,  -0x1.2d0e4cp-8f,  0x1.0e610cp-9f,  -0x1.e4e77ep-11f,
                                            0x1.2c6fdcp-12f, -0x1.ec7f1ep-14f, 0x1.5f6638p-13f, -0x1.56f2dap-14f};
};

template <>
struct MathConstants<double> {
    static constexpr int kMantissaBits = 52, kBias = 1023;
    static constexpr double kLog2E = 0x1.71547652b82fep+0, kLn2High = 0x1.62e42fefa3800p-1,
                            kLn2Low = 0x1.ef35793c76730p-45;
    static constexpr double kExpLeast = -0x1.6232bdd7abcd2p+9, kExpMost = 0x1.62e42fefa39efp+9;
    // (e^r - 1 - r) / r^2, 57.9 bits
    static constexpr double kExp[] = {0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.555555555087cp-5,
                                      0x1.1111111127bddp-7,  0x1.6c16c1842a237p-10, 0x1.a01a012a5a582p-13,
                                      0x1.a0199a0c3b9e1p-16, 0x1.71df254cad78cp-19, 0x1.28ad72f1d6282p-22,
                                      0x1.ad7f776d7d874p-26};
    // (log((1 + t/2) / (1 - t/2)) - t) / t^3 in t^2: 55.9, 54.2 and 53.2 bits
    static constexpr double kLog[] = {0x1.5555555555773p-4,  0x1.99999998f1753p-7,  0x1.249249b1afd55p-9,
                                      0x1.c71c01a7d4f36p-12, 0x1.7474d8ad6aa2bp-14, 0x1.385393acff090p-16,
                                      0x1.3ab8bf7057e49p-18};
    static constexpr double kLogOfTwo[] = {0x1.5555555555937p-4,  0x1.99999998ebddbp-7,  0x1.2492497829a2ep-9,
                                           0x1.c71c4a6dbadd2p-12, 0x1.74624feda910dp-14, 0x1.3aa9287a99328p-16,
                                           0x1.163f695075d2ap-18, 0x1.959ea50000ffbp-21, 0x1.6b4f6217c974fp-22};
    static constexpr double kLogOfThree[] = {0x1.5555555554f5cp-4,  0x1.9999999a62221p-7,   0x1.249248db54a06p-9,
                                             0x1.c71c8c8bce702p-12, 0x1.745a3bc6bd723p-14,  0x1.3b452ecaf4c83p-16,
                                             0x1.0ed91ff58ffabp-18, 0x1.0225f015f990fp-20,  0x1.f6024baa7a88cp-24,
                                             0x1.f8e7216c401ecp-24, -0x1.dadb5261a552bp-26, 0x1.b0c1c4ee429fap-27};
};

// A long one by its even and its odd terms: a multiplication more, and half the steps that wait for each other.
template <class T, int kTerms>
[[gnu::always_inline]] inline Vec<T> polynomial(const T (&terms)[kTerms], Vec<T> x) {
    constexpr int stride = kTerms > 6 ? 2 : 1;
    const Vec<T> power = stride == 2 ? x * x : x;
    Vec<T> sums[2] = {splat(terms[kTerms - stride]), splat(terms[kTerms - 1])};
#pragma GCC unroll 16
    for (int k = kTerms - stride - 1; k >= 0; --k) {
        Vec<T>& sum = sums[stride == 1 ? 0 : (kTerms - k) % 2];
        sum = fused(sum, power, splat(terms[k]));
    }
    if constexpr (stride == 1) return sums[0];
    return kTerms % 2 == 0 ? fused(sums[1], x, sums[0]) : fused(sums[0], x, sums[1]);
}

// exp(x) = power * 2^(shifted - shift). Added to `shift`, which has no room for a fraction, x log2 e is rounded, and
// the sum's last bits are the whole number.
template <class T>
[[gnu::always_inline]] inline Vec<T> reduced_exp(Vec<T> x, T shift, Vec<T>& shifted) {
    using C = MathConstants<T>;
    shifted = fused(x, splat(C::kLog2E), splat(shift));
    const Vec<T> n = shifted - shift;
    const Vec<T> r = fused(n, splat(-C::kLn2Low), fused(n, splat(-C::kLn2High), x));
    return fused(fused(polynomial(C::kExp, r), r, splat(T(1))), r, splat(T(1)));
}

template <class T>
inline constexpr T kRoundingShift = T(3) * T(UInt<T>(1) << (MathConstants<T>::kMantissaBits - 1));

// exp for x <= 0, and up to where it overflows, less half a power of 2: the power of 2 is then a number by itself.
template <class T>
[[gnu::always_inline]] inline Vec<T> exp_nonpositive(Vec<T> x) {
    using C = MathConstants<T>;
    Vec<T> shifted;
    const Vec<T> power = reduced_exp<T>(x, kRoundingShift<T> + C::kBias, shifted);
    const Vec<T> scale = reinterpret_cast<Vec<T>>(reinterpret_cast<UIntVec<T>>(shifted) << C::kMantissaBits);
    return select(x < C::kExpLeast, Vec<T>{}, power * scale);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> exp(Vec<T> x) {
    using C = MathConstants<T>;
    Vec<T> shifted;
    const Vec<T> power = reduced_exp<T>(x, kRoundingShift<T>, shifted);
    // 2^128 is no float32, but may be the power of 2 where the result is one: so it is added to the exponent.
    const auto scaled = reinterpret_cast<Vec<T>>(reinterpret_cast<UIntVec<T>>(power) +
                                                 (reinterpret_cast<UIntVec<T>>(shifted) << C::kMantissaBits));
    const Vec<T> bounded = select(x <= C::kExpMost, scaled, x + infinity<T>());
    return select(x < C::kExpLeast, Vec<T>{}, bounded);
}

// log(1 + f) + exponent * ln 2, for f from -1/4 to 1/2.
[[gnu::always_inline]] inline Float32Lanes log_of_parts(Float32Lanes f, Float32Lanes exponent) {
    using C = MathConstants<float>;
    const Float32Lanes curve = fused(f * f, polynomial(C::kLog, f), exponent * C::kLn2Low);
    return fused(exponent, splat(C::kLn2High), curve + f);
}
[[gnu::always_inline]] inline Float64Lanes log_of_parts(Float64Lanes f, Float64Lanes exponent) {
    using C = MathConstants<double>;
    const Float64Lanes t = f / fused(f, splat(0.5), splat(1.0));
    const Float64Lanes square = t * t;
    const Float64Lanes rest = fused(t * square, polynomial(C::kLog, square), exponent * C::kLn2Low);
    return fused(exponent, splat(C::kLn2High), rest + t);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> log(Vec<T> x) {
    Vec<T> exponent;
    if constexpr (kSplitsAll) {
        const Vec<T> mantissa = split(x, exponent);
        return log_of_parts(mantissa - T(1), exponent);
    } else {
        using C = MathConstants<T>;
        using Limits = std::numeric_limits<T>;
        const IntVec<T> denormal = x < Limits::min();
        const Vec<T> mantissa = split(select(denormal, x * T(UInt<T>(1) << C::kMantissaBits), x), exponent);
        exponent -= select(denormal, splat(T(C::kMantissaBits)), Vec<T>{});
        const Vec<T> result = select(x <= Limits::max(), log_of_parts(mantissa - T(1), exponent), x);
        const Vec<T> below = select(x < T(0), splat(Limits::quiet_NaN()), -infinity<T>());
        return select(x <= T(0), below, result);
    }
}

template <class T>
[[gnu::always_inline]] inline Vec<T> log1p(Vec<T> x) {
    using C = MathConstants<T>;
    using Limits = std::numeric_limits<T>;
    const Vec<T> sum = x + T(1);
    Vec<T> exponent;
    split(sum, exponent);
    // f = 2^-exponent (1 + x) - 1 with one rounding, since x times a power of 2 is exact, and 2^-exponent - 1 is where
    // it counts. A quarter of x and 4 * 2^-exponent stay normal up to the largest x.
    constexpr UInt<T> one = UInt<T>(C::kBias) << C::kMantissaBits;
    constexpr UInt<T> field = ((UInt<T>(1) << (8 * sizeof(T) - 1)) - 1) >> C::kMantissaBits << C::kMantissaBits;
    const UIntVec<T> counted = reinterpret_cast<UIntVec<T>>(sum) + (UInt<T>(1) << (C::kMantissaBits - 1));
    const auto scale = reinterpret_cast<Vec<T>>(2 * one + (UInt<T>(2) << C::kMantissaBits) - (counted & field));
    const Vec<T> f = fused(x * T(0.25), scale, fused(scale, splat(T(0.25)), splat(T(-1))));
    const Vec<T> result = select(x <= Limits::max(), log_of_parts(f, exponent), x);
    const Vec<T> below = select(x < T(-1), splat(Limits::quiet_NaN()), -infinity<T>());
    // A quarter of a denormal number is not exact, and adding 0 loses the sign of another.
    const Vec<T> tiny = select(absolute(x) < Limits::epsilon() / 4, x, result);
    return select(x <= T(-1), below, tiny);
}

// log(1 + s) for s from 0 to kMost, 1 or 2.
template <int kMost>
[[gnu::always_inline]] inline Float32Lanes log_one_and(Float32Lanes s) {
    using C = MathConstants<float>;
    const Float32Lanes from_middle = s - float{kMost} / 2;
    if constexpr (kMost == 1) return s * polynomial(C::kLogOfTwo, from_middle);
    return s * polynomial(C::kLogOfThree, from_middle);
}
template <int kMost>
[[gnu::always_inline]] inline Float64Lanes log_one_and(Float64Lanes s) {
    using C = MathConstants<double>;
    const Float64Lanes t = s / fused(s, splat(0.5), splat(1.0));
    const Float64Lanes square = t * t;
    if constexpr (kMost == 1) return fused(t * square, polynomial(C::kLogOfTwo, square), t);
    return fused(t * square, polynomial(C::kLogOfThree, square), t);
}

// log(exp(a) + exp(b)), for operands below inf: no NaN where some are -inf, NaN where one is NaN. Within 3 epsilon of
// the largest of: the greater operand, what is added to it (the two may cancel), the operands by their shares in the
// sum.
template <class T>
[[gnu::always_inline]] inline Vec<T> log_sum_exp(Vec<T> a, Vec<T> b) {
    const Vec<T> high = larger(a, b), low = smaller(b, a);
    // -inf less the lowest finite number is -inf, where -inf - -inf would be NaN.
    const Vec<T> from = larger(splat(std::numeric_limits<T>::lowest()), high);
    return high + log_one_and<1>(exp_nonpositive<T>(low - from));
}

template <class T>
[[gnu::always_inline]] inline Vec<T> log_sum_exp(Vec<T> a, Vec<T> b, Vec<T> c) {
    const Vec<T> first = larger(a, b), low = smaller(b, a);
    const Vec<T> high = larger(first, c), middle = smaller(c, first);
    const Vec<T> from = larger(splat(std::numeric_limits<T>::lowest()), high);
    const Vec<T> rest = exp_nonpositive<T>(low - from) + exp_nonpositive<T>(middle - from);
    return high + log_one_and<2>(rest);
}

// -log(exp(-a) + exp(-b) + exp(-c)), for operands above -inf: soft-DTW's step.
template <class T>
[[gnu::always_inline]] inline Vec<T> soft_minimum(Vec<T> a, Vec<T> b, Vec<T> c) {
    const Vec<T> first = smaller(a, b), high = larger(b, a);
    const Vec<T> low = smaller(first, c), middle = larger(c, first);
    const Vec<T> from = smaller(splat(std::numeric_limits<T>::max()), low);
    const Vec<T> rest = exp_nonpositive<T>(from - high) + exp_nonpositive<T>(from - middle);
    return low - log_one_and<2>(rest);
}

}  // namespace coalign::COALIGN_SET
