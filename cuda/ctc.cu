#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "core/arena.hpp"
#include "core/launch.cuh"
#include "ctc.hpp"
#include "ctc_careful.cuh"
#include "ctc_problem.cuh"
#include "ctc_small_loss.cuh"
#include "ctc_walk.cuh"

namespace coalign::cuda {
namespace {

constexpr unsigned kThreads = 256;
// Frames of more symbols are read by a block each, others by a warp.
constexpr std::int64_t kMostByWarp = 1024;
constexpr std::int64_t kMostCarefulBlocks = 1024;

// A gradient needs to know where a symbol's labels lie in a text: those of one symbol go side by side, in their order.
// A label's place is how many go before it, so that no two threads wait for each other.
template <class T>
__global__ void __launch_bounds__(kThreads) take_texts(const Call<T> call) {
    const FrameTeam<true> team;
    const std::int64_t p = call.first + blockIdx.x;
    const bool valid = is_valid(call, p, team);
    if (team.rank() == 0) call.verdicts[p - call.first].way = valid ? Way::solved : Way::invalid;
    if (!valid || !call.wants_gradient) return;
    const std::int64_t labels = call.label_counts[p];
    const std::int64_t* const label = call.label_items[p];
    SortedLabel* const sorted = call.sorted + call.labels_before[p];
    for (std::int64_t i = team.rank(); i < labels; i += team.size()) {
        const std::int64_t symbol = label[i];
        std::int64_t place = 0;
        for (std::int64_t j = 0; j < labels; ++j) place += label[j] < symbol || (label[j] == symbol && j < i) ? 1 : 0;
        sorted[place] = {static_cast<int>(symbol), static_cast<int>(i)};
    }
}

// A warp or a block for each frame.
template <class T, bool kBlock>
__global__ void __launch_bounds__(kThreads) read_frames(const Call<T> call, std::int64_t blocks_each) {
    const Problem<T> of = problem_at(call, call.first + blockIdx.x / blocks_each);
    const std::int64_t at = blockIdx.x % blocks_each;
    const std::int64_t t = kBlock ? at : at * (kThreads / kWarp) + threadIdx.x / kWarp;
    if (t < of.frames)
        read_frame(of, t, FrameTeam<kBlock>(), call.is_logits,
                   !call.wants_gradient ? Fill::nothing
                   : call.has_softmax   ? Fill::softmax
                                        : Fill::zeros);
}

// With a gradient, every recording is walked along from both ends, by two
// blocks.
template <class T, int kPositions>
__global__ void __launch_bounds__(kMostWalkingWarps* kWarp) walk_frames(const Call<T> call) {
    const bool both = call.wants_gradient;
    const Problem<T> of = problem_at(call, call.first + (both ? blockIdx.x / 2 : blockIdx.x));
    if (of.positions() > call.most_positions || of.frames == 0) return;
    // A warp beyond the text takes no part in any barrier.
    const int warps = static_cast<int>(of.labels) / (static_cast<int>(kWarp) * kPositions) + 1;
    if (static_cast<int>(threadIdx.x / kWarp) >= warps) return;
    if (both && blockIdx.x % 2 != 0) walk<T, kPositions, true>(of, warps, true);
    else walk<T, kPositions, false>(of, warps, both);
}

// A float32 loss below this is computed again in float64: see
// csrc/ctc/posteriors.cpp.
__device__ inline double least_certain_loss(std::int64_t frames) {
    constexpr double rounding = static_cast<double>(kEpsilon<float>) / 2;
    return 8 * rounding * sqrt(static_cast<double>(frames)) / 1e-5;
}

// A warp for each problem says what becomes of it.
template <class T>
__global__ void __launch_bounds__(kThreads) judge(const Call<T> call) {
    const FrameTeam<false> team;
    const std::int64_t p =
        call.first + static_cast<std::int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
    if (p >= call.last) return;
    const Problem<T> of = problem_at(call, p);
    double log_sums = 0;
    unsigned marks = 0;
    int repeats = 0;
    for (std::int64_t t = team.rank(); t < of.frames; t += team.size()) {
        log_sums += of.record[t].log_sum;
        marks |= of.record[t].marks;
    }
    for (std::int64_t i = team.rank() + 1; i < of.labels; i += team.size())
        repeats += of.label[i] == of.label[i - 1] ? 1 : 0;
    log_sums = team.sum(log_sums);
    marks = static_cast<unsigned>(team.join(static_cast<int>(marks), [](int a, int b) { return a | b; }));
    repeats = team.sum(repeats);
    if (team.rank() != 0) return;
    double loss = 0;
    Way way = Way::solved;
    Status status = Status::ok;
    if (of.verdict->way == Way::invalid) {
        way = Way::invalid;
        status = Status::invalid;
        loss = kNaN<double>;
    } else if ((marks & kBad) != 0) {
        way = Way::bad;
        status = Status::nan;
        loss = kNaN<double>;
    } else if (of.frames < of.labels + repeats) {
        way = Way::impossible;
        status = Status::infeasible;
        loss = kInfinity<double>;
    } else if (of.frames > 0) {
        if ((marks & kTooLarge) != 0 || of.positions() > call.most_positions || !find_total(of, marks, loss)) {
            way = Way::careful;
        } else {
            loss += log_sums;
            const bool is_certain = sizeof(T) == sizeof(double) || fabs(loss) >= least_certain_loss(of.frames);
            if (!is_certain) way = Way::careful_loss;
        }
    }
    of.verdict->way = way;
    put_loss(call, p, loss, status);
}

template <class T>
__device__ T occupancy(const Problem<T>& of, const Verdict<T>& verdict, std::int64_t cell) {
    const Extended<T> a = of.alpha[cell], b = of.beta[cell];
    const std::int64_t exponent = std::int64_t{a.exponent} + b.exponent - verdict.total_exponent;
    const T mantissa = a.mantissa * b.mantissa * verdict.inverse_total;
    return exponent < -2000 ? T(0) : mantissa * power_of_two<T>(static_cast<int>(exponent));
}

// A warp for each row of the gradient: less the occupancies, or what else it
// holds.
template <class T>
__global__ void __launch_bounds__(kThreads) finish_gradient(const Call<T> call, std::int64_t blocks_each) {
    const FrameTeam<false> team;
    const std::int64_t p = call.first + blockIdx.x / blocks_each;
    const Problem<T> of = problem_at(call, p);
    const std::int64_t t = blockIdx.x % blocks_each * (kThreads / kWarp) + threadIdx.x / kWarp;
    // The items of a list have their lengths from the host.
    if (t >= (call.gradient_items != nullptr ? call.frame_counts[p] : call.gradient_rows)) return;
    T* const out = of.gradient_row(t);
    const Verdict<T> verdict = *of.verdict;
    const bool is_unknown = verdict.way == Way::invalid || (verdict.way == Way::bad && t < of.frames);
    if (is_unknown || t >= of.frames || verdict.way == Way::impossible) {
        const T value = is_unknown ? kNaN<T> : T(0);
        for (std::int64_t c = team.rank(); c < of.columns; c += team.size()) out[c] = value;
        return;
    }
    if (verdict.way == Way::careful) return;
    const std::int64_t row = t * of.positions();
    T total = 0;
    // The first of a symbol's labels adds up all of them.
    for (std::int64_t k = team.rank(); k < of.labels; k += team.size()) {
        const int symbol = of.sorted[k].symbol;
        if (k > 0 && of.sorted[k - 1].symbol == symbol) continue;
        T sum = 0;
        for (std::int64_t j = k; j < of.labels && of.sorted[j].symbol == symbol; ++j)
            sum += occupancy(of, verdict, row + of.sorted[j].position);
        out[symbol] -= of.weight * sum;
        total += sum;
    }
    total = team.sum(total);
    if (team.rank() == 0) out[of.blank] -= of.weight * greater(T(0), 1 - total);
}

// A warp adds up the losses of all problems.
template <class T>
__global__ void __launch_bounds__(kWarp) reduce_losses(const Call<T> call, T* out) {
    const FrameTeam<false> team;
    double sum = 0;
    for (std::int64_t p = team.rank(); p < call.count; p += team.size())
        sum += static_cast<double>(call.loss[p]) * (call.divides ? share_of(call.label_counts[p]) : 1);
    sum = team.sum(sum);
    if (team.rank() == 0) *out = static_cast<T>(call.divides ? sum / static_cast<double>(call.count) : sum);
}

// What the launches of a call need, of which each takes the same memory.
template <class T>
void take_room(Arena& arena, const CtcCall& call, const CtcPlan& plan, Call<T>& out) {
    CtcLaunch most;
    std::int64_t problems = 0;
    for (const CtcLaunch& launch : plan.launches) {
        most.frames = std::max(most.frames, launch.frames);
        most.cells = std::max(most.cells, launch.cells);
        most.labels = std::max(most.labels, launch.labels);
        problems = std::max(problems, launch.last - launch.first);
    }
    out.loss = call.reduction == Reduction::none ? static_cast<T*>(call.loss) : arena.take<T>(call.count);
    out.records = arena.take<FrameRecord>(most.frames);
    out.cells = arena.take<Extended<T>>(most.cells * rooms_of<T>(call.wants_gradient()));
    out.sorted = arena.take<SortedLabel>(call.wants_gradient() ? most.labels : 0);
    out.verdicts = arena.take<Verdict<T>>(problems);
}

template <class T>
void launch_walk(const Call<T>& call, const CtcPlan& plan, std::int64_t problems, cudaStream_t stream) {
    const Grid grid{static_cast<unsigned>(problems * (call.wants_gradient ? 2 : 1)),
                    static_cast<unsigned>(plan.warps) * kWarp,
                    plan.warps > 1 ? 2 * static_cast<std::size_t>(plan.warps) * sizeof(Extended<T>) : 0};
    switch (plan.positions) {
        case 1:
            return launch(walk_frames<T, 1>, grid, stream, call);
        case 2:
            return launch(walk_frames<T, 2>, grid, stream, call);
        case 4:
            return launch(walk_frames<T, 4>, grid, stream, call);
        default:
            return launch(walk_frames<T, 8>, grid, stream, call);
    }
}

constexpr std::int64_t kRowsPerBlock = kThreads / kWarp;

std::int64_t in_blocks(std::int64_t rows) {
    return std::max<std::int64_t>((rows + kRowsPerBlock - 1) / kRowsPerBlock, 1);
}

template <class T>
void launch_problems(const Call<T>& call, const CtcPlan& plan, const CtcLaunch& part, cudaStream_t stream) {
    const std::int64_t problems = part.last - part.first;
    const auto grid = [&](std::int64_t blocks, std::size_t shared = 0) {
        return Grid{static_cast<unsigned>(blocks), kThreads, shared};
    };
    launch(take_texts<T>, grid(problems, FrameTeam<true>::kSharedBytes), stream, call);
    if (part.rows > 0) {
        if (call.frames.columns > kMostByWarp)
            launch(read_frames<T, true>, grid(problems * part.rows, FrameTeam<true>::kSharedBytes), stream, call,
                   part.rows);
        else launch(read_frames<T, false>, grid(problems * in_blocks(part.rows)), stream, call, in_blocks(part.rows));
        launch_walk(call, plan, problems, stream);
    }
    launch(judge<T>, grid(in_blocks(problems)), stream, call);
    const std::int64_t rows = call.gradient_items != nullptr ? part.rows : call.gradient_rows;
    if (call.wants_gradient && rows > 0)
        launch(finish_gradient<T>, grid(problems * in_blocks(rows)), stream, call, in_blocks(rows));
    launch(solve_carefully<T>, grid(std::min(problems, kMostCarefulBlocks), kSmallLossSharedBytes), stream, call);
}

}  // namespace

template <class T>
CtcPlan plan_ctc(const CtcCall& call, const CtcLimits& limits) {
    CtcPlan plan;
    const auto count = static_cast<std::size_t>(call.count);
    plan.offsets.resize(3 * count);
    const std::int64_t most_rows = call.gradient_items != nullptr ? 0 : call.gradient_rows;
    std::int64_t most_positions = 1;
    CtcLaunch part;
    for (std::int64_t p = 0; p < call.count; ++p) {
        const std::int64_t frames = call.host_frame_counts[p], labels = call.host_label_counts[p];
        const std::int64_t cells = cells_of(frames, labels);
        const std::int64_t rows = std::max({part.rows, frames, most_rows, std::int64_t{1}});
        const auto bytes = static_cast<double>(part.cells + cells) *
                           static_cast<double>(rooms_of<T>(call.wants_gradient())) *
                           static_cast<double>(sizeof(Extended<T>));
        const double blocks = static_cast<double>(p + 1 - part.first) * static_cast<double>(rows);
        const bool is_full = bytes > static_cast<double>(limits.workspace_bytes) ||
                             blocks > static_cast<double>(std::numeric_limits<std::int32_t>::max());
        if (is_full && p > part.first) {
            plan.launches.push_back(part);
            part = {p, p, 0, 0, 0, 0};
        }
        plan.offsets[static_cast<std::size_t>(p)] = part.frames;
        plan.offsets[count + static_cast<std::size_t>(p)] = part.cells;
        plan.offsets[2 * count + static_cast<std::size_t>(p)] = part.labels;
        part = {part.first,          p + 1, std::max(part.rows, frames), part.frames + frames, part.cells + cells,
                part.labels + labels};
        if (labels + 1 <= limits.most_positions) most_positions = std::max(most_positions, labels + 1);
    }
    if (part.last > part.first) plan.launches.push_back(part);
    // One warp up to 64 positions. Beyond that two positions a thread, until the
    // block is full: by count a step of two and a barrier take less than one of
    // four.
    constexpr std::int64_t warp = kWarp;
    if (most_positions > warp) plan.positions = 2;
    while (plan.positions * warp * limits.most_warps < most_positions) plan.positions *= 2;
    plan.warps = static_cast<int>((most_positions - 1) / (plan.positions * warp)) + 1;
    Arena arena(nullptr);
    Call<T> room{};
    take_room(arena, call, plan, room);
    plan.workspace_bytes = arena.used();
    return plan;
}

template <class T>
void run_ctc(const CtcCall& host, const CtcLimits& limits, const CtcPlan& plan, const std::int64_t* offsets,
             void* workspace, cudaStream_t stream) {
    Call<T> call{};
    static_cast<CtcBatch&>(call) = host;
    call.is_logits = host.input == ctc::Input::logits;
    call.wants_occupancy = host.wants_occupancy;
    call.has_softmax = call.is_logits && !call.wants_occupancy;
    call.zero_infinity = host.zero_infinity;
    call.divides = host.reduction == Reduction::mean;
    call.most_positions = limits.most_positions;
    call.status = host.status;
    call.wants_gradient = host.wants_gradient();
    call.gradient = static_cast<T*>(host.gradient);
    call.gradient_items = static_cast<T* const*>(static_cast<const void*>(host.gradient_items));
    call.gradient_rows = host.gradient_rows;
    call.gradient_item_stride = host.gradient_item_stride;
    call.gradient_row_stride = host.gradient_row_stride;
    call.frames_before = offsets;
    call.cells_before = offsets + host.count;
    call.labels_before = offsets + 2 * host.count;
    Arena arena(workspace);
    take_room(arena, host, plan, call);
    for (const CtcLaunch& part : plan.launches) {
        call.first = part.first;
        call.last = part.last;
        launch_problems(call, plan, part, stream);
    }
    if (host.reduction != Reduction::none)
        launch(reduce_losses<T>, {1, kWarp}, stream, call, static_cast<T*>(host.loss));
}

template CtcPlan plan_ctc<float>(const CtcCall&, const CtcLimits&);
template CtcPlan plan_ctc<double>(const CtcCall&, const CtcLimits&);
template void run_ctc<float>(const CtcCall&, const CtcLimits&, const CtcPlan&, const std::int64_t*, void*,
                             cudaStream_t);
template void run_ctc<double>(const CtcCall&, const CtcLimits&, const CtcPlan&, const std::int64_t*, void*,
                              cudaStream_t);

}  // namespace coalign::cuda
