// How problems of transport are shared out: a problem to a thread, or, where a few are large, all threads to a problem.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/batch_run.hpp"
#include "core/team.hpp"

namespace coalign::transport {

struct Load {
    std::int64_t problems;
    double cells;   // of all of them
    double passes;  // over each cell
    // Of one problem, for which a thread more repays the way from one phase to the next.
    double cells_per_thread;
};

// Runs solve(worker, problem, end) as run_batch does, with the workers of make(team). The team is one thread unless
// there are fewer problems than threads and they are large: then it is all of them, and problems go one after the
// other.
template <class Make, class Solve>
Run run_problems(const Load& load, int threads, double work_per_thread, Pulse& pulse, Make&& make, Solve&& solve,
                 std::int64_t least = 1) {
    const double cells_each = load.cells / static_cast<double>(std::max<std::int64_t>(load.problems, 1));
    const double cells_per_thread = work_per_thread > 0 ? load.cells_per_thread : 0;
    Team team(load.problems < threads ? useful_threads(cells_each, threads, cells_per_thread) : 1);
    Run run = run_batch(
        load.problems, load.cells * load.passes, team.size() > 1 ? 1 : threads, work_per_thread, pulse,
        [&] { return make(team); }, solve, least);
    run.workers *= team.size();
    return run;
}

}  // namespace coalign::transport
