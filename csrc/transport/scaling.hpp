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
#include "transport/acceleration.hpp"
#include "transport/kernels.hpp"

namespace coalign::transport {

template <class T>
CostRows<T> cost_rows(const Task<MatrixView<T>>& task, std::int64_t begin, std::int64_t end) {
    const MatrixView<T>& cost = task.cost;
    return {cost.data + begin * cost.row_stride, cost.row_stride, end - begin, cost.columns, 1 / task.epsilon};
}

// The engine of stored costs.
template <class T, class K>
class KernelMatrix {
   public:
    using Problem = Task<MatrixView<T>>;

    KernelMatrix(Isa isa, Team& team, Pulse& pulse)
        : absorbing_(table_for<AbsorbKernels<T, K>>(isa)),
          sweeping_(table_for<SweepKernels<K>>(isa)),
          columns_(table_for<ColumnKernels<T>>(isa)),
          team_(team),
          pulse_(pulse) {}

    // Exactly so many iterations, each from the last one's result.
    Outcome run_plain(const Problem& task, std::int64_t most, double* potential) {
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
            // A row far from everything has a potential, although its scaling is too small for a number.
            const bool counts = weight > 0 && row_absorbed_.data()[i] < kInfinity;
            const double from = task_.is_balanced ? row_absorbed_.data()[i] : row_potential_.data()[i];
            out[i] = counts ? row_side_.power * (from + row_side_.shift) + moved : -kInfinity;
        }
        return true;
    }

    double error() const { return error_; }
    std::int64_t iterations() const { return iterations_; }
    // The row of a cost that is NaN or -inf, or a row or a column without a finite cost.
    std::int64_t found_at() const { return found_at_; }

   protected:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();
    // Sums below this miss what the dtype has flushed to 0.
    static constexpr double kLeastSum = sizeof(K) == sizeof(float) ? 1e-30 : 1e-280;
    // The matrix is made anew when a potential has moved by this much: values that were flushed are still too small to
    // count.
    static constexpr double kMostDrift = sizeof(K) == sizeof(float) ? 20 : 200;
    // Below this an error may be the rounding of the matrix and its sums.
    static constexpr double kNoise = sizeof(K) == sizeof(float) ? 2e-5 : 1e-10;

    void begin(const Problem& task) {
        task_ = task;
        width_ = task.width();
        const std::int64_t rows = task.cost.rows;
        chunks_ = Chunks(rows, task.cost.columns);
        row_side_ = {task.row_power, -task.log_column_mass};
        column_side_ = {task.column_power, 0};
        kernel_.reserve(rows * width_);
        row_absorbed_.reserve(rows);
        row_potential_.reserve(rows);
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
        count_iteration();
        if (holds()) {
            sweeping_.update(sums_.data(), absorbed_.data(), column_side_, width_, image_.data());
            error_ = task_.is_balanced ? found_.error : error_of(task_, potential, image_.data());
            return true;
        }
        is_absorbed_ = false;
        if (!sum_columns()) return false;
        error_ = error_of(task_, potential, image_.data());
        return true;
    }

    template <class What>
    void each_missed(const double* potential, What&& what) const {
        each_missed_column(task_, potential, image_.data(), what);
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
            count_iteration();
            if (iterations_ == most) break;
            std::swap(scaling_, next_scaling_);
        }
        sweeping_.potential(scaling_.data(), weight_.data(), absorbed_.data(), width_, potential);
        return true;
    }

    void count_iteration() {
        ++iterations_;
        if (task_.is_alone) pulse_.add_done(1);
    }

    // Whether the last sweep's sums hold all that counts.
    bool holds() const { return least_ > kLeastSum && found_.least > kLeastSum && found_.most < kInfinity; }

    double drift(const double* potential) const {
        double most = 0;
        for (std::int64_t j = 0; j < task_.cost.columns; ++j)
            if (task_.column_weight[j] > 0) most = std::max(most, std::abs(potential[j] - absorbed_.data()[j]));
        return most;
    }

    // Makes the kernel matrix hold the column potentials, and row potentials for which the largest number of a row
    // is 1.
    bool absorb(const double* potential) {
        std::copy_n(potential, width_, absorbed_.data());
        Found* const found = found_in_.reserve(chunks_.number);
        std::fill_n(found, chunks_.number, Found{});
        const bool is_done = each_rows([&](std::int64_t c, std::int64_t from, std::int64_t to) {
            AbsorbPass<T, K> pass{cost_rows(task_, from, to),
                                  absorbed_.data(),
                                  weight_.data(),
                                  task_.row_weight + from,
                                  row_absorbed_.data() + from,
                                  row_potential_.data() + from,
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
            // Never 0 of a row that counts: columns may live on it alone.
            const double scale = std::max(weight * std::exp(gain(i) - shift), std::numeric_limits<double>::min());
            row_scale_.data()[i] = task_.is_balanced || weight == 0 ? weight : scale;
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
            row[i] = row_side_.power * (row_potential_.data()[i] + row_side_.shift);
        std::fill_n(most, all, -kInfinity);
        std::fill_n(exact, all, 0.0);
        const auto pass = [&](std::int64_t c, std::int64_t from, std::int64_t to, double* from_most) {
            return ColumnPass<T>{cost_rows(task_, from, to), row + from, row_scale_.data() + from,
                                 task_.row_weight + from,    from_most,  exact + c * width_};
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
    Team& team_;
    Pulse& pulse_;
    Problem task_{};
    Chunks chunks_;
    std::int64_t width_ = 0;
    Side row_side_{}, column_side_{};
    Buffer<K> kernel_, row_scaling_, scaling_, next_scaling_, sums_, weight_;
    Buffer<double> row_absorbed_, row_potential_, row_scale_, absorbed_, image_, row_exact_, most_, exact_, least_in_;
    Buffer<Found> found_in_;
    ColumnSums found_{};
    double least_ = 0, error_ = 0;
    std::int64_t iterations_ = 0, found_at_ = -1;
    bool is_absorbed_ = false;
    Outcome failure_ = Outcome::stopped;
};

template <class T, class K>
using Scaling = Accelerated<KernelMatrix<T, K>>;

}  // namespace coalign::transport
