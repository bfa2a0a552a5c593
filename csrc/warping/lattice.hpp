// One column of one block of rows: the local costs of its cells and the recursion through them.
#pragma once

#include <type_traits>

#include "core/lanes.hpp"
#include "warping/kernels.hpp"

namespace coalign::COALIGN_SET {

using warping::kBlockRows;
using warping::kDelay;
using warping::Local;

inline constexpr bool is_univariate(Local local) {
    return local == Local::square || local == Local::magnitude;
}

// Univariate: the rows' values stay in registers and the square is fused into the recursion.
template <class T, Local kLocal>
class UnivariateCosts {
   public:
    [[gnu::always_inline]] UnivariateCosts(const T* x, std::int64_t) {
#pragma GCC unroll 8
        for (int r = 0; r < kBlockRows; ++r) x_[r] = load(x + r * kWidth<T>);
    }
    [[gnu::always_inline]] void at(const T* y, std::int64_t) { y_ = load(y); }
    [[gnu::always_inline]] Vec<T> add(int r, Vec<T> best) const {
        const Vec<T> difference = x_[r] - y_;
        if constexpr (kLocal == Local::square) return fused(difference, difference, best);
        else return best + absolute(difference);
    }

   private:
    Vec<T> x_[kBlockRows];
    Vec<T> y_;
};

template <class T, Local kLocal>
class MultivariateCosts {
   public:
    [[gnu::always_inline]] MultivariateCosts(const T* x, std::int64_t dim) : x_(x), dim_(dim) {}

    // y: the column's frame, successive dimensions `step` apart.
    [[gnu::always_inline]] void at(const T* y, std::int64_t step) {
        Vec<T> sum[kBlockRows];
#pragma GCC unroll 8
        for (int r = 0; r < kBlockRows; ++r) sum[r] = Vec<T>{};
        for (std::int64_t d = 0; d < dim_; ++d) {
            const Vec<T> value = load(y + d * step);
#pragma GCC unroll 8
            for (int r = 0; r < kBlockRows; ++r) {
                const Vec<T> x = load(x_ + (r * dim_ + d) * kWidth<T>);
                if constexpr (kLocal == Local::cosine) {
                    sum[r] = fused(x, value, sum[r]);
                } else if constexpr (kLocal == Local::magnitude_sum) {
                    sum[r] += absolute(x - value);
                } else {
                    const Vec<T> difference = x - value;
                    sum[r] = fused(difference, difference, sum[r]);
                }
            }
        }
#pragma GCC unroll 8
        for (int r = 0; r < kBlockRows; ++r) cost_[r] = finish(sum[r]);
    }
    [[gnu::always_inline]] Vec<T> add(int r, Vec<T> best) const { return best + cost_[r]; }

   private:
    [[gnu::always_inline]] static Vec<T> finish(Vec<T> sum) {
        if constexpr (kLocal == Local::root_square_sum) {
            return square_root(sum);
        } else if constexpr (kLocal == Local::cosine) {
            // The frames are unit vectors; rounding may carry the product past 1, and a cost is never negative.
            const Vec<T> cost = splat<T>(1) - sum;
            return select(cost > Vec<T>{}, cost, Vec<T>{});
        } else {
            return sum;
        }
    }

    const T* x_;
    std::int64_t dim_;
    Vec<T> cost_[kBlockRows];
};

template <class T>
class MatrixCosts {
   public:
    [[gnu::always_inline]] MatrixCosts(const T*, std::int64_t) {}
    [[gnu::always_inline]] void at(const T* costs, std::int64_t) { costs_ = costs; }
    [[gnu::always_inline]] Vec<T> add(int r, Vec<T> best) const { return best + load(costs_ + r * kWidth<T>); }

   private:
    const T* costs_;
};

template <class T, Local kLocal>
using LocalCosts = std::conditional_t<
    kLocal == Local::matrix, MatrixCosts<T>,
    std::conditional_t<is_univariate(kLocal), UnivariateCosts<T, kLocal>, MultivariateCosts<T, kLocal>>>;

// The rows' windows, compared with the lanes' columns.
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

// latest: the block's previous column, replaced by this one. diagonal: `above` of the previous column.
template <class T, class Costs, class Masks>
[[gnu::always_inline]] inline Vec<T> advance_column(Vec<T> (&latest)[kBlockRows], Vec<T>& diagonal, Vec<T> above,
                                                    const Costs& costs, const Masks& masks) {
    Vec<T> corner = diagonal;
    Vec<T> up = above;
    diagonal = above;
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
        const Vec<T> left = latest[r];
        // `up` last: it is the value that arrives last.
        const Vec<T> best = minimum(minimum(corner, left), up);
        up = masks.keep(r, costs.add(r, best));
        corner = left;
        latest[r] = up;
    }
    return up;
}

}  // namespace coalign::COALIGN_SET
