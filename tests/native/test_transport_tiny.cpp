// Batches of tiny transport problems against a plain loop in float64, and the same bits alone and in any batch.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "stopper.hpp"
#include "transport/sinkhorn.hpp"
#include "transport_results.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::transport;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Each vector has a heap block of its own, of exactly its size.
template <class T>
struct Problem {
    std::vector<T> cost, a, b, f, g;
    double epsilon;
    Solution<T> found;
};

template <class T>
Problem<T> random_problem(std::size_t n, std::size_t m, double epsilon, double zeros, std::mt19937& random) {
    std::uniform_real_distribution<double> unit(0, 1);
    Problem<T> problem{
        std::vector<T>(n * m), std::vector<T>(n), std::vector<T>(m), std::vector<T>(n), std::vector<T>(m), epsilon, {}};
    for (T& value : problem.cost) value = T(unit(random) - 0.3);
    for (auto* side : {&problem.a, &problem.b}) {
        double sum = 0;
        for (T& weight : *side) weight = unit(random) < zeros ? T(0) : T(0.1 + unit(random));
        (*side)[0] = T(1);
        for (const T weight : *side) sum += double{weight};
        for (T& weight : *side) weight = T(3 * double{weight} / sum);
    }
    return problem;
}

template <class T>
Run solve_all(Isa isa, std::vector<Problem<T>>& problems, std::size_t begin, std::size_t count, Options options,
              int threads, Monitor* monitor = nullptr) {
    RaggedTable table(static_cast<std::int64_t>(count));
    std::vector<const void*> a, b;
    std::vector<double> epsilon;
    Room<T> room;
    for (std::size_t p = begin; p < begin + count; ++p) {
        Problem<T>& problem = problems[p];
        const auto n = static_cast<std::int64_t>(problem.a.size()), m = static_cast<std::int64_t>(problem.b.size());
        table.add(MatrixView<T>{problem.cost.data(), n, m, m, 1});
        a.push_back(problem.a.data());
        b.push_back(problem.b.data());
        epsilon.push_back(problem.epsilon);
        room.add(problem.f, problem.g);
    }
    Batch batch{};
    batch.costs = table.batch();
    batch.row_weights.items = a.data();
    batch.column_weights.items = b.data();
    batch.epsilon = epsilon.data();
    batch.epsilon_stride = 1;
    batch.options = options;
    Pulse pulse(monitor);
    const Run run = solve<T>(isa, batch, threads, 0, pulse, room.results());
    for (std::size_t p = 0; p < count; ++p) problems[begin + p].found = room.solution(p);
    return run;
}

// So many plain iterations, by scalings of exp(-C / epsilon).
template <class T>
double difference_from_loop(const Problem<T>& problem, int iterations) {
    const std::size_t n = problem.a.size(), m = problem.b.size();
    double mass = 0, column_mass = 0;
    for (const T weight : problem.a) mass += double{weight};
    for (const T weight : problem.b) column_mass += double{weight};
    std::vector<double> u(n), v(m), next(m);
    for (std::size_t j = 0; j < m; ++j) next[j] = double{problem.b[j]} / column_mass;
    const auto kernel = [&](std::size_t i, std::size_t j) {
        return std::exp(-double{problem.cost[i * m + j]} / problem.epsilon);
    };
    for (int k = 0; k < iterations; ++k) {
        v = next;
        for (std::size_t i = 0; i < n; ++i) {
            double sum = 0;
            for (std::size_t j = 0; j < m; ++j) sum += kernel(i, j) * v[j];
            u[i] = double{problem.a[i]} / mass / sum;
        }
        for (std::size_t j = 0; j < m; ++j) {
            double sum = 0;
            for (std::size_t i = 0; i < n; ++i) sum += kernel(i, j) * u[i];
            next[j] = double{problem.b[j]} / column_mass / sum;
        }
    }
    double shift = 0, worst = 0;
    for (std::size_t j = 0; j < m; ++j)
        if (v[j] > 0) shift += double{problem.b[j]} / column_mass * std::log(v[j]);
    const auto meet = [&](double scaling, double unit, T found) {
        if (scaling == 0) check(double{found} == -kInfinity, "no weight, no potential");
        else worst = std::max(worst, std::abs(problem.epsilon * (std::log(scaling) + unit) - double{found}));
    };
    for (std::size_t i = 0; i < n; ++i) meet(u[i], std::log(mass) + shift, problem.f[i]);
    for (std::size_t j = 0; j < m; ++j) meet(v[j], -shift, problem.g[j]);
    return worst;
}

// Cost, value and error of the plan at the potentials that were returned.
template <class T>
void check_sums(const Problem<T>& problem, double precise, const std::string& what) {
    const std::size_t n = problem.a.size(), m = problem.b.size();
    const Solution<T>& found = problem.found;
    std::vector<double> rows(n), columns(m);
    double mass = 0, cost = 0, value = 0, error = 0;
    for (const T weight : problem.a) mass += double{weight};
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < m; ++j) {
            const double c = double{problem.cost[i * m + j]}, product = double{problem.a[i]} * double{problem.b[j]};
            const double plan = std::exp((double{problem.f[i]} + double{problem.g[j]} - c) / problem.epsilon);
            rows[i] += plan;
            columns[j] += plan;
            cost += plan * c;
            value += plan * c + problem.epsilon * ((plan > 0 ? plan * std::log(plan / product) : 0) - plan + product);
        }
    for (std::size_t i = 0; i < n; ++i) error += std::abs(rows[i] - double{problem.a[i]}) / mass;
    for (std::size_t j = 0; j < m; ++j) error += std::abs(columns[j] - double{problem.b[j]}) / mass;
    check(std::abs(found.cost - cost) < precise, what + ": cost");
    check(std::abs(found.value - value) < precise, what + ": value " + std::to_string(found.value - value));
    check(std::abs(found.error - error) < precise, what + ": error " + std::to_string(found.error - error));
}

template <class T>
std::vector<Problem<T>> mixed_problems(std::mt19937& random) {
    std::vector<Problem<T>> problems;
    std::uniform_int_distribution<std::size_t> size(1, 16), few(1, 4);
    for (int k = 0; k < 40; ++k) problems.push_back(random_problem<T>(4, 4, 0.1, k % 4 == 0 ? 0.3 : 0, random));
    for (int k = 0; k < 40; ++k) problems.push_back(random_problem<T>(few(random), few(random), 0.2, 0.2, random));
    for (std::size_t k = 0; k < 20; ++k) problems.push_back(random_problem<T>(9 + k % 4, 12 - k % 3, 0.08, 0, random));
    for (int k = 0; k < 30; ++k) problems.push_back(random_problem<T>(size(random), size(random), 0.1, 0.1, random));
    for (int k = 0; k < 8; ++k) problems.push_back(random_problem<T>(4, 4, k % 2 == 0 ? 0.1 : 0.01, 0, random));
    problems.push_back(random_problem<T>(33, 5, 0.1, 0, random));
    return problems;
}

template <class T>
void try_batch(Isa isa, const std::string& what) {
    std::mt19937 random(5);
    std::vector<Problem<T>> problems = mixed_problems<T>(random);
    const double precise = sizeof(T) == sizeof(float) ? 3e-6 : 1e-11;
    for (const int iterations : {1, 2, 12}) {
        solve_all(isa, problems, 0, problems.size(), {0, iterations, kInfinity, kInfinity}, 1);
        double worst = 0;
        for (const Problem<T>& problem : problems) {
            check(problem.found.status == Status::ok && problem.found.iterations == iterations, what + ": iterations");
            worst = std::max(worst, difference_from_loop(problem, iterations));
            check_sums(problem, sizeof(T) == sizeof(float) ? 2e-5 : 1e-11, what);
        }
        check(worst < precise, what + ": potentials off by " + std::to_string(worst));
    }
    const double tolerance = sizeof(T) == sizeof(float) ? 1e-4 : 1e-9;
    solve_all(isa, problems, 0, problems.size(), {tolerance, 5000, kInfinity, kInfinity}, 1);
    for (const Problem<T>& problem : problems) {
        check(problem.found.status == Status::ok && problem.found.error <= tolerance, what + ": converges");
        check_sums(problem, sizeof(T) == sizeof(float) ? 2e-5 : 1e-11, what + ", converged");
    }
}

// Beside others of which some are wrong, in any order and on any threads, a problem has the bits that it has alone.
template <class T>
void try_alone(Isa isa, const std::string& what) {
    std::mt19937 random(6);
    std::vector<Problem<T>> problems = mixed_problems<T>(random);
    problems[3].cost[5] = std::numeric_limits<T>::quiet_NaN();
    problems[7].epsilon = 1e-3;
    std::fill_n(problems[9].cost.begin() + 4, 4, std::numeric_limits<T>::infinity());
    problems[12].cost[0] = std::numeric_limits<T>::infinity();
    problems[17].b[1] = -problems[17].b[1];
    problems[21].epsilon = 0;
    problems[28].a[1] = T(1e-9);
    for (const Options options : {Options{0, 17, kInfinity, kInfinity}, Options{1e-4, 5000, kInfinity, kInfinity},
                                  Options{1e-4, 3, kInfinity, kInfinity}}) {
        std::vector<Problem<T>> alone = problems, shared = problems, turned = problems;
        for (std::size_t p = 0; p < alone.size(); ++p) solve_all(isa, alone, p, 1, options, 1);
        std::reverse(turned.begin(), turned.end());
        solve_all(isa, shared, 0, shared.size(), options, 3);
        solve_all(isa, turned, 0, turned.size(), options, 1);
        std::reverse(turned.begin(), turned.end());
        for (std::size_t p = 0; p < alone.size(); ++p)
            for (const auto* other : {&shared[p], &turned[p]}) {
                const Solution<T>&one = alone[p].found, &two = other->found;
                check(alone[p].f == other->f && alone[p].g == other->g && one.cost == two.cost &&
                          one.value == two.value && one.error == two.error && one.iterations == two.iterations &&
                          one.status == two.status && one.row == two.row && one.column == two.column,
                      what + ": the bits of problem " + std::to_string(p) + " depend on others");
            }
        check(shared[3].found.status == Status::nan && shared[3].found.row == 1 && shared[3].found.column == 1,
              what + ": NaN is found");
        check(shared[9].found.status == Status::infeasible && shared[9].found.row == 1, what + ": an empty row");
        check(shared[17].found.status == Status::invalid && shared[21].found.status == Status::invalid,
              what + ": a wrong weight or epsilon");
        const bool is_short = options.most_iterations == 3;
        for (const Problem<T>& problem : shared) {
            if (problem.found.status != Status::ok) continue;
            check(options.tolerance == 0 || problem.found.error <= options.tolerance, what + ": a true status");
        }
        check(!is_short || std::any_of(shared.begin(), shared.end(),
                                       [](const auto& p) { return p.found.status == Status::not_converged; }),
              what + ": three iterations are not enough for all");
    }
}

void try_stop() {
    std::mt19937 random(7);
    for (const int threads : {1, 3}) {
        std::vector<Problem<float>> problems;
        for (int k = 0; k < 40; ++k) problems.push_back(random_problem<float>(4, 4, 0.1, 0, random));
        Stopper stopper;
        const Run run = solve_all(available_isas().back(), problems, 0, problems.size(),
                                  {0, std::int64_t{1} << 40, kInfinity, kInfinity}, threads, &stopper);
        check(run.stopped, "a call stops");
    }
}

}  // namespace

int main() {
    for (const Isa isa : available_isas()) {
        const std::string on = " on " + std::string(name(isa));
        try_batch<float>(isa, "float32" + on);
        try_batch<double>(isa, "float64" + on);
        try_alone<float>(isa, "float32" + on);
        try_alone<double>(isa, "float64" + on);
    }
    try_stop();
    return report();
}
