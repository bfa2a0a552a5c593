// Results: immutable objects with documented fields, over one block of memory. A field becomes an array when it is
// first read, so that a call pays for the fields that its caller looks at.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/ragged.hpp"

namespace coalign::bindings {

namespace py = pybind11;

// What a field has one number for: each problem, each row, column or cell of a path. An option is no array.
enum class Per { row, column, path, problem, option };
enum class Element { float32, float64, int32, int64, computed };  // computed: of the dtype of the call

struct Field {
    const char* name;
    Per per;
    Element element;
    const char* doc;
    bool may_be_missing = false;  // by a call of the class: then it is None
};

inline constexpr int kMostFields = 20;

// A result class is made once from its fields.
struct Schema {
    const char* name;
    const char* doc;
    int count;
    std::array<Field, kMostFields> fields;
};

// How the problems of a result lie. One problem has no batch axis, a padded batch has the same room for each problem,
// and the problems of a list follow each other.
enum class Form { one, padded, list };

struct Counts {
    Form form = Form::one;
    std::int64_t problems = 1;
    std::int64_t rows = 0, columns = 0;  // of one problem, or a padded batch's room
    // One for each problem: of a list, and of paths, which are a list in every batch.
    const std::int64_t *each_rows = nullptr, *each_columns = nullptr, *each_path = nullptr;

    // The lengths of paths as they stand above. Those of no problems are an empty list, and not nullptr, which says
    // that there are no paths.
    static const std::int64_t* of_paths(const std::vector<std::int64_t>& lengths) {
        static constexpr std::int64_t kNone = 0;
        return lengths.empty() ? &kNone : lengths.data();
    }

    // The counts of matrices.
    static Counts of(Form form, const Ragged& batch) {
        if (form == Form::list) return {form, batch.count, 0, 0, batch.row_lengths, batch.column_lengths, nullptr};
        return {form, batch.count, batch.rows, batch.columns, nullptr, nullptr, nullptr};
    }
};

// Hands out the parts of a field of rows or columns, problem by problem. A padded batch has the same room for each;
// what a problem leaves of it is filled.
template <class T>
class Parts {
   public:
    Parts(T* data, Form form, std::int64_t room, T filler)
        : next_(data), room_(form == Form::padded ? room : 0), filler_(filler) {}
    T* take(std::int64_t count) {
        T* const taken = next_;
        next_ += count;
        for (; next_ < taken + room_; ++next_) *next_ = filler_;
        return taken;
    }

   private:
    T* next_;
    std::int64_t room_;
    T filler_;
};

// Adds the class to a module: `_core.<name>`, the base of the public class.
void make_result_class(py::module_& module, const Schema& schema);

// The public class of a schema, once Python has handed it over.
PyTypeObject* public_class(const Schema& schema);
// Adds the function by which Python hands it over.
void bind_results(py::module_& module);

// An object that is being filled. `data` is valid as long as it is.
class Result {
   public:
    // Makes an object of the public class. Fields of options, and of paths that there are not, are None.
    Result(const Schema& schema, const Counts& counts, Element computed);
    template <class T>
    T* data(int field) const {
        return reinterpret_cast<T*>(address(field));
    }
    // How many numbers a field of rows, columns or paths holds.
    std::int64_t size(int field) const;
    // A field that is not an array of numbers, which is None until then; arrays, alone or in a list, are locked.
    void set(int field, const py::object& value);
    py::object release() { return std::move(object_); }

   private:
    char* address(int field) const;
    py::object object_;
};

}  // namespace coalign::bindings
