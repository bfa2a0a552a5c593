// With the logarithms F and G of what holds a row or a column back, at most 0, and the level L of all, the plan is
// a_i b_j exp(L + F_i + G_j - C_ij / epsilon). These maximise a concave dual function, here by turns: F and L from G,
// then G and L from F. With one of the three at a time, L comes near only by small steps. J.-D. Benamou, G. Carlier, M.
// Cuturi, L. Nenna, G. Peyre: Iterative Bregman projections for regularized transportation problems. SIAM J. Sci.
// Comput. 37(2), 2015, section 5, projects on the rows' bounds, the columns' and the mass in turn.
#include "transport/partial.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "core/buffer.hpp"
#include "transport/log_pass.hpp"
#include "transport/problems.hpp"

namespace coalign::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A thread sweeps so many in some 100 us, and two take about 2 us to go from one phase to the next.
constexpr double kCellsPerThread = 1 << 15;

template <class T>
struct PartialTask {
    MatrixView<T> cost;
    double epsilon;
    const double *row_weight, *column_weight;  // the latter padded with zeros
    double mass;
};

// The engine of a mass that is given.
template <class T>
class PartialEngine {
   public:
    using Problem = PartialTask<T>;

    PartialEngine(Isa isa, Team& team, Pulse& pulse) : pass_(isa, team, pulse) {}

    // Exactly so many iterations, each from the last one's result.
    Outcome run_plain(const Problem& task, std::int64_t most, double* potential) {
        begin(task);
        while (true) {
            if (!iterate(potential)) return failure_;
            if (iterations_ == most) return Outcome::reached;
            std::copy_n(image_.data(), width_, potential);
        }
    }
    // What the last iteration has: L + F of each row, and the bound of these, which is L.
    const double* row_potential() const { return pass_.row_potential(); }
    double level() const { return level_; }
    double error() const { return error_; }
    std::int64_t iterations() const { return iterations_; }
    LogPass<T>& pass() { return pass_; }

   protected:
    // What remains of an error in float64 may be rounding.
    static constexpr double kNoise = 1e-12;

    void begin(const Problem& task) {
        task_ = task;
        width_ = padded(task.cost.columns);
        pass_.begin(task.cost, task.epsilon);
        iterations_ = 0;
    }

    // The rows' F, and L, from G, which is held to 0, and into image_ the G that follows from F.
    bool iterate(double* potential) {
        const double *const b = task_.column_weight, *const a = task_.row_weight;
        const std::int64_t rows = task_.cost.rows;
        for (std::int64_t j = 0; j < width_; ++j) potential[j] = std::min(potential[j], 0.0);
        failure_ = pass_.absorb(potential, b);
        if (failure_ != Outcome::reached) return false;
        double* const ratio = log_ratio_.reserve(std::max(rows, width_));
        double* const scale = scale_.reserve(rows);
        double reachable = 0;
        for (std::int64_t i = 0; i < rows; ++i) {
            ratio[i] = -pass_.row_potential()[i];
            if (ratio[i] > -kInfinity) reachable += a[i];
        }
        failure_ = Outcome::empty_row;
        if (!(reachable >= task_.mass * (1 - kMostLost))) return false;
        level_ = raise_to_mass(rows, a);
        for (std::int64_t i = 0; i < rows; ++i) scale[i] = a[i] * std::min(1.0, std::exp(level_ + ratio[i]));
        double least = 0;
        failure_ = Outcome::stopped;
        if (!pass_.sweep(1, b, scale, least)) return false;
        const double* const sums = pass_.sums();
        double missed = 0;
        for (std::int64_t j = 0; j < width_; ++j) {
            ratio[j] = b[j] > 0 ? std::log(sums[j]) - potential[j] : -kInfinity;
            const double sum = b[j] * sums[j];
            if (b[j] > 0) missed += std::abs(sum - std::min(b[j], sum * std::exp(-potential[j])));
        }
        error_ = missed / task_.mass;
        const double raise = raise_to_mass(task_.cost.columns, b);
        double* const image = image_.reserve(width_);
        for (std::int64_t j = 0; j < width_; ++j) image[j] = b[j] > 0 ? std::min(0.0, -(raise + ratio[j])) : -kInfinity;
        ++iterations_;
        return true;
    }

    // Of the columns that something holds back: the others stay where they are.
    template <class What>
    void each_missed(const double* potential, What&& what) const {
        const double* const b = task_.column_weight;
        for (std::int64_t j = 0; j < task_.cost.columns; ++j)
            if (b[j] > 0 && potential[j] < 0) what(j, b[j] * (pass_.sums()[j] - 1));
    }

    Problem task_{};
    std::int64_t width_ = 0, iterations_ = 0;
    Buffer<double> image_;
    double error_ = kInfinity;
    Outcome failure_ = Outcome::stopped;

   private:
    // The share of the mass that rounding may hide.
    static constexpr double kMostLost = 1e-6;

    // The x for which the sum of weight_i min(1, exp(x + ratio_i)) is the mass. Newton's method from below, of a
    // function that is concave in exp(x): what is full becomes more, and a step that fills nothing is the last. What is
    // not full is summed relative to its own greatest, which may be any number of times less than what is.
    double raise_to_mass(std::int64_t count, const double* weight) const {
        const double* const ratio = log_ratio_.data();
        double raise = -kInfinity;
        for (std::int64_t step = 0; step <= count; ++step) {
            double full = 0, rest = 0, most = -kInfinity;
            for (std::int64_t i = 0; i < count; ++i) {
                if (!(weight[i] > 0)) continue;
                if (raise + ratio[i] >= 0) full += weight[i];
                else most = std::max(most, ratio[i]);
            }
            if (!(most > -kInfinity) || !(full < task_.mass)) break;
            for (std::int64_t i = 0; i < count; ++i)
                if (weight[i] > 0 && !(raise + ratio[i] >= 0)) rest += weight[i] * std::exp(ratio[i] - most);
            const double next = std::log((task_.mass - full) / rest) - most;
            if (!(next > raise)) break;
            raise = next;
        }
        return raise;
    }

    LogPass<T> pass_;
    double level_ = 0;
    Buffer<double> log_ratio_, scale_;
};

template <class T>
class PartialSolver {
   public:
    PartialSolver(Isa isa, const Options& options, Team& team, Pulse& pulse)
        : options_(options), engine_(isa, team, pulse) {}

    // False when the call is to stop.
    bool solve(const Batch& batch, std::int64_t p, double mass, Solution<T>& solution) {
        const MatrixView<T> cost = batch.costs.at<T>(p);
        const std::int64_t width = padded(cost.columns);
        std::fill_n(solution.f, cost.rows, -std::numeric_limits<T>::infinity());
        std::fill_n(solution.g, cost.columns, -std::numeric_limits<T>::infinity());
        take(batch.row_weights.of<T>(p), cost.rows, cost.rows, rows_);
        take(batch.column_weights.of<T>(p), cost.columns, width, columns_);
        task_ = {cost, batch.epsilon[p * batch.epsilon_stride], rows_.data(), columns_.data(), mass};
        double* const potential = potential_.reserve(width);
        for (std::int64_t j = 0; j < width; ++j) potential[j] = columns_.data()[j] > 0 ? 0 : -kInfinity;
        const auto run = [&](double epsilon, double tolerance, std::int64_t most) {
            PartialTask<T> task = task_;
            task.epsilon = epsilon;
            const Outcome outcome = tolerance > 0 ? engine_.run(task, tolerance, most, potential)
                                                  : engine_.run_plain(task, most, potential);
            solution.iterations += engine_.iterations();
            return outcome;
        };
        Outcome outcome = Outcome::reached;
        if (options_.tolerance > 0)
            outcome = lower_epsilon(spread_of_costs(cost).ordinary, task_.epsilon, options_.most_iterations,
                                    solution.iterations, potential, width, run);
        double aim = options_.tolerance;
        for (int attempt = 0; attempt < kAttempts && outcome == Outcome::reached; ++attempt, aim /= 4) {
            outcome =
                run(task_.epsilon, aim, std::max<std::int64_t>(options_.most_iterations - solution.iterations, 1));
            if (outcome > Outcome::stalled) break;
            if (!conclude(solution)) return false;
            if (solution.status != Status::ok || solution.error <= options_.tolerance || options_.tolerance == 0)
                return true;
        }
        if (outcome == Outcome::stopped) return false;
        // Potentials beyond float64 may be what is wrong instead of a cost.
        bool is_cost = false;
        if (outcome == Outcome::wrong) {
            solution.row = engine_.pass().wrong_row();
            solution.column = engine_.pass().wrong_column();
            is_cost = solution.column < cost.columns;
        }
        solution.status = is_cost                           ? Status::nan
                          : outcome == Outcome::wrong       ? Status::precision_limit
                          : outcome > Outcome::stalled      ? Status::infeasible
                          : outcome == Outcome::not_reached ? Status::not_converged
                                                            : Status::precision_limit;
        return true;
    }

   private:
    static constexpr int kAttempts = 4;

    static void take(const T* given, std::int64_t count, std::int64_t room, Buffer<double>& out) {
        double* const values = out.reserve(room);
        std::fill_n(values, room, 0.0);
        for (std::int64_t i = 0; i < count; ++i)
            values[i] = given != nullptr ? double{given[i]} : 1 / static_cast<double>(count);
    }

    // Writes the potentials, rounded to T, and what their plan proves.
    bool conclude(Solution<T>& solution) {
        const MatrixView<T>& cost = task_.cost;
        const double epsilon = task_.epsilon, level = engine_.level();
        const double *const potential = potential_.data(), *const a = rows_.data(), *const b = columns_.data();
        const std::int64_t width = padded(cost.columns);
        double* const row = row_.reserve(cost.rows);
        double* const column = column_.reserve(width);
        double* const row_sum = row_sum_.reserve(cost.rows);
        for (std::int64_t i = 0; i < cost.rows; ++i) {
            const double own = engine_.row_potential()[i];
            if (a[i] > 0 && own < kInfinity) solution.f[i] = T(epsilon * (std::min(own, level) + std::log(a[i])));
            row[i] = double{solution.f[i]};
        }
        for (std::int64_t j = 0; j < width; ++j) {
            column[j] = -kInfinity;
            if (!(b[j] > 0)) continue;
            solution.g[j] = T(epsilon * (potential[j] + std::log(b[j])));
            column[j] = double{solution.g[j]};
        }
        LogPass<T>& pass = engine_.pass();
        if (!pass.sum_plan(row, column, row_sum, solution.cost)) return false;
        double total = 0, missed = 0, value = 0, masses[2] = {};
        const auto side = [&](std::int64_t count, const double* weight, const double* at, const double* sum,
                              double& whole) {
            // A potential without unit; the greatest is that of what nothing holds back.
            const auto dual = [&](std::int64_t i) { return at[i] / epsilon - std::log(weight[i]); };
            double free = -kInfinity;
            for (std::int64_t i = 0; i < count; ++i)
                if (weight[i] > 0) free = std::max(free, dual(i));
            for (std::int64_t i = 0; i < count; ++i) {
                whole += weight[i];
                if (!(weight[i] > 0) || !(at[i] > -kInfinity)) continue;
                missed += std::abs(sum[i] - std::min(weight[i], sum[i] * std::exp(free - dual(i))));
                value += sum[i] * dual(i);
            }
        };
        side(cost.rows, a, row, row_sum, masses[0]);
        side(cost.columns, b, column, pass.sums(), masses[1]);
        for (std::int64_t i = 0; i < cost.rows; ++i) total += row_sum[i];
        solution.error = (missed + std::abs(total - task_.mass)) / task_.mass;
        solution.value = epsilon * (value - total + masses[0] * masses[1]);
        for (double* number : {&solution.error, &solution.value, &solution.cost})
            if (!std::isfinite(*number)) {
                solution.status = Status::precision_limit;
                if (std::isnan(*number)) *number = kInfinity;
            }
        return true;
    }

    Options options_;
    Accelerated<PartialEngine<T>> engine_;
    PartialTask<T> task_{};
    Buffer<double> rows_, columns_, potential_, row_, column_, row_sum_;
};

}  // namespace

template <class T>
Run solve_partial(Isa isa, const Batch& batch, const double* mass, int threads, double work_per_thread, Pulse& pulse,
                  Results<T>& results) {
    const double passes = std::min(100.0, static_cast<double>(batch.options.most_iterations));
    return run_problems(
        {batch.costs.count, batch.costs.elements(), passes, kCellsPerThread}, threads, work_per_thread, pulse,
        [&](Team& team) { return std::make_unique<PartialSolver<T>>(isa, batch.options, team, pulse); },
        [&](auto& worker, std::int64_t p, std::int64_t) {
            Solution<T> solution{results.f_of(p), results.g_of(p)};
            if (!worker->solve(batch, p, mass[p], solution)) return p;
            results.keep(p, solution);
            return p + 1;
        });
}

template Run solve_partial(Isa, const Batch&, const double*, int, double, Pulse&, Results<float>&);
template Run solve_partial(Isa, const Batch&, const double*, int, double, Pulse&, Results<double>&);

}  // namespace coalign::transport
