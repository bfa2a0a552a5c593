#include "bind_ctc.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/device.hpp"
#include "ctc.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

ctc::Input parse_input(const std::string& name) {
    if (name == "logits") return ctc::Input::logits;
    if (name == "log_probs") return ctc::Input::log_probs;
    throw std::invalid_argument("input: " + name);
}

Reduction parse_reduction(const std::string& name) {
    if (name == "none") return Reduction::none;
    if (name == "sum") return Reduction::sum;
    if (name == "mean") return Reduction::mean;
    throw std::invalid_argument("reduction: " + name);
}

// A call that is ready but for its workspace.
class Ctc {
   public:
    Ctc(const std::string& dtype, CtcCall call, BoundCtcBatch batch, int device, std::int64_t workspace_bytes)
        : call_(call), batch_(std::move(batch)), device_(device), single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        static_cast<CtcBatch&>(call_) = batch_;
        limits_.workspace_bytes = workspace_bytes;
        plan_ = single_ ? plan_ctc<float>(call_, limits_) : plan_ctc<double>(call_, limits_);
    }

    const CtcPlan& plan() const { return plan_; }

    void run(Address offsets, Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_ctc<float> : run_ctc<double>;
        run_typed(call_, limits_, plan_, pointer<const std::int64_t>(offsets), pointer<void>(workspace),
                  pointer<CUstream_st>(stream));
    }

   private:
    CtcCall call_;
    BoundCtcBatch batch_;
    int device_;
    bool single_;
    CtcLimits limits_;
    CtcPlan plan_;
};

}  // namespace

void bind_ctc(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<BoundCtcBatch>(module, "CtcBatch", py::module_local(), "Recordings and texts in device memory.")
        .def(py::init([](const Ragged& frames, const Counts& host_frame_counts, const Counts& host_label_counts,
                         Address frame_counts, Address label_counts, std::int64_t most_labels, Address label_items,
                         std::int64_t blank, const std::string& input) {
                 BoundCtcBatch batch{{}, host_frame_counts, host_label_counts};
                 batch.count = host_frame_counts.size();
                 batch.host_frame_counts = counts_of(batch.frame_array, batch.count);
                 batch.host_label_counts = counts_of(batch.label_array, batch.count);
                 batch.frames = frames;
                 batch.frame_counts = pointer<const std::int64_t>(frame_counts);
                 batch.label_counts = pointer<const std::int64_t>(label_counts);
                 batch.most_labels = most_labels;
                 batch.label_items = pointer<const std::int64_t* const>(label_items);
                 batch.blank = blank;
                 batch.input = parse_input(input);
                 return batch;
             }),
             py::kw_only(), py::arg("frames"), py::arg("host_frame_counts"), py::arg("host_label_counts"),
             py::arg("frame_counts"), py::arg("label_counts"), py::arg("most_labels"), py::arg("label_items"),
             py::arg("blank"), py::arg("input"));
    py::class_<Ctc>(module, "Ctc", py::module_local(), "A planned call: give it its offsets, a workspace and a stream.")
        .def(py::init([](const std::string& dtype, const BoundCtcBatch& batch, const std::string& reduction,
                         bool zero_infinity, bool wants_occupancy, Address loss, Address status, Address gradient,
                         Address gradient_items, std::int64_t gradient_rows, std::int64_t gradient_item_stride,
                         std::int64_t gradient_row_stride, int device, std::int64_t workspace_bytes) {
                 CtcCall call;
                 call.reduction = parse_reduction(reduction);
                 call.zero_infinity = zero_infinity;
                 call.wants_occupancy = wants_occupancy;
                 call.loss = pointer<void>(loss);
                 call.status = pointer<std::int32_t>(status);
                 call.gradient = pointer<void>(gradient);
                 call.gradient_items = pointer<void* const>(gradient_items);
                 call.gradient_rows = gradient_rows;
                 call.gradient_item_stride = gradient_item_stride;
                 call.gradient_row_stride = gradient_row_stride;
                 return Ctc(dtype, call, batch, device, workspace_bytes);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("batch"), py::arg("reduction"), py::arg("zero_infinity"),
             py::arg("wants_occupancy"), py::arg("loss"), py::arg("status"), py::arg("gradient"),
             py::arg("gradient_items"), py::arg("gradient_rows"), py::arg("gradient_item_stride"),
             py::arg("gradient_row_stride"), py::arg("device"), py::arg("workspace_bytes"))
        .def_property_readonly("workspace_bytes", [](const Ctc& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("offsets",
                               [](const Ctc& self) {
                                   const auto& offsets = self.plan().offsets;
                                   return Counts(static_cast<py::ssize_t>(offsets.size()), offsets.data());
                               })

        .def("run", &Ctc::run, py::kw_only(), py::arg("offsets"), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
