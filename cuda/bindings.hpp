#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "warping/window.hpp"

namespace coalign::cuda {

// What Python calls. Private: pointers and strides are taken at their word, so only the general way of the operations
// calls it.
void bind(pybind11::module_& module);
void bind_assignment(pybind11::module_& module);
void bind_ctc(pybind11::module_& module);
void bind_monotonic(pybind11::module_& module);
void bind_points(pybind11::module_& module);
void bind_soft_warping(pybind11::module_& module);
void bind_transport(pybind11::module_& module);
void bind_viterbi(pybind11::module_& module);
void bind_warping(pybind11::module_& module);

using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
    return reinterpret_cast<T*>(address);
}

// [start, stop) of the rows of a window, in host memory.
using WindowRows = pybind11::array_t<std::int32_t, pybind11::array::c_style>;
warping::Window::Kind window_of(const std::string& name);
void require_window_rows(const std::optional<WindowRows>& rows, std::int64_t wanted);

// Counts in host memory, one for each problem.
using Counts = pybind11::array_t<std::int64_t, pybind11::array::c_style>;

inline const std::int64_t* counts_of(const std::optional<Counts>& counts, std::int64_t wanted) {
    if (!counts) return nullptr;
    if (counts->ndim() != 1 || counts->shape(0) != wanted) throw std::invalid_argument("lengths: one per problem");
    return counts->data();
}

}  // namespace coalign::cuda
