// Plain iterations of transport over logarithms in float64. A problem has rows and columns, weights a and b, epsilon,
// and a cost(i, j) of any pair.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace coalign::testing {

inline constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Weights of mass 1, every fifth of them 0.
template <class T>
std::vector<T> draw_weights(std::mt19937_64& random, std::int64_t count) {
    std::uniform_real_distribution<double> uniform(0.05, 1);
    std::vector<double> drawn;
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        drawn.push_back(i % 5 == 3 ? 0 : uniform(random));
        sum += drawn.back();
    }
    std::vector<T> scaled;
    for (const double weight : drawn) scaled.push_back(static_cast<T>(weight / sum));
    return scaled;
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
template <class Problem>
Potentials by_loops(const Problem& problem, std::int64_t iterations, double rho) {
    const double epsilon = problem.epsilon, power = rho < kInfinite ? rho / (rho + epsilon) : 1;
    Potentials out;
    out.f.resize(problem.a.size());
    for (const auto weight : problem.b) out.g.push_back(epsilon * std::log(static_cast<double>(weight)));
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

inline bool is_near(double found, double wanted, double tolerance) {
    return found == wanted || std::abs(found - wanted) <= tolerance * (1 + std::abs(wanted));
}

}  // namespace coalign::testing
