#include "warping/warping.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>

#include "warping/lane_group.hpp"

namespace coalign::warping {
namespace {

// About how many columns a row's window holds.
double window_width(const Window& window, double n, double m) {
    switch (window.kind) {
        case Window::Kind::band:
            return std::min(m, 2.0 * static_cast<double>(window.radius) + 1 + std::abs(n - m));
        case Window::Kind::slanted:
            return std::min(m, (2.0 * static_cast<double>(window.radius) + 1) * std::max(1.0, m / n));
        case Window::Kind::none:
        case Window::Kind::rows:
            break;
    }
    return m;
}

template <class T>
double cells(const Options& options, const Series<T>& x, const Series<T>& y) {
    const auto n = static_cast<double>(x.length), m = static_cast<double>(y.length);
    return n * window_width(options.window, n, m);
}

// One worker's engines. Which of them computes a pair shows in the time only: their bits agree.
template <class T>
class Worker {
   public:
    Worker(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pulse& pulse)
        : kernels_(kernels), options_(options), dim_(dim), pacer_(pulse) {}

    Pacer& pacer() { return pacer_; }
    // Made when first used: most calls need one of them.
    LaneGroup<T>& lanes() { return lanes_ ? *lanes_ : lanes_.emplace(kernels_, options_, dim_, pacer_); }
    Strips<T>& strips() { return strips_ ? *strips_ : strips_.emplace(kernels_, options_, dim_, pacer_); }

    // Costs of up to `width` pairs by whichever engine takes fewer vector steps for them.
    bool run(const Pair<T>* pairs, int count, T* costs) {
        if (prefers_lanes(pairs, count)) return lanes().run(pairs, count, costs);
        for (int p = 0; p < count; ++p) {
            const auto result = strips().run({pairs[p].x, pairs[p].y}, nullptr);
            if (result.stopped) return false;
            costs[p] = result.cost;
        }
        return true;
    }

    bool prefers_lanes(const Pair<T>* pairs, int count) const {
        double rows = 0, columns = 0, width = 0, by_strips = 0, elements = 0;
        const double height = kBlockRows * kernels_.width;
        for (int p = 0; p < count; ++p) {
            const auto n = static_cast<double>(pairs[p].x.length), m = static_cast<double>(pairs[p].y.length);
            const double wide = window_width(options_.window, n, m);
            const double skew = kDelay * std::min<double>(kernels_.width - 1, n / kBlockRows);
            rows = std::max(rows, n);
            columns = std::max(columns, m);
            elements += (n + m) * static_cast<double>(dim_);
            width = std::max(width, wide);
            by_strips += std::ceil(n / height) * kBlockRows * (std::min(m, wide + std::min(n, height)) + skew);
        }
        const double by_lanes = rows * (width + (options_.window.kind == Window::Kind::none ? 0 : kWindowedRow));
        if (by_lanes >= by_strips || footprint(width) > kLaneFootprint) return false;
        const double held = footprint(columns);
        return held <= std::max(kLaneMemory, 4 * elements * static_cast<double>(sizeof(T)));
    }

   private:
    // Bytes that a group holds of so many columns.
    double footprint(double columns) const {
        return columns * static_cast<double>((dim_ + 1) * kernels_.width * static_cast<std::int64_t>(sizeof(T)));
    }

    // Past this the lanes' row buffer and columns leave the second-level cache, while a strip's stay.
    static constexpr double kLaneFootprint = 3 << 19;
    // Lanes without a pair of their own hold as much as the others: a long pair by itself would take sixteen times its
    // memory. Past this much, a group may hold four times what its pairs do.
    static constexpr double kLaneMemory = 1 << 22;
    // What the masks of a row, and packing its frames, cost in cells: with a radius of 5, a thousand rows of one pair
    // took 45 us by lanes and 33 by strips.
    static constexpr double kWindowedRow = 10;

    const Kernels<T>& kernels_;
    const Options& options_;
    const std::int64_t dim_;
    Pacer pacer_;
    std::optional<LaneGroup<T>> lanes_;
    std::optional<Strips<T>> strips_;
};

template <class T>
class Workers {
   public:
    Workers(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pulse& pulse)
        : make_([&, dim] { return std::make_unique<Worker<T>>(kernels, options, dim, pulse); }),
          workers_(static_cast<std::size_t>(std::max(options.threads, 1))) {}

    // Made by the thread that uses it, at its first task.
    Worker<T>& operator[](int worker) {
        auto& held = workers_[static_cast<std::size_t>(worker)];
        if (!held) held = make_();
        return *held;
    }

   private:
    std::function<std::unique_ptr<Worker<T>>()> make_;
    std::vector<std::unique_ptr<Worker<T>>> workers_;
};

int useful_threads(double work, int threads, double work_per_thread) {
    if (work_per_thread <= 0) return threads;
    return static_cast<int>(std::clamp(work / work_per_thread, 1.0, static_cast<double>(std::max(threads, 1))));
}

// The cost as the caller sees it, and what to say of an infinite one. A stopped call says nothing.
template <class T>
T settle(const Options& options, const Series<T>& x, const Series<T>& y, T cost, Status* status, Pacer& pacer) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    const bool exceeds = static_cast<double>(cost) > options.max_cost;
    if (status != nullptr && *status == Status::ok && !(cost < inf)) {
        std::vector<Range> ranges;
        const bool has_path =
            options.window.kind == Window::Kind::none ||
            (row_ranges(options.window, x.length, y.length, ranges, pacer) && feasible(ranges, y.length));
        // Infinite costs of cells may leave no path either, which the caller can tell from overflow.
        if (!has_path) *status = Status::infeasible;
        else if (!exceeds || options.metric == Metric::precomputed) *status = Status::precision_limit;
    }
    return exceeds ? inf : cost + T(0);
}

// One call's pairs and their results. Tasks may share it: each writes what its own pairs need.
template <class T>
struct PairsCall {
    const std::vector<Problem<T>>& problems;
    const Options& options;
    T* cost;
    Status* status;
    ReversePath* paths;

    bool strips_only() const { return paths != nullptr || options.metric == Metric::precomputed; }

    // Solves `count` problems, in the lanes of one group or one after the other. False when the call was stopped.
    bool solve(Worker<T>& worker, const std::size_t* which, std::size_t count, bool lanes) const {
        std::array<T, kMostLanes> costs;
        if (lanes) {
            std::array<Pair<T>, kMostLanes> pairs;
            for (std::size_t p = 0; p < count; ++p) pairs[p] = {problems[which[p]].x, problems[which[p]].y};
            if (!worker.lanes().run(pairs.data(), static_cast<int>(count), costs.data())) return false;
        }
        for (std::size_t p = 0; p < count; ++p) {
            const std::size_t at = which[p];
            const Problem<T>& problem = problems[at];
            status[at] = Status::ok;
            cost[at] = costs[p];
            if (!lanes) {
                const auto result = worker.strips().run(problem, paths != nullptr ? &paths[at] : nullptr);
                if (result.stopped) return false;
                status[at] = result.status;
                cost[at] = result.cost;
            }
            cost[at] = settle(options, problem.x, problem.y, cost[at], &status[at], worker.pacer());
        }
        return true;
    }
};

}  // namespace

template <class T>
Run warp_pairs(const Kernels<T>& kernels, const std::vector<Problem<T>>& problems, std::int64_t dim,
               const Options& options, double work_per_thread, Pulse& pulse, T* cost, Status* status,
               ReversePath* paths) {
    const PairsCall<T> call{problems, options, cost, status, paths};
    const auto prefers_lanes = [&](const Worker<T>& worker, const std::size_t* which, std::size_t count) {
        std::array<Pair<T>, kMostLanes> pairs;
        for (std::size_t p = 0; p < count; ++p) pairs[p] = {problems[which[p]].x, problems[which[p]].y};
        return !call.strips_only() && worker.prefers_lanes(pairs.data(), static_cast<int>(count));
    };
    if (problems.size() == 1) {
        // A small call is over before the rest would be set up.
        Worker<T> worker(kernels, options, dim, pulse);
        const std::size_t only = 0;
        if (pulse.alive() && !call.solve(worker, &only, 1, prefers_lanes(worker, &only, 1))) pulse.stop();
        pulse.add_done(1);
        return {pulse.stopped(), 1};
    }
    std::vector<std::size_t> order(problems.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // Longest first: like shapes share a group, and the last tasks to be handed out are short.
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        const Problem<T>&p = problems[a], &q = problems[b];
        if (p.x.length != q.x.length) return p.x.length > q.x.length;
        return p.y.length != q.y.length ? p.y.length > q.y.length : a < b;
    });
    double work = 0;
    for (const Problem<T>& problem : problems) work += cells(options, problem.x, problem.y) * static_cast<double>(dim);

    Workers<T> workers(kernels, options, dim, pulse);
    const auto width = static_cast<std::size_t>(kernels.width);
    struct Task {
        std::size_t begin, end;
        bool lanes;
    };
    std::vector<Task> tasks;
    for (std::size_t begin = 0; begin < order.size();) {
        const std::size_t last = std::min(begin + width, order.size());
        const bool lanes = prefers_lanes(workers[0], &order[begin], last - begin);
        const std::size_t end = lanes ? last : begin + 1;
        tasks.push_back({begin, end, lanes});
        begin = end;
    }

    const int threads = useful_threads(work, options.threads, work_per_thread);
    const int used = parallel_for(static_cast<std::int64_t>(tasks.size()), threads, pulse, [&](int w, std::int64_t t) {
        const Task& task = tasks[static_cast<std::size_t>(t)];
        if (!call.solve(workers[w], &order[task.begin], task.end - task.begin, task.lanes)) return pulse.stop();
        pulse.add_done(static_cast<std::int64_t>(task.end - task.begin));
    });
    return {pulse.stopped(), used};
}

template <class T>
Run warp_all_pairs(const Kernels<T>& kernels, const std::vector<Series<T>>& xs, const std::vector<Series<T>>& ys,
                   bool symmetric, std::int64_t dim, const Options& options, double work_per_thread, Pulse& pulse,
                   T* out, std::int64_t stride) {
    // A block of 16 x 16 pairs of the collections sorted by length is one task; inside it tiles of 4 x 4, so that
    // the pairs of a group are alike in both lengths.
    constexpr std::size_t block = 16, tile = 4;
    const auto by_length = [](const std::vector<Series<T>>& series) {
        std::vector<std::size_t> order(series.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return series[a].length != series[b].length ? series[a].length > series[b].length : a < b;
        });
        return order;
    };
    const std::vector<std::size_t> rows = by_length(xs), columns = by_length(ys);
    const std::size_t blocks_down = (rows.size() + block - 1) / block;
    const std::size_t blocks_across = (columns.size() + block - 1) / block;
    double work = 0;
    for (const Series<T>& x : xs)
        work += cells(options, x, ys[columns[columns.size() / 2]]) * static_cast<double>(dim) *
                static_cast<double>(ys.size()) * (symmetric ? 0.5 : 1.0);

    Workers<T> workers(kernels, options, dim, pulse);
    const auto width = static_cast<std::size_t>(kernels.width);
    const auto tasks = static_cast<std::int64_t>(blocks_down * blocks_across);
    const int threads = useful_threads(work, options.threads, work_per_thread);
    const int used = parallel_for(tasks, threads, pulse, [&](int w, std::int64_t task) {
        const std::size_t down = static_cast<std::size_t>(task) / blocks_across * block;
        const std::size_t across = static_cast<std::size_t>(task) % blocks_across * block;
        if (symmetric && across < down) return;
        std::array<std::pair<std::size_t, std::size_t>, block * block> cell;
        std::size_t count = 0;
        for (std::size_t ti = down; ti < down + block; ti += tile)
            for (std::size_t tj = across; tj < across + block; tj += tile)
                for (std::size_t i = ti; i < std::min(ti + tile, rows.size()); ++i)
                    for (std::size_t j = tj; j < std::min(tj + tile, columns.size()); ++j)
                        if (!symmetric || i <= j) cell[count++] = {rows[i], columns[j]};
        Worker<T>& worker = workers[w];
        for (std::size_t begin = 0; begin < count; begin += width) {
            const std::size_t held = std::min(width, count - begin);
            std::array<Pair<T>, kMostLanes> pairs;
            std::array<T, kMostLanes> costs;
            for (std::size_t p = 0; p < held; ++p) pairs[p] = {xs[cell[begin + p].first], ys[cell[begin + p].second]};
            if (!worker.run(pairs.data(), static_cast<int>(held), costs.data())) return pulse.stop();
            for (std::size_t p = 0; p < held; ++p) {
                const auto i = static_cast<std::int64_t>(cell[begin + p].first);
                const auto j = static_cast<std::int64_t>(cell[begin + p].second);
                const T value = settle<T>(options, pairs[p].x, pairs[p].y, costs[p], nullptr, worker.pacer());
                out[i * stride + j] = value;
                if (symmetric) out[j * stride + i] = value;
            }
            pulse.add_done(static_cast<std::int64_t>(held));
        }
    });
    return {pulse.stopped(), used};
}

template Run warp_pairs(const Kernels<float>&, const std::vector<Problem<float>>&, std::int64_t, const Options&, double,
                        Pulse&, float*, Status*, ReversePath*);
template Run warp_all_pairs(const Kernels<float>&, const std::vector<Series<float>>&, const std::vector<Series<float>>&,
                            bool, std::int64_t, const Options&, double, Pulse&, float*, std::int64_t);
template Run warp_pairs(const Kernels<double>&, const std::vector<Problem<double>>&, std::int64_t, const Options&,
                        double, Pulse&, double*, Status*, ReversePath*);
template Run warp_all_pairs(const Kernels<double>&, const std::vector<Series<double>>&,
                            const std::vector<Series<double>>&, bool, std::int64_t, const Options&, double, Pulse&,
                            double*, std::int64_t);

}  // namespace coalign::warping
