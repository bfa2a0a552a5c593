// Batches as plain callers give them: one array, an array of items with or without lengths, or a list of arrays.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "core/ragged.hpp"

namespace coalign::bindings {

// The items that an operation can read in place.
struct Readable {
    // Series are (T, D) with frames one after the other, all of one D, or (T,); matrices are (N, M).
    enum class Items { series, matrices, matrices_by_rows } items;
    // The rows of each, and the columns of a matrix.
    std::int64_t least, most;
};

class PlainBatch {
   public:
    explicit PlainBatch(const Readable& readable) : readable_(readable) {}

    // False where anything needs words or a conversion.
    bool read(PyObject* given, PyObject* row_lengths = Py_None, PyObject* column_lengths = Py_None) {
        if (PyList_CheckExact(given) || PyTuple_CheckExact(given))
            return row_lengths == Py_None && column_lengths == Py_None && read_list(given);
        PlainArray array;
        if (!array.read(given)) return false;
        const bool is_padded = array.axes() == 3;
        is_float32_ = array.is_float32();
        MatrixView<void> item{};
        if (!take(array, is_padded ? 1 : 0, item)) return false;
        batch_.data = item.data;
        batch_.rows = item.rows;
        batch_.columns = item.columns;
        batch_.row_stride = item.row_stride;
        batch_.column_stride = item.column_stride;
        batch_.count = 1;
        if (!is_padded) return row_lengths == Py_None && column_lengths == Py_None;
        form_ = Form::padded;
        batch_.count = array.length(0);
        batch_.item_stride = array.stride(0);
        const auto take_lengths = [&](PyObject* object, std::int64_t most, const std::int64_t*& lengths) {
            return read_lengths(object, batch_.count, readable_.least, most, lengths);
        };
        return batch_.count >= readable_.least && take_lengths(row_lengths, batch_.rows, batch_.row_lengths) &&
               take_lengths(column_lengths, batch_.columns, batch_.column_lengths);
    }

    // Valid as long as this object and the arguments live.
    const Ragged& batch() const { return batch_; }
    Form form() const { return form_; }
    // Of a list.
    PyObject* item(std::int64_t p) const { return PyTuple_GET_ITEM(items_.ptr(), static_cast<Py_ssize_t>(p)); }
    bool is_batch() const { return form_ != Form::one; }
    bool is_float32() const { return is_float32_; }

   private:
    bool read_list(PyObject* given) {
        form_ = Form::list;
        // We keep a tuple: another thread may change the list while the GIL is released.
        items_ = py::reinterpret_steal<py::object>(PySequence_Tuple(given));
        if (!items_) throw py::error_already_set();
        const std::int64_t count = PyTuple_GET_SIZE(items_.ptr());
        table_ = RaggedTable(count);
        for (std::int64_t p = 0; p < count; ++p) {
            PlainArray array;
            if (!array.read(PyTuple_GET_ITEM(items_.ptr(), p))) return false;
            if (p == 0) is_float32_ = array.is_float32();
            MatrixView<void> item{};
            if (!take(array, 0, item)) return false;
            if (p == 0) batch_.columns = item.columns;
            if (is_series() && item.columns != batch_.columns) return false;
            table_.add(item);
        }
        batch_ = is_series() ? table_.series(batch_.columns) : table_.batch();
        return count > 0;
    }

    bool is_series() const { return readable_.items == Readable::Items::series; }

    // Reads an item from an axis on; its dtype must be that of the first item.
    bool take(const PlainArray& array, int axis, MatrixView<void>& item) const {
        const int axes = array.axes() - axis;
        if (array.is_int64() || array.is_float32() != is_float32_ || axes > 2 || axes < 1) return false;
        if (axes == 1 && (axis > 0 || !is_series())) return false;
        item = {array.data<void>(), array.length(axis), axes > 1 ? array.length(axis + 1) : 1, array.stride(axis), 1};
        // A single column has no stride: it is read as the only element of each row. Nor has an array without elements.
        if (item.columns > 1 && array.size() > 0) item.column_stride = array.stride(axis + 1);
        if (item.rows < readable_.least || item.rows > readable_.most || item.columns < readable_.least) return false;
        if (is_series()) {
            if (item.column_stride != 1 || (item.rows > 1 && item.row_stride != item.columns)) return false;
            item.row_stride = item.columns;
            return true;
        }
        return item.columns <= readable_.most &&
               (readable_.items == Readable::Items::matrices || item.column_stride == 1);
    }

    Readable readable_;
    Form form_ = Form::one;
    bool is_float32_ = false;
    Ragged batch_;
    RaggedTable table_;
    py::object items_;  // a tuple, of a list
};

}  // namespace coalign::bindings
