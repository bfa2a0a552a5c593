#include "bindings/call.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace coalign::bindings {
namespace {

constexpr int kMostThreads = 1024;

Isa isa_of_environment() {
    static const Isa widest = choose_isa("");
    const char* const wanted = std::getenv("COALIGN_ISA");
    return wanted == nullptr || *wanted == 0 ? widest : choose_isa(wanted);
}

template <class T>
std::optional<T> number(const py::object& forced, const char* name) {
    const py::object value = forced.attr(name);
    if (value.is_none()) return std::nullopt;
    return value.cast<T>();
}

}  // namespace

PyObject* override_variable() {
    // Never destroyed: the interpreter may be gone by then.
    static PyObject* const variable = PyContextVar_New("coalign_override", Py_None);
    if (variable == nullptr) throw py::error_already_set();
    return variable;
}

PyObject* call_general(const char* module, const char* function, PyObject* const* arguments, Py_ssize_t count) {
    const py::object general = py::module_::import(module).attr(function);
    return PyObject_Vectorcall(general.ptr(), arguments, static_cast<std::size_t>(count), nullptr);
}

Forced::Forced() {
    PyObject* value = nullptr;
    if (PyContextVar_Get(override_variable(), nullptr, &value) < 0) throw py::error_already_set();
    const auto forced = py::reinterpret_steal<py::object>(value);
    if (forced.is_none()) {
        isa = isa_of_environment();
        return;
    }
    const py::object wanted = forced.attr("isa");
    isa = wanted.is_none() ? isa_of_environment() : choose_isa(wanted.cast<std::string>());
    general = forced.attr("general").cast<bool>();
    work_per_thread = number<double>(forced, "work_per_thread");
    checkpoint_bytes = number<std::int64_t>(forced, "checkpoint_bytes");
    collect = forced.attr("note");
}

void Forced::note(std::string_view used, int workers) const {
    if (collect) collect(std::string(used), workers);
}

bool ThreadLimit::read(PyObject* threads) {
    std::int64_t count = 0;
    if (threads == Py_None) {
        const char* const wanted = std::getenv("COALIGN_NUM_THREADS");
        if (wanted == nullptr || *wanted == 0) return true;
        // A number from 1 to 99999; whatever else it may be is for the general way to read.
        const std::size_t digits = std::strspn(wanted, "0123456789");
        if (wanted[digits] != 0 || digits > 5) return false;
        count = std::strtoll(wanted, nullptr, 10);
    } else if (!PyLong_CheckExact(threads)) {
        return false;
    } else {
        int overflow = 0;
        count = PyLong_AsLongLongAndOverflow(threads, &overflow);
        if (overflow != 0) return false;
    }
    given_ = static_cast<int>(std::min<std::int64_t>(count, kMostThreads));
    return count >= 1;
}

int ThreadLimit::for_work(double work, double work_per_thread) const {
    if (work < 2 * work_per_thread) return 1;
    if (given_ > 0) return given_;
    return py::module_::import("coalign._execution").attr("default_threads")().cast<int>();
}

}  // namespace coalign::bindings
