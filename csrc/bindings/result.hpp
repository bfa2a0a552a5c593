// Results: immutable objects with documented fields, over one block of memory. A field becomes an array when it is
// first read, so that a call pays for the fields that its caller looks at.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <vector>

namespace coalign::bindings {

namespace py = pybind11;

// What a field holds one number of: each problem, each row or column or cell of a path; or it is no array at all.
enum class Per { row, column, path, problem, option };
enum class Element { float32, float64, int32, int64, computed };  // computed: of the dtype of the call

struct Field {
    const char* name;
    Per per;
    Element element;
    const char* doc;
    bool may_be_missing = false;  // by a call of the class: then it is None
};

inline constexpr int kMostFields = 8;

// A result class is made once from its fields.
struct Schema {
    const char* name;
    const char* doc;
    int count;
    std::array<Field, kMostFields> fields;
};

// How the problems of a result lie. One problem has no batch axis; a padded batch has as much room for each problem;
// those of a list follow each other.
enum class Form { one, padded, list };

struct Counts {
    Form form = Form::one;
    std::int64_t problems = 1;
    std::int64_t rows = 0, columns = 0;                       // of one problem, or a padded batch's room
    const std::vector<std::int64_t>* each_rows = nullptr;     // of a list
    const std::vector<std::int64_t>* each_columns = nullptr;  // of a list
    const std::vector<std::int64_t>* each_path = nullptr;     // of paths, which are a list in every batch
};

// Adds the class to a module: `_core.<name>`, the base of the public class.
PyTypeObject* make_result_class(py::module_& module, const Schema& schema);

// An object that is being filled. `data` is valid as long as it is.
class Result {
   public:
    // `type`: the public class, a subclass of the schema's. Fields of options are set by set().
    Result(PyTypeObject* type, const Schema& schema, const Counts& counts, Element computed);
    template <class T>
    T* data(int field) const {
        return reinterpret_cast<T*>(address(field));
    }
    // How many numbers a field of rows, columns or paths holds.
    std::int64_t size(int field) const;
    // A field that is not an array of numbers.
    void set(int field, py::object value);
    py::object release() { return std::move(object_); }

   private:
    char* address(int field) const;
    py::object object_;
};

}  // namespace coalign::bindings
