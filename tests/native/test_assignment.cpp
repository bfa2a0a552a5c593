// The assignment solver of every instruction set, and the driver of batches, against the Hungarian method in float64.
//
// Each matrix has a heap block of its own, of exactly its size: a read past the last row is one past the block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "assignment/assignment.hpp"
#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "stopper.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::assignment;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
// What the library promises of a total, relative to the sum of |cost| over its pairs.
template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 1e-6 : 1e-12;

struct Matrix {
    std::int64_t rows, columns;
    std::vector<double> values;
    double at(std::int64_t i, std::int64_t j) const { return values[static_cast<std::size_t>(i * columns + j)]; }
};

Matrix transposed(const Matrix& m) {
    Matrix out{m.columns, m.rows, {}};
    for (std::int64_t j = 0; j < m.columns; ++j)
        for (std::int64_t i = 0; i < m.rows; ++i) out.values.push_back(m.at(i, j));
    return out;
}

// The least total over matchings of the whole shorter side, by potentials, one row at a time; none without a matching.
std::optional<double> hungarian(const Matrix& given) {
    const Matrix m = given.rows <= given.columns ? given : transposed(given);
    const auto n = static_cast<std::size_t>(m.rows), width = static_cast<std::size_t>(m.columns);
    // Column 0 stands for the row that looks for one.
    std::vector<double> u(n + 1), v(width + 1);
    std::vector<std::size_t> row_of(width + 1, 0), before(width + 1);
    for (std::size_t i = 1; i <= n; ++i) {
        std::vector<double> least(width + 1, kInfinite);
        std::vector<char> used(width + 1, 0);
        row_of[0] = i;
        std::size_t j = 0;
        do {
            used[j] = 1;
            std::size_t next = 0;
            double delta = kInfinite;
            for (std::size_t k = 1; k <= width; ++k) {
                if (used[k]) continue;
                const double slack = m.values[(row_of[j] - 1) * width + k - 1] - u[row_of[j]] - v[k];
                if (slack < least[k]) {
                    least[k] = slack;
                    before[k] = j;
                }
                if (least[k] < delta) {
                    delta = least[k];
                    next = k;
                }
            }
            if (next == 0) return std::nullopt;
            for (std::size_t k = 0; k <= width; ++k) {
                if (used[k]) {
                    u[row_of[k]] += delta;
                    v[k] -= delta;
                } else {
                    least[k] -= delta;
                }
            }
            j = next;
        } while (row_of[j] != 0);
        for (; j != 0; j = before[j]) row_of[j] = row_of[before[j]];
    }
    double total = 0;
    for (std::size_t j = 1; j <= width; ++j)
        if (row_of[j] != 0) total += m.values[(row_of[j] - 1) * width + j - 1];
    return total;
}

const char* const kFamilies[] = {"uniform", "integers", "rank 1", "products", "offsets", "forbidden", "constant"};

Matrix draw(std::mt19937_64& random, int family, std::int64_t rows, std::int64_t columns) {
    std::uniform_real_distribution<double> uniform;
    std::normal_distribution<double> normal;
    std::uniform_int_distribution<int> small(-9, 9);
    std::vector<double> a(static_cast<std::size_t>(rows)), b(static_cast<std::size_t>(columns));
    for (double& x : a) x = family == 4 ? 100 * normal(random) : uniform(random);
    for (double& x : b) x = family == 4 ? 100 * normal(random) : uniform(random);
    Matrix m{rows, columns, {}};
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
            const double x = a[static_cast<std::size_t>(i)], y = b[static_cast<std::size_t>(j)];
            const double values[] = {uniform(random),
                                     static_cast<double>(small(random)),
                                     x * y,
                                     static_cast<double>((i + 1) * (j + 1)),
                                     x + y + uniform(random),
                                     uniform(random) < 0.6 ? kInfinite : uniform(random),
                                     7.0};
            // Rounded as float32 has it, so that both dtypes solve one problem.
            m.values.push_back(static_cast<double>(static_cast<float>(values[family])));
        }
    }
    return m;
}

// One problem as the driver takes it, and room for what comes of it.
template <class T>
struct Case {
    Case(Matrix m, bool maximize, bool turned)
        : matrix(std::move(m)),
          col_of_row(static_cast<std::size_t>(matrix.rows), -9),
          row_of_col(static_cast<std::size_t>(matrix.columns), -9),
          row_dual(col_of_row.size()),
          col_dual(row_of_col.size()) {
        // By columns, the driver has to turn it.
        const Matrix laid = turned ? transposed(matrix) : matrix;
        for (const double x : laid.values) memory.push_back(static_cast<T>(maximize ? -x : x));
        memory.shrink_to_fit();
        costs = {memory.data(), matrix.rows, matrix.columns, turned ? 1 : matrix.columns, turned ? matrix.rows : 1};
    }
    Result<T> result() { return {col_of_row.data(), row_of_col.data(), row_dual.data(), col_dual.data(), &total, {}}; }

    Matrix matrix;
    std::vector<T> memory;
    MatrixView<T> costs{};
    std::vector<std::int64_t> col_of_row, row_of_col;
    std::vector<T> row_dual, col_dual;
    double total = -1;
};

template <class T>
void expect(const Case<T>& c, const Outcome& outcome, const Options& options, const std::string& label) {
    const double sign = options.maximize ? -1 : 1;
    Matrix gains = c.matrix;
    const double limit = sign * options.limit;
    if (options.has_limit)
        for (double& x : gains.values) x = std::min(x, limit) - limit;
    const std::optional<double> best = hungarian(gains);
    check((outcome.status == Status::ok) == best.has_value(), label + "status");
    check(!outcome.stopped, label + "not stopped");
    if (outcome.status != Status::ok || !best) return;
    double sum = 0, size = 0;
    std::int64_t pairs = 0;
    bool is_matching = true;
    for (std::int64_t i = 0; i < c.matrix.rows; ++i) {
        const std::int64_t j = c.col_of_row[static_cast<std::size_t>(i)];
        if (j < 0) {
            is_matching &= j == -1;
            continue;
        }
        is_matching &= j < c.matrix.columns && c.row_of_col[static_cast<std::size_t>(j)] == i;
        if (!is_matching) break;
        const double cost = c.matrix.at(i, j);
        if (options.has_limit) check(cost < limit, label + "below the limit");
        sum += options.has_limit ? cost - limit : cost;
        size += std::abs(cost) + (options.has_limit ? std::abs(limit) : 0);
        ++pairs;
    }
    for (const std::int64_t i : c.row_of_col) is_matching &= i >= -1 && i < c.matrix.rows;
    check(is_matching, label + "a matching");
    check(std::count_if(c.row_of_col.begin(), c.row_of_col.end(), [](std::int64_t i) { return i >= 0; }) == pairs,
          label + "two sides of one matching");
    if (!options.has_limit) {
        check(pairs == std::min(c.matrix.rows, c.matrix.columns), label + "the whole shorter side");
        check(std::abs(sign * c.total - sum) <= kTolerance<T> * size, label + "total of the pairs");
    }
    check(std::abs(sum - *best) <= kTolerance<T> * size, label + "the optimum");
    // No reduced cost is negative, and those of pairs are zero, but for the roundings of the paths.
    double largest = 0;
    for (const T u : c.row_dual) largest = std::max(largest, std::abs(static_cast<double>(u)));
    for (const T v : c.col_dual) largest = std::max(largest, std::abs(static_cast<double>(v)));
    const double slack = 64 * static_cast<double>(std::numeric_limits<T>::epsilon());
    bool feasible = true;
    for (std::int64_t i = 0; i < c.matrix.rows; ++i) {
        for (std::int64_t j = 0; j < c.matrix.columns; ++j) {
            const double u = sign * static_cast<double>(c.row_dual[static_cast<std::size_t>(i)]);
            const double v = sign * static_cast<double>(c.col_dual[static_cast<std::size_t>(j)]);
            const double cost = c.matrix.at(i, j);
            if (std::isinf(cost)) continue;
            const double reach = slack * (largest + std::abs(cost));
            feasible &= u + v <= cost + reach;
            if (c.col_of_row[static_cast<std::size_t>(i)] == j) feasible &= u + v >= cost - reach;
        }
    }
    check(feasible, label + "duals");
}

template <class T>
void solve_and_expect(std::vector<Case<T>>& cases, const Options& options, const std::string& what) {
    for (const Isa isa : available_isas()) {
        RaggedTable problems(static_cast<std::int64_t>(cases.size()));
        std::vector<Result<T>> results;
        for (Case<T>& c : cases) {
            problems.add(c.costs);
            results.push_back(c.result());
        }
        Pulse pulse(nullptr);
        Scans scans;
        const Run run = assign<T>(kernels_for<T>(isa), problems.batch(), options, 0, pulse, results, scans);
        check(!run.stopped && run.workers >= 1 && run.workers <= options.threads, "ran");
        const std::string label = std::string(name(isa)) + (sizeof(T) == 4 ? " float32 " : " float64 ") + what +
                                  (options.maximize ? " maximised " : " ") + (options.has_limit ? "limited " : "");
        for (std::size_t k = 0; k < cases.size(); ++k) {
            const Matrix& m = cases[k].matrix;
            expect(cases[k], results[k].outcome, options,
                   label + std::to_string(m.rows) + " x " + std::to_string(m.columns) + ": ");
        }
    }
}

// Problems of one family and of every kind of shape, solved alone and side by side.
template <class T>
void family(int number, const Options& options, std::int64_t longest, int count) {
    std::mt19937_64 random(static_cast<std::uint64_t>(number) * 100 + static_cast<std::uint64_t>(longest));
    std::uniform_int_distribution<std::int64_t> length(0, longest);
    std::vector<Case<T>> cases;
    cases.reserve(static_cast<std::size_t>(count));
    for (int k = 0; k < count; ++k) {
        const std::int64_t rows = length(random), columns = k % 3 == 0 ? rows : length(random);
        cases.emplace_back(draw(random, number, rows, columns), options.maximize, k % 4 == 1);
    }
    solve_and_expect(cases, options, kFamilies[number]);
}

// Problems of one shape and all families. Each is a memory of its own whose last row is the problem's first, so that a
// sanitizer sees what is read past it.
template <class T>
void groups(std::int64_t rows, std::int64_t columns, int count, bool maximize) {
    std::mt19937_64 random(static_cast<std::uint64_t>(rows * 100 + columns));
    std::vector<Case<T>> cases;
    cases.reserve(static_cast<std::size_t>(count));
    for (int k = 0; k < count; ++k) {
        // The first one's forbidden pairs are what lanes meet that have nothing left to do.
        const int number = (k + 5) % static_cast<int>(std::size(kFamilies));
        Case<T>& c = cases.emplace_back(draw(random, number, rows, columns), maximize, false);
        for (std::int64_t i = 0; i < rows / 2; ++i)
            std::swap_ranges(c.memory.begin() + i * columns, c.memory.begin() + (i + 1) * columns,
                             c.memory.begin() + (rows - 1 - i) * columns);
        c.costs.data = c.memory.data() + (rows - 1) * columns;
        c.costs.row_stride = -columns;
    }
    solve_and_expect(cases, {maximize, false, 0, 1}, "groups");
}

// The first bad value is found wherever it lies, by columns too.
template <class T>
void bad_values() {
    for (const Isa isa : available_isas()) {
        for (const std::int64_t columns : {1, 7, 16, 33, 70}) {
            for (const double bad : {std::numeric_limits<double>::quiet_NaN(), -kInfinite}) {
                for (const bool turned : {false, true}) {
                    Matrix m{5, columns, std::vector<double>(static_cast<std::size_t>(5 * columns), 1.0)};
                    m.values[static_cast<std::size_t>(4 * columns - 1)] = bad;
                    Case<T> c(m, false, turned);
                    std::vector<Result<T>> results{c.result()};
                    Pulse pulse(nullptr);
                    Scans scans;
                    RaggedTable one(1);
                    one.add(c.costs);
                    assign<T>(kernels_for<T>(isa), one.batch(), {}, 1e9, pulse, results, scans);
                    const Outcome& outcome = results[0].outcome;
                    check(outcome.status == (std::isnan(bad) ? Status::nan : Status::invalid), "bad value: status");
                    check(outcome.row == 3 && outcome.column == columns - 1, "bad value: place");
                }
            }
        }
    }
}

// A small call asks the allocator for nothing that it does not need.
template <class T>
void workspaces() {
    for (const Isa isa : available_isas()) {
        const Kernels<T>& kernels = kernels_for<T>(isa);
        Problem<T> problem{nullptr, 5, 10, 10, false, false, 0};
        check(kernels.workspace(problem, Start::cold) == 0, "a tiny problem needs no workspace");
        check(kernels.workspace(problem, Start::careful) > 0, "solved with care, it does");
        problem.has_limit = true;
        check(kernels.workspace(problem, Start::cold) > 0, "beside a limit, it does");
    }
}

// A certificate holds for the least total, and for no other, whatever the other costs are.
struct Shape {
    std::int64_t rows, columns;
};

template <class T>
void certificates(bool maximize, bool has_limit, double spoilt, bool is_flat = false, Shape shape = {23, 70},
                  T limit = T(0.5)) {
    const auto [rows, columns] = shape;
    std::mt19937_64 random(7);
    Matrix m = draw(random, 0, rows, columns);
    // Rows of one cost, but for a few columns that crowd into a tenth of them.
    for (std::int64_t i = 0; is_flat && i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j)
            if (j % 10 != 3 || (i + j / 10) % 3 != 0) m.values[static_cast<std::size_t>(i * columns + j)] = 0.99;
    const double sign = maximize ? -1 : 1;
    for (std::int64_t i = 0; i < rows; ++i) m.values[static_cast<std::size_t>(i * columns + 2)] = spoilt;
    for (const Isa isa : available_isas()) {
        const Kernels<T>& kernels = kernels_for<T>(isa);
        Case<T> c(m, maximize, false);
        const Problem<T> problem{c.memory.data(), rows, columns, columns, maximize, has_limit, limit};
        const Solution<T> solution{c.col_of_row.data(), c.row_of_col.data(), c.row_dual.data(), c.col_dual.data()};
        std::vector<T> workspace(static_cast<std::size_t>(kernels.workspace(problem, Start::cold)));
        std::vector<double> prices(static_cast<std::size_t>(columns));
        Pulse pulse(nullptr);
        Pacer pacer(pulse);
        Scans scans;
        bool has_floors = false;
        const auto proof = [&] {
            const T* const floors = has_floors ? workspace.data() : nullptr;
            const Proof found = kernels.prove(problem, solution, kTolerance<T>, floors, prices.data(), pacer);
            check(kernels.prove(problem, solution, kTolerance<T>, nullptr, prices.data(), pacer) == found,
                  "floors change no verdict");
            return found;
        };
        const auto swap_pairs = [&] {
            std::swap(c.col_of_row[3], c.col_of_row[11]);
            for (const std::int64_t i : {3, 11}) {
                const std::int64_t j = c.col_of_row[static_cast<std::size_t>(i)];
                c.row_dual[static_cast<std::size_t>(i)] =
                    j < 0 ? limit : static_cast<T>(m.at(i, j)) - c.col_dual[static_cast<std::size_t>(j)];
            }
        };
        for (const Start start : {Start::cold, Start::careful}) {
            const Outcome outcome = kernels.solve(problem, solution, workspace.data(), pacer, scans, start);
            has_floors = outcome.has_floors;
            check(outcome.status == Status::ok && proof() == Proof::holds, "a certificate holds");
            for (std::int64_t i = 0; has_floors && rows < columns && i < rows; ++i) {
                const T most = has_limit ? limit : std::numeric_limits<T>::infinity();
                T least = most;
                for (std::int64_t j = 0; j < columns; ++j)
                    least = std::min(least, static_cast<T>(m.at(i, j)) - c.col_dual[static_cast<std::size_t>(j)]);
                check(std::min(workspace[static_cast<std::size_t>(i)], most) <= least, "no reduced cost is below");
            }
            swap_pairs();
            check(proof() == Proof::fails, "another matching has none");
            swap_pairs();
            const std::int64_t column = c.col_of_row[5];
            check(column >= 0, "a row has a column");
            // A price that is too high promises too little of the other rows.
            c.col_dual[static_cast<std::size_t>(column)] += static_cast<T>(0.25);
            check(proof() == Proof::fails, "other prices prove nothing");
            check(sign * static_cast<double>(c.row_dual[5]) <= 1, "the duals are of the size of the costs");
        }
    }
}

template <class T>
void stops() {
    constexpr std::int64_t n = 700;
    Matrix m{n, n, {}};
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j) m.values.push_back(static_cast<double>((i + 1) * (j + 1)));
    for (const bool turned : {false, true}) {
        Case<T> c(m, false, turned);
        RaggedTable problems(8);
        for (int k = 0; k < 8; ++k) problems.add(c.costs);
        std::vector<Case<T>> rooms(8, c);
        std::vector<Result<T>> results;
        for (Case<T>& room : rooms) results.push_back(room.result());
        Stopper stopper;
        Pulse pulse(&stopper);
        Scans scans;
        check(assign<T>(kernels_for<T>(choose_isa("")), problems.batch(), {}, 1e9, pulse, results, scans).stopped,
              "stops");
    }
}

template <class T>
void all() {
    for (int number = 0; number < static_cast<int>(std::size(kFamilies)); ++number) {
        for (const bool maximize : {false, true}) {
            // Of batches of many small problems each task takes several, and both threads take tasks.
            family<T>(number, {maximize, false, 0, 2}, 9, 300);
            family<T>(number, {maximize, false, 0, 2}, 75, 24);
            family<T>(number, {maximize, true, maximize ? -0.5 : 0.5, 2}, 40, 24);
        }
    }
    for (const bool maximize : {false, true}) {
        groups<T>(1, 1, 40, maximize);
        groups<T>(5, 5, 60, maximize);
        groups<T>(3, 8, 19, maximize);
        groups<T>(6, 13, 200, maximize);
        groups<T>(20, 33, 40, maximize);
        groups<T>(64, 64, 21, maximize);
    }
    workspaces<T>();
    for (const bool maximize : {false, true})
        for (const bool has_limit : {false, true})
            for (const double spoilt : {0.9, 1e9, 1e20}) certificates<T>(maximize, has_limit, spoilt);
    for (const bool maximize : {false, true}) {
        certificates<T>(maximize, false, 0.99, true);
        // Rows long enough for lists of candidates; below the lower limit are fewer columns than a list holds.
        for (const double limit : {0.03, 0.5})
            certificates<T>(maximize, true, 0.9, false, {410, 430}, static_cast<T>(limit));
        certificates<T>(maximize, false, 0.9, false, {410, 430});
        // Rows that keep the nearest column of each lane.
        for (const Shape shape : {Shape{150, 450}, Shape{150, 150}, Shape{60, 120}})
            certificates<T>(maximize, false, 0.9, false, shape);
    }
    bad_values<T>();
    stops<T>();
}

}  // namespace

int main() {
    all<float>();
    all<double>();
    return report();
}
