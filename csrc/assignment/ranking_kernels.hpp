// What ranking asks of lanes, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::assignment {

struct Near {
    double distance;
    std::int64_t column;
};

// Rows are this many elements apart, or a multiple of it: whole vectors of every set.
inline constexpr std::int64_t kRankingPad = 8;

// Of the columns in a search: their distances, negative once they are closed, and the rows before them.
struct RankingSearch {
    double* distance;
    std::int64_t* before;
};

struct RankingKernels {
    // d_j = min(d_j, near + max(c_j - v_j - dual, 0)), and of the columns not closed the first of the nearest; of
    // whole vectors of columns.
    Near (*relax)(const double* costs, const double* v, std::int64_t columns, double near, double dual,
                  std::int64_t from, const RankingSearch& search);
};

}  // namespace coalign::assignment
