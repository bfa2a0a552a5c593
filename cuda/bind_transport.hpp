// What the bindings of transport share.
#pragma once

#include <cstdint>

#include "transport.hpp"

namespace coalign::cuda {

// What a call has beside its costs, and where it runs.
struct TransportBatch {
    TransportCall call;
    bool single = true;
    int device = 0;
    std::int64_t workspace_bytes = 0;  // that it may take, if it can do with so little
};

}  // namespace coalign::cuda
