// Flat rows hold one cost in all columns but a few. A list of these few says all of the row.
//
// While no price is above 0, and those of free columns are 0, the best of the columns that are not listed is a free
// one, at the common cost. So a bid reads the list and finds a free column.
#pragma once

#include <bit>
#include <cstdint>

#include "assignment/kernels.hpp"
#include "assignment/matching.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class FlatRows {
   public:
    FlatRows(const assignment::Problem<T>& problem, const Matching<T>& matching, const T* v, Space<T>& space)
        : p_(problem),
          matching_(matching),
          v_(v),
          common_(space.values(p_.rows)),
          costs_(space.values(p_.rows * kRoom)),
          columns_(space.indices(p_.rows * kRoom)),
          counts_(space.indices(p_.rows)) {}

    static std::int64_t workspace(std::int64_t rows) { return 2 * rows * (kRoom + 1); }

    // Boxes that overlap two others on the average have more than 8 in one row of 100.
    static constexpr int kRoom = 8;

    // Some columns of a list, in order.
    struct Columns {
        Index<T> of[kRoom];
        int count = 0;
    };

    // Whether a list may pay, by a look at one cost. Until it is made, nothing is known of the row.
    [[gnu::always_inline]] bool may_list(std::int64_t i, T least) {
        common_[i] = kNegate ? -row(i)[p_.columns / 2] : row(i)[p_.columns / 2];
        counts_[i] = kUnknown;
        return least < common_[i] && common_[i] < kInfinity<T> && vain_ < kVain;
    }

    // Lists the columns of a row that do not have its common cost, and gives those of its least; false if they are
    // many.
    [[gnu::noinline]] bool list(std::int64_t i, T least, Columns& found) {
        T* const costs = costs_ + i * kRoom;
        Index<T>* const columns = columns_ + i * kRoom;
        const T common = common_[i];
        int count = 0;
        ++vain_;
        for (std::int64_t w = 0; w < Matching<T>::words(p_.columns); ++w) {
            auto others = ~matching_.equal(w, common, [&](std::int64_t k, auto whole) __attribute__((always_inline)) {
                return costs_at<T, kNegate>(row(i), k, p_.columns, whole);
            }) & matching_.all_in(w);
            for (; others != 0; others &= others - 1) {
                const std::int64_t j = w * Matching<T>::kBits + std::countr_zero(others);
                const T c = kNegate ? -row(i)[j] : row(i)[j];
                if (count == kRoom) return false;
                costs[count] = c;
                columns[count++] = static_cast<Index<T>>(j);
                if (c == least) found.of[found.count++] = static_cast<Index<T>>(j);
            }
        }
        counts_[i] = static_cast<Index<T>>(count);
        // Where all of them are tight, ties decide, and few rows bid.
        if (found.count < count || count == 1) vain_ = 0;
        return true;
    }

    // All columns of a row have one cost.
    void list_none(std::int64_t i, T common) {
        common_[i] = common;
        counts_[i] = 0;
    }

    // Call these before the first list, and before a price rises or a column becomes free.
    void begin() { word_ = vain_ = 0, holds_ = true; }
    void give_up() { holds_ = false; }

    bool is_known(std::int64_t i) const { return holds_ && counts_[i] != kUnknown; }

    // The two least reduced costs of a row, unless no free column beside the list is left to tell them. A free column
    // is the best one where none of the list is better.
    bool two_minima(std::int64_t i, TwoMinima<T>& found) {
        const T* const costs = costs_ + i * kRoom;
        const Index<T>* const columns = columns_ + i * kRoom;
        T least = kInfinity<T>, second = kInfinity<T>;
        std::int64_t column = 0;
        for (std::int64_t k = 0; k < counts_[i]; ++k) {
            const T x = costs[k] - v_[columns[k]];
            const bool less = x < least;
            const T rest = less ? least : x;
            second = rest < second ? rest : second;
            column = less ? columns[k] : column;
            least = less ? x : least;
        }
        const std::int64_t free = free_beside(i);
        if (free < 0) return false;
        const T common = common_[i];
        found = least < common ? TwoMinima<T>{least, second < common ? second : common, column}
                               : TwoMinima<T>{common, common, free};
        return true;
    }

    // The first free column of a list at a reduced cost below the common one, or -1.
    std::int64_t free_at(std::int64_t i, T value) const {
        for (std::int64_t k = i * kRoom; k < i * kRoom + counts_[i]; ++k) {
            const std::int64_t j = columns_[k];
            if (costs_[k] - v_[j] == value && matching_.is_free(j)) return j;
        }
        return -1;
    }
    T common(std::int64_t i) const { return common_[i]; }

    // What no reduced cost of a row is below, where no price is above 0: a column that is not listed costs the common
    // cost, and a price below 0 only adds to it.
    T floor(std::int64_t i) const {
        T least = common_[i];
        for (std::int64_t k = i * kRoom; k < i * kRoom + counts_[i]; ++k) {
            const T x = costs_[k] - v_[columns_[k]];
            least = x < least ? x : least;
        }
        return least;
    }

   private:
    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }

    static constexpr Index<T> kUnknown = -1;
    // After so many rows in succession that cannot be listed, of coin flips for example, no other is tried.
    static constexpr std::int64_t kVain = 4;

    // The first free column that is not listed, or -1.
    std::int64_t free_beside(std::int64_t i) {
        const std::int64_t words = Matching<T>::words(p_.columns);
        while (word_ < words && matching_.free_in(word_) == 0) ++word_;
        for (std::int64_t w = word_; w < words; ++w)
            for (auto free = matching_.free_in(w); free != 0; free &= free - 1) {
                const std::int64_t j = w * Matching<T>::kBits + std::countr_zero(free);
                bool listed = false;
                for (std::int64_t k = i * kRoom; k < i * kRoom + counts_[i]; ++k) listed |= columns_[k] == j;
                if (!listed) return j;
            }
        return -1;
    }

    const assignment::Problem<T>& p_;
    const Matching<T>& matching_;
    const T* v_;
    // Of each row: its common cost; kRoom costs and columns that are listed, in the order of the columns; how many.
    T *common_, *costs_;
    Index<T>*columns_, *counts_;
    // No column is free before this word's; and how many rows could not be listed since the last that could.
    std::int64_t word_ = 0, vain_ = 0;
    bool holds_ = false;
};

}  // namespace coalign::COALIGN_SET
