#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/arena.hpp"
#include "core/launch.cuh"
#include "soft_warping.hpp"
#include "soft_warping_careful.cuh"
#include "soft_warping_pair.cuh"
#include "soft_warping_queue.cuh"
#include "soft_warping_tasks.cuh"
#include "warping_frames.cuh"

namespace coalign::cuda {
namespace {

std::int64_t tiles_of(std::int64_t frames) {
    return (frames + kTile - 1) / kTile;
}

std::int64_t tile_size_of(const SoftWarpingCall& call) {
    const std::int64_t side = rounded_up(std::min<std::int64_t>(kTile, std::max(call.x.rows, call.y.rows)), kGroup);
    return side * side;
}

Packing packing_of(const SoftWarpingCall& call, const SeriesArray& side) {
    // Halved, so that no difference overflows. Groups are read whole.
    return {true, false, static_cast<int>(call.dim), 0.5, rounded_up(side.rows, kGroup), 0};
}

// Of several strips each.
std::int64_t bands_of(const SoftWarpingCall& call, std::int64_t strips) {
    return (tiles_of(call.x.rows) + strips - 1) / strips;
}

template <class T>
Queue queue_of(const SoftWarpingCall& call, std::int64_t strips, std::int64_t slots) {
    const std::int64_t chunks = call.grad_x != nullptr ? (call.dim + kSlopeDims<T> - 1) / kSlopeDims<T> : 0;
    return {call.pairs(),
            slots,
            static_cast<int>(bands_of(call, strips)),
            static_cast<int>(strips),
            static_cast<int>(tiles_of(call.y.rows)),
            static_cast<int>(chunks)};
}

// Counts are taken first, to be set to 0.
std::int64_t counts_of(const Queue& queue) {
    return queue.slots * (queue.strips * std::int64_t{queue.tiles} + 1) + 1;
}

template <class T>
QueueRoom<T> take_queue_room(Arena& arena, const SoftWarpingCall& call, const Queue& queue) {
    const std::int64_t rows = queue.slots * queue.strips, tiles = rows * queue.tiles;
    QueueRoom<T> room{};
    room.tile_size = tile_size_of(call);
    room.columns = std::int64_t{queue.tiles} * kTile;
    room.tickets = arena.take<Count>(counts_of(queue));
    room.finished = room.tickets + 1;
    room.stages = room.finished + queue.slots;
    room.progress = arena.take<Progress<T>>(queue.slots);
    room.costs = arena.take<T>(tiles * room.tile_size);
    room.row = arena.take<Cell<T>>(queue.slots * room.columns);
    room.saved = arena.take<Cell<T>>(queue.slots * (queue.bands - 1) * room.columns);
    room.left = arena.take<Cell<T>>(rows * kTile);
    room.corner = arena.take<Cell<T>>(rows);
    if (queue.chunks == 0) return room;
    room.lefts = arena.take<T>(tiles * room.tile_size);
    room.flows = arena.take<T>(queue.slots * room.columns);
    room.back = arena.take<T>(rows * kTile);
    room.back_corner = arena.take<T>(rows * kWarp);
    return room;
}

template <class T>
std::int64_t queue_bytes(const SoftWarpingCall& call, std::int64_t strips, std::int64_t slots) {
    Arena arena(nullptr);
    take_queue_room<T>(arena, call, queue_of<T>(call, strips, slots));
    return arena.used();
}

// How many strips are kept at once, and of how many pairs: all strips of a pair, so that nothing is computed twice,
// unless fewer of more pairs keep more warps busy.
template <class T>
void cut_queue(const SoftWarpingCall& call, const SoftWarpingLimits& limits, std::int64_t bytes,
               SoftWarpingPlan& plan) {
    const std::int64_t warps = std::int64_t{limits.multiprocessors} * kQueueBlocks<T> * kQueueWarps;
    // A short pair has a single tile at work, and twice as many pairs as warps keep these from waiting.
    const std::int64_t most = std::max<std::int64_t>(std::min(call.pairs(), 2 * warps), 1);
    std::int64_t best = 0;
    for (std::int64_t strips = limits.strips != 0 ? limits.strips : tiles_of(call.x.rows);
         best == 0 || plan.slots < most; strips = (strips + 1) / 2) {
        const bool is_least = strips == 1 || limits.strips != 0;
        const std::int64_t fitting = bytes / queue_bytes<T>(call, strips, 1);
        const std::int64_t slots = std::clamp<std::int64_t>(fitting, is_least ? 1 : 0, most);
        const std::int64_t busy = std::min(slots * std::min(strips, tiles_of(call.y.rows)), warps);
        if (busy > best) {
            best = busy;
            plan.strips = static_cast<int>(strips);
            plan.slots = slots;
        }
        if (is_least) break;
    }
    const Queue queue = queue_of<T>(call, plan.strips, plan.slots);
    const std::int64_t useful = plan.slots * (queue.strips + 2 * queue.chunks);
    plan.blocks = std::clamp<std::int64_t>((useful + kQueueWarps - 1) / kQueueWarps, 1, warps / kQueueWarps);
}

template <class T>
void launch_queue(const Call<T>& call, const SoftWarpingCall& host, const SoftWarpingPlan& plan, Arena arena,
                  cudaStream_t stream) {
    const Queue queue = queue_of<T>(host, plan.strips, plan.slots);
    const QueueRoom<T> room = take_queue_room<T>(arena, host, queue);
    const auto bytes = static_cast<std::size_t>(counts_of(queue)) * sizeof(Count);
    require_success(cudaMemsetAsync(room.tickets, 0, bytes, stream), "cudaMemsetAsync");
    const Grid grid{static_cast<unsigned>(plan.blocks), kQueueWarps * kWarp, kQueueWarps * sizeof(Pair<T>)};
    if (queue.chunks > 0) launch(warp_softly<T, true>, grid, stream, call, room, queue);
    else launch(warp_softly<T, false>, grid, stream, call, room, queue);
}

Room<double> take_careful_room(Arena& arena, const SoftWarpingCall& call, int warps, std::int64_t blocks) {
    Room<double> room{};
    room.tile_size = tile_size_of(call);
    room.tiles = tiles_of(call.y.rows);
    room.columns = room.tiles * kTile;
    room.costs = arena.take<double>(blocks * warps * room.tile_size);
    room.row = arena.take<Cell<double>>(blocks * room.columns);
    if (call.grad_x == nullptr) return room;
    room.lefts = arena.take<double>(blocks * warps * room.tile_size);
    room.saved = arena.take<Cell<double>>(blocks * (bands_of(call, warps) - 1) * room.columns);
    room.borders = arena.take<Border<double>>(blocks * warps * room.tiles);
    room.flows = arena.take<double>(blocks * room.columns);
    return room;
}

std::int64_t careful_bytes(const SoftWarpingCall& call, int warps, std::int64_t blocks) {
    Arena arena(nullptr);
    take_careful_room(arena, call, warps, blocks);
    return arena.used();
}

template <class T>
void launch_careful(const Call<T>& call, const SoftWarpingCall& host, const SoftWarpingPlan& plan, Arena arena,
                    cudaStream_t stream) {
    const Room<double> room = take_careful_room(arena, host, plan.careful_warps, plan.careful_blocks);
    const std::int64_t bands = bands_of(host, plan.careful_warps);
    const Grid grid{static_cast<unsigned>(plan.careful_blocks), static_cast<unsigned>(plan.careful_warps) * kWarp,
                    sizeof(Shared<double, T>)};
    if (host.grad_x != nullptr) launch(warp_carefully<T, true>, grid, stream, call, room, bands);
    else launch(warp_carefully<T, false>, grid, stream, call, room, bands);
}

}  // namespace

std::int64_t SoftWarpingCall::pairs() const {
    return std::max(x.count, y.count);
}

template <class T>
SoftWarpingPlan plan_soft_warping(const SoftWarpingCall& call, const SoftWarpingLimits& limits) {
    SoftWarpingPlan plan;
    Arena arena(nullptr);
    prepare_side<T>(arena, call.x, packing_of(call, call.x), false, nullptr);
    prepare_side<T>(arena, call.y, packing_of(call, call.y), false, nullptr);
    const std::int64_t sides = arena.used();
    cut_queue<T>(call, limits, limits.workspace_bytes - sides, plan);
    // The careful kernel comes after the queue, and takes its room.
    const int warps = static_cast<int>(std::min<std::int64_t>(tiles_of(call.x.rows), kMostWarps));
    plan.careful_warps = limits.strips != 0 ? std::min(limits.strips, kMostWarps) : warps;
    const std::int64_t bytes = queue_bytes<T>(call, plan.strips, plan.slots);
    const std::int64_t each = careful_bytes(call, plan.careful_warps, 1);
    const std::int64_t most = std::max<std::int64_t>(std::min<std::int64_t>(call.pairs(), limits.multiprocessors), 1);
    plan.careful_blocks = std::clamp<std::int64_t>(bytes / each, 1, most);
    plan.workspace_bytes = sides + std::max(bytes, careful_bytes(call, plan.careful_warps, plan.careful_blocks));
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
    launch_queue<T>(call, host, plan, arena, stream);
    launch_careful<T>(call, host, plan, arena, stream);
}

template SoftWarpingPlan plan_soft_warping<float>(const SoftWarpingCall&, const SoftWarpingLimits&);
template SoftWarpingPlan plan_soft_warping<double>(const SoftWarpingCall&, const SoftWarpingLimits&);
template void run_soft_warping<float>(const SoftWarpingCall&, const SoftWarpingPlan&, void*, cudaStream_t);
template void run_soft_warping<double>(const SoftWarpingCall&, const SoftWarpingPlan&, void*, cudaStream_t);

}  // namespace coalign::cuda
