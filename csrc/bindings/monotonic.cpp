#include "ctc/monotonic.hpp"

#include <algorithm>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::ctc;

enum MonotonicField { kDurations, kTokenOfFrame, kTotal, kStatus };

constexpr Schema kMonotonic{"MonotonicFields",
                            "The fields of `coalign.MonotonicAlignment`.",
                            4,
                            {{{"durations", Per::row, Element::int64, "How many frames each token has."},
                              {"token_of_frame", Per::column, Element::int64, "The token of each frame."},
                              {"total", Per::problem, Element::float64, "Sum of the scores on the path."},
                              {"status", Per::problem, Element::int32, "A `Status` for each problem."}}}};

// Calls with fewer scores keep the GIL: so many take some 10 us.
constexpr double kSmallWork = 1 << 14;

constexpr Readable kScores{Readable::Items::matrices, 0, kMostAligned};

// monotonic_alignment(score, text_lengths, frame_lengths, threads, device) returns the result; for prepared arguments
// also the first score that is NaN or +inf: (problem, token, frame).
struct MonotonicArguments {
    static constexpr const char *kName = "monotonic_alignment", *kGeneral = "coalign._monotonic";
    static constexpr Py_ssize_t kCount = 5;

    bool read(PyObject* const* given, bool) {
        return scores.read(given[0], given[1], given[2]) && threads.read(given[3]) && read_cpu(given[4]);
    }
    bool is_float32() const { return scores.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        const Ragged& batch = scores.batch();
        const Form form = scores.form();
        Result made(kMonotonic, Counts::of(form, batch), Element::float64);
        Parts<std::int64_t> durations(made.data<std::int64_t>(kDurations), form, batch.rows, 0);
        Parts<std::int64_t> tokens(made.data<std::int64_t>(kTokenOfFrame), form, batch.columns, -1);
        auto* total = made.data<double>(kTotal);
        std::vector<Monotonic> results;
        results.reserve(static_cast<std::size_t>(batch.count));
        for (std::int64_t p = 0; p < batch.count; ++p)
            results.push_back({durations.take(batch.rows_of(p)), tokens.take(batch.columns_of(p)), total++});
        const double work = batch.elements(), per_thread = forced.work_per_thread.value_or(kMonotonicWorkPerThread);
        const auto& kernels = table_for<MonotonicKernels<T>>(forced.isa);
        const int most = threads.for_work(work, per_thread);
        const Run run = run_call(work <= kSmallWork, [&](Pulse& pulse) {
            return align_monotonically<T>(kernels, batch, most, per_thread, pulse, results);
        });
        forced.note(name(kernels.isa), run.workers);
        auto* status = made.data<std::int32_t>(kStatus);
        for (const Monotonic& result : results) *status++ = static_cast<std::int32_t>(result.status);
        if (prepared) return py::make_tuple(made.release(), first_wrong(results)).release().ptr();
        const auto is_solved = [](const Monotonic& result) { return result.status == Status::ok; };
        return std::all_of(results.begin(), results.end(), is_solved) ? made.release().release().ptr() : nullptr;
    }

   private:
    static py::object first_wrong(const std::vector<Monotonic>& results) {
        for (std::size_t p = 0; p < results.size(); ++p)
            if (results[p].status == Status::nan) return py::make_tuple(p, results[p].row, results[p].column);
        return py::none();
    }

    PlainBatch scores{kScores};
    ThreadLimit threads;
};

}  // namespace

void bind_monotonic(py::module_& module) {
    module.attr("monotonic_work_per_thread") = kMonotonicWorkPerThread;
    make_result_class(module, kMonotonic);
    add_function<front_door<MonotonicArguments>>(
        module, MonotonicArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
}

}  // namespace coalign::bindings
