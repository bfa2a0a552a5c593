#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "core/isa.hpp"

namespace coalign::bindings {

bool PythonMonitor::keep_going(std::int64_t done) {
    const py::gil_scoped_acquire gil;
    try {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!progress_.is_none()) progress_(done);
        return true;
    } catch (...) {
        pending_ = std::current_exception();
        return false;
    }
}

void PythonMonitor::raise_pending() {
    if (pending_) std::rethrow_exception(std::exchange(pending_, nullptr));
}

}  // namespace coalign::bindings

namespace py = pybind11;

// Free-threaded Python: a call touches only its arguments and its own workspace.
PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
    using namespace coalign;
    using namespace coalign::bindings;

    module.doc() = "Native kernels of coalign. Private: the arguments are checked for memory safety only.";

    // Never destroyed: the interpreter may be gone by then.
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> not_finite;
    not_finite.call_once_and_store_result(
        [&]() -> py::object { return py::exception<NotFinite>(module, "NotFiniteError", PyExc_ValueError); });
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const NotFinite& found) {
            py::set_error(not_finite.get_stored(), py::make_tuple(found.argument, found.item, found.element));
        }
    });

    module.attr("compiler") = COALIGN_COMPILER;
    module.def(
        "available_isas",
        [] {
            std::vector<std::string> names;
            for (const Isa isa : available_isas()) names.emplace_back(name(isa));
            return names;
        },
        "Instruction sets that this CPU runs, from the narrowest to the widest.");
    module.def(
        "choose_isa", [](const std::string& wanted) { return std::string(name(choose_isa(wanted))); },
        py::arg("wanted"), "The instruction set that a call would use.");
    bind_warping(module);
}
