// The columns of one problem, shared out among the threads of a team: their prices, and the distances of a search.
//
// The arithmetic and its order are those of csrc/assignment/scans.hpp. A column is taken before another of equal value
// if it is free, then if its index is less: such is a rank.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/team.cuh"

namespace coalign::cuda {

inline constexpr int kFree = -1, kRejected = -2;
inline constexpr unsigned kTaken = 1u << 31, kNoColumn = ~0u;

__device__ inline int column_of(unsigned rank) {
    return static_cast<int>(rank & ~kTaken);
}

// What may be wrong with a cost.
inline constexpr unsigned kHoldsNaN = 1, kHoldsInfinity = 2;

template <class T>
__device__ unsigned flaw_of(T cost) {
    if (cost > -kInfinity<T>) return 0;
    return cost != cost ? kHoldsNaN : kHoldsInfinity;
}

// A problem as the solver has it, whose rows are no more than its columns: row i is `cost + i * stride`, times a sign.
// It is computed in T, whatever the costs are.
template <class T, class Cost = T>
struct Oriented {
    const Cost* cost;
    std::int64_t stride;
    int rows, columns;
    T sign;
    bool has_limit;
    T limit;

    __device__ const Cost* row(int i) const { return cost + i * stride; }
    __device__ T at(int i, int j) const { return sign * static_cast<T>(row(i)[j]); }
};

// The two least reduced costs of a row.
template <class T>
struct Bid {
    T least, second;
    unsigned rank;
};

// What all threads may read of a column, in shared memory or in global.
template <class T>
struct ColumnMemory {
    T* price;
    int* row_of_col;
    int* before;  // the row before the column on a path
    T* distance;  // used where registers do not hold them

    static constexpr std::int64_t bytes(std::int64_t columns, bool distances) {
        const auto values = static_cast<std::int64_t>(sizeof(T)) * (distances ? 2 : 1);
        return columns * (values + 2 * static_cast<std::int64_t>(sizeof(int)));
    }
    static __device__ ColumnMemory within(void* memory, std::int64_t columns, bool distances) {
        T* const values = static_cast<T*>(memory);
        int* const rows = reinterpret_cast<int*>(values + columns * (distances ? 2 : 1));
        return {values, rows, rows + columns, distances ? values + columns : nullptr};
    }
};

// Up to kCount columns a thread, `size` apart, so that a warp reads a row in whole lines. All costs of a row are on
// their way before the first is used.
template <class T, class Team, int kCount>
class RegisterColumns {
   public:
    using Problem = Oriented<T>;
    static constexpr bool kInRegisters = true;

    __device__ RegisterColumns(const Oriented<T>& problem, const ColumnMemory<T>& memory, const Team& team)
        : p_(problem), memory_(memory), rank_(team.rank()), size_(team.size()) {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            price_[k] = distance_[k] = 0;
            if (exists(k)) memory_.price[column(k)] = 0;
        }
        release_all();
    }

    __device__ void release_all() {
        free_ = 0;
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            if (!exists(k)) continue;
            memory_.row_of_col[column(k)] = kFree;
            free_ |= 1u << k;
        }
    }

    // Every column's least cost over the rows that are read, and its first row.
    __device__ void begin_least() {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            price_[k] = kInfinity<T>;
            if (exists(k)) memory_.before[column(k)] = kFree;
        }
    }
    __device__ unsigned take_least(int i) {
        T cost[kCount];
        load(p_.row(i), cost);
        unsigned flaws = 0;
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            const T value = p_.sign * cost[k];
            flaws |= flaw_of(value);
            if (value < price_[k]) {
                price_[k] = value;
                memory_.before[column(k)] = i;
            }
        }
        return flaws;
    }
    // Each column has the least row that was noted for it, a column that no row may take has no price.
    template <class Visit>
    __device__ void end_least(Visit&& visit) {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            if (!(price_[k] < kInfinity<T>)) price_[k] = 0;
            if (!exists(k)) continue;
            memory_.price[column(k)] = price_[k];
            const int i = memory_.before[column(k)];
            if (i >= 0) visit(i, column(k));
        }
    }
    __device__ void note_taken() {
#pragma unroll
        for (int k = 0; k < kCount; ++k)
            if (exists(k) && memory_.row_of_col[column(k)] >= 0) free_ &= ~(1u << k);
    }

    template <bool kCheck>
    __device__ Bid<T> bid(int i, unsigned& flaws) const {
        T cost[kCount];
        load(p_.row(i), cost);
        T least = kInfinity<T>, second = kInfinity<T>;
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            if constexpr (kCheck) flaws |= flaw_of(p_.sign * cost[k]);
            cost[k] = fused(p_.sign, cost[k], -price_[k]);
            second = lesser(second, greater(least, cost[k]));
            least = lesser(least, cost[k]);
        }
        unsigned equal = 0;
#pragma unroll
        for (int k = 0; k < kCount; ++k)
            if (cost[k] == least) equal |= 1u << k;
        return {least, second, first_of(equal)};
    }

    // d_j = min(d_j, max(c_j - v_j - offset, reached)), and the nearest column that has not been scanned. A scanned one
    // is as near as `reached` at least, and stays as it is.
    template <bool kFirst>
    __device__ Ranked<T> relax(int i, T offset, T reached) {
        T cost[kCount];
        load(p_.row(i), cost);
        if constexpr (kFirst) scanned_ = 0;
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            T near = fused(p_.sign, cost[k], -price_[k]);
            if constexpr (kFirst) {
                distance_[k] = near;
                if (exists(k)) memory_.before[column(k)] = i;
            } else {
                near = greater(near - offset, reached);
                if (near < distance_[k]) {
                    distance_[k] = near;
                    memory_.before[column(k)] = i;
                }
            }
        }
        T least = kInfinity<T>;
#pragma unroll
        for (int k = 0; k < kCount; ++k) least = lesser(least, (scanned_ >> k & 1u) != 0 ? kInfinity<T> : distance_[k]);
        unsigned equal = 0;
#pragma unroll
        for (int k = 0; k < kCount; ++k)
            if (distance_[k] == least) equal |= 1u << k;
        return {least, first_of(equal & ~scanned_)};
    }
    __device__ void scan(int j) { scanned_ |= bit_of(j); }
    // Lowers the prices along a path of that length.
    __device__ void lower_scanned(T distance) {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            if ((scanned_ >> k & 1u) == 0) continue;
            price_[k] += distance_[k] - distance;
            memory_.price[column(k)] = price_[k];
        }
    }

    // Raises the prices below the least one that is allowed.
    __device__ void raise_to(T low) {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            price_[k] = greater(price_[k], low);
            if (exists(k)) memory_.price[column(k)] = price_[k];
        }
    }

    __device__ void lower(int j, T by) {
        const unsigned bit = bit_of(j);
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            if ((bit >> k & 1u) == 0) continue;
            price_[k] -= by;
            memory_.price[column(k)] = price_[k];
        }
    }
    __device__ void take(int j) { free_ &= ~bit_of(j); }
    __device__ int before(int j) const { return memory_.before[j]; }

   private:
    __device__ int column(int k) const { return rank_ + k * size_; }
    __device__ bool exists(int k) const { return column(k) < p_.columns; }
    __device__ unsigned bit_of(int j) const {
        if constexpr (Team::kSize != 0) {
            constexpr int size = static_cast<int>(Team::kSize);
            return j % size == rank_ ? 1u << (j / size) : 0u;
        } else {
            unsigned bit = 0;
#pragma unroll
            for (int k = 0; k < kCount; ++k)
                if (column(k) == j) bit = 1u << k;
            return bit;
        }
    }
    __device__ unsigned first_of(unsigned set) const {
        const unsigned wanted = (set & free_) != 0 ? set & free_ : set;
        if (wanted == 0) return kNoColumn;
        const auto j = static_cast<unsigned>(column(__ffs(static_cast<int>(wanted)) - 1));
        return (set & free_) != 0 ? j : j | kTaken;
    }
    // Past the end nothing may be taken; a thread reads its first column there, for loads without a condition are all
    // on their way before the first is used. Of a thread that has no column at all, that is the row's first.
    __device__ void load(const T* row, T (&cost)[kCount]) const {
        const T* const from = row + (exists(0) ? rank_ : 0);
#pragma unroll
        for (int k = 0; k < kCount; ++k) cost[k] = __ldg(from + (exists(k) ? k * size_ : 0));
#pragma unroll
        for (int k = 0; k < kCount; ++k) cost[k] = exists(k) ? cost[k] : p_.sign * kInfinity<T>;
    }

    const Oriented<T> p_;
    ColumnMemory<T> memory_;
    int rank_, size_;
    T price_[kCount], distance_[kCount];
    unsigned free_ = 0, scanned_ = 0;
};

// Any number of columns, in memory; of each, `before` tells by its sign whether it has been scanned.
template <class T, class Team, class Cost = T>
class MemoryColumns {
   public:
    using Problem = Oriented<T, Cost>;
    static constexpr bool kInRegisters = false;

    __device__ MemoryColumns(const Problem& problem, const ColumnMemory<T>& memory, const Team& team)
        : p_(problem), memory_(memory), rank_(team.rank()), size_(team.size()) {
        for (int j = rank_; j < p_.columns; j += size_) memory_.price[j] = 0;
        release_all();
    }

    __device__ void release_all() {
        for (int j = rank_; j < p_.columns; j += size_) memory_.row_of_col[j] = kFree;
    }

    __device__ void begin_least() {
        for (int j = rank_; j < p_.columns; j += size_) {
            memory_.price[j] = kInfinity<T>;
            memory_.before[j] = kFree;
        }
    }
    __device__ unsigned take_least(int i) {
        unsigned flaws = 0;
        for_each(p_.row(i), [&](int j, T cost) {
            const T value = p_.sign * cost;
            flaws |= flaw_of(value);
            if (value < memory_.price[j]) {
                memory_.price[j] = value;
                memory_.before[j] = i;
            }
        });
        return flaws;
    }
    template <class Visit>
    __device__ void end_least(Visit&& visit) {
        for (int j = rank_; j < p_.columns; j += size_) {
            if (!(memory_.price[j] < kInfinity<T>)) memory_.price[j] = 0;
            const int i = memory_.before[j];
            if (i >= 0) visit(i, j);
        }
    }
    __device__ void note_taken() {}

    template <bool kCheck>
    __device__ Bid<T> bid(int i, unsigned& flaws) const {
        Bid<T> found{kInfinity<T>, kInfinity<T>, kNoColumn};
        for_each(p_.row(i), [&](int j, T cost) {
            if constexpr (kCheck) flaws |= flaw_of(p_.sign * cost);
            const T value = fused(p_.sign, cost, -memory_.price[j]);
            if (value > found.least) {
                found.second = lesser(found.second, value);
                return;
            }
            if (value == found.least) {
                found.second = value;
            } else if (value < found.least) {
                found.second = found.least;
                found.rank = kNoColumn;
                found.least = value;
            } else {
                return;
            }
            found.rank = min(found.rank, rank_of(j));
        });
        return found;
    }

    template <bool kFirst>
    __device__ Ranked<T> relax(int i, T offset, T reached) {
        Ranked<T> found{kInfinity<T>, kNoColumn};
        for_each(p_.row(i), [&](int j, T cost) {
            T near = fused(p_.sign, cost, -memory_.price[j]);
            T distance = near;
            bool open = true;
            if constexpr (!kFirst) {
                near = greater(near - offset, reached);
                distance = memory_.distance[j];
                open = memory_.before[j] >= 0;
            }
            if (kFirst || near < distance) {
                memory_.distance[j] = distance = near;
                memory_.before[j] = i;
            }
            if (!open || !(distance <= found.value)) return;
            if (distance < found.value) found.rank = kNoColumn;
            found.value = distance;
            found.rank = min(found.rank, rank_of(j));
        });
        return found;
    }
    __device__ void scan(int j) {
        if (j % size_ == rank_) memory_.before[j] = ~memory_.before[j];
    }
    __device__ void lower_scanned(T distance) {
        for (int j = rank_; j < p_.columns; j += size_)
            if (memory_.before[j] < 0) memory_.price[j] += memory_.distance[j] - distance;
    }

    __device__ void raise_to(T low) {
        for (int j = rank_; j < p_.columns; j += size_) memory_.price[j] = greater(memory_.price[j], low);
    }

    __device__ void lower(int j, T by) {
        if (j % size_ == rank_) memory_.price[j] -= by;
    }
    __device__ void take(int) {}
    __device__ int before(int j) const {
        const int i = memory_.before[j];
        return i < 0 ? ~i : i;
    }

   private:
    static __device__ unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
    __device__ unsigned rank_of(int j) const {
        return memory_.row_of_col[j] >= 0 ? static_cast<unsigned>(j) | kTaken : static_cast<unsigned>(j);
    }
    // A few loads at a time are in flight.
    template <class Visit>
    __device__ void for_each(const Cost* row, Visit&& visit) const {
        constexpr int kAhead = 4;
        for (std::int64_t from = rank_; from < p_.columns; from += kAhead * static_cast<std::int64_t>(size_)) {
            T cost[kAhead];
#pragma unroll
            for (int k = 0; k < kAhead; ++k) {
                const std::int64_t j = from + static_cast<std::int64_t>(k) * size_;
                cost[k] = static_cast<T>(__ldg(row + (j < p_.columns ? j : from)));
            }
#pragma unroll
            for (int k = 0; k < kAhead; ++k) {
                const std::int64_t j = from + static_cast<std::int64_t>(k) * size_;
                if (j < p_.columns) visit(static_cast<int>(j), cost[k]);
            }
        }
    }

    const Problem p_;
    ColumnMemory<T> memory_;
    int rank_, size_;
};

}  // namespace coalign::cuda
