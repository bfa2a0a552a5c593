// A pair of soft-DTW as its kernels read it: the call, the value that the last cell gives, and where gradients lie.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/status.hpp"
#include "soft_warping_cell.cuh"
#include "soft_warping_tile.cuh"
#include "warping_frames.cuh"
#include "warping_schedule.cuh"

namespace coalign::cuda {
namespace {

// The first kernel leaves a pair that it cannot count to the careful one with this status.
constexpr std::int32_t kUnsolved = -1;
constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2 = 0x1.62e42fefa39efp-1;

template <class Given>
struct Call {
    Side<Given> x, y;
    int dim;
    std::int64_t pairs;
    const std::int64_t* order;
    double gamma;
    Window::Kind window;
    std::int64_t radius;
    const std::int32_t* rows;
    Given* value;
    std::int32_t* status;
    Given *grad_x, *grad_y;
    const std::int64_t *x_at, *y_at;

    __device__ std::int64_t pair_of(std::int64_t turn) const { return order != nullptr ? order[turn] : turn; }
    __device__ std::int64_t item_of_x(std::int64_t p) const { return x.count == 1 ? 0 : p; }
    __device__ std::int64_t item_of_y(std::int64_t p) const { return y.count == 1 ? 0 : p; }
    __device__ Status refusal_of(std::int64_t p, int n, int m) const {
        const Status of_x = refusal(x, item_of_x(p), n, dim);
        return of_x == Status::ok ? refusal(y, item_of_y(p), m, dim) : of_x;
    }
    __device__ Pair<Given> pair(std::int64_t p, int n, int m) const {
        return {{frames_of(x, item_of_x(p)), x.pitch},
                {frames_of(y, item_of_y(p)), y.pitch},
                dim,
                {window, n, m, radius, rows}};
    }
};

// Costs are counted in units of gamma ln 2; squares of halved frames are a quarter. False where T cannot hold it.
template <class T>
__device__ bool find_factor(double gamma, T& factor) {
    const double scale = kLog2e / gamma;
    factor = static_cast<T>(4 * scale);
    return scale <= (sizeof(T) == 4 ? 1e30 : 1e300);
}

// The value by the last column of the lattice; false where cost over gamma is too large to be counted in T.
template <class T>
__device__ bool find_value(const Cell<T>* end, const Bounds& bounds, double gamma, double& value) {
    const Cell<T> last = end[(bounds.n - 1) % kGroup];
    const double units = static_cast<double>(last.whole) - log2(static_cast<double>(last.part));
    value = gamma * kLn2 * units;
    // Beyond, what was cut off at the most could count: 3^(N + M) paths, and 2^-128 of the whole.
    const double steps = static_cast<double>(bounds.n) + static_cast<double>(bounds.m);
    return units + 2 * steps + 128 <= static_cast<double>(kMostWhole<T>);
}

// The gradients of a pair, and how many of its frames they have.
template <class Given>
struct Slopes {
    Given *x, *y;
    std::int64_t x_frames, y_frames;
};

template <class Given>
__device__ Slopes<Given> slopes_of(const Call<Given>& call, std::int64_t p, int n, int m) {
    const std::int64_t x_at = call.x_at != nullptr ? call.x_at[p] : p * call.x.frames;
    const std::int64_t y_at = call.y_at != nullptr ? call.y_at[p] : p * call.y.frames;
    return {call.grad_x + x_at * call.dim, call.grad_y + y_at * call.dim, call.x_at != nullptr ? n : call.x.frames,
            call.y_at != nullptr ? m : call.y.frames};
}

// Fills what belongs to the series with a value, and all of it where their lengths are not known; the rest with 0. By
// `threads` threads, of which this is number `thread`.
template <class Given>
__device__ void fill_slopes(Given* out, std::int64_t frames, std::int64_t length, int dim, Given value, unsigned thread,
                            unsigned threads) {
    const std::int64_t size = frames * dim, own = length == 0 ? size : length * dim;
    for (std::int64_t at = thread; at < size; at += threads) out[at] = at < own ? value : Given(0);
}

// Strips of 128 rows, and tiles of a strip.
struct Strips {
    const Bounds& bounds;

    __device__ int count() const { return (bounds.n - 1) / kTile + 1; }
    __device__ int tiles() const { return (bounds.m - 1) / kTile + 1; }
    // The first tile of the strip that the window meets, and the last.
    __device__ int first_tile(int strip) const { return bounds.row(strip * kTile).start / kTile; }
    __device__ int last_tile(int strip) const {
        const int end = (strip + 1) * kTile < bounds.n ? (strip + 1) * kTile : bounds.n;
        return (bounds.row(end - 1).stop - 1) / kTile;
    }
    __device__ bool has(int strip, int tile) const {
        return strip >= 0 && strip < count() && tile >= first_tile(strip) && tile <= last_tile(strip);
    }
    // The cell before the first of a strip, by the row above it, which begins with column 0; that before the lattice
    // counts as one path.
    template <class T>
    __device__ Cell<T> before(int strip, int tile, const Cell<T>* above) const {
        if (strip == 0) return tile == 0 ? Cell<T>{1, 0} : kOutside<T>;
        // The row holds nothing, or what is of no strip above, where the window does not come from there.
        if (bounds.row(strip * kTile - 1).start >= tile * kTile) return kOutside<T>;
        return above[tile * kTile - 1];
    }
};

}  // namespace
}  // namespace coalign::cuda
