// Dynamic time warping of pairs and of all pairs of two collections.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "warping/problem.hpp"
#include "warping/strips.hpp"

namespace coalign::warping {

struct Run {
    bool stopped = false;
    int workers = 0;
};

// How the work is cut for threads: below this many cells (times dimensions) a thread does not repay its start.
// 1M cells are about 0.1 ms; a thread costs 15 us.
inline constexpr double kWorkPerThread = 1e6;

// cost[p] and status[p] of problems[p]; paths[p] too where `paths` is not null.
template <class T>
Run warp_pairs(const Kernels<T>& kernels, const std::vector<Problem<T>>& problems, std::int64_t dim,
               const Options& options, double work_per_thread, Pulse& pulse, T* cost, Status* status,
               ReversePath* paths);

// out[i * stride + j] of xs[i] and ys[j]. symmetric: ys is xs, and one half is computed and mirrored.
template <class T>
Run warp_all_pairs(const Kernels<T>& kernels, const std::vector<Series<T>>& xs, const std::vector<Series<T>>& ys,
                   bool symmetric, std::int64_t dim, const Options& options, double work_per_thread, Pulse& pulse,
                   T* out, std::int64_t stride);

}  // namespace coalign::warping
