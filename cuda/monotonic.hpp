// Monotonic alignment of batches on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>

#include "core/ragged.hpp"

struct CUstream_st;

namespace coalign::cuda {

// Every pointer below is to device memory but where it says host, every stride and offset in elements.
// The batch of scores: rows are tokens, columns are frames. The items of a table are contiguous.
struct MonotonicCall : Ragged {
    // The lengths on the host, where they are known there.
    const std::int64_t *host_rows = nullptr, *host_columns = nullptr;
    // Of items: where a problem's tokens begin in the results, and its frames.
    const std::int64_t *row_at = nullptr, *column_at = nullptr;

    // Out: (count, rows) and (count, columns), or side by side. Where there is no path durations are 0 and tokens -1.
    std::int64_t *durations = nullptr, *token_of_frame = nullptr;
    double* total = nullptr;
    std::int32_t* status = nullptr;
};

struct MonotonicPlan {
    std::int64_t problems_per_launch = 0;
    // Of one problem, at most: sums between strips, and words of directions.
    std::int64_t sums = 0, words = 0;
    std::int64_t workspace_bytes = 0;
};

// `workspace_bytes` is what the call may take, if it can do with so little: one problem goes in any case.
MonotonicPlan plan_monotonic(const MonotonicCall& call, std::int64_t workspace_bytes);

// Queues the call on the stream.
template <class T>
void run_monotonic(const MonotonicCall& call, const MonotonicPlan& plan, void* workspace, CUstream_st* stream);

}  // namespace coalign::cuda
