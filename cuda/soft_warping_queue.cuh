// The order in which the tiles of a call of soft-DTW are computed, by however many warps there are.
//
// A warp takes the next ticket, does what it says, and takes another one. What a ticket waits for has a lower ticket.
// So the lowest ticket that is not done waits for nothing, and whoever holds it is running, as tickets are taken by
// running warps alone: nothing can hang, however few blocks a GPU holds at once.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/signal.cuh"

namespace coalign::cuda {

// Local costs of a tile are measured up to so many anti-diagonals of tiles before its cells are computed.
constexpr int kMostLead = 2;

enum class Work { none, enter, measure, forward, backward, slope_of_x, slope_of_y };

struct Task {
    Work work;
    std::int64_t turn, slot;  // which pair, and where what it needs lies
    int band;
    int step;     // an anti-diagonal of tiles, counted from where the pass begins
    int item;     // a strip, counted likewise, or a chunk of dimensions
    bool again;   // a band that the value has come through
    Count phase;  // numbers the passes of a slot through a band, from 0
    Count done;   // the tickets of the slot before this phase
};

// Pairs of a round have a slot each. A pair's tickets are one that enters it, and phases: each band is gone through
// forward; then each, from the last one, forward again but for the last, and backward.
struct Queue {
    std::int64_t pairs, slots;
    // Of the largest pair: its bands, the strips of a band, and the tiles of a strip; chunks of dimensions of a
    // gradient, none without gradients.
    int bands, strips, tiles, chunks;

    __host__ __device__ int diagonals() const { return strips + tiles - 1; }
    __host__ __device__ int lead() const { return diagonals() - 1 < kMostLead ? diagonals() - 1 : kMostLead; }
    __host__ __device__ Count forward_tickets() const { return Count(diagonals() + lead()) * Count(2 * strips); }
    __host__ __device__ Count backward_tickets() const { return Count(diagonals() + 1) * Count(strips + 2 * chunks); }
    // Of a pair.
    __host__ __device__ Count tickets() const {
        const Count there = Count(bands) * forward_tickets();
        if (chunks == 0) return 1 + there;
        return 1 + there + Count(bands) * (forward_tickets() + backward_tickets()) - forward_tickets();
    }
    __host__ __device__ Count all_tickets() const {
        return static_cast<Count>((pairs + slots - 1) / slots) * tickets() * static_cast<Count>(slots);
    }

    // Slots take turns, so that none waits while others could go on.
    __host__ __device__ Task at(Count ticket) const {
        const Count turn = ticket / static_cast<Count>(slots), round = turn / tickets();
        Task task{};
        task.slot = static_cast<std::int64_t>(ticket % static_cast<Count>(slots));
        task.turn = static_cast<std::int64_t>(round) * slots + task.slot;
        task.done = round * tickets();
        task.phase = round * Count(3 * bands);
        Count rest = turn % tickets();
        if (task.turn >= pairs) return task;
        if (rest == 0) {
            task.work = Work::enter;
            return task;
        }
        rest -= 1;
        task.done += 1;
        const Count there = forward_tickets(), back = backward_tickets();
        if (rest < Count(bands) * there) {
            const Count band = rest / there;
            task.band = static_cast<int>(band);
            task.phase += band;
            task.done += band * there;
            return going_forward(task, rest % there);
        }
        // As if the last band, too, were gone through again.
        rest -= Count(bands) * there - there;
        const Count passed = rest / (there + back);
        rest %= there + back;
        task.band = bands - 1 - static_cast<int>(passed);
        task.again = true;
        task.phase += Count(bands) + 2 * passed;
        task.done += Count(bands) * there - there + passed * (there + back);
        if (rest < there) return going_forward(task, rest);
        task.phase += 1;
        task.done += there;
        return going_back(task, rest - there);
    }

   private:
    __host__ __device__ Task going_forward(Task task, Count at) const {
        task.step = static_cast<int>(at / Count(2 * strips));
        task.item = static_cast<int>(at % Count(2 * strips));
        task.work = task.item < strips ? Work::measure : Work::forward;
        if (task.item >= strips) {
            task.item -= strips;
            task.step -= lead();
        }
        return task;
    }
    __host__ __device__ Task going_back(Task task, Count at) const {
        const int each = strips + 2 * chunks;
        task.step = static_cast<int>(at / Count(each));
        task.item = static_cast<int>(at % Count(each)) - strips;
        if (task.item < 0) {
            task.work = Work::backward;
            task.item += strips;
            return task;
        }
        // One step after the last tile of a strip or of a column.
        task.step -= 1;
        task.work = task.item < chunks ? Work::slope_of_x : Work::slope_of_y;
        if (task.item >= chunks) task.item -= chunks;
        return task;
    }
};

}  // namespace coalign::cuda
