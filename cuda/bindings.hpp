#pragma once

#include <pybind11/pybind11.h>

namespace coalign::cuda {

// What Python calls. Private: pointers and strides are taken at their word, so `_cuda_warping.py` is the only caller.
void bind(pybind11::module_& module);

}  // namespace coalign::cuda
