// Threads that take the tasks of many short phases together: made for one call and joined before it ends, as those of
// parallel_for, which are made anew for each phase.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace coalign {

class Team {
   public:
    // The calling thread is one of them. There may be fewer where the process has no thread to give.
    explicit Team(int threads);
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;
    ~Team();

    // Runs body(task) for every task in [0, tasks), and returns when all are done. A body does not throw.
    template <class Body>
    void run(std::int64_t tasks, Body&& body) {
        if (helpers_.empty() || tasks < 2) {
            for (std::int64_t task = 0; task < tasks; ++task) body(task);
            return;
        }
        const std::function<void(std::int64_t)> shared = std::ref(body);
        run_shared(tasks, shared);
    }

    int size() const { return static_cast<int>(helpers_.size()) + 1; }

   private:
    void run_shared(std::int64_t tasks, const std::function<void(std::int64_t)>& body);
    void take_tasks();
    void help();

    std::vector<std::thread> helpers_;
    const std::function<void(std::int64_t)>* body_ = nullptr;  // null: the helpers are to end
    std::int64_t tasks_ = 0;
    std::atomic<std::int64_t> next_{0};
    std::atomic<int> busy_{0};  // helpers that have not finished the phase
    std::atomic<std::uint32_t> phase_{0};
};

}  // namespace coalign
