// Scratch memory of the threads of a team: a phase's task takes one, and gives it back.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

namespace coalign::transport {

template <class Item>
class Lockers {
   public:
    template <class Make>
    Lockers(int count, Make&& make) : taken_(static_cast<std::size_t>(count)) {
        for (int i = 0; i < count; ++i) items_.push_back(make());
    }
    // Calls what(item) with one that no other thread has.
    template <class What>
    void with(What&& what) {
        std::size_t i = 0;
        while (taken_[i].test_and_set(std::memory_order_acquire)) i = (i + 1) % items_.size();
        what(*items_[i]);
        taken_[i].clear(std::memory_order_release);
    }

   private:
    std::vector<std::unique_ptr<Item>> items_;
    std::vector<std::atomic_flag> taken_;
};

}  // namespace coalign::transport
