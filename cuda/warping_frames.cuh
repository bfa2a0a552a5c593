// What all kernels of warping do with the frames of series: they check and pack them, and find those of an item.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/arena.hpp"
#include "core/arithmetic.cuh"
#include "core/launch.cuh"
#include "core/status.hpp"
#include "warping.hpp"

namespace coalign::cuda {

__device__ inline float magnitude(float a) {
    return fabsf(a);
}
__device__ inline double magnitude(double a) {
    return fabs(a);
}

__device__ inline float square_root(float a) {
    return sqrtf(a);
}
__device__ inline double square_root(double a) {
    return sqrt(a);
}

namespace {

constexpr unsigned kCheckThreads = 256;

// One side as the kernels read it: the frames of an item, `pitch` from one dimension to the next.
template <class T>
struct Side {
    const T* data;
    const T* const* items;
    std::int64_t count, frames, item_stride, pitch;
    const std::int64_t* lengths;
    const std::int64_t* order;
    const std::uint64_t* bad;
};

template <class T>
__device__ const T* frames_of(const Side<T>& side, std::int64_t item) {
    return side.items != nullptr ? side.items[item] : side.data + item * side.item_stride;
}

// The frames of an item, or 0 if its length is out of range.
template <class T>
__device__ int length_of(const Side<T>& side, std::int64_t item) {
    const std::int64_t length = side.lengths != nullptr ? side.lengths[item] : side.frames;
    return length >= 1 && length <= side.frames ? static_cast<int>(length) : 0;
}

// Why a pair has no cost: a value of x or y that is not finite. `frames_of` is by dimension, `bad` by frame.
template <class T>
__device__ Status refusal(const Side<T>& side, std::int64_t item, int length, int dim) {
    if (length == 0) return Status::invalid;
    const std::uint64_t at = side.bad[item], size = static_cast<std::uint64_t>(length) * static_cast<unsigned>(dim);
    if (at >= size) return Status::ok;
    const auto frame = static_cast<std::int64_t>(at) / dim, d = static_cast<std::int64_t>(at) % dim;
    const T value = frames_of(side, item)[d * side.pitch + frame];
    return value != value ? Status::nan : Status::invalid;
}

// How kernels want the frames: where they lie, or packed dimension by dimension, `pitch` apart, times a power of two,
// or of unit length for the cosine. `slack` elements beyond the last may be read.
struct Packing {
    bool packs, unit;
    int dim;
    double factor;
    std::int64_t pitch, slack;
};

// A frame a thread: notes the first element that is not finite, and packs the frames; of unit length as
// csrc/warping/inputs.cpp does it.
template <class T>
__global__ void __launch_bounds__(kCheckThreads)
    check_frames(const SeriesArray side, int dim, bool unit, T factor, T* packed, std::int64_t pitch) {
    const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const std::int64_t item = at / pitch, frame = at % pitch;
    if (item >= side.count) return;
    const std::int64_t length = side.row_lengths != nullptr ? side.row_lengths[item] : side.rows;
    T* const out = packed != nullptr ? packed + item * dim * pitch + frame : nullptr;
    // Nothing is read of an item whose length is out of range.
    if (frame >= length || length > side.rows) {
        for (int d = 0; out != nullptr && d < dim; ++d) out[d * pitch] = 0;
        return;
    }
    const T* from = side.items != nullptr ? static_cast<const T*>(side.items[item])
                                          : static_cast<const T*>(side.data) + item * side.item_stride;
    from += frame * side.row_stride;
    int bad = dim;
    T largest = 0;
    for (int d = dim - 1; d >= 0; --d) {
        const T size = magnitude(from[d * side.column_stride]);
        if (!(size < kInfinity<T>)) bad = d;
        largest = size > largest ? size : largest;
    }
    if (bad < dim) {
        static_assert(sizeof(unsigned long long) == sizeof(std::uint64_t));
        atomicMin(reinterpret_cast<unsigned long long*>(side.bad + item),
                  static_cast<unsigned long long>(frame * dim + bad));
    }
    if (out == nullptr) return;
    T norm = 1;
    // A bad frame is kept as it is, so that its value can be reported.
    unit = unit && bad == dim;
    if (unit) {
        T sum = 0;
        for (int d = 0; d < dim && largest > 0; ++d) {
            const T part = from[d * side.column_stride] / largest;
            sum = sum + part * part;
        }
        norm = largest > 0 ? square_root(sum) : T(1);
        if (!(largest > 0)) largest = 1;
    } else {
        largest = 1;
    }
    for (int d = 0; d < dim; ++d) {
        const T value = from[d * side.column_stride];
        out[d * pitch] = unit ? value / largest / norm : factor * value;
    }
}

// Takes the room of a side, and queues its check, unless only the room is asked for.
template <class T>
Side<T> prepare_side(Arena& arena, const SeriesArray& side, const Packing& packing, bool queue, cudaStream_t stream) {
    Side<T> out{static_cast<const T*>(side.data),
                static_cast<const T* const*>(static_cast<const void*>(side.items)),
                side.count,
                side.rows,
                side.item_stride,
                0,
                side.row_lengths,
                side.order,
                side.bad};
    T* packed = nullptr;
    if (packing.packs) {
        packed = arena.take<T>(side.count * packing.dim * packing.pitch + packing.slack);
        out.data = packed;
        out.items = nullptr;
        out.item_stride = packing.dim * packing.pitch;
        out.pitch = packing.pitch;
    }
    if (!queue) return out;
    require_success(cudaMemsetAsync(side.bad, 0xff, static_cast<std::size_t>(side.count) * sizeof *side.bad, stream),
                    "cudaMemsetAsync");
    const std::int64_t threads = side.count * packing.pitch;
    launch(check_frames<T>, {static_cast<unsigned>((threads + kCheckThreads - 1) / kCheckThreads), kCheckThreads},
           stream, side, packing.dim, packing.unit, static_cast<T>(packing.factor), packed, packing.pitch);
    return out;
}

}  // namespace
}  // namespace coalign::cuda
