// Sinkhorn on point clouds whose costs are made where they are used. An iteration takes log-sum-exps of
// the rows and then of the columns. Each finds its greatest exponent as it goes along, so that nothing can leave the
// range of a dtype: J. Feydy: Geometric data analysis, beyond convolutions. PhD thesis, 2020, chapter 3. float32 is
// left where its rounding shows. Epsilon is lowered, and iterations gain momentum, as of stored costs.
//
// A block holds a tile of points against a part of the other side, and a second launch adds the parts up. The last
// block of an iteration says how the next one goes; when the problem is done, launches return at once. How work is
// shared out, and in which order sums are added, goes by the shape of the problem alone.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>

#include "core/arena.hpp"
#include "core/done_flag.cuh"
#include "core/launch.cuh"
#include "points.hpp"
#include "points_problem.cuh"
#include "points_scan.cuh"

namespace coalign::cuda {
namespace {

constexpr std::size_t kPointsSharedBytes = std::max(kScanBytes<float>, kScanBytes<double>);

// Blocks that a multiprocessor holds: float64 takes the registers of two.
template <class K>
constexpr unsigned kBlocksScanning = sizeof(K) == sizeof(float) ? 2 : 1;

// What one problem has room for.
struct Room {
    std::int64_t tiles[2], dimension, sums;

    explicit Room(const PointsCall& call)
        : tiles{count_tiles(call.rows), count_tiles(call.columns)}, dimension(call.x.columns) {
        sums = std::max(shares(kX), shares(kY)) * kTilePoints;
    }
    // Blocks of a side, at most: a problem with fewer tiles may be cut into more parts.
    std::int64_t shares(int side) const {
        return std::max(tiles[side], std::min(kMostShares, tiles[side] * tiles[1 - side]));
    }
};

// Where the problems of a launch lie in the workspace.
template <class T>
struct Workspace {
    std::int64_t first;  // the problem that has the first place
    std::int64_t tiles[2], dimension, most_sums;
    TransportState* states;
    CloudScale* scales;
    double* centres;
    double* wide[2];
    float* narrow[2];
    double *norms[2], *log_weights[2];
    T* scalings;
    double *rows, *columns;
    LogSum* sums;
    Pending pending;
};

template <class T>
Workspace<T> take_room(Arena& arena, const Room& room, std::int64_t problems) {
    Workspace<T> out{};
    out.dimension = room.dimension;
    out.most_sums = room.sums;
    out.states = arena.take<TransportState>(problems);
    out.scales = arena.take<CloudScale>(problems);
    out.centres = arena.take<double>(problems * room.dimension);
    for (int side = 0; side < 2; ++side) {
        const std::int64_t points = room.tiles[side] * kTilePoints;
        out.tiles[side] = room.tiles[side];
        out.wide[side] = arena.take<double>(problems * points * room.dimension);
        if (sizeof(T) == sizeof(float)) out.narrow[side] = arena.take<float>(problems * points * room.dimension);
        out.norms[side] = arena.take<double>(problems * points);
        out.log_weights[side] = arena.take<double>(problems * points);
    }
    out.scalings = arena.take<T>(problems * room.tiles[kY] * kTilePoints);
    out.rows = arena.take<double>(problems * kRowVectors * room.tiles[kX] * kTilePoints);
    out.columns = arena.take<double>(problems * kColumnVectors * room.tiles[kY] * kTilePoints);
    out.sums = arena.take<LogSum>(problems * room.sums);
    out.pending.done = arena.take<unsigned>(1);
    return out;
}

// One problem, and which of its shares a block has.
template <class T>
struct Block {
    std::int64_t p, share;
    PointProblem<T> of{};

    __device__ Block(const PointsCall& call, const Workspace<T>& workspace, unsigned each)
        : p(workspace.first + blockIdx.x / each), share(blockIdx.x % each) {
        const std::int64_t at = blockIdx.x / each;
        of.rows = call.row_lengths != nullptr ? call.row_lengths[p] : call.rows;
        of.columns = call.column_lengths != nullptr ? call.column_lengths[p] : call.columns;
        // Lengths that lie on a GPU are looked at before anything else goes by them.
        if (of.rows < 1 || of.rows > call.rows || of.columns < 1 || of.columns > call.columns) of.rows = of.columns = 0;
        of.width = of.columns;
        of.chunks = 1;
        of.tiles = count_tiles(of.columns);
        of.state = workspace.states + at;
        of.scaling = workspace.scalings + at * workspace.tiles[kY] * kTilePoints;
        of.row_room = workspace.tiles[kX] * kTilePoints;
        of.column_room = workspace.tiles[kY] * kTilePoints;
        of.row_weight = workspace.rows + at * kRowVectors * of.row_room;
        of.column_weight = workspace.columns + at * kColumnVectors * of.column_room;
        // The columns' sums of the plan, when there are no more images.
        of.partial = of.image();
        of.dimension = workspace.dimension;
        of.metric = call.metric;
        of.centre = workspace.centres + at * workspace.dimension;
        of.scale = workspace.scales + at;
        of.sums = workspace.sums + at * workspace.most_sums;
        place<kX>(call.x, workspace, at, of.rows);
        place<kY>(call.y, workspace, at, of.columns);
    }

   private:
    template <int kSide>
    __device__ void place(const Ragged& given, const Workspace<T>& workspace, std::int64_t at, std::int64_t count) {
        Points<T>& cloud = of.cloud[kSide];
        const std::int64_t item = given.count > 1 ? p : 0;
        cloud.given = given.items != nullptr ? static_cast<const T*>(given.items[item])
                                             : static_cast<const T*>(given.data) + item * given.item_stride;
        cloud.count = count;
        cloud.point_stride = given.row_stride;
        cloud.dimension_stride = given.column_stride;
        const std::int64_t points = workspace.tiles[kSide] * kTilePoints;
        cloud.wide = workspace.wide[kSide] + at * points * workspace.dimension;
        if (sizeof(T) == sizeof(float)) cloud.narrow = workspace.narrow[kSide] + at * points * workspace.dimension;
        cloud.norms = workspace.norms[kSide] + at * points;
        cloud.log_weights = workspace.log_weights[kSide] + at * points;
    }
};

// The sum over a block of a tile's threads; the first has it.
__device__ double tile_sum(double mine) {
    double* const slots = shared_memory<double>();
    mine = warp_sum(mine);
    if (threadIdx.x % kWarp == 0) slots[threadIdx.x / kWarp] = mine;
    __syncthreads();
    double sum = 0;
    for (unsigned warp = 0; warp < kTilePoints / kWarp; ++warp) sum += slots[warp];
    return sum;
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    measure_points(const PointsCall call, const Workspace<T> workspace) {
    measure_clouds(Block<T>(call, workspace, 1).of);
}

// A block for each tile of both clouds, a thread for each point.
template <class T>
__global__ void __launch_bounds__(kTilePoints)
    place_points(const PointsCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    const std::int64_t tiles[2] = {count_tiles(block.of.rows), count_tiles(block.of.columns)};
    const auto at = static_cast<int>(threadIdx.x);
    if (block.share < tiles[kX]) place_point<T, kX>(block.of, block.share, at);
    else if (block.share < tiles[kX] + tiles[kY]) place_point<T, kY>(block.of, block.share - tiles[kX], at);
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    prepare_clouds(const PointsCall call, const Workspace<T> workspace) {
    const Block<T> block(call, workspace, 1);
    prepare_points(call, block.of, block.p);
    if (threadIdx.x == 0 && is_over(*block.of.state)) workspace.pending.count();
}

// A point's sum over all parts of the other side.
template <int kSide, class T>
__device__ LogSum sum_over_parts(const PointProblem<T>& of, const Share& share, std::int64_t i) {
    const std::int64_t room = count_tiles(of.cloud[kSide].count) * kTilePoints;
    LogSum sum{-kInfinity<double>, 0};
    for (std::int64_t part = 0; part < share.parts; ++part) sum.add(of.sums[part * room + i]);
    return sum;
}

// The potentials of a tile's rows, whose sums are known.
template <class T>
__device__ void update_rows(const PointsCall& call, const PointProblem<T>& of, const Share& share,
                            const PointExponents& exponents) {
    const std::int64_t i = share.tile * kTilePoints + threadIdx.x;
    if (i >= of.rows) return;
    const LogSum sum = sum_over_parts<kX>(of, share, i);
    const double unit = is_balanced(call) ? 0 : log(of.state->column_mass);
    const double constant = constant_of(exponents, kX, of.cloud[kX].norms[i]);
    const bool is_reached = of.row_weight[i] > 0 && sum.most > -kInfinity<double>;
    of.row_potential()[i] =
        is_reached ? -power_of(call.row_penalty, of.state->epsilon) * (unit + constant + sum.most + log(sum.sum))
                   : -kInfinity<double>;
}

// The same of columns, which are what the iteration has found; and by how much their sums are off.
template <class T>
__device__ double update_columns_of(const PointsCall& call, const PointProblem<T>& of, const Share& share,
                                    const PointExponents& exponents, Sweep sweep) {
    const std::int64_t j = share.tile * kTilePoints + threadIdx.x;
    if (j >= of.columns) return 0;
    const double constant = constant_of(exponents, kY, of.cloud[kY].norms[j]);
    double& H = of.columns_now()[j];
    if (sweep == Sweep::quick && H > -kInfinity<double>) {
        // The rows have seen what float32 holds of it.
        const auto level = static_cast<double>(levels_of<kY>(of, exponents).template at<float>(j));
        H = (level * kLn2 - of.cloud[kY].log_weights[j] - constant) * of.state->epsilon;
    }
    LogSum sum = sum_over_parts<kY>(of, share, j);
    sum.most += constant;
    return update_column(call, of, j, sum, Sweep::careful);
}

// By the last block of all: how the next iteration goes.
template <class T>
__device__ void judge_points(const PointsCall& call, const PointProblem<T>& of) {
    double error = 0;
    for (std::int64_t tile = threadIdx.x; tile < of.tiles; tile += kWarp)
        error += static_cast<const volatile double*>(of.error())[tile];
    error = warp_sum(error);
    if (threadIdx.x != 0) return;
    // float32 rounds each exponent by up to 6e-8 of the greatest.
    const double rounding = greater(2e-6, 3e-8 * of.most_exponent(of.state->epsilon));
    judge<T, true>(call, *of.state, error, rounding);
    choose_precision(of);
}

// A block for each tile of a side and each part of the other; for iterations in K.
template <class K, class T, int kSide>
__global__ void __launch_bounds__(kTransportThreads, kBlocksScanning<K>)
    scan_points(const PointsCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    const PointProblem<T>& of = block.of;
    if (of.state->sweep != (sizeof(K) == sizeof(float) ? Sweep::quick : Sweep::careful)) return;
    const Share share(block.share, count_tiles(of.cloud[kSide].count), count_tiles(of.cloud[1 - kSide].count));
    if (share.part < share.parts) sum_share<K, kSide>(of, share);
}

// A block for each tile, a thread for each point. The last block of the columns judges the iteration.
template <class T, int kSide>
__global__ void __launch_bounds__(kTilePoints)
    update_points(const PointsCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    const PointProblem<T>& of = block.of;
    const Sweep sweep = of.state->sweep;
    if (sweep == Sweep::done || sweep == Sweep::failed) return;
    const std::int64_t tiles = count_tiles(of.cloud[kSide].count);
    if (block.share >= tiles) return;
    const Share share(block.share, tiles, count_tiles(of.cloud[1 - kSide].count));
    const PointExponents exponents = sweep == Sweep::quick ? exponents_of<float>(of, of.state->epsilon)
                                                           : exponents_of<double>(of, of.state->epsilon);
    if constexpr (kSide == kX) {
        update_rows(call, of, share, exponents);
    } else {
        const double error = tile_sum(update_columns_of(call, of, share, exponents, sweep));
        if (threadIdx.x >= kWarp) return;
        if (threadIdx.x == 0) of.error()[share.tile] = error;
        // What this block has found is there before its ticket is, and what others have before theirs.
        __threadfence();
        __syncwarp();
        unsigned ticket = 0;
        if (threadIdx.x == 0) ticket = atomicAdd(&of.state->tickets, 1u);
        ticket = __shfl_sync(kWholeWarp, ticket, 0);
        __threadfence();
        if (ticket + 1 != tiles) return;
        if (threadIdx.x == 0) of.state->tickets = 0;
        judge_points(call, of);
        if (threadIdx.x == 0 && is_over(*of.state)) workspace.pending.count();
    }
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    finish_points(const PointsCall call, const Workspace<T> workspace) {
    const Block<T> block(call, workspace, 1);
    write_potentials(call, block.of, block.p);
}

// As `scan_points`: the sums of the plan.
template <class T, int kSide>
__global__ void __launch_bounds__(kTransportThreads, 1)
    prove_points(const PointsCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    const PointProblem<T>& of = block.of;
    if (of.state->sweep != Sweep::done) return;
    const std::int64_t tiles = count_tiles(of.cloud[kSide].count);
    const Share share(block.share, tiles, count_tiles(of.cloud[1 - kSide].count));
    if (share.part >= share.parts) return;
    weigh_share<kSide>(call, of, block.p, share);
}

// A block for each tile: the sums of the plan over all parts.
template <class T, int kSide>
__global__ void __launch_bounds__(kTilePoints)
    gather_plan(const PointsCall call, const Workspace<T> workspace, unsigned each) {
    const Block<T> block(call, workspace, each);
    const PointProblem<T>& of = block.of;
    if (of.state->sweep != Sweep::done) return;
    const std::int64_t tiles = count_tiles(of.cloud[kSide].count);
    const std::int64_t i = block.share * kTilePoints + threadIdx.x;
    if (i >= of.cloud[kSide].count) return;
    const std::int64_t parts = count_parts(tiles, count_tiles(of.cloud[1 - kSide].count));
    double mass = 0, cost = 0;
    for (std::int64_t part = 0; part < parts; ++part) {
        const LogSum& more = of.sums[part * tiles * kTilePoints + i];
        cost += more.most;
        mass += more.sum;
    }
    if constexpr (kSide == kX) {
        of.row_sum()[i] = mass;
        of.row_cost()[i] = cost * of.state->target;
    } else {
        of.image()[i] = mass;
    }
}

template <class T>
__global__ void __launch_bounds__(kTransportThreads, 1)
    weigh_points(const PointsCall call, const Workspace<T> workspace) {
    const Block<T> block(call, workspace, 1);
    weigh_plan(call, block.of, block.p);
}

}  // namespace

template <class T>
PointsPlan plan_points(const PointsCall& call, std::int64_t workspace_bytes) {
    const Room room(call);
    const auto bytes_of = [&](std::int64_t problems) {
        Arena arena(nullptr);
        take_room<T>(arena, room, problems);
        return arena.used();
    };
    // As many as a grid can number.
    const std::int64_t blocks = std::max({room.shares(kX), room.shares(kY), room.tiles[kX] + room.tiles[kY]});
    const std::int64_t most = std::max<std::int64_t>(1, std::min(call.count, ((std::int64_t{1} << 31) - 1) / blocks));
    PointsPlan plan;
    plan.problems_per_launch = std::clamp<std::int64_t>(workspace_bytes / bytes_of(1), 1, most);
    plan.workspace_bytes = bytes_of(plan.problems_per_launch);
    return plan;
}

template <class T>
void run_points(const PointsCall& call, const PointsPlan& plan, void* memory, cudaStream_t stream) {
    const Room room(call);
    Arena arena(memory);
    Workspace<T> workspace = take_room<T>(arena, room, plan.problems_per_launch);
    const auto grid = [](std::int64_t blocks) {
        return Grid{static_cast<unsigned>(blocks), kTransportThreads, kPointsSharedBytes};
    };
    const auto by_tiles = static_cast<unsigned>(room.tiles[kX] + room.tiles[kY]);
    const auto by_rows = static_cast<unsigned>(room.shares(kX)), by_columns = static_cast<unsigned>(room.shares(kY));
    for (std::int64_t first = 0; first < call.count; first += plan.problems_per_launch) {
        const std::int64_t problems = std::min(plan.problems_per_launch, call.count - first);
        workspace.first = first;
        workspace.pending.flag = take_done_flag();
        workspace.pending.problems = problems;
        require_success(cudaMemsetAsync(workspace.pending.done, 0, sizeof(unsigned), stream), "cudaMemsetAsync");
        launch(measure_points<T>, grid(problems), stream, call, workspace);
        const Grid tiles{static_cast<unsigned>(problems) * by_tiles, kTilePoints, 0};
        launch(place_points<T>, tiles, stream, call, workspace, by_tiles);
        launch(prepare_clouds<T>, grid(problems), stream, call, workspace);
        const auto by_tile = [&](int side) {
            return Grid{static_cast<unsigned>(problems * room.tiles[side]), kTilePoints, kTilePoints * sizeof(double)};
        };
        const auto x_tiles = static_cast<unsigned>(room.tiles[kX]), y_tiles = static_cast<unsigned>(room.tiles[kY]);
        for (std::int64_t done = 0; done < call.most_iterations; ++done) {
            if (done % kIterationsUnlooked == 0 && workspace.pending.flag.is_up()) break;
            if constexpr (sizeof(T) == sizeof(float))
                launch(scan_points<float, T, kX>, grid(problems * by_rows), stream, call, workspace, by_rows);
            launch(scan_points<double, T, kX>, grid(problems * by_rows), stream, call, workspace, by_rows);
            launch(update_points<T, kX>, by_tile(kX), stream, call, workspace, x_tiles);
            if constexpr (sizeof(T) == sizeof(float))
                launch(scan_points<float, T, kY>, grid(problems * by_columns), stream, call, workspace, by_columns);
            launch(scan_points<double, T, kY>, grid(problems * by_columns), stream, call, workspace, by_columns);
            launch(update_points<T, kY>, by_tile(kY), stream, call, workspace, y_tiles);
        }
        launch(finish_points<T>, grid(problems), stream, call, workspace);
        launch(prove_points<T, kX>, grid(problems * by_rows), stream, call, workspace, by_rows);
        launch(gather_plan<T, kX>, by_tile(kX), stream, call, workspace, x_tiles);
        launch(prove_points<T, kY>, grid(problems * by_columns), stream, call, workspace, by_columns);
        launch(gather_plan<T, kY>, by_tile(kY), stream, call, workspace, y_tiles);
        launch(weigh_points<T>, grid(problems), stream, call, workspace);
    }
}

template PointsPlan plan_points<float>(const PointsCall&, std::int64_t);
template PointsPlan plan_points<double>(const PointsCall&, std::int64_t);
template void run_points<float>(const PointsCall&, const PointsPlan&, void*, cudaStream_t);
template void run_points<double>(const PointsCall&, const PointsPlan&, void*, cudaStream_t);

}  // namespace coalign::cuda
