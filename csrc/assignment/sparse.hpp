// Assignment where most pairs are forbidden: what is not stored does not exist, and nothing is ever made dense.
#pragma once

#include <cstdint>
#include <vector>

#include "assignment/assignment.hpp"

namespace coalign::assignment {

// Compressed rows, or columns, as SciPy keeps them: in any order within a line, and with several entries for one pair,
// which add up.
struct SparseCosts {
    const void *starts, *indices;
    bool wide;  // both of 64 bits, not 32
    const void* values;
    std::int64_t rows, columns;
    bool by_columns;
    std::int64_t entries;
};

template <class T>
Run assign_sparse(const std::vector<SparseCosts>& problems, const Options& options, double work_per_thread,
                  Pulse& pulse, std::vector<Result<T>>& results);

}  // namespace coalign::assignment
