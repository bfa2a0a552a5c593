// The engine of step patterns against a plain recursion over the table, bit for bit, and its paths.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "warping/step_pattern.hpp"

namespace {

using namespace coalign;
using namespace coalign::warping;
using coalign::testing::check;
using coalign::testing::report;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Moves = std::vector<StepPattern::Cell>;  // frames of x, frames of y, weight

StepPattern pattern_of(const std::vector<Moves>& steps, bool open_begin, bool open_end) {
    StepPattern pattern;
    pattern.open_begin = open_begin;
    pattern.open_end = open_end;
    for (const Moves& moves : steps) {
        StepPattern::Step step{0, 0, pattern.cells.size(), 0};
        for (const auto& move : moves) {
            step.rows += move.rows;
            step.columns += move.columns;
        }
        std::int64_t rows = step.rows, columns = step.columns;
        for (const auto& move : moves)
            pattern.cells.push_back({rows -= move.rows, columns -= move.columns, move.weight});
        step.last = pattern.cells.size();
        pattern.rows = std::max(pattern.rows, step.rows);
        pattern.columns = std::max(pattern.columns, step.columns);
        pattern.crossing += step.rows > 0;
        pattern.steps.push_back(step);
    }
    return pattern;
}

// Costs are small integers and weights halves, so every sum is exact in any order.
struct Problem64 {
    std::int64_t n, m;
    std::vector<double> costs;
    double at(const std::vector<Range>& window, std::int64_t i, std::int64_t j) const {
        const Range& row = window[static_cast<std::size_t>(i)];
        return j >= row.start && j < row.stop ? costs[static_cast<std::size_t>(i * m + j)] : kInfinity;
    }
};

double expected(const Problem64& problem, const std::vector<Range>& window, const StepPattern& pattern) {
    const std::int64_t n = problem.n, m = problem.m;
    std::vector<double> total(static_cast<std::size_t>(n * m), kInfinity);
    for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < m; ++j) {
            double& best = total[static_cast<std::size_t>(i * m + j)];
            if (i == 0 && (j == 0 || pattern.open_begin)) best = problem.at(window, i, j);
            for (const auto& step : pattern.steps) {
                if (i < step.rows || j < step.columns) continue;
                double sum = total[static_cast<std::size_t>((i - step.rows) * m + j - step.columns)];
                for (std::size_t c = step.first; c < step.last; ++c) {
                    const auto& cell = pattern.cells[c];
                    const double local = problem.at(window, i - cell.rows, j - cell.columns);
                    sum = local < kInfinity ? sum + cell.weight * local : kInfinity;
                }
                best = std::min(best, sum);
            }
        }
    }
    const auto last = total.end() - m;
    return pattern.open_end ? *std::min_element(last, total.end()) : total.back();
}

void compare(const std::vector<Moves>& steps, std::int64_t n, std::int64_t m, const Window& window, unsigned seed) {
    std::mt19937 random(seed);
    Problem64 problem{n, m, std::vector<double>(static_cast<std::size_t>(n * m))};
    for (double& cost : problem.costs) cost = random() % 8 == 0 ? kInfinity : static_cast<double>(random() % 6);
    Pulse pulse(nullptr);
    Pacer pacer(pulse);
    std::vector<Range> rows;
    check(window_rows(window, n, m, rows, pacer));
    for (const int ends : {0, 1, 2, 3}) {
        const StepPattern pattern = pattern_of(steps, (ends & 1) != 0, (ends & 2) != 0);
        const double wanted = expected(problem, rows, pattern);
        for (const Isa isa : available_isas()) {
            for (const std::int64_t checkpoint_bytes : {kCheckpointBytes, std::int64_t{0}}) {
                const std::string label = std::string(coalign::name(isa)) + " " + std::to_string(n) + " x " +
                                          std::to_string(m) + ", ends " + std::to_string(ends);
                const Options options{Metric::precomputed, window, kInfinity, 1, checkpoint_bytes, &pattern};
                StepRows<double> engine(isa, options, 1, pacer);
                // Exactly the room that is promised to suffice.
                const auto room = static_cast<std::size_t>(n + m - 1);
                std::vector<std::int64_t> x(room), y(room);
                std::vector<double> weight(room);
                ReversePath path{x.data(), y.data(), weight.data()};
                const auto found = engine.run({{nullptr, n}, {nullptr, m}, problem.costs.data(), m}, &path);
                check(found.cost == wanted && found.status == Status::ok && !found.stopped, label + ": cost");
                if (!(wanted < kInfinity)) {
                    check(path.length == 0, label + ": no path");
                    continue;
                }
                double sum = 0;
                for (std::size_t k = 0; k < static_cast<std::size_t>(path.length); ++k)
                    sum += weight[k] * problem.at(rows, x[k], y[k]);
                check(sum == wanted, label + ": the cost of the path");
                check(x[0] == n - 1 && x[static_cast<std::size_t>(path.length) - 1] == 0, label + ": its ends");
            }
        }
    }
}

}  // namespace

int main() {
    const std::vector<std::vector<Moves>> patterns{
        {{{1, 1, 2}}, {{1, 0, 1}}, {{0, 1, 1}}},
        {{{1, 1, 1}}, {{1, 0, 1}}, {{1, 2, 1}}},
        {{{1, 1, 1}, {1, 0, 0}}, {{1, 1, 1}}, {{1, 1, 1}, {0, 1, 0}}},
        {{{1, 1, 2}, {1, 1, 2}, {1, 0, 1}}, {{1, 1, 2}}, {{1, 1, 2}, {1, 1, 2}, {0, 1, 1}}},
        {{{3, 1, 0.5}}, {{1, 1, 1}}, {{1, 0, 1.5}}, {{0, 1, 0}, {0, 2, 1}}, {{0, 1, 2}}},
    };
    unsigned seed = 0;
    for (const auto& steps : patterns) {
        for (const auto& [n, m] :
             {std::pair<std::int64_t, std::int64_t>{1, 1}, {1, 7}, {6, 1}, {9, 9}, {33, 40}, {64, 50}})
            for (const Window& window :
                 {Window{}, Window{Window::Kind::slanted, 5, nullptr}, Window{Window::Kind::itakura, 0, nullptr, 5, 2}})
                compare(steps, n, m, window, ++seed);
        // A row of more than one stretch of columns.
        compare(steps, 3, 5000, {}, ++seed);
    }
    return report();
}
