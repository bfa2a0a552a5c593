// Shortest augmenting paths where rows are short: one pass over a row takes in its distances and finds the nearest
// column. A queue of blocks (search.hpp) costs more than it saves below 200 columns.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class ShortSearch {
   public:
    // A column's mark in `taken` is 0 while it is free, and infinite then.
    ShortSearch(const assignment::Problem<T>& problem, const assignment::Solution<T>& solution, T* v, T* taken,
                Space<T>& space, Pacer& pacer, assignment::Scans& scans)
        : p_(problem),
          out_(solution),
          pacer_(pacer),
          scans_(scans),
          v_(v),
          taken_(taken),
          w_(space.values(padded<T>(p_.columns))),
          distance_(space.values(padded<T>(p_.columns))),
          reached_(space.values(p_.columns)),
          before_(space.indices(padded<T>(p_.columns))),
          settled_(space.indices(p_.columns)) {}

    static std::int64_t workspace(std::int64_t columns) { return 3 * padded<T>(columns) + 2 * columns; }

    // Finds the path to the nearest free column, or to the nearest row that may stay alone.
    assignment::Outcome augment(std::int64_t first) {
        for (std::int64_t k = 0; k < p_.columns; k += kWidth<T>) {
            store(w_ + k, load(v_ + k));
            store(distance_ + k, infinity<T>());
        }
        std::int64_t i = first, dropped = first, count = 0;
        T offset = 0, now = -kInfinity<T>, alone = p_.has_limit ? p_.limit : kInfinity<T>;
        Ends ends;
        while (true) {
            ++scans_.paths;
            ends = reach_all(i, offset, now);
            if (!pacer_.proceed(padded<T>(p_.columns) / kWidth<T>)) return {Status::ok, 0, 0, true};
            if (ends.free <= ends.nearest || alone <= ends.nearest) break;
            now = ends.nearest;
            const std::int64_t j = ends.column;
            settled_[count] = static_cast<Index<T>>(j);
            reached_[count++] = now;
            w_[j] = -kInfinity<T>;
            distance_[j] = kInfinity<T>;
            i = out_.row_of_col[j];
            // The row's dual; distances beyond this row are measured from it.
            offset = at(i, j) - v_[j] - now;
            if (p_.has_limit && p_.limit - offset < alone) {
                alone = p_.limit - offset < now ? now : p_.limit - offset;
                dropped = i;
            }
        }
        // A pair that gains nothing over a row that stays alone is not made.
        const bool is_pair = ends.free < alone;
        const T end = is_pair ? ends.free : alone;
        if (!(end < kInfinity<T>)) return {Status::infeasible, first, 0, false};
        for (std::int64_t k = 0; k < count; ++k) v_[settled_[k]] += reached_[k] - end;
        std::int64_t j;
        if (is_pair) {
            j = free_column(ends.free);
            taken_[j] = kInfinity<T>;
        } else {
            j = out_.col_of_row[dropped];
            out_.col_of_row[dropped] = kRejected;
            if (dropped == first) return {};
        }
        // Every row along the path takes the column that the next row had.
        while (true) {
            const std::int64_t row = before_[j], next = out_.col_of_row[row];
            out_.col_of_row[row] = j;
            out_.row_of_col[j] = row;
            if (row == first) return {};
            j = next;
        }
    }

    static constexpr std::int64_t kRejected = -2;

   private:
    // The nearest column, its distance, and that of the nearest free column.
    struct Ends {
        T nearest, free;
        std::int64_t column;
    };

    T at(std::int64_t i, std::int64_t j) const {
        const T c = p_.cost[i * p_.stride + j];
        return kNegate ? -c : c;
    }

    Ends reach_all(std::int64_t i, T offset, T now) {
        const IntVec<T> from = IntVec<T>{} + static_cast<Index<T>>(i);
        Vec<T> nearest = infinity<T>(), free = infinity<T>();
        IntVec<T> at{}, column = first_indices<T>();
        for_each_vector<T, kNegate>(p_.cost + i * p_.stride, p_.columns,
                                    [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
                                        const Vec<T> old = load(distance_ + k);
                                        const Vec<T> x = maximum(c - load(w_ + k) - splat(offset), splat(now));
                                        const IntVec<T> rows = load_int<T>(before_ + k), before = x < old ? from : rows;
                                        const Vec<T> least = minimum(old, x);
                                        std::memcpy(before_ + k, &before, sizeof before);
                                        store(distance_ + k, least);
                                        at = least < nearest ? column : at;
                                        nearest = minimum(nearest, least);
                                        free = minimum(free, least + load(taken_ + k));
                                        column += static_cast<Index<T>>(kWidth<T>);
                                    });
        const Vec<T> best = least_lane<T>(nearest), best_free = least_lane<T>(free);
        const IntVec<T> lanes = nearest == best;
        return {best[0], best_free[0], first_column<T>(bits(lanes), at)};
    }

    std::int64_t free_column(T distance) const {
        for (std::int64_t k = 0;; k += kWidth<T>) {
            const IntVec<T> equal = load(distance_ + k) + load(taken_ + k) == splat(distance);
            if (any(equal)) return k + std::countr_zero(bits(equal));
        }
    }

    const assignment::Problem<T>& p_;
    const assignment::Solution<T>& out_;
    Pacer& pacer_;
    assignment::Scans& scans_;
    // Per column: its price; its mark; its price, or -inf once it is settled; how far it is from the first row, or
    // infinity once it is settled; and the row by which it is reached. Then one entry for each settled column.
    T *v_, *taken_, *w_, *distance_, *reached_;
    Index<T>*before_, *settled_;
};

}  // namespace coalign::COALIGN_SET
