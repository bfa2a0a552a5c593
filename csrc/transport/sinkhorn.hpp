// Entropic optimal transport of stored costs: potentials f and g such that the plan exp((f_i + g_j - C_ij) / epsilon)
// has the marginals a and b, or, unbalanced, comes close to them at a price.
#pragma once

#include <cstdint>
#include <limits>
#include <mutex>

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

    bool are_given() const { return data != nullptr || items != nullptr; }
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

// Where the solutions of a batch go: a number for each problem, and its potentials, where the tables say, or with room
// for `rows` and `columns` for each.
template <class T>
class Results {
   public:
    T *f = nullptr, *g = nullptr;
    std::int64_t rows = 0, columns = 0;
    T *const *f_items = nullptr, *const *g_items = nullptr;
    double *cost = nullptr, *value = nullptr, *error = nullptr;
    std::int64_t* iterations = nullptr;
    std::int32_t* status = nullptr;

    T* f_of(std::int64_t p) const { return f_items != nullptr ? f_items[p] : f + p * rows; }
    T* g_of(std::int64_t p) const { return g_items != nullptr ? g_items[p] : g + p * columns; }

    // Any thread may keep a solution, each problem's once.
    void put(std::int64_t p, double own_cost, double own_value, double own_error, std::int64_t own_iterations) {
        cost[p] = own_cost;
        value[p] = own_value;
        error[p] = own_error;
        iterations[p] = own_iterations;
        status[p] = static_cast<std::int32_t>(Status::ok);
    }
    void keep(std::int64_t p, const Solution<T>& solution) {
        put(p, solution.cost, solution.value, solution.error, solution.iterations);
        if (solution.status == Status::ok) return;
        status[p] = static_cast<std::int32_t>(solution.status);
        const std::lock_guard lock(mutex_);
        is_solved_ = false;
        Place* const place = solution.status == Status::nan ? &nan_ : &infeasible_;
        if (solution.status != Status::nan && solution.status != Status::infeasible) return;
        if (place->problem < 0 || p < place->problem) *place = {p, solution.row, solution.column};
    }

    // What of a problem is wrong, as in Solution.
    struct Place {
        std::int64_t problem = -1, row = -1, column = -1;
    };
    bool is_solved() const { return is_solved_; }
    // The first problem of those with the status, if any.
    const Place& first_nan() const { return nan_; }
    const Place& first_infeasible() const { return infeasible_; }

   private:
    std::mutex mutex_;
    bool is_solved_ = true;
    Place nan_, infeasible_;
};

template <class T>
Run solve(Isa isa, const Batch& batch, int threads, double work_per_thread, Pulse& pulse, Results<T>& results);

}  // namespace coalign::transport
