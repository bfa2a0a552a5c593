// The recordings and texts that the bindings of CTC take.
#pragma once

#include "bindings.hpp"
#include "ctc_batch.hpp"

namespace coalign::cuda {

// A batch, with what holds the counts on the host.
struct BoundCtcBatch : CtcBatch {
    Counts frame_array, label_array;
};

}  // namespace coalign::cuda
