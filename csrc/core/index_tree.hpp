// Values that arrive in the order of their index, combined along a tree that depends on how many they are alone.
#pragma once

#include <cstdint>

namespace coalign {

// The leaves that a reduction's tree stands on: so many elements, or as many as are left at the end. A chunk of work
// whose size is a power of 2 of them is a whole branch of the tree, so that chunks combine to the bits of one pass.
inline constexpr std::int64_t kReductionBlock = 512;

// Two branches are joined when the second is as large as the first, and what is left over at the end from the last to
// the first: sums are pairwise, and 64 branches are enough. Inlined, so that kernels leave no copy of it.
template <class Value>
struct IndexTree {
    template <class Combine>
    [[gnu::always_inline]] void add(Value value, Combine&& combine) {
        for (std::int64_t merged = count++; merged % 2 != 0; merged /= 2) value = combine(branches[--height], value);
        branches[height++] = value;
    }

    // After at least one.
    template <class Combine>
    [[gnu::always_inline]] Value total(Combine&& combine) const {
        Value value = branches[height - 1];
        for (int at = height - 2; at >= 0; --at) value = combine(branches[at], value);
        return value;
    }

    Value branches[64];
    int height = 0;
    std::int64_t count = 0;
};

// The logarithm of a sum of exponentials before its last step: from + log(sum).
template <class T>
struct LogSum {
    T from;
    T sum;
};

}  // namespace coalign
