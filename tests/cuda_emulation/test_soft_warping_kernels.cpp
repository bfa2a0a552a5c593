// The kernels of soft-DTW, on the emulated GPU, against the CPU in float64.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "cuda_runtime.h"
#include "noise.hpp"
#include "series_batch.hpp"
#include "soft_warping.hpp"
#include "soft_warping/soft_warping.hpp"
#include "soft_warping_queue.cuh"

using namespace coalign;
using namespace coalign::testing;
using coalign::cuda::plan_soft_warping;
using coalign::cuda::run_soft_warping;
using coalign::cuda::SoftWarpingCall;
using coalign::cuda::SoftWarpingPlan;
using coalign::warping::Window;

namespace {

constexpr std::int64_t kRoomy = std::int64_t{1} << 30;

template <class T>
struct Outcome {
    std::vector<T> value, grad_x, grad_y;
    std::vector<std::int32_t> status;

    bool operator==(const Outcome& other) const {
        const auto same = [](const std::vector<T>& a, const std::vector<T>& b) {
            return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
        };
        return same(value, other.value) && same(grad_x, other.grad_x) && same(grad_y, other.grad_y) &&
               status == other.status;
    }
};

template <class T>
std::vector<T> taken(const Noise<T>& from, std::int64_t count) {
    return {from.get(), from.get() + count};
}

template <class T>
Outcome<T> run(SoftWarpingCall call, bool gradient, std::int64_t workspace, std::uint64_t seed, int strips = 0) {
    const std::int64_t pairs = call.pairs();
    const std::int64_t x_size = gradient ? pairs * call.x.rows * call.dim : 0;
    const std::int64_t y_size = gradient ? pairs * call.y.rows * call.dim : 0;
    const Noise<T> value(pairs), grad_x(x_size), grad_y(y_size);
    const Noise<std::int32_t> status(pairs);
    call.value = value.get();
    call.status = status.get();
    if (gradient) {
        call.grad_x = grad_x.get();
        call.grad_y = grad_y.get();
    }
    const SoftWarpingPlan plan = plan_soft_warping<T>(call, {2, workspace, strips});
    check(plan.blocks > 0 && plan.slots > 0 && plan.slots <= std::max<std::int64_t>(pairs, 1));
    const Noise<unsigned char> memory(plan.workspace_bytes);
    emulation::machine.seed = seed;
    CUstream_st stream;
    run_soft_warping<T>(call, plan, memory.get(), &stream);
    check(stream.pending() > 0, "nothing runs before its stream does");
    stream.synchronize();
    return {taken(value, pairs), taken(grad_x, x_size), taken(grad_y, y_size), taken(status, pairs)};
}

// One pair by the CPU.
struct Answer {
    double value;
    Status status;
    std::vector<double> grad_x, grad_y;
};

template <class T>
Answer by_cpu(const std::vector<T>& x_series, const std::vector<T>& y_series, std::int64_t dim, const Window& window,
              double gamma) {
    const std::vector<double> x(x_series.begin(), x_series.end()), y(y_series.begin(), y_series.end());
    const auto one = [&](const std::vector<double>& series) {
        Ragged out;
        out.data = series.data();
        out.count = 1;
        out.rows = static_cast<std::int64_t>(series.size()) / dim;
        out.columns = out.row_stride = dim;
        return out;
    };
    soft_warping::Options options;
    options.window = window;
    options.gamma = gamma;
    Answer answer{0, Status::ok, std::vector<double>(x.size()), std::vector<double>(y.size())};
    const soft_warping::Backward<double> out{answer.grad_x.data(), answer.grad_y.data(), nullptr};
    Pulse pulse(nullptr);
    soft_warping::solve_pairs<double>(available_isas().front(), {one(x), one(y)}, options, 0, pulse, &answer.value,
                                      &answer.status, &out);
    return answer;
}

template <class T>
void check_gradient(const T* got, std::int64_t room, const std::vector<double>& wanted, double tolerance,
                    const std::string& what) {
    double worst = 0;
    bool is_clear = true;
    for (std::int64_t e = 0; e < room; ++e) {
        const bool own = e < static_cast<std::int64_t>(wanted.size());
        const double value = static_cast<double>(got[e]);
        if (!own) is_clear = is_clear && value == 0;
        else
            worst = std::max(worst, std::isfinite(value) ? std::abs(value - wanted[static_cast<std::size_t>(e)]) : 1e9);
    }
    check(is_clear, what + "0 past the lengths");
    check(worst <= tolerance, what + "off by " + std::to_string(worst));
}

struct Shape {
    std::int64_t n, m;
};

template <class T>
void try_batch(const std::vector<Shape>& shapes, std::int64_t dim, Window window, double gamma, double scale,
               std::mt19937& random, const std::string& name) {
    std::normal_distribution<double> normal;
    std::vector<std::vector<T>> xs, ys;
    const auto series = [&](std::int64_t frames) {
        std::vector<T> out(static_cast<std::size_t>(frames * dim));
        for (T& value : out) value = static_cast<T>(scale * normal(random));
        return out;
    };
    for (const Shape& shape : shapes) {
        xs.push_back(series(shape.n));
        ys.push_back(series(shape.m));
    }
    const SeriesBatch<T> x(xs, dim, 1), y(ys, dim, 2);
    SoftWarpingCall call;
    call.dim = dim;
    call.x = x.view;
    call.y = y.view;
    call.gamma = gamma;
    call.window = window.kind;
    call.radius = window.radius;
    std::vector<std::int32_t> rows;
    if (window.kind == Window::Kind::rows) {
        rows = trimmed(window, shapes[0].n, shapes[0].m);
        call.rows = rows.data();
    }
    std::vector<std::int64_t> order;
    for (std::size_t p = shapes.size(); p-- > 0;) order.push_back(static_cast<std::int64_t>(p));
    call.order = order.data();
    const Outcome<T> got = run<T>(call, true, kRoomy, 1);
    const std::string what = name + " float" + std::to_string(8 * sizeof(T)) + " gamma " + std::to_string(gamma) + ": ";
    // However it is cut, in whatever order.
    check(run<T>(call, true, 0, 5, 1) == got, what + "a strip of a pair at a time");
    check(run<T>(call, true, kRoomy, 7, 2) == got, what + "two strips of each pair at a time");
    check(run<T>(call, true, std::int64_t{1} << 20, 9, 1) == got,
          what + "a strip of as many pairs as a megabyte holds");
    check(run<T>(call, false, kRoomy, 3).value == got.value, what + "without gradients");
    for (std::size_t p = 0; p < shapes.size(); ++p) {
        const Answer wanted = by_cpu(xs[p], ys[p], dim, window, gamma);
        check(got.status[p] == static_cast<std::int32_t>(wanted.status), what + "status");
        if (wanted.status != Status::ok) {
            check(got.value[p] == std::numeric_limits<T>::infinity(), what + "no value");
        } else {
            const double size = std::abs(wanted.value) + gamma * static_cast<double>(shapes[p].n + shapes[p].m);
            constexpr double eps = std::numeric_limits<float>::epsilon();
            // What float32 cannot count is computed in float64.
            const double single = size / gamma > 1e8 ? 1e-6 : std::max(1e-4, 8 * eps * size / gamma);
            const double tolerance = sizeof(T) == 4 ? single : 1e-10;
            const double off = std::abs(static_cast<double>(got.value[p]) - wanted.value);
            check(off <= tolerance * size, what + "value off by " + std::to_string(off / size));
            const double slack = 8 * scale * (sizeof(T) == 4 ? tolerance : 1e-8);
            const auto pair = static_cast<std::int64_t>(p);
            check_gradient(got.grad_x.data() + pair * call.x.rows * dim, call.x.rows * dim, wanted.grad_x, slack,
                           what + "x ");
            check_gradient(got.grad_y.data() + pair * call.y.rows * dim, call.y.rows * dim, wanted.grad_y, slack,
                           what + "y ");
        }
    }
}

template <class T>
void test_batches() {
    std::mt19937 random(3);
    const std::vector<Shape> small{{1, 1}, {1, 7}, {9, 1}, {4, 4}, {5, 13}, {33, 20}};
    for (const double gamma : {1e-3, 0.1, 1.0, 30.0, 1e3}) {
        try_batch<T>(small, 1, {}, gamma, 1, random, "small");
        try_batch<T>(small, 5, {}, gamma, 1, random, "small, five dimensions");
    }
    try_batch<T>(small, 2, {Window::Kind::band, 2}, 0.5, 1, random, "band");
    try_batch<T>({{20, 20}, {7, 9}, {1, 1}}, 2, {Window::Kind::slanted, 1}, 0.5, 1, random, "slanted");
    // Around tiles of 128 rows and columns.
    const std::vector<Shape> large{{128, 129}, {130, 257}, {300, 7}, {256, 128}};
    try_batch<T>(large, 1, {}, 0.3, 1, random, "tiles");
    // Around the dimensions of a gradient that a warp takes.
    for (const std::int64_t dim : {7, 8, 17}) try_batch<T>({{12, 9}, {4, 15}}, dim, {}, 1, 1, random, "dimensions");
    if (few()) return;
    try_batch<T>({{127, 385}, {257, 255}, {385, 130}, {1, 129}}, 2, {}, 0.5, 1, random, "three strips");
    try_batch<T>(large, 3, {Window::Kind::band, 9}, 0.3, 1, random, "tiles and band");
    try_batch<T>({{390, 520}}, 1, {Window::Kind::band, 40}, 1e-2, 1, random, "bands of strips");
}

// Row bounds whose only way on is a corner of tiles; two tiles further, a strip begins below what they forbid.
template <class T>
void test_corners() {
    struct Corner {
        Shape shape;
        std::int64_t column;
    };
    std::mt19937 random(5);
    for (const auto& [shape, column] : {Corner{{256, 256}, 128}, {{260, 140}, 128}, {{300, 290}, 256}}) {
        std::vector<std::int64_t> bounds;
        for (std::int64_t i = 0; i < shape.n; ++i) {
            bounds.push_back(i < 128 ? 0 : column);
            bounds.push_back(i < 128 ? column : shape.m);
        }
        Window window{Window::Kind::rows, 0};
        window.rows = bounds.data();
        try_batch<T>({shape}, 1, window, 0.5, 1, random, "a corner of tiles");
    }
}

// Costs over gamma beyond what the dtype counts.
template <class T>
void test_small_gammas() {
    std::mt19937 random(7);
    for (const double gamma : {1e-9, 1e-18, 1e-100, 1e-300})
        try_batch<T>({{12, 9}, {1, 1}, {30, 41}}, 2, {}, gamma, 30, random, "small gamma");
    // Several bands of strips, again where one strip is kept at a time.
    try_batch<T>({{270, 12}, {5, 9}}, 1, {}, 1e-9, 30, random, "small gamma, three strips");
}

template <class T>
void test_refusals() {
    constexpr T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    constexpr T huge = std::numeric_limits<T>::max();
    const std::vector<std::vector<T>> xs{{0, 1, 2}, {0, nan, 2}, {0, -inf, 2}, {0, 1, 2}, {huge / 2, 0, 1}};
    const std::vector<std::vector<T>> ys{{0, 1}, {0, 1}, {0, 1}, {0, 1}, {-huge / 2, 0}};
    SeriesBatch<T> x(xs, 1, 1), y(ys, 1, 1);
    x.lengths[3] = 4;
    SoftWarpingCall call;
    call.x = x.view;
    call.y = y.view;
    const Outcome<T> got = run<T>(call, true, kRoomy, 1);
    const std::vector<std::int32_t> wanted{
        static_cast<std::int32_t>(Status::ok), static_cast<std::int32_t>(Status::nan),
        static_cast<std::int32_t>(Status::invalid), static_cast<std::int32_t>(Status::invalid),
        static_cast<std::int32_t>(Status::precision_limit)};
    check(got.status == wanted, "status of what cannot be solved");
    for (const std::size_t p : {1u, 2u, 3u}) {
        check(std::isnan(got.value[p]), "no value of a bad pair");
        for (std::size_t e = 0; e < 3; ++e) check(std::isnan(got.grad_x[3 * p + e]), "no gradient of x");
        for (std::size_t e = 0; e < 2; ++e) check(std::isnan(got.grad_y[2 * p + e]), "no gradient of y");
    }
    check(got.value[4] == inf && got.grad_x[12] == 0 && got.grad_y[8] == 0, "a value that overflows");
    // A value that T counts in units of gamma, and cannot hold.
    const T far_off = T(0.8) * std::sqrt(huge);
    const std::vector<std::vector<T>> below{{-far_off, -far_off}}, above{{far_off, far_off}};
    const SeriesBatch<T> low(below, 1, 1), high(above, 1, 1);
    call.x = low.view;
    call.y = high.view;
    call.gamma = static_cast<double>(huge) * 1e-3;
    const Outcome<T> beyond = run<T>(call, true, kRoomy, 1);
    check(beyond.status[0] == static_cast<std::int32_t>(Status::precision_limit) && beyond.value[0] == inf, "beyond T");
    check(beyond.grad_x == std::vector<T>(2) && beyond.grad_y == std::vector<T>(2), "no gradients beside it");
    call.gamma = 1;
    // Frames so far apart that their difference overflows, and no path visits them.
    const std::vector<std::vector<T>> apart{{-huge * T(0.8), huge * T(0.8)}};
    const SeriesBatch<T> far(apart, 1, 1), same(apart, 1, 1);
    call.x = far.view;
    call.y = same.view;
    const Outcome<T> found = run<T>(call, true, kRoomy, 1);
    check(found.value[0] == 0 && found.grad_x == std::vector<T>(2) && found.grad_y == std::vector<T>(2), "far apart");
}

// A list, whose gradients lie one after the other, and one series against a batch.
template <class T>
void test_lists() {
    std::mt19937 random(9);
    std::normal_distribution<double> normal;
    std::vector<std::vector<T>> xs, ys(1);
    for (const std::size_t n : {3u, 6u, 2u}) {
        xs.emplace_back(n);
        for (T& value : xs.back()) value = static_cast<T>(normal(random));
    }
    ys[0] = {1, 2, 0, 1};
    const SeriesBatch<T> x(xs, 1, 1), y(ys, 1, 1);
    SoftWarpingCall call;
    call.x = x.view;
    call.y = y.view;
    const Outcome<T> padded = run<T>(call, true, kRoomy, 1);
    const std::vector<std::int64_t> x_at{0, 3, 9}, y_at{0, 4, 8};
    const Noise<T> value(3), grad_x(11), grad_y(12);
    const Noise<std::int32_t> status(3);
    call.value = value.get();
    call.status = status.get();
    call.grad_x = grad_x.get();
    call.grad_y = grad_y.get();
    call.x_at = x_at.data();
    call.y_at = y_at.data();
    const SoftWarpingPlan plan = plan_soft_warping<T>(call, {1, kRoomy, 0});
    const Noise<unsigned char> memory(plan.workspace_bytes);
    CUstream_st stream;
    run_soft_warping<T>(call, plan, memory.get(), &stream);
    stream.synchronize();
    for (std::size_t p = 0; p < 3; ++p) {
        const Answer wanted = by_cpu(xs[p], ys[0], 1, {}, 1);
        for (std::size_t e = 0; e < xs[p].size(); ++e) {
            const T got = grad_x[x_at[p] + static_cast<std::int64_t>(e)];
            check(got == padded.grad_x[6 * p + e], "the bits of a padded batch");
            check(std::abs(static_cast<double>(got) - wanted.grad_x[e]) < 1e-4, "a gradient in a list");
        }
        for (std::size_t e = 0; e < 4; ++e)
            check(grad_y[y_at[p] + static_cast<std::int64_t>(e)] == padded.grad_y[4 * p + e], "of y too");
    }
}

// Every tile has one ticket in each phase, and nothing waits for a later ticket.
void test_queue(const coalign::cuda::Queue& queue) {
    using coalign::cuda::Count;
    using coalign::cuda::Task;
    using coalign::cuda::Work;
    const std::string what = "queue of " + std::to_string(queue.pairs) + " pairs, " + std::to_string(queue.bands) +
                             " bands of " + std::to_string(queue.strips) + " x " + std::to_string(queue.tiles) + ": ";
    using Key = std::tuple<std::int64_t, Count, Work, int, int>;
    std::map<Key, Count> tickets;
    std::map<std::int64_t, Count> done, before, phases;
    std::map<std::int64_t, std::vector<std::pair<int, bool>>> passes;
    for (Count ticket = 0; ticket < queue.all_tickets(); ++ticket) {
        const Task task = queue.at(ticket);
        check(task.slot == static_cast<std::int64_t>(ticket) % queue.slots, what + "slots take turns");
        const Count passed = done[task.slot]++;
        if (task.work == Work::none) {
            check(task.turn >= queue.pairs, what + "no work without a reason");
            continue;
        }
        check(task.turn % queue.slots == task.slot && task.turn < queue.pairs, what + "a pair has one slot");
        if (task.work == Work::enter) {
            check(task.done == passed, what + "a pair enters when the one before it has left");
            before[task.slot] = passed + 1;
            phases[task.slot] = ~Count{0};
            passes[task.turn];
            continue;
        }
        if (task.phase != phases[task.slot]) {
            check(phases[task.slot] == ~Count{0} || task.phase > phases[task.slot], what + "phases go up");
            phases[task.slot] = task.phase;
            before[task.slot] = passed;
            passes[task.turn].emplace_back(task.band, task.work == Work::backward);
        }
        check(task.done == before[task.slot], what + "a phase waits for all before it");
        check(task.again == (passes[task.turn].size() > static_cast<std::size_t>(queue.bands)), what + "again");
        const bool is_slope = task.work == Work::slope_of_x || task.work == Work::slope_of_y;
        if (task.step < 0) continue;
        const Key key{task.turn, task.phase, task.work, task.item, is_slope ? task.step : task.step - task.item};
        check(tickets.emplace(key, ticket).second, what + "nothing is done twice");
        if (is_slope || task.step - task.item < 0 || task.step - task.item >= queue.tiles) continue;
        const int tile = task.step - task.item;
        const auto follows = [&](Work work, int item, int at) {
            if (item < 0 || at < 0) return true;
            const auto found = tickets.find({task.turn, task.phase, work, item, at});
            return found != tickets.end() && found->second < ticket;
        };
        if (task.work == Work::measure) continue;
        if (task.work == Work::forward) check(follows(Work::measure, task.item, tile), what + "costs first");
        check(follows(task.work, task.item - 1, tile) && follows(task.work, task.item, tile - 1) &&
                  follows(task.work, task.item - 1, tile - 1),
              what + "neighbours first");
    }
    for (std::int64_t turn = 0; turn < queue.pairs; ++turn) {
        std::vector<std::pair<int, bool>> wanted;
        for (int band = 0; band < queue.bands; ++band) wanted.emplace_back(band, false);
        for (int band = queue.bands - 1; queue.chunks > 0 && band >= 0; --band) {
            if (band + 1 < queue.bands) wanted.emplace_back(band, false);
            wanted.emplace_back(band, true);
        }
        check(passes[turn] == wanted, what + "the passes of a pair");
    }
    const auto count = [&](Work work) {
        return std::count_if(tickets.begin(), tickets.end(), [&](const auto& entry) {
            const auto& [turn, phase, kind, item, at] = entry.first;
            return kind == work && at >= 0 && at < queue.tiles;
        });
    };
    const std::int64_t tiles = queue.pairs * queue.bands * queue.strips * queue.tiles;
    const std::int64_t again = queue.chunks > 0 ? queue.pairs * (queue.bands - 1) * queue.strips * queue.tiles : 0;
    check(count(Work::measure) == tiles + again && count(Work::forward) == tiles + again, what + "each tile forward");
    check(count(Work::backward) == (queue.chunks > 0 ? tiles : 0), what + "each tile backward");
    for (const auto& [key, ticket] : tickets) {
        const auto& [turn, phase, kind, item, at] = key;
        if (kind != Work::slope_of_x && kind != Work::slope_of_y) continue;
        // Strip or column `at` from the end is done with the last tile of that diagonal.
        const auto corner = tickets.find({turn, phase, Work::backward, 0, at});
        check(corner == tickets.end() || corner->second < ticket, what + "gradients follow");
    }
}

void test_queues() {
    for (const std::int64_t slots : {1, 2, 3})
        for (const int bands : {1, 2, 3})
            for (const auto& [strips, tiles] : {std::pair{1, 1}, {1, 4}, {3, 1}, {2, 3}, {4, 2}})
                for (const int chunks : {0, 1, 3}) test_queue({5, slots, bands, strips, tiles, chunks});
}

template <class T>
void test_all() {
    test_batches<T>();
    test_corners<T>();
    test_small_gammas<T>();
    test_refusals<T>();
    test_lists<T>();
}

}  // namespace

int main() {
    test_queues();
    test_all<float>();
    test_all<double>();
    return report();
}
