// What the drivers, compiled once, ask of the kernels, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::ctc {

template <class T>
struct Kernels {
    Isa isa;  // the set they were compiled for, so that a caller can tell what ran
};

// The kernels of one instruction set.
template <class T>
const Kernels<T>& kernels_for(Isa isa) {
    return table_for<Kernels<T>>(isa);
}

}  // namespace coalign::ctc
