// Barycenters for every instruction set against the same iterations in log space.
//
// Histograms and costs have heap blocks of their own, of exactly their size: a read past the last is one past the
// block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "stopper.hpp"
#include "transport/barycenter.hpp"
#include "transport_oracle.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::transport;

namespace {

template <class T>
struct Problem {
    std::size_t k, n, m;
    std::vector<T> histograms, cost;
    std::vector<double> share;
};

template <class T>
Problem<T> make(std::size_t k, std::size_t n, std::size_t m, double zeros, std::mt19937& random) {
    std::uniform_real_distribution<double> unit(0, 1);
    Problem<T> out{k, n, m, {}, std::vector<T>(n * m), std::vector<double>(k)};
    double sum = 0;
    for (double& share : out.share) sum += share = 0.1 + unit(random);
    for (double& share : out.share) share /= sum;
    for (std::size_t at = 0; at < k; ++at) {
        const std::vector<T> own = random_weights<T>(n, zeros, random);
        out.histograms.insert(out.histograms.end(), own.begin(), own.end());
    }
    out.histograms.shrink_to_fit();
    for (T& value : out.cost) value = T(unit(random));
    return out;
}

// So many iterations in log space, from column scalings of 1.
template <class T>
std::vector<double> slow(const Problem<T>& problem, double epsilon, int iterations) {
    const auto [k, n, m, histograms, cost, share] = problem;
    std::vector<double> G(k * m), log_q(k * m), weights(m), values;
    for (int made = 0; made < iterations; ++made) {
        std::fill(weights.begin(), weights.end(), 0.0);
        for (std::size_t h = 0; h < k; ++h) {
            std::vector<double> F(n);
            for (std::size_t i = 0; i < n; ++i) {
                values.assign(m, 0);
                for (std::size_t j = 0; j < m; ++j) values[j] = G[h * m + j] - double{cost[i * m + j]} / epsilon;
                F[i] = std::log(double{histograms[h * n + i]}) - log_sum_exp(values);
            }
            for (std::size_t j = 0; j < m; ++j) {
                values.assign(n, 0);
                for (std::size_t i = 0; i < n; ++i) values[i] = F[i] - double{cost[i * m + j]} / epsilon;
                log_q[h * m + j] = log_sum_exp(values);
                weights[j] += share[h] * log_q[h * m + j];
            }
        }
        for (std::size_t at = 0; at < k * m; ++at) G[at] = weights[at % m] - log_q[at];
    }
    const double unit = log_sum_exp(weights);
    for (double& weight : weights) weight = std::exp(weight - unit);
    return weights;
}

template <class T>
struct Answer {
    std::vector<T> weights;
    BarycenterSolution<T> found;
    Run run;
};

template <class T>
Answer<T> average(Isa isa, const Problem<T>& problem, double epsilon, Options options, int threads,
                  Monitor* monitor = nullptr) {
    Answer<T> answer{std::vector<T>(problem.m), {}, {}};
    const auto matrix = [](const std::vector<T>& values, std::size_t rows, std::size_t columns) {
        Ragged out;
        out.data = values.data();
        out.count = 1;
        out.rows = static_cast<std::int64_t>(rows);
        out.columns = out.row_stride = static_cast<std::int64_t>(columns);
        return out;
    };
    const BarycenterBatch batch{matrix(problem.histograms, problem.k, problem.n),
                                matrix(problem.cost, problem.n, problem.m),
                                problem.share.data(),
                                &epsilon,
                                0,
                                options};
    std::vector<BarycenterSolution<T>> solutions(1);
    solutions[0].weights = answer.weights.data();
    Pulse pulse(monitor);
    answer.run = solve_barycenters<T>(isa, batch, threads, 0, pulse, solutions);
    answer.found = solutions[0];
    return answer;
}

template <class T>
double apart(const std::vector<T>& found, const std::vector<double>& wanted) {
    double sum = 0;
    for (std::size_t j = 0; j < wanted.size(); ++j) sum += std::abs(double{found[j]} - wanted[j]);
    return sum;
}

template <class T>
void try_shape(std::size_t k, std::size_t n, std::size_t m, double epsilon, double zeros, std::mt19937& random,
               int iterations = 2000) {
    const Problem<T> problem = make<T>(k, n, m, zeros, random);
    const std::vector<double> few_made = slow(problem, epsilon, 5), wanted = slow(problem, epsilon, iterations);
    const double exact = sizeof(T) == sizeof(float) ? 1e-5 : 1e-11;
    const double tolerance = sizeof(T) == sizeof(float) ? 1e-5 : 1e-9;
    for (const Isa isa : available_isas()) {
        const std::string what = std::to_string(k) + " of " + std::to_string(n) + " x " + std::to_string(m) +
                                 ", epsilon " + std::to_string(epsilon) + ", float" + std::to_string(8 * sizeof(T)) +
                                 " on " + std::string(name(isa));
        const Answer<T> plain = average(isa, problem, epsilon, {0, 5, kInfinity, kInfinity}, 1);
        check(plain.found.iterations == 5 && apart(plain.weights, few_made) < exact,
              what + ": plain iterations off by " + std::to_string(apart(plain.weights, few_made)));
        const Options options{tolerance, 2000, kInfinity, kInfinity};
        const Answer<T> solved = average(isa, problem, epsilon, options, 1);
        check(solved.found.status == Status::ok && apart(solved.weights, wanted) < 1e3 * tolerance,
              what + ": off by " + std::to_string(apart(solved.weights, wanted)));
        check(average(isa, problem, epsilon, options, 3).weights == solved.weights,
              what + ": other bits on three threads");
    }
}

void try_wrong() {
    std::mt19937 random(17);
    const Problem<double> right = make<double>(3, 5, 7, 0, random);
    const Options options{1e-4, 100, kInfinity, kInfinity};
    for (const Isa isa : available_isas()) {
        Problem<double> problem = right;
        problem.cost[3 * 7 + 4] = std::nan("");
        const auto with_nan = average(isa, problem, 0.1, options, 1).found;
        check(with_nan.status == Status::nan && with_nan.row == 3 && with_nan.column == 4, "NaN is found");
        problem = right;
        std::fill_n(problem.cost.begin() + 2 * 7, 7, kInfinity);
        problem.histograms[2] = 0;
        const auto without = average(isa, problem, 0.1, options, 1).found;
        check(without.status == Status::infeasible && without.histogram == 1 && without.row == 2,
              "a row without a finite cost is found");
    }
    const Problem<float> large = make<float>(4, 300, 300, 0, random);
    for (const int threads : {1, 3}) {
        Stopper stopper;
        const Options endless{0, std::int64_t{1} << 40, kInfinity, kInfinity};
        check(average(available_isas().back(), large, 0.1, endless, threads, &stopper).run.stopped, "a call stops");
    }
}

}  // namespace

int main() {
    std::mt19937 random(3);
    for (const double epsilon : {0.5, 0.05, 0.01})
        for (const double zeros : {0.0, 0.3}) {
            try_shape<float>(1, 1, 1, epsilon, zeros, random);
            try_shape<double>(2, 9, 1, epsilon, zeros, random);
            try_shape<double>(3, 1, 9, epsilon, zeros, random);
            try_shape<float>(2, 17, 33, epsilon, zeros, random);
            try_shape<double>(5, 33, 17, epsilon, zeros, random);
        }
    try_shape<double>(2, 300, 500, 0.1, 0.1, random, 60);  // several chunks
    try_wrong();
    return report();
}
