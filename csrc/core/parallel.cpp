#include "core/parallel.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <vector>

namespace coalign {

bool Pulse::alive() {
    if (stopped()) return false;
    if (monitor_ == nullptr || std::this_thread::get_id() != caller_) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kInterval) return true;
    last_ = now;
    if (!monitor_->keep_going(done_.load(std::memory_order_relaxed))) stop();
    return !stopped();
}

int parallel_for(std::int64_t tasks, int threads, Pulse& pulse, const std::function<void(int, std::int64_t)>& body) {
    if (threads <= 1 || tasks <= 1) {
        std::int64_t task = 0;
        while (task < tasks && pulse.alive()) body(0, task++);
        return task > 0 ? 1 : 0;
    }
    std::atomic<std::int64_t> next{0};
    std::atomic<int> busy_workers{0};
    std::mutex mutex;
    std::condition_variable one_left;
    std::exception_ptr failure;

    const auto work = [&](int worker) {
        bool took_one = false;
        try {
            for (std::int64_t task = next++; task < tasks && pulse.alive(); task = next++) {
                if (!took_one) ++busy_workers;
                took_one = true;
                body(worker, task);
            }
        } catch (const ForcedUnwind&) {
            throw;
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (!failure) failure = std::current_exception();
            pulse.stop();
        }
    };

    const int helpers = static_cast<int>(std::clamp<std::int64_t>(tasks - 1, 0, std::max(threads, 1) - 1));
    std::vector<std::thread> pool;
    pool.reserve(static_cast<std::size_t>(helpers));
    int running = 0;
    for (int worker = 1; worker <= helpers; ++worker) {
        try {
            {
                const std::lock_guard lock(mutex);
                ++running;
            }
            pool.emplace_back([&, worker] {
                work(worker);
                const std::lock_guard lock(mutex);
                --running;
                one_left.notify_one();
            });
        } catch (const std::exception&) {
            // The process may have no thread or memory left to give; the ones that started, and this one, do the work.
            const std::lock_guard lock(mutex);
            --running;
            break;
        }
    }
    work(0);
    {
        std::unique_lock lock(mutex);
        while (running > 0) {
            one_left.wait_for(lock, std::chrono::milliseconds(20));
            lock.unlock();
            pulse.alive();
            lock.lock();
        }
    }
    for (std::thread& thread : pool) thread.join();
    if (failure) std::rethrow_exception(failure);
    return busy_workers.load();
}

}  // namespace coalign
