#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bindings.hpp"
#include "core/device.hpp"
#include "monotonic.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

// A call that is ready but for its workspace.
class Monotonic {
   public:
    Monotonic(const std::string& dtype, MonotonicCall call, std::optional<Counts> rows, std::optional<Counts> columns,
              int device, std::int64_t workspace)
        : call_(call),
          rows_(std::move(rows)),
          columns_(std::move(columns)),
          device_(device),
          single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        call_.host_rows = counts_of(rows_, call_.count);
        call_.host_columns = counts_of(columns_, call_.count);
        plan_ = plan_monotonic(call_, workspace);
    }

    const MonotonicPlan& plan() const { return plan_; }

    void run(Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_monotonic<float> : run_monotonic<double>;
        run_typed(call_, plan_, pointer<void>(workspace), pointer<CUstream_st>(stream));
    }

   private:
    MonotonicCall call_;
    std::optional<Counts> rows_, columns_;
    int device_;
    bool single_;
    MonotonicPlan plan_;
};

}  // namespace

void bind_monotonic(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<Monotonic>(module, "Monotonic", py::module_local(), "A planned call: give it a workspace and a stream.")
        .def(py::init([](const std::string& dtype, const Ragged& scores, const std::optional<Counts>& host_rows,
                         const std::optional<Counts>& host_columns, Address row_at, Address column_at,
                         Address durations, Address token_of_frame, Address total, Address status, int device,
                         std::int64_t workspace_bytes) {
                 MonotonicCall call{scores};
                 call.row_at = pointer<const std::int64_t>(row_at);
                 call.column_at = pointer<const std::int64_t>(column_at);
                 call.durations = pointer<std::int64_t>(durations);
                 call.token_of_frame = pointer<std::int64_t>(token_of_frame);
                 call.total = pointer<double>(total);
                 call.status = pointer<std::int32_t>(status);
                 return Monotonic(dtype, call, host_rows, host_columns, device, workspace_bytes);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("scores"), py::arg("host_rows"), py::arg("host_columns"),
             py::arg("row_at"), py::arg("column_at"), py::arg("durations"), py::arg("token_of_frame"), py::arg("total"),
             py::arg("status"), py::arg("device"), py::arg("workspace_bytes"))
        .def_property_readonly("workspace_bytes", [](const Monotonic& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("problems_per_launch",
                               [](const Monotonic& self) { return self.plan().problems_per_launch; })
        .def("run", &Monotonic::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
