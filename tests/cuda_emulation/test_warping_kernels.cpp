// The kernels of dynamic time warping, on the emulated GPU, against the double loop.
//
// As on the CPU the loop does the arithmetic of a cell as the kernel does, so every cost is compared bit for bit; and
// as every result is one of minima and of sums in a fixed order, it is one in every order of threads.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/device.hpp"
#include "cuda_runtime.h"
#include "nearest.hpp"
#include "noise.hpp"
#include "series_batch.hpp"
#include "warping.hpp"
#include "warping/inputs.hpp"
#include "warping_oracle.hpp"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

template <class T>
struct Outcome {
    std::vector<T> cost;
    std::vector<std::int32_t> status;
    std::vector<std::int64_t> x_index, y_index, path_length;
    bool operator==(const Outcome& other) const {
        const auto bits = [](const std::vector<T>& v) {
            std::vector<unsigned char> out(v.size() * sizeof(T));
            std::memcpy(out.data(), v.data(), out.size());
            return out;
        };
        return bits(cost) == bits(other.cost) && status == other.status && x_index == other.x_index &&
               y_index == other.y_index && path_length == other.path_length;
    }
};

template <class T>
Outcome<T> run(WarpingCall call, bool path, std::int64_t workspace, std::uint64_t seed, int columns = 0, int lanes = 0,
               std::int64_t most_pairs = WarpingLimits().most_pairs) {
    const std::int64_t pairs = call.pairs(), room = call.x.rows + call.y.rows - 1;
    const std::int64_t cells = call.all_pairs ? call.x.count * call.y.count : pairs;
    const std::int64_t path_cells = path ? pairs * room : 0;
    const Noise<T> cost(cells);
    const Noise<std::int32_t> status(pairs);
    const Noise<std::int64_t> x_index(path_cells), y_index(path_cells), length(path ? pairs : 0);
    call.cost = cost.get();
    call.cost_stride = call.y.count;
    if (!call.all_pairs) call.status = status.get();
    if (path) {
        call.x_index = x_index.get();
        call.y_index = y_index.get();
        call.path_length = length.get();
    }
    const WarpingPlan plan = plan_warping<T>(call, {2, workspace, columns, lanes, most_pairs});
    check(plan.columns > 0 && plan.lanes > 0 && plan.pairs_per_launch > 0 && plan.pairs_per_launch <= most_pairs);
    const Noise<unsigned char> memory(plan.workspace_bytes);
    emulation::machine.seed = seed;
    CUstream_st stream;
    run_warping<T>(call, plan, memory.get(), &stream);
    check(cells == 0 || stream.pending() > 0, "nothing runs before its stream does");
    stream.synchronize();
    Outcome<T> out;
    out.cost.assign(cost.get(), cost.get() + cells);
    if (!call.all_pairs) out.status.assign(status.get(), status.get() + pairs);
    out.x_index.assign(x_index.get(), x_index.get() + path_cells);
    out.y_index.assign(y_index.get(), y_index.get() + path_cells);
    if (path) out.path_length.assign(length.get(), length.get() + pairs);
    return out;
}

constexpr double kNoLimit = kInfinity<double>;
constexpr std::int64_t kRoomy = std::int64_t{1} << 30;

// The case with frames of length 1, as the CPU makes them.
template <class T>
Case<T> with_unit_frames(Case<T> c) {
    Pulse pulse(nullptr);
    for (std::vector<T>* side : {&c.x, &c.y}) {
        const Ragged one{side->data(), nullptr, 1, static_cast<std::int64_t>(side->size()) / c.dim, c.dim, 0, c.dim};
        Inputs<T> inputs(Metric::cosine, one, {});
        check(!inputs.check(1, 1e9, pulse));
        const T* const unit = inputs.x().template begin_of<T>(0);
        const std::vector<T> copy(unit, unit + side->size());
        *side = copy;
    }
    return c;
}

template <class T>
void check_pair(const Outcome<T>& got, const Case<T>& c, const WarpingCall& call, const Window& window, std::size_t p,
                const std::string& what) {
    Lattice<T, T> lattice(call.metric == Metric::cosine ? with_unit_frames(c) : c, call.metric, window,
                          Arithmetic::once);
    const T expected = lattice.cost(), cost = got.cost[p];
    const bool exceeds = static_cast<double>(expected) > call.max_cost;
    check(cost == (exceeds ? kInfinity<T> : expected),
          what + "cost " + std::to_string(cost) + " for " + std::to_string(expected));
    const bool possible = expected < kInfinity<T>;
    check(got.status[p] == static_cast<std::int32_t>(possible ? Status::ok : Status::infeasible), what + "status");
    if (got.path_length.empty()) return;
    const std::int64_t room = call.x.rows + call.y.rows - 1, length = got.path_length[p];
    const Path path = possible && !exceeds ? lattice.path() : Path{};
    check(length == static_cast<std::int64_t>(path.size()), what + "path length");
    if (length != static_cast<std::int64_t>(path.size())) return;
    for (std::int64_t k = 0; k < room; ++k) {
        const auto at = static_cast<std::size_t>(static_cast<std::int64_t>(p) * room + k);
        const bool past = k >= length;
        if (past) check(got.x_index[at] == -1 && got.y_index[at] == -1, what + "-1 past the path");
        else
            check(got.x_index[at] == path[static_cast<std::size_t>(k)].first &&
                      got.y_index[at] == path[static_cast<std::size_t>(k)].second,
                  what + "path");
    }
}

template <class T>
void test_pairs(Draw& draw, int trial, Metric metric, Window::Kind kind, bool path) {
    const std::int64_t dim = draw.chance(0.5) ? 1 : draw.integer(2, 7), longest = draw.chance(0.2) ? 150 : 40;
    const bool uniform = kind == Window::Kind::rows || draw.chance(0.4);
    const auto count = static_cast<std::size_t>(draw.integer(1, 6));
    const std::int64_t n = draw.length(longest), m = draw.length(longest);
    std::vector<Case<T>> cases;
    std::vector<std::vector<T>> xs, ys;
    for (std::size_t p = 0; p < count; ++p) {
        cases.push_back(uniform ? draw.problem<T>(metric, n, m, dim)
                                : draw.problem<T>(metric, draw.length(longest), draw.length(longest), dim));
        xs.push_back(cases.back().x);
        ys.push_back(cases.back().y);
    }
    const SeriesBatch<T> x(xs, dim, draw.integer(1, 2)), y(ys, dim, draw.integer(1, 3));
    WarpingCall call;
    call.metric = metric;
    call.dim = dim;
    call.x = x.view;
    call.y = y.view;
    if (uniform && draw.chance(0.7)) call.x.row_lengths = call.y.row_lengths = nullptr;
    call.max_cost = draw.chance(0.2) ? 0.5 * static_cast<double>(longest) : kNoLimit;
    Window window{kind, draw.integer(0, 12)};
    const std::vector<std::int64_t> bounds = draw.rows(n, m);
    if (kind == Window::Kind::rows) window.rows = bounds.data();
    const std::vector<std::int32_t> rows =
        kind == Window::Kind::rows ? trimmed(window, n, m) : std::vector<std::int32_t>{};
    call.window = kind;
    call.radius = window.radius;
    call.rows = call.host_rows = rows.empty() ? nullptr : rows.data();
    std::vector<std::int64_t> order(count);
    for (std::size_t p = 0; p < count; ++p) order[p] = static_cast<std::int64_t>(count - 1 - p);
    if (draw.chance(0.5)) call.order = order.data();

    const std::int64_t workspace = draw.chance(0.5) ? kRoomy : 0;
    const int columns = draw.chance(0.5) ? 0 : draw.chance(0.5) ? 8 : sizeof(T) == 4 ? 32 : 16;
    const int lanes = draw.chance(0.3) ? 0 : 1 << draw.integer(0, 5);
    const std::string what = std::to_string(trial) + ": metric " + std::to_string(static_cast<int>(metric)) +
                             " window " + std::to_string(static_cast<int>(kind)) + " columns " +
                             std::to_string(columns) + " lanes " + std::to_string(lanes) + " float" +
                             std::to_string(8 * sizeof(T)) + ' ';
    const Outcome<T> got = run<T>(call, path, workspace, 1, columns, lanes);
    for (std::size_t p = 0; p < count; ++p) check_pair(got, cases[p], call, window, p, what);
    if (trial % 4 == 0)
        check(run<T>(call, path, kRoomy - workspace, 77) == got, what + "in another order, otherwise cut");
}

// By the definition: a step makes so many diagonal moves, and then straight ones one way; a move weighs dx + dy.
struct Step {
    int diagonal, rows, columns;
};

std::vector<Step> steps_of(Steps steps) {
    if (steps == Steps::symmetric2) return {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    if (steps == Steps::symmetricP1) return {{1, 0, 0}, {1, 1, 0}, {1, 0, 1}};
    if (steps == Steps::symmetricP2) return {{1, 0, 0}, {2, 1, 0}, {2, 0, 1}};
    return {{1, 0, 0}, {1, 1, 0}, {1, 0, 1}, {1, 2, 0}, {1, 0, 2}};
}

template <class T>
double cost_by_steps(const Case<T>& c, Metric metric, const Window& window, Steps steps) {
    constexpr double none = kInfinity<double>;
    std::vector<double> total(static_cast<std::size_t>(c.n * c.m), none);
    const auto at = [&](std::int64_t i, std::int64_t j) -> double& {
        return total[static_cast<std::size_t>(i * c.m + j)];
    };
    const auto local = [&](std::int64_t i, std::int64_t j) {
        const bool counts = i >= 0 && j >= 0 && inside(window, c.n, c.m, i, j);
        return counts ? add_cell<double>(metric, Arithmetic::defined, c, i, j, 0.0) : none;
    };
    for (std::int64_t i = 0; i < c.n; ++i)
        for (std::int64_t j = 0; j < c.m; ++j) {
            if (i == 0 && j == 0) at(0, 0) = local(0, 0);
            else
                for (const Step& step : steps_of(steps)) {
                    std::int64_t row = i, column = j;
                    double cost = 0;
                    for (int k = 0; k < step.rows; ++k) cost += local(row--, column);
                    for (int k = 0; k < step.columns; ++k) cost += local(row, column--);
                    for (int k = 0; k < step.diagonal; ++k) cost += 2 * local(row--, column--);
                    if (row >= 0 && column >= 0) at(i, j) = std::min(at(i, j), at(row, column) + cost);
                }
        }
    return at(c.n - 1, c.m - 1);
}

template <class T>
void test_patterns(Draw& draw, Metric metric, Window::Kind kind) {
    for (const Steps steps : {Steps::symmetric2, Steps::symmetricP05, Steps::symmetricP1, Steps::symmetricP2}) {
        const std::int64_t dim = draw.integer(1, 4);
        std::vector<Case<T>> cases;
        std::vector<std::vector<T>> xs, ys;
        for (int p = 0; p < 4; ++p) {
            const std::int64_t n = p == 0 ? 150 : draw.length(30), m = p == 0 ? 140 : draw.length(30);
            cases.push_back(draw.problem<T>(metric, n, m, dim));
            xs.push_back(cases.back().x);
            ys.push_back(cases.back().y);
        }
        const SeriesBatch<T> x(xs, dim, 1), y(ys, dim, 1);
        WarpingCall call;
        call.metric = metric;
        call.steps = steps;
        call.dim = dim;
        call.x = x.view;
        call.y = y.view;
        call.window = kind;
        call.radius = 12;
        call.max_cost = kNoLimit;
        const int lanes = 1 << draw.integer(0, 5);
        const std::string what = "steps " + std::to_string(static_cast<int>(steps)) + " metric " +
                                 std::to_string(static_cast<int>(metric)) + " float" + std::to_string(8 * sizeof(T)) +
                                 ' ';
        const Outcome<T> got = run<T>(call, false, kRoomy, 1, 0, lanes);
        check(run<T>(call, false, 0, 9) == got, "in another order, otherwise cut");
        for (std::size_t p = 0; p < cases.size(); ++p) {
            const Case<T> c = metric == Metric::cosine ? with_unit_frames(cases[p]) : cases[p];
            const double wanted = cost_by_steps(c, metric, {kind, 12}, steps);
            const auto cost = static_cast<double>(got.cost[p]);
            if (wanted < kInfinity<double>) {
                const double off = std::abs(cost - wanted), slack = sizeof(T) == 4 ? 1e-4 : 1e-11;
                check(off <= slack * (wanted + (metric == Metric::cosine ? 1 : 0)),
                      what + "cost " + std::to_string(cost) + " for " + std::to_string(wanted));
                check(got.status[p] == static_cast<std::int32_t>(Status::ok), what + "status");
            } else {
                check(cost == wanted, what + "no path");
                check(got.status[p] == static_cast<std::int32_t>(Status::infeasible), what + "status without a path");
            }
        }
    }
}

// Every pair of two collections, and of one with itself, in an order of its own.
template <class T>
void test_all_pairs(Draw& draw, bool symmetric) {
    const std::int64_t dim = draw.integer(1, 3);
    const auto count = static_cast<std::size_t>(draw.integer(1, 7));
    const std::size_t columns = symmetric ? count : static_cast<std::size_t>(draw.integer(1, 6));
    std::vector<std::vector<T>> xs, ys;
    for (std::size_t i = 0; i < count; ++i) xs.push_back(draw.series<T>(draw.length(40), dim, Metric::sqeuclidean));
    for (std::size_t j = 0; j < columns; ++j) ys.push_back(draw.series<T>(draw.length(40), dim, Metric::sqeuclidean));
    const SeriesBatch<T> x(xs, dim, 1), y(ys, dim, 2);
    WarpingCall call;
    call.dim = dim;
    call.all_pairs = true;
    call.symmetric = symmetric;
    call.x = x.view;
    call.y = symmetric ? x.view : y.view;
    call.window = draw.chance(0.5) ? Window::Kind::band : Window::Kind::none;
    call.radius = 3;
    call.max_cost = kNoLimit;
    std::vector<std::int64_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<std::int64_t>((i + 2) % count);
    if (draw.chance(0.5)) call.x.order = order.data();
    if (symmetric) call.y.order = call.x.order;
    const Outcome<T> got = run<T>(call, false, kRoomy, 3);
    check(run<T>(call, false, kRoomy, 5, 0, 0, 2) == got, "as many launches as it takes");
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            const std::vector<T>& other = symmetric ? xs[j] : ys[j];
            const Case<T> c{static_cast<std::int64_t>(xs[i].size()) / dim,
                            static_cast<std::int64_t>(other.size()) / dim,
                            dim,
                            0,
                            xs[i],
                            other,
                            {}};
            Lattice<T, T> lattice(c, Metric::sqeuclidean, {call.window, call.radius}, Arithmetic::once);
            check(got.cost[i * columns + j] == lattice.cost(), "all pairs");
        }
    }
}

// Whatever parts the database is taken in: the least of each row of all pairs, in their order.
template <class T>
void test_nearest(Draw& draw) {
    std::vector<std::vector<T>> xs, ys;
    for (int i = 0; i < 5; ++i) xs.push_back(draw.series<T>(draw.length(20), 1, Metric::sqeuclidean));
    for (int j = 0; j < 37; ++j) ys.push_back(draw.series<T>(draw.length(20), 1, Metric::sqeuclidean));
    const SeriesBatch<T> x(xs, 1, 1), y(ys, 1, 2);
    NearestCall call;
    call.pairs.x = x.view;
    call.pairs.y = y.view;
    call.pairs.all_pairs = true;
    call.pairs.max_cost = kNoLimit;
    const Outcome<T> all = run<T>(call.pairs, false, kRoomy, 1);
    for (const std::int64_t count : {1, 4, 37}) {
        for (const std::int64_t workspace : {std::int64_t{0}, std::int64_t{5 * 7 * 4 * 8}, kRoomy}) {
            const Noise<std::int64_t> index(5 * count);
            const Noise<T> cost(5 * count);
            const Noise<std::int32_t> status(5);
            call.count = count;
            call.index = index.get();
            call.cost = cost.get();
            call.status = status.get();
            const NearestPlan plan = plan_nearest<T>(call, {2, workspace});
            const Noise<unsigned char> memory(plan.workspace_bytes);
            CUstream_st stream;
            run_nearest<T>(call, plan, memory.get(), &stream);
            stream.synchronize();
            for (std::int64_t i = 0; i < 5; ++i) {
                const T* const row = all.cost.data() + i * 37;
                std::vector<std::int64_t> order(37);
                std::iota(order.begin(), order.end(), 0);
                std::sort(order.begin(), order.end(),
                          [&](auto a, auto b) { return std::pair(row[a], a) < std::pair(row[b], b); });
                for (std::int64_t k = 0; k < count; ++k) {
                    const std::int64_t wanted = order[static_cast<std::size_t>(k)];
                    check(index[i * count + k] == wanted && cost[i * count + k] == row[wanted], "nearest");
                }
                check(status[i] == static_cast<std::int32_t>(Status::ok), "status of a search");
            }
        }
    }
}

// One series against a batch, items by a table, and items that are refused.
template <class T>
void test_refusals() {
    const std::int64_t dim = 2;
    Draw draw(5);
    std::vector<std::vector<T>> xs, ys{draw.series<T>(9, dim, Metric::sqeuclidean)};
    for (int i = 0; i < 6; ++i) xs.push_back(draw.series<T>(8 + i, dim, Metric::sqeuclidean));
    xs[1][7] = std::numeric_limits<T>::quiet_NaN();
    xs[2][4] = -kInfinity<T>;
    xs[2][5] = std::numeric_limits<T>::quiet_NaN();
    SeriesBatch<T> x(xs, dim, 1), y(ys, dim, 1);
    x.lengths[3] = 0;
    x.lengths[4] = 99;
    std::vector<const void*> table;
    for (const auto& item : xs) table.push_back(item.data());
    for (const bool by_table : {false, true}) {
        WarpingCall call;
        call.dim = dim;
        call.x = x.view;
        call.y = y.view;
        call.max_cost = kNoLimit;
        if (by_table) {
            call.x.data = nullptr;
            call.x.items = table.data();
            call.x.row_stride = dim;
            call.x.column_stride = 1;
        }
        const Outcome<T> got = run<T>(call, true, kRoomy, 9);
        const Status wanted[] = {Status::ok,      Status::nan,     Status::invalid,
                                 Status::invalid, Status::invalid, Status::ok};
        for (std::size_t p = 0; p < 6; ++p) {
            check(got.status[p] == static_cast<std::int32_t>(wanted[p]), "status of a bad item");
            if (wanted[p] == Status::ok) {
                const Case<T> c{8 + static_cast<std::int64_t>(p), 9, dim, 0, xs[p], ys[0], {}};
                check(got.cost[p] == Lattice<T, T>(c, Metric::sqeuclidean, {}, Arithmetic::once).cost(),
                      "one against many");
                check(got.path_length[p] >= 9, "its path");
            } else {
                check(std::isnan(got.cost[p]) && got.path_length[p] == 0, "no cost of a bad item");
            }
        }
        check(x.bad[0] == ~std::uint64_t{0} && x.bad[1] == 7 && x.bad[2] == 4, "where the first bad value lies");
    }
}

// So many pairs that their columns in memory end where the workspace does, and a last tile of one row.
template <class T>
void test_end_of_workspace(std::int64_t dim) {
    constexpr std::size_t count = 64;
    Draw draw(6);
    std::vector<std::vector<T>> xs, ys{draw.series<T>(20, dim, Metric::sqeuclidean)};
    for (std::size_t p = 0; p < count; ++p) xs.push_back(draw.series<T>(41, dim, Metric::sqeuclidean));
    const SeriesBatch<T> x(xs, dim, 1), y(ys, dim, 1);
    WarpingCall call;
    call.dim = dim;
    call.x = x.view;
    call.y = y.view;
    call.max_cost = kNoLimit;
    const Outcome<T> got = run<T>(call, false, kRoomy, 4, 8, 1);
    for (std::size_t p = 0; p < count; ++p) {
        const Case<T> c{41, 20, dim, 0, xs[p], ys[0], {}};
        check(got.cost[p] == Lattice<T, T>(c, Metric::sqeuclidean, {}, Arithmetic::once).cost(), "end of workspace");
    }
}

// Costs that a float cannot hold.
void test_overflow() {
    const std::vector<std::vector<float>> xs{{1e30f, 0}}, ys{{0, 0}};
    const SeriesBatch<float> x(xs, 1, 1), y(ys, 1, 1);
    WarpingCall call;
    call.x = x.view;
    call.y = y.view;
    call.max_cost = kNoLimit;
    Outcome<float> got = run<float>(call, true, kRoomy, 1);
    check(got.cost[0] == kInfinity<float> && got.status[0] == static_cast<std::int32_t>(Status::precision_limit) &&
              got.path_length[0] == 0,
          "overflow");
    call.max_cost = 1;
    got = run<float>(call, false, kRoomy, 1);
    check(got.cost[0] == kInfinity<float> && got.status[0] == static_cast<std::int32_t>(Status::ok), "past the limit");
}

}  // namespace

int main() {
    Draw draw(20);
    int trial = 0;
    for (int round = 0; round < 4; ++round) {
        for (const Metric metric : {Metric::sqeuclidean, Metric::euclidean, Metric::cityblock, Metric::cosine}) {
            for (const Window::Kind kind :
                 {Window::Kind::none, Window::Kind::band, Window::Kind::slanted, Window::Kind::rows}) {
                for (const bool path : {false, true}) {
                    test_pairs<float>(draw, trial++, metric, kind, path);
                    test_pairs<double>(draw, trial++, metric, kind, path);
                }
            }
        }
        for (const Metric metric : {Metric::sqeuclidean, Metric::euclidean, Metric::cityblock, Metric::cosine}) {
            const Window::Kind kinds[] = {Window::Kind::none, Window::Kind::band, Window::Kind::slanted};
            test_patterns<float>(draw, metric, kinds[round % 3]);
            test_patterns<double>(draw, metric, kinds[round % 3]);
        }
        test_all_pairs<float>(draw, round % 2 == 0);
        test_all_pairs<double>(draw, round % 2 == 0);
    }
    test_nearest<float>(draw);
    test_nearest<double>(draw);
    test_refusals<float>();
    test_refusals<double>();
    for (const std::int64_t dim : {1, 2}) {
        test_end_of_workspace<float>(dim);
        test_end_of_workspace<double>(dim);
    }
    test_overflow();
    return report();
}
