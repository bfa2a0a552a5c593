// The emulator itself: right kernels run, and each planted fault is caught.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/block.cuh"
#include "core/launch.cuh"
#include "core/signal.cuh"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

constexpr unsigned kThreads = 64;

// A sum over the block by a tree in shared memory. kBarrier false: the planted fault.
template <bool kBarrier>
__global__ void sum_block(const int* in, int* out) {
    int* const shared = shared_memory<int>();
    shared[threadIdx.x] = in[blockIdx.x * blockDim.x + threadIdx.x];
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (kBarrier) __syncthreads();
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    }
    if (threadIdx.x == 0) out[blockIdx.x] = shared[0];
}

// The second warp meets at a barrier of its own before it writes what the first one reads.
__global__ void read_late_writers(const int* in, int* out) {
    int* const shared = shared_memory<int>();
    if (threadIdx.x >= kWarp) __syncwarp();
    shared[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

// The sum of a block by shuffles and a ballot.
__global__ void sum_warps(const int* in, int* out) {
    int value = in[blockIdx.x * blockDim.x + threadIdx.x];
    for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kWholeWarp, value, lanes);
    if (__ballot_sync(kWholeWarp, threadIdx.x % kWarp == 3) != 8u) value = -1;
    if (threadIdx.x % kWarp == 0) atomicAdd(&out[blockIdx.x], value);
}

// Groups of eight lanes each pass their values around.
__global__ void rotate_groups(const int* in, int* out) {
    const int lane = static_cast<int>(threadIdx.x) % 8;
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    const int down = __shfl_sync(kWholeWarp, in[at], lane - 1, 8);
    const int up = __shfl_down_sync(kWholeWarp, in[at], 1, 8);
    out[at] = 1000 * down + __shfl_up_sync(kWholeWarp, up, 2, 8);
}

__global__ void divergent_barrier(int*) {
    if (threadIdx.x < 40) __syncthreads();
    else __syncwarp();
}

// As many barriers for every thread, but not the same ones.
__global__ void mismatched_barriers(int*) {
    if (threadIdx.x < 40) __syncthreads();
    else __syncthreads();
}

// Half of a warp has gone when the other half names it in a mask.
__global__ void dead_lane_shuffle(int* out) {
    if (threadIdx.x % kWarp >= 16) return;
    out[threadIdx.x] = __shfl_sync(kWholeWarp, static_cast<int>(threadIdx.x), 0);
}

__global__ void shuffle_from_outside(int* out) {
    if (threadIdx.x % kWarp < 16) out[threadIdx.x] = __shfl_sync(0xffffu, static_cast<int>(threadIdx.x), 20);
}

__global__ void unnamed_caller(int* out) {
    out[threadIdx.x] = __any_sync(0xffffu, 1);
}

__global__ void write_out_of_bounds(int* out, unsigned count) {
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at <= count) out[at] = 1;
}

__global__ void read_past_shared(int* out) {
    out[threadIdx.x] = shared_memory<int>()[threadIdx.x + 1];
}

__global__ void leave_some_out(int* out) {
    if (threadIdx.x % 7 != 0) out[threadIdx.x] = 1;
}

__global__ void read_unwritten_shared(int* out) {
    int* const shared = shared_memory<int>();
    if (threadIdx.x % 7 != 0) shared[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = shared[threadIdx.x];
}

// Two threads of different warps write one cell of shared memory.
__global__ void racing_writes(int* out) {
    int* const shared = shared_memory<int>();
    if (threadIdx.x % kWarp == 0) shared[0] = static_cast<int>(threadIdx.x);
    __syncthreads();
    if (threadIdx.x == 0) out[0] = shared[0];
}

// Each warp waits for the one before it, but the first one, and for the last one as well if there is a fault.
template <bool kFault>
__global__ void wait_in_turn(Count* counts, int* out) {
    const unsigned warp = threadIdx.x / kWarp, last = blockDim.x / kWarp - 1;
    if (warp > 0) await(counts, warp);
    else if (kFault) await(counts, last + 1);
    out[threadIdx.x] = warp == 0 ? 1 : out[threadIdx.x - kWarp] + 1;
    announce_one_more(counts);
}

// One warp goes on, by warp barriers alone, and writes what the others have yet to read. kBarrier false: the planted
// fault.
template <bool kBarrier>
__global__ void overtaken_reads(int* out) {
    int* const shared = shared_memory<int>();
    if (threadIdx.x == 0) shared[0] = 1;
    __syncthreads();
    const int seen = shared[0];
    if (kBarrier) __syncthreads();
    for (int step = 0; step < 9; ++step) __syncwarp();
    if (threadIdx.x == 0) shared[0] = 2;
    out[threadIdx.x] = seen;
}

// The least of each warp's values, all of them but one above it.
__global__ void least_of_warps(const unsigned* in, unsigned* out) {
    out[threadIdx.x] = __reduce_min_sync(kWholeWarp, in[threadIdx.x]);
}

// The order of blocks decides.
__global__ void racing_blocks(int* out) {
    out[0] = static_cast<int>(blockIdx.x);
}

void synchronize() {
    emulation::default_stream().synchronize();
}

// Whether the launched kernel was faulted, with these words.
template <class... Parameters, class... Arguments>
bool faults(const std::string& words, void (*kernel)(Parameters...), const Grid& grid, Arguments... arguments) {
    launch(kernel, grid, nullptr, arguments...);
    try {
        synchronize();
    } catch (const emulation::FaultError& fault) {
        return std::string(fault.what()).find(words) != std::string::npos;
    }
    return false;
}

// Runs a kernel in 32 orders of its blocks and threads; whether all give one result.
template <class Body>
bool agrees(Body&& body) {
    std::vector<int> first;
    for (std::uint64_t seed = 1; seed <= 32; ++seed) {
        emulation::machine.seed = seed;
        std::vector<int> out(64, -1);
        body(out.data());
        synchronize();
        if (seed == 1) first = out;
        else if (out != first) return false;
    }
    return true;
}

// Whether the address sanitizer ends a process that does this.
template <class Body>
bool dies(Body&& body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        static_cast<void>(std::freopen("/dev/null", "w", stderr));
        body();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace

int main() {
    constexpr unsigned blocks = 5;
    std::vector<int> in(blocks * kThreads), sums(blocks, 0);
    std::iota(in.begin(), in.end(), 1);
    std::vector<int> expected;
    for (unsigned b = 0; b < blocks; ++b)
        expected.push_back(std::accumulate(in.begin() + b * kThreads, in.begin() + (b + 1) * kThreads, 0));

    for (emulation::machine.seed = 1; emulation::machine.seed <= 8; ++emulation::machine.seed) {
        sums.assign(blocks, -1);
        launch(sum_block<true>, {blocks, kThreads, kThreads * sizeof(int)}, nullptr, in.data(), sums.data());
        check(sums == std::vector<int>(blocks, -1), "a launch waits for its stream");
        synchronize();
        check(sums == expected, "sum in shared memory");
        std::vector<int> reversed(kThreads, -1);
        launch(read_late_writers, {1, kThreads, kThreads * sizeof(int)}, nullptr, in.data(), reversed.data());
        synchronize();
        check(std::equal(reversed.rbegin(), reversed.rend(), in.begin()), "a barrier waits for every thread");
        sums.assign(blocks, 0);
        launch(sum_warps, {blocks, kThreads}, nullptr, in.data(), sums.data());
        synchronize();
        check(sums == expected, "sum by shuffles");
        std::vector<unsigned> values(kThreads), least(kThreads);
        for (unsigned at = 0; at < kThreads; ++at) values[at] = ~0u - at;
        launch(least_of_warps, {1, kThreads}, nullptr, values.data(), least.data());
        synchronize();
        check(least[0] == ~0u - 31 && least[31] == ~0u - 31 && least[40] == ~0u - 63, "least of a warp");
        std::vector<int> rotated(in.size());
        launch(rotate_groups, {blocks, kThreads}, nullptr, in.data(), rotated.data());
        synchronize();
        for (unsigned at = 0; at < in.size(); ++at) {
            const unsigned group = at & ~7u, lane = at & 7u;
            const unsigned below = lane >= 2 ? lane - 2 : lane, next = below < 7 ? below + 1 : below;
            check(rotated[at] == 1000 * in[group + ((lane + 7) & 7u)] + in[group + next],
                  "shuffles in groups of eight");
        }
    }

    const Grid one{1, kThreads, kThreads * sizeof(int)};
    std::vector<int> out(kThreads, -1);
    check(faults("no thread can go on", divergent_barrier, one, out.data()), "divergent barrier");
    check(faults("in different places", mismatched_barriers, one, out.data()), "mismatched barriers");
    check(faults("no thread can go on", dead_lane_shuffle, one, out.data()), "shuffle with a lane that has ended");
    check(faults("which its mask does not name", shuffle_from_outside, one, out.data()), "shuffle from outside");
    check(faults("does not name the calling lane", unnamed_caller, one, out.data()), "a caller that is not named");
    Count counts = 0;
    check(faults("waits at __nanosleep", wait_in_turn<true>, one, &counts, out.data()), "warps that wait in a ring");
    check(!faults("", sum_warps, {blocks, kThreads}, in.data(), sums.data()), "a right kernel is not faulted");

    check(agrees([&](int* to) {
              launch(sum_block<true>, {blocks, kThreads, kThreads * sizeof(int)}, nullptr, in.data(), to);
          }),
          "with its barriers, a sum is one in every order");
    check(!agrees([&](int* to) {
        launch(sum_block<false>, {blocks, kThreads, kThreads * sizeof(int)}, nullptr, in.data(), to);
    }),
          "missing barrier");
    check(agrees([&](int* to) {
              counts = 0;
              launch(wait_in_turn<false>, one, nullptr, &counts, to);
          }),
          "warps that wait for one another");
    check(!agrees([&](int* to) { launch(racing_writes, one, nullptr, to); }), "race on shared memory");
    check(agrees([&](int* to) { launch(overtaken_reads<true>, one, nullptr, to); }), "reads before a barrier");
    check(!agrees([&](int* to) { launch(overtaken_reads<false>, one, nullptr, to); }), "a warp that runs ahead");
    check(!agrees([&](int* to) { launch(racing_blocks, {blocks, kThreads}, nullptr, to); }), "race between blocks");
    emulation::machine.seed = 1;

    out.assign(kThreads, -1);
    launch(leave_some_out, one, nullptr, out.data());
    synchronize();
    check(out[0] == -1 && out[1] == 1, "an output that is not written keeps its noise");
    launch(read_unwritten_shared, one, nullptr, out.data());
    synchronize();
    check(out[0] == -1 && out[7] == -1 && out[1] == 1, "shared memory starts as noise");

    for (const Grid& bad : {Grid{0, 32}, Grid{1, 0}, Grid{1, 1025}, Grid{1, 32, 228 * 1024}}) {
        try {
            launch(leave_some_out, bad, nullptr, out.data());
            check(false, "an invalid launch is refused");
        } catch (const DeviceFailure& failure) {
            check(std::string(failure.what()).find("invalid configuration") != std::string::npos);
        }
    }

#ifdef __SANITIZE_ADDRESS__
    check(!dies([] {}), "a process that does nothing wrong");
    check(dies([] {
              std::vector<int> small(100);
              launch(write_out_of_bounds, {2, kThreads}, nullptr, small.data(), 100u);
              synchronize();
          }),
          "write out of bounds");
    check(dies([&] {
              launch(read_past_shared, one, nullptr, out.data());
              synchronize();
          }),
          "read past shared memory");
#else
    static_cast<void>(dies<void (*)()>);
    static_cast<void>(write_out_of_bounds);
    static_cast<void>(read_past_shared);
#endif
    return report();
}
