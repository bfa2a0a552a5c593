// A cell of soft-DTW, as csrc/soft_warping/kernels.hpp has it on lanes: the sum of exp(-cost / gamma) over the paths
// that lead to it is part * 2^-whole, with a whole number of the part's type.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/extended.cuh"

namespace coalign::cuda {

template <class T>
struct alignas(2 * sizeof(T)) Cell {
    T part, whole;
};

// A local cost counts as no more than this many times gamma ln 2, and a cell as no more than twice as many. All whole
// numbers up to four times as many are exact.
template <class T>
constexpr T kMostWhole = sizeof(T) == 4 ? T(1 << 22) : T(std::int64_t{1} << 50);
// The cells outside the lattice or the window.
template <class T>
constexpr Cell<T> kOutside{1, 2 * kMostWhole<T>};

__device__ inline float power_of_two_of(float x) {
    return exp2f(x);
}
__device__ inline double power_of_two_of(double x) {
    return exp2(x);
}

// 2^exponent of a whole number that is not positive, and 0 where that is no normal number. Added to 1.5 * 2^23 (2^52),
// a whole number shows in the last bits.
__device__ inline float small_power_of_two(float exponent) {
    const float shifted = greater(exponent, -127.0f) + (0x1.8p23f + 127.0f);
    return __int_as_float(static_cast<int>(static_cast<unsigned>(__float_as_int(shifted)) << 23));
}
__device__ inline double small_power_of_two(double exponent) {
    const double shifted = greater(exponent, -1023.0) + (0x1.8p52 + 1023.0);
    return __longlong_as_double(
        static_cast<long long>(static_cast<unsigned long long>(__double_as_longlong(shifted)) << 52));
}

// A part in [1, 2).
template <class T>
__device__ Cell<T> normalised(Cell<T> cell) {
    bool dropped = false;
    const Extended<T> split = normalised(Extended<T>{cell.part, 0}, -(1 << 20), dropped);
    return {split.mantissa, lesser(cell.whole - static_cast<T>(split.exponent), kOutside<T>.whole)};
}

// How probable it is that a path comes from above, and from the left.
template <class T>
struct Shares {
    T up, left;
};

// The cell of a local cost of `bits` gamma ln 2, infinite outside the window. Its part is within 3 sqrt(2) of theirs.
template <class T, bool kRecord>
__device__ Cell<T> combine(Cell<T> up, Cell<T> left, Cell<T> diagonal, T bits, Shares<T>& shares) {
    // The two that change places in the transposed pair come first, so that it has the same bits.
    const T least = lesser(lesser(up.whole, left.whole), diagonal.whole);
    const T from_up = up.part * small_power_of_two(least - up.whole);
    const T from_left = left.part * small_power_of_two(least - left.whole);
    const T sum = (from_up + from_left) + diagonal.part * small_power_of_two(least - diagonal.whole);
    if constexpr (kRecord) {
        const T inverse = 1 / sum;
        shares = {from_up * inverse, from_left * inverse};
    }
    if (!(bits < kInfinity<T>)) return kOutside<T>;
    const T n = rounded(bits);
    return {sum * power_of_two_of(n - bits), least + n};
}

// The same of another lane.
template <class T>
__device__ Cell<T> from_lane(Cell<T> mine, int lane) {
    return {__shfl_sync(kWholeWarp, mine.part, lane), __shfl_sync(kWholeWarp, mine.whole, lane)};
}

}  // namespace coalign::cuda
