// The words that all operations on frames and labels share.
#pragma once

#include <cstdint>

#include "core/ragged.hpp"

namespace coalign::ctc {

// What the values of a frame are: logits, whose softmax is the distribution of the frame, or scores in the log domain,
// taken as they are.
enum class Input { logits, log_probs };

struct Labels {
    const std::int64_t* at;
    std::int64_t length;
};

// Recordings and their texts. A recording is T frames (rows) of C values (columns); -inf is probability zero. A text is
// a series of labels in [0, C), none of them the blank.
struct Batch {
    Ragged frames;
    Ragged targets;
    std::int64_t blank = 0;
    Input input = Input::logits;

    std::int64_t count() const { return frames.count; }
    Labels labels(std::int64_t p) const { return {targets.begin_of<std::int64_t>(p), targets.rows_of(p)}; }
};

}  // namespace coalign::ctc
