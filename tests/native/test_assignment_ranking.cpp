// The k cheapest matchings against all matchings there are, sorted.
//
// Each matrix has a heap block of its own, of exactly its size: a read past the last row is one past the block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "assignment/ranking.hpp"
#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "stopper.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::assignment;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
// Totals are of a handful of costs, in float64 whatever the dtype.
constexpr double kTolerance = 1e-14;

template <class T>
struct Case {
    std::int64_t rows, columns;
    bool by_columns;
    std::vector<T> memory;
    std::vector<std::int64_t> col_of_row;
    std::vector<double> total;

    Case(std::int64_t n, std::int64_t m, bool turned, std::int64_t k)
        : rows(n),
          columns(m),
          by_columns(turned),
          memory(static_cast<std::size_t>(n * m)),
          col_of_row(static_cast<std::size_t>(k * n), -1),
          total(static_cast<std::size_t>(k), kInfinite) {}

    T& at(std::int64_t i, std::int64_t j) {
        return memory[static_cast<std::size_t>(by_columns ? j * rows + i : i * columns + j)];
    }
    MatrixView<T> costs() const {
        return {memory.data(), rows, columns, by_columns ? 1 : columns, by_columns ? rows : 1};
    }
    Ranking ranking() { return {col_of_row.data(), rows, total.data(), {}}; }
};

// Of every matching of the whole shorter side that avoids infinite costs, the total. Rows are decided one by one.
template <class T>
void enumerate(Case<T>& c, std::int64_t row, std::int64_t made, std::vector<char>& taken, double sum,
               std::vector<double>& out) {
    const std::int64_t wanted = std::min(c.rows, c.columns);
    if (wanted - made > c.rows - row) return;
    if (row == c.rows) return out.push_back(sum);
    enumerate(c, row + 1, made, taken, sum, out);
    for (std::int64_t j = 0; j < c.columns; ++j) {
        char& is_taken = taken[static_cast<std::size_t>(j)];
        const auto cost = static_cast<double>(c.at(row, j));
        if (is_taken || std::isinf(cost)) continue;
        is_taken = 1;
        enumerate(c, row + 1, made + 1, taken, sum + cost, out);
        is_taken = 0;
    }
}

template <class T>
std::vector<double> all_totals(Case<T>& c) {
    std::vector<double> out;
    std::vector<char> taken(static_cast<std::size_t>(c.columns), 0);
    enumerate(c, 0, 0, taken, 0, out);
    std::sort(out.begin(), out.end());
    return out;
}

template <class T>
void expect(Case<T>& c, std::int64_t k, bool maximize, const std::string& label) {
    const double sign = maximize ? -1 : 1;
    std::vector<double> wanted = all_totals(c);
    if (maximize) std::reverse(wanted.begin(), wanted.end());
    const std::size_t count = std::min(wanted.size(), static_cast<std::size_t>(k));
    std::set<std::vector<std::int64_t>> seen;
    for (std::size_t n = 0; n < static_cast<std::size_t>(k); ++n) {
        const auto begin = c.col_of_row.begin() + static_cast<std::ptrdiff_t>(n) * c.rows;
        const std::vector<std::int64_t> columns(begin, begin + c.rows);
        if (n >= count) {
            check(c.total[n] == sign * kInfinite, label + "no total past the last");
            check(std::all_of(columns.begin(), columns.end(), [](std::int64_t j) { return j == -1; }),
                  label + "no pairs past the last");
            continue;
        }
        check(std::abs(c.total[n] - wanted[n]) <= kTolerance * (1 + std::abs(wanted[n])), label + "total");
        check(seen.insert(columns).second, label + "each once");
        double sum = 0;
        std::set<std::int64_t> used;
        for (std::int64_t i = 0; i < c.rows; ++i) {
            const std::int64_t j = columns[static_cast<std::size_t>(i)];
            if (j < 0) continue;
            check(j < c.columns && used.insert(j).second, label + "a matching");
            sum += static_cast<double>(c.at(i, j));
        }
        check(static_cast<std::int64_t>(used.size()) == std::min(c.rows, c.columns), label + "the whole shorter side");
        check(std::abs(sum - c.total[n]) <= kTolerance * (1 + std::abs(sum)), label + "total of the pairs");
    }
}

template <class T>
void small_ones(std::int64_t k, bool maximize) {
    std::mt19937_64 random(static_cast<std::uint64_t>(2 * k + maximize));
    std::uniform_int_distribution<std::int64_t> length(0, 5);
    std::uniform_int_distribution<int> small(-4, 4);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<Case<T>> cases;
    for (int n = 0; n < 200; ++n) {
        const std::int64_t rows = length(random), columns = n % 3 == 0 ? rows : length(random);
        Case<T>& c = cases.emplace_back(rows, columns, n % 2 == 0, k);
        std::fill(c.total.begin(), c.total.end(), maximize ? -kInfinite : kInfinite);
        for (T& x : c.memory) {
            x = static_cast<T>(n % 4 < 2 ? uniform(random) : small(random));
            if (n % 5 == 0 && uniform(random) < -0.5) x = static_cast<T>(maximize ? -kInfinite : kInfinite);
        }
    }
    for (const Isa isa : available_isas()) {
        std::vector<Case<T>> rooms = cases;
        RaggedTable problems(static_cast<std::int64_t>(rooms.size()));
        std::vector<Ranking> results;
        for (Case<T>& c : rooms) {
            problems.add(c.costs());
            results.push_back(c.ranking());
        }
        Pulse pulse(nullptr);
        const Run run =
            rank<T>(kernels_for<double>(isa), problems.batch(), k, {maximize, false, 0, 2, false}, 0, pulse, results);
        check(!run.stopped && run.workers >= 1 && run.workers <= 2, "ran");
        for (std::size_t n = 0; n < rooms.size(); ++n) {
            check(results[n].outcome.status == (all_totals(rooms[n]).empty() ? Status::infeasible : Status::ok),
                  "status");
            expect(rooms[n], k, maximize,
                   std::string(sizeof(T) == 4 ? "float32 " : "float64 ") + std::to_string(k) + " of " +
                       std::to_string(rooms[n].rows) + " x " + std::to_string(rooms[n].columns) + ": ");
        }
    }
}

template <class T>
void bad_values() {
    for (const auto& [rows, columns] : {std::pair<std::int64_t, std::int64_t>{3, 5}, {5, 3}}) {
        Case<T> c(rows, columns, false, 2);
        c.at(2, 1) = std::numeric_limits<T>::quiet_NaN();
        std::vector<Ranking> results{c.ranking()};
        Pulse pulse(nullptr);
        RaggedTable one(1);
        one.add(c.costs());
        rank<T>(kernels_for<double>(choose_isa("")), one.batch(), 2, {}, 1e9, pulse, results);
        const Outcome& outcome = results[0].outcome;
        check(outcome.status == Status::nan && outcome.row == 2 && outcome.column == 1, "bad value");
    }
}

template <class T>
void stops() {
    constexpr std::int64_t n = 60, k = 2000;
    Case<T> c(n, n, false, k);
    std::mt19937_64 random(5);
    for (T& x : c.memory) x = static_cast<T>(std::uniform_real_distribution<double>(0, 1)(random));
    // So much work that the question comes, after 20 ms, while a search is on.
    RaggedTable problems(2000);
    for (int copy = 0; copy < 2000; ++copy) problems.add(c.costs());
    std::vector<Ranking> results(2000, c.ranking());
    Stopper stopper;
    Pulse pulse(&stopper);
    check(rank<T>(kernels_for<double>(choose_isa("")), problems.batch(), k, {}, 1e9, pulse, results).stopped, "stops");
}

template <class T>
void all() {
    for (const bool maximize : {false, true})
        for (const std::int64_t k : {1, 2, 7, 150}) small_ones<T>(k, maximize);
    bad_values<T>();
    stops<T>();
}

}  // namespace

int main() {
    all<float>();
    all<double>();
    return report();
}
