#include "warping/warping.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "warping/lane_group.hpp"
#include "warping/small_pair.hpp"
#include "warping/step_pattern.hpp"

namespace coalign::warping {
namespace {

double cells(const Options& options, std::int64_t n, std::int64_t m) {
    const auto rows = static_cast<double>(n), columns = static_cast<double>(m);
    return rows * window_width(options.window, rows, columns);
}

// One worker's engines. Which of them computes a pair shows in the time only: their bits agree.
template <class T>
class Worker {
   public:
    Worker(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pulse& pulse)
        : kernels_(kernels),
          options_(options),
          dim_(dim),
          pacer_(pulse),
          small_(table_for<SmallKernels<T>>(kernels.isa), options, dim) {}

    // Made when first used: most calls need one of them.
    LaneGroup<T>& lanes() { return lanes_ ? *lanes_ : lanes_.emplace(kernels_, options_, dim_, pacer_); }
    Strips<T>& strips() { return strips_ ? *strips_ : strips_.emplace(kernels_, options_, dim_, pacer_); }
    StepRows<T>& rows() { return rows_ ? *rows_ : rows_.emplace(kernels_.isa, options_, dim_, pacer_); }

    bool is_small(const Problem<T>& problem, bool has_path) const {
        return small_.suits(problem.x.length, problem.y.length, has_path);
    }

    // One pair by itself. False when the call was stopped.
    bool solve(const Problem<T>& problem, ReversePath* path, T& cost, Status& status) {
        if (is_small(problem, path != nullptr)) {
            cost = small_.run(problem, path);
            return true;
        }
        const auto keep = [&](const auto& result) {
            cost = result.cost;
            status = result.status;
            return !result.stopped;
        };
        return options_.pattern != nullptr ? keep(rows().run(problem, path)) : keep(strips().run(problem, path));
    }

    // Costs of up to `width` pairs by whichever engine takes fewer vector steps for them.
    bool run(const Pair<T>* pairs, int count, T* costs) {
        if (prefers_lanes(pairs, count)) return lanes().run(pairs, count, costs);
        Status status = Status::ok;
        for (int p = 0; p < count; ++p)
            if (!solve({pairs[p].x, pairs[p].y}, nullptr, costs[p], status)) return false;
        return true;
    }

    // Whether any path of a pair keeps to the window. A stopped call may say either.
    bool has_path(std::int64_t n, std::int64_t m) {
        if (options_.pattern != nullptr) return rows().feasible(n, m).value_or(true);
        if (options_.window.kind == Window::Kind::none) return true;
        std::vector<Range> ranges;
        return row_ranges(options_.window, n, m, ranges, pacer_) && feasible(ranges, m);
    }

    bool prefers_lanes(const Pair<T>* pairs, int count) const {
        if (options_.pattern != nullptr) return false;
        double rows = 0, columns = 0, width = 0, by_strips = 0, elements = 0;
        for (int p = 0; p < count; ++p) {
            const auto n = static_cast<double>(pairs[p].x.length), m = static_cast<double>(pairs[p].y.length);
            const double wide = window_width(options_.window, n, m);
            rows = std::max(rows, n);
            columns = std::max(columns, m);
            elements += (n + m) * static_cast<double>(dim_);
            width = std::max(width, wide);
            by_strips += strip_steps(options_.window, kernels_.width, n, m);
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
    SmallPair<T> small_;
    std::optional<LaneGroup<T>> lanes_;
    std::optional<Strips<T>> strips_;
    std::optional<StepRows<T>> rows_;
};

// The cost as the caller sees it, and what to say of an infinite one. A stopped call says nothing.
template <class T>
T settle(const Options& options, const Problem<T>& problem, T cost, Status* status, Worker<T>& worker) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    const bool exceeds = static_cast<double>(cost) > options.max_cost;
    if (status != nullptr && *status == Status::ok && !(cost < inf)) {
        // Infinite costs of cells may leave no path either, which the caller can tell from overflow.
        if (!worker.has_path(problem.x.length, problem.y.length)) *status = Status::infeasible;
        else if (!exceeds || options.metric == Metric::precomputed) *status = Status::precision_limit;
    }
    return exceeds ? inf : cost + T(0);
}

// Whether a pair's series are the same numbers, at no cost from each other on the diagonal, which the window holds:
// that path is the cheapest, and the one that ties prefer. Of duplicates in a band of 200 columns, 100,000 frames took
// 4 ms.
template <class T>
bool is_same(const Options& options, const Problem<T>& problem, std::int64_t dim) {
    const std::int64_t n = problem.x.length;
    if (n != problem.y.length || options.pattern != nullptr || options.window.kind == Window::Kind::rows ||
        options.metric == Metric::cosine || options.metric == Metric::precomputed || !(options.max_cost >= 0))
        return false;
    return std::memcmp(problem.x.data, problem.y.data, static_cast<std::size_t>(n * dim) * sizeof(T)) == 0;
}

// One call's pairs and their results. Tasks may share it: each writes what its own pairs need.
template <class T>
struct PairsCall {
    const Pairs& pairs;
    const Options& options;
    T* cost;
    Status* status;
    ReversePath* paths;

    // Some of the pairs, by number: those that a task solves in the lanes of one group, or one after the other.
    struct Some {
        const std::int64_t* which;
        std::int64_t count;
    };

    std::array<Pair<T>, kMostLanes> group(const Some& some) const {
        std::array<Pair<T>, kMostLanes> out;
        for (std::int64_t k = 0; k < some.count; ++k) {
            const Problem<T> problem = pairs.at<T>(some.which[k]);
            out[static_cast<std::size_t>(k)] = {problem.x, problem.y};
        }
        return out;
    }

    bool prefers_lanes(const Worker<T>& worker, const Some& some) const {
        if (paths != nullptr || pairs.has_matrices()) return false;
        if (some.count == 1 && worker.is_small(pairs.at<T>(some.which[0]), false)) return false;
        return worker.prefers_lanes(group(some).data(), static_cast<int>(some.count));
    }

    // Solves a pair of the same series, along the diagonal; false where they differ.
    bool solve_same(std::int64_t p) const {
        const Problem<T> problem = pairs.at<T>(p);
        if (!is_same(options, problem, pairs.dim())) return false;
        cost[p] = 0;
        status[p] = Status::ok;
        if (paths == nullptr) return true;
        const std::int64_t n = paths[p].length = problem.x.length;
        for (std::int64_t* const side : {paths[p].x, paths[p].y})
            for (std::int64_t k = 0; k < n; ++k) side[k] = n - 1 - k;
        return true;
    }

    // False when the call was stopped.
    bool solve(Worker<T>& worker, const Some& some, bool lanes) const {
        if (some.count == 1 && solve_same(some.which[0])) return true;
        std::array<T, kMostLanes> costs;
        if (lanes && !worker.lanes().run(group(some).data(), static_cast<int>(some.count), costs.data())) return false;
        for (std::int64_t k = 0; k < some.count; ++k) {
            const std::int64_t p = some.which[k];
            const Problem<T> problem = pairs.at<T>(p);
            status[p] = Status::ok;
            cost[p] = costs[static_cast<std::size_t>(k)];
            if (!lanes && !worker.solve(problem, paths != nullptr ? &paths[p] : nullptr, cost[p], status[p]))
                return false;
            cost[p] = settle(options, problem, cost[p], &status[p], worker);
        }
        return true;
    }
};

template <class T>
Series<T> series_of(const Ragged& batch, std::int64_t item) {
    return {batch.begin_of<T>(item), batch.rows_of(item)};
}

}  // namespace

template <class T>
Run warp_pairs(const Kernels<T>& kernels, const Pairs& pairs, const Options& options, double work_per_thread,
               Pulse& pulse, T* cost, Status* status, ReversePath* paths) {
    using Some = typename PairsCall<T>::Some;
    const PairsCall<T> call{pairs, options, cost, status, paths};
    const std::int64_t dim = pairs.dim(), count = pairs.count();
    const auto make = [&] { return Worker<T>(kernels, options, dim, pulse); };
    if (count == 1) {
        // A small call is over before the rest would be set up.
        return run_tasks(1, 1, pulse, make, [&](Worker<T>& worker, std::int64_t only) {
            return call.solve(worker, {&only, 1}, call.prefers_lanes(worker, {&only, 1}));
        });
    }
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    // Longest first: like shapes share a group, and the last tasks to be handed out are short.
    std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        const std::int64_t n = pairs.x_length(a), other_n = pairs.x_length(b);
        if (n != other_n) return n > other_n;
        const std::int64_t m = pairs.y_length(a), other_m = pairs.y_length(b);
        return m != other_m ? m > other_m : a < b;
    });
    double work = 0;
    for (const std::int64_t p : order)
        work += cells(options, pairs.x_length(p), pairs.y_length(p)) * static_cast<double>(dim);

    struct Task {
        Some some;
        bool lanes;
    };
    std::vector<Task> tasks;
    const Worker<T> planner = make();
    for (std::int64_t begin = 0; begin < count;) {
        const Some next{order.data() + begin, std::min<std::int64_t>(kernels.width, count - begin)};
        const bool lanes = call.prefers_lanes(planner, next);
        tasks.push_back({{next.which, lanes ? next.count : 1}, lanes});
        begin += tasks.back().some.count;
    }
    const int threads = useful_threads(work, options.threads, work_per_thread);
    return run_tasks(static_cast<std::int64_t>(tasks.size()), threads, pulse, make,
                     [&](Worker<T>& worker, std::int64_t t) {
                         const Task& task = tasks[static_cast<std::size_t>(t)];
                         return call.solve(worker, task.some, task.lanes);
                     });
}

template <class T>
Run warp_all_pairs(const Kernels<T>& kernels, const Ragged& xs, const Ragged& ys, bool symmetric,
                   const Options& options, double work_per_thread, Pulse& pulse, T* out, std::int64_t stride) {
    // A block of 16 x 16 pairs of the collections sorted by length is one task; inside it tiles of 4 x 4, so that
    // the pairs of a group are alike in both lengths.
    constexpr std::size_t block = 16, tile = 4;
    const std::vector<std::int64_t> rows = by_length(xs), columns = by_length(ys);
    const std::size_t blocks_down = (rows.size() + block - 1) / block;
    const std::size_t blocks_across = (columns.size() + block - 1) / block;
    const std::int64_t dim = xs.columns, middle = ys.rows_of(columns[columns.size() / 2]);
    double work = 0;
    for (std::int64_t i = 0; i < xs.count; ++i)
        work += cells(options, xs.rows_of(i), middle) * static_cast<double>(dim) * static_cast<double>(ys.count) *
                (symmetric ? 0.5 : 1.0);

    const auto width = static_cast<std::size_t>(kernels.width);
    const auto solve = [&](Worker<T>& worker, std::int64_t task) {
        const std::size_t down = static_cast<std::size_t>(task) / blocks_across * block;
        const std::size_t across = static_cast<std::size_t>(task) % blocks_across * block;
        if (symmetric && across < down) return true;
        std::array<std::pair<std::int64_t, std::int64_t>, block * block> cell;
        std::size_t count = 0;
        for (std::size_t ti = down; ti < down + block; ti += tile)
            for (std::size_t tj = across; tj < across + block; tj += tile)
                for (std::size_t i = ti; i < std::min(ti + tile, rows.size()); ++i)
                    for (std::size_t j = tj; j < std::min(tj + tile, columns.size()); ++j)
                        if (!symmetric || i <= j) cell[count++] = {rows[i], columns[j]};
        for (std::size_t begin = 0; begin < count; begin += width) {
            const std::size_t held = std::min(width, count - begin);
            std::array<Pair<T>, kMostLanes> pairs;
            std::array<T, kMostLanes> costs;
            for (std::size_t p = 0; p < held; ++p)
                pairs[p] = {series_of<T>(xs, cell[begin + p].first), series_of<T>(ys, cell[begin + p].second)};
            if (!worker.run(pairs.data(), static_cast<int>(held), costs.data())) return false;
            for (std::size_t p = 0; p < held; ++p) {
                const auto [i, j] = cell[begin + p];
                const T value = settle<T>(options, {pairs[p].x, pairs[p].y}, costs[p], nullptr, worker);
                out[i * stride + j] = value;
                if (symmetric) out[j * stride + i] = value;
            }
            pulse.add_done(static_cast<std::int64_t>(held));
        }
        return true;
    };
    return run_tasks(
        static_cast<std::int64_t>(blocks_down * blocks_across), useful_threads(work, options.threads, work_per_thread),
        pulse, [&] { return Worker<T>(kernels, options, dim, pulse); }, solve);
}

template Run warp_pairs(const Kernels<float>&, const Pairs&, const Options&, double, Pulse&, float*, Status*,
                        ReversePath*);
template Run warp_pairs(const Kernels<double>&, const Pairs&, const Options&, double, Pulse&, double*, Status*,
                        ReversePath*);
template Run warp_all_pairs(const Kernels<float>&, const Ragged&, const Ragged&, bool, const Options&, double, Pulse&,
                            float*, std::int64_t);
template Run warp_all_pairs(const Kernels<double>&, const Ragged&, const Ragged&, bool, const Options&, double, Pulse&,
                            double*, std::int64_t);

}  // namespace coalign::warping
