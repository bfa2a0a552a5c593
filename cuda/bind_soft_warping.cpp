#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "bindings.hpp"
#include "core/device.hpp"
#include "soft_warping.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

// A call that is ready but for its workspace.
class SoftWarping {
   public:
    SoftWarping(const std::string& dtype, const SoftWarpingCall& call, int device, std::int64_t workspace, int strips)
        : call_(call), device_(device), single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        if ((call.grad_x == nullptr) != (call.grad_y == nullptr))
            throw std::invalid_argument("gradients: both or none");
        const SoftWarpingLimits limits{multiprocessors(device), workspace, strips};
        plan_ = single_ ? plan_soft_warping<float>(call_, limits) : plan_soft_warping<double>(call_, limits);
    }

    const SoftWarpingPlan& plan() const { return plan_; }

    void run(Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_soft_warping<float> : run_soft_warping<double>;
        run_typed(call_, plan_, pointer<void>(workspace), pointer<CUstream_st>(stream));
    }

   private:
    SoftWarpingCall call_;
    int device_;
    bool single_;
    SoftWarpingPlan plan_;
};

}  // namespace

void bind_soft_warping(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<SoftWarping>(module, "SoftWarping", py::module_local(),
                            "A planned call: give it a workspace and a stream.")
        .def(py::init([](const std::string& dtype, std::int64_t dim, const SeriesArray& x, const SeriesArray& y,
                         double gamma, Address order, const std::tuple<std::string, std::int64_t>& window, Address rows,
                         const std::optional<WindowRows>& host_rows, Address value, Address status, Address grad_x,
                         Address grad_y, Address x_at, Address y_at, int device, std::int64_t workspace_bytes,
                         int strips) {
                 SoftWarpingCall call;
                 call.dim = dim;
                 call.x = x;
                 call.y = y;
                 call.gamma = gamma;
                 call.order = pointer<const std::int64_t>(order);
                 call.window = window_of(std::get<0>(window));
                 call.radius = std::get<1>(window);
                 require_window_rows(host_rows, x.rows);
                 call.rows = pointer<const std::int32_t>(rows);
                 call.value = pointer<void>(value);
                 call.status = pointer<std::int32_t>(status);
                 call.grad_x = pointer<void>(grad_x);
                 call.grad_y = pointer<void>(grad_y);
                 call.x_at = pointer<const std::int64_t>(x_at);
                 call.y_at = pointer<const std::int64_t>(y_at);
                 return SoftWarping(dtype, call, device, workspace_bytes, strips);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("dim"), py::arg("x"), py::arg("y"), py::arg("gamma"),
             py::arg("order"), py::arg("window"), py::arg("rows"), py::arg("host_rows"), py::arg("value"),
             py::arg("status"), py::arg("grad_x"), py::arg("grad_y"), py::arg("x_at"), py::arg("y_at"),
             py::arg("device"), py::arg("workspace_bytes"), py::arg("strips"))
        .def_property_readonly("workspace_bytes", [](const SoftWarping& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("blocks", [](const SoftWarping& self) { return self.plan().blocks; })
        .def("run", &SoftWarping::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
