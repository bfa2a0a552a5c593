#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bind_ctc.hpp"
#include "core/device.hpp"
#include "viterbi.hpp"

namespace py = pybind11;

namespace coalign::cuda {
namespace {

// A call that is ready but for its workspace.
class Viterbi {
   public:
    Viterbi(const std::string& dtype, ViterbiCall call, BoundCtcBatch batch, int device, std::int64_t workspace_bytes)
        : call_(call), batch_(std::move(batch)), device_(device), single_(dtype == "float32") {
        if (!single_ && dtype != "float64") throw std::invalid_argument("dtype: " + dtype);
        static_cast<CtcBatch&>(call_) = batch_;
        ViterbiLimits limits;
        limits.workspace_bytes = workspace_bytes;
        plan_ = plan_viterbi(call_, limits);
    }

    const ViterbiPlan& plan() const { return plan_; }

    void run(Address workspace, Address stream) const {
        const py::gil_scoped_release release;
        const DeviceScope scope(device_);
        const auto run_typed = single_ ? run_viterbi<float> : run_viterbi<double>;
        run_typed(call_, plan_, pointer<void>(workspace), pointer<CUstream_st>(stream));
    }

   private:
    ViterbiCall call_;
    BoundCtcBatch batch_;
    int device_;
    bool single_;
    ViterbiPlan plan_;
};

}  // namespace

void bind_viterbi(py::module_& module) {
    // Local, so that the emulated module can be loaded beside this one.
    py::class_<Viterbi>(module, "Viterbi", py::module_local(), "A planned call: give it a workspace and a stream.")
        .def(py::init([](const std::string& dtype, const BoundCtcBatch& batch, std::optional<std::int64_t> wildcard,
                         bool open_begin, bool open_end, Address frame_at, Address label_at, std::int64_t frame_room,
                         std::int64_t label_room, Address labels, Address frame_score, Address start, Address stop,
                         Address token_score, Address confidence, Address total, Address status, int device,
                         std::int64_t workspace_bytes) {
                 ViterbiCall call;
                 call.has_wildcard = wildcard.has_value();
                 call.wildcard = wildcard.value_or(0);
                 call.open_begin = open_begin;
                 call.open_end = open_end;
                 call.frame_at = pointer<const std::int64_t>(frame_at);
                 call.label_at = pointer<const std::int64_t>(label_at);
                 call.frame_room = frame_room;
                 call.label_room = label_room;
                 call.symbols = pointer<std::int64_t>(labels);
                 call.frame_scores = pointer<void>(frame_score);
                 call.starts = pointer<std::int64_t>(start);
                 call.stops = pointer<std::int64_t>(stop);
                 call.token_scores = pointer<void>(token_score);
                 call.confidence = pointer<void>(confidence);
                 call.total = pointer<double>(total);
                 call.status = pointer<std::int32_t>(status);
                 return Viterbi(dtype, call, batch, device, workspace_bytes);
             }),
             py::kw_only(), py::arg("dtype"), py::arg("batch"), py::arg("wildcard"), py::arg("open_begin"),
             py::arg("open_end"), py::arg("frame_at"), py::arg("label_at"), py::arg("frame_room"),
             py::arg("label_room"), py::arg("labels"), py::arg("frame_score"), py::arg("start"), py::arg("stop"),
             py::arg("token_score"), py::arg("confidence"), py::arg("total"), py::arg("status"), py::arg("device"),
             py::arg("workspace_bytes"))
        .def_property_readonly("workspace_bytes", [](const Viterbi& self) { return self.plan().workspace_bytes; })
        .def_property_readonly("problems_per_launch",
                               [](const Viterbi& self) { return self.plan().problems_per_launch; })
        .def_property_readonly(
            "piece", [](const Viterbi& self) { return self.plan().piece; },
            "Frames of a lattice whose directions are kept at a time.")
        .def("run", &Viterbi::run, py::kw_only(), py::arg("workspace"), py::arg("stream"),
             "Queue the call on the stream.");
}

}  // namespace coalign::cuda
