// Sparse costs against every matching there is, and large ones against their own duals.
//
// Every array has a heap block of its own, of exactly its size: a read past the last entry is one past the block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "assignment/sparse.hpp"
#include "check.hpp"
#include "core/parallel.hpp"
#include "stopper.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::assignment;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

struct Triple {
    std::int64_t row, column;
    double cost;
};

// Costs of pairs, at most one for each; when maximising, the solver is given their negatives.
struct Problem {
    std::int64_t rows, columns;
    std::vector<Triple> pairs;
};

enum class Wanted { whole, limited, largest };

constexpr double kLimit = 0.25;

// The best of all matchings: how many pairs, and the sum of their costs less the limit. Rows are decided one by one.
struct Best {
    std::int64_t pairs = -1;
    double sum = kInfinite;
};

void enumerate(const Problem& p, Wanted wanted, std::int64_t row, std::vector<char>& taken, Best so_far, Best& best) {
    if (row == p.rows) {
        const bool is_better = wanted == Wanted::limited
                                   ? so_far.sum < best.sum
                                   : so_far.pairs > best.pairs || (so_far.pairs == best.pairs && so_far.sum < best.sum);
        if (is_better) best = so_far;
        return;
    }
    enumerate(p, wanted, row + 1, taken, so_far, best);
    for (const Triple& t : p.pairs) {
        char& is_taken = taken[static_cast<std::size_t>(t.column)];
        if (t.row != row || is_taken || std::isinf(t.cost)) continue;
        is_taken = 1;
        const double cost = wanted == Wanted::limited ? t.cost - kLimit : t.cost;
        enumerate(p, wanted, row + 1, taken, {so_far.pairs + 1, so_far.sum + cost}, best);
        is_taken = 0;
    }
}

Best best_of_all(const Problem& p, Wanted wanted) {
    Best best;
    std::vector<char> taken(static_cast<std::size_t>(p.columns), 0);
    enumerate(p, wanted, 0, taken, {0, 0}, best);
    return best;
}

Problem draw(std::mt19937_64& random, std::int64_t rows, std::int64_t columns, double density, bool has_integers) {
    std::uniform_real_distribution<double> uniform(0, 1);
    std::uniform_int_distribution<int> small(-3, 3);
    Problem p{rows, columns, {}};
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
            if (!(uniform(random) < density)) continue;
            const double cost = uniform(random) < 0.05 ? kInfinite
                                : has_integers         ? 0.125 * small(random)
                                                       : uniform(random) - 0.5;
            // Rounded as float32 has it, so that both dtypes solve one problem.
            p.pairs.push_back({i, j, static_cast<double>(static_cast<float>(cost))});
        }
    }
    return p;
}

// How the entries are laid out: by rows or columns, in what order, with indices of what width.
struct Layout {
    bool by_columns, wide, split;
};

template <class T>
struct Case {
    Case(Problem p, Layout given, bool maximize, std::mt19937_64& random)
        : problem(std::move(p)),
          layout(given),
          col_of_row(static_cast<std::size_t>(problem.rows), -1),
          row_of_col(static_cast<std::size_t>(problem.columns), -1),
          row_dual(col_of_row.size()),
          col_dual(row_of_col.size()) {
        std::vector<Triple> entries;
        for (const Triple& t : problem.pairs) {
            const double cost = maximize ? -t.cost : t.cost;
            // Halves of what has few digits add up to the same.
            for (int part = 0; part < (layout.split ? 2 : 1); ++part)
                entries.push_back({t.row, t.column, layout.split ? cost / 2 : cost});
        }
        std::shuffle(entries.begin(), entries.end(), random);
        const auto line = [&](const Triple& t) { return layout.by_columns ? t.column : t.row; };
        std::sort(entries.begin(), entries.end(), [&](const Triple& a, const Triple& b) { return line(a) < line(b); });
        const std::int64_t lines = layout.by_columns ? problem.columns : problem.rows;
        std::size_t at = 0;
        for (std::int64_t k = 0; k <= lines; ++k) {
            while (at < entries.size() && line(entries[at]) < k) ++at;
            starts.push_back(static_cast<std::int64_t>(at));
        }
        for (const Triple& t : entries) {
            indices.push_back(layout.by_columns ? t.row : t.column);
            values.push_back(static_cast<T>(t.cost));
        }
        narrow_starts.assign(starts.begin(), starts.end());
        narrow_indices.assign(indices.begin(), indices.end());
        for (auto* part : {&starts, &indices}) part->shrink_to_fit();
        values.shrink_to_fit();
    }

    SparseCosts costs() const {
        const auto* at = layout.wide ? static_cast<const void*>(starts.data()) : narrow_starts.data();
        const auto* of = layout.wide ? static_cast<const void*>(indices.data()) : narrow_indices.data();
        return {at,
                of,
                layout.wide,
                values.data(),
                problem.rows,
                problem.columns,
                layout.by_columns,
                static_cast<std::int64_t>(values.size())};
    }
    Result<T> result() { return {col_of_row.data(), row_of_col.data(), row_dual.data(), col_dual.data(), &total, {}}; }

    Problem problem;
    Layout layout;
    std::vector<std::int64_t> starts, indices;
    std::vector<std::int32_t> narrow_starts, narrow_indices;
    std::vector<T> values;
    std::vector<std::int64_t> col_of_row, row_of_col;
    std::vector<T> row_dual, col_dual;
    double total = -1;
};

Options options_of(Wanted wanted, bool maximize, int threads) {
    const double sign = maximize ? -1 : 1;
    return {maximize, wanted != Wanted::whole, sign * (wanted == Wanted::limited ? kLimit : kInfinite), threads, false};
}

// That the pairs are a matching, and the duals feasible and equal to the cost on pairs; the pairs, and their sum.
template <class T>
Best examine(const Case<T>& c, Wanted wanted, bool maximize, const std::string& label) {
    const double sign = maximize ? -1 : 1;
    double largest = 1;
    for (const T u : c.row_dual) largest = std::max(largest, std::abs(static_cast<double>(u)));
    for (const T v : c.col_dual) largest = std::max(largest, std::abs(static_cast<double>(v)));
    const double reach = 64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * largest;
    const auto u = [&](std::int64_t i) { return sign * static_cast<double>(c.row_dual[static_cast<std::size_t>(i)]); };
    const auto v = [&](std::int64_t j) { return sign * static_cast<double>(c.col_dual[static_cast<std::size_t>(j)]); };
    Best made{0, 0};
    double sum = 0, most = 0;
    bool is_feasible = true;
    for (const Triple& t : c.problem.pairs) {
        if (std::isinf(t.cost)) continue;
        is_feasible &= u(t.row) + v(t.column) <= t.cost + reach;
        if (c.col_of_row[static_cast<std::size_t>(t.row)] != t.column) continue;
        check(c.row_of_col[static_cast<std::size_t>(t.column)] == t.row, label + "two sides of one matching");
        is_feasible &= u(t.row) + v(t.column) >= t.cost - reach;
        if (wanted == Wanted::limited) check(t.cost < kLimit, label + "below the limit");
        ++made.pairs;
        made.sum += wanted == Wanted::limited ? t.cost - kLimit : t.cost;
        sum += t.cost;
    }
    check(is_feasible, label + "duals");
    check(std::abs(sign * c.total - sum) <= reach, label + "total of the pairs");
    // Each pair stands in the lists: no row or column has a partner besides.
    for (const auto* side : {&c.col_of_row, &c.row_of_col})
        check(std::count_if(side->begin(), side->end(), [](std::int64_t k) { return k >= 0; }) == made.pairs,
              label + "pairs of entries");
    if (wanted == Wanted::whole) return made;
    for (std::int64_t i = 0; i < c.problem.rows; ++i) most = std::max(most, u(i));
    const double limit = wanted == Wanted::limited ? kLimit : most;
    for (std::int64_t i = 0; i < c.problem.rows; ++i)
        check(c.col_of_row[static_cast<std::size_t>(i)] >= 0 ? u(i) <= limit + reach : u(i) == limit,
              label + "rows' duals");
    for (std::int64_t j = 0; j < c.problem.columns; ++j)
        check(c.row_of_col[static_cast<std::size_t>(j)] >= 0 ? v(j) <= 0 : v(j) == 0, label + "columns' duals");
    return made;
}

template <class T>
Run solve(std::vector<Case<T>>& cases, const Options& options, std::vector<Result<T>>& results) {
    std::vector<SparseCosts> problems;
    for (Case<T>& c : cases) {
        problems.push_back(c.costs());
        results.push_back(c.result());
    }
    Pulse pulse(nullptr);
    return assign_sparse<T>(problems, options, 0, pulse, results);
}

// The same problems as whole matrices, by rows or by columns, whose other pairs are forbidden.
template <class T>
Run solve_dense(std::vector<Case<T>>& cases, const Options& options, std::vector<Result<T>>& results) {
    const T sign = options.maximize ? T(-1) : T(1);
    std::vector<std::vector<T>> matrices;
    RaggedTable table(static_cast<std::int64_t>(cases.size()));
    for (Case<T>& c : cases) {
        const auto& [rows, columns, pairs] = c.problem;
        const std::int64_t down = c.layout.by_columns ? 1 : columns, across = c.layout.by_columns ? rows : 1;
        auto& matrix =
            matrices.emplace_back(static_cast<std::size_t>(rows * columns), sign * std::numeric_limits<T>::infinity());
        for (const Triple& t : pairs)
            matrix[static_cast<std::size_t>(t.row * down + t.column * across)] = sign * static_cast<T>(t.cost);
        table.add(MatrixView<T>{matrix.data(), rows, columns, down, across});
        results.push_back(c.result());
    }
    Pulse pulse(nullptr);
    Scans scans;
    return assign<T>(kernels_for<T>(choose_isa("")), table.batch(), options, 0, pulse, results, scans);
}

template <class T>
void small_ones(Wanted wanted, bool maximize, bool dense = false) {
    std::mt19937_64 random(static_cast<std::uint64_t>(wanted) * 2 + maximize);
    std::uniform_int_distribution<std::int64_t> length(0, 6);
    std::vector<Case<T>> cases;
    cases.reserve(600);
    for (int k = 0; k < 600; ++k) {
        const std::int64_t rows = length(random), columns = k % 3 == 0 ? rows : length(random);
        // Only eighths have halves that are exact; the others are stored whole.
        const bool has_integers = k % 2 == 0;
        cases.emplace_back(draw(random, rows, columns, k % 5 == 0 ? 0.9 : 0.4, has_integers),
                           Layout{k % 4 < 2, k % 8 < 4, has_integers && k % 16 < 8}, maximize, random);
    }
    std::vector<Result<T>> results;
    const Run run = (dense ? solve_dense<T> : solve<T>)(cases, options_of(wanted, maximize, 2), results);
    check(!run.stopped && run.workers >= 1 && run.workers <= 2, "ran");
    for (std::size_t k = 0; k < cases.size(); ++k) {
        const Problem& p = cases[k].problem;
        const std::string label = std::string(dense ? "dense " : "") + (sizeof(T) == 4 ? "float32 " : "float64 ") +
                                  (maximize ? "maximised " : "") + std::to_string(static_cast<int>(wanted)) + " " +
                                  std::to_string(p.rows) + " x " + std::to_string(p.columns) + ": ";
        const Best best = best_of_all(p, wanted);
        const bool exists = wanted != Wanted::whole || best.pairs == std::min(p.rows, p.columns);
        check((results[k].outcome.status == Status::ok) == exists, label + "status");
        if (!exists) continue;
        const Best made = examine(cases[k], wanted, maximize, label);
        if (wanted != Wanted::limited) check(made.pairs == best.pairs, label + "as many pairs");
        check(std::abs(made.sum - best.sum) <= 32 * static_cast<double>(std::numeric_limits<T>::epsilon()),
              label + "the optimum");
    }
}

// Hundreds of rows, so that prices are scaled and paths are long; what is examined proves the optimum. With few entries
// some rows have to stay free.
template <class T>
void large_ones(Wanted wanted, bool dense = false) {
    std::mt19937_64 random(7);
    std::vector<Case<T>> cases;
    for (const auto& [rows, columns] : {std::pair{300, 300}, {300, 200}, {200, 300}})
        for (const double mean : {1.0, 3.0, 12.0})
            cases.emplace_back(draw(random, rows, columns, mean / columns, mean == 3.0), Layout{mean < 2, false, false},
                               false, random);
    if (wanted == Wanted::whole) {
        // A matching, hidden among costs of few factors: these are the hard ones.
        for (Case<T>& c : cases) {
            Problem p{c.problem.rows, c.problem.columns, {}};
            std::vector<double> a, b;
            std::uniform_real_distribution<double> uniform(0, 1);
            for (std::int64_t k = 0; k < 300; ++k) a.push_back(uniform(random)), b.push_back(uniform(random));
            for (std::int64_t i = 0; i < p.rows; ++i)
                for (std::int64_t j = 0; j < p.columns; ++j)
                    if (i == j || uniform(random) < 0.05)
                        p.pairs.push_back({i, j, a[static_cast<std::size_t>(i)] * b[static_cast<std::size_t>(j)]});
            c = Case<T>(std::move(p), c.layout, false, random);
        }
    }
    std::vector<Result<T>> results;
    (dense ? solve_dense<T> : solve<T>)(cases, options_of(wanted, false, 2), results);
    for (std::size_t k = 0; k < cases.size(); ++k) {
        const std::string label =
            std::string(dense ? "dense " : "") + "large " + std::to_string(static_cast<int>(wanted)) + ": ";
        check(results[k].outcome.status == Status::ok, label + "status");
        const Best made = examine(cases[k], wanted, false, label);
        if (wanted == Wanted::whole)
            check(made.pairs == std::min(cases[k].problem.rows, cases[k].problem.columns), label + "the whole side");
    }
}

// The first bad value is named by its row and column, however it is stored.
template <class T>
void bad_values() {
    std::mt19937_64 random(9);
    for (const bool by_columns : {false, true}) {
        for (const auto& [rows, columns] : {std::pair<std::int64_t, std::int64_t>{4, 6}, {6, 4}, {5, 5}}) {
            for (const double bad : {std::numeric_limits<double>::quiet_NaN(), -kInfinite}) {
                for (const double limit : {0.0, 1.0, kInfinite}) {
                    Problem p{rows, columns, {}};
                    for (std::int64_t i = 0; i < rows; ++i)
                        for (std::int64_t j = 0; j < columns; ++j) p.pairs.push_back({i, j, 1});
                    p.pairs[static_cast<std::size_t>(2 * columns + 3)].cost = bad;
                    std::vector<Case<T>> cases{Case<T>(p, {by_columns, true, false}, false, random)};
                    for (const auto run : {solve<T>, solve_dense<T>}) {
                        std::vector<Result<T>> results;
                        run(cases, {false, limit > 0, limit, 1, false}, results);
                        const Outcome& outcome = results[0].outcome;
                        check(outcome.status == (std::isnan(bad) ? Status::nan : Status::invalid), "bad value: status");
                        check(outcome.row == 2 && outcome.column == 3, "bad value: place");
                    }
                }
            }
        }
    }
}

template <class T>
void stops() {
    std::mt19937_64 random(11);
    const Problem problem = draw(random, 800, 800, 0.5, true);
    for (const Wanted wanted : {Wanted::whole, Wanted::limited, Wanted::largest}) {
        // So much work that the question comes, after 20 ms, while the solver is at it.
        Case<T> c(problem, {true, false, false}, false, random);
        const std::vector<SparseCosts> problems(4000, c.costs());
        std::vector<Result<T>> results(problems.size(), c.result());
        Stopper stopper;
        Pulse pulse(&stopper);
        check(assign_sparse<T>(problems, options_of(wanted, false, 1), 1e9, pulse, results).stopped, "stops");
    }
}

template <class T>
void all() {
    for (const Wanted wanted : {Wanted::whole, Wanted::limited, Wanted::largest}) {
        for (const bool maximize : {false, true}) small_ones<T>(wanted, maximize);
        large_ones<T>(wanted);
    }
    for (const bool maximize : {false, true}) small_ones<T>(Wanted::largest, maximize, true);
    large_ones<T>(Wanted::largest, true);
    bad_values<T>();
    stops<T>();
}

}  // namespace

int main() {
    all<float>();
    all<double>();
    return report();
}
