// Tiny balanced problems, a thread each, with the kernel matrix in registers. What it cannot prove, and what is wrong,
// is left to the general way. See csrc/transport/tiny.hpp.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/extended.cuh"
#include "core/status.hpp"
#include "transport_result.cuh"

namespace coalign::cuda {

inline constexpr int kTinyThreads = 128;
// More rows or columns do not fit into registers.
template <class T>
constexpr int kMostTiny = sizeof(T) == sizeof(float) ? 8 : 4;
// With more, acceleration and a lower epsilon in steps pay: the general way has them.
inline constexpr std::int64_t kMostTinyIterations = 512;
template <class T>
constexpr double kLeastTinyTolerance = sizeof(T) == sizeof(float) ? 1e-5 : 1e-11;
// Scalings of lighter rows may leave the range of the dtype.
template <class T>
constexpr double kLeastTinyWeight = sizeof(T) == sizeof(float) ? 1e-6 : 1e-60;
// What rounding adds to the error that the scalings have; and the greatest error of iterations that are counted.
inline constexpr double kTinyAim = 0.75, kMostTinyError = 2;

__device__ inline float logarithm(float a) {
    return logf(a);
}
__device__ inline double logarithm(double a) {
    return log(a);
}

// Problems that are left, in any order.
struct TinyRest {
    unsigned* problems;
    unsigned* count;
};

// Numbers of a block's problems go through shared memory, so that neighbouring threads meet neighbouring addresses:
// each(problem, entry) is called for all entries of the block's problems.
template <class Each>
__device__ void each_entry(int problems, std::int64_t entries, Each&& each) {
    for (std::int64_t at = threadIdx.x; at < problems * entries; at += kTinyThreads)
        each(static_cast<int>(at / entries), at % entries);
}

// The weights of one side, with a sum of 1, and their mass; NaN where they are not for this way.
template <class T, int kSide>
__device__ double take_tiny_weights(const T* given, int count, T (&out)[kSide]) {
    double sum = 0;
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
        const double weight = i >= count ? 0 : given == nullptr ? 1 : static_cast<double>(given[i]);
        out[i] = static_cast<T>(weight);
        sum += weight >= 0 ? weight : kNaN<double>;
    }
    bool is_right = sum > 1e-30 && sum < 1e30;
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
        const double own = static_cast<double>(out[i]) / sum;
        is_right = is_right && (own == 0 || own >= kLeastTinyWeight<T>);
        out[i] = static_cast<T>(own);
    }
    return is_right ? given == nullptr ? 1 : sum : kNaN<double>;
}

// Of one problem: its marginals, its kernel matrix and the scalings of that.
template <class T, int kSide>
struct Tiny {
    T a[kSide], b[kSide], kernel[kSide][kSide], least[kSide], u[kSide], v[kSide];

    // The kernel matrix, of which every row has a 1; false where a row has no finite cost, or a cost is wrong.
    __device__ bool prepare(const T* costs, int pitch, int rows, int columns, double epsilon) {
        const T over = static_cast<T>(1 / epsilon);
        bool is_right = over < kInfinity<T> && over > 0;
#pragma unroll
        for (int i = 0; i < kSide; ++i) {
            least[i] = kInfinity<T>;
#pragma unroll
            for (int j = 0; j < kSide; ++j) {
                const T cost = i < rows && j < columns ? costs[i * pitch + j] : kInfinity<T>;
                is_right = is_right && cost > -kInfinity<T>;
                kernel[i][j] = cost;
                if (b[j] > 0) least[i] = lesser(least[i], cost);
            }
            is_right = is_right && (least[i] < kInfinity<T> || !(a[i] > 0));
#pragma unroll
            for (int j = 0; j < kSide; ++j)
                kernel[i][j] = a[i] > 0 && b[j] > 0 ? exponential((least[i] - kernel[i][j]) * over) : T(0);
        }
#pragma unroll
        for (int j = 0; j < kSide; ++j) v[j] = b[j];
        return is_right;
    }

    // The rows' scalings that belong to the columns'.
    __device__ void scale_rows() {
#pragma unroll
        for (int i = 0; i < kSide; ++i) {
            T sum = 0;
#pragma unroll
            for (int j = 0; j < kSide; ++j) sum = fused(kernel[i][j], v[j], sum);
            u[i] = a[i] > 0 ? a[i] / sum : T(0);
        }
    }
    // The sums of the columns, and how far they are off.
    __device__ T sum_columns(T (&sums)[kSide]) const {
        T error = 0;
#pragma unroll
        for (int j = 0; j < kSide; ++j) {
            sums[j] = 0;
#pragma unroll
            for (int i = 0; i < kSide; ++i) sums[j] = fused(kernel[i][j], u[i], sums[j]);
            error += absolute(fused(v[j], sums[j], -b[j]));
        }
        return error;
    }

    // Iterates; how often, or 0 where that did not do.
    __device__ std::int64_t iterate(double tolerance, std::int64_t most) {
        const bool is_plain = tolerance == 0;
        const std::int64_t all = is_plain || most < kMostTinyIterations ? most : kMostTinyIterations;
        const T aim = static_cast<T>(kTinyAim * tolerance);
        for (std::int64_t done = 1;; ++done) {
            T sums[kSide];
            scale_rows();
            if (is_plain && done == all) return done;
            if (sum_columns(sums) <= aim && !is_plain) return done;
            if (done == all) return 0;
#pragma unroll
            for (int j = 0; j < kSide; ++j) v[j] = b[j] > 0 ? b[j] / sums[j] : T(0);
        }
    }
};

// Solves one problem, and tells whether that is proved: potentials as they are returned, and what the plan of exactly
// these says.
template <class T, int kSide>
__device__ bool solve_one_tiny(const TransportCall& call, std::int64_t p, const T* costs, int pitch, int rows,
                               int columns, T (&f)[kSide], T (&g)[kSide]) {
    Tiny<T, kSide> of;
    const double epsilon = call.epsilons != nullptr ? call.epsilons[p] : call.epsilon;
    const double row_mass = take_tiny_weights(vector_of<T>(call.row_weights, p), rows, of.a);
    const double column_mass = take_tiny_weights(vector_of<T>(call.column_weights, p), columns, of.b);
    const double most_apart = kMostApart<T> * greater(row_mass, column_mass);
    if (!(fabs(row_mass - column_mass) <= most_apart) || !of.prepare(costs, pitch, rows, columns, epsilon))
        return false;
    const std::int64_t iterations = of.iterate(call.tolerance, call.most_iterations);
    if (iterations == 0) return false;
    double shift = 0;
#pragma unroll
    for (int j = 0; j < kSide; ++j)
        if (of.b[j] > 0) shift += static_cast<double>(of.b[j]) * static_cast<double>(logarithm(of.v[j]));
    const double unit = log(row_mass) + shift;
#pragma unroll
    for (int i = 0; i < kSide; ++i)
        f[i] = of.a[i] > 0 ? static_cast<T>(epsilon * (static_cast<double>(logarithm(of.u[i])) + unit) +
                                            static_cast<double>(of.least[i]))
                           : -kInfinity<T>;
#pragma unroll
    for (int j = 0; j < kSide; ++j)
        g[j] =
            of.b[j] > 0 ? static_cast<T>(epsilon * (static_cast<double>(logarithm(of.v[j])) - shift)) : -kInfinity<T>;
    double cost = 0, column_sums[kSide] = {};
    Weighed weighed;
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
        double row_sum = 0;
#pragma unroll
        for (int j = 0; j < kSide; ++j) {
            if (!(of.a[i] > 0 && of.b[j] > 0)) continue;
            const auto own = static_cast<double>(costs[i * pitch + j]);
            const double exponent = (static_cast<double>(f[i]) - own + static_cast<double>(g[j])) / epsilon;
            const auto plan = static_cast<double>(exponential(static_cast<T>(exponent)));
            row_sum += plan;
            column_sums[j] += plan;
            if (plan > 0) cost = fma(plan, own, cost);
        }
        weighed.add(static_cast<double>(of.a[i]) * row_mass, row_sum, static_cast<double>(f[i]), epsilon,
                    kInfinity<double>);
    }
    const double mass = weighed.mass;
#pragma unroll
    for (int j = 0; j < kSide; ++j)
        weighed.add(static_cast<double>(of.b[j]) * column_mass, column_sums[j], static_cast<double>(g[j]), epsilon,
                    kInfinity<double>);
    const double error = weighed.error / ((row_mass + column_mass) / 2);
    const double value = weighed.value - epsilon * mass + epsilon * row_mass * column_mass;
    if (!(error <= (call.tolerance > 0 ? call.tolerance : kMostTinyError)) || !(fabs(value) < kInfinity<double>) ||
        !(fabs(cost) < kInfinity<double>))
        return false;
    call.cost[p] = cost;
    call.value[p] = value;
    call.error[p] = error;
    call.iterations[p] = iterations;
    call.status[p] = static_cast<std::int32_t>(Status::ok);
    return true;
}

// Potentials of one side of a block's problems; 0 past their lengths.
template <class T, int kSide>
__device__ void write_tiny(T* out, const std::int64_t* out_at, const std::int64_t* lengths, std::int64_t first,
                           int problems, std::int64_t most, const T (&mine)[kSide]) {
    constexpr int kPitch = kSide | 1;
    T* const shared = shared_memory<T>();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kSide; ++i)
        shared[threadIdx.x * static_cast<unsigned>(kPitch) + static_cast<unsigned>(i)] = mine[i];
    __syncthreads();
    each_entry(problems, most, [&](int at, std::int64_t entry) {
        const std::int64_t p = first + at;
        const bool is_inside = entry < kSide && (lengths == nullptr || entry < lengths[p]);
        if (out_at == nullptr) out[p * most + entry] = is_inside ? shared[at * kPitch + entry] : T(0);
        else if (is_inside) out[out_at[p] + entry] = shared[at * kPitch + entry];
    });
}

// Of the problems of a block, a thread each, those that are tiny by their own shape.
template <class T, int kSide>
__device__ void solve_tiny(const TransportCall& call, std::int64_t first, const TinyRest& rest) {
    // An odd number of places for each problem, so that threads meet different banks.
    constexpr int kPlaces = kSide * kSide + 1;
    T* const shared = shared_memory<T>();
    const auto problems = static_cast<int>(call.count - first < kTinyThreads ? call.count - first : kTinyThreads);
    const int rows = static_cast<int>(call.rows < kSide ? call.rows : kSide);
    const int columns = static_cast<int>(call.columns < kSide ? call.columns : kSide);
    const auto rows_of = [&](std::int64_t p) { return call.row_lengths != nullptr ? call.row_lengths[p] : call.rows; };
    const auto columns_of = [&](std::int64_t p) {
        return call.column_lengths != nullptr ? call.column_lengths[p] : call.columns;
    };
    each_entry(problems, rows * columns, [&](int at, std::int64_t entry) {
        const std::int64_t p = first + at, i = entry / columns, j = entry % columns;
        if (i >= rows_of(p) || j >= columns_of(p)) return;
        shared[at * kPlaces + entry] =
            call.items != nullptr
                ? static_cast<const T*>(call.items[p])[i * columns_of(p) + j]
                : static_cast<const T*>(call.data)[p * call.item_stride + i * call.row_stride + j * call.column_stride];
    });
    __syncthreads();
    const auto me = static_cast<int>(threadIdx.x);
    const std::int64_t p = first + me;
    T f[kSide] = {}, g[kSide] = {};
    if (me < problems) {
        const std::int64_t own_rows = rows_of(p), own_columns = columns_of(p);
        const bool is_tiny = own_rows >= 1 && own_rows <= rows && own_columns >= 1 && own_columns <= columns;
        const bool is_solved =
            is_tiny && solve_one_tiny<T, kSide>(call, p, shared + me * kPlaces, columns, static_cast<int>(own_rows),
                                                static_cast<int>(own_columns), f, g);
        if (!is_solved) rest.problems[atomicAdd(rest.count, 1u)] = static_cast<unsigned>(p);
    }
    // What is left is written again by the general way.
    write_tiny(static_cast<T*>(call.f), call.row_at, call.row_lengths, first, problems, call.rows, f);
    write_tiny(static_cast<T*>(call.g), call.column_at, call.column_lengths, first, problems, call.columns, g);
}

}  // namespace coalign::cuda
