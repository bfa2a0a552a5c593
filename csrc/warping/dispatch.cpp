#include "warping/dispatch.hpp"

namespace coalign::warping {

#if defined(__x86_64__)
template <>
const Kernels<float>& kernels_for(Isa isa) {
    return isa == Isa::v4 ? v4::warping_float32 : isa == Isa::v3 ? v3::warping_float32 : v2::warping_float32;
}
template <>
const Kernels<double>& kernels_for(Isa isa) {
    return isa == Isa::v4 ? v4::warping_float64 : isa == Isa::v3 ? v3::warping_float64 : v2::warping_float64;
}
#else
template <>
const Kernels<float>& kernels_for(Isa) {
    return neon::warping_float32;
}
template <>
const Kernels<double>& kernels_for(Isa) {
    return neon::warping_float64;
}
#endif

}  // namespace coalign::warping
