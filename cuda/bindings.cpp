#include "bindings.hpp"

#include <pybind11/stl.h>

#include <tuple>

#include "core/device.hpp"
#include "core/ragged.hpp"

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
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<Ragged>(module, "Ragged", py::module_local(), "A batch in device memory; strides in elements.")
        .def(py::init([](Address data, Address items, std::int64_t count, std::int64_t rows, std::int64_t columns,
                         const std::tuple<std::int64_t, std::int64_t, std::int64_t>& strides, Address row_lengths,
                         Address column_lengths) {
                 Ragged out;
                 out.data = pointer<const void>(data);
                 out.items = pointer<const void* const>(items);
                 out.count = count;
                 out.rows = rows;
                 out.columns = columns;
                 std::tie(out.item_stride, out.row_stride, out.column_stride) = strides;
                 out.row_lengths = pointer<const std::int64_t>(row_lengths);
                 out.column_lengths = pointer<const std::int64_t>(column_lengths);
                 return out;
             }),
             py::kw_only(), py::arg("data"), py::arg("items"), py::arg("count"), py::arg("rows"), py::arg("columns"),
             py::arg("strides"), py::arg("row_lengths"), py::arg("column_lengths"));
    bind_assignment(module);
    bind_ctc(module);
    bind_monotonic(module);
    bind_soft_warping(module);
    bind_transport(module);
    // After what its calls take of transport's.
    bind_points(module);
    bind_viterbi(module);
    bind_warping(module);
}

}  // namespace coalign::cuda
