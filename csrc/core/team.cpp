#include "core/team.hpp"

#include <system_error>

namespace coalign {
namespace {

// Looks at a value for some 20 us before it sleeps: phases follow each other more quickly than a thread wakes.
template <class T>
T wait_while(const std::atomic<T>& value, T old) {
    constexpr int looks = 2000;
    for (int look = 0; look < looks; ++look) {
        const T now = value.load(std::memory_order_acquire);
        if (now != old) return now;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    value.wait(old, std::memory_order_acquire);
    return value.load(std::memory_order_acquire);
}

}  // namespace

Team::Team(int threads) {
    for (int helper = 1; helper < threads; ++helper) {
        try {
            helpers_.emplace_back([this] { help(); });
        } catch (const std::system_error&) {
            break;
        }
    }
}

Team::~Team() {
    if (helpers_.empty()) return;
    body_ = nullptr;
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
}

void Team::run_shared(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
    body_ = &body;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<int>(helpers_.size()), std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
    take_tasks();
    for (int left = busy_.load(std::memory_order_acquire); left > 0;) left = wait_while(busy_, left);
}

void Team::take_tasks() {
    for (std::int64_t task = next_++; task < tasks_; task = next_++) (*body_)(task);
}

void Team::help() {
    for (std::uint32_t phase = 0;;) {
        phase = wait_while(phase_, phase);
        if (body_ == nullptr) return;
        take_tasks();
        if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
    }
}

}  // namespace coalign
