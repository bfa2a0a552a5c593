// Room for the results of a batch whose problems lie anywhere, and what each of them is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "transport/sinkhorn.hpp"

namespace coalign::transport {

template <class T>
class Room {
   public:
    // Problem after problem, the vectors for its potentials.
    void add(std::vector<T>& f, std::vector<T>& g) {
        f_items_.push_back(f.data());
        g_items_.push_back(g.data());
    }
    // For `solve`, after all are added.
    Results<T>& results() {
        const std::size_t count = f_items_.size();
        numbers_.resize(3 * count);
        iterations_.resize(count);
        status_.resize(count);
        results_.f_items = f_items_.data();
        results_.g_items = g_items_.data();
        results_.cost = numbers_.data();
        results_.value = results_.cost + count;
        results_.error = results_.value + count;
        results_.iterations = iterations_.data();
        results_.status = status_.data();
        return results_;
    }
    Solution<T> solution(std::size_t p) const {
        Solution<T> out{f_items_[p],
                        g_items_[p],
                        results_.cost[p],
                        results_.value[p],
                        results_.error[p],
                        iterations_[p],
                        static_cast<Status>(status_[p])};
        for (const auto& place : {results_.first_nan(), results_.first_infeasible()}) {
            if (place.problem != static_cast<std::int64_t>(p)) continue;
            out.row = place.row;
            out.column = place.column;
        }
        return out;
    }

   private:
    std::vector<T*> f_items_, g_items_;
    std::vector<double> numbers_;
    std::vector<std::int64_t> iterations_;
    std::vector<std::int32_t> status_;
    Results<T> results_;
};

}  // namespace coalign::transport
