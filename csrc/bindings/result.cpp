#include "bindings/result.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "bindings/bindings.hpp"

namespace coalign::bindings {
namespace {

using py::detail::npy_api;

constexpr int kSides = 3;  // Per::row, Per::column, Per::path

// The memory behind arrays. Arrays hold it, and results hold both, so there is no cycle to collect.
struct Memory {
    PyObject_VAR_HEAD alignas(16) char bytes[1];
};

struct Slot {
    std::int64_t begin;  // of the numbers in the memory; negative where the field is no array
    PyObject* value;     // what has been read, or is no array
    PyObject* given;     // what native code has set, if that had to be locked
};

// It ends with a slot for each field of its schema: the allocator of Python keeps blocks of up to 512 bytes ready.
struct Object {
    PyObject_HEAD const Schema* schema;
    Memory* memory;  // none in a result that Python code has made from objects
    Form form;
    Element computed;
    std::int64_t problems;
    std::int64_t room[kSides];       // of one problem, or a padded batch
    std::int64_t numbers[kSides];    // of all problems
    std::int64_t counts_at[kSides];  // of a list: where the counts of the problems begin
    Slot slots[1];
};

constexpr int size_of(const Schema& schema) {
    return static_cast<int>(offsetof(Object, slots)) + schema.count * static_cast<int>(sizeof(Slot));
}

// Types live as long as the process.
PyTypeObject* memory_type = nullptr;
struct ResultClass {
    const Schema* schema;
    PyTypeObject *fields, *result;
};
std::vector<ResultClass>& classes() {
    static auto* const known = new std::vector<ResultClass>;
    return *known;
}

Object* object_of(PyObject* self) {
    return reinterpret_cast<Object*>(self);
}

Element element_of(const Object& object, int field) {
    const Element element = object.schema->fields[static_cast<std::size_t>(field)].element;
    return element == Element::computed ? object.computed : element;
}

std::int64_t size_of(Element element) {
    return element == Element::float32 || element == Element::int32 ? 4 : 8;
}

py::object descr_of(Element element) {
    const int type = element == Element::float32   ? npy_api::NPY_FLOAT_
                     : element == Element::float64 ? npy_api::NPY_DOUBLE_
                     : element == Element::int32   ? npy_api::NPY_INT32_
                                                   : npy_api::NPY_INT64_;
    return py::reinterpret_steal<py::object>(npy_api::get().PyArray_DescrFromType_(type));
}

// An array over the memory; without axes, the number itself.
py::object view(Memory* memory, std::int64_t begin, Element element, std::initializer_list<std::int64_t> shape,
                bool writeable) {
    auto& api = npy_api::get();
    char* const data = memory->bytes + begin;
    const py::object descr = descr_of(element);
    PyObject* made = nullptr;
    if (shape.size() == 0) {
        made = api.PyArray_Scalar_(data, descr.ptr(), nullptr);
    } else {
        std::array<Py_intptr_t, 2> lengths{};
        std::copy(shape.begin(), shape.end(), lengths.begin());
        made = api.PyArray_NewFromDescr_(api.PyArray_Type_, descr.inc_ref().ptr(), static_cast<int>(shape.size()),
                                         lengths.data(), nullptr, data, writeable ? npy_api::NPY_ARRAY_WRITEABLE_ : 0,
                                         nullptr);
        if (made != nullptr && api.PyArray_SetBaseObject_(made, Py_NewRef(reinterpret_cast<PyObject*>(memory))) < 0)
            Py_CLEAR(made);
    }
    if (made == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
}

const std::int64_t* counts_of(const Object& object, Per per) {
    const std::int64_t at = object.counts_at[static_cast<int>(per)];
    return reinterpret_cast<const std::int64_t*>(object.memory->bytes + at);
}

bool is_list(const Object& object, Per per) {
    return object.form == Form::list || (object.form == Form::padded && per == Per::path);
}

py::object make(const Object& object, int field, bool writeable) {
    const Per per = object.schema->fields[static_cast<std::size_t>(field)].per;
    const Element element = element_of(object, field);
    std::int64_t begin = object.slots[field].begin;
    if (per == Per::problem) {
        if (object.form == Form::one) return view(object.memory, begin, element, {}, writeable);
        return view(object.memory, begin, element, {object.problems}, writeable);
    }
    const std::int64_t room = object.room[static_cast<int>(per)];
    if (object.form == Form::one) return view(object.memory, begin, element, {room}, writeable);
    if (!is_list(object, per)) return view(object.memory, begin, element, {object.problems, room}, writeable);
    py::list items(static_cast<py::size_t>(object.problems));
    const std::int64_t* const counts = counts_of(object, per);
    for (std::int64_t p = 0; p < object.problems; ++p) {
        PyList_SET_ITEM(items.ptr(), p, view(object.memory, begin, element, {counts[p]}, writeable).release().ptr());
        begin += counts[p] * size_of(element);
    }
    return items;
}

PyObject* get(PyObject* self, void* closure) {
    const auto field = static_cast<int>(reinterpret_cast<std::intptr_t>(closure));
    Object& object = *object_of(self);
    PyObject* value = __atomic_load_n(&object.slots[field].value, __ATOMIC_ACQUIRE);
    if (value == nullptr) {
        try {
            py::object made = make(object, field, false);
            // Another thread may have been quicker: both then have its array.
            if (__atomic_compare_exchange_n(&object.slots[field].value, &value, made.ptr(), false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE))
                value = made.release().ptr();
        } catch (py::error_already_set& error) {
            error.restore();
            return nullptr;
        }
    }
    return Py_NewRef(value);
}

// The fields again as writable arrays, for a library that has no other kind.
PyObject* writeable_fields(PyObject* self, PyObject*) {
    const Object& object = *object_of(self);
    try {
        py::tuple out(static_cast<py::size_t>(object.schema->count));
        for (int field = 0; field < object.schema->count; ++field) {
            PyObject* const given = object.slots[field].given;
            const bool is_made = object.memory != nullptr && object.slots[field].begin >= 0;
            out[static_cast<py::size_t>(field)] =
                is_made ? make(object, field, true)
                        : py::reinterpret_borrow<py::object>(given != nullptr ? given : object.slots[field].value);
        }
        return out.release().ptr();
    } catch (py::error_already_set& error) {
        error.restore();
        return nullptr;
    }
}

// A read-only view of an array, or a list of those; anything else is returned as it is.
py::object locked(py::handle value) {
    if (py::isinstance<py::list>(value)) {
        py::list items;
        for (const py::handle item : value) items.append(locked(item));
        return items;
    }
    auto& api = npy_api::get();
    if (Py_TYPE(value.ptr()) != api.PyArray_Type_) return py::reinterpret_borrow<py::object>(value);
    auto look = py::reinterpret_steal<py::object>(api.PyArray_View_(value.ptr(), nullptr, nullptr));
    if (!look) throw py::error_already_set();
    py::detail::array_proxy(look.ptr())->flags &= ~npy_api::NPY_ARRAY_WRITEABLE_;
    return look;
}

ResultClass& class_of(PyTypeObject* type) {
    for (PyTypeObject* base = type; base != nullptr; base = base->tp_base)
        for (ResultClass& known : classes())
            if (known.fields == base) return known;
    throw py::type_error("not a result class");
}

PyObject* construct(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    try {
        const Schema& schema = *class_of(type).schema;
        const auto given = py::reinterpret_borrow<py::tuple>(arguments);
        const auto named = keywords == nullptr ? py::dict() : py::reinterpret_borrow<py::dict>(keywords);
        if (given.size() > static_cast<std::size_t>(schema.count)) throw py::type_error("too many fields");
        auto made = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
        if (!made) throw py::error_already_set();
        Object& object = *object_of(made.ptr());
        object.schema = &schema;
        std::size_t used = given.size();
        for (int f = 0; f < schema.count; ++f) {
            const Field& field = schema.fields[static_cast<std::size_t>(f)];
            py::object value = py::none();
            if (static_cast<std::size_t>(f) < given.size()) {
                value = given[static_cast<std::size_t>(f)];
            } else if (named.contains(field.name)) {
                value = named[field.name];
                ++used;
            } else if (!field.may_be_missing) {
                throw py::type_error(std::string(schema.name) + ": missing field " + field.name);
            }
            value = locked(value);
            object.slots[f].value = value.release().ptr();
        }
        if (used != given.size() + named.size()) throw py::type_error(std::string(schema.name) + ": unknown field");
        return made.release().ptr();
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const py::builtin_exception& error) {
        error.set_error();
    }
    return nullptr;
}

void destroy(PyObject* self) {
    Object& object = *object_of(self);
    for (int field = 0; object.schema != nullptr && field < object.schema->count; ++field) {
        Py_XDECREF(object.slots[field].value);
        Py_XDECREF(object.slots[field].given);
    }
    Py_XDECREF(object.memory);
    PyTypeObject* const type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

void destroy_memory(PyObject* self) {
    PyTypeObject* const type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyTypeObject* make_type(PyType_Spec& spec) {
    PyObject* const type = PyType_FromSpec(&spec);
    if (type == nullptr) throw py::error_already_set();
    return reinterpret_cast<PyTypeObject*>(type);
}

Memory* new_memory(std::int64_t bytes) {
    if (memory_type == nullptr) {
        static PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(destroy_memory)}, {0, nullptr}};
        static PyType_Spec spec{"coalign._core.Memory", sizeof(Memory), 1,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
        memory_type = make_type(spec);
    }
    // Not tp_alloc, which would fill it with zeros.
    auto* const memory = PyObject_NewVar(Memory, memory_type, bytes);
    if (memory == nullptr) throw py::error_already_set();
    return memory;
}

}  // namespace

void make_result_class(py::module_& module, const Schema& schema) {
    // The interpreter keeps pointers to these.
    auto* const getters = new std::vector<PyGetSetDef>;
    for (int f = 0; f < schema.count; ++f)
        getters->push_back({schema.fields[static_cast<std::size_t>(f)].name, get, nullptr,
                            schema.fields[static_cast<std::size_t>(f)].doc, reinterpret_cast<void*>(std::intptr_t{f})});
    getters->push_back({nullptr, nullptr, nullptr, nullptr, nullptr});
    static PyMethodDef methods[] = {
        {"_writeable_fields", writeable_fields, METH_NOARGS, "The fields as arrays that may be written."},
        {nullptr, nullptr, 0, nullptr}};
    PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(construct)},
                           {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
                           {Py_tp_getset, getters->data()},
                           {Py_tp_methods, methods},
                           {Py_tp_doc, const_cast<char*>(schema.doc)},
                           {0, nullptr}};
    const auto* const name = new std::string("coalign._core." + std::string(schema.name));
    PyType_Spec spec{name->c_str(), size_of(schema), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    PyTypeObject* const type = make_type(spec);
    classes().push_back({&schema, type, nullptr});
    py::tuple names(static_cast<py::size_t>(schema.count));
    for (int f = 0; f < schema.count; ++f)
        names[static_cast<py::size_t>(f)] = py::str(schema.fields[static_cast<std::size_t>(f)].name);
    const py::handle handle(reinterpret_cast<PyObject*>(type));
    handle.attr("_fields") = names;
    module.attr(schema.name) = handle;
}

PyTypeObject* public_class(const Schema& schema) {
    const auto known = std::find_if(classes().begin(), classes().end(),
                                    [&](const ResultClass& candidate) { return candidate.schema == &schema; });
    return known->result;
}

void bind_results(py::module_& module) {
    module.def(
        "connect_result",
        [](const py::type& result) {
            auto* const type = reinterpret_cast<PyTypeObject*>(result.ptr());
            class_of(type).result = type;
            // It lives as long as the process.
            result.inc_ref();
        },
        py::arg("result"), "Hands over the public class of some fields.");
}

Result::Result(const Schema& schema, const Counts& counts, Element computed) {
    PyTypeObject* const type = public_class(schema);
    object_ = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
    if (!object_) throw py::error_already_set();
    Object& object = *object_of(object_.ptr());
    object.schema = &schema;
    object.form = counts.form;
    object.computed = computed;
    object.problems = counts.problems;
    object.room[static_cast<int>(Per::row)] = counts.rows;
    object.room[static_cast<int>(Per::column)] = counts.columns;
    const std::int64_t* const each[kSides] = {counts.each_rows, counts.each_columns, counts.each_path};
    auto& numbers = object.numbers;
    for (int side = 0; side < kSides; ++side)
        numbers[side] = each[side] != nullptr
                            ? std::accumulate(each[side], each[side] + counts.problems, std::int64_t{0})
                            : counts.problems * object.room[side];
    if (counts.form == Form::one && counts.each_path != nullptr)
        object.room[static_cast<int>(Per::path)] = numbers[static_cast<int>(Per::path)];
    std::int64_t end = 0;
    for (int f = 0; f < schema.count; ++f) {
        const Field& field = schema.fields[static_cast<std::size_t>(f)];
        const bool is_array = field.per != Per::option && (field.per != Per::path || counts.each_path != nullptr);
        object.slots[f].begin = is_array ? end : -1;
        if (!is_array) {
            object.slots[f].value = Py_NewRef(Py_None);
            continue;
        }
        const std::int64_t size = size_of(element_of(object, f));
        const std::int64_t many = field.per == Per::problem ? counts.problems : numbers[static_cast<int>(field.per)];
        end += (many * size + 7) / 8 * 8;
    }
    for (int side = 0; side < kSides; ++side) {
        object.counts_at[side] = end;
        if (each[side] != nullptr) end += counts.problems * std::int64_t{sizeof(std::int64_t)};
    }
    object.memory = new_memory(end);
    for (int side = 0; side < kSides; ++side)
        if (each[side] != nullptr)
            std::copy_n(each[side], counts.problems,
                        reinterpret_cast<std::int64_t*>(object.memory->bytes + object.counts_at[side]));
}

char* Result::address(int field) const {
    const Object& object = *object_of(object_.ptr());
    return object.memory->bytes + object.slots[field].begin;
}

std::int64_t Result::size(int field) const {
    const Object& object = *object_of(object_.ptr());
    return object.numbers[static_cast<int>(object.schema->fields[static_cast<std::size_t>(field)].per)];
}

void Result::set(int field, const py::object& value) {
    Slot& slot = object_of(object_.ptr())->slots[field];
    slot.begin = -1;
    Py_XSETREF(slot.value, locked(value).release().ptr());
    if (slot.value != value.ptr()) slot.given = Py_NewRef(value.ptr());
}

}  // namespace coalign::bindings
