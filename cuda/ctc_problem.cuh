// What the kernels of CTC share: one problem of a call, and the teams of
// threads that work on it.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/extended.cuh"
#include "core/status.hpp"
#include "ctc.hpp"
#include "ctc_batch.cuh"

namespace coalign::cuda {

// The bounds of csrc/ctc/kernels.hpp for float32, of both types here, as
// exponents are of one.
inline constexpr int kLeastEmission = -(1 << 20);
inline constexpr int kLeastState = -(1 << 29);
inline constexpr int kStepsPerBlock = 16;
inline constexpr int kNoEmission = kLeastState / kStepsPerBlock;
inline constexpr double kLargestScore = 1 << 20;

// What is known of a frame.
struct FrameRecord {
    double log_sum;  // of the exponentials, less the logarithm of the power of 2
                     // that emissions are relative to
    unsigned marks;
};
inline constexpr unsigned kDropped = 1;   // what is not 0 was taken as 0
inline constexpr unsigned kTooLarge = 2;  // the best score is beyond kLargestScore
inline constexpr unsigned kBad = 4;       // a score is NaN or +inf

struct SortedLabel {
    int symbol, position;
};

// What becomes of a problem.
enum class Way : int { solved, invalid, impossible, bad, careful, careful_loss };

template <class T>
struct Verdict {
    Extended<T> label, blank;  // the probabilities of ending in the last label,
                               // and in the last blank
    T inverse_total;           // 1 / mantissa of the total
    int total_exponent;
    Way way;
};

template <class T>
struct Call : CtcBatch {
    std::int64_t first, last;  // problems of this launch
    // Occupancies are written as they are, with a weight of -1 and without the
    // softmax that a gradient of logits has.
    bool is_logits, has_softmax, wants_occupancy, zero_infinity, divides;
    std::int64_t most_positions;
    T* loss;
    std::int32_t* status;
    bool wants_gradient;
    T* gradient;
    T* const* gradient_items;
    std::int64_t gradient_rows, gradient_item_stride, gradient_row_stride;
    // Room for each problem of the launch: see CtcPlan::offsets.
    const std::int64_t *frames_before, *cells_before, *labels_before;
    FrameRecord* records;
    Extended<T>* cells;
    SortedLabel* sorted;
    Verdict<T>* verdicts;
};

// Computed in T, from scores of X.
template <class T, class X = T>
struct Problem {
    std::int64_t frames, labels, columns, blank;
    const X* x;
    std::int64_t row_stride, column_stride;
    const std::int64_t* label;
    T* gradient;
    std::int64_t gradient_stride;
    T weight;
    FrameRecord* record;
    SortedLabel* sorted;
    Verdict<T>* verdict;
    // [frame][position]: emissions of labels and, last, of the blank. Then, of
    // labels alone, the probability of the frames so far along all ways to a
    // state, and of those to come along all ways from it.
    Extended<T>*emission, *alpha, *beta;

    __device__ std::int64_t positions() const { return labels + 1; }
    __device__ T score(std::int64_t t, std::int64_t c) const {
        return static_cast<T>(x[t * row_stride + c * column_stride]);
    }
    // Of position `labels`, the blank.
    __device__ std::int64_t symbol(std::int64_t position) const { return position < labels ? label[position] : blank; }
    // Whether a label may follow the one before without a blank between.
    __device__ bool skips(std::int64_t position) const {
        return position > 0 && position < labels && label[position] != label[position - 1];
    }
    __device__ T* gradient_row(std::int64_t t) const { return gradient + t * gradient_stride; }
};

// A batch's texts count equally in "mean", whatever their lengths.
__device__ inline double share_of(std::int64_t labels) {
    return 1 / static_cast<double>(labels > 1 ? labels : 1);
}

// Where an emission's room ends. A careful solution of a short recording takes that of 32 frames.
__device__ __host__ inline std::int64_t cells_of(std::int64_t frames, std::int64_t labels) {
    return (frames > 32 ? frames : 32) * (labels + 1);
}

// How many times the room for emissions a problem has: for alpha and beta as
// well, and for emissions in float64 where a loss needs them.
template <class T>
__device__ __host__ constexpr std::int64_t rooms_of(bool wants_gradient) {
    return wants_gradient ? 3 : static_cast<std::int64_t>(sizeof(double) / sizeof(T));
}

// An invalid problem is taken as an empty one.
template <class T>
__device__ Problem<T> problem_at(const Call<T>& call, std::int64_t p) {
    Problem<T> of;
    of.verdict = call.verdicts + (p - call.first);
    const bool is_valid = of.verdict->way != Way::invalid;
    of.frames = is_valid ? call.frame_counts[p] : 0;
    of.labels = is_valid ? call.label_counts[p] : 0;
    of.columns = call.frames.columns;
    of.blank = call.blank;
    of.x = scores_of<T>(call, p);
    of.row_stride = call.frames.row_stride;
    of.column_stride = call.frames.column_stride;
    of.label = call.label_items[p];
    of.gradient = call.gradient_items != nullptr ? call.gradient_items[p]
                  : call.gradient != nullptr     ? call.gradient + p * call.gradient_item_stride
                                                 : nullptr;
    of.gradient_stride = call.gradient_row_stride;
    of.weight = call.wants_occupancy ? T(-1)
                : call.divides       ? static_cast<T>(share_of(of.labels) / static_cast<double>(call.count))
                                     : T(1);
    of.record = call.records + call.frames_before[p];
    of.sorted = call.sorted + call.labels_before[p];
    const std::int64_t cells = cells_of(of.frames, of.labels);
    of.emission = call.cells + call.cells_before[p] * rooms_of<T>(call.wants_gradient);
    of.alpha = of.emission + cells;
    of.beta = of.alpha + cells;
    return of;
}

template <class T>
__device__ void put_loss(const Call<T>& call, std::int64_t p, double loss, Status status) {
    // Probabilities are at most 1; roundings may say more.
    if (call.is_logits && loss < 0) loss = 0;
    if (call.zero_infinity && status == Status::infeasible) loss = 0;
    call.loss[p] = static_cast<T>(loss);
    // A sum of finite scores may be beyond T.
    if (status == Status::ok && absolute(call.loss[p]) > kLargest<T>) status = Status::precision_limit;
    call.status[p] = static_cast<std::int32_t>(status);
}

}  // namespace coalign::cuda
