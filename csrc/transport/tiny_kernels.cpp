// Sums of a row are added up from its first column on, and those of a column from its first row, each by one chain of
// fused steps: rows and columns without weight, which fill up a group, then change no bit.
#include <limits>

#include "core/lanes.hpp"
#include "core/lanes/wide.hpp"
#include "core/math.hpp"
#include "transport/tiny.hpp"

namespace coalign::COALIGN_SET {
namespace {

using namespace coalign::transport;

template <class T>
void gather(const T* const* problems, std::int64_t count, T* out) {
    constexpr int width = kWidth<T>;
    const T* lines[width];
    for (int l = 0; l < width; ++l) lines[l] = problems[l];
    std::int64_t at = 0;
    for (; at + width <= count; at += width) {
        Vec<T> square[width];
        load_turned(lines, at, square);
#pragma GCC unroll 16
        for (int k = 0; k < width; ++k) store(out + (at + k) * width, square[k]);
    }
    for (; at < count; ++at)
        for (int l = 0; l < width; ++l) out[at * width + l] = lines[l][at];
}

// The greatest exponent between costs of a row that is near. Scalings may reach twice as far.
template <class T>
constexpr T kMostRange = sizeof(T) == sizeof(float) ? T(40) : T(160);

template <class T>
unsigned prepare(const TinyGroup<T>& group, unsigned& near) {
    constexpr int width = kWidth<T>;
    T over[width];
    for (int l = 0; l < width; ++l) over[l] = T(1 / group.epsilon[l]);
    const Vec<T> slope = load(over);
    auto fits = slope == slope, is_near = fits;
    for (int i = 0; i < group.rows; ++i) {
        const T* const cost = group.cost + i * group.columns * width;
        T* const kernel = group.kernel + i * group.columns * width;
        Vec<T> least = load(cost);
        for (int j = 1; j < group.columns; ++j) least = minimum(load(cost + j * width), least);
        store(group.least + i * width, least);
        for (int j = 0; j < group.columns; ++j) {
            const Vec<T> exponent = (least - load(cost + j * width)) * slope;
            fits &= exponent <= Vec<T>{};
            is_near &= exponent >= -splat(kMostRange<T>);
            store(kernel + j * width, exp_nonpositive<T>(exponent));
        }
    }
    near = bits(IntVec<T>(is_near));
    return bits(IntVec<T>(fits));
}

// Groups of 4 x 4 keep their matrix in registers.
template <class T>
[[gnu::always_inline]] inline void run_square(const TinyGroup<T>& group, std::int64_t iterations) {
    constexpr int width = kWidth<T>;
    Vec<T> kernel[4][4], v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        v[i] = load(group.column + i * width);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) kernel[i][j] = load(group.kernel + (i * 4 + j) * width);
    }
    for (; iterations > 0; --iterations) {
        Vec<T> u[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            Vec<T> sum = kernel[i][0] * v[0];
#pragma GCC unroll 3
            for (int j = 1; j < 4; ++j) sum = fused(kernel[i][j], v[j], sum);
            u[i] = quotient(load(group.row_goal + i * width), sum);
        }
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            Vec<T> sum = kernel[0][j] * u[0];
#pragma GCC unroll 3
            for (int i = 1; i < 4; ++i) sum = fused(kernel[i][j], u[i], sum);
            v[j] = quotient(load(group.column_goal + j * width), sum);
        }
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) store(group.column + j * width, v[j]);
}

// The scalings of some rows, and what these add to the sums of columns.
template <int kCount, bool kColumns, class T>
[[gnu::always_inline]] inline void sweep_rows(const TinyGroup<T>& group, int first) {
    constexpr int width = kWidth<T>;
    const std::int64_t stride = group.columns * width;
    const T* const kernel = group.kernel + first * stride;
    Vec<T> u[kCount] = {};
    for (std::int64_t at = 0; at < stride; at += width) {
        const Vec<T> v = load_once(group.column + at);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) u[i] = fused(load(kernel + i * stride + at), v, u[i]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) {
        u[i] = quotient(load(group.row_goal + (first + i) * width), u[i]);
        store(group.row + (first + i) * width, u[i]);
    }
    if constexpr (kColumns) {
        for (std::int64_t at = 0; at < stride; at += width) {
            Vec<T> sum = first == 0 ? Vec<T>{} : load(group.sum + at);
#pragma GCC unroll 4
            for (int i = 0; i < kCount; ++i) sum = fused(load(kernel + i * stride + at), u[i], sum);
            store(group.sum + at, sum);
        }
    }
}

template <bool kColumns, class T>
[[gnu::always_inline]] inline void sweep(const TinyGroup<T>& group) {
    int i = 0;
    for (; i + 4 <= group.rows; i += 4) sweep_rows<4, kColumns>(group, i);
    if (i + 2 <= group.rows) {
        sweep_rows<2, kColumns>(group, i);
        i += 2;
    }
    if (i < group.rows) sweep_rows<1, kColumns>(group, i);
}

template <class T>
void run_plain(const TinyGroup<T>& group, std::int64_t iterations) {
    constexpr int width = kWidth<T>;
    if (group.rows == 4 && group.columns == 4) {
        run_square(group, iterations);
        return;
    }
    for (; iterations > 0; --iterations) {
        sweep<true>(group);
        for (std::int64_t at = 0; at < group.columns * width; at += width)
            store(group.column + at, quotient(load(group.column_goal + at), load(group.sum + at)));
    }
}

// So many iterations make a round, which ends with a leap.
constexpr std::int64_t kRound = 4;

// The last iteration of a round. In the end each moves the logarithms of the scalings by the same share of what the one
// before did, so that all that follow together move them by share / (1 - share) times as much as the last: A. C.
// Aitken: On Bernoulli's numerical solution of algebraic equations. Proc. R. Soc. Edinb. 46, 1926.
template <class T>
[[gnu::always_inline]] inline void leap(const TinyGroup<T>& group) {
    constexpr int width = kWidth<T>;
    // Where all move by the same steps, the share is 1 and says nothing of how far.
    constexpr T most_share = T(0.98), longest_step = T(30);
    const std::int64_t columns = group.columns * width;
    const Vec<T> zero{};
    Vec<T> first_mean{}, second_mean{}, product{}, square{}, longest{};
    for (std::int64_t at = 0; at < columns; at += width) {
        const Vec<T> goal = load(group.column_goal + at), column = load(group.column + at);
        const Vec<T> next = quotient(goal, load(group.sum + at));
        const auto counts = goal > zero;
        const Vec<T> first = select(counts, log<T>(column / load(group.before + at)), zero);
        const Vec<T> second = select(counts, log<T>(next / column), zero), weighted = goal * first;
        // What all columns have in common is nothing to the plan.
        first_mean += weighted;
        second_mean = fused(goal, second, second_mean);
        product = fused(weighted, second, product);
        square = fused(weighted, first, square);
        longest = maximum(absolute(second), longest);
        store(group.before + at, second);
        store(group.column + at, next);
    }
    const Vec<T> share = fused(first_mean, -second_mean, product) / fused(first_mean, -first_mean, square);
    const Vec<T> bounded = select(share > zero, minimum(share, splat(most_share)), zero);
    const Vec<T> factor = minimum(longest_step / longest, bounded / (T(1) - bounded));
    const auto leaps = factor > zero;
    for (std::int64_t at = 0; at < columns; at += width) {
        const Vec<T> step = select(leaps, factor * load(group.before + at), zero);
        store(group.column + at, load(group.column + at) * exp<T>(step));
    }
}

template <class T>
void run(const TinyGroup<T>& group, TinyRun& state) {
    constexpr int width = kWidth<T>;
    const std::int64_t rows = group.rows * width, columns = group.columns * width;
    const Vec<T> tolerance = splat(T(state.tolerance));
    Vec<T> error{};
    for (std::int64_t k = 0; k < state.most && state.open != 0; ++k) {
        const std::int64_t of_round = state.done % kRound;
        if (of_round == kRound - 2)
            for (std::int64_t at = 0; at < columns; at += width) store(group.before + at, load(group.column + at));
        sweep<true>(group);
        error = Vec<T>{};
        for (std::int64_t at = 0; at < columns; at += width)
            error += absolute(fused(load(group.column + at), load(group.sum + at), -load(group.column_goal + at)));
        ++state.done;
        const auto is_close = error <= tolerance;
        const unsigned reached = bits(IntVec<T>(is_close)) & state.open;
        if (reached != 0) [[unlikely]] {
            state.open &= ~reached;
            for (int l = 0; l < width; ++l) {
                if ((reached >> l & 1) == 0) continue;
                state.reached[l] = state.done;
                for (std::int64_t at = l; at < rows; at += width) group.last_row[at] = group.row[at];
                for (std::int64_t at = l; at < columns; at += width) group.last_column[at] = group.column[at];
            }
        }
        if (of_round == kRound - 1) {
            leap(group);
            continue;
        }
        for (std::int64_t at = 0; at < columns; at += width)
            store(group.column + at, quotient(load(group.column_goal + at), load(group.sum + at)));
    }
    for (int l = 0; l < width; ++l) state.error[l] = double{error[l]};
}

template <class T>
void finish(const TinyGroup<T>& group) {
    constexpr int width = kWidth<T>;
    sweep<false>(group);
    for (std::int64_t at = 0; at < group.rows * width; at += width) store(group.last_row + at, load(group.row + at));
    for (std::int64_t at = 0; at < group.columns * width; at += width)
        store(group.last_column + at, load(group.column + at));
}

// One part of the lanes: as many problems as float64 has lanes.
template <class T>
struct ProofPart {
    Float64Lanes epsilon, over, row_mass, column_mass, row_unit, column_unit, shift, row_sum, cost, error, value, mass;
};

template <class T>
void prove(const TinyGroup<T>& group) {
    constexpr int width = kWidth<T>, wide = kWidth<double>, parts = kParts<T>;
    const Float64Lanes none = splat(-std::numeric_limits<double>::infinity()), zero{};
    ProofPart<T> part[parts];
    Float64Lanes exponents[parts];
    T logs[width];
#pragma GCC unroll 2
    for (int p = 0; p < parts; ++p) {
        const Float64Lanes epsilon = load(group.epsilon + p * wide);
        const Float64Lanes row_mass = load(group.row_mass + p * wide), column_mass = load(group.column_mass + p * wide);
        part[p] = {
            epsilon, 1.0 / epsilon, row_mass, column_mass, log<double>(row_mass), log<double>(column_mass), zero, zero,
            zero,    zero,          zero,     zero};
    }
    // The potentials: sum b g = 0, and the row scalings stand for the costs less the least of their row.
    for (int j = 0; j < group.columns; ++j) {
        T* const logs_of_column = group.g + j * width;
        store(logs_of_column, log<T>(load(group.last_column + j * width)));
#pragma GCC unroll 2
        for (int p = 0; p < parts; ++p) {
            const Float64Lanes weight = load(group.column_weight + j * width + p * wide);
            part[p].shift += select(weight > zero, weight * widened(logs_of_column + p * wide), zero);
        }
    }
    for (int j = 0; j < group.columns; ++j) {
        const T* const logs_of_column = group.g + j * width;
#pragma GCC unroll 2
        for (int p = 0; p < parts; ++p) {
            const Float64Lanes weight = load(group.column_weight + j * width + p * wide);
            const Float64Lanes g = (widened(logs_of_column + p * wide) - part[p].shift) * part[p].epsilon;
            exponents[p] = select(weight > zero, g, none);
            store(group.column_sum + j * width + p * wide, zero);
        }
        store(group.g + j * width, narrowed(exponents));
    }
    for (int i = 0; i < group.rows; ++i) {
        store(logs, log<T>(load(group.last_row + i * width)));
#pragma GCC unroll 2
        for (int p = 0; p < parts; ++p) {
            const Float64Lanes weight = load(group.row_weight + i * width + p * wide);
            const Float64Lanes unit = part[p].shift + part[p].row_unit;
            const Float64Lanes f =
                fused(widened(logs + p * wide) + unit, part[p].epsilon, widened(group.least + i * width + p * wide));
            exponents[p] = select(weight > zero, f, none);
        }
        store(group.f + i * width, narrowed(exponents));
    }
    const auto side = [&](ProofPart<T>& own, Float64Lanes weight, Float64Lanes log_weight, Float64Lanes mass,
                          Float64Lanes log_mass, Float64Lanes potential, Float64Lanes sum)
                          __attribute__((always_inline)) {
                              const Float64Lanes dual = potential - own.epsilon * (log_weight + log_mass);
                              const Float64Lanes missed = absolute(sum - weight * mass);
                              // What nothing reaches may have no finite cost, which is for the general way to tell.
                              own.error += select((weight > zero) & (sum == zero), infinity<double>(), missed);
                              own.value += select(weight > zero, sum * dual, zero);
                          };
    for (int i = 0; i < group.rows; ++i) {
#pragma GCC unroll 2
        for (int p = 0; p < parts; ++p) part[p].row_sum = zero;
        for (int j = 0; j < group.columns; ++j) {
            const T* const cost = group.cost + (i * group.columns + j) * width;
#pragma GCC unroll 2
            for (int p = 0; p < parts; ++p) {
                const int at = p * wide;
                const Float64Lanes gap = widened(group.f + i * width + at) - widened(cost + at);
                exponents[p] = (gap + widened(group.g + j * width + at)) * part[p].over;
            }
            T plan[width];
            store(plan, exp<T>(narrowed(exponents)));
#pragma GCC unroll 2
            for (int p = 0; p < parts; ++p) {
                const Float64Lanes value = widened(plan + p * wide);
                double* const sum = group.column_sum + j * width + p * wide;
                part[p].row_sum += value;
                store(sum, load(sum) + value);
                // An infinite cost, times a plan of 0, is NaN.
                part[p].cost = fused(value, select(value > zero, widened(cost + p * wide), zero), part[p].cost);
            }
        }
#pragma GCC unroll 2
        for (int p = 0; p < parts; ++p) {
            const int at = i * width + p * wide;
            side(part[p], load(group.row_weight + at), load(group.row_log + at), part[p].row_mass, part[p].row_unit,
                 widened(group.f + at), part[p].row_sum);
            part[p].mass += part[p].row_sum;
        }
    }
    for (int j = 0; j < group.columns; ++j)
#pragma GCC unroll 2
        for (int p = 0; p < parts; ++p) {
            const int at = j * width + p * wide;
            side(part[p], load(group.column_weight + at), load(group.column_log + at), part[p].column_mass,
                 part[p].column_unit, widened(group.g + at), load(group.column_sum + at));
        }
#pragma GCC unroll 2
    for (int p = 0; p < parts; ++p) {
        const Float64Lanes row_mass = part[p].row_mass, column_mass = part[p].column_mass;
        store(group.cost_sum + p * wide, part[p].cost);
        store(group.error + p * wide, part[p].error / ((row_mass + column_mass) / 2));
        store(group.value + p * wide, part[p].value + part[p].epsilon * (row_mass * column_mass - part[p].mass));
    }
}

}  // namespace

template <>
const TinyKernels<float>& kernel_table() {
    static constexpr TinyKernels<float> table{Isa::COALIGN_SET, kWidth<float>, gather<float>, prepare<float>,
                                              run_plain<float>, run<float>,    finish<float>, prove<float>};
    return table;
}
template <>
const TinyKernels<double>& kernel_table() {
    static constexpr TinyKernels<double> table{Isa::COALIGN_SET,  kWidth<double>, gather<double>, prepare<double>,
                                               run_plain<double>, run<double>,    finish<double>, prove<double>};
    return table;
}

}  // namespace coalign::COALIGN_SET
