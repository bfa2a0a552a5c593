// The solver of one problem: epsilon is lowered in steps to where it belongs, which keeps the iterations few, and each
// step's are accelerated. Potentials are proved at the end by the plan that they give, as they are returned.
//
// Lowering epsilon: B. Schmitzer: Stabilized sparse scaling algorithms for entropy regularized transport problems. SIAM
// J. Sci. Comput. 41(3), 2019. Unbalanced: L. Chizat, G. Peyre, B. Schmitzer, F.-X. Vialard: Scaling algorithms for
// unbalanced optimal transport problems. Math. Comp. 87, 2018.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/buffer.hpp"
#include "transport/acceleration.hpp"
#include "transport/problems.hpp"
#include "transport/sinkhorn.hpp"
#include "transport/spread.hpp"

namespace coalign::transport {

// The weights of one side: they add up to 1, beside the mass that they had.
class Weights {
   public:
    // False where one is negative or not finite, or all are 0.
    template <class T>
    bool take(const T* given, std::int64_t count) {
        double* const out = values_.reserve(padded(count));
        double* const log = logs_.reserve(count);
        std::fill(out + count, out + padded(count), 0.0);
        mass_ = least_ = 1;
        if (given == nullptr) {
            std::fill_n(out, count, 1 / static_cast<double>(count));
            std::fill_n(log, count, -std::log(static_cast<double>(count)));
            return true;
        }
        double sum = 0, least = std::numeric_limits<double>::infinity();
        bool is_right = true;
        for (std::int64_t i = 0; i < count; ++i) {
            out[i] = double{given[i]};
            is_right &= out[i] >= 0;
            sum += out[i];
            if (out[i] > 0) least = std::min(least, out[i]);
        }
        if (!is_right || !(sum > 0) || sum == std::numeric_limits<double>::infinity()) return false;
        mass_ = sum;
        least_ = least / sum;
        for (std::int64_t i = 0; i < count; ++i) {
            out[i] /= sum;
            log[i] = std::log(out[i]);
        }
        return true;
    }
    const double* values() const { return values_.data(); }
    // Their logarithms, -inf for 0.
    const double* logs() const { return logs_.data(); }
    double mass() const { return mass_; }
    // The least of those that count; 1 where all are the same.
    double least() const { return least_; }

   private:
    Buffer<double> values_, logs_;
    double mass_ = 1, least_ = 1;
};

// Model: what is asked of the costs, and the engines that iterate on them, `Quick` in float32 and `Exact` in float64.
template <class Model>
class Solver {
    using T = typename Model::Value;
    using Costs = typename Model::Costs;
    using Problem = Task<Costs>;

   public:
    Solver(Isa isa, const Options& options, Team& team, Pulse& pulse, std::int64_t problems, bool is_turned = false)
        : options_(options),
          model_(isa, team, pulse),
          quick_(isa, team, pulse),
          exact_(isa, team, pulse),
          is_alone_(problems == 1),
          is_turned_(is_turned) {}

    // False when the call is to stop.
    bool solve(const Batch& batch, std::int64_t p, const Costs& cost, Solution<T>& solution) {
        const double epsilon = batch.epsilon[p * batch.epsilon_stride];
        std::fill_n(solution.f, cost.rows, T(0));
        std::fill_n(solution.g, cost.columns, T(0));
        if (!rows_.take(batch.row_weights.of<T>(p), cost.rows) ||
            !columns_.take(batch.column_weights.of<T>(p), cost.columns) || !(epsilon > 0)) {
            solution.status = Status::invalid;
            return true;
        }
        double* const potential = potential_.reserve(padded(cost.columns));
        row_potential_.reserve(cost.rows);
        has_sentinels_ = is_symmetric_ = false;
        Problem task = describe(cost, epsilon);
        task.is_symmetric = is_symmetric_ = looks_symmetric(task);
        begin_anew(task);
        Outcome outcome = Outcome::not_reached;
        if (options_.tolerance == 0) {
            start_from(batch, p, task);
            const auto run = [&](auto& scaling) {
                outcome = scaling.run_plain(task, options_.most_iterations, potential);
                return conclude(scaling, outcome, task, solution) || outcome != Outcome::stopped;
            };
            const bool is_quick = std::is_same_v<T, float> && suits_float32(cost, epsilon);
            return is_quick ? run(quick_) : run(exact_);
        } else {
            if (!start_from(batch, p, task)) outcome = lower_epsilon(task, solution);
            if (is_failure(outcome)) return fail(failed_at_, outcome, task, solution);
            task.has_sentinels = has_sentinels_;
            if (!iterate(task, solution)) return false;
        }
        return true;
    }

   private:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();

    // Whether costs are those of points to themselves, by a few of them and all weights: if they are not, errors show.
    bool looks_symmetric(const Problem& task) const {
        const std::int64_t count = task.cost.rows, most = std::min<std::int64_t>(count, 8);
        if (!task.is_balanced || count != task.cost.columns) return false;
        constexpr double near = 1e-6;
        for (std::int64_t k = 0; k < most; ++k)
            for (std::int64_t l = 0; l < k; ++l) {
                const std::int64_t i = k * count / most, j = l * count / most;
                const double one = Model::cost_of(task.cost, i, j), other = Model::cost_of(task.cost, j, i);
                if (one != other && !(std::abs(one - other) <= near * std::abs(one))) return false;
            }
        return std::equal(task.row_weight, task.row_weight + count, task.column_weight,
                          [](double a, double b) { return std::abs(a - b) <= near * a; });
    }

    // Each epsilon is a tenth of the one before, from a fifth of the spread on, and the last step is some way above
    // what is asked for. A step costs as much as 13 iterations or more, since the kernel matrix is made anew. Counted
    // on squared distances, cosines, uniform costs and clusters of 600 points at 1 to 0.001 of the mean cost: 0.77 of
    // the time that quarters take from a half of the spread on. Without steps, clusters that differ in mass take more
    // than 3000 iterations where they take 100 with them.
    struct Ladder {
        double first, next, last;
    };
    static constexpr Ladder kQuick{0.2, 0.1, 3};
    // From sentinels down the quick one takes ten times as many iterations, or does not arrive; and to an epsilon below
    // this share of the spread it takes more of them, up to twice for points on a line.
    static constexpr Ladder kCareful{0.5, 0.25, 1};
    static constexpr double kSmallEpsilon = 0.01;
    static constexpr double kStepTolerance = 0.02;
    static constexpr std::int64_t kStepIterations = 60;
    // What sentinels carry of a plan that needs them is missed by more than this.
    static constexpr double kSeekTolerance = 1e-3;
    static constexpr int kAttempts = 4;
    static constexpr double kMostRounding = 0.8;
    static constexpr double kMostError = 2.5;

    static bool is_failure(Outcome outcome) { return outcome > Outcome::stalled; }

    // Scalings of lighter rows and columns may leave its range.
    bool suits_float32(const Costs& cost, double epsilon) const {
        constexpr double light = 1e-18;
        return Model::suits_float32(cost, epsilon) && std::min(rows_.least(), columns_.least()) >= light;
    }

    Problem describe(const Costs& cost, double epsilon) const {
        const bool is_balanced = options_.is_balanced();
        const auto power = [&](double penalty) { return penalty < kInfinity ? penalty / (penalty + epsilon) : 1; };
        const double row_mass = rows_.mass(), column_mass = columns_.mass();
        return {cost,
                epsilon,
                rows_.values(),
                columns_.values(),
                is_balanced ? 0 : std::log(row_mass),
                is_balanced ? 0 : std::log(column_mass),
                power(options_.row_penalty),
                power(options_.column_penalty),
                is_balanced,
                is_balanced ? 1 : column_mass / ((row_mass + column_mass) / 2),
                is_alone_,
                has_sentinels_,
                is_symmetric_};
    }

    void begin_anew(const Problem& task) {
        for (std::int64_t j = 0; j < task.width(); ++j)
            potential_.data()[j] = task.column_weight[j] > 0 ? 0 : -kInfinity;
        unit_ = task.epsilon;
    }

    // Potentials of the caller: g alone, since f follows from it. False where there are none.
    bool start_from(const Batch& batch, std::int64_t p, const Problem& task) {
        const T* const given = batch.column_potentials.of<T>(p);
        if (given == nullptr) return false;
        for (std::int64_t j = 0; j < task.cost.columns; ++j) {
            const double weight = task.column_weight[j];
            const double unit = task.is_balanced ? 0 : task.log_column_mass;
            const double exponent = double{given[j]} / task.epsilon;
            if (weight > 0 && std::isfinite(exponent)) potential_.data()[j] = exponent - std::log(weight) - unit;
        }
        return true;
    }

    // Where sentinels are in sight it begins below them; if the plan needs some of them, which shows at once, it begins
    // again above.
    Outcome lower_epsilon(const Problem& task, Solution<T>& solution) {
        if (options_.most_iterations <= 1) return Outcome::not_reached;
        const Spread spread = Model::spread(task.cost);
        has_sentinels_ = spread.has_sentinels();
        if (spread.far == spread.ordinary) {
            if (task.epsilon >= kSmallEpsilon * spread.ordinary)
                return lower_by(kQuick, kQuick.first * spread.ordinary, task, solution);
            // A cloud and itself, or one that has moved a little, is solved where it is: it takes no steps.
            if (task.is_balanced && Model::is_paired(task, taken_)) {
                const Outcome outcome = step_at(task.epsilon, kStepTolerance, task, solution, 1);
                if (outcome == Outcome::reached || is_failure(outcome)) return outcome;
            }
            return lower_by(kCareful, kCareful.first * spread.ordinary, task, solution);
        }
        const double first = std::max(kQuick.first * spread.ordinary, task.epsilon);
        const Outcome outcome = step_at(first, kSeekTolerance, task, solution);
        if (outcome == Outcome::reached) return lower_by(kQuick, first * kQuick.next, task, solution);
        if (is_failure(outcome)) return outcome;
        has_sentinels_ = false;
        begin_anew(task);
        return lower_by(kCareful, kCareful.first * spread.far, task, solution);
    }

    // Steps from `epsilon` on, for as long as it is well above the one that is asked for.
    Outcome lower_by(const Ladder& ladder, double epsilon, const Problem& task, Solution<T>& solution) {
        for (; epsilon > ladder.last * task.epsilon; epsilon *= ladder.next) {
            if (options_.most_iterations - solution.iterations <= 1) break;
            const Outcome outcome = step_at(epsilon, kStepTolerance, task, solution);
            if (is_failure(outcome)) return outcome;
        }
        return Outcome::not_reached;
    }

    // A rough solution at `epsilon`.
    Outcome step_at(double epsilon, double tolerance, const Problem& task, Solution<T>& solution,
                    std::int64_t most = kStepIterations) {
        const std::int64_t left = options_.most_iterations - solution.iterations - 1;
        const Problem step = describe(task.cost, epsilon);
        change_unit(epsilon, task);
        const auto run = [&](auto& engine) {
            const Outcome result = engine.run(step, tolerance, std::min(left, most), potential_.data());
            failed_at_ = engine.found_at();
            solution.iterations += engine.iterations();
            return result;
        };
        return suits_float32(task.cost, epsilon) ? run(quick_) : run(exact_);
    }

    // Makes the potentials those of `epsilon`. What all have in common is nothing to a balanced plan; beside sentinels
    // it may be so much that it costs them digits, and is taken away.
    void change_unit(double epsilon, const Problem& task) {
        double* const potential = potential_.data();
        double* const finite = finite_.reserve(task.cost.columns);
        const double* const end = std::copy_if(potential, potential + task.cost.columns, finite,
                                               [](double value) { return value > -kInfinity; });
        double shift = 0;
        if (task.is_balanced && end != finite) {
            double* const middle = finite + (end - finite) / 2;
            std::nth_element(finite, middle, finite + (end - finite));
            shift = *middle;
        }
        const double ratio = unit_ / epsilon;
        for (std::int64_t j = 0; j < task.cost.columns; ++j) potential[j] = (potential[j] - shift) * ratio;
        unit_ = epsilon;
    }

    // Iterates at the epsilon that was asked for, in float32 as far as it goes. False when the call is to stop.
    bool iterate(const Problem& task, Solution<T>& solution) {
        const double wanted = options_.tolerance;
        change_unit(task.epsilon, task);
        double aim = std::max(wanted, Model::quick_tolerance(task.cost, task.epsilon));
        bool is_rounded = false;
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            std::int64_t left = std::max<std::int64_t>(options_.most_iterations - solution.iterations, 1);
            if (is_rounded) left = std::min(left, kStepIterations);
            const bool is_quick = attempt == 0 && suits_float32(task.cost, task.epsilon);
            const Outcome outcome = is_quick ? quick_.run(task, aim, left, potential_.data())
                                             : exact_.run(task, aim, left, potential_.data());
            const double reached = is_quick ? quick_.error() : exact_.error();
            if (!(is_quick ? conclude(quick_, outcome, task, solution) : conclude(exact_, outcome, task, solution)))
                return outcome != Outcome::stopped;
            if (solution.error <= wanted) return true;
            if (outcome == Outcome::not_reached && solution.iterations >= options_.most_iterations) {
                const double rounding = rounding_of(task, solution);
                const bool is_rounding =
                    !std::isfinite(solution.error) || (rounding > wanted && solution.error < 10 * rounding);
                solution.status = is_rounding ? Status::precision_limit : Status::not_converged;
                return true;
            }
            // What is returned is rounded to T, and its error then has a part that no iteration takes away.
            const double rounding = is_quick ? 0 : solution.error - reached;
            if (rounding > kMostRounding * wanted) {
                // A potential that the error asks little of may be so far away that it takes the digits of the rest:
                // some more iterations bring it back, or it is not that.
                if (is_rounded) break;
                is_rounded = true;
            }
            if (solution.iterations >= options_.most_iterations) {
                solution.status = Status::not_converged;
                return true;
            }
            aim = std::max(wanted - rounding / kMostRounding, wanted / 16);
        }
        solution.status = Status::precision_limit;
        return true;
    }

    // Writes the potentials that a run came to, and what they prove. False where there is nothing to prove, or no time.
    template <class Scaling>
    bool conclude(Scaling& scaling, Outcome outcome, const Problem& task, Solution<T>& solution) {
        if (is_failure(outcome)) return fail(scaling.found_at(), outcome, task, solution) && false;
        solution.iterations += scaling.iterations();
        return scaling.row_potentials(potential_.data(), row_potential_.data()) && prove(task, solution);
    }

    bool fail(std::int64_t at, Outcome outcome, const Problem& task, Solution<T>& solution) const {
        if (outcome == Outcome::stopped) return false;
        if (outcome == Outcome::empty_column) solution.column = at;
        else solution.row = at;
        solution.status = outcome == Outcome::wrong ? Status::nan : Status::infeasible;
        if (outcome == Outcome::wrong) solution.column = Model::wrong_column(task.cost, at);
        return true;
    }

    // f and g, rounded to T as they are returned, and the plan's sums at exactly these.
    bool prove(const Problem& task, Solution<T>& solution) {
        const std::int64_t rows = task.cost.rows, columns = task.cost.columns, width = task.width();
        const double epsilon = task.epsilon;
        const double *const a = task.row_weight, *const b = task.column_weight;
        const double *const log_a = rows_.logs(), *const log_b = columns_.logs();
        const double row_unit = std::log(rows_.mass()), column_unit = std::log(columns_.mass());
        double *const F = row_potential_.data(), *const G = potential_.data();
        double* const row_rounded = row_rounded_.reserve(rows);
        double* const column_rounded = column_rounded_.reserve(width);
        // The plan a b exp(F + G - C / epsilon) of weights that sum to 1 has the mass 1.
        double row_shift = row_unit, column_shift = column_unit;
        if (task.is_balanced && is_turned_) {
            row_shift = -mean_of(a, F, log_a, rows);
            column_shift = row_unit - row_shift;
        } else if (task.is_balanced) {
            column_shift = -mean_of(b, G, log_b, columns);
            row_shift = row_unit - column_shift;
        }
        for (std::int64_t i = 0; i < rows; ++i) {
            const bool counts = a[i] > 0 && std::isfinite(F[i]);
            solution.f[i] = counts ? T(epsilon * (F[i] + log_a[i] + row_shift)) : -std::numeric_limits<T>::infinity();
            row_rounded[i] = double{solution.f[i]};
        }
        for (std::int64_t j = 0; j < width; ++j) {
            const bool counts = j < columns && b[j] > 0 && std::isfinite(G[j]);
            const T g = counts ? T(epsilon * (G[j] + log_b[j] + column_shift)) : -std::numeric_limits<T>::infinity();
            if (j < columns) solution.g[j] = g;
            column_rounded[j] = double{g};
        }
        for (int attempt = 0;; ++attempt) {
            if (!sum_plan(task, row_rounded, column_rounded, solution)) return false;
            // Where rounding is larger than epsilon, the plan of rounded potentials may be of any size. It is kept
            // small.
            if (!task.is_balanced || attempt == kAttempts || solution.error <= kMostError) break;
            for (std::int64_t i = 0; i < rows; ++i) {
                if (!(a[i] > 0) || row_sum_.data()[i] <= 2 * a[i] * rows_.mass()) continue;
                solution.f[i] = std::nextafter(solution.f[i], -std::numeric_limits<T>::infinity());
                row_rounded[i] = double{solution.f[i]};
            }
        }
        if (!std::isfinite(solution.error) || !std::isfinite(solution.value) || !std::isfinite(solution.cost)) {
            solution.status = Status::precision_limit;
            for (double* number : {&solution.error, &solution.value, &solution.cost})
                if (std::isnan(*number)) *number = kInfinity;
        }
        return true;
    }

    // The mean potential of a side, which is to be 0 for the side that was given as the columns.
    static double mean_of(const double* weight, const double* potential, const double* log, std::int64_t count) {
        double mean = 0;
        for (std::int64_t i = 0; i < count; ++i)
            if (weight[i] > 0 && std::isfinite(potential[i])) mean += weight[i] * (potential[i] + log[i]);
        return mean;
    }

    // The sums, the cost, the value and the error of the plan at rounded potentials.
    bool sum_plan(const Problem& task, const double* row_rounded, const double* column_rounded, Solution<T>& solution) {
        double* const row_sum = row_sum_.reserve(task.cost.rows);
        const double* const column_sum = model_.sum_plan(task, row_rounded, column_rounded, row_sum, solution.cost);
        if (column_sum == nullptr) return false;
        weigh(task, row_sum, column_sum, solution);
        return true;
    }

    // What the rounding of potentials to T may change in the logarithm of the plan.
    double rounding_of(const Problem& task, const Solution<T>& solution) const {
        double most = 0;
        for (std::int64_t i = 0; i < task.cost.rows; ++i)
            if (std::isfinite(solution.f[i])) most = std::max(most, std::abs(double{solution.f[i]}));
        for (std::int64_t j = 0; j < task.cost.columns; ++j)
            if (std::isfinite(solution.g[j])) most = std::max(most, std::abs(double{solution.g[j]}));
        return most * double{std::numeric_limits<T>::epsilon()} / task.epsilon;
    }

    // The error and the value at the plan's sums.
    void weigh(const Problem& task, const double* row_sum, const double* column_sum, Solution<T>& solution) const {
        const double A = rows_.mass(), B = columns_.mass(), epsilon = task.epsilon;
        double error = 0, value = 0, mass = 0, penalty = 0;
        const auto side = [&](std::int64_t count, const Weights& weights, const double* sum, const T* potential,
                              double rho) {
            const double *const weight = weights.values(), *const log_weight = weights.logs();
            const double total = weights.mass(), log_total = std::log(total);
            double divergence = 0;
            for (std::int64_t i = 0; i < count; ++i) {
                const double own = weight[i] * total;
                if (!(own > 0)) continue;
                const double dual = double{potential[i]} - epsilon * (log_weight[i] + log_total);
                const double target = rho < kInfinity ? own * std::exp(-dual / rho) : own;
                if (!(potential[i] > -std::numeric_limits<T>::infinity())) {
                    // No plan reaches it: its whole weight is missed.
                    divergence += own;
                    if (!(rho < kInfinity)) error += own;
                    continue;
                }
                error += std::abs(sum[i] - target);
                value += sum[i] * dual;
                if (rho < kInfinity) divergence += (sum[i] > 0 ? sum[i] * std::log(sum[i] / own) : 0) - sum[i] + own;
            }
            if (rho < kInfinity) penalty += rho * divergence;
        };
        side(task.cost.rows, rows_, row_sum, solution.f, options_.row_penalty);
        side(task.cost.columns, columns_, column_sum, solution.g, options_.column_penalty);
        for (std::int64_t i = 0; i < task.cost.rows; ++i) mass += row_sum[i];
        solution.error = error / ((A + B) / 2);
        solution.value = value - epsilon * mass + epsilon * A * B + penalty;
    }

    Options options_;
    Model model_;
    typename Model::Quick quick_;
    typename Model::Exact exact_;
    bool is_alone_;
    bool is_turned_;              // rows are what was given as columns
    bool has_sentinels_ = false;  // in sight, and not needed
    bool is_symmetric_ = false;   // as far as can be seen
    std::int64_t failed_at_ = -1;
    double unit_ = 1;  // the epsilon that the potentials belong to
    Weights rows_, columns_;
    std::vector<bool> taken_;
    Buffer<double> potential_, row_potential_, row_rounded_, column_rounded_, row_sum_, finite_;
};

}  // namespace coalign::transport
