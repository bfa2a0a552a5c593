// A largest matching of sparse rows and columns, whatever the pairs cost, and the parts that every such matching
// shares.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace coalign::assignment {

// Hopcroft and Karp's method: each phase flips shortest alternating paths until none is left. The last phase finds the
// rows that alternating paths from free rows reach (Dulmage and Mendelsohn): in every largest matching, each column in
// which such a row has an entry has one of these rows as its partner. 200,000 rows of 3 entries take 40 phases.
class Cover {
    static constexpr std::int32_t kFree = -1, kFar = -1;

    template <class Vector>
    static auto& at(Vector& values, std::int32_t k) {
        return values[static_cast<std::size_t>(k)];
    }

   public:
    // False when the call is to stop.
    template <class Rows>
    bool find(const Rows& rows, Pacer& pacer) {
        const auto count = static_cast<std::int32_t>(rows.rows());
        column_of_.assign(static_cast<std::size_t>(count), kFree);
        row_of_.assign(static_cast<std::size_t>(rows.columns()), kFree);
        next_.resize(column_of_.size());
        for (;;) {
            bool ends = false;
            if (!measure(rows, pacer, ends)) return false;
            if (!ends) return true;
            for (std::int32_t i = 0; i < count; ++i) at(next_, i) = rows.begin(i);
            for (std::int32_t i = 0; i < count; ++i)
                if (at(column_of_, i) == kFree && !search(rows, i, pacer)) return false;
        }
    }

    // Whether a largest matching may leave the row free.
    bool is_scarce_row(std::int32_t i) const { return at(level_, i) != kFar; }
    // Whether rows that may be left free compete for the column.
    bool is_scarce_column(std::int32_t j) const { return at(row_of_, j) != kFree && is_scarce_row(at(row_of_, j)); }

   private:
    // Counts the pairs on the way from a free row to each row; `ends` tells whether any way ends at a free column. Rows
    // beyond the nearest free column are left out.
    template <class Rows>
    bool measure(const Rows& rows, Pacer& pacer, bool& ends) {
        level_.assign(column_of_.size(), kFar);
        queue_.clear();
        for (std::size_t i = 0; i < column_of_.size(); ++i) {
            if (column_of_[i] != kFree) continue;
            level_[i] = 0;
            queue_.push_back(static_cast<std::int32_t>(i));
        }
        for (std::size_t k = 0; k < queue_.size(); ++k) {
            const std::int32_t i = queue_[k];
            for (std::int64_t e = rows.begin(i); e < rows.end(i); ++e) {
                const std::int32_t owner = at(row_of_, rows[e].column);
                if (owner == kFree) {
                    ends = true;
                    return true;
                }
                if (at(level_, owner) == kFar) {
                    at(level_, owner) = at(level_, i) + 1;
                    queue_.push_back(owner);
                }
            }
            if (!pacer.proceed(1)) return false;
        }
        return true;
    }

    // Depth-first, one level at each step; each entry is tried once in a phase.
    template <class Rows>
    bool search(const Rows& rows, std::int32_t first, Pacer& pacer) {
        path_.assign(1, first);
        while (!path_.empty()) {
            const std::int32_t i = path_.back();
            std::int64_t& e = at(next_, i);
            if (!pacer.proceed(1)) return false;
            if (e == rows.end(i)) {
                path_.pop_back();
                continue;
            }
            const std::int32_t j = rows[e++].column, owner = at(row_of_, j);
            if (owner == kFree) {
                turn(j);
                return true;
            }
            if (at(level_, owner) == at(level_, i) + 1) path_.push_back(owner);
        }
        return true;
    }

    // Every row of the path takes the column of the row after it, and the last row takes a free one.
    void turn(std::int32_t j) {
        for (std::size_t k = path_.size(); k-- > 0;) {
            const std::int32_t i = path_[k], former = at(column_of_, i);
            at(column_of_, i) = j;
            at(row_of_, j) = i;
            j = former;
        }
    }

    std::vector<std::int32_t> row_of_, column_of_, level_, queue_, path_;
    std::vector<std::int64_t> next_;
};

}  // namespace coalign::assignment
