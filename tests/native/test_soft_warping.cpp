// Soft-DTW reads nothing but the series, and agrees with the double loop on every instruction set.
//
// Each series has a heap block of its own, of exactly its size: a read past the last frame is one past the block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "soft_warping/soft_warping.hpp"
#include "stopper.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::soft_warping;

namespace {

template <class T>
struct Found {
    T value = 0;
    Status status = Status::ok;
    std::vector<T> grad_x, grad_y, visits;
};

template <class T>
Ragged one(const std::vector<T>& series, std::int64_t dim) {
    Ragged out;
    out.data = series.data();
    out.count = 1;
    out.rows = static_cast<std::int64_t>(series.size()) / dim;
    out.columns = out.row_stride = dim;
    return out;
}

template <class T>
Found<T> solve(Isa isa, const std::vector<T>& x, const std::vector<T>& y, std::int64_t dim, const Options& options) {
    const Pairs pairs{one(x, dim), one(y, dim)};
    Found<T> found;
    found.grad_x.resize(x.size());
    found.grad_y.resize(y.size());
    found.visits.resize(x.size() * y.size() / static_cast<std::size_t>(dim * dim));
    const Backward<T> out{found.grad_x.data(), found.grad_y.data(), found.visits.data()};
    Pulse pulse(nullptr);
    solve_pairs<T>(isa, pairs, options, 0, pulse, &found.value, &found.status, &out);
    return found;
}

// The soft minimum by loops over costs over gamma, and forward times backward for the visits.
struct Loops {
    std::size_t n, m;
    std::vector<long double> cost, before, after;

    template <class T>
    Loops(const std::vector<T>& x, const std::vector<T>& y, std::size_t dim, const Options& options)
        : n(x.size() / dim), m(y.size() / dim), cost(n * m), before((n + 1) * (m + 1), kNone), after(before) {
        std::vector<Range> ranges;
        Pulse pulse(nullptr);
        Pacer pacer(pulse);
        if (!warping::row_ranges(options.window, static_cast<std::int64_t>(n), static_cast<std::int64_t>(m), ranges,
                                 pacer))
            std::abort();
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < m; ++j) {
                long double sum = 0, dot = 0, of_x = 0, of_y = 0;
                for (std::size_t d = 0; d < dim; ++d) {
                    const long double a = x[i * dim + d], b = y[j * dim + d];
                    sum += options.metric == Metric::cityblock ? std::abs(a - b) : (a - b) * (a - b);
                    dot += a * b;
                    of_x += a * a;
                    of_y += b * b;
                }
                if (options.metric == Metric::euclidean) sum = std::sqrt(sum);
                if (options.metric == Metric::cosine) sum = 1 - dot / std::sqrt(of_x * of_y);
                const auto column = static_cast<std::int64_t>(j);
                const bool inside = column >= ranges[i].start && column < ranges[i].stop;
                cost[i * m + j] = inside ? sum / options.gamma : kNone;
            }
        at(before, 0, 0) = 0;
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < m; ++j)
                at(before, i + 1, j + 1) =
                    cost[i * m + j] + soft(at(before, i, j), at(before, i, j + 1), at(before, i + 1, j));
        at(after, n, m) = 0;
        for (std::size_t i = n; i-- > 0;)
            for (std::size_t j = m; j-- > 0;)
                at(after, i, j) =
                    cost[i * m + j] + soft(at(after, i + 1, j + 1), at(after, i + 1, j), at(after, i, j + 1));
    }
    long double& at(std::vector<long double>& of, std::size_t i, std::size_t j) const { return of[i * (m + 1) + j]; }
    static long double soft(long double a, long double b, long double c) {
        const long double least = std::min({a, b, c});
        if (!(least < kNone)) return kNone;
        return least - std::log(std::exp(least - a) + std::exp(least - b) + std::exp(least - c));
    }
    double value(double gamma) { return static_cast<double>(at(before, n, m)) * gamma; }
    double visits(std::size_t i, std::size_t j) {
        const long double own = cost[i * m + j];
        if (!(own < kNone)) return 0;
        return static_cast<double>(std::exp(at(before, n, m) - (at(before, i + 1, j + 1) + at(after, i, j) - own)));
    }
    static constexpr long double kNone = std::numeric_limits<long double>::infinity();
};

template <class T>
void try_pair(std::size_t n, std::size_t m, std::size_t dim, const Options& options, std::mt19937& random,
              const std::string& what) {
    std::normal_distribution<double> normal;
    std::vector<T> x(n * dim), y(m * dim);
    for (T& value : x) value = static_cast<T>(normal(random));
    for (T& value : y) value = static_cast<T>(normal(random));
    Loops loops(x, y, dim, options);
    const double value = loops.value(options.gamma);
    const double size = std::abs(value) + options.gamma * static_cast<double>(n + m);
    const double tolerance = sizeof(T) == 4 ? std::max(1e-4, 1e-6 * size / options.gamma) : 1e-8;
    for (const Isa isa : available_isas()) {
        const std::string place = what + " " + std::string(name(isa));
        Options kept = options;
        for (const std::int64_t bytes : {std::int64_t{0}, kRecordedBytes}) {
            kept.recorded_bytes = bytes;
            const Found<T> found = solve(isa, x, y, static_cast<std::int64_t>(dim), kept);
            check(found.status == Status::ok, place);
            check(std::abs(static_cast<double>(found.value) - value) <= 1e-2 * tolerance * size, place);
            double worst = 0, worst_slope = 0;
            for (std::size_t i = 0; i < n; ++i) {
                double slope = 0;
                for (std::size_t j = 0; j < m; ++j) {
                    const double visits = loops.visits(i, j);
                    worst = std::max(worst, std::abs(visits - static_cast<double>(found.visits[i * m + j])));
                    slope += 2 * visits * (static_cast<double>(x[i * dim]) - static_cast<double>(y[j * dim]));
                }
                worst_slope = std::max(worst_slope, std::abs(slope - static_cast<double>(found.grad_x[i * dim])));
            }
            check(worst <= tolerance, place + " visits");
            if (options.metric == Metric::sqeuclidean) check(worst_slope <= 20 * tolerance, place + " gradient");
        }
    }
}

template <class T>
void try_all(std::mt19937& random) {
    const std::string label = sizeof(T) == 4 ? "float32" : "float64";
    const std::size_t shapes[][2] = {{1, 1}, {1, 9}, {17, 2}, {16, 16}, {33, 20}, {70, 90}};
    for (const auto& [n, m] : shapes) {
        if (few() && n > 40) break;
        for (const double gamma : {0.01, 1.0, 100.0})
            for (const std::int64_t radius : {-1, 0, 4}) {
                Options options;
                options.gamma = gamma;
                if (radius >= 0) options.window = {Window::Kind::band, radius, nullptr};
                const std::string what = label + " " + std::to_string(n) + " x " + std::to_string(m);
                for (const Metric metric :
                     {Metric::sqeuclidean, Metric::euclidean, Metric::cityblock, Metric::cosine}) {
                    options.metric = metric;
                    try_pair<T>(n, m, metric == Metric::sqeuclidean ? 1 : 3, options, random, what);
                }
            }
    }
}

// Costs that are given, of rows farther apart than they are long, have the bits of the series that they are of.
template <class T>
void try_costs(std::mt19937& random) {
    std::normal_distribution<double> normal;
    for (const auto& [n, m] : {std::pair<std::size_t, std::size_t>{1, 1}, {1, 9}, {17, 5}, {40, 33}}) {
        std::vector<T> x(n), y(m), costs((n - 1) * (m + 3) + m, std::numeric_limits<T>::quiet_NaN());
        for (T& value : x) value = static_cast<T>(normal(random));
        for (T& value : y) value = static_cast<T>(normal(random));
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < m; ++j) costs[i * (m + 3) + j] = std::abs(x[i] - y[j]);
        Ragged given;
        given.data = costs.data();
        given.count = 1;
        given.rows = static_cast<std::int64_t>(n);
        given.columns = static_cast<std::int64_t>(m);
        given.row_stride = static_cast<std::int64_t>(m + 3);
        for (const Isa isa : available_isas()) {
            Options options;
            options.metric = Metric::cityblock;
            options.gamma = 0.3;
            options.recorded_bytes = 0;
            const Found<T> series = solve(isa, x, y, 1, options);
            options.metric = Metric::precomputed;
            Found<T> found;
            found.visits.resize(n * m);
            const Backward<T> out{nullptr, nullptr, found.visits.data()};
            Pulse pulse(nullptr);
            solve_pairs<T>(isa, {given, {}}, options, 0, pulse, &found.value, &found.status, &out);
            check(found.status == Status::ok && found.value == series.value, "the value of given costs");
            check(found.visits == series.visits, "the visits of given costs");
        }
    }
}

// A window without a path: no value, and gradients of zero.
void try_infeasible() {
    const std::int64_t rows[] = {0, 1, 0, 1, 0, 1};
    Options options;
    options.window = {Window::Kind::rows, 0, rows};
    const std::vector<double> x{0, 1, 2}, y{0, 2};
    const Found<double> found = solve(available_isas().front(), x, y, 1, options);
    check(found.status == Status::infeasible && std::isinf(found.value));
    check(std::all_of(found.grad_x.begin(), found.grad_x.end(), [](double g) { return g == 0; }));
}

// Seconds of work, without and with going backward, that end at the first question.
void try_stopping() {
    const std::vector<float> x(60000, 1), y(60000, 2);
    std::vector<float> grad_x(x.size()), grad_y(y.size());
    const Backward<float> backward{grad_x.data(), grad_y.data(), nullptr};
    for (const Backward<float>& out : {Backward<float>{}, backward}) {
        Stopper stopper;
        Pulse pulse(&stopper);
        float value = 0;
        Status status = Status::ok;
        const Run run = solve_pairs<float>(available_isas().back(), {one(x, 1), one(y, 1)}, Options{}, 0, pulse, &value,
                                           &status, &out);
        check(run.stopped && value == 0, "a stopped call has no value");
    }
}

}  // namespace

int main() {
    std::mt19937 random(1);
    try_all<float>(random);
    try_all<double>(random);
    try_costs<float>(random);
    try_costs<double>(random);
    try_infeasible();
    try_stopping();
    return report();
}
