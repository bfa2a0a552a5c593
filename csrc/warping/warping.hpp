// Dynamic time warping of pairs and of all pairs of two collections.
#pragma once

#include <cstdint>

#include "core/batch_run.hpp"
#include "core/ragged.hpp"
#include "warping/problem.hpp"
#include "warping/strips.hpp"

namespace coalign::warping {

// Pairs of series; one against a batch is paired with each of its items. Or matrices of local costs, in x alone.
struct Pairs {
    Ragged x, y;

    bool has_matrices() const { return y.count == 0; }
    std::int64_t count() const { return x.count > y.count ? x.count : y.count; }
    std::int64_t dim() const { return has_matrices() ? 1 : x.columns; }
    std::int64_t x_length(std::int64_t p) const { return x.rows_of(p < x.count ? p : 0); }
    std::int64_t y_length(std::int64_t p) const {
        return has_matrices() ? x.columns_of(p) : y.rows_of(p < y.count ? p : 0);
    }
    template <class T>
    Problem<T> at(std::int64_t p) const {
        const MatrixView<T> matrix = x.at<T>(p < x.count ? p : 0);
        if (has_matrices()) return {{nullptr, matrix.rows}, {nullptr, matrix.columns}, matrix.data, matrix.row_stride};
        return {{matrix.data, matrix.rows}, {y.begin_of<T>(p < y.count ? p : 0), y_length(p)}};
    }
};

// How the work is cut for threads: below this many cells (times dimensions) a thread does not repay its start.
// 1M cells are about 0.1 ms; a thread costs 15 us.
inline constexpr double kWorkPerThread = 1e6;

// cost[p] and status[p] of pair p; paths[p] too where `paths` is not null.
template <class T>
Run warp_pairs(const Kernels<T>& kernels, const Pairs& pairs, const Options& options, double work_per_thread,
               Pulse& pulse, T* cost, Status* status, ReversePath* paths);

// out[i * stride + j] of xs[i] and ys[j]. symmetric: ys is xs, and one half is computed and mirrored.
template <class T>
Run warp_all_pairs(const Kernels<T>& kernels, const Ragged& xs, const Ragged& ys, bool symmetric,
                   const Options& options, double work_per_thread, Pulse& pulse, T* out, std::int64_t stride);

}  // namespace coalign::warping
