// The problems of a batch over threads, each with its own workspace.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "assignment/kernels.hpp"
#include "core/parallel.hpp"

namespace coalign::assignment {

struct Run {
    bool stopped = false;
    int workers = 0;
};

// `work` counts the costs of all problems; make() is called once per thread, and solve(worker, problem, end) says up to
// which problem it has solved, of those before `end`: none when the call is to stop.
template <class Make, class Solve>
Run solve_each(std::int64_t count, double work, double work_per_thread, int most_threads, Pulse& pulse, Scans& scans,
               Make&& make, Solve&& solve) {
    const int threads =
        work_per_thread <= 0
            ? most_threads
            : static_cast<int>(std::clamp(work / work_per_thread, 1.0, static_cast<double>(most_threads)));
    std::vector<decltype(make())> workers(static_cast<std::size_t>(std::max(threads, 1)));
    // Tiny problems go many at a time, and in whole groups: handing one out costs more than solving it.
    std::int64_t chunk = std::clamp<std::int64_t>(
        static_cast<std::int64_t>(5e4 * static_cast<double>(count) / std::max(work, 1.0)), 1, 1024);
    if (chunk > 1) chunk = (chunk + 15) / 16 * 16;
    const std::int64_t tasks = (count + chunk - 1) / chunk;
    const int used = parallel_for(tasks, threads, pulse, [&](int w, std::int64_t task) {
        auto& worker = workers[static_cast<std::size_t>(w)];
        if (!worker) worker = make();
        const std::int64_t end = std::min((task + 1) * chunk, count);
        for (std::int64_t p = task * chunk; p < end;) {
            const std::int64_t solved = solve(*worker, p, end);
            if (solved == p) return pulse.stop();
            p = solved;
        }
        pulse.add_done(end - task * chunk);
    });
    for (const auto& worker : workers) {
        if (!worker) continue;
        scans.bids += worker->scans.bids;
        scans.paths += worker->scans.paths;
    }
    return {pulse.stopped(), used};
}

}  // namespace coalign::assignment
