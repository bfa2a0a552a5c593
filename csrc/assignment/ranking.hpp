// The k cheapest assignments, in order.
#pragma once

#include <cstdint>
#include <vector>

#include "assignment/assignment.hpp"

namespace coalign::assignment {

// Where the matchings of one problem go: k rows of columns, -1 for none, and k totals. The outcome says what became of
// the first.
struct Ranking {
    std::int64_t* col_of_row;
    std::int64_t room;  // from one of the k rows to the next
    double* total;
    Outcome outcome;
};

// `kernels` find the first of each; the rest follow from it. Of the options only `maximize` and `threads` are read.
template <class T>
Run rank(const Kernels<double>& kernels, const Ragged& costs, std::int64_t k, const Options& options,
         double work_per_thread, Pulse& pulse, std::vector<Ranking>& results);

}  // namespace coalign::assignment
