#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>

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
    PointTransport(const std::string& dtype, const PointsCall& call, int device, std::int64_t workspace_bytes)
        : call_(call), device_(device), single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        plan_ = single_ ? plan_points<float>(call_, workspace_bytes) : plan_points<double>(call_, workspace_bytes);
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
        .def(py::init([](const std::string& dtype, const Ragged& x, const Ragged& y, const std::string& metric,
                         Address row_at, Address column_at, const Vectors& a, const Vectors& b, const Vectors& initial,
                         double epsilon, Address epsilons, const std::tuple<double, double>& penalties, double tol,
                         std::int64_t max_iterations, Address f, Address g, Address cost, Address value,
                         Address marginal_error, Address iterations, Address status, int device,
                         std::int64_t workspace_bytes) {
                 PointsCall call;
                 call.x = x;
                 call.y = y;
                 call.metric = metric_of(metric);
                 call.count = x.count > y.count ? x.count : y.count;
                 call.rows = x.rows;
                 call.columns = y.rows;
                 call.row_lengths = x.row_lengths;
                 call.column_lengths = y.row_lengths;
                 call.row_at = pointer<const std::int64_t>(row_at);
                 call.column_at = pointer<const std::int64_t>(column_at);
                 call.row_weights = vectors_of(a);
                 call.column_weights = vectors_of(b);
                 call.column_potentials = vectors_of(initial);
                 call.epsilon = epsilon;
                 call.epsilons = pointer<const double>(epsilons);
                 std::tie(call.row_penalty, call.column_penalty) = penalties;
                 call.tolerance = tol;
                 call.most_iterations = max_iterations;
                 call.f = pointer<void>(f);
                 call.g = pointer<void>(g);
                 call.cost = pointer<double>(cost);
                 call.value = pointer<double>(value);
                 call.error = pointer<double>(marginal_error);
                 call.iterations = pointer<std::int64_t>(iterations);
                 call.status = pointer<std::int32_t>(status);
                 return PointTransport(dtype, call, device, workspace_bytes);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("x"), py::arg("y"), py::arg("metric"), py::arg("row_at"),
             py::arg("column_at"), py::arg("a"), py::arg("b"), py::arg("initial"), py::arg("epsilon"),
             py::arg("epsilons"), py::arg("penalties"), py::arg("tol"), py::arg("max_iterations"), py::arg("f"),
             py::arg("g"), py::arg("cost"), py::arg("value"), py::arg("marginal_error"), py::arg("iterations"),
             py::arg("status"), py::arg("device"), py::arg("workspace_bytes"))
        .def_property_readonly("workspace_bytes",
                               [](const PointTransport& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("problems_per_launch",
                               [](const PointTransport& self) { return self.plan().problems_per_launch; })
        .def("run", &PointTransport::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
