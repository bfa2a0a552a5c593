// What the drivers, compiled once, ask of the kernels, compiled once per instruction set.
//
// The lattice of a text of L labels has 2 L + 1 states: blank i, from 0 to L, stands before label i. Blanks and labels
// lie in arrays of their own, so that position i of both is computed in one lane. A blank is entered from itself or
// from label i - 1; a label from itself, from blank i, or from label i - 1 if that is another symbol.
//
// Probabilities are extended numbers (core/extended.hpp): a mantissa and an exponent. They lose nothing where scaled
// ones flush to zero, and their relative precision does not depend on how far a state is behind, where logarithms lose
// digits with their size.
#pragma once

#include <cstdint>

#include "core/exponent.hpp"
#include "core/isa_table.hpp"
#include "core/lane_int.hpp"

namespace coalign::ctc {

// States are brought to mantissas in [1, 2) before every 16th frame. A step multiplies a mantissa by 0.7 to 4.3:
// between 2^-9 and 2^34 in all.
inline constexpr std::int64_t kFramesPerBlock = 16;

// Scores this far below the best of their frame count as probability 0, and so do states this far below the product of
// the best scores: in powers of 2. find_posteriors proves that this changes nothing, or takes another way.
template <class T>
inline constexpr Exponent<T> kLeastEmission = -(std::int32_t{1} << (sizeof(T) == sizeof(float) ? 20 : 30));
template <class T>
inline constexpr Exponent<T> kLeastState =
    -static_cast<Exponent<T>>(std::int64_t{1} << (sizeof(T) == sizeof(float) ? 29 : 45));
// The exponent of a score that counts as 0: below all that matters, so that nothing else is brought to it. A block of
// frames may add so many to a state's.
template <class T>
inline constexpr Exponent<T> kNoEmission = kLeastState<T> / static_cast<Exponent<T>>(kFramesPerBlock);
// A frame's best score may be so far from 0 that the power of 2 still fits the rounding of its exponential.
template <class T>
inline constexpr T kLargestScore = static_cast<T>(std::int64_t{1} << (sizeof(T) == sizeof(float) ? 20 : 40));

template <class T>
struct Column {
    T* mantissa = nullptr;
    Exponent<T>* exponent = nullptr;

    Column from(std::int64_t offset) const { return {mantissa + offset, exponent + offset}; }
};

// A text as the kernels read it. Arrays have `positions` elements, a multiple of the width above L.
template <class T>
struct Text {
    std::int64_t labels, positions;
    const LaneInt<T>* symbol;  // of each label; the blank past the last
    const LaneInt<T>* skips;   // -1 where the label before may be followed without a blank between, else 0
    std::int64_t blank;
    // The positions of labels, those of a symbol together, and each group's begin and symbol.
    const std::int64_t* order;
    const std::int64_t* group_begin;
    const std::int64_t* group_symbol;
    std::int64_t groups;
};

// A recording's frames [begin, end).
template <class T>
struct Frames {
    const T* data;
    std::int64_t stride, columns, begin, end;
};

// The distribution of each frame: from + log(sum) is the log-sum-exp of its logits.
template <class T>
struct RowPass {
    Frames<T> frames;
    T* from;
    T* sum;
    T* softmax;  // rows of `stride`, times `weight`; null: not wanted
    std::int64_t stride;
    T weight;
};

// Frames [begin, end) of one lattice, at most a block of them. Rows of `emission` and `alpha` begin with frame `first`.
template <class T>
struct Stretch {
    Text<T> text;
    Frames<T> frames;
    std::int64_t total_frames, first;
    T* from;                   // of each frame
    Exponent<T>* power;        // of each frame: e^from, as a power of 2, which its emissions are relative to
    bool finds_from;           // whether that is the largest score of the blank and the labels, to be found
    Column<T> emission;        // [frame][position]: of labels
    Column<T> blank_emission;  // [frame]
    Column<T> label, blank;    // the state
    Column<T> alpha;           // [frame][position]: of labels, after the frame; null: neither kept nor used
};

// What the backward pass makes of the two: occupancies, and the gradient less them.
template <class T>
struct Occupancies {
    T inverse_total;  // 1 / mantissa of the total
    Exponent<T> total_exponent;
    T* row;  // [positions]: scratch, 0 where the band does not reach
    T* gradient;
    std::int64_t stride;
    T weight;
};

// What was met in a stretch.
struct Findings {
    bool bad = false;        // NaN or +inf
    bool too_large = false;  // a frame's best score is beyond kLargestScore
    bool dropped = false;    // a score or state that is not 0 was taken as 0
};

template <class T>
struct Kernels {
    Isa isa;  // the set they were compiled for, so that a caller can tell what ran
    int width;
    void (*find_sums)(const RowPass<T>&, Findings&);
    void (*emit)(const Stretch<T>&, Findings&);
    void (*advance)(const Stretch<T>&, Findings&);
    void (*retreat)(const Stretch<T>&, const Occupancies<T>&, Findings&);
};

// The kernels of one instruction set.
template <class T>
const Kernels<T>& kernels_for(Isa isa) {
    return table_for<Kernels<T>>(isa);
}

}  // namespace coalign::ctc
