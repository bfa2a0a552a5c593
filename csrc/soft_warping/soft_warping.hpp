// Soft-DTW (Cuturi and Blondel, 2017) of pairs, and of all pairs of two collections.
#pragma once

#include <cstdint>

#include "core/batch_run.hpp"
#include "core/isa.hpp"
#include "core/ragged.hpp"
#include "soft_warping/lattice.hpp"
#include "warping/warping.hpp"

namespace coalign::soft_warping {

using warping::Metric;
using warping::Pairs;
using warping::Window;

// Below, log2(e) / gamma is beyond float64.
inline constexpr double kLeastGamma = 1e-290;

struct Options {
    Metric metric = Metric::sqeuclidean;
    Window window;
    double gamma = 1;
    int threads = 1;
    std::int64_t recorded_bytes = kRecordedBytes;
};

// value[p] and status[p] of pair p, and what out[p] asks for where `out` is not null. A value is inf where no path fits
// the window and the finite costs (infeasible), or where it is beyond T (precision_limit; -inf where gamma makes it
// so). A cost in the window that is NaN or -inf leaves no value (nan). The gradient is then 0.
template <class T>
Run solve_pairs(Isa isa, const Pairs& pairs, const Options& options, double work_per_thread, Pulse& pulse, T* value,
                Status* status, const Backward<T>* out);

// out[i * stride + j] of xs[i] and ys[j]. symmetric: ys is xs, and one half is computed and mirrored.
template <class T>
Run solve_all_pairs(Isa isa, const Ragged& xs, const Ragged& ys, bool symmetric, const Options& options,
                    double work_per_thread, Pulse& pulse, T* out, std::int64_t stride);

}  // namespace coalign::soft_warping
