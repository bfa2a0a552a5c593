// What kernels write alike for float and double.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <limits>

namespace coalign::cuda {

template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T kLargest = std::numeric_limits<T>::max();
template <class T>
constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();
template <class T>
constexpr T kEpsilon = std::numeric_limits<T>::epsilon();

__device__ inline float fused(float a, float b, float c) {
    return fmaf(a, b, c);
}
__device__ inline double fused(double a, double b, double c) {
    return fma(a, b, c);
}

// Of a NaN and a number the number, as the instruction has it.
__device__ inline float lesser(float a, float b) {
    return fminf(a, b);
}
__device__ inline double lesser(double a, double b) {
    return fmin(a, b);
}
__device__ inline float greater(float a, float b) {
    return fmaxf(a, b);
}
__device__ inline double greater(double a, double b) {
    return fmax(a, b);
}
__device__ inline float absolute(float a) {
    return fabsf(a);
}
__device__ inline double absolute(double a) {
    return fabs(a);
}

}  // namespace coalign::cuda
