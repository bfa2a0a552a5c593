// What the driver of forced alignment, compiled once, asks of its kernels, compiled once per instruction set.
//
// The lattice has a lane for each label i and the blank before it, and a last lane for the blank after the text. The
// search adds float64 numbers whatever the dtype of the frames: over an hour of speech the scores of float32 would lose
// the digits that tell two paths apart, and half the lanes still take less time than the frames took to make.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::ctc {

// Frames that a lane takes at a time: its scores are read and written once for all of them, and the emissions of eight
// frames are one cache line.
inline constexpr int kBlock = 8;

// Rows of the table of emissions: the blank, what never happens, the best symbol but the blank, the best of all, and
// then each symbol of the text.
inline constexpr int kBlankRow = 0, kNeverRow = 1, kBestLabelRow = 2, kBestRow = 3, kFirstSymbolRow = 4;

// Lower scores count as this much, so that sums of them stay finite; -inf stays what it is.
inline constexpr double kLeastScore = -1e300;

// The emissions of up to kBlock frames. From each frame the best of its scores that a path may take is subtracted: it
// is the same for every path, and may be large.
template <class T>
struct EmissionPass {
    const T* rows;
    std::int64_t row_stride, columns;
    int frames;
    std::int64_t blank;
    const std::int64_t* symbols;  // the columns of the rows from kFirstSymbolRow on
    std::int64_t count;
    bool any_label, any;  // whether paths take the best symbols
    double* log_sum;      // of each frame, or null
    double* table;        // [kFirstSymbolRow + count][kBlock]
};

// Lane groups [first, last) over the same frames. What is above the last group is impossible, and what is below the
// first cannot reach the end of the text.
struct LatticePass {
    double *blank, *label;  // the best score of a path to here
    const double* skip;     // 0 where a label may follow the one before it without a blank, else -inf
    const std::int32_t* row;
    const double* table;
    int frames;
    std::int64_t first, last;
    std::int64_t open_begin, open_end;  // lanes whose blank takes any symbol, or -1
    // Where the best path came from: of each group and frame a bit a lane for "the blank comes from the label before
    // it", "the label from its blank", and "the label from the one before it". Null: they are not written.
    std::uint8_t* from;
};

template <class T>
struct ViterbiKernels {
    Isa isa;
    int group;  // lanes
    // False where a value that is read is NaN or +inf.
    bool (*emissions)(const EmissionPass<T>&);
    void (*lattice)(const LatticePass&);
};

}  // namespace coalign::ctc
