// How a recording's frames are read, and how it is walked along, in numbers
// with an exponent of their own.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "core/block.cuh"
#include "ctc_problem.cuh"

namespace coalign::cuda {

// e^score, relative to 2^power.
template <class T>
__device__ Extended<T> emission_of(T score, T from, int power, unsigned& marks) {
    const T least = from + T(0.693147180559945) * static_cast<T>(kLeastEmission);
    if (!(score >= least)) {
        if (score > -kInfinity<T>) marks |= kDropped;
        return {T(0), kNoEmission};
    }
    const Extended<T> raw = exp_extended(score);
    return {raw.mantissa, raw.exponent - power};
}

enum class Fill { nothing, softmax, zeros };

// The distribution of a frame: its softmax goes to the gradient, the emissions
// of the text to rows of their own.
template <class T, class X, class Team>
__device__ void read_frame(const Problem<T, X>& of, std::int64_t t, const Team& team, bool is_logits, Fill fill) {
    // With log_probs only what the text needs is read.
    const std::int64_t count = is_logits ? of.columns : of.positions();
    const auto symbol_at = [&](std::int64_t k) { return is_logits ? k : of.symbol(k); };
    int good = 1;
    T most = -kInfinity<T>;
    for (std::int64_t k = team.rank(); k < count; k += team.size()) {
        const T score = of.score(t, symbol_at(k));
        if (!(score < kInfinity<T>)) good = 0;
        most = greater(most, score);
    }
    good = team.least(good);
    most = team.most(most);
    const T from = most == -kInfinity<T> ? T(0) : most;
    const bool is_readable = good != 0 && absolute(from) <= static_cast<T>(kLargestScore);
    unsigned marks = good == 0 ? kBad : is_readable ? 0 : kTooLarge;
    double log_sum = 0;
    int power = 0;
    if (is_readable) {
        // ln 2 in two parts: a power of up to 2^20 times the first is exact, and so
        // is a score of that size less it.
        constexpr double high = 0x1.62e42feep-1, low = 0x1.a39ef35793c76p-33;
        power = static_cast<int>(power_in(from));
        log_sum = (is_logits ? static_cast<double>(from) : 0) - power * high - power * low;
        if (is_logits) {
            T sum = 0;
            for (std::int64_t c = team.rank(); c < of.columns; c += team.size())
                sum += exponential(of.score(t, c) - from);
            sum = team.sum(sum);
            if (sum > 0) log_sum += log(static_cast<double>(sum));
            const T scale = sum > 0 ? of.weight / sum : T(0);
            if (fill == Fill::softmax) {
                T* const out = of.gradient_row(t);
                for (std::int64_t c = team.rank(); c < of.columns; c += team.size())
                    out[c] = exponential(of.score(t, c) - from) * scale;
            }
        }
        if (fill == Fill::zeros) {
            T* const out = of.gradient_row(t);
            for (std::int64_t c = team.rank(); c < of.columns; c += team.size()) out[c] = 0;
        }
    }
    Extended<T>* const emission = of.emission + t * of.positions();
    for (std::int64_t i = team.rank(); i < of.positions(); i += team.size())
        emission[i] =
            is_readable ? emission_of(of.score(t, of.symbol(i)), from, power, marks) : Extended<T>{T(0), kNoEmission};
    marks = static_cast<unsigned>(team.join(static_cast<int>(marks), [](int a, int b) { return a | b; }));
    if (team.rank() == 0) of.record[t] = {log_sum, marks};
}

// A state: that of the label at a position, and that of the blank before it.
template <class T, int kPositions>
struct State {
    Extended<T> label[kPositions], blank[kPositions];

    __device__ void normalise(bool& dropped) {
#pragma unroll
        for (int k = 0; k < kPositions; ++k) {
            label[k] = normalised(label[k], kLeastState, dropped);
            blank[k] = normalised(blank[k], kLeastState, dropped);
        }
    }
};

// What the threads of a block hand to their neighbours: by shuffles in a warp,
// and from warp to warp through two sets of slots used by turns. A slot is
// written again after the next barrier, when all have read it.
template <class T>
class Neighbours {
   public:
    __device__ Neighbours(int warps, bool is_first, bool is_last)
        : slots_(shared_memory<Extended<T>>()), warps_(warps), is_first_(is_first), is_last_(is_last) {}

    // Each thread's value goes to the next one, and the first thread gets
    // nothing.
    __device__ Extended<T> from_below(Extended<T> value) {
        Extended<T> got{__shfl_up_sync(kWholeWarp, value.mantissa, 1), __shfl_up_sync(kWholeWarp, value.exponent, 1)};
        return from_other_warp(got, value, kWarp - 1, 0, -1, is_first_);
    }
    // Each thread's value goes to the one before, and the last thread gets
    // nothing.
    __device__ Extended<T> from_above(Extended<T> value) {
        Extended<T> got{__shfl_down_sync(kWholeWarp, value.mantissa, 1),
                        __shfl_down_sync(kWholeWarp, value.exponent, 1)};
        return from_other_warp(got, value, 0, kWarp - 1, 1, is_last_);
    }

   private:
    __device__ Extended<T> from_other_warp(Extended<T> got, Extended<T> value, unsigned giver, unsigned taker, int step,
                                           bool is_end) {
        const unsigned lane = threadIdx.x % kWarp;
        const int warp = static_cast<int>(threadIdx.x / kWarp);
        if (warps_ > 1) {
            Extended<T>* const slots = slots_ + turn_ * warps_;
            turn_ ^= 1;
            if (lane == giver) slots[warp] = value;
            __syncthreads();
            if (lane == taker && !is_end) got = slots[warp + step];
        }
        if (lane == taker && is_end) got = {T(0), kLeastState};
        return got;
    }

    Extended<T>* slots_;
    int warps_, turn_ = 0;
    bool is_first_, is_last_;
};

// Walks along a recording, from its end if kBack, with some positions in each
// thread of so many warps.
template <class T, int kPositions, bool kBack, class X>
__device__ void walk(const Problem<T, X>& of, int warps, bool keeps) {
    // As many emissions wait in registers as arrive while that many steps run. Of
    // 8 positions in float64 none does: their states fill the registers, and a
    // step has work enough for other warps to wait behind.
    constexpr bool kFetchesAhead = kPositions * sizeof(T) <= 32;
    constexpr int kAhead = kPositions == 8 ? 1 : (40 - 8 * kPositions) / static_cast<int>(sizeof(T));
    const int frames = static_cast<int>(of.frames), labels = static_cast<int>(of.labels);
    const int begin = static_cast<int>(threadIdx.x) * kPositions;
    const int warp = static_cast<int>(threadIdx.x / kWarp);
    Neighbours<T> neighbours(warps, warp == 0, warp == warps - 1);
    const auto frame_of = [&](int step) { return kBack ? frames - 1 - step : step; };

    State<T, kPositions> state;
    unsigned skips = 0;
#pragma unroll
    for (int k = 0; k < kPositions; ++k) {
        state.label[k] = state.blank[k] = {T(0), kLeastState};
        if (begin + k == (kBack ? labels : 0)) state.blank[k] = {T(1), 0};
        if (of.skips(begin + k)) skips |= 1u << k;
    }
    const auto emissions_at = [&](int step) {
        return of.emission + static_cast<std::int64_t>(frame_of(step)) * (labels + 1);
    };
    const auto emission_at = [&](int step, int position) {
        return position < labels ? emissions_at(step)[position] : Extended<T>{T(0), kNoEmission};
    };
    Extended<T> ahead[kAhead][kPositions], ahead_blank[kAhead];
    const auto fetch = [&](int slot, int step) {
        ahead_blank[slot] = emissions_at(step)[labels];
#pragma unroll
        for (int k = 0; k < kPositions; ++k) ahead[slot][k] = emission_at(step, begin + k);
    };
#pragma unroll
    for (int slot = 0; slot < kAhead; ++slot)
        if (kFetchesAhead && slot < frames) fetch(slot, slot);

    Extended<T>* const kept = kBack ? of.beta : of.alpha;
    for (int first = 0; first < frames; first += kAhead) {
#pragma unroll
        for (int slot = 0; slot < kAhead; ++slot) {
            const int step = first + slot;
            if (step >= frames) break;
            const int t = frame_of(step);
            Extended<T> fetched[kPositions];
            const Extended<T> of_blank = kFetchesAhead ? ahead_blank[slot] : emissions_at(step)[labels];
#pragma unroll
            for (int k = 0; k < kPositions; ++k) fetched[k] = ahead[slot][k];
            if (kFetchesAhead && step + kAhead < frames) fetch(slot, step + kAhead);
            const auto emission = [&](int k) { return kFetchesAhead ? fetched[k] : emission_at(step, begin + k); };
            if (step % kStepsPerBlock == 0) {
                bool dropped = false;
                state.normalise(dropped);
                // Whoever writes here writes the same.
                if (dropped && !kBack) of.record[t].marks |= kDropped;
            }
            Extended<T>* const row = kept + static_cast<std::int64_t>(t) * (labels + 1);
            const auto keep = [&](int k, Extended<T> value) {
                if (keeps && begin + k < labels) row[begin + k] = value;
            };
            if constexpr (kBack) {
                // A label is left for itself, for the blank after it, or for the next
                // label.
                Extended<T> entered[kPositions];
#pragma unroll
                for (int k = 0; k < kPositions; ++k) {
                    const Extended<T> through = add(state.blank[k], state.label[k]);
                    entered[k] = (skips >> k & 1u) != 0 ? through : state.blank[k];
                    state.blank[k] = multiply(through, of_blank);
                }
                const Extended<T> above = neighbours.from_above(entered[0]);
#pragma unroll
                for (int k = 0; k < kPositions; ++k) {
                    const Extended<T> left =
                        add(state.label[k], k + 1 < kPositions ? entered[k + 1 < kPositions ? k + 1 : 0] : above);
                    keep(k, left);
                    state.label[k] = multiply(left, emission(k));
                }
            } else {
                const Extended<T> below = neighbours.from_below(state.label[kPositions - 1]);
#pragma unroll
                for (int k = kPositions - 1; k >= 0; --k) {
                    const Extended<T> through = add(state.blank[k], k > 0 ? state.label[k > 0 ? k - 1 : 0] : below);
                    const Extended<T> entered = (skips >> k & 1u) != 0 ? through : state.blank[k];
                    state.label[k] = multiply(add(state.label[k], entered), emission(k));
                    state.blank[k] = multiply(through, of_blank);
                    keep(k, state.label[k]);
                }
            }
        }
    }
    if constexpr (!kBack) {
#pragma unroll
        for (int k = 0; k < kPositions; ++k) {
            if (begin + k == labels - 1) of.verdict->label = state.label[k];
            if (begin + k == labels) of.verdict->blank = state.blank[k];
        }
    }
}

// -log of the total, less what belongs to the frames; false where what was
// taken as 0 may count.
template <class T, class X>
__device__ bool find_total(const Problem<T, X>& of, unsigned marks, double& loss) {
    Verdict<T>& verdict = *of.verdict;
    Extended<T> ends[2] = {verdict.blank, verdict.blank};
    if (of.labels > 0) ends[1] = verdict.label;
    const int exponent = ends[0].exponent > ends[1].exponent ? ends[0].exponent : ends[1].exponent;
    double mantissa = static_cast<double>(ends[0].mantissa) * power_of_two<double>(ends[0].exponent - exponent);
    if (of.labels > 0)
        mantissa += static_cast<double>(ends[1].mantissa) * power_of_two<double>(ends[1].exponent - exponent);
    // All exponents are relative to the product of the frames' best scores, and a
    // lattice has less than 3 ways on from each state: ways through what was
    // taken as 0 have at most 2^(1.6 T + limit) together.
    const double limit =
        ((marks & kDropped) != 0 ? kLeastEmission : kNoEmission) + 1.6 * static_cast<double>(of.frames);
    if (!(mantissa > 0) || static_cast<double>(exponent) < limit + 80) return false;
    constexpr double ln2 = 0x1.62e42fefa39efp-1;
    loss = -log(mantissa) - static_cast<double>(exponent) * ln2;
    verdict.inverse_total = static_cast<T>(1 / mantissa);
    verdict.total_exponent = exponent;
    return true;
}

}  // namespace coalign::cuda
