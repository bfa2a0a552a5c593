// Entropic optimal transport of point clouds, whose costs are made where they are used and never stored.
#pragma once

#include <cstdint>

#include "transport/point_metric.hpp"
#include "transport/problems.hpp"
#include "transport/sinkhorn.hpp"

namespace coalign::transport {

struct PointBatch {
    Ragged x, y;  // either may be one for all problems
    PointMetric metric;
    Batch rest;  // its costs are not looked at

    std::int64_t count() const { return x.count > y.count ? x.count : y.count; }
    std::int64_t x_item(std::int64_t p) const { return x.count > 1 ? p : 0; }
    std::int64_t y_item(std::int64_t p) const { return y.count > 1 ? p : 0; }
};

// Runs solve(worker, problem) for each problem, which returns false when the call is to stop; the workers that
// make(team) returns hold what each thread needs. A cell is passed `passes` times.
template <class Make, class Solve>
Run over_pairs(const PointBatch& batch, double passes, int threads, double work_per_thread, Pulse& pulse, Make&& make,
               Solve&& solve) {
    // Of one problem. So many stored costs take a thread 15 us, and points take longer; two threads go from one phase
    // to the next in 2.
    constexpr double cells_per_thread = 1 << 17;
    const std::int64_t count = batch.count();
    double cells = 0;
    for (std::int64_t p = 0; p < count; ++p)
        cells += static_cast<double>(batch.x.rows_of(batch.x_item(p))) *
                 static_cast<double>(batch.y.rows_of(batch.y_item(p)));
    return run_problems({count, cells, passes, cells_per_thread}, threads, work_per_thread, pulse, make,
                        [&](auto& worker, std::int64_t p, std::int64_t) { return solve(*worker, p) ? p + 1 : p; });
}

// With the status nan, a solution's row is the number of the first value of x that is not finite, or its column that of
// y, counted along the dimensions of a point.
template <class T>
Run solve_points(Isa isa, const PointBatch& batch, int threads, double work_per_thread, Pulse& pulse,
                 Results<T>& results);

}  // namespace coalign::transport
