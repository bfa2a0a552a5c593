// The assignment solver, once per instruction set, into the namespace COALIGN_SET.
#include "assignment/kernels.hpp"

#include "assignment/dense.hpp"

namespace coalign::COALIGN_SET {
namespace {

template <class T>
Outcome solve(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
              bool warm) {
    if (problem.maximize) return Dense<T, true>(problem, solution, workspace, pacer, scans).solve(warm);
    return Dense<T, false>(problem, solution, workspace, pacer, scans).solve(warm);
}

}  // namespace

const assignment::Kernels<float> assignment_float32{Isa::COALIGN_SET, Dense<float, false>::workspace, solve<float>};
const assignment::Kernels<double> assignment_float64{Isa::COALIGN_SET, Dense<double, false>::workspace, solve<double>};

}  // namespace coalign::COALIGN_SET
