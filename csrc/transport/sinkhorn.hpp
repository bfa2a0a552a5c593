// Entropic optimal transport of stored costs: potentials f and g such that the plan exp((f_i + g_j - C_ij) / epsilon)
// has the marginals a and b, or, unbalanced, comes close to them at a price.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/batch_run.hpp"
#include "core/isa.hpp"
#include "core/ragged.hpp"
#include "core/status.hpp"

namespace coalign::transport {

// As many rows and columns as the other operations take.
inline constexpr std::int64_t kMostPoints = (std::int64_t{1} << 31) - (1 << 16);

// Below this many exponentials and multiplications a thread does not repay its start.
inline constexpr double kTransportWorkPerThread = 4e6;

// Vectors beside the rows or the columns of the problems of a batch; none where there is no pointer.
struct Vectors {
    const void* data = nullptr;
    const void* const* items = nullptr;
    std::int64_t stride = 0;  // elements from one problem's vector to the next

    template <class T>
    const T* of(std::int64_t p) const {
        return items != nullptr  ? static_cast<const T*>(items[p])
               : data != nullptr ? static_cast<const T*>(data) + p * stride
                                 : nullptr;
    }
};

struct Options {
    double tolerance = 1e-4;  // 0: exactly the most iterations, each of them plain
    std::int64_t most_iterations = 10'000;
    // What a unit of divergence from a marginal costs; infinite where it is to be met.
    double row_penalty = std::numeric_limits<double>::infinity();
    double column_penalty = std::numeric_limits<double>::infinity();

    bool is_balanced() const {
        return row_penalty > std::numeric_limits<double>::max() && column_penalty == row_penalty;
    }
};

struct Batch {
    Ragged costs;
    Vectors row_weights, column_weights;        // uniform, of total mass 1, where there are none
    Vectors row_potentials, column_potentials;  // to start from
    const double* epsilon;
    std::int64_t epsilon_stride;  // 0: one for all problems
    Options options;
};

// What is written of one problem of N rows and M columns.
template <class T>
struct Solution {
    T *f, *g;  // N, M; -inf where a weight is 0
    double cost = 0, value = 0, error = std::numeric_limits<double>::infinity();
    std::int64_t iterations = 0;
    Status status = Status::ok;
    // With the status nan: the first cost that is NaN or -inf. With infeasible: a row or a column, the other being -1,
    // that has weight, and no finite cost against anything that has.
    std::int64_t row = -1, column = -1;
};

template <class T>
Run solve(Isa isa, const Batch& batch, int threads, double work_per_thread, Pulse& pulse,
          std::vector<Solution<T>>& solutions);

}  // namespace coalign::transport
