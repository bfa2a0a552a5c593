// Entropic transport of point clouds on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>

#include "transport.hpp"
#include "transport/point_metric.hpp"

namespace coalign::cuda {

// Of the costs only the shapes are looked at, and where results begin. The columns of a cloud are its dimensions.
struct PointsCall : TransportCall {
    Ragged x, y;  // either may be one for all problems
    transport::PointMetric metric = transport::PointMetric::sqeuclidean;
};

struct PointsPlan {
    std::int64_t problems_per_launch = 0;
    std::int64_t workspace_bytes = 0;
};

template <class T>
PointsPlan plan_points(const PointsCall& call, std::int64_t workspace_bytes);

// Queues the call on the stream.
template <class T>
void run_points(const PointsCall& call, const PointsPlan& plan, void* workspace, CUstream_st* stream);

}  // namespace coalign::cuda
