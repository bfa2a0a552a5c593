#include "assignment/kernels.hpp"

namespace coalign::assignment {

#if defined(__x86_64__)
template <>
const Kernels<float>& kernels_for(Isa isa) {
    return isa == Isa::v4 ? v4::assignment_float32 : isa == Isa::v3 ? v3::assignment_float32 : v2::assignment_float32;
}
template <>
const Kernels<double>& kernels_for(Isa isa) {
    return isa == Isa::v4 ? v4::assignment_float64 : isa == Isa::v3 ? v3::assignment_float64 : v2::assignment_float64;
}
#else
template <>
const Kernels<float>& kernels_for(Isa) {
    return neon::assignment_float32;
}
template <>
const Kernels<double>& kernels_for(Isa) {
    return neon::assignment_float64;
}
#endif

}  // namespace coalign::assignment
