// The kernels of transport, on the emulated GPU, against plain loops over logarithms in float64.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/status.hpp"
#include "cuda_runtime.h"
#include "noise.hpp"
#include "transport.hpp"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

template <class T>
struct Problem {
    std::int64_t rows, columns;
    double epsilon;
    std::vector<T> costs, a, b;
    double cost(std::int64_t i, std::int64_t j) const {
        return static_cast<double>(costs[static_cast<std::size_t>(i * columns + j)]);
    }
};

template <class T>
Problem<T> draw(std::mt19937_64& random, std::int64_t rows, std::int64_t columns) {
    std::uniform_real_distribution<double> uniform(0.05, 1);
    Problem<T> out{rows, columns, 0.05 + uniform(random) / 4, {}, {}, {}};
    for (std::int64_t at = 0; at < rows * columns; ++at) out.costs.push_back(static_cast<T>(uniform(random)));
    const auto weights = [&](std::int64_t count) {
        std::vector<double> drawn;
        double sum = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            drawn.push_back(i % 5 == 3 ? 0 : uniform(random));
            sum += drawn.back();
        }
        std::vector<T> scaled;
        for (const double weight : drawn) scaled.push_back(static_cast<T>(weight / sum));
        return scaled;
    };
    out.a = weights(rows);
    out.b = weights(columns);
    return out;
}

// The potential of one side: epsilon * (log weight - power * log sum exp((other - cost) / epsilon)).
template <class Cost>
double potential(double weight, std::int64_t count, double epsilon, double power, Cost&& less_cost) {
    if (!(weight > 0)) return -kInfinite;
    double most = -kInfinite, sum = 0;
    for (std::int64_t k = 0; k < count; ++k) most = std::max(most, less_cost(k));
    for (std::int64_t k = 0; k < count; ++k) sum += std::exp((less_cost(k) - most) / epsilon);
    return epsilon * (std::log(weight) - power * (most / epsilon + std::log(sum)));
}

struct Potentials {
    std::vector<double> f, g;
};

// So many iterations, each of which gives f from g, and between them g from f.
template <class T>
Potentials by_loops(const Problem<T>& problem, std::int64_t iterations, double rho) {
    const double epsilon = problem.epsilon, power = rho < kInfinite ? rho / (rho + epsilon) : 1;
    Potentials out;
    out.f.resize(problem.a.size());
    for (const T weight : problem.b) out.g.push_back(epsilon * std::log(static_cast<double>(weight)));
    for (std::int64_t done = 0; done < iterations; ++done) {
        if (done > 0)
            for (std::int64_t j = 0; j < problem.columns; ++j)
                out.g[static_cast<std::size_t>(j)] =
                    potential(static_cast<double>(problem.b[static_cast<std::size_t>(j)]), problem.rows, epsilon, power,
                              [&](std::int64_t i) { return out.f[static_cast<std::size_t>(i)] - problem.cost(i, j); });
        for (std::int64_t i = 0; i < problem.rows; ++i)
            out.f[static_cast<std::size_t>(i)] =
                potential(static_cast<double>(problem.a[static_cast<std::size_t>(i)]), problem.columns, epsilon, power,
                          [&](std::int64_t j) { return out.g[static_cast<std::size_t>(j)] - problem.cost(i, j); });
    }
    if (rho < kInfinite) return out;
    double shift = 0, mass = 0;
    for (std::size_t j = 0; j < out.g.size(); ++j) {
        const auto weight = static_cast<double>(problem.b[j]);
        if (weight > 0) shift += weight * out.g[j];
        mass += weight;
    }
    for (double& f : out.f) f += shift / mass;
    for (double& g : out.g) g -= shift / mass;
    return out;
}

bool is_near(double found, double wanted, double tolerance) {
    return found == wanted || std::abs(found - wanted) <= tolerance * (1 + std::abs(wanted));
}

// Problems side by side in one array, with lengths on the device alone or on the host as well.
template <class T>
void test_batch(std::mt19937_64& random, const std::vector<Problem<T>>& problems, bool on_host, double rho,
                std::int64_t iterations, const TransportLimits& limits, const std::string& what) {
    const auto count = static_cast<std::int64_t>(problems.size());
    TransportCall call;
    call.count = count;
    std::vector<std::int64_t> rows, columns;
    std::vector<double> epsilons;
    for (const Problem<T>& problem : problems) {
        rows.push_back(problem.rows);
        columns.push_back(problem.columns);
        epsilons.push_back(problem.epsilon);
    }
    call.rows = *std::max_element(rows.begin(), rows.end());
    call.columns = *std::max_element(columns.begin(), columns.end());
    call.row_stride = call.columns;
    call.item_stride = call.rows * call.columns;
    const Noise<T> costs(count * call.item_stride), a(count * call.rows), b(count * call.columns);
    for (std::int64_t p = 0; p < count; ++p) {
        const Problem<T>& problem = problems[static_cast<std::size_t>(p)];
        for (std::int64_t i = 0; i < problem.rows; ++i)
            for (std::int64_t j = 0; j < problem.columns; ++j)
                costs.get()[p * call.item_stride + i * call.row_stride + j] =
                    problem.costs[static_cast<std::size_t>(i * problem.columns + j)];
        std::copy(problem.a.begin(), problem.a.end(), a.get() + p * call.rows);
        std::copy(problem.b.begin(), problem.b.end(), b.get() + p * call.columns);
    }
    call.data = costs.get();
    call.row_lengths = rows.data();
    call.column_lengths = columns.data();
    if (on_host) {
        call.host_rows = rows.data();
        call.host_columns = columns.data();
    }
    call.row_weights = {a.get(), nullptr, call.rows};
    call.column_weights = {b.get(), nullptr, call.columns};
    call.epsilons = epsilons.data();
    call.row_penalty = call.column_penalty = rho;
    call.tolerance = 0;
    call.most_iterations = iterations;
    const Noise<T> f(count * call.rows), g(count * call.columns);
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
    const TransportPlan plan = plan_transport<T>(call, limits);
    check(limits.workspace_bytes > 0 || plan.problems_per_launch == 1, what + "one problem at a time");
    const Noise<unsigned char> memory(plan.workspace_bytes);
    emulation::machine.seed = random();
    run_transport<T>(call, limits, plan, memory.get(), nullptr);
    emulation::default_stream().synchronize();

    const double tolerance = sizeof(T) == sizeof(float) ? 1e-5 : 1e-12;
    for (std::int64_t p = 0; p < count; ++p) {
        const Problem<T>& problem = problems[static_cast<std::size_t>(p)];
        const std::string which = what + "problem " + std::to_string(p) + ": ";
        const Potentials wanted = by_loops(problem, iterations, rho);
        check(status[p] == static_cast<std::int32_t>(Status::ok), which + "status");
        check(done[p] == iterations, which + "iterations");
        double plan_cost = 0, mass = 0;
        for (std::int64_t i = 0; i < call.rows; ++i) {
            const double own = i < problem.rows ? wanted.f[static_cast<std::size_t>(i)] : 0;
            check(is_near(static_cast<double>(f[p * call.rows + i]), own, tolerance), which + "f");
        }
        for (std::int64_t j = 0; j < call.columns; ++j) {
            const double own = j < problem.columns ? wanted.g[static_cast<std::size_t>(j)] : 0;
            check(is_near(static_cast<double>(g[p * call.columns + j]), own, tolerance), which + "g");
        }
        for (std::int64_t i = 0; i < problem.rows; ++i)
            for (std::int64_t j = 0; j < problem.columns; ++j) {
                const double exponent = static_cast<double>(f[p * call.rows + i]) - problem.cost(i, j) +
                                        static_cast<double>(g[p * call.columns + j]);
                const double cell = std::exp(exponent / problem.epsilon);
                plan_cost += cell * problem.cost(i, j);
                mass += cell;
            }
        check(is_near(cost[p], plan_cost, tolerance), which + "the cost of the plan");
        check(mass > 0 && error[p] >= 0 && error[p] < kInfinite, which + "the error");
    }
}

template <class T>
void test_all() {
    std::mt19937_64 random(11);
    std::uniform_int_distribution<std::int64_t> sides(1, 24), counts(1, 3), iterations(1, 5);
    for (int round = 0; round < 8; ++round) {
        std::vector<Problem<T>> problems;
        const std::int64_t count = counts(random);
        for (std::int64_t p = 0; p < count; ++p) problems.push_back(draw<T>(random, sides(random), sides(random)));
        const TransportLimits limits{round % 4 == 0 ? 0 : std::int64_t{1} << 30, round % 2 == 0 ? 1 << 16 : 100};
        test_batch(random, problems, round % 3 == 0, round % 3 == 1 ? 0.7 : kInfinite, iterations(random), limits,
                   "round " + std::to_string(round) + ", ");
    }
    // Rows that take one to eight packs of a lane, or of a thread, and more.
    for (const std::int64_t columns : {300, 600, 1030, 2050, 4100, 8200})
        test_batch<T>(random, {draw<T>(random, 3, columns)}, true, kInfinite, 4,
                      {std::int64_t{1} << 30, columns % 100 == 0 ? 1 << 16 : 1024},
                      std::to_string(columns) + " columns, ");
}

}  // namespace

int main() {
    test_all<float>();
    test_all<double>();
    return report();
}
