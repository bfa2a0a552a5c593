// What the bounds of a search ask of the kernels, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::warping {

// Elements are frames times dimensions, one after the other.
template <class T>
struct BoundKernels {
    int width;
    // The least and the greatest of frames [i - before, i + after] of a series, by dimension, for each row i.
    // `scratch` has room for `envelope_scratch` elements; lower and upper for a vector more than they hold.
    void (*envelope)(const T* series, std::int64_t frames, std::int64_t dim, std::int64_t before, std::int64_t after,
                     std::int64_t rows, T* scratch, T* lower, T* upper);
    // How far `count` values lie outside of their bounds: the sum of squares, or of magnitudes.
    T (*squares)(const T* values, const T* lower, const T* upper, std::int64_t count);
    T (*magnitudes)(const T* values, const T* lower, const T* upper, std::int64_t count);
    // The same of each block of so many values, of which the last may have fewer.
    void (*block_squares)(const T* values, const T* lower, const T* upper, std::int64_t count, std::int64_t block,
                          T* sums);
    void (*block_magnitudes)(const T* values, const T* lower, const T* upper, std::int64_t count, std::int64_t block,
                             T* sums);
    // Moves `count` values to the nearest that lie inside of their bounds; writes up to a vector more.
    void (*clip)(const T* values, const T* lower, const T* upper, std::int64_t count, T* out);
    // The least of each lane over so many columns.
    void (*least)(const T* row, std::int64_t columns, T* out);
};

inline std::int64_t envelope_scratch(std::int64_t dim, std::int64_t before, std::int64_t after, std::int64_t rows,
                                     int width) {
    return (rows + before + after) * dim + 2 * width;
}

}  // namespace coalign::warping
