// Runs a grid of threads on the host: what `cuda_runtime.h` beside this file is made of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>

namespace coalign::emulation {

// A kernel did what a GPU does not define: a barrier that not all live threads reach in one place, a shuffle or a warp
// barrier whose mask names a lane that has ended or that waits elsewhere, a shuffle from a lane outside the mask, or a
// wait for what no thread of the block brings about.
class FaultError : public std::logic_error {
   public:
    using std::logic_error::logic_error;
};

// The machine that is emulated, and how chance is drawn on it.
struct Machine {
    bool driver = true;
    int devices = 1;
    int device = 0;
    std::uint64_t seed = 1;
    std::int64_t launches = 0;
    // Work is done as soon as it is queued: a GPU that keeps up with its host.
    bool is_prompt = false;
};
inline Machine machine;

class Stream {
   public:
    void push(std::function<void()> work) { queue_.push_back(std::move(work)); }
    std::size_t pending() const { return queue_.size(); }
    // Runs what is queued; a fault drops the rest and is thrown.
    void synchronize();

   private:
    std::deque<std::function<void()>> queue_;
};

// The stream that a null handle means.
Stream& default_stream();
void enqueue(Stream* stream, std::function<void()> work);

struct Index {
    unsigned x = 0, y = 0, z = 0;
};

struct Shape {
    Index grid, block;
    std::size_t shared_bytes = 0;
};

inline constexpr std::size_t kMostSharedBytes = 227 * 1024;

// Whether a GPU would take it.
bool is_valid(const Shape& shape);

// Runs `thread` once for every thread of the grid.
void run_grid(const Shape& shape, const std::function<void()>& thread);

// What the running thread sees.
struct Here {
    Index thread, block, block_shape, grid_shape;
};
const Here& here();

enum class Collective { none, barrier, ballot, minimum, shuffle, block, pause };

unsigned lane_index();
// Where it is called from tells two barriers apart.
void block_barrier(unsigned line);
// Waits until every lane of the mask has come with the same operation and mask; returns what each of them brought.
const std::array<std::uint64_t, 32>& exchange(Collective operation, unsigned mask, std::uint64_t value);
// Lets the other threads of the block go on for a while. A block runs to its end before the next one begins, so that it
// waits in vain for one that is to come: on a GPU, too, that might not have begun.
void pause();
// A fault unless the mask names the lane.
void require_lane(unsigned mask, unsigned lane);

// The block's shared memory, of the size that the launch gave.
void* shared_memory();

}  // namespace coalign::emulation
