// The kernels of transport of point clouds, on the emulated GPU, against plain loops over logarithms in float64.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/status.hpp"
#include "cuda_runtime.h"
#include "noise.hpp"
#include "points.hpp"
#include "transport_loops.hpp"

using namespace coalign;
using namespace coalign::testing;
using coalign::cuda::plan_points;
using coalign::cuda::PointsCall;
using coalign::cuda::PointsPlan;
using coalign::cuda::run_points;
using coalign::transport::PointMetric;

namespace {

constexpr std::int64_t kRoomy = std::int64_t{1} << 30;
constexpr PointMetric kMetrics[] = {PointMetric::sqeuclidean, PointMetric::euclidean, PointMetric::cosine,
                                    PointMetric::dot};

// Clouds of the dtype, and their costs in float64.
template <class T>
struct Problem {
    std::int64_t rows, columns, dim;
    PointMetric metric;
    double epsilon = 1;
    std::vector<T> x, y, a, b;

    double cost(std::int64_t i, std::int64_t j) const {
        double squares = 0, products = 0, p = 0, q = 0;
        for (std::int64_t k = 0; k < dim; ++k) {
            const double u{x[static_cast<std::size_t>(i * dim + k)]}, v{y[static_cast<std::size_t>(j * dim + k)]};
            squares += (u - v) * (u - v);
            products += u * v;
            p += u * u;
            q += v * v;
        }
        if (metric == PointMetric::sqeuclidean) return squares;
        if (metric == PointMetric::euclidean) return std::sqrt(squares);
        if (metric == PointMetric::cosine) return p * q > 0 ? 1 - products / std::sqrt(p * q) : 1;
        return -products;
    }
};

// With epsilon a share of the greatest cost.
template <class T>
Problem<T> draw(std::mt19937_64& random, std::int64_t rows, std::int64_t columns, std::int64_t dim, PointMetric metric,
                double share) {
    std::normal_distribution<double> normal(0.5, 1);
    Problem<T> out{rows, columns, dim, metric, 1, {}, {}, {}, {}};
    for (std::int64_t at = 0; at < rows * dim; ++at) out.x.push_back(static_cast<T>(normal(random)));
    for (std::int64_t at = 0; at < columns * dim; ++at) out.y.push_back(static_cast<T>(normal(random)));
    out.a = draw_weights<T>(random, rows);
    out.b = draw_weights<T>(random, columns);
    // Cosines of points in one direction are 1 but for their rounding, which is relative to 1.
    double most = metric == PointMetric::cosine ? 1 : 1e-3;
    for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) most = std::max(most, std::abs(out.cost(i, j)));
    out.epsilon = share * most;
    return out;
}

// Points of all problems in one array, with noise past the lengths and between the coordinates.
template <class T>
struct Clouds {
    Noise<T> values;
    Ragged view;

    Clouds(const std::vector<Problem<T>>& problems, const std::vector<std::int64_t>& lengths,
           std::vector<T> Problem<T>::* points, std::int64_t gap)
        : values(static_cast<std::int64_t>(problems.size()) * most(lengths) * problems[0].dim * gap) {
        const std::int64_t dim = problems[0].dim;
        view.data = values.get();
        view.count = static_cast<std::int64_t>(problems.size());
        view.rows = most(lengths);
        view.columns = dim;
        view.column_stride = gap;
        view.row_stride = dim * gap;
        view.item_stride = view.rows * view.row_stride;
        view.row_lengths = lengths.data();
        for (std::size_t p = 0; p < problems.size(); ++p)
            for (std::size_t e = 0; e < (problems[p].*points).size(); ++e)
                values.get()[static_cast<std::int64_t>(p) * view.item_stride + static_cast<std::int64_t>(e) * gap] =
                    (problems[p].*points)[e];
    }
    static std::int64_t most(const std::vector<std::int64_t>& lengths) {
        return *std::max_element(lengths.begin(), lengths.end());
    }
};

template <class T>
struct Outcome {
    std::vector<T> f, g;
    std::vector<double> cost, value, error;
    std::vector<std::int64_t> iterations;
    std::vector<std::int32_t> status;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Weights and epsilons of problems, with exactly so many plain iterations.
template <class T>
Outcome<T> run(const std::vector<Problem<T>>& problems, double rho, std::int64_t iterations, std::int64_t workspace,
               std::uint64_t seed, std::int64_t gap = 1) {
    std::vector<std::int64_t> rows, columns;
    std::vector<double> epsilons;
    for (const Problem<T>& problem : problems) {
        rows.push_back(problem.rows);
        columns.push_back(problem.columns);
        epsilons.push_back(problem.epsilon);
    }
    const Clouds<T> x(problems, rows, &Problem<T>::x, gap), y(problems, columns, &Problem<T>::y, 1);
    PointsCall call;
    call.x = x.view;
    call.y = y.view;
    call.metric = problems[0].metric;
    const std::int64_t count = call.count = x.view.count;
    call.rows = x.view.rows;
    call.columns = y.view.rows;
    call.row_lengths = rows.data();
    call.column_lengths = columns.data();
    const Noise<T> a(count * call.rows), b(count * call.columns), f(count * call.rows), g(count * call.columns);
    for (std::int64_t p = 0; p < count; ++p) {
        const Problem<T>& problem = problems[static_cast<std::size_t>(p)];
        std::copy(problem.a.begin(), problem.a.end(), a.get() + p * call.rows);
        std::copy(problem.b.begin(), problem.b.end(), b.get() + p * call.columns);
    }
    call.row_weights = {a.get(), nullptr, call.rows};
    call.column_weights = {b.get(), nullptr, call.columns};
    call.epsilons = epsilons.data();
    call.row_penalty = call.column_penalty = rho;
    call.tolerance = 0;
    call.most_iterations = iterations;
    const Noise<double> cost(count), value(count), error(count);
    const Noise<std::int64_t> done(count);
    const Noise<std::int32_t> status(count);
    call.f = f.get();
    call.g = g.get();
    call.cost = cost.get();
    call.value = value.get();
    call.error = error.get();
    call.iterations = done.get();
    call.status = status.get();
    const PointsPlan plan = plan_points<T>(call, workspace);
    check(workspace > 0 || plan.problems_per_launch == 1, "one problem at a time");
    const Noise<unsigned char> memory(plan.workspace_bytes);
    emulation::machine.seed = seed;
    CUstream_st stream;
    run_points<T>(call, plan, memory.get(), &stream);
    check(stream.pending() > 0, "nothing runs before its stream does");
    stream.synchronize();
    const auto taken = [](const auto& from, std::int64_t size) { return std::vector(from.get(), from.get() + size); };
    return {taken(f, count * call.rows), taken(g, count * call.columns),
            taken(cost, count),          taken(value, count),
            taken(error, count),         taken(done, count),
            taken(status, count)};
}

// Sums of a plan at potentials that were returned.
struct PlanSums {
    double cost = 0, error = 0;
};

template <class T>
PlanSums sums_of(const Problem<T>& problem, const T* f, const T* g) {
    std::vector<double> columns(problem.b.size());
    PlanSums out;
    double mass_a = 0, mass_b = 0;
    for (std::int64_t i = 0; i < problem.rows; ++i) {
        double row = 0;
        for (std::int64_t j = 0; j < problem.columns; ++j) {
            const double own = problem.cost(i, j);
            const double cell = std::exp((double{f[i]} - own + double{g[j]}) / problem.epsilon);
            row += cell;
            columns[static_cast<std::size_t>(j)] += cell;
            out.cost += cell * own;
        }
        out.error += std::abs(row - double{problem.a[static_cast<std::size_t>(i)]});
        mass_a += double{problem.a[static_cast<std::size_t>(i)]};
    }
    for (std::size_t j = 0; j < columns.size(); ++j) {
        out.error += std::abs(columns[j] - double{problem.b[j]});
        mass_b += double{problem.b[j]};
    }
    out.error /= (mass_a + mass_b) / 2;
    return out;
}

template <class T>
void test_batch(std::mt19937_64& random, const std::vector<Problem<T>>& problems, double rho, std::int64_t iterations,
                const std::string& name) {
    const std::string what = name + " float" + std::to_string(8 * sizeof(T)) + ", ";
    const Outcome<T> got = run(problems, rho, iterations, kRoomy, random());
    const Outcome<T> apart = run(problems, rho, iterations, 0, random(), 3);
    check(same_bits(got.f, apart.f) && same_bits(got.g, apart.g) && same_bits(got.value, apart.value),
          what + "however it is cut, and wherever it lies");
    const std::int64_t n = static_cast<std::int64_t>(got.f.size() / problems.size());
    const std::int64_t m = static_cast<std::int64_t>(got.g.size() / problems.size());
    for (std::size_t p = 0; p < problems.size(); ++p) {
        const Problem<T>& problem = problems[p];
        const std::string which = what + "problem " + std::to_string(p) + ": ";
        check(got.status[p] == static_cast<std::int32_t>(Status::ok), which + "status");
        check(got.iterations[p] == iterations, which + "iterations");
        const Potentials wanted = by_loops(problem, iterations, rho);
        const T *const f = got.f.data() + static_cast<std::int64_t>(p) * n, *const g = got.g.data() +
                                                                                       static_cast<std::int64_t>(p) * m;
        // In units of epsilon, in which float32 rounds costs of up to 20.
        const double tolerance = sizeof(T) == sizeof(float) ? 2e-5 : 1e-12;
        const auto near = [&](double found, double own) {
            return found == own || std::abs(found - own) <= tolerance * problem.epsilon;
        };
        for (std::int64_t i = 0; i < n; ++i) {
            const double own = i < problem.rows ? wanted.f[static_cast<std::size_t>(i)] : 0;
            check(near(double{f[i]}, own), which + "f");
        }
        for (std::int64_t j = 0; j < m; ++j) {
            const double own = j < problem.columns ? wanted.g[static_cast<std::size_t>(j)] : 0;
            check(near(double{g[j]}, own), which + "g");
        }
        const PlanSums sums = sums_of(problem, f, g);
        check(is_near(got.cost[p], sums.cost, 1e-6), which + "the cost of the plan");
        if (!(rho < kInfinite)) check(std::abs(got.error[p] - sums.error) <= 1e-7, which + "its error");
    }
}

template <class T>
void test_all() {
    std::mt19937_64 random(13);
    for (const PointMetric metric : kMetrics) {
        const std::string name = "metric " + std::to_string(static_cast<int>(metric));
        // Around slabs of 8 dimensions, and clouds around tiles of 128 points.
        for (const std::int64_t dim : {1, 8, 11})
            test_batch<T>(random, {draw<T>(random, 7, 12, dim, metric, 0.1), draw<T>(random, 1, 3, dim, metric, 0.3)},
                          kInfinite, 3, name);
        test_batch<T>(random, {draw<T>(random, 9, 5, 3, metric, 0.05)}, 0.7, 4, name + " unbalanced");
        if (few()) continue;
        test_batch<T>(random, {draw<T>(random, 129, 40, 2, metric, 0.2), draw<T>(random, 128, 257, 2, metric, 0.2)},
                      kInfinite, 2, name + " tiles");
    }
}

// What is wrong with one problem stays with it.
template <class T>
void test_refusals() {
    std::mt19937_64 random(14);
    std::vector<Problem<T>> problems;
    for (int p = 0; p < 4; ++p) problems.push_back(draw<T>(random, 6, 8, 2, PointMetric::sqeuclidean, 0.2));
    const Outcome<T> right = run(problems, kInfinite, 3, kRoomy, 1);
    problems[1].x[3] = std::numeric_limits<T>::quiet_NaN();
    problems[2].y[0] = std::numeric_limits<T>::infinity();
    problems[3].a[0] = -1;
    const Outcome<T> got = run(problems, kInfinite, 3, kRoomy, 2);
    const auto number = [](Status status) { return static_cast<std::int32_t>(status); };
    check(got.status[0] == number(Status::ok) && got.status[1] == number(Status::nan) &&
              got.status[2] == number(Status::nan) && got.status[3] == number(Status::invalid),
          "status of what cannot be solved");
    for (std::size_t p = 0; p < 4; ++p) {
        const bool is_right = p == 0;
        check(std::isnan(got.value[p]) != is_right && std::isnan(got.error[p]) != is_right, "value and error");
        for (std::size_t i = 0; i < 6; ++i) check(std::isnan(got.f[p * 6 + i]) != is_right, "potentials");
    }
    check(got.value[0] == right.value[0], "a neighbour changes nothing");
}

}  // namespace

int main() {
    test_all<float>();
    test_all<double>();
    test_refusals<float>();
    test_refusals<double>();
    return report();
}
