// Threads that work on one problem together: a warp, or a block of warps. What they find the least of is the same for
// all of them, so that all take the same turns.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/block.cuh"

namespace coalign::cuda {

// A value, and which of equal values goes first: the one of the least rank.
template <class T>
struct Ranked {
    T value;
    unsigned rank;
};

__device__ inline unsigned warp_minimum(unsigned value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        const unsigned other = __shfl_xor_sync(kWholeWarp, value, lanes);
        value = other < value ? other : value;
    }
    return value;
#else
    return __reduce_min_sync(kWholeWarp, value);
#endif
}

// Integers whose order is that of the floats: one instruction has the least integer of a warp, where the least float
// takes five rounds of shuffles. And back.
__device__ inline unsigned ordered_bits(float value) {
    const auto bits = static_cast<unsigned>(__float_as_int(value));
    return bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
}
__device__ inline float from_ordered_bits(unsigned bits) {
    return __int_as_float(static_cast<int>(bits ^ ((bits >> 31) != 0 ? 0x80000000u : 0xffffffffu)));
}

__device__ inline float warp_minimum(float value) {
    return from_ordered_bits(warp_minimum(ordered_bits(value)));
}
__device__ inline double warp_minimum(double value) {
    const auto bits = static_cast<std::uint64_t>(__double_as_longlong(value));
    const std::uint64_t flip = (bits >> 63) != 0 ? ~std::uint64_t{0} : std::uint64_t{1} << 63;
    const auto high = static_cast<unsigned>((bits ^ flip) >> 32), low = static_cast<unsigned>(bits ^ flip);
    const unsigned least_high = warp_minimum(high);
    const unsigned least_low = warp_minimum(high == least_high ? low : ~0u);
    const std::uint64_t least = static_cast<std::uint64_t>(least_high) << 32 | least_low;
    const std::uint64_t back = (least >> 63) != 0 ? std::uint64_t{1} << 63 : ~std::uint64_t{0};
    return __longlong_as_double(static_cast<long long>(least ^ back));
}

template <class T>
__device__ Ranked<T> warp_least(Ranked<T> mine) {
    const T value = warp_minimum(mine.value);
    // By value: zeros are equal whatever their signs.
    return {value, warp_minimum(mine.value == value ? mine.rank : ~0u)};
}

// The sum over a warp, in an order of its own.
__device__ inline double warp_sum(double mine) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_xor_sync(kWholeWarp, mine, lanes);
    return mine;
}

// The values of a warp's lanes in ascending order (a bitonic sort).
template <class T>
__device__ T warp_sorted(T mine) {
    const unsigned lane = threadIdx.x % kWarp;
#pragma unroll
    for (unsigned size = 2; size <= kWarp; size *= 2) {
#pragma unroll
        for (unsigned apart = size / 2; apart > 0; apart /= 2) {
            const T other = __shfl_xor_sync(kWholeWarp, mine, static_cast<int>(apart));
            const bool ascends = (lane & size) == 0, is_first = (lane & apart) == 0;
            mine = ascends == is_first ? lesser(mine, other) : greater(mine, other);
        }
    }
    return mine;
}

template <class T>
class WarpTeam {
   public:
    static constexpr unsigned kSize = kWarp;
    static constexpr std::size_t kSharedBytes = 0;

    __device__ explicit WarpTeam(void*) {}
    __device__ int rank() const { return static_cast<int>(threadIdx.x); }
    __device__ int size() const { return static_cast<int>(kWarp); }
    __device__ void sync() const { __syncwarp(); }
    __device__ Ranked<T> least(Ranked<T> mine) const { return warp_least(mine); }
};

// Its slots are two sets of one for each warp, used by turns: by the time a set is written again, all have passed a
// barrier since they read it.
template <class T>
class BlockTeam {
   public:
    static constexpr unsigned kSize = 0;  // as launched
    static constexpr std::size_t kSharedBytes = 2 * kWarp * sizeof(Ranked<T>);

    __device__ explicit BlockTeam(void* shared) : slots_(static_cast<Ranked<T>*>(shared)) {}
    __device__ int rank() const { return static_cast<int>(threadIdx.x); }
    __device__ int size() const { return static_cast<int>(blockDim.x); }
    __device__ void sync() const { __syncthreads(); }
    __device__ Ranked<T> least(Ranked<T> mine) {
        Ranked<T>* const slots = slots_ + turn_ * kWarp;
        turn_ ^= 1;
        const unsigned lane = threadIdx.x % kWarp, warps = blockDim.x / kWarp;
        mine = warp_least(mine);
        if (lane == 0) slots[threadIdx.x / kWarp] = mine;
        __syncthreads();
        return warp_least(slots[lane < warps ? lane : 0]);
    }

   private:
    Ranked<T>* slots_;
    unsigned turn_ = 0;
};

}  // namespace coalign::cuda
