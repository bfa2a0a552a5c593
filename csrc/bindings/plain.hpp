// Arguments as most callers give them: exact NumPy arrays of float32 or float64 that can be read where they lie, lists
// of them, and plain scalars. They are read without Python code. A reader that meets anything else says so by returning
// false, and the caller takes the general way, which words the errors and prepares what can be prepared.
#pragma once

#include <pybind11/numpy.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace coalign::bindings {

namespace py = pybind11;

// A NumPy array as it lies in memory. Nothing owns it: it lives as long as the argument.
class PlainArray {
   public:
    // False unless `object` is exactly an aligned array of this machine's byte order with strides of whole elements.
    bool read(PyObject* object) {
        if (Py_TYPE(object) != py::detail::npy_api::get().PyArray_Type_) return false;
        array_ = py::detail::array_proxy(object);
        if ((array_->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return false;
        const auto* const descr = py::detail::array_descriptor_proxy(array_->descr);
        if (descr->byteorder != '=') return false;
        type_ = descr->type_num;
        const std::int64_t size = element_size();
        for (int axis = 0; axis < axes(); ++axis)
            if (size == 0 || (length(axis) > 1 && array_->strides[axis] % size != 0)) return false;
        return size != 0;
    }

    bool is_float32() const { return type_ == py::detail::npy_api::NPY_FLOAT_; }
    bool is_float64() const { return type_ == py::detail::npy_api::NPY_DOUBLE_; }
    bool is_int64() const {
        return type_ == py::detail::npy_api::NPY_INT64_ || type_ == py::detail::npy_api::NPY_LONGLONG_;
    }
    template <class T>
    bool holds() const {
        return sizeof(T) == sizeof(float) ? is_float32() : is_float64();
    }

    int axes() const { return array_->nd; }
    std::int64_t length(int axis) const { return array_->dimensions[axis]; }
    std::int64_t size() const {
        std::int64_t product = 1;
        for (int axis = 0; axis < axes(); ++axis) product *= length(axis);
        return product;
    }
    // In elements; 0 for an axis of one element.
    std::int64_t stride(int axis) const {
        return length(axis) > 1 ? static_cast<std::int64_t>(array_->strides[axis]) / element_size() : 0;
    }
    // The first byte and the one past the last; nothing lies between them in an array of no elements.
    std::pair<std::uintptr_t, std::uintptr_t> extent() const {
        auto first = reinterpret_cast<std::uintptr_t>(array_->data), last = first;
        if (size() == 0) return {first, first};
        for (int axis = 0; axis < axes(); ++axis) {
            const std::int64_t step = (length(axis) - 1) * stride(axis) * element_size();
            (step < 0 ? first : last) += static_cast<std::uintptr_t>(step);
        }
        return {first, last + static_cast<std::uintptr_t>(element_size())};
    }
    bool is_contiguous() const { return (array_->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0; }
    bool is_writeable() const { return (array_->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0; }
    template <class T>
    const T* data() const {
        return static_cast<const T*>(static_cast<const void*>(array_->data));
    }
    // For an array that may be written.
    template <class T>
    T* room() const {
        return static_cast<T*>(static_cast<void*>(array_->data));
    }

   private:
    std::int64_t element_size() const { return is_float32() ? 4 : is_float64() || is_int64() ? 8 : 0; }

    const py::detail::PyArray_Proxy* array_ = nullptr;
    int type_ = 0;
};

// One integer per problem, each in [least, most]; null where None was given.
inline bool read_lengths(PyObject* object, std::int64_t count, std::int64_t least, std::int64_t most,
                         const std::int64_t*& lengths) {
    lengths = nullptr;
    if (object == Py_None) return true;
    PlainArray array;
    if (!array.read(object) || !array.is_int64() || array.axes() != 1 || !array.is_contiguous() ||
        array.length(0) != count)
        return false;
    lengths = array.data<std::int64_t>();
    for (std::int64_t p = 0; p < count; ++p)
        if (lengths[p] < least || lengths[p] > most) return false;
    return true;
}

inline bool read_flag(PyObject* object, bool& flag) {
    flag = object == Py_True;
    return flag || object == Py_False;
}

// A Python int that fits; other objects that act as one are not taken.
inline bool read_integer(PyObject* object, std::int64_t& value) {
    if (!PyLong_CheckExact(object)) return false;
    int overflow = 0;
    value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow == 0;
}

// A Python float or int that is a number; empty where None was given.
inline bool read_number(PyObject* object, std::optional<double>& value) {
    value.reset();
    if (object == Py_None) return true;
    if (PyFloat_CheckExact(object)) {
        value = PyFloat_AS_DOUBLE(object);
        return !std::isnan(*value);
    }
    std::int64_t integer = 0;
    if (!read_integer(object, integer) || std::abs(static_cast<double>(integer)) > 0x1p53) return false;
    value = static_cast<double>(integer);
    return true;
}

// Whether a str is this one, of ASCII; false for anything else.
inline bool is_text(PyObject* object, std::string_view text) {
    return PyUnicode_CheckExact(object) && PyUnicode_IS_COMPACT_ASCII(object) &&
           static_cast<std::size_t>(PyUnicode_GET_LENGTH(object)) == text.size() &&
           std::memcmp(PyUnicode_1BYTE_DATA(object), text.data(), text.size()) == 0;
}

// Whether the device is the CPU, by name or by default.
inline bool read_cpu(PyObject* object) {
    return object == Py_None || is_text(object, "cpu");
}

}  // namespace coalign::bindings
