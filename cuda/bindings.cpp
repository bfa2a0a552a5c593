#include "bindings.hpp"

#include "core/device.hpp"

namespace py = pybind11;

namespace coalign::cuda {

void bind(py::module_& module) {
    module.def(
        "count_devices",
        [] {
            const DeviceCount devices = count_devices();
            return py::make_tuple(devices.count, devices.problem);
        },
        "How many devices there are, and if none, why.");
    bind_assignment(module);
    bind_warping(module);
}

}  // namespace coalign::cuda
