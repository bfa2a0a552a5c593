// Numbers mantissa * 2^exponent whose exponent is an integer of its own, as csrc/core/extended.hpp has them on lanes.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "core/arithmetic.cuh"

namespace coalign::cuda {

// A mantissa is 0 or positive, and need not be normalised. One load or store moves both.
template <class T>
struct alignas(2 * sizeof(T)) Extended {
    T mantissa;
    int exponent;
};

__device__ inline float rounded(float a) {
    return rintf(a);
}
__device__ inline double rounded(double a) {
    return rint(a);
}
__device__ inline float exponential(float a) {
    return expf(a);
}
__device__ inline double exponential(double a) {
    return exp(a);
}

// 2^exponent for exponents up to 127 or 1023, and 0 where that is no normal number.
template <class T>
__device__ T power_of_two(int exponent) {
    if constexpr (sizeof(T) == sizeof(float)) {
        return __int_as_float((exponent > -127 ? exponent + 127 : 0) << 23);
    } else {
        return __longlong_as_double(static_cast<long long>(exponent > -1023 ? exponent + 1023 : 0) << 52);
    }
}

// Of two numbers, one that is 2^126 (2^1022) times smaller by exponents is taken as 0.
template <class T>
__device__ Extended<T> add(Extended<T> a, Extended<T> b) {
    const int exponent = a.exponent > b.exponent ? a.exponent : b.exponent;
    return {
        fused(a.mantissa, power_of_two<T>(a.exponent - exponent), b.mantissa * power_of_two<T>(b.exponent - exponent)),
        exponent};
}

template <class T>
__device__ Extended<T> multiply(Extended<T> a, Extended<T> b) {
    return {a.mantissa * b.mantissa, a.exponent + b.exponent};
}

template <class T>
struct Ln2;
template <>
struct Ln2<float> {
    static constexpr float kInverse = 0x1.715476p+0f, kHigh = 0x1.62e400p-1f, kLow = 0x1.7f7d1cp-20f;
};
template <>
struct Ln2<double> {
    static constexpr double kInverse = 0x1.71547652b82fep+0, kHigh = 0x1.62e42fefa3800p-1, kLow = 0x1.ef35793c76730p-45;
};

// The power of 2 in e^x.
template <class T>
__device__ T power_in(T x) {
    return rounded(x * Ln2<T>::kInverse);
}

// e^x for x up to 2^20 either way, by Cody and Waite's reduction: the mantissa lies between 0.7 and 1.42, and the
// relative precision does not depend on the size of x.
template <class T>
__device__ Extended<T> exp_extended(T x) {
    const T n = power_in(x);
    const T rest = fused(n, -Ln2<T>::kLow, fused(n, -Ln2<T>::kHigh, x));
    return {exponential(rest), static_cast<int>(n)};
}

// A mantissa in [1, 2); what is 0, or below 2^least, becomes 0 * 2^least. Tells in `dropped` where that was not 0.
template <class T>
__device__ Extended<T> normalised(Extended<T> v, int least, bool& dropped) {
    if (v.mantissa == 0) return {0, least};
    T mantissa;
    int exponent;
    if constexpr (sizeof(T) == sizeof(float)) {
        const int bits = __float_as_int(v.mantissa);
        exponent = v.exponent + (bits >> 23) - 127;
        mantissa = __int_as_float((bits & ((1 << 23) - 1)) | 127 << 23);
    } else {
        const long long bits = __double_as_longlong(v.mantissa);
        exponent = v.exponent + static_cast<int>(bits >> 52) - 1023;
        mantissa = __longlong_as_double((bits & ((1LL << 52) - 1)) | 1023LL << 52);
    }
    if (exponent >= least) return {mantissa, exponent};
    dropped = true;
    return {0, least};
}

}  // namespace coalign::cuda
