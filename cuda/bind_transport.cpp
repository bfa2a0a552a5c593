#include "bind_transport.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "bindings.hpp"
#include "core/device.hpp"
#include "transport.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

// Where vectors begin, a table of where they do, and the elements from one to the next.
using Vectors = std::tuple<Address, Address, std::int64_t>;

TransportVectors vectors_of(const Vectors& vectors) {
    const auto& [data, items, stride] = vectors;
    return {pointer<const void>(data), pointer<const void* const>(items), stride};
}

// A call that is ready but for its workspace.
class Transport {
   public:
    Transport(const TransportBatch& batch, const Ragged& costs, std::optional<Counts> rows,
              std::optional<Counts> columns, std::int64_t costs_per_block)
        : call_(batch.call),
          limits_{batch.workspace_bytes, costs_per_block},
          rows_(std::move(rows)),
          columns_(std::move(columns)),
          device_(batch.device),
          single_(batch.single) {
        static_cast<Ragged&>(call_) = costs;
        call_.host_rows = counts_of(rows_, call_.count);
        call_.host_columns = counts_of(columns_, call_.count);
        plan_ = single_ ? plan_transport<float>(call_, limits_) : plan_transport<double>(call_, limits_);
    }

    const TransportPlan& plan() const { return plan_; }

    void run(Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_transport<float> : run_transport<double>;
        run_typed(call_, limits_, plan_, pointer<void>(workspace), pointer<CUstream_st>(stream));
    }

   private:
    TransportCall call_;
    TransportLimits limits_;
    std::optional<Counts> rows_, columns_;
    int device_;
    bool single_;
    TransportPlan plan_;
};

}  // namespace

void bind_transport(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<TransportBatch>(module, "TransportBatch", py::module_local(),
                               "What calls of transport have beside their costs.")
        .def(py::init([](const std::string& dtype, Address row_at, Address column_at, const Vectors& a,
                         const Vectors& b, const Vectors& initial, double epsilon, Address epsilons,
                         const std::tuple<double, double>& penalties, double tol, std::int64_t max_iterations,
                         Address f, Address g, Address cost, Address value, Address marginal_error, Address iterations,
                         Address status, int device, std::int64_t workspace_bytes) {
                 if (dtype != "float32" && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
                 TransportCall call;
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
                 return TransportBatch{call, dtype == "float32", device, workspace_bytes};
             }),
             py::kw_only(), py::arg("dtype"), py::arg("row_at"), py::arg("column_at"), py::arg("a"), py::arg("b"),
             py::arg("initial"), py::arg("epsilon"), py::arg("epsilons"), py::arg("penalties"), py::arg("tol"),
             py::arg("max_iterations"), py::arg("f"), py::arg("g"), py::arg("cost"), py::arg("value"),
             py::arg("marginal_error"), py::arg("iterations"), py::arg("status"), py::arg("device"),
             py::arg("workspace_bytes"));
    py::class_<Transport>(module, "Transport", py::module_local(), "A planned call: give it a workspace and a stream.")
        .def(py::init<const TransportBatch&, const Ragged&, std::optional<Counts>, std::optional<Counts>,
                      std::int64_t>(),
             py::kw_only(), py::arg("batch"), py::arg("costs"), py::arg("host_rows"), py::arg("host_columns"),
             py::arg("costs_per_block"))
        .def_property_readonly("workspace_bytes", [](const Transport& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("problems_per_launch",
                               [](const Transport& self) { return self.plan().problems_per_launch; })
        .def("run", &Transport::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
