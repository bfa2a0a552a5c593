// How far the total of a matching may be from the best one: an upper bound that holds whatever the duals are.
#pragma once

#include <cstdint>
#include <vector>

#include "assignment/assignment.hpp"
#include "assignment/sparse.hpp"

namespace coalign::assignment {

// What is claimed of one problem. The pairs and duals may be wrong in any way.
struct Claim {
    const std::int64_t* col_of_row;
    const double *row_dual, *col_dual;
    double total;
};

// Bounds the claims, in order; the bound is infinite where they prove nothing. Of the options, `maximize`, the limit
// and `threads` are read. An outcome says which value is no cost, or that a sparse problem lacks an entry that was
// paired.
template <class T>
Run find_gaps(const Ragged& costs, const std::vector<Claim>& claims, const Options& options, double work_per_thread,
              Pulse& pulse, double* gaps, std::vector<Outcome>& outcomes);
template <class T>
Run find_gaps(const std::vector<SparseCosts>& costs, const std::vector<Claim>& claims, const Options& options,
              double work_per_thread, Pulse& pulse, double* gaps, std::vector<Outcome>& outcomes);

}  // namespace coalign::assignment
