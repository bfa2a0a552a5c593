#include "core/device.hpp"
#include "core/launch.cuh"

namespace coalign::cuda {

DeviceCount count_devices() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    // An error here is an answer, and stays no error of a later launch.
    static_cast<void>(cudaGetLastError());
    if (error == cudaErrorInsufficientDriver) return {0, "there is no CUDA driver, or one too old for this build"};
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) return {0, "there is no CUDA device"};
    if (error != cudaSuccess) return {0, cudaGetErrorString(error)};
    return {count, ""};
}

int multiprocessors(int device) {
    int count = 0;
    require_success(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
    return count;
}

DeviceScope::DeviceScope(int device) {
    require_success(cudaGetDevice(&former_), "cudaGetDevice");
    if (former_ != device) require_success(cudaSetDevice(device), "cudaSetDevice");
}

DeviceScope::~DeviceScope() {
    static_cast<void>(cudaSetDevice(former_));
}

}  // namespace coalign::cuda
