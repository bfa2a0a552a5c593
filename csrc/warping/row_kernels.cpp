// One row of the lattice at a time, a vector of columns each step: for step patterns whose steps advance x, every cell
// of a row comes from rows above, so no chain of additions ties the columns together. Steps that stay in the row follow
// in a second, scalar pass.
#include <limits>
#include <type_traits>

#include "warping/lattice.hpp"

namespace coalign::COALIGN_SET {
namespace {

using warping::kNoStep;
using warping::RowKernels;
using warping::RowPass;
using warping::RowStep;
using warping::RowTerm;

// Vectors of columns that are in flight together.
constexpr int kTogether = 4;

template <class T, Local kLocal>
[[gnu::always_inline]] inline Vec<T> add_difference(Vec<T> sum, Vec<T> x, Vec<T> y) {
    if constexpr (kLocal == Local::cosine) {
        return fused(x, y, sum);
    } else if constexpr (kLocal == Local::magnitude || kLocal == Local::magnitude_sum) {
        return sum + absolute(x - y);
    } else {
        const Vec<T> difference = x - y;
        return fused(difference, difference, sum);
    }
}

template <class T, Local kLocal>
[[gnu::always_inline]] inline Vec<T> finish_cost(Vec<T> sum) {
    if constexpr (kLocal == Local::root_square_sum || kLocal == Local::expanded_root_square_sum) {
        return square_root(sum);
    } else if constexpr (kLocal == Local::cosine) {
        const Vec<T> cost = splat<T>(1) - sum;
        return select(cost > Vec<T>{}, cost, Vec<T>{});
    } else {
        return sum;
    }
}

template <class T, Local kLocal>
void row_costs(const T* x, const T* y, std::int64_t dim, std::int64_t stride, std::int64_t begin, std::int64_t end,
               T* out) {
    constexpr int width = kWidth<T>;
    const auto advance = [&]<int kCount>(std::int64_t j,
                                         std::integral_constant<int, kCount>) __attribute__((always_inline)) {
        Vec<T> sum[kCount];
#pragma GCC unroll 4
        for (int c = 0; c < kCount; ++c) sum[c] = Vec<T>{};
        for (std::int64_t d = 0; d < dim; ++d) {
            const Vec<T> value = splat<T>(x[d]);
#pragma GCC unroll 4
            for (int c = 0; c < kCount; ++c)
                sum[c] = add_difference<T, kLocal>(sum[c], value, load(y + d * stride + j + c * width));
        }
#pragma GCC unroll 4
        for (int c = 0; c < kCount; ++c) store(out + j + c * width, finish_cost<T, kLocal>(sum[c]));
    };
    std::int64_t j = begin;
    for (; j + kTogether * width <= end; j += kTogether * width) advance(j, std::integral_constant<int, kTogether>{});
    for (; j < end; j += width) advance(j, std::integral_constant<int, 1>{});
}

// As `fused` rounds.
template <class T>
[[gnu::always_inline]] inline T fused_one(T a, T b, T c) {
#if defined(__FMA__) || defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return __builtin_fmaf(a, b, c);
    else return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

// A path may not visit a forbidden cell, whatever its weight.
template <class T>
[[gnu::always_inline]] inline T add_term(T weight, T cost, T sum) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    return weight > 0 ? fused_one(weight, cost, sum) : cost < inf ? sum : inf;
}

// A branch would be guessed wrong every few cells: with one, recording symmetric2 took 37 cycles a cell, of which the
// chain of additions and minima takes 8.
[[gnu::always_inline]] inline std::uint8_t chosen(bool taken, std::uint8_t number, std::uint8_t other) {
    const auto mask = static_cast<std::uint8_t>(-static_cast<int>(taken));
    return static_cast<std::uint8_t>((number & mask) | (other & ~mask));
}

template <class T, bool kRecord>
void advance_staying(const RowPass<T>& pass) {
    const RowStep<T>* const first = pass.steps + pass.crossing;
    for (std::int64_t j = pass.begin; j < pass.end; ++j) {
        T best = pass.row[j];
        std::uint8_t choice = kRecord ? pass.choice[j] : kNoStep;
        for (int s = 0; s < pass.staying; ++s) {
            T sum = first[s].from[j];
            for (int t = first[s].first; t < first[s].last; ++t)
                sum = add_term(pass.terms[t].weight, pass.terms[t].cost[j], sum);
            if constexpr (kRecord) choice = chosen(sum < best, static_cast<std::uint8_t>(pass.crossing + s), choice);
            best = sum < best ? sum : best;
        }
        pass.row[j] = best;
        if constexpr (kRecord) pass.choice[j] = choice;
    }
}

// One step to the next column: what comes from the left stays in a register.
template <class T, bool kRecord>
void advance_along(const RowPass<T>& pass) {
    // Copies: a byte that is written might be any object.
    const RowTerm<T> term = pass.terms[pass.steps[pass.crossing].first];
    const auto number = static_cast<std::uint8_t>(pass.crossing);
    const std::int64_t begin = pass.begin, end = pass.end;
    std::uint8_t* const choice = pass.choice;
    T* const row = pass.row;
    T left = row[begin - 1];
    for (std::int64_t j = begin; j < end; ++j) {
        const T sum = add_term(term.weight, term.cost[j], left), best = row[j];
        if constexpr (kRecord) choice[j] = chosen(sum < best, number, choice[j]);
        left = sum < best ? sum : best;
        row[j] = left;
    }
}

// The number of a step in the lanes of a mask.
template <class T>
[[gnu::always_inline]] inline IntVec<T> chosen(IntVec<T> taken, int number, IntVec<T> other) {
    return taken ? IntVec<T>{} + number : other;
}

// kCount vectors of columns by the steps that come from earlier rows.
template <class T, bool kRecord, int kCount>
[[gnu::always_inline]] inline void advance_columns(const RowPass<T>& pass, std::int64_t j) {
    constexpr int width = kWidth<T>;
    const Vec<T> inf = splat<T>(std::numeric_limits<T>::infinity());
    Vec<T> best[kCount];
    IntVec<T> choice[kCount];
#pragma GCC unroll 4
    for (int c = 0; c < kCount; ++c) {
        best[c] = load(pass.row + j + c * width);
        choice[c] = IntVec<T>{} + kNoStep;
    }
    for (int s = 0; s < pass.crossing; ++s) {
        const RowStep<T>& step = pass.steps[s];
        Vec<T> sum[kCount];
#pragma GCC unroll 4
        for (int c = 0; c < kCount; ++c) sum[c] = load(step.from + j + c * width);
        for (int t = step.first; t < step.last; ++t) {
            const T* const cost = pass.terms[t].cost + j;
            const Vec<T> weight = splat<T>(pass.terms[t].weight);
            if (pass.terms[t].weight > 0) {
#pragma GCC unroll 4
                for (int c = 0; c < kCount; ++c) sum[c] = fused(weight, load(cost + c * width), sum[c]);
            } else {
#pragma GCC unroll 4
                for (int c = 0; c < kCount; ++c) sum[c] = select(IntVec<T>(load(cost + c * width) < inf), sum[c], inf);
            }
        }
#pragma GCC unroll 4
        for (int c = 0; c < kCount; ++c) {
            if constexpr (kRecord) choice[c] = chosen<T>(IntVec<T>(sum[c] < best[c]), s, choice[c]);
            best[c] = minimum(sum[c], best[c]);
        }
    }
#pragma GCC unroll 4
    for (int c = 0; c < kCount; ++c) {
        store(pass.row + j + c * width, best[c]);
        if constexpr (kRecord) store_bytes(pass.choice + j + c * width, choice[c]);
    }
}

template <class T, bool kRecord>
void row_pass(const RowPass<T>& pass) {
    constexpr int width = kWidth<T>;
    std::int64_t j = pass.begin;
    for (; j + kTogether * width <= pass.end; j += kTogether * width) advance_columns<T, kRecord, kTogether>(pass, j);
    for (; j < pass.end; j += width) advance_columns<T, kRecord, 1>(pass, j);
    if (pass.staying == 0) return;
    const RowStep<T>& only = pass.steps[pass.crossing];
    if (pass.staying == 1 && only.last == only.first + 1 && only.from == pass.row - 1) advance_along<T, kRecord>(pass);
    else advance_staying<T, kRecord>(pass);
}

// In the order of Local. The expanded forms are for many rows at once, and the matrix is copied by the driver.
template <class T>
inline constexpr RowKernels<T> kTable{
    kWidth<T>,
    {row_costs<T, Local::square>, row_costs<T, Local::magnitude>, row_costs<T, Local::square_sum>,
     row_costs<T, Local::root_square_sum>, row_costs<T, Local::square_sum>, row_costs<T, Local::root_square_sum>,
     row_costs<T, Local::magnitude_sum>, row_costs<T, Local::cosine>, nullptr},
    row_pass<T, false>,
    row_pass<T, true>};

}  // namespace

template <>
const RowKernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const RowKernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
