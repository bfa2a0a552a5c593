// The pairs of a problem that is being solved, and the free columns as bits: a word tells of as many columns as it has
// bits, and a vector's worth of them masks a vector.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T>
class Matching {
   public:
    using Bits = std::make_unsigned_t<Index<T>>;
    static constexpr std::int64_t kBits = 8 * sizeof(Bits);
    // In col_of_row: a row without a column, and one that stays alone at the limit.
    static constexpr std::int64_t kFree = -1, kRejected = -2;

    Matching(const assignment::Problem<T>& problem, const assignment::Solution<T>& solution, Space<T>& space)
        : rows_(problem.rows),
          columns_(problem.columns),
          col_of_row_(solution.col_of_row),
          row_of_col_(solution.row_of_col),
          free_(space.bits(words(columns_))) {}

    static std::int64_t words(std::int64_t columns) { return (columns + kBits - 1) / kBits; }
    static std::int64_t workspace(std::int64_t columns) { return words(columns); }

    void clear() {
        for (std::int64_t i = 0; i < rows_; ++i) col_of_row_[i] = kFree;
        clear_columns();
    }
    void clear_columns() {
        for (std::int64_t j = 0; j < columns_; ++j) row_of_col_[j] = kFree;
        for (std::int64_t w = 0; w < words(columns_); ++w) free_[w] = all_in(w);
    }

    std::int64_t column_of(std::int64_t i) const { return col_of_row_[i]; }
    std::int64_t row_of(std::int64_t j) const { return row_of_col_[j]; }
    bool is_free(std::int64_t j) const { return (free_[j / kBits] >> (j % kBits) & 1) != 0; }
    // All columns of a word, and the free ones among them.
    Bits all_in(std::int64_t word) const {
        const std::int64_t left = columns_ - word * kBits;
        return left < kBits ? (Bits{1} << left) - 1 : ~Bits{0};
    }
    Bits free_in(std::int64_t word) const { return free_[word]; }
    // The free ones among the columns of the vector from k on; bits beyond a vector's are of later columns.
    unsigned free_from(std::int64_t k) const { return static_cast<unsigned>(free_[k / kBits] >> (k % kBits)); }

    void match(std::int64_t i, std::int64_t j) {
        col_of_row_[i] = j;
        row_of_col_[j] = i;
        free_[j / kBits] &= ~(Bits{1} << (j % kBits));
    }
    // The row's column keeps it until another row takes it.
    void release(std::int64_t i) { col_of_row_[i] = kFree; }
    void reject(std::int64_t i) { col_of_row_[i] = kRejected; }

    // Every row along a path takes the column that the next row had; before(j) is the row by which column j is reached.
    template <class Before>
    [[gnu::always_inline]] void flip(std::int64_t first, std::int64_t j, Before&& before) {
        while (true) {
            const std::int64_t i = before(j), next = col_of_row_[i];
            match(i, j);
            if (i == first) return;
            j = next;
        }
    }

    // The word of a set: the columns of whose vectors values(first column, whether the vector is whole) is `value`.
    template <class Values>
    [[gnu::always_inline]] Bits equal(std::int64_t word, T value, Values&& values) const {
        const std::int64_t start = word * kBits, left = columns_ - start;
        const Vec<T> wanted = splat(value);
        Bits set = 0;
        if (left >= kBits) {
#pragma GCC unroll 16
            for (std::int64_t k = 0; k < kBits; k += kWidth<T>)
                set |= static_cast<Bits>(equal_bits(values(start + k, std::true_type{}), wanted)) << k;
        } else {
            for (std::int64_t k = 0; k < left; k += kWidth<T>)
                set |= static_cast<Bits>(equal_bits(values(start + k, std::false_type{}), wanted)) << k;
        }
        return set;
    }

   private:
    std::int64_t rows_, columns_;
    std::int64_t *col_of_row_, *row_of_col_;
    Bits* free_;
};

}  // namespace coalign::COALIGN_SET
