#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "core/arena.hpp"
#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/launch.cuh"
#include "core/status.hpp"
#include "warping.hpp"
#include "warping_frames.cuh"
#include "warping_schedule.cuh"
#include "warping_steps.cuh"

namespace coalign::cuda {
namespace {

// Two warps: small, so that a block's registers come free soon after its longest pair.
constexpr unsigned kThreads = 64;
// Packed rows begin on 16 bytes, and a tile may be read past their end.
constexpr std::int64_t kPitch = 32;

template <class T>
struct Call {
    Side<T> x, y;
    Metric metric;
    int dim, lanes;
    bool all_pairs, symmetric;
    std::int64_t first, last;  // pairs of this launch
    const std::int64_t* order;
    Window::Kind window;
    std::int64_t radius;
    const std::int32_t* rows;
    double max_cost;
    T* cost;
    std::int64_t cost_stride;
    std::int32_t* status;
    // Room for each pair of the launch.
    T* edge_column;
    std::int64_t edge_column_size;
    std::uint64_t* directions;
    std::int64_t direction_steps;
    std::int32_t* shifts;
    std::int64_t most_blocks;
    std::int64_t *x_index, *y_index, *path_length;
    std::int64_t path_room;
};

// Which items a pair is of, and where its cost goes.
struct Pair {
    std::int64_t x, y, at, mirror;
};

__device__ inline float minimum(float a, float b, float c) {
    // No cost is negative, so costs order as their bits do, and sm_90 has the least of three integers in one
    // instruction.
    return __int_as_float(__vimin3_s32(__float_as_int(a), __float_as_int(b), __float_as_int(c)));
}
__device__ inline double minimum(double a, double b, double c) {
    const double least = a < b ? a : b;
    return least < c ? least : c;
}

// Row and column of the p-th cell of the upper triangle of (n, n), row by row.
__device__ inline Pair triangle_cell(std::int64_t p, std::int64_t n) {
    const double side = 2.0 * static_cast<double>(n) + 1.0;
    auto i = static_cast<std::int64_t>((side - sqrt(side * side - 8.0 * static_cast<double>(p))) / 2.0);
    // The root is wrong by one at most.
    while (i > 0 && i * (2 * n - i + 1) / 2 > p) --i;
    while ((i + 1) * (2 * n - i) / 2 <= p) ++i;
    return {i, i + p - i * (2 * n - i + 1) / 2, 0, 0};
}

template <class T>
__device__ Pair pair_at(const Call<T>& call, std::int64_t p) {
    if (!call.all_pairs) {
        const std::int64_t at = call.order != nullptr ? call.order[p] : p;
        return {call.x.count == 1 ? 0 : at, call.y.count == 1 ? 0 : at, at, -1};
    }
    Pair pair = call.symmetric ? triangle_cell(p, call.y.count) : Pair{p / call.y.count, p % call.y.count, 0, 0};
    if (call.x.order != nullptr) pair.x = call.x.order[pair.x];
    if (call.y.order != nullptr) pair.y = call.y.order[pair.y];
    pair.at = pair.x * call.cost_stride + pair.y;
    pair.mirror = call.symmetric ? pair.y * call.cost_stride + pair.x : -1;
    return pair;
}

// Columns of a block: as many as the registers hold, or few, for short series and narrow windows.
template <class T>
constexpr int kWide = sizeof(T) == 4 ? 32 : 16;
constexpr int kNarrow = 8;
constexpr int kMultivariateRows = 4;
// Cells of step patterns are several numbers.
template <class T>
constexpr int kPatternRows = sizeof(T) == sizeof(float) ? 4 : 2;
// Rows of a univariate tile. Two, for a row's cells to go where those of the row before the last were: with one, each
// would be moved there. But a tile's directions, two bits each, are one word.
constexpr int univariate_rows(int columns, bool path) {
    return path && columns > 16 ? 1 : 2;
}

// Local costs of a tile, which know the lane's columns and, of the rows, those of the next step.
template <class T, Metric kMetric, int kTileRows, int kTileColumns>
class UnivariateCosts {
   public:
    static constexpr int kRows = kTileRows, kColumns = kTileColumns;
    static constexpr bool kUnivariate = true;

    __device__ void begin(const T* x, int n, const T* y, int m, std::int64_t, std::int64_t, int, int first, int tile) {
        x_ = x;
        last_ = n - 1;
#pragma unroll
        for (int k = 0; k < kColumns; ++k) y_[k] = first + k < m ? __ldg(y + first + k) : kInfinity<T>;
        fetch(tile);
    }
    __device__ void step(int tile) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) now_[r] = next_[r];
        fetch(tile + 1);
    }
    __device__ T add(int r, int k, T best) const {
        const T difference = now_[r] - y_[k];
        if constexpr (kMetric == Metric::sqeuclidean) return fused(difference, difference, best);
        else return best + magnitude(difference);
    }

   private:
    static __device__ int min(int a, int b) { return a < b ? a : b; }
    __device__ void fetch(int tile) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) next_[r] = __ldg(x_ + min(tile * kRows + r, last_));
    }

    T y_[kColumns];
    T now_[kRows], next_[kRows];
    const T* x_;
    int last_;
};

template <class T, Metric kMetric, int kTileRows, int kTileColumns>
class MultivariateCosts {
   public:
    static constexpr int kRows = kTileRows, kColumns = kTileColumns;
    static constexpr bool kUnivariate = false;

    __device__ void begin(const T* x, int, const T* y, int, std::int64_t x_pitch, std::int64_t y_pitch, int dim,
                          int first, int) {
        x_ = x;
        y_ = y + first;
        x_pitch_ = x_pitch;
        y_pitch_ = y_pitch;
        dim_ = dim;
    }
    __device__ void step(int tile) { measure<kMetric>(tile); }
    __device__ T add(int r, int k, T best) const { return best + cost<kMetric>(r, k); }

   protected:
    template <Metric kOf>
    __device__ void measure(int tile) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
            for (int k = 0; k < kColumns; ++k) cost_[r][k] = 0;
        }
        const T* x = x_ + static_cast<std::int64_t>(tile) * kRows;
        const T* y = y_;
        for (int d = 0; d < dim_; ++d, x += x_pitch_, y += y_pitch_) {
            T row[kRows], column[kColumns];
            load(x, row);
            load(y, column);
#pragma unroll
            for (int r = 0; r < kRows; ++r) {
#pragma unroll
                for (int k = 0; k < kColumns; ++k) {
                    if constexpr (kOf == Metric::cosine) {
                        cost_[r][k] = fused(row[r], column[k], cost_[r][k]);
                    } else {
                        const T difference = row[r] - column[k];
                        if constexpr (kOf == Metric::cityblock) cost_[r][k] += magnitude(difference);
                        else cost_[r][k] = fused(difference, difference, cost_[r][k]);
                    }
                }
            }
        }
    }
    template <Metric kOf>
    __device__ T cost(int r, int k) const {
        T cost = cost_[r][k];
        if constexpr (kOf == Metric::euclidean) cost = square_root(cost);
        if constexpr (kOf == Metric::cosine) cost = cost < 1 ? 1 - cost : 0;
        return cost;
    }
    template <Metric kOf>
    __device__ void finish() {
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
            for (int k = 0; k < kColumns; ++k) cost_[r][k] = cost<kOf>(r, k);
        }
    }
    __device__ T finished(int r, int k) const { return cost_[r][k]; }

   private:
    template <int kCount>
    static __device__ void load(const T* from, T (&to)[kCount]) {
        struct alignas(16) Chunk {
            T values[16 / sizeof(T)];
        };
        constexpr int size = 16 / sizeof(T);
#pragma unroll
        for (int at = 0; at < kCount; at += size) {
            const Chunk chunk = *reinterpret_cast<const Chunk*>(from + at);
#pragma unroll
            for (int c = 0; c < size; ++c) to[at + c] = chunk.values[c];
        }
    }

    T cost_[kRows][kColumns];
    const T *x_, *y_;
    std::int64_t x_pitch_, y_pitch_;
    int dim_;
};

// The same of any metric, chosen tile by tile: step patterns go without a kernel for each.
template <class T, int kTileRows, int kTileColumns>
class AnyCosts : public MultivariateCosts<T, Metric::sqeuclidean, kTileRows, kTileColumns> {
   public:
    __device__ explicit AnyCosts(Metric metric) : metric_(metric) {}
    __device__ void step(int tile) {
        if (metric_ == Metric::cityblock) return this->template measure<Metric::cityblock>(tile);
        if (metric_ == Metric::cosine) {
            this->template measure<Metric::cosine>(tile);
            this->template finish<Metric::cosine>();
            return;
        }
        this->template measure<Metric::sqeuclidean>(tile);
        if (metric_ == Metric::euclidean) this->template finish<Metric::euclidean>();
    }
    __device__ T local(int r, int k) const { return this->finished(r, k); }

   private:
    Metric metric_;
};

// Bit k: column first + k lies in the row's window.
__device__ inline unsigned window_bits(Columns row, int first, int columns) {
    const int start = row.start > first ? row.start - first : 0;
    const int stop = row.stop - first < columns ? row.stop - first : columns;
    if (start >= stop) return 0;
    return (stop >= 32 ? ~0u : (1u << stop) - 1) & ~((1u << start) - 1);
}

// Whether a predicate holds for all lanes of a group.
__device__ inline bool holds_for_group(bool value, int lanes) {
    const unsigned all = __ballot_sync(kWholeWarp, value);
    const unsigned lane = threadIdx.x % kWarp;
    const unsigned group = (lanes == 32 ? ~0u : (1u << lanes) - 1) << (lane & ~static_cast<unsigned>(lanes - 1));
    return (all & group) == group;
}

__device__ inline int warp_maximum(int value) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        const int other = __shfl_xor_sync(kWholeWarp, value, lanes);
        value = other > value ? other : value;
    }
    return value;
}

// Notes of a row's next column, at the bit kCount - 1 - k, whether a neighbour is above the least of the three.
template <int kCount>
__device__ inline void note_above(unsigned& bits, int, float neighbour, float least) {
    // None is negative: the sign of the difference of their bits, shifted in. A comparison would cost an instruction
    // more, of the units that are busy with minima.
    const int difference = __float_as_int(least) - __float_as_int(neighbour);
    bits = __funnelshift_l(static_cast<unsigned>(difference), bits, 1);
}
template <int kCount>
__device__ inline void note_above(unsigned& bits, int k, double neighbour, double least) {
    if (neighbour != least) bits |= 1u << (kCount - 1 - k);
}

// The lattice of one pair, computed by a group of lanes: see Schedule. A cell's bits depend on the pair alone: its
// cost is added to the least of three neighbours, and that is the same in every order.
template <class T, class Costs, class Moves, bool kWindowed, bool kPath>
__device__ void warp_pair(const Call<T>& call, Costs& costs) {
    using Cell = typename Moves::Cell;
    constexpr int kRows = Costs::kRows, kColumns = Costs::kColumns;
    const int lanes = call.lanes;
    const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
    const std::int64_t slot =
        (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / static_cast<unsigned>(lanes);
    const bool exists = call.first + slot < call.last;

    Pair pair{};
    int n = 0, m = 0;
    Status status = Status::ok;
    const T *x = nullptr, *y = nullptr;
    if (exists) {
        pair = pair_at(call, call.first + slot);
        n = length_of(call.x, pair.x);
        m = length_of(call.y, pair.y);
        status = refusal(call.x, pair.x, n, call.dim);
        if (status == Status::ok) status = refusal(call.y, pair.y, m, call.dim);
        x = frames_of(call.x, pair.x);
        y = frames_of(call.y, pair.y);
    }
    const bool works = exists && status == Status::ok;
    const Schedule schedule{
        {kWindowed ? call.window : Window::Kind::none, n, m, call.radius, call.rows}, kColumns, kRows, lanes};
    const int blocks = works ? schedule.blocks() : 0;
    bool rolls = true;
    for (int block = lane; block < blocks; block += lanes) rolls = rolls && schedule.rolls_past(block);
    const bool rolling = holds_for_group(rolls, lanes);
    const int steps = warp_maximum(works ? static_cast<int>(schedule.steps(rolling)) : 0);

    Cell* const edge_column = reinterpret_cast<Cell*>(call.edge_column) + slot * call.edge_column_size;
    std::uint64_t* const directions = call.directions + slot * call.direction_steps * lanes;

    Cell above[kColumns];  // the lane's columns in the row above
    Cell edge[kRows];      // its last column in the rows of the last tile
    Cell fetched[kRows];   // the column to the left of the round, from memory
    Cell corner = Moves::none();
    T result = kInfinity<T>;
    // The lane's block and its tiles, those of the block to the left, and the shift.
    int block = lane - lanes, top = 0, bottom = 0, left_top = 0, left_bottom = 0, shift = -1, round_shift = 0;
#pragma unroll
    for (int r = 0; r < kRows; ++r) edge[r] = fetched[r] = Moves::none();

    const auto fetch = [&](int tile) {
        if (rolling || lane != 0 || tile < left_top || tile >= left_bottom) return;
#pragma unroll
        for (int r = 0; r < kRows; ++r) fetched[r] = edge_column[static_cast<std::int64_t>(tile) * kRows + r];
    };
    // Goes on to the lane's next block, to be at its first tile `step` steps from the start or later.
    const auto take_next_block = [&](int step) {
        if (block >= 0) round_shift += static_cast<int>(schedule.next_shift(block - lane, rolling));
        block += lanes;
        if (block >= blocks) {
            top = bottom = 0;
            shift = -1;
            return;
        }
        shift = round_shift + lane;
        top = schedule.top(block);
        bottom = schedule.bottom(block);
        left_top = block > 0 ? schedule.top(block - 1) : 0;
        left_bottom = block > 0 ? schedule.bottom(block - 1) : 0;
        costs.begin(x, n, y, m, call.x.pitch, call.y.pitch, call.dim, block * kColumns, top);
#pragma unroll
        for (int k = 0; k < kColumns; ++k) above[k] = Moves::none();
        if constexpr (kPath) call.shifts[slot * call.most_blocks + block] = shift;
        fetch(step - shift);
    };
    take_next_block(0);

    for (int step = 0; step < steps; ++step) {
        const int tile = step - shift;
        Cell left[kRows];
        // What the left neighbour computed for these rows one step earlier. There is nothing before and after its
        // block.
        const bool meets = tile >= left_top && tile < left_bottom;
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            const Cell passed = from_group(edge[r], lane - 1, lanes);
            left[r] = !meets ? Moves::none() : lane == 0 && !rolling ? fetched[r] : passed;
        }
        if (tile >= top && tile < bottom) {
            costs.step(tile);
            // The path begins at the first cell, as if it came from a corner before it.
            if constexpr (Moves::kOrdinary) corner = block == 0 && tile == 0 ? T(0) : corner;
            std::uint64_t codes = 0;
            // Without a branch between them, the rows of a whole tile run in parallel.
            const auto advance = [&](auto whole) {
                unsigned inside[kRows];
#pragma unroll
                for (int r = 0; r < kRows; ++r) {
                    const int i = tile * kRows + r;
                    inside[r] = kWindowed && (decltype(whole)::value || kRows == 1 || i < n)
                                    ? window_bits(schedule.bounds.row(i), block * kColumns, kColumns)
                                    : ~0u;
                }
#pragma unroll
                for (int r = 0; r < kRows; ++r) {
                    const int i = tile * kRows + r;
                    if (!decltype(whole)::value && kRows > 1 && i >= n) break;
                    Cell diagonal = r == 0 ? corner : left[r > 0 ? r - 1 : 0];
                    Cell before = left[r];
                    unsigned not_diagonal = 0, not_up = 0;
#pragma unroll
                    for (int k = 0; k < kColumns; ++k) {
                        const Cell up = above[k];
                        if constexpr (Moves::kOrdinary) {
                            const T best = minimum(diagonal, up, before);
                            if constexpr (kPath) {
                                note_above<kColumns>(not_diagonal, k, diagonal, best);
                                note_above<kColumns>(not_up, k, up, best);
                            }
                            before = costs.add(r, k, best);
                        } else {
                            const bool is_first = r == 0 && k == 0 && block == 0 && tile == 0;
                            const T cost = costs.local(r, k);
                            before = is_first ? Moves::first(cost) : Moves::next(before, up, diagonal, cost);
                        }
                        if (kWindowed) before = (inside[r] >> k & 1u) != 0 ? before : Moves::none();
                        diagonal = up;
                        above[k] = before;
                    }
                    edge[r] = before;
                    codes |= (static_cast<std::uint64_t>(not_up) << 32 | not_diagonal) << (r * kColumns);
                }
            };
            if (Costs::kUnivariate && (tile + 1) * kRows <= n) advance(std::true_type{});
            else advance(std::false_type{});
            if constexpr (kPath) directions[static_cast<std::int64_t>(step) * lanes + lane] = codes;
            if (!rolling && lane == lanes - 1 && block + 1 < blocks) {
#pragma unroll
                for (int r = 0; r < kRows; ++r)
                    if (tile * kRows + r < n) edge_column[static_cast<std::int64_t>(tile) * kRows + r] = edge[r];
            }
        } else {
#pragma unroll
            for (int r = 0; r < kRows; ++r) edge[r] = Moves::none();
        }
        corner = left[kRows - 1];
        // What the last lane wrote to memory, the first may read from the next step on.
        __syncwarp();
        if (block < blocks) {
            if (tile + 1 >= bottom) {
                if (block == blocks - 1) {
                    const int last = m - 1 - block * kColumns;
#pragma unroll
                    for (int k = 0; k < kColumns; ++k) result = k == last ? Moves::total(above[k]) : result;
                }
                take_next_block(step + 1);
            } else {
                fetch(tile + 1);
            }
        }
    }

    // The lane of the last block has the cost; if there was nothing to do, the first lane says so.
    if (!exists || lane != (works ? (blocks - 1) % lanes : 0)) return;
    if (!works) {
        result = kNaN<T>;
    } else if constexpr (!Moves::kOrdinary) {
        if (!(result < kInfinity<T>)) status = Status::infeasible;
        if (!(result < kLargest<T>)) result = kInfinity<T>;
        const bool exceeds = static_cast<double>(result) > call.max_cost;
        if (status == Status::ok && !(result < kInfinity<T>) && !exceeds) status = Status::precision_limit;
        if (exceeds) result = kInfinity<T>;
    } else {
        const bool exceeds = static_cast<double>(result) > call.max_cost;
        if (!(result < kInfinity<T>)) {
            if (!schedule.bounds.feasible()) status = Status::infeasible;
            else if (!exceeds) status = Status::precision_limit;
        }
        if (exceeds) result = kInfinity<T>;
    }
    call.cost[pair.at] = result;
    if (pair.mirror >= 0) call.cost[pair.mirror] = result;
    if (call.status != nullptr) call.status[pair.at] = static_cast<std::int32_t>(status);
}

template <class T, class Costs, bool kWindowed, bool kPath>
__global__ void __launch_bounds__(kThreads) warp_pairs(const Call<T> call) {
    Costs costs;
    warp_pair<T, Costs, OrdinarySteps<T>, kWindowed, kPath>(call, costs);
}

template <class T, template <class> class Moves>
__global__ void __launch_bounds__(kThreads, 1) warp_by_steps(const Call<T> call) {
    using Costs = AnyCosts<T, kPatternRows<T>, kNarrow>;
    Costs costs(call.metric);
    warp_pair<T, Costs, Moves<T>, true, false>(call, costs);
}

// A warp writes the path of a pair: its first lane walks back from the last cell and fills the room from its end, then
// all of them move it to the front.
template <class T, int kRows, int kColumns>
__global__ void __launch_bounds__(kThreads) trace_paths(const Call<T> call) {
    const std::int64_t slot = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    if (call.first + slot >= call.last) return;
    const Pair pair = pair_at(call, call.first + slot);
    std::int64_t* const x_index = call.x_index + pair.at * call.path_room;
    std::int64_t* const y_index = call.y_index + pair.at * call.path_room;
    const int room = static_cast<int>(call.path_room);
    int begin = room;
    if (lane == 0 && call.cost[pair.at] < kInfinity<T>) {
        const std::uint64_t* const directions = call.directions + slot * call.direction_steps * call.lanes;
        const std::int32_t* const shifts = call.shifts + slot * call.most_blocks;
        int i = length_of(call.x, pair.x) - 1, j = length_of(call.y, pair.y) - 1;
        while (true) {
            --begin;
            x_index[begin] = i;
            y_index[begin] = j;
            if (i == 0 && j == 0) break;
            const int block = j / kColumns, tile = i / kRows;
            const std::int64_t step = tile + shifts[block];
            const std::uint64_t codes = directions[step * call.lanes + (block & (call.lanes - 1))];
            const int bit = i % kRows * kColumns + kColumns - 1 - j % kColumns;
            const bool diagonal = (codes >> bit & 1u) == 0, up = (codes >> (32 + bit) & 1u) == 0;
            if (diagonal || up) --i;
            if (diagonal || !up) --j;
        }
    }
    begin = __shfl_sync(kWholeWarp, begin, 0);
    const int length = room - begin;
    for (int at = 0; at < room; at += static_cast<int>(kWarp)) {
        const int k = at + lane;
        std::int64_t i = -1, j = -1;
        __syncwarp();
        if (k < length) {
            i = x_index[begin + k];
            j = y_index[begin + k];
        }
        __syncwarp();
        if (k < room) {
            x_index[k] = i;
            y_index[k] = j;
        }
    }
    if (lane == 0) call.path_length[pair.at] = length;
}

bool is_univariate(const WarpingCall& call) {
    return call.dim == 1 && call.metric != Metric::cosine && call.steps == Steps::symmetric1;
}

// Whether the kernels read the side where it lies: one dimension, whose frames follow one another.
bool is_read_in_place(const WarpingCall& call, const SeriesArray& side) {
    return is_univariate(call) && (side.row_stride == 1 || side.rows == 1);
}

// Numbers that a cell is made of.
std::int64_t ways(Steps steps) {
    switch (steps) {
        case Steps::symmetricP05:
            return 4;
        case Steps::symmetricP1:
            return 2;
        case Steps::symmetricP2:
            return 3;
        default:
            return 1;
    }
}

// What each pair of a launch needs besides its series.
template <class T>
void take_room(Arena& arena, const WarpingCall& call, const WarpingPlan& plan, std::int64_t pairs, Call<T>& out) {
    const std::int64_t blocks = (call.y.rows + plan.columns - 1) / plan.columns;
    // If one round of the lanes covers the columns, nothing goes through memory; otherwise whole tiles are read from
    // it.
    out.edge_column_size = blocks > plan.lanes ? rounded_up(call.x.rows, kMultivariateRows) : 0;
    out.edge_column = arena.take<T>(pairs * out.edge_column_size * ways(call.steps));
    if (call.x_index == nullptr) return;
    out.direction_steps = plan.steps;
    out.directions = arena.take<std::uint64_t>(pairs * plan.steps * plan.lanes);
    out.most_blocks = blocks;
    out.shifts = arena.take<std::int32_t>(pairs * blocks);
}

Packing packing_of(const WarpingCall& call, const SeriesArray& side) {
    // Beyond the last row's end a tile of columns may be read.
    return {!is_read_in_place(call, side), call.metric == Metric::cosine,
            static_cast<int>(call.dim),    1,
            rounded_up(side.rows, kPitch), kPitch};
}

template <class T, class Costs, class PathCosts = Costs>
void launch_pairs(const Call<T>& call, bool windowed, bool path, cudaStream_t stream) {
    const std::int64_t pairs = call.last - call.first;
    const std::int64_t threads = pairs * call.lanes;
    const Grid grid{static_cast<unsigned>((threads + kThreads - 1) / kThreads), kThreads};
    if (path) {
        launch(warp_pairs<T, PathCosts, true, true>, grid, stream, call);
        const Grid by_warps{static_cast<unsigned>((pairs * kWarp + kThreads - 1) / kThreads), kThreads};
        launch(trace_paths<T, PathCosts::kRows, PathCosts::kColumns>, by_warps, stream, call);
    } else if (windowed || !Costs::kUnivariate) {
        launch(warp_pairs<T, Costs, true, false>, grid, stream, call);
    } else if constexpr (Costs::kUnivariate) {
        launch(warp_pairs<T, Costs, false, false>, grid, stream, call);
    }
}

template <class T, Metric kMetric, int kColumns>
void launch_univariate(const Call<T>& call, bool windowed, bool path, cudaStream_t stream) {
    launch_pairs<T, UnivariateCosts<T, kMetric, univariate_rows(kColumns, false), kColumns>,
                 UnivariateCosts<T, kMetric, univariate_rows(kColumns, true), kColumns>>(call, windowed, path, stream);
}

template <class T, Metric kMetric>
void launch_multivariate(const Call<T>& call, bool windowed, bool path, cudaStream_t stream) {
    launch_pairs<T, MultivariateCosts<T, kMetric, kMultivariateRows, kNarrow>>(call, windowed, path, stream);
}

template <class T, template <class> class Moves>
void launch_steps(const Call<T>& call, cudaStream_t stream) {
    const std::int64_t threads = (call.last - call.first) * call.lanes;
    launch(warp_by_steps<T, Moves>, {static_cast<unsigned>((threads + kThreads - 1) / kThreads), kThreads}, stream,
           call);
}

template <class T>
void launch_metric(const WarpingCall& host, const Call<T>& call, int columns, cudaStream_t stream) {
    switch (host.steps) {
        case Steps::symmetric2:
            return launch_steps<T, Symmetric2>(call, stream);
        case Steps::symmetricP05:
            return launch_steps<T, SymmetricP05>(call, stream);
        case Steps::symmetricP1:
            return launch_steps<T, SymmetricP1>(call, stream);
        case Steps::symmetricP2:
            return launch_steps<T, SymmetricP2>(call, stream);
        case Steps::symmetric1:
            break;
    }
    const bool windowed = host.window != Window::Kind::none, path = host.x_index != nullptr;
    const bool squares = host.metric == Metric::sqeuclidean;
    if (is_univariate(host)) {
        if (columns == kNarrow) {
            if (squares) return launch_univariate<T, Metric::sqeuclidean, kNarrow>(call, windowed, path, stream);
            return launch_univariate<T, Metric::cityblock, kNarrow>(call, windowed, path, stream);
        }
        if (squares) return launch_univariate<T, Metric::sqeuclidean, kWide<T>>(call, windowed, path, stream);
        return launch_univariate<T, Metric::cityblock, kWide<T>>(call, windowed, path, stream);
    }
    switch (host.metric) {
        case Metric::euclidean:
            return launch_multivariate<T, Metric::euclidean>(call, windowed, path, stream);
        case Metric::cityblock:
            return launch_multivariate<T, Metric::cityblock>(call, windowed, path, stream);
        case Metric::cosine:
            return launch_multivariate<T, Metric::cosine>(call, windowed, path, stream);
        default:
            return launch_multivariate<T, Metric::sqeuclidean>(call, windowed, path, stream);
    }
}

}  // namespace

std::int64_t WarpingCall::pairs() const {
    if (!all_pairs) return std::max(x.count, y.count);
    return symmetric ? x.count * (x.count + 1) / 2 : x.count * y.count;
}

template <class T>
WarpingPlan plan_warping(const WarpingCall& call, const WarpingLimits& limits) {
    const std::int64_t pairs = call.pairs();
    // All that is known of pairs with other lengths is that a full lattice takes the most steps.
    const bool known =
        call.window == Window::Kind::rows || (call.x.row_lengths == nullptr && call.y.row_lengths == nullptr);
    const auto n = static_cast<int>(call.x.rows), m = static_cast<int>(call.y.rows);
    const bool univariate = is_univariate(call);
    WarpingPlan best;
    double least = std::numeric_limits<double>::infinity();
    for (const int columns : {kNarrow, kWide<T>}) {
        if (univariate ? limits.columns != 0 && limits.columns != columns : columns != kNarrow) continue;
        const int rows = univariate                        ? univariate_rows(columns, call.x_index != nullptr)
                         : call.steps != Steps::symmetric1 ? kPatternRows<T>
                                                           : kMultivariateRows;
        for (int lanes = 1; lanes <= 32; lanes *= 2) {
            if (limits.lanes != 0 && limits.lanes != lanes) continue;
            const auto schedule_for = [&](Window::Kind window) {
                return Schedule{{window, n, m, call.radius, call.host_rows}, columns, rows, lanes};
            };
            const Schedule schedule = schedule_for(call.window);
            bool rolling = true;
            for (int block = 0; block < schedule.blocks() && rolling; ++block) rolling = schedule.rolls_past(block);
            const std::int64_t steps = schedule.steps(rolling);
            const bool by_memory = !rolling && schedule.blocks() > lanes;
            // Instructions of a step (docs/performance.md), and its chain: a minimum and an addition a column, of which
            // the rows of a univariate tile run beside each other.
            const double instructions =
                (3.0 + 2.0 * static_cast<double>(call.dim - 1)) * columns * rows + 60 + (by_memory ? 20 : 0);
            const double latency = 9.0 * (univariate ? columns + rows - 1 : columns * rows) + 100;
            // Each group reads frames of its own, and a column: cache lines, of which one comes a cycle.
            const double lines = static_cast<double>(kWarp) / lanes * rows * (by_memory ? 3 : 1);
            const double warps = static_cast<double>(pairs) * lanes / kWarp / limits.multiprocessors;
            // Four instructions a cycle on each multiprocessor, unless too few warps are there to hide the chain.
            const double time =
                static_cast<double>(steps) * std::max(warps * std::max(instructions / 4, lines), latency);
            if (time >= least) continue;
            least = time;
            best.columns = columns;
            best.lanes = lanes;
            best.steps = known ? steps : schedule_for(Window::Kind::none).steps(false);
        }
    }
    if (best.steps >= std::numeric_limits<std::int32_t>::max()) throw std::length_error("series too long for a GPU");
    Arena arena(nullptr);
    prepare_side<T>(arena, call.x, packing_of(call, call.x), false, nullptr);
    if (call.y.bad != call.x.bad) prepare_side<T>(arena, call.y, packing_of(call, call.y), false, nullptr);
    Call<T> room{};
    Arena one(nullptr);
    take_room(one, call, best, 1, room);
    // As many pairs at a time as the workspace holds, but a few warps for each multiprocessor in any case.
    const std::int64_t most_pairs = std::max<std::int64_t>(std::min(pairs, limits.most_pairs), 1);
    const std::int64_t least_pairs =
        std::min<std::int64_t>(most_pairs, 8LL * limits.multiprocessors * (static_cast<int>(kWarp) / best.lanes));
    best.pairs_per_launch = most_pairs;
    if (one.used() > 0)
        best.pairs_per_launch =
            std::clamp((limits.workspace_bytes - arena.used()) / one.used(), least_pairs, most_pairs);
    take_room(arena, call, best, best.pairs_per_launch, room);
    best.workspace_bytes = arena.used();
    return best;
}

template <class T>
void run_warping(const WarpingCall& host, const WarpingPlan& plan, void* workspace, cudaStream_t stream) {
    Arena arena(workspace);
    Call<T> call{};
    call.x = prepare_side<T>(arena, host.x, packing_of(host, host.x), true, stream);
    // One collection against itself is prepared once.
    call.y = host.y.bad == host.x.bad ? call.x : prepare_side<T>(arena, host.y, packing_of(host, host.y), true, stream);
    call.metric = host.metric;
    call.dim = static_cast<int>(host.dim);
    call.lanes = plan.lanes;
    call.all_pairs = host.all_pairs;
    call.symmetric = host.symmetric;
    call.order = host.order;
    call.window = host.window;
    call.radius = host.radius;
    call.rows = host.rows;
    call.max_cost = host.max_cost;
    call.cost = static_cast<T*>(host.cost);
    call.cost_stride = host.cost_stride;
    call.status = host.status;
    call.x_index = host.x_index;
    call.y_index = host.y_index;
    call.path_length = host.path_length;
    call.path_room = host.x.rows + host.y.rows - 1;
    take_room(arena, host, plan, plan.pairs_per_launch, call);
    const std::int64_t pairs = host.pairs();
    for (std::int64_t first = 0; first < pairs; first += plan.pairs_per_launch) {
        call.first = first;
        call.last = std::min(first + plan.pairs_per_launch, pairs);
        launch_metric(host, call, plan.columns, stream);
    }
}

template WarpingPlan plan_warping<float>(const WarpingCall&, const WarpingLimits&);
template WarpingPlan plan_warping<double>(const WarpingCall&, const WarpingLimits&);
template void run_warping<float>(const WarpingCall&, const WarpingPlan&, void*, cudaStream_t);
template void run_warping<double>(const WarpingCall&, const WarpingPlan&, void*, cudaStream_t);

}  // namespace coalign::cuda
