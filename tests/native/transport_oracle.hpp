// Random weights, and what is true of a plan of transport, by plain sums in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

namespace coalign::testing {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline double log_sum_exp(const std::vector<double>& values) {
    const double most = *std::max_element(values.begin(), values.end());
    if (most == -kInfinity) return most;
    double sum = 0;
    for (const double value : values) sum += std::exp(value - most);
    return most + std::log(sum);
}

// Weights that sum to 1, of which a share is zero, but never the first.
template <class T>
std::vector<T> random_weights(std::size_t count, double zeros, std::mt19937& random) {
    std::uniform_real_distribution<double> unit(0, 1);
    std::vector<T> weights(count);
    for (T& weight : weights) weight = unit(random) < zeros ? T(0) : T(0.1 + unit(random));
    weights[0] = T(1);
    T sum = 0;
    for (const T weight : weights) sum += weight;
    for (T& weight : weights) weight /= sum;
    return weights;
}

// Of the plan at potentials f and g: by how much its sums miss the weights a and b, and what it costs.
struct PlanFacts {
    double error = 0, cost = 0;
};

template <class T, class C>
PlanFacts facts_of_plan(const std::vector<C>& cost, const std::vector<T>& a, const std::vector<T>& b,
                        const std::vector<T>& f, const std::vector<T>& g, double epsilon) {
    const std::size_t n = a.size(), m = b.size();
    std::vector<double> rows(n), columns(m);
    PlanFacts out;
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < m; ++j) {
            const auto own = static_cast<double>(cost[i * m + j]);
            const double plan = std::exp((double{f[i]} - own + double{g[j]}) / epsilon);
            rows[i] += plan;
            columns[j] += plan;
            out.cost += plan > 0 ? plan * own : 0;
        }
    for (std::size_t i = 0; i < n; ++i) out.error += std::abs(rows[i] - double{a[i]});
    for (std::size_t j = 0; j < m; ++j) out.error += std::abs(columns[j] - double{b[j]});
    return out;
}

}  // namespace coalign::testing
