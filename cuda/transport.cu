// M. Cuturi: Sinkhorn distances: lightspeed computation of optimal transport. NeurIPS 2013. The kernel matrix holds the
// potentials, and epsilon is lowered in steps: B. Schmitzer: Stabilized sparse scaling algorithms for entropy
// regularized transport problems. SIAM J. Sci. Comput. 41(3), 2019. Iterations gain momentum, from its start wherever
// the error rises: B. O'Donoghue, E. Candes: Adaptive restart for accelerated gradient schemes. Found. Comput. Math.
// 15, 2015.
//
// A small problem is one block's, from its weights to its plan, in one launch. Rows of a larger one are shared out to
// blocks: two launches an iteration, of which all return at once when the problem is done, as the device alone knows.
// How rows are shared out, and in which order sums are added, goes by the shape of the problem alone.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>

#include "core/arena.hpp"
#include "core/done_flag.cuh"
#include "core/launch.cuh"
#include "transport.hpp"
#include "transport_problem.cuh"
#include "transport_result.cuh"
#include "transport_sweep.cuh"
#include "transport_tiny.cuh"

namespace coalign::cuda {
namespace {

// Blocks that share a problem, at most: two for each multiprocessor of a large GPU. And blocks of small problems that
// have room in the workspace: as many as such a GPU holds at a time.
constexpr std::int64_t kMostChunks = 256, kMostAlone = 2048;

// Blocks that a multiprocessor holds: float64 takes the registers of two.
template <class T>
constexpr unsigned kBlocksEach = sizeof(T) == sizeof(float) ? 2 : 1;
// That share a problem. 0 leaves float32 to the compiler, which takes the 128 registers of two and does without spills;
// told so, ptxas 13.0 spills 8 bytes.
template <class T>
constexpr unsigned kBlocksSharing = sizeof(T) == sizeof(float) ? 0 : 1;

__host__ __device__ inline std::int64_t width_of(std::int64_t columns) {
    return (columns + 7) / 8 * 8;
}

__host__ __device__ inline std::int64_t count_chunks(std::int64_t rows, std::int64_t columns,
                                                     std::int64_t costs_per_block) {
    const std::int64_t cells = rows * width_of(columns);
    if (cells <= costs_per_block) return 1;
    const std::int64_t wanted = 2 * cells / costs_per_block;
    const std::int64_t most = wanted < kMostChunks ? wanted : kMostChunks;
    const std::int64_t size = (rows + most - 1) / most;
    return (rows + size - 1) / size;
}

// Where the problems of a launch, or those of its blocks, lie in the workspace.
template <class T>
struct Workspace {
    TransportRoom room;
    std::int64_t costs_per_block;
    std::int64_t first;  // the problem that has the first place
    TransportState* states;
    T *kernels, *row_scales, *scalings;
    double *rows, *columns;
    LogSum* partials;
    unsigned* done;  // how many problems are
};

template <class T>
Workspace<T> take_room(Arena& arena, const TransportRoom& room, std::int64_t problems) {
    Workspace<T> out{};
    out.room = room;
    out.states = arena.take<TransportState>(problems);
    out.kernels = arena.take<T>(problems * room.cells);
    out.row_scales = arena.take<T>(problems * room.rows);
    out.scalings = arena.take<T>(problems * room.width);
    out.rows = arena.take<double>(problems * kRowVectors * room.rows);
    out.columns = arena.take<double>(problems * kColumnVectors * room.width);
    out.partials = arena.take<LogSum>(problems * room.partials);
    out.done = arena.take<unsigned>(1);
    return out;
}

template <class T>
__device__ TransportProblem<T> problem_at(const TransportCall& call, const Workspace<T>& workspace, std::int64_t p,
                                          std::int64_t at) {
    TransportProblem<T> of{};
    const TransportRoom& room = workspace.room;
    of.rows = call.row_lengths != nullptr ? call.row_lengths[p] : call.rows;
    of.columns = call.column_lengths != nullptr ? call.column_lengths[p] : call.columns;
    // Lengths that lie on a GPU are looked at before anything else goes by them.
    if (of.rows < 1 || of.rows > call.rows || of.columns < 1 || of.columns > call.columns) of.rows = of.columns = 0;
    of.cost = call.items != nullptr ? static_cast<const T*>(call.items[p])
                                    : static_cast<const T*>(call.data) + p * call.item_stride;
    of.row_stride = call.items != nullptr ? of.columns : call.row_stride;
    of.column_stride = call.column_stride;
    of.width = width_of(of.columns);
    of.chunks = count_chunks(of.rows, of.columns, workspace.costs_per_block);
    of.chunk_rows = (of.rows + of.chunks - 1) / of.chunks;
    of.is_narrow = is_narrow<T>(of.width, of.chunks == 1 ? kMostPacksAlone : kMostPacks);
    of.parts = of.chunks * (of.is_narrow ? kTransportWarps : 1);
    of.tiles = of.chunks == 1 ? 1 : (of.width + kWarp - 1) / kWarp;
    of.state = workspace.states + at;
    of.kernel = workspace.kernels + at * room.cells;
    of.row_scale = workspace.row_scales + at * room.rows;
    of.scaling = workspace.scalings + at * room.width;
    of.row_weight = workspace.rows + at * kRowVectors * room.rows;
    of.column_weight = workspace.columns + at * kColumnVectors * room.width;
    of.row_room = room.rows;
    of.column_room = room.width;
    of.partial = workspace.partials + at * room.partials;
    return of;
}

// Of which problem a block is, and which of its blocks.
template <class T>
struct Block {
    std::int64_t p, share;
    TransportProblem<T> of;

    __device__ Block(const TransportCall& call, const Workspace<T>& workspace, unsigned each)
        : p(workspace.first + blockIdx.x / each),
          share(blockIdx.x % each),
          of(problem_at(call, workspace, p, blockIdx.x / each)) {}
};

// The error of all columns, by the first warp.
template <class T>
__device__ void judge_columns(const TransportCall& call, const TransportProblem<T>& of) {
    double error = 0;
    for (std::int64_t tile = threadIdx.x; tile < of.tiles; tile += kWarp)
        error += static_cast<const volatile double*>(of.error())[tile];
    error = warp_sum(error);
    if (threadIdx.x == 0) judge<T>(call, *of.state, error);
}

// A thread for each tiny problem.
template <class T, int kSide>
__global__ void __launch_bounds__(kTinyThreads) solve_in_threads(const TransportCall call, const TinyRest rest) {
    solve_tiny<T, kSide>(call, static_cast<std::int64_t>(blockIdx.x) * kTinyThreads, rest);
}

// A small problem, from its beginning to its end, by a block.
template <class T>
__device__ void solve_by_block(const TransportCall& call, const Workspace<T>& workspace, std::int64_t p) {
    const TransportProblem<T> of = problem_at(call, workspace, p, blockIdx.x);
    if (of.chunks > 1) return;
    prepare_problem(call, of, p);
    __syncthreads();
    while (true) {
        const Sweep sweep = of.state->sweep;
        if (sweep == Sweep::done || sweep == Sweep::failed) break;
        sweep_chunk<T, kMostPacksAlone>(call, of, 0, sweep);
        __syncthreads();
        update_columns(call, of, sweep);
        __syncthreads();
        if (threadIdx.x < kWarp) judge_columns(call, of);
        __syncthreads();
    }
    const bool is_done = of.state->sweep == Sweep::done;
    if (is_done) find_row_potentials(call, of, 0);
    __syncthreads();
    write_potentials(call, of, p);
    __syncthreads();
    if (is_done) sum_plan(call, of, p, 0);
    __syncthreads();
    weigh_plan(call, of, p);
    __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, kBlocksEach<T>)
    solve_alone(const TransportCall call, const Workspace<T> workspace) {
    for (std::int64_t p = blockIdx.x; p < call.count; p += gridDim.x) solve_by_block(call, workspace, p);
}

// The problems that threads have left.
template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    solve_rest(const TransportCall call, const Workspace<T> workspace, const TinyRest rest) {
    for (std::int64_t at = blockIdx.x; at < *rest.count; at += gridDim.x)
        solve_by_block(call, workspace, rest.problems[at]);
}

// A block a problem, of the problems that are shared out.
template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    prepare_shared(const TransportCall call, const Workspace<T> workspace, const Pending pending) {
    const Block<T> block(call, workspace, 1);
    if (block.of.chunks > 1) prepare_problem(call, block.of, block.p);
    else if (threadIdx.x == 0) block.of.state->sweep = Sweep::done;
    if (threadIdx.x == 0 && is_over(*block.of.state)) pending.count();
}

// A block for each chunk of rows.
template <class T>
__global__ void __launch_bounds__(kTransportThreads, kBlocksSharing<T>)
    sweep_shared(const TransportCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    const Sweep sweep = block.of.state->sweep;
    if (sweep == Sweep::done || sweep == Sweep::failed || block.share >= block.of.chunks) return;
    sweep_chunk<T, kMostPacks>(call, block.of, block.share, sweep);
}

// A block for each tile of columns. The last one judges the iteration.
template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    update_shared(const TransportCall call, const Workspace<T> workspace, unsigned each, const Pending pending) {
    const Block<T> block(call, workspace, each);
    const TransportProblem<T>& of = block.of;
    const Sweep sweep = of.state->sweep;
    if (sweep == Sweep::done || sweep == Sweep::failed || block.share >= of.tiles) return;
    update_tile(call, of, block.share, sweep);
    if (threadIdx.x >= kWarp) return;
    // What this block has found is there before its ticket is, and what others have before theirs.
    __threadfence();
    __syncwarp();
    unsigned ticket = 0;
    if (threadIdx.x == 0) ticket = atomicAdd(&of.state->tickets, 1u);
    ticket = __shfl_sync(kWholeWarp, ticket, 0);
    __threadfence();
    if (ticket + 1 != of.tiles) return;
    if (threadIdx.x == 0) of.state->tickets = 0;
    judge_columns(call, of);
    if (threadIdx.x == 0 && is_over(*of.state)) pending.count();
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    finish_rows(const TransportCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    if (block.of.chunks > 1 && block.of.state->sweep == Sweep::done && block.share < block.of.chunks)
        find_row_potentials(call, block.of, block.share);
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    finish_potentials(const TransportCall call, const Workspace<T> workspace) {
    const Block<T> block(call, workspace, 1);
    if (block.of.chunks > 1) write_potentials(call, block.of, block.p);
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    sum_plans(const TransportCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    if (block.of.chunks > 1 && block.of.state->sweep == Sweep::done && block.share < block.of.chunks)
        sum_plan(call, block.of, block.p, block.share);
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    weigh_plans(const TransportCall call, const Workspace<T> workspace) {
    const Block<T> block(call, workspace, 1);
    if (block.of.chunks > 1) weigh_plan(call, block.of, block.p);
}

// More than any problem of so many rows and columns, or fewer, has.
std::int64_t most_chunks(std::int64_t rows, std::int64_t columns, std::int64_t costs_per_block) {
    const std::int64_t cells = rows * width_of(columns);
    return cells <= costs_per_block ? 1 : std::min({kMostChunks, rows, 2 * cells / costs_per_block});
}

// The rows and columns of a problem that is a thread's, at most; 0 where none is. That goes by a problem's own shape
// and options, as sums over rows and columns that are not there add zeros.
template <class T>
int side_of_tiny(const TransportCall& call) {
    const bool is_plain = call.tolerance == 0 || call.tolerance >= kLeastTinyTolerance<T>;
    const bool is_started = call.column_potentials.data != nullptr || call.column_potentials.items != nullptr;
    if (!is_balanced(call) || !is_plain || is_started || call.count >= std::int64_t{1} << 32) return 0;
    const std::int64_t side = std::max(call.rows, call.columns);
    const bool are_alike = call.row_lengths == nullptr && call.column_lengths == nullptr;
    return side <= 4 ? 4 : are_alike && side > kMostTiny<T> ? 0 : kMostTiny<T>;
}

template <class T>
TinyRest take_rest(Arena& arena, const TransportCall& call) {
    if (side_of_tiny<T>(call) == 0) return {};
    return {arena.take<unsigned>(call.count), arena.take<unsigned>(1)};
}

template <class T>
void launch_tiny(const TransportCall& call, const TinyRest& rest, cudaStream_t stream) {
    const int side = side_of_tiny<T>(call);
    if (side == 0) return;
    require_success(cudaMemsetAsync(rest.count, 0, sizeof(unsigned), stream), "cudaMemsetAsync");
    const auto places = static_cast<std::size_t>(side * side + 1);
    const Grid grid{static_cast<unsigned>((call.count + kTinyThreads - 1) / kTinyThreads), kTinyThreads,
                    kTinyThreads * places * sizeof(T)};
    if (side == 4) launch(solve_in_threads<T, 4>, grid, stream, call, rest);
    if constexpr (kMostTiny<T> > 4)
        if (side > 4) launch(solve_in_threads<T, kMostTiny<T>>, grid, stream, call, rest);
}

// Into how many chunks the rows of a problem are shared out, of those from `first` on, at most.
std::int64_t chunks_of(const TransportCall& call, const TransportLimits& limits, std::int64_t first,
                       std::int64_t last) {
    if (call.host_rows == nullptr || call.host_columns == nullptr) {
        const bool are_alike = call.row_lengths == nullptr && call.column_lengths == nullptr;
        return (are_alike ? count_chunks : most_chunks)(call.rows, call.columns, limits.costs_per_block);
    }
    std::int64_t most = 1;
    for (std::int64_t p = first; p < last; ++p)
        most = std::max(most, count_chunks(call.host_rows[p], call.host_columns[p], limits.costs_per_block));
    return most;
}

}  // namespace

template <class T>
TransportPlan plan_transport(const TransportCall& call, const TransportLimits& limits) {
    TransportPlan plan;
    TransportRoom& room = plan.room;
    room.rows = rounded_up(call.rows, 8);
    room.width = width_of(call.columns);
    room.cells = call.rows * room.width;
    constexpr std::int64_t narrow = kMostPacks * static_cast<std::int64_t>(kWarp) * Pack<T>::kSize;
    static_assert(is_narrow<T>(narrow, kMostPacks) && !is_narrow<T>(narrow + 1, kMostPacks));
    room.partials = most_chunks(call.rows, call.columns, limits.costs_per_block) *
                    std::max(room.width, std::min(room.width, narrow) * kTransportWarps);
    const auto bytes_of = [&](std::int64_t problems) {
        Arena arena(nullptr);
        take_room<T>(arena, room, problems);
        return arena.used();
    };
    // As many as a grid can number, with a block for each chunk or tile.
    const std::int64_t blocks = std::max(kMostChunks, (room.width + kWarp - 1) / kWarp);
    const std::int64_t most = std::min(call.count, ((std::int64_t{1} << 31) - 1) / blocks);
    const bool are_alone = chunks_of(call, limits, 0, call.count) == 1;
    plan.problems_per_launch = std::clamp<std::int64_t>(limits.workspace_bytes / bytes_of(1), 1,
                                                        are_alone ? std::min(most, kMostAlone) : most);
    Arena arena(nullptr);
    take_room<T>(arena, room, plan.problems_per_launch);
    take_rest<T>(arena, call);
    plan.workspace_bytes = arena.used();
    return plan;
}

template <class T>
void run_transport(const TransportCall& call, const TransportLimits& limits, const TransportPlan& plan, void* memory,
                   cudaStream_t stream) {
    Arena arena(memory);
    Workspace<T> workspace = take_room<T>(arena, plan.room, plan.problems_per_launch);
    workspace.costs_per_block = limits.costs_per_block;
    const TinyRest rest = take_rest<T>(arena, call);
    launch_tiny<T>(call, rest, stream);
    const auto grid = [](std::int64_t blocks) {
        return Grid{static_cast<unsigned>(blocks), kTransportThreads, kTransportSharedBytes};
    };
    const Grid alone = grid(std::min(plan.problems_per_launch, kMostAlone));
    if (rest.count != nullptr) launch(solve_rest<T>, alone, stream, call, workspace, rest);
    else launch(solve_alone<T>, alone, stream, call, workspace);
    for (std::int64_t first = 0; first < call.count; first += plan.problems_per_launch) {
        const std::int64_t problems = std::min(plan.problems_per_launch, call.count - first);
        const std::int64_t chunks = chunks_of(call, limits, first, first + problems);
        const std::int64_t tiles = (plan.room.width + kWarp - 1) / kWarp;
        if (chunks == 1) continue;
        workspace.first = first;
        const Pending pending{take_done_flag(), workspace.done, problems};
        require_success(cudaMemsetAsync(workspace.done, 0, sizeof(unsigned), stream), "cudaMemsetAsync");
        const auto by_chunks = static_cast<unsigned>(chunks), by_tiles = static_cast<unsigned>(tiles);
        launch(prepare_shared<T>, grid(problems), stream, call, workspace, pending);
        // Each iteration that has to be repeated doubles how many after it are careful, and need not be.
        const std::int64_t repeats = std::ilogb(static_cast<double>(call.most_iterations)) + 2;
        for (std::int64_t sweep = 0; sweep < call.most_iterations + repeats; ++sweep) {
            if (sweep % kIterationsUnlooked == 0 && pending.flag.is_up()) break;
            launch(sweep_shared<T>, grid(problems * chunks), stream, call, workspace, by_chunks);
            launch(update_shared<T>, grid(problems * tiles), stream, call, workspace, by_tiles, pending);
        }
        launch(finish_rows<T>, grid(problems * chunks), stream, call, workspace, by_chunks);
        launch(finish_potentials<T>, grid(problems), stream, call, workspace);
        launch(sum_plans<T>, grid(problems * chunks), stream, call, workspace, by_chunks);
        launch(weigh_plans<T>, grid(problems), stream, call, workspace);
    }
}

template TransportPlan plan_transport<float>(const TransportCall&, const TransportLimits&);
template TransportPlan plan_transport<double>(const TransportCall&, const TransportLimits&);
template void run_transport<float>(const TransportCall&, const TransportLimits&, const TransportPlan&, void*,
                                   cudaStream_t);
template void run_transport<double>(const TransportCall&, const TransportLimits&, const TransportPlan&, void*,
                                    cudaStream_t);

}  // namespace coalign::cuda
