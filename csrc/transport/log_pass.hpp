// Passes over stored costs at any epsilon, for problems whose rows and columns ask for something else than marginals
// that are met.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/buffer.hpp"
#include "core/isa_table.hpp"
#include "core/parallel.hpp"
#include "core/ragged.hpp"
#include "core/team.hpp"
#include "transport/acceleration.hpp"
#include "transport/kernels.hpp"
#include "transport/spread.hpp"

namespace coalign::transport {

// The first column of a row that is NaN or -inf.
template <class T>
std::int64_t first_wrong_column(const MatrixView<T>& cost, std::int64_t i) {
    const T* const row = cost.data + i * cost.row_stride;
    const auto is_wrong = [](T value) { return !(value > -std::numeric_limits<T>::infinity()); };
    return std::find_if(row, row + cost.columns, is_wrong) - row;
}

// Rough solutions at epsilons that fall from half of the spread of the costs towards the wanted one. run(epsilon,
// tolerance, most iterations) leaves one in the potentials, which are then made those of the next epsilon, and adds to
// `made`. Returns a failure, or else `reached`.
template <class Run>
Outcome lower_epsilon(double spread, double wanted, std::int64_t most_iterations, const std::int64_t& made,
                      double* potential, std::int64_t count, Run&& run) {
    constexpr double first = 0.5, next = 0.25, tolerance = 0.02;
    constexpr std::int64_t most = 60;
    for (double epsilon = first * spread; epsilon > wanted; epsilon *= next) {
        const std::int64_t left = most_iterations - made - 1;
        if (left <= 0) break;
        const Outcome outcome = run(epsilon, tolerance, std::min(left, most));
        if (outcome > Outcome::stalled) return outcome;
        const double ratio = epsilon / std::max(epsilon * next, wanted);
        for (std::int64_t at = 0; at < count; ++at) potential[at] *= ratio;
    }
    return Outcome::reached;
}

template <class T>
class LogPass {
   public:
    LogPass(Isa isa, Team& team, Pulse& pulse)
        : absorbing_(table_for<AbsorbKernels<T, double>>(isa)),
          sweeping_(table_for<SweepKernels<double>>(isa)),
          columns_(table_for<ColumnKernels<T>>(isa)),
          team_(team),
          pulse_(pulse) {}

    // `cost` and `epsilon` are those of the passes that follow.
    void begin(const MatrixView<T>& cost, double epsilon) {
        cost_ = cost;
        over_epsilon_ = 1 / epsilon;
        width_ = padded(cost.columns);
        chunks_ = Chunks(cost.rows, cost.columns);
    }

    // Makes the kernel matrix exp(F_i + G_j - C_ij / epsilon), of which each row, with the weights, adds up to 1: the
    // row potential F_i is infinite where a row reaches no column. The weights are padded with 0, G with -inf.
    Outcome absorb(const double* potential, const double* weight) {
        double *const rows = row_potential_.reserve(cost_.rows), *const kernel = kernel_.reserve(cost_.rows * width_);
        double *const nothing = scale_.reserve(cost_.rows), *const held = row_absorbed_.reserve(cost_.rows);
        std::fill_n(nothing, cost_.rows, 0.0);
        std::int64_t* const wrong = wrong_.reserve(chunks_.number);
        std::fill_n(wrong, chunks_.number, -1);
        const bool is_done = each_rows([&](std::int64_t c, std::int64_t from, std::int64_t to) {
            AbsorbPass<T, double> pass{
                some_rows(from, to - from), potential, weight, nothing + from, held + from, rows + from,
                kernel + from * width_,     {}};
            absorbing_.absorb(pass);
            if (wrong[c] < 0 && pass.found.wrong >= 0) wrong[c] = from + pass.found.wrong;
        });
        if (!is_done) return Outcome::stopped;
        wrong_row_ = -1;
        for (std::int64_t c = 0; c < chunks_.number && wrong_row_ < 0; ++c) wrong_row_ = wrong[c];
        return wrong_row_ < 0 ? Outcome::reached : Outcome::wrong;
    }

    // With the column scalings, padded with 0, each row of the kernel matrix is scaled to add up to its weight, and
    // what it then adds to the columns, without their scalings, is summed. For `count` problems, one after the other in
    // `scaling`, `row_weight` and sums(). `least` is the least sum of a row that has weight.
    bool sweep(std::int64_t count, const double* scaling, const double* row_weight, double& least) {
        const std::int64_t all = count * width_, rows = cost_.rows;
        double *const sums = sums_.reserve(chunks_.number * all), *const leasts = least_.reserve(chunks_.number);
        std::fill_n(sums, chunks_.number * all, 0.0);
        std::fill_n(leasts, chunks_.number, kInfinity);
        // So many rows stay in the cache for all problems.
        const std::int64_t block = count == 1 ? rows : width_ <= kNarrow ? kMostRows : kLeastRows;
        double* const scalings = scale_.reserve(rows);
        const bool is_done = each_rows([&](std::int64_t c, std::int64_t from, std::int64_t to) {
            for (std::int64_t at = from; at < to; at += block)
                for (std::int64_t k = 0; k < count; ++k) {
                    SweepPass<double> pass{kernel_.data() + at * width_,
                                           std::min(block, to - at),
                                           width_,
                                           scaling + k * width_,
                                           row_weight + k * rows + at,
                                           1,
                                           scalings + at,
                                           sums + c * all + k * width_};
                    sweeping_.sweep(pass);
                    leasts[c] = std::min(leasts[c], pass.least);
                }
        });
        for (std::int64_t c = 1; c < chunks_.number; ++c) sweeping_.add(sums + c * all, all, sums);
        least = *std::min_element(leasts, leasts + chunks_.number);
        return is_done;
    }
    const double* row_potential() const { return row_potential_.data(); }
    const double* sums() const { return sums_.data(); }
    // Of a cost that is NaN or -inf.
    std::int64_t wrong_row() const { return wrong_row_; }
    std::int64_t wrong_column() const { return first_wrong_column(cost_, wrong_row_); }

    // The logarithms of the sums over rows of weight_i exp(F_i - C_ij / epsilon), for the last row potentials.
    bool sum_columns(const double* row_weight, double* out) {
        const std::int64_t all = chunks_.number * width_;
        double *const most = most_.reserve(all), *const exact = exact_.reserve(all);
        std::fill_n(most, all, -kInfinity);
        std::fill_n(exact, all, 0.0);
        double* const scale = scale_.reserve(cost_.rows);
        for (std::int64_t i = 0; i < cost_.rows; ++i)
            scale[i] = row_potential_.data()[i] < kInfinity ? row_weight[i] : 0;
        const auto pass = [&](std::int64_t c, std::int64_t from, std::int64_t to, double* from_most) {
            return ColumnPass<T>{
                some_rows(from, to - from), row_potential_.data() + from, scale + from, row_weight + from, from_most,
                exact + c * width_};
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
        for (std::int64_t j = 0; j < width_; ++j)
            out[j] = most[j] > -kInfinity ? most[j] + std::log(exact[j]) : -kInfinity;
        return true;
    }

    // The sums of the plan at the potentials f and g, the latter padded with -inf, and what it costs.
    bool sum_plan(const double* f, const double* g, double* row_sum, double& cost) {
        const std::int64_t all = chunks_.number * width_;
        double *const column_sum = sums_.reserve(all), *const costs = most_.reserve(chunks_.number);
        T* const plan_row = plan_row_.reserve(all);
        std::fill_n(column_sum, all, 0.0);
        std::fill_n(costs, chunks_.number, 0.0);
        if (!each_rows([&](std::int64_t c, std::int64_t from, std::int64_t to) {
                PlanPass<T> pass{some_rows(from, to - from), f + from, g, plan_row + c * width_, 0, row_sum + from,
                                 column_sum + c * width_,    0};
                columns_.plan(pass);
                costs[c] += pass.cost;
            }))
            return false;
        for (std::int64_t at = width_; at < all; ++at) column_sum[at % width_] += column_sum[at];
        cost = 0;
        for (std::int64_t c = 0; c < chunks_.number; ++c) cost += costs[c];
        return true;
    }

   private:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();
    static constexpr std::int64_t kMostRows = 16, kLeastRows = 4, kNarrow = 192;

    template <class Body>
    bool each_rows(Body&& body) {
        return over_rows(chunks_, width_, team_, pulse_, body);
    }
    CostRows<T> some_rows(std::int64_t from, std::int64_t count) const {
        return {cost_.data + from * cost_.row_stride, cost_.row_stride, count, cost_.columns, over_epsilon_};
    }

    const AbsorbKernels<T, double>& absorbing_;
    const SweepKernels<double>& sweeping_;
    const ColumnKernels<T>& columns_;
    Team& team_;
    Pulse& pulse_;
    MatrixView<T> cost_{};
    double over_epsilon_ = 1;
    std::int64_t width_ = 0, wrong_row_ = -1;
    Chunks chunks_;
    Buffer<double> row_potential_, row_absorbed_, kernel_, sums_, most_, exact_, scale_, least_;
    Buffer<std::int64_t> wrong_;
    Buffer<T> plan_row_;
};

}  // namespace coalign::transport
