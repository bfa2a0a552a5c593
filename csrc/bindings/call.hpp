// How one call runs: what tests force, the instruction set, the threads, the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "bindings/bindings.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"

namespace coalign::bindings {

// What `_execution.forced` asks of the calls inside it. Outside of it the operation decides everything.
struct Forced {
    // Reads the context variable `override`.
    Forced();

    Isa isa;
    bool general = false;
    std::optional<double> work_per_thread;
    std::optional<std::int64_t> checkpoint_bytes;
    py::object collect;  // takes what each call used

    // Tells whoever forced something what ran.
    void note(std::string_view used, int workers) const;
};

// The context variable that `_execution.forced` sets; made once, with the module.
PyObject* override_variable();

// A thread limit as plain callers give it: None, or a number of threads.
class ThreadLimit {
   public:
    // False where `threads` or COALIGN_NUM_THREADS needs words or a conversion.
    bool read(PyObject* threads);
    // The threads for so much work: the CPUs are counted only for work that can repay a second thread.
    int for_work(double work, double work_per_thread) const;

   private:
    int given_ = 0;  // 0: the CPUs of the process
};

// Work of a few microseconds keeps the GIL; signals wait for it, and nobody hears of its progress.
template <class Work>
auto run_call(bool is_small, Work&& work, PyObject* progress = Py_None) {
    if (!is_small) return watch(py::reinterpret_borrow<py::object>(progress), std::forward<Work>(work));
    Pulse pulse(nullptr);
    return work(pulse);
}

// Calls the function of that name in the module of the general way, which is imported when first needed.
PyObject* call_general(const char* module, const char* function, PyObject* const* arguments, Py_ssize_t count);

// A function of the front door in the interpreter's own calling convention; exceptions become Python's.
template <PyObject* (*function)(PyObject* const* arguments, Py_ssize_t count)>
PyObject* guarded(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    try {
        return function(arguments, count);
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const py::builtin_exception& error) {
        error.set_error();
    } catch (const NotFinite& found) {
        set_error(found);
    } catch (const std::invalid_argument& error) {
        PyErr_SetString(PyExc_ValueError, error.what());
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const ForcedUnwind&) {
        throw;
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

// Reads the arguments of a function and runs it: null where they are not plain, or where it says so. `Arguments` has
// kName, read(given, prepared), is_float32() and run<T>(forced, prepared).
template <class Arguments>
PyObject* read_and_run(PyObject* const* given, const Forced& forced, bool prepared) {
    Arguments arguments;
    if (!arguments.read(given, prepared)) {
        if (prepared) throw std::invalid_argument(std::string(Arguments::kName) + ": expected prepared arguments");
        return nullptr;
    }
    return arguments.is_float32() ? arguments.template run<float>(forced, prepared)
                                  : arguments.template run<double>(forced, prepared);
}

// A public function, of kCount arguments in its order. With one more they are prepared: they come from the general way,
// the function kName of the module kGeneral. What is not plain, or has no answer, goes there.
template <class Arguments>
PyObject* front_door(PyObject* const* given, Py_ssize_t count) {
    const bool prepared = count == Arguments::kCount + 1;
    if (!prepared && count != Arguments::kCount) throw std::invalid_argument("wrong number of arguments");
    const Forced forced;
    if (prepared || !forced.general) {
        try {
            if (PyObject* const result = read_and_run<Arguments>(given, forced, prepared)) return result;
        } catch (const NotFinite&) {
            if (prepared) throw;
        }
    }
    return call_general(Arguments::kGeneral, Arguments::kName, given, Arguments::kCount);
}

// A function that the general way alone calls.
template <class Arguments>
PyObject* inner_door(PyObject* const* given, Py_ssize_t count) {
    if (count != Arguments::kCount) throw std::invalid_argument("wrong number of arguments");
    return read_and_run<Arguments>(given, Forced(), true);
}

template <PyObject* (*function)(PyObject* const*, Py_ssize_t)>
void add_function(py::module_& module, const char* name, const char* doc) {
    // The calling convention goes with METH_FASTCALL. The interpreter keeps a pointer to the definition.
    const auto call = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&guarded<function>));
    static PyMethodDef functions[] = {{name, call, METH_FASTCALL, doc}, {nullptr, nullptr, 0, nullptr}};
    if (PyModule_AddFunctions(module.ptr(), functions) < 0) throw py::error_already_set();
}

}  // namespace coalign::bindings
