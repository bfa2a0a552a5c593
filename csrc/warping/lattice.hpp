// One column of one block of rows: the local costs of its cells and the recursion through them.
#pragma once

#include <type_traits>

#include "core/lanes.hpp"
#include "warping/kernels.hpp"
#include "warping/local_sum.hpp"

namespace coalign::COALIGN_SET {

using warping::kBlockRows;
using warping::kDelay;

inline constexpr bool is_expanded(Local local) {
    return local == Local::expanded_square_sum || local == Local::expanded_root_square_sum;
}

// Every kind of local cost holds the costs of `kColumns` columns at a time: at(y, ...) computes them, and
// add(c, r, best) adds the cost of row r in the c-th column to the best predecessor.

// One dimension: the rows' values stay in registers, and the square is fused into the recursion.
template <class T, Local kLocal>
class UnivariateCosts {
   public:
    static constexpr int kColumns = 1;
    [[gnu::always_inline]] UnivariateCosts(const T* x, std::int64_t) {
#pragma GCC unroll 8
        for (int r = 0; r < kBlockRows; ++r) x_[r] = load(x + r * kWidth<T>);
    }
    template <int>
    [[gnu::always_inline]] void at(const T* y, std::int64_t, std::int64_t) {
        y_ = load(y);
    }
    [[gnu::always_inline]] Vec<T> add(int, int r, Vec<T> best) const { return add_local<T, kLocal>(best, x_[r] - y_); }

   private:
    Vec<T> x_[kBlockRows];
    Vec<T> y_;
};

template <class T, Local kLocal>
class MultivariateCosts {
   public:
    // 32 registers hold the sums of two columns, which halves the loads of x; 16 do not.
    static constexpr int kColumns = kVectorBytes == 64 ? 2 : 1;
    [[gnu::always_inline]] MultivariateCosts(const T* x, std::int64_t dim) : x_(x), dim_(dim) {}

    // y: the first column's frame; the next column is `next` further, the next dimension `step`.
    template <int kCount>
    [[gnu::always_inline]] void at(const T* y, std::int64_t next, std::int64_t step) {
        Vec<T> sum[kCount][kBlockRows];
#pragma GCC unroll 2
        for (int c = 0; c < kCount; ++c) {
#pragma GCC unroll 8
            for (int r = 0; r < kBlockRows; ++r) sum[c][r] = Vec<T>{};
        }
        for (std::int64_t d = 0; d < dim_; ++d) {
            Vec<T> value[kCount];
#pragma GCC unroll 2
            for (int c = 0; c < kCount; ++c) value[c] = load(y + c * next + d * step);
#pragma GCC unroll 8
            for (int r = 0; r < kBlockRows; ++r) {
                const Vec<T> x = load_once(x_ + (r * dim_ + d) * kWidth<T>);
#pragma GCC unroll 2
                for (int c = 0; c < kCount; ++c) sum[c][r] = accumulate<T, kLocal>(sum[c][r], x, value[c]);
            }
        }
#pragma GCC unroll 2
        for (int c = 0; c < kCount; ++c) {
#pragma GCC unroll 8
            for (int r = 0; r < kBlockRows; ++r) cost_[c][r] = finish<T, kLocal>(sum[c][r]);
        }
    }
    [[gnu::always_inline]] Vec<T> add(int c, int r, Vec<T> best) const { return best + cost_[c][r]; }

   private:
    const T* x_;
    std::int64_t dim_;
    Vec<T> cost_[kColumns][kBlockRows];
};

template <class T>
inline constexpr T kSafe = T(1) / 16;

// |x - y|^2 as |x|^2 + |y|^2 - 2 x.y: one operation a dimension instead of two. It loses digits where the frames are
// close, so a lane whose cost falls under kSafe of |x|^2 + |y|^2 takes the sum of squared differences instead; above,
// its relative error is that of the squares' sums over kSafe. Each lane's choice is its own: its bits do not depend
// on its neighbours.
template <class T, Local kLocal>
class ExpandedCosts {
   public:
    static constexpr int kColumns = kVectorBytes == 64 ? 2 : 1;
    [[gnu::always_inline]] ExpandedCosts(const T* x, std::int64_t dim) : x_(x), dim_(dim) {
        for (int r = 0; r < kBlockRows; ++r) {
            Vec<T> sum{};
            for (std::int64_t d = 0; d < dim; ++d) {
                const Vec<T> value = load(x + (r * dim + d) * kWidth<T>);
                sum = fused(value, value, sum);
            }
            x_square_[r] = sum;
        }
    }

    template <int kCount>
    [[gnu::always_inline]] void at(const T* y, std::int64_t next, std::int64_t step) {
        Vec<T> product[kCount][kBlockRows];
        Vec<T> y_square[kCount];
#pragma GCC unroll 2
        for (int c = 0; c < kCount; ++c) {
            y_square[c] = Vec<T>{};
#pragma GCC unroll 8
            for (int r = 0; r < kBlockRows; ++r) product[c][r] = Vec<T>{};
        }
        for (std::int64_t d = 0; d < dim_; ++d) {
            Vec<T> value[kCount];
#pragma GCC unroll 2
            for (int c = 0; c < kCount; ++c) {
                value[c] = load(y + c * next + d * step);
                y_square[c] = fused(value[c], value[c], y_square[c]);
            }
#pragma GCC unroll 8
            for (int r = 0; r < kBlockRows; ++r) {
                const Vec<T> x = load_once(x_ + (r * dim_ + d) * kWidth<T>);
#pragma GCC unroll 2
                for (int c = 0; c < kCount; ++c) product[c][r] = fused(x, value[c], product[c][r]);
            }
        }
#pragma GCC unroll 2
        for (int c = 0; c < kCount; ++c) {
            IntVec<T> close{};
#pragma GCC unroll 8
            for (int r = 0; r < kBlockRows; ++r) {
                const Vec<T> squares = x_square_[r] + y_square[c];
                cost_[c][r] = fused(splat<T>(-2), product[c][r], squares);
                close |= ~is_safe(cost_[c][r], squares);
            }
            if (any(close)) [[unlikely]]
                replace_close(c, y + c * next, step, y_square[c]);
        }
        if constexpr (kLocal == Local::expanded_root_square_sum) {
#pragma GCC unroll 2
            for (int c = 0; c < kCount; ++c) {
#pragma GCC unroll 8
                for (int r = 0; r < kBlockRows; ++r) cost_[c][r] = square_root(cost_[c][r]);
            }
        }
    }
    [[gnu::always_inline]] Vec<T> add(int c, int r, Vec<T> best) const { return best + cost_[c][r]; }

   private:
    // The difference is NaN if the squares overflow; the differences of the frames may still be small.
    [[gnu::always_inline]] static IntVec<T> is_safe(Vec<T> cost, Vec<T> squares) {
        return fused(splat<T>(-kSafe<T>), squares, cost) >= Vec<T>{};
    }

    [[gnu::noinline]] void replace_close(int c, const T* y, std::int64_t step, Vec<T> y_square) {
        for (int r = 0; r < kBlockRows; ++r) {
            const IntVec<T> safe = is_safe(cost_[c][r], x_square_[r] + y_square);
            Vec<T> sum{};
            for (std::int64_t d = 0; d < dim_; ++d) {
                const Vec<T> difference = load(x_ + (r * dim_ + d) * kWidth<T>) - load(y + d * step);
                sum = fused(difference, difference, sum);
            }
            cost_[c][r] = select(safe, cost_[c][r], sum);
        }
    }

    const T* x_;
    std::int64_t dim_;
    Vec<T> x_square_[kBlockRows];
    Vec<T> cost_[kColumns][kBlockRows];
};

template <class T>
class MatrixCosts {
   public:
    static constexpr int kColumns = 1;
    [[gnu::always_inline]] MatrixCosts(const T*, std::int64_t) {}
    template <int>
    [[gnu::always_inline]] void at(const T* costs, std::int64_t, std::int64_t) {
        costs_ = costs;
    }
    [[gnu::always_inline]] Vec<T> add(int, int r, Vec<T> best) const { return best + load(costs_ + r * kWidth<T>); }

   private:
    const T* costs_;
};

template <class T, Local kLocal>
using LocalCosts =
    std::conditional_t<kLocal == Local::matrix, MatrixCosts<T>,
                       std::conditional_t<is_univariate(kLocal), UnivariateCosts<T, kLocal>,
                                          std::conditional_t<is_expanded(kLocal), ExpandedCosts<T, kLocal>,
                                                             MultivariateCosts<T, kLocal>>>>;

// Compares the rows' windows with the lanes' columns.
template <class T>
struct RowMasks {
    const typename LaneTypes<T>::Int* start;
    const typename LaneTypes<T>::Int* stop;
    IntVec<T> column;

    [[gnu::always_inline]] Vec<T> keep(int r, Vec<T> value) const {
        const IntVec<T> inside =
            (column >= load_int<T>(start + r * kWidth<T>)) & (column < load_int<T>(stop + r * kWidth<T>));
        return select(inside, value, infinity<T>());
    }
};

struct NoMasks {
    template <class V>
    [[gnu::always_inline]] V keep(int, V value) const {
        return value;
    }
};

// Rows [kFirst, kLast) of a column; the rows above and below are outside of the window. latest: the block's previous
// column; this one, the c-th that `costs` holds, replaces it. diagonal: what `above` was for the previous column.
template <int kFirst, int kLast, class T, class Costs, class Masks>
[[gnu::always_inline]] inline Vec<T> advance_rows(Vec<T> (&latest)[kBlockRows], Vec<T>& diagonal, Vec<T> above,
                                                  const Costs& costs, int c, const Masks& masks) {
    Vec<T> corner = diagonal;
    Vec<T> up = above;
    if constexpr (kFirst > 0) {
        corner = latest[kFirst - 1];
        up = infinity<T>();
    }
    diagonal = above;
#pragma GCC unroll 8
    for (int r = kFirst; r < kLast; ++r) {
        const Vec<T> left = latest[r];
        // `up` last: it is the value that arrives last.
        const Vec<T> best = minimum(minimum(corner, left), up);
        up = masks.keep(r, costs.add(c, r, best));
        corner = left;
        latest[r] = up;
    }
    return up;
}

template <class T, class Costs, class Masks>
[[gnu::always_inline]] inline Vec<T> advance_column(Vec<T> (&latest)[kBlockRows], Vec<T>& diagonal, Vec<T> above,
                                                    const Costs& costs, int c, const Masks& masks) {
    return advance_rows<0, kBlockRows, T>(latest, diagonal, above, costs, c, masks);
}

}  // namespace coalign::COALIGN_SET
