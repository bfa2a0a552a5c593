#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "core/arena.hpp"
#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/launch.cuh"
#include "core/status.hpp"
#include "nearest.hpp"

namespace coalign::cuda {
namespace {

constexpr unsigned kThreads = 256;

// The costs of a few series of the database, those from `first` on, a row for each query.
template <class T>
struct Found {
    const T* costs;
    std::int64_t queries, columns, first;
    bool begins, ends;  // whether they are the first of all, or the last
    std::int64_t count;
    std::int64_t* index;
    T* cost;
    std::int32_t* status;
};

// A warp keeps the nearest of one query. Series come in their order, so that one displaces only what is farther.
template <class T>
__global__ void __launch_bounds__(kThreads) keep_nearest(const Found<T> found) {
    const std::int64_t query = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarp;
    if (query >= found.queries) return;
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    const std::int64_t count = found.count;
    std::int64_t* const index = found.index + query * count;
    T* const cost = found.cost + query * count;
    if (found.begins) {
        for (std::int64_t k = lane; k < count; k += kWarp) {
            index[k] = -1;
            cost[k] = kInfinity<T>;
        }
        if (lane == 0) found.status[query] = static_cast<std::int32_t>(Status::ok);
        __syncwarp();
    }
    const T* const row = found.costs + query * found.columns;
    T farthest = cost[count - 1];
    bool is_bad = found.status[query] != static_cast<std::int32_t>(Status::ok);
    for (std::int64_t begin = 0; begin < found.columns; begin += kWarp) {
        const std::int64_t at = begin + lane;
        const T mine = at < found.columns ? row[at] : kInfinity<T>;
        is_bad = is_bad || __any_sync(kWholeWarp, mine != mine) != 0;
        unsigned nearer = __ballot_sync(kWholeWarp, mine < farthest);
        for (; nearer != 0; nearer &= nearer - 1) {
            const int from = __ffs(static_cast<int>(nearer)) - 1;
            const T value = __shfl_sync(kWholeWarp, mine, from);
            if (!(value < farthest)) continue;
            if (lane == 0) {
                std::int64_t k = count - 1;
                for (; k > 0 && cost[k - 1] > value; --k) {
                    cost[k] = cost[k - 1];
                    index[k] = index[k - 1];
                }
                cost[k] = value;
                index[k] = found.first + begin + from;
            }
            __syncwarp();
            farthest = cost[count - 1];
            __syncwarp();
        }
    }
    if (is_bad) {
        for (std::int64_t k = lane; found.ends && k < count; k += kWarp) {
            index[k] = -1;
            cost[k] = kNaN<T>;
        }
        if (lane == 0) found.status[query] = static_cast<std::int32_t>(Status::nan);
    } else if (found.ends && lane == 0 && !(farthest < kInfinity<T>)) {
        found.status[query] = static_cast<std::int32_t>(Status::infeasible);
    }
}

// The call on the series from `first` on.
template <class T>
WarpingCall tile_of(const NearestCall& call, std::int64_t first, std::int64_t columns, T* costs) {
    WarpingCall tile = call.pairs;
    tile.all_pairs = true;
    tile.cost = costs;
    tile.cost_stride = columns;
    tile.y.count = columns;
    if (tile.y.items != nullptr) tile.y.items += first;
    else tile.y.data = static_cast<const T*>(tile.y.data) + first * tile.y.item_stride;
    if (tile.y.row_lengths != nullptr) tile.y.row_lengths += first;
    tile.y.bad += first;
    return tile;
}

}  // namespace

template <class T>
NearestPlan plan_nearest(const NearestCall& call, const WarpingLimits& limits) {
    NearestPlan plan;
    const std::int64_t queries = call.pairs.x.count;
    // A quarter of the workspace is for the costs.
    const std::int64_t room = limits.workspace_bytes / 4 / (queries * static_cast<std::int64_t>(sizeof(T)));
    plan.columns = std::clamp<std::int64_t>(room, 1, call.pairs.y.count);
    plan.tile = plan_warping<T>(tile_of<T>(call, 0, plan.columns, nullptr), limits);
    Arena arena(nullptr);
    arena.take<T>(queries * plan.columns);
    arena.take<unsigned char>(plan.tile.workspace_bytes);
    plan.workspace_bytes = arena.used();
    return plan;
}

template <class T>
void run_nearest(const NearestCall& call, const NearestPlan& plan, void* workspace, cudaStream_t stream) {
    const std::int64_t queries = call.pairs.x.count, all = call.pairs.y.count;
    Arena arena(workspace);
    T* const costs = arena.take<T>(queries * plan.columns);
    void* const room = arena.take<unsigned char>(plan.tile.workspace_bytes);
    const std::int64_t blocks = (queries * static_cast<std::int64_t>(kWarp) + kThreads - 1) / kThreads;
    for (std::int64_t first = 0; first < all; first += plan.columns) {
        const std::int64_t columns = std::min(plan.columns, all - first);
        run_warping<T>(tile_of<T>(call, first, columns, costs), plan.tile, room, stream);
        const Found<T> found{costs,      queries,    columns,
                             first,      first == 0, first + columns == all,
                             call.count, call.index, static_cast<T*>(call.cost),
                             call.status};
        launch(keep_nearest<T>, {static_cast<unsigned>(blocks), kThreads}, stream, found);
    }
}

template NearestPlan plan_nearest<float>(const NearestCall&, const WarpingLimits&);
template NearestPlan plan_nearest<double>(const NearestCall&, const WarpingLimits&);
template void run_nearest<float>(const NearestCall&, const NearestPlan&, void*, cudaStream_t);
template void run_nearest<double>(const NearestCall&, const NearestPlan&, void*, cudaStream_t);

}  // namespace coalign::cuda
