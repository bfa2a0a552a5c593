// The steps of beam search that go over many numbers, once per instruction set, into the namespace COALIGN_SET.
#include "ctc/beam_kernels.hpp"

#include <algorithm>
#include <limits>

#include "core/lanes.hpp"
#include "core/math.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

using ctc::BeamMass;
using Lanes = Vec<double>;
constexpr int kLanes = kWidth<double>;
static_assert(ctc::kBeamPad % kLanes == 0);

template <class T>
bool read_frame(const T* values, std::int64_t columns, bool is_logits, double* out) {
    using Limits = std::numeric_limits<double>;
    for (std::int64_t c = 0; c < columns; ++c) out[c] = static_cast<double>(values[c]);
    const Row<double> row{out};
    if (!is_logits) return row_max(row, columns) <= Limits::max();
    const LogSum<double> sum = row_log_sum(row, columns);
    if (!(sum.sum <= Limits::max())) return false;
    const double all = sum.sum > 0 ? value<double>(sum) : 0;
    for (std::int64_t c = 0; c < columns; ++c) out[c] -= all;
    return true;
}

void stay(const BeamMass& before, const double* entering, const double* label_score, double blank_score,
          std::int64_t count, const BeamMass& after) {
    for (std::int64_t i = 0; i < count; i += kLanes) {
        const Lanes blank = load(before.both + i) + blank_score;
        const Lanes label = log_sum_exp<double>(load(before.label + i), load(entering + i)) + load(label_score + i);
        store(after.blank + i, blank);
        store(after.label + i, label);
        store(after.both + i, log_sum_exp<double>(blank, label));
    }
}

std::int64_t above(const double* scores, std::int64_t columns, double floor, std::int32_t* out) {
    std::int32_t* const begin = out;
    for (std::int64_t c = 0; c < columns; c += 64) {
        std::uint64_t set = 0;
        for (std::int64_t at = c, end = std::min(c + 64, columns); at < end; at += kLanes) {
            const int part = static_cast<int>(std::min<std::int64_t>(end - at, kLanes));
            const Lanes v = load_first(scores + at, part, -std::numeric_limits<double>::infinity());
            set |= std::uint64_t{bits(IntVec<double>(v > splat(floor)))} << (at - c);
        }
        out += expand(set, static_cast<std::int32_t>(c), out);
    }
    return out - begin;
}

template <class T>
constexpr ctc::BeamKernels<T> kTable{Isa::COALIGN_SET, read_frame<T>, stay, above};

}  // namespace

template <>
const ctc::BeamKernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const ctc::BeamKernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
