// Rows of costs come and go in registers: one exponential for a cell and an iteration, since the potentials of the
// iteration before bound the exponents.
#include "transport/points_kernels.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/lanes.hpp"
#include "core/math.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

using namespace coalign::transport;

// Rows and vectors of columns whose sums over dimensions are in registers together.
constexpr int kRows = kVectorBytes == 64 ? 8 : 4, kVectors = 2;

template <class K>
constexpr int kSpan = kVectors * kWidth<K>;

// A value in every lane by one load. From 0 + value the compiler makes an addition first.
template <class K, int... I>
[[gnu::always_inline]] inline Vec<K> broadcast(const K* value, std::integer_sequence<int, I...>) {
    return Vec<K>{(static_cast<void>(I), *value)...};
}

template <class K, Form kForm>
[[gnu::always_inline]] inline void sum_dimensions(const K* point, const K* column, std::int64_t dimension,
                                                  Vec<K> (&sums)[kRows][kVectors]) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = Vec<K>{};
    for (std::int64_t k = 0; k < dimension; ++k) {
        const Vec<K> y[kVectors] = {load_once(column + k * kTile), load_once(column + k * kTile + kWidth<K>)};
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
            const Vec<K> x = broadcast(point + k * kGroup + r, std::make_integer_sequence<int, kWidth<K>>{});
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v) {
                if constexpr (kForm == Form::products) {
                    sums[r][v] = fused(x, y[v], sums[r][v]);
                } else {
                    const Vec<K> gap = x - y[v];
                    sums[r][v] = fused(gap, gap, sums[r][v]);
                }
            }
        }
    }
    if constexpr (kForm == Form::roots) {
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v) sums[r][v] = square_root(sums[r][v]);
    }
}

// Calls what(r, at, sum, level) for each vector of cells of the rows from `first` on: its row, its place in the room,
// what is summed over dimensions, and the columns' levels.
template <class K, Form kForm, class What>
[[gnu::always_inline]] inline void each_cell(const EvaluatePass<K>& pass, std::int64_t first, What&& what) {
    const std::int64_t dimension = pass.rows.columns.dimension;
    for (std::int64_t tile = pass.begin; tile < pass.end; ++tile) {
        const K* const columns = pass.rows.columns.tiles + tile * dimension * kTile;
        K* const room = pass.room + (tile - pass.begin) * kGroup * kTile + first * kTile;
        for (std::int64_t at = 0; at < kTile; at += kSpan<K>) {
            Vec<K> sums[kRows][kVectors];
            sum_dimensions<K, kForm>(pass.rows.point + first, columns + at, dimension, sums);
            const K* const level = pass.level + tile * kTile + at;
            const Vec<K> levels[kVectors] = {load_once(level), load_once(level + kWidth<K>)};
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
                for (int v = 0; v < kVectors; ++v)
                    what(r, room + r * kTile + at + v * kWidth<K>, sums[r][v], levels[v]);
        }
    }
}

enum class Asked { sums, moments, slopes };

template <class K, Form kForm, Asked kAsked>
void evaluate_form(const EvaluatePass<K>& pass) {
    const Vec<K> slope = splat(pass.rows.slope), most = splat(kMostExponent<K>);
    for (std::int64_t first = 0; first < kGroup; first += kRows) {
        Vec<K> sums[kRows] = {}, moments[kRows] = {}, base[kRows];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) base[r] = splat(pass.base[first + r]);
        each_cell<K, kForm>(pass, first, [&](int r, K* out, Vec<K> sum, Vec<K> level) __attribute__((always_inline)) {
            const Vec<K> value = exp_nonpositive<K>(minimum(fused(sum, slope, base[r] + level), most));
            if constexpr (kAsked == Asked::slopes) {
                store(out, select(sum > Vec<K>{}, value / sum, Vec<K>{}));
                return;
            }
            store(out, value);
            sums[r] += value;
            if constexpr (kAsked == Asked::moments) moments[r] = fused(value, sum, moments[r]);
        });
        for (int r = 0; r < kRows; ++r) {
            pass.sum[first + r] += double{sum_of<K>(sums[r])};
            if constexpr (kAsked == Asked::moments) pass.moment[first + r] += double{sum_of<K>(moments[r])};
        }
    }
}

template <class K, Form kForm>
void raise_form(const EvaluatePass<K>& pass, K* most) {
    const Vec<K> slope = splat(pass.rows.slope);
    for (std::int64_t first = 0; first < kGroup; first += kRows) {
        Vec<K> greatest[kRows], base[kRows];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
            base[r] = splat(pass.base[first + r]);
            greatest[r] = splat(most[first + r]);
        }
        each_cell<K, kForm>(pass, first, [&](int r, K* out, Vec<K> sum, Vec<K> level) __attribute__((always_inline)) {
            const Vec<K> exponent = fused(sum, slope, base[r] + level);
            store(out, exponent);
            greatest[r] = maximum(exponent, greatest[r]);
        });
        for (int r = 0; r < kRows; ++r)
            for (int l = 0; l < kWidth<K>; ++l) most[first + r] = std::max(most[first + r], greatest[r][l]);
    }
}

template <class K, Asked kAsked>
void evaluate_any(const EvaluatePass<K>& pass) {
    switch (pass.rows.form) {
        case Form::products:
            return evaluate_form<K, Form::products, kAsked>(pass);
        case Form::squares:
            return evaluate_form<K, Form::squares, kAsked>(pass);
        case Form::roots:
            return evaluate_form<K, Form::roots, kAsked>(pass);
    }
}

template <class K>
void evaluate(const EvaluatePass<K>& pass) {
    if (pass.is_slope) return evaluate_form<K, Form::roots, Asked::slopes>(pass);
    return pass.moment != nullptr ? evaluate_any<K, Asked::moments>(pass) : evaluate_any<K, Asked::sums>(pass);
}

template <class K>
void raise(const EvaluatePass<K>& pass, K* most) {
    switch (pass.rows.form) {
        case Form::products:
            return raise_form<K, Form::products>(pass, most);
        case Form::squares:
            return raise_form<K, Form::squares>(pass, most);
        case Form::roots:
            return raise_form<K, Form::roots>(pass, most);
    }
}

template <class K>
void exponentiate(const EvaluatePass<K>& pass, const K* from) {
    const std::int64_t tiles = pass.end - pass.begin;
    for (std::int64_t r = 0; r < pass.rows.count; ++r) {
        const Vec<K> start = splat(from[r]);
        Vec<K> sums{};
        for (std::int64_t tile = 0; tile < tiles; ++tile) {
            K* const room = pass.room + (tile * kGroup + r) * kTile;
            for (std::int64_t at = 0; at < kTile; at += kWidth<K>) {
                const Vec<K> value = exp_nonpositive<K>(load(room + at) - start);
                store(room + at, value);
                sums += value;
            }
        }
        pass.sum[r] += double{sum_of<K>(sums)};
    }
}

template <class K>
void gather(const K* room, const K* scaling, std::int64_t tiles, K* sums) {
    Vec<K> scale[kGroup];
#pragma GCC unroll 8
    for (int r = 0; r < kGroup; ++r) scale[r] = splat(scaling[r]);
    for (std::int64_t tile = 0; tile < tiles; ++tile, room += kGroup * kTile, sums += kTile)
#pragma GCC unroll 8
        for (int at = 0; at < kTile; at += kWidth<K>) {
            Vec<K> even = load(sums + at), odd{};
#pragma GCC unroll 4
            for (int r = 0; r < kGroup; r += 2) {
                even = fused(load(room + r * kTile + at), scale[r], even);
                odd = fused(load(room + (r + 1) * kTile + at), scale[r + 1], odd);
            }
            store(sums + at, even + odd);
        }
}

template <bool kHasOrigin, class K>
[[gnu::always_inline]] inline void mix_from(const K* room, std::int64_t columns, const K* vectors, std::int64_t stride,
                                            std::int64_t dimension, const K* origin, K* out) {
    for (std::int64_t c = 0; c < dimension; c += kWidth<K>) {
        const int count = static_cast<int>(std::min<std::int64_t>(kWidth<K>, dimension - c));
        Vec<K> sums[kGroup] = {}, from[kGroup] = {};
        if constexpr (kHasOrigin)
            for (int r = 0; r < kGroup; ++r) from[r] = load_first(origin + r * dimension + c, count, K(0));
        for (std::int64_t j = 0; j < columns; ++j) {
            const Vec<K> vector = load_first(vectors + j * stride + c, count, K(0));
            const K* const own = room + (j / kTile * kGroup) * kTile + j % kTile;
#pragma GCC unroll 8
            for (int r = 0; r < kGroup; ++r)
                sums[r] = fused(splat(own[r * kTile]), kHasOrigin ? from[r] - vector : vector, sums[r]);
        }
        for (int r = 0; r < kGroup; ++r)
            for (int l = 0; l < count; ++l) out[r * dimension + c + l] += sums[r][l];
    }
}

template <class K>
void mix(const K* room, std::int64_t columns, const K* vectors, std::int64_t stride, std::int64_t dimension,
         const K* origin, K* out) {
    if (origin != nullptr) mix_from<true>(room, columns, vectors, stride, dimension, origin, out);
    else mix_from<false>(room, columns, vectors, stride, dimension, origin, out);
}

}  // namespace

template <>
const PointKernels<float>& kernel_table() {
    static constexpr PointKernels<float> table{Isa::COALIGN_SET,    evaluate<float>, raise<float>,
                                               exponentiate<float>, gather<float>,   mix<float>};
    return table;
}
template <>
const PointKernels<double>& kernel_table() {
    static constexpr PointKernels<double> table{Isa::COALIGN_SET,     evaluate<double>, raise<double>,
                                                exponentiate<double>, gather<double>,   mix<double>};
    return table;
}

}  // namespace coalign::COALIGN_SET
