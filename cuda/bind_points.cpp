#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "bind_transport.hpp"
#include "bindings.hpp"
#include "core/device.hpp"
#include "points.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

transport::PointMetric metric_of(const std::string& name) {
    using transport::PointMetric;
    if (name == "sqeuclidean") return PointMetric::sqeuclidean;
    if (name == "euclidean") return PointMetric::euclidean;
    if (name == "cosine") return PointMetric::cosine;
    if (name != "dot") throw std::invalid_argument("metric: " + name);
    return PointMetric::dot;
}

// A call that is ready but for its workspace.
class PointTransport {
   public:
    PointTransport(const TransportBatch& batch, const Ragged& x, const Ragged& y, const std::string& metric)
        : call_{batch.call, x, y, metric_of(metric)}, device_(batch.device), single_(batch.single) {
        call_.count = x.count > y.count ? x.count : y.count;
        call_.rows = x.rows;
        call_.columns = y.rows;
        call_.row_lengths = x.row_lengths;
        call_.column_lengths = y.row_lengths;
        const auto plan_typed = single_ ? plan_points<float> : plan_points<double>;
        plan_ = plan_typed(call_, batch.workspace_bytes);
    }

    const PointsPlan& plan() const { return plan_; }

    void run(Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_points<float> : run_points<double>;
        run_typed(call_, plan_, pointer<void>(workspace), pointer<CUstream_st>(stream));
    }

   private:
    PointsCall call_;
    int device_;
    bool single_;
    PointsPlan plan_;
};

}  // namespace

void bind_points(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<PointTransport>(module, "PointTransport", py::module_local(),
                               "A planned call: give it a workspace and a stream.")
        .def(py::init<const TransportBatch&, const Ragged&, const Ragged&, const std::string&>(), py::kw_only(),
             py::arg("batch"), py::arg("x"), py::arg("y"), py::arg("metric"))
        .def_property_readonly("workspace_bytes",
                               [](const PointTransport& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("problems_per_launch",
                               [](const PointTransport& self) { return self.plan().problems_per_launch; })
        .def("run", &PointTransport::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
