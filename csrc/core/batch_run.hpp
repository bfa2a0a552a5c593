// How the problems of a batch are run: over threads, each with a worker of its own that holds its scratch memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/parallel.hpp"

namespace coalign {

struct Run {
    bool stopped = false;
    int workers = 0;
};

// As many threads as repay their start, each with `work_per_thread` to do.
inline int useful_threads(double work, int most, double work_per_thread) {
    if (work_per_thread <= 0) return most;
    return static_cast<int>(std::clamp(work / work_per_thread, 1.0, static_cast<double>(std::max(most, 1))));
}

// Calls solve(worker, task) for every task in [0, tasks). make() returns a worker; the thread that uses it makes it at
// its first task, and the calling thread destroys it at the end. Where solve returns false the call stops.
template <class Make, class Solve>
Run run_tasks(std::int64_t tasks, int threads, Pulse& pulse, Make&& make, Solve&& solve) {
    using Worker = std::invoke_result_t<Make&>;
    if (tasks <= 0) return {pulse.stopped(), 0};
    if (threads <= 1 || tasks == 1) {
        // A small call would be over before the rest is set up.
        Worker worker = make();
        std::int64_t task = 0;
        while (task < tasks && pulse.alive())
            if (!solve(worker, task++)) pulse.stop();
        return {pulse.stopped(), task > 0 ? 1 : 0};
    }
    std::vector<std::unique_ptr<Worker>> workers(static_cast<std::size_t>(threads));
    const int used = parallel_for(tasks, threads, pulse, [&](int w, std::int64_t task) {
        auto& worker = workers[static_cast<std::size_t>(w)];
        if (!worker) worker.reset(new Worker(make()));
        if (!solve(*worker, task)) pulse.stop();
    });
    return {pulse.stopped(), used};
}

// The same for `count` problems that take `work` together. solve(worker, problem, end) returns up to which problem it
// has solved, of those before `end`: none when the call is to stop. At least `least` problems go together.
template <class Make, class Solve>
Run run_batch(std::int64_t count, double work, int most_threads, double work_per_thread, Pulse& pulse, Make&& make,
              Solve&& solve, std::int64_t least = 1) {
    std::int64_t chunk = 1;
    int threads = 1;
    // One problem needs no sums.
    if (count > 1) {
        // Tiny problems go many at a time, and in whole groups: handing one out costs more than solving it.
        chunk = std::clamp<std::int64_t>(
            static_cast<std::int64_t>(5e4 * static_cast<double>(count) / std::max(work, 1.0)), least, 1024);
        if (chunk > 1) chunk = (chunk + 15) / 16 * 16;
        threads = useful_threads(work, most_threads, work_per_thread);
    }
    return run_tasks((count + chunk - 1) / chunk, threads, pulse, make, [&](auto& worker, std::int64_t task) {
        const std::int64_t begin = task * chunk, end = std::min(begin + chunk, count);
        for (std::int64_t p = begin; p < end;) {
            const std::int64_t solved = solve(worker, p, end);
            if (solved == p) return false;
            p = solved;
        }
        return true;
    });
}

}  // namespace coalign
