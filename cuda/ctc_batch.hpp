// The recordings and texts of a call on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>

#include "core/ragged.hpp"
#include "ctc/problem.hpp"

namespace coalign::cuda {

// Every pointer is to device memory but where it says host.
struct CtcBatch {
    std::int64_t count = 0;  // problems
    // One recording each, or one for all. The items of a table are contiguous. Its own lengths are not read.
    Ragged frames;
    // Of every problem, its frames and its labels: those of the host are at least those of the device. A problem with
    // more frames than `frames.rows`, more labels than `most_labels`, fewer than none of either, or a label that is the
    // blank or outside [0, columns) has the status INVALID.
    const std::int64_t *frame_counts = nullptr, *label_counts = nullptr;
    const std::int64_t *host_frame_counts = nullptr, *host_label_counts = nullptr;
    std::int64_t most_labels = 0;
    const std::int64_t* const* label_items = nullptr;  // the labels of every problem
    std::int64_t blank = 0;
    ctc::Input input = ctc::Input::logits;
};

}  // namespace coalign::cuda
