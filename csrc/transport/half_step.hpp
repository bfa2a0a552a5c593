// The half-step of entropic transport: for each row i the log-sum-exp over the columns j of level_j - C_ij / epsilon,
// without a cost matrix, and the same softmax's means of vectors that belong to the columns. Soft attention and
// contrastive losses are this.
//
// Maxima run along blocks of columns: M. Milakov, N. Gimelshein: Online normalizer calculation for softmax.
// arXiv:1805.02867, 2018.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/buffer.hpp"
#include "transport/points_kernels.hpp"

namespace coalign::transport {

// Vectors of the columns, and what they become for the rows; none where there is no pointer.
template <class K>
struct Mixed {
    const K* vectors = nullptr;
    std::int64_t stride = 0, dimension = 0;
};

// One group of rows, as kernels read them.
template <class K>
class RowGroup {
   public:
    // The rows at(0) to at(count - 1) of a cloud.
    template <class At>
    void take(const Cloud<K>& rows, std::int64_t count, At&& at) {
        K* const out = point_.reserve(rows.dimension * kGroup);
        std::fill_n(out, rows.dimension * kGroup, K(0));
        for (std::int64_t r = 0; r < count; ++r) {
            const std::int64_t i = at(r);
            const K* const from = rows.tiles + i / kTile * rows.dimension * kTile + i % kTile;
            for (std::int64_t k = 0; k < rows.dimension; ++k) out[k * kGroup + r] = from[k * kTile];
        }
        count_ = count;
    }
    PointRows<K> against(const Cloud<K>& columns, Form form, K slope) const {
        return {columns, form, slope, point_.data(), count_};
    }

   private:
    Buffer<K> point_;
    std::int64_t count_ = 0;
};

template <class K>
class HalfStep {
   public:
    explicit HalfStep(const PointKernels<K>& kernels) : kernels_(kernels) {}

    // log_sum: kGroup, -inf where no column has a level. With vectors, `out` gets kGroup rows of their means, 0 where
    // there is none.
    void run(const PointRows<K>& rows, const K* level, double* log_sum, const Mixed<K>& mixed = {}, K* out = nullptr) {
        constexpr K none = -std::numeric_limits<K>::infinity();
        const std::int64_t tiles = tiles_of(rows.columns.count);
        K zero[kGroup] = {}, from[kGroup];
        double sum[kGroup] = {};
        std::fill_n(from, kGroup, std::numeric_limits<K>::lowest());
        if (out != nullptr) std::fill_n(out, kGroup * mixed.dimension, K(0));
        EvaluatePass<K> pass{rows, 0, 0, zero, level, room_.reserve(kBlock * kGroup * kTile), sum, nullptr};
        for (; pass.begin < tiles; pass.begin = pass.end) {
            pass.end = std::min(pass.begin + kBlock, tiles);
            K most[kGroup];
            std::fill_n(most, kGroup, none);
            kernels_.raise(pass, most);
            for (std::int64_t r = 0; r < kGroup; ++r) {
                if (!(most[r] > from[r])) continue;
                const double scale = std::exp(double{from[r]} - double{most[r]});
                sum[r] *= scale;
                if (out != nullptr)
                    for (std::int64_t c = 0; c < mixed.dimension; ++c) out[r * mixed.dimension + c] *= K(scale);
                from[r] = most[r];
            }
            kernels_.exponentiate(pass, from);
            if (out == nullptr) continue;
            const std::int64_t first = pass.begin * kTile, end = std::min(pass.end * kTile, rows.columns.count);
            kernels_.mix(pass.room, end - first, mixed.vectors + first * mixed.stride, mixed.stride, mixed.dimension,
                         nullptr, out);
        }
        for (std::int64_t r = 0; r < kGroup; ++r) {
            log_sum[r] = sum[r] > 0 ? double{from[r]} + std::log(sum[r]) : -std::numeric_limits<double>::infinity();
            if (out == nullptr || !(sum[r] > 0)) continue;
            for (std::int64_t c = 0; c < mixed.dimension; ++c) out[r * mixed.dimension + c] /= K(sum[r]);
        }
    }

   private:
    // 1024 columns of 8 rows stay in the first two levels of cache.
    static constexpr std::int64_t kBlock = 32;

    const PointKernels<K>& kernels_;
    Buffer<K> room_;
};

}  // namespace coalign::transport
