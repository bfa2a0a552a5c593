#include <pybind11/numpy.h>

#include <bit>
#include <cstdint>

#include "bindings/bindings.hpp"

namespace coalign::bindings {
namespace {

// The bits of a half-precision number as those of the float of the same value, without a branch, so that the compiler
// makes vectors of it. Subnormal numbers go by way of an integer: whoever flushes them to zero has them all the same.
std::uint32_t widened(std::uint16_t half) {
    constexpr std::uint32_t most_exponent = 0x7c00;
    const std::uint32_t exponent = half & most_exponent, shifted = (half & 0x7fffU) << 13;
    const auto subnormal = std::bit_cast<std::uint32_t>(static_cast<float>(half & 0x3ff) * 0x1p-24F);
    const std::uint32_t size = exponent == 0               ? subnormal
                               : exponent == most_exponent ? shifted | 0x7f800000U
                                                           : shifted + (112U << 23);
    return size | (half & 0x8000U) << 16;
}

void widen_half(const py::array& halves, py::array& out) {
    require(halves.itemsize() == sizeof(std::uint16_t) && out.itemsize() == sizeof(float) &&
                halves.size() == out.size() && out.writeable() && (halves.flags() & py::array::c_style) != 0 &&
                (out.flags() & py::array::c_style) != 0,
            "arrays of one size without gaps");
    const auto* const from = static_cast<const std::uint16_t*>(halves.data());
    auto* const to = static_cast<std::uint32_t*>(out.mutable_data());
    const py::ssize_t count = halves.size();
    const py::gil_scoped_release released;
    for (py::ssize_t i = 0; i < count; ++i) to[i] = widened(from[i]);
}

}  // namespace

void bind_half(py::module_& module) {
    module.def("widen_half", &widen_half, py::arg("halves"), py::arg("out"), "Converts float16 to float32.");
}

}  // namespace coalign::bindings
