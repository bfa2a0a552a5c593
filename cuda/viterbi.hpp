// Forced alignment of batches on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>

#include "ctc_batch.hpp"

struct CUstream_st;

namespace coalign::cuda {

// Every pointer is to device memory.
struct ViterbiCall : CtcBatch {
    // A label outside of [0, C) that stands for any symbols but the blank.
    bool has_wildcard = false;
    std::int64_t wildcard = 0;
    // Frames before, or after, the text may be anything.
    bool open_begin = false, open_end = false;
    // Of every problem, where its frames and its labels begin in the results. Each problem has room for so many at
    // least; past its own, or where it has no path, indices are -1 and values 0.
    const std::int64_t *frame_at = nullptr, *label_at = nullptr;
    std::int64_t frame_room = 0, label_room = 0;

    // Out: of frames, of labels, and of problems.
    std::int64_t* symbols = nullptr;
    void* frame_scores = nullptr;
    std::int64_t *starts = nullptr, *stops = nullptr;
    void *token_scores = nullptr, *confidence = nullptr;
    double* total = nullptr;
    std::int32_t* status = nullptr;
};

struct ViterbiPlan {
    std::int64_t problems_per_launch = 0;
    // Of one problem, at most: frames, groups of 32 labels, frames whose directions are kept at a time, checkpoints.
    std::int64_t rows = 0, groups = 0, piece = 0, checkpoints = 0;
    unsigned warps = 0;
    bool is_shared = false;  // whether the scores of a frame lie in shared memory
    std::int64_t workspace_bytes = 0;
};

struct ViterbiLimits {
    // That the call may take, if it can do with so little. Where it cannot keep the directions of all problems at once,
    // every lattice is gone through twice: for checkpoints, then piece by piece along the path. One problem goes in any
    // case.
    std::int64_t workspace_bytes = std::int64_t{1} << 30;
    // Groups whose scores fit into the shared memory that every GPU gives, of 48 KiB.
    std::int64_t shared_groups = 92;
    unsigned warps = 8;
};

ViterbiPlan plan_viterbi(const ViterbiCall& call, const ViterbiLimits& limits);

// Queues the call on the stream.
template <class T>
void run_viterbi(const ViterbiCall& call, const ViterbiPlan& plan, void* workspace, CUstream_st* stream);

}  // namespace coalign::cuda
