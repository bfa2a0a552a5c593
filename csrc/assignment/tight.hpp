// As many pairs as possible among tight columns, those of their row's least cost: breadth-first searches over sets of
// columns, which are bits. Where ties decide, this leaves little to the shortest paths, at a word for as many columns
// as it has bits.
#pragma once

#include <bit>
#include <cstdint>

#include "assignment/kernels.hpp"
#include "assignment/matching.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class Tight {
   public:
    Tight(const assignment::Problem<T>& problem, Matching<T>& matching, Space<T>& space, Pacer& pacer)
        : p_(problem),
          matching_(matching),
          pacer_(pacer),
          words_(Matching<T>::words(p_.columns)),
          sets_(space.bits(p_.rows * words_)),
          unseen_(space.bits(words_)),
          queue_(space.indices(p_.rows)),
          before_(space.indices(p_.columns)) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) {
        return (rows + 1) * Matching<T>::words(columns) + rows + columns;
    }

    // How many columns have the least cost of a row, and the first free one of them, or -1.
    struct Columns {
        int count;
        std::int64_t first_free;
    };

    // Finds the set of a row's tight columns; one of an infinite cost is none.
    [[gnu::always_inline]] Columns find(std::int64_t i, T least) { return find_in(i, least, 0, words_); }

    // The same of a row whose tight columns all lie in the span from a column on.
    [[gnu::always_inline]] Columns find_in_span(std::int64_t i, T least, std::int64_t first) {
        Bits* const set = sets_ + i * words_;
        for (std::int64_t w = 0; w < words_; ++w) set[w] = 0;
        const std::int64_t begin = first / kBits, end = begin + kSpan / kBits;
        return find_in(i, least, begin, end < words_ ? end : words_);
    }

    // The same of a row whose tight columns are known, at least one, in order.
    template <class J>
    Columns note(std::int64_t i, const J* columns, int count) {
        Bits* const set = sets_ + i * words_;
        for (std::int64_t w = 0; w < words_; ++w) set[w] = 0;
        std::int64_t first_free = -1;
        for (int k = count; k-- > 0;) {
            const std::int64_t j = columns[k];
            set[j / kBits] |= Bits{1} << (j % kBits);
            if (matching_.is_free(j)) first_free = j;
        }
        return {count, first_free};
    }

    // The sets of all rows are known, and every matched row is matched to a tight column. False if the call is to stop.
    bool match_rows() {
        // In one round no two paths meet, and what a vain search has seen leads nowhere.
        for (Found round = Found::path; round == Found::path;) {
            round = Found::nothing;
            for (std::int64_t w = 0; w < words_; ++w) unseen_[w] = ~Bits{0};
            for (std::int64_t i = 0; i < p_.rows; ++i) {
                if (matching_.column_of(i) != Matching<T>::kFree) continue;
                const Found found = search(i);
                if (found == Found::stop) return false;
                if (found == Found::path) round = Found::path;
            }
        }
        return true;
    }

   private:
    using Bits = typename Matching<T>::Bits;
    static constexpr std::int64_t kBits = Matching<T>::kBits;
    enum class Found { nothing, path, stop };

    [[gnu::always_inline]] Columns find_in(std::int64_t i, T least, std::int64_t begin, std::int64_t end) {
        const T* const row = p_.cost + i * p_.stride;
        Bits* const set = sets_ + i * words_;
        Columns found{0, -1};
        for (std::int64_t w = begin; w < end; ++w) {
            Bits word = matching_.equal(w, least, [&](std::int64_t k, auto whole) __attribute__((always_inline)) {
                return costs_at<T, kNegate>(row, k, p_.columns, whole);
            });
            if (!(least < kInfinity<T>)) word = 0;
            set[w] = word;
            found.count += std::popcount(word);
            const Bits free = word & matching_.free_in(w);
            // There is no branch, as none could be predicted.
            const bool is_first = (found.first_free < 0) & (free != 0);
            const std::int64_t first = w * kBits + std::countr_zero(free);
            found.first_free = is_first ? first : found.first_free;
        }
        return found;
    }

    Found search(std::int64_t first) {
        std::int64_t count = 0;
        queue_[count++] = static_cast<Index<T>>(first);
        for (std::int64_t q = 0; q < count; ++q) {
            const std::int64_t i = queue_[q];
            if (!pacer_.proceed(words_)) return Found::stop;
            const Bits* const set = sets_ + i * words_;
            for (std::int64_t w = 0; w < words_; ++w)
                if (const Bits free = set[w] & matching_.free_in(w); free != 0) {
                    const std::int64_t sink = w * kBits + std::countr_zero(free);
                    matching_.flip(first, sink, [&](std::int64_t j) { return j == sink ? i : before_[j]; });
                    return Found::path;
                }
            for (std::int64_t w = 0; w < words_; ++w) {
                Bits next = set[w] & unseen_[w];
                unseen_[w] &= ~next;
                for (; next != 0; next &= next - 1) {
                    const std::int64_t j = w * kBits + std::countr_zero(next);
                    before_[j] = static_cast<Index<T>>(i);
                    queue_[count++] = static_cast<Index<T>>(matching_.row_of(j));
                }
            }
        }
        return Found::nothing;
    }

    const assignment::Problem<T>& p_;
    Matching<T>& matching_;
    Pacer& pacer_;
    std::int64_t words_;
    Bits *sets_, *unseen_;
    Index<T>*queue_, *before_;
};

}  // namespace coalign::COALIGN_SET
