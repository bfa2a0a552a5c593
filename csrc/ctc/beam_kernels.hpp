// What beam search asks of lanes, compiled once per instruction set. All of it is computed in float64: a beam is
// narrow, and the sums of a long recording keep their digits.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::ctc {

// Arrays over the beam hold a multiple of this many numbers: whole vectors of every set.
inline constexpr std::int64_t kBeamPad = 8;

// Log-probabilities of the prefixes of a beam, ending in the blank, in their last label, and together.
struct BeamMass {
    double *blank, *label, *both;
};

template <class T>
struct BeamKernels {
    Isa isa;
    // Writes the log-scores of a frame's symbols; false where it holds NaN or +inf. `out` has room for the columns.
    bool (*read_frame)(const T* values, std::int64_t columns, bool is_logits, double* out);
    // One frame on for `count` prefixes that stay as they are: `entering` is the mass of the prefix without its last
    // label that goes over to it, `label_score` the log-score of that label.
    void (*stay)(const BeamMass& before, const double* entering, const double* label_score, double blank_score,
                 std::int64_t count, const BeamMass& after);
    // The symbols whose score is above a floor, in order; returns how many. Room for 64 past the last of them.
    std::int64_t (*above)(const double* scores, std::int64_t columns, double floor, std::int32_t* out);
};

}  // namespace coalign::ctc
