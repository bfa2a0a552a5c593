// Shortest augmenting paths where rows are short: one pass over a row takes in its distances and finds the nearest
// column. A queue of blocks (search.hpp) costs more than it saves below 200 columns.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "assignment/kernels.hpp"
#include "assignment/matching.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class ShortSearch {
   public:
    ShortSearch(const assignment::Problem<T>& problem, Matching<T>& matching, T* v, Space<T>& space, Pacer& pacer,
                assignment::Scans& scans)
        : p_(problem),
          matching_(matching),
          pacer_(pacer),
          scans_(scans),
          v_(v),
          w_(space.values(padded<T>(p_.columns))),
          distance_(space.values(padded<T>(p_.columns))),
          reached_(space.values(p_.columns)),
          before_(space.indices(padded<T>(p_.columns))),
          settled_(space.indices(p_.columns)),
          waiting_(space.bits(Matching<T>::words(p_.columns))) {}

    static std::int64_t workspace(std::int64_t columns) {
        return 3 * padded<T>(columns) + 2 * columns + Matching<T>::words(columns);
    }

    // Finds the path to the nearest free column, or to the nearest row that may stay alone.
    assignment::Outcome augment(std::int64_t first) {
        std::int64_t i = first, j = 0, dropped = first, count = 0;
        T offset = 0, now = -kInfinity<T>, alone = p_.has_limit ? p_.limit : kInfinity<T>;
        are_waiting_ = false;
        while (true) {
            ++scans_.paths;
            const T least = count == 0 ? reach_first(first) : reach_all(i, offset, now);
            // Columns that wait are as near as the last one, and nothing is nearer.
            if (!are_waiting_) now = least;
            if (!pacer_.proceed(padded<T>(p_.columns) / kWidth<T>)) return {Status::ok, 0, 0, true};
            // A pair that gains nothing over a row that stays alone is not made.
            if (!(now < alone)) break;
            j = are_waiting_ ? next(now) : nearest(now);
            if (matching_.is_free(j)) break;
            settled_[count] = static_cast<Index<T>>(j);
            reached_[count++] = now;
            set_lane(w_, j, -kInfinity<T>);
            set_lane(distance_, j, kInfinity<T>);
            i = matching_.row_of(j);
            // The row's dual; distances beyond this row are measured from it.
            offset = at(i, j) - v_[j] - now;
            if (p_.has_limit && p_.limit - offset < alone) {
                alone = p_.limit - offset < now ? now : p_.limit - offset;
                dropped = i;
            }
        }
        const bool is_pair = now < alone;
        const T end = is_pair ? now : alone;
        if (!(end < kInfinity<T>)) return {Status::infeasible, first, 0, false};
        for (std::int64_t k = 0; k < count; ++k) v_[settled_[k]] += reached_[k] - end;
        if (!is_pair) {
            j = matching_.column_of(dropped);
            matching_.reject(dropped);
            if (dropped == first) return {};
        }
        matching_.flip(first, j, [&](std::int64_t column) { return before_[column]; });
        return {};
    }

   private:
    T at(std::int64_t i, std::int64_t j) const {
        const T c = p_.cost[i * p_.stride + j];
        return kNegate ? -c : c;
    }

    // These take in the distances by way of a row, and return the least that is open.
    T reach_first(std::int64_t i) {
        const IntVec<T> from = IntVec<T>{} + static_cast<Index<T>>(i);
        Vec<T> least = infinity<T>();
        for_each_vector<T, kNegate>(p_.cost + i * p_.stride, p_.columns,
                                    [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
                                        const Vec<T> v = load(v_ + k), x = c - v;
                                        store(w_ + k, v);
                                        store(distance_ + k, x);
                                        std::memcpy(before_ + k, &from, sizeof from);
                                        least = minimum(least, x);
                                    });
        return least_lane<T>(least)[0];
    }
    T reach_all(std::int64_t i, T offset, T now) {
        const IntVec<T> from = IntVec<T>{} + static_cast<Index<T>>(i);
        Vec<T> least = infinity<T>();
        for_each_vector<T, kNegate>(p_.cost + i * p_.stride, p_.columns,
                                    [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
                                        const Vec<T> old = load(distance_ + k);
                                        const Vec<T> x = maximum(c - load(w_ + k) - splat(offset), splat(now));
                                        const IntVec<T> rows = load_int<T>(before_ + k), before = x < old ? from : rows;
                                        const Vec<T> nearer = minimum(old, x);
                                        std::memcpy(before_ + k, &before, sizeof before);
                                        store(distance_ + k, nearer);
                                        least = minimum(least, nearer);
                                    });
        return least_lane<T>(least)[0];
    }

    // The columns of a word that are at a distance.
    auto at_distance(std::int64_t w, T distance) const {
        return matching_.equal(
            w, distance, [&](std::int64_t k, auto) __attribute__((always_inline)) { return load(distance_ + k); });
    }

    // The first free column at a distance, or else the first; then the others wait.
    std::int64_t nearest(T distance) {
        std::int64_t first = -1;
        typename Matching<T>::Bits others = 0;
        for (std::int64_t w = 0; w < Matching<T>::words(p_.columns); ++w) {
            auto set = at_distance(w, distance);
            if (const auto free = set & matching_.free_in(w); free != 0) return w * kBits + std::countr_zero(free);
            if (first < 0 && set != 0) {
                first = w * kBits + std::countr_zero(set);
                set &= set - 1;
            }
            waiting_[w] = set;
            others |= set;
        }
        are_waiting_ = others != 0;
        word_ = 0;
        return first;
    }

    // The first free column at the distance of those that wait, or else the first of these. Its row is known before the
    // last row has been gone through, so that the passes do not wait for each other.
    std::int64_t next(T distance) {
        const std::int64_t words = Matching<T>::words(p_.columns);
        for (std::int64_t w = 0; w < words; ++w)
            if (const auto free = at_distance(w, distance) & matching_.free_in(w); free != 0)
                return w * kBits + std::countr_zero(free);
        while (waiting_[word_] == 0) ++word_;
        const std::int64_t j = word_ * kBits + std::countr_zero(waiting_[word_]);
        waiting_[word_] &= waiting_[word_] - 1;
        std::int64_t last = word_;
        while (last < words && waiting_[last] == 0) ++last;
        are_waiting_ = last < words;
        return j;
    }
    static constexpr std::int64_t kBits = Matching<T>::kBits;

    const assignment::Problem<T>& p_;
    Matching<T>& matching_;
    Pacer& pacer_;
    assignment::Scans& scans_;
    // Per column: its price; its price, or -inf once it is settled; how far it is from the first row, or
    // infinity once it is settled; and the row by which it is reached. Then one entry for each settled column.
    T *v_, *w_, *distance_, *reached_;
    Index<T>*before_, *settled_;
    // Columns that are as near as the last one, before this word's none; and whether there are any.
    typename Matching<T>::Bits* waiting_;
    std::int64_t word_ = 0;
    bool are_waiting_ = false;
};

}  // namespace coalign::COALIGN_SET
