// The assignment solver, once per instruction set, into the namespace COALIGN_SET.
#include "assignment/kernels.hpp"

#include "assignment/dense.hpp"
#include "assignment/tiny.hpp"

namespace coalign::COALIGN_SET {
namespace {

template <class T, bool kNegate>
Outcome solve_directed(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
                       bool warm) {
    if (!warm && !problem.has_limit && problem.rows <= problem.columns) {
        const std::int64_t columns = problem.columns;
        if (columns <= kWidth<T>) return Tiny<T, kNegate, 1>(problem, solution, scans).solve();
        if (columns <= 2 * kWidth<T>) return Tiny<T, kNegate, 2>(problem, solution, scans).solve();
        if (columns <= 3 * kWidth<T>) return Tiny<T, kNegate, 3>(problem, solution, scans).solve();
        if (columns <= 4 * kWidth<T>) return Tiny<T, kNegate, 4>(problem, solution, scans).solve();
    }
    return Dense<T, kNegate>(problem, solution, workspace, pacer, scans).solve(warm);
}

template <class T>
Outcome solve(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
              bool warm) {
    const auto directed = problem.maximize ? solve_directed<T, true> : solve_directed<T, false>;
    return directed(problem, solution, workspace, pacer, scans, warm);
}

}  // namespace

const assignment::Kernels<float> assignment_float32{Isa::COALIGN_SET, Dense<float, false>::workspace, solve<float>};
const assignment::Kernels<double> assignment_float64{Isa::COALIGN_SET, Dense<double, false>::workspace, solve<double>};

}  // namespace coalign::COALIGN_SET
