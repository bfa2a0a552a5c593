// The way for pairs whose costs over gamma are beyond what their dtype counts: a block solves a pair in float64, with a
// gamma that is raised until its costs can be counted.
//
// Each warp takes a strip of 128 rows, one tile behind the strip above: it computes the local costs of a tile, and then
// its cells. Going backward, a tile is computed again from its borders. Nothing else is kept of a lattice.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/status.hpp"
#include "soft_warping_pair.cuh"
#include "soft_warping_tile.cuh"

namespace coalign::cuda {
namespace {

constexpr int kMostWarps = 8;
// Below, log2(e) / gamma is beyond float64, and the value is that of the hard minimum to the last digit.
constexpr double kLeastGamma = 1e-290;

// What a tile begins from: the cells above it and to its left.
template <class T>
struct Border {
    Cell<T> above[kTile], left[kTile], corner;
};

// What a block needs of the workspace. A band is the rows that its warps take at once, a strip those of one of them.
template <class T>
struct Room {
    T *costs, *lefts;      // the tile of each warp
    Cell<T>* row;          // the cells above those still to come, by column
    Cell<T>* saved;        // that row, of each band but the first
    Border<T>* borders;    // of the tiles of a band, strip by strip
    T* flows;              // what flows up into the cells still to come, by column
    std::int64_t columns;  // of these
    std::int64_t tile_size, tiles;
};

// What the threads of a block have in common: registers are for the cells.
template <class T, class Given>
struct Shared {
    Cell<T> end[kGroup];  // the last column of the lattice, in its last group of rows
    Room<T> room;
    Pair<Given> pair;
};

// One pair, which all threads of a block solve together.
template <class T, class Given>
class Lattice {
   public:
    __device__ explicit Lattice(Shared<T, Given>& shared)
        : pair_(shared.pair), room_(shared.room), shared_(shared), warps_(static_cast<int>(blockDim.x / kWarp)) {}

    // Computes the value; false where cost over gamma is too large to be counted in T.
    __device__ bool find_value(double gamma, bool records, double& value) {
        if (!find_factor(gamma, factor_)) return false;
        enter();
        const int last = bands() - 1;
        for (int band = 0; band <= last; ++band) {
            if (records && band > 0) copy(room_.row, room_.saved + (band - 1) * room_.columns);
            go_forward_through(band, records && band == last);
        }
        return coalign::cuda::find_value(shared_.end, bounds(), gamma, value);
    }

    // Adds to gradients of zeros, once find_value() has recorded.
    __device__ void find_gradient(Given* grad_x, Given* grad_y) {
        for (std::int64_t j = threadIdx.x; j < room_.columns; j += blockDim.x) room_.flows[j] = 0;
        __syncthreads();
        const int last = bands() - 1;
        for (int band = last; band >= 0; --band) {
            if (band < last) {
                if (band > 0) copy(room_.saved + (band - 1) * room_.columns, room_.row);
                else enter();
                go_forward_through(band, true);
            }
            go_back_through(band, grad_x, grad_y);
        }
    }

   private:
    __device__ const Bounds& bounds() const { return pair_.bounds; }
    __device__ int bands() const { return (bounds().n - 1) / (warps_ * kTile) + 1; }
    __device__ int warp() const { return static_cast<int>(threadIdx.x / kWarp); }
    __device__ int row_of(int band, int warp) const { return (band * warps_ + warp) * kTile; }
    // The strips of a band.
    __device__ int strips(int band) const {
        const int rest = (bounds().n - row_of(band, 0) - 1) / kTile + 1;
        return rest < warps_ ? rest : warps_;
    }
    __device__ Strips all_strips() const { return {bounds()}; }
    __device__ int first_tile(int row) const { return all_strips().first_tile(row / kTile); }
    __device__ int last_tile(int row) const { return all_strips().last_tile(row / kTile); }

    __device__ void enter() {
        for (std::int64_t j = threadIdx.x; j < room_.columns; j += blockDim.x) room_.row[j] = kOutside<T>;
        __syncthreads();
    }
    __device__ void copy(const Cell<T>* from, Cell<T>* to) {
        for (std::int64_t j = threadIdx.x; j < room_.columns; j += blockDim.x) to[j] = from[j];
        __syncthreads();
    }

    // Each warp has a strip. It is at a tile one turn after the warp above.
    __device__ void go_forward_through(int band, bool records) {
        const int count = strips(band), row = row_of(band, warp()), lane = lane_number();
        const bool works = warp() < count;
        const int first = works ? first_tile(row) : 0, last = works ? last_tile(row) : -1;
        const int end = last_tile(row_of(band, count - 1)) + count;
        Cell<T> left[kGroup], corner = kOutside<T>;
#pragma unroll
        for (int r = 0; r < kGroup; ++r) left[r] = kOutside<T>;
        for (int turn = first_tile(row_of(band, 0)); turn < end; ++turn) {
            const int at = turn - warp();
            if (at >= first && at <= last) {
                const Tile tile(bounds(), row, at * kTile);
                Cell<T>* const above = room_.row + tile.column;
                if (at == first && lane == 0) corner = all_strips().before(tile.row / kTile, at, room_.row);
                // This tile's last row takes the place of what the next one begins from.
                Cell<T> next = kOutside<T>;
                if (lane == 0 && tile.columns == kTile) next = above[kTile - 1];
                if (records) keep(above, left, corner, border(at));
                T* const costs = room_.costs + warp() * room_.tile_size;
                measure_tile(pair_, tile, factor_, costs);
                go_forward<T, false>(bounds(), tile, costs, nullptr, above, corner, left, above, shared_.end);
                corner = next;
            }
            __syncthreads();
        }
    }

    // Computes the tiles again, in the opposite order.
    __device__ void go_back_through(int band, Given* grad_x, Given* grad_y) {
        const int count = strips(band), row = row_of(band, warp()), lane = lane_number();
        const bool works = warp() < count;
        const int first = works ? first_tile(row) : 0, last = works ? last_tile(row) : -1;
        const int begin = first_tile(row_of(band, 0));
        Flows<T> flows{};
        for (int turn = last_tile(row_of(band, count - 1)) + count - 1; turn >= begin; --turn) {
            const int at = turn - warp();
            if (at >= first && at <= last) {
                const Tile tile(bounds(), row, at * kTile);
                T* const costs = room_.costs + warp() * room_.tile_size;
                T* const lefts = room_.lefts + warp() * room_.tile_size;
                const Border<T>& from = border(at);
                Cell<T> left[kGroup];
#pragma unroll
                for (int r = 0; r < kGroup; ++r) left[r] = from.left[lane * kGroup + r];
                measure_tile(pair_, tile, factor_, costs);
                go_forward<T, true>(bounds(), tile, costs, lefts, from.above, from.corner, left, nullptr, shared_.end);
                go_backward(bounds(), tile, costs, lefts, room_.flows + tile.column, flows);
                // No later tile of the strip hands on what has left its first row by the corner.
                if (at == first && at > 0 && lane == 0) room_.flows[tile.column - 1] += flows.corner;
                // No other warp is at these columns in this turn.
                add_gradient<T, Given, true>(pair_, tile, costs, 0, pair_.dim, grad_x);
                add_gradient<T, Given, false>(pair_, tile, costs, 0, pair_.dim, grad_y);
                __syncwarp();
            }
            __syncthreads();
        }
    }

    __device__ Border<T>& border(int at) const { return room_.borders[warp() * room_.tiles + at]; }

    static __device__ void keep(const Cell<T>* above, const Cell<T> (&left)[kGroup], Cell<T> corner, Border<T>& to) {
        const int lane = lane_number();
#pragma unroll
        for (int k = 0; k < kGroup; ++k) {
            to.above[lane * kGroup + k] = above[lane * kGroup + k];
            to.left[lane * kGroup + k] = left[k];
        }
        if (lane == 0) to.corner = corner;
        __syncwarp();
    }

    const Pair<Given>& pair_;
    const Room<T>& room_;
    Shared<T, Given>& shared_;
    const int warps_;
    T factor_ = 0;
};

// The part of a block in the workspace.
template <class T>
__device__ Room<T> room_of(Room<T> room, int warps, std::int64_t bands) {
    const std::int64_t block = blockIdx.x;
    room.costs += block * warps * room.tile_size;
    if (room.lefts != nullptr) {
        room.lefts += block * warps * room.tile_size;
        room.saved += block * (bands - 1) * room.columns;
        room.borders += block * warps * room.tiles;
        room.flows += block * room.columns;
    }
    room.row += block * room.columns;
    return room;
}

// Blocks that take pair after pair of those which are unsolved.
template <class Given, bool kGradient>
__global__ void __launch_bounds__(kMostWarps* kWarp, 1)
    warp_carefully(const Call<Given> call, const Room<double> rooms, std::int64_t bands) {
    Shared<double, Given>& shared = *shared_memory<Shared<double, Given>>();
    if (threadIdx.x == 0) shared.room = room_of(rooms, static_cast<int>(blockDim.x / kWarp), bands);
    for (std::int64_t turn = blockIdx.x; turn < call.pairs; turn += gridDim.x) {
        const std::int64_t p = call.pair_of(turn);
        if (call.status[p] != kUnsolved) continue;
        const int n = length_of(call.x, call.item_of_x(p)), m = length_of(call.y, call.item_of_y(p));
        if (threadIdx.x == 0) shared.pair = call.pair(p, n, m);
        Slopes<Given> slopes{};
        if constexpr (kGradient) {
            slopes = slopes_of(call, p, n, m);
            fill_slopes(slopes.x, slopes.x_frames, n, call.dim, Given(0), threadIdx.x, blockDim.x);
            fill_slopes(slopes.y, slopes.y_frames, m, call.dim, Given(0), threadIdx.x, blockDim.x);
        }
        __syncthreads();
        Lattice<double, Given> lattice(shared);
        double gamma = greater(call.gamma, kLeastGamma), value = 0;
        bool solved = false, raised = false, refined = false;
        while (true) {
            solved = lattice.find_value(gamma, kGradient, value);
            const bool goes_on = solved ? raised && !refined : !refined && gamma < 1e300;
            if (!goes_on) break;
            // Until the value is that of the hard minimum to some digits, and then to all of them: with a gamma of
            // 2^-49 of it, it is off by at most 2^-49 of it a step, and its units can be counted.
            refined = solved;
            raised = true;
            gamma = solved ? value * kLog2e * 0x1p-49 : gamma * 0x1p24;
        }
        const auto rounded_value = static_cast<Given>(value);
        const bool is_found = solved && absolute(rounded_value) < kInfinity<Given>;
        if constexpr (kGradient) {
            if (is_found) lattice.find_gradient(slopes.x, slopes.y);
        }
        // All threads have read the status by now, and what is shared.
        __syncthreads();
        if (threadIdx.x == 0) {
            call.value[p] = is_found ? rounded_value : kInfinity<Given>;
            call.status[p] = static_cast<std::int32_t>(is_found ? Status::ok : Status::precision_limit);
        }
    }
}

}  // namespace
}  // namespace coalign::cuda
