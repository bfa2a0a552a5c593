// The nearest series of a database to each query, on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>

#include "warping.hpp"

namespace coalign::cuda {

struct NearestCall {
    // x are the queries and y the database. There is no order of y, and no out but ours.
    WarpingCall pairs;
    std::int64_t count = 1;  // of series for each query

    // Out: (queries, count), the nearest first, equally near ones in the order of the database; -1 and inf where there
    // is no further one with a finite cost. The status is INFEASIBLE there, and NAN, with -1 and NaN, beside a bad
    // series.
    std::int64_t* index = nullptr;
    void* cost = nullptr;
    std::int32_t* status = nullptr;
};

// The costs of all queries are computed a few series of the database at a time.
struct NearestPlan {
    std::int64_t columns = 0;
    WarpingPlan tile;
    std::int64_t workspace_bytes = 0;
};

template <class T>
NearestPlan plan_nearest(const NearestCall& call, const WarpingLimits& limits);

// Queues the call on the stream.
template <class T>
void run_nearest(const NearestCall& call, const NearestPlan& plan, void* workspace, CUstream_st* stream);

}  // namespace coalign::cuda
