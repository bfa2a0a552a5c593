// What follows from the potentials of point clouds: the plan that they give, products with it, and gradients. Costs are
// made where they are used; nothing here holds a plan or a matrix of costs, unless it is what is asked for. All of it
// is in float64, whatever the clouds were in.
#pragma once

#include <cstdint>
#include <functional>

#include "core/buffer.hpp"
#include "core/isa_table.hpp"
#include "core/team.hpp"
#include "transport/half_step.hpp"
#include "transport/lockers.hpp"
#include "transport/plan.hpp"
#include "transport/point_pair.hpp"
#include "transport/points.hpp"

namespace coalign::transport {

// One solved problem.
struct PointPlan {
    const PointPair* pair;
    const double *f, *g;
    const double *row_weights, *column_weights;  // uniform, of total mass 1, where there are none
    double epsilon, row_penalty, column_penalty;
};

// The work on one plan after the other, each by the whole team: groups of rows are tasks, and the answer of a group
// knows of no other. Each returns false when the call is to stop.
class PointPlanner {
   public:
    PointPlanner(Isa isa, Team& team, Pulse& pulse);

    // The plan in rows of M.
    bool write(const PointPlan& plan, double* out);
    // The costs in rows of M, and how far rounding may have taken any of them.
    bool write_costs(const PointPlan& plan, double* out, double& rounding);
    // out = P v, for v of M rows of `many`, or P' v, for v of N rows.
    bool apply(const PointPlan& plan, const double* v, std::int64_t many, bool transposed, double* out);
    // The column of each row that has most of it, the first of equals; -1 for a row without any.
    bool choose(const PointPlan& plan, std::int64_t* column_of_row);
    // The value of the duals of a balanced plan: that of the objective but for the square of the error.
    bool dual(const PointPlan& plan, double& value);
    // The derivatives of the value by the weights; balanced, up to a constant for each side.
    bool by_weights(const PointPlan& plan, double* by_row_weight, double* by_column_weight);
    // The derivative of the value by the points of x, or of y.
    bool by_points(const PointPlan& plan, bool of_y, double* out);

   private:
    struct Scratch {
        explicit Scratch(const PointKernels<double>& kernels) : half_step(kernels) {}
        RowGroup<double> group;
        HalfStep<double> half_step;
        Buffer<double> room, origin, sums;
    };
    // The plan as it is, or turned.
    struct Sides {
        const TiledCloud *rows, *columns;
        const double *row_potential, *column_potential;
    };
    // Some of a group's rows, and what their exponents have beside potentials and products of points.
    struct Group {
        std::int64_t first, count;
        double constant[kGroup];
        PointRows<double> rows;
    };

    Sides begin(const PointPlan& plan, bool transposed);
    template <class Body>
    bool each_group(const Sides& sides, Body&& body);
    template <class Use>
    void each_block(const Sides& sides, const Group& group, bool is_slope, Scratch& scratch, Use&& use);
    bool transform(const Sides& sides, const double* weights, double* out);

    const PointKernels<double>& kernels_;
    Team& team_;
    Pulse& pulse_;
    Lockers<Scratch> scratch_;
    PointExponents<double> exponents_;
    double epsilon_ = 1;
    Buffer<double> level_, vectors_, ones_, sums_;
};

// What one problem of a batch after the other is followed with: its clouds, and what needs the costs in a matrix.
struct PointFollower {
    PointFollower(Isa isa, Team& team, Pulse& pulse) : points(isa, team, pulse), stored(isa, team, pulse) {}

    // A plan with the sums a and b, in rows of M where there is an `out`, and no less than the least cost of such
    // plans.
    bool round(const PointPlan& plan, double* out, double& upper);
    // No more and no less than that cost. The costs are those of the points as they were given.
    bool bound(const PointPlan& plan, double& lower, double& upper);

    PointPair pair;
    PointPlanner points;

   private:
    // The same problem with its costs in a matrix, and what their rounding may have done to any plan's cost.
    bool store(const PointPlan& plan, Plan<double>& out, double& rounding);

    Planner<double> stored;
    Buffer<double> costs_;
};

// Calls follow(follower, problem) for each, which returns false when the call is to stop.
Run follow_points(Isa isa, const PointBatch& batch, int threads, double work_per_thread, Pulse& pulse,
                  const std::function<bool(PointFollower&, std::int64_t)>& follow);

}  // namespace coalign::transport
