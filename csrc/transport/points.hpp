// Entropic optimal transport of point clouds, whose costs are made where they are used and never stored.
#pragma once

#include <cstdint>
#include <vector>

#include "transport/sinkhorn.hpp"

namespace coalign::transport {

// Squared and plain distances; 1 - x.y / (|x| |y|), or 1 where a point is 0; -x.y.
enum class PointMetric { sqeuclidean, euclidean, cosine, dot };

struct PointBatch {
    Ragged x, y;  // either may be one for all problems
    PointMetric metric;
    Batch rest;  // its costs are not looked at

    std::int64_t count() const { return x.count > y.count ? x.count : y.count; }
    std::int64_t x_item(std::int64_t p) const { return x.count > 1 ? p : 0; }
    std::int64_t y_item(std::int64_t p) const { return y.count > 1 ? p : 0; }
};

// With the status nan, a solution's row is the number of the first value of x that is not finite, or its column that of
// y, counted along the dimensions of a point.
template <class T>
Run solve_points(Isa isa, const PointBatch& batch, int threads, double work_per_thread, Pulse& pulse,
                 std::vector<Solution<T>>& solutions);

}  // namespace coalign::transport
