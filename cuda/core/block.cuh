// What the threads of a block share.
#pragma once

#include <cuda_runtime.h>

namespace coalign::cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kWholeWarp = 0xffffffffu;

// The block's dynamic shared memory; noise until it is written.
template <class T>
__device__ T* shared_memory() {
#ifdef __CUDACC__
    extern __shared__ __align__(16) unsigned char bytes[];
    return reinterpret_cast<T*>(bytes);
#else
    return static_cast<T*>(emulation::shared_memory());
#endif
}

}  // namespace coalign::cuda
