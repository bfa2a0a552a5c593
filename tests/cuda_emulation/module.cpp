// The CUDA module over the emulated GPU, and what the tests need to make and watch one.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "bindings.hpp"
#include "cuda_runtime.h"

namespace py = pybind11;
using coalign::emulation::machine;

namespace {

CUstream_st* stream_of(std::uintptr_t handle) {
    return reinterpret_cast<CUstream_st*>(handle);
}

coalign::emulation::Stream& queue_of(std::uintptr_t handle) {
    return handle == 0 ? coalign::emulation::default_stream() : *stream_of(handle);
}

}  // namespace

PYBIND11_MODULE(_cuda_emulated, module) {
    module.attr("compiler") = "emulation";
    module.attr("architectures") = "host";
    coalign::cuda::bind(module);
    py::register_exception<coalign::emulation::FaultError>(module, "FaultError", PyExc_AssertionError);
    module.def(
        "set_machine",
        [](bool driver, int devices, std::uint64_t seed, bool prompt) {
            machine.driver = driver;
            machine.devices = devices;
            machine.seed = seed;
            machine.is_prompt = prompt;
        },
        py::kw_only(), py::arg("driver") = true, py::arg("devices") = 1, py::arg("seed") = 1,
        py::arg("prompt") = false);
    module.def("launches", [] { return machine.launches; });
    module.def("make_stream", [] { return reinterpret_cast<std::uintptr_t>(new CUstream_st); });
    module.def("free_stream", [](std::uintptr_t stream) { delete stream_of(stream); });
    module.def("pending", [](std::uintptr_t stream) { return queue_of(stream).pending(); });
    module.def("synchronize", [](std::uintptr_t stream) { queue_of(stream).synchronize(); });
    module.def("copy", [](std::uintptr_t to, const py::bytes& from, std::uintptr_t stream) {
        coalign::emulation::enqueue(stream_of(stream), [to, bytes = std::string(from)] {
            std::memcpy(reinterpret_cast<void*>(to), bytes.data(), bytes.size());
        });
    });
}
