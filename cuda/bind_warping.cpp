#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "bindings.hpp"
#include "core/device.hpp"
#include "nearest.hpp"
#include "warping.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

Metric parse_metric(const std::string& name) {
    if (name == "sqeuclidean") return Metric::sqeuclidean;
    if (name == "euclidean") return Metric::euclidean;
    if (name == "cityblock") return Metric::cityblock;
    if (name == "cosine") return Metric::cosine;
    throw std::invalid_argument("metric: " + name);
}

Steps parse_steps(const std::string& name) {
    if (name == "symmetric1") return Steps::symmetric1;
    if (name == "symmetric2" || name == "symmetricP0") return Steps::symmetric2;
    if (name == "symmetricP05") return Steps::symmetricP05;
    if (name == "symmetricP1") return Steps::symmetricP1;
    if (name == "symmetricP2") return Steps::symmetricP2;
    throw std::invalid_argument("step: " + name);
}

// A call that is ready but for its workspace.
class Warping {
   public:
    Warping(const std::string& dtype, WarpingCall call, std::optional<WindowRows> rows, int device,
            std::int64_t workspace, int columns, int lanes)
        : call_(call), rows_(std::move(rows)), device_(device), single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        if (call_.steps != Steps::symmetric1 && call_.x_index != nullptr)
            throw std::invalid_argument("step: no paths of patterns");
        require_window_rows(rows_, call_.x.rows);
        if (rows_) call_.host_rows = rows_->data();
        const WarpingLimits limits{multiprocessors(device), workspace, columns, lanes};
        plan_ = single_ ? plan_warping<float>(call_, limits) : plan_warping<double>(call_, limits);
    }

    const WarpingPlan& plan() const { return plan_; }

    void run(Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_warping<float> : run_warping<double>;
        run_typed(call_, plan_, pointer<void>(workspace), pointer<CUstream_st>(stream));
    }

   private:
    WarpingCall call_;
    std::optional<WindowRows> rows_;
    int device_;
    bool single_;
    WarpingPlan plan_;
};

// A search that is ready but for its workspace.
class Nearest {
   public:
    Nearest(const std::string& dtype, const NearestCall& call, std::optional<WindowRows> rows, int device,
            std::int64_t workspace)
        : call_(call), rows_(std::move(rows)), device_(device), single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        require_window_rows(rows_, call_.pairs.x.rows);
        if (rows_) call_.pairs.host_rows = rows_->data();
        const WarpingLimits limits{multiprocessors(device), workspace};
        plan_ = single_ ? plan_nearest<float>(call_, limits) : plan_nearest<double>(call_, limits);
    }

    const NearestPlan& plan() const { return plan_; }

    void run(Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_nearest<float> : run_nearest<double>;
        run_typed(call_, plan_, pointer<void>(workspace), pointer<CUstream_st>(stream));
    }

   private:
    NearestCall call_;
    std::optional<WindowRows> rows_;
    int device_;
    bool single_;
    NearestPlan plan_;
};

}  // namespace

Window::Kind window_of(const std::string& name) {
    if (name == "none") return Window::Kind::none;
    if (name == "band") return Window::Kind::band;
    if (name == "slanted") return Window::Kind::slanted;
    if (name == "rows") return Window::Kind::rows;
    throw std::invalid_argument("window: " + name);
}

void require_window_rows(const std::optional<WindowRows>& rows, std::int64_t wanted) {
    if (rows && (rows->ndim() != 2 || rows->shape(0) < wanted || rows->shape(1) != 2))
        throw std::invalid_argument("rows: one row per frame of x");
}

void bind_warping(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<SeriesArray>(module, "SeriesArray", py::module_local(), "One side of a call, in device memory.")
        .def(py::init([](const Ragged& series, Address order, Address bad) {
                 return SeriesArray{series, pointer<const std::int64_t>(order), pointer<std::uint64_t>(bad)};
             }),
             py::kw_only(), py::arg("series"), py::arg("order"), py::arg("bad"));

    py::class_<Warping>(module, "Warping", py::module_local(), "A planned call: give it a workspace and a stream.")
        .def(py::init([](const std::string& dtype, const std::string& metric, const std::string& step, std::int64_t dim,
                         const SeriesArray& x, const SeriesArray& y, bool all_pairs, bool symmetric, Address order,
                         const std::tuple<std::string, std::int64_t>& window, Address rows,
                         const std::optional<WindowRows>& host_rows, double max_cost, Address cost,
                         std::int64_t cost_stride, Address status, Address x_index, Address y_index,
                         Address path_length, int device, std::int64_t workspace_bytes, int columns, int lanes) {
                 WarpingCall call;
                 call.metric = parse_metric(metric);
                 call.steps = parse_steps(step);
                 call.dim = dim;
                 call.x = x;
                 call.y = y;
                 call.all_pairs = all_pairs;
                 call.symmetric = symmetric;
                 call.order = pointer<const std::int64_t>(order);
                 call.window = window_of(std::get<0>(window));
                 call.radius = std::get<1>(window);
                 call.rows = pointer<const std::int32_t>(rows);
                 call.max_cost = max_cost;
                 call.cost = pointer<void>(cost);
                 call.cost_stride = cost_stride;
                 call.status = pointer<std::int32_t>(status);
                 call.x_index = pointer<std::int64_t>(x_index);
                 call.y_index = pointer<std::int64_t>(y_index);
                 call.path_length = pointer<std::int64_t>(path_length);
                 return Warping(dtype, call, host_rows, device, workspace_bytes, columns, lanes);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("metric"), py::arg("step"), py::arg("dim"), py::arg("x"),
             py::arg("y"), py::arg("all_pairs"), py::arg("symmetric"), py::arg("order"), py::arg("window"),
             py::arg("rows"), py::arg("host_rows"), py::arg("max_cost"), py::arg("cost"), py::arg("cost_stride"),
             py::arg("status"), py::arg("x_index"), py::arg("y_index"), py::arg("path_length"), py::arg("device"),
             py::arg("workspace_bytes"), py::arg("columns"), py::arg("lanes"))
        .def_property_readonly("workspace_bytes", [](const Warping& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("pairs_per_launch", [](const Warping& self) { return self.plan().pairs_per_launch; })
        .def_property_readonly("columns", [](const Warping& self) { return self.plan().columns; })
        .def_property_readonly("lanes", [](const Warping& self) { return self.plan().lanes; })
        .def("run", &Warping::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");

    py::class_<Nearest>(module, "Nearest", py::module_local(), "A planned search: give it a workspace and a stream.")
        .def(py::init([](const std::string& dtype, const std::string& metric, std::int64_t dim, const SeriesArray& x,
                         const SeriesArray& y, const std::tuple<std::string, std::int64_t>& window, Address rows,
                         const std::optional<WindowRows>& host_rows, std::int64_t count, Address index, Address cost,
                         Address status, int device, std::int64_t workspace_bytes) {
                 NearestCall call;
                 call.pairs.metric = parse_metric(metric);
                 call.pairs.dim = dim;
                 call.pairs.x = x;
                 call.pairs.y = y;
                 call.pairs.window = window_of(std::get<0>(window));
                 call.pairs.radius = std::get<1>(window);
                 call.pairs.rows = pointer<const std::int32_t>(rows);
                 call.pairs.max_cost = std::numeric_limits<double>::infinity();
                 call.count = count;
                 call.index = pointer<std::int64_t>(index);
                 call.cost = pointer<void>(cost);
                 call.status = pointer<std::int32_t>(status);
                 if (count < 1) throw std::invalid_argument("count: at least 1");
                 return Nearest(dtype, call, host_rows, device, workspace_bytes);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("metric"), py::arg("dim"), py::arg("x"), py::arg("y"),
             py::arg("window"), py::arg("rows"), py::arg("host_rows"), py::arg("count"), py::arg("index"),
             py::arg("cost"), py::arg("status"), py::arg("device"), py::arg("workspace_bytes"))
        .def_property_readonly("workspace_bytes", [](const Nearest& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("columns", [](const Nearest& self) { return self.plan().columns; })
        .def("run", &Nearest::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
