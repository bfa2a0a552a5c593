// The columns within a search's reach, with their distances and the rows they are reached from: a priority queue in
// lanes.
//
// Columns stand in blocks, and the least distance of each block is kept: a pass over the blocks and one over a block
// find the nearest. A heap would mispredict its branches, and could not take in a row's costs by whole vectors.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T>
class Frontier {
   public:
    Frontier(std::int64_t columns, Space<T>& space)
        : blocks_((columns + kBlock - 1) / kBlock),
          distance_(space.values(blocks_ * kBlock)),
          least_(space.values(padded<T>(blocks_))),
          before_(space.indices(blocks_ * kBlock)) {}

    static std::int64_t workspace(std::int64_t columns) {
        const std::int64_t blocks = (columns + kBlock - 1) / kBlock;
        return 2 * blocks * kBlock + padded<T>(blocks);
    }

    void clear() {
        for (std::int64_t k = 0; k < blocks_ * kBlock; k += kWidth<T>) store(distance_ + k, infinity<T>());
        for (std::int64_t b = 0; b < blocks_; b += kWidth<T>) store(least_ + b, infinity<T>());
    }

    std::int64_t before(std::int64_t j) const { return before_[j]; }

    // Column j is this far by way of row i. There is no branch, as none could be predicted.
    void reach(std::int64_t j, T distance, std::int64_t i) {
        const bool nearer = distance < distance_[j];
        distance_[j] = nearer ? distance : distance_[j];
        before_[j] = nearer ? static_cast<Index<T>>(i) : before_[j];
        T& least = least_[j / kBlock];
        least = distance < least ? distance : least;
    }

    // The same for all columns that are nearer than `end`; distance(k) gives a vector of distances from column k on,
    // and found(k, distances, nearer) takes those that are nearer than before. Late in a search there are few, so whole
    // blocks are passed over.
    template <class Distance, class Found>
    [[gnu::always_inline]] void reach_all(std::int64_t columns, std::int64_t i, const T& end, Distance&& distance,
                                          Found&& found) {
        const IntVec<T> from = IntVec<T>{} + static_cast<Index<T>>(i);
        const std::int64_t whole = columns / kBlock * kBlock;
        for (std::int64_t first = 0; first < whole; first += kBlock) {
            Vec<T> now[kVectors], old[kVectors];
            IntVec<T> nearer[kVectors], any_nearer{};
            const Vec<T> until = splat(end);
#pragma GCC unroll 8
            for (int n = 0; n < kVectors; ++n) {
                now[n] = distance(first + n * kWidth<T>);
                old[n] = load(distance_ + first + n * kWidth<T>);
                nearer[n] = now[n] < minimum(old[n], until);
                any_nearer |= nearer[n];
            }
            if (!any(any_nearer)) continue;
            for (int n = 0; n < kVectors; ++n)
                if (any(nearer[n])) take(first + n * kWidth<T>, from, now[n], old[n], nearer[n], found);
        }
        for (std::int64_t k = whole; k < columns; k += kWidth<T>) {
            const Vec<T> now = distance(k), old = load(distance_ + k);
            const IntVec<T> nearer = now < minimum(old, splat(end));
            if (any(nearer)) take(k, from, now, old, nearer, found);
        }
    }

    // The least distance, and its block.
    Least<T> nearest() const { return least_of(least_, blocks_); }

    // Takes out the nearest column.
    std::int64_t settle(const Least<T>& nearest) {
        const std::int64_t first = nearest.at * kBlock;
        std::int64_t j = first;
        for (std::int64_t k = first + kBlock - kWidth<T>; k >= first; k -= kWidth<T>) {
            const IntVec<T> equal = load(distance_ + k) == splat(nearest.value);
            const unsigned set = bits(equal);
            j = set != 0 ? k + std::countr_zero(set) : j;
        }
        distance_[j] = kInfinity<T>;
        Vec<T> least = infinity<T>();
        for (std::int64_t k = first; k < first + kBlock; k += kWidth<T>) least = minimum(least, load(distance_ + k));
        least_[nearest.at] = least_lane<T>(least)[0];
        return j;
    }

   private:
    static constexpr int kVectors = 4;
    static constexpr std::int64_t kBlock = kVectors * kWidth<T>;

    template <class Found>
    [[gnu::always_inline]] void take(std::int64_t k, IntVec<T> from, Vec<T> now, Vec<T> old, IntVec<T> nearer,
                                     Found&& found) {
        store(distance_ + k, select(nearer, now, old));
        const IntVec<T> rows = load_int<T>(before_ + k), before = nearer ? from : rows;
        std::memcpy(before_ + k, &before, sizeof before);
        T& least = least_[k / kBlock];
        const T nearest = least_lane<T>(select(nearer, now, infinity<T>()))[0];
        least = nearest < least ? nearest : least;
        found(k, now, nearer);
    }

    std::int64_t blocks_;
    T *distance_, *least_;
    Index<T>* before_;
};

}  // namespace coalign::COALIGN_SET
