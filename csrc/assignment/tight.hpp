// As many pairs as possible among tight columns, those of their row's least cost: breadth-first searches over sets of
// columns, which are bits. Where ties decide, this leaves little to the shortest paths, at a word for as many columns
// as it has bits.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class Tight {
   public:
    // A column's mark in `taken` is 0 while it is free, and infinite then.
    Tight(const assignment::Problem<T>& problem, const assignment::Solution<T>& solution, T* taken, Space<T>& space,
          Pacer& pacer, assignment::Scans& scans)
        : p_(problem),
          out_(solution),
          taken_(taken),
          pacer_(pacer),
          scans_(scans),
          words_(words(p_.columns)),
          sets_(space.bits(p_.rows * words_)),
          unseen_(space.bits(words_)),
          free_(space.bits(words_)),
          is_known_(space.indices(p_.rows)),
          queue_(space.indices(p_.rows)),
          before_(space.indices(p_.columns)) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) {
        return (rows + 2) * words(columns) + 2 * rows + columns;
    }

    // Every matched row is matched to a tight column. False if the call is to stop.
    bool match_rows() {
        for (std::int64_t w = 0; w < words_; ++w) free_[w] = 0;
        for (std::int64_t j = 0; j < p_.columns; ++j)
            if (out_.row_of_col[j] < 0) free_[j / kBits] |= Bits{1} << (j % kBits);
        for (std::int64_t i = 0; i < p_.rows; ++i) is_known_[i] = 0;
        // In one round no two paths meet, and what a vain search has seen leads nowhere.
        for (Found round = Found::path; round == Found::path;) {
            round = Found::nothing;
            for (std::int64_t w = 0; w < words_; ++w) unseen_[w] = ~Bits{0};
            for (std::int64_t i = 0; i < p_.rows; ++i) {
                if (out_.col_of_row[i] != -1) continue;
                const Found found = search(i);
                if (found == Found::stop) return false;
                if (found == Found::path) round = Found::path;
            }
        }
        return true;
    }

   private:
    using Bits = std::make_unsigned_t<Index<T>>;
    static constexpr std::int64_t kBits = 8 * sizeof(Bits);
    enum class Found { nothing, path, stop };

    static std::int64_t words(std::int64_t columns) { return (columns + kBits - 1) / kBits; }
    T at(std::int64_t i, std::int64_t j) const {
        const T c = p_.cost[i * p_.stride + j];
        return kNegate ? -c : c;
    }

    Found search(std::int64_t first) {
        std::int64_t count = 0;
        queue_[count++] = static_cast<Index<T>>(first);
        for (std::int64_t q = 0; q < count; ++q) {
            const std::int64_t i = queue_[q];
            if (is_known_[i] == 0) find_set(i);
            if (!pacer_.proceed(words_)) return Found::stop;
            const Bits* const set = sets_ + i * words_;
            for (std::int64_t w = 0; w < words_; ++w)
                if (const Bits free = set[w] & free_[w]; free != 0) {
                    flip(first, i, w * kBits + std::countr_zero(free));
                    return Found::path;
                }
            for (std::int64_t w = 0; w < words_; ++w) {
                Bits next = set[w] & unseen_[w];
                unseen_[w] &= ~next;
                for (; next != 0; next &= next - 1) {
                    const std::int64_t j = w * kBits + std::countr_zero(next);
                    before_[j] = static_cast<Index<T>>(i);
                    queue_[count++] = static_cast<Index<T>>(out_.row_of_col[j]);
                }
            }
        }
        return Found::nothing;
    }

    T least_cost(const T* row) {
        ++scans_.bids;
        Vec<T> least = infinity<T>();
        for_each_vector<T, kNegate>(
            row, p_.columns, [&](std::int64_t, Vec<T> c) __attribute__((always_inline)) { least = minimum(least, c); });
        return least_lane<T>(least)[0];
    }

    void find_set(std::int64_t i) {
        const T* const row = p_.cost + i * p_.stride;
        const std::int64_t own = out_.col_of_row[i];
        ++scans_.bids;
        const T least = own >= 0 ? at(i, own) : least_cost(row);
        Bits* const set = sets_ + i * words_;
        for (std::int64_t w = 0; w < words_; ++w) {
            Bits word = 0;
            const std::int64_t left = p_.columns - w * kBits, end = left < kBits ? left : kBits;
            for (std::int64_t k = 0; k < end; k += kWidth<T>) {
                const IntVec<T> equal = costs_at<T, kNegate>(row, w * kBits + k, p_.columns) == splat(least);
                word |= static_cast<Bits>(bits(equal)) << k;
            }
            set[w] = least < kInfinity<T> ? word : 0;
        }
        is_known_[i] = 1;
    }

    // Every row on the way takes the column that the next one had.
    void flip(std::int64_t first, std::int64_t i, std::int64_t j) {
        free_[j / kBits] &= ~(Bits{1} << (j % kBits));
        taken_[j] = kInfinity<T>;
        while (true) {
            const std::int64_t next = out_.col_of_row[i];
            out_.col_of_row[i] = j;
            out_.row_of_col[j] = i;
            if (i == first) return;
            j = next;
            i = before_[j];
        }
    }

    const assignment::Problem<T>& p_;
    const assignment::Solution<T>& out_;
    T* taken_;
    Pacer& pacer_;
    assignment::Scans& scans_;
    std::int64_t words_;
    Bits *sets_, *unseen_, *free_;
    Index<T>*is_known_, *queue_, *before_;
};

}  // namespace coalign::COALIGN_SET
