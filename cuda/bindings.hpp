#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace coalign::cuda {

// What Python calls. Private: pointers and strides are taken at their word, so only the general way of the operations
// calls it.
void bind(pybind11::module_& module);
void bind_assignment(pybind11::module_& module);
void bind_ctc(pybind11::module_& module);
void bind_monotonic(pybind11::module_& module);
void bind_warping(pybind11::module_& module);

using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
    return reinterpret_cast<T*>(address);
}

}  // namespace coalign::cuda
