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
#include "transport_loops.hpp"
#include "transport_result.cuh"
#include "transport_sweep.cuh"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

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
    out.a = draw_weights<T>(random, rows);
    out.b = draw_weights<T>(random, columns);
    return out;
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

// A problem some iterations on, of which the next one is quick.
TransportState state_after(std::int64_t iterations) {
    TransportState out{};
    out.sweep = Sweep::quick;
    out.epsilon = out.target = out.row_mass = out.column_mass = 1;
    out.iterations = iterations;
    out.careful_next = 4;
    out.best = out.last = 1;
    out.inertia = 2;
    out.momentum = 0.5;
    return out;
}

template <class T>
void test_what_comes_next() {
    const TransportCall call;
    TransportState state = state_after(7);
    judge<T>(call, state, 0.5);
    check(state.sweep == Sweep::quick && state.iterations == 8 && state.at == 1, "what holds goes on quickly");

    // Sums that the matrix has lost: the iteration is made again with care, from its own start, and so are more after
    // it each time.
    state = state_after(7);
    state.is_lost = 1;
    judge<T>(call, state, 0.5);
    check(state.sweep == Sweep::careful && state.iterations == 7 && state.at == 0, "a lost iteration is made again");
    check(state.momentum == 0 && state.inertia == 1 && state.is_lost == 0, "and its momentum is gone");
    for (int careful = 1; careful < 4; ++careful) {
        judge<T>(call, state, 0.5);
        check(state.sweep == Sweep::careful && state.iterations == 7 + careful, "care lasts");
    }
    judge<T>(call, state, 0.5);
    check(state.sweep == Sweep::quick, "and ends");
    state.is_lost = 1;
    judge<T>(call, state, 0.5);
    check(state.careful_left == 8, "a second loss takes twice the care");

    // Potentials that have moved far from those in the matrix.
    state = state_after(7);
    state.has_drifted = 1;
    judge<T>(call, state, 0.5);
    check(state.sweep == Sweep::careful && state.iterations == 8, "the matrix is made again after a drift");
    judge<T>(call, state, 0.5);
    check(state.sweep == Sweep::quick, "and once");
}

// An error that float32 cannot lower: logarithms of the costs do, and what those cannot lower either is the end.
template <class T>
void test_stall() {
    TransportCall call;
    call.tolerance = 1e-12;
    constexpr bool kNarrow = sizeof(T) == sizeof(float);
    TransportState state = state_after(100);
    const double noise = kNarrow ? 1e-5 : 1e-11;
    state.best = noise;
    const auto until = [&](auto&& is_so) {
        int count = 0;
        for (; count < 200 && !is_so(); ++count) judge<T>(call, state, noise);
        return count;
    };
    if (kNarrow) {
        check(until([&] { return state.keeps_careful; }) == 51, "float32 turns to the costs when it stalls");
        check(state.sweep == Sweep::careful && !state.is_reached, "and goes on there");
        judge<T>(call, state, noise);
        check(state.sweep == Sweep::careful, "for good");
        state.best = state.last = 1e-11;
    }
    until([&] { return state.sweep == Sweep::done; });
    check(state.is_reached && state.iterations < 260, "what stalls there has an end");
    // Above the noise, a slow error is no rounding.
    state = state_after(100);
    state.best = 0.1;
    for (int count = 0; count < 200; ++count) judge<T>(call, state, 0.1);
    check(state.sweep == Sweep::quick && !state.keeps_careful, "an error above the noise is worked on");
}

template <class T>
void test_row_sums() {
    const auto holds_at = [](double sum, double scale) {
        bool holds = true;
        row_scaling(static_cast<T>(scale), static_cast<T>(sum), 1, holds);
        return holds;
    };
    check(holds_at(1, 1) && holds_at(2 * kLeastSum<T>, 1), "sums of all their digits");
    check(!holds_at(kLeastSum<T> / 2, 1), "a sum that has lost digits");
    check(!holds_at(0, 1) && !holds_at(kInfinite, 1), "no sum");
    check(holds_at(0, 0), "a row without weight needs none");
}

// Whether a column tells of potentials that the matrix does not hold.
template <class T>
void test_drift() {
    const auto drifts = [](double by) {
        const TransportCall call;
        TransportState state = state_after(3);
        state.momentum = 0;
        T scaling = 0;
        // Weight, absorbed, image, error and both potentials.
        double vectors[kColumnVectors] = {1, 0, 0, 0, 0, 0};
        TransportProblem<T> of{};
        of.state = &state;
        of.scaling = &scaling;
        of.column_weight = vectors;
        of.column_room = 1;
        update_column(call, of, 0, {0, std::exp(-by)}, Sweep::quick);
        check(is_near(of.potential(1)[0], by, 1e-5), "the potential of a column");
        return state.has_drifted != 0;
    };
    check(!drifts(0.9 * kMostDrift<T>) && !drifts(-0.9 * kMostDrift<T>), "a drift that the matrix holds");
    check(drifts(1.1 * kMostDrift<T>) && drifts(-1.1 * kMostDrift<T>), "a drift that it does not");
}

template <class T>
void test_steps() {
    test_what_comes_next<T>();
    test_stall<T>();
    test_row_sums<T>();
    test_drift<T>();
}

}  // namespace

int main() {
    test_steps<float>();
    test_steps<double>();
    test_all<float>();
    test_all<double>();
    return report();
}
