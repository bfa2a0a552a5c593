#include "bindings.hpp"

PYBIND11_MODULE(_cuda, module, pybind11::mod_gil_not_used()) {
    module.doc() = "CUDA kernels of coalign. Private.";
    module.attr("compiler") = COALIGN_CUDA_COMPILER;
    module.attr("architectures") = COALIGN_CUDA_ARCHITECTURES;
    coalign::cuda::bind(module);
}
