#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "assignment.hpp"
#include "assignment_certificate.cuh"
#include "assignment_columns.cuh"
#include "assignment_solver.cuh"
#include "core/arena.hpp"
#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/launch.cuh"
#include "core/status.hpp"
#include "core/team.cuh"

namespace coalign::cuda {
namespace {

constexpr int kTile = 32;
constexpr unsigned kCopyThreads = 256, kMostThreads = 512;
// Few blocks, so that memory for what is solved again is not needed for every problem: it is rarely any.
constexpr std::int64_t kMostBlocksAgain = 256;
// What the library promises of a total, relative to the sum of |cost| over its pairs.
template <class T>
constexpr double kTolerance = sizeof(T) == sizeof(float) ? 1e-6 : 1e-12;
// The status of a problem until it is solved again.
constexpr auto kUnproved = static_cast<std::int32_t>(Status::not_converged);
// Of a thread of a block, in registers: as many as fit beside those of 511 others, and their prices in shared memory.
template <class T>
constexpr int kBlockColumns = sizeof(T) == 4 ? 6 : 4;

// A multiple of 8, so that the columns of any problem begin on so many.
template <class T>
constexpr std::int64_t kBytesPerColumn = ColumnMemory<T>::bytes(1, true);
static_assert(kBytesPerColumn<float> % 8 == 0 && kBytesPerColumn<double> % 8 == 0);
// The shared memory that any GPU gives a block by default.
constexpr std::int64_t kSharedBytes = 48 * 1024;
template <class T>
constexpr bool kFitsInSharedMemory =
    ColumnMemory<T>::bytes(kMostThreads * kBlockColumns<T>, false) + BlockTeam<T>::kSharedBytes <= kSharedBytes;
static_assert(kFitsInSharedMemory<float> && kFitsInSharedMemory<double>);

template <class T>
struct Call {
    std::int64_t count;
    const T* data;
    const T* const* items;
    std::int64_t rows, columns, item_stride, row_stride, column_stride;
    const std::int64_t *row_lengths, *column_lengths, *row_at, *column_at, *cost_at;
    T* copy;
    bool copies_all;
    bool has_limit;
    T limit, sign;
    std::int64_t first;
    const std::int64_t* order;
    RowMemory marks;
    unsigned char* column_memory;  // where registers and shared memory do not hold the columns
    RowSums sums;
    unsigned char* memory_again;  // columns in double precision, for each block that solves again
    std::int64_t bytes_again;
    std::int64_t *col_of_row, *row_of_col;
    T *row_dual, *col_dual;
    double* total;
    std::int32_t* status;
    std::int64_t* scans;
};

// One problem of a call, as it was given.
template <class T>
struct Given {
    std::int64_t rows, columns;
    bool is_whole;  // its lengths are some
    bool flips;     // is solved by its columns
    const T* cost;
    std::int64_t row_stride, column_stride;
    std::int64_t row_at, column_at, cost_at;

    __device__ T at(std::int64_t i, std::int64_t j) const { return cost[i * row_stride + j * column_stride]; }
};

template <class T>
__device__ Given<T> given(const Call<T>& call, std::int64_t p) {
    Given<T> out{};
    out.rows = call.row_lengths != nullptr ? call.row_lengths[p] : call.rows;
    out.columns = call.column_lengths != nullptr ? call.column_lengths[p] : call.columns;
    out.is_whole = out.rows >= 0 && out.rows <= call.rows && out.columns >= 0 && out.columns <= call.columns;
    if (!out.is_whole) out.rows = out.columns = 0;
    // The solver matches every row, so without a limit they must be the shorter side. With one, rows that are left over
    // would bring it into the prices, which would lose the digits of smaller costs.
    out.flips = out.rows > out.columns;
    out.cost = call.items != nullptr ? call.items[p] : call.data + p * call.item_stride;
    out.row_stride = call.items != nullptr ? out.columns : call.row_stride;
    out.column_stride = call.items != nullptr ? 1 : call.column_stride;
    out.row_at = call.row_at != nullptr ? call.row_at[p] : p * call.rows;
    out.column_at = call.column_at != nullptr ? call.column_at[p] : p * call.columns;
    out.cost_at = call.cost_at != nullptr ? call.cost_at[p] : p * call.rows * call.columns;
    return out;
}

// The problem as the solver has it, to be computed in V.
template <class V, class T>
__device__ Oriented<V, T> oriented(const Call<T>& call, const Given<T>& from) {
    const bool is_copied = call.copies_all || from.flips;
    const auto rows = static_cast<int>(from.flips ? from.columns : from.rows),
               columns = static_cast<int>(from.flips ? from.rows : from.columns);
    return {is_copied ? call.copy + from.cost_at : from.cost,
            is_copied ? columns : from.row_stride,
            rows,
            columns,
            static_cast<V>(call.sign),
            call.has_limit,
            static_cast<V>(call.limit)};
}

// Copies costs as the solver reads them: its columns side by side. Tile by tile, so that memory is read and written in
// whole lines whichever way the costs lie.
template <class T>
__global__ void __launch_bounds__(kCopyThreads) copy_costs(const Call<T> call, unsigned blocks_per_problem) {
    const Given<T> from = given(call, blockIdx.x / blocks_per_problem);
    if (!call.copies_all && !from.flips) return;
    T* const tile = shared_memory<T>();
    T* const out = call.copy + from.cost_at;
    const std::int64_t pitch = from.flips ? from.rows : from.columns;
    const bool reads_down = from.row_stride < from.column_stride;
    const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
    constexpr int kRows = static_cast<int>(kCopyThreads) / kTile;
    for (std::int64_t top = blockIdx.x % blocks_per_problem * kTile; top < from.rows;
         top += static_cast<std::int64_t>(blocks_per_problem) * kTile) {
        for (std::int64_t left = 0; left < from.columns; left += kTile) {
            for (int r = y; r < kTile; r += kRows) {
                const int i = reads_down ? x : r, j = reads_down ? r : x;
                if (top + i < from.rows && left + j < from.columns)
                    tile[i * (kTile + 1) + j] = from.at(top + i, left + j);
            }
            __syncthreads();
            for (int r = y; r < kTile; r += kRows) {
                const int i = from.flips ? x : r, j = from.flips ? r : x;
                if (top + i >= from.rows || left + j >= from.columns) continue;
                const std::int64_t a = from.flips ? left + j : top + i, b = from.flips ? top + i : left + j;
                out[a * pitch + b] = tile[i * (kTile + 1) + j];
            }
            __syncthreads();
        }
    }
}

// The side of a problem that results are written of.
template <class T>
struct Side {
    std::int64_t* partner;
    T* dual;
    std::int64_t count, room;
};

template <class T>
__device__ Side<T> chosen(bool first, const Side<T>& a, const Side<T>& b) {
    return {first ? a.partner : b.partner, first ? a.dual : b.dual, first ? a.count : b.count, first ? a.room : b.room};
}

// Writes partners and duals of one side; `partner_of(i)` is below 0 where there is none.
template <class T, class Team, class Partner, class Dual>
__device__ void write_side(const Team& team, const Side<T>& side, Partner&& partner_of, Dual&& dual_of) {
    for (std::int64_t i = team.rank(); i < side.room; i += team.size()) {
        std::int64_t partner = kFree;
        T dual = 0;
        if (i < side.count) {
            const int j = partner_of(static_cast<int>(i));
            partner = j >= 0 ? j : kFree;
            dual = dual_of(static_cast<int>(i), j);
        }
        side.partner[i] = partner;
        side.dual[i] = dual;
    }
}

// The sum of the pairs' costs in the order of the rows, by one warp: one value after the other, whoever has it.
template <class T>
__device__ double sum_of_pairs(const Given<T>& from, const int* col_of_row) {
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    double sum = 0;
    for (std::int64_t first = 0; first < from.rows; first += kWarp) {
        const std::int64_t i = first + lane;
        const int j = i < from.rows ? col_of_row[i] : kFree;
        const double cost = j >= 0 ? static_cast<double>(from.at(i, j)) : 0.0;
#pragma unroll 8
        for (int other = 0; other < static_cast<int>(kWarp); ++other) sum += __shfl_sync(kWholeWarp, cost, other);
    }
    return sum;
}

// Takes `moved` from the duals of the side that was solved, and adds it to the others.
template <class T, class Team, class V>
__device__ void write_results(const Call<T>& call, const Given<T>& from, std::int64_t p, const Team& team,
                              const Oriented<V, T>& problem, const RowMemory& rows, const ColumnMemory<V>& columns,
                              Status status, V moved) {
    // The results of a table lie side by side; otherwise there is room for the longest problem.
    const Side<T> row_side{call.col_of_row + from.row_at, call.row_dual + from.row_at, from.rows,
                           call.row_at != nullptr ? from.rows : call.rows};
    const Side<T> column_side{call.row_of_col + from.column_at, call.col_dual + from.column_at, from.columns,
                              call.column_at != nullptr ? from.columns : call.columns};
    double total = kNaN<double>;
    if (status != Status::ok && status != Status::precision_limit) {
        const auto nobody = [](int) { return kFree; };
        const auto nothing = [](int, int) { return kNaN<T>; };
        write_side<T>(team, row_side, nobody, nothing);
        write_side<T>(team, column_side, nobody, nothing);
    } else {
        // Not -0: a free column's dual is plain zero.
        const auto as_given = [&](V dual) { return static_cast<T>(problem.sign < 0 ? V(0) - dual : dual); };
        const auto row_dual = [&](int i, int j) {
            if (j < 0) return as_given(problem.limit - moved);
            const V dual = problem.at(i, j) - columns.price[j];
            // Rounding may lift it over the limit, where it would prove nothing.
            return as_given((problem.has_limit ? lesser(problem.limit, dual) : dual) - moved);
        };
        // Not by reference, which would move them to local memory.
        const Side<T> solved = chosen(from.flips, column_side, row_side),
                      other = chosen(from.flips, row_side, column_side);
        write_side<T>(team, solved, [&](int i) { return rows.col_of_row[i]; }, row_dual);
        write_side<T>(
            team, other, [&](int j) { return columns.row_of_col[j]; },
            [&](int j, int) { return as_given(columns.price[j] + moved); });
        if (threadIdx.x < kWarp) total = sum_of_pairs(from, from.flips ? columns.row_of_col : rows.col_of_row);
    }
    if (team.rank() == 0) {
        call.total[p] = total;
        call.status[p] = static_cast<std::int32_t>(status);
    }
}

// Each block solves one problem.
template <class T, class Team, class Columns>
__device__ void solve_one(const Call<T>& call) {
    const std::int64_t at = call.first + static_cast<std::int64_t>(blockIdx.x);
    const std::int64_t p = call.order != nullptr ? call.order[at] : at;
    const Given<T> from = given(call, p);
    unsigned char* const shared = shared_memory<unsigned char>();
    Team team(shared);
    const Oriented<T> problem = oriented<T>(call, from);
    const RowMemory rows{call.marks.col_of_row + from.row_at, call.marks.claims + from.row_at};
    // The longer side may be either: there is room for both.
    unsigned char* const memory = Columns::kInRegisters
                                      ? shared + Team::kSharedBytes
                                      : call.column_memory + (from.row_at + from.column_at) * kBytesPerColumn<T>;
    const auto columns = ColumnMemory<T>::within(memory, problem.columns, !Columns::kInRegisters);
    Status status = from.is_whole ? Status::ok : Status::invalid;
    int bids = 0, paths = 0;
    if (status == Status::ok) {
        Solver<T, Team, Columns> solver(problem, rows, columns, team);
        team.sync();
        status = solver.solve();
        bids = solver.bids();
        paths = solver.paths();
    }
    write_results(call, from, p, team, problem, rows, columns, status, T(0));
    if (call.scans != nullptr && team.rank() == 0) {
        call.scans[2 * p] = bids;
        call.scans[2 * p + 1] = paths;
    }
}

// So many blocks of a warp fit on a multiprocessor; where more columns are in registers, asking for any number of them
// would make the compiler spill a few.
template <class T, int kColumns>
__global__ void __launch_bounds__(kWarp, kColumns == 2 ? 24 : 1) assign_by_warp(const Call<T> call) {
    solve_one<T, WarpTeam<T>, RegisterColumns<T, WarpTeam<T>, kColumns>>(call);
}

template <class T>
__global__ void __launch_bounds__(kMostThreads, 1) assign_by_block(const Call<T> call) {
    solve_one<T, BlockTeam<T>, RegisterColumns<T, BlockTeam<T>, kBlockColumns<T>>>(call);
}

template <class T>
__global__ void __launch_bounds__(kMostThreads, 1) assign_by_memory(const Call<T> call) {
    solve_one<T, BlockTeam<T>, MemoryColumns<T, BlockTeam<T>>>(call);
}

// Each block checks one problem's total by the duals that the user gets.
template <class T>
__global__ void __launch_bounds__(kMostThreads, 2) prove_totals(const Call<T> call) {
    const std::int64_t p = blockIdx.x;
    if (call.status[p] != static_cast<std::int32_t>(Status::ok)) return;
    const Given<T> from = given(call, p);
    T *const row_dual = call.row_dual + from.row_at, *const col_dual = call.col_dual + from.column_at;
    const Certificate<T, T> certificate(oriented<double>(call, from), call.marks.col_of_row + from.row_at,
                                        from.flips ? row_dual : col_dual, static_cast<double>(call.sign),
                                        {call.sums.slack + from.row_at, call.sums.size + from.row_at});
    const Proof proof = certificate.prove(kTolerance<T>);
    if (threadIdx.x == 0 && proof != Proof::holds) call.status[p] = kUnproved;
    if (!call.has_limit || !from.flips) return;
    // The limit is in the rows' duals, whichever side was solved.
    const T limit = call.sign * call.limit;
    for (std::int64_t i = threadIdx.x; i < from.rows; i += blockDim.x) row_dual[i] += limit;
    for (std::int64_t j = threadIdx.x; j < from.columns; j += blockDim.x) col_dual[j] -= limit;
}

// Solves what is not proved in double precision, if the costs are float32; then with prices that only shortest paths
// have made. If neither leads to a proof, the status says so.
template <class T>
__global__ void __launch_bounds__(kMostThreads, 1) solve_again(const Call<T> call) {
    using Team = BlockTeam<double>;
    constexpr bool is_wide = sizeof(T) == sizeof(double);
    Team team(shared_memory<unsigned char>());
    for (std::int64_t p = blockIdx.x; p < call.count; p += gridDim.x) {
        if (call.status[p] != kUnproved) continue;
        const Given<T> from = given(call, p);
        const Oriented<double, T> problem = oriented<double>(call, from);
        const RowMemory rows{call.marks.col_of_row + from.row_at, call.marks.claims + from.row_at};
        const auto columns = ColumnMemory<double>::within(
            call.memory_again + static_cast<std::int64_t>(blockIdx.x) * call.bytes_again, problem.columns, true);
        const Certificate<T, double> certificate(problem, rows.col_of_row, columns.price, 1.0,
                                                 {call.sums.slack + from.row_at, call.sums.size + from.row_at});
        Status status = Status::ok;
        bool is_careful = is_wide;
        while (true) {
            Solver<double, Team, MemoryColumns<double, Team, T>> solver(problem, rows, columns, team);
            team.sync();
            status = solver.solve(is_careful);
            if (call.scans != nullptr && team.rank() == 0) {
                call.scans[2 * p] += solver.bids();
                call.scans[2 * p + 1] += solver.paths();
            }
            if (status != Status::ok) break;
            team.sync();
            const Proof proof = certificate.prove(kTolerance<T>);
            // In float64 no other way finds more digits of costs that a limit dwarfs.
            if (proof == Proof::holds || (is_wide && proof == Proof::holds_beside_limit)) break;
            status = Status::precision_limit;
            if (is_careful) break;
            is_careful = true;
        }
        write_results(call, from, p, team, problem, rows, columns, status,
                      call.has_limit && from.flips ? problem.limit : 0.0);
        team.sync();
    }
}

// Who solves a problem of so many columns. Few sizes, each a kernel or a launch of its own; a lane's columns are the
// instructions of a scan, so one is right for 300 columns and the others are apart by less than two.
template <class T>
AssignmentGroup team_for(std::int64_t columns, AssignmentTeam team) {
    constexpr int each = kBlockColumns<T>;
    if (team == AssignmentTeam::by_size) {
        for (const int lane : {2, 4, 7, 10, 16})
            if (columns <= lane * static_cast<int>(kWarp)) return {0, 0, static_cast<int>(kWarp), lane};
    }
    if (team != AssignmentTeam::block_by_memory) {
        for (const int threads : {64, 128, 256, 512})
            if (columns <= threads * each) return {0, 0, threads, each};
    }
    const std::int64_t threads = rounded_up((columns + each - 1) / each, kWarp);
    return {0, 0, static_cast<int>(std::clamp<std::int64_t>(threads, 2 * kWarp, kMostThreads)), 0};
}

std::int64_t rows_of(const AssignmentCall& call, std::int64_t p) {
    return call.host_rows != nullptr ? call.host_rows[p] : call.rows;
}
std::int64_t columns_of(const AssignmentCall& call, std::int64_t p) {
    return call.host_columns != nullptr ? call.host_columns[p] : call.columns;
}

std::int64_t solved_columns(const AssignmentCall& call, std::int64_t p) {
    return std::max(rows_of(call, p), columns_of(call, p));
}

// Elements of the results, and of a copy of the costs.
struct Room {
    std::int64_t rows = 0, columns = 0, costs = 0;
};
Room room_of(const AssignmentCall& call) {
    if (call.row_at == nullptr)
        return {call.count * call.rows, call.count * call.columns, call.count * call.rows * call.columns};
    Room room;
    for (std::int64_t p = 0; p < call.count; ++p) {
        room.rows += rows_of(call, p);
        room.columns += columns_of(call, p);
        room.costs += rows_of(call, p) * columns_of(call, p);
    }
    return room;
}

std::int64_t longest_side(const AssignmentCall& call) {
    if (call.host_rows == nullptr) return std::max(call.rows, call.columns);
    std::int64_t longest = 0;
    for (std::int64_t p = 0; p < call.count; ++p) longest = std::max(longest, solved_columns(call, p));
    return longest;
}
std::int64_t blocks_again(const AssignmentCall& call) {
    return std::min(call.count, kMostBlocksAgain);
}

template <class T>
void take_room(Arena& arena, const AssignmentCall& call, const AssignmentPlan& plan, Call<T>& out) {
    const Room room = room_of(call);
    out.marks = {arena.take<int>(room.rows), arena.take<int>(room.rows)};
    const bool in_memory = std::any_of(plan.groups.begin(), plan.groups.end(),
                                       [](const AssignmentGroup& group) { return group.columns == 0; });
    out.column_memory = arena.take<unsigned char>(in_memory ? (room.rows + room.columns) * kBytesPerColumn<T> : 0);
    out.copy = arena.take<T>(plan.copies ? room.costs : 0);
    out.sums = {arena.take<double>(room.rows), arena.take<double>(room.rows)};
    out.bytes_again = longest_side(call) * kBytesPerColumn<double>;
    out.memory_again = arena.take<unsigned char>(blocks_again(call) * out.bytes_again);
}

// The least T that is no less: a cost is below it if and only if it is below the limit. And a number, so that duals
// are.
template <class T>
T rounded_up_limit(double limit) {
    using Limits = std::numeric_limits<T>;
    if (limit >= static_cast<double>(Limits::max())) return Limits::max();
    const auto rounded = static_cast<T>(limit);
    return static_cast<double>(rounded) < limit ? std::nextafter(rounded, Limits::infinity()) : rounded;
}

template <class T>
void launch_group(Call<T> call, const AssignmentGroup& group, cudaStream_t stream) {
    const bool is_warp = group.threads == static_cast<int>(kWarp);
    const std::int64_t columns = static_cast<std::int64_t>(group.threads) * group.columns;
    const Grid grid{
        static_cast<unsigned>(group.last - group.first), static_cast<unsigned>(group.threads),
        (is_warp ? 0 : BlockTeam<T>::kSharedBytes) + static_cast<std::size_t>(ColumnMemory<T>::bytes(columns, false))};
    call.first = group.first;
    if (group.columns == 0) return launch(assign_by_memory<T>, grid, stream, call);
    if (!is_warp) return launch(assign_by_block<T>, grid, stream, call);
    switch (group.columns) {
        case 2:
            return launch(assign_by_warp<T, 2>, grid, stream, call);
        case 4:
            return launch(assign_by_warp<T, 4>, grid, stream, call);
        case 7:
            return launch(assign_by_warp<T, 7>, grid, stream, call);
        case 10:
            return launch(assign_by_warp<T, 10>, grid, stream, call);
        default:
            return launch(assign_by_warp<T, 16>, grid, stream, call);
    }
}

}  // namespace

template <class T>
AssignmentPlan plan_assignment(const AssignmentCall& call, AssignmentTeam team) {
    // A block for each, which a grid has to number.
    if (call.count > std::numeric_limits<std::int32_t>::max()) throw std::length_error("too many problems for a GPU");
    AssignmentPlan plan;
    const auto same = [](const AssignmentGroup& a, const AssignmentGroup& b) {
        return a.threads == b.threads && a.columns == b.columns;
    };
    if (call.host_rows == nullptr) {
        if (call.count > 0) plan.groups = {team_for<T>(solved_columns(call, 0), team)};
        for (AssignmentGroup& group : plan.groups) group.last = call.count;
    } else {
        // The GPU takes blocks in order, each as soon as there is room: largest first, none is left over at the end.
        const auto count = static_cast<std::size_t>(call.count);
        std::vector<AssignmentGroup> teams(count);
        for (std::size_t p = 0; p < count; ++p)
            teams[p] = team_for<T>(solved_columns(call, static_cast<std::int64_t>(p)), team);
        plan.order.resize(count);
        std::iota(plan.order.begin(), plan.order.end(), 0);
        const auto costs = [&](std::int64_t p) { return rows_of(call, p) * columns_of(call, p); };
        std::sort(plan.order.begin(), plan.order.end(), [&](std::int64_t a, std::int64_t b) {
            const AssignmentGroup &first = teams[static_cast<std::size_t>(a)],
                                  &second = teams[static_cast<std::size_t>(b)];
            if (first.threads != second.threads) return first.threads > second.threads;
            if (first.columns != second.columns) return first.columns > second.columns;
            return costs(a) != costs(b) ? costs(a) > costs(b) : a < b;
        });
        for (std::size_t at = 0; at < count; ++at) {
            const AssignmentGroup& mine = teams[static_cast<std::size_t>(plan.order[at])];
            if (plan.groups.empty() || !same(plan.groups.back(), mine)) {
                plan.groups.push_back(mine);
                plan.groups.back().first = static_cast<std::int64_t>(at);
            }
            plan.groups.back().last = static_cast<std::int64_t>(at) + 1;
        }
    }
    plan.copies_all = call.items == nullptr && call.column_stride != 1 && call.columns > 1;
    plan.copies = plan.copies_all;
    // Any problem may be tall if only the device knows the lengths.
    if (call.host_rows == nullptr) plan.copies |= call.rows > call.columns || call.row_lengths != nullptr;
    for (std::int64_t p = 0; call.host_rows != nullptr && p < call.count; ++p)
        plan.copies |= rows_of(call, p) > columns_of(call, p);
    Arena arena(nullptr);
    Call<T> room{};
    take_room(arena, call, plan, room);
    plan.workspace_bytes = arena.used();
    return plan;
}

template <class T>
void run_assignment(const AssignmentCall& host, const AssignmentPlan& plan, const std::int64_t* order, void* workspace,
                    cudaStream_t stream) {
    if (host.count == 0) return;
    Call<T> call{};
    call.count = host.count;
    call.data = static_cast<const T*>(host.data);
    call.items = static_cast<const T* const*>(static_cast<const void*>(host.items));
    call.rows = host.rows;
    call.columns = host.columns;
    call.item_stride = host.item_stride;
    call.row_stride = host.row_stride;
    call.column_stride = host.column_stride;
    call.row_lengths = host.row_lengths;
    call.column_lengths = host.column_lengths;
    call.row_at = host.row_at;
    call.column_at = host.column_at;
    call.cost_at = host.cost_at;
    call.copies_all = plan.copies_all;
    call.has_limit = host.has_limit;
    call.sign = host.maximize ? T(-1) : T(1);
    call.limit = rounded_up_limit<T>(static_cast<double>(call.sign) * host.limit);
    call.order = plan.order.empty() ? nullptr : order;
    call.col_of_row = host.col_of_row;
    call.row_of_col = host.row_of_col;
    call.row_dual = static_cast<T*>(host.row_dual);
    call.col_dual = static_cast<T*>(host.col_dual);
    call.total = host.total;
    call.status = host.status;
    call.scans = host.scans;
    Arena arena(workspace);
    take_room(arena, host, plan, call);
    if (plan.copies) {
        // One block for each 32 rows of a problem, but fewer if there are many long problems.
        const std::int64_t strips = (host.rows + kTile - 1) / kTile;
        const std::int64_t each =
            std::clamp<std::int64_t>((std::int64_t{1} << 24) / host.count, 1, std::max<std::int64_t>(strips, 1));
        launch(copy_costs<T>, {static_cast<unsigned>(host.count * each), kCopyThreads, kTile * (kTile + 1) * sizeof(T)},
               stream, call, static_cast<unsigned>(each));
    }
    for (const AssignmentGroup& group : plan.groups) launch_group(call, group, stream);
    const unsigned threads = longest_side(host) <= kMostThreads ? 4 * kWarp : kMostThreads;
    launch(prove_totals<T>, {static_cast<unsigned>(host.count), threads}, stream, call);
    launch(solve_again<T>, {static_cast<unsigned>(blocks_again(host)), threads, BlockTeam<double>::kSharedBytes},
           stream, call);
}

template AssignmentPlan plan_assignment<float>(const AssignmentCall&, AssignmentTeam);
template AssignmentPlan plan_assignment<double>(const AssignmentCall&, AssignmentTeam);
template void run_assignment<float>(const AssignmentCall&, const AssignmentPlan&, const std::int64_t*, void*,
                                    cudaStream_t);
template void run_assignment<double>(const AssignmentCall&, const AssignmentPlan&, const std::int64_t*, void*,
                                     cudaStream_t);

}  // namespace coalign::cuda
