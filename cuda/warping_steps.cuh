// The steps that a path may take, cell by cell: each pattern keeps of a cell what the cells after it need, the least
// costs of the paths that have come to it in one way or another. So steps of several moves take the neighbours alone,
// as ordinary ones do, and no move leaves the window.
#pragma once

#include <cuda_runtime.h>

#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "warping.hpp"

namespace coalign::cuda {

template <class T, int kCount>
struct Ways {
    T least[kCount];  // the first over all ways

    static __device__ Ways none() {
        Ways out;
#pragma unroll
        for (int w = 0; w < kCount; ++w) out.least[w] = kInfinity<T>;
        return out;
    }
};

// The value of a lane of the group.
template <class T>
__device__ T from_group(T mine, int lane, int lanes) {
    return __shfl_sync(kWholeWarp, mine, lane, lanes);
}
template <class T, int kCount>
__device__ Ways<T, kCount> from_group(Ways<T, kCount> mine, int lane, int lanes) {
#pragma unroll
    for (int w = 0; w < kCount; ++w) mine.least[w] = __shfl_sync(kWholeWarp, mine.least[w], lane, lanes);
    return mine;
}

// A way on. Where there is one, its cost is a number: the largest stands for those beyond it, so that what overflows
// differs from what has no path.
template <class T>
__device__ T onward(T before, T weight, T cost) {
    return before < kInfinity<T> ? lesser(fused(weight, cost, before), kLargest<T>) : kInfinity<T>;
}

// The steps of symmetric1: a cell is its cost, and what overflows is infinite.
template <class T>
struct OrdinarySteps {
    static constexpr bool kOrdinary = true;
    static constexpr Steps kSteps = Steps::symmetric1;
    using Cell = T;
    static __device__ T none() { return kInfinity<T>; }
    static __device__ T total(T cell) { return cell; }
};

template <class T, Steps kWhich, int kCount>
struct PatternSteps {
    static constexpr bool kOrdinary = false;
    static constexpr Steps kSteps = kWhich;
    using Cell = Ways<T, kCount>;
    static __device__ Cell none() { return Cell::none(); }
    static __device__ T total(const Cell& cell) { return cell.least[0]; }
    static __device__ Cell first(T cost) {
        Cell out = none();
        out.least[0] = lesser(cost, kLargest<T>);
        return out;
    }
    static __device__ Cell next(const Cell& left, const Cell& up, const Cell& diagonal, T cost) {
        Cell out;
        // Weights are dx + dy.
        const T turned = onward(diagonal.least[0], T(2), cost);
        if constexpr (kWhich == Steps::symmetric2) {
            out.least[0] = least(turned, onward(left.least[0], T(1), cost), onward(up.least[0], T(1), cost));
        } else if constexpr (kWhich == Steps::symmetricP05) {
            // One diagonal move, and up to two straight ones.
            out.least[1] = turned;
            out.least[2] = onward(left.least[1], T(1), cost);
            out.least[3] = onward(up.least[1], T(1), cost);
            const T straight = least(turned, out.least[2], out.least[3]);
            out.least[0] = least(straight, onward(left.least[2], T(1), cost), onward(up.least[3], T(1), cost));
        } else if constexpr (kWhich == Steps::symmetricP1) {
            // One, and up to one.
            out.least[1] = turned;
            out.least[0] = least(turned, onward(left.least[1], T(1), cost), onward(up.least[1], T(1), cost));
        } else {
            // One, or two and a straight one.
            out.least[1] = turned;
            out.least[2] = onward(diagonal.least[1], T(2), cost);
            out.least[0] = least(turned, onward(left.least[2], T(1), cost), onward(up.least[2], T(1), cost));
        }
        return out;
    }

   private:
    static __device__ T least(T a, T b, T c) { return lesser(lesser(a, b), c); }
};

template <class T>
using Symmetric2 = PatternSteps<T, Steps::symmetric2, 1>;
template <class T>
using SymmetricP05 = PatternSteps<T, Steps::symmetricP05, 4>;
template <class T>
using SymmetricP1 = PatternSteps<T, Steps::symmetricP1, 2>;
template <class T>
using SymmetricP2 = PatternSteps<T, Steps::symmetricP2, 3>;

}  // namespace coalign::cuda
