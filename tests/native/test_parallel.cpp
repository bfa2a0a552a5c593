// parallel_for, Pulse and the run of a batch: each task once, errors and stops carried out, monitors heard on their own
// thread.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/batch_run.hpp"
#include "core/parallel.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace std::chrono_literals;

namespace {

// Allocations that this thread may still make before one fails; any number if negative.
thread_local int allocations_left = -1;

}  // namespace

void* operator new(std::size_t size) {
    if (allocations_left == 0) throw std::bad_alloc();
    if (allocations_left > 0) --allocations_left;
    if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace {

// A wait that ends, so that a test fails and does not hang.
template <class Condition>
bool wait_until(Condition&& condition) {
    const auto limit = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::sleep_for(100us);
    }
    return true;
}

// Notes what it hears, and stops the call when it hears it for the `last` time.
class Listener final : public Monitor {
   public:
    explicit Listener(int last = 1 << 30) : last_(last) {}
    bool keep_going(std::int64_t done) override {
        threads.insert(std::this_thread::get_id());
        heard.push_back(done);
        return ++calls < last_;
    }
    std::set<std::thread::id> threads;
    std::vector<std::int64_t> heard;
    std::atomic<int> calls{0};

   private:
    const int last_;
};

void every_task_once() {
    for (const int threads : {-1, 0, 1, 2, 3, 8}) {
        for (const std::int64_t tasks : {0, 1, 2, 3, 7, 100, 1000}) {
            const std::string label = std::to_string(threads) + " threads, " + std::to_string(tasks) + " tasks";
            std::vector<std::atomic<int>> times(static_cast<std::size_t>(tasks));
            std::atomic<bool> worker_in_range{true};
            Pulse pulse(nullptr);
            const int workers = parallel_for(tasks, threads, pulse, [&](int worker, std::int64_t task) {
                if (worker < 0 || worker >= std::max(threads, 1)) worker_in_range = false;
                ++times[static_cast<std::size_t>(task)];
            });
            const bool once = std::all_of(times.begin(), times.end(), [](const auto& count) { return count == 1; });
            check(once, label + ": each task once");
            check(worker_in_range, label + ": worker in range");
            check(workers <= std::max(threads, 1) && workers <= tasks && (workers > 0 || tasks == 0),
                  label + ": workers");
            check(!pulse.stopped(), label + ": runs to its end");
        }
    }
}

void counts_workers() {
    // Nobody leaves its first task before all have come.
    for (const int threads : {1, 2, 3}) {
        std::atomic<int> arrived{0};
        std::mutex mutex;
        std::set<std::thread::id> ids;
        std::set<int> numbers;
        bool caller_is_worker_0 = true;
        Pulse pulse(nullptr);
        const auto caller = std::this_thread::get_id();
        const int workers = parallel_for(threads, threads, pulse, [&](int worker, std::int64_t) {
            {
                const std::lock_guard lock(mutex);
                ids.insert(std::this_thread::get_id());
                numbers.insert(worker);
                caller_is_worker_0 &= (worker == 0) == (std::this_thread::get_id() == caller);
            }
            ++arrived;
            check(wait_until([&] { return arrived == threads; }), "every worker comes");
        });
        const auto expected = static_cast<std::size_t>(threads);
        check(workers == threads && ids.size() == expected && numbers.size() == expected, "workers are counted");
        check(caller_is_worker_0, "the calling thread is worker 0");
    }
}

// The first exception comes out, when no body runs any more and with tasks left undone.
void throws(int thrower_of_two) {
    const std::string label = "worker " + std::to_string(thrower_of_two) + " throws";
    std::atomic<int> arrived{0}, inside{0}, done{0};
    Pulse pulse(nullptr);
    std::string what;
    try {
        parallel_for(1'000'000, 2, pulse, [&](int worker, std::int64_t) {
            ++inside;
            ++done;
            if (++arrived <= 2) check(wait_until([&] { return arrived >= 2; }), label + ": both workers come");
            if (worker == thrower_of_two) {
                --inside;
                throw std::runtime_error("from a body");
            }
            std::this_thread::sleep_for(1ms);
            --inside;
        });
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    check(what == "from a body", label + ": comes out");
    check(inside == 0, label + ": joined");
    check(pulse.stopped() && done < 1'000'000, label + ": stops the others");
}

void all_throw() {
    Pulse pulse(nullptr);
    std::atomic<int> arrived{0};
    bool caught = false;
    try {
        parallel_for(3, 3, pulse, [&](int, std::int64_t task) {
            ++arrived;
            wait_until([&] { return arrived == 3; });
            throw std::out_of_range(std::to_string(task));
        });
    } catch (const std::out_of_range&) {
        caught = true;
    }
    check(caught, "one of many exceptions comes out");
}

void stops() {
    for (const int threads : {1, 3}) {
        Listener listener(3);
        Pulse pulse(&listener);
        std::atomic<std::int64_t> done{0};
        parallel_for(1'000'000, threads, pulse, [&](int, std::int64_t) {
            ++done;
            pulse.add_done(1);
            std::this_thread::sleep_for(1ms);
        });
        check(pulse.stopped() && done < 1'000'000, "the monitor stops the call");
        check(listener.heard.size() == 3, "and is not asked again");
        check(std::is_sorted(listener.heard.begin(), listener.heard.end()) && listener.heard.back() > 0 &&
                  listener.heard.back() <= done,
              "it hears how much is done");
    }
    Pulse pulse(nullptr);
    std::atomic<int> done{0};
    parallel_for(1000, 1, pulse, [&](int, std::int64_t task) {
        ++done;
        if (task == 10) pulse.stop();
    });
    check(done == 11, "no task starts after a stop");
    check(!pulse.alive(), "a stopped pulse stays so");
    check(parallel_for(5, 3, pulse, [&](int, std::int64_t) { ++done; }) == 0 && done == 11, "and starts nothing");
}

void monitor_stays_on_its_thread() {
    // Worker 0 is done at once; the other works on until the caller, who by then only waits, has been heard.
    Listener listener;
    Pulse pulse(&listener);
    std::atomic<bool> helper_works{false}, alive{true};
    parallel_for(2, 2, pulse, [&](int worker, std::int64_t) {
        if (worker == 0) {
            check(wait_until([&] { return helper_works.load(); }), "the helper comes");
            return;
        }
        helper_works = true;
        check(wait_until([&] {
                  if (!pulse.alive()) alive = false;
                  return listener.calls >= 4;
              }),
              "the caller listens while it waits");
    });
    check(alive, "alive on a helper");
    check(listener.threads == std::set{std::this_thread::get_id()}, "only the caller listens");
}

void paces_the_monitor() {
    Listener listener(2);
    Pulse pulse(&listener);
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t asked = 0;
    while (pulse.alive()) {
        ++asked;
        pulse.add_done(1);
    }
    const auto taken = std::chrono::steady_clock::now() - begin;
    check(taken > 35ms && asked > 100, "the monitor is asked once in an interval");
    check(listener.heard.size() == 2 && listener.heard[1] == asked, "and hears of all that is done");
    check(pulse.stopped() && !pulse.alive() && listener.heard.size() == 2, "false stops it for good");
}

void nested_from_many_threads() {
    constexpr int callers = 4, outer = 6, inner = 5;
    std::vector<std::atomic<int>> sums(callers);
    std::vector<std::thread> threads;
    for (int caller = 0; caller < callers; ++caller) {
        threads.emplace_back([&sums, caller] {
            for (int round = 0; round < 5; ++round) {
                Listener listener;
                Pulse pulse(&listener);
                parallel_for(outer, 3, pulse, [&](int, std::int64_t) {
                    Pulse within(nullptr);
                    parallel_for(inner, 2, within, [&](int, std::int64_t task) {
                        sums[static_cast<std::size_t>(caller)] += static_cast<int>(task) + 1;
                    });
                });
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    const int expected = 5 * outer * inner * (inner + 1) / 2;
    for (const auto& sum : sums) check(sum == expected, "nested calls do all their tasks");
}

// Whatever of the making of its threads runs out of memory, a call does its tasks or throws, and joins.
void short_of_memory() {
    int done_with_fewer = 0;
    for (int allocations = 0; allocations < 12; ++allocations) {
        std::vector<std::atomic<int>> times(50);
        Pulse pulse(nullptr);
        const std::function<void(int, std::int64_t)> body = [&](int, std::int64_t task) {
            ++times[static_cast<std::size_t>(task)];
        };
        allocations_left = allocations;
        try {
            parallel_for(50, 4, pulse, body);
            if (allocations_left == 0) ++done_with_fewer;
            allocations_left = -1;
            check(std::all_of(times.begin(), times.end(), [](const auto& count) { return count == 1; }),
                  "each task once without memory for every thread");
        } catch (const std::bad_alloc&) {
            allocations_left = -1;
            check(std::all_of(times.begin(), times.end(), [](const auto& count) { return count == 0; }),
                  "no task without memory for the call");
        }
    }
    check(done_with_fewer > 0, "memory ends at a thread");
}

void many_short_calls() {
    // Plain memory, written by the workers and read by the caller: a missing join is a race.
    std::vector<int> written(8);
    long sum = 0;
    for (int call = 0; call < 500; ++call) {
        Pulse pulse(nullptr);
        parallel_for(8, 4, pulse, [&](int, std::int64_t task) { written[static_cast<std::size_t>(task)] = call; });
        for (const int value : written) sum += value;
    }
    check(sum == 8L * 500 * 499 / 2, "the caller sees what the workers wrote");
}

// What the workers of a batch did, which they tell when they end.
struct Book {
    std::thread::id closed_by = std::this_thread::get_id();
    long problems = 0;
    int workers = 0;
    bool on_one_thread = true;
};

class BatchWorker {
   public:
    explicit BatchWorker(Book& book) : book_(book) {}
    BatchWorker(const BatchWorker&) = delete;
    ~BatchWorker() {
        book_.on_one_thread &= book_.closed_by == std::this_thread::get_id();
        book_.problems += problems_;
        ++book_.workers;
    }
    void solve(std::int64_t count) { problems_ += count; }

   private:
    Book& book_;
    long problems_ = 0;
};

// Whatever the work says of how problems are handed out, and however many are solved at a time.
void each_problem_of_a_batch_once() {
    for (const std::int64_t count : {0, 1, 2, 17, 5000}) {
        for (const int threads : {1, 3}) {
            for (const double work : {0.0, 1e3, 1e7}) {
                for (const std::int64_t group : {1, 7}) {
                    std::vector<int> solved(static_cast<std::size_t>(count));
                    Book book;
                    Pulse pulse(nullptr);
                    const Run run = run_batch(
                        count, work, threads, 0, pulse, [&] { return BatchWorker(book); },
                        [&](BatchWorker& worker, std::int64_t p, std::int64_t end) {
                            const std::int64_t next = std::min(p + group, end);
                            worker.solve(next - p);
                            for (; p < next; ++p) ++solved[static_cast<std::size_t>(p)];
                            return next;
                        });
                    check(std::all_of(solved.begin(), solved.end(), [](int times) { return times == 1; }), "once");
                    check(!run.stopped && run.workers == book.workers && run.workers <= threads, "workers");
                    check(book.problems == count && book.on_one_thread, "workers end with the caller");
                }
            }
        }
    }
}

void a_batch_stops() {
    for (const int threads : {1, 2}) {
        Book book;
        Pulse pulse(nullptr);
        const Run run = run_batch(
            100, 1e9, threads, 0, pulse, [&] { return BatchWorker(book); },
            [&](BatchWorker& worker, std::int64_t p, std::int64_t) {
                worker.solve(1);
                return p < 5 ? p + 1 : p;
            });
        check(run.stopped && book.problems < 100, "a worker that gets no further ends the call");
    }
    // Less work than repays a second thread.
    Book book;
    Pulse pulse(nullptr);
    const auto all = [](BatchWorker& worker, std::int64_t p, std::int64_t end) {
        worker.solve(end - p);
        return end;
    };
    check(run_batch(1000, 1e6, 2, 1e6, pulse, [&] { return BatchWorker(book); }, all).workers == 1, "one thread");
    check(useful_threads(3.5e6, 8, 1e6) == 3 && useful_threads(1e9, 8, 1e6) == 8, "as many threads as there is work");
}

}  // namespace

int main() {
    every_task_once();
    counts_workers();
    for (const int worker : {0, 1}) throws(worker);
    all_throw();
    stops();
    monitor_stays_on_its_thread();
    paces_the_monitor();
    nested_from_many_threads();
    short_of_memory();
    many_short_calls();
    each_problem_of_a_batch_once();
    a_batch_stops();
    return report();
}
