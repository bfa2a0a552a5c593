// Sinkhorn on stored costs against the same iterations in log space, for every instruction set; and a team of threads.
//
// Each matrix has a heap block of its own, of exactly its size: a read past the last row is one past the block.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "core/team.hpp"
#include "stopper.hpp"
#include "transport/sinkhorn.hpp"
#include "transport_oracle.hpp"
#include "transport_results.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::transport;

namespace {

struct Potentials {
    std::vector<double> f, g;
};

// So many iterations from g = epsilon log b, and the shift that makes the mean of g zero.
Potentials slow(const std::vector<double>& cost, const std::vector<double>& a, const std::vector<double>& b,
                double epsilon, int iterations) {
    const std::size_t n = a.size(), m = b.size();
    Potentials out{std::vector<double>(n), std::vector<double>(m)};
    std::vector<double> next(m), values;
    for (std::size_t j = 0; j < m; ++j) next[j] = epsilon * std::log(b[j]);
    for (int k = 0; k < iterations; ++k) {
        out.g = next;
        for (std::size_t i = 0; i < n; ++i) {
            values.assign(m, 0);
            for (std::size_t j = 0; j < m; ++j) values[j] = (out.g[j] - cost[i * m + j]) / epsilon;
            out.f[i] = a[i] > 0 ? epsilon * (std::log(a[i]) - log_sum_exp(values)) : -kInfinity;
        }
        for (std::size_t j = 0; j < m; ++j) {
            values.assign(n, 0);
            for (std::size_t i = 0; i < n; ++i) values[i] = (out.f[i] - cost[i * m + j]) / epsilon;
            next[j] = b[j] > 0 ? epsilon * (std::log(b[j]) - log_sum_exp(values)) : -kInfinity;
        }
    }
    double shift = 0;
    for (std::size_t j = 0; j < m; ++j)
        if (b[j] > 0) shift += b[j] * out.g[j];
    for (double& f : out.f) f += shift;
    for (double& g : out.g) g -= shift;
    return out;
}

template <class T>
struct Answer {
    std::vector<T> f, g;
    Solution<T> found;
    Run run;
};

template <class T>
Answer<T> transport(Isa isa, const std::vector<T>& cost, const std::vector<T>& a, const std::vector<T>& b,
                    double epsilon, Options options, int threads, Monitor* monitor = nullptr) {
    Answer<T> answer{std::vector<T>(a.size()), std::vector<T>(b.size()), {}, {}};
    const auto n = static_cast<std::int64_t>(a.size()), m = static_cast<std::int64_t>(b.size());
    Batch batch{};
    batch.costs.data = cost.data();
    batch.costs.count = 1;
    batch.costs.rows = n;
    batch.costs.columns = batch.costs.row_stride = m;
    batch.row_weights.data = a.data();
    batch.column_weights.data = b.data();
    batch.epsilon = &epsilon;
    batch.options = options;
    Room<T> room;
    room.add(answer.f, answer.g);
    Pulse pulse(monitor);
    answer.run = solve<T>(isa, batch, threads, 0, pulse, room.results());
    answer.found = room.solution(0);
    return answer;
}

template <class T>
void try_shape(std::size_t n, std::size_t m, double epsilon, double zeros, std::mt19937& random) {
    std::uniform_real_distribution<double> unit(0, 1);
    std::vector<T> cost(n * m);
    for (T& value : cost) value = T(unit(random));
    const std::vector<T> a = random_weights<T>(n, zeros, random), b = random_weights<T>(m, zeros, random);
    const std::vector<double> exact(cost.begin(), cost.end());
    const std::vector<double> wide_a(a.begin(), a.end()), wide_b(b.begin(), b.end());
    constexpr int iterations = 7;
    const Potentials wanted = slow(exact, wide_a, wide_b, epsilon, iterations);
    const std::string shape = std::to_string(n) + " x " + std::to_string(m) + ", epsilon " + std::to_string(epsilon);
    const double precise = sizeof(T) == sizeof(float) ? 3e-6 : 1e-11,
                 reachable = sizeof(T) == sizeof(float) ? 1e-4 : 1e-9;
    for (const Isa isa : available_isas()) {
        const std::string what = shape + " on " + std::string(name(isa));
        const Answer<T> plain = transport(isa, cost, a, b, epsilon, {0, iterations, kInfinity, kInfinity}, 1);
        check(plain.found.status == Status::ok && plain.found.iterations == iterations, what + ": plain iterations");
        double worst = 0;
        for (std::size_t i = 0; i < n; ++i)
            if (a[i] > 0) worst = std::max(worst, std::abs(double{plain.f[i]} - wanted.f[i]));
            else check(plain.f[i] == -kInfinity, what + ": a row without weight");
        for (std::size_t j = 0; j < m; ++j)
            if (b[j] > 0) worst = std::max(worst, std::abs(double{plain.g[j]} - wanted.g[j]));
            else check(plain.g[j] == -kInfinity, what + ": a column without weight");
        check(worst < precise, what + ": potentials of plain iterations off by " + std::to_string(worst));
        const Answer<T> solved = transport(isa, cost, a, b, epsilon, {reachable, 5000, kInfinity, kInfinity}, 1);
        const double error = facts_of_plan(cost, a, b, solved.f, solved.g, epsilon).error;
        check(solved.found.status == Status::ok && error < 1.01 * reachable, what + ": error " + std::to_string(error));
        const Answer<T> shared = transport(isa, cost, a, b, epsilon, {reachable, 5000, kInfinity, kInfinity}, 3);
        check(shared.f == solved.f && shared.g == solved.g, what + ": other bits on three threads");
    }
}

// Clusters that differ in mass: the columns of a cluster have to move together by thousands of times epsilon.
void try_clusters() {
    std::mt19937 random(5);
    std::uniform_real_distribution<double> unit(0, 1);
    constexpr std::size_t n = 60, m = 50;
    std::vector<double> cost(n * m), place_x(n), place_y(m);
    for (std::size_t i = 0; i < n; ++i) place_x[i] = double(random() % 5) * 10 + unit(random);
    for (std::size_t j = 0; j < m; ++j) place_y[j] = double(random() % 5) * 10 + unit(random);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < m; ++j) cost[i * m + j] = (place_x[i] - place_y[j]) * (place_x[i] - place_y[j]);
    const std::vector<double> a(n, 1.0 / n), b(m, 1.0 / m);
    for (const Isa isa : available_isas())
        for (const double epsilon : {2.0, 0.2}) {
            const auto answer = transport(isa, cost, a, b, epsilon, {1e-5, 2000, kInfinity, kInfinity}, 1);
            const double error = facts_of_plan(cost, a, b, answer.f, answer.g, epsilon).error;
            check(answer.found.status == Status::ok && error < 1.01e-5,
                  "clusters on " + std::string(name(isa)) + ", epsilon " + std::to_string(epsilon) + ": error " +
                      std::to_string(answer.found.error));
        }
}

// Two columns with weight, and rows that change from one to the other far apart: the sums are a staircase, on whose
// steps residuals do not change. Extrapolated without a bound they lead far away.
void try_staircases() {
    std::mt19937 random(11);
    std::uniform_real_distribution<double> unit(0, 1);
    constexpr std::size_t n = 32, m = 7;
    const std::vector<double> a(n, 1.0 / n), b{0.21, 0, 0, 0, 0, 0, 0.79};
    for (int trial = 0; trial < 40; ++trial) {
        std::vector<double> cost(n * m);
        for (double& value : cost) value = unit(random);
        for (const Isa isa : available_isas()) {
            const auto answer = transport(isa, cost, a, b, 5e-4, {1e-6, 500, kInfinity, kInfinity}, 1);
            const double error = facts_of_plan(cost, a, b, answer.f, answer.g, 5e-4).error;
            check(answer.found.status == Status::ok && error < 1.01e-6,
                  "a staircase: error " + std::to_string(answer.found.error));
        }
    }
}

void try_wrong() {
    for (const Isa isa : available_isas()) {
        std::vector<double> cost(35, 1.0), a(5, 0.2), b(7, 1.0 / 7);
        cost[3 * 7 + 4] = std::nan("");
        const Options options{1e-4, 100, kInfinity, kInfinity};
        const auto with_nan = transport(isa, cost, a, b, 0.1, options, 1).found;
        check(with_nan.status == Status::nan && with_nan.row == 3 && with_nan.column == 4, "NaN is found");
        cost[3 * 7 + 4] = 1;
        std::fill_n(cost.begin() + 2 * 7, 7, kInfinity);
        const auto without_row = transport(isa, cost, a, b, 0.1, options, 1).found;
        check(without_row.status == Status::infeasible && without_row.row == 2, "a row without a finite cost is found");
        a = {0.25, 0.25, 0, 0.25, 0.25};
        for (std::size_t i = 0; i < 5; ++i) cost[i * 7 + 5] = kInfinity;
        const auto without_column = transport(isa, cost, a, b, 0.1, options, 1).found;
        check(without_column.status == Status::infeasible && without_column.column == 5,
              "a column without a finite cost is found");
        b[1] = -b[1];
        check(transport(isa, cost, a, b, 0.1, options, 1).found.status == Status::invalid, "a negative weight");
    }
}

void try_stop() {
    const std::vector<float> cost(512 * 512, 1.0f), weights(512, 1.0f / 512);
    for (const int threads : {1, 3}) {
        Stopper stopper;
        const auto stopped = transport(available_isas().back(), cost, weights, weights, 0.1,
                                       {0, std::int64_t{1} << 40, kInfinity, kInfinity}, threads, &stopper);
        check(stopped.run.stopped, "a call stops");
    }
}

void try_team() {
    const auto caller = std::this_thread::get_id();
    for (const int threads : {1, 2, 5}) {
        Team team(threads);
        std::vector<std::atomic<int>> done(37);
        for (int phase = 1; phase <= 300; ++phase) {
            const std::int64_t tasks = phase % 38;
            team.run(tasks, [&](std::int64_t task) {
                // The caller is done with its tasks before the helpers are with theirs.
                if (std::this_thread::get_id() != caller) std::this_thread::sleep_for(std::chrono::microseconds(20));
                ++done[static_cast<std::size_t>(task)];
            });
            int sum = 0;
            for (std::int64_t task = 0; task < tasks; ++task) sum += done[static_cast<std::size_t>(task)].exchange(0);
            if (sum != tasks) check(false, "each task of a phase is done once, before the phase ends");
        }
        check(team.size() == threads, "a team has the size that was asked for");
    }
}

}  // namespace

int main() {
    std::mt19937 random(3);
    for (const double epsilon : {0.5, 0.03, 0.002})
        for (const auto& [n, m] : {std::pair<std::size_t, std::size_t>{1, 1},
                                   {1, 9},
                                   {9, 1},
                                   {3, 5},
                                   {16, 16},
                                   {17, 33},
                                   {40, 7},
                                   {70, 130}})
            for (const double zeros : {0.0, 0.3}) {
                try_shape<float>(n, m, epsilon, zeros, random);
                try_shape<double>(n, m, epsilon, zeros, random);
            }
    try_shape<float>(400, 600, 0.05, 0.1, random);  // several chunks
    try_clusters();
    try_staircases();
    try_wrong();
    try_stop();
    try_team();
    return report();
}
