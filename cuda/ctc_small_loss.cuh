// float32 losses so small that their digits need float64: the quick way once
// more, in float64, by a block for each.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "ctc_problem.cuh"
#include "ctc_walk.cuh"

namespace coalign::cuda {

inline constexpr unsigned kSmallLossThreads = 256;
inline constexpr std::size_t kSmallLossSharedBytes = FrameTeam<true>::kSharedBytes + sizeof(Verdict<double>);
static_assert(2 * kSmallLossThreads / kWarp * sizeof(Extended<double>) <= FrameTeam<true>::kSharedBytes);

// Puts the loss, and returns whether that is proved. Its room is that of the
// problem's cells, which nothing else needs any more.
template <class T>
__device__ bool find_small_loss(const Call<T>& call, std::int64_t p) {
    constexpr int warps = static_cast<int>(kSmallLossThreads / kWarp);
    const Problem<T> given = problem_at(call, p);
    Problem<double, T> of{};
    of.frames = given.frames;
    of.labels = given.labels;
    of.columns = given.columns;
    of.blank = given.blank;
    of.x = given.x;
    of.row_stride = given.row_stride;
    of.column_stride = given.column_stride;
    of.label = given.label;
    of.record = given.record;
    of.verdict = reinterpret_cast<Verdict<double>*>(shared_memory<unsigned char>() + FrameTeam<true>::kSharedBytes);
    of.emission = reinterpret_cast<Extended<double>*>(given.emission);
    for (std::int64_t t = threadIdx.x / kWarp; t < of.frames; t += warps)
        read_frame(of, t, FrameTeam<false>(), call.is_logits, Fill::nothing);
    __syncthreads();
    // One warp needs no barriers. Which way a text goes depends on its length
    // alone.
    const bool is_first = threadIdx.x < kWarp;
    const std::int64_t each = (of.positions() + kSmallLossThreads - 1) / kSmallLossThreads;
    if (of.positions() <= kWarp) {
        if (is_first) walk<double, 1, false>(of, 1, false);
    } else if (of.positions() <= 2 * kWarp) {
        if (is_first) walk<double, 2, false>(of, 1, false);
    } else if (each <= 1) {
        walk<double, 1, false>(of, warps, false);
    } else if (each <= 2) {
        walk<double, 2, false>(of, warps, false);
    } else if (each <= 4) {
        walk<double, 4, false>(of, warps, false);
    } else if (each <= 8) {
        walk<double, 8, false>(of, warps, false);
    } else {
        return false;
    }
    __syncthreads();
    const FrameTeam<true> team;
    double log_sums = 0;
    int marks = 0;
    for (std::int64_t t = team.rank(); t < of.frames; t += team.size()) {
        log_sums += of.record[t].log_sum;
        marks |= static_cast<int>(of.record[t].marks);
    }
    log_sums = team.sum(log_sums);
    marks = team.join(marks, [](int a, int b) { return a | b; });
    double loss = 0;
    int proved = 0;
    if (team.rank() == 0 && find_total(of, static_cast<unsigned>(marks), loss)) {
        put_loss(call, p, loss + log_sums, Status::ok);
        proved = -1;
    }
    return team.least(proved) != 0;
}

}  // namespace coalign::cuda
