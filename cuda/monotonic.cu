// J. Kim, S. Kim, J. Kong, S. Yoon: Glow-TTS: a generative flow for text-to-speech via monotonic alignment search.
// NeurIPS 2020, algorithm 1. Token n can be at the frames n to n + T - N, and no other cell is read.
//
// A warp takes a strip of 32 tokens, a lane each, frame by frame; all tokens of a frame wait for the frame before
// alone, and which of them move is one ballot. The warps of a block take the strips of a problem, each two tiles of
// frames behind the strip before. Sums, and which of equal paths is taken, are those of csrc/ctc/monotonic.cpp.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>

#include "core/arena.hpp"
#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/launch.cuh"
#include "core/status.hpp"
#include "monotonic.hpp"

namespace coalign::cuda {
namespace {

// Tokens of a strip, and frames of a tile.
constexpr int kSide = static_cast<int>(kWarp);
// One more, so that the lanes of a warp meet different banks of shared memory along either side of a tile.
constexpr int kPitch = kSide + 1;
// The tiles of so many warps fill 33 KiB of shared memory, of 48 that every GPU gives.
template <class T>
constexpr unsigned kMostWarps = 32 / sizeof(T);

struct Found {
    double total;
    int is_wrong;  // a score that a path could meet is NaN or +inf
};
// Before the tiles, which it keeps on 16 bytes.
constexpr std::size_t kFoundBytes = 16;
static_assert(sizeof(Found) <= kFoundBytes);

template <class T>
struct Problem {
    const T* scores;
    std::int64_t tokens, frames, token_stride, frame_stride;
    std::int64_t slack;          // frames more than tokens
    std::int64_t strips, tiles;  // of all tokens; of the frames of a strip
    // At f: the best sum, up to the frame before a strip's frame f, with the token before the strip there.
    double* before;
    // Of each strip at each frame: bit l is set where token l is best reached from the token before it.
    unsigned* moved;
};

// The frames of a strip are counted from the first at which its first token can be: token l can be at l to l + slack.
__host__ __device__ inline std::int64_t count_tiles(std::int64_t slack) {
    return (slack + kSide + kSide - 1) / kSide;
}
__host__ __device__ inline std::int64_t count_strips(std::int64_t tokens) {
    return (tokens + kSide - 1) / kSide;
}

// Reads the scores of a tile; -inf where a token cannot be. With `all_equal` scores are 0 or -inf. Whether all were
// right, this lane's.
template <class T>
__device__ bool read_tile(const Problem<T>& problem, std::int64_t strip, std::int64_t begin, bool all_equal, T* tile) {
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    const std::int64_t first = strip * kSide, tokens = problem.tokens - first;
    const T* const scores = problem.scores + first * (problem.token_stride + problem.frame_stride);
    const std::int64_t token_step = problem.token_stride < 0 ? -problem.token_stride : problem.token_stride;
    const std::int64_t frame_step = problem.frame_stride < 0 ? -problem.frame_stride : problem.frame_stride;
    // The lanes read along the side whose scores lie closer together.
    const bool along_frames = frame_step <= token_step;
    bool is_right = true;
#pragma unroll 8
    for (int turn = 0; turn < kSide; ++turn) {
        const int token = along_frames ? turn : lane, at = along_frames ? lane : turn;
        const std::int64_t frame = begin + at;
        T score = -kInfinity<T>;
        if (token < tokens && frame >= token && frame - token <= problem.slack)
            score = scores[token * problem.token_stride + frame * problem.frame_stride];
        is_right = is_right && score < kInfinity<T>;
        if (all_equal && score > -kInfinity<T>) score = 0;
        tile[token * kPitch + at] = score;
    }
    return is_right;
}

// The best total of a problem, and the way back. All threads of a block, each warp with a tile of its own.
template <class T>
__device__ void search(const Problem<T>& problem, bool all_equal, T* tile, Found* found) {
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    const std::int64_t warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
    const std::int64_t slack = problem.slack, tiles = problem.tiles;
    // A strip's tile needs what the strip before has left of that tile and the next one. A warp's next strip waits for
    // the last warp's strip of this round, too.
    const std::int64_t round = tiles > 2 * warps ? tiles : 2 * warps;
    const std::int64_t rounds = (problem.strips + warps - 1) / warps;
    const std::int64_t steps = (rounds - 1) * round + tiles + 2 * (warps - 1);
    std::int64_t strip = warp, at = -2 * warp;
    double best = -kInfinity<double>;
    bool is_right = true;
    for (std::int64_t step = 0; step < steps; ++step) {
        __syncthreads();
        if (at >= 0 && at < tiles && strip < problem.strips) {
            const std::int64_t begin = at * kSide;
            if (at == 0) best = -kInfinity<double>;
            is_right = read_tile(problem, strip, begin, all_equal, tile) && is_right;
            double before = -kInfinity<double>;
            if (strip > 0 && begin + lane <= slack) before = problem.before[begin + lane];
            if (strip == 0 && begin + lane == 0) before = 0;
            __syncwarp();
            unsigned mine = 0;
#pragma unroll 8
            for (int k = 0; k < kSide; ++k) {
                const double entering = __shfl_sync(kWholeWarp, before, k);
                double below = __shfl_up_sync(kWholeWarp, best, 1);
                if (lane == 0) below = entering;
                const bool moves = below > best;
                best = (moves ? below : best) + static_cast<double>(tile[lane * kPitch + k]);
                const unsigned all = __ballot_sync(kWholeWarp, moves);
                if (lane == k) mine = all;
                const std::int64_t behind = begin + k - lane;
                // For the next strip, in the place that this one has read.
                if (lane == kSide - 1 && behind >= 0 && behind <= slack) problem.before[behind] = best;
                if (strip * kSide + lane == problem.tokens - 1 && behind == slack) found->total = best;
            }
            problem.moved[(strip * tiles + at) * kSide + lane] = mine;
            __syncwarp();
        }
        if (++at == round) {
            at = 0;
            strip += warps;
        }
    }
    if (!is_right) found->is_wrong = 1;
    __syncthreads();
}

// Goes back along the best path, 32 frames at a time. One warp.
template <class T>
__device__ void trace_back(const Problem<T>& problem, std::int64_t* durations, std::int64_t* token_of_frame) {
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    std::int64_t token = problem.tokens - 1, last = problem.frames - 1, stop = problem.frames;
    while (last >= 0) {
        const std::int64_t strip = token / kSide, first = strip * kSide;
        unsigned mine = 0;
        if (last - lane >= first) mine = problem.moved[strip * problem.tiles * kSide + last - lane - first];
        std::int64_t here = -1;
        int k = 0;
        while (k < kSide && token >= first) {
            if (lane == k) here = token;
            const unsigned moved = __shfl_sync(kWholeWarp, mine, k);
            if ((moved >> (token - first) & 1u) != 0) {
                if (lane == 0) durations[token] = stop - (last - k);
                stop = last - k;
                --token;
            }
            ++k;
        }
        if (lane < k) token_of_frame[last - lane] = here;
        last -= k;
    }
}

// A block a problem.
template <class T>
__global__ void __launch_bounds__(kMostWarps<T>* kWarp)
    align_problems(const MonotonicCall call, std::int64_t first, std::int64_t sums, std::int64_t words, double* before,
                   unsigned* moved) {
    auto* const shared = shared_memory<unsigned char>();
    auto* const found = reinterpret_cast<Found*>(shared);
    T* const tile = reinterpret_cast<T*>(shared + kFoundBytes) + threadIdx.x / kWarp * (kSide * kPitch);
    const std::int64_t p = first + blockIdx.x;
    Problem<T> problem{};
    problem.tokens = call.row_lengths != nullptr ? call.row_lengths[p] : call.rows;
    problem.frames = call.column_lengths != nullptr ? call.column_lengths[p] : call.columns;
    problem.scores = call.items != nullptr ? static_cast<const T*>(call.items[p])
                                           : static_cast<const T*>(call.data) + p * call.item_stride;
    problem.token_stride = call.items != nullptr ? problem.frames : call.row_stride;
    problem.frame_stride = call.column_stride;
    problem.slack = problem.frames - problem.tokens;
    problem.strips = count_strips(problem.tokens);
    problem.tiles = count_tiles(problem.slack);
    problem.before = before + blockIdx.x * sums;
    problem.moved = moved + blockIdx.x * words;

    Status status = Status::infeasible;
    double total = -kInfinity<double>;
    if (problem.tokens < 0 || problem.tokens > call.rows || problem.frames < 0 || problem.frames > call.columns) {
        status = Status::invalid;
        total = kNaN<double>;
    } else if (problem.tokens == 0 && problem.frames == 0) {
        status = Status::ok;
        total = 0;
    } else if (problem.tokens > 0 && problem.slack >= 0) {
        if (threadIdx.x == 0) found->is_wrong = 0;
        search(problem, false, tile, found);
        total = found->total;
        if (found->is_wrong != 0) {
            status = Status::nan;
            total = kNaN<double>;
        } else if (total > -kInfinity<double> && total < kInfinity<double>) {
            status = Status::ok;
        } else {
            // No path avoids -inf, or sums overflow: whether there is a path, sums of zeros say.
            __syncthreads();
            search(problem, true, tile, found);
            if (found->total == 0) status = Status::precision_limit;
            else total = -kInfinity<double>;
        }
    }
    const bool has_path = status == Status::ok || status == Status::precision_limit;
    std::int64_t* const durations = call.durations + (call.row_at != nullptr ? call.row_at[p] : p * call.rows);
    std::int64_t* const token_of_frame =
        call.token_of_frame + (call.column_at != nullptr ? call.column_at[p] : p * call.columns);
    const std::int64_t rows = call.row_at != nullptr ? problem.tokens : call.rows;
    const std::int64_t columns = call.column_at != nullptr ? problem.frames : call.columns;
    for (std::int64_t n = (has_path ? problem.tokens : 0) + threadIdx.x; n < rows; n += blockDim.x) durations[n] = 0;
    for (std::int64_t t = (has_path ? problem.frames : 0) + threadIdx.x; t < columns; t += blockDim.x)
        token_of_frame[t] = -1;
    if (threadIdx.x >= kWarp) return;
    if (has_path) trace_back(problem, durations, token_of_frame);
    if (threadIdx.x == 0) {
        call.total[p] = total;
        call.status[p] = static_cast<std::int32_t>(status);
    }
}

// What one problem needs, of so many tokens and frames at most.
void make_room(MonotonicPlan& plan, std::int64_t tokens, std::int64_t frames, bool are_exact) {
    if (are_exact && (tokens == 0 || tokens > frames)) return;
    // With s strips there are at least 32 (s - 1) + 1 tokens, and so at most `most` - s tiles.
    const std::int64_t most = count_tiles(frames - 1) + 1;
    const std::int64_t strips = are_exact ? count_strips(tokens) : std::min(count_strips(tokens), most / 2);
    const std::int64_t tiles = are_exact ? count_tiles(frames - tokens) : most - strips;
    plan.sums = std::max(plan.sums, are_exact ? frames - tokens + 1 : frames);
    plan.words = std::max(plan.words, strips * tiles * kSide);
}

void take_room(Arena& arena, const MonotonicPlan& plan, std::int64_t problems, double*& before, unsigned*& moved) {
    before = arena.take<double>(problems * plan.sums);
    moved = arena.take<unsigned>(problems * plan.words);
}

}  // namespace

MonotonicPlan plan_monotonic(const MonotonicCall& call, std::int64_t workspace_bytes) {
    MonotonicPlan plan;
    if (call.host_rows != nullptr && call.host_columns != nullptr) {
        for (std::int64_t p = 0; p < call.count; ++p) make_room(plan, call.host_rows[p], call.host_columns[p], true);
    } else {
        make_room(plan, call.rows, call.columns, call.row_lengths == nullptr && call.column_lengths == nullptr);
    }
    const auto bytes_of = [&](std::int64_t problems) {
        Arena arena(nullptr);
        double* before = nullptr;
        unsigned* moved = nullptr;
        take_room(arena, plan, problems, before, moved);
        return arena.used();
    };
    const std::int64_t one = std::max<std::int64_t>(bytes_of(1), 1);
    // As many as a grid can number.
    const std::int64_t most = std::clamp<std::int64_t>(call.count, 1, (std::int64_t{1} << 31) - 1);
    plan.problems_per_launch = std::clamp<std::int64_t>(workspace_bytes / one, 1, most);
    plan.workspace_bytes = bytes_of(plan.problems_per_launch);
    return plan;
}

template <class T>
void run_monotonic(const MonotonicCall& call, const MonotonicPlan& plan, void* workspace, cudaStream_t stream) {
    Arena arena(workspace);
    double* before = nullptr;
    unsigned* moved = nullptr;
    take_room(arena, plan, plan.problems_per_launch, before, moved);
    const auto strips = static_cast<unsigned>(
        std::clamp<std::int64_t>(count_strips(call.rows), 1, static_cast<std::int64_t>(kMostWarps<T>)));
    for (std::int64_t first = 0; first < call.count; first += plan.problems_per_launch) {
        const std::int64_t problems = std::min(plan.problems_per_launch, call.count - first);
        const Grid grid{static_cast<unsigned>(problems), strips * kWarp,
                        kFoundBytes + strips * kSide * kPitch * sizeof(T)};
        launch(align_problems<T>, grid, stream, call, first, plan.sums, plan.words, before, moved);
    }
}

template void run_monotonic<float>(const MonotonicCall&, const MonotonicPlan&, void*, cudaStream_t);
template void run_monotonic<double>(const MonotonicCall&, const MonotonicPlan&, void*, cudaStream_t);

}  // namespace coalign::cuda
