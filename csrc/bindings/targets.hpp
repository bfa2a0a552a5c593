// Texts as plain callers give them: int64 arrays of labels.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>

#include "bindings/plain.hpp"
#include "core/ragged.hpp"

namespace coalign::bindings {

// One text (L,), a batch (B, L) with or without lengths, a list of texts, or all labels one after the other with
// lengths.
class PlainTargets {
   public:
    // False where anything needs words or a conversion.
    bool read(PyObject* given, PyObject* lengths) {
        if (PyList_CheckExact(given) || PyTuple_CheckExact(given)) return lengths == Py_None && read_list(given);
        PlainArray array;
        if (!array.read(given) || !array.is_int64() || !has_unit_stride(array)) return false;
        batch_.data = array.data<void>();
        batch_.columns = 1;
        batch_.row_stride = 1;
        if (array.axes() == 2) {
            is_batch_ = true;
            batch_.count = array.length(0);
            batch_.rows = array.length(1);
            batch_.item_stride = array.stride(0);
            return read_lengths(lengths, batch_.count, 0, batch_.rows, batch_.row_lengths);
        }
        batch_.count = 1;
        batch_.rows = array.length(0);
        return lengths == Py_None || cut(lengths);
    }

    // Valid as long as this object and the arguments live.
    const Ragged& batch() const { return batch_; }
    bool is_batch() const { return is_batch_; }

    // Whether every label is in [0, symbols) and none is the blank; or is the wildcard.
    bool are_labels(std::int64_t symbols, std::int64_t blank,
                    std::optional<std::int64_t> wildcard = std::nullopt) const {
        bool sound = true;
        for (std::int64_t p = 0; p < batch_.count; ++p) {
            const auto* const labels = batch_.begin_of<std::int64_t>(p);
            for (std::int64_t i = 0; i < batch_.rows_of(p); ++i)
                sound &= (labels[i] >= 0 && labels[i] < symbols && labels[i] != blank) || wildcard == labels[i];
        }
        return sound;
    }

    // The same text for each of `count` recordings.
    void repeat(std::int64_t count) {
        batch_.count = count;
        batch_.item_stride = 0;
    }

   private:
    static bool has_unit_stride(const PlainArray& array) {
        const int last = array.axes() - 1;
        return last >= 0 && last <= 1 && (array.length(last) <= 1 || array.size() == 0 || array.stride(last) == 1);
    }

    void add(const std::int64_t* labels, std::int64_t length) {
        table_.add(MatrixView<std::int64_t>{labels, length, 1, 1, 1});
    }

    bool read_list(PyObject* given) {
        is_batch_ = true;
        // We keep a tuple: another thread may change the list while the GIL is released.
        items_ = py::reinterpret_steal<py::tuple>(PySequence_Tuple(given));
        if (!items_) throw py::error_already_set();
        const auto count = static_cast<std::int64_t>(items_.size());
        table_ = RaggedTable(count);
        for (std::int64_t p = 0; p < count; ++p) {
            PlainArray array;
            if (!array.read(PyTuple_GET_ITEM(items_.ptr(), p)) || !array.is_int64() || array.axes() != 1 ||
                !has_unit_stride(array))
                return false;
            add(array.data<std::int64_t>(), array.length(0));
        }
        batch_ = table_.series(1);
        return count > 0;
    }

    // Labels one after the other, cut by lengths that use them up.
    bool cut(PyObject* given) {
        PlainArray array;
        if (!array.read(given) || array.axes() != 1) return false;
        const std::int64_t count = array.length(0), most = batch_.rows;
        const std::int64_t* lengths = nullptr;
        if (count == 0 || !read_lengths(given, count, 0, most, lengths)) return false;
        is_batch_ = true;
        const auto* at = batch_.begin_of<std::int64_t>(0);
        const auto* const end = at + most;
        table_ = RaggedTable(count);
        for (std::int64_t p = 0; p < count; ++p) {
            if (lengths[p] > end - at) return false;
            add(at, lengths[p]);
            at += lengths[p];
        }
        batch_ = table_.series(1);
        return at == end;
    }

    bool is_batch_ = false;
    Ragged batch_;
    RaggedTable table_;
    py::tuple items_;
};

}  // namespace coalign::bindings
