// What the drivers of transport, compiled once, ask of their kernels, compiled once per instruction set.
//
// Potentials F and G are without unit: those of the plan a_i b_j exp(F_i + G_j - C_ij / epsilon). Costs have a dtype T,
// and the kernel matrix exp(F + G - C / epsilon) has one of its own, K. Differences of potentials and costs are taken
// in float64: they may be 1e4 times what is left of them.
#pragma once

#include <cstdint>
#include <limits>

#include "core/isa_table.hpp"

namespace coalign::transport {

// Rows of the kernel matrix, and vectors that stand beside its columns, are filled up to whole cache lines of float32.
inline constexpr std::int64_t kPadding = 16;
constexpr std::int64_t padded(std::int64_t count) {
    return (count + kPadding - 1) / kPadding * kPadding;
}

// How a side meets its marginal: its potential is power * (shift - log of its sum), where the power is 1 for a marginal
// that is met exactly, and rho / (rho + epsilon) for one that costs rho times its divergence.
struct Side {
    double power, shift;
};

// Some rows of the costs.
template <class T>
struct CostRows {
    const T* cost;
    std::int64_t row_stride, count, columns;
    double over_epsilon;  // 1 / epsilon
};

// What a pass met first, counted from its first row; -1 for nothing.
struct Found {
    std::int64_t wrong = -1;  // a row with a cost that is NaN or -inf
    std::int64_t empty = -1;  // a row that has weight, and no finite cost against a column that has
};

// Makes rows of the kernel matrix, each by a log-sum-exp of its own. With the potential F that a row gets, its weighted
// sum would be 1; the matrix holds another one, with which its greatest number is 1.
template <class T, class K>
struct AbsorbPass {
    CostRows<T> rows;
    const double* column_potential;  // G; -inf for columns without weight and for padding
    const K* column_weight;
    const double* row_weight;
    double *row_absorbed, *row_potential;  // what the matrix holds, and F; infinite for an empty row
    K* kernel;                             // rows of padded(columns)
    Found found;                           // on return
};

// Takes the sums of some rows of the kernel matrix, scales the rows by them, and adds these to the columns' sums.
template <class K>
struct SweepPass {
    const K* kernel;
    std::int64_t count, columns;  // columns: padded
    const K* column_scaling;
    const double* row_scale;
    double power;
    K* row_scaling;    // row_scale / sum^power; 0 where there is no scale
    K* sums;           // of the columns
    double least = 0;  // the least sum of a row that has a scale, on return
};

// The columns' sums by a log-sum-exp of each: the greatest exponent F_i - C_ij / epsilon, and then the weighted sum of
// the exponentials from there.
template <class T>
struct ColumnPass {
    CostRows<T> rows;
    const double *row_potential, *row_scale, *row_weight;  // rows without a scale do not count
    double *most, *sums;
};

// The plan at some potentials, and its sums.
template <class T>
struct PlanPass {
    CostRows<T> rows;
    const double* row_potential;     // f
    const double* column_potential;  // g, and -inf for padding
    T* plan;                         // rows of padded(columns); with a stride of 0 each is written over the last
    std::int64_t plan_stride;
    double* row_sum;
    double* column_sum;  // is added to
    double cost = 0;     // the sum of plan times cost is added
};

template <class T>
struct ColumnKernels {
    Isa isa;
    void (*raise)(const ColumnPass<T>&);
    void (*add)(const ColumnPass<T>&);
    void (*plan)(PlanPass<T>&);
};

template <class T, class K>
struct AbsorbKernels {
    Isa isa;
    void (*absorb)(AbsorbPass<T, K>&);
};

// Of the columns' sums, over the columns that have weight.
struct ColumnSums {
    double least, most;
    double error;  // sum of |scaling * sum - weight|
};

template <class K>
struct SweepKernels {
    Isa isa;
    void (*sweep)(SweepPass<K>&);
    // scaling = weight * exp(potential - absorbed), 0 where there is no weight
    void (*scale)(const double* potential, const double* absorbed, const double* weight, std::int64_t count,
                  K* scaling);
    // next = weight / sum
    void (*divide)(const K* weight, const K* scaling, const K* sums, std::int64_t count, K* next, ColumnSums& found);
    // potential = absorbed + log(scaling / weight)
    void (*potential)(const K* scaling, const K* weight, const double* absorbed, std::int64_t count, double* potential);
    // sums += more
    void (*add)(const K* more, std::int64_t count, K* sums);
    // potential = power * (absorbed + shift - log(sum)), where absorbed is above -inf
    void (*update)(const K* sums, const double* absorbed, Side side, std::int64_t count, double* potential);
};

// Vectors of float64 beside the columns, padded.
struct HistoryKernels {
    Isa isa;
    // out = weight * (a - b), 0 where there is no weight
    void (*differ)(const double* a, const double* b, const double* weight, std::int64_t count, double* out);
    double (*dot)(const double* a, const double* b, std::int64_t count);
    // out -= the sum of factor times direction
    void (*subtract)(const double* const* directions, const double* factors, int directions_count, std::int64_t count,
                     double* out);
};

}  // namespace coalign::transport
