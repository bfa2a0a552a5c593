// Entropic barycenters of histograms: the weights of the columns that cost the least to reach from several weights of
// the rows.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/batch_run.hpp"
#include "core/isa.hpp"
#include "core/ragged.hpp"
#include "core/status.hpp"
#include "transport/sinkhorn.hpp"

namespace coalign::transport {

struct BarycenterBatch {
    // A histogram in each row, of weights of at least 0 and a mass above 0; and costs from what they count, in rows, to
    // what the barycenter counts. Of either there is one matrix for each problem, or one for all.
    Ragged histograms, costs;
    const double* share;  // of each histogram of each matrix, one after the other; those of a matrix add up to 1
    const double* epsilon;
    std::int64_t epsilon_stride;  // 0: one for all problems
    Options options;              // penalties are not read

    std::int64_t count() const { return histograms.count > 1 ? histograms.count : costs.count; }
    std::int64_t histogram_item(std::int64_t p) const { return histograms.count > 1 ? p : 0; }
    std::int64_t cost_item(std::int64_t p) const { return costs.count > 1 ? p : 0; }
};

// What is written of one problem whose costs have M columns.
template <class T>
struct BarycenterSolution {
    T* weights;  // M, of the mass that the first histogram has
    // How far the sums of the plans' columns are from the weights: the mean by share of the sums of differences, over
    // the mass.
    double error = std::numeric_limits<double>::infinity();
    std::int64_t iterations = 0;
    Status status = Status::ok;
    // With the status nan: the first cost that is NaN or -inf. With infeasible: a histogram and a row of it that has
    // weight, and no finite cost against a column that all histograms reach.
    std::int64_t row = -1, column = -1, histogram = -1;
};

template <class T>
Run solve_barycenters(Isa isa, const BarycenterBatch& batch, int threads, double work_per_thread, Pulse& pulse,
                      std::vector<BarycenterSolution<T>>& solutions);

}  // namespace coalign::transport
