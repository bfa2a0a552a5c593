// What the bindings of transport share.
#pragma once

#include <cstdint>
#include <tuple>

#include "bindings.hpp"
#include "transport.hpp"

namespace coalign::cuda {

// Where vectors begin, a table of where they do, and the elements from one to the next.
using Vectors = std::tuple<Address, Address, std::int64_t>;

inline TransportVectors vectors_of(const Vectors& vectors) {
    const auto& [data, items, stride] = vectors;
    return {pointer<const void>(data), pointer<const void* const>(items), stride};
}

}  // namespace coalign::cuda
