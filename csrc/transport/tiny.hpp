// Problems so small that each goes in a lane of its own: up to 16 rows and columns, met exactly, at an epsilon that
// lets the kernel matrix and the scalings stay within their dtype. What else there is, is left to the general way.
//
// Which way a problem goes depends on it alone, and no lane sees another's values: its bits are the same in any batch.
#pragma once

#include <cstdint>

#include "core/buffer.hpp"
#include "core/isa_table.hpp"
#include "core/parallel.hpp"
#include "transport/sinkhorn.hpp"

namespace coalign::transport {

inline constexpr int kMostTiny = 16;   // rows and columns
inline constexpr int kMostLanes = 16;  // of any instruction set

// As many problems as there are lanes: values of a cell, a row or a column of all problems stand side by side. What a
// problem lacks of the rows and columns of the group has weights of 0, and finite costs.
template <class T>
struct TinyGroup {
    int rows, columns;
    const double *epsilon, *row_mass, *column_mass;                   // of each problem
    const T* cost;                                                    // rows x columns
    const double *row_weight, *column_weight;                         // of sum 1
    const double *row_log, *column_log;                               // their logarithms, 0 for a weight of 0
    T *kernel, *least, *row_goal, *column_goal, *row, *column, *sum;  // scalings u and v, and sums of columns
    T *last_row, *last_column;                                        // the scalings that are the result
    T* before;                                                        // column scalings, an iteration earlier
    double *column_sum, *cost_sum, *error, *value;
    T *f, *g;
};

// Iterates on until so many iterations are done, or all of the lanes in `open` have an error of at most `tolerance`.
struct TinyRun {
    double tolerance;
    std::int64_t most;
    unsigned open;                     // bit l: the problem of lane l has not converged
    std::int64_t done = 0;             // iterations before this run, and with it on return
    std::int64_t reached[kMostLanes];  // after which iteration
    double error[kMostLanes];          // of the last iteration
};

template <class T>
struct TinyKernels {
    Isa isa;
    int lanes;
    // Puts `count` values of each of as many problems as there are lanes side by side.
    void (*gather)(const T* const* problems, std::int64_t count, T* out);
    // Makes the kernel matrices, and says in which lanes there are such, and in which they hold all that may count.
    unsigned (*prepare)(const TinyGroup<T>&, unsigned& near);
    void (*run_plain)(const TinyGroup<T>&, std::int64_t iterations);
    void (*run)(const TinyGroup<T>&, TinyRun&);
    // The row scalings that belong to the column scalings, as the result.
    void (*finish)(const TinyGroup<T>&);
    // Potentials, rounded to T as they are returned, and the sums of the plan at exactly these.
    void (*prove)(const TinyGroup<T>&);
};

template <class T>
class TinySolver {
   public:
    TinySolver(Isa isa, const Options& options, Pulse& pulse);

    // Takes problems from p on, and returns up to which one: none where it is not for lanes. Bit l of `left` says that
    // problem p + l is still to be solved. When the call is to stop, all are left.
    std::int64_t solve(const Batch& batch, std::int64_t p, std::int64_t end, Results<T>& results, unsigned& left);

   private:
    // The weights of the rows, or the columns, of a group.
    struct Side {
        int padded;
        double *weight, *log, *mass;
        T* goal;
        int* uniform;  // of each lane: the count whose uniform weights it holds, or 0
    };
    bool fits(const Batch& batch, std::int64_t p) const;
    void reserve(int rows, int columns);
    void load_costs(const Batch& batch, std::int64_t p, int count);
    bool load_epsilon(const Batch& batch, std::int64_t p, int lane);
    bool load_side(const Side& side, const T* given, int count, int lane);
    bool iterate(unsigned& open, unsigned near);

    const TinyKernels<T>& kernels_;
    Options options_;
    Pulse& pulse_;
    int lanes_;
    TinyGroup<T> group_{};
    TinyRun run_{};
    Buffer<T> values_;
    Buffer<double> wide_;
    T* cost_ = nullptr;
    Side rows_{}, columns_{};
    double log_of_[kMostTiny + 1] = {};  // of counts that were met; a logarithm takes 20 ns
    double epsilon_[kMostLanes], row_mass_[kMostLanes], column_mass_[kMostLanes];
    int uniform_rows_[kMostLanes], uniform_columns_[kMostLanes];
    unsigned alike_ = 0;  // where problems differ in their costs alone: what their epsilon and weights let lanes hold
};

}  // namespace coalign::transport
