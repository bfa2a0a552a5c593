// How the host hears that a call needs no more launches, without waiting for it: a kernel leaves the call's number in
// host memory. No header of CUDA is needed to include this.
#pragma once

#include <cstdint>

namespace coalign::cuda {

struct DoneFlag {
    // At one address for the host and for every device; null where there is no such memory, and nobody is told.
    unsigned long long* number = nullptr;
    unsigned long long call = 0;

    bool is_up() const { return number != nullptr && *static_cast<const volatile unsigned long long*>(number) == call; }
};

// Of a call of its own. Flags are used again; a call that lost its flag to a later one tells nobody.
DoneFlag take_done_flag();

// Iterations that the host queues before it looks again.
inline constexpr std::int64_t kIterationsUnlooked = 64;

}  // namespace coalign::cuda
