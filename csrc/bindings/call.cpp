#include "bindings/call.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <unistd.h>
#endif

namespace coalign::bindings {
namespace {

constexpr int kMostThreads = 1024;

// What the environment asks of a call, empty where it asks for nothing. A program may change it at any time.
struct Wishes {
    const char *isa = "", *threads = "";
};

#if defined(__linux__)
// The value of an entry `name=value`, or what there was.
const char* value_of(const char* entry, std::string_view name, const char* otherwise) {
    return std::strncmp(entry, name.data(), name.size()) == 0 ? entry + name.size() : otherwise;
}
#endif

// One look at all entries takes half of the time of a getenv for each variable, which is a tenth of a small call.
Wishes read_environment() {
    Wishes found;
#if defined(__linux__)
    for (char* const* at = environ; at != nullptr && *at != nullptr; ++at) {
        const char* const entry = *at;
        if (entry[0] != 'C' || entry[1] != 'O') continue;
        found.isa = value_of(entry, "COALIGN_ISA=", found.isa);
        found.threads = value_of(entry, "COALIGN_NUM_THREADS=", found.threads);
    }
#else
    if (const char* const isa = std::getenv("COALIGN_ISA")) found.isa = isa;
    if (const char* const threads = std::getenv("COALIGN_NUM_THREADS")) found.threads = threads;
#endif
    return found;
}

// The number of threads that the environment asks for: 0 for no wish, -1 for one that needs words.
int count_of(const char* wanted) {
    // A number from 1 to 99999; whatever else it may be is for the general way to read.
    const std::size_t digits = std::strspn(wanted, "0123456789");
    if (*wanted == 0) return 0;
    const int count = digits > 5 || wanted[digits] != 0 ? 0 : static_cast<int>(std::strtol(wanted, nullptr, 10));
    return count < 1 ? -1 : count;
}

// Of the call that this thread has begun last, with Forced.
thread_local int threads_of_environment = 0;

Isa isa_of(const Wishes& wishes) {
    static const Isa widest = choose_isa("");
    return *wishes.isa == 0 ? widest : choose_isa(wishes.isa);
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
    const Wishes wishes = read_environment();
    threads_of_environment = count_of(wishes.threads);
    if (forced.is_none()) {
        isa = isa_of(wishes);
        return;
    }
    const py::object wanted = forced.attr("isa");
    isa = wanted.is_none() ? isa_of(wishes) : choose_isa(wanted.cast<std::string>());
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
        count = threads_of_environment;
        if (count == 0) return true;
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
