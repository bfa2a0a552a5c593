// How a run of iterations reaches a tolerance, whatever the costs are: by Anderson's acceleration, and by leaps where
// it shows no progress.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/buffer.hpp"
#include "core/isa_table.hpp"
#include "core/parallel.hpp"
#include "core/team.hpp"
#include "transport/anderson.hpp"

namespace coalign::transport {

// One problem at one epsilon. Weights are without unit, add up to 1 and are padded with zeros.
template <class Costs>
struct Task {
    Costs cost;  // has its numbers of rows and columns
    double epsilon;
    const double *row_weight, *column_weight;
    // log of the masses, 0 where marginals are met exactly, and penalty / (penalty + epsilon), 1 there.
    double log_row_mass, log_column_mass, row_power, column_power;
    bool is_balanced;
    double error_unit;   // what an error of the column weights counts
    bool is_alone;       // in its call, whose progress is then that of its iterations
    bool has_sentinels;  // costs far above the ordinary ones, which the plan does without
    bool is_symmetric;   // rows and columns may be the same points: then both have the same potentials

    std::int64_t width() const { return padded(cost.columns); }
};

// A large problem goes by chunks of rows, whose sums are added in order whatever the number of threads.
struct Chunks {
    static constexpr int kMost = 16;

    Chunks() = default;
    // Of multiples of `group` rows.
    Chunks(std::int64_t rows, std::int64_t columns, std::int64_t group = 4) : count(rows) {
        constexpr double cells = 1 << 16;
        const double wanted = static_cast<double>(rows) * static_cast<double>(columns) / cells;
        const auto many = static_cast<std::int64_t>(std::clamp(wanted, 1.0, double{kMost}));
        size = ((rows + many - 1) / many + group - 1) / group * group;
        number = (rows + size - 1) / size;
    }
    // All rows in one.
    static Chunks one(std::int64_t rows) {
        Chunks out;
        out.count = out.size = rows;
        out.number = 1;
        return out;
    }
    std::int64_t begin(std::int64_t chunk) const { return chunk * size; }
    std::int64_t end(std::int64_t chunk) const { return std::min(count, chunk * size + size); }

    std::int64_t count = 0, size = 0, number = 0;
};

// Calls body(chunk, begin, end) for all rows of all chunks, a chunk by one thread in order, with looks at the pulse.
// False when the call is to stop.
template <class Body>
bool over_rows(const Chunks& chunks, std::int64_t width, Team& team, Pulse& pulse, Body&& body) {
    const std::int64_t step = std::max<std::int64_t>((std::int64_t{1} << 20) / width / 4 * 4, 4);
    team.run(chunks.number, [&](std::int64_t chunk) {
        const std::int64_t end = chunks.end(chunk);
        for (std::int64_t at = chunks.begin(chunk); at < end && pulse.alive(); at += step)
            body(chunk, at, std::min(at + step, end));
    });
    return !pulse.stopped();
}

// How a run of iterations ended. Stalled: the rounding of K keeps the error above the tolerance.
enum class Outcome { reached, not_reached, stalled, wrong, empty_row, empty_column, stopped };

// Calls what(j, missed) for the columns that count: by how much of its weight a column of the plan is above its
// marginal, the rows having theirs and `image` being what the columns ask for.
template <class Costs, class What>
void each_missed_column(const Task<Costs>& task, const double* potential, const double* image, What&& what) {
    const double power = task.column_power, left = (1 - power) / power;
    for (std::int64_t j = 0; j < task.cost.columns; ++j) {
        if (!(task.column_weight[j] > 0) || !(potential[j] > -std::numeric_limits<double>::infinity())) continue;
        const double above = std::expm1((potential[j] - image[j]) / power);
        what(j, task.column_weight[j] * std::exp(-potential[j] * left) * above);
    }
}

template <class Costs>
double error_of(const Task<Costs>& task, const double* potential, const double* image) {
    double sum = 0;
    each_missed_column(task, potential, image, [&](std::int64_t, double missed) { sum += std::abs(missed); });
    return sum * task.error_unit;
}

// An engine takes iterations on costs of some kind. It has, for its subclass: begin(task); iterate(potential), one
// iteration from column potentials G, which leaves image_, what the columns ask for, and error_, or false and failure_;
// each_missed(potential, what), by how much the columns are above what they ask for; task_, width_, iterations_; and
// kNoise, below which an error may be rounding.
template <class Engine>
class Accelerated : public Engine {
   public:
    using Problem = typename Engine::Problem;

    Accelerated(Isa isa, Team& team, Pulse& pulse)
        : Engine(isa, team, pulse), anderson_(table_for<HistoryKernels>(isa)) {}

    // Iterates from the column potentials G until the error is at most `tolerance`. On return they are the ones that
    // the error and row_potentials() belong to.
    Outcome run(const Problem& task, double tolerance, std::int64_t most, double* potential) {
        this->begin(task);
        anderson_.start(task.column_weight, width_);
        double best = kInfinity, mark = kInfinity;
        int since_best = 0, since_mark = 0;
        highest_ = -kInfinity;
        double last = kInfinity;
        bool is_averaged = is_symmetric();
        int since_gain = 0;
        while (true) {
            if (!this->iterate(potential)) return this->failure_;
            if (error_ <= tolerance) return Outcome::reached;
            if (iterations_ >= most) return Outcome::not_reached;
            if (is_averaged) {
                since_gain = error_ < kProgress * last ? 0 : since_gain + 1;
                last = std::min(last, error_);
                is_averaged = since_gain < kMostIdle && average(potential);
                if (is_averaged) continue;
                anderson_.restart();
            }
            if (error_ > kFarOff && falls_back(potential)) {
                anderson_.restart();
                continue;
            }
            ++since_best;
            ++since_mark;
            if (error_ < best / 2) since_best = 0, best = error_;
            if (error_ < kProgress * mark) since_mark = 0, mark = error_;
            if (since_best > patience(best) && best < noise(potential)) return Outcome::stalled;
            if (since_mark < kPlateau || !anderson_.is_at_best(error_)) {
                anderson_.step(potential, image_.data(), error_);
                continue;
            }
            if (!leap(potential, most)) return this->failure_;
            anderson_.restart();
            since_mark = 0;
            mark = kInfinity;
        }
    }

   private:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();
    // On a plateau the error stays above this share of what it was so many iterations before.
    static constexpr double kProgress = 0.9;
    static constexpr int kPlateau = 20;
    static constexpr int kMostTrials = 30;
    // Steps of half of the way are given up after so many without progress.
    static constexpr int kMostIdle = 4;
    // Above this an error says little of which potentials are better.
    static constexpr double kFarOff = 0.1;
    // How much of its terms the dual objective may lose to rounding, in float32 as well.
    static constexpr double kRounding = 1e-6;

    using Engine::error_;
    using Engine::image_;
    using Engine::iterations_;
    using Engine::task_;
    using Engine::width_;

    // Below this an error may be rounding: that of the sums, or, beside sentinels that the plan needs, of potentials.
    // It adds up over columns and steps; 100 times that of one potential was met.
    double noise(const double* potential) const {
        double most = 0;
        for (std::int64_t j = 0; j < task_.cost.columns; ++j)
            if (potential[j] > -kInfinity) most = std::max(most, std::abs(potential[j]));
        return std::max(Engine::kNoise, 256 * std::numeric_limits<double>::epsilon() * most);
    }

    // An error that may be rounding is given so many iterations to halve: few where it is what sums of so many rows are
    // off by in float32, from which float64 goes on. 100,000 rows of uniform costs spent 50 of 66 iterations on an
    // error of 1e-5 that was rounding; that of 256 rows goes on to 2e-6, and few iterations from 1e-5 on took 277
    // instead of 172 in all.
    int patience(double error) const {
        constexpr double of_root = Engine::kNoise > 1e-6 ? 1.25e-7 : 0;
        return error < of_root * std::sqrt(static_cast<double>(task_.cost.rows)) ? 12 : 50;
    }

    bool is_symmetric() const {
        if constexpr (requires { task_.is_symmetric; }) return task_.is_symmetric;
        else return false;
    }

    // A step of a cloud's plan to itself, whose sides have the same potentials in the end: half of the way from the
    // rows' potentials to those that these give to the columns. Where points have so much to do with each other that
    // a half-step leaves the share s of an error, with the other sign, this leaves s (1 - s) / 2 of it, at most an
    // eighth, and two plain half-steps leave s^2: 64 points at 0.01 of their mean cost took 1900 iterations to 1e-6.
    //
    // J. Feydy et al.: Interpolating between optimal transport and MMD using Sinkhorn divergences. AISTATS 2019.
    bool average(double* potential) {
        if constexpr (requires { task_.is_symmetric; }) {
            double* const row = row_room_.reserve(width_);
            if (!this->row_potentials(potential, row)) return false;
            const double* const image = image_.data();
            std::copy_n(image + task_.cost.rows, width_ - task_.cost.rows, row + task_.cost.rows);
            for (std::int64_t j = 0; j < task_.cost.columns; ++j)
                row[j] = image[j] > -kInfinity && row[j] > -kInfinity ? (image[j] + row[j]) / 2 : image[j];
            // An extrapolation may lead as far as sentinels are.
            if (task_.has_sentinels) std::copy_n(row, width_, potential);
            else anderson_.step(potential, row, error_);
        }
        return true;
    }

    // An extrapolation may lead as far as sentinels are, from where there is no way back, and leave the error as it is.
    // The dual objective of a balanced problem, which an iteration by itself always raises, falls there: then the
    // potentials become the image of the best. Without sentinels, to fall for a while gains more than it costs.
    bool falls_back(double* potential) {
        if constexpr (requires { task_.has_sentinels; }) {
            if (!task_.is_balanced || !task_.has_sentinels) return false;
            double* const row = row_room_.reserve(task_.cost.rows);
            if (!this->row_potentials(potential, row)) return false;
            double value = 0, size = 0;
            const auto add = [&](const double* weight, const double* of, std::int64_t count) {
                for (std::int64_t i = 0; i < count; ++i) {
                    if (!(weight[i] > 0) || !(of[i] > -kInfinity)) continue;
                    value += weight[i] * of[i];
                    size += std::abs(weight[i] * of[i]);
                }
            };
            add(task_.row_weight, row, task_.cost.rows);
            add(task_.column_weight, potential, task_.cost.columns);
            double* const best = best_.reserve(width_);
            if (value < highest_ - kRounding * size) {
                std::copy_n(best, width_, potential);
                highest_ = -kInfinity;
                return true;
            }
            highest_ = std::max(highest_, value);
            std::copy_n(image_.data(), width_, best);
        }
        return false;
    }

    // Leaves a plateau, on which all columns of a cluster move by the same small step: takes the direction of the last
    // iteration as far as the dual objective rises, whose slope the columns' sums tell. 3000 iterations do not leave
    // the plateau of five clusters that differ in mass at 0.0001 of the greatest cost; two of these do.
    bool leap(double* potential, std::int64_t most) {
        double *const base = base_.reserve(width_), *const direction = direction_.reserve(width_);
        std::copy_n(potential, width_, base);
        double longest = 0;
        for (std::int64_t j = 0; j < width_; ++j) {
            direction[j] = potential[j] > -kInfinity ? image_.data()[j] - base[j] : 0;
            longest = std::max(longest, std::abs(direction[j]));
        }
        const double enough = error_ / 2;
        double step = 1, rises = 0, falls = kInfinity;
        for (int trial = 0; trial < kMostTrials && iterations_ + 1 < most; ++trial) {
            for (std::int64_t j = 0; j < width_; ++j) potential[j] = base[j] + step * direction[j];
            if (!this->iterate(potential)) return false;
            const bool is_enough = error_ < enough;
            (is_enough || slope(potential) > 0 ? rises : falls) = step;
            // Sums change by a factor of e along a step of 1.
            if (is_enough || (falls - rises) * longest < 1) break;
            step = falls == kInfinity ? 4 * rises : rises == 0 ? falls / 4 : (rises + falls) / 2;
        }
        for (std::int64_t j = 0; j < width_; ++j) potential[j] = base[j] + rises * direction[j];
        return true;
    }

    // How fast the dual objective rises along the direction.
    double slope(const double* potential) const {
        double sum = 0;
        this->each_missed(potential, [&](std::int64_t j, double missed) { sum -= missed * direction_.data()[j]; });
        return sum;
    }

    Anderson anderson_;
    Buffer<double> base_, direction_, row_room_, best_;
    double highest_ = -kInfinity;  // of the dual objective, at the potentials whose image is best_
};

}  // namespace coalign::transport
