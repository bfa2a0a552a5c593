// The best symbol of every frame, repeats merged and blanks dropped.
#pragma once

#include <cstdint>

#include "core/batch_run.hpp"
#include "core/ragged.hpp"
#include "core/status.hpp"
#include "ctc/greedy_kernels.hpp"
#include "ctc/problem.hpp"

namespace coalign::ctc {

// Work is counted in values, and a frame by itself counts as 32. Below this much a thread does not repay its start.
inline constexpr double kGreedyWorkPerThread = 4e5;

inline double greedy_work(const Ragged& frames) {
    const double columns = frames.count > 0 ? static_cast<double>(frames.columns_of(0)) : 1;
    return frames.elements() * (1 + 32 / columns);
}

// Labels and their frames [start, stop), with the mean log-score of those frames. There is room for a label a frame,
// and for one more where a label is carried over from earlier frames.
template <class T>
struct LabelSpans {
    std::int64_t *label, *start, *stop;
    T* score;
    std::int64_t count = 0;
};

// How far a recording has been read: what one piece of it hands to the next.
struct GreedyCarry {
    std::int64_t frames = 0;
    std::int64_t label = -1, start = 0;  // the label that may go on in the next frame, or -1
    double sum = 0, total = 0;           // log-scores of the label's frames, and of all
    bool is_possible = true;             // each frame has a possible symbol
};

// What became of one recording.
template <class T>
struct GreedyOutcome {
    LabelSpans<T> spans;
    GreedyCarry carry;
    Status status = Status::ok;  // infeasible: a frame has no possible symbol; nan: value number `bad`, t * C + c
    std::int64_t bad = 0;
};

// Of the batch, `frames`, `blank` and `input` are read. Each outcome comes with its room, and with what was carried
// over. Where the recordings go on, `is_last` is false, and a label that reaches the end stays in the carry.
template <class T>
Run decode_greedily(const GreedyKernels<T>& kernels, const Batch& batch, bool is_last, int threads,
                    double work_per_thread, Pulse& pulse, GreedyOutcome<T>* outcomes);

}  // namespace coalign::ctc
