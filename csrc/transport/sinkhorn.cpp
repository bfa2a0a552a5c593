// The problems of a call, of stored costs or of points: what the solver asks of their costs, and who solves which.
#include "transport/sinkhorn.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/buffer.hpp"
#include "core/finite.hpp"
#include "transport/log_pass.hpp"
#include "transport/point_scaling.hpp"
#include "transport/points.hpp"
#include "transport/problems.hpp"
#include "transport/scaling.hpp"
#include "transport/solver.hpp"
#include "transport/spread.hpp"
#include "transport/tiny.hpp"

namespace coalign::transport {
namespace {

// Of one problem: a thread sweeps so many in some 15 us, and two take about 2 us to go from one phase to the next.
constexpr double kCellsPerThread = 1 << 17;

// What the solver asks of stored costs.
template <class T>
class StoredCosts {
   public:
    using Value = T;
    using Costs = MatrixView<T>;
    using Quick = Scaling<T, float>;
    using Exact = Scaling<T, double>;

    StoredCosts(Isa isa, Team& team, Pulse& pulse) : pass_(isa, team, pulse) {}

    static Spread spread(const Costs& cost) { return spread_of_costs(cost); }
    static double cost_of(const Costs& cost, std::int64_t i, std::int64_t j) {
        return double{cost.data[i * cost.row_stride + j]};
    }
    // Whether the rows, as far as they are looked at, are each nearest to a column of its own that has room for them.
    // Of rows without such order, two among the first few share a column.
    static bool is_paired(const Task<Costs>& task, std::vector<bool>& taken) {
        const Costs& cost = task.cost;
        constexpr double most_weight = 1.1, looks = 4;
        const auto rows = static_cast<std::int64_t>(looks * std::sqrt(static_cast<double>(cost.columns))) + 1;
        taken.assign(static_cast<std::size_t>(cost.columns), false);
        for (std::int64_t i = 0; i < std::min(rows, cost.rows); ++i) {
            const T* const row = cost.data + i * cost.row_stride;
            const std::int64_t nearest = std::min_element(row, row + cost.columns) - row;
            const auto at = static_cast<std::size_t>(nearest);
            if (taken[at] || task.row_weight[i] > most_weight * task.column_weight[nearest]) return false;
            taken[at] = true;
        }
        return true;
    }
    // Costs are subtracted in float64 in any case.
    static bool suits_float32(const Costs&, double) { return true; }
    // Where float32 cannot go on; what is left is for float64.
    static double quick_tolerance(const Costs&, double) { return 2e-6; }

    static std::int64_t wrong_column(const Costs& cost, std::int64_t i) { return first_wrong_column(cost, i); }

    // The cost and the sums of the plan at the potentials f and g; null where the call is to stop.
    const double* sum_plan(const Task<Costs>& task, const double* f, const double* g, double* row_sum, double& cost) {
        pass_.begin(task.cost, task.epsilon);
        return pass_.sum_plan(f, g, row_sum, cost) ? pass_.sums() : nullptr;
    }

   private:
    LogPass<T> pass_;
};

// Iterations keep their history beside the columns: few of them are better than many.
constexpr std::int64_t kWide = 16, kLeastTurned = 1 << 16, kLeastRowsTurned = 32;

// Whether a problem is solved with rows for its columns. Exactly so many plain updates end with the rows.
inline bool is_better_turned(std::int64_t rows, std::int64_t columns, const Options& options) {
    return options.tolerance > 0 && rows >= kLeastRowsTurned && columns >= kWide * rows &&
           rows * columns >= kLeastTurned;
}

// Solves problems with rows for their columns.
template <class T>
class TurnedSolver {
   public:
    TurnedSolver(Isa isa, const Options& options, Team& team, Pulse& pulse, std::int64_t problems)
        : team_(team), solver_(isa, turned(options), team, pulse, problems, true) {}

    // False when the call is to stop.
    bool solve(const Batch& batch, std::int64_t p, const MatrixView<T>& cost, Solution<T>& solution) {
        const Batch given{batch.costs,          batch.column_weights, batch.row_weights,    batch.column_potentials,
                          batch.row_potentials, batch.epsilon,        batch.epsilon_stride, turned(batch.options)};
        std::swap(solution.f, solution.g);
        const bool is_done = solver_.solve(given, p, copy_of(cost), solution);
        std::swap(solution.f, solution.g);
        return is_done;
    }

   private:
    static Options turned(Options options) {
        std::swap(options.row_penalty, options.column_penalty);
        return options;
    }

    // A cache line of columns at a time.
    MatrixView<T> copy_of(const MatrixView<T>& cost) {
        constexpr std::int64_t block = 64 / sizeof(T);
        T* const out = copy_.reserve(cost.rows * cost.columns);
        const Chunks chunks(cost.columns, cost.rows, block);
        team_.run(chunks.number, [&](std::int64_t chunk) {
            for (std::int64_t first = chunks.begin(chunk); first < chunks.end(chunk); first += block) {
                const std::int64_t end = std::min(first + block, chunks.end(chunk));
                for (std::int64_t i = 0; i < cost.rows; ++i)
                    for (std::int64_t j = first; j < end; ++j)
                        out[j * cost.rows + i] = cost.data[i * cost.row_stride + j];
            }
        });
        return {out, cost.columns, cost.rows, cost.rows, 1};
    }

    Team& team_;
    Solver<StoredCosts<T>> solver_;
    Buffer<T> copy_;
};

// The problems of a batch, many at a time where they are tiny.
template <class T>
struct Worker {
    std::int64_t solve(const Batch& batch, std::int64_t p, std::int64_t end, Results<T>& results) {
        unsigned left = 0;
        const std::int64_t taken = tiny.solve(batch, p, end, results, left);
        if (taken == p) return solve_one(batch, p, results) ? p + 1 : p;
        for (; left != 0; left &= left - 1) {
            const std::int64_t at = p + __builtin_ctz(left);
            if (!solve_one(batch, at, results)) return p;
        }
        return taken;
    }

    bool solve_one(const Batch& batch, std::int64_t p, Results<T>& results) {
        Solution<T> solution{results.f_of(p), results.g_of(p)};
        const MatrixView<T> cost = batch.costs.at<T>(p);
        const auto is_found = [&] { return solution.status != Status::nan && solution.status != Status::infeasible; };
        bool is_turned = is_better_turned(cost.rows, cost.columns, batch.options);
        if (is_turned) {
            if (!turned) turned = std::make_unique<TurnedSolver<T>>(isa, batch.options, team, pulse, batch.costs.count);
            if (!turned->solve(batch, p, cost, solution)) return false;
            is_turned = is_found();
        }
        // What is wrong is told by the rows that were given.
        if (!is_turned) {
            solution = {results.f_of(p), results.g_of(p)};
            if (!general.solve(batch, p, cost, solution)) return false;
        }
        results.keep(p, solution);
        return true;
    }

    Isa isa;
    Team& team;
    Pulse& pulse;
    Solver<StoredCosts<T>> general;
    TinySolver<T> tiny;
    std::unique_ptr<TurnedSolver<T>> turned{};  // made where a problem asks for it
};

}  // namespace

template <class T>
Run solve(Isa isa, const Batch& batch, int threads, double work_per_thread, Pulse& pulse, Results<T>& results) {
    const double passes = std::min(100.0, static_cast<double>(batch.options.most_iterations));
    const double cells = batch.costs.elements();
    const std::int64_t count = batch.costs.count;
    const bool are_tiny = cells <= static_cast<double>(count) * kMostTiny * kMostTiny;
    return run_problems(
        {count, cells, passes, kCellsPerThread}, threads, work_per_thread, pulse,
        [&](Team& team) {
            const Options& options = batch.options;
            return Worker<T>{isa, team, pulse, {isa, options, team, pulse, count}, {isa, options, pulse}};
        },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t end) {
            const std::int64_t solved = worker.solve(batch, p, end, results);
            if (count > 1) pulse.add_done(solved - p);
            return solved;
        },
        are_tiny ? kMostLanes : 1);
}

template <class T>
Spread PointModel<T>::spread(const Costs& cost) {
    return spread_of_costs(cost.rows, cost.columns,
                           [&](std::int64_t i, std::int64_t j) { return cost.pair->cost(i, j); });
}

namespace {

// The number of the first value that is not finite, or -1.
template <class T>
std::int64_t first_wrong(const MatrixView<T>& points) {
    if (points.column_stride == 1 && points.row_stride == points.columns) {
        const std::int64_t count = points.rows * points.columns, at = first_not_finite(points.data, count);
        return at < count ? at : -1;
    }
    for (std::int64_t i = 0; i < points.rows; ++i)
        for (std::int64_t k = 0; k < points.columns; ++k)
            if (!std::isfinite(points.data[i * points.row_stride + k * points.column_stride]))
                return i * points.columns + k;
    return -1;
}

}  // namespace

template <class T>
Run solve_points(Isa isa, const PointBatch& batch, int threads, double work_per_thread, Pulse& pulse,
                 Results<T>& results) {
    struct Worker {
        Solver<PointModel<T>> solver;
        PointPair pair;
    };
    const Options& options = batch.rest.options;
    const double iterations = std::min(100.0, static_cast<double>(options.most_iterations));
    const std::int64_t count = batch.count();
    return over_pairs(
        batch, iterations, threads, work_per_thread, pulse,
        [&](Team& team) {
            return std::make_unique<Worker>(Worker{Solver<PointModel<T>>(isa, options, team, pulse, count), {}});
        },
        [&](Worker& worker, std::int64_t p) {
            Solution<T> solution{results.f_of(p), results.g_of(p)};
            const MatrixView<T> x = batch.x.at<T>(batch.x_item(p)), y = batch.y.at<T>(batch.y_item(p));
            solution.row = first_wrong(x);
            solution.column = solution.row < 0 ? first_wrong(y) : -1;
            if (solution.row >= 0 || solution.column >= 0) {
                solution.status = Status::nan;
            } else {
                worker.pair.take(x, y, batch.metric);
                if (!worker.solver.solve(batch.rest, p, {x.rows, y.rows, &worker.pair}, solution)) return false;
            }
            results.keep(p, solution);
            if (count > 1) pulse.add_done(1);
            return true;
        });
}

template Run solve(Isa, const Batch&, int, double, Pulse&, Results<float>&);
template Run solve(Isa, const Batch&, int, double, Pulse&, Results<double>&);

template Run solve_points(Isa, const PointBatch&, int, double, Pulse&, Results<float>&);
template Run solve_points(Isa, const PointBatch&, int, double, Pulse&, Results<double>&);

}  // namespace coalign::transport
