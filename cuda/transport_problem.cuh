// One problem of transport in the workspace of a call, and what becomes of it from iteration to iteration.
//
// Weights add up to 1. Potentials F (of rows) are without unit, H of columns are times epsilon, so that they stay when
// epsilon is lowered: the plan is a_i b_j exp(F_i + (H_j - C_ij) / epsilon). Potentials, and their differences from
// costs, are float64.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/team.cuh"
#include "transport.hpp"

namespace coalign::cuda {

inline constexpr unsigned kTransportThreads = 256;
inline constexpr int kTransportWarps = static_cast<int>(kTransportThreads / kWarp);
// Shared memory of a block: slots for its warps, or pairs for each of 32 columns and each warp.
inline constexpr std::size_t kTransportSharedBytes = 2 * kTransportThreads * sizeof(double);

// How the next iteration goes: on the kernel matrix, or by logarithms of the costs, which also make that matrix.
enum class Sweep : int { careful, quick, done, failed };

struct TransportState {
    Sweep sweep;
    int status;  // of what has failed
    double epsilon, target;
    double row_mass, column_mass;
    int at;  // which of two vectors holds the potentials of the columns
    bool is_reached, keeps_careful;
    std::int64_t iterations, step_iterations;
    std::int64_t careful_left, careful_next;  // iterations that stay careful, and how many after the next failure
    std::int64_t since_best;
    double best, last, error;
    double inertia, momentum;  // Nesterov's sequence, and the factor that follows from it
    // Set by any thread, and taken back when the iteration is judged.
    int is_wrong, is_empty, is_lost, has_drifted;
    unsigned tickets;  // blocks that have updated their columns
};

__device__ inline bool is_over(const TransportState& state) {
    return state.sweep == Sweep::done || state.sweep == Sweep::failed;
}

// Vectors beside the rows, and beside the columns, of a problem.
inline constexpr std::int64_t kRowVectors = 4, kColumnVectors = 6;

template <class T>
struct TransportProblem {
    using Value = T;

    const T* cost;
    std::int64_t rows, columns, row_stride, column_stride, width;
    std::int64_t chunks, chunk_rows, parts, tiles;
    bool is_narrow;  // a warp takes a row, and each warp is a part of its own
    TransportState* state;
    T *kernel, *row_scale, *scaling;
    double *row_weight, *column_weight;  // each with more vectors after it
    std::int64_t row_room, column_room;  // from one of them to the next
    void* partial;                       // of every part, a number or a pair for each column

    __device__ std::int64_t begin(std::int64_t chunk) const { return chunk * chunk_rows; }
    __device__ std::int64_t end(std::int64_t chunk) const {
        const std::int64_t last = (chunk + 1) * chunk_rows;
        return last < rows ? last : rows;
    }
    __device__ double cost_at(std::int64_t i, std::int64_t j) const {
        return static_cast<double>(cost[i * row_stride + j * column_stride]);
    }
    __device__ double* row_potential() const { return row_weight + row_room; }
    __device__ double* row_sum() const { return row_weight + 2 * row_room; }
    __device__ double* row_cost() const { return row_weight + 3 * row_room; }
    __device__ double* absorbed() const { return column_weight + column_room; }
    __device__ double* image() const { return column_weight + 2 * column_room; }
    __device__ double* error() const { return column_weight + 3 * column_room; }
    __device__ double* potential(int at) const { return column_weight + (4 + at) * column_room; }
    __device__ double* columns_now() const { return potential(state->at); }
};

// The most exponent so far, and the sum of exponentials from there.
struct LogSum {
    double most, sum;

    __device__ void add(double exponent, double weight) {
        if (exponent > most) {
            sum = sum * exp(most - exponent) + weight;
            most = exponent;
        } else if (exponent > -kInfinity<double>) {
            sum += weight * exp(exponent - most);
        }
    }
    __device__ void add(const LogSum& other) { add(other.most, other.sum); }
};

// How a side meets its marginal: 1 exactly, and rho / (rho + epsilon) where its divergence costs rho.
__device__ inline double power_of(double penalty, double epsilon) {
    return penalty < kInfinity<double> ? penalty / (penalty + epsilon) : 1;
}

__host__ __device__ inline bool is_balanced(const TransportCall& call) {
    return !(call.row_penalty < kInfinity<double>) && !(call.column_penalty < kInfinity<double>);
}

// The sum over a block, in an order of its own; all threads have it.
__device__ inline double block_sum(double mine) {
    double* const slots = shared_memory<double>();
    mine = warp_sum(mine);
    __syncthreads();
    if (threadIdx.x % kWarp == 0) slots[threadIdx.x / kWarp] = mine;
    __syncthreads();
    double sum = 0;
    for (int warp = 0; warp < kTransportWarps; ++warp) sum += slots[warp];
    return sum;
}
__device__ inline double block_most(double mine) {
    double* const slots = shared_memory<double>();
    mine = -warp_minimum(-mine);
    __syncthreads();
    if (threadIdx.x % kWarp == 0) slots[threadIdx.x / kWarp] = mine;
    __syncthreads();
    double most = slots[0];
    for (int warp = 1; warp < kTransportWarps; ++warp) most = greater(most, slots[warp]);
    return most;
}

}  // namespace coalign::cuda
