#include <atomic>
#include <cstring>

#include "core/device.hpp"
#include "core/done_flag.hpp"
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

DoneFlag take_done_flag() {
    constexpr unsigned long long kFlags = 1024;
    static unsigned long long* const numbers = [] {
        void* memory = nullptr;
        constexpr std::size_t bytes = kFlags * sizeof(unsigned long long);
        if (cudaHostAlloc(&memory, bytes, cudaHostAllocPortable | cudaHostAllocMapped) != cudaSuccess) {
            // An error here stays no error of a later launch.
            static_cast<void>(cudaGetLastError());
            memory = nullptr;
        }
        if (memory != nullptr) std::memset(memory, 0, bytes);
        return static_cast<unsigned long long*>(memory);
    }();
    static std::atomic<unsigned long long> calls{0};
    if (numbers == nullptr) return {};
    const unsigned long long call = ++calls;
    return {numbers + call % kFlags, call};
}

DeviceScope::DeviceScope(int device) {
    require_success(cudaGetDevice(&former_), "cudaGetDevice");
    if (former_ != device) require_success(cudaSetDevice(device), "cudaSetDevice");
}

DeviceScope::~DeviceScope() {
    static_cast<void>(cudaSetDevice(former_));
}

}  // namespace coalign::cuda
