// The kernels of assignment, on the emulated GPU: by their own proof, and against the solver on the CPU.
//
// The duals bound every matching's cost from below, so that a matching which reaches the bound needs no other oracle;
// what is infeasible, and how many pairs there are, the CPU says.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "assignment.hpp"
#include "assignment/assignment.hpp"
#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "cuda_runtime.h"
#include "noise.hpp"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

template <class T>
constexpr T kInfinite = std::numeric_limits<T>::infinity();
// What the library promises of a total, relative to the sum of |cost| over its pairs.
template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 1e-6 : 1e-12;

class Chance {
   public:
    explicit Chance(std::uint64_t seed) : state_(seed * 2654435761u + 1) {}
    double uniform() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<double>(state_ >> 11) * 0x1p-53;
    }
    std::int64_t integer(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(uniform() * static_cast<double>(high - low + 1));
    }
    bool is(double probability) { return uniform() < probability; }

   private:
    std::uint64_t state_;
};

template <class T>
struct Problem {
    std::int64_t rows, columns;
    std::vector<T> cost;
    T at(std::int64_t i, std::int64_t j) const { return cost[static_cast<std::size_t>(i * columns + j)]; }
};

enum class Family { uniform, integers, plane, constant, sparse, huge, product, sentinels, gated };
constexpr int kFamilies = 9;

template <class T>
Problem<T> draw(Chance& chance, Family family, std::int64_t n, std::int64_t m) {
    Problem<T> out{n, m, {}};
    std::vector<double> x, y;
    for (std::int64_t i = 0; i < n; ++i) x.push_back(chance.uniform());
    for (std::int64_t j = 0; j < m; ++j) y.push_back(chance.uniform());
    for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < m; ++j) {
            const double u = chance.uniform(), a = x[static_cast<std::size_t>(i)], b = y[static_cast<std::size_t>(j)];
            double cost = u;
            if (family == Family::integers) cost = std::floor(10 * u);
            if (family == Family::plane)
                cost = std::hypot(a - b,
                                  x[static_cast<std::size_t>((i + 1) % n)] - y[static_cast<std::size_t>((j + 1) % m)]);
            if (family == Family::constant) cost = 7;
            if (family == Family::sparse) cost = u < 0.7 ? kInfinite<double> : u;
            if (family == Family::huge) cost = (u - 0.5) * (sizeof(T) == 4 ? 1e37 : 1e305);
            if (family == Family::product) cost = a * b + 1e-3 * u;
            if (family == Family::sentinels) cost = u < 0.66 ? 1e9 : a * b;
            // One way leads around the sentinels.
            if (family == Family::gated) cost = u < 0.03 || i == j ? a * b + u : 1e20;
            out.cost.push_back(static_cast<T>(cost));
        }
    }
    return out;
}

struct Options {
    bool maximize = false, has_limit = false;
    double limit = 0;
};

template <class T>
struct Result {
    std::vector<std::int64_t> col_of_row, row_of_col;
    std::vector<T> row_dual, col_dual;
    double total = 0;
    std::int32_t status = 0;
    std::int64_t bids = 0, paths = 0;
};

template <class T>
std::vector<Result<T>> on_cpu(const std::vector<Problem<T>>& problems, const Options& options) {
    RaggedTable costs(static_cast<std::int64_t>(problems.size()));
    std::vector<Result<T>> out(problems.size());
    std::vector<assignment::Result<T>> places;
    for (std::size_t p = 0; p < problems.size(); ++p) {
        const Problem<T>& one = problems[p];
        costs.add(MatrixView<T>{one.cost.data(), one.rows, one.columns, one.columns, 1});
        out[p].col_of_row.resize(static_cast<std::size_t>(one.rows));
        out[p].row_of_col.resize(static_cast<std::size_t>(one.columns));
        out[p].row_dual.resize(static_cast<std::size_t>(one.rows));
        out[p].col_dual.resize(static_cast<std::size_t>(one.columns));
        places.push_back({out[p].col_of_row.data(),
                          out[p].row_of_col.data(),
                          out[p].row_dual.data(),
                          out[p].col_dual.data(),
                          &out[p].total,
                          {}});
    }
    assignment::Options native;
    native.maximize = options.maximize;
    native.has_limit = options.has_limit;
    native.limit = options.limit;
    Pulse pulse(nullptr);
    assignment::Scans scans;
    assignment::assign(assignment::kernels_for<T>(choose_isa("")), costs.batch(), native, 1e9, pulse, places, scans);
    for (std::size_t p = 0; p < problems.size(); ++p)
        out[p].status = static_cast<std::int32_t>(places[p].outcome.status);
    out[0].bids = scans.bids;
    out[0].paths = scans.paths;
    return out;
}

// How a batch lies in "device" memory.
enum class Layout { table, padded, strided, device_lengths };

template <class T>
class Batch {
   public:
    Batch(const std::vector<Problem<T>>& problems, const Options& options, Layout layout) : layout_(layout) {
        call.count = static_cast<std::int64_t>(problems.size());
        call.maximize = options.maximize;
        call.has_limit = options.has_limit;
        call.limit = options.limit;
        for (const Problem<T>& one : problems) {
            rows_at_.push_back(total(rows_));
            columns_at_.push_back(total(columns_));
            costs_at_.push_back(costs_at_.empty() ? 0 : costs_at_.back() + costs_.back());
            rows_.push_back(one.rows);
            columns_.push_back(one.columns);
            costs_.push_back(one.rows * one.columns);
            call.rows = std::max(call.rows, one.rows);
            call.columns = std::max(call.columns, one.columns);
        }
        if (layout == Layout::table) {
            for (const Problem<T>& one : problems) table_.push_back(one.cost.data());
            call.items = table_.data();
            call.row_at = rows_at_.data();
            call.column_at = columns_at_.data();
            call.cost_at = costs_at_.data();
        } else {
            // What lies past the lengths is NaN, and must not be read; a strided batch lies transposed, with gaps.
            const bool strided = layout == Layout::strided;
            call.column_stride = strided ? 2 * call.rows + 1 : 1;
            call.row_stride = strided ? 2 : call.columns;
            call.item_stride = strided ? call.columns * call.column_stride : call.rows * call.columns;
            values_.assign(static_cast<std::size_t>(call.count * call.item_stride), kQuiet);
            for (std::size_t p = 0; p < problems.size(); ++p)
                for (std::int64_t i = 0; i < problems[p].rows; ++i)
                    for (std::int64_t j = 0; j < problems[p].columns; ++j)
                        values_[static_cast<std::size_t>(static_cast<std::int64_t>(p) * call.item_stride +
                                                         i * call.row_stride + j * call.column_stride)] =
                            problems[p].at(i, j);
            call.data = values_.data();
        }
        call.row_lengths = rows_.data();
        call.column_lengths = columns_.data();
        if (layout != Layout::device_lengths) {
            call.host_rows = rows_.data();
            call.host_columns = columns_.data();
        }
    }
    Batch(const Batch&) = delete;

    std::vector<Result<T>> solve(AssignmentTeam team, std::uint64_t seed) {
        const bool flat = layout_ == Layout::table;
        const std::int64_t row_room = flat ? total(rows_) : call.count * call.rows;
        const std::int64_t column_room = flat ? total(columns_) : call.count * call.columns;
        const Noise<std::int64_t> col_of_row(row_room), row_of_col(column_room), scans(2 * call.count);
        const Noise<T> row_dual(row_room), col_dual(column_room);
        const Noise<double> totals(call.count);
        const Noise<std::int32_t> status(call.count);
        call.col_of_row = col_of_row.get();
        call.row_of_col = row_of_col.get();
        call.row_dual = row_dual.get();
        call.col_dual = col_dual.get();
        call.total = totals.get();
        call.status = status.get();
        call.scans = scans.get();
        const AssignmentPlan plan = plan_assignment<T>(call, team);
        groups = plan.groups.size();
        const Noise<unsigned char> workspace(plan.workspace_bytes);
        emulation::machine.seed = seed;
        CUstream_st stream;
        run_assignment<T>(call, plan, plan.order.data(), workspace.get(), &stream);
        check(call.count == 0 || stream.pending() > 0, "nothing runs before its stream does");
        stream.synchronize();
        std::vector<Result<T>> out;
        for (std::int64_t p = 0; p < call.count; ++p) {
            const auto at = static_cast<std::size_t>(p);
            const std::int64_t row = flat ? rows_at_[at] : p * call.rows;
            const std::int64_t column = flat ? columns_at_[at] : p * call.columns;
            const std::int64_t n = rows_[at], m = columns_[at];
            Result<T> one;
            one.col_of_row.assign(col_of_row.get() + row, col_of_row.get() + row + n);
            one.row_of_col.assign(row_of_col.get() + column, row_of_col.get() + column + m);
            one.row_dual.assign(row_dual.get() + row, row_dual.get() + row + n);
            one.col_dual.assign(col_dual.get() + column, col_dual.get() + column + m);
            one.total = totals[p];
            one.status = status[p];
            one.bids = scans[2 * p];
            one.paths = scans[2 * p + 1];
            for (std::int64_t i = n; !flat && i < call.rows; ++i)
                check(col_of_row[row + i] == -1 && row_dual[row + i] == 0, "past the rows");
            for (std::int64_t j = m; !flat && j < call.columns; ++j)
                check(row_of_col[column + j] == -1 && col_dual[column + j] == 0, "past the columns");
            out.push_back(std::move(one));
        }
        return out;
    }

    AssignmentCall call;
    std::size_t groups = 0;

   private:
    static constexpr T kQuiet = std::numeric_limits<T>::quiet_NaN();
    static std::int64_t total(const std::vector<std::int64_t>& counts) {
        std::int64_t sum = 0;
        for (const std::int64_t count : counts) sum += count;
        return sum;
    }

    Layout layout_;
    std::vector<std::int64_t> rows_, columns_, costs_, rows_at_, columns_at_, costs_at_;
    std::vector<const void*> table_;
    std::vector<T> values_;
};

// The duals prove the total: see Assignment.gap in python/coalign/assignment.py.
template <class T>
void check_proof(const Problem<T>& problem, const Options& options, const Result<T>& found, const std::string& what) {
    const double sign = options.maximize ? -1 : 1, limit = sign * options.limit;
    const std::int64_t n = problem.rows, m = problem.columns;
    double sum = 0, absolute = 0, gain = 0;
    std::int64_t pairs = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t j = found.col_of_row[static_cast<std::size_t>(i)];
        if (j < 0) continue;
        check(j < m && found.row_of_col[static_cast<std::size_t>(j)] == i, what + "both sides say the same");
        const auto cost = static_cast<double>(problem.at(i, j));
        check(!options.has_limit || sign * cost < limit, what + "a pair below the limit");
        sum += cost;
        absolute += std::abs(cost);
        gain += sign * cost - (options.has_limit ? limit : 0);
        ++pairs;
    }
    check(pairs == m - std::count(found.row_of_col.begin(), found.row_of_col.end(), -1), what + "pairs");
    check(options.has_limit || pairs == std::min(n, m), what + "a pair for the whole shorter side");
    check(found.total == sum, what + "total");
    // The longer side's duals are at most 0; the other's follow from them.
    const bool by_rows = !options.has_limit && n > m;
    double bound = 0;
    const std::int64_t outer = by_rows ? m : n, inner = by_rows ? n : m;
    std::vector<double> price(static_cast<std::size_t>(inner));
    for (std::int64_t b = 0; b < inner; ++b) {
        const auto at = static_cast<std::size_t>(b);
        price[at] = sign * static_cast<double>(by_rows ? found.row_dual[at] : found.col_dual[at]);
        check(std::isfinite(price[at]), what + "a finite price");
        const bool free = (by_rows ? found.col_of_row[at] : found.row_of_col[at]) < 0;
        if (options.has_limit || n != m)
            check(price[at] <= 0 && (!free || price[at] == 0), what + "no price above 0, none of what is free");
        bound += price[at];
        absolute += std::abs(price[at]) * 0.01;
    }
    for (std::int64_t a = 0; a < outer; ++a) {
        double least = kInfinite<double>;
        for (std::int64_t b = 0; b < inner; ++b)
            least = std::min(least, sign * static_cast<double>(by_rows ? problem.at(b, a) : problem.at(a, b)) -
                                        price[static_cast<std::size_t>(b)]);
        bound += options.has_limit ? std::min(least, limit) - limit : least;
    }
    const double gap = gain - bound;
    check(std::abs(gap) <= kTolerance<T> * std::max(absolute, 1e-30),
          what + "gap " + std::to_string(gap) + " of " + std::to_string(absolute));
}

template <class T>
void check_batch(const std::vector<Problem<T>>& problems, const Options& options, Layout layout, AssignmentTeam team,
                 const std::string& what) {
    Batch<T> batch(problems, options, layout);
    const std::vector<Result<T>> found = batch.solve(team, 1), wanted = on_cpu(problems, options);
    for (std::size_t p = 0; p < problems.size(); ++p) {
        const std::string name = what + " problem " + std::to_string(p) + ' ' + std::to_string(problems[p].rows) + 'x' +
                                 std::to_string(problems[p].columns) + ": ";
        check(found[p].status == wanted[p].status, name + "status " + std::to_string(found[p].status));
        if (found[p].status == 0) {
            check_proof(problems[p], options, found[p], name);
            const double scale = std::max(std::abs(wanted[p].total), 1e-30);
            check(std::abs(found[p].total - wanted[p].total) <= 10 * kTolerance<T> * scale || options.has_limit,
                  name + "the CPU's total");
        } else {
            check(std::isnan(found[p].total), name + "no total");
            for (const std::int64_t j : found[p].col_of_row) check(j == -1, name + "no pairs");
        }
    }
    // Another order of threads and blocks, and a problem alone: the same bits.
    const std::vector<Result<T>> again = batch.solve(team, 77);
    for (std::size_t p = 0; p < problems.size(); ++p) {
        check(again[p].col_of_row == found[p].col_of_row, what + "in another order");
        const std::size_t bytes = found[p].col_dual.size() * sizeof(T);
        check(bytes == 0 || std::memcmp(again[p].col_dual.data(), found[p].col_dual.data(), bytes) == 0,
              what + "in another order, duals");
    }
    const std::vector<Problem<T>> last{problems.back()};
    Batch<T> alone(last, options, Layout::table);
    const Result<T> one = alone.solve(team, 5)[0];
    check(one.col_of_row == found.back().col_of_row && one.status == found.back().status, what + "alone");
}

template <class T>
void test_shapes(Chance& chance, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        const auto family = static_cast<Family>(round % kFamilies);
        const auto layout = static_cast<Layout>(chance.integer(0, 3));
        const auto team = static_cast<AssignmentTeam>(chance.is(0.5) ? 0 : chance.integer(1, 2));
        const bool uniform = chance.is(0.3);
        const std::int64_t most = chance.is(0.3) ? 60 : 24;
        const std::int64_t n = chance.integer(0, most), m = chance.integer(0, most);
        std::vector<Problem<T>> problems;
        const std::int64_t count = chance.integer(1, 5);
        for (std::int64_t p = 0; p < count; ++p) {
            const bool square = chance.is(0.4);
            const std::int64_t rows = chance.integer(0, most);
            if (uniform) problems.push_back(draw<T>(chance, family, n, m));
            else problems.push_back(draw<T>(chance, family, rows, square ? rows : chance.integer(0, most)));
        }
        Options options;
        options.maximize = chance.is(0.3) && family != Family::sparse;
        options.has_limit = chance.is(0.4);
        options.limit = family == Family::integers || family == Family::constant ? 5 : 0.25;
        check_batch(problems, options, layout, team,
                    std::to_string(round) + ": family " + std::to_string(static_cast<int>(family)) + " layout " +
                        std::to_string(static_cast<int>(layout)) + " team " + std::to_string(static_cast<int>(team)) +
                        " limit " + std::to_string(options.has_limit) + " maximize " +
                        std::to_string(options.maximize) + " float" + std::to_string(8 * sizeof(T)));
    }
}

// Where one kernel ends and the next begins.
template <class T>
void test_edges(Chance& chance) {
    for (const std::int64_t m : {1, 32, 33, 64, 65, 128, 129, 224, 225, 320, 321, 512, 513}) {
        std::vector<Problem<T>> problems{draw<T>(chance, Family::uniform, std::min<std::int64_t>(m, 12), m)};
        problems.push_back(draw<T>(chance, Family::integers, m, 6));
        if (m <= 65) problems.push_back(draw<T>(chance, Family::plane, m, m));
        check_batch<T>(problems, {}, Layout::table, AssignmentTeam::by_size, "edge " + std::to_string(m));
        const std::vector<Problem<T>> wide{problems[0]};
        check_batch<T>(wide, {false, true, 0.0625}, Layout::padded, AssignmentTeam::by_size,
                       "edge with a limit " + std::to_string(m));
    }
    std::vector<Problem<T>> sizes;
    for (const std::int64_t m : {5, 600, 70, 300, 40}) sizes.push_back(draw<T>(chance, Family::uniform, 5, m));
    Batch<T> batch(sizes, {}, Layout::table);
    batch.solve(AssignmentTeam::by_size, 1);
    check(batch.groups == 4, "sizes fall into four launches");
}

// What has no answer: the status says so, and what is beside it is not touched.
template <class T>
void test_refusals(Chance& chance) {
    for (const AssignmentTeam team :
         {AssignmentTeam::by_size, AssignmentTeam::block, AssignmentTeam::block_by_memory}) {
        for (const bool maximize : {false, true}) {
            for (const auto& [n, m] : {std::pair{9, 9}, {5, 40}, {40, 5}}) {
                std::vector<Problem<T>> problems;
                for (int p = 0; p < 6; ++p) problems.push_back(draw<T>(chance, Family::uniform, n, m));
                const T forbidden = maximize ? -kInfinite<T> : kInfinite<T>;
                const std::size_t last = problems[0].cost.size() - 1;
                problems[1].cost[last] = std::numeric_limits<T>::quiet_NaN();
                problems[2].cost[3] = -forbidden;
                problems[3].cost[0] = -forbidden;
                problems[3].cost[last] = -std::numeric_limits<T>::quiet_NaN();
                for (T& cost : problems[4].cost) cost = forbidden;
                Batch<T> batch(problems, {maximize, false, 0}, Layout::padded);
                const auto found = batch.solve(team, 3);
                const Status wanted[] = {Status::ok,  Status::nan,        Status::invalid,
                                         Status::nan, Status::infeasible, Status::ok};
                for (std::size_t p = 0; p < 6; ++p)
                    check(found[p].status == static_cast<std::int32_t>(wanted[p]), "status of a bad problem");
                for (const std::size_t p : {std::size_t{0}, std::size_t{5}})
                    check_proof(problems[p], {maximize, false, 0}, found[p], "beside a bad one: ");
            }
        }
    }
}

// Lengths that only the device knows, and that are none.
void test_lengths() {
    Chance chance(8);
    std::vector<Problem<float>> problems;
    for (int p = 0; p < 4; ++p) problems.push_back(draw<float>(chance, Family::uniform, 6, 8));
    Batch<float> batch(problems, {}, Layout::device_lengths);
    std::int64_t rows[] = {6, -1, 7, 0};
    batch.call.row_lengths = rows;
    const Noise<std::int64_t> col_of_row(24), row_of_col(32);
    const Noise<float> row_dual(24), col_dual(32);
    const Noise<double> total(4);
    const Noise<std::int32_t> status(4);
    batch.call.col_of_row = col_of_row.get();
    batch.call.row_of_col = row_of_col.get();
    batch.call.row_dual = row_dual.get();
    batch.call.col_dual = col_dual.get();
    batch.call.total = total.get();
    batch.call.status = status.get();
    const AssignmentPlan plan = plan_assignment<float>(batch.call);
    const Noise<unsigned char> workspace(plan.workspace_bytes);
    CUstream_st stream;
    run_assignment<float>(batch.call, plan, nullptr, workspace.get(), &stream);
    stream.synchronize();
    const auto invalid = static_cast<std::int32_t>(Status::invalid);
    check(status[0] == 0 && status[1] == invalid && status[2] == invalid && status[3] == 0, "lengths out of range");
    check(total[3] == 0 && std::isnan(total[1]) && col_of_row[6] == -1, "their results");
    AssignmentCall many;
    many.count = std::int64_t{1} << 31;
    bool is_refused = false;
    try {
        plan_assignment<float>(many);
    } catch (const std::length_error&) {
        is_refused = true;
    }
    check(is_refused, "more problems than a grid has blocks");
}

// As few passes over rows as the CPU's, or nearly.
template <class T>
void test_scans(const char* name, Family family, std::int64_t n, std::int64_t m, double most) {
    Chance chance(12);
    const std::vector<Problem<T>> problems{draw<T>(chance, family, n, m)};
    Batch<T> batch(problems, {}, Layout::table);
    const Result<T> found = batch.solve(AssignmentTeam::by_size, 1)[0], cpu = on_cpu(problems, {})[0];
    const auto rows = static_cast<double>(std::min(n, m));
    const auto scans = static_cast<double>(found.bids + found.paths);
    std::printf("%s %ldx%ld: %.2f + %.2f scans a row, on the CPU %.2f + %.2f\n", name, static_cast<long>(n),
                static_cast<long>(m), static_cast<double>(found.bids) / rows, static_cast<double>(found.paths) / rows,
                static_cast<double>(cpu.bids) / rows, static_cast<double>(cpu.paths) / rows);
    check(scans <= most * rows, std::string("scans of ") + name);
    check_proof(problems[0], {}, found, name);
}

}  // namespace

int main() {
    Chance chance(3);
    const int rounds = few() ? kFamilies : 5 * kFamilies;
    test_shapes<float>(chance, rounds);
    test_shapes<double>(chance, rounds);
    test_edges<float>(chance);
    test_edges<double>(chance);
    test_refusals<float>(chance);
    test_refusals<double>(chance);
    test_lengths();
    test_scans<float>("uniform", Family::uniform, 300, 100, 2);
    test_scans<float>("uniform", Family::uniform, 300, 300, 6);
    test_scans<float>("uniform", Family::uniform, 300, 600, 3);
    test_scans<float>("integers", Family::integers, 300, 300, 1.5);
    test_scans<double>("points", Family::plane, 200, 200, 60);
    test_scans<double>("products", Family::product, 200, 200, 60);
    test_scans<float>("products beside sentinels", Family::sentinels, 100, 100, 40);
    return report();
}
