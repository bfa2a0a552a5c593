// One pair of point clouds in the workspace of a call: moved to the common centre, scaled by a power of 2, and in
// tiles. See csrc/transport/point_pair.hpp.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "points.hpp"
#include "transport_problem.cuh"
#include "transport_result.cuh"

namespace coalign::cuda {

using transport::PointMetric;

// Which cloud: x lies beside the rows, y beside the columns.
inline constexpr int kX = 0, kY = 1;
// Points of a tile, which lie beside one another, dimension by dimension. Those past the last are 0.
inline constexpr int kTilePoints = 128;
// Blocks that share one side of a problem, if it has so many tiles: some eight rounds of a large GPU.
inline constexpr std::int64_t kMostShares = 2048;

__host__ __device__ inline std::int64_t count_tiles(std::int64_t points) {
    return (points + kTilePoints - 1) / kTilePoints;
}

// Into how many parts the points are cut that so many tiles are held against.
__host__ __device__ inline std::int64_t count_parts(std::int64_t tiles, std::int64_t other_tiles) {
    const std::int64_t wanted = kMostShares / tiles;
    return wanted < 1 ? 1 : wanted < other_tiles ? wanted : other_tiles;
}

// What is found of both clouds before they are moved.
struct CloudScale {
    double unit;                 // a cost of 1 of the scaled points
    double scale;                // what coordinates are multiplied with
    unsigned long long most[2];  // the greatest square of a norm in each cloud, by its bits
    int is_wrong;
};

template <class T>
struct Points {
    const T* given;
    std::int64_t count, point_stride, dimension_stride;
    double* wide;                 // [tile][dimension][point]
    float* narrow;                // the same, rounded; not where the clouds are of float64
    double *norms, *log_weights;  // squares of norms

    __device__ double at(std::int64_t i, std::int64_t k) const {
        return static_cast<double>(given[i * point_stride + k * dimension_stride]);
    }
    template <class K>
    __device__ const K* tiles() const {
        if constexpr (sizeof(K) == sizeof(float)) return narrow;
        else return wide;
    }
};

template <class T>
struct PointProblem : TransportProblem<T> {
    Points<T> cloud[2];
    std::int64_t dimension;
    PointMetric metric;
    double* centre;
    CloudScale* scale;
    LogSum* sums;  // of each part of the other side, for all points of a side; for plans as well

    __device__ bool has_distances() const {
        return metric == PointMetric::sqeuclidean || metric == PointMetric::euclidean;
    }
    __device__ double scaled(int side, std::int64_t i, std::int64_t k) const {
        return cloud[side].wide[(i / kTilePoints * dimension + k) * kTilePoints + i % kTilePoints];
    }
    __device__ double cost_at(std::int64_t i, std::int64_t j) const {
        double sum = 0;
        for (std::int64_t k = 0; k < dimension; ++k) {
            const double a = scaled(kX, i, k), b = scaled(kY, j, k);
            sum = has_distances() ? fma(a - b, a - b, sum) : fma(a, b, sum);
        }
        if (metric == PointMetric::cosine) return 1 - sum;
        if (metric == PointMetric::dot) return -sum * scale->unit;
        return (metric == PointMetric::euclidean ? sqrt(sum) : sum) * scale->unit;
    }
    // No cost divided by epsilon is larger.
    __device__ double most_exponent(double epsilon) const {
        const double u = sqrt(norm(kX)), v = sqrt(norm(kY));
        double most = u + v;
        if (metric == PointMetric::sqeuclidean) most *= most;
        if (metric == PointMetric::cosine) most = 2;
        if (metric == PointMetric::dot) most = u * v;
        return most * scale->unit / epsilon;
    }
    __device__ double norm(int side) const { return __longlong_as_double(static_cast<long long>(scale->most[side])); }
};

// What is summed over dimensions: products, squares of differences, or these and then the root.
enum class Form : int { products, squares, roots };

// -C / epsilon is slope * what is summed - norm_slope * (the squares of both norms) - constant.
struct PointExponents {
    Form form;
    double slope, norm_slope, constant;
};

// As sums of K take it: products of distances only where their cancellation does not show.
template <class K, class T>
__device__ PointExponents exponents_of(const PointProblem<T>& of, double epsilon) {
    // A larger factor than this takes nothing to an infinite exponent.
    const double over = lesser(of.scale->unit / epsilon, 1e290);
    if (of.metric == PointMetric::euclidean) return {Form::roots, -over, 0, 0};
    if (of.metric == PointMetric::cosine) return {Form::products, over, 0, over};
    if (of.metric == PointMetric::dot) return {Form::products, over, 0, 0};
    constexpr double enough = sizeof(K) == sizeof(float) ? 1e-3 : 1e-9;
    const bool cancels = static_cast<double>(kEpsilon<K>) * (of.norm(kX) + of.norm(kY)) * over > enough;
    if (of.dimension <= 8 || cancels) return {Form::squares, -over, 0, 0};
    return {Form::products, 2 * over, over, 0};
}

// By all threads of a block: the common centre, the power of 2 that scales, and whether all coordinates are finite.
template <class T>
__device__ void measure_clouds(const PointProblem<T>& of) {
    double* const slots = shared_memory<double>();
    // Threads beside one another read dimensions of a point that are.
    std::int64_t width = 1;
    while (width < of.dimension && width < kTransportThreads) width *= 2;
    const std::int64_t lane = threadIdx.x % width, first = threadIdx.x / width, step = kTransportThreads / width;
    const double share = 1 / static_cast<double>(of.rows + of.columns);
    double wrong = 0, most = 0;
    for (std::int64_t begin = 0; begin < of.dimension; begin += width) {
        const std::int64_t k = begin + lane;
        double sum = 0;
#pragma unroll
        for (int side = 0; side < 2; ++side)
            for (std::int64_t i = first; k < of.dimension && i < of.cloud[side].count; i += step) {
                const double value = of.cloud[side].at(i, k);
                if (!(fabs(value) < kInfinity<double>)) wrong = 1;
                sum += value * share;
            }
        __syncthreads();
        slots[threadIdx.x] = sum;
        __syncthreads();
        if (first != 0 || k >= of.dimension) continue;
        for (std::int64_t other = 1; other < step; ++other) sum += slots[other * width + lane];
        of.centre[k] = of.has_distances() ? sum : 0;
    }
    __syncthreads();
    for (std::int64_t k = lane; k < of.dimension; k += width)
#pragma unroll
        for (int side = 0; side < 2; ++side)
            for (std::int64_t i = first; i < of.cloud[side].count; i += step)
                most = greater(most, fabs(of.cloud[side].at(i, k) - of.centre[k]));
    most = block_most(most);
    wrong = block_most(wrong);
    if (threadIdx.x != 0) return;
    const int exponent = of.metric != PointMetric::cosine && most > 0 && most < kInfinity<double> ? ilogb(most) + 1 : 0;
    of.scale->unit = ldexp(1.0, of.metric == PointMetric::euclidean ? exponent : 2 * exponent);
    of.scale->scale = ldexp(1.0, -exponent);
    of.scale->most[0] = of.scale->most[1] = 0;
    of.scale->is_wrong = wrong > 0 ? 1 : 0;
}

// What a point is multiplied with to have the norm 1; 0 where it has none.
template <class T>
__device__ double over_norm(const Points<T>& cloud, std::int64_t i, std::int64_t dimension) {
    double most = 0, sum = 0;
    for (std::int64_t k = 0; k < dimension; ++k) most = greater(most, fabs(cloud.at(i, k)));
    if (!(most > 0)) return 0;
    for (std::int64_t k = 0; k < dimension; ++k) {
        const double value = cloud.at(i, k) / most;
        sum = fma(value, value, sum);
    }
    const double over = 1 / most / sqrt(sum);
    return over < kInfinity<double> ? over : 0;
}

// A point of a tile, by a thread.
template <class T, int kSide>
__device__ void place_point(const PointProblem<T>& of, std::int64_t tile, int at) {
    const Points<T>& cloud = of.cloud[kSide];
    const std::int64_t i = tile * kTilePoints + at;
    const bool exists = i < cloud.count;
    double factor = of.scale->scale, sum = 0;
    if (exists && of.metric == PointMetric::cosine) factor = over_norm(cloud, i, of.dimension);
    for (std::int64_t k = 0; k < of.dimension; ++k) {
        const double value = exists ? (cloud.at(i, k) - of.centre[k]) * factor : 0;
        const std::int64_t place = (tile * of.dimension + k) * kTilePoints + at;
        cloud.wide[place] = value;
        if constexpr (sizeof(T) == sizeof(float)) cloud.narrow[place] = static_cast<float>(value);
        sum = fma(value, value, sum);
    }
    cloud.norms[i] = sum;
    atomicMax(&of.scale->most[kSide], static_cast<unsigned long long>(__double_as_longlong(sum)));
}

// Whether iterations are in float64: all of clouds that are, and of float32 where that cannot hold the potentials,
// which may be as large as the costs.
template <class T>
__device__ void choose_precision(const PointProblem<T>& of) {
    TransportState& state = *of.state;
    if (state.sweep != Sweep::quick && state.sweep != Sweep::careful) return;
    const bool is_exact =
        sizeof(T) == sizeof(double) || state.keeps_careful || !(of.most_exponent(state.epsilon) < 2e4);
    state.sweep = is_exact ? Sweep::careful : Sweep::quick;
}

// By all threads of a block: weights, and what iterations start from.
template <class T>
__device__ void prepare_points(const PointsCall& call, const PointProblem<T>& of, std::int64_t p) {
    prepare_problem(call, of, p);
    __syncthreads();
    for (std::int64_t i = threadIdx.x; i < of.rows; i += kTransportThreads)
        of.cloud[kX].log_weights[i] = log(of.row_weight[i]);
    for (std::int64_t j = threadIdx.x; j < of.columns; j += kTransportThreads)
        of.cloud[kY].log_weights[j] = log(of.column_weight[j]);
    if (threadIdx.x != 0) return;
    if (of.scale->is_wrong != 0) {
        of.state->sweep = Sweep::failed;
        of.state->status = static_cast<int>(Status::nan);
    }
    choose_precision(of);
}

}  // namespace coalign::cuda
