// How warps that run at once tell one another what is done: by counts in global memory that only grow.
#pragma once

#include <cuda_runtime.h>

#include "core/block.cuh"

namespace coalign::cuda {

using Count = unsigned long long;

// By a whole warp. Whoever sees the count sees what the lanes have written before: the barrier orders their writes
// before the first lane's fence, and the fence orders them before the count.
__device__ inline void announce(Count* at, Count count) {
    __syncwarp();
    if (threadIdx.x % kWarp == 0) {
        __threadfence();
        *static_cast<volatile Count*>(at) = count;
    }
}

// The same for a count to which several warps add.
__device__ inline void announce_one_more(Count* at) {
    __syncwarp();
    if (threadIdx.x % kWarp == 0) {
        __threadfence();
        atomicAdd(at, Count{1});
    }
}

// By a whole warp: waits for a count. What was written before the count is read only after the fence.
__device__ inline void await(const Count* at, Count count) {
    if (threadIdx.x % kWarp == 0) {
        while (*static_cast<const volatile Count*>(at) < count) __nanosleep(64);
        __threadfence();
    }
    __syncwarp();
}

}  // namespace coalign::cuda
