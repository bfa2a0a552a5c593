// Entropic transport of a part of the mass: the plan of a given mass with the least <P, C> + epsilon KL(P | a b') whose
// sums are at most a and b.
#pragma once

#include "core/batch_run.hpp"
#include "core/isa.hpp"
#include "transport/sinkhorn.hpp"

namespace coalign::transport {

// `mass` has one number for each problem; penalties and potentials to start from are not read. An error of a solution
// is what the sums of the plan and its mass miss, over the mass.
template <class T>
Run solve_partial(Isa isa, const Batch& batch, const double* mass, int threads, double work_per_thread, Pulse& pulse,
                  Results<T>& results);

}  // namespace coalign::transport
