// Dynamic time warping of batches on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>

#include "core/ragged.hpp"
#include "warping/problem.hpp"

struct CUstream_st;

namespace coalign::cuda {

using warping::Metric;
using warping::Window;

// Step patterns by their names; symmetricP0 is symmetric2.
enum class Steps { symmetric1, symmetric2, symmetricP05, symmetricP1, symmetricP2 };

// Every pointer below is to device memory but where it says host, every stride in elements.

// One side: a batch of series, whose rows are frames. The items of a table are contiguous.
struct SeriesArray : Ragged {
    const std::int64_t* order = nullptr;  // all pairs: which item comes when; null: as they lie
    // Out: the first element (frame * dim + dimension) of each item that is not finite, or the largest integer.
    std::uint64_t* bad = nullptr;
};

struct WarpingCall {
    Metric metric = Metric::sqeuclidean;
    Steps steps = Steps::symmetric1;  // others have no paths
    std::int64_t dim = 1;
    SeriesArray x, y;
    bool all_pairs = false, symmetric = false;
    const std::int64_t* order = nullptr;  // pairs: which comes when
    Window::Kind window = Window::Kind::none;
    std::int64_t radius = 0;
    // Kind rows: [start, stop) of each row, neither ever stepping back; the same on the device and on the host.
    const std::int32_t* rows = nullptr;
    const std::int32_t* host_rows = nullptr;
    double max_cost = 0;

    // Out. All pairs: (x.count, y.count) with this row stride, and no status. Pairs: one each.
    void* cost = nullptr;
    std::int64_t cost_stride = 0;
    std::int32_t* status = nullptr;
    // With a path: (pairs, x.rows + y.rows - 1), -1 past the length.
    std::int64_t* x_index = nullptr;
    std::int64_t* y_index = nullptr;
    std::int64_t* path_length = nullptr;

    std::int64_t pairs() const;
};

// How a call is cut: how many lanes share a pair, each with how many columns, and how many pairs go at a time.
struct WarpingPlan {
    int columns = 0, lanes = 0;
    std::int64_t steps = 0;  // of a lane, at most
    std::int64_t pairs_per_launch = 0;
    std::int64_t workspace_bytes = 0;
};

// What a plan goes by besides the call.
struct WarpingLimits {
    int multiprocessors = 1;
    std::int64_t workspace_bytes = 0;  // that the call may take, if it can do with so little
    int columns = 0, lanes = 0;        // forced, unless 0
    // Of one launch: at 32 lanes a pair, half as many blocks of two warps, which a grid can number.
    std::int64_t most_pairs = std::int64_t{1} << 31;
};

// Throws std::length_error for series so long that their steps cannot be counted.
template <class T>
WarpingPlan plan_warping(const WarpingCall& call, const WarpingLimits& limits);

// Queues the call on the stream.
template <class T>
void run_warping(const WarpingCall& call, const WarpingPlan& plan, void* workspace, CUstream_st* stream);

}  // namespace coalign::cuda
