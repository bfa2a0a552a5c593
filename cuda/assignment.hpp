// Assignment of batches on a GPU; no header of CUDA is needed to include this.
#pragma once

#include <cstdint>
#include <vector>

#include "core/ragged.hpp"

struct CUstream_st;

namespace coalign::cuda {

// Every pointer below is to device memory but where it says host, every stride and offset in elements.
// The batch of costs. The items of a table are contiguous.
struct AssignmentCall : Ragged {
    // The lengths on the host, where they are known there.
    const std::int64_t *host_rows = nullptr, *host_columns = nullptr;
    // Of items: where a problem's rows begin in the results, its columns, and its costs in a copy of them.
    const std::int64_t *row_at = nullptr, *column_at = nullptr, *cost_at = nullptr;
    bool maximize = false, has_limit = false;
    double limit = 0;

    // Out: (count, rows) and (count, columns), or side by side. What has no value is -1, NaN where there is no answer.
    std::int64_t *col_of_row = nullptr, *row_of_col = nullptr;
    void *row_dual = nullptr, *col_dual = nullptr;
    double* total = nullptr;
    std::int32_t* status = nullptr;
    // Out, if not null: how often rows were gone through, for their two least reduced costs, and along paths.
    std::int64_t* scans = nullptr;
};

// Problems that one launch solves: each by so many threads, each of them with so many columns in registers, or with
// all of them in memory.
struct AssignmentGroup {
    std::int64_t first = 0, last = 0;
    int threads = 0, columns = 0;
};

struct AssignmentPlan {
    std::vector<AssignmentGroup> groups;
    std::vector<std::int64_t> order;  // which problem comes when; empty: as they lie
    bool copies = false, copies_all = false;
    std::int64_t workspace_bytes = 0;
};

enum class AssignmentTeam { by_size, block, block_by_memory };

template <class T>
AssignmentPlan plan_assignment(const AssignmentCall& call, AssignmentTeam team = AssignmentTeam::by_size);

// Queues the call on the stream; `order` is the plan's.
template <class T>
void run_assignment(const AssignmentCall& call, const AssignmentPlan& plan, const std::int64_t* order, void* workspace,
                    CUstream_st* stream);

}  // namespace coalign::cuda
