// Partial transport for every instruction set, against what is true of the optimum alone: with f = L + F and g = G, no
// sum is above its weight, what F or G holds back is full, and the plan has the mass.
//
// Each matrix has a heap block of its own, of exactly its size: a read past the last row is one past the block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "stopper.hpp"
#include "transport/partial.hpp"
#include "transport_oracle.hpp"
#include "transport_results.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::transport;

namespace {

template <class T>
struct Problem {
    std::size_t n, m;
    std::vector<T> cost, a, b;
    double mass;
};

// A mass that is a share of the lesser side's; the weights of the columns add up to twice those of the rows.
template <class T>
Problem<T> make(std::size_t n, std::size_t m, double share, double zeros, std::mt19937& random) {
    std::uniform_real_distribution<double> unit(0, 1);
    Problem<T> out{
        n, m, std::vector<T>(n * m), random_weights<T>(n, zeros, random), random_weights<T>(m, zeros, random), 0};
    for (T& value : out.cost) value = T(unit(random));
    for (T& weight : out.b) weight *= 2;
    for (const T weight : out.a) out.mass += share * double{weight};
    return out;
}

template <class T>
struct Answer {
    std::vector<T> f, g;
    Solution<T> found;
    Run run;
};

template <class T>
Answer<T> transport(Isa isa, const Problem<T>& problem, double epsilon, Options options, int threads,
                    Monitor* monitor = nullptr) {
    Answer<T> answer{std::vector<T>(problem.n), std::vector<T>(problem.m), {}, {}};
    Batch batch{};
    batch.costs.data = problem.cost.data();
    batch.costs.count = 1;
    batch.costs.rows = static_cast<std::int64_t>(problem.n);
    batch.costs.columns = batch.costs.row_stride = static_cast<std::int64_t>(problem.m);
    batch.row_weights.data = problem.a.data();
    batch.column_weights.data = problem.b.data();
    batch.epsilon = &epsilon;
    batch.options = options;
    Room<T> room;
    room.add(answer.f, answer.g);
    Pulse pulse(monitor);
    answer.run = solve_partial<T>(isa, batch, &problem.mass, threads, 0, pulse, room.results());
    answer.found = room.solution(0);
    return answer;
}

// By how much the plan of the potentials misses the conditions of the optimum, over its mass.
template <class T>
double missed(const Problem<T>& problem, const Answer<T>& answer, double epsilon) {
    std::vector<double> rows(problem.n), columns(problem.m);
    for (std::size_t i = 0; i < problem.n; ++i)
        for (std::size_t j = 0; j < problem.m; ++j) {
            const double own{problem.cost[i * problem.m + j]};
            const double plan = std::exp((double{answer.f[i]} - own + double{answer.g[j]}) / epsilon);
            rows[i] += plan;
            columns[j] += plan;
        }
    double sum = 0, worst = 0;
    const auto side = [&](const std::vector<T>& weights, const std::vector<T>& potentials,
                          const std::vector<double>& sums) {
        double free = -kInfinity;
        const auto dual = [&](std::size_t i) { return double{potentials[i]} / epsilon - std::log(double{weights[i]}); };
        for (std::size_t i = 0; i < weights.size(); ++i)
            if (weights[i] > 0) free = std::max(free, dual(i));
        for (std::size_t i = 0; i < weights.size(); ++i) {
            if (!(weights[i] > 0)) {
                if (potentials[i] != -kInfinity) worst = kInfinity;
                continue;
            }
            worst += std::max(sums[i] - double{weights[i]}, 0.0);
            // Held back by so much, what is not full could have this much more at the most.
            worst += std::max(double{weights[i]} - sums[i], 0.0) * std::min(1.0, free - dual(i));
        }
    };
    side(problem.a, answer.f, rows);
    side(problem.b, answer.g, columns);
    for (const double row : rows) sum += row;
    return (worst + std::abs(sum - problem.mass)) / problem.mass;
}

template <class T>
void try_shape(std::size_t n, std::size_t m, double epsilon, double share, double zeros, std::mt19937& random) {
    const Problem<T> problem = make<T>(n, m, share, zeros, random);
    const double tolerance = sizeof(T) == sizeof(float) ? 1e-4 : 1e-9;
    for (const Isa isa : available_isas()) {
        const std::string what = std::to_string(n) + " x " + std::to_string(m) + ", epsilon " +
                                 std::to_string(epsilon) + ", share " + std::to_string(share) + ", float" +
                                 std::to_string(8 * sizeof(T)) + " on " + std::string(name(isa));
        const Options options{tolerance, 2000, kInfinity, kInfinity};
        const Answer<T> solved = transport(isa, problem, epsilon, options, 1);
        const double error = missed(problem, solved, epsilon);
        check(solved.found.status == Status::ok && error < 3 * tolerance,
              what + ": status " + std::to_string(static_cast<int>(solved.found.status)) + ", error " +
                  std::to_string(error / tolerance) + " of the tolerance");
        const Answer<T> shared = transport(isa, problem, epsilon, options, 3);
        check(shared.f == solved.f && shared.g == solved.g, what + ": other bits on three threads");
        const Answer<T> plain = transport(isa, problem, epsilon, {0, 7, kInfinity, kInfinity}, 1);
        check(plain.found.iterations == 7 && plain.found.status == Status::ok, what + ": plain iterations");
    }
}

// The whole of a side at a small epsilon: the columns that are full move together, by small steps.
void try_whole_sides() {
    std::mt19937 random(11);
    for (int trial = 0; trial < (few() ? 4 : 20); ++trial) {
        const Problem<double> problem = make<double>(7, 9, 1, 0, random);
        for (const Isa isa : available_isas()) {
            const auto answer = transport(isa, problem, 1e-3, {1e-6, 1000, kInfinity, kInfinity}, 1);
            check(answer.found.status == Status::ok && missed(problem, answer, 1e-3) < 3e-6,
                  "a whole side: error " + std::to_string(answer.found.error) + " after " +
                      std::to_string(answer.found.iterations));
        }
    }
}

void try_wrong() {
    std::mt19937 random(17);
    const Problem<double> right = make<double>(5, 7, 0.9, 0, random);
    const Options options{1e-4, 100, kInfinity, kInfinity};
    for (const Isa isa : available_isas()) {
        Problem<double> problem = right;
        problem.cost[3 * 7 + 4] = std::nan("");
        const auto with_nan = transport(isa, problem, 0.1, options, 1).found;
        check(with_nan.status == Status::nan && with_nan.row == 3 && with_nan.column == 4, "NaN is found");
        problem = right;
        std::fill_n(problem.cost.begin(), 7, kInfinity);
        check(transport(isa, problem, 0.1, options, 1).found.status == Status::infeasible, "too few rows");
        problem.mass = 0.9 * (1 - problem.a[0]);
        check(transport(isa, problem, 0.1, options, 1).found.status == Status::ok, "enough rows");
    }
    const Problem<float> large = make<float>(512, 512, 0.5, 0, random);
    for (const int threads : {1, 3}) {
        Stopper stopper;
        const Options endless{0, std::int64_t{1} << 40, kInfinity, kInfinity};
        check(transport(available_isas().back(), large, 0.1, endless, threads, &stopper).run.stopped, "a call stops");
    }
}

}  // namespace

int main() {
    std::mt19937 random(3);
    for (const double epsilon : {0.5, 0.03})
        for (const double share : {0.05, 0.7, 1.0})
            for (const auto& [n, m] : {std::pair<std::size_t, std::size_t>{1, 1}, {1, 9}, {9, 1}, {17, 33}, {70, 40}})
                for (const double zeros : {0.0, 0.3}) {
                    try_shape<float>(n, m, epsilon, share, zeros, random);
                    try_shape<double>(n, m, epsilon, share, zeros, random);
                }
    try_shape<float>(400, 600, 0.05, 0.6, 0.1, random);  // several chunks
    try_whole_sides();
    try_wrong();
    return report();
}
