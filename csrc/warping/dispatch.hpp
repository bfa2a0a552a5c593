// The kernels of one instruction set.
#pragma once

#include "core/isa.hpp"
#include "warping/kernels.hpp"

namespace coalign::warping {

template <class T>
const Kernels<T>& kernels_for(Isa isa);

}  // namespace coalign::warping
