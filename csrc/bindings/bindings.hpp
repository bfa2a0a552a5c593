// What the bindings of all operations share: how a call runs, how it is watched, and how it reports bad values.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "core/parallel.hpp"

namespace coalign::bindings {

namespace py = pybind11;

void bind_assignment(py::module_& module);
void bind_barycenter(py::module_& module);
void bind_ctc(py::module_& module);
void bind_decoding(py::module_& module);
void bind_forced_alignment(py::module_& module);
void bind_half(py::module_& module);
void bind_monotonic(py::module_& module);
void bind_partial(py::module_& module);
void bind_points(py::module_& module);
void bind_soft_warping(py::module_& module);
void bind_subsequence(py::module_& module);
void bind_transport(py::module_& module);
void bind_warping(py::module_& module);
void bind_warping_barycenter(py::module_& module);
void bind_warping_search(py::module_& module);

// Checks what our own Python code never gets wrong.
inline void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

// A value that must be finite and is not: the argument (0 or 1), its item, and the element of the item.
struct NotFinite : std::exception {
    NotFinite(int argument_, std::int64_t item_, std::int64_t element_)
        : argument(argument_), item(item_), element(element_) {}
    const char* what() const noexcept override { return "value is not finite"; }
    int argument;
    std::int64_t item, element;
};

// Raises it in Python, as _core.NotFiniteError.
void set_error(const NotFinite& found);

// Releases the GIL as long as it lives.
class WithoutGil {
   public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;
    ~WithoutGil();

   private:
    PyThreadState* state_;
};

// Runs Python's signal handlers, and the progress callback, while native code works without the GIL.
class PythonMonitor final : public Monitor {
   public:
    explicit PythonMonitor(py::object progress) : progress_(std::move(progress)) {}
    bool keep_going(std::int64_t done) override;
    // With the GIL held: raises what a handler or the callback raised.
    void raise_pending();

   private:
    py::object progress_;
    std::exception_ptr pending_;
};

// Runs `work(pulse)` without the GIL under a monitor; raises what interrupted it.
template <class Work>
auto watch(py::object progress, Work&& work) {
    PythonMonitor monitor(std::move(progress));
    std::invoke_result_t<Work, Pulse&> run;
    {
        const WithoutGil released;
        Pulse pulse(&monitor);
        run = work(pulse);
    }
    monitor.raise_pending();
    return run;
}

}  // namespace coalign::bindings
