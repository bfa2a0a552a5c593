// What a warp does for a ticket of the queue, and the kernel that takes tickets.
//
// Everything but the frames is handed on through global memory: local costs by whoever measured the tile, the row below
// a tile and the column at its right by whoever computed it. So the tiles of a pair are spread over all
// multiprocessors, and half of the work, costs and gradients, waits for little.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/block.cuh"
#include "core/signal.cuh"
#include "soft_warping_pair.cuh"
#include "soft_warping_queue.cuh"

namespace coalign::cuda {
namespace {

constexpr int kQueueWarps = 4;
// Blocks of these that registers leave room for on a multiprocessor.
template <class T>
constexpr int kQueueBlocks = sizeof(T) == 4 ? 3 : 2;
// What a slot knows of its pair.
template <class T>
struct Progress {
    Cell<T> end[kGroup];  // the last column of the lattice, in its last group of rows
    T factor;
    int goes_on;  // 0 once nothing is left to do
};

// The workspace: of each slot side by side, but for the last two.
template <class T>
struct QueueRoom {
    T *costs, *lefts;       // tiles, strip by strip; costs become shares, and these visits
    Cell<T>*row, *saved;    // the cells above those still to come, by column; and of each band but the first
    Cell<T>*left, *corner;  // the cells to the left of those still to come, by row; and before them, by strip
    T* flows;               // what flows up into the cells still to come, by column
    T *back, *back_corner;  // and to the left, by row; and by the corner, by lane
    Progress<T>* progress;
    Count* stages;              // of each tile
    Count *finished, *tickets;  // of each slot, how many are done; how many are taken
    std::int64_t tile_size, columns;
};

// One ticket, by a warp.
template <class T, bool kGradient>
class TicketHolder {
   public:
    __device__ TicketHolder(const Call<T>& call, const QueueRoom<T>& room, const Queue& queue, const Task& task,
                            Pair<T>& shared)
        : call_(call),
          room_(room),
          queue_(queue),
          task_(task),
          pair_(shared),
          progress_(room.progress[task.slot]),
          lane_(static_cast<int>(threadIdx.x % kWarp)) {}

    __device__ void work() {
        await(room_.finished + task_.slot, task_.done);
        p_ = call_.pair_of(task_.turn);
        n_ = length_of(call_.x, call_.item_of_x(p_));
        m_ = length_of(call_.y, call_.item_of_y(p_));
        if (task_.work == Work::enter) enter();
        else if (progress_.goes_on != 0) go_on();
        announce_one_more(room_.finished + task_.slot);
    }

   private:
    __device__ void enter() {
        Status status = call_.refusal_of(p_, n_, m_);
        const bool is_good = status == Status::ok;
        T factor = 0;
        int goes_on = 0;
        if (lane_ == 0 && is_good) {
            const Bounds bounds{call_.window, n_, m_, call_.radius, call_.rows};
            if (!bounds.feasible()) status = Status::infeasible;
            goes_on = status == Status::ok && find_factor(call_.gamma, factor) ? 1 : 0;
            progress_.factor = factor;
        }
        goes_on = __shfl_sync(kWholeWarp, goes_on, 0);
        if (lane_ == 0) {
            progress_.goes_on = goes_on;
            // Unless it goes on, or cannot be counted.
            call_.value[p_] = is_good ? kInfinity<T> : kNaN<T>;
            call_.status[p_] = status == Status::ok ? kUnsolved : static_cast<std::int32_t>(status);
        }
        if constexpr (kGradient) {
            clear(is_good ? T(0) : kNaN<T>, goes_on != 0);
            T* const flows = room_.flows + task_.slot * room_.columns;
            for (std::int64_t j = lane_; j < room_.columns; j += kWarp) flows[j] = 0;
        }
    }

    // The gradients, or of a pair that goes on what lies past its lengths.
    __device__ void clear(T value, bool but_its_own) const {
        const Slopes<T> slopes = slopes_of(call_, p_, n_, m_);
        const std::int64_t x = but_its_own ? n_ : 0, y = but_its_own ? m_ : 0;
        const auto lane = static_cast<unsigned>(lane_);
        fill_slopes(slopes.x + x * call_.dim, slopes.x_frames - x, n_ - x, call_.dim, value, lane, kWarp);
        fill_slopes(slopes.y + y * call_.dim, slopes.y_frames - y, m_ - y, call_.dim, value, lane, kWarp);
    }

    __device__ void go_on() {
        if (lane_ == 0) pair_ = call_.pair(p_, n_, m_);
        __syncwarp();
        const int last_band = (strips().count() - 1) / queue_.strips;
        if (task_.band > last_band || task_.step < 0) return;
        // The last band has not been left since the value was found.
        const bool goes_forward = task_.work == Work::measure || task_.work == Work::forward;
        if (goes_forward && task_.again && task_.band == last_band) return;
        const int first_strip = task_.band * queue_.strips, rest = strips().count() - first_strip;
        count_ = rest < queue_.strips ? rest : queue_.strips;
        if (goes_forward) {
            const int tile = task_.step - task_.item;
            if (!strips().has(first_strip + task_.item, tile) || task_.item >= count_) return;
            if (task_.work == Work::measure) measure(task_.item, tile);
            else if (task_.again || task_.band == last_band) go_forward_at<kGradient>(task_.item, tile);
            else go_forward_at<false>(task_.item, tile);
        } else if constexpr (kGradient) {
            const int last_tile = strips().tiles() - 1;
            if (task_.work == Work::backward) {
                const int strip = count_ - 1 - task_.item, tile = last_tile - (task_.step - task_.item);
                if (strip >= 0 && strips().has(first_strip + strip, tile)) go_back_at(strip, tile);
            } else if (task_.work == Work::slope_of_x) {
                const int strip = count_ - 1 - (task_.step - last_tile);
                if (strip >= 0 && strip < count_) add_slopes_of_x(strip);
            } else {
                const int tile = last_tile - (task_.step - (count_ - 1));
                if (tile >= 0 && tile <= last_tile) add_slopes_of_y(tile, task_.band == last_band);
            }
        }
    }

    __device__ void measure(int strip, int tile) const {
        measure_tile(pair_, tile_at(strip, tile), progress_.factor, costs_of(strip, tile));
        announce(stage_of(strip, tile), 2 * task_.phase + 1);
    }

    template <bool kRecord>
    __device__ void go_forward_at(int strip, int at) {
        const int whole = task_.band * queue_.strips + strip;
        const Tile tile = tile_at(strip, at);
        await(stage_of(strip, at), 2 * task_.phase + 1);
        wait_for(strip, at - 1);
        wait_for(strip - 1, at);
        wait_for(strip - 1, at - 1);
        Cell<T>* const row = room_.row + task_.slot * room_.columns;
        const Cell<T>* const row_above = strip > 0 ? row : saved(task_.band - 1);
        const Cell<T>* const above = strips().has(whole - 1, at) ? row_above + tile.column : nullptr;
        Cell<T>* const row_below = strip + 1 < queue_.strips ? row : saved(task_.band);
        Cell<T>* const below = row_below != nullptr ? row_below + tile.column : nullptr;
        Cell<T>* const lefts = room_.left + (task_.slot * queue_.strips + strip) * kTile + lane_ * kGroup;
        Cell<T>& kept_corner = room_.corner[task_.slot * queue_.strips + strip];
        const bool is_first = at == strips().first_tile(whole);
        Cell<T> left[kGroup], corner = kOutside<T>, next = kOutside<T>;
#pragma unroll
        for (int r = 0; r < kGroup; ++r) left[r] = is_first ? kOutside<T> : lefts[r];
        if (lane_ == 0) {
            corner = is_first ? strips().before(whole, at, row_above) : kept_corner;
            // This tile's last row takes the place of what the next one begins from.
            if (above != nullptr && tile.columns == kTile) next = above[kTile - 1];
        }
        T* const costs = costs_of(strip, at);
        T* const shares = kRecord ? lefts_of(strip, at) : nullptr;
        go_forward<T, kRecord>(pair_.bounds, tile, costs, shares, above, corner, left, below, progress_.end);
#pragma unroll
        for (int r = 0; r < kGroup; ++r) lefts[r] = left[r];
        if (lane_ == 0) kept_corner = next;
        if (tile.row + tile.rows == n_ && tile.column + tile.columns == m_ && !task_.again) finish();
        announce(stage_of(strip, at), 2 * task_.phase + 2);
    }

    // Once the last cell is known.
    __device__ void finish() const {
        double value = 0;
        const bool counts = find_value(progress_.end, pair_.bounds, call_.gamma, value);
        const T found = static_cast<T>(value);
        const bool is_finite = absolute(found) < kInfinity<T>;
        if (lane_ == 0) {
            call_.value[p_] = is_finite ? found : kInfinity<T>;
            const Status status = is_finite ? Status::ok : Status::precision_limit;
            call_.status[p_] = counts ? static_cast<std::int32_t>(status) : kUnsolved;
            if (!counts || !is_finite) progress_.goes_on = 0;
        }
        if constexpr (kGradient) {
            if (!counts || !is_finite) clear(0, false);
        }
    }

    __device__ void go_back_at(int strip, int at) const {
        const int whole = task_.band * queue_.strips + strip;
        const Tile tile = tile_at(strip, at);
        wait_for(strip, at + 1);
        wait_for(strip + 1, at);
        wait_for(strip + 1, at + 1);
        T* const row = room_.flows + task_.slot * room_.columns;
        T* const back = room_.back + (task_.slot * queue_.strips + strip) * kTile + lane_ * kGroup;
        T* const corner = room_.back_corner + (task_.slot * queue_.strips + strip) * kWarp + lane_;
        Flows<T> flows{};
        if (at != strips().last_tile(whole)) {
            load(back, flows.right);
            flows.corner = *corner;
        }
        go_backward(pair_.bounds, tile, costs_of(strip, at), lefts_of(strip, at), row + tile.column, flows);
        store(flows.right, back);
        *corner = flows.corner;
        // No later tile of the strip hands on what has left its first row by the corner.
        if (at == strips().first_tile(whole) && at > 0 && lane_ == 0) row[tile.column - 1] += flows.corner;
        announce(stage_of(strip, at), 2 * task_.phase + 2);
    }

    // From the right to the left, however a pair is cut into bands.
    __device__ void add_slopes_of_x(int strip) const {
        const int whole = task_.band * queue_.strips + strip;
        T* const out = slopes_of(call_, p_, n_, m_).x;
        clear_own(out, whole, n_);
        for (int at = strips().last_tile(whole); at >= strips().first_tile(whole); --at) {
            await(stage_of(strip, at), 2 * task_.phase + 2);
            add_gradient<T, T, true>(pair_, tile_at(strip, at), costs_of(strip, at), first_dim(), last_dim(), out);
        }
    }
    // And upwards.
    __device__ void add_slopes_of_y(int at, bool is_last_band) const {
        T* const out = slopes_of(call_, p_, n_, m_).y;
        if (is_last_band) clear_own(out, at, m_);
        for (int strip = count_ - 1; strip >= 0; --strip) {
            if (!strips().has(task_.band * queue_.strips + strip, at)) continue;
            await(stage_of(strip, at), 2 * task_.phase + 2);
            add_gradient<T, T, false>(pair_, tile_at(strip, at), costs_of(strip, at), first_dim(), last_dim(), out);
        }
    }
    // Of 128 frames the dimensions that are this task's.
    __device__ void clear_own(T* out, int tile, int length) const {
        const int dims = last_dim() - first_dim(), rest = length - tile * kTile;
        T* const own = out + static_cast<std::int64_t>(tile) * kTile * call_.dim + first_dim();
        const int frames = rest < kTile ? rest : kTile;
        for (int e = lane_; e < frames * dims; e += static_cast<int>(kWarp))
            own[static_cast<std::int64_t>(e / dims) * call_.dim + e % dims] = 0;
        __syncwarp();
    }

    __device__ int first_dim() const { return task_.item * kSlopeDims<T>; }
    __device__ int last_dim() const {
        return first_dim() + kSlopeDims<T> < call_.dim ? first_dim() + kSlopeDims<T> : call_.dim;
    }
    __device__ Strips strips() const { return {pair_.bounds}; }
    __device__ Tile tile_at(int strip, int tile) const {
        return {pair_.bounds, (task_.band * queue_.strips + strip) * kTile, tile * kTile};
    }
    __device__ std::int64_t place(int strip, int tile) const {
        return (task_.slot * queue_.strips + strip) * queue_.tiles + tile;
    }
    __device__ T* costs_of(int strip, int tile) const { return room_.costs + place(strip, tile) * room_.tile_size; }
    __device__ T* lefts_of(int strip, int tile) const { return room_.lefts + place(strip, tile) * room_.tile_size; }
    __device__ Count* stage_of(int strip, int tile) const { return room_.stages + place(strip, tile); }
    // The row below a band; none below the last one.
    __device__ Cell<T>* saved(int band) const {
        if (band < 0 || band + 1 >= queue_.bands) return nullptr;
        return room_.saved + (task_.slot * (queue_.bands - 1) + band) * room_.columns;
    }
    // For a neighbour in the band, if there is one. All other bands are done.
    __device__ void wait_for(int strip, int tile) const {
        if (strip < 0 || strip >= count_ || !strips().has(task_.band * queue_.strips + strip, tile)) return;
        await(stage_of(strip, tile), 2 * task_.phase + 2);
    }

    const Call<T>& call_;
    const QueueRoom<T>& room_;
    const Queue& queue_;
    const Task& task_;
    Pair<T>& pair_;
    Progress<T>& progress_;
    const int lane_;
    std::int64_t p_ = 0;
    int n_ = 0, m_ = 0, count_ = 0;
};

// Warps that take tickets. A pair that T cannot count stays unsolved.
template <class T, bool kGradient>
__global__ void __launch_bounds__(kQueueWarps* kWarp, kQueueBlocks<T>)
    warp_softly(const Call<T> call, const QueueRoom<T> room, const Queue queue) {
    // Registers are for the cells.
    Pair<T>& shared = shared_memory<Pair<T>>()[threadIdx.x / kWarp];
    while (true) {
        Count ticket = threadIdx.x % kWarp == 0 ? atomicAdd(room.tickets, Count{1}) : 0;
        ticket = __shfl_sync(kWholeWarp, ticket, 0);
        if (ticket >= queue.all_tickets()) return;
        const Task task = queue.at(ticket);
        if (task.work != Work::none) TicketHolder<T, kGradient>(call, room, queue, task, shared).work();
    }
}

}  // namespace
}  // namespace coalign::cuda
