// The nearest series to a query so far, and what became of the others. Threads that share a query share it as well.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "warping/search.hpp"

namespace coalign::warping {

// How many series each stage of a search has settled.
using Stages = std::array<std::int64_t, kSearchStages>;

// The greatest of the best is in front. Of equal costs the one with the lower number is better.
template <class T>
class Best {
   public:
    explicit Best(std::int64_t count) : count_(static_cast<std::size_t>(count)) {}

    void offer(T cost, std::int64_t candidate) {
        if (!(cost < std::numeric_limits<T>::infinity()) || static_cast<double>(cost) > limit()) return;
        const std::lock_guard lock(mutex_);
        if (best_.size() == count_) {
            if (std::pair(cost, candidate) > best_.front()) return;
            std::pop_heap(best_.begin(), best_.end());
            best_.pop_back();
        }
        best_.emplace_back(cost, candidate);
        std::push_heap(best_.begin(), best_.end());
        if (best_.size() == count_) limit_.store(static_cast<double>(best_.front().first), std::memory_order_relaxed);
    }

    // What a better one may cost at most. It only falls.
    double limit() const { return limit_.load(std::memory_order_relaxed); }

    // Whether a candidate that costs at least so much is none of the best.
    bool excludes(double least, std::int64_t candidate) const {
        const double most = limit();
        if (least != most || most == std::numeric_limits<double>::infinity()) return least > most;
        const std::lock_guard lock(mutex_);
        const auto worst = static_cast<double>(best_.front().first);
        return least > worst || (least == worst && candidate > best_.front().second);
    }

    void add(const Stages& stages) {
        const std::lock_guard lock(mutex_);
        for (std::size_t s = 0; s < stages.size(); ++s) stages_[s] += stages[s];
    }

    // Writes them in order. Nobody else is at work any more.
    void take(std::int64_t* index, std::int64_t* stages, T* cost) {
        std::sort_heap(best_.begin(), best_.end());
        for (std::size_t k = 0; k < count_; ++k) {
            const bool has = k < best_.size();
            index[k] = has ? best_[k].second : -1;
            cost[k] = has ? best_[k].first + T(0) : std::numeric_limits<T>::infinity();
        }
        std::copy(stages_.begin(), stages_.end(), stages);
    }

   private:
    std::size_t count_;
    mutable std::mutex mutex_;
    std::atomic<double> limit_{std::numeric_limits<double>::infinity()};
    std::vector<std::pair<T, std::int64_t>> best_;
    Stages stages_{};
};

}  // namespace coalign::warping
