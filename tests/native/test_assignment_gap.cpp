// The gap of an assignment reads nothing but its costs, and is the same however they lie.
//
// Each matrix has a heap block of its own, of exactly its size: a read past the last row is one past the block.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "assignment/gap.hpp"
#include "check.hpp"
#include "core/parallel.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::assignment;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Pairs of the diagonal and small prices: what the gap of a dense problem is, said slowly, for costs that are integers.
double slow_gap(const std::vector<double>& costs, std::int64_t n, std::int64_t m, const std::vector<double>& u,
                const std::vector<double>& v) {
    const bool flips = n > m;
    const std::int64_t lines = flips ? m : n, others = flips ? n : m;
    const std::vector<double>& prices = flips ? u : v;
    const auto cost = [&](std::int64_t line, std::int64_t other) {
        return costs[static_cast<std::size_t>(flips ? other * m + line : line * m + other)];
    };
    const auto price = [&](std::int64_t other) {
        const double given = prices[static_cast<std::size_t>(other)];
        return n != m && given > 0 ? 0 : given;
    };
    double gap = 0;
    for (std::int64_t line = 0; line < lines; ++line) {
        double least = kInfinite;
        for (std::int64_t other = 0; other < others; ++other) least = std::min(least, cost(line, other) - price(other));
        gap += cost(line, line) - price(line) - least;
    }
    for (std::int64_t other = lines; other < others; ++other) gap -= price(other);
    return gap;
}

template <class T>
void try_shape(std::int64_t n, std::int64_t m, std::mt19937& random) {
    std::uniform_int_distribution<int> digit(-9, 9);
    const auto rows = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(m);
    std::vector<double> costs(rows * columns), u(rows), v(columns);
    for (std::vector<double>* values : {&costs, &u, &v})
        for (double& value : *values) value = digit(random);
    std::vector<T> by_rows(costs.begin(), costs.end()), by_columns(costs.size());
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) by_columns[j * rows + i] = by_rows[i * columns + j];
    std::vector<std::int64_t> pairs(rows, -1);
    double total = 0;
    for (std::size_t i = 0; i < std::min(rows, columns); ++i) {
        pairs[i] = static_cast<std::int64_t>(i);
        total += costs[i * columns + i];
    }
    const double wanted = slow_gap(costs, n, m, u, v);
    const std::vector<Claim> claims{{pairs.data(), u.data(), v.data(), total}};
    for (const bool turned : {false, true}) {
        Ragged batch;
        batch.data = turned ? by_columns.data() : by_rows.data();
        batch.count = 1;
        batch.rows = n;
        batch.columns = m;
        batch.row_stride = turned ? 1 : m;
        batch.column_stride = turned ? n : 1;
        Pulse pulse(nullptr);
        double gap = -1;
        std::vector<Outcome> outcomes;
        find_gaps<T>(batch, claims, Options{}, 1, pulse, &gap, outcomes);
        check(outcomes[0].status == Status::ok, "status");
        check(gap == wanted, "gap");
    }
}

}  // namespace

int main() {
    std::mt19937 random(5);
    for (const std::int64_t n : {0, 1, 2, 7, 8, 9, 17, 40})
        for (const std::int64_t m : {0, 1, 3, 8, 16, 23, 65}) {
            try_shape<double>(n, m, random);
            try_shape<float>(n, m, random);
        }
    return report();
}
