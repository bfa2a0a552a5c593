// Entropic transport of stored costs on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>
#include <limits>

#include "core/ragged.hpp"

struct CUstream_st;

namespace coalign::cuda {

// Vectors beside the rows or the columns of the problems of a batch; none where there is no pointer.
struct TransportVectors {
    const void* data = nullptr;
    const void* const* items = nullptr;
    std::int64_t stride = 0;  // elements from one problem's vector to the next
};

// Every pointer below is to device memory but where it says host, every stride and offset in elements. The items of a
// table are contiguous.
struct TransportCall : Ragged {
    // The lengths on the host, where they are known there.
    const std::int64_t *host_rows = nullptr, *host_columns = nullptr;
    // Of items: where a problem's rows begin in the results, and its columns.
    const std::int64_t *row_at = nullptr, *column_at = nullptr;
    // Uniform, of mass 1, where there are none; and potentials of the columns to start from.
    TransportVectors row_weights, column_weights, column_potentials;
    // One for each problem, or one for all.
    const double* epsilons = nullptr;
    double epsilon = 0;
    double tolerance = 1e-4;  // 0: exactly the most iterations, each of them plain
    std::int64_t most_iterations = 10'000;
    // What a unit of divergence from a marginal costs; infinite where it is to be met.
    double row_penalty = std::numeric_limits<double>::infinity();
    double column_penalty = std::numeric_limits<double>::infinity();

    // Out: (count, rows) and (count, columns), or side by side; and one of each for every problem.
    void *f = nullptr, *g = nullptr;
    double *cost = nullptr, *value = nullptr, *error = nullptr;
    std::int64_t* iterations = nullptr;
    std::int32_t* status = nullptr;
};

struct TransportLimits {
    // What the call may take, if it can do with so little: one problem goes in any case.
    std::int64_t workspace_bytes = std::int64_t{1} << 30;
    // A block iterates by itself on a problem of so many costs. Larger ones are shared out to several blocks.
    std::int64_t costs_per_block = 1 << 16;
};

// What one problem of the workspace has room for.
struct TransportRoom {
    std::int64_t rows = 0, width = 0, cells = 0, partials = 0;
};

struct TransportPlan {
    std::int64_t problems_per_launch = 0;
    TransportRoom room;
    std::int64_t workspace_bytes = 0;
};

template <class T>
TransportPlan plan_transport(const TransportCall& call, const TransportLimits& limits);

// Queues the call on the stream.
template <class T>
void run_transport(const TransportCall& call, const TransportLimits& limits, const TransportPlan& plan, void* workspace,
                   CUstream_st* stream);

}  // namespace coalign::cuda
