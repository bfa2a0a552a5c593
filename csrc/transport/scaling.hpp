// Iterations on the kernel matrix of one problem, in the dtype K, that never lose what a row or a column lives on: the
// matrix holds the potentials, is made anew when they have moved on, and where a column's values are too small for K
// its sum is taken from the costs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "core/ragged.hpp"
#include "core/team.hpp"
#include "transport/anderson.hpp"
#include "transport/kernels.hpp"

namespace coalign::transport {

// One problem at one epsilon. Weights are without unit, add up to 1 and are padded with zeros.
template <class T>
struct Task {
    MatrixView<T> cost;
    double epsilon;
    const double *row_weight, *column_weight;
    // log of the masses, 0 where marginals are met exactly, and penalty / (penalty + epsilon), 1 there.
    double log_row_mass, log_column_mass, row_power, column_power;
    bool is_balanced;
    double error_unit;  // what an error of the column weights counts

    CostRows<T> rows(std::int64_t begin, std::int64_t end) const {
        return {cost.data + begin * cost.row_stride, cost.row_stride, end - begin, cost.columns, 1 / epsilon};
    }
    std::int64_t width() const { return padded(cost.columns); }
};

// A large problem goes by chunks of rows, whose sums are added in order whatever the number of threads.
struct Chunks {
    Chunks() = default;
    Chunks(std::int64_t rows, std::int64_t columns) : count(rows) {
        constexpr double cells = 1 << 16;
        const double wanted = static_cast<double>(rows) * static_cast<double>(columns) / cells;
        const auto many = static_cast<std::int64_t>(std::clamp(wanted, 1.0, 16.0));
        size = ((rows + many - 1) / many + 3) / 4 * 4;
        number = (rows + size - 1) / size;
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

template <class T, class K>
class Scaling {
   public:
    Scaling(Isa isa, Team& team, Pulse& pulse)
        : absorbing_(table_for<AbsorbKernels<T, K>>(isa)),
          sweeping_(table_for<SweepKernels<K>>(isa)),
          columns_(table_for<ColumnKernels<T>>(isa)),
          anderson_(table_for<HistoryKernels>(isa)),
          team_(team),
          pulse_(pulse) {}

    // Iterates from the column potentials G until the error is at most `tolerance`. On return they are the ones that
    // the error and row_potentials() belong to.
    Outcome run(const Task<T>& task, double tolerance, std::int64_t most, double* potential) {
        begin(task);
        anderson_.start(task.column_weight, width_);
        double best = kInfinity, mark = kInfinity;
        int since_best = 0, since_mark = 0;
        while (true) {
            if (!iterate(potential)) return failure_;
            if (error_ <= tolerance) return Outcome::reached;
            if (iterations_ >= most) return Outcome::not_reached;
            ++since_best;
            ++since_mark;
            if (error_ < best / 2) since_best = 0, best = error_;
            if (error_ < kProgress * mark) since_mark = 0, mark = error_;
            if (since_best > kPatience && best < kNoise) return Outcome::stalled;
            if (since_mark < kPlateau || !anderson_.is_at_best(error_)) {
                anderson_.step(potential, image_.data(), error_);
                continue;
            }
            if (!leap(potential, most)) return failure_;
            anderson_.restart();
            since_mark = 0;
            mark = kInfinity;
        }
    }

    // Exactly so many iterations, each from the last one's result.
    Outcome run_plain(const Task<T>& task, std::int64_t most, double* potential) {
        begin(task);
        while (true) {
            if (!iterate(potential)) return failure_;
            if (iterations_ == most) return Outcome::reached;
            std::copy_n(image_.data(), width_, potential);
            if (!task_.is_balanced || !is_absorbed_) continue;
            if (!run_scalings(most, potential)) return Outcome::stopped;
            if (iterations_ == most) return Outcome::reached;
        }
    }

    // The row potentials F that belong to the column potentials of the last iteration; -inf without weight.
    bool row_potentials(const double* potential, double* out) {
        if (!task_.is_balanced && !absorb(potential)) return false;
        for (std::int64_t i = 0; i < task_.cost.rows; ++i) {
            const double weight = task_.row_weight[i];
            const double moved = task_.is_balanced ? std::log(double{row_scaling_.data()[i]} / weight) : 0;
            const bool counts = row_scale_.data()[i] > 0;
            out[i] = counts ? row_side_.power * (row_absorbed_.data()[i] + row_side_.shift) + moved : -kInfinity;
        }
        return true;
    }

    double error() const { return error_; }
    std::int64_t iterations() const { return iterations_; }
    // The row of a cost that is NaN or -inf, or a row or a column without a finite cost.
    std::int64_t found_at() const { return found_at_; }

   private:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();
    // Sums below this miss what the dtype has flushed to 0.
    static constexpr double kLeastSum = sizeof(K) == sizeof(float) ? 1e-30 : 1e-280;
    // The matrix is made anew when a potential has moved by this much: values that were flushed are still too small to
    // count.
    static constexpr double kMostDrift = sizeof(K) == sizeof(float) ? 20 : 200;
    // Below this an error may be the rounding of the matrix and its sums: then it is given so many iterations to halve.
    static constexpr double kNoise = sizeof(K) == sizeof(float) ? 2e-5 : 1e-10;
    static constexpr int kPatience = 50;
    // On a plateau the error stays above this share of what it was so many iterations before.
    static constexpr double kProgress = 0.9;
    static constexpr int kPlateau = 20;
    static constexpr int kMostTrials = 30;

    void begin(const Task<T>& task) {
        task_ = task;
        width_ = task.width();
        const std::int64_t rows = task.cost.rows;
        chunks_ = Chunks(rows, task.cost.columns);
        row_side_ = {task.row_power, -task.log_column_mass};
        column_side_ = {task.column_power, 0};
        kernel_.reserve(rows * width_);
        row_absorbed_.reserve(rows);
        row_scale_.reserve(rows);
        row_scaling_.reserve(rows);
        sums_.reserve(chunks_.number * width_);
        absorbed_.reserve(width_);
        image_.reserve(width_);
        scaling_.reserve(width_);
        next_scaling_.reserve(width_);
        std::copy_n(task.column_weight, width_, weight_.reserve(width_));
        is_absorbed_ = false;
        error_ = kInfinity;
        iterations_ = 0;
    }

    // One iteration: from the column potentials the rows', exactly, and from those the columns' again, into image_.
    bool iterate(const double* potential) {
        bool is_new = !is_absorbed_ || drift(potential) > kMostDrift;
        if (is_new && !absorb(potential)) return false;
        sweeping_.scale(potential, absorbed_.data(), task_.column_weight, width_, scaling_.data());
        if (!sweep()) return false;
        if (!holds() && !is_new) {
            is_new = true;
            if (!absorb(potential)) return false;
            sweeping_.scale(potential, absorbed_.data(), task_.column_weight, width_, scaling_.data());
            if (!sweep()) return false;
        }
        ++iterations_;
        if (holds()) {
            sweeping_.update(sums_.data(), absorbed_.data(), column_side_, width_, image_.data());
            error_ = task_.is_balanced ? found_.error : error_of(potential);
            return true;
        }
        is_absorbed_ = false;
        if (!sum_columns()) return false;
        error_ = error_of(potential);
        return true;
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
            if (!iterate(potential)) return false;
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
        each_missed(potential, [&](std::int64_t j, double missed) { sum -= missed * direction_.data()[j]; });
        return sum;
    }

    // While the matrix holds, an iteration of a balanced problem is a sweep and a division.
    bool run_scalings(std::int64_t most, double* potential) {
        sweeping_.scale(potential, absorbed_.data(), task_.column_weight, width_, scaling_.data());
        found_ = {1, 1, 0};
        const double least = std::exp(-kMostDrift), greatest = std::exp(kMostDrift);
        while (found_.least > least && found_.most < greatest) {
            if (!sweep()) return false;
            if (!holds()) break;
            error_ = found_.error;
            if (++iterations_ == most) break;
            std::swap(scaling_, next_scaling_);
        }
        sweeping_.potential(scaling_.data(), weight_.data(), absorbed_.data(), width_, potential);
        return true;
    }

    // Whether the last sweep's sums hold all that counts.
    bool holds() const { return least_ > kLeastSum && found_.least > kLeastSum && found_.most < kInfinity; }

    double drift(const double* potential) const {
        double most = 0;
        for (std::int64_t j = 0; j < task_.cost.columns; ++j)
            if (task_.column_weight[j] > 0) most = std::max(most, std::abs(potential[j] - absorbed_.data()[j]));
        return most;
    }

    // Makes the kernel matrix hold the column potentials, and the row potentials for which its weighted rows sum to 1.
    bool absorb(const double* potential) {
        std::copy_n(potential, width_, absorbed_.data());
        Found* const found = found_in_.reserve(chunks_.number);
        std::fill_n(found, chunks_.number, Found{});
        const bool is_done = each_rows([&](std::int64_t c, std::int64_t from, std::int64_t to) {
            AbsorbPass<T, K> pass{task_.rows(from, to),
                                  absorbed_.data(),
                                  weight_.data(),
                                  task_.row_weight + from,
                                  row_absorbed_.data() + from,
                                  kernel_.data() + from * width_,
                                  {}};
            absorbing_.absorb(pass);
            if (found[c].wrong < 0 && pass.found.wrong >= 0) found[c].wrong = from + pass.found.wrong;
            if (found[c].empty < 0 && pass.found.empty >= 0) found[c].empty = from + pass.found.empty;
        });
        if (!is_done) return false;
        for (std::int64_t c = 0; c < chunks_.number; ++c)
            if (found[c].wrong >= 0) return fail(Outcome::wrong, found[c].wrong);
        for (std::int64_t c = 0; c < chunks_.number; ++c)
            if (found[c].empty >= 0 && row_side_.power == 1) return fail(Outcome::empty_row, found[c].empty);
        // Unbalanced, the rows' scalings may all be tiny; what they have in common is kept apart.
        double shift = 0;
        const auto gain = [&](std::int64_t i) {
            const double absorbed = row_absorbed_.data()[i];
            return row_side_.power * (absorbed + row_side_.shift) - absorbed;
        };
        const auto counts = [&](std::int64_t i) {
            return task_.row_weight[i] > 0 && row_absorbed_.data()[i] < kInfinity;
        };
        if (!task_.is_balanced) {
            shift = -kInfinity;
            for (std::int64_t i = 0; i < task_.cost.rows; ++i)
                if (counts(i)) shift = std::max(shift, gain(i));
        }
        for (std::int64_t i = 0; i < task_.cost.rows; ++i) {
            const double weight = counts(i) ? task_.row_weight[i] : 0;
            row_scale_.data()[i] = task_.is_balanced || weight == 0 ? weight : weight * std::exp(gain(i) - shift);
        }
        column_side_.shift = -task_.log_row_mass - shift;
        is_absorbed_ = true;
        return true;
    }

    // Row scalings and column sums, and the next column scalings of a balanced problem.
    bool sweep() {
        double* const least = least_in_.reserve(chunks_.number);
        std::fill_n(least, chunks_.number, kInfinity);
        const bool is_done = each_rows([&](std::int64_t c, std::int64_t from, std::int64_t to) {
            K* const sums = sums_.data() + c * width_;
            if (from == chunks_.begin(c)) std::fill_n(sums, width_, K(0));
            SweepPass<K> pass{kernel_.data() + from * width_,
                              to - from,
                              width_,
                              scaling_.data(),
                              row_scale_.data() + from,
                              row_side_.power,
                              row_scaling_.data() + from,
                              sums};
            sweeping_.sweep(pass);
            least[c] = std::min(least[c], pass.least);
        });
        if (!is_done) return false;
        least_ = *std::min_element(least, least + chunks_.number);
        for (std::int64_t c = 1; c < chunks_.number; ++c)
            sweeping_.add(sums_.data() + c * width_, width_, sums_.data());
        sweeping_.divide(weight_.data(), scaling_.data(), sums_.data(), width_, next_scaling_.data(), found_);
        return true;
    }

    // The column potentials, from the costs alone, into image_.
    bool sum_columns() {
        double* const row = row_exact_.reserve(task_.cost.rows);
        const std::int64_t all = chunks_.number * width_;
        double *const most = most_.reserve(all), *const exact = exact_.reserve(all);
        for (std::int64_t i = 0; i < task_.cost.rows; ++i)
            row[i] = row_side_.power * (row_absorbed_.data()[i] + row_side_.shift);
        std::fill_n(most, all, -kInfinity);
        std::fill_n(exact, all, 0.0);
        const auto pass = [&](std::int64_t c, std::int64_t from, std::int64_t to, double* from_most) {
            return ColumnPass<T>{task_.rows(from, to),    row + from, row_scale_.data() + from,
                                 task_.row_weight + from, from_most,  exact + c * width_};
        };
        if (!each_rows([&](std::int64_t c, std::int64_t from, std::int64_t to) {
                columns_.raise(pass(c, from, to, most + c * width_));
            }))
            return false;
        for (std::int64_t at = width_; at < all; ++at) most[at % width_] = std::max(most[at % width_], most[at]);
        if (!each_rows(
                [&](std::int64_t c, std::int64_t from, std::int64_t to) { columns_.add(pass(c, from, to, most)); }))
            return false;
        for (std::int64_t at = width_; at < all; ++at) exact[at % width_] += exact[at];
        for (std::int64_t j = 0; j < width_; ++j) {
            double& image = image_.data()[j];
            image = absorbed_.data()[j];
            if (!(image > -kInfinity)) continue;
            if (!(most[j] > -kInfinity)) {
                if (column_side_.power == 1) return fail(Outcome::empty_column, j);
                // No plan reaches it, and its price is paid.
                weight_.data()[j] = 0;
                image = -kInfinity;
                continue;
            }
            image = -column_side_.power * (task_.log_row_mass + most[j] + std::log(exact[j]));
        }
        return true;
    }

    // Calls what(j, missed) for the columns that count: by how much of its weight a column of the plan is above its
    // marginal, the rows having theirs and image_ being what the columns ask for.
    template <class What>
    void each_missed(const double* potential, What&& what) const {
        const double power = column_side_.power, left = (1 - power) / power;
        for (std::int64_t j = 0; j < task_.cost.columns; ++j) {
            if (!(task_.column_weight[j] > 0) || !(potential[j] > -kInfinity)) continue;
            const double above = std::expm1((potential[j] - image_.data()[j]) / power);
            what(j, task_.column_weight[j] * std::exp(-potential[j] * left) * above);
        }
    }

    double error_of(const double* potential) const {
        double sum = 0;
        each_missed(potential, [&](std::int64_t, double missed) { sum += std::abs(missed); });
        return sum * task_.error_unit;
    }

    template <class Body>
    bool each_rows(Body&& body) {
        return over_rows(chunks_, width_, team_, pulse_, body) || fail(Outcome::stopped, -1);
    }
    bool fail(Outcome failure, std::int64_t at) {
        failure_ = failure;
        found_at_ = at;
        return false;
    }

    const AbsorbKernels<T, K>& absorbing_;
    const SweepKernels<K>& sweeping_;
    const ColumnKernels<T>& columns_;
    Anderson anderson_;
    Team& team_;
    Pulse& pulse_;
    Task<T> task_{};
    Chunks chunks_;
    std::int64_t width_ = 0;
    Side row_side_{}, column_side_{};
    Buffer<K> kernel_, row_scaling_, scaling_, next_scaling_, sums_, weight_;
    Buffer<double> row_absorbed_, row_scale_, absorbed_, image_, row_exact_, most_, exact_, base_, direction_,
        least_in_;
    Buffer<Found> found_in_;
    ColumnSums found_{};
    double least_ = 0, error_ = 0;
    std::int64_t iterations_ = 0, found_at_ = -1;
    bool is_absorbed_ = false;
    Outcome failure_ = Outcome::stopped;
};

}  // namespace coalign::transport
