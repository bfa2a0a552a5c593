#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "assignment.hpp"
#include "bindings.hpp"
#include "core/device.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

// A call that is ready but for its workspace.
class Assignment {
   public:
    Assignment(const std::string& dtype, AssignmentCall call, std::optional<Counts> rows, std::optional<Counts> columns,
               int device)
        : call_(call),
          rows_(std::move(rows)),
          columns_(std::move(columns)),
          device_(device),
          single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        if (rows_.has_value() != columns_.has_value()) throw std::invalid_argument("lengths: of both sides, or none");
        call_.host_rows = counts_of(rows_, call_.count);
        call_.host_columns = counts_of(columns_, call_.count);
        plan_ = single_ ? plan_assignment<float>(call_) : plan_assignment<double>(call_);
    }

    const AssignmentPlan& plan() const { return plan_; }

    void run(Address order, Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_assignment<float> : run_assignment<double>;
        run_typed(call_, plan_, pointer<const std::int64_t>(order), pointer<void>(workspace),
                  pointer<CUstream_st>(stream));
    }

   private:
    AssignmentCall call_;
    std::optional<Counts> rows_, columns_;
    int device_;
    bool single_;
    AssignmentPlan plan_;
};

}  // namespace

void bind_assignment(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<Assignment>(module, "Assignment", py::module_local(),
                           "A planned call: give it its order, a workspace and a stream.")
        .def(py::init([](const std::string& dtype, const Ragged& costs, const std::optional<Counts>& host_rows,
                         const std::optional<Counts>& host_columns, Address row_at, Address column_at, Address cost_at,
                         bool maximize, const std::optional<double>& limit, Address col_of_row, Address row_of_col,
                         Address row_dual, Address col_dual, Address total, Address status, int device) {
                 AssignmentCall call{costs};
                 call.row_at = pointer<const std::int64_t>(row_at);
                 call.column_at = pointer<const std::int64_t>(column_at);
                 call.cost_at = pointer<const std::int64_t>(cost_at);
                 call.maximize = maximize;
                 call.has_limit = limit.has_value();
                 call.limit = limit.value_or(0);
                 call.col_of_row = pointer<std::int64_t>(col_of_row);
                 call.row_of_col = pointer<std::int64_t>(row_of_col);
                 call.row_dual = pointer<void>(row_dual);
                 call.col_dual = pointer<void>(col_dual);
                 call.total = pointer<double>(total);
                 call.status = pointer<std::int32_t>(status);
                 return Assignment(dtype, call, host_rows, host_columns, device);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("costs"), py::arg("host_rows"), py::arg("host_columns"),
             py::arg("row_at"), py::arg("column_at"), py::arg("cost_at"), py::arg("maximize"), py::arg("limit"),
             py::arg("col_of_row"), py::arg("row_of_col"), py::arg("row_dual"), py::arg("col_dual"), py::arg("total"),
             py::arg("status"), py::arg("device"))
        .def_property_readonly("workspace_bytes", [](const Assignment& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("order",
                               [](const Assignment& self) {
                                   const auto& order = self.plan().order;
                                   return Counts(static_cast<py::ssize_t>(order.size()), order.data());
                               })
        .def("run", &Assignment::run, py::kw_only(), py::arg("order"), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
