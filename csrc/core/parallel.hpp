// Workers over a shared counter, made for one call and joined before it returns: nothing outlives the call, so
// nothing clashes with another library's pool and nothing hangs after fork().
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

#include "core/index_tree.hpp"

namespace coalign {

// What unwinds a thread that pthread_exit or a cancellation ends. It cannot be swallowed: a `catch (...)` that does
// not throw it again aborts the process. Elsewhere such a thread ends without unwinding.
#if defined(__GLIBCXX__)
using ForcedUnwind = abi::__forced_unwind;
#else
struct ForcedUnwind {};
#endif

// Hears from the calling thread every few tens of milliseconds; returning false stops the call.
class Monitor {
   public:
    virtual ~Monitor() = default;
    virtual bool keep_going(std::int64_t done) = 0;
};

// The state of one call that all its workers share.
class Pulse {
   public:
    // Without a monitor nobody asks for the time, which costs 30 ns.
    explicit Pulse(Monitor* monitor) : monitor_(monitor), caller_(std::this_thread::get_id()) {
        if (monitor != nullptr) last_ = std::chrono::steady_clock::now();
    }

    // Called often enough that a call stops within 100 ms. Only the calling thread talks to the monitor.
    bool alive();
    void add_done(std::int64_t count) { done_.fetch_add(count, std::memory_order_relaxed); }
    void stop() { stopped_.store(true, std::memory_order_relaxed); }
    bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

   private:
    static constexpr std::chrono::milliseconds kInterval{20};
    Monitor* monitor_;
    std::thread::id caller_;
    std::atomic<bool> stopped_{false};
    std::atomic<std::int64_t> done_{0};
    std::chrono::steady_clock::time_point last_;
};

// Lets a worker look at the pulse once in a while instead of at every block of rows.
class Pacer {
   public:
    explicit Pacer(Pulse& pulse) : pulse_(pulse) {}

    // work: the vector steps just done. False when the call is to stop. Inlined, so that kernels leave no copy of it.
    [[gnu::always_inline]] bool proceed(std::int64_t work) {
        due_ -= work;
        if (due_ > 0) return true;
        due_ = kSteps;
        return pulse_.alive();
    }

   private:
    static constexpr std::int64_t kSteps = 1 << 18;  // about 1 ms of vector steps
    Pulse& pulse_;
    std::int64_t due_ = kSteps;
};

// Runs body(worker, task) for every task in [0, tasks), the calling thread being worker 0, until the pulse stops.
// Returns how many workers took at least one task. The first exception of a body stops all and is thrown again.
int parallel_for(std::int64_t tasks, int threads, Pulse& pulse, const std::function<void(int, std::int64_t)>& body);

// Cuts one problem of `count` elements, of any number from 0 on, into chunks of a fixed size, runs
// work(worker, begin, end) for each, and combines what they return in the order of the chunks: the result does not know
// how many threads there were. Of a call whose pulse stopped it means nothing.
template <class Partial, class Work, class Combine>
Partial parallel_chunks(std::int64_t count, std::int64_t chunk, int threads, Pulse& pulse, Work&& work,
                        Combine&& combine) {
    const std::int64_t chunks = count > 0 ? (count - 1) / chunk + 1 : 1;
    std::vector<Partial> partials(static_cast<std::size_t>(chunks));
    parallel_for(chunks, threads, pulse, [&](int worker, std::int64_t at) {
        partials[static_cast<std::size_t>(at)] = work(worker, at * chunk, std::min(at * chunk + chunk, count));
    });
    IndexTree<Partial> tree;
    for (const Partial& partial : partials) tree.add(partial, combine);
    return tree.total(combine);
}

}  // namespace coalign
