// The one way to start a kernel, so that the same source runs on a GPU and on an emulated one.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include "core/device.hpp"

namespace coalign::cuda {

inline void require_success(cudaError_t error, const char* what) {
    if (error != cudaSuccess) throw DeviceFailure(std::string(what) + ": " + cudaGetErrorString(error));
}

struct Grid {
    unsigned blocks, threads;
    std::size_t shared_bytes = 0;
};

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, cudaStream_t stream, Arguments&&... arguments) {
    cudaLaunchConfig_t config{};
    config.gridDim.x = grid.blocks;
    config.blockDim.x = grid.threads;
    config.dynamicSmemBytes = grid.shared_bytes;
    config.stream = stream;
    require_success(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), "kernel launch");
}

}  // namespace coalign::cuda
