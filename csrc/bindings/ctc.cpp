#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "bindings/targets.hpp"
#include "ctc/posteriors.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::ctc;

constexpr const char* kModule = "coalign._ctc";

enum PosteriorsField { kLoss, kGrad, kStatus, kX, kTargets, kXLengths, kTargetLengths, kBlank, kInput };

constexpr Schema kPosteriors{"PosteriorsFields",
                             "The fields of `coalign.CTCPosteriors`.",
                             9,
                             {{{"loss", Per::problem, Element::computed, "-log of the probability of each text."},
                               {"grad", Per::option, Element::computed, "Gradient of the loss with respect to x."},
                               {"status", Per::problem, Element::int32, "A `Status` for each problem."},
                               {"x", Per::option, Element::computed, "The recordings."},
                               {"targets", Per::option, Element::int64, "The texts."},
                               {"x_lengths", Per::option, Element::int64, "Frames of each recording, or None."},
                               {"target_lengths", Per::option, Element::int64, "Labels of each text, or None."},
                               {"blank", Per::option, Element::int64, "The blank."},
                               {"input", Per::option, Element::int64, "What the values of x are."}}}};

// Calls with fewer states and values keep the GIL: so many take some 20 us.
constexpr double kSmallWork = 1 << 14;

constexpr std::int64_t kLongest = (std::int64_t{1} << 31) - (1 << 16);
constexpr Readable kFrames{Readable::Items::matrices_by_rows, 0, kLongest};

enum class Reduction { none, sum, mean };

bool read_reduction(PyObject* given, Reduction& reduction) {
    if (is_text(given, "none")) reduction = Reduction::none;
    else if (is_text(given, "sum")) reduction = Reduction::sum;
    else if (is_text(given, "mean")) reduction = Reduction::mean;
    else return false;
    return true;
}

// The arguments (x, targets, x_lengths, target_lengths, blank, input) that all calls begin with.
class Problems {
   public:
    bool read(PyObject* const* given) {
        std::int64_t blank = 0;
        if (!x_.read(given[0], given[2]) || !targets_.read(given[1], given[3]) || !read_integer(given[4], blank))
            return false;
        if (is_text(given[5], "log_probs")) batch_.input = Input::log_probs;
        else if (!is_text(given[5], "logits")) return false;
        batch_.frames = x_.batch();
        if (!have_same_symbols() || blank < -1 || blank >= symbols()) return false;
        batch_.blank = blank < 0 ? symbols() - 1 : blank;
        if (x_.is_batch() && !targets_.is_batch()) targets_.repeat(batch_.frames.count);
        batch_.targets = targets_.batch();
        if (!x_.is_batch() && targets_.is_batch()) batch_.frames.count = batch_.targets.count;
        return batch_.frames.count == batch_.targets.count && targets_.are_labels(symbols(), batch_.blank);
    }

    const Batch& batch() const { return batch_; }
    bool is_float32() const { return x_.is_float32(); }
    std::int64_t symbols() const { return batch_.frames.columns; }
    Form form() const {
        if (x_.form() == Form::list) return Form::list;
        return x_.is_batch() || targets_.is_batch() ? Form::padded : Form::one;
    }
    std::int64_t states(std::int64_t p) const { return 2 * batch_.targets.rows_of(p) + 1; }
    double work() const {
        double sum = 0;
        for (std::int64_t p = 0; p < batch_.count(); ++p)
            sum += static_cast<double>(batch_.frames.rows_of(p)) * static_cast<double>(states(p) + symbols());
        return sum;
    }

   private:
    // Items of a list must agree; the first says for all.
    bool have_same_symbols() {
        Ragged& frames = batch_.frames;
        if (frames.column_lengths != nullptr) {
            frames.columns = frames.column_lengths[0];
            for (std::int64_t p = 0; p < frames.count; ++p)
                if (frames.column_lengths[p] != frames.columns) return false;
        }
        return frames.columns > 0;
    }

    PlainBatch x_{kFrames};
    PlainTargets targets_;
    Batch batch_;
};

// Matrices to be written, a problem each: an array of the form of the problems, or a list of arrays.
template <class T>
class Rooms {
   public:
    // `columns` are those of an array, of a list's item those that `columns_of` says. False where it does not fit.
    template <class Columns>
    bool read(PyObject* given, const Problems& problems, std::int64_t columns, Columns&& columns_of) {
        const Ragged& frames = problems.batch().frames;
        rooms_.reserve(static_cast<std::size_t>(frames.count));
        if (problems.form() == Form::list) {
            if (!PyList_CheckExact(given) || PyList_GET_SIZE(given) != frames.count) return false;
            for (std::int64_t p = 0; p < frames.count; ++p) {
                PlainArray array;
                if (!array.read(PyList_GET_ITEM(given, p)) || !fits(array, 0, frames.rows_of(p), columns_of(p)))
                    return false;
                rooms_.push_back({array.room<T>(), array.stride(0)});
            }
            return true;
        }
        const int axis = problems.form() == Form::padded ? 1 : 0;
        PlainArray array;
        if (!array.read(given) || !fits(array, axis, frames.rows, columns) ||
            (axis == 1 && array.length(0) != frames.count))
            return false;
        for (std::int64_t p = 0; p < frames.count; ++p)
            rooms_.push_back({array.room<T>() + (axis == 1 ? p * array.stride(0) : 0), array.stride(axis)});
        array_ = array;
        return true;
    }

    const Room<T>* data() const { return rooms_.data(); }

    // Writes zeros where a padded batch has room that a problem leaves.
    void clear_padding(const Problems& problems, std::int64_t columns) const {
        const Ragged& frames = problems.batch().frames;
        if (problems.form() != Form::padded || frames.row_lengths == nullptr) return;
        for (std::int64_t p = 0; p < frames.count; ++p) {
            const Room<T>& room = rooms_[static_cast<std::size_t>(p)];
            for (std::int64_t t = frames.rows_of(p); t < frames.rows; ++t)
                std::fill_n(room.data + t * room.row_stride, columns, T(0));
        }
    }

    // Whether rows plainly lie apart from each other, and from `inputs`, which are arrays or lists of them. Where they
    // do not, the general way looks closer.
    bool lies_apart(std::span<PyObject* const> inputs) const {
        const bool is_padded = array_.axes() == 3;
        const std::int64_t rows = array_.length(is_padded ? 1 : 0), columns = array_.length(is_padded ? 2 : 1);
        std::int64_t row = array_.stride(is_padded ? 1 : 0), item = is_padded ? array_.stride(0) : 0;
        std::int64_t inner = rows;
        if (is_padded && item != 0 && item < row) {
            std::swap(row, item);
            inner = array_.length(0);
        }
        // An axis of one element has the stride 0.
        if ((row == 0 ? inner > 1 : row < columns) ||
            (is_padded && array_.length(0) > 1 && item < std::max(row * inner, columns)))
            return false;
        return std::none_of(inputs.begin(), inputs.end(), [&](PyObject* input) { return meets(input); });
    }

   private:
    static bool fits(const PlainArray& array, int axis, std::int64_t rows, std::int64_t columns) {
        return array.is_writeable() && array.holds<T>() && !array.is_int64() && array.axes() == axis + 2 &&
               array.length(axis) == rows && array.length(axis + 1) == columns &&
               (columns == 1 || array.size() == 0 || array.stride(axis + 1) == 1);
    }

    bool meets(PyObject* input) const {
        if (PyList_CheckExact(input) || PyTuple_CheckExact(input)) {
            for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(input); ++i)
                if (meets(PySequence_Fast_GET_ITEM(input, i))) return true;
            return false;
        }
        PlainArray array;
        if (!array.read(input)) return false;
        const auto [begin, end] = array.extent();
        const auto [first, last] = array_.extent();
        return begin < last && first < end;
    }

    std::vector<Room<T>> rooms_;
    PlainArray array_;
};

template <class T>
py::object scalar_of(T value) {
    const auto& api = py::detail::npy_api::get();
    auto made = py::reinterpret_steal<py::object>(api.PyArray_Scalar_(&value, py::dtype::of<T>().ptr(), nullptr));
    if (!made) throw py::error_already_set();
    return made;
}

template <class T>
py::object array_of(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// The first value that cannot be taken: problem and element, or None.
template <class Solution>
py::object first_bad(const Solution& solution) {
    for (std::size_t p = 0; p < solution.status.size(); ++p)
        if (solution.status[p] == Status::nan) return py::make_tuple(p, solution.bad[p]);
    return py::none();
}

// What a call writes for each problem beside its matrices.
template <class T>
struct Solution {
    std::vector<T> loss;
    std::vector<Status> status;
    std::vector<std::int64_t> bad;

    // Solves all problems. Without `gradient` the losses alone are found.
    Solution(const Problems& problems, const ThreadLimit& threads, const Forced& forced, const Rooms<T>* gradient,
             const T* weight, const Rooms<T>* occupancy)
        : loss(static_cast<std::size_t>(problems.batch().count())), status(loss.size(), Status::ok), bad(loss.size()) {
        const double work = problems.work(), per_thread = forced.work_per_thread.value_or(kWorkPerThread);
        const int most = threads.for_work(work, per_thread);
        const Kernels<T>& kernels = kernels_for<T>(forced.isa);
        const Posteriors<T> out{loss.data(), status.data(),
                                bad.data(),  gradient != nullptr ? gradient->data() : nullptr,
                                weight,      occupancy != nullptr ? occupancy->data() : nullptr};
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            if (gradient != nullptr) gradient->clear_padding(problems, problems.symbols());
            return find_posteriors<T>(kernels, problems.batch(), most, per_thread, pulse, out);
        });
        forced.note(name(kernels.isa), run.workers);
    }

    bool has_bad() const { return std::find(status.begin(), status.end(), Status::nan) != status.end(); }
    py::object statuses() const {
        std::vector<std::int32_t> values(status.size());
        std::transform(status.begin(), status.end(), values.begin(), [](Status s) { return static_cast<int>(s); });
        return array_of(values);
    }
};

// How the losses of a batch become the loss that a caller asks for.
struct Goal {
    Reduction reduction = Reduction::none;
    bool zero_infinity = false;

    bool read(PyObject* reduction_, PyObject* zero_infinity_) {
        return read_reduction(reduction_, reduction) && read_flag(zero_infinity_, zero_infinity);
    }

    // A loss counts as its share of a text's labels, in "mean".
    static double share(const Problems& problems, std::int64_t p) {
        return 1 / static_cast<double>(std::max<std::int64_t>(problems.batch().targets.rows_of(p), 1));
    }

    // How much each loss counts: no weights where it is 1.
    template <class T>
    std::vector<T> weights(const Problems& problems) const {
        std::vector<T> out;
        const std::int64_t count = problems.batch().count();
        if (reduction == Reduction::mean)
            for (std::int64_t p = 0; p < count; ++p)
                out.push_back(static_cast<T>(share(problems, p) / static_cast<double>(count)));
        return out;
    }

    // None where losses are not reduced. Sums are float64, in the order of the problems.
    template <class T>
    py::object reduce(const Problems& problems, std::vector<T>& loss) const {
        if (zero_infinity) std::replace(loss.begin(), loss.end(), std::numeric_limits<T>::infinity(), T(0));
        if (reduction == Reduction::none) return py::none();
        double sum = 0;
        for (std::size_t p = 0; p < loss.size(); ++p)
            sum += static_cast<double>(loss[p]) *
                   (reduction == Reduction::mean ? share(problems, static_cast<std::int64_t>(p)) : 1);
        if (reduction == Reduction::mean) sum /= static_cast<double>(loss.size());
        return scalar_of(static_cast<T>(sum));
    }
};

// ctc_loss(x, targets, x_lengths, target_lengths, blank, input, reduction, zero_infinity, threads, device) returns the
// losses: of prepared arguments with the first value that cannot be taken.
struct LossArguments {
    static constexpr const char *kName = "ctc_loss", *kGeneral = kModule;
    static constexpr Py_ssize_t kCount = 10;

    bool read(PyObject* const* given, bool) {
        return problems.read(given) && goal.read(given[6], given[7]) && threads.read(given[8]) && read_cpu(given[9]);
    }
    bool is_float32() const { return problems.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        Solution<T> found(problems, threads, forced, nullptr, nullptr, nullptr);
        if (found.has_bad() && !prepared) return nullptr;
        py::object loss = goal.reduce(problems, found.loss);
        if (loss.is_none()) loss = problems.form() == Form::one ? scalar_of(found.loss[0]) : array_of(found.loss);
        if (prepared) loss = py::make_tuple(loss, first_bad(found));
        return loss.release().ptr();
    }

    Problems problems;
    Goal goal;
    ThreadLimit threads;
};

// ctc_forward_backward: the arguments of ctc_loss, and `out`. Prepared arguments always bring `out`, and get losses,
// statuses and the first value that cannot be taken.
struct PosteriorsArguments {
    static constexpr const char *kName = "ctc_forward_backward", *kGeneral = kModule;
    static constexpr Py_ssize_t kCount = 11;

    bool read(PyObject* const* given, bool) {
        std::copy_n(given, arguments.size(), arguments.begin());
        out = given[10];
        return problems.read(given) && goal.read(given[6], given[7]) && threads.read(given[8]) && read_cpu(given[9]);
    }
    bool is_float32() const { return problems.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        const std::int64_t symbols = problems.symbols();
        const auto grad = out != Py_None ? py::reinterpret_borrow<py::object>(out) : room<T>();
        Rooms<T> rooms;
        const bool fits = rooms.read(grad.ptr(), problems, symbols, [&](std::int64_t) { return symbols; });
        require(fits || !prepared, "out: room for the gradient");
        if (!fits || (!prepared && out != Py_None &&
                      (problems.form() == Form::list || !rooms.lies_apart({arguments.data(), 4}))))
            return nullptr;
        const std::vector<T> weights = goal.weights<T>(problems);
        Solution<T> found(problems, threads, forced, &rooms, weights.empty() ? nullptr : weights.data(), nullptr);
        if (found.has_bad() && !prepared) return nullptr;
        const py::object reduced = goal.reduce(problems, found.loss);
        if (prepared) {
            const py::object loss = reduced.is_none() ? array_of(found.loss) : reduced;
            return py::make_tuple(loss, found.statuses(), first_bad(found)).release().ptr();
        }
        return result(found, reduced, grad).release().ptr();
    }

   private:
    template <class T>
    py::object room() const {
        const Ragged& frames = problems.batch().frames;
        const std::int64_t symbols = problems.symbols();
        if (problems.form() == Form::one) return py::array_t<T>({frames.rows, symbols});
        if (problems.form() == Form::padded) return py::array_t<T>({frames.count, frames.rows, symbols});
        py::list arrays;
        for (std::int64_t p = 0; p < frames.count; ++p) arrays.append(py::array_t<T>({frames.rows_of(p), symbols}));
        return arrays;
    }

    template <class T>
    py::object result(const Solution<T>& found, const py::object& reduced, const py::object& grad) const {
        // What is counted lies with the caller: the numbers of each problem alone need room.
        const Counts counts{problems.form() == Form::one ? Form::one : Form::padded, problems.batch().count()};
        bindings::Result made(kPosteriors, counts, sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        std::copy(found.loss.begin(), found.loss.end(), made.data<T>(kLoss));
        std::transform(found.status.begin(), found.status.end(), made.data<std::int32_t>(kStatus),
                       [](Status status) { return static_cast<std::int32_t>(status); });
        if (!reduced.is_none()) made.set(kLoss, reduced);
        made.set(kGrad, grad);
        for (int field = kX; field <= kInput; ++field)
            made.set(field, py::reinterpret_borrow<py::object>(arguments[static_cast<std::size_t>(field - kX)]));
        return made.release();
    }

    Problems problems;
    Goal goal;
    ThreadLimit threads;
    std::array<PyObject*, 6> arguments{};
    PyObject* out = nullptr;
};

// ctc_occupancy(x, targets, x_lengths, target_lengths, blank, input, threads, out) writes the probability of each state
// at each frame into `out`, which holds zeros. It returns the first value that cannot be taken.
struct OccupancyArguments {
    static constexpr const char* kName = "ctc_occupancy";
    static constexpr Py_ssize_t kCount = 8;

    bool read(PyObject* const* given, bool) {
        out = given[7];
        return problems.read(given) && threads.read(given[6]);
    }
    bool is_float32() const { return problems.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) const {
        std::int64_t most = 1;
        for (std::int64_t p = 0; p < problems.batch().count(); ++p) most = std::max(most, problems.states(p));
        Rooms<T> rooms;
        require(rooms.read(out, problems, most, [&](std::int64_t p) { return problems.states(p); }),
                "out: room for the states");
        const Solution<T> found(problems, threads, forced, nullptr, nullptr, &rooms);
        return first_bad(found).release().ptr();
    }

   private:
    Problems problems;
    ThreadLimit threads;
    PyObject* out = nullptr;
};

}  // namespace

void bind_ctc(py::module_& module) {
    make_result_class(module, kPosteriors);
    add_function<front_door<LossArguments>>(
        module, LossArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
    add_function<front_door<PosteriorsArguments>>(
        module, PosteriorsArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
    add_function<inner_door<OccupancyArguments>>(module, OccupancyArguments::kName,
                                                 "Probabilities of states, written to arrays.");
}

}  // namespace coalign::bindings
