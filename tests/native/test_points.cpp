// Sinkhorn on point clouds against the same iterations in log space on costs that are stored, for every instruction
// set; and its half-step against a plain softmax.
//
// Each cloud has a heap block of its own, of exactly its size: a read past the last point is one past the block.
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
#include "transport/half_step.hpp"
#include "transport/point_pair.hpp"
#include "transport/points.hpp"
#include "transport_oracle.hpp"
#include "transport_results.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::transport;

namespace {

constexpr PointMetric kMetrics[] = {PointMetric::sqeuclidean, PointMetric::euclidean, PointMetric::cosine,
                                    PointMetric::dot};

template <class T>
struct Problem {
    std::size_t n, m, dim;
    PointMetric metric;
    std::vector<T> x, y, a, b;

    std::string words() const {
        return std::to_string(n) + " x " + std::to_string(m) + ", " + std::to_string(dim) + " dimensions, metric " +
               std::to_string(static_cast<int>(metric)) + ", float" + std::to_string(8 * sizeof(T));
    }
    std::vector<double> costs() const {
        std::vector<double> out(n * m);
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < m; ++j) {
                double squares = 0, products = 0, p = 0, q = 0;
                for (std::size_t k = 0; k < dim; ++k) {
                    const double u{x[i * dim + k]}, v{y[j * dim + k]};
                    squares += (u - v) * (u - v);
                    products += u * v;
                    p += u * u;
                    q += v * v;
                }
                double& cost = out[i * m + j];
                if (metric == PointMetric::sqeuclidean) cost = squares;
                else if (metric == PointMetric::euclidean) cost = std::sqrt(squares);
                else if (metric == PointMetric::cosine) cost = p * q > 0 ? 1 - products / std::sqrt(p * q) : 1;
                else cost = -products;
            }
        return out;
    }
};

template <class T>
Problem<T> make(std::size_t n, std::size_t m, std::size_t dim, PointMetric metric, double zeros, double offset,
                std::mt19937& random) {
    std::normal_distribution<double> normal;
    Problem<T> out{n, m, dim, metric, std::vector<T>(n * dim), std::vector<T>(m * dim), {}, {}};
    for (auto* values : {&out.x, &out.y})
        for (T& value : *values) value = T(normal(random) + offset);
    out.a = random_weights<T>(n, zeros, random);
    out.b = random_weights<T>(m, zeros, random);
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
    PointBatch batch{};
    const auto cloud = [&](const std::vector<T>& points, std::size_t count) {
        Ragged out;
        out.data = points.data();
        out.count = 1;
        out.rows = static_cast<std::int64_t>(count);
        out.columns = out.row_stride = static_cast<std::int64_t>(problem.dim);
        return out;
    };
    batch.x = cloud(problem.x, problem.n);
    batch.y = cloud(problem.y, problem.m);
    batch.metric = problem.metric;
    batch.rest.row_weights.data = problem.a.data();
    batch.rest.column_weights.data = problem.b.data();
    batch.rest.epsilon = &epsilon;
    batch.rest.options = options;
    Room<T> room;
    room.add(answer.f, answer.g);
    Pulse pulse(monitor);
    answer.run = solve_points<T>(isa, batch, threads, 0, pulse, room.results());
    answer.found = room.solution(0);
    return answer;
}

// f from g, as a plain iteration makes it, in log space.
template <class T>
double worst_of_rows(const Problem<T>& problem, const std::vector<double>& costs, const Answer<T>& answer,
                     double epsilon) {
    double worst = 0;
    std::vector<double> values(problem.m);
    for (std::size_t i = 0; i < problem.n; ++i) {
        if (!(problem.a[i] > 0)) {
            if (answer.f[i] != -kInfinity) return kInfinity;
            continue;
        }
        for (std::size_t j = 0; j < problem.m; ++j)
            values[j] = (double{answer.g[j]} - costs[i * problem.m + j]) / epsilon;
        const double wanted = std::log(double{problem.a[i]}) - log_sum_exp(values);
        worst = std::max(worst, std::abs(double{answer.f[i]} / epsilon - wanted));
    }
    return worst;
}

// epsilon: a share of the greatest cost. exact: what potentials, over epsilon, may be off by.
template <class T>
void try_problem(const Problem<T>& problem, double share, double exact, double tolerance) {
    const std::vector<double> costs = problem.costs();
    double most = 0;
    for (const double cost : costs) most = std::max(most, std::abs(cost));
    const double epsilon = share * std::max(most, 1e-3);
    for (const Isa isa : available_isas()) {
        const std::string what =
            problem.words() + ", epsilon " + std::to_string(share) + " on " + std::string(name(isa));
        for (const int iterations : {1, 2, 7}) {
            const Answer<T> plain = transport(isa, problem, epsilon, {0, iterations, kInfinity, kInfinity}, 1);
            check(plain.found.status == Status::ok && plain.found.iterations == iterations, what + ": iterations");
            const double worst = worst_of_rows(problem, costs, plain, epsilon);
            check(worst < exact, what + ": rows off by " + std::to_string(worst));
        }
        const Options options{tolerance, 5000, kInfinity, kInfinity};
        const Answer<T> solved = transport(isa, problem, epsilon, options, 1);
        const auto [error, cost] = facts_of_plan(costs, problem.a, problem.b, solved.f, solved.g, epsilon);
        check(solved.found.status == Status::ok && error < 1.01 * tolerance + exact,
              what + ": status " + std::to_string(static_cast<int>(solved.found.status)) + ", error " +
                  std::to_string(error / tolerance) + " of the tolerance");
        check(std::abs(solved.found.cost - cost) < 1e-5 * std::max(most, 1e-3), what + ": cost");
        const Answer<T> shared = transport(isa, problem, epsilon, options, 3);
        check(shared.f == solved.f && shared.g == solved.g, what + ": other bits on three threads");
    }
}

template <class T>
void try_half_step(std::size_t n, std::size_t m, std::size_t dim, std::mt19937& random) {
    const Problem<T> problem = make<T>(n, m, dim, PointMetric::dot, 0, 0, random);
    std::vector<T> vectors(m * 5);
    std::normal_distribution<double> normal;
    for (T& value : vectors) value = T(normal(random));
    const auto view = [&](const std::vector<T>& points, std::size_t count) {
        const auto columns = static_cast<std::int64_t>(dim);
        return MatrixView<T>{points.data(), static_cast<std::int64_t>(count), columns, columns, 1};
    };
    const std::vector<double> centre(dim);
    TiledCloud x, y;
    x.take(view(problem.x, n), centre.data(), 1, false);
    y.take(view(problem.y, m), centre.data(), 1, false);
    std::vector<T> level(static_cast<std::size_t>(tiles_of(y.cloud<T>().count) * kTile),
                         -std::numeric_limits<T>::infinity());
    // Levels that rise by far more than an exponential holds.
    for (std::size_t j = 0; j < m; j += 2) level[j] = T(0.5 * double(j));
    const std::vector<double> costs = problem.costs();
    const double exact = sizeof(T) == sizeof(float) ? 2e-4 : 1e-12;
    for (const Isa isa : available_isas()) {
        HalfStep<T> half_step(table_for<PointKernels<T>>(isa));
        RowGroup<T> group;
        for (std::int64_t first = 0; first < static_cast<std::int64_t>(n); first += kGroup) {
            const std::int64_t count = std::min(kGroup, static_cast<std::int64_t>(n) - first);
            group.take(x.cloud<T>(), count, [&](std::int64_t r) { return first + r; });
            double log_sum[kGroup];
            T out[kGroup * 5];
            half_step.run(group.against(y.cloud<T>(), Form::products, T(2)), level.data(), log_sum,
                          Mixed<T>{vectors.data(), 5, 5}, out);
            for (std::int64_t r = 0; r < count; ++r) {
                std::vector<double> values(m);
                for (std::size_t j = 0; j < m; ++j)
                    values[j] = double{level[j]} - 2 * costs[static_cast<std::size_t>(first + r) * m + j];
                const double wanted = log_sum_exp(values);
                check(std::abs(log_sum[r] - wanted) < exact * std::max(1.0, std::abs(wanted)),
                      problem.words() + ": half-step on " + std::string(name(isa)));
                for (std::size_t c = 0; c < 5; ++c) {
                    double mean = 0;
                    for (std::size_t j = 0; j < m; ++j)
                        mean += std::exp(values[j] - wanted) * double{vectors[j * 5 + c]};
                    check(std::abs(double{out[r * 5 + static_cast<std::int64_t>(c)]} - mean) < 10 * exact,
                          problem.words() + ": means on " + std::string(name(isa)));
                }
            }
        }
    }
}

// Clouds whose offsets are a million times their spread, clouds that are one, and points of no length.
void try_places() {
    std::mt19937 random(7);
    for (const PointMetric metric : {PointMetric::sqeuclidean, PointMetric::euclidean}) {
        try_problem(make<double>(40, 50, 3, metric, 0, 1e6, random), 0.01, 1e-6, 1e-8);
        try_problem(make<double>(40, 50, 20, metric, 0, 1e6, random), 0.01, 1e-6, 1e-8);
        try_problem(make<float>(40, 50, 20, metric, 0, 1e4, random), 0.01, 1e-3, 1e-4);
        Problem<double> same = make<double>(33, 33, 4, metric, 0, 0, random);
        same.y = same.x;
        same.b = same.a;
        try_problem(same, 0.01, 1e-8, 1e-6);
        std::fill(same.x.begin(), same.x.end(), 0.25);
        same.y = same.x;
        try_problem(same, 0.01, 1e-8, 1e-8);
    }
    Problem<float> none = make<float>(9, 12, 5, PointMetric::cosine, 0, 0, random);
    std::fill_n(none.x.begin() + 10, 5, 0.0f);
    try_problem(none, 0.05, 1e-4, 1e-4);
}

// Potentials of the iteration before that are far from the next ones: rows and columns take the safe way.
void try_far() {
    std::mt19937 random(11);
    for (const PointMetric metric : kMetrics) {
        try_problem(make<double>(60, 70, 2, metric, 0.2, 0, random), 1e-5, 1e-6, 1e-3);
        try_problem(make<float>(60, 70, 2, metric, 0.2, 0, random), 1e-3, 2e-3, 1e-3);
    }
}

// Clusters that differ in mass: leaps move the potentials of a cluster by thousands of times epsilon.
void try_clusters() {
    std::mt19937 random(5);
    std::uniform_real_distribution<double> unit(0, 1);
    for (const double share : {1e-3, 1e-4}) {
        Problem<double> problem = make<double>(60, 50, 1, PointMetric::sqeuclidean, 0, 0, random);
        for (auto* cloud : {&problem.x, &problem.y})
            for (double& value : *cloud) value = double(random() % 5) * 10 + unit(random);
        problem.a.assign(60, 1.0 / 60);
        problem.b.assign(50, 1.0 / 50);
        try_problem(problem, share, 1e-7, 1e-5);
    }
}

void try_unbalanced() {
    std::mt19937 random(13);
    for (const Isa isa : available_isas())
        for (const double rho : {0.05, 1.0, 30.0}) {
            Problem<double> problem = make<double>(30, 41, 3, PointMetric::sqeuclidean, 0.2, 0, random);
            for (double& weight : problem.b) weight *= 3;
            const std::vector<double> costs = problem.costs();
            constexpr double epsilon = 0.1;
            const auto answer = transport(isa, problem, epsilon, {1e-9, 5000, rho, rho}, 1);
            check(answer.found.status == Status::ok, "unbalanced: status");
            // At the optimum, a row's sum is its weight times exp(-(f - epsilon log a) / rho).
            double worst = 0;
            for (std::size_t i = 0; i < problem.n; ++i) {
                double sum = 0;
                for (std::size_t j = 0; j < problem.m; ++j)
                    sum += std::exp((answer.f[i] + answer.g[j] - costs[i * problem.m + j]) / epsilon);
                const double a = problem.a[i];
                const double wanted = a > 0 ? a * std::exp(-(answer.f[i] - epsilon * std::log(a)) / rho) : 0;
                worst = std::max(worst, std::abs(sum - wanted));
            }
            check(worst < 1e-8, "unbalanced: rows off by " + std::to_string(worst));
        }
}

void try_wrong() {
    std::mt19937 random(17);
    for (const Isa isa : available_isas()) {
        Problem<double> problem = make<double>(5, 7, 3, PointMetric::sqeuclidean, 0, 0, random);
        problem.y[11] = std::nan("");
        const auto in_y = transport(isa, problem, 0.1, {}, 1).found;
        check(in_y.status == Status::nan && in_y.row == -1 && in_y.column == 11, "NaN in y is found");
        problem.x[4] = kInfinity;
        const auto in_x = transport(isa, problem, 0.1, {}, 1).found;
        check(in_x.status == Status::nan && in_x.row == 4 && in_x.column == -1, "inf in x is found");
    }
    const Problem<float> large = make<float>(600, 600, 3, PointMetric::sqeuclidean, 0, 0, random);
    for (const int threads : {1, 3}) {
        Stopper stopper;
        const Options options{0, std::int64_t{1} << 40, kInfinity, kInfinity};
        check(transport(available_isas().back(), large, 0.1, options, threads, &stopper).run.stopped, "a call stops");
    }
}

}  // namespace

int main() {
    std::mt19937 random(3);
    for (const PointMetric metric : kMetrics)
        for (const auto dim : std::initializer_list<std::size_t>{1, 2, 3, 5, 16, 64, 300})
            for (const auto& [n, m] : {std::pair<std::size_t, std::size_t>{1, 1}, {1, 9}, {17, 33}, {70, 40}})
                for (const double share : {0.5, 0.01}) {
                    if (few() && n > 17 && dim > 5) continue;
                    try_problem(make<float>(n, m, dim, metric, 0.2, 0, random), share, 2e-4, 1e-4);
                    try_problem(make<double>(n, m, dim, metric, 0.2, 0, random), share, 1e-8, 1e-8);
                }
    try_problem(make<float>(400, 600, 3, PointMetric::sqeuclidean, 0.1, 0, random), 0.05, 2e-4, 1e-4);
    try_half_step<float>(11, 2100, 7, random);
    try_half_step<double>(11, 2100, 7, random);
    try_places();
    try_far();
    try_clusters();
    try_unbalanced();
    try_wrong();
    return report();
}
