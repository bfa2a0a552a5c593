// Iterations on point clouds in the dtype K: the engine of costs that are never stored. A group of rows is evaluated
// once, at the row potentials of the iteration before: its sums give the rows' potentials, and scaled by these what was
// evaluated goes to the columns' sums. A row or a column whose sum K cannot hold takes a log-sum-exp of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/buffer.hpp"
#include "core/isa_table.hpp"
#include "core/team.hpp"
#include "transport/acceleration.hpp"
#include "transport/half_step.hpp"
#include "transport/lockers.hpp"
#include "transport/point_pair.hpp"
#include "transport/spread.hpp"

namespace coalign::transport {

// What one thread needs to evaluate groups of rows.
template <class K>
struct PointScratch {
    explicit PointScratch(const PointKernels<K>& kernels) : half_step(kernels) {}
    RowGroup<K> group;
    HalfStep<K> half_step;
    Buffer<K> room;
};

// Evaluates a group against all columns: the exponentials into the room, their sums, and their moments if asked.
template <class K>
void evaluate_group(const PointKernels<K>& kernels, const PointRows<K>& rows, const K* base, const K* level, K* room,
                    double* sum, double* moment = nullptr) {
    // Sums of so many are of K; these are added in float64.
    constexpr std::int64_t block = 64;
    const std::int64_t tiles = tiles_of(rows.columns.count);
    std::fill_n(sum, kGroup, 0.0);
    for (std::int64_t tile = 0; tile < tiles; tile += block)
        kernels.evaluate(
            {rows, tile, std::min(tile + block, tiles), base, level, room + tile * kGroup * kTile, sum, moment});
}

template <class K>
class PointEngine {
   public:
    using Problem = Task<PointCosts>;

    PointEngine(Isa isa, Team& team, Pulse& pulse)
        : kernels_(table_for<PointKernels<K>>(isa)),
          team_(team),
          pulse_(pulse),
          scratch_(team.size(), [&] { return std::make_unique<PointScratch<K>>(kernels_); }) {}

    // Exactly so many iterations, each from the last one's result.
    Outcome run_plain(const Problem& task, std::int64_t most, double* potential) {
        begin(task);
        while (true) {
            if (!iterate(potential)) return failure_;
            if (iterations_ == most) return Outcome::reached;
            std::copy_n(image_.data(), width_, potential);
        }
    }

    // The row potentials F that belong to the column potentials of the last iteration; -inf without weight.
    bool row_potentials(const double*, double* out) const {
        for (std::int64_t i = 0; i < task_.cost.rows; ++i)
            out[i] = task_.row_weight[i] > 0 ? scaled(row_.data()[i]) : -kInfinity;
        return true;
    }

    double error() const { return error_; }
    std::int64_t iterations() const { return iterations_; }
    std::int64_t found_at() const { return -1; }

   protected:
    static constexpr double kInfinity = std::numeric_limits<double>::infinity();
    static constexpr double kNoise = sizeof(K) == sizeof(float) ? 2e-5 : 1e-10;
    // Sums beyond these miss what the dtype has flushed to 0, or what an exponent was held to.
    static constexpr double kLeastSum = sizeof(K) == sizeof(float) ? 1e-28 : 1e-270;
    static constexpr double kMostSum = sizeof(K) == sizeof(float) ? 1e25 : 1e255;

    void begin(const Problem& task) {
        task_ = task;
        width_ = task.width();
        chunks_ = Chunks(task.cost.rows, task.cost.columns, kGroup);
        exponents_ = PointExponents<K>(*task.cost.pair, task.epsilon);
        row_.reserve(task.cost.rows);
        level_.reserve(tiles_of(task.cost.columns) * kTile);
        sums_.reserve(chunks_.number * tiles_of(task.cost.columns) * kTile);
        image_.reserve(width_);
        has_rows_ = false;
        error_ = kInfinity;
        iterations_ = 0;
    }

    // One iteration: from the column potentials the rows', exactly, and from those the columns' again, into image_. The
    // potentials become what K holds of them.
    bool iterate(double* potential) {
        set_levels(potential);
        if (!has_rows_ && !each_group([&](PointScratch<K>& scratch, std::int64_t i, std::int64_t count, K*) {
                start_rows(scratch, i, count);
            }))
            return false;
        has_rows_ = true;
        // Unbalanced, the rows' scalings may all be tiny; what they have in common is kept apart.
        common_ = task_.is_balanced ? 0 : -kInfinity;
        if (!task_.is_balanced)
            for (std::int64_t i = 0; i < task_.cost.rows; ++i)
                if (task_.row_weight[i] > 0) common_ = std::max(common_, scaled(row_.data()[i]) - row_.data()[i]);
        if (!each_group([&](PointScratch<K>& scratch, std::int64_t i, std::int64_t count, K* sums) {
                sweep(scratch, i, count, sums);
            }))
            return false;
        ++iterations_;
        if (task_.is_alone) pulse_.add_done(1);
        if (!update(potential)) return false;
        error_ = error_of(task_, potential, image_.data());
        return true;
    }

    template <class What>
    void each_missed(const double* potential, What&& what) const {
        each_missed_column(task_, potential, image_.data(), what);
    }

    const PointPair& pair() const { return *task_.cost.pair; }
    // What stands in the exponents of row i, or of column j, beside potentials.
    double row_constant(std::int64_t i) const {
        return -exponents_.norm_slope * pair().x().norms()[i] - exponents_.constant;
    }
    double column_constant(std::int64_t j) const { return -exponents_.norm_slope * pair().y().norms()[j]; }
    // The potential of a row whose weighted sum is 1 at `own`.
    double scaled(double own) const { return task_.row_power * (own - task_.log_column_mass); }

    void set_levels(double* potential) {
        K* const level = level_.data();
        const std::int64_t room = tiles_of(task_.cost.columns) * kTile;
        for (std::int64_t j = 0; j < room; ++j) {
            level[j] = -std::numeric_limits<K>::infinity();
            if (j >= task_.cost.columns || !(task_.column_weight[j] > 0) || !(potential[j] > -kInfinity)) continue;
            const double rest = std::log(task_.column_weight[j]) + column_constant(j);
            level[j] = K(potential[j] + rest);
            potential[j] = double{level[j]} - rest;
        }
    }

    // Calls body(scratch, first row, number of rows, sums of the chunk) for all groups.
    template <class Body>
    bool each_group(Body&& body) {
        const std::int64_t room = tiles_of(task_.cost.columns) * kTile;
        team_.run(chunks_.number, [&](std::int64_t chunk) {
            scratch_.with([&](PointScratch<K>& scratch) {
                K* const sums = sums_.data() + chunk * room;
                std::fill_n(sums, room, K(0));
                const std::int64_t end = chunks_.end(chunk);
                for (std::int64_t i = chunks_.begin(chunk); i < end && pulse_.alive(); i += kGroup)
                    body(scratch, i, std::min(kGroup, end - i), sums);
            });
        });
        return !pulse_.stopped() || fail(Outcome::stopped);
    }

    PointRows<K> rows_from(PointScratch<K>& scratch, std::int64_t first, std::int64_t count) const {
        scratch.group.take(pair().x().template cloud<K>(), count, [&](std::int64_t r) { return first + r; });
        return scratch.group.against(pair().y().template cloud<K>(), exponents_.form, exponents_.slope);
    }

    void start_rows(PointScratch<K>& scratch, std::int64_t first, std::int64_t count) {
        double log_sum[kGroup];
        scratch.half_step.run(rows_from(scratch, first, count), level_.data(), log_sum);
        for (std::int64_t r = 0; r < count; ++r) row_.data()[first + r] = -(log_sum[r] + row_constant(first + r));
    }

    void sweep(PointScratch<K>& scratch, std::int64_t first, std::int64_t count, K* sums) {
        const std::int64_t tiles = tiles_of(task_.cost.columns);
        K* const room = scratch.room.reserve(tiles * kGroup * kTile);
        const PointRows<K> rows = rows_from(scratch, first, count);
        double* const row = row_.data() + first;
        K base[kGroup] = {}, scaling[kGroup] = {};
        double sum[kGroup];
        for (int attempt = 0; attempt < 2; ++attempt) {
            for (std::int64_t r = 0; r < count; ++r) base[r] = K(row[r] + row_constant(first + r));
            evaluate_group(kernels_, rows, base, level_.data(), room, sum);
            const bool holds = std::all_of(sum, sum + count, [](double s) { return s > kLeastSum && s < kMostSum; });
            if (holds) break;
            start_rows(scratch, first, count);
        }
        for (std::int64_t r = 0; r < count; ++r) {
            const double rough = double{base[r]} - row_constant(first + r);
            row[r] = rough - std::log(sum[r]);
            const double weight = task_.row_weight[first + r];
            if (weight > 0)
                scaling[r] =
                    K(task_.is_balanced ? weight / sum[r] : weight * std::exp(scaled(row[r]) - rough - common_));
        }
        kernels_.gather(room, scaling, tiles, sums);
    }

    // The columns' next potentials, from their sums.
    bool update(const double* potential) {
        const std::int64_t room = tiles_of(task_.cost.columns) * kTile;
        const double power = task_.column_power, shift = -task_.log_row_mass - common_;
        missed_.clear();
        for (std::int64_t j = 0; j < width_; ++j) {
            double& image = image_.data()[j];
            image = -kInfinity;
            if (j >= task_.cost.columns || !(potential[j] > -kInfinity) || !(task_.column_weight[j] > 0)) continue;
            double sum = 0;
            for (std::int64_t c = 0; c < chunks_.number; ++c) sum += double{sums_.data()[c * room + j]};
            if (sum > kLeastSum && sum < kMostSum)
                image = power * (potential[j] + shift - std::log(sum / task_.column_weight[j]));
            else missed_.push_back(j);
        }
        return missed_.empty() || sum_columns();
    }

    // The same of columns whose sums K does not hold, by a log-sum-exp over the rows.
    bool sum_columns() {
        const Cloud<K> x = pair().x().template cloud<K>(), y = pair().y().template cloud<K>();
        K* const level = row_level_.reserve(tiles_of(x.count) * kTile);
        std::fill_n(level, tiles_of(x.count) * kTile, -std::numeric_limits<K>::infinity());
        for (std::int64_t i = 0; i < x.count; ++i)
            if (task_.row_weight[i] > 0)
                level[i] = K(scaled(row_.data()[i]) + std::log(task_.row_weight[i]) + row_constant(i));
        const auto count = static_cast<std::int64_t>(missed_.size());
        team_.run((count + kGroup - 1) / kGroup, [&](std::int64_t task) {
            if (!pulse_.alive()) return;
            scratch_.with([&](PointScratch<K>& scratch) {
                const std::int64_t first = task * kGroup, some = std::min(kGroup, count - first);
                const auto column = [&](std::int64_t r) { return missed_[static_cast<std::size_t>(first + r)]; };
                double log_sum[kGroup];
                scratch.group.take(y, some, column);
                scratch.half_step.run(scratch.group.against(x, exponents_.form, exponents_.slope), level, log_sum);
                for (std::int64_t r = 0; r < some; ++r)
                    image_.data()[column(r)] =
                        -task_.column_power * (task_.log_row_mass + log_sum[r] + column_constant(column(r)));
            });
        });
        return !pulse_.stopped() || fail(Outcome::stopped);
    }

    bool fail(Outcome failure) {
        failure_ = failure;
        return false;
    }

    const PointKernels<K>& kernels_;
    Team& team_;
    Pulse& pulse_;
    Lockers<PointScratch<K>> scratch_;
    Problem task_{};
    Chunks chunks_;
    PointExponents<K> exponents_;
    std::int64_t width_ = 0;
    Buffer<K> level_, row_level_, sums_;
    Buffer<double> row_, image_;  // row_: the potentials for which weighted rows sum to 1
    std::vector<std::int64_t> missed_;
    double common_ = 0, error_ = 0;
    std::int64_t iterations_ = 0;
    bool has_rows_ = false;
    Outcome failure_ = Outcome::stopped;
};

template <class K>
using PointScaling = Accelerated<PointEngine<K>>;

// What the solver asks of point clouds.
template <class T>
class PointModel {
   public:
    using Value = T;
    using Costs = PointCosts;
    using Quick = PointScaling<float>;
    using Exact = PointScaling<double>;

    PointModel(Isa isa, Team& team, Pulse& pulse)
        : kernels_(table_for<PointKernels<double>>(isa)),
          team_(team),
          pulse_(pulse),
          scratch_(team.size(), [&] { return std::make_unique<PointScratch<double>>(kernels_); }) {}

    static Spread spread(const Costs& cost);
    static double cost_of(const Costs& cost, std::int64_t i, std::int64_t j) { return cost.pair->cost(i, j); }
    // Its costs would have to be made to be looked at.
    static bool is_paired(const Task<Costs>&, std::vector<bool>&) { return false; }
    // Potentials may be as large as the costs, and float32 rounds each by up to 6e-8 of that.
    static bool suits_float32(const Costs& cost, double epsilon) { return most_exponent(cost, epsilon) < 2e4; }
    static double quick_tolerance(const Costs& cost, double epsilon) {
        return std::max(2e-6, 3e-8 * most_exponent(cost, epsilon));
    }
    static std::int64_t wrong_column(const Costs&, std::int64_t) { return -1; }

    // The cost and the sums of the plan at the potentials f and g; null where the call is to stop.
    const double* sum_plan(const Task<Costs>& task, const double* f, const double* g, double* row_sum, double& cost) {
        const PointPair& pair = *task.cost.pair;
        const PointExponents<double> exponents(pair, task.epsilon);
        const Cloud<double> x = pair.x().cloud<double>(), y = pair.y().cloud<double>();
        const std::int64_t tiles = tiles_of(y.count), room = tiles * kTile;
        const Chunks chunks(x.count, y.count, kGroup);
        double *const level = level_.reserve(room), *const sums = sums_.reserve(chunks.number * room);
        for (std::int64_t j = 0; j < room; ++j)
            level[j] = j < y.count ? g[j] / task.epsilon - exponents.norm_slope * pair.y().norms()[j]
                                   : -std::numeric_limits<double>::infinity();
        std::fill_n(sums, chunks.number * room, 0.0);
        double* const moments = moments_.reserve(chunks.number);
        std::fill_n(moments, chunks.number, 0.0);
        team_.run(chunks.number, [&](std::int64_t c) {
            scratch_.with([&](PointScratch<double>& scratch) {
                double* const plan = scratch.room.reserve(tiles * kGroup * kTile);
                for (std::int64_t i = chunks.begin(c); i < chunks.end(c) && pulse_.alive(); i += kGroup) {
                    const std::int64_t count = std::min(kGroup, chunks.end(c) - i);
                    scratch.group.take(x, count, [&](std::int64_t r) { return i + r; });
                    double base[kGroup], scaling[kGroup] = {}, sum[kGroup], moment[kGroup] = {};
                    std::fill_n(base, kGroup, -std::numeric_limits<double>::infinity());
                    for (std::int64_t r = 0; r < count; ++r) {
                        base[r] = f[i + r] / task.epsilon - exponents.norm_slope * pair.x().norms()[i + r] -
                                  exponents.constant;
                        scaling[r] = 1;
                    }
                    evaluate_group(kernels_, scratch.group.against(y, exponents.form, exponents.slope), base, level,
                                   plan, sum, moment);
                    kernels_.gather(plan, scaling, tiles, sums + c * room);
                    for (std::int64_t r = 0; r < count; ++r) {
                        row_sum[i + r] = sum[r];
                        moments[c] += moment[r];
                    }
                }
            });
        });
        if (pulse_.stopped()) return nullptr;
        for (std::int64_t c = 1; c < chunks.number; ++c) {
            for (std::int64_t j = 0; j < room; ++j) sums[j] += sums[c * room + j];
            moments[0] += moments[c];
        }
        double constant = 0;
        for (std::int64_t i = 0; i < x.count; ++i)
            constant += row_sum[i] * (exponents.norm_slope * pair.x().norms()[i] + exponents.constant);
        for (std::int64_t j = 0; j < y.count; ++j) constant += sums[j] * exponents.norm_slope * pair.y().norms()[j];
        cost = task.epsilon * (constant - exponents.slope * moments[0]);
        return sums;
    }

   private:
    static double most_exponent(const Costs& cost, double epsilon) {
        return cost.pair->most_cost() * cost.pair->unit() / epsilon;
    }

    const PointKernels<double>& kernels_;
    Team& team_;
    Pulse& pulse_;
    Lockers<PointScratch<double>> scratch_;
    Buffer<double> level_, sums_, moments_;
};

}  // namespace coalign::transport
