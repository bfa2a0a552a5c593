// What follows from potentials: the plan that they give, products with it, plans that meet the marginals, bounds and
// gradients. Nothing here holds a plan, unless it is what is asked for: rows of it are made in blocks.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/buffer.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "core/ragged.hpp"
#include "core/team.hpp"
#include "transport/acceleration.hpp"
#include "transport/kernels.hpp"
#include "transport/plan_kernels.hpp"

namespace coalign::transport {

// One solved problem of N rows and M columns.
template <class T>
struct Plan {
    MatrixView<T> cost;  // rows of unit stride
    const T *f, *g;
    const T *row_weights, *column_weights;  // uniform, of total mass 1, where there are none
    double epsilon;
    // What a unit of divergence from a marginal costs; infinite where it is met.
    double row_penalty = std::numeric_limits<double>::infinity();
    double column_penalty = std::numeric_limits<double>::infinity();
};

// The derivative of the value by a weight of a side whose divergence costs rho, beside the other side's mass. The
// potential counts where there is a weight, and the soft transform of the other side's potentials where there is none.
inline double by_weight(double weight, double potential, double transform, double rho, double epsilon, double mass) {
    const bool is_met = rho == std::numeric_limits<double>::infinity();
    double dual = is_met ? transform : transform * (rho / (rho + epsilon));
    if (weight > 0) dual = potential - epsilon * std::log(weight);
    return is_met ? dual : -rho * std::expm1(-dual / rho) + epsilon * (mass - std::exp(-dual / rho));
}

// The work on one plan after the other, by a team; holds the scratch memory. Each returns false when the call is to
// stop.
template <class T>
class Planner {
   public:
    Planner(Isa isa, Team& team, Pulse& pulse)
        : kernels_(table_for<ColumnKernels<T>>(isa)),
          row_kernels_(table_for<PlanKernels<T>>(isa)),
          team_(team),
          pulse_(pulse),
          pacer_(pulse) {}

    // The plan in rows of M.
    bool write(const Plan<T>& plan, T* out);
    // out = P v, for v of M rows of `many`, or P' v, for v of N rows. Sums are in float64.
    bool apply(const Plan<T>& plan, const double* v, std::int64_t many, bool transposed, T* out);
    // The column of each row that has most of it, the first of equals; -1 for a row without any.
    bool choose(const Plan<T>& plan, std::int64_t* column_of_row);
    // A plan with the sums a and b, the latter scaled to the mass of the former, in rows of M where there is an `out`;
    // and a proof: no less than the least cost of such plans.
    bool round(const Plan<T>& plan, double* out, double& upper);
    // No more than the least cost of such plans.
    bool bound(const Plan<T>& plan, double& lower);
    // The derivatives of the value by the weights; balanced, up to a constant for each side.
    bool differentiate(const Plan<T>& plan, double* by_row_weight, double* by_column_weight);
    // out = the derivative by the costs of the sum of `seed` times plan, in rows of M; and what is left of its linear
    // system, relative to the right hand side.
    bool pull_back(const Plan<T>& plan, const MatrixView<T>& seed, T* out, double& residual);

   private:
    void begin(const Plan<T>& plan, std::int64_t chunks, std::int64_t some);
    const T* make_rows(const Plan<T>& plan, std::int64_t chunk, std::int64_t first, std::int64_t count,
                       std::int64_t column, std::int64_t columns, std::int64_t most_columns);
    template <class Use>
    bool each_block(const Plan<T>& plan, const Chunks& chunks, Use&& use);
    template <class Use>
    bool each_row(const Plan<T>& plan, const Chunks& chunks, Use&& use);
    bool apply_transposed(const Plan<T>& plan, const double* v, std::int64_t many, T* out);
    double weigh(const Plan<T>& plan);
    bool transform(const Plan<T>& plan, double* rows, double* columns);

    const ColumnKernels<T>& kernels_;
    const PlanKernels<T>& row_kernels_;
    Team& team_;
    Pulse& pulse_;
    Pacer pacer_;
    Buffer<double> row_potential_, column_potential_, row_sum_, column_sum_, row_weight_, column_weight_;
    Buffer<double> row_scale_, column_scale_, scratch_;
    Buffer<T> block_, plan_;
};

}  // namespace coalign::transport
