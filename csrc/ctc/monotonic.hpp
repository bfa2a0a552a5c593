// Monotonic alignment search: the best way to give every token of a text a run of frames, in order.
#pragma once

#include <cstdint>
#include <vector>

#include "core/batch_run.hpp"
#include "core/ragged.hpp"
#include "core/status.hpp"
#include "ctc/monotonic_kernels.hpp"

namespace coalign::ctc {

// As many tokens or frames as the other operations take rows or columns.
inline constexpr std::int64_t kMostAligned = (std::int64_t{1} << 31) - (1 << 16);

// Below this many scores a thread does not repay its start.
inline constexpr double kMonotonicWorkPerThread = 1e5;

// What is written of one problem of N tokens (rows) and T frames (columns).
struct Monotonic {
    std::int64_t* durations;           // N, which sum to T
    std::int64_t* token_of_frame;      // T
    double* total;                     // sum of the scores on the path, frame by frame
    Status status = Status::ok;        // infeasible; nan: a score is NaN or +inf; precision_limit: the sum overflows
    std::int64_t row = 0, column = 0;  // with nan, the first such score that a path could meet
};

// Of equal paths it takes the one on which the last token that differs begins earlier. Durations are 0 and tokens -1
// where the status is neither ok nor precision_limit.
template <class T>
Run align_monotonically(const MonotonicKernels<T>& kernels, const Ragged& scores, int threads, double work_per_thread,
                        Pulse& pulse, std::vector<Monotonic>& results);

}  // namespace coalign::ctc
