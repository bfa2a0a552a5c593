// M. Cuturi: Sinkhorn distances: lightspeed computation of optimal transport. NeurIPS 2013. The kernel matrix holds the
// potentials: B. Schmitzer: Stabilized sparse scaling algorithms for entropy regularized transport problems. SIAM J.
// Sci. Comput. 41(3), 2019.
#include "transport/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/lanes.hpp"
#include "core/lanes/wide.hpp"
#include "core/math.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

using namespace coalign::transport;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The costs of one row, a vector of K at a time; what the last vector lacks is infinite.
template <class T, class K>
class CostRow {
   public:
    CostRow(const T* cost, std::int64_t columns) : cost_(cost), whole_(columns / kWidth<K> * kWidth<K>) {
        if (whole_ == columns) return;
        std::fill_n(rest_, kWidth<K>, std::numeric_limits<T>::infinity());
        std::copy_n(cost + whole_, columns - whole_, rest_);
        end_ = whole_ + kWidth<K>;
    }
    [[gnu::always_inline]] std::int64_t end() const { return std::max(end_, whole_); }
    [[gnu::always_inline]] const T* at(std::int64_t at) const { return at < whole_ ? cost_ + at : rest_; }

   private:
    const T* cost_;
    std::int64_t whole_, end_ = 0;
    T rest_[kWidth<K>];
};

// Rows of up to so many bytes are asked for while the one before is computed with: the processor by itself asks for
// what follows on a page, and waits at the first line of the next.
constexpr std::int64_t kNextBytes = 16 << 10;

// The row after row i, or row i where there is none, or where it is too long.
template <class T>
[[gnu::always_inline]] inline const T* next_row(const CostRows<T>& rows, std::int64_t i) {
    const bool is_asked_for = i + 1 < rows.count && rows.columns * static_cast<std::int64_t>(sizeof(T)) <= kNextBytes;
    return rows.cost + (is_asked_for ? i + 1 : i) * rows.row_stride;
}
template <class T, class K>
[[gnu::always_inline]] inline void ask_for(const T* at) {
    constexpr int line = 64 / static_cast<int>(sizeof(T));
#pragma GCC unroll 2
    for (int part = 0; part < kWidth<K>; part += line) __builtin_prefetch(at + part);
}

template <class T, class K>
void absorb(AbsorbPass<T, K>& pass) {
    const CostRows<T>& rows = pass.rows;
    const std::int64_t stride = padded(rows.columns);
    const Float64Lanes slope = splat(-rows.over_epsilon);
    const double* const potential = pass.column_potential;
    for (std::int64_t i = 0; i < rows.count; ++i) {
        const CostRow<T, K> row(rows.cost + i * rows.row_stride, rows.columns);
        K* const kernel = pass.kernel + i * stride;
        Float64Lanes most_lanes = splat(-kInfinity);
        for (std::int64_t at = 0; at < row.end(); at += kWidth<K>)
#pragma GCC unroll 2
            for (int part = 0; part < kParts<K>; ++part) {
                const int lane = part * kWidth<double>;
                const Float64Lanes cost = widened(row.at(at) + lane);
                most_lanes = maximum(fused(cost, slope, load(potential + at + lane)), most_lanes);
            }
        const auto larger_of = [](Float64Lanes a, Float64Lanes b)
                                   __attribute__((always_inline)) { return maximum(a, b); };
        const double most = across_lanes<double>(most_lanes, larger_of);
        // From a finite number on: -inf less itself is NaN, which is to mean a cost that is.
        const Float64Lanes from = splat(std::max(most, std::numeric_limits<double>::lowest()));
        Vec<K> sums{};
        const T* const next = next_row(rows, i);
        for (std::int64_t at = 0; at < row.end(); at += kWidth<K>) {
            ask_for<T, K>(next + at);
            Float64Lanes exponents[kParts<K>];
#pragma GCC unroll 2
            for (int part = 0; part < kParts<K>; ++part) {
                const int lane = part * kWidth<double>;
                exponents[part] = fused(widened(row.at(at) + lane), slope, load(potential + at + lane)) - from;
            }
            const Vec<K> value = exp_nonpositive<K>(narrowed(exponents));
            store(kernel + at, value);
            sums = fused(value, load(pass.column_weight + at), sums);
        }
        const double sum = double{sum_of<K>(sums)};
        if (!(most < kInfinity) || sum != sum) [[unlikely]] {
            if (pass.found.wrong < 0) pass.found.wrong = i;
            continue;
        }
        std::fill(kernel + row.end(), kernel + stride, K(0));
        if (!(sum > 0)) [[unlikely]] {
            pass.row_absorbed[i] = pass.row_potential[i] = kInfinity;
            if (pass.row_weight[i] > 0 && pass.found.empty < 0) pass.found.empty = i;
            continue;
        }
        pass.row_absorbed[i] = -most;
        pass.row_potential[i] = -(most + std::log(sum));
    }
}

// So many rows are taken together: the scalings of the columns are loaded once for them, and so are the sums.
constexpr int kRows = 4;
// Rows are scaled in blocks, so that a division serves several: as many rows as stay in the first-level cache.
constexpr int kMostRows = 16;
constexpr std::int64_t kBlockBytes = 24 << 10;
// Rows of which so many fit into this go a few at a time, beside the next ones: 1.16 times as fast for 1000 columns of
// float32, and slower for 2000, where twice a few rows leave the first-level cache.
constexpr std::int64_t kAheadBytes = 96 << 10;

template <int kCount, class K>
[[gnu::always_inline]] inline void sum_rows(const K* kernel, std::int64_t columns, const K* scaling, K* out) {
    constexpr int width = kWidth<K>;
    Vec<K> sums[kCount][2] = {};
    std::int64_t at = 0;
    for (; at + 2 * width <= columns; at += 2 * width) {
        const Vec<K> v[2] = {load_once(scaling + at), load_once(scaling + at + width)};
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) {
            sums[i][0] = fused(load(kernel + i * columns + at), v[0], sums[i][0]);
            sums[i][1] = fused(load(kernel + i * columns + at + width), v[1], sums[i][1]);
        }
    }
    for (; at < columns; at += width) {
        const Vec<K> v = load_once(scaling + at);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) sums[i][0] = fused(load(kernel + i * columns + at), v, sums[i][0]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) out[i] = sum_of<K>(sums[i][0] + sums[i][1]);
}

template <int kCount, class K>
[[gnu::always_inline]] inline void add_rows(const K* kernel, std::int64_t columns, const K* scalings, K* sums) {
    Vec<K> factors[kCount];
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) factors[i] = splat(scalings[i]);
    for (std::int64_t at = 0; at < columns; at += kWidth<K>) {
        Vec<K> sum = load(sums + at);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) sum = fused(load(kernel + i * columns + at), factors[i], sum);
        store(sums + at, sum);
    }
}

// Adds rows up as `add_rows` does while it sums the same number of rows at `next` as `sum_rows` does: these come from
// memory, and those are still in the cache.
template <int kCount, class K>
[[gnu::always_inline]] inline void add_and_sum_rows(const K* kernel, const K* next, std::int64_t columns,
                                                    const K* scalings, const K* column_scaling, K* sums, K* out) {
    Vec<K> factors[kCount], row_sums[kCount] = {};
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) factors[i] = splat(scalings[i]);
    for (std::int64_t at = 0; at < columns; at += kWidth<K>) {
        Vec<K> sum = load(sums + at);
        const Vec<K> v = load_once(column_scaling + at);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) {
            row_sums[i] = fused(load(next + i * columns + at), v, row_sums[i]);
            sum = fused(load(kernel + i * columns + at), factors[i], sum);
        }
        store(sums + at, sum);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) out[i] = sum_of<K>(row_sums[i]);
}

// The scalings of up to kMostRows rows from their sums, which are left in `scalings`, and the least sum that counts.
template <class K>
[[gnu::always_inline]] inline void scale_rows(const SweepPass<K>& pass, std::int64_t first, int count, const K* sums,
                                              K* scalings, Vec<K>& least) {
    double scales[kMostRows] = {};
    std::copy_n(pass.row_scale + first, count, scales);
    for (int i = 0; i < count; i += kWidth<K>) {
        Float64Lanes parts[kParts<K>];
#pragma GCC unroll 2
        for (int part = 0; part < kParts<K>; ++part) parts[part] = load(scales + i + part * kWidth<double>);
        const Vec<K> scale = narrowed(parts), sum = load(sums + i);
        const auto counts = scale > Vec<K>{};
        least = minimum(select(counts, sum, infinity<K>()), least);
        Vec<K> factor = scale / sum;
        if (pass.power != 1) {
#pragma GCC unroll 2
            for (int part = 0; part < kParts<K>; ++part)
                parts[part] *= exp<double>(splat(-pass.power) * log<double>(widened(sums + i + part * kWidth<double>)));
            factor = narrowed(parts);
        }
        store(scalings + i, select(counts, factor, Vec<K>{}));
    }
    std::copy_n(scalings, count, pass.row_scaling + first);
}

// Rows of so few vectors that the scalings of their columns, and the columns' sums, stay in registers: as many rows at
// a time as there are lanes, whose sums become the lanes of one vector.
template <int kVectors, class K>
[[gnu::always_inline]] inline void sweep_short(const SweepPass<K>& pass, Vec<K>& least) {
    constexpr int width = kWidth<K>;
    constexpr auto lanes = std::make_integer_sequence<int, width>{};
    Vec<K> column_sums[kVectors];
#pragma GCC unroll 4
    for (int c = 0; c < kVectors; ++c) column_sums[c] = load(pass.sums + c * width);
    K sums[kMostRows] = {}, scalings[kMostRows];
    for (std::int64_t first = 0; first < pass.count; first += width) {
        const K* const kernel = pass.kernel + first * (kVectors * width);
        const auto count = static_cast<int>(std::min<std::int64_t>(width, pass.count - first));
        if (count == width) {
            Vec<K> rows[width] = {};
#pragma GCC unroll 4
            for (int c = 0; c < kVectors; ++c) {
                const Vec<K> v = load_once(pass.column_scaling + c * width);
#pragma GCC unroll 16
                for (int i = 0; i < width; ++i) rows[i] = fused(load(kernel + (i * kVectors + c) * width), v, rows[i]);
            }
#pragma GCC unroll 4
            for (int half = width / 2; half > 0; half /= 2)
#pragma GCC unroll 8
                for (int i = 0; i < half; ++i)
                    rows[i] = interleave_low<K>(rows[i], rows[i + half], lanes) +
                              interleave_high<K>(rows[i], rows[i + half], lanes);
            store(sums, rows[0]);
        } else {
            for (int i = 0; i < count; ++i)
                sum_rows<1>(kernel + i * (kVectors * width), kVectors * width, pass.column_scaling, sums + i);
        }
        scale_rows(pass, first, count, sums, scalings, least);
        for (int i = 0; i < count; ++i) {
            const Vec<K> factor = splat(scalings[i]);
#pragma GCC unroll 4
            for (int c = 0; c < kVectors; ++c)
                column_sums[c] = fused(load(kernel + (i * kVectors + c) * width), factor, column_sums[c]);
        }
    }
#pragma GCC unroll 4
    for (int c = 0; c < kVectors; ++c) store(pass.sums + c * width, column_sums[c]);
}

// Blocks of rows, which stay in the cache between their sums and those of the columns.
template <int kBlock, class K>
[[gnu::always_inline]] inline void sweep_blocks(const SweepPass<K>& pass, Vec<K>& least) {
    const std::int64_t columns = pass.columns;
    for (std::int64_t first = 0; first < pass.count; first += kBlock) {
        const K* const kernel = pass.kernel + first * columns;
        const auto count = static_cast<int>(std::min<std::int64_t>(kBlock, pass.count - first));
        K sums[kMostRows] = {}, scalings[kMostRows];
        int i = 0;
        for (; i + kRows <= count; i += kRows)
            sum_rows<kRows>(kernel + i * columns, columns, pass.column_scaling, sums + i);
        for (; i < count; ++i) sum_rows<1>(kernel + i * columns, columns, pass.column_scaling, sums + i);
        scale_rows(pass, first, count, sums, scalings, least);
        for (i = 0; i + kRows <= count; i += kRows)
            add_rows<kRows>(kernel + i * columns, columns, scalings + i, pass.sums);
        for (; i < count; ++i) add_rows<1>(kernel + i * columns, columns, scalings + i, pass.sums);
    }
}

// Wide rows, a few at a time, of which the next ones are on their way.
template <class K>
[[gnu::always_inline]] inline void sweep_ahead(const SweepPass<K>& pass, Vec<K>& least) {
    const std::int64_t columns = pass.columns;
    K sums[kMostRows] = {}, scalings[kMostRows];
    std::int64_t i = 0;
    if (pass.count >= kRows) {
        sum_rows<kRows>(pass.kernel, columns, pass.column_scaling, sums);
        scale_rows(pass, 0, kRows, sums, scalings, least);
        for (; i + 2 * kRows <= pass.count; i += kRows) {
            const K* const kernel = pass.kernel + i * columns;
            add_and_sum_rows<kRows>(kernel, kernel + kRows * columns, columns, scalings, pass.column_scaling, pass.sums,
                                    sums);
            scale_rows(pass, i + kRows, kRows, sums, scalings, least);
        }
        add_rows<kRows>(pass.kernel + i * columns, columns, scalings, pass.sums);
        i += kRows;
    }
    for (; i < pass.count; ++i) {
        sum_rows<1>(pass.kernel + i * columns, columns, pass.column_scaling, sums);
        scale_rows(pass, i, 1, sums, scalings, least);
        add_rows<1>(pass.kernel + i * columns, columns, scalings, pass.sums);
    }
}

template <class K>
void sweep(SweepPass<K>& pass) {
    Vec<K> least = infinity<K>();
    const std::int64_t block = kMostRows * pass.columns * static_cast<std::int64_t>(sizeof(K));
    // With fewer lanes, a square of rows would wait for its own fused steps.
    const std::int64_t vectors = kWidth<K> >= 8 ? pass.columns / kWidth<K> : 0;
    if (vectors == 1) sweep_short<1>(pass, least);
    else if (vectors == 2) sweep_short<2>(pass, least);
    else if (vectors == 3) sweep_short<3>(pass, least);
    else if (vectors == 4) sweep_short<4>(pass, least);
    else if (block <= kBlockBytes) sweep_blocks<kMostRows>(pass, least);
    else if (block <= kAheadBytes) sweep_ahead(pass, least);
    else sweep_blocks<kRows>(pass, least);
    K each[kWidth<K>];
    store(each, least);
    pass.least = double{*std::min_element(each, each + kWidth<K>)};
}

template <class K>
void scale(const double* potential, const double* absorbed, const double* weight, std::int64_t count, K* scaling) {
    for (std::int64_t at = 0; at < count; at += kWidth<K>) {
        Float64Lanes parts[kParts<K>];
#pragma GCC unroll 2
        for (int part = 0; part < kParts<K>; ++part) {
            const std::int64_t lane = at + part * kWidth<double>;
            // Without a weight both potentials are -inf, and their difference is NaN.
            const Float64Lanes w = load(weight + lane), from = load(absorbed + lane);
            const Float64Lanes power = exp<double>(load(potential + lane) - from);
            parts[part] = select((w > 0) & (from > splat(-kInfinity)), w * power, Float64Lanes{});
        }
        store(scaling + at, narrowed(parts));
    }
}

template <class K>
void divide(const K* weight, const K* scaling, const K* sums, std::int64_t count, K* next, ColumnSums& found) {
    const Vec<K> zero{};
    Vec<K> least = infinity<K>(), most = zero, error = zero;
    for (std::int64_t at = 0; at < count; at += kWidth<K>) {
        const Vec<K> w = load(weight + at), sum = load(sums + at);
        const auto counts = w > zero;
        least = minimum(select(counts, sum, infinity<K>()), least);
        most = maximum(select(counts, sum, zero), most);
        error += absolute(fused(load(scaling + at), sum, -w));
        store(next + at, select(counts, w / sum, zero));
    }
    K low[kWidth<K>], high[kWidth<K>];
    store(low, least);
    store(high, most);
    found.least = double{*std::min_element(low, low + kWidth<K>)};
    found.most = double{*std::max_element(high, high + kWidth<K>)};
    found.error = double{sum_of<K>(error)};
}

template <class K>
void potential(const K* scaling, const K* weight, const double* absorbed, std::int64_t count, double* out) {
    for (std::int64_t at = 0; at < count; at += kWidth<double>) {
        const Float64Lanes from = load(absorbed + at),
                           moved = log<double>(widened(scaling + at) / widened(weight + at));
        store(out + at, select(from > splat(-kInfinity), from + moved, from));
    }
}

template <class K>
void add_sums(const K* more, std::int64_t count, K* sums) {
    for (std::int64_t at = 0; at < count; at += kWidth<K>) store(sums + at, load(sums + at) + load(more + at));
}

template <class K>
void update(const K* sums, const double* absorbed, Side side, std::int64_t count, double* potential) {
    const Float64Lanes power = splat(side.power), shift = splat(side.shift), none = splat(-kInfinity);
    for (std::int64_t at = 0; at < count; at += kWidth<double>) {
        const Float64Lanes from = load(absorbed + at);
        store(potential + at, select(from > none, power * (from + shift - log<double>(widened(sums + at))), none));
    }
}

template <class T>
void raise(const ColumnPass<T>& pass) {
    const Float64Lanes slope = splat(-pass.rows.over_epsilon);
    for (std::int64_t i = 0; i < pass.rows.count; ++i) {
        if (!(pass.row_scale[i] > 0)) continue;
        const CostRow<T, double> row(pass.rows.cost + i * pass.rows.row_stride, pass.rows.columns);
        const Float64Lanes potential = splat(pass.row_potential[i]);
        for (std::int64_t at = 0; at < row.end(); at += kWidth<double>) {
            double* const most = pass.most + at;
            store(most, maximum(fused(widened(row.at(at)), slope, potential), load(most)));
        }
    }
}

template <class T>
void add(const ColumnPass<T>& pass) {
    const Float64Lanes slope = splat(-pass.rows.over_epsilon);
    for (std::int64_t i = 0; i < pass.rows.count; ++i) {
        if (!(pass.row_scale[i] > 0)) continue;
        const CostRow<T, double> row(pass.rows.cost + i * pass.rows.row_stride, pass.rows.columns);
        const Float64Lanes potential = splat(pass.row_potential[i]), weight = splat(pass.row_weight[i]);
        for (std::int64_t at = 0; at < row.end(); at += kWidth<double>) {
            const Float64Lanes from = maximum(load(pass.most + at), splat(std::numeric_limits<double>::lowest()));
            const Float64Lanes exponent = fused(widened(row.at(at)), slope, potential) - from;
            store(pass.sums + at, fused(weight, exp_nonpositive<double>(exponent), load(pass.sums + at)));
        }
    }
}

template <class T>
void plan(PlanPass<T>& pass) {
    const Float64Lanes scale = splat(pass.rows.over_epsilon);
    for (std::int64_t i = 0; i < pass.rows.count; ++i) {
        const CostRow<T, T> row(pass.rows.cost + i * pass.rows.row_stride, pass.rows.columns);
        T* const out = pass.plan + i * pass.plan_stride;
        const double own = pass.row_potential[i];
        if (!(own > -kInfinity)) {
            pass.row_sum[i] = 0;
            std::fill_n(out, padded(pass.rows.columns), T(0));
            continue;
        }
        const Float64Lanes potential = splat(own);
        Float64Lanes row_sum{}, cost_sum{};
        const T* const next = next_row(pass.rows, i);
        for (std::int64_t at = 0; at < row.end(); at += kWidth<T>) {
            ask_for<T, T>(next + at);
            Float64Lanes exponents[kParts<T>];
#pragma GCC unroll 2
            for (int part = 0; part < kParts<T>; ++part) {
                const int lane = part * kWidth<double>;
                // The difference first: where f and C are large and alike, it is exact.
                const Float64Lanes gap = potential - widened(row.at(at) + lane);
                exponents[part] = (gap + load(pass.column_potential + at + lane)) * scale;
            }
            const Vec<T> value = exp<T>(narrowed(exponents));
            store(out + at, value);
#pragma GCC unroll 2
            for (int part = 0; part < kParts<T>; ++part) {
                const int lane = part * kWidth<double>;
                const Float64Lanes wide = widened(out + at + lane);
                row_sum += wide;
                store(pass.column_sum + at + lane, load(pass.column_sum + at + lane) + wide);
                const Float64Lanes cost = widened(row.at(at) + lane);
                // An infinite cost, times a plan of 0, is NaN.
                cost_sum = fused(wide, select(wide > 0, cost, Float64Lanes{}), cost_sum);
            }
        }
        pass.row_sum[i] = sum_of<double>(row_sum);
        pass.cost += sum_of<double>(cost_sum);
        std::fill(out + row.end(), out + padded(pass.rows.columns), T(0));
    }
}

void differ(const double* a, const double* b, const double* weight, std::int64_t count, double* out) {
    for (std::int64_t at = 0; at < count; at += kWidth<double>) {
        const Float64Lanes w = load(weight + at);
        store(out + at, select(w > 0, w * (load(a + at) - load(b + at)), Float64Lanes{}));
    }
}

double dot(const double* a, const double* b, std::int64_t count) {
    Float64Lanes sums[4] = {};
    std::int64_t at = 0;
    for (; at + 4 * kWidth<double> <= count; at += 4 * kWidth<double>)
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i)
            sums[i] = fused(load(a + at + i * kWidth<double>), load(b + at + i * kWidth<double>), sums[i]);
    for (; at < count; at += kWidth<double>) sums[0] = fused(load(a + at), load(b + at), sums[0]);
    return sum_of<double>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void subtract(const double* const* directions, const double* factors, int directions_count, std::int64_t count,
              double* out) {
    for (std::int64_t at = 0; at < count; at += kWidth<double>) {
        Float64Lanes value = load(out + at);
        for (int d = 0; d < directions_count; ++d) value = fused(splat(-factors[d]), load(directions[d] + at), value);
        store(out + at, value);
    }
}

}  // namespace

template <>
const ColumnKernels<float>& kernel_table() {
    static constexpr ColumnKernels<float> table{Isa::COALIGN_SET, raise<float>, add<float>, plan<float>};
    return table;
}
template <>
const ColumnKernels<double>& kernel_table() {
    static constexpr ColumnKernels<double> table{Isa::COALIGN_SET, raise<double>, add<double>, plan<double>};
    return table;
}
template <>
const AbsorbKernels<float, float>& kernel_table() {
    static constexpr AbsorbKernels<float, float> table{Isa::COALIGN_SET, absorb<float, float>};
    return table;
}
template <>
const AbsorbKernels<double, float>& kernel_table() {
    static constexpr AbsorbKernels<double, float> table{Isa::COALIGN_SET, absorb<double, float>};
    return table;
}
template <>
const AbsorbKernels<float, double>& kernel_table() {
    static constexpr AbsorbKernels<float, double> table{Isa::COALIGN_SET, absorb<float, double>};
    return table;
}
template <>
const AbsorbKernels<double, double>& kernel_table() {
    static constexpr AbsorbKernels<double, double> table{Isa::COALIGN_SET, absorb<double, double>};
    return table;
}
template <>
const SweepKernels<float>& kernel_table() {
    static constexpr SweepKernels<float> table{Isa::COALIGN_SET, sweep<float>,    scale<float>, divide<float>,
                                               potential<float>, add_sums<float>, update<float>};
    return table;
}
template <>
const SweepKernels<double>& kernel_table() {
    static constexpr SweepKernels<double> table{Isa::COALIGN_SET,  sweep<double>,    scale<double>, divide<double>,
                                                potential<double>, add_sums<double>, update<double>};
    return table;
}
template <>
const HistoryKernels& kernel_table() {
    static constexpr HistoryKernels table{Isa::COALIGN_SET, differ, dot, subtract};
    return table;
}

}  // namespace coalign::COALIGN_SET
