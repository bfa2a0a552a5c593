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

namespace coalign::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A thread sweeps so many in some 100 us, and two take about 2 us to go from one phase to the next.
constexpr double kCellsPerThread = 1 << 15;

template <class T>
class PartialSolver {
   public:
    PartialSolver(Isa isa, const Options& options, Team& team, Pulse& pulse)
        : options_(options), pass_(isa, team, pulse), anderson_(table_for<HistoryKernels>(isa)) {}

    // False when the call is to stop.
    bool solve(const Batch& batch, std::int64_t p, double mass, Solution<T>& solution) {
        cost_ = batch.costs.at<T>(p);
        epsilon_ = batch.epsilon[p * batch.epsilon_stride];
        mass_ = mass;
        width_ = padded(cost_.columns);
        std::fill_n(solution.f, cost_.rows, -std::numeric_limits<T>::infinity());
        std::fill_n(solution.g, cost_.columns, -std::numeric_limits<T>::infinity());
        take(batch.row_weights.of<T>(p), cost_.rows, cost_.rows, rows_);
        take(batch.column_weights.of<T>(p), cost_.columns, width_, columns_);
        double* const potential = potential_.reserve(width_);
        std::fill_n(potential, width_, 0.0);
        for (std::int64_t j = 0; j < width_; ++j)
            if (!(columns_.data()[j] > 0)) potential[j] = -kInfinity;
        Outcome outcome = Outcome::not_reached;
        if (options_.tolerance > 0) {
            pass_.begin(cost_, 1);
            double epsilon = kFirstEpsilon * pass_.spread();
            for (; epsilon > epsilon_; epsilon *= kNextEpsilon) {
                const std::int64_t left = options_.most_iterations - solution.iterations - 1;
                if (left <= 0) break;
                outcome = run(epsilon, kStepTolerance, std::min(left, kStepIterations), solution);
                if (outcome > Outcome::stalled) return fail(outcome, solution);
                const double ratio = epsilon / std::max(epsilon * kNextEpsilon, epsilon_);
                for (std::int64_t j = 0; j < width_; ++j) potential[j] *= ratio;
            }
        }
        double aim = options_.tolerance;
        for (int attempt = 0; attempt < kAttempts; ++attempt, aim /= 4) {
            const std::int64_t left = std::max<std::int64_t>(options_.most_iterations - solution.iterations, 1);
            outcome = run(epsilon_, aim, left, solution);
            if (outcome > Outcome::stalled) return fail(outcome, solution);
            if (!conclude(solution)) return false;
            if (solution.status != Status::ok || solution.error <= options_.tolerance || options_.tolerance == 0)
                return true;
            if (outcome == Outcome::not_reached) {
                solution.status = error_ > kNoise ? Status::not_converged : Status::precision_limit;
                return true;
            }
        }
        solution.status = Status::precision_limit;
        return true;
    }

   private:
    // As for problems whose marginals are met.
    static constexpr double kFirstEpsilon = 0.5, kNextEpsilon = 0.25, kStepTolerance = 0.02;
    static constexpr std::int64_t kStepIterations = 60;
    static constexpr int kAttempts = 4;
    // What remains of an error in float64 may be rounding.
    static constexpr double kNoise = 1e-12;

    static void take(const T* given, std::int64_t count, std::int64_t room, Buffer<double>& out) {
        double* const values = out.reserve(room);
        std::fill_n(values, room, 0.0);
        for (std::int64_t i = 0; i < count; ++i)
            values[i] = given != nullptr ? double{given[i]} : 1 / static_cast<double>(count);
    }

    bool fail(Outcome outcome, Solution<T>& solution) const {
        if (outcome == Outcome::stopped) return false;
        if (outcome == Outcome::wrong) {
            solution.status = Status::nan;
            solution.row = pass_.wrong_row();
            solution.column = pass_.wrong_column();
        } else {
            solution.status = Status::infeasible;
        }
        return true;
    }

    Outcome run(double epsilon, double tolerance, std::int64_t most, Solution<T>& solution) {
        pass_.begin(cost_, epsilon);
        anderson_.start(columns_.data(), width_);
        double* const potential = potential_.data();
        for (std::int64_t made = 1;; ++made) {
            const Outcome outcome = iterate();
            if (outcome != Outcome::reached) return outcome;
            ++solution.iterations;
            if (tolerance > 0 && error_ <= tolerance) return Outcome::reached;
            if (made >= most) return tolerance > 0 ? Outcome::not_reached : Outcome::reached;
            if (tolerance > 0) anderson_.step(potential, image_.data(), error_);
            else std::copy_n(image_.data(), width_, potential);
            for (std::int64_t j = 0; j < width_; ++j) potential[j] = std::min(potential[j], 0.0);
        }
    }

    // The rows' F, and L, from G, and into image_ the G that follows from F.
    Outcome iterate() {
        const double *const potential = potential_.data(), *const b = columns_.data(), *const a = rows_.data();
        const Outcome outcome = pass_.absorb(potential, b);
        if (outcome != Outcome::reached) return outcome;
        double* const ratio = log_ratio_.reserve(std::max(cost_.rows, width_));
        double* const scale = row_.reserve(cost_.rows);
        double reachable = 0;
        for (std::int64_t i = 0; i < cost_.rows; ++i) {
            ratio[i] = -pass_.row_potential()[i];
            if (ratio[i] > -kInfinity) reachable += a[i];
        }
        if (!(reachable >= mass_ * (1 - kMostLost))) return Outcome::empty_row;
        level_ = raise_to_mass(cost_.rows, a);
        for (std::int64_t i = 0; i < cost_.rows; ++i) scale[i] = a[i] * std::min(1.0, std::exp(level_ + ratio[i]));
        double least = 0;
        if (!pass_.sweep(1, b, scale, least)) return Outcome::stopped;
        const double* const sums = pass_.sums();
        double missed = 0;
        for (std::int64_t j = 0; j < width_; ++j) {
            ratio[j] = b[j] > 0 ? std::log(sums[j]) - potential[j] : -kInfinity;
            const double sum = b[j] * sums[j];
            if (b[j] > 0) missed += std::abs(sum - std::min(b[j], sum * std::exp(-potential[j])));
        }
        error_ = missed / mass_;
        const double raise = raise_to_mass(cost_.columns, b);
        double* const image = image_.reserve(width_);
        for (std::int64_t j = 0; j < width_; ++j) image[j] = b[j] > 0 ? std::min(0.0, -(raise + ratio[j])) : -kInfinity;
        return Outcome::reached;
    }

    // The x for which the sum of weight_i min(1, exp(x + ratio_i)) is the mass. Newton's method from below, of a
    // function that is concave in exp(x): what is full becomes more, and a step that fills nothing is the last.
    double raise_to_mass(std::int64_t count, const double* weight) const {
        const double* const ratio = log_ratio_.data();
        double most = -kInfinity, raise = -kInfinity;
        for (std::int64_t i = 0; i < count; ++i)
            if (weight[i] > 0) most = std::max(most, ratio[i]);
        for (std::int64_t step = 0; step <= count; ++step) {
            double full = 0, rest = 0;
            for (std::int64_t i = 0; i < count; ++i) {
                if (!(weight[i] > 0)) continue;
                if (raise + ratio[i] >= 0) full += weight[i];
                else rest += weight[i] * std::exp(ratio[i] - most);
            }
            if (!(rest > 0) || !(full < mass_)) break;
            const double next = std::log((mass_ - full) / rest) - most;
            if (!(next > raise)) break;
            raise = next;
        }
        return raise;
    }

    // Writes the potentials, rounded to T, and what their plan proves.
    bool conclude(Solution<T>& solution) {
        const double *const potential = potential_.data(), *const a = rows_.data(), *const b = columns_.data();
        double* const row = row_.reserve(cost_.rows);
        double* const column = column_.reserve(width_);
        double* const row_sum = row_sum_.reserve(cost_.rows);
        for (std::int64_t i = 0; i < cost_.rows; ++i) {
            const double own = pass_.row_potential()[i];
            if (a[i] > 0 && own < kInfinity) solution.f[i] = T(epsilon_ * (std::min(own, level_) + std::log(a[i])));
            row[i] = double{solution.f[i]};
        }
        for (std::int64_t j = 0; j < width_; ++j) {
            column[j] = -kInfinity;
            if (!(b[j] > 0)) continue;
            solution.g[j] = T(epsilon_ * (potential[j] + std::log(b[j])));
            column[j] = double{solution.g[j]};
        }
        if (!pass_.sum_plan(row, column, row_sum, solution.cost)) return false;
        double total = 0, missed = 0, value = 0, masses[2] = {};
        const auto side = [&](std::int64_t count, const double* weight, const double* at, const double* sum,
                              double& whole) {
            // A potential without unit; the greatest is that of what nothing holds back.
            const auto dual = [&](std::int64_t i) { return at[i] / epsilon_ - std::log(weight[i]); };
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
        side(cost_.rows, a, row, row_sum, masses[0]);
        side(cost_.columns, b, column, pass_.sums(), masses[1]);
        for (std::int64_t i = 0; i < cost_.rows; ++i) total += row_sum[i];
        solution.error = (missed + std::abs(total - mass_)) / mass_;
        solution.value = epsilon_ * (value - total + masses[0] * masses[1]);
        for (double* number : {&solution.error, &solution.value, &solution.cost})
            if (!std::isfinite(*number)) {
                solution.status = Status::precision_limit;
                if (std::isnan(*number)) *number = kInfinity;
            }
        return true;
    }

    // The share of the mass that rounding may hide.
    static constexpr double kMostLost = 1e-6;

    Options options_;
    LogPass<T> pass_;
    Anderson anderson_;
    MatrixView<T> cost_{};
    double epsilon_ = 1, mass_ = 1, level_ = 0, error_ = kInfinity;
    std::int64_t width_ = 0;
    Buffer<double> rows_, columns_, potential_, image_, log_ratio_, row_, column_, row_sum_;
};

}  // namespace

template <class T>
Run solve_partial(Isa isa, const Batch& batch, const double* mass, int threads, double work_per_thread, Pulse& pulse,
                  std::vector<Solution<T>>& solutions) {
    const double iterations = std::min(100.0, static_cast<double>(batch.options.most_iterations));
    const double cells = batch.costs.elements();
    const std::int64_t count = batch.costs.count;
    const double cells_each = cells / static_cast<double>(std::max<std::int64_t>(count, 1));
    const double cells_per_thread = work_per_thread > 0 ? kCellsPerThread : 0;
    Team team(count < threads ? useful_threads(cells_each, threads, cells_per_thread) : 1);
    Run run = run_batch(
        count, cells * iterations, team.size() > 1 ? 1 : threads, work_per_thread, pulse,
        [&] { return std::make_unique<PartialSolver<T>>(isa, batch.options, team, pulse); },
        [&](auto& worker, std::int64_t p, std::int64_t) {
            return worker->solve(batch, p, mass[p], solutions[static_cast<std::size_t>(p)]) ? p + 1 : p;
        });
    run.workers *= team.size();
    return run;
}

template Run solve_partial(Isa, const Batch&, const double*, int, double, Pulse&, std::vector<Solution<float>>&);
template Run solve_partial(Isa, const Batch&, const double*, int, double, Pulse&, std::vector<Solution<double>>&);

}  // namespace coalign::transport
