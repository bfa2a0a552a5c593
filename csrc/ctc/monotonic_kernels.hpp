// What monotonic alignment asks of lanes, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::ctc {

// Tokens are taken so many at a time, and each frame keeps a bit for each of them.
inline constexpr int kStrip = 16;
using StripBits = std::uint16_t;
// Frames that are turned at a time.
inline constexpr std::int64_t kTile = 16;

// Tokens that follow one another, over the frames at which they can be. Frames are counted from the first at which the
// first of these tokens can be, and each token can be at slack + 1 of them: token l at frames l to l + slack.
template <class T>
struct Strip {
    const T* score;  // of the first token at its first frame; no other than those named above are read
    std::int64_t token_stride, frame_stride;
    std::int64_t tokens;  // up to kStrip
    std::int64_t slack;
    // At f: the best sum up to the frame before f with the token before this strip there. Frame f writes the same for
    // the next strip, kStrip - 1 places before: there is that much room on either side of the slack + 1 that count.
    double* before;
    StripBits* moved;  // at f: bit l is set where token l is best reached from the token before it
    double* best;      // kStrip of them: the best sums with each token at the last frame that was taken
};

template <class T>
struct MonotonicKernels {
    Isa isa;
    // Takes the frames [from, to) of a strip, from a multiple of kTile on; false where a score was NaN or +inf.
    bool (*advance)(const Strip<T>& strip, std::int64_t from, std::int64_t to);
};

}  // namespace coalign::ctc
