#include "transport/point_plan.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "transport/plan.hpp"

namespace coalign::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Exponentials of so many tiles of a group are made, and used while they are in the first two levels of cache.
constexpr std::int64_t kBlock = 16;

}  // namespace

PointPlanner::PointPlanner(Isa isa, Team& team, Pulse& pulse)
    : kernels_(table_for<PointKernels<double>>(isa)),
      team_(team),
      pulse_(pulse),
      scratch_(team.size(), [&] { return std::make_unique<Scratch>(kernels_); }) {}

PointPlanner::Sides PointPlanner::begin(const PointPlan& plan, bool transposed) {
    Sides sides{&plan.pair->x(), &plan.pair->y(), plan.f, plan.g};
    if (transposed) sides = {sides.columns, sides.rows, sides.column_potential, sides.row_potential};
    exponents_ = PointExponents<double>(*plan.pair, plan.epsilon);
    epsilon_ = plan.epsilon;
    const std::int64_t columns = sides.columns->cloud<double>().count, room = tiles_of(columns) * kTile;
    double* const level = level_.reserve(room);
    for (std::int64_t j = 0; j < room; ++j)
        level[j] = j < columns
                       ? sides.column_potential[j] / epsilon_ - exponents_.norm_slope * sides.columns->norms()[j]
                       : -kInfinity;
    return sides;
}

// Calls body(scratch, group) for the rows, kGroup at a time.
template <class Body>
bool PointPlanner::each_group(const Sides& sides, Body&& body) {
    const Cloud<double> rows = sides.rows->cloud<double>(), columns = sides.columns->cloud<double>();
    team_.run((rows.count + kGroup - 1) / kGroup, [&](std::int64_t at) {
        if (!pulse_.alive()) return;
        scratch_.with([&](Scratch& scratch) {
            Group group{at * kGroup, std::min(kGroup, rows.count - at * kGroup), {}, {}};
            scratch.group.take(rows, group.count, [&](std::int64_t r) { return group.first + r; });
            for (std::int64_t r = 0; r < group.count; ++r)
                group.constant[r] = -exponents_.norm_slope * sides.rows->norms()[group.first + r] - exponents_.constant;
            group.rows = scratch.group.against(columns, exponents_.form, exponents_.slope);
            body(scratch, group);
        });
    });
    return !pulse_.stopped();
}

// Calls use(room, first column, number of columns) for the columns, a block at a time. The room is as kernels fill it.
template <class Use>
void PointPlanner::each_block(const Sides& sides, const Group& group, bool is_slope, Scratch& scratch, Use&& use) {
    const std::int64_t columns = group.rows.columns.count, tiles = tiles_of(columns);
    double base[kGroup], sum[kGroup] = {};
    std::fill_n(base, kGroup, -kInfinity);
    for (std::int64_t r = 0; r < group.count; ++r)
        base[r] = sides.row_potential[group.first + r] / epsilon_ + group.constant[r];
    EvaluatePass<double> pass{
        group.rows, 0, 0, base, level_.data(), scratch.room.reserve(kBlock * kGroup * kTile), sum, nullptr, is_slope};
    for (; pass.begin < tiles; pass.begin = pass.end) {
        pass.end = std::min(pass.begin + kBlock, tiles);
        kernels_.evaluate(pass);
        const std::int64_t first = pass.begin * kTile;
        use(pass.room, first, std::min(pass.end * kTile, columns) - first);
    }
}

bool PointPlanner::write(const PointPlan& plan, double* out) {
    const Sides sides = begin(plan, false);
    return each_group(sides, [&](Scratch& scratch, const Group& group) {
        const std::int64_t columns = group.rows.columns.count;
        each_block(sides, group, false, scratch, [&](const double* room, std::int64_t first, std::int64_t count) {
            for (std::int64_t at = 0; at < count; at += kTile)
                for (std::int64_t r = 0; r < group.count; ++r)
                    std::copy_n(room + at * kGroup + r * kTile, std::min(kTile, count - at),
                                out + (group.first + r) * columns + first + at);
        });
    });
}

bool PointPlanner::write_costs(const PointPlan& plan, double* out, double& rounding) {
    const PointPair& pair = *plan.pair;
    const Sides sides = begin(plan, false);
    const Cloud<double> columns = sides.columns->cloud<double>();
    // Coordinates are rounded when they are moved, and a sum at each of its terms, by half a unit of what they are.
    constexpr double unit = std::numeric_limits<double>::epsilon() / 2;
    rounding = 4 * static_cast<double>(columns.dimension + 8) * unit * pair.most_cost() * pair.unit();
    return each_group(sides, [&](Scratch&, const Group& group) {
        for (std::int64_t i = group.first; i < group.first + group.count; ++i)
            for (std::int64_t j = 0; j < columns.count; ++j) out[i * columns.count + j] = pair.cost(i, j);
    });
}

bool PointPlanner::apply(const PointPlan& plan, const double* v, std::int64_t many, bool transposed, double* out) {
    const Sides sides = begin(plan, transposed);
    const std::int64_t columns = sides.columns->cloud<double>().count;
    const bool is_finite = std::all_of(v, v + columns * many, [](double value) { return std::isfinite(value); });
    return each_group(sides, [&](Scratch& scratch, const Group& group) {
        double* const sums = scratch.sums.reserve(kGroup * many);
        std::fill_n(sums, kGroup * many, 0.0);
        each_block(sides, group, false, scratch, [&](const double* room, std::int64_t first, std::int64_t count) {
            if (is_finite) {
                kernels_.mix(room, count, v + first * many, many, many, nullptr, sums);
                return;
            }
            // A plan of 0 takes nothing, of an infinite value either.
            for (std::int64_t j = 0; j < count; ++j)
                for (std::int64_t r = 0; r < group.count; ++r) {
                    const double own = room[j / kTile * kGroup * kTile + r * kTile + j % kTile];
                    for (std::int64_t c = 0; own > 0 && c < many; ++c)
                        sums[r * many + c] += own * v[(first + j) * many + c];
                }
        });
        std::copy_n(sums, group.count * many, out + group.first * many);
    });
}

bool PointPlanner::choose(const PointPlan& plan, std::int64_t* column_of_row) {
    const Sides sides = begin(plan, false);
    return each_group(sides, [&](Scratch& scratch, const Group& group) {
        const std::int64_t tiles = tiles_of(group.rows.columns.count);
        const double zero[kGroup] = {};
        double most[kGroup], before[kGroup];
        std::fill_n(most, kGroup, -kInfinity);
        std::int64_t* const chosen = column_of_row + group.first;
        std::fill_n(chosen, group.count, std::int64_t{-1});
        EvaluatePass<double> pass{
            group.rows, 0, 0, zero, level_.data(), scratch.room.reserve(kBlock * kGroup * kTile), nullptr, nullptr};
        for (; pass.begin < tiles; pass.begin = pass.end) {
            pass.end = std::min(pass.begin + kBlock, tiles);
            std::copy_n(most, kGroup, before);
            kernels_.raise(pass, most);
            for (std::int64_t r = 0; r < group.count; ++r) {
                if (!(most[r] > before[r]) || !(sides.row_potential[group.first + r] > -kInfinity)) continue;
                std::int64_t j = 0;
                while (pass.room[j / kTile * kGroup * kTile + r * kTile + j % kTile] != most[r]) ++j;
                chosen[r] = pass.begin * kTile + j;
            }
        }
    });
}

// Soft transforms of the columns' potentials, for the rows without weight.
bool PointPlanner::transform(const Sides& sides, const double* weights, double* out) {
    if (weights == nullptr) return true;
    return each_group(sides, [&](Scratch& scratch, const Group& group) {
        const double* const own = weights + group.first;
        if (std::all_of(own, own + group.count, [](double weight) { return weight > 0; })) return;
        double log_sum[kGroup];
        scratch.half_step.run(group.rows, level_.data(), log_sum);
        for (std::int64_t r = 0; r < group.count; ++r)
            out[group.first + r] = -epsilon_ * (log_sum[r] + group.constant[r]);
    });
}

bool PointPlanner::dual(const PointPlan& plan, double& value) {
    const std::int64_t rows = plan.pair->x().cloud<double>().count, columns = plan.pair->y().cloud<double>().count;
    double *const ones = ones_.reserve(columns), *const sums = sums_.reserve(rows);
    std::fill_n(ones, columns, 1.0);
    if (!apply(plan, ones, 1, false, sums)) return false;
    double mass = 0;
    for (std::int64_t i = 0; i < rows; ++i) mass += sums[i];
    value = 0;
    double masses = 1;
    const auto side = [&](std::int64_t count, const double* weights, const double* potential) {
        double own_mass = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            const double weight = weights != nullptr ? weights[i] : 1 / static_cast<double>(count);
            own_mass += weight;
            if (weight > 0) value += weight * (potential[i] - plan.epsilon * std::log(weight));
        }
        masses *= own_mass;
    };
    side(rows, plan.row_weights, plan.f);
    side(columns, plan.column_weights, plan.g);
    value += plan.epsilon * (masses - mass);
    return true;
}

bool PointPlanner::by_weights(const PointPlan& plan, double* by_row_weight, double* by_column_weight) {
    const auto mass_of = [](const double* weights, std::int64_t count) {
        double mass = 0;
        for (std::int64_t i = 0; weights != nullptr && i < count; ++i) mass += weights[i];
        return weights != nullptr ? mass : 1;
    };
    const auto side = [&](bool transposed, const double* weights, const double* others, double rho, double* out) {
        const Sides sides = begin(plan, transposed);
        if (!transform(sides, weights, out)) return false;
        const std::int64_t count = sides.rows->cloud<double>().count;
        const double mass = mass_of(others, sides.columns->cloud<double>().count);
        for (std::int64_t i = 0; i < count; ++i) {
            const double weight = weights != nullptr ? weights[i] : 1 / static_cast<double>(count);
            out[i] = by_weight(weight, sides.row_potential[i], out[i], rho, epsilon_, mass);
        }
        return true;
    };
    return side(false, plan.row_weights, plan.column_weights, plan.row_penalty, by_row_weight) &&
           side(true, plan.column_weights, plan.row_weights, plan.column_penalty, by_column_weight);
}

// A row's derivative is the sum over columns of plan times that of the cost.
bool PointPlanner::by_points(const PointPlan& plan, bool of_y, double* out) {
    const PointPair& pair = *plan.pair;
    const Sides sides = begin(plan, of_y);
    const PointMetric metric = pair.metric();
    const bool is_distance = metric == PointMetric::sqeuclidean || metric == PointMetric::euclidean;
    const Cloud<double> columns = sides.columns->cloud<double>();
    const std::int64_t dimension = columns.dimension;
    double* const vectors = vectors_.reserve(columns.count * dimension);
    for (std::int64_t j = 0; j < columns.count; ++j)
        for (std::int64_t k = 0; k < dimension; ++k) vectors[j * dimension + k] = sides.columns->at(j, k);
    return each_group(sides, [&](Scratch& scratch, const Group& group) {
        double *const origin = scratch.origin.reserve(kGroup * dimension), *const sums =
                                                                               scratch.sums.reserve(kGroup * dimension);
        std::fill_n(origin, kGroup * dimension, 0.0);
        std::fill_n(sums, kGroup * dimension, 0.0);
        for (std::int64_t r = 0; r < group.count; ++r)
            for (std::int64_t k = 0; k < dimension; ++k) origin[r * dimension + k] = sides.rows->at(group.first + r, k);
        each_block(sides, group, metric == PointMetric::euclidean, scratch,
                   [&](const double* room, std::int64_t first, std::int64_t count) {
                       // Differences before the sum: those of near points keep their digits.
                       kernels_.mix(room, count, vectors + first * dimension, dimension, dimension,
                                    is_distance ? origin : nullptr, sums);
                   });
        for (std::int64_t r = 0; r < group.count; ++r) {
            const double *const own = sums + r * dimension, *const point = origin + r * dimension;
            double factor = pair.unit() * sides.rows->scales()[group.first + r], along = 0;
            if (metric == PointMetric::sqeuclidean) factor *= 2;
            if (!is_distance) factor = -factor;
            // The length of a point takes no part in a cosine.
            for (std::int64_t k = 0; metric == PointMetric::cosine && k < dimension; ++k) along += own[k] * point[k];
            for (std::int64_t k = 0; k < dimension; ++k)
                out[(group.first + r) * dimension + k] = factor * (own[k] - along * point[k]);
        }
    });
}

bool PointFollower::store(const PointPlan& plan, Plan<double>& out, double& rounding) {
    const std::int64_t rows = pair.x().cloud<double>().count, columns = pair.y().cloud<double>().count;
    double* const costs = costs_.reserve(rows * columns);
    if (!points.write_costs(plan, costs, rounding)) return false;
    double mass = plan.row_weights != nullptr ? 0 : 1;
    for (std::int64_t i = 0; plan.row_weights != nullptr && i < rows; ++i) mass += plan.row_weights[i];
    rounding *= mass;
    out = {{costs, rows, columns, columns, 1}, plan.f, plan.g, plan.row_weights, plan.column_weights, plan.epsilon};
    return true;
}

bool PointFollower::round(const PointPlan& plan, double* out, double& upper) {
    Plan<double> own;
    double rounding = 0;
    const bool is_done = store(plan, own, rounding) && stored.round(own, out, upper);
    upper += rounding;
    return is_done;
}

bool PointFollower::bound(const PointPlan& plan, double& lower, double& upper) {
    Plan<double> own;
    double rounding = 0;
    if (!store(plan, own, rounding) || !stored.bound(own, lower) || !stored.round(own, nullptr, upper)) return false;
    lower -= rounding;
    upper += rounding;
    return true;
}

Run follow_points(Isa isa, const PointBatch& batch, int threads, double work_per_thread, Pulse& pulse,
                  const std::function<bool(PointFollower&, std::int64_t)>& follow) {
    return over_pairs(
        batch, 4, threads, work_per_thread, pulse,
        [&](Team& team) { return std::make_unique<PointFollower>(isa, team, pulse); },
        [&](PointFollower& follower, std::int64_t p) {
            follower.pair.take(batch.x.at<double>(batch.x_item(p)), batch.y.at<double>(batch.y_item(p)), batch.metric);
            return follow(follower, p);
        });
}

}  // namespace coalign::transport
