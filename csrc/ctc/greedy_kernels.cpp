// The best symbol of each frame, once per instruction set, into the namespace COALIGN_SET.
#include "ctc/greedy_kernels.hpp"

#include <bit>
#include <limits>

#include "core/lanes.hpp"
#include "core/math.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

using ctc::GreedyFrames;

// The first of `count` values that equals `wanted`, or `count`.
template <class T>
[[gnu::always_inline]] inline std::int64_t first_equal(const T* values, std::int64_t count, T wanted) {
    constexpr int width = kWidth<T>;
    std::int64_t at = 0;
    for (; at + width <= count; at += width)
        if (const unsigned set = bits(IntVec<T>(load(values + at) == splat(wanted)))) return at + std::countr_zero(set);
    for (; at < count; ++at)
        if (values[at] == wanted) return at;
    return count;
}

template <class T>
std::int64_t pick(const GreedyFrames<T>& frames) {
    using Limits = std::numeric_limits<T>;
    static_assert(ctc::kGreedyFrames % kWidth<T> == 0);
    std::int64_t t = 0;
    for (; t < frames.count; ++t) {
        const T* const values = frames.values + t * frames.row_stride;
        const Row<T> row{values};
        T best, score;
        if (frames.is_logits) {
            const LogSum<T> sum = row_log_sum(row, frames.columns);
            if (!(sum.sum <= Limits::max())) break;
            // Only -inf leaves nothing, and has no best symbol.
            best = sum.sum > 0 ? sum.from : -Limits::infinity();
            score = sum.sum;
        } else {
            best = row_max(row, frames.columns);
            if (!(best <= Limits::max())) break;
            score = best;
        }
        frames.score[t] = score;
        frames.symbol[t] = first_equal(values, frames.columns, best);
    }
    if (frames.is_logits) {
        // The best value less the log-sum-exp, which starts from it, is minus the logarithm of the sum.
        for (std::int64_t k = 0; k < t; k += kWidth<T>) {
            const Vec<T> sum = load(frames.score + k);
            store(frames.score + k, select(sum > T(0), -log<T>(sum), -infinity<T>()));
        }
    }
    return t;
}

template <class T>
constexpr ctc::GreedyKernels<T> kTable{Isa::COALIGN_SET, pick<T>};

}  // namespace

template <>
const ctc::GreedyKernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const ctc::GreedyKernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
