// The loss of texts given recordings, and its gradient, of batches on a GPU; no
// header of CUDA is needed to include this.
#pragma once

#include <cstdint>
#include <vector>

#include "ctc_batch.hpp"

struct CUstream_st;

namespace coalign::cuda {

enum class Reduction { none, sum, mean };

// Strides are in elements.
struct CtcCall : CtcBatch {
    Reduction reduction = Reduction::none;
    bool zero_infinity = false;
    bool wants_occupancy = false;  // in the place of the gradient, and without reduction

    // Out. One loss each, or the reduced one, and a status each: NAN where a
    // value that is read is NaN or +inf.
    void* loss = nullptr;
    std::int32_t* status = nullptr;
    // Out, unless neither is given: the gradient, with rows of unit stride. Each
    // problem has `gradient_rows` of them, of which those past its frames are set
    // to 0, or an item of its own with a row for each frame. It is NaN where the
    // status is INVALID, and in the frames of a problem where it is NAN.
    void* gradient = nullptr;
    void* const* gradient_items = nullptr;
    std::int64_t gradient_rows = 0, gradient_item_stride = 0, gradient_row_stride = 0;

    bool wants_gradient() const { return gradient != nullptr || gradient_items != nullptr; }
};

// Problems that go at a time.
struct CtcLaunch {
    std::int64_t first = 0, last = 0;
    std::int64_t rows = 0;  // of a recording, at most
    std::int64_t frames = 0, cells = 0, labels = 0;
};

struct CtcPlan {
    std::vector<CtcLaunch> launches;
    // Of every problem, how many frames, cells and labels its launch has before
    // it: three tables.
    std::vector<std::int64_t> offsets;
    int warps = 1, positions = 1;  // that walk along a recording, and that each of
                                   // their threads holds
    std::int64_t workspace_bytes = 0;
};

// Of a block that walks along a recording.
inline constexpr int kMostWalkingWarps = 16;

struct CtcLimits {
    // That the call may take, if it can do with so little.
    std::int64_t workspace_bytes = std::int64_t{1} << 30;
    // Texts of more positions than a block holds take the careful way.
    std::int64_t most_positions = 4096;
    int most_warps = kMostWalkingWarps;
};

// Throws std::length_error for more frames than a grid can number.
template <class T>
CtcPlan plan_ctc(const CtcCall& call, const CtcLimits& limits);

// Queues the call on the stream; `offsets` are the plan's.
template <class T>
void run_ctc(const CtcCall& call, const CtcLimits& limits, const CtcPlan& plan, const std::int64_t* offsets,
             void* workspace, CUstream_st* stream);

}  // namespace coalign::cuda
