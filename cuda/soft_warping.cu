#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/arena.hpp"
#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/launch.cuh"
#include "core/status.hpp"
#include "soft_warping.hpp"
#include "soft_warping_tile.cuh"
#include "warping_frames.cuh"
#include "warping_schedule.cuh"

namespace coalign::cuda {
namespace {

constexpr int kMostWarps = 8;
// float32 leaves a pair that it cannot count to float64 with this status.
constexpr std::int32_t kUnsolved = -1;
// Below, log2(e) / gamma is beyond float64, and the value is that of the hard minimum to the last digit.
constexpr double kLeastGamma = 1e-290;
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
    int feasible;
};

// One pair, which all threads of a block solve together.
template <class T, class Given>
class Lattice {
   public:
    __device__ explicit Lattice(Shared<T, Given>& shared)
        : pair_(shared.pair), room_(shared.room), shared_(shared), warps_(static_cast<int>(blockDim.x / kWarp)) {}

    // Computes the value; false where cost over gamma is too large to be counted in T.
    __device__ bool find_value(double gamma, bool records, double& value) {
        const double scale = kLog2e / gamma;
        if (scale > (sizeof(T) == 4 ? 1e30 : 1e300)) return false;
        // Squares of halved frames are a quarter.
        factor_ = static_cast<T>(4 * scale);
        enter();
        const int last = bands() - 1;
        for (int band = 0; band <= last; ++band) {
            if (records && band > 0) copy(room_.row, room_.saved + (band - 1) * room_.columns);
            go_forward_through(band, records && band == last);
        }
        const Cell<T> end = shared_.end[(bounds().n - 1) % kGroup];
        const double units = static_cast<double>(end.whole) - log2(static_cast<double>(end.part));
        value = gamma * kLn2 * units;
        // Beyond, what was cut off at the most could count: 3^(N + M) paths, and 2^-128 of the whole.
        const double steps = static_cast<double>(bounds().n) + static_cast<double>(bounds().m);
        return units + 2 * steps + 128 <= static_cast<double>(kMostWhole<T>);
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
    // The first tile of a strip that the window meets, and the last.
    __device__ int first_tile(int row) const { return bounds().row(row).start / kTile; }
    __device__ int last_tile(int row) const {
        const int end = row + kTile < bounds().n ? row + kTile : bounds().n;
        return (bounds().row(end - 1).stop - 1) / kTile;
    }

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
                if (at == first && lane == 0) corner = before(tile);
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
                add_gradient<T, Given, true>(pair_, tile, costs, grad_x);
                add_gradient<T, Given, false>(pair_, tile, costs, grad_y);
                __syncwarp();
            }
            __syncthreads();
        }
    }

    __device__ Border<T>& border(int at) const { return room_.borders[warp() * room_.tiles + at]; }

    // The cell before the first of a strip; that before the lattice counts as one path.
    __device__ Cell<T> before(const Tile& tile) const {
        if (tile.row == 0) return tile.column == 0 ? Cell<T>{1, 0} : kOutside<T>;
        // The row still holds what lies above the window's beginning.
        if (bounds().row(tile.row - 1).start >= tile.column) return kOutside<T>;
        return room_.row[tile.column - 1];
    }

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

// Fills what belongs to the series with a value, and all of it where their lengths are not known; the rest with 0.
template <class Given>
__device__ void fill_slopes(Given* out, std::int64_t frames, std::int64_t length, int dim, Given value) {
    const std::int64_t size = frames * dim, own = length == 0 ? size : length * dim;
    for (std::int64_t at = threadIdx.x; at < size; at += blockDim.x) out[at] = at < own ? value : Given(0);
}

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

// A block solves pair after pair. In float64 a gamma beside which costs cannot be counted is raised.
template <class T, class Given, bool kGradient>
__global__ void __launch_bounds__(kMostWarps* kWarp, 1)
    warp_softly(const Call<Given> call, const Room<T> rooms, std::int64_t bands) {
    constexpr bool kAgain = !std::is_same_v<T, Given>;
    Shared<T, Given>& shared = *shared_memory<Shared<T, Given>>();
    if (threadIdx.x == 0) shared.room = room_of(rooms, static_cast<int>(blockDim.x / kWarp), bands);
    for (std::int64_t turn = blockIdx.x; turn < call.pairs; turn += gridDim.x) {
        const std::int64_t p = call.order != nullptr ? call.order[turn] : turn;
        if (kAgain && call.status[p] != kUnsolved) continue;
        const std::int64_t x_item = call.x.count == 1 ? 0 : p, y_item = call.y.count == 1 ? 0 : p;
        const int n = length_of(call.x, x_item), m = length_of(call.y, y_item);
        Status status = refusal(call.x, x_item, n, call.dim);
        if (status == Status::ok) status = refusal(call.y, y_item, m, call.dim);
        double value = kNaN<double>;
        const bool is_good = status == Status::ok;
        if (is_good) {
            if (threadIdx.x == 0) {
                const Bounds bounds{call.window, n, m, call.radius, call.rows};
                shared.pair = {{frames_of(call.x, x_item), call.x.pitch},
                               {frames_of(call.y, y_item), call.y.pitch},
                               call.dim,
                               bounds};
                shared.feasible = bounds.feasible() ? 1 : 0;
            }
            __syncthreads();
            if (shared.feasible == 0) status = Status::infeasible;
            value = kInfinity<double>;
        }
        Slopes<Given> slopes{};
        if constexpr (kGradient) {
            slopes = slopes_of(call, p, n, m);
            const Given unknown = is_good ? Given(0) : kNaN<Given>;
            fill_slopes(slopes.x, slopes.x_frames, n, call.dim, unknown);
            fill_slopes(slopes.y, slopes.y_frames, m, call.dim, unknown);
        }
        bool is_left = false;
        if (status == Status::ok) {
            Lattice<T, Given> lattice(shared);
            double gamma = greater(call.gamma, kLeastGamma);
            bool solved = false, raised = false, refined = false;
            while (true) {
                solved = lattice.find_value(gamma, kGradient, value);
                const bool goes_on = solved ? raised && !refined : !refined && gamma < 1e300;
                if (!goes_on || sizeof(T) == sizeof(float)) break;
                // Until the value is that of the hard minimum to some digits, and then to all of them: with a gamma of
                // 2^-49 of it, it is off by at most 2^-49 of it a step, and its units can be counted.
                refined = solved;
                raised = true;
                gamma = solved ? value * kLog2e * 0x1p-49 : gamma * 0x1p24;
            }
            is_left = !solved && sizeof(T) == sizeof(float);
            const Given rounded_value = static_cast<Given>(value);
            if (!solved || !(absolute(rounded_value) < kInfinity<Given>)) {
                status = Status::precision_limit;
                value = kInfinity<double>;
            } else if constexpr (kGradient) {
                lattice.find_gradient(slopes.x, slopes.y);
            }
        }
        // All threads have read the status by now, and what is shared.
        __syncthreads();
        if (threadIdx.x == 0) {
            call.value[p] = static_cast<Given>(value);
            call.status[p] = is_left ? kUnsolved : static_cast<std::int32_t>(status);
        }
    }
}

std::int64_t tiles_of(std::int64_t frames) {
    return (frames + kTile - 1) / kTile;
}

Packing packing_of(const SoftWarpingCall& call, const SeriesArray& side) {
    // Halved, so that no difference overflows. Groups are read whole.
    return {true, false, static_cast<int>(call.dim), 0.5, rounded_up(side.rows, kGroup), 0};
}

std::int64_t bands_of(const SoftWarpingCall& call, const SoftWarpingPlan& plan) {
    return (tiles_of(call.x.rows) + plan.warps - 1) / plan.warps;
}

template <class T>
Room<T> take_room(Arena& arena, const SoftWarpingCall& call, const SoftWarpingPlan& plan, std::int64_t blocks) {
    constexpr std::int64_t tile = kTile;
    const bool gradient = call.grad_x != nullptr;
    Room<T> room{};
    const std::int64_t side = rounded_up(std::min(tile, std::max(call.x.rows, call.y.rows)), kGroup);
    room.tile_size = side * side;
    room.tiles = tiles_of(call.y.rows);
    room.columns = room.tiles * tile;
    room.costs = arena.take<T>(blocks * plan.warps * room.tile_size);
    room.row = arena.take<Cell<T>>(blocks * room.columns);
    if (!gradient) return room;
    room.lefts = arena.take<T>(blocks * plan.warps * room.tile_size);
    room.saved = arena.take<Cell<T>>(blocks * (bands_of(call, plan) - 1) * room.columns);
    room.borders = arena.take<Border<T>>(blocks * plan.warps * room.tiles);
    room.flows = arena.take<T>(blocks * room.columns);
    return room;
}

template <class T>
std::int64_t bytes_of(const SoftWarpingCall& call, const SoftWarpingPlan& plan, std::int64_t blocks) {
    Arena arena(nullptr);
    take_room<T>(arena, call, plan, blocks);
    return arena.used();
}

template <class T, class Given>
void launch_pairs(const Call<Given>& call, const SoftWarpingCall& host, const SoftWarpingPlan& plan, Arena arena,
                  std::int64_t blocks, cudaStream_t stream) {
    const Room<T> room = take_room<T>(arena, host, plan, blocks);
    const std::int64_t bands = bands_of(host, plan);
    const Grid grid{static_cast<unsigned>(blocks), static_cast<unsigned>(plan.warps) * kWarp, sizeof(Shared<T, Given>)};
    if (host.grad_x != nullptr) launch(warp_softly<T, Given, true>, grid, stream, call, room, bands);
    else launch(warp_softly<T, Given, false>, grid, stream, call, room, bands);
}

}  // namespace

std::int64_t SoftWarpingCall::pairs() const {
    return std::max(x.count, y.count);
}

template <class T>
SoftWarpingPlan plan_soft_warping(const SoftWarpingCall& call, const SoftWarpingLimits& limits) {
    SoftWarpingPlan plan;
    plan.warps =
        limits.warps != 0 ? limits.warps : static_cast<int>(std::min<std::int64_t>(tiles_of(call.x.rows), kMostWarps));
    Arena arena(nullptr);
    prepare_side<T>(arena, call.x, packing_of(call, call.x), false, nullptr);
    prepare_side<T>(arena, call.y, packing_of(call, call.y), false, nullptr);
    // As many blocks as find room: 16 warps to a multiprocessor.
    const std::int64_t most = std::max<std::int64_t>(
        std::min<std::int64_t>(call.pairs(), 2LL * limits.multiprocessors * kMostWarps / plan.warps), 1);
    const std::int64_t left = limits.workspace_bytes - arena.used();
    plan.blocks = std::clamp<std::int64_t>(left / bytes_of<T>(call, plan, 1), 1, most);
    std::int64_t bytes = bytes_of<T>(call, plan, plan.blocks);
    if (sizeof(T) == sizeof(float)) {
        plan.wide_blocks = std::clamp<std::int64_t>(bytes / bytes_of<double>(call, plan, 1), 1, plan.blocks);
        bytes = std::max(bytes, bytes_of<double>(call, plan, plan.wide_blocks));
    }
    plan.workspace_bytes = arena.used() + bytes;
    return plan;
}

template <class T>
void run_soft_warping(const SoftWarpingCall& host, const SoftWarpingPlan& plan, void* workspace, cudaStream_t stream) {
    Arena arena(workspace);
    Call<T> call{};
    call.x = prepare_side<T>(arena, host.x, packing_of(host, host.x), true, stream);
    call.y = prepare_side<T>(arena, host.y, packing_of(host, host.y), true, stream);
    call.dim = static_cast<int>(host.dim);
    call.pairs = host.pairs();
    call.order = host.order;
    call.gamma = host.gamma;
    call.window = host.window;
    call.radius = host.radius;
    call.rows = host.rows;
    call.value = static_cast<T*>(host.value);
    call.status = host.status;
    call.grad_x = static_cast<T*>(host.grad_x);
    call.grad_y = static_cast<T*>(host.grad_y);
    call.x_at = host.x_at;
    call.y_at = host.y_at;
    launch_pairs<T>(call, host, plan, arena, plan.blocks, stream);
    if constexpr (std::is_same_v<T, float>) launch_pairs<double>(call, host, plan, arena, plan.wide_blocks, stream);
}

template SoftWarpingPlan plan_soft_warping<float>(const SoftWarpingCall&, const SoftWarpingLimits&);
template SoftWarpingPlan plan_soft_warping<double>(const SoftWarpingCall&, const SoftWarpingLimits&);
template void run_soft_warping<float>(const SoftWarpingCall&, const SoftWarpingPlan&, void*, cudaStream_t);
template void run_soft_warping<double>(const SoftWarpingCall&, const SoftWarpingPlan&, void*, cudaStream_t);

}  // namespace coalign::cuda
