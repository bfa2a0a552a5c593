#include <pybind11/stl.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/result.hpp"
#include "core/isa.hpp"

namespace coalign::bindings {
namespace {

// Before 3.14, Python ends a thread that takes the GIL while the interpreter exits, by unwinding it: through frames
// whose destructors need the GIL again. Such a thread stays here instead, as in 3.14, and goes with the process.
[[noreturn]] void park() {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

bool interpreter_exits() {
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing() != 0;
#else
    return _Py_IsFinalizing() != 0;
#endif
}

// `work` takes the GIL. The interpreter may begin to exit after it was asked and before that.
template <class Work>
auto park_at_exit(Work&& work) {
    if (interpreter_exits()) park();
    try {
        return work();
    } catch (const ForcedUnwind&) {
        park();
    }
}

}  // namespace

WithoutGil::~WithoutGil() {
    park_at_exit([&] { PyEval_RestoreThread(state_); });
}

bool PythonMonitor::keep_going(std::int64_t done) {
    return park_at_exit([&] {
        const py::gil_scoped_acquire gil;
        // Python code may release the GIL and take it again. It is parked inside, so that nothing is unwound without
        // the GIL.
        return park_at_exit([&] {
            try {
                if (PyErr_CheckSignals() != 0) throw py::error_already_set();
                if (!progress_.is_none()) progress_(done);
                return true;
            } catch (const ForcedUnwind&) {
                throw;
            } catch (...) {
                pending_ = std::current_exception();
                return false;
            }
        });
    });
}

namespace {

// Never destroyed: the interpreter may be gone by then.
py::gil_safe_call_once_and_store<py::object>& not_finite_error() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> error;
    return error;
}

}  // namespace

void set_error(const NotFinite& found) {
    py::set_error(not_finite_error().get_stored(), py::make_tuple(found.argument, found.item, found.element));
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

    not_finite_error().call_once_and_store_result(
        [&]() -> py::object { return py::exception<NotFinite>(module, "NotFiniteError", PyExc_ValueError); });
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const NotFinite& found) {
            set_error(found);
        }
    });

    module.attr("override") = py::reinterpret_borrow<py::object>(override_variable());
    module.attr("version") = COALIGN_VERSION;
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
    bind_results(module);
    bind_assignment(module);
    bind_barycenter(module);
    bind_ctc(module);
    bind_decoding(module);
    bind_forced_alignment(module);
    bind_half(module);
    bind_monotonic(module);
    bind_partial(module);
    bind_points(module);
    bind_soft_warping(module);
    bind_subsequence(module);
    bind_transport(module);
    bind_warping(module);
    bind_warping_barycenter(module);
    bind_warping_search(module);
}
