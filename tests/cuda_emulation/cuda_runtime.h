// The part of CUDA that the kernels use, on the host: found in place of NVIDIA's header of this name.
//
// A launch is queued on its stream and runs when the stream is synchronised. Its blocks run one after another, in an
// order drawn at random; a block's threads are fibers, and the order in which they go on between two barriers is drawn
// too. Shared memory and registers of a block start as noise. What a real GPU would only sometimes punish is a fault
// here: see `FaultError`.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <source_location>
#include <type_traits>
#include <utility>

#include "emulator.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101
};
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16 };

struct CUstream_st : coalign::emulation::Stream {};
using cudaStream_t = CUstream_st*;

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    std::size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
    void* attrs = nullptr;
    unsigned numAttrs = 0;
};

inline cudaError_t cudaGetDeviceCount(int* count) {
    using namespace coalign::emulation;
    *count = machine.devices;
    if (!machine.driver) return cudaErrorInsufficientDriver;
    return machine.devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}
inline cudaError_t cudaGetDevice(int* device) {
    *device = coalign::emulation::machine.device;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
    using namespace coalign::emulation;
    if (device < 0 || device >= machine.devices) return cudaErrorInvalidDevice;
    machine.device = device;
    return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
    *value = 2;
    return cudaSuccess;
}
inline cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorInvalidConfiguration ? "invalid configuration argument" : "emulated error";
}

inline constexpr unsigned cudaHostAllocPortable = 1, cudaHostAllocMapped = 2;
inline cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
    *memory = std::malloc(bytes);
    return cudaSuccess;
}

inline cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
    coalign::emulation::enqueue(stream, [=] { std::memset(memory, value, bytes); });
    return cudaSuccess;
}

template <class... Expected, class... Actual>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...), Actual&&... arguments) {
    using namespace coalign::emulation;
    const Shape shape{{config->gridDim.x, config->gridDim.y, config->gridDim.z},
                      {config->blockDim.x, config->blockDim.y, config->blockDim.z},
                      config->dynamicSmemBytes};
    if (!is_valid(shape)) return cudaErrorInvalidConfiguration;
    enqueue(config->stream, [=] { run_grid(shape, [=] { kernel(static_cast<Expected>(arguments)...); }); });
    return cudaSuccess;
}

namespace coalign::emulation {

// Objects, as on a GPU: macros would also change members of these names.
template <Index Here::* kOf, unsigned Index::* kAxis>
struct Component {
    operator unsigned() const { return here().*kOf.*kAxis; }
};
template <Index Here::* kOf>
struct Vector {
    Component<kOf, &Index::x> x;
    Component<kOf, &Index::y> y;
    Component<kOf, &Index::z> z;
};

}  // namespace coalign::emulation

inline constexpr coalign::emulation::Vector<&coalign::emulation::Here::thread> threadIdx{};
inline constexpr coalign::emulation::Vector<&coalign::emulation::Here::block> blockIdx{};
inline constexpr coalign::emulation::Vector<&coalign::emulation::Here::block_shape> blockDim{};
inline constexpr coalign::emulation::Vector<&coalign::emulation::Here::grid_shape> gridDim{};

inline void __syncthreads(const std::source_location& where = std::source_location::current()) {
    coalign::emulation::block_barrier(where.line());
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    coalign::emulation::exchange(coalign::emulation::Collective::barrier, mask, 0);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const auto& values = coalign::emulation::exchange(coalign::emulation::Collective::ballot, mask, predicate != 0);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32; ++lane) bits |= (mask >> lane & 1u && values[lane] != 0) ? 1u << lane : 0u;
    return bits;
}
// The least that a lane of the mask brings.
inline unsigned __reduce_min_sync(unsigned mask, unsigned value) {
    const auto& values = coalign::emulation::exchange(coalign::emulation::Collective::minimum, mask, value);
    unsigned least = 0xffffffffu;
    for (unsigned lane = 0; lane < 32; ++lane)
        if ((mask >> lane & 1u) != 0 && values[lane] < least) least = static_cast<unsigned>(values[lane]);
    return least;
}
inline int __any_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) == mask;
}

// The value of lane `source` of each aligned group of `width` lanes.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    using namespace coalign::emulation;
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    const auto& values = exchange(Collective::shuffle, mask, bits);
    const unsigned wide = static_cast<unsigned>(width);
    const unsigned from = (lane_index() & ~(wide - 1)) | (static_cast<unsigned>(source) & (wide - 1));
    require_lane(mask, from);
    std::memcpy(&value, &values[from], sizeof value);
    return value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = coalign::emulation::lane_index() & static_cast<unsigned>(width - 1);
    return __shfl_sync(mask, value, static_cast<int>(lane >= delta ? lane - delta : lane), width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = coalign::emulation::lane_index() & static_cast<unsigned>(width - 1);
    const unsigned wide = static_cast<unsigned>(width);
    return __shfl_sync(mask, value, static_cast<int>(lane + delta < wide ? lane + delta : lane), width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    return __shfl_sync(mask, value, static_cast<int>(coalign::emulation::lane_index()) ^ lanes, width);
}

// One fiber runs at a time, and none is interrupted.
template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
    return std::exchange(*at, static_cast<T>(*at + value));
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> value) {
    return std::exchange(*at, value < *at ? value : *at);
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> value) {
    return std::exchange(*at, *at < value ? value : *at);
}
template <class T>
T atomicExch(T* at, std::type_identity_t<T> value) {
    return std::exchange(*at, value);
}
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
    return std::exchange(*at, *at == expected ? value : *at);
}
inline void __threadfence() {}
inline void __nanosleep(unsigned) {
    coalign::emulation::pause();
}

template <class T>
T __ldg(const T* at) {
    return *at;
}
inline int __float_as_int(float value) {
    return std::bit_cast<int>(value);
}
inline float __int_as_float(int bits) {
    return std::bit_cast<float>(bits);
}
inline long long __double_as_longlong(double value) {
    return std::bit_cast<long long>(value);
}
inline double __longlong_as_double(long long bits) {
    return std::bit_cast<double>(bits);
}
// One more than the number of the lowest bit that is set; 0 where none is.
inline int __ffs(int bits) {
    return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1;
}
// The upper word of two after a shift to the left.
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    shift %= 32;
    return shift == 0 ? high : high << shift | low >> (32 - shift);
}
inline int __vimin3_s32(int a, int b, int c) {
    const int least = a < b ? a : b;
    return least < c ? least : c;
}
