// What greedy decoding asks of lanes, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::ctc {

// A driver hands over no more frames than this at once, whole vectors of every set.
inline constexpr std::int64_t kGreedyFrames = 64;

template <class T>
struct GreedyFrames {
    const T* values;  // `columns` of a frame side by side
    std::int64_t count, columns, row_stride;
    bool is_logits;
    // Of each frame: the log-score of its best symbol, and that symbol, the first of several. Room for kGreedyFrames.
    T* score;
    std::int64_t* symbol;
};

template <class T>
struct GreedyKernels {
    Isa isa;
    // Returns how many frames it has read: fewer than `count` where one holds NaN or +inf.
    std::int64_t (*pick)(const GreedyFrames<T>& frames);
};

}  // namespace coalign::ctc
