// What follows from stored plans, row by row, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::transport {

template <class T>
struct PlanKernels {
    Isa isa;
    // out[i][k] = the sum over columns of plan[i][j] * v[j][k], for `count` rows of the plan, `stride` apart; v and out
    // have rows of `many`.
    void (*multiply)(const T* plan, std::int64_t stride, std::int64_t count, std::int64_t columns, const double* v,
                     std::int64_t many, double* out);
    // out[j] += the sum over `count` rows of factors[i] * plan[i][j].
    void (*combine)(const T* plan, std::int64_t stride, std::int64_t count, std::int64_t columns, const double* factors,
                    double* out);
    // The first column where potential - cost is greatest; -1 where it is -inf in all.
    std::int64_t (*choose)(const T* cost, const double* potential, std::int64_t columns);
};

}  // namespace coalign::transport
