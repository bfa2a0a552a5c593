// The device's side of `DoneFlag`.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/done_flag.hpp"

namespace coalign::cuda {

// The problems of a launch that are still to be done, and who hears of the last one.
struct Pending {
    DoneFlag flag;
    unsigned* done;  // how many; in the workspace, from 0
    std::int64_t problems;

    // By one thread, once for every problem.
    __device__ void count() const {
        if (atomicAdd(done, 1u) + 1 == problems && flag.number != nullptr)
            *static_cast<volatile unsigned long long*>(flag.number) = flag.call;
    }
};

}  // namespace coalign::cuda
