#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "core/buffer.hpp"
#include "ctc/beam.hpp"
#include "ctc/greedy.hpp"
#include "ctc/ngram.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::ctc;

constexpr const char* kModule = "coalign._decoding";

enum GreedyField { kLabels, kStart, kStop, kScore, kTotal, kStatus };

constexpr Schema kGreedy{"CTCDecodingFields",
                         "The fields of `coalign.CTCDecoding`.",
                         6,
                         {{{"labels", Per::path, Element::int64, "The labels."},
                           {"start", Per::path, Element::int64, "The first frame of each label."},
                           {"stop", Per::path, Element::int64, "The frame after the last of each label."},
                           {"score", Per::path, Element::computed, "Mean log-score of each label's frames."},
                           {"total", Per::problem, Element::computed, "Sum of the log-scores of all frames."},
                           {"status", Per::problem, Element::int32, "A `Status` for each problem."}}}};

constexpr Schema kBeams{"CTCBeamsFields",
                        "The fields of `coalign.CTCBeams`.",
                        8,
                        {{{"labels", Per::option, Element::int64, "The labels of each labelling."},
                          {"start", Per::option, Element::int64, "The first frame of each label."},
                          {"stop", Per::option, Element::int64, "The frame after the last of each label."},
                          {"score", Per::option, Element::computed, "Mean log-score of each label's frames."},
                          {"length", Per::option, Element::int64, "Number of labels of each labelling."},
                          {"total", Per::option, Element::computed, "Log-scores of the labellings."},
                          {"acoustic", Per::option, Element::computed, "Their parts without a language model."},
                          {"status", Per::option, Element::int32, "A `Status` for each problem."}}}};

// Calls with less work keep the GIL: so much takes some 10 us.
constexpr double kSmallWork = 1 << 14;
constexpr std::int64_t kMostFrames = std::int64_t{1} << 40;

constexpr Readable kFrames{Readable::Items::matrices_by_rows, 0, kMostFrames};

// Frames whose rows can be read in place, of as many columns in each item.
class FramesArgument {
   public:
    bool read(PyObject* x, PyObject* x_lengths) {
        if (!x_.read(x, x_lengths)) return false;
        const Ragged& batch = x_.batch();
        columns_ = batch.count > 0 ? batch.columns_of(0) : 1;
        for (std::int64_t p = 0; p < batch.count; ++p)
            if (batch.columns_of(p) != columns_) return false;
        return columns_ >= 1 && columns_ <= std::numeric_limits<std::int32_t>::max() - 64;
    }
    // The blank, counted from the last where it is -1.
    bool read_blank(PyObject* given, std::int64_t& blank) const {
        if (!read_integer(given, blank)) return false;
        if (blank == -1) blank = columns_ - 1;
        return blank >= 0 && blank < columns_;
    }

    const Ragged& batch() const { return x_.batch(); }
    Form form() const { return x_.form(); }
    bool is_float32() const { return x_.is_float32(); }

   private:
    PlainBatch x_{kFrames};
    std::int64_t columns_ = 1;
};

bool read_input(PyObject* given, Input& input) {
    if (is_text(given, "logits")) input = Input::logits;
    else if (is_text(given, "log_probs")) input = Input::log_probs;
    else return false;
    return true;
}

// Memory for the labels of one or more recordings, a label a frame and one more each.
template <class T>
class GreedyRoom {
   public:
    explicit GreedyRoom(std::int64_t most)
        : indices_(indices_room_.reserve(3 * most)), scores_(scores_room_.reserve(most)), most_(most) {}
    LabelSpans<T> take(std::int64_t frames) {
        std::int64_t* const at = indices_ + taken_;
        const LabelSpans<T> out{at, at + most_, at + 2 * most_, scores_ + taken_, 0};
        taken_ += frames + 1;
        return out;
    }

   private:
    Buffer<std::int64_t> indices_room_;
    Buffer<T> scores_room_;
    std::int64_t* indices_;
    T* scores_;
    std::int64_t most_, taken_ = 0;
};

// ctc_greedy(x, x_lengths, blank, input, threads, device) returns the result.
struct GreedyArguments {
    static constexpr const char *kName = "ctc_greedy", *kGeneral = kModule;
    static constexpr Py_ssize_t kCount = 6;

    bool read(PyObject* const* given, bool) {
        if (!frames.read(given[0], given[1]) || !frames.read_blank(given[2], batch.blank) ||
            !read_input(given[3], batch.input) || !threads.read(given[4]) || !read_cpu(given[5]))
            return false;
        batch.frames = frames.batch();
        return true;
    }
    bool is_float32() const { return frames.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const std::int64_t count = batch.count();
        std::int64_t most = count;
        for (std::int64_t p = 0; p < count; ++p) most += batch.frames.rows_of(p);
        GreedyRoom<T> room(most);
        std::vector<GreedyOutcome<T>> outcomes(static_cast<std::size_t>(count));
        for (std::int64_t p = 0; p < count; ++p)
            outcomes[static_cast<std::size_t>(p)].spans = room.take(batch.frames.rows_of(p));
        const double work = greedy_work(batch.frames);
        const double per_thread = forced.work_per_thread.value_or(kGreedyWorkPerThread);
        const auto& kernels = table_for<GreedyKernels<T>>(forced.isa);
        // Counting the CPUs asks Python, so it needs the GIL.
        const int most_threads = threads.for_work(work, per_thread);
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            return decode_greedily<T>(kernels, batch, true, most_threads, per_thread, pulse, outcomes.data());
        });
        forced.note(name(kernels.isa), run.workers);
        std::vector<std::int64_t> lengths;
        for (std::int64_t p = 0; p < count; ++p) {
            GreedyOutcome<T>& out = outcomes[static_cast<std::size_t>(p)];
            if (out.status == Status::nan) throw NotFinite(0, p, out.bad);
            if (out.status == Status::infeasible) out.spans.count = 0;
            lengths.push_back(out.spans.count);
        }
        const Form form = frames.form() == Form::one ? Form::one : Form::list;
        Result made(kGreedy, {form, count, 0, 0, nullptr, nullptr, Counts::of_paths(lengths)},
                    sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        auto *label = made.data<std::int64_t>(kLabels), *start = made.data<std::int64_t>(kStart),
             *stop = made.data<std::int64_t>(kStop);
        T *score = made.data<T>(kScore), *total = made.data<T>(kTotal);
        auto* status = made.data<std::int32_t>(kStatus);
        for (const GreedyOutcome<T>& out : outcomes) {
            label = std::copy_n(out.spans.label, out.spans.count, label);
            start = std::copy_n(out.spans.start, out.spans.count, start);
            stop = std::copy_n(out.spans.stop, out.spans.count, stop);
            score = std::copy_n(out.spans.score, out.spans.count, score);
            *total = static_cast<T>(out.carry.total);
            const bool fits = std::abs(*total++) <= std::numeric_limits<T>::max();
            *status++ =
                static_cast<std::int32_t>(out.status == Status::ok && !fits ? Status::precision_limit : out.status);
        }
        return made.release().release().ptr();
    }

    FramesArgument frames;
    Batch batch;
    ThreadLimit threads;
};

template <class T>
py::array_t<T> array_of(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// A language model that is a Python object. States are kept here, and native code has their numbers.
class PythonModel final : public LanguageModel {
   public:
    explicit PythonModel(const py::object& model)
        : start_(model.attr("start")), score_(model.attr("score")), end_(model.attr("end")) {}
    PythonModel(const PythonModel&) = delete;
    PythonModel& operator=(const PythonModel&) = delete;
    ~PythonModel() override {
        const py::gil_scoped_acquire gil;
        states_.clear();
        start_ = score_ = end_ = py::object();
    }

    State start() override {
        const py::gil_scoped_acquire gil;
        return keep(start_());
    }
    Step step(State state, std::int64_t label) override {
        const py::gil_scoped_acquire gil;
        const py::object found = score_(states_[static_cast<std::size_t>(state)], label);
        if (!PyTuple_Check(found.ptr()) || PyTuple_GET_SIZE(found.ptr()) != 2)
            throw py::type_error("lm: expected score(state, label) to return a pair (log-score, state)");
        const auto pair = py::reinterpret_borrow<py::tuple>(found);
        return {number(pair[0], "score(state, label)"), keep(pair[1])};
    }
    double end(State state) override {
        const py::gil_scoped_acquire gil;
        return number(end_(states_[static_cast<std::size_t>(state)]), "end(state)");
    }
    void release(State state) override {
        const py::gil_scoped_acquire gil;
        states_[static_cast<std::size_t>(state)] = py::object();
        free_.push_back(state);
    }

   private:
    static double number(const py::object& given, const char* where) {
        const double value = PyFloat_AsDouble(given.ptr());
        if (value == -1.0 && PyErr_Occurred() != nullptr) throw py::error_already_set();
        if (!(value <= std::numeric_limits<double>::max()))
            throw py::value_error(std::string("lm: expected a log-score below inf from ") + where);
        return value;
    }
    State keep(py::object state) {
        if (free_.empty()) {
            states_.push_back(std::move(state));
            return static_cast<State>(states_.size() - 1);
        }
        const State at = free_.back();
        free_.pop_back();
        states_[static_cast<std::size_t>(at)] = std::move(state);
        return at;
    }

    py::object start_, score_, end_;
    std::vector<py::object> states_;
    std::vector<State> free_;
};

// Native objects that Python code holds: a capsule of that name.
constexpr const char *kNGram = "coalign.NGramModel", *kStream = "coalign.BeamStream";

template <class Held>
py::capsule capsule_of(std::unique_ptr<Held> held, const char* name) {
    py::capsule made(held.get(), name, [](PyObject* capsule) {
        delete static_cast<Held*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
    });
    static_cast<void>(held.release());
    return made;
}

template <class Held>
Held& held_by(const py::object& capsule, const char* name) {
    auto* const held = static_cast<Held*>(PyCapsule_GetPointer(capsule.ptr(), name));
    if (held == nullptr) throw py::error_already_set();
    return *held;
}

// None, a native model, or any object with the methods of one.
class ModelArgument {
   public:
    explicit ModelArgument(const py::object& given) : held_(given) {
        if (given.is_none()) return;
        if (PyCapsule_CheckExact(given.ptr())) {
            model_ = &held_by<NGramModel>(given, kNGram);
        } else {
            python_ = std::make_unique<PythonModel>(given);
            model_ = python_.get();
        }
    }
    LanguageModel* get() const { return model_; }

   private:
    py::object held_;
    std::unique_ptr<PythonModel> python_;
    LanguageModel* model_ = nullptr;
};

bool read_beam_options(PyObject* const* given, BeamOptions& options) {
    std::optional<double> threshold, least, alpha, beta;
    if (!read_integer(given[0], options.width) || !read_integer(given[1], options.best) ||
        !read_number(given[2], threshold) || !read_number(given[3], least) || !read_number(given[4], alpha) ||
        !read_number(given[5], beta) || !alpha || !beta)
        return false;
    if (threshold) options.threshold = *threshold;
    if (least) options.least_symbol = *least;
    options.alpha = *alpha;
    options.beta = *beta;
    return options.width >= 1 && options.width < (std::int64_t{1} << 30) && options.best >= 1;
}

// Labels, starts, stops, scores, lengths, totals and acoustic scores, one problem after the other.
py::tuple told(const std::vector<Labellings>& found) {
    Labellings all;
    std::vector<std::int64_t> counts;
    std::vector<std::int32_t> status;
    for (const Labellings& each : found) {
        const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
        append(all.label, each.label);
        append(all.start, each.start);
        append(all.stop, each.stop);
        append(all.score, each.score);
        append(all.length, each.length);
        append(all.total, each.total);
        append(all.acoustic, each.acoustic);
        counts.push_back(static_cast<std::int64_t>(each.length.size()));
        status.push_back(static_cast<std::int32_t>(each.status));
    }
    return py::make_tuple(array_of(all.label), array_of(all.start), array_of(all.stop), array_of(all.score),
                          array_of(all.length), array_of(all.total), array_of(all.acoustic), array_of(counts),
                          array_of(status));
}

// ctc_beam_search(x, x_lengths, blank, input, width, best, threshold, least_symbol, alpha, beta, lm, threads) returns
// what `told` tells. None stands for no threshold.
struct BeamArguments {
    static constexpr const char* kName = "ctc_beam_search";
    static constexpr Py_ssize_t kCount = 12;

    bool read(PyObject* const* given, bool) {
        Input input{};
        if (!frames.read(given[0], given[1]) || !frames.read_blank(given[2], options.blank) ||
            !read_input(given[3], input) || !read_beam_options(given + 4, options) || !threads.read(given[11]))
            return false;
        options.is_logits = input == Input::logits;
        lm = py::reinterpret_borrow<py::object>(given[10]);
        return true;
    }
    bool is_float32() const { return frames.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const ModelArgument model(lm);
        options.model = model.get();
        const Ragged& batch = frames.batch();
        std::vector<Labellings> found(static_cast<std::size_t>(batch.count));
        const double per_thread = forced.work_per_thread.value_or(kBeamWorkPerThread);
        const auto& kernels = table_for<BeamKernels<T>>(forced.isa);
        const int many = threads.for_work(beam_work(batch, options.width), per_thread);
        const Run run = watch(py::none(), [&](Pulse& pulse) {
            return search_beams<T>(kernels, batch, options, many, per_thread, pulse, found);
        });
        forced.note(name(kernels.isa), run.workers);
        for (std::size_t p = 0; p < found.size(); ++p)
            if (found[p].status == Status::nan) throw NotFinite(0, static_cast<std::int64_t>(p), found[p].bad);
        return told(found).release().ptr();
    }

    FramesArgument frames;
    BeamOptions options;
    ThreadLimit threads;
    py::object lm;
};

py::capsule make_ngram(std::int64_t labels,
                       const std::vector<std::tuple<py::array_t<std::int64_t>, py::array_t<double>>>& orders) {
    require(labels >= 1 && labels < (std::int64_t{1} << 30), "labels");
    auto model = std::make_unique<NGramModel>(labels);
    for (const auto& [words, scores] : orders) {
        require(words.ndim() == 2 && scores.ndim() == 2 && scores.shape(1) == 2 && words.shape(0) == scores.shape(0) &&
                    words.shape(1) >= 1,
                "n-grams: (M, n) words and (M, 2) scores");
        const auto at = words.unchecked<2>();
        const auto score = scores.unchecked<2>();
        std::vector<std::int64_t> ngram(static_cast<std::size_t>(words.shape(1)));
        for (py::ssize_t k = 0; k < words.shape(0); ++k) {
            for (py::ssize_t n = 0; n < words.shape(1); ++n) {
                require(at(k, n) >= 0 && at(k, n) <= labels + 2, "n-grams: a word out of range");
                ngram[static_cast<std::size_t>(n)] = at(k, n);
            }
            if (!model->add(ngram.data(), words.shape(1), score(k, 0), score(k, 1)))
                throw std::invalid_argument("orders[" + std::to_string(words.shape(1) - 1) +
                                            "]: expected no n-gram twice, got one again at index " + std::to_string(k));
        }
    }
    model->finish();
    return capsule_of(std::move(model), kNGram);
}

// A state of a model, as Python code gives it back.
LanguageModel::State state_of(const NGramModel& model, std::int64_t state) {
    require(state >= 0 && state < model.nodes(), "state: expected one that this model has returned");
    return state;
}

// ctc_greedy_piece(x, blank, input, carry) reads a piece of a recording. The carry is (frames, label, start, sum,
// total, is_possible). Returns labels, starts, stops and scores of the labels that ended in it, and the next carry.
struct GreedyPieceArguments {
    static constexpr const char* kName = "ctc_greedy_piece";
    static constexpr Py_ssize_t kCount = 4;

    bool read(PyObject* const* given, bool) {
        if (!frames.read(given[0], Py_None) || frames.form() != Form::one ||
            !frames.read_blank(given[1], batch.blank) || !read_input(given[2], batch.input) ||
            !PyTuple_CheckExact(given[3]) || PyTuple_GET_SIZE(given[3]) != 6)
            return false;
        batch.frames = frames.batch();
        std::optional<double> sum, total;
        if (!read_integer(PyTuple_GET_ITEM(given[3], 0), carry.frames) ||
            !read_integer(PyTuple_GET_ITEM(given[3], 1), carry.label) ||
            !read_integer(PyTuple_GET_ITEM(given[3], 2), carry.start) ||
            !read_number(PyTuple_GET_ITEM(given[3], 3), sum) || !read_number(PyTuple_GET_ITEM(given[3], 4), total))
            return false;
        carry.sum = sum.value_or(0);
        carry.total = total.value_or(0);
        carry.is_possible = PyTuple_GET_ITEM(given[3], 5) == Py_True;
        return true;
    }
    bool is_float32() const { return frames.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        const std::int64_t most = batch.frames.rows + 1;
        GreedyRoom<T> room(most);
        GreedyOutcome<T> out;
        out.spans = room.take(batch.frames.rows);
        out.carry = carry;
        const auto& kernels = table_for<GreedyKernels<T>>(forced.isa);
        const Run run = run_call(greedy_work(batch.frames) <= kSmallWork, [&](Pulse& pulse) {
            return decode_greedily<T>(kernels, batch, false, 1, kGreedyWorkPerThread, pulse, &out);
        });
        forced.note(name(kernels.isa), run.workers);
        if (out.status == Status::nan) throw NotFinite(0, 0, out.bad);
        const auto told = [&](const auto* values) {
            return py::array_t<std::remove_cvref_t<decltype(*values)>>(static_cast<py::ssize_t>(out.spans.count),
                                                                       values);
        };
        return py::make_tuple(told(out.spans.label), told(out.spans.start), told(out.spans.stop), told(out.spans.score),
                              py::make_tuple(out.carry.frames, out.carry.label, out.carry.start, out.carry.sum,
                                             out.carry.total, out.carry.is_possible))
            .release()
            .ptr();
    }

    FramesArgument frames;
    Batch batch;
    GreedyCarry carry;
};

// A beam search that is fed piece by piece. It is used by one thread at a time, and not again after a piece that was
// not read to its end.
class BeamStream {
   public:
    BeamStream(const py::object& lm, const BeamOptions& options, Isa isa, bool is_float32, std::int64_t columns)
        : model_(lm), options_(options), isa_(isa), columns_(columns) {
        options_.model = model_.get();
        if (is_float32) narrow_.emplace(table_for<BeamKernels<float>>(isa), options_, columns);
        else wide_.emplace(table_for<BeamKernels<double>>(isa), options_, columns);
    }

    void read(const FramesArgument& frames, const Forced& forced) {
        const Use use(*this);
        require(frames.is_float32() == narrow_.has_value() && frames.batch().columns == columns_ &&
                    frames.form() == Form::one,
                "x: a piece of the same recording");
        is_whole_ = false;
        const bool is_read = narrow_ ? read_all(*narrow_, frames) : read_all(*wide_, frames);
        require(is_read, "x: finite values or -inf");
        is_whole_ = true;
        forced.note(name(isa_), 1);
    }

    py::tuple best() {
        const Use use(*this);
        std::vector<Labellings> found(1);
        watch(py::none(), [&](Pulse& pulse) {
            Pacer pacer(pulse);
            return narrow_ ? narrow_->find_best(found[0], pacer) : wide_->find_best(found[0], pacer);
        });
        return told(found);
    }

   private:
    class Use {
       public:
        explicit Use(BeamStream& stream) : stream_(stream) {
            if (stream.is_used_.test_and_set())
                throw std::invalid_argument("CTCBeamStream: expected to be used by one thread at a time");
            if (!stream.is_whole_) {
                stream.is_used_.clear();
                throw std::invalid_argument("CTCBeamStream: a piece was interrupted; begin a new stream");
            }
        }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use() { stream_.is_used_.clear(); }

       private:
        BeamStream& stream_;
    };

    template <class T>
    bool read_all(BeamSearch<T>& search, const FramesArgument& frames) {
        return watch(py::none(), [&](Pulse& pulse) {
            Pacer pacer(pulse);
            std::int64_t bad = 0;
            return search.read(frames.batch().at<T>(0), pacer, bad) != BeamSearch<T>::Read::bad;
        });
    }

    ModelArgument model_;
    BeamOptions options_;
    Isa isa_;
    std::int64_t columns_;
    std::atomic_flag is_used_;
    bool is_whole_ = true;
    std::optional<BeamSearch<float>> narrow_;
    std::optional<BeamSearch<double>> wide_;
};

// beam_stream(x, blank, input, width, best, threshold, least_symbol, alpha, beta, lm) begins a stream of recordings
// like x, of which nothing is read.
struct BeamStreamArguments {
    static constexpr const char* kName = "beam_stream";
    static constexpr Py_ssize_t kCount = 10;

    bool read(PyObject* const* given, bool) {
        Input input{};
        if (!frames.read(given[0], Py_None) || !frames.read_blank(given[1], options.blank) ||
            !read_input(given[2], input) || !read_beam_options(given + 3, options))
            return false;
        options.is_logits = input == Input::logits;
        lm = py::reinterpret_borrow<py::object>(given[9]);
        return true;
    }
    bool is_float32() const { return frames.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool) {
        constexpr bool is_narrow = sizeof(T) == sizeof(float);
        return capsule_of(
                   std::make_unique<BeamStream>(lm, options, forced.isa, is_narrow, frames.batch().columns_of(0)),
                   kStream)
            .release()
            .ptr();
    }

    FramesArgument frames;
    BeamOptions options;
    py::object lm;
};

void read_beam_stream(const py::object& stream, const py::object& x) {
    FramesArgument frames;
    require(frames.read(x.ptr(), Py_None), "x: prepared frames");
    held_by<BeamStream>(stream, kStream).read(frames, Forced());
}

}  // namespace

void bind_decoding(py::module_& module) {
    module.attr("greedy_work_per_thread") = kGreedyWorkPerThread;
    module.attr("beam_work_per_thread") = kBeamWorkPerThread;
    make_result_class(module, kGreedy);
    make_result_class(module, kBeams);
    add_function<front_door<GreedyArguments>>(
        module, GreedyArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
    add_function<inner_door<GreedyPieceArguments>>(module, GreedyPieceArguments::kName, "A piece of a recording.");
    add_function<inner_door<BeamArguments>>(module, BeamArguments::kName, "The best labellings of each recording.");
    add_function<inner_door<BeamStreamArguments>>(module, BeamStreamArguments::kName, "A search that goes on.");
    module.def("beam_stream_read", &read_beam_stream, py::arg("stream"), py::arg("x"), "Reads a piece of a recording.");
    module.def(
        "beam_stream_best", [](const py::object& stream) { return held_by<BeamStream>(stream, kStream).best(); },
        py::arg("stream"), "The best labellings so far.");
    module.def("ngram_model", &make_ngram, py::arg("labels"), py::arg("orders"), "An n-gram model over labels.");
    module.def(
        "ngram_start", [](const py::object& model) { return held_by<NGramModel>(model, kNGram).start(); },
        py::arg("model"), "The state before the first label.");
    module.def(
        "ngram_score",
        [](const py::object& model, std::int64_t state, std::int64_t label) {
            NGramModel& held = held_by<NGramModel>(model, kNGram);
            const LanguageModel::Step step = held.step(state_of(held, state), label);
            return py::make_tuple(step.score, step.state);
        },
        py::arg("model"), py::arg("state"), py::arg("label"), "The score of a label, and the state after it.");
    module.def(
        "ngram_end",
        [](const py::object& model, std::int64_t state) {
            NGramModel& held = held_by<NGramModel>(model, kNGram);
            return held.end(state_of(held, state));
        },
        py::arg("model"), py::arg("state"), "The score of the end of a text.");
}

}  // namespace coalign::bindings
