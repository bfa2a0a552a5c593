#include "ctc/greedy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace coalign::ctc {
namespace {

template <class T>
void close(GreedyCarry& carry, LabelSpans<T>& spans, std::int64_t stop) {
    if (carry.label < 0) return;
    const std::int64_t at = spans.count++;
    spans.label[at] = carry.label;
    spans.start[at] = carry.start;
    spans.stop[at] = stop;
    spans.score[at] = static_cast<T>(carry.sum / static_cast<double>(stop - carry.start));
    carry.label = -1;
}

template <class T>
std::int64_t first_bad(const T* values, std::int64_t count) {
    return std::find_if(values, values + count, [](T v) { return !(v <= std::numeric_limits<T>::max()); }) - values;
}

template <class T>
struct Worker {
    const GreedyKernels<T>& kernels;
    Pacer pacer;
    T score[kGreedyFrames];
    std::int64_t symbol[kGreedyFrames];

    // False when the call is to stop.
    bool decode(const MatrixView<T>& frames, std::int64_t blank, bool is_logits, bool is_last, GreedyOutcome<T>& out) {
        GreedyCarry& carry = out.carry;
        for (std::int64_t t = 0; t < frames.rows; t += kGreedyFrames) {
            const std::int64_t count = std::min(kGreedyFrames, frames.rows - t);
            if (!pacer.proceed(count * (4 + frames.columns / 4))) return false;
            const T* const values = frames.data + t * frames.row_stride;
            const std::int64_t read =
                kernels.pick({values, count, frames.columns, frames.row_stride, is_logits, score, symbol});
            if (read < count) {
                out.status = Status::nan;
                out.bad = (t + read) * frames.columns + first_bad(values + read * frames.row_stride, frames.columns);
                return true;
            }
            for (std::int64_t k = 0; k < count; ++k) {
                const double here = static_cast<double>(score[k]);
                const std::int64_t label = symbol[k] == blank ? -1 : symbol[k];
                if (label != carry.label) {
                    close(carry, out.spans, carry.frames);
                    carry.label = label;
                    carry.start = carry.frames;
                    carry.sum = 0;
                }
                carry.sum += here;
                carry.total += here;
                carry.is_possible &= here > -std::numeric_limits<double>::infinity();
                ++carry.frames;
            }
        }
        // A sum of finite scores may be infinite, too.
        if (!carry.is_possible) {
            carry.total = -std::numeric_limits<double>::infinity();
            carry.sum = 0;
        }
        out.status = carry.is_possible ? Status::ok : Status::infeasible;
        if (is_last) close(carry, out.spans, carry.frames);
        return true;
    }
};

}  // namespace

template <class T>
Run decode_greedily(const GreedyKernels<T>& kernels, const Batch& batch, bool is_last, int threads,
                    double work_per_thread, Pulse& pulse, GreedyOutcome<T>* outcomes) {
    return run_batch(
        batch.count(), greedy_work(batch.frames), threads, work_per_thread, pulse,
        [&] { return Worker<T>{kernels, Pacer(pulse), {}, {}}; },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            const bool is_logits = batch.input == Input::logits;
            return worker.decode(batch.frames.at<T>(p), batch.blank, is_logits, is_last, outcomes[p]) ? p + 1 : p;
        });
}

template Run decode_greedily<float>(const GreedyKernels<float>&, const Batch&, bool, int, double, Pulse&,
                                    GreedyOutcome<float>*);
template Run decode_greedily<double>(const GreedyKernels<double>&, const Batch&, bool, int, double, Pulse&,
                                     GreedyOutcome<double>*);

}  // namespace coalign::ctc
