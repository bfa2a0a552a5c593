// Soft-DTW of pairs of series on a GPU, and its gradients; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>

#include "warping.hpp"

namespace coalign::cuda {

// Local costs are squared Euclidean. Pointers are to device memory but where it says host, strides in elements.
struct SoftWarpingCall {
    std::int64_t dim = 1;
    SeriesArray x, y;
    double gamma = 1;
    const std::int64_t* order = nullptr;  // pairs: which comes when
    Window::Kind window = Window::Kind::none;
    std::int64_t radius = 0;
    // Kind rows: [start, stop) of each row, neither ever stepping back.
    const std::int32_t* rows = nullptr;

    // Out: one each. A value is NaN beside a bad series, and inf where there is no path, or where it is beyond its
    // dtype.
    void* value = nullptr;
    std::int32_t* status = nullptr;
    // Out, unless both are null: the gradients, NaN or 0 where there is no value. A pair has x.rows and y.rows frames,
    // of which those past its lengths are set to 0; or, in a list, as many as its series, beginning where `x_at` and
    // `y_at` say, counted in frames.
    void *grad_x = nullptr, *grad_y = nullptr;
    const std::int64_t *x_at = nullptr, *y_at = nullptr;

    std::int64_t pairs() const;
};

// How a call is cut: tiles of so many strips of 128 rows, of so many pairs, are kept at once, and computed by the warps
// of so many blocks. Others solve again in float64, one pair each, what could not be counted.
struct SoftWarpingPlan {
    int strips = 1;
    std::int64_t slots = 1, blocks = 1;
    int careful_warps = 1;
    std::int64_t careful_blocks = 1;
    std::int64_t workspace_bytes = 0;
};

// What a plan goes by besides the call.
struct SoftWarpingLimits {
    int multiprocessors = 1;
    std::int64_t workspace_bytes = 0;  // that the call may take, if it can do with so little
    int strips = 0;                    // forced, unless 0
};

template <class T>
SoftWarpingPlan plan_soft_warping(const SoftWarpingCall& call, const SoftWarpingLimits& limits);

// Queues the call on the stream.
template <class T>
void run_soft_warping(const SoftWarpingCall& call, const SoftWarpingPlan& plan, void* workspace, CUstream_st* stream);

}  // namespace coalign::cuda
