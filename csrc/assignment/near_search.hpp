// Shortest augmenting paths along the nearest column of each lane of the rows (lane_minima.hpp). A step takes in a
// vector where a pass takes in a row, and only a row that may hide a nearer column is gone through.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "assignment/kernels.hpp"
#include "assignment/lane_minima.hpp"
#include "assignment/matching.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class NearSearch {
   public:
    NearSearch(const assignment::Problem<T>& problem, Matching<T>& matching, T* v,
               const LaneMinima<T, kNegate>& nearest, Space<T>& space, assignment::Scans& scans)
        : p_(problem),
          matching_(matching),
          nearest_(nearest),
          scans_(scans),
          v_(v),
          before_(space.indices(p_.columns)),
          tight_(space.indices(p_.rows)) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) { return rows + columns; }

    // The first look at a row has found this column of its least cost.
    void note(std::int64_t i, std::int64_t column) { tight_[i] = static_cast<Index<T>>(column); }

    // Finds the path to the nearest free column and takes it. False, and nothing is changed, where it goes by many rows
    // or there is none. The nearest columns of all rows are known, and the tight column of the first.
    bool augment(std::int64_t first) {
        count_ = 0;
        budget_ += kPerSearch;
        now_ = -kInfinity<T>;
        beyond_ = infinity<T>();
        Vec<T> open = look_at(first, 0);
        // At a price of 0 it is still the nearest, and another row has it, which saves a step.
        if (const std::int64_t j = tight_[first]; v_[j] == 0 && at(first, j) < kInfinity<T>)
            open = settle(0, j, at(first, j));
        while (true) {
            Vec<T> least = least_lane<T>(open);
            const IntVec<T> hidden = beyond_ < least;
            if (any(hidden)) least = least_lane<T>(look_again(least));
            if (budget_ < 0 || !(least[0] < kInfinity<T>)) break;
            const int place = nearest(least);
            const std::int64_t j = names_[place];
            before_[j] = rows_[place / kWidth<T>];
            if (matching_.is_free(j)) {
                for (int k = 0; k < count_; ++k) v_[settled_[k]] = prices_[k] + (reached_[k] - least[0]);
                matching_.flip(first, j, [&](std::int64_t column) { return before_[column]; });
                return true;
            }
            if (count_ + 1 == kRows) {
                budget_ -= kBudget;
                break;
            }
            open = settle(place / kWidth<T>, j, least[0]);
        }
        for (int k = 0; k < count_; ++k) v_[settled_[k]] = prices_[k];
        return false;
    }
    bool pays() const { return budget_ >= 0; }

   private:
    // Paths by more rows are left to passes.
    static constexpr int kRows = 16;
    // So many rows may be gone through at first, and for each search. Of uniform costs it is a fourth of a row, of
    // points beyond a gate one or two, and of repeated rows more than passes from the beginning would take.
    static constexpr int kBudget = 8, kPerSearch = 2;
    // So many rows' columns fit a word of bits.
    static constexpr int kTogether = 64 / kWidth<T>;

    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }
    T at(std::int64_t i, std::int64_t j) const { return kNegate ? -row(i)[j] : row(i)[j]; }

    // Takes in the distances of some columns of row k, all that are nearer than `others`.
    void take(int k, IntVec<T> columns, Vec<T> distances, Vec<T> others) {
        columns_[k] = columns;
        std::memcpy(names_ + k * kWidth<T>, &columns, kVectorBytes);
        x_[k] = maximum(distances, splat(now_));
        others_[k] = others;
        beyond_ = minimum(beyond_, others);
    }

    // Takes in a row, and returns the distances of its nearest columns.
    Vec<T> look_at(std::int64_t i, T offset) {
        rows_[count_] = static_cast<Index<T>>(i);
        offsets_[count_] = offset;
        take(count_, nearest_.columns(i), nearest_.reduced(i) - splat(offset), nearest_.others(i) - splat(offset));
        return x_[count_];
    }

    // Goes through the rows that may have nearer columns. Returns the least distance of each lane.
    [[gnu::noinline]] Vec<T> look_again(Vec<T> least) {
        Vec<T> open = infinity<T>();
        beyond_ = infinity<T>();
        for (int k = 0; k <= count_; ++k) {
            const IntVec<T> hidden = others_[k] < least;
            if (any(hidden)) {
                ++scans_.paths;
                --budget_;
                const Vec<T> offset = splat(offsets_[k]);
                Minima<T> minima;
                take_minima<T, kNegate, false>(row(rows_[k]), v_, p_.columns, minima);
                take(k, minima.columns(), minima.nearest() - offset, minima.others() - offset);
            }
            open = minimum(open, x_[k]);
            beyond_ = minimum(beyond_, others_[k]);
        }
        return open;
    }

    // Goes on from the row that has column j, which one of the rows is nearest to. Returns the least distance of each
    // lane.
    Vec<T> settle(int from, std::int64_t j, T distance) {
        before_[j] = rows_[from];
        settled_[count_] = j;
        prices_[count_] = v_[j];
        reached_[count_] = now_ = distance;
        const std::int64_t i = matching_.row_of(j);
        const T offset = at(i, j) - v_[j] - distance;
        v_[j] = -kInfinity<T>;
        Vec<T> open = infinity<T>();
        for (int k = 0; k <= count_; ++k) {
            const IntVec<T> here = columns_[k] == static_cast<Index<T>>(j);
            x_[k] = select(here, infinity<T>(), x_[k]);
            open = minimum(open, x_[k]);
        }
        ++count_;
        return minimum(open, look_at(i, offset));
    }

    // Which of the columns is at the least distance. Among several a free one comes first.
    int nearest(Vec<T> least) const {
        int place = -1;
        for (int from = 0; from <= count_; from += kTogether) {
            std::uint64_t set = 0;
            for (int k = from; k <= std::min(count_, from + kTogether - 1); ++k)
                set |= static_cast<std::uint64_t>(equal_bits(x_[k], least)) << ((k - from) * kWidth<T>);
            for (; set != 0; set &= set - 1) {
                const int other = from * kWidth<T> + std::countr_zero(set);
                const bool is_better = place < 0 || (!is_free(place) && is_free(other));
                place = is_better ? other : place;
            }
        }
        return place;
    }
    bool is_free(int place) const { return matching_.is_free(names_[place]); }

    const assignment::Problem<T>& p_;
    Matching<T>& matching_;
    const LaneMinima<T, kNegate>& nearest_;
    assignment::Scans& scans_;
    // Per column: its price, or -inf while it is settled; and the row by which it is reached. Per row that stayed free
    // at first: its tight column.
    T* v_;
    Index<T>*before_, *tight_;
    // Of each row that is looked at: itself, and what is subtracted from its reduced costs; its nearest columns, in a
    // vector and one by one; how far they are, or infinity once they are settled; and what no other column is nearer
    // than. `beyond_` is the least of that.
    Index<T> rows_[kRows], names_[kRows * kWidth<T>];
    T offsets_[kRows];
    IntVec<T> columns_[kRows];
    Vec<T> x_[kRows], others_[kRows], beyond_;
    // Of each column that is settled, from where the next row is looked at: itself, its price and how far it was.
    std::int64_t settled_[kRows];
    T prices_[kRows], reached_[kRows], now_ = 0;
    int count_ = 0, budget_ = kBudget;
};

}  // namespace coalign::COALIGN_SET
