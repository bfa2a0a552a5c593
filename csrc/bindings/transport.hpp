// What transport of stored costs and of points share: the fields of a result, and the arguments beside costs or clouds.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "transport/sinkhorn.hpp"

namespace coalign::bindings {

enum TransportField {
    kF,
    kG,
    kCost,
    kValue,
    kMarginalError,
    kIterations,
    kStatus,
    kCostMatrix,
    kA,
    kB,
    kEpsilon,
    kUnbalanced,
    kTol,
    kRowLengths,
    kColLengths
};

// The fields of a result of either kind, which differ by two options alone.
constexpr Schema fields_of(const char* name, const char* doc, const Field& first, const Field& second) {
    return {
        name,
        doc,
        15,
        {{{"f", Per::row, Element::computed, "The potentials of the rows."},
          {"g", Per::column, Element::computed, "The potentials of the columns."},
          {"cost", Per::problem, Element::float64, "The sum of plan times cost."},
          {"value", Per::problem, Element::float64, "The regularised objective."},
          {"marginal_error", Per::problem, Element::float64, "How far the plan is from its marginals."},
          {"iterations", Per::problem, Element::int64, "How many updates of both potentials were made."},
          {"status", Per::problem, Element::int32, "A `Status` for each problem."},
          {"cost_matrix", Per::option, Element::computed, "The costs that were given."},
          {"a", Per::option, Element::computed, "The weights of the rows, or None."},
          {"b", Per::option, Element::computed, "The weights of the columns, or None."},
          first,
          second,
          {"tol", Per::option, Element::float64, "The marginal error that was asked for."},
          {"row_lengths", Per::option, Element::int64, "The rows of each problem of a padded batch, or None.", true},
          {"col_lengths", Per::option, Element::int64, "The columns of each problem of a padded batch, or None.",
           true}}}};
}

inline constexpr Field kEpsilonField{"epsilon", Per::option, Element::float64, "The regularisation."};
inline constexpr Schema kTransport =
    fields_of("TransportFields", "The fields of `coalign.Transport`.", kEpsilonField,
              {"unbalanced", Per::option, Element::float64, "What a divergence from the marginals costs, or None."});

// Calls with fewer cells times iterations keep the GIL: so many take some 50 us.
inline constexpr double kSmallWork = 1e5;

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One side of a batch: the rows of its problems, or the columns.
struct Axis {
    Form form;
    std::int64_t problems, room;
    const std::int64_t* lengths;  // one for each problem, or null: all are `room`
    bool is_float32;
    std::int64_t length(std::int64_t p) const { return lengths != nullptr ? lengths[p] : room; }
};
inline Axis rows_of(const PlainBatch& costs) {
    const Ragged& batch = costs.batch();
    return {costs.form(), batch.count, batch.rows, batch.row_lengths, costs.is_float32()};
}
inline Axis columns_of(const PlainBatch& costs) {
    const Ragged& batch = costs.batch();
    return {costs.form(), batch.count, batch.columns, batch.column_lengths, costs.is_float32()};
}

// Vectors beside the rows or the columns of costs: one for all, one for each problem of a padded batch, or a list.
class PlainVectors {
   public:
    // False where anything needs words or a conversion.
    bool read(PyObject* given, const Axis& axis) {
        if (given == Py_None) return true;
        if (axis.form == Form::list) {
            if (!PyList_CheckExact(given) && !PyTuple_CheckExact(given)) return false;
            held_ = py::reinterpret_steal<py::tuple>(PySequence_Tuple(given));
            if (!held_) throw py::error_already_set();
            if (static_cast<std::int64_t>(held_.size()) != axis.problems) return false;
            for (std::int64_t p = 0; p < axis.problems; ++p) {
                PlainArray array;
                if (!array.read(PyTuple_GET_ITEM(held_.ptr(), p)) || !is_vector(array, axis, axis.length(p)) ||
                    array.axes() != 1)
                    return false;
                items_.push_back(array.data<void>());
            }
            vectors_.items = items_.data();
            return true;
        }
        PlainArray array;
        if (!array.read(given) || !is_vector(array, axis, axis.room)) return false;
        vectors_.data = array.data<void>();
        if (array.axes() == 1) return true;
        vectors_.stride = array.stride(0);
        return array.axes() == 2 && axis.form == Form::padded && array.length(0) == axis.problems;
    }
    // Valid as long as this object and the arguments live.
    const transport::Vectors& vectors() const { return vectors_; }

   private:
    static bool is_vector(const PlainArray& array, const Axis& axis, std::int64_t length) {
        const int last = array.axes() - 1;
        return last >= 0 && !array.is_int64() && array.is_float32() == axis.is_float32 &&
               array.length(last) == length && (length <= 1 || array.stride(last) == 1);
    }

    py::tuple held_;
    std::vector<const void*> items_;
    transport::Vectors vectors_;
};

// The regularisation: one number, or one for each problem of a batch.
class PlainEpsilon {
   public:
    bool read(PyObject* given, const Axis& axis) {
        std::optional<double> number;
        if (read_number(given, number)) {
            number_ = number.value_or(0);
            return is_right(number_);
        }
        if (!array_.read(given) || !array_.is_float64() || array_.axes() != 1 || axis.form == Form::one ||
            array_.length(0) != axis.problems || !array_.is_contiguous())
            return false;
        stride_ = 1;
        const auto* const each = array_.data<double>();
        return std::all_of(each, each + axis.problems, is_right);
    }
    const double* data() const { return stride_ != 0 ? array_.data<double>() : &number_; }
    std::int64_t stride() const { return stride_; }
    // The number for all, if there is one.
    py::object number() const { return stride_ == 0 ? py::object(py::float_(number_)) : py::object(); }

   private:
    // The reciprocal of a smaller one is infinite.
    static bool is_right(double value) { return value >= std::numeric_limits<double>::min() && value < kInfinity; }

    PlainArray array_;
    double number_ = 0;
    std::int64_t stride_ = 0;
};

// What a unit of divergence from the marginals costs: None, one number, or a pair.
inline bool read_penalties(PyObject* given, double& row_penalty, double& column_penalty) {
    std::optional<double> row, column;
    if (PyTuple_CheckExact(given) && PyTuple_GET_SIZE(given) == 2) {
        if (!read_number(PyTuple_GET_ITEM(given, 0), row) || !read_number(PyTuple_GET_ITEM(given, 1), column) || !row ||
            !column)
            return false;
    } else {
        if (!read_number(given, row)) return false;
        column = row;
    }
    row_penalty = row.value_or(kInfinity);
    column_penalty = column.value_or(kInfinity);
    return row_penalty > 0 && column_penalty > 0;
}

// What hears of progress: nobody, unless the arguments are prepared. A bar is for the general way to make.
inline bool read_progress(PyObject* given, bool prepared, PyObject*& out) {
    if (prepared) out = given;
    return prepared || given == Py_False || given == Py_None;
}

// What is wrong with a problem: words for the general way, the problem, and where.
struct Wrong {
    const char* what;
    std::int64_t problem, row = -1, column = -1;
};

// The mass of weights; `at` is the first that is negative or not finite, or -1.
template <class T>
double mass_of(const T* weights, std::int64_t count, std::int64_t& at) {
    at = -1;
    if (weights == nullptr) return 1;
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const double weight{weights[i]};
        if (!(weight >= 0 && weight < kInfinity) && at < 0) at = i;
        sum += weight;
    }
    return sum;
}

// The first problem whose weights are not such.
template <class T>
std::optional<Wrong> wrong_weights(const Axis& rows, const Axis& columns, const transport::Vectors& a,
                                   const transport::Vectors& b, const transport::Options& options) {
    if (!a.are_given() && !b.are_given()) return std::nullopt;
    const double most_apart = sizeof(T) == sizeof(float) ? 1e-4 : 1e-6;
    for (std::int64_t p = 0; p < rows.problems; ++p) {
        std::int64_t row = -1, column = -1;
        const double row_mass = mass_of(a.of<T>(p), rows.length(p), row);
        const double column_mass = mass_of(b.of<T>(p), columns.length(p), column);
        if (row >= 0) return Wrong{"a", p, row};
        if (column >= 0) return Wrong{"b", p, -1, column};
        if (!(row_mass > 0 && row_mass < kInfinity)) return Wrong{"mass of a", p};
        if (!(column_mass > 0 && column_mass < kInfinity)) return Wrong{"mass of b", p};
        if (options.is_balanced() && std::abs(row_mass - column_mass) > most_apart * std::max(row_mass, column_mass))
            return Wrong{"masses", p};
    }
    return std::nullopt;
}

inline py::tuple words(const Wrong& wrong) {
    return py::make_tuple(wrong.what, wrong.problem, wrong.row, wrong.column);
}

// What a result keeps as it was given: the fields from kCostMatrix on.
using Kept = std::array<PyObject*, kColLengths - kCostMatrix + 1>;

// Keeps what was given, but for the numbers in the list: these are kept as floats, whatever they were.
inline void keep(Result& made, const Kept& kept, std::initializer_list<std::pair<int, py::object>> numbers) {
    for (int field = kCostMatrix; field <= kColLengths; ++field) {
        py::object value = py::reinterpret_borrow<py::object>(kept[static_cast<std::size_t>(field - kCostMatrix)]);
        for (const auto& [at, number] : numbers)
            if (at == field && number) value = number;
        made.set(field, value);
    }
}

inline void keep_options(Result& made, const Kept& kept, const PlainEpsilon& epsilon,
                         const transport::Options& options) {
    PyObject* const given = kept[std::size_t{kUnbalanced - kCostMatrix}];
    py::object penalties;
    if (PyTuple_CheckExact(given)) penalties = py::make_tuple(options.row_penalty, options.column_penalty);
    else if (given != Py_None) penalties = py::float_(options.row_penalty);
    keep(made, kept, {{kEpsilon, epsilon.number()}, {kUnbalanced, penalties}, {kTol, py::float_(options.tolerance)}});
}

template <class T>
std::optional<Wrong> wrong_costs(const transport::Results<T>& results) {
    const auto& [what, place] = results.first_nan().problem >= 0 ? std::pair("cost", results.first_nan())
                                                                 : std::pair("infeasible", results.first_infeasible());
    if (place.problem < 0) return std::nullopt;
    return Wrong{what, place.problem, place.row, place.column};
}

// What a call returns of a result that is made, or null where the general way is to word what is wrong.
template <class T>
PyObject* returned(Result& made, const transport::Results<T>& results, const std::optional<Wrong>& wrong, bool prepared,
                   const char* name) {
    if (prepared) {
        const py::object what = wrong ? py::object(words(*wrong)) : py::object(py::none());
        return py::make_tuple(made.release(), what).release().ptr();
    }
    if (wrong) return nullptr;
    py::object result = made.release();
    // The caller is past this function's Python half.
    if (!results.is_solved()) py::module_::import("coalign._transport").attr("warn_of_unsolved")(result, 3, name);
    return result.release().ptr();
}

// Where solutions go: into the fields of the result that is made.
template <class T>
class Places {
   public:
    Places(Result& made, const Axis& rows, const Axis& columns) {
        results.f = made.data<T>(kF);
        results.g = made.data<T>(kG);
        results.rows = rows.room;
        results.columns = columns.room;
        results.cost = made.data<double>(kCost);
        results.value = made.data<double>(kValue);
        results.error = made.data<double>(kMarginalError);
        results.iterations = made.data<std::int64_t>(kIterations);
        results.status = made.data<std::int32_t>(kStatus);
        if (rows.form == Form::list) {
            results.f_items = items(results.f, rows, f_items_);
            results.g_items = items(results.g, columns, g_items_);
        }
        // What a problem leaves of its room.
        if (rows.form == Form::padded && rows.lengths != nullptr) std::fill_n(results.f, made.size(kF), T(0));
        if (rows.form == Form::padded && columns.lengths != nullptr) std::fill_n(results.g, made.size(kG), T(0));
    }
    transport::Results<T> results;

   private:
    static T* const* items(T* data, const Axis& axis, std::vector<T*>& out) {
        Parts<T> parts(data, axis.form, 0, T(0));
        for (std::int64_t p = 0; p < axis.problems; ++p) out.push_back(parts.take(axis.length(p)));
        return out.data();
    }

    std::vector<T*> f_items_, g_items_;
};

}  // namespace coalign::bindings
