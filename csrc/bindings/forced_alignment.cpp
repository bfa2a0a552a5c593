#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "bindings/targets.hpp"
#include "ctc/viterbi.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::ctc;

enum AlignmentField { kLabels, kFrameScore, kStart, kStop, kTokenScore, kConfidence, kTotal, kStatus };

constexpr Schema kAlignment{
    "CTCAlignmentFields",
    "The fields of `coalign.CTCAlignment`.",
    8,
    {{{"labels", Per::row, Element::int64, "Symbol of each frame."},
      {"frame_score", Per::row, Element::computed, "Log-score of each frame."},
      {"start", Per::column, Element::int64, "First frame of each token."},
      {"stop", Per::column, Element::int64, "One past the last frame of each token."},
      {"token_score", Per::column, Element::computed, "Sum of the log-scores of each token's frames."},
      {"confidence", Per::column, Element::computed, "Geometric mean of the probabilities of each token's frames."},
      {"total", Per::problem, Element::float64, "Sum of the log-scores of all frames."},
      {"status", Per::problem, Element::int32, "A `Status` for each problem."}}}};

// Calls with fewer cells keep the GIL: so many take some 10 us.
constexpr double kSmallWork = 1 << 13;

constexpr std::int64_t kLongest = std::numeric_limits<std::int32_t>::max() - (std::int64_t{1} << 16);
constexpr Readable kEmissions{Readable::Items::matrices_by_rows, 0, kLongest};

// ctc_align(x, targets, x_lengths, target_lengths, blank, input, wildcard, open_begin, open_end, threads, device)
// returns the result.
struct AlignArguments {
    static constexpr const char *kName = "ctc_align", *kGeneral = "coalign._forced_alignment";
    static constexpr Py_ssize_t kCount = 11;

    bool read(PyObject* const* given, bool) {
        if (!x.read(given[0], given[2]) || !read_integer(given[4], batch.blank) || !read_input(given[5]) ||
            !read_wildcard(given[6]) || !read_flag(given[7], options.open_begin) ||
            !read_flag(given[8], options.open_end) || !threads.read(given[9]) || !read_cpu(given[10]))
            return false;
        batch.frames = x.batch();
        const std::int64_t columns = batch.count() > 0 ? batch.frames.columns_of(0) : 1;
        for (std::int64_t p = 1; p < batch.count(); ++p)
            if (batch.frames.columns_of(p) != columns) return false;
        if (batch.blank == -1) batch.blank = columns - 1;
        if (columns < 1 || batch.blank < 0 || batch.blank >= columns) return false;
        if (options.wildcard && *options.wildcard >= 0 && *options.wildcard < columns) return false;
        if (!targets.read(given[1], given[3])) return false;
        // One recording goes with each of many texts, and one text with each of many recordings.
        if (!x.is_batch()) {
            batch.frames.count = targets.batch().count;
            batch.frames.item_stride = 0;
        }
        if (!targets.is_batch()) targets.repeat(batch.frames.count);
        batch.targets = targets.batch();
        return batch.frames.count == batch.targets.count && targets.are_labels(columns, batch.blank, options.wildcard);
    }
    bool is_float32() const { return x.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) {
        const std::int64_t count = batch.count();
        std::vector<std::int64_t> frames, labels;
        double work = batch.frames.elements();
        std::int64_t longest = 0;
        for (std::int64_t p = 0; p < count; ++p) {
            frames.push_back(batch.frames.rows_of(p));
            labels.push_back(batch.targets.rows_of(p));
            longest = std::max(longest, labels.back());
            work += static_cast<double>(frames.back()) * static_cast<double>(labels.back() + 1);
        }
        const double per_thread = forced.work_per_thread.value_or(kAlignWorkPerThread);
        options.threads = threads.for_work(work, per_thread);
        options.checkpoint_bytes = forced.checkpoint_bytes.value_or(kAlignCheckpointBytes);

        Counts counts{form(), count, batch.frames.rows, std::max(batch.targets.rows, longest)};
        if (counts.form == Form::list) {
            counts.each_rows = frames.data();
            counts.each_columns = labels.data();
        }
        Result made(kAlignment, counts, sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        std::vector<ctc::Alignment<T>> each = places<T>(made, counts, frames, labels);
        std::vector<Status> outcome(static_cast<std::size_t>(count), Status::ok);
        std::vector<std::int64_t> bad(outcome.size());
        const ViterbiKernels<T>& kernels = table_for<ViterbiKernels<T>>(forced.isa);
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            return align<T>(kernels, batch, options, per_thread, pulse,
                            {each.data(), made.data<double>(kTotal), outcome.data(), bad.data()});
        });
        forced.note(name(kernels.isa), run.workers);
        bool is_solved = true;
        for (std::size_t p = 0; p < outcome.size(); ++p) {
            if (outcome[p] == Status::nan) throw NotFinite(0, static_cast<std::int64_t>(p), bad[p]);
            is_solved = is_solved && outcome[p] == Status::ok;
            made.data<std::int32_t>(kStatus)[p] = static_cast<std::int32_t>(outcome[p]);
        }
        return is_solved || prepared ? made.release().release().ptr() : nullptr;
    }

   private:
    Form form() const {
        if (x.is_batch() || !targets.is_batch()) return x.form();
        return batch.targets.items != nullptr ? Form::list : Form::padded;
    }
    bool read_input(PyObject* given) {
        batch.input = is_text(given, "logits") ? Input::logits : Input::log_probs;
        return batch.input == Input::logits || is_text(given, "log_probs");
    }
    bool read_wildcard(PyObject* given) {
        std::int64_t id = 0;
        if (given == Py_None) return true;
        if (!read_integer(given, id)) return false;
        options.wildcard = id;
        return true;
    }

    // Where the results of each problem go; what they leave of a padded batch is filled.
    template <class T>
    static std::vector<ctc::Alignment<T>> places(const Result& made, const Counts& counts,
                                                 const std::vector<std::int64_t>& frames,
                                                 const std::vector<std::int64_t>& labels) {
        Parts<std::int64_t> symbols(made.data<std::int64_t>(kLabels), counts.form, counts.rows, -1);
        Parts<T> frame_scores(made.data<T>(kFrameScore), counts.form, counts.rows, 0);
        Parts<std::int64_t> starts(made.data<std::int64_t>(kStart), counts.form, counts.columns, -1);
        Parts<std::int64_t> stops(made.data<std::int64_t>(kStop), counts.form, counts.columns, -1);
        Parts<T> token_scores(made.data<T>(kTokenScore), counts.form, counts.columns, 0);
        Parts<T> confidence(made.data<T>(kConfidence), counts.form, counts.columns, 0);
        std::vector<ctc::Alignment<T>> each;
        for (std::size_t p = 0; p < frames.size(); ++p)
            each.push_back({symbols.take(frames[p]), frame_scores.take(frames[p]), starts.take(labels[p]),
                            stops.take(labels[p]), token_scores.take(labels[p]), confidence.take(labels[p])});
        return each;
    }

    PlainBatch x{kEmissions};
    PlainTargets targets;
    ctc::Batch batch;
    AlignOptions options;
    ThreadLimit threads;
};

}  // namespace

void bind_forced_alignment(py::module_& module) {
    module.attr("align_work_per_thread") = kAlignWorkPerThread;
    module.attr("align_checkpoint_bytes") = kAlignCheckpointBytes;
    make_result_class(module, kAlignment);
    add_function<front_door<AlignArguments>>(
        module, AlignArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
}

}  // namespace coalign::bindings
